//! What is counted of the calls of STS, for `GET /metrics`.

use std::sync::Arc;
use std::time::Duration;

use super::endpoint::{Endpoint, Endpoints, State};
use super::sts::StsError;
use crate::aws::Region;
use crate::sys::Clock;
use crate::sys::metrics::{Counters, Durations, Figure, Page, Source};

/// From what a region close by takes to what nobody waits for.
const BOUNDS: &[f64] = &[0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 6.0, 12.0];

/// Counts of one client.
#[derive(Debug)]
pub struct StsFigures {
    attempts: Counters<3>,
    attempt_times: Durations<2>,
    call_times: Durations<2>,
    fallbacks: Counters<1>,
    held_back: Counters<2>,
    endpoints: Arc<Endpoints>,
    clock: Arc<dyn Clock>,
}

impl StsFigures {
    pub(super) fn new(endpoints: Arc<Endpoints>, clock: Arc<dyn Clock>) -> Self {
        Self {
            attempts: Counters::new(
                "rolegate_sts_attempts_total",
                "Attempts to call STS, by operation, region and outcome: `ok`, or the reason of docs/sts-errors.md.",
                ["operation", "region", "outcome"],
            ),
            attempt_times: Durations::new(
                "rolegate_sts_attempt_duration_seconds",
                "How long single attempts took.",
                ["operation", "region"],
                BOUNDS,
            ),
            call_times: Durations::new(
                "rolegate_sts_call_duration_seconds",
                "How long calls took whole: all attempts in all regions, and the pauses between.",
                ["operation", "outcome"],
                BOUNDS,
            ),
            fallbacks: Counters::new(
                "rolegate_sts_fallbacks_total",
                "Calls that another region answered than the first, by that region.",
                ["region"],
            ),
            held_back: Counters::new(
                "rolegate_sts_held_back_total",
                "Times that an endpoint was not called: `sts-left-alone` (breaker), `sts-crowded` (queue full).",
                ["region", "reason"],
            ),
            endpoints,
            clock,
        }
    }

    pub(super) fn attempt<T>(
        &self,
        operation: &'static str,
        region: &Region,
        came: &Result<T, StsError>,
        took: Duration,
    ) {
        let region = || region.to_string().into();
        match came {
            Err(error) if error.reason().is_unasked() => self.held_back.count([region(), error.code().into()]),
            came => {
                self.attempts.count([operation.into(), region(), outcome(came).into()]);
                self.attempt_times.note([operation.into(), region()], took);
            }
        }
    }

    pub(super) fn call<T>(&self, operation: &'static str, came: &Result<T, StsError>, took: Duration) {
        self.call_times.note([operation.into(), outcome(came).into()], took);
    }

    pub(super) fn fell_back_to(&self, region: &Region) {
        self.fallbacks.count([region.to_string().into()]);
    }
}

fn outcome<T>(came: &Result<T, StsError>) -> &'static str {
    came.as_ref().map_or_else(StsError::code, |_| "ok")
}

impl Source for StsFigures {
    fn tell(&self, page: &mut Page) {
        self.attempts.tell(page);
        self.attempt_times.tell(page);
        self.call_times.tell(page);
        self.fallbacks.tell(page);
        self.held_back.tell(page);
        let now = self.clock.now();
        let states: Vec<(Arc<Endpoint>, State)> =
            self.endpoints.all().into_iter().map(|endpoint| (Arc::clone(&endpoint), endpoint.state(now))).collect();
        let mut each = |name: &str, help: &str, value: &dyn Fn(&State) -> usize| {
            page.begin(name, Figure::Gauge, help);
            for (endpoint, state) in &states {
                page.value(name, &[("endpoint", &host(endpoint))], value(state));
            }
        };
        each(
            "rolegate_sts_breaker_state",
            "Whether an endpoint is called: 0 closed, it is; 1 half-open, by one call; 2 open, it is left alone.",
            &|state| match (state.open_since, state.half_open) {
                (None, _) => 0,
                (Some(_), true) => 1,
                (Some(_), false) => 2,
            },
        );
        each("rolegate_sts_calls_in_hand", "Attempts that wait for an endpoint's answer.", &|state| state.in_hand);
        each("rolegate_sts_calls_waiting", "Attempts that wait for a place among those.", &|state| state.waiting);
    }
}

/// The host, and the port where it is not the usual one. Two endpoints never share both.
fn host(endpoint: &Endpoint) -> String {
    let url = endpoint.url();
    let host = url.host_str().unwrap_or_default();
    let path = url.path().trim_end_matches('/');
    match url.port() {
        Some(port) => format!("{host}:{port}{path}"),
        None => format!("{host}{path}"),
    }
}
