//! Sessions that are limited to less than their role: by the person, the role and the rule.

use rolegate::access::Scope;
use serde_json::{Value, json};

use crate::api::Program;
use crate::browser_client::Page;
use crate::sandboxed::{Fault, Person, Sandboxed, plain, problem};

const READ: &str = "/roles/111122223333/ReadOnly";
const API: &str = "/api/v1/roles/111122223333/ReadOnly";
const READ_ONLY: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";

/// What the last call to STS asked.
fn asked(world: &Sandboxed) -> Vec<(String, String)> {
    let calls = world.aws.wire.exchanges();
    let call = calls.iter().rev().find(|call| call.sent.contains("Action=AssumeRoleWithSAML")).unwrap();
    let form = call.sent.split_once('\n').unwrap().1;
    url::form_urlencoded::parse(form.as_bytes()).into_owned().collect()
}

fn value(world: &Sandboxed, name: &str) -> Option<String> {
    asked(world).into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

/// The inline policy STS was sent.
fn inline(world: &Sandboxed) -> Value {
    serde_json::from_str(&value(world, "Policy").expect("an inline policy")).unwrap()
}

/// The latest event of a kind.
async fn latest(world: &Sandboxed, kind: &str) -> Value {
    let found = world.broker.events().await.into_iter().rfind(|(known, _)| known == kind);
    found.unwrap_or_else(|| panic!("there is no {kind}")).1
}

/// The condition of the statement that denies by this operator.
fn lock(policy: &Value, operator: &str) -> Value {
    let statements = policy["Statement"].as_array().unwrap();
    let found = statements.iter().find(|one| one["Effect"] == "Deny" && one["Condition"].get(operator).is_some());
    found.unwrap_or_else(|| panic!("nothing denies by {operator}: {policy}"))["Condition"][operator].clone()
}

/// What somebody reads, without tags and with blanks that are one.
fn read(page: &Page) -> String {
    let text = regex::Regex::new(r"<[^>]*>").unwrap().replace_all(&page.body, " ").into_owned();
    plain(&text).split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn role_with(line: &str) -> Sandboxed {
    let world = Sandboxed::start().await;
    let role = "[[role]]\naccount = \"111122223333\"\nname = \"ReadOnly\"\n";
    world.change_catalog(role, &format!("{role}{line}\n")).await;
    world
}

async fn check(person: &mut Person, fields: &[(&str, &str)]) -> Page {
    let page = person.post(&format!("{READ}/options"), fields).await;
    assert_eq!(page.status, 200, "{}", page.body);
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_chooses_in_the_form_reaches_sts_and_the_record_and_stays_with_the_session() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let picker = asha.open("/").await;
    assert!(picker.body.contains(&format!("href=\"{READ}/options\"")), "{}", picker.body);
    let form = asha.open(&format!("{READ}/options")).await;
    let said = read(&form);
    assert!(said.contains("Nothing is limited: the session may do all the role may."), "{said}");
    assert!(said.contains("Only from where I am now 127.0.0.1"), "{said}");

    let form = form.form_to(&format!("{READ}/console"));
    let mut filled = form
        .set("duration", "1800")
        .set("read_only", "true")
        .set("regions", "eu-west-1, eu-central-1")
        .set("networks", "203.0.113.0/24");
    filled.action.set_path(&format!("{READ}/credentials"));
    let page = asha.browser.submit(&filled).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let said = read(&page);
    for words in
        ["only reading", "only in eu-central-1 and eu-west-1", "only from 203.0.113.0/24", "Policy and tags take"]
    {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
    let expect = |world: &Sandboxed| {
        assert_eq!(value(world, "PolicyArns.member.1.arn").as_deref(), Some(READ_ONLY));
        let policy = inline(world);
        assert_eq!(lock(&policy, "StringNotEquals")["aws:RequestedRegion"], json!(["eu-central-1", "eu-west-1"]));
        assert_eq!(lock(&policy, "NotIpAddress")["aws:SourceIp"], "203.0.113.0/24");
    };
    expect(&world);
    let intent = latest(&world, "issue.intended").await;
    assert_eq!(
        intent["scope_down"],
        json!({ "asked": ["only reading", "only in eu-central-1 and eu-west-1", "only from 203.0.113.0/24"] })
    );
    assert_eq!((&intent["session_policy"], &intent["policy_arns"]), (&inline(&world), &json!([READ_ONLY])));
    let issued = latest(&world, "issue.succeeded").await;
    assert!(issued["packed_percent"].as_u64().unwrap() > 0, "{issued}");

    // A new set, a file and the console from that page are limited in the same way.
    for form in page.forms().into_iter().filter(|form| form.action.path().ends_with("/credentials")) {
        let again = asha.browser.submit(&form).await;
        assert_eq!(again.status, 200, "{}", again.body);
        expect(&world);
    }
    let mut console = page.forms().into_iter().rfind(|form| form.action.path().ends_with("/credentials")).unwrap();
    console.action.set_path(&format!("{READ}/console"));
    let console = asha.browser.submit(&console).await;
    assert!(console.url.path().starts_with("/console"), "{}", console.url);
    expect(&world);
    // The plain button asks for nothing.
    let plain = asha.program_post(&format!("{READ}/credentials"), &[("format", "json")]).await;
    assert_eq!((plain.status, value(&world, "Policy")), (200, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_the_form_loses_nothing_and_asks_aws_nothing() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let fields = [
        ("duration", "1800"),
        ("destination", "https://console.aws.amazon.com/s3/home"),
        ("read_only", "true"),
        ("regions", "eu-west-1 moon&b"),
        ("networks", "203.0.113.0/24"),
        ("policy", "{ \"Statement\": "),
    ];
    for button in ["console", "credentials"] {
        let page = asha.post(&format!("{READ}/{button}"), &fields).await;
        assert_eq!(page.status, 400, "{}", page.body);
        let form = page.form_to(&format!("{READ}/console"));
        assert_eq!((form.value("regions"), form.value("read_only")), (Some("eu-west-1 moon&b"), Some("true")));
        for kept in [">203.0.113.0/24</textarea>", ">{ &#34;Statement&#34;: </textarea>"] {
            assert!(page.body.contains(kept), "no `{kept}` in {}", page.body);
        }
        assert_eq!(form.value("destination"), Some(fields[1].1));
        assert!(page.body.contains("<option value=\"1800\" selected>"), "{}", page.body);
        let said = plain(&page.body);
        for words in [
            "`moon&b` is not a valid region: write a name such as eu-west-1.",
            "An inline session policy is a JSON object with a `Statement`.",
            "Something above cannot be read; it says what.",
        ] {
            assert!(said.contains(words), "no `{words}` in {said}");
        }
        for marked in ["regions", "policy"] {
            assert!(page.body.contains(&format!("aria-describedby=\"{marked}-error {marked}-hint\"")), "{}", page.body);
        }
        assert!(page.body.contains("<details class=\"own\" open>"), "{}", page.body);
    }
    let answer = asha.program_post(&format!("{READ}/credentials"), &[("format", "env"), ("regions", "moon")]).await;
    let (sentence, _) = problem(&answer, 400, "session-policy-invalid");
    assert_eq!(sentence, "`moon` is not a valid region: write a name such as eu-west-1.");
    assert_eq!(world.aws.wire.sts_calls(), 0);
    let kinds: Vec<String> = world.broker.events().await.into_iter().map(|(kind, _)| kind).collect();
    assert!(!kinds.iter().any(|kind| kind.starts_with("issue.")), "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_tells_what_is_used_and_what_is_left() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let page = check(&mut asha, &[("read_only", "true")]).await;
    let said = read(&page);
    assert!(said.contains("38 of 2048 characters used, 2010 left; 1 managed policy, 9 more possible."), "{said}");
    assert!(said.contains(READ_ONLY), "{said}");
    let policy = r#"{"Statement":{"Effect":"Deny","Action":"s3:DeleteObject","Resource":"*"}}"#;
    let said = read(&check(&mut asha, &[("policy", policy), ("regions", "eu-west-1")]).await);
    assert!(said.contains("\"aws:RequestedRegion\": \"eu-west-1\"") && said.contains("\"s3:DeleteObject\""), "{said}");
    let resources: Vec<String> = (0..60).map(|n| format!("arn:aws:s3:::bucket-{n:04}/*")).collect();
    let long = json!({ "Statement": { "Effect": "Allow", "Action": "s3:*", "Resource": resources } }).to_string();
    let (fits, over) =
        ([("policy", long.as_str())], [("policy", long.as_str()), ("regions", "eu-west-1"), ("from_here", "true")]);
    assert!(read(&check(&mut asha, &fits).await).contains("of 2048 characters used"));
    let said = read(&check(&mut asha, &over).await);
    assert!(said.contains("Problem The session policy has 2") && said.contains("STS takes 2048."), "{said}");
    assert_eq!(world.aws.wire.sts_calls(), 0, "a check costs nothing");

    // What STS said the last time stands beside it.
    assert!(!said.contains("Last time"), "{said}");
    let issued = asha.post(&format!("{READ}/credentials"), &[("read_only", "true")]).await;
    assert_eq!(issued.status, 200, "{}", issued.body);
    let packed = latest(&world, "issue.succeeded").await["packed_percent"].as_u64().unwrap();
    let said = read(&asha.open(&format!("{READ}/options")).await);
    assert!(
        said.contains(&format!("Last time, policy and tags took {packed} % of the room AWS has for them.")),
        "{said}"
    );

    let mut kim = world.sign_in_as("kim").await;
    for refused in [kim.open(&format!("{READ}/options")).await, kim.post(&format!("{READ}/options"), &[]).await] {
        assert_eq!(refused.status, 403, "{}", refused.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roles_limit_holds_for_everybody_and_whoever_wants_more_is_told_in_the_form() {
    let world = role_with("scope_down = { read_only = true, regions = [\"eu-west-1\", \"us-east-1\"] }").await;
    let mut asha = world.sign_in_as("asha").await;
    let form = asha.open(&format!("{READ}/options")).await;
    let said = read(&form);
    assert!(said.contains("The role cannot be changed here only reading only in eu-west-1 and us-east-1"), "{said}");
    assert!(form.body.contains("name=\"read_only\" value=\"true\" checked disabled"), "{}", form.body);

    // Whichever way somebody comes.
    let console = asha.post(&format!("{READ}/console"), &[]).await;
    assert!(console.url.path().starts_with("/console"), "{}", console.url);
    let program = Program::of(&world, "asha", Scope::FULL).await;
    let mut ways = vec![latest(&world, "issue.intended").await];
    for (path, body) in [
        (format!("{API}/credentials"), json!({ "fresh": true })),
        (format!("{API}/console"), json!({})),
        (format!("{API}/credentials"), json!({ "scope_down": { "regions": ["us-east-1"] } })),
    ] {
        let answer = program.post_json(&path, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        ways.push(latest(&world, "issue.intended").await);
    }
    for intent in &ways {
        assert_eq!(intent["policy_arns"], json!([READ_ONLY]));
        assert_eq!(intent["scope_down"]["role"], json!(["only reading", "only in eu-west-1 and us-east-1"]));
    }
    assert_eq!(lock(&ways[3]["session_policy"], "StringNotEquals")["aws:RequestedRegion"], "us-east-1");
    assert_eq!(ways[3]["scope_down"]["asked"], json!(["only in us-east-1"]));

    let calls = world.aws.wire.sts_calls();
    let page = asha.post(&format!("{READ}/credentials"), &[("regions", "eu-north-1"), ("from_here", "true")]).await;
    assert_eq!(page.status, 400, "{}", page.body);
    let sentence = "No region is left: the role's own limit and what you ask for have none in common.";
    assert!(read(&page).contains(sentence), "{}", page.body);
    let form = page.form_to(&format!("{READ}/console"));
    assert_eq!((form.value("regions"), form.value("from_here")), (Some("eu-north-1"), Some("true")));
    let denied = latest(&world, "issue.denied").await;
    assert_eq!((&denied["cause"], &denied["role_name"]), (&json!("scope-down"), &json!("ReadOnly")));
    let answer =
        program.post_json(&format!("{API}/console"), &json!({ "scope_down": { "regions": ["eu-north-1"] } })).await;
    assert_eq!(problem(&answer, 400, "session-policy-invalid").0, sentence);
    assert_eq!(world.aws.wire.sts_calls(), calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sts_finds_too_large_comes_back_in_the_form() {
    const TOO_LARGE: &str = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
        <Code>PackedPolicyTooLarge</Code><Message>Packed size of session tags consumes 138% of allotted space.</Message>\
        </Error><RequestId>r</RequestId></ErrorResponse>";
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    world.aws.wire.spoil(Fault::Answers("/", 400, TOO_LARGE));
    let page = asha.post(&format!("{READ}/credentials"), &[("regions", "eu-west-1")]).await;
    assert_eq!(page.status, 400, "{}", page.body);
    assert!(read(&page).contains("does not fit into the room AWS has"), "{}", page.body);
    assert_eq!(page.form_to(&format!("{READ}/console")).value("regions"), Some("eu-west-1"));
    let failed = latest(&world, "issue.failed").await;
    assert_eq!(failed["cause"], "sts-policy-too-large");
    assert!(failed["aws_message"].as_str().unwrap().contains("138%"), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_may_be_bound_to_where_it_is_asked_for() {
    let world = role_with("scope_down = { networks = [\"caller\"] }").await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    let answer = program.post(&format!("{API}/credentials")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(lock(&inline(&world), "NotIpAddress")["aws:SourceIp"], "127.0.0.1");
    let intent = latest(&world, "issue.intended").await;
    assert_eq!(intent["scope_down"], json!({ "role": ["only from the address it is asked for from"] }));
    // The container protocol, which says nothing of its own.
    let answer = program.get("/api/v1/container/111122223333/ReadOnly").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(world.aws.wire.sts_calls(), 1, "given again, for the very same limit");
    let answer =
        program.post_json(&format!("{API}/credentials"), &json!({ "scope_down": { "read_only": true } })).await;
    assert_eq!((answer.status, world.aws.wire.sts_calls()), (200, 2), "another limit is another session");
    assert!(answer.json()["PackedPolicySize"].as_u64().unwrap() > 0, "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_that_waits_for_a_sign_in_keeps_its_limits() {
    let world = role_with("authentication = { max_age = \"15m\" }").await;
    let mut asha = world.sign_in_as("asha").await;
    world.clock.advance_secs(20 * 60);
    let page = asha.post(&format!("{READ}/console"), &[("read_only", "true"), ("regions", "eu-west-1")]).await;
    assert_eq!(page.status, 403, "{}", page.body);
    let people = asha.browser.follow(&page.link("/step-up/")).await;
    let form = people.form_with("pending").set("person", "asha").set("strength", "password");
    let answer = asha.browser.submit(&form).await;
    let again = asha.browser.submit(&answer.form_with("SAMLResponse")).await;
    let form = again.form_to(&format!("{READ}/console"));
    assert_eq!((form.value("read_only"), form.value("regions")), (Some("true"), Some("eu-west-1")));
    let there = asha.browser.submit(&form).await;
    assert!(there.url.path().starts_with("/console"), "{}", there.url);
    assert_eq!(value(&world, "PolicyArns.member.1.arn").as_deref(), Some(READ_ONLY));
}

/// What the AWS command line says to these keys in a region: what it printed, or why not.
async fn aws(world: &Sandboxed, keys: &Value, region: &str, args: &[&str]) -> Result<String, String> {
    let base = world.aws.base.as_str().trim_end_matches('/').to_owned();
    let mut command = crate::tools::aws();
    command.args(args).env("AWS_ENDPOINT_URL_S3", format!("{base}/s3")).env("AWS_DEFAULT_REGION", region);
    command.env("AWS_MAX_ATTEMPTS", "1").env("AWS_EC2_METADATA_DISABLED", "true");
    for (name, member) in [
        ("AWS_ACCESS_KEY_ID", "AccessKeyId"),
        ("AWS_SECRET_ACCESS_KEY", "SecretAccessKey"),
        ("AWS_SESSION_TOKEN", "SessionToken"),
    ] {
        command.env(name, keys[member].as_str().unwrap_or_else(|| panic!("no {member} in {keys}")));
    }
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrators_session_is_seen_to_do_no_more_than_it_was_limited_to() {
    const BUCKET: &str = "s3://larkspur-artifacts-payments/";
    const OBJECT: &str = "s3://larkspur-artifacts-payments/settle/1.8.2.txt";
    let world = Sandboxed::start().await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("up.txt");
    std::fs::write(&file, "a build\n").unwrap();
    let up = file.to_str().unwrap();
    let (list, get, put, remove): (&[&str], &[&str], &[&str], &[&str]) = (
        &["s3", "ls", BUCKET],
        &["s3", "cp", OBJECT, "-"],
        &["s3", "cp", up, "s3://larkspur-artifacts-payments/settle/new.txt"],
        &["s3", "rm", "s3://larkspur-artifacts-payments/settle/new.txt"],
    );
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": ["s3:*"], "Resource": "arn:aws:s3:::larkspur-artifacts-payments*" }],
    });
    let keep = json!({ "Statement": { "Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*" } });
    let here = ("eu-west-1", true);
    for (scope, tries) in [
        (json!({}), vec![(list, here), (get, here), (put, here), (remove, here)]),
        (json!({ "read_only": true }), vec![(list, here), (get, here), (put, ("eu-west-1", false))]),
        (
            json!({ "regions": ["eu-west-1"] }),
            vec![(put, here), (list, ("eu-central-1", false)), (&["s3", "ls"], ("eu-central-1", true))],
        ),
        (
            json!({ "read_only": true, "regions": ["eu-west-1"], "from_here": true }),
            vec![(get, here), (put, ("eu-west-1", false)), (get, ("eu-central-1", false))],
        ),
        (json!({ "networks": ["203.0.113.0/24"] }), vec![(list, ("eu-west-1", false))]),
        (json!({ "networks": ["127.0.0.0/8"] }), vec![(list, here)]),
        (json!({ "policy": keep }), vec![(put, here), (remove, ("eu-west-1", false))]),
        // Read-only and a policy are both, and not what either allows.
        (
            json!({ "read_only": true, "policy": policy }),
            vec![(get, here), (put, ("eu-west-1", false)), (&["s3", "ls"], ("eu-west-1", false))],
        ),
    ] {
        let body = json!({ "fresh": true, "scope_down": scope });
        let answer = program.post_json("/api/v1/roles/111122223333/Admin/credentials", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let keys = answer.json();
        for (args, (region, allowed)) in tries {
            let said = aws(&world, &keys, region, args).await;
            match (&said, allowed) {
                (Ok(_), true) => {}
                (Err(why), false) => assert!(why.contains("AccessDenied") || why.contains("Forbidden"), "{why}"),
                _ => panic!("{scope}: {args:?} in {region}: {said:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rules_limit_holds_for_whom_the_rule_lets_in_and_not_for_others() {
    let world = Sandboxed::start().await;
    let rule = "when = { groups = \"engineering\" }\n";
    world
        .change_catalog(
            rule,
            &format!("{rule}scope_down = {{ regions = [\"eu-west-1\", \"us-gov-west-1\", \"cn-north-1\"] }}\n"),
        )
        .await;
    let mut asha = world.sign_in_as("asha").await;
    let page = asha.post(&format!("{READ}/credentials"), &[]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(
        read(&page).contains("Limited to less than the role only in cn-north-1, eu-west-1 and us-gov-west-1"),
        "{}",
        page.body
    );
    let intent = latest(&world, "issue.intended").await;
    assert_eq!(intent["scope_down"], json!({ "rule": ["only in cn-north-1, eu-west-1 and us-gov-west-1"] }));
    // Each account is told the regions of its own partition.
    assert_eq!(lock(&inline(&world), "StringNotEquals")["aws:RequestedRegion"], "eu-west-1");
    let why = read(&asha.open(&format!("{READ}/why")).await);
    assert!(why.contains("The rule engineers-read-workloads only in cn-north-1, eu-west-1 and us-gov-west-1"), "{why}");
    let listed = asha.program_get("/api/v1/roles?q=payments+prod+readonly").await.json();
    assert_eq!(
        listed["roles"][0]["limits"],
        json!([{ "from": "rule engineers-read-workloads", "says": ["only in cn-north-1, eu-west-1 and us-gov-west-1"], "longer_than_s": null }])
    );
    let admin = asha.program_post("/roles/111122223333/Admin/credentials", &[("format", "json")]).await;
    assert_eq!((admin.status, value(&world, "Policy")), (200, None), "another rule");
}
