//! Credentials without a table of credentials: the session token carries the session, sealed, and the secret is
//! derived from the key id. They go on working after a restart, and two sandboxes on one directory agree.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use jiff::Timestamp;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::aws::{AccountId, Credentials, Partition, ProviderArn, RoleArn};
use crate::sys::Rng;
use crate::sys::seal::SealingKey;

/// Prefix of our temporary access key ids. Not `ASIA`: a scanner for leaked keys must not raise an alarm over these.
const KEY_PREFIX: &str = "SBOX";

/// What temporary credentials stand for: who holds them, what limits them, and what was said when they were issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub holder: Holder,
    /// What the session may do at most, next to the holder's own policies.
    pub policies: SessionPolicies,
    pub source_identity: Option<String>,
    /// Session tags, inherited ones included.
    pub tags: BTreeMap<String, String>,
    /// Those of the tags that pass on to sessions assumed with this one.
    pub transitive_tag_keys: Vec<String>,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
}

/// Whose session it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holder {
    /// Of `AssumeRole`, `AssumeRoleWithSAML` and `AssumeRoleWithWebIdentity`.
    Role(AssumedRole),
    /// Of `GetFederationToken`: `by` is whose key asked, and whose policies bound the session.
    FederatedUser { by: Owner, name: String },
    /// Of `GetSessionToken`: the same user, with the instant of a second factor if there was one.
    User { user: Owner, mfa_at: Option<Timestamp> },
    /// Of `AssumeRoot`: the root of a member account, for one task.
    RootTask { partition: Partition, account: AccountId, task: String },
}

/// A session of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssumedRole {
    pub role: RoleArn,
    /// The unique id of the role; the session dies with it.
    pub role_id: String,
    pub session_name: String,
    pub how: How,
}

/// How a role was assumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// By a federated identity, directly.
    Federated(Origin),
    /// By signed `AssumeRole`. `chained` says that the caller was a role's session itself, and `origin` who stood at the
    /// beginning of the chain, if an identity provider did.
    Role { chained: bool, origin: Option<Origin> },
}

/// An identity that a provider vouched for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    Saml {
        provider: ProviderArn,
        subject: String,
        subject_type: String,
        name_qualifier: String,
    },
    /// `issuer` is without its scheme, as in condition keys.
    WebIdentity {
        provider: String,
        issuer: String,
        subject: String,
        audience: String,
    },
}

impl Origin {
    /// The ARN of the provider.
    #[must_use]
    pub fn provider(&self) -> String {
        match self {
            Self::Saml { provider, .. } => provider.to_string(),
            Self::WebIdentity { provider, .. } => provider.clone(),
        }
    }

    /// Whom the provider spoke of.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::Saml { subject, .. } | Self::WebIdentity { subject, .. } => subject,
        }
    }
}

/// Whose long-term keys these are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Owner {
    /// `name` has the path, without a leading slash: `ops/jane`. `id` is `AIDA` and 17 characters.
    User {
        partition: Partition,
        account: AccountId,
        name: String,
        id: String,
    },
    Root {
        partition: Partition,
        account: AccountId,
    },
}

impl Owner {
    #[must_use]
    pub const fn partition(&self) -> Partition {
        match self {
            Self::User { partition, .. } | Self::Root { partition, .. } => *partition,
        }
    }

    #[must_use]
    pub const fn account(&self) -> AccountId {
        match self {
            Self::User { account, .. } | Self::Root { account, .. } => *account,
        }
    }

    /// `arn:…:iam::{account}:user/{path and name}`, or `…:root`.
    #[must_use]
    pub fn arn(&self) -> String {
        match self {
            Self::User { partition, account, name, .. } => format!("arn:{partition}:iam::{account}:user/{name}"),
            Self::Root { partition, account } => format!("arn:{partition}:iam::{account}:root"),
        }
    }

    /// The id of the user; of root the account.
    #[must_use]
    pub fn user_id(&self) -> String {
        match self {
            Self::User { id, .. } => id.clone(),
            Self::Root { account, .. } => account.to_string(),
        }
    }

    #[must_use]
    pub const fn is_root(&self) -> bool {
        matches!(self, Self::Root { .. })
    }
}

/// What was sent along to limit a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionPolicies {
    /// The document, as it was sent.
    pub inline: Option<String>,
    /// ARNs of managed policies.
    pub arns: Vec<String>,
}

impl SessionPolicies {
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.inline.is_none() && self.arns.is_empty()
    }
}

impl Session {
    /// `arn:…:assumed-role/{role}/{session}`, where the path of the role is not part of it; `…:federated-user/{name}`; or
    /// the ARN of the user or the root.
    #[must_use]
    pub fn arn(&self) -> String {
        match &self.holder {
            Holder::Role(held) => {
                let (partition, account) = (held.role.partition(), held.role.account());
                format!("arn:{partition}:sts::{account}:assumed-role/{}/{}", held.role.role().name(), held.session_name)
            }
            Holder::FederatedUser { by, name } => {
                format!("arn:{}:sts::{}:federated-user/{name}", by.partition(), by.account())
            }
            Holder::User { user, .. } => user.arn(),
            Holder::RootTask { partition, account, .. } => format!("arn:{partition}:iam::{account}:root"),
        }
    }

    /// `{role id}:{session name}`, `{account}:{name}`, or the id of the user.
    #[must_use]
    pub fn user_id(&self) -> String {
        match &self.holder {
            Holder::Role(held) => format!("{}:{}", held.role_id, held.session_name),
            Holder::FederatedUser { by, name } => format!("{}:{name}", by.account()),
            Holder::User { user, .. } => user.user_id(),
            Holder::RootTask { account, .. } => account.to_string(),
        }
    }

    #[must_use]
    pub const fn account(&self) -> AccountId {
        match &self.holder {
            Holder::Role(held) => held.role.account(),
            Holder::FederatedUser { by, .. } => by.account(),
            Holder::User { user, .. } => user.account(),
            Holder::RootTask { account, .. } => *account,
        }
    }

    #[must_use]
    pub const fn partition(&self) -> Partition {
        match &self.holder {
            Holder::Role(held) => held.role.partition(),
            Holder::FederatedUser { by, .. } => by.partition(),
            Holder::User { user, .. } => user.partition(),
            Holder::RootTask { partition, .. } => *partition,
        }
    }

    /// The role, if it is a session of one.
    #[must_use]
    pub const fn role(&self) -> Option<&AssumedRole> {
        match &self.holder {
            Holder::Role(held) => Some(held),
            Holder::FederatedUser { .. } | Holder::User { .. } | Holder::RootTask { .. } => None,
        }
    }

    /// Whether it is a role's session that another role's session asked for.
    #[must_use]
    pub const fn is_chained(&self) -> bool {
        matches!(self.role(), Some(AssumedRole { how: How::Role { chained: true, .. }, .. }))
    }

    /// Who stood at the beginning, if an identity provider vouched for them.
    #[must_use]
    pub const fn origin(&self) -> Option<&Origin> {
        match self.role() {
            Some(AssumedRole { how: How::Federated(origin), .. }) => Some(origin),
            Some(AssumedRole { how: How::Role { origin, .. }, .. }) => origin.as_ref(),
            None => None,
        }
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
        let token = self.sealing.seal(&place(&access_key_id), &deflated(&claims), rng);
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
        serde_json::from_slice(&inflated(&claims)?).ok()
    }
}

/// Compressed, so that a session with many tags and a policy still fits into a header.
#[must_use]
pub fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("writing to memory cannot fail")
}

/// What [`deflated`] was given. Only for what was sealed here: its size is then what it was.
#[must_use]
pub fn inflated(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    DeflateDecoder::new(bytes).read_to_end(&mut out).ok()?;
    Some(out)
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

/// The account in a key id, if there is one. Accounts of real key ids can be read in the same way.
#[must_use]
pub fn account_of_key(access_key_id: &str) -> Option<AccountId> {
    let digits = access_key_id.get(4..20)?;
    let bits = digits.bytes().try_fold(0_u128, |bits, byte| {
        let value = ALPHABET.iter().position(|known| *known == byte)?;
        Some(bits << 5 | value as u128)
    })?;
    let account = ((bits >> 32) & 0x7fff_ffff_ff80) >> 7;
    format!("{account:012}").parse().ok()
}

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A prefix and 16 characters in base32. As in real key ids the account is in the first 48 bits, shifted by seven.
fn access_key_id(session: &Session, rng: &dyn Rng) -> String {
    let mut random = [0_u8; 8];
    rng.fill(&mut random);
    let random = u64::from_be_bytes(random);
    let account: u64 = session.account().as_str().parse().expect("an account id is twelve digits");
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
            holder: Holder::Role(AssumedRole {
                role: "arn:aws:iam::111122223333:role/teams/payments/Deploy".parse().unwrap(),
                role_id: "AROAABCDEFGHIJKLMNOPQ".to_owned(),
                session_name: "asha@larkspur.example".to_owned(),
                how: How::Federated(Origin::Saml {
                    provider: "arn:aws:iam::111122223333:saml-provider/rolegate".parse().unwrap(),
                    subject: "asha".to_owned(),
                    subject_type: "persistent".to_owned(),
                    name_qualifier: String::new(),
                }),
            }),
            policies: SessionPolicies::default(),
            source_identity: Some("asha".to_owned()),
            tags: BTreeMap::new(),
            transitive_tag_keys: Vec::new(),
            issued_at: "2026-11-21T12:00:00Z".parse().unwrap(),
            expires_at: "2026-11-21T13:00:00Z".parse().unwrap(),
        }
    }

    pub fn user() -> Owner {
        Owner::User {
            partition: Partition::Aws,
            account: "111122223333".parse().unwrap(),
            name: "ops/jane".to_owned(),
            id: "AIDAABCDEFGHIJKLMNOPQ".to_owned(),
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
        for account in ["111122223333", "000000000001", "999999999999"] {
            let owner = Owner::Root { partition: Partition::Aws, account: account.parse().unwrap() };
            let session = Session { holder: Holder::User { user: owner, mfa_at: None }, ..session() };
            let issued = Mint::new(&[1; 32]).issue(&session, &SeededRng::new(7));
            assert_eq!(account_of_key(&issued.access_key_id).unwrap().as_str(), account);
        }
        // AWS's own example of the encoding, as far as it is known publicly.
        assert_eq!(account_of_key("ASIAQNZGKIQY56JQ7WML").unwrap().as_str(), "029608264753");
        for bad in ["", "SBOX", "SBOXabcdefghijklmnop", "SBOX1111111111111111"] {
            assert_eq!(account_of_key(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_kind_of_holder_has_its_arn_and_id_and_survives_its_token() {
        let by = user();
        let root = Owner::Root { partition: Partition::AwsCn, account: "111122223333".parse().unwrap() };
        for (holder, arn, id) in [
            (
                session().holder,
                "arn:aws:sts::111122223333:assumed-role/Deploy/asha@larkspur.example",
                "AROAABCDEFGHIJKLMNOPQ:asha@larkspur.example",
            ),
            (
                Holder::FederatedUser { by: by.clone(), name: "bob".to_owned() },
                "arn:aws:sts::111122223333:federated-user/bob",
                "111122223333:bob",
            ),
            (
                Holder::User { user: by, mfa_at: Some("2026-11-21T12:00:00Z".parse().unwrap()) },
                "arn:aws:iam::111122223333:user/ops/jane",
                "AIDAABCDEFGHIJKLMNOPQ",
            ),
            (Holder::User { user: root, mfa_at: None }, "arn:aws-cn:iam::111122223333:root", "111122223333"),
            (
                Holder::RootTask {
                    partition: Partition::Aws,
                    account: "222233334444".parse().unwrap(),
                    task: "arn:aws:iam::aws:policy/root-task/S3UnlockBucketPolicy".to_owned(),
                },
                "arn:aws:iam::222233334444:root",
                "222233334444",
            ),
        ] {
            let session = Session { holder, ..session() };
            assert_eq!((session.arn().as_str(), session.user_id().as_str()), (arn, id));
            let mint = Mint::new(&[1; 32]);
            let issued = mint.issue(&session, &SeededRng::new(7));
            assert_eq!(mint.open(&issued.access_key_id, issued.session_token.expose_secret()), Some(session));
        }
    }

    #[test]
    fn a_token_stays_small_with_all_that_a_session_may_carry() {
        let small = Mint::new(&[1; 32]).issue(&session(), &SeededRng::new(7));
        assert!(small.session_token.expose_secret().len() < 700, "{}", small.session_token.expose_secret().len());
        let tags = (0..50).map(|n| (format!("Team-{n}"), format!("Payments and freight {n}"))).collect();
        let statement = r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::larkspur-payments/*"},"#;
        let inline = Some(statement.repeat(2048 / statement.len()));
        let session = Session { tags, policies: SessionPolicies { inline, arns: Vec::new() }, ..session() };
        let large = Mint::new(&[1; 32]).issue(&session, &SeededRng::new(7));
        assert!(large.session_token.expose_secret().len() < 4096, "{}", large.session_token.expose_secret().len());
    }

    #[test]
    fn the_path_of_a_role_is_not_part_of_the_session_arn() {
        assert_eq!(session().arn(), "arn:aws:sts::111122223333:assumed-role/Deploy/asha@larkspur.example");
    }
}
