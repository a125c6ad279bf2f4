//! The picker with 1,500 roles in 300 accounts: deciding, filling the view and writing the page.
//!
//! `cargo bench --bench render`

#![allow(clippy::unwrap_used, reason = "a benchmark stops at what it did not expect")]

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use rolegate::access::Policy;
use rolegate::identity::{Attributes, Authentication, Groups, NameIdQualifiers, SubjectId, VerifiedIdentity};
use rolegate::web::picker;
use rolegate::web::views::{self, Shell};

const ROLES: [&str; 5] = ["Admin", "ReadOnly", "teams/payments/Deploy", "Billing", "DatabaseAdmin"];

fn catalog() -> String {
    let mut text = String::from(
        "[[connector]]\nid = \"okta\"\nkind = \"saml\"\nname = \"Okta\"\nmetadata_url = \"https://okta.example/m\"\n",
    );
    for account in 0..300 {
        let id = 100_000_000_000_u64 + account;
        let _ = write!(
            text,
            "[[account]]\nid = \"{id}\"\nname = \"Account number {account}\"\ntags = {{ env = \"prod\", team = \"t{}\" }}\n",
            account % 20
        );
        for role in ROLES {
            let _ = write!(
                text,
                "[[role]]\naccount = \"{id}\"\nname = \"{role}\"\nmax_session = \"4h\"\ndescription = \"What one does as {role} here\"\n"
            );
        }
    }
    text.push_str(
        "[[rule]]\nid = \"all\"\nwhen = { groups = \"admins\" }\ngrant = [{ account = \"*\", role = \"*\" }]\n",
    );
    text
}

fn bench(criterion: &mut Criterion) {
    let loaded = rolegate::catalog::toml::parse_text("bench.toml", &catalog()).unwrap();
    let policy = Policy::compile(loaded.catalog);
    let identity = VerifiedIdentity {
        subject: SubjectId { connector: "okta".parse().unwrap(), value: "asha".to_owned() },
        asserted: None,
        link: None,
        qualifiers: NameIdQualifiers::default(),
        name: Some("Asha".to_owned()),
        email: None,
        groups: Groups::Complete { values: vec!["admins".to_owned()] },
        attributes: Attributes::default(),
        authentication: Authentication {
            instant: Some(Timestamp::UNIX_EPOCH),
            methods: Vec::new(),
            context_class: None,
            session_index: None,
            session_not_on_or_after: None,
        },
    };
    assert_eq!(policy.decide(&identity).roles().len(), 1_500);
    criterion.bench_function("picker with 1,500 roles: decide, fill and write", |b| {
        b.iter(|| {
            let decision = policy.decide(black_box(&identity));
            let page = picker::view(Shell::default(), "", &identity, &decision, &[], String::new());
            black_box(views::html(&page))
        });
    });
    let decision = policy.decide(&identity);
    criterion.bench_function("picker with 1,500 roles: fill and write", |b| {
        b.iter(|| {
            let page = picker::view(Shell::default(), "", &identity, black_box(&decision), &[], String::new());
            black_box(views::html(&page))
        });
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
