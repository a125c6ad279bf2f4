//! What fuzzers run: see `fuzz/README.md`. The same functions run in the tests, over mutated examples.
//!
//! Each takes any bytes and panics when something does not hold that holds for all inputs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use actix_web::body::to_bytes;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use actix_web::rt::SystemRunner;
use actix_web::test::TestRequest;
use actix_web::{FromRequest as _, web};
use jiff::Timestamp;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sha::sha256;
use openssl::sign::Signer;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use secrecy::ExposeSecret as _;

use super::authorize::{self, Assumption, Bearer, Way, Wire};
use super::credentials::{AssumedRole, Holder, How, Session, SessionPolicies};
use super::iam::Iam;
use super::policy::{Context, Decision, Effect, Policy, PolicyKind, Principal, Request};
use super::{Sandbox, SandboxConfig, State, World, sts};
use crate::aws::RoleArn;
use crate::sys::{ManualClock, SeededRng};

const NOW: &str = "2026-11-21T12:00:00Z";
const ROLE: &str = "arn:aws:iam::127790045613:role/RolegateHub";
const USER_KEY: &str = "SBUKLINWEISESSIONKEY";
const FEDERATION_KEY: &str = "SBUKBROKERFEDERATION";

/// Everything but `A-Z a-z 0-9 - . _ ~` is written as `%XX`.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

static WORLD: LazyLock<World> = LazyLock::new(World::larkspur);

fn now() -> Timestamp {
    NOW.parse().expect("an instant")
}

fn role_session(iam: &Iam, policies: SessionPolicies) -> Session {
    let role = iam.role(&ROLE.parse().expect("an ARN")).expect("a role of the company");
    Session {
        holder: Holder::Role(AssumedRole {
            role: role.arn.clone(),
            role_id: role.role_id.clone(),
            session_name: "lin".to_owned(),
            how: How::Role { chained: false, origin: None },
        }),
        policies,
        source_identity: Some("lin".to_owned()),
        tags: [("team".to_owned(), "red".to_owned())].into(),
        transitive_tag_keys: vec!["team".to_owned()],
        issued_at: now(),
        expires_at: now() + jiff::SignedDuration::from_hours(1),
    }
}

/// A policy document and a request, with a NUL between document, action, resource and `key=value` lines.
///
/// # Panics
/// When reading or deciding does, or when: what decided is not of the effect it had; the order of statements matters; a
/// Deny of everything does not win; or a session limited by the document may do more than without.
pub fn policy(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.split('\0');
    let document = parts.next().unwrap_or_default();
    let action = parts.next().unwrap_or("s3:GetObject");
    let resource = parts.next().unwrap_or("arn:aws:s3:::b/k");
    let mut context = Wire {
        now: now(),
        source_ip: Some([192, 0, 2, 7].into()),
        secure_transport: true,
        user_agent: None,
        referer: None,
        region: "eu-west-1",
    }
    .context();
    for line in parts.next().unwrap_or_default().lines() {
        match line.split_once('=') {
            Some((key, value)) if value.contains(',') => context.set_many(key, value.split(',').map(str::to_owned)),
            Some((key, value)) => context.set(key, value),
            None => {}
        }
    }
    let iam = WORLD.iam();
    let bearers = [
        Bearer { principal: Principal::Anonymous, session: None },
        Bearer::of_owner(&iam.owner_of_key(USER_KEY).expect("a key of the company").0),
        Bearer::of_session(&role_session(iam, SessionPolicies::default())),
        Bearer { principal: Principal::SamlProvider(WORLD.accounts()[0].provider.clone()), session: None },
    ];
    for kind in [PolicyKind::Trust, PolicyKind::Identity, PolicyKind::Session] {
        let Ok(policy) = Policy::parse(kind, document) else { continue };
        let reversed = rewritten(kind, document, &policy, None);
        let denied = rewritten(kind, document, &policy, Some(kind));
        let _ = policy.warnings();
        for bearer in &bearers {
            let request = Request { principal: &bearer.principal, action, resource: Some(resource), context: &context };
            check(&policy, &request);
            let decision = policy.decide(&request).decision;
            assert_eq!(reversed.decide(&request).decision, decision, "the order of statements matters");
            assert_eq!(denied.decide(&request).decision, Decision::ExplicitDeny, "a Deny did not win");
        }
    }
    if Policy::parse(PolicyKind::Session, document).is_ok() {
        let limits = SessionPolicies { inline: Some(document.to_owned()), arns: Vec::new() };
        let limited = Bearer::of_session(&role_session(iam, limits));
        let may = |bearer: &Bearer| authorize::allowed(iam, bearer, action, resource, &context).is_allowed();
        assert!(may(&bearers[2]) || !may(&limited), "a session policy widened");
        if let Ok(role) = resource.parse::<RoleArn>() {
            let may = |bearer: &Bearer| authorize::assume(iam, bearer, &wish(&role, &context)).is_allowed();
            assert!(may(&bearers[2]) || !may(&limited), "a session policy widened what may be assumed");
        }
    }
}

static NO_TAGS: BTreeMap<String, String> = BTreeMap::new();

fn wish<'a>(role: &'a RoleArn, context: &Context) -> Assumption<'a> {
    Assumption {
        way: Way::Role,
        role,
        session_name: "lin",
        external_id: Some("larkspur-7h2k"),
        tags: &NO_TAGS,
        transitive_tag_keys: &[],
        source_identity: None,
        mfa: false,
        provided_contexts: false,
        context: context.clone(),
    }
}

fn check(policy: &Policy, request: &Request<'_>) {
    let verdict = policy.decide(request);
    let effect = verdict.by.as_ref().and_then(|by| policy.effect(by.index));
    let expected = match verdict.decision {
        Decision::Allow => Some(Effect::Allow),
        Decision::ExplicitDeny => Some(Effect::Deny),
        Decision::ImplicitDeny => None,
    };
    assert_eq!(effect, expected, "another statement decided");
    if verdict.decision == Decision::Allow {
        let misses = policy.near_misses(request);
        assert!(misses.iter().all(|miss| Some(&miss.statement) != verdict.by.as_ref()), "what matched was missed");
    }
}

/// The same statements in reverse order, with a Deny of everything before them where that is asked for.
fn rewritten(kind: PolicyKind, document: &str, policy: &Policy, deny: Option<PolicyKind>) -> Policy {
    let version = serde_json::from_str::<serde_json::Value>(document)
        .ok()
        .and_then(|document| document.get("Version").cloned())
        .map(|version| format!(r#""Version":{version},"#))
        .unwrap_or_default();
    let deny = deny.map(|kind| match kind {
        PolicyKind::Trust => r#"{"Effect":"Deny","Principal":"*","Action":"*"}"#.to_owned(),
        PolicyKind::Identity | PolicyKind::Session => r#"{"Effect":"Deny","Action":"*","Resource":"*"}"#.to_owned(),
    });
    let statements: Vec<String> =
        deny.into_iter().chain((0..policy.len()).rev().map(|index| policy.statement_text(index))).collect();
    let text = format!("{{{version}\"Statement\":[{}]}}", statements.join(","));
    Policy::parse(kind, &text)
        .unwrap_or_else(|error| panic!("{error}: what was understood is not, written again: {text}"))
}

thread_local! {
    static HARNESS: RefCell<Option<Harness>> = const { RefCell::new(None) };
}

struct Harness {
    system: SystemRunner,
    state: web::Data<State>,
}

impl Harness {
    fn new() -> Self {
        let config = SandboxConfig {
            saml_providers: BTreeMap::new(),
            service_providers: Vec::new(),
            oidc_clients: Vec::new(),
            ..SandboxConfig::for_broker(
                "http://127.0.0.1:9/".parse().expect("a URL"),
                &"http://broker.invalid/".parse().expect("a URL"),
                WORLD.clone(),
                Arc::new(ManualClock::at(now())),
                Arc::new(SeededRng::new(7)),
            )
        };
        let sandbox = Sandbox::build(config).expect("a sandbox");
        Self { system: actix_web::rt::System::new(), state: sandbox.0 }
    }
}

impl Harness {
    /// Sends a call and tells what was answered.
    fn ask(&mut self, who: u8, how: u8, rest: &[u8]) -> (StatusCode, web::Bytes) {
        let text = String::from_utf8_lossy(rest);
        let (parameters, junk) = text.split_once('\0').unwrap_or((&text, ""));
        let iam = parameters.contains("Version=2010-05-08");
        let in_url = how % 4 == 1;
        let (query, body) =
            if in_url { (encoded(parameters), String::new()) } else { (String::new(), parameters.to_owned()) };
        let mut request =
            if in_url { TestRequest::get().uri(&format!("/?{query}")) } else { TestRequest::post().uri("/") };
        request = request
            .insert_header((HOST, "127.0.0.1:9"))
            .insert_header((CONTENT_TYPE, "application/x-www-form-urlencoded"));
        for header in signed(&self.state, who % 6, iam, in_url, &query, &body, junk) {
            request = request.insert_header(header);
        }
        let (request, mut payload) = request.set_payload(body).to_http_parts();
        let state = self.state.clone();
        self.system.block_on(async move {
            let payload = web::Payload::from_request(&request, &mut payload).await.expect("a payload");
            let answer = sts::endpoint(request, payload, state).await;
            let status = answer.status();
            (status, to_bytes(answer.into_body()).await.unwrap_or_default())
        })
    }
}

/// A call of the query protocol. The first byte says who signs it (nobody, a user, another user, a role's session, a
/// user's session, or a signature that is itself made of the input), the second how it is sent; the rest are the
/// parameters.
///
/// # Panics
/// When anything on the way does, when an answer is no XML, or when the sandbox says that it failed.
pub fn query(data: &[u8]) {
    let [who, how, rest @ ..] = data else { return };
    let (status, body) =
        HARNESS.with_borrow_mut(|harness| harness.get_or_insert_with(Harness::new).ask(*who, *how, rest));
    assert!(!status.is_server_error(), "{status}: {}", String::from_utf8_lossy(&body));
    if !status.is_redirection() && !body.is_empty() && !body.starts_with(b"<!") {
        let text = std::str::from_utf8(&body).expect("answers are text");
        assert!(roxmltree::Document::parse(text).is_ok(), "no XML: {text}");
    }
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~=&%+".contains(&byte);
    let mut out = String::new();
    for byte in text.bytes().take(8_000) {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Headers of a request by Signature Version 4, or of something that resembles one.
fn signed(
    state: &State,
    who: u8,
    iam: bool,
    in_url: bool,
    query: &str,
    body: &str,
    junk: &str,
) -> Vec<(&'static str, String)> {
    let known = state.iam.now();
    let printable = |text: &str| text.chars().filter(|c| (' '..='~').contains(c)).take(2_000).collect::<String>();
    let (id, secret, token) = match who {
        0 => return Vec::new(),
        1 | 2 => {
            let id = if who == 1 { USER_KEY } else { FEDERATION_KEY };
            let (_, key) = known.owner_of_key(id).expect("a key of the company");
            (id.to_owned(), key.secret.expose_secret().to_owned(), None)
        }
        3 | 4 => {
            let mut session = role_session(&known, SessionPolicies::default());
            if who == 4 {
                let owner = known.owner_of_key(USER_KEY).expect("a key of the company").0;
                session.holder = Holder::User { user: owner, mfa_at: Some(now()) };
                session.transitive_tag_keys.clear();
                session.tags.clear();
                session.source_identity = None;
            }
            let made = state.mint.issue(&session, &*state.rng);
            (
                made.access_key_id,
                made.secret_access_key.expose_secret().to_owned(),
                Some(made.session_token.expose_secret().to_owned()),
            )
        }
        _ => {
            let (authorization, rest) = junk.split_once('\n').unwrap_or((junk, ""));
            let (date, token) = rest.split_once('\n').unwrap_or((rest, ""));
            return vec![
                (AUTHORIZATION.as_str(), printable(authorization)),
                ("x-amz-date", printable(date)),
                ("x-amz-security-token", printable(token)),
            ];
        }
    };
    let service = if iam { "iam" } else { "sts" };
    let date = "20261121T120000Z";
    let scope = format!("20261121/us-east-1/{service}/aws4_request");
    let mut names = "host;x-amz-date".to_owned();
    let mut lines = format!("host:127.0.0.1:9\nx-amz-date:{date}\n");
    if let Some(token) = &token {
        names.push_str(";x-amz-security-token");
        lines.push_str(&format!("x-amz-security-token:{token}\n"));
    }
    let mut pairs: Vec<String> = url::form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| {
            let encode = |text: &str| percent_encoding::utf8_percent_encode(text, UNRESERVED).to_string();
            format!("{}={}", encode(&name), encode(&value))
        })
        .collect();
    pairs.sort_unstable();
    let method = if in_url { "GET" } else { "POST" };
    let canonical = format!("{method}\n/\n{}\n{lines}\n{names}\n{}", pairs.join("&"), hex(&sha256(body.as_bytes())));
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&sha256(canonical.as_bytes())));
    let key = ["20261121", "us-east-1", service, "aws4_request"]
        .iter()
        .fold(format!("AWS4{secret}").into_bytes(), |key, part| hmac(&key, part.as_bytes()));
    let signature = hex(&hmac(&key, to_sign.as_bytes()));
    let mut headers = vec![
        (
            AUTHORIZATION.as_str(),
            format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}"),
        ),
        ("x-amz-date", date.to_owned()),
    ];
    headers.extend(token.map(|token| ("x-amz-security-token", token)));
    headers
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    PKey::hmac(key)
        .and_then(|key| Signer::new(MessageDigest::sha256(), &key)?.sign_oneshot_to_vec(message))
        .expect("HMAC-SHA-256 takes any key and message")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
