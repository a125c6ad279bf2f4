//! An OpenID provider's answer arrives: its code is exchanged, what comes of it is judged, once.
//!
//! Answers by GET bring our cookie along: whose they are is known before anybody is called. Answers by POST
//! (`response_mode=form_post`) come cross-site and without it. Both end as SAML replies do: what was verified is parked
//! under a one-time ticket, and the browser is matched when it comes back for it (`flows::finish_sign_in`).

use std::sync::Arc;

use jiff::SignedDuration;
use secrecy::ExposeSecret as _;

use super::connectors::oidc::{OidcProvider, SLOWEST};
use super::connectors::{ConnectorError, Connectors, Provider};
use super::current::CurrentCatalog;
use super::places::Places;
use super::{Caller, Ground, chain_of, test_sign_in};
use crate::audit::Kind;
use crate::catalog::ResponseMode;
use crate::identity::ConnectorId;
use crate::signin::SignIn;
use crate::signin::oidc::{
    Attempt, AttemptSecrets, Callback, OidcError, TokenRequest, TokenResponse, UserinfoAnswer, UserinfoRequest,
    VerifiedReply,
};
use crate::store::StoreError;
use crate::store::sign_in::{self, TestTicket, Ticket};
use crate::sys::http::{Answer, FetchError, Outbound};
use crate::sys::{Token, TokenHash};

/// Exchanges codes.
#[derive(Debug, Clone)]
pub struct ReceiveCode {
    pub ground: Ground,
    pub catalog: CurrentCatalog,
    pub connectors: Connectors,
    pub http: Outbound,
    /// How long the browser may take from the answer to the session.
    pub ticket_ttl: SignedDuration,
    /// Bounds how many answers are being waited for at once.
    pub calls: Places,
}

/// How the answer came.
#[derive(Debug, Clone)]
pub enum Via {
    /// With whatever cookie the browser has for us.
    Query { browser: Option<Token> },
    /// Cross-site, without a cookie.
    FormPost,
}

/// Why an answer was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    #[error("no enabled connector is called `{0}`")]
    NoConnector(ConnectorId),
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    #[error("the answer belongs to no sign-in that is waiting")]
    NoAttempt,
    #[error("the sign-in was begun too long ago")]
    AttemptExpired,
    #[error("the sign-in was begun through another connector")]
    OtherConnector,
    #[error("the sign-in was begun in another browser")]
    OtherBrowser,
    #[error("the answer came by another way than this connector asks for")]
    ResponseMode,
    #[error("the answer is not believed")]
    Refused(#[from] OidcError),
    #[error("the token endpoint could not be asked")]
    Token(#[source] FetchError),
    #[error("the client assertion could not be signed")]
    Sign(#[source] crate::saml::key::KeyError),
    #[error("the ID token {id} was accepted before")]
    Replayed { id: String },
    #[error("too many providers are being waited for at once")]
    Busy,
    #[error("exchanging the code ended in a panic")]
    Panicked,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CodeError {
    /// The stable word for the audit event.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoConnector(_) => "connector-unknown",
            Self::Connector(error) => error.code(),
            Self::NoAttempt => "no-attempt",
            Self::AttemptExpired => "attempt-expired",
            Self::OtherConnector => "other-connector",
            Self::OtherBrowser => "other-browser",
            Self::ResponseMode => "response-mode-wrong",
            Self::Refused(error) => error.code(),
            Self::Token(error) => error.code(),
            Self::Sign(_) => "client-assertion-unsigned",
            Self::Replayed { .. } => "replayed",
            Self::Busy => "busy",
            Self::Panicked => "panicked",
            Self::Store(_) => "store",
        }
    }
}

/// How long an answer may wait for its turn.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// What derives the secrets of an attempt from its `state`; see [`AttemptSecrets`].
#[must_use]
pub fn attempt_key(ground: &Ground) -> [u8; 32] {
    ground.sealing.derive("rolegate oidc attempt v1")
}

/// Where a sealed ID token opens.
#[must_use]
pub fn id_token_place(connector: &ConnectorId, asserted: &str) -> String {
    format!("id-token:{connector}:{asserted}")
}

impl ReceiveCode {
    /// Exchanges the code in `parameters` (a query or a form, still encoded), judges what comes of it and parks the
    /// result.
    ///
    /// # Errors
    /// [`CodeError`]. The refusal is recorded with its true cause, under the caller's request id.
    pub async fn run(
        &self,
        connector: &ConnectorId,
        parameters: String,
        via: Via,
        caller: &Caller,
    ) -> Result<Token, CodeError> {
        let flow = self.clone();
        let (connector, caller) = (connector.clone(), caller.clone());
        let exchanged = async move {
            let mut test = None;
            match flow.accept(&connector, &parameters, &via, &mut test).await {
                Ok(ticket) => Ok(ticket),
                Err(error) => {
                    flow.record_refusal(&connector, error.code(), &error, &caller).await?;
                    let detail = chain_of(&error);
                    test_sign_in::refused_alone(&flow.ground, test.as_ref(), &connector, error.code(), &detail).await?;
                    Err(error)
                }
            }
        };
        self.ground.tasks.uninterrupted(exchanged).await.unwrap_or(Err(CodeError::Panicked))
    }

    /// Records a refusal; also that of something which could not even be read as an answer.
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
        parameters: &str,
        via: &Via,
        test: &mut Option<TokenHash>,
    ) -> Result<Token, CodeError> {
        let callback = Callback::read(parameters)?;
        // Taken out first: pass or fail, the same sign-in cannot be answered twice.
        let state = callback.state().clone();
        let attempt = self.ground.store.take_attempt(&state.hash()).await?.ok_or(CodeError::NoAttempt)?;
        *test = attempt.test;
        if attempt.connector != *connector {
            return Err(CodeError::OtherConnector);
        }
        if self.ground.clock.now() >= attempt.expires {
            return Err(CodeError::AttemptExpired);
        }
        let loaded = self.catalog.get().await?;
        let found = loaded.catalog.connector(connector).filter(|found| found.enabled);
        let found = found.ok_or_else(|| CodeError::NoConnector(connector.clone()))?;
        match (via, found.oidc().map(|oidc| oidc.response_mode)) {
            (Via::Query { browser }, Some(ResponseMode::Query)) => {
                if !browser.as_ref().is_some_and(|browser| browser.is(&attempt.browser)) {
                    return Err(CodeError::OtherBrowser);
                }
            }
            (Via::FormPost, Some(ResponseMode::FormPost)) => {}
            (_, Some(_)) => return Err(CodeError::ResponseMode),
            (_, None) => return Err(CodeError::NoConnector(connector.clone())),
        }
        let provider = self.connectors.oidc(found, loaded.revision).await?;
        let code = callback.code(&provider.settings)?;
        let secrets = AttemptSecrets::derive(&attempt_key(&self.ground), &state);

        let _place = self.calls.take(connector, PATIENCE).await.ok_or(CodeError::Busy)?;
        let now = self.ground.clock.now();
        let request =
            TokenRequest::new(&provider.settings, &provider.credential, &code, &secrets, &*self.ground.rng, now)
                .map_err(CodeError::Sign)?;
        let tokens = self.exchange(&provider, &request).await?;
        let mut provider = provider;
        if tokens.wants_newer_keys(&provider.settings)
            && let known = Provider::Oidc(Arc::clone(&provider))
            && let Some(Provider::Oidc(fresh)) =
                self.connectors.refresh_for_unknown_key(found, loaded.revision, &known).await
        {
            // Perhaps the provider rolled its key over: its JWK set was asked for again, at most once a minute.
            provider = fresh;
        }
        let pending =
            Attempt { sent_at: attempt.started, force_authn: attempt.force_authn, demand: attempt.demand.clone() };
        let now = self.ground.clock.now();
        let recognised = SignIn::resume(pending).judge(tokens, &secrets, &provider.settings, now)?;
        let asked = match recognised.userinfo_request(&provider.settings) {
            Some(request) => Some(self.userinfo(&provider, &request).await),
            None => None,
        };
        let failure = asked.as_ref().and_then(|asked| asked.as_ref().err()).map(|error| chain_of(error));
        let answer = match (&asked, &failure) {
            (None, _) => UserinfoAnswer::NotAsked,
            (Some(Ok(answer)), _) => UserinfoAnswer::Answered {
                status: answer.status,
                content_type: answer.content_type.as_deref(),
                body: &answer.body,
            },
            (Some(Err(_)), failure) => UserinfoAnswer::Failed(failure.as_deref().unwrap_or_default()),
        };
        if answer.wants_newer_keys(&provider.settings)
            && let known = Provider::Oidc(Arc::clone(&provider))
            && let Some(Provider::Oidc(fresh)) =
                self.connectors.refresh_for_unknown_key(found, loaded.revision, &known).await
        {
            provider = fresh;
        }
        let reply = recognised.finish(answer, &provider.settings, self.ground.clock.now())?.into_reply();
        if let Some(why) = &reply.userinfo_failure {
            tracing::warn!(connector.id = %connector, cause = why, "userinfo could not be had; nothing was missing without it");
        }
        self.park(connector, reply, attempt).await
    }

    async fn exchange(&self, provider: &OidcProvider, request: &TokenRequest) -> Result<TokenResponse, CodeError> {
        let limit = provider.settings.max_bytes;
        let answer = self
            .http
            .post_form(provider.reach, &request.url, request.authorization.as_ref(), &request.body, limit, SLOWEST)
            .await
            .map_err(CodeError::Token)?;
        Ok(TokenResponse::read(answer.status, &answer.body, &provider.settings)?)
    }

    async fn userinfo(&self, provider: &OidcProvider, request: &UserinfoRequest) -> Result<Answer, FetchError> {
        let limit = provider.settings.max_bytes;
        self.http.get_with_bearer(provider.reach, &request.url, &request.access_token, limit, SLOWEST).await
    }

    async fn park(
        &self,
        connector: &ConnectorId,
        reply: VerifiedReply,
        attempt: sign_in::Attempt,
    ) -> Result<Token, CodeError> {
        let now = self.ground.clock.now();
        let ticket = Token::generate(&*self.ground.rng);
        let place = id_token_place(connector, reply.identity.asserted_subject());
        let sealed = self.ground.sealing.seal(&place, reply.id_token.expose_secret().as_bytes(), &*self.ground.rng);
        let mut tx = self.ground.store.begin().await?;
        if !sign_in::use_assertion(&mut tx, &reply.issuer, &reply.assertion_id, reply.replay_until).await? {
            return Err(CodeError::Replayed { id: reply.assertion_id });
        }
        let test = attempt.test.map(|code| {
            let failure = reply.userinfo_failure.as_deref();
            TestTicket { code, sealed_received: test_sign_in::keep(&self.ground, &code, &reply.received, failure) }
        });
        let parked = Ticket {
            connector: connector.clone(),
            browser: Some(attempt.browser),
            identity: reply.identity,
            sealed_id_token: Some(sealed),
            return_to: attempt.return_to,
            expires: now.checked_add(self.ticket_ttl).unwrap_or(jiff::Timestamp::MAX),
            test,
        };
        sign_in::add_ticket(&mut tx, &ticket.hash(), &parked).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(ticket)
    }
}
