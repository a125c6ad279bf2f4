//! What a sign-in leaves behind, and when it ends.

use jiff::Timestamp;
use rolegate::sys::{Clock, ManualClock};
use rolegate::web::problem::Kind;

use super::{Company, catalog, clock, is_signed_in};
use crate::broker::Broker;
use crate::browser_client::Browser;

/// The name of the session cookie where there is no TLS.
const COOKIE: &str = "rolegate";

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sign_in_has_a_new_session_and_the_first_is_gone() {
    let company = Company::with("").await;
    let mut bob = company.signed_in("bob").await;
    let mut before = Browser::with_cookies_of(&bob);
    let answer = company.go(&mut bob).await.form_with("SAMLResponse");
    assert_eq!(bob.submit(&answer).await.status, 200);
    assert_ne!(bob.cookie("127.0.0.1", COOKIE), before.cookie("127.0.0.1", COOKIE));
    let events = company.broker.events().await;
    let [.., (ended, why), (begun, _)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(
        (ended.as_str(), &why["cause"], begun.as_str()),
        ("session.ended", &"replaced".into(), "sign-in.succeeded")
    );
    assert!(is_signed_in(&company.broker, &mut bob).await);
    assert!(!is_signed_in(&company.broker, &mut before).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_cookie_is_no_secret_of_the_database_and_none_of_its_own_making_counts() {
    let company = Company::with("").await;
    let bob = company.signed_in("bob").await;
    let cookie = bob.cookie("127.0.0.1", COOKIE).unwrap();
    assert_eq!(cookie.len(), 43);
    let disk = company.broker.bytes_on_disk();
    assert!(!disk.windows(cookie.len()).any(|bytes| bytes == cookie.as_bytes()), "the cookie is on disk in clear");
    let client = reqwest::Client::new();
    for made_up in ["A".repeat(43), String::new(), "x".repeat(5_000), cookie[..42].to_owned()] {
        let request = client.get(company.broker.at("/api/v1/me")).header("cookie", format!("{COOKIE}={made_up}"));
        assert_eq!(request.send().await.unwrap().status(), 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_for_everybody_who_has_its_cookie() {
    let company = Company::with("").await;
    let broker = &company.broker;
    let mut bob = company.signed_in("bob").await;
    let mut copy = Browser::with_cookies_of(&bob);
    let home = bob.get(&broker.at("/")).await;
    let form = home.form_to("/sign-out");
    let forged = bob.submit(&form.clone().set("csrf", "x")).await;
    assert!(forged.status == 403 && forged.body.contains(Kind::CrossSite.title()), "{}", forged.body);
    assert!(is_signed_in(broker, &mut bob).await);

    bob.get(&broker.at("/")).await;
    let page = bob.submit(&form).await;
    assert_eq!((page.status, page.url.path()), (200, "/sign-out"), "{}", page.body);
    assert_eq!(broker.last_event("session.ended").await["cause"], "signed-out");
    assert_eq!(bob.cookie("127.0.0.1", COOKIE), None);
    assert!(!is_signed_in(broker, &mut bob).await && !is_signed_in(broker, &mut copy).await);
    assert_eq!(bob.get(&broker.at("/")).await.url.path(), "/sign-in", "the back button shows no roles");
}

/// Clicks every so often until the session has ended; says after how many seconds.
async fn ended_after(company: &Company, clock: &ManualClock, browser: &mut Browser, step: i64, most: i64) -> i64 {
    let mut passed = 0;
    while passed < most {
        clock.advance_secs(step);
        passed += step;
        if !is_signed_in(&company.broker, browser).await {
            // The peer's clock did not move: to sign in again, ours has to be near it.
            clock.advance_secs(-passed);
            return passed;
        }
    }
    panic!("the session goes on after {passed} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_nobody_uses_ends_after_an_hour_and_one_in_use_goes_on() {
    let clock = clock();
    let company = Company::wished(Broker::wishes().clock(&clock), "").await;
    let mut bob = company.signed_in("bob").await;
    for _ in 0..3 {
        clock.advance_secs(3_599);
        assert!(is_signed_in(&company.broker, &mut bob).await);
    }
    clock.advance_secs(3_600);
    assert!(!is_signed_in(&company.broker, &mut bob).await);
    let page = bob.get(&company.broker.at("/")).await;
    assert_eq!(page.url.path(), "/sign-in");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_session_ends_in_time_however_busy_it_is() {
    let clock = clock();
    let wishes = Broker::wishes().clock(&clock).set("session.absolute_timeout", "2h");
    let company = Company::wished(wishes, "").await;
    let mut bob = company.signed_in("bob").await;
    assert_eq!(ended_after(&company, &clock, &mut bob, 600, 8_000).await, 7_200);

    company.broker.apply(&catalog(&company.peer, "session_absolute = \"30m\"\nsession_idle = \"5m\"")).await;
    let mut bob = company.signed_in("bob").await;
    assert_eq!(ended_after(&company, &clock, &mut bob, 200, 8_000).await, 1_800);
    let mut bob = company.signed_in("bob").await;
    assert_eq!(ended_after(&company, &clock, &mut bob, 300, 8_000).await, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_the_one_at_the_provider_does() {
    let clock = clock();
    let company = Company::wished(Broker::wishes().clock(&clock).set("session.absolute_timeout", "24h"), "").await;
    let mut bob = company.signed_in("bob").await;
    let expires: Timestamp = company.me(&mut bob).await["session"]["expires"].as_str().unwrap().parse().unwrap();
    let left = expires.duration_since(clock.now()).as_secs();
    assert!((28_500..=28_860).contains(&left), "SimpleSAMLphp says eight hours: {left}");
    let ended = ended_after(&company, &clock, &mut bob, 1_800, 40_000).await;
    assert!((27_000..=30_600).contains(&ended), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signed_in_through_a_connector_that_was_disabled_may_use_nothing_at_the_next_click() {
    let company = Company::with("").await;
    let mut bob = company.signed_in("bob").await;
    assert!(bob.get(&company.broker.at("/")).await.body.contains("ReadOnly"));
    company.broker.apply(&catalog(&company.peer, "enabled = false")).await;
    assert!(!bob.get(&company.broker.at("/")).await.body.contains("ReadOnly"));
    let roles = bob.get(&company.broker.at("/api/v1/roles")).await;
    assert!(roles.body.contains("\"roles\":[]"), "{}", roles.body);
}
