//! Sealing: AES-256-GCM for what must not lie on disk in clear.

use openssl::symm::{Cipher, decrypt_aead, encrypt_aead};
use zeroize::Zeroizing;

use super::Rng;

const VERSION: u8 = 1;
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;

/// The 256-bit key under which secrets are sealed before they are stored.
#[derive(Clone)]
pub struct SealingKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKey")
    }
}

/// Why a sealed value could not be opened: another key, another place, or altered bytes. Which one cannot be told.
#[derive(Debug, thiserror::Error)]
#[error("the sealed value of {place} cannot be opened: it was sealed with another key, or changed")]
pub struct UnsealError {
    place: String,
}

impl SealingKey {
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    #[must_use]
    pub fn generate(rng: &dyn Rng) -> Self {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        rng.fill(&mut *bytes);
        Self(bytes)
    }

    /// A key for another purpose, from which this one cannot be found: HMAC-SHA-256 of the label.
    #[must_use]
    pub fn derive(&self, label: &str) -> [u8; 32] {
        let key = openssl::pkey::PKey::hmac(&*self.0).expect("32 bytes make an HMAC key");
        let mut mac = openssl::sign::Signer::new(openssl::hash::MessageDigest::sha256(), &key)
            .expect("HMAC with SHA-256 is always there");
        mac.update(label.as_bytes()).expect("HMAC takes any bytes");
        mac.sign_to_vec().expect("HMAC takes any bytes").try_into().expect("SHA-256 is 32 bytes")
    }

    /// Seals `plain` for one `place` (`table:row:column`); it opens at that place only.
    #[must_use]
    pub fn seal(&self, place: &str, plain: &[u8], rng: &dyn Rng) -> Vec<u8> {
        let mut nonce = [0_u8; NONCE_LEN];
        rng.fill(&mut nonce);
        let mut tag = [0_u8; TAG_LEN];
        let sealed = encrypt_aead(Cipher::aes_256_gcm(), &*self.0, Some(&nonce), place.as_bytes(), plain, &mut tag)
            .expect("AES-256-GCM with a 32-byte key and a 12-byte nonce cannot fail");
        let mut out = Vec::with_capacity(1 + NONCE_LEN + TAG_LEN + sealed.len());
        out.push(VERSION);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&tag);
        out.extend_from_slice(&sealed);
        out
    }

    /// # Errors
    /// [`UnsealError`] when the key, the place or the bytes are not the ones that were sealed.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        let error = || UnsealError { place: place.to_owned() };
        let body = match sealed.split_first() {
            Some((&VERSION, body)) if body.len() >= NONCE_LEN + TAG_LEN => body,
            _ => return Err(error()),
        };
        let (nonce, rest) = body.split_at(NONCE_LEN);
        let (tag, text) = rest.split_at(TAG_LEN);
        decrypt_aead(Cipher::aes_256_gcm(), &*self.0, Some(nonce), place.as_bytes(), text, tag)
            .map(Zeroizing::new)
            .map_err(|_| error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::SeededRng;

    #[test]
    fn a_sealed_value_opens_with_its_key_at_its_place_only() {
        let rng = SeededRng::new(1);
        let key = SealingKey::generate(&rng);
        let sealed = key.seal("key:1:private", b"secret", &rng);
        assert_eq!(key.open("key:1:private", &sealed).unwrap().as_slice(), b"secret");
        assert!(key.open("key:2:private", &sealed).is_err());
        assert!(SealingKey::generate(&rng).open("key:1:private", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open("key:1:private", &changed).is_err(), "byte {at}");
        }
        assert!(key.open("key:1:private", &[]).is_err());
    }
}
