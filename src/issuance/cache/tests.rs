use super::*;
use crate::access::SessionTag;
use crate::aws::{RoleArn, SessionDuration};
use crate::issuance::fake::{NOW, ROLE};
use crate::sys::SeededRng;

type Cache = super::Cache<&'static str>;

fn cache() -> Cache {
    Cache::new(Arc::new(SeededRng::new(7)))
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn subject(name: &str) -> SubjectId {
    SubjectId { connector: "okta".parse().unwrap(), value: name.to_owned() }
}

fn permit_of(name: &str, duration: &str, tag: &str, ends: Option<Timestamp>) -> Permit {
    let role: RoleArn = ROLE.parse().unwrap();
    let tags = vec![SessionTag { key: "team".to_owned(), value: tag.to_owned(), transitive: false }];
    Permit::for_tests(subject(name), &role, duration.parse().unwrap(), tags, ends)
}

fn permit(duration: &str) -> Permit {
    permit_of("asha", duration, "a", None)
}

fn asked() -> (Arc<VerifiedIdentity>, Asked) {
    let identity = serde_json::json!({
        "subject": { "connector": "okta", "value": "asha" }, "qualifiers": {}, "name": null, "email": null,
        "groups": { "state": "complete", "values": [] }, "attributes": {},
        "authentication": { "instant": null, "context_class": null, "session_index": null, "session_not_on_or_after": null },
    });
    let asked = Asked::role("111122223333".parse().unwrap(), "teams/ReadOnly".parse().unwrap());
    (Arc::new(serde_json::from_value(identity).unwrap()), asked)
}

fn turn(cache: &Cache, permit: Permit, now: Timestamp) -> Turn<&'static str> {
    cache.turn(permit, asked, now, || Ok::<_, ()>(())).unwrap()
}

/// Takes the permit to an STS that gives sessions of this length.
fn fetch(cache: &Cache, permit: Permit, now: Timestamp, life: SignedDuration) {
    let Turn::Wait { lead: Some(lead), .. } = turn(cache, permit, now) else { panic!("nothing should be there") };
    land(*lead, now, life);
}

fn land(lead: Lead<&'static str>, now: Timestamp, life: SignedDuration) {
    let issued = Arc::new(Issued::for_tests(&lead.permit, now + life));
    lead.landing.land(Ok((issued, "reference".into())), now);
}

/// Whether it is delivered from what is there.
fn delivers(cache: &Cache, permit: Permit, now: Timestamp) -> bool {
    matches!(turn(cache, permit, now), Turn::Deliver(_))
}

#[test]
fn a_set_is_replaced_at_three_quarters_of_its_life_or_with_twenty_minutes_left() {
    // Life, and when it serves for certain and no longer, in minutes: a tenth of that time is for chance.
    for (life, at_least, at_most) in
        [(720, 486, 540), (240, 162, 180), (60, 36, 40), (80, 54, 60), (30, 9, 10), (15, 4, 5)]
    {
        for seed in 0..20 {
            let refresh = mark(now(), now() + minutes(life), &SeededRng::new(seed));
            let serves = refresh.duration_since(now());
            assert!(serves >= minutes(at_least) && serves <= minutes(at_most), "{life}: {serves:?}");
        }
    }
    let marks: std::collections::BTreeSet<_> =
        (0..20).map(|seed| mark(now(), now() + minutes(60), &SeededRng::new(seed))).collect();
    assert!(marks.len() > 10, "what was fetched together is not fetched together again");
    assert!(mark(now(), now() - minutes(1), &SeededRng::new(1)) <= now(), "an answer from the past serves nobody");
}

#[test]
fn nobody_is_given_less_than_twenty_minutes_where_longer_may_be_had() {
    let cache = cache();
    fetch(&cache, permit("1h"), now(), minutes(60));
    for minute in 0..36 {
        assert!(delivers(&cache, permit("1h"), now() + minutes(minute)));
    }
    let Turn::Wait { lead: Some(_), meanwhile: Some(kept), .. } = turn(&cache, permit("1h"), now() + minutes(41))
    else {
        panic!("a new one is due")
    };
    assert_eq!(kept.reference(), "reference");
}

#[test]
fn where_the_providers_session_ends_first_a_new_set_would_gain_nothing() {
    let cache = cache();
    let ends = now() + minutes(40);
    let permit_at = |minute: i64| {
        // What `access` makes of it: the limit stays, the duration shrinks.
        let left = u32::try_from((40 - minute) * 60).unwrap();
        permit_of("asha", "1h", "a", Some(ends)).with_duration(SessionDuration::from_secs(left).unwrap())
    };
    fetch(&cache, permit_at(0), now(), minutes(40));
    for minute in [1, 19, 21, 25] {
        assert!(delivers(&cache, permit_at(minute), now() + minutes(minute)), "after {minute} minutes");
    }
}

#[test]
fn permits_of_other_terms_find_nothing() {
    let cache = cache();
    fetch(&cache, permit("1h"), now(), minutes(60));
    for other in [
        permit_of("bela", "1h", "a", None),
        permit_of("asha", "2h", "a", None),
        permit_of("asha", "1h", "b", None),
        permit_of("asha", "1h", "a", Some(now() + minutes(90))),
    ] {
        assert!(!delivers(&cache, other, now()));
    }
    assert!(delivers(&cache, permit("1h"), now()));
}

#[tokio::test]
async fn all_who_come_meanwhile_wait_for_one_flight() {
    let cache = cache();
    let Turn::Wait { lead: Some(lead), flight, .. } = turn(&cache, permit("1h"), now()) else { panic!() };
    let Turn::Wait { lead: None, flight: second, meanwhile: None } = turn(&cache, permit("1h"), now()) else {
        panic!()
    };
    land(*lead, now(), minutes(60));
    let (one, other) = (flight.landed().await.unwrap().unwrap(), second.landed().await.unwrap().unwrap());
    assert!(Arc::ptr_eq(one.issued(), other.issued()));
    assert_eq!(cache.len(), 1);
}

#[tokio::test]
async fn a_flight_that_breaks_off_lets_the_next_begin_and_tells_who_waits() {
    let cache = cache();
    let Turn::Wait { lead: Some(lead), flight, .. } = turn(&cache, permit("1h"), now()) else { panic!() };
    drop(lead);
    assert!(flight.landed().await.is_none());
    assert!(matches!(turn(&cache, permit("1h"), now()), Turn::Wait { lead: Some(_), .. }));
}

#[tokio::test]
async fn a_failure_is_told_and_not_kept_and_the_next_flight_keeps_a_pause() {
    let cache = cache();
    let Turn::Wait { lead: Some(lead), flight, .. } = turn(&cache, permit("1h"), now()) else { panic!() };
    assert!(lead.not_before.is_none());
    lead.landing.land(Err(Failed { error: "no", temporary: false }), now());
    assert_eq!(flight.landed().await.unwrap().unwrap_err(), "no");
    let Turn::Wait { lead: Some(lead), .. } = turn(&cache, permit("1h"), now()) else { panic!() };
    assert!(lead.not_before.unwrap() > Instant::now());
}

#[test]
fn a_set_past_its_mark_outlives_a_silence_and_not_a_refusal() {
    for temporary in [true, false] {
        let cache = cache();
        fetch(&cache, permit("1h"), now(), minutes(60));
        let later = now() + minutes(45);
        let Turn::Wait { lead: Some(lead), .. } = turn(&cache, permit("1h"), later) else { panic!() };
        lead.landing.land(Err(Failed { error: "no", temporary }), later);
        assert_eq!(delivers(&cache, permit("1h"), later), temporary, "let be for a while");
        if temporary {
            let again = turn(&cache, permit("1h"), later + minutes(1));
            assert!(matches!(again, Turn::Wait { lead: Some(_), meanwhile: Some(_), .. }), "then tried again");
        }
        let end = turn(&cache, permit("1h"), now() + minutes(59));
        assert!(matches!(end, Turn::Wait { meanwhile: None, .. }), "the last minute is nobody's");
    }
}

#[test]
fn who_may_not_have_a_new_set_yet_is_given_the_old_one_and_nobody_else_is() {
    let cache = cache();
    let broke = |permit, now| cache.turn(permit, asked, now, || Err("too often"));
    assert_eq!(broke(permit("1h"), now()).unwrap_err(), "too often");
    fetch(&cache, permit("1h"), now(), minutes(60));
    assert!(matches!(broke(permit("1h"), now() + minutes(45)), Ok(Turn::Deliver(_))));
    assert!(broke(permit("1h"), now() + minutes(60)).is_err());
}

#[test]
fn whoever_leaves_is_forgotten_and_what_was_on_its_way_is_not_kept() {
    let cache = cache();
    fetch(&cache, permit("1h"), now(), minutes(60));
    fetch(&cache, permit_of("bela", "1h", "a", None), now(), minutes(60));
    let Turn::Wait { lead: Some(lead), .. } = turn(&cache, permit("2h"), now()) else { panic!() };
    cache.forget(&subject("asha"));
    land(*lead, now(), minutes(120));
    assert_eq!(cache.len(), 1, "bela's");
    cache.forget_role(&subject("bela"), "111122223333".parse().unwrap(), &"Other".parse().unwrap());
    assert_eq!(cache.len(), 1);
    cache.forget_role(&subject("bela"), "111122223333".parse().unwrap(), &"teams/ReadOnly".parse().unwrap());
    assert!(cache.is_empty());
}

#[test]
fn what_has_expired_goes_and_a_flight_stays() {
    let cache = cache();
    fetch(&cache, permit("1h"), now(), minutes(60));
    let held = turn(&cache, permit("2h"), now());
    cache.forget_expired(now() + minutes(58));
    assert_eq!(cache.len(), 1);
    cache.forget_expired(now() + minutes(59));
    assert!(cache.is_empty());
    assert!(matches!(turn(&cache, permit("2h"), now()), Turn::Wait { lead: None, .. }));
    drop(held);
}

#[test]
fn one_person_fills_their_own_shelf_and_loses_what_they_used_longest_ago() {
    let cache = cache();
    fetch(&cache, permit_of("bela", "1h", "a", None), now(), minutes(60));
    let tag = |at: usize| permit_of("asha", "1h", &format!("{at}"), None);
    for at in 0..MOST_OF_ONE {
        fetch(&cache, tag(at), now(), minutes(60));
    }
    assert!(delivers(&cache, tag(0), now()));
    fetch(&cache, tag(MOST_OF_ONE), now(), minutes(60));
    assert_eq!(cache.len(), MOST_OF_ONE + 1);
    assert!(delivers(&cache, tag(0), now()) && !delivers(&cache, tag(1), now()));
    assert!(delivers(&cache, permit_of("bela", "1h", "a", None), now()));
}
