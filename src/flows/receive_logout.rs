//! A logout message arrives from an identity provider: its request to end sessions here, or its answer to ours.
//!
//! It comes through a browser, but often cross-site and in a frame, so no cookie is looked at: the provider's signature
//! says whose sessions are meant. A request is carried out once; whether a session was found is not told.

use std::sync::Arc;

use jiff::Timestamp;

use super::connectors::saml::SamlProvider;
use super::connectors::{ConnectorError, Connectors, Provider};
use super::current::{CurrentCatalog, Loaded};
use super::endings::{By, Endings};
use super::judges::{Judges, NoVerdict};
use super::sign_out::saml_subject;
use super::{Caller, Ground};
use crate::audit::Kind;
use crate::catalog::Connector;
use crate::identity::{ConnectorId, VerifiedIdentity};
use crate::saml::redirect::{Carries, RedirectError};
use crate::signin::Outgoing;
use crate::signin::saml::logout::{self, Asked, Confirmation, Evidence, LogoutError, MessageError};
use crate::store::{StoreError, Tx, sessions, sign_in, sign_out};
use crate::sys::{Token, TokenHash};

/// Why a session ended, in the audit log.
const BY_PROVIDER: &str = "identity-provider-logout";

/// Judges logout messages and carries them out.
#[derive(Debug, Clone)]
pub struct ReceiveLogout {
    pub ground: Ground,
    pub catalog: CurrentCatalog,
    pub connectors: Connectors,
    /// Bounds how much XML is looked at at once, off the threads that serve requests; shared with sign-in.
    pub judges: Judges,
    pub endings: Endings,
}

/// What became of a message.
#[derive(Debug)]
pub enum Received {
    /// The provider's request was carried out, and this says so to it; `None` when it names no place for answers.
    CarriedOut(Option<Outgoing>),
    /// The provider answered a request of ours.
    Confirmed(Confirmation),
    /// The provider answered a request of ours with a no.
    Unconfirmed,
}

/// Why a message was refused.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    #[error("no SAML connector is called `{0}`")]
    NoConnector(ConnectorId),
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    #[error("the message answers no sign-out that is waiting")]
    Unsolicited,
    #[error("the sign-out was begun too long ago")]
    AttemptExpired,
    #[error("the sign-out was begun through another connector")]
    OtherConnector,
    #[error("the logout message is not believed")]
    Refused(#[from] LogoutError),
    #[error("the logout request {id} was carried out before")]
    Replayed { id: String },
    #[error("the answer cannot be made")]
    Answer(#[from] MessageError),
    #[error("too many messages are being judged at once")]
    Busy,
    #[error("judging the message ended in a panic")]
    Panicked,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NoVerdict> for ReceiveError {
    fn from(none: NoVerdict) -> Self {
        match none {
            NoVerdict::Busy => Self::Busy,
            NoVerdict::Panicked => Self::Panicked,
        }
    }
}

impl ReceiveError {
    /// The stable word for the audit event.
    fn cause(&self) -> &'static str {
        match self {
            Self::NoConnector(_) => "connector-unknown",
            Self::Connector(error) => error.code(),
            Self::Unsolicited => "unsolicited",
            Self::AttemptExpired => "attempt-expired",
            Self::OtherConnector => "other-connector",
            Self::Refused(error) => error.code(),
            Self::Replayed { .. } => "replayed",
            Self::Answer(_) => "answer-impossible",
            Self::Busy => "busy",
            Self::Panicked => "panicked",
            Self::Store(_) => "store",
        }
    }
}

impl From<RedirectError> for ReceiveError {
    fn from(error: RedirectError) -> Self {
        Self::Refused(LogoutError::Redirect(error))
    }
}

impl ReceiveLogout {
    /// Judges a message and carries it out.
    ///
    /// # Errors
    /// [`ReceiveError`]. The refusal is recorded with its true cause, under the caller's request id.
    pub async fn run(
        &self,
        connector: &ConnectorId,
        carries: Carries,
        evidence: Evidence,
        caller: &Caller,
    ) -> Result<Received, ReceiveError> {
        let (flow, connector, caller) = (self.clone(), connector.clone(), caller.clone());
        let judged = async move { flow.judge_and_record(&connector, carries, evidence, &caller).await };
        self.ground.tasks.uninterrupted(judged).await.unwrap_or(Err(ReceiveError::Panicked))
    }

    async fn judge_and_record(
        &self,
        connector: &ConnectorId,
        carries: Carries,
        evidence: Evidence,
        caller: &Caller,
    ) -> Result<Received, ReceiveError> {
        let received = match carries {
            Carries::Request => self.carry_out(connector, evidence, caller).await,
            Carries::Response => self.take_answer(connector, evidence).await,
        };
        match received {
            Ok(received) => Ok(received),
            Err(error) => {
                self.record_refusal(connector, error.cause(), &error, caller).await?;
                match error {
                    // It is the provider that said no, and it was believed: no fault of whoever brings the news.
                    ReceiveError::Refused(LogoutError::Status { .. }) => Ok(Received::Unconfirmed),
                    other => Err(other),
                }
            }
        }
    }

    /// Records a refusal; also that of something which could not even be read as a message.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn record_refusal(
        &self,
        connector: &ConnectorId,
        cause: &'static str,
        error: &(dyn std::error::Error + Sync),
        caller: &Caller,
    ) -> Result<(), StoreError> {
        self.ground.record_refusal(Kind::LogoutRefused, connector, cause, error, caller).await
    }

    /// The connector, also when it is disabled: that it signs nobody in is no reason to keep anybody signed in.
    fn connector<'a>(loaded: &'a Loaded, connector: &ConnectorId) -> Result<&'a Connector, ReceiveError> {
        let found = loaded.catalog.connector(connector).filter(|found| found.saml().is_some());
        found.ok_or_else(|| ReceiveError::NoConnector(connector.clone()))
    }

    async fn carry_out(
        &self,
        connector: &ConnectorId,
        evidence: Evidence,
        caller: &Caller,
    ) -> Result<Received, ReceiveError> {
        let loaded = self.catalog.get().await?;
        let found = Self::connector(&loaded, connector)?;
        let (provider, asked) = self.judge(found, loaded.revision, evidence, logout::judge_request).await?;
        self.end_sessions(connector, &asked, caller).await?;
        let (settings, rng) = (&provider.settings, &*self.ground.rng);
        let answer = logout::respond(settings, &asked, &*provider.key, rng, self.ground.clock.now())?;
        Ok(Received::CarriedOut(answer))
    }

    /// Ends the sessions that a request names; all of it or nothing.
    async fn end_sessions(&self, connector: &ConnectorId, asked: &Asked, caller: &Caller) -> Result<(), ReceiveError> {
        let now = self.ground.clock.now();
        let mut tx = self.ground.store.begin().await?;
        if !first_time(&mut tx, &asked.issuer, &asked.id, asked.replay_until).await? {
            return Err(ReceiveError::Replayed { id: asked.id.clone() });
        }
        let mut found = sign_out::sessions_of_subject(&mut tx, connector, &asked.name_id, now).await?;
        found.retain(|(_, identity)| asked.names(&saml_subject(identity)));
        end_all(&self.endings, &mut tx, found, caller).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    async fn take_answer(&self, connector: &ConnectorId, evidence: Evidence) -> Result<Received, ReceiveError> {
        let now = self.ground.clock.now();
        // Taken out first: pass or fail, the same sign-out cannot be answered twice.
        let attempt = match evidence.relay_state()?.as_deref().and_then(Token::parse) {
            Some(handle) => self.ground.store.take_logout_attempt(&handle.hash()).await?,
            None => None,
        };
        let attempt = attempt.ok_or(ReceiveError::Unsolicited)?;
        if attempt.connector != *connector {
            return Err(ReceiveError::OtherConnector);
        }
        if now >= attempt.expires {
            return Err(ReceiveError::AttemptExpired);
        }
        let loaded = self.catalog.get().await?;
        let found = Self::connector(&loaded, connector)?;
        let request_id = attempt.request_id;
        let judge = move |evidence: &_, settings: &_, now| logout::judge_response(evidence, &request_id, settings, now);
        let (_, confirmation) = self.judge(found, loaded.revision, evidence, judge).await?;
        Ok(Received::Confirmed(confirmation))
    }

    /// Judges off the async threads; once more with new metadata if a key is unknown.
    async fn judge<T: Send + 'static>(
        &self,
        connector: &Connector,
        revision: i64,
        evidence: Evidence,
        judge: impl Fn(&Evidence, &crate::signin::saml::Settings, Timestamp) -> Result<T, LogoutError>
        + Clone
        + Send
        + 'static,
    ) -> Result<(Arc<SamlProvider>, T), ReceiveError> {
        let provider = self.connectors.saml(connector, revision).await?;
        let evidence = Arc::new(evidence);
        let judged = self.judge_once(Arc::clone(&provider), Arc::clone(&evidence), judge.clone()).await?;
        if judged.as_ref().is_err_and(LogoutError::may_be_a_new_key)
            && let known = Provider::Saml(Arc::clone(&provider))
            && let Some(Provider::Saml(fresh)) =
                self.connectors.refresh_for_unknown_key(connector, revision, &known).await
        {
            let judged = self.judge_once(Arc::clone(&fresh), evidence, judge).await?;
            return Ok((fresh, judged?));
        }
        Ok((provider, judged?))
    }

    async fn judge_once<T: Send + 'static>(
        &self,
        provider: Arc<SamlProvider>,
        evidence: Arc<Evidence>,
        judge: impl FnOnce(&Evidence, &crate::signin::saml::Settings, Timestamp) -> Result<T, LogoutError> + Send + 'static,
    ) -> Result<Result<T, LogoutError>, ReceiveError> {
        Ok(self.judges.judge(move |now| judge(&evidence, &provider.settings, now)).await?)
    }
}

/// Marks a provider's logout message as carried out; `false` when it was already.
pub(super) async fn first_time(tx: &mut Tx, issuer: &str, id: &str, until: Timestamp) -> Result<bool, StoreError> {
    // Prefixed: a provider could give an assertion and a logout message the same ID.
    sign_in::use_assertion(tx, issuer, &format!("logout:{id}"), until).await
}

/// Ends the sessions that a provider's logout message names.
pub(super) async fn end_all(
    endings: &Endings,
    tx: &mut Tx,
    named: Vec<(TokenHash, VerifiedIdentity)>,
    caller: &Caller,
) -> Result<(), StoreError> {
    for (session, _) in named {
        if let Some(ended) = sessions::remove(tx, &session).await? {
            endings.follow(tx, &ended, BY_PROVIDER, By::Caller(caller)).await?;
        }
    }
    Ok(())
}
