//! SDKs that run for hours: credentials and tokens end under them and are renewed, and nobody notices.

use serde_json::{Value, json};

use super::cli::{Way, sign_in};
use super::clients::{Home, Talk, bad, good, json as run};
use super::{DEPLOY, PAYMENTS, token};
use crate::sandboxed::Sandboxed;
use rolegate::access::Scope;

const ARN: &str = "arn:aws:sts::111122223333:assumed-role/Deploy/lin.wei@larkspur.example";
pub const LINE: &str = "/api/v1/container/111122223333/teams/payments/Deploy";

/// A running program is asked who it is, every twenty minutes for three hours.
pub async fn three_hours(world: &Sandboxed, home: &Home, mut program: Talk) {
    let mut keys: Vec<Value> = Vec::new();
    for round in 0..9 {
        if round > 0 {
            world.clock.advance_secs(20 * 60);
            home.turn_clock(round * 20 * 60);
        }
        let answer = program.ask();
        assert_eq!(answer["arn"], ARN, "after {} minutes: {answer}", round * 20);
        keys.push(answer["key"].clone());
    }
    keys.dedup();
    assert!((3..=6).contains(&keys.len()), "credentials live for an hour: {keys:?}");
    program.done();
}

/// What makes a program take its credentials from the container endpoint, with the token in a file.
pub async fn by_container(world: &Sandboxed, home: &Home, command: &mut std::process::Command) {
    let lin = world.sign_in_as("lin").await;
    let token = token(world, &lin, Scope::FULL).await;
    let file = home.write("token", &format!("Bearer {}", token.expose_secret()));
    command
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", world.broker.at(LINE))
        .env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file);
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_renews_what_it_has_by_the_container_endpoint() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world, PAYMENTS, DEPLOY);
    let mut command = home.boto();
    by_container(&world, &home, &mut command).await;
    three_hours(&world, &home, Talk::start(command)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_renews_token_and_credentials_of_a_sign_in() {
    let world = Sandboxed::start().await;
    let mut lin = world.sign_in_as("lin").await;
    let home = Home::new(&world, PAYMENTS, DEPLOY);
    sign_in(&home, &mut lin, Way::SameComputer).await;
    let mut command = home.boto();
    command.env("AWS_PROFILE", "sso");
    three_hours(&world, &home, Talk::start(command)).await;
    let events = world.broker.events().await;
    let renewed =
        events.iter().filter(|(kind, body)| kind == "token.issued" && body["grant"] == "refresh_token").count();
    assert!((2..=5).contains(&renewed), "{renewed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_fifteen_minutes_rolls_over_under_a_running_client() {
    let world = Sandboxed::start().await;
    world
        .change_catalog(
            "max_session = \"1h\"\n\n[[rule]]\nid = \"on-call\"",
            "max_session = \"15m\"\n\n[[rule]]\nid = \"on-call\"",
        )
        .await;
    let home = Home::new(&world, PAYMENTS, "PaymentsOperator");
    let lin = world.sign_in_as("lin").await;
    let token = token(&world, &lin, Scope::FULL).await;
    let short = |command: &mut std::process::Command| {
        command
            .env(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                world.broker.at("/api/v1/container/111122223333/PaymentsOperator"),
            )
            .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", format!("Bearer {}", token.expose_secret()));
    };
    let (mut boto, mut js) = (home.boto(), home.js("http"));
    short(&mut boto);
    short(&mut js);
    let (mut boto, mut js) = (Talk::start(boto), Talk::start(js));
    let mut seen: [Vec<Value>; 2] = Default::default();
    for round in 0..8 {
        if round > 0 {
            world.clock.advance_secs(6 * 60);
            home.turn_clock(round * 6 * 60);
        }
        for (program, keys) in [&mut boto, &mut js].into_iter().zip(&mut seen) {
            let answer = program.ask();
            assert!(answer["arn"].as_str().is_some_and(|arn| arn.contains("/PaymentsOperator/")), "{answer}");
            keys.push(answer["key"].clone());
        }
    }
    for keys in &mut seen {
        keys.dedup();
        assert!(keys.len() >= 3, "42 minutes of 15 each: {keys:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_for_javascript_renews_what_it_has_by_the_container_endpoint_and_by_a_sign_in() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world, PAYMENTS, DEPLOY);
    let mut command = home.js("http");
    by_container(&world, &home, &mut command).await;
    three_hours(&world, &home, Talk::start(command)).await;

    // On another day.
    let world = Sandboxed::start().await;
    let mut lin = world.sign_in_as("lin").await;
    let home = Home::new(&world, PAYMENTS, DEPLOY);
    sign_in(&home, &mut lin, Way::SameComputer).await;
    let mut command = home.js("sso");
    command.env("AWS_PROFILE", "sso");
    three_hours(&world, &home, Talk::start(command)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_curl_is_a_credential_process() {
    let world = Sandboxed::start().await;
    let lin = world.sign_in_as("lin").await;
    let home = Home::new(&world, PAYMENTS, DEPLOY);
    let token = token(&world, &lin, Scope::FULL).await;
    let header = home.write("header", &format!("Authorization: Bearer {}\n", token.expose_secret()));
    let url = world.broker.at("/api/v1/roles/111122223333/teams/payments/Deploy/credentials?format=process");
    home.append_config(&format!(
        "[profile process]\nregion = eu-west-1\ncredential_process = curl -sS --fail-with-body -X POST -H @{} {url}\n",
        header.display()
    ));
    for (mut command, name) in [(home.boto(), "boto3"), (home.js("process"), "JavaScript")] {
        command.env("AWS_PROFILE", "process");
        let mut program = Talk::start(command);
        assert_eq!(program.ask()["arn"], ARN, "{name}");
        program.done();
    }
    let mut command = home.aws2();
    command.args(["sts", "get-caller-identity", "--profile", "process", "--output", "json"]);
    assert_eq!(run(command)["Arn"], ARN);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_reaches_the_person_in_words_that_help() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world, PAYMENTS, DEPLOY);
    let ask = |mut command: std::process::Command, token: &str| {
        command
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", world.broker.at(LINE))
            .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", token);
        Talk::start(command).ask()
    };
    let answer = ask(home.boto(), "Bearer rgp_mistyped");
    let said = answer["error"].as_str().unwrap();
    assert!(
        said.contains("Received non 200 response 401 from container metadata: {\"Code\":\"TokenRefused\""),
        "{said}"
    );
    assert!(said.contains("It is mistyped, expired or revoked."), "{said}");
    let answer = ask(home.js("http"), "Bearer rgp_mistyped");
    assert_eq!(answer["error"], "CredentialsProviderError: Server responded with status: 401");
    assert_eq!(answer["Code"], "TokenRefused", "{answer}");
    assert!(answer["Message"].as_str().unwrap().starts_with("It is mistyped, expired or revoked."), "{answer}");
    let answer = ask(home.boto(), "Bearer rgp_mistyped\n");
    assert_eq!(answer["error"], "ValueError: Auth token value is not a legal header value", "a line break at its end");
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_sso_util_signs_in_lists_and_gets_credentials() {
    let world = Sandboxed::start().await;
    let mut lin = world.sign_in_as("lin").await;
    let home = Home::new(&world, PAYMENTS, DEPLOY);
    let (start, region) = ("https://rolegate.awsapps.com/start", "us-east-1");
    let mut command = home.sso_util();
    command.args(["login", start, region]);
    let mut login = Talk::start(command);
    let url = home.opened(&mut login).await;
    let page = lin.browser.get(&url).await;
    let done = lin.browser.submit(&page.form_to("/device").set("compared", "yes").set("decision", "approve")).await;
    assert!(done.body.contains("Device approved"), "{}", done.body);
    login.done();

    let mut command = home.sso_util();
    command.args(["roles", "--sso-start-url", start, "--sso-region", region, "--account", PAYMENTS]);
    let roles = good(command);
    assert!(roles.contains(PAYMENTS) && roles.contains(DEPLOY), "{roles}");
    let mut command = home.sso_util();
    command.args(["credential-process", "--sso-start-url", start, "--sso-region", region]);
    command.args(["--account-id", PAYMENTS, "--role-name", DEPLOY]);
    let credentials = run(command);
    assert_eq!((&credentials["Version"], credentials["AccessKeyId"].is_string()), (&json!(1), true), "{credentials}");
    let mut command = home.sso_util();
    command.args(["credential-process", "--sso-start-url", start, "--sso-region", region]);
    command.args(["--account-id", PAYMENTS, "--role-name", "Admin"]);
    let said = bad(command);
    assert!(said.contains("No rule grants it to you."), "{said}");
}
