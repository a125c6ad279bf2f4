//! A program shows what its own surroundings vouch for: the token of a CI job, or of a service account in a cluster.
//!
//! [`claimed`] reads, from a token that nobody has checked, who it says issued it: that chooses the connector, and nothing
//! else hangs on it. [`Settings::judge`] then checks everything and reads only what was signed. Signatures and dates are
//! judged by the very code that judges ID tokens.
//!
//! Such a token may be shown more than once: a projected service account token lives for an hour and is read from its file
//! by every process that needs it. Whether it may is for the caller, who has [`VerifiedWorkload::evidence`] to tell copies
//! by.
//!
//! Spec: RFC 8693, section 2.1 (`subject_token`); RFC 7519; RFC 8725.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::oidc::{
    Claims, Expected, JsonError, JwsError, Keys, OidcError, Purpose, Trust, signed_hash, texts, verify, walk,
};
use crate::catalog::{AnyOf, Attribute, AttributeName, ClaimPath, ClockSkew, Issuer, JwsAlgorithm, WorkloadConnector};
use crate::identity::{Attributes, Authentication, ConnectorId, Groups, NameIdQualifiers, SubjectId, VerifiedIdentity};
use crate::sys::excerpt;
use crate::sys::json::{Object, object};

/// The largest token that is looked at, in bytes. Those of CI systems have two to four thousand.
pub const MAX_BYTES: usize = 32 * 1024;
/// The longest `sub`, in bytes. The limit of ID tokens (255 ASCII characters) is too narrow: GitLab puts the name of the
/// branch in it.
const MAX_SUBJECT: usize = 1024;
/// The longest `jti` that is kept, in characters.
const MAX_JTI: usize = 255;

/// Everything that decides about the tokens of one connector.
#[derive(Debug, Clone)]
pub struct Settings {
    pub connector: ConnectorId,
    pub issuer: Issuer,
    /// What tokens have to be for.
    pub audience: String,
    pub other_audiences: bool,
    pub keys: Keys,
    pub algorithms: BTreeSet<JwsAlgorithm>,
    pub require: BTreeMap<Attribute, AnyOf>,
    pub attributes: BTreeMap<AttributeName, ClaimPath>,
    pub clock_skew: ClockSkew,
    pub max_age: SignedDuration,
    /// Each token counts for one exchange only.
    pub once: bool,
}

/// A token that was believed. The caller records it before anything comes of it.
#[derive(Debug, Clone)]
pub struct VerifiedWorkload {
    pub identity: VerifiedIdentity,
    /// The issuer's id for the token, where it gives one.
    pub jti: Option<String>,
    /// A hash of what was signed: with the issuer, what tells this token from every other.
    pub evidence: String,
    pub issued: Timestamp,
    pub expires: Timestamp,
    /// Until when the token must be remembered, where it counts once; later it is refused for its age.
    pub replay_until: Timestamp,
}

/// Why a workload's token was not believed.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    #[error("the token was not believed")]
    Token(#[source] JwsError),
    #[error("the token cannot be read")]
    Unreadable(#[source] JsonError),
    #[error("the token says something wrong")]
    Claims(#[source] OidcError),
    #[error("the token is for {found:?} too, and this connector takes only those that are for {expected:?} alone")]
    OtherAudiences { found: Vec<String>, expected: String },
    #[error("the token has a nonce: it is from a person's sign-in")]
    Nonce,
    #[error("the token's `sub` is empty, longer than {MAX_SUBJECT} bytes or has control characters")]
    Subject,
    #[error("what is required of `{0}` cannot be looked at: the token has no value for it, or not exactly one")]
    RequiredMissing(String),
    #[error("`{attribute}` is {found:?}; {wanted} is required")]
    RequiredWrong { attribute: String, found: String, wanted: String },
}

impl WorkloadError {
    /// A stable short name for audit events and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Token(e) => e.code(),
            Self::Unreadable(e) => e.code(),
            Self::Claims(e) => e.code(),
            Self::OtherAudiences { .. } => "audience-not-alone",
            Self::Nonce => "nonce-present",
            Self::Subject => "subject-unusable",
            Self::RequiredMissing(_) => "required-attribute-missing",
            Self::RequiredWrong { .. } => "required-attribute-wrong",
        }
    }

    /// Whether the issuer may have a new key that we have not seen.
    #[must_use]
    pub const fn is_unknown_key(&self) -> bool {
        matches!(self, Self::Token(e) if e.is_unknown_key())
    }

    /// Whether the same workload would be believed with a token of now, or with clocks that agree.
    #[must_use]
    pub const fn is_about_time(&self) -> bool {
        matches!(
            self,
            Self::Claims(
                OidcError::Expired(_)
                    | OidcError::NotYetValid(_)
                    | OidcError::IssuedInFuture(_)
                    | OidcError::IssuedLongAgo(_)
            )
        )
    }
}

/// What a token says about where it is from and for whom, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    pub issuer: String,
    pub audiences: Vec<String>,
}

/// Reads whose token this claims to be, to find the connector whose keys can tell.
///
/// # Errors
/// [`WorkloadError`]: it is no token, or names no issuer.
pub fn claimed(token: &str) -> Result<Claimed, WorkloadError> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    if token.len() > MAX_BYTES {
        return Err(WorkloadError::Token(JwsError::TooLarge { size: token.len(), limit: MAX_BYTES }));
    }
    let parts: Vec<&str> = token.splitn(6, '.').collect();
    let &[_, payload, _] = parts.as_slice() else { return Err(WorkloadError::Token(JwsError::Parts(parts.len()))) };
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| WorkloadError::Token(JwsError::Base64("payload")))?;
    let claims = object(&payload, MAX_BYTES).map_err(WorkloadError::Unreadable)?;
    let issuer = match claims.get("iss") {
        Some(Value::String(issuer)) => issuer.clone(),
        Some(_) => return Err(WorkloadError::Claims(OidcError::ClaimShape("iss"))),
        None => return Err(WorkloadError::Claims(OidcError::ClaimMissing("iss"))),
    };
    Ok(Claimed { issuer, audiences: claims.get("aud").map(texts).unwrap_or_default() })
}

impl Settings {
    /// A connector's, with the keys that its issuer publishes. `own_audience` is what we are called where it says nothing.
    #[must_use]
    pub fn new(connector: ConnectorId, workload: &WorkloadConnector, keys: Keys, own_audience: &str) -> Self {
        Self {
            connector,
            issuer: workload.issuer.clone(),
            audience: workload.audience.clone().unwrap_or_else(|| own_audience.to_owned()),
            other_audiences: workload.other_audiences,
            keys,
            algorithms: workload.signing_algorithms.clone(),
            require: workload.require.clone(),
            attributes: workload.attributes.clone(),
            clock_skew: workload.clock_skew,
            max_age: SignedDuration::try_from(workload.max_token_age).unwrap_or(SignedDuration::MAX),
            once: workload.once,
        }
    }

    /// Judges a token: every check it has to pass, in order, and then who it is about.
    ///
    /// # Errors
    /// [`WorkloadError`], the true cause for the audit log.
    pub fn judge(&self, token: &str, now: Timestamp) -> Result<VerifiedWorkload, WorkloadError> {
        let trust = Trust { keys: &self.keys, algorithms: &self.algorithms, max_bytes: MAX_BYTES };
        let verified = verify(token, Purpose::Workload, trust).map_err(WorkloadError::Token)?;
        let expected = Expected {
            issuer: self.issuer.as_str(),
            audience: &self.audience,
            clock_skew: self.clock_skew,
            max_age: self.max_age,
        };
        let claims = Claims { claims: &verified.claims, expected, now };
        let wrong = WorkloadError::Claims;
        claims.issuer().map_err(wrong)?;
        let audiences = claims.audience().map_err(wrong)?;
        if !self.other_audiences && audiences.iter().any(|audience| *audience != self.audience) {
            let found = audiences.iter().take(5).map(|audience| excerpt(audience)).collect();
            return Err(WorkloadError::OtherAudiences { found, expected: self.audience.clone() });
        }
        // Tokens of people's sign-ins always have one, and the same issuer may well sign both kinds.
        if verified.claims.contains_key("nonce") {
            return Err(WorkloadError::Nonce);
        }
        let subject = claims.text("sub").map_err(wrong)?.ok_or(wrong(OidcError::ClaimMissing("sub")))?;
        if !(1..=MAX_SUBJECT).contains(&subject.len()) || subject.chars().any(char::is_control) {
            return Err(WorkloadError::Subject);
        }
        let issued = claims.lifetime().map_err(wrong)?;
        let expires = claims.instant("exp").map_err(wrong)?.ok_or(wrong(OidcError::ClaimMissing("exp")))?;
        let jti = claims.text("jti").map_err(wrong)?.map(|jti| jti.chars().take(MAX_JTI).collect());
        let attributes = self.attributes(&verified.claims);
        let identity = identity(self.connector.clone(), subject, attributes);
        self.require(&identity)?;
        Ok(VerifiedWorkload {
            identity,
            jti,
            evidence: signed_hash(token),
            issued,
            expires,
            replay_until: claims.replay_until(issued),
        })
    }

    fn attributes(&self, claims: &Object) -> Attributes {
        let values = |path: &ClaimPath| walk(claims, path).map(texts).unwrap_or_default();
        let read = self.attributes.iter().map(|(ours, path)| (ours.to_string(), values(path)));
        Attributes(read.filter(|(_, values)| !values.is_empty()).collect())
    }

    fn require(&self, identity: &VerifiedIdentity) -> Result<(), WorkloadError> {
        for (attribute, any) in &self.require {
            let mut values = attribute.values(identity);
            // Of two values one might be somebody else's.
            let (Some(only), None) = (values.next(), values.next()) else {
                return Err(WorkloadError::RequiredMissing(attribute.to_string()));
            };
            if !any.patterns().iter().any(|pattern| pattern.is_match(only)) {
                return Err(WorkloadError::RequiredWrong {
                    attribute: attribute.to_string(),
                    found: excerpt(only),
                    wanted: any.to_string(),
                });
            }
        }
        Ok(())
    }
}

/// A workload has attributes, and nothing that people have: no name, no address, no groups, no way of signing in.
fn identity(connector: ConnectorId, subject: &str, attributes: Attributes) -> VerifiedIdentity {
    VerifiedIdentity {
        subject: SubjectId { connector, value: subject.to_owned() },
        asserted: None,
        link: None,
        qualifiers: NameIdQualifiers::default(),
        name: None,
        email: None,
        groups: Groups::default(),
        attributes,
        authentication: Authentication::default(),
    }
}

#[cfg(test)]
mod tests;
