//! An identity provider's reply arrives and is judged, once.
//!
//! It comes as a cross-site POST, so the browser's `SameSite=Lax` cookies are absent. The reply is verified here, the
//! verified result is parked under a one-time ticket, and the browser is sent to a GET of ours, where its cookie is
//! there to be matched: `flows::finish_sign_in`.

use std::sync::Arc;

use jiff::SignedDuration;

use super::connectors::saml::SamlProvider;
use super::connectors::{ConnectorError, Connectors, Provider};
use super::current::CurrentCatalog;
use super::judges::{Judges, NoVerdict};
use super::{Caller, Ground, chain_of, test_sign_in};
use crate::audit::Kind;
use crate::identity::ConnectorId;
use crate::signin::SignIn;
use crate::signin::saml::{self, SamlError, VerifiedReply, judge_unsolicited};
use crate::store::StoreError;
use crate::store::sign_in::{self, Attempt, TestTicket, Ticket};
use crate::sys::{LocalPath, Token, TokenHash};

/// Judges replies.
#[derive(Debug, Clone)]
pub struct ReceiveReply {
    pub ground: Ground,
    pub catalog: CurrentCatalog,
    pub connectors: Connectors,
    /// How long the browser may take from the reply to the session.
    pub ticket_ttl: SignedDuration,
    /// Bounds how much XML is looked at at once, off the threads that serve requests.
    pub judges: Judges,
}

/// Why a reply was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ReplyError {
    #[error("no enabled connector is called `{0}`")]
    NoConnector(ConnectorId),
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    #[error("the reply answers no sign-in that is waiting, and the connector accepts no other")]
    Unsolicited,
    #[error("the sign-in was begun too long ago")]
    AttemptExpired,
    #[error("the sign-in was begun through another connector")]
    OtherConnector,
    #[error("the reply is not believed")]
    Refused(#[from] SamlError),
    #[error("the assertion {assertion_id} was accepted before")]
    Replayed { assertion_id: String },
    #[error("too many replies are being judged at once")]
    Busy,
    #[error("judging the reply ended in a panic")]
    Panicked,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NoVerdict> for ReplyError {
    fn from(none: NoVerdict) -> Self {
        match none {
            NoVerdict::Busy => Self::Busy,
            NoVerdict::Panicked => Self::Panicked,
        }
    }
}

impl ReplyError {
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
            Self::Busy => "busy",
            Self::Panicked => "panicked",
            Self::Store(_) => "store",
        }
    }
}

impl ReceiveReply {
    /// Judges a reply and parks the result.
    ///
    /// # Errors
    /// [`ReplyError`]. The refusal is recorded with its true cause, under the caller's request id.
    pub async fn run(
        &self,
        connector: &ConnectorId,
        reply: String,
        relay_state: Option<&str>,
        caller: &Caller,
    ) -> Result<Token, ReplyError> {
        let flow = self.clone();
        let (connector, relay_state, caller) = (connector.clone(), relay_state.map(str::to_owned), caller.clone());
        let judged = async move { flow.judge_and_record(&connector, reply, relay_state.as_deref(), &caller).await };
        self.ground.tasks.uninterrupted(judged).await.unwrap_or(Err(ReplyError::Panicked))
    }

    async fn judge_and_record(
        &self,
        connector: &ConnectorId,
        reply: String,
        relay_state: Option<&str>,
        caller: &Caller,
    ) -> Result<Token, ReplyError> {
        let mut test = None;
        match self.accept(connector, reply, relay_state, &mut test).await {
            Ok(ticket) => Ok(ticket),
            Err(error) => {
                self.record_refusal(connector, error.cause(), &error, caller).await?;
                let detail = chain_of(&error);
                test_sign_in::refused_alone(&self.ground, test.as_ref(), connector, error.cause(), &detail).await?;
                Err(error)
            }
        }
    }

    /// Records a refusal; also that of something which could not even be read as a reply.
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
        self.ground.record_refusal(Kind::SignInRefused, connector, cause, error, caller).await
    }

    /// However it ends, `test` says whether it was one.
    async fn accept(
        &self,
        connector: &ConnectorId,
        reply: String,
        relay_state: Option<&str>,
        test: &mut Option<TokenHash>,
    ) -> Result<Token, ReplyError> {
        let now = self.ground.clock.now();
        // Taken out first: pass or fail, the same sign-in cannot be answered twice.
        let attempt = match relay_state.and_then(Token::parse) {
            Some(handle) => self.ground.store.take_attempt(&handle.hash()).await?,
            None => None,
        };
        *test = attempt.as_ref().and_then(|attempt| attempt.test);
        let loaded = self.catalog.get().await?;
        let found = loaded.catalog.connector(connector).filter(|found| found.enabled && found.is_for_people());
        let found = found.ok_or_else(|| ReplyError::NoConnector(connector.clone()))?;
        let idp_initiated = found.saml().is_some_and(|saml| saml.idp_initiated);
        match &attempt {
            Some(attempt) if attempt.connector != *connector => return Err(ReplyError::OtherConnector),
            Some(attempt) if now >= attempt.expires => return Err(ReplyError::AttemptExpired),
            None if !idp_initiated => return Err(ReplyError::Unsolicited),
            _ => {}
        }
        let provider = self.connectors.saml(found, loaded.revision).await?;
        let reply = Arc::new(reply);
        let pending = attempt.as_ref().map(|attempt| saml::Attempt {
            request_id: attempt.request_id.clone(),
            sent_at: attempt.started,
            force_authn: attempt.force_authn,
            demand: attempt.demand.clone(),
        });
        let known = Provider::Saml(Arc::clone(&provider));
        let mut judged = self.judge(provider, Arc::clone(&reply), pending.clone()).await?;
        if matches!(judged, Err(SamlError::Signature(_))) {
            // Perhaps the provider rolled its key over: look at its metadata again, at most once a minute.
            let fresh = self.connectors.refresh_for_unknown_key(found, loaded.revision, &known).await;
            if let Some(Provider::Saml(fresh)) = fresh {
                judged = self.judge(fresh, reply, pending).await?;
            }
        }
        self.park(connector, judged?, attempt, relay_state).await
    }

    async fn judge(
        &self,
        provider: Arc<SamlProvider>,
        reply: Arc<String>,
        pending: Option<saml::Attempt>,
    ) -> Result<Result<VerifiedReply, SamlError>, ReplyError> {
        let judged = self.judges.judge(move |now| match pending {
            Some(attempt) => {
                SignIn::resume(attempt).judge(reply.as_bytes(), &provider.settings, now).map(SignIn::into_reply)
            }
            None => judge_unsolicited(reply.as_bytes(), &provider.settings, now),
        });
        Ok(judged.await?)
    }

    async fn park(
        &self,
        connector: &ConnectorId,
        reply: VerifiedReply,
        attempt: Option<Attempt>,
        relay_state: Option<&str>,
    ) -> Result<Token, ReplyError> {
        let now = self.ground.clock.now();
        let ticket = Token::generate(&*self.ground.rng);
        let mut tx = self.ground.store.begin().await?;
        if !sign_in::use_assertion(&mut tx, &reply.issuer, &reply.assertion_id, reply.replay_until).await? {
            return Err(ReplyError::Replayed { assertion_id: reply.assertion_id });
        }
        let test = attempt.as_ref().and_then(|attempt| attempt.test).map(|code| TestTicket {
            code,
            sealed_received: test_sign_in::keep(&self.ground, &code, &reply.received, None),
        });
        let (browser, return_to) = match attempt {
            Some(attempt) => (Some(attempt.browser), LocalPath::parse_or_home(Some(&attempt.return_to))),
            // The provider's RelayState may name a page of ours, and nothing else.
            None => (None, LocalPath::parse_or_home(relay_state)),
        };
        let parked = Ticket {
            connector: connector.clone(),
            browser,
            identity: reply.identity,
            sealed_id_token: None,
            return_to: return_to.to_string(),
            expires: now.checked_add(self.ticket_ttl).unwrap_or(jiff::Timestamp::MAX),
            test,
        };
        sign_in::add_ticket(&mut tx, &ticket.hash(), &parked).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(ticket)
    }
}
