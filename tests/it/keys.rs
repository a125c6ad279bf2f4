//! Our own keys from the outside: what AWS reads, and what an operator sees and does.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::broker::Broker;
use crate::tools::{rolegate, stdout};

fn keys(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = rolegate();
    command.arg("keys").args(arguments).arg("--data-dir").arg(folder).current_dir(folder);
    command.args(["--set", "keys.signing_key_bits=2048"]);
    command
}

fn list(folder: &Path) -> Vec<Value> {
    serde_json::from_str(&stdout(&mut keys(folder, &["list", "--json"]))).unwrap()
}

async fn get(broker: &Broker, path: &str) -> (reqwest::header::HeaderMap, Value) {
    let answer = crate::sandboxed::client().get(broker.at(path)).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    (answer.headers().clone(), answer.json().await.unwrap())
}

fn ids(set: &Value) -> Vec<&str> {
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_finds_the_key_set_from_the_issuer_and_may_keep_it_and_an_operator_replaces_a_key_while_the_broker_runs() {
    let broker = Broker::wishes().start().await;
    let folder = broker.folder();
    assert_eq!(list(&folder).len(), 3, "none for tokens: nobody has needed one");
    let words = String::from_utf8(keys(&folder, &["list"]).output().unwrap().stderr).unwrap();
    assert!(words.contains("is made when a role with the method web-identity needs it"), "{words}");

    let (headers, discovery) = get(&broker, "/.well-known/openid-configuration").await;
    assert_eq!(
        (&headers["content-type"], &headers["cache-control"]),
        (&"application/json".parse().unwrap(), &"public, max-age=900".parse().unwrap())
    );
    assert_eq!(discovery["issuer"], broker.base.as_str());
    let jwks_uri = discovery["jwks_uri"].as_str().unwrap();
    let (headers, set) = get(&broker, jwks_uri.strip_prefix(&broker.base).unwrap()).await;
    assert_eq!(
        (&headers["content-type"], &headers["cache-control"]),
        (&"application/jwk-set+json".parse().unwrap(), &"public, max-age=900".parse().unwrap())
    );
    let [first] = ids(&set)[..] else { panic!("{set}") };

    // Another process makes the next key; the one that runs shows it without being told.
    let made = stdout(&mut keys(&folder, &["rotate"]));
    let (_, both) = get(&broker, "/aws/jwks.json").await;
    assert_eq!(ids(&both), [first, made.trim()]);
    assert_eq!(stdout(&mut keys(&folder, &["rotate"])), made, "it waits already");
    let listed = list(&folder);
    let tokens: Vec<_> = listed.iter().filter(|key| key["purpose"] == "aws-tokens").collect();
    assert_eq!((tokens.len(), &tokens[0]["state"], &tokens[1]["state"]), (2, &json!("signing"), &json!("next")));
    let table = stdout(&mut keys(&folder, &["list"]));
    assert!(table.contains("aws-signing (assertions for AWS)") && table.contains("next, signs from 20"), "{table}");
    for key in &listed {
        assert_eq!((key["bits"].as_u64(), key["certificate"]["sha256"].as_str().unwrap().len()), (Some(2048), 64));
        assert!(key["certificate"]["expires"].as_str().unwrap() > "2040", "{key}");
    }

    let new = stdout(&mut keys(&folder, &["rotate", "--compromised"]));
    let (_, only) = get(&broker, "/aws/jwks.json").await;
    assert_eq!(ids(&only), [new.trim()]);
    let retired = broker.events().await.into_iter().filter(|(kind, _)| kind == "key.retired").count();
    assert_eq!(retired, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_aws_reads_can_be_served_from_elsewhere_under_another_issuer() {
    let issuer = "https://keys.larkspur.example/rolegate";
    let broker = Broker::wishes().set("keys.token_issuer", issuer).start().await;
    let (_, discovery) = get(&broker, "/.well-known/openid-configuration").await;
    assert_eq!(
        (&discovery["issuer"], &discovery["jwks_uri"]),
        (&json!(issuer), &json!(format!("{issuer}/aws/jwks.json")))
    );

    let folder = broker.folder();
    let refused = keys(&folder, &["publish", "out"]).output().unwrap();
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && words.contains("keys.token_issuer"), "{words}");
    let mut publish = keys(&folder, &["publish", "out"]);
    stdout(publish.args(["--set", &format!("keys.token_issuer={issuer}")]));
    let read = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(folder.join("out").join(name)).unwrap()).unwrap()
    };
    assert_eq!(read(".well-known/openid-configuration"), discovery);
    assert_eq!(read("aws/jwks.json"), get(&broker, "/aws/jwks.json").await.1);
}

const CATALOG: &str = "[[account]]\nid = \"111122223333\"\nname = \"Payments\"\noidc_audience = \"rolegate:111122223333\"\n\
                       [[role]]\naccount = \"111122223333\"\nname = \"Deploy\"\nmethod = \"web-identity\"\n";

/// What `rolegate doctor` says of us as an issuer: the exit code, and verdict and text of each check.
fn examined(broker: &Broker, more: &[&str]) -> (Option<i32>, Vec<(String, String, String)>) {
    let mut command = rolegate();
    command.args(["doctor", "--json", "--public-url", &broker.base, "--data-dir"]).arg(broker.folder()).args(more);
    let output = command.current_dir(broker.folder()).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let checks = report["issuer"].as_array().unwrap_or_else(|| panic!("{report}")).iter();
    let checks = checks.map(|one| (text(&one["check"]), text(&one["verdict"]), text(&one["detail"]))).collect();
    (output.status.code(), checks)
}

#[track_caller]
fn says(checks: &[(String, String, String)], check: &str, verdict: &str, part: &str) {
    let found: Vec<_> = checks.iter().filter(|(name, ..)| name == check).collect();
    assert!(
        matches!(found.as_slice(), [(_, is, said)] if is == verdict && said.contains(part)),
        "{check} should be {verdict} with {part:?}: {checks:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_reads_what_aws_reads_and_compares_it_with_the_keys_that_sign() {
    let broker = Broker::wishes().start().await;
    let output =
        rolegate().args(["doctor", "--json", "--public-url", &broker.base, "--data-dir"]).arg(broker.folder()).output();
    let report: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    assert_eq!(report["issuer"], Value::Null, "no role asks for tokens");
    broker.apply(CATALOG).await;

    let (code, checks) = examined(&broker, &[]);
    assert_eq!(code, Some(0), "{checks:?}");
    says(&checks, "roles", "ok", "audiences: rolegate:111122223333");
    says(&checks, "issuer", "warn", "only this machine can open");
    says(&checks, "own-key", "warn", "has not been made yet");
    says(&checks, "discovery", "ok", &broker.base);
    says(&checks, "jwks", "ok", "has our keys");
    says(&checks, "caching", "ok", "may keep a copy");
    let (_, again) = examined(&broker, &[]);
    says(&again, "own-key", "ok", "opens with the sealing key");

    // Somebody else answers at the address that tokens name.
    let other = Broker::wishes().start().await;
    let (code, checks) = examined(&broker, &["--set", &format!("keys.token_issuer={}", other.base)]);
    assert_eq!(code, Some(1));
    says(&checks, "jwks", "fail", "lacks the key");
    // What is published names another issuer.
    let (code, checks) =
        examined(&broker, &["--set", &format!("keys.token_issuer={}", broker.base.replace("127.0.0.1", "localhost"))]);
    assert_eq!(code, Some(1));
    says(&checks, "discovery", "fail", "calls itself");
    // Nobody answers.
    let (code, checks) = examined(&broker, &["--set", "keys.token_issuer=http://127.0.0.1:1"]);
    assert_eq!(code, Some(1));
    says(&checks, "discovery", "fail", "could not be reached");
    // The sealing key is not the one that belongs to the database.
    let (code, checks) = examined(&broker, &["--set", "keys.sealing_key=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="]);
    assert_eq!(code, Some(1));
    says(&checks, "own-key", "fail", "another sealing key");
}
