//! Making a token by hand, seeing it, and taking it back.

use regex::Regex;
use rolegate::sandbox::DEMO_CONNECTOR;
use rolegate::store::tokens::AuthorizationKind;
use rolegate::sys::{Bearer, BearerKind};
use serde_json::json;

use super::{Held, authorization_of, hold, recorded};
use crate::broker::Broker;
use crate::browser_client::Page;
use crate::sandboxed::{Person, Sandboxed, answer_as, client, plain, problem, send, support_id};

/// The token that a page shows, and its id.
async fn shown(world: &Sandboxed, page: &Page) -> Held {
    assert_eq!(page.status, 200, "{}", page.body);
    assert_eq!(page.headers["cache-control"], "no-store");
    let found = Regex::new(r#"<code id="token">([^<]+)</code>"#).unwrap();
    let text = found.captures(&page.body).unwrap_or_else(|| panic!("no token in {}", page.body))[1].to_owned();
    assert_eq!(Bearer::parse(&text).map(|token| token.kind()), Some(BearerKind::Personal), "{text}");
    let id = world.broker.last_event("token.issued").await["token"].as_str().unwrap().to_owned();
    Held { text, id }
}

/// Makes a token on the page with these fields changed.
async fn make(world: &Sandboxed, person: &mut Person, name: &str, fields: &[(&str, &str)]) -> Held {
    let page = try_make(person, name, fields).await;
    shown(world, &page).await
}

async fn try_make(person: &mut Person, name: &str, fields: &[(&str, &str)]) -> Page {
    let page = person.open("/tokens").await;
    let mut form = page.form_to("/tokens").set("name", name).set("days", "30").set("access", "all").set("networks", "");
    for (field, value) in fields {
        form = form.set(field, value);
    }
    person.browser.submit(&form).await
}

/// Posts to the API as a program does.
async fn issue(world: &Sandboxed, held: &Held, role: &str) -> crate::sandboxed::Answer {
    let address = world.broker.at(&format!("/api/v1/roles/{role}/credentials"));
    send(client().post(address).bearer_auth(&held.text)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_makes_a_token_uses_it_sees_its_use_and_takes_it_back() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let home = asha.open("/").await;
    let page = asha.browser.follow(&home.link("/tokens")).await;
    assert!(page.body.contains("No program holds anything for you."), "{}", page.body);

    let held = make(&world, &mut asha, "Nightly <backup>", &[]).await;
    let event = world.broker.last_event("token.issued").await;
    assert_eq!((&event["token_kind"], &event["label"]), (&json!("personal"), &json!("Nightly <backup>")));
    assert_eq!((&event["scope"], &event["networks"]), (&json!("read issue"), &json!([])));
    assert_eq!(held.get(&world, "/api/v1/me").await.json()["subject"], "asha");
    assert_eq!(issue(&world, &held, "111122223333/ReadOnly").await.status, 200);

    let page = asha.open("/tokens").await;
    for part in
        ["Nightly &#60;backup&#62;", "everything you may use", "just now</time> from 127.0.0.1", "Personal token"]
    {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    assert!(!page.body.contains(&held.text) && !page.body.contains(&held.text[4..40]), "shown once");

    let done = asha.browser.submit(&page.form_to(&format!("/tokens/{}/revoke", held.id))).await;
    assert_eq!((done.url.path(), done.url.query()), ("/tokens", Some("revoked=1")));
    assert!(
        done.body.contains("That token no longer counts.") && !done.body.contains("Nightly &#60;"),
        "{}",
        done.body
    );
    let event = world.broker.last_event("token.revoked").await;
    assert_eq!((&event["cause"], &event["token"]), (&json!("revoked-by-person"), &json!(held.id)));
    problem(&held.get(&world, "/api/v1/me").await, 401, "token-refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_outlives_the_session_it_was_made_in() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let held = make(&world, &mut asha, "cron", &[]).await;
    asha.post("/sign-out", &[]).await;
    assert!(held.counts(&world).await);
    world.clock.advance_secs(20 * 24 * 3_600);
    assert_eq!(issue(&world, &held, "111122223333/ReadOnly").await.status, 200);
    world.clock.advance_secs(10 * 24 * 3_600);
    problem(&held.get(&world, "/api/v1/me").await, 401, "token-refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_does_what_it_was_made_for_and_no_more() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let names = async |held: &Held| {
        let roles = held.get(&world, "/api/v1/roles").await.json();
        let roles = roles["roles"].as_array().unwrap().clone();
        roles
            .iter()
            .map(|role| format!("{}/{}", role["account"].as_str().unwrap(), role["role"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    let one = [("access", "roles"), ("role:111122223333/ReadOnly", "on")];
    let limited = make(&world, &mut asha, "limited", &one).await;
    assert_eq!(world.broker.last_event("token.issued").await["roles"], json!(["111122223333/ReadOnly"]));
    assert_eq!(names(&limited).await, ["111122223333/ReadOnly"]);
    assert_eq!(issue(&world, &limited, "111122223333/ReadOnly").await.status, 200);
    let refused = issue(&world, &limited, "111122223333/Admin").await;
    let (sentence, _) = problem(&refused, 403, "token-scope");
    assert!(sentence.starts_with("You may use the role, but not with this token."), "{sentence}");
    assert_eq!(world.broker.last_event("issue.denied").await["cause"], "token-scope");
    let page = asha.open("/tokens").await;
    assert!(page.body.contains("Payments production (111122223333) ReadOnly"), "{}", page.body);

    let reading = make(&world, &mut asha, "reading", &[("access", "read")]).await;
    assert!(names(&reading).await.len() > 1);
    problem(&issue(&world, &reading, "111122223333/ReadOnly").await, 403, "token-scope");
    let console = world.broker.at("/api/v1/roles/111122223333/ReadOnly/console");
    problem(&send(client().post(console).bearer_auth(&reading.text)).await, 403, "token-scope");
    // The same token where pages are: it is no session.
    for path in ["/", "/tokens", "/sessions"] {
        problem(&reading.get(&world, path).await, 401, "sign-in-required");
    }
    let more = send(client().post(world.broker.at("/tokens")).bearer_auth(&limited.text).form(&[("name", "x")])).await;
    problem(&more, 401, "sign-in-required");
    assert_eq!(world.broker.rows("token").await, 2, "a token makes no tokens");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_beside_the_field_and_what_was_typed_stays() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let seq = world.broker.head().await.seq;
    let fields = [("access", "roles"), ("networks", "10.0.0.0/8, office <1>"), ("days", "7")];
    let page = try_make(&mut asha, "", &fields).await;
    assert_eq!(page.status, 422, "{}", page.body);
    for part in [
        "Give it a name, so that you know it again.",
        "Choose at least one role.",
        "`office` is no address and no network",
        "10.0.0.0/8, office &#60;1&#62;</textarea>",
        "value=\"roles\" checked",
        "<option value=\"7\" selected>",
    ] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    let invented = [("access", "roles"), ("role:111122223333/Invented", "on")];
    let page = try_make(&mut asha, "cron", &invented).await;
    assert_eq!(page.status, 403, "{}", page.body);
    let says = "You may not use 111122223333/Invented, so no token was made. Load the page again and choose anew.";
    assert!(plain(&page.body).contains(says), "{}", page.body);
    let (kind, body) = world.events_of(&support_id(&page)).await.remove(0);
    assert_eq!((kind.as_str(), body["cause"].as_str()), ("access.refused", Some("not-granted")), "{body}");
    assert_eq!((&body["account"], &body["role_name"]), (&json!("111122223333"), &json!("Invented")));

    let long = asha.program_post("/tokens", &[("name", "cron"), ("days", "91"), ("access", "all")]).await;
    let (sentence, _) = problem(&long, 400, "bad-request");
    assert_eq!(sentence, "Choose between 1 day and 90 days.");
    assert_eq!(recorded(&world, seq, "token.issued").await.len(), 0);
    assert_eq!(world.broker.rows("token").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_form_sent_twice_makes_one_token() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let form = asha.open("/tokens").await.form_to("/tokens").set("name", "cron").set("days", "7").set("access", "all");
    let page = asha.browser.submit(&form).await;
    shown(&world, &page).await;
    let again = asha.browser.submit(&form).await;
    assert_eq!(again.status, 422);
    assert!(again.body.contains("You have a token of that name. Choose another."), "{}", again.body);
    let fields = [("name", "twice"), ("days", "7"), ("access", "all")];
    let both = tokio::join!(asha.program_post("/tokens", &fields), asha.program_post("/tokens", &fields));
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!((statuses, world.broker.rows("token").await), ([200, 400], 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn making_a_token_asks_for_a_recent_sign_in_and_what_was_typed_survives_it() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let page = asha.open("/tokens").await;
    // A form that was opened in time and sent too late.
    world.clock.advance_secs(40 * 60);
    let form = page.form_to("/tokens").set("name", "cron & co").set("days", "7").set("access", "all");
    let late = asha.browser.submit(&form.set("networks", "10.0.0.0/8")).await;
    assert_eq!(late.status, 403, "{}", late.body);
    let says = "making one asks for a sign-in within the last 15 min. You signed in 40 minutes ago.";
    assert!(late.body.contains(says) && late.body.contains("value=\"cron &#38; co\""), "{}", late.body);
    let body = world.broker.last_event("access.refused").await;
    assert_eq!(body["cause"], "authentication-too-old");
    assert_eq!(world.broker.rows("token").await, 0);
    let program = asha.program_post("/tokens", &[("name", "x"), ("days", "7"), ("access", "all")]).await;
    let (sentence, _) = problem(&program, 403, "step-up-required");
    assert_eq!(sentence, "Making a token asks for a sign-in within the last 15 min.");
    assert_eq!(program.json()["link"], "/tokens/sign-in");

    // The page itself asks for the same.
    let closed = asha.open("/tokens").await;
    assert!(
        !closed.has_form_with("networks") && closed.body.contains("/tokens/sign-in\">Sign in again"),
        "{}",
        closed.body
    );

    let people = asha.browser.follow(&late.link("/tokens/sign-in")).await;
    assert!(people.body.contains("say it again"), "the provider is told to ask: {}", people.body);
    let back = answer_as(&mut asha.browser, &people, "asha", "password").await;
    assert_eq!((back.status, back.url.path()), (200, "/tokens"), "{}", back.body);
    let form = back.form_to("/tokens");
    assert_eq!(form.value("name"), Some("cron & co"));
    assert!(
        back.body.contains(">10.0.0.0/8</textarea>") && back.body.contains("value=\"7\" selected"),
        "{}",
        back.body
    );
    let page = asha.browser.submit(&form.set("days", "7")).await;
    shown(&world, &page).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_has_fifty_tokens_and_not_one_more() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    for number in 0..50 {
        let mut authorization = authorization_of(&world, &asha, AuthorizationKind::Personal).await;
        authorization.label = format!("number {number}");
        hold(&world, &authorization, BearerKind::Personal).await;
    }
    let fields = [("name", "one more"), ("days", "7"), ("access", "all")];
    let (sentence, events) = world.refused(&mut asha, "/tokens", &fields, (403, "token-not-made")).await;
    let says = "You have 50 personal tokens, which is as many as one person may have. Revoke one you no longer need.";
    assert_eq!(sentence, says);
    assert_eq!((events[0].0.as_str(), &events[0].1["cause"]), ("access.refused", &json!("too-many-tokens")));
    // Those that have expired do not count, and neither do terminals.
    world.clock.advance_secs(12 * 3_600);
    let mut asha = world.sign_in_as("asha").await;
    make(&world, &mut asha, "one more", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_personal_tokens_are_switched_off_none_is_made_and_none_counts() {
    let world = Sandboxed::with(Broker::wishes().set("tokens.personal", "false")).await;
    let mut asha = world.sign_in_as("asha").await;
    let authorization = authorization_of(&world, &asha, AuthorizationKind::Personal).await;
    let held = hold(&world, &authorization, BearerKind::Personal).await;
    let (sentence, request) = problem(&held.get(&world, "/api/v1/me").await, 401, "token-refused");
    assert_eq!(sentence, "Personal tokens are switched off here.");
    assert_eq!(world.events_of(&request).await[0].1["cause"], "personal-tokens-off");
    let page = asha.open("/tokens").await;
    assert!(page.body.contains("Personal tokens are switched off here.") && !page.has_form_with("networks"));
    assert!(page.has_form_with("csrf"), "what there is can still be revoked");
    let fields = [("name", "cron"), ("days", "7"), ("access", "all")];
    let (sentence, events) = world.refused(&mut asha, "/tokens", &fields, (403, "token-not-made")).await;
    assert_eq!(sentence, "Personal tokens are switched off here.");
    assert_eq!((events[0].0.as_str(), &events[0].1["cause"]), ("access.refused", &json!("personal-tokens-off")));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_persons_token_cannot_be_revoked_nor_told_from_one_there_is_not() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let held = make(&world, &mut asha, "cron", &[]).await;
    let mut omar = world.sign_in_as("omar").await;
    assert!(!omar.open("/tokens").await.body.contains("cron"));
    let mut said = Vec::new();
    for id in [held.id.as_str(), "0123456789abcdef0123456789abcdef", "x", "%00"] {
        let refusal = world.refused(&mut omar, &format!("/tokens/{id}/revoke"), &[], (404, "not-found")).await;
        let (kind, body) = &refusal.1[0];
        assert_eq!((kind.as_str(), body["cause"].as_str()), ("access.refused", Some("no-such-token")), "{body}");
        said.push(refusal.0);
    }
    assert!(said.iter().all(|sentence| *sentence == said[0]), "{said:?}");
    assert!(held.counts(&world).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_makes_and_revokes_nothing() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let held = make(&world, &mut asha, "cron", &[]).await;
    for path in ["/tokens".to_owned(), format!("/tokens/{}/revoke", held.id)] {
        let form = [("name", "x"), ("days", "7"), ("csrf", "forged")];
        let request = client().post(world.broker.at(&path)).header("cookie", asha.cookie()).form(&form);
        problem(&send(request).await, 403, "cross-site");
        let form = [("name", "x"), ("days", "7"), ("csrf", asha.csrf.as_str())];
        let request = client().post(world.broker.at(&path)).header("cookie", asha.cookie()).form(&form);
        problem(&send(request.header("sec-fetch-site", "cross-site")).await, 403, "cross-site");
    }
    assert!(held.counts(&world).await);
    assert_eq!(world.broker.rows("token").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_wants_a_recent_sign_in_is_not_had_with_a_token_made_long_ago() {
    let world = Sandboxed::start().await;
    let mut browser = crate::browser_client::Browser::new();
    let at = world.broker.at("/");
    let home = crate::sandboxed::enter_by(&mut browser, &at, DEMO_CONNECTOR, "mateo", "password").await;
    let mut mateo = Person::new(&world.broker.base, browser, &home);
    let held = make(&world, &mut mateo, "cron", &[]).await;
    // Stronger in the browser, later; the token stays what it was.
    let mut browser = crate::browser_client::Browser::new();
    crate::sandboxed::enter_by(&mut browser, &at, DEMO_CONNECTOR, "mateo", "security-key").await;
    let refused = issue(&world, &held, "127790045613/SecurityResponder").await;
    problem(&refused, 403, "step-up-required");
    assert!(refused.json()["link"].as_str().unwrap().starts_with("/go?account=127790045613"), "{}", refused.body);
}
