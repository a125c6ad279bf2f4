//! A circuit breaker: an endpoint that keeps failing is left alone for a while.
//!
//! ```text
//!             failures in a row within WINDOW                  COOL_DOWN later
//!   closed ─────────────────────────────────▶ open ─────────────────────────────▶ half-open
//!   (calls pass) ◀───────────────┐            (no call passes) ◀────────────────  (one call passes, the probe)
//!                                │                               no answer           │
//!                                └───────────────────────────────────────────────────┘
//!                                                     an answer
//! ```
//!
//! How many failures are enough depends on what is lost: where another region is well, four; where there is none, ten, since then to
//! leave it alone is to refuse everybody. A call that got no answer in time counts twice: somebody waited for it.
//!
//! An endpoint that is out is called once per [`COOL_DOWN`] at most. A probe that never reports, because
//! whoever sent it has gone, keeps nobody waiting: it counts as unanswered when its cool-down is over.
//!
//! A throttled call is answered, and so is a refused one: the endpoint is alive.

use jiff::{SignedDuration, Timestamp};

/// So many failures in a row open the breaker where there is no other endpoint to ask.
pub(super) const FAILURES: usize = 10;
/// And so many where there is.
pub(super) const FAILURES_BESIDE_ANOTHER: usize = 4;
/// Failures further apart than this have nothing to do with each other.
pub(super) const WINDOW: SignedDuration = SignedDuration::from_secs(60);
/// How long an open breaker lets nothing pass; the same again after every probe.
pub(super) const COOL_DOWN: SignedDuration = SignedDuration::from_secs(10);

/// The state of one endpoint, as far as its answers tell.
#[derive(Debug)]
pub(super) enum Breaker {
    /// When each of the latest failures was, with no answer since.
    Closed(Vec<Timestamp>),
    Open {
        since: Timestamp,
        /// When it opened; or, once a probe was let through, when that was.
        tried: Timestamp,
    },
}

/// Leave to make one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// The endpoint is well, as far as we know.
    Normal,
    /// The endpoint was out: this call finds out whether it still is.
    Probe,
}

/// What a call came to that got no answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failure {
    /// Whether its time was up.
    pub slow: bool,
    /// Whether another endpoint is well and can be asked.
    pub another: bool,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed(Vec::new())
    }
}

impl Breaker {
    /// Whether a call could pass; no probe is spent by asking.
    pub fn lets_pass(&self, now: Timestamp) -> bool {
        match self {
            Self::Closed(_) => true,
            Self::Open { tried, .. } => !within(COOL_DOWN, *tried, now),
        }
    }

    /// Since when it is open.
    pub fn open_since(&self) -> Option<Timestamp> {
        match self {
            Self::Closed(_) => None,
            Self::Open { since, .. } => Some(*since),
        }
    }

    /// Leave for one call; none while the endpoint is left alone.
    pub fn pass(&mut self, now: Timestamp) -> Option<Pass> {
        if !self.lets_pass(now) {
            return None;
        }
        match self {
            Self::Closed(_) => Some(Pass::Normal),
            Self::Open { tried, .. } => {
                *tried = now;
                Some(Pass::Probe)
            }
        }
    }

    /// The endpoint answered a call, be it with a refusal. Returns whether that closed the breaker.
    ///
    /// It need not be the probe: a slow answer to an earlier call shows as well that the endpoint is back.
    pub fn answered(&mut self) -> bool {
        let was_open = self.open_since().is_some();
        *self = Self::default();
        was_open
    }

    /// The endpoint answered, though not to a call that counts for somebody. It is tried again, and the next failure or two
    /// open the breaker as before.
    pub fn stirred(&mut self, now: Timestamp) {
        if self.open_since().is_some() {
            *self = Self::Closed(vec![now; FAILURES - 2]);
        }
    }

    /// A call got no answer. Returns whether that opened the breaker.
    pub fn failed(&mut self, failure: Failure, now: Timestamp) -> bool {
        // When it is open already: the probe's cool-down is running, and of calls made before it opened we know enough.
        let Self::Closed(failures) = self else { return false };
        failures.retain(|failure| within(WINDOW, *failure, now));
        failures.extend(std::iter::repeat_n(now, if failure.slow { 2 } else { 1 }));
        let opens = failures.len() >= if failure.another { FAILURES_BESIDE_ANOTHER } else { FAILURES };
        if opens {
            *self = Self::Open { since: now, tried: now };
        }
        opens
    }
}

/// Whether less than `span` lies between two moments. A clock that was set back a long way counts as time that has
/// passed, or the breaker would stay open until the clock had caught up.
fn within(span: SignedDuration, earlier: Timestamp, now: Timestamp) -> bool {
    now.duration_since(earlier).abs() < span
}

#[cfg(test)]
mod tests;
