//! The audit log.

use std::sync::LazyLock;

use jiff::Timestamp;
use sqlx::Row;

use super::{Store, StoreError, Tx, millis};
use crate::audit::{Chain, Event, Head, Kind, Link, VerifyError};

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

/// An event as it will stand in the log, but for its place there.
#[derive(Debug)]
pub(super) struct Draft {
    at_ms: i64,
    kind: &'static str,
    subject: Option<String>,
    reference: Option<String>,
    body: String,
}

impl Draft {
    pub(super) fn new(event: &Event, now: Timestamp) -> Self {
        Self {
            at_ms: millis(now),
            kind: event.kind.as_str(),
            subject: event.subject.clone(),
            reference: event.reference.clone(),
            body: event.body(),
        }
    }
}

/// Appends an event to the chain within the caller's transaction.
///
/// # Errors
/// The database refuses; the caller must then deliver nothing.
pub async fn append(tx: &mut Tx, chain: &Chain, event: &Event, now: Timestamp) -> Result<Head, StoreError> {
    let heads = append_all(tx, chain, vec![Draft::new(event, now)]).await?;
    Ok(heads.last().copied().unwrap_or(Head::EMPTY))
}

/// Appends events to the chain in their order, and says where each has come to stand.
///
/// # Errors
/// The database refuses; the caller must then deliver nothing of what they announce.
pub(super) async fn append_all(tx: &mut Tx, chain: &Chain, drafts: Vec<Draft>) -> Result<Vec<Head>, StoreError> {
    let last = sqlx::query(LAST).fetch_optional(&mut **tx).await?;
    let mut head = head_of(last.as_ref())?;
    let mut heads = Vec::with_capacity(drafts.len());
    let mut links = Vec::with_capacity(drafts.len());
    for Draft { at_ms, kind, subject, reference, body } in drafts {
        let link = Link { seq: head.seq + 1, at_ms, kind: kind.to_owned(), subject, reference, body };
        head = Head { seq: link.seq, hash: chain.hash(&head.hash, &link) };
        heads.push(head);
        links.push(link);
    }
    let (mut links, mut hashes) = (&links[..], &heads[..]);
    // The largest statement that can be filled, then the next: few round trips, and few statements to keep prepared.
    for size in (0..INSERTS.len()).rev().map(|at| 1 << at) {
        while links.len() >= size {
            insert(tx, &links[..size], &hashes[..size]).await?;
            (links, hashes) = (&links[size..], &hashes[size..]);
        }
    }
    Ok(heads)
}

/// Statements that insert 1, 2, 4 and so on up to 64 events.
static INSERTS: LazyLock<[String; 7]> = LazyLock::new(|| {
    std::array::from_fn(|at| {
        let mut sql =
            "INSERT INTO audit_event (seq, at_ms, kind, subject, reference, body, hash) VALUES (?, ?, ?, ?, ?, ?, ?)"
                .to_owned();
        sql.push_str(&", (?, ?, ?, ?, ?, ?, ?)".repeat((1 << at) - 1));
        sql
    })
});

/// Writes as many links as one of the [statements](INSERTS) takes.
async fn insert(tx: &mut Tx, links: &[Link], heads: &[Head]) -> Result<(), StoreError> {
    let sql = INSERTS[links.len().trailing_zeros() as usize].as_str();
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
    for (link, head) in links.iter().zip(heads) {
        query = query
            .bind(link.seq)
            .bind(link.at_ms)
            .bind(&link.kind)
            .bind(&link.subject)
            .bind(&link.reference)
            .bind(&link.body)
            .bind(head.hash.as_slice());
    }
    query.execute(&mut **tx).await?;
    Ok(())
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

    /// Whose session or token has ended since `seq`, whichever process ended it, and where the chain stands now.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn departures_after(&self, seq: i64) -> Result<(Vec<String>, i64), StoreError> {
        let [session, token] = Kind::ENDS_ACCESS;
        // The head first: what comes in between is then found twice rather than never.
        let head = self.audit_head().await?.seq;
        let subjects = sqlx::query_scalar(
            "SELECT DISTINCT subject FROM audit_event WHERE seq > $1 AND kind IN ($2, $3) AND subject IS NOT NULL",
        )
        .bind(seq)
        .bind(session.as_str())
        .bind(token.as_str())
        .fetch_all(self.reader())
        .await?;
        Ok((subjects, head))
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
