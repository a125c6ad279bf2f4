//! Which tokens count, on what request, and what is said and recorded where one does not.

use jiff::SignedDuration;
use reqwest::RequestBuilder;
use rolegate::store::tokens::{AuthorizationKind, add_token};
use rolegate::sys::{Bearer, BearerKind, SystemRng};
use serde_json::json;

use super::{Held, authorization_of, hold, recorded, terminal};
use crate::broker::Broker;
use crate::sandboxed::{Answer, Sandboxed, client, problem, send};

const MISTYPED: &str = "It is mistyped, expired or revoked. Sign in again with `rolegate login` or `aws sso login`, or \
                        make a new one on the tokens page.";

/// Asserts the refusal that says nothing about which tokens there are.
fn assert_refused(answer: &Answer) -> String {
    let (sentence, request) = problem(answer, 401, "token-refused");
    assert_eq!(sentence, MISTYPED);
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"rolegate\", error=\"invalid_token\"");
    assert_eq!(answer.header("cache-control"), "no-store");
    request
}

fn me(world: &Sandboxed) -> RequestBuilder {
    client().get(world.broker.at("/api/v1/me"))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_whole_bearer_token_in_the_header_counts() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let held = terminal(&world, &asha).await;
    let text = held.text.as_str();
    for good in [format!("Bearer {text}"), format!("bearer {text}"), format!("BEARER  {text}")] {
        assert_eq!(send(me(&world).header("authorization", &good)).await.status, 200, "{good}");
    }
    let mut other = text.to_owned();
    other.replace_range(20..21, if &text[20..21] == "x" { "y" } else { "x" });
    let seq = world.broker.head().await.seq;
    for bad in [
        text.to_owned(),
        format!("Basic {text}"),
        format!("Token {text}"),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Bearer {other}"),
        format!("Bearer {}", &text[..52]),
        format!("Bearer {text}x"),
        format!("Bearer {text} {text}"),
        format!("Bearer {}", text.replace("rga_", "rgp_")),
        format!("Bearer {}", asha.session()),
        format!("Bearer {}", "A".repeat(10_000)),
    ] {
        assert_refused(&send(me(&world).header("authorization", &bad)).await);
    }
    let twice = me(&world).header("authorization", format!("Bearer {text}"));
    assert_refused(&send(twice.header("authorization", format!("Bearer {text}"))).await);
    assert!(world.broker.events_after(seq).await.is_empty(), "strangers write nothing into the log");

    // In an address it would end up in logs and histories.
    for name in ["access_token", "token", "bearer", "authorization"] {
        let answer = send(client().get(world.broker.at(&format!("/api/v1/me?{name}={text}")))).await;
        assert!(matches!(answer.status, 400 | 401), "{name}: {}", answer.body);
        assert!(!answer.body.contains(text), "{}", answer.body);
    }
    let in_cookie = send(me(&world).header("cookie", format!("rolegate={text}"))).await;
    problem(&in_cookie, 401, "sign-in-required");
    assert_eq!(in_cookie.header("www-authenticate"), "Bearer realm=\"rolegate\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_no_bearer_token() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let authorization = authorization_of(&world, &asha, AuthorizationKind::SignIn).await;
    let held = hold(&world, &authorization, BearerKind::Refresh).await;
    assert_refused(&held.get(&world, "/api/v1/me").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_names_a_token_stands_or_falls_with_it_whatever_its_cookie_says() {
    let world = Sandboxed::start().await;
    let (asha, omar) = (world.sign_in_as("asha").await, world.sign_in_as("omar").await);
    let held = terminal(&world, &asha).await;
    let both =
        |authorization: String| send(me(&world).header("cookie", omar.cookie()).header("authorization", authorization));
    assert_eq!(both(format!("Bearer {}", held.text)).await.json()["subject"], "asha");
    let unknown = Bearer::generate(BearerKind::Access, &SystemRng);
    for bad in [format!("Bearer {}", unknown.expose_secret()), "Basic b21hcjpvbWFy".to_owned(), String::new()] {
        assert_refused(&both(bad).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_counts_only_from_the_networks_it_was_made_for() {
    let world = Sandboxed::with(Broker::wishes().set("web.trusted_proxies", "127.0.0.1")).await;
    let asha = world.sign_in_as("asha").await;
    let mut authorization = authorization_of(&world, &asha, AuthorizationKind::Personal).await;
    authorization.networks = vec!["198.51.100.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    let held = hold(&world, &authorization, BearerKind::Personal).await;
    let from = |address: &str| send(me(&world).bearer_auth(&held.text).header("x-forwarded-for", address));
    for inside in ["198.51.100.7", "::ffff:198.51.100.8", "2001:db8:1::1"] {
        assert_eq!(from(inside).await.status, 200, "{inside}");
    }
    for outside in ["198.51.101.7", "2001:db9::1", "127.0.0.1"] {
        world.clock.advance_secs(61);
        let (sentence, request) = problem(&from(outside).await, 401, "token-refused");
        assert_eq!(sentence, "This token may not be used from your network address.");
        let (kind, body) = world.events_of(&request).await.remove(0);
        assert_eq!((kind.as_str(), &body["cause"]), ("token.refused", &json!("token-network")));
        assert_eq!((&body["token"], &body["client_address"]), (&json!(held.id), &json!(outside)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_person_has_not_signed_in_for_long_waits_until_they_do() {
    let world = Sandboxed::with(Broker::wishes().set("tokens.vouched_within_days", "7")).await;
    let mut asha = world.sign_in_as("asha").await;
    let mut authorization = authorization_of(&world, &asha, AuthorizationKind::Personal).await;
    authorization.expires = world.broker.now() + SignedDuration::from_hours(90 * 24);
    let held = hold(&world, &authorization, BearerKind::Personal).await;
    world.clock.advance_secs(7 * 24 * 3_600 - 60);
    assert!(held.counts(&world).await);
    world.clock.advance_secs(120);
    let (sentence, request) = problem(&held.get(&world, "/api/v1/me").await, 401, "token-refused");
    let says = "It is too long since you last signed in with a browser. Sign in once, and this token counts again.";
    assert_eq!(sentence, says);
    assert_eq!(world.events_of(&request).await[0].1["cause"], "token-not-vouched");

    // Others come every day; that does not help.
    world.sign_in_as("omar").await;
    assert!(!held.counts(&world).await);
    asha = world.sign_in_as("asha").await;
    assert!(held.counts(&world).await);
    world.clock.advance_secs(8 * 24 * 3_600);
    let mut lately = world.sign_in_as("omar").await;
    drop(asha);
    assert!(!lately.open("/tokens").await.body.contains("Does not count now."));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refused_tokens_leaves_one_event_a_minute() {
    let world = Sandboxed::with(Broker::wishes().set("tokens.personal", "false")).await;
    let asha = world.sign_in_as("asha").await;
    let authorization = authorization_of(&world, &asha, AuthorizationKind::Personal).await;
    let held = hold(&world, &authorization, BearerKind::Personal).await;
    let seq = world.broker.head().await.seq;
    for _ in 0..100 {
        assert!(!held.counts(&world).await);
    }
    assert_eq!(recorded(&world, seq, "token.refused").await.len(), 1);
    world.clock.advance_secs(60);
    assert!(!held.counts(&world).await);
    let refused = recorded(&world, seq, "token.refused").await;
    assert_eq!((refused.len(), &refused[1]["unsaid"]), (2, &json!(99)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_ends_before_what_it_was_allowed_by() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let authorization = authorization_of(&world, &asha, AuthorizationKind::SignIn).await;
    let first = hold(&world, &authorization, BearerKind::Refresh).await;
    let access = Bearer::generate(BearerKind::Access, &SystemRng);
    let now = world.broker.now();
    let mut tx = world.broker.app.ground.store.begin().await.unwrap();
    let until = now + SignedDuration::from_hours(1);
    add_token(&mut tx, &access.hash(), BearerKind::Access, &first.id, now, until).await.unwrap();
    tx.commit().await.unwrap();
    let held = Held { text: access.expose_secret().to_owned(), id: first.id };
    assert!(held.counts(&world).await);
    world.clock.advance_secs(3_600);
    assert_refused(&held.get(&world, "/api/v1/me").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_refused_by_another_replica_at_its_next_request() {
    let world = Sandboxed::start().await;
    let other = Broker::wishes().on_data_of(&world.broker).clock(&world.clock).start().await;
    let asha = world.sign_in_as("asha").await;
    let (held, kept) = (terminal(&world, &asha).await, terminal(&world, &asha).await);
    let there = async |held: &Held| send(client().get(other.at("/api/v1/me")).bearer_auth(&held.text)).await.status;
    for _ in 0..3 {
        assert_eq!((there(&held).await, held.counts(&world).await), (200, true));
    }
    let revoked = asha.program_post(&format!("/tokens/{}/revoke", held.id), &[]).await;
    assert_eq!(revoked.status, 303, "{}", revoked.body);
    assert_eq!((there(&held).await, there(&kept).await), (401, 200));
    asha.program_post("/sign-out", &[]).await;
    assert_eq!(there(&kept).await, 401);
}
