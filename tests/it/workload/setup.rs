//! What an operator does and sees: `catalog check`, `doctor`, `access explain`, and that nobody signs in there.

use std::process::Output;

use rolegate::web::problem::Kind;
use serde_json::Value;

use super::{ATTRIBUTES, CI, RULES, Scene};
use crate::hostile_oidc::provider::Answer as Says;
use crate::sandboxed::{client, problem, send};
use crate::tools::rolegate;

fn run(scene: &Scene, command: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = rolegate()
        .args(command)
        .current_dir(scene.broker.folder())
        .env("ROLEGATE_DATA_DIR", scene.broker.folder())
        .env("ROLEGATE_PUBLIC_URL", &scene.broker.base)
        .output()
        .unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_signs_in_through_a_connector_for_workloads() {
    let scene = Scene::start().await;
    let page = send(client().get(scene.broker.at("/sign-in")).header("accept", "text/html")).await;
    assert!(page.status == 200 && !page.body.contains("/ci/"), "{}", page.body);
    let unknown = Kind::ConnectorUnknown.status().as_u16();
    assert_eq!(unknown, 404);
    for path in ["/saml/ci/start", "/oidc/ci/start", "/saml/ci/metadata", "/oidc/ci/jwks.json"] {
        problem(&send(client().get(scene.broker.at(path))).await, 404, "connector-unknown");
    }
    for path in ["/workload/ci/start", "/workload/ci/callback"] {
        problem(&send(client().get(scene.broker.at(path))).await, 404, "not-found");
    }
    // Nothing was begun there, so nothing can be answered.
    let callback = send(client().get(scene.broker.at("/oidc/ci/callback?code=c&state=s"))).await;
    assert!((400..500).contains(&callback.status), "{}", callback.body);
    let reply = send(client().post(scene.broker.at("/saml/ci/acs")).form(&[("SAMLResponse", "eA==")])).await;
    problem(&reply, 404, "connector-unknown");
    let token =
        send(client().post(scene.broker.at("/oidc/ci/backchannel-logout")).form(&[("logout_token", "x")])).await;
    problem(&token, 404, "connector-unknown");
    assert_eq!(scene.broker.rows("sign_in_attempt").await + scene.broker.rows("session").await, 0);
}

fn checks(report: &Value) -> Vec<(String, String, String)> {
    let text = |check: &Value, name: &str| check[name].as_str().unwrap_or_default().to_owned();
    let all = report["connectors"][0]["checks"].as_array().unwrap();
    all.iter().map(|check| (text(check, "check"), text(check, "verdict"), text(check, "detail"))).collect()
}

fn says(report: &Value, name: &str, verdict: &str, part: &str) {
    let found = checks(report);
    let hit = found.iter().any(|(check, is, detail)| check == name && is == verdict && detail.contains(part));
    assert!(hit, "no {name}, {verdict}, `{part}` in {found:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_looks_at_the_issuer_its_keys_and_the_rules() {
    let scene = Scene::start().await;
    let examined = |code: i32| {
        let (found, data, words) = run(&scene, &["doctor", CI, "--json"]);
        assert_eq!(found, code, "{data}{words}");
        serde_json::from_str::<Value>(&data).unwrap()
    };
    let report = examined(0);
    says(&report, "discovery", "ok", "answered in");
    says(&report, "require", "ok", "owner: `corp`");
    says(&report, "reuse", "ok", "until it expires");
    says(&report, "signing-algorithms", "ok", "RS256 will be accepted");
    says(&report, "jwks-key", "ok", "kid rsa (RSA, 2048 bits) can sign with RS256");
    says(&report, "rules", "ok", "app-deploys");
    let paste = report["connectors"][0]["paste"].as_array().unwrap();
    assert_eq!(paste[0]["value"], scene.broker.base.as_str());
    assert_eq!(paste[1]["value"], scene.broker.at("/oauth/token"));

    let (_, text, _) = run(&scene, &["doctor", CI]);
    assert!(text.contains("For the jobs:") && text.contains("Audience of the tokens"), "{text}");
    let (code, _, words) = run(&scene, &["doctor", "--sign-in", CI]);
    assert_eq!(code, 2);
    assert!(words.contains("is for workloads, and nobody signs in through it"), "{words}");

    scene.issuer.answer("/jwks", Says::text(200, "application/json", "{\"keys\":[]}"));
    says(&examined(1), "jwks", "fail", "no key that can check a signature");
    scene.issuer.answer(crate::hostile_oidc::play::DISCOVERY, Says::text(404, "text/plain", "no"));
    says(&examined(1), "discovery", "fail", "answered with status 404");

    let jwks = serde_json::json!({ "keys": [crate::hostile_oidc::forge::Who::Next.jwk("k")] });
    let connector = scene.connector(CI, &format!("jwks = '{jwks}'"), "repository = \"repository\"\n");
    let rules = RULES.replace(", ref = \"refs/heads/main\"", ", ref = \"main\"");
    let elsewhere = scene.connector("other", "audience = \"x\"", ATTRIBUTES);
    scene.broker.apply(&format!("{connector}{elsewhere}{rules}")).await;
    let report = examined(0);
    says(&report, "jwks-key", "ok", "kid k");
    says(&report, "rules", "warn", "no rule gives anything to workloads from here");
    says(&report, "attributes", "warn", "rule app-deploys asks for ref, which no token from here brings");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_with_workloads_is_checked_exported_and_explained() {
    let scene = Scene::start().await;
    let write = |name: &str, text: &str| std::fs::write(scene.broker.folder().join(name), text).unwrap();
    let (code, exported, words) = run(&scene, &["catalog", "export"]);
    assert_eq!(code, 0, "{words}");
    assert!(
        exported.contains("kind = \"workload\"") && exported.contains("require = { owner = \"corp\" }"),
        "{exported}"
    );
    write("same.toml", &exported);
    let (code, _, words) = run(&scene, &["catalog", "apply", "same.toml", "--dry-run"]);
    assert!(code == 0 && words.contains("Nothing was changed"), "{words}");

    write(
        "open.toml",
        "[[connector]]\nid = \"gh\"\nkind = \"workload\"\nissuer = \"https://token.actions.githubusercontent.com\"\n",
    );
    let (code, _, words) = run(&scene, &["catalog", "check", "open.toml"]);
    assert_eq!(code, 1);
    assert!(
        words.contains("connector.require: https://token.actions.githubusercontent.com signs for every repository"),
        "{words}"
    );

    let explain = |attributes: &[&str]| {
        let given = attributes.iter().flat_map(|one| ["--attribute", *one]);
        let role = ["--role", "111122223333/teams/app/Deploy"];
        let line: Vec<&str> = ["access", "explain", "--connector", CI].into_iter().chain(role).chain(given).collect();
        run(&scene, &line)
    };
    let (code, data, _) = explain(&["repository=corp/app", "ref=refs/heads/main", "subject=repo:corp/app:x"]);
    assert_eq!(code, 0, "{data}");
    assert!(data.starts_with("yes: ci:repo:corp/app:x may use 111122223333/teams/app/Deploy"), "{data}");
    let (code, data, words) = explain(&["repository=corp/app", "ref=refs/heads/x", "groups=engineering"]);
    assert_eq!(code, 1);
    assert!(data.contains("no   ref: `refs/heads/main` is wanted; there is `refs/heads/x`"), "{data}");
    assert!(words.contains("connector `ci` maps no attribute `groups`"), "{words}");
}
