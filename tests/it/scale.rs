//! A thousand people sign in, and what that leaves behind.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use jiff::{SignedDuration, Timestamp};
use rolegate::sys::{Clock as _, ManualClock, SystemClock};
use serde_json::json;
use sqlx::Connection as _;

use crate::broker::Broker;
use crate::hostile_oidc::play::{Scene, catalog};
use crate::hostile_oidc::provider::Provider;
use crate::program::{database, open};
use crate::sign_in::catalog_of;
use crate::wire::{self, Wire};

const PEOPLE: usize = 1_000;
const AT_ONCE: usize = 16;

/// What is kept for good, because somebody decided so.
const KEPT: [&str; 1] = ["audit_event"];

/// How many rows every table has, whatever tables there are.
async fn rows(broker: &Broker) -> BTreeMap<String, i64> {
    let mut database = database(&broker.folder()).await;
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE '\\_%' ESCAPE '\\'";
    let names: Vec<String> = sqlx::query_scalar(names).fetch_all(&mut database).await.unwrap();
    database.close().await.unwrap();
    let mut rows = BTreeMap::new();
    for name in names.into_iter().filter(|name| !KEPT.contains(&name.as_str())) {
        let count = broker.rows(&name).await;
        rows.insert(name, count);
    }
    assert!(rows.len() > 10, "{rows:?}");
    rows
}

/// Moves the clock by `far` and removes what has expired, until nothing more goes.
async fn tidy(broker: &Broker, clock: &ManualClock, far: SignedDuration) -> u64 {
    clock.advance_secs(far.as_secs());
    let mut removed = 0;
    loop {
        let now = broker.app.ground.store.remove_expired(clock.now()).await.unwrap();
        removed += now;
        if now == 0 {
            return removed;
        }
    }
}

async fn broker() -> (Broker, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let broker = Broker::wishes()
        .clock(&clock)
        .set("limits.sign_in_per_minute", "1000000")
        .set("limits.sign_in_burst", "1000000")
        .start()
        .await;
    (broker, clock)
}

/// Longer than anything about a sign-in may live.
const A_MONTH: SignedDuration = SignedDuration::from_hours(31 * 24);

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_sign_ins_by_openid_connect_leave_nothing_that_nobody_cleans_up() {
    let (broker, clock) = broker().await;
    let elsewhere = Provider::start().await;
    let scene = Scene::new(&broker, "corp", &elsewhere.base).await;
    broker.apply(&catalog(&scene.toml("response_mode = \"form_post\"", ""))).await;
    // The first one makes what stays: documents that were fetched.
    scene.sign_in(broker.now(), |_| {}).await;
    tidy(&broker, &clock, A_MONTH).await;
    let before = rows(&broker).await;

    let (scene, broker) = (&scene, &broker);
    // The provider says each person's own token, as it would.
    stream::iter(0..PEOPLE)
        .for_each_concurrent(AT_ONCE, |index| async move {
            let asked = scene.begin().await.unwrap();
            match index % 10 {
                // Somebody thinks better of it, somebody's answer is not believed, somebody comes back too late.
                0 => {}
                1 => {
                    let mut reply = scene.honest(asked, broker.now());
                    reply.bring("iss", "https://evil.example");
                    assert_eq!(scene.callback(&reply).await.status, 403);
                }
                2 => {
                    let mut reply = scene.honest(asked, broker.now());
                    reply.leave("code");
                    reply.bring("error", "access_denied");
                    assert!(scene.callback(&reply).await.status >= 400);
                }
                _ => {
                    let mut reply = scene.honest(asked, broker.now());
                    reply.claim("sub", json!(format!("person-{index}")));
                    reply.claim("sid", json!(format!("session-{index}")));
                    reply.bring("code", &format!("code-{index}"));
                    scene.say(&reply);
                    let accepted = scene.callback(&reply).await;
                    // Some never fetch what waits for them.
                    if index % 10 > 3 {
                        scene.session(&accepted, &reply.cookie).await;
                    }
                }
            }
        })
        .await;
    let full = rows(broker).await;
    assert_eq!(full["session"], before["session"] + 600, "{full:?}");
    assert!(full["sign_in_attempt"] >= 100 && full["sign_in_ticket"] >= 100, "{full:?}");
    assert!(tidy(broker, &clock, A_MONTH).await >= 800);
    assert_eq!(rows(broker).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_sign_ins_by_saml_leave_nothing_that_nobody_cleans_up() {
    let (broker, clock) = broker().await;
    broker.apply(&catalog_of(&wire::connector(&broker.folder(), ""))).await;
    let wire = Wire::to(&broker.base).await;
    wire.sign_in(broker.now()).await;
    tidy(&broker, &clock, A_MONTH).await;
    let before = rows(&broker).await;

    let (wire, broker) = (&wire, &broker);
    stream::iter(0..PEOPLE)
        .for_each_concurrent(AT_ONCE, |index| async move {
            let begun = wire.begin().await;
            match index % 10 {
                0 => {}
                1 => assert!(wire.post("bm90aGluZw==", &begun.relay_state).await.status >= 400),
                2 | 3 => {
                    let accepted = wire.post(&wire.honest(&begun, broker.now()), &begun.relay_state).await;
                    assert_eq!(accepted.status, 303, "{}", accepted.body);
                }
                _ => {
                    let accepted = wire.post(&wire.honest(&begun, broker.now()), &begun.relay_state).await;
                    wire.finish(&accepted, &begun).await;
                }
            }
        })
        .await;
    let full = rows(broker).await;
    assert_eq!(full["session"], before["session"] + 600, "{full:?}");
    assert!(full["used_assertion"] >= 800 && full["sign_in_ticket"] >= 200, "{full:?}");
    assert!(tidy(broker, &clock, A_MONTH).await >= 1_600);
    assert_eq!(rows(broker).await, before);
}

/// More than one run removes: 200,000 of a kind.
const MARKS: u64 = 200_750;

/// So many replies were used, and need not be remembered after that moment.
async fn add_marks(data: &Path, until: Timestamp) {
    let mut database = database(data).await;
    let marks = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) \
                 INSERT INTO used_assertion (issuer, assertion_id, until_ms) SELECT 'https://idp.example', 'a' || i, $2 FROM n";
    let marks = sqlx::query(marks).bind(i64::try_from(MARKS).unwrap()).bind(until.as_millisecond());
    assert_eq!(marks.execute(&mut database).await.unwrap().rows_affected(), MARKS);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_housekeepers_on_one_database_share_the_work_and_keep_nobody_waiting() {
    let (broker, clock) = broker().await;
    let elsewhere = Provider::start().await;
    let scene = Scene::new(&broker, "corp", &elsewhere.base).await;
    broker.apply(&catalog(&scene.toml("", ""))).await;
    scene.sign_in(broker.now(), |_| {}).await;
    let other = Broker::wishes().clock(&clock).on_data_of(&broker).start().await;

    // Counted before there is anything to remove: the brokers keep house by themselves too.
    let (kept, kept_marks) = (broker.rows("session").await, broker.rows("used_assertion").await);
    add_marks(&broker.folder(), clock.now() - SignedDuration::from_hours(1)).await;
    let run = |broker: &Broker| {
        let (store, now) = (broker.app.ground.store.clone(), clock.now());
        tokio::spawn(async move { store.remove_expired(now).await.unwrap() })
    };
    let (one, two) = (run(&broker), run(&other));
    // Meanwhile people sign in: between two bites there is room for others, or these would fail for want of the lock.
    while !(one.is_finished() && two.is_finished()) {
        scene.sign_in(broker.now(), |_| {}).await;
    }
    let signed_in = broker.rows("session").await - kept;
    let (one, two) = (one.await.unwrap(), two.await.unwrap());
    assert!(one <= 200_000 && two <= 200_000, "a run has an end: {one} and {two}");
    assert!(one > 0 && two > 0 && one + two <= MARKS, "both work, and each row goes once: {one} and {two}");
    assert!(signed_in > 0, "somebody signed in meanwhile");
    // The brokers do the same by themselves now and then, so what these two left is not known.
    while run(&broker).await.unwrap() > 0 {}
    assert_eq!(broker.rows("used_assertion").await, kept_marks + signed_in);
    broker.app.ground.store.verify_audit(&broker.app.ground.chain, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_removes_no_more_than_it_should_and_the_next_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (base, now) = (open(folder.path()).await, SystemClock.now());
    add_marks(folder.path(), now - SignedDuration::from_hours(1)).await;
    assert_eq!(base.store.remove_expired(now).await.unwrap(), 200_000);
    assert_eq!(base.store.remove_expired(now).await.unwrap(), MARKS - 200_000);
    assert_eq!(base.store.remove_expired(now).await.unwrap(), 0);
}
