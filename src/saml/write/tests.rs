use std::process::{Command, Output};
use std::sync::LazyLock;

use proptest::prelude::*;
use samael::crypto::{AllowedSignatureAlgorithm, CertificateDer, Crypto, CryptoProvider, ReduceMode};

use super::*;
use crate::saml::key::KeySize;
use crate::sys::SeededRng;

static KEY: LazyLock<SigningKey> = LazyLock::new(|| {
    let now = "2026-11-21T12:00:00Z".parse().unwrap();
    SigningKey::generate(KeySize::Rsa2048, "writer", now, &SeededRng::new(1)).unwrap()
});

fn assertion(value: &str) -> Element {
    Element::new(SAML, "Assertion")
        .attr("Version", "2.0")
        .attr("ID", "_a1")
        .child(Element::new(SAML, "Issuer").text("https://broker.example/"))
        .child(Element::new(SAML, "Subject").child(Element::new(SAML, "NameID").attr("Format", value).text(value)))
}

fn response(assertion: Canonical) -> Element {
    Element::new(SAMLP, "Response")
        .attr("ID", "_r1")
        .child(Element::new(SAML, "Issuer").text("https://broker.example/"))
        .child(Element::new(SAMLP, "Status"))
        .child(assertion)
}

fn samael_reads(xml: &str) -> String {
    Crypto::reduce_xml_to_signed_with_allowed_algorithms(
        xml,
        &[CertificateDer::from(KEY.certificate_der().to_vec())],
        ReduceMode::PreDigest,
        Some(&[AllowedSignatureAlgorithm::RsaSha256]),
    )
    .unwrap()
}

/// Verifies the first signature in the document order of `xml`, or that of the node an XPath names.
fn xmlsec1(xml: &str, node: Option<&str>) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let (document, certificate) = (dir.path().join("document.xml"), dir.path().join("certificate.der"));
    std::fs::write(&document, xml).unwrap();
    std::fs::write(&certificate, KEY.certificate_der()).unwrap();
    let mut command = Command::new("xmlsec1");
    command.arg("--verify").arg("--pubkey-cert-der").arg(&certificate).args(["--enabled-key-data", "rsa"]);
    for element in ["Assertion", "Response", "EntityDescriptor"] {
        command.arg("--id-attr:ID").arg(element);
    }
    if let Some(node) = node {
        command.arg("--node-xpath").arg(node);
    }
    command.arg(&document).output().expect("xmlsec1 is installed")
}

fn assert_xmlsec1(xml: &str, node: Option<&str>) {
    let output = xmlsec1(xml, node);
    assert!(output.status.success(), "{}\n{xml}", String::from_utf8_lossy(&output.stderr));
}

const ASSERTION_SIGNATURE: &str = "//*[local-name()='Assertion']/*[local-name()='Signature']";
const RESPONSE_SIGNATURE: &str = "/*[local-name()='Response']/*[local-name()='Signature']";

#[test]
fn an_element_is_written_in_canonical_form() {
    let written = Element::new(MD, "EntityDescriptor")
        .attr("validUntil", "2030")
        .attr("ID", "_1")
        .attr_in(XML, "lang", "en")
        .child(Element::new(MD, "Empty"))
        .child(Element::new(DS, "KeyInfo").child(Element::new(DS, "KeyName").text("a")))
        .child(Element::new(DS, "KeyInfo"))
        .write()
        .unwrap();
    assert_eq!(
        written.as_str(),
        concat!(
            r#"<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" ID="_1" validUntil="2030" xml:lang="en">"#,
            r#"<md:Empty></md:Empty>"#,
            r#"<ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:KeyName>a</ds:KeyName></ds:KeyInfo>"#,
            r#"<ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"></ds:KeyInfo></md:EntityDescriptor>"#,
        )
    );
}

#[test]
fn text_and_attributes_are_escaped_as_canonical_xml_says() {
    let value = "& < > \" ' \t \n \r é 😀";
    let written = Element::new(SAML, "A").attr("a", value).text(value).write().unwrap();
    assert!(written.as_str().contains(r#" a="&amp; &lt; > &quot; ' &#x9; &#xA; &#xD; é 😀">"#), "{}", written.as_str());
    assert!(written.as_str().contains(">&amp; &lt; &gt; \" ' \t \n &#xD; é 😀</saml:A>"), "{}", written.as_str());
}

#[test]
fn characters_xml_cannot_carry_are_refused() {
    for c in ['\0', '\x01', '\x08', '\x0B', '\x0C', '\x1F', '\u{FFFE}', '\u{FFFF}'] {
        let in_text = Element::new(SAML, "A").text(format!("a{c}b")).write();
        let in_attribute = Element::new(SAML, "A").attr("a", format!("a{c}b")).write();
        for written in [in_text, in_attribute] {
            assert!(
                matches!(written, Err(WriteError::ForbiddenCharacter { code, .. }) if code == u32::from(c)),
                "{c:?}"
            );
        }
    }
}

#[test]
fn the_last_value_of_an_attribute_counts() {
    let written = Element::new(SAML, "A").attr("a", "1").attr("a", "2").write().unwrap();
    assert!(written.as_str().contains(r#" a="2">"#) && !written.as_str().contains(r#"a="1""#));
}

#[test]
fn the_signature_stands_after_the_issuer() {
    let signed = assertion("x").write_signed(&*KEY).unwrap();
    assert!(signed.as_str().contains("</saml:Issuer><ds:Signature "), "{}", signed.as_str());
    let metadata = Element::new(MD, "EntityDescriptor").attr("ID", "_m").child(Element::new(MD, "X"));
    let signed = metadata.write_signed(&*KEY).unwrap();
    assert!(signed.as_str().contains(r#"ID="_m"><ds:Signature "#), "{}", signed.as_str());
    assert_xmlsec1(signed.as_str(), None);
}

#[test]
fn samael_and_xmlsec1_verify_a_signed_assertion_alone_and_in_a_response() {
    let alone = assertion("a&b<c>\"'\t\r\n é 😀").write_signed(&*KEY).unwrap();
    assert_xmlsec1(alone.as_str(), None);
    let unsigned = assertion("a&b<c>\"'\t\r\n é 😀").write().unwrap();
    assert_eq!(samael_reads(alone.as_str()), unsigned.as_str(), "what was digested is what we wrote");

    let inside = response(alone).write().unwrap();
    assert_xmlsec1(inside.as_str(), Some(ASSERTION_SIGNATURE));
    assert_eq!(samael_reads(inside.as_str()), unsigned.as_str());
}

#[test]
fn samael_and_xmlsec1_verify_a_signed_response() {
    let assertion = assertion("asha").write().unwrap();
    let unsigned = response(assertion.clone()).write().unwrap();
    let signed = response(assertion).write_signed(&*KEY).unwrap();
    assert_xmlsec1(signed.as_str(), Some(RESPONSE_SIGNATURE));
    assert_eq!(samael_reads(signed.as_str()), unsigned.as_str());
}

#[test]
fn samael_and_xmlsec1_verify_a_response_signed_inside_and_out() {
    let signed = response(assertion("asha").write_signed(&*KEY).unwrap()).write_signed(&*KEY).unwrap();
    assert_xmlsec1(signed.as_str(), Some(ASSERTION_SIGNATURE));
    assert_xmlsec1(signed.as_str(), Some(RESPONSE_SIGNATURE));
    assert!(samael_reads(signed.as_str()).starts_with("<samlp:Response "));
}

#[test]
fn a_changed_byte_breaks_the_signature() {
    let signed = assertion("asha").write_signed(&*KEY).unwrap().into_string();
    let changed = signed.replacen(">asha<", ">lina<", 1);
    assert_ne!(signed, changed);
    assert!(!xmlsec1(&changed, None).status.success());
}

#[test]
fn an_element_without_a_usable_id_is_not_signed() {
    for id in ["", "1a", "a b", "a\"b", "é", "#a"] {
        let written = assertion("x").attr("ID", id).write_signed(&*KEY);
        assert!(matches!(written, Err(WriteError::NoId("Assertion"))), "{id}");
    }
    assert!(matches!(Element::new(SAML, "Assertion").write_signed(&*KEY), Err(WriteError::NoId(_))));
}

#[test]
fn a_written_child_under_its_own_prefix_is_refused() {
    let nested = Element::new(SAML, "Advice").child(assertion("x").write().unwrap()).write();
    assert!(matches!(nested, Err(WriteError::PrefixInScope("saml"))));
    let in_signature = Element::new(DS, "Object").attr("ID", "_o").write_signed(&*KEY);
    assert!(matches!(in_signature, Err(WriteError::PrefixInScope("ds"))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever a directory holds, the tree has the elements we wrote and the value comes back as it was.
    #[test]
    fn no_value_creates_an_element(value in prop_oneof![
        any::<String>(),
        r#"[<>&"'/=!\[\]\-a-zA-Z:;# \t\r\n]{0,60}"#,
        r#"(</saml:NameID>|<saml:Attribute Name="Role">|<!--|-->|\]\]>|<!\[CDATA\[|&lt;|&#60;|<\?x|\?>|x|\r){0,8}"#,
    ]) {
        match assertion(&value).write() {
            Err(WriteError::ForbiddenCharacter { .. }) => {
                let forbidden = |c: char| (c < ' ' && !"\t\n\r".contains(c)) || [0xFFFE, 0xFFFF].contains(&u32::from(c));
                prop_assert!(value.chars().any(forbidden));
            }
            Err(other) => prop_assert!(false, "{other}"),
            Ok(written) => {
                let document = roxmltree::Document::parse(written.as_str()).unwrap();
                let names: Vec<_> = document.descendants().filter(roxmltree::Node::is_element).map(|n| n.tag_name().name()).collect();
                prop_assert_eq!(names, ["Assertion", "Issuer", "Subject", "NameID"]);
                prop_assert!(!document.descendants().any(|n| n.is_comment() || n.is_pi()));
                let name_id = document.descendants().find(|n| n.has_tag_name((SAML.uri, "NameID"))).unwrap();
                prop_assert_eq!(name_id.text().unwrap_or(""), &value);
                prop_assert_eq!(name_id.attribute("Format"), Some(value.as_str()));
                prop_assert_eq!(name_id.attributes().len(), 1);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_value_we_write_verifies(value in r#"[ -~é\t\r\n]{0,40}"#) {
        let signed = assertion(&value).write_signed(&*KEY).unwrap();
        prop_assert_eq!(samael_reads(signed.as_str()), assertion(&value).write().unwrap().into_string());
    }
}
