//! Rules: what must be true of a person, and what it gives them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Pattern, WorkloadConnector};
use crate::aws::{AccountId, InvalidName, RoleName, ScopeDown, SessionDuration};
use crate::identity::{ConnectorId, VerifiedIdentity};

/// A rule: whoever meets every condition may use every role the grants select.
///
/// There is no rule that takes away. Learning less about a person (a group that was not sent, a condition that cannot
/// be read) can therefore only ever lead to less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    pub id: RuleId,
    pub description: Option<String>,
    /// All must hold; for each, any value of the attribute may match any of the patterns.
    pub when: BTreeMap<Attribute, AnyOf>,
    pub grants: Vec<Grant>,
    /// Sessions through this rule are no longer than this.
    pub max_session: Option<SessionDuration>,
    /// What sessions through this rule are limited to, beside what their role is.
    #[serde(default)]
    pub scope_down: ScopeDown,
}

impl Rule {
    /// The condition whose named groups fill a grant, if the rule has one that defines all of `names`.
    #[must_use]
    pub fn capturing_condition(&self, names: &BTreeSet<&str>) -> Option<(&Attribute, &AnyOf)> {
        self.when.iter().find(|(_, patterns)| patterns.always_captures(names))
    }
}

impl Rule {
    /// Whether a workload through this connector could meet every condition.
    pub(super) fn reaches(&self, connector: &ConnectorId, workload: &WorkloadConnector) -> bool {
        !self.when.is_empty()
            && self.when.iter().all(|(attribute, any)| match attribute {
                Attribute::Connector => any.patterns().iter().any(|pattern| pattern.is_match(connector.as_str())),
                other => workload.delivers(other),
            })
    }

    /// Whether it names this connector letter by letter.
    #[must_use]
    pub fn names(&self, connector: &ConnectorId) -> bool {
        let named = |pattern: &Pattern| matches!(pattern, Pattern::Exact(id) if id == connector.as_str());
        self.when.get(&Attribute::Connector).is_some_and(|any| any.patterns().iter().any(named))
    }
}

/// The name of a rule, which the audit log repeats: 1 to 100 letters, digits and any of `._:-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RuleId(String);

impl FromStr for RuleId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good =
            (1..=100).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b));
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName {
                what: "rule id",
                value: text.to_owned(),
                rule: "1 to 100 letters, digits and any of ._:-",
            })
        }
    }
}

/// Our name for an attribute beyond the usual ones: a letter, then at most 63 letters, digits and any of `_.-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AttributeName(String);

impl FromStr for AttributeName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |rule| Err(InvalidName { what: "attribute name", value: text.to_owned(), rule });
        if Attribute::USUAL.iter().any(|usual| usual.as_str() == text) {
            return error("another name: this one is taken by what every identity has");
        }
        let good = (1..=64).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if good { Ok(Self(text.to_owned())) } else { error("a letter, then at most 63 letters, digits and any of _.-") }
    }
}

/// Something about a person that a rule can ask for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Attribute {
    /// The id of the connector they came through.
    Connector,
    Email,
    Groups,
    Name,
    Subject,
    /// One the connector maps under `attributes.extra`.
    Mapped(AttributeName),
}

impl Attribute {
    /// What every identity has, whatever the connector maps.
    pub const USUAL: [Self; 5] = [Self::Connector, Self::Email, Self::Groups, Self::Name, Self::Subject];

    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Connector => "connector",
            Self::Email => "email",
            Self::Groups => "groups",
            Self::Name => "name",
            Self::Subject => "subject",
            Self::Mapped(name) => &name.0,
        }
    }

    /// The values this person has, in the order they were sent.
    pub fn values<'i>(&self, identity: &'i VerifiedIdentity) -> impl Iterator<Item = &'i str> + use<'i> {
        let (one, many): (Option<&str>, &[String]) = match self {
            Self::Connector => (Some(identity.subject.connector.as_str()), &[]),
            Self::Email => (identity.email.as_deref(), &[]),
            Self::Groups => (None, identity.groups.known()),
            Self::Name => (identity.name.as_deref(), &[]),
            Self::Subject => (Some(&identity.subject.value), &[]),
            Self::Mapped(name) => (None, identity.attributes.values(&name.0)),
        };
        one.into_iter().chain(many.iter().map(String::as_str))
    }
}

impl FromStr for Attribute {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Self::USUAL.into_iter().find(|usual| usual.as_str() == text) {
            Some(usual) => Ok(usual),
            None => text.parse().map(Self::Mapped),
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Attribute> for String {
    fn from(attribute: Attribute) -> Self {
        attribute.as_str().to_owned()
    }
}

/// Patterns of which one has to match. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Pattern>", into = "Vec<Pattern>")]
pub struct AnyOf(Vec<Pattern>);

/// A condition without a pattern could never hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the list is empty, so the condition could never hold")]
pub struct NoPattern;

impl AnyOf {
    /// # Errors
    /// [`NoPattern`] when there is none.
    pub fn new(patterns: Vec<Pattern>) -> Result<Self, NoPattern> {
        if patterns.is_empty() { Err(NoPattern) } else { Ok(Self(patterns)) }
    }

    #[must_use]
    pub fn patterns(&self) -> &[Pattern] {
        &self.0
    }

    /// Whether whichever pattern matches, all of these names are captured.
    fn always_captures(&self, names: &BTreeSet<&str>) -> bool {
        self.0.iter().all(|pattern| match pattern {
            Pattern::Matches(expression) => names.iter().all(|name| expression.captures().any(|c| c == *name)),
            Pattern::Exact(_) | Pattern::Glob(_) => false,
        })
    }

    /// Every name that at least one of the patterns captures.
    #[must_use]
    pub fn captures(&self) -> BTreeSet<&str> {
        let expressions = self.0.iter().filter_map(|pattern| match pattern {
            Pattern::Matches(expression) => Some(expression),
            Pattern::Exact(_) | Pattern::Glob(_) => None,
        });
        expressions.flat_map(super::Expression::captures).collect()
    }
}

impl fmt::Display for AnyOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, pattern) in self.0.iter().enumerate() {
            write!(f, "{}{pattern}", if at == 0 { "" } else { " or " })?;
        }
        Ok(())
    }
}

impl TryFrom<Vec<Pattern>> for AnyOf {
    type Error = NoPattern;

    fn try_from(patterns: Vec<Pattern>) -> Result<Self, Self::Error> {
        Self::new(patterns)
    }
}

impl From<AnyOf> for Vec<Pattern> {
    fn from(any: AnyOf) -> Self {
        any.0
    }
}

/// Which roles a rule gives: those that fit all four selections.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Grant {
    pub account: AccountSelector,
    pub account_tags: TagSelector,
    pub role: RoleSelector,
    pub role_tags: TagSelector,
}

impl Grant {
    /// The names of the named groups this grant is filled from.
    #[must_use]
    pub fn captures(&self) -> BTreeSet<&str> {
        let account = match &self.account {
            AccountSelector::Captured(template) => Some(template),
            AccountSelector::Any | AccountSelector::Ids(_) => None,
        };
        let role = match &self.role {
            RoleSelector::Captured(template) => Some(template),
            RoleSelector::Any | RoleSelector::Names(_) => None,
        };
        account.into_iter().chain(role).flat_map(Template::captures).collect()
    }
}

/// Which accounts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountSelector {
    /// All of them, written `*`.
    Any,
    Ids(BTreeSet<AccountId>),
    Captured(Template),
}

/// Which roles within those accounts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoleSelector {
    /// All of them, written `*`.
    Any,
    Names(BTreeSet<RoleName>),
    Captured(Template),
}

/// Tags that must be there, each with one of these values. Empty selects everything.
pub type TagSelector = BTreeMap<String, BTreeSet<String>>;

/// Text with at least one `{name}` in it, to be filled from what a regular expression captured.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Part {
    Text(String),
    Capture(String),
}

/// The text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not well formed; write the name of a captured group in braces, such as {{account}}")]
pub struct InvalidTemplate(pub String);

impl Template {
    /// Whether the text is meant as a template at all.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.contains(['{', '}'])
    }

    /// The names in braces.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Capture(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// Fills it in; `None` when a group took no part in the match.
    #[must_use]
    pub fn fill(&self, captured: &regex::Captures<'_>) -> Option<String> {
        let mut filled = String::new();
        for part in &self.0 {
            filled.push_str(match part {
                Part::Text(text) => text,
                Part::Capture(name) => captured.name(name)?.as_str(),
            });
        }
        Some(filled)
    }
}

impl FromStr for Template {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || InvalidTemplate(text.to_owned());
        let is_name = |name: &str| {
            name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
                && name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())
        };
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or_else(error)?;
            if before.contains('}') || !is_name(name) {
                return Err(error());
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Capture(name.to_owned()));
            rest = after;
        }
        if parts.is_empty() || rest.contains('}') {
            return Err(error());
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Text(text) => f.write_str(text)?,
                Part::Capture(name) => write!(f, "{{{name}}}")?,
            }
        }
        Ok(())
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.to_string()
    }
}

/// Text in, text out: serde for types that parse themselves.
macro_rules! reads_text {
    ($($name:ident => $error:ty),+ $(,)?) => {$(
        impl TryFrom<String> for $name {
            type Error = $error;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
    )+};
}
reads_text!(
    RuleId => InvalidName, AttributeName => InvalidName, Attribute => InvalidName, Template => InvalidTemplate,
);

/// A name that is kept as it was written.
macro_rules! writes_text {
    ($($name:ident),+) => {$(
        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    )+};
}
writes_text!(RuleId, AttributeName);
