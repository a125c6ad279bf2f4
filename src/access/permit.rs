//! Authority as a value.

use jiff::Timestamp;

use crate::aws::{ProviderArn, Region, RoleArn, SessionDuration, SessionName, SessionPolicy, SourceIdentity};
use crate::identity::SubjectId;

/// One session tag: key at most 128 and value at most 256 characters, checked where the catalog is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionTag {
    pub key: String,
    pub value: String,
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

/// What a permit allows. Private to `access`, so that nobody else can write one down.
#[derive(Debug)]
pub(in crate::access) struct Terms {
    pub subject: SubjectId,
    pub role: RoleArn,
    pub provider: ProviderArn,
    pub duration: SessionDuration,
    pub session_name: SessionName,
    pub source_identity: SourceIdentity,
    pub session_tags: Vec<SessionTag>,
    /// What makes the session allow less than its role.
    pub session_policy: SessionPolicy,
    /// The id of the rule that granted it.
    pub rule: String,
    /// Attribute and value that met each of its conditions.
    pub because: Vec<(String, String)>,
    /// When the session at the identity provider ends, where it says so.
    pub session_ends: Option<Timestamp>,
    /// Where the catalog wants STS called: the role's region, else the account's.
    pub region: Option<Region>,
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
        Self(Terms {
            provider: ProviderArn::new(role.partition(), role.account(), provider),
            role: role.clone(),
            duration,
            session_name: SessionName::for_person(&subject.value),
            source_identity: SourceIdentity::for_person(&subject.value),
            subject,
            session_tags,
            session_policy: SessionPolicy::default(),
            rule: "test".to_owned(),
            because: Vec::new(),
            session_ends,
            region: None,
        })
    }

    #[must_use]
    pub fn subject(&self) -> &SubjectId {
        &self.0.subject
    }

    #[must_use]
    pub fn role(&self) -> &RoleArn {
        &self.0.role
    }

    #[must_use]
    pub fn provider(&self) -> &ProviderArn {
        &self.0.provider
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

    #[must_use]
    pub fn session_tags(&self) -> &[SessionTag] {
        &self.0.session_tags
    }

    /// What makes the session allow less than its role.
    #[must_use]
    pub fn session_policy(&self) -> &SessionPolicy {
        &self.0.session_policy
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
