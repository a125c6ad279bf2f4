//! Credentials as we write them down, read by those they are written for.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use rolegate::aws::{Credentials, RoleArn};
use rolegate::issuance::Format;
use rolegate::issuance::formats::Context;
use rolegate::sys::{ExposeSecret, SecretString};

use crate::tools;

const TOKEN: &str = "IQoJb3JpZ2luX2Vj/+token/with+every/sign==";

fn written(format: Format) -> (String, String) {
    let credentials = Credentials {
        access_key_id: "ASIAEXAMPLEEXAMPLE12".to_owned(),
        secret_access_key: SecretString::from("s3cr/et+key/with/every+sign="),
        session_token: SecretString::from(TOKEN),
        expiration: "2099-01-02T03:04:05Z".parse().unwrap(),
    };
    let role: RoleArn = "arn:aws:iam::111122223333:role/teams/Read=Only".parse().unwrap();
    let region = "eu-west-1".parse().unwrap();
    let context = Context { role: &role, region: Some(&region) };
    (format.render(&credentials, &context).expose_secret().to_owned(), context.profile())
}

/// Has the AWS CLI call something, and gives back the head of the request it signed.
fn signed_by(cli: &mut Command) -> String {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", server.local_addr().unwrap());
    cli.args(["sts", "get-caller-identity", "--endpoint-url", &endpoint, "--cli-read-timeout", "20"]);
    let mut running = cli.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    server.set_nonblocking(true).unwrap();
    for _ in 0..600 {
        if let Ok((mut stream, _)) = server.accept() {
            stream.set_nonblocking(false).unwrap();
            let mut head = Vec::new();
            let mut byte = [0_u8; 1];
            while !head.ends_with(b"\r\n\r\n") && head.len() < 65_536 && stream.read(&mut byte).unwrap() == 1 {
                head.push(byte[0]);
            }
            let body = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                        <GetCallerIdentityResult><Arn>arn</Arn><UserId>id</UserId><Account>1</Account>\
                        </GetCallerIdentityResult></GetCallerIdentityResponse>";
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).unwrap();
            running.wait().unwrap();
            return String::from_utf8(head).unwrap();
        }
        if running.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let _ = running.kill();
    let output = running.wait_with_output().unwrap();
    panic!("the AWS CLI called nobody: {}", String::from_utf8_lossy(&output.stderr));
}

fn assert_ours(head: &str) {
    assert!(head.contains("Credential=ASIAEXAMPLEEXAMPLE12/"), "{head}");
    assert!(head.contains(&format!("X-Amz-Security-Token: {TOKEN}\r\n")), "{head}");
}

#[test]
fn the_aws_cli_reads_a_profile_from_a_credentials_file() {
    let folder = tempfile::tempdir().unwrap();
    let (text, profile) = written(Format::Ini);
    let file = folder.path().join("credentials");
    std::fs::write(&file, text).unwrap();
    let head = signed_by(tools::aws().env("AWS_SHARED_CREDENTIALS_FILE", &file).args(["--profile", &profile]));
    assert_ours(&head);
}

#[test]
fn the_aws_cli_takes_what_credential_process_prints() {
    let folder = tempfile::tempdir().unwrap();
    let printed = folder.path().join("printed.json");
    std::fs::write(&printed, written(Format::Process).0).unwrap();
    let config = folder.path().join("config");
    let cat = tools::system_tool("cat");
    let section = format!("[profile broker]\ncredential_process = \"{}\" \"{}\"\n", cat.display(), printed.display());
    std::fs::write(&config, section).unwrap();
    assert_ours(&signed_by(tools::aws().env("AWS_CONFIG_FILE", &config).args(["--profile", "broker"])));
}

#[test]
fn a_shell_exports_what_the_aws_cli_uses_and_forgets_the_old_token() {
    let text = written(Format::Env).0;
    for shell in ["sh", "bash"] {
        let script = format!("{text}exec env");
        let output = Command::new(tools::system_tool(shell))
            .arg("-euc")
            .arg(script)
            .env("AWS_SECURITY_TOKEN", "stale")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let environment = String::from_utf8(output.stdout).unwrap();
        assert!(!environment.contains("AWS_SECURITY_TOKEN"), "{environment}");
        let exported = environment.lines().filter_map(|line| line.split_once('='));
        let exported: Vec<_> = exported.filter(|(name, _)| name.starts_with("AWS_")).collect();
        assert!(exported.contains(&("AWS_SESSION_TOKEN", TOKEN)), "{environment}");
        assert!(exported.contains(&("AWS_DEFAULT_REGION", "eu-west-1")), "{environment}");
        assert_ours(&signed_by(tools::aws().envs(exported)));
    }
}
