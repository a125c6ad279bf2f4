//! Places for work that waits for a provider.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::identity::ConnectorId;

/// So many places in all, and no more than a share of them for one connector: a provider that is slow, or wants to be,
/// takes up its own and leaves the others theirs.
#[derive(Debug, Clone)]
pub struct Places {
    all: Arc<Semaphore>,
    share: usize,
    shares: Arc<Mutex<HashMap<ConnectorId, Arc<Semaphore>>>>,
}

/// One place, free again when this is dropped.
#[derive(Debug)]
#[must_use = "the place is free again when this is dropped"]
pub struct Place {
    _own: OwnedSemaphorePermit,
    _any: OwnedSemaphorePermit,
}

impl Places {
    #[must_use]
    pub fn new(all: usize, share: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), share, shares: Arc::default() }
    }

    /// A place for a connector of the catalog; `None` when there is none within `patience`.
    pub async fn take(&self, connector: &ConnectorId, patience: Duration) -> Option<Place> {
        let share = {
            let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(shares.entry(connector.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.share))))
        };
        let both = async {
            // In this order: whoever waits for their own share keeps no place from anybody.
            let own = share.acquire_owned().await.ok()?;
            let any = Arc::clone(&self.all).acquire_owned().await.ok()?;
            Some(Place { _own: own, _any: any })
        };
        tokio::time::timeout(patience, both).await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connector_that_takes_all_it_can_leaves_the_others_theirs() {
        let places = Places::new(3, 2);
        let (slow, other): (ConnectorId, ConnectorId) = ("slow".parse().unwrap(), "other".parse().unwrap());
        let take = async |connector| places.take(connector, Duration::from_millis(10)).await;
        let first = take(&slow).await;
        let second = take(&slow).await;
        assert!(first.is_some() && second.is_some());
        assert!(take(&slow).await.is_none(), "its share is taken");
        let third = take(&other).await;
        assert!(third.is_some());
        assert!(take(&other).await.is_none(), "all are taken");
        drop(first);
        assert!(take(&other).await.is_some());
    }
}
