//! Tokens, honest or wrong in any part: keys, headers, claims, signatures, and the letters they are written in.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::BigNumContext;
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Signer};
use serde_json::{Value, json};

pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Whose key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The provider's, which signs unless a case says otherwise; in its key set under `rsa`.
    Provider,
    /// The provider's next one, not in its key set unless a case puts it there.
    Next,
    /// The provider's other kinds of keys, in its key set under `ec` and `ed`.
    ProviderEc,
    ProviderEd,
    /// Somebody else.
    Stranger,
    StrangerEc,
    /// 1024 bits.
    Small,
}

struct Keys {
    provider: PKey<Private>,
    next: PKey<Private>,
    provider_ec: PKey<Private>,
    provider_ed: PKey<Private>,
    stranger: PKey<Private>,
    stranger_ec: PKey<Private>,
    small: PKey<Private>,
}

fn rsa(bits: u32) -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap()
}

fn ec() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

/// The same keys for all of a test run.
fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| Keys {
        provider: rsa(2048),
        next: rsa(2048),
        provider_ec: ec(),
        provider_ed: PKey::generate_ed25519().unwrap(),
        stranger: rsa(2048),
        stranger_ec: ec(),
        small: rsa(1024),
    })
}

impl Who {
    pub fn key(self) -> &'static PKey<Private> {
        let keys = keys();
        match self {
            Self::Provider => &keys.provider,
            Self::Next => &keys.next,
            Self::ProviderEc => &keys.provider_ec,
            Self::ProviderEd => &keys.provider_ed,
            Self::Stranger => &keys.stranger,
            Self::StrangerEc => &keys.stranger_ec,
            Self::Small => &keys.small,
        }
    }

    /// The public half as a JSON Web Key.
    pub fn jwk(self, kid: &str) -> Value {
        let key = self.key();
        if let Ok(rsa) = key.rsa() {
            return json!({
                "kty": "RSA", "use": "sig", "kid": kid,
                "n": base64url(rsa.n().to_vec()), "e": base64url(rsa.e().to_vec()),
            });
        }
        if let Ok(ec) = key.ec_key() {
            let mut context = BigNumContext::new().unwrap();
            let (mut x, mut y) = (openssl::bn::BigNum::new().unwrap(), openssl::bn::BigNum::new().unwrap());
            ec.public_key().affine_coordinates_gfp(ec.group(), &mut x, &mut y, &mut context).unwrap();
            let padded = |number: &openssl::bn::BigNum| base64url(number.to_vec_padded(32).unwrap());
            return json!({
                "kty": "EC", "use": "sig", "kid": kid, "crv": "P-256", "x": padded(&x), "y": padded(&y),
            });
        }
        json!({ "kty": "OKP", "use": "sig", "kid": kid, "crv": "Ed25519", "x": base64url(key.raw_public_key().unwrap()) })
    }

    /// The public half as people paste it: what a library that confuses kinds of keys takes for an HMAC secret.
    pub fn public_pem(self) -> Vec<u8> {
        self.key().public_key_to_pem().unwrap()
    }
}

/// What is behind the second dot.
#[derive(Debug, Clone)]
pub enum Sign {
    /// As `alg` says, with this key.
    With(&'static str, Who),
    /// HMAC-SHA-256 with these bytes.
    Hmac(Vec<u8>),
    /// These bytes.
    Bytes(Vec<u8>),
}

impl Sign {
    fn over(&self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Hmac(secret) => {
                let key = PKey::hmac(secret).unwrap();
                Signer::new(MessageDigest::sha256(), &key).unwrap().sign_oneshot_to_vec(text).unwrap()
            }
            Self::With(algorithm, who) => sign(algorithm, who.key(), text),
        }
    }
}

fn sign(algorithm: &str, key: &PKey<Private>, text: &[u8]) -> Vec<u8> {
    let digest = match &algorithm[2..] {
        "384" => MessageDigest::sha384(),
        "512" => MessageDigest::sha512(),
        _ => MessageDigest::sha256(),
    };
    match &algorithm[..2] {
        "Ed" => Signer::new_without_digest(key).unwrap().sign_oneshot_to_vec(text).unwrap(),
        "ES" => {
            let hash = openssl::hash::hash(digest, text).unwrap();
            let signature = EcdsaSig::sign(&hash, &key.ec_key().unwrap()).unwrap();
            [signature.r(), signature.s()].iter().flat_map(|part| part.to_vec_padded(32).unwrap()).collect()
        }
        kind => {
            let mut signer = Signer::new(digest, key).unwrap();
            if kind == "PS" {
                signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
                signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH).unwrap();
            }
            signer.sign_oneshot_to_vec(text).unwrap()
        }
    }
}

/// A signed token in the making.
#[derive(Debug, Clone)]
pub struct Token {
    pub header: Value,
    pub claims: Value,
    pub sign: Sign,
    /// The JSON of the header and of the claims, where a `Value` cannot say it.
    pub header_text: Option<String>,
    pub claims_text: Option<String>,
}

impl Token {
    /// By the provider, with RS256.
    pub fn honest(claims: Value) -> Self {
        Self {
            header: json!({ "alg": "RS256", "kid": "rsa" }),
            claims,
            sign: Sign::With("RS256", Who::Provider),
            header_text: None,
            claims_text: None,
        }
    }

    /// Signed with this algorithm and key, and saying so.
    pub fn signed(mut self, algorithm: &'static str, who: Who, kid: &str) -> Self {
        self.header["alg"] = json!(algorithm);
        self.header["kid"] = json!(kid);
        self.sign = Sign::With(algorithm, who);
        self
    }

    pub fn with_header(mut self, name: &str, value: Value) -> Self {
        self.header[name] = value;
        self
    }

    pub fn without_header(mut self, name: &str) -> Self {
        self.header.as_object_mut().unwrap().remove(name);
        self
    }

    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.claims[name] = value;
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.claims.as_object_mut().unwrap().remove(name);
        self
    }

    /// The header and the claims, as they are signed.
    pub fn signing_input(&self) -> String {
        let header = self.header_text.clone().unwrap_or_else(|| self.header.to_string());
        let claims = self.claims_text.clone().unwrap_or_else(|| self.claims.to_string());
        format!("{}.{}", base64url(header), base64url(claims))
    }

    pub fn compact(&self) -> String {
        let input = self.signing_input();
        let signature = self.sign.over(input.as_bytes());
        format!("{input}.{}", base64url(signature))
    }
}

/// `at_hash` and its like for SHA-256: the left half of the digest.
pub fn half_hash(text: &str) -> String {
    base64url(&openssl::sha::sha256(text.as_bytes())[..16])
}

/// A JSON text with one more member before all others.
pub fn with_first_member(object: &Value, member: &str) -> String {
    object.to_string().replacen('{', &format!("{{{member},"), 1)
}

/// A JSON text with one more member behind all others.
pub fn with_last_member(object: &Value, member: &str) -> String {
    let text = object.to_string();
    format!("{},{member}}}", &text[..text.len() - 1])
}
