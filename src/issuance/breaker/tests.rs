use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_262_400 + second).unwrap()
}

/// Failures at these seconds; whether the last of them opened the breaker.
fn opens(breaker: &mut Breaker, seconds: &[i64]) -> bool {
    seconds.iter().map(|second| breaker.failed(at(*second))).last().unwrap()
}

fn open_at_0() -> Breaker {
    let mut breaker = Breaker::default();
    assert!(opens(&mut breaker, &[0; FAILURES]));
    breaker
}

#[test]
fn the_fifth_failure_in_a_row_opens_it() {
    let mut breaker = Breaker::default();
    for second in [0, 1, 2, 3] {
        assert_eq!(breaker.pass(at(second)), Some(Pass::Normal));
        assert!(!breaker.failed(at(second)));
    }
    assert_eq!(breaker.pass(at(4)), Some(Pass::Normal));
    assert!(breaker.failed(at(4)));
    assert!(!breaker.lets_pass(at(4)));
    assert_eq!(breaker.pass(at(4)), None);
}

#[test]
fn an_answer_in_between_begins_the_count_again() {
    let mut breaker = Breaker::default();
    assert!(!opens(&mut breaker, &[0, 1, 2, 3]));
    assert!(!breaker.answered(), "it was not open");
    assert!(!opens(&mut breaker, &[4, 5, 6, 7]));
    assert!(opens(&mut breaker, &[8]));
}

#[test]
fn failures_far_apart_do_not_open_it() {
    assert!(!opens(&mut Breaker::default(), &[0, 20, 40, 59, 60, 100]));
    assert!(opens(&mut Breaker::default(), &[0, 20, 40, 50, 59]));
    assert!(opens(&mut Breaker::default(), &[0, 58, 59, 61, 62, 63]), "any five within a window");
    let hourly: Vec<i64> = (0..100).map(|hour| hour * 3600).collect();
    assert!(!opens(&mut Breaker::default(), &hourly));
}

#[test]
fn after_the_cool_down_one_probe_passes() {
    let mut breaker = open_at_0();
    assert_eq!(breaker.pass(at(9)), None);
    assert!(breaker.lets_pass(at(10)), "asking spends no probe");
    assert_eq!(breaker.pass(at(10)), Some(Pass::Probe));
    assert_eq!(breaker.pass(at(10)), None, "one only");
    assert_eq!(breaker.pass(at(19)), None);
}

#[test]
fn an_answered_probe_closes_it() {
    let mut breaker = open_at_0();
    assert_eq!(breaker.pass(at(10)), Some(Pass::Probe));
    assert!(breaker.answered());
    assert_eq!(breaker.pass(at(10)), Some(Pass::Normal));
    assert!(!opens(&mut breaker, &[11, 11, 11, 11]), "the old failures are forgotten");
}

#[test]
fn a_failed_or_lost_probe_is_followed_by_another_cool_down() {
    for reports in [true, false] {
        let mut breaker = open_at_0();
        assert_eq!(breaker.pass(at(10)), Some(Pass::Probe));
        if reports {
            assert!(!breaker.failed(at(12)), "it is not opened twice");
        }
        assert_eq!(breaker.pass(at(19)), None);
        assert_eq!(breaker.pass(at(20)), Some(Pass::Probe));
    }
}

#[test]
fn calls_under_way_when_it_opened_do_not_keep_it_open() {
    let mut breaker = open_at_0();
    assert!(!opens(&mut breaker, &[1, 5, 9]));
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
