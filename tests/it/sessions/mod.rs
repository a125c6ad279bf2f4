//! Choosing a way in, and what somebody and their administrator can see and do about sessions.

use rolegate::sandbox::DEMO_CONNECTOR;

use crate::browser_client::{Browser, Page};
use crate::sandboxed::{Person, Sandboxed};

mod admin;
mod choosing;
mod own;
mod renewing;

/// A second connector to the same identity provider, with more lines of its own.
pub fn partners(world: &Sandboxed, more: &str) -> String {
    let metadata = world.aws.catalog();
    let metadata =
        metadata.lines().find(|line| line.starts_with("metadata_url")).expect("the demo's connector has one");
    format!(
        "\n[[connector]]\nid = \"partners\"\nkind = \"saml\"\nname = \"Partners\"\n{metadata}\nforce_authn = true\n{more}\n\
         [connector.attributes]\nemail = \"email\"\nname = \"displayName\"\ngroups = \"groups\"\n"
    )
}

/// An OpenID provider that nobody needs to answer for.
pub fn entra(more: &str) -> String {
    format!(
        "\n[[connector]]\nid = \"entra\"\nkind = \"oidc\"\nname = \"Entra ID\"\nissuer = \"https://login.example/t/v2.0\"\n\
         client_id = \"rolegate\"\nclient_auth = \"none\"\n{more}\n"
    )
}

/// The demo's catalog, with more lines in its connector and more at its end.
pub async fn apply(world: &Sandboxed, in_connector: &str, at_end: &str) {
    let id = format!("id = \"{DEMO_CONNECTOR}\"\n");
    let catalog = world.aws.catalog();
    assert!(catalog.contains(&id));
    world.broker.apply(&format!("{}{at_end}", catalog.replace(&id, &format!("{id}{in_connector}\n")))).await;
}

/// Goes from a page of the identity provider to the end, as this person.
pub async fn answer_as(browser: &mut Browser, people: &Page, person: &str) -> Page {
    let answer = browser.submit(&people.form_with("pending").set("person", person)).await;
    browser.submit(&answer.form_with("SAMLResponse")).await
}

/// Somebody in a new browser, signed in through this SAML connector.
pub async fn own_browser(world: &Sandboxed, connector: &str, person: &str) -> Person {
    let mut browser = Browser::new();
    browser.get(&world.broker.at("/sign-in?choose=1")).await;
    let people = browser.follow(&format!("/saml/{connector}/start")).await;
    let home = answer_as(&mut browser, &people, person).await;
    assert_eq!((home.status, home.url.path()), (200, "/"), "{}", home.body);
    Person::new(&world.broker.base, browser, &home)
}
