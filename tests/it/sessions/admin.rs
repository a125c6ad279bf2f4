//! `rolegate sessions`: the administrator's view, from another process beside a running broker.

use std::process::Output;

use serde_json::Value;

use super::{apply, own_browser, partners};
use crate::sandboxed::{Sandboxed, problem};
use crate::tools::rolegate;

/// Runs `rolegate sessions` on the data of a broker that is running.
async fn sessions(world: &Sandboxed, line: &str) -> Output {
    let data = world.broker.folder();
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let run = move || {
        rolegate()
            .arg("sessions")
            .arg("--data-dir")
            .arg(&data)
            .args(words)
            .env("USER", "root")
            .env_remove("SUDO_USER")
            .output()
    };
    tokio::task::spawn_blocking(run).await.unwrap().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_sees_who_is_signed_in_and_cuts_somebody_off_at_the_next_request() {
    let world = Sandboxed::start().await;
    let (asha, also, omar) =
        (world.sign_in_as("asha").await, world.sign_in_as("asha").await, world.sign_in_as("omar").await);
    let listed = sessions(&world, "list --json").await;
    assert!(listed.status.success(), "{}", text(&listed.stderr));
    assert_eq!(text(&listed.stderr), "3 sessions.\n");
    let all: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(all.len(), 3);
    for session in &all {
        assert_eq!(session["id"].as_str().unwrap().len(), 32);
        assert_eq!(session["client_address"], "127.0.0.1");
    }
    assert!(!text(&listed.stdout).contains(asha.session()), "what is printed opens nothing");
    let subject = asha.program_get("/api/v1/me").await.json()["subject"].as_str().unwrap().to_owned();
    let table = text(&sessions(&world, &format!("list --person dev:{subject}")).await.stdout);
    assert!(table.lines().count() == 3 && table.starts_with("PERSON "), "{table}");
    assert!(!table.contains("Omar"), "{table}");

    let ended = sessions(&world, "end --person ASHA.Raman@larkspur.example").await;
    assert!(ended.status.success(), "{}", text(&ended.stderr));
    assert_eq!(text(&ended.stderr), "2 sessions have ended.\n");
    assert_eq!(text(&ended.stdout), "link:people:asha.raman@larkspur.example\n".repeat(2));
    for cut in [&asha, &also] {
        problem(&cut.program_get("/api/v1/me").await, 401, "sign-in-required");
        problem(&cut.program_post("/roles/111122223333/ReadOnly/credentials", &[]).await, 401, "sign-in-required");
    }
    assert_eq!(omar.program_get("/api/v1/me").await.status, 200);
    let event = world.broker.last_event("session.ended").await;
    assert_eq!(event["cause"], "ended-by-admin");
    assert_eq!(event["by"], "command line: root");

    let again = sessions(&world, "end --person asha.raman@larkspur.example").await;
    assert_eq!((again.status.code(), text(&again.stderr)), (Some(0), "There was no session to end.\n".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_several_people_is_asked_about_and_a_connector_is_emptied_only_with_all() {
    let world = Sandboxed::start().await;
    apply(&world, "", &partners(&world, "")).await;
    let (here, there) = (own_browser(&world, "dev", "asha").await, own_browser(&world, "partners", "asha").await);
    let refused = sessions(&world, "end --person asha.raman@larkspur.example").await;
    assert_eq!(refused.status.code(), Some(1));
    let words = text(&refused.stderr);
    assert!(words.contains("several people: link:people:") && words.contains("partners:"), "{words}");
    let refused = sessions(&world, "end --person asha").await;
    assert!(text(&refused.stderr).contains("`asha` names nobody"), "{}", text(&refused.stderr));
    for line in ["end", "end --connector dev", "end --all", "end --person dev:x --connector dev --all"] {
        assert_eq!(sessions(&world, line).await.status.code(), Some(2), "{line}");
    }
    assert_eq!((here.program_get("/api/v1/me").await.status, there.program_get("/api/v1/me").await.status), (200, 200));

    let ended = sessions(&world, "end --connector partners --all").await;
    assert_eq!(text(&ended.stderr), "1 session has ended.\n");
    assert_eq!((here.program_get("/api/v1/me").await.status, there.program_get("/api/v1/me").await.status), (200, 401));
}
