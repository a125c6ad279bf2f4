//! The composition, and the sandbox's policy engine as its judge.

use std::net::IpAddr;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::compose::Wanted;
use super::*;
use crate::aws::{Network, Region};
use crate::sandbox::policy::{self, Context, Decision, Policy, PolicyKind, Principal};

const TEAM: &str = "${aws:PrincipalTag/team}";

/// What a Deny means in which a variable has no value: AWS does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// The value names nothing: what the sandbox does.
    NamesNothing,
    Holds,
    DoesNotHold,
}

/// The policy as one of the readings has it; `None` when no statement is left.
fn read_as(document: &str, request: &Asked) -> Option<String> {
    if request.reading == Reading::NamesNothing || request.team.is_some() {
        return Some(document.to_owned());
    }
    let mut policy: Value = serde_json::from_str(document).unwrap();
    let statements = match policy["Statement"].take() {
        Value::Array(statements) => statements,
        one => vec![one],
    };
    let open = |value: &Value| value.to_string().contains(TEAM);
    let statements: Vec<Value> = statements
        .into_iter()
        .filter_map(|mut statement| {
            if statement["Effect"] != "Deny" || !open(&statement) {
                return Some(statement);
            }
            if request.reading == Reading::DoesNotHold {
                return None;
            }
            let members = statement.as_object_mut().unwrap();
            if members.get("Condition").is_some_and(open) {
                members.remove("Condition");
            }
            if ["Resource", "NotResource"].iter().any(|name| members.get(*name).is_some_and(open)) {
                members.remove("NotResource");
                members.insert("Resource".to_owned(), json!("*"));
            }
            Some(statement)
        })
        .collect();
    policy["Statement"] = json!(statements);
    (!statements.is_empty()).then(|| policy.to_string())
}

/// What the sandbox's engine says of one policy.
fn decide(document: &str, request: &Asked) -> Decision {
    let Some(document) = read_as(document, request) else { return Decision::ImplicitDeny };
    let policy = Policy::parse(PolicyKind::Session, &document).unwrap_or_else(|e| panic!("{e}: {document}"));
    let mut context = Context::default();
    context.set("aws:RequestedRegion", request.region);
    context.set("aws:SourceIp", request.from);
    if let Some(via) = request.via_service {
        context.set("aws:ViaAWSService", via.to_string());
    }
    if let Some(team) = request.team {
        context.set("aws:PrincipalTag/team", team);
    }
    let (principal, resource) = (&Principal::Anonymous, Some(request.resource));
    policy.decide(&policy::Request { principal, action: request.action, resource, context: &context }).decision
}

/// A request of a session.
#[derive(Debug, Clone)]
struct Asked {
    action: &'static str,
    resource: &'static str,
    region: &'static str,
    from: &'static str,
    via_service: Option<bool>,
    team: Option<&'static str>,
    reading: Reading,
}

/// Managed policies as an account has them: one reads, one only writes, one allows and denies.
fn managed(arn: &PolicyArn) -> String {
    let document = match arn.as_str() {
        "arn:aws:iam::aws:policy/ReadOnlyAccess" => {
            json!({ "Effect": "Allow", "Action": ["s3:Get*", "s3:List*", "ec2:Describe*", "iam:Get*"], "Resource": "*" })
        }
        "arn:aws:iam::111122223333:policy/writes" => {
            json!({ "Effect": "Allow", "Action": ["s3:Put*", "s3:GetObject"], "Resource": "arn:aws:s3:::a/*" })
        }
        "arn:aws:iam::111122223333:policy/mixed" => json!([
            { "Effect": "Allow", "Action": "*", "Resource": "*" },
            { "Effect": "Deny", "Action": "iam:*", "Resource": "*" },
        ]),
        other => panic!("{other}"),
    };
    json!({ "Version": "2012-10-17", "Statement": document }).to_string()
}

/// What AWS makes of the session policies of one session: some allow, and none denies. None at all: everything.
fn allowed(policy: &SessionPolicy, request: &Asked) -> bool {
    let inline = policy.inline().map(str::to_owned);
    let decisions: Vec<Decision> =
        inline.into_iter().chain(policy.arns().iter().map(managed)).map(|one| decide(&one, request)).collect();
    decisions.is_empty() || (decisions.contains(&Decision::Allow) && !decisions.contains(&Decision::ExplicitDeny))
}

/// What a limit means by itself, said without any session policy.
fn meant(scope: &ScopeDown, here: IpAddr, request: &Asked) -> bool {
    let says = |document: &str| decide(document, request);
    let reads = !scope.read_only || says(&managed(&PolicyArn::read_only(Partition::Aws))) == Decision::Allow;
    let placeless = matches!(request.action.split(':').next(), Some("iam" | "sts"))
        || matches!(request.action, "s3:ListAllMyBuckets" | "ec2:DescribeRegions");
    let in_region =
        scope.regions.is_empty() || scope.regions.iter().any(|region| region.as_str() == request.region) || placeless;
    let from: IpAddr = request.from.parse().unwrap();
    let in_network = (scope.networks.is_empty() && !scope.from_here)
        || scope.networks.iter().any(|network| network.contains(&from))
        || (scope.from_here && Network::around(here).contains(&from))
        || request.via_service == Some(true);
    let own: Vec<Decision> = scope.policy.iter().map(|policy| says(policy.as_str())).collect();
    let arns: Vec<Decision> = scope.policy_arns.iter().map(|arn| says(&managed(arn))).collect();
    let limits = scope.policy.as_ref().is_some_and(PolicyDocument::allows) || !arns.is_empty();
    let all = || own.iter().chain(&arns);
    let allowed = !limits || all().any(|one| *one == Decision::Allow);
    reads && in_region && in_network && allowed && !all().any(|one| *one == Decision::ExplicitDeny)
}

fn document(statements: &Value) -> PolicyDocument {
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string().parse().unwrap()
}

fn request() -> impl Strategy<Value = Asked> {
    let actions = vec![
        "s3:GetObject",
        "s3:PutObject",
        "s3:ListAllMyBuckets",
        "ec2:DescribeRegions",
        "ec2:RunInstances",
        "iam:GetRole",
        "iam:PassRole",
        "sts:AssumeRole",
        "dynamodb:GetItem",
    ];
    let resources = vec!["arn:aws:s3:::a/x", "arn:aws:s3:::b/x", "*", "arn:aws:iam::111122223333:role/x"];
    let regions = vec!["eu-west-1", "eu-central-1", "us-east-1"];
    let from = vec!["203.0.113.7", "203.0.113.200", "198.51.100.1", "2001:db8:1:2::9"];
    let open = (
        select(vec![None, Some("a"), Some("b"), Some("*")]),
        select(vec![Reading::NamesNothing, Reading::Holds, Reading::DoesNotHold]),
    );
    (
        select(actions),
        select(resources),
        select(regions),
        select(from),
        select(vec![None, Some(false), Some(true)]),
        open,
    )
        .prop_map(|(action, resource, region, from, via_service, (team, reading))| Asked {
            action,
            resource,
            region,
            from,
            via_service,
            team,
            reading,
        })
}

/// With conditions, variables, and the same statement more than once.
fn own_policy() -> impl Strategy<Value = PolicyDocument> {
    let actions = vec(select(vec!["s3:*", "s3:Get*", "ec2:*", "iam:*", "*", "s3:PutObject"]), 1..3);
    let resource = prop_oneof![
        8 => select(vec!["*", "arn:aws:s3:::a/*", "arn:aws:s3:::b/*", "arn:aws:s3:::*"]),
        1 => select(vec![
            "arn:aws:s3:::${aws:PrincipalTag/team}/*",
            "arn:aws:s3:::${aws:PrincipalTag/team, 'b'}/*",
            "arn:aws:s3:::${*}/*",
        ]),
    ];
    let resources = vec(resource, 1..3);
    let condition = prop_oneof![
        8 => Just(None),
        1 => select(vec![
            json!({ "StringEquals": { "aws:RequestedRegion": "eu-west-1" } }),
            json!({ "StringNotEquals": { "aws:RequestedRegion": TEAM } }),
            json!({ "StringEqualsIfExists": { "aws:PrincipalTag/team": "a" } }),
            json!({ "ForAllValues:StringEquals": { "aws:PrincipalTag/team": ["a", TEAM] } }),
        ])
        .prop_map(Some),
    ];
    let statement = (prop::bool::weighted(0.7), any::<[bool; 2]>(), actions, resources, condition).prop_map(
        |(allow, [not_action, not_resource], actions, resources, condition)| {
            let mut statement = json!({ "Effect": if allow { "Allow" } else { "Deny" } });
            statement[if not_action { "NotAction" } else { "Action" }] = json!(actions);
            statement[if not_resource { "NotResource" } else { "Resource" }] = json!(resources);
            if let Some(condition) = condition {
                statement["Condition"] = condition;
            }
            statement
        },
    );
    let again = vec(any::<prop::sample::Index>(), 0..3);
    (vec(statement, 1..4), again).prop_map(|(mut statements, again)| {
        let repeated: Vec<Value> = again.iter().map(|at| at.get(&statements).clone()).collect();
        statements.extend(repeated);
        document(&json!(statements))
    })
}

fn scope() -> impl Strategy<Value = ScopeDown> {
    let regions = btree_set(select(vec!["eu-west-1", "eu-central-1", "us-east-1"]), 0..3);
    let networks = btree_set(select(vec!["203.0.113.0/24", "203.0.113.0/25", "198.51.100.1", "2001:db8::/32"]), 0..3);
    let arns = vec(
        select(vec![
            "arn:aws:iam::aws:policy/ReadOnlyAccess",
            "arn:aws:iam::111122223333:policy/writes",
            "arn:aws:iam::111122223333:policy/mixed",
        ]),
        0..2,
    );
    let sometimes = || prop::bool::weighted(0.3);
    (sometimes(), regions, networks, sometimes(), prop::option::of(own_policy()), arns, any::<[bool; 4]>()).prop_map(
        |(read_only, regions, networks, from_here, policy, arns, keep)| ScopeDown {
            read_only,
            regions: regions.into_iter().filter(|_| keep[0]).map(|text| text.parse().unwrap()).collect(),
            networks: networks.into_iter().filter(|_| keep[1]).map(|text| text.parse().unwrap()).collect(),
            from_here: from_here && keep[1],
            policy: policy.filter(|_| keep[2]),
            policy_arns: arns.into_iter().filter(|_| keep[3]).map(|text| text.parse().unwrap()).collect(),
        },
    )
}

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));

fn composed(scopes: &[ScopeDown]) -> Result<SessionPolicy, CannotCompose> {
    let sources = [Source::Role, Source::Rule, Source::Asked];
    let parts: Vec<Part<'_>> = scopes.iter().zip(sources).map(|(scope, from)| Part { from, scope }).collect();
    compose(&parts, Partition::Aws, Some(HERE))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_composition_allows_exactly_what_every_part_allows(
        scopes in vec(scope(), 1..4),
        requests in vec(request(), 24),
    ) {
        let Ok(policy) = composed(&scopes) else { return Ok(()) };
        for request in requests {
            let each = scopes.iter().all(|scope| meant(scope, HERE, &request));
            prop_assert_eq!(allowed(&policy, &request), each, "{:?}\n{:?}", policy, request);
        }
    }

    #[test]
    fn to_compose_more_never_widens(
        scopes in vec(scope(), 1..3),
        more in scope(),
        requests in vec(request(), 24),
    ) {
        let with = [scopes.as_slice(), &[more]].concat();
        let (Ok(before), Ok(after)) = (composed(&scopes), composed(&with)) else { return Ok(()) };
        for request in requests {
            prop_assert!(allowed(&before, &request) || !allowed(&after, &request), "{:?}\n{:?}\n{:?}", before, after, request);
        }
    }

    #[test]
    fn what_is_composed_is_within_what_sts_takes(scopes in vec(scope(), 1..4)) {
        if let Ok(policy) = composed(&scopes) {
            let Budget { characters, arns } = policy.budget();
            prop_assert!(characters <= 2_048 && arns <= 10);
            if let Some(inline) = policy.inline() {
                Policy::parse(PolicyKind::Session, inline).unwrap();
            }
            prop_assert_eq!(policy.is_none(), scopes.iter().all(ScopeDown::is_empty));
        }
    }

    #[test]
    fn a_limit_survives_the_database(scope in scope()) {
        let text = serde_json::to_string(&scope).unwrap();
        prop_assert_eq!(serde_json::from_str::<ScopeDown>(&text).unwrap(), scope);
    }
}

fn region(text: &str) -> Region {
    text.parse().unwrap()
}

fn limit(make: impl FnOnce(&mut ScopeDown)) -> ScopeDown {
    let mut scope = ScopeDown::default();
    make(&mut scope);
    scope
}

fn read_only() -> ScopeDown {
    limit(|scope| scope.read_only = true)
}

fn in_regions(names: &[&str]) -> ScopeDown {
    limit(|scope| scope.regions = names.iter().map(|name| region(name)).collect())
}

fn from_networks(names: &[&str]) -> ScopeDown {
    limit(|scope| scope.networks = names.iter().map(|name| name.parse().unwrap()).collect())
}

fn by_policy(statements: &Value) -> ScopeDown {
    limit(|scope| scope.policy = Some(document(statements)))
}

#[test]
fn nothing_asked_is_no_policy_at_all() {
    assert!(composed(&[]).unwrap().is_none());
    assert!(composed(&[ScopeDown::default(), ScopeDown::default()]).unwrap().is_none());
}

#[test]
fn read_only_and_a_region_mean_both() {
    let policy = composed(&[ScopeDown { read_only: true, ..in_regions(&["us-east-1"]) }]).unwrap();
    assert_eq!(policy.arns(), [PolicyArn::read_only(Partition::Aws)]);
    // No statement allows: it would be added to what the managed policy allows.
    let inline: Value = serde_json::from_str(policy.inline().unwrap()).unwrap();
    let [lock] = inline["Statement"].as_array().unwrap().as_slice() else { panic!("{inline}") };
    assert_eq!((&lock["Effect"], &lock["Resource"]), (&json!("Deny"), &json!("*")));
    assert_eq!(lock["Condition"], json!({ "StringNotEquals": { "aws:RequestedRegion": "us-east-1" } }));
}

#[test]
fn locks_alone_stand_beside_a_statement_that_allows_all() {
    let policy =
        composed(&[ScopeDown { networks: from_networks(&["203.0.113.0/24"]).networks, ..in_regions(&["eu-west-1"]) }]);
    let policy: Value = serde_json::from_str(policy.unwrap().inline().unwrap()).unwrap();
    let [all, network, region] = policy["Statement"].as_array().unwrap().as_slice() else { panic!("{policy}") };
    assert_eq!(all, &json!({ "Effect": "Allow", "Action": "*", "Resource": "*" }));
    assert_eq!(
        network["Condition"],
        json!({ "NotIpAddress": { "aws:SourceIp": "203.0.113.0/24" }, "BoolIfExists": { "aws:ViaAWSService": "false" } })
    );
    // IAM, Route 53 and their like are in no region.
    assert!(region["NotAction"].as_array().unwrap().contains(&json!("iam:*")));
    assert_eq!(region["Condition"], json!({ "StringNotEquals": { "aws:RequestedRegion": "eu-west-1" } }));
}

#[test]
fn a_policy_alone_is_sent_as_it_was_written() {
    let text = r#"{ "Statement": [ {"Sid": "a", "Effect": "Allow", "Action": "s3:*", "Resource": "*"} ] }"#;
    let scope = limit(|scope| scope.policy = Some(text.parse().unwrap()));
    let policy = composed(&[scope]).unwrap();
    assert_eq!(policy.inline(), Some(r#"{"Statement":[{"Action":"s3:*","Effect":"Allow","Resource":"*","Sid":"a"}]}"#));
}

#[test]
fn two_locks_become_what_they_have_in_common() {
    let both = composed(&[in_regions(&["eu-west-1", "us-east-1"]), in_regions(&["us-east-1", "us-east-2"])]).unwrap();
    assert!(both.inline().unwrap().contains(r#""aws:RequestedRegion":"us-east-1""#), "{both:?}");
    let both = composed(&[from_networks(&["203.0.113.0/24"]), from_networks(&["203.0.113.128/25", "198.51.100.1"])]);
    assert!(both.unwrap().inline().unwrap().contains(r#""aws:SourceIp":"203.0.113.128/25""#));
    assert_eq!(
        composed(&[in_regions(&["eu-west-1"]), in_regions(&["us-east-1"])]).unwrap_err().to_string(),
        "no region is left: the role's own limit and the limit of the rule that grants it have none in common"
    );
    assert_eq!(
        composed(&[from_networks(&["203.0.113.0/25"]), from_networks(&["203.0.113.128/25"])]).unwrap_err(),
        CannotCompose::Networks { one: Source::Role, other: Source::Rule }
    );
}

#[test]
fn an_inline_policy_is_cut_to_what_is_read_only() {
    let own = by_policy(&json!({ "Effect": "Allow", "Action": ["s3:*", "ec2:*"], "Resource": "arn:aws:s3:::a/*" }));
    let policy = composed(&[ScopeDown { read_only: true, ..own }]).unwrap();
    assert_eq!(policy.arns(), [PolicyArn::read_only(Partition::Aws)]);
    let inline: Value = serde_json::from_str(policy.inline().unwrap()).unwrap();
    assert_eq!(
        inline["Statement"],
        json!([
            { "Effect": "Deny", "NotAction": ["ec2:*", "s3:*"], "Resource": "*" },
            { "Effect": "Deny", "Action": "*", "NotResource": "arn:aws:s3:::a/*" },
        ])
    );
}

#[test]
fn what_cannot_be_said_exactly_is_refused() {
    let conditional = by_policy(&json!({
        "Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": { "Bool": { "aws:SecureTransport": "true" } },
    }));
    let error = composed(&[read_only(), ScopeDown::default(), conditional.clone()]).unwrap_err();
    assert_eq!(error, CannotCompose::Ceilings { one: Source::Role, other: Source::Asked });
    assert!(error.to_string().starts_with("the role's own limit and what you ask for cannot both be kept"), "{error}");
    let arn = |text: &str| limit(|scope| scope.policy_arns = vec![text.parse().unwrap()]);
    assert!(composed(&[read_only(), arn("arn:aws:iam::111122223333:policy/writes")]).is_err());
    // The same twice is no second one.
    assert_eq!(
        composed(&[read_only(), arn("arn:aws:iam::aws:policy/ReadOnlyAccess")]).unwrap(),
        composed(&[read_only()]).unwrap()
    );
    // One that only denies fits with anything.
    let denies = by_policy(&json!({ "Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*" }));
    assert_eq!(composed(&[read_only(), denies]).unwrap().arns().len(), 1);
    assert_eq!(composed(&[conditional, in_regions(&["eu-west-1"])]).unwrap().budget().arns, 0);
}

#[test]
fn regions_belong_to_a_partition() {
    let gov = in_regions(&["eu-west-1", "us-gov-west-1"]);
    let composed = |from| compose(&[Part { from, scope: &gov }], Partition::Aws, None);
    let refused = CannotCompose::Partition { region: region("us-gov-west-1"), partition: Partition::Aws };
    assert_eq!(composed(Source::Asked).unwrap_err(), refused);
    assert_eq!(composed(Source::Role).unwrap_err(), refused);
    // A rule may speak of accounts in several partitions.
    assert!(composed(Source::Rule).unwrap().inline().unwrap().contains(r#""aws:RequestedRegion":"eu-west-1""#));
    let read_only = read_only();
    let policy = compose(&[Part { from: Source::Role, scope: &read_only }], Partition::AwsUsGov, None).unwrap();
    assert_eq!(policy.arns()[0].as_str(), "arn:aws-us-gov:iam::aws:policy/ReadOnlyAccess");
}

#[test]
fn where_somebody_asks_from_must_be_where_aws_sees_them() {
    let scope = limit(|scope| scope.from_here = true);
    let parts = [Part { from: Source::Asked, scope: &scope }];
    let from = |text: &str| compose(&parts, Partition::Aws, Some(text.parse().unwrap()));
    assert_eq!(compose(&parts, Partition::Aws, None).unwrap_err(), CannotCompose::AddressUnknown);
    let error = from("10.1.2.3").unwrap_err();
    assert!(error.to_string().starts_with("you are seen at 10.1.2.3, an address inside a private network"), "{error}");
    assert!(from("203.0.113.7").unwrap().inline().unwrap().contains(r#""aws:SourceIp":"203.0.113.7""#));
    assert!(from("2001:db8:1:2::7").unwrap().inline().unwrap().contains(r#""aws:SourceIp":"2001:db8:1:2::/64""#));
}

#[test]
fn a_variable_stays_a_variable_and_text_stays_text() {
    let old = r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::a/${aws:userid}"}}"#;
    let old = limit(|scope| scope.policy = Some(old.parse().unwrap()));
    assert!(composed(std::slice::from_ref(&old)).is_ok());
    let refused = CannotCompose::Version(Source::Rule);
    assert_eq!(composed(&[in_regions(&["us-east-1"]), old]).unwrap_err(), refused);
    let today = by_policy(&json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::a/${aws:userid}" }));
    assert!(composed(&[in_regions(&["us-east-1"]), today]).is_ok());
}

#[test]
fn a_policy_that_says_a_thing_twice_does_not_take_the_place_of_a_lock() {
    let deny = json!({ "Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*" });
    let wish = |denies: usize| {
        let allow = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
        let statements = [vec![allow], vec![deny.clone(); denies]].concat();
        by_policy(&json!(statements))
    };
    let locked = ScopeDown { networks: from_networks(&["203.0.113.0/24"]).networks, ..in_regions(&["eu-west-1"]) };
    for denies in 0..5 {
        for (compulsory, locks) in
            [(in_regions(&["eu-west-1"]), 1), (from_networks(&["203.0.113.0/24"]), 1), (locked.clone(), 2)]
        {
            let policy = composed(&[compulsory, ScopeDown::default(), wish(denies)]).unwrap();
            let inline: Value = serde_json::from_str(policy.inline().unwrap()).unwrap();
            let statements = inline["Statement"].as_array().unwrap();
            assert_eq!(statements.iter().filter(|one| one.get("Condition").is_some()).count(), locks, "{inline}");
            assert_eq!(statements.iter().filter(|one| **one == deny).count(), denies.min(1), "{inline}");
        }
    }
    // Alone it is still sent as it was written.
    let alone = wish(2);
    assert_eq!(
        composed(std::slice::from_ref(&alone)).unwrap().inline(),
        alone.policy.as_ref().map(PolicyDocument::as_str)
    );
}

#[test]
fn a_session_policy_that_lacks_something_wanted_is_not_given_to_anybody() {
    let reads = json!({ "Effect": "Allow", "Action": "s3:Get*", "Resource": "*" });
    let denies = json!({ "Effect": "Deny", "Action": "s3:GetObjectAcl", "Resource": "*" });
    let mut role = in_regions(&["eu-west-1"]);
    role.policy = by_policy(&json!([reads, denies])).policy;
    let asked = from_networks(&["203.0.113.0/24"]);
    let parts = [Part { from: Source::Role, scope: &role }, Part { from: Source::Asked, scope: &asked }];
    let good = compose(&parts, Partition::Aws, None).unwrap();
    let wanted = Wanted::of(&parts, Partition::Aws, None).unwrap();
    assert_eq!(wanted.is_kept_by(&good), Ok(()));
    let inline: Value = serde_json::from_str(good.inline().unwrap()).unwrap();
    let said = inline["Statement"].as_array().unwrap();
    assert_eq!(said.len(), 4);
    let lacks = |at: usize| {
        let mut rest = said.clone();
        rest[at] = json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "*" });
        let policy = SessionPolicy::new(Some(document(&json!(rest))), vec![]).unwrap();
        wanted.is_kept_by(&policy)
    };
    let from = |at: usize| if said[at].to_string().contains("SourceIp") { Source::Asked } else { Source::Role };
    for (at, statement) in said.iter().enumerate() {
        assert_eq!(lacks(at), Err(CannotCompose::Lost(from(at))), "{statement}");
    }
    // None at all would allow everything.
    for scope in [read_only(), by_policy(&reads)] {
        let wanted = Wanted::of(&[Part { from: Source::Rule, scope: &scope }], Partition::Aws, None).unwrap();
        assert_eq!(wanted.is_kept_by(&SessionPolicy::default()), Err(CannotCompose::Lost(Source::Rule)));
    }
    assert!(CannotCompose::Lost(Source::Rule).to_string().contains("the limit of the rule that grants it"));
}

#[test]
fn a_compulsory_policy_with_a_variable_stays_what_allows() {
    let own = json!({ "Effect": "Allow", "Action": "s3:*", "Resource": format!("arn:aws:s3:::{TEAM}/*") });
    let everything = by_policy(&json!({ "Effect": "Allow", "Action": ["s3:*", "ec2:*"], "Resource": "*" }));
    let policy = composed(&[by_policy(&own), ScopeDown::default(), everything]).unwrap();
    let inline: Value = serde_json::from_str(policy.inline().unwrap()).unwrap();
    let denied = json!({ "Effect": "Deny", "NotAction": ["ec2:*", "s3:*"], "Resource": "*" });
    assert_eq!(inline["Statement"], json!([own, denied]));
    // Where something else has to be what allows, both cannot be kept.
    let refused = CannotCompose::Ceilings { one: Source::Role, other: Source::Rule };
    assert_eq!(composed(&[read_only(), by_policy(&own)]).unwrap_err(), refused);
    let other =
        by_policy(&json!({ "Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::a/${aws:userid}" }));
    assert_eq!(composed(&[by_policy(&own), other]).unwrap_err(), refused);
    assert!(refused.to_string().ends_with("if it is inline and without conditions and variables"), "{refused}");
}

#[test]
fn what_is_compulsory_is_what_allows_and_what_is_asked_for_denies() {
    let reads = json!({ "Effect": "Allow", "Action": "s3:Get*", "Resource": "*" });
    let wish = by_policy(&json!({ "Effect": "Allow", "Action": ["s3:*", "ec2:*"], "Resource": "*" }));
    let policy = composed(&[by_policy(&reads), ScopeDown::default(), wish]).unwrap();
    let inline: Value = serde_json::from_str(policy.inline().unwrap()).unwrap();
    assert_eq!(inline["Statement"][0], reads);
}

#[test]
fn too_much_is_refused_with_the_number() {
    let long = |n: usize| {
        let resources: Vec<String> = (0..n).map(|at| format!("arn:aws:s3:::bucket-{at:04}/*")).collect();
        by_policy(&json!({ "Effect": "Deny", "Action": "s3:*", "Resource": resources }))
    };
    let short = composed(&[long(60)]).unwrap().budget();
    assert_eq!(short.characters + short.characters_left(), 2_048);
    let other: Vec<String> = (0..30).map(|at| format!("arn:aws:s3:::other-{at:04}/*")).collect();
    let other = by_policy(&json!({ "Effect": "Deny", "Action": "s3:*", "Resource": other }));
    let error = composed(&[long(60), other]).unwrap_err();
    assert!(matches!(error, CannotCompose::Invalid(InvalidSessionPolicy::TooLong(n)) if n > 2_048), "{error}");
    let arns = |n: usize| {
        limit(|scope| {
            scope.policy_arns = (0..n).map(|at| format!("arn:aws:iam::aws:policy/P{at}").parse().unwrap()).collect();
        })
    };
    assert_eq!(composed(&[arns(10)]).unwrap().budget().arns_left(), 0);
    assert_eq!(composed(&[arns(11)]).unwrap_err(), CannotCompose::Invalid(InvalidSessionPolicy::TooMany(11)));
}

#[test]
fn a_document_is_refused_where_sts_would_refuse_its_shape() {
    let refused = |text: &str| text.parse::<PolicyDocument>().unwrap_err();
    for text in ["", "[]", "{}", "\"x\"", "{\"Statement\": []}", "{\"Statement\": [1", "{\"Statement\": {}} x"] {
        assert_eq!(refused(text), InvalidSessionPolicy::NotAPolicy, "{text}");
    }
    let good = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#;
    for (text, what) in [
        (r#"{"Effect":"Perhaps","Action":"*","Resource":"*"}"#.to_owned(), "its `Effect`"),
        (r#"{"Effect":"Allow","Resource":"*"}"#.to_owned(), "`Action` or `NotAction`"),
        (r#"{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}"#.to_owned(), "`Action` or `NotAction`"),
        (r#"{"Effect":"Allow","Action":"*"}"#.to_owned(), "`Resource` or `NotResource`"),
        (r#"{"Effect":"Allow","Action":[],"Resource":"*"}"#.to_owned(), "`Action` or `NotAction`"),
        (r#"{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}"#.to_owned(), "no principal"),
        (r#"{"Effect":"Allow","Action":"*","Resource":"*","When":"*"}"#.to_owned(), "a statement has"),
        (format!("[{good},{{}}]"), "in statement 2"),
    ] {
        let error = refused(&format!(r#"{{"Version":"2012-10-17","Statement":{text}}}"#)).to_string();
        assert!(error.contains(what), "{error}");
    }
    let error = refused(r#"{"Statement":[],"Statement":[]}"#);
    assert_eq!(error, InvalidSessionPolicy::Twice("Statement".to_owned()));
    let sized = |extra: usize| {
        format!(r#"{{"Statement":{{"Action":"{}","Effect":"Deny","Resource":"*"}}}}"#, "a".repeat(extra))
    };
    let fits = 2_048 - sized(0).len();
    assert_eq!(sized(fits).parse::<PolicyDocument>().unwrap().characters(), 2_048);
    assert_eq!(refused(&sized(fits + 1)), InvalidSessionPolicy::TooLong(2_049));
    let euro = r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"€"}}"#;
    assert_eq!(refused(euro), InvalidSessionPolicy::Character);
}

#[test]
fn a_limit_is_told_in_words() {
    let scope = ScopeDown {
        read_only: true,
        regions: [region("eu-west-1"), region("eu-central-1")].into(),
        networks: ["203.0.113.0/24".parse().unwrap()].into(),
        from_here: true,
        policy: Some(document(&json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "*" }))),
        policy_arns: vec!["arn:aws:iam::111122223333:policy/x".parse().unwrap()],
    };
    assert_eq!(
        scope.words(),
        [
            "only reading",
            "only in eu-central-1 and eu-west-1",
            "only from 203.0.113.0/24 and the address it is asked for from",
            "only what an inline policy of 86 characters allows",
            "or what arn:aws:iam::111122223333:policy/x allows",
        ]
    );
}

#[test]
fn an_arn_names_a_managed_policy() {
    for good in [
        "arn:aws:iam::aws:policy/ReadOnlyAccess",
        "arn:aws:iam::aws:policy/job-function/ViewOnlyAccess",
        "arn:aws-us-gov:iam::111122223333:policy/team/x",
    ] {
        assert_eq!(good.parse::<PolicyArn>().unwrap().as_str(), good);
    }
    for bad in [
        "",
        "ReadOnlyAccess",
        "arn:aws:iam::aws:role/x",
        "arn:aws:iam::aws:policy/",
        "arn:aws:s3::aws:policy/x",
        "arn:aws:iam::12:policy/x",
        "arn:aws:iam::aws:policy/a b",
    ] {
        assert!(bad.parse::<PolicyArn>().is_err(), "{bad}");
    }
}
