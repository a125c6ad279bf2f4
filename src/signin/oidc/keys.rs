//! The keys a provider signs with, as it publishes them.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{CoreJsonCurveType, CoreJsonWebKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey as _, JsonWebKeyId};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use serde_json::Value;

use super::json::{self, JsonError, Object};
use crate::catalog::JwsAlgorithm;
use crate::saml::names::excerpt;

/// RSA keys shorter than this can be broken in a foreseeable time; RFC 7518 forbids them.
const MIN_RSA_BITS: i32 = 2048;
/// Longer ones cost more than they bring, and the library refuses them.
const MAX_RSA_BITS: i32 = 4096;
/// A set with more keys than this is no set of signing keys.
const MAX_KEYS: usize = 100;
/// The longest `kid`, in bytes.
const MAX_KEY_ID: usize = 512;

/// The kind of a key, which decides what it can have signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    Rsa { bits: u32 },
    P256,
    P384,
    Ed25519,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "RSA, {bits} bits"),
            Self::P256 => f.write_str("elliptic curve P-256"),
            Self::P384 => f.write_str("elliptic curve P-384"),
            Self::Ed25519 => f.write_str("Ed25519"),
        }
    }
}

/// One public key that may have signed a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    id: Option<String>,
    /// The one algorithm it is for, where the provider says so.
    algorithm: Option<JwsAlgorithm>,
    kind: KeyKind,
    /// The numbers of the key, by which it is told from others whatever they are called.
    numbers: Vec<u8>,
    key: CoreJsonWebKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Key {
    /// The `kid`.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Whether this key can have made a signature with this algorithm: type, curve, and what the provider says.
    #[must_use]
    pub fn fits(&self, algorithm: JwsAlgorithm) -> bool {
        use JwsAlgorithm as A;
        let kind = match algorithm {
            A::Rs256 | A::Rs384 | A::Rs512 | A::Ps256 | A::Ps384 | A::Ps512 => matches!(self.kind, KeyKind::Rsa { .. }),
            A::Es256 => self.kind == KeyKind::P256,
            A::Es384 => self.kind == KeyKind::P384,
            A::EdDsa => self.kind == KeyKind::Ed25519,
        };
        kind && self.algorithm.is_none_or(|own| own == algorithm)
    }

    /// Whether both are one key, under whatever names.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.kind == other.kind && self.numbers == other.numbers
    }

    pub(super) fn verifies(&self, algorithm: JwsAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        self.fits(algorithm) && self.key.verify_signature(&core(algorithm), message, signature).is_ok()
    }

    /// The left half of the hash that goes with the algorithm, in base64url: `at_hash` and its like.
    ///
    /// Spec: OpenID Connect Core 1.0, section 3.1.3.6.
    pub(super) fn half_hash(&self, algorithm: JwsAlgorithm, text: &str) -> Option<String> {
        let hash = self.key.hash_bytes(text.as_bytes(), &core(algorithm)).ok()?;
        Some(URL_SAFE_NO_PAD.encode(&hash[..hash.len() / 2]))
    }
}

fn core(algorithm: JwsAlgorithm) -> CoreJwsSigningAlgorithm {
    match algorithm {
        JwsAlgorithm::Rs256 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
        JwsAlgorithm::Rs384 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
        JwsAlgorithm::Rs512 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
        JwsAlgorithm::Ps256 => CoreJwsSigningAlgorithm::RsaSsaPssSha256,
        JwsAlgorithm::Ps384 => CoreJwsSigningAlgorithm::RsaSsaPssSha384,
        JwsAlgorithm::Ps512 => CoreJwsSigningAlgorithm::RsaSsaPssSha512,
        JwsAlgorithm::Es256 => CoreJwsSigningAlgorithm::EcdsaP256Sha256,
        JwsAlgorithm::Es384 => CoreJwsSigningAlgorithm::EcdsaP384Sha384,
        JwsAlgorithm::EdDsa => CoreJwsSigningAlgorithm::EdDsa,
    }
}

/// The keys of one provider that can be used, and why the others cannot.
///
/// There is always at least one: a set without any is an error, so that it never takes the place of a good one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    keys: Vec<Key>,
    skipped: Vec<Skipped>,
}

/// A key that was left out, for whoever operates this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    pub id: Option<String>,
    pub why: Unusable,
}

/// Why a key is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("it is not an object with a `kty`")]
    Shape,
    #[error("its `kid` is not a text of at most {MAX_KEY_ID} bytes")]
    Id,
    #[error("it is a shared secret, and whoever can check such a signature can make it")]
    Symmetric,
    #[error("it holds its private half, so anybody can sign with it")]
    Private,
    #[error("it is not for signatures")]
    Use,
    #[error("it is for the algorithm {0:?}, which is not used here")]
    Algorithm(String),
    #[error("its type {0:?} is not known here")]
    Type(String),
    #[error("its curve {0:?} is not known here")]
    Curve(String),
    #[error("its RSA modulus has {0} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are used")]
    Size(i32),
    #[error("its numbers make no key")]
    Numbers,
}

/// Why a JWK set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("the JWK set cannot be read")]
    Json(#[source] JsonError),
    #[error("the JWK set has no `keys`")]
    KeysMissing,
    #[error("the JWK set has {0} keys; {MAX_KEYS} are the most")]
    TooMany(usize),
    #[error("the JWK set has no key that can check a signature{}", first(.0))]
    NoneUsable(Vec<Skipped>),
}

fn first(skipped: &[Skipped]) -> String {
    skipped.first().map(|skipped| format!("; of the first: {}", skipped.why)).unwrap_or_default()
}

impl KeysError {
    /// A stable short name for audit events and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Json(e) => e.code(),
            Self::KeysMissing => "jwks-keys-missing",
            Self::TooMany(_) => "jwks-too-many-keys",
            Self::NoneUsable(_) => "jwks-no-usable-key",
        }
    }
}

impl Keys {
    /// The largest JWK set that is read, in bytes.
    pub const MAX_BYTES: usize = 512 * 1024;

    /// Reads a JWK set. Keys of other kinds and members of any name may stand in it; they are left out.
    ///
    /// Spec: RFC 7517, section 5.
    ///
    /// # Errors
    /// [`KeysError`], also when no key is left.
    pub fn read(jwks: &[u8]) -> Result<Self, KeysError> {
        let set = json::object(jwks, Self::MAX_BYTES).map_err(KeysError::Json)?;
        let Some(Value::Array(members)) = set.get("keys") else { return Err(KeysError::KeysMissing) };
        if members.len() > MAX_KEYS {
            return Err(KeysError::TooMany(members.len()));
        }
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        for member in members {
            match read(member) {
                // Listed twice is listed once.
                Ok(key) if keys.contains(&key) => {}
                Ok(key) => keys.push(key),
                Err(why) => {
                    let id = member.get("kid").and_then(Value::as_str).map(excerpt);
                    skipped.push(Skipped { id, why });
                }
            }
        }
        if keys.is_empty() { Err(KeysError::NoneUsable(skipped)) } else { Ok(Self { keys, skipped }) }
    }

    /// The keys that are used; never empty.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Key> {
        self.keys.iter()
    }

    /// What to call the keys in a log: the `kid`, or the kind of one that has none.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.keys.iter().map(|key| key.id.clone().unwrap_or_else(|| format!("{:?} without kid", key.kind))).collect()
    }

    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }
}

fn read(member: &Value) -> Result<Key, Unusable> {
    let member = member.as_object().ok_or(Unusable::Shape)?;
    let kind = text(member, "kty").ok_or(Unusable::Shape)?;
    let id = match member.get("kid") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) if id.len() <= MAX_KEY_ID => Some(id.clone()),
        Some(_) => return Err(Unusable::Id),
    };
    if kind == "oct" || member.contains_key("k") {
        return Err(Unusable::Symmetric);
    }
    if ["d", "p", "q", "dp", "dq", "qi"].iter().any(|private| member.contains_key(*private)) {
        return Err(Unusable::Private);
    }
    let for_signatures = match member.get("use") {
        None | Some(Value::Null) => true,
        Some(usage) => usage == "sig",
    };
    let operations = match member.get("key_ops") {
        None | Some(Value::Null) => true,
        Some(Value::Array(operations)) => operations.iter().any(|operation| operation == "verify"),
        Some(_) => false,
    };
    if !for_signatures || !operations {
        return Err(Unusable::Use);
    }
    let algorithm = match member.get("alg") {
        None | Some(Value::Null) => None,
        Some(alg) => {
            let name = alg.as_str().unwrap_or_default();
            Some(name.parse::<JwsAlgorithm>().map_err(|_| Unusable::Algorithm(excerpt(name)))?)
        }
    };
    let (kind, numbers, key) = match kind {
        "RSA" => rsa(member, id.as_deref())?,
        "EC" => ec(member, id.as_deref())?,
        "OKP" => okp(member, id.as_deref())?,
        other => return Err(Unusable::Type(excerpt(other))),
    };
    let key = Key { id, algorithm, kind, numbers, key };
    match key.algorithm {
        Some(algorithm) if !key.fits(algorithm) => Err(Unusable::Algorithm(algorithm.to_string())),
        _ => Ok(key),
    }
}

fn text<'a>(member: &'a Object, name: &str) -> Option<&'a str> {
    member.get(name).and_then(Value::as_str)
}

fn number(member: &Object, name: &str) -> Result<Vec<u8>, Unusable> {
    // 4096 bits are 683 characters.
    let text = text(member, name).filter(|text| text.len() <= 1_024).ok_or(Unusable::Numbers)?;
    // Some providers pad, which RFC 7518 forbids and nobody could misread.
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| Unusable::Numbers)
}

fn core_id(id: Option<&str>) -> Option<JsonWebKeyId> {
    id.map(|id| JsonWebKeyId::new(id.to_owned()))
}

fn rsa(member: &Object, id: Option<&str>) -> Result<(KeyKind, Vec<u8>, CoreJsonWebKey), Unusable> {
    let (n, e) = (number(member, "n")?, number(member, "e")?);
    let modulus = BigNum::from_slice(&n).map_err(|_| Unusable::Numbers)?;
    let exponent = BigNum::from_slice(&e).map_err(|_| Unusable::Numbers)?;
    let bits = modulus.num_bits();
    if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
        return Err(Unusable::Size(bits));
    }
    // An exponent of 1 would make every message its own signature.
    if !modulus.is_bit_set(0) || !exponent.is_bit_set(0) || !(2..=32).contains(&exponent.num_bits()) {
        return Err(Unusable::Numbers);
    }
    let numbers = [modulus.to_vec(), exponent.to_vec()].concat();
    Ok((KeyKind::Rsa { bits: bits.unsigned_abs() }, numbers, CoreJsonWebKey::new_rsa(n, e, core_id(id))))
}

fn ec(member: &Object, id: Option<&str>) -> Result<(KeyKind, Vec<u8>, CoreJsonWebKey), Unusable> {
    let curve = text(member, "crv").ok_or(Unusable::Numbers)?;
    let (kind, nid, crv, length) = match curve {
        "P-256" => (KeyKind::P256, Nid::X9_62_PRIME256V1, CoreJsonCurveType::P256, 32),
        "P-384" => (KeyKind::P384, Nid::SECP384R1, CoreJsonCurveType::P384, 48),
        other => return Err(Unusable::Curve(excerpt(other))),
    };
    let (x, y) = (number(member, "x")?, number(member, "y")?);
    if x.len() != length || y.len() != length {
        return Err(Unusable::Numbers);
    }
    let on_curve = || {
        let group = EcGroup::from_curve_name(nid)?;
        EcKey::from_public_key_affine_coordinates(&group, &*BigNum::from_slice(&x)?, &*BigNum::from_slice(&y)?)?
            .check_key()
    };
    on_curve().map_err(|_: openssl::error::ErrorStack| Unusable::Numbers)?;
    let numbers = [x.as_slice(), &y].concat();
    Ok((kind, numbers, CoreJsonWebKey::new_ec(x, y, crv, core_id(id))))
}

fn okp(member: &Object, id: Option<&str>) -> Result<(KeyKind, Vec<u8>, CoreJsonWebKey), Unusable> {
    match text(member, "crv").ok_or(Unusable::Numbers)? {
        "Ed25519" => {}
        other => return Err(Unusable::Curve(excerpt(other))),
    }
    let x = number(member, "x")?;
    if x.len() != 32 {
        return Err(Unusable::Numbers);
    }
    Ok((KeyKind::Ed25519, x.clone(), CoreJsonWebKey::new_okp(x, CoreJsonCurveType::Ed25519, core_id(id))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::forge::{ED25519, OTHER_RSA, P256, P384, RSA, SMALL_RSA, jwks, with};
    use super::*;

    fn why(key: Value) -> Unusable {
        let keys = Keys::read(&jwks([RSA.jwk(), key])).unwrap();
        assert_eq!(keys.iter().count(), 1, "the other key counts");
        keys.skipped()[0].why.clone()
    }

    #[test]
    fn a_set_may_hold_keys_of_every_kind_and_members_of_every_name() {
        let rsa =
            with(RSA.jwk(), &json!({"alg": "RS256", "use": "sig", "key_ops": ["verify"], "x5c": ["x"], "new": {}}));
        let bare = with(OTHER_RSA.jwk(), &json!({"kid": null}));
        let unknown = json!({"kty": "AKP", "alg": "ML-DSA-65", "pub": "AAAA", "kid": "new"});
        let keys = jwks([rsa, bare, P256.jwk(), P384.jwk(), ED25519.jwk(), unknown, RSA.jwk(), RSA.jwk()]);
        let keys = Keys::read(&keys).unwrap();
        let kinds: Vec<_> = keys.iter().map(|key| (key.id(), key.kind())).collect();
        assert_eq!(
            kinds,
            [
                (Some("rsa-1"), KeyKind::Rsa { bits: 2048 }),
                (None, KeyKind::Rsa { bits: 2048 }),
                (Some("p256-1"), KeyKind::P256),
                (Some("p384-1"), KeyKind::P384),
                (Some("ed-1"), KeyKind::Ed25519),
                // Without `alg` it is another key than the first; listed twice it is listed once.
                (Some("rsa-1"), KeyKind::Rsa { bits: 2048 }),
            ]
        );
        assert_eq!(keys.skipped()[0].why, Unusable::Algorithm("ML-DSA-65".to_owned()));
    }

    #[test]
    fn a_key_that_must_not_be_used_is_left_out_and_the_others_count() {
        for (key, expected) in [
            (json!("key"), Unusable::Shape),
            (json!({"kid": "x"}), Unusable::Shape),
            (with(OTHER_RSA.jwk(), &json!({"kid": 7})), Unusable::Id),
            (with(OTHER_RSA.jwk(), &json!({"kid": "x".repeat(513)})), Unusable::Id),
            (json!({"kty": "AKP", "pub": "AAAA"}), Unusable::Type("AKP".to_owned())),
            (json!({"kty": "oct", "k": "c2VjcmV0"}), Unusable::Symmetric),
            (with(OTHER_RSA.jwk(), &json!({"k": "c2VjcmV0"})), Unusable::Symmetric),
            (with(OTHER_RSA.jwk(), &json!({"d": "AQAB"})), Unusable::Private),
            (with(P256.jwk(), &json!({"d": "AQAB"})), Unusable::Private),
            (with(OTHER_RSA.jwk(), &json!({"use": "enc"})), Unusable::Use),
            (with(OTHER_RSA.jwk(), &json!({"use": ["sig"]})), Unusable::Use),
            (with(OTHER_RSA.jwk(), &json!({"key_ops": ["encrypt"]})), Unusable::Use),
            (with(OTHER_RSA.jwk(), &json!({"alg": "HS256"})), Unusable::Algorithm("HS256".to_owned())),
            (with(OTHER_RSA.jwk(), &json!({"alg": "RSA-OAEP"})), Unusable::Algorithm("RSA-OAEP".to_owned())),
            (with(OTHER_RSA.jwk(), &json!({"alg": "ES256"})), Unusable::Algorithm("ES256".to_owned())),
            (with(P384.jwk(), &json!({"alg": "ES256"})), Unusable::Algorithm("ES256".to_owned())),
            (SMALL_RSA.jwk(), Unusable::Size(1024)),
            (with(OTHER_RSA.jwk(), &json!({"n": "_".repeat(900)})), Unusable::Size(5400)),
            (with(OTHER_RSA.jwk(), &json!({"e": "AQ"})), Unusable::Numbers),
            (with(OTHER_RSA.jwk(), &json!({"e": "AQAA"})), Unusable::Numbers),
            (with(OTHER_RSA.jwk(), &json!({"e": null})), Unusable::Numbers),
            (with(OTHER_RSA.jwk(), &json!({"n": "not base64"})), Unusable::Numbers),
            (with(P256.jwk(), &json!({"crv": "P-521"})), Unusable::Curve("P-521".to_owned())),
            (with(P256.jwk(), &json!({"x": P256.jwk()["y"]})), Unusable::Numbers),
            (with(P256.jwk(), &json!({"y": "AA"})), Unusable::Numbers),
            (with(ED25519.jwk(), &json!({"crv": "X25519"})), Unusable::Curve("X25519".to_owned())),
            (with(ED25519.jwk(), &json!({"x": "AAAA"})), Unusable::Numbers),
        ] {
            assert_eq!(why(key.clone()), expected, "{key}");
        }
    }

    #[test]
    fn a_set_without_a_usable_key_is_no_set() {
        let code = |set: &[u8]| Keys::read(set).map_or_else(|e| e.code(), |_| "accepted");
        assert_eq!(code(b"{}"), "jwks-keys-missing");
        assert_eq!(code(br#"{"keys": {}}"#), "jwks-keys-missing");
        assert_eq!(code(br#"{"keys": []}"#), "jwks-no-usable-key");
        assert_eq!(code(&jwks([json!({"kty": "oct", "k": "AAAA"}), SMALL_RSA.jwk()])), "jwks-no-usable-key");
        assert_eq!(code(&jwks(vec![RSA.jwk(); 101])), "jwks-too-many-keys");
        assert_eq!(code(b"<html>"), "json-malformed");
        assert_eq!(code(br#"{"keys":[],"keys":[]}"#), "json-duplicate-member");
        assert_eq!(code(&vec![b' '; Keys::MAX_BYTES + 1]), "json-too-large");
    }
}
