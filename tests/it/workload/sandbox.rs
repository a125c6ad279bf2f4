//! The whole way with the sandbox: its CI gives a token, the broker credentials, its STS takes them.

use serde_json::{Value, json};

use super::{CREDENTIALS, exchange, said_no};
use crate::sandboxed::{Answer, Sandboxed, client, send};

const ROLE: &str = "arn:aws:iam::195530284716:role/teams/web/Deploy";

/// What the sandbox's issuer gives.
async fn token(world: &Sandboxed, parameters: &[(&str, &str)]) -> String {
    let mut url: url::Url = world.aws.at("idp/workload/token").parse().unwrap();
    url.query_pairs_mut().append_pair("audience", &world.broker.base).extend_pairs(parameters);
    let answer = send(client().get(url)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

async fn credentials(world: &Sandboxed, token: &str, more: &[(&str, &str)]) -> Answer {
    let fields = [&[("requested_token_type", CREDENTIALS), ("resource", ROLE)], more].concat();
    exchange(&world.broker.base, token, &fields).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_gets_credentials_with_its_name_on_them() {
    let world = Sandboxed::start().await;
    let job = token(&world, &[("like", "github"), ("repository", "larkspur/website")]).await;
    let answer = credentials(&world, &job, &[]).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{}", answer.body);
    let document = answer.json();
    assert_eq!((&document["token_type"], &document["issued_token_type"]), (&json!("N_A"), &json!(CREDENTIALS)));
    let given = &document["credentials"];
    assert_eq!((&given["Version"], &given["SessionToken"]), (&json!(1), &document["access_token"]));
    assert!((3_590..=3_600).contains(&document["expires_in"].as_i64().unwrap()), "{document}");
    assert!(document.get("refresh_token").is_none());

    let text = |name: &str| given[name].as_str().unwrap().to_owned();
    let caller = tokio::task::spawn_blocking({
        let (id, secret, session) = (text("AccessKeyId"), text("SecretAccessKey"), text("SessionToken"));
        let sts = world.aws.base.to_string();
        move || {
            crate::tools::aws()
                .args(["sts", "get-caller-identity", "--query", "Arn", "--output", "text", "--endpoint-url", &sts])
                .env("AWS_ACCESS_KEY_ID", id)
                .env("AWS_SECRET_ACCESS_KEY", secret)
                .env("AWS_SESSION_TOKEN", session)
                .output()
                .unwrap()
        }
    });
    let caller = String::from_utf8(caller.await.unwrap().stdout).unwrap();
    let name = caller.trim().strip_prefix("arn:aws:sts::195530284716:assumed-role/Deploy/").expect("the role");
    assert!(name.starts_with("repo-larkspur-website-ref-refs-heads-main-"), "{name}");
    assert!((2..=64).contains(&name.len()));

    let events = world.events_of(answer.header("x-request-id")).await;
    let kinds: Vec<&str> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["workload.accepted", "issue.intended", "issue.succeeded"]);
    assert_eq!((&events[1].1["source_identity"], &events[1].1["session_name"]), (&json!(name), &json!(name)));
    assert_eq!(
        events[1].1["because"],
        json!({
            "connector": "ci", "ref": "refs/heads/main", "repository": "larkspur/website",
        })
    );
    assert_eq!((&events[2].1["access_key_id"], &events[2].1["delivery"]), (&given["AccessKeyId"], &json!("exchange")));
    // Two jobs never share a key: CloudTrail tells them apart.
    let again = credentials(&world, &job, &[]).await.json();
    assert_ne!(again["credentials"]["AccessKeyId"], given["AccessKeyId"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_in_every_format_and_no_longer_than_the_rule_allows() {
    let world = Sandboxed::start().await;
    let job = token(&world, &[("like", "github")]).await;
    let process = credentials(&world, &job, &[("format", "process"), ("duration", "4h")]).await;
    assert_eq!((process.status, process.header("content-type")), (200, "application/json"), "{}", process.body);
    let document: Value = process.json();
    assert_eq!(document["Version"], 1);
    let expires: jiff::Timestamp = document["Expiration"].as_str().unwrap().parse().unwrap();
    let lasts = expires.duration_since(world.broker.now()).as_secs();
    assert!((3_590..=3_600).contains(&lasts), "the rule says an hour: {lasts}");
    let shell = credentials(&world, &job, &[("format", "env"), ("duration", "15m")]).await;
    assert!(shell.body.contains("export AWS_SESSION_TOKEN='"), "{}", shell.body);
    for answer in [&process, &shell] {
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    for wrong in [
        &[("repository", "larkspur/other")][..],
        &[("ref", "refs/heads/x")],
        &[("event_name", "pull_request"), ("ref", "refs/pull/7/merge")],
    ] {
        let job = token(&world, &[&[("like", "github")], wrong].concat()).await;
        said_no(&credentials(&world, &job, &[]).await, 400, "unauthorized_client");
    }
    let stranger = token(&world, &[("like", "github"), ("repository", "evil/website")]).await;
    said_no(&credentials(&world, &stranger, &[]).await, 400, "invalid_request");
    for like in ["gitlab", "kubernetes"] {
        let job = token(&world, &[("like", like)]).await;
        said_no(&credentials(&world, &job, &[]).await, 400, "invalid_request");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sdk_reads_the_pods_own_token_and_needs_no_other() {
    let world = Sandboxed::start().await;
    let path = "/api/v1/container/195530284716/teams/web/Deploy";
    let ask = |token: String, more: (&'static str, &'static str)| {
        let request = client().get(world.broker.at(path)).header("authorization", token).header(more.0, more.1);
        async move { send(request).await }
    };
    let job = token(&world, &[("like", "github")]).await;
    let first = ask(job.clone(), ("x", "")).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let given = first.json();
    assert!(given["Token"].is_string() && given["RoleArn"] == ROLE, "{given}");
    let kinds: Vec<String> =
        world.events_of(first.header("x-request-id")).await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["workload.accepted", "issue.intended", "issue.succeeded"]);
    // As every program that lives on this address it shares what was issued, and each delivery is on record.
    let again = ask(format!("Bearer {job}"), ("x", "")).await;
    assert_eq!(again.json()["AccessKeyId"], given["AccessKeyId"]);
    let kinds: Vec<String> =
        world.events_of(again.header("x-request-id")).await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["workload.accepted", "issue.reused"]);

    // The real thing: the file is all that the program has.
    let file = world.broker.folder().join("token");
    std::fs::write(&file, &job).unwrap();
    let (address, sts) = (world.broker.at(path), world.aws.base.to_string());
    let called = tokio::task::spawn_blocking(move || {
        crate::tools::aws()
            .args(["sts", "get-caller-identity", "--query", "Account", "--output", "text", "--endpoint-url", &sts])
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", address)
            .env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file)
            .output()
            .unwrap()
    });
    let called = called.await.unwrap();
    let words = String::from_utf8_lossy(&called.stderr).into_owned();
    assert_eq!(String::from_utf8(called.stdout).unwrap().trim(), "195530284716", "{words}");

    let said = |answer: &Answer| (answer.status, answer.json()["Code"].as_str().unwrap_or_default().to_owned());
    let forged = format!("{}AAAA", &job[..job.len() - 4]);
    let answer = ask(forged, ("x", "")).await;
    assert_eq!(said(&answer).0, 401, "{}", answer.body);
    assert_eq!(world.events_of(answer.header("x-request-id")).await[0].1["cause"], "signature-wrong");
    let other = token(&world, &[("like", "github"), ("repository", "larkspur/other")]).await;
    let answer = ask(other, ("x", "")).await;
    assert_eq!(said(&answer).0, 403, "{}", answer.body);
    assert_eq!(world.events_of(answer.header("x-request-id")).await[1].1["cause"], "nothing-granted");
    // A page in a browser gets nothing, whatever token it has.
    assert_eq!(ask(job, ("origin", "https://evil.example")).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_aws_refuses_is_not_said_to_be_the_jobs_fault() {
    let world = Sandboxed::start().await;
    let job = token(&world, &[("like", "github")]).await;
    let denied = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
    world.aws.wire.spoil(crate::sandboxed::Fault::Answers("/", 403, denied));
    let answer = credentials(&world, &job, &[]).await;
    assert_eq!(
        said_no(&answer, 503, "temporarily_unavailable"),
        "AWS STS issued nothing. The audit log has its answer, under the request id of this one."
    );
    let events = world.events_of(answer.header("x-request-id")).await;
    assert_eq!(events.last().unwrap().0, "issue.failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandboxes_issuer_takes_what_it_understands_and_says_what_it_does_not() {
    let world = Sandboxed::start().await;
    let ask = |query: &'static str| {
        let address = format!("{}?{query}", world.aws.at("idp/workload/token"));
        async move { send(client().get(address)).await }
    };
    for (query, says) in [
        ("", "Say like=github, like=gitlab or like=kubernetes."),
        ("like=jenkins", "Say like=github, like=gitlab or like=kubernetes."),
        ("like=github", "Say for whom the token is: audience=http://127.0.0.1:8080."),
        ("like=github&audience=a&repository=x", "A repository is written as owner/name."),
        ("like=gitlab&audience=a&project_path=x", "A project_path is written as group/project."),
        ("like=github&audience=a&lifetime=0", "A lifetime is a number of seconds, 86400 at most."),
        ("like=github&audience=a&namespace=x", "A token like github takes no such parameter: namespace=x."),
        ("like=github&like=gitlab", "The parameter like is there more than once."),
    ] {
        let answer = ask(query).await;
        assert_eq!((answer.status, answer.json()["error_description"].as_str().unwrap()), (400, says), "{query}");
    }
    for like in ["github", "gitlab", "kubernetes"] {
        let at = world.aws.at(&format!("idp/workload/{like}/.well-known/openid-configuration"));
        let document = send(client().get(at)).await.json();
        assert_eq!(document["issuer"], world.aws.at(&format!("idp/workload/{like}")));
        let keys = send(client().get(document["jwks_uri"].as_str().unwrap())).await.json();
        assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    }
    assert_eq!(send(client().get(world.aws.at("idp/workload/x/.well-known/openid-configuration"))).await.status, 404);
}
