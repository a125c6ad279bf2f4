//! Recognising a browser that has signed in, and ending its session.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{Caller, Ground};
use crate::audit::Kind;
use crate::identity::VerifiedIdentity;
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

/// Sessions of browsers.
#[derive(Debug, Clone)]
pub struct Sessions {
    ground: Ground,
}

impl Sessions {
    #[must_use]
    pub fn new(ground: Ground) -> Self {
        Self { ground }
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

    /// Ends a session.
    ///
    /// # Errors
    /// The database refuses; the session may go on.
    pub async fn end(&self, token: &Token, caller: &Caller) -> Result<(), StoreError> {
        let mut tx = self.ground.store.begin().await?;
        if let Some(ended) = sessions::remove(&mut tx, &token.hash()).await? {
            let event = caller.event(Kind::SessionEnded).about(&ended.identity.subject).with("cause", "signed-out");
            self.ground.append(&mut tx, &event).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}
