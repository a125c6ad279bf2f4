//! Group commit of the audit log: events that come while one transaction is written are written together in the next.
//!
//! A flush to disk per event would bound the whole broker by its disk. Here whoever waits for an event waits for one
//! flush that serves all who came before it began. What an event announces still leaves the house only after that event
//! is on disk, and every waiter learns of a failure.
//!
//! There are two ways into the one chain: this one, and [`audit::append`] in a transaction that carries other writes too.
//! Both read where the chain stands under SQLite's write lock, of which there is one whatever processes there are, and
//! nothing remembers it in between.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::audit::{self, Draft};
use super::{Store, StoreError, packed_sizes, preferences};
use crate::audit::{Chain, Event, Head};
use crate::aws::{AccountId, RoleName};
use crate::identity::PersonId;

/// So many events go into one transaction at most: those behind them wait for the next, and not for a longer one.
const MOST: usize = 256;
/// Where events come together, so long is waited for more of them: a transaction costs the same for many. Who comes alone
/// is written at once.
const LINGER: Duration = Duration::from_millis(1);

/// Writes events down, many at once.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    chain: Chain,
    /// Outlives whoever asks: what was begun is written even if its client hangs up.
    runtime: Handle,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Entry>,
    /// Whether somebody is writing, and will look again before they stop.
    writing: bool,
}

/// That somebody used a role, for the top of their list.
#[derive(Debug, Clone)]
pub struct Use {
    pub person: PersonId,
    pub account: AccountId,
    pub role: RoleName,
    /// How much of the room for session policy and tags was taken, in percent, where STS says so.
    pub packed_percent: Option<u32>,
    pub at: Timestamp,
}

#[derive(Debug)]
struct Entry {
    draft: Draft,
    used: Option<Use>,
    done: oneshot::Sender<Result<Head, Arc<StoreError>>>,
}

impl Journal {
    /// Writes on the runtime that is current, which must be the program's own.
    #[must_use]
    pub fn new(store: Store, chain: Chain) -> Self {
        Self(Arc::new(Inner { store, chain, runtime: Handle::current(), queue: Mutex::default() }))
    }

    /// Appends one event, and says when it is on disk. From the first poll on it is written whoever waits.
    ///
    /// # Errors
    /// The database refuses; all that would have been written in the same transaction learn the same.
    pub async fn record(&self, event: &Event, now: Timestamp) -> Result<Head, StoreError> {
        self.enter(event, None, now).await
    }

    /// As [`record`](Self::record), and notes in the same transaction that a role was used.
    ///
    /// # Errors
    /// The database refuses; then neither was written.
    pub async fn record_use(&self, event: &Event, used: Use) -> Result<Head, StoreError> {
        let now = used.at;
        self.enter(event, Some(used), now).await
    }

    async fn enter(&self, event: &Event, used: Option<Use>, now: Timestamp) -> Result<Head, StoreError> {
        let (done, written) = oneshot::channel();
        let entry = Entry { draft: Draft::new(event, now), used, done };
        let begins = {
            let mut queue = self.0.queue();
            queue.waiting.push(entry);
            !std::mem::replace(&mut queue.writing, true)
        };
        if begins {
            // Made here, because a task may be dropped before it has begun.
            let pen = Pen { inner: Arc::clone(&self.0), put_down: false };
            self.0.runtime.spawn(write_all(pen));
        }
        match written.await {
            Ok(outcome) => outcome.map_err(StoreError::Together),
            Err(_) => Err(StoreError::Unwritten),
        }
    }
}

/// Somebody is writing. However they end, the next event finds the pen free, and who waits is told.
struct Pen {
    inner: Arc<Inner>,
    /// Whether all is written, and that nobody writes was left under the lock.
    put_down: bool,
}

impl Drop for Pen {
    fn drop(&mut self) {
        if self.put_down {
            return;
        }
        let mut queue = self.inner.queue();
        queue.writing = false;
        queue.waiting.clear();
    }
}

async fn write_all(mut pen: Pen) {
    let inner = Arc::clone(&pen.inner);
    let mut crowded = false;
    loop {
        if crowded {
            tokio::time::sleep(LINGER).await;
        }
        let batch: Vec<Entry> = {
            let mut queue = inner.queue();
            if queue.waiting.is_empty() {
                // Under the same lock as the look: nobody can come in between and be overlooked.
                queue.writing = false;
                pen.put_down = true;
                return;
            }
            let count = queue.waiting.len().min(MOST);
            queue.waiting.drain(..count).collect()
        };
        crowded = batch.len() > 1;
        inner.write(batch).await;
    }
}

impl Inner {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(&self, batch: Vec<Entry>) {
        let (mut drafts, mut uses, mut waiters) = (Vec::new(), Vec::new(), Vec::new());
        for Entry { draft, used, done } in batch {
            drafts.push(draft);
            uses.extend(used);
            waiters.push(done);
        }
        match self.commit(drafts, uses).await {
            Ok(heads) => {
                for (waiter, head) in waiters.into_iter().zip(heads) {
                    // Who hung up has no use for it.
                    let _ = waiter.send(Ok(head));
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for waiter in waiters {
                    let _ = waiter.send(Err(Arc::clone(&error)));
                }
            }
        }
    }

    async fn commit(&self, drafts: Vec<Draft>, uses: Vec<Use>) -> Result<Vec<Head>, StoreError> {
        let mut tx = self.store.begin().await?;
        for Use { person, account, role, packed_percent, at } in uses {
            preferences::note_use(&mut tx, &person, account, &role, at).await?;
            if let Some(percent) = packed_percent {
                packed_sizes::note_packed_size(&mut tx, account, &role, percent, at).await?;
            }
        }
        let heads = audit::append_all(&mut tx, &self.chain, drafts).await?;
        tx.commit().await?;
        Ok(heads)
    }
}

#[cfg(test)]
mod tests;
