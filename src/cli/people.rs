//! Naming people on the command line, and printing what others chose.

use std::collections::BTreeSet;

use crate::identity::{PersonId, VerifiedIdentity};

/// Why it is not clear who is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PersonError {
    #[error("`{0}` names nobody; write connector:subject, link:ID:value or an e-mail address")]
    Nobody(String),
    #[error("`{address}` is the address of several people: {}; name the one you mean", people.join(", "))]
    Several { address: String, people: Vec<String> },
}

/// Who does this here, as far as the system says; whoever can write the database could write anything.
pub(super) fn by() -> String {
    let names = ["SUDO_USER", "USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    let name = names.into_iter().find(|name| !name.is_empty());
    name.map_or_else(|| "command line".to_owned(), |name| format!("command line: {}", printable(&name)))
}

/// As whom the one that a text names is known; nobody when they are not.
///
/// A subject of one connector stands for the person the catalog links it to. That can be several, if the catalog or what
/// it links by changed in the meantime: each session and token keeps the person it began with.
pub(super) fn who(text: &str, known: &[&VerifiedIdentity]) -> Result<BTreeSet<PersonId>, PersonError> {
    if let Ok(named) = text.parse::<PersonId>() {
        let is_named =
            |identity: &&&VerifiedIdentity| identity.person() == named || identity.subject.to_string() == text;
        let found: BTreeSet<PersonId> = known.iter().filter(is_named).map(|identity| identity.person()).collect();
        return Ok(if found.is_empty() { BTreeSet::from([named]) } else { found });
    }
    if !text.contains('@') {
        return Err(PersonError::Nobody(text.to_owned()));
    }
    let has_address =
        |identity: &&&VerifiedIdentity| identity.email.as_ref().is_some_and(|email| email.eq_ignore_ascii_case(text));
    let people: BTreeSet<PersonId> = known.iter().filter(has_address).map(|identity| identity.person()).collect();
    if people.len() > 1 {
        let people = people.iter().map(|person| printable(&person.to_string())).collect();
        return Err(PersonError::Several { address: text.to_owned(), people });
    }
    Ok(people)
}

/// Columns parted by two spaces; the first row is the heading.
pub(super) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// A text that others chose, without what a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Attributes, Authentication, Groups, LinkedAs, NameIdQualifiers, SubjectId};

    fn identity(subject: &str, email: &str, link: Option<&str>) -> VerifiedIdentity {
        let (connector, value) = subject.split_once(':').unwrap();
        VerifiedIdentity {
            subject: SubjectId { connector: connector.parse().unwrap(), value: value.into() },
            asserted: None,
            link: link.map(|value| LinkedAs { link: "staff".into(), value: value.into() }),
            qualifiers: NameIdQualifiers::default(),
            name: None,
            email: Some(email.into()),
            groups: Groups::default(),
            attributes: Attributes::default(),
            authentication: Authentication::default(),
        }
    }

    fn named(text: &str, known: &[VerifiedIdentity]) -> Result<Vec<String>, PersonError> {
        let known: Vec<&VerifiedIdentity> = known.iter().collect();
        who(text, &known).map(|people| people.iter().map(PersonId::to_string).collect())
    }

    #[test]
    fn a_person_is_named_by_subject_by_link_or_by_an_address_that_is_theirs_alone() {
        let known = [
            identity("okta:00u1", "asha@corp.example", Some("4711")),
            identity("entra:abc", "asha@corp.example", Some("4711")),
            identity("okta:00u2", "kim@corp.example", None),
            identity("entra:def", "kim@corp.example", None),
        ];
        let is = |text: &str, person: &str| assert_eq!(named(text, &known), Ok(vec![person.to_owned()]), "{text}");
        is("okta:00u1", "link:staff:4711");
        is("entra:abc", "link:staff:4711");
        is("link:staff:4711", "link:staff:4711");
        is("Asha@Corp.example", "link:staff:4711");
        is("okta:00u2", "okta:00u2");
        is("okta:nobody-yet", "okta:nobody-yet");
        is("okta:kim@corp.example", "okta:kim@corp.example");
        assert_eq!(named("omar@corp.example", &known), Ok(Vec::new()));
        let several = vec!["entra:def".to_owned(), "okta:00u2".to_owned()];
        let address = "kim@corp.example".to_owned();
        assert_eq!(named("kim@corp.example", &known), Err(PersonError::Several { address, people: several }));
        for nobody in ["asha", "", "Not An Id:x"] {
            assert_eq!(named(nobody, &known), Err(PersonError::Nobody(nobody.to_owned())));
        }
    }

    #[test]
    fn a_subject_stands_for_every_person_it_has_been() {
        let known = [
            identity("okta:00u1", "asha@corp.example", Some("4711")),
            identity("okta:00u1", "asha@corp.example", None),
            identity("okta:00u1", "asha@corp.example", Some("4712")),
            identity("okta:00u2", "kim@corp.example", None),
        ];
        let all = ["link:staff:4711", "link:staff:4712", "okta:00u1"].map(str::to_owned);
        assert_eq!(named("okta:00u1", &known), Ok(all.to_vec()));

        // A connector may be called like this, and a subject may have a colon.
        let known = [identity("link:staff:4711", "asha@corp.example", None)];
        assert_eq!(who("link:staff:4711", &[&known[0]]), Ok(BTreeSet::from([known[0].person()])));
    }
}
