//! Session policies: what makes a session allow less than its role.

mod compose;
mod document;
mod scope_down;

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Partition;

pub use compose::{CannotCompose, Part, Source, compose};
pub use document::PolicyDocument;
pub use scope_down::ScopeDown;

/// How many characters a session policy may have: the inline policy and the ARNs of managed ones together.
const MAX_CHARACTERS: usize = 2_048;
/// How many managed policies a session may be limited by.
const MAX_ARNS: usize = 10;
const MAX_ARN: usize = 2_048;

/// The policies a session is limited by; none by default. A session may do what its role *and* these allow.
///
/// Spec: AWS STS API Reference, parameters `Policy` and `PolicyArns`: 2,048 characters in all, and at most ten ARNs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct SessionPolicy {
    inline: Option<PolicyDocument>,
    arns: Vec<PolicyArn>,
}

/// The session policy is one STS would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSessionPolicy {
    #[error("an inline session policy is a JSON object with a `Statement`")]
    NotAPolicy,
    #[error("`{0}` stands twice in one object of the inline session policy")]
    Twice(String),
    #[error("the inline session policy is not well-formed{}: {what}", number.map_or_else(String::new, |n| format!(" in statement {n}")))]
    Statement { number: Option<usize>, what: &'static str },
    #[error(
        "the session policy has {0} characters, with the ARNs of managed policies and without white space; STS takes 2048"
    )]
    TooLong(usize),
    #[error(
        "an inline session policy holds tab, line breaks, and characters from U+0020 to U+00FF; write others as \\u escapes"
    )]
    Character,
    #[error("{0} managed policies were named; STS takes ten")]
    TooMany(usize),
}

/// How much of what STS takes a session policy uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// Of the inline policy and the ARNs together.
    pub characters: usize,
    pub arns: usize,
}

impl Budget {
    pub const MAX_CHARACTERS: usize = MAX_CHARACTERS;
    pub const MAX_ARNS: usize = MAX_ARNS;

    #[must_use]
    pub const fn characters_left(self) -> usize {
        MAX_CHARACTERS.saturating_sub(self.characters)
    }

    #[must_use]
    pub const fn arns_left(self) -> usize {
        MAX_ARNS.saturating_sub(self.arns)
    }
}

impl SessionPolicy {
    /// # Errors
    /// [`InvalidSessionPolicy`] says what STS would refuse.
    pub fn new(inline: Option<PolicyDocument>, arns: Vec<PolicyArn>) -> Result<Self, InvalidSessionPolicy> {
        let policy = Self { inline, arns };
        let Budget { characters, arns } = policy.budget();
        if arns > MAX_ARNS {
            return Err(InvalidSessionPolicy::TooMany(arns));
        }
        if characters > MAX_CHARACTERS {
            return Err(InvalidSessionPolicy::TooLong(characters));
        }
        Ok(policy)
    }

    /// Whether the session may do all that its role may.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.inline.is_none() && self.arns.is_empty()
    }

    /// The inline policy, as compact JSON.
    #[must_use]
    pub fn inline(&self) -> Option<&str> {
        self.inline.as_ref().map(PolicyDocument::as_str)
    }

    #[must_use]
    pub fn arns(&self) -> &[PolicyArn] {
        &self.arns
    }

    #[must_use]
    pub fn budget(&self) -> Budget {
        let inline = self.inline.as_ref().map_or(0, PolicyDocument::characters);
        let arns = self.arns.iter().map(|arn| arn.as_str().chars().count()).sum::<usize>();
        Budget { characters: inline + arns, arns: self.arns.len() }
    }
}

/// The ARN of a managed policy: `arn:aws:iam::aws:policy/ReadOnlyAccess`, or one of an account's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PolicyArn(String);

/// The text is not the ARN of a managed policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the ARN of a managed policy, such as arn:aws:iam::aws:policy/ReadOnlyAccess")]
pub struct InvalidPolicyArn(pub String);

impl PolicyArn {
    /// AWS's own policy that lets its holder read everything.
    #[must_use]
    pub fn read_only(partition: Partition) -> Self {
        Self(format!("arn:{partition}:iam::aws:policy/ReadOnlyAccess"))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PolicyArn {
    type Err = InvalidPolicyArn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let good = match parts.as_slice() {
            ["arn", partition, "iam", "", owner, resource] => {
                partition.starts_with("aws")
                    && (*owner == "aws" || (owner.len() == 12 && owner.bytes().all(|b| b.is_ascii_digit())))
                    && resource.strip_prefix("policy/").is_some_and(|name| !name.is_empty())
            }
            _ => false,
        };
        let plain = text.len() <= MAX_ARN && text.bytes().all(|b| (0x21..=0x7e).contains(&b));
        if good && plain { Ok(Self(text.to_owned())) } else { Err(InvalidPolicyArn(text.chars().take(200).collect())) }
    }
}

impl fmt::Display for PolicyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PolicyArn {
    type Error = InvalidPolicyArn;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PolicyArn> for String {
    fn from(arn: PolicyArn) -> Self {
        arn.0
    }
}
