//! From claims as one provider sends them to a person as we know people.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::json::Object;
use super::judge::scalar;
use super::{OidcError, Settings};
use crate::catalog::{ClaimGroups, ClaimPath, Prefer};
use crate::identity::{Attributes, Groups};
use crate::saml::names::trimmed;

/// A subject longer than this is nobody's name.
const MAX_SUBJECT_BYTES: usize = 1024;

/// What the claims say about the person.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Person {
    pub subject: String,
    pub email: Option<String>,
    pub name: Option<String>,
    pub groups: Groups,
    pub attributes: Attributes,
}

/// The claims about one person, from the ID token and perhaps from userinfo.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub id_token: &'a Object,
    pub userinfo: Option<&'a Object>,
    pub prefer: Prefer,
}

impl<'a> Sources<'a> {
    pub fn id_token(id_token: &'a Object) -> Self {
        Self { id_token, userinfo: None, prefer: Prefer::IdToken }
    }

    /// What counts first comes first.
    fn in_order(self) -> impl Iterator<Item = &'a Object> {
        let (first, second) = match (self.prefer, self.userinfo) {
            (Prefer::UserInfo, Some(userinfo)) => (userinfo, Some(self.id_token)),
            (_, userinfo) => (self.id_token, userinfo),
        };
        std::iter::once(first).chain(second)
    }

    fn find(self, path: &ClaimPath) -> Option<&'a Value> {
        self.in_order().find_map(|source| walk(source, path))
    }

    /// Something the catalog maps that nobody has sent, by its path; what only looks better on a page comes last.
    pub fn missing(self, settings: &Settings) -> Option<Missing> {
        let map = &settings.claims;
        let wanted = map.subject.iter().chain([&map.email]).chain(map.extra.values());
        if let Some(path) = wanted.into_iter().find(|path| self.find(path).is_none()) {
            return Some(Missing::Mapped(path.to_string()));
        }
        let groups = map.groups.as_ref().filter(|groups| self.find(&groups.claim).is_none());
        // Left out with a pointer to elsewhere: another answer of this provider will not have them either.
        if let Some(groups) = groups.filter(|groups| !self.left_out(&groups.claim)) {
            return Some(Missing::Mapped(groups.claim.to_string()));
        }
        self.find(&map.name).is_none().then_some(Missing::NameOnly)
    }

    /// Whether the provider says that it has a claim and did not send it.
    ///
    /// Spec: OpenID Connect Core 1.0, section 5.6.2 (distributed claims). Where `_claim_sources` points is never called:
    /// it is an address chosen by others, and it would get a token.
    fn left_out(self, claim: &ClaimPath) -> bool {
        let parts = claim.parts();
        self.in_order().any(|source| {
            let named = source.get("_claim_names").and_then(Value::as_object);
            let named = named.is_some_and(|names| parts.first().is_some_and(|first| names.contains_key(first)));
            // Entra ID, where a token has to stay short.
            let has_groups = parts.len() == 1 && parts[0] == "groups" && source.get("hasgroups").is_some_and(is_true);
            named || has_groups
        })
    }
}

/// What was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Missing {
    /// Something that says who somebody is or what they may do.
    Mapped(String),
    NameOnly,
}

fn walk<'a>(source: &'a Object, path: &ClaimPath) -> Option<&'a Value> {
    let (first, inner) = path.parts().split_first()?;
    let start = source.get(first)?;
    let value = inner.iter().try_fold(start, |value, part| value.as_object()?.get(part))?;
    (!value.is_null()).then_some(value)
}

/// Reads the person; `sub` is that of the ID token.
pub(super) fn person(settings: &Settings, sub: &str, sources: Sources<'_>) -> Result<Person, OidcError> {
    let map = &settings.claims;
    let subject = match &map.subject {
        None => sub.to_owned(),
        Some(path) => match sources.find(path).map(texts).unwrap_or_default().as_slice() {
            [only] => only.clone(),
            // None names nobody, and of two nobody can say which.
            _ => return Err(OidcError::SubjectClaim(path.to_string())),
        },
    };
    if subject.len() > MAX_SUBJECT_BYTES || subject.chars().any(char::is_control) {
        return Err(OidcError::SubjectUnusable { limit: MAX_SUBJECT_BYTES });
    }
    let mut attributes = BTreeMap::new();
    for (ours, path) in &map.extra {
        let values = sources.find(path).map(texts).unwrap_or_default();
        if !values.is_empty() {
            attributes.insert(ours.to_string(), values);
        }
    }
    Ok(Person {
        subject,
        email: email(settings, sources),
        name: sources.find(&map.name).and_then(|value| texts(value).into_iter().next()),
        groups: map.groups.as_ref().map_or_else(Groups::default, |source| groups(source, settings, sources)),
        attributes: Attributes(attributes),
    })
}

/// The address, if somebody has checked that it is the person's. Address and check come from the same answer, and the
/// check is about the claim `email` alone: of an address in any other claim nobody has said anything.
fn email(settings: &Settings, sources: Sources<'_>) -> Option<String> {
    sources.in_order().find_map(|source| {
        let address = walk(source, &settings.claims.email).and_then(|value| texts(value).into_iter().next())?;
        let checked = source.get("email_verified").is_some_and(is_true)
            && source.get("email").and_then(Value::as_str) == Some(address.as_str());
        (checked || settings.trust_email).then_some(address)
    })
}

fn is_true(value: &Value) -> bool {
    // Amazon Cognito writes its booleans as text.
    value == &Value::Bool(true) || value == "true"
}

/// The values of a claim; what is itself an object or a list inside the list has none.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(scalar).collect(),
        one => scalar(one).into_iter().collect(),
    }
}

fn groups(source: &ClaimGroups, settings: &Settings, sources: Sources<'_>) -> Groups {
    let sent: &[Value] = match sources.find(&source.claim) {
        None => &[],
        Some(Value::Array(items)) => items,
        // One group may come without its list (LemonLDAP::NG), or all of them in one text.
        Some(one) => std::slice::from_ref(one),
    };
    let (mut count, mut unreadable) = (0_usize, false);
    let (mut seen, mut values) = (HashSet::new(), Vec::new());
    let mut add = |value: &str| {
        let value = trimmed(value);
        if value.is_empty() {
            return;
        }
        count += 1;
        let value = match &source.prefix {
            None => Some(value),
            Some(prefix) => value.strip_prefix(prefix.as_str()),
        };
        if let Some(value) = value.filter(|value| !value.is_empty())
            && seen.insert(value.to_owned())
        {
            values.push(value.to_owned());
        }
    };
    for item in sent {
        match (item, scalar(item)) {
            (Value::Array(_) | Value::Object(_), _) => unreadable = true,
            (_, None) => {}
            (_, Some(text)) => match source.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty()) {
                None => add(&text),
                Some(delimiter) => text.split(delimiter).for_each(&mut add),
            },
        }
    }
    let reason = if sources.left_out(&source.claim) {
        Some(format!(
            "the provider left {} out and pointed elsewhere, as Entra ID does for people in more than 200 groups; send \
             only the groups assigned to the application",
            source.claim
        ))
    } else if unreadable {
        Some(format!("{} holds something that is not a group's name", source.claim))
    } else if settings.groups_limit.is_some_and(|limit| usize::try_from(limit) == Ok(count)) {
        Some(format!("exactly {count} groups came, which is where this provider cuts the list off"))
    } else {
        None
    };
    match reason {
        None => Groups::Complete { values },
        Some(reason) => Groups::Incomplete { values, reason },
    }
}
