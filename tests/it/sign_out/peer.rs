//! With SimpleSAMLphp, which signs its logout messages and wants ours signed.

use regex::Regex;
use rolegate::catalog::NAME_ID;

use super::{assert_ended_here, assert_reached, ended_since, press_sign_out, refused, without_logout};
use crate::broker::Broker;
use crate::browser_client::{Browser, Page};
use crate::peers::SimpleSaml;
use crate::sign_in::{PLAIN, catalog_of, connector_at, is_signed_in};

const REDIRECT: &str = "HTTP-Redirect";
const POST: &str = "HTTP-POST";

/// A broker and a peer that insists on signed logout messages.
struct Company {
    broker: Broker,
    peer: SimpleSaml,
}

impl Company {
    /// `host` is the peer's; `theirs` are the bindings by which we may not send to them, `ours` those by which they may
    /// not send to us.
    async fn start(host: &'static str, theirs: &[&str], ours: &[&str]) -> Self {
        let broker = Broker::wishes().start().await;
        let file = |name: &str| broker.folder().join(name);
        // What we say about ourselves does not depend on the provider; any metadata will do to ask for it.
        std::fs::write(file("any.xml"), crate::hostile::forge::Forge::metadata()).unwrap();
        let described = connector_at("corp", &format!("metadata_file = {:?}", file("any.xml")), PLAIN);
        broker.apply(&catalog_of(&described)).await;
        let metadata = Browser::new().get(&broker.at("/saml/corp/metadata")).await.body;
        let metadata = if ours.is_empty() { metadata } else { without_logout(&metadata, ours) };
        std::fs::write(file("sp.xml"), metadata).unwrap();
        let peer = SimpleSaml::start_with(host, &["--sp-metadata", file("sp.xml").to_str().unwrap()]);
        peer.set("require_signed_logout", true).await;
        let metadata = peer.metadata().await;
        let metadata = if theirs.is_empty() { metadata } else { without_logout(&metadata, theirs) };
        std::fs::write(file("idp.xml"), metadata).unwrap();
        let company = Self { broker, peer };
        company.configure(PLAIN).await;
        company
    }

    async fn configure(&self, attributes: &str) {
        let file = self.broker.folder().join("idp.xml");
        let described = connector_at("corp", &format!("metadata_file = {file:?}"), attributes);
        self.broker.apply(&catalog_of(&described)).await;
    }

    async fn signed_in(&self, user: &str) -> Browser {
        let mut browser = Browser::new();
        let form = browser.get(&self.broker.at("/saml/corp/start")).await;
        let page = self.peer.sign_in(&mut browser, form, user).await;
        assert_eq!((page.status, page.url.path()), (200, "/"), "{}", page.body);
        browser
    }

    async fn is_signed_in(&self, browser: &mut Browser) -> bool {
        is_signed_in(&self.broker, browser).await
    }

    /// Whether the peer asks this browser for a password again.
    async fn is_forgotten_by_the_peer(&self, browser: &mut Browser) -> bool {
        browser.get(&self.broker.at("/saml/corp/start")).await.forms().iter().any(|form| form.has("password"))
    }

    /// Signs out at the peer in this browser, and follows whatever that leads to.
    async fn sign_out_at_peer(&self, browser: &mut Browser) -> Page {
        let back = self.peer.metadata_url();
        let page = browser.get(&format!("{}saml2/idp/initSLO.php?RelayState={back}", self.peer.base())).await;
        let page = browser.go_on(page).await;
        assert_eq!(page.url.as_str(), back, "the peer takes our answer and goes on: {}", page.body);
        page
    }

    /// Signs out here and follows whatever that leads to.
    async fn sign_out_here(&self, browser: &mut Browser) -> Page {
        let page = press_sign_out(&self.broker, browser).await;
        assert_ended_here(&self.broker, browser, &page).await;
        assert!(!self.is_signed_in(browser).await, "before the provider was asked");
        // What the browser is on was forgotten by asking; it is on that page still.
        browser.go_on(page).await
    }

    /// The names in the peer's messages, those it sent and those it got, each with its parts in order of the alphabet.
    fn names_in_messages(&self) -> Vec<String> {
        let log = self.peer.log();
        let names = Regex::new(r"<saml:NameID([^>]*)>([^<]*)</saml:NameID>").unwrap();
        let parts = Regex::new(r#"(?:Format|NameQualifier|SPNameQualifier)="[^"]*""#).unwrap();
        let name = |found: regex::Captures<'_>| {
            let mut said: Vec<_> = parts.find_iter(&found[1]).map(|part| part.as_str()).collect();
            said.sort_unstable();
            format!("{} {}", said.join(" "), &found[2])
        };
        names.captures_iter(&log).map(name).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_out_here_and_at_the_provider_by_redirect() {
    for host in ["127.0.0.1", "localhost"] {
        let company = Company::start(host, &[], &[]).await;
        let mut bob = company.signed_in("bob").await;
        let page = press_sign_out(&company.broker, &mut bob).await;
        let place = page.leads_on().unwrap();
        assert!(place.starts_with(&company.peer.base()) && place.contains("&Signature="), "{place}");
        assert_ended_here(&company.broker, &mut bob, &page).await;
        let page = bob.go_on(page).await;
        assert_reached(&page, "everywhere", "Your session has ended, here and at Corp.");
        assert!(company.is_forgotten_by_the_peer(&mut bob).await);
        assert_eq!(company.broker.last_event("session.ended").await["cause"], "signed-out", "nothing is refused");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_out_here_and_at_the_provider_by_form() {
    for host in ["127.0.0.1", "localhost"] {
        let company = Company::start(host, &[REDIRECT], &[REDIRECT]).await;
        let mut bob = company.signed_in("bob").await;
        let page = press_sign_out(&company.broker, &mut bob).await;
        let form = page.form_with("SAMLRequest");
        assert!(form.action.as_str().starts_with(&company.peer.base()) && form.post, "{}", page.body);
        assert!(!form.has("csrf"), "our form value stays here");
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        let origin = form.action.origin().ascii_serialization();
        assert!(policy.ends_with(&format!("form-action 'self' {origin} https:")), "{policy}");
        assert_ended_here(&company.broker, &mut bob, &page).await;
        let page = bob.go_on(page).await;
        assert_reached(&page, "everywhere", "Your session has ended, here and at Corp.");
        assert!(company.is_forgotten_by_the_peer(&mut bob).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_signs_out_at_the_provider_is_signed_out_here_in_that_session_only() {
    // A form from here to another site takes none of this peer's cookies along, by which it knows whom it is about.
    for (host, ours) in [("127.0.0.1", POST), ("localhost", POST), ("127.0.0.1", REDIRECT)] {
        let company = Company::start(host, &[], &[ours]).await;
        let mut bob = company.signed_in("bob").await;
        let mut elsewhere = company.signed_in("bob").await;
        let mut alice = company.signed_in("alice").await;
        let seq = company.broker.head().await.seq;
        company.sign_out_at_peer(&mut bob).await;
        assert!(!company.is_signed_in(&mut bob).await, "{host}, not by {ours}");
        assert!(company.is_signed_in(&mut elsewhere).await && company.is_signed_in(&mut alice).await);
        assert_eq!(ended_since(&company.broker, seq).await, ["identity-provider-logout"]);
        assert_eq!(company.broker.head().await.seq, seq + 1, "one thing happened");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_all_its_parts_is_given_back_as_it_was_signed() {
    let company = Company::start("127.0.0.1", &[], &[]).await;
    for format in ["persistent", "email", "transient", "unspecified"] {
        company.peer.set("nameid", format).await;
        // Where the name is new every time, the person is known by something else; it is the name that is given back.
        company
            .configure(&format!("subject = {:?}\n{PLAIN}", if format == "transient" { "uid" } else { NAME_ID }))
            .await;
        let mut bob = company.signed_in("bob").await;
        let page = company.sign_out_here(&mut bob).await;
        assert_reached(&page, "everywhere", "Your session has ended");
        assert!(company.is_forgotten_by_the_peer(&mut bob).await, "{format}");
        let names = company.names_in_messages();
        let [.., said, given_back] = names.as_slice() else { panic!("{names:?}") };
        assert!(said.contains(format) || format == "email", "{said}");
        assert_eq!(said, given_back);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_provider_offers_no_sign_out_the_page_says_so() {
    let company = Company::start("127.0.0.1", &[REDIRECT, POST], &[]).await;
    let mut bob = company.signed_in("bob").await;
    let page = press_sign_out(&company.broker, &mut bob).await;
    assert_reached(&page, "not-offered", "Nobody can be signed out of Corp from here, so it may still know you");
    assert!(!company.is_signed_in(&mut bob).await);
    assert!(!company.is_forgotten_by_the_peer(&mut bob).await, "which is so");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_provider_cannot_be_asked_the_session_here_ends_and_the_page_says_so() {
    let company = Company::start("127.0.0.1", &[], &[]).await;
    let mut bob = company.signed_in("bob").await;
    let nowhere = format!("metadata_url = \"http://127.0.0.1:{}/metadata\"", crate::tools::free_port());
    company.broker.apply(&catalog_of(&connector_at("corp", &nowhere, PLAIN))).await;
    let page = press_sign_out(&company.broker, &mut bob).await;
    assert_reached(
        &page,
        "unreachable",
        "Signing you out at Corp too is not possible just now, so it may still know you",
    );
    assert!(!company.is_signed_in(&mut bob).await);

    // The connector may be gone altogether.
    company.configure(PLAIN).await;
    let mut bob = company.signed_in("bob").await;
    let any = format!("metadata_file = {:?}", company.broker.folder().join("any.xml"));
    company.broker.apply(&catalog_of(&connector_at("other", &any, PLAIN))).await;
    let page = press_sign_out(&company.broker, &mut bob).await;
    assert_reached(&page, "not-offered", "Nobody can be signed out of your identity provider from here");
    assert!(!company.is_signed_in(&mut bob).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_counts_once_and_a_person_who_is_back_is_told_so() {
    let company = Company::start("127.0.0.1", &[REDIRECT], &[POST]).await;
    let mut bob = company.signed_in("bob").await;
    let page = press_sign_out(&company.broker, &mut bob).await;
    let request = page.form_with("SAMLRequest");
    let peer = bob.submit(&request).await;
    assert_reached(&peer, "everywhere", "here and at Corp");
    // Back in the history: the peer answers once more, to nothing that is waiting.
    let again = bob.submit(&request).await;
    refused(&company.broker, &again, "unsolicited").await;

    let form = bob.get(&company.broker.at("/saml/corp/start")).await;
    company.peer.sign_in(&mut bob, form, "bob").await;
    let page = bob.get(peer.url.as_str()).await;
    assert!(page.body.contains("Somebody has signed in again in this browser."), "{}", page.body);
}
