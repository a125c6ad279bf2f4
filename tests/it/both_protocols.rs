//! The demo's two ways in, SAML and OpenID Connect, lead to the same identity provider and the same person.

use rolegate::sandbox::{DEMO_CONNECTOR, DEMO_OIDC_CONNECTOR};
use serde_json::{Value, json};

use crate::browser_client::Browser;
use crate::sandboxed::{Person, Sandboxed, answer_as, enter_by};

const READ_ONLY: &str = "/roles/111122223333/ReadOnly/credentials";

/// Somebody who came through a connector, and what the broker knows of them.
async fn come(world: &Sandboxed, connector: &str, person: &str, strength: &str) -> (Person, Value) {
    let mut browser = Browser::new();
    let home = enter_by(&mut browser, &world.broker.at("/"), connector, person, strength).await;
    assert_eq!((home.status, home.url.path()), (200, "/"), "{}", home.body);
    let person = Person::new(&world.broker.base, browser, &home);
    let me = person.program_get("/api/v1/me").await.json();
    (person, me)
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_the_same_person_with_the_same_roles_through_either_protocol() {
    let world = Sandboxed::start().await;
    let mut choice = Browser::new();
    let page = choice.get(&world.broker.at("/sign-in")).await;
    for name in ["Larkspur Freight (SAML)", "Larkspur Freight (OpenID Connect)"] {
        assert!(page.body.contains(name), "{name} is not in {}", page.body);
    }
    let (by_saml, saml) = come(&world, DEMO_CONNECTOR, "zoe", "password").await;
    let (mut by_oidc, oidc) = come(&world, DEMO_OIDC_CONNECTOR, "zoe", "password").await;
    for field in ["name", "email", "groups", "attributes"] {
        assert_eq!(saml[field], oidc[field], "{field}");
    }
    assert_eq!(oidc["attributes"]["department"], json!(["Research and Development"]));
    assert_eq!((&saml["connector"], &oidc["connector"]), (&json!("dev"), &json!("dev-oidc")));
    assert_eq!(saml["subject"], "zoe");
    assert_ne!(oidc["subject"], "zoe", "what was signed");
    let event = world.broker.last_event("sign-in.succeeded").await;
    assert_eq!(event["connector"], "dev-oidc");

    let roles = async |person: &Person| person.program_get("/api/v1/roles").await.body;
    let names = |text: &str| text.matches("\"role\"").count();
    assert_eq!(names(&roles(&by_saml).await), names(&roles(&by_oidc).await));
    let sessions = by_oidc.open("/sessions").await.body;
    assert!(sessions.contains("(SAML)") && sessions.contains("(OpenID Connect)"), "{sessions}");
    for person in [by_saml, by_oidc] {
        let issued = person.program_post(READ_ONLY, &[("format", "json")]).await;
        assert_eq!(issued.status, 200, "{}", issued.body);
    }
    assert_eq!(world.aws.wire.sts_calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_changes_its_keys_keeps_its_people() {
    let world = Sandboxed::start().await;
    let mut operator = Browser::new();
    come(&world, DEMO_OIDC_CONNECTOR, "lin", "password").await;
    for step in ["Publish a new key", "Sign with the new key", "Drop the old key"] {
        let home = operator.get(&world.aws.at("idp")).await;
        assert!(home.body.contains(step), "{step} is not in {}", home.body);
        operator.submit(&home.form_to("/rotate")).await;
        // Keys are not fetched again for everybody who asks.
        world.clock.advance_secs(120);
        come(&world, DEMO_OIDC_CONNECTOR, "lin", "security-key").await;
    }
    assert_eq!(world.broker.last_event("sign-in.succeeded").await["connector"], "dev-oidc");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_that_wants_a_security_key_gets_it_through_either_protocol() {
    const RESPOND: &str = "/roles/127790045613/SecurityResponder/credentials";
    let world = Sandboxed::start().await;
    for connector in [DEMO_CONNECTOR, DEMO_OIDC_CONNECTOR] {
        let (mut mateo, _) = come(&world, connector, "mateo", "password").await;
        let page = mateo.post(RESPOND, &[("duration", "900")]).await;
        assert_eq!(page.status, 403, "{}", page.body);
        let people = mateo.browser.follow(&page.link("/step-up/")).await;
        assert!(people.body.contains("say it again"), "{}", people.body);
        // What the role asks for is passed on, so that nobody has to guess.
        assert_eq!(people.form_with("pending").value("strength"), Some("security-key"));
        let back = answer_as(&mut mateo.browser, &people, "mateo", "security-key").await;
        assert!(back.url.path().starts_with("/continue/"), "{}: {}", back.url, back.body);
        let issued = mateo.browser.submit(&back.form_to(RESPOND)).await;
        assert!(issued.status == 200 && issued.body.contains("Credentials for"), "{}", issued.body);
    }
    assert_eq!(world.aws.wire.sts_calls(), 2);
}
