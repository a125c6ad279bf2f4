//! Using a role as a program does.

use rolegate::access::Scope;
use serde_json::{Value, json};

use super::{Program, READ_PAYMENTS};
use crate::broker::Broker;
use crate::browser_client::Browser;
use crate::peers::{AwsKeys, get_caller_identity};
use crate::sandboxed::{Fault, Sandboxed, client, problem, send};

const CREDENTIALS: &str = "/api/v1/roles/111122223333/ReadOnly/credentials";
const CONSOLE: &str = "/api/v1/roles/111122223333/ReadOnly/console";
const ARN: &str = "arn:aws:sts::111122223333:assumed-role/ReadOnly/asha.raman@larkspur.example";

async fn caller(world: &Sandboxed, json: &Value) -> Value {
    let text = |name: &str| json[name].as_str().unwrap_or_else(|| panic!("no {name} in {json}")).to_owned();
    let keys = AwsKeys {
        access_key_id: text("AccessKeyId"),
        secret_access_key: text("SecretAccessKey"),
        session_token: text("SessionToken"),
    };
    let sts = world.aws.base.clone();
    tokio::task::spawn_blocking(move || get_caller_identity(&sts, &keys)).await.unwrap()["Arn"].clone()
}

/// What the last call to STS asked.
fn asked_of_sts(world: &Sandboxed) -> Vec<(String, String)> {
    let calls = world.aws.wire.exchanges();
    let call = calls.iter().rev().find(|call| call.sent.contains("Action=AssumeRoleWithSAML")).unwrap();
    let form = call.sent.split_once('\n').unwrap().1;
    url::form_urlencoded::parse(form.as_bytes()).into_owned().collect()
}

fn value<'a>(asked: &'a [(String, String)], name: &str) -> Option<&'a str> {
    asked.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_gets_keys_that_work_and_the_record_says_by_which_token() {
    let world = Sandboxed::start().await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    let answer = program.post(CREDENTIALS).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{}", answer.body);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("content-disposition"), "");
    assert_eq!(answer.header("x-request-id").len(), 16);
    let keys = answer.json();
    assert_eq!(keys["RoleArn"], "arn:aws:iam::111122223333:role/ReadOnly");
    assert_eq!(caller(&world, &keys).await, ARN);
    let event = world.broker.last_event("issue.succeeded").await;
    assert_eq!(event["token"], program.authorization.as_str());
    assert_eq!((&event["delivery"], &event["access_key_id"]), (&json!("api:json"), &keys["AccessKeyId"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_is_delivered_as_itself_and_as_a_file_only_when_asked() {
    let world = Sandboxed::start().await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    for (format, kind, begins) in [
        ("json", "application/json", "{"),
        ("process", "application/json", "{\n  \"Version\": 1"),
        ("env", "text/plain; charset=utf-8", "unset AWS_SECURITY_TOKEN\nexport AWS_ACCESS_KEY_ID='"),
        ("fish", "text/plain; charset=utf-8", "set -e AWS_SECURITY_TOKEN"),
        ("powershell", "text/plain; charset=utf-8", "Remove-Item Env:AWS_SECURITY_TOKEN"),
        ("cmd", "text/plain; charset=utf-8", "set \"AWS_SECURITY_TOKEN=\""),
        ("ini", "text/plain; charset=utf-8", "[111122223333-ReadOnly]"),
    ] {
        let answer = program.post(&format!("{CREDENTIALS}?format={format}")).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, kind), "{}", answer.body);
        assert!(answer.body.starts_with(begins), "{}", answer.body);
        assert_eq!((answer.header("content-disposition"), answer.header("cache-control")), ("", "no-store"));
    }
    let delivered = world.broker.events().await.into_iter().filter(|(kind, _)| kind.starts_with("issue."));
    let words: Vec<Value> = delivered.map(|(_, body)| body["delivery"].clone()).collect();
    assert!(words.contains(&json!("api:ini")) && words.contains(&json!("api:process")), "{words:?}");
    let file = program.post(&format!("{CREDENTIALS}?format=ini&download=true")).await;
    assert_eq!(file.header("content-disposition"), "attachment; filename=\"111122223333-ReadOnly.credentials\"");
    for query in ["format=xml", "download=yes", "formt=env"] {
        problem(&program.post(&format!("{CREDENTIALS}?{query}")).await, 400, "bad-request");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_may_be_json_or_a_form() {
    let world = Sandboxed::start().await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    const FORM: &str = "application/x-www-form-urlencoded";
    for duration in [json!("30m"), json!("1800"), json!(1800)] {
        assert_eq!(program.post_json(CREDENTIALS, &json!({ "duration": duration, "fresh": true })).await.status, 200);
        assert_eq!(world.broker.last_event("issue.succeeded").await["duration_s"], 1800);
    }
    assert_eq!(program.post_text(CREDENTIALS, FORM, "duration=45m&fresh=true").await.status, 200);
    assert_eq!(world.broker.last_event("issue.succeeded").await["duration_s"], 2700);
    // More than the role allows is no mistake: it is as long as may be.
    assert_eq!(program.post_json(CREDENTIALS, &json!({ "duration": "12h", "fresh": true })).await.status, 200);
    for duration in [json!("5m"), json!(37 * 3600), json!(-1), json!(1.5), json!([]), json!("soon")] {
        let answer = program.post_json(CREDENTIALS, &json!({ "duration": duration })).await;
        let (sentence, events) = program.refused(&answer, 400, "duration-invalid").await;
        assert_eq!(sentence, "Please choose between 15 minutes and what the role allows, for example 1h.");
        assert!(events.is_empty());
    }
    for (kind, body, says) in [
        (
            "application/json",
            "{\"durations\":\"1h\"}",
            "There is no `durations` here; this takes `duration`, `policy`, `policy_arns`, `scope_down`, `region`, `fresh`, `mfa_code` and `mfa_serial`.",
        ),
        ("application/json", "{\"duration\":\"1h\",\"duration\":\"2h\"}", "`duration` stands twice in one object."),
        ("application/json", "[]", "The body must be one JSON object."),
        ("application/json", "{\"fresh\":\"yes\"}", "`fresh` must be true or false."),
        ("application/json", "{\"region\":\"moon\"}", "`region` is the name of an AWS region, such as eu-west-1."),
        (FORM, "{\"duration\":\"1h\"}", "The body is JSON. Say so with the header `Content-Type: application/json`."),
        ("text/plain", "1h", "Send JSON as application/json, a form as application/x-www-form-urlencoded, or nothing."),
    ] {
        let answer = program.post_text(CREDENTIALS, kind, body).await;
        assert_eq!(program.refused(&answer, 400, "bad-request").await, (says.to_owned(), vec![]), "{body}");
    }
    let large = json!({ "policy": "x".repeat(70_000) });
    program.refused(&program.post_json(CREDENTIALS, &large).await, 413, "too-large").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_policy_reaches_sts() {
    let world = Sandboxed::start().await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    let document = json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*" }],
    });
    let arn = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    for policy in [document.clone(), Value::String(serde_json::to_string_pretty(&document).unwrap())] {
        let answer =
            program.post_json(CREDENTIALS, &json!({ "policy": policy, "policy_arns": [arn], "fresh": true })).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let asked = asked_of_sts(&world);
        assert_eq!(value(&asked, "Policy"), Some(document.to_string().as_str()));
        assert_eq!(value(&asked, "PolicyArns.member.1.arn"), Some(arn));
        let events = world.events_of(answer.header("x-request-id")).await;
        let intent = &events.iter().find(|(kind, _)| kind == "issue.intended").unwrap().1;
        assert_eq!((&intent["session_policy"], &intent["policy_arns"]), (&document, &json!([arn])));
    }
    let audit = "arn:aws:iam::aws:policy/SecurityAudit";
    let form = format!("policy_arns={arn}+{audit}&fresh=true");
    let answer = program.post_text(CREDENTIALS, "application/x-www-form-urlencoded", &form).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(value(&asked_of_sts(&world), "PolicyArns.member.2.arn"), Some(audit));
    assert_eq!(value(&asked_of_sts(&world), "Policy"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_policy_that_sts_would_refuse_costs_no_call() {
    let world = Sandboxed::start().await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    let arns: Vec<String> = (0..11).map(|n| format!("arn:aws:iam::aws:policy/P{n}")).collect();
    let denying = |action: &str| json!({ "Statement": { "Action": action, "Effect": "Deny", "Resource": "*" } });
    for (body, says) in [
        (json!({ "policy": {} }), "An inline session policy is a JSON object with a `Statement`."),
        (json!({ "policy": "no" }), "An inline session policy is a JSON object with a `Statement`."),
        (json!({ "policy": ["x"] }), "An inline session policy is a JSON object, or the text of one."),
        (
            json!({ "policy": denying(&"x".repeat(2_048)) }),
            "The session policy has 2106 characters, with the ARNs of managed policies and without white space; STS \
             takes 2048.",
        ),
        (
            json!({ "policy": { "Statement": { "Effect": "Perhaps", "Action": "*", "Resource": "*" } } }),
            "The inline session policy is not well-formed: its `Effect` is \"Allow\" or \"Deny\".",
        ),
        (
            json!({ "policy": denying("€") }),
            "An inline session policy holds tab, line breaks, and characters from U+0020 to U+00FF; write others as \\u escapes.",
        ),
        (json!({ "policy_arns": arns }), "11 managed policies were named; STS takes ten."),
        (
            json!({ "scope_down": { "regions": ["moon"] } }),
            "`moon` is not a valid region: write a name such as eu-west-1.",
        ),
        (
            json!({ "scope_down": { "networks": ["office"] } }),
            "`office` is no network; write a CIDR block such as 203.0.113.0/24, or one address.",
        ),
        (
            json!({ "policy_arns": ["ReadOnlyAccess"] }),
            "`ReadOnlyAccess` is not the ARN of a managed policy, such as arn:aws:iam::aws:policy/ReadOnlyAccess.",
        ),
    ] {
        let answer = program.post_json(CREDENTIALS, &body).await;
        let refused = program.refused(&answer, 400, "session-policy-invalid").await;
        assert_eq!(refused, (says.to_owned(), vec![]), "{body}");
    }
    // What can only be told once the role is known is a denial, and on record.
    let regions = json!({ "regions": ["us-gov-west-1"] });
    for (body, says) in
        [(json!({ "scope_down": regions }), "The region us-gov-west-1 is not in this account's partition, aws.")]
    {
        let answer = program.post_json(CREDENTIALS, &body).await;
        let (sentence, events) = program.refused(&answer, 400, "session-policy-invalid").await;
        assert_eq!(sentence, says);
        assert_eq!((events[0].0.as_str(), &events[0].1["cause"]), ("issue.denied", &json!("scope-down")));
    }
    assert_eq!(world.aws.wire.sts_calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_policy_that_sts_refuses_is_told_to_whoever_sent_it() {
    let world = Sandboxed::start().await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    let missing = "arn:aws:iam::111122223333:policy/team/x";
    let answer = program.post_json(CREDENTIALS, &json!({ "policy_arns": [missing] })).await;
    let (sentence, _) = program.refused(&answer, 400, "session-policy-invalid").await;
    assert!(sentence.contains("that the account has the managed policies it names"), "{sentence}");
    // Whether an action has a service in front is for STS to say.
    let statement = |action: &str| json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": action, "Resource": "*" }] });
    let answer = program.post_json(CREDENTIALS, &json!({ "policy": statement("everything") })).await;
    let (sentence, events) = program.refused(&answer, 400, "session-policy-invalid").await;
    assert!(sentence.starts_with("AWS does not accept the session policy."), "{sentence}");
    let [(first, _), (second, failed)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((first.as_str(), second.as_str()), ("issue.intended", "issue.failed"));
    assert_eq!(
        (&failed["cause"], &failed["aws_code"]),
        (&json!("sts-policy-malformed"), &json!("MalformedPolicyDocument"))
    );

    const TOO_LARGE: &str = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
        <Code>PackedPolicyTooLarge</Code><Message>Packed size of session tags consumes 138% of allotted space.</Message>\
        </Error><RequestId>r</RequestId></ErrorResponse>";
    world.aws.wire.spoil(Fault::Answers("/", 400, TOO_LARGE));
    let answer = program.post_json(CREDENTIALS, &json!({ "scope_down": { "read_only": true } })).await;
    let (sentence, events) = program.refused(&answer, 400, "session-policy-invalid").await;
    assert!(sentence.starts_with("What the session is limited to does not fit into the room AWS has"), "{sentence}");
    assert_eq!(events[1].1["cause"], "sts-policy-too-large");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_is_that_of_sts_and_of_the_formats_that_name_one() {
    let world = Sandboxed::start().await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    let answer = program.post_json(CREDENTIALS, &json!({ "region": "eu-central-1" })).await;
    assert_eq!(answer.json()["Region"], "eu-central-1");
    assert_eq!(world.broker.last_event("issue.succeeded").await["region"], "eu-central-1");

    let gov = "/api/v1/roles/219048573302/Admin/credentials";
    let answer = program.post_json(gov, &json!({ "region": "eu-central-1" })).await;
    let (sentence, _) = program.refused(&answer, 400, "bad-request").await;
    assert_eq!(sentence, "The region eu-central-1 is not in this account's partition, aws-us-gov.");
    let stranger = Program::of(&world, "kim", Scope::FULL).await;
    let answer = stranger.post_json(gov, &json!({ "region": "eu-central-1" })).await;
    stranger.refused(&answer, 403, "role-not-permitted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_link_opens_the_page_that_was_asked_for() {
    let world = Sandboxed::start().await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    let place = world.aws.at("console/ec2/home?region=eu-west-1");
    let answer = program.post_json(CONSOLE, &json!({ "destination": place, "duration": "2h" })).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{}", answer.body);
    let link = answer.json();
    let console = Browser::new().get(link["url"].as_str().unwrap()).await;
    assert!(console.url.path().ends_with("/ec2/home"), "{}", console.url);
    assert!(console.body.contains("arn:aws:iam::111122223333:role/ReadOnly"), "{}", console.body);
    let at = |name: &str| link[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(at("expires").duration_since(world.broker.now()).as_secs(), 15 * 60);
    assert!(at("session_expires").duration_since(world.broker.now()).as_secs() > 3_600);
    assert_eq!(world.broker.last_event("issue.succeeded").await["delivery"], "api:console");

    let answer = program.post_json(CONSOLE, &json!({ "destination": "https://evil.example/" })).await;
    let (sentence, events) = program.refused(&answer, 400, "destination-refused").await;
    assert_eq!(sentence, "Only pages of the AWS Management Console can be opened.");
    assert_eq!((events[0].0.as_str(), &events[0].1["cause"]), ("issue.denied", &json!("destination-refused")));
    let answer = program.post_json(CONSOLE, &json!({ "polcy": {} })).await;
    let (sentence, _) = program.refused(&answer, 400, "bad-request").await;
    assert_eq!(
        sentence,
        "There is no `polcy` here; this takes `destination`, `duration`, `policy`, `policy_arns` and `scope_down`."
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_made_for_less_gets_nothing_and_the_record_says_so() {
    let world = Sandboxed::start().await;
    let reader = Program::of(&world, "asha", Scope::READ).await;
    let other = Scope { issue: true, roles: Some(["104729301846/Admin".parse().unwrap()].into()) };
    let other = Program::of(&world, "asha", other).await;
    for program in [&reader, &other] {
        for path in [CREDENTIALS, CONSOLE] {
            let answer = program.post(path).await;
            let (sentence, events) = program.refused(&answer, 403, "token-scope").await;
            assert!(sentence.starts_with("You may use the role, but not with this token."), "{sentence}");
            assert!(answer.header("www-authenticate").contains("insufficient_scope"));
            let [(kind, body)] = events.as_slice() else { panic!("{events:?}") };
            assert_eq!((kind.as_str(), &body["cause"]), ("issue.denied", &json!("token-scope")));
            assert_eq!(body["token"], program.authorization.as_str());
        }
    }
    let stranger = Program::of(&world, "kim", Scope::FULL).await;
    let answer = stranger.post(CREDENTIALS).await;
    let (_, events) = stranger.refused(&answer, 403, "role-not-permitted").await;
    assert_eq!((events[0].0.as_str(), &events[0].1["cause"]), ("issue.denied", &json!("not-granted")));
    assert_eq!(world.aws.wire.sts_calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browsers_session_proves_that_a_page_of_ours_asks() {
    let world = Sandboxed::start().await;
    let (asha, lin) = (world.sign_in_as("asha").await, world.sign_in_as("lin").await);
    let csrf = |me: &Value| me["csrf"].as_str().unwrap().to_owned();
    let own = csrf(&asha.program_get("/api/v1/me").await.json());
    let others = csrf(&lin.program_get("/api/v1/me").await.json());
    let post = |headers: Vec<(&'static str, String)>| {
        let request = client().post(world.broker.at(CREDENTIALS)).header("cookie", asha.cookie());
        send(headers.into_iter().fold(request, |request, (name, value)| request.header(name, value)))
    };
    let origin = world.broker.base.clone();
    let answer =
        post(vec![("x-csrf-token", own.clone()), ("origin", origin), ("sec-fetch-site", "same-origin".into())]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(world.broker.last_event("issue.succeeded").await["token"], Value::Null);
    for headers in [
        vec![],
        vec![("x-csrf-token", others)],
        vec![("x-csrf-token", own.clone()), ("sec-fetch-site", "cross-site".into())],
        vec![("x-csrf-token", own.clone()), ("sec-fetch-site", "same-site".into())],
        vec![("x-csrf-token", own.clone()), ("origin", "https://evil.example".into())],
    ] {
        let (_, request) = problem(&post(headers).await, 403, "cross-site");
        assert!(world.events_of(&request).await.is_empty());
    }
    // A cookie beside a token that does not count is not looked at.
    let answer = post(vec![("x-csrf-token", own), ("authorization", "Bearer junk".into())]).await;
    problem(&answer, 401, "token-refused");
    assert_eq!(world.aws.wire.sts_calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_have_a_pace_and_say_how_long_to_wait() {
    let wishes = Broker::wishes().set("limits.issue_per_minute", "1").set("limits.issue_burst", "2");
    let world = Sandboxed::with(wishes).await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    for path in [CREDENTIALS, CONSOLE] {
        assert_eq!(program.post_json(path, &json!({ "duration": "1h" })).await.status, 200);
    }
    let answer = program.post_json(CREDENTIALS, &json!({ "fresh": true })).await;
    let (sentence, events) = program.refused(&answer, 429, "too-many-requests").await;
    assert_eq!((sentence.as_str(), events), ("Please wait a moment and try again.", vec![]));
    assert!((1..=60).contains(&answer.header("retry-after").parse::<u64>().unwrap()));
    assert_eq!(program.get("/api/v1/roles").await.status, 200, "only issuing waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_browser_can_put_right_comes_with_a_link() {
    let world = Sandboxed::start().await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    let role = "account = \"111122223333\"\nname = \"ReadOnly\"\n";
    world.change_catalog(role, &format!("{role}authentication = {{ max_age = \"15m\" }}\n")).await;
    assert_eq!(program.post(CREDENTIALS).await.status, 200, "asha has just signed in");
    world.clock.advance_secs(20 * 60);
    for path in [CREDENTIALS, CONSOLE] {
        let answer = program.post(path).await;
        let (sentence, events) = program.refused(&answer, 403, "step-up-required").await;
        assert!(sentence.ends_with("Open the link in a browser to sign in again."), "{sentence}");
        assert_eq!(answer.json()["link"], "/go?account=111122223333&role=ReadOnly");
        assert_eq!((events[0].0.as_str(), &events[0].1["cause"]), ("issue.denied", &json!("authentication-too-old")));
    }
    let listed = program.get("/api/v1/roles?account=111122223333&q=recent").await.json();
    assert_eq!((&listed["total"], &listed["roles"][0]["step_up"]), (&json!(1), &json!(true)));
    assert_eq!(listed["roles"][0]["authentication"]["max_age_s"], 900);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_aws_is_down_programs_are_told_to_wait() {
    let world = Sandboxed::start().await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    world.aws.wire.spoil(Fault::Answers("/", 503, "<html>upstream connect error 10.1.2.3</html>"));
    let answer = program.post(CREDENTIALS).await;
    let (sentence, events) = program.refused(&answer, 503, "aws-unavailable").await;
    assert!(sentence.starts_with("AWS STS is not answering just now.") && !answer.body.contains("10.1.2.3"));
    assert_eq!(events[1].1["token"], program.authorization.as_str());
    assert_eq!(program.post(&format!("{READ_PAYMENTS}/nothing")).await.status, 404);
}
