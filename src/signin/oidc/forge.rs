//! An OpenID provider for tests: keys of every kind, and tokens as honest or as forged as a test wants them.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Signer};
use serde_json::{Value, json};

use super::*;
use crate::catalog::Issuer;

pub const ISSUER: &str = "https://idp.example/realm";
pub const CLIENT: &str = "rolegate-client";

/// A signing key and the `kid` it is published under.
pub struct Pair {
    pub id: &'static str,
    pub key: PKey<Private>,
}

fn rsa(id: &'static str, bits: u32) -> Pair {
    Pair { id, key: Rsa::generate(bits).and_then(PKey::from_rsa).unwrap() }
}

fn ec(id: &'static str, curve: Nid) -> Pair {
    let group = EcGroup::from_curve_name(curve).unwrap();
    Pair { id, key: EcKey::generate(&group).and_then(PKey::from_ec_key).unwrap() }
}

pub static RSA: LazyLock<Pair> = LazyLock::new(|| rsa("rsa-1", 2048));
/// Of the same kind, and listed nowhere unless a test does.
pub static OTHER_RSA: LazyLock<Pair> = LazyLock::new(|| rsa("rsa-2", 2048));
pub static SMALL_RSA: LazyLock<Pair> = LazyLock::new(|| rsa("small", 1024));
pub static P256: LazyLock<Pair> = LazyLock::new(|| ec("p256-1", Nid::X9_62_PRIME256V1));
pub static P384: LazyLock<Pair> = LazyLock::new(|| ec("p384-1", Nid::SECP384R1));
pub static ED25519: LazyLock<Pair> = LazyLock::new(|| Pair { id: "ed-1", key: PKey::generate_ed25519().unwrap() });

impl Pair {
    /// The public half, with its `kid` and nothing optional.
    pub fn jwk(&self) -> Value {
        let encode = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
        if let Ok(rsa) = self.key.rsa() {
            return json!({"kty": "RSA", "kid": self.id, "n": encode(rsa.n().to_vec()), "e": encode(rsa.e().to_vec())});
        }
        if let Ok(ec) = self.key.ec_key() {
            let (curve, length) = match ec.group().curve_name() {
                Some(Nid::SECP384R1) => ("P-384", 48),
                _ => ("P-256", 32),
            };
            let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
            let mut context = BigNumContext::new().unwrap();
            ec.public_key().affine_coordinates(ec.group(), &mut x, &mut y, &mut context).unwrap();
            let [x, y] = [x, y].map(|n| encode(n.to_vec_padded(length).unwrap()));
            return json!({"kty": "EC", "kid": self.id, "crv": curve, "x": x, "y": y});
        }
        json!({"kty": "OKP", "kid": self.id, "crv": "Ed25519", "x": encode(self.key.raw_public_key().unwrap())})
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let digest = match algorithm.get(2..) {
            Some("384") => MessageDigest::sha384(),
            Some("512") => MessageDigest::sha512(),
            _ => MessageDigest::sha256(),
        };
        if algorithm == "EdDSA" {
            return Signer::new_without_digest(&self.key).unwrap().sign_oneshot_to_vec(message).unwrap();
        }
        let mut signer = Signer::new(digest, &self.key).unwrap();
        if algorithm.starts_with("PS") {
            signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
            signer.set_rsa_mgf1_md(digest).unwrap();
            signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH).unwrap();
        }
        let signature = signer.sign_oneshot_to_vec(message).unwrap();
        if !algorithm.starts_with("ES") || self.key.ec_key().is_err() {
            return signature;
        }
        let length = if algorithm == "ES384" { 48 } else { 32 };
        let parts = EcdsaSig::from_der(&signature).unwrap();
        [parts.r(), parts.s()].iter().flat_map(|n| n.to_vec_padded(length).unwrap()).collect()
    }

    /// A token with exactly this header and these claims, signed as the header says.
    pub fn token(&self, header: &Value, claims: &Value) -> String {
        self.raw_token(header, claims.to_string().as_bytes())
    }

    /// The same with a payload that need not be JSON.
    pub fn raw_token(&self, header: &Value, payload: &[u8]) -> String {
        let signed = format!("{}.{}", part(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.sign(header["alg"].as_str().unwrap_or_default(), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

pub fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

pub fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

pub fn jwks(keys: impl IntoIterator<Item = Value>) -> Vec<u8> {
    json!({ "keys": keys.into_iter().collect::<Vec<_>>() }).to_string().into_bytes()
}

pub fn discovery() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://idp.example/authorize?tenant=7",
        "token_endpoint": "https://idp.example/token",
        "jwks_uri": "https://idp.example/jwks",
        "userinfo_endpoint": "https://idp.example/userinfo",
        "end_session_endpoint": "https://idp.example/logout?tenant=7",
        "logo_uri": "http://169.254.169.254/logo",
    })
}

pub fn metadata(discovery: &Value) -> ProviderMetadata {
    let issuer: Issuer = discovery["issuer"].as_str().unwrap().parse().unwrap();
    ProviderMetadata::read(discovery.to_string().as_bytes(), &issuer).unwrap()
}

/// A connector that takes every algorithm, from a provider with one key of each kind.
pub fn settings() -> Settings {
    let all = [&RSA, &P256, &P384, &ED25519].map(|pair| pair.jwk());
    let mut settings = Settings::new(
        "idp".parse().unwrap(),
        CLIENT.to_owned(),
        "https://broker.example/oidc/idp/callback".parse().unwrap(),
        metadata(&discovery()),
        Keys::read(&jwks(all)).unwrap(),
    );
    settings.algorithms = JwsAlgorithm::ALL.iter().copied().collect();
    settings
}

pub fn state() -> Token {
    Token::parse(&"s".repeat(43)).unwrap()
}

pub fn secrets() -> AttemptSecrets {
    AttemptSecrets::derive(&[7; 32], &state())
}

pub fn attempt() -> Attempt {
    Attempt { sent_at: now() - SignedDuration::from_secs(30), force_authn: false, demand: None }
}

pub fn header() -> Value {
    json!({"alg": "RS256", "kid": RSA.id, "typ": "JWT"})
}

/// What an honest ID token for [`attempt`] says.
pub fn claims() -> Value {
    use secrecy::ExposeSecret as _;
    let at = now().as_second();
    json!({
        "iss": ISSUER,
        "aud": CLIENT,
        "sub": "person-1",
        "iat": at,
        "exp": at + 300,
        "nonce": secrets().nonce.expose_secret(),
        "auth_time": at - 10,
        "name": "Asha Rao",
        "email": "asha@corp.example",
        "email_verified": true,
    })
}

/// The same with other members; `null` takes one away.
pub fn with(mut object: Value, changes: &Value) -> Value {
    let members = object.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        members.remove(name);
        if !value.is_null() {
            members.insert(name.clone(), value.clone());
        }
    }
    object
}

/// The token endpoint's answer.
pub fn answer(id_token: &str) -> TokenResponse {
    let body = json!({"token_type": "Bearer", "access_token": "access", "id_token": id_token}).to_string();
    TokenResponse::read(200, body.as_bytes(), &settings()).unwrap()
}
