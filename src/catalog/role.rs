//! Accounts and the roles in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use url::Url;

use super::connector::safe_url;
use super::{Attribute, Method};
use crate::aws::{
    AccountId, InvalidName, Partition, ProviderArn, Region, RoleArn, RoleName, SamlProviderName, ScopeDown,
    SessionDuration,
};
use crate::identity::Demand;

/// Our own labels on an account or a role, for people to read and for rules to select by.
pub type Tags = BTreeMap<String, String>;

/// An AWS account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub id: AccountId,
    pub name: String,
    pub tags: Tags,
    pub partition: Partition,
    /// The IAM SAML provider in that account which trusts us.
    pub saml_provider: SamlProviderName,
    /// What our tokens are made out to, as the account's IAM OIDC provider has it among its client ids.
    #[serde(default)]
    pub oidc_audience: OidcAudience,
    /// Where STS is called and the console opens; the partition's default when absent.
    pub region: Option<Region>,
}

impl Account {
    #[must_use]
    pub fn provider_arn(&self) -> ProviderArn {
        ProviderArn::new(self.partition, self.id, self.saml_provider.clone())
    }

    #[must_use]
    pub fn role_arn(&self, role: &RoleName) -> RoleArn {
        RoleArn::new(self.partition, self.id, role.clone())
    }
}

/// An IAM role somebody may be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    pub account: AccountId,
    pub name: RoleName,
    pub description: Option<String>,
    pub tags: Tags,
    /// The longest session anybody gets, whatever the rule says.
    pub max_session: SessionDuration,
    /// What people get who do not choose; an hour, or the maximum where that is shorter, when absent.
    pub default_session: Option<SessionDuration>,
    /// Where in the console to begin.
    pub destination: Option<Destination>,
    /// Overrides the account's region.
    pub region: Option<Region>,
    /// Session tags to send, and where each value comes from.
    pub session_tags: BTreeMap<TagKey, TagSource>,
    /// Those of them that go along when the session assumes another role.
    #[serde(default)]
    pub transitive_tags: BTreeSet<TagKey>,
    /// What every session of the role is limited to.
    #[serde(default)]
    pub scope_down: ScopeDown,
    /// How recently and how strongly somebody must have been recognised to use it.
    #[serde(default)]
    pub authentication: Option<Demand>,
    /// How its credentials are obtained.
    #[serde(default)]
    pub method: Method,
}

impl Role {
    #[must_use]
    pub fn id(&self) -> RoleId {
        RoleId { account: self.account, name: self.name.clone() }
    }

    /// What people get who do not choose: never more than the maximum.
    #[must_use]
    pub fn default_session(&self) -> SessionDuration {
        self.default_session.unwrap_or(SessionDuration::HOUR).min(self.max_session)
    }
}

/// The key of a role: its account and its name. As text `111122223333/path/Name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RoleId {
    pub account: AccountId,
    pub name: RoleName,
}

impl fmt::Display for RoleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.name)
    }
}

impl FromStr for RoleId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (account, name) = text.split_once('/').ok_or_else(|| InvalidName {
            what: "role",
            value: text.to_owned(),
            rule: "the account id, a slash and the role name",
        })?;
        Ok(Self { account: account.parse()?, name: name.parse()? })
    }
}

/// What a token is made out to: 1 to 255 visible ASCII characters without quotes, `sts.amazonaws.com` where nothing is said.
///
/// Spec: IAM API Reference, `CreateOpenIDConnectProvider`, parameter `ClientIDList`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OidcAudience(String);

impl OidcAudience {
    pub const USUAL: &str = "sts.amazonaws.com";

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for OidcAudience {
    fn default() -> Self {
        Self(Self::USUAL.to_owned())
    }
}

impl FromStr for OidcAudience {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |b: u8| matches!(b, 0x21..=0x7e) && !matches!(b, b'"' | b'\\');
        if (1..=255).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName {
                what: "audience",
                value: text.to_owned(),
                rule: "1 to 255 visible ASCII characters, as the account's OIDC provider lists it",
            })
        }
    }
}

/// A page of the console: https (http only on this machine), without a user name.
///
/// Which hosts are a console is for issuance to say; this only keeps out what can never be one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Destination(Url);

/// The text is no address of a console page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no console page; write its full https URL")]
pub struct InvalidDestination(pub String);

impl Destination {
    #[must_use]
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for Destination {
    type Err = InvalidDestination;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        safe_url(text).map(Self).ok_or_else(|| InvalidDestination(text.to_owned()))
    }
}

/// The key of a session tag: 1 to 128 letters, digits, spaces and any of `_.:/=+-@`, not beginning with `aws:`.
///
/// Spec: AWS STS API Reference, type `tagKeyType`. Keys that differ only in case are the same key to AWS.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TagKey(String);

impl TagKey {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What AWS allows in tag keys and values.
static TAG_TEXT: LazyLock<regex::Regex> = LazyLock::new(|| {
    regex::Regex::new(r"\A[\p{L}\p{Z}\p{N}_.:/=+\-@]*\z").expect("the expression is fixed and well-formed")
});

/// Whether AWS would take this as a tag: the charset, the length in characters, and the reserved prefix.
fn is_tag_text(text: &str, max: usize) -> bool {
    let reserved = text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"));
    !reserved && text.chars().count() <= max && TAG_TEXT.is_match(text)
}

/// Whether AWS would take this as the value of a session tag.
///
/// Spec: AWS STS API Reference, type `tagValueType`.
#[must_use]
pub fn is_tag_value(text: &str) -> bool {
    is_tag_text(text, 256)
}

impl FromStr for TagKey {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.is_empty() && is_tag_text(text, 128) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName {
                what: "session tag key",
                value: text.to_owned(),
                rule: "1 to 128 letters, digits, spaces and any of _.:/=+-@, not beginning with aws:",
            })
        }
    }
}

impl fmt::Display for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the value of a session tag comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TagSource {
    /// The person's one value of this attribute; without exactly one, the tag is not sent.
    Attribute(Attribute),
    /// Always this.
    Value(String),
}

/// What to tell people whom no role is mapped to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Support {
    pub text: Option<String>,
    pub contact: Option<Contact>,
}

/// Whom to ask: an e-mail address or an https page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Contact(String);

/// The text is neither an e-mail address nor an https URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no contact; write an e-mail address or an https URL")]
pub struct InvalidContact(pub String);

impl Contact {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a link points to: the URL, or `mailto:` and the address.
    #[must_use]
    pub fn href(&self) -> String {
        if is_email(&self.0) { format!("mailto:{}", self.0) } else { self.0.clone() }
    }
}

/// Close enough to an address for a `mailto:` link, and nothing that could end one.
fn is_email(text: &str) -> bool {
    text.len() <= 254
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-@".contains(&b))
        && text.split_once('@').is_some_and(|(who, host)| !who.is_empty() && !host.is_empty() && !host.contains('@'))
}

impl FromStr for Contact {
    type Err = InvalidContact;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let page = || Url::parse(text).is_ok_and(|url| url.scheme() == "https" && url.as_str().len() <= 2_000);
        if is_email(text) || page() { Ok(Self(text.to_owned())) } else { Err(InvalidContact(text.to_owned())) }
    }
}

/// Text in, text out: serde for types that parse themselves.
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
                value.0.into()
            }
        }
    )+};
}
text_type!(OidcAudience => InvalidName, Destination => InvalidDestination, TagKey => InvalidName, Contact => InvalidContact);
