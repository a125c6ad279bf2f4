//! The plug is pulled in the middle of issuance, again and again.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rolegate::audit::Head;
use rolegate::sys::{Rng, SystemClock, SystemRng};

use crate::browser_client::Browser;
use crate::program::{Place, database, open, seed};
use crate::sandboxed::{Fault, LocalAws, Person, enter};

const CRASHES: usize = 50;

/// Asks for keys without pause and notes those it got, until told to stop. A broker that is gone is asked again.
async fn insatiable(person: Person, role: &'static str, got: Arc<Mutex<BTreeSet<String>>>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        match person.try_program_post(&format!("{role}/credentials"), &[("format", "json")]).await {
            Some(answer) => {
                assert_eq!(answer.status, 200, "{}", answer.body);
                let id = answer.json()["AccessKeyId"].as_str().unwrap().to_owned();
                got.lock().unwrap().insert(id);
            }
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// What a database that was torn away must still be.
async fn assert_sound(data: &std::path::Path) {
    let mut database = database(data).await;
    let whole: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut database).await.unwrap();
    assert_eq!(whole, "ok");
    let dangling = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut database).await.unwrap();
    assert!(dangling.is_empty(), "{} rows refer to nothing", dangling.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_got_credentials_is_in_the_log_even_if_the_plug_is_pulled_fifty_times() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let mut aws = LocalAws::bind();
    let mut place = Place::new(data);
    for (key, value) in aws.settings() {
        place = place.set(key, value);
    }
    aws.serve(&place.base.parse().unwrap(), Arc::new(SystemClock)).await;
    seed(data, &aws.catalog()).await;
    let mut program = place.start().await;

    let (got, stop) = (Arc::new(Mutex::new(BTreeSet::new())), Arc::new(AtomicBool::new(false)));
    let mut clients = Vec::new();
    for (name, role) in [
        ("asha", "/roles/104729301846/Admin"),
        ("lin", "/roles/111122223333/teams/payments/Deploy"),
        ("kim", "/roles/150938274616/VendorMaintenance"),
        ("mateo", "/roles/104729301846/BillingViewer"),
    ] {
        let mut browser = Browser::new();
        let page = enter(&mut browser, &place.base, name).await;
        let person = Person::new(&place.base, browser, &page);
        clients.push(tokio::spawn(insatiable(person, role, Arc::clone(&got), Arc::clone(&stop))));
    }
    // Long enough that there is always somebody between intent and outcome.
    aws.wire.spoil(Fault::Slow("/", Duration::from_millis(20)));

    let (mut known, mut intended, mut issued) = (Head::EMPTY, BTreeSet::new(), BTreeSet::new());
    let mut finished = 0;
    for crash in 1..=CRASHES {
        let mut random = [0];
        SystemRng.fill(&mut random);
        tokio::time::sleep(Duration::from_millis(100 + u64::from(random[0]))).await;
        program.kill();

        let base = open(data).await;
        let head = base.store.verify_audit(&base.chain, Some(known)).await;
        let head = head.unwrap_or_else(|error| panic!("after crash {crash}: {error}"));
        for event in base.store.audit_after(known.seq, i64::MAX).await.unwrap() {
            let body: serde_json::Value = serde_json::from_str(&event.link.body).unwrap();
            match event.link.kind.as_str() {
                "issue.intended" => drop(intended.insert(event.link.reference.unwrap())),
                "issue.succeeded" => {
                    assert!(intended.contains(&event.link.reference.unwrap()), "an outcome without intent: {body}");
                    finished += 1;
                    issued.insert(body["access_key_id"].as_str().unwrap().to_owned());
                }
                _ => {}
            }
        }
        base.store.close().await;
        known = head;
        assert_sound(data).await;
        let unrecorded: Vec<_> = got.lock().unwrap().difference(&issued).cloned().collect();
        assert!(
            unrecorded.is_empty(),
            "after crash {crash} these were delivered and are not in the log: {unrecorded:?}"
        );
        program = place.start().await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let got = got.lock().unwrap().len();
    assert!(got >= CRASHES, "only {got} sets of keys were delivered: that was no load");
    assert!(intended.len() > finished, "no crash hit anybody between intent and outcome");
    program.kill();
}
