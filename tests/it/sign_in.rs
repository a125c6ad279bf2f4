//! Signing in with a real identity provider.

use serde_json::Value;

use crate::broker::Broker;
use crate::browser_client::Browser;
use crate::peers::SimpleSaml;

/// A catalog that reaches the peer and gives its people a role or two.
pub fn catalog(peer: &SimpleSaml, more: &str) -> String {
    format!(
        r#"
        [[connector]]
        id = "corp"
        kind = "saml"
        name = "Corp"
        metadata_url = "{}"
        {more}
        [connector.attributes]
        email = "mail"
        name = "displayName"
        groups = "groups"
        [connector.attributes.extra]
        department = "department"

        [[account]]
        id = "111122223333"
        name = "Payments production"

        [[role]]
        account = "111122223333"
        name = "ReadOnly"
        max_session = "4h"

        [[rule]]
        id = "engineers-read"
        when = {{ groups = "engineering" }}
        grant = [{{ account = "*", role = "ReadOnly" }}]
        "#,
        peer.metadata_url()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_and_comes_back_to_where_they_were() {
    let broker = Broker::wishes().start().await;
    let peer = SimpleSaml::start(&broker.at("/saml/corp/metadata"));
    broker.apply(&catalog(&peer, "")).await;

    let mut alice = Browser::new();
    let choice = alice.get(&broker.at("/go?account=111122223333")).await;
    assert_eq!(choice.url.path(), "/sign-in");
    let form = alice.follow(&choice.link("/saml/corp/start")).await;
    let back = peer.sign_in(&mut alice, form, "alice").await;
    assert_eq!((back.status, back.url.path()), (200, "/go"), "{}", back.body);
    assert!(back.body.contains("ReadOnly"), "{}", back.body);

    let me: Value = serde_json::from_str(&alice.get(&broker.at("/api/v1/me")).await.body).unwrap();
    assert_eq!(me["email"], "alice@corp.example");
    assert_eq!(me["groups"], serde_json::json!(["aws-platform-admins", "engineering"]));
    assert_eq!(broker.last_event("sign-in.succeeded").await["connector"], "corp");
}
