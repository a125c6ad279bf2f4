use super::*;
use crate::sandbox::World;

const NOW: &str = "2026-11-21T12:00:00Z";

fn ask(question: Value) -> Result<Answered, QuestionError> {
    let world = World::larkspur();
    let question = serde_json::from_value(question).map_err(|error| QuestionError::Json(error.to_string()))?;
    answer(world.iam(), None, &question, NOW.parse().unwrap())
}

const READER: &str = "arn:aws:iam::111122223333:role/ReadOnly";
const OBJECT: &str = "arn:aws:s3:::larkspur-artifacts/a";

#[test]
fn an_answer_names_the_statement_and_the_policy_it_is_in() {
    let yes = ask(json!({ "principal": READER, "action": "s3:GetObject", "resource": OBJECT })).unwrap();
    assert_eq!(yes.decision, Outcome::Allowed);
    assert_eq!(yes.principal, "arn:aws:sts::111122223333:assumed-role/ReadOnly/simulated");
    let layer = &yes.actions[0].policies[0];
    assert_eq!((layer.kind.as_str(), layer.needed), ("identity", true));
    assert_eq!(layer.by.as_ref().unwrap().policy, "arn:aws:iam::aws:policy/ReadOnlyAccess");
    assert_eq!(
        yes.actions[0].context.get("aws:principalarn"),
        Some(&OneOrMany::One(READER.to_owned())),
        "what policies saw is shown"
    );

    let no = ask(json!({ "principal": READER, "action": "s3:PutObject", "resource": OBJECT })).unwrap();
    assert_eq!(no.decision, Outcome::ImplicitDeny);
    assert_eq!(no.actions[0].aws_says, "because no identity-based policy allows the s3:PutObject action");

    let limited = ask(json!({
        "principal": READER, "action": "s3:GetObject", "resource": OBJECT,
        "session_policy": { "Version": "2012-10-17", "Statement": [
            { "Sid": "Region", "Effect": "Deny", "Action": "*", "Resource": "*",
              "Condition": { "StringNotEquals": { "aws:RequestedRegion": "eu-west-1" } } },
            { "Effect": "Allow", "Action": "*", "Resource": "*" } ] },
        "context": { "aws:RequestedRegion": "us-east-1" },
    }))
    .unwrap();
    assert_eq!(limited.decision, Outcome::ExplicitDeny);
    let session = limited.actions[0].policies.iter().find(|layer| layer.kind == "session").unwrap();
    assert_eq!(session.by.as_ref().unwrap().sid.as_deref(), Some("Region"));
    // The same through JSON and back.
    let again: Answered = serde_json::from_str(&serde_json::to_string(&limited).unwrap()).unwrap();
    assert_eq!(again, limited);
}

#[test]
fn why_one_may_not_assume_a_role_is_told_down_to_the_condition() {
    let hub = "arn:aws:iam::127790045613:role/RolegateHub";
    let exchange = "arn:aws:iam::177419203846:role/Partner/DataExchange";
    let no = ask(json!({ "principal": hub, "action": "sts:AssumeRole", "resource": exchange })).unwrap();
    assert_eq!(no.decision, Outcome::ImplicitDeny);
    let trust = &no.actions[0].policies[0];
    let nearly = &trust.nearly[0];
    assert_eq!(nearly.sid.as_deref(), Some("TheHubWithOurExternalId"));
    assert_eq!(
        nearly.missing[0].to_string(),
        "StringEquals on sts:ExternalId wants larkspur-7h2k; the request has no such key"
    );
    let yes = ask(json!({
        "principal": hub, "action": "sts:AssumeRole", "resource": exchange,
        "session": { "source_identity": "lin" },
        "assume": { "external_id": "larkspur-7h2k", "tags": { "team": "payments" } },
    }))
    .unwrap();
    assert_eq!(yes.decision, Outcome::Allowed, "{}", yes.reason);
    let actions: Vec<&str> = yes.actions.iter().map(|action| action.action.as_str()).collect();
    assert_eq!(actions, ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]);

    // By SAML: what every assertion says need not be said.
    let provider = "arn:aws:iam::111122223333:saml-provider/rolegate";
    let saml = |session_name: &str| {
        ask(json!({
            "principal": provider, "action": "sts:AssumeRoleWithSAML",
            "resource": "arn:aws:iam::111122223333:role/Admin", "assume": { "session_name": session_name },
        }))
        .unwrap()
    };
    assert_eq!(saml("asha@larkspur.example").decision, Outcome::Allowed);
    assert_eq!(saml("kim@gantrytech.example").decision, Outcome::ExplicitDeny);
    let web = ask(json!({
        "principal": "arn:aws:iam::195530284716:oidc-provider/broker.invalid",
        "action": "sts:AssumeRoleWithWebIdentity", "resource": "arn:aws:iam::195530284716:role/oidc/Publisher",
    }))
    .unwrap();
    assert_eq!(web.decision, Outcome::Allowed, "{}", web.reason);
}

#[test]
fn a_question_that_makes_no_sense_is_told_why() {
    let code = |question: Value| ask(question).unwrap_err().code();
    let read = |who: &str| json!({ "principal": who, "action": "s3:GetObject" });
    assert_eq!(code(json!({ "action": "s3:GetObject" })), "who");
    assert_eq!(code(json!({ "principal": READER, "action": "s3:GetObject", "more": 1 })), "invalid-json");
    for bad in ["", "asha", "arn:aws:s3:::b", "arn:aws:iam::1:role/x", "arn:aws:iam::111122223333:group/x"] {
        assert_eq!(code(read(bad)), "invalid-principal", "{bad}");
    }
    for gone in [
        "arn:aws:iam::111122223333:role/Gone",
        "arn:aws:iam::111122223333:user/gone",
        "arn:aws:sts::111122223333:assumed-role/Gone/x",
    ] {
        assert_eq!(code(read(gone)), "no-such-principal", "{gone}");
    }
    for action in ["GetObject", "s3:", ":x", ""] {
        assert_eq!(code(json!({ "principal": READER, "action": action })), "invalid-action", "{action}");
    }
    let assume = |who: &str, action: &str, role: &str| json!({ "principal": who, "action": action, "resource": role });
    assert_eq!(code(assume(READER, "sts:AssumeRole", "*")), "not-a-role");
    assert_eq!(code(assume(READER, "sts:AssumeRoleWithSAML", READER)), "wrong-way");
    let with = |policy: Value| json!({ "principal": READER, "action": "s3:GetObject", "session_policy": policy });
    assert_eq!(code(with(json!("{"))), "malformed-session-policy");
    assert_eq!(code(with(json!({ "Statement": [] }))), "malformed-session-policy");
    let arns =
        |who: &str, arn: &str| json!({ "principal": who, "action": "s3:GetObject", "session_policy_arns": [arn] });
    assert_eq!(code(arns(READER, "arn:aws:iam::aws:policy/Gone")), "unknown-policy");
    let user = "arn:aws:iam::146281930057:user/finance/lin";
    assert_eq!(code(arns(user, "arn:aws:iam::aws:policy/ReadOnlyAccess")), "no-session");
    let key = |id: &str| json!({ "credentials": { "access_key_id": id }, "action": "s3:GetObject" });
    assert_eq!(code(key("SBUKNOBODY")), "unknown-credentials");
    let mut with_session = key("SBUKLINWEISESSIONKEY");
    with_session["session"] = json!({ "name": "x" });
    assert_eq!(code(with_session), "session-of-credentials");
    assert_eq!(ask(key("SBUKLINWEISESSIONKEY")).unwrap().decision, Outcome::ExplicitDeny, "no second factor");
    let page = include_str!("../../../docs/sandbox-policies.md");
    for error in QuestionError::all() {
        assert!(page.contains(&format!("| `{}` |", error.code())), "docs/sandbox-policies.md lacks {}", error.code());
    }
}

#[test]
fn odd_policies_are_warned_about() {
    let answered = ask(json!({
        "principal": READER, "action": "s3:GetObject", "resource": OBJECT,
        "session_policy": { "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": "*", "Resource": "*",
              "Condition": { "StringEquals": { "aws:TagKeys": "a" } } },
            { "Effect": "Allow", "Action": "*", "Resource": "*",
              "Condition": { "ForAllValues:StringEquals": { "aws:TagKeys": "a" } } } ] },
    }))
    .unwrap();
    assert_eq!(answered.warnings.len(), 2, "{:?}", answered.warnings);
    assert!(answered.warnings[0].contains("never matches"), "{:?}", answered.warnings);
    assert!(answered.warnings[1].contains("absent"), "{:?}", answered.warnings);
}
