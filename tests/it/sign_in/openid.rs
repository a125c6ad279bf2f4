//! Signing in through OpenID Connect: the way there and back, and what only this protocol can get wrong at our door.

use rolegate::web::problem::Kind;
use serde_json::{Value, json};

use super::{catalog_of, is_signed_in, me, refused};
use crate::broker::Broker;
use crate::browser_client::{Browser, Page};
use crate::peers::oidc::OidcPeer;

/// A broker and an OpenID provider that know each other.
struct Company {
    broker: Broker,
    peer: OidcPeer,
}

impl Company {
    /// One connector, `corp`, with these settings.
    async fn with(settings: &str) -> Self {
        let (broker, peer) = (Broker::wishes().start().await, OidcPeer::start_with("localhost", &[]));
        peer.client_of(&broker.base, "corp", "rolegate", json!({})).await;
        let connector = format!(
            "[[connector]]\nid = \"corp\"\nkind = \"oidc\"\nissuer = {:?}\nclient_id = \"rolegate\"\n\
             client_secret = \"a secret that only the two of us know\"\n\
             scopes = [\"openid\", \"profile\", \"email\", \"groups\"]\n{settings}\n\
             [connector.attributes]\ngroups = \"groups\"\nextra = {{ department = \"department\" }}\n",
            peer.issuer()
        );
        broker.apply(&catalog_of(&connector)).await;
        Self { broker, peer }
    }

    /// Goes to the provider, signs in there, and gives the address it sends the browser back to, without following.
    async fn answer(&self, browser: &mut Browser) -> Page {
        let form = browser.get(&self.broker.at("/oidc/corp/start?return_to=%2Fgo%3Faccount%3D111122223333")).await;
        self.peer.sign_in(browser, form, "alice").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_through_openid_connect_and_comes_back_to_where_they_were() {
    let company = Company::with("").await;
    let mut alice = Browser::new();
    let choice = alice.get(&company.broker.at("/go?account=111122223333")).await;
    assert_eq!(choice.url.path(), "/sign-in");
    let form = alice.follow(&choice.link("/oidc/corp/start")).await;
    let back = company.peer.sign_in(&mut alice, form, "alice").await;
    assert_eq!((back.status, back.url.path()), (200, "/go"), "{}", back.body);
    let me = me(&company.broker, &mut alice).await;
    assert_eq!(me["email"], "alice@corp.example");
    assert_eq!(me["groups"], json!(["aws-platform-admins", "engineering"]));
    assert!(me["subject"].as_str().unwrap().starts_with("00u"), "the sub as it was signed: {me}");
    let event = company.broker.last_event("sign-in.succeeded").await;
    assert_eq!(event["connector"], "corp");
    let asked = company.peer.last("authorization.success").await;
    assert_eq!(asked["params"]["code_challenge_method"], "S256");
    assert_eq!(asked["params"]["scope"], "openid profile email groups", "nothing is added");
    let on_disk = company.broker.bytes_on_disk();
    let has = |needle: &str| on_disk.windows(needle.len()).any(|window| window == needle.as_bytes());
    assert!(!has("a secret that only the two of us know") && !has("eyJ"), "no secret and no token lies there in clear");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_by_form_post_comes_without_our_cookie_and_counts_for_the_browser_that_began() {
    let company = Company::with("response_mode = \"form_post\"").await;
    let mut alice = Browser::new();
    let posts = company.answer(&mut alice).await;
    let back = alice.submit(&posts.form_with("code")).await;
    assert_eq!((back.status, back.url.path()), (200, "/go"), "{}", back.body);

    // Somebody else's answer, in a browser that began nothing: a session would be theirs and not the victim's.
    let mut attacker = Browser::new();
    let posts = company.answer(&mut attacker).await;
    let mut victim = Browser::new();
    let page = victim.submit(&posts.form_with("code")).await;
    refused(&company.broker, &mut victim, &page, Kind::SignInOtherBrowser, "other-browser").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_counts_once_in_its_own_browser_and_for_its_own_connector() {
    let company = Company::with("").await;
    let broker = &company.broker;
    let mut nobody = Browser::new();
    for (address, kind, cause) in [
        ("/oidc/corp/callback", Kind::SignInRefused, "state-unusable"),
        ("/oidc/corp/callback?state=x&code=y", Kind::SignInRefused, "state-unusable"),
        ("/oidc/corp/callback?code=a&code=b", Kind::SignInRefused, "callback-repeated-parameter"),
    ] {
        let page = nobody.get(&broker.at(address)).await;
        refused(broker, &mut nobody, &page, kind, cause).await;
    }
    let unknown = format!("/oidc/corp/callback?code=x&state={}", "A".repeat(43));
    let page = nobody.get(&broker.at(&unknown)).await;
    refused(broker, &mut nobody, &page, Kind::SignInUnsolicited, "no-attempt").await;

    // The attacker's own answer, followed by the victim.
    let mut attacker = Browser::new();
    let begun = attacker.peek(&broker.at("/oidc/corp/start")).await;
    let state = begun.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let mut victim = Browser::new();
    let planted = broker.at(&format!("/oidc/corp/callback?code=stolen&state={state}&iss={}", company.peer.issuer()));
    let page = victim.get(&planted).await;
    refused(broker, &mut victim, &page, Kind::SignInOtherBrowser, "other-browser").await;
    assert!(
        company.peer.events().await.iter().all(|event| event["what"] != "grant.error"),
        "the provider was not even asked"
    );
    let page = attacker.get(&planted).await;
    refused(broker, &mut attacker, &page, Kind::SignInUnsolicited, "no-attempt").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_comes_while_the_provider_changes_its_keys_is_let_in() {
    let company = Company::with("").await;
    company.answer(&mut Browser::new()).await;
    let mut waiting = Vec::new();
    for _ in 0..6 {
        let mut browser = Browser::new();
        let form = browser.get(&company.broker.at("/oidc/corp/start")).await;
        waiting.push((browser, form));
    }
    for step in ["add", "promote", "drop"] {
        company.peer.keys(step).await;
    }
    // All at once: one of them makes us ask for the new key, and that is enough for the others.
    let company = &company;
    futures_util::future::join_all(waiting.into_iter().map(async |(mut browser, form)| {
        let back = company.peer.sign_in(&mut browser, form, "alice").await;
        assert_eq!((back.status, back.url.path()), (200, "/"), "{}", back.body);
        assert!(is_signed_in(&company.broker, &mut browser).await);
    }))
    .await;
    let events = company.broker.events().await;
    let fetched = events.iter().filter(|(kind, _)| kind == "metadata.refreshed").count();
    assert_eq!(fetched, 2, "the first time, and once for the new key");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_refuses_is_told_plainly() {
    let company = Company::with("").await;
    let mut alice = Browser::new();
    let form = alice.get(&company.broker.at("/oidc/corp/start")).await;
    let page = company.peer.cancel(&mut alice, form).await;
    refused(&company.broker, &mut alice, &page, Kind::IdentityProviderError, "provider-error").await;
    assert!(!is_signed_in(&company.broker, &mut alice).await);
    let event: Value = company.broker.last_event("sign-in.refused").await;
    assert!(event["detail"].as_str().unwrap().contains("access_denied"), "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_answers_at_the_addresses_of_its_own_protocol_only() {
    let company = Company::with("").await;
    let mut browser = Browser::new();
    for (address, status) in [
        ("/saml/corp/start", 404),
        ("/saml/corp/metadata", 404),
        ("/oidc/corp/jwks.json", 200),
        ("/oidc/nobody/jwks.json", 404),
        ("/oidc/nobody/start", 404),
    ] {
        assert_eq!(browser.get(&company.broker.at(address)).await.status, status, "{address}");
    }
    let jwks = browser.get(&company.broker.at("/oidc/corp/jwks.json")).await;
    let jwks: Value = serde_json::from_str(&jwks.body).unwrap();
    assert_eq!(jwks["keys"][0]["kty"], "RSA");
    assert!(jwks["keys"][0].get("d").is_none(), "only the public half");
}
