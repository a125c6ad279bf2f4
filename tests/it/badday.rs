//! STS on a bad day: throttled, with a region dead, with every region dead. Counts and not times; `make chaos` measures.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rolegate::access::Scope;
use rolegate::sys::{Bearer, Clock};
use serde_json::{Value, json};

use crate::broker::{Broker, Wishes};
use crate::programs::{DEPLOY, PAYMENTS, token};
use crate::sandboxed::{Answer, LocalAws, Person, Sandboxed, client, plain, problem, send};

const PATIENCE: Duration = Duration::from_secs(60);

/// A broker with two regions, each a local AWS of its own.
struct TwoRegions {
    world: Sandboxed,
    second: LocalAws,
}

impl TwoRegions {
    async fn with(wishes: Wishes) -> Self {
        let mut second = LocalAws::bind();
        let wishes = wishes
            .set("aws.fallback_regions", "us-west-2")
            // The company's accounts in other partitions have no region to fall back to, and the second serves them.
            .set(
                "aws.sts_endpoints",
                ["us-west-2", "us-gov-west-1", "cn-north-1"]
                    .map(|region| format!("{region}={}", second.base))
                    .join(","),
            )
            .set("limits.issue_burst", "1000");
        let world = Sandboxed::with(wishes).await;
        second.serve(&world.broker.url("/"), world.clock.clone()).await;
        Self { world, second }
    }
}

async fn plan(aws: &LocalAws, faults: Value) {
    let answer = send(client().put(aws.at("faults")).json(&json!({"seed": 7, "faults": faults}))).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// How often each thing was done to calls of `AssumeRoleWithSAML`.
async fn done(aws: &LocalAws, what: &str) -> u64 {
    let told = send(client().get(aws.at("faults"))).await.json();
    told["counts"]["AssumeRoleWithSAML"][what].as_u64().unwrap_or_else(|| panic!("no {what} in {told}"))
}

/// New credentials, as somebody who presses the button.
async fn issue(person: &Person) -> Answer {
    person.program_post(&format!("/roles/{PAYMENTS}/{DEPLOY}/credentials"), &[("format", "json")]).await
}

/// What a program is given, kept or new.
async fn fetch(world: &Sandboxed, token: &Bearer) -> Answer {
    let at = world.broker.at(&format!("/api/v1/container/{PAYMENTS}/{DEPLOY}"));
    send(client().get(at).bearer_auth(token.expose_secret())).await
}

async fn of_kind(broker: &Broker, kind: &str) -> Vec<Value> {
    broker.events().await.into_iter().filter(|(found, _)| found == kind).map(|(_, body)| body).collect()
}

async fn state(person: &Person) -> Value {
    person.program_get("/api/v1/roles").await.json()["aws"].take()
}

/// Waits until the broker has found out by itself.
async fn until_state(world: &Sandboxed, person: &Person, wanted: &str) {
    let deadline = Instant::now() + PATIENCE;
    while state(person).await["state"] != wanted {
        assert!(Instant::now() < deadline, "it is not {wanted}: {}", state(person).await);
        // Every look that finds nothing is followed by another cool-down.
        world.clock.advance_secs(1);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_of_all_calls_throttled_and_one_in_twenty_cut_is_put_right_and_recorded_once() {
    let world = Sandboxed::with(Broker::wishes().set("limits.issue_burst", "1000")).await;
    let lin = world.sign_in_as("lin").await;
    plan(&world.aws, json!({"AssumeRoleWithSAML": {"throttle": 0.5, "cut": 0.05}})).await;
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.extend(join_all((0..10).map(|_| issue(&lin))).await);
    }
    let keys: BTreeSet<String> = answers.iter().map(|answer| answer.json()["AccessKeyId"].to_string()).collect();
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(keys.len(), 60, "everybody has a set of their own");

    assert!(done(&world.aws, "throttled").await >= 20 && done(&world.aws, "cut").await >= 1);
    // What was cut may have been served before: STS then knows of a session that nobody was given.
    assert!(done(&world.aws, "served").await >= 60);
    for kind in ["issue.intended", "issue.succeeded"] {
        assert_eq!(of_kind(&world.broker, kind).await.len(), 60, "{kind}");
    }
    assert!(of_kind(&world.broker, "issue.failed").await.is_empty());
    let recorded = of_kind(&world.broker, "issue.succeeded").await;
    let recorded: BTreeSet<String> = recorded.iter().map(|event| event["access_key_id"].to_string()).collect();
    assert_eq!(recorded, keys, "and each is in the log, once");
    assert_eq!(state(&lin).await, json!({"state": "well", "since": null}), "an endpoint that throttles is alive");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_region_dead_the_other_serves_and_the_first_is_used_again_when_it_is_back() {
    let TwoRegions { world, second } = TwoRegions::with(Broker::wishes()).await;
    let mut lin = world.sign_in_as("lin").await;
    assert_eq!(issue(&lin).await.status, 200);
    assert_eq!(world.broker.last_event("issue.succeeded").await["region"], "us-east-1");

    plan(&world.aws, json!({"sts": {"dead": true}})).await;
    let died = world.clock.now();
    for _ in 0..6 {
        assert_eq!(issue(&lin).await.status, 200);
        assert_eq!(world.broker.last_event("issue.succeeded").await["region"], "us-west-2");
    }
    assert_eq!(done(&world.aws, "dead").await, 2, "after two silences nobody waits for it any more");
    assert_eq!(done(&second, "served").await, 6);
    let home = lin.open("/").await;
    assert!(plain(&home.body).contains("Part of AWS has not answered since"), "{}", home.body);
    let told = state(&lin).await;
    assert_eq!(told["state"], "elsewhere");
    let since: jiff::Timestamp = told["since"].as_str().unwrap().parse().unwrap();
    assert_eq!(since, died);

    plan(&world.aws, json!({})).await;
    until_state(&world, &lin, "well").await;
    assert!(!lin.open("/").await.body.contains("has not answered"), "the notice has gone by itself");
    assert_eq!(issue(&lin).await.status, 200);
    assert_eq!(world.broker.last_event("issue.succeeded").await["region"], "us-east-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_region_dead_all_that_needs_no_sts_goes_on_and_all_is_well_when_one_is_back() {
    let short = Broker::wishes().set("aws.attempt_timeout", "2s").set("aws.total_timeout", "10s");
    let TwoRegions { world, second } = TwoRegions::with(short).await;
    let mut lin = world.sign_in_as("lin").await;
    let program = token(&world, &lin, Scope::FULL).await;
    let kept = fetch(&world, &program).await;
    assert_eq!(kept.status, 200, "{}", kept.body);
    for aws in [&world.aws, &second] {
        plan(aws, json!({"sts": {"dead": true}})).await;
    }
    let deadline = Instant::now() + PATIENCE;
    while state(&lin).await["state"] != "out" {
        assert!(Instant::now() < deadline, "{}", state(&lin).await);
        for answer in join_all((0..5).map(|_| issue(&lin))).await {
            let (sentence, _) = problem(&answer, 503, "aws-unavailable");
            assert!(sentence.contains("try again"), "{sentence}");
            assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
        }
    }
    let asked = done(&world.aws, "calls").await + done(&second, "calls").await;
    let began = Instant::now();
    for answer in join_all((0..20).map(|_| issue(&lin))).await {
        problem(&answer, 503, "aws-unavailable");
    }
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "nobody waits for what is known to be dead: {:?}",
        began.elapsed()
    );
    assert_eq!(world.broker.last_event("issue.failed").await["cause"], "sts-left-alone");
    let asked_now = done(&world.aws, "calls").await + done(&second, "calls").await;
    assert!(asked_now <= asked + 2, "it is left alone, but for a look: {asked_now} after {asked}");

    let home = lin.open("/").await;
    let text = plain(&home.body);
    assert_eq!(home.status, 200);
    assert!(text.contains("AWS has not answered since") && text.contains("goes away by itself"), "{text}");
    let mut omar = world.sign_in_as("omar").await;
    let nobody_mapped = omar.open("/").await;
    assert!(!nobody_mapped.body.contains("has not answered"), "who has no role is told nothing of it");
    world.sign_in_as("asha").await;
    let again = fetch(&world, &program).await;
    assert_eq!((again.status, &again.json()["AccessKeyId"]), (200, &kept.json()["AccessKeyId"]));
    assert_eq!(send(client().get(world.broker.at("/readyz"))).await.status, 200, "no reason to take the broker away");

    plan(&second, json!({})).await;
    until_state(&world, &lin, "elsewhere").await;
    assert_eq!(issue(&lin).await.status, 200);
    assert_eq!(world.broker.last_event("issue.succeeded").await["region"], "us-west-2");
    plan(&world.aws, json!({})).await;
    until_state(&world, &lin, "well").await;
    assert_eq!(issue(&lin).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sts_said_is_in_the_log_and_what_it_means_on_the_page() {
    let world = Sandboxed::start().await;
    let lin = world.sign_in_as("lin").await;
    world.aws.wire.spoil(crate::sandboxed::Fault::Answers(
        "/",
        403,
        r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>RegionDisabledException</Code><Message>STS is not activated in this region for account:111122223333.</Message></Error><RequestId>12345678-1234</RequestId></ErrorResponse>"#,
    ));
    let (sentence, request) = problem(&issue(&lin).await, 502, "aws-refused");
    assert!(sentence.starts_with("AWS STS is switched off for this account"), "{sentence}");
    let events = world.events_of(&request).await;
    let (kind, event) = events.last().unwrap();
    assert_eq!((kind.as_str(), &event["cause"]), ("issue.failed", &json!("sts-region-disabled")));
    assert_eq!(event["aws_code"], "RegionDisabledException");
    assert_eq!(event["aws_message"], "STS is not activated in this region for account:111122223333.");
    assert_eq!(world.aws.wire.sts_calls(), 1, "what is refused is refused");
}
