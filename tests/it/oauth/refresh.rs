//! Refresh tokens: exchanged once, forgiven for a moment, and the end of everything when somebody has a copy.

use serde_json::json;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn two_that_refresh_at_once_get_the_same_pair_at_whichever_replica() {
    let world = Sandboxed::start().await;
    let other = Broker::wishes().on_data_of(&world.broker).clock(&world.clock).start().await;
    let asha = world.sign_in_as("asha").await;
    let (first, mut refresh) = signed_in(&world, &asha).await;
    for _ in 0..5 {
        let before = head(&world.broker).await;
        let sent = refreshes(&refresh);
        let (one, two) = tokio::join!(token(&world.broker, &sent), token(&other, &sent));
        assert_eq!(granted(&one), granted(&two));
        world.clock.advance_secs(9);
        let late = token(&other, &sent).await;
        assert_eq!(granted(&one), granted(&late));
        let left = |answer: &Answer| answer.json()["expires_in"].as_u64().unwrap();
        // Whole seconds, of a time that is kept in milliseconds.
        assert!((3_599..=3_600).contains(&left(&one)) && (3_590..=3_591).contains(&left(&late)));
        let events = tokens_since(&world.broker, before).await;
        let again: Vec<_> =
            events.iter().map(|(kind, body)| (kind.as_str(), body["again"].as_bool().unwrap())).collect();
        assert_eq!(again, [("token.issued", false), ("token.issued", true), ("token.issued", true)]);
        let (access, next) = granted(&one);
        assert_eq!((me(&other, &access).await, me(&world.broker, &first).await), (200, 200));
        assert_ne!(next, refresh);
        refresh = next;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_is_used_again_later_ends_everything_at_once() {
    let world = Sandboxed::start().await;
    let other = Broker::wishes().on_data_of(&world.broker).clock(&world.clock).start().await;
    let asha = world.sign_in_as("asha").await;
    let (first, refresh) = signed_in(&world, &asha).await;
    let (second, next) = granted(&token(&world.broker, &refreshes(&refresh)).await);
    world.clock.advance_secs(11);
    let before = head(&world.broker).await;
    let says = refused(&token(&other, &refreshes(&refresh)).await, 400, "invalid_grant");
    assert!(says.contains("all tokens of this sign-in have ended"), "{says}");
    let events = tokens_since(&world.broker, before).await;
    assert_eq!(events.len(), 2, "{events:?}");
    for ((kind, body), expected) in events.iter().zip(["token.revoked", "token.refused"]) {
        assert_eq!((kind.as_str(), &body["cause"]), (expected, &json!("refresh-token-reused")));
    }
    assert_eq!(events[0].1["token"], events[1].1["token"]);
    // At this replica, which did not see it happen, with the next request.
    for access in [&first, &second] {
        assert_eq!(me(&world.broker, access).await, 401);
    }
    refused(&token(&world.broker, &refreshes(&next)).await, 400, "invalid_grant");
    assert_eq!(world.broker.rows("token").await, 0);
    // Another sign-in of theirs goes on.
    let (access, _) = signed_in(&world, &asha).await;
    assert_eq!(me(&world.broker, &access).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_grace_a_second_use_ends_everything_after_the_first_moment() {
    let world = Sandboxed::with(Broker::wishes().set("tokens.refresh_grace", "0s")).await;
    let asha = world.sign_in_as("asha").await;
    let (_, refresh) = signed_in(&world, &asha).await;
    let (access, _) = granted(&token(&world.broker, &refreshes(&refresh)).await);
    world.clock.advance_secs(1);
    refused(&token(&world.broker, &refreshes(&refresh)).await, 400, "invalid_grant");
    assert_eq!(me(&world.broker, &access).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_clients_refresh_token_is_refused_and_not_used_up() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let (_, refresh) = signed_in(&world, &asha).await;
    let (id, secret) = registered(&world.broker, "thief");
    let before = head(&world.broker).await;
    let stolen = refreshes(&refresh).set("client_id", &id).set("client_secret", &secret);
    refused(&token(&world.broker, &stolen).await, 400, "invalid_grant");
    let event = only_event(&world.broker, before, "token.refused").await;
    assert_eq!(
        (&event["cause"], &event["label"], &event["grant"]),
        (&json!("refresh-token-of-other-client"), &json!("thief"), &json!("refresh_token"))
    );
    granted(&token(&world.broker, &refreshes(&refresh)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_may_ask_for_less_for_once_and_never_for_more() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let (_, refresh) = signed_in(&world, &asha).await;
    let less = token(&world.broker, &refreshes(&refresh).set("scope", "read")).await;
    let (looks, next) = granted(&less);
    assert_eq!(less.json()["scope"], "read");
    let credentials = async |access: &str| {
        let url = world.broker.at("/api/v1/roles/111122223333/ReadOnly/credentials");
        send(client().post(url).bearer_auth(access)).await
    };
    assert_eq!(me(&world.broker, &looks).await, 200);
    crate::sandboxed::problem(&credentials(&looks).await, 403, "token-scope");
    // Asked for at the same moment with all of it: another access token, the same successor.
    let (acts, same) = granted(&token(&world.broker, &refreshes(&refresh)).await);
    assert!(acts != looks && same == next);
    assert_eq!(credentials(&acts).await.status, 200);
    let (acts, _) = granted(&token(&world.broker, &refreshes(&next)).await);
    assert_eq!(credentials(&acts).await.status, 200, "what was allowed stays as it was");

    let code = allowed(&asha, &asks().set("scope", "read")).await;
    let (_, refresh) = granted(&token(&world.broker, &presents(&code)).await);
    let before = head(&world.broker).await;
    for wider in ["issue", "read issue", "sso:account:access"] {
        refused(&token(&world.broker, &refreshes(&refresh).set("scope", wider)).await, 400, "invalid_scope");
    }
    refused(&token(&world.broker, &refreshes(&refresh).set("scope", "admin")).await, 400, "invalid_scope");
    assert_eq!(tokens_since(&world.broker, before).await.len(), 0);
    let still = token(&world.broker, &refreshes(&refresh)).await;
    assert_eq!(still.json()["scope"], "read", "and it was not used up: {}", still.body);
    crate::sandboxed::problem(&credentials(&granted(&still).0).await, 403, "token-scope");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_kind_of_token_is_not_taken_for_another() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let (access, refresh) = signed_in(&world, &asha).await;
    refused(&token(&world.broker, &refreshes(&access)).await, 400, "invalid_grant");
    refused(&token(&world.broker, &refreshes("rgr_junk")).await, 400, "invalid_grant");
    assert_eq!(me(&world.broker, &refresh).await, 401);
    let disguised = refresh.replace("rgr_", "rga_");
    assert_eq!(me(&world.broker, &disguised).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_ends_by_itself_and_refreshing_does_not_prolong_it() {
    let world = Sandboxed::with(
        Broker::wishes().set("tokens.sign_in_lifetime", "90m").set("tokens.access_token_lifetime", "1h"),
    )
    .await;
    let asha = world.sign_in_as("asha").await;
    let (_, refresh) = signed_in(&world, &asha).await;
    world.clock.advance_secs(80 * 60);
    let last = token(&world.broker, &refreshes(&refresh)).await;
    let (access, next) = granted(&last);
    let left = last.json()["expires_in"].as_u64().unwrap();
    assert!((599..=600).contains(&left), "an access token ends with its sign-in, not in {left} s");
    world.clock.advance_secs(10 * 60);
    assert_eq!(me(&world.broker, &access).await, 401);
    let before = head(&world.broker).await;
    let says = refused(&token(&world.broker, &refreshes(&next)).await, 400, "invalid_grant");
    assert!(says.contains("expired"), "{says}");
    assert_eq!(only_event(&world.broker, before, "token.refused").await["cause"], "refresh-token-expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_sign_in_of_a_terminal_outlives_the_session_at_the_identity_provider() {
    // The sandbox says in SessionNotOnOrAfter that its sessions end.
    let world = Sandboxed::with(Broker::wishes().set("tokens.sign_in_lifetime", "2000h")).await;
    let asha = world.sign_in_as("asha").await;
    let before = head(&world.broker).await;
    signed_in(&world, &asha).await;
    let event = only_event(&world.broker, before, "token.issued").await;
    let session = world.broker.events().await.into_iter().find(|(kind, _)| kind == "sign-in.succeeded").unwrap().1;
    assert_eq!(event["session"], session["session"]);
    let at = |text: &Value| text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let hours = at(&event["expires"]).duration_since(world.broker.now()).as_hours();
    assert!((1..=24).contains(&hours), "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_recent_sign_in_gives_a_program_more_time_than_the_browser_session_has() {
    let wishes = Broker::wishes().set("session.absolute_timeout", "2h").set("tokens.sign_in_lifetime", "6h");
    let world = Sandboxed::with(wishes).await;
    let began = world.broker.now();
    let asha = world.sign_in_as("asha").await;
    let lasts = async || {
        let before = head(&world.broker).await;
        signed_in(&world, &asha).await;
        let event = only_event(&world.broker, before, "token.issued").await;
        let expires: jiff::Timestamp = event["expires"].as_str().unwrap().parse().unwrap();
        expires.duration_since(began).as_mins()
    };
    assert!((359..=361).contains(&lasts().await), "who has just signed in is not asked again");
    world.clock.advance_secs(14 * 60);
    assert!((373..=375).contains(&lasts().await));
    world.clock.advance_secs(2 * 60);
    let minutes = lasts().await;
    assert!((119..=121).contains(&minutes), "the session ends after 120 minutes, this after {minutes}");

    // A device is no way round, and the page promises no more than that.
    let begun = post(&world.broker, "/oauth/device_authorization", &asks()).await.json();
    let code = begun["user_code"].as_str().unwrap();
    let page = asha.program_get(&format!("/device?user_code={code}")).await.body;
    let until = &regex::Regex::new("Until</dt><dd><time datetime=\"([^\"]+)\"").unwrap().captures(&page).unwrap()[1];
    let until: jiff::Timestamp = until.parse().unwrap();
    assert!((119..=121).contains(&until.duration_since(began).as_mins()), "{until}");
    let says = [("user_code", code), ("compared", "yes"), ("decision", "approve")];
    assert_eq!(asha.program_post("/device", &says).await.status, 200);
    let before = head(&world.broker).await;
    granted(&token(&world.broker, &polls(begun["device_code"].as_str().unwrap())).await);
    let event = only_event(&world.broker, before, "token.issued").await;
    assert_eq!(event["expires"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap(), until);
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_that_there_are_not_are_called_so() {
    let world = Sandboxed::start().await;
    for grant in ["password", "client_credentials", "implicit", "urn:ietf:params:oauth:grant-type:saml2-bearer"] {
        let sent = refreshes("rgr_x").set("grant_type", grant);
        refused(&token(&world.broker, &sent).await, 400, "unsupported_grant_type");
    }
    let none = refreshes("rgr_x").without("grant_type");
    assert!(refused(&token(&world.broker, &none).await, 400, "invalid_request").contains("grant_type"));
    let json = client().post(world.broker.at("/oauth/token")).json(&json!({ "grant_type": "refresh_token" }));
    assert!(refused(&send(json).await, 400, "invalid_request").contains("x-www-form-urlencoded"));
    let large = refreshes(&"x".repeat(70_000));
    let answer = token(&world.broker, &large).await;
    assert_eq!((answer.status, answer.json()["error"].as_str()), (413, Some("invalid_request")), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_network_has_more_refusals_recorded_than_its_rate_allows() {
    let world =
        Sandboxed::with(Broker::wishes().set("limits.sign_in_per_minute", "1").set("limits.sign_in_burst", "20")).await;
    let asha = world.sign_in_as("asha").await;
    let (access, refresh) = signed_in(&world, &asha).await;
    let (id, secret) = registered(&world.broker, "thief");
    let presents = refreshes(&refresh).set("client_id", &id).set("client_secret", &secret);
    let gives_back = presents.clone().without("grant_type").set("token", &access);
    let before = head(&world.broker).await;
    for _ in 0..15 {
        token(&world.broker, &presents).await;
        post(&world.broker, "/oauth/revoke", &gives_back).await;
    }
    for (path, sent) in [("/oauth/token", &presents), ("/oauth/revoke", &gives_back)] {
        let answer = post(&world.broker, path, sent).await;
        assert_eq!((answer.status, answer.header("retry-after").is_empty()), (429, false), "{}", answer.body);
    }
    let recorded = tokens_since(&world.broker, before).await;
    assert!((5..=20).contains(&recorded.len()), "{}", recorded.len());
    for (kind, body) in &recorded {
        assert_eq!((kind.as_str(), &body["cause"]), ("token.refused", &json!("refresh-token-of-other-client")));
    }
    assert_eq!(me(&world.broker, &access).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_to_nothing_counts_against_the_address_it_comes_from() {
    let world =
        Sandboxed::with(Broker::wishes().set("limits.sign_in_per_minute", "1").set("limits.sign_in_burst", "20")).await;
    let asha = world.sign_in_as("asha").await;
    let (_, refresh) = signed_in(&world, &asha).await;
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(token(&world.broker, &refreshes("rgr_junk")).await);
    }
    let last = answers.last().unwrap();
    assert_eq!((last.status, last.header("retry-after").is_empty()), (429, false), "{}", last.body);
    assert_eq!(last.json()["error"], "temporarily_unavailable", "{}", last.body);
    // Those whose tokens are in order share the address and go on.
    granted(&token(&world.broker, &refreshes(&refresh)).await);
}
