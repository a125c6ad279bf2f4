//! Sign-ins that an operator tries out.

use jiff::Timestamp;
use sqlx::Row;

use super::{Store, StoreError, Tx, millis};
use crate::identity::ConnectorId;
use crate::sys::TokenHash;

/// How far a test has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nobody has opened the address.
    Waiting,
    /// Somebody has, and was sent to the identity provider.
    Started,
    /// There is a report.
    Ended,
}

impl Store {
    /// Keeps a test until it is taken up, withdrawn or over.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn add_test(
        &self,
        code: &TokenHash,
        connector: &ConnectorId,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO test_sign_in (code_hash, connector, expires_ms) VALUES ($1, $2, $3)")
            .bind(code.as_slice())
            .bind(connector.as_str())
            .bind(millis(expires))
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// Takes up a test, once. `false` when there is none by this code for this connector, or it was taken up before.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn start_test(
        &self,
        code: &TokenHash,
        connector: &ConnectorId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE test_sign_in SET started = 1
             WHERE code_hash = $1 AND connector = $2 AND started = 0 AND expires_ms > $3",
        )
        .bind(code.as_slice())
        .bind(connector.as_str())
        .bind(millis(now))
        .execute(self.writer())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// How far a test has come; `None` when there is none.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn test_progress(&self, code: &TokenHash) -> Result<Option<Progress>, StoreError> {
        let row = sqlx::query("SELECT started, sealed_report IS NOT NULL FROM test_sign_in WHERE code_hash = $1")
            .bind(code.as_slice())
            .fetch_optional(self.reader())
            .await?;
        row.map(|row| {
            Ok(match (row.try_get(0)?, row.try_get(1)?) {
                (_, true) => Progress::Ended,
                (true, false) => Progress::Started,
                (false, false) => Progress::Waiting,
            })
        })
        .transpose()
    }

    /// Takes a test out, with its sealed report where there is one: it is read once.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn take_test(&self, code: &TokenHash) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("DELETE FROM test_sign_in WHERE code_hash = $1 RETURNING sealed_report")
            .bind(code.as_slice())
            .fetch_optional(self.writer())
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.flatten())
    }
}

/// Leaves the report of a test for whoever waits. The first one stays; where nobody waits any more, nothing is kept.
///
/// # Errors
/// The database refuses.
pub async fn end_test(tx: &mut Tx, code: &TokenHash, sealed_report: &[u8]) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE test_sign_in SET sealed_report = $2, started = 1 WHERE code_hash = $1 AND sealed_report IS NULL",
    )
    .bind(code.as_slice())
    .bind(sealed_report)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
