use proptest::prelude::*;

use super::*;
use crate::sandbox::World;

/// Two accounts; roles are named for what their trust policies name.
const COMPANY: &str = r#"
company = "Test"
person = []

[trust]
user = '{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:user/p/ana"},"Action":"sts:AssumeRole"}}'
role = '{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:role/Caller"},"Action":"sts:AssumeRole"}}'
session = '{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:sts::111111111111:assumed-role/Caller/one"},"Action":"sts:AssumeRole"}}'
federated = '{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:sts::111111111111:federated-user/fred"},"Action":"sts:AssumeRole"}}'
account = '{"Statement":{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"sts:AssumeRole"}}'
root = '{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":"sts:AssumeRole"}}'
everyone = '{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}'
nobody = '{"Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}}'
external = '{"Statement":{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"x1"}}}}'
itself = '{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:role/Itself"},"Action":"sts:AssumeRole"}}'
denies = '{"Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:*"},{"Sid":"NotAna","Effect":"Deny","Principal":{"AWS":"arn:aws:iam::111111111111:user/p/ana"},"Action":"sts:AssumeRole"}]}'
all-actions = '{"Statement":{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity","sts:SetContext"]}}'
tags = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":["sts:AssumeRole","sts:TagSession"],"Condition":{"StringEquals":{"aws:ResourceTag/team":"${aws:RequestTag/team}"}}}}'

[policy.AssumeAnything]
document = '{"Statement":{"Sid":"Go","Effect":"Allow","Action":"sts:*","Resource":"arn:aws:iam::*:role/*"}}'
[policy.OnlyS3]
document = '{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}'
[policy.NoAssuming]
document = '{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"Never","Effect":"Deny","Action":"sts:AssumeRole","Resource":"*"}]}'

[role.Caller]
description = ""
max_session = "1h"
trust = "everyone"
[role.Allowed]
description = ""
max_session = "1h"
trust = "everyone"
policies = ["AssumeAnything"]
tags = { team = "red", site = "a" }
[role.Bounded]
description = ""
max_session = "1h"
trust = "everyone"
policies = ["AssumeAnything"]
boundary = "OnlyS3"
[role.Forbidden]
description = ""
max_session = "1h"
trust = "everyone"
policies = ["NoAssuming"]
[role.Itself]
description = ""
max_session = "1h"
trust = "itself"
policies = ["AssumeAnything"]
"#;

fn company() -> String {
    let mut text = COMPANY.to_owned();
    let trusts = [
        "user",
        "role",
        "session",
        "federated",
        "account",
        "root",
        "everyone",
        "nobody",
        "external",
        "denies",
        "all-actions",
        "tags",
    ];
    for trust in trusts {
        text.push_str(&format!(
            "[role.\"to/{trust}\"]\ndescription = \"\"\nmax_session = \"1h\"\ntrust = \"{trust}\"\n\
             tags = {{ team = \"red\" }}\n"
        ));
    }
    let targets: Vec<String> = trusts.iter().map(|trust| format!("\"to/{trust}\"")).collect();
    text.push_str(&format!(
        "[[account]]\nid = \"111111111111\"\nname = \"A\"\nroles = [\"Caller\", \"Allowed\", \"Bounded\", \"Forbidden\", \
         \"Itself\", {targets}]\n[[account]]\nid = \"222222222222\"\nname = \"B\"\nroles = [{targets}]\n",
        targets = targets.join(", ")
    ));
    text.push_str(
        "[[user]]\naccount = \"111111111111\"\nname = \"p/ana\"\ntags = { team = \"red\" }\n\
         [[user]]\naccount = \"111111111111\"\nname = \"bea\"\npolicies = [\"AssumeAnything\"]\n\
         [[user]]\naccount = \"111111111111\"\nname = \"cyd\"\npolicies = [\"AssumeAnything\"]\nboundary = \"OnlyS3\"\n",
    );
    text
}

fn iam() -> Iam {
    World::from_toml(&company())
        .unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)))
        .iam()
        .clone()
}

const NOW: &str = "2026-11-21T12:00:00Z";

fn facts() -> SessionFacts {
    SessionFacts {
        issued_at: "2026-11-21T11:00:00Z".parse().unwrap(),
        mfa_at: None,
        tags: BTreeMap::new(),
        transitive_tag_keys: Vec::new(),
        source_identity: None,
        federation: BTreeMap::new(),
        policies: SessionPolicies::default(),
    }
}

fn account(a: &str) -> AccountId {
    a.parse().unwrap()
}

fn user(iam: &Iam, name: &str) -> Bearer {
    Bearer { principal: iam.user_named(account("111111111111"), name).unwrap().principal(), session: None }
}

fn session(iam: &Iam, role: &str, name: &str) -> Bearer {
    let role = iam.role(&format!("arn:aws:iam::111111111111:role/{role}").parse().unwrap()).unwrap();
    let principal = Principal::Session { role: role.arn.clone(), role_id: role.role_id.clone(), name: name.to_owned() };
    Bearer { principal, session: Some(facts()) }
}

fn federated(iam: &Iam, by: &str) -> Bearer {
    let user = iam.user_named(account("111111111111"), by).unwrap();
    let principal = Principal::FederatedUser {
        partition: Partition::Aws,
        account: user.account,
        name: "fred".to_owned(),
        by: Some((user.name.clone(), user.user_id.clone())),
    };
    Bearer { principal, session: Some(facts()) }
}

fn root() -> Bearer {
    let principal = Principal::Root { partition: Partition::Aws, account: account("111111111111") };
    Bearer { principal, session: None }
}

fn with_policy(mut bearer: Bearer, policy: &str) -> Bearer {
    let session = bearer.session.get_or_insert_with(facts);
    session.policies = SessionPolicies { inline: Some(policy.to_owned()), arns: Vec::new() };
    bearer
}

fn wire() -> Context {
    Wire {
        now: NOW.parse().unwrap(),
        source_ip: Some("192.0.2.7".parse().unwrap()),
        secure_transport: true,
        user_agent: Some("test"),
        referer: None,
        region: "eu-west-1",
    }
    .context()
}

static NO_TAGS: BTreeMap<String, String> = BTreeMap::new();

fn asked(role: &RoleArn) -> Assumption<'_> {
    Assumption {
        way: Way::Role,
        role,
        session_name: "s",
        external_id: None,
        tags: &NO_TAGS,
        transitive_tag_keys: &[],
        source_identity: None,
        mfa: false,
        provided_contexts: false,
        context: wire(),
    }
}

fn target(account: &str, trust: &str) -> RoleArn {
    format!("arn:aws:iam::{account}:role/to/{trust}").parse().unwrap()
}

#[track_caller]
fn try_it(iam: &Iam, bearer: &Bearer, role: &RoleArn) -> Option<Denial> {
    let explanation = assume(iam, bearer, &asked(role));
    assert_eq!(explanation.answers.len(), 1);
    explanation.answers[0].denial
}

const HOME: &str = "111111111111";
const AWAY: &str = "222222222222";

#[test]
fn who_must_allow_depends_on_account_and_on_how_the_trust_policy_names_the_caller() {
    let iam = iam();
    let needs_identity = Some(Denial::Implicit(PolicyType::Identity));
    let not_trusted = Some(Denial::Implicit(PolicyType::Trust));
    let by_boundary = Some(Denial::Implicit(PolicyType::Boundary));
    for (who, bearer, where_, trust, expected) in [
        // The same account: whoever is named needs nothing else.
        ("ana", user(&iam, "ana"), HOME, "user", None),
        ("Caller", session(&iam, "Caller", "one"), HOME, "role", None),
        ("Caller/one", session(&iam, "Caller", "one"), HOME, "session", None),
        ("Caller/two", session(&iam, "Caller", "two"), HOME, "session", not_trusted),
        ("ana", user(&iam, "ana"), HOME, "everyone", None),
        ("Caller", session(&iam, "Caller", "one"), HOME, "everyone", None),
        // The account: only with permission of one's own.
        ("ana", user(&iam, "ana"), HOME, "account", needs_identity),
        ("ana", user(&iam, "ana"), HOME, "root", needs_identity),
        ("bea", user(&iam, "bea"), HOME, "account", None),
        ("bea", user(&iam, "bea"), HOME, "root", None),
        ("Caller", session(&iam, "Caller", "one"), HOME, "account", needs_identity),
        ("Allowed", session(&iam, "Allowed", "one"), HOME, "account", None),
        // Another account: always with permission of one's own.
        ("ana", user(&iam, "ana"), AWAY, "user", needs_identity),
        ("ana", user(&iam, "ana"), AWAY, "everyone", needs_identity),
        ("bea", user(&iam, "bea"), AWAY, "everyone", None),
        ("bea", user(&iam, "bea"), AWAY, "account", None),
        ("Caller/one", session(&iam, "Caller", "one"), AWAY, "session", needs_identity),
        ("Caller", session(&iam, "Caller", "one"), AWAY, "role", needs_identity),
        // Nobody is let in by permission alone.
        ("bea", user(&iam, "bea"), HOME, "nobody", not_trusted),
        ("bea", user(&iam, "bea"), AWAY, "user", not_trusted),
        // A boundary limits whoever is not named in person.
        ("cyd", user(&iam, "cyd"), HOME, "account", by_boundary),
        ("cyd", user(&iam, "cyd"), AWAY, "everyone", by_boundary),
        ("cyd", user(&iam, "cyd"), HOME, "everyone", by_boundary),
        ("Bounded", session(&iam, "Bounded", "one"), HOME, "everyone", by_boundary),
        // A Deny counts wherever it stands, also where nobody else is asked.
        (
            "Forbidden",
            session(&iam, "Forbidden", "one"),
            HOME,
            "everyone",
            Some(Denial::Explicit(PolicyType::Identity)),
        ),
        ("ana", user(&iam, "ana"), HOME, "denies", Some(Denial::Explicit(PolicyType::Trust))),
        ("bea", user(&iam, "bea"), HOME, "denies", None),
        // Root is refused before anything is evaluated.
        ("root", root(), HOME, "everyone", Some(Denial::Root)),
        ("root", root(), HOME, "root", Some(Denial::Root)),
        // Federated users, of whom trust policies may name one.
        ("fred", federated(&iam, "ana"), HOME, "federated", None),
        ("fred", federated(&iam, "ana"), AWAY, "federated", needs_identity),
        ("fred", federated(&iam, "bea"), HOME, "account", Some(Denial::Implicit(PolicyType::Session))),
    ] {
        assert_eq!(try_it(&iam, &bearer, &target(where_, trust)), expected, "{who} to {trust} in {where_}");
    }
}

#[test]
fn a_session_policy_limits_a_role_that_is_named_but_not_a_session_that_is() {
    let iam = iam();
    let only_s3 = r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
    let bearer = with_policy(session(&iam, "Caller", "one"), only_s3);
    assert_eq!(try_it(&iam, &bearer, &target(HOME, "session")), None);
    assert_eq!(try_it(&iam, &bearer, &target(HOME, "role")), Some(Denial::Implicit(PolicyType::Session)));
    let never = r#"{"Statement":[{"Effect":"Deny","Action":"sts:AssumeRole","Resource":"*"}]}"#;
    let bearer = with_policy(session(&iam, "Caller", "one"), never);
    assert_eq!(try_it(&iam, &bearer, &target(HOME, "session")), Some(Denial::Explicit(PolicyType::Session)));
    let enough = r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::111111111111:role/to/*"}}"#;
    let bearer = with_policy(session(&iam, "Caller", "one"), enough);
    assert_eq!(try_it(&iam, &bearer, &target(HOME, "role")), None);
}

#[test]
fn a_role_assumes_itself_only_if_its_trust_policy_names_it() {
    let iam = iam();
    let arn = |role: &str| -> RoleArn { format!("arn:aws:iam::111111111111:role/{role}").parse().unwrap() };
    assert_eq!(try_it(&iam, &session(&iam, "Itself", "one"), &arn("Itself")), None);
    assert_eq!(try_it(&iam, &session(&iam, "Allowed", "one"), &arn("Allowed")), Some(Denial::SelfNotNamed));
}

#[test]
fn a_missing_role_and_a_wrong_external_id_are_refused() {
    let iam = iam();
    let bearer = user(&iam, "bea");
    assert_eq!(try_it(&iam, &bearer, &target(HOME, "gone")), Some(Denial::NoSuchRole));
    let china: RoleArn = "arn:aws-cn:iam::111111111111:role/to/everyone".parse().unwrap();
    assert_eq!(try_it(&iam, &bearer, &china), Some(Denial::OtherPartition));
    let role = target(AWAY, "external");
    for (id, expected) in [
        (None, Some(Denial::Implicit(PolicyType::Trust))),
        (Some("x2"), Some(Denial::Implicit(PolicyType::Trust))),
        (Some("x1"), None),
    ] {
        let explanation = assume(&iam, &bearer, &Assumption { external_id: id, ..asked(&role) });
        assert_eq!(explanation.answers[0].denial, expected, "{id:?}");
    }
}

#[test]
fn every_action_a_call_amounts_to_must_be_allowed_and_the_first_that_is_not_is_named() {
    let iam = iam();
    let tags: BTreeMap<String, String> = [("Team".to_owned(), "red".to_owned())].into();
    let plain = target(AWAY, "account");
    let all = target(AWAY, "all-actions");
    let refused = |bearer: &Bearer, asked: &Assumption<'_>| {
        assume(&iam, bearer, asked).denied().map(|answer| answer.action.clone())
    };
    let bearer = user(&iam, "bea");
    let tagged = |role| Assumption { tags: &tags, ..asked(role) };
    assert_eq!(refused(&bearer, &tagged(&plain)).as_deref(), Some("sts:TagSession"));
    assert_eq!(refused(&bearer, &tagged(&all)), None);
    let identified = |role| Assumption { source_identity: Some("bea"), ..asked(role) };
    assert_eq!(refused(&bearer, &identified(&plain)).as_deref(), Some("sts:SetSourceIdentity"));
    assert_eq!(refused(&bearer, &identified(&all)), None);
    let contexts = |role| Assumption { provided_contexts: true, ..asked(role) };
    assert_eq!(refused(&bearer, &contexts(&plain)).as_deref(), Some("sts:SetContext"));
    assert_eq!(refused(&bearer, &contexts(&all)), None);

    // What a chain carries along counts as if it were passed.
    let mut carrying = session(&iam, "Allowed", "one");
    let facts = carrying.session.as_mut().unwrap();
    facts.tags = tags.clone();
    assert_eq!(refused(&carrying, &asked(&plain)), None, "a tag that stays behind");
    carrying.session.as_mut().unwrap().transitive_tag_keys = vec!["Team".to_owned()];
    assert_eq!(refused(&carrying, &asked(&plain)).as_deref(), Some("sts:TagSession"));
    assert_eq!(refused(&carrying, &asked(&all)), None);
    let mut known = session(&iam, "Allowed", "one");
    known.session.as_mut().unwrap().source_identity = Some("ana".to_owned());
    assert_eq!(refused(&known, &asked(&plain)).as_deref(), Some("sts:SetSourceIdentity"));
    let explanation = assume(&iam, &known, &asked(&all));
    assert!(explanation.is_allowed());
    let context = &explanation.answers[0].context;
    assert_eq!(context.one("sts:SourceIdentity"), Some("ana"));
    assert_eq!(context.one("aws:SourceIdentity"), Some("ana"));
}

#[test]
fn a_tag_that_a_chain_carries_along_overrides_the_tag_of_the_role() {
    let iam = iam();
    let role = target(HOME, "tags");
    let tried = |value: &str| {
        let mut bearer = session(&iam, "Allowed", "one");
        let facts = bearer.session.as_mut().unwrap();
        facts.tags = [("team".to_owned(), value.to_owned())].into();
        facts.transitive_tag_keys = vec!["team".to_owned()];
        assume(&iam, &bearer, &asked(&role))
    };
    // The role is tagged red; with the carried tag both sides of the condition are blue.
    assert!(tried("blue").is_allowed());
    let passed: BTreeMap<String, String> = [("team".to_owned(), "blue".to_owned())].into();
    let explanation = assume(&iam, &user(&iam, "bea"), &Assumption { tags: &passed, ..asked(&role) });
    assert_eq!(explanation.denied().unwrap().denial, Some(Denial::Implicit(PolicyType::Trust)));
}

#[test]
fn whoever_gets_a_name_later_is_somebody_else() {
    let mut iam = iam();
    let (ana, role) = (user(&iam, "ana"), session(&iam, "Caller", "one"));
    let caller: RoleArn = "arn:aws:iam::111111111111:role/Caller".parse().unwrap();
    let trust_document = iam.role(&caller).unwrap().trust_document.clone();
    let name = UserName::parse("p/ana").unwrap();
    iam.delete_user(account(HOME), &name).unwrap();
    iam.delete_role(&caller).unwrap();
    for bearer in [&ana, &role] {
        assert!(!bearer.is_somebody(&iam));
        assert_eq!(try_it(&iam, bearer, &target(HOME, "everyone")), Some(Denial::NoSuchBearer));
        let explanation = allowed(&iam, bearer, "s3:ListAllMyBuckets", "*", &wire());
        assert_eq!(explanation.answers[0].denial, Some(Denial::NoSuchBearer));
    }
    iam.create_user(Partition::Aws, account(HOME), name, BTreeMap::new()).unwrap();
    let new = super::super::iam::NewRole {
        arn: caller,
        description: String::new(),
        max_session: crate::aws::SessionDuration::HOUR,
        tags: BTreeMap::new(),
        trust_document,
    };
    iam.create_role(new).unwrap();
    assert!(!ana.is_somebody(&iam) && !role.is_somebody(&iam));
    let (again, role_again) = (user(&iam, "ana"), session(&iam, "Caller", "one"));
    assert_eq!(try_it(&iam, &again, &target(HOME, "user")), Some(Denial::Implicit(PolicyType::Trust)));
    assert_eq!(try_it(&iam, &role_again, &target(HOME, "role")), Some(Denial::Implicit(PolicyType::Trust)));
    assert_eq!(try_it(&iam, &role_again, &target(HOME, "session")), None, "a session is named by its ARN alone");

    // IAM shows the id of whoever is gone; written anew, the policy means whoever has the name now.
    let trusting = target(HOME, "role");
    let shown = iam.shown_trust(iam.role(&trusting).unwrap());
    assert!(shown.contains("\"AROA") && !shown.contains(":role/Caller"), "{shown}");
    let document = iam.role(&trusting).unwrap().trust_document.clone();
    iam.update_assume_role_policy(&trusting, &document).unwrap();
    assert_eq!(try_it(&iam, &role_again, &trusting), None);
}

#[test]
fn a_session_may_do_what_role_boundary_and_session_policies_all_allow() {
    let mut iam = iam();
    let caller: RoleArn = "arn:aws:iam::111111111111:role/Caller".parse().unwrap();
    let ask = |iam: &Iam, bearer: &Bearer, action: &str| {
        allowed(iam, bearer, action, "arn:aws:s3:::b/k", &wire()).answers[0].denial
    };
    let bearer = session(&iam, "Caller", "one");
    let none = Some(Denial::Implicit(PolicyType::Identity));
    assert_eq!(ask(&iam, &bearer, "s3:GetObject"), none);
    iam.attach_role_policy(&caller, "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess").unwrap();
    assert_eq!(ask(&iam, &bearer, "s3:GetObject"), None);
    assert_eq!(ask(&iam, &bearer, "s3:PutObject"), none);
    let puts = r#"{"Statement":{"Effect":"Allow","Action":"s3:PutObject","Resource":"*"}}"#;
    iam.put_role_policy(&caller, "Puts", puts).unwrap();
    assert_eq!(ask(&iam, &bearer, "s3:PutObject"), None);
    iam.set_role_boundary(&caller, Some("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")).unwrap();
    assert_eq!(ask(&iam, &bearer, "s3:PutObject"), Some(Denial::Implicit(PolicyType::Boundary)));
    assert_eq!(ask(&iam, &bearer, "s3:GetObject"), None);
    let puts_only = with_policy(bearer.clone(), puts);
    assert_eq!(ask(&iam, &puts_only, "s3:GetObject"), Some(Denial::Implicit(PolicyType::Session)));
    // Several session policies are one: what any of them allows.
    let mut both = puts_only;
    let read = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess".to_owned();
    both.session.as_mut().unwrap().policies.arns.push(read);
    assert_eq!(ask(&iam, &both, "s3:GetObject"), None);
    iam.put_role_policy(&caller, "No", r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#).unwrap();
    let denied = allowed(&iam, &both, "s3:GetObject", "arn:aws:s3:::b/k", &wire());
    let answer = denied.denied().unwrap();
    assert_eq!(answer.denial, Some(Denial::Explicit(PolicyType::Identity)));
    assert_eq!(answer.reason(), "with an explicit deny in an identity-based policy");
    assert_eq!(answer.layers[0].by.as_ref().unwrap().policy, "No");
    iam.delete_role_policy(&caller, "No").unwrap();
    assert_eq!(ask(&iam, &both, "s3:GetObject"), None);
}

#[test]
fn a_federated_user_may_do_what_user_and_session_policies_both_allow() {
    let mut iam = iam();
    let name = UserName::parse("p/ana").unwrap();
    iam.attach_user_policy(account(HOME), &name, "arn:aws:iam::aws:policy/AmazonS3FullAccess").unwrap();
    let ask =
        |bearer: &Bearer, action: &str| allowed(&iam, bearer, action, "arn:aws:s3:::b/k", &wire()).answers[0].denial;
    let bearer = federated(&iam, "ana");
    assert_eq!(ask(&bearer, "s3:GetObject"), Some(Denial::Implicit(PolicyType::Session)));
    let all = with_policy(bearer, r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#);
    assert_eq!(ask(&all, "s3:GetObject"), None);
    assert_eq!(ask(&all, "ec2:RunInstances"), Some(Denial::Implicit(PolicyType::Identity)));
    assert_eq!(ask(&user(&iam, "ana"), "s3:GetObject"), None);
    // Root has everything, and a federated user of root what its session policies say.
    assert_eq!(ask(&root(), "ec2:RunInstances"), None);
    let principal =
        Principal::FederatedUser { partition: Partition::Aws, account: account(HOME), name: "r".to_owned(), by: None };
    let of_root = Bearer { principal, session: Some(facts()) };
    assert_eq!(ask(&of_root, "s3:GetObject"), Some(Denial::Implicit(PolicyType::Session)));
    assert_eq!(
        ask(
            &with_policy(of_root, r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#),
            "s3:GetObject"
        ),
        None
    );
    let nobody = Bearer { principal: Principal::Anonymous, session: None };
    assert_eq!(ask(&nobody, "s3:GetObject"), Some(Denial::Implicit(PolicyType::Identity)));
}

#[test]
fn older_sessions_are_denied_strictly_and_only_those() {
    let mut iam = iam();
    let caller: RoleArn = "arn:aws:iam::111111111111:role/Caller".parse().unwrap();
    iam.attach_role_policy(&caller, "arn:aws:iam::aws:policy/AdministratorAccess").unwrap();
    iam.put_role_policy(
        &caller,
        "AWSRevokeOlderSessions",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["*"],"Resource":["*"],
            "Condition":{"DateLessThan":{"aws:TokenIssueTime":"2026-11-21T11:00:00Z"}}}]}"#,
    )
    .unwrap();
    for (issued, denial) in [
        ("2026-11-21T10:59:59Z", Some(Denial::Explicit(PolicyType::Identity))),
        ("2026-11-21T11:00:00Z", None),
        ("2026-11-21T11:00:01Z", None),
    ] {
        let mut bearer = session(&iam, "Caller", "one");
        bearer.session.as_mut().unwrap().issued_at = issued.parse().unwrap();
        let explanation = allowed(&iam, &bearer, "s3:GetObject", "arn:aws:s3:::b/k", &wire());
        assert_eq!(explanation.answers[0].denial, denial, "{issued}");
        // A revoked session assumes nothing either, also where a trust policy names it.
        let role = target(HOME, "role");
        assert_eq!(try_it(&iam, &bearer, &role), denial, "{issued}");
    }
}

#[test]
fn keys_about_the_caller_are_those_of_the_tables() {
    let mut iam = iam();
    let seen =
        |iam: &Iam, bearer: &Bearer| allowed(iam, bearer, "s3:GetObject", "*", &wire()).answers[0].context.clone();
    let ana = seen(&iam, &user(&iam, "ana"));
    let ana_id = iam.user_named(account(HOME), "ana").unwrap().user_id.clone();
    for (key, value) in [
        ("aws:PrincipalArn", Some("arn:aws:iam::111111111111:user/p/ana")),
        ("aws:PrincipalAccount", Some(HOME)),
        ("aws:PrincipalType", Some("User")),
        ("aws:username", Some("ana")),
        ("aws:userid", Some(ana_id.as_str())),
        ("aws:PrincipalTag/Team", Some("red")),
        // Long-term keys know nothing of these.
        ("aws:MultiFactorAuthPresent", None),
        ("aws:TokenIssueTime", None),
        ("aws:PrincipalOrgID", None),
        ("aws:RequestedRegion", Some("eu-west-1")),
        ("aws:SourceIp", Some("192.0.2.7")),
        ("aws:SecureTransport", Some("true")),
        ("aws:CurrentTime", Some("2026-11-21T12:00:00Z")),
        ("aws:EpochTime", Some("1795262400")),
        ("aws:UserAgent", Some("test")),
        ("aws:ViaAWSService", Some("false")),
        ("aws:PrincipalIsAWSService", Some("false")),
    ] {
        assert_eq!(ana.one(key), value, "{key}");
    }
    let mut bearer = session(&iam, "Allowed", "one");
    {
        let facts = bearer.session.as_mut().unwrap();
        facts.tags = [("team".to_owned(), "blue".to_owned())].into();
        facts.mfa_at = Some("2026-11-21T11:59:00Z".parse().unwrap());
        facts.federation = [("saml:sub".to_owned(), "asha".to_owned())].into();
    }
    let role_id = iam.role(&"arn:aws:iam::111111111111:role/Allowed".parse().unwrap()).unwrap().role_id.clone();
    let session = seen(&iam, &bearer);
    for (key, value) in [
        ("aws:PrincipalArn", Some("arn:aws:iam::111111111111:role/Allowed")),
        ("aws:PrincipalType", Some("AssumedRole")),
        ("aws:userid", Some(format!("{role_id}:one").as_str())),
        ("aws:username", None),
        ("aws:PrincipalTag/team", Some("blue")),
        ("aws:PrincipalTag/site", Some("a")),
        ("aws:TokenIssueTime", Some("2026-11-21T11:00:00Z")),
        ("aws:MultiFactorAuthPresent", Some("true")),
        ("aws:MultiFactorAuthAge", Some("60")),
        ("saml:sub", Some("asha")),
    ] {
        assert_eq!(session.one(key), value, "{key}");
    }
    bearer.session.as_mut().unwrap().mfa_at = None;
    assert_eq!(seen(&iam, &bearer).one("aws:MultiFactorAuthPresent"), Some("false"));
    let fred = seen(&iam, &federated(&iam, "ana"));
    assert_eq!(fred.one("aws:PrincipalArn"), Some("arn:aws:sts::111111111111:federated-user/fred"));
    assert_eq!(fred.one("aws:userid"), Some("111111111111:fred"));
    let root = seen(&iam, &root());
    assert_eq!(root.one("aws:PrincipalArn"), Some("arn:aws:iam::111111111111:root"));
    assert_eq!(root.one("aws:userid"), Some(HOME));
    iam.tag_role(&"arn:aws:iam::111111111111:role/Allowed".parse().unwrap(), [("new".into(), "1".into())].into())
        .unwrap();
    assert_eq!(seen(&iam, &bearer).one("aws:PrincipalTag/new"), Some("1"));
}

#[test]
fn keys_about_the_call_are_those_of_the_table() {
    let iam = iam();
    let role = target(AWAY, "all-actions");
    let tags: BTreeMap<String, String> =
        [("Team".to_owned(), "red".to_owned()), ("Cost".to_owned(), "1".to_owned())].into();
    let transitive = ["Team".to_owned()];
    let wish = Assumption {
        external_id: Some("x"),
        tags: &tags,
        transitive_tag_keys: &transitive,
        source_identity: Some("bea"),
        mfa: true,
        ..asked(&role)
    };
    let explanation = assume(&iam, &user(&iam, "bea"), &wish);
    assert!(explanation.is_allowed());
    let context = &explanation.answers[0].context;
    for (key, value) in [
        ("sts:ExternalId", "x"),
        ("sts:RoleSessionName", "s"),
        ("sts:SourceIdentity", "bea"),
        ("aws:RequestTag/team", "red"),
        ("aws:RequestTag/Cost", "1"),
        ("aws:ResourceAccount", AWAY),
        ("aws:ResourceTag/team", "red"),
        ("iam:ResourceTag/team", "red"),
        ("aws:MultiFactorAuthPresent", "true"),
        ("aws:MultiFactorAuthAge", "0"),
    ] {
        assert_eq!(context.one(key), Some(value), "{key}");
    }
    use crate::sandbox::policy::ContextValue::Many;
    assert_eq!(context.get("aws:TagKeys"), Some(&Many(vec!["Cost".to_owned(), "Team".to_owned()])));
    assert_eq!(context.get("sts:TransitiveTagKeys"), Some(&Many(vec!["Team".to_owned()])));
    assert_eq!(context.get("sts:DurationSeconds"), None);
    assert_eq!(context.one("aws:SourceIdentity"), None, "nobody had set one before");
    let plain = assume(&iam, &user(&iam, "bea"), &asked(&role));
    for key in
        ["sts:ExternalId", "sts:SourceIdentity", "aws:TagKeys", "sts:TransitiveTagKeys", "aws:MultiFactorAuthPresent"]
    {
        assert_eq!(plain.answers[0].context.get(key), None, "{key}");
    }
}

#[test]
fn an_explanation_names_the_statement_that_decided_and_what_was_missing() {
    let iam = iam();
    let role = target(AWAY, "external");
    let explanation = assume(&iam, &user(&iam, "bea"), &asked(&role));
    let answer = explanation.denied().unwrap();
    assert_eq!(answer.reason(), "because no role trust policy allows the sts:AssumeRole action");
    let trust = &answer.layers[0];
    assert_eq!((trust.kind, trust.decision, trust.needed), (PolicyType::Trust, Decision::ImplicitDeny, true));
    let missed = &trust.missed[0];
    assert_eq!(missed.miss.statement.index, 0);
    assert!(matches!(&missed.miss.because[..],
        [crate::sandbox::policy::Miss::Condition { key, found: None, .. }] if key == "sts:ExternalId"));
    let identity = &answer.layers[1];
    assert_eq!(identity.decision, Decision::Allow);
    let by = identity.by.as_ref().unwrap();
    assert_eq!(by.policy, "arn:aws:iam::111111111111:policy/AssumeAnything");
    assert_eq!(by.statement.sid.as_deref(), Some("Go"));
    assert!(by.text.contains("\"Sid\":\"Go\""), "{}", by.text);
}

#[test]
fn nobody_speaks_for_identities_from_outside_but_the_trust_policy() {
    let world = World::larkspur();
    let iam = world.iam();
    let role: RoleArn = "arn:aws:iam::195530284716:role/oidc/Publisher".parse().unwrap();
    let provider = iam.oidc_providers()[0].clone();
    let bearer = Bearer { principal: Principal::OidcProvider(provider.arn.clone()), session: None };
    let mut context = wire();
    context.set(&format!("{}:aud", provider.key_prefix()), "sts.amazonaws.com");
    let wish = Assumption { way: Way::WebIdentity, context, ..asked(&role) };
    assert!(assume(iam, &bearer, &wish).is_allowed());
    let wrong = Assumption { way: Way::WebIdentity, ..asked(&role) };
    assert_eq!(assume(iam, &bearer, &wrong).denied().unwrap().denial, Some(Denial::Implicit(PolicyType::Trust)));
    let other = Bearer {
        principal: Principal::OidcProvider("arn:aws:iam::208174930265:oidc-provider/broker.invalid".to_owned()),
        session: None,
    };
    assert!(!assume(iam, &other, &wish).is_allowed());
    let saml = Bearer { principal: Principal::SamlProvider(world.accounts()[0].provider.clone()), session: None };
    assert!(!assume(iam, &saml, &wish).is_allowed());
}

#[test]
fn the_chain_of_the_embedded_company_works_with_its_external_id_and_not_without() {
    let world = World::larkspur();
    let iam = world.iam();
    let of = |arn: &str| {
        let role = iam.role(&arn.parse().unwrap()).unwrap();
        let principal =
            Principal::Session { role: role.arn.clone(), role_id: role.role_id.clone(), name: "lin".into() };
        let session = SessionFacts { source_identity: Some("lin".to_owned()), ..facts() };
        Bearer { principal, session: Some(session) }
    };
    let hub = of("arn:aws:iam::127790045613:role/RolegateHub");
    let exchange: RoleArn = "arn:aws:iam::177419203846:role/Partner/DataExchange".parse().unwrap();
    assert!(!assume(iam, &hub, &asked(&exchange)).is_allowed());
    assert!(assume(iam, &hub, &Assumption { external_id: Some("larkspur-7h2k"), ..asked(&exchange) }).is_allowed());
    let relay: RoleArn = "arn:aws:iam::133840917265:role/hub/Relay".parse().unwrap();
    assert!(assume(iam, &hub, &asked(&relay)).is_allowed());
    let archive: RoleArn = "arn:aws:iam::118503920174:role/Partner/CustomsArchive".parse().unwrap();
    assert!(!assume(iam, &hub, &asked(&archive)).is_allowed());
    assert!(assume(iam, &of(&relay.to_string()), &asked(&archive)).is_allowed());
}

#[test]
fn read_only_is_read_only_and_the_second_factor_is_asked_for() {
    let world = World::larkspur();
    let iam = world.iam();
    let of = |arn: &str| {
        let role = iam.role(&arn.parse().unwrap()).unwrap();
        let principal = Principal::Session { role: role.arn.clone(), role_id: role.role_id.clone(), name: "x".into() };
        Bearer { principal, session: Some(facts()) }
    };
    let may =
        |bearer: &Bearer, action: &str, resource: &str| allowed(iam, bearer, action, resource, &wire()).is_allowed();
    let reader = of("arn:aws:iam::111122223333:role/ReadOnly");
    assert!(may(&reader, "s3:GetObject", "arn:aws:s3:::larkspur-artifacts/a"));
    assert!(may(&reader, "s3:ListBucket", "arn:aws:s3:::larkspur-artifacts"));
    for action in ["s3:PutObject", "s3:DeleteObject", "iam:PutRolePolicy", "sts:AssumeRole", "lambda:InvokeFunction"] {
        assert!(!may(&reader, action, "*"), "{action}");
    }
    let operator = of("arn:aws:iam::111122223333:role/PaymentsOperator");
    assert!(may(&operator, "s3:GetObject", "arn:aws:s3:::larkspur-settlement/2026/runs.csv"));
    assert!(!may(&operator, "s3:GetObject", "arn:aws:s3:::larkspur-settlement/cards/1"));
    let lin = iam.user_of_key("SBUKLINWEISESSIONKEY").unwrap().0;
    let key = Bearer { principal: lin.principal(), session: None };
    let with = |mfa_at: Option<&str>| Bearer {
        principal: lin.principal(),
        session: Some(SessionFacts { mfa_at: mfa_at.map(|at| at.parse().unwrap()), ..facts() }),
    };
    assert!(may(&key, "sts:GetSessionToken", "*"));
    for (bearer, good) in [(key, false), (with(None), false), (with(Some("2026-11-21T11:00:00Z")), true)] {
        assert_eq!(may(&bearer, "s3:GetObject", "arn:aws:s3:::larkspur-artifacts/a"), good);
    }
}

/// A statement of an identity policy over a small alphabet, so that statements meet.
fn any_statement() -> impl Strategy<Value = String> {
    (
        prop::sample::select(vec!["Allow", "Allow", "Deny"]),
        prop::sample::select(vec![
            r#""Action":"s3:*""#,
            r#""Action":["s3:GetObject","ec2:*"]"#,
            r#""NotAction":"s3:PutObject""#,
            r#""Action":"*""#,
        ]),
        prop::sample::select(vec![
            r#""Resource":"*""#,
            r#""Resource":"arn:aws:s3:::b/${aws:PrincipalTag/team}/*""#,
            r#""NotResource":"arn:aws:s3:::b/red/*""#,
        ]),
        prop::sample::select(vec![
            "{}",
            r#"{"StringEquals":{"aws:RequestedRegion":"eu-west-1"}}"#,
            r#"{"DateLessThan":{"aws:TokenIssueTime":"2026-11-21T11:00:00Z"}}"#,
            r#"{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}"#,
            r#"{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#,
        ]),
    )
        .prop_map(|(effect, action, resource, condition)| {
            format!(r#"{{"Effect":"{effect}",{action},{resource},"Condition":{condition}}}"#)
        })
}

fn any_policy() -> impl Strategy<Value = String> {
    prop::collection::vec(any_statement(), 1..4)
        .prop_map(|statements| format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(",")))
}

static IAM: std::sync::LazyLock<Iam> = std::sync::LazyLock::new(iam);

proptest! {
    #[test]
    fn a_session_policy_or_a_boundary_never_widens_and_a_deny_always_wins(
        role_policies in prop::collection::vec(any_policy(), 0..3),
        boundary in prop::option::of(any_policy()),
        session_policy in any_policy(),
        action in prop::sample::select(vec!["s3:GetObject", "s3:PutObject", "ec2:RunInstances"]),
        resource in prop::sample::select(vec!["arn:aws:s3:::b/red/k", "arn:aws:s3:::b/blue/k"]),
        issued in prop::sample::select(vec!["2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z"]),
    ) {
        let mut iam = IAM.clone();
        let role: RoleArn = "arn:aws:iam::111111111111:role/Caller".parse().unwrap();
        for (index, policy) in role_policies.iter().enumerate() {
            iam.put_role_policy(&role, &format!("p{index}"), policy).unwrap();
        }
        let mut bearer = session(&iam, "Caller", "one");
        bearer.session.as_mut().unwrap().issued_at = issued.parse().unwrap();
        bearer.session.as_mut().unwrap().tags = [("team".to_owned(), "red".to_owned())].into();
        let ask = |iam: &Iam, bearer: &Bearer| allowed(iam, bearer, action, resource, &wire()).answers.remove(0);
        let plain = ask(&iam, &bearer);
        let limited = ask(&iam, &with_policy(bearer.clone(), &session_policy));
        prop_assert!(plain.denial.is_none() || limited.denial.is_some(), "a session policy widened");
        if let Some(boundary) = &boundary {
            let arn = iam.put_policy(Partition::Aws, account(HOME), "Boundary", "", boundary).unwrap();
            iam.set_role_boundary(&role, Some(&arn)).unwrap();
            let bounded = ask(&iam, &bearer);
            prop_assert!(plain.denial.is_none() || bounded.denial.is_some(), "a boundary widened");
            let both = ask(&iam, &with_policy(bearer.clone(), &session_policy));
            prop_assert!(both.denial.is_some() || (bounded.denial.is_none() && limited.denial.is_none()));
        }
        for answer in [&plain, &limited] {
            let any_deny = answer.layers.iter().any(|layer| layer.decision == Decision::ExplicitDeny);
            prop_assert_eq!(any_deny, matches!(answer.denial, Some(Denial::Explicit(_))));
            let all_allow = answer.layers.iter().all(|layer| layer.decision == Decision::Allow);
            prop_assert_eq!(all_allow && !answer.layers.is_empty(), answer.denial.is_none());
        }
        // The order in which policies are asked decides nothing.
        let mut reversed = IAM.clone();
        for (index, policy) in role_policies.iter().rev().enumerate() {
            reversed.put_role_policy(&role, &format!("p{index}"), policy).unwrap();
        }
        prop_assert_eq!(ask(&reversed, &bearer).denial, plain.denial);
    }

    #[test]
    fn a_session_policy_never_lets_anybody_assume_more(
        session_policy in any_policy(),
        trust in prop::sample::select(vec!["user", "role", "session", "account", "everyone", "denies", "external"]),
        there in prop::sample::select(vec![HOME, AWAY]),
        caller in prop::sample::select(vec!["Caller", "Allowed", "Bounded", "Forbidden"]),
    ) {
        let iam = &*IAM;
        let bearer = session(iam, caller, "one");
        let role = target(there, trust);
        let plain = assume(iam, &bearer, &asked(&role));
        let limited = assume(iam, &with_policy(bearer, &session_policy), &asked(&role));
        prop_assert!(plain.is_allowed() || !limited.is_allowed());
    }
}
