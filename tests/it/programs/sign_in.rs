//! Signing in by IAM Identity Center's protocol, call by call. How codes and refresh tokens are judged is told with OAuth's.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::sha::sha256;
use serde_json::{Value, json};

use super::{members, recorded};
use crate::broker::Broker;
use crate::sandboxed::{Answer, Person, Sandboxed, client, send};

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const VERIFIER: &str = "a-verifier-that-is-long-enough-to-be-one-0123456789";

async fn call(world: &Sandboxed, path: &str, body: &Value) -> Answer {
    send(client().post(world.broker.at(path)).json(body)).await
}

/// Asserts that this is an exception of the model, and gives its sentence.
fn exception(answer: &Answer, status: u16, kind: &str, code: &str) -> String {
    assert_eq!((answer.status, answer.header("x-amzn-errortype")), (status, kind), "{}", answer.body);
    assert_eq!((answer.header("content-type"), answer.header("cache-control")), ("application/json", "no-store"));
    let body = answer.json();
    assert_eq!((members(&body), &body["error"]), (vec!["error", "error_description"], &code.into()));
    let id = answer.header("x-amzn-requestid");
    let said = body["error_description"].as_str().unwrap();
    said.strip_suffix(&format!(" (support id {id})")).unwrap_or_else(|| panic!("no support id in {said}")).to_owned()
}

/// A client that has registered itself, as the AWS CLI does.
async fn registered(world: &Sandboxed) -> (String, String) {
    let body = json!({
        "clientName": "botocore-client-corp",
        "clientType": "public",
        "scopes": ["sso:account:access"],
        "grantTypes": ["authorization_code", "refresh_token"],
        "redirectUris": ["http://127.0.0.1/oauth/callback"],
        "issuerUrl": "https://rolegate.awsapps.com/start",
        "somethingNew": {},
    });
    let answer = call(world, "/idc/client/register", &body).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{}", answer.body);
    let told = answer.json();
    let names = [
        "authorizationEndpoint",
        "clientId",
        "clientIdIssuedAt",
        "clientSecret",
        "clientSecretExpiresAt",
        "tokenEndpoint",
    ];
    assert_eq!(members(&told), names);
    assert_eq!(told["authorizationEndpoint"], world.broker.at("/authorize"));
    let days = (told["clientSecretExpiresAt"].as_i64().unwrap() - told["clientIdIssuedAt"].as_i64().unwrap()) / 86_400;
    assert_eq!(days, 90);
    (told["clientId"].as_str().unwrap().to_owned(), told["clientSecret"].as_str().unwrap().to_owned())
}

fn asks(client: &(String, String), more: &Value) -> Value {
    let mut body = json!({ "clientId": client.0, "clientSecret": client.1 });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn device(world: &Sandboxed, client: &(String, String)) -> Value {
    let body = asks(client, &json!({ "startUrl": "https://rolegate.awsapps.com/start" }));
    let answer = call(world, "/idc/device_authorization", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

async fn token(world: &Sandboxed, client: &(String, String), more: Value) -> Answer {
    call(world, "/idc/token", &asks(client, &more)).await
}

async fn decide(person: &mut Person, complete: &str, decision: &str) {
    let page = person.browser.get(complete).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let form = page.form_to("/device").set("compared", "yes").set("decision", decision);
    let done = person.browser.submit(&form).await;
    assert!(done.body.contains("Device "), "{}", done.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_waits_for_a_person_and_gets_tokens_that_renew_themselves() {
    let world = Sandboxed::start().await;
    let mut lin = world.sign_in_as("lin").await;
    let client = registered(&world).await;
    let started = device(&world, &client).await;
    let names = ["deviceCode", "expiresIn", "interval", "userCode", "verificationUri", "verificationUriComplete"];
    assert_eq!(members(&started), names);
    assert_eq!((&started["expiresIn"], &started["interval"]), (&600.into(), &5.into()));
    assert_eq!(started["verificationUri"], world.broker.at("/device"));
    let complete = format!("{}?user_code={}", world.broker.at("/device"), started["userCode"].as_str().unwrap());
    assert_eq!(started["verificationUriComplete"], complete);

    let poll = || token(&world, &client, json!({ "grantType": DEVICE_CODE, "deviceCode": started["deviceCode"] }));
    exception(&poll().await, 400, "AuthorizationPendingException", "authorization_pending");
    exception(&poll().await, 400, "SlowDownException", "slow_down");
    decide(&mut lin, &complete, "approve").await;
    world.clock.advance_secs(11);
    let answer = poll().await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{}", answer.body);
    let granted = answer.json();
    assert_eq!(members(&granted), ["accessToken", "expiresIn", "refreshToken", "tokenType"]);
    assert_eq!((&granted["tokenType"], &granted["expiresIn"]), (&"Bearer".into(), &3600.into()));
    assert_eq!(recorded(&world, &answer).await[0].0, "token.issued");
    exception(&poll().await, 400, "InvalidGrantException", "invalid_grant");

    let refresh =
        token(&world, &client, json!({ "grantType": "refresh_token", "refreshToken": granted["refreshToken"] }));
    let renewed = refresh.await.json();
    assert!(renewed["accessToken"].as_str().unwrap().starts_with("rga_"), "{renewed}");
    assert_ne!(renewed["refreshToken"], granted["refreshToken"]);
    let accounts = client_get(&world, "/idc/assignment/accounts", renewed["accessToken"].as_str().unwrap()).await;
    assert_eq!(accounts.status, 200);
}

async fn client_get(world: &Sandboxed, path: &str, token: &str) -> Answer {
    send(client().get(world.broker.at(path)).header("x-amz-sso_bearer_token", token)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_from_the_browser_on_the_same_computer_becomes_tokens() {
    let world = Sandboxed::start().await;
    let mut lin = world.sign_in_as("lin").await;
    let client = registered(&world).await;
    let redirect = "http://127.0.0.1:50123/oauth/callback";
    let challenge = URL_SAFE_NO_PAD.encode(sha256(VERIFIER.as_bytes()));
    let mut at = world.broker.url("/authorize");
    at.query_pairs_mut().extend_pairs([
        ("response_type", "code"),
        ("client_id", client.0.as_str()),
        ("redirect_uri", redirect),
        ("state", "the state"),
        ("code_challenge_method", "S256"),
        ("code_challenge", challenge.as_str()),
        ("scopes", "sso:account:access"),
    ]);
    let page = lin.browser.get(at.as_str()).await;
    assert!(page.body.contains("botocore-client-corp"), "{}", page.body);
    let form = page.form_to("/authorize").set("decision", "allow");
    let answer =
        send(crate::sandboxed::client().post(form.action.clone()).header("cookie", lin.cookie()).form(&form.fields))
            .await;
    let answered: url::Url = answer.header("location").parse().unwrap_or_else(|_| panic!("{}", answer.body));
    let code = answered.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let exchange = |verifier: &'static str, redirect: &'static str| {
        let grant = json!({
            "grantType": "authorization_code", "code": code, "codeVerifier": verifier, "redirectUri": redirect,
        });
        token(&world, &client, grant)
    };
    let granted = exchange(VERIFIER, redirect).await;
    assert_eq!(granted.status, 200, "{}", granted.body);
    let again = exchange(VERIFIER, redirect).await;
    let sentence = exception(&again, 400, "InvalidGrantException", "invalid_grant");
    assert_eq!(sentence, "the code was used before; what it came to has ended");
    let access = granted.json()["accessToken"].as_str().unwrap().to_owned();
    assert_eq!(client_get(&world, "/idc/assignment/accounts", &access).await.status, 401, "it has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_refused_expired_or_switched_off_is_told_which() {
    let world = Sandboxed::start().await;
    let mut lin = world.sign_in_as("lin").await;
    let client = registered(&world).await;
    let poll = |code: Value| token(&world, &client, json!({ "grantType": DEVICE_CODE, "deviceCode": code }));
    let started = device(&world, &client).await;
    decide(&mut lin, started["verificationUriComplete"].as_str().unwrap(), "refuse").await;
    exception(&poll(started["deviceCode"].clone()).await, 400, "AccessDeniedException", "access_denied");
    let started = device(&world, &client).await;
    world.clock.advance_secs(601);
    exception(&poll(started["deviceCode"].clone()).await, 400, "ExpiredTokenException", "expired_token");

    let off = Sandboxed::with(Broker::wishes().set("tokens.device_codes", "off")).await;
    let client = registered(&off).await;
    let body = asks(&client, &json!({ "startUrl": "https://rolegate.awsapps.com/start" }));
    let answer = call(&off, "/idc/device_authorization", &body).await;
    let sentence = exception(&answer, 400, "UnauthorizedClientException", "unauthorized_client");
    assert_eq!(sentence, "device codes are switched off here; sign in with a browser on the computer itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_prove_itself_or_makes_no_sense_is_told_in_the_models_words() {
    let world = Sandboxed::start().await;
    let known = registered(&world).await;
    let device = json!({ "grantType": DEVICE_CODE, "deviceCode": "A".repeat(43) });
    for (id, secret) in
        [(known.0.as_str(), "wrong"), ("idc_junk", known.1.as_str()), ("rolegate-cli", known.1.as_str())]
    {
        let client = (id.to_owned(), secret.to_owned());
        let answer = token(&world, &client, device.clone()).await;
        exception(&answer, 401, "InvalidClientException", "invalid_client");
        let body = asks(&client, &json!({ "startUrl": "https://rolegate.awsapps.com/start" }));
        let answer = call(&world, "/idc/device_authorization", &body).await;
        exception(&answer, 401, "InvalidClientException", "invalid_client");
    }
    exception(&token(&world, &known, device.clone()).await, 400, "InvalidGrantException", "invalid_grant");
    let refused = |body: Value| token(&world, &known, body);
    let answer = refused(json!({ "grantType": "password" })).await;
    exception(&answer, 400, "UnsupportedGrantTypeException", "unsupported_grant_type");
    for (body, sentence) in [
        (json!({}), "`grantType` is missing."),
        (json!({ "grantType": "" }), "`grantType` is missing."),
        (json!({ "grantType": 1 }), "`grantType` is a text."),
        (json!({ "grantType": DEVICE_CODE }), "`deviceCode` is missing."),
        (json!({ "grantType": "refresh_token", "refreshToken": null }), "`refreshToken` is missing."),
        (json!({ "grantType": "refresh_token", "refreshToken": "x", "scope": "read" }), "`scope` is a list of texts."),
    ] {
        let answer = refused(body).await;
        assert_eq!(exception(&answer, 400, "InvalidRequestException", "invalid_request"), sentence);
    }
    let register = |change: Value| {
        let mut body = json!({ "clientName": "x", "clientType": "public" });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let world = &world;
        async move { call(world, "/idc/client/register", &body).await }
    };
    for (change, kind, code) in [
        (json!({ "clientType": "confidential" }), "InvalidClientMetadataException", "invalid_client_metadata"),
        (json!({ "clientName": "\u{202e}x" }), "InvalidClientMetadataException", "invalid_client_metadata"),
        (json!({ "clientName": "\u{3164}" }), "InvalidClientMetadataException", "invalid_client_metadata"),
        (json!({ "scopes": ["codewhisperer:completions"] }), "InvalidScopeException", "invalid_scope"),
        (json!({ "grantTypes": ["implicit"] }), "UnsupportedGrantTypeException", "unsupported_grant_type"),
        (json!({ "redirectUris": ["https://evil.example/"] }), "InvalidRedirectUriException", "invalid_redirect_uri"),
        (json!({ "redirectUris": "http://127.0.0.1/oauth/callback" }), "InvalidRequestException", "invalid_request"),
    ] {
        exception(&register(change).await, 400, kind, code);
    }
    assert_eq!(register(json!({})).await.status, 200, "a name and a type are enough for device codes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_two_readers_could_read_differently_is_not_read() {
    let world = Sandboxed::start().await;
    let post = |kind: &'static str, body: String| {
        send(client().post(world.broker.at("/idc/client/register")).header("content-type", kind).body(body))
    };
    let good = r#"{"clientName":"x","clientType":"public"}"#;
    assert_eq!(post("application/json; charset=utf-8", good.to_owned()).await.status, 200);
    for body in ["", "[]", "{", r#"{"clientName":"x","clientName":"y","clientType":"public"}"#, "{} {}"] {
        let answer = post("application/json", body.to_owned()).await;
        let sentence = exception(&answer, 400, "InvalidRequestException", "invalid_request");
        assert_eq!(sentence, "That is no JSON object.", "{body}");
    }
    let large = post("application/json", format!("{{\"clientName\":\"{}\"}}", "x".repeat(20_000))).await;
    exception(&large, 400, "InvalidRequestException", "invalid_request");
    let huge = post("application/json", " ".repeat(70_000)).await;
    exception(&huge, 413, "InvalidRequestException", "invalid_request");
    let form = post("text/plain", good.to_owned()).await;
    let sentence = exception(&form, 400, "InvalidRequestException", "invalid_request");
    assert_eq!(sentence, "Send JSON, and say so in Content-Type.");
    let page = client().post(world.broker.at("/idc/token")).header("origin", "https://evil.example").json(&json!({}));
    exception(&send(page).await, 403, "AccessDeniedException", "access_denied");
    let method = send(client().get(world.broker.at("/idc/token"))).await;
    exception(&method, 405, "InvalidRequestException", "invalid_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_asked_to_wait() {
    let world =
        Sandboxed::with(Broker::wishes().set("limits.sign_in_per_minute", "1").set("limits.sign_in_burst", "2")).await;
    let body = json!({ "clientName": "x", "clientType": "public" });
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(call(&world, "/idc/client/register", &body).await);
    }
    exception(&answers[2], 429, "TooManyRequestsException", "temporarily_unavailable");
    assert!(answers[2].header("retry-after").parse::<u32>().unwrap() >= 1);
    // Tries that come to nothing count too.
    let answer = call(&world, "/idc/token", &json!({ "clientId": "x", "clientSecret": "y" })).await;
    exception(&answer, 429, "TooManyRequestsException", "temporarily_unavailable");
}
