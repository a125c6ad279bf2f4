use serde_json::json;

use super::*;
use crate::catalog::Glob;
use crate::catalog::Pattern;
use crate::signin::oidc::forge::{self, OTHER_RSA, P256, RSA, jwks, now, with};

const ISSUER: &str = "https://token.actions.githubusercontent.com";
const AUDIENCE: &str = "https://aws.example.com";

fn exactly(text: &str) -> AnyOf {
    AnyOf::new(vec![Pattern::Exact(text.to_owned())]).unwrap()
}

fn path(parts: &[&str]) -> ClaimPath {
    ClaimPath::new(parts.iter().map(|part| (*part).to_owned()).collect()).unwrap()
}

fn connector() -> WorkloadConnector {
    let mut connector = WorkloadConnector::new(ISSUER.parse().unwrap());
    for name in ["repository", "repository_owner", "ref"] {
        connector.attributes.insert(name.parse().unwrap(), ClaimPath::literal(name));
    }
    connector.attributes.insert("namespace".parse().unwrap(), path(&["kubernetes.io", "namespace"]));
    connector.require.insert("repository_owner".parse().unwrap(), exactly("corp"));
    connector
}

fn settings(connector: &WorkloadConnector) -> Settings {
    let keys = Keys::read(&jwks([RSA.jwk(), P256.jwk()])).unwrap();
    Settings::new("ci".parse().unwrap(), connector, keys, AUDIENCE)
}

fn header() -> Value {
    json!({"alg": "RS256", "kid": RSA.id, "typ": "JWT"})
}

fn claims() -> Value {
    let at = now().as_second();
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "repo:corp/app:ref:refs/heads/main", "jti": "j-1",
        "iat": at, "nbf": at - 600, "exp": at + 300,
        "repository": "corp/app", "repository_owner": "corp", "ref": "refs/heads/main",
    })
}

fn code_with(connector: &WorkloadConnector, headers: &Value, changes: &Value) -> &'static str {
    let token = RSA.token(&with(header(), headers), &with(claims(), changes));
    settings(connector).judge(&token, now()).map_or_else(|e| e.code(), |_| "accepted")
}

fn code(changes: &Value) -> &'static str {
    code_with(&connector(), &json!({}), changes)
}

#[test]
fn an_honest_token_says_who_the_workload_is() {
    let token = RSA.token(&header(), &claims());
    let seen = settings(&connector()).judge(&token, now()).unwrap();
    let identity = &seen.identity;
    assert_eq!(identity.subject.to_string(), "ci:repo:corp/app:ref:refs/heads/main");
    assert_eq!(identity.attributes.values("repository"), ["corp/app"]);
    assert!(identity.attributes.values("namespace").is_empty());
    assert_eq!((&identity.email, &identity.name, identity.groups.known().len()), (&None, &None, 0));
    assert_eq!(identity.authentication, Authentication::default(), "nobody signed in");
    assert_eq!(seen.jti.as_deref(), Some("j-1"));
    assert_eq!(seen.expires, now() + SignedDuration::from_secs(300));
    // Age, skew and a minute.
    assert_eq!(seen.replay_until, now() + SignedDuration::from_mins(64));
    let again = settings(&connector()).judge(&token, now()).unwrap();
    assert_eq!(again.evidence, seen.evidence);
    let other = RSA.token(&header(), &with(claims(), &json!({"jti": "j-2"})));
    assert_ne!(settings(&connector()).judge(&other, now()).unwrap().evidence, seen.evidence);
}

#[test]
fn what_a_token_claims_only_chooses_whose_keys_are_tried() {
    let claimed_by = |claims: &Value| claimed(&RSA.token(&header(), claims)).map_err(|e| e.code());
    let expected = Claimed { issuer: ISSUER.to_owned(), audiences: vec![AUDIENCE.to_owned()] };
    assert_eq!(claimed_by(&claims()), Ok(expected));
    let both = claimed_by(&with(claims(), &json!({"aud": ["a", "b"]}))).unwrap();
    assert_eq!(both.audiences, ["a", "b"]);
    assert_eq!(claimed_by(&with(claims(), &json!({"iss": null}))).unwrap_err(), "claim-missing");
    assert_eq!(claimed_by(&with(claims(), &json!({"iss": [ISSUER]}))).unwrap_err(), "claim-malformed");
    for (token, expected) in [
        ("".to_owned(), "token-malformed"),
        ("a.b".to_owned(), "token-malformed"),
        ("a.b.c.d.e".to_owned(), "token-malformed"),
        ("a.!.c".to_owned(), "token-malformed"),
        ("a.W10.c".to_owned(), "json-not-an-object"),
        (RSA.raw_token(&header(), b"{\"iss\":\"a\",\"iss\":\"b\"}"), "json-duplicate-member"),
        (format!("a.{}.c", "A".repeat(MAX_BYTES)), "token-too-large"),
    ] {
        assert_eq!(claimed(&token).unwrap_err().code(), expected, "{}", excerpt(&token));
    }
}

#[test]
fn a_token_is_refused_for_who_issued_it_for_whom_and_when() {
    let at = now().as_second();
    for (changes, expected) in [
        (json!({"iss": "https://token.actions.githubusercontent.com/"}), "issuer-wrong"),
        (json!({"iss": "https://token.actions.githubusercontent.com.evil.example"}), "issuer-wrong"),
        (json!({"iss": null}), "claim-missing"),
        (json!({"aud": "sts.amazonaws.com"}), "audience-wrong"),
        (json!({"aud": format!("{AUDIENCE}/")}), "audience-wrong"),
        (json!({"aud": null}), "claim-missing"),
        (json!({"aud": []}), "audience-wrong"),
        (json!({"aud": [AUDIENCE]}), "accepted"),
        (json!({"aud": [AUDIENCE, AUDIENCE]}), "accepted"),
        (json!({"aud": [AUDIENCE, "https://vault.corp.example"]}), "audience-not-alone"),
        (json!({"aud": {"0": AUDIENCE}}), "claim-malformed"),
        (json!({"sub": null}), "claim-missing"),
        (json!({"sub": ""}), "subject-unusable"),
        (json!({"sub": "a\nb"}), "subject-unusable"),
        (json!({"sub": ["repo:corp/app"]}), "claim-malformed"),
        (json!({"sub": "x".repeat(1_025)}), "subject-unusable"),
        (json!({"sub": "project_path:corp/app:ref_type:branch:ref:größe"}), "accepted"),
        (json!({"sub": "x".repeat(1_024)}), "accepted"),
        (json!({"exp": at - 180}), "lifetime-senseless"),
        (json!({"iat": at - 400, "exp": at - 180}), "expired"),
        (json!({"exp": null}), "claim-missing"),
        (json!({"exp": "soon"}), "claim-malformed"),
        (json!({"iat": null}), "claim-missing"),
        (json!({"iat": at + 181}), "issued-in-future"),
        (json!({"nbf": at + 181}), "not-yet-valid"),
        (json!({"iat": at - 3_780, "exp": at + 10_000}), "issued-long-ago"),
        (json!({"iat": at - 3_779, "exp": at + 10_000}), "accepted"),
        (json!({"exp": at + 400 * 24 * 3_600}), "lifetime-senseless"),
        (json!({"nonce": "n"}), "nonce-present"),
        (json!({"jti": 7}), "claim-malformed"),
        (json!({"jti": null}), "accepted"),
    ] {
        assert_eq!(code(&changes), expected, "{changes}");
    }
    let open = WorkloadConnector { other_audiences: true, ..connector() };
    assert_eq!(code_with(&open, &json!({}), &json!({"aud": [AUDIENCE, "vault"]})), "accepted");
    assert_eq!(code_with(&open, &json!({}), &json!({"aud": ["vault"]})), "audience-wrong");
    let ours = WorkloadConnector { audience: Some("rolegate".to_owned()), ..connector() };
    assert_eq!(code_with(&ours, &json!({}), &json!({})), "audience-wrong");
    assert_eq!(code_with(&ours, &json!({}), &json!({"aud": "rolegate"})), "accepted");
}

#[test]
fn a_token_is_refused_for_how_it_is_signed() {
    for (changes, expected) in [
        (json!({"alg": "none"}), "token-unsigned"),
        (json!({"alg": "HS256"}), "algorithm-not-allowed"),
        (json!({"alg": "RS512"}), "algorithm-not-allowed"),
        (json!({"kid": "gone"}), "key-unknown"),
        (json!({"kid": P256.id}), "key-mismatch"),
        (json!({"kid": null}), "accepted"),
        (json!({"kid": 1}), "token-header-malformed"),
        (json!({"typ": null}), "accepted"),
        (json!({"typ": "at+jwt"}), "token-type-wrong"),
        (json!({"typ": "logout+jwt"}), "token-type-wrong"),
        (json!({"crit": ["exp"]}), "token-header-critical"),
        (json!({"jwk": OTHER_RSA.jwk(), "jku": "https://evil.example/jwks"}), "accepted"),
    ] {
        assert_eq!(code_with(&connector(), &changes, &json!({})), expected, "{changes}");
    }
    let judged = |token: &str| settings(&connector()).judge(token, now()).map_or_else(|e| e.code(), |_| "accepted");
    assert_eq!(judged(&OTHER_RSA.token(&header(), &claims())), "signature-wrong");
    let twice = claims().to_string().replacen('{', "{\"repository_owner\":\"corp\",", 1);
    assert_eq!(judged(&RSA.raw_token(&header(), twice.as_bytes())), "json-duplicate-member");
    let confused = RSA.token(&with(header(), &json!({"alg": "HS256"})), &claims());
    assert_eq!(judged(&confused), "algorithm-not-allowed");
    let ecdsa = json!({"alg": "ES256", "kid": P256.id});
    assert_eq!(judged(&P256.token(&ecdsa, &claims())), "algorithm-not-allowed");
}

#[test]
fn what_is_required_is_one_value_of_the_right_kind() {
    for (changes, expected) in [
        (json!({"repository_owner": "evil"}), "required-attribute-wrong"),
        (json!({"repository_owner": "Corp"}), "required-attribute-wrong"),
        (json!({"repository_owner": "corp "}), "required-attribute-wrong"),
        (json!({"repository_owner": null}), "required-attribute-missing"),
        (json!({"repository_owner": ""}), "required-attribute-missing"),
        (json!({"repository_owner": []}), "required-attribute-missing"),
        (json!({"repository_owner": ["corp", "evil"]}), "required-attribute-missing"),
        (json!({"repository_owner": {"name": "corp"}}), "required-attribute-missing"),
        (json!({"repository_owner": [["corp"]]}), "required-attribute-missing"),
        (json!({"repository_owner": ["corp"]}), "accepted"),
    ] {
        assert_eq!(code(&changes), expected, "{changes}");
    }
    let mut numbered = connector();
    numbered.require = BTreeMap::from([("repository".parse().unwrap(), exactly("4711"))]);
    assert_eq!(code_with(&numbered, &json!({}), &json!({"repository": 4711})), "accepted");
    numbered.require = BTreeMap::from([(
        Attribute::Subject,
        AnyOf::new(vec![Pattern::Glob(Glob::new("repo:corp/*").unwrap())]).unwrap(),
    )]);
    assert_eq!(code_with(&numbered, &json!({}), &json!({})), "accepted");
    assert_eq!(code_with(&numbered, &json!({}), &json!({"sub": "repo:evil/app:ref:x"})), "required-attribute-wrong");
}

#[test]
fn a_claim_inside_another_is_found_by_its_path_and_by_nothing_that_looks_like_it() {
    let mut connector = connector();
    connector.require = BTreeMap::from([("namespace".parse().unwrap(), exactly("ci"))]);
    let code = |changes: Value| code_with(&connector, &json!({}), &changes);
    assert_eq!(code(json!({"kubernetes.io": {"namespace": "ci", "serviceaccount": {"name": "d"}}})), "accepted");
    for trick in [
        json!({"kubernetes.io.namespace": "ci"}),
        json!({"kubernetes": {"io": {"namespace": "ci"}}}),
        json!({"kubernetes.io": [{"namespace": "ci"}]}),
        json!({"kubernetes.io": {"namespace": {"0": "ci"}}}),
        json!({"kubernetes.io": "namespace"}),
        json!({"kubernetes.io → namespace": "ci"}),
        json!({"/kubernetes.io/namespace": "ci"}),
        json!({"namespace": "ci"}),
    ] {
        assert_eq!(code(trick.clone()), "required-attribute-missing", "{trick}");
    }
    assert_eq!(code(json!({"kubernetes.io": {"namespace": "kube-system"}})), "required-attribute-wrong");
}

#[test]
fn an_id_token_of_a_person_is_no_workload() {
    let mut connector = connector();
    connector.require.clear();
    let token = RSA.token(&forge::header(), &with(forge::claims(), &json!({"iss": ISSUER, "aud": AUDIENCE})));
    assert_eq!(settings(&connector).judge(&token, now()).unwrap_err().code(), "nonce-present");
}

#[test]
fn only_a_token_that_a_new_one_would_replace_is_about_time() {
    let at = now().as_second();
    let about = |changes: Value| {
        let token = RSA.token(&header(), &with(claims(), &changes));
        settings(&connector()).judge(&token, now()).unwrap_err().is_about_time()
    };
    assert!(about(json!({"iat": at - 400, "exp": at - 180})) && about(json!({"iat": at + 181})));
    assert!(!about(json!({"aud": "x"})) && !about(json!({"repository_owner": "evil"})));
}
