//! IAM policies: reading them as IAM does, and deciding as IAM does.
//!
//! Two kinds are understood: a role's trust policy, and the policy of a session. Both are judged by the same rule:
//! a matching Deny wins wherever it stands, otherwise a matching Allow is needed.
//!
//! Spec: IAM User Guide, "JSON policy element reference" and "Policy evaluation logic".

mod condition;
mod json;
mod parse;
mod pattern;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use condition::Condition;
pub use parse::PolicyError;
use pattern::Template;

/// Which grammar a document must follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind {
    /// A role's trust policy: has principals, has no resources, allows only ways to assume a role.
    Trust,
    /// The policy of a session: has resources, has no principals.
    Session,
}

/// A document that was understood completely; nothing in it is ignored.
#[derive(Debug, Clone)]
pub struct Policy {
    statements: Vec<Statement>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Allow,
    Deny,
}

#[derive(Debug, Clone)]
struct Statement {
    effect: Effect,
    principals: Option<Principals>,
    actions: Actions,
    resources: Option<Resources>,
    conditions: Vec<Condition>,
}

/// `Principal` or, with `inverted`, `NotPrincipal`.
#[derive(Debug, Clone)]
struct Principals {
    inverted: bool,
    everyone: bool,
    federated: Vec<String>,
}

/// `Action` or, with `inverted`, `NotAction`.
#[derive(Debug, Clone)]
struct Actions {
    inverted: bool,
    patterns: Vec<String>,
}

/// `Resource` or, with `inverted`, `NotResource`.
#[derive(Debug, Clone)]
struct Resources {
    inverted: bool,
    patterns: Vec<Template>,
}

/// The value of a condition key in one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextValue {
    One(String),
    Many(Vec<String>),
}

/// What is known about a request, by condition key. Names of keys are compared without regard to case.
#[derive(Debug, Clone, Default)]
pub struct Context(BTreeMap<String, ContextValue>);

impl Context {
    /// Sets a key that has one value.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.0.insert(key.to_ascii_lowercase(), ContextValue::One(value.into()));
    }

    /// Sets a key that has any number of values; an empty list leaves the key absent, which is how IAM sees it.
    pub fn set_many(&mut self, key: &str, values: impl IntoIterator<Item = String>) {
        let values: Vec<String> = values.into_iter().collect();
        if !values.is_empty() {
            self.0.insert(key.to_ascii_lowercase(), ContextValue::Many(values));
        }
    }

    #[must_use]
    pub fn get(&self, key: &str) -> Option<&ContextValue> {
        self.0.get(&key.to_ascii_lowercase())
    }
}

/// One question to a policy.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The ARN of the identity provider that vouches for the caller; asked of trust policies.
    pub federated: Option<&'a str>,
    /// `service:Name`.
    pub action: &'a str,
    /// Asked of session policies; a trust policy is about its own role.
    pub resource: Option<&'a str>,
    pub context: &'a Context,
}

/// What a policy says to a [`Request`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Allow,
    /// No statement speaks of it.
    ImplicitDeny,
    /// A Deny statement matches; nothing can outweigh it.
    ExplicitDeny,
}

impl Policy {
    /// Reads a document.
    ///
    /// # Errors
    /// [`PolicyError`], whose text is what IAM answers with `MalformedPolicyDocument`.
    pub fn parse(kind: PolicyKind, text: &str) -> Result<Self, PolicyError> {
        parse::policy(kind, text)
    }

    /// Decides one request. The order of statements has no influence.
    #[must_use]
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let mut decision = Decision::ImplicitDeny;
        for statement in self.statements.iter().filter(|statement| statement.matches(request)) {
            match statement.effect {
                Effect::Deny => return Decision::ExplicitDeny,
                Effect::Allow => decision = Decision::Allow,
            }
        }
        decision
    }
}

impl Statement {
    fn matches(&self, request: &Request<'_>) -> bool {
        self.principals.as_ref().is_none_or(|principals| principals.matches(request))
            && self.actions.matches(request.action)
            && self.resources.as_ref().is_none_or(|resources| resources.matches(request))
            && self.conditions.iter().all(|condition| condition.holds(request.context))
    }
}

impl Principals {
    fn matches(&self, request: &Request<'_>) -> bool {
        let named =
            self.everyone || request.federated.is_some_and(|provider| self.federated.iter().any(|arn| arn == provider));
        named != self.inverted
    }
}

impl Actions {
    fn matches(&self, action: &str) -> bool {
        let action = action.to_ascii_lowercase();
        self.patterns.iter().any(|pattern| pattern::glob(pattern, &action)) != self.inverted
    }
}

impl Resources {
    fn matches(&self, request: &Request<'_>) -> bool {
        let Some(resource) = request.resource else { return false };
        let named = self.patterns.iter().any(|pattern| {
            pattern.resolve(request.context).is_some_and(|tokens| pattern::arn_matches(&tokens, resource))
        });
        named != self.inverted
    }
}
