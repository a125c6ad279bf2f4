//! With the development identity provider, by both of its protocols.

use rolegate::sandbox::{DEMO_CONNECTOR, DEMO_OIDC_CONNECTOR};

use super::{assert_ended_here, assert_reached, ended_since, press_sign_out};
use crate::browser_client::{Browser, Page};
use crate::sandboxed::{Sandboxed, enter_by};
use crate::sign_in::is_signed_in;

async fn signed_in(world: &Sandboxed, connector: &str, person: &str) -> Browser {
    let mut browser = Browser::new();
    let home = enter_by(&mut browser, &world.broker.at("/"), connector, person, "password").await;
    assert_eq!((home.status, home.url.path()), (200, "/"), "{}", home.body);
    browser
}

/// Presses "Sign out" at the provider, and goes on as long as pages lead on.
async fn sign_out_at_provider(world: &Sandboxed, browser: &mut Browser) -> Page {
    let home = browser.get(&world.aws.at("idp")).await;
    let page = browser.submit(&home.form_to("/idp/sign-out")).await;
    browser.go_on(page).await
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_demo_signing_out_here_signs_out_at_the_provider() {
    let world = Sandboxed::start().await;
    for (connector, reach) in [(DEMO_CONNECTOR, "everywhere"), (DEMO_OIDC_CONNECTOR, "sent-back")] {
        let mut asha = signed_in(&world, connector, "asha").await;
        let at_provider = asha.get(&world.aws.at("idp")).await;
        assert!(at_provider.body.contains("/idp/sign-out"), "the provider knows her: {}", at_provider.body);
        let page = press_sign_out(&world.broker, &mut asha).await;
        assert_ended_here(&world.broker, &mut asha, &page).await;
        let last = asha.go_on(page).await;
        assert_reached(&last, reach, "Your session");
        let at_provider = asha.get(&world.aws.at("idp")).await;
        assert!(!at_provider.body.contains("/idp/sign-out"), "and no longer: {}", at_provider.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_demo_signing_out_at_the_provider_signs_out_here() {
    let world = Sandboxed::start().await;
    for connector in [DEMO_CONNECTOR, DEMO_OIDC_CONNECTOR] {
        let mut asha = signed_in(&world, connector, "asha").await;
        let mut elsewhere = signed_in(&world, connector, "asha").await;
        let mut lin = signed_in(&world, connector, "lin").await;
        let seq = world.broker.head().await.seq;
        let page = sign_out_at_provider(&world, &mut asha).await;
        assert!(page.url.as_str().starts_with(world.aws.base.as_str()), "{}: {}", page.url, page.body);
        assert!(!is_signed_in(&world.broker, &mut asha).await, "{connector}");
        assert!(is_signed_in(&world.broker, &mut elsewhere).await && is_signed_in(&world.broker, &mut lin).await);
        assert_eq!(ended_since(&world.broker, seq).await, ["identity-provider-logout"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_by_form_meets_a_provider_that_answers_by_form() {
    let world = Sandboxed::start().await;
    let metadata = Browser::new().get(&world.aws.at("idp/saml/metadata")).await.body;
    let places = regex::Regex::new(r#"<md:SingleLogoutService [^>]*HTTP-Redirect"[^>]*></md:SingleLogoutService>"#);
    let by_form = places.unwrap().replace_all(&metadata, "");
    assert!(by_form != metadata && by_form.contains("SingleLogoutService"), "{metadata}");
    let file = world.broker.folder().join("by-form.xml");
    std::fs::write(&file, by_form.as_bytes()).unwrap();
    let url = format!("metadata_url = {:?}", world.aws.at("idp/saml/metadata"));
    world.change_catalog(&url, &format!("metadata_file = {file:?}")).await;
    let mut asha = signed_in(&world, DEMO_CONNECTOR, "asha").await;
    let page = press_sign_out(&world.broker, &mut asha).await;
    assert!(page.leads_on().is_none() && page.has_form_with("SAMLRequest"), "{}", page.body);
    assert_ended_here(&world.broker, &mut asha, &page).await;
    let last = asha.go_on(page).await;
    assert_reached(&last, "everywhere", "Your session has ended, here and at");
}
