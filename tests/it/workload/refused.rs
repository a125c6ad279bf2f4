//! Tokens that are not exchanged, each with what is said and what is recorded.

use serde_json::json;

use super::{ATTRIBUTES, CI, CREDENTIALS, GITLAB, KUBERNETES, RULES, Scene, said_no};
use crate::broker::Broker;
use crate::hostile_oidc::forge::{Sign, Token, Who, with_first_member, with_last_member};
use crate::hostile_oidc::provider::Answer as Says;

const UNBELIEVED: (u16, &str) = (400, "invalid_request");
const NOT_ACCEPTED: &str =
    "The token was not accepted. The audit log has the reason, under the request id of this answer.";

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_wrong_in_one_thing_is_refused_for_that_and_the_job_is_told_nothing() {
    let scene = Scene::start().await;
    let now = scene.broker.now().as_second();
    let job = || scene.job();
    let text = |change: fn(&serde_json::Value) -> String| {
        let mut token = job();
        token.claims_text = Some(change(&token.claims));
        token
    };
    let unsigned = Token { sign: Sign::Bytes(Vec::new()), ..job().with_header("alg", json!("none")) };
    let confused = Token { sign: Sign::Hmac(Who::Provider.public_pem()), ..job().with_header("alg", json!("HS256")) };
    for (token, cause) in [
        (job().with("aud", json!("sts.amazonaws.com")), "audience-wrong"),
        (job().with("aud", json!(format!("{}/", scene.broker.base))), "audience-wrong"),
        (job().with("aud", json!([scene.broker.base, "https://vault.corp.example"])), "audience-not-alone"),
        (job().without("aud"), "claim-missing"),
        (job().with("iss", json!(format!("{}/", scene.issuer.base))), "issuer-unknown"),
        (job().with("iss", json!(format!("{}.evil.example", scene.issuer.base))), "issuer-unknown"),
        (job().with("iss", json!(scene.issuer.base.to_uppercase())), "issuer-unknown"),
        (job().with("iss", json!([scene.issuer.base])), "claim-malformed"),
        (job().without("iss"), "claim-missing"),
        (unsigned, "token-unsigned"),
        (confused, "algorithm-not-allowed"),
        (job().signed("ES256", Who::ProviderEc, "ec"), "algorithm-not-allowed"),
        (job().signed("RS256", Who::Stranger, "rsa"), "signature-wrong"),
        (job().with_header("jwk", Who::Stranger.jwk("rsa")).signed("RS256", Who::Stranger, "rsa"), "signature-wrong"),
        (job().with_header("crit", json!(["exp"])), "token-header-critical"),
        (job().with_header("typ", json!("at+jwt")), "token-type-wrong"),
        (job().without("sub"), "claim-missing"),
        (job().with("sub", json!("repo:corp/app\r\nSet-Cookie: x")), "subject-unusable"),
        (job().with("repository_owner", json!("evil")), "required-attribute-wrong"),
        (job().without("repository_owner"), "required-attribute-missing"),
        (job().with("repository_owner", json!(["corp", "evil"])), "required-attribute-missing"),
        (job().with("repository_owner", json!({ "name": "corp" })), "required-attribute-missing"),
        (job().with("repository_owner", json!(true)), "required-attribute-wrong"),
        (job().with("nonce", json!("n")), "nonce-present"),
        (job().with("exp", json!(now + 400 * 86_400)), "lifetime-senseless"),
        (job().with("exp", json!("tomorrow")), "claim-malformed"),
        (text(|claims| with_first_member(claims, "\"repository_owner\":\"evil\"")), "json-duplicate-member"),
        (text(|claims| with_last_member(claims, "\"\\u0069ss\":\"https://evil.example\"")), "json-duplicate-member"),
        (text(|claims| format!("{claims} ")), "accepted"),
        (text(|_| "{".to_owned()), "json-malformed"),
        (text(|_| format!("{}1{}", "[".repeat(40), "]".repeat(40))), "json-too-deep"),
    ] {
        let answer = scene.exchange(&token.compact(), &[]).await;
        if cause == "accepted" {
            assert_eq!(answer.status, 200, "{}", answer.body);
            continue;
        }
        let event = scene.refused(&answer, UNBELIEVED, cause).await;
        assert_eq!(answer.json()["error_description"], NOT_ACCEPTED, "{cause}");
        assert!(!event.to_string().contains("eyJ"), "no token in the log: {event}");
    }
    assert_eq!(scene.broker.rows("token").await, 1);
    for (token, cause) in [
        ("x".repeat(40_000), "token-too-large"),
        (scene.job().with("padding", json!("x".repeat(33_000))).compact(), "token-too-large"),
        ("a.b".to_owned(), "token-malformed"),
        ("🦀.🦀.🦀".to_owned(), "token-malformed"),
        (format!("{}=", scene.job().compact()), "token-malformed"),
        ("rgp_0000".to_owned(), "token-malformed"),
    ] {
        let answer = scene.exchange(&token, &[]).await;
        scene.refused(&answer, UNBELIEVED, cause).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_too_old_or_too_new_is_told_to_ask_for_another() {
    let scene = Scene::start().await;
    let now = scene.broker.now().as_second();
    let from = |issued: i64, until: i64| {
        scene.job().without("nbf").with("iat", json!(now + issued)).with("exp", json!(now + until))
    };
    for (token, cause) in [
        (from(-600, -181), "expired"),
        (from(200, 500), "issued-in-future"),
        (from(-3_900, 600), "issued-long-ago"),
        (scene.job().with("nbf", json!(now + 200)), "not-yet-valid"),
    ] {
        let answer = scene.exchange(&token.compact(), &[]).await;
        scene.refused(&answer, UNBELIEVED, cause).await;
        assert_eq!(
            answer.json()["error_description"],
            "The token has expired, is too old or not valid yet. Ask for a new one, and compare clocks."
        );
    }
    // Clocks may differ by three minutes.
    for token in [from(-400, -179), from(179, 500), from(-3_700, 600)] {
        assert_eq!(scene.exchange(&token.compact(), &[]).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unknown_keys_asks_the_issuer_once_a_minute_and_a_new_key_is_taken_up() {
    let scene = Scene::start().await;
    scene.access(&scene.job().compact(), &[]).await;
    let before = scene.issuer.calls_to("/jwks").len();
    let forged = scene.job().signed("RS256", Who::Stranger, "unheard-of").compact();
    let answers = futures_util::future::join_all((0..20).map(|_| scene.exchange(&forged, &[]))).await;
    for answer in &answers {
        said_no(answer, 400, "invalid_request");
    }
    assert_eq!(scene.issuer.calls_to("/jwks").len(), before + 1);
    scene.refused(&scene.exchange(&forged, &[]).await, UNBELIEVED, "key-unknown").await;
    assert_eq!(scene.issuer.calls_to("/jwks").len(), before + 1);
    scene.clock.advance_secs(61);
    scene.publish(&[Who::Provider.jwk("rsa"), Who::Next.jwk("next")]);
    scene.access(&scene.job().signed("RS256", Who::Next, "next").compact(), &[]).await;
    assert_eq!(scene.issuer.calls_to("/jwks").len(), before + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_repository_or_branch_gets_nothing() {
    let scene = Scene::start().await;
    for (name, value) in [
        ("repository", json!("corp/other")),
        ("repository", json!("corp/app2")),
        ("repository", json!("Corp/App")),
        ("repository", json!("corp/app\u{0}")),
        ("ref", json!("refs/heads/feature")),
        ("ref", json!("refs/pull/7/merge")),
        ("ref", json!("refs/tags/refs/heads/main")),
        ("ref", json!({ "0": "refs/heads/main" })),
    ] {
        let answer = scene.exchange(&scene.job().with(name, value).compact(), &[]).await;
        let event = scene.refused(&answer, (400, "unauthorized_client"), "nothing-granted").await;
        assert_eq!(answer.json()["error_description"], "No rule gives this workload any role.");
        assert_eq!(event["jti"], "7e1c4b0a-3f5d-4a1e-9f0b-2f6f8d1c9a10");
    }
    assert_eq!(scene.broker.rows("token_authorization").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_not_granted_is_no_target_whatever_it_is_asked_for() {
    let scene = Scene::start().await;
    let job = scene.job().compact();
    for target in [
        "arn:aws:iam::111122223333:role/Admin",
        "arn:aws:iam::111122223333:role/Deploy",
        "arn:aws-cn:iam::111122223333:role/teams/app/Deploy",
        "arn:aws:iam::999999999999:role/teams/app/Deploy",
        "111122223333/Admin",
    ] {
        for wanted in [&[][..], &[("requested_token_type", CREDENTIALS)]] {
            for name in ["resource", "audience"] {
                let answer = scene.exchange(&job, &[&[(name, target)], wanted].concat()).await;
                scene.refused(&answer, (400, "invalid_target"), "not-granted").await;
                assert_eq!(answer.json()["error_description"], "No rule gives this workload that role.");
            }
        }
    }
    assert_eq!(scene.broker.rows("token_authorization").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_asks_for_a_recent_sign_in_is_for_people() {
    let scene = Scene::start().await;
    let rules = RULES.replacen(
        "name = \"teams/app/Deploy\"",
        "name = \"teams/app/Deploy\"\nauthentication = { max_age = \"15m\" }",
        1,
    );
    scene.broker.apply(&format!("{}{rules}", scene.connector(CI, "", ATTRIBUTES))).await;
    let role = ("resource", "111122223333/teams/app/Deploy");
    let answer = scene.exchange(&scene.job().compact(), &[role]).await;
    scene.refused(&answer, (400, "invalid_target"), "step-up-required").await;
    assert_eq!(answer.json()["error_description"], "That role asks for a person who has just signed in, or strongly.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_is_disabled_or_gone_exchanges_nothing_and_what_it_gave_ends() {
    let scene = Scene::start().await;
    let access = scene.access(&scene.job().compact(), &[]).await;
    scene.broker.apply(&format!("{}{RULES}", scene.connector(CI, "enabled = false", ATTRIBUTES))).await;
    let answer = scene.exchange(&scene.job().compact(), &[]).await;
    scene.refused(&answer, UNBELIEVED, "connector-disabled").await;
    let roles = scene.get("/api/v1/roles", &access).await;
    assert!(!roles.body.contains("teams/app/Deploy"), "{}", roles.body);
    let people = RULES.split("[[rule]]").next().unwrap();
    scene.broker.apply(people).await;
    let answer = scene.exchange(&scene.job().compact(), &[]).await;
    scene.refused(&answer, UNBELIEVED, "issuer-unknown").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_connector_takes_each_token_once_a_copy_is_refused() {
    let scene = Scene::with(Broker::wishes(), "once = true", ATTRIBUTES).await;
    let job = scene.job().compact();
    let answers = futures_util::future::join_all((0..8).map(|_| scene.exchange(&job, &[]))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    let answer = scene.exchange(&job, &[]).await;
    scene.refused(&answer, UNBELIEVED, "replayed").await;
    assert_eq!(
        answer.json()["error_description"],
        "The token was exchanged before, and counts once here. Ask for a new one."
    );
    // It was spent by being shown, whatever came of it.
    let other = scene.job().with("jti", json!("another")).compact();
    said_no(&scene.exchange(&other, &[("resource", "111122223333/Admin")]).await, 400, "invalid_target");
    scene.refused(&scene.exchange(&other, &[]).await, UNBELIEVED, "replayed").await;
    // What was not believed was not spent.
    let early = scene.job().with("jti", json!("third"));
    said_no(
        &scene.exchange(&early.clone().signed("RS256", Who::Stranger, "rsa").compact(), &[]).await,
        400,
        "invalid_request",
    );
    assert_eq!(scene.exchange(&early.compact(), &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_cannot_be_asked_is_no_fault_of_the_job() {
    let scene = Scene::start().await;
    // At an address that the broker, which looks at issuers in the background too, has not asked yet.
    scene.issuer.answer("/broken", Says::text(500, "text/plain", "no"));
    let address = format!("jwks_uri = \"{}/broken\"", scene.issuer.base);
    scene.broker.apply(&format!("{}{RULES}", scene.connector(CI, &address, ATTRIBUTES))).await;
    scene.clock.advance_secs(10);
    let answer = scene.exchange(&scene.job().compact(), &[]).await;
    scene.refused(&answer, (503, "temporarily_unavailable"), "provider-status").await;
    assert_eq!(
        answer.json()["error_description"],
        "What the token's issuer publishes cannot be had right now. Please try again in a minute."
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_cannot_be_meant_is_told_what_to_send() {
    let scene = Scene::start().await;
    let job = scene.job().compact();
    const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
    for (fields, code, says) in [
        (&[("subject_token", "")][..], "invalid_request", "subject_token is missing."),
        (&[("subject_token_type", "")], "invalid_request", "subject_token_type is missing."),
        (
            &[("subject_token_type", "urn:ietf:params:oauth:token-type:saml2")],
            "invalid_request",
            "subject_token_type is urn:ietf:params:oauth:token-type:jwt or urn:ietf:params:oauth:token-type:id_token.",
        ),
        (
            &[("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token")],
            "invalid_request",
            "requested_token_type is urn:ietf:params:oauth:token-type:access_token or \
             urn:rolegate:params:oauth:token-type:aws-credentials.",
        ),
        (
            &[("actor_token", "x")],
            "invalid_request",
            "Nobody acts for a workload here: leave actor_token and actor_token_type out.",
        ),
        (
            &[("resource", "https://api.corp.example")],
            "invalid_target",
            "name one role, by its ARN or as 111122223333/RoleName.",
        ),
        (&[("requested_token_type", CREDENTIALS)], "invalid_target", "Name the role in resource, by its ARN."),
        (
            &[("resource", "111122223333/A"), ("audience", "111122223333/B")],
            "invalid_request",
            "resource and audience name different roles; send one of them.",
        ),
        (&[("scope", "admin")], "invalid_scope", "`admin` is no scope; ask for read, issue or sso:account:access."),
        (
            &[("requested_token_type", ACCESS), ("format", "env")],
            "invalid_request",
            "format is for requested_token_type=urn:rolegate:params:oauth:token-type:aws-credentials.",
        ),
        (
            &[("requested_token_type", CREDENTIALS), ("resource", "111122223333/A"), ("format", "xml")],
            "invalid_request",
            "`xml` is not a format; use json, process, env, fish, powershell, cmd or ini.",
        ),
        (
            &[("requested_token_type", CREDENTIALS), ("resource", "111122223333/A"), ("duration", "1m")],
            "invalid_request",
            "duration is between 15m and 12h, such as 1h.",
        ),
    ] {
        let answer = scene.exchange(&job, fields).await;
        assert_eq!(said_no(&answer, 400, code), says, "{fields:?}");
    }
    let twice = format!("grant_type={}&subject_token=a&subject_token=b", super::GRANT.replace(':', "%3A"));
    let request = crate::sandboxed::client()
        .post(scene.broker.at("/oauth/token"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(twice);
    said_no(&crate::sandboxed::send(request).await, 400, "invalid_request");
    assert!(scene.recorded().await.is_empty(), "nobody was looked at");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_cause_as_many_refusals_as_anywhere_and_no_more() {
    let wishes = Broker::wishes().set("limits.sign_in_per_minute", "1").set("limits.sign_in_burst", "3");
    let scene = Scene::with(wishes, "", ATTRIBUTES).await;
    let forged = scene.job().signed("RS256", Who::Stranger, "rsa").compact();
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(scene.exchange(&forged, &[]).await.status);
    }
    assert_eq!(statuses, [400, 400, 400, 429, 429, 429]);
    assert_eq!(scene.recorded().await.len(), 3, "what is limited is not recorded");
    // Those who are believed are not held up by it.
    assert_eq!(scene.exchange(&scene.job().compact(), &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_kind_of_workload_has_none_of_these_attributes() {
    let scene = Scene::start().await;
    for shape in [GITLAB, KUBERNETES] {
        let answer = scene.exchange(&scene.token(shape).compact(), &[]).await;
        scene.refused(&answer, UNBELIEVED, "required-attribute-missing").await;
    }
}
