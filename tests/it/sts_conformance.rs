//! The conformance table `tests/sts_conformance/cases.toml` against the sandbox's STS: every case as bytes on a socket, as
//! calls of the SDK for Rust and as calls of botocore. `moto` puts another emulator's answers beside them.

mod boto;
mod ground;
mod moto;
mod sdk;
mod stories;
mod table;
mod wire;

use std::collections::BTreeMap;

use ground::Ground;
use table::{Case, Table};

/// What a client was answered, in one form for all of them.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    pub status: u16,
    pub code: Option<String>,
    pub message: Option<String>,
    /// By path: `Credentials.Expiration`.
    pub members: BTreeMap<String, String>,
    /// Names in lower case; only what came over a socket has them.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// Everything about an outcome that is not as the table has it.
fn differences(case: &Case, outcome: &Outcome, ground: &Ground) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut differ = |what: &str, expected: &str, found: &str| {
        wrong.push(format!("{what} should be {expected:?} and is {found:?}"));
    };
    if outcome.status != case.status {
        differ("the status", &case.status.to_string(), &outcome.status.to_string());
    }
    let code = outcome.code.as_deref().unwrap_or_default();
    if code != case.code.as_deref().unwrap_or_default() {
        differ("the code", case.code.as_deref().unwrap_or_default(), code);
    }
    let message = outcome.message.as_deref();
    if let Some(expected) = &case.message
        && message != Some(expected)
    {
        differ("the message", expected, message.unwrap_or("missing"));
    }
    if let Some(pattern) = &case.message_like
        && !message.is_some_and(|message| matches(pattern, message))
    {
        differ("the message", pattern, message.unwrap_or("missing"));
    }
    if case.no_message && message.is_some() {
        differ("the message", "missing", message.unwrap_or_default());
    }
    for (name, expected) in &case.members {
        match outcome.members.get(name) {
            Some(found) if says(expected, found) => {}
            found => differ(name, expected, found.map_or("missing", String::as_str)),
        }
    }
    for name in case.absent.iter().filter(|name| outcome.members.contains_key(*name)) {
        differ(name, "missing", &outcome.members[name]);
    }
    if let Some(lives) = case.lives {
        let ends = outcome.members.get("Credentials.Expiration");
        let found =
            ends.and_then(|ends| ends.parse::<jiff::Timestamp>().ok()).map(|ends| ends.as_second() - ground.now());
        // A machine under load may take its time to answer.
        if !found.is_some_and(|found| (lives - 30..=lives + 2).contains(&found)) {
            differ("the life of the credentials", &lives.to_string(), &format!("{found:?} ({ends:?})"));
        }
    }
    if case.raw.is_some() {
        for (name, expected) in &case.headers {
            let found = outcome.headers.get(name).map_or("missing", String::as_str);
            let request_id = element(&outcome.body, "RequestId").unwrap_or_default();
            if !says(&expected.replace("<request-id>", &request_id), found) {
                differ(name, expected, found);
            }
        }
        if let Some(pattern) = &case.body_like
            && !matches(pattern, &outcome.body)
        {
            differ("the body", pattern, &outcome.body);
        }
        if case.empty && !outcome.body.is_empty() {
            differ("the body", "", &outcome.body);
        }
    }
    wrong
}

/// Whether the whole of a text matches.
fn matches(pattern: &str, text: &str) -> bool {
    fancy(pattern).iter().all(|part| {
        regex::RegexBuilder::new(&format!("\\A(?:{part})\\z"))
            .dot_matches_new_line(true)
            .build()
            .unwrap_or_else(|error| panic!("{error}"))
            .is_match(text)
    })
}

/// `A(?=.*B)(?=.*C).*` as `A.*B.*` and `A.*C.*`: all must match, in any order.
fn fancy(pattern: &str) -> Vec<String> {
    let mut pieces = pattern.split("(?=.*");
    let start = pieces.next().unwrap_or_default().to_owned();
    let parts: Vec<String> = pieces
        .map(|piece| format!("{start}.*{}.*", piece.strip_suffix(").*").or(piece.strip_suffix(')')).unwrap_or(piece)))
        .collect();
    if parts.is_empty() { vec![start] } else { parts }
}

/// An exact value, or a regular expression between slashes.
fn says(expected: &str, found: &str) -> bool {
    match expected.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
        Some(pattern) => matches(pattern, found),
        None => expected == found,
    }
}

fn element(xml: &str, name: &str) -> Option<String> {
    let document = roxmltree::Document::parse(xml).ok()?;
    let node = document.descendants().find(|node| node.tag_name().name() == name)?;
    Some(node.text().unwrap_or_default().to_owned())
}

/// Fails with a list of what is not as the table has it.
fn conclude(client: &str, ran: &[(&Case, Outcome)], ground: &Ground) {
    let mut report = String::new();
    for (case, outcome) in ran {
        for wrong in differences(case, outcome, ground) {
            report.push_str(&format!("  {} [{}]: {wrong}\n", case.name, case.facts));
        }
    }
    eprintln!("{client}: {} cases", ran.len());
    assert!(!ran.is_empty(), "{client} ran nothing");
    assert!(report.is_empty(), "{client}, of {} cases:\n{report}", ran.len());
}

/// Nothing is skipped without a reason, and the table does not shrink unseen.
#[test]
fn the_table_is_whole() {
    let table = Table::read();
    let count = |of: &dyn Fn(&Case) -> bool| table.case.iter().filter(|case| of(case)).count();
    assert!(table.case.len() >= 370, "{} cases", table.case.len());
    assert!(count(&|case| case.for_sdk()) >= 290, "{} for the SDK for Rust", count(&|case| case.for_sdk()));
    assert!(count(&|case| case.for_botocore()) >= 300, "{} for botocore", count(&|case| case.for_botocore()));
    let mut names = std::collections::BTreeSet::new();
    for case in &table.case {
        assert!(names.insert(&case.name), "{} stands twice", case.name);
        assert_eq!(case.raw.is_some(), case.only_raw.is_some(), "{}", case.name);
        assert_eq!(case.raw.is_none(), case.action.is_some(), "{}", case.name);
        assert_eq!(
            case.status >= 400 && !case.empty && case.body_like.is_none(),
            case.code.is_some() && case.body_like.is_none(),
            "{}",
            case.name
        );
        assert!(case.facts.starts_with("sts ") || case.facts.starts_with("saml ") || case.facts.starts_with("trust "));
        if let Some(caller) = &case.caller {
            assert!(table.caller.contains_key(caller), "{} has no caller {caller}", case.name);
        }
        let expects = case.code.is_some()
            || !case.members.is_empty()
            || case.lives.is_some()
            || !case.headers.is_empty()
            || case.body_like.is_some()
            || case.empty;
        assert!(expects, "{} expects nothing", case.name);
    }
    let used: std::collections::BTreeSet<_> = table.case.iter().filter_map(|case| case.caller.as_ref()).collect();
    let behind: std::collections::BTreeSet<_> =
        table.caller.values().flat_map(|caller| [&caller.by, &caller.like]).flatten().collect();
    for name in table.caller.keys() {
        let token = table.caller.values().any(|caller| caller.token_of() == Some(name));
        assert!(used.contains(name) || behind.contains(name) || token, "nobody needs the caller {name}");
    }
}

#[actix_web::test]
async fn every_case_holds_on_the_wire() {
    let table = Table::read();
    let ground = Ground::start(&table).await;
    let mut ran = Vec::new();
    for case in &table.case {
        ran.push((case, wire::run(&ground, &ground.base, &ground.callers, case).await));
    }
    conclude("raw HTTP", &ran, &ground);
}

#[actix_web::test]
async fn every_case_that_the_sdk_for_rust_can_send_holds_for_it() {
    let table = Table::read();
    let ground = Ground::start(&table).await;
    let mut ran = Vec::new();
    for case in table.case.iter().filter(|case| case.for_sdk()) {
        ran.push((case, sdk::run(&ground, case).await));
    }
    conclude("aws-sdk-sts", &ran, &ground);
}

#[actix_web::test]
async fn every_case_that_botocore_can_send_holds_for_it() {
    let table = Table::read();
    let ground = Ground::start(&table).await;
    let cases: Vec<&Case> = table.case.iter().filter(|case| case.for_botocore()).collect();
    let outcomes = boto::run(&ground, &cases).await;
    assert_eq!(outcomes.len(), cases.len());
    let ran: Vec<_> = cases.into_iter().zip(outcomes).collect();
    conclude("botocore", &ran, &ground);
}
