//! What was typed about faults, and what it means.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{Failure, Outcome, Service};

/// Half an hour is enough to be late.
const LONGEST_DELAY_MS: u64 = 30 * 60 * 1000;
/// A year and a day, either way.
const LARGEST_SHIFT_S: i64 = 366 * 24 * 60 * 60;

/// What is wrong with calls under one name: shares are of 1, exclusive of each other, and draw lots for each call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Typed")]
pub struct Fault(Typed);

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Typed {
    /// The share of calls that are too many.
    #[serde(skip_serializing_if = "is_zero")]
    throttle: f64,
    /// The share of calls that end with 500 or 503.
    #[serde(skip_serializing_if = "is_zero")]
    error: f64,
    /// The share of calls whose connection is closed without an answer.
    #[serde(skip_serializing_if = "is_zero")]
    cut: f64,
    /// No call is answered.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dead: bool,
    #[serde(skip_serializing_if = "is_none")]
    latency_ms: u64,
    /// Up to this much more.
    #[serde(skip_serializing_if = "is_none")]
    jitter_ms: u64,
    /// The service's clock is ahead by this, or behind if it is negative.
    #[serde(skip_serializing_if = "is_right")]
    clock_shift_s: i64,
    /// It ends after this many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    for_s: Option<u32>,
    /// It ends when it has touched this many calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(share: &f64) -> bool {
    *share == 0.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_none(milliseconds: &u64) -> bool {
    *milliseconds == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_right(seconds: &i64) -> bool {
    *seconds == 0
}

/// Why a plan cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FaultError {
    #[error("{name} is {value}; a share is between 0 and 1")]
    Share { name: &'static str, value: f64 },
    #[error("throttle, error and cut are {0} together; a call can meet one of them, so they cannot be more than 1")]
    Shares(f64),
    #[error("latency_ms and jitter_ms are {0} together; {LONGEST_DELAY_MS} is the most")]
    Delay(u64),
    #[error("clock_shift_s is {0}; it can be {LARGEST_SHIFT_S} either way")]
    Shift(i64),
    #[error("`{name}` has no faults here; write `*`, a service or an operation: {known}")]
    Unknown { name: String, known: String },
}

impl TryFrom<Typed> for Fault {
    type Error = FaultError;

    fn try_from(typed: Typed) -> Result<Self, FaultError> {
        for (name, value) in [("throttle", typed.throttle), ("error", typed.error), ("cut", typed.cut)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(FaultError::Share { name, value });
            }
        }
        let shares = typed.throttle + typed.error + typed.cut;
        // 0.7 + 0.2 + 0.1 is a little more than 1 in binary.
        if shares > 1.0 + 1e-9 {
            return Err(FaultError::Shares(shares));
        }
        let delay = typed.latency_ms.saturating_add(typed.jitter_ms);
        if delay > LONGEST_DELAY_MS {
            return Err(FaultError::Delay(delay));
        }
        if !(-LARGEST_SHIFT_S..=LARGEST_SHIFT_S).contains(&typed.clock_shift_s) {
            return Err(FaultError::Shift(typed.clock_shift_s));
        }
        Ok(Self(typed))
    }
}

impl Fault {
    pub(super) fn lasts(&self) -> Option<SignedDuration> {
        self.0.for_s.map(|seconds| SignedDuration::from_secs(seconds.into()))
    }

    pub(super) fn count(&self) -> Option<u64> {
        self.0.count
    }

    pub(super) fn is_dead(&self) -> bool {
        self.0.dead
    }

    pub(super) fn clock_shift(&self) -> SignedDuration {
        SignedDuration::from_secs(self.0.clock_shift_s)
    }

    /// `jitter` is from 0 to 1.
    pub(super) fn delay(&self, jitter: f64) -> Duration {
        Duration::from_millis(self.0.latency_ms) + Duration::from_millis(self.0.jitter_ms).mul_f64(jitter)
    }

    /// `luck` is from 0 to 1.
    pub(super) fn outcome(&self, luck: f64) -> Outcome {
        let Typed { throttle, error, cut, .. } = self.0;
        if luck < cut {
            Outcome::Cut
        } else if luck < cut + error / 2.0 {
            Outcome::Failed(Failure::Internal)
        } else if luck < cut + error {
            Outcome::Failed(Failure::Unavailable)
        } else if luck < cut + error + throttle {
            Outcome::Throttled
        } else {
            Outcome::Served
        }
    }
}

/// Faults by the name of an operation, of a service, or `*`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "TypedPlan")]
pub struct FaultPlan {
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    faults: BTreeMap<String, Fault>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedPlan {
    seed: Option<u64>,
    #[serde(default)]
    faults: BTreeMap<String, Fault>,
}

impl TryFrom<TypedPlan> for FaultPlan {
    type Error = FaultError;

    fn try_from(typed: TypedPlan) -> Result<Self, FaultError> {
        Self::new(typed.seed, typed.faults)
    }
}

impl FaultPlan {
    /// # Errors
    /// [`FaultError`] when nothing here has one of the names.
    pub fn new(seed: Option<u64>, faults: BTreeMap<String, Fault>) -> Result<Self, FaultError> {
        faults.keys().try_for_each(|name| known(name))?;
        Ok(Self { seed, faults })
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    pub(super) fn into_parts(self) -> (Option<u64>, BTreeMap<String, Fault>) {
        (self.seed, self.faults)
    }
}

/// The names under which a fault can stand, `*` first.
pub(in crate::sandbox) fn names() -> impl Iterator<Item = &'static str> {
    let of = |service: Service| std::iter::once(service.name()).chain(service.operations().iter().copied());
    std::iter::once("*").chain(Service::ALL.into_iter().flat_map(of))
}

/// A fault under a name that nothing has would wait for ever.
pub(super) fn known(name: &str) -> Result<(), FaultError> {
    if names().any(|known| known == name) {
        return Ok(());
    }
    let known = names().skip(1).collect::<Vec<_>>().join(", ");
    Err(FaultError::Unknown { name: name.to_owned(), known })
}
