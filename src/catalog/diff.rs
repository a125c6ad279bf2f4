//! What a new catalog changes: for people before they apply it, and for the audit log after.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::Catalog;
use crate::aws::ScopeDown;

/// The names of what differs, by section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Diff {
    pub connectors: Changes,
    pub accounts: Changes,
    pub roles: Changes,
    pub rules: Changes,
    pub keys: Changes,
    pub links: Changes,
    /// Whose sessions are limited in another way than before: a sentence for each role and rule.
    pub limits: Vec<String>,
    /// The text for people without a role.
    pub support_changed: bool,
}

/// The names of what differs in one section, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    pub added: Vec<String>,
    pub changed: Vec<String>,
    pub removed: Vec<String>,
}

impl Changes {
    fn between<'c, T: PartialEq + 'c>(
        old: impl Iterator<Item = &'c T>,
        new: impl Iterator<Item = &'c T>,
        name: impl Fn(&T) -> String,
    ) -> Self {
        let mut old: BTreeMap<String, &T> = old.map(|entry| (name(entry), entry)).collect();
        let mut changes = Self::default();
        for entry in new {
            let name = name(entry);
            match old.remove(&name) {
                None => changes.added.push(name),
                Some(before) if before != entry => changes.changed.push(name),
                Some(_) => {}
            }
        }
        changes.removed = old.into_keys().collect();
        changes
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

impl Diff {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The sections with the singular and plural of what is in them.
    fn sections(&self) -> [(&'static str, &'static str, &Changes); 6] {
        [
            ("connector", "connectors", &self.connectors),
            ("account", "accounts", &self.accounts),
            ("role", "roles", &self.roles),
            ("rule", "rules", &self.rules),
            ("key", "keys", &self.keys),
            ("link", "links", &self.links),
        ]
    }
}

/// What applying `new` over `old` changes.
#[must_use]
pub fn diff(old: &Catalog, new: &Catalog) -> Diff {
    Diff {
        connectors: Changes::between(old.connectors(), new.connectors(), |c| c.id.to_string()),
        accounts: Changes::between(old.accounts(), new.accounts(), |a| a.id.to_string()),
        roles: Changes::between(old.roles(), new.roles(), |r| r.id().to_string()),
        rules: Changes::between(old.rules(), new.rules(), |r| r.id.to_string()),
        keys: Changes::between(old.keys(), new.keys(), |k| k.id.to_string()),
        links: Changes::between(old.links(), new.links(), |l| l.id.to_string()),
        limits: limits(old, new),
        support_changed: old.support() != new.support(),
    }
}

fn limits(old: &Catalog, new: &Catalog) -> Vec<String> {
    fn all(catalog: &Catalog) -> BTreeMap<String, &ScopeDown> {
        let roles = catalog.roles().map(|role| (format!("role {}", role.id()), &role.scope_down));
        roles.chain(catalog.rules().map(|rule| (format!("rule {}", rule.id), &rule.scope_down))).collect()
    }
    let (before, after) = (all(old), all(new));
    let words = |scope: &ScopeDown| scope.words().join(", ");
    after
        .iter()
        .filter_map(|(name, scope)| match before.get(name) {
            None if scope.is_empty() => None,
            Some(was) if was == scope => None,
            Some(was) if scope.is_empty() => Some(format!("{name}: no longer {}", words(was))),
            Some(was) if !was.is_empty() => Some(format!("{name}: {}; before, {}", words(scope), words(was))),
            _ => Some(format!("{name}: {}", words(scope))),
        })
        .collect()
}

impl fmt::Display for Diff {
    /// A line per section that changes, then a line per entry: `+` added, `~` changed, `-` removed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no change");
        }
        let mut first = true;
        for (one, many, changes) in self.sections().into_iter().filter(|(_, _, changes)| !changes.is_empty()) {
            let Changes { added, changed, removed } = changes;
            let break_line = if std::mem::take(&mut first) { "" } else { "\n" };
            write!(
                f,
                "{break_line}{many}: {} added, {} changed, {} removed",
                added.len(),
                changed.len(),
                removed.len()
            )?;
            for (sign, names) in [('+', added), ('~', changed), ('-', removed)] {
                for name in names {
                    write!(f, "\n  {sign} {one} {name}")?;
                }
            }
        }
        if !self.limits.is_empty() {
            write!(f, "{}what sessions are limited to:", if first { "" } else { "\n" })?;
            self.limits.iter().try_for_each(|limit| write!(f, "\n  ~ {limit}"))?;
            first = false;
        }
        if self.support_changed {
            write!(f, "{}support: changed", if first { "" } else { "\n" })?;
        }
        Ok(())
    }
}
