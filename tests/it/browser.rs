//! The stories of `tests/browser`, told by Chromium.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::broker::Broker;
use crate::demo::Demo;
use crate::oidc;
use crate::peers::SimpleSaml;
use crate::peers::oidc::OidcPeer;
use crate::sign_in::{PLAIN, catalog_of, connector, connector_at};
use crate::sign_out::without_logout;
use crate::tools::{chromium, python_tool, repository};

/// Runs every story of a file and shows what was said about those that do not hold.
async fn tell(file: &str, where_things_are: &[(&str, &str)]) {
    let mut command = Command::new(python_tool("python"));
    command
        .args(["-m", "unittest", "-v", file])
        .current_dir(repository().join("tests/browser"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CHROMIUM", chromium())
        .env("AWS_CLI", python_tool("aws"))
        .env("ARTIFACTS", repository().join("target/browser"))
        .envs(where_things_are.iter().copied())
        .stdin(Stdio::null());
    // Elsewhere, so that the broker of this very process can answer meanwhile.
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("skipped"), "a story was not told:\n{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_and_use_their_roles_in_the_demo() {
    let demo = Demo::start().await;
    tell("stories", &[("BROKER_URL", &demo.broker), ("SANDBOX_URL", &demo.sandbox)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_allow_programs_here_and_on_devices_elsewhere() {
    let demo = Demo::start().await;
    tell("programs", &[("BROKER_URL", &demo.broker), ("SANDBOX_URL", &demo.sandbox)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_at_an_identity_provider_on_another_site() {
    let broker = Broker::wishes().start().await;
    let ours = ["corp", "forms"].map(|id| broker.at(&format!("/saml/{id}/metadata")));
    let peer = SimpleSaml::start_with("localhost", &["--sp-metadata", &ours[0], "--sp-metadata", &ours[1]]);
    // The same provider, as if it took logout messages by form only.
    let file = broker.folder().join("forms.xml");
    std::fs::write(&file, without_logout(&peer.metadata().await, &["HTTP-Redirect"])).unwrap();
    let corp = connector(&peer, "corp", "idp_initiated = true", PLAIN);
    let forms = connector_at("forms", &format!("metadata_file = {file:?}"), PLAIN);
    broker.apply(&catalog_of(&(corp + &forms))).await;
    let start = peer.start_url(&broker.at("/saml/corp/metadata"), "");
    tell("foreign", &[("BROKER_URL", broker.at("").trim_end_matches('/')), ("IDP_START_URL", &start)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_at_an_openid_provider_on_another_site() {
    let (broker, peer) = (Broker::wishes().start().await, OidcPeer::start_with("localhost", &[]));
    let mut connectors = String::new();
    for (id, mode) in [("corp", "query"), ("posted", "form_post")] {
        peer.client_of(&broker.base, id, id, json!({})).await;
        let lines = format!(
            "client_id = {id:?}\nclient_secret = {:?}\nscopes = [\"openid\", \"profile\", \"email\", \"groups\"]\n\
             response_mode = {mode:?}",
            oidc::SECRET
        );
        connectors.push_str(&oidc::connector(&peer, id, &lines, "groups = \"groups\""));
    }
    broker.apply(&catalog_of(&connectors)).await;
    tell("openid", &[("BROKER_URL", broker.at("").trim_end_matches('/'))]).await;
}
