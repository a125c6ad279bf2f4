//! Bad days on purpose: what the sandbox's services do instead of answering.
//!
//! A [`FaultPlan`] says for an operation, for a service or for `*` which share of its calls is throttled, fails or is cut
//! off, how late answers come, how wrong the service's clock is, and whether it is dead. The more particular name wins. Each
//! fault draws from a generator of its own, seeded by the plan, so that a run can be repeated. What was done is counted.
//!
//! Plans come from a world's `[faults.…]`, from `rolegate sandbox --faults FILE`, and live from [`endpoint`]:
//!
//! | Request | What |
//! | --- | --- |
//! | `GET /faults` | the plan, and what was done so far, as JSON |
//! | `PUT /faults` | a new plan in place of the old: `{"seed": 7, "faults": {"AssumeRole": {"throttle": 0.5}}}` |
//! | `PUT /faults/AssumeRole` | one more fault: `{"throttle": 0.5}` |
//! | `DELETE /faults`, `DELETE /faults/AssumeRole` | all is well again; the counts stay |

pub mod endpoint;
mod plan;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{DATE, HeaderValue};
use actix_web::web::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

pub(super) use plan::names;
pub use plan::{Fault, FaultError, FaultPlan};

use super::{State, iam_query};
use crate::sys::{Rng, SeededRng};

/// How long a dead service keeps a caller waiting before the connection ends.
const DEAD_FOR: Duration = Duration::from_secs(60);

/// What can have a bad day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Sts,
    Federation,
    Iam,
    S3,
}

impl Service {
    pub const ALL: [Self; 4] = [Self::Sts, Self::Federation, Self::Iam, Self::S3];

    /// As it is written in plans.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sts => "sts",
            Self::Federation => "federation",
            Self::Iam => "iam",
            Self::S3 => "s3",
        }
    }

    /// Its operations, as they are written in plans and counted.
    #[must_use]
    pub fn operations(self) -> &'static [&'static str] {
        match self {
            Self::Sts => &[
                "AssumeRole",
                "AssumeRoleWithSAML",
                "AssumeRoleWithWebIdentity",
                "AssumeRoot",
                "DecodeAuthorizationMessage",
                "GetAccessKeyInfo",
                "GetCallerIdentity",
                "GetFederationToken",
                "GetSessionToken",
                "GetWebIdentityToken",
            ],
            Self::Federation => &["getSigninToken", "login"],
            Self::Iam => iam_query::ACTIONS,
            Self::S3 => &[
                "CopyObject",
                "DeleteObject",
                "GetBucketLocation",
                "GetObject",
                "HeadBucket",
                "HeadObject",
                "ListBuckets",
                "ListObjects",
                "PutObject",
            ],
        }
    }

    /// The name under which a call is counted: what callers make up must not fill the memory.
    fn operation(self, sent: &str) -> &'static str {
        self.operations().iter().find(|known| **known == sent).copied().unwrap_or("other")
    }
}

/// What was done to the calls of one operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All of them, on good days too.
    pub calls: u64,
    /// Served, perhaps late or by a wrong clock.
    pub served: u64,
    pub throttled: u64,
    pub failed: u64,
    pub cut: u64,
    /// Never answered.
    pub dead: u64,
    /// Had to wait, whatever came then.
    pub delayed: u64,
    /// Served by a wrong clock.
    pub shifted: u64,
}

/// A fault that is set.
#[derive(Debug)]
struct Active {
    fault: Fault,
    ends_at: Option<Timestamp>,
    /// How many more calls it touches.
    left: Option<u64>,
    rng: SeededRng,
}

#[derive(Debug)]
struct Inner {
    seed: u64,
    active: BTreeMap<String, Active>,
    counts: BTreeMap<&'static str, Counts>,
}

/// The faults of a running sandbox.
#[derive(Debug)]
pub struct Faults(Mutex<Inner>);

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fate {
    delay: Duration,
    shift: SignedDuration,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Served,
    Throttled,
    Failed(Failure),
    Cut,
    Dead,
}

/// The two ways in which services of AWS fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// 500
    Internal,
    /// 503
    Unavailable,
}

/// What a service has to do with a call.
#[derive(Debug)]
pub enum Met {
    /// Serve it, at what the service's clock shows.
    Serve(ServiceTime),
    /// Say that there were too many calls.
    Throttle,
    /// Say that something went wrong inside.
    Fail(Failure),
    /// Answer with [`cut_off`].
    CutOff,
}

/// What a service's clock shows.
#[derive(Debug, Clone, Copy)]
pub struct ServiceTime {
    pub now: Timestamp,
    shifted: bool,
}

impl ServiceTime {
    /// A service with a wrong clock says so in the header by which SDKs set theirs.
    pub fn stamp(self, answer: &mut HttpResponse) {
        if self.shifted
            && let Ok(date) = HeaderValue::from_str(&self.now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        {
            answer.headers_mut().insert(DATE, date);
        }
    }
}

/// What `GET /faults` shows.
#[derive(Debug, Serialize)]
pub struct Shown {
    pub seed: u64,
    pub faults: BTreeMap<String, ShownFault>,
    /// By operation: what was done to calls since the sandbox began.
    pub counts: BTreeMap<&'static str, Counts>,
}

#[derive(Debug, Serialize)]
pub struct ShownFault {
    #[serde(flatten)]
    pub fault: Fault,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// How many more calls it touches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<u64>,
}

impl Faults {
    /// Starts with a plan. Without a seed in it, one is drawn, and shown with the faults.
    #[must_use]
    pub fn new(plan: FaultPlan, now: Timestamp, rng: &dyn Rng) -> Self {
        let faults = Self(Mutex::new(Inner { seed: 0, active: BTreeMap::new(), counts: BTreeMap::new() }));
        faults.replace(plan, now, rng);
        faults
    }

    /// Puts a plan in place of the one before.
    pub fn replace(&self, plan: FaultPlan, now: Timestamp, rng: &dyn Rng) {
        let (seed, faults) = plan.into_parts();
        let mut inner = self.lock();
        inner.seed = seed.unwrap_or_else(|| u64::from(u32::from_be_bytes(drawn(rng))));
        inner.active.clear();
        for (name, fault) in faults {
            inner.set(name, fault, now);
        }
    }

    /// Adds a fault, or puts it in place of the one under the same name.
    ///
    /// # Errors
    /// [`FaultError`] when nothing here has that name.
    pub fn set(&self, name: &str, fault: Fault, now: Timestamp) -> Result<(), FaultError> {
        plan::known(name)?;
        self.lock().set(name.to_owned(), fault, now);
        Ok(())
    }

    /// Ends one fault, or all. Tells whether there was one.
    pub fn clear(&self, name: Option<&str>) -> bool {
        let mut inner = self.lock();
        match name {
            Some(name) => inner.active.remove(name).is_some(),
            None => !std::mem::take(&mut inner.active).is_empty(),
        }
    }

    #[must_use]
    pub fn shown(&self, now: Timestamp) -> Shown {
        let mut inner = self.lock();
        inner.end_what_is_over(now);
        let fault =
            |active: &Active| ShownFault { fault: active.fault.clone(), ends_at: active.ends_at, left: active.left };
        Shown {
            seed: inner.seed,
            faults: inner.active.iter().map(|(name, active)| (name.clone(), fault(active))).collect(),
            counts: inner.counts.clone(),
        }
    }

    /// Decides about one call and counts it.
    fn decide(&self, service: Service, operation: &'static str, now: Timestamp) -> Fate {
        let mut inner = self.lock();
        inner.end_what_is_over(now);
        let name = [operation, service.name(), "*"].into_iter().find(|name| inner.active.contains_key(*name));
        let fate = match name.and_then(|name| inner.active.get_mut(name)) {
            Some(active) => active.fate(),
            None => Fate { delay: Duration::ZERO, shift: SignedDuration::ZERO, outcome: Outcome::Served },
        };
        inner.counts.entry(operation).or_default().add(fate);
        fate
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn drawn<const N: usize>(rng: &dyn Rng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill(&mut bytes);
    bytes
}

impl Inner {
    fn set(&mut self, name: String, fault: Fault, now: Timestamp) {
        let mut seed = self.seed.to_be_bytes().to_vec();
        seed.extend_from_slice(name.as_bytes());
        let digest = openssl::sha::sha256(&seed);
        let seed = u64::from_be_bytes(digest[..8].try_into().expect("eight of thirty-two bytes are eight bytes"));
        let ends_at = fault.lasts().and_then(|lasts| now.checked_add(lasts).ok());
        let active = Active { ends_at, left: fault.count(), rng: SeededRng::new(seed), fault };
        self.active.insert(name, active);
    }

    fn end_what_is_over(&mut self, now: Timestamp) {
        self.active.retain(|name, active| {
            let over = active.ends_at.is_some_and(|end| end <= now) || active.left == Some(0);
            if over {
                tracing::info!("the sandbox's fault for {name} is over");
            }
            !over
        });
    }
}

impl Active {
    fn fate(&mut self) -> Fate {
        // Both are drawn each time, so that one share does not change what another draws.
        let [luck, jitter] = [(); 2].map(|()| {
            let draw = u64::from_be_bytes(drawn(&self.rng)) >> 11;
            #[expect(clippy::cast_precision_loss, reason = "53 bits are exactly what a double holds")]
            let share = draw as f64 / (1_u64 << 53) as f64;
            share
        });
        let fault = &self.fault;
        let fate = Fate {
            delay: fault.delay(jitter),
            shift: fault.clock_shift(),
            outcome: if fault.is_dead() { Outcome::Dead } else { fault.outcome(luck) },
        };
        if fate.touches()
            && let Some(left) = &mut self.left
        {
            *left = left.saturating_sub(1);
        }
        fate
    }
}

impl Fate {
    /// Whether the caller may notice anything.
    fn touches(self) -> bool {
        self.outcome != Outcome::Served || !self.delay.is_zero() || !self.shift.is_zero()
    }
}

impl Counts {
    fn add(&mut self, fate: Fate) {
        self.calls += 1;
        self.delayed += u64::from(!fate.delay.is_zero());
        match fate.outcome {
            Outcome::Served => {
                self.served += 1;
                self.shifted += u64::from(!fate.shift.is_zero());
            }
            Outcome::Throttled => self.throttled += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Cut => self.cut += 1,
            Outcome::Dead => self.dead += 1,
        }
    }
}

/// What a call to an operation meets. Takes as long as the fault says.
pub(super) async fn meet(state: &State, service: Service, operation: &str) -> Met {
    let operation = service.operation(operation);
    let fate = state.faults.decide(service, operation, state.clock.now());
    if fate.touches() {
        tracing::info!(sandbox.operation = operation, "the sandbox has a bad day: {fate:?}");
    }
    if !fate.delay.is_zero() {
        tokio::time::sleep(fate.delay).await;
    }
    match fate.outcome {
        Outcome::Served => Met::Serve(ServiceTime {
            now: state.clock.now().saturating_add(fate.shift).expect("a duration of fixed length can be added"),
            shifted: !fate.shift.is_zero(),
        }),
        Outcome::Throttled => Met::Throttle,
        Outcome::Failed(failure) => Met::Fail(failure),
        Outcome::Cut => Met::CutOff,
        Outcome::Dead => {
            tokio::time::sleep(DEAD_FOR).await;
            Met::CutOff
        }
    }
}

/// An answer of which not one byte is sent: the server gives the connection up when it asks for the body, and only then
/// would it have sent what comes before.
pub fn cut_off() -> HttpResponse {
    HttpResponse::InternalServerError().body(NoBody)
}

/// Why a connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox cut this connection off, as it was told to")]
struct CutOff;

/// A body that fails before its first byte.
struct NoBody;

impl MessageBody for NoBody {
    type Error = CutOff;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, CutOff>>> {
        Poll::Ready(Some(Err(CutOff)))
    }
}

#[cfg(test)]
mod tests;
