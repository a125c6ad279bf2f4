use futures_util::future::join_all;

use super::*;
use crate::audit::{ChainKey, Kind};
use crate::store::packed_sizes::PackedSize;

fn chain() -> Chain {
    Chain::new(ChainKey::new([1; 32]))
}

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn event(at: usize) -> Event {
    Event::new(Kind::SignInRefused).with("n", at)
}

async fn journal() -> (tempfile::TempDir, Store, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("test.db")).await.unwrap();
    (dir, store.clone(), Journal::new(store, chain()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_together_stands_one_after_the_other_and_each_is_told_its_place() {
    let (_dir, store, journal) = journal().await;
    // More than one transaction holds, and no power of two.
    let events: Vec<Event> = (0..MOST + 75).map(event).collect();
    let heads = join_all(events.iter().map(|event| journal.record(event, now()))).await;
    let head = store.verify_audit(&chain(), None).await.unwrap();
    assert_eq!(head.seq, events.len() as i64);
    let stored = store.audit_after(0, 1_000).await.unwrap();
    for (at, head) in heads.into_iter().enumerate() {
        let head = head.unwrap();
        let place = &stored[usize::try_from(head.seq - 1).unwrap()];
        assert_eq!((place.hash, place.link.body.as_str()), (head.hash, format!("{{\"n\":{at}}}").as_str()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_journals_and_transactions_of_others_make_one_chain() {
    let (dir, store, journal) = journal().await;
    // As another process would: connections of its own, and nothing shared but the file.
    let elsewhere = Store::open(&dir.path().join("test.db")).await.unwrap();
    let other = Journal::new(elsewhere.clone(), chain());
    let one = async {
        for at in 0..10 {
            let events: Vec<Event> = (0..10).map(|n| event(at * 10 + n)).collect();
            join_all(events.iter().map(|event| journal.record(event, now())))
                .await
                .into_iter()
                .for_each(|done| assert!(done.is_ok()));
        }
    };
    let two = async {
        for at in 0..50 {
            other.record(&event(at), now()).await.unwrap();
        }
    };
    let three = async {
        for at in 0..50 {
            let mut tx = elsewhere.begin().await.unwrap();
            audit::append(&mut tx, &chain(), &event(at), now()).await.unwrap();
            if at % 5 == 0 { tx.rollback().await.unwrap() } else { tx.commit().await.unwrap() }
        }
    };
    tokio::join!(one, two, three);
    assert_eq!(store.verify_audit(&chain(), None).await.unwrap().seq, 100 + 50 + 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_reaches_everybody_who_waited_and_the_next_are_written() {
    let (_dir, store, journal) = journal().await;
    let full = "CREATE TRIGGER full BEFORE INSERT ON audit_event WHEN NEW.body LIKE '%13%' \
                BEGIN SELECT RAISE(ABORT, 'no room'); END";
    sqlx::query(full).execute(store.writer()).await.unwrap();
    let events: Vec<Event> = (0..14).map(event).collect();
    let outcomes = join_all(events.iter().map(|event| journal.record(event, now()))).await;
    let written = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(outcomes.last().unwrap().is_err());
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(StoreError::Together(_)))));
    assert_eq!(store.verify_audit(&chain(), None).await.unwrap().seq, written as i64, "who was told so is on disk");
    assert_eq!(journal.record(&event(1), now()).await.unwrap().seq, written as i64 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_client_hung_up_is_written() {
    let (_dir, store, journal) = journal().await;
    let mut tx = store.begin().await.unwrap();
    audit::append(&mut tx, &chain(), &event(0), now()).await.unwrap();
    let asked = event(1);
    // The pen is held up, and who waits for it goes away.
    let waited = tokio::time::timeout(Duration::from_millis(20), journal.record(&asked, now())).await;
    assert!(waited.is_err());
    tx.commit().await.unwrap();
    assert_eq!(journal.record(&event(2), now()).await.unwrap().seq, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_is_noted_with_its_event_or_not_at_all() {
    let (_dir, store, journal) = journal().await;
    let person: PersonId = "okta:asha".parse().unwrap();
    let used = Use {
        person: person.clone(),
        account: "111122223333".parse().unwrap(),
        role: "ReadOnly".parse().unwrap(),
        packed_percent: Some(34),
        at: now(),
    };
    journal.record_use(&event(1), used.clone()).await.unwrap();
    let size = || store.packed_size(used.account, &used.role);
    assert_eq!(size().await.unwrap(), Some(PackedSize { latest: 34, highest: 34 }));
    let (more, silent) =
        (Use { packed_percent: Some(81), ..used.clone() }, Use { packed_percent: None, ..used.clone() });
    journal.record_use(&event(2), more).await.unwrap();
    journal.record_use(&event(3), used.clone()).await.unwrap();
    journal.record_use(&event(4), silent).await.unwrap();
    assert_eq!(size().await.unwrap(), Some(PackedSize { latest: 34, highest: 81 }));
    assert_eq!(store.preferences(&person).await.unwrap()[0].last_used, Some(now()));
    let full = "CREATE TRIGGER full BEFORE INSERT ON audit_event BEGIN SELECT RAISE(ABORT, 'no room'); END";
    sqlx::query(full).execute(store.writer()).await.unwrap();
    let later = Use { at: now() + jiff::SignedDuration::from_secs(9), ..used };
    assert!(journal.record_use(&event(5), later).await.is_err());
    assert_eq!(store.preferences(&person).await.unwrap()[0].last_used, Some(now()));
}
