//! Commands with the keys of a role, and keys for AWS's own programs.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use super::{Home, Run};
use crate::sandboxed::Sandboxed;
use crate::tools::{aws, python_tool, stdout};

const ROLE: &str = "111122223333/teams/payments/Deploy";

/// `rolegate exec ROLE [--refresh] -- command`, toward the local STS.
fn exec(world: &Sandboxed, home: &Home, more: &[&str], command: &[&str]) -> Command {
    let arguments: Vec<&str> = ["exec", ROLE].iter().chain(more).chain(&["--"]).chain(command).copied().collect();
    let mut run = home.rolegate(&arguments);
    run.env("AWS_ENDPOINT_URL_STS", world.aws.base.as_str()).env("AWS_REGION", "us-east-1").env("AWS_PAGER", "");
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_gets_the_keys_of_the_role_and_nothing_that_would_lead_it_to_others() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.sign_in("lin").await;
    let mut command = exec(&world, &home, &["--region", "eu-north-1"], &["env"]);
    for name in ["AWS_PROFILE", "AWS_SECURITY_TOKEN", "AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_FULL_URI"] {
        command.env(name, "leftover");
    }
    let env = Run::of(command).good();
    assert!(!env.contains("leftover"), "{env}");
    for part in ["AWS_ACCESS_KEY_ID=", "AWS_SESSION_TOKEN=", "AWS_CREDENTIAL_EXPIRATION=", "AWS_REGION=eu-north-1"] {
        assert!(env.lines().any(|line| line.starts_with(part)), "{part} is not in {env}");
    }
    assert!(!env.contains("rga_") && !env.contains("rgr_"), "{env}");
    let token = home.run(&["token"]).good();
    for more in [&[][..], &["--refresh"]] {
        let mut command = exec(&world, &home, more, &["env"]);
        command.env("ROLEGATE_TOKEN", token.trim()).env("ROLEGATE_TOKEN_FILE", "/leftover");
        let env = Run::of(command).good();
        assert!(!env.contains("ROLEGATE_TOKEN") && !env.contains("rga_"), "{env}");
    }
    let aws = python_tool("aws").display().to_string();
    let who = Run::of(exec(&world, &home, &[], &[&aws, "sts", "get-caller-identity", "--output", "text"])).good();
    assert!(who.contains(":assumed-role/Deploy/"), "{who}");
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_command_ends_is_how_exec_ends() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.sign_in("lin").await;
    for more in [&[][..], &["--refresh"]] {
        assert_eq!(Run::of(exec(&world, &home, more, &["sh", "-c", "exit 42"])).code, Some(42));
        let missing = Run::of(exec(&world, &home, more, &["no-such-command"]));
        missing.refused(127, "there is no command `no-such-command`");
        let folder = home.at("").display().to_string();
        Run::of(exec(&world, &home, more, &[&folder])).refused(126, "cannot be run");
    }
    let killed = Run::of(exec(&world, &home, &[], &["sh", "-c", "kill -TERM $$"]));
    assert_eq!(killed.status.signal(), Some(15), "the command is the process");
    assert_eq!(Run::of(exec(&world, &home, &["--refresh"], &["sh", "-c", "kill -TERM $$"])).code, Some(143));
    home.run(&["exec", ROLE]).refused(2, "which command? Write it after --");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_fetches_its_keys_gets_new_ones_and_nothing_of_the_sign_in() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.sign_in("lin").await;
    std::fs::create_dir_all(home.at(".aws")).unwrap();
    let default = "[default]\naws_access_key_id = AKIAWRONG\naws_secret_access_key = wrong\n";
    std::fs::write(home.at(".aws/credentials"), default).unwrap();
    let env = Run::of(exec(&world, &home, &["--refresh"], &["env"])).good();
    assert!(env.contains("AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:"), "{env}");
    assert!(!env.contains("AWS_SECRET_ACCESS_KEY") && !env.contains("rga_") && !env.contains("rgr_"), "{env}");
    let python = python_tool("python").display().to_string();
    let program = "
import botocore.session, os, urllib.request, urllib.error
session = botocore.session.Session()
keys = session.get_credentials()
assert keys.method == 'container-role', keys.method
again = keys._refresh_using
assert again()['access_key']
print(session.create_client('sts').get_caller_identity()['Arn'])
try:
    urllib.request.urlopen(os.environ['AWS_CONTAINER_CREDENTIALS_FULL_URI'])
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
";
    let said = Run::of(exec(&world, &home, &["--refresh"], &[&python, "-c", program])).good();
    assert!(said.contains(":assumed-role/Deploy/"), "{said}");
    assert!(said.contains("401 {\"Code\":\"Unauthorized\""), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_to_stop_reaches_the_command_beside_which_keys_are_served() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.sign_in("lin").await;
    let told = "trap 'echo told; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = exec(&world, &home, &["--refresh"], &["sh", "-c", told]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    stdout(Command::new("kill").arg(child.id().to_string()));
    assert_eq!(lines.next().unwrap().unwrap(), "told");
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_programs_get_their_keys_from_credential_process() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world);
    home.sign_in("lin").await;
    let profile = |role: &str| {
        let program = env!("CARGO_BIN_EXE_rolegate");
        let text = format!(
            "[profile p]\ncredential_process = {program} credential-process --url {} {role}\n",
            world.broker.base
        );
        std::fs::write(home.at("config"), text).unwrap();
    };
    let ask = || {
        let mut command = aws();
        home.surround(&mut command);
        command.args(["--profile", "p", "sts", "get-caller-identity", "--query", "Arn", "--output", "text"]);
        command.env("AWS_CONFIG_FILE", home.at("config")).env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        command
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL_STS", world.aws.base.as_str())
            .env("AWS_PAGER", "");
        Run::of(command)
    };
    profile(ROLE);
    assert!(ask().good().contains(":assumed-role/Deploy/"));
    profile("111122223333/Admin");
    let words = ask().words;
    assert!(words.contains("rolegate: No rule grants it to you.") && words.contains("(support id "), "{words}");

    let run = home.run(&["credential-process", "111122223333/Admin"]);
    assert_eq!((run.code, run.words.lines().count()), (Some(4), 1), "{}", run.words);
}
