//! One file per thing a person does: load, decide, save, record, answer.

use std::sync::Arc;

use crate::audit::{Chain, Event, Head, Kind};
use crate::aws::{AccountId, RoleName};
use crate::identity::{ConnectorId, SubjectId};
use crate::issuance::cache::Cache;
use crate::store::journal::{Journal, Use};
use crate::store::{Store, StoreError, Tx};
use crate::sys::seal::SealingKey;
use crate::sys::{Clock, Rng};

pub mod allowance;
pub mod authorize;
pub mod clients;
pub mod connectors;
pub mod current;
pub mod device;
pub mod doctor;
pub mod endings;
pub mod exchange;
pub mod favourite;
pub mod figures;
pub mod finish_sign_in;
pub mod grant_error;
pub mod grant_tokens;
pub mod issue;
pub mod judges;
pub mod personal_tokens;
pub mod places;
pub mod principal;
pub mod receive_code;
pub mod receive_logout;
pub mod receive_logout_token;
pub mod receive_reply;
pub mod sessions;
pub mod sign_out;
pub mod start_sign_in;
pub mod step_up;
mod tasks;
pub mod test_sign_in;
pub mod token_keys;
pub mod tokens;

pub use tasks::Tasks;

use self::figures::Figures;
use self::issue::IssueFlowError;

/// What every flow needs: the database, the audit chain, time and chance.
#[derive(Debug, Clone)]
pub struct Ground {
    pub store: Store,
    pub chain: Chain,
    journal: Journal,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    /// Seals what must not lie in the database in clear.
    pub sealing: SealingKey,
    /// What must not end half-way.
    pub tasks: Tasks,
    /// Credentials that programs may be given again.
    pub kept: Cache<Arc<IssueFlowError>>,
    /// What is counted.
    pub figures: Arc<Figures>,
}

impl Ground {
    /// On the runtime that is current, which must be the program's own.
    #[must_use]
    pub fn new(store: Store, chain: Chain, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>, sealing: SealingKey) -> Self {
        let journal = Journal::new(store.clone(), chain.clone());
        let kept = Cache::new(Arc::clone(&rng));
        let figures = Arc::new(Figures::new(kept.clone()));
        Self { store, chain, journal, clock, rng, sealing, tasks: Tasks::on_this_runtime(), kept, figures }
    }

    /// Records an event by itself, together with others that come at the same time. It commits at once, so that an early
    /// return cannot undo it.
    ///
    /// # Errors
    /// The database refuses; then nothing may be delivered.
    pub async fn record(&self, event: &Event) -> Result<Head, StoreError> {
        self.hear(event);
        self.journal.record(event, self.clock.now()).await
    }

    /// As [`record`](Self::record), and notes that a role was used.
    ///
    /// # Errors
    /// The database refuses; then nothing may be delivered.
    async fn record_use(&self, event: &Event, used: Use) -> Result<Head, StoreError> {
        self.hear(event);
        self.journal.record_use(event, used).await
    }

    /// Whatever flow ends somebody's session or token, their credentials go from memory. The event is the one thing
    /// that all those flows have in common. Should it not be written after all, a set too many was dropped.
    fn hear(&self, event: &Event) {
        self.figures.event(event);
        if let Some(subject) = event.ends_access_of() {
            self.kept.forget(&subject);
        }
    }

    /// Records that something from a provider was refused, and why. Were the writing to panic, the refusal would stand all
    /// the same.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn record_refusal(
        &self,
        kind: Kind,
        connector: &ConnectorId,
        cause: &'static str,
        error: &(dyn std::error::Error + Sync),
        caller: &Caller,
    ) -> Result<(), StoreError> {
        let event = caller
            .event(kind)
            .with("connector", connector.as_str())
            .with("cause", cause)
            .with("detail", chain_of(error));
        let ground = self.clone();
        self.tasks.uninterrupted(async move { ground.record(&event).await.map(|_| ()) }).await.unwrap_or(Ok(()))
    }

    /// Records an event together with what it announces.
    ///
    /// # Errors
    /// The database refuses; the caller's transaction must not be committed.
    pub async fn append(&self, tx: &mut Tx, event: &Event) -> Result<Head, StoreError> {
        self.hear(event);
        crate::store::audit::append(tx, &self.chain, event, self.clock.now()).await
    }
}

/// Records that somebody asked for a page about a role they may not use: a look is refused as a click is.
///
/// # Errors
/// The database refuses.
pub async fn refuse_access(
    ground: &Ground,
    subject: &SubjectId,
    account: AccountId,
    role: Option<&RoleName>,
    caller: &Caller,
) -> Result<(), StoreError> {
    let event = caller
        .event(Kind::AccessRefused)
        .about(subject)
        .with("account", account.as_str())
        .with_some("role_name", role.map(RoleName::as_str))
        .with("cause", "not-granted");
    ground.record(&event).await.map(|_| ())
}

/// A name for a session or an authorization that opens nothing: 128 random bits in hex.
fn public_id(rng: &dyn Rng) -> String {
    let mut bytes = [0_u8; 16];
    rng.fill(&mut bytes);
    format!("{:032x}", u128::from_be_bytes(bytes))
}

/// An error and everything that led to it in one line, for the operator.
fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

/// Where a request came from, for audit events and sessions.
#[derive(Debug, Clone)]
pub struct Caller {
    pub address: std::net::IpAddr,
    /// Whether that is theirs. It is not where somebody sent the request on for them whom we were not told to believe.
    pub network_known: bool,
    pub user_agent: String,
    /// The request's id, shown to the person as support id.
    pub request_id: String,
}

impl Caller {
    /// An event that says where it came from and under which id to find the log line.
    #[must_use]
    pub fn event(&self, kind: Kind) -> Event {
        Event::new(kind).reference(&self.request_id).with("client_address", self.address.to_string())
    }
}
