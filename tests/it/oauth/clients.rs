//! Who asks: clients that prove themselves, and those that do not.

use rolegate::flows::clients::{ClientError, ClientKind, Clients, RegistrationError};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_client_proves_itself_by_its_own_secret() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let (id, secret) = registered(&world.broker, "one");
    let (other, others_secret) = registered(&world.broker, "other");
    assert!(id != other && secret != others_secret);
    let asked = asks().set("client_id", &id).set("redirect_uri", OTHER_PROGRAM);
    let code = allowed(&asha, &asked).await;
    let right = presents(&code).set("client_id", &id).set("redirect_uri", OTHER_PROGRAM).set("client_secret", &secret);
    let before = head(&world.broker).await;
    for wrong in [
        right.clone().without("client_secret"),
        right.clone().set("client_secret", ""),
        right.clone().set("client_secret", &others_secret),
        right.clone().set("client_secret", &secret.to_uppercase()),
        right.clone().set("client_secret", &format!("{secret}x")),
        right.clone().set("client_id", "nobody"),
        right.clone().set("client_id", &format!("{id}A")),
        right.clone().set("client_id", &id[..id.len() - 1]),
    ] {
        let answer = token(&world.broker, &wrong).await;
        refused(&answer, 401, "invalid_client");
        assert!(answer.header("www-authenticate").starts_with("Basic "), "RFC 6749 5.2");
    }
    let answer =
        send(client().post(world.broker.at("/oauth/token")).basic_auth(&id, Some(&secret)).form(&right.0)).await;
    refused(&answer, 401, "invalid_client");
    assert!(
        refused(&token(&world.broker, &right.clone().without("client_id")).await, 400, "invalid_request")
            .contains("client_id")
    );
    // Anybody can invent a client: that says nothing about anybody, and is in the log of the process only.
    assert_eq!(tokens_since(&world.broker, before).await.len(), 0);
    granted(&token(&world.broker, &right).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_client_has_no_secret_to_tell() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let code = allowed(&asha, &asks()).await;
    let answer = token(&world.broker, &presents(&code).set("client_secret", "guess")).await;
    refused(&answer, 401, "invalid_client");
    granted(&token(&world.broker, &presents(&code)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_counts_for_ninety_days_on_every_replica_and_costs_no_row() {
    let world = Sandboxed::start().await;
    let other = Broker::wishes().on_data_of(&world.broker).clock(&world.clock).start().await;
    let (id, secret) = registered(&world.broker, "botocore-client-corp");
    let there = Clients { ground: other.app.ground.clone() };
    let found = there.authenticate(&id, Some(&secret)).unwrap();
    assert_eq!((found.name.as_str(), found.kind), ("botocore-client-corp", ClientKind::IdentityCenter));
    let stranger = Broker::wishes().start().await;
    let elsewhere = Clients { ground: stranger.app.ground.clone() };
    assert_eq!(elsewhere.authenticate(&id, Some(&secret)), Err(ClientError::Unknown), "sealed by another broker");

    world.clock.advance_secs(90 * 24 * 3_600 - 1);
    assert!(there.authenticate(&id, Some(&secret)).is_ok());
    world.clock.advance_secs(1);
    assert_eq!(there.authenticate(&id, Some(&secret)), Err(ClientError::Expired));
    let asha = world.sign_in_as("asha").await;
    let answer = asha
        .program_get(&format!("/authorize?{}", asks().set("client_id", &id).set("redirect_uri", OTHER_PROGRAM).query()))
        .await;
    let (says, _) = crate::sandboxed::problem(&answer, 400, "authorization-request-invalid");
    assert!(says.contains("more than 90 days ago"), "{says}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_registered_with_a_name_one_can_see_and_addresses_on_this_computer() {
    let world = Sandboxed::start().await;
    let clients = Clients { ground: world.broker.app.ground.clone() };
    let long = "x".repeat(101);
    for name in ["", " x", "x ", "a\u{202e}b", "a\nb", long.as_str()] {
        assert_eq!(clients.register(name, &[]).unwrap_err(), RegistrationError::Name, "{name:?}");
    }
    for uri in
        ["https://evil.example/oauth/callback", "http://localhost/oauth/callback", "http://127.0.0.1/callback", ""]
    {
        assert_eq!(clients.register("x", &[uri]).unwrap_err(), RegistrationError::Redirect, "{uri}");
    }
    for uri in
        ["http://127.0.0.1/oauth/callback", "http://127.0.0.1:9000/oauth/callback", "http://[::1]/oauth/callback"]
    {
        assert!(clients.register("x", &[uri]).is_ok(), "{uri}");
    }
    let longest = clients.register(&"e".repeat(100), &["http://127.0.0.1/oauth/callback"]).unwrap();
    assert!(longest.client_id.len() <= 200, "{} bytes travel in addresses", longest.client_id.len());
    assert!(clients.find(&longest.client_id).is_ok());
}
