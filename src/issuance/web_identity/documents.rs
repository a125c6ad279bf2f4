//! What an AWS account that trusts us as an OpenID provider reads: the discovery document and the JWK set.
//!
//! AWS reads both from the public internet, anonymously. They hold public halves only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::error::ErrorStack;
use openssl::x509::X509;
use serde_json::{Value, json};

/// Where the discovery document is, below the issuer.
pub const DISCOVERY: &str = "/.well-known/openid-configuration";
/// Where the JWK set is, below the issuer.
pub const JWKS: &str = "/aws/jwks.json";

/// How long a copy of either may be kept, in seconds.
///
/// AWS asks anew for each token where copies are forbidden, and then fails now and then. A key is published for much
/// longer before it signs.
pub const MAX_AGE: u32 = 900;

/// The discovery document of `issuer`.
///
/// It names no endpoint for signing in or for tokens: there is nobody but AWS to whom a token is given.
///
/// Spec: OpenID Connect Discovery 1.0, section 3; IAM User Guide, "Create an OpenID Connect identity provider".
#[must_use]
pub fn discovery(issuer: &str) -> String {
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}{JWKS}"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid"],
        "claims_supported": [
            "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "amr", super::TAGS, super::SOURCE_IDENTITY,
        ],
    })
    .to_string()
}

/// The JWK set: of each key its id and its certificate, DER.
///
/// Spec: RFC 7517; RFC 7518, section 6.3.1.
///
/// # Errors
/// A certificate cannot be read, or holds no RSA key.
pub fn jwks<'k>(keys: impl IntoIterator<Item = (&'k str, &'k [u8])>) -> Result<String, ErrorStack> {
    let keys = keys.into_iter().map(|(id, certificate)| jwk(id, certificate)).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({ "keys": keys }).to_string())
}

fn jwk(id: &str, certificate: &[u8]) -> Result<Value, ErrorStack> {
    let rsa = X509::from_der(certificate)?.public_key()?.rsa()?;
    let number = |n: &openssl::bn::BigNumRef| URL_SAFE_NO_PAD.encode(n.to_vec());
    Ok(json!({
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": id, "n": number(rsa.n()), "e": number(rsa.e()),
    }))
}
