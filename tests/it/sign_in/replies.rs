//! What a reply looks like and says: signed here or there, encrypted, with these names and those.

use rolegate::web::problem::Kind;
use serde_json::{Value, json};

use super::{Company, catalog_of, connector, connector_at, explained, is_signed_in, refused};
use crate::broker::Broker;
use crate::browser_client::Browser;
use crate::peers::SimpleSaml;

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_is_believed_whichever_part_is_signed_and_refused_when_none_is() {
    let company = Company::with("").await;
    for sign in ["assertion", "response", "both"] {
        company.peer.set("sign", sign).await;
        let mut bob = company.signed_in("bob").await;
        assert_eq!(company.me(&mut bob).await["email"], "bob@corp.example", "{sign}");
    }
    company.peer.set("sign", "none").await;
    company.refused("bob", Kind::SignInRefused, "signature-missing").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_assertion_is_opened_and_needs_a_signature_all_the_same() {
    let company = Company::with("encrypt_assertions = true").await;
    company.peer.set("encrypt", true).await;
    for sign in ["assertion", "response", "both"] {
        company.peer.set("sign", sign).await;
        let mut browser = Browser::new();
        let form = company.go(&mut browser).await;
        let form = form.form_with("password").set("username", "bob").set("password", "bob-pass-2");
        let answer = browser.submit(&form).await.form_with("SAMLResponse");
        let xml = String::from_utf8(decoded(answer.value("SAMLResponse").unwrap())).unwrap();
        // With an `@`: base64 is full of short words.
        assert!(xml.contains("EncryptedAssertion") && !xml.contains("bob@corp"), "{xml}");
        browser.submit(&answer).await;
        assert_eq!(company.me(&mut browser).await["email"], "bob@corp.example", "{sign}");
    }
    company.peer.set("sign", "none").await;
    company.refused("bob", Kind::SignInRefused, "signature-missing").await;
}

fn decoded(base64: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(base64).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_wants_signed_requests_gets_them_and_sends_unsigned_ones_nowhere() {
    let broker = Broker::wishes().start().await;
    let (plain, signing) = (broker.at("/saml/plain/metadata"), broker.at("/saml/signing/metadata"));
    let peer = SimpleSaml::start_with("127.0.0.1", &["--sp-metadata", &plain, "--sp-metadata", &signing]);
    let connectors = connector(&peer, "plain", "", super::PLAIN)
        + &connector(&peer, "signing", "sign_requests = true", super::PLAIN);
    broker.apply(&catalog_of(&connectors)).await;
    peer.set("require_signed_requests", true).await;

    let mut bob = Browser::new();
    let form = bob.get(&broker.at("/saml/signing/start")).await;
    let page = peer.sign_in(&mut bob, form, "bob").await;
    assert_eq!((page.status, page.url.path()), (200, "/"), "{}", page.body);
    assert!(is_signed_in(&broker, &mut bob).await);
    assert_eq!(broker.last_event("sign-in.succeeded").await["connector"], "signing");

    // The provider itself says no: the person stays on its page, and nothing has happened here.
    let mut other = Browser::new();
    let page = other.get(&broker.at("/saml/plain/start")).await;
    assert!(page.url.as_str().starts_with(&peer.base()) && !page.has_form_with("password"), "{}", page.body);
    assert!(!is_signed_in(&broker, &mut other).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn strong_signatures_are_believed_and_sha1_only_where_the_connector_says_so() {
    let company = Company::with("").await;
    for algorithm in ["rsa-sha384", "rsa-sha512"] {
        company.peer.set("signature_alg", algorithm).await;
        company.signed_in("bob").await;
    }
    company.peer.set("signature_alg", "rsa-sha1").await;
    company.refused("bob", Kind::SignInRefused, "sha1-refused").await;
    company.broker.apply(&super::catalog(&company.peer, "allow_sha1 = true")).await;
    company.signed_in("bob").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_subject_is_the_name_id_exactly_as_it_was_signed() {
    let company = Company::with("").await;
    let subject = async |format: &str| {
        company.peer.set("nameid", format).await;
        let mut bob = company.signed_in("bob").await;
        company.me(&mut bob).await["subject"].as_str().unwrap().to_owned()
    };
    assert_eq!(subject("email").await, "bob@corp.example");
    assert_eq!(subject("unspecified").await, "bob");
    let (first, second) = (subject("persistent").await, subject("persistent").await);
    assert!(first == second && !first.contains("bob"), "{first} {second}");
    let (first, second) = (subject("transient").await, subject("transient").await);
    assert_ne!(first, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_asks_for_its_name_id_format_and_may_take_the_subject_from_an_attribute() {
    let company = Company::with("name_id_format = \"emailAddress\"").await;
    let mut bob = company.signed_in("bob").await;
    assert_eq!(company.me(&mut bob).await["subject"], "bob@corp.example");

    let attributes = format!("subject = \"uid\"\n{}", super::PLAIN);
    company.broker.apply(&catalog_of(&connector(&company.peer, "corp", "", &attributes))).await;
    company.peer.set("nameid", "transient").await;
    let mut bob = company.signed_in("bob").await;
    assert_eq!(company.me(&mut bob).await["subject"], "bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_are_read_under_the_names_that_providers_give_them() {
    let company = Company::with("").await;
    let whole = json!({
        "email": "bob@corp.example",
        "name": "Bob Baker",
        "groups": ["engineering"],
        "department": ["Research & Development"],
    });
    let cases = [
        (
            "oid",
            r#"
            email = "urn:oid:0.9.2342.19200300.100.1.3"
            name = "urn:oid:2.16.840.1.113730.3.1.241"
            groups = "urn:oid:1.3.6.1.4.1.5923.1.5.1.1"
            [connector.attributes.extra]
            department = "urn:oid:2.16.840.1.113730.3.1.2"
            "#,
        ),
        (
            "claims",
            r#"
            email = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress"
            name = "http://schemas.microsoft.com/identity/claims/displayname"
            groups = "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups"
            [connector.attributes.extra]
            department = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/department"
            "#,
        ),
    ];
    for (names, attributes) in cases {
        company.peer.set("attrs", names).await;
        company.broker.apply(&catalog_of(&connector(&company.peer, "corp", "", attributes))).await;
        let mut bob = company.signed_in("bob").await;
        let me = company.me(&mut bob).await;
        let read = json!({
            "email": me["email"], "name": me["name"], "groups": me["groups"],
            "department": me["attributes"]["department"],
        });
        assert_eq!(read, whole, "{names}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_split_only_at_a_delimiter_that_was_set_and_none_is_no_error() {
    let company = Company::with("").await;
    let groups = async || -> Value {
        let mut alice = company.signed_in("alice").await;
        company.me(&mut alice).await["groups"].clone()
    };
    company.peer.set("groups_as", "comma").await;
    assert_eq!(groups().await, json!(["aws-platform-admins,engineering"]), "a DN has commas too");

    let with = |source: &str| {
        let attributes = format!("email = \"mail\"\n[connector.attributes.groups]\nattribute = \"groups\"\n{source}");
        let metadata = format!("metadata_url = {:?}", company.peer.metadata_url());
        let catalog = catalog_of(&connector_at("corp", &metadata, &attributes));
        // Its last rule reads an attribute that this connector does not have.
        catalog[..catalog.rfind("[[rule]]").unwrap()].to_owned()
    };
    company.broker.apply(&with("delimiter = \",\"")).await;
    assert_eq!(groups().await, json!(["aws-platform-admins", "engineering"]));
    company.broker.apply(&with("delimiter = \",\"\nprefix = \"aws-\"")).await;
    assert_eq!(groups().await, json!(["platform-admins"]));

    company.peer.set("groups_as", "none").await;
    let (mut alice, page) = company.attempt("alice").await;
    assert!(page.body.contains("No role is mapped to you") && page.body.contains("It sent no group"), "{}", page.body);
    let me = company.me(&mut alice).await;
    assert_eq!((&me["groups"], &me["groups_complete"]), (&json!([]), &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_with_accents_and_quotes_arrive_whole_and_are_escaped_on_pages() {
    let company = Company::with("").await;
    let (mut carol, page) = company.attempt("carol").await;
    assert!(page.body.contains("Carol Núñez"), "{}", page.body);
    let me = company.me(&mut carol).await;
    assert_eq!(me["name"], "Carol Núñez");
    assert_eq!(me["attributes"]["department"], json!(["Vendor \"Staffing\""]));
    let why = carol.get(&company.broker.at("/roles/111122223333/Visitor/why")).await;
    assert_eq!(why.status, 200, "{}", why.body);
    assert!(why.body.contains("Vendor &#34;Staffing&#34;") && !why.body.contains("Vendor \"Staffing"), "{}", why.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_person_was_recognised_is_kept_and_must_be_what_was_asked_for() {
    const PASSWORD: &str = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport";
    const TOKEN: &str = "urn:oasis:names:tc:SAML:2.0:ac:classes:TimeSyncToken";
    let company = Company::with(&format!("authn_contexts = [{TOKEN:?}]")).await;
    company.peer.set("authn_context", TOKEN).await;
    let mut bob = company.signed_in("bob").await;
    assert_eq!(company.me(&mut bob).await["session"]["authn_context"], TOKEN);
    assert_eq!(company.broker.last_event("sign-in.succeeded").await["authn_context"], TOKEN);
    company.peer.set("authn_context", PASSWORD).await;
    company.refused("bob", Kind::SignInRefused, "authn-context-wrong").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_whom_the_provider_knows_is_asked_again_only_where_the_connector_forces_it() {
    let company = Company::with("").await;
    let mut bob = company.signed_in("bob").await;
    let answer = company.go(&mut bob).await;
    assert!(answer.has_form_with("SAMLResponse"), "the provider knows bob: {}", answer.body);
    company.broker.apply(&super::catalog(&company.peer, "force_authn = true")).await;
    let form = company.go(&mut bob).await;
    let page = company.peer.sign_in(&mut bob, form, "bob").await;
    assert_eq!((page.status, page.url.path()), (200, "/"), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_ignores_forced_authentication_is_found_out() {
    // The request loses its ForceAuthn on the way, as if the provider did not know it.
    let clock = super::clock();
    let company = Company::wished(Broker::wishes().clock(&clock), "force_authn = true").await;
    let mut bob = company.signed_in("bob").await;
    clock.advance_secs(200);
    let start = company.broker.at("/saml/corp/start");
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let started = client.build().unwrap().get(start).send().await.unwrap();
    let sent = url::Url::parse(started.headers()["location"].to_str().unwrap()).unwrap();
    let fields: std::collections::HashMap<_, _> = sent.query_pairs().into_owned().collect();
    let inflated = rolegate::saml::redirect::inflate(&decoded(&fields["SAMLRequest"]), 100_000).unwrap();
    let request = String::from_utf8(inflated).unwrap().replace(" ForceAuthn=\"true\"", "");
    let query = rolegate::saml::redirect::query(
        rolegate::saml::redirect::Carries::Request,
        &request,
        Some(&fields["RelayState"]),
    );
    let mut forged = sent.clone();
    forged.set_query(Some(&query));
    let answer = bob.get(forged.as_str()).await.form_with("SAMLResponse");
    let mut stranger = Browser::new();
    let page = stranger.submit(&answer).await;
    refused(&company.broker, &mut stranger, &page, Kind::SignInNotReauthenticated, "not-reauthenticated").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_from_another_site_comes_without_cookies_and_signs_in_all_the_same() {
    let broker = Broker::wishes().start().await;
    let peer = SimpleSaml::start_with("localhost", &["--sp-metadata", &broker.at("/saml/corp/metadata")]);
    broker.apply(&super::catalog(&peer, "")).await;
    let mut bob = Browser::new();
    let form = bob.get(&broker.at("/saml/corp/start?return_to=/go%3Faccount%3D111122223333")).await;
    let page = peer.sign_in(&mut bob, form, "bob").await;
    assert_eq!((page.status, page.url.path()), (200, "/go"), "{}", page.body);
    assert!(is_signed_in(&broker, &mut bob).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_assertion_is_refused_in_words_and_as_a_document() {
    let company = Company::with("").await;
    company.peer.set("lifetime", -400).await;
    let (mut bob, page) = company.attempt("bob").await;
    explained(&page, Kind::SignInExpired);
    refused(&company.broker, &mut bob, &page, Kind::SignInExpired, "confirmation-expired").await;

    let mut bob = Browser::new();
    let form = company.go(&mut bob).await.form_with("password");
    let answer = bob.submit(&form.set("username", "bob").set("password", "bob-pass-2")).await;
    let answer = answer.form_with("SAMLResponse");
    let sent = reqwest::Client::new()
        .post(answer.action.clone())
        .header("accept", "application/json")
        .form(&answer.fields)
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 403);
    assert_eq!(sent.headers()["content-type"], "application/problem+json");
    let problem: Value = sent.json().await.unwrap();
    assert_eq!(problem["type"], "urn:rolegate:problem:sign-in-expired");
    assert_eq!(company.broker.last_event("sign-in.refused").await["cause"], "confirmation-expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_may_differ_by_three_minutes_and_no_more() {
    let clock = super::clock();
    let company = Company::wished(Broker::wishes().clock(&clock), "").await;
    let at = async |seconds: i64| {
        let mut bob = Browser::new();
        let form = company.go(&mut bob).await;
        clock.advance_secs(seconds);
        let page = company.peer.sign_in(&mut bob, form, "bob").await;
        (bob, page)
    };
    // The peer's clock goes on while ours stands still, hence the room on either side.
    for (seconds, cause) in
        [(450, None), (500, Some("confirmation-expired")), (-120, None), (-240, Some("issued-in-future"))]
    {
        let (mut bob, page) = at(seconds).await;
        match cause {
            None => assert_eq!((page.status, page.url.path()), (200, "/"), "{seconds}: {}", page.body),
            Some(cause) => refused(&company.broker, &mut bob, &page, Kind::SignInExpired, cause).await,
        }
        clock.advance_secs(-seconds);
    }
}
