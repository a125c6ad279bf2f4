//! `docs/workloads.md`: its catalogs are read, and the line to try is run.

use std::path::Path;

use rolegate::catalog::toml::{Source, parse};
use serde_json::json;

use crate::hostile_oidc::forge::Who;
use crate::sandboxed::Sandboxed;
use crate::tools::{repository, system_tool};

fn page() -> String {
    std::fs::read_to_string(repository().join("docs/workloads.md")).unwrap()
}

/// The blocks of one language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

#[test]
fn every_catalog_on_the_page_is_one_without_a_mistake_or_a_warning() {
    let jwks = json!({ "keys": [Who::Provider.jwk("k")] }).to_string();
    let files = |path: &Path| {
        assert_eq!(path, Path::new("cluster.jwks.json"));
        Ok(jwks.clone().into_bytes())
    };
    let catalogs = blocks(&page(), "toml");
    assert_eq!(catalogs.len(), 3, "GitHub, GitLab, Kubernetes");
    for text in catalogs {
        let read = parse(&[Source { path: "page.toml".into(), text: text.clone() }], &files);
        let loaded = read.unwrap_or_else(|mistakes| panic!("{mistakes}\n{text}"));
        assert!(loaded.warnings.is_empty(), "{:?}\n{text}", loaded.warnings);
        let rule = loaded.catalog.rules().next().expect("a rule");
        let connector = loaded.catalog.connectors().next().expect("a connector");
        assert!(connector.workload().is_some() && rule.names(&connector.id), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_line_to_try_gives_credentials_as_it_stands() {
    let world = Sandboxed::start().await;
    let line = blocks(&page(), "sh").into_iter().find(|block| block.contains("idp/workload")).expect("the line");
    let sandbox = world.aws.base.as_str().trim_end_matches('/').to_owned();
    let line = line.replace("http://127.0.0.1:8080", &world.broker.base).replace("http://127.0.0.1:8081", &sandbox);
    let run = move || std::process::Command::new(system_tool("bash")).args(["-c", &line]).output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("export AWS_ACCESS_KEY_ID='SBOX"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
