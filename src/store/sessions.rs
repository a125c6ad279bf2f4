//! Browsers that have signed in.

use jiff::{SignedDuration, Timestamp};
use sqlx::Row;

use super::{Store, StoreError, Tx, millis, parse_json, timestamp, to_json};
use crate::identity::{ConnectorId, PersonId, VerifiedIdentity};
use crate::sys::TokenHash;

/// A session as it is kept.
#[derive(Debug, Clone)]
pub struct StoredSession {
    /// Names it in lists and addresses; opens nothing.
    pub public_id: String,
    pub identity: VerifiedIdentity,
    pub created: Timestamp,
    pub last_seen: Timestamp,
    pub idle: SignedDuration,
    /// When it ends however busy it is.
    pub expires: Timestamp,
    pub client_address: String,
    pub user_agent: String,
    /// The sealed ID token, where somebody came through OpenID Connect.
    pub sealed_id_token: Option<Vec<u8>>,
}

/// A session that was ended.
#[derive(Debug, Clone)]
pub struct Ended {
    pub public_id: String,
    pub identity: VerifiedIdentity,
    pub sealed_id_token: Option<Vec<u8>>,
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
    let identity = &session.identity;
    let person = identity.person();
    sqlx::query(
        "INSERT INTO session
         (id_hash, connector, subject, identity, created_ms, last_seen_ms, idle_ms, expires_ms, client_address, user_agent,
          public_id, realm, person, provider_subject, provider_session, sealed_id_token)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
    .bind(id.as_slice())
    .bind(identity.subject.connector.as_str())
    .bind(&identity.subject.value)
    .bind(to_json(identity))
    .bind(millis(session.created))
    .bind(millis(session.last_seen))
    .bind(i64::try_from(session.idle.as_millis()).unwrap_or(i64::MAX))
    .bind(millis(session.expires))
    .bind(&session.client_address)
    .bind(&session.user_agent)
    .bind(&session.public_id)
    .bind(&person.realm)
    .bind(&person.value)
    .bind(identity.asserted_subject())
    .bind(&identity.authentication.session_index)
    .bind(&session.sealed_id_token)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Ends a session and says whose it was; ending one that is gone is no error.
///
/// # Errors
/// The database refuses.
pub async fn remove(tx: &mut Tx, id: &TokenHash) -> Result<Option<Ended>, StoreError> {
    let row = sqlx::query("DELETE FROM session WHERE id_hash = $1 RETURNING public_id, identity, sealed_id_token")
        .bind(id.as_slice())
        .fetch_optional(&mut **tx)
        .await?;
    row.as_ref().map(ended_from).transpose()
}

/// Ends one session of a person by its public id; somebody else's is not found.
///
/// # Errors
/// The database refuses.
pub async fn remove_one_of(tx: &mut Tx, person: &PersonId, public_id: &str) -> Result<Option<Ended>, StoreError> {
    let row = sqlx::query(
        "DELETE FROM session WHERE public_id = $1 AND realm = $2 AND person = $3
         RETURNING public_id, identity, sealed_id_token",
    )
    .bind(public_id)
    .bind(&person.realm)
    .bind(&person.value)
    .fetch_optional(&mut **tx)
    .await?;
    row.as_ref().map(ended_from).transpose()
}

/// Ends all sessions of a person, except perhaps one.
///
/// # Errors
/// The database refuses.
pub async fn remove_all_of(tx: &mut Tx, person: &PersonId, but: Option<&TokenHash>) -> Result<Vec<Ended>, StoreError> {
    let rows = sqlx::query(
        "DELETE FROM session WHERE realm = $1 AND person = $2 AND id_hash <> $3
         RETURNING public_id, identity, sealed_id_token",
    )
    .bind(&person.realm)
    .bind(&person.value)
    // No hash is empty, so this excludes nobody.
    .bind(but.map_or(&[][..], TokenHash::as_slice))
    .fetch_all(&mut **tx)
    .await?;
    rows.iter().map(ended_from).collect()
}

/// Ends all sessions that came through a connector.
///
/// # Errors
/// The database refuses.
pub async fn remove_all_through(tx: &mut Tx, connector: &ConnectorId) -> Result<Vec<Ended>, StoreError> {
    let rows = sqlx::query("DELETE FROM session WHERE connector = $1 RETURNING public_id, identity, sealed_id_token")
        .bind(connector.as_str())
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(ended_from).collect()
}

fn ended_from(row: &sqlx::sqlite::SqliteRow) -> Result<Ended, StoreError> {
    Ok(Ended {
        public_id: row.try_get::<Option<String>, _>(0)?.unwrap_or_default(),
        identity: parse_json("session", row.try_get(1)?)?,
        sealed_id_token: row.try_get(2)?,
    })
}

/// The columns that [`session_from`] reads, in their order.
macro_rules! session_columns {
    ($rest:literal) => {
        concat!(
            "SELECT identity, created_ms, last_seen_ms, idle_ms, expires_ms, client_address, user_agent, public_id,
             sealed_id_token FROM session ",
            $rest
        )
    };
}

fn session_from(row: &sqlx::sqlite::SqliteRow) -> Result<StoredSession, StoreError> {
    Ok(StoredSession {
        identity: parse_json("session", row.try_get(0)?)?,
        created: timestamp("session", row.try_get(1)?)?,
        last_seen: timestamp("session", row.try_get(2)?)?,
        idle: SignedDuration::from_millis(row.try_get(3)?),
        expires: timestamp("session", row.try_get(4)?)?,
        client_address: row.try_get(5)?,
        user_agent: row.try_get(6)?,
        // A session that the release before began on this database has none, and cannot be ended from the list.
        public_id: row.try_get::<Option<String>, _>(7)?.unwrap_or_default(),
        sealed_id_token: row.try_get(8)?,
    })
}

impl Store {
    /// The session behind a token, live or not.
    ///
    /// # Errors
    /// The database refuses, or the row makes no sense.
    pub async fn session(&self, id: &TokenHash) -> Result<Option<StoredSession>, StoreError> {
        let row = sqlx::query(session_columns!("WHERE id_hash = $1"))
            .bind(id.as_slice())
            .fetch_optional(self.reader())
            .await?;
        row.as_ref().map(session_from).transpose()
    }

    /// All sessions of a person, live or not, the one used last first.
    ///
    /// # Errors
    /// The database refuses, or a row makes no sense.
    pub async fn sessions_of(&self, person: &PersonId) -> Result<Vec<StoredSession>, StoreError> {
        let rows =
            sqlx::query(session_columns!("WHERE realm = $1 AND person = $2 ORDER BY last_seen_ms DESC, public_id"))
                .bind(&person.realm)
                .bind(&person.value)
                .fetch_all(self.reader())
                .await?;
        rows.iter().map(session_from).collect()
    }

    /// All sessions, live or not, the one used last first.
    ///
    /// # Errors
    /// The database refuses, or a row makes no sense.
    pub async fn all_sessions(&self) -> Result<Vec<StoredSession>, StoreError> {
        let rows =
            sqlx::query(session_columns!("ORDER BY last_seen_ms DESC, public_id")).fetch_all(self.reader()).await?;
        rows.iter().map(session_from).collect()
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

/// The session of that public id, live or not.
///
/// # Errors
/// The database refuses, or the row makes no sense.
pub async fn by_public_id(tx: &mut Tx, public_id: &str) -> Result<Option<StoredSession>, StoreError> {
    let row = sqlx::query(session_columns!("WHERE public_id = $1")).bind(public_id).fetch_optional(&mut **tx).await?;
    row.as_ref().map(session_from).transpose()
}
