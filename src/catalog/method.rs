//! How AWS is asked for a role's credentials, and the IAM users' keys that some ways need.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{RoleId, Secret, TagKey};
use crate::aws::{AccessKeyId, AccountId, ExternalId, InvalidName, MfaSerial, SessionDuration, UserName};

/// How AWS is asked for a role's credentials.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// `AssumeRoleWithSAML`, with an assertion of ours.
    #[default]
    Saml,
    /// `AssumeRoleWithWebIdentity`, with a token of ours.
    WebIdentity,
    /// `AssumeRole`, with the credentials of another role, the hub.
    Chain(Chain),
    /// `GetFederationToken`, with an IAM user's key.
    FederationToken(FederationToken),
    /// `GetSessionToken`, with an IAM user's key and a code of their MFA device.
    SessionToken(SessionToken),
}

/// A role that is reached from another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// The role before it; it may be reached from another one itself.
    pub via: RoleId,
    pub external_id: Option<ExternalId>,
    /// Session tags of this role that are set where the chain begins and go with the session from role to role.
    pub transitive_tags: BTreeSet<TagKey>,
}

/// What an IAM user may do, cut down by a session policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FederationToken {
    pub key: UserKeyId,
}

/// What an IAM user may do after showing their MFA device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionToken {
    pub key: UserKeyId,
    /// The person is asked for it when absent.
    pub mfa_serial: Option<MfaSerial>,
}

impl Method {
    /// How many times `AssumeRole` may follow on another in one chain. AWS sets no limit; what goes through more roles than
    /// this can be followed by nobody.
    pub const MOST_HOPS: usize = 5;
    /// Why the session of an IAM user opens no console.
    pub const NO_CONSOLE: &str = "AWS opens no console for the session of an IAM user. Take credentials here, or sign in \
                                  to the console as that user.";
    /// As they are written in a file.
    pub const NAMES: [&str; 5] = ["saml", "web-identity", "chain", "federation-token", "session-token"];

    /// Whether sessions can be limited to less than their role.
    #[must_use]
    pub const fn takes_session_policy(&self) -> bool {
        match self {
            Self::Saml | Self::WebIdentity | Self::Chain(_) | Self::FederationToken(_) => true,
            Self::SessionToken(_) => false,
        }
    }

    /// As it is written in a file, and named in the audit log and the API.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Saml => Self::NAMES[0],
            Self::WebIdentity => Self::NAMES[1],
            Self::Chain(_) => Self::NAMES[2],
            Self::FederationToken(_) => Self::NAMES[3],
            Self::SessionToken(_) => Self::NAMES[4],
        }
    }

    /// The longest session AWS gives, whatever the role or the user allows.
    #[must_use]
    pub const fn longest(&self) -> SessionDuration {
        match self {
            Self::Saml | Self::WebIdentity => SessionDuration::ROLE_MAX,
            Self::Chain(_) => SessionDuration::HOUR,
            Self::FederationToken(_) | Self::SessionToken(_) => SessionDuration::MAX,
        }
    }

    /// Why the console cannot be opened with such credentials; `None` where it can.
    #[must_use]
    pub const fn no_console(&self) -> Option<&'static str> {
        match self {
            Self::Saml | Self::WebIdentity | Self::Chain(_) | Self::FederationToken(_) => None,
            Self::SessionToken(_) => Some(Self::NO_CONSOLE),
        }
    }

    /// Whether whoever asks has to read a code from an MFA device.
    #[must_use]
    pub const fn asks_for_mfa(&self) -> bool {
        matches!(self, Self::SessionToken(_))
    }

    /// The key of an IAM user it is done with.
    #[must_use]
    pub const fn key(&self) -> Option<&UserKeyId> {
        match self {
            Self::FederationToken(FederationToken { key }) | Self::SessionToken(SessionToken { key, .. }) => Some(key),
            Self::Saml | Self::WebIdentity | Self::Chain(_) => None,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An access key of an IAM user. The only long-term AWS credentials Rolegate ever holds, and only where a role needs them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserKey {
    pub id: UserKeyId,
    pub account: AccountId,
    pub user: UserName,
    pub access_key_id: AccessKeyId,
    pub secret_access_key: Secret,
}

impl std::hash::Hash for UserKey {
    /// What names it is enough: equal keys have equal names.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let Self { id, account, user, access_key_id, secret_access_key: _ } = self;
        (id, account, user, access_key_id).hash(state);
    }
}

/// Our name for a key: 1 to 40 letters, digits, `.`, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserKeyId(String);

impl UserKeyId {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserKeyId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = (1..=40).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName {
                what: "key id",
                value: text.to_owned(),
                rule: "1 to 40 letters, digits, dots, dashes and underscores",
            })
        }
    }
}

impl TryFrom<String> for UserKeyId {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<UserKeyId> for String {
    fn from(id: UserKeyId) -> Self {
        id.0
    }
}

impl fmt::Display for UserKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
