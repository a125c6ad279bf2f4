//! A session that ends soon is renewed without losing one's place.

use super::{answer_as, apply};
use crate::broker::Broker;
use crate::sandboxed::Sandboxed;

#[tokio::test(flavor = "multi_thread")]
async fn renewing_leads_through_the_own_connector_and_back_to_the_same_page() {
    let world = Sandboxed::with(Broker::wishes().set("session.absolute_timeout", "1h")).await;
    apply(&world, "", &super::partners(&world, "default = true")).await;
    let mut asha = super::own_browser(&world, "dev", "asha").await;
    let page = asha.open("/?q=payments+prod").await;
    assert!(!page.body.contains("/renew"), "there is time yet: {}", page.body);

    world.clock.advance_secs(3_000);
    let page = asha.open("/?q=payments+prod").await;
    assert!(page.body.contains("Your session ends in 10 minutes."), "{}", page.body);
    let before = asha.session().to_owned();
    let people = asha.browser.follow(&page.link("/renew?return_to=")).await;
    assert!(people.url.as_str().contains("/idp/"), "{}", people.url);
    assert_eq!(asha.session(), before, "the old session goes on until the new one begins");
    let back = answer_as(&mut asha.browser, &people, "asha").await;
    assert_eq!((back.url.path(), back.url.query()), ("/", Some("q=payments+prod")), "{}", back.body);
    assert!(!back.body.contains("/renew") && back.body.contains("ReadOnly"));
    assert_ne!(asha.session(), before);
    let me = asha.program_get("/api/v1/me").await.json();
    assert_eq!(me["connector"], "dev", "not through the default");
    let events = world.broker.events().await;
    let ended: Vec<_> =
        events.iter().filter(|(kind, _)| kind == "session.ended").map(|(_, body)| &body["cause"]).collect();
    assert_eq!(ended, ["replaced"]);

    world.clock.advance_secs(3_000);
    assert_eq!(asha.open("/").await.status, 200, "the new session has an hour of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn renewing_leads_nowhere_else_and_needs_a_session_and_its_connector() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    asha.open("/").await;
    let people = asha.open("/renew?return_to=https://evil.example/").await;
    let back = answer_as(&mut asha.browser, &people, "asha").await;
    assert_eq!((back.url.path(), back.url.host_str()), ("/", Some("127.0.0.1")));

    let mut stranger = crate::browser_client::Browser::new();
    let page = stranger.get(&world.broker.at("/renew?return_to=%2F%3Fq%3Dx")).await;
    assert_eq!(page.url.path(), "/sign-in");

    apply(&world, "enabled = false", "").await;
    let page = asha.open("/renew?return_to=%2F").await;
    assert_eq!(page.status, 404, "{}", page.body);
    assert!(page.body.contains("Use another way to sign in"), "{}", page.body);
}
