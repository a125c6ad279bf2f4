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

fn session_ends_in(mut person: VerifiedIdentity, seconds: i64) -> VerifiedIdentity {
    person.authentication.session_not_on_or_after = Some(now() + jiff::SignedDuration::from_secs(seconds));
    person
}

#[test]
fn a_permit_lasts_no_longer_than_role_rule_and_session_at_the_provider_allow() {
    let engineer = person(&["engineering"]);
    let secs = |permit: Result<Permit, Denied>| permit.unwrap().duration().as_secs();
    assert_eq!(secs(permit(&engineer, "111122223333/ReadOnly", None)), 3_600, "an hour unless asked");
    assert_eq!(secs(permit(&engineer, "111122223333/ReadOnly", Some(43_200))), 4 * 3_600, "the rule");
    assert_eq!(secs(permit(&engineer, "444455556666/ReadOnly", Some(43_200))), 3_600, "the role");
    assert_eq!(secs(permit(&engineer, "111122223333/ReadOnly", Some(900))), 900, "what was asked");
    let lead = person(&["engineering", "leads"]);
    assert_eq!(secs(permit(&lead, "111122223333/ReadOnly", Some(43_200))), 43_200, "the better rule");
    assert_eq!(permit(&lead, "111122223333/ReadOnly", None).unwrap().rule(), "leads");
    let admin = person(&["aws-444455556666-Admin"]);
    assert_eq!(secs(permit(&admin, "444455556666/Admin", None)), 1_800, "the role's default");
    for (left, expected) in [(7_200, 7_200), (900, 900)] {
        let ending = session_ends_in(engineer.clone(), left);
        assert_eq!(i64::from(secs(permit(&ending, "111122223333/ReadOnly", Some(43_200)))), expected);
    }
    for left in [899, 0, -1, -100_000] {
        let denied = permit(&session_ends_in(engineer.clone(), left), "111122223333/ReadOnly", None).unwrap_err();
        assert_eq!(denied.code(), "idp-session-ending", "{left}");
    }
}

#[test]
fn a_permit_carries_the_person_into_cloudtrail() {
    let person = with(with(person(&["leads"]), "department", &["R&D"]), "level", &["3", "4"]);
    let permit_of = |person: &VerifiedIdentity| permit(person, "111122223333/ReadOnly", None).unwrap();
    let tags = |person: &VerifiedIdentity| {
        let permit = permit_of(person);
        permit.session_tags().iter().map(|tag| format!("{}={}", tag.key, tag.value)).collect::<Vec<_>>()
    };
    let permit = permit_of(&person);
    assert_eq!(permit.session_name().as_str(), "asha@corp.example");
    assert_eq!(permit.source_identity().as_str(), "asha@corp.example");
    assert_eq!(permit.role().to_string(), "arn:aws:iam::111122223333:role/ReadOnly");
    assert_eq!(permit.provider().to_string(), "arn:aws:iam::111122223333:saml-provider/rolegate");
    assert_eq!(tags(&person), ["CostCenter=42"], "what AWS refuses and what has two values is left out");
    let plain = with(with(person, "department", &["Research"]), "level", &["3", "3"]);
    assert_eq!(tags(&plain), ["CostCenter=42", "Department=Research", "Level=3"]);
}

#[test]
fn a_denial_says_which_of_the_reasons_it_is() {
    let nobody = person(&[]);
    let code = |person: &VerifiedIdentity, role| permit(person, role, None).unwrap_err().code();
    assert_eq!(code(&nobody, "111122223333/ReadOnly"), "not-granted");
    assert_eq!(code(&nobody, "111122223333/Nothing"), "no-such-role");
    assert_eq!(code(&nobody, "999999999999/ReadOnly"), "no-such-role");
    assert_eq!(code(&person(&["engineering"]), "444455556666/Admin"), "not-granted");
    let mut gone = person(&["engineering"]);
    gone.subject.connector = "gone".parse().unwrap();
    assert_eq!(code(&gone, "111122223333/ReadOnly"), "connector-gone");
    gone.subject.connector = "old".parse().unwrap();
    assert_eq!(code(&gone, "111122223333/ReadOnly"), "connector-disabled");
    assert!(policy().decide(&gone).is_empty());
}

#[test]
fn groups_that_are_known_count_even_when_others_are_missing() {
    let mut partly = person(&["engineering"]);
    partly.groups = Groups::Incomplete { values: vec!["engineering".into()], reason: "overage".into() };
    let policy = policy();
    let decision = policy.decide(&partly);
    assert_eq!((decision.roles().len(), decision.incomplete()), (2, Some("overage")));
    let denied = permit(&partly, "444455556666/Admin", None).unwrap_err();
    assert!(matches!(denied, Denied::NotGranted { groups_incomplete: true, .. }));
}

#[test]
fn an_explanation_says_why_and_why_not() {
    let person = with(person(&["engineering", "web-testers", "aws-111122223333-Admin"]), "department", &["Sales"]);
    let text = |role: Option<&str>| explain(&policy(), &person, role.map(id).as_ref()).to_string();
    insta::assert_snapshot!("explain_everything", text(None));
    insta::assert_snapshot!("explain_yes", text(Some("111122223333/ReadOnly")));
    insta::assert_snapshot!("explain_no", text(Some("444455556666/Admin")));
    assert!(text(Some("111122223333/Admin")).contains("no role Admin in this account"));
    insta::assert_snapshot!("explain_no_such_account", text(Some("999999999999/Admin")));
}
