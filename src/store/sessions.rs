//! Browsers that have signed in.

use jiff::{SignedDuration, Timestamp};
use sqlx::Row;

use super::{Store, StoreError, Tx, millis, parse_json, timestamp, to_json};
use crate::identity::VerifiedIdentity;
use crate::sys::TokenHash;

/// A session as it is kept.
#[derive(Debug, Clone)]
pub struct StoredSession {
    pub identity: VerifiedIdentity,
    pub created: Timestamp,
    pub last_seen: Timestamp,
    pub idle: SignedDuration,
    /// When it ends however busy it is.
    pub expires: Timestamp,
    pub client_address: String,
    pub user_agent: String,
}

impl StoredSession {
    /// Whether it still counts at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires && now.duration_since(self.last_seen) < self.idle
    }
}

/// Begins a session.
///
/// # Errors
/// The database refuses.
pub async fn add(tx: &mut Tx, id: &TokenHash, session: &StoredSession) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO session
         (id_hash, connector, subject, identity, created_ms, last_seen_ms, idle_ms, expires_ms, client_address, user_agent)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(id.as_slice())
    .bind(session.identity.subject.connector.as_str())
    .bind(&session.identity.subject.value)
    .bind(to_json(&session.identity))
    .bind(millis(session.created))
    .bind(millis(session.last_seen))
    .bind(i64::try_from(session.idle.as_millis()).unwrap_or(i64::MAX))
    .bind(millis(session.expires))
    .bind(&session.client_address)
    .bind(&session.user_agent)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Ends a session and says whose it was; ending one that is gone is no error.
///
/// # Errors
/// The database refuses.
pub async fn remove(tx: &mut Tx, id: &TokenHash) -> Result<Option<VerifiedIdentity>, StoreError> {
    let row = sqlx::query("DELETE FROM session WHERE id_hash = $1 RETURNING identity")
        .bind(id.as_slice())
        .fetch_optional(&mut **tx)
        .await?;
    row.map(|row| parse_json("session", row.try_get(0)?)).transpose()
}

impl Store {
    /// The session behind a token, live or not.
    ///
    /// # Errors
    /// The database refuses, or the row makes no sense.
    pub async fn session(&self, id: &TokenHash) -> Result<Option<StoredSession>, StoreError> {
        let row = sqlx::query(
            "SELECT identity, created_ms, last_seen_ms, idle_ms, expires_ms, client_address, user_agent
             FROM session WHERE id_hash = $1",
        )
        .bind(id.as_slice())
        .fetch_optional(self.reader())
        .await?;
        row.map(|row| {
            Ok(StoredSession {
                identity: parse_json("session", row.try_get(0)?)?,
                created: timestamp("session", row.try_get(1)?)?,
                last_seen: timestamp("session", row.try_get(2)?)?,
                idle: SignedDuration::from_millis(row.try_get(3)?),
                expires: timestamp("session", row.try_get(4)?)?,
                client_address: row.try_get(5)?,
                user_agent: row.try_get(6)?,
            })
        })
        .transpose()
    }

    /// Notes that a session was used.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn touch_session(&self, id: &TokenHash, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE session SET last_seen_ms = $2 WHERE id_hash = $1 AND last_seen_ms < $2")
            .bind(id.as_slice())
            .bind(millis(now))
            .execute(self.writer())
            .await?;
        Ok(())
    }
}
