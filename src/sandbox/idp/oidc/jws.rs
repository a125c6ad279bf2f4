//! Signed JSON, as far as it is needed here: RS256 in compact form.
//!
//! Spec: RFC 7515, RFC 7519.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{HasPublic, PKey, PKeyRef, Public};
use openssl::rsa::Rsa;
use openssl::sign::Verifier;
use serde_json::{Map, Value, json};

use crate::saml::key::{KeyError, SigningKey};

/// Signs claims; `typ` says what kind of token it is.
///
/// # Errors
/// [`KeyError`] when the key fails.
pub fn sign(key: &SigningKey, typ: &str, claims: &Map<String, Value>) -> Result<String, KeyError> {
    let header = json!({ "alg": "RS256", "kid": key.id(), "typ": typ }).to_string();
    let payload = serde_json::to_vec(claims).expect("JSON is JSON");
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = key.sign(signed.as_bytes())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// A token taken apart, with nothing checked yet.
#[derive(Debug)]
pub struct Parsed<'t> {
    signed: &'t str,
    signature: Vec<u8>,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl<'t> Parsed<'t> {
    /// None unless it is a token signed with RS256.
    pub fn read(token: &'t str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let part = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
        let header: Map<String, Value> = part(header)?;
        let claims = part(payload)?;
        // Whoever says that something must be understood says it to somebody else.
        if header.get("alg") != Some(&Value::from("RS256")) || header.contains_key("crit") {
            return None;
        }
        Some(Self { signed, signature: URL_SAFE_NO_PAD.decode(signature).ok()?, header, claims })
    }

    pub fn key_id(&self) -> Option<&str> {
        self.header.get("kid").and_then(Value::as_str)
    }

    /// A claim as it stands there, to find out whose key to try.
    pub fn unverified_text(&self, name: &str) -> Option<&str> {
        self.claims.get(name).and_then(Value::as_str)
    }

    /// The claims, if this key signed them.
    pub fn verified(&self, key: &PKeyRef<impl HasPublic>) -> Option<&Map<String, Value>> {
        let mut verifier = Verifier::new(MessageDigest::sha256(), key).ok()?;
        verifier.verify_oneshot(&self.signature, self.signed.as_bytes()).ok()?.then_some(&self.claims)
    }
}

/// The RSA keys of a JWK set that may have signed with this key id; all of them where none is named.
pub fn candidates(jwks: &str, key_id: Option<&str>) -> Vec<PKey<Public>> {
    let document: Value = serde_json::from_str(jwks).unwrap_or_default();
    let keys = document["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let fits = |key: &&Value| {
        key["kty"] == "RSA"
            && matches!(key["use"].as_str(), None | Some("sig"))
            && matches!(key["alg"].as_str(), None | Some("RS256"))
            && key_id.is_none_or(|wanted| key["kid"] == wanted)
    };
    let number = |value: &Value| BigNum::from_slice(&URL_SAFE_NO_PAD.decode(value.as_str()?).ok()?).ok();
    let read = |key: &Value| {
        let rsa = Rsa::from_public_components(number(&key["n"])?, number(&key["e"])?).ok()?;
        PKey::from_rsa(rsa).ok().filter(|key| key.bits() >= 2048)
    };
    keys.iter().filter(fits).filter_map(read).collect()
}
