//! Authority as a value.

use std::hash::{Hash, Hasher};

use jiff::Timestamp;

use super::means::{Entry, Means};
use crate::aws::{
    FederatedName, Region, RoleArn, ScopeDown, SessionDuration, SessionName, SessionPolicy, Source, SourceIdentity,
};
use crate::identity::SubjectId;

/// One session tag: key at most 128 and value at most 256 characters, checked where the catalog is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionTag {
    pub key: String,
    pub value: String,
    /// Whether it goes along when the session assumes another role.
    pub transitive: bool,
}

/// What a session is limited to beyond its role, and who wants that.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Limit {
    pub from: Source,
    pub scope: ScopeDown,
}

/// A session tag of the role that is not sent for this person.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct OmittedTag {
    pub key: String,
    /// A half-sentence for the operator.
    pub why: &'static str,
}

/// Leave to obtain credentials for one role, once.
///
/// Only `access` makes one, from a decision; issuance takes it by value. It cannot be cloned, stored or read back.
#[derive(Debug)]
#[must_use = "a permit is spent at issuance"]
pub struct Permit(Terms);

/// What a permit allows. By themselves terms give no authority; only `access` can write them down.
#[derive(Debug, Clone)]
pub struct Terms {
    pub(in crate::access) subject: SubjectId,
    pub(in crate::access) role: RoleArn,
    /// How AWS is asked.
    pub(in crate::access) means: Means,
    pub(in crate::access) duration: SessionDuration,
    /// What the duration would be if the session at the identity provider had no end.
    pub(in crate::access) limit: SessionDuration,
    pub(in crate::access) session_name: SessionName,
    pub(in crate::access) source_identity: SourceIdentity,
    pub(in crate::access) federated_name: FederatedName,
    pub(in crate::access) session_tags: Vec<SessionTag>,
    /// What makes the session allow less than its role.
    pub(in crate::access) session_policy: SessionPolicy,
    /// Where that comes from.
    pub(in crate::access) limits: Vec<Limit>,
    /// The id of the rule that granted it.
    pub(in crate::access) rule: String,
    /// Attribute and value that met each of its conditions.
    pub(in crate::access) because: Vec<(String, String)>,
    /// When the session at the identity provider ends, where it says so.
    pub(in crate::access) session_ends: Option<Timestamp>,
    /// Where the catalog wants STS called: the role's region, else the account's.
    pub(in crate::access) region: Option<Region>,
}

impl Permit {
    pub(in crate::access) fn new(terms: Terms) -> Self {
        Self(terms)
    }

    /// A permit nobody decided on, for tests of what comes after the decision.
    #[cfg(test)]
    pub(crate) fn for_tests(
        subject: SubjectId,
        role: &RoleArn,
        duration: SessionDuration,
        session_tags: Vec<SessionTag>,
        session_ends: Option<Timestamp>,
    ) -> Self {
        let provider = "rolegate".parse().expect("a provider name");
        let provider = crate::aws::ProviderArn::new(role.partition(), role.account(), provider);
        Self(Terms {
            means: Means::Federated(super::means::Federation::Saml(provider)),
            role: role.clone(),
            duration,
            limit: duration,
            session_name: SessionName::for_person(&subject.value),
            source_identity: SourceIdentity::for_person(&subject.value),
            federated_name: FederatedName::for_person(&subject.value),
            subject,
            session_tags,
            session_policy: SessionPolicy::default(),
            limits: Vec::new(),
            rule: "test".to_owned(),
            because: Vec::new(),
            session_ends,
            region: None,
        })
    }

    /// As `access` would make it later, when less is left of the session at the identity provider.
    #[cfg(test)]
    pub(crate) fn with_duration(mut self, duration: SessionDuration) -> Self {
        self.0.duration = duration;
        self
    }

    /// The same by other means, and limited by a session policy.
    #[cfg(test)]
    pub(crate) fn by(mut self, means: Means, session_policy: SessionPolicy) -> Self {
        (self.0.means, self.0.session_policy) = (means, session_policy);
        self
    }

    /// What it allows, to be held against the terms of another.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.0
    }

    #[must_use]
    pub fn subject(&self) -> &SubjectId {
        &self.0.subject
    }

    #[must_use]
    pub fn role(&self) -> &RoleArn {
        &self.0.role
    }

    /// How AWS is asked.
    #[must_use]
    pub fn means(&self) -> &Means {
        &self.0.means
    }

    /// The role that our word opens: this one, or the one where the chain to it begins. None where a user's key is used.
    #[must_use]
    pub fn entry(&self) -> Option<Entry> {
        match &self.0.means {
            Means::Federated(by) => Some(Entry {
                by: by.clone(),
                role: self.0.role.clone(),
                region: self.0.region.clone(),
                tags: self.0.session_tags.clone(),
            }),
            Means::Chain { entry, .. } => Some(entry.clone()),
            Means::FederationToken(_) | Means::SessionToken { .. } => None,
        }
    }

    /// How long the credentials may live: everything that limits it is in here already.
    #[must_use]
    pub fn duration(&self) -> SessionDuration {
        self.0.duration
    }

    #[must_use]
    pub fn session_name(&self) -> &SessionName {
        &self.0.session_name
    }

    #[must_use]
    pub fn source_identity(&self) -> &SourceIdentity {
        &self.0.source_identity
    }

    /// What a federated user is called.
    #[must_use]
    pub fn federated_name(&self) -> &FederatedName {
        &self.0.federated_name
    }

    #[must_use]
    pub fn session_tags(&self) -> &[SessionTag] {
        &self.0.session_tags
    }

    /// What makes the session allow less than its role.
    #[must_use]
    pub fn session_policy(&self) -> &SessionPolicy {
        &self.0.session_policy
    }

    /// Where the [session policy](Self::session_policy) comes from.
    #[must_use]
    pub fn limits(&self) -> &[Limit] {
        &self.0.limits
    }

    #[must_use]
    pub fn rule(&self) -> &str {
        &self.0.rule
    }

    /// Where the catalog wants STS called; the partition's region otherwise.
    #[must_use]
    pub fn region(&self) -> Option<&Region> {
        self.0.region.as_ref()
    }

    /// Attribute and value that met each condition of the [rule](Self::rule).
    #[must_use]
    pub fn because(&self) -> &[(String, String)] {
        &self.0.because
    }

    #[must_use]
    pub fn session_ends(&self) -> Option<Timestamp> {
        self.0.session_ends
    }
}

/// Everything in which the terms of two permits may differ.
#[derive(PartialEq, Eq, Hash)]
struct Facts<'t> {
    subject: &'t SubjectId,
    role: &'t RoleArn,
    means: &'t Means,
    limit: SessionDuration,
    session_name: &'t SessionName,
    source_identity: &'t SourceIdentity,
    session_tags: &'t [SessionTag],
    session_policy: &'t SessionPolicy,
    limits: &'t [Limit],
    rule: &'t str,
    because: &'t [(String, String)],
    session_ends: Option<Timestamp>,
    region: Option<&'t Region>,
}

impl Terms {
    /// Taken apart in full, so that a new term has to be thought about here.
    fn facts(&self) -> Facts<'_> {
        let Self {
            subject,
            role,
            means,
            // Where the session at the identity provider ends first, this is less with every second. What it was cut
            // from and where it ends stay the same, and are compared.
            duration: _,
            limit,
            session_name,
            source_identity,
            // Made of what the session name is made of.
            federated_name: _,
            session_tags,
            session_policy,
            limits,
            rule,
            because,
            session_ends,
            region,
        } = self;
        Facts {
            subject,
            role,
            means,
            limit: *limit,
            session_name,
            source_identity,
            session_tags,
            session_policy,
            limits,
            rule,
            because,
            session_ends: *session_ends,
            region: region.as_ref(),
        }
    }

    #[must_use]
    pub fn subject(&self) -> &SubjectId {
        &self.subject
    }

    #[must_use]
    pub fn role(&self) -> &RoleArn {
        &self.role
    }

    /// How AWS was asked.
    #[must_use]
    pub fn means(&self) -> &Means {
        &self.means
    }

    /// The id of the rule that granted it.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// Attribute and value that met each condition of the [rule](Self::rule).
    #[must_use]
    pub fn because(&self) -> &[(String, String)] {
        &self.because
    }
}

/// Two are equal if whatever one allows the other allows too, credentials issued earlier included.
impl PartialEq for Terms {
    fn eq(&self, other: &Self) -> bool {
        self.facts() == other.facts()
    }
}

impl Eq for Terms {}

impl Hash for Terms {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.facts().hash(state);
    }
}
