//! What almost every request of a program asks first, asked for many requests at once: whose token this is, and which
//! revision the catalog has.
//!
//! A read costs little, but each goes to a connection's own thread and back, and under load that is most of what a request
//! costs. Here those who come while one read is under way are answered by the next: never by one that began before they came,
//! so that what any process has committed by then is seen.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::Row;
use tokio::sync::oneshot;

use super::catalog::Revision;
use super::tokens::{self, StoredToken};
use super::{Store, StoreError};
use crate::sys::{BearerKind, TokenHash};

/// So many tokens are looked up by one statement at most.
const MOST: usize = 64;
/// Where requests come together, so long is waited for more of them. Who comes alone is answered at once.
const LINGER: Duration = Duration::from_millis(1);

type Answer<T> = oneshot::Sender<Result<T, Arc<StoreError>>>;

/// Those who wait for the next read.
#[derive(Debug, Default)]
pub(super) struct Lookups(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    tokens: Vec<(TokenHash, BearerKind, Answer<Option<StoredToken>>)>,
    revisions: Vec<Answer<Revision>>,
    reading: bool,
}

impl Lookups {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody is reading. However they end, those who wait are told, and the next begins anew.
struct Reading {
    store: Store,
    /// Whether everybody was answered, and it was left under the lock that nobody reads.
    over: bool,
}

impl Drop for Reading {
    fn drop(&mut self) {
        if !self.over {
            *self.store.lookups.queue() = Queue::default();
        }
    }
}

async fn look_up_all(mut reading: Reading) {
    let store = reading.store.clone();
    let mut crowded = false;
    loop {
        if crowded {
            tokio::time::sleep(LINGER).await;
        }
        let (tokens, revisions) = {
            let mut queue = store.lookups.queue();
            if queue.tokens.is_empty() && queue.revisions.is_empty() {
                queue.reading = false;
                reading.over = true;
                return;
            }
            let count = queue.tokens.len().min(MOST);
            (queue.tokens.drain(..count).collect::<Vec<_>>(), std::mem::take(&mut queue.revisions))
        };
        crowded = tokens.len() + revisions.len() > 1;
        store.look_up(tokens, revisions).await;
    }
}

impl Store {
    /// The token behind a hash, with what it belongs to; live or not.
    ///
    /// # Errors
    /// The database refuses, or the row makes no sense.
    pub async fn token(&self, hash: &TokenHash, kind: BearerKind) -> Result<Option<StoredToken>, StoreError> {
        self.ask(|queue, answer| queue.tokens.push((*hash, kind, answer))).await
    }

    /// The catalog's revision alone, which costs one small row: enough to know that a compiled policy still holds.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn catalog_revision(&self) -> Result<Revision, StoreError> {
        self.ask(|queue, answer| queue.revisions.push(answer)).await
    }

    async fn ask<T>(&self, enter: impl FnOnce(&mut Queue, Answer<T>)) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let begins = {
            let mut queue = self.lookups.queue();
            enter(&mut queue, answer);
            !std::mem::replace(&mut queue.reading, true)
        };
        if begins {
            // Not within this request: it may be dropped, and others wait. A worker that stops may drop the task before it
            // has begun, so what tells those who wait is made here.
            let reading = Reading { store: self.clone(), over: false };
            tokio::spawn(look_up_all(reading));
        }
        match answered.await {
            Ok(outcome) => outcome.map_err(StoreError::Together),
            Err(_) => Err(StoreError::Unread),
        }
    }

    /// One read for all of them.
    async fn look_up(
        &self,
        tokens: Vec<(TokenHash, BearerKind, Answer<Option<StoredToken>>)>,
        revisions: Vec<Answer<Revision>>,
    ) {
        let hashes: Vec<&TokenHash> = tokens.iter().map(|(hash, ..)| hash).collect();
        let rows = match hashes.as_slice() {
            [] => Ok(Vec::new()),
            hashes => tokens::rows_of(self.reader(), hashes).await,
        };
        // Each row says which revision the catalog had at that moment; without any row it has to be asked.
        let revision = match rows.as_ref().map(|rows| rows.first()) {
            _ if revisions.is_empty() => Ok(0),
            Ok(Some(row)) => row.try_get("revision").map_err(StoreError::from),
            Ok(None) | Err(_) => self.read_revision().await,
        };
        match revision {
            Ok(revision) => revisions.into_iter().for_each(|answer| drop(answer.send(Ok(revision)))),
            Err(error) => {
                let error = Arc::new(error);
                revisions.into_iter().for_each(|answer| drop(answer.send(Err(Arc::clone(&error)))));
            }
        }
        match rows {
            Ok(rows) => {
                let by_hash: HashMap<&[u8], _> =
                    rows.iter().filter_map(|row| Some((row.try_get::<&[u8], _>("token_hash").ok()?, row))).collect();
                for (hash, kind, answer) in tokens {
                    let found = by_hash.get(hash.as_slice()).map(|row| tokens::token_from(row, kind));
                    let found = found.transpose().map(Option::flatten).map_err(Arc::new);
                    let _ = answer.send(found);
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for (.., answer) in tokens {
                    let _ = answer.send(Err(Arc::clone(&error)));
                }
            }
        }
    }

    async fn read_revision(&self) -> Result<Revision, StoreError> {
        Ok(sqlx::query_scalar("SELECT revision FROM catalog_meta").fetch_one(self.reader()).await?)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use futures_util::future::join_all;

    use super::*;
    use crate::store::catalog::replace;

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_asks_after_a_commit_is_answered_by_a_read_that_began_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let (store, other) = (
            Store::open(&dir.path().join("test.db")).await.unwrap(),
            Store::open(&dir.path().join("test.db")).await.unwrap(),
        );
        let crowd: Vec<_> = (0..4)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    for _ in 0..200 {
                        store.catalog_revision().await.unwrap();
                    }
                })
            })
            .collect();
        for expected in 1..=50 {
            let mut tx = other.begin().await.unwrap();
            replace(&mut tx, &crate::catalog::Catalog::default()).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(store.catalog_revision().await.unwrap(), expected, "by another process, and seen at once");
        }
        join_all(crowd).await.into_iter().for_each(|done| done.unwrap());
    }

    #[test]
    fn a_read_that_never_began_leaves_nobody_waiting() {
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let main = runtime();
        let store = main.block_on(Store::open(&dir.path().join("test.db"))).unwrap();
        let worker = runtime();
        worker.block_on(async {
            let mut asked = Box::pin(store.catalog_revision());
            assert!(asked.as_mut().now_or_never().is_none(), "the task was made and has not run");
        });
        drop(worker);
        main.block_on(async {
            let asked = tokio::time::timeout(Duration::from_secs(60), store.catalog_revision()).await;
            assert!(asked.expect("the next one reads").is_ok());
        });
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn unknown_tokens_are_nobodys_however_many_ask_and_a_failure_reaches_all() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("test.db")).await.unwrap();
        let hashes: Vec<TokenHash> = (0..150).map(|at| [at; 32]).collect();
        let found = join_all(hashes.iter().map(|hash| store.token(hash, BearerKind::Access))).await;
        assert!(found.into_iter().all(|found| found.unwrap().is_none()));
        store.close().await;
        let failed = join_all(hashes.iter().map(|hash| store.token(hash, BearerKind::Access))).await;
        assert!(failed.into_iter().all(|found| matches!(found, Err(StoreError::Together(_)))));
        assert!(store.catalog_revision().await.is_err());
    }
}
