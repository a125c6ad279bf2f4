//! The token AWS exchanges for credentials where an account trusts us as an OpenID provider: one person, one role, five
//! minutes.
//!
//! What AWS demands of it: STS API Reference, `AssumeRoleWithWebIdentity`; IAM User Guide, "Create an OpenID Connect
//! identity provider" and "Passing session tags using AssumeRoleWithWebIdentity".
//!
//! Signed with RS256: what AWS has taken in every partition from the first day, the one algorithm that everybody who
//! reads discovery documents must know, and the one by which assertions are signed, so that one signer serves both. STS
//! takes ECDSA too; its faster signature is nothing beside a call to STS.
//!
//! A SAML assertion names one role. A token names none that STS would look at: by itself it opens every role that trusts
//! its issuer, audience and subject. It is therefore never given to anybody but STS, and it carries the role it was made
//! for in `amr`, the one claim besides `sub` and `aud` that trust policies can ask for; a role that does ask cannot be
//! opened by a token for another.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::access::SessionTag;
use crate::aws::{RoleArn, SourceIdentity};
use crate::identity::SubjectId;
use crate::saml::key::KeyError;
use crate::saml::write::{RSA_SHA256, Signer};
use crate::sys::Rng;

pub mod documents;
pub mod schedule;

/// How long a token counts.
pub const LIFETIME: SignedDuration = SignedDuration::from_mins(5);
/// For a clock at AWS that is behind ours.
const BACKDATED: SignedDuration = SignedDuration::from_secs(30);
/// STS takes no longer token (`clientTokenType`), in characters.
const LONGEST: usize = 20_000;
/// STS gives back a subject of so many characters (`webIdentitySubjectType`), and OpenID Connect allows no more.
const SUBJECT_CHARS: std::ops::RangeInclusive<usize> = 6..=255;

/// The claim that holds session tags.
pub const TAGS: &str = "https://aws.amazon.com/tags";
/// The claim that holds the source identity.
pub const SOURCE_IDENTITY: &str = "https://aws.amazon.com/source_identity";

/// Where the key is that signs at this moment: it changes while we run.
pub trait CurrentKey: Send + Sync + fmt::Debug {
    fn current(&self) -> BoxFuture<'_, Result<Arc<dyn Signer>, NoKey>>;
}

/// The same key for ever: what a test signs with that has no database.
#[derive(Debug)]
pub struct OneKey(pub Arc<dyn Signer>);

impl CurrentKey for OneKey {
    fn current(&self) -> BoxFuture<'_, Result<Arc<dyn Signer>, NoKey>> {
        Box::pin(std::future::ready(Ok(Arc::clone(&self.0))))
    }
}

/// There is no key to sign with.
#[derive(Debug, thiserror::Error)]
#[error("there is no key to sign the token with")]
pub struct NoKey(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What makes us an issuer.
#[derive(Debug, Clone)]
pub struct Minter {
    /// Who we are toward AWS, the `iss` of every token.
    pub issuer: String,
    pub keys: Arc<dyn CurrentKey>,
}

/// What a token says.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    /// Who we are toward the account, as its provider has it.
    pub issuer: &'a str,
    pub audience: &'a str,
    pub subject: &'a SubjectId,
    /// The one role it is meant for.
    pub role: &'a RoleArn,
    pub source_identity: &'a SourceIdentity,
    pub tags: &'a [SessionTag],
    /// Keys of those tags that are handed on to roles assumed from the session.
    pub transitive: &'a [String],
}

/// A minted token. Until it expires it is as good as credentials, so it has no `Display`.
#[derive(Debug)]
pub struct Token {
    id: String,
    text: SecretString,
}

impl Token {
    /// The `jti`, for the audit log.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The JWT, as `WebIdentityToken` wants it.
    #[must_use]
    pub fn text(&self) -> &SecretString {
        &self.text
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error(transparent)]
    Sign(#[from] KeyError),
    #[error("the key `{0}` cannot make the signature that the discovery document announces")]
    Algorithm(String),
    #[error("the token has {0} characters, and STS takes {LONGEST}: the session tags are too long together")]
    TooLong(usize),
}

/// Mints and signs a token.
///
/// # Errors
/// [`TokenError`].
pub fn mint(
    statement: &Statement<'_>,
    signer: &dyn Signer,
    now: Timestamp,
    rng: &dyn Rng,
) -> Result<Token, TokenError> {
    if signer.algorithm() != RSA_SHA256 {
        return Err(TokenError::Algorithm(signer.key_id().to_owned()));
    }
    let id = rng.xml_id();
    let mut claims = json!({
        "iss": statement.issuer,
        "sub": subject(statement.subject),
        "aud": statement.audience,
        "iat": now.as_second(),
        "nbf": (now - BACKDATED).as_second(),
        "exp": (now + LIFETIME).as_second(),
        "jti": id,
        "amr": [made_for(statement.role)],
        SOURCE_IDENTITY: statement.source_identity.as_str(),
    });
    if !statement.tags.is_empty() {
        let tags: BTreeMap<&str, [&str; 1]> =
            statement.tags.iter().map(|tag| (tag.key.as_str(), [tag.value.as_str()])).collect();
        claims[TAGS] = json!({ "principal_tags": tags, "transitive_tag_keys": statement.transitive });
    }
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": signer.key_id() });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let text = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signer.sign(signed.as_bytes())?));
    if text.len() > LONGEST {
        return Err(TokenError::TooLong(text.len()));
    }
    Ok(Token { id, text: SecretString::from(text) })
}

/// What a trust policy asks for to be opened by no token that was made for another role:
/// `"ForAnyValue:StringEquals": {"ISSUER:amr": "role:arn:aws:iam::111122223333:role/Deploy"}`.
#[must_use]
pub fn made_for(role: &RoleArn) -> String {
    format!("role:{role}")
}

/// The `sub` by which trust policies and CloudTrail know a person: the same for the same person in every account and for
/// ever, and different for two people even when two identity providers use one name.
///
/// It is `connector:subject`, where that is 6 to 255 characters of printable ASCII without spaces. Otherwise the SHA-256
/// of the subject stands for it, written `connector#hex`; neither form can look like the other, since the id of a
/// connector holds neither sign.
#[must_use]
pub fn subject(subject: &SubjectId) -> String {
    let plain = subject.to_string();
    if SUBJECT_CHARS.contains(&plain.len()) && plain.bytes().all(|byte| byte.is_ascii_graphic()) {
        return plain;
    }
    super::assertion::hashed(subject)
}

#[cfg(test)]
mod tests;
