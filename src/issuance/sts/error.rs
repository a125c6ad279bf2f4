//! Why STS gave no credentials, with its own words where it had any.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use aws_sdk_sts::config::http::HttpResponse;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::RequestId;
use jiff::Timestamp;

use super::reason::Reason;

/// Enough of STS's message for any text it is known to send.
const MAX_MESSAGE: usize = 512;

/// STS's own words: for the operator and the audit log, not for a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The wire code, such as `AccessDenied`.
    pub code: String,
    pub message: String,
    pub request_id: Option<String>,
    /// When it was said, by STS's clock.
    pub said: Option<Timestamp>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        match &self.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

/// Why STS gave no credentials. What each [`Reason`] means, and who must put it right, is told there.
#[derive(Debug, thiserror::Error)]
pub enum StsError {
    #[error("STS refused: {1} ({reason})", reason = .0.explain().code)]
    Refused(Reason, Refusal),
    #[error("STS could not be reached")]
    Unreachable(#[source] Box<dyn StdError + Send + Sync>),
    #[error("STS did not answer in time")]
    TimedOut,
    #[error("STS failed several times in a row and is left alone for some seconds; nothing was sent")]
    LeftAlone,
    #[error("too many calls are waiting for STS already; nothing was sent")]
    Crowded,
    #[error("the region has no FIPS endpoint of STS; nothing was sent")]
    NoEndpoint,
    #[error("the answer of STS makes no sense: {0}")]
    BadAnswer(&'static str),
}

impl StsError {
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Refused(reason, _) => *reason,
            Self::Unreachable(_) => Reason::Unreachable,
            Self::TimedOut => Reason::TimedOut,
            Self::LeftAlone => Reason::LeftAlone,
            Self::Crowded => Reason::Crowded,
            Self::NoEndpoint => Reason::NoEndpoint,
            Self::BadAnswer(_) => Reason::BadAnswer,
        }
    }

    /// A stable name for audit events and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.reason().explain().code
    }

    /// What a person is told: what is wrong and who can put it right. Nothing of STS's own text is in it.
    #[must_use]
    pub const fn sentence(&self) -> &'static str {
        self.reason().explain().sentence
    }

    /// STS's own words, where it said anything.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(_, refusal) => Some(refusal),
            Self::Unreachable(_)
            | Self::TimedOut
            | Self::LeftAlone
            | Self::Crowded
            | Self::NoEndpoint
            | Self::BadAnswer(_) => None,
        }
    }

    /// Whether it is the session policy that was asked for which STS does not take: whoever asked can put it right.
    #[must_use]
    pub const fn is_about_the_policy(&self) -> bool {
        matches!(self.reason(), Reason::PolicyTooLarge | Reason::PolicyMalformed)
    }

    /// Whether trying again later may help without anybody changing anything.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        self.reason().is_temporary()
    }

    /// When trying again is worth it, for what is temporary.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self.reason() {
            Reason::Crowded => Some(Duration::from_secs(2)),
            Reason::LeftAlone => Some(Duration::from_secs(10)),
            reason if reason.is_temporary() => Some(Duration::from_secs(5)),
            _ => None,
        }
    }

    pub(super) fn from_sdk<E>(error: SdkError<E, HttpResponse>) -> Self
    where
        E: StdError + ProvideErrorMetadata + RequestId + Send + Sync + 'static,
    {
        match error {
            SdkError::ServiceError(context) if context.raw().status().is_success() => {
                Self::BadAnswer("it is not the XML of the operation")
            }
            SdkError::ServiceError(context) => {
                let meta = context.err().meta();
                let refusal = Refusal {
                    code: shortened(meta.code().unwrap_or("no code")),
                    message: shortened(meta.message().unwrap_or("no message")),
                    request_id: context.err().request_id().map(shortened),
                    said: context.raw().headers().get("date").and_then(crate::sys::http::http_date),
                };
                let status = context.raw().status().as_u16();
                Self::Refused(Reason::of(&refusal.code, &refusal.message, status), refusal)
            }
            SdkError::TimeoutError(_) => Self::TimedOut,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Self::TimedOut,
            // A raw answer may hold credentials: it is dropped here, and its parser's complaint with it.
            SdkError::ResponseError(_) => Self::BadAnswer("it is not the XML of the operation"),
            other => match other.into_source() {
                Ok(source) => Self::Unreachable(source),
                Err(_) => Self::BadAnswer("the SDK failed without a reason"),
            },
        }
    }
}

/// Text from outside, fit for a log: printable, of bounded length, and without anything that could be an assertion
/// or a token echoed back.
fn shortened(text: &str) -> String {
    const LONGEST_WORD: usize = 200;
    let mut out = String::new();
    for word in text.split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || "+/=_-".contains(c))) {
        if word.len() > LONGEST_WORD {
            out.push('…');
        } else {
            out.extend(word.chars().map(|c| if c.is_control() { ' ' } else { c }));
        }
        if out.len() > MAX_MESSAGE {
            out.truncate(out.floor_char_boundary(MAX_MESSAGE));
            out.push('…');
            break;
        }
    }
    out
}
