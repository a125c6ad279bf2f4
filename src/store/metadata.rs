//! Identity provider metadata that was fetched, the last good copy.

use jiff::Timestamp;
use sqlx::Row;

use super::{Store, StoreError, Tx, millis, timestamp};
use crate::identity::ConnectorId;

/// A fetched metadata document.
#[derive(Debug, Clone)]
pub struct FetchedMetadata {
    pub url: String,
    pub document: String,
    pub fetched: Timestamp,
}

/// Keeps a document, replacing the one before.
///
/// # Errors
/// The database refuses.
pub async fn save(tx: &mut Tx, connector: &ConnectorId, fetched: &FetchedMetadata) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO connector_metadata (connector, url, document, fetched_ms) VALUES ($1, $2, $3, $4)
         ON CONFLICT (connector) DO UPDATE SET url = excluded.url, document = excluded.document, fetched_ms = excluded.fetched_ms",
    )
    .bind(connector.as_str())
    .bind(&fetched.url)
    .bind(&fetched.document)
    .bind(millis(fetched.fetched))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

impl Store {
    /// From where and when the last good copy for a connector was fetched, without the document: a federation's has
    /// megabytes, and strangers ask.
    ///
    /// # Errors
    /// The database refuses, or the row makes no sense.
    pub async fn metadata_fetched(&self, connector: &ConnectorId) -> Result<Option<(String, Timestamp)>, StoreError> {
        let row = sqlx::query("SELECT url, fetched_ms FROM connector_metadata WHERE connector = $1")
            .bind(connector.as_str())
            .fetch_optional(self.reader())
            .await?;
        row.map(|row| Ok((row.try_get(0)?, timestamp("connector_metadata", row.try_get(1)?)?))).transpose()
    }

    /// The last good copy for a connector.
    ///
    /// # Errors
    /// The database refuses, or the row makes no sense.
    pub async fn fetched_metadata(&self, connector: &ConnectorId) -> Result<Option<FetchedMetadata>, StoreError> {
        let row = sqlx::query("SELECT url, document, fetched_ms FROM connector_metadata WHERE connector = $1")
            .bind(connector.as_str())
            .fetch_optional(self.reader())
            .await?;
        row.map(|row| {
            Ok(FetchedMetadata {
                url: row.try_get(0)?,
                document: row.try_get(1)?,
                fetched: timestamp("connector_metadata", row.try_get(2)?)?,
            })
        })
        .transpose()
    }
}
