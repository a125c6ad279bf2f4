//! Credentials that may be delivered again: in memory, and nowhere else.
//!
//! A set is kept under the terms of the permit it was issued for, and handed out only against another permit of equal
//! terms, which is spent on it. So the cache decides nothing: whoever may not have a new set has no permit, and without a permit nothing comes
//! out of here. Dropping sets when access ends keeps the memory clean; what keeps them from the wrong hands is the permit.
//!
//! ```text
//!  issued         mark: 75 % of the life, or 20 minutes before its end        a minute before its end
//!    ├── delivered ──┼── a new set is fetched; this one where there is none ──────┼── nothing ──▶
//! ```
//!
//! For each terms one *flight* to STS is under way at most. Whoever comes meanwhile waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Issued;
use crate::access::{Asked, Permit, Policy, Terms};
use crate::aws::{AccountId, RoleName};
use crate::identity::{SubjectId, VerifiedIdentity};
use crate::sys::Rng;

/// Programs get credentials with at least so much time left, where such can be had.
pub const LEAST_LEFT: SignedDuration = SignedDuration::from_mins(20);
/// The last minute of a set is nobody's: it would end on the way.
const LAST_MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// After a failed attempt to replace it, a set that is still good is delivered for so long before the next one.
const LET_BE: SignedDuration = SignedDuration::from_secs(30);
/// Between two flights for the same terms lies at least so much where the first one failed: STS is not asked at the pace at
/// which a crowd repeats itself.
const PAUSE: Duration = Duration::from_secs(1);
/// So many sets are kept of one person, and so many of all. A set takes about 3 kB.
const MOST_OF_ONE: usize = 500;
const MOST: usize = 10_000;

/// The credentials of a broker's people, for as long as they are good. `E` is why a flight failed.
#[derive(Debug)]
pub struct Cache<E>(Arc<Inner<E>>);

impl<E> Clone for Cache<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Inner<E> {
    shelves: Mutex<Shelves<E>>,
    rng: Arc<dyn Rng>,
}

/// One shelf for each person, so that theirs are found together when they leave.
#[derive(Debug)]
struct Shelves<E> {
    by_subject: HashMap<SubjectId, Shelf<E>>,
    /// Counts what happens here, which tells what was used last.
    ticks: u64,
    /// The catalog's revision under which all that lies here was looked at last.
    revision: i64,
}

/// Where the outcome of a flight will be.
type Outcome<E> = watch::Receiver<Option<Result<Kept, E>>>;

/// What there is of one person.
type Shelf<E> = HashMap<Arc<Terms>, Slot<E>>;

/// What there is for one permit's terms.
#[derive(Debug)]
struct Slot<E> {
    terms: Arc<Terms>,
    kept: Option<Kept>,
    flight: Option<(u64, Outcome<E>)>,
    not_before: Option<Instant>,
    used: u64,
    /// Who asked for it and for what, to see whether a changed catalog would still permit it.
    asked: Arc<(Arc<VerifiedIdentity>, Asked)>,
}

/// A set of credentials with what is known of its issue.
#[derive(Debug, Clone)]
pub struct Kept {
    issued: Arc<Issued>,
    terms: Arc<Terms>,
    reference: Arc<str>,
    /// From when on it is to be replaced.
    refresh: Timestamp,
}

impl Kept {
    #[must_use]
    pub fn issued(&self) -> &Arc<Issued> {
        &self.issued
    }

    /// What it was issued for.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The reference of the events that tell of its issue.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.reference
    }

    fn expires(&self) -> Timestamp {
        self.issued.credentials().expiration
    }

    fn left(&self, now: Timestamp) -> SignedDuration {
        self.expires().duration_since(now)
    }
}

/// What a permit comes to.
#[derive(Debug)]
pub enum Turn<E> {
    /// A set that is there.
    Deliver(Kept),
    /// A new set is on its way, or has to be sent for.
    Wait {
        /// For whoever is the first to ask: to be taken to STS by them.
        lead: Option<Box<Lead<E>>>,
        flight: Flight<E>,
        /// What there is until then: past its mark, and good for a while yet.
        meanwhile: Option<Kept>,
    },
}

/// The end of a flight, to be waited for.
#[derive(Debug)]
pub struct Flight<E>(Outcome<E>);

impl<E: Clone> Flight<E> {
    /// What it came to; `None` if it broke off without an answer.
    pub async fn landed(mut self) -> Option<Result<Kept, E>> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

/// The duty to take a permit to STS. Dropped without [landing](Landing::land), it breaks off the flight.
#[derive(Debug)]
pub struct Lead<E> {
    pub permit: Permit,
    /// A pause to be kept first.
    pub not_before: Option<Instant>,
    pub landing: Landing<E>,
}

/// Where a flight's outcome goes.
#[derive(Debug)]
pub struct Landing<E> {
    cache: Cache<E>,
    terms: Arc<Terms>,
    number: u64,
    outcome: watch::Sender<Option<Result<Kept, E>>>,
}

/// How a flight failed.
#[derive(Debug)]
pub struct Failed<E> {
    pub error: E,
    /// Whether it says nothing against the set there is: nobody answered.
    pub temporary: bool,
}

impl<E: Clone> Cache<E> {
    #[must_use]
    pub fn new(rng: Arc<dyn Rng>) -> Self {
        let shelves = Shelves { by_subject: HashMap::new(), ticks: 0, revision: 0 };
        Self(Arc::new(Inner { shelves: Mutex::new(shelves), rng }))
    }

    fn shelves(&self) -> MutexGuard<'_, Shelves<E>> {
        self.0.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Spends a permit: on the set there is, on a flight under way, or on a new flight, if `afford` lets it begin.
    ///
    /// # Errors
    /// What `afford` says, where there is nothing to deliver without a new flight.
    pub fn turn<D>(
        &self,
        permit: Permit,
        asked: impl FnOnce() -> (Arc<VerifiedIdentity>, Asked),
        now: Timestamp,
        afford: impl FnOnce() -> Result<(), D>,
    ) -> Result<Turn<E>, D> {
        let mut shelves = self.shelves();
        shelves.ticks += 1;
        let tick = shelves.ticks;
        let terms = permit.terms();
        let Some(slot) = shelves.find(terms) else {
            afford()?;
            let terms = Arc::new(terms.clone());
            let mut slot = Slot {
                terms: Arc::clone(&terms),
                kept: None,
                flight: None,
                not_before: None,
                used: tick,
                asked: Arc::new(asked()),
            };
            let turn = self.begin(permit, &mut slot, None);
            shelves.make_room(terms.subject());
            shelves.by_subject.entry(terms.subject().clone()).or_default().insert(terms, slot);
            return Ok(turn);
        };
        slot.used = tick;
        let kept = slot.kept.clone().filter(|kept| kept.left(now) > LAST_MINUTE);
        let would_live = SignedDuration::from_secs(permit.duration().as_secs().into());
        let meanwhile = match kept {
            // Where the session at the identity provider ends first, a new set would end together with this one.
            Some(kept) if now < kept.refresh || would_live <= kept.left(now) + LAST_MINUTE => {
                return Ok(Turn::Deliver(kept));
            }
            kept => kept,
        };
        if let Some(flight) = slot.flight() {
            return Ok(match meanwhile {
                Some(kept) if kept.left(now) >= LEAST_LEFT => Turn::Deliver(kept),
                meanwhile => Turn::Wait { lead: None, flight: Flight(flight.clone()), meanwhile },
            });
        }
        match (afford(), meanwhile) {
            (Ok(()), meanwhile) => Ok(self.begin(permit, slot, meanwhile)),
            (Err(_), Some(kept)) => Ok(Turn::Deliver(kept)),
            (Err(error), None) => Err(error),
        }
    }

    fn begin(&self, permit: Permit, slot: &mut Slot<E>, meanwhile: Option<Kept>) -> Turn<E> {
        let (outcome, flight) = watch::channel(None);
        slot.flight = Some((slot.used, flight.clone()));
        let landing = Landing { cache: self.clone(), terms: Arc::clone(&slot.terms), number: slot.used, outcome };
        let lead = Box::new(Lead { permit, not_before: slot.not_before.take(), landing });
        Turn::Wait { lead: Some(lead), flight: Flight(flight), meanwhile }
    }

    /// Drops all sets of somebody: they left, or what they allowed a program ended.
    pub fn forget(&self, subject: &SubjectId) {
        let dropped = self.shelves().by_subject.remove(subject);
        // Outside the lock: the memory of each is overwritten.
        drop(dropped);
    }

    /// Drops somebody's sets of a role that they may no longer use.
    pub fn forget_role(&self, subject: &SubjectId, account: AccountId, role: &RoleName) {
        self.shelves().keep(subject, |terms, _| terms.role().account() != account || terms.role().role() != role);
    }

    /// Whether another revision of the catalog was looked at last. Says so once; the caller then [reviews](Self::review).
    #[must_use]
    pub fn is_news(&self, revision: i64) -> bool {
        std::mem::replace(&mut self.shelves().revision, revision) != revision
    }

    /// Drops what a changed catalog would no longer permit in the same terms. What it would is kept, so that a change
    /// does not send everybody to STS.
    pub fn review(&self, policy: &Policy, now: Timestamp) {
        let all: Vec<_> = {
            let shelves = self.shelves();
            let slots = shelves.by_subject.values().flatten();
            slots.map(|(terms, slot)| (Arc::clone(terms), Arc::clone(&slot.asked))).collect()
        };
        for (terms, asked) in all {
            let permitted = policy.permit(&asked.0, asked.1.clone(), now).is_ok_and(|permit| *permit.terms() == *terms);
            if !permitted {
                self.shelves().keep(terms.subject(), |other, _| *other != terms);
            }
        }
    }

    /// Drops what nobody will get any more.
    pub fn forget_expired(&self, now: Timestamp) {
        self.shelves().by_subject.retain(|_, shelf| {
            shelf.retain(|_, slot| {
                slot.flight().is_some()
                    || slot.kept.as_ref().is_some_and(|kept| kept.left(now) > LAST_MINUTE)
                    || slot.not_before.is_some_and(|at| at > Instant::now())
            });
            !shelf.is_empty()
        });
    }

    /// How many sets are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        let shelves = self.shelves();
        let slots = shelves.by_subject.values().flat_map(HashMap::values);
        slots.filter(|slot| slot.kept.is_some()).count()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<E> Slot<E> {
    /// The flight under way; one that broke off is none.
    fn flight(&self) -> Option<&Outcome<E>> {
        self.flight.as_ref().map(|(_, flight)| flight).filter(|flight| flight.has_changed().is_ok())
    }
}

impl<E> Shelves<E> {
    fn find(&mut self, terms: &Terms) -> Option<&mut Slot<E>> {
        self.by_subject.get_mut(terms.subject())?.get_mut(terms)
    }

    /// Keeps of somebody's things what is wanted.
    fn keep(&mut self, subject: &SubjectId, wanted: impl Fn(&Arc<Terms>, &Slot<E>) -> bool) {
        if let Some(shelf) = self.by_subject.get_mut(subject) {
            shelf.retain(|terms, slot| wanted(terms, slot));
            if shelf.is_empty() {
                self.by_subject.remove(subject);
            }
        }
    }

    /// Makes room for one more of this person: of their own things what was used longest ago goes, or else of everybody's.
    /// What is on its way stays, or a second flight would begin beside it.
    fn make_room(&mut self, subject: &SubjectId) {
        let own = self.by_subject.get(subject).map_or(0, HashMap::len);
        let oldest = if own >= MOST_OF_ONE {
            self.by_subject.get(subject).and_then(|shelf| oldest(shelf.iter()))
        } else if self.by_subject.values().map(HashMap::len).sum::<usize>() >= MOST {
            oldest(self.by_subject.values().flatten())
        } else {
            None
        };
        if let Some(oldest) = oldest {
            self.keep(oldest.subject(), |terms, _| *terms != oldest);
        }
    }
}

fn oldest<'s, E: 's>(slots: impl Iterator<Item = (&'s Arc<Terms>, &'s Slot<E>)>) -> Option<Arc<Terms>> {
    let resting = slots.filter(|(_, slot)| slot.flight().is_none());
    resting.min_by_key(|(_, slot)| slot.used).map(|(terms, _)| Arc::clone(terms))
}

impl<E: Clone> Landing<E> {
    /// Brings the outcome to all who wait, and keeps a set for those who come later, unless its person left meanwhile.
    pub fn land(self, outcome: Result<(Arc<Issued>, Arc<str>), Failed<E>>, now: Timestamp) {
        let Self { cache, terms, number, outcome: waiters } = self;
        let landed = {
            let mut shelves = cache.shelves();
            let slot =
                shelves.find(&terms).filter(|slot| slot.flight.as_ref().is_some_and(|(flight, _)| *flight == number));
            match outcome {
                Ok((issued, reference)) => {
                    let refresh = mark(now, issued.credentials().expiration, &*cache.0.rng);
                    let kept = Kept { issued, terms, reference, refresh };
                    if let Some(slot) = slot {
                        slot.flight = None;
                        slot.kept = Some(kept.clone());
                    }
                    Ok(kept)
                }
                Err(Failed { error, temporary }) => {
                    if let Some(slot) = slot {
                        slot.flight = None;
                        slot.not_before = Some(Instant::now() + PAUSE);
                        match &mut slot.kept {
                            Some(kept) if temporary => kept.refresh = kept.refresh.max(now + LET_BE),
                            kept => *kept = None,
                        }
                    }
                    Err(error)
                }
            }
        };
        waiters.send_replace(Some(landed));
    }
}

/// When a set that is new now is to be replaced: at 75 % of its life and no later than 20 minutes before its end, and
/// up to a tenth of that earlier, so that what was fetched together is not fetched together again.
///
/// Of the shortest sets none ever has more than 20 minutes left. They serve for a third of their life, which for one of 15
/// minutes leaves ten: SDKs begin to hurry below that.
fn mark(now: Timestamp, expires: Timestamp, rng: &dyn Rng) -> Timestamp {
    let life = expires.duration_since(now).max(SignedDuration::ZERO);
    let serves = if life > LEAST_LEFT { (life * 3 / 4).min(life - LEAST_LEFT) } else { life / 3 };
    let mut random = [0; 4];
    rng.fill(&mut random);
    let tenth = serves.as_millis() as f64 / 10.0;
    let earlier = tenth * f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX);
    now + serves - SignedDuration::from_millis(earlier as i64)
}

#[cfg(test)]
mod tests;
