//! Giving tokens back, and what programs may know before they ask.

use serde_json::json;

use super::*;

fn gives_back(token: &str) -> Fields {
    Fields(vec![("token", token.to_owned())])
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_gives_a_token_back_ends_the_whole_sign_in_everywhere() {
    let world = Sandboxed::start().await;
    let other = Broker::wishes().on_data_of(&world.broker).clock(&world.clock).start().await;
    let asha = world.sign_in_as("asha").await;
    for which in ["access", "refresh", "access of before"] {
        let (access, refresh) = signed_in(&world, &asha).await;
        let (newer, next) = granted(&token(&world.broker, &refreshes(&refresh)).await);
        let token_sent = match which {
            "access" => &newer,
            "refresh" => &next,
            _ => &access,
        };
        let sent = gives_back(token_sent).set("client_id", "rolegate-cli").set("token_type_hint", "access_token");
        let before = head(&world.broker).await;
        let answer = post(&world.broker, "/oauth/revoke", &sent).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{which}");
        let event = only_event(&world.broker, before, "token.revoked").await;
        assert_eq!((&event["cause"], &event["token_kind"]), (&json!("revoked-by-client"), &json!("sign-in")));
        for dead in [&access, &newer] {
            assert_eq!((me(&other, dead).await, me(&world.broker, dead).await), (401, 401), "{which}");
        }
        refused(&token(&other, &refreshes(&next)).await, 400, "invalid_grant");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_nobody_has_is_as_good_as_given_back() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let (_, refresh) = signed_in(&world, &asha).await;
    post(&world.broker, "/oauth/revoke", &gives_back(&refresh)).await;
    let before = head(&world.broker).await;
    for token in [refresh.as_str(), "junk", "rga_junk"] {
        assert_eq!(post(&world.broker, "/oauth/revoke", &gives_back(token)).await.status, 200, "{token}");
    }
    let nothing = Fields(vec![("client_id", "rolegate-cli".to_owned())]);
    refused(&post(&world.broker, "/oauth/revoke", &nothing).await, 400, "invalid_request");
    let stranger = gives_back("junk").set("client_id", "nobody");
    refused(&post(&world.broker, "/oauth/revoke", &stranger).await, 401, "invalid_client");
    assert_eq!(tokens_since(&world.broker, before).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_client_gives_back_nothing() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let (access, _) = signed_in(&world, &asha).await;
    let (id, secret) = registered(&world.broker, "other");
    let before = head(&world.broker).await;
    let sent = gives_back(&access).set("client_id", &id).set("client_secret", &secret);
    refused(&post(&world.broker, "/oauth/revoke", &sent).await, 400, "invalid_grant");
    assert_eq!(only_event(&world.broker, before, "token.refused").await["grant"], "revocation");
    assert_eq!(me(&world.broker, &access).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_may_know_where_and_how_to_ask() {
    let world = Sandboxed::start().await;
    let at = |path: &str| json!(world.broker.at(path));
    let answer = send(client().get(world.broker.at("/.well-known/oauth-authorization-server"))).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let document = answer.json();
    assert_eq!(document["issuer"], world.broker.base);
    assert_eq!(document["authorization_endpoint"], at("/authorize"));
    assert_eq!(document["token_endpoint"], at("/oauth/token"));
    assert_eq!(document["device_authorization_endpoint"], at("/oauth/device_authorization"));
    assert_eq!(document["revocation_endpoint"], at("/oauth/revoke"));
    assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(document["authorization_response_iss_parameter_supported"], true);
    assert!(document["grant_types_supported"].as_array().unwrap().contains(&json!(DEVICE_CODE)));

    let without = Broker::wishes().set("tokens.device_codes", "off").start().await;
    let answer = send(client().get(without.at("/.well-known/oauth-authorization-server"))).await;
    let document = answer.json();
    assert!(document.get("device_authorization_endpoint").is_none(), "{document}");
    assert!(!document["grant_types_supported"].as_array().unwrap().contains(&json!(DEVICE_CODE)));
}
