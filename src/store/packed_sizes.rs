//! How much of the room for session policies and tags a role's sessions take, as STS said.

use jiff::Timestamp;
use sqlx::Row;

use super::{Store, StoreError, Tx, millis};
use crate::aws::{AccountId, RoleName};

/// In percent of what STS takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedSize {
    pub latest: u32,
    pub highest: u32,
}

impl Store {
    /// What STS said of a role's sessions, whoever asked for them; `None` when it never did.
    ///
    /// # Errors
    /// The database refuses, or the row makes no sense.
    pub async fn packed_size(&self, account: AccountId, role: &RoleName) -> Result<Option<PackedSize>, StoreError> {
        let row =
            sqlx::query("SELECT latest_percent, highest_percent FROM packed_size WHERE account = $1 AND role = $2")
                .bind(account.as_str())
                .bind(role.as_str())
                .fetch_optional(self.reader())
                .await?;
        row.map(|row| Ok(PackedSize { latest: row.try_get(0)?, highest: row.try_get(1)? })).transpose()
    }
}

/// Notes what STS said, in the transaction that records the issue.
///
/// # Errors
/// The database refuses.
pub async fn note_packed_size(
    tx: &mut Tx,
    account: AccountId,
    role: &RoleName,
    percent: u32,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO packed_size (account, role, latest_percent, latest_ms, highest_percent, highest_ms)
         VALUES ($1, $2, $3, $4, $3, $4)
         ON CONFLICT (account, role) DO UPDATE SET
             latest_percent = excluded.latest_percent,
             latest_ms = excluded.latest_ms,
             highest_ms = CASE WHEN excluded.highest_percent > highest_percent THEN excluded.highest_ms ELSE highest_ms END,
             highest_percent = MAX(highest_percent, excluded.highest_percent)",
    )
    .bind(account.as_str())
    .bind(role.as_str())
    .bind(percent)
    .bind(millis(now))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
