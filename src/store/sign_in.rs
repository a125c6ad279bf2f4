//! Sign-ins under way: attempts, tickets, and evidence that was used up.
//!
//! Attempts and tickets are handed out once: `DELETE … RETURNING`, so that of two replies only one is judged.

use jiff::Timestamp;
use sqlx::Row;

use super::{Store, StoreError, Tx, millis, parse_json, parse_text, timestamp, to_json};
use crate::identity::{ConnectorId, Demand, VerifiedIdentity};
use crate::sys::TokenHash;

/// Somebody was sent to an identity provider.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub connector: ConnectorId,
    pub request_id: String,
    /// The SHA-256 of the secret in the cookie of the browser that began.
    pub browser: TokenHash,
    pub return_to: String,
    pub force_authn: bool,
    /// What is asked of how the person is recognised this time.
    pub demand: Option<Demand>,
    pub started: Timestamp,
    pub expires: Timestamp,
    /// The test this is for; what comes of it is a report and no session.
    pub test: Option<TokenHash>,
}

/// A reply was verified and waits for its browser.
#[derive(Debug, Clone)]
pub struct Ticket {
    pub connector: ConnectorId,
    /// The browser that began; `None` when the identity provider began.
    pub browser: Option<TokenHash>,
    pub identity: VerifiedIdentity,
    /// The sealed ID token, where they come through OpenID Connect.
    pub sealed_id_token: Option<Vec<u8>>,
    pub return_to: String,
    pub expires: Timestamp,
    /// Where this is for a test: it opens no session.
    pub test: Option<TestTicket>,
}

/// What a ticket of a test has besides.
#[derive(Debug, Clone)]
pub struct TestTicket {
    /// The SHA-256 of the test's code.
    pub code: TokenHash,
    /// What arrived, sealed.
    pub sealed_received: Vec<u8>,
}

pub(super) fn token_hash(table: &'static str, bytes: &[u8]) -> Result<TokenHash, StoreError> {
    bytes.try_into().map_err(|_| StoreError::Nonsense { table, detail: "a hash is not 32 bytes long".to_owned() })
}

impl Store {
    /// Keeps an attempt until its reply comes.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn add_attempt(&self, handle: &TokenHash, attempt: &Attempt) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO sign_in_attempt
             (handle_hash, connector, request_id, browser_hash, return_to, force_authn, started_ms, expires_ms, demand, test_hash)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(handle.as_slice())
        .bind(attempt.connector.as_str())
        .bind(&attempt.request_id)
        .bind(attempt.browser.as_slice())
        .bind(&attempt.return_to)
        .bind(attempt.force_authn)
        .bind(millis(attempt.started))
        .bind(millis(attempt.expires))
        .bind(attempt.demand.as_ref().map(to_json))
        .bind(attempt.test.map(|hash| hash.to_vec()))
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// Takes an attempt out: pass or fail, it is gone. An expired one comes out too, for a better message.
    ///
    /// # Errors
    /// The database refuses, or the row makes no sense.
    pub async fn take_attempt(&self, handle: &TokenHash) -> Result<Option<Attempt>, StoreError> {
        let row = sqlx::query(
            "DELETE FROM sign_in_attempt WHERE handle_hash = $1
             RETURNING connector, request_id, browser_hash, return_to, force_authn, started_ms, expires_ms, demand, test_hash",
        )
        .bind(handle.as_slice())
        .fetch_optional(self.writer())
        .await?;
        const TABLE: &str = "sign_in_attempt";
        row.map(|row| {
            Ok(Attempt {
                connector: parse_text(TABLE, row.try_get(0)?)?,
                request_id: row.try_get(1)?,
                browser: token_hash(TABLE, row.try_get(2)?)?,
                return_to: row.try_get(3)?,
                force_authn: row.try_get(4)?,
                started: timestamp(TABLE, row.try_get(5)?)?,
                expires: timestamp(TABLE, row.try_get(6)?)?,
                demand: row.try_get::<Option<&str>, _>(7)?.map(|text| parse_json(TABLE, text)).transpose()?,
                test: row.try_get::<Option<&[u8]>, _>(8)?.map(|bytes| token_hash(TABLE, bytes)).transpose()?,
            })
        })
        .transpose()
    }

    /// Looks at a ticket without using it up, for the page that asks.
    ///
    /// # Errors
    /// The database refuses, or the row makes no sense.
    pub async fn peek_ticket(&self, ticket: &TokenHash) -> Result<Option<Ticket>, StoreError> {
        let row = sqlx::query(
            "SELECT connector, browser_hash, identity, return_to, expires_ms, sealed_id_token, test_hash, sealed_received
             FROM sign_in_ticket WHERE ticket_hash = $1",
        )
        .bind(ticket.as_slice())
        .fetch_optional(self.reader())
        .await?;
        row.as_ref().map(ticket_from).transpose()
    }
}

fn ticket_from(row: &sqlx::sqlite::SqliteRow) -> Result<Ticket, StoreError> {
    const TABLE: &str = "sign_in_ticket";
    Ok(Ticket {
        connector: parse_text(TABLE, row.try_get(0)?)?,
        browser: row.try_get::<Option<&[u8]>, _>(1)?.map(|bytes| token_hash(TABLE, bytes)).transpose()?,
        identity: parse_json(TABLE, row.try_get(2)?)?,
        return_to: row.try_get(3)?,
        expires: timestamp(TABLE, row.try_get(4)?)?,
        sealed_id_token: row.try_get(5)?,
        test: match row.try_get::<Option<&[u8]>, _>(6)? {
            None => None,
            Some(code) => {
                let sealed_received: Option<Vec<u8>> = row.try_get(7)?;
                Some(TestTicket {
                    code: token_hash(TABLE, code)?,
                    sealed_received: sealed_received.unwrap_or_default(),
                })
            }
        },
    })
}

/// Marks an assertion as used. `false` means that somebody, perhaps another replica, was first.
///
/// # Errors
/// The database refuses.
pub async fn use_assertion(
    tx: &mut Tx,
    issuer: &str,
    assertion_id: &str,
    until: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "INSERT INTO used_assertion (issuer, assertion_id, until_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(issuer)
    .bind(assertion_id)
    .bind(millis(until))
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Parks a verified reply.
///
/// # Errors
/// The database refuses.
pub async fn add_ticket(tx: &mut Tx, ticket_hash: &TokenHash, ticket: &Ticket) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO sign_in_ticket (ticket_hash, connector, browser_hash, identity, return_to, expires_ms, sealed_id_token,
          test_hash, sealed_received)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(ticket_hash.as_slice())
    .bind(ticket.connector.as_str())
    .bind(ticket.browser.map(|hash| hash.to_vec()))
    .bind(to_json(&ticket.identity))
    .bind(&ticket.return_to)
    .bind(millis(ticket.expires))
    .bind(&ticket.sealed_id_token)
    .bind(ticket.test.as_ref().map(|test| test.code.to_vec()))
    .bind(ticket.test.as_ref().map(|test| test.sealed_received.as_slice()))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Takes a ticket out: it is gone, whatever becomes of it.
///
/// # Errors
/// The database refuses, or the row makes no sense.
pub async fn take_ticket(tx: &mut Tx, ticket: &TokenHash) -> Result<Option<Ticket>, StoreError> {
    let row = sqlx::query(
        "DELETE FROM sign_in_ticket WHERE ticket_hash = $1
         RETURNING connector, browser_hash, identity, return_to, expires_ms, sealed_id_token,
                   test_hash, sealed_received",
    )
    .bind(ticket.as_slice())
    .fetch_optional(&mut **tx)
    .await?;
    row.as_ref().map(ticket_from).transpose()
}
