//! Keys on stdout, and links to the console.

use std::process::Command;

use serde_json::json;

use super::{Home, Run, script};
use crate::sandboxed::Sandboxed;
use crate::tools::{aws, stdout, system_tool};

const ROLE: &str = "111122223333/teams/payments/Deploy";

/// Who the local STS says these keys are, asked by a shell that took them.
fn caller(world: &Sandboxed, lines: &str) -> String {
    let ask = format!("{lines}\n\"$AWS_TO_RUN\" sts get-caller-identity --query Arn --output text");
    let aws = aws();
    let mut command = Command::new(system_tool("bash"));
    command.args(["-c", &ask]).env("AWS_TO_RUN", aws.get_program());
    for (name, value) in aws.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    stdout(command.env("AWS_ENDPOINT_URL_STS", world.aws.base.as_str()))
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_in_every_format_and_the_shell_takes_them() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.sign_in("lin").await;
    for (format, part) in [
        ("json", "\"RoleArn\": \"arn:aws:iam::111122223333:role/teams/payments/Deploy\""),
        ("process", "\"Version\": 1"),
        ("env", "\nexport AWS_SESSION_TOKEN='"),
        ("fish", "\nset -gx AWS_SESSION_TOKEN '"),
        ("powershell", "\n$Env:AWS_SESSION_TOKEN = '"),
        ("cmd", "\nset \"AWS_SESSION_TOKEN="),
        ("ini", "[111122223333-Deploy]\n"),
    ] {
        let run = home.run(&["creds", ROLE, "--format", format]);
        assert!(run.words.is_empty(), "{}", run.words);
        let text = run.good();
        assert!(text.contains(part), "{format}: {text}");
    }
    let env = home.run(&["creds", ROLE]).good();
    assert!(caller(&world, &env).contains(":assumed-role/Deploy/"));
    home.run(&["creds", ROLE, "--format", "xml"]).refused(2, "[possible values: json, process, env");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_can_be_shorter_narrower_newer_and_for_another_region() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.sign_in("lin").await;
    let policy = home.at("policy.json");
    std::fs::write(&policy, "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [{\"Effect\": \"Allow\", \"Action\": \"s3:GetObject\", \"Resource\": \"*\"}]\n}\n").unwrap();
    let arguments =
        ["creds", ROLE, "--duration", "30m", "--region", "eu-north-1", "--policy", policy.to_str().unwrap()];
    let arn = ["--policy-arn", "arn:aws:iam::aws:policy/ReadOnlyAccess", "--fresh"];
    let env = home.run(&arguments.iter().chain(&arn).copied().collect::<Vec<_>>()).good();
    assert!(env.contains("export AWS_REGION='eu-north-1'\n"), "{env}");
    let sent = world.aws.wire.exchanges().into_iter().rev().find(|call| call.sent.contains("AssumeRole")).unwrap().sent;
    let sent = url::form_urlencoded::parse(sent.trim().as_bytes()).into_owned().collect::<Vec<_>>();
    let field = |name: &str| sent.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!(field("DurationSeconds"), Some("1800"));
    assert_eq!(field("PolicyArns.member.1.arn"), Some("arn:aws:iam::aws:policy/ReadOnlyAccess"));
    assert!(field("Policy").is_some_and(|policy| policy.contains("2012-10-17")), "{sent:?}");
    let limits =
        ["--read-only", "--region-lock", "eu-west-1", "--region-lock", "us-east-1", "--network", "here", "--fresh"];
    home.run(&["creds", ROLE].iter().chain(&limits).copied().collect::<Vec<_>>()).good();
    let limited = json!({ "asked": ["only reading", "only in eu-west-1 and us-east-1", "only from the address it is asked for from"] });
    let intents = || async { world.broker.events().await.into_iter().filter(|(kind, _)| kind == "issue.intended") };
    assert_eq!(intents().await.next_back().unwrap().1["scope_down"], limited);
    home.run(&["console", ROLE, "--print", "--read-only"]).good();
    let opened = intents().await.next_back().unwrap().1;
    assert_eq!(
        (&opened["scope_down"], &opened["delivery"]),
        (&json!({ "asked": ["only reading"] }), &json!("api:console"))
    );
    home.run(&["creds", ROLE, "--region-lock", "moon"]).refused(1, "`moon` is not a valid region");
    let first = home.run(&["creds", ROLE]).good();
    assert_ne!(home.run(&["creds", ROLE, "--fresh"]).good(), first);
    std::fs::write(&policy, "{").unwrap();
    home.run(&["creds", ROLE, "--policy", policy.to_str().unwrap()]).refused(2, "policy.json is not JSON");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_is_opened_or_its_link_printed() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.sign_in("lin").await;
    let link = home.run(&["console", ROLE, "--print"]).good();
    let page = crate::browser_client::Browser::new().get(link.trim()).await;
    assert_eq!(page.status, 200, "{}", page.body);

    script(
        &home.at("browser"),
        "#!/bin/sh\necho \"$1\" > \"$HOME/opened.new\" && mv \"$HOME/opened.new\" \"$HOME/opened\"\n",
    );
    let mut command = home.rolegate(&["console", ROLE]);
    command.env("BROWSER", home.at("browser"));
    let run = Run::of(command);
    assert_eq!(run.words, format!("The console of {ROLE} opens in your browser.\n"));
    assert!(run.good().is_empty(), "the link is a secret");
    while !home.at("opened").exists() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(std::fs::read_to_string(home.at("opened")).unwrap().starts_with(world.aws.base.as_str()));

    let mut elsewhere = home.rolegate(&["console", ROLE]);
    elsewhere.env("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22");
    Run::of(elsewhere).refused(1, "there is no browser to open here; --print prints the link");
    let run = home.run(&["console", ROLE, "--print", "--destination", "https://evil.example/"]);
    run.refused(1, "Only pages of the AWS Management Console can be opened.");
}
