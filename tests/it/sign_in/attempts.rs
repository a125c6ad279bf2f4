//! A sign-in under way: which browser began it, whether anybody did, how often its reply counts.

use rolegate::web::problem::Kind;

use super::{Company, catalog, catalog_of, clock, connector, explained, is_signed_in, refused};
use crate::broker::Broker;
use crate::browser_client::{Browser, Form, Page};
use crate::peers::password;

impl Company {
    /// A browser with the provider's answer in its hands, not sent yet.
    async fn answer(&self, user: &str) -> (Browser, Form) {
        let mut browser = Browser::new();
        let form = self.go(&mut browser).await.form_with("password");
        let answer = browser.submit(&form.set("username", user).set("password", password(user))).await;
        (browser, answer.form_with("SAMLResponse"))
    }

    /// A new browser signs somebody in beginning at the provider.
    async fn unasked(&self, user: &str, relay_state: &str) -> (Browser, Page) {
        let mut browser = Browser::new();
        let start = self.peer.start_url(&self.broker.at("/saml/corp/metadata"), relay_state);
        let form = browser.get(&start).await;
        let page = self.peer.sign_in(&mut browser, form, user).await;
        (browser, page)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_nobody_here_began_is_refused_unless_the_connector_takes_those() {
    let company = Company::with("").await;
    let (mut bob, page) = company.unasked("bob", "/go?account=111122223333").await;
    refused(&company.broker, &mut bob, &page, Kind::SignInUnsolicited, "unsolicited").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_the_provider_began_asks_first_and_leads_only_to_pages_of_ours() {
    let company = Company::with("idp_initiated = true").await;
    let broker = &company.broker;
    let cases = [
        ("/go?account=111122223333", "/go"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ];
    for (relay_state, path) in cases {
        let (mut bob, asked) = company.unasked("bob", relay_state).await;
        assert_eq!((asked.status, asked.url.path()), (200, "/saml/corp/finish"), "{}", asked.body);
        assert!(
            asked.body.contains("Continue as Bob Baker?") && asked.body.contains("bob@corp.example"),
            "{}",
            asked.body
        );
        assert!(!is_signed_in(broker, &mut bob).await, "the person has not said yes");
        let page = bob.submit(&asked.form_with("ticket")).await;
        assert_eq!((page.status, page.url.path()), (200, path), "{relay_state}: {}", page.body);
        assert_eq!(page.url.origin(), broker.url("/").origin());
        assert!(is_signed_in(broker, &mut bob).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_counts_once_and_only_from_our_own_page_in_this_browser() {
    let company = Company::with("idp_initiated = true").await;
    let broker = &company.broker;
    let (mut bob, asked) = company.unasked("bob", "").await;
    let yes = asked.form_with("ticket");

    // Another browser has another cookie, and a page elsewhere cannot know the field.
    let mut other = Browser::new();
    other.get(&broker.at("/sign-in")).await;
    for form in [yes.clone(), yes.clone().without("csrf")] {
        let page = other.submit(&form).await;
        assert!(page.status == 403 && page.body.contains(Kind::CrossSite.title()), "{}", page.body);
    }
    let page = bob.submit(&yes.clone().set("csrf", "x")).await;
    assert!(page.status == 403 && page.body.contains(Kind::CrossSite.title()), "{}", page.body);
    let elsewhere = Form { page: "http://evil.example/".parse().unwrap(), ..yes.clone() };
    assert_eq!(bob.submit(&elsewhere).await.status, 403);
    assert!(!is_signed_in(broker, &mut bob).await && !is_signed_in(broker, &mut other).await);

    assert_eq!(bob.submit(&yes).await.status, 200);
    let mut late = Browser::with_cookies_of(&bob);
    let page = late.submit(&yes).await;
    explained(&page, Kind::SignInExpired);
    assert_eq!(broker.last_event("sign-in.refused").await["cause"], "no-ticket");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unasked_reply_is_accepted_once_and_refused_the_second_time() {
    let company = Company::with("idp_initiated = true").await;
    let mut bob = Browser::new();
    let start = company.peer.start_url(&company.broker.at("/saml/corp/metadata"), "");
    let form = bob.get(&start).await.form_with("password").set("username", "bob").set("password", "bob-pass-2");
    let answer = bob.submit(&form).await.form_with("SAMLResponse");
    assert!(bob.submit(&answer).await.has_form_with("ticket"));
    let page = bob.submit(&answer).await;
    refused(&company.broker, &mut bob, &page, Kind::SignInReplayed, "replayed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_is_accepted_once_and_refused_the_second_time_and_the_back_button_ends_nothing() {
    let company = Company::with("").await;
    let broker = &company.broker;
    let (mut bob, answer) = company.answer("bob").await;
    assert_eq!(bob.submit(&answer).await.status, 200);

    let mut other = Browser::new();
    let page = other.submit(&answer).await;
    refused(broker, &mut other, &page, Kind::SignInUnsolicited, "unsolicited").await;

    // Back to the provider's page, whose form goes out once more: an explanation, and the session goes on.
    let page = bob.submit(&answer).await;
    explained(&page, Kind::SignInUnsolicited);
    assert!(is_signed_in(broker, &mut bob).await);

    // With the handle of a sign-in that waits, an old reply is still an old reply.
    let (mut carol, waiting) = company.answer("carol").await;
    let mixed = answer.clone().set("RelayState", waiting.value("RelayState").unwrap());
    let page = carol.submit(&mixed).await;
    refused(broker, &mut carol, &page, Kind::SignInRefused, "in-response-to-wrong").await;
    // That used carol's attempt up: pass or fail, it is answered once.
    let page = carol.submit(&waiting).await;
    refused(broker, &mut carol, &page, Kind::SignInUnsolicited, "unsolicited").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_of_one_browser_sign_in_side_by_side_in_any_order() {
    let company = Company::with("").await;
    let mut bob = Browser::new();
    let first = bob.get(&company.broker.at("/saml/corp/start?return_to=/go%3Faccount%3D111122223333")).await;
    let second = company.go(&mut bob).await;
    let page = company.peer.sign_in(&mut bob, second, "bob").await;
    assert_eq!((page.status, page.url.path()), (200, "/"), "{}", page.body);
    let page = company.peer.sign_in(&mut bob, first, "bob").await;
    assert_eq!((page.status, page.url.path()), (200, "/go"), "{}", page.body);
    assert!(is_signed_in(&company.broker, &mut bob).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_took_too_long_is_asked_to_start_again() {
    let clock = clock();
    let company = Company::wished(Broker::wishes().clock(&clock), "").await;
    let (mut bob, answer) = company.answer("bob").await;
    clock.advance_secs(600);
    let page = bob.submit(&answer).await;
    refused(&company.broker, &mut bob, &page, Kind::SignInExpired, "attempt-expired").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_another_browser_brings_is_refused_and_its_ticket_used_up() {
    let company = Company::with("").await;
    let (mut mallory, answer) = company.answer("carol").await;
    // Mallory gets bob's browser to post her own answer: bob must not end up as her.
    let mut bob = Browser::new();
    company.go(&mut bob).await;
    let page = bob.submit(&answer).await;
    let ticket = page.url.clone();
    assert!(ticket.query().is_some_and(|query| query.starts_with("ticket=")), "{ticket}");
    refused(&company.broker, &mut bob, &page, Kind::SignInOtherBrowser, "other-browser").await;
    let page = mallory.get(ticket.as_str()).await;
    refused(&company.broker, &mut mallory, &page, Kind::SignInExpired, "no-ticket").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_to_one_connector_is_none_to_another() {
    let company = Company::with("").await;
    let connectors = connector(&company.peer, "corp", "", super::PLAIN)
        + &connector(&company.peer, "other", "idp_initiated = true", super::PLAIN);
    company.broker.apply(&catalog_of(&connectors)).await;
    let (mut bob, mut answer) = company.answer("bob").await;
    answer.action.set_path("/saml/other/acs");
    let page = bob.submit(&answer).await;
    refused(&company.broker, &mut bob, &page, Kind::SignInRefused, "other-connector").await;
    let page = bob.submit(&answer).await;
    refused(&company.broker, &mut bob, &page, Kind::SignInRefused, "destination-wrong").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_was_disabled_in_the_meantime_signs_nobody_in() {
    let company = Company::with("").await;
    let (mut bob, answer) = company.answer("bob").await;
    company.broker.apply(&catalog(&company.peer, "enabled = false")).await;
    let page = bob.submit(&answer).await;
    refused(&company.broker, &mut bob, &page, Kind::ConnectorUnknown, "connector-unknown").await;
    explained(&company.go(&mut bob).await, Kind::ConnectorUnknown);
    let choice = bob.get(&company.broker.at("/sign-in")).await;
    assert!(!choice.body.contains("/saml/corp/start"), "{}", choice.body);
}
