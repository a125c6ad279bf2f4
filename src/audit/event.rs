//! One thing that happened.

use serde_json::{Map, Value};

use crate::identity::SubjectId;

/// What happened. The text form is stable: people write queries and alarms against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    SignInSucceeded,
    SignInRefused,
    SessionEnded,
    LogoutRefused,
    AccessRefused,
    IssueIntended,
    IssueSucceeded,
    IssueFailed,
    IssueDenied,
    ConsoleFailed,
    CatalogApplied,
    KeyCreated,
    KeyRetired,
    MetadataRefreshed,
    ConnectorTested,
    TokenIssued,
    TokenRefused,
    TokenRevoked,
    IssueReused,
    WorkloadAccepted,
}

impl Kind {
    /// The events that tell of the end of somebody's session or token.
    pub const ENDS_ACCESS: [Self; 2] = [Self::SessionEnded, Self::TokenRevoked];

    /// Whether it tells of the end of somebody's session or token.
    #[must_use]
    pub fn ends_access(self) -> bool {
        Self::ENDS_ACCESS.contains(&self)
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignInSucceeded => "sign-in.succeeded",
            Self::SignInRefused => "sign-in.refused",
            Self::SessionEnded => "session.ended",
            Self::LogoutRefused => "logout.refused",
            Self::AccessRefused => "access.refused",
            Self::IssueIntended => "issue.intended",
            Self::IssueSucceeded => "issue.succeeded",
            Self::IssueFailed => "issue.failed",
            Self::IssueDenied => "issue.denied",
            Self::ConsoleFailed => "console.failed",
            Self::CatalogApplied => "catalog.applied",
            Self::KeyCreated => "key.created",
            Self::KeyRetired => "key.retired",
            Self::MetadataRefreshed => "metadata.refreshed",
            Self::ConnectorTested => "connector.tested",
            Self::TokenIssued => "token.issued",
            Self::TokenRefused => "token.refused",
            Self::TokenRevoked => "token.revoked",
            Self::IssueReused => "issue.reused",
            Self::WorkloadAccepted => "workload.accepted",
        }
    }
}

/// One thing that happened, before it has a place in the chain.
///
/// Texts are cut at 1,000 characters, wherever in a value they stand: what a stranger sends may be quoted here, but cannot fill the disk.
#[derive(Debug, Clone)]
pub struct Event {
    pub(crate) kind: Kind,
    pub(crate) subject: Option<String>,
    pub(crate) reference: Option<String>,
    body: Map<String, Value>,
}

const LONGEST_VALUE: usize = 1_000;

impl Event {
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self { kind, subject: None, reference: None, body: Map::new() }
    }

    /// Whom it is about, as `connector:subject`.
    #[must_use]
    pub fn about(mut self, subject: &SubjectId) -> Self {
        self.subject = Some(subject.to_string());
        self
    }

    /// The id that ties events, log lines and pages together: an issue id or a support id.
    #[must_use]
    pub fn reference(mut self, reference: &str) -> Self {
        self.reference = Some(reference.to_owned());
        self
    }

    /// Adds a detail. Never a secret: no token, assertion, cookie or key has business here.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.body.insert(name.to_owned(), cut(value.into()));
        self
    }

    /// Adds a detail where there is one.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Whom it is about, if it tells that a session or a token of theirs ended.
    #[must_use]
    pub fn ends_access_of(&self) -> Option<SubjectId> {
        if self.kind.ends_access() { self.subject.as_deref()?.parse().ok() } else { None }
    }

    /// The details as the JSON text that is stored and hashed.
    #[must_use]
    pub fn body(&self) -> String {
        Value::Object(self.body.clone()).to_string()
    }
}

fn cut(value: Value) -> Value {
    match value {
        Value::String(text) if text.chars().count() > LONGEST_VALUE => {
            Value::String(text.chars().take(LONGEST_VALUE).chain("…".chars()).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(cut).collect()),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, cut(value))).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn long_values_are_cut_wherever_they_stand() {
        let long = "é".repeat(LONGEST_VALUE + 1);
        let event = Event::new(Kind::SignInRefused)
            .with("detail", long.as_str())
            .with("because", json!({ "groups": long.as_str() }))
            .with("files", vec![long.clone()])
            .with("short", "as it was");
        let body: Value = serde_json::from_str(&event.body()).unwrap();
        for value in [&body["detail"], &body["because"]["groups"], &body["files"][0]] {
            let text = value.as_str().unwrap();
            assert!(text.chars().count() == LONGEST_VALUE + 1 && text.ends_with("é…"), "{}", text.len());
        }
        assert_eq!(body["short"], "as it was");
    }
}
