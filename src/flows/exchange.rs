//! A workload shows a token that its surroundings vouch for, and gets an access token or credentials for it.
//!
//! Three steps, each a call of its own so that limits can stand between them: [`Exchange::prove`] finds out who it is and
//! puts that on record; then either [`Exchange::token`] or [`Exchange::credentials`] decides what it may have. Nothing in
//! the CI system is secret for longer than such a token lives.
//!
//! Spec: RFC 8693.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};

use super::connectors::workload::WorkloadProvider;
use super::connectors::{ConnectorError, Connectors, Provider};
use super::current::{CurrentCatalog, Loaded};
use super::grant_tokens::Granted;
use super::issue::{Issue, IssueFlowError, Wish};
use super::judges::{Judges, NoVerdict};
use super::tokens::issued;
use super::{Caller, Ground, chain_of, public_id};
use crate::access::{Asked, Scope};
use crate::audit::{Event, Kind};
use crate::aws::{Partition, RoleArn, SessionDuration};
use crate::catalog::{Catalog, Connector, RoleId, WorkloadConnector};
use crate::identity::{ConnectorId, PersonId};
use crate::issuance::Issued;
use crate::signin::workload::{Claimed, VerifiedWorkload, WorkloadError, claimed};
use crate::store::tokens::{self, Authorization, AuthorizationKind};
use crate::store::{StoreError, sign_in};
use crate::sys::{Bearer, BearerKind, excerpt};

/// The longest an access token for a workload counts, whatever the settings allow.
const LONGEST: SignedDuration = SignedDuration::from_mins(15);
/// How far an access token may outlive what it was exchanged for.
const BEYOND: SignedDuration = SignedDuration::from_mins(10);
/// What the audit log calls the grant.
const GRANT: &str = "token-exchange";

/// Exchanges workloads' tokens.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub ground: Ground,
    pub catalog: CurrentCatalog,
    pub connectors: Connectors,
    /// Bounds how many tokens are looked at at once; shared with the other judges.
    pub judges: Judges,
    pub issue: Issue,
    /// How long access tokens count at most.
    pub access_token: SignedDuration,
}

/// A workload that was believed, and is on record. Good for one answer.
#[derive(Debug)]
pub struct Proven(VerifiedWorkload);

impl Proven {
    /// Whose limits the rest counts against.
    #[must_use]
    pub fn person(&self) -> PersonId {
        self.0.identity.person()
    }
}

/// A role that a workload asks for by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub role: RoleId,
    /// Where it was named by its ARN.
    pub partition: Option<Partition>,
}

/// Which credentials a workload wants, and how they leave the house.
#[derive(Debug, Clone)]
pub struct Order {
    pub target: Target,
    /// `None`: the role's default.
    pub duration: Option<SessionDuration>,
    /// Whether only credentials that nobody has had yet will do: what CloudTrail says of a key is then about one exchange.
    pub fresh: bool,
    /// For the audit log.
    pub delivery: &'static str,
}

/// The text names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("name one role, by its ARN or as 111122223333/RoleName")]
pub struct InvalidTarget;

impl std::str::FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(arn) = text.parse::<RoleArn>() {
            let role = RoleId { account: arn.account(), name: arn.role().clone() };
            return Ok(Self { role, partition: Some(arn.partition()) });
        }
        text.parse().map(|role| Self { role, partition: None }).map_err(|_| InvalidTarget)
    }
}

/// Why there is no exchange.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    #[error("no connector for workloads has the issuer {issuer:?}")]
    NoConnector { issuer: String },
    #[error("connector `{0}` is disabled")]
    Disabled(ConnectorId),
    #[error(
        "several connectors have the issuer {issuer:?}, and the token's audience {audiences:?} does not tell which is meant"
    )]
    Ambiguous { issuer: String, audiences: Vec<String> },
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    #[error("the token is not believed")]
    Refused(#[from] WorkloadError),
    #[error("the token {evidence} was exchanged before, and its connector takes each once")]
    Replayed { evidence: String },
    #[error("no rule gives this workload any role")]
    NothingGranted,
    #[error("the role {role} is not granted")]
    NotGranted { role: String },
    #[error("the role {role} asks for a person who has just signed in, or strongly")]
    ForPeople { role: String },
    #[error("nothing could be issued")]
    Issue(#[source] IssueFlowError),
    #[error("too many tokens are being judged at once")]
    Busy,
    #[error("the exchange was interrupted")]
    Interrupted,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NoVerdict> for ExchangeError {
    fn from(none: NoVerdict) -> Self {
        match none {
            NoVerdict::Busy => Self::Busy,
            NoVerdict::Panicked => Self::Interrupted,
        }
    }
}

impl ExchangeError {
    /// The stable word for the audit event.
    #[must_use]
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::NoConnector { .. } => "issuer-unknown",
            Self::Disabled(_) => "connector-disabled",
            Self::Ambiguous { .. } => "audience-ambiguous",
            Self::Connector(error) => error.code(),
            Self::Refused(error) => error.code(),
            Self::Replayed { .. } => "replayed",
            Self::NothingGranted => "nothing-granted",
            Self::NotGranted { .. } => "not-granted",
            Self::ForPeople { .. } => "step-up-required",
            Self::Issue(_) => "issue-failed",
            Self::Busy => "busy",
            Self::Interrupted => "interrupted",
            Self::Store(_) => "store",
        }
    }

    /// The error code. A subject token that is not taken is `invalid_request`, whatever is wrong with it.
    ///
    /// Spec: RFC 8693 2.2.2; RFC 6749 5.2.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoConnector { .. }
            | Self::Disabled(_)
            | Self::Ambiguous { .. }
            | Self::Refused(_)
            | Self::Replayed { .. } => "invalid_request",
            Self::NothingGranted => "unauthorized_client",
            Self::NotGranted { .. }
            | Self::ForPeople { .. }
            | Self::Issue(IssueFlowError::Denied(_) | IssueFlowError::MfaNeeded { .. }) => "invalid_target",
            Self::Connector(_) | Self::Issue(_) | Self::Busy | Self::Interrupted | Self::Store(_) => {
                "temporarily_unavailable"
            }
        }
    }

    /// What the workload is told. Whoever holds a token may have stolen it, so what is wrong with it stays in the audit log;
    /// that a clock is off helps nobody but its owner.
    #[must_use]
    pub fn description(&self) -> String {
        match self {
            Self::Refused(error) if error.is_about_time() => {
                "The token has expired, is too old or not valid yet. Ask for a new one, and compare clocks."
            }
            Self::NoConnector { .. } | Self::Disabled(_) | Self::Ambiguous { .. } | Self::Refused(_) => {
                "The token was not accepted. The audit log has the reason, under the request id of this answer."
            }
            Self::Replayed { .. } => "The token was exchanged before, and counts once here. Ask for a new one.",
            Self::NothingGranted => "No rule gives this workload any role.",
            Self::NotGranted { .. } | Self::Issue(IssueFlowError::Denied(_)) => {
                "No rule gives this workload that role."
            }
            Self::Issue(IssueFlowError::MfaNeeded { .. }) => "That role asks for a person with an MFA device.",
            Self::ForPeople { .. } => "That role asks for a person who has just signed in, or strongly.",
            Self::Connector(_) => {
                "What the token's issuer publishes cannot be had right now. Please try again in a minute."
            }
            Self::Issue(IssueFlowError::Issue(error)) if error.sts().is_some() => {
                "AWS STS issued nothing. The audit log has its answer, under the request id of this one."
            }
            Self::Issue(_) | Self::Busy | Self::Interrupted | Self::Store(_) => {
                "Nothing was issued. Please try again in a moment."
            }
        }
        .to_owned()
    }

    /// Whether it is to be recorded by whoever called [`Exchange::prove`].
    #[must_use]
    pub const fn is_about_the_token(&self) -> bool {
        matches!(
            self,
            Self::NoConnector { .. }
                | Self::Disabled(_)
                | Self::Ambiguous { .. }
                | Self::Connector(_)
                | Self::Refused(_)
                | Self::Replayed { .. }
        )
    }
}

impl Exchange {
    /// Finds out whose token this is, and records it.
    ///
    /// # Errors
    /// [`ExchangeError`], which is not recorded yet: see [`record_refusal`](Self::record_refusal).
    pub async fn prove(&self, token: SecretString, caller: &Caller) -> Result<Proven, ExchangeError> {
        let (flow, caller) = (self.clone(), caller.clone());
        let proven = async move { flow.judged(token, &caller).await };
        self.ground.tasks.uninterrupted(proven).await.unwrap_or(Err(ExchangeError::Interrupted))
    }

    /// Records that a token was not taken, and why.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn record_refusal(
        &self,
        token: &SecretString,
        error: &ExchangeError,
        caller: &Caller,
    ) -> Result<(), StoreError> {
        let claims = claimed(token.expose_secret()).ok();
        let loaded = self.catalog.get().await?;
        let connector = claims.as_ref().and_then(|claims| self.choose(&loaded.catalog, claims).ok());
        let event = caller
            .event(Kind::SignInRefused)
            .with_some("connector", connector.map(|connector| connector.id.as_str()))
            .with_some("issuer", claims.as_ref().map(|claims| excerpt(&claims.issuer)))
            .with("grant", GRANT)
            .with("cause", error.cause())
            .with("detail", chain_of(error));
        let ground = self.ground.clone();
        self.ground.tasks.uninterrupted(async move { ground.record(&event).await.map(|_| ()) }).await.unwrap_or(Ok(()))
    }

    async fn judged(&self, token: SecretString, caller: &Caller) -> Result<Proven, ExchangeError> {
        let claims = claimed(token.expose_secret())?;
        let loaded = self.catalog.get().await?;
        let connector = self.choose(&loaded.catalog, &claims)?;
        let provider = self.connectors.workload(connector, loaded.revision).await?;
        let token = Arc::new(token);
        let known = Provider::Workload(Arc::clone(&provider));
        let once = provider.settings.once;
        let mut judged = self.judge(provider, Arc::clone(&token)).await?;
        if judged.as_ref().is_err_and(WorkloadError::is_unknown_key)
            && let Some(Provider::Workload(fresh)) =
                self.connectors.refresh_for_unknown_key(connector, loaded.revision, &known).await
        {
            judged = self.judge(fresh, token).await?;
        }
        let workload = judged?;
        let mut tx = self.ground.store.begin().await?;
        let (issuer, evidence) = (claims.issuer.as_str(), workload.evidence.as_str());
        if once && !sign_in::use_assertion(&mut tx, issuer, evidence, workload.replay_until).await? {
            return Err(ExchangeError::Replayed { evidence: workload.evidence });
        }
        self.ground.append(&mut tx, &accepted(&workload, issuer, caller)).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Proven(workload))
    }

    async fn judge(
        &self,
        provider: Arc<WorkloadProvider>,
        token: Arc<SecretString>,
    ) -> Result<Result<VerifiedWorkload, WorkloadError>, ExchangeError> {
        Ok(self.judges.judge(move |now| provider.settings.judge(token.expose_secret(), now)).await?)
    }

    /// The connector that the token says it is for. Which it really is the signature tells.
    fn choose<'c>(&self, catalog: &'c Catalog, claims: &Claimed) -> Result<&'c Connector, ExchangeError> {
        let from_there = |workload: &WorkloadConnector| workload.issuer.as_str() == claims.issuer;
        let all: Vec<&Connector> =
            catalog.connectors().filter(|connector| connector.workload().is_some_and(from_there)).collect();
        let issuer = || excerpt(&claims.issuer);
        let enabled: Vec<&Connector> = all.iter().copied().filter(|connector| connector.enabled).collect();
        let for_us = |connector: &&&Connector| {
            connector.workload().is_some_and(|workload| {
                let audience = self.connectors.audience(workload);
                claims.audiences.iter().any(|one| one == audience)
            })
        };
        let meant: Vec<&Connector> = enabled.iter().filter(for_us).copied().collect();
        match (meant.as_slice(), enabled.as_slice(), all.as_slice()) {
            // With one that has the issuer, the judge says that the audience is wrong.
            ([one], _, _) | ([], [one], _) => Ok(one),
            ([], [], []) => Err(ExchangeError::NoConnector { issuer: issuer() }),
            ([], [], [first, ..]) => Err(ExchangeError::Disabled(first.id.clone())),
            _ => {
                let audiences = claims.audiences.iter().take(5).map(|audience| excerpt(audience)).collect();
                Err(ExchangeError::Ambiguous { issuer: issuer(), audiences })
            }
        }
    }

    /// Gives the workload an access token for all its roles, or for one. There is no refresh token: what vouches for the
    /// workload can be shown again.
    ///
    /// # Errors
    /// [`ExchangeError`]: a refusal is recorded.
    pub async fn token(
        &self,
        proven: Proven,
        scope: Scope,
        target: Option<Target>,
        caller: &Caller,
    ) -> Result<Granted, ExchangeError> {
        let (flow, caller) = (self.clone(), caller.clone());
        let granted = async move { flow.grant(proven.0, scope, target, &caller).await };
        self.ground.tasks.uninterrupted(granted).await.unwrap_or(Err(ExchangeError::Interrupted))
    }

    async fn grant(
        &self,
        workload: VerifiedWorkload,
        scope: Scope,
        target: Option<Target>,
        caller: &Caller,
    ) -> Result<Granted, ExchangeError> {
        self.decide(&workload, target.as_ref(), caller).await?;
        let now = self.ground.clock.now();
        let longest = self.access_token.min(LONGEST);
        let beyond = workload.expires.saturating_add(BEYOND).unwrap_or(Timestamp::MAX);
        let expires = now.saturating_add(longest).unwrap_or(Timestamp::MAX).min(beyond);
        let scope = Scope { roles: target.map(|target| [target.role].into()), ..scope };
        let authorization = Authorization {
            id: public_id(&*self.ground.rng),
            kind: AuthorizationKind::Workload,
            client: String::new(),
            label: workload.identity.subject.value.clone(),
            identity: workload.identity,
            scope: scope.clone(),
            networks: Vec::new(),
            session: None,
            created: now,
            vouched: now,
            expires,
            last_used: None,
            last_used_from: None,
            client_address: caller.address.to_string(),
            user_agent: caller.user_agent.clone(),
        };
        let access = Bearer::generate(BearerKind::Access, &*self.ground.rng);
        let event = issued(&authorization, caller).with("grant", GRANT).with_some("jti", workload.jti);
        let mut tx = self.ground.store.begin().await?;
        tokens::add_authorization(&mut tx, &authorization).await?;
        tokens::add_token(&mut tx, &access.hash(), BearerKind::Access, &authorization.id, now, expires).await?;
        self.ground.append(&mut tx, &event).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Granted {
            access,
            refresh: None,
            expires_in: expires.duration_since(now),
            scope,
            authorization: authorization.id,
        })
    }

    /// Gives the workload credentials of a role.
    ///
    /// # Errors
    /// [`ExchangeError`]: a refusal is recorded.
    pub async fn credentials(
        &self,
        proven: Proven,
        order: Order,
        caller: &Caller,
    ) -> Result<Arc<Issued>, ExchangeError> {
        let Order { target, duration, fresh, delivery } = order;
        self.decide(&proven.0, Some(&target), caller).await?;
        let asked = Asked { duration, ..Asked::role(target.role.account, target.role.name) };
        let wish = Wish { identity: Arc::new(proven.0.identity), asked, token: None, fresh, mfa: None, delivery };
        self.issue.credentials(wish, caller.clone()).await.map_err(ExchangeError::Issue)
    }

    /// Whether there is anything to give; what is refused is recorded.
    async fn decide(
        &self,
        workload: &VerifiedWorkload,
        target: Option<&Target>,
        caller: &Caller,
    ) -> Result<(), ExchangeError> {
        let loaded = self.catalog.get().await?;
        let Err(refused) = judge_target(&loaded, workload, target, self.ground.clock.now()) else { return Ok(()) };
        let event = caller
            .event(Kind::TokenRefused)
            .about(&workload.identity.subject)
            .with("token_kind", AuthorizationKind::Workload.as_str())
            .with("grant", GRANT)
            .with("label", workload.identity.subject.value.as_str())
            .with_some("jti", workload.jti.as_deref())
            .with_some("role", target.map(|target| target.role.to_string()))
            .with("cause", refused.cause())
            .with("detail", refused.to_string());
        self.ground.record(&event).await?;
        Err(refused)
    }
}

fn judge_target(
    loaded: &Loaded,
    workload: &VerifiedWorkload,
    target: Option<&Target>,
    now: Timestamp,
) -> Result<(), ExchangeError> {
    let decision = loaded.policy.decide(&workload.identity);
    if decision.is_empty() {
        return Err(ExchangeError::NothingGranted);
    }
    let Some(Target { role, partition }) = target else { return Ok(()) };
    let access = decision.role(role.account, &role.name);
    let access = access.filter(|access| partition.is_none_or(|wanted| access.account().partition == wanted));
    let Some(access) = access else { return Err(ExchangeError::NotGranted { role: role.to_string() }) };
    match access.unmet(&workload.identity.authentication, now) {
        Some(_) => Err(ExchangeError::ForPeople { role: role.to_string() }),
        None => Ok(()),
    }
}

fn accepted(workload: &VerifiedWorkload, issuer: &str, caller: &Caller) -> Event {
    let VerifiedWorkload { identity, jti, evidence, issued, expires, .. } = workload;
    let attributes: serde_json::Value =
        identity.attributes.0.iter().map(|(name, values)| (name.clone(), values.clone())).collect();
    caller
        .event(Kind::WorkloadAccepted)
        .about(&identity.subject)
        .with("connector", identity.subject.connector.as_str())
        .with("issuer", issuer)
        .with_some("jti", jti.as_deref())
        .with("evidence", evidence.as_str())
        .with("issued", issued.to_string())
        .with("expires", expires.to_string())
        .with("attributes", attributes)
}
