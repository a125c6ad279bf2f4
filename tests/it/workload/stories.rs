//! Tokens that are exchanged, and what can be done with what comes of it.

use serde_json::{Value, json};

use super::{ATTRIBUTES, CI, GITHUB, GITLAB, KUBERNETES, RULES, Scene, said_no};
use crate::broker::Broker;
use crate::hostile_oidc::forge::Who;
use crate::sandboxed::{Answer, client, send};

const ID_TOKEN: (&str, &str) = ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token");

fn roles(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let all = answer.json()["roles"].as_array().unwrap().clone();
    all.iter().map(|role| format!("{}/{}", role["account"].as_str().unwrap(), role["role"].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_gets_an_access_token_for_a_quarter_of_an_hour_and_no_refresh_token() {
    let scene = Scene::start().await;
    let answer = scene.exchange(&scene.job().compact(), &[]).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{}", answer.body);
    let Value::Object(document) = answer.json() else { panic!("{}", answer.body) };
    let mut names: Vec<&str> = document.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["access_token", "expires_in", "issued_token_type", "scope", "token_type"]);
    assert_eq!(document["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
    assert_eq!((&document["token_type"], &document["scope"]), (&json!("Bearer"), &json!("read issue")));
    // The token ends in five minutes, and what comes of it ten minutes later at the latest.
    assert!((899..=900).contains(&document["expires_in"].as_i64().unwrap()), "{document:?}");
    let access = document["access_token"].as_str().unwrap();
    assert!(access.starts_with("rga_"));

    let me = scene.get("/api/v1/me", access).await.json();
    assert_eq!((&me["connector"], &me["subject"]), (&json!(CI), &json!("repo:corp/app:environment:production")));
    assert_eq!(me["attributes"]["repository"], json!(["corp/app"]));
    assert_eq!(
        roles(&scene.get("/api/v1/roles", access).await),
        ["111122223333/teams/app/Deploy", "444455556666/teams/app/Deploy"]
    );

    let [(accepted, seen), (issued, given)] = &scene.recorded().await[..] else { panic!("two events") };
    assert_eq!((accepted.as_str(), issued.as_str()), ("workload.accepted", "token.issued"));
    assert_eq!((&seen["connector"], &seen["issuer"]), (&json!(CI), &json!(scene.issuer.base)));
    assert_eq!(seen["jti"], "7e1c4b0a-3f5d-4a1e-9f0b-2f6f8d1c9a10");
    assert_eq!(seen["attributes"]["ref"], json!(["refs/heads/main"]));
    assert_eq!(seen["evidence"].as_str().unwrap().len(), 43);
    assert_eq!((&given["token_kind"], &given["grant"]), (&json!("workload"), &json!("token-exchange")));
    assert_eq!((&given["label"], &given["jti"]), (&json!("repo:corp/app:environment:production"), &seen["jti"]));

    // It ends by itself.
    scene.clock.advance_secs(900);
    assert_eq!(scene.get("/api/v1/me", access).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_exchanged_as_often_as_it_is_shown_and_each_time_is_on_record() {
    let scene = Scene::start().await;
    let job = scene.job().compact();
    let mut tokens = Vec::new();
    // As it is, and as a file ends.
    for end in ["", "\n", "\r\n"] {
        tokens.push(scene.access(&format!("{job}{end}"), &[ID_TOKEN]).await);
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 3, "each is another one");
    let recorded = scene.recorded().await;
    let evidence: Vec<&Value> =
        recorded.iter().filter(|(kind, _)| kind == "workload.accepted").map(|(_, body)| &body["evidence"]).collect();
    assert!(evidence.len() == 3 && evidence.iter().all(|one| *one == evidence[0]), "by one and the same token");
    // Once it has expired, no more.
    scene.clock.advance_secs(300 + 180);
    said_no(&scene.exchange(&job, &[]).await, 400, "invalid_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_does_not_long_outlive_what_it_was_exchanged_for() {
    let scene = Scene::start().await;
    let now = scene.broker.now().as_second();
    let left = async |seconds: i64| {
        let job = scene.job().with("exp", json!(now + seconds)).with("iat", json!(now - 600));
        scene.exchange(&job.compact(), &[]).await.json()["expires_in"].as_i64().unwrap()
    };
    assert_eq!(left(3_600).await, 900);
    assert!((799..=800).contains(&left(200).await));
    assert!((539..=540).contains(&left(-60).await));
    let short = Scene::with(Broker::wishes().set("tokens.access_token_lifetime", "5m"), "", ATTRIBUTES).await;
    assert_eq!(short.exchange(&short.job().compact(), &[]).await.json()["expires_in"], 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_one_role_or_for_reading_does_no_more_than_that() {
    let scene = Scene::start().await;
    let job = scene.job().compact();
    let arn = ("resource", "arn:aws:iam::444455556666:role/teams/app/Deploy");
    let one = scene.access(&job, &[arn]).await;
    assert_eq!(roles(&scene.get("/api/v1/roles", &one).await), ["444455556666/teams/app/Deploy"]);
    let at = |role: &str| scene.broker.at(&format!("/api/v1/roles/{role}/credentials"));
    let refused = send(client().post(at("111122223333/teams/app/Deploy")).bearer_auth(&one)).await;
    assert_eq!((refused.status, refused.json()["type"].clone()), (403, json!("urn:rolegate:problem:token-scope")));
    let looks = scene.access(&job, &[("scope", "read")]).await;
    assert_eq!(roles(&scene.get("/api/v1/roles", &looks).await).len(), 2);
    let refused = send(client().post(at("444455556666/teams/app/Deploy")).bearer_auth(&looks)).await;
    assert_eq!((refused.status, refused.json()["type"].clone()), (403, json!("urn:rolegate:problem:token-scope")));
    // And a role nobody granted stays out of reach, as for anybody.
    let all = scene.access(&job, &[]).await;
    let refused = send(client().post(at("111122223333/Admin")).bearer_auth(&all)).await;
    assert_eq!(
        (refused.status, refused.json()["type"].clone()),
        (403, json!("urn:rolegate:problem:role-not-permitted"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_goes_takes_the_roles_of_tokens_that_are_out_already() {
    let scene = Scene::start().await;
    let access = scene.access(&scene.job().compact(), &[]).await;
    let elsewhere = RULES.replace("repository = \"corp/app\"", "repository = \"corp/other\"");
    scene.broker.apply(&format!("{}{elsewhere}", scene.connector(CI, "", ATTRIBUTES))).await;
    assert!(roles(&scene.get("/api/v1/roles", &access).await).is_empty());
}

/// The connector's settings, its attributes, and what the rule asks for.
async fn exchanged(shape: &str, settings: &str, attributes: &str, when: &str) -> (Scene, Answer) {
    let scene = Scene::start().await;
    let rules = RULES.replace("repository = \"corp/app\", ref = \"refs/heads/main\"", when);
    scene.broker.apply(&format!("{}{rules}", scene.connector(CI, settings, attributes))).await;
    let answer = scene.exchange(&scene.token(shape).compact(), &[]).await;
    (scene, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_gitlab_and_pods_of_kubernetes_are_known_by_what_their_tokens_say() {
    let (scene, answer) = exchanged(
        GITLAB,
        "require = { namespace = \"corp\" }",
        "namespace = \"namespace_path\"\nproject = \"project_path\"\nref = \"ref\"\nref_type = \"ref_type\"\nprotected = \
         \"ref_protected\"",
        "project = \"corp/app\", ref = \"main\", ref_type = \"branch\", protected = \"true\"",
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(scene.recorded().await[0].1["attributes"]["project"], json!(["corp/app"]));

    let attributes = "namespace = { path = [\"kubernetes.io\", \"namespace\"] }\nserviceaccount = { path = \
                      [\"kubernetes.io\", \"serviceaccount\", \"name\"] }";
    let when = "namespace = \"ci\", serviceaccount = \"deployer\"";
    let (scene, answer) = exchanged(KUBERNETES, "", attributes, when).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    // The API server writes no `typ`.
    assert_eq!(scene.exchange(&scene.token(KUBERNETES).without_header("typ").compact(), &[]).await.status, 200);
    // What only looks like the claim inside is not it.
    for trick in ["kubernetes.io.namespace", "kubernetes.io/namespace", "namespace"] {
        let token = scene.token(KUBERNETES).without("kubernetes.io").with(trick, json!("ci"));
        said_no(&scene.exchange(&token.compact(), &[]).await, 400, "unauthorized_client");
    }
    let list = json!([{ "namespace": "ci", "serviceaccount": { "name": "deployer" } }]);
    let token = scene.token(KUBERNETES).with("kubernetes.io", list);
    said_no(&scene.exchange(&token.compact(), &[]).await, 400, "unauthorized_client");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_a_file_or_at_an_address_need_no_discovery() {
    let scene = Scene::start().await;
    scene.access(&scene.job().compact(), &[]).await;
    let before = scene.issuer.calls().len();
    let jwks = json!({ "keys": [Who::Next.jwk("cluster")] }).to_string();
    let inline = scene.connector(CI, &format!("jwks = '{jwks}'"), ATTRIBUTES);
    scene.broker.apply(&format!("{inline}{RULES}")).await;
    scene.access(&scene.job().signed("RS256", Who::Next, "cluster").compact(), &[]).await;
    let answer = scene.exchange(&scene.job().compact(), &[]).await;
    scene.refused(&answer, (400, "invalid_request"), "key-unknown").await;
    assert_eq!(scene.issuer.calls().len(), before, "nobody was asked");
    let address = scene.connector(CI, &format!("jwks_uri = \"{}/jwks\"", scene.issuer.base), ATTRIBUTES);
    scene.broker.apply(&format!("{address}{RULES}")).await;
    // What was asked a moment ago is not asked again.
    scene.clock.advance_secs(10);
    scene.access(&scene.job().compact(), &[]).await;
    assert!(scene.issuer.calls()[before..].iter().all(|call| call.path == "/jwks"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_connectors_with_one_issuer_are_told_apart_by_audience() {
    let scene = Scene::start().await;
    let connectors = [("ci", ""), ("other", "audience = \"other\"")]
        .map(|(id, more)| scene.connector(id, more, ATTRIBUTES))
        .concat();
    let rules = RULES.replace("connector = \"ci\"", "connector = \"other\"");
    scene.broker.apply(&format!("{connectors}{rules}")).await;
    let other = scene.job().with("aud", json!("other")).compact();
    scene.access(&other, &[]).await;
    assert_eq!(scene.recorded().await[0].1["connector"], "other");
    said_no(&scene.exchange(&scene.job().compact(), &[]).await, 400, "unauthorized_client");
    for audience in [json!("third"), json!(["other", scene.broker.base])] {
        let token = scene.token(GITHUB).with("aud", audience).compact();
        scene.refused(&scene.exchange(&token, &[]).await, (400, "invalid_request"), "audience-ambiguous").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_knows_what_another_has_seen() {
    let scene = Scene::with(Broker::wishes(), "once = true", ATTRIBUTES).await;
    let twin = Broker::wishes()
        .on_data_of(&scene.broker)
        .clock(&scene.clock)
        .set("public_url", scene.broker.base.clone())
        .start()
        .await;
    let job = scene.job().compact();
    scene.access(&job, &[]).await;
    said_no(&super::exchange(&twin.base, &job, &[]).await, 400, "invalid_request");
}
