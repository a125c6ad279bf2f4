//! Certificates a partner signs with, as they stand in metadata.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Public};
use openssl::x509::X509;

use super::names::excerpt;

/// RSA keys shorter than this are refused: they can be factored.
pub const MIN_RSA_BITS: u32 = 1024;

/// The kind of key in a certificate, which decides the signatures it can have made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    Rsa { bits: u32 },
    Ec { bits: u32 },
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "RSA, {bits} bits"),
            Self::Ec { bits } => write!(f, "elliptic curve, {bits} bits"),
        }
    }
}

/// A certificate whose key may have signed a message.
///
/// It is a container for a key: trust comes from the metadata that names it, so neither its issuer nor its dates are
/// part of any decision. The dates are kept because an operator wants to be warned.
#[derive(Clone)]
pub struct SigningCertificate {
    der: Vec<u8>,
    key: PKey<Public>,
    key_type: KeyType,
    subject: String,
    not_after: Option<Timestamp>,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("the certificate is not base64")]
    Base64(#[source] base64::DecodeError),
    #[error("the certificate is not an X.509 certificate")]
    Der(#[source] openssl::error::ErrorStack),
    #[error("the certificate has {0} more bytes behind it; one element holds one certificate")]
    TrailingBytes(usize),
    #[error("the certificate's key is neither RSA nor on the curve P-256, P-384 or P-521")]
    KeyType,
    #[error("the certificate's RSA key has {0} bits; at least {MIN_RSA_BITS} are needed, 2048 are usual")]
    WeakKey(u32),
}

impl SigningCertificate {
    /// # Errors
    /// [`CertificateError`]: not exactly one certificate, or a key that cannot or must not sign.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let certificate = X509::from_der(der).map_err(CertificateError::Der)?;
        let canonical = certificate.to_der().map_err(CertificateError::Der)?;
        if canonical.len() < der.len() {
            return Err(CertificateError::TrailingBytes(der.len() - canonical.len()));
        }
        let key = certificate.public_key().map_err(CertificateError::Der)?;
        let key_type = key_type(&key)?;
        Ok(Self {
            der: canonical,
            key,
            key_type,
            subject: subject(&certificate),
            not_after: Asn1Time::from_unix(0)
                .and_then(|epoch| epoch.diff(certificate.not_after()))
                .ok()
                .and_then(|since| Timestamp::from_second(i64::from(since.days) * 86_400 + i64::from(since.secs)).ok()),
        })
    }

    /// Base64 as in `ds:X509Certificate`, with any white space a pretty-printer left in it.
    ///
    /// # Errors
    /// As [`from_der`](Self::from_der), and when the text is not base64.
    pub fn from_base64(text: &str) -> Result<Self, CertificateError> {
        let packed: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        Self::from_der(&STANDARD.decode(packed).map_err(CertificateError::Base64)?)
    }

    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    #[must_use]
    pub fn public_key(&self) -> &PKey<Public> {
        &self.key
    }

    #[must_use]
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The subject's name on one line.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    #[must_use]
    pub fn not_after(&self) -> Option<Timestamp> {
        self.not_after
    }

    /// SHA-256 of the certificate in lower-case hex, as `openssl x509 -fingerprint -sha256` gives it without colons.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        use fmt::Write as _;
        openssl::sha::sha256(&self.der).iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// Checks a bare signature over `message`, as the HTTP-Redirect binding makes it. ECDSA signatures are the two
    /// numbers side by side, as everywhere in XML Signature.
    #[must_use]
    pub fn verifies(&self, digest: MessageDigest, message: &[u8], signature: &[u8]) -> bool {
        let der;
        let signature = match self.key_type {
            KeyType::Rsa { .. } => signature,
            KeyType::Ec { bits } => {
                let Some(converted) = ecdsa_der(signature, bits) else { return false };
                der = converted;
                &der
            }
        };
        openssl::sign::Verifier::new(digest, &self.key)
            .and_then(|mut verifier| verifier.verify_oneshot(signature, message))
            .unwrap_or(false)
    }
}

impl PartialEq for SigningCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for SigningCertificate {}

impl fmt::Debug for SigningCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningCertificate")
            .field("subject", &self.subject)
            .field("key_type", &self.key_type)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

fn key_type(key: &PKey<Public>) -> Result<KeyType, CertificateError> {
    match key.id() {
        Id::RSA => match key.bits() {
            bits if bits < MIN_RSA_BITS => Err(CertificateError::WeakKey(bits)),
            bits => Ok(KeyType::Rsa { bits }),
        },
        Id::EC => {
            let curve = key.ec_key().ok().and_then(|ec| ec.group().curve_name());
            match curve {
                Some(Nid::X9_62_PRIME256V1 | Nid::SECP384R1 | Nid::SECP521R1) => Ok(KeyType::Ec { bits: key.bits() }),
                _ => Err(CertificateError::KeyType),
            }
        }
        _ => Err(CertificateError::KeyType),
    }
}

fn ecdsa_der(signature: &[u8], bits: u32) -> Option<Vec<u8>> {
    let half = bits.div_ceil(8) as usize;
    if signature.len() != 2 * half {
        return None;
    }
    let (r, s) = signature.split_at(half);
    let r = openssl::bn::BigNum::from_slice(r).ok()?;
    let s = openssl::bn::BigNum::from_slice(s).ok()?;
    openssl::ecdsa::EcdsaSig::from_private_components(r, s).ok()?.to_der().ok()
}

fn subject(certificate: &X509) -> String {
    let parts: Vec<String> = certificate
        .subject_name()
        .entries()
        .map(|entry| {
            let name = entry.object().nid().short_name().unwrap_or("?");
            let value = entry.data().to_string().unwrap_or_default();
            format!("{name}={}", excerpt(&value))
        })
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::pkey::Private;
    use openssl::rsa::Rsa;
    use openssl::x509::X509NameBuilder;

    fn certificate(key: &PKey<Private>) -> Vec<u8> {
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", "idp.example").unwrap();
        name.append_entry_by_text("O", "Example").unwrap();
        let mut builder = X509::builder().unwrap();
        builder.set_subject_name(&name.build()).unwrap();
        builder.set_pubkey(key).unwrap();
        builder.set_not_before(&Asn1Time::from_unix(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_unix(1_800_000_000).unwrap()).unwrap();
        builder.sign(key, MessageDigest::sha256()).unwrap();
        builder.build().to_der().unwrap()
    }

    fn curve(nid: Nid) -> PKey<Private> {
        PKey::from_ec_key(EcKey::generate(&EcGroup::from_curve_name(nid).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn a_certificate_is_read_as_metadata_writes_it() {
        let der = certificate(&PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap());
        let base64 = STANDARD.encode(&der);
        let wrapped: String =
            base64.as_bytes().chunks(64).map(|line| format!("\n\t {}", String::from_utf8_lossy(line))).collect();
        let read = SigningCertificate::from_base64(&wrapped).unwrap();
        assert_eq!(read, SigningCertificate::from_der(&der).unwrap());
        assert_eq!(read.key_type(), KeyType::Rsa { bits: 2048 });
        assert_eq!(read.subject(), "CN=idp.example, O=Example");
        assert_eq!(read.not_after(), Timestamp::from_second(1_800_000_000).ok());
        assert_eq!(read.fingerprint().len(), 64);
    }

    #[test]
    fn a_key_that_cannot_or_must_not_sign_is_refused() {
        let weak = certificate(&PKey::from_rsa(Rsa::generate(1016).unwrap()).unwrap());
        assert!(matches!(SigningCertificate::from_der(&weak), Err(CertificateError::WeakKey(1016))));
        let p256 = certificate(&curve(Nid::X9_62_PRIME256V1));
        assert_eq!(SigningCertificate::from_der(&p256).unwrap().key_type(), KeyType::Ec { bits: 256 });
        let other = certificate(&curve(Nid::SECP256K1));
        assert!(matches!(SigningCertificate::from_der(&other), Err(CertificateError::KeyType)));
    }

    #[test]
    fn a_subject_stands_on_one_line_of_a_log() {
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", "idp\n2026-11-21T12:00:00Z ERROR forged \u{1b}[31m").unwrap();
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let mut builder = X509::builder().unwrap();
        builder.set_subject_name(&name.build()).unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&Asn1Time::from_unix(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_unix(1).unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        let read = SigningCertificate::from_der(&builder.build().to_der().unwrap()).unwrap();
        assert_eq!(read.subject(), "CN=idp2026-11-21T12:00:00Z ERROR forged [31m");
    }

    #[test]
    fn half_a_certificate_and_two_in_one_are_refused() {
        let der = certificate(&curve(Nid::SECP384R1));
        assert!(matches!(SigningCertificate::from_der(&der[..der.len() - 1]), Err(CertificateError::Der(_))));
        let twice = [der.as_slice(), der.as_slice()].concat();
        assert!(matches!(SigningCertificate::from_der(&twice), Err(CertificateError::TrailingBytes(_))));
        assert!(matches!(SigningCertificate::from_base64("not base64!"), Err(CertificateError::Base64(_))));
    }
}
