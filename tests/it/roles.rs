//! Using roles: what people see, what they get, and what they are told when they get nothing.

use std::process::Command;

use regex::Regex;
use rolegate::sys::Clock;
use serde_json::{Value, json};

use crate::browser_client::{Browser, Page};
use crate::peers::{AwsKeys, get_caller_identity};
use crate::sandboxed::{Fault, Person, Sandboxed, client, enter, plain, problem, send};
use crate::tools;

const READ_PAYMENTS: &str = "/roles/111122223333/ReadOnly";
const DEPLOY_PAYMENTS: &str = "/roles/111122223333/teams/payments/Deploy";
/// The catalog allows eight hours, IAM two.
const SCIENTIST: &str = "/roles/177419203846/DataScientist";
/// Trusts another provider.
const LEGACY: &str = "/roles/177419203846/LegacyReporting";

/// The roles a page offers, each once, as `/roles/{account}/{role}`.
fn offered(page: &Page) -> Vec<String> {
    let role = |path: &str| {
        // A role without a console has its other button in the place.
        path.strip_suffix("/console").or_else(|| path.strip_suffix("/credentials")).map(str::to_owned)
    };
    let mut roles: Vec<_> = page.forms().iter().filter_map(|form| role(form.action.path())).collect();
    roles.sort();
    roles.dedup();
    roles
}

/// The part of a page under a heading, up to the end of its section.
fn section<'p>(page: &'p Page, heading: &str) -> &'p str {
    let Some((_, rest)) = page.body.split_once(&format!("<h2>{heading}</h2>")) else { return "" };
    rest.split("</section>").next().unwrap_or_default()
}

/// What the element of this id says.
fn text_of(page: &Page, id: &str) -> String {
    let found = Regex::new(&format!(r#"id="{id}"[^>]*>([^<]*)<"#)).unwrap();
    plain(&found.captures(&page.body).unwrap_or_else(|| panic!("no {id} in {}", page.body))[1])
}

fn keys_of(json: &Value) -> AwsKeys {
    let text = |name: &str| json[name].as_str().unwrap_or_else(|| panic!("no {name} in {json}")).to_owned();
    AwsKeys {
        access_key_id: text("AccessKeyId"),
        secret_access_key: text("SecretAccessKey"),
        session_token: text("SessionToken"),
    }
}

async fn file(person: &Person, role: &str, format: &str) -> String {
    let answer = person.program_post(&format!("{role}/credentials"), &[("format", format)]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.header("content-disposition").starts_with("attachment; filename=\""), "{:?}", answer.headers);
    answer.body
}

async fn caller(world: &Sandboxed, keys: AwsKeys) -> Value {
    let sts = world.aws.base.clone();
    tokio::task::spawn_blocking(move || get_caller_identity(&sts, &keys)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_picker_shows_what_rules_permit_and_nothing_else() {
    let world = Sandboxed::start().await;
    let mut kim = world.sign_in_as("kim").await;
    assert_eq!(offered(&kim.open("/").await), ["/roles/150938274616/VendorMaintenance"]);

    let mut lin = world.sign_in_as("lin").await;
    let page = lin.open("/").await;
    let roles = offered(&page);
    assert!(roles.contains(&DEPLOY_PAYMENTS.to_owned()) && roles.contains(&READ_PAYMENTS.to_owned()), "{roles:?}");
    assert!(!roles.iter().any(|role| role.ends_with("/Admin") || role.contains("freight/Deploy")), "{roles:?}");
    let listed = lin.program_get("/api/v1/roles").await.json();
    let mut listed: Vec<_> = listed["roles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|role| format!("/roles/{}/{}", role["account"].as_str().unwrap(), role["role"].as_str().unwrap()))
        .collect();
    listed.sort();
    assert_eq!(listed, roles, "programs are told the same as people");

    let zoe = world.sign_in_as("zoe").await.open("/").await;
    assert!(zoe.body.contains("Zoë &#34;Zed&#34; O&#39;Brien &#38; Müller"), "a name is escaped: {}", zoe.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_picker_filters_without_scripts_and_says_when_nothing_matches() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let all = offered(&asha.open("/").await).len();
    let few = asha.open("/?q=PAYMENTS+prod+readonly").await;
    assert_eq!(offered(&few), [READ_PAYMENTS]);
    assert!(few.body.contains("1 role in 1 account") && few.body.contains("value=\"PAYMENTS prod readonly\""));
    let tagged = asha.open("/?q=jurisdiction%3Dcn").await;
    assert!(offered(&tagged).iter().all(|role| role.contains("226617384905")) && offered(&tagged).len() < all);
    let none = asha.open("/?q=%3Cscript%3Ealert(1)%3C%2Fscript%3E").await;
    assert!(offered(&none).is_empty() && none.body.contains("Nothing matches"), "{}", none.body);
    assert!(!none.body.contains("<script>alert"), "{}", none.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_without_a_role_sees_their_groups_and_whom_to_ask() {
    let world = Sandboxed::start().await;
    let page = world.sign_in_as("omar").await.open("/").await;
    assert_eq!(page.status, 200);
    assert!(offered(&page).is_empty());
    for words in [
        "No role is mapped to you",
        "<li>all-staff</li>",
        "<li>sales</li>",
        "Ask the platform team in #cloud-access",
        "cloud-access@larkspur.example",
    ] {
        assert!(page.body.contains(words), "no `{words}` in {}", page.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn favourites_and_recent_roles_stand_first_and_stay_with_the_person() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let before = asha.open("/").await;
    assert!(section(&before, "Favourites").is_empty() && section(&before, "Recent").is_empty());

    let marked = asha.post(&format!("{READ_PAYMENTS}/favourite"), &[]).await;
    assert_eq!((marked.status, marked.url.path()), (200, "/"));
    assert!(section(&marked, "Favourites").contains(READ_PAYMENTS), "{}", marked.body);
    file(&asha, "/roles/104729301846/Admin", "json").await;

    // Another browser, another day.
    let again = world.sign_in_as("asha").await.open("/").await;
    assert!(section(&again, "Favourites").contains(READ_PAYMENTS), "{}", again.body);
    assert!(section(&again, "Recent").contains("/roles/104729301846/Admin"), "{}", again.body);
    assert!(section(&world.sign_in_as("lin").await.open("/").await, "Favourites").is_empty(), "they are hers alone");

    let unmarked = asha.post(&format!("{READ_PAYMENTS}/favourite"), &[]).await;
    assert!(section(&unmarked, "Favourites").is_empty(), "{}", unmarked.body);

    let mut kim = world.sign_in_as("kim").await;
    let said = kim.post(&format!("{READ_PAYMENTS}/favourite"), &[]).await;
    assert_eq!(said.status, 403, "what nobody may use cannot be marked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_reads_why_they_have_a_role() {
    let world = Sandboxed::start().await;
    let mut lin = world.sign_in_as("lin").await;
    let page = lin.open("/roles/111122223333/PaymentsOperator/why").await;
    assert_eq!(page.status, 200);
    let said = plain(&page.body);
    for words in ["payments-operations", "payments-leads", "Leads and the settlement desk operate payments", "1 h"] {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
    let deploy = plain(&lin.open(&format!("{DEPLOY_PAYMENTS}/why")).await.body);
    assert!(deploy.contains("teams-deploy-their-own") && deploy.contains("team-payments"), "{deploy}");

    let other = lin.program_get("/roles/111122223333/Admin/why").await;
    let (_, request) = problem(&other, 403, "role-not-permitted");
    let events = world.events_of(&request).await;
    assert_eq!((events[0].0.as_str(), &events[0].1["role_name"]), ("access.refused", &json!("Admin")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deep_link_offers_its_role_and_opens_where_it_says() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let place = world.aws.at("console/ec2/home?region=eu-west-1");
    let link = format!(
        "/go?account=111122223333&role=ReadOnly&destination={}",
        url::form_urlencoded::byte_serialize(place.as_bytes()).collect::<String>()
    );
    let page = asha.open(&link).await;
    assert_eq!(offered(&page), [READ_PAYMENTS]);
    let console = asha.browser.submit(&page.form_to("/ReadOnly/console")).await;
    assert!(console.url.path().ends_with("/ec2/home"), "{}", console.url);
    assert_eq!(text_of(&console, "role"), "arn:aws:iam::111122223333:role/ReadOnly");

    let choice = asha.open("/go?account=111122223333").await;
    assert!(offered(&choice).len() > 1 && offered(&choice).iter().all(|role| role.contains("111122223333")));

    for (link, status, kind) in [
        (
            "/go?account=111122223333&role=ReadOnly&destination=https%3A%2F%2Fevil.example%2F",
            400,
            "destination-refused",
        ),
        ("/go?account=111122223333&role=ReadOnly&destination=%2F%2Fevil.example", 400, "destination-refused"),
        ("/go?account=111122223333&role=NoSuchRole", 403, "role-not-permitted"),
        ("/go?account=999999999999", 403, "role-not-permitted"),
        ("/go?account=payments", 400, "bad-request"),
        ("/go", 400, "bad-request"),
    ] {
        let (sentence, request) = problem(&asha.program_get(link).await, status, kind);
        let refusals = world.events_of(&request).await;
        let recorded: Vec<&str> = refusals.iter().map(|(kind, _)| kind.as_str()).collect();
        assert_eq!(recorded, if status == 403 { vec!["access.refused"] } else { vec![] }, "{link}");
        let page = asha.open(link).await;
        assert_eq!(page.status, status, "{link}");
        assert!(plain(&page.body).contains(&sentence) && !page.body.contains("evil.example"), "{link}: {}", page.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_with_a_deep_link_is_there_after_signing_in() {
    let world = Sandboxed::start().await;
    let link = "/go?account=111122223333&role=teams%2Fpayments%2FDeploy";
    let mut browser = Browser::new();
    let page = enter(&mut browser, &world.broker.at(link), "lin").await;
    assert_eq!((page.status, page.url.path()), (200, "/go"));
    assert_eq!(offered(&page), [DEPLOY_PAYMENTS]);

    for elsewhere in ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"] {
        let to: String = url::form_urlencoded::byte_serialize(elsewhere.as_bytes()).collect();
        let mut browser = Browser::new();
        let page = enter(&mut browser, &world.broker.at(&format!("/sign-in?return_to={to}")), "kim").await;
        assert_eq!((page.status, page.url.as_str()), (200, world.broker.at("/").as_str()), "{elsewhere}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credentials_page_holds_keys_that_work_and_is_not_kept() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let page = asha.post(&format!("{READ_PAYMENTS}/credentials"), &[("duration", "900")]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert_eq!(page.headers["cache-control"], "no-store");
    assert!(page.body.contains("Valid for") && page.body.contains("15 min"), "{}", page.body);
    for tab in ["bash, zsh", "fish", "PowerShell", "cmd", "Profile", "JSON", "credential_process"] {
        assert!(page.body.contains(&format!(">{tab}</label>")), "no {tab}");
    }
    let keys = AwsKeys {
        access_key_id: text_of(&page, "value-key"),
        secret_access_key: text_of(&page, "value-secret"),
        session_token: text_of(&page, "value-token"),
    };
    let event = world.broker.last_event("issue.succeeded").await;
    assert_eq!(event["access_key_id"], keys.access_key_id.as_str());
    assert_eq!(event["region"], "us-east-1");
    assert_eq!((&event["duration_s"], &event["delivery"]), (&json!(900), &json!("page")));
    let identity = caller(&world, keys).await;
    assert_eq!(identity["Arn"], "arn:aws:sts::111122223333:assumed-role/ReadOnly/asha.raman@larkspur.example");
    assert_eq!(identity["Account"], "111122223333");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_is_read_by_what_it_is_for() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let arn = "arn:aws:sts::111122223333:assumed-role/ReadOnly/asha.raman@larkspur.example";

    let text = file(&asha, READ_PAYMENTS, "json").await;
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["RoleArn"], "arn:aws:iam::111122223333:role/ReadOnly");
    assert_eq!(caller(&world, keys_of(&json)).await["Arn"], arn);
    let read = "import json,sys; print(json.load(sys.stdin)['AccountId'])";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("it.json"), &text).unwrap();
    let stdin = std::fs::File::open(folder.path().join("it.json")).unwrap();
    let account = tools::stdout(Command::new(tools::python_tool("python")).args(["-c", read]).stdin(stdin));
    assert_eq!(account.trim(), "111122223333");

    // A shell runs the text and hands its environment to the CLI.
    let text = file(&asha, READ_PAYMENTS, "env").await;
    let script = format!("set -eu\n{text}\nexec env");
    let environment = tools::stdout(Command::new(tools::system_tool("bash")).arg("-c").arg(script).env_clear());
    let exported: Vec<_> = environment
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| name.starts_with("AWS_"))
        .collect();
    let identity = |command: &mut Command| {
        let sts = world.aws.base.as_str();
        let text = tools::stdout(command.args(["sts", "get-caller-identity", "--endpoint-url", sts]));
        serde_json::from_str::<Value>(&text).unwrap()["Arn"].clone()
    };
    assert_eq!(identity(tools::aws().envs(exported)), arn);

    let profile = folder.path().join("credentials");
    std::fs::write(&profile, file(&asha, READ_PAYMENTS, "ini").await).unwrap();
    let profiled = identity(
        tools::aws().env("AWS_SHARED_CREDENTIALS_FILE", &profile).args(["--profile", "111122223333-ReadOnly"]),
    );
    assert_eq!(profiled, arn);

    let printed = folder.path().join("printed.json");
    std::fs::write(&printed, file(&asha, READ_PAYMENTS, "process").await).unwrap();
    let cat = format!("{} {}", tools::system_tool("cat").display(), printed.display());
    let config = crate::peers::credential_process_profile(folder.path(), &cat);
    assert_eq!(identity(tools::aws().env("AWS_CONFIG_FILE", &config).args(["--profile", "rolegate"])), arn);

    // Their shells are not on every machine; that each value is set once, and to what the CLI took, is.
    for (format, line) in [
        ("fish", r"(?m)^set -gx (AWS_\w+) '([^']*)'$"),
        ("powershell", r"(?m)^\$Env:(AWS_\w+) = '([^']*)'$"),
        ("cmd", r#"(?m)^set "(AWS_\w+)=([^"]+)"\r$"#),
    ] {
        let text = file(&asha, READ_PAYMENTS, format).await;
        let set: Vec<_> = Regex::new(line)
            .unwrap()
            .captures_iter(&text)
            .map(|found| (found[1].to_owned(), found[2].to_owned()))
            .collect();
        assert_eq!(identity(tools::aws().envs(set)), arn, "{format}");
    }

    let (sentence, _) = problem(
        &asha.program_post(&format!("{READ_PAYMENTS}/credentials"), &[("format", "yaml")]).await,
        400,
        "bad-request",
    );
    assert_eq!(sentence, "There is no such format.");
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_the_console_leads_to_the_right_person_and_role() {
    let world = Sandboxed::start().await;
    let mut lin = world.sign_in_as("lin").await;
    let answer = lin.program_post(&format!("{DEPLOY_PAYMENTS}/console"), &[]).await;
    assert_eq!(answer.status, 303);
    assert!(answer.header("location").starts_with(&world.aws.at("federation?")), "{}", answer.header("location"));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.body.is_empty(), "{}", answer.body);

    let page = lin.post(&format!("{DEPLOY_PAYMENTS}/console"), &[]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert_eq!(text_of(&page, "role"), "arn:aws:iam::111122223333:role/teams/payments/Deploy");
    assert_eq!(text_of(&page, "arn"), "arn:aws:sts::111122223333:assumed-role/Deploy/lin.wei@larkspur.example");
    assert_eq!(text_of(&page, "session-name"), "lin.wei@larkspur.example");
    assert_eq!(text_of(&page, "source-identity"), "lin.wei@larkspur.example");
    assert!(page.body.contains("Department = Payments") && page.body.contains("CostCenter = CC-2040"), "{}", page.body);
    let event = world.broker.last_event("issue.succeeded").await;
    assert_eq!((&event["delivery"], &event["email"]), (&json!("console"), &json!("lin.wei@larkspur.example")));

    let (_, events) = world
        .refused(
            &mut lin,
            &format!("{DEPLOY_PAYMENTS}/console"),
            &[("destination", "https://evil.example/")],
            (400, "destination-refused"),
        )
        .await;
    let [(kind, denied)] = &events[..] else { panic!("a denial and nothing else: {events:?}") };
    assert_eq!((kind.as_str(), &denied["cause"]), ("issue.denied", &json!("destination-refused")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_as_long_as_asked_and_never_longer_than_role_and_rule_allow() {
    let world = Sandboxed::start().await;
    let mut lin = world.sign_in_as("lin").await;
    for (role, asked, granted) in [
        (READ_PAYMENTS, "15m", 900),
        (READ_PAYMENTS, "7200", 7200),
        (READ_PAYMENTS, "", 3600),
        // The role allows four hours, and this one two of which the rule allows one.
        (DEPLOY_PAYMENTS, "12h", 14_400),
        ("/roles/111122223333/PaymentsOperator", "2h", 3600),
    ] {
        let answer = lin.program_post(&format!("{role}/credentials"), &[("format", "json"), ("duration", asked)]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let event = world.broker.last_event("issue.succeeded").await;
        assert_eq!((&event["duration_s"], &event["shortened"]), (&json!(granted), &json!(false)), "{role} {asked}");
        let ends: jiff::Timestamp = answer.json()["Expiration"].as_str().unwrap().parse().unwrap();
        let left = ends.duration_since(world.clock.now()).as_secs();
        assert!((left - granted).abs() <= 1, "{role} {asked}: {left} s");
    }
    for asked in ["5", "37h", "soon", "-3600"] {
        let (sentence, events) = world
            .refused(
                &mut lin,
                &format!("{READ_PAYMENTS}/credentials"),
                &[("duration", asked)],
                (400, "duration-invalid"),
            )
            .await;
        assert!(sentence.contains("15 minutes") && events.is_empty(), "{sentence} {events:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duration_beyond_what_aws_allows_comes_out_shorter_and_the_page_says_so() {
    let world = Sandboxed::start().await;
    let mut zoe = world.sign_in_as("zoe").await;
    let page = zoe.post(&format!("{SCIENTIST}/credentials"), &[("duration", "8h")]).await;
    // Less than eight hours are left of her session at the identity provider.
    let said = plain(&page.body);
    assert_eq!(page.status, 200, "{said}");
    assert!(said.contains("AWS allows this role only shorter sessions, so you got 1 h instead of"), "{said}");
    assert!(said.contains("Your administrator can correct the role's maximum in the catalog."), "{said}");
    let event = world.broker.last_event("issue.succeeded").await;
    assert_eq!((&event["duration_s"], &event["shortened"]), (&json!(3600), &json!(true)));
    assert_eq!(world.aws.wire.sts_calls(), 2, "tried once more, not more often");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_does_not_trust_us_is_a_502_that_names_who_must_fix_it() {
    let world = Sandboxed::start().await;
    let mut zoe = world.sign_in_as("zoe").await;
    for what in ["credentials", "console"] {
        let (sentence, events) = world.refused(&mut zoe, &format!("{LEGACY}/{what}"), &[], (502, "aws-refused")).await;
        assert_eq!(
            sentence,
            "The role does not trust Rolegate, or it does not exist. Whoever administers the account must check the \
             role's name and its trust policy."
        );
        let [(first, _), (second, failed)] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((first.as_str(), second.as_str()), ("issue.intended", "issue.failed"));
        assert_eq!(failed["cause"], "sts-trust-policy-refuses");
        assert_eq!(failed["aws_code"], "AccessDenied");
        assert_eq!(failed["aws_message"], "Not authorized to perform sts:AssumeRoleWithSAML");
        assert!(failed["aws_request_id"].as_str().is_some_and(|id| id.len() == 36), "{failed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_no_rule_grants_is_a_403_and_aws_is_not_asked() {
    let world = Sandboxed::start().await;
    let mut kim = world.sign_in_as("kim").await;
    let mut said = Vec::new();
    for (role, cause) in [("111122223333/Admin", "not-granted"), ("111122223333/NoSuchRole", "no-such-role")] {
        for what in ["credentials", "console"] {
            let path = format!("/roles/{role}/{what}");
            let (sentence, events) = world.refused(&mut kim, &path, &[], (403, "role-not-permitted")).await;
            let [(kind, body)] = events.as_slice() else { panic!("{events:?}") };
            assert_eq!((kind.as_str(), &body["cause"]), ("issue.denied", &json!(cause)));
            assert_eq!(body["account"], "111122223333");
            said.push(sentence);
        }
    }
    said.dedup();
    assert_eq!(said.len(), 1, "nobody learns from the answer which roles there are: {said:?}");
    problem(&kim.program_post("/roles/12/Admin/credentials", &[]).await, 404, "not-found");
    assert_eq!(world.aws.wire.sts_calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_the_catalog_is_gone_at_the_next_click() {
    let world = Sandboxed::start().await;
    let mut kim = world.sign_in_as("kim").await;
    let role = "/roles/150938274616/VendorMaintenance";
    for (old, new, cause) in [
        // The rule asks for another group, the rule is gone for this role, the role is gone.
        (
            "when = { groups = \"vendor-freight-maintenance\"",
            "when = { groups = \"vendor-rail-maintenance\"",
            "not-granted",
        ),
        (
            "grant = [{ account = \"150938274616\", role = \"VendorMaintenance\" }]",
            "grant = [{ account = \"150938274616\", role = \"ReadOnly\" }]",
            "not-granted",
        ),
        ("name = \"VendorMaintenance\"", "name = \"Renamed\"", "no-such-role"),
    ] {
        assert_eq!(offered(&kim.open("/").await), [role]);
        file(&kim, role, "json").await;
        let catalog = world.aws.catalog();
        assert!(catalog.contains(old), "{old}");
        let mut changed = catalog.replace(old, new);
        if cause == "no-such-role" {
            changed = changed.replace("role = \"VendorMaintenance\"", "role = \"ReadOnly\"");
        }
        world.broker.apply(&changed).await;
        let (_, events) =
            world.refused(&mut kim, &format!("{role}/credentials"), &[], (403, "role-not-permitted")).await;
        assert_eq!((events[0].0.as_str(), &events[0].1["cause"]), ("issue.denied", &json!(cause)), "{old}");
        assert!(!offered(&kim.open("/").await).contains(&role.to_owned()));
        world.broker.apply(&catalog).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_a_disabled_connector_get_nothing() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    world.change_catalog("idp_initiated = true", "idp_initiated = true\nenabled = false").await;
    let (sentence, events) =
        world.refused(&mut asha, &format!("{READ_PAYMENTS}/credentials"), &[], (403, "role-not-permitted")).await;
    assert!(sentence.contains("has been switched off"), "{sentence}");
    assert_eq!((events[0].0.as_str(), &events[0].1["cause"]), ("issue.denied", &json!("connector-disabled")));
    assert!(offered(&asha.open("/").await).is_empty());
    problem(&asha.program_get("/saml/dev/start").await, 404, "connector-unknown");
    world.broker.apply(&world.aws.catalog()).await;
    file(&asha, READ_PAYMENTS, "json").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outlives_the_session_at_the_identity_provider() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let role = "/roles/104729301846/Admin/credentials";
    // It lasts eight hours; a click now and then keeps ours alive.
    for _ in 0..14 {
        world.clock.advance_secs(30 * 60);
        assert_eq!(asha.open("/").await.url.path(), "/");
    }
    let answer = asha.program_post(role, &[("format", "json"), ("duration", "4h")]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let granted = world.broker.last_event("issue.succeeded").await["duration_s"].as_i64().unwrap();
    assert!((3590..=3600).contains(&granted), "an hour was left, {granted} s were granted");

    world.clock.advance_secs(50 * 60);
    let (sentence, events) = world.refused(&mut asha, role, &[], (403, "identity-provider-session-ending")).await;
    assert!(sentence.contains("Please sign in again."), "{sentence}");
    assert_eq!((events[0].0.as_str(), events[0].1["cause"].as_str()), ("issue.denied", Some("idp-session-ending")));
    assert!(asha.open("/").await.body.contains("Your session ends in 10 minutes."));

    world.clock.advance_secs(11 * 60);
    assert_eq!(asha.open("/").await.url.path(), "/sign-in");
    problem(&asha.program_get("/api/v1/me").await, 401, "sign-in-required");
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_of_other_partitions_get_arns_and_regions_of_theirs() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    for (account, partition, region) in
        [("219048573302", "aws-us-gov", "us-gov-west-1"), ("226617384905", "aws-cn", "cn-north-1")]
    {
        let role = format!("/roles/{account}/Admin");
        let json: Value = serde_json::from_str(&file(&asha, &role, "json").await).unwrap();
        assert_eq!(json["RoleArn"], format!("arn:{partition}:iam::{account}:role/Admin"));
        assert_eq!(json["Region"], region);
        assert!(file(&asha, &role, "env").await.contains(&format!("export AWS_REGION='{region}'")));
        let arn = format!("arn:{partition}:sts::{account}:assumed-role/Admin/asha.raman@larkspur.example");
        // A profile with its region in it: keys of one partition are nothing in another.
        let folder = tempfile::tempdir().unwrap();
        let profile = folder.path().join("credentials");
        std::fs::write(&profile, file(&asha, &role, "ini").await).unwrap();
        let mut cli = tools::aws();
        cli.env_remove("AWS_REGION").env_remove("AWS_DEFAULT_REGION").env("AWS_SHARED_CREDENTIALS_FILE", &profile);
        cli.args(["sts", "get-caller-identity", "--profile", &format!("{account}-Admin")]);
        let said = tools::stdout(cli.args(["--endpoint-url", world.aws.base.as_str()]));
        assert!(said.contains(&arn), "{said}");
        let console = asha.post(&format!("{role}/console"), &[]).await;
        assert_eq!(text_of(&console, "arn"), arn);
        assert_eq!(world.broker.last_event("issue.succeeded").await["role"], json["RoleArn"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_sts_is_down_people_are_told_to_wait_and_the_picker_goes_on() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    world.aws.wire.spoil(Fault::Answers("/", 503, "<html>upstream connect error 10.1.2.3</html>"));
    let (sentence, events) =
        world.refused(&mut asha, &format!("{READ_PAYMENTS}/credentials"), &[], (503, "aws-unavailable")).await;
    assert!(sentence.starts_with("AWS STS is not answering just now."), "{sentence}");
    assert!(!sentence.contains("10.1.2.3"));
    assert_eq!((events[1].0.as_str(), &events[1].1["cause"]), ("issue.failed", &json!("sts-unavailable")));
    assert!(!offered(&asha.open("/").await).is_empty());

    // So many failures have had STS left alone for a while.
    world.clock.advance_secs(10);
    world.aws.wire.spoil(Fault::Answers("/federation", 400, "no"));
    let (sentence, events) =
        world.refused(&mut asha, &format!("{READ_PAYMENTS}/console"), &[], (502, "aws-refused")).await;
    assert!(sentence.starts_with("The AWS sign-in service refused"), "{sentence}");
    let kinds: Vec<_> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["issue.intended", "issue.succeeded", "console.failed"]);

    world.aws.wire.spoil(None);
    file(&asha, READ_PAYMENTS, "json").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clicks_at_once_are_two_sets_of_keys_with_a_record_each() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    let (one, two) = tokio::join!(file(&asha, READ_PAYMENTS, "json"), file(&asha, READ_PAYMENTS, "json"));
    let ids = [one, two].map(|text| serde_json::from_str::<Value>(&text).unwrap()["AccessKeyId"].clone());
    assert_ne!(ids[0], ids[1]);
    let events = world.broker.events().await;
    for id in ids {
        let found: Vec<_> =
            events.iter().filter(|(kind, body)| kind == "issue.succeeded" && body["access_key_id"] == id).collect();
        let [(_, body)] = found.as_slice() else { panic!("{id}: {found:?}") };
        // What a CloudTrail line holds leads to the person, the rule and the reason.
        assert_eq!(body["rule"], "engineers-read-workloads");
        assert_eq!(body["because"], json!({ "groups": "engineering" }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_for_every_copy_of_its_cookie() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let cookie = asha.cookie();
    let page = asha.post("/sign-out", &[]).await;
    assert_eq!((page.status, page.url.path()), (200, "/sign-out"));
    assert_eq!(world.broker.last_event("session.ended").await["cause"], "signed-out");
    let copy = send(client().get(world.broker.at("/api/v1/me")).header("cookie", cookie)).await;
    problem(&copy, 401, "sign-in-required");
}
