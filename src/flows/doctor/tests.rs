use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::catalog::toml::parse_text;
use crate::catalog::{ClockSkew, OidcConnector};
use crate::signin::oidc::{Keys, ProviderMetadata};

const ISSUER: &str = "https://idp.example";

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

/// The verdict of the one check by this name, and what it says.
fn one(found: &Findings, check: &str) -> (Verdict, String) {
    let mut all = found.0.iter().filter(|one| one.check == check);
    let first = all.next().unwrap_or_else(|| panic!("no {check} in {found:?}"));
    assert_eq!(all.next(), None, "{check} stands there twice");
    (first.verdict, format!("{} — {}", first.detail, first.advice.as_deref().unwrap_or("")))
}

#[test]
fn clocks_are_compared_as_far_as_an_answer_allows() {
    let skew = ClockSkew::from_secs(180).unwrap();
    let seen = |off: i64, took: i64| {
        let mut found = Findings::default();
        let (sent, came) = (now(), now() + SignedDuration::from_secs(took));
        let date = sent + SignedDuration::from_secs(took / 2 + off);
        clock::examine(Some(date), sent, came, skew, &mut found);
        one(&found, "clock")
    };
    assert_eq!(seen(0, 0).0, Verdict::Ok);
    assert_eq!(seen(91, 0).0, Verdict::Ok, "one second may be from rounding");
    assert_eq!(seen(92, 0).0, Verdict::Warn);
    assert_eq!(seen(-92, 0).0, Verdict::Warn);
    assert_eq!(seen(181, 0).0, Verdict::Warn);
    assert_eq!(seen(182, 0).0, Verdict::Fail);
    assert_eq!(seen(92, 8).0, Verdict::Ok, "half of what the answer took is not held against anybody");
    let (verdict, said) = seen(-7_500, 0);
    assert_eq!(verdict, Verdict::Fail);
    assert!(said.starts_with("the provider's clock is 2 h 5 min behind ours, and 3 min are allowed"), "{said}");
    let mut found = Findings::default();
    clock::examine(None, now(), now(), skew, &mut found);
    assert_eq!(one(&found, "clock").0, Verdict::Ok);
}

#[test]
fn days_are_whole_and_negative_once_past() {
    let at = |hours: i64| saml::days(now(), now() + SignedDuration::from_hours(hours));
    assert_eq!([at(-1), at(0), at(23), at(24), at(47), at(30 * 24)], [-1, 0, 0, 1, 1, 30]);
}

fn provider(more: &Value) -> ProviderMetadata {
    let mut document = json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://idp.example/authorize",
        "token_endpoint": "https://idp.example/token",
        "jwks_uri": "https://idp.example/jwks",
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ProviderMetadata::read(document.to_string().as_bytes(), &ISSUER.parse().unwrap()).unwrap()
}

fn of_provider(more: &Value, change: impl FnOnce(&mut OidcConnector)) -> Findings {
    let mut connector = OidcConnector::new(ISSUER.parse().unwrap(), "rolegate".to_owned());
    change(&mut connector);
    let mut found = Findings::default();
    oidc::examine(&provider(more), &Catalog::default(), &connector, &mut found);
    found
}

#[test]
fn a_provider_that_offers_nothing_we_accept_stops_sign_ins() {
    let found = of_provider(&json!({"id_token_signing_alg_values_supported": ["ES256", "HS256"]}), |_| {});
    let (verdict, said) = one(&found, "signing-algorithms");
    assert_eq!(verdict, Verdict::Fail);
    assert!(said.contains("only RS256 will be accepted, and it offers ES256, HS256"), "{said}");
    assert_eq!(one(&of_provider(&json!({}), |_| {}), "signing-algorithms").0, Verdict::Ok);
}

#[test]
fn how_we_prove_ourselves_is_held_against_what_is_offered() {
    let secret = |connector: &mut OidcConnector| {
        connector.client_secret = Some(crate::catalog::Secret::Given("x".into()));
    };
    let said = |methods: Value, change: &dyn Fn(&mut OidcConnector)| {
        let found = of_provider(&json!({"token_endpoint_auth_methods_supported": methods}), change);
        one(&found, "client-authentication")
    };
    let (verdict, words) = said(json!(["client_secret_post", "client_secret_basic"]), &secret);
    assert_eq!(verdict, Verdict::Ok);
    assert!(words.starts_with("client_secret_basic is used"), "{words}");
    assert_eq!(said(json!(["private_key_jwt"]), &secret).0, Verdict::Fail);
    assert_eq!(said(json!(["client_secret_basic"]), &|_| {}).0, Verdict::Warn, "a public client is not offered");
    let forgotten = |connector: &mut OidcConnector| connector.client_auth = Some(crate::catalog::ClientAuth::Basic);
    assert_eq!(said(json!(["client_secret_basic"]), &forgotten).0, Verdict::Fail);
}

#[test]
fn what_is_asked_for_and_not_listed_is_pointed_out() {
    let found = of_provider(&json!({"scopes_supported": ["openid", "email"], "acr_values_supported": ["pwd"]}), |c| {
        c.acr_values = vec!["mfa".to_owned()];
    });
    let (verdict, said) = one(&found, "scopes");
    assert_eq!(verdict, Verdict::Warn);
    assert!(said.starts_with("profile is asked for, and it offers openid, email"), "{said}");
    assert_eq!(one(&found, "acr-values").0, Verdict::Warn);
    assert_eq!(one(&found, "pkce").0, Verdict::Ok, "Entra ID mentions none");
    let plain = of_provider(&json!({"code_challenge_methods_supported": ["plain"]}), |_| {});
    assert_eq!(one(&plain, "pkce").0, Verdict::Warn);
    assert_eq!(one(&plain, "scopes").0, Verdict::Ok, "nothing is listed");
}

#[test]
fn a_key_set_without_a_key_for_our_algorithms_stops_sign_ins() {
    let p256 = json!({"kty": "EC", "kid": "e", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                      "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
    let symmetric = json!({"kty": "oct", "kid": "s", "k": "c2VjcmV0"});
    let keys = Keys::read(json!({"keys": [p256, symmetric]}).to_string().as_bytes()).unwrap();
    let mut found = Findings::default();
    let usual = OidcConnector::new(ISSUER.parse().unwrap(), "rolegate".to_owned());
    oidc::examine_keys(&keys, &usual.signing_algorithms, &mut found);
    assert_eq!(one(&found, "jwks").0, Verdict::Fail);
    let details: Vec<&str> =
        found.0.iter().filter(|one| one.check == "jwks-key").map(|one| one.detail.as_str()).collect();
    assert_eq!(details.len(), 2);
    assert!(details[0].contains("kid e (elliptic curve P-256) is for none"), "{details:?}");
    assert!(details[1].contains("kid s is not used: it is a shared secret"), "{details:?}");
    assert!(!format!("{found:?}").contains("c2VjcmV0"));
}

#[test]
fn rules_that_nobody_from_here_can_meet_are_named() {
    let text = r#"
        [[connector]]
        id = "okta"
        kind = "saml"
        metadata_url = "https://idp.example/metadata"
        enabled = false
        [connector.attributes]
        name = "displayName"
        [[connector]]
        id = "entra-1"
        kind = "saml"
        metadata_url = "https://idp.example/metadata"
        attributes = { groups = "groups" }
        [[account]]
        id = "111122223333"
        name = "Payments"
        [[role]]
        account = "111122223333"
        name = "ReadOnly"
        [[rule]]
        id = "by-group"
        when = { groups = "a" }
        grant = [{ account = "*", role = "ReadOnly" }]
        [[rule]]
        id = "elsewhere"
        when = { groups = "a", connector = "entra-1" }
        grant = [{ account = "*", role = "ReadOnly" }]
        [[rule]]
        id = "by-name"
        when = { name = "Asha", subject = "1" }
        grant = [{ account = "*", role = "ReadOnly" }]
        [[rule]]
        id = "by-mail"
        when = { email = "a@corp.example" }
        grant = [{ account = "*", role = "ReadOnly" }]
    "#;
    let catalog = parse_text("test.toml", text).unwrap_or_else(|mistakes| panic!("{mistakes}")).catalog;
    let mut found = Findings::default();
    catalog::examine(&catalog, catalog.connector(&"okta".parse().unwrap()).unwrap(), &mut found);
    assert_eq!(one(&found, "enabled").0, Verdict::Warn);
    let (verdict, said) = one(&found, "groups");
    assert_eq!(verdict, Verdict::Warn);
    assert!(said.contains("by-group") && !said.contains("elsewhere"), "{said}");
    let (verdict, said) = one(&found, "attributes");
    assert_eq!(verdict, Verdict::Warn);
    assert!(said.contains("`email` is not mapped") && said.contains("by-mail"), "{said}");
}

#[test]
fn the_gravest_finding_counts_and_nothing_a_provider_wrote_moves_the_cursor() {
    let mut found = Findings::default();
    found.ok("a", "x\u{1b}[2J");
    found.warn("b", "y", "z");
    assert_eq!(found.0[0].detail, "x\u{fffd}[2J");
    let id = "okta".parse().unwrap();
    let examination = |checks| Examination {
        connector: ConnectorId::clone(&id),
        name: String::new(),
        protocol: "saml",
        enabled: true,
        examined: true,
        paste: Vec::new(),
        checks,
    };
    assert_eq!(examination(found.0.clone()).verdict(), Verdict::Warn);
    found.fail("c", "y", "z");
    assert_eq!(examination(found.0).verdict(), Verdict::Fail);
    assert_eq!(examination(Vec::new()).verdict(), Verdict::Ok);
}
