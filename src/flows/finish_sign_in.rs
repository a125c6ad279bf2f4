//! The browser comes back for its verified reply and leaves with a session.

use jiff::{SignedDuration, Timestamp};

use super::current::CurrentCatalog;
use super::endings::Endings;
use super::{Caller, Ground, public_id, test_sign_in};
use crate::audit::Kind;
use crate::identity::{ConnectorId, VerifiedIdentity};
use crate::store::sessions::{self, StoredSession};
use crate::store::sign_in::{self, Ticket};
use crate::store::{StoreError, Tx, tokens};
use crate::sys::{LocalPath, Token, TokenHash};

/// How long sessions last unless a connector says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct SessionTimes {
    pub idle: SignedDuration,
    pub absolute: SignedDuration,
}

/// Turns tickets into sessions.
#[derive(Debug, Clone)]
pub struct FinishSignIn {
    ground: Ground,
    catalog: CurrentCatalog,
    times: SessionTimes,
    endings: Endings,
}

/// A session that has just begun.
#[derive(Debug)]
pub struct Finished {
    pub session: Token,
    pub return_to: LocalPath,
}

/// What to do with a ticket.
#[derive(Debug)]
pub enum Outcome {
    SignedIn(Finished),
    /// Nobody here began it: show who would be signed in, and ask.
    AskFirst(Box<VerifiedIdentity>),
    /// It was a test: its report waits for whoever began it, and nobody is signed in.
    Tested,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    #[error("the ticket is unknown, used or expired")]
    NoTicket,
    #[error("the ticket belongs to another browser")]
    OtherBrowser,
    #[error("the connector was disabled or removed in the meantime")]
    ConnectorGone,
    #[error("the session at the identity provider has ended already")]
    Ended,
    #[error("finishing the sign-in ended in a panic")]
    Interrupted,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FinishSignIn {
    #[must_use]
    pub fn new(catalog: CurrentCatalog, times: SessionTimes, endings: Endings) -> Self {
        Self { ground: endings.ground.clone(), catalog, times, endings }
    }

    /// `GET …/finish`: the redirect after the reply. A ticket that nobody here began is looked at, not used.
    ///
    /// # Errors
    /// [`FinishError`]; the refusal is recorded.
    pub async fn arrive(
        &self,
        connector: &ConnectorId,
        ticket: &Token,
        browser: Option<&Token>,
        old_session: Option<&Token>,
        caller: &Caller,
    ) -> Result<Outcome, FinishError> {
        let waiting = self.ground.store.peek_ticket(&ticket.hash()).await?;
        match waiting {
            Some(waiting)
                if waiting.browser.is_none()
                    && waiting.connector == *connector
                    && self.ground.clock.now() < waiting.expires =>
            {
                Ok(Outcome::AskFirst(Box::new(waiting.identity)))
            }
            _ => self.finish(connector, ticket, browser, true, old_session, caller).await,
        }
    }

    /// `POST …/finish`: the person said yes to a sign-in that the identity provider began.
    ///
    /// # Errors
    /// [`FinishError`]; the refusal is recorded.
    pub async fn confirm(
        &self,
        connector: &ConnectorId,
        ticket: &Token,
        old_session: Option<&Token>,
        caller: &Caller,
    ) -> Result<Outcome, FinishError> {
        self.finish(connector, ticket, None, false, old_session, caller).await
    }

    async fn finish(
        &self,
        connector: &ConnectorId,
        ticket: &Token,
        browser: Option<&Token>,
        must_match: bool,
        old_session: Option<&Token>,
        caller: &Caller,
    ) -> Result<Outcome, FinishError> {
        let (flow, connector, ticket) = (self.clone(), connector.clone(), ticket.clone());
        let (browser, old_session, caller) = (browser.cloned(), old_session.cloned(), caller.clone());
        self.ground
            .tasks
            .uninterrupted(async move {
                flow.spend(&connector, &ticket, browser.as_ref(), must_match, old_session.as_ref(), &caller).await
            })
            .await
            .unwrap_or(Err(FinishError::Interrupted))
    }

    async fn spend(
        &self,
        connector: &ConnectorId,
        ticket: &Token,
        browser: Option<&Token>,
        must_match: bool,
        old_session: Option<&Token>,
        caller: &Caller,
    ) -> Result<Outcome, FinishError> {
        let now = self.ground.clock.now();
        let loaded = self.catalog.get().await?;
        let mut tx = self.ground.store.begin().await?;
        let found = sign_in::take_ticket(&mut tx, &ticket.hash()).await?;
        let test = found.as_ref().and_then(|found| found.test.as_ref()).map(|test| test.code);
        let refused = Refused { connector, test: test.as_ref(), caller };
        let judged = found
            .filter(|found| found.connector == *connector && now < found.expires)
            .ok_or(FinishError::NoTicket)
            .and_then(|found| {
                let same = match found.browser {
                    Some(began) => browser.is_some_and(|browser| browser.is(&began)),
                    None => !must_match,
                };
                if same { Ok(found) } else { Err(FinishError::OtherBrowser) }
            });
        let ticket = match judged {
            Ok(ticket) => ticket,
            Err(error) => return Err(self.refuse(tx, error, &refused).await),
        };
        let Some(settings) = loaded.catalog.connector(connector).filter(|connector| connector.enabled) else {
            return Err(self.refuse(tx, FinishError::ConnectorGone, &refused).await);
        };
        let seconds = |limit: std::time::Duration| SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX);
        let idle = settings.session.idle.map_or(self.times.idle, seconds);
        let absolute = settings.session.absolute.map_or(self.times.absolute, seconds);
        let expires = session_end(now, absolute, &ticket);
        if expires <= now {
            return Err(self.refuse(tx, FinishError::Ended, &refused).await);
        }
        let Ticket { mut identity, return_to, sealed_id_token, test, .. } = ticket;
        identity.link = loaded.catalog.linked(&identity);
        if let Some(test) = test {
            // Whatever session this browser has goes on; it gets no other.
            let kept = &test.sealed_received;
            let gives =
                test_sign_in::verified(&self.ground, &mut tx, &test.code, kept, settings, &loaded, &identity).await?;
            let event = caller
                .event(Kind::ConnectorTested)
                .with("connector", connector.as_str())
                .with("groups", identity.groups.known().len())
                .with("groups_complete", matches!(identity.groups, crate::identity::Groups::Complete { .. }))
                .with("rules", gives.rules.len())
                .with("roles", gives.roles);
            self.ground.append(&mut tx, &event).await?;
            tx.commit().await.map_err(StoreError::from)?;
            return Ok(Outcome::Tested);
        }
        let session = Token::generate(&*self.ground.rng);
        let public_id = public_id(&*self.ground.rng);
        let methods = &identity.authentication.methods;
        let event = caller
            .event(Kind::SignInSucceeded)
            .about(&identity.subject)
            .with("session", public_id.as_str())
            .with("connector", connector.as_str())
            .with_some("name", identity.name.as_deref())
            .with_some("email", identity.email.as_deref())
            .with("groups", identity.groups.known().len())
            .with("groups_complete", matches!(identity.groups, crate::identity::Groups::Complete { .. }))
            .with_some("link", identity.link.as_ref().map(|_| identity.person().to_string()))
            .with_some("authn_context", identity.authentication.context_class.as_deref())
            .with_some("authn_methods", (!methods.is_empty()).then(|| methods.clone()))
            .with("session_expires", expires.to_string());
        let stored = StoredSession {
            public_id,
            sealed_id_token,
            identity,
            created: now,
            last_seen: now,
            idle,
            expires,
            client_address: caller.address.to_string(),
            user_agent: caller.user_agent.clone(),
        };
        if let Some(old) = old_session {
            // A new id at every sign-in: one that was planted before is worth nothing after.
            if let Some(ended) = sessions::remove(&mut tx, &old.hash()).await? {
                self.endings.replace(&mut tx, &ended, &stored, caller).await?;
            }
        }
        sessions::add(&mut tx, &session.hash(), &stored).await?;
        tokens::vouch(&mut tx, &stored.identity, now).await?;
        self.ground.append(&mut tx, &event).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Outcome::SignedIn(Finished { session, return_to: LocalPath::parse_or_home(Some(&return_to)) }))
    }

    /// Records the refusal and lets the ticket be used up: both are committed, whatever the caller does next.
    async fn refuse(&self, mut tx: Tx, error: FinishError, refused: &Refused<'_>) -> FinishError {
        let Refused { connector, test, caller } = *refused;
        let cause = match &error {
            FinishError::NoTicket => "no-ticket",
            FinishError::OtherBrowser => "other-browser",
            FinishError::ConnectorGone => "connector-gone",
            FinishError::Ended => "session-ended-at-identity-provider",
            FinishError::Interrupted | FinishError::Store(_) => return error,
        };
        let event = caller
            .event(Kind::SignInRefused)
            .with("connector", connector.as_str())
            .with("cause", cause)
            .with("detail", error.to_string());
        let recorded = async {
            self.ground.append(&mut tx, &event).await?;
            if let Some(code) = test {
                let detail = error.to_string();
                test_sign_in::refused(&self.ground, &mut tx, code, connector, cause, &detail).await?;
            }
            tx.commit().await.map_err(StoreError::from)
        };
        match recorded.await {
            Ok(()) => error,
            Err(store) => store.into(),
        }
    }
}

/// Who is refused, and who else has to know.
struct Refused<'r> {
    connector: &'r ConnectorId,
    /// The test that ends with it.
    test: Option<&'r TokenHash>,
    caller: &'r Caller,
}

/// The earlier of our own limit and the end of the session at the identity provider.
fn session_end(now: Timestamp, absolute: SignedDuration, ticket: &Ticket) -> Timestamp {
    let ours = now.checked_add(absolute).unwrap_or(Timestamp::MAX);
    ticket.identity.authentication.session_not_on_or_after.map_or(ours, |theirs| ours.min(theirs))
}
