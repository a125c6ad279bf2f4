//! A crowd of programs fetches credentials: `rolegate serve` and `rolegate sandbox` as processes of their own, on one
//! machine with whoever asks them.
//!
//! `make load`, or `cargo bench --bench load -- cached | uncached | waking` for one of the three. Each has an end.
//!
//! - *cached*: requests begin at fixed times, whether or not those before them were answered, and a time is taken from
//!   when a request was due. So a broker that stalls cannot slow down those who would have measured it.
//! - *uncached*: as many as can be had, with the local STS and the crowd on one processor and the broker on another,
//!   taking turns with bare signatures by the broker's own key on the broker's processor.
//! - *waking*: a thousand programs of fifty people connect to a broker that has just started, and ask at one moment.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark prints, measures real time, and stops at what it did not expect"
)]

mod place;
mod traffic;

use std::time::{Duration, Instant};

use place::{Pinned, Place, signatures};
use traffic::{Connection, Figures, closed, open, together};

/// Programs, and the people they belong to: fifty keys of the cache.
const PROGRAMS: usize = 1_000;
const PEOPLE: usize = 50;
const CONNECTIONS: usize = 64;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [sign, folder, seconds] = &arguments[..]
        && sign == "sign"
    {
        println!("{}", place::sign(folder.as_ref(), Duration::from_secs(seconds.parse().unwrap())).await);
        return;
    }
    // `cargo test --benches` only wants to see that it builds and begins.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == name);
    println!("{}", place::machine());
    if wanted("cached") {
        cached().await;
    }
    if wanted("waking") {
        waking().await;
    }
    if wanted("uncached") {
        uncached().await;
    }
}

async fn cached() {
    let place = Place::start(Pinned::No, PROGRAMS, PEOPLE).await;
    let container = place.requests("container");
    let mut connections = Connection::several(place.broker, CONNECTIONS).await;
    // Everybody's set is issued, and whatever is prepared at first use is prepared.
    println!("cached, filling: {}", open(&mut connections, &container, 500, Duration::from_secs(4)).await);
    let before = place.issues().await;
    for rate in [1_000, 2_500, 5_000, 6_000] {
        let before = place.spent();
        let figures = open(&mut connections, &container, rate, Duration::from_secs(15)).await;
        let each = (place.spent() - before) / (rate * 15) as f64 * 1e6;
        println!("cached, container, {rate}/s due: {figures}; {each:.0} µs of a processor each");
    }
    let api = place.requests("api");
    println!("cached, API, 5000/s due: {}", open(&mut connections, &api, 5_000, Duration::from_secs(15)).await);
    println!(
        "cached, container, as many as can be had: {}",
        closed(&mut connections, &container, Duration::from_secs(10)).await
    );
    let after = place.issues().await;
    assert_eq!(before.issued, after.issued, "STS was called for what there was");
    println!("cached: {} deliveries on record, of {} sets; {}", after.reused, after.issued, place.resident());
    place.verify().await;
}

async fn waking() {
    for people in [PEOPLE, 1] {
        let place = Place::start(Pinned::No, PROGRAMS, people).await;
        let container = place.requests("container");
        let mut connections = Connection::several(place.broker, PROGRAMS).await;
        let began = Instant::now();
        let figures = together(&mut connections, &container).await;
        let took = began.elapsed();
        let issues = place.issues().await;
        println!(
            "waking, {PROGRAMS} programs of {people}: {figures}; all answered within {:.0} ms; {} calls of STS",
            took.as_secs_f64() * 1e3,
            issues.issued
        );
        assert_eq!((figures.failed, issues.issued), (0, people), "one call for each, and no error");
        place.verify().await;
    }
}

async fn uncached() {
    const ROUNDS: usize = 5;
    let place = Place::start(Pinned::Yes, PROGRAMS, PROGRAMS).await;
    place.pin_self();
    let fresh = place.requests("fresh");
    let mut connections = Connection::several(place.broker, 8).await;
    closed(&mut connections, &fresh, Duration::from_secs(3)).await;
    let (mut issued, mut signed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        signed.push(signatures(&place, 3));
        let figures: Figures = closed(&mut connections, &fresh, Duration::from_secs(6)).await;
        assert_eq!(figures.failed, 0, "{figures}");
        println!("uncached: {figures}, beside {:.0} bare signatures/s", signed.last().unwrap());
        issued.push(figures.per_second());
    }
    let middle = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let (issued, signed) = (middle(&mut issued), middle(&mut signed));
    println!(
        "uncached: {issued:.0}/s of {signed:.0} bare signatures/s by the same key on the same processor = {:.2}",
        issued / signed
    );
    place.verify().await;
}
