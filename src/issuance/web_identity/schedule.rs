//! Which key signs when, and how long the others are shown.
//!
//! A key is published before it signs, so that whoever keeps a copy of the set has it by then; and it stays published
//! after the next has taken over, until nothing it signed counts any more. All of it follows from when each key begins:
//! replicas whose clocks agree agree about it without a word.

use jiff::{SignedDuration, Timestamp};

use super::LIFETIME;

/// How long a key is published before it signs.
///
/// AWS does not say for how long it keeps a copy of the set, nor whether a key it does not know makes it look again. A
/// day is what others who publish keys for AWS allow.
pub const PUBLISHED_BEFORE: SignedDuration = SignedDuration::from_hours(24);
/// How long a key is published after it has signed for the last time.
pub const PUBLISHED_AFTER: SignedDuration = SignedDuration::from_secs(24 * 3600 + LIFETIME.as_secs());

/// What a key is for at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Published, and will sign from then on.
    Next {
        from: Timestamp,
    },
    Signing,
    /// Has signed, and stays published until then.
    Previous {
        until: Timestamp,
    },
    /// Nothing it signed counts any more.
    Past,
}

impl Phase {
    #[must_use]
    pub const fn is_published(self) -> bool {
        !matches!(self, Self::Past)
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next { .. } => "next",
            Self::Signing => "signing",
            Self::Previous { .. } => "previous",
            Self::Past => "past",
        }
    }
}

/// What each key is for at `now`, by when it begins to sign, earliest first. Where there is a key, one signs.
#[must_use]
pub fn phases(signs_from: &[Timestamp], now: Timestamp) -> Vec<Phase> {
    // A clock that was set back must not leave us without a key: then the first signs before its time.
    let signing = signs_from.iter().rposition(|from| *from <= now).unwrap_or(0);
    let phase = |(at, from): (usize, &Timestamp)| match at.cmp(&signing) {
        std::cmp::Ordering::Greater => Phase::Next { from: *from },
        std::cmp::Ordering::Equal => Phase::Signing,
        std::cmp::Ordering::Less => {
            let until = signs_from[at + 1] + PUBLISHED_AFTER;
            if now < until { Phase::Previous { until } } else { Phase::Past }
        }
    };
    signs_from.iter().enumerate().map(phase).collect()
}

/// When a successor of the newest key has to begin, if it is time to make and publish one.
#[must_use]
pub fn successor(newest: Timestamp, every: SignedDuration, now: Timestamp) -> Option<Timestamp> {
    let planned = newest + every;
    // The newest may still be waiting itself; and whoever was switched off for a year catches up with one key.
    (newest <= now && planned - PUBLISHED_BEFORE <= now).then(|| planned.max(now + PUBLISHED_BEFORE))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1_000_000) + SignedDuration::from_hours(hours)
    }

    #[test]
    fn one_key_after_the_other_is_shown_signs_and_is_shown_for_a_while() {
        let keys = [at(0), at(100)];
        let both = |now| <[Phase; 2]>::try_from(phases(&keys, now)).unwrap();
        assert_eq!(both(at(-5)), [Phase::Signing, Phase::Next { from: at(100) }], "a clock that was set back");
        assert_eq!(both(at(99)), [Phase::Signing, Phase::Next { from: at(100) }]);
        let until = at(100) + PUBLISHED_AFTER;
        assert_eq!(both(at(100)), [Phase::Previous { until }, Phase::Signing]);
        assert_eq!(both(until - SignedDuration::from_secs(1)), [Phase::Previous { until }, Phase::Signing]);
        assert_eq!(both(until), [Phase::Past, Phase::Signing]);
        assert_eq!(phases(&[], at(0)), []);
    }

    #[test]
    fn a_successor_is_made_a_day_before_its_time_and_one_at_a_time() {
        let every = SignedDuration::from_hours(90 * 24);
        assert_eq!(successor(at(0), every, at(89 * 24 - 1)), None);
        assert_eq!(successor(at(0), every, at(89 * 24)), Some(at(90 * 24)));
        assert_eq!(successor(at(0), every, at(89 * 24 + 1)), Some(at(90 * 24 + 1)), "never published too short");
        assert_eq!(successor(at(0), every, at(500 * 24)), Some(at(501 * 24)), "switched off for long");
        assert_eq!(successor(at(90 * 24), every, at(89 * 24 + 2)), None, "it waits already");
    }

    proptest! {
        #[test]
        fn whatever_was_ever_made_exactly_one_signs_and_a_signature_can_be_checked_while_its_token_counts(
            mut starts in proptest::collection::vec(-5_000_i64..5_000, 1..8),
            now in -6_000_i64..6_000,
            later in 0..=LIFETIME.as_secs(),
        ) {
            starts.sort_unstable();
            let keys: Vec<Timestamp> = starts.into_iter().map(at).collect();
            let phases_now = phases(&keys, at(now));
            prop_assert_eq!(phases_now.iter().filter(|phase| **phase == Phase::Signing).count(), 1);
            let signing = phases_now.iter().position(|phase| *phase == Phase::Signing).unwrap();
            // As long as the clock goes forward, which it need not before the first key's time.
            prop_assert!(phases(&keys, at(now) + SignedDuration::from_secs(later))[signing].is_published());
        }
    }
}
