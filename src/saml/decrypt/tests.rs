use super::*;
use roxmltree::Document;

// Whole encrypted replies, honest and hostile, are in tests/it/hostile; here is what decides before any key is used.

fn key() -> PKey<Private> {
    PKey::from_rsa(openssl::rsa::Rsa::generate(1024).unwrap()).unwrap()
}

fn document(bulk: &str, transport: &str, keys: usize, reference: &str) -> String {
    let encrypted_key = format!(
        "<x:EncryptedKey Id='k'><x:EncryptionMethod Algorithm='{transport}'/><x:CipherData><x:CipherValue>AAAA\
         </x:CipherValue></x:CipherData></x:EncryptedKey>"
    );
    format!(
        "<a xmlns:x='{XENC}' xmlns:d='{DS}'><x:EncryptedData><x:EncryptionMethod Algorithm='{bulk}'/><d:KeyInfo>\
         {reference}{}</d:KeyInfo><x:CipherData><x:CipherValue>AA AA</x:CipherValue></x:CipherData></x:EncryptedData></a>",
        encrypted_key.repeat(keys)
    )
}

fn code(xml: &str, keys: &[PKey<Private>]) -> &'static str {
    decrypt(Document::parse(xml).unwrap().root_element(), "sp", keys).unwrap_err().code()
}

const GCM: &str = "http://www.w3.org/2009/xmlenc11#aes128-gcm";
const OAEP: &str = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p";

#[test]
fn refused_algorithms_are_named_and_every_other_failure_is_the_same() {
    let keys = [key()];
    assert_eq!(code(&document(GCM, OAEP, 1, ""), &keys), "decryption-failed");
    assert_eq!(code(&document(GCM, OAEP, 1, ""), &[]), "decryption-key-missing");
    for (bulk, transport) in [
        ("http://www.w3.org/2001/04/xmlenc#tripledes-cbc", OAEP),
        (GCM, "http://www.w3.org/2001/04/xmlenc#rsa-1_5"),
        ("", OAEP),
        (GCM, ""),
    ] {
        assert_eq!(code(&document(bulk, transport, 1, ""), &keys), "encryption-algorithm-refused");
    }
}

#[test]
fn the_key_is_found_in_the_document_or_not_at_all() {
    let keys = [key()];
    assert_eq!(code(&document(GCM, OAEP, 0, ""), &keys), "encryption-malformed");
    assert_eq!(code(&document(GCM, OAEP, 5, ""), &keys), "encryption-malformed");
    assert_eq!(code(&document(GCM, OAEP, 1, "<d:RetrievalMethod URI='#k'/>"), &keys), "decryption-failed");
    for uri in ["", "#", "#other", "http://127.0.0.1/k", "file:///etc/passwd"] {
        let reference = format!("<d:RetrievalMethod URI='{uri}'/>");
        assert_eq!(code(&document(GCM, OAEP, 1, &reference), &keys), "encryption-malformed", "{uri}");
    }
}

#[test]
fn no_ciphertext_of_any_length_makes_a_cipher_panic() {
    for length in 0..70 {
        for bulk in [Bulk::Gcm { bits: 128 }, Bulk::Cbc { bits: 128 }] {
            let _ = bulk.open(&[1; 16], &vec![2; length]);
        }
    }
}

#[test]
fn missing_declarations_are_taken_from_around_the_encrypted_element() {
    let decrypted = Decrypted {
        xml: Zeroizing::new("<a:b c='>' xmlns:d='urn:d'/>".to_owned()),
        context: vec![("a".into(), "urn:a".into()), ("d".into(), "urn:other".into()), (String::new(), "urn:x".into())],
    };
    let xml = decrypted.in_context();
    assert!(xml.starts_with("<a:b xmlns:a=\"urn:a\""), "{}", xml.as_str());
    // Where a tag cannot be told apart by such simple means, the document is refused, never misread.
    assert!(Document::parse(&xml).is_err());
    let plain = Decrypted { xml: Zeroizing::new("<a:b/>".to_owned()), context: decrypted.context.clone() };
    assert_eq!(Document::parse(&plain.in_context()).unwrap().root_element().tag_name().namespace(), Some("urn:a"));
}
