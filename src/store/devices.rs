//! Devices that wait for somebody to approve them elsewhere.

use jiff::{SignedDuration, Timestamp};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Store, StoreError, Tx, millis, parse_json, timestamp, to_json};
use crate::access::Scope;
use crate::sys::TokenHash;

const TABLE: &str = "device_request";

/// A device's request.
#[derive(Debug, Clone)]
pub struct DeviceRequest {
    /// The hash of its device code.
    pub hash: TokenHash,
    pub client: String,
    pub client_name: String,
    pub scope: Scope,
    /// Where the device asked from.
    pub client_address: String,
    pub user_agent: String,
    pub created: Timestamp,
    pub expires: Timestamp,
    /// How long it has to wait between two questions.
    pub interval: SignedDuration,
    pub polled: Option<Timestamp>,
    pub decision: Option<Decided>,
}

/// What was decided, and where.
#[derive(Debug, Clone)]
pub struct Decided {
    pub approved: bool,
    /// The public id of the session.
    pub session: String,
    pub client_address: String,
    pub user_agent: String,
}

/// The columns that [`request_from`] reads, in their order, between other words of a statement.
macro_rules! with_columns {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " hash, client, client_name, scope, client_address, user_agent, created_ms, expires_ms, interval_ms, polled_ms,
             decision, decided_by, decided_from, decided_with ",
            $after
        )
    };
}

fn request_from(row: &SqliteRow) -> Result<DeviceRequest, StoreError> {
    let polled: Option<i64> = row.try_get(9)?;
    let decision = match row.try_get::<Option<&str>, _>(10)? {
        None => None,
        Some(word @ ("approved" | "refused")) => Some(Decided {
            approved: word == "approved",
            session: row.try_get(11)?,
            client_address: row.try_get(12)?,
            user_agent: row.try_get(13)?,
        }),
        Some(other) => {
            return Err(StoreError::Nonsense { table: TABLE, detail: format!("`{other}` is no decision") });
        }
    };
    Ok(DeviceRequest {
        hash: super::sign_in::token_hash(TABLE, row.try_get(0)?)?,
        client: row.try_get(1)?,
        client_name: row.try_get(2)?,
        scope: parse_json(TABLE, row.try_get(3)?)?,
        client_address: row.try_get(4)?,
        user_agent: row.try_get(5)?,
        created: timestamp(TABLE, row.try_get(6)?)?,
        expires: timestamp(TABLE, row.try_get(7)?)?,
        interval: SignedDuration::from_millis(row.try_get(8)?),
        polled: polled.map(|at| timestamp(TABLE, at)).transpose()?,
        decision,
    })
}

impl Store {
    /// Keeps a request; `false`: another one has that user code.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn add_device_request(
        &self,
        request: &DeviceRequest,
        user_code_mac: &[u8; 32],
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO device_request
             (hash, user_code_mac, client, client_name, scope, client_address, user_agent, created_ms, expires_ms,
              interval_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (user_code_mac) DO NOTHING",
        )
        .bind(request.hash.as_slice())
        .bind(user_code_mac.as_slice())
        .bind(&request.client)
        .bind(&request.client_name)
        .bind(to_json(&request.scope))
        .bind(&request.client_address)
        .bind(&request.user_agent)
        .bind(millis(request.created))
        .bind(millis(request.expires))
        .bind(i64::try_from(request.interval.as_millis()).unwrap_or(i64::MAX))
        .execute(self.writer())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The request with a user code, live or not.
    ///
    /// # Errors
    /// The database refuses, or the row makes no sense.
    pub async fn device_request_by_user_code(&self, mac: &[u8; 32]) -> Result<Option<DeviceRequest>, StoreError> {
        let row = sqlx::query(with_columns!("SELECT", "FROM device_request WHERE user_code_mac = $1"))
            .bind(mac.as_slice())
            .fetch_optional(self.reader())
            .await?;
        row.as_ref().map(request_from).transpose()
    }
}

/// The request with a device code, live or not.
///
/// # Errors
/// The database refuses, or the row makes no sense.
pub async fn by_device_code(tx: &mut Tx, hash: &TokenHash) -> Result<Option<DeviceRequest>, StoreError> {
    let row = sqlx::query(with_columns!("SELECT", "FROM device_request WHERE hash = $1"))
        .bind(hash.as_slice())
        .fetch_optional(&mut **tx)
        .await?;
    row.as_ref().map(request_from).transpose()
}

/// Notes that a device has asked, and how long it has to wait from now on.
///
/// # Errors
/// The database refuses.
pub async fn polled(tx: &mut Tx, hash: &TokenHash, interval: SignedDuration, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE device_request SET polled_ms = $2, interval_ms = $3 WHERE hash = $1")
        .bind(hash.as_slice())
        .bind(millis(now))
        .bind(i64::try_from(interval.as_millis()).unwrap_or(i64::MAX))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Notes a decision; `false`: there is one already, or no such request.
///
/// # Errors
/// The database refuses.
pub async fn decide(tx: &mut Tx, hash: &TokenHash, decided: &Decided) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE device_request SET decision = $2, decided_by = $3, decided_from = $4, decided_with = $5
         WHERE hash = $1 AND decision IS NULL",
    )
    .bind(hash.as_slice())
    .bind(if decided.approved { "approved" } else { "refused" })
    .bind(&decided.session)
    .bind(&decided.client_address)
    .bind(&decided.user_agent)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Removes a request that has been answered for good.
///
/// # Errors
/// The database refuses.
pub async fn remove(tx: &mut Tx, hash: &TokenHash) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM device_request WHERE hash = $1").bind(hash.as_slice()).execute(&mut **tx).await?;
    Ok(())
}
