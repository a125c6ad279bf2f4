use super::*;

const QUICK: Failure = Failure { slow: false, another: false };
const SLOW: Failure = Failure { slow: true, another: false };
const QUICK_BESIDE: Failure = Failure { slow: false, another: true };
const SLOW_BESIDE: Failure = Failure { slow: true, another: true };

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_262_400 + second).unwrap()
}

/// Failures at these seconds; whether the last of them opened the breaker.
fn opens(breaker: &mut Breaker, failure: Failure, seconds: &[i64]) -> bool {
    seconds.iter().map(|second| breaker.failed(failure, at(*second))).last().unwrap()
}

fn open_at_0() -> Breaker {
    let mut breaker = Breaker::default();
    assert!(opens(&mut breaker, QUICK, &[0; FAILURES]));
    breaker
}

#[test]
fn how_many_failures_open_it_depends_on_what_they_cost() {
    for (failure, enough) in [(QUICK, 10), (SLOW, 5), (QUICK_BESIDE, 4), (SLOW_BESIDE, 2)] {
        let mut breaker = Breaker::default();
        for second in 1..enough {
            assert_eq!(breaker.pass(at(second)), Some(Pass::Normal));
            assert!(!breaker.failed(failure, at(second)), "{failure:?} {second}");
        }
        assert_eq!(breaker.pass(at(enough)), Some(Pass::Normal));
        assert!(breaker.failed(failure, at(enough)), "{failure:?}");
        assert!(!breaker.lets_pass(at(enough)));
        assert_eq!(breaker.pass(at(enough)), None);
        assert_eq!(breaker.open_since(), Some(at(enough)));
    }
}

#[test]
fn an_answer_in_between_begins_the_count_again() {
    let mut breaker = Breaker::default();
    assert!(!opens(&mut breaker, QUICK_BESIDE, &[0, 1, 2]));
    assert!(!breaker.answered(), "it was not open");
    assert!(!opens(&mut breaker, QUICK_BESIDE, &[4, 5, 6]));
    assert!(opens(&mut breaker, QUICK_BESIDE, &[8]));
}

#[test]
fn failures_far_apart_do_not_open_it() {
    assert!(!opens(&mut Breaker::default(), SLOW, &[0, 20, 40, 59, 60, 100]));
    assert!(opens(&mut Breaker::default(), SLOW, &[0, 20, 40, 50, 59]));
    assert!(opens(&mut Breaker::default(), SLOW, &[0, 58, 59, 61, 62, 63]), "any five within a window");
    let hourly: Vec<i64> = (0..100).map(|hour| hour * 3600).collect();
    assert!(!opens(&mut Breaker::default(), SLOW_BESIDE, &hourly));
}

#[test]
fn after_the_cool_down_one_probe_passes() {
    let mut breaker = open_at_0();
    assert_eq!(breaker.pass(at(9)), None);
    assert!(breaker.lets_pass(at(10)), "asking spends no probe");
    assert_eq!(breaker.pass(at(10)), Some(Pass::Probe));
    assert_eq!(breaker.pass(at(10)), None, "one only");
    assert_eq!(breaker.pass(at(19)), None);
    assert_eq!(breaker.open_since(), Some(at(0)), "a probe does not make it younger");
}

#[test]
fn an_answered_probe_closes_it() {
    let mut breaker = open_at_0();
    assert_eq!(breaker.pass(at(10)), Some(Pass::Probe));
    assert!(breaker.answered());
    assert_eq!(breaker.pass(at(10)), Some(Pass::Normal));
    assert!(!opens(&mut breaker, SLOW, &[11, 11, 11, 11]), "the old failures are forgotten");
}

#[test]
fn an_endpoint_that_stirs_is_tried_and_soon_left_alone_again() {
    let mut breaker = open_at_0();
    breaker.stirred(at(10));
    assert_eq!(breaker.pass(at(10)), Some(Pass::Normal));
    assert!(!opens(&mut breaker, QUICK, &[11]));
    assert!(opens(&mut breaker, QUICK, &[12]));
    breaker.stirred(at(22));
    assert!(!breaker.answered());
    assert!(!opens(&mut breaker, QUICK, &[23; 9]), "after an answer that counts, all is forgotten");
    let mut well = Breaker::default();
    well.stirred(at(0));
    assert!(!opens(&mut well, QUICK, &[1; 9]), "who was well has nothing to prove");
}

#[test]
fn a_failed_or_lost_probe_is_followed_by_another_cool_down() {
    for reports in [true, false] {
        let mut breaker = open_at_0();
        assert_eq!(breaker.pass(at(10)), Some(Pass::Probe));
        if reports {
            assert!(!breaker.failed(SLOW, at(12)), "it is not opened twice");
        }
        assert_eq!(breaker.pass(at(19)), None);
        assert_eq!(breaker.pass(at(20)), Some(Pass::Probe));
    }
}

#[test]
fn calls_under_way_when_it_opened_do_not_keep_it_open() {
    let mut breaker = open_at_0();
    assert!(!opens(&mut breaker, SLOW, &[1, 5, 9]));
    assert_eq!(breaker.pass(at(10)), Some(Pass::Probe));
    let mut breaker = open_at_0();
    assert!(breaker.answered(), "a late answer is an answer");
    assert_eq!(breaker.pass(at(1)), Some(Pass::Normal));
}

#[test]
fn a_clock_set_back_does_not_keep_it_open() {
    let mut breaker = open_at_0();
    assert_eq!(breaker.pass(at(-5)), None, "a small step changes nothing");
    assert_eq!(breaker.pass(at(-3600)), Some(Pass::Probe));
    assert_eq!(breaker.pass(at(-3599)), None);
}
