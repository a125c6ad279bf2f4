//! What we issue, in the hands of those it is for: an STS that is not ours, the AWS CLI, a shell.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rolegate::access::{Asked, Permit, Policy};
use rolegate::aws::{Credentials, RoleArn};
use rolegate::identity::{Attributes, Authentication, Groups, NameIdQualifiers, SubjectId, VerifiedIdentity};
use rolegate::issuance::federation::{Federation, FederationSettings};
use rolegate::issuance::formats::Context;
use rolegate::issuance::sts::{Addresses, Sts, StsSettings};
use rolegate::issuance::web_identity::{Minter, OneKey};
use rolegate::issuance::{Format, Issuer, Parts, Regions};
use rolegate::saml::key::{KeySize, SigningKey};
use rolegate::saml::write::Signer;
use rolegate::sys::seal::SealingKey;
use rolegate::sys::{Clock, ExposeSecret, SecretString, SystemClock, SystemRng};

use crate::peers::{AwsKeys, Moto, get_caller_identity};
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
    let context = Context { role: &role, region: Some(&region), packed_percent: None };
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
        std::thread::sleep(Duration::from_millis(50));
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

const CATALOG: &str = r#"
[[connector]]
id = "okta"
kind = "saml"
name = "Okta"
metadata_url = "https://okta.example/metadata"

[[account]]
id = "111122223333"
name = "Payments production"

[[role]]
account = "111122223333"
name = "teams/ReadOnly"
max_session = "12h"
session_tags = { team = { value = "payments" } }

[[rule]]
id = "engineers"
when = { groups = "engineering" }
grant = [{ account = "111122223333", role = "teams/ReadOnly" }]
"#;

/// Leave for Asha to use the catalog's one role for two hours.
fn permit(now: Timestamp) -> Permit {
    let catalog = rolegate::catalog::toml::parse_text("catalog.toml", CATALOG).unwrap().catalog;
    let identity = VerifiedIdentity {
        subject: SubjectId { connector: "okta".parse().unwrap(), value: "00u1".to_owned() },
        asserted: None,
        link: None,
        qualifiers: NameIdQualifiers::default(),
        name: Some("Asha".to_owned()),
        email: Some("asha@corp.example".to_owned()),
        groups: Groups::Complete { values: vec!["engineering".to_owned()] },
        attributes: Attributes::default(),
        authentication: Authentication {
            instant: Some(now),
            methods: Vec::new(),
            context_class: None,
            session_index: None,
            session_not_on_or_after: None,
        },
    };
    let (account, role) = ("111122223333".parse().unwrap(), "teams/ReadOnly".parse().unwrap());
    let asked = "2h".parse().unwrap();
    Policy::compile(catalog)
        .permit(&identity, Asked { duration: Some(asked), ..Asked::role(account, role) }, now)
        .unwrap()
}

#[tokio::test]
async fn an_sts_that_is_not_ours_takes_our_assertion_and_its_keys_work() {
    let moto = Moto::start();
    let now = SystemClock.now();
    let key = SigningKey::generate(KeySize::Rsa2048, "broker.example", now, &SystemRng).unwrap();
    let http = rolegate::sys::http::client(Duration::from_secs(2)).unwrap();
    let home = "https://broker.example/".parse().unwrap();
    let key: Arc<dyn Signer> = Arc::new(key);
    let issuer = Issuer::new(Parts {
        entity_id: "https://broker.example/aws/saml-metadata.xml".to_owned(),
        signer: Arc::clone(&key),
        tokens: Minter { issuer: "https://broker.example".to_owned(), keys: Arc::new(OneKey(key)) },
        sts: Sts::new(
            http.clone(),
            StsSettings {
                addresses: Addresses { everywhere: Some(moto.endpoint()), ..Addresses::default() },
                ..StsSettings::default()
            },
            Arc::new(SystemClock),
            Arc::new(SystemRng),
        ),
        federation: Federation::new(http, FederationSettings::new(home)),
        regions: Regions::default(),
        sealing: SealingKey::from_bytes([1; 32]),
        clock: Arc::new(SystemClock),
        rng: Arc::new(SystemRng),
    });
    let issued = issuer.credentials(permit(now), None).await.unwrap();
    assert_eq!(issued.principal_arn(), Some("arn:aws:sts::111122223333:assumed-role/ReadOnly/asha@corp.example"));
    let left = issued.credentials().expiration.duration_since(now).as_secs();
    assert!((7190..=7260).contains(&left), "{left} s of two hours");
    let credentials = issued.credentials();
    let keys = AwsKeys {
        access_key_id: credentials.access_key_id.clone(),
        secret_access_key: credentials.secret_access_key.expose_secret().to_owned(),
        session_token: credentials.session_token.expose_secret().to_owned(),
    };
    // moto remembers such keys by their account only.
    assert_eq!(get_caller_identity(&moto.endpoint(), &keys)["Account"], "111122223333");
}
