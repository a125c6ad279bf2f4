//! How the broker proves to the provider who it is.

use rolegate::web::problem::Kind;
use serde_json::{Value, json};

use super::{CLIENT, Company, GROUPS, SCOPES, connector};
use crate::sign_in::catalog_of;

impl Company {
    /// A company whose connector and registration are these.
    async fn client(id: &str, lines: &str, registration: Value) -> Self {
        let company = Self::with("").await;
        company.peer.client_of(&company.broker.base, "corp", id, registration).await;
        company.reconfigured(id, lines).await;
        company
    }

    async fn reconfigured(&self, id: &str, lines: &str) {
        let lines = format!("client_id = {id:?}\n{SCOPES}\n{lines}");
        self.broker.apply(&catalog_of(&connector(&self.peer, "corp", &lines, GROUPS))).await;
    }

    /// How the last code was exchanged.
    async fn authenticated_by(&self) -> String {
        self.signed_in("bob").await;
        self.peer.last("grant.success").await["client_auth"].as_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_goes_into_the_header_unless_the_connector_says_otherwise() {
    let company = Company::with("").await;
    assert_eq!(company.authenticated_by().await, "client_secret_basic");
    company.registered(json!({ "token_endpoint_auth_method": "client_secret_post" })).await;
    company.configured("client_auth = \"client_secret_post\"", GROUPS).await;
    assert_eq!(company.authenticated_by().await, "client_secret_post");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identifier_and_a_secret_with_every_special_character_are_encoded() {
    let (id, secret) = ("role gate/%41+&=:?#@\"x", "p%2Fs +&=:?#@/\"'~*");
    for method in ["client_secret_basic", "client_secret_post"] {
        let lines = format!("client_secret = {secret:?}\nclient_auth = {method:?}");
        let registration = json!({ "client_secret": secret, "token_endpoint_auth_method": method });
        let company = Company::client(id, &lines, registration).await;
        assert_eq!(company.authenticated_by().await, method);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_secret_relies_on_its_proof() {
    let registration = json!({ "client_secret": null, "token_endpoint_auth_method": "none" });
    let company = Company::client("public", "", registration).await;
    assert_eq!(company.authenticated_by().await, "none");
    company.reconfigured("public", "client_auth = \"none\"").await;
    assert_eq!(company.authenticated_by().await, "none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_ours_proves_who_we_are_and_the_provider_fetches_its_public_half() {
    let company = Company::with("").await;
    let keys = company.broker.at("/oidc/corp/jwks.json");
    let registration =
        json!({ "client_secret": null, "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": keys });
    company.peer.client_of(&company.broker.base, "corp", "signs", registration).await;
    company.reconfigured("signs", "client_auth = \"private_key_jwt\"").await;
    assert_eq!(company.authenticated_by().await, "private_key_jwt");
    let published: Value = serde_json::from_str(&reqwest::get(&keys).await.unwrap().text().await.unwrap()).unwrap();
    let published = published["keys"].as_array().unwrap();
    assert!(!published.is_empty());
    for key in published {
        assert_eq!(key["kty"], "RSA");
        for private in ["d", "p", "q", "dp", "dq", "qi"] {
            assert!(key.get(private).is_none(), "{private} is published");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_the_operators_to_mend_and_is_told_in_full_to_nobody_else() {
    let company = Company::client(CLIENT, "client_secret = \"yesterday's secret\"", json!({})).await;
    company.refused("bob", Kind::IdentityProviderError, "token-refused").await;
    let body = company.broker.last_event("sign-in.refused").await;
    assert!(body["detail"].as_str().unwrap().contains("invalid_client"), "{body}");
    let everything = company.broker.bytes_on_disk();
    let kept = everything.windows(18).any(|window| window == b"yesterday's secret");
    assert!(!kept, "the secret is on disk in clear");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_wants_a_key_takes_no_secret() {
    let company = Company::with("").await;
    let keys = company.broker.at("/oidc/corp/jwks.json");
    company.registered(json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": keys })).await;
    company.refused("bob", Kind::IdentityProviderError, "token-refused").await;
}
