//! What the provider is asked to do about the person, and whether it did.

use super::{Company, GROUPS};
use crate::broker::Broker;
use crate::browser_client::Browser;
use crate::peers::oidc::OidcPeer;
use crate::sign_in::{clock, refused};
use rolegate::web::problem::Kind;

#[tokio::test(flavor = "multi_thread")]
async fn prompts_ages_and_contexts_are_passed_on() {
    let company =
        Company::with("prompt = \"login\"\nmax_age = \"8h\"\nacr_values = [\"urn:peer:mfa\", \"urn:peer:password\"]")
            .await;
    let mut bob = company.signed_in("bob").await;
    let asked = company.peer.last("authorization.accepted").await["params"].clone();
    assert_eq!(asked["prompt"], "login");
    assert_eq!(asked["max_age"].to_string().trim_matches('"'), "28800");
    assert_eq!(asked["acr_values"], "urn:peer:mfa urn:peer:password");
    let event = company.broker.last_event("sign-in.succeeded").await;
    assert_eq!(event["authn_context"], "urn:peer:mfa", "{event}");
    assert_eq!(event["authn_methods"], serde_json::json!(["pwd"]), "{event}");
    // Asked again, although the provider knows the browser.
    let page = company.go(&mut bob).await;
    assert!(page.has_form_with("password"), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_was_recognised_too_long_ago_is_asked_again_by_the_provider() {
    let company = Company::with("max_age = \"1h\"").await;
    let mut bob = company.signed_in("bob").await;
    let page = company.go(&mut bob).await;
    assert_eq!(page.url.path(), "/", "the provider still knows him: {}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn being_asked_again_is_verified_and_not_believed() {
    let company = Company::with("force_authn = true").await;
    let mut bob = company.signed_in("bob").await;
    let page = company.go(&mut bob).await;
    assert!(page.has_form_with("password"), "{}", page.body);
    let page = company.peer.sign_in(&mut bob, page, "bob").await;
    assert_eq!((page.status, page.url.path()), (200, "/"), "{}", page.body);
    let sent = Browser::new().peek(&company.broker.at("/oidc/corp/start")).await;
    let asked: std::collections::HashMap<_, _> = sent.query_pairs().into_owned().collect();
    assert_eq!((asked["prompt"].as_str(), asked["max_age"].as_str()), ("login", "0"), "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_far_off_the_providers_is_noticed() {
    let clock = clock();
    let company = Company::wished(Broker::wishes().clock(&clock), OidcPeer::start(), "", GROUPS).await;
    company.signed_in("bob").await;
    // Its tokens are good for an hour, but came from our past or future.
    clock.advance_secs(24 * 3_600);
    company.refused("bob", Kind::SignInExpired, "expired").await;
    let event = company.broker.last_event("sign-in.refused").await;
    assert!(event["detail"].as_str().unwrap().contains("until"), "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lifetime_of_a_token_has_the_allowance_for_clocks_on_top() {
    let clock = clock();
    let company = Company::wished(Broker::wishes().clock(&clock), OidcPeer::start(), "", GROUPS).await;
    company.peer.set("id_token_lifetime", 60).await;
    let mut late = Browser::new();
    let page = company.go(&mut late).await;
    clock.advance_secs(200);
    let page = company.peer.sign_in(&mut late, page, "bob").await;
    assert_eq!((page.status, page.url.path()), (200, "/"), "{}", page.body);
    let mut later = Browser::new();
    let page = company.go(&mut later).await;
    clock.advance_secs(100);
    let page = company.peer.sign_in(&mut later, page, "bob").await;
    refused(&company.broker, &mut later, &page, Kind::SignInExpired, "expired").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_typed_on_our_page_is_passed_on_where_the_connector_says_so() {
    let company = Company::with("login_hint = true").await;
    let start = company.broker.at("/oidc/corp/start?login_hint=bob%40corp.example");
    let page = Browser::new().get(&start).await;
    assert_eq!(page.form_with("username").value("username"), Some("bob@corp.example"), "{}", page.body);
    company.configured("", GROUPS).await;
    let page = Browser::new().get(&start).await;
    assert_eq!(page.form_with("username").value("username"), Some(""), "{}", page.body);
}
