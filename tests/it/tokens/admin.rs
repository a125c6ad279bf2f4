//! `rolegate tokens` and what `rolegate sessions end` takes along, from another process beside a running broker.

use std::process::Output;

use rolegate::store::tokens::AuthorizationKind;
use rolegate::sys::BearerKind;
use serde_json::{Value, json};

use super::{Held, authorization_of, hold, recorded, terminal};
use crate::sandboxed::{Person, Sandboxed};
use crate::tools::rolegate;

async fn run(world: &Sandboxed, line: &str) -> Output {
    let data = world.broker.folder();
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let run = move || {
        rolegate().args(words).arg("--data-dir").arg(&data).env("USER", "root").env_remove("SUDO_USER").output()
    };
    tokio::task::spawn_blocking(run).await.unwrap().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn personal(world: &Sandboxed, person: &Person, name: &str) -> Held {
    let mut authorization = authorization_of(world, person, AuthorizationKind::Personal).await;
    (authorization.label, authorization.client, authorization.session) = (name.to_owned(), String::new(), None);
    hold(world, &authorization, BearerKind::Personal).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_sees_what_programs_hold_and_revokes_it_at_the_next_request() {
    let world = Sandboxed::start().await;
    let (asha, omar) = (world.sign_in_as("asha").await, world.sign_in_as("omar").await);
    let (cron, backup) = (personal(&world, &asha, "cron").await, personal(&world, &asha, "backup").await);
    let laptop = terminal(&world, &omar).await;
    assert!(cron.counts(&world).await);

    let listed = run(&world, "tokens list --json").await;
    assert_eq!(text(&listed.stderr), "3 tokens.\n");
    let all: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
    let cron_row = all.iter().find(|row| row["label"] == "cron").unwrap();
    assert_eq!((&cron_row["kind"], &cron_row["id"]), (&json!("personal"), &json!(cron.id)));
    assert_eq!((&cron_row["last_used_from"], &cron_row["roles"]), (&json!("127.0.0.1"), &Value::Null));
    for held in [&cron, &backup, &laptop] {
        assert!(!text(&listed.stdout).contains(&held.text), "what is printed opens nothing");
    }
    let table = text(&run(&world, "tokens list --person omar.haddad@larkspur.example").await.stdout);
    assert!(table.starts_with("ID ") && table.lines().count() == 2 && table.contains("sign-in"), "{table}");

    let seq = world.broker.head().await.seq;
    let revoked = run(&world, &format!("tokens revoke --token {}", cron.id)).await;
    assert_eq!(text(&revoked.stderr), "1 token was revoked.\n");
    assert_eq!(text(&revoked.stdout), "link:people:asha.raman@larkspur.example  cron\n");
    assert_eq!((cron.counts(&world).await, backup.counts(&world).await), (false, true));
    let event = &recorded(&world, seq, "token.revoked").await[0];
    assert_eq!((&event["cause"], &event["by"]), (&json!("revoked-by-admin"), &json!("command line: root")));

    let revoked = run(&world, "tokens revoke --person ASHA.Raman@larkspur.example").await;
    assert_eq!(text(&revoked.stderr), "1 token was revoked.\n");
    assert_eq!((backup.counts(&world).await, laptop.counts(&world).await), (false, true));
    let again = run(&world, "tokens revoke --person asha.raman@larkspur.example").await;
    assert_eq!((again.status.code(), text(&again.stderr)), (Some(0), "There was no token to revoke.\n".to_owned()));

    let revoked = run(&world, "tokens revoke --connector dev --all").await;
    assert_eq!(text(&revoked.stderr), "1 token was revoked.\n");
    assert!(!laptop.counts(&world).await);
    assert_eq!(text(&run(&world, "tokens list").await.stderr), "No token.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_meant_must_be_named_and_a_token_itself_is_no_name() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let held = personal(&world, &asha, "cron").await;
    for line in ["revoke", "revoke --connector dev", "revoke --all", "revoke --token x --person dev:y"] {
        assert_eq!(run(&world, &format!("tokens {line}")).await.status.code(), Some(2), "{line}");
    }
    let refused = run(&world, "tokens revoke --token 0123").await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("there is no token of that id; `rolegate tokens list` shows them"));
    let refused = run(&world, &format!("tokens revoke --token {}", held.text)).await;
    assert!(refused.status.code() == Some(1) && !text(&refused.stderr).contains(&held.text));
    let refused = run(&world, "tokens revoke --person asha").await;
    assert!(text(&refused.stderr).contains("`asha` names nobody"), "{}", text(&refused.stderr));
    assert!(held.counts(&world).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn ending_sessions_from_outside_ends_what_came_of_them_unless_the_settings_say_otherwise() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let (laptop, cron) = (terminal(&world, &asha).await, personal(&world, &asha, "cron").await);
    let person = "sessions end --person asha.raman@larkspur.example";
    let kept = run(&world, &format!("{person} --set tokens.end_at_sign_out=false")).await;
    let left = "see `rolegate tokens list`, and `rolegate tokens revoke`.\n";
    assert_eq!(text(&kept.stderr), format!("1 session has ended.\n2 tokens still count: {left}"));
    assert!(laptop.counts(&world).await);

    let asha = world.sign_in_as("asha").await;
    let desk = terminal(&world, &asha).await;
    let seq = world.broker.head().await.seq;
    let ended = run(&world, person).await;
    let said = "1 session has ended.\nSo has what a program was allowed in it.\n2 tokens still count: ";
    assert_eq!(text(&ended.stderr), format!("{said}{left}"));
    assert!(!desk.counts(&world).await);
    let event = &recorded(&world, seq, "token.revoked").await[0];
    assert_eq!((&event["cause"], &event["by"]), (&json!("ended-by-admin"), &json!("command line: root")));
    assert!(cron.counts(&world).await, "a personal token is the person's, not the session's");
}
