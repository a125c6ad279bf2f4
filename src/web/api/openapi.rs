//! What the API looks like, in the words of OpenAPI 3.1. It is made from the handlers and types that answer.
//!
//! Each operation names the kinds of problem it may answer with, so that a program can tell them apart by their stable
//! `type`. `tests/it/api/openapi.rs` holds the document against the table of routes, against every answer of the test
//! suite, and against a running server.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use utoipa::OpenApi;

use super::{aws_config, issue, me, query, roles};
use crate::web::container;
use crate::web::problem::{Kind, Problem};

#[derive(OpenApi)]
#[openapi(
    paths(
        me::me,
        roles::roles,
        issue::credentials,
        issue::console,
        aws_config::aws_config,
        container::credentials,
        openapi
    ),
    components(schemas(me::Me, roles::RolePage, issue::ConsoleLink)),
    tags(
        (name = "person", description = "Who one is, and what one may use."),
        (name = "use", description = "Credentials, and links to the console."),
        (name = "about", description = "The API itself.")
    )
)]
struct FromCode;

/// The document.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(document);
static TEXT: LazyLock<String> = LazyLock::new(|| DOCUMENT.to_string());

/// The API's description, as OpenAPI 3.1.
///
/// # Errors
/// A parameter, for there are none.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    operation_id = "openapi",
    tag = "about",
    responses((status = 200, description = "This document.", content_type = "application/json", body = serde_json::Value))
)]
pub async fn openapi(request: HttpRequest) -> Result<HttpResponse, Problem> {
    query(&request, &[])?;
    Ok(HttpResponse::Ok().content_type("application/json").body(TEXT.as_str()))
}

/// Who may call an operation.
#[derive(Clone, Copy)]
enum Shown {
    Nothing,
    TokenOrSession,
    /// A session proves besides that a page of ours asks.
    TokenOrProvenSession,
    Token,
}

/// What the code does not say of an operation: who may call it, and what may go wrong.
struct Facts {
    shown: Shown,
    kinds: &'static [Kind],
    /// Whether what goes wrong is told as SDKs read it, and not as a problem.
    container: bool,
}

const LISTS: &[Kind] = &[Kind::BadRequest, Kind::SignInRequired, Kind::TokenRefused, Kind::Internal, Kind::Unavailable];

const USES: &[Kind] = &[
    Kind::BadRequest,
    Kind::DurationInvalid,
    Kind::SignInRequired,
    Kind::TokenRefused,
    Kind::RoleNotPermitted,
    Kind::TokenScope,
    Kind::StepUpRequired,
    Kind::MfaRequired,
    Kind::IdentityProviderSessionEnding,
    Kind::SessionPolicyInvalid,
    Kind::CrossSite,
    Kind::NotFound,
    Kind::TooLarge,
    Kind::TooManyRequests,
    Kind::Internal,
    Kind::AwsRefused,
    Kind::AwsUnavailable,
    Kind::Unavailable,
];

fn facts(operation: &str) -> Facts {
    let (shown, kinds, container): (_, &'static [Kind], _) = match operation {
        "openapi" => (Shown::Nothing, &[Kind::BadRequest], false),
        "credentials" => (Shown::TokenOrProvenSession, USES, false),
        "console" => (Shown::TokenOrProvenSession, CONSOLE, false),
        "containerCredentials" => (Shown::Token, USES, true),
        _ => (Shown::TokenOrSession, LISTS, false),
    };
    Facts { shown, kinds, container }
}

/// `USES` and some more: `ALL` in all.
const fn with<const MORE: usize, const ALL: usize>(more: [Kind; MORE]) -> [Kind; ALL] {
    let mut all = [Kind::Internal; ALL];
    let mut at = 0;
    while at < ALL {
        all[at] = if at < USES.len() { USES[at] } else { more[at - USES.len()] };
        at += 1;
    }
    all
}

const CONSOLE: &[Kind] = &with::<2, { USES.len() + 2 }>([Kind::DestinationRefused, Kind::ConsoleImpossible]);

fn document() -> Value {
    let mut document = serde_json::to_value(FromCode::openapi()).unwrap_or_default();
    document["openapi"] = json!("3.1.0");
    document["info"] = json!({
        "title": "Rolegate",
        "version": env!("CARGO_PKG_VERSION"),
        "summary": "AWS roles for people and programs, by the company's own sign-in.",
        "description": "Send a token as `Authorization: Bearer …`. Times are RFC 3339 in UTC; durations are seconds, or \
                        text such as `1h`. Whatever is refused is an RFC 9457 problem with a stable `type`; `instance` \
                        ends with the id that `X-Request-Id` holds too. What a request says that nobody knows is refused.",
        "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
    });
    document["servers"] = json!([{ "url": "/" }]);
    document["components"]["securitySchemes"] = json!({
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "A personal token (`rgp_…`), or the access token of a terminal or workload (`rga_…`).",
        },
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "__Host-rolegate",
            "description": "A browser's session; `rolegate` where there is no TLS.",
        },
        "csrf": {
            "type": "apiKey",
            "in": "header",
            "name": "X-CSRF-Token",
            "description": "Beside a session: the `csrf` value of `GET /api/v1/me`.",
        },
    });
    let schemas = &mut document["components"]["schemas"];
    for (name, schema) in written_schemas() {
        schemas[name] = schema;
    }
    if let Some(paths) = document["paths"].as_object_mut() {
        for operation in paths.values_mut().filter_map(Value::as_object_mut).flat_map(|path| path.values_mut()) {
            complete(operation);
        }
    }
    document
}

/// Adds to an operation who may call it, what it takes and gives beyond our types, and what may go wrong.
fn complete(operation: &mut Value) {
    let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
    let facts = facts(&id);
    let schema = |name: &str| json!({ "schema": { "$ref": format!("#/components/schemas/{name}") } });
    let body = |name: &str, example: Value| {
        let mut content = schema(name);
        content["example"] = example;
        json!({ "required": false, "content": { "application/json": content } })
    };
    match id.as_str() {
        "credentials" => {
            operation["requestBody"] = body("CredentialsRequest", json!({ "duration": "1h", "region": "eu-west-1" }));
            let json = json!({ "anyOf": [
                { "$ref": "#/components/schemas/Credentials" },
                { "$ref": "#/components/schemas/ProcessCredentials" },
            ] });
            operation["responses"]["200"]["content"] =
                json!({ "application/json": { "schema": json }, "text/plain": schema("Text") });
        }
        "console" => {
            let page = "https://console.aws.amazon.com/s3/home";
            operation["requestBody"] = body("ConsoleRequest", json!({ "destination": page, "duration": "1h" }));
        }
        "containerCredentials" => {
            operation["responses"]["200"]["content"] = json!({ "application/json": schema("ContainerCredentials") });
        }
        _ => {}
    }
    operation["security"] = match facts.shown {
        Shown::Nothing => json!([]),
        Shown::Token => json!([{ "token": [] }]),
        Shown::TokenOrSession => json!([{ "token": [] }, { "session": [] }]),
        Shown::TokenOrProvenSession => json!([{ "token": [] }, { "session": [], "csrf": [] }]),
    };
    let mut by_status: BTreeMap<u16, Vec<Kind>> = BTreeMap::new();
    for kind in facts.kinds {
        // SDKs try again after any 5xx, so to them AWS's refusal is a 403: see `Dialect::status`.
        let status = if facts.container && *kind == Kind::AwsRefused { 403 } else { kind.status().as_u16() };
        by_status.entry(status).or_default().push(*kind);
    }
    for (status, kinds) in by_status {
        let answer = if facts.container { container_error(&kinds) } else { problem(&kinds) };
        operation["responses"][status.to_string()] = answer;
    }
}

fn type_of(kind: Kind) -> String {
    format!("urn:rolegate:problem:{}", kind.slug())
}

fn said_of(kinds: &[Kind]) -> String {
    kinds.iter().map(|kind| format!("`{}`: {}.", kind.slug(), kind.title())).collect::<Vec<_>>().join(" ")
}

fn id_header() -> Value {
    json!({ "X-Request-Id": { "description": "The support id.", "schema": { "type": "string", "pattern": "^[0-9a-f]{16}$" } } })
}

fn problem(kinds: &[Kind]) -> Value {
    let example = |kind: &Kind| {
        json!({ "value": {
            "type": type_of(*kind),
            "title": kind.title(),
            "status": kind.status().as_u16(),
            "detail": kind.sentence(),
            "instance": "urn:rolegate:request:5f1c0e6a9d3b7c42",
        } })
    };
    let examples: BTreeMap<&str, Value> = kinds.iter().map(|kind| (kind.slug(), example(kind))).collect();
    let types: Vec<String> = kinds.iter().map(|kind| type_of(*kind)).collect();
    let mut headers = id_header();
    if kinds.contains(&Kind::TooManyRequests) {
        headers["Retry-After"] = json!({ "description": "Seconds to wait.", "schema": { "type": "integer" } });
    }
    json!({
        "description": said_of(kinds),
        "headers": headers,
        "content": { "application/problem+json": {
            "schema": { "allOf": [
                { "$ref": "#/components/schemas/Problem" },
                { "properties": { "type": { "enum": types } } },
            ] },
            "examples": examples,
        } },
    })
}

fn container_error(kinds: &[Kind]) -> Value {
    json!({
        "description": said_of(kinds),
        "headers": id_header(),
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/ContainerError" } } },
    })
}

/// What stands in no type of ours: texts that formats write, and requests that are read member by member.
fn written_schemas() -> [(&'static str, Value); 9] {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let keys = |token: &str, more: Value| {
        let mut properties = json!({
            "AccessKeyId": { "type": "string" },
            "SecretAccessKey": { "type": "string", "format": "password" },
            "Expiration": { "type": "string", "format": "date-time" },
            "AccountId": { "type": "string", "pattern": "^[0-9]{12}$" },
        });
        properties[token] = json!({ "type": "string", "format": "password" });
        for (name, schema) in more.as_object().into_iter().flatten() {
            properties[name] = schema.clone();
        }
        json!({
            "type": "object",
            "required": ["AccessKeyId", "SecretAccessKey", token, "Expiration", "AccountId"],
            "properties": properties,
        })
    };
    let request =
        |properties: Value| json!({ "type": "object", "additionalProperties": false, "properties": properties });
    let duration = json!({ "oneOf": [
        { "type": "null" },
        { "type": "integer", "minimum": 900, "maximum": 129_600, "description": "Seconds." },
        { "type": "string", "pattern": "^([0-9]+|[0-9]+h([0-9]+m)?|[0-9]+m)$", "examples": ["1h", "90m", "1h30m"] },
    ] });
    let described = |mut schema: Value, description: &str| {
        schema["description"] = json!(description);
        schema
    };
    let policy = json!({
        "description": "An inline session policy: the document itself, or its text. At most 2,048 characters without white space, the ARNs included.",
        "oneOf": [
            { "type": "null" },
            { "type": "object", "required": ["Statement"] },
            { "type": "string" },
        ],
    });
    let policy_arns = json!({
        "description": "Managed policies that do the same.",
        "type": ["array", "null"],
        "maxItems": 10,
        "items": { "type": "string", "examples": ["arn:aws:iam::aws:policy/ReadOnlyAccess"] },
    });
    let scope_down = json!({
        "description": "What the session is limited to, beyond what its role is, and what role and rule limit it to in the catalog.",
        "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/ScopeDown" }],
    });
    let list = |description: &str, example: &str| json!({ "description": description, "type": ["array", "null"], "items": { "type": "string", "examples": [example] } });
    let on = |description: &str| json!({ "description": description, "type": ["boolean", "null"], "default": false });
    [
        (
            "ScopeDown",
            request(json!({
                "read_only": on("Only what AWS's managed policy ReadOnlyAccess allows."),
                "regions": list("Only requests to these regions, and to services that have none.", "eu-west-1"),
                "networks": list("Only requests from these networks, and those that AWS makes for the session.", "203.0.113.0/24"),
                "from_here": on("Only from the address this request comes from; beside networks, from there too."),
                "policy": policy.clone(),
                "policy_arns": policy_arns.clone(),
            })),
        ),
        (
            "Credentials",
            keys(
                "SessionToken",
                json!({
                    "RoleArn": { "type": "string" },
                    "Region": { "type": "string", "description": "Where the role's users work, if that is known." },
                    "PackedPolicySize": { "type": "integer", "minimum": 0, "description": "How much of the room that STS has for session policy and tags is taken, in percent; left out where STS does not say." },
                }),
            ),
        ),
        ("ProcessCredentials", keys("SessionToken", json!({ "Version": { "type": "integer", "const": 1 } }))),
        ("ContainerCredentials", keys("Token", json!({ "RoleArn": { "type": "string" } }))),
        (
            "ContainerError",
            json!({
                "type": "object",
                "required": ["Code", "Message"],
                "properties": { "Code": { "type": "string" }, "Message": { "type": "string" } },
            }),
        ),
        (
            "CredentialsRequest",
            request(json!({
                "duration": described(duration.clone(), "How long they are to live; the role and its rule may allow less. Else the role's default."),
                "policy": described(policy.clone(), "The same as `policy` in `scope_down`."),
                "policy_arns": described(policy_arns.clone(), "The same as `policy_arns` in `scope_down`."),
                "scope_down": scope_down.clone(),
                "region": {
                    "description": "The region whose STS is called, and that formats with a region name. Else what the catalog says.",
                    "type": ["string", "null"],
                    "examples": ["eu-west-1"],
                },
                "mfa_code": {
                    "description": "The six digits that the person's MFA device shows, for a role that asks for them. Good for one call, and never kept.",
                    "type": ["string", "null"],
                    "examples": ["123456"],
                },
                "mfa_serial": {
                    "description": "Which device: its ARN or serial number, for a role that does not name it.",
                    "type": ["string", "null"],
                    "examples": ["arn:aws:iam::111122223333:mfa/jane"],
                },
                "fresh": {
                    "description": "Whether only credentials that nobody has had yet will do.",
                    "type": ["boolean", "null"],
                    "default": false,
                },
            })),
        ),
        (
            "ConsoleRequest",
            request(json!({
                "destination": {
                    "description": "A page of the AWS Management Console. Else the role's own, or the console's home.",
                    "type": ["string", "null"],
                    "examples": ["https://console.aws.amazon.com/s3/home"],
                },
                "duration": described(duration, "How long the console may be used; the role and its rule may allow less."),
                "policy": described(policy, "The same as `policy` in `scope_down`."),
                "policy_arns": described(policy_arns, "The same as `policy_arns` in `scope_down`."),
                "scope_down": scope_down,
            })),
        ),
        (
            "Problem",
            json!({
                "type": "object",
                "description": "RFC 9457. Some kinds have further members.",
                "required": ["type", "title", "status", "detail", "instance"],
                "properties": {
                    "type": text("Stable; docs/problems.md explains each."),
                    "title": text("A few words."),
                    "status": { "type": "integer" },
                    "detail": text("What happened and what to do next."),
                    "instance": text("Ends with the support id."),
                    "link": text("With step-up-required and mfa-required: the page of ours where somebody signs in again, or types the code."),
                    "mfa_serial": text("With mfa-required: the device the code is read from, where the catalog names it."),
                    "unmet": text("With step-up-required: what does not hold."),
                    "authentication": { "$ref": "#/components/schemas/AskedAuthentication" },
                },
            }),
        ),
        ("Text", text("Text, as `format` says.")),
    ]
}
