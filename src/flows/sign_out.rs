//! Somebody leaves: their session ends here first, and then at the identity provider where it can be.

use jiff::{SignedDuration, Timestamp};

use super::connectors::{ConnectorError, Connectors, Provider};
use super::current::CurrentCatalog;
use super::sessions::{LiveSession, Sessions};
use super::{Caller, Ground, chain_of};
use crate::identity::VerifiedIdentity;
use crate::signin::saml::logout::{self, MessageError, Outgoing, Subject};
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
        self.sessions.end(&session.token, caller).await?;
        let identity = &session.identity;
        match self.ask(identity).await {
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
    async fn ask(&self, identity: &VerifiedIdentity) -> Result<Option<Outgoing>, AskError> {
        let loaded = self.catalog.get().await?;
        // A connector that was disabled signs nobody in; out it may.
        let Some(connector) = loaded.catalog.connector(&identity.subject.connector) else { return Ok(None) };
        let Provider::Saml(provider) = self.connectors.ready(connector, loaded.revision).await? else {
            return Ok(None);
        };
        let now = self.ground.clock.now();
        let handle = Token::generate(&*self.ground.rng);
        let subject = saml_subject(identity);
        let sent = logout::request(
            &provider.settings,
            &subject,
            handle.expose_secret(),
            &*provider.key,
            &*self.ground.rng,
            now,
        )?;
        let Some(sent) = sent else { return Ok(None) };
        let attempt = LogoutAttempt {
            connector: connector.id.clone(),
            request_id: sent.request_id,
            started: now,
            expires: now.checked_add(self.attempt_ttl).unwrap_or(Timestamp::MAX),
        };
        self.ground.store.add_logout_attempt(&handle.hash(), &attempt).await?;
        Ok(Some(sent.outgoing))
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
