//! An identity provider of our own on the wire: it reads the broker's requests and posts whatever the forge makes.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use regex::Regex;
use reqwest::header::HeaderMap;
use rolegate::saml::redirect::inflate;
use serde_json::Value;
use url::Url;

use crate::hostile::forge::Forge;

/// The connector it is known under.
pub const CONNECTOR: &str = "forge";

/// A connector that believes the forge's keys, with these further settings. `folder` is for its metadata.
pub fn connector(folder: &std::path::Path, more: &str) -> String {
    let file = folder.join("forge.xml");
    std::fs::write(&file, Forge::metadata()).unwrap();
    let attributes =
        "email = \"email\"\nname = \"displayName\"\ngroups = \"groups\"\nextra = { department = \"department\" }\n";
    let lines = format!("metadata_file = {file:?}\nencrypt_assertions = true\n{more}");
    crate::sign_in::connector_at(CONNECTOR, &lines, attributes)
}

/// The broker seen from a provider, and the browser between them in its simplest form.
#[derive(Clone)]
pub struct Wire {
    pub client: reqwest::Client,
    base: String,
    /// What replies are addressed to; differs from `base` where a balancer stands between.
    public: String,
    encrypt_for: Vec<u8>,
}

/// A sign-in under way.
#[derive(Debug, Clone)]
pub struct Begun {
    pub request_id: String,
    pub relay_state: String,
    /// The browser's cookie, as `Cookie` sends it.
    pub cookie: String,
}

/// An answer as it came, no redirect followed.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Wire {
    pub async fn to(base: &str) -> Self {
        Self::through(base, base).await
    }

    /// To a broker at `base` whose public address is another.
    pub async fn through(base: &str, public: &str) -> Self {
        let client = rolegate::sys::http::client(Duration::from_secs(20)).unwrap();
        let metadata = client.get(format!("{base}/saml/{CONNECTOR}/metadata")).send().await.unwrap();
        let metadata = metadata.text().await.unwrap();
        let certificate = Regex::new("X509Certificate>([^<]+)<").unwrap();
        let certificate = &certificate.captures(&metadata).unwrap_or_else(|| panic!("no key in {metadata}"))[1];
        let encrypt_for = STANDARD.decode(certificate.split_whitespace().collect::<String>()).unwrap();
        Self { client, base: base.to_owned(), public: public.to_owned(), encrypt_for }
    }

    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub fn acs(&self) -> String {
        self.at(&format!("/saml/{CONNECTOR}/acs"))
    }

    /// Begins a sign-in as a browser does and reads the request that the provider would get.
    pub async fn begin(&self) -> Begun {
        let started = self.get(&format!("/saml/{CONNECTOR}/start"), "").await;
        assert_eq!(started.status, 303, "{}", started.body);
        let sent = Url::parse(started.header("location").unwrap()).unwrap();
        let fields: HashMap<_, _> = sent.query_pairs().into_owned().collect();
        let request = inflate(&STANDARD.decode(&fields["SAMLRequest"]).unwrap(), 100_000).unwrap();
        let request = String::from_utf8(request).unwrap();
        let id = Regex::new(" ID=\"([^\"]+)\"").unwrap();
        Begun {
            request_id: id.captures(&request).unwrap()[1].to_owned(),
            relay_state: fields["RelayState"].clone(),
            cookie: started.header("set-cookie").unwrap().split(';').next().unwrap().to_owned(),
        }
    }

    /// Makes replies to a request, or to none.
    pub fn forge(&self, request_id: Option<&str>, now: Timestamp) -> Forge {
        let (sp, acs) =
            (format!("{}/saml/{CONNECTOR}/metadata", self.public), format!("{}/saml/{CONNECTOR}/acs", self.public));
        Forge { encrypt_for: self.encrypt_for.clone(), ..Forge::new(&sp, &acs, request_id, now) }
    }

    /// Posts a reply; the answer is for a program.
    pub async fn post(&self, reply: &str, relay_state: &str) -> Answer {
        let form = [("SAMLResponse", reply), ("RelayState", relay_state)];
        self.send(self.client.post(self.acs()).header("accept", "application/json").form(&form)).await
    }

    pub async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.send(self.client.get(self.at(path)).header("cookie", cookie)).await
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.timeout(Duration::from_secs(60)).send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.text().await.unwrap() }
    }

    /// Follows an accepted reply to its session; gives the session's cookie.
    pub async fn finish(&self, accepted: &Answer, begun: &Begun) -> String {
        assert_eq!(accepted.status, 303, "{}", accepted.body);
        let welcome = self.get(accepted.header("location").unwrap(), &begun.cookie).await;
        assert_eq!(welcome.status, 303, "{}", welcome.body);
        welcome.session_cookie()
    }

    /// An honest reply, whose assertion has an ID of its own.
    pub fn honest(&self, begun: &Begun, now: Timestamp) -> String {
        self.forge(Some(&begun.request_id), now).signed(|parts| parts.assertion_id = format!("_to{}", begun.request_id))
    }

    /// A whole honest sign-in at that moment; gives the session's cookie.
    pub async fn sign_in(&self, now: Timestamp) -> String {
        let begun = self.begin().await;
        let accepted = self.post(&self.honest(&begun, now), &begun.relay_state).await;
        self.finish(&accepted, &begun).await
    }

    /// The status of `GET /api/v1/me` with that cookie.
    pub async fn me(&self, cookie: &str) -> u16 {
        self.get("/api/v1/me", cookie).await.status
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The last part of the problem's `type`.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.body);
        let document: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(document["status"], self.status);
        document["type"].as_str().unwrap().strip_prefix("urn:rolegate:problem:").unwrap().to_owned()
    }

    /// The session that this answer begins, as `Cookie` sends it.
    pub fn session_cookie(&self) -> String {
        let mut cookies = self.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
        let session = cookies.find(|cookie| cookie.starts_with("rolegate=")).expect("a session begins");
        session.split(';').next().unwrap().to_owned()
    }

    /// Nobody was signed in by this answer: no cookie of a session, no way to a ticket.
    pub fn signs_nobody_in(&self) -> bool {
        (400..500).contains(&self.status) && self.header("location").is_none() && self.header("set-cookie").is_none()
    }
}
