//! Tokens on the way: renewed, given, refused.

use rolegate::access::Scope;

use super::{Home, Run};
use crate::programs::token;
use crate::sandboxed::{Fault, Sandboxed};

const ROLE: &str = "111122223333/ReadOnly";

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_has_ended_is_renewed_and_nobody_notices() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.sign_in("lin").await;
    let first = home.run(&["token"]).good();
    assert!(first.starts_with("rga_") && first.len() == 54, "{first}");
    assert_eq!(home.run(&["token"]).good(), first, "one that lasts is given again");
    home.age();
    let second = home.run(&["token"]).good();
    assert_ne!(second, first);
    // The server's clock runs ahead of ours: the token counts here and not there.
    world.clock.advance_secs(2 * 3600);
    home.run(&["whoami"]).good();
    assert_ne!(home.run(&["token"]).good(), second);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_run_at_the_same_time_renew_once() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.sign_in("lin").await;
    home.age();
    let before = world.broker.head().await.seq;
    let all: Vec<_> = (0..8)
        .map(|_| home.rolegate(&["credential-process", ROLE]))
        .map(|command| std::thread::spawn(move || Run::of(command)))
        .collect();
    for run in all {
        let keys: serde_json::Value = serde_json::from_str(&run.join().unwrap().good()).unwrap();
        assert_eq!(keys["Version"], 1);
    }
    let events = world.broker.events_after(before).await;
    let renewed = events.iter().filter(|(kind, _)| kind == "token.issued").count();
    assert!(renewed <= 1, "{events:?}");
    assert!(events.iter().all(|(kind, _)| kind != "token.refused" && kind != "token.revoked"), "{events:?}");
    home.run(&["whoami"]).good();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_is_over_is_told_with_what_to_do() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    let over = format!("your sign-in at {} has ended; run `rolegate login`", world.broker.base);
    home.sign_in("lin").await;
    world.clock.advance_secs(30 * 24 * 3600);
    home.run(&["whoami"]).refused(3, &over);
    home.sign_in("lin").await;
    let mut tx = world.broker.app.ground.store.begin().await.unwrap();
    for live in world.broker.app.ground.store.all_authorizations().await.unwrap() {
        rolegate::store::tokens::remove(&mut tx, &live.id).await.unwrap();
    }
    tx.commit().await.unwrap();
    home.run(&["roles"]).refused(3, &over);
    let run = home.run(&["credential-process", ROLE]);
    assert_eq!((run.code, run.words.lines().count()), (Some(3), 1), "{}", run.words);
    assert!(run.words.starts_with(&format!("rolegate: {over}")), "{}", run.words);
    home.run(&["exec", ROLE, "--", "true"]).refused(3, &over);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_environment_wins_and_is_never_renewed() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    let mateo = world.sign_in_as("mateo").await;
    let given = token(&world, &mateo, Scope::FULL).await;
    home.sign_in("lin").await;
    let with = |name: &str, value: &str| {
        let mut command = home.rolegate(&["whoami"]);
        command.env(name, value);
        Run::of(command)
    };
    let who = with("ROLEGATE_TOKEN", given.expose_secret()).good();
    assert!(who.starts_with("Mateo ") && who.contains(" by ROLEGATE_TOKEN,"), "{who}");
    std::fs::write(home.at("token"), format!("{}\n", given.expose_secret())).unwrap();
    let file = home.at("token").display().to_string();
    assert!(with("ROLEGATE_TOKEN_FILE", &file).good().starts_with("Mateo "));

    with("ROLEGATE_TOKEN", "hunter2").refused(3, "ROLEGATE_TOKEN holds no token of a Rolegate");
    with("ROLEGATE_TOKEN_FILE", "/no/such/file").refused(3, "the token file /no/such/file cannot be read");
    let mut tx = world.broker.app.ground.store.begin().await.unwrap();
    for live in world.broker.app.ground.store.all_authorizations().await.unwrap() {
        rolegate::store::tokens::remove(&mut tx, &live.id).await.unwrap();
    }
    tx.commit().await.unwrap();
    let run = with("ROLEGATE_TOKEN", given.expose_secret());
    assert!(run.words.contains("(support id "), "{}", run.words);
    run.refused(3, "ROLEGATE_TOKEN was refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_tokens_that_others_could_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.sign_in("lin").await;
    std::fs::set_permissions(home.sign_in_file(), std::fs::Permissions::from_mode(0o644)).unwrap();
    home.run(&["whoami"]).refused(3, "can be read by others than you, and holds tokens; run `rolegate logout`");
    assert_eq!(home.run(&["logout"]).code, Some(0));
    assert!(world.broker.app.ground.store.all_authorizations().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_fail_has_its_status_and_its_words() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.sign_in("zoe").await;
    home.run(&["creds", "111122223333/NoSuchRole"]).refused(4, "No rule grants it to you.");
    home.run(&["creds", "no-such-role"])
        .refused(4, "no role matches `no-such-role`; run `rolegate roles` to see yours");
    home.run(&["creds"]).refused(2, "which role? Name one; `rolegate roles` lists yours");
    home.run(&["creds", "x", "--duration", "1s"]).refused(2, "15 minutes to 36 hours");
    home.run(&["creds", "x", "--policy", "/no/such/file"]).refused(2, "the policy /no/such/file cannot be read");
    home.run(&["creds", "LegacyReporting"]).refused(1, "(support id ");
    world.aws.wire.spoil(Fault::Answers("/", 503, "<ErrorResponse/>"));
    home.run(&["creds", "data lake", "DataScientist", "--fresh"]).refused(5, "Please try again in a minute");
    let gone = Home::new(&world);
    let mut nobody = gone.rolegate(&["roles"]);
    nobody.env("ROLEGATE_URL", "http://127.0.0.1:9").env("ROLEGATE_TOKEN", home.run(&["token"]).good().trim());
    Run::of(nobody).refused(5, "http://127.0.0.1:9 cannot be reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_asks_for_another_sign_in_is_told_with_the_link() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.sign_in("mateo").await;
    let link = format!("{}/go?account=127790045613&role=SecurityResponder", world.broker.base);
    home.run(&["creds", "127790045613/SecurityResponder"]).refused(4, &link);
}
