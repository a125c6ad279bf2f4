//! An operator tries a connector out: what arrives is verified as always, and ends in a report instead of a session.
//!
//! The command line keeps a *test* in the database and prints an address of the running broker that holds its code.
//! Whoever opens it is sent to the identity provider; attempt and ticket carry the mark of the test, so neither can
//! become a session and no other attempt can become a test. What came of it is sealed and read once, by whoever has the
//! code. Values that look like secrets are [masked](mask) before anything is kept.

pub mod mask;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Ground;
use super::current::Loaded;
use crate::access::explain;
use crate::catalog::{Connector, ConnectorKind};
use crate::identity::{ConnectorId, Groups, VerifiedIdentity};
use crate::signin::{Received, Source};
use crate::store::test_sign_in::{Progress, end_test};
use crate::store::{StoreError, Tx};
use crate::sys::{Token, TokenHash};
use mask::{Shown, plain, shown};

/// How long a test waits, and its report.
pub const LASTING: SignedDuration = SignedDuration::from_mins(10);

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestReport {
    pub connector: ConnectorId,
    pub at: Timestamp,
    #[serde(flatten)]
    pub outcome: TestOutcome,
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum TestOutcome {
    /// This person would have been signed in.
    Verified(Box<Seen>),
    /// Cause and detail as the audit log has them.
    Refused { cause: String, detail: String },
}

/// What arrived, and what it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub received: Vec<Arrived>,
    /// Why userinfo could not be had, where nothing was missing without it.
    pub userinfo_failure: Option<String>,
    pub mapped: Mapped,
    pub authentication: Recognised,
    /// What the catalog maps and nobody sent, in sentences.
    pub missing: Vec<String>,
    pub access: Gives,
}

/// One attribute or claim, masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    pub source: Source,
    pub name: String,
    #[serde(flatten)]
    pub values: Shown,
}

/// The person as we know people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapped {
    pub subject: String,
    /// The NameID or `sub` as signed, where the subject was read from something else.
    pub asserted: Option<String>,
    /// The person across connectors, where a link joins them.
    pub linked: Option<String>,
    pub email: Option<String>,
    /// Why the address is believed.
    pub email_believed: Option<String>,
    pub name: Option<String>,
    pub groups: Shown,
    /// Why some groups may be missing.
    pub groups_incomplete: Option<String>,
    pub attributes: BTreeMap<String, Shown>,
}

/// How and when the provider recognised the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recognised {
    pub instant: Option<Timestamp>,
    pub context: Option<String>,
    pub methods: Vec<String>,
    pub session_index: Option<String>,
    pub session_ends: Option<Timestamp>,
}

/// What the rules give this person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gives {
    /// The rules that match.
    pub rules: Vec<String>,
    pub roles: usize,
    /// Why nothing may be used whatever the rules say.
    pub refused: Option<String>,
}

/// Begins tests and hands out their reports.
#[derive(Debug, Clone)]
pub struct TestSignIn {
    ground: Ground,
}

/// How far a test has come.
#[derive(Debug)]
pub enum Standing {
    /// Nobody has opened the address.
    Waiting,
    /// Somebody is at the identity provider.
    Started,
    /// It is over; the report is handed out this once.
    Ended(Box<TestReport>),
    /// There is no such test: withdrawn, over, or its report was read.
    Gone,
}

impl TestSignIn {
    #[must_use]
    pub fn new(ground: Ground) -> Self {
        Self { ground }
    }

    /// Makes a test for a connector. Whoever has the code can take it up once and read its report once.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn begin(&self, connector: &ConnectorId) -> Result<Token, StoreError> {
        let code = Token::generate(&*self.ground.rng);
        self.ground.store.add_test(&code.hash(), connector, over(self.ground.clock.now())).await?;
        Ok(code)
    }

    /// How far it is.
    ///
    /// # Errors
    /// The database refuses, or holds a report that cannot be opened.
    pub async fn standing(&self, code: &Token) -> Result<Standing, StoreError> {
        match self.ground.store.test_progress(&code.hash()).await? {
            None => Ok(Standing::Gone),
            Some(Progress::Waiting) => Ok(Standing::Waiting),
            Some(Progress::Started) => Ok(Standing::Started),
            Some(Progress::Ended) => {
                let Some(sealed) = self.ground.store.take_test(&code.hash()).await? else { return Ok(Standing::Gone) };
                let text = self.ground.sealing.open(&report_place(&code.hash()), &sealed)?;
                let report = serde_json::from_slice(&text).map_err(|error| nonsense(&error))?;
                Ok(Standing::Ended(Box::new(report)))
            }
        }
    }

    /// Nobody waits any more: the address stops working.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn withdraw(&self, code: &Token) -> Result<(), StoreError> {
        self.ground.store.take_test(&code.hash()).await.map(|_| ())
    }
}

fn over(now: Timestamp) -> Timestamp {
    now.checked_add(LASTING).unwrap_or(Timestamp::MAX)
}

fn nonsense(error: &serde_json::Error) -> StoreError {
    StoreError::Nonsense { table: "test_sign_in", detail: error.to_string() }
}

fn place(code: &TokenHash, what: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::from("test_sign_in:");
    for byte in code {
        let _ = write!(text, "{byte:02x}");
    }
    text.push(':');
    text.push_str(what);
    text
}

fn report_place(code: &TokenHash) -> String {
    place(code, "report")
}

fn received_place(code: &TokenHash) -> String {
    place(code, "received")
}

/// What arrived, on its way from the reply to the report.
#[derive(Serialize, Deserialize)]
struct Kept {
    received: Vec<Arrived>,
    userinfo_failure: Option<String>,
    /// Whether a claim said that the address is checked.
    email_verified: bool,
}

/// Masks what arrived and seals it for the ticket.
pub(super) fn keep(
    ground: &Ground,
    code: &TokenHash,
    received: &[Received],
    userinfo_failure: Option<&str>,
) -> Vec<u8> {
    let yes = |one: &Received| one.name == "email_verified" && one.values == ["true"];
    let kept = Kept {
        received: received
            .iter()
            .map(|one| Arrived {
                source: one.source,
                name: plain(&one.name),
                values: shown(&one.name, one.values.iter().map(String::as_str)),
            })
            .collect(),
        userinfo_failure: userinfo_failure.map(plain),
        email_verified: received.iter().any(yes),
    };
    let text = serde_json::to_vec(&kept).expect("our own types serialise");
    ground.sealing.seal(&received_place(code), &text, &*ground.rng)
}

/// Writes down in the caller's transaction who would have been signed in.
///
/// # Errors
/// The database refuses, or what was kept cannot be opened.
pub(super) async fn verified(
    ground: &Ground,
    tx: &mut Tx,
    code: &TokenHash,
    sealed_received: &[u8],
    connector: &Connector,
    loaded: &Loaded,
    identity: &VerifiedIdentity,
) -> Result<Gives, StoreError> {
    let kept = ground.sealing.open(&received_place(code), sealed_received)?;
    let kept: Kept = serde_json::from_slice(&kept).map_err(|error| nonsense(&error))?;
    let seen = seen(connector, loaded, identity, kept);
    let gives = seen.access.clone();
    end(ground, tx, code, &connector.id, TestOutcome::Verified(Box::new(seen))).await?;
    Ok(gives)
}

/// Writes down that a test ended in a refusal, with the cause and detail that the audit log has.
///
/// # Errors
/// The database refuses.
pub(super) async fn refused(
    ground: &Ground,
    tx: &mut Tx,
    code: &TokenHash,
    connector: &ConnectorId,
    cause: &str,
    detail: &str,
) -> Result<(), StoreError> {
    let outcome = TestOutcome::Refused { cause: cause.to_owned(), detail: plain(detail) };
    end(ground, tx, code, connector, outcome).await
}

/// As [`refused`], in a transaction of its own.
///
/// # Errors
/// The database refuses.
pub(super) async fn refused_alone(
    ground: &Ground,
    code: Option<&TokenHash>,
    connector: &ConnectorId,
    cause: &str,
    detail: &str,
) -> Result<(), StoreError> {
    let Some(code) = code else { return Ok(()) };
    let mut tx = ground.store.begin().await?;
    refused(ground, &mut tx, code, connector, cause, detail).await?;
    Ok(tx.commit().await?)
}

async fn end(
    ground: &Ground,
    tx: &mut Tx,
    code: &TokenHash,
    connector: &ConnectorId,
    outcome: TestOutcome,
) -> Result<(), StoreError> {
    let report = TestReport { connector: connector.clone(), at: ground.clock.now(), outcome };
    let text = serde_json::to_vec(&report).expect("our own types serialise");
    end_test(tx, code, &ground.sealing.seal(&report_place(code), &text, &*ground.rng)).await
}

fn seen(connector: &Connector, loaded: &Loaded, identity: &VerifiedIdentity, kept: Kept) -> Seen {
    let explanation = explain(&loaded.policy, identity, None);
    let one = |name: &str, value: &String| shown(name, [value.as_str()]).values.concat();
    let authentication = &identity.authentication;
    let believed = match &connector.kind {
        ConnectorKind::Saml(_) => "as the provider signed it",
        ConnectorKind::Oidc(_) if kept.email_verified => "the provider says that it has verified it",
        ConnectorKind::Oidc(_) => "because the connector says trust_email",
        ConnectorKind::Workload(_) => "workloads have none",
    };
    Seen {
        mapped: Mapped {
            // Both stand in the audit log whenever this person signs in: hiding them would hide what is asked about.
            subject: plain(&identity.subject.value),
            asserted: identity.asserted.as_deref().map(plain),
            linked: identity.link.as_ref().map(|_| plain(&identity.person().to_string())),
            email: identity.email.as_ref().map(|email| one("email", email)),
            email_believed: identity.email.as_ref().map(|_| believed.to_owned()),
            name: identity.name.as_ref().map(|name| one("name", name)),
            groups: shown("groups", identity.groups.known().iter().map(String::as_str)),
            groups_incomplete: match &identity.groups {
                Groups::Complete { .. } => None,
                Groups::Incomplete { reason, .. } => Some(plain(reason)),
            },
            attributes: identity
                .attributes
                .0
                .iter()
                .map(|(name, values)| (name.clone(), shown(name, values.iter().map(String::as_str))))
                .collect(),
        },
        authentication: Recognised {
            instant: authentication.instant,
            context: authentication.context_class.as_deref().map(plain),
            methods: authentication.methods.iter().map(|method| plain(method)).collect(),
            session_index: authentication.session_index.as_ref().map(|index| one("session index", index)),
            session_ends: authentication.session_not_on_or_after,
        },
        missing: missing(connector, identity, &kept),
        access: Gives {
            rules: explanation.rules.iter().filter(|rule| rule.matches).map(|rule| rule.rule.clone()).collect(),
            roles: explanation.permitted.len(),
            refused: explanation.refused,
        },
        received: kept.received,
        userinfo_failure: kept.userinfo_failure,
    }
}

/// What the catalog maps and nobody sent, or nobody vouched for.
fn missing(connector: &Connector, identity: &VerifiedIdentity, kept: &Kept) -> Vec<String> {
    let (email, name, groups, extra): (_, _, _, BTreeMap<String, String>) = match &connector.kind {
        ConnectorKind::Saml(saml) => {
            let map = &saml.attributes;
            let extra = map.extra.iter().map(|(ours, theirs)| (ours.to_string(), theirs.clone())).collect();
            let groups = map.groups.as_ref().map(|groups| groups.attribute.clone());
            (map.email.clone(), map.name.clone(), groups, extra)
        }
        ConnectorKind::Oidc(oidc) => {
            let map = &oidc.claims;
            let extra = map.extra.iter().map(|(ours, theirs)| (ours.to_string(), theirs.to_string())).collect();
            let groups = map.groups.as_ref().map(|groups| groups.claim.to_string());
            (Some(map.email.to_string()), Some(map.name.to_string()), groups, extra)
        }
        // Nobody can begin a test there.
        ConnectorKind::Workload(_) => return Vec::new(),
    };
    let arrived = |name: &str| kept.received.iter().any(|one| one.name == name);
    let mut missing = Vec::new();
    let mut absent = |ours: &str, theirs: Option<&String>| {
        match theirs {
        Some(theirs) if ours == "email" && arrived(theirs) => missing.push(format!(
            "email: `{theirs}` arrived, and the provider does not say that it has verified it (`email_verified`): it is \
             not taken; set trust_email = true if nobody can choose their own address there"
        )),
        Some(theirs) => missing.push(format!("{ours}: `{theirs}` did not arrive")),
        None => missing.push(format!("{ours}: the connector maps nothing to it")),
    }
    };
    if identity.email.is_none() {
        absent("email", email.as_ref());
    }
    if identity.name.is_none() {
        absent("name", name.as_ref());
    }
    if groups.is_none() || matches!(&identity.groups, Groups::Complete { values } if values.is_empty()) {
        absent("groups", groups.as_ref());
    }
    for (ours, theirs) in extra.iter().filter(|(ours, _)| identity.attributes.values(ours).is_empty()) {
        absent(ours, Some(theirs));
    }
    missing
}
