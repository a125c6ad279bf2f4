//! Deciding over 5,000 roles and 2,000 rules for somebody in 50 groups, beside trying every rule in turn.
//!
//! `cargo bench --bench decide`. The rules are of every kind: most are exact groups for one role, some are globs with a
//! fixed beginning or end, some are expressions that share a beginning, some have no fixed end at all.

#![allow(clippy::unwrap_used, reason = "a benchmark stops at what it did not expect")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use rolegate::access::{Asked, Policy};
use rolegate::aws::RoleName;
use rolegate::catalog::{Catalog, Rule};
use rolegate::identity::{Attributes, Authentication, Groups, NameIdQualifiers, SubjectId, VerifiedIdentity};

const ACCOUNTS: usize = 1_000;
const ROLES: [&str; 5] = ["ReadOnly", "Developer", "teams/Deploy", "Billing", "Admin"];

fn account(at: usize) -> String {
    format!("{:012}", 100_000_000_000 + at)
}

/// 1,000 accounts of five roles each, and 2,000 rules.
fn catalog() -> Catalog {
    let mut text = String::from(
        "[[connector]]\nid = \"okta\"\nkind = \"saml\"\nmetadata_url = \"https://okta.example/metadata\"\n\
         attributes = { groups = \"groups\", extra = { department = \"department\" } }\n",
    );
    for at in 0..ACCOUNTS {
        let (id, env) = (account(at), ["prod", "stage", "test", "dev"][at % 4]);
        let _ = writeln!(text, "[[account]]\nid = \"{id}\"\nname = \"Account {at}\"\ntags = {{ env = \"{env}\" }}");
        for role in ROLES {
            let _ = writeln!(text, "[[role]]\naccount = \"{id}\"\nname = \"{role}\"\nmax_session = \"12h\"");
        }
    }
    let mut rule = |id: String, when: String, grant: String| {
        let _ = writeln!(text, "[[rule]]\nid = \"{id}\"\nwhen = {when}\ngrant = [{grant}]");
    };
    for at in 0..1_398 {
        let (account, role) = (account(at * 7 % ACCOUNTS), ROLES[at % 5]);
        rule(
            format!("team-{at}"),
            format!("{{ groups = \"team-{at}\", connector = \"okta\" }}"),
            format!("{{ account = \"{account}\", role = \"{role}\" }}"),
        );
    }
    for at in 0..200 {
        let grant = "{ account_tags = { env = \"dev\" }, role = \"Developer\" }".to_owned();
        rule(format!("glob-{at}"), format!("{{ groups = {{ glob = \"unit{at}-*\" }} }}"), grant.clone());
        rule(format!("suffix-{at}"), format!("{{ groups = {{ glob = \"*-admins{at}\" }} }}"), grant);
    }
    for at in 0..100 {
        rule(
            format!("convention-{at}"),
            format!("{{ groups = {{ matches = \"aws-(?<account>\\\\d{{12}})-(?<role>[A-Za-z]+)-v{at}\" }} }}"),
            "{ account = \"{account}\", role = \"{role}\" }".to_owned(),
        );
        rule(
            format!("loose-{at}"),
            format!("{{ groups = {{ matches = \"(?i)(dev|ops)[0-9]+-{at}-[a-z]+\" }}, department = \"Engineering\" }}"),
            "{ account = \"*\", role = \"Billing\" }".to_owned(),
        );
    }
    rule(
        "everybody-reads".to_owned(),
        "{ groups = \"engineering\" }".to_owned(),
        "{ account = \"*\", role = \"ReadOnly\" }".to_owned(),
    );
    rule(
        "contractors".to_owned(),
        "{ groups = \"contractors\" }".to_owned(),
        "{ account_tags = { env = \"test\" }, role = \"*\" }".to_owned(),
    );
    let catalog = rolegate::catalog::toml::parse_text("bench.toml", &text).unwrap().catalog;
    assert_eq!((catalog.roles().len(), catalog.rules().len()), (5_000, 2_000));
    catalog
}

/// Somebody in 50 groups, of which about 40 have to do with a rule.
fn person() -> VerifiedIdentity {
    let mut groups: Vec<String> = (0..24).map(|at| format!("team-{}", at * 53)).collect();
    groups.extend((0..8).map(|at| format!("aws-{}-Admin-v{}", account(at * 31), at * 9)));
    groups.extend(["unit7-web", "unit19-ops", "x-admins3", "Dev12-40-core", "engineering"].map(str::to_owned));
    groups.extend((groups.len()..50).map(|at| format!("distribution-list-{at}")));
    VerifiedIdentity {
        subject: SubjectId { connector: "okta".parse().unwrap(), value: "asha@corp.example".to_owned() },
        asserted: None,
        link: None,
        qualifiers: NameIdQualifiers::default(),
        name: Some("Asha".to_owned()),
        email: Some("asha@corp.example".to_owned()),
        groups: Groups::Complete { values: groups },
        attributes: Attributes(BTreeMap::from([("department".to_owned(), vec!["Engineering".to_owned()])])),
        authentication: Authentication {
            instant: Some(Timestamp::UNIX_EPOCH),
            methods: Vec::new(),
            context_class: None,
            session_index: None,
            session_not_on_or_after: None,
        },
    }
}

/// Which rules match, by trying each on every value.
fn in_turn<'c>(catalog: &'c Catalog, person: &VerifiedIdentity) -> Vec<&'c Rule> {
    catalog
        .rules()
        .filter(|rule| {
            rule.when.iter().all(|(attribute, any)| {
                attribute.values(person).any(|value| any.patterns().iter().any(|pattern| pattern.is_match(value)))
            })
        })
        .collect()
}

fn decide(criterion: &mut Criterion) {
    let (catalog, person) = (catalog(), person());
    let policy = Policy::compile(catalog.clone());
    let mut many = person.clone();
    many.groups = Groups::Complete { values: (0..4_000).map(|at| format!("team-{at}")).collect() };
    let mut group = criterion.benchmark_group("decide");
    group.bench_function("50 groups", |b| b.iter(|| black_box(policy.decide(black_box(&person))).roles().len()));
    group.bench_function("50 groups, with every reason", |b| {
        b.iter(|| {
            let decision = policy.decide(black_box(&person));
            decision.roles().map(|access| access.reasons().len()).sum::<usize>()
        });
    });
    group.bench_function("4,000 groups", |b| b.iter(|| black_box(policy.decide(black_box(&many))).roles().len()));
    group.bench_function("permit", |b| {
        let (account, role): (_, RoleName) = (account(0).parse().unwrap(), "ReadOnly".parse().unwrap());
        b.iter(|| {
            policy.permit(black_box(&person), Asked::role(account, role.clone()), Timestamp::UNIX_EPOCH).unwrap()
        });
    });
    group.bench_function("bare: every rule in turn, matching only", |b| {
        b.iter(|| black_box(in_turn(&catalog, black_box(&person))).len());
    });
    group.finish();
    criterion.bench_function("compile the policy", |b| b.iter(|| Policy::compile(catalog.clone())));
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = decide
}
criterion_main!(benches);
