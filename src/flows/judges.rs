//! Where evidence is judged: off the threads that serve requests, a few pieces at a time.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::sys::Clock;

/// Bounds how much is looked at at once. Clones share the bound.
#[derive(Debug, Clone)]
pub struct Judges {
    turns: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
}

/// Why there is no judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoVerdict {
    /// Too much was being judged already.
    Busy,
    /// A defect of ours, and surely no reason to believe anything.
    Panicked,
}

/// How long evidence may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

impl Judges {
    #[must_use]
    pub fn new(at_once: usize, clock: Arc<dyn Clock>) -> Self {
        Self { turns: Arc::new(Semaphore::new(at_once)), clock }
    }

    /// Judges when its turn comes, by the time it is then.
    ///
    /// # Errors
    /// [`NoVerdict`]
    pub async fn judge<T: Send + 'static>(
        &self,
        judge: impl FnOnce(Timestamp) -> T + Send + 'static,
    ) -> Result<T, NoVerdict> {
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned());
        let turn = turn.await.ok().and_then(Result::ok).ok_or(NoVerdict::Busy)?;
        let now = self.clock.now();
        let judged = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            judge(now)
        });
        judged.await.map_err(|_| NoVerdict::Panicked)
    }
}
