//! Whose signature is believed, while the provider changes its keys.

use rolegate::web::problem::Kind;
use serde_json::json;

use super::{Company, GROUPS};
use crate::broker::Broker;
use crate::peers::oidc::OidcPeer;
use crate::sign_in::clock;

async fn refreshes(broker: &Broker) -> usize {
    broker.events().await.iter().filter(|(kind, _)| kind == "metadata.refreshed").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_rolled_over_in_three_steps_without_anybody_being_turned_away() {
    let company = Company::with("").await;
    company.signed_in("bob").await;
    assert_eq!(refreshes(&company.broker).await, 1);
    company.peer.keys("add").await;
    company.signed_in("bob").await;
    assert_eq!(refreshes(&company.broker).await, 1, "the old key is enough, nobody asks again");
    company.peer.keys("promote").await;
    company.signed_in("bob").await;
    assert_eq!(refreshes(&company.broker).await, 2, "the new key made us ask, at once");
    company.peer.keys("drop").await;
    company.signed_in("bob").await;
    assert_eq!(refreshes(&company.broker).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_keys_make_us_ask_once_a_minute_and_no_more() {
    let clock = clock();
    let company = Company::wished(Broker::wishes().clock(&clock), OidcPeer::start(), "", GROUPS).await;
    let roll = async || {
        for step in ["add", "promote", "drop"] {
            company.peer.keys(step).await;
        }
    };
    company.signed_in("bob").await;
    roll().await;
    company.signed_in("bob").await;
    roll().await;
    company.refused("bob", Kind::SignInRefused, "key-unknown").await;
    assert_eq!(refreshes(&company.broker).await, 2);
    clock.advance_secs(61);
    company.signed_in("bob").await;
    assert_eq!(refreshes(&company.broker).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_algorithms_of_the_connector_are_taken() {
    let company = Company::with("").await;
    for algorithm in ["PS256", "ES256"] {
        company.peer.set("id_token_alg", algorithm).await;
        company.registered(json!({})).await;
        company.configured("", GROUPS).await;
        company.refused("bob", Kind::SignInRefused, "algorithm-not-allowed").await;
        company.configured(&format!("signing_algorithms = [{algorithm:?}]"), GROUPS).await;
        company.signed_in("bob").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_has_gone_is_named_and_its_keys_are_remembered_over_a_restart() {
    let company = Company::with("").await;
    company.signed_in("bob").await;
    let Company { broker, peer } = company;
    drop(peer);
    let again = Broker::wishes().on_data_of(&broker).start().await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for broker in [&broker, &again] {
        assert_eq!(client.get(broker.at("/oidc/corp/start")).send().await.unwrap().status(), 303);
    }
}
