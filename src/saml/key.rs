//! An RSA key with the certificate that announces it.
//!
//! One type serves everything of ours that signs or decrypts: assertions for AWS, signed requests to identity
//! providers, encrypted assertions addressed to us, and the development identity provider.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, PKeyRef, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectKeyIdentifier};
use openssl::x509::{X509, X509Name, X509NameBuilder};
use zeroize::Zeroizing;

use crate::sys::Rng;

/// How long a certificate says it is valid. Nothing here nor at AWS acts on it: what is trusted is the key in the
/// metadata. Twenty years stays below 2050, where X.509 changes its way of writing a year.
const VALIDITY: SignedDuration = SignedDuration::from_hours(20 * 365 * 24);

/// Tolerates verifiers whose clock is behind ours on the first day.
const BACKDATED: SignedDuration = SignedDuration::from_hours(1);

/// X.520 allows a common name no more characters.
const MAX_COMMON_NAME: usize = 64;

/// The modulus of a new key, in bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeySize {
    Rsa2048,
    #[default]
    Rsa3072,
    Rsa4096,
}

/// The text or number names no key size we make.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an RSA key size; use 2048, 3072 or 4096")]
pub struct InvalidKeySize(pub String);

impl KeySize {
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
        }
    }
}

impl TryFrom<u32> for KeySize {
    type Error = InvalidKeySize;

    fn try_from(bits: u32) -> Result<Self, Self::Error> {
        match bits {
            2048 => Ok(Self::Rsa2048),
            3072 => Ok(Self::Rsa3072),
            4096 => Ok(Self::Rsa4096),
            other => Err(InvalidKeySize(other.to_string())),
        }
    }
}

impl FromStr for KeySize {
    type Err = InvalidKeySize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit());
        let bits = if plain { text.parse().ok() } else { None };
        bits.and_then(|bits: u32| Self::try_from(bits).ok()).ok_or_else(|| InvalidKeySize(text.to_owned()))
    }
}

/// Why a key could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the signing key could not be generated")]
    Generate(#[source] ErrorStack),
    #[error("the private key is not PKCS#8 in DER")]
    PrivateKey(#[source] ErrorStack),
    #[error("the certificate is not X.509 in DER")]
    Certificate(#[source] ErrorStack),
    #[error("the private key is not an RSA key of at least 2048 bits")]
    Unsuitable,
    #[error("the certificate belongs to another private key")]
    Mismatch,
    #[error("the private key cannot sign")]
    Rejected(#[source] KeyRejected),
    #[error("the key `{id}` failed to sign")]
    Sign { id: String, source: Unspecified },
}

/// An RSA private key and its self-signed certificate. `Debug` shows the id only.
pub struct SigningKey {
    /// For everything but signing.
    key: PKey<Private>,
    /// The same key, in aws-lc: it signs RSA-3072 in 0.4 of the time OpenSSL 3.0 takes (`benches/mint.rs`).
    signer: KeyPair,
    certificate: Vec<u8>,
    certificate_base64: String,
    id: String,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// A new key and a certificate for `common_name`, of which the first 64 characters are used.
    ///
    /// The key comes from OpenSSL's own generator whatever `rng` is, so it is never repeatable; `rng` chooses the
    /// serial number. This takes up to seconds: call it off the async threads.
    ///
    /// # Errors
    /// [`KeyError::Generate`] when OpenSSL refuses, for example an empty name.
    pub fn generate(size: KeySize, common_name: &str, now: Timestamp, rng: &dyn Rng) -> Result<Self, KeyError> {
        let key = Rsa::generate(size.bits()).and_then(PKey::from_rsa).map_err(KeyError::Generate)?;
        let certificate = self_signed(&key, common_name, now, rng).map_err(KeyError::Generate)?;
        Self::assemble(key, certificate)
    }

    /// The key as it was stored: [`private_key_der`](Self::private_key_der) and
    /// [`certificate_der`](Self::certificate_der).
    ///
    /// # Errors
    /// [`KeyError`] when either cannot be read, the key is not RSA of 2048 bits or more, or they do not belong together.
    pub fn from_der(private_key: &[u8], certificate: &[u8]) -> Result<Self, KeyError> {
        let key = PKey::private_key_from_pkcs8(private_key).map_err(KeyError::PrivateKey)?;
        let certificate = X509::from_der(certificate).map_err(KeyError::Certificate)?;
        if key.id() != Id::RSA || key.bits() < 2048 {
            return Err(KeyError::Unsuitable);
        }
        if !certificate.public_key().map_err(KeyError::Certificate)?.public_eq(&key) {
            return Err(KeyError::Mismatch);
        }
        Self::assemble(key, certificate.to_der().map_err(KeyError::Certificate)?)
    }

    fn assemble(key: PKey<Private>, certificate: Vec<u8>) -> Result<Self, KeyError> {
        let id = hex(&openssl::sha::sha256(&certificate)[..8]);
        let certificate_base64 = STANDARD.encode(&certificate);
        let key = Self { signer: signer(&key)?, key, certificate, certificate_base64, id };
        // aws-lc prepares a private key at its first use: nobody should wait for that, and a key that cannot sign
        // should be known at the start.
        key.sign(b"")?;
        Ok(key)
    }

    /// The private key in PKCS#8, DER. Whoever stores it seals it.
    ///
    /// # Errors
    /// [`KeyError::PrivateKey`] when OpenSSL cannot encode it.
    pub fn private_key_der(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.key.private_key_to_pkcs8().map(Zeroizing::new).map_err(KeyError::PrivateKey)
    }

    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate
    }

    /// The certificate as metadata and `ds:X509Certificate` carry it: base64 without line breaks.
    #[must_use]
    pub fn certificate_base64(&self) -> &str {
        &self.certificate_base64
    }

    /// The first 16 hex digits of the certificate's SHA-256.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The size of the modulus.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.key.bits()
    }

    /// Signs a message with RSASSA-PKCS1-v1_5 and SHA-256 (`rsa-sha256` in XML Signature, `RS256` in JOSE).
    ///
    /// # Errors
    /// [`KeyError::Sign`] when aws-lc fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mut signature = vec![0; self.signer.public_modulus_len()];
        // This padding is not random; aws-lc takes what blinds the private key from a generator of its own.
        self.signer
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|source| KeyError::Sign { id: self.id.clone(), source })?;
        Ok(signature)
    }

    /// For decrypting what was encrypted to our certificate.
    #[must_use]
    pub fn private_key(&self) -> &PKeyRef<Private> {
        &self.key
    }
}

fn signer(key: &PKeyRef<Private>) -> Result<KeyPair, KeyError> {
    let der = key.private_key_to_pkcs8().map(Zeroizing::new).map_err(KeyError::PrivateKey)?;
    KeyPair::from_pkcs8(&der).map_err(KeyError::Rejected)
}

fn self_signed(
    key: &PKeyRef<Private>,
    common_name: &str,
    now: Timestamp,
    rng: &dyn Rng,
) -> Result<Vec<u8>, ErrorStack> {
    let name = distinguished_name(common_name)?;
    let mut serial = [0_u8; 16];
    rng.fill(&mut serial);
    // A serial number is positive and, to be 16 bytes long in every certificate, begins with a set bit.
    serial[0] = serial[0] & 0x7f | 0x40;
    let serial = Asn1Integer::from_bn(&*BigNum::from_slice(&serial)?)?;
    let not_before = Asn1Time::from_unix((now - BACKDATED).as_second())?;
    let not_after = Asn1Time::from_unix((now + VALIDITY).as_second())?;

    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    builder.set_not_before(&not_before)?;
    builder.set_not_after(&not_after)?;
    builder.set_pubkey(key)?;
    // Each extension once: IAM refuses metadata whose certificate repeats one.
    builder.append_extension(BasicConstraints::new().critical().build()?)?;
    builder.append_extension(KeyUsage::new().critical().digital_signature().key_encipherment().build()?)?;
    let key_id = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
    builder.append_extension(key_id)?;
    builder.sign(key, MessageDigest::sha256())?;
    builder.build().to_der()
}

fn distinguished_name(common_name: &str) -> Result<X509Name, ErrorStack> {
    let common_name: String = common_name.chars().take(MAX_COMMON_NAME).collect();
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, &common_name)?;
    Ok(name.build())
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
