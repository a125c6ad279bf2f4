//! Signed tokens with RS256, RS384, RS512, ES256, ES384 or ES512.
//!
//! Spec: RFC 7515, RFC 7518, sections 3.3, 3.4 and 6.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Public};
use openssl::rsa::Rsa;
use openssl::sign::Verifier;
use serde_json::{Map, Value};

/// RSA keys shorter than this are not believed.
const MIN_RSA_BITS: i32 = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Rsa,
    /// With the length of one of the two numbers of a signature.
    Ec(Nid, i32),
}

/// How a token is signed.
#[derive(Debug, Clone, Copy)]
pub struct Algorithm {
    name: &'static str,
    family: Family,
    digest: fn() -> MessageDigest,
}

const ALGORITHMS: [Algorithm; 6] = [
    Algorithm { name: "RS256", family: Family::Rsa, digest: MessageDigest::sha256 },
    Algorithm { name: "RS384", family: Family::Rsa, digest: MessageDigest::sha384 },
    Algorithm { name: "RS512", family: Family::Rsa, digest: MessageDigest::sha512 },
    Algorithm { name: "ES256", family: Family::Ec(Nid::X9_62_PRIME256V1, 32), digest: MessageDigest::sha256 },
    Algorithm { name: "ES384", family: Family::Ec(Nid::SECP384R1, 48), digest: MessageDigest::sha384 },
    Algorithm { name: "ES512", family: Family::Ec(Nid::SECP521R1, 66), digest: MessageDigest::sha512 },
];

/// Why a text is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    #[error("it has not three parts in base64url")]
    Shape,
    #[error("a part of it is not a JSON object")]
    Json,
    #[error("its algorithm {0:?} is not one of RS256, RS384, RS512, ES256, ES384 and ES512")]
    Algorithm(String),
}

/// A token that was taken apart, and not yet believed.
#[derive(Debug, Clone)]
pub struct Jwt<'a> {
    pub algorithm: Algorithm,
    pub key_id: Option<String>,
    pub claims: Map<String, Value>,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    /// # Errors
    /// [`JwtError`]
    pub fn read(token: &'a str) -> Result<Self, JwtError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(JwtError::Shape)?;
        let (header, payload) = signed.split_once('.').ok_or(JwtError::Shape)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Shape);
        let object =
            |part: &str| serde_json::from_slice::<Map<String, Value>>(&decode(part)?).map_err(|_| JwtError::Json);
        let header = object(header)?;
        let name = header.get("alg").and_then(Value::as_str).unwrap_or_default();
        let algorithm = ALGORITHMS
            .into_iter()
            .find(|known| known.name == name)
            .ok_or_else(|| JwtError::Algorithm(name.chars().take(40).collect()))?;
        Ok(Self {
            algorithm,
            key_id: header.get("kid").and_then(Value::as_str).map(str::to_owned),
            claims: object(payload)?,
            signed,
            signature: decode(signature)?,
        })
    }

    /// A claim that is a text.
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(Value::as_str)
    }

    /// A claim that is an instant, in whole seconds since 1970.
    pub fn seconds(&self, claim: &str) -> Option<i64> {
        let value = self.claims.get(claim)?;
        value.as_i64().or_else(|| {
            // Some write fractions; no instant of ours is beyond what a float holds exactly.
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a float beyond the range becomes its end, which is far off"
            )]
            value.as_f64().map(|seconds| seconds as i64)
        })
    }

    /// A claim that is a text or a list of them.
    pub fn texts(&self, claim: &str) -> Vec<&str> {
        match self.claims.get(claim) {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether the key made the signature.
    pub fn is_signed_by(&self, key: &Key) -> bool {
        if key.family != self.algorithm.family
            || key.algorithm.as_deref().is_some_and(|name| name != self.algorithm.name)
        {
            return false;
        }
        let signature = match self.algorithm.family {
            Family::Rsa => Some(self.signature.clone()),
            Family::Ec(_, length) => ecdsa(&self.signature, length),
        };
        let Some(signature) = signature else { return false };
        Verifier::new((self.algorithm.digest)(), &key.key)
            .and_then(|mut verifier| verifier.verify_oneshot(&signature, self.signed.as_bytes()))
            .unwrap_or(false)
    }
}

/// Two numbers side by side, as OpenSSL wants them.
fn ecdsa(signature: &[u8], length: i32) -> Option<Vec<u8>> {
    let half = usize::try_from(length).ok()?;
    if signature.len() != 2 * half {
        return None;
    }
    let (r, s) = signature.split_at(half);
    let (r, s) = (BigNum::from_slice(r).ok()?, BigNum::from_slice(s).ok()?);
    EcdsaSig::from_private_components(r, s).ok()?.to_der().ok()
}

/// A public key of a provider.
#[derive(Debug, Clone)]
pub struct Key {
    pub id: Option<String>,
    algorithm: Option<String>,
    family: Family,
    key: PKey<Public>,
}

impl Key {
    /// A member of a JWK set; `None` when it is of no use here.
    pub fn read(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if text("use").is_some_and(|usage| usage != "sig") {
            return None;
        }
        let number = |name: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(text(name)?.trim_end_matches('=')).ok()?;
            (bytes.len() <= 1024).then(|| BigNum::from_slice(&bytes).ok())?
        };
        let (family, key) = match text("kty")? {
            "RSA" => {
                let (n, e) = (number("n")?, number("e")?);
                if n.num_bits() < MIN_RSA_BITS {
                    return None;
                }
                (Family::Rsa, PKey::from_rsa(Rsa::from_public_components(n, e).ok()?).ok()?)
            }
            "EC" => {
                let (curve, length) = match text("crv")? {
                    "P-256" => (Nid::X9_62_PRIME256V1, 32),
                    "P-384" => (Nid::SECP384R1, 48),
                    "P-521" => (Nid::SECP521R1, 66),
                    _ => return None,
                };
                let group = EcGroup::from_curve_name(curve).ok()?;
                let key = EcKey::from_public_key_affine_coordinates(&group, &*number("x")?, &*number("y")?).ok()?;
                (Family::Ec(curve, length), PKey::from_ec_key(key).ok()?)
            }
            _ => return None,
        };
        Some(Self { id: text("kid").map(str::to_owned), algorithm: text("alg").map(str::to_owned), family, key })
    }
}

#[cfg(test)]
mod tests {
    use openssl::pkey::Private;
    use openssl::sign::Signer;
    use serde_json::json;

    use super::*;

    fn encode(bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn token(algorithm: Algorithm, key: &PKey<Private>) -> String {
        let header = json!({ "alg": algorithm.name, "kid": "k" }).to_string();
        let signed = format!("{}.{}", encode(header.as_bytes()), encode(br#"{"sub":"asha"}"#));
        let der = Signer::new((algorithm.digest)(), key)
            .and_then(|mut signer| signer.sign_oneshot_to_vec(signed.as_bytes()))
            .unwrap();
        let signature = match algorithm.family {
            Family::Rsa => der,
            Family::Ec(_, length) => {
                let parts = EcdsaSig::from_der(&der).unwrap();
                [parts.r().to_vec_padded(length).unwrap(), parts.s().to_vec_padded(length).unwrap()].concat()
            }
        };
        format!("{signed}.{}", encode(&signature))
    }

    fn pair(family: Family) -> (PKey<Private>, Value) {
        match family {
            Family::Rsa => {
                let rsa = Rsa::generate(2048).unwrap();
                let jwk = json!({ "kty": "RSA", "n": encode(&rsa.n().to_vec()), "e": encode(&rsa.e().to_vec()) });
                (PKey::from_rsa(rsa).unwrap(), jwk)
            }
            Family::Ec(curve, length) => {
                let group = EcGroup::from_curve_name(curve).unwrap();
                let key = EcKey::generate(&group).unwrap();
                let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
                let mut context = openssl::bn::BigNumContext::new().unwrap();
                key.public_key().affine_coordinates(&group, &mut x, &mut y, &mut context).unwrap();
                let crv = match length {
                    32 => "P-256",
                    48 => "P-384",
                    _ => "P-521",
                };
                let number = |n: &BigNum| encode(&n.to_vec_padded(length).unwrap());
                let jwk = json!({ "kty": "EC", "crv": crv, "x": number(&x), "y": number(&y) });
                (PKey::from_ec_key(key).unwrap(), jwk)
            }
        }
    }

    #[test]
    fn every_algorithm_is_verified_and_takes_no_key_of_another_kind() {
        let pairs: Vec<_> = ALGORITHMS.iter().map(|algorithm| pair(algorithm.family)).collect();
        for (algorithm, (private, own)) in ALGORITHMS.into_iter().zip(&pairs) {
            let token = token(algorithm, private);
            let jwt = Jwt::read(&token).unwrap();
            assert_eq!((jwt.text("sub"), jwt.key_id.as_deref()), (Some("asha"), Some("k")));
            assert!(jwt.is_signed_by(&Key::read(own).unwrap()), "{}", algorithm.name);
            for (_, other) in pairs.iter().filter(|(_, other)| other != own) {
                assert!(!jwt.is_signed_by(&Key::read(other).unwrap()), "{}", algorithm.name);
            }
            let changed = token.replacen("c3ViIjoiYXNoYS", "c3ViIjoiYXNoYi", 1);
            if changed != token {
                assert!(!Jwt::read(&changed).unwrap().is_signed_by(&Key::read(own).unwrap()));
            }
            let mut for_another = own.clone();
            for_another["alg"] = json!("RS1");
            assert!(!jwt.is_signed_by(&Key::read(&for_another).unwrap()));
        }
    }

    #[test]
    fn what_is_no_token_is_named() {
        let none = format!("{}.{}.", encode(br#"{"alg":"none"}"#), encode(b"{}"));
        assert_eq!(Jwt::read(&none).unwrap_err(), JwtError::Algorithm("none".to_owned()));
        let shared = format!("{}.{}.AA", encode(br#"{"alg":"HS256"}"#), encode(b"{}"));
        assert_eq!(Jwt::read(&shared).unwrap_err(), JwtError::Algorithm("HS256".to_owned()));
        for bad in ["", "a", "a.b", "é.é.é", "ya29.a0AfH6SM"] {
            assert!(Jwt::read(bad).is_err(), "{bad}");
        }
        assert_eq!(Jwt::read(&format!("{}.e30.AA", encode(b"[]"))).unwrap_err(), JwtError::Json);
    }

    #[test]
    fn keys_that_are_too_short_or_for_something_else_are_left_out() {
        let short = Rsa::generate(768).unwrap();
        let jwk = json!({ "kty": "RSA", "n": encode(&short.n().to_vec()), "e": encode(&short.e().to_vec()) });
        assert!(Key::read(&jwk).is_none());
        let mut encryption = pair(Family::Rsa).1;
        encryption["use"] = json!("enc");
        assert!(Key::read(&encryption).is_none());
        assert!(Key::read(&json!({ "kty": "oct", "k": "AA" })).is_none());
        assert!(Key::read(&json!(7)).is_none());
    }
}
