//! Who somebody is, once an identity provider has vouched for them and the voucher was checked.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

mod demand;

pub use demand::{Demand, Unmet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The catalog's name for a way to reach an identity provider; it stands in URLs.
///
/// 1 to 40 of `[a-z0-9-]`, beginning with a letter and not ending with a dash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConnectorId(String);

/// The text cannot name a connector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a connector id: write 1 to 40 lower-case letters, digits and dashes, beginning with a letter")]
pub struct InvalidConnectorId(pub String);

impl ConnectorId {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ConnectorId {
    type Err = InvalidConnectorId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = (1..=40).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if good { Ok(Self(text.to_owned())) } else { Err(InvalidConnectorId(text.to_owned())) }
    }
}

impl TryFrom<String> for ConnectorId {
    type Error = InvalidConnectorId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ConnectorId> for String {
    fn from(id: ConnectorId) -> Self {
        id.0
    }
}

impl fmt::Display for ConnectorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of a person: a connector and the NameID or `sub` exactly as it was signed. E-mail is never the key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SubjectId {
    pub connector: ConnectorId,
    pub value: String,
}

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.connector, self.value)
    }
}

/// The text does not name a subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no subject; write connector:subject")]
pub struct InvalidSubjectId(pub String);

impl FromStr for SubjectId {
    type Err = InvalidSubjectId;

    /// Reads what [`Display`](fmt::Display) writes: ids of connectors have no colon, subjects may.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidSubjectId(text.to_owned());
        let (connector, value) = text.split_once(':').ok_or_else(invalid)?;
        Ok(Self { connector: connector.parse().map_err(|_| invalid())?, value: value.to_owned() })
    }
}

/// A person whom the catalog links across connectors: the link and the value they share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkedAs {
    pub link: String,
    pub value: String,
}

/// The key of a person: a connector and the subject there, or a link and the value it joins by.
///
/// As text `okta:00u1` or `link:employees:4711`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PersonId {
    pub realm: String,
    pub value: String,
}

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.realm, self.value)
    }
}

/// The text does not name a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names nobody; write connector:subject, or link:ID:value")]
pub struct InvalidPersonId(pub String);

impl FromStr for PersonId {
    type Err = InvalidPersonId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let link = text.strip_prefix("link:").and_then(|rest| rest.split_once(':'));
        let (realm, value) = match link {
            Some((link, value)) => (format!("link:{link}"), value),
            None => {
                let (connector, value) = text.split_once(':').ok_or_else(|| InvalidPersonId(text.to_owned()))?;
                let known = connector.parse::<ConnectorId>().map_err(|_| InvalidPersonId(text.to_owned()))?;
                (known.to_string(), value)
            }
        };
        if value.is_empty() {
            Err(InvalidPersonId(text.to_owned()))
        } else {
            Ok(Self { realm, value: value.to_owned() })
        }
    }
}

/// Mapped attributes by the catalog's name for them, each with its values in the order they were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attributes(pub BTreeMap<String, Vec<String>>);

impl Attributes {
    /// The values of one attribute; none when it was not sent.
    #[must_use]
    pub fn values(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

/// The groups somebody is in, or why that is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Groups {
    /// All of them; perhaps none.
    Complete { values: Vec<String> },
    /// The provider left some or all out (overage): never to be read as "in no group".
    Incomplete { values: Vec<String>, reason: String },
}

impl Groups {
    /// The groups that are certain.
    #[must_use]
    pub fn known(&self) -> &[String] {
        match self {
            Self::Complete { values } | Self::Incomplete { values, .. } => values,
        }
    }
}

impl Default for Groups {
    fn default() -> Self {
        Self::Complete { values: Vec::new() }
    }
}

/// How and when the identity provider recognised the person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authentication {
    /// `AuthnInstant` or `auth_time`; OpenID providers may leave it out.
    pub instant: Option<Timestamp>,
    /// `AuthnContextClassRef` or `acr`.
    pub context_class: Option<String>,
    /// `amr`: what was used, such as `pwd` or `hwk`.
    #[serde(default)]
    pub methods: Vec<String>,
    /// `SessionIndex` or `sid`: names the session at the identity provider.
    pub session_index: Option<String>,
    /// When the identity provider's own session ends; ours never outlives it.
    pub session_not_on_or_after: Option<Timestamp>,
}

/// The NameID element as it was signed, kept whole because a logout request must repeat it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameIdQualifiers {
    pub format: Option<String>,
    pub name_qualifier: Option<String>,
    pub sp_name_qualifier: Option<String>,
}

/// A person an identity provider has vouched for. Only `signin` makes one from evidence, and the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedIdentity {
    pub subject: SubjectId,
    /// The NameID or `sub` as it was signed, where the catalog reads the subject from something else.
    #[serde(default)]
    pub asserted: Option<String>,
    /// As whom the catalog knows this person through several connectors, if it does.
    #[serde(default)]
    pub link: Option<LinkedAs>,
    pub qualifiers: NameIdQualifiers,
    pub name: Option<String>,
    pub email: Option<String>,
    pub groups: Groups,
    pub attributes: Attributes,
    pub authentication: Authentication,
}

impl VerifiedIdentity {
    /// What the identity provider calls the person: the NameID or `sub` as it was signed. Logout messages use it.
    #[must_use]
    pub fn asserted_subject(&self) -> &str {
        self.asserted.as_deref().unwrap_or(&self.subject.value)
    }

    /// The key of what belongs to a person and not to one of their ways in.
    #[must_use]
    pub fn person(&self) -> PersonId {
        match &self.link {
            None => PersonId { realm: self.subject.connector.to_string(), value: self.subject.value.clone() },
            // No connector is called like that: ids have no colon.
            Some(link) => PersonId { realm: format!("link:{}", link.link), value: link.value.clone() },
        }
    }

    /// What to call the person on a page: their name, else e-mail, else subject.
    #[must_use]
    pub fn display_name(&self) -> &str {
        self.name.as_deref().or(self.email.as_deref()).unwrap_or(&self.subject.value)
    }

    /// What to call the person in CloudTrail: the e-mail where there is one, else the subject.
    #[must_use]
    pub fn trail_name(&self) -> &str {
        self.email.as_deref().unwrap_or(&self.subject.value)
    }
}
