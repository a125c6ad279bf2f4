use super::audit::{AuditError, append};
use super::sign_in::{Attempt, use_assertion};
use super::*;
use crate::audit::{Chain, ChainKey, Event, Head, Kind, VerifyError};

async fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("test.db")).await.unwrap();
    (dir, store)
}

fn chain() -> Chain {
    Chain::new(ChainKey::new([1; 32]))
}

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

#[tokio::test]
async fn a_chain_of_events_verifies_and_tampering_is_found() {
    let (_dir, store) = store().await;
    for at in 0..5 {
        store.record(&chain(), &Event::new(Kind::SignInRefused).with("n", at), now()).await.unwrap();
    }
    let head = store.verify_audit(&chain(), None).await.unwrap();
    assert_eq!(head.seq, 5);
    assert!(store.verify_audit(&chain(), Some(Head { seq: 6, hash: [0; 32] })).await.is_err());

    let refused = sqlx::query("UPDATE audit_event SET body = '{}' WHERE seq = 3").execute(store.writer()).await;
    assert!(refused.is_err(), "the table itself refuses changes");
    // Somebody with the file can drop the trigger; the chain still tells.
    sqlx::query("DROP TRIGGER audit_event_is_never_changed").execute(store.writer()).await.unwrap();
    sqlx::query("UPDATE audit_event SET body = '{}' WHERE seq = 3").execute(store.writer()).await.unwrap();
    let broken = store.verify_audit(&chain(), None).await;
    assert!(matches!(broken, Err(AuditError::Broken(VerifyError::Altered(3)))), "{broken:?}");
}

#[tokio::test]
async fn an_event_in_a_transaction_that_is_rolled_back_never_happened() {
    let (_dir, store) = store().await;
    let mut tx = store.begin().await.unwrap();
    append(&mut tx, &chain(), &Event::new(Kind::KeyCreated), now()).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(store.verify_audit(&chain(), None).await.unwrap(), Head::EMPTY);
}

#[tokio::test]
async fn an_attempt_is_handed_out_once() {
    let (_dir, store) = store().await;
    let attempt = Attempt {
        connector: "okta".parse().unwrap(),
        request_id: "_1".into(),
        browser: [2; 32],
        return_to: "/".into(),
        force_authn: false,
        demand: None,
        started: now(),
        expires: now() + SECOND,
        test: None,
    };
    store.add_attempt(&[1; 32], &attempt).await.unwrap();
    let (one, other) = tokio::join!(store.take_attempt(&[1; 32]), store.take_attempt(&[1; 32]));
    assert_eq!(usize::from(one.unwrap().is_some()) + usize::from(other.unwrap().is_some()), 1);
}

const SECOND: jiff::SignedDuration = jiff::SignedDuration::from_secs(1);

#[tokio::test]
async fn a_session_that_the_release_before_begins_on_this_schema_can_be_listed_and_ended() {
    let (_dir, store) = store().await;
    let identity = serde_json::json!({
        "subject": { "connector": "okta", "value": "00u1" },
        "qualifiers": {}, "name": null, "email": null,
        "groups": { "state": "complete", "values": [] },
        "attributes": {},
        "authentication": { "instant": now(), "context_class": null, "session_index": "_s", "session_not_on_or_after": null },
    });
    sqlx::query(
        "INSERT INTO session
         (id_hash, connector, subject, identity, created_ms, last_seen_ms, idle_ms, expires_ms, client_address, user_agent)
         VALUES (x'01', 'okta', '00u1', $1, 0, 0, 1, 1, '', '')",
    )
    .bind(identity.to_string())
    .execute(store.writer())
    .await
    .unwrap();
    let person = "okta:00u1".parse().unwrap();
    let listed = store.sessions_of(&person).await.unwrap();
    assert_eq!((listed.len(), listed[0].public_id.len()), (1, 32));
    let provider: (String, String) = sqlx::query_as("SELECT provider_subject, provider_session FROM session")
        .fetch_one(store.reader())
        .await
        .unwrap();
    assert_eq!(provider, ("00u1".to_owned(), "_s".to_owned()));
    let mut tx = store.begin().await.unwrap();
    assert_eq!(sessions::remove_all_of(&mut tx, &person, None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn two_processes_on_one_database_accept_an_assertion_once() {
    let (dir, first) = store().await;
    let second = Store::open(&dir.path().join("test.db")).await.unwrap();
    let attempt = async |store: &Store| {
        let mut tx = store.begin().await.unwrap();
        let accepted = use_assertion(&mut tx, "idp", "_a", now() + SECOND).await.unwrap();
        tx.commit().await.unwrap();
        accepted
    };
    let (one, other) = tokio::join!(attempt(&first), attempt(&second));
    assert!(one ^ other);
}

#[tokio::test]
async fn expired_rows_are_removed_and_live_ones_stay() {
    let (_dir, store) = store().await;
    for (id, until) in [("_old", now()), ("_new", now() + SECOND)] {
        let mut tx = store.begin().await.unwrap();
        assert!(use_assertion(&mut tx, "idp", id, until).await.unwrap());
        tx.commit().await.unwrap();
    }
    assert_eq!(store.remove_expired(now()).await.unwrap(), 1);
    assert_eq!(store.remove_expired(now()).await.unwrap(), 0);
}

#[tokio::test]
async fn more_expired_rows_than_strangers_can_make_in_a_minute_are_removed_at_once() {
    let (_dir, store) = store().await;
    let mut tx = store.begin().await.unwrap();
    for id in 0..1_201 {
        assert!(use_assertion(&mut tx, "idp", &format!("_{id}"), now()).await.unwrap());
    }
    tx.commit().await.unwrap();
    assert_eq!(store.remove_expired(now()).await.unwrap(), 1_201);
}

#[tokio::test]
async fn nobody_but_its_owner_reads_the_database_and_what_lies_beside_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, store) = store().await;
    store.record(&chain(), &Event::new(Kind::KeyCreated), now()).await.unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.path());
        seen += 1;
    }
    assert_eq!(seen, 3, "the database, its log and the log's index");
}

#[tokio::test]
async fn settings_that_durability_rests_on_are_in_force() {
    let (_dir, store) = store().await;
    for (pragma, expected) in [("PRAGMA synchronous", 2_i64), ("PRAGMA foreign_keys", 1)] {
        let value: i64 = sqlx::query_scalar(pragma).fetch_one(store.writer()).await.unwrap();
        assert_eq!(value, expected, "{pragma}");
    }
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(store.writer()).await.unwrap();
    assert_eq!(mode, "wal");
}
