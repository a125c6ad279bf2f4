//! Between the reply and the session: the reply was believed, and much may still happen.

use rolegate::web::problem::Kind;

use super::{catalog_of, clock};
use crate::broker::Broker;
use crate::wire::{self, Begun, Wire};

async fn apply(broker: &Broker, more: &str) {
    broker.apply(&catalog_of(&wire::connector(&broker.folder(), more))).await;
}

/// A reply that was believed, with this much more in its AuthnStatement: where it leads, and who began.
async fn believed(broker: &Broker, wire: &Wire, session_seconds: i64) -> (String, Begun) {
    let begun = wire.begin().await;
    let forge = wire.forge(Some(&begun.request_id), broker.now());
    let reply = forge.signed(|parts| {
        parts.assertion_id = format!("_to{}", begun.request_id);
        let end = format!(" SessionNotOnOrAfter=\"{}\" SessionIndex", forge.at(session_seconds));
        parts.authn = parts.authn.replacen(" SessionIndex", &end, 1);
    });
    let accepted = wire.post(&reply, &begun.relay_state).await;
    assert_eq!(accepted.status, 303, "{}", accepted.body);
    (accepted.header("location").unwrap().to_owned(), begun)
}

async fn refused(broker: &Broker, wire: &Wire, ticket: &str, cookie: &str, kind: Kind, cause: &str) {
    let answer = wire.get(ticket, cookie).await;
    assert!(answer.signs_nobody_in(), "{answer:?}");
    assert_eq!((answer.status, answer.problem().as_str()), (kind.status().as_u16(), kind.slug()));
    assert_eq!(broker.last_event("sign-in.refused").await["cause"], cause);
    assert_eq!(wire.me(cookie).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_believed_reply_counts_for_two_minutes_while_its_connector_and_session_last() {
    let clock = clock();
    let broker = Broker::wishes().clock(&clock).start().await;
    apply(&broker, "").await;
    let wire = Wire::to(&broker.base).await;

    let (ticket, begun) = believed(&broker, &wire, 3_600).await;
    clock.advance_secs(119);
    assert_eq!(wire.get(&ticket, &begun.cookie).await.status, 303);
    refused(&broker, &wire, &ticket, &begun.cookie, Kind::SignInExpired, "no-ticket").await;

    let (ticket, begun) = believed(&broker, &wire, 3_600).await;
    clock.advance_secs(120);
    refused(&broker, &wire, &ticket, &begun.cookie, Kind::SignInExpired, "no-ticket").await;

    let (ticket, begun) = believed(&broker, &wire, 60).await;
    clock.advance_secs(60);
    let cause = "session-ended-at-identity-provider";
    refused(&broker, &wire, &ticket, &begun.cookie, Kind::SignInExpired, cause).await;

    let (ticket, begun) = believed(&broker, &wire, 3_600).await;
    apply(&broker, "enabled = false").await;
    refused(&broker, &wire, &ticket, &begun.cookie, Kind::ConnectorUnknown, "connector-gone").await;
    apply(&broker, "").await;
    refused(&broker, &wire, &ticket, &begun.cookie, Kind::SignInExpired, "no-ticket").await;

    // A browser without the cookie, and one with another.
    for cookie in ["", "rolegate-browser=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let (ticket, _) = believed(&broker, &wire, 3_600).await;
        refused(&broker, &wire, &ticket, cookie, Kind::SignInOtherBrowser, "other-browser").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_no_longer_than_the_one_at_the_provider_to_the_second() {
    let clock = clock();
    let broker = Broker::wishes().clock(&clock).start().await;
    apply(&broker, "").await;
    let wire = Wire::to(&broker.base).await;
    let (ticket, begun) = believed(&broker, &wire, 600).await;
    let session = wire.get(&ticket, &begun.cookie).await.session_cookie();
    clock.advance_secs(599);
    assert_eq!(wire.me(&session).await, 200);
    clock.advance_secs(1);
    assert_eq!(wire.me(&session).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_of_a_sign_in_is_counted_against_the_address_it_comes_from() {
    let limits = Broker::wishes().set("limits.sign_in_per_minute", "1").set("limits.sign_in_burst", "4");
    let broker = limits.start().await;
    apply(&broker, "idp_initiated = true").await;
    let wire = Wire::to(&broker.base).await;
    let cookie = wire.begin().await.cookie;
    let yes = || wire.client.post(wire.at("/saml/forge/finish")).header("cookie", &cookie).form(&[("ticket", "x")]);
    assert_eq!(wire.send(yes()).await.problem(), "cross-site");
    assert_eq!(wire.get("/saml/forge/finish?ticket=x", "").await.problem(), "sign-in-expired");
    assert_eq!(wire.post("x", "x").await.status, 403);
    let known = broker.head().await;
    for answer in [
        wire.post("x", "x").await,
        wire.get("/saml/forge/start", "").await,
        wire.get("/saml/forge/finish?ticket=x", "").await,
        wire.send(yes()).await,
    ] {
        assert_eq!((answer.status, answer.problem().as_str()), (429, "too-many-requests"), "{answer:?}");
        assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    }
    assert_eq!(broker.head().await, known, "a flood leaves no trail of events");
}
