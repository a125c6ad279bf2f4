use super::*;
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn certificate(bits: u32, not_after: i64) -> String {
    use base64::Engine;
    let key = PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_unix(not_after).unwrap()).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    base64::engine::general_purpose::STANDARD.encode(builder.build().to_der().unwrap())
}

fn good() -> String {
    certificate(1024, 4_000_000_000)
}

fn key(attributes: &str, certificate: &str) -> String {
    format!(
        "<KeyDescriptor{attributes}><d:KeyInfo xmlns:d='{DS}'><d:X509Data><d:X509Certificate>{certificate}\
         </d:X509Certificate></d:X509Data></d:KeyInfo></KeyDescriptor>"
    )
}

const SSO: &str = "<SingleSignOnService Binding='urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect' \
                   Location='https://idp.example/sso?idpid=1'/>";

fn idp(keys: &str, more: &str) -> String {
    format!("<IDPSSODescriptor protocolSupportEnumeration='urn:x {SAMLP}'>{keys}{more}</IDPSSODescriptor>")
}

fn entity(name: &str, attributes: &str, roles: &str) -> String {
    format!("<EntityDescriptor xmlns='{MD}' entityID='{name}'{attributes}>{roles}</EntityDescriptor>")
}

fn read(xml: &str) -> Result<IdpMetadata, MetadataError> {
    IdpMetadata::read(xml.as_bytes(), None, now())
}

#[test]
fn every_signing_certificate_counts_expired_ones_and_those_without_use_included() {
    let certificates = [good(), good(), certificate(1024, 1)];
    let lines: String =
        certificates[2].as_bytes().chunks(60).map(|l| format!("\n\t{}", String::from_utf8_lossy(l))).collect();
    let keys = key(" use='encryption'", &good())
        + &key(" use='signing'", &certificates[0])
        + &key("", &certificates[1])
        + &key(" use='signing'", &lines)
        + &key(" use='signing'", &certificates[0]);
    let read = read(&entity("https://idp.example", "", &idp(&keys, SSO))).unwrap();
    let expected = certificates.map(|text| SigningCertificate::from_base64(&text).unwrap());
    assert_eq!(read.certificates, expected);
    assert_eq!(read.warnings.len(), 1, "{:?}", read.warnings);
    assert_eq!(read.sso_redirect.as_str(), "https://idp.example/sso?idpid=1");
}

#[test]
fn metadata_as_the_field_writes_it_is_read() {
    let odd = "<RoleDescriptor xmlns:x='http://www.w3.org/2001/XMLSchema-instance' \
               xmlns:fed='http://docs.oasis-open.org/wsfed/federation/200706' x:type='fed:ApplicationServiceType' \
               protocolSupportEnumeration='http://docs.oasis-open.org/wsfed/federation/200706'/>";
    let old = "<IDPSSODescriptor protocolSupportEnumeration='urn:oasis:names:tc:SAML:1.1:protocol'/>";
    let slo = "<SingleLogoutService Binding='urn:oasis:names:tc:SAML:2.0:bindings:SOAP' Location='http://inside/slo'/>\
               <SingleLogoutService Binding='urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST' \
               Location='https://idp.example/slo' ResponseLocation='https://idp.example/slr'/>\
               <NameIDFormat>\n urn:f \n</NameIDFormat>";
    let roles =
        format!("<Extensions/>{odd}{old}{}{odd}<Organization/>", idp(&key("", &good()), &format!("{slo}{SSO}")));
    let xml = entity("https://idp.example", " cacheDuration='P1DT6H' validUntil='2026-11-22T00:00:00Z'", &roles);
    let read = read(&format!("\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!-- ours -->\n{xml}\n")).unwrap();
    assert_eq!(read.slo.len(), 1);
    assert_eq!(read.slo[0].response_location.as_ref().unwrap().path(), "/slr");
    assert_eq!(read.name_id_formats, ["urn:f"]);
    assert_eq!(read.cache_duration, Some(SignedDuration::from_hours(30)));
    assert!(read.is_valid(now()));
    assert!(!read.is_valid("2026-11-22T00:00:00Z".parse().unwrap()));
}

#[test]
fn one_entity_is_chosen_out_of_many_by_its_name() {
    let one = |name| entity(name, "", &idp(&key("", &good()), SSO));
    let sp = entity("https://sp.example", "", "<SPSSODescriptor/>");
    let list = |inside: &str| {
        format!(
            "<EntitiesDescriptor xmlns='{MD}'><EntitiesDescriptor>{inside}</EntitiesDescriptor></EntitiesDescriptor>"
        )
    };
    let two = list(&(one("urn:a") + &one("urn:b") + &sp));
    let named = |xml: &str, name| IdpMetadata::read(xml.as_bytes(), Some(name), now());
    assert_eq!(named(&two, "urn:b").unwrap().entity_id, "urn:b");
    assert!(matches!(read(&two), Err(MetadataError::SeveralEntities(names)) if names.len() == 2));
    assert!(matches!(named(&two, "urn:c"), Err(MetadataError::NoSuchEntity { .. })));
    assert!(matches!(named(&two, "https://sp.example"), Err(MetadataError::NotAnIdp(_))));
    assert_eq!(read(&list(&(one("urn:a") + &sp))).unwrap().entity_id, "urn:a");
    assert!(matches!(named(&list(&(one("urn:a") + &one("urn:a"))), "urn:a"), Err(MetadataError::RepeatedEntity(_))));
    assert!(matches!(named(&one("urn:a"), "urn:b"), Err(MetadataError::NoSuchEntity { .. })));
}

#[test]
fn metadata_that_could_not_be_relied_on_is_refused() {
    let with = |attributes: &str, keys: &str, more: &str| read(&entity("urn:idp", attributes, &idp(keys, more)));
    let keys = key("", &good());
    assert!(with("", &keys, SSO).is_ok());
    assert!(matches!(with("", "", SSO), Err(MetadataError::NoCertificate(_))));
    assert!(matches!(with("", &key(" use='encryption'", &good()), SSO), Err(MetadataError::NoCertificate(_))));
    assert!(matches!(with("", &key("", "AAAA"), SSO), Err(MetadataError::OnlyBadCertificates(..))));
    assert!(matches!(with("", &key("", &certificate(1000, 1)), SSO), Err(MetadataError::OnlyBadCertificates(..))));
    assert!(matches!(with(" validUntil='2026-11-21T12:00:00Z'", &keys, SSO), Err(MetadataError::Expired { .. })));
    assert!(matches!(with(" validUntil='soon'", &keys, SSO), Err(MetadataError::Time { .. })));
    assert!(matches!(with("", &keys, ""), Err(MetadataError::NoSignInAddress(_))));
    for (address, good) in [
        ("https://idp.example/sso", true),
        ("http://127.0.0.1:8080/sso", true),
        ("http://localhost/sso", true),
        ("http://[::1]/sso", true),
        ("http://idp.example/sso", false),
        ("http://127.0.0.1.example/sso", false),
        ("javascript:alert(1)", false),
        ("https://user@idp.example/", false),
        ("/sso", false),
    ] {
        let sso = SSO.replace("https://idp.example/sso?idpid=1", address);
        assert_eq!(with("", &keys, &sso).is_ok(), good, "{address}");
    }
    assert!(matches!(
        read(&format!("<EntityDescriptor xmlns='{MD}'>{}</EntityDescriptor>", idp(&keys, SSO))),
        Err(MetadataError::NoEntityId)
    ));
    assert!(matches!(read("<EntityDescriptor xmlns='urn:other'/>"), Err(MetadataError::Gate(_))));
    assert!(matches!(read("<!DOCTYPE x><x/>"), Err(MetadataError::Gate(GateError::Doctype))));
}

#[test]
fn our_own_metadata_says_what_was_chosen_and_escapes_it() {
    let full = SpMetadata {
        entity_id: "https://broker.example/saml/x?a=1&b=\"2\"",
        acs_url: "https://broker.example/saml/x/acs",
        slo_url: "https://broker.example/saml/x/slo",
        signing_certificate: "AAAA",
        requests_signed: true,
        encryption_certificate: Some("BBBB"),
        want_assertions_signed: true,
        name_id_format: Some("urn:f"),
    };
    let xml = full.write().unwrap();
    let tree = roxmltree::Document::parse(&xml).unwrap();
    assert_eq!(tree.root_element().attribute("entityID"), Some(full.entity_id));
    let count = |name: &str| tree.descendants().filter(|node| node.tag_name().name() == name).count();
    assert_eq!(count("KeyDescriptor"), 2);
    assert_eq!(count("EncryptionMethod"), decrypt::SUPPORTED.len());
    assert_eq!(count("SingleLogoutService"), 2);
    let sp = tree.root_element().first_element_child().unwrap();
    assert_eq!(sp.attribute("AuthnRequestsSigned"), Some("true"));
    // The schema fixes the order; some providers check it.
    let order: Vec<_> = sp.children().map(|child| child.tag_name().name()).collect();
    assert_eq!(
        order,
        [
            "KeyDescriptor",
            "KeyDescriptor",
            "SingleLogoutService",
            "SingleLogoutService",
            "NameIDFormat",
            "AssertionConsumerService"
        ]
    );

    let bare = SpMetadata { requests_signed: false, encryption_certificate: None, name_id_format: None, ..full };
    let bare = bare.write().unwrap();
    assert!(bare.contains("AuthnRequestsSigned=\"false\"") && !bare.contains("NameIDFormat"), "{bare}");
    // Requests are not signed, yet logout messages are: the key to check them with is there.
    assert!(bare.contains("use=\"signing\"") && !bare.contains("use=\"encryption\""), "{bare}");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_metadata_panic(attributes in "[ -~]{0,40}", inside in "[ -~é]{0,80}") {
        let _ = read(&entity("urn:idp", &format!(" {attributes}"), &idp(&inside, SSO)));
        let _ = duration(&attributes);
        let _ = IdpMetadata::read(inside.as_bytes(), Some("x"), now());
    }
}

#[test]
fn what_a_provider_calls_itself_stands_on_one_line_of_a_log() {
    let named = |name: &str| read(&entity(name, "", &idp(&key("", &good()), SSO)));
    assert!(named("https://idp.example").is_ok());
    for forged in ["https://idp.example&#10;2026-11-21T12:00:00Z ERROR forged", "&#x9b;31m", &"x".repeat(1025)] {
        assert!(matches!(named(forged), Err(MetadataError::NoEntityId)), "{forged}");
    }
    let two = entity("a&#10;b", "", &idp("", "")) + &entity("c", "", &idp("", ""));
    let two = format!("<EntitiesDescriptor xmlns='{MD}'>{two}</EntitiesDescriptor>");
    let error = read(&two).unwrap_err();
    assert!(matches!(error, MetadataError::SeveralEntities(_)) && !error.to_string().contains('\n'), "{error:?}");
}
