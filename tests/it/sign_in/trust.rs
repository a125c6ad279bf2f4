//! Whose signature is believed: metadata that changes, is not there, or comes back.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rolegate::web::problem::Kind;
use serde_json::json;

use super::{Company, PLAIN, catalog_of, connector_at, explained};
use crate::broker::Broker;
use crate::browser_client::Browser;
use crate::hostile::forge::Forge;
use crate::tools::free_port;

async fn refreshes(broker: &Broker) -> usize {
    broker.events().await.iter().filter(|(kind, _)| kind == "metadata.refreshed").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_rolled_over_in_three_steps_without_anybody_being_turned_away() {
    let company = Company::with("").await;
    company.signed_in("bob").await;
    assert_eq!(refreshes(&company.broker).await, 1);
    company.peer.set("publish_keys", json!(["a", "b"])).await;
    company.signed_in("bob").await;
    assert_eq!(refreshes(&company.broker).await, 1, "the old key is enough, nobody asks again");
    company.peer.set("signing_key", "b").await;
    company.signed_in("bob").await;
    assert_eq!(refreshes(&company.broker).await, 2, "the new key made us ask, at once");
    company.peer.set("publish_keys", json!(["b"])).await;
    company.signed_in("bob").await;
    assert_eq!(refreshes(&company.broker).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_keys_make_us_ask_for_metadata_once_a_minute_and_no_more() {
    let clock = super::clock();
    let company = Company::wished(Broker::wishes().clock(&clock), "").await;
    company.signed_in("bob").await;
    for (name, value) in [("publish_keys", json!(["b"])), ("signing_key", json!("b"))] {
        company.peer.set(name, value).await;
    }
    company.signed_in("bob").await;
    for (name, value) in [("publish_keys", json!(["a"])), ("signing_key", json!("a"))] {
        company.peer.set(name, value).await;
    }
    company.refused("bob", Kind::SignInRefused, "signature-invalid").await;
    assert_eq!(refreshes(&company.broker).await, 2);
    clock.advance_secs(61);
    company.signed_in("bob").await;
    assert_eq!(refreshes(&company.broker).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_kept_in_the_catalog_believes_the_keys_it_lists_and_asks_for_no_others() {
    let company = Company::with("").await;
    let inline = async |keys: serde_json::Value| {
        company.peer.set("publish_keys", keys).await;
        let file = company.broker.folder().join("idp.xml");
        std::fs::write(&file, company.peer.metadata().await).unwrap();
        let lines = format!("metadata_file = {file:?}");
        company.broker.apply(&catalog_of(&connector_at("corp", &lines, PLAIN))).await;
    };
    inline(json!(["a"])).await;
    company.signed_in("bob").await;
    company.peer.set("signing_key", "b").await;
    company.refused("bob", Kind::SignInRefused, "signature-invalid").await;
    company.peer.set("signing_key", "a").await;
    inline(json!(["a", "b"])).await;
    company.signed_in("bob").await;
    company.peer.set("signing_key", "b").await;
    company.signed_in("bob").await;
    assert_eq!(refreshes(&company.broker).await, 0);
}

/// A web server that gives every visitor the forge's metadata.
fn serve_metadata(port: u16) {
    let socket = TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        for stream in socket.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let body = Forge::metadata();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = reader.get_mut().write_all((head + &body).as_bytes());
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_cannot_be_fetched_is_a_503_and_soon_tried_again() {
    let clock = super::clock();
    let broker = Broker::wishes().clock(&clock).start().await;
    let port = free_port();
    let lines = format!("metadata_url = \"http://127.0.0.1:{port}/metadata\"");
    broker.apply(&catalog_of(&connector_at("corp", &lines, PLAIN))).await;
    let start = broker.at("/saml/corp/start");
    explained(&Browser::new().get(&start).await, Kind::IdentityProviderUnavailable);

    serve_metadata(port);
    explained(&Browser::new().get(&start).await, Kind::IdentityProviderUnavailable);
    clock.advance_secs(6);
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let went = client.get(&start).timeout(Duration::from_secs(20)).send().await.unwrap();
    assert_eq!(went.status(), 303);
    assert!(went.headers()["location"].to_str().unwrap().starts_with("https://idp.example/sso?"));
    broker.last_event("metadata.refreshed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_provider_that_is_gone_waits_for_one_call_and_not_for_one_each() {
    let clock = super::clock();
    let broker = Broker::wishes().clock(&clock).start().await;
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let lines = format!("metadata_url = \"http://{}/metadata\"", socket.local_addr().unwrap());
    broker.apply(&catalog_of(&connector_at("corp", &lines, PLAIN))).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let (counted, slow) = (Arc::clone(&calls), Arc::clone(&clock));
    std::thread::spawn(move || {
        for call in socket.incoming().map_while(Result::ok) {
            counted.fetch_add(1, Ordering::SeqCst);
            // Long enough for all to come, and by the broker's clock as long as a call may take.
            std::thread::sleep(Duration::from_millis(700));
            slow.advance_secs(10);
            drop(call);
        }
    });
    let start = broker.at("/saml/corp/start");
    let visits = (0..5).map(|_| async { Browser::new().get(&start).await });
    for page in futures_util::future::join_all(visits).await {
        explained(&page, Kind::IdentityProviderUnavailable);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_good_metadata_goes_on_being_used_when_the_provider_has_gone_and_the_broker_restarts() {
    let company = Company::with("").await;
    company.signed_in("bob").await;
    let Company { broker, peer } = company;
    drop(peer);
    let again = Broker::wishes().on_data_of(&broker).start().await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for broker in [&broker, &again] {
        assert_eq!(client.get(broker.at("/saml/corp/start")).send().await.unwrap().status(), 303);
    }
}
