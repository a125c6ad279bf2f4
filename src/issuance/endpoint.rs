//! What is known of each STS endpoint: whether it is well, and how many calls it has in hand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use url::Url;

use super::breaker::{Breaker, COOL_DOWN, Failure, Pass};
use super::sts::StsError;
use crate::sys::Clock;

/// Calls an endpoint may have in hand at once: several hundred a second when it answers as usual, and a bound on what
/// waits here when it does not. Each endpoint has its own, so that one that hangs does not take the others' places.
pub(super) const CALLS: usize = 64;
/// How many wait for one of those places, and how long.
pub(super) const WAITING: usize = 256;
const WAIT: Duration = Duration::from_millis(500);
/// After so many throttled answers and no other, the endpoint has nothing left to give: calls are not repeated there as often
/// as where every second one is served. One in a million calls meets so many by chance at 50 %.
const SATURATED: u32 = 20;

/// One endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    url: Url,
    breaker: Mutex<Breaker>,
    calls: Semaphore,
    waiting: AtomicUsize,
    throttled_in_a_row: AtomicU32,
    opened: Notify,
    /// The operation that failed last, for the look whether it is answered again.
    failing: Mutex<&'static str>,
}

/// All endpoints that were ever called: a handful, since only settings and the catalog name regions.
#[derive(Debug, Default)]
pub(super) struct Endpoints(Mutex<BTreeMap<Url, Arc<Endpoint>>>);

/// How an endpoint is, for figures.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub open_since: Option<Timestamp>,
    pub half_open: bool,
    pub in_hand: usize,
    pub waiting: usize,
}

impl Endpoints {
    pub fn of(&self, url: &Url) -> Arc<Endpoint> {
        let mut endpoints = lock(&self.0);
        if let Some(endpoint) = endpoints.get(url) {
            return Arc::clone(endpoint);
        }
        let endpoint = Arc::new(Endpoint {
            url: url.clone(),
            breaker: Mutex::default(),
            calls: Semaphore::new(CALLS),
            waiting: AtomicUsize::new(0),
            throttled_in_a_row: AtomicU32::new(0),
            opened: Notify::new(),
            failing: Mutex::new(""),
        });
        endpoints.insert(url.clone(), Arc::clone(&endpoint));
        endpoint
    }

    pub fn all(&self) -> Vec<Arc<Endpoint>> {
        lock(&self.0).values().cloned().collect()
    }

    /// Since when an endpoint is left alone; one that was never called is well.
    pub fn open_since(&self, url: &Url) -> Option<Timestamp> {
        let endpoint = lock(&self.0).get(url).cloned()?;
        lock(&endpoint.breaker).open_since()
    }
}

/// Somebody who waits for a place, counted for as long as they do.
struct Waiting<'e>(&'e AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Endpoint {
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Leave for one call, and a place among the calls in hand, to be kept until its end.
    ///
    /// # Errors
    /// [`StsError::LeftAlone`] at once, [`StsError::Crowded`] soon.
    pub async fn enter(&self, clock: &dyn Clock) -> Result<(Pass, SemaphorePermit<'_>), StsError> {
        // Asked twice: nobody queues for an endpoint that is out, and it may turn out to be while they do. Only the
        // second spends the probe, so that none is spent on a call that then finds no place.
        if !self.lets_pass(clock.now()) {
            return Err(StsError::LeftAlone);
        }
        let place = match self.calls.try_acquire() {
            Ok(place) => place,
            Err(_) => {
                let before = self.waiting.fetch_add(1, Ordering::Relaxed);
                let _waiting = Waiting(&self.waiting);
                if before >= WAITING {
                    return Err(StsError::Crowded);
                }
                let place = tokio::time::timeout(WAIT, self.calls.acquire()).await;
                let Ok(Ok(place)) = place else { return Err(StsError::Crowded) };
                place
            }
        };
        let pass = lock(&self.breaker).pass(clock.now()).ok_or(StsError::LeftAlone)?;
        Ok((pass, place))
    }

    pub fn lets_pass(&self, now: Timestamp) -> bool {
        lock(&self.breaker).lets_pass(now)
    }

    /// Leave to look whether the endpoint is back, if it is out and nobody has looked for a while; with the operation to
    /// look by.
    pub fn look(&self, now: Timestamp) -> Option<&'static str> {
        let mut breaker = lock(&self.breaker);
        breaker.open_since()?;
        breaker.pass(now)?;
        drop(breaker);
        Some(*lock(&self.failing))
    }

    /// Ends when the endpoint begins to be left alone: whoever can go elsewhere waits for it no longer.
    pub fn opens(&self) -> Notified<'_> {
        self.opened.notified()
    }

    /// Whether the endpoint has had nothing but throttling to give for a while.
    pub fn is_saturated(&self) -> bool {
        self.throttled_in_a_row.load(Ordering::Relaxed) >= SATURATED
    }

    /// It answered; a refusal is an answer.
    pub fn answered(&self) {
        self.throttled_in_a_row.store(0, Ordering::Relaxed);
        self.is_alive();
    }

    /// It answered that it is throttling.
    pub fn throttled(&self) {
        self.throttled_in_a_row.fetch_add(1, Ordering::Relaxed);
        self.is_alive();
    }

    fn is_alive(&self) {
        if lock(&self.breaker).answered() {
            tracing::info!(sts.endpoint = %self.url, "an STS endpoint answers again");
        }
    }

    /// It answered a look.
    pub fn stirred(&self, now: Timestamp) {
        lock(&self.breaker).stirred(now);
        tracing::info!(sts.endpoint = %self.url, "an STS endpoint answers again when looked at, and is tried");
    }

    /// It did not answer, or could not.
    pub fn failed(&self, operation: &'static str, error: &StsError, failure: Failure, now: Timestamp) {
        *lock(&self.failing) = operation;
        if lock(&self.breaker).failed(failure, now) {
            self.opened.notify_waiters();
            tracing::warn!(
                sts.endpoint = %self.url,
                cause = %error,
                "an STS endpoint keeps failing and is left alone, but for one look every {} seconds",
                COOL_DOWN.as_secs()
            );
        }
    }

    pub fn state(&self, now: Timestamp) -> State {
        let breaker = lock(&self.breaker);
        State {
            open_since: breaker.open_since(),
            half_open: breaker.open_since().is_some() && breaker.lets_pass(now),
            in_hand: CALLS - self.calls.available_permits(),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
