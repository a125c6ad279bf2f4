//! How often one person may have credentials, whichever of their programs asks.

use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

use crate::identity::PersonId;

/// Counts what each person is given, in two measures: what STS is called for, and what is merely delivered. A crowd of
/// one person's programs that live on cached credentials is not held up by those who want new ones, nor the other way
/// round.
pub struct Allowance {
    issues: DefaultKeyedRateLimiter<PersonId>,
    deliveries: DefaultKeyedRateLimiter<PersonId>,
}

/// Somebody asks more often than they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the person asks too often; the next may be had in {} s", wait.as_secs())]
pub struct TooOften {
    /// When it is worth asking again; a second at least.
    pub wait: Duration,
}

impl std::fmt::Debug for Allowance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Allowance")
    }
}

impl Allowance {
    #[must_use]
    pub fn new(issues: Quota, deliveries: Quota) -> Self {
        Self { issues: DefaultKeyedRateLimiter::keyed(issues), deliveries: DefaultKeyedRateLimiter::keyed(deliveries) }
    }

    /// Counts a call of STS.
    ///
    /// # Errors
    /// [`TooOften`].
    pub fn issue(&self, person: &PersonId) -> Result<(), TooOften> {
        check(&self.issues, person)
    }

    /// Counts a request for credentials, whether or not STS will be called for it.
    ///
    /// # Errors
    /// [`TooOften`].
    pub fn deliver(&self, person: &PersonId) -> Result<(), TooOften> {
        check(&self.deliveries, person)
    }

    /// Forgets who has not asked for a while.
    pub fn forget_idle(&self) {
        for limiter in [&self.issues, &self.deliveries] {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

fn check(limiter: &DefaultKeyedRateLimiter<PersonId>, person: &PersonId) -> Result<(), TooOften> {
    limiter.check_key(person).map_err(|early| {
        let wait = early.wait_time_from(DefaultClock::default().now());
        TooOften { wait: wait.max(Duration::from_secs(1)) }
    })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn issues_and_deliveries_are_counted_apart_and_by_person() {
        let quota = |burst| Quota::per_minute(NonZeroU32::MIN).allow_burst(NonZeroU32::new(burst).unwrap());
        let allowance = Allowance::new(quota(1), quota(2));
        let (asha, bela) = ("okta:asha".parse().unwrap(), "okta:bela".parse().unwrap());
        assert!(allowance.issue(&asha).is_ok());
        assert!(allowance.issue(&asha).unwrap_err().wait >= Duration::from_secs(1));
        assert!(allowance.deliver(&asha).is_ok() && allowance.deliver(&asha).is_ok());
        assert!(allowance.deliver(&asha).is_err());
        assert!(allowance.issue(&bela).is_ok());
    }
}
