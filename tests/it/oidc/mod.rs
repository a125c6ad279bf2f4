//! Signing in with a real OpenID Connect provider.

mod asking;
mod claims;
mod clients;
mod keys;
mod logout;
mod secure;

use rolegate::web::problem::Kind;
use serde_json::{Value, json};

use crate::broker::{Broker, Wishes};
use crate::browser_client::{Browser, Page};
use crate::peers::oidc::OidcPeer;
use crate::sign_in::{catalog_of, refused};

pub const CLIENT: &str = "rolegate";
/// What [`OidcPeer::client_of`] registers.
pub const SECRET: &str = "a secret that only the two of us know";
const SCOPES: &str = "scopes = [\"openid\", \"profile\", \"email\", \"groups\"]";
const WITH_SECRET: &str = "client_secret = \"a secret that only the two of us know\"";
const GROUPS: &str = "groups = \"groups\"";

/// A connector that reaches the peer, with these lines and attributes.
pub fn connector(peer: &OidcPeer, id: &str, lines: &str, attributes: &str) -> String {
    format!(
        "[[connector]]\nid = {id:?}\nkind = \"oidc\"\nname = \"Corp\"\nissuer = {:?}\n{lines}\n\
         [connector.attributes]\n{attributes}\nextra = {{ department = \"department\" }}\n",
        peer.issuer()
    )
}

/// A broker and an oidc-provider that know each other.
pub struct Company {
    pub broker: Broker,
    pub peer: OidcPeer,
}

impl Company {
    /// One connector, `corp`, with a secret and these further settings.
    pub async fn with(settings: &str) -> Self {
        Self::of(OidcPeer::start(), settings, GROUPS).await
    }

    /// With this peer, and attributes.
    pub async fn of(peer: OidcPeer, settings: &str, attributes: &str) -> Self {
        Self::wished(Broker::wishes(), peer, settings, attributes).await
    }

    pub async fn wished(wishes: Wishes, peer: OidcPeer, settings: &str, attributes: &str) -> Self {
        let company = Self { broker: wishes.start().await, peer };
        company.registered(json!({})).await;
        company.configured(settings, attributes).await;
        company
    }

    /// Registers the broker at the peer, changed by `more`.
    pub async fn registered(&self, more: Value) {
        self.peer.client_of(&self.broker.base, "corp", CLIENT, more).await;
    }

    /// Puts a catalog in place whose connector has these settings.
    pub async fn configured(&self, settings: &str, attributes: &str) {
        let scopes = if settings.contains("scopes") { "" } else { SCOPES };
        let lines = format!("client_id = {CLIENT:?}\n{WITH_SECRET}\n{scopes}\n{settings}");
        self.broker.apply(&catalog_of(&connector(&self.peer, "corp", &lines, attributes))).await;
    }

    /// Goes to the provider, which shows its sign-in page unless it knows the browser.
    pub async fn go(&self, browser: &mut Browser) -> Page {
        browser.get(&self.broker.at("/oidc/corp/start")).await
    }

    /// A new browser signs somebody in; what it shows then is for the test to judge.
    pub async fn attempt(&self, user: &str) -> (Browser, Page) {
        let mut browser = Browser::new();
        let form = self.go(&mut browser).await;
        let page = self.peer.sign_in(&mut browser, form, user).await;
        (browser, page)
    }

    /// A new browser in which somebody is signed in.
    pub async fn signed_in(&self, user: &str) -> Browser {
        let (browser, page) = self.attempt(user).await;
        assert_eq!((page.status, page.url.path()), (200, "/"), "{}", page.body);
        assert_eq!(self.broker.last_event("sign-in.succeeded").await["connector"], "corp");
        browser
    }

    /// A new browser is refused for this cause, and told so.
    pub async fn refused(&self, user: &str, kind: Kind, cause: &str) {
        let (mut browser, page) = self.attempt(user).await;
        refused(&self.broker, &mut browser, &page, kind, cause).await;
    }

    /// Who somebody is who signs in now.
    pub async fn who(&self, user: &str) -> Value {
        let mut browser = self.signed_in(user).await;
        self.me(&mut browser).await
    }

    pub async fn me(&self, browser: &mut Browser) -> Value {
        crate::sign_in::me(&self.broker, browser).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_and_comes_back_to_where_they_were() {
    let company = Company::with("").await;
    let Company { broker, peer } = &company;
    let mut alice = Browser::new();
    let choice = alice.get(&broker.at("/go?account=111122223333")).await;
    assert_eq!(choice.url.path(), "/sign-in");
    let form = alice.follow(&choice.link("/oidc/corp/start")).await;
    let back = peer.sign_in(&mut alice, form, "alice").await;
    assert_eq!((back.status, back.url.path()), (200, "/go"), "{}", back.body);
    assert!(back.body.contains("ReadOnly"), "{}", back.body);

    let me = company.me(&mut alice).await;
    assert_eq!((&me["name"], &me["email"]), (&json!("Alice Archer"), &json!("alice@corp.example")));
    assert_eq!(me["groups"], json!(["aws-platform-admins", "engineering"]));
    assert_eq!(me["attributes"], json!({ "department": ["Platform"] }));
    assert!(me["subject"].as_str().unwrap().starts_with("00u"), "{me}");
    assert_eq!(broker.last_event("sign-in.succeeded").await["connector"], "corp");

    // The provider knows her now, and another start leads straight back.
    let mut again = Browser::with_cookies_of(&alice);
    let page = company.go(&mut again).await;
    assert_eq!((page.status, page.url.path()), (200, "/"), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_departments_arrive_as_they_are_written() {
    let company = Company::with("").await;
    let carol = company.who("carol").await;
    assert_eq!(carol["name"], "Carol Núñez");
    assert_eq!(carol["attributes"]["department"], json!(["Vendor \"Staffing\""]));
    assert_eq!(company.who("bob").await["attributes"]["department"], json!(["Research & Development"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_is_asked_for_is_what_the_connector_says_and_proof_is_always_in_it() {
    let company = Company::with("scopes = [\"openid\", \"email\"]").await;
    company.signed_in("bob").await;
    let asked = company.peer.last("authorization.accepted").await["params"].clone();
    assert_eq!(asked["scope"], "openid email", "nothing is added");
    assert_eq!((&asked["response_type"], &asked["code_challenge_method"]), (&json!("code"), &json!("S256")));
    for name in ["state", "nonce", "code_challenge"] {
        let value = asked[name].as_str().unwrap_or_else(|| panic!("{name} is missing: {asked}"));
        assert!(value.len() >= 43, "{name} = {value}");
    }
    let values: std::collections::HashSet<_> =
        ["state", "nonce", "code_challenge"].iter().map(|name| asked[*name].as_str()).collect();
    assert_eq!(values.len(), 3, "none of them tells another: {asked}");
    for name in ["prompt", "max_age", "acr_values", "login_hint", "response_mode"] {
        assert!(asked.get(name).is_none(), "{name} was asked for: {asked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_at_the_provider_leads_to_a_page_with_a_way_on() {
    let company = Company::with("").await;
    let mut bob = Browser::new();
    let page = company.go(&mut bob).await;
    let page = company.peer.cancel(&mut bob, page).await;
    refused(&company.broker, &mut bob, &page, Kind::IdentityProviderError, "provider-error").await;
    let body = company.broker.last_event("sign-in.refused").await;
    assert!(body["detail"].as_str().unwrap().contains("access_denied"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_with_a_path_is_found_and_compared_byte_for_byte() {
    let peer = OidcPeer::start_with("127.0.0.1", &["--issuer-path", "/realms/corp"]);
    let company = Company::of(peer, "", GROUPS).await;
    company.signed_in("bob").await;
    let issuer = company.peer.issuer();
    for wrong in [format!("{issuer}/"), issuer.replace("corp", "CORP"), issuer.replace("/realms/corp", "")] {
        let lines = format!("client_id = {CLIENT:?}\n{WITH_SECRET}\n{SCOPES}");
        let toml =
            connector(&company.peer, "corp", &lines, GROUPS).replace(&format!("{issuer:?}"), &format!("{wrong:?}"));
        company.broker.apply(&catalog_of(&toml)).await;
        let page = Browser::new().get(&company.broker.at("/oidc/corp/start")).await;
        crate::sign_in::explained(&page, Kind::IdentityProviderUnavailable);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_posted_from_another_site_finds_its_browser() {
    let peer = OidcPeer::start_with("localhost", &[]);
    let company = Company::of(peer, "response_mode = \"form_post\"", GROUPS).await;
    let mut alice = Browser::new();
    let form = company.go(&mut alice).await;
    // Its answer is a form that a script submits.
    let answer = company.peer.sign_in(&mut alice, form, "alice").await;
    assert!(answer.has_form_with("code"), "{}", answer.body);
    let page = alice.submit(&answer.form_with("code")).await;
    assert_eq!((page.status, page.url.path()), (200, "/"), "{}", page.body);
    // In the hands of another browser the same kind of answer is nothing.
    let mut mallory = Browser::new();
    let form = company.go(&mut mallory).await;
    let answer = company.peer.sign_in(&mut mallory, form, "bob").await;
    let mut victim = Browser::new();
    company.go(&mut victim).await;
    let page = victim.submit(&answer.form_with("code")).await;
    refused(&company.broker, &mut victim, &page, Kind::SignInOtherBrowser, "other-browser").await;
}
