//! Finding roles by what was typed, the same on the page and for programs.

use super::words;
use crate::access::RoleAccess;

/// What was typed into a filter: words, each of which must be somewhere, in any case.
#[derive(Debug, Clone, Default)]
pub struct Search(Vec<String>);

impl Search {
    /// More than anybody types.
    pub const LONGEST: usize = 200;

    #[must_use]
    pub fn new(typed: &str) -> Self {
        Self(typed.split_whitespace().map(str::to_lowercase).collect())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether each word is in the role's own text or in its account's; both in lower case.
    #[must_use]
    pub fn finds(&self, role: &str, account: &str) -> bool {
        self.0.iter().all(|word| role.contains(word.as_str()) || account.contains(word.as_str()))
    }

    /// Whether it finds a role somebody may use.
    #[must_use]
    pub fn finds_access(&self, access: &RoleAccess<'_>) -> bool {
        if self.is_empty() {
            return true;
        }
        let (role, account) = (access.role(), access.account());
        let asks = access.demand().map(words::asked_briefly).unwrap_or_default();
        let reached = words::reached_briefly(&role.method);
        let description = role.description.as_deref().unwrap_or_default();
        let tags = account.tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        self.finds(
            &role_text(role.name.as_str(), description, asks, reached),
            &account_text(&account.name, account.id.as_str(), tags),
        )
    }
}

/// What a role is found by, in lower case.
#[must_use]
pub fn role_text(name: &str, description: &str, asks: &str, reached: &str) -> String {
    format!("{name} {description} {asks} {reached}").to_lowercase()
}

/// What an account is found by, in lower case: tags as `key=value`.
#[must_use]
pub fn account_text<'a>(name: &str, id: &str, tags: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = format!("{name} {id}");
    for (key, value) in tags {
        text.extend([" ", key, "=", value]);
    }
    text.to_lowercase()
}
