//! XML signatures: who signed what, and exactly which bytes.
//!
//! The cryptography and canonicalization are xmlsec's, through samael; what is asked of them is narrow. Each candidate
//! certificate is tried alone, because xmlsec gives up at the first key of another type than the signature. Of its
//! answer only the octets that were digested are kept: they are parsed again, and nothing else is ever read for meaning.

mod hardening;
#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use samael::crypto::{AllowedSignatureAlgorithm, CertificateDer, Crypto, CryptoError, CryptoProvider, ReduceMode};

use super::certificate::SigningCertificate;
use super::gate::{self, GateError, Gated, Limits, Root, Sha1, SignatureAlgorithm};
use super::names::DS;

const ALLOWED: [AllowedSignatureAlgorithm; 6] = [
    AllowedSignatureAlgorithm::RsaSha256,
    AllowedSignatureAlgorithm::RsaSha384,
    AllowedSignatureAlgorithm::RsaSha512,
    AllowedSignatureAlgorithm::EcdsaSha256,
    AllowedSignatureAlgorithm::EcdsaSha384,
    AllowedSignatureAlgorithm::EcdsaSha512,
];

/// The octets a trusted key signed, in canonical form, without the signature itself.
#[derive(Debug)]
pub struct VerifiedXml {
    text: String,
    kind: Root,
    id: String,
    algorithm: SignatureAlgorithm,
}

impl VerifiedXml {
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What was signed: the whole response, or the assertion in it.
    #[must_use]
    pub fn kind(&self) -> Root {
        self.kind
    }

    #[must_use]
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// Through the gate again, and to a tree.
    ///
    /// # Errors
    /// [`SignatureError::Gate`], or [`SignatureError::SomethingElse`] if what was signed is not what the document
    /// seemed to say was signed.
    pub fn open(&self, limits: &Limits, sha1: Sha1) -> Result<Gated<'_>, SignatureError> {
        // Canonical form may be longer than what was sent: it declares namespaces where they are used.
        let limits = limits.with_bytes(limits.bytes.saturating_mul(2));
        let gated = gate::admit(self.text.as_bytes(), self.kind, &limits, sha1).map_err(SignatureError::Gate)?;
        if gated.root().attribute("ID") == Some(&self.id) { Ok(gated) } else { Err(SignatureError::SomethingElse) }
    }
}

/// Why no signature could be believed.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    #[error("there is no certificate to check signatures with")]
    NoCandidates,
    #[error("nothing in the document is signed")]
    Missing,
    #[error("the document is signed with {}, and none of the {candidates} trusted certificates has such a key", .algorithm.uri())]
    NoFittingKey { algorithm: SignatureAlgorithm, candidates: usize },
    #[error("no trusted certificate made the signature; {tried} were tried")]
    Invalid { tried: usize, source: CryptoError },
    #[error("what the signature covers is not the element it stands in")]
    SomethingElse,
    #[error("what the signature covers is not of the expected form")]
    Gate(#[source] GateError),
}

impl SignatureError {
    /// A stable short name for audit events.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoCandidates => "no-trusted-certificate",
            Self::Missing => "signature-missing",
            Self::NoFittingKey { .. } => "signature-key-unknown",
            Self::Invalid { .. } => "signature-invalid",
            Self::SomethingElse => "signature-covers-something-else",
            Self::Gate(e) => e.code(),
        }
    }
}

/// Checks every signature in the document; with two, both must hold. Returns what the outermost covers.
///
/// `candidates` are the certificates the partner's metadata names, in any order; expired ones count, since it is the
/// metadata that makes them trusted.
///
/// # Errors
/// [`SignatureError`]
pub fn verify(gated: &Gated<'_>, candidates: &[SigningCertificate], sha1: Sha1) -> Result<VerifiedXml, SignatureError> {
    // An empty list must never read as "nothing to check".
    if candidates.is_empty() {
        return Err(SignatureError::NoCandidates);
    }
    let places = gated.signatures();
    let outermost = places.iter().find(|place| place.of_root).or(places.first()).ok_or(SignatureError::Missing)?;
    let fitting = |algorithm: SignatureAlgorithm| candidates.iter().filter(move |c| algorithm.fits(c.key_type()));
    for place in places {
        if fitting(place.algorithm).next().is_none() {
            let algorithm = place.algorithm;
            return Err(SignatureError::NoFittingKey { algorithm, candidates: candidates.len() });
        }
    }

    hardening::once();
    let hint = announced_certificate(gated);
    let mut ordered: Vec<&SigningCertificate> = fitting(outermost.algorithm).collect();
    // Only the order is taken from the document, so that a rollover does not double the work.
    ordered.sort_by_key(|certificate| hint.as_deref() != Some(certificate.der()));

    let der = |certificate: &SigningCertificate| CertificateDer::from(certificate.der().to_vec());
    let mut attempts: Vec<Vec<CertificateDer>> = ordered.iter().map(|certificate| vec![der(certificate)]).collect();
    if places.len() > 1 && candidates.len() > 1 {
        // The two signatures may be by two keys; then neither key alone verifies the document. Within one call xmlsec
        // goes from key to key as long as none is of a type the signature cannot have.
        let both = |c: &&SigningCertificate| places.iter().all(|place| place.algorithm.fits(c.key_type()));
        attempts.push(candidates.iter().filter(both).map(der).collect());
    }

    let allowed = match sha1 {
        Sha1::Refused => Some(ALLOWED.as_slice()),
        // samael's list has no name for SHA-1; the gate has checked both algorithms of each signature by now.
        Sha1::Allowed => None,
    };
    let mut last = CryptoError::InvalidSignature;
    for certificates in &attempts {
        let reduced = Crypto::reduce_xml_to_signed_with_allowed_algorithms(
            gated.text(),
            certificates,
            ReduceMode::PreDigest,
            allowed,
        );
        match reduced {
            Ok(text) => {
                let kind = if outermost.of_root { gated.kind() } else { Root::Assertion };
                return Ok(VerifiedXml { text, kind, id: outermost.id.clone(), algorithm: outermost.algorithm });
            }
            Err(e) => last = e,
        }
    }
    Err(SignatureError::Invalid { tried: ordered.len(), source: last })
}

/// The certificate the document says it was signed with. Never trusted.
fn announced_certificate(gated: &Gated<'_>) -> Option<Vec<u8>> {
    let signature = gated
        .root()
        .children()
        .chain(gated.assertion().into_iter().flat_map(|assertion| assertion.children()))
        .find(|node| node.has_tag_name((DS, "Signature")))?;
    let certificate = signature.descendants().find(|node| node.has_tag_name((DS, "X509Certificate")))?;
    let text: Vec<u8> = gate::text_of(certificate)?.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    STANDARD.decode(text).ok()
}
