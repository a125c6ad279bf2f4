//! The HTTP-Redirect binding: a message in a query string, deflated, and signed beside the XML instead of inside.
//!
//! Spec: SAML bindings 3.4. The signature is over the octets of the query as they were sent, so both ways work on those
//! and never on decoded values: some partners percent-encode in lower case, and encoding again would change it.

use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

use super::certificate::SigningCertificate;
use super::gate::{GateError, Sha1, SignatureAlgorithm};

/// What RFC 3986 calls unreserved stays; everything else is escaped, in upper case.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The longest RelayState that may be sent.
///
/// Spec: SAML bindings 3.4.3.
pub const MAX_RELAY_STATE: usize = 80;

/// Which of the two parameters carries the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carries {
    Request,
    Response,
}

impl Carries {
    /// Which of the two a raw query holds.
    ///
    /// # Errors
    /// None of them, or both.
    pub fn of(query: &str) -> Result<Self, RedirectError> {
        match (raw(query, "SAMLRequest")?, raw(query, "SAMLResponse")?) {
            (Some(_), None) => Ok(Self::Request),
            (None, Some(_)) => Ok(Self::Response),
            (None, None) => Err(RedirectError::Missing("SAMLRequest")),
            (Some(_), Some(_)) => Err(RedirectError::Both),
        }
    }

    /// The name of the parameter or form field.
    #[must_use]
    pub fn parameter(self) -> &'static str {
        match self {
            Self::Request => "SAMLRequest",
            Self::Response => "SAMLResponse",
        }
    }
}

/// Why a query does not hold a message.
#[derive(Debug, thiserror::Error)]
pub enum RedirectError {
    #[error("the parameter {0} is missing")]
    Missing(&'static str),
    #[error("the parameter {0} is there more than once")]
    Repeated(&'static str),
    #[error("there is both a request and a response")]
    Both,
    #[error("the parameter {0} is not percent-encoded UTF-8")]
    Encoding(&'static str),
    #[error("the parameter {0} is not base64")]
    Base64(&'static str, #[source] base64::DecodeError),
    #[error("the message is not deflated")]
    Deflate(#[source] std::io::Error),
    #[error("the message inflates to more than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the parameter SigAlg names an algorithm that cannot be believed")]
    Algorithm(#[source] GateError),
    #[error("there is no certificate to check signatures with")]
    NoCandidates,
    #[error("no trusted certificate made the signature over the query")]
    Invalid,
}

impl RedirectError {
    /// A stable short name for audit events.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "parameter-missing",
            Self::Repeated(_) | Self::Both => "parameter-repeated",
            Self::Encoding(_) => "parameter-malformed",
            Self::Base64(..) => "base64-malformed",
            Self::Deflate(_) => "deflate-malformed",
            Self::TooLarge { .. } => "too-large",
            Self::Algorithm(e) => e.code(),
            Self::NoCandidates => "no-trusted-certificate",
            Self::Invalid => "signature-invalid",
        }
    }
}

/// The query string that carries `xml`: `SAMLRequest=…[&RelayState=…]`, ready to stand behind `?` or `&`.
#[must_use]
pub fn query(carries: Carries, xml: &str, relay_state: Option<&str>) -> String {
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(xml.len() / 2), Compression::default());
    let deflated =
        encoder.write_all(xml.as_bytes()).and_then(|()| encoder.finish()).expect("writing to memory cannot fail");
    let mut query = format!("{}={}", carries.parameter(), component(&STANDARD.encode(deflated)));
    if let Some(relay_state) = relay_state {
        query.push_str("&RelayState=");
        query.push_str(&component(relay_state));
    }
    query
}

/// [`query`] with `SigAlg` and `Signature`; `sign` is given the octets to sign.
///
/// # Errors
/// Whatever `sign` fails with.
pub fn signed_query<E>(
    carries: Carries,
    xml: &str,
    relay_state: Option<&str>,
    algorithm: &str,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<String, E> {
    let mut query = query(carries, xml, relay_state);
    query.push_str("&SigAlg=");
    query.push_str(&component(algorithm));
    let signature = sign(query.as_bytes())?;
    query.push_str("&Signature=");
    query.push_str(&component(&STANDARD.encode(signature)));
    Ok(query)
}

/// A message taken out of a query string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The XML, not yet looked at.
    pub xml: Vec<u8>,
    pub relay_state: Option<String>,
    /// Whether a signature came with it; whether it holds is for [`verify`] to say.
    pub signed: bool,
}

/// Takes the message out of a raw query string, without `?`; inflates to at most `limit` bytes.
///
/// # Errors
/// [`RedirectError`]
pub fn receive(carries: Carries, query: &str, limit: usize) -> Result<Received, RedirectError> {
    let name = carries.parameter();
    let packed: Vec<u8> = decoded(query, name)?
        .ok_or(RedirectError::Missing(name))?
        .bytes()
        .filter(|b| !b.is_ascii_whitespace())
        .collect();
    let deflated = STANDARD.decode(packed).map_err(|e| RedirectError::Base64(name, e))?;
    let xml = match inflate(&deflated, limit) {
        // Auth0 sends logout messages as they are, signed inside.
        Err(RedirectError::Deflate(_)) if deflated.starts_with(b"<") && deflated.len() <= limit => deflated,
        inflated => inflated?,
    };
    Ok(Received { xml, relay_state: decoded(query, "RelayState")?, signed: raw(query, "Signature")?.is_some() })
}

/// The RelayState of a raw query.
///
/// # Errors
/// It stands there twice, or is not percent-encoded UTF-8.
pub fn relay_state(query: &str) -> Result<Option<String>, RedirectError> {
    decoded(query, "RelayState")
}

/// An address with such a query behind what query it has itself.
#[must_use]
pub fn address(location: &Url, query: &str) -> Url {
    let mut address = location.clone();
    let query = match address.query() {
        Some(own) if !own.is_empty() => format!("{own}&{query}"),
        _ => query.to_owned(),
    };
    address.set_query(Some(&query));
    address.set_fragment(None);
    address
}

/// Inflates to at most `limit` bytes: a few kilobytes can hold gigabytes.
///
/// # Errors
/// [`RedirectError::Deflate`] or [`RedirectError::TooLarge`].
pub fn inflate(deflated: &[u8], limit: usize) -> Result<Vec<u8>, RedirectError> {
    let mut xml = Vec::new();
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    DeflateDecoder::new(deflated).take(one_more).read_to_end(&mut xml).map_err(RedirectError::Deflate)?;
    if xml.len() > limit { Err(RedirectError::TooLarge { limit }) } else { Ok(xml) }
}

/// Checks the signature over a raw query string, as received and without `?`.
///
/// # Errors
/// [`RedirectError`]; a query without a signature is an error too.
pub fn verify(
    carries: Carries,
    query: &str,
    candidates: &[SigningCertificate],
    sha1: Sha1,
) -> Result<(), RedirectError> {
    if candidates.is_empty() {
        return Err(RedirectError::NoCandidates);
    }
    let name = carries.parameter();
    let algorithm = decoded(query, "SigAlg")?.ok_or(RedirectError::Missing("SigAlg"))?;
    let algorithm = SignatureAlgorithm::from_uri(&algorithm, sha1).map_err(RedirectError::Algorithm)?;
    let signature = decoded(query, "Signature")?.ok_or(RedirectError::Missing("Signature"))?;
    let signature: Vec<u8> = signature.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let signature = STANDARD.decode(signature).map_err(|e| RedirectError::Base64("Signature", e))?;
    // The order is fixed by the binding, whatever the order in the query.
    let mut signed = format!("{name}={}", raw(query, name)?.ok_or(RedirectError::Missing(name))?);
    for name in ["RelayState", "SigAlg"] {
        if let Some(value) = raw(query, name)? {
            signed.push('&');
            signed.push_str(name);
            signed.push('=');
            signed.push_str(value);
        }
    }
    let holds = candidates
        .iter()
        .filter(|candidate| algorithm.fits(candidate.key_type()))
        .any(|candidate| candidate.verifies(algorithm.digest(), signed.as_bytes(), &signature));
    if holds { Ok(()) } else { Err(RedirectError::Invalid) }
}

fn component(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

/// A parameter as it was sent. Two of one name are refused: who reads the first and who the last is how a signature over
/// one message comes to vouch for another.
fn raw<'q>(query: &'q str, name: &'static str) -> Result<Option<&'q str>, RedirectError> {
    let mut values = query.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    });
    let first = values.next();
    if values.next().is_some() { Err(RedirectError::Repeated(name)) } else { Ok(first) }
}

fn decoded(query: &str, name: &'static str) -> Result<Option<String>, RedirectError> {
    raw(query, name)?
        .map(|value| {
            let spaced = value.replace('+', " ");
            // In base64 a plus that was not escaped is a plus; nothing else here has a space that matters.
            let value = if name == "RelayState" { spaced.as_str() } else { value };
            percent_decode_str(value)
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| RedirectError::Encoding(name))
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::hash::MessageDigest;
    use openssl::pkey::{PKey, Private};
    use openssl::sign::Signer;

    fn key_and_certificate() -> (PKey<Private>, SigningCertificate) {
        let key = PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap();
        let mut builder = openssl::x509::X509::builder().unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&openssl::asn1::Asn1Time::from_unix(0).unwrap()).unwrap();
        builder.set_not_after(&openssl::asn1::Asn1Time::from_unix(1).unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        let certificate = SigningCertificate::from_der(&builder.build().to_der().unwrap()).unwrap();
        (key, certificate)
    }

    fn signed(key: &PKey<Private>, message: &[u8]) -> Vec<u8> {
        Signer::new(MessageDigest::sha256(), key).unwrap().sign_oneshot_to_vec(message).unwrap()
    }

    #[test]
    fn a_message_survives_the_query_string() {
        let xml = "<a b=\"&amp;\">é</a>";
        let query = query(Carries::Request, xml, Some("a b&c=d/é"));
        assert!(query.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%=&".contains(&b)), "{query}");
        let received = receive(Carries::Request, &query, 100).unwrap();
        assert_eq!(received.xml, xml.as_bytes());
        assert_eq!(received.relay_state.as_deref(), Some("a b&c=d/é"));
        assert!(!received.signed);
        assert!(matches!(receive(Carries::Response, &query, 100), Err(RedirectError::Missing("SAMLResponse"))));
    }

    #[test]
    fn a_signature_holds_over_the_octets_as_sent_and_over_no_others() {
        let (key, certificate) = key_and_certificate();
        let (_, other) = key_and_certificate();
        let uri = SignatureAlgorithm::RsaSha256.uri();
        let sign = |octets: &[u8]| Ok::<_, std::convert::Infallible>(signed(&key, octets));
        let query = signed_query(Carries::Request, "<a/>", Some("s/1"), uri, sign).unwrap();
        let check =
            |query: &str, candidates: &[SigningCertificate]| verify(Carries::Request, query, candidates, Sha1::Refused);
        assert!(check(&query, &[other.clone(), certificate.clone()]).is_ok());
        assert!(matches!(check(&query, &[other]), Err(RedirectError::Invalid)));
        assert!(matches!(check(&query, &[]), Err(RedirectError::NoCandidates)));
        let only = [certificate];
        assert!(check(&query.replace("s%2F1", "s%2F2"), &only).is_err());
        assert!(check(&query.replace("s%2F1", "s%2f1"), &only).is_err(), "other octets, same meaning");
        assert!(matches!(check(&format!("{query}&RelayState=x"), &only), Err(RedirectError::Repeated(_))));
        let unsigned = &query[..query.find("&SigAlg").unwrap()];
        assert!(matches!(check(unsigned, &only), Err(RedirectError::Missing("SigAlg"))));

        // A partner that encodes in lower case signs those octets.
        let head = query[..query.find("&Signature").unwrap()].replace("%2F", "%2f").replace("%3A", "%3a");
        let lower = format!("{head}&Signature={}", component(&STANDARD.encode(signed(&key, head.as_bytes()))));
        assert!(check(&lower, &only).is_ok());
        let parts: Vec<&str> = lower.split('&').rev().collect();
        assert!(check(&parts.join("&"), &only).is_ok(), "the order in the query does not matter");
    }

    #[test]
    fn a_bomb_is_cut_off_at_the_limit() {
        let bomb = query(Carries::Request, &"a".repeat(5_000_000), None);
        assert!(bomb.len() < 20_000);
        assert!(matches!(receive(Carries::Request, &bomb, 1000), Err(RedirectError::TooLarge { limit: 1000 })));
        assert!(matches!(receive(Carries::Request, "SAMLRequest=AAAA", 10), Err(RedirectError::Deflate(_))));
        assert!(matches!(receive(Carries::Request, "SAMLRequest=!", 10), Err(RedirectError::Base64(..))));
    }
}
