//! Two `rolegate serve` processes on one database: whatever one knows the other knows, and what counts once counts once.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use regex::Regex;
use rolegate::sys::{Clock, SystemClock};
use serde_json::Value;

use crate::sign_in::catalog_of;
use crate::tools::{free_port, rolegate, stdout};
use crate::wire::{self, Answer, Wire};

/// A process that is killed when the test is done with it.
struct Replica(Child);

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two processes that began at the same moment on an empty folder.
struct Replicas {
    folder: tempfile::TempDir,
    processes: Vec<Replica>,
    /// One way to each; the first one's address is what replies are addressed to.
    one: Wire,
    other: Wire,
}

/// A command with the settings of both.
fn with_settings(command: &str, folder: &Path) -> Command {
    let mut program = rolegate();
    program.args(command.split(' ')).arg("--data-dir").arg(folder);
    program
}

impl Replicas {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let addresses = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
        let public = format!("http://{}", addresses[0]);
        let processes: Vec<_> = addresses
            .iter()
            .map(|address| {
                let mut command = with_settings("serve", folder.path());
                command.args(["--listen", address, "--public-url", &public, "--set", "keys.signing_key_bits=2048"]);
                command.args(["--set", "limits.sign_in_per_minute=6000", "--set", "limits.sign_in_burst=6000"]);
                let log = File::create(folder.path().join(address)).unwrap();
                Replica(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
            })
            .collect();
        let client = rolegate::sys::http::client(Duration::from_secs(5)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        for address in &addresses {
            let ready = || client.get(format!("http://{address}/readyz")).send();
            while !ready().await.is_ok_and(|answer| answer.status() == 200) {
                let log = || std::fs::read_to_string(folder.path().join(address)).unwrap();
                assert!(Instant::now() < deadline, "{address} is not ready; it said:\n{}", log());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        apply(folder.path(), "");
        let wire = async |address: &str| Wire::through(&format!("http://{address}"), &public).await;
        let (one, other) = (wire(&addresses[0]).await, wire(&addresses[1]).await);
        Self { folder, processes, one, other }
    }

    /// What the audit log has of one kind, after the whole of it was verified.
    fn events(&self, kind: &str) -> Vec<Value> {
        stdout(&mut with_settings("audit verify", self.folder.path()));
        let lines = stdout(&mut with_settings("audit export", self.folder.path()));
        lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|event| event["kind"] == kind)
            .collect()
    }
}

/// `rolegate catalog apply`, by a third process.
fn apply(folder: &Path, more: &str) {
    let file = folder.join("catalog.toml");
    std::fs::write(&file, catalog_of(&wire::connector(folder, "idp_initiated = true")) + more).unwrap();
    stdout(with_settings("catalog apply", folder).arg(&file));
}

fn now() -> Timestamp {
    SystemClock.now()
}

/// Of two answers, the one that was accepted and the one that was not.
fn one_of(answers: (Answer, Answer)) -> (Answer, Answer) {
    match (answers.0.status, answers.1.status) {
        (303, 403) => answers,
        (403, 303) => (answers.1, answers.0),
        _ => panic!("one should be accepted and one refused: {answers:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_posted_to_two_processes_at_once_is_accepted_once() {
    let replicas = Replicas::start().await;
    let Replicas { one, other, .. } = &replicas;
    for round in 0..25 {
        let reply = one.forge(None, now()).signed(|parts| parts.assertion_id = format!("_round{round}"));
        let (_, refused) = one_of(tokio::join!(one.post(&reply, "/"), other.post(&reply, "/")));
        assert_eq!(refused.problem(), "sign-in-replayed");
        assert!(refused.signs_nobody_in());
    }
    let events = replicas.events("sign-in.refused");
    assert_eq!(events.len(), 25);
    assert!(events.iter().all(|event| event.to_string().contains("\"cause\":\"replayed\"")), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_begun_at_one_is_answered_at_either_and_finished_at_the_other_once() {
    let replicas = Replicas::start().await;
    let Replicas { one, other, .. } = &replicas;
    for _ in 0..10 {
        let begun = one.begin().await;
        let reply = one.honest(&begun, now());
        let posts = tokio::join!(one.post(&reply, &begun.relay_state), other.post(&reply, &begun.relay_state));
        let (accepted, refused) = one_of(posts);
        // The handle was handed out once: the other process sees an answer to a request it knows nothing of.
        assert_eq!(refused.problem(), "sign-in-refused");
        let finish = accepted.header("location").unwrap().to_owned();
        let (welcome, late) = one_of(tokio::join!(one.get(&finish, &begun.cookie), other.get(&finish, &begun.cookie)));
        assert!(late.header("set-cookie").is_none(), "{late:?}");
        let session = welcome.session_cookie();
        assert_eq!((one.me(&session).await, other.me(&session).await), (200, 200));
    }
    assert_eq!(replicas.events("sign-in.succeeded").len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_honoured_by_both_and_its_end_is_seen_by_both() {
    let mut replicas = Replicas::start().await;
    let Replicas { one, other, .. } = &replicas;
    let session = one.sign_in(now()).await;
    assert_eq!(other.me(&session).await, 200);

    let roles = async |wire: &Wire| wire.get("/api/v1/roles", &session).await.body;
    for wire in [one, other] {
        assert!(roles(wire).await.contains("ReadOnly"));
    }
    let more = "[[role]]\naccount = \"111122223333\"\nname = \"Brandnew\"\n\
                [[rule]]\nid = \"new\"\nwhen = { groups = \"payments\" }\ngrant = [{ account = \"*\", role = \"Brandnew\" }]";
    apply(replicas.folder.path(), more);
    for wire in [other, one] {
        assert!(roles(wire).await.contains("Brandnew"), "at the next click");
    }
    apply(replicas.folder.path(), "");
    for wire in [one, other] {
        assert!(!roles(wire).await.contains("Brandnew"), "and gone again");
    }

    let home = other.client.get(other.at("/")).header("cookie", &session).header("accept", "text/html");
    let home = other.send(home).await;
    let csrf = Regex::new("name=\"csrf\" value=\"([^\"]+)\"").unwrap();
    let csrf = csrf.captures(&home.body).unwrap_or_else(|| panic!("no form in {}", home.body))[1].to_owned();
    // The form came from one process and goes to the other, as a balancer may well do it.
    let left = one.client.post(one.at("/sign-out")).header("cookie", &session).form(&[("csrf", csrf)]);
    let left = one.send(left).await;
    assert_eq!(left.header("location"), Some("/signed-out?connector=forge&reach=not-offered"));
    assert_eq!((one.me(&session).await, other.me(&session).await), (401, 401));
    assert_eq!(replicas.events("session.ended").len(), 1);

    // One dies in the middle of its work; the other goes on by itself.
    let session = replicas.one.sign_in(now()).await;
    replicas.processes.remove(0);
    assert_eq!(replicas.other.me(&session).await, 200);
    replicas.other.sign_in(now()).await;
    assert_eq!(replicas.events("sign-in.succeeded").len(), 3);
    // Both made themselves keys on the empty folder; there is one of each.
    assert_eq!(replicas.events("key.created").len(), 3);
}
