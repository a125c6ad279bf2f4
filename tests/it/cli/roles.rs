//! Which roles there are, and which one is meant.

use super::{Home, in_a_terminal};
use crate::sandboxed::Sandboxed;

#[tokio::test(flavor = "multi_thread")]
async fn piped_roles_are_lines_and_with_json_everything_the_server_says() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.sign_in("lin").await;
    let lines = home.run(&["roles"]).good();
    let line = lines.lines().find(|line| line.starts_with("111122223333/teams/payments/Deploy\t")).expect(&lines);
    assert_eq!(line, "111122223333/teams/payments/Deploy\tPayments production\t4h\tShip payments services");
    assert_eq!(home.run(&["roles", "--plain"]).good(), lines);
    let all: serde_json::Value = serde_json::from_str(&home.run(&["roles", "--json"]).good()).unwrap();
    assert_eq!(all.as_array().unwrap().len(), lines.lines().count());
    assert!(all[0]["reasons"].is_array() && all[0]["arn"].is_string(), "{all}");

    let some = home.run(&["roles", "payments", "prod", "deploy"]).good();
    assert_eq!(some.lines().count(), 1);
    home.run(&["roles", "payments-production/deploj"])
        .refused(4, "no role matches `payments-production/deploj`; run `rolegate roles` to see yours; ");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_mean_one_role_will_do_and_several_are_not_guessed() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.sign_in("lin").await;
    for words in [
        &["payments production/deploy"][..],
        &["payments", "prod", "deploy"],
        &["Payments production/teams/payments/Deploy"],
    ] {
        let arguments: Vec<&str> = ["creds", "--format", "json"].iter().chain(words).copied().collect();
        let keys = home.run(&arguments).good();
        assert!(keys.contains("\"RoleArn\": \"arn:aws:iam::111122223333:role/teams/payments/Deploy\""), "{keys}");
    }
    home.run(&["creds", "payments", "prod"]).refused(2, "`payments prod` matches ");
    home.run(&["credential-process", "payments", "prod"]).refused(2, "name one of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_terminal_three_letters_and_enter_are_enough() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.sign_in("lin").await;
    let run = in_a_terminal(&home, &["roles"], &[("Role: ", "prod depl"), ("1 of ", "\r")], &[]);
    assert_eq!(run.code, Some(0), "{}{}", run.data, run.words);
    assert!(run.data.contains("\x1b[1m> Payments production ") && run.data.contains("  1 of 1"), "{:?}", run.data);
    let after = run.data.rsplit("\x1b[J").next().unwrap();
    assert!(after.starts_with("111122223333/teams/payments/Deploy\r\n"), "{after:?}");
    assert!(after.contains("rolegate exec 111122223333/teams/payments/Deploy -- aws"), "{after:?}");

    // `eval "$(rolegate creds)"`: asked on the terminal, answered into the pipe.
    let out = home.at("keys");
    let apart = [("TERMINAL_STDOUT", out.to_str().unwrap()), ("NO_COLOR", "1")];
    let run = in_a_terminal(&home, &["creds", "payments", "prod"], &[("Role: ", "\x1b[B"), ("> ", "\r")], &apart);
    assert_eq!(run.code, Some(0), "{}{}", run.data, run.words);
    assert!(!run.data.contains("\x1b[1m") && !run.data.contains("AWS_SECRET"), "{:?}", run.data);
    assert!(std::fs::read_to_string(out).unwrap().contains("export AWS_SECRET_ACCESS_KEY="));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_without_choosing_gets_nothing() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.sign_in("lin").await;
    for key in ["\x03", "\x1b"] {
        let run = in_a_terminal(&home, &["creds"], &[("Role: ", key)], &[]);
        assert_eq!(run.code, Some(130), "{}{}", run.data, run.words);
        assert!(!run.data.contains("AWS_"), "{:?}", run.data);
    }
}
