//! Where the provider puts what it knows about somebody, and what is read from there.

use serde_json::json;

use super::{Company, GROUPS};
use crate::peers::oidc::OidcPeer;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_the_id_token_is_asked_for() {
    let company = Company::with("").await;
    let from_token = company.who("alice").await;
    company.peer.set("claims_in", "userinfo").await;
    let asked = company.who("alice").await;
    for name in ["subject", "name", "email", "groups", "attributes"] {
        assert_eq!(asked[name], from_token[name], "{name}");
    }
    company.configured("userinfo = \"never\"", GROUPS).await;
    let untold = company.who("alice").await;
    assert_eq!((&untold["email"], &untold["groups"]), (&json!(null), &json!([])), "{untold}");
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_in_one_text_are_taken_apart_only_where_the_connector_says_how() {
    let company = Company::with("").await;
    company.peer.set("groups_as", "comma").await;
    assert_eq!(company.who("alice").await["groups"], json!(["aws-platform-admins,engineering"]));
    company.configured("", "groups = { attribute = \"groups\", delimiter = \",\" }").await;
    assert_eq!(company.who("alice").await["groups"], json!(["aws-platform-admins", "engineering"]));
    company.configured("", "groups = { attribute = \"groups\", delimiter = \",\", prefix = \"aws-\" }").await;
    let prefixed = company.who("alice").await["groups"].clone();
    assert!(
        prefixed == json!(["platform-admins"]) || prefixed == json!(["platform-admins", "engineering"]),
        "{prefixed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_groups_to_say_is_not_the_same_as_none() {
    let company = Company::with("").await;
    company.peer.set("groups_as", "overage").await;
    let mut alice = company.signed_in("alice").await;
    let me = company.me(&mut alice).await;
    assert_eq!((&me["groups"], &me["groups_complete"]), (&json!([]), &json!(false)), "{me}");
    let roles = alice.get(&company.broker.at("/")).await;
    assert!(roles.body.contains("groups"), "the page says what is missing:\n{}", roles.body);
    assert_eq!(company.broker.last_event("sign-in.succeeded").await["groups_complete"], false);

    company.peer.set("groups_as", "none").await;
    let me = company.who("alice").await;
    assert_eq!((&me["groups"], &me["groups_complete"]), (&json!([]), &json!(true)), "{me}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_with_slashes_and_dots_in_its_name_is_found_by_its_name() {
    let claim = "https://corp.example/claims/aws.groups";
    let peer = OidcPeer::start();
    peer.set("groups_claim", claim).await;
    let company = Company::of(peer, "", &format!("groups = {claim:?}")).await;
    assert_eq!(company.who("alice").await["groups"], json!(["aws-platform-admins", "engineering"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_may_know_the_same_person_under_another_name_for_each_client() {
    let company = Company::with("").await;
    let before = company.who("bob").await["subject"].clone();
    company.peer.set("sub", "pairwise").await;
    company.registered(json!({})).await;
    let pairwise = company.who("bob").await["subject"].clone();
    assert_ne!(pairwise, before);
    assert_eq!(pairwise, company.who("bob").await["subject"], "but always under the same");
    assert_ne!(pairwise, company.who("alice").await["subject"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_nobody_verified_is_nobodys_unless_the_connector_trusts_it() {
    let company = Company::with("").await;
    assert_eq!(company.who("bob").await["email"], "bob@corp.example");
    company.peer.set("email_verified", false).await;
    assert_eq!(company.who("bob").await["email"], json!(null));
    company.configured("trust_email = true", GROUPS).await;
    assert_eq!(company.who("bob").await["email"], "bob@corp.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_claim_than_the_subject_may_be_the_key_of_a_person() {
    let company = Company::of(OidcPeer::start(), "", "subject = \"preferred_username\"").await;
    let mut bob = company.signed_in("bob").await;
    let page = bob.get(&company.broker.at("/api/v1/me")).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let event = company.broker.last_event("sign-in.succeeded").await;
    assert!(event.to_string().contains("bob"), "{event}");
}
