//! Credentials that programs are given again: to whom, for how long, how often STS is asked for them, and when they are gone.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rolegate::access::Scope;
use rolegate::store::tokens::Authorization;
use rolegate::sys::{Bearer, Token};
use serde_json::{Value, json};

use crate::broker::Broker;
use crate::program::{database, sql};
use crate::programs::{DEPLOY, PAYMENTS, token, token_with};
use crate::sandboxed::{Answer, Fault, Person, Sandboxed, client, problem, send};
use crate::tools::{rolegate, stdout};

const REFUSED: &str = r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>Not authorized to perform sts:AssumeRoleWithSAML</Message></Error><RequestId>r</RequestId></ErrorResponse>"#;
const DOWN: &str = r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Receiver</Type><Code>ServiceUnavailable</Code><Message>down</Message></Error><RequestId>r</RequestId></ErrorResponse>"#;

/// Asks as a program does that speaks the API.
async fn post(world: &Sandboxed, token: &Bearer, body: Value) -> Answer {
    post_to(&world.broker, token, body).await
}

async fn post_to(broker: &Broker, token: &Bearer, body: Value) -> Answer {
    let request = client().post(broker.at(&format!("/api/v1/roles/{PAYMENTS}/{DEPLOY}/credentials")));
    send(request.bearer_auth(token.expose_secret()).json(&body)).await
}

/// The key a program is given.
async fn key(world: &Sandboxed, token: &Bearer) -> String {
    key_for(world, token, json!({})).await
}

async fn key_for(world: &Sandboxed, token: &Bearer, body: Value) -> String {
    let answer = post(world, token, body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["AccessKeyId"].as_str().unwrap().to_owned()
}

fn kept(world: &Sandboxed) -> usize {
    world.broker.app.ground.kept.len()
}

async fn until_nothing_is_kept(world: &Sandboxed) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while kept(world) > 0 {
        assert!(Instant::now() < deadline, "{} sets are kept still", kept(world));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Lin, and a program that acts for her.
async fn lin(world: &Sandboxed) -> (Person, Bearer) {
    let lin = world.sign_in_as("lin").await;
    let token = token(world, &lin, Scope::FULL).await;
    (lin, token)
}

/// The details of the events of one kind.
async fn events(world: &Sandboxed, kind: &str) -> Vec<Value> {
    world.broker.events().await.into_iter().filter(|(found, _)| found == kind).map(|(_, body)| body).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_requests_at_once_are_one_call_of_sts_and_fifty_events() {
    let world = Sandboxed::start().await;
    let (lin, first) = lin(&world).await;
    let second = token(&world, &lin, Scope::FULL).await;
    world.aws.wire.spoil(Fault::Slow("/", Duration::from_millis(400)));
    let answers = join_all((0..50).map(|at| post(&world, if at % 2 == 0 { &first } else { &second }, json!({})))).await;
    let keys: BTreeSet<_> = answers.iter().map(|answer| answer.json()["AccessKeyId"].to_string()).collect();
    assert_eq!((keys.len(), world.aws.wire.sts_calls()), (1, 1));

    let (issued, reused) = (events(&world, "issue.succeeded").await, events(&world, "issue.reused").await);
    assert_eq!((issued.len(), reused.len()), (1, 49));
    let mut originals = BTreeSet::new();
    for answer in &answers {
        let own = world.events_of(answer.header("x-request-id")).await;
        let (kind, body) = own.last().unwrap();
        assert_eq!(body["access_key_id"], issued[0]["access_key_id"]);
        for fact in ["role", "rule", "because", "assumed_role", "expires"] {
            assert_eq!(body[fact], issued[0][fact], "{fact}");
        }
        if kind == "issue.reused" {
            assert_eq!(own.len(), 1, "no intent: STS was not called for it");
            originals.insert(body["issue"].as_str().unwrap().to_owned());
        } else {
            assert_eq!(kind, "issue.succeeded");
        }
    }
    // The reference in each leads to the issue.
    let original = originals.pop_first().unwrap();
    assert!(originals.is_empty());
    assert_eq!(world.events_of(&original).await.last().unwrap().0, "issue.succeeded");
    let tokens: BTreeSet<_> = reused.iter().map(|body| body["token"].to_string()).collect();
    assert_eq!(tokens.len(), 2, "each delivery names the token it went to");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_way_of_asking_was_given_another_way_is_given_too() {
    let world = Sandboxed::start().await;
    let (lin, token) = lin(&world).await;
    let by_api = key(&world, &token).await;
    let at = world.broker.at(&format!("/api/v1/container/{PAYMENTS}/{DEPLOY}"));
    let by_container = send(client().get(at).bearer_auth(token.expose_secret())).await.json();
    assert_eq!(by_container["AccessKeyId"], by_api);
    // A person who presses a button gets a whole session.
    let pressed = format!("/roles/{PAYMENTS}/{DEPLOY}/credentials");
    let by_page = lin.program_post(&pressed, &[("format", "json")]).await.json();
    assert_ne!(by_page["AccessKeyId"], by_api);
    assert_eq!(world.aws.wire.sts_calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_roll_over_with_twenty_minutes_left() {
    let world = Sandboxed::start().await;
    let (_, token) = lin(&world).await;
    let first = key(&world, &token).await;
    world.clock.advance_secs(35 * 60);
    assert_eq!(key(&world, &token).await, first);
    // 40 minutes at the latest, four earlier at the earliest.
    world.clock.advance_secs(5 * 60 + 1);
    let second = post(&world, &token, json!({})).await.json();
    assert_ne!(second["AccessKeyId"], first);
    let expires: jiff::Timestamp = second["Expiration"].as_str().unwrap().parse().unwrap();
    assert!(expires.duration_since(world.broker.now()).as_secs() > 59 * 60);
    assert_eq!(key(&world, &token).await, second["AccessKeyId"].as_str().unwrap());
    assert_eq!((world.aws.wire.sts_calls(), kept(&world)), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_fifteen_minutes_serve_for_five() {
    let world = Sandboxed::start().await;
    let (_, token) = lin(&world).await;
    let ask = || key_for(&world, &token, json!({ "duration": "15m" }));
    let first = ask().await;
    world.clock.advance_secs(4 * 60);
    assert_eq!(ask().await, first, "not one call for each request");
    world.clock.advance_secs(60);
    assert_ne!(ask().await, first, "SDKs begin to hurry with ten minutes left");
    assert_eq!(world.aws.wire.sts_calls(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_wish_is_not_met_from_what_is_kept_nor_kept() {
    let world = Sandboxed::start().await;
    let (_, token) = lin(&world).await;
    let fresh = || key_for(&world, &token, json!({ "fresh": true }));
    let one = fresh().await;
    assert_eq!(kept(&world), 0);
    let shared = key(&world, &token).await;
    let other = fresh().await;
    assert_eq!(BTreeSet::from([&one, &shared, &other]).len(), 3);
    assert_eq!(key(&world, &token).await, shared);
    assert_eq!(world.aws.wire.sts_calls(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn access_that_is_lost_is_refused_at_once_and_its_credentials_dropped() {
    let world = Sandboxed::start().await;
    let (_, token) = lin(&world).await;
    let first = key(&world, &token).await;
    // A change that does not concern her sends nobody to STS.
    world.change_catalog("description = \"Ship the website\"", "description = \"Ship it\"").await;
    assert_eq!(key(&world, &token).await, first);
    world.change_catalog("matches = \"team-", "matches = \"no-team-").await;
    let refused = post(&world, &token, json!({})).await;
    problem(&refused, 403, "role-not-permitted");
    assert_eq!(world.broker.last_event("issue.denied").await["cause"], "not-granted");
    assert_eq!(kept(&world), 0);
    // Given back, it is a new issue.
    world.broker.apply(&world.aws.catalog()).await;
    assert_ne!(key(&world, &token).await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_rule_drops_what_it_would_no_longer_permit_though_nobody_asks() {
    let world = Sandboxed::start().await;
    let (_, token) = lin(&world).await;
    key_for(&world, &token, json!({ "duration": "2h" })).await;
    let rule = "id = \"teams-deploy-their-own\"";
    world.change_catalog(rule, &format!("{rule}\nmax_session = \"1h\"")).await;
    until_nothing_is_kept(&world).await;
    key_for(&world, &token, json!({ "duration": "2h" })).await;
    assert_eq!(events(&world, "issue.succeeded").await[1]["duration_s"], 3_600, "never longer than allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_refused_at_once_and_takes_the_credentials_with_it() {
    let world = Sandboxed::start().await;
    let (lin, first) = lin(&world).await;
    let second = token(&world, &lin, Scope::FULL).await;
    let before = key(&world, &first).await;
    assert_eq!(key(&world, &second).await, before);
    // By the command line, which is another process.
    let id = events(&world, "issue.succeeded").await[0]["token"].as_str().unwrap().to_owned();
    let folder = world.broker.folder();
    stdout(rolegate().args(["tokens", "revoke", "--token", &id, "--data-dir"]).arg(&folder));
    problem(&post(&world, &first, json!({})).await, 401, "token-refused");
    until_nothing_is_kept(&world).await;
    assert_ne!(key(&world, &second).await, before, "the person's other programs get their own");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_signs_out_leaves_no_credentials_behind() {
    let world = Sandboxed::start().await;
    let (mut lin, token) = lin(&world).await;
    let before = key(&world, &token).await;
    lin.post("/sign-out", &[]).await;
    assert_eq!(kept(&world), 0, "by the time the page is there");
    assert_ne!(key(&world, &token).await, before, "this token was not of that session");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_another_replica_ends_is_refused_at_once_and_forgotten_soon() {
    let world = Sandboxed::start().await;
    let lin = world.sign_in_as("lin").await;
    let session = world.broker.app.ground.store.session(&Token::parse(lin.session()).unwrap().hash()).await;
    let id = session.unwrap().unwrap().public_id;
    let bound = |authorization: &mut Authorization| authorization.session = Some(id);
    let token = token_with(&world, &lin, bound).await;
    let other = Broker::wishes().clock(&world.clock).unless_set(world.aws.settings()).on_data_of(&world.broker).start();
    let other = other.await;
    let here = key(&world, &token).await;
    let there = post_to(&other, &token, json!({})).await.json();
    assert_ne!(there["AccessKeyId"], here, "each replica has a memory of its own");
    let mut lin = lin;
    lin.post("/sign-out", &[]).await;
    for broker in [&other, &world.broker] {
        problem(&post_to(broker, &token, json!({})).await, 401, "token-refused");
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while !other.app.ground.kept.is_empty() {
        assert!(Instant::now() < deadline, "the other replica keeps what it will not deliver");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_never_share() {
    let world = Sandboxed::start().await;
    let (person, token) = lin(&world).await;
    let other = |change: fn(&mut Authorization)| token_with(&world, &person, change);
    let strangers = [
        other(|it| it.identity.subject.value.push('2')).await,
        // In CloudTrail another name, in a session tag another department.
        other(|it| it.identity.email = Some("other@larkspur.example".to_owned())).await,
        other(|it| {
            it.identity.attributes.0.insert("department".to_owned(), vec!["Other".to_owned()]);
        })
        .await,
        other(|it| {
            let ends = it.expires - jiff::SignedDuration::from_hours(1);
            it.identity.authentication.session_not_on_or_after = Some(ends);
        })
        .await,
    ];
    let mut keys = BTreeSet::from([key(&world, &token).await]);
    for stranger in &strangers {
        keys.insert(key(&world, stranger).await);
    }
    assert_eq!((keys.len(), world.aws.wire.sts_calls(), kept(&world)), (5, 5, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_options_are_other_credentials() {
    let world = Sandboxed::with(Broker::wishes().set("limits.issue_burst", "100")).await;
    let (_, token) = lin(&world).await;
    let deny =
        json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Deny", "Action": "s3:*", "Resource": "*" }] });
    let allow =
        json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "*", "Resource": "*" }] });
    let wishes = [
        json!({}),
        json!({ "duration": "30m" }),
        json!({ "policy": deny }),
        json!({ "policy": allow }),
        json!({ "policy_arns": ["arn:aws:iam::aws:policy/ReadOnlyAccess"] }),
        json!({ "region": "eu-west-1" }),
    ];
    let mut first = Vec::new();
    for wish in &wishes {
        first.push(key_for(&world, &token, wish.clone()).await);
    }
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), wishes.len());
    for (wish, key) in wishes.iter().zip(&first) {
        assert_eq!(key_for(&world, &token, wish.clone()).await, *key, "{wish}");
    }
    assert_eq!(world.aws.wire.sts_calls(), wishes.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_less_gets_none_of_what_another_token_was_given() {
    let world = Sandboxed::start().await;
    let (lin, full) = lin(&world).await;
    let before = key(&world, &full).await;
    let narrow = token(&world, &lin, Scope::READ).await;
    problem(&post(&world, &narrow, json!({})).await, 403, "token-scope");
    assert_eq!(key(&world, &full).await, before, "a refusal of one program takes nothing from another");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_sts_is_down_what_is_left_is_delivered_to_its_last_minute() {
    let world = Sandboxed::start().await;
    let (_, token) = lin(&world).await;
    let first = key(&world, &token).await;
    world.aws.wire.spoil(Fault::Answers("/", 503, DOWN));
    world.clock.advance_secs(41 * 60);
    assert_eq!(key(&world, &token).await, first, "nobody can be given longer ones");
    world.broker.last_event("issue.reused").await;
    world.clock.advance_secs(18 * 60 - 30);
    assert_eq!(key(&world, &token).await, first);
    world.clock.advance_secs(60);
    problem(&post(&world, &token, json!({})).await, 503, "aws-unavailable");
    assert_eq!(world.broker.last_event("issue.failed").await["cause"], "sts-unavailable");
    // And when it is back, nothing is in the way.
    world.aws.wire.spoil(None);
    world.clock.advance_secs(11);
    assert_ne!(key(&world, &token).await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_says_no_is_believed_though_a_set_is_left() {
    let world = Sandboxed::start().await;
    let (_, token) = lin(&world).await;
    key(&world, &token).await;
    world.aws.wire.spoil(Fault::Answers("/", 403, REFUSED));
    world.clock.advance_secs(41 * 60);
    problem(&post(&world, &token, json!({})).await, 502, "aws-refused");
    assert_eq!(kept(&world), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_failures_calls_sts_once_a_second_and_tells_everybody() {
    let world = Sandboxed::start().await;
    let (_, token) = lin(&world).await;
    world.aws.wire.spoil(Fault::Answers("/", 403, REFUSED));
    let began = Instant::now();
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.extend(join_all((0..20).map(|_| post(&world, &token, json!({})))).await);
    }
    let calls = world.aws.wire.sts_calls();
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!((3..=seconds + 2).contains(&calls), "{calls} calls for sixty requests in {seconds} s");
    for answer in &answers {
        let (sentence, request) = problem(answer, 502, "aws-refused");
        assert!(sentence.contains("trust policy"), "{sentence}");
        let own = world.events_of(&request).await;
        let failed: Vec<_> = own.iter().filter(|(kind, _)| kind == "issue.failed").collect();
        assert_eq!(failed.len(), 1, "{own:?}");
        assert_eq!(failed[0].1["cause"], "sts-trust-policy-refuses");
        assert_eq!(failed[0].1["aws_code"], "AccessDenied");
    }
    world.aws.wire.spoil(None);
    key(&world, &token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_does_not_take_the_others_with_it() {
    let world = Sandboxed::start().await;
    let (_, token) = lin(&world).await;
    world.aws.wire.spoil(Fault::Slow("/", Duration::from_millis(1_500)));
    let at = world.broker.at(&format!("/api/v1/roles/{PAYMENTS}/{DEPLOY}/credentials"));
    let first = client().post(at).bearer_auth(token.expose_secret()).timeout(Duration::from_millis(300)).send();
    let (gone, answer) = tokio::join!(first, async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        post(&world, &token, json!({})).await
    });
    assert!(gone.unwrap_err().is_timeout());
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(world.aws.wire.sts_calls(), 1);
    assert_eq!(events(&world, "issue.succeeded").await.len(), 1, "what was begun with an intent has an outcome");
    world.broker.last_event("issue.reused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_delivered_again_that_could_not_be_recorded() {
    let world = Sandboxed::start().await;
    let (_, token) = lin(&world).await;
    key(&world, &token).await;
    let mut database = database(&world.broker.folder()).await;
    let full = "CREATE TRIGGER full BEFORE INSERT ON audit_event WHEN NEW.kind = 'issue.reused' \
                BEGIN SELECT RAISE(ABORT, 'no room'); END";
    sql(&mut database, full).await;
    let answers = join_all((0..5).map(|_| post(&world, &token, json!({})))).await;
    for answer in &answers {
        problem(answer, 503, "unavailable");
        assert!(!answer.body.contains("Secret"), "{}", answer.body);
    }
    sql(&mut database, "DROP TRIGGER full").await;
    key(&world, &token).await;
    world.broker.last_event("issue.reused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_credentials_are_nowhere_on_disk() {
    let world = Sandboxed::start().await;
    let (_, token) = lin(&world).await;
    let answer = post(&world, &token, json!({})).await.json();
    key(&world, &token).await;
    assert_eq!(kept(&world), 1);
    let disk = world.broker.bytes_on_disk();
    let found = |text: &str| disk.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(found(answer["AccessKeyId"].as_str().unwrap()), "the key's id is on record");
    for name in ["SecretAccessKey", "SessionToken"] {
        let secret = answer[name].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert!(!found(secret), "{name}");
    }
    assert!(!format!("{:?}", world.broker.app.ground).contains(answer["SecretAccessKey"].as_str().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_on_kept_credentials_is_not_held_up_by_the_limit_on_new_ones() {
    let wishes = Broker::wishes().set("limits.issue_per_minute", "1").set("limits.issue_burst", "1");
    let world = Sandboxed::with(wishes).await;
    let (_, token) = lin(&world).await;
    let first = key(&world, &token).await;
    for _ in 0..20 {
        assert_eq!(key(&world, &token).await, first);
    }
    for more in [json!({ "duration": "30m" }), json!({ "fresh": true })] {
        let refused = post(&world, &token, more).await;
        problem(&refused, 429, "too-many-requests");
        assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
    }
    // Not even a set past its mark is withheld because a new one may not be had yet.
    world.clock.advance_secs(41 * 60);
    assert_eq!(key(&world, &token).await, first);
    assert_eq!(world.aws.wire.sts_calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_may_fetch_only_so_often() {
    let wishes = Broker::wishes().set("limits.deliver_per_minute", "1").set("limits.deliver_burst", "3");
    let world = Sandboxed::with(wishes).await;
    let (_, token) = lin(&world).await;
    for _ in 0..3 {
        key(&world, &token).await;
    }
    problem(&post(&world, &token, json!({})).await, 429, "too-many-requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_programs_that_wake_together_are_all_served_with_one_call_for_each_person() {
    const PEOPLE: usize = 20;
    let world = Sandboxed::start().await;
    let (person, _) = lin(&world).await;
    let mut tokens = Vec::new();
    for at in 0..200 {
        let somebody = move |it: &mut Authorization| it.identity.subject.value = format!("person-{}", at % PEOPLE);
        tokens.push(token_with(&world, &person, somebody).await);
    }
    let answers = join_all(tokens.iter().map(|token| post(&world, token, json!({})))).await;
    let keys: BTreeSet<_> = answers
        .iter()
        .map(|answer| {
            assert_eq!(answer.status, 200, "{}", answer.body);
            answer.json()["AccessKeyId"].to_string()
        })
        .collect();
    assert_eq!((keys.len(), world.aws.wire.sts_calls()), (PEOPLE, PEOPLE));
    let delivered = events(&world, "issue.succeeded").await.len() + events(&world, "issue.reused").await.len();
    assert_eq!(delivered, 200);
}
