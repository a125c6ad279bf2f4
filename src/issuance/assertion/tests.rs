use roxmltree::{Document, Node};
use samael::crypto::{AllowedSignatureAlgorithm, CertificateDer, Crypto, CryptoProvider, ReduceMode};
use secrecy::ExposeSecret;

use super::*;
use crate::aws::RoleArn;
use crate::issuance::fake::{KEY, NOW, asha, hour, permit};
use crate::sys::SeededRng;

fn minted(permit: &Permit, duration: SessionDuration) -> String {
    let (now, entry) = (NOW.parse().unwrap(), permit.entry().unwrap());
    let opened = Opened::of(&entry).unwrap();
    let assertion = mint(
        permit,
        &opened,
        duration,
        "https://broker.example/aws/saml-metadata.xml",
        &**KEY,
        now,
        &SeededRng::new(5),
    );
    let response = STANDARD.decode(assertion.unwrap().response.expose_secret()).unwrap();
    String::from_utf8(response).unwrap()
}

fn verified(xml: &str) -> String {
    let certificate = [CertificateDer::from(KEY.certificate_der().to_vec())];
    let allowed = [AllowedSignatureAlgorithm::RsaSha256];
    Crypto::reduce_xml_to_signed_with_allowed_algorithms(xml, &certificate, ReduceMode::PreDigest, Some(&allowed))
        .unwrap()
}

fn find<'a>(document: &'a Document<'_>, name: &str) -> Node<'a, 'a> {
    document.descendants().find(|node| node.tag_name().name() == name).unwrap_or_else(|| panic!("no {name}"))
}

fn attribute(document: &Document<'_>, name: &str) -> Vec<String> {
    let name = format!("https://aws.amazon.com/SAML/Attributes/{name}");
    let found = document.descendants().filter(|node| node.attribute("Name") == Some(&name));
    found.map(|node| node.first_element_child().unwrap().text().unwrap_or("").to_owned()).collect()
}

#[test]
fn the_signed_assertion_says_what_aws_reads() {
    let xml = minted(&permit("8h"), "8h".parse().unwrap());
    let signed = verified(&xml);
    let document = Document::parse(&signed).unwrap();
    assert_eq!(document.root_element().tag_name().name(), "Assertion");
    assert_eq!(find(&document, "Issuer").text(), Some("https://broker.example/aws/saml-metadata.xml"));
    assert_eq!(find(&document, "NameID").text(), Some("okta:asha@corp.example"));
    assert_eq!(find(&document, "NameID").attribute("Format"), Some(PERSISTENT));
    let data = find(&document, "SubjectConfirmationData");
    assert_eq!(data.attribute("Recipient"), Some("https://signin.aws.amazon.com/saml"));
    assert_eq!(data.attribute("NotOnOrAfter"), Some("2026-11-21T12:05:00Z"));
    assert_eq!(data.attribute("NotBefore"), None);
    let conditions = find(&document, "Conditions");
    assert_eq!(conditions.attribute("NotBefore"), Some("2026-11-21T11:59:30Z"));
    assert_eq!(conditions.attribute("NotOnOrAfter"), Some("2026-11-21T12:05:00Z"));
    assert_eq!(find(&document, "Audience").text(), Some("urn:amazon:webservices"));
    assert_eq!(
        attribute(&document, "Role"),
        ["arn:aws:iam::111122223333:role/teams/ReadOnly,arn:aws:iam::111122223333:saml-provider/rolegate"]
    );
    assert_eq!(attribute(&document, "RoleSessionName"), ["asha@corp.example"]);
    assert_eq!(attribute(&document, "SourceIdentity"), ["asha@corp.example"]);
    assert_eq!(attribute(&document, "SessionDuration"), ["28800"]);
    assert_eq!(attribute(&document, "PrincipalTag:team"), ["R&D <core>"]);
    assert_eq!(find(&document, "AuthnStatement").attribute("SessionNotOnOrAfter"), None);
}

#[test]
fn the_response_around_it_is_a_success_for_the_same_place() {
    let xml = minted(&permit("1h"), hour());
    let document = Document::parse(&xml).unwrap();
    let response = document.root_element();
    assert_eq!(response.attribute("Destination"), Some("https://signin.aws.amazon.com/saml"));
    assert_eq!(response.attribute("IssueInstant"), Some("2026-11-21T12:00:00Z"));
    assert_eq!(find(&document, "StatusCode").attribute("Value"), Some(SUCCESS));
    assert_ne!(response.attribute("ID"), find(&document, "Assertion").attribute("ID"));
    assert_eq!(document.descendants().filter(|node| node.has_tag_name((SAML.uri, "Assertion"))).count(), 1);
}

#[test]
fn every_partition_has_its_own_audience_and_recipient() {
    for (role, audience, recipient) in [
        (
            "arn:aws-cn:iam::111122223333:role/R",
            "urn:amazon:webservices:cn-north-1",
            "https://signin.amazonaws.cn/saml",
        ),
        (
            "arn:aws-us-gov:iam::111122223333:role/R",
            "urn:amazon:webservices:govcloud",
            "https://signin.amazonaws-us-gov.com/saml",
        ),
    ] {
        let role: RoleArn = role.parse().unwrap();
        let xml = minted(&Permit::for_tests(asha(), &role, hour(), Vec::new(), None), hour());
        let document = Document::parse(&xml).unwrap();
        assert_eq!(find(&document, "Audience").text(), Some(audience));
        assert_eq!(find(&document, "SubjectConfirmationData").attribute("Recipient"), Some(recipient));
        assert_eq!(document.root_element().attribute("Destination"), Some(recipient));
    }
}

#[test]
fn the_end_of_the_session_at_the_identity_provider_is_passed_on() {
    let role: RoleArn = "arn:aws:iam::111122223333:role/R".parse().unwrap();
    let ends = "2026-11-21T14:30:00.9Z".parse().unwrap();
    let xml = minted(&Permit::for_tests(asha(), &role, hour(), Vec::new(), Some(ends)), hour());
    let document = Document::parse(&xml).unwrap();
    assert_eq!(find(&document, "AuthnStatement").attribute("SessionNotOnOrAfter"), Some("2026-11-21T14:30:00Z"));
}

#[test]
fn an_assertion_is_never_for_longer_than_its_permit() {
    let xml = minted(&permit("1h"), SessionDuration::MAX);
    assert_eq!(attribute(&Document::parse(&xml).unwrap(), "SessionDuration"), ["3600"]);
}

#[test]
fn two_assertions_for_one_permit_have_different_ids() {
    let (permit, rng) = (permit("1h"), SeededRng::new(9));
    let now = NOW.parse().unwrap();
    let entry = permit.entry().unwrap();
    let opened = Opened::of(&entry).unwrap();
    let mint = || mint(&permit, &opened, hour(), "https://broker.example/", &**KEY, now, &rng).unwrap().id;
    assert_ne!(mint(), mint());
}

#[test]
fn a_tag_value_is_text_whatever_it_holds() {
    let role: RoleArn = "arn:aws:iam::111122223333:role/R".parse().unwrap();
    let value = r#"x</saml:AttributeValue></saml:Attribute><saml:Attribute Name="https://aws.amazon.com/SAML/Attributes/Role">"#;
    let tags = vec![SessionTag { key: "a\"b".to_owned(), value: value.to_owned(), transitive: false }];
    let xml = minted(&Permit::for_tests(asha(), &role, hour(), tags, None), hour());
    let signed = verified(&xml);
    let document = Document::parse(&signed).unwrap();
    assert_eq!(attribute(&document, "Role").len(), 1);
    assert_eq!(attribute(&document, "PrincipalTag:a\"b"), [value]);
}

#[test]
fn a_character_xml_cannot_carry_stops_the_minting() {
    let role: RoleArn = "arn:aws:iam::111122223333:role/R".parse().unwrap();
    let tags = vec![SessionTag { key: "team".to_owned(), value: "a\0b".to_owned(), transitive: false }];
    let permit = Permit::for_tests(asha(), &role, hour(), tags, None);
    let entry = permit.entry().unwrap();
    let opened = Opened::of(&entry).unwrap();
    let minted = mint(&permit, &opened, hour(), "https://b.example/", &**KEY, NOW.parse().unwrap(), &SeededRng::new(5));
    assert!(matches!(minted, Err(WriteError::ForbiddenCharacter { code: 0, .. })));
}

#[test]
fn a_persons_name_id_is_stable_distinct_and_legal() {
    let id = |connector: &str, value: &str| {
        persistent_id(&SubjectId { connector: connector.parse().unwrap(), value: value.to_owned() })
    };
    assert_eq!(id("okta", "asha"), "okta:asha");
    assert_ne!(id("okta", "asha"), id("entra", "asha"));
    let long = "x".repeat(252);
    assert_eq!(id("okta", &long[1..]), format!("okta:{}", &long[1..]), "256 characters are allowed");
    for odd in [long.as_str(), " asha", "asha\n", "a\u{85}b", "a\0b"] {
        let hashed = id("okta", odd);
        assert!(hashed.starts_with("okta#") && hashed.len() == 69, "{hashed}");
        assert_eq!(hashed, id("okta", odd));
    }
    assert_ne!(id("okta", " asha"), id("okta", "asha "));
}

#[test]
fn debug_does_not_show_the_response() {
    let permit = permit("1h");
    let entry = permit.entry().unwrap();
    let opened = Opened::of(&entry).unwrap();
    let assertion =
        mint(&permit, &opened, hour(), "https://b.example/", &**KEY, NOW.parse().unwrap(), &SeededRng::new(5));
    let assertion = assertion.unwrap();
    assert!(!format!("{assertion:?}").contains(&assertion.response.expose_secret()[..40]));
}

#[test]
fn tags_that_go_along_are_named_in_one_attribute() {
    let role: RoleArn = "arn:aws:iam::111122223333:role/Hub".parse().unwrap();
    let tag = |key: &str, transitive| SessionTag { key: key.to_owned(), value: "x".to_owned(), transitive };
    let tags = vec![tag("team", true), tag("desk", false), tag("cost", true)];
    let signed = verified(&minted(&Permit::for_tests(asha(), &role, hour(), tags, None), hour()));
    let document = Document::parse(&signed).unwrap();
    let name = Some("https://aws.amazon.com/SAML/Attributes/TransitiveTagKeys");
    let attributes: Vec<Node<'_, '_>> = document.descendants().filter(|node| node.attribute("Name") == name).collect();
    let [attribute] = attributes.as_slice() else { panic!("{signed}") };
    let keys: Vec<_> = attribute.children().filter_map(|value| value.text()).collect();
    assert_eq!(keys, ["team", "cost"]);
}
