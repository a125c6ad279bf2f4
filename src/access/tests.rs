use jiff::Timestamp;

use super::*;
use crate::aws::SessionDuration;
use crate::catalog::toml::parse_text;
use crate::catalog::{Catalog, RoleId};
use crate::identity::{Attributes, Authentication, Groups, NameIdQualifiers, SubjectId, VerifiedIdentity};

const CATALOG: &str = r#"
[[connector]]
id = "okta"
kind = "saml"
metadata_url = "https://idp.example/metadata"
[connector.attributes.extra]
department = "dept"
level = "level"

[[connector]]
id = "old"
kind = "saml"
enabled = false
metadata_url = "https://old.example/metadata"

[[account]]
id = "111122223333"
name = "Payments production"
tags = { env = "prod", team = "payments" }
[[account]]
id = "444455556666"
name = "Payments test"
tags = { env = "test", team = "payments" }

[[role]]
account = "111122223333"
name = "ReadOnly"
max_session = "12h"
session_tags = { Department = "department", Level = "level", CostCenter = { value = "42" } }
[[role]]
account = "111122223333"
name = "teams/Deploy"
max_session = "2h"
tags = { level = "write" }
[[role]]
account = "444455556666"
name = "ReadOnly"
[[role]]
account = "444455556666"
name = "Admin"
max_session = "8h"
default_session = "30m"
tags = { level = "admin" }

[[rule]]
id = "engineers-read-everything"
when = { groups = "engineering" }
grant = [{ account = "*", role = "ReadOnly" }]
max_session = "4h"

[[rule]]
id = "leads"
when = { groups = ["leads", "heads"], connector = "okta" }
grant = [{ account = "111122223333", role = ["ReadOnly", "teams/Deploy"] }]

[[rule]]
id = "testers"
when = { groups = { glob = "*-testers" }, department = { any = ["QA", { glob = "Quality*" }] } }
grant = [{ account_tags = { env = ["test", "dev"] }, role_tags = { level = "admin" } }]

[[rule]]
id = "by-convention"
when = { groups = { matches = "aws-(?<account>\\d{12})-(?<role>[\\w+=,.@-]+)" } }
grant = [{ account = "{account}", role = "{role}" }, { account = "{account}", role = "teams/{role}" }]
"#;

fn catalog(text: &str) -> Catalog {
    parse_text("test.toml", text).unwrap().catalog
}

fn policy() -> Policy {
    Policy::compile(catalog(CATALOG))
}

/// Somebody from `okta` in these groups.
fn person(groups: &[&str]) -> VerifiedIdentity {
    VerifiedIdentity {
        subject: SubjectId { connector: "okta".parse().unwrap(), value: "00u1".into() },
        qualifiers: NameIdQualifiers::default(),
        name: Some("Asha".into()),
        email: Some("asha@corp.example".into()),
        groups: Groups::Complete { values: groups.iter().map(ToString::to_string).collect() },
        attributes: Attributes::default(),
        authentication: Authentication {
            instant: now(),
            context_class: None,
            session_index: None,
            session_not_on_or_after: None,
        },
    }
}

fn with(mut person: VerifiedIdentity, attribute: &str, values: &[&str]) -> VerifiedIdentity {
    person.attributes.0.insert(attribute.into(), values.iter().map(ToString::to_string).collect());
    person
}

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn id(text: &str) -> RoleId {
    text.parse().unwrap()
}

fn roles(person: &VerifiedIdentity) -> Vec<String> {
    policy().decide(person).roles().map(|access| access.id().to_string()).collect()
}

fn permit(person: &VerifiedIdentity, role: &str, asked: Option<u32>) -> Result<Permit, Denied> {
    let asked = asked.map(|seconds| SessionDuration::from_secs(seconds).unwrap());
    policy().permit(person, id(role).account, &id(role).name, asked, now())
}

#[test]
fn an_exact_group_opens_the_role_in_every_account() {
    assert_eq!(roles(&person(&["engineering"])), ["111122223333/ReadOnly", "444455556666/ReadOnly"]);
    for near in ["Engineering", "engineering ", "xengineering", "engineerin", ""] {
        assert_eq!(roles(&person(&[near])), [""; 0], "{near}");
    }
}

#[test]
fn a_name_in_the_directory_carries_account_and_role() {
    assert_eq!(roles(&person(&["aws-444455556666-Admin"])), ["444455556666/Admin"]);
    assert_eq!(roles(&person(&["aws-111122223333-Deploy"])), ["111122223333/teams/Deploy"]);
    for nothing in ["aws-999999999999-Admin", "aws-444455556666-Nothing", "xaws-444455556666-Admin", "aws-4-Admin"] {
        assert_eq!(roles(&person(&[nothing])), [""; 0], "{nothing}");
    }
}

#[test]
fn every_condition_of_a_rule_must_hold() {
    let tester = person(&["web-testers"]);
    assert_eq!(roles(&tester), [""; 0]);
    assert_eq!(roles(&with(tester.clone(), "department", &["Sales", "Quality Gate"])), ["444455556666/Admin"]);
    assert_eq!(roles(&with(tester, "department", &["quality"])), [""; 0]);
}

#[test]
fn a_reason_names_the_rule_and_the_value() {
    let policy = policy();
    let decision = policy.decide(&person(&["b", "leads", "engineering", "aws-111122223333-ReadOnly"]));
    let role = id("111122223333/ReadOnly");
    let access = decision.role(role.account, &role.name).unwrap();
    let reasons: Vec<String> = access
        .reasons()
        .iter()
        .map(|reason| {
            let because: Vec<String> = reason.because.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{}: {}", reason.rule.id, because.join(" "))
        })
        .collect();
    assert_eq!(
        reasons,
        [
            "by-convention: groups=aws-111122223333-ReadOnly",
            "leads: connector=okta groups=leads",
            "engineers-read-everything: groups=engineering",
        ]
    );
}
