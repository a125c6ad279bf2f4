//! The services around STS as the AWS command line meets them: IAM and S3, with what policies allow.

use std::collections::BTreeMap;

use super::*;
use crate::peers::AwsKeys;
use crate::tools;

/// A company small enough to see through.
pub(super) const WORLD: &str = r#"
company = "Small"
person = []

[trust]
workforce = '''{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Federated": "<provider>"},
  "Action": ["sts:AssumeRoleWithSAML", "sts:TagSession", "sts:SetSourceIdentity"]}]}'''
inside = '''{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
  "Principal": {"AWS": ["arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:role/ReadOnly"]},
  "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]}]}'''

[role.ReadOnly]
description = "Look, don't touch"
max_session = "12h"
trust = "workforce"
policies = ["ReadOnlyAccess"]

[role."teams/payments/Deploy"]
description = "Writes its own team's folder"
max_session = "4h"
trust = "workforce"
[role."teams/payments/Deploy".inline_policies]
folder = '''{"Version": "2012-10-17", "Statement": [
  {"Sid": "Folder", "Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
   "Resource": "arn:aws:s3:::reports/${aws:PrincipalTag/team}/*"},
  {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::reports",
   "Condition": {"StringLike": {"s3:prefix": "${aws:PrincipalTag/team}/*"}}}]}'''

[role.Operator]
description = "For users of the account, and for whoever looks already"
max_session = "2h"
trust = "inside"
policies = ["AmazonS3FullAccess"]

[[account]]
id = "111122223333"
name = "Payments"
roles = ["ReadOnly", "teams/payments/Deploy", "Operator"]

[[account]]
id = "222233334444"
name = "Elsewhere"
roles = []

[[user]]
account = "111122223333"
name = "ops/root-of-all"
policies = ["AdministratorAccess"]
access_keys = [{ id = "SBUKAAAAAAAAAAAAAAAA", secret = "jR4pT8uV1wX5yZ9aB3cD7eF0gH2iJ6kL+mN/oP4q" }]

[[user]]
account = "222233334444"
name = "stranger"
policies = ["AdministratorAccess"]
access_keys = [{ id = "SBUKBBBBBBBBBBBBBBBB", secret = "aR4pT8uV1wX5yZ9aB3cD7eF0gH2iJ6kL+mN/oP4q" }]

[[bucket]]
account = "111122223333"
name = "reports"
region = "eu-west-1"
objects = { "payments/october.csv" = "id,amount\n1,10\n", "freight/october.csv" = "id\n", "read me & <this>.txt" = "hello\n" }
"#;

pub(super) fn admin() -> AwsKeys {
    long_term("SBUKAAAAAAAAAAAAAAAA", "jR4pT8uV1wX5yZ9aB3cD7eF0gH2iJ6kL+mN/oP4q")
}

fn long_term(id: &str, secret: &str) -> AwsKeys {
    AwsKeys { access_key_id: id.to_owned(), secret_access_key: secret.to_owned(), session_token: String::new() }
}

/// A sandbox on the machine's clock, which is the one the command line has.
pub(super) struct Real {
    pub aws: Running,
    folder: tempfile::TempDir,
}

/// What the command line said: on stdout when it went well, on stderr when it did not.
type Said = Result<String, String>;

impl Real {
    pub fn start() -> Self {
        let clock = Arc::new(SystemClock);
        let base = serve(clock.clone(), |config| config.world = World::from_toml(WORLD).unwrap());
        let manual = Arc::new(ManualClock::at(clock.now()));
        Self { aws: Running { base, clock: manual, client: client() }, folder: tempfile::tempdir().unwrap() }
    }

    pub async fn session(&self, assertion: &Assertion, further: &[(&str, &str)]) -> AwsKeys {
        let answer = self.aws.assume_with(assertion, further).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.keys()
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the command line on its own thread, as it asks a server on this one.
    pub async fn aws(&self, keys: &AwsKeys, args: &[&str]) -> Said {
        let mut command = tools::aws();
        let base = self.aws.base.as_str().trim_end_matches('/');
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("AWS_ENDPOINT_URL_STS", base)
            .env("AWS_ENDPOINT_URL_IAM", base)
            .env("AWS_ENDPOINT_URL_S3", format!("{base}/s3"))
            .env("AWS_MAX_ATTEMPTS", "1")
            .env("AWS_DEFAULT_REGION", "eu-west-1")
            .env("AWS_ACCESS_KEY_ID", &keys.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &keys.secret_access_key);
        if !keys.session_token.is_empty() {
            command.env("AWS_SESSION_TOKEN", &keys.session_token);
        }
        let output = actix_web::rt::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    pub async fn json(&self, keys: &AwsKeys, args: &[&str]) -> serde_json::Value {
        let said = self.aws(keys, args).await.unwrap_or_else(|error| panic!("{args:?}: {error}"));
        serde_json::from_str(&said).unwrap_or_default()
    }

    #[track_caller]
    pub fn refused(said: &Said, words: &str) {
        let error = said.as_ref().expect_err("it must be refused");
        assert!(error.contains(words), "{error}");
    }
}

fn deploy() -> Assertion {
    Assertion::default().for_role(DEPLOY).with("PrincipalTag:team", &["payments"])
}

const AS_DEPLOY: [(&str, &str); 1] = [("RoleArn", DEPLOY)];

#[actix_web::test]
async fn objects_are_listed_fetched_written_and_removed_by_the_command_line() {
    let real = Real::start();
    let admin = admin();
    let said = real.aws(&admin, &["s3", "ls"]).await.unwrap();
    assert!(said.trim_end().ends_with(" reports"), "{said}");
    let said = real.aws(&admin, &["s3", "ls", "s3://reports/"]).await.unwrap();
    assert!(said.contains("PRE payments/") && said.contains("6 read me & <this>.txt"), "{said}");
    let said = real.aws(&admin, &["s3", "ls", "s3://reports/payments/"]).await.unwrap();
    assert!(said.contains("15 october.csv") && !said.contains("PRE"), "{said}");

    let text = "a line\n".repeat(1000);
    std::fs::write(real.file("up.txt"), &text).unwrap();
    real.aws(&admin, &["s3", "cp", "up.txt", "s3://reports/a b/ü+%.txt"]).await.unwrap();
    real.aws(&admin, &["s3", "cp", "s3://reports/a b/ü+%.txt", "down.txt"]).await.unwrap();
    assert_eq!(std::fs::read_to_string(real.file("down.txt")).unwrap(), text);
    real.aws(&admin, &["s3", "cp", "s3://reports/a b/ü+%.txt", "s3://reports/copy.txt"]).await.unwrap();
    let head = real.json(&admin, &["s3api", "head-object", "--bucket", "reports", "--key", "copy.txt"]).await;
    assert_eq!(head["ContentLength"], 7000);
    let part = ["s3api", "get-object", "--bucket", "reports", "--key", "copy.txt", "--range", "bytes=2-5", "part.txt"];
    assert_eq!(real.json(&admin, &part).await["ContentRange"], "bytes 2-5/7000");
    assert_eq!(std::fs::read_to_string(real.file("part.txt")).unwrap(), "line");
    real.aws(&admin, &["s3", "rm", "s3://reports/copy.txt"]).await.unwrap();
    let gone = real.aws(&admin, &["s3api", "get-object", "--bucket", "reports", "--key", "copy.txt", "gone.txt"]).await;
    Real::refused(&gone, "(NoSuchKey) when calling the GetObject operation: The specified key does not exist.");
    Real::refused(&real.aws(&admin, &["s3", "ls", "s3://nowhere"]).await, "(NoSuchBucket)");
    let page = ["s3api", "list-objects-v2", "--bucket", "reports", "--page-size", "1", "--query", "Contents[].Key"];
    let keys = real.json(&admin, &page).await;
    assert_eq!(
        keys,
        serde_json::json!(["a b/ü+%.txt", "freight/october.csv", "payments/october.csv", "read me & <this>.txt"])
    );
    let put = ["s3api", "put-object", "--bucket", "reports", "--key", "k", "--body", "up.txt", "--checksum-algorithm"];
    for (algorithm, member) in [("CRC32", "ChecksumCRC32"), ("SHA256", "ChecksumSHA256")] {
        let answer = real.json(&admin, &[&put[..], &[algorithm]].concat()).await;
        assert!(answer[member].is_string(), "{answer}");
    }
}

#[actix_web::test]
async fn s3_gives_each_session_what_its_policies_allow_and_says_which_did_not() {
    let real = Real::start();
    let session = real.session(&deploy(), &AS_DEPLOY).await;
    real.aws(&session, &["s3", "ls", "s3://reports/payments/"]).await.unwrap();
    let user = "User: arn:aws:sts::111122223333:assumed-role/Deploy/asha.raman@larkspur.example is not authorized to perform: ";
    let denied = real.aws(&session, &["s3", "ls", "s3://reports/freight/"]).await;
    let because = "s3:ListBucket on resource: \"arn:aws:s3:::reports\" because no identity-based policy allows the s3:ListBucket action";
    Real::refused(&denied, &format!("(AccessDenied) when calling the ListObjectsV2 operation: {user}{because}"));
    std::fs::write(real.file("f"), "x").unwrap();
    real.aws(&session, &["s3", "cp", "f", "s3://reports/payments/f"]).await.unwrap();
    let put = ["s3api", "put-object", "--bucket", "reports", "--key", "freight/f", "--body", "f"];
    Real::refused(&real.aws(&session, &put).await, "because no identity-based policy allows the s3:PutObject action");
    // What may not be listed is not said to be missing.
    let get = ["s3api", "get-object", "--bucket", "reports", "--key", "payments/none", "none"];
    Real::refused(&real.aws(&session, &get).await, "because no identity-based policy allows the s3:ListBucket action");

    let read_only = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}]}"#;
    let narrow = real.session(&deploy(), &[AS_DEPLOY[0], ("Policy", read_only)]).await;
    let get = ["s3api", "get-object", "--bucket", "reports", "--key", "payments/october.csv", "got"];
    real.aws(&narrow, &get).await.unwrap();
    let denied = real.aws(&narrow, &["s3", "cp", "f", "s3://reports/payments/g"]).await;
    Real::refused(
        &denied,
        &format!(
            "{user}s3:PutObject on resource: \"arn:aws:s3:::reports/payments/g\" because no session policy allows the \
             s3:PutObject action"
        ),
    );

    let locked = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Sid": "Here", "Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}}}]}"#;
    let locked = real.session(&deploy(), &[AS_DEPLOY[0], ("Policy", locked)]).await;
    real.aws(&locked, &get).await.unwrap();
    let elsewhere = [&get[..], &["--region", "us-east-1"]].concat();
    Real::refused(&real.aws(&locked, &elsewhere).await, "with an explicit deny in a session policy");

    let stranger = long_term("SBUKBBBBBBBBBBBBBBBB", "aR4pT8uV1wX5yZ9aB3cD7eF0gH2iJ6kL+mN/oP4q");
    Real::refused(&real.aws(&stranger, &get).await, "because no resource-based policy allows the s3:GetObject action");
    assert_eq!(real.aws(&stranger, &["s3", "ls"]).await.unwrap(), "");
}

#[actix_web::test]
async fn s3_tells_in_its_own_words_what_is_wrong_with_credentials() {
    let real = Real::start();
    let keys = admin();
    let ls = ["s3api", "list-buckets"];
    let unknown = AwsKeys { access_key_id: "SBUKZZZZZZZZZZZZZZZZ".to_owned(), ..keys.clone() };
    Real::refused(&real.aws(&unknown, &ls).await, "(InvalidAccessKeyId)");
    let wrong = AwsKeys { secret_access_key: "b".repeat(40), ..keys.clone() };
    Real::refused(&real.aws(&wrong, &ls).await, "(SignatureDoesNotMatch)");
    let token = AwsKeys { session_token: "x".repeat(200), ..real.session(&Assertion::default(), &[]).await };
    Real::refused(&real.aws(&token, &ls).await, "(InvalidToken)");
    let shift = async |seconds: i64| {
        let fault = serde_json::json!({"clock_shift_s": seconds}).to_string();
        let put = real.aws.client.put(real.aws.at("/faults/s3")).body(fault);
        assert_eq!(put.send().await.unwrap().status(), 200);
    };
    shift(1000).await;
    Real::refused(&real.aws(&keys, &ls).await, "(RequestTimeTooSkewed)");
    shift(13 * 3600).await;
    let session = real.session(&Assertion::default(), &[]).await;
    Real::refused(&real.aws(&session, &ls).await, "(ExpiredToken)");
    let anonymous = real.aws.client.get(real.aws.at("/s3/reports/payments/october.csv")).send().await.unwrap();
    assert_eq!(anonymous.status(), 403);
    let body = anonymous.text().await.unwrap();
    assert!(body.contains("<Code>AccessDenied</Code><Message>Access Denied</Message>"), "{body}");
}

pub(super) const REVOKE: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": ["*"], "Resource": ["*"],
    "Condition": {"DateLessThan": {"aws:TokenIssueTime": "<now>"}}}]}"#;

#[actix_web::test]
async fn older_sessions_of_a_role_are_revoked_by_a_policy_and_newer_ones_are_not() {
    let real = Real::start();
    let admin = admin();
    let old = real.session(&Assertion::default(), &[]).await;
    real.aws(&old, &["s3", "ls"]).await.unwrap();
    // Issue times are whole seconds, and the policy is about what is strictly older.
    actix_web::rt::time::sleep(std::time::Duration::from_millis(1100)).await;
    let policy = REVOKE.replace("<now>", &date_time(SystemClock.now()));
    let put = ["iam", "put-role-policy", "--role-name", "ReadOnly", "--policy-name", "AWSRevokeOlderSessions"];
    real.aws(&admin, &[&put[..], &["--policy-document", &policy]].concat()).await.unwrap();
    Real::refused(&real.aws(&old, &["s3", "ls"]).await, "with an explicit deny in an identity-based policy");
    let who = real.json(&old, &["sts", "get-caller-identity"]).await;
    assert_eq!(who["Account"], "111122223333", "the credentials themselves are good");
    let new = real.session(&Assertion::default(), &[]).await;
    real.aws(&new, &["s3", "ls"]).await.unwrap();
    let names = real.json(&admin, &["iam", "list-role-policies", "--role-name", "ReadOnly"]).await;
    assert_eq!(names["PolicyNames"], serde_json::json!(["AWSRevokeOlderSessions"]));
    let shown = real.json(&admin, &[&["iam", "get-role-policy"], &put[2..]].concat()).await;
    assert_eq!(shown["PolicyDocument"], serde_json::from_str::<serde_json::Value>(&policy).unwrap());
    real.aws(&admin, &[&["iam", "delete-role-policy"], &put[2..]].concat()).await.unwrap();
    real.aws(&old, &["s3", "ls"]).await.unwrap();
}

#[actix_web::test]
async fn keys_that_are_switched_off_and_roles_that_are_gone_open_nothing() {
    let real = Real::start();
    let admin = admin();
    let made = real.json(&admin, &["iam", "create-user", "--user-name", "jane"]).await;
    assert_eq!(made["User"]["Arn"], "arn:aws:iam::111122223333:user/jane");
    let key = real.json(&admin, &["iam", "create-access-key", "--user-name", "jane"]).await;
    let part = |name: &str| key["AccessKey"][name].as_str().unwrap().to_owned();
    let jane = long_term(&part("AccessKeyId"), &part("SecretAccessKey"));
    let who = ["sts", "get-caller-identity"];
    assert_eq!(real.json(&jane, &who).await["Arn"], "arn:aws:iam::111122223333:user/jane");
    let denied = real.aws(&jane, &["iam", "list-roles"]).await;
    Real::refused(
        &denied,
        "User: arn:aws:iam::111122223333:user/jane is not authorized to perform: iam:ListRoles on resource: \
         arn:aws:iam::111122223333:role/ because no identity-based policy allows the iam:ListRoles action",
    );
    let update =
        ["iam", "update-access-key", "--user-name", "jane", "--access-key-id", &jane.access_key_id, "--status"];
    real.aws(&admin, &[&update[..], &["Inactive"]].concat()).await.unwrap();
    Real::refused(&real.aws(&jane, &who).await, "(InvalidClientTokenId)");
    Real::refused(&real.aws(&jane, &["s3", "ls"]).await, "(InvalidAccessKeyId)");
    real.aws(&admin, &[&update[..], &["Active"]].concat()).await.unwrap();
    real.aws(&jane, &who).await.unwrap();

    let session = real.session(&Assertion::default(), &[]).await;
    real.aws(&session, &who).await.unwrap();
    let role = ["--role-name", "ReadOnly"];
    let delete = [&["iam", "delete-role"], &role[..]].concat();
    let conflict = real.aws(&admin, &delete).await;
    Real::refused(
        &conflict,
        "(DeleteConflict) when calling the DeleteRole operation: Cannot delete entity, must detach all policies first.",
    );
    let attached = real.json(&admin, &[&["iam", "list-attached-role-policies"], &role[..]].concat()).await;
    let arn = attached["AttachedPolicies"][0]["PolicyArn"].as_str().unwrap().to_owned();
    let before = real.json(&admin, &[&["iam", "get-role"], &role[..]].concat()).await;
    real.aws(&admin, &[&["iam", "detach-role-policy"], &role[..], &["--policy-arn", &arn]].concat()).await.unwrap();
    real.aws(&admin, &delete).await.unwrap();
    Real::refused(&real.aws(&session, &who).await, "(InvalidClientTokenId)");
    // The name comes back, the role does not.
    let trust = before["Role"]["AssumeRolePolicyDocument"].to_string();
    let create = ["iam", "create-role", "--role-name", "ReadOnly", "--assume-role-policy-document", &trust];
    let again = real.json(&admin, &create).await;
    assert_ne!(before["Role"]["RoleId"], again["Role"]["RoleId"]);
    Real::refused(&real.aws(&session, &who).await, "(InvalidClientTokenId)");
    let new = real.session(&Assertion::default(), &[]).await;
    real.aws(&new, &who).await.unwrap();
}

/// A call to IAM by raw HTTP, signed by the command line's own library would be slower to write than to trust.
async fn iam(real: &Real, args: &[&str]) -> Said {
    real.aws(&admin(), &[&["iam"], args].concat()).await
}

#[actix_web::test]
async fn iam_refuses_in_its_own_words() {
    let real = Real::start();
    let role = ["put-role-policy", "--role-name", "ReadOnly", "--policy-name", "p", "--policy-document"];
    for (document, words) in [
        ("{", "(MalformedPolicyDocument) when calling the PutRolePolicy operation: "),
        (
            r#"{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}"#,
            "Policy document should not specify a principal.",
        ),
        (
            r#"{"Statement": [{"Effect": "Allow", "Action": "list", "Resource": "*"}]}"#,
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
        ),
    ] {
        Real::refused(&iam(&real, &[&role[..], &[document]].concat()).await, words);
    }
    let trust = ["update-assume-role-policy", "--role-name", "ReadOnly", "--policy-document"];
    let stranger = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": "arn:aws:iam::111122223333:user/nobody"}}]}"#;
    let said = iam(&real, &[&trust[..], &[stranger]].concat()).await;
    Real::refused(&said, "Invalid principal in policy: \"AWS\":\"arn:aws:iam::111122223333:user/nobody\"");
    for (args, words) in [
        (
            &["get-role", "--role-name", "Nothing"][..],
            "(NoSuchEntity) when calling the GetRole operation: The role with name Nothing cannot be found.",
        ),
        (&["create-user", "--user-name", "root-of-all"], "(EntityAlreadyExists)"),
        (
            &["get-role", "--role-name", "a b"],
            "failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]+",
        ),
        (
            &["attach-role-policy", "--role-name", "ReadOnly", "--policy-arn", "arn:aws:iam::aws:policy/NoSuch"],
            "(NoSuchEntity)",
        ),
        (
            &["list-groups"],
            "(InvalidAction) when calling the ListGroups operation: Could not find operation ListGroups for version 2010-05-08",
        ),
    ] {
        Real::refused(&iam(&real, args).await, words);
    }
}

#[actix_web::test]
async fn what_documentation_says_to_set_up_can_be_set_up() {
    let real = Real::start();
    let listed = iam(&real, &["list-roles", "--path-prefix", "/teams/", "--query", "Roles[].RoleName"]).await.unwrap();
    assert_eq!(serde_json::from_str::<Vec<String>>(&listed).unwrap(), ["Deploy"]);
    let paged = iam(&real, &["list-roles", "--page-size", "1", "--query", "Roles[].RoleName"]).await.unwrap();
    assert_eq!(serde_json::from_str::<Vec<String>>(&paged).unwrap(), ["Operator", "ReadOnly", "Deploy"]);
    std::fs::write(real.file("metadata.xml"), broker_metadata(&STRANGE)).unwrap();
    let create = ["create-saml-provider", "--name", "other", "--saml-metadata-document", "file://metadata.xml"];
    let created: serde_json::Value = serde_json::from_str(&iam(&real, &create).await.unwrap()).unwrap();
    let provider = "arn:aws:iam::111122223333:saml-provider/other";
    assert_eq!(created["SAMLProviderArn"], provider);
    let shown = iam(&real, &["get-saml-provider", "--saml-provider-arn", provider]).await.unwrap();
    assert!(shown.contains("EntityDescriptor"), "{shown}");
    let bad = ["create-saml-provider", "--name", "bad", "--saml-metadata-document", &"x".repeat(1000)];
    Real::refused(&iam(&real, &bad).await, "Could not parse metadata");
    let listed = iam(&real, &["list-saml-providers", "--query", "SAMLProviderList[].Arn"]).await.unwrap();
    assert!(listed.contains(provider) && listed.contains("saml-provider/rolegate"), "{listed}");

    let trust = format!(
        r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Principal": {{"Federated": "{provider}"}},
            "Action": "sts:AssumeRoleWithSAML"}}]}}"#
    );
    let create = [
        "create-role",
        "--path",
        "/other/",
        "--role-name",
        "Other",
        "--max-session-duration",
        "7200",
        "--assume-role-policy-document",
        &trust,
        "--tags",
        "Key=team,Value=web",
    ];
    let made: serde_json::Value = serde_json::from_str(&iam(&real, &create).await.unwrap()).unwrap();
    let role = "arn:aws:iam::111122223333:role/other/Other";
    assert_eq!(made["Role"]["Arn"], role);
    iam(
        &real,
        &["attach-role-policy", "--role-name", "Other", "--policy-arn", "arn:aws:iam::aws:policy/ReadOnlyAccess"],
    )
    .await
    .unwrap();
    let assertion = Assertion { key: &STRANGE, ..Assertion::default() }.with("Role", &[&format!("{role},{provider}")]);
    let session = real.session(&assertion, &[("RoleArn", role), ("PrincipalArn", provider)]).await;
    real.aws(&session, &["s3", "ls", "s3://reports"]).await.unwrap();

    let url = "https://token.actions.example";
    let create = ["create-open-id-connect-provider", "--url", url, "--client-id-list", "sts.amazonaws.com"];
    let made: serde_json::Value = serde_json::from_str(&iam(&real, &create).await.unwrap()).unwrap();
    assert_eq!(made["OpenIDConnectProviderArn"], "arn:aws:iam::111122223333:oidc-provider/token.actions.example");
    Real::refused(&iam(&real, &create).await, "(EntityAlreadyExists)");
    let policy = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}"#;
    let create = [
        "create-policy",
        "--policy-name",
        "Buckets",
        "--policy-document",
        policy,
        "--query",
        "Policy.Arn",
        "--output",
        "text",
    ];
    assert_eq!(iam(&real, &create).await.unwrap().trim(), "arn:aws:iam::111122223333:policy/Buckets");
    Real::refused(&iam(&real, &create).await, "(EntityAlreadyExists)");
}

#[actix_web::test]
async fn uploads_in_chunks_with_a_checksum_behind_are_taken() {
    let real = Real::start();
    let script = r#"
import base64, boto3, botocore.auth, botocore.awsrequest, botocore.config, botocore.session, os, time, urllib.request, zlib
config = botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"})
s3 = boto3.client("s3", config=config)
s3.put_object(Bucket="reports", Key="plain", Body=b"hello", Metadata={"note": "one", "other": "two"})
got = s3.get_object(Bucket="reports", Key="plain", ChecksumMode="ENABLED")
assert got["Body"].read() == b"hello" and got["Metadata"] == {"note": "one", "other": "two"}, got
assert "ChecksumCRC32" in got, got
url = s3.generate_presigned_url("get_object", Params={"Bucket": "reports", "Key": "plain"}, ExpiresIn=60)
assert urllib.request.urlopen(url).read() == b"hello"
url = s3.generate_presigned_url("get_object", Params={"Bucket": "reports", "Key": "plain"}, ExpiresIn=1)
time.sleep(2.5)
try:
    urllib.request.urlopen(url)
    raise SystemExit("an address that has expired was taken")
except urllib.error.HTTPError as error:
    assert error.code == 403 and b"<Message>Request has expired</Message>" in error.read()

# The library sends trailers over TLS alone; signed by it and sent by hand they are the same.
def chunked(text, checksum):
    body = b"%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n" % (len(text), text, base64.b64encode(checksum.to_bytes(4, "big")))
    headers = {"content-encoding": "aws-chunked", "x-amz-trailer": "x-amz-checksum-crc32",
               "x-amz-decoded-content-length": str(len(text)), "content-length": str(len(body))}
    request = botocore.awsrequest.AWSRequest("PUT", os.environ["AWS_ENDPOINT_URL_S3"] + "/reports/chunked", headers, body)
    request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
    credentials = botocore.session.get_session().get_credentials()
    botocore.auth.S3SigV4Auth(credentials, "s3", "eu-west-1").add_auth(request)
    assert request.headers["X-Amz-Content-SHA256"] == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    return urllib.request.Request(request.url, body, dict(request.headers), method="PUT")
urllib.request.urlopen(chunked(b"in pieces", zlib.crc32(b"in pieces")))
assert s3.get_object(Bucket="reports", Key="chunked")["Body"].read() == b"in pieces"
try:
    urllib.request.urlopen(chunked(b"in pieces", 7))
    raise SystemExit("a wrong checksum was taken")
except urllib.error.HTTPError as error:
    assert error.code == 400 and b"<Code>BadDigest</Code>" in error.read()
print("done")
"#;
    let base = real.aws.base.as_str().trim_end_matches('/').to_owned();
    let mut command = std::process::Command::new(tools::python_tool("python"));
    let keys = admin();
    command
        .args(["-c", script])
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_ENDPOINT_URL_S3", format!("{base}/s3"))
        .env("AWS_DEFAULT_REGION", "eu-west-1")
        .env("AWS_ACCESS_KEY_ID", &keys.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &keys.secret_access_key);
    let output = actix_web::rt::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_bucket_that_cannot_be_is_named() {
    let bucket = |change: &dyn Fn(&str) -> String| World::from_toml(&change(WORLD)).unwrap_err().to_string();
    let cases: BTreeMap<&str, String> = BTreeMap::from([
        ("`Reports` is not 3 to 63", bucket(&|world| world.replace("name = \"reports\"", "name = \"Reports\""))),
        ("another partition", bucket(&|world| world.replace("\"eu-west-1\"", "\"cn-north-1\""))),
        (
            "999988887777",
            bucket(&|world| {
                world.replace(
                    "account = \"111122223333\"\nname = \"reports\"",
                    "account = \"999988887777\"\nname = \"reports\"",
                )
            }),
        ),
    ]);
    for (words, said) in cases {
        assert!(said.contains(words), "{said}");
    }
}

/// The text of a fenced block after a line, and what comes after it.
fn fenced<'a>(page: &'a str, fence: &str) -> Option<(&'a str, &'a str)> {
    let from = page.find(&format!("\n```{fence}\n"))? + fence.len() + 5;
    let to = from + page[from..].find("\n```")?;
    Some((&page[from..to], &page[to + 4..]))
}

/// `command # refused: words` must fail and say so.
fn checked(line: &str) -> String {
    match line.split_once(" # refused: ") {
        None => line.to_owned(),
        Some((command, words)) => format!(
            "if said=$({command} 2>&1); then echo 'was not refused: {command}' >&2; exit 1; fi\n\
             case \"$said\" in *'{words}'*) ;; *) echo \"$said\" >&2; exit 1;; esac"
        ),
    }
}

#[test]
fn the_walk_in_the_documentation_can_be_pasted() {
    let page = std::fs::read_to_string(tools::repository().join("docs/sandbox.md")).unwrap();
    let walk = page.split("\n## A walk in ten minutes\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let (company, mut rest) = fenced(walk, "toml").unwrap();
    let address = format!("127.0.0.1:{}", tools::free_port());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("company.toml"), company).unwrap();
    // Whatever happens, nothing is left running.
    let mut script = "set -eu -o pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\nset -m\n".to_owned();
    let (mut blocks, mut refusals) = (0, 0);
    while let Some((block, after)) = fenced(rest, "sh") {
        rest = after;
        blocks += 1;
        refusals += block.matches(" # refused: ").count();
        for line in block.replace("127.0.0.1:8081", &address).lines() {
            script.push_str(&checked(line));
            script.push('\n');
        }
    }
    assert!(blocks >= 7 && refusals >= 4, "{blocks} blocks and {refusals} refusals: does this test still read them?");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_rolegate")).parent().unwrap().to_owned();
    let tools_folder = tools::python_tool("aws").parent().unwrap().to_owned();
    let system = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([program, tools_folder].into_iter().chain(std::env::split_paths(&system))).unwrap();
    let mut command = std::process::Command::new(tools::system_tool("bash"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    let run = command
        .args(["-c", &script])
        .env("PATH", path)
        .env("HOME", folder.path())
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_PAGER", "")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(run.status.success(), "{}\n{}", words(&run.stdout), words(&run.stderr));
    let said = words(&run.stdout);
    assert!(said.contains("Buy milk."), "{said}");
    assert!(said.contains("\"throttled\": 3"), "{said}");
}
