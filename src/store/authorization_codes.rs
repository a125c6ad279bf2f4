//! Authorization codes: given out once, exchanged once, and remembered for a while so that a second exchange is noticed.

use jiff::Timestamp;
use sqlx::Row;

use super::{Store, StoreError, Tx, millis, parse_json, timestamp, to_json};
use crate::access::Scope;
use crate::sys::TokenHash;

const TABLE: &str = "authorization_code";

/// What somebody allowed, until the program fetches it.
#[derive(Debug, Clone)]
pub struct AuthorizationCode {
    pub client: String,
    pub client_name: String,
    pub redirect_uri: String,
    /// The PKCE challenge: SHA-256 of the verifier, in base64url.
    pub challenge: String,
    pub scope: Scope,
    /// The public id of the session it was allowed in.
    pub session: String,
    pub client_address: String,
    pub user_agent: String,
    pub created: Timestamp,
    pub expires: Timestamp,
}

/// What a code turns out to be when it is exchanged.
#[derive(Debug)]
pub enum Spent {
    Now(Box<AuthorizationCode>),
    /// It was exchanged before; for that authorization, if it came to one.
    Before(Option<String>),
    Unknown,
}

impl Store {
    /// Keeps a code, by its hash.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn add_code(&self, hash: &TokenHash, code: &AuthorizationCode) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO authorization_code
             (hash, client, client_name, redirect_uri, challenge, scope, session, client_address, user_agent, created_ms,
              expires_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(hash.as_slice())
        .bind(&code.client)
        .bind(&code.client_name)
        .bind(&code.redirect_uri)
        .bind(&code.challenge)
        .bind(to_json(&code.scope))
        .bind(&code.session)
        .bind(&code.client_address)
        .bind(&code.user_agent)
        .bind(millis(code.created))
        .bind(millis(code.expires))
        .execute(self.writer())
        .await?;
        Ok(())
    }
}

/// Uses a code up, whatever becomes of it.
///
/// # Errors
/// The database refuses, or the row makes no sense.
pub async fn spend(tx: &mut Tx, hash: &TokenHash, now: Timestamp) -> Result<Spent, StoreError> {
    let row = sqlx::query(
        "UPDATE authorization_code SET used_ms = $2 WHERE hash = $1 AND used_ms IS NULL
         RETURNING client, client_name, redirect_uri, challenge, scope, session, client_address, user_agent, created_ms,
                   expires_ms",
    )
    .bind(hash.as_slice())
    .bind(millis(now))
    .fetch_optional(&mut **tx)
    .await?;
    if let Some(row) = row {
        return Ok(Spent::Now(Box::new(AuthorizationCode {
            client: row.try_get(0)?,
            client_name: row.try_get(1)?,
            redirect_uri: row.try_get(2)?,
            challenge: row.try_get(3)?,
            scope: parse_json(TABLE, row.try_get(4)?)?,
            session: row.try_get(5)?,
            client_address: row.try_get(6)?,
            user_agent: row.try_get(7)?,
            created: timestamp(TABLE, row.try_get(8)?)?,
            expires: timestamp(TABLE, row.try_get(9)?)?,
        })));
    }
    let came_to: Option<Option<String>> = sqlx::query_scalar("SELECT came_to FROM authorization_code WHERE hash = $1")
        .bind(hash.as_slice())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(came_to.map_or(Spent::Unknown, Spent::Before))
}

/// Notes which authorization a code came to.
///
/// # Errors
/// The database refuses.
pub async fn came_to(tx: &mut Tx, hash: &TokenHash, authorization: &str) -> Result<(), StoreError> {
    sqlx::query("UPDATE authorization_code SET came_to = $2 WHERE hash = $1")
        .bind(hash.as_slice())
        .bind(authorization)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Forgets a code.
///
/// # Errors
/// The database refuses.
pub async fn forget(tx: &mut Tx, hash: &TokenHash) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM authorization_code WHERE hash = $1").bind(hash.as_slice()).execute(&mut **tx).await?;
    Ok(())
}
