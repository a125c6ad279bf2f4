//! `GET /metrics`: who may read it, and that a monitoring system can.

use std::collections::BTreeMap;

use crate::broker::Broker;
use crate::sandboxed::{Sandboxed, client, problem, send};

const TOKEN: &str = "a-token-of-a-monitoring-system";

/// The samples of a page, after judging every line of it.
///
/// Spec: Prometheus text format, version 0.0.4.
pub fn samples(page: &str) -> BTreeMap<String, f64> {
    let name = regex::Regex::new(r"^[a-zA-Z_:][a-zA-Z0-9_:]*$").unwrap();
    let sample = regex::Regex::new(
        r#"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)$"#,
    );
    let sample = sample.unwrap();
    let mut kinds: BTreeMap<String, String> = BTreeMap::new();
    let mut helped: Vec<String> = Vec::new();
    let mut found = BTreeMap::new();
    assert!(page.ends_with('\n'));
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (figure, text) = help.split_once(' ').unwrap();
            assert!(name.is_match(figure) && !text.is_empty(), "{line}");
            assert!(!helped.contains(&figure.to_owned()), "{figure} is begun twice");
            helped.push(figure.to_owned());
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (figure, kind) = kind.split_once(' ').unwrap();
            assert_eq!(helped.last().map(String::as_str), Some(figure), "{line}");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", figure.ends_with("_total"), "{line}");
            kinds.insert(figure.to_owned(), kind.to_owned());
        } else {
            let parts = sample.captures(line).unwrap_or_else(|| panic!("no sample: {line}"));
            let figure = helped.last().unwrap();
            let suffix = parts[1].strip_prefix(figure.as_str()).unwrap_or_else(|| panic!("{line} after {figure}"));
            let allowed: &[&str] = if kinds[figure] == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(allowed.contains(&suffix), "{line}");
            let labels = parts.get(2).map_or("", |labels| labels.as_str());
            let key = if labels.is_empty() { parts[1].to_owned() } else { format!("{}{{{labels}}}", &parts[1]) };
            let value: f64 = parts[3].parse().unwrap();
            assert!(found.insert(key, value).is_none(), "twice: {line}");
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_told_to_nobody_unless_a_setting_says_so() {
    let broker = Broker::wishes().start().await;
    let answer = send(client().get(broker.at("/metrics")).bearer_auth(TOKEN)).await;
    problem(&answer, 404, "not-found");
    assert!(broker.app.metrics_address().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_them_and_nothing_else_does() {
    let broker = Broker::wishes().set("metrics.token", TOKEN).start().await;
    let at = broker.at("/metrics");
    for request in [
        client().get(&at),
        client().get(&at).bearer_auth(&TOKEN[1..]),
        client().get(&at).bearer_auth(format!("{TOKEN}x")),
        client().get(&at).basic_auth(TOKEN, Some(TOKEN)),
        client().get(format!("{at}?token={TOKEN}")),
        client().get(&at).header("x-forwarded-for", "127.0.0.1"),
    ] {
        problem(&send(request).await, 401, "token-refused");
    }
    let answer = send(client().get(&at).bearer_auth(TOKEN)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(
        samples(&answer.body)
            .contains_key(&format!("rolegate_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_is_told_without_saying_to_whom() {
    let world = Sandboxed::with(Broker::wishes().set("metrics.listen", "127.0.0.1:0")).await;
    let address = world.broker.app.metrics_address().unwrap();
    let scrape = async || {
        let answer = send(client().get(format!("http://{address}/metrics"))).await;
        assert_eq!(answer.status, 200);
        answer.body
    };
    let before = samples(&scrape().await);
    let mut lin = world.sign_in_as("lin").await;
    let page = lin.post("/roles/111122223333/teams/payments/Deploy/credentials", &[("duration", "3600")]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let page = scrape().await;
    let after = samples(&page);
    let grown = |key: &str| after.get(key).copied().unwrap_or(0.0) - before.get(key).copied().unwrap_or(0.0);
    for kind in ["sign-in.succeeded", "issue.intended", "issue.succeeded"] {
        assert_eq!(grown(&format!("rolegate_events_total{{kind=\"{kind}\"}}")), 1.0, "{kind}\n{page}");
    }
    assert_eq!(grown("rolegate_events_total{kind=\"issue.failed\"}"), 0.0);
    for nobodys_business in ["lin", "111122223333", "Deploy", "SBOX", "corp.example"] {
        assert!(!page.contains(nobodys_business), "{nobodys_business}\n{page}");
    }
    for path in ["/", "/healthz", "/sign-in"] {
        assert_eq!(send(client().get(format!("http://{address}{path}"))).await.status, 404, "{path}");
    }
}
