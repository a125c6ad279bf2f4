//! Credentials without a table of credentials: the session token carries the session, sealed, and the secret is
//! derived from the key id. They go on working after a restart, and two sandboxes on one directory agree.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::aws::{Credentials, ProviderArn, RoleArn};
use crate::sys::Rng;
use crate::sys::seal::SealingKey;

/// Prefix of our access key ids. Not `ASIA`: a scanner for leaked keys must not raise an alarm over these.
const KEY_PREFIX: &str = "SBOX";

/// An assumed-role session: who holds the credentials, and what was said about them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub role: RoleArn,
    /// The unique id of the role; the session dies with it.
    pub role_id: String,
    pub session_name: String,
    pub source_identity: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub transitive_tag_keys: Vec<String>,
    /// The provider that vouched for the caller.
    pub provider: ProviderArn,
    pub subject: String,
    pub subject_type: String,
    pub name_qualifier: String,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
}

impl Session {
    /// `arn:…:assumed-role/{role}/{session}`; the path of the role is not part of it.
    #[must_use]
    pub fn arn(&self) -> String {
        let (partition, account) = (self.role.partition(), self.role.account());
        format!("arn:{partition}:sts::{account}:assumed-role/{}/{}", self.role.role().name(), self.session_name)
    }

    /// `{role id}:{session name}`.
    #[must_use]
    pub fn user_id(&self) -> String {
        format!("{}:{}", self.role_id, self.session_name)
    }
}

/// Makes credentials and recognises the ones it made.
#[derive(Debug)]
pub struct Mint {
    sealing: SealingKey,
    secret_seed: Zeroizing<[u8; 32]>,
}

impl Mint {
    /// Two keys from one, so that a secret tells nothing about a token.
    #[must_use]
    pub fn new(master: &[u8; 32]) -> Self {
        Self {
            sealing: SealingKey::from_bytes(*hmac(master, b"session token")),
            secret_seed: hmac(master, b"secret access key"),
        }
    }

    /// Credentials for a session.
    #[must_use]
    pub fn issue(&self, session: &Session, rng: &dyn Rng) -> Credentials {
        let access_key_id = access_key_id(session, rng);
        let claims = serde_json::to_vec(session).expect("a session is plain text and numbers");
        let token = self.sealing.seal(&place(&access_key_id), &claims, rng);
        Credentials {
            secret_access_key: self.secret(&access_key_id),
            session_token: SecretString::from(STANDARD.encode(token)),
            access_key_id,
            expiration: session.expires_at,
        }
    }

    /// The secret of a key id: 40 characters.
    #[must_use]
    pub fn secret(&self, access_key_id: &str) -> SecretString {
        SecretString::from(STANDARD.encode(&hmac(&self.secret_seed, access_key_id.as_bytes())[..30]))
    }

    /// The session of a token, if it was made here and for this key id.
    #[must_use]
    pub fn open(&self, access_key_id: &str, token: &str) -> Option<Session> {
        let sealed = STANDARD.decode(token).ok()?;
        let claims = self.sealing.open(&place(access_key_id), &sealed).ok()?;
        serde_json::from_slice(&claims).ok()
    }
}

fn place(access_key_id: &str) -> String {
    format!("session-token:{access_key_id}")
}

fn hmac(key: &[u8; 32], message: &[u8]) -> Zeroizing<[u8; 32]> {
    let key = PKey::hmac(key).expect("any 32 bytes are an HMAC key");
    let mut out = Zeroizing::new([0_u8; 32]);
    let length = Signer::new(MessageDigest::sha256(), &key)
        .and_then(|mut signer| signer.sign_oneshot(&mut *out, message))
        .expect("HMAC-SHA-256 cannot fail");
    debug_assert_eq!(length, out.len());
    out
}

/// A prefix and 16 characters in base32. As in real key ids the account is in the first 48 bits, shifted by seven.
fn access_key_id(session: &Session, rng: &dyn Rng) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut random = [0_u8; 8];
    rng.fill(&mut random);
    let random = u64::from_be_bytes(random);
    let account: u64 = session.role.account().as_str().parse().expect("an account id is twelve digits");
    let bits = (1_u128 << 79) | (u128::from(account) << 39) | u128::from(random & ((1 << 39) - 1));
    let text = (0..16).rev().map(|at| char::from(ALPHABET[((bits >> (at * 5)) & 31) as usize]));
    KEY_PREFIX.chars().chain(text).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::sys::SeededRng;

    pub fn session() -> Session {
        Session {
            role: "arn:aws:iam::111122223333:role/teams/payments/Deploy".parse().unwrap(),
            role_id: "AROAABCDEFGHIJKLMNOPQ".to_owned(),
            session_name: "asha@larkspur.example".to_owned(),
            source_identity: Some("asha".to_owned()),
            tags: BTreeMap::new(),
            transitive_tag_keys: Vec::new(),
            provider: "arn:aws:iam::111122223333:saml-provider/rolegate".parse().unwrap(),
            subject: "asha".to_owned(),
            subject_type: "persistent".to_owned(),
            name_qualifier: String::new(),
            issued_at: "2026-11-21T12:00:00Z".parse().unwrap(),
            expires_at: "2026-11-21T13:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn credentials_open_again_after_a_restart_and_only_together() {
        let rng = SeededRng::new(7);
        let issued = Mint::new(&[1; 32]).issue(&session(), &rng);
        let other = Mint::new(&[1; 32]).issue(&session(), &rng);
        let restarted = Mint::new(&[1; 32]);
        let token = issued.session_token.expose_secret();
        assert_eq!(restarted.open(&issued.access_key_id, token), Some(session()));
        assert_eq!(restarted.secret(&issued.access_key_id).expose_secret(), issued.secret_access_key.expose_secret());
        assert_ne!(issued.access_key_id, other.access_key_id);
        assert_eq!(restarted.open(&other.access_key_id, token), None);
        assert_eq!(Mint::new(&[2; 32]).open(&issued.access_key_id, token), None);
    }

    #[test]
    fn credentials_have_the_shape_of_real_ones() {
        let issued = Mint::new(&[1; 32]).issue(&session(), &SeededRng::new(7));
        assert_eq!(issued.access_key_id.len(), 20);
        assert!(issued.access_key_id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()));
        assert_eq!(issued.secret_access_key.expose_secret().len(), 40);
        assert!(issued.session_token.expose_secret().len() >= 100);
    }

    #[test]
    fn the_account_can_be_read_from_a_key_id() {
        const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let issued = Mint::new(&[1; 32]).issue(&session(), &SeededRng::new(7));
        let bits =
            issued.access_key_id[4..].chars().fold(0_u128, |bits, c| bits << 5 | ALPHABET.find(c).unwrap() as u128);
        let first_six_bytes = (bits >> 32) as u64;
        assert_eq!((first_six_bytes & 0x7fff_ffff_ff80) >> 7, 111_122_223_333);
    }

    #[test]
    fn the_path_of_a_role_is_not_part_of_the_session_arn() {
        assert_eq!(session().arn(), "arn:aws:sts::111122223333:assumed-role/Deploy/asha@larkspur.example");
    }
}
