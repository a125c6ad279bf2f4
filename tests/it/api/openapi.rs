//! The API's description, held against the routes, against every answer of these tests, and against a running server.

use std::collections::BTreeSet;

use regex::Regex;
use rolegate::access::Scope;
use rolegate::web::api::openapi::DOCUMENT;
use rolegate::web::routes;
use serde_json::{Value, json};

use super::Program;
use crate::broker::Broker;
use crate::sandboxed::{Answer, Sandboxed, client, send};
use crate::tools::repository;

/// The operations of the document, as method and path.
fn operations() -> impl Iterator<Item = (String, &'static str, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().unwrap();
        item.iter().map(|(method, operation)| (method.to_uppercase(), path.as_str(), operation))
    })
}

/// Fails if the API answers with what its description does not hold: a status, or a media type.
pub fn assert_documented(method: &str, path: &str, answer: &Answer) {
    let here = |pattern: &str| {
        let pattern = pattern.replace("{account}", "[^/]+").replace("{role}", ".+");
        Regex::new(&format!("^{pattern}$")).unwrap().is_match(path)
    };
    let Some((_, _, operation)) = operations().find(|(known, pattern, _)| known == method && here(pattern)) else {
        return;
    };
    let documented = &operation["responses"][answer.status.to_string()];
    assert!(documented.is_object(), "{method} {path}: {} is not documented: {}", answer.status, answer.body);
    let media = answer.header("content-type").split(';').next().unwrap();
    assert!(documented["content"][media].is_object(), "{method} {path}: {} of type {media}", answer.status);
}

#[test]
fn the_document_and_the_table_of_routes_agree() {
    let mut rows = Vec::new();
    let _ = actix_web::App::new().configure(|config| rows = routes::mount(config));
    let mounted: BTreeSet<(String, String)> = rows
        .iter()
        .filter(|row| row.path.starts_with("/api/"))
        .map(|row| (row.method.to_string(), row.path.replace(":.+", "")))
        .collect();
    let documented: BTreeSet<(String, String)> =
        operations().map(|(method, path, _)| (method, path.to_owned())).collect();
    assert_eq!(mounted, documented);
}

#[test]
fn every_operation_says_who_may_call_it_and_what_may_go_wrong() {
    assert_eq!(DOCUMENT["openapi"], "3.1.0");
    let pages = std::fs::read_to_string(repository().join("docs/problems.md")).unwrap();
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations() {
        let what = format!("{method} {path}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{what}");
        assert!(operation["summary"].is_string() && operation["security"].is_array(), "{what}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.contains_key("200"), "{what}");
        for (status, response) in responses.iter().filter(|(status, _)| *status != "200") {
            let schema = &response["content"]["application/problem+json"]["schema"];
            let Some(types) = schema["allOf"][1]["properties"]["type"]["enum"].as_array() else {
                assert!(path.starts_with("/api/v1/container/"), "{what} {status}");
                continue;
            };
            for kind in types {
                let slug = kind.as_str().unwrap().strip_prefix("urn:rolegate:problem:").unwrap();
                assert!(pages.contains(&format!("## {slug}\n{status}.")), "{what}: {slug} is no {status}");
            }
        }
    }
    assert_eq!(ids.len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_served_to_anybody() {
    let world = Sandboxed::start().await;
    let answer = send(client().get(world.broker.at("/api/openapi.json"))).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.json(), *DOCUMENT);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_formats_write_is_what_the_document_says() {
    let world = Sandboxed::start().await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    for (format, schema) in [("json", "Credentials"), ("process", "ProcessCredentials")] {
        let path = format!("/api/v1/roles/111122223333/ReadOnly/credentials?format={format}");
        let keys = program
            .post_json(&path, &json!({ "region": "eu-west-1", "scope_down": { "read_only": true } }))
            .await
            .json();
        let written: BTreeSet<_> = keys.as_object().unwrap().keys().collect();
        let documented = DOCUMENT["components"]["schemas"][schema]["properties"].as_object().unwrap();
        assert_eq!(written, documented.keys().collect(), "{format}");
    }
    // And what the document takes is what the server takes.
    for (schema, path) in [("CredentialsRequest", "credentials"), ("ConsoleRequest", "console")] {
        let path = format!("/api/v1/roles/111122223333/ReadOnly/{path}");
        let (said, _) =
            program.refused(&program.post_json(&path, &json!({ "nothing": 1 })).await, 400, "bad-request").await;
        let properties = DOCUMENT["components"]["schemas"][schema]["properties"].as_object().unwrap();
        let taken: BTreeSet<&str> = said.split('`').skip(3).step_by(2).collect();
        assert_eq!(taken, properties.keys().map(String::as_str).collect(), "{said}");
    }
}

/// Requests made up from the document, good and bad, by a program that has never seen this server.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_with_the_document_finds_no_answer_that_it_does_not_hold() {
    let many = "1000000";
    let world = Sandboxed::with(
        Broker::wishes()
            .set("limits.issue_per_minute", many)
            .set("limits.issue_burst", many)
            .set("limits.deliver_per_minute", many)
            .set("limits.deliver_burst", many),
    )
    .await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    let folder = tempfile::tempdir().unwrap();
    let tool = repository().join(".tools/schemathesis/bin/schemathesis");
    assert!(tool.exists(), "{} is missing: run `make setup-test`", tool.display());
    let run = tokio::process::Command::new(tool)
        .args(["run", &world.broker.at("/api/openapi.json"), "--header"])
        .arg(format!("Authorization: Bearer {}", program.token.expose_secret()))
        // A schema cannot say which texts are a cursor, a region, or a policy that AWS takes: some of what it allows is
        // refused, with a documented 400.
        .args(["--checks", "all", "--exclude-checks", "positive_data_acceptance"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "40", "--seed", "1", "--no-shrink"])
        // One worker: Python 3.11 trips over its own parser where two build deep values at once.
        .args(["--workers", "1", "--no-color", "--continue-on-failure", "--suppress-health-check", "all"])
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .output();
    let began = std::time::Instant::now();
    let run = run.await.unwrap();
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{said}\n{}", String::from_utf8_lossy(&run.stderr));
    assert!(began.elapsed().as_secs() < 60, "{:?}\n{said}", began.elapsed());
}
