//! Rolegate's own key pairs, the private half sealed.

use jiff::Timestamp;
use sqlx::Row;
use zeroize::Zeroizing;

use super::{Store, StoreError, Tx, millis, timestamp};
use crate::sys::Rng;
use crate::sys::seal::SealingKey;

/// The purpose of the key that signs assertions for AWS.
pub const AWS_ASSERTIONS: &str = "aws-signing";
/// The purpose of the [keys](super::token_keys) that sign tokens for AWS.
pub const AWS_TOKENS: &str = "aws-tokens";
/// The purpose of the key that signs SAML requests and opens what is encrypted for us.
pub const SAML_SERVICE_PROVIDER: &str = "saml-service-provider";
/// The purpose of the key that signs client assertions.
pub const OIDC_CLIENT: &str = "oidc-client";

/// A key pair as it is kept: PKCS#8 and X.509, both DER.
pub struct StoredKey {
    pub private: Zeroizing<Vec<u8>>,
    pub certificate: Vec<u8>,
}

impl std::fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredKey")
    }
}

fn place(id: &str) -> String {
    format!("key_pair:{id}:private")
}

/// The key pair for a purpose, if one was made.
///
/// # Errors
/// The database refuses, or the key was sealed with another sealing key.
pub async fn key_for(tx: &mut Tx, purpose: &str, sealing: &SealingKey) -> Result<Option<StoredKey>, StoreError> {
    let row = sqlx::query("SELECT id, sealed_private, certificate FROM key_pair WHERE purpose = $1")
        .bind(purpose)
        .fetch_optional(&mut **tx)
        .await?;
    row.map(|row| {
        let id: String = row.try_get(0)?;
        Ok(StoredKey { private: sealing.open(&place(&id), row.try_get(1)?)?, certificate: row.try_get(2)? })
    })
    .transpose()
}

/// What everybody may know of a key pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnKey {
    pub id: String,
    pub purpose: String,
    /// X.509, DER.
    pub certificate: Vec<u8>,
    pub created: Timestamp,
}

impl Store {
    /// All key pairs of which there is one for each purpose, by purpose.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn own_keys(&self) -> Result<Vec<OwnKey>, StoreError> {
        let rows = sqlx::query("SELECT id, purpose, certificate, created_ms FROM key_pair ORDER BY purpose")
            .fetch_all(self.reader())
            .await?;
        rows.iter()
            .map(|row| {
                Ok(OwnKey {
                    id: row.try_get(0)?,
                    purpose: row.try_get(1)?,
                    certificate: row.try_get(2)?,
                    created: timestamp("key_pair", row.try_get(3)?)?,
                })
            })
            .collect()
    }
}

/// Keeps a new key pair for a purpose that has none.
///
/// # Errors
/// The database refuses, also when the purpose has a key already.
pub async fn add_key(
    tx: &mut Tx,
    id: &str,
    purpose: &str,
    key: &StoredKey,
    sealing: &SealingKey,
    rng: &dyn Rng,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO key_pair (id, purpose, sealed_private, certificate, created_ms) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(id)
    .bind(purpose)
    .bind(sealing.seal(&place(id), &key.private, rng))
    .bind(&key.certificate)
    .bind(millis(now))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
