//! Servers that we did not write the other half of: SimpleSAMLphp, oidc-provider and moto. [`Browser`] walks a sign-in
//! at them with cookies and forms as a browser without scripts does.

pub mod oidc;

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use url::Url;

use crate::browser_client::{Browser, Page};
use crate::tools::{aws, free_port, python_tool, repository, stdout};

const PATIENCE: Duration = Duration::from_secs(60);

/// A server of its own process group's making, told to stop when the test is done with it.
struct Server(Child);

impl Server {
    /// Starts `command` and waits for a line of its output that begins with `ready`; gives that line.
    fn start(command: &mut Command, ready: &'static str) -> (Self, String) {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (send, lines) = mpsc::channel();
        let (out, err) = (child.stdout.take(), child.stderr.take());
        for pipe in [out.map(|pipe| Box::new(pipe) as Box<dyn Read + Send>), err.map(|pipe| Box::new(pipe) as _)] {
            let send = send.clone();
            // The pipe is read to its end, or the server would stand still once it is full.
            thread::spawn(move || {
                for line in BufReader::new(pipe.expect("it was asked for above")).lines().map_while(Result::ok) {
                    let _ = send.send(line);
                }
            });
        }
        drop(send);
        let server = Self(child);
        let (deadline, mut said) = (Instant::now() + PATIENCE, String::new());
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.trim_start().starts_with(ready) => return (server, line),
                Ok(line) => {
                    said.push_str(&line);
                    said.push('\n');
                }
                Err(reason) => panic!("{command:?} was not ready ({reason}); it said:\n{said}"),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A polite signal, so that it can stop what it started itself.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A real identity provider: SimpleSAMLphp on a port of its own. `tests/peers/README.md` has its people and settings.
pub struct SimpleSaml {
    port: u16,
    host: &'static str,
    state: PathBuf,
    _folder: tempfile::TempDir,
    server: Option<Server>,
}

impl SimpleSaml {
    /// Starts it for a service provider whose metadata will be found at `sp_metadata` once somebody signs in.
    pub fn start(sp_metadata: &str) -> Self {
        Self::start_with("127.0.0.1", &["--sp-metadata", sp_metadata])
    }

    /// Starts it under a host name, `127.0.0.1` or `localhost`, with options of `tests/peers/simplesamlphp/start`.
    pub fn start_with(host: &'static str, options: &[&str]) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let state = folder.path().to_owned();
        let mut command = Command::new(repository().join("tests/peers/simplesamlphp/start"));
        command.arg(port.to_string()).args(["--host", host, "--state"]).arg(&state).args(options);
        command.env("PEERS_CACHE", peers_cache());
        let (server, _) = Server::start(&mut command, "READY ");
        Self { port, host, state, _folder: folder, server: Some(server) }
    }

    pub fn base(&self) -> String {
        format!("http://{}:{}/simplesaml/", self.host, self.port)
    }

    /// Where its metadata is, which is its entity ID too.
    pub fn metadata_url(&self) -> String {
        format!("{}saml2/idp/metadata.php", self.base())
    }

    /// Where a sign-in that begins at the identity provider begins.
    pub fn start_url(&self, sp_entity_id: &str, relay_state: &str) -> String {
        let mut url = Url::parse(&format!("{}saml2/idp/SSOService.php", self.base())).unwrap();
        url.query_pairs_mut().append_pair("spentityid", sp_entity_id).append_pair("RelayState", relay_state);
        url.into()
    }

    pub async fn metadata(&self) -> String {
        let client = rolegate::sys::http::client(PATIENCE).unwrap();
        let response = client.get(self.metadata_url()).timeout(PATIENCE).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.text().await.unwrap()
    }

    /// Changes one setting from now on: `set("sign", "response")`, `set("publish_keys", json!(["a", "b"]))`.
    pub async fn set(&self, name: &str, value: impl Into<Value>) {
        let client = rolegate::sys::http::client(PATIENCE).unwrap();
        let settings = format!("http://127.0.0.1:{}/__peer/settings", self.port);
        let change = json!({ name: value.into() });
        let response = client.post(settings).timeout(PATIENCE).json(&change).send().await.unwrap();
        assert_eq!(response.status(), 200, "{name}: {}", response.text().await.unwrap());
    }

    /// Its log, with every SAML message in clear.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.state.join("log/simplesamlphp.log")).unwrap_or_default()
    }

    /// Fills in its sign-in page and posts what it answers, as its script would. `page` is that sign-in page.
    pub async fn sign_in(&self, browser: &mut Browser, page: Page, user: &str) -> Page {
        let form = page.form_with("password").set("username", user).set("password", password(user));
        let answer = browser.submit(&form).await;
        assert!(answer.has_form_with("SAMLResponse"), "no SAML response came back:\n{}\n{}", answer.body, self.log());
        browser.submit(&answer.form_with("SAMLResponse")).await
    }
}

impl Drop for SimpleSaml {
    fn drop(&mut self) {
        let log = thread::panicking().then(|| self.log());
        drop(self.server.take());
        if let Some(log) = log {
            let lines: Vec<_> = log.lines().collect();
            eprintln!("SimpleSAMLphp's last words:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
        }
    }
}

/// Where the peers are installed.
fn peers_cache() -> PathBuf {
    let cache = repository().join(".tools/peers");
    assert!(cache.is_dir(), "the identity providers are missing: run `make setup-test`");
    cache
}

/// The password of one of the people in `tests/peers/users.json`.
pub fn password(user: &str) -> &'static str {
    match user {
        "alice" => "alice-pass-1",
        "bob" => "bob-pass-2",
        "carol" => "carol-pass-3",
        other => panic!("the peers know nobody called {other}"),
    }
}

/// A second, independent STS: moto's server. It checks no signature and answers in AWS's form.
pub struct Moto {
    port: u16,
    _server: Server,
}

impl Moto {
    pub fn start() -> Self {
        Self::for_account("123456789012")
    }

    /// As the AWS of one account.
    pub fn for_account(id: &str) -> Self {
        let port = free_port();
        let mut command = Command::new(python_tool("moto_server"));
        command.env("MOTO_ACCOUNT_ID", id);
        let (server, _) =
            Server::start(command.args(["-H", "127.0.0.1", "-p", &port.to_string()]), "* Running on http://");
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "moto does not answer on port {port}");
            thread::sleep(Duration::from_millis(20));
        }
        Self { port, _server: server }
    }

    pub fn endpoint(&self) -> Url {
        Url::parse(&format!("http://127.0.0.1:{}/", self.port)).unwrap()
    }
}

/// What the AWS CLI needs to call an endpoint with somebody's keys.
#[derive(Debug, Clone)]
pub struct AwsKeys {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
}

/// The real AWS CLI's `aws sts get-caller-identity`, as JSON.
pub fn get_caller_identity(endpoint: &Url, keys: &AwsKeys) -> Value {
    let text = stdout(
        aws()
            .args(["sts", "get-caller-identity", "--output", "json", "--endpoint-url", endpoint.as_str()])
            .env("AWS_ACCESS_KEY_ID", &keys.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &keys.secret_access_key)
            .env("AWS_SESSION_TOKEN", &keys.session_token),
    );
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What the AWS CLI needs to get keys from a program: a profile with `credential_process`.
pub fn credential_process_profile(folder: &Path, command_line: &str) -> PathBuf {
    let file = folder.join("aws-config");
    std::fs::write(&file, format!("[profile rolegate]\ncredential_process = {command_line}\n")).unwrap();
    file
}

#[tokio::test]
async fn simplesamlphp_starts_publishes_its_metadata_and_changes_its_settings() {
    let peer = SimpleSaml::start("http://127.0.0.1:9/saml/peer/metadata");
    let metadata = peer.metadata().await;
    assert!(metadata.contains(&format!("entityID=\"{}\"", peer.metadata_url())), "{metadata}");
    assert_eq!(metadata.matches("use=\"signing\"").count(), 1, "{metadata}");
    peer.set("publish_keys", json!(["a", "b"])).await;
    assert_eq!(peer.metadata().await.matches("use=\"signing\"").count(), 2);
    let port = peer.port;
    drop(peer);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "it still listens after it was told to stop");
}

#[tokio::test]
async fn simplesamlphp_signs_a_person_in_and_posts_the_answer_where_the_metadata_says() {
    let folder = tempfile::tempdir().unwrap();
    let acs = crate::browser_client::tests::echo_server();
    let metadata = folder.path().join("sp.xml");
    std::fs::write(
        &metadata,
        format!(
            "<EntityDescriptor xmlns=\"urn:oasis:names:tc:SAML:2.0:metadata\" entityID=\"urn:test:sp\">\
             <SPSSODescriptor protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\">\
             <AssertionConsumerService index=\"0\" Location=\"{acs}acs\" \
             Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\"/></SPSSODescriptor></EntityDescriptor>"
        ),
    )
    .unwrap();
    let peer = SimpleSaml::start_with("localhost", &["--sp-metadata", metadata.to_str().unwrap()]);
    let mut browser = Browser::new();
    let page = browser.get(&peer.start_url("urn:test:sp", "handle")).await;
    let page = peer.sign_in(&mut browser, page, "bob").await;
    assert!(page.body.starts_with("POST /acs"), "{}", page.body);
    assert!(page.body.contains("SAMLResponse=") && page.body.contains("RelayState=handle"), "{}", page.body);
}

#[test]
fn moto_is_an_sts_for_the_real_aws_cli() {
    let moto = Moto::start();
    let keys = AwsKeys {
        access_key_id: "ASIAIOSFODNN7EXAMPLE".to_owned(),
        secret_access_key: "secret".to_owned(),
        session_token: "token".to_owned(),
    };
    assert_eq!(get_caller_identity(&moto.endpoint(), &keys)["Account"], "123456789012");
}
