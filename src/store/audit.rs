//! The audit log.

use jiff::Timestamp;
use sqlx::Row;

use super::{Store, StoreError, Tx, millis};
use crate::audit::{Chain, Event, Head, Link, VerifyError};

/// An event with its place in the chain.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    pub link: Link,
    pub hash: [u8; 32],
}

fn hash_of(bytes: &[u8]) -> Result<[u8; 32], StoreError> {
    bytes
        .try_into()
        .map_err(|_| StoreError::Nonsense { table: "audit_event", detail: "a hash is not 32 bytes long".to_owned() })
}

const LAST: &str = "SELECT seq, hash FROM audit_event ORDER BY seq DESC LIMIT 1";

fn head_of(last: Option<&sqlx::sqlite::SqliteRow>) -> Result<Head, StoreError> {
    match last {
        Some(row) => Ok(Head { seq: row.try_get(0)?, hash: hash_of(row.try_get(1)?)? }),
        None => Ok(Head::EMPTY),
    }
}

/// Why a log does not verify.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Broken(#[from] VerifyError),
}

/// Appends an event to the chain within the caller's transaction.
///
/// # Errors
/// The database refuses; the caller must then deliver nothing.
pub async fn append(tx: &mut Tx, chain: &Chain, event: &Event, now: Timestamp) -> Result<Head, StoreError> {
    let last = sqlx::query(LAST).fetch_optional(&mut **tx).await?;
    let head = head_of(last.as_ref())?;
    let link = Link {
        seq: head.seq + 1,
        at_ms: millis(now),
        kind: event.kind.as_str().to_owned(),
        subject: event.subject.clone(),
        reference: event.reference.clone(),
        body: event.body(),
    };
    let hash = chain.hash(&head.hash, &link);
    sqlx::query("INSERT INTO audit_event (seq, at_ms, kind, subject, reference, body, hash) VALUES ($1, $2, $3, $4, $5, $6, $7)")
        .bind(link.seq)
        .bind(link.at_ms)
        .bind(&link.kind)
        .bind(&link.subject)
        .bind(&link.reference)
        .bind(&link.body)
        .bind(hash.as_slice())
        .execute(&mut **tx)
        .await?;
    Ok(Head { seq: link.seq, hash })
}

impl Store {
    /// Appends one event in a transaction of its own.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn record(&self, chain: &Chain, event: &Event, now: Timestamp) -> Result<Head, StoreError> {
        let mut tx = self.begin().await?;
        let head = append(&mut tx, chain, event, now).await?;
        tx.commit().await?;
        Ok(head)
    }

    /// Where the chain stands.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn audit_head(&self) -> Result<Head, StoreError> {
        let last = sqlx::query(LAST).fetch_optional(self.reader()).await?;
        head_of(last.as_ref())
    }

    /// Up to `limit` events after `seq`, in order.
    ///
    /// # Errors
    /// The database refuses, or a row makes no sense.
    pub async fn audit_after(&self, seq: i64, limit: i64) -> Result<Vec<StoredEvent>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, at_ms, kind, subject, reference, body, hash FROM audit_event WHERE seq > $1 ORDER BY seq LIMIT $2",
        )
        .bind(seq)
        .bind(limit)
        .fetch_all(self.reader())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(StoredEvent {
                    link: Link {
                        seq: row.try_get(0)?,
                        at_ms: row.try_get(1)?,
                        kind: row.try_get(2)?,
                        subject: row.try_get(3)?,
                        reference: row.try_get(4)?,
                        body: row.try_get(5)?,
                    },
                    hash: hash_of(row.try_get(6)?)?,
                })
            })
            .collect()
    }

    /// Walks the whole chain; `known` is a head seen earlier that the log must still contain.
    ///
    /// # Errors
    /// [`AuditError::Broken`] names the first event that does not fit.
    pub async fn verify_audit(&self, chain: &Chain, known: Option<Head>) -> Result<Head, AuditError> {
        let mut head = Head::EMPTY;
        loop {
            let events = self.audit_after(head.seq, 1_000).await?;
            if events.is_empty() {
                break;
            }
            for event in &events {
                head = chain.follow(head, &event.link, &event.hash)?;
                if known.is_some_and(|known| known.seq == head.seq && known != head) {
                    return Err(VerifyError::Rewritten(head.seq).into());
                }
            }
        }
        match known {
            Some(known) if known.seq > head.seq => {
                Err(VerifyError::Shortened { known: known.seq, found: head.seq }.into())
            }
            _ => Ok(head),
        }
    }
}
