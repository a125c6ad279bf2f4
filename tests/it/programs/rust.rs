//! The SDK for Rust: how it is configured is AWS's own code, and what it sends goes out through the HTTP client we have.
//!
//! It runs in a process of its own, for it looks at the environment and at the clock: this very binary, told to be
//! [`the_program`]. That is a third of what a crate apart would cost to build.

use std::io::BufRead as _;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_sts::config::http::{HttpRequest, HttpResponse};
use aws_sdk_sts::config::{BehaviorVersion, HttpClient, RuntimeComponents};
use aws_sdk_sts::error::{ConnectorError, DisplayErrorContext};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_types::body::SdkBody;
use rolegate::access::Scope;
use serde_json::{Value, json};

use super::cli::{Way, sign_in};
use super::clients::{Home, Talk};
use super::sdks::{LINE, by_container, three_hours};
use super::{DEPLOY, PAYMENTS, token};
use crate::sandboxed::Sandboxed;

const PART: &str = "ROLEGATE_TEST_PART";

/// This binary, as a program that tells who it is for each line it is sent.
fn program(home: &Home) -> Command {
    let mut command = home.at_home(Command::new(std::env::current_exe().unwrap()));
    command.args(["--exact", "programs::rust::the_program", "--ignored", "--nocapture"]).env(PART, "program");
    command
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it is started by the tests below"]
async fn the_program() {
    if std::env::var_os(PART).is_none() {
        return;
    }
    let http = OurHttpClient {
        client: rolegate::sys::http::client(Duration::from_secs(5)).unwrap(),
        signed_with: Arc::default(),
    };
    let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone()).load().await;
    let sts = aws_sdk_sts::Client::new(&config);
    for line in std::io::stdin().lock().lines() {
        line.unwrap();
        let told = match sts.get_caller_identity().send().await {
            Ok(answer) => json!({ "arn": answer.arn(), "key": *http.signed_with.lock().unwrap() }),
            Err(error) => json!({ "error": DisplayErrorContext(error).to_string() }),
        };
        // Whoever runs tests has not ended its own line.
        println!("\n{told}");
    }
}

/// The SDK's HTTP over ours.
#[derive(Debug, Clone)]
struct OurHttpClient {
    client: reqwest::Client,
    /// The access key id of the last request that was signed.
    signed_with: Arc<Mutex<Option<String>>>,
}

impl HttpClient for OurHttpClient {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for OurHttpClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let signed = request.headers().get("authorization").and_then(|value| value.split_once("Credential="));
        if let Some((_, credential)) = signed {
            *self.signed_with.lock().unwrap() = credential.split('/').next().map(str::to_owned);
        }
        let client = self.client.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|e| ConnectorError::user(e.into()))?;
            let request = request.map(|body| reqwest::Body::from(body.bytes().unwrap_or_default().to_vec()));
            let request = reqwest::Request::try_from(request).map_err(|e| ConnectorError::user(e.into()))?;
            let response = client.execute(request).await.map_err(|e| ConnectorError::io(e.into()))?;
            let (status, headers) = (response.status(), response.headers().clone());
            let body = response.bytes().await.map_err(|e| ConnectorError::io(e.into()))?;
            let mut answer = http::Response::new(SdkBody::from(body));
            *answer.status_mut() = status;
            *answer.headers_mut() = headers;
            HttpResponse::try_from(answer).map_err(|e| ConnectorError::other(e.into(), None))
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_for_rust_renews_what_it_has_by_the_container_endpoint() {
    let world = Sandboxed::start().await;
    let home = Home::new(&world, PAYMENTS, DEPLOY);
    let mut command = program(&home);
    by_container(&world, &home, &mut command).await;
    three_hours(&world, &home, Talk::start(command)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_for_rust_renews_token_and_credentials_of_a_sign_in() {
    let world = Sandboxed::start().await;
    let mut lin = world.sign_in_as("lin").await;
    let home = Home::new(&world, PAYMENTS, DEPLOY);
    sign_in(&home, &mut lin, Way::SameComputer).await;
    let mut command = program(&home);
    command.env("AWS_PROFILE", "sso");
    three_hours(&world, &home, Talk::start(command)).await;
    let events = world.broker.events().await;
    let renewed =
        events.iter().filter(|(kind, body)| kind == "token.issued" && body["grant"] == "refresh_token").count();
    assert!((2..=5).contains(&renewed), "{renewed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_fifteen_minutes_rolls_over_under_the_sdk_for_rust_and_what_is_refused_says_why() {
    let world = Sandboxed::start().await;
    world
        .change_catalog(
            "max_session = \"1h\"\n\n[[rule]]\nid = \"on-call\"",
            "max_session = \"15m\"\n\n[[rule]]\nid = \"on-call\"",
        )
        .await;
    let home = Home::new(&world, PAYMENTS, "PaymentsOperator");
    let lin = world.sign_in_as("lin").await;
    let token = token(&world, &lin, Scope::FULL).await;
    let container = |path: &str, token: &str| {
        let mut command = program(&home);
        command
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", world.broker.at(path))
            .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", format!("Bearer {token}"));
        Talk::start(command)
    };
    let mut short = container("/api/v1/container/111122223333/PaymentsOperator", token.expose_secret());
    let mut keys: Vec<Value> = Vec::new();
    for round in 0..8 {
        if round > 0 {
            world.clock.advance_secs(6 * 60);
            home.turn_clock(round * 6 * 60);
        }
        let answer = short.ask();
        assert!(answer["arn"].as_str().is_some_and(|arn| arn.contains("/PaymentsOperator/")), "{answer}");
        keys.push(answer["key"].clone());
    }
    keys.dedup();
    assert!(keys.len() >= 3, "42 minutes of 15 each: {keys:?}");
    short.done();

    let mut mistyped = container(LINE, "rgp_mistyped");
    let said = mistyped.ask()["error"].as_str().unwrap().to_owned();
    assert!(said.contains("Non-success status from HTTP credential provider: StatusCode(401)"), "{said}");
}
