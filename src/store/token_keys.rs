//! The keys that sign tokens for AWS accounts, the private halves sealed.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::keys::StoredKey;
use super::{Store, StoreError, Tx, millis, timestamp};
use crate::sys::Rng;
use crate::sys::seal::SealingKey;

/// What everybody may know of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenKey {
    pub id: String,
    /// X.509, DER.
    pub certificate: Vec<u8>,
    pub created: Timestamp,
    /// From when on it signs, until the next one does.
    pub signs_from: Timestamp,
}

// In the order in which they sign; of two that would begin at the same moment the later one stands last.
const ALL: &str =
    "SELECT id, certificate, created_ms, signs_from_ms FROM token_key ORDER BY signs_from_ms, created_ms, rowid";

fn place(id: &str) -> String {
    format!("token_key:{id}:private")
}

fn read(row: &SqliteRow) -> Result<TokenKey, StoreError> {
    Ok(TokenKey {
        id: row.try_get(0)?,
        certificate: row.try_get(1)?,
        created: timestamp("token_key", row.try_get(2)?)?,
        signs_from: timestamp("token_key", row.try_get(3)?)?,
    })
}

impl Store {
    /// All there are, in the order in which they sign.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn token_keys(&self) -> Result<Vec<TokenKey>, StoreError> {
        sqlx::query(ALL).fetch_all(self.reader()).await?.iter().map(read).collect()
    }

    /// One of them, opened; `None` when it was removed.
    ///
    /// # Errors
    /// The database refuses, or the key was sealed with another sealing key.
    pub async fn open_token_key(&self, id: &str, sealing: &SealingKey) -> Result<Option<StoredKey>, StoreError> {
        let row = sqlx::query("SELECT sealed_private, certificate FROM token_key WHERE id = $1")
            .bind(id)
            .fetch_optional(self.reader())
            .await?;
        row.map(|row| {
            Ok(StoredKey { private: sealing.open(&place(id), row.try_get(0)?)?, certificate: row.try_get(1)? })
        })
        .transpose()
    }
}

/// As [`Store::token_keys`], where nobody can add one in between.
///
/// # Errors
/// The database refuses.
pub async fn all(tx: &mut Tx) -> Result<Vec<TokenKey>, StoreError> {
    sqlx::query(ALL).fetch_all(&mut **tx).await?.iter().map(read).collect()
}

/// # Errors
/// The database refuses.
pub async fn add(
    tx: &mut Tx,
    id: &str,
    key: &StoredKey,
    signs_from: Timestamp,
    sealing: &SealingKey,
    rng: &dyn Rng,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO token_key (id, sealed_private, certificate, created_ms, signs_from_ms) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(id)
    .bind(sealing.seal(&place(id), &key.private, rng))
    .bind(&key.certificate)
    .bind(millis(now))
    .bind(millis(signs_from))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Removes a key, its private half with it; says whether it was there.
///
/// # Errors
/// The database refuses.
pub async fn remove(tx: &mut Tx, id: &str) -> Result<bool, StoreError> {
    let done = sqlx::query("DELETE FROM token_key WHERE id = $1").bind(id).execute(&mut **tx).await?;
    Ok(done.rows_affected() > 0)
}
