//! Tokens: handed out once, stored as hashes.

use openssl::sha::sha256;
use secrecy::{ExposeSecret, SecretString};

use super::Rng;

/// The SHA-256 of a token: what is stored in place of it. Our tokens have 256 random bits, so no slow hash is needed.
pub type TokenHash = [u8; 32];

/// A random token in base64url, 43 characters.
#[derive(Clone)]
pub struct Token(SecretString);

const LENGTH: usize = 43;

impl Token {
    #[must_use]
    pub fn generate(rng: &dyn Rng) -> Self {
        Self(rng.token())
    }

    /// Takes a text that has the shape of a token. Whether anybody knows it is for the store to say.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let shape = text.len() == LENGTH && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        shape.then(|| Self(SecretString::from(text)))
    }

    #[must_use]
    pub fn hash(&self) -> TokenHash {
        sha256(self.0.expose_secret().as_bytes())
    }

    /// Whether this is the token that was stored as `hash`, in a time that does not tell how nearly.
    #[must_use]
    pub fn is(&self, hash: &TokenHash) -> bool {
        openssl::memcmp::eq(&self.hash(), hash)
    }

    #[must_use]
    pub fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}
