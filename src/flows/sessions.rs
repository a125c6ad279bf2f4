//! Recognising a browser that has signed in, and ending its session.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::endings::{By, Endings};
use super::{Caller, Ground};
use crate::audit::Kind;
use crate::identity::{ConnectorId, PersonId, VerifiedIdentity};
use crate::store::sessions::{Ended, StoredSession};
use crate::store::{StoreError, sessions};
use crate::sys::Token;

/// A session that counts right now.
#[derive(Debug, Clone)]
pub struct LiveSession {
    pub token: Token,
    /// Names it in lists; opens nothing.
    pub public_id: String,
    pub identity: Arc<VerifiedIdentity>,
    pub created: Timestamp,
    /// When it ends however busy it is.
    pub expires: Timestamp,
    /// How long it may be left alone.
    pub idle: SignedDuration,
}

/// How stale `last_seen` may be: each click need not cost a write.
const TOUCH_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// Whose sessions an administrator ends.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'a> {
    Person(&'a PersonId),
    /// Everybody who came through it.
    Connector(&'a ConnectorId),
}

const BY_PERSON: &str = "ended-by-person";

/// Sessions of browsers.
#[derive(Debug, Clone)]
pub struct Sessions {
    ground: Ground,
    endings: Endings,
}

/// What an administrator ended.
#[derive(Debug, Default)]
pub struct EndedByAdmin {
    pub sessions: Vec<Ended>,
    /// How many authorizations of programs went with them.
    pub authorizations: usize,
}

impl std::ops::AddAssign for EndedByAdmin {
    fn add_assign(&mut self, more: Self) {
        self.sessions.extend(more.sessions);
        self.authorizations += more.authorizations;
    }
}

impl Sessions {
    #[must_use]
    pub fn new(endings: Endings) -> Self {
        Self { ground: endings.ground.clone(), endings }
    }

    /// The live session behind a cookie, if there is one.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn find(&self, token: Token) -> Result<Option<LiveSession>, StoreError> {
        let now = self.ground.clock.now();
        let hash = token.hash();
        let Some(stored) = self.ground.store.session(&hash).await? else { return Ok(None) };
        if !stored.is_live(now) {
            return Ok(None);
        }
        // The idle limit may be shorter than a few touches; never let the saving of writes end a busy session.
        if now.duration_since(stored.last_seen) >= TOUCH_EVERY.min(stored.idle / 4) {
            self.ground.store.touch_session(&hash, now).await?;
        }
        Ok(Some(LiveSession {
            token,
            public_id: stored.public_id,
            identity: Arc::new(stored.identity),
            created: stored.created,
            expires: stored.expires,
            idle: stored.idle,
        }))
    }

    /// The live sessions of a person, the one used last first.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn of(&self, person: &PersonId) -> Result<Vec<StoredSession>, StoreError> {
        let now = self.ground.clock.now();
        let mut found = self.ground.store.sessions_of(person).await?;
        found.retain(|session| session.is_live(now));
        Ok(found)
    }

    /// All live sessions, the one used last first.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn all(&self) -> Result<Vec<StoredSession>, StoreError> {
        let now = self.ground.clock.now();
        let mut found = self.ground.store.all_sessions().await?;
        found.retain(|session| session.is_live(now));
        Ok(found)
    }

    /// Ends sessions from outside, and says whose they were. `by` is who did it.
    ///
    /// # Errors
    /// The database refuses; the sessions may go on.
    pub async fn end_by_admin(&self, whose: Whose<'_>, by: &str) -> Result<EndedByAdmin, StoreError> {
        let mut tx = self.ground.store.begin().await?;
        let all = match whose {
            Whose::Person(person) => sessions::remove_all_of(&mut tx, person, None).await?,
            Whose::Connector(connector) => sessions::remove_all_through(&mut tx, connector).await?,
        };
        let mut authorizations = 0;
        for ended in &all {
            authorizations += self.endings.follow(&mut tx, ended, "ended-by-admin", By::Admin(by)).await?;
        }
        tx.commit().await?;
        Ok(EndedByAdmin { sessions: all, authorizations })
    }

    /// Ends one of the person's own sessions. `false`: there is none of that id, or it is not theirs; that is recorded.
    ///
    /// # Errors
    /// The database refuses; the session may go on.
    pub async fn end_own(
        &self,
        identity: &VerifiedIdentity,
        public_id: &str,
        caller: &Caller,
    ) -> Result<bool, StoreError> {
        let mut tx = self.ground.store.begin().await?;
        let ended = sessions::remove_one_of(&mut tx, &identity.person(), public_id).await?;
        match &ended {
            Some(ended) => {
                self.endings.follow(&mut tx, ended, BY_PERSON, By::Caller(caller)).await?;
            }
            None => {
                let event = caller.event(Kind::AccessRefused).about(&identity.subject);
                let event = event.with("session", public_id).with("cause", "no-such-session");
                self.ground.append(&mut tx, &event).await?;
            }
        }
        tx.commit().await?;
        Ok(ended.is_some())
    }

    /// Ends all sessions of the person but this one.
    ///
    /// # Errors
    /// The database refuses; the sessions may go on.
    pub async fn end_others(&self, this: &LiveSession, caller: &Caller) -> Result<(), StoreError> {
        let mut tx = self.ground.store.begin().await?;
        let but = this.token.hash();
        for ended in sessions::remove_all_of(&mut tx, &this.identity.person(), Some(&but)).await? {
            self.endings.follow(&mut tx, &ended, BY_PERSON, By::Caller(caller)).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Ends a session; `None` when it has ended already.
    ///
    /// # Errors
    /// The database refuses; the session may go on.
    pub async fn end(&self, token: &Token, caller: &Caller) -> Result<Option<Ended>, StoreError> {
        let mut tx = self.ground.store.begin().await?;
        let ended = sessions::remove(&mut tx, &token.hash()).await?;
        if let Some(ended) = &ended {
            self.endings.follow(&mut tx, ended, "signed-out", By::Caller(caller)).await?;
        }
        tx.commit().await?;
        Ok(ended)
    }
}
