use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::aws::{ScopeDown, SessionDuration, Source};
use crate::catalog::arbitrary::{self, consistent};
use crate::catalog::toml::parse_text;
use crate::catalog::{
    AccountSelector, Attribute, Catalog, Grant, Pattern, Role, RoleId, RoleSelector, TagSelector, Tags,
};
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
        asserted: None,
        link: None,
        qualifiers: NameIdQualifiers::default(),
        name: Some("Asha".into()),
        email: Some("asha@corp.example".into()),
        groups: Groups::Complete { values: groups.iter().map(ToString::to_string).collect() },
        attributes: Attributes::default(),
        authentication: Authentication {
            instant: Some(now()),
            methods: Vec::new(),
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
    policy().permit(person, Asked { duration: asked, ..Asked::role(id(role).account, id(role).name) }, now())
}

#[test]
fn a_permit_says_which_rule_gave_it_and_by_which_value() {
    let lead = permit(&person(&["engineering", "leads"]), "111122223333/ReadOnly", None).unwrap();
    assert_eq!(lead.rule(), "leads", "the more generous of two");
    assert_eq!(lead.because(), [("connector", "okta"), ("groups", "leads")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    let named = permit(&person(&["aws-1", "aws-444455556666-Admin"]), "444455556666/Admin", None).unwrap();
    assert_eq!(named.because(), [("groups".to_owned(), "aws-444455556666-Admin".to_owned())]);
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
    let Means::Federated(Federation::Saml(provider)) = permit.means() else { panic!("{:?}", permit.means()) };
    assert_eq!(provider.to_string(), "arn:aws:iam::111122223333:saml-provider/rolegate");
    assert_eq!(tags(&person), ["CostCenter=42"], "what AWS refuses and what has two values is left out");
    let plain = with(with(person, "department", &["Research"]), "level", &["3", "3"]);
    assert_eq!(tags(&plain), ["CostCenter=42", "Department=Research", "Level=3"]);
}

#[test]
fn sts_is_called_where_the_role_says_else_the_account() {
    let text = CATALOG
        .replacen("name = \"Payments production\"", "name = \"Payments production\"\nregion = \"eu-west-1\"", 1)
        .replacen("name = \"teams/Deploy\"", "name = \"teams/Deploy\"\nregion = \"eu-central-1\"", 1);
    let policy = Policy::compile(catalog(&text));
    let region = |role: &str| {
        let permit =
            policy.permit(&person(&["leads", "engineering"]), Asked::role(id(role).account, id(role).name), now());
        permit.unwrap().region().map(ToString::to_string)
    };
    assert_eq!(region("111122223333/ReadOnly").as_deref(), Some("eu-west-1"));
    assert_eq!(region("111122223333/teams/Deploy").as_deref(), Some("eu-central-1"));
    assert_eq!(region("444455556666/ReadOnly"), None);
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

/// What a decision comes to: for each role the longest session and the rules that give it.
type Outcome = BTreeMap<RoleId, (SessionDuration, BTreeSet<String>)>;

fn outcome(decision: &Decision) -> Outcome {
    decision
        .roles()
        .map(|access| {
            let rules = access.reasons().iter().map(|reason| reason.rule.id.to_string()).collect();
            (access.id(), (access.max_session(), rules))
        })
        .collect()
}

/// The rules read literally: every rule, condition, value, grant and role, one after the other.
fn reference(catalog: &Catalog, identity: &VerifiedIdentity) -> Outcome {
    let mut outcome = Outcome::new();
    if !catalog.connector(&identity.subject.connector).is_some_and(|connector| connector.enabled) {
        return outcome;
    }
    for rule in catalog.rules() {
        let holds = |attribute: &Attribute, patterns: &[Pattern]| {
            attribute.values(identity).any(|value| patterns.iter().any(|pattern| plainly_matches(pattern, value)))
        };
        if !rule.when.iter().all(|(attribute, any)| holds(attribute, any.patterns())) {
            continue;
        }
        for role in catalog.roles() {
            if !rule.grants.iter().any(|grant| plainly_gives(catalog, rule, grant, role, identity)) {
                continue;
            }
            let limit = role.max_session.min(rule.max_session.unwrap_or(SessionDuration::MAX));
            let (longest, rules) = outcome.entry(role.id()).or_insert((limit, BTreeSet::new()));
            *longest = limit.max(*longest);
            rules.insert(rule.id.to_string());
        }
    }
    outcome
}

fn plainly_matches(pattern: &Pattern, value: &str) -> bool {
    match pattern {
        Pattern::Exact(text) => text == value,
        Pattern::Glob(glob) => {
            let (glob, value): (Vec<char>, Vec<char>) = (glob.as_str().chars().collect(), value.chars().collect());
            globs(&glob, &value)
        }
        Pattern::Matches(expression) => {
            let whole = regex::Regex::new(&format!("^(?:{})$", expression.as_str())).unwrap();
            whole.is_match(value)
        }
    }
}

fn globs(glob: &[char], value: &[char]) -> bool {
    match (glob, value) {
        ([], []) => true,
        (['*', rest @ ..], _) => globs(rest, value) || (!value.is_empty() && globs(glob, &value[1..])),
        (['?', glob @ ..], [_, value @ ..]) => globs(glob, value),
        ([one, glob @ ..], [other, value @ ..]) => one == other && globs(glob, value),
        _ => false,
    }
}

fn plainly_gives(
    catalog: &Catalog,
    rule: &crate::catalog::Rule,
    grant: &Grant,
    role: &Role,
    identity: &VerifiedIdentity,
) -> bool {
    let tagged = |tags: &Tags, wanted: &TagSelector| {
        wanted.iter().all(|(key, values)| values.iter().any(|value| tags.get(key) == Some(value)))
    };
    let account = catalog.account(role.account).unwrap();
    let fits = |account_text: Option<&str>, role_text: Option<&str>| {
        let account_fits = match (&grant.account, account_text) {
            (AccountSelector::Any, _) => true,
            (AccountSelector::Ids(ids), _) => ids.contains(&role.account),
            (AccountSelector::Captured(_), text) => text == Some(role.account.as_str()),
        };
        let role_fits = match (&grant.role, role_text) {
            (RoleSelector::Any, _) => true,
            (RoleSelector::Names(names), _) => names.contains(&role.name),
            (RoleSelector::Captured(_), text) => text == Some(role.name.as_str()),
        };
        account_fits && role_fits
    };
    let filled = |value: &str, expression: &str| {
        let whole = regex::Regex::new(&format!("^(?:{expression})$")).unwrap();
        let Some(captured) = whole.captures(value) else { return false };
        let fill = |template: &str| {
            let mut text = template.to_owned();
            for name in whole.capture_names().flatten() {
                if let Some(part) = captured.name(name) {
                    text = text.replace(&format!("{{{name}}}"), part.as_str());
                }
            }
            (!text.contains('{')).then_some(text)
        };
        let account = match &grant.account {
            AccountSelector::Captured(template) => fill(&template.to_string()),
            _ => Some(String::new()),
        };
        let role = match &grant.role {
            RoleSelector::Captured(template) => fill(&template.to_string()),
            _ => Some(String::new()),
        };
        account.is_some() && role.is_some() && fits(account.as_deref(), role.as_deref())
    };
    let selected = if grant.captures().is_empty() {
        fits(None, None)
    } else {
        rule.when.iter().any(|(attribute, any)| {
            any.patterns().iter().any(|pattern| match pattern {
                Pattern::Matches(expression) => {
                    attribute.values(identity).any(|value| filled(value, expression.as_str()))
                }
                _ => false,
            })
        })
    };
    selected && tagged(&account.tags, &grant.account_tags) && tagged(&role.tags, &grant.role_tags)
}

/// Whether `less` gives no role that `more` does not, and none for longer.
fn within(less: &Outcome, more: &Outcome) -> bool {
    less.iter().all(|(role, (longest, rules))| {
        more.get(role).is_some_and(|(also, more_rules)| longest <= also && rules.is_subset(more_rules))
    })
}

fn decide(catalog: &Catalog, person: &VerifiedIdentity) -> Outcome {
    outcome(&Policy::compile(catalog.clone()).decide(person))
}

fn regroup(person: &VerifiedIdentity, change: impl FnOnce(&mut Vec<String>)) -> VerifiedIdentity {
    let mut person = person.clone();
    match &mut person.groups {
        Groups::Complete { values } | Groups::Incomplete { values, .. } => change(values),
    }
    person
}

fn demanding(demand: &str) -> Policy {
    let old = "name = \"teams/Deploy\"\nmax_session = \"2h\"\n";
    assert!(CATALOG.contains(old));
    Policy::compile(catalog(&CATALOG.replace(old, &format!("{old}authentication = {demand}\n"))))
}

#[test]
fn a_role_that_asks_for_a_recent_sign_in_is_denied_to_an_older_one_and_says_what_it_asks() {
    let policy = demanding("{ max_age = \"15m\" }");
    let recognised = |seconds_ago: i64| {
        let mut lead = person(&["leads"]);
        lead.authentication.instant = Some(now() - jiff::SignedDuration::from_secs(seconds_ago));
        lead
    };
    let ask = |person: &VerifiedIdentity, role: &str| {
        policy
            .permit(person, Asked::role(id(role).account, id(role).name), now())
            .map(|permit| permit.duration().as_secs())
    };
    // Fifteen minutes, and three by which the provider's clock may differ from ours.
    assert_eq!(ask(&recognised(1_080), "111122223333/teams/Deploy"), Ok(3_600));
    let denied = ask(&recognised(1_081), "111122223333/teams/Deploy").unwrap_err();
    assert_eq!(denied.code(), "authentication-too-old");
    let Denied::StepUp { role, demand, .. } = &denied else { panic!("{denied}") };
    assert_eq!(*role, id("111122223333/teams/Deploy"));
    assert_eq!(demand.max_age, Some(std::time::Duration::from_secs(900)));
    assert!(denied.to_string().contains("no longer than 900 s ago"), "{denied}");
    assert!(ask(&recognised(99_999), "111122223333/ReadOnly").is_ok(), "other roles ask for nothing");

    let mut silent = recognised(0);
    silent.authentication.instant = None;
    assert_eq!(ask(&silent, "111122223333/teams/Deploy").unwrap_err().code(), "authentication-age-unknown");
    let stranger = person(&[]);
    assert_eq!(ask(&stranger, "111122223333/teams/Deploy").unwrap_err().code(), "not-granted", "no hint to strangers");
}

#[test]
fn a_role_that_asks_for_a_strong_sign_in_takes_any_of_what_it_names_and_nothing_else() {
    let policy = demanding("{ contexts = [\"urn:mfa\", \"urn:phr\"], methods = [\"hwk\", \"fido\"] }");
    let role = id("111122223333/teams/Deploy");
    let code = |context: Option<&str>, methods: &[&str]| {
        let mut lead = person(&["leads"]);
        lead.authentication.context_class = context.map(str::to_owned);
        lead.authentication.methods = methods.iter().map(ToString::to_string).collect();
        policy.permit(&lead, Asked::role(role.account, role.name.clone()), now()).err().map(|denied| denied.code())
    };
    assert_eq!(code(Some("urn:phr"), &["pwd", "fido"]), None);
    assert_eq!(code(Some("urn:password"), &["fido"]), Some("authentication-context-weak"));
    assert_eq!(code(None, &["fido"]), Some("authentication-context-weak"));
    assert_eq!(code(Some("urn:mfa"), &["pwd"]), Some("authentication-method-weak"));
    assert_eq!(code(Some("urn:mfa"), &[]), Some("authentication-method-weak"));
}

#[test]
fn what_a_role_asks_for_is_part_of_the_decision_and_of_its_explanation() {
    let policy = demanding("{ max_age = \"15m\", methods = \"mfa\" }");
    let lead = person(&["leads"]);
    let role = id("111122223333/teams/Deploy");
    let decision = policy.decide(&lead);
    let access = decision.role(role.account, &role.name).unwrap();
    assert_eq!(access.demand().unwrap().methods, ["mfa"]);
    assert_eq!(access.unmet(&lead.authentication, now()).unwrap().code(), "authentication-method-weak");
    let explanation = explain(&policy, &lead, Some(&role));
    assert!(explanation.permitted(), "the rules grant it");
    let text = explanation.to_string();
    assert!(
        text.contains("It asks for a person recognised no longer than 900 s ago, with one of [\"mfa\"];"),
        "{text}"
    );
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(json["permitted"][0]["authentication"]["max_age_s"], 900);
    let plain = explain(&policy, &lead, Some(&id("111122223333/ReadOnly")));
    assert!(!plain.to_string().contains("It asks for"), "{plain}");
}

#[test]
fn terms_are_equal_only_if_nothing_a_permit_says_differs() {
    let policy = policy();
    let person = person(&["engineering"]);
    let asked = || Asked {
        duration: Some("1h".parse().unwrap()),
        ..Asked::role("111122223333".parse().unwrap(), "ReadOnly".parse().unwrap())
    };
    let terms =
        |person: &VerifiedIdentity, asked: Asked, now| policy.permit(person, asked, now).unwrap().terms().clone();
    let base = terms(&person, asked(), now());
    let later = now() + jiff::SignedDuration::from_mins(5);
    assert_eq!(terms(&person, asked(), later), base, "time alone changes nothing");
    let others = [
        terms(&person, Asked { duration: Some("2h".parse().unwrap()), ..asked() }, now()),
        terms(&person, Asked { region: Some("eu-west-1".parse().unwrap()), ..asked() }, now()),
        terms(&person, Asked { scope_down: ScopeDown { read_only: true, ..ScopeDown::default() }, ..asked() }, now()),
        terms(
            &VerifiedIdentity {
                subject: SubjectId { value: "other".into(), ..person.subject.clone() },
                ..person.clone()
            },
            asked(),
            now(),
        ),
        terms(&VerifiedIdentity { email: Some("other@corp.example".into()), ..person.clone() }, asked(), now()),
        terms(&session_ends_in(person.clone(), 7_200), asked(), now()),
    ];
    for (at, other) in others.iter().enumerate() {
        assert_ne!(*other, base, "{at}");
    }
    // What is left of the provider's session shrinks; that it ends then, and what was asked, does not.
    let ending = session_ends_in(person.clone(), 3_000);
    assert_eq!(terms(&ending, asked(), now()), terms(&ending, asked(), later));
    assert_ne!(terms(&ending, asked(), now()), terms(&session_ends_in(person, 3_060), asked(), now()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_decision_is_what_the_rules_literally_say(catalog in arbitrary::catalog(), person in arbitrary::person()) {
        prop_assert_eq!(decide(&catalog, &person), reference(&catalog, &person));
    }

    #[test]
    fn an_explanation_agrees_with_the_decision(catalog in arbitrary::catalog(), person in arbitrary::person()) {
        let policy = Policy::compile(catalog.clone());
        let outcome = outcome(&policy.decide(&person));
        let explanation = explain(&policy, &person, None);
        let explained: BTreeMap<RoleId, SessionDuration> =
            explanation.permitted.iter().map(|one| (one.role.clone(), one.max_session)).collect();
        prop_assert_eq!(explained, outcome.iter().map(|(role, (max, _))| (role.clone(), *max)).collect());
        if explanation.refused.is_none() {
            for rule in &explanation.rules {
                prop_assert_eq!(rule.matches, rule.conditions.iter().all(|one| one.met_by.is_some()), "{:?}", rule);
            }
        }
        for role in catalog.roles() {
            let about = explain(&policy, &person, Some(&role.id()));
            let granting: BTreeSet<String> = about
                .rules
                .iter()
                .filter(|rule| rule.asked == Some(Bearing::Grants))
                .map(|rule| rule.rule.clone())
                .collect();
            prop_assert_eq!(about.permitted(), outcome.contains_key(&role.id()));
            prop_assert_eq!(granting, outcome.get(&role.id()).map(|(_, rules)| rules.clone()).unwrap_or_default());
        }
    }

    #[test]
    fn losing_a_group_never_gains_a_role(
        catalog in arbitrary::catalog(), person in arbitrary::person(), which in any::<prop::sample::Index>()
    ) {
        let fewer = regroup(&person, |groups| {
            if !groups.is_empty() {
                groups.remove(which.index(groups.len()));
            }
        });
        prop_assert!(within(&decide(&catalog, &fewer), &decide(&catalog, &person)));
    }

    #[test]
    fn removing_a_rule_or_a_role_never_gains_a_role(
        catalog in arbitrary::catalog(), person in arbitrary::person(), which in any::<prop::sample::Index>()
    ) {
        let before = decide(&catalog, &person);
        let mut without_rule = catalog.clone().into_parts();
        if !without_rule.rules.is_empty() {
            without_rule.rules.remove(which.index(without_rule.rules.len()));
        }
        prop_assert!(within(&decide(&consistent(without_rule), &person), &before));
        let mut without_role = catalog.into_parts();
        if !without_role.roles.is_empty() {
            without_role.roles.remove(which.index(without_role.roles.len()));
        }
        prop_assert!(within(&decide(&consistent(without_role), &person), &before));
    }

    #[test]
    fn the_order_of_groups_is_irrelevant_and_so_is_repetition(
        catalog in arbitrary::catalog(), person in arbitrary::person()
    ) {
        let policy = Policy::compile(catalog);
        let other = regroup(&person, |groups| {
            groups.reverse();
            groups.extend(groups.clone());
        });
        let (one, two) = (policy.decide(&person), policy.decide(&other));
        prop_assert_eq!(outcome(&one), outcome(&two));
        for (one, two) in one.roles().zip(two.roles()) {
            prop_assert_eq!(one.reasons(), two.reasons());
            prop_assert_eq!(&one.rule().id, &two.rule().id);
        }
    }

    #[test]
    fn no_permit_exceeds_any_bound(
        catalog in arbitrary::catalog(),
        person in arbitrary::person(),
        asked in proptest::option::of(900_u32..=43_200),
        left in proptest::option::of(-100_i64..50_000),
    ) {
        let person = left.map_or(person.clone(), |left| session_ends_in(person, left));
        let policy = Policy::compile(catalog.clone());
        let allowed = reference(&catalog, &person);
        let asked = asked.map(|seconds| SessionDuration::from_secs(seconds).unwrap());
        for role in catalog.roles() {
            match policy.permit(&person, Asked { duration: asked, ..Asked::role(role.account, role.name.clone()) }, now()) {
                Ok(permit) => {
                    let (longest, rules) = &allowed[&role.id()];
                    prop_assert!(permit.duration() <= *longest);
                    prop_assert!(permit.duration() <= role.max_session);
                    prop_assert!(permit.duration() <= asked.unwrap_or(role.default_session()));
                    prop_assert!(left.is_none_or(|left| i64::from(permit.duration().as_secs()) <= left));
                    prop_assert!(rules.contains(permit.rule()));
                    prop_assert_eq!(permit.role().role(), &role.name);
                    let demand = role.authentication.clone().unwrap_or_default();
                    let skew = jiff::SignedDuration::from_mins(10);
                    prop_assert!(demand.unmet(&person.authentication, now(), skew).is_none());
                }
                Err(Denied::StepUp { demand, .. }) => {
                    prop_assert!(allowed.contains_key(&role.id()));
                    prop_assert_eq!(Some(&*demand), role.authentication.as_ref());
                }
                // Who asks for it from elsewhere than a lock allows has no session that is not locked out at once.
                Err(Denied::Limits { .. }) => prop_assert!(allowed.contains_key(&role.id())),
                Err(Denied::IdpSessionEnding { .. }) => prop_assert!(left.is_some_and(|left| left < 900)),
                Err(_) => prop_assert!(!allowed.contains_key(&role.id())),
            }
        }
    }
}

fn limited(policy: &Policy, asked: Asked) -> (String, Vec<Source>, Option<String>) {
    let permit = policy.permit(&person(&["leads", "engineering"]), asked, now()).unwrap();
    let sources = permit.limits().iter().map(|limit| limit.from).collect();
    (permit.rule().to_owned(), sources, permit.session_policy().inline().map(str::to_owned))
}

fn read_payments(duration: &str) -> Asked {
    let duration = (!duration.is_empty()).then(|| duration.parse().unwrap());
    Asked { duration, ..Asked::role("111122223333".parse().unwrap(), "ReadOnly".parse().unwrap()) }
}

#[test]
fn a_rule_that_limits_takes_nothing_away_from_one_that_does_not() {
    let policy = Policy::compile(catalog(&CATALOG.replace(
        "grant = [{ account = \"111122223333\", role = [\"ReadOnly\", \"teams/Deploy\"] }]",
        "grant = [{ account = \"111122223333\", role = [\"ReadOnly\", \"teams/Deploy\"] }]\n\
         scope_down = { regions = [\"eu-west-1\"] }",
    )));
    // `engineers-read-everything` gives four hours without a limit, `leads` twelve with one.
    for (asked, rule, limited_by) in [
        ("", "engineers-read-everything", vec![]),
        ("4h", "engineers-read-everything", vec![]),
        ("5h", "leads", vec![Source::Rule]),
        ("12h", "leads", vec![Source::Rule]),
    ] {
        let (by, sources, inline) = limited(&policy, read_payments(asked));
        assert_eq!((by.as_str(), &sources), (rule, &limited_by), "{asked}");
        assert_eq!(inline.is_some(), !limited_by.is_empty());
    }
    let both = person(&["leads", "engineering"]);
    let decision = policy.decide(&both);
    let access = decision.role("111122223333".parse().unwrap(), &"ReadOnly".parse().unwrap()).unwrap();
    assert_eq!(access.max_session().as_secs(), 43_200);
    let tiers: Vec<(u32, String)> =
        access.tiers().iter().map(|(up_to, rule)| (up_to.as_secs(), rule.id.to_string())).collect();
    assert_eq!(tiers, [(14_400, "engineers-read-everything".to_owned()), (43_200, "leads".to_owned())]);
    let text = explain(&policy, &both, Some(&id("111122223333/ReadOnly"))).to_string();
    assert!(text.contains("Every session longer than 4h is limited by the rule leads: only in eu-west-1."), "{text}");
    assert!(text.contains("rule leads: grants it, only in eu-west-1"), "{text}");
    // Who has only the rule that limits has its limit.
    let lead = person(&["leads"]);
    let permit = policy.permit(&lead, read_payments(""), now()).unwrap();
    assert_eq!((permit.rule(), permit.limits()[0].from), ("leads", Source::Rule));
}

#[test]
fn what_role_rule_and_asker_want_holds_all_at_once() {
    let role = "max_session = \"12h\"\nsession_tags";
    let text = CATALOG.replace(role, &format!("scope_down = {{ read_only = true }}\n{role}")).replace(
        "grant = [{ account = \"*\", role = \"ReadOnly\" }]",
        "grant = [{ account = \"*\", role = \"ReadOnly\" }]\nscope_down = { regions = [\"eu-west-1\", \"us-east-1\"] }",
    );
    let policy = Policy::compile(catalog(&text));
    let wish = ScopeDown { regions: ["us-east-1".parse().unwrap()].into(), from_here: true, ..ScopeDown::default() };
    let asked = || Asked { scope_down: wish.clone(), address: Some([203, 0, 113, 7].into()), ..read_payments("1h") };
    let engineer = person(&["engineering"]);
    let permit = policy.permit(&engineer, asked(), now()).unwrap();
    let sources: Vec<Source> = permit.limits().iter().map(|limit| limit.from).collect();
    assert_eq!(sources, [Source::Role, Source::Rule, Source::Asked]);
    assert_eq!(permit.session_policy().arns()[0].as_str(), "arn:aws:iam::aws:policy/ReadOnlyAccess");
    let inline = permit.session_policy().inline().unwrap();
    assert!(inline.contains(r#""aws:RequestedRegion":"us-east-1""#) && !inline.contains("eu-west-1"), "{inline}");
    assert!(inline.contains(r#""aws:SourceIp":"203.0.113.7""#), "{inline}");

    let elsewhere = ScopeDown { regions: ["eu-north-1".parse().unwrap()].into(), ..ScopeDown::default() };
    let denied = policy.permit(&engineer, Asked { scope_down: elsewhere, ..asked() }, now()).unwrap_err();
    assert_eq!(denied.code(), "scope-down");
    assert_eq!(
        denied.to_string(),
        "a session of 111122223333/ReadOnly cannot be limited like this: no region is left: the limit of the rule that \
         grants it and what you ask for have none in common"
    );
    let unknown = policy.permit(&engineer, Asked { address: None, ..asked() }, now()).unwrap_err();
    assert!(unknown.to_string().contains("the address you ask from is not known here"), "{unknown}");
    // Credentials for one address are not those for another.
    let there = policy.permit(&engineer, Asked { address: Some([203, 0, 113, 8].into()), ..asked() }, now()).unwrap();
    assert_ne!(there.terms(), permit.terms());
}

#[test]
fn a_tag_that_goes_along_says_so() {
    let policy = Policy::compile(catalog(
        &CATALOG
            .replace("Department = \"department\",", "Department = { attribute = \"department\", transitive = true },"),
    ));
    let lead = with(person(&["leads"]), "department", &["Core"]);
    let permit = policy.permit(&lead, read_payments(""), now()).unwrap();
    let along: Vec<(&str, bool)> = permit.session_tags().iter().map(|tag| (tag.key.as_str(), tag.transitive)).collect();
    assert_eq!(along, [("CostCenter", false), ("Department", true)]);
    let text = explain(&policy, &lead, Some(&id("111122223333/ReadOnly"))).to_string();
    assert!(
        text.contains("The session tag Department is sent as `Core`, and goes along to further roles.\n")
            && text.contains("The session tag CostCenter is sent as `42`.\n")
            && text.contains("The session tag Level is not sent: the person has no value for it.\n"),
        "{text}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_session_is_limited_by_its_rule_only_where_no_rule_gives_as_long_a_one_without(
        catalog in arbitrary::catalog(), person in arbitrary::person(), asked in 900_u32..=43_200,
    ) {
        let policy = Policy::compile(catalog.clone());
        let allowed = reference(&catalog, &person);
        let duration = SessionDuration::from_secs(asked).unwrap();
        for role in catalog.roles() {
            let asked = Asked {
                duration: Some(duration),
                address: Some([203, 0, 113, 7].into()),
                ..Asked::role(role.account, role.name.clone())
            };
            let Ok(permit) = policy.permit(&person, asked, now()) else { continue };
            let (longest, rules) = &allowed[&role.id()];
            let wanted = duration.min(*longest);
            let free = rules.iter().any(|rule| {
                let rule = catalog.rule(rule).unwrap();
                rule.scope_down.is_empty() && rule.max_session.unwrap_or(SessionDuration::MAX) >= wanted
            });
            let by_rule = permit.limits().iter().any(|limit| limit.from == Source::Rule);
            prop_assert_eq!(by_rule, !free);
            prop_assert_eq!(
                permit.limits().iter().any(|limit| limit.from == Source::Role),
                !role.scope_down.is_empty()
            );
            prop_assert!(permit.session_policy().is_none() == permit.limits().is_empty());
        }
    }
}
