use proptest::prelude::*;

use super::*;

const PROVIDER: &str = "arn:aws:iam::111122223333:saml-provider/rolegate";
const ACTION: &str = "sts:AssumeRoleWithSAML";

fn trust(statements: &str) -> Policy {
    Policy::parse(PolicyKind::Trust, &format!(r#"{{"Version":"2012-10-17","Statement":{statements}}}"#)).unwrap()
}

fn allow_if(condition: &str) -> Policy {
    trust(&format!(
        r#"{{"Effect":"Allow","Principal":{{"Federated":"{PROVIDER}"}},"Action":"{ACTION}","Condition":{condition}}}"#
    ))
}

fn provider(arn: &str) -> Principal {
    Principal::SamlProvider(arn.parse().unwrap())
}

fn ask(policy: &Policy, context: &Context) -> Decision {
    policy.decide(&Request { principal: &provider(PROVIDER), action: ACTION, resource: None, context }).decision
}

fn context(one: &[(&str, &str)], many: &[(&str, &[&str])]) -> Context {
    let mut context = Context::default();
    for (key, value) in one {
        context.set(key, *value);
    }
    for (key, values) in many {
        context.set_many(key, values.iter().map(ToString::to_string));
    }
    context
}

/// Whether a statement with this condition matches a request with one value, no value, or another value.
#[track_caller]
fn holds(condition: &str, context: &Context) -> bool {
    ask(&allow_if(condition), context) == Decision::Allow
}

#[test]
fn a_provider_that_is_not_named_is_denied_implicitly() {
    let policy = allow_if("{}");
    assert_eq!(ask(&policy, &Context::default()), Decision::Allow);
    let (known, other, context) =
        (provider(PROVIDER), provider("arn:aws:iam::111122223333:saml-provider/other"), Context::default());
    for (principal, action) in [(&other, ACTION), (&Principal::Anonymous, ACTION), (&known, "sts:TagSession")] {
        let request = Request { principal, action, resource: None, context: &context };
        assert_eq!(policy.decide(&request).decision, Decision::ImplicitDeny);
    }
}

#[test]
fn a_deny_wins_before_and_after_an_allow() {
    let allow = format!(r#"{{"Effect":"Allow","Principal":{{"Federated":"{PROVIDER}"}},"Action":"sts:*"}}"#);
    let deny = r#"{"Effect":"Deny","Principal":"*","Action":"STS:assumerolewith?AML"}"#;
    for policy in [trust(&format!("[{allow},{deny}]")), trust(&format!("[{deny},{allow}]"))] {
        assert_eq!(ask(&policy, &Context::default()), Decision::ExplicitDeny);
    }
}

#[test]
fn not_principal_and_not_action_invert_the_match() {
    let policy = trust(&format!(
        r#"{{"Effect":"Allow","NotPrincipal":{{"Federated":"{PROVIDER}"}},"NotAction":"sts:TagSession"}}"#
    ));
    assert_eq!(ask(&policy, &Context::default()), Decision::ImplicitDeny);
    let (other, context) = (provider("arn:aws:iam::111122223333:saml-provider/x"), Context::default());
    let asked = |action| Request { principal: &other, action, resource: None, context: &context };
    assert_eq!(policy.decide(&asked(ACTION)).decision, Decision::Allow);
    assert_eq!(policy.decide(&asked("sts:TagSession")).decision, Decision::ImplicitDeny);
}

#[test]
fn operators_follow_the_truth_table_for_single_values() {
    // condition on `k:x`, then: with the value, with another value, without the key
    for (condition, value, other, expected) in [
        (r#"{"StringEquals":{"k:x":"Blue"}}"#, "Blue", "blue", [true, false, false]),
        (r#"{"StringEquals":{"k:x":["Red","Blue"]}}"#, "Blue", "Green", [true, false, false]),
        (r#"{"StringNotEquals":{"k:x":"Blue"}}"#, "Blue", "blue", [false, true, true]),
        (r#"{"StringNotEquals":{"k:x":["Red","Blue"]}}"#, "Blue", "Green", [false, true, true]),
        (r#"{"StringEqualsIgnoreCase":{"k:x":"Blue"}}"#, "bLUE", "blu", [true, false, false]),
        (r#"{"StringNotEqualsIgnoreCase":{"k:x":"Blue"}}"#, "bLUE", "blu", [false, true, true]),
        (r#"{"StringLike":{"k:x":"*@corp.example"}}"#, "a@corp.example", "a@corp.example.org", [true, false, false]),
        (r#"{"StringLike":{"k:x":"a?c"}}"#, "abc", "ac", [true, false, false]),
        (r#"{"StringNotLike":{"k:x":"a*"}}"#, "abc", "Abc", [false, true, true]),
        (r#"{"StringEquals":{"k:x":"a*"}}"#, "a*", "ab", [true, false, false]),
        (r#"{"StringEqualsIfExists":{"k:x":"Blue"}}"#, "Blue", "Red", [true, false, true]),
        (r#"{"NumericLessThan":{"k:x":"10"}}"#, "9.5", "10", [true, false, false]),
        (r#"{"NumericLessThanEquals":{"k:x":10}}"#, "10", "11", [true, false, false]),
        (r#"{"NumericGreaterThan":{"k:x":"10"}}"#, "11", "10", [true, false, false]),
        (r#"{"NumericGreaterThanEquals":{"k:x":"10"}}"#, "10", "9", [true, false, false]),
        (r#"{"NumericEquals":{"k:x":"10"}}"#, "10.0", "junk", [true, false, false]),
        (r#"{"NumericNotEquals":{"k:x":"10"}}"#, "10", "junk", [false, true, true]),
        (
            r#"{"DateLessThan":{"k:x":"2026-01-01T00:00:00Z"}}"#,
            "2025-12-31T23:59:59Z",
            "2026-01-01T00:00:00Z",
            [true, false, false],
        ),
        (r#"{"DateGreaterThan":{"k:x":"2026-01-01"}}"#, "2026-01-01T00:00:01Z", "1", [true, false, false]),
        (r#"{"DateEquals":{"k:x":"1767225600"}}"#, "2026-01-01T00:00:00Z", "x", [true, false, false]),
        (r#"{"DateNotEquals":{"k:x":"2026-01-01"}}"#, "2026-01-01T00:00:00Z", "2026-01-02", [false, true, true]),
        (r#"{"Bool":{"k:x":"true"}}"#, "TRUE", "false", [true, false, false]),
        (r#"{"BoolIfExists":{"k:x":false}}"#, "false", "true", [true, false, true]),
        (r#"{"BinaryEquals":{"k:x":"AAE="}}"#, "AAE=", "AAI=", [true, false, false]),
        (r#"{"IpAddress":{"k:x":["10.0.0.0/8","2001:db8::/32"]}}"#, "10.9.8.7", "11.0.0.1", [true, false, false]),
        (r#"{"IpAddress":{"k:x":"192.0.2.7"}}"#, "192.0.2.7", "192.0.2.8", [true, false, false]),
        (r#"{"NotIpAddress":{"k:x":"10.0.0.0/8"}}"#, "10.9.8.7", "11.0.0.1", [false, true, true]),
        (
            r#"{"ArnLike":{"k:x":"arn:aws:iam::*:role/A*"}}"#,
            "arn:aws:iam::1:role/A/b:c",
            "arn:aws:iam:x:y:z:role/A",
            [true, false, false],
        ),
        (r#"{"ArnEquals":{"k:x":"arn:*:iam::1:role/A"}}"#, "arn:aws-cn:iam::1:role/A", "no arn", [true, false, false]),
        (
            r#"{"ArnNotLike":{"k:x":"arn:aws:iam::1:*"}}"#,
            "arn:aws:iam::1:role/A",
            "arn:aws:iam::2:a",
            [false, true, true],
        ),
        (r#"{"Null":{"k:x":"true"}}"#, "", "x", [false, false, true]),
        (r#"{"Null":{"k:x":"false"}}"#, "", "x", [true, true, false]),
    ] {
        let seen = [
            holds(condition, &context(&[("K:X", value)], &[])),
            holds(condition, &context(&[("k:x", other)], &[])),
            holds(condition, &Context::default()),
        ];
        assert_eq!(seen, expected, "{condition}");
    }
}

#[test]
fn set_operators_follow_the_truth_table() {
    for (condition, values, expected) in [
        (r#"{"ForAllValues:StringEquals":{"k:x":["a","b"]}}"#, &["a", "b"] as &[&str], true),
        (r#"{"ForAllValues:StringEquals":{"k:x":["a","b"]}}"#, &["a", "c"], false),
        (r#"{"ForAllValues:StringEquals":{"k:x":["a","b"]}}"#, &[], true),
        (r#"{"ForAnyValue:StringEquals":{"k:x":["a","b"]}}"#, &["c", "b"], true),
        (r#"{"ForAnyValue:StringEquals":{"k:x":["a","b"]}}"#, &["c", "d"], false),
        (r#"{"ForAnyValue:StringEquals":{"k:x":["a","b"]}}"#, &[], false),
        (r#"{"ForAnyValue:StringEqualsIfExists":{"k:x":["a","b"]}}"#, &[], true),
        (r#"{"ForAllValues:StringNotEquals":{"k:x":["a","b"]}}"#, &["c", "d"], true),
        (r#"{"ForAllValues:StringNotEquals":{"k:x":["a","b"]}}"#, &["c", "a"], false),
        (r#"{"ForAllValues:StringNotEquals":{"k:x":["a","b"]}}"#, &[], true),
        (r#"{"ForAnyValue:StringNotLike":{"k:x":["a*"]}}"#, &["ab", "b"], true),
        (r#"{"ForAnyValue:StringNotLike":{"k:x":["a*"]}}"#, &["ab", "a"], false),
        (r#"{"StringEquals":{"k:x":"a"}}"#, &["a"], false),
        (r#"{"StringNotEquals":{"k:x":"a"}}"#, &["b"], false),
        (r#"{"Null":{"k:x":"true"}}"#, &[], true),
    ] {
        assert_eq!(holds(condition, &context(&[], &[("k:x", values)])), expected, "{condition} with {values:?}");
    }
    // A set operator treats a single value as a set of one.
    assert!(holds(r#"{"ForAnyValue:StringEquals":{"k:x":"a"}}"#, &context(&[("k:x", "a")], &[])));
}

#[test]
fn several_keys_and_operators_must_all_hold() {
    let condition = r#"{"StringEquals":{"k:a":"1","k:b":"2"},"StringLike":{"k:c":"3*"}}"#;
    assert!(holds(condition, &context(&[("k:a", "1"), ("k:b", "2"), ("k:c", "33")], &[])));
    for missing in ["k:a", "k:b", "k:c"] {
        let mut all = vec![("k:a", "1"), ("k:b", "2"), ("k:c", "33")];
        all.retain(|(key, _)| *key != missing);
        assert!(!holds(condition, &context(&all, &[])), "{missing}");
    }
}

#[test]
fn variables_are_filled_in_and_never_widen_a_match() {
    let like = r#"{"StringLike":{"sts:RoleSessionName":"${saml:sub}-*"}}"#;
    assert!(holds(like, &context(&[("saml:sub", "asha"), ("sts:RoleSessionName", "asha-1")], &[])));
    assert!(!holds(like, &context(&[("saml:sub", "*"), ("sts:RoleSessionName", "mallory-1")], &[])));
    assert!(holds(like, &context(&[("saml:sub", "*"), ("sts:RoleSessionName", "*-1")], &[])));
    assert!(!holds(like, &context(&[("sts:RoleSessionName", "asha-1")], &[])));
    assert!(!holds(like, &context(&[("sts:RoleSessionName", "a-1")], &[("saml:sub", &["a"])])));

    let default = r#"{"StringEquals":{"k:x":"team-${aws:PrincipalTag/Team, 'none'}"}}"#;
    assert!(holds(default, &context(&[("k:x", "team-none")], &[])));
    assert!(holds(default, &context(&[("k:x", "team-a"), ("aws:principaltag/team", "a")], &[])));

    let escaped = r#"{"StringLike":{"k:x":"a${*}b${?}${$}"}}"#;
    assert!(holds(escaped, &context(&[("k:x", "a*b?$")], &[])));
    assert!(!holds(escaped, &context(&[("k:x", "axxbx$")], &[])));

    let unresolved = r#"{"StringNotEquals":{"k:x":"${k:none}"}}"#;
    assert!(holds(unresolved, &context(&[("k:x", "a")], &[])));
}

#[test]
fn an_old_policy_takes_variables_literally() {
    let policy = Policy::parse(
        PolicyKind::Trust,
        r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Condition":{"StringEquals":{"k:x":"${k:y}"}}}}"#,
    )
    .unwrap();
    assert_eq!(ask(&policy, &context(&[("k:x", "${k:y}"), ("k:y", "a")], &[])), Decision::Allow);
    assert_eq!(ask(&policy, &context(&[("k:x", "a"), ("k:y", "a")], &[])), Decision::ImplicitDeny);
}

#[test]
fn trust_patterns_of_the_field_behave() {
    let tag_required = r#"{"StringLike":{"aws:RequestTag/Team":"*"}}"#;
    assert!(holds(tag_required, &context(&[("aws:requesttag/team", "")], &[])));
    assert!(!holds(tag_required, &Context::default()));
    assert!(holds(r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["Team"]}}"#, &Context::default()));
    assert!(!holds(r#"{"Null":{"sts:TransitiveTagKeys":"false"}}"#, &Context::default()));
    assert!(!holds(r#"{"Bool":{"aws:MultiFactorAuthPresent":"true"}}"#, &Context::default()));
}

#[test]
fn a_session_policy_matches_resources_by_arn_part() {
    let policy = Policy::parse(
        PolicyKind::Session,
        r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::logs-${aws:PrincipalTag/team}/*"},
            {"Effect":"Deny","Action":"s3:*","NotResource":"arn:aws:s3:::*"}]}"#,
    )
    .unwrap();
    let context = context(&[("aws:PrincipalTag/team", "a")], &[]);
    let ask = |action, resource| {
        let principal = &Principal::Anonymous;
        policy.decide(&Request { principal, action, resource: Some(resource), context: &context }).decision
    };
    assert_eq!(ask("s3:GetObject", "arn:aws:s3:::logs-a/x/y:z"), Decision::Allow);
    assert_eq!(ask("s3:GetObject", "arn:aws:s3:::logs-b/x"), Decision::ImplicitDeny);
    assert_eq!(ask("s3:GetObject", "arn:aws:s3:eu-west-1::logs-a/x"), Decision::ExplicitDeny);
}

#[test]
fn malformed_documents_are_refused_with_the_text_of_iam() {
    let principal = format!(r#""Principal":{{"Federated":"{PROVIDER}"}}"#);
    let statement = |body: &str| format!(r#"{{"Version":"2012-10-17","Statement":{{{body}}}}}"#);
    for (document, text) in [
        ("{".to_owned(), "This policy contains invalid Json"),
        (
            r#"{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}"#.to_owned(),
            "This policy contains invalid Json",
        ),
        ("[]".to_owned(), "Syntax errors in policy."),
        (r#"{"version":"2012-10-17","Statement":[]}"#.to_owned(), "Syntax errors in policy."),
        (r#"{"Version":"2012-10-17","Statement":[]}"#.to_owned(), "Syntax errors in policy."),
        (r#"{"Version":"2012-10-18","Statement":[]}"#.to_owned(), "The policy must contain a valid version string"),
        (statement(&format!(r#""Effect":"allow",{principal},"Action":"{ACTION}""#)), "Syntax errors in policy."),
        (statement(&format!(r#"{principal},"Action":"{ACTION}""#)), "Missing required field Effect"),
        (statement(&format!(r#""Effect":"Allow","Action":"{ACTION}""#)), "Missing required field Principal"),
        (statement(&format!(r#""Effect":"Allow",{principal}"#)), "Policy statement must contain actions."),
        (
            statement(&format!(r#""Effect":"Allow",{principal},"Action":"{ACTION}","Resource":"*""#)),
            "Has prohibited field Resource",
        ),
        (
            statement(&format!(r#""Effect":"Allow",{principal},"Action":"s3:GetObject""#)),
            "AssumeRole policy may only specify STS AssumeRole actions.",
        ),
        (
            statement(&format!(r#""Effect":"Allow",{principal},"Action":"AssumeRole""#)),
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
        ),
        (
            statement(&format!(
                r#""Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::1:role/*"}},"Action":"{ACTION}""#
            )),
            "Invalid principal in policy: \"AWS\":\"arn:aws:iam::1:role/*\"",
        ),
        (
            statement(&format!(
                r#""Effect":"Allow",{principal},"Action":"{ACTION}","Condition":{{"StringIs":{{"k:x":"y"}}}}"#
            )),
            "Syntax errors in policy.",
        ),
        (
            statement(&format!(
                r#""Effect":"Allow",{principal},"Action":"{ACTION}","Condition":{{"IpAddress":{{"k:x":"y"}}}}"#
            )),
            "Syntax errors in policy.",
        ),
        (
            statement(&format!(r#""Effect":"Allow",{principal},"Action":"{ACTION}","Extra":1"#)),
            "Syntax errors in policy.",
        ),
        (
            statement(&format!(r#""Sid":"a-b","Effect":"Allow",{principal},"Action":"{ACTION}""#)),
            "Syntax errors in policy.",
        ),
    ] {
        let error = Policy::parse(PolicyKind::Trust, &document).unwrap_err();
        assert_eq!(error.to_string(), text, "{document}");
    }
    let session = |body: &str| Policy::parse(PolicyKind::Session, &statement(body)).unwrap_err().to_string();
    assert_eq!(session(r#""Effect":"Allow","Action":"*""#), "Policy statement must contain resources.");
    assert_eq!(
        session(r#""Effect":"Allow","Action":"*","Resource":"*","Principal":"*""#),
        "Policy document should not specify a principal."
    );
}

fn any_statement() -> impl Strategy<Value = (bool, String)> {
    (
        any::<bool>(),
        prop::sample::select(vec![
            "\"*\"",
            r#"{"Federated":"PROVIDER"}"#,
            r#"{"Federated":"arn:aws:iam::111122223333:saml-provider/other"}"#,
        ]),
        prop::sample::select(vec!["sts:*", "*", ACTION, "sts:TagSession", "sts:AssumeRole*"]),
        prop::sample::select(vec![
            "{}",
            r#"{"StringEquals":{"k:x":"a"}}"#,
            r#"{"StringNotEquals":{"k:x":"a"}}"#,
            r#"{"StringLikeIfExists":{"k:y":"b*"}}"#,
            r#"{"Null":{"k:y":"true"}}"#,
        ]),
    )
        .prop_map(|(allow, principal, action, condition)| {
            let effect = if allow { "Allow" } else { "Deny" };
            let principal = principal.replace("PROVIDER", PROVIDER);
            let text = format!(
                r#"{{"Effect":"{effect}","Principal":{principal},"Action":"{action}","Condition":{condition}}}"#
            );
            (allow, text)
        })
}

proptest! {
    #[test]
    fn deny_always_wins(
        statements in prop::collection::vec(any_statement(), 1..6),
        x in prop::option::of("[ab]"),
        y in prop::option::of("[ab]"),
    ) {
        let mut context = Context::default();
        if let Some(x) = &x { context.set("k:x", x.clone()); }
        if let Some(y) = &y { context.set("k:y", y.clone()); }
        // Each statement alone tells whether it matches; together they must agree with the rule, in any order.
        let matches = |text: &str| ask(&trust(text), &context) != Decision::ImplicitDeny;
        let denied = statements.iter().any(|(allow, text)| !allow && matches(text));
        let allowed = statements.iter().any(|(allow, text)| *allow && matches(text));
        let expected = match (denied, allowed) {
            (true, _) => Decision::ExplicitDeny,
            (false, true) => Decision::Allow,
            (false, false) => Decision::ImplicitDeny,
        };
        let mut texts: Vec<_> = statements.iter().map(|(_, text)| text.as_str()).collect();
        prop_assert_eq!(ask(&trust(&format!("[{}]", texts.join(","))), &context), expected);
        texts.reverse();
        prop_assert_eq!(ask(&trust(&format!("[{}]", texts.join(","))), &context), expected);
    }

    #[test]
    fn no_document_makes_the_parser_panic(text in any::<String>()) {
        let _ = Policy::parse(PolicyKind::Trust, &text);
        let _ = Policy::parse(PolicyKind::Session, &text);
    }

    #[test]
    fn a_value_matches_itself_when_it_comes_through_a_variable(value in any::<String>()) {
        let context = context(&[("k:x", &value), ("k:y", &value)], &[]);
        let condition = r#"{"StringLike":{"k:x":"${k:y}"}}"#;
        prop_assert!(holds(condition, &context));
    }

    #[test]
    fn the_order_of_values_is_irrelevant(
        mut values in prop::collection::vec("[abc*?]{0,3}", 1..5),
        asked in "[abc]{0,3}",
        operator in prop::sample::select(vec![
            "StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase",
            "ForAnyValue:StringLike", "ForAllValues:StringNotLike",
        ]),
    ) {
        let context = context(&[("k:x", &asked)], &[]);
        let condition = |values: &[String]| serde_json::json!({ operator: { "k:x": values } }).to_string();
        let before = holds(&condition(&values), &context);
        values.reverse();
        prop_assert_eq!(holds(&condition(&values), &context), before);
        values.push(values[0].clone());
        prop_assert_eq!(holds(&condition(&values), &context), before, "a value that stands twice");
    }

    #[test]
    fn a_value_with_wildcards_in_a_variable_never_widens(value in "[ab*?$:/]{0,6}", asked in "[ab*?$:/]{0,6}") {
        let context = context(&[("k:x", &asked), ("k:y", &value)], &[]);
        // Whoever chooses the value is matched as they are written, and as nothing else.
        prop_assert_eq!(holds(r#"{"StringLike":{"k:x":"${k:y}"}}"#, &context), asked == value);
        prop_assert_eq!(holds(r#"{"StringNotLike":{"k:x":"${k:y}"}}"#, &context), asked != value);
        let policy = Policy::parse(
            PolicyKind::Identity,
            r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::b/${k:y}/*"}}"#,
        ).unwrap();
        let resource = format!("arn:aws:s3:::b/{asked}/k");
        let request = Request {
            principal: &Principal::Anonymous, action: "s3:x", resource: Some(&resource), context: &context,
        };
        let expected = format!("{asked}/k").starts_with(&format!("{value}/"));
        prop_assert_eq!(policy.decide(&request).decision.is_allow(), expected);
    }

    #[test]
    fn a_statement_more_of_deny_never_allows_more_and_of_allow_never_less_unless_denied(
        statements in prop::collection::vec(any_statement(), 1..5),
        more in any_statement(),
        x in prop::option::of("[ab]"),
    ) {
        let mut context = Context::default();
        if let Some(x) = &x { context.set("k:x", x.clone()); }
        let texts: Vec<&str> = statements.iter().map(|(_, text)| text.as_str()).collect();
        let before = ask(&trust(&format!("[{}]", texts.join(","))), &context);
        let after = ask(&trust(&format!("[{},{}]", texts.join(","), more.1)), &context);
        match (more.0, before) {
            (_, Decision::ExplicitDeny) => prop_assert_eq!(after, Decision::ExplicitDeny),
            (true, Decision::Allow) => prop_assert_eq!(after, Decision::Allow),
            (true, Decision::ImplicitDeny) => prop_assert_ne!(after, Decision::ExplicitDeny),
            (false, Decision::ImplicitDeny) => prop_assert_ne!(after, Decision::Allow),
            (false, Decision::Allow) => {}
        }
    }

    #[test]
    fn what_was_understood_says_what_it_was_made_of(statements in prop::collection::vec(any_statement(), 1..4)) {
        let texts: Vec<&str> = statements.iter().map(|(_, text)| text.as_str()).collect();
        let policy = trust(&format!("[{}]", texts.join(",")));
        for (index, text) in texts.iter().enumerate() {
            let said: serde_json::Value = serde_json::from_str(&policy.statement_text(index)).unwrap();
            prop_assert_eq!(said, serde_json::from_str::<serde_json::Value>(text).unwrap());
        }
    }
}
