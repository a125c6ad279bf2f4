//! Signed tokens: one strict gate, then the signature, and only then what they say.
//!
//! Signatures are checked by the openidconnect crate. Its types for whole tokens are not used: they read a payload a
//! second time, by other rules than ours, and refuse an honest token for a standard claim nobody here needs (Auth0
//! writes `updated_at` as text).
//!
//! Spec: RFC 7515 (JWS), RFC 7519 (JWT), RFC 8725 (best current practices).

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::json::{self, JsonError, Object};
use super::keys::{Key, Keys};
use crate::catalog::JwsAlgorithm;
use crate::saml::names::excerpt;

/// The longest header, in bytes; a certificate chain may stand in it, which is not looked at.
const MAX_HEADER: usize = 16 * 1024;

/// What a token is to be used for. One kind never passes for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    IdToken,
    Userinfo,
    Logout,
    Workload,
}

impl Purpose {
    /// `typ` is optional everywhere. Where it stands it names the kind, and `JWT` leaves it open.
    fn takes(self, typ: &str) -> bool {
        let typ = typ.to_ascii_lowercase();
        match typ.strip_prefix("application/").unwrap_or(&typ) {
            "jwt" => true,
            "logout+jwt" => self == Self::Logout,
            _ => false,
        }
    }
}

/// Why a signed token is not believed.
#[derive(Debug, thiserror::Error)]
pub enum JwsError {
    #[error("it has {size} bytes; {limit} are the most")]
    TooLarge { size: usize, limit: usize },
    #[error("it has {} parts, not three{}", .0, encrypted(*.0))]
    Parts(usize),
    #[error("its {0} is not base64url")]
    Base64(&'static str),
    #[error("its header cannot be read")]
    Header(#[source] JsonError),
    #[error("the header's {0:?} is not a text")]
    Member(&'static str),
    #[error("it is not signed: its algorithm is `none`")]
    Unsigned,
    #[error("it is signed with {found:?}; this connector takes {}", list(.allowed))]
    Algorithm { found: String, allowed: Vec<JwsAlgorithm> },
    #[error("its header has critical members, and none is known here")]
    Critical,
    #[error("its content is of the type {0:?}; nothing is expected there")]
    ContentType(String),
    #[error("it is of the type {0:?}, which is another kind of token")]
    Type(String),
    #[error("it is signed with the key {0:?}, which the provider does not list")]
    UnknownKey(String),
    #[error("it does not say which key signed it, and the provider lists none for {0}")]
    NoKey(JwsAlgorithm),
    #[error("the key {id:?} cannot have made a signature with {algorithm}")]
    KeyMismatch { id: String, algorithm: JwsAlgorithm },
    #[error("{0} keys of the provider could have signed it, and it does not say which did")]
    Ambiguous(usize),
    #[error("its signature is wrong")]
    Signature { named_key: bool },
    #[error("its content cannot be read")]
    Payload(#[source] JsonError),
}

/// A hint: encrypted tokens have five parts.
fn encrypted(parts: usize) -> &'static str {
    if parts == 5 { "; it is encrypted, which is not understood here" } else { "" }
}

fn list(algorithms: &[JwsAlgorithm]) -> String {
    algorithms.iter().map(|algorithm| algorithm.as_str()).collect::<Vec<_>>().join(", ")
}

impl JwsError {
    /// A stable short name for audit events and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "token-too-large",
            Self::Parts(_) | Self::Base64(_) => "token-malformed",
            Self::Header(e) | Self::Payload(e) => e.code(),
            Self::Member(_) => "token-header-malformed",
            Self::Unsigned => "token-unsigned",
            Self::Algorithm { .. } => "algorithm-not-allowed",
            Self::Critical => "token-header-critical",
            Self::ContentType(_) => "token-content-type",
            Self::Type(_) => "token-type-wrong",
            Self::UnknownKey(_) | Self::NoKey(_) => "key-unknown",
            Self::KeyMismatch { .. } => "key-mismatch",
            Self::Ambiguous(_) => "key-ambiguous",
            Self::Signature { .. } => "signature-wrong",
        }
    }

    /// Whether the provider may have a new key that we have not seen.
    #[must_use]
    pub const fn is_unknown_key(&self) -> bool {
        matches!(self, Self::UnknownKey(_) | Self::NoKey(_) | Self::Signature { named_key: false })
    }
}

/// Whose signatures count, and how they may be made.
#[derive(Debug, Clone, Copy)]
pub(in crate::signin) struct Trust<'a> {
    pub keys: &'a Keys,
    pub algorithms: &'a BTreeSet<JwsAlgorithm>,
    /// The largest token that is looked at, in bytes.
    pub max_bytes: usize,
}

/// What a token says, now that it is known who said it.
#[derive(Debug)]
pub(in crate::signin) struct Verified<'a> {
    pub claims: Object,
    pub algorithm: JwsAlgorithm,
    pub key: &'a Key,
}

/// Checks the header and the signature of a token, and reads what it says.
pub(in crate::signin) fn verify<'a>(token: &str, purpose: Purpose, trust: Trust<'a>) -> Result<Verified<'a>, JwsError> {
    if token.len() > trust.max_bytes {
        return Err(JwsError::TooLarge { size: token.len(), limit: trust.max_bytes });
    }
    let parts: Vec<&str> = token.splitn(6, '.').collect();
    let &[header, payload, signature] = parts.as_slice() else { return Err(JwsError::Parts(parts.len())) };
    let decode = |part: &str, name| URL_SAFE_NO_PAD.decode(part).map_err(|_| JwsError::Base64(name));
    let header = json::object(&decode(header, "header")?, MAX_HEADER).map_err(JwsError::Header)?;

    // First of all: nothing else in a header counts before it is known that we would take such a signature.
    let algorithm = algorithm(&header, trust)?;
    if header.contains_key("crit") {
        return Err(JwsError::Critical);
    }
    if let Some(cty) = member(&header, "cty")? {
        return Err(JwsError::ContentType(excerpt(cty)));
    }
    if let Some(typ) = member(&header, "typ")?.filter(|typ| !purpose.takes(typ)) {
        return Err(JwsError::Type(excerpt(typ)));
    }
    // `jku`, `jwk`, `x5u`, `x5c` and whatever else stands there is not looked at: keys come from the provider's set.
    let id = member(&header, "kid")?;
    let key = key(id, algorithm, trust)?;

    let signature = decode(signature, "signature")?;
    let (signed, _) = token.rsplit_once('.').unwrap_or_default();
    if !key.verifies(algorithm, signed.as_bytes(), &signature) {
        return Err(JwsError::Signature { named_key: id.is_some() });
    }
    let payload = decode(payload, "payload")?;
    let claims = json::object(&payload, trust.max_bytes).map_err(JwsError::Payload)?;
    Ok(Verified { claims, algorithm, key })
}

fn algorithm(header: &Object, trust: Trust<'_>) -> Result<JwsAlgorithm, JwsError> {
    let name = member(header, "alg")?.ok_or(JwsError::Member("alg"))?;
    if name.eq_ignore_ascii_case("none") {
        return Err(JwsError::Unsigned);
    }
    name.parse().ok().filter(|algorithm| trust.algorithms.contains(algorithm)).ok_or_else(|| JwsError::Algorithm {
        found: excerpt(name),
        allowed: trust.algorithms.iter().copied().collect(),
    })
}

fn member<'a>(header: &'a Object, name: &'static str) -> Result<Option<&'a str>, JwsError> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwsError::Member(name)),
    }
}

/// The one key that can have signed. With several it would be trial and error, which Core 10.1 spares us: a provider
/// with several keys has to say which it used.
fn key<'a>(id: Option<&str>, algorithm: JwsAlgorithm, trust: Trust<'a>) -> Result<&'a Key, JwsError> {
    let named: Vec<&Key> = trust.keys.iter().filter(|key| id.is_none() || key.id() == id).collect();
    let fitting: Vec<&Key> = named.iter().copied().filter(|key| key.fits(algorithm)).collect();
    match (fitting.as_slice(), id) {
        (&[only], _) => Ok(only),
        ([], None) => Err(JwsError::NoKey(algorithm)),
        ([], Some(id)) if named.is_empty() => Err(JwsError::UnknownKey(excerpt(id))),
        ([], Some(id)) => Err(JwsError::KeyMismatch { id: excerpt(id), algorithm }),
        // One key under two names, or with and without `alg`, is one key.
        ([first, others @ ..], _) if others.iter().all(|other| other.is(first)) => Ok(first),
        (several, _) => Err(JwsError::Ambiguous(several.len())),
    }
}
