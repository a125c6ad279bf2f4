//! `GET /api/v1/container/{account}/{role}`, as `AWS_CONTAINER_CREDENTIALS_FULL_URI` has it called.

use jiff::Timestamp;
use rolegate::access::Scope;
use rolegate::sys::{Bearer, BearerKind, SystemRng};

use super::{DEPLOY, PAYMENTS, ask, members, recorded, token, token_with};
use crate::broker::Broker;
use crate::sandboxed::{Answer, Fault, Sandboxed};

const AT: &str = "/api/v1/container/111122223333/teams/payments/Deploy";

/// Asserts that this is a refusal as the SDKs print it, and gives its sentence.
fn refusal(answer: &Answer, status: u16, code: &str) -> String {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    assert_eq!((members(&body), &body["Code"]), (vec!["Code", "Message"], &code.into()), "{body}");
    let id = answer.header("x-request-id");
    assert_eq!(answer.header("x-amzn-requestid"), id);
    let message = body["Message"].as_str().unwrap();
    message
        .strip_suffix(&format!(" (support id {id})"))
        .unwrap_or_else(|| panic!("no support id in {message}"))
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_gets_credentials_in_the_shape_that_sdks_read() {
    let world = Sandboxed::start().await;
    let lin = world.sign_in_as("lin").await;
    let token = token(&world, &lin, Scope::FULL).await;
    let text = token.expose_secret();
    for sent in [format!("Bearer {text}"), format!("bearer  {text}"), text.to_owned()] {
        let answer = ask(&world, AT, &[("authorization", &sent), ("accept", "application/json")]).await;
        assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{}", answer.body);
        assert_eq!(answer.header("content-type"), "application/json");
        let body = answer.json();
        let names = ["AccessKeyId", "AccountId", "Expiration", "RoleArn", "SecretAccessKey", "Token"];
        assert_eq!(members(&body), names, "`Token` and not `SessionToken`");
        assert_eq!(body["AccountId"], PAYMENTS);
        assert_eq!(body["RoleArn"], format!("arn:aws:iam::{PAYMENTS}:role/{DEPLOY}"));
        let expiration = body["Expiration"].as_str().unwrap();
        assert!(expiration.ends_with('Z') && !expiration.contains('.'), "botocore and Go parse no other: {expiration}");
        assert!(expiration.parse::<Timestamp>().unwrap() > world.broker.now());
    }
    assert_eq!(world.aws.wire.sts_calls(), 1, "the program was given the same again");
    let event = world.broker.last_event("issue.reused").await;
    assert_eq!((event["delivery"].as_str(), event["token"].as_str().unwrap().len()), (Some("container"), 32));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_without_a_token_that_counts_is_told_so_in_the_shape_that_sdks_print() {
    let world = Sandboxed::start().await;
    let lin = world.sign_in_as("lin").await;
    let refused = |headers: Vec<(&'static str, String)>| {
        let world = &world;
        async move {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            ask(world, AT, &headers).await
        }
    };
    let none = refused(vec![("cookie", lin.cookie())]).await;
    assert_eq!(
        refusal(&none, 401, "SignInRequired"),
        "Set AWS_CONTAINER_AUTHORIZATION_TOKEN to `Bearer` and a token, or name a file that holds this."
    );
    assert!(none.header("www-authenticate").starts_with("Bearer "));

    let live = token(&world, &lin, Scope::FULL).await;
    let bearer = |token: &Bearer| ("authorization", format!("Bearer {}", token.expose_secret()));
    let twice = refused(vec![bearer(&live), bearer(&live)]).await;
    assert_eq!(refusal(&twice, 400, "BadRequest"), "The header Authorization was sent twice.");

    let unknown = |kind| bearer(&Bearer::generate(kind, &SystemRng));
    for sent in [
        ("authorization", "Bearer junk".to_owned()),
        ("authorization", format!("Basic {}", live.expose_secret())),
        ("authorization", String::new()),
        unknown(BearerKind::Access),
        unknown(BearerKind::Refresh),
    ] {
        let answer = refused(vec![sent]).await;
        assert!(refusal(&answer, 401, "TokenRefused").starts_with("It is mistyped, expired or revoked."));
        assert!(answer.header("www-authenticate").ends_with("error=\"invalid_token\""));
    }
    let abroad = token_with(&world, &lin, |it| it.networks = vec!["192.0.2.0/24".parse().unwrap()]).await;
    let answer = refused(vec![bearer(&abroad)]).await;
    assert_eq!(refusal(&answer, 401, "TokenRefused"), "This token may not be used from your network address.");
    assert_eq!(recorded(&world, &answer).await, [("token.refused".to_owned(), "token-network".to_owned())]);

    assert_eq!(refused(vec![bearer(&live)]).await.status, 200);
    world.clock.advance_secs(12 * 3600);
    refusal(&refused(vec![bearer(&live)]).await, 401, "TokenRefused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_not_permitted_and_one_there_is_not_are_refused_alike() {
    let world = Sandboxed::start().await;
    let (lin, mateo) = (world.sign_in_as("lin").await, world.sign_in_as("mateo").await);
    let full = token(&world, &lin, Scope::FULL).await;
    let read = token(&world, &lin, Scope::READ).await;
    let one = Scope { issue: true, roles: Some(["111122223333/ReadOnly".parse().unwrap()].into()) };
    let one = token(&world, &lin, one).await;
    let auditor = token(&world, &mateo, Scope::FULL).await;
    for (token, role, code, cause) in [
        (&full, "111122223333/Admin", "RoleNotPermitted", "not-granted"),
        (&full, "111122223333/NoSuchRole", "RoleNotPermitted", "no-such-role"),
        (&full, "999999999999/Admin", "RoleNotPermitted", "no-such-role"),
        (&read, "111122223333/ReadOnly", "TokenScope", "token-scope"),
        (&one, "111122223333/teams/payments/Deploy", "TokenScope", "token-scope"),
        (&auditor, "127790045613/SecurityResponder", "StepUpRequired", "authentication-context-weak"),
    ] {
        let bearer = format!("Bearer {}", token.expose_secret());
        let answer = ask(&world, &format!("/api/v1/container/{role}"), &[("authorization", &bearer)]).await;
        let sentence = refusal(&answer, 403, code);
        if code == "StepUpRequired" {
            let link = format!("{}/go?account=127790045613&role=SecurityResponder", world.broker.base);
            assert!(sentence.ends_with(&link), "{sentence}");
        }
        assert_eq!(recorded(&world, &answer).await, [("issue.denied".to_owned(), cause.to_owned())], "{role}");
    }
    assert_eq!(world.aws.wire.sts_calls(), 0);
    let bearer = format!("Bearer {}", full.expose_secret());
    for impossible in ["1111/Admin", "111122223333/No%20Role", "111122223333/a%2F%2Fb"] {
        let answer = ask(&world, &format!("/api/v1/container/{impossible}"), &[("authorization", &bearer)]).await;
        refusal(&answer, 404, "NotFound");
    }
    let revoked = world.broker.app.ground.store.all_authorizations().await.unwrap();
    let mut tx = world.broker.app.ground.store.begin().await.unwrap();
    for authorization in revoked {
        rolegate::store::tokens::remove(&mut tx, &authorization.id).await.unwrap();
    }
    tx.commit().await.unwrap();
    refusal(&ask(&world, AT, &[("authorization", &bearer)]).await, 401, "TokenRefused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_a_browser_gets_nothing_even_with_a_token() {
    let world = Sandboxed::start().await;
    let lin = world.sign_in_as("lin").await;
    let token = token(&world, &lin, Scope::FULL).await;
    let bearer = format!("Bearer {}", token.expose_secret());
    for mark in [
        ("origin", "null"),
        ("origin", world.broker.base.as_str()),
        ("sec-fetch-site", "none"),
        ("sec-fetch-dest", "empty"),
    ] {
        let answer = ask(&world, AT, &[("authorization", &bearer), mark]).await;
        let sentence = refusal(&answer, 403, "CrossSite");
        assert_eq!(sentence, "This address is for programs. It does not answer pages in a browser.");
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
    assert_eq!(ask(&world, AT, &[("authorization", &bearer), ("sec-fetch-mode", "cors")]).await.status, 200, "Node");
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_with_aws_has_a_status_that_says_whether_to_try_again() {
    let world = Sandboxed::with(Broker::wishes().set("aws.max_attempts", "1")).await;
    let (lin, zoe) = (world.sign_in_as("lin").await, world.sign_in_as("zoe").await);
    let legacy = token(&world, &zoe, Scope::FULL).await;
    let legacy = format!("Bearer {}", legacy.expose_secret());
    // Its trust policy names another provider: AWS refuses today and tomorrow.
    let answer = ask(&world, "/api/v1/container/177419203846/LegacyReporting", &[("authorization", &legacy)]).await;
    refusal(&answer, 403, "AwsRefused");
    assert_eq!(recorded(&world, &answer).await.pop().unwrap().0, "issue.failed");

    let token = token(&world, &lin, Scope::FULL).await;
    let bearer = format!("Bearer {}", token.expose_secret());
    world.aws.wire.spoil(Fault::Answers("/", 503, "<html>busy</html>"));
    let answer = ask(&world, AT, &[("authorization", &bearer)]).await;
    refusal(&answer, 503, "AwsUnavailable");
    assert_eq!(recorded(&world, &answer).await.pop().unwrap().0, "issue.failed");
    world.aws.wire.spoil(None);
    assert_eq!(ask(&world, AT, &[("authorization", &bearer)]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_asks_without_end_is_asked_to_wait() {
    let world =
        Sandboxed::with(Broker::wishes().set("limits.deliver_per_minute", "1").set("limits.deliver_burst", "20")).await;
    let lin = world.sign_in_as("lin").await;
    let token = token(&world, &lin, Scope::READ).await;
    let bearer = format!("Bearer {}", token.expose_secret());
    let mut answers = Vec::new();
    for _ in 0..21 {
        answers.push(ask(&world, AT, &[("authorization", &bearer)]).await);
    }
    let last = answers.pop().unwrap();
    assert!(answers.iter().all(|answer| answer.status == 403));
    assert_eq!(refusal(&last, 429, "TooManyRequests"), "Please wait a moment and try again.");
    assert!(last.header("retry-after").parse::<u32>().unwrap() >= 1);
}
