//! Work that ends even if its client does not wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Runs work to its end on a runtime that outlives the web server's threads, and knows when all of it is done.
#[derive(Debug, Clone)]
pub struct Tasks {
    runtime: Handle,
    running: Arc<AtomicUsize>,
}

/// Counts one piece of work for as long as it lives, however it ends.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl Tasks {
    /// On the runtime that is current, which must be the program's own.
    #[must_use]
    pub fn on_this_runtime() -> Self {
        Self { runtime: Handle::current(), running: Arc::default() }
    }

    /// Runs to its end even if the client hangs up, which drops the handler that waits: whoever sends something must
    /// not be able to keep it from being recorded. `None` when it ended in a panic.
    pub async fn uninterrupted<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.begin(work).await.ok()
    }

    /// Runs to its end while whoever began it goes on.
    pub fn begin<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        let counted = self.counted();
        self.runtime.spawn(async move {
            let _counted = counted;
            work.await
        })
    }

    /// As [`begin`](Self::begin), for what would keep a thread busy.
    pub fn begin_blocking(&self, work: impl FnOnce() + Send + 'static) {
        let counted = self.counted();
        self.runtime.spawn_blocking(move || {
            let _counted = counted;
            work();
        });
    }

    fn counted(&self) -> Counted {
        self.running.fetch_add(1, Ordering::Acquire);
        Counted(Arc::clone(&self.running))
    }

    /// Waits until nothing runs any more, but no longer than `patience`; says how much was still running then.
    pub async fn drained(&self, patience: Duration) -> usize {
        const LOOK_EVERY: Duration = Duration::from_millis(20);
        let all_done = async {
            while self.running.load(Ordering::Acquire) > 0 {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        // Whether time ran out is told by what is left.
        let _ = tokio::time::timeout(patience, all_done).await;
        self.running.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn work_whose_client_is_gone_is_waited_for() {
        let tasks = Tasks::on_this_runtime();
        let (begun, wait) = tokio::sync::oneshot::channel();
        let (go_on, held) = tokio::sync::oneshot::channel::<()>();
        let theirs = tasks.clone();
        let client = tokio::spawn(async move {
            theirs
                .uninterrupted(async move {
                    begun.send(()).unwrap();
                    held.await.unwrap();
                })
                .await
        });
        wait.await.unwrap();
        client.abort();
        assert!(client.await.unwrap_err().is_cancelled());
        assert_eq!(tasks.drained(Duration::from_millis(50)).await, 1, "it still runs");
        go_on.send(()).unwrap();
        assert_eq!(tasks.drained(Duration::from_secs(10)).await, 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn work_that_panics_is_over() {
        let tasks = Tasks::on_this_runtime();
        assert_eq!(tasks.uninterrupted(async { panic!("a defect") }).await, None::<()>);
        assert_eq!(tasks.drained(Duration::from_secs(10)).await, 0);
    }
}
