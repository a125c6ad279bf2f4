//! Links: one person who comes through several connectors.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Attribute;
use crate::identity::ConnectorId;

/// Whoever comes through one of these connectors with the same value of this attribute is the same person.
///
/// It joins what belongs to a person: favourites, the list of sessions, ending all of them. It gives no rights: rules
/// see what the connector at hand says, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub id: LinkId,
    /// At least two.
    pub connectors: BTreeSet<ConnectorId>,
    /// `email`, which counts only where it was verified, or an attribute that all of them map.
    pub attribute: Attribute,
}

/// The name of a link: 1 to 40 letters, digits, `.`, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LinkId(String);

/// The text cannot name a link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a link id: write 1 to 40 letters, digits, dots, dashes and underscores")]
pub struct InvalidLinkId(pub String);

impl FromStr for LinkId {
    type Err = InvalidLinkId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = (1..=40).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if good { Ok(Self(text.to_owned())) } else { Err(InvalidLinkId(text.to_owned())) }
    }
}

impl TryFrom<String> for LinkId {
    type Error = InvalidLinkId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<LinkId> for String {
    fn from(id: LinkId) -> Self {
        id.0
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
