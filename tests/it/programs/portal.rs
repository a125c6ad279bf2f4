//! The portal of IAM Identity Center, as botocore and others call it.

use rolegate::access::Scope;
use serde_json::{Value, json};

use super::{DEPLOY, PAYMENTS, ask, members, recorded, token, token_with};
use crate::sandboxed::{Answer, Sandboxed, client, send};

const HEADER: &str = "x-amz-sso_bearer_token";

/// Asserts that this is an exception of the model, and gives its sentence.
fn exception(answer: &Answer, status: u16, kind: &str) -> String {
    assert_eq!((answer.status, answer.header("x-amzn-errortype")), (status, kind), "{}", answer.body);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    assert_eq!(members(&body), ["message"]);
    let id = answer.header("x-amzn-requestid");
    let message = body["message"].as_str().unwrap();
    message
        .strip_suffix(&format!(" (support id {id})"))
        .unwrap_or_else(|| panic!("no support id in {message}"))
        .to_owned()
}

async fn get(world: &Sandboxed, token: &rolegate::sys::Bearer, path: &str) -> Answer {
    ask(world, path, &[(HEADER, token.expose_secret())]).await
}

/// Every page of a list, in its order.
async fn walk(world: &Sandboxed, token: &rolegate::sys::Bearer, path: &str, list: &str) -> Vec<Vec<Value>> {
    let (mut pages, mut next) = (Vec::new(), String::new());
    loop {
        let answer = get(world, token, &format!("{path}&max_result=3{next}")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let body = answer.json();
        assert!(members(&body).iter().all(|member| [list, "nextToken"].contains(member)), "{body}");
        pages.push(body[list].as_array().unwrap().clone());
        match body["nextToken"].as_str() {
            Some(token) => next = format!("&next_token={token}"),
            None => return pages,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_and_roles_come_in_pages_and_are_those_the_token_covers() {
    let world = Sandboxed::start().await;
    let lin = world.sign_in_as("lin").await;
    let full = token(&world, &lin, Scope::FULL).await;
    let pages = walk(&world, &full, "/idc/assignment/accounts?", "accountList").await;
    assert!(pages.len() > 1 && pages.iter().rev().skip(1).all(|page| page.len() == 3), "{pages:?}");
    let accounts = pages.concat();
    assert!(accounts.contains(&json!({ "accountId": PAYMENTS, "accountName": "Payments production" })), "{accounts:?}");
    let ids: Vec<&str> = accounts.iter().map(|account| account["accountId"].as_str().unwrap()).collect();
    assert!(ids.is_sorted() && ids.len() > 3);
    let whole = get(&world, &full, "/idc/assignment/accounts").await.json();
    assert_eq!((members(&whole), whole["accountList"].as_array().unwrap()), (vec!["accountList"], &accounts));

    let path = format!("/idc/assignment/roles?account_id={PAYMENTS}");
    let roles = walk(&world, &full, &path, "roleList").await.concat();
    let names: Vec<&str> = roles.iter().map(|role| role["roleName"].as_str().unwrap()).collect();
    assert_eq!(names, ["PaymentsOperator", "ReadOnly", DEPLOY]);
    assert!(roles.iter().all(|role| role["accountId"] == PAYMENTS));

    let one = Scope { issue: true, roles: Some([format!("{PAYMENTS}/ReadOnly").parse().unwrap()].into()) };
    let one = token(&world, &lin, one).await;
    let accounts = get(&world, &one, "/idc/assignment/accounts").await.json();
    assert_eq!(accounts["accountList"].as_array().unwrap().len(), 1);
    let roles = get(&world, &one, &path).await.json();
    assert_eq!(roles["roleList"], json!([{ "roleName": "ReadOnly", "accountId": PAYMENTS }]));

    let omar = world.sign_in_as("omar").await;
    let nobody = token(&world, &omar, Scope::FULL).await;
    assert_eq!(get(&world, &nobody, "/idc/assignment/accounts").await.json()["accountList"], json!([]));
    for account in [PAYMENTS, "999999999999"] {
        let path = format!("/idc/assignment/roles?account_id={account}");
        assert_eq!(get(&world, &nobody, &path).await.json()["roleList"], json!([]), "known or not: nothing in it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_with_their_end_in_milliseconds() {
    let world = Sandboxed::start().await;
    let lin = world.sign_in_as("lin").await;
    let full = token(&world, &lin, Scope::FULL).await;
    let path = format!("/idc/federation/credentials?role_name={DEPLOY}&account_id={PAYMENTS}");
    let answer = get(&world, &full, &path).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{}", answer.body);
    let body = answer.json();
    let credentials = &body["roleCredentials"];
    assert_eq!(members(credentials), ["accessKeyId", "expiration", "secretAccessKey", "sessionToken"]);
    let left = credentials["expiration"].as_i64().unwrap() - world.broker.now().as_millisecond();
    assert!((3_590_000..=3_600_000).contains(&left), "{left}");
    let event = world.broker.last_event("issue.succeeded").await;
    assert_eq!(event["delivery"], "identity-center");
    assert_eq!(event["access_key_id"], credentials["accessKeyId"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_an_exception_that_clients_know() {
    let world = Sandboxed::start().await;
    let lin = world.sign_in_as("lin").await;
    let full = token(&world, &lin, Scope::FULL).await;
    for path in
        ["/idc/assignment/accounts", "/idc/assignment/roles?account_id=111122223333", "/idc/federation/credentials"]
    {
        exception(&ask(&world, path, &[("cookie", &lin.cookie())]).await, 401, "UnauthorizedException");
        exception(&ask(&world, path, &[(HEADER, "rga_junk")]).await, 401, "UnauthorizedException");
        let both = [(HEADER, full.expose_secret()), (HEADER, full.expose_secret())];
        exception(&ask(&world, path, &both).await, 400, "InvalidRequestException");
        let page = [(HEADER, full.expose_secret()), ("origin", "https://evil.example")];
        exception(&ask(&world, path, &page).await, 403, "ForbiddenException");
    }
    for (path, status, kind, sentence) in [
        (
            "/idc/assignment/accounts?max_result=0",
            400,
            "InvalidRequestException",
            "max_result is a number from 1 to 100.",
        ),
        (
            "/idc/assignment/accounts?next_token=~",
            400,
            "InvalidRequestException",
            "next_token is none that was given out here.",
        ),
        (
            "/idc/assignment/accounts?max_result=1&max_result=2",
            400,
            "InvalidRequestException",
            "A field was sent twice.",
        ),
        ("/idc/assignment/roles", 400, "InvalidRequestException", "The field `account_id` is missing."),
        ("/idc/assignment/roles?account_id=1", 400, "InvalidRequestException", "An account has twelve digits."),
        (
            "/idc/federation/credentials?account_id=111122223333",
            400,
            "InvalidRequestException",
            "The field `role_name` is missing.",
        ),
        (
            "/idc/federation/credentials?account_id=111122223333&role_name=%00",
            400,
            "InvalidRequestException",
            "There can be no such role.",
        ),
        ("/idc/nowhere", 404, "ResourceNotFoundException", "This address does not exist. It may have been mistyped."),
        ("/idc/logout", 405, "InvalidRequestException", "This address exists, but not for that kind of request."),
    ] {
        assert_eq!(exception(&get(&world, &full, path).await, status, kind), sentence, "{path}");
    }
    let credentials = |role: &str| format!("/idc/federation/credentials?account_id={PAYMENTS}&role_name={role}");
    let read = token(&world, &lin, Scope::READ).await;
    for (token, role, cause) in
        [(&full, "Admin", "not-granted"), (&full, "Nobody", "no-such-role"), (&read, "ReadOnly", "token-scope")]
    {
        let answer = get(&world, token, &credentials(role)).await;
        exception(&answer, 403, "ForbiddenException");
        assert_eq!(recorded(&world, &answer).await, [("issue.denied".to_owned(), cause.to_owned())]);
    }
    // Clients answer this one by asking for a new sign-in, which is what helps.
    let now = world.broker.now();
    let ending = token_with(&world, &lin, |it| {
        it.identity.authentication.session_not_on_or_after = Some(now + jiff::SignedDuration::from_mins(5));
    })
    .await;
    let answer = get(&world, &ending, &credentials("ReadOnly")).await;
    assert!(exception(&answer, 401, "UnauthorizedException").starts_with("Less than 15 minutes are left"));
    world.broker.apply("").await;
    let answer = get(&world, &full, &credentials("ReadOnly")).await;
    assert!(exception(&answer, 403, "ForbiddenException").starts_with("The way you signed in has been switched off."));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_ends_what_the_program_was_allowed() {
    let world = Sandboxed::start().await;
    let lin = world.sign_in_as("lin").await;
    let (one, other) = (token(&world, &lin, Scope::FULL).await, token(&world, &lin, Scope::FULL).await);
    let logout = || send(client().post(world.broker.at("/idc/logout")).header(HEADER, one.expose_secret()));
    let answer = logout().await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(recorded(&world, &answer).await, [("token.revoked".to_owned(), "signed-out".to_owned())]);
    exception(&get(&world, &one, "/idc/assignment/accounts").await, 401, "UnauthorizedException");
    exception(&logout().await, 401, "UnauthorizedException");
    assert_eq!(get(&world, &other, "/idc/assignment/accounts").await.status, 200, "another sign-in goes on");
}
