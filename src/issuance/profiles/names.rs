//! What profiles are called.

use std::collections::HashMap;
use std::str::FromStr;

use openssl::sha::sha256;

use super::Place;

/// How profiles are called: text with placeholders, such as `{account_name}-{role}`.
///
/// Whatever comes of it is made fit for a profile's name, which needs no quoting anywhere: letters, digits and `._@+-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Account,
    AccountName,
    Role,
    AccountTag(String),
}

/// The text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    #[error("a template has 1 to {} characters", NameTemplate::LONGEST)]
    Length,
    #[error("there is no `{{{0}}}`; use {{account}}, {{account_name}}, {{role}} or {{account_tags.NAME}}")]
    Unknown(String),
    #[error("a `{{` or `}}` has no partner")]
    Braces,
    #[error("a template needs a placeholder, or all profiles would be called the same")]
    NoPlaceholder,
}

impl NameTemplate {
    const LONGEST: usize = 200;

    /// The template as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn fill(&self, place: &Place<'_>) -> String {
        let account = &place.account;
        let mut name = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Account => name.push_str(account.id.as_str()),
                Part::AccountName => {
                    // A name for people; typed in a terminal it is better in lower case.
                    let fit = fit(&account.name.to_lowercase());
                    name.push_str(if fit.is_empty() { account.id.as_str() } else { &fit });
                }
                Part::Role => name.push_str(place.role.name.name()),
                Part::AccountTag(key) => name.push_str(account.tags.get(key).map_or("", String::as_str)),
            }
        }
        fit(&name)
    }
}

impl Default for NameTemplate {
    fn default() -> Self {
        let parts = vec![Part::AccountName, Part::Text("-".to_owned()), Part::Role];
        Self { text: "{account_name}-{role}".to_owned(), parts }
    }
}

impl FromStr for NameTemplate {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.chars().count() > Self::LONGEST {
            return Err(InvalidTemplate::Length);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (inside, behind) = after.split_once('}').ok_or(InvalidTemplate::Braces)?;
            if before.contains('}') || inside.contains('{') {
                return Err(InvalidTemplate::Braces);
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(match inside {
                "account" => Part::Account,
                "account_name" => Part::AccountName,
                "role" => Part::Role,
                other => match other.strip_prefix("account_tags.") {
                    Some(key) if !key.is_empty() => Part::AccountTag(key.to_owned()),
                    _ => return Err(InvalidTemplate::Unknown(other.to_owned())),
                },
            });
            rest = behind;
        }
        if rest.contains('}') {
            return Err(InvalidTemplate::Braces);
        }
        if parts.iter().all(|part| matches!(part, Part::Text(_))) {
            return Err(InvalidTemplate::NoPlaceholder);
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { text: text.to_owned(), parts })
    }
}

/// A text in the characters of a profile's name. What was not among them is one dash, and none at the ends.
fn fit(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for c in text.chars() {
        let c = if c.is_ascii_alphanumeric() || "._@+".contains(c) { c } else { '-' };
        if c != '-' || !(name.is_empty() || name.ends_with('-')) {
            name.push(c);
        }
    }
    name.truncate(name.trim_end_matches('-').len());
    name
}

/// The names of the profiles, in the order of the roles, no two the same.
///
/// Where several would be called the same, none of them is: each gets its account's id behind the name, and where that is
/// not enough a few characters that belong to the role. If one kept the plain name, a role that is granted next year could
/// take it over, and a script with that name in it would work in another account. So names are to be made of *all* the
/// roles somebody has, before a filter.
#[must_use]
pub fn names(template: &NameTemplate, places: &[Place<'_>]) -> Vec<String> {
    let plain: Vec<String> = places.iter().map(|place| template.fill(place)).collect();
    let mut names = plain.clone();
    for suffix in [Suffix::Account, Suffix::Digest] {
        let mut uses: HashMap<&str, usize> = HashMap::new();
        for name in &names {
            *uses.entry(name).or_default() += 1;
        }
        // `[profile default]` is what tools use without being told to, which nobody asked us to decide.
        let taken: Vec<bool> =
            names.iter().map(|name| uses[name.as_str()] > 1 || name.is_empty() || name == "default").collect();
        for (at, place) in places.iter().enumerate().filter(|(at, _)| taken[*at]) {
            names[at] = fit(&format!("{}-{}", plain[at], suffix.of(place)));
        }
    }
    names
}

enum Suffix {
    Account,
    Digest,
}

impl Suffix {
    fn of(&self, place: &Place<'_>) -> String {
        let account = place.account.id;
        match self {
            Self::Account => account.to_string(),
            Self::Digest => {
                let digest = sha256(place.role.id().to_string().as_bytes());
                let few: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
                format!("{account}-{few}")
            }
        }
    }
}
