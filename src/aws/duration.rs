//! How long issued credentials live.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How long issued credentials live, in whole seconds: 900 to 129 600 inclusive.
///
/// Spec: AWS STS API Reference, parameter `DurationSeconds` of `GetSessionToken` and `GetFederationToken`. A role's session
/// ends after [`ROLE_MAX`](Self::ROLE_MAX) at the latest; which of the two counts is for the catalog's methods to say.
/// As text: seconds, or whole hours and minutes such as `12h`, `90m`, `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct SessionDuration(u32);

/// The duration is shorter than 900 s or longer than 129 600 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} s is outside the 15 minutes to 36 hours that AWS allows")]
pub struct DurationOutOfRange(pub u64);

/// The text is no duration, or one out of range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    #[error("`{0}` is not a duration; write for example 1h, 90m or 3600")]
    Syntax(String),
    #[error(transparent)]
    OutOfRange(#[from] DurationOutOfRange),
}

impl SessionDuration {
    pub const MIN: Self = Self(900);
    /// What an IAM user's key can be exchanged for.
    pub const MAX: Self = Self(129_600);
    /// What a role can allow.
    pub const ROLE_MAX: Self = Self(43_200);
    /// What STS gives when nothing is asked, and what every role allows: no role's maximum is below it.
    pub const HOUR: Self = Self(3_600);

    /// # Errors
    /// [`DurationOutOfRange`] carries the rejected value, so a message can quote it.
    pub const fn from_secs(seconds: u32) -> Result<Self, DurationOutOfRange> {
        if seconds >= Self::MIN.0 && seconds <= Self::MAX.0 {
            Ok(Self(seconds))
        } else {
            Err(DurationOutOfRange(seconds as u64))
        }
    }

    #[must_use]
    pub const fn as_secs(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for SessionDuration {
    type Error = DurationOutOfRange;

    fn try_from(seconds: u32) -> Result<Self, Self::Error> {
        Self::from_secs(seconds)
    }
}

impl From<SessionDuration> for u32 {
    fn from(duration: SessionDuration) -> Self {
        duration.0
    }
}

impl FromStr for SessionDuration {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let syntax = || InvalidDuration::Syntax(text.to_owned());
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.len() <= 6 && digits.bytes().all(|b| b.is_ascii_digit());
            if plain { digits.parse::<u64>().map_err(|_| syntax()) } else { Err(syntax()) }
        };
        let seconds = if let Some((hours, rest)) = text.split_once('h') {
            let minutes = match rest {
                "" => 0,
                rest => number(rest.strip_suffix('m').ok_or_else(syntax)?)?,
            };
            number(hours)? * 3600 + minutes * 60
        } else if let Some(minutes) = text.strip_suffix('m') {
            number(minutes)? * 60
        } else {
            number(text.strip_suffix('s').unwrap_or(text))?
        };
        let in_range = u32::try_from(seconds).map_err(|_| DurationOutOfRange(seconds))?;
        Ok(Self::from_secs(in_range)?)
    }
}

impl fmt::Display for SessionDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes, seconds) = (self.0 / 3600, self.0 / 60 % 60, self.0 % 60);
        match (hours, minutes, seconds) {
            (0, m, 0) => write!(f, "{m}m"),
            (h, 0, 0) => write!(f, "{h}h"),
            (h, m, 0) => write!(f, "{h}h{m}m"),
            _ => write!(f, "{}s", self.0),
        }
    }
}
