//! Why statements did not speak of a request, for people who wonder.

use super::json::Json;
use super::{ContextValue, Decision, Effect, Policy, Request, StatementRef};

/// A statement that would have decided otherwise, and what kept it from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearMiss {
    pub statement: StatementRef,
    pub because: Vec<Miss>,
}

/// One thing about a request that a statement does not match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Miss {
    Principal,
    Action,
    Resource,
    /// A condition; `found` is what the request has for the key.
    Condition {
        operator: String,
        key: String,
        wanted: Vec<String>,
        found: Option<ContextValue>,
    },
}

impl Policy {
    /// The allowing statements that do not match, those that are nearest first. Statements about other actions are left
    /// out: nobody would expect them to match.
    #[must_use]
    pub fn near_misses(&self, request: &Request<'_>) -> Vec<NearMiss> {
        let mut misses: Vec<NearMiss> = self
            .statements
            .iter()
            .enumerate()
            .filter(|(_, statement)| statement.effect == Effect::Allow && statement.actions.matches(request.action))
            .filter_map(|(index, statement)| {
                let mut because = Vec::new();
                if statement
                    .principals
                    .as_ref()
                    .is_some_and(|principals| principals.matches(request.principal, statement.effect).is_none())
                {
                    because.push(Miss::Principal);
                }
                if statement.resources.as_ref().is_some_and(|resources| !resources.matches(request, statement.effect)) {
                    because.push(Miss::Resource);
                }
                because.extend(statement.conditions.iter().filter(|condition| !condition.holds(request.context)).map(
                    |condition| Miss::Condition {
                        operator: condition.operator().to_owned(),
                        key: condition.key().to_owned(),
                        wanted: condition.wanted().to_vec(),
                        found: request.context.get(condition.key()).cloned(),
                    },
                ));
                (!because.is_empty()).then(|| NearMiss { statement: self.statement_ref(index), because })
            })
            .collect();
        misses.sort_by_key(|miss| (miss.because.len(), miss.statement.index));
        misses
    }

    /// A statement as JSON in one line.
    #[must_use]
    pub fn statement_text(&self, index: usize) -> String {
        self.statements.get(index).map(|statement| statement.source.to_string()).unwrap_or_default()
    }

    /// What a statement does when it matches.
    #[must_use]
    pub fn effect(&self, index: usize) -> Option<Effect> {
        self.statements.get(index).map(|statement| statement.effect)
    }

    /// Conditions that can never do what their author meant: a key with several values under an operator for one.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (index, statement) in self.statements.iter().enumerate() {
            for condition in &statement.conditions {
                if !condition.is_for_sets() && is_multivalued(condition.key()) {
                    let (operator, key) = (condition.operator(), condition.key());
                    warnings.push(format!(
                        "statement {index}: `{key}` has several values; `{operator}` never matches it without \
                         ForAnyValue: or ForAllValues:"
                    ));
                }
                if condition.is_vacuous_allow() && statement.effect == Effect::Allow {
                    let key = condition.key();
                    let checked = statement.conditions.iter().any(|other| other.requires(key));
                    if !checked {
                        warnings.push(format!(
                            "statement {index}: ForAllValues also holds when `{key}` is absent; add \
                             \"Null\": {{\"{key}\": \"false\"}} if it must be there"
                        ));
                    }
                }
            }
        }
        warnings
    }
}

/// Keys that AWS fills with lists.
fn is_multivalued(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    matches!(key.as_str(), "aws:tagkeys" | "sts:transitivetagkeys" | "aws:principalorgpaths") || key.ends_with(":amr")
}

impl Decision {
    /// Whether it is [`Allow`](Self::Allow).
    #[must_use]
    pub fn is_allow(self) -> bool {
        self == Self::Allow
    }
}

impl std::fmt::Display for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(text) => f.write_str(text),
            Self::Text(text) => f.write_str(&serde_json::Value::from(text.as_str()).to_string()),
            Self::List(list) => {
                f.write_str("[")?;
                for (index, item) in list.iter().enumerate() {
                    if index > 0 {
                        f.write_str(",")?;
                    }
                    write!(f, "{item}")?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        f.write_str(",")?;
                    }
                    write!(f, "{}:{value}", serde_json::Value::from(name.as_str()))?;
                }
                f.write_str("}")
            }
        }
    }
}
