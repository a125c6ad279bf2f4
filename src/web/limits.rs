//! Rate limits: per address for strangers, and for what a program may ask. Those per person are in [`crate::flows::allowance`].

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

use super::problem::{Kind, Problem};
use crate::identity::PersonId;

/// How many per minute, and how many at once.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    pub per_minute: NonZeroU32,
    pub burst: NonZeroU32,
}

impl Rate {
    const fn times(self, factor: NonZeroU32) -> Self {
        Self { per_minute: self.per_minute.saturating_mul(factor), burst: self.burst.saturating_mul(factor) }
    }
}

/// The limits of one application.
pub struct Limits {
    sign_in: DefaultKeyedRateLimiter<Network>,
    told: DefaultKeyedRateLimiter<Network>,
    program: DefaultKeyedRateLimiter<String>,
    guess: DefaultKeyedRateLimiter<PersonId>,
    guess_from: DefaultKeyedRateLimiter<Network>,
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Limits")
    }
}

/// So many times as many messages as sign-ins: a provider tells of a whole company from one address.
const TOLD: NonZeroU32 = NonZeroU32::new(20).expect("20 is not zero");

/// How often one person may try a device's code: a typing mistake or two, and a look at the page that follows. What this
/// leaves to chance is told in `docs/threat-model.md`.
const GUESSES: Rate = Rate {
    per_minute: NonZeroU32::new(6).expect("6 is not zero"),
    burst: NonZeroU32::new(12).expect("12 is not zero"),
};
/// And everybody behind one address together.
const GUESSES_FROM: Rate = Rate {
    per_minute: NonZeroU32::new(60).expect("60 is not zero"),
    burst: NonZeroU32::new(120).expect("120 is not zero"),
};

/// An IPv4 address, or the /64 an IPv6 address is in: one household or server has a whole /64 to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Network {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.octets()),
            IpAddr::V6(v6) => {
                let mut prefix = [0; 8];
                prefix.copy_from_slice(&v6.octets()[..8]);
                Self::V6(prefix)
            }
        }
    }
}

impl From<Rate> for Quota {
    fn from(rate: Rate) -> Self {
        Self::per_minute(rate.per_minute).allow_burst(rate.burst)
    }
}

/// A request that counts as a step of signing in if it comes to nothing: once, whoever finds out first.
#[derive(Debug, Clone)]
pub struct Strike {
    limits: Arc<Limits>,
    address: IpAddr,
    /// How long to wait, where it was one too many.
    counted: Arc<OnceLock<Option<Duration>>>,
}

impl Strike {
    /// Counts it, unless it was.
    ///
    /// # Errors
    /// [`Kind::TooManyRequests`] with the time to wait.
    pub fn count(&self) -> Result<(), Problem> {
        let wait = self.counted.get_or_init(|| wait_for(&self.limits.sign_in, &Network::from(self.address)));
        wait.map_or(Ok(()), |wait| Err(too_many(wait)))
    }
}

impl Limits {
    #[must_use]
    pub fn new(sign_in: Rate, program: Rate) -> Self {
        Self {
            sign_in: DefaultKeyedRateLimiter::keyed(sign_in.into()),
            told: DefaultKeyedRateLimiter::keyed(sign_in.times(TOLD).into()),
            program: DefaultKeyedRateLimiter::keyed(program.into()),
            guess: DefaultKeyedRateLimiter::keyed(GUESSES.into()),
            guess_from: DefaultKeyedRateLimiter::keyed(GUESSES_FROM.into()),
        }
    }

    /// Counts a step of signing in against the address it comes from.
    ///
    /// # Errors
    /// [`Kind::TooManyRequests`] with the time to wait.
    pub fn sign_in(&self, address: IpAddr) -> Result<(), Problem> {
        check(&self.sign_in, &Network::from(address))
    }

    /// What a request counts for if it comes to nothing.
    #[must_use]
    pub fn strike(self: &Arc<Self>, address: IpAddr) -> Strike {
        Strike { limits: Arc::clone(self), address, counted: Arc::default() }
    }

    /// Counts a message of one server to another against the address it comes from, before it is looked at.
    ///
    /// # Errors
    /// [`Kind::TooManyRequests`] with the time to wait.
    pub fn told(&self, address: IpAddr) -> Result<(), Problem> {
        check(&self.told, &Network::from(address))
    }

    /// Counts a request of a program against what somebody allowed it.
    ///
    /// # Errors
    /// [`Kind::TooManyRequests`] with the time to wait.
    pub fn program(&self, authorization: &str) -> Result<(), Problem> {
        check(&self.program, &authorization.to_owned())
    }

    /// Counts a try at a device's code against the person and the address, right or wrong.
    ///
    /// # Errors
    /// [`Kind::TooManyRequests`] with the time to wait.
    pub fn guess(&self, person: &PersonId, address: IpAddr) -> Result<(), Problem> {
        check(&self.guess, person)?;
        check(&self.guess_from, &Network::from(address))
    }

    /// Forgets keys that have all their tokens back; called now and then, so that the tables stay small.
    pub fn forget_idle(&self) {
        self.sign_in.retain_recent();
        self.sign_in.shrink_to_fit();
        self.told.retain_recent();
        self.told.shrink_to_fit();
        self.program.retain_recent();
        self.program.shrink_to_fit();
        self.guess.retain_recent();
        self.guess.shrink_to_fit();
        self.guess_from.retain_recent();
        self.guess_from.shrink_to_fit();
    }
}

fn check<K: Clone + Hash + Eq>(limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Result<(), Problem> {
    wait_for(limiter, key).map_or(Ok(()), |wait| Err(too_many(wait)))
}

/// How long to wait, where it is one too many.
fn wait_for<K: Clone + Hash + Eq>(limiter: &DefaultKeyedRateLimiter<K>, key: &K) -> Option<Duration> {
    let early = limiter.check_key(key).err()?;
    Some(early.wait_time_from(DefaultClock::default().now()).max(Duration::from_secs(1)))
}

fn too_many(wait: Duration) -> Problem {
    Problem::new(Kind::TooManyRequests).retry_after(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_is_limited_and_another_is_not() {
        let rate = Rate { per_minute: NonZeroU32::new(1).unwrap(), burst: NonZeroU32::new(2).unwrap() };
        let limits = Arc::new(Limits::new(rate, rate));
        let at = |text: &str| limits.sign_in(text.parse().unwrap());
        assert!(at("192.0.2.1").is_ok() && at("192.0.2.1").is_ok());
        let refused = at("192.0.2.1").unwrap_err();
        assert_eq!(refused.kind(), Kind::TooManyRequests);
        assert!(refused.retry_after_secs().unwrap() >= 1);
        assert!(at("192.0.2.2").is_ok());
        assert!(at("2001:db8::1").is_ok() && at("2001:db8::2").is_ok());
        assert!(at("2001:db8::3").is_err(), "the same /64");
        let strike = limits.strike("192.0.2.3".parse().unwrap());
        assert!((0..5).all(|_| strike.count().is_ok()), "one request is counted once");
        assert!(at("192.0.2.3").is_ok() && at("192.0.2.3").is_err());
        let told = || limits.told("192.0.2.1".parse().unwrap()).is_ok();
        assert_eq!((0..50).filter(|_| told()).count(), 40, "many times as often, and counted apart");
    }
}
