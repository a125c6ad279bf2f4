//! A provider behind TLS whose authority only some trust.

use rolegate::web::problem::Kind;
use serde_json::json;

use super::{CLIENT, Company, GROUPS, SCOPES, WITH_SECRET, connector};
use crate::browser_client::Browser;
use crate::peers::oidc::OidcPeer;
use crate::program::{Place, seed};
use crate::sign_in::{catalog_of, explained};

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_whose_certificate_nobody_vouches_for_is_not_talked_to() {
    let company = Company::of(OidcPeer::start_with("127.0.0.1", &["--tls"]), "", GROUPS).await;
    let page = Browser::new().get(&company.broker.at("/oidc/corp/start")).await;
    explained(&page, Kind::IdentityProviderUnavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_authority_is_trusted_once_the_system_trusts_it() {
    let peer = OidcPeer::start_with("127.0.0.1", &["--tls", "--issuer-path", "/corp"]);
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path());
    let lines = format!("client_id = {CLIENT:?}\n{WITH_SECRET}\n{SCOPES}");
    seed(folder.path(), &catalog_of(&connector(&peer, "corp", &lines, GROUPS))).await;
    peer.client_of(&place.base, "corp", CLIENT, json!({})).await;
    let _program = place.start_with(&[("SSL_CERT_FILE", peer.authority().unwrap())]).await;
    let mut bob = Browser::trusting(peer.authority().unwrap());
    let form = bob.get(&format!("{}/oidc/corp/start", place.base)).await;
    let page = peer.sign_in(&mut bob, form, "bob").await;
    assert_eq!((page.status, page.url.path()), (200, "/"), "{}", page.body);
    let me = bob.get(&format!("{}/api/v1/me", place.base)).await;
    assert!(me.body.contains("bob@corp.example"), "{}", me.body);
}
