//! Roles that are reached in other ways than by SAML: from the click to what the credentials are.

use rolegate::access::Scope;
use rolegate::sandbox::mfa::MfaDevice;
use rolegate::sys::Clock as _;
use serde_json::{Value, json};

use crate::api::Program;
use crate::browser_client::Page;
use crate::peers::{AwsKeys, get_caller_identity};
use crate::sandboxed::{Person, Sandboxed, plain, problem};

/// Behind one hub, with an external ID.
const EXCHANGE: &str = "/roles/177419203846/Partner/DataExchange";
/// Behind two.
const ARCHIVE: &str = "/roles/118503920174/Partner/CustomsArchive";
const READER: &str = "/roles/208174930265/oidc/Reader";
const LEGACY: &str = "/roles/163302918475/LegacyReader";
const LINS: &str = "/roles/146281930057/LinsUser";
const HUB: &str = "arn:aws:iam::127790045613:role/RolegateHub";
/// As the world has it.
const SEED: &str = "LARKSPURFREIGHT2LINWEI7MFADEVICE";

/// Who holds keys that were given as JSON, as the AWS CLI is told.
async fn whose(world: &Sandboxed, keys: &Value) -> String {
    let text = |name: &str| keys[name].as_str().unwrap_or_else(|| panic!("no {name} in {keys}")).to_owned();
    let keys = AwsKeys {
        access_key_id: text("AccessKeyId"),
        secret_access_key: text("SecretAccessKey"),
        session_token: text("SessionToken"),
    };
    let sts = world.aws.base.clone();
    let told = tokio::task::spawn_blocking(move || get_caller_identity(&sts, &keys)).await.unwrap();
    told["Arn"].as_str().unwrap().to_owned()
}

async fn keys(person: &Person, role: &str, fields: &[(&str, &str)]) -> Value {
    let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("format", "json")]).collect();
    let answer = person.program_post(&format!("{role}/credentials"), &fields).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// What the element of this id says.
fn text_of(page: &Page, id: &str) -> String {
    let (_, rest) = page.body.split_once(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("no {id} in {}", page.body));
    plain(rest.split_once('>').unwrap().1.split_once('<').unwrap().0)
}

/// What STS was asked, call by call: the names and values of each form.
fn asked_of_sts(world: &Sandboxed) -> Vec<Vec<(String, String)>> {
    let calls = world.aws.wire.exchanges();
    let forms = calls.iter().filter(|call| call.path == "/").filter_map(|call| call.sent.split_once('\n'));
    let parsed = |form: &str| url::form_urlencoded::parse(form.as_bytes()).into_owned().collect::<Vec<_>>();
    forms.map(|(_, form)| parsed(form)).collect()
}

fn value<'a>(asked: &'a [(String, String)], name: &str) -> &'a str {
    asked.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
}

/// What is recorded of the newest request that recorded an outcome.
async fn last(world: &Sandboxed, kind: &str) -> Value {
    let events = world.broker.app.ground.store.audit_after(0, 100_000).await.unwrap();
    let found = events.into_iter().rev().find(|event| event.link.kind == kind);
    serde_json::from_str(&found.unwrap_or_else(|| panic!("no {kind}")).link.body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_behind_a_hub_is_reached_in_one_click_and_the_hub_is_given_to_nobody() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let page = asha.open("/").await;
    assert!(!page.body.contains("RolegateHub"), "no rule gives the hub to anybody");
    assert!(page.body.contains("through a hub, 1 h at most"));
    let before = asked_of_sts(&world).len();
    let keys = keys(&asha, EXCHANGE, &[("duration", "3600")]).await;
    assert_eq!(
        whose(&world, &keys).await,
        "arn:aws:sts::177419203846:assumed-role/DataExchange/asha.raman@larkspur.example"
    );
    let calls = asked_of_sts(&world);
    let [hub, target, ..] = &calls[before..] else { panic!("{calls:?}") };
    assert_eq!((value(hub, "Action"), value(hub, "RoleArn")), ("AssumeRoleWithSAML", HUB));
    assert_eq!(value(hub, "DurationSeconds"), "900");
    assert!(value(hub, "Policy").contains("arn:aws:iam::177419203846:role/Partner/DataExchange"), "{hub:?}");
    assert_eq!((value(target, "Action"), value(target, "ExternalId")), ("AssumeRole", "larkspur-7h2k"));
    assert_eq!(value(target, "Tags.member.1.Key"), "CostCenter", "Department went along from the hub: {target:?}");
    assert_eq!(value(target, "Tags.member.2.Key"), "");

    let event = last(&world, "issue.succeeded").await;
    assert_eq!((&event["method"], &event["access_key_id"]), (&json!("chain"), &keys["AccessKeyId"]));
    assert_eq!(event["hops"][0]["role"], HUB);
    let hub_key = event["hops"][0]["access_key_id"].as_str().unwrap();
    assert_ne!(event["access_key_id"], hub_key);
    assert!(!keys.to_string().contains(hub_key));
    let intended = last(&world, "issue.intended").await;
    assert_eq!(intended["way"], json!([HUB, "arn:aws:iam::177419203846:role/Partner/DataExchange"]));

    let console = asha.post(&format!("{EXCHANGE}/console"), &[]).await;
    assert_eq!(console.status, 200, "{}", console.body);
    assert_eq!(
        text_of(&console, "arn"),
        "arn:aws:sts::177419203846:assumed-role/DataExchange/asha.raman@larkspur.example"
    );
    assert_eq!(text_of(&console, "source-identity"), "asha.raman@larkspur.example");
    assert!(
        console.body.contains("Department = Platform") && console.body.contains("CostCenter = CC-1010"),
        "{}",
        console.body
    );
    let exchanged = world.aws.wire.exchanges();
    let exchange = exchanged.iter().rev().find(|call| call.sent.contains("getSigninToken")).unwrap();
    assert!(!exchange.sent.contains("SessionDuration"), "AWS refuses one for a chain");

    let why = asha.open(&format!("{EXCHANGE}/why")).await;
    assert!(
        plain(&why.body).contains("You go through 127790045613/RolegateHub, of which you are given nothing."),
        "{}",
        why.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_behind_two_hubs_lives_an_hour_at_most_whatever_is_asked() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let keys = keys(&asha, ARCHIVE, &[("duration", "12h")]).await;
    assert_eq!(
        whose(&world, &keys).await,
        "arn:aws:sts::118503920174:assumed-role/CustomsArchive/asha.raman@larkspur.example"
    );
    let event = last(&world, "issue.succeeded").await;
    let hops = event["hops"].as_array().unwrap();
    assert_eq!((hops.len(), &hops[1]["role"]), (2, &json!("arn:aws:iam::133840917265:role/hub/Relay")));
    assert_eq!((&event["duration_s"], &event["shortened"]), (&json!(3600), &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hop_that_refuses_is_named_to_the_person_and_in_the_record() {
    let world = Sandboxed::start().await;
    world.change_catalog("larkspur-7h2k", "another-id").await;
    let mut asha = world.sign_in_as("asha").await;
    let (sentence, events) =
        world.refused(&mut asha, &format!("{EXCHANGE}/credentials"), &[], (502, "aws-refused")).await;
    let begins = "This role is reached in 2 steps, and it went wrong at step 2, the role Partner/DataExchange in account \
                  177419203846.";
    assert!(sentence.starts_with(begins), "{sentence}");
    let [(intended, _), (failed, body)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((intended.as_str(), failed.as_str()), ("issue.intended", "issue.failed"));
    assert_eq!((&body["hop"], &body["aws_code"]), (&json!(2), &json!("AccessDenied")));
    assert_eq!(body["hop_role"], "arn:aws:iam::177419203846:role/Partner/DataExchange");
    assert!(body["aws_message"].as_str().unwrap().contains("assumed-role/RolegateHub/asha.raman"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_what_an_assertion_cannot() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let keys = keys(&asha, READER, &[]).await;
    assert_eq!(whose(&world, &keys).await, "arn:aws:sts::208174930265:assumed-role/Reader/asha.raman@larkspur.example");
    let event = last(&world, "issue.succeeded").await;
    assert_eq!(event["method"], "web-identity");
    assert!(event["assertion"].as_str().is_some_and(|id| !id.is_empty()), "{event}");
    let console = asha.post(&format!("{READER}/console"), &[]).await;
    assert_eq!(text_of(&console, "arn"), "arn:aws:sts::208174930265:assumed-role/Reader/asha.raman@larkspur.example");
    assert_eq!(text_of(&console, "source-identity"), "asha.raman@larkspur.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_users_key_becomes_a_federated_user_and_is_shown_to_nobody() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let keys = keys(&asha, LEGACY, &[("duration", "21600")]).await;
    let arn = "arn:aws:sts::163302918475:federated-user/asha.raman@larkspur.example";
    assert_eq!(whose(&world, &keys).await, arn);
    let event = last(&world, "issue.succeeded").await;
    assert_eq!((&event["method"], &event["duration_s"]), (&json!("federation-token"), &json!(21_600)));
    assert_eq!((&event["key"], &event["user_key_id"]), (&json!("freight-staging"), &json!("SBUKBROKERFEDERATION")));
    assert_eq!(event["assumed_role"], arn);
    let intended = last(&world, "issue.intended").await;
    assert_eq!(intended["policy_arns"], json!(["arn:aws:iam::aws:policy/ReadOnlyAccess"]), "it is always limited");

    let console = asha.post(&format!("{LEGACY}/console"), &[]).await;
    assert_eq!(text_of(&console, "arn"), arn, "{}", console.body);
    let told = asha.program_get("/api/v1/roles?q=legacyreader").await.body;
    let why = asha.open(&format!("{LEGACY}/why")).await.body;
    for seen in [&told, &why, &event.to_string(), &intended.to_string()] {
        assert!(!seen.contains("federation/demo/key"), "{seen}");
    }
    let stored = world.broker.app.ground.store.catalog().await.unwrap().1;
    assert!(!rolegate::catalog::export::export(&stored).contains("federation/demo/key"), "it is kept sealed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_asked_for_the_code_of_their_device_and_gets_their_users_session() {
    let world = Sandboxed::start().await;
    let device = MfaDevice::new("arn:aws:iam::146281930057:mfa/lin", SEED).unwrap();
    let mut lin = world.sign_in_as("lin").await;
    let picker = lin.open("/").await;
    assert!(picker.body.contains("MFA code, no console"), "{}", picker.body);
    assert!(!picker.body.contains(&format!("{LINS}/console")), "no button leads where nothing can be had");

    let calls = asked_of_sts(&world).len();
    let asked = lin.post(&format!("{LINS}/credentials"), &[("duration", "43200")]).await;
    assert_eq!(asked.status, 403);
    assert!(asked.body.contains("the IAM user <b>finance/lin</b>"), "{}", asked.body);
    let form = asked.form_to(&format!("{LINS}/credentials"));
    assert_eq!(form.value("duration"), Some("43200"), "the click is carried on");
    assert_eq!(asked_of_sts(&world).len(), calls, "AWS was not asked anything");

    let mistyped = lin.browser.submit(&form.clone().set("mfa_code", "12345")).await;
    assert!(plain(&mistyped.body).contains("An MFA code is the six digits"), "{}", mistyped.body);
    assert_eq!(asked_of_sts(&world).len(), calls);
    let code = device.code(world.clock.now());
    let wrong = if code == "000000" { "111111" } else { "000000" };
    let refused = lin.browser.submit(&form.clone().set("mfa_code", wrong)).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(refused.body.contains("aria-invalid") && refused.body.contains("mfa_code"), "{}", refused.body);
    assert_eq!(last(&world, "issue.failed").await["aws_code"], "AccessDenied");

    let page = lin.browser.submit(&form.set("mfa_code", &code)).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains("AWS opens no console for the session of an IAM user"), "{}", page.body);
    assert!(!page.body.contains(&format!("{LINS}/console")));
    let event = last(&world, "issue.succeeded").await;
    assert_eq!((&event["method"], &event["key"]), (&json!("session-token"), &json!("lin")));
    assert_eq!(event["assumed_role"], "arn:aws:iam::146281930057:user/finance/lin");
    let events = world.broker.app.ground.store.audit_after(0, 100_000).await.unwrap();
    assert!(events.iter().all(|event| !event.link.body.contains(&format!("\"{code}\""))), "the code is not recorded");

    let (sentence, events) =
        world.refused(&mut lin, &format!("{LINS}/console"), &[], (409, "console-impossible")).await;
    assert!(sentence.contains("opens no console"), "{sentence}");
    assert_eq!((events[0].0.as_str(), &events[0].1["cause"]), ("issue.denied", &json!("no-console")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_sends_the_code_or_is_told_and_what_is_kept_needs_none() {
    let world = Sandboxed::start().await;
    let device = MfaDevice::new("x", SEED).unwrap();
    let program = Program::of(&world, "lin", Scope::FULL).await;
    let path = "/api/v1/roles/146281930057/LinsUser/credentials";
    let answer = program.post(path).await;
    let (sentence, _) = problem(&answer, 403, "mfa-required");
    assert!(sentence.contains("`mfa_code`"), "{sentence}");
    let told = answer.json();
    assert_eq!(told["mfa_serial"], "arn:aws:iam::146281930057:mfa/lin");
    assert_eq!(told["link"], "/go?account=146281930057&role=LinsUser");
    for bad in ["12345", "abcdef"] {
        let (sentence, _) = problem(&program.post_json(path, &json!({ "mfa_code": bad })).await, 403, "mfa-required");
        assert!(sentence.contains("six digits") && !sentence.contains(bad), "{sentence}");
    }
    let (sentence, _) = problem(
        &program
            .post_json(
                path,
                &json!({ "mfa_code": "000000", "policy_arns": ["arn:aws:iam::aws:policy/ReadOnlyAccess"] }),
            )
            .await,
        400,
        "session-policy-invalid",
    );
    assert!(sentence.contains("IAM user"), "{sentence}");

    let code = device.code(world.clock.now());
    let answer = program.post_json(path, &json!({ "mfa_code": code })).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let keys = answer.json();
    assert_eq!(whose(&world, &keys).await, "arn:aws:iam::146281930057:user/finance/lin");
    let again = program.post(path).await;
    assert_eq!((again.status, &again.json()["AccessKeyId"]), (200, &keys["AccessKeyId"]), "{}", again.body);
    assert_eq!(last(&world, "issue.reused").await["method"], "session-token");
    let fresh = program.post_json(path, &json!({ "fresh": true })).await;
    problem(&fresh, 403, "mfa-required");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_are_told_beforehand_what_each_method_can_do() {
    let world = Sandboxed::start().await;
    let told = async |person: &str, query: &str| {
        let program = Program::of(&world, person, Scope::FULL).await;
        let page = program.get(&format!("/api/v1/roles?q={query}")).await.json();
        assert_eq!(page["total"], 1, "{page}");
        page["roles"][0].clone()
    };
    let archive = told("asha", "customsarchive").await;
    assert_eq!((&archive["method"], &archive["max_session_s"]), (&json!("chain"), &json!(3600)));
    assert_eq!(archive["through"], json!(["127790045613/RolegateHub", "133840917265/hub/Relay"]));
    assert_eq!((&archive["console"], &archive["mfa"]), (&json!(true), &json!(false)));
    let legacy = told("asha", "legacyreader").await;
    assert_eq!((&legacy["method"], &legacy["max_session_s"]), (&json!("federation-token"), &json!(129_600)));
    let lins = told("lin", "linsuser").await;
    assert_eq!(
        (&lins["method"], &lins["console"], &lins["mfa"]),
        (&json!("session-token"), &json!(false), &json!(true))
    );
    assert!(lins["no_console"].as_str().unwrap().contains("opens no console"), "{lins}");
    let plain = told("asha", "111122223333+readonly").await;
    assert_eq!((&plain["method"], &plain["through"], &plain["no_console"]), (&json!("saml"), &json!([]), &Value::Null));
}
