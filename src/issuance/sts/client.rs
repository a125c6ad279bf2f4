//! Where an operation is tried, how often and for how long.
//!
//! ```text
//!   refusal ───────────────▶ the end: it is an answer
//!   throttled ─────────────▶ a pause drawn at random, and again; after a few, in the next region
//!   5xx, broken connection ▶ the same, after two
//!   silence ───────────────▶ the next region at once
//!   endpoint left alone ───▶ the next region at once; where there is none, the end
//! ```
//!
//! Behind the last region comes the first again, until the time or the attempts are used up. The SDK's own retries are off: they are
//! paid from a store of tokens that a day of steady throttling empties, after which nothing is repeated for anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::config::{BehaviorVersion, StalledStreamProtectionConfig};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::TimeSource;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::addresses::{Addresses, Place};
use super::error::StsError;
use super::http::OurHttpClient;
use super::operation::{Answer, Operation};
use super::reason::Reason;
use crate::aws::{Partition, Region};
use crate::issuance::breaker::{Failure, Pass};
use crate::issuance::endpoint::{Endpoint, Endpoints};
use crate::issuance::figures::StsFigures;
use crate::sys::{Clock, Rng};

/// Calls under way at once, in all stages: in hand, waiting for a place, pausing. What is beyond is refused at once.
pub(super) const MOST_CALLS: usize = 512;
/// How often the bound of pauses doubles; later ones are no longer, so that the time is used for attempts.
const DOUBLINGS: u32 = 4;
/// The longest somebody waits for an endpoint that was out a moment ago, while another is well.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a call is throttled in one region before the next is asked, whose quota is its own.
const THROTTLED_BEFORE_THE_NEXT: u32 = 4;
/// And how often in a region that has had nothing else to give for a while, before the next is asked or the call given up.
const THROTTLED_WHERE_SATURATED: u32 = 2;
/// How often a call fails at once in one region, before the next is asked.
const FAILED_BEFORE_THE_NEXT: u32 = 2;

/// How often STS is asked that cannot fetch our keys.
const ASKED_WHILE_WE_ARE_OUT_OF_REACH: u32 = 3;

/// How STS is called. Connecting has its own limit in the shared HTTP client.
#[derive(Debug, Clone)]
pub struct StsSettings {
    pub addresses: Addresses,
    /// One attempt, from connecting to the end of the answer. Two fifths of it where another region could be asked.
    pub attempt_timeout: Duration,
    /// All attempts in all regions and the pauses between them.
    pub total_timeout: Duration,
    /// How often a call is tried when STS is throttling, failing or out of reach, in all regions together.
    pub max_attempts: u32,
    /// The longest first pause; later ones are longer, and each is drawn at random below its bound.
    pub backoff: Duration,
}

impl Default for StsSettings {
    fn default() -> Self {
        Self {
            addresses: Addresses::default(),
            attempt_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(12),
            max_attempts: 20,
            backoff: Duration::from_millis(50),
        }
    }
}

/// A client for STS.
#[derive(Debug)]
pub struct Sts {
    client: aws_sdk_sts::Client,
    http: reqwest::Client,
    settings: StsSettings,
    pub(super) endpoints: Arc<Endpoints>,
    pub(super) calls: Semaphore,
    pub(super) figures: Arc<StsFigures>,
    /// AWS's time, as far as it has complained of ours.
    time: OurTime,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
}

/// Seconds to add to our clock for what is signed.
type Skew = Arc<AtomicI64>;

/// The SDK signs by our clock, put right.
#[derive(Debug, Clone)]
struct OurTime {
    clock: Arc<dyn Clock>,
    skew: Skew,
}

impl OurTime {
    fn get(&self) -> Timestamp {
        let (now, skew) = (self.clock.now(), SignedDuration::from_secs(self.skew.load(Ordering::Relaxed)));
        now.checked_add(skew).unwrap_or(now)
    }
}

impl TimeSource for OurTime {
    fn now(&self) -> SystemTime {
        self.get().into()
    }
}

/// How a call fares at the place where it is.
#[derive(Debug, Default)]
struct Here {
    throttled: u32,
    failed: u32,
}

/// What is to be done after an attempt.
enum Next {
    /// Again, here.
    Again,
    /// In the next region; behind the last comes the first.
    Elsewhere,
    /// In the next region too, but not in the first again.
    Nowhere,
    /// In none.
    End,
}

impl Sts {
    #[must_use]
    pub fn new(http: reqwest::Client, settings: StsSettings, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Self {
        let time = OurTime { clock: Arc::clone(&clock), skew: Skew::default() };
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(OurHttpClient(http.clone()))
            .sleep_impl(TokioSleep::new())
            .time_source(time.clone())
            // Attempts and their time are counted here.
            .timeout_config(TimeoutConfig::disabled())
            .retry_config(RetryConfig::disabled())
            // It guards long downloads; our answers are a few kilobytes and have a timeout each.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        let endpoints = Arc::new(Endpoints::default());
        Self {
            client: aws_sdk_sts::Client::from_conf(config),
            http,
            settings,
            figures: Arc::new(StsFigures::new(Arc::clone(&endpoints), Arc::clone(&clock))),
            endpoints,
            calls: Semaphore::new(MOST_CALLS),
            time,
            clock,
            rng,
        }
    }

    /// What is counted.
    #[must_use]
    pub fn figures(&self) -> Arc<StsFigures> {
        Arc::clone(&self.figures)
    }

    /// Has an operation answered in the first of the partition's regions that does. Only
    /// [`Issuer`](crate::issuance::Issuer) may, with a permit.
    ///
    /// # Errors
    /// [`StsError`] says who must fix what. A temporary one says that no region answered.
    pub(in crate::issuance) async fn ask(
        &self,
        operation: Operation<'_>,
        partition: Partition,
        regions: &[Region],
    ) -> Result<Answer, StsError> {
        self.first_to_answer(operation, &self.settings.addresses.places(partition, regions)?).await
    }

    /// Since when each of these regions' endpoints is left alone, in their order; none for one that is well.
    pub(in crate::issuance) fn left_alone(&self, partition: Partition, regions: &[Region]) -> Vec<Option<Timestamp>> {
        let places = self.settings.addresses.places(partition, regions).unwrap_or_default();
        places.iter().map(|place| self.endpoints.open_since(&place.url)).collect()
    }

    /// Whether any endpoint at all is left alone.
    pub(in crate::issuance) fn is_well(&self) -> bool {
        let now = self.clock.now();
        self.endpoints.all().iter().all(|endpoint| endpoint.state(now).open_since.is_none())
    }

    /// Looks at the endpoints that are left alone whether they answer again, each once per cool-down. So nobody has to wait for
    /// one that does not, and the trouble is over without anybody coming.
    ///
    /// What is sent is unsigned and asks for nothing, so that it is refused. Any refusal is an answer.
    pub async fn look(&self) {
        let looks = self.endpoints.all().into_iter().filter_map(|endpoint| {
            let operation = endpoint.look(self.clock.now())?;
            Some(async move {
                let mut url = endpoint.url().clone();
                url.query_pairs_mut().append_pair("Action", operation).append_pair("Version", "2011-06-15");
                let answer = self.http.get(url).timeout(self.patience(true)).send().await;
                if answer.is_ok_and(|answer| !answer.status().is_server_error()) {
                    endpoint.stirred(self.clock.now());
                }
            })
        });
        futures_util::future::join_all(looks).await;
    }

    /// The same goes everywhere. An assertion names no region, AWS takes it for five minutes and any number of times,
    /// which every retry relies on, and so the audit log has one assertion for one issue. A session that
    /// begins unseen, its answer lost on the way, is known to nobody and ends by itself.
    pub(super) async fn first_to_answer(&self, operation: Operation<'_>, places: &[Place]) -> Result<Answer, StsError> {
        let began = Instant::now();
        let answer = match self.calls.try_acquire() {
            Ok(_calling) => self.in_turn(operation, places, began + self.settings.total_timeout).await,
            Err(_) => Err(StsError::Crowded),
        };
        self.figures.call(operation.name(), &answer, began.elapsed());
        answer
    }

    async fn in_turn(&self, operation: Operation<'_>, places: &[Place], deadline: Instant) -> Result<Answer, StsError> {
        let mut failed: Option<StsError> = None;
        let (mut at, mut here) = (0, Here::default());
        let (mut attempts, mut held_back, mut clock_set) = (0, 0, false);
        while attempts < self.settings.max_attempts && (attempts == 0 || Instant::now() < deadline) {
            let place = &places[at % places.len()];
            let error = match self.attempt(operation, place, places, deadline).await {
                Ok(answer) => {
                    if place.url != places[0].url {
                        self.figures.fell_back_to(&place.region);
                        let cause = failed.as_ref().unwrap_or(&StsError::LeftAlone);
                        tracing::warn!(
                            sts.operation = operation.name(),
                            sts.region = %place.region,
                            %cause,
                            "STS was asked in a fallback region"
                        );
                    }
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let next = if error.reason().is_unasked() {
                held_back += 1;
                // What an endpoint said, or did not say, tells more than that another was not asked.
                failed.get_or_insert(error);
                if held_back >= places.len() {
                    break;
                }
                Next::Elsewhere
            } else if !clock_set && self.has_set_the_clock(&error) {
                clock_set = true;
                continue;
            } else if !error.is_temporary() || (error.reason().is_silence() && !operation.may_repeat()) {
                return Err(error);
            } else {
                (attempts, held_back) = (attempts + 1, 0);
                let next = self.next(&error, place, &mut here);
                failed = Some(error);
                next
            };
            match next {
                Next::End => break,
                Next::Nowhere if at + 1 >= places.len() => break,
                Next::Nowhere | Next::Elsewhere => {
                    (at, here) = (at + 1, Here::default());
                    // Whoever comes to a region for the first time does not wait at its door.
                    if at < places.len() {
                        continue;
                    }
                }
                Next::Again => {}
            }
            let pause = self.pause(attempts);
            if Instant::now() + pause >= deadline {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        Err(failed.unwrap_or(StsError::LeftAlone))
    }

    /// Where a call goes on that may find its answer yet.
    fn next(&self, error: &StsError, place: &Place, here: &mut Here) -> Next {
        match error.reason() {
            Reason::Throttled => {
                here.throttled += 1;
                if self.endpoints.of(&place.url).is_saturated() && here.throttled >= THROTTLED_WHERE_SATURATED {
                    Next::Nowhere
                } else if here.throttled >= THROTTLED_BEFORE_THE_NEXT {
                    Next::Elsewhere
                } else {
                    Next::Again
                }
            }
            Reason::TimedOut => Next::Elsewhere,
            // AWS has not reached us: another region would not know better.
            Reason::IssuerUnreachable => {
                here.failed += 1;
                if here.failed >= ASKED_WHILE_WE_ARE_OUT_OF_REACH { Next::End } else { Next::Again }
            }
            _ => {
                here.failed += 1;
                if here.failed >= FAILED_BEFORE_THE_NEXT { Next::Elsewhere } else { Next::Again }
            }
        }
    }

    /// Full jitter: from nothing to a bound, which is twice as long each time for a while.
    pub(super) fn pause(&self, attempts: u32) -> Duration {
        let bound = self.settings.backoff.saturating_mul(1 << attempts.saturating_sub(1).min(DOUBLINGS));
        let mut bytes = [0; 4];
        self.rng.fill(&mut bytes);
        bound.mul_f64(f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX))
    }

    /// How long an endpoint is waited for: less where another could be asked meanwhile.
    fn patience(&self, another: bool) -> Duration {
        if another { self.settings.attempt_timeout * 2 / 5 } else { self.settings.attempt_timeout }
    }

    async fn attempt(
        &self,
        operation: Operation<'_>,
        place: &Place,
        places: &[Place],
        deadline: Instant,
    ) -> Result<Answer, StsError> {
        let endpoint = self.endpoints.of(&place.url);
        let began = Instant::now();
        let came = match endpoint.enter(&*self.clock).await {
            Err(error) => Err(error),
            Ok((pass, _in_hand)) => self.call(operation, place, &endpoint, pass, places, deadline).await,
        };
        self.figures.attempt(operation.name(), &place.region, &came, began.elapsed());
        came
    }

    async fn call(
        &self,
        operation: Operation<'_>,
        place: &Place,
        endpoint: &Endpoint,
        pass: Pass,
        places: &[Place],
        deadline: Instant,
    ) -> Result<Answer, StsError> {
        let now = self.clock.now();
        let others = places.iter().filter(|other| other.url != place.url);
        let another = others.into_iter().any(|other| self.endpoints.of(&other.url).lets_pass(now));
        let patience = match pass {
            // Somebody is waiting, most likely for an endpoint that is still out.
            Pass::Probe if another => PROBE_TIMEOUT.min(self.patience(true)),
            Pass::Probe | Pass::Normal => self.patience(another),
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let here = aws_sdk_sts::config::Builder::new()
            .region(aws_sdk_sts::config::Region::new(place.region.to_string()))
            .endpoint_url(place.url.as_str());
        let opens = endpoint.opens();
        tokio::pin!(opens);
        opens.as_mut().enable();
        let came = tokio::select! {
            came = timeout(patience.min(left), operation.send(&self.client, here, &place.region)) => {
                came.unwrap_or(Err(StsError::TimedOut))
            }
            // Others have found out that there is nothing to wait for.
            () = opens, if another => return Err(StsError::TimedOut),
        };
        match &came {
            // An endpoint is judged only by calls that had the time of a whole attempt.
            Err(StsError::TimedOut) if left < patience => {}
            Err(error) if error.reason().is_silence() => {
                let slow = matches!(error.reason(), Reason::TimedOut);
                endpoint.failed(operation.name(), error, Failure { slow, another }, self.clock.now());
            }
            Err(error) if error.reason() == Reason::Throttled => endpoint.throttled(),
            _ => endpoint.answered(),
        }
        came
    }

    /// Whether STS found a signature too old or too new, and has told its own time, by which the next one is made.
    pub(super) fn has_set_the_clock(&self, error: &StsError) -> bool {
        let StsError::Refused(Reason::ClockSkewed, refusal) = error else { return false };
        let Some(said) = refusal.said else { return false };
        let skew = said.duration_since(self.clock.now());
        self.time.skew.store(skew.as_secs(), Ordering::Relaxed);
        tracing::warn!(
            skew_s = skew.as_secs(),
            "the clock of this host is wrong by AWS's; requests are signed by AWS's time until it is set right"
        );
        true
    }

    /// When a request would be signed, by its own date.
    #[cfg(test)]
    pub(super) fn signs_at(&self) -> Timestamp {
        self.time.get()
    }
}
