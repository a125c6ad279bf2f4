//! Roles by web identity: from a click to credentials and the console, by a token of ours that the local AWS checks with
//! the keys it fetches from us.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rolegate::app::token_keys;
use rolegate::config::{Config, Sources};
use rolegate::flows::token_keys::{Rotated, TokenKeys};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::sandboxed::{Answer, Person, Sandboxed, client, problem, send};
use crate::tools::{aws, stdout};

const PUBLISHER: &str = "/roles/195530284716/oidc/Publisher";
/// Its trust policy asks for tokens that were made for it.
const READER: &str = "/roles/208174930265/oidc/Reader";
const DAY: i64 = 24 * 3600;

async fn keys(person: &Person, role: &str) -> Value {
    let answer = person.program_post(&format!("{role}/credentials"), &[("format", "json")]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// The tokens that STS was shown, oldest first.
fn tokens(world: &Sandboxed) -> Vec<String> {
    let calls = world.aws.wire.exchanges();
    let calls = calls.iter().filter(|call| call.sent.contains("Action=AssumeRoleWithWebIdentity"));
    calls
        .map(|call| {
            let body = call.sent.split_once('\n').unwrap().1;
            form_urlencoded::parse(body.as_bytes()).find(|(name, _)| name == "WebIdentityToken").unwrap().1.into_owned()
        })
        .collect()
}

/// Header and claims.
fn read(token: &str) -> (Value, Value) {
    let part = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
    let mut parts = token.split('.');
    (part(parts.next().unwrap()), part(parts.next().unwrap()))
}

/// Shows a token to STS for a role, as somebody would who has come by one.
async fn show(world: &Sandboxed, token: &str, role: &str) -> Answer {
    let form = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", role),
        ("RoleSessionName", "mallory"),
        ("WebIdentityToken", token),
    ];
    send(client().post(world.aws.base.clone()).form(&form)).await
}

/// The keys as another process on the same database has them.
fn elsewhere(world: &Sandboxed) -> TokenKeys {
    let sources = Sources::of_program([
        ("public_url", world.broker.base.clone()),
        ("keys.signing_key_bits", "2048".to_owned()),
        ("data_dir", world.broker.folder().display().to_string()),
    ]);
    token_keys(&world.broker.app.ground, &Config::load(&sources).unwrap().keys.tokens)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_becomes_keys_that_the_aws_cli_takes_and_a_page_of_the_console() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let json = keys(&asha, PUBLISHER).await;
    let arn = "arn:aws:sts::195530284716:assumed-role/Publisher/asha.raman@larkspur.example";
    let (endpoint, text) = (world.aws.base.to_string(), |name: &str| json[name].as_str().unwrap().to_owned());
    let mut command = aws();
    command
        .args(["sts", "get-caller-identity", "--output", "json", "--endpoint-url", &endpoint])
        .env("AWS_ACCESS_KEY_ID", text("AccessKeyId"))
        .env("AWS_SECRET_ACCESS_KEY", text("SecretAccessKey"))
        .env("AWS_SESSION_TOKEN", text("SessionToken"));
    let said = tokio::task::spawn_blocking(move || stdout(&mut command)).await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["Arn"], arn);

    let console = asha.post(&format!("{PUBLISHER}/console"), &[]).await;
    assert_eq!(console.status, 200, "{}", console.body);
    assert!(console.url.as_str().starts_with(world.aws.base.as_str()), "{}", console.url);
    assert!(console.body.contains("Publisher") && console.body.contains("195530284716"), "{}", console.body);

    let shown = tokens(&world);
    assert_eq!((shown.len(), world.aws.wire.sts_calls()), (2, 0), "and no assertion");
    let (header, claims) = read(&shown[0]);
    assert_eq!((&header["alg"], &claims["iss"]), (&json!("RS256"), &json!(world.broker.base)));
    assert_eq!(claims["aud"], "sts.amazonaws.com");
    assert_eq!(claims["sub"], "dev:asha");
    assert_eq!(claims["amr"], json!(["role:arn:aws:iam::195530284716:role/oidc/Publisher"]));
    assert_eq!(claims["https://aws.amazon.com/source_identity"], "asha.raman@larkspur.example");

    let events = world.broker.events().await;
    let one = |kind: &str| &events.iter().find(|(found, _)| found == kind).unwrap_or_else(|| panic!("no {kind}")).1;
    assert_eq!(one("issue.intended")["method"], "web-identity");
    assert_eq!(one("issue.succeeded")["assertion"], claims["jti"]);
    // The signature is what makes it good: it is nowhere but on the wire.
    let signature = shown[0].rsplit('.').next().unwrap();
    let disk = world.broker.bytes_on_disk();
    assert!(!disk.windows(signature.len()).any(|window| window == signature.as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_asks_for_it_is_opened_by_tokens_that_were_made_for_it_alone() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    keys(&asha, READER).await;
    keys(&asha, PUBLISHER).await;
    let shown = tokens(&world);
    let (for_reader, for_publisher) = (&shown[0], &shown[1]);
    let (reader, publisher) =
        ("arn:aws:iam::208174930265:role/oidc/Reader", "arn:aws:iam::195530284716:role/oidc/Publisher");
    assert_eq!(show(&world, for_reader, reader).await.status, 200);
    let refused = show(&world, for_publisher, reader).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert!(refused.body.contains("Not authorized to perform sts:AssumeRoleWithWebIdentity"), "{}", refused.body);
    assert_eq!(show(&world, for_reader, publisher).await.status, 200, "which is why a trust policy should ask");
    world.clock.advance_secs(301);
    let late = show(&world, for_reader, reader).await;
    assert!(late.status == 400 && late.body.contains("<Code>ExpiredTokenException</Code>"), "{}", late.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_replaced_while_people_work_and_nobody_notices() {
    let world = Sandboxed::start().await;
    let other = elsewhere(&world);
    let mut used = BTreeSet::new();
    let issue = async || {
        // Sessions of people do not last as long as this.
        let asha = world.sign_in_as("asha").await;
        keys(&asha, PUBLISHER).await;
        let token = tokens(&world).pop().unwrap();
        (read(&token).0["kid"].as_str().unwrap().to_owned(), token)
    };
    let role = "arn:aws:iam::195530284716:role/oidc/Publisher";
    let (first, _) = issue().await;
    used.insert(first.clone());
    for _ in 0..3 {
        // Until the next is published, which another process does.
        world.clock.advance_secs(89 * DAY);
        other.tend(true).await.unwrap();
        let (before, _) = issue().await;
        assert!(used.contains(&before), "it is published, and does not sign yet");
        world.clock.advance_secs(DAY - 1);
        let (last, token) = issue().await;
        assert_eq!(last, before);
        world.clock.advance_secs(1);
        let (next, _) = issue().await;
        assert!(used.insert(next), "the next has taken over");
        let old = show(&world, &token, role).await;
        assert_eq!(old.status, 200, "what was signed a second ago by the one before is good: {}", old.body);
        world.clock.advance_secs(2 * DAY);
        other.tend(true).await.unwrap();
        issue().await;
    }
    assert_eq!(used.len(), 4);
    assert_eq!(other.list().await.unwrap().len(), 1, "those before are gone");

    // By hand, and then in a hurry.
    let Rotated::Made { key: waiting, .. } = other.rotate("asha").await.unwrap() else { panic!("made one") };
    let (still, token) = issue().await;
    assert_ne!(still, waiting);
    let Rotated::Made { key: new, .. } = other.replace_all("asha").await.unwrap() else { panic!("made one") };
    let (now, _) = issue().await;
    assert_eq!(now, new, "this process signs with it at once");
    let withdrawn = show(&world, &token, role).await;
    assert_eq!(withdrawn.status, 400, "what the withdrawn key has signed is refused: {}", withdrawn.body);
    let retired = world.broker.events().await.into_iter().filter(|(kind, _)| kind == "key.retired").count();
    assert_eq!(retired, 3 + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_set_up_in_the_account_is_said_in_words() {
    let world = Sandboxed::start().await;
    let account = "[[account]]\nid = \"195530284716\"\n";
    let failed = async |path: &str| {
        let asha = world.sign_in_as("asha").await;
        let answer = asha.program_post(&format!("{path}/credentials"), &[("format", "json")]).await;
        let (sentence, request) = problem(&answer, answer.status, "aws-refused");
        let (kind, body) = world.events_of(&request).await.pop().unwrap();
        assert_eq!(kind, "issue.failed");
        (sentence, body["cause"].as_str().unwrap().to_owned())
    };
    world.change_catalog(account, &format!("{account}oidc_audience = \"other\"\n")).await;
    let (sentence, cause) = failed(PUBLISHER).await;
    assert!(cause == "sts-audience-unknown" && sentence.contains("client IDs"), "{cause}: {sentence}");

    // An account that trusts us by SAML only.
    let elsewhere = |catalog: &str, join: &str| {
        let role = |account: &str| format!("account = \"{account}\"{join} = \"oidc/Publisher\"");
        catalog.replace(&role("195530284716"), &role("104729301846"))
    };
    let catalog = elsewhere(&elsewhere(&world.aws.catalog(), "\nname"), ", role");
    world.broker.apply(&catalog).await;
    let (sentence, cause) = failed("/roles/104729301846/oidc/Publisher").await;
    assert!(
        cause == "sts-oidc-provider-missing" && sentence.contains("no OpenID Connect provider"),
        "{cause}: {sentence}"
    );
}
