use super::*;
use crate::saml::gate::admit;

// Signed documents are made and broken by the forge in tests/it/hostile; here is what needs none.

#[test]
fn without_a_certificate_or_without_a_signature_nothing_is_believed() {
    let text = r#"<p:Response xmlns:p="urn:oasis:names:tc:SAML:2.0:protocol" ID="_1"/>"#;
    let gated = admit(text.as_bytes(), Root::Response, &Limits::MESSAGE, Sha1::Refused).unwrap();
    assert_eq!(verify(&gated, &[], Sha1::Refused).unwrap_err().code(), "no-trusted-certificate");
}

#[test]
fn hardening_can_be_asked_for_from_many_threads() {
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(hardening::once);
        }
    });
}
