//! What is known of each STS endpoint: whether it is well, and how many calls it has in hand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Semaphore, SemaphorePermit};
use url::Url;

use super::breaker::{Breaker, COOL_DOWN, Pass};
use super::sts::StsError;
use crate::sys::Clock;

/// Calls an endpoint may have in hand at once: several hundred a second when it answers as usual, and a bound on what
/// waits here when it does not. Each endpoint has its own, so that one that hangs does not take the others' places.
pub(super) const CALLS: usize = 64;
/// How long a call waits for one of those places.
const WAIT: Duration = Duration::from_millis(500);

/// One endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    url: Url,
    breaker: Mutex<Breaker>,
    calls: Semaphore,
}

/// All endpoints that were ever called: a handful, since only settings and the catalog name regions.
#[derive(Debug, Default)]
pub(super) struct Endpoints(Mutex<BTreeMap<Url, Arc<Endpoint>>>);

impl Endpoints {
    pub fn of(&self, url: &Url) -> Arc<Endpoint> {
        let mut endpoints = lock(&self.0);
        if let Some(endpoint) = endpoints.get(url) {
            return Arc::clone(endpoint);
        }
        let endpoint = Arc::new(Endpoint { url: url.clone(), breaker: Mutex::default(), calls: Semaphore::new(CALLS) });
        endpoints.insert(url.clone(), Arc::clone(&endpoint));
        endpoint
    }
}

impl Endpoint {
    /// Leave for one call, and a place among the calls in hand, to be kept until its end.
    ///
    /// # Errors
    /// [`StsError::LeftAlone`] at once, [`StsError::Crowded`] soon.
    pub async fn enter(&self, clock: &dyn Clock) -> Result<(Pass, SemaphorePermit<'_>), StsError> {
        // Asked twice: nobody queues for an endpoint that is out, and it may turn out to be while they do. Only the
        // second spends the probe, so that none is spent on a call that then finds no place.
        if !lock(&self.breaker).lets_pass(clock.now()) {
            return Err(StsError::LeftAlone);
        }
        let place = tokio::time::timeout(WAIT, self.calls.acquire()).await;
        let Ok(Ok(place)) = place else { return Err(StsError::Crowded) };
        let pass = lock(&self.breaker).pass(clock.now()).ok_or(StsError::LeftAlone)?;
        Ok((pass, place))
    }

    /// It answered; a refusal is an answer.
    pub fn answered(&self) {
        if lock(&self.breaker).answered() {
            tracing::info!(sts.endpoint = %self.url, "an STS endpoint answers again");
        }
    }

    /// It did not answer, or could not.
    pub fn failed(&self, error: &StsError, now: Timestamp) {
        if lock(&self.breaker).failed(now) {
            tracing::warn!(
                sts.endpoint = %self.url,
                cause = %error,
                "an STS endpoint keeps failing and is left alone, but for one call every {} seconds",
                COOL_DOWN.as_secs()
            );
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
