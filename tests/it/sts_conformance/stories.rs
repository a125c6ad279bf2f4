//! People's own tools walk the ways to a session: the AWS CLI and boto3, with their own profiles.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::ground::{Ground, Keys};
use super::table::Table;
use super::wire;
use crate::tools::{aws, python_tool, repository};

const DEVICE: &str = "arn:aws:iam::111122223333:mfa/jane";

/// What a command printed, and whether it went well.
struct Told {
    good: bool,
    out: String,
    err: String,
}

impl Told {
    #[track_caller]
    fn json(&self) -> Value {
        assert!(self.good, "{}", self.err);
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    #[track_caller]
    fn is_refused(&self, with: &str) {
        assert!(!self.good, "{}", self.out);
        assert!(self.err.contains(with), "{}", self.err);
    }
}

async fn sts(ground: &Ground, keys: &Keys, arguments: &[&str]) -> Told {
    let mut command = aws();
    command
        .arg("sts")
        .args(arguments)
        .args(["--output", "json", "--endpoint-url", ground.base.as_str()])
        .env("AWS_ACCESS_KEY_ID", &keys.id)
        .env("AWS_SECRET_ACCESS_KEY", &keys.secret);
    if let Some(token) = &keys.token {
        command.env("AWS_SESSION_TOKEN", token);
    }
    told(command).await
}

async fn told(mut command: Command) -> Told {
    let output = actix_web::rt::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Told { good: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) }
}

fn keys(answer: &Value) -> Keys {
    let text = |name: &str| answer["Credentials"][name].as_str().unwrap().to_owned();
    Keys { id: text("AccessKeyId"), secret: text("SecretAccessKey"), token: Some(text("SessionToken")) }
}

#[actix_web::test]
async fn the_command_line_walks_from_a_user_with_a_second_factor_to_a_role_and_to_a_role_behind_it() {
    let ground = Ground::start(&Table::read()).await;
    let jane = &ground.callers["jane"];
    let mfa = "arn:aws:iam::111122223333:role/Mfa";
    let assume = ["assume-role", "--role-arn", mfa, "--role-session-name", "jane"];
    sts(&ground, jane, &assume).await.is_refused(
        "(AccessDenied) when calling the AssumeRole operation: User: arn:aws:iam::111122223333:user/ops/jane is not \
         authorized to perform: sts:AssumeRole on resource: arn:aws:iam::111122223333:role/Mfa",
    );
    let code = ground.filled("<code>", 0, &ground.callers);
    let answer =
        sts(&ground, jane, &["get-session-token", "--serial-number", DEVICE, "--token-code", &code]).await.json();
    let session = keys(&answer);
    let answer = sts(&ground, &session, &assume).await.json();
    assert_eq!(answer["AssumedRoleUser"]["Arn"], "arn:aws:sts::111122223333:assumed-role/Mfa/jane");

    let hub = ["assume-role", "--role-arn", "arn:aws:iam::111122223333:role/Hub", "--role-session-name", "jane"];
    let tags = ["--tags", "Key=Project,Value=Pegasus", "--transitive-tag-keys", "Project"];
    let answer = sts(&ground, &session, &[&hub[..], &tags[..]].concat()).await.json();
    let behind =
        ["assume-role", "--role-arn", "arn:aws:iam::111122223333:role/TwoHours", "--role-session-name", "jane"];
    let answer = sts(&ground, &keys(&answer), &behind).await.json();
    let identity = sts(&ground, &keys(&answer), &["get-caller-identity"]).await.json();
    assert_eq!(identity["Arn"], "arn:aws:sts::111122223333:assumed-role/TwoHours/jane");
    let too_long = [&behind[..], &["--duration-seconds", "7200"]].concat();
    let hub = sts(&ground, &session, &hub).await.json();
    sts(&ground, &keys(&hub), &too_long)
        .await
        .is_refused("the 1 hour session limit for roles assumed by role chaining");
}

#[actix_web::test]
async fn the_command_line_makes_a_federated_user_who_may_do_what_the_policy_says() {
    let ground = Ground::start(&Table::read()).await;
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
    let ask = ["get-federation-token", "--name", "kim", "--policy", policy, "--duration-seconds", "900"];
    let answer = sts(&ground, &ground.callers["jane"], &ask).await.json();
    assert_eq!(answer["FederatedUser"]["Arn"], "arn:aws:sts::111122223333:federated-user/kim");
    let kim = keys(&answer);
    let identity = sts(&ground, &kim, &["get-caller-identity"]).await.json();
    assert_eq!(identity["UserId"], "111122223333:kim");
    sts(&ground, &kim, &["get-session-token"]).await.is_refused("Cannot call GetSessionToken with session credentials");
}

#[actix_web::test]
async fn the_command_line_reads_why_somebody_was_refused() {
    let ground = Ground::start(&Table::read()).await;
    let message = &ground.refusals["dan"];
    let ask = ["decode-authorization-message", "--encoded-message", message];
    let answer = sts(&ground, &ground.callers["jane"], &ask).await.json();
    let why: Value = serde_json::from_str(answer["DecodedMessage"].as_str().unwrap()).unwrap();
    assert_eq!((&why["allowed"], &why["explicitDeny"]), (&Value::Bool(false), &Value::Bool(true)));
    assert_eq!(why["context"]["principal"]["arn"], "arn:aws:iam::111122223333:user/dan");
    assert_eq!(why["context"]["action"], "sts:GetAccessKeyInfo");
    let matched = &why["matchedStatements"]["items"][0];
    assert_eq!(matched["sourcePolicyId"], "arn:aws:iam::111122223333:policy/nothing-of-sts", "{why}");
    sts(&ground, &ground.callers["bob"], &ask).await.is_refused("sts:DecodeAuthorizationMessage");
}

/// What boto3 makes of a profile.
async fn who_by_profile(ground: &Ground, folder: &Path, profile: &str, config: &str) -> Value {
    let file = folder.join(profile);
    std::fs::write(&file, format!("[profile {profile}]\nregion = us-east-1\n{config}")).unwrap();
    let mut command = Command::new(python_tool("python"));
    command
        .arg("-c")
        .arg(
            "import boto3, json; s = boto3.Session(); i = s.client('sts').get_caller_identity(); \
             print(json.dumps({'arn': i['Arn'], 'by': s.get_credentials().method}))",
        )
        .current_dir(repository())
        .env("AWS_CONFIG_FILE", file)
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ENDPOINT_URL_STS", ground.base.as_str())
        .env("AWS_PROFILE", profile);
    told(command).await.json()
}

#[actix_web::test]
async fn boto3_assumes_roles_as_profiles_say() {
    let ground = Ground::start(&Table::read()).await;
    let folder = tempfile::tempdir().unwrap();
    let jane = &ground.callers["jane"];
    let source = format!("[profile jane]\naws_access_key_id = {}\naws_secret_access_key = {}\n", jane.id, jane.secret);
    let role = "role_arn = arn:aws:iam::111122223333:role";
    let outside = format!(
        "{role}/ExternalId\nsource_profile = jane\nexternal_id = s3cret/with:marks\nrole_session_name = boto\n{source}"
    );
    let who = who_by_profile(&ground, folder.path(), "outside", &outside).await;
    assert_eq!(who["arn"], "arn:aws:sts::111122223333:assumed-role/ExternalId/boto");
    assert_eq!(who["by"], "assume-role");
    let chain = format!(
        "{role}/TwoHours\nsource_profile = hub\nrole_session_name = last\n[profile hub]\n{role}/Hub\nsource_profile = \
         jane\nrole_session_name = first\n{source}"
    );
    let who = who_by_profile(&ground, folder.path(), "chain", &chain).await;
    assert_eq!(who["arn"], "arn:aws:sts::111122223333:assumed-role/TwoHours/last");

    let case = {
        let mut case = wire::question("AssumeRoleWithWebIdentity", &[], "");
        case.token = Some(super::table::Token::default());
        case
    };
    let token =
        ground.params(&case, &ground.callers).into_iter().find(|(name, _)| name == "WebIdentityToken").unwrap().1;
    let file = folder.path().join("token");
    std::fs::write(&file, token).unwrap();
    let job = format!("{role}/Web\nweb_identity_token_file = {}\nrole_session_name = build-7\n", file.display());
    let who = who_by_profile(&ground, folder.path(), "job", &job).await;
    assert_eq!(who["arn"], "arn:aws:sts::111122223333:assumed-role/Web/build-7");
    assert_eq!(who["by"], "assume-role-with-web-identity");
}
