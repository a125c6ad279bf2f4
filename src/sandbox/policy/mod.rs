//! IAM policies: reading them as IAM does, and deciding as IAM does.
//!
//! One document at a time: a matching Deny wins wherever it stands, otherwise a matching Allow is needed. How the policies
//! of a role, a session and a caller come together is told in [`authorize`](super::authorize).
//!
//! Spec: IAM User Guide, "JSON policy element reference" and "Policy evaluation logic".

mod condition;
mod explain;
mod json;
mod parse;
mod pattern;
mod principal;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

use std::collections::BTreeMap;

pub use condition::Condition;
pub use explain::{Miss, NearMiss};
pub use parse::PolicyError;
use pattern::Template;
pub use principal::{Identity, Named, Principal, UserName};

use crate::aws::Partition;

/// Which grammar a document must follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind {
    /// A role's trust policy: has principals, has no resources, allows only ways to assume a role.
    Trust,
    /// A policy of a user or role, or a permissions boundary: has resources, has no principals.
    Identity,
    /// The policy of a session: as [`Identity`](Self::Identity).
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
    sid: Option<String>,
    effect: Effect,
    principals: Option<Principals>,
    actions: Actions,
    resources: Option<Resources>,
    conditions: Vec<Condition>,
    /// The statement as it was written, for whoever asks what decided.
    source: json::Json,
}

/// `Principal` or, with `inverted`, `NotPrincipal`.
#[derive(Debug, Clone)]
struct Principals {
    inverted: bool,
    patterns: Vec<principal::Pattern>,
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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

    /// The value of a key that has one.
    #[must_use]
    pub fn one(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(ContextValue::One(value)) => Some(value),
            Some(ContextValue::Many(_)) | None => None,
        }
    }

    /// Takes over what `other` says, which wins where both say something.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// All keys, in lower case, and their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ContextValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }
}

/// One question to a policy.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who asks. Trust policies name them; the others belong to them and do not look.
    pub principal: &'a Principal,
    /// `service:Name`.
    pub action: &'a str,
    /// Asked of identity and session policies; a trust policy is about its own role.
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

/// A statement of one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementRef {
    /// Where it stands, from 0.
    pub index: usize,
    pub sid: Option<String>,
}

/// A [`Decision`], and the statement that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub decision: Decision,
    /// The first Deny that matches, else the first Allow that does (of a trust policy: the one that names the principal
    /// most closely); `None` when no statement spoke.
    pub by: Option<StatementRef>,
    /// How an allowing statement of a trust policy names the principal. `None` unless a trust policy allows.
    pub named: Option<Named>,
}

impl Policy {
    /// Reads a document.
    ///
    /// # Errors
    /// [`PolicyError`], whose text is what IAM answers with `MalformedPolicyDocument`.
    pub fn parse(kind: PolicyKind, text: &str) -> Result<Self, PolicyError> {
        parse::policy(kind, text)
    }

    /// Ties the users and roles a trust policy names to their unique ids, as IAM does when it stores one: whoever gets
    /// the name later is not meant. `find` tells the id for an ARN.
    ///
    /// # Errors
    /// [`PolicyError::InvalidPrincipal`] names the user or role that does not exist, or the principal of another
    /// partition than `partition`.
    pub fn bind(
        &mut self,
        partition: Partition,
        find: impl Fn(Identity, &str) -> Option<String>,
    ) -> Result<(), PolicyError> {
        let patterns = self.statements.iter_mut().filter_map(|statement| statement.principals.as_mut());
        for pattern in patterns.flat_map(|principals| &mut principals.patterns) {
            let in_partition = |arn: &str| arn.split(':').nth(1).is_none_or(|other| other == partition.id());
            let (kind, value) = match pattern {
                principal::Pattern::Bound { arn, kind, id } => {
                    *id = find(*kind, arn);
                    if id.is_some() && in_partition(arn) {
                        continue;
                    }
                    ("AWS", arn.clone())
                }
                principal::Pattern::Arn(arn) if !in_partition(arn) => ("AWS", arn.clone()),
                principal::Pattern::Provider(arn) if !in_partition(arn) => ("FEDERATED", arn.clone()),
                principal::Pattern::Account(account, Some(other)) if *other != partition => {
                    ("AWS", format!("arn:{other}:iam::{account}:root"))
                }
                principal::Pattern::Everyone
                | principal::Pattern::Account(..)
                | principal::Pattern::Arn(_)
                | principal::Pattern::Provider(_)
                | principal::Pattern::Nobody(_) => continue,
            };
            return Err(PolicyError::InvalidPrincipal { kind: kind.to_owned(), value });
        }
        Ok(())
    }

    /// The users and roles a trust policy is bound to: kind, ARN as it was written, unique id.
    #[must_use]
    pub fn bound(&self) -> Vec<(Identity, &str, &str)> {
        let patterns = self.statements.iter().filter_map(|statement| statement.principals.as_ref());
        patterns
            .flat_map(|principals| &principals.patterns)
            .filter_map(|pattern| match pattern {
                principal::Pattern::Bound { arn, kind, id: Some(id) } => Some((*kind, arn.as_str(), id.as_str())),
                _ => None,
            })
            .collect()
    }

    /// Decides one request. The order of statements has no influence on the decision.
    #[must_use]
    pub fn decide(&self, request: &Request<'_>) -> Verdict {
        let mut allowed: Option<(usize, Option<Named>)> = None;
        for (index, statement) in self.statements.iter().enumerate() {
            let Some(named) = statement.matches(request) else { continue };
            match statement.effect {
                Effect::Deny => {
                    return Verdict {
                        decision: Decision::ExplicitDeny,
                        by: Some(self.statement_ref(index)),
                        named: None,
                    };
                }
                Effect::Allow if allowed.is_none_or(|(_, known)| known < named) => allowed = Some((index, named)),
                Effect::Allow => {}
            }
        }
        match allowed {
            Some((index, named)) => Verdict { decision: Decision::Allow, by: Some(self.statement_ref(index)), named },
            None => Verdict { decision: Decision::ImplicitDeny, by: None, named: None },
        }
    }

    fn statement_ref(&self, index: usize) -> StatementRef {
        StatementRef { index, sid: self.statements[index].sid.clone() }
    }

    /// How many statements there are; references count below this.
    #[must_use]
    pub fn len(&self) -> usize {
        self.statements.len()
    }

    /// Never: a document has a statement.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }
}

impl Statement {
    /// `None` when it does not speak of the request; otherwise how a trust policy's statement names the principal.
    fn matches(&self, request: &Request<'_>) -> Option<Option<Named>> {
        let named = match &self.principals {
            None => None,
            Some(principals) => Some(principals.matches(request.principal, self.effect)?),
        };
        (self.actions.matches(request.action)
            && self.resources.as_ref().is_none_or(|resources| resources.matches(request, self.effect))
            && self.conditions.iter().all(|condition| condition.holds(request.context)))
        .then_some(named)
    }
}

impl Principals {
    /// How the principal is named, if it is.
    ///
    /// `NotPrincipal` with Deny spares only whoever is listed together with their account, as AWS says; with Allow it
    /// leaves out everybody who is listed in any way. Where the two readings differ, less is allowed.
    fn matches(&self, principal: &Principal, effect: Effect) -> Option<Named> {
        let named = self.patterns.iter().filter_map(|pattern| pattern.names(principal)).max();
        if !self.inverted {
            return named;
        }
        let spared = match (effect, principal) {
            (Effect::Allow, _) => named.is_some(),
            (Effect::Deny, Principal::User { .. } | Principal::Session { .. } | Principal::FederatedUser { .. }) => {
                named == Some(Named::Exactly) && self.patterns.iter().any(|pattern| pattern.lists_account_of(principal))
            }
            (
                Effect::Deny,
                Principal::Root { .. } | Principal::SamlProvider(_) | Principal::OidcProvider(_) | Principal::Anonymous,
            ) => named.is_some(),
        };
        (!spared).then_some(Named::Everyone)
    }
}

impl Actions {
    fn matches(&self, action: &str) -> bool {
        let action = action.to_ascii_lowercase();
        self.patterns.iter().any(|pattern| pattern::glob(pattern, &action)) != self.inverted
    }
}

impl Resources {
    /// A pattern with a variable that has no value names nothing. Under `NotResource` that would mean everything: then
    /// only a Deny takes it so.
    fn matches(&self, request: &Request<'_>, effect: Effect) -> bool {
        let Some(resource) = request.resource else { return false };
        let resolved: Vec<_> = self.patterns.iter().map(|pattern| pattern.resolve(request.context)).collect();
        if self.inverted && effect == Effect::Allow && resolved.iter().any(Option::is_none) {
            return false;
        }
        let named = resolved.iter().flatten().any(|tokens| pattern::arn_matches(tokens, resource));
        named != self.inverted
    }
}
