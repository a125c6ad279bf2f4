//! What a token lives and dies with.

use jiff::SignedDuration;
use rolegate::identity::Groups;
use rolegate::sandbox::{DEMO_CONNECTOR, DEMO_OIDC_CONNECTOR};
use rolegate::store::tokens::AuthorizationKind;
use rolegate::sys::BearerKind;
use serde_json::json;

use super::{Held, authorization_of, hold, recorded, terminal};
use crate::broker::Broker;
use crate::browser_client::Browser;
use crate::sandboxed::{Person, Sandboxed, answer_as, enter_by, problem};
use crate::sessions::own_browser;

/// Asserts that the session's end took the terminal's token along, and that both are on record with this cause.
async fn assert_ended_with_session(world: &Sandboxed, seq: i64, held: &Held, cause: &str) {
    let answer = held.get(world, "/api/v1/me").await;
    let (sentence, _) = problem(&answer, 401, "token-refused");
    assert!(sentence.starts_with("It is mistyped, expired or revoked."), "{sentence}");
    let (ended, revoked) = (recorded(world, seq, "session.ended").await, recorded(world, seq, "token.revoked").await);
    let [revoked] = &revoked[..] else { panic!("{cause}: {revoked:?}") };
    assert_eq!((&revoked["cause"], &revoked["token"]), (&json!(cause), &json!(held.id)));
    assert!(ended.iter().any(|ended| ended["session"] == revoked["session"] && ended["cause"] == cause), "{ended:?}");
    assert_eq!((&revoked["token_kind"], &revoked["label"]), (&json!("sign-in"), &json!("rolegate on a laptop")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_terminal_was_given_ends_with_its_session_however_the_person_ends_it() {
    let world = Sandboxed::start().await;
    let mut other = world.sign_in_as("asha").await;
    let kept = terminal(&world, &other).await;

    let mut asha = world.sign_in_as("asha").await;
    let held = terminal(&world, &asha).await;
    assert!(held.counts(&world).await);
    let seq = world.broker.head().await.seq;
    asha.post("/sign-out", &[]).await;
    assert_ended_with_session(&world, seq, &held, "signed-out").await;

    let asha = world.sign_in_as("asha").await;
    let held = terminal(&world, &asha).await;
    let seq = world.broker.head().await.seq;
    let id = authorization_of(&world, &asha, AuthorizationKind::SignIn).await.session.unwrap();
    other.post(&format!("/sessions/{id}/end"), &[]).await;
    assert_ended_with_session(&world, seq, &held, "ended-by-person").await;

    let asha = world.sign_in_as("asha").await;
    let held = terminal(&world, &asha).await;
    let seq = world.broker.head().await.seq;
    other.post("/sessions/end-others", &[]).await;
    assert_ended_with_session(&world, seq, &held, "ended-by-person").await;
    assert!(kept.counts(&world).await, "another session's goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_settings_say_so_tokens_outlive_the_session_they_came_from() {
    let world = Sandboxed::with(Broker::wishes().set("tokens.end_at_sign_out", "false")).await;
    let mut asha = world.sign_in_as("asha").await;
    let held = terminal(&world, &asha).await;
    let seq = world.broker.head().await.seq;
    asha.post("/sign-out", &[]).await;
    assert!(held.counts(&world).await);
    assert_eq!(recorded(&world, seq, "token.revoked").await.len(), 0);
    assert_eq!(recorded(&world, seq, "session.ended").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_at_the_provider_ends_what_was_allowed_here_by_either_protocol() {
    let world = Sandboxed::start().await;
    for connector in [DEMO_CONNECTOR, DEMO_OIDC_CONNECTOR] {
        let mut browser = Browser::new();
        let home = enter_by(&mut browser, &world.broker.at("/"), connector, "asha", "password").await;
        let mut asha = Person::new(&world.broker.base, browser, &home);
        let held = terminal(&world, &asha).await;
        let seq = world.broker.head().await.seq;
        let home = asha.browser.get(&world.aws.at("idp")).await;
        let page = asha.browser.submit(&home.form_to("/idp/sign-out")).await;
        asha.browser.go_on(page).await;
        assert_ended_with_session(&world, seq, &held, "identity-provider-logout").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn renewing_a_session_keeps_its_tokens_and_they_end_with_the_new_one() {
    let world = Sandboxed::start().await;
    let mut asha = own_browser(&world, "dev", "asha").await;
    let held = terminal(&world, &asha).await;
    let seq = world.broker.head().await.seq;
    let people = asha.open("/renew?return_to=%2F").await;
    let home = answer_as(&mut asha.browser, &people, "asha", "password").await;
    asha = Person::new(&world.broker.base, asha.browser, &home);
    assert_eq!(recorded(&world, seq, "session.ended").await[0]["cause"], "replaced");
    assert_eq!(recorded(&world, seq, "token.revoked").await.len(), 0);
    assert!(held.counts(&world).await);

    asha.post("/sign-out", &[]).await;
    assert_ended_with_session(&world, seq, &held, "signed-out").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_in_the_same_browser_does_not_go_on_with_the_tokens_of_the_one_before() {
    let world = Sandboxed::start().await;
    let mut asha = own_browser(&world, "dev", "asha").await;
    let held = terminal(&world, &asha).await;
    let seq = world.broker.head().await.seq;
    let people = asha.open("/renew?return_to=%2F").await;
    answer_as(&mut asha.browser, &people, "lin", "password").await;
    assert_eq!(asha.program_get("/api/v1/me").await.json()["subject"], "lin");
    assert_ended_with_session(&world, seq, &held, "replaced").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_left_alone_takes_nothing_with_it() {
    let world = Sandboxed::with(Broker::wishes().set("session.idle_timeout", "15m")).await;
    let asha = world.sign_in_as("asha").await;
    let held = terminal(&world, &asha).await;
    world.clock.advance_secs(2 * 3_600);
    let seq = world.broker.head().await.seq;
    world.broker.app.ground.store.remove_expired(world.broker.now()).await.unwrap();
    problem(&asha.program_get("/api/v1/me").await, 401, "sign-in-required");
    assert!(held.counts(&world).await);
    assert_eq!(recorded(&world, seq, "token.revoked").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_sign_in_gives_tokens_its_groups_but_not_its_strength() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let mut authorization = authorization_of(&world, &asha, AuthorizationKind::SignIn).await;
    authorization.identity.groups = Groups::Complete { values: vec!["of-yesterday".to_owned()] };
    let allowed = authorization.identity.authentication.clone();
    let held = hold(&world, &authorization, BearerKind::Access).await;
    let me = async || held.get(&world, "/api/v1/me").await.json();
    assert_eq!(me().await["groups"], json!(["of-yesterday"]));

    world.clock.advance_secs(3_600);
    let mut browser = Browser::new();
    enter_by(&mut browser, &world.broker.at("/"), DEMO_CONNECTOR, "asha", "security-key").await;
    let me = me().await;
    assert_eq!(me["groups"], json!(["all-staff", "engineering", "platform-admins", "oncall-platform"]));
    assert_eq!(me["session"]["authenticated"], json!(allowed.instant));
    assert_eq!(me["session"]["authn_context"], json!(allowed.context_class));
    let stored = world.broker.app.ground.store.all_authorizations().await.unwrap();
    assert_eq!(stored[0].vouched.as_millisecond(), world.broker.now().as_millisecond());

    // The same person by another way in: rights do not travel over a link.
    let vouched = stored[0].vouched;
    world.clock.advance_secs(60);
    let mut browser = Browser::new();
    enter_by(&mut browser, &world.broker.at("/"), DEMO_OIDC_CONNECTOR, "asha", "password").await;
    assert_eq!(world.broker.app.ground.store.all_authorizations().await.unwrap()[0].vouched, vouched);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_is_switched_off_leaves_its_tokens_no_role() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let held = terminal(&world, &asha).await;
    let roles = async || held.get(&world, "/api/v1/roles").await.json()["roles"].as_array().unwrap().len();
    assert!(roles().await > 0);
    crate::sessions::apply(&world, "enabled = false", "").await;
    assert_eq!(roles().await, 0);
    crate::sessions::apply(&world, "", "").await;
    assert!(roles().await > 0, "as for a session");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_is_refused_and_then_removed() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let held = terminal(&world, &asha).await;
    let mut long = authorization_of(&world, &asha, AuthorizationKind::Personal).await;
    long.expires = world.broker.now() + SignedDuration::from_hours(24);
    let long = hold(&world, &long, BearerKind::Personal).await;
    world.clock.advance_secs(12 * 3_600);
    let seq = world.broker.head().await.seq;
    problem(&held.get(&world, "/api/v1/me").await, 401, "token-refused");
    assert!(world.broker.events_after(seq).await.is_empty(), "tokens end like that every day");
    assert_eq!((world.broker.rows("token_authorization").await, world.broker.rows("token").await), (2, 2));
    world.broker.app.ground.store.remove_expired(world.broker.now()).await.unwrap();
    assert_eq!((world.broker.rows("token_authorization").await, world.broker.rows("token").await), (1, 1));
    assert!(long.counts(&world).await);
}
