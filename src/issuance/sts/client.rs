//! Where an operation is tried, how often and for how long.
//!
//! Trouble is met in this order: the SDK tries again with pauses drawn at random; an endpoint that keeps failing is left
//! alone by its [breaker](crate::issuance::breaker); the next region is asked. A refusal is an answer and ends the search.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::config::{BehaviorVersion, StalledStreamProtectionConfig};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::TimeSource;
use tokio::time::{Instant, timeout_at};

use super::addresses::{Addresses, Place};
use super::error::StsError;
use super::http::OurHttpClient;
use super::operation::{Answer, Operation};
use crate::aws::{Partition, Region};
use crate::issuance::breaker::Pass;
use crate::issuance::endpoint::Endpoints;
use crate::sys::Clock;

/// How long somebody waits for all regions together, unless one region alone is allowed longer.
const WHOLE: Duration = Duration::from_secs(20);

/// How STS is called. Connecting has its own limit in the shared HTTP client.
#[derive(Debug, Clone)]
pub struct StsSettings {
    pub addresses: Addresses,
    /// One attempt, from connecting to the end of the answer.
    pub attempt_timeout: Duration,
    /// All attempts in one region and the pauses between them.
    pub total_timeout: Duration,
    /// How often a call is tried when STS is throttling, failing or out of reach.
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
            max_attempts: 3,
            backoff: Duration::from_millis(500),
        }
    }
}

/// A client for STS.
#[derive(Debug)]
pub struct Sts {
    client: aws_sdk_sts::Client,
    settings: StsSettings,
    pub(super) endpoints: Endpoints,
    clock: Arc<dyn Clock>,
}

impl Sts {
    #[must_use]
    pub fn new(http: reqwest::Client, settings: StsSettings, clock: Arc<dyn Clock>) -> Self {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(settings.attempt_timeout)
            .operation_timeout(settings.total_timeout)
            .build();
        // Full jitter: the SDK multiplies the whole of each pause, backoff * 2^(n-1), by a random number from 0 to 1.
        let retries = RetryConfig::standard()
            .with_max_attempts(settings.max_attempts.max(1))
            .with_initial_backoff(settings.backoff);
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(OurHttpClient(http))
            .sleep_impl(TokioSleep::new())
            // Signatures carry the time, and ours is the one that everything else here goes by.
            .time_source(OurTime(Arc::clone(&clock)))
            .timeout_config(timeouts)
            .retry_config(retries)
            // It guards long downloads; our answers are a few kilobytes and have a timeout each.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Self { client: aws_sdk_sts::Client::from_conf(config), settings, endpoints: Endpoints::default(), clock }
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

    /// The same goes everywhere. An assertion names no region, AWS takes it for five minutes and any number of times,
    /// which the SDK's own retries rely on too, and so the audit log has one assertion for one issue. A session that
    /// begins unseen, its answer lost on the way, is known to nobody and ends by itself.
    pub(super) async fn first_to_answer(&self, operation: Operation<'_>, places: &[Place]) -> Result<Answer, StsError> {
        let one_try = self.settings.attempt_timeout;
        let deadline = Instant::now() + WHOLE.max(self.settings.total_timeout + one_try);
        let mut failed: Option<StsError> = None;
        for place in places {
            // An endpoint is judged only by calls that had the time of one whole try.
            if failed.is_some() && Instant::now() + one_try > deadline {
                break;
            }
            match self.ask_at(place, operation, deadline).await {
                Err(error) if error.is_temporary() => {
                    // What an endpoint said, or did not say, tells more than that another was not asked.
                    failed = match failed {
                        Some(earlier) if error.is_unasked() => Some(earlier),
                        _ => Some(error),
                    };
                }
                done => {
                    if let Some(cause) = failed {
                        tracing::warn!(sts.operation = operation.name(), sts.region = %place.region, %cause, "STS was asked in a fallback region");
                    }
                    return done;
                }
            }
        }
        Err(failed.unwrap_or(StsError::LeftAlone))
    }

    async fn ask_at(&self, place: &Place, operation: Operation<'_>, deadline: Instant) -> Result<Answer, StsError> {
        let endpoint = self.endpoints.of(&place.url);
        let (pass, _in_hand) = endpoint.enter(&*self.clock).await?;
        let answer = timeout_at(deadline, self.call(operation, place, pass)).await.unwrap_or(Err(StsError::TimedOut));
        match &answer {
            Err(error) if error.is_temporary() => endpoint.failed(error, self.clock.now()),
            _ => endpoint.answered(),
        }
        answer
    }

    async fn call(&self, operation: Operation<'_>, place: &Place, pass: Pass) -> Result<Answer, StsError> {
        let mut here = aws_sdk_sts::config::Builder::new()
            .region(aws_sdk_sts::config::Region::new(place.region.to_string()))
            .endpoint_url(place.url.as_str());
        if pass == Pass::Probe {
            // Somebody is waiting, most likely for an endpoint that is still out, and the next region is well.
            here = here.retry_config(RetryConfig::disabled());
        }
        operation.send(&self.client, here, &place.region).await
    }
}

/// The SDK's clock.
#[derive(Debug)]
struct OurTime(Arc<dyn Clock>);

impl TimeSource for OurTime {
    fn now(&self) -> SystemTime {
        self.0.now().into()
    }
}
