//! Chance is an argument too, so that a test can repeat it.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use openssl::sha::sha256;
use secrecy::SecretString;

/// A source of unpredictable bytes.
pub trait Rng: Send + Sync + std::fmt::Debug {
    fn fill(&self, bytes: &mut [u8]);
}

impl dyn Rng + '_ {
    /// 32 random bytes in base64url without padding: 43 characters, 256 bits.
    #[must_use]
    pub fn token(&self) -> SecretString {
        let mut bytes = zeroize::Zeroizing::new([0_u8; 32]);
        self.fill(&mut *bytes);
        SecretString::from(URL_SAFE_NO_PAD.encode(*bytes))
    }

    /// An XML ID: `_` and 160 random bits in hex. Never starts with a digit, which Entra ID refuses.
    #[must_use]
    pub fn xml_id(&self) -> String {
        let mut bytes = [0_u8; 20];
        self.fill(&mut bytes);
        let mut id = String::with_capacity(41);
        id.push('_');
        for byte in bytes {
            use std::fmt::Write as _;
            let _ = write!(id, "{byte:02x}");
        }
        id
    }
}

/// OpenSSL's generator, seeded by the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRng;

impl Rng for SystemRng {
    fn fill(&self, bytes: &mut [u8]) {
        openssl::rand::rand_bytes(bytes).expect("the operating system provides randomness, or nothing here is safe");
    }
}

/// Repeatable bytes for tests: SHA-256 over a seed and a counter.
#[derive(Debug, Default)]
pub struct SeededRng {
    seed: u64,
    counter: AtomicU64,
}

impl SeededRng {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, counter: AtomicU64::new(0) }
    }
}

impl Rng for SeededRng {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let count = self.counter.fetch_add(1, Ordering::Relaxed);
            let mut input = [0_u8; 16];
            input[..8].copy_from_slice(&self.seed.to_be_bytes());
            input[8..].copy_from_slice(&count.to_be_bytes());
            chunk.copy_from_slice(&sha256(&input)[..chunk.len()]);
        }
    }
}
