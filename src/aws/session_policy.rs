//! Session policies: what makes a session allow less than its role.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How many characters an inline session policy may have.
const MAX_INLINE: usize = 2_048;
/// How many managed policies a session may be limited by.
const MAX_ARNS: usize = 10;
const MAX_ARN: usize = 2_048;

/// The policies a session is limited by; none by default. A session may do what its role *and* these allow.
///
/// Spec: AWS STS API Reference, parameters `Policy` (1 to 2,048 characters) and `PolicyArns` (at most ten).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct SessionPolicy {
    inline: Option<String>,
    arns: Vec<PolicyArn>,
}

/// The session policy is one STS would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSessionPolicy {
    #[error("an inline session policy is a JSON object with a `Statement`")]
    NotAPolicy,
    #[error("the inline session policy has {0} characters without its white space; STS takes 2048")]
    TooLong(usize),
    #[error(
        "an inline session policy holds tab, line breaks, and characters from U+0020 to U+00FF; write others as \\u escapes"
    )]
    Character,
    #[error("{0} managed policies were named; STS takes ten")]
    TooMany(usize),
}

impl SessionPolicy {
    /// # Errors
    /// [`InvalidSessionPolicy`] says what STS would refuse. White space that has no meaning is removed first.
    pub fn new(inline: Option<&str>, arns: Vec<PolicyArn>) -> Result<Self, InvalidSessionPolicy> {
        let inline = inline.map(compact).transpose()?;
        if arns.len() > MAX_ARNS {
            return Err(InvalidSessionPolicy::TooMany(arns.len()));
        }
        Ok(Self { inline, arns })
    }

    /// Whether the session may do all that its role may.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.inline.is_none() && self.arns.is_empty()
    }

    /// The inline policy, as compact JSON.
    #[must_use]
    pub fn inline(&self) -> Option<&str> {
        self.inline.as_deref()
    }

    #[must_use]
    pub fn arns(&self) -> &[PolicyArn] {
        &self.arns
    }
}

fn compact(text: &str) -> Result<String, InvalidSessionPolicy> {
    let document: serde_json::Value = serde_json::from_str(text).map_err(|_| InvalidSessionPolicy::NotAPolicy)?;
    if document.get("Statement").is_none() {
        return Err(InvalidSessionPolicy::NotAPolicy);
    }
    let compact = document.to_string();
    let length = compact.chars().count();
    if length > MAX_INLINE {
        return Err(InvalidSessionPolicy::TooLong(length));
    }
    if compact.chars().all(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}')) {
        Ok(compact)
    } else {
        Err(InvalidSessionPolicy::Character)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sts_would_refuse_is_refused_here() {
        let good = "{ \"Version\": \"2012-10-17\",\n \"Statement\": [] }";
        assert_eq!(
            SessionPolicy::new(Some(good), vec![]).unwrap().inline(),
            Some(r#"{"Statement":[],"Version":"2012-10-17"}"#)
        );
        let refused = |text: &str| SessionPolicy::new(Some(text), vec![]).unwrap_err();
        for text in ["", "[]", "{}", "\"x\"", "{\"Statement\": [] } x"] {
            assert_eq!(refused(text), InvalidSessionPolicy::NotAPolicy, "{text}");
        }
        let sized = |extra: usize| format!("{{\"Statement\":\"{}\"}}", "a".repeat(extra));
        assert!(SessionPolicy::new(Some(&sized(2_048 - 16)), vec![]).is_ok());
        assert_eq!(refused(&sized(2_048 - 15)), InvalidSessionPolicy::TooLong(2_049));
        assert_eq!(refused("{\"Statement\":\"€\"}"), InvalidSessionPolicy::Character);
        let arn: PolicyArn = "arn:aws:iam::aws:policy/ReadOnlyAccess".parse().unwrap();
        assert!(SessionPolicy::new(None, vec![arn.clone(); 10]).is_ok());
        assert_eq!(SessionPolicy::new(None, vec![arn; 11]).unwrap_err(), InvalidSessionPolicy::TooMany(11));
        assert!(SessionPolicy::default().is_none());
    }

    #[test]
    fn an_arn_names_a_managed_policy() {
        for good in [
            "arn:aws:iam::aws:policy/ReadOnlyAccess",
            "arn:aws:iam::aws:policy/job-function/ViewOnlyAccess",
            "arn:aws-us-gov:iam::111122223333:policy/team/x",
        ] {
            assert_eq!(good.parse::<PolicyArn>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "ReadOnlyAccess",
            "arn:aws:iam::aws:role/x",
            "arn:aws:iam::aws:policy/",
            "arn:aws:s3::aws:policy/x",
            "arn:aws:iam::12:policy/x",
            "arn:aws:iam::aws:policy/a b",
        ] {
            assert!(bad.parse::<PolicyArn>().is_err(), "{bad}");
        }
    }
}
