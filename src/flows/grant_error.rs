//! Why a program gets no tokens, in the words of the specifications and in ours.

use super::clients::ClientError;
use crate::access::UnknownScope;
use crate::store::StoreError;

/// Why a program gets nothing. [`code`](Self::code) is what the specifications call it.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    #[error("{0}")]
    InvalidRequest(&'static str),
    #[error(transparent)]
    InvalidClient(#[from] ClientError),
    #[error(transparent)]
    InvalidGrant(#[from] Invalid),
    #[error("device codes are switched off here; sign in with a browser on the computer itself")]
    DeviceCodesOff,
    #[error("there is no such grant type here")]
    UnsupportedGrantType,
    #[error(transparent)]
    UnknownScope(#[from] UnknownScope),
    #[error("more is asked for than was allowed")]
    WiderScope,
    #[error("nobody has approved yet")]
    AuthorizationPending,
    #[error("this was asked sooner than agreed; wait five seconds longer from now on")]
    SlowDown,
    #[error("the device code has expired; ask for another")]
    ExpiredToken,
    #[error("the person refused")]
    AccessDenied,
    /// More of it comes from that network than is looked into, or recorded.
    #[error("too much that comes to nothing is sent from there")]
    TooOften,
    #[error("granting was interrupted")]
    Interrupted,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is wrong with what was presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("the code is unknown, or long gone")]
    CodeUnknown,
    #[error("the code has expired")]
    CodeExpired,
    #[error("the code was used before; what it came to has ended")]
    CodeReused,
    #[error("the code was given to another client")]
    CodeOfOtherClient,
    #[error("the redirect_uri is not the one the code was sent to")]
    OtherRedirect,
    #[error("the code_verifier does not belong to the code's challenge")]
    Verifier,
    #[error("the browser session in which it was allowed has ended; sign in again")]
    SessionEnded,
    #[error("the refresh token is unknown or was revoked")]
    RefreshUnknown,
    #[error("the sign-in has expired; sign in again")]
    RefreshExpired,
    #[error("the refresh token was given to another client")]
    RefreshOfOtherClient,
    #[error("the refresh token was used before; all tokens of this sign-in have ended")]
    RefreshReused,
    #[error("it is too long since the person last signed in with a browser")]
    NotVouched,
    #[error("the device code is unknown, or was used")]
    DeviceUnknown,
    #[error("the device code was given to another client")]
    DeviceOfOtherClient,
}

impl Invalid {
    /// A stable name for audit events.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::CodeUnknown => "code-unknown",
            Self::CodeExpired => "code-expired",
            Self::CodeReused => "code-reused",
            Self::CodeOfOtherClient => "code-of-other-client",
            Self::OtherRedirect => "code-other-redirect",
            Self::Verifier => "code-verifier",
            Self::SessionEnded => "session-ended",
            Self::RefreshUnknown => "refresh-token-unknown",
            Self::RefreshExpired => "refresh-token-expired",
            Self::RefreshOfOtherClient => "refresh-token-of-other-client",
            Self::RefreshReused => "refresh-token-reused",
            Self::NotVouched => "token-not-vouched",
            Self::DeviceUnknown => "device-code-unknown",
            Self::DeviceOfOtherClient => "device-code-of-other-client",
        }
    }
}

impl GrantError {
    /// The error code. Spec: RFC 6749 5.2; RFC 8628 3.5.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidClient(_) => "invalid_client",
            Self::InvalidGrant(_) => "invalid_grant",
            Self::DeviceCodesOff => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnknownScope(_) | Self::WiderScope => "invalid_scope",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::ExpiredToken => "expired_token",
            Self::AccessDenied => "access_denied",
            Self::TooOften | Self::Interrupted | Self::Store(_) => "temporarily_unavailable",
        }
    }

    /// What a program is told in words: nothing of ours.
    #[must_use]
    pub fn description(&self) -> String {
        match self {
            Self::TooOften | Self::Interrupted | Self::Store(_) => {
                "Nothing was granted. Please try again in a moment.".to_owned()
            }
            told => told.to_string(),
        }
    }
}
