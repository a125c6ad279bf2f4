//! Somebody leaves: their session ends here first, and then at the identity provider where it can be.

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use super::connectors::oidc::OidcProvider;
use super::connectors::saml::SamlProvider;
use super::connectors::{ConnectorError, Connectors, Provider};
use super::current::CurrentCatalog;
use super::receive_code::id_token_place;
use super::sessions::{LiveSession, Sessions};
use super::{Caller, Ground, chain_of};
use crate::identity::{ConnectorId, VerifiedIdentity};
use crate::signin::Outgoing;
use crate::signin::oidc::logout::end_session;
use crate::signin::saml::logout::{self, MessageError, Subject};
use crate::store::StoreError;
use crate::store::sign_out::LogoutAttempt;
use crate::sys::Token;

/// Signs people out.
#[derive(Debug, Clone)]
pub struct SignOut {
    pub ground: Ground,
    pub catalog: CurrentCatalog,
    pub connectors: Connectors,
    pub sessions: Sessions,
    /// How long the provider, and a person it asks, may take.
    pub attempt_ttl: SignedDuration,
}

/// What is left to do once the session here has ended.
#[derive(Debug)]
pub enum Onward {
    /// Take this to the identity provider, which signs the person out there and sends them back.
    ToProvider(Outgoing),
    /// The provider offers no sign-out: it may still know the person.
    NotOffered,
    /// What the provider offers could not be found out or used just now: it may still know the person.
    Unreachable,
}

/// Why somebody was not signed out.
#[derive(Debug, thiserror::Error)]
pub enum SignOutError {
    #[error("signing out ended in a panic")]
    Interrupted,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the provider is not asked, although perhaps it could be.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    #[error("the logout request cannot be made")]
    Message(#[from] MessageError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SignOut {
    /// Ends a session, and says what is left to do.
    ///
    /// # Errors
    /// [`SignOutError`]; then the session may go on. What goes wrong after it has ended is no error.
    pub async fn run(&self, session: &LiveSession, caller: &Caller) -> Result<Onward, SignOutError> {
        let (flow, session, caller) = (self.clone(), session.clone(), caller.clone());
        self.ground
            .tasks
            .uninterrupted(async move { flow.end_and_ask(&session, &caller).await })
            .await
            .unwrap_or(Err(SignOutError::Interrupted))
    }

    async fn end_and_ask(&self, session: &LiveSession, caller: &Caller) -> Result<Onward, SignOutError> {
        let ended = self.sessions.end(&session.token, caller).await?;
        let sealed_id_token = ended.and_then(|ended| ended.sealed_id_token);
        let identity = &session.identity;
        match self.ask(identity, sealed_id_token.as_deref()).await {
            Ok(Some(outgoing)) => Ok(Onward::ToProvider(outgoing)),
            Ok(None) => Ok(Onward::NotOffered),
            Err(error) => {
                tracing::warn!(
                    connector.id = %identity.subject.connector, request.id = caller.request_id, cause = chain_of(&error),
                    "somebody signed out here could not be signed out at the identity provider"
                );
                Ok(Onward::Unreachable)
            }
        }
    }

    /// The request to the provider; `None` when it offers no logout.
    async fn ask(
        &self,
        identity: &VerifiedIdentity,
        sealed_id_token: Option<&[u8]>,
    ) -> Result<Option<Outgoing>, AskError> {
        let loaded = self.catalog.get().await?;
        // A connector that was disabled signs nobody in; out it may.
        let Some(connector) = loaded.catalog.connector(&identity.subject.connector) else { return Ok(None) };
        let handle = Token::generate(&*self.ground.rng);
        let asked = match self.connectors.ready(connector, loaded.revision).await? {
            Provider::Saml(provider) => self.ask_saml(&provider, identity, &handle)?,
            Provider::Oidc(provider) => self.ask_oidc(&provider, identity, sealed_id_token, &handle),
            // Nobody has a session through one.
            Provider::Workload(_) => None,
        };
        let Some((outgoing, request_id)) = asked else { return Ok(None) };
        let now = self.ground.clock.now();
        let attempt = LogoutAttempt {
            connector: connector.id.clone(),
            request_id,
            started: now,
            expires: now.checked_add(self.attempt_ttl).unwrap_or(Timestamp::MAX),
        };
        self.ground.store.add_logout_attempt(&handle.hash(), &attempt).await?;
        Ok(Some(outgoing))
    }

    /// The request and its ID.
    fn ask_saml(
        &self,
        provider: &SamlProvider,
        identity: &VerifiedIdentity,
        handle: &Token,
    ) -> Result<Option<(Outgoing, String)>, MessageError> {
        let (rng, now) = (&*self.ground.rng, self.ground.clock.now());
        let subject = saml_subject(identity);
        let sent = logout::request(&provider.settings, &subject, handle.expose_secret(), &*provider.key, rng, now)?;
        Ok(sent.map(|sent| (sent.outgoing, sent.request_id)))
    }

    /// The request; it has no ID of its own.
    fn ask_oidc(
        &self,
        provider: &OidcProvider,
        identity: &VerifiedIdentity,
        sealed_id_token: Option<&[u8]>,
        handle: &Token,
    ) -> Option<(Outgoing, String)> {
        let place = id_token_place(&identity.subject.connector, identity.asserted_subject());
        // Without the token most providers ask the person first, which is better than not to be asked.
        let id_token = sealed_id_token.and_then(|sealed| self.ground.sealing.open(&place, sealed).ok());
        let id_token = id_token.and_then(|token| std::str::from_utf8(&token).ok().map(SecretString::from));
        let outgoing =
            end_session(&provider.settings, id_token.as_ref(), &provider.signed_out_url, handle.expose_secret())?;
        Some((outgoing, String::new()))
    }

    /// An OpenID provider sends a browser back from signing out there. Says whether we had sent it there; each sign-out
    /// is known once.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn came_back(&self, connector: &ConnectorId, state: &Token) -> Result<bool, StoreError> {
        let attempt = self.ground.store.take_logout_attempt(&state.hash()).await?;
        let now = self.ground.clock.now();
        Ok(attempt.is_some_and(|attempt| attempt.connector == *connector && now < attempt.expires))
    }
}

/// Whom a session is about, as its assertion said.
pub(super) fn saml_subject(identity: &VerifiedIdentity) -> Subject<'_> {
    Subject {
        name_id: identity.asserted_subject(),
        qualifiers: &identity.qualifiers,
        session_index: identity.authentication.session_index.as_deref(),
    }
}
