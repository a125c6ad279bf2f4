//! What AWS documents and people observed, row by row: grammar, principals, operators, variables, resources, and the trust
//! patterns of the field.

use super::*;

fn parse(kind: PolicyKind, document: &str) -> Result<Policy, String> {
    Policy::parse(kind, document).map_err(|error| error.to_string())
}

fn account(text: &str) -> crate::aws::AccountId {
    text.parse().unwrap()
}

const HOME: &str = "111122223333";

fn user(account_id: &str, name: &str) -> Principal {
    Principal::User {
        partition: Partition::Aws,
        account: account(account_id),
        name: UserName::known(name),
        id: format!("AIDA{name}"),
    }
}

fn session(account_id: &str, role: &str, name: &str) -> Principal {
    Principal::Session {
        role: format!("arn:aws:iam::{account_id}:role/{role}").parse().unwrap(),
        role_id: format!("AROA{role}"),
        name: name.to_owned(),
    }
}

fn federated(account_id: &str, name: &str) -> Principal {
    Principal::FederatedUser {
        partition: Partition::Aws,
        account: account(account_id),
        name: name.to_owned(),
        by: None,
    }
}

fn root(account_id: &str) -> Principal {
    Principal::Root { partition: Partition::Aws, account: account(account_id) }
}

fn saml(name: &str) -> Principal {
    Principal::SamlProvider(format!("arn:aws:iam::{HOME}:saml-provider/{name}").parse().unwrap())
}

fn oidc(host: &str) -> Principal {
    Principal::OidcProvider(host.to_owned())
}

/// How a policy with this principal names somebody.
fn named(principal: &str, who: &Principal) -> Option<Named> {
    let document = format!(r#"{{"Statement":{{"Effect":"Allow","Principal":{principal},"Action":"sts:*"}}}}"#);
    let policy = Policy::parse(PolicyKind::Trust, &document).unwrap_or_else(|error| panic!("{principal}: {error}"));
    let context = Context::default();
    let verdict =
        policy.decide(&Request { principal: who, action: "sts:AssumeRole", resource: None, context: &context });
    assert_eq!(verdict.decision == Decision::Allow, verdict.named.is_some());
    verdict.named
}

#[test]
fn principals_of_every_form_name_whom_they_mean_and_nobody_else() {
    let (everyone, by_account, by_role, exactly) =
        (Some(Named::Everyone), Some(Named::Account), Some(Named::Role), Some(Named::Exactly));
    let arn = |rest: &str| format!(r#"{{"AWS":"arn:aws:{rest}"}}"#);
    let fed = |rest: &str| format!(r#"{{"Federated":"{rest}"}}"#);
    for (principal, who, expected) in [
        // everyone
        (r#""*""#.to_owned(), user(HOME, "ana"), everyone),
        (r#"{"AWS":"*"}"#.to_owned(), Principal::Anonymous, everyone),
        (r#"{"AWS":["*"]}"#.to_owned(), session("999988887777", "R", "s"), everyone),
        // an account
        (format!(r#"{{"AWS":"{HOME}"}}"#), user(HOME, "ana"), by_account),
        (format!(r#"{{"AWS":"{HOME}"}}"#), session(HOME, "R", "s"), by_account),
        (format!(r#"{{"AWS":"{HOME}"}}"#), federated(HOME, "f"), by_account),
        (format!(r#"{{"AWS":"{HOME}"}}"#), user("999988887777", "ana"), None),
        (format!(r#"{{"AWS":"{HOME}"}}"#), saml("x"), None),
        (arn(&format!("iam::{HOME}:root")), user(HOME, "ana"), by_account),
        (arn(&format!("iam::{HOME}:root")), root(HOME), by_account),
        (arn(&format!("iam::{HOME}:root")), user("999988887777", "ana"), None),
        // a user, with path
        (arn(&format!("iam::{HOME}:user/ana")), user(HOME, "ana"), exactly),
        (arn(&format!("iam::{HOME}:user/p/ana")), user(HOME, "p/ana"), exactly),
        (arn(&format!("iam::{HOME}:user/ana")), user(HOME, "p/ana"), None),
        (arn(&format!("iam::{HOME}:user/ana")), user(HOME, "Ana"), None),
        (arn(&format!("iam::{HOME}:user/ana")), user("999988887777", "ana"), None),
        // a role: every session of it
        (arn(&format!("iam::{HOME}:role/p/R")), session(HOME, "p/R", "s"), by_role),
        (arn(&format!("iam::{HOME}:role/p/R")), session(HOME, "p/R", "t"), by_role),
        (arn(&format!("iam::{HOME}:role/R")), session(HOME, "p/R", "s"), None),
        (arn(&format!("iam::{HOME}:role/R")), user(HOME, "R"), None),
        // a session: the path is dropped
        (arn(&format!("sts::{HOME}:assumed-role/R/s")), session(HOME, "p/R", "s"), exactly),
        (arn(&format!("sts::{HOME}:assumed-role/R/s")), session(HOME, "R", "t"), None),
        // a federated user
        (arn(&format!("sts::{HOME}:federated-user/f")), federated(HOME, "f"), exactly),
        (arn(&format!("sts::{HOME}:federated-user/f")), federated(HOME, "g"), None),
        // providers
        (fed(&format!("arn:aws:iam::{HOME}:saml-provider/x")), saml("x"), exactly),
        (fed(&format!("arn:aws:iam::{HOME}:saml-provider/x")), saml("y"), None),
        (
            fed(&format!("arn:aws:iam::{HOME}:oidc-provider/idp.example/t")),
            oidc(&format!("arn:aws:iam::{HOME}:oidc-provider/idp.example/t")),
            exactly,
        ),
        (
            fed(&format!("arn:aws:iam::{HOME}:oidc-provider/idp.example/t")),
            oidc(&format!("arn:aws:iam::{HOME}:oidc-provider/idp.example/u")),
            None,
        ),
        (fed("accounts.google.com"), oidc("accounts.google.com"), exactly),
        (fed("www.amazon.com"), oidc("accounts.google.com"), None),
        (fed("graph.facebook.com"), oidc("graph.facebook.com"), exactly),
        (fed("cognito-identity.amazonaws.com"), oidc("cognito-identity.amazonaws.com"), exactly),
        // services and canonical users are nobody here
        (r#"{"Service":"ec2.amazonaws.com"}"#.to_owned(), user(HOME, "ana"), None),
        (format!(r#"{{"CanonicalUser":"{}"}}"#, "0".repeat(64)), user(HOME, "ana"), None),
        // several are any of them, and the closest counts
        (format!(r#"{{"AWS":["{HOME}","arn:aws:iam::{HOME}:user/ana"]}}"#), user(HOME, "ana"), exactly),
        (format!(r#"{{"AWS":["{HOME}","arn:aws:iam::{HOME}:user/ana"]}}"#), user(HOME, "bea"), by_account),
        (format!(r#"{{"AWS":["{HOME}","*"]}}"#), user(HOME, "bea"), everyone),
        (r#"{"Service":"ec2.amazonaws.com","AWS":"*"}"#.to_owned(), user(HOME, "bea"), everyone),
    ] {
        assert_eq!(named(&principal, &who), expected, "{principal} for {who}");
    }
}

#[test]
fn principals_that_name_nobody_in_particular_are_refused() {
    for (kind, value) in [
        ("AWS", "arn:aws:iam::111122223333:role/*"),
        ("AWS", "arn:aws:iam::111122223333:user/a?a"),
        ("AWS", "arn:aws:iam::*:root"),
        ("AWS", "arn:aws:iam::111122223333:group/admins"),
        ("AWS", "arn:aws:iam::111122223333:instance-profile/x"),
        ("AWS", "arn:aws:iam::111122223333:role"),
        ("AWS", "arn:aws:iam::1111:root"),
        ("AWS", "arn:aws-xx:iam::111122223333:root"),
        ("AWS", "arn:aws:sts::111122223333:assumed-role/R"),
        ("AWS", "arn:aws:sts::111122223333:assumed-role/p/R/s"),
        ("AWS", "arn:aws:sts::111122223333:assumed-role/R/*"),
        ("AWS", "arn:aws:sts::111122223333:federated-user/"),
        ("AWS", "arn:aws:s3:::bucket"),
        ("AWS", "11112222333"),
        ("AWS", "ana"),
        ("AWS", ""),
        ("AWS", "**"),
        ("Federated", "*"),
        ("Federated", "arn:aws:iam::111122223333:saml-provider/*"),
        ("Federated", "arn:aws:iam::111122223333:oidc-provider/"),
        ("Federated", "arn:aws:iam::111122223333:role/R"),
        ("Federated", "idp.example"),
        ("Service", "*"),
        ("Service", "ec2"),
        ("CanonicalUser", "0123"),
    ] {
        let document = format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":{{"{kind}":"{value}"}},"Action":"sts:AssumeRole"}}}}"#
        );
        assert_eq!(
            parse(PolicyKind::Trust, &document).unwrap_err(),
            format!("Invalid principal in policy: \"{kind}\":\"{value}\"")
        );
    }
    for principal in ["\"x\"", "[]", "{}", "{\"AWS\":[]}", "{\"aws\":\"*\"}", "{\"AWS\":{}}", "null", "[\"*\"]"] {
        let document =
            format!(r#"{{"Statement":{{"Effect":"Allow","Principal":{principal},"Action":"sts:AssumeRole"}}}}"#);
        assert_eq!(parse(PolicyKind::Trust, &document).unwrap_err(), "Syntax errors in policy.", "{principal}");
    }
}

#[test]
fn not_principal_spares_only_whoever_is_listed_with_their_account() {
    let denied = |list: &str, who: &Principal| {
        let document = format!(
            r#"{{"Statement":[{{"Effect":"Allow","Principal":"*","Action":"sts:*"}},
                {{"Effect":"Deny","NotPrincipal":{{"AWS":{list}}},"Action":"sts:*"}}]}}"#
        );
        let context = Context::default();
        Policy::parse(PolicyKind::Trust, &document)
            .unwrap()
            .decide(&Request { principal: who, action: "sts:AssumeRole", resource: None, context: &context })
            .decision
            == Decision::ExplicitDeny
    };
    let ana = user(HOME, "ana");
    assert!(denied(r#""arn:aws:iam::111122223333:user/ana""#, &ana), "without the account");
    assert!(denied(r#""111122223333""#, &ana), "without the user");
    assert!(!denied(r#"["111122223333","arn:aws:iam::111122223333:user/ana"]"#, &ana));
    assert!(denied(r#"["111122223333","arn:aws:iam::111122223333:user/ana"]"#, &user(HOME, "bea")));
    let one = session(HOME, "R", "one");
    assert!(denied(r#"["111122223333","arn:aws:iam::111122223333:role/R"]"#, &one), "the session is not listed");
    assert!(!denied(r#"["111122223333","arn:aws:sts::111122223333:assumed-role/R/one"]"#, &one));
    assert!(!denied(r#""111122223333""#, &root(HOME)));
    // With Allow it leaves out everybody who is listed in any way.
    let allowed = |list: &str, who: &Principal| {
        let document =
            format!(r#"{{"Statement":{{"Effect":"Allow","NotPrincipal":{{"AWS":{list}}},"Action":"sts:*"}}}}"#);
        let context = Context::default();
        Policy::parse(PolicyKind::Trust, &document)
            .unwrap()
            .decide(&Request { principal: who, action: "sts:AssumeRole", resource: None, context: &context })
            .named
    };
    assert_eq!(allowed(r#""111122223333""#, &ana), None);
    assert_eq!(allowed(r#""arn:aws:iam::111122223333:user/bea""#, &ana), Some(Named::Everyone));
}

#[test]
fn a_policy_is_bound_to_the_ids_of_its_users_and_roles() {
    let document = r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:user/ana",
        "arn:aws:iam::111122223333:role/R"]},"Action":"sts:AssumeRole"}}"#;
    let mut policy = Policy::parse(PolicyKind::Trust, document).unwrap();
    let ids = |kind: Identity, _: &str| {
        Some(match kind {
            Identity::User => "AIDA1".to_owned(),
            Identity::Role => "AROA1".to_owned(),
        })
    };
    policy.bind(Partition::Aws, ids).unwrap();
    let ask = |who: &Principal| {
        let context = Context::default();
        policy
            .decide(&Request { principal: who, action: "sts:AssumeRole", resource: None, context: &context })
            .decision
            .is_allow()
    };
    let with_id = |text: &str| Principal::User {
        partition: Partition::Aws,
        account: account(HOME),
        name: UserName::known("ana"),
        id: text.to_owned(),
    };
    assert!(ask(&with_id("AIDA1")) && !ask(&with_id("AIDA2")));
    assert!(!ask(&session(HOME, "R", "s")), "another id");
    assert_eq!(policy.bound().len(), 2);
    for (principal, partition, text) in [
        (
            r#""AWS":"arn:aws:iam::111122223333:user/gone""#,
            Partition::Aws,
            r#""AWS":"arn:aws:iam::111122223333:user/gone""#,
        ),
        (r#""AWS":"arn:aws:iam::111122223333:root""#, Partition::AwsCn, r#""AWS":"arn:aws:iam::111122223333:root""#),
        (
            r#""AWS":"arn:aws:sts::111122223333:assumed-role/R/s""#,
            Partition::AwsUsGov,
            r#""AWS":"arn:aws:sts::111122223333:assumed-role/R/s""#,
        ),
        (
            r#""Federated":"arn:aws:iam::111122223333:saml-provider/x""#,
            Partition::AwsCn,
            r#""FEDERATED":"arn:aws:iam::111122223333:saml-provider/x""#,
        ),
    ] {
        let document = format!(r#"{{"Statement":{{"Effect":"Allow","Principal":{{{principal}}},"Action":"sts:*"}}}}"#);
        let mut policy = Policy::parse(PolicyKind::Trust, &document).unwrap();
        let error = policy.bind(partition, |_, _| None).unwrap_err().to_string();
        assert_eq!(error, format!("Invalid principal in policy: {text}"));
    }
}

#[test]
fn the_grammar_is_read_as_documented() {
    let good = r#""Effect":"Allow","Action":"s3:*","Resource":"*""#;
    let identity = |document: &str| parse(PolicyKind::Identity, document).map(|_| ());
    for document in [
        format!(r#"{{"Statement":{{{good}}}}}"#),
        format!(r#"{{"Statement":[{{{good}}}]}}"#),
        format!(r#"{{"Version":"2008-10-17","Id":"x","Statement":[{{{good}}}]}}"#),
        format!(r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"A1",{good}}},{{"Sid":"A2",{good}}},{{{good}}}]}}"#),
        format!(r#"{{"Statement":[{{"Sid":"",{good}}},{{"Sid":"",{good}}}]}}"#),
        format!(r#"{{"Statement":{{{good},"Condition":{{}}}}}}"#),
        format!(
            r#"{{"Statement":{{{good},"Condition":{{"StringEquals":{{"k:n":5,"k:b":true,"k:l":["a",1,false]}}}}}}}}"#
        ),
        r#"{"Statement":{"Effect":"Deny","NotAction":["iam:*"],"NotResource":["*"]}}"#.to_owned(),
        r#"{"Statement":{"Effect":"Allow","Action":["S3:getobject","*"],"Resource":["arn:aws:s3"]}}"#.to_owned(),
    ] {
        assert_eq!(identity(&document), Ok(()), "{document}");
    }
    let (json, syntax) = ("This policy contains invalid Json", "Syntax errors in policy.");
    for (document, text) in [
        (String::new(), json),
        (format!(r#"{{"Statement":{{{good}}}}} x"#), json),
        (format!(r#"{{"Statement":{{{good}}},"Statement":{{{good}}}}}"#), json),
        (format!(r#"{{"Statement":{{{good},"Effect":"Deny"}}}}"#), json),
        (format!(r#"{{"statement":{{{good}}}}}"#), syntax),
        (format!(r#"{{"Id":1,"Statement":{{{good}}}}}"#), syntax),
        (format!(r#"{{"Statement":{{{good}}},"Other":1}}"#), syntax),
        (r#"{"Statement":{}}"#.to_owned(), "Missing required field Effect"),
        (r#"{"Statement":"x"}"#.to_owned(), syntax),
        (r#"{"Statement":[[]]}"#.to_owned(), syntax),
        (r#"{"Version":"2012-10-17"}"#.to_owned(), syntax),
        (format!(r#"{{"Version":20121017,"Statement":{{{good}}}}}"#), "The policy must contain a valid version string"),
        (
            format!(r#"{{"Version":"2012-10-17 ","Statement":{{{good}}}}}"#),
            "The policy must contain a valid version string",
        ),
        (
            format!(r#"{{"Statement":[{{"Sid":"A",{good}}},{{"Sid":"A",{good}}}]}}"#),
            "Statement IDs (SID) in a single policy must be unique.",
        ),
        (format!(r#"{{"Statement":{{"Sid":"a b",{good}}}}}"#), syntax),
        (format!(r#"{{"Statement":{{"Sid":1,{good}}}}}"#), syntax),
        (r#"{"Statement":{"Effect":"ALLOW","Action":"s3:*","Resource":"*"}}"#.to_owned(), syntax),
        (r#"{"Statement":{"Effect":["Allow"],"Action":"s3:*","Resource":"*"}}"#.to_owned(), syntax),
        (format!(r#"{{"Statement":{{{good},"NotAction":"s3:*"}}}}"#), syntax),
        (format!(r#"{{"Statement":{{{good},"NotResource":"*"}}}}"#), syntax),
        (format!(r#"{{"Statement":{{{good},"Principal":"*"}}}}"#), "Policy document should not specify a principal."),
        (
            format!(r#"{{"Statement":{{{good},"NotPrincipal":"*"}}}}"#),
            "Policy document should not specify a principal.",
        ),
        (r#"{"Statement":{"Effect":"Allow","Resource":"*"}}"#.to_owned(), "Policy statement must contain actions."),
        (r#"{"Statement":{"Effect":"Allow","Action":"s3:*"}}"#.to_owned(), "Policy statement must contain resources."),
        (r#"{"Statement":{"Effect":"Allow","Action":[],"Resource":"*"}}"#.to_owned(), syntax),
        (r#"{"Statement":{"Effect":"Allow","Action":{},"Resource":"*"}}"#.to_owned(), syntax),
        (
            r#"{"Statement":{"Effect":"Allow","Action":"s3*","Resource":"*"}}"#.to_owned(),
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"bucket"}}"#.to_owned(),
            "Resource bucket must be in ARN format or \"*\".",
        ),
        (
            r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":""}}"#.to_owned(),
            "Resource  must be in ARN format or \"*\".",
        ),
        (format!(r#"{{"Statement":{{{good},"Condition":[]}}}}"#), syntax),
        (format!(r#"{{"Statement":{{{good},"Condition":{{"StringEquals":"x"}}}}}}"#), syntax),
        (format!(r#"{{"Statement":{{{good},"Condition":{{"StringEquals":{{"k:x":{{}}}}}}}}}}"#), syntax),
        (format!(r#"{{"Statement":{{{good},"Condition":{{"StringEquals":{{"k:x":[]}}}}}}}}"#), syntax),
        (format!(r#"{{"Statement":{{{good},"Condition":{{"StringEquals":{{"k:x":null}}}}}}}}"#), syntax),
        (
            format!(r#"{{"Statement":{{{good},"Condition":{{"StringEquals":{{"x":"y"}}}}}}}}"#),
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
        ),
    ] {
        assert_eq!(identity(&document).unwrap_err(), text, "{document}");
    }
    let trust = |action: &str| {
        parse(PolicyKind::Trust, &format!(r#"{{"Statement":{{"Effect":"Allow","Principal":"*","Action":{action}}}}}"#))
    };
    for action in [
        "\"sts:AssumeRole\"",
        "\"sts:AssumeRole*\"",
        "\"sts:*\"",
        "\"*\"",
        "\"STS:tagsession\"",
        "\"sts:SetSourceIdentity\"",
        "\"sts:SetContext\"",
        "[\"sts:AssumeRoleWithSAML\",\"sts:AssumeRoleWithWebIdentity\"]",
    ] {
        assert!(trust(action).is_ok(), "{action}");
    }
    for action in ["\"s3:*\"", "\"sts:GetCallerIdentity\"", "[\"sts:AssumeRole\",\"iam:PassRole\"]"] {
        assert_eq!(
            trust(action).unwrap_err(),
            "AssumeRole policy may only specify STS AssumeRole actions.",
            "{action}"
        );
    }
}

#[test]
fn operators_that_are_unknown_and_values_they_cannot_read_are_malformed() {
    for condition in [
        r#"{"StringMatches":{"k:x":"a"}}"#,
        r#"{"stringequals":{"k:x":"a"}}"#,
        r#"{"String":{"k:x":"a"}}"#,
        r#"{"Numeric":{"k:x":"1"}}"#,
        r#"{"DateLess":{"k:x":"2026-01-01"}}"#,
        r#"{"NullIfExists":{"k:x":"true"}}"#,
        r#"{"ForAnyValue:Null":{"k:x":"true"}}"#,
        r#"{"ForSomeValue:StringEquals":{"k:x":"a"}}"#,
        r#"{"ForAnyValue:ForAllValues:StringEquals":{"k:x":"a"}}"#,
        r#"{"StringEqualsIfExistsIfExists":{"k:x":"a"}}"#,
        r#"{"NumericEquals":{"k:x":"ten"}}"#,
        r#"{"NumericEquals":{"k:x":"1e3"}}"#,
        r#"{"NumericEquals":{"k:x":""}}"#,
        r#"{"DateEquals":{"k:x":"yesterday"}}"#,
        r#"{"Bool":{"k:x":"yes"}}"#,
        r#"{"Null":{"k:x":"1"}}"#,
        r#"{"BinaryEquals":{"k:x":"*"}}"#,
        r#"{"IpAddress":{"k:x":"10.0.0.0/33"}}"#,
        r#"{"IpAddress":{"k:x":"10.0.0"}}"#,
        r#"{"StringEquals":{"k:x":"${open"}}"#,
        r#"{"StringEquals":{"k:x":"${}"}}"#,
        r#"{"StringEquals":{"k:x":"${k:y, none}"}}"#,
    ] {
        let document = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{condition}}}}}"#
        );
        assert_eq!(parse(PolicyKind::Identity, &document).unwrap_err(), "Syntax errors in policy.", "{condition}");
    }
}

/// Whether a condition holds for a request that says `value` for `k:x`, or nothing.
fn holds(condition: &str, value: Option<&str>) -> bool {
    let mut context = Context::default();
    if let Some(value) = value {
        context.set("k:x", value);
    }
    holds_in(condition, &context)
}

fn holds_in(condition: &str, context: &Context) -> bool {
    let document = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{condition}}}}}"#
    );
    let policy = Policy::parse(PolicyKind::Identity, &document).unwrap_or_else(|error| panic!("{condition}: {error}"));
    let request = Request { principal: &Principal::Anonymous, action: "s3:x", resource: Some("*"), context };
    policy.decide(&request).decision.is_allow()
}

#[test]
fn an_absent_key_is_false_unless_the_operator_is_negated_or_ends_with_if_exists() {
    for (operator, value, absent) in [
        ("StringEquals", "a", false),
        ("StringNotEquals", "a", true),
        ("StringEqualsIgnoreCase", "a", false),
        ("StringNotEqualsIgnoreCase", "a", true),
        ("StringLike", "a*", false),
        ("StringNotLike", "a*", true),
        ("NumericEquals", "1", false),
        ("NumericNotEquals", "1", true),
        ("NumericLessThan", "1", false),
        ("NumericLessThanEquals", "1", false),
        ("NumericGreaterThan", "1", false),
        ("NumericGreaterThanEquals", "1", false),
        ("DateEquals", "2026-01-01", false),
        ("DateNotEquals", "2026-01-01", true),
        ("DateLessThan", "2026-01-01", false),
        ("DateLessThanEquals", "2026-01-01", false),
        ("DateGreaterThan", "2026-01-01", false),
        ("DateGreaterThanEquals", "2026-01-01", false),
        ("Bool", "true", false),
        ("BinaryEquals", "AAE=", false),
        ("IpAddress", "10.0.0.0/8", false),
        ("NotIpAddress", "10.0.0.0/8", true),
        ("ArnEquals", "arn:aws:iam::1:role/A", false),
        ("ArnLike", "arn:aws:iam::1:role/A", false),
        ("ArnNotEquals", "arn:aws:iam::1:role/A", true),
        ("ArnNotLike", "arn:aws:iam::1:role/A", true),
    ] {
        let condition = |operator: &str| format!(r#"{{"{operator}":{{"k:x":"{value}"}}}}"#);
        assert_eq!(holds(&condition(operator), None), absent, "{operator}");
        assert!(holds(&condition(&format!("{operator}IfExists")), None), "{operator}IfExists");
        assert!(!holds(&condition(&format!("ForAnyValue:{operator}")), None), "ForAnyValue:{operator}");
        assert!(holds(&condition(&format!("ForAllValues:{operator}")), None), "ForAllValues:{operator}");
        // A key with several values needs a set operator, whatever it says.
        let mut many = Context::default();
        many.set_many("k:x", ["a".to_owned(), "b".to_owned()]);
        assert!(!holds_in(&condition(operator), &many), "{operator} on a list");
    }
}

#[test]
fn what_the_request_says_and_the_operator_cannot_read_counts_as_absent() {
    for (condition, expected) in [
        (r#"{"NumericLessThan":{"k:x":"5"}}"#, false),
        (r#"{"NumericNotEquals":{"k:x":"5"}}"#, true),
        (r#"{"NumericLessThanIfExists":{"k:x":"5"}}"#, true),
        (r#"{"DateGreaterThan":{"k:x":"2026-01-01"}}"#, false),
        (r#"{"DateNotEquals":{"k:x":"2026-01-01"}}"#, true),
        (r#"{"IpAddress":{"k:x":"10.0.0.0/8"}}"#, false),
        (r#"{"NotIpAddress":{"k:x":"10.0.0.0/8"}}"#, true),
        (r#"{"Bool":{"k:x":"true"}}"#, false),
    ] {
        assert_eq!(holds(condition, Some("junk")), expected, "{condition}");
    }
}

#[test]
fn dates_numbers_and_addresses_are_read_in_all_their_forms() {
    for (policy, request) in [
        ("2026-11-21", "2026-11-21T00:00:00Z"),
        ("2026-11-21T12:30Z", "2026-11-21T12:30:00Z"),
        ("2026-11-21T12:30:00Z", "2026-11-21T13:30:00+01:00"),
        ("2026-11-21T12:30:00.5Z", "2026-11-21T12:30:00.500Z"),
        ("1795262400", "2026-11-21T12:00:00Z"),
        ("2026-11-21T12:00:00Z", "1795262400"),
    ] {
        assert!(holds(&format!(r#"{{"DateEquals":{{"k:x":"{policy}"}}}}"#), Some(request)), "{policy} {request}");
    }
    for (operator, policy, request, expected) in [
        ("NumericEquals", "10", "10.0", true),
        ("NumericEquals", "-1.5", "-1.50", true),
        ("NumericLessThan", "10", "9.999", true),
        ("NumericLessThan", "10", "10", false),
        ("NumericLessThanEquals", "10", "10", true),
        ("NumericGreaterThan", "9", "10", true),
        ("IpAddress", "2001:db8::/32", "2001:db8::1", true),
        ("IpAddress", "2001:db8::1", "2001:db8::1", true),
        ("IpAddress", "2001:db8::1", "2001:db8::2", false),
        ("IpAddress", "192.0.2.7", "192.0.2.7", true),
        ("IpAddress", "192.0.2.0/24", "::ffff:192.0.2.7", true),
        ("IpAddress", "192.0.2.0/24", "2001:db8::1", false),
        ("NotIpAddress", "192.0.2.0/24", "2001:db8::1", true),
        ("Bool", "FALSE", "false", true),
        ("ArnLike", "arn:aws:iam::*:role/a*", "arn:aws:iam::1:role/a:b/c", true),
        ("ArnLike", "arn:aws:*:role/a", "arn:aws:iam::1:role/a", false),
        ("ArnEquals", "arn:aws:iam::1:role/*", "arn:aws:iam::1:role/x", true),
        ("ArnNotLike", "arn:aws:iam::1:role/*", "arn:aws:iam::2:role/x", true),
        ("StringLike", "a?c*", "abc", true),
        ("StringLike", "a?c*", "ac", false),
        ("StringLike", "*", "", true),
        ("StringLike", "abc", "xabc", false),
        ("StringEquals", "a*", "ab", false),
        ("StringEqualsIgnoreCase", "STRASSE", "strasse", true),
    ] {
        let condition = format!(r#"{{"{operator}":{{"k:x":"{policy}"}}}}"#);
        assert_eq!(holds(&condition, Some(request)), expected, "{condition} {request}");
    }
}

#[test]
fn names_of_keys_are_compared_without_regard_to_case_and_values_are_not() {
    let mut context = Context::default();
    context.set("aws:RequestTag/Team", "Red");
    assert!(holds_in(r#"{"StringEquals":{"AWS:requesttag/TEAM":"Red"}}"#, &context));
    assert!(!holds_in(r#"{"StringEquals":{"aws:RequestTag/Team":"red"}}"#, &context));
    assert!(holds_in(r#"{"Null":{"aws:requesttag/team":"false"}}"#, &context));
    let mut empty = Context::default();
    empty.set_many("aws:TagKeys", []);
    assert!(holds_in(r#"{"Null":{"aws:TagKeys":"true"}}"#, &empty), "an empty set is absent");
}

#[test]
fn variables_stand_where_they_may_and_mean_what_they_say() {
    let mut context = Context::default();
    context.set("aws:username", "ana");
    context.set("aws:PrincipalTag/cost-center", "42");
    context.set("k:star", "*");
    context.set_many("aws:TagKeys", ["a".to_owned()]);
    let resource = |version: &str, pattern: &str, resource: &str| {
        let document = format!(
            r#"{{"Version":"{version}","Statement":{{"Effect":"Allow","Action":"*","Resource":"{pattern}"}}}}"#
        );
        let policy = Policy::parse(PolicyKind::Identity, &document).unwrap();
        let request =
            Request { principal: &Principal::Anonymous, action: "s3:x", resource: Some(resource), context: &context };
        policy.decide(&request).decision.is_allow()
    };
    let now = "2012-10-17";
    for (pattern, asked, expected) in [
        ("arn:aws:s3:::b/${aws:username}/*", "arn:aws:s3:::b/ana/x", true),
        ("arn:aws:s3:::b/${aws:username}/*", "arn:aws:s3:::b/bea/x", false),
        ("arn:aws:s3:::b/${aws:PrincipalTag/cost-center}/x", "arn:aws:s3:::b/42/x", true),
        ("arn:aws:s3:::b/${AWS:UserName}", "arn:aws:s3:::b/ana", true),
        ("arn:aws:s3:::b/${k:none}", "arn:aws:s3:::b/", false),
        ("arn:aws:s3:::b/${k:none, 'shared'}/x", "arn:aws:s3:::b/shared/x", true),
        ("arn:aws:s3:::b/${aws:username, 'shared'}/x", "arn:aws:s3:::b/ana/x", true),
        ("arn:aws:s3:::b/${aws:TagKeys}", "arn:aws:s3:::b/a", false),
        ("arn:aws:s3:::b/${k:star}", "arn:aws:s3:::b/anything", false),
        ("arn:aws:s3:::b/${k:star}", "arn:aws:s3:::b/*", true),
        ("arn:aws:s3:::b/${*}${?}${$}", "arn:aws:s3:::b/*?$", true),
        ("arn:aws:s3:::b/${*}", "arn:aws:s3:::b/x", false),
    ] {
        assert_eq!(resource(now, pattern, asked), expected, "{pattern} {asked}");
    }
    assert!(resource("2008-10-17", "arn:aws:s3:::b/${aws:username}", "arn:aws:s3:::b/${aws:username}"));
    assert!(!resource("2008-10-17", "arn:aws:s3:::b/${aws:username}", "arn:aws:s3:::b/ana"));
    for early in ["arn:aws:s3::${k:x}:b", "arn:${k:x}:s3:::b", "arn:aws:${k:x}"] {
        let document =
            format!(r#"{{"Version":"{now}","Statement":{{"Effect":"Allow","Action":"*","Resource":"{early}"}}}}"#);
        assert!(Policy::parse(PolicyKind::Identity, &document).is_err(), "{early}");
    }
    // Not in actions, numbers, dates, bytes and networks.
    let action = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:${k:x}","Resource":"*"}}"#;
    let mut named_x = Context::default();
    named_x.set("k:x", "Get");
    let asked = Request { principal: &Principal::Anonymous, action: "s3:Get", resource: Some("*"), context: &named_x };
    assert!(!Policy::parse(PolicyKind::Identity, action).unwrap().decide(&asked).decision.is_allow());
    for operator in ["NumericEquals", "DateEquals", "BinaryEquals", "IpAddress", "Null", "Bool"] {
        let document = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"*","Resource":"*",
                "Condition":{{"{operator}":{{"k:x":"${{k:y}}"}}}}}}}}"#
        );
        assert!(Policy::parse(PolicyKind::Identity, &document).is_err(), "{operator}");
    }
    // Without a value a condition is false, and its negation true.
    assert!(!holds_in(r#"{"StringEquals":{"aws:username":"${k:none}"}}"#, &context));
    assert!(holds_in(r#"{"StringNotEquals":{"aws:username":"${k:none}"}}"#, &context));
    assert!(holds_in(r#"{"StringLike":{"aws:username":"${aws:username}"}}"#, &context));
}

#[test]
fn a_resource_without_a_value_for_its_variable_never_widens_an_allow() {
    let decide = |effect: &str, element: &str| {
        let document = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Action":"*","{element}":"arn:aws:s3:::b/${{k:none}}"}}]}}"#
        );
        let context = Context::default();
        let request = Request {
            principal: &Principal::Anonymous,
            action: "s3:x",
            resource: Some("arn:aws:s3:::c"),
            context: &context,
        };
        Policy::parse(PolicyKind::Identity, &document).unwrap().decide(&request).decision
    };
    assert_eq!(decide("Allow", "Resource"), Decision::ImplicitDeny);
    assert_eq!(decide("Allow", "NotResource"), Decision::ImplicitDeny);
    assert_eq!(decide("Deny", "Resource"), Decision::ImplicitDeny);
    assert_eq!(decide("Deny", "NotResource"), Decision::ExplicitDeny);
}

#[test]
fn resources_match_part_by_part_and_freely_in_the_last_part() {
    let matches = |pattern: &str, resource: &str| {
        let document = format!(r#"{{"Statement":{{"Effect":"Allow","Action":"*","Resource":"{pattern}"}}}}"#);
        let context = Context::default();
        let request =
            Request { principal: &Principal::Anonymous, action: "s3:x", resource: Some(resource), context: &context };
        Policy::parse(PolicyKind::Identity, &document).unwrap().decide(&request).decision.is_allow()
    };
    for (pattern, resource, expected) in [
        ("*", "arn:aws:s3:::b/k", true),
        ("*", "*", true),
        ("arn:aws:s3:::*", "arn:aws:s3:::b/k/l:m", true),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/k/l", true),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b", false),
        ("arn:aws:s3:::b", "arn:aws:s3:::b/k", false),
        ("arn:aws:s3:::b*", "arn:aws:s3:::bc/k", true),
        ("arn:aws:s3:::b?", "arn:aws:s3:::bc", true),
        ("arn:aws:s3:::b?", "arn:aws:s3:::b", false),
        ("arn:*:s3:::b", "arn:aws-cn:s3:::b", true),
        ("arn:aws:*:b", "arn:aws:s3:::b", false),
        ("arn:aws:iam::*:role/Partner/*", "arn:aws:iam::111122223333:role/Partner/DataExchange", true),
        ("arn:aws:iam::*:role/Partner/*", "arn:aws:iam::111122223333:role/DataExchange", false),
        ("arn:aws:iam::111122223333:role/*", "arn:aws:iam::111122223333:role/a/b", true),
        ("arn:aws:logs:*:1:log-group:x", "arn:aws:logs:eu-west-1:1:log-group:x", true),
        ("arn:aws:logs:*:1:log-group:*", "arn:aws:logs:eu-west-1:1:log-group:x:log-stream:y", true),
        ("arn:aws:sqs", "arn:aws:sqs:eu-west-1:1:q", true),
        ("arn:aws:sqs:eu-west-1", "arn:aws:sqs:eu-west-1:1:q", true),
        ("arn:aws:sqs:eu-west-1", "arn:aws:sqs:us-east-1:1:q", false),
        ("arn:aws:s3:::B", "arn:aws:s3:::b", false),
        ("arn:aws:s3:::b", "*", false),
    ] {
        assert_eq!(matches(pattern, resource), expected, "{pattern} {resource}");
    }
}

#[test]
fn actions_match_without_regard_to_case_and_with_wildcards() {
    let matches = |element: &str, pattern: &str, action: &str| {
        let document = format!(r#"{{"Statement":{{"Effect":"Allow","{element}":{pattern},"Resource":"*"}}}}"#);
        let context = Context::default();
        let request = Request { principal: &Principal::Anonymous, action, resource: Some("*"), context: &context };
        Policy::parse(PolicyKind::Identity, &document).unwrap().decide(&request).decision.is_allow()
    };
    for (element, pattern, action, expected) in [
        ("Action", r#""s3:GetObject""#, "s3:getobject", true),
        ("Action", r#""S3:get*""#, "s3:GetObject", true),
        ("Action", r#""s3:*Object""#, "s3:GetObjectAcl", false),
        ("Action", r#""s3:?etObject""#, "s3:GetObject", true),
        ("Action", r#""s3:GetObject""#, "s3:GetObjectAcl", false),
        ("Action", r#"["ec2:*","s3:*"]"#, "s3:x", true),
        ("Action", r#""*""#, "iam:x", true),
        ("Action", r#""s*:*""#, "sqs:x", true),
        ("NotAction", r#""iam:*""#, "s3:x", true),
        ("NotAction", r#""iam:*""#, "iam:x", false),
        ("NotAction", r#"["iam:*","s3:*"]"#, "s3:x", false),
    ] {
        assert_eq!(matches(element, pattern, action), expected, "{element} {pattern} {action}");
    }
}

#[test]
fn trust_patterns_of_the_field_do_what_their_authors_meant() {
    let provider = "arn:aws:iam::111122223333:saml-provider/x";
    let decide = |condition: &str, effect: &str, keys: &[(&str, &str)], tag_keys: &[&str]| {
        let allow = format!(
            r#"{{"Effect":"Allow","Principal":{{"Federated":"{provider}"}},"Action":["sts:AssumeRoleWithSAML","sts:TagSession"]{}}}"#,
            if effect == "Allow" { format!(r#","Condition":{condition}"#) } else { String::new() }
        );
        let deny = format!(r#",{{"Effect":"Deny","Principal":"*","Action":"sts:*","Condition":{condition}}}"#);
        let document = format!(
            r#"{{"Version":"2012-10-17","Statement":[{allow}{}]}}"#,
            if effect == "Deny" { deny } else { String::new() }
        );
        let mut context = Context::default();
        for (key, value) in keys {
            context.set(key, *value);
        }
        context.set_many("aws:TagKeys", tag_keys.iter().map(ToString::to_string));
        let policy = Policy::parse(PolicyKind::Trust, &document).unwrap();
        let who = saml("x");
        policy
            .decide(&Request { principal: &who, action: "sts:AssumeRoleWithSAML", resource: None, context: &context })
            .decision
            .is_allow()
    };
    let aud = r#"{"StringEquals":{"SAML:aud":"https://signin.aws.amazon.com/saml"}}"#;
    assert!(decide(aud, "Allow", &[("saml:aud", "https://signin.aws.amazon.com/saml")], &[]));
    assert!(!decide(aud, "Allow", &[("saml:aud", "https://signin.amazonaws.cn/saml")], &[]));
    assert!(!decide(aud, "Allow", &[], &[]));
    let tag = r#"{"StringLike":{"aws:RequestTag/Team":"*"}}"#;
    assert!(decide(tag, "Allow", &[("aws:RequestTag/Team", "red")], &["Team"]));
    assert!(!decide(tag, "Allow", &[], &[]));
    let only = r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["Team","Site"]}}"#;
    assert!(decide(only, "Allow", &[], &["Team"]) && decide(only, "Allow", &[], &[]), "none is all of them");
    assert!(!decide(only, "Allow", &[], &["Team", "Other"]));
    let external = r#"{"StringEquals":{"sts:ExternalId":"x"}}"#;
    assert!(decide(external, "Allow", &[("sts:ExternalId", "x")], &[]) && !decide(external, "Allow", &[], &[]));
    let source = r#"{"StringLike":{"sts:SourceIdentity":"*@example.com"}}"#;
    assert!(decide(source, "Allow", &[("sts:SourceIdentity", "a@example.com")], &[]));
    assert!(!decide(source, "Allow", &[("sts:SourceIdentity", "a@example.com.evil")], &[]));
    // A Deny with BoolIfExists hits whoever has long-term keys, a Deny with Bool does not.
    let (careful, careless) = (
        r#"{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}"#,
        r#"{"Bool":{"aws:MultiFactorAuthPresent":"false"}}"#,
    );
    let (without, with) = (("aws:MultiFactorAuthPresent", "false"), ("aws:MultiFactorAuthPresent", "true"));
    assert!(!decide(careful, "Deny", &[], &[]) && decide(careless, "Deny", &[], &[]));
    assert!(!decide(careful, "Deny", &[without], &[]) && !decide(careless, "Deny", &[without], &[]));
    assert!(decide(careful, "Deny", &[with], &[]) && decide(careless, "Deny", &[with], &[]));
    let name = r#"{"StringLike":{"sts:RoleSessionName":"${aws:username}"}}"#;
    assert!(decide(name, "Allow", &[("aws:username", "ana"), ("sts:RoleSessionName", "ana")], &[]));
    assert!(!decide(name, "Allow", &[("aws:username", "*"), ("sts:RoleSessionName", "ana")], &[]));
}
