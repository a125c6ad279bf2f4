//! What a program may ask for in somebody's browser, and where the answer goes.

use super::*;
use crate::browser_client::Browser;
use crate::sandboxed::{enter, problem};

async fn ask(person: &Person, asks: &Fields) -> Answer {
    person.program_get(&format!("/authorize?{}", asks.query())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_anywhere_but_to_the_program_on_this_very_computer() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let before = head(&world.broker).await;
    for uri in [
        "https://evil.example/callback",
        "http://evil.example/callback",
        "http://localhost:54321/callback",
        "http://127.0.0.1/callback",
        "http://127.0.0.1:0/callback",
        "http://127.0.0.1:65536/callback",
        "https://127.0.0.1:54321/callback",
        "http://asha@127.0.0.1:54321/callback",
        "http://127.0.0.1:54321@evil.example/callback",
        "http://127.0.0.1:54321/callback#x",
        "http://127.0.0.1:54321/callback?x=1",
        "http://127.0.0.1:54321/callback/more",
        "http://127.0.0.1:54321/other/callback",
        "http://127.0.0.1:54321/oauth/callback",
        "http://127.0.0.1:54321\\@evil.example/callback",
        "http://[::1%25eth0]:54321/callback",
        "http://[::ffff:127.0.0.1]:54321/callback",
        "http://127.1:54321/callback",
        "http://0:54321/callback",
        "rolegate://callback",
        "javascript:alert(1)//callback",
    ] {
        let asked = asks().set("redirect_uri", uri);
        for answer in [ask(&asha, &asked).await, decides(&asha, &asked, "allow").await] {
            let (says, _) = problem(&answer, 400, "authorization-request-invalid");
            assert!(says.contains("Nothing was sent there"), "{says}");
            assert_eq!(answer.header("location"), "", "{uri}");
        }
    }
    for asked in [
        asks().without("redirect_uri"),
        asks().without("client_id"),
        asks().set("client_id", "rolegate"),
        asks().set("client_id", "idc_AAAA"),
        asks().set("client_id", &format!("idc_{}", "A".repeat(5_000))),
        asks().set("state", &"x".repeat(513)),
        // Also when something else is wrong, which the program would be told of.
        asks().set("response_type", "token").set("redirect_uri", "https://evil.example/"),
    ] {
        let answer = ask(&asha, &asked).await;
        problem(&answer, 400, "authorization-request-invalid");
        assert_eq!(answer.header("location"), "", "{asked:?}");
    }
    assert_eq!(world.broker.rows("authorization_code").await, 0);
    assert_eq!(tokens_since(&world.broker, before).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_loopback_addresses_are_answered_at_any_port() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    for uri in ["http://127.0.0.1:1/callback", "http://127.0.0.1:65535/callback", "http://[::1]:8976/callback"] {
        let asked = asks().set("redirect_uri", uri);
        let code = allowed(&asha, &asked).await;
        granted(&token(&world.broker, &presents(&code).set("redirect_uri", uri)).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_else_is_wrong_is_told_to_the_program() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let before = head(&world.broker).await;
    for (asked, code) in [
        (asks().set("response_type", "token"), "unsupported_response_type"),
        (asks().without("response_type"), "unsupported_response_type"),
        (asks().without("code_challenge"), "invalid_request"),
        (asks().set("code_challenge", ""), "invalid_request"),
        (asks().set("code_challenge", &"x".repeat(42)), "invalid_request"),
        (asks().set("code_challenge", &format!("{}=", "x".repeat(42))), "invalid_request"),
        (asks().set("code_challenge_method", "plain"), "invalid_request"),
        (asks().set("code_challenge_method", "s256"), "invalid_request"),
        (asks().without("code_challenge_method"), "invalid_request"),
        (asks().set("scope", "admin"), "invalid_scope"),
        (asks().set("scopes", "sso:account:access codewhisperer:completions"), "invalid_scope"),
        (asks().set("scope", "read").set("scopes", "issue"), "invalid_request"),
        (asks().set("request", "eyJhbGciOiJub25lIn0."), "request_not_supported"),
        (asks().set("request_uri", "https://evil.example/"), "request_not_supported"),
    ] {
        for answer in [ask(&asha, &asked).await, decides(&asha, &asked, "allow").await] {
            let pairs = answered(&answer, REDIRECT);
            assert_eq!(value(&pairs, "error"), code, "{asked:?}");
            assert!(!value(&pairs, "error_description").is_empty());
            assert_eq!((value(&pairs, "state"), value(&pairs, "iss")), ("its-own-state", world.broker.base.as_str()));
            assert_eq!(value(&pairs, "code"), "");
        }
    }
    assert_eq!(world.broker.rows("authorization_code").await, 0);
    assert_eq!(tokens_since(&world.broker, before).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_is_sent_twice_is_answered_to_nobody() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    for again in ["redirect_uri=https%3A%2F%2Fevil.example%2F", "client_id=x", "scope=read&scope=issue", "st%61te=y"] {
        let answer = asha.program_get(&format!("/authorize?{}&{again}", asks().query())).await;
        problem(&answer, 400, "bad-request");
        assert_eq!(answer.header("location"), "");
    }
    let code = allowed(&asha, &asks()).await;
    let twice = format!("{}&code_verifier={VERIFIER}", presents(&code).query());
    let form = "application/x-www-form-urlencoded";
    let answer = send(client().post(world.broker.at("/oauth/token")).header("content-type", form).body(twice)).await;
    assert!(refused(&answer, 400, "invalid_request").contains("twice"));
    granted(&token(&world.broker, &presents(&code)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_refuses_has_the_program_told_so() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let before = head(&world.broker).await;
    let pairs = answered(&decides(&asha, &asks(), "refuse").await, REDIRECT);
    assert_eq!((value(&pairs, "error"), value(&pairs, "state")), ("access_denied", "its-own-state"));
    assert_eq!(world.broker.rows("authorization_code").await, 0);
    let event = only_event(&world.broker, before, "token.refused").await;
    assert_eq!((event["cause"].as_str(), event["client"].as_str()), (Some("refused-by-person"), Some("rolegate-cli")));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_allowed_by_looking_by_another_site_or_without_a_word() {
    let world = Sandboxed::start().await;
    let (asha, lin) = (world.sign_in_as("asha").await, world.sign_in_as("lin").await);
    let looked = ask(&asha, &asks().set("decision", "allow")).await;
    assert_eq!((looked.status, looked.header("location")), (200, ""));
    problem(&decides(&asha, &asks(), "").await, 400, "bad-request");
    let mut fields = asks().set("decision", "allow").0;
    fields.push(("csrf", lin.csrf.clone()));
    let posted = client().post(world.broker.at("/authorize")).header("cookie", asha.cookie()).form(&fields);
    problem(&send(posted).await, 403, "cross-site");
    fields.last_mut().unwrap().1.clone_from(&asha.csrf);
    let posted = client().post(world.broker.at("/authorize")).header("cookie", asha.cookie()).form(&fields);
    problem(&send(posted.header("origin", "https://evil.example")).await, 403, "cross-site");
    assert_eq!(world.broker.rows("authorization_code").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_signs_in_on_the_way_and_is_back_at_the_very_request() {
    let world = Sandboxed::start().await;
    let asked = asks().set("scope", "read").set("state", &"~-._x9".repeat(80));
    let mut browser = Browser::new();
    let page = enter(&mut browser, &world.broker.at(&format!("/authorize?{}", asked.query())), "asha").await;
    assert_eq!((page.status, page.url.path()), (200, "/authorize"), "{}", page.body);
    let form = page.form_to("/authorize");
    for (name, value) in &asked.0 {
        assert_eq!(form.value(name), Some(value.as_str()), "{name}");
    }
    assert!(page.body.contains("it gets no credentials"), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_can_be_framed_by_nobody_and_leads_to_the_waiting_program_alone() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    for (uri, source) in [(REDIRECT, "http://127.0.0.1:54321"), ("http://[::1]:54321/callback", "http:")] {
        let page = ask(&asha, &asks().set("redirect_uri", uri)).await;
        let policy = page.header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(policy.ends_with(&format!("form-action 'self' {source}")), "{policy}");
        assert_eq!(page.header("x-frame-options"), "DENY");
        assert_eq!(page.header("cache-control"), "no-store");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_identity_center_is_shown_by_the_name_it_gave_itself() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let (id, secret) = registered(&world.broker, "botocore <b>client</b> corp");
    let asked = asks()
        .without("scope")
        .set("scopes", "sso:account:access")
        .set("client_id", &id)
        .set("redirect_uri", OTHER_PROGRAM);
    let page = ask(&asha, &asked).await;
    assert!(page.body.contains("botocore &#60;b&#62;client&#60;/b&#62; corp"), "{}", page.body);
    assert!(page.body.contains("It calls itself that. Rolegate cannot check the name."), "{}", page.body);
    assert!(!ask(&asha, &asks()).await.body.contains("It calls itself that"), "our own is known");

    let pairs = answered(&decides(&asha, &asked, "allow").await, OTHER_PROGRAM);
    assert_eq!(value(&pairs, "iss"), "", "AWS's tools know one issuer");
    let sent = presents(value(&pairs, "code")).set("client_id", &id).set("redirect_uri", OTHER_PROGRAM);
    refused(&token(&world.broker, &sent).await, 401, "invalid_client");
    let (access, _) = granted(&token(&world.broker, &sent.set("client_secret", &secret)).await);
    assert_eq!(me(&world.broker, &access).await, 200);
}
