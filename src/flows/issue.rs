//! A person picks a role and gets credentials, or a link to the console.
//!
//! The order is the guarantee: decide, write the intent down, call STS, write the outcome down, deliver. Each step
//! that is written is on disk before the next begins; if a write fails, nothing is delivered.
//!
//! How programs share what was issued, and who waits for whom, is told in [`deliver`].

use std::sync::Arc;

use serde_json::{Value, json};

use super::allowance::{Allowance, TooOften};
use super::current::{CurrentCatalog, Loaded};
use super::{Caller, Ground};
use crate::access::{Asked, Denied, Means, Permit};
use crate::audit::{Event, Kind};
use crate::aws::{MfaSerial, PolicyArn, Region, Source};
use crate::catalog::RoleId;
use crate::identity::VerifiedIdentity;
use crate::issuance::{
    ConsoleDestination, ConsoleLogin, Consoles, DestinationRefused, FederationError, IssueError, Issued, Issuer, Mfa,
    Passed, Proof, Regions, StsError,
};
use crate::store::StoreError;
use crate::store::journal::Use;

mod deliver;

/// Issues.
#[derive(Debug, Clone)]
pub struct Issue {
    pub ground: Ground,
    pub catalog: CurrentCatalog,
    pub issuer: Arc<Issuer>,
    pub consoles: Arc<Consoles>,
    pub regions: Regions,
    pub allowance: Arc<Allowance>,
}

/// What a person asks for.
#[derive(Debug, Clone)]
pub struct Wish {
    pub identity: Arc<VerifiedIdentity>,
    pub asked: Asked,
    /// The id of the token's authorization, where a program asks.
    pub token: Option<String>,
    /// Whether only credentials that nobody has had yet will do.
    pub fresh: bool,
    /// What the person read from their MFA device, where the role asks for it. It is good for one call, and goes nowhere else.
    pub mfa: Option<Mfa>,
    /// How it leaves the house, for the audit log: `page`, `console`, or the name of a format.
    pub delivery: &'static str,
}

impl Wish {
    /// A session may have to be limited to where it is asked for: an address is known only where it is the asker's own.
    fn came_from(&mut self, caller: &Caller) {
        self.asked.address = caller.network_known.then_some(caller.address);
    }
}

/// Why nothing was delivered.
#[derive(Debug, thiserror::Error)]
pub enum IssueFlowError {
    #[error("the role is not permitted")]
    Denied(#[from] Denied),
    #[error(transparent)]
    Destination(#[from] DestinationRefused),
    /// There is no console for what the role's method gives.
    #[error("{role} opens no console")]
    NoConsole { role: RoleId, reason: &'static str },
    /// Nothing was asked of AWS: the role's method needs a code of an MFA device.
    #[error("{role} needs a code of an MFA device")]
    MfaNeeded { role: RoleId, device: Option<MfaSerial> },
    #[error("the person asks too often")]
    TooOften(#[from] TooOften),
    /// Shared by all who waited for the one answer.
    #[error(transparent)]
    Issue(Arc<IssueError>),
    #[error(transparent)]
    Federation(#[from] FederationError),
    #[error("the flow was interrupted")]
    Interrupted,
    #[error(transparent)]
    Store(Arc<StoreError>),
}

impl From<StoreError> for IssueFlowError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl Issue {
    /// Obtains credentials and exchanges them for a link to the console.
    ///
    /// `destination` is what the person asked to see; otherwise the role's own page, else the console's home.
    ///
    /// # Errors
    /// [`IssueFlowError`]. Denials and failures are recorded.
    pub async fn console(
        &self,
        mut wish: Wish,
        destination: Option<String>,
        caller: Caller,
    ) -> Result<ConsoleLogin, IssueFlowError> {
        wish.came_from(&caller);
        let flow = self.clone();
        let tasks = self.ground.tasks.clone();
        tasks
            .uninterrupted(async move {
                flow.allowance.issue(&wish.identity.person())?;
                // Judged before anything is issued: a bad link should cost nothing, nor what cannot end well.
                let loaded = flow.catalog.get().await?;
                flow.refuse_without_console(&loaded, &wish, &caller).await?;
                let destination = match flow.destination(&loaded, &wish, destination.as_deref()) {
                    Ok(destination) => destination,
                    Err(refused) => {
                        flow.record_denial(&wish, &caller, "destination-refused", refused.to_string()).await?;
                        return Err(refused.into());
                    }
                };
                let issued = flow.obtain(&wish, &caller).await?;
                match flow.issuer.console(&issued, &destination).await {
                    Ok(login) => Ok(login),
                    Err(error) => {
                        let event = flow
                            .about(Kind::ConsoleFailed, &wish, &caller)
                            .with("role", issued.role().to_string())
                            .with("cause", error.code())
                            .with("detail", error.to_string());
                        flow.ground.record(&event).await?;
                        Err(error.into())
                    }
                }
            })
            .await
            .unwrap_or(Err(IssueFlowError::Interrupted))
    }

    /// Only to whoever may use the role: others are told that, and nothing about it.
    async fn refuse_without_console(
        &self,
        loaded: &Loaded,
        wish: &Wish,
        caller: &Caller,
    ) -> Result<(), IssueFlowError> {
        let decision = loaded.policy.decide(&wish.identity);
        let access = decision.role(wish.asked.account, &wish.asked.role);
        let reason = access.and_then(|access| Some((access.id(), access.role().method.no_console()?)));
        let Some((role, reason)) = reason else { return Ok(()) };
        self.record_denial(wish, caller, "no-console", reason.to_owned()).await?;
        Err(IssueFlowError::NoConsole { role, reason })
    }

    fn destination(
        &self,
        loaded: &Loaded,
        wish: &Wish,
        asked: Option<&str>,
    ) -> Result<ConsoleDestination, DestinationRefused> {
        let account = loaded.catalog.account(wish.asked.account);
        let role = loaded.catalog.role(wish.asked.account, &wish.asked.role);
        let partition = account.map(|account| account.partition).unwrap_or_default();
        if let Some(text) = asked {
            return self.consoles.parse(text, partition);
        }
        if let Some(destination) = role.and_then(|role| role.destination.as_ref()) {
            return self.consoles.parse(destination.as_str(), partition);
        }
        let region: Region = role
            .and_then(|role| role.region.clone())
            .or_else(|| account.and_then(|account| account.region.clone()))
            .unwrap_or_else(|| self.regions.of(partition));
        Ok(self.consoles.home(partition, &region))
    }

    /// Decide, intend, call, record.
    async fn obtain(&self, wish: &Wish, caller: &Caller) -> Result<Issued, IssueFlowError> {
        let permit = self.decide(wish, caller).await?;
        has_mfa(&permit, wish)?;
        self.exchange(permit, wish, caller).await
    }

    /// Intend, call, record. The permit is spent.
    async fn exchange(&self, permit: Permit, wish: &Wish, caller: &Caller) -> Result<Issued, IssueFlowError> {
        let role = permit.role().to_string();
        let (rule, because) = (permit.rule().to_owned(), object(permit.because()));
        let about = |kind| {
            self.about(kind, wish, caller)
                .with("role", role.as_str())
                .with("rule", rule.as_str())
                .with("because", because.clone())
        };
        self.ground.record(&describe(about(Kind::IssueIntended), &permit)).await?;
        match self.issuer.credentials(permit, wish.mfa.as_ref()).await {
            Ok(issued) => {
                // Whoever comes here from CloudTrail has the access key id, and finds person, rule and reason beside it.
                let event = about(Kind::IssueSucceeded)
                    .with("access_key_id", issued.credentials().access_key_id.as_str())
                    .with("expires", issued.credentials().expiration.to_string())
                    .with("duration_s", issued.granted().as_secs())
                    .with("shortened", issued.is_shortened())
                    .with("method", issued.method())
                    .with_some("assertion", issued.proof().map(Proof::id))
                    .with_some("hops", hops(&issued))
                    .with_some("key", issued.key().map(|(ours, _)| ours.as_str()))
                    .with_some("user_key_id", issued.key().map(|(_, theirs)| theirs.as_str()))
                    .with("region", issued.region().as_str())
                    .with_some("assumed_role", issued.principal_arn())
                    .with_some("packed_percent", issued.packed_percent())
                    .with_some("aws_request_id", issued.request_id());
                let used = Use {
                    person: wish.identity.person(),
                    account: wish.asked.account,
                    role: wish.asked.role.clone(),
                    packed_percent: issued.packed_percent(),
                    at: self.ground.clock.now(),
                };
                self.ground.record_use(&event, used).await?;
                Ok(issued)
            }
            Err(error) => {
                let event = because_of(about(Kind::IssueFailed), &error);
                self.ground.record(&event).await?;
                Err(IssueFlowError::Issue(Arc::new(error)))
            }
        }
    }

    async fn decide(&self, wish: &Wish, caller: &Caller) -> Result<Permit, IssueFlowError> {
        let loaded = self.catalog.get().await?;
        self.review(&loaded);
        let now = self.ground.clock.now();
        let decided = loaded.policy.permit(&wish.identity, wish.asked.clone(), now);
        match decided {
            Ok(permit) => Ok(permit),
            Err(denied) => {
                self.drop_what_is_lost(wish, &denied);
                self.record_denial(wish, caller, denied.code(), denied.to_string()).await?;
                Err(denied.into())
            }
        }
    }

    async fn record_denial(
        &self,
        wish: &Wish,
        caller: &Caller,
        cause: &'static str,
        detail: String,
    ) -> Result<(), StoreError> {
        let event = self
            .about(Kind::IssueDenied, wish, caller)
            .with("account", wish.asked.account.as_str())
            .with("role_name", wish.asked.role.as_str())
            .with("cause", cause)
            .with("detail", detail);
        self.ground.record(&event).await?;
        Ok(())
    }

    fn about(&self, kind: Kind, wish: &Wish, caller: &Caller) -> Event {
        caller
            .event(kind)
            .about(&wish.identity.subject)
            .with_some("name", wish.identity.name.as_deref())
            .with_some("email", wish.identity.email.as_deref())
            .with_some("token", wish.token.as_deref())
            .with("delivery", wish.delivery)
    }
}

/// A person who has to read a code from their device is asked for it before anything is intended.
fn has_mfa(permit: &Permit, wish: &Wish) -> Result<(), IssueFlowError> {
    let Means::SessionToken { mfa_serial, .. } = permit.means() else { return Ok(()) };
    let whole = wish.mfa.as_ref().is_some_and(|mfa| mfa.serial.is_some() || mfa_serial.is_some());
    if whole {
        return Ok(());
    }
    let role = RoleId { account: wish.asked.account, name: wish.asked.role.clone() };
    Err(IssueFlowError::MfaNeeded { role, device: mfa_serial.clone() })
}

/// The roles passed through, each with the key id under which CloudTrail has what was done there.
fn hops(issued: &Issued) -> Option<Vec<Value>> {
    let hop = |passed: &Passed| {
        json!({
            "role": passed.role.to_string(),
            "access_key_id": passed.access_key_id,
            "region": passed.region.as_str(),
            "aws_request_id": passed.request_id,
        })
    };
    (!issued.passed().is_empty()).then(|| issued.passed().iter().map(hop).collect())
}

/// Why STS gave nothing, in its own words where it had any.
fn because_of(event: Event, error: &IssueError) -> Event {
    let event = event
        .with("cause", error.code())
        .with("detail", error.to_string())
        .with_some("hop", error.step().map(|step| step.number))
        .with_some("hop_role", error.step().map(|step| step.role.to_string()));
    let Some(refusal) = error.sts().and_then(StsError::refusal) else { return event };
    event
        .with("aws_code", refusal.code.as_str())
        .with("aws_message", refusal.message.as_str())
        .with_some("aws_request_id", refusal.request_id.as_deref())
}

fn describe(event: Event, permit: &Permit) -> Event {
    let tags: Vec<(String, String)> =
        permit.session_tags().iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
    let policy = permit.session_policy();
    let arns: Vec<&str> = policy.arns().iter().map(PolicyArn::as_str).collect();
    event
        .with("method", permit.means().name())
        .with_some("way", way(permit))
        .with_some("key", permit.means().key().map(|key| key.id.as_str()))
        .with_some("user_key_id", permit.means().key().map(|key| key.access_key_id.as_str()))
        .with("session_name", permit.session_name().as_str())
        .with("source_identity", permit.source_identity().as_str())
        .with("duration_s", permit.duration().as_secs())
        .with("session_tags", object(&tags))
        // Whole, as JSON: what a session was limited to is as much part of the story as its role.
        .with_some(
            "session_policy",
            policy.inline().map(|text| serde_json::from_str::<Value>(text).unwrap_or_default()),
        )
        .with_some("policy_arns", (!arns.is_empty()).then_some(arns))
        .with_some("scope_down", (!permit.limits().is_empty()).then(|| limits(permit)))
}

/// What the session is limited to, in words, by who wants it.
fn limits(permit: &Permit) -> Value {
    let name = |source| match source {
        Source::Role => "role",
        Source::Rule => "rule",
        Source::Asked => "asked",
    };
    permit.limits().iter().map(|limit| (name(limit.from).to_owned(), Value::from(limit.scope.words()))).collect()
}

fn object(pairs: &[(String, String)]) -> Value {
    pairs.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect()
}

/// From role to role, where there are several.
fn way(permit: &Permit) -> Option<Vec<String>> {
    let way: Vec<String> = permit.means().way().into_iter().map(ToString::to_string).collect();
    (!way.is_empty()).then_some(way)
}
