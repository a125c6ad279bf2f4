//! Why a sign-in through an OpenID provider was not believed.

use jiff::Timestamp;

use super::json::JsonError;
use super::jws::JwsError;
use crate::identity::Unmet;

/// What the person is told; everything finer is for the audit log. A stranger learns nothing here about what was wrong
/// with something they made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Public {
    /// It took too long, or a clock is wrong: start again.
    Expired,
    /// It was not believed.
    Refused,
    /// The identity provider itself said no, or could not be asked.
    IdpError,
    /// The person has to be recognised again, or better, and was not.
    NotReauthenticated,
}

/// One variant per true cause.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    #[error("the answer has {size} bytes; {limit} are the most")]
    CallbackTooLarge { size: usize, limit: usize },
    #[error("the answer has the parameter {0:?} more than once")]
    CallbackRepeated(String),
    #[error("the answer has no state, or one that is none of ours")]
    State,
    #[error("the answer has neither a code nor an error")]
    CallbackEmpty,
    #[error("the answer has both a code and an error")]
    CallbackBoth,
    #[error("the answer carries {0:?}, which belongs to another flow and must not come through a browser")]
    CallbackToken(&'static str),
    #[error("the code has {0} bytes, or bytes no code has")]
    Code(usize),
    #[error("the answer does not name its issuer, which this provider always does: it is from another one")]
    IssuerParameterMissing,
    #[error("the answer is from {found:?}, not from {expected:?}")]
    IssuerParameter { found: String, expected: String },
    #[error("the identity provider answered {error}{}", optional(.description.as_deref()))]
    Provider { error: String, description: Option<String> },

    #[error("the token endpoint answered with the status {status}: {error}{}", optional(.description.as_deref()))]
    TokenRefused { status: u16, error: String, description: Option<String> },
    #[error("the token endpoint answered with the status {0}")]
    TokenStatus(u16),
    #[error("the token endpoint's answer cannot be read")]
    TokenJson(#[source] JsonError),
    #[error("the token endpoint's answer has no usable {0:?}")]
    TokenMember(&'static str),
    #[error("the token endpoint gave a token of the type {0:?}, not Bearer")]
    TokenType(String),
    #[error("the token endpoint gave no ID token; is `openid` among the connector's scopes?")]
    IdTokenMissing,

    #[error("the ID token was not believed")]
    IdToken(#[source] JwsError),
    #[error("the token's {0:?} is missing")]
    ClaimMissing(&'static str),
    #[error("the token's {0:?} is not what it should be")]
    ClaimShape(&'static str),
    #[error("the token was issued by {found:?}, not by {expected:?}")]
    Issuer { found: String, expected: String },
    #[error("the token is for {found:?}, not for {expected:?}")]
    Audience { found: Vec<String>, expected: String },
    #[error("the ID token is for {found:?} too, and does not say that it was issued to {expected:?}")]
    AuthorizedPartyMissing { found: Vec<String>, expected: String },
    #[error("the ID token was issued to {found:?}, not to {expected:?}")]
    AuthorizedParty { found: String, expected: String },
    #[error("the token was valid until {0}")]
    Expired(Timestamp),
    #[error("the token is valid from {0} only")]
    NotYetValid(Timestamp),
    #[error("the token was issued in the future, at {0}")]
    IssuedInFuture(Timestamp),
    #[error("the token was issued too long ago, at {0}")]
    IssuedLongAgo(Timestamp),
    #[error("the token is valid from {issued} to {ends}, which is no sensible time")]
    Lifetime { issued: Timestamp, ends: Timestamp },
    #[error("the ID token has no nonce")]
    NonceMissing,
    #[error("the ID token's nonce is of another sign-in")]
    Nonce,
    #[error("the ID token names another access token than the one beside it")]
    AccessTokenHash,
    #[error("the ID token's `sub` is empty, longer than 255 characters or not ASCII")]
    Subject,
    #[error("the person was recognised in the future, at {0}")]
    AuthenticationInFuture(Timestamp),
    #[error("the ID token does not say when the person was recognised, and that was asked for")]
    AuthenticationTimeMissing,
    #[error("the person was recognised at {recognised}, before they were asked to sign in anew at {asked}")]
    NotReauthenticated { recognised: Timestamp, asked: Timestamp },
    #[error("the person was recognised at {0}, longer ago than this connector allows")]
    AuthenticationTooOld(Timestamp),
    #[error("the authentication is not what was asked for")]
    Demand(#[source] Unmet),

    #[error("the userinfo answer was not believed")]
    UserinfoToken(#[source] JwsError),
    #[error("the userinfo answer's {0:?} is wrong")]
    UserinfoClaim(&'static str),
    #[error("the userinfo answer is about {found:?}, the ID token about {expected:?}")]
    UserinfoSubject { found: String, expected: String },
    #[error("userinfo could not be had ({why}), and {missing:?} is nowhere else")]
    Userinfo { why: String, missing: String },
    #[error("the claim {0:?}, which names the person, does not have exactly one value")]
    SubjectClaim(String),
    #[error("the subject has control characters or more than {limit} bytes")]
    SubjectUnusable { limit: usize },
}

fn optional(text: Option<&str>) -> String {
    text.map(|text| format!(" ({text})")).unwrap_or_default()
}

impl OidcError {
    /// A stable short name for audit events and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::CallbackTooLarge { .. } => "callback-too-large",
            Self::CallbackRepeated(_) => "callback-repeated-parameter",
            Self::State => "state-unusable",
            Self::CallbackEmpty => "callback-empty",
            Self::CallbackBoth => "callback-contradictory",
            Self::CallbackToken(_) => "callback-carries-token",
            Self::Code(_) => "code-unusable",
            Self::IssuerParameterMissing => "iss-parameter-missing",
            Self::IssuerParameter { .. } => "iss-parameter-wrong",
            Self::Provider { .. } => "provider-error",
            Self::TokenRefused { .. } => "token-refused",
            Self::TokenStatus(_) => "token-status",
            Self::TokenJson(e) => e.code(),
            Self::TokenMember(_) => "token-response-malformed",
            Self::TokenType(_) => "access-token-type-wrong",
            Self::IdTokenMissing => "id-token-missing",
            Self::IdToken(e) => e.code(),
            Self::ClaimMissing(_) => "claim-missing",
            Self::ClaimShape(_) => "claim-malformed",
            Self::Issuer { .. } => "issuer-wrong",
            Self::Audience { .. } => "audience-wrong",
            Self::AuthorizedPartyMissing { .. } => "authorized-party-missing",
            Self::AuthorizedParty { .. } => "authorized-party-wrong",
            Self::Expired(_) => "expired",
            Self::NotYetValid(_) => "not-yet-valid",
            Self::IssuedInFuture(_) => "issued-in-future",
            Self::IssuedLongAgo(_) => "issued-long-ago",
            Self::Lifetime { .. } => "lifetime-senseless",
            Self::NonceMissing => "nonce-missing",
            Self::Nonce => "nonce-wrong",
            Self::AccessTokenHash => "access-token-hash-wrong",
            Self::Subject => "subject-unusable",
            Self::AuthenticationInFuture(_) => "authn-in-future",
            Self::AuthenticationTimeMissing => "auth-time-missing",
            Self::NotReauthenticated { .. } => "not-reauthenticated",
            Self::AuthenticationTooOld(_) => "authentication-too-old",
            Self::Demand(unmet) => unmet.code(),
            Self::UserinfoToken(_) => "userinfo-token-refused",
            Self::UserinfoClaim(_) => "userinfo-claim-wrong",
            Self::UserinfoSubject { .. } => "userinfo-subject-wrong",
            Self::Userinfo { .. } => "userinfo-failed",
            Self::SubjectClaim(_) => "subject-claim-missing",
            Self::SubjectUnusable { .. } => "subject-unusable",
        }
    }

    /// What the person is told.
    #[must_use]
    pub const fn public(&self) -> Public {
        match self {
            Self::Expired(_)
            | Self::NotYetValid(_)
            | Self::IssuedInFuture(_)
            | Self::IssuedLongAgo(_)
            | Self::AuthenticationInFuture(_) => Public::Expired,
            Self::Provider { .. } | Self::TokenRefused { .. } | Self::TokenStatus(_) | Self::Userinfo { .. } => {
                Public::IdpError
            }
            Self::AuthenticationTimeMissing
            | Self::NotReauthenticated { .. }
            | Self::AuthenticationTooOld(_)
            | Self::Demand(_) => Public::NotReauthenticated,
            _ => Public::Refused,
        }
    }
}
