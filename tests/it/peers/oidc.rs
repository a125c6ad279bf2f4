//! A real OpenID Connect provider.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use serde_json::{Value, json};

use super::{PATIENCE, Server, password, peers_cache};
use crate::browser_client::{Browser, Page};
use crate::tools::{free_port, repository};

/// The `oidc-provider` package on a port of its own. `tests/peers/README.md` has its people, and
/// `tests/peers/oidc-provider/README.md` its options and settings.
pub struct OidcPeer {
    port: u16,
    issuer: String,
    authority: Option<PathBuf>,
    state: PathBuf,
    _folder: tempfile::TempDir,
    server: Option<Server>,
}

impl OidcPeer {
    /// Starts it with nobody registered; [`client`](Self::client) registers.
    pub fn start() -> Self {
        Self::start_with("127.0.0.1", &[])
    }

    /// Starts it under a host name, `127.0.0.1` or `localhost`, with options of `tests/peers/oidc-provider/start`.
    pub fn start_with(host: &'static str, options: &[&str]) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let state = folder.path().to_owned();
        let mut command = Command::new(repository().join("tests/peers/oidc-provider/start"));
        command.arg(port.to_string()).args(["--host", host, "--state"]).arg(&state).args(options);
        command.env("PEERS_CACHE", peers_cache());
        let (server, ready) = Server::start(&mut command, "READY ");
        let said = |name: &str| ready.split(' ').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        let issuer = said("issuer").unwrap_or_else(|| panic!("no issuer in {ready}")).to_owned();
        let authority = said("ca").map(PathBuf::from);
        Self { port, issuer, authority, state, _folder: folder, server: Some(server) }
    }

    /// The issuer, byte for byte.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The certificate of the private authority that vouches for it, with `--tls`.
    pub fn authority(&self) -> Option<&Path> {
        self.authority.as_deref()
    }

    /// Registers or replaces a client, in the names of dynamic registration.
    pub async fn client(&self, id: &str, metadata: Value) {
        let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
        self.control(reqwest::Method::PUT, &format!("clients/{}", id.replace('+', "%20")), Some(metadata)).await;
    }

    /// Registers what a confidential client of this broker's connector needs, changed by `more`.
    pub async fn client_of(&self, broker: &str, connector: &str, id: &str, more: Value) {
        let at = |path: &str| format!("{broker}/oidc/{connector}/{path}");
        let mut metadata = json!({
            "client_secret": "a secret that only the two of us know",
            "redirect_uris": [at("callback")],
            "post_logout_redirect_uris": [at("signed-out")],
            "backchannel_logout_uri": at("backchannel-logout"),
            "backchannel_logout_session_required": true,
        });
        let Value::Object(more) = more else { panic!("{more} is no object") };
        let known = metadata.as_object_mut().unwrap();
        for (name, value) in more {
            if value.is_null() {
                known.remove(&name)
            } else {
                known.insert(name, value)
            };
        }
        self.client(id, metadata).await;
    }

    /// Changes one setting from now on: `set("groups_as", "comma")`.
    pub async fn set(&self, name: &str, value: impl Into<Value>) {
        self.control(reqwest::Method::POST, "settings", Some(json!({ name: value.into() }))).await;
    }

    /// A step of a key rollover: `add` publishes a new key, `promote` signs with it, `drop` withdraws the oldest.
    pub async fn keys(&self, step: &str) -> Value {
        self.control(reqwest::Method::POST, &format!("keys/{step}"), None).await
    }

    /// The last 200 things that happened, oldest first.
    pub async fn events(&self) -> Vec<Value> {
        let Value::Array(events) = self.control(reqwest::Method::GET, "events", None).await else { panic!("a list") };
        events
    }

    /// The newest thing of this kind that happened.
    pub async fn last(&self, what: &str) -> Value {
        let events = self.events().await;
        let found = events.iter().rev().find(|event| event["what"] == what);
        found.unwrap_or_else(|| panic!("no {what} in {events:?}")).clone()
    }

    async fn control(&self, method: reqwest::Method, what: &str, body: Option<Value>) -> Value {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        let address = format!("{scheme}://127.0.0.1:{}/__peer/{what}", self.port);
        // The provider calls in the name of the test here: whoever vouches for its certificate does not matter.
        let builder = reqwest::Client::builder().tls_danger_accept_invalid_certs(self.authority.is_some());
        // Makes the process ready for TLS.
        let _ = rolegate::sys::http::client(PATIENCE).unwrap();
        let request = builder.build().unwrap().request(method, address).timeout(PATIENCE);
        let request = if let Some(body) = body { request.json(&body) } else { request };
        let response = request.send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_success(), "{what}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.state.join("server.log")).unwrap_or_default()
    }

    /// Fills in its sign-in page, and follows the browser back to where that leads.
    pub async fn sign_in(&self, browser: &mut Browser, page: Page, user: &str) -> Page {
        let form = page.form_with("password").set("username", user).set("password", password(user));
        browser.submit(&form).await
    }

    /// Presses "Cancel" on its sign-in page.
    pub async fn cancel(&self, browser: &mut Browser, page: Page) -> Page {
        browser.submit(&page.form_with("password").without("username").without("password").set("cancel", "yes")).await
    }
}

impl Drop for OidcPeer {
    fn drop(&mut self) {
        let log = thread::panicking().then(|| self.log());
        drop(self.server.take());
        if let Some(log) = log {
            let lines: Vec<_> = log.lines().collect();
            eprintln!("oidc-provider's last words:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
        }
    }
}

#[tokio::test]
async fn oidc_provider_starts_changes_its_settings_and_rolls_its_keys_over() {
    let peer = OidcPeer::start_with("localhost", &["--issuer-path", "/realms/corp"]);
    assert!(peer.issuer().starts_with("http://localhost:") && peer.issuer().ends_with("/realms/corp"));
    let get = async |address: String| -> Value {
        serde_json::from_str(&reqwest::get(address).await.unwrap().text().await.unwrap()).unwrap()
    };
    let discovery = get(format!("{}/.well-known/openid-configuration", peer.issuer())).await;
    assert_eq!(discovery["issuer"], peer.issuer());
    let kids = async || -> Vec<String> {
        let keys = get(discovery["jwks_uri"].as_str().unwrap().to_owned()).await;
        keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kids().await, ["rsa-1", "ec-1"]);
    peer.keys("add").await;
    assert_eq!(kids().await, ["rsa-1", "ec-1", "rsa-2", "ec-2"]);
    assert_eq!(peer.keys("promote").await["signing"], json!(["rsa-2", "ec-2"]));
    peer.keys("drop").await;
    assert_eq!(kids().await, ["rsa-2", "ec-2"]);
    peer.set("groups_as", "comma").await;
    let port = peer.port;
    drop(peer);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "it still listens after it was told to stop");
}

#[tokio::test]
async fn oidc_provider_signs_a_person_in_and_answers_where_the_client_says() {
    let client = crate::browser_client::tests::echo_server();
    let peer = OidcPeer::start();
    peer.client_of(client.as_str().trim_end_matches('/'), "corp", "a client", json!({})).await;
    peer.set("require_pkce", false).await;
    let mut start = url::Url::parse(&format!("{}/auth", peer.issuer())).unwrap();
    let callback = client.join("oidc/corp/callback").unwrap();
    start.query_pairs_mut().extend_pairs([
        ("client_id", "a client"),
        ("response_type", "code"),
        ("scope", "openid"),
        ("state", "ours"),
        ("redirect_uri", callback.as_str()),
    ]);
    let mut browser = Browser::new();
    let page = browser.get(start.as_str()).await;
    let cancelled = peer.cancel(&mut browser, page).await;
    assert!(cancelled.body.starts_with("GET /oidc/corp/callback?error=access_denied"), "{}", cancelled.body);
    let page = browser.get(start.as_str()).await;
    let page = peer.sign_in(&mut browser, page, "carol").await;
    assert!(page.body.starts_with("GET /oidc/corp/callback?code="), "{}", page.body);
    assert!(page.url.query().unwrap().contains("state=ours"), "{}", page.url);
    assert_eq!(peer.last("authorization.success").await["client_id"], "a client");
}

#[tokio::test]
async fn oidc_provider_speaks_tls_with_a_certificate_of_its_own_authority() {
    let peer = OidcPeer::start_with("127.0.0.1", &["--tls"]);
    assert!(peer.issuer().starts_with("https://"));
    let authority = std::fs::read(peer.authority().unwrap()).unwrap();
    let discovery = format!("{}/.well-known/openid-configuration", peer.issuer());
    let untrusting = rolegate::sys::http::client(PATIENCE).unwrap();
    untrusting.get(&discovery).send().await.expect_err("nobody knows this authority");
    let authority = reqwest::Certificate::from_pem(&authority).unwrap();
    let trusting = reqwest::Client::builder().tls_certs_merge([authority]).build().unwrap();
    assert_eq!(trusting.get(&discovery).send().await.unwrap().status(), 200);
    assert_eq!(peer.events().await, Vec::<Value>::new());
}
