use std::path::Path;

use serde_json::Value;

use super::*;
use crate::audit::{Chain, ChainKey};
use crate::store::Store;
use crate::sys::seal::SealingKey;
use crate::sys::{Clock, ManualClock, SystemRng};

const DAY: i64 = 24 * 3600;

/// One of several processes on one database, with one clock.
async fn process(folder: &Path, clock: &Arc<ManualClock>, every_days: Option<i64>) -> TokenKeys {
    let store = Store::open(&folder.join("test.db")).await.unwrap();
    let chain = Chain::new(ChainKey::new([1; 32]));
    let clock: Arc<dyn Clock> = clock.clone();
    let ground = Ground::new(store, chain, clock, Arc::new(SystemRng), SealingKey::from_bytes([9; 32]));
    let every = every_days.map(|days| SignedDuration::from_hours(24 * days));
    let rules = TokenKeyRules { size: KeySize::Rsa2048, every, issuer: "https://aws.corp.example".to_owned() };
    TokenKeys::new(ground, rules)
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at("2026-11-21T12:00:00Z".parse().unwrap()))
}

async fn set(keys: &TokenKeys) -> Vec<String> {
    let set: Value = serde_json::from_str(&keys.jwks().await.unwrap()).unwrap();
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn signing(keys: &TokenKeys) -> String {
    keys.signing().await.unwrap().id().to_owned()
}

async fn events(keys: &TokenKeys) -> Vec<(String, Value)> {
    keys.ground.store.verify_audit(&keys.ground.chain, None).await.unwrap();
    let events = keys.ground.store.audit_after(0, 100).await.unwrap();
    events.into_iter().map(|event| (event.link.kind, serde_json::from_str(&event.link.body).unwrap())).collect()
}

#[tokio::test]
async fn with_time_one_key_makes_room_for_the_next_and_every_process_sees_the_same_without_being_told() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let one = process(folder.path(), &clock, Some(90)).await;
    let other = process(folder.path(), &clock, Some(90)).await;
    one.tend(false).await.unwrap();
    assert!(one.list().await.unwrap().is_empty(), "nobody needs one");
    one.tend(true).await.unwrap();
    let first = signing(&one).await;
    assert_eq!((signing(&other).await, set(&other).await), (first.clone(), vec![first.clone()]));

    clock.advance_secs(89 * DAY - 1);
    other.tend(true).await.unwrap();
    assert_eq!(set(&one).await, [first.as_str()]);
    clock.advance_secs(1);
    other.tend(true).await.unwrap();
    let both = set(&one).await;
    assert_eq!((both.len(), &both[0]), (2, &first), "published a day before it signs");
    let second = both[1].clone();
    for _ in 0..3 {
        one.tend(true).await.unwrap();
        assert_eq!(set(&one).await, both, "one at a time");
    }
    clock.advance_secs(DAY - 1);
    assert_eq!((signing(&one).await, signing(&other).await), (first.clone(), first.clone()));
    clock.advance_secs(1);
    assert_eq!((signing(&one).await, signing(&other).await), (second.clone(), second.clone()), "nobody did anything");
    assert_eq!(set(&one).await, both, "what the first has signed can still be checked");

    clock.advance_secs(DAY + 299);
    one.tend(true).await.unwrap();
    assert_eq!(set(&other).await, both);
    clock.advance_secs(1);
    assert_eq!(set(&other).await, [second.as_str()], "even before anybody tidies up");
    one.tend(true).await.unwrap();
    assert_eq!(other.list().await.unwrap().len(), 1, "its private half is gone too");

    let events = events(&one).await;
    let told: Vec<_> = events
        .iter()
        .map(|(kind, body)| (kind.as_str(), body["cause"].as_str().unwrap(), body["key"].as_str().unwrap()))
        .collect();
    let (first, second) = (first.as_str(), second.as_str());
    assert_eq!(told, [("key.created", "first", first), ("key.created", "age", second), ("key.retired", "age", first)]);
    assert_eq!(events[1].1["signs_from"], "2027-02-19T12:00:00Z");
    assert_eq!(events[1].1["purpose"], "aws-tokens");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_need_or_rotate_keys_at_the_same_moment_make_one() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(process(folder.path(), &clock, Some(90)).await);
    }
    let signing = futures_util::future::join_all(all.iter().map(signing)).await;
    assert!(signing.iter().all(|id| *id == signing[0]), "{signing:?}");
    assert_eq!(all[0].list().await.unwrap().len(), 1);

    clock.advance_secs(200 * DAY);
    let tended = futures_util::future::join_all(all.iter().map(|keys| keys.tend(true))).await;
    assert!(tended.iter().all(Result::is_ok), "{tended:?}");
    assert_eq!(all[0].list().await.unwrap().len(), 2);

    clock.advance_secs(2 * DAY);
    let rotated = futures_util::future::join_all(all.iter().map(|keys| keys.rotate("asha"))).await;
    let made = rotated.iter().filter(|done| matches!(done, Ok(Rotated::Made { .. }))).count();
    let waiting = rotated.iter().filter(|done| matches!(done, Ok(Rotated::Waiting { .. }))).count();
    assert_eq!((made, waiting), (1, 3), "{rotated:?}");
    assert_eq!(events(&all[0]).await.iter().filter(|(kind, _)| kind == "key.created").count(), 3);
}

#[tokio::test]
async fn by_hand_a_key_is_published_now_and_signs_tomorrow_and_a_second_asking_changes_nothing() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let keys = process(folder.path(), &clock, None).await;
    let first = signing(&keys).await;
    clock.advance_secs(1_000 * DAY);
    keys.tend(true).await.unwrap();
    assert_eq!(set(&keys).await, [first.as_str()], "by hand only");

    let Rotated::Made { key: second, signs_from } = keys.rotate("asha").await.unwrap() else { panic!("made one") };
    assert_eq!(signs_from, keys.ground.clock.now() + PUBLISHED_BEFORE);
    assert_eq!((set(&keys).await, signing(&keys).await), (vec![first.clone(), second.clone()], first));
    let again = keys.rotate("lin").await.unwrap();
    assert_eq!(again, Rotated::Waiting { key: second.clone(), signs_from });
    let (_, last) = events(&keys).await.pop().unwrap();
    assert_eq!((&last["cause"], &last["by"]), (&"by-hand".into(), &"asha".into()));
    clock.advance_secs(DAY);
    assert_eq!(signing(&keys).await, second);
}

#[tokio::test]
async fn keys_that_somebody_may_have_are_withdrawn_at_once_in_every_process() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let here = process(folder.path(), &clock, Some(90)).await;
    let there = process(folder.path(), &clock, Some(90)).await;
    let first = signing(&here).await;
    assert_eq!(signing(&there).await, first, "opened and kept there");
    here.rotate("asha").await.unwrap();
    let Rotated::Made { key: new, .. } = here.replace_all("asha").await.unwrap() else { panic!("made one") };
    assert_eq!((set(&there).await, signing(&there).await), (vec![new.clone()], new));
    let events = events(&here).await;
    let retired: Vec<_> = events.iter().filter(|(kind, _)| kind == "key.retired").collect();
    assert_eq!(retired.len(), 2, "the one that waited too");
    assert!(retired.iter().all(|(_, body)| body["cause"] == "compromised" && body["by"] == "asha"), "{retired:?}");
}

#[tokio::test]
async fn the_private_half_lies_sealed_and_opens_with_its_own_sealing_key_only() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let keys = process(folder.path(), &clock, None).await;
    let private = keys.signing().await.unwrap().private_key().rsa().unwrap().d().to_vec();
    let mut disk = std::fs::read(folder.path().join("test.db")).unwrap();
    disk.extend(std::fs::read(folder.path().join("test.db-wal")).unwrap_or_default());
    let part = &private[..64];
    assert!(!disk.windows(part.len()).any(|window| window == part));

    let mut thief = process(folder.path(), &clock, None).await;
    thief.ground.sealing = SealingKey::from_bytes([8; 32]);
    assert!(matches!(thief.signing().await, Err(TokenKeyError::Store(StoreError::Unseal(_)))));
}
