//! Sign-outs under way at identity providers, and the sessions that a provider's logout message names.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::sign_in::token_hash;
use super::{Store, StoreError, Tx, millis, parse_json, parse_text, timestamp};
use crate::identity::{ConnectorId, VerifiedIdentity};
use crate::sys::TokenHash;

/// Somebody was sent to an identity provider to be signed out there.
#[derive(Debug, Clone)]
pub struct LogoutAttempt {
    pub connector: ConnectorId,
    /// The ID that the answer must name; empty where the protocol has none.
    pub request_id: String,
    pub started: Timestamp,
    pub expires: Timestamp,
}

impl Store {
    /// Keeps a sign-out until its answer comes.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn add_logout_attempt(&self, handle: &TokenHash, attempt: &LogoutAttempt) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO logout_attempt (handle_hash, connector, request_id, started_ms, expires_ms)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(handle.as_slice())
        .bind(attempt.connector.as_str())
        .bind(&attempt.request_id)
        .bind(millis(attempt.started))
        .bind(millis(attempt.expires))
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// Takes a sign-out out: pass or fail, it is gone. An expired one comes out too, for a better message.
    ///
    /// # Errors
    /// The database refuses, or the row makes no sense.
    pub async fn take_logout_attempt(&self, handle: &TokenHash) -> Result<Option<LogoutAttempt>, StoreError> {
        let row = sqlx::query(
            "DELETE FROM logout_attempt WHERE handle_hash = $1 RETURNING connector, request_id, started_ms, expires_ms",
        )
        .bind(handle.as_slice())
        .fetch_optional(self.writer())
        .await?;
        const TABLE: &str = "logout_attempt";
        row.map(|row| {
            Ok(LogoutAttempt {
                connector: parse_text(TABLE, row.try_get(0)?)?,
                request_id: row.try_get(1)?,
                started: timestamp(TABLE, row.try_get(2)?)?,
                expires: timestamp(TABLE, row.try_get(3)?)?,
            })
        })
        .transpose()
    }
}

/// The live sessions begun through a connector by assertions about this NameID or `sub`.
///
/// # Errors
/// The database refuses, or a row makes no sense.
pub async fn sessions_of_subject(
    tx: &mut Tx,
    connector: &ConnectorId,
    provider_subject: &str,
    now: Timestamp,
) -> Result<Vec<(TokenHash, VerifiedIdentity)>, StoreError> {
    let rows = sqlx::query(
        "SELECT id_hash, identity FROM session
         WHERE connector = $1 AND provider_subject = $2 AND expires_ms > $3 AND last_seen_ms + idle_ms > $3",
    )
    .bind(connector.as_str())
    .bind(provider_subject)
    .bind(millis(now))
    .fetch_all(&mut **tx)
    .await?;
    rows.iter().map(named).collect()
}

/// The live sessions begun through a connector in this session of the provider, whoever's they are.
///
/// # Errors
/// The database refuses, or a row makes no sense.
pub async fn sessions_of_provider_session(
    tx: &mut Tx,
    connector: &ConnectorId,
    provider_session: &str,
    now: Timestamp,
) -> Result<Vec<(TokenHash, VerifiedIdentity)>, StoreError> {
    let rows = sqlx::query(
        "SELECT id_hash, identity FROM session
         WHERE connector = $1 AND provider_session = $2 AND expires_ms > $3 AND last_seen_ms + idle_ms > $3",
    )
    .bind(connector.as_str())
    .bind(provider_session)
    .bind(millis(now))
    .fetch_all(&mut **tx)
    .await?;
    rows.iter().map(named).collect()
}

fn named(row: &SqliteRow) -> Result<(TokenHash, VerifiedIdentity), StoreError> {
    const TABLE: &str = "session";
    Ok((token_hash(TABLE, row.try_get(0)?)?, parse_json(TABLE, row.try_get(1)?)?))
}
