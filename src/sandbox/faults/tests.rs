use proptest::prelude::*;

use super::*;
use crate::sys::SystemRng;

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn plan(json: &str) -> FaultPlan {
    serde_json::from_str(json).unwrap()
}

fn faults(json: &str) -> Faults {
    Faults::new(plan(json), now(), &SystemRng)
}

fn fates(faults: &Faults, calls: usize) -> Vec<Fate> {
    (0..calls).map(|_| faults.decide(Service::Sts, "AssumeRole", now())).collect()
}

#[test]
fn shares_are_met_and_a_seed_repeats_them() {
    let text = r#"{"seed": 7, "faults": {"AssumeRole": {"throttle": 0.5, "error": 0.1, "cut": 0.05}}}"#;
    let (one, other) = (faults(text), faults(text));
    let met = fates(&one, 10_000);
    assert_eq!(met, fates(&other, 10_000));
    assert_ne!(met, fates(&faults(&text.replace('7', "8")), 10_000));
    let counts = one.shown(now()).counts["AssumeRole"];
    for (share, count) in [(0.5, counts.throttled), (0.1, counts.failed), (0.05, counts.cut), (0.35, counts.served)] {
        #[expect(clippy::cast_precision_loss, reason = "ten thousand is not too many for a double")]
        let met = count as f64 / 10_000.0;
        assert!((met - share).abs() < 0.02, "{met} instead of {share}");
    }
    assert_eq!(counts.calls, 10_000);
    let failures = |failure| met.iter().filter(|fate| fate.outcome == Outcome::Failed(failure)).count();
    assert!(failures(Failure::Internal) > 300 && failures(Failure::Unavailable) > 300);
}

#[test]
fn the_more_particular_name_wins_and_good_days_are_counted_too() {
    let faults =
        faults(r#"{"faults": {"*": {"cut": 1.0}, "sts": {"throttle": 1.0}, "GetCallerIdentity": {"latency_ms": 5}}}"#);
    let outcome = |service: Service, operation| faults.decide(service, operation, now()).outcome;
    assert_eq!(outcome(Service::Sts, "AssumeRole"), Outcome::Throttled);
    assert_eq!(outcome(Service::Sts, "GetCallerIdentity"), Outcome::Served);
    assert_eq!(outcome(Service::Federation, "getSigninToken"), Outcome::Cut);
    let shown = faults.shown(now());
    assert_eq!(shown.counts["GetCallerIdentity"], Counts { calls: 1, served: 1, delayed: 1, ..Counts::default() });
    assert!(faults.clear(Some("sts")) && faults.clear(None) && !faults.clear(None));
    assert_eq!(outcome(Service::Sts, "AssumeRole"), Outcome::Served);
    assert_eq!(faults.shown(now()).counts["AssumeRole"].calls, 2);
}

#[test]
fn a_forgotten_fault_ends() {
    let text = r#"{"faults": {"AssumeRole": {"throttle": 1.0, "count": 3}, "sts": {"dead": true, "for_s": 60}}}"#;
    let faults = faults(text);
    let throttled = fates(&faults, 3);
    assert!(throttled.iter().all(|fate| fate.outcome == Outcome::Throttled));
    assert_eq!(fates(&faults, 1)[0].outcome, Outcome::Dead, "the service's fault is next in line");
    let at = |seconds| now() + SignedDuration::from_secs(seconds);
    assert_eq!(faults.decide(Service::Sts, "AssumeRole", at(59)).outcome, Outcome::Dead);
    assert_eq!(faults.decide(Service::Sts, "AssumeRole", at(60)).outcome, Outcome::Served);
    assert!(faults.shown(at(60)).faults.is_empty());
}

#[test]
fn a_fault_that_lets_most_calls_pass_counts_only_those_it_touched() {
    let faults = faults(r#"{"seed": 1, "faults": {"AssumeRole": {"throttle": 0.1, "count": 5}}}"#);
    let met = fates(&faults, 1000);
    assert_eq!(met.iter().filter(|fate| fate.outcome == Outcome::Throttled).count(), 5);
}

#[test]
fn what_is_typed_wrong_is_named() {
    let message = |text: &str| serde_json::from_str::<FaultPlan>(text).unwrap_err().to_string();
    for (text, said) in [
        (r#"{"faults": {"AssumeRole": {"throttle": 1.5}}}"#, "throttle is 1.5"),
        (r#"{"faults": {"AssumeRole": {"cut": -0.1}}}"#, "cut is -0.1"),
        (r#"{"faults": {"AssumeRole": {"throttle": 0.6, "error": 0.6}}}"#, "1.2 together"),
        (r#"{"faults": {"AssumeRole": {"latency_ms": 1000000, "jitter_ms": 1000000}}}"#, "2000000 together"),
        (r#"{"faults": {"AssumeRole": {"clock_shift_s": 99999999}}}"#, "clock_shift_s is 99999999"),
        (r#"{"faults": {"AssumeRole": {"throtle": 0.5}}}"#, "throtle"),
        (r#"{"faults": {"AssumeRoll": {}}}"#, "`AssumeRoll` has no faults here"),
        (r#"{"fault": {}}"#, "fault"),
    ] {
        assert!(message(text).contains(said), "{text}: {}", message(text));
    }
    assert!(
        serde_json::from_str::<FaultPlan>(r#"{"faults": {"*": {"throttle": 0.7, "error": 0.2, "cut": 0.1}}}"#).is_ok()
    );
}

#[test]
fn what_is_shown_can_be_set_again() {
    let text = r#"{"throttle":0.5,"dead":true,"latency_ms":3,"clock_shift_s":-400,"for_s":60,"count":2}"#;
    let fault: Fault = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&fault).unwrap(), text);
}

proptest! {
    #[test]
    fn delays_and_shares_stay_within_what_was_said(luck in 0.0..1.0_f64, jitter in 0.0..1.0_f64, a in 0..1000_u64, b in 0..1000_u64) {
        let fault: Fault = serde_json::from_value(serde_json::json!({"latency_ms": a, "jitter_ms": b, "cut": 1.0})).unwrap();
        prop_assert!(fault.delay(jitter) >= Duration::from_millis(a));
        prop_assert!(fault.delay(jitter) <= Duration::from_millis(a + b));
        prop_assert_eq!(fault.outcome(luck), Outcome::Cut);
    }
}
