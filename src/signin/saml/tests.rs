use super::attributes::person;
use super::*;
use crate::catalog::{AuthnComparison, GroupSource, NAME_ID};
use crate::identity::Groups;
use crate::saml::message::{Attribute, AuthnRequest};
use crate::saml::redirect::{self, Carries};
use crate::saml::{gate, key};
use crate::sys::SeededRng;

// Judging whole replies, honest and hostile, is in tests/it/hostile.

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn settings(sso: &str) -> Settings {
    let idp = IdpMetadata {
        entity_id: "https://idp.example".to_owned(),
        certificates: Vec::new(),
        sso_redirect: sso.parse().unwrap(),
        slo: Vec::new(),
        want_authn_requests_signed: false,
        name_id_formats: Vec::new(),
        valid_until: None,
        cache_duration: None,
        warnings: Vec::new(),
    };
    let acs = "https://broker.example/saml/okta/acs".parse().unwrap();
    Settings::new("okta".parse().unwrap(), "https://broker.example/saml/okta/metadata".to_owned(), acs, idp)
}

fn sent(started: &Started) -> String {
    let received = redirect::receive(Carries::Request, started.redirect.query().unwrap(), 10_000).unwrap();
    String::from_utf8(received.xml).unwrap()
}

#[test]
fn a_request_says_as_little_as_possible() {
    let settings = settings("https://idp.example/sso?idpid=7#x");
    let started = start(&settings, "handle", None, None, &SeededRng::new(1), now()).unwrap();
    assert!(started.redirect.as_str().starts_with("https://idp.example/sso?idpid=7&SAMLRequest="));
    assert!(started.redirect.as_str().ends_with("&RelayState=handle"));
    let xml = sent(&started);
    for absent in ["Subject", "NameIDPolicy", "RequestedAuthnContext", "ForceAuthn", "IsPassive", "Signature"] {
        assert!(!xml.contains(absent), "{xml}");
    }
    let gated = gate::admit(xml.as_bytes(), gate::Root::AuthnRequest, &Limits::MESSAGE, Sha1::Refused).unwrap();
    let request = AuthnRequest::read(gated.root()).unwrap();
    assert_eq!(request.id, started.attempt.request_id);
    assert!(request.id.starts_with('_') && request.id.len() > 32);
    assert_eq!(request.acs_url, Some(settings.acs_url.as_str()));
    assert_eq!(request.issuer, Some(settings.sp_entity_id.as_str()));
    assert_eq!(request.issue_instant, now());
}

#[test]
fn a_request_says_what_the_connector_asks_for() {
    let mut settings = settings("https://idp.example/sso");
    settings.force_authn = true;
    settings.name_id_format = Some("urn:f".to_owned());
    settings.authn_context =
        Some(RequestedAuthnContext { classes: vec!["urn:mfa".to_owned()], comparison: AuthnComparison::Exact });
    let started = start(&settings, "", None, None, &SeededRng::new(1), now()).unwrap();
    let xml = sent(&started);
    assert!(started.attempt.force_authn && xml.contains(" ForceAuthn=\"true\""));
    assert!(xml.contains("Format=\"urn:f\"") && xml.contains("Comparison=\"exact\"") && xml.contains("urn:mfa"));
}

#[test]
fn a_signed_request_verifies_with_our_certificate() {
    let rng = SeededRng::new(1);
    let key = key::SigningKey::generate("2048".parse().unwrap(), "broker", now(), &rng).unwrap();
    let started = start(&settings("https://idp.example/sso"), "handle", None, Some(&key), &rng, now()).unwrap();
    let certificate = crate::saml::certificate::SigningCertificate::from_der(key.certificate_der()).unwrap();
    let query = started.redirect.query().unwrap();
    redirect::verify(Carries::Request, query, &[certificate], Sha1::Refused).unwrap();
}

#[test]
fn a_handle_that_providers_would_cut_is_refused() {
    let started = start(&settings("https://idp.example/"), &"x".repeat(81), None, None, &SeededRng::new(1), now());
    assert!(matches!(started, Err(StartError::RelayState(81))));
}

fn attribute<'a>(name: &'a str, friendly_name: Option<&'a str>, values: &[&'a str]) -> Attribute<'a> {
    Attribute { name, name_format: None, friendly_name, values: values.to_vec() }
}

fn groups(delimiter: Option<&str>, prefix: Option<&str>, sent: &[Attribute<'_>]) -> Groups {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let source = GroupSource { attribute: "groups".to_owned(), delimiter: owned(delimiter), prefix: owned(prefix) };
    let map = AttributeMap { groups: Some(source), ..AttributeMap::default() };
    person(&map, Some("asha"), sent).unwrap().groups
}

fn complete(values: &[&str]) -> Groups {
    Groups::Complete { values: values.iter().map(|value| (*value).to_owned()).collect() }
}

#[test]
fn repeated_attributes_are_one_and_a_group_counts_once() {
    let sent =
        [attribute("groups", None, &["a"]), attribute("x", None, &["y"]), attribute("groups", None, &["b", "a"])];
    assert_eq!(groups(None, None, &sent), complete(&["a", "b"]));
}

#[test]
fn groups_are_split_only_where_told() {
    let sent = [attribute("groups", None, &["CN=a,OU=b", "c; d ;;"])];
    assert_eq!(groups(None, None, &sent), complete(&["CN=a,OU=b", "c; d ;;"]));
    assert_eq!(groups(Some(";"), None, &sent), complete(&["CN=a,OU=b", "c", "d"]));
    assert_eq!(groups(Some(""), None, &sent), complete(&["CN=a,OU=b", "c; d ;;"]));
}

#[test]
fn a_prefix_picks_and_is_taken_off() {
    // `admin` without the prefix must not come out as what `aws-admin` becomes.
    let sent = [attribute("groups", None, &["aws-admin", "admin", "aws-"])];
    assert_eq!(groups(None, Some("aws-"), &sent), complete(&["admin"]));
    assert_eq!(groups(None, Some("aws-"), &sent[..0]), complete(&[]));
    let keycloak = [attribute("groups", None, &["/a/b"])];
    assert_eq!(groups(None, Some("/"), &keycloak), complete(&["a/b"]));
}

#[test]
fn a_link_instead_of_groups_means_incomplete_and_never_none() {
    let link = attribute("http://schemas.microsoft.com/claims/groups.link", None, &["https://graph.windows.net/x"]);
    assert!(
        matches!(groups(None, None, std::slice::from_ref(&link)), Groups::Incomplete { values, .. } if values.is_empty())
    );
    let sent = [link, attribute("groups", None, &["a"])];
    assert!(matches!(groups(None, None, &sent), Groups::Incomplete { values, .. } if values == ["a"]));
}

#[test]
fn names_are_matched_as_told() {
    let sent = [attribute("urn:oid:0.9.2342", Some("mail"), &["a@example.com"])];
    let mut map = AttributeMap { email: Some("mail".to_owned()), ..AttributeMap::default() };
    assert_eq!(person(&map, Some("asha"), &sent).unwrap().email, None);
    map.friendly_names = true;
    assert_eq!(person(&map, Some("asha"), &sent).unwrap().email.as_deref(), Some("a@example.com"));
    map.email = Some(NAME_ID.to_owned());
    assert_eq!(person(&map, Some("asha"), &sent).unwrap().email.as_deref(), Some("asha"));
    map.extra.insert("cost".parse().unwrap(), "missing".to_owned());
    assert!(person(&map, Some("asha"), &sent).unwrap().attributes.0.is_empty());
}

#[test]
fn the_subject_is_exactly_one_usable_text() {
    let mut map = AttributeMap::default();
    let code = |map: &AttributeMap, name_id: Option<&str>, sent: &[Attribute<'_>]| {
        person(map, name_id, sent).map(|person| person.subject).map_err(|e| e.code())
    };
    assert_eq!(code(&map, None, &[]), Err("name-id-missing"));
    assert_eq!(code(&map, Some(""), &[]), Err("subject-empty"));
    assert_eq!(code(&map, Some("a\nb"), &[]), Err("subject-unusable"));
    assert_eq!(code(&map, Some(&"a".repeat(1025)), &[]), Err("subject-unusable"));
    map.subject = Some("uid".to_owned());
    assert_eq!(code(&map, Some("transient"), &[]), Err("subject-attribute-missing"));
    assert_eq!(code(&map, None, &[attribute("uid", None, &["a", "b"])]), Err("subject-attribute-missing"));
    assert_eq!(code(&map, None, &[attribute("uid", None, &["a"])]), Ok("a".to_owned()));
}

proptest::proptest! {
    #[test]
    fn no_evidence_makes_the_judgement_panic(bytes: Vec<u8>) {
        use base64::Engine;
        let attempt = Attempt { request_id: "_1".to_owned(), sent_at: now(), force_authn: true, demand: None };
        let settings = settings("https://idp.example/sso");
        for evidence in [bytes.clone(), base64::engine::general_purpose::STANDARD.encode(&bytes).into_bytes()] {
            let judged = SignIn::resume(attempt.clone()).judge(&evidence, &settings, now());
            proptest::prop_assert!(judged.is_err());
        }
    }
}
