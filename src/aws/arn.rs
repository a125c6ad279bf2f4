//! Accounts, roles and SAML providers, and the ARNs that name them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{InvalidName, Partition};

/// Twelve digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId([u8; 12]);

impl AccountId {
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an account id holds ASCII digits only")
    }
}

impl FromStr for AccountId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match <[u8; 12]>::try_from(text.as_bytes()) {
            Ok(digits) if digits.iter().all(u8::is_ascii_digit) => Ok(Self(digits)),
            _ => Err(InvalidName { what: "account id", value: text.to_owned(), rule: "exactly 12 digits" }),
        }
    }
}

/// An IAM role name with its path, if any: `ReadOnly` or `teams/payments/Deploy`.
///
/// The last part is 1 to 64 of `[\w+=,.@-]`; the path is at most 510 printable ASCII characters.
/// Spec: IAM API Reference, `CreateRole`, parameters `RoleName` and `Path`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleName(String);

impl RoleName {
    /// Path and name without a leading slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its path, as it stands in assumed-role ARNs.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

/// The characters AWS writes as `[\w+=,.@-]`, which are ASCII in practice.
pub(super) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte)
}

impl FromStr for RoleName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |rule| InvalidName { what: "role name", value: text.to_owned(), rule };
        let (path, name) = text.rsplit_once('/').unwrap_or(("", text));
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_name_byte) {
            return Err(error("1 to 64 letters, digits and any of _+=,.@- after the last slash"));
        }
        if path.len() > 510
            || text.starts_with('/')
            || text.contains("//")
            || !path.bytes().all(|b| (0x21..=0x7e).contains(&b))
        {
            return Err(error("a path of printable ASCII without a leading slash or an empty part"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The name of an IAM SAML provider: 1 to 128 of `[\w._-]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SamlProviderName(String);

impl SamlProviderName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SamlProviderName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good =
            (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName {
                what: "SAML provider name",
                value: text.to_owned(),
                rule: "1 to 128 letters, digits and any of _.-",
            })
        }
    }
}

/// The text is not the kind of ARN that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not {expected}")]
pub struct InvalidArn {
    pub value: String,
    pub expected: &'static str,
}

/// `arn:{partition}:iam::{account}:role/{path and name}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleArn {
    partition: Partition,
    account: AccountId,
    role: RoleName,
}

impl RoleArn {
    #[must_use]
    pub const fn new(partition: Partition, account: AccountId, role: RoleName) -> Self {
        Self { partition, account, role }
    }

    #[must_use]
    pub const fn partition(&self) -> Partition {
        self.partition
    }

    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }

    #[must_use]
    pub const fn role(&self) -> &RoleName {
        &self.role
    }
}

/// `arn:{partition}:iam::{account}:saml-provider/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProviderArn {
    partition: Partition,
    account: AccountId,
    name: SamlProviderName,
}

impl ProviderArn {
    #[must_use]
    pub const fn new(partition: Partition, account: AccountId, name: SamlProviderName) -> Self {
        Self { partition, account, name }
    }

    #[must_use]
    pub const fn partition(&self) -> Partition {
        self.partition
    }

    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }

    #[must_use]
    pub const fn name(&self) -> &SamlProviderName {
        &self.name
    }
}

/// Splits `arn:{partition}:iam::{account}:{kind}/{rest}`.
fn iam_parts<'a>(text: &'a str, kind: &str) -> Option<(Partition, AccountId, &'a str)> {
    let mut parts = text.splitn(6, ':');
    if parts.next()? != "arn" {
        return None;
    }
    let partition = parts.next()?.parse().ok()?;
    if parts.next()? != "iam" || !parts.next()?.is_empty() {
        return None;
    }
    let account = parts.next()?.parse().ok()?;
    let rest = parts.next()?.strip_prefix(kind)?.strip_prefix('/')?;
    Some((partition, account, rest))
}

impl FromStr for RoleArn {
    type Err = InvalidArn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        iam_parts(text, "role")
            .and_then(|(partition, account, rest)| Some(Self { partition, account, role: rest.parse().ok()? }))
            .ok_or_else(|| InvalidArn { value: text.to_owned(), expected: "the ARN of an IAM role" })
    }
}

impl FromStr for ProviderArn {
    type Err = InvalidArn;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        iam_parts(text, "saml-provider")
            .and_then(|(partition, account, rest)| Some(Self { partition, account, name: rest.parse().ok()? }))
            .ok_or_else(|| InvalidArn { value: text.to_owned(), expected: "the ARN of an IAM SAML provider" })
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arn:{}:iam::{}:role/{}", self.partition, self.account, self.role)
    }
}

impl fmt::Display for ProviderArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arn:{}:iam::{}:saml-provider/{}", self.partition, self.account, self.name)
    }
}

/// Text in, text out: serde and `Display` for a newtype that parses itself.
macro_rules! text_type {
    ($($name:ident => $error:ty),+ $(,)?) => {$(
        impl TryFrom<String> for $name {
            type Error = $error;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )+};
}
macro_rules! displays_as_str {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )+};
}
displays_as_str!(AccountId, RoleName, SamlProviderName);
text_type!(
    AccountId => InvalidName,
    RoleName => InvalidName,
    SamlProviderName => InvalidName,
    RoleArn => InvalidArn,
    ProviderArn => InvalidArn,
);
