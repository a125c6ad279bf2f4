//! What arrives at the back channel: logout tokens, honest and forged.

use std::sync::Arc;

use rolegate::sys::{Clock as _, ManualClock, SystemClock};
use serde_json::{Value, json};

use super::forge::{Sign, Token, Who, with_last_member};
use super::judged::recorded;
use super::play::{CLIENT, SUBJECT, Scene, catalog};
use super::provider::Provider;
use crate::broker::Broker;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const SESSION: &str = "session-at-provider";

/// An honest one for the session of [`Reply`](super::play::Reply).
fn logout_token(scene: &Scene, now: jiff::Timestamp, jti: &str) -> Token {
    let seconds = now.as_second();
    let mut token = Token::honest(json!({
        "iss": scene.provider.base, "aud": CLIENT, "iat": seconds, "exp": seconds + 120, "jti": jti,
        "sub": SUBJECT, "sid": SESSION, "events": { EVENT: {} },
    }));
    token.header["typ"] = json!("logout+jwt");
    token
}

struct Case {
    name: &'static str,
    cause: &'static str,
    lie: fn(&mut Token, i64),
}

fn case(name: &'static str, cause: &'static str, lie: fn(&mut Token, i64)) -> Case {
    Case { name, cause, lie }
}

fn cases() -> Vec<Case> {
    vec![
        case("signed by a stranger", "signature-wrong", |t, _| t.sign = Sign::With("RS256", Who::Stranger)),
        case("not signed", "token-unsigned", |t, _| {
            t.header["alg"] = json!("none");
            t.sign = Sign::Bytes(Vec::new());
        }),
        case("signed with the public key as a secret", "algorithm-not-allowed", |t, _| {
            t.header["alg"] = json!("HS256");
            t.sign = Sign::Hmac(Who::Provider.public_pem());
        }),
        case("a key nobody published", "key-unknown", |t, _| {
            *t = t.clone().signed("RS256", Who::Stranger, "mine").with_header("jwk", Who::Stranger.jwk("mine"));
        }),
        case("an ID token", "logout-event-missing", |t, _| {
            *t = t.clone().without("events").with("nonce", json!("n")).without_header("typ");
        }),
        case("an access token", "token-type-wrong", |t, _| t.header["typ"] = json!("at+jwt")),
        case("an ID token with the event in it", "logout-nonce-present", |t, _| {
            *t = t.clone().with("nonce", json!("n"));
        }),
        case("a nonce that is null", "logout-nonce-present", |t, _| *t = t.clone().with("nonce", Value::Null)),
        case("another event", "logout-event-missing", |t, _| {
            *t = t.clone().with("events", json!({ "http://schemas.openid.net/event/other": {} }));
        }),
        case("an event that is a text", "logout-event-missing", |t, _| *t = t.clone().with("events", json!(EVENT))),
        case("an event that is no object", "logout-event-missing", |t, _| {
            *t = t.clone().with("events", json!({ EVENT: "yes" }));
        }),
        case("nobody to sign out", "logout-names-nobody", |t, _| *t = t.clone().without("sub").without("sid")),
        case("no identifier", "logout-id-missing", |t, _| *t = t.clone().without("jti")),
        case("an empty identifier", "logout-id-missing", |t, _| *t = t.clone().with("jti", json!(""))),
        case("another client", "audience-wrong", |t, _| *t = t.clone().with("aud", json!("another-client"))),
        case("another provider", "issuer-wrong", |t, _| *t = t.clone().with("iss", json!("https://evil.example"))),
        case("over", "expired", |t, now| *t = t.clone().with("iat", json!(now - 400)).with("exp", json!(now - 181))),
        case("no end", "claim-missing", |t, _| *t = t.clone().without("exp")),
        case("issued tomorrow", "issued-in-future", |t, now| {
            *t = t.clone().with("iat", json!(now + 86_400)).with("exp", json!(now + 86_500));
        }),
        case("issued yesterday", "issued-long-ago", |t, now| *t = t.clone().with("iat", json!(now - 86_400))),
        case("no beginning", "claim-missing", |t, _| *t = t.clone().without("iat")),
        case("two subjects", "json-duplicate-member", |t, _| {
            t.claims_text = Some(with_last_member(&t.claims, "\"sub\":\"admin\""));
        }),
        case("a header that must be understood", "token-header-critical", |t, _| t.header["crit"] = json!(["exp"])),
    ]
}

async fn stage() -> (Broker, Arc<ManualClock>, Scene, Scene) {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let broker = Broker::wishes().clock(&clock).start().await;
    let elsewhere = Provider::start().await;
    let one = Scene::new(&broker, "one", &elsewhere.base).await;
    let other = Scene::new(&broker, "other", &elsewhere.base).await;
    broker.apply(&catalog(&[one.toml("", ""), other.toml("", "")].concat())).await;
    (broker, clock, one, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_forged_logout_token_is_refused_for_its_true_cause_and_ends_nothing() {
    let (broker, _clock, one, other) = stage().await;
    let session = one.sign_in(broker.now(), |_| {}).await;
    let mut wrong = Vec::new();
    for (index, case) in cases().into_iter().enumerate() {
        let known = recorded(&broker, "one").await.len();
        let mut token = logout_token(&one, broker.now(), &format!("id{index}"));
        (case.lie)(&mut token, broker.now().as_second());
        let answer = one.log_out(&[("logout_token", &token.compact())]).await;
        let found = recorded(&broker, "one").await.split_off(known);
        if answer.status != 400 || found != [("logout.refused".to_owned(), case.cause.to_owned())] {
            wrong.push(format!("{}: {} {} {found:?} instead of {}", case.name, answer.status, answer.body, case.cause));
        }
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{}", case.name);
        assert_eq!(one.me(&session).await.status, 200, "{} ended the session", case.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // One that is honest ends sessions of its own connector only.
    let foreign = other.log_out(&[("logout_token", &logout_token(&other, broker.now(), "foreign").compact())]).await;
    assert_eq!((foreign.status, one.me(&session).await.status), (200, 200), "{}", foreign.body);
    let through_another = other.log_out(&[("logout_token", &logout_token(&one, broker.now(), "id").compact())]).await;
    assert_eq!((through_another.status, one.me(&session).await.status), (400, 200));
    let answer = one.log_out(&[("logout_token", &logout_token(&one, broker.now(), "honest").compact())]).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{}", answer.body);
    assert_eq!(one.me(&session).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_token_counts_once() {
    let (broker, clock, one, _) = stage().await;
    one.sign_in(broker.now(), |_| {}).await;
    let token = logout_token(&one, broker.now(), "once").compact();
    assert_eq!(one.log_out(&[("logout_token", &token)]).await.status, 200);
    let session = one.sign_in(broker.now(), |_| {}).await;
    clock.advance_secs(1);
    let again = one.log_out(&[("logout_token", &token)]).await;
    assert_eq!(again.status, 400, "{}", again.body);
    assert_eq!(recorded(&broker, "one").await.pop().unwrap(), ("logout.refused".to_owned(), "replayed".to_owned()));
    assert_eq!(one.me(&session).await.status, 200, "it was about the session before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_token_names_a_session_or_a_person() {
    let (broker, _clock, one, _) = stage().await;
    let in_session = async |sid: &'static str| one.sign_in(broker.now(), |reply| reply.claim("sid", json!(sid))).await;
    let (first, second) = (in_session("first").await, in_session("second").await);
    let by_session = logout_token(&one, broker.now(), "1").without("sub").with("sid", json!("first"));
    assert_eq!(one.log_out(&[("logout_token", &by_session.compact())]).await.status, 200);
    assert_eq!((one.me(&first).await.status, one.me(&second).await.status), (401, 200));
    let of_another =
        logout_token(&one, broker.now(), "2").with("sub", json!("somebody else")).with("sid", json!("second"));
    let _ = one.log_out(&[("logout_token", &of_another.compact())]).await;
    assert_eq!(one.me(&second).await.status, 200, "both must fit");
    let third = in_session("third").await;
    let by_person = logout_token(&one, broker.now(), "3").without("sid");
    assert_eq!(one.log_out(&[("logout_token", &by_person.compact())]).await.status, 200);
    assert_eq!((one.me(&second).await.status, one.me(&third).await.status), (401, 401));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_logout_token_at_all_is_refused() {
    let (broker, _clock, one, _) = stage().await;
    let token = logout_token(&one, broker.now(), "honest").compact();
    let long = "A".repeat(2_000_000);
    for fields in [
        vec![],
        vec![("logout_token", "")],
        vec![("logout_token", "not a token")],
        vec![("logout_token", long.as_str())],
        vec![("logout_token", token.as_str()), ("logout_token", token.as_str())],
        vec![("id_token", token.as_str())],
    ] {
        let answer = one.log_out(&fields).await;
        assert!(matches!(answer.status, 400 | 413), "{fields:?}: {answer:?}");
        let kind = recorded(&broker, "one").await.pop().map(|(kind, _)| kind);
        assert_eq!(kind.as_deref(), Some("logout.refused"), "{:?}", fields.first());
    }
}
