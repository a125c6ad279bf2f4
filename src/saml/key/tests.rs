use openssl::sign::{Signer, Verifier};

use super::*;
use crate::sys::SeededRng;

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn key() -> SigningKey {
    SigningKey::generate(KeySize::Rsa2048, "broker.corp.example", now(), &SeededRng::new(7)).unwrap()
}

#[test]
fn a_signature_verifies_under_the_certificate() {
    let key = key();
    let signature = key.sign(b"message").unwrap();
    let certificate = X509::from_der(key.certificate_der()).unwrap();
    let public = certificate.public_key().unwrap();
    let verify = |message: &[u8]| {
        Verifier::new(MessageDigest::sha256(), &public).unwrap().verify_oneshot(&signature, message).unwrap()
    };
    assert!(verify(b"message"));
    assert!(!verify(b"another"));
    assert!(certificate.verify(&public).unwrap(), "the certificate signs itself");
}

#[test]
fn a_stored_key_comes_back_with_the_same_id() {
    let key = key();
    let again = SigningKey::from_der(&key.private_key_der().unwrap(), key.certificate_der()).unwrap();
    assert_eq!(again.id(), key.id());
    assert_eq!(again.certificate_base64(), key.certificate_base64());
    assert_eq!(again.sign(b"m").unwrap(), key.sign(b"m").unwrap());
    assert_eq!(key.id().len(), 16);
}

#[test]
fn a_certificate_of_another_key_is_refused() {
    let (one, other) = (key(), key());
    let mixed = SigningKey::from_der(&one.private_key_der().unwrap(), other.certificate_der());
    assert!(matches!(mixed, Err(KeyError::Mismatch)));
    assert!(matches!(SigningKey::from_der(b"junk", one.certificate_der()), Err(KeyError::PrivateKey(_))));
    let private = one.private_key_der().unwrap();
    assert!(matches!(SigningKey::from_der(&private, b"junk"), Err(KeyError::Certificate(_))));
}

#[test]
fn a_short_or_foreign_key_is_unsuitable() {
    let weak = PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap();
    let certificate = self_signed(&weak, "weak", now(), &SeededRng::new(1)).unwrap();
    let read = SigningKey::from_der(&weak.private_key_to_pkcs8().unwrap(), &certificate);
    assert!(matches!(read, Err(KeyError::Unsuitable)));
}

#[test]
fn the_certificate_is_long_lived_and_repeats_no_extension() {
    let key = key();
    let text = String::from_utf8(X509::from_der(key.certificate_der()).unwrap().to_text().unwrap()).unwrap();
    assert!(text.contains("Not Before: Nov 21 11:00:00 2026 GMT"), "{text}");
    assert!(text.contains("Not After : Nov 16 12:00:00 2046 GMT"), "{text}");
    assert!(text.contains("Version: 3"));
    for extension in ["Basic Constraints", "Key Usage", "Subject Key Identifier"] {
        assert_eq!(text.matches(extension).count(), 1, "{extension} in {text}");
    }
}

#[test]
fn a_common_name_may_be_long_or_not_english() {
    let long = "x".repeat(200);
    for name in [long.as_str(), "zentrale.münchen.example"] {
        assert!(SigningKey::generate(KeySize::Rsa2048, name, now(), &SeededRng::new(7)).is_ok(), "{name}");
    }
}

#[test]
fn debug_shows_the_id_and_nothing_else() {
    let key = key();
    assert_eq!(format!("{key:?}"), format!("SigningKey {{ id: \"{}\", .. }}", key.id()));
}

#[test]
fn key_sizes_are_three() {
    assert_eq!(KeySize::default().bits(), 3072);
    for (text, size) in [("2048", KeySize::Rsa2048), ("3072", KeySize::Rsa3072), ("4096", KeySize::Rsa4096)] {
        assert_eq!(text.parse(), Ok(size));
    }
    for text in ["", "1024", "2048 ", "+2048", "8192", "rsa2048"] {
        assert!(text.parse::<KeySize>().is_err(), "{text}");
    }
}

#[test]
fn a_signature_has_the_bytes_openssl_would_give_it() {
    let key = key();
    let openssl = |message: &[u8]| {
        Signer::new(MessageDigest::sha256(), key.private_key()).unwrap().sign_oneshot_to_vec(message).unwrap()
    };
    for message in [&b""[..], b"message", &[0xa5; 5000]] {
        assert_eq!(key.sign(message).unwrap(), openssl(message));
    }
}
