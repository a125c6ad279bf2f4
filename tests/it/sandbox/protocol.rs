//! The query protocol, and who holds the credentials.

use super::*;
use crate::peers::{AwsKeys, get_caller_identity};
use crate::tools;

const V: (&str, &str) = ("Version", "2011-06-15");

impl Answer {
    pub(super) fn keys(&self) -> AwsKeys {
        AwsKeys {
            access_key_id: self.get("AccessKeyId"),
            secret_access_key: self.get("SecretAccessKey"),
            session_token: self.get("SessionToken"),
        }
    }
}

#[actix_web::test]
async fn an_unknown_operation_or_version_is_a_fault_of_its_own_namespace() {
    let aws = Running::start();
    for (params, message) in [
        (vec![("Action", "Dance"), V], "Could not find operation Dance for version 2011-06-15"),
        (vec![("Action", ""), V], "Could not find operation  for version 2011-06-15"),
        (
            vec![("Action", "GetCallerIdentity")],
            "Could not find operation GetCallerIdentity for version NO_VERSION_SPECIFIED",
        ),
        (vec![("Action", "Dance"), ("Action", "GetCallerIdentity"), V], "Could not find operation Dance for version"),
    ] {
        let answer = aws.call(&params).await;
        answer.is_refused(400, "InvalidAction", message);
        assert!(answer.body.contains("http://webservices.amazon.com/AWSFault/2005-15-09"), "{}", answer.body);
    }
}

#[actix_web::test]
async fn what_is_no_call_is_sent_away_and_browsers_are_shown_around() {
    let aws = Running::start();
    let get = async |path: &str, accept: &str| {
        Answer::of(aws.client.get(aws.at(path)).header("accept", accept).send().await.unwrap()).await
    };
    let answer = get("/?a=b", "*/*").await;
    assert_eq!((answer.status, answer.headers["location"].to_str().unwrap()), (302, "https://aws.amazon.com/iam?a=b"));
    let answer = aws.call(&[V]).await;
    assert_eq!((answer.status, answer.headers["location"].to_str().unwrap()), (302, "https://aws.amazon.com/iam"));
    let json = aws.client.post(aws.base.clone()).header("content-type", "application/json").body("{}");
    assert_eq!(json.send().await.unwrap().status(), 302);
    let answer = get("/elsewhere", "*/*").await;
    assert_eq!((answer.status, answer.body.trim()), (404, "<UnknownOperationException/>"));
    assert!(get("/elsewhere", "text/html").await.body.contains("There is no such page"));
    let landing = get("/", "text/html").await;
    assert_eq!(landing.status, 200);
    assert!(landing.body.contains(&format!("AWS_ENDPOINT_URL_STS={}", aws.base.as_str().trim_end_matches('/'))));
    for person in World::larkspur().people() {
        assert!(landing.body.contains(&person.story), "{}", person.id);
    }
}

#[actix_web::test]
async fn a_call_may_come_by_get_and_every_mistake_is_reported_at_once() {
    let aws = Running::start();
    let url = aws.at("/?Action=AssumeRoleWithSAML&Version=2011-06-15&RoleArn=short");
    let answer = Answer::of(aws.client.get(url).send().await.unwrap()).await;
    answer.is_refused(400, "ValidationError", "3 validation errors detected: ");
    let long = "A".repeat(100_001);
    let answer = aws.assume_with(&Assertion::default(), &[("SAMLAssertion", &long)]).await;
    answer.is_refused(
        400,
        "ValidationError",
        "1 validation error detected: Value at 'sAMLAssertion' failed to satisfy constraint: Member must have length \
         less than or equal to 100000",
    );
    let not_an_arn = "this is certainly no ARN at all";
    aws.assume_with(&Assertion::default(), &[("RoleArn", not_an_arn)]).await.is_refused(
        400,
        "ValidationError",
        "this is certainly no ARN at all is invalid",
    );
}

#[actix_web::test]
async fn a_body_of_more_than_ten_million_bytes_is_too_large() {
    let aws = Running::start();
    let form = |size: usize| {
        let body = format!("Action=Dance&x={}", "y".repeat(size - 15));
        aws.client.post(aws.base.clone()).header("content-type", "application/x-www-form-urlencoded").body(body)
    };
    assert_eq!(form(10_000_000).send().await.unwrap().status(), 400);
    let refused = form(10_000_001).send().await;
    // The server may hang up before everything is sent, which is an answer too.
    assert!(refused.is_err() || refused.is_ok_and(|response| response.status() == 413));
}

#[actix_web::test]
async fn the_real_command_line_is_told_whose_credentials_it_holds() {
    let clock = Arc::new(SystemClock);
    let folder = tempfile::tempdir().unwrap();
    let keep = |config: &mut SandboxConfig| config.data = Some(folder.path().to_owned());
    let base = serve(clock.clone(), keep);
    let manual = Arc::new(ManualClock::at(clock.now()));
    let aws = Running { base: base.clone(), clock: manual, client: client() };
    let issued = aws.assume(&Assertion::default()).await;
    let keys = issued.keys();

    let ask = async |base: Url, keys: AwsKeys| {
        actix_web::rt::task::spawn_blocking(move || get_caller_identity(&base, &keys)).await.unwrap()
    };
    let identity = ask(base, keys.clone()).await;
    assert_eq!(identity["Arn"], issued.get("Arn"));
    assert_eq!(identity["UserId"], issued.get("AssumedRoleId"));
    assert_eq!(identity["Account"], "111122223333");

    // Another process on the same directory knows the credentials too.
    let restarted = serve(clock, keep);
    assert_eq!(ask(restarted, keys).await["Arn"], issued.get("Arn"));
}

#[actix_web::test]
async fn the_real_command_line_is_refused_with_credentials_that_are_not_whole() {
    let clock = Arc::new(SystemClock);
    let base = serve(clock.clone(), |_| {});
    let manual = Arc::new(ManualClock::at(clock.now()));
    let aws = Running { base: base.clone(), clock: manual, client: client() };
    let keys = aws.assume(&Assertion::default()).await.keys();
    let other = aws.assume(&Assertion::default()).await.keys();
    let invalid = "(InvalidClientTokenId) when calling the GetCallerIdentity operation: The security token included in \
                   the request is invalid.";
    for (keys, region, expected) in [
        (AwsKeys { session_token: other.session_token.clone(), ..keys.clone() }, "eu-west-1", invalid),
        (AwsKeys { session_token: "x".repeat(200), ..keys.clone() }, "eu-west-1", invalid),
        (
            AwsKeys { secret_access_key: other.secret_access_key, ..keys.clone() },
            "eu-west-1",
            "(SignatureDoesNotMatch)",
        ),
        (keys.clone(), "us-gov-west-1", invalid),
        (keys, "eu-west-1", ""),
    ] {
        let mut command = tools::aws();
        command
            .args(["sts", "get-caller-identity", "--endpoint-url", base.as_str(), "--region", region])
            .env("AWS_ACCESS_KEY_ID", &keys.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &keys.secret_access_key)
            .env("AWS_SESSION_TOKEN", &keys.session_token);
        let output = actix_web::rt::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), expected.is_empty(), "{words}");
        assert!(words.contains(expected), "{words}");
    }
}

#[actix_web::test]
async fn an_unsigned_question_for_the_caller_is_not_answered() {
    let aws = Running::start();
    let answer = aws.call(&[("Action", "GetCallerIdentity"), V]).await;
    answer.is_refused(403, "MissingAuthenticationToken", "Request is missing Authentication Token");
}

#[test]
fn the_command_serves_until_it_is_told_to_stop() {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    let mut child = tools::rolegate()
        .args(["sandbox", "--listen", "127.0.0.1:0"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Kept until the end: a program whose stderr is gone cannot say goodbye.
    let mut words = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let line = words.find(|line| line.contains("AWS_ENDPOINT_URL_STS=")).unwrap();
    let address = line.rsplit("http://").next().unwrap();
    let mut connection = std::net::TcpStream::connect(address).unwrap();
    connection.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    assert!(std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_command_does_not_listen_for_other_machines_unless_it_is_told_what_that_means() {
    let refused = tools::rolegate().args(["sandbox", "--listen", "0.0.0.0:0"]).output().unwrap();
    assert!(!refused.status.success());
    let words = String::from_utf8_lossy(&refused.stderr);
    assert!(words.contains("--i-know-this-is-not-aws"), "{words}");
}
