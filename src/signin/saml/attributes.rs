//! From attributes as one provider sends them to a person as we know people.

use std::collections::{BTreeMap, HashSet};

use super::SamlError;
use crate::catalog::{AttributeMap, GroupSource, NAME_ID};
use crate::identity::{Attributes, Groups};
use crate::saml::message::Attribute;
use crate::signin::{Received, Source};

/// Entra ID sends this link instead of the groups when there are more than 150.
const GROUPS_LINK: &str = "http://schemas.microsoft.com/claims/groups.link";

/// A subject longer than this is nobody's name.
const MAX_SUBJECT_BYTES: usize = 1024;

/// What the attributes of an assertion say about the person.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Person {
    pub subject: String,
    pub email: Option<String>,
    pub name: Option<String>,
    pub groups: Groups,
    pub attributes: Attributes,
}

/// Reads the person; `name_id` is the text of the NameID, where there is one.
pub(super) fn person(map: &AttributeMap, name_id: Option<&str>, sent: &[Attribute<'_>]) -> Result<Person, SamlError> {
    let values = |name: &str| -> Vec<&str> {
        if name == NAME_ID {
            return name_id.into_iter().collect();
        }
        // One name may come in many elements, each with one value (Keycloak) or with several.
        let named = |a: &&Attribute<'_>| a.name == name || (map.friendly_names && a.friendly_name == Some(name));
        sent.iter().filter(named).flat_map(|attribute| attribute.values.iter().copied()).collect()
    };
    let first = |name: &Option<String>| {
        name.as_deref().and_then(|name| values(name).first().copied()).filter(|v| !v.is_empty()).map(str::to_owned)
    };

    let subject = match map.subject.as_deref() {
        None | Some(NAME_ID) => name_id.ok_or(SamlError::NameIdMissing)?,
        Some(name) => match values(name).as_slice() {
            [only] => only,
            // None names nobody, and of two nobody can say which.
            _ => return Err(SamlError::SubjectAttribute(name.to_owned())),
        },
    };
    if subject.is_empty() {
        return Err(SamlError::SubjectEmpty);
    }
    if subject.len() > MAX_SUBJECT_BYTES || subject.chars().any(char::is_control) {
        return Err(SamlError::SubjectUnusable { limit: MAX_SUBJECT_BYTES });
    }

    let mut attributes = BTreeMap::new();
    for (ours, theirs) in &map.extra {
        let values: Vec<String> = values(theirs).into_iter().map(str::to_owned).collect();
        if !values.is_empty() {
            attributes.insert(ours.to_string(), values);
        }
    }
    Ok(Person {
        subject: subject.to_owned(),
        email: first(&map.email),
        name: first(&map.name),
        groups: match &map.groups {
            None => Groups::default(),
            Some(source) => groups(source, &values(&source.attribute), sent),
        },
        attributes: Attributes(attributes),
    })
}

/// Everything as it arrived; a name that came in several elements stands here as often.
pub(super) fn received(name_id: Option<&str>, sent: &[Attribute<'_>]) -> Vec<Received> {
    let named = |name: &str, values: Vec<String>| Received { source: Source::Assertion, name: name.to_owned(), values };
    let name_id = name_id.map(|value| named(NAME_ID, vec![value.to_owned()]));
    let attributes = sent.iter().map(|attribute| {
        let name = match attribute.friendly_name {
            Some(friendly) if friendly != attribute.name => format!("{} ({friendly})", attribute.name),
            _ => attribute.name.to_owned(),
        };
        named(&name, attribute.values.iter().map(|value| (*value).to_owned()).collect())
    });
    name_id.into_iter().chain(attributes).collect()
}

fn groups(source: &GroupSource, sent_values: &[&str], sent: &[Attribute<'_>]) -> Groups {
    let mut seen = HashSet::new();
    let mut values = Vec::new();
    let mut add = |value: &str| {
        let value = crate::saml::names::trimmed(value);
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
    for value in sent_values {
        match source.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty()) {
            None => add(value),
            Some(delimiter) => value.split(delimiter).for_each(&mut add),
        }
    }
    if sent.iter().any(|attribute| attribute.name == GROUPS_LINK) {
        let reason = "Entra ID left the groups out and sent a link, as it does for people in more than 150 groups; \
                      send only the groups assigned to the application";
        return Groups::Incomplete { values, reason: reason.to_owned() };
    }
    Groups::Complete { values }
}
