//! Authorization codes: what they come to, once, for whoever they were given to.

use serde_json::json;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_somebody_allowed_acts_for_them() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let page = asha.open(&format!("/authorize?{}", asks().query())).await;
    assert_eq!(page.status, 200, "{}", page.body);
    for words in ["Rolegate command line", "127.0.0.1:54321", "get credentials for any of your", "Allow", "Refuse"] {
        assert!(page.body.contains(words), "no `{words}` in {}", page.body);
    }
    let form = page.form_to("/authorize").set("decision", "allow");
    let fields: Vec<(&str, &str)> = form
        .fields
        .iter()
        .filter(|(name, _)| name != "csrf")
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let before = head(&world.broker).await;
    let answer = asha.program_post("/authorize", &fields).await;
    let pairs = answered(&answer, REDIRECT);
    assert_eq!(value(&pairs, "state"), "its-own-state");
    assert_eq!(value(&pairs, "iss"), world.broker.base, "RFC 9207");
    assert_eq!(pairs.len(), 3, "{pairs:?}");

    let granted_now = token(&world.broker, &presents(value(&pairs, "code"))).await;
    let (access, _) = granted(&granted_now);
    let body = granted_now.json();
    assert_eq!((&body["expires_in"], &body["scope"]), (&json!(3600), &json!("read issue")));
    let event = only_event(&world.broker, before, "token.issued").await;
    for (name, expected) in [
        ("token_kind", "sign-in"),
        ("grant", "authorization_code"),
        ("client", "rolegate-cli"),
        ("label", "Rolegate command line"),
        ("scope", "read issue"),
        ("allowed_from", "127.0.0.1"),
    ] {
        assert_eq!(event[name], expected, "{event}");
    }

    let answer = send(client().get(world.broker.at("/api/v1/me")).bearer_auth(&access)).await;
    assert_eq!((answer.status, answer.json()["name"].as_str()), (200, Some("Asha Raman")), "{}", answer.body);
    world.clock.advance_secs(3_600);
    assert_eq!(me(&world.broker, &access).await, 401, "an hour later");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_counts_once_and_its_second_use_ends_what_it_came_to() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let code = allowed(&asha, &asks()).await;
    let (access, refresh) = granted(&token(&world.broker, &presents(&code)).await);
    assert_eq!(me(&world.broker, &access).await, 200);

    let before = head(&world.broker).await;
    let says = refused(&token(&world.broker, &presents(&code)).await, 400, "invalid_grant");
    assert!(says.contains("used before"), "{says}");
    let events = tokens_since(&world.broker, before).await;
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!((events[0].0.as_str(), &events[0].1["cause"]), ("token.revoked", &json!("code-reused")));
    assert_eq!((events[1].0.as_str(), &events[1].1["cause"]), ("token.refused", &json!("code-reused")));
    assert_eq!(me(&world.broker, &access).await, 401);
    refused(&token(&world.broker, &refreshes(&refresh)).await, 400, "invalid_grant");

    // Whoever goes on trying fills no log.
    let before = head(&world.broker).await;
    refused(&token(&world.broker, &presents(&code)).await, 400, "invalid_grant");
    assert_eq!(tokens_since(&world.broker, before).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_is_presented_wrongly_is_used_up_and_comes_to_nothing() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let (id, secret) = registered(&world.broker, "botocore-client-corp");
    let aws = asks().set("client_id", &id).set("redirect_uri", OTHER_PROGRAM);
    for (wrong, cause) in [
        ("verifier", "code-verifier"),
        ("port", "code-other-redirect"),
        ("host", "code-other-redirect"),
        ("client", "code-of-other-client"),
        ("time", "code-expired"),
        ("foreign code", "code-of-other-client"),
    ] {
        let asked = if wrong == "foreign code" { aws.clone() } else { asks() };
        let code = allowed(&asha, &asked).await;
        let right = presents(&code);
        let sent = match wrong {
            "verifier" => right.clone().set("code_verifier", &VERIFIER.replace("0123", "0124")),
            "port" => right.clone().set("redirect_uri", "http://127.0.0.1:54322/callback"),
            "host" => right.clone().set("redirect_uri", "http://[::1]:54321/callback"),
            "client" => right.clone().set("client_id", &id).set("client_secret", &secret),
            "time" => {
                world.clock.advance_secs(60);
                right.clone()
            }
            _ => right.clone().set("redirect_uri", OTHER_PROGRAM),
        };
        let before = head(&world.broker).await;
        refused(&token(&world.broker, &sent).await, 400, "invalid_grant");
        let event = only_event(&world.broker, before, "token.refused").await;
        assert_eq!((&event["cause"], &event["grant"]), (&json!(cause), &json!("authorization_code")), "{wrong}");
        let again = if wrong == "foreign code" {
            right.set("client_id", &id).set("client_secret", &secret).set("redirect_uri", OTHER_PROGRAM)
        } else {
            right
        };
        refused(&token(&world.broker, &again).await, 400, "invalid_grant");
        assert_eq!(world.broker.rows("token_authorization").await, 0, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verifier_is_compulsory_and_has_the_form_that_the_specification_gives_it() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let code = allowed(&asha, &asks()).await;
    let right = presents(&code);
    let before = head(&world.broker).await;
    for (sent, says) in [
        (right.clone().without("code_verifier"), "code_verifier is missing"),
        (right.clone().set("code_verifier", ""), "code_verifier is missing"),
        (right.clone().set("code_verifier", &"x".repeat(42)), "43 to 128"),
        (right.clone().set("code_verifier", &"x".repeat(129)), "43 to 128"),
        (right.clone().set("code_verifier", &format!("{VERIFIER} ")), "43 to 128"),
        (right.clone().without("redirect_uri"), "redirect_uri is missing"),
        (right.clone().without("code"), "code is missing"),
    ] {
        let description = refused(&token(&world.broker, &sent).await, 400, "invalid_request");
        assert!(description.contains(says), "{description}");
    }
    // The challenge itself is no verifier: what `plain` would have made of it.
    let plain = right.clone().set("code_verifier", &challenge(VERIFIER));
    assert_eq!(tokens_since(&world.broker, before).await.len(), 0, "nothing of ours was presented wrongly yet");
    refused(&token(&world.broker, &plain).await, 400, "invalid_grant");
    assert_eq!(only_event(&world.broker, before, "token.refused").await["cause"], "code-verifier");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_a_code_that_was_not_fetched_yet() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let code = allowed(&asha, &asks()).await;
    asha.post("/sign-out", &[]).await;
    let before = head(&world.broker).await;
    let says = refused(&token(&world.broker, &presents(&code)).await, 400, "invalid_grant");
    assert!(says.contains("browser session"), "{says}");
    assert_eq!(only_event(&world.broker, before, "token.refused").await["cause"], "session-ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_exchanged_at_any_replica_and_of_two_at_once_one_gets_tokens() {
    let world = Sandboxed::start().await;
    let other = Broker::wishes().on_data_of(&world.broker).clock(&world.clock).start().await;
    let asha = world.sign_in_as("asha").await;
    let code = allowed(&asha, &asks()).await;
    let (access, _) = granted(&token(&other, &presents(&code)).await);
    assert_eq!((me(&world.broker, &access).await, me(&other, &access).await), (200, 200));

    for _ in 0..10 {
        let code = allowed(&asha, &asks()).await;
        let sent = presents(&code);
        let (one, two) = tokio::join!(token(&world.broker, &sent), token(&other, &sent));
        let (won, lost) = if one.status == 200 { (one, two) } else { (two, one) };
        let (access, _) = granted(&won);
        refused(&lost, 400, "invalid_grant");
        // Somebody has the code twice: whoever it is keeps nothing.
        assert_eq!((me(&world.broker, &access).await, me(&other, &access).await), (401, 401));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_and_no_code_lies_on_disk_in_clear() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let unfetched = allowed(&asha, &asks()).await;
    let (access, refresh) = signed_in(&world, &asha).await;
    let (_, next) = granted(&token(&world.broker, &refreshes(&refresh)).await);
    let disk = world.broker.bytes_on_disk();
    assert!(disk.windows(12).any(|found| found == b"rolegate-cli"), "the right files are looked at");
    for secret in [&unfetched, &access, &refresh, &next] {
        assert!(!disk.windows(secret.len()).any(|found| found == secret.as_bytes()));
    }
}
