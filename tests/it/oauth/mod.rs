//! Programs that people allow: what they are given for what, and what everybody else is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rolegate::flows::clients::Clients;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use url::Url;

use crate::broker::Broker;
use crate::sandboxed::{Answer, Person, Sandboxed, client, send};

mod authorize;
mod clients;
mod codes;
mod device;
mod log;
mod refresh;
mod revoke;

const VERIFIER: &str = "a-verifier-that-nobody-but-the-program-knows-0123456789";
const REDIRECT: &str = "http://127.0.0.1:54321/callback";
const OTHER_PROGRAM: &str = "http://127.0.0.1:54321/oauth/callback";
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(openssl::sha::sha256(verifier.as_bytes()))
}

/// Named values that a test changes one of.
#[derive(Debug, Clone)]
struct Fields(Vec<(&'static str, String)>);

impl Fields {
    fn set(mut self, name: &'static str, value: &str) -> Self {
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, value.to_owned()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.0.retain(|(known, _)| *known != name);
        self
    }

    fn query(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }
}

/// What our own command line asks for.
fn asks() -> Fields {
    Fields(vec![
        ("client_id", "rolegate-cli".to_owned()),
        ("redirect_uri", REDIRECT.to_owned()),
        ("response_type", "code".to_owned()),
        ("state", "its-own-state".to_owned()),
        ("code_challenge", challenge(VERIFIER)),
        ("code_challenge_method", "S256".to_owned()),
    ])
}

/// What it presents with a code.
fn presents(code: &str) -> Fields {
    Fields(vec![
        ("grant_type", "authorization_code".to_owned()),
        ("client_id", "rolegate-cli".to_owned()),
        ("code", code.to_owned()),
        ("redirect_uri", REDIRECT.to_owned()),
        ("code_verifier", VERIFIER.to_owned()),
    ])
}

fn refreshes(token: &str) -> Fields {
    Fields(vec![
        ("grant_type", "refresh_token".to_owned()),
        ("client_id", "rolegate-cli".to_owned()),
        ("refresh_token", token.to_owned()),
    ])
}

fn polls(device_code: &str) -> Fields {
    Fields(vec![
        ("grant_type", DEVICE_CODE.to_owned()),
        ("client_id", "rolegate-cli".to_owned()),
        ("device_code", device_code.to_owned()),
    ])
}

async fn post(broker: &Broker, path: &str, fields: &Fields) -> Answer {
    send(client().post(broker.at(path)).form(&fields.0)).await
}

async fn token(broker: &Broker, fields: &Fields) -> Answer {
    post(broker, "/oauth/token", fields).await
}

/// What a program is told instead of tokens, in the one form there is for that. Gives the description.
fn refused(answer: &Answer, status: u16, code: &str) -> String {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    assert_eq!(body["error"], code, "{body}");
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
    body["error_description"].as_str().unwrap().to_owned()
}

/// The tokens of an answer: access and refresh.
fn granted(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    assert_eq!(body["token_type"], "Bearer");
    let text = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("no {name} in {body}")).to_owned();
    let (access, refresh) = (text("access_token"), text("refresh_token"));
    assert!(access.starts_with("rga_") && refresh.starts_with("rgr_"), "{body}");
    (access, refresh)
}

/// The pairs in the query of where a browser was sent, which must be the program that waits.
fn answered(answer: &Answer, redirect: &str) -> Vec<(String, String)> {
    assert_eq!(answer.status, 303, "{}", answer.body);
    let location = answer.header("location");
    assert!(location.starts_with(&format!("{redirect}?")), "{location}");
    Url::parse(location).unwrap().query_pairs().into_owned().collect()
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    pairs.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

/// Somebody presses a button on the page about a request.
async fn decides(person: &Person, asks: &Fields, decision: &str) -> Answer {
    let mut fields: Vec<(&str, &str)> = asks.0.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fields.push(("decision", decision));
    person.program_post("/authorize", &fields).await
}

/// A code that somebody allowed.
async fn allowed(person: &Person, asks: &Fields) -> String {
    let redirect = asks.0.iter().find(|(name, _)| *name == "redirect_uri").unwrap().1.clone();
    value(&answered(&decides(person, asks, "allow").await, &redirect), "code").to_owned()
}

/// Somebody has signed in a terminal: its access and refresh tokens.
async fn signed_in(world: &Sandboxed, person: &Person) -> (String, String) {
    let code = allowed(person, &asks()).await;
    granted(&token(&world.broker, &presents(&code)).await)
}

/// Whether a token opens anything: 200, 401.
async fn me(broker: &Broker, access: &str) -> u16 {
    send(client().get(broker.at("/api/v1/me")).bearer_auth(access)).await.status
}

/// What was recorded since, of these kinds.
async fn tokens_since(broker: &Broker, seq: i64) -> Vec<(String, Value)> {
    let mut events = broker.events_after(seq).await;
    events.retain(|(kind, _)| kind.starts_with("token."));
    events
}

/// The one event about tokens since then, which must be of that kind.
async fn only_event(broker: &Broker, seq: i64, kind: &str) -> Value {
    let mut events = tokens_since(broker, seq).await;
    assert_eq!(events.len(), 1, "{events:?}");
    let (found, body) = events.remove(0);
    assert_eq!(found, kind, "{body}");
    body
}

async fn head(broker: &Broker) -> i64 {
    broker.head().await.seq
}

/// A client as the AWS CLI registers itself: id and secret.
fn registered(broker: &Broker, name: &str) -> (String, String) {
    let clients = Clients { ground: broker.app.ground.clone() };
    let made = clients.register(name, &["http://127.0.0.1/oauth/callback"]).unwrap();
    (made.client_id, made.client_secret.expose_secret().to_owned())
}
