//! Signing in with a real identity provider.

mod attempts;
mod openid;
mod replies;
mod sessions;
mod tickets;
mod trust;

use std::sync::Arc;

use rolegate::sys::{Clock, ManualClock, SystemClock};
use rolegate::web::problem::Kind;
use serde_json::Value;

use crate::broker::{Broker, Wishes};
use crate::browser_client::{Browser, Page};
use crate::peers::SimpleSaml;

/// Where the attributes of SimpleSAMLphp's plain names go.
pub const PLAIN: &str = r#"
    email = "mail"
    name = "displayName"
    groups = "groups"
    [connector.attributes.extra]
    department = "department"
"#;

/// A catalog that reaches the peer and gives its people a role or two.
pub fn catalog(peer: &SimpleSaml, more: &str) -> String {
    catalog_of(&connector(peer, "corp", more, PLAIN))
}

/// A connector that fetches the peer's metadata.
pub fn connector(peer: &SimpleSaml, id: &str, more: &str, attributes: &str) -> String {
    connector_at(id, &format!("metadata_url = {:?}\n{more}", peer.metadata_url()), attributes)
}

/// A connector whose metadata is where `lines` say.
pub fn connector_at(id: &str, lines: &str, attributes: &str) -> String {
    format!(
        "[[connector]]\nid = {id:?}\nkind = \"saml\"\nname = \"Corp\"\n{lines}\n[connector.attributes]\n{attributes}\n"
    )
}

/// These connectors, an account and two roles.
pub fn catalog_of(connectors: &str) -> String {
    format!(
        r#"
        {connectors}

        [[account]]
        id = "111122223333"
        name = "Payments production"

        [[role]]
        account = "111122223333"
        name = "ReadOnly"
        max_session = "4h"

        [[role]]
        account = "111122223333"
        name = "Visitor"

        [[rule]]
        id = "engineers-read"
        when = {{ groups = "engineering" }}
        grant = [{{ account = "*", role = "ReadOnly" }}]

        [[rule]]
        id = "vendors-visit"
        when = {{ department = 'Vendor "Staffing"' }}
        grant = [{{ account = "*", role = "Visitor" }}]
        "#
    )
}

/// The machine's time, standing still until the test moves it. The peer's clock goes on.
pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(SystemClock.now()))
}

/// A broker and a SimpleSAMLphp that know each other.
pub struct Company {
    pub broker: Broker,
    pub peer: SimpleSaml,
}

impl Company {
    /// One connector, `corp`, with these settings.
    pub async fn with(connector: &str) -> Self {
        Self::wished(Broker::wishes(), connector).await
    }

    pub async fn wished(wishes: Wishes, connector: &str) -> Self {
        let broker = wishes.start().await;
        let peer = SimpleSaml::start(&broker.at("/saml/corp/metadata"));
        broker.apply(&catalog(&peer, connector)).await;
        Self { broker, peer }
    }

    /// Goes to the identity provider, which shows its sign-in page unless it knows the browser.
    pub async fn go(&self, browser: &mut Browser) -> Page {
        browser.get(&self.broker.at("/saml/corp/start")).await
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

    pub async fn me(&self, browser: &mut Browser) -> Value {
        me(&self.broker, browser).await
    }
}

/// `GET /api/v1/me` of somebody who is signed in.
pub async fn me(broker: &Broker, browser: &mut Browser) -> Value {
    let page = browser.get(&broker.at("/api/v1/me")).await;
    assert_eq!(page.status, 200, "{}", page.body);
    serde_json::from_str(&page.body).unwrap()
}

pub async fn is_signed_in(broker: &Broker, browser: &mut Browser) -> bool {
    let page = browser.get(&broker.at("/api/v1/me")).await;
    assert!(matches!(page.status, 200 | 401), "{}", page.body);
    page.status == 200
}

/// The page says what kind of problem it is and under which id to ask; the audit log has the true cause under that id;
/// nobody is signed in.
pub async fn refused(broker: &Broker, browser: &mut Browser, page: &Page, kind: Kind, cause: &str) {
    explained(page, kind);
    let (found, body) = broker.events().await.pop().unwrap();
    assert_eq!((found.as_str(), body["cause"].as_str()), ("sign-in.refused", Some(cause)), "{body}");
    let support_id = page.headers["x-request-id"].to_str().unwrap();
    assert_eq!(broker.last_reference().await.as_deref(), Some(support_id));
    assert!(!is_signed_in(broker, browser).await, "refused, and signed in all the same");
}

/// A page for a person: status, heading, a sentence on what to do, a support id and a way on.
pub fn explained(page: &Page, kind: Kind) {
    assert_eq!(page.status, kind.status().as_u16(), "{}", page.body);
    assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"), "{:?}", page.headers);
    assert_eq!(page.headers["cache-control"], "no-store");
    let support_id = page.headers["x-request-id"].to_str().unwrap();
    let sentence = kind.sentence().replace('\'', "&#39;");
    for part in [kind.title(), &sentence, support_id, "href=\"/sign-in"] {
        assert!(page.body.contains(part), "{part} is missing:\n{}", page.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_and_comes_back_to_where_they_were() {
    let company = Company::with("").await;
    let Company { broker, peer } = &company;
    let mut alice = Browser::new();
    let choice = alice.get(&broker.at("/go?account=111122223333")).await;
    assert_eq!(choice.url.path(), "/sign-in");
    let form = alice.follow(&choice.link("/saml/corp/start")).await;
    let back = peer.sign_in(&mut alice, form, "alice").await;
    assert_eq!((back.status, back.url.path()), (200, "/go"), "{}", back.body);
    assert!(back.body.contains("ReadOnly"), "{}", back.body);

    let me = company.me(&mut alice).await;
    assert_eq!(me["email"], "alice@corp.example");
    assert_eq!(me["groups"], serde_json::json!(["aws-platform-admins", "engineering"]));
    assert_eq!(broker.last_event("sign-in.succeeded").await["connector"], "corp");
}
