//! What ends when a session does: the session, and what programs were allowed in it.

use super::tokens::revoked;
use super::{Caller, Ground};
use crate::audit::{Event, Kind};
use crate::identity::ConnectorId;
use crate::store::sessions::Ended;
use crate::store::{StoreError, Tx, sessions, tokens};

/// Tells what became of sessions that were removed, and ends what hangs on them.
#[derive(Debug, Clone)]
pub struct Endings {
    pub ground: Ground,
    /// Whether what programs were allowed in a session ends with it (`tokens.end_at_sign_out`).
    pub tokens_too: bool,
}

/// Who saw to it that something ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum By<'a> {
    /// Whoever sent a request: the person, or their identity provider.
    Caller(&'a Caller),
    /// An administrator, as the system there calls them.
    Admin(&'a str),
}

impl By<'_> {
    pub(super) fn event(self, kind: Kind) -> Event {
        match self {
            Self::Caller(caller) => caller.event(kind),
            Self::Admin(by) => Event::new(kind).with("by", by),
        }
    }
}

fn session_ended(event: Event, cause: &'static str, ended: &Ended) -> Event {
    event.about(&ended.identity.subject).with("session", ended.public_id.as_str()).with("cause", cause)
}

impl Endings {
    /// Records that a session was removed, and ends what was allowed in it. Returns how many authorizations went.
    pub(super) async fn follow(
        &self,
        tx: &mut Tx,
        ended: &Ended,
        cause: &'static str,
        by: By<'_>,
    ) -> Result<usize, StoreError> {
        let event = session_ended(by.event(Kind::SessionEnded), cause, ended);
        self.ground.append(tx, &event).await?;
        if !self.tokens_too {
            return Ok(0);
        }
        let derived = tokens::remove_all_of_session(tx, &ended.public_id).await?;
        for authorization in &derived {
            let event = revoked(by.event(Kind::TokenRevoked), cause, authorization);
            self.ground.append(tx, &event.with("session", ended.public_id.as_str())).await?;
        }
        Ok(derived.len())
    }

    /// A session gives way to another in the same browser. The same person goes on with what they allowed in it;
    /// somebody else does not.
    pub(super) async fn replace(
        &self,
        tx: &mut Tx,
        ended: &Ended,
        next: &sessions::StoredSession,
        caller: &Caller,
    ) -> Result<(), StoreError> {
        const CAUSE: &str = "replaced";
        if ended.identity.person() == next.identity.person() {
            let event = session_ended(caller.event(Kind::SessionEnded), CAUSE, ended);
            self.ground.append(tx, &event).await?;
            return tokens::rebind(tx, &ended.public_id, &next.public_id).await;
        }
        self.follow(tx, ended, CAUSE, By::Caller(caller)).await.map(|_| ())
    }
}

/// Ends everything that came through a connector: it is new here, or leads to another provider than it did. A person is
/// known by connector and subject, and behind another provider the same subject may be somebody else.
///
/// # Errors
/// The database refuses.
pub async fn end_all_through(ground: &Ground, tx: &mut Tx, connector: &ConnectorId) -> Result<(), StoreError> {
    const CAUSE: &str = "connector-changed";
    for ended in sessions::remove_all_through(tx, connector).await? {
        ground.append(tx, &session_ended(Event::new(Kind::SessionEnded), CAUSE, &ended)).await?;
    }
    for authorization in tokens::remove_all_through(tx, connector).await? {
        ground.append(tx, &revoked(Event::new(Kind::TokenRevoked), CAUSE, &authorization)).await?;
    }
    Ok(())
}
