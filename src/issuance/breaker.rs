//! A circuit breaker: an endpoint that keeps failing is left alone for a while.
//!
//! ```text
//!             FAILURES in a row within WINDOW                 COOL_DOWN later
//!   closed ─────────────────────────────────▶ open ─────────────────────────────▶ half-open
//!   (calls pass) ◀───────────────┐            (no call passes) ◀────────────────  (one call passes, the probe)
//!                                │                               no answer           │
//!                                └───────────────────────────────────────────────────┘
//!                                                     an answer
//! ```
//!
//! An endpoint that is out is therefore called once per [`COOL_DOWN`] at most. A probe that never reports, because
//! whoever sent it has gone, keeps nobody waiting: it counts as unanswered when its cool-down is over.

use jiff::{SignedDuration, Timestamp};

/// So many failures in a row open the breaker: one person's bad luck does not, with all the tries each call has.
pub(super) const FAILURES: usize = 5;
/// Failures further apart than this have nothing to do with each other.
pub(super) const WINDOW: SignedDuration = SignedDuration::from_secs(60);
/// How long an open breaker lets nothing pass; the same again after every probe.
pub(super) const COOL_DOWN: SignedDuration = SignedDuration::from_secs(10);

/// The state of one endpoint, as far as its answers tell.
#[derive(Debug)]
pub(super) enum Breaker {
    /// When each of the latest failures was, with no answer since; fewer than [`FAILURES`].
    Closed(Vec<Timestamp>),
    /// Open since then; or, once a probe was let through, since the probe.
    Open(Timestamp),
}

/// Leave to make one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// The endpoint is well, as far as we know.
    Normal,
    /// The endpoint was out: this call finds out whether it still is.
    Probe,
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
            Self::Open(since) => !within(COOL_DOWN, *since, now),
        }
    }

    /// Leave for one call; none while the endpoint is left alone.
    pub fn pass(&mut self, now: Timestamp) -> Option<Pass> {
        if !self.lets_pass(now) {
            return None;
        }
        match self {
            Self::Closed(_) => Some(Pass::Normal),
            Self::Open(since) => {
                *since = now;
                Some(Pass::Probe)
            }
        }
    }

    /// The endpoint answered a call, be it with a refusal. Returns whether that closed the breaker.
    ///
    /// It need not be the probe: a slow answer to an earlier call shows as well that the endpoint is back.
    pub fn answered(&mut self) -> bool {
        let was_open = matches!(self, Self::Open(_));
        *self = Self::default();
        was_open
    }

    /// A call got no answer. Returns whether that opened the breaker.
    pub fn failed(&mut self, now: Timestamp) -> bool {
        // When it is open already: the probe's cool-down is running, and of calls made before it opened we know enough.
        let Self::Closed(failures) = self else { return false };
        failures.retain(|failure| within(WINDOW, *failure, now));
        failures.push(now);
        let opens = failures.len() >= FAILURES;
        if opens {
            *self = Self::Open(now);
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
