//! STS on a bad day: `rolegate serve` and two local STS, each a region, as processes of their own, and a steady load of people who want
//! new credentials, while the local STS throttle, cut connections and die.
//!
//! `make chaos`, or `cargo bench --bench chaos -- throttled | region-dead | all-dead` for one of the three. Each has an end.
//!
//! - *throttled*: one region throttles half of all calls and cuts one in twenty, for two minutes.
//! - *region-dead*: the first region stops answering, and comes back.
//! - *all-dead*: both do; what needs no STS goes on, and memory is watched.
//!
//! What is written down beforehand is asserted: see docs/performance.md.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark prints, measures real time, and stops at what it did not expect"
)]

#[allow(dead_code, reason = "a toolbox that it shares with another benchmark")]
#[path = "../load/place.rs"]
mod place;
mod town;

use std::time::{Duration, Instant};

use place::machine;
use town::{Outcome, Town};

/// New credentials a second: a company in which 1,200 sets are issued every minute.
const RATE: u32 = 20;
/// Written down beforehand: of a thousand issues, so many may fail under half throttling; and so long the slowest of a hundred may take.
const MOST_FAILED_OF_A_THOUSAND: f64 = 1.0;
const P99: Duration = Duration::from_secs(3);
/// From the breaker's opening on.
const GOES_ON_WITHIN: Duration = Duration::from_secs(2);
/// How much memory may grow while every region is dead, once the load has been on for ten seconds.
const MOST_GROWTH_KB: u64 = 8 * 1024;
/// From the first region's coming back.
const RECOVERS_WITHIN: Duration = Duration::from_secs(15);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    // `cargo test --benches` only wants to see that it builds and begins.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == name);
    println!("{}", machine());
    if wanted("throttled") {
        throttled().await;
    }
    if wanted("region-dead") {
        region_dead().await;
    }
    if wanted("all-dead") {
        all_dead().await;
    }
}

async fn throttled() {
    let town = Town::start(1).await;
    town.faults(0, r#"{"seed": 7, "faults": {"AssumeRoleWithSAML": {"throttle": 0.5, "cut": 0.05}}}"#).await;
    let outcomes = town.issue(RATE, Duration::from_secs(120)).await;
    println!("throttled: {}", summary(&outcomes));
    let attempts = town.figure("rolegate_sts_attempts_total").await;
    println!("throttled: {attempts:.0} attempts for {} issues; {}", outcomes.len(), town.counts(0).await);
    town.verify(&outcomes).await;
    let failed = outcomes.iter().filter(|outcome| !outcome.good()).count();
    assert!(failed as f64 * 1_000.0 <= outcomes.len() as f64 * MOST_FAILED_OF_A_THOUSAND, "{failed} failed");
    assert!(percentile(&outcomes, 990) <= P99, "p99 {:?}", percentile(&outcomes, 990));
}

async fn region_dead() {
    let town = Town::start(2).await;
    let load = town.issue(RATE, Duration::from_secs(70));
    let trouble = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let died = Instant::now();
        town.faults(0, r#"{"faults": {"*": {"dead": true}}}"#).await;
        let opened = town.until("rolegate_sts_breaker_state", |state| state == 2.0, Duration::from_secs(20)).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let back = Instant::now();
        town.faults(0, "{}").await;
        let closed = town.until("rolegate_sts_breaker_state", |state| state == 0.0, Duration::from_secs(20)).await;
        (died, opened, back, closed)
    };
    let (outcomes, (died, opened, back, closed)) = tokio::join!(load, trouble);
    println!("region-dead: {}", summary(&outcomes));
    let between = |from: Instant, to: Instant| -> Vec<Outcome> {
        outcomes.iter().filter(|outcome| (from..to).contains(&outcome.began)).cloned().collect()
    };
    let before = between(died, opened);
    println!(
        "region-dead: the breaker opened {:.1} s after the region died; issues that began meanwhile: {}",
        (opened - died).as_secs_f64(),
        summary(&before)
    );
    let after = between(opened, back);
    println!("region-dead: issues that began once it was open: {}", summary(&after));
    println!("region-dead: the first region was used again {:.1} s after it came back", (closed - back).as_secs_f64());
    let late = before.iter().filter(|outcome| outcome.ended > opened + GOES_ON_WITHIN).count();
    println!("region-dead: {late} of those under way when it opened were not answered within {GOES_ON_WITHIN:?}");
    assert!(outcomes.iter().all(Outcome::good), "some failed");
    assert!(late == 0 && after.iter().all(|outcome| outcome.took() <= GOES_ON_WITHIN), "service did not go on");
    assert!(closed - back <= RECOVERS_WITHIN, "it is used again after {:?}", closed - back);
    println!("region-dead: {:.0} calls fell back", town.figure("rolegate_sts_fallbacks_total").await);
    town.verify(&outcomes).await;
}

async fn all_dead() {
    let town = Town::start(2).await;
    // Everybody's set is issued and kept.
    let filled = town.cached(50, Duration::from_secs(4)).await;
    assert!(filled.iter().all(Outcome::good), "{}", summary(&filled));
    for region in [0, 1] {
        town.faults(region, r#"{"faults": {"*": {"dead": true}}}"#).await;
    }
    let run = Duration::from_secs(75);
    let (issues, cached, pages, memory) =
        tokio::join!(town.issue(RATE, run), town.cached(100, run), town.pages(20, run), town.memory(run));
    println!("all-dead, new credentials: {}", summary(&issues));
    println!("all-dead, cached credentials: {}", summary(&cached));
    println!("all-dead, sign-in page and list of roles: {}", summary(&pages));
    let told: Vec<String> = memory.iter().step_by(10).map(|kb| format!("{:.1}", *kb as f64 / 1024.0)).collect();
    println!("all-dead, resident memory every ten seconds, in MB: {}", told.join(" "));
    assert!(cached.iter().chain(&pages).all(Outcome::good), "what needs no STS did not go on");
    assert!(issues.iter().all(|outcome| outcome.status == 503), "nobody answers, so nothing is issued");
    let (early, late) = (memory[10], *memory.last().unwrap());
    assert!(late <= early + MOST_GROWTH_KB, "memory grew from {early} to {late} kB");
    let back = Instant::now();
    for region in [0, 1] {
        town.faults(region, "{}").await;
    }
    let again = town.until_issued(Duration::from_secs(30)).await;
    println!("all-dead: new credentials {:.1} s after STS came back, by itself", (again - back).as_secs_f64());
    assert!(again - back <= RECOVERS_WITHIN);
    town.verify(&issues).await;
}

fn percentile(outcomes: &[Outcome], of_a_thousand: usize) -> Duration {
    let mut took: Vec<Duration> = outcomes.iter().map(Outcome::took).collect();
    took.sort_unstable();
    let at = (took.len() * of_a_thousand / 1_000).min(took.len().saturating_sub(1));
    took.get(at).copied().unwrap_or_default()
}

fn summary(outcomes: &[Outcome]) -> String {
    let good = outcomes.iter().filter(|outcome| outcome.good()).count();
    let share = if outcomes.is_empty() { 0.0 } else { good as f64 / outcomes.len() as f64 * 100.0 };
    let at = |of_a_thousand| format!("{:.0}", percentile(outcomes, of_a_thousand).as_secs_f64() * 1e3);
    format!(
        "{good} of {} succeeded ({share:.2} %), median {} ms, p99 {} ms, p99.9 {} ms, slowest {} ms",
        outcomes.len(),
        at(500),
        at(990),
        at(999),
        at(1_000)
    )
}
