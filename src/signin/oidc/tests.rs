use proptest::prelude::*;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::forge::{self, CLIENT, ED25519, ISSUER, OTHER_RSA, P256, P384, RSA, claims, header, now, settings, with};
use super::*;
use crate::catalog::{ClaimGroups, ClaimPath};
use crate::identity::Groups;

fn judge(token: &str, attempt: Attempt, settings: &Settings) -> Result<SignIn<Recognised>, OidcError> {
    SignIn::resume(attempt).judge(forge::answer(token), &forge::secrets(), settings, now())
}

fn outcome(token: &str, settings: &Settings) -> &'static str {
    judge(token, forge::attempt(), settings).map_or_else(|e| e.code(), |_| "accepted")
}

/// An honest token but for these changes to its header and claims.
fn changed(headers: &Value, changes: &Value) -> String {
    RSA.token(&with(header(), headers), &with(claims(), changes))
}

#[test]
fn an_honest_token_signs_its_person_in() {
    let token = changed(&json!({}), &json!({"sid": "s-1", "acr": "mfa", "amr": ["pwd", "otp"]}));
    let recognised = judge(&token, forge::attempt(), &settings()).unwrap();
    assert!(recognised.userinfo_request(&settings()).is_none(), "nothing is missing");
    let verified = recognised.finish(UserinfoAnswer::NotAsked, &settings(), now()).unwrap();
    let reply = verified.into_reply();
    let identity = &reply.identity;
    assert_eq!(identity.subject.to_string(), "idp:person-1");
    assert_eq!((identity.asserted.as_deref(), identity.asserted_subject()), (None, "person-1"));
    assert_eq!(identity.name.as_deref(), Some("Asha Rao"));
    assert_eq!(identity.email.as_deref(), Some("asha@corp.example"));
    assert_eq!(identity.groups, Groups::default());
    let authentication = &identity.authentication;
    assert_eq!(authentication.instant, Some(now() - SignedDuration::from_secs(10)));
    assert_eq!(authentication.context_class.as_deref(), Some("mfa"));
    assert_eq!(authentication.methods, ["pwd", "otp"]);
    assert_eq!(authentication.session_index.as_deref(), Some("s-1"));
    assert_eq!(reply.issuer, ISSUER);
    assert_eq!(reply.replay_until, now() + SignedDuration::from_mins(14));
    assert_eq!(reply.id_token.expose_secret(), token);
    assert_eq!(reply.userinfo_failure, None);
}

#[test]
fn every_algorithm_of_the_connector_is_taken_and_no_other() {
    for (algorithm, pair) in [
        ("RS256", &RSA),
        ("RS384", &RSA),
        ("RS512", &RSA),
        ("PS256", &RSA),
        ("PS384", &RSA),
        ("PS512", &RSA),
        ("ES256", &P256),
        ("ES384", &P384),
        ("EdDSA", &ED25519),
    ] {
        let token = pair.token(&json!({"alg": algorithm, "kid": pair.id}), &claims());
        assert_eq!(outcome(&token, &settings()), "accepted", "{algorithm}");
        let mut pinned = settings();
        pinned.algorithms.remove(&algorithm.parse().unwrap());
        assert_eq!(outcome(&token, &pinned), "algorithm-not-allowed", "{algorithm}");
    }
}

#[test]
fn no_header_gets_around_the_pinned_algorithms_and_keys() {
    for (changes, expected) in [
        (json!({"alg": "none"}), "token-unsigned"),
        (json!({"alg": "nOnE"}), "token-unsigned"),
        (json!({"alg": "HS256"}), "algorithm-not-allowed"),
        (json!({"alg": "ES512"}), "algorithm-not-allowed"),
        (json!({"alg": "rs256"}), "algorithm-not-allowed"),
        (json!({"alg": ["RS256"]}), "token-header-malformed"),
        (json!({"alg": null}), "token-header-malformed"),
        (json!({"crit": ["exp"]}), "token-header-critical"),
        (json!({"crit": [], "alg": "HS256"}), "algorithm-not-allowed"),
        (json!({"cty": "JWT"}), "token-content-type"),
        (json!({"typ": "at+jwt"}), "token-type-wrong"),
        (json!({"typ": "application/at+jwt"}), "token-type-wrong"),
        (json!({"typ": "logout+jwt"}), "token-type-wrong"),
        (json!({"typ": "JOSE"}), "token-type-wrong"),
        (json!({"typ": 1}), "token-header-malformed"),
        (json!({"kid": 1}), "token-header-malformed"),
        (json!({"kid": "rsa-9"}), "key-unknown"),
        (json!({"kid": P256.id}), "key-mismatch"),
        (json!({"typ": null}), "accepted"),
        (json!({"typ": "jwt"}), "accepted"),
        (json!({"typ": "application/jwt"}), "accepted"),
        // Unknown members are ignored (RFC 7515, 4), and those that bring keys are not looked at.
        (json!({"ver": "1", "x5t": "abc", "x5c": ["x"], "jku": "http://169.254.169.254/", "x5u": 1}), "accepted"),
    ] {
        assert_eq!(outcome(&changed(&changes, &json!({})), &settings()), expected, "{changes}");
    }
}

#[test]
fn a_forged_signature_is_refused_whatever_the_header_brings() {
    let own_key = with(header(), &json!({"jwk": OTHER_RSA.jwk(), "jku": "https://evil.example/jwks"}));
    assert_eq!(outcome(&OTHER_RSA.token(&own_key, &claims()), &settings()), "signature-wrong");

    let token = changed(&json!({}), &json!({}));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let stolen =
        format!("{}.{}.{signature}", forge::part(&header()), forge::part(&with(claims(), &json!({"sub": "x"}))));
    assert_eq!(outcome(&stolen, &settings()), "signature-wrong");
    assert_eq!(outcome(&format!("{signed}."), &settings()), "signature-wrong");

    // HMAC with the public key as the secret, the classic confusion.
    let hmac = with(header(), &json!({"alg": "HS256"}));
    assert_eq!(
        outcome(&format!("{}.{}.AAAA", forge::part(&hmac), forge::part(&claims())), &settings()),
        "algorithm-not-allowed"
    );
    let none = with(header(), &json!({"alg": "none"}));
    assert_eq!(outcome(&format!("{}.{}.", forge::part(&none), forge::part(&claims())), &settings()), "token-unsigned");

    // The numbers zero were once a signature to everything (CVE-2022-21449).
    let es = json!({"alg": "ES256", "kid": P256.id});
    let zero = format!("{}.{}.{}", forge::part(&es), forge::part(&claims()), "A".repeat(86));
    assert_eq!(outcome(&zero, &settings()), "signature-wrong");
    // A PSS signature is no PKCS #1 signature.
    let pss = RSA.token(&json!({"alg": "PS256", "kid": RSA.id}), &claims());
    let (_, signature) = pss.rsplit_once('.').unwrap();
    let confused = format!("{}.{}.{signature}", forge::part(&header()), forge::part(&claims()));
    assert_eq!(outcome(&confused, &settings()), "signature-wrong");
}

#[test]
fn what_is_no_signed_token_is_refused() {
    let token = changed(&json!({}), &json!({}));
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else { panic!("three parts") };
    let doubled = { URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","kid":"rsa-1","alg":"none"}"#) };
    for (token, expected) in [
        (String::new(), "token-malformed"),
        (format!("{header}.{payload}"), "token-malformed"),
        (format!("{token}.{signature}"), "token-malformed"),
        (format!("{header}.a.b.c.d"), "token-malformed"),
        (format!("{header}=.{payload}.{signature}"), "token-malformed"),
        (format!(" {token}"), "token-malformed"),
        (format!("{header}.{payload}.{signature}+"), "token-malformed"),
        (format!("{}.{payload}.{signature}", forge::part(&json!([]))), "json-not-an-object"),
        (format!("{doubled}.{payload}.{signature}"), "json-duplicate-member"),
        ("x".repeat(600 * 1024), "token-too-large"),
    ] {
        let error = judge_raw(&token);
        assert_eq!(error, expected, "{}", &token[..token.len().min(80)]);
    }
    // What is signed is read as strictly: two subjects are none.
    let raw = claims().to_string();
    let twice = format!("{},\"sub\":\"other\"}}", raw.trim_end_matches('}'));
    let signed = RSA.raw_token(&forge::header(), twice.as_bytes());
    assert_eq!(outcome(&signed, &settings()), "json-duplicate-member");
    assert_eq!(outcome(&RSA.raw_token(&forge::header(), b"[]"), &settings()), "json-not-an-object");
}

/// Past the token endpoint's own limits.
fn judge_raw(token: &str) -> &'static str {
    verify(token, Purpose::IdToken, settings().trust()).map_or_else(|e| e.code(), |_| "accepted")
}

#[test]
fn every_claim_is_held_against_what_was_asked() {
    let at = now().as_second();
    for (changes, expected) in [
        (json!({"iss": null}), "claim-missing"),
        (json!({"iss": 1}), "claim-malformed"),
        (json!({"iss": "https://idp.example/realm/"}), "issuer-wrong"),
        (json!({"iss": "https://IDP.example/realm"}), "issuer-wrong"),
        (json!({"iss": "https://idp.example/other"}), "issuer-wrong"),
        (json!({"aud": null}), "claim-missing"),
        (json!({"aud": []}), "audience-wrong"),
        (json!({"aud": "other"}), "audience-wrong"),
        (json!({"aud": [CLIENT, 7]}), "claim-malformed"),
        (json!({"aud": {"a": CLIENT}}), "claim-malformed"),
        (json!({"aud": [CLIENT]}), "accepted"),
        (json!({"aud": [CLIENT, "other"]}), "authorized-party-missing"),
        (json!({"aud": [CLIENT, "other"], "azp": CLIENT}), "accepted"),
        (json!({"aud": [CLIENT, "other"], "azp": "other"}), "authorized-party-wrong"),
        (json!({"azp": "other"}), "authorized-party-wrong"),
        (json!({"azp": CLIENT}), "accepted"),
        (json!({"azp": [CLIENT]}), "claim-malformed"),
        (json!({"sub": null}), "claim-missing"),
        (json!({"sub": ""}), "subject-unusable"),
        (json!({"sub": 7}), "claim-malformed"),
        (json!({"sub": "a\nb"}), "subject-unusable"),
        (json!({"sub": "jürgen"}), "subject-unusable"),
        (json!({"sub": "x".repeat(255)}), "accepted"),
        (json!({"sub": "x".repeat(256)}), "subject-unusable"),
        (json!({"exp": null}), "claim-missing"),
        (json!({"exp": "soon"}), "claim-malformed"),
        (json!({"exp": 1e300}), "claim-malformed"),
        (json!({"iat": at - 300, "exp": at - 180}), "expired"),
        (json!({"iat": at - 300, "exp": at - 179}), "accepted"),
        (json!({"exp": at}), "lifetime-senseless"),
        (json!({"exp": (at + 300) * 1000}), "claim-malformed"),
        (json!({"exp": at + 367 * 86_400}), "lifetime-senseless"),
        (json!({"iat": null}), "claim-missing"),
        (json!({"iat": at + 180, "exp": at + 600}), "accepted"),
        (json!({"iat": at + 181, "exp": at + 600}), "issued-in-future"),
        (json!({"iat": at - 779}), "accepted"),
        (json!({"iat": at - 780}), "issued-long-ago"),
        (json!({"iat": at as f64 - 0.5}), "accepted"),
        (json!({"nbf": at + 180}), "accepted"),
        (json!({"nbf": at + 181}), "not-yet-valid"),
        (json!({"nbf": "now"}), "claim-malformed"),
        (json!({"nonce": null}), "nonce-missing"),
        (json!({"nonce": ""}), "nonce-wrong"),
        (json!({"nonce": "n".repeat(43)}), "nonce-wrong"),
        (json!({"nonce": ["n"]}), "claim-malformed"),
        (json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}), "access-token-hash-wrong"),
        (json!({"at_hash": ""}), "access-token-hash-wrong"),
        (json!({"at_hash": 7}), "claim-malformed"),
        (json!({"c_hash": "not looked at", "rt_hash": 7, "s_hash": []}), "accepted"),
        (json!({"auth_time": at + 181}), "authn-in-future"),
        (json!({"auth_time": "today"}), "claim-malformed"),
        (json!({"auth_time": null}), "accepted"),
        // Nobody needs these, and providers are free with them.
        (json!({"updated_at": "2026-11-21T12:00:00Z", "address": "here", "amr": "pwd", "acr": 1}), "accepted"),
    ] {
        assert_eq!(outcome(&changed(&json!({}), &changes), &settings()), expected, "{changes}");
    }
}

#[test]
fn an_access_token_hash_goes_by_the_algorithm() {
    let half = |hash: &[u8]| URL_SAFE_NO_PAD.encode(&hash[..hash.len() / 2]);
    let (sha256, sha384, sha512) =
        (openssl::sha::sha256(b"access"), openssl::sha::sha384(b"access"), openssl::sha::sha512(b"access"));
    for (algorithm, pair, hash) in [
        ("RS256", &RSA, half(&sha256)),
        ("ES384", &P384, half(&sha384)),
        ("PS512", &RSA, half(&sha512)),
        ("EdDSA", &ED25519, half(&sha512)),
    ] {
        let token = pair.token(&json!({"alg": algorithm, "kid": pair.id}), &with(claims(), &json!({"at_hash": hash})));
        assert_eq!(outcome(&token, &settings()), "accepted", "{algorithm}");
    }
    let token = changed(&json!({}), &json!({"at_hash": half(&sha512)}));
    assert_eq!(outcome(&token, &settings()), "access-token-hash-wrong");
}

#[test]
fn a_nonce_belongs_to_one_attempt() {
    let token = changed(&json!({}), &json!({}));
    let other = AttemptSecrets::derive(&[7; 32], &Token::parse(&"t".repeat(43)).unwrap());
    let judged = SignIn::resume(forge::attempt()).judge(forge::answer(&token), &other, &settings(), now());
    assert_eq!(judged.unwrap_err().code(), "nonce-wrong");
}

#[test]
fn being_asked_anew_is_checked_and_not_believed() {
    let at = now().as_second();
    let sent = forge::attempt().sent_at.as_second();
    let forced = Attempt { force_authn: true, ..forge::attempt() };
    let code = |attempt: &Attempt, settings: &Settings, changes: Value| {
        judge(&changed(&json!({}), &changes), attempt.clone(), settings).map_or_else(|e| e.code(), |_| "accepted")
    };
    assert_eq!(code(&forced, &settings(), json!({})), "accepted");
    assert_eq!(code(&forced, &settings(), json!({"auth_time": sent - 180})), "accepted");
    assert_eq!(code(&forced, &settings(), json!({"auth_time": sent - 181})), "not-reauthenticated");
    assert_eq!(code(&forced, &settings(), json!({"auth_time": null})), "auth-time-missing");

    let mut hourly = settings();
    hourly.max_age = Some(Duration::from_secs(3_600));
    assert_eq!(code(&forge::attempt(), &hourly, json!({"auth_time": sent - 3_780})), "accepted");
    assert_eq!(code(&forge::attempt(), &hourly, json!({"auth_time": sent - 3_781})), "authentication-too-old");
    assert_eq!(code(&forge::attempt(), &hourly, json!({"auth_time": null})), "auth-time-missing");

    let demand = Demand {
        max_age: Some(Duration::from_secs(900)),
        contexts: vec!["mfa".to_owned()],
        methods: vec!["hwk".to_owned(), "otp".to_owned()],
    };
    let demanding = Attempt { demand: Some(demand), ..forge::attempt() };
    let strong = json!({"acr": "mfa", "amr": ["pwd", "otp"]});
    assert_eq!(code(&demanding, &settings(), strong.clone()), "accepted");
    for (changes, expected) in [
        (json!({"acr": "pwd"}), "authentication-context-weak"),
        (json!({"acr": null}), "authentication-context-weak"),
        (json!({"amr": ["pwd"]}), "authentication-method-weak"),
        (json!({"amr": null}), "authentication-method-weak"),
        (json!({"auth_time": at - 2_000}), "authentication-too-old"),
        (json!({"auth_time": null}), "authentication-age-unknown"),
    ] {
        let token = RSA.token(&header(), &with(with(claims(), &strong), &changes));
        let error = judge(&token, demanding.clone(), &settings()).unwrap_err();
        assert_eq!((error.code(), error.public()), (expected, Public::NotReauthenticated), "{changes}");
    }
}

#[test]
fn a_key_is_found_by_its_name_or_where_only_one_can_be_meant() {
    let named = with(header(), &json!({"kid": null}));
    let unnamed = RSA.token(&named, &claims());
    let code = |token: &str, keys: Vec<Value>| {
        let mut settings = settings();
        settings.keys = Keys::read(&forge::jwks(keys)).unwrap();
        let newer = forge::answer(token).wants_newer_keys(&settings);
        (outcome(token, &settings), newer)
    };
    let nameless = |pair: &forge::Pair| with(pair.jwk(), &json!({"kid": null}));
    assert_eq!(code(&unnamed, vec![RSA.jwk()]), ("accepted", false));
    assert_eq!(code(&unnamed, vec![nameless(&RSA)]), ("accepted", false));
    // The one RSA key beside others.
    assert_eq!(code(&unnamed, vec![P256.jwk(), nameless(&RSA), ED25519.jwk()]), ("accepted", false));
    assert_eq!(code(&unnamed, vec![RSA.jwk(), OTHER_RSA.jwk()]), ("key-ambiguous", false));
    // One of them is for another algorithm.
    let other = with(OTHER_RSA.jwk(), &json!({"alg": "PS256"}));
    assert_eq!(code(&unnamed, vec![RSA.jwk(), other]), ("accepted", false));
    // The same key under another name.
    assert_eq!(code(&unnamed, vec![RSA.jwk(), with(RSA.jwk(), &json!({"kid": "x5t"}))]), ("accepted", false));
    // The key has rolled over, and nothing says so but the signature.
    assert_eq!(code(&unnamed, vec![OTHER_RSA.jwk()]), ("signature-wrong", true));
    assert_eq!(code(&unnamed, vec![P256.jwk()]), ("key-unknown", true));

    let token = changed(&json!({}), &json!({}));
    assert_eq!(code(&token, vec![OTHER_RSA.jwk()]), ("key-unknown", true));
    assert_eq!(code(&token, vec![nameless(&RSA)]), ("key-unknown", true));
    let taken = with(P256.jwk(), &json!({"kid": RSA.id}));
    assert_eq!(code(&token, vec![taken.clone()]), ("key-mismatch", false));
    // Two keys under one name, of which one fits.
    assert_eq!(code(&token, vec![taken, RSA.jwk()]), ("accepted", false));
    let impostor = with(OTHER_RSA.jwk(), &json!({"kid": RSA.id}));
    assert_eq!(code(&token, vec![impostor.clone()]), ("signature-wrong", false));
    assert_eq!(code(&token, vec![impostor, RSA.jwk()]), ("key-ambiguous", false));
    let for_pss = with(RSA.jwk(), &json!({"alg": "PS256"}));
    assert_eq!(code(&token, vec![for_pss]), ("key-mismatch", false));
}

fn answered<'a>(content_type: &'a str, body: &'a [u8]) -> UserinfoAnswer<'a> {
    UserinfoAnswer::Answered { status: 200, content_type: Some(content_type), body }
}

/// The outcome of a sign-in whose ID token lacks the e-mail address.
fn with_userinfo(answer: UserinfoAnswer<'_>, settings: &Settings) -> Result<VerifiedReply, OidcError> {
    let token = changed(&json!({}), &json!({"email": null, "email_verified": null}));
    let recognised = judge(&token, forge::attempt(), settings).unwrap();
    assert!(recognised.userinfo_request(settings).is_some());
    recognised.finish(answer, settings, now()).map(SignIn::into_reply)
}

#[test]
fn userinfo_adds_what_the_id_token_leaves_out() {
    let body =
        json!({"sub": "person-1", "email": "a@corp.example", "email_verified": "true", "name": "Other"}).to_string();
    let reply = with_userinfo(answered("application/json; charset=utf-8", body.as_bytes()), &settings()).unwrap();
    assert_eq!(reply.identity.email.as_deref(), Some("a@corp.example"));
    assert_eq!(reply.identity.name.as_deref(), Some("Asha Rao"), "what was signed counts first");
    let mut prefers = settings();
    prefers.prefer = Prefer::UserInfo;
    let reply = with_userinfo(answered("application/json", body.as_bytes()), &prefers).unwrap();
    assert_eq!(reply.identity.name.as_deref(), Some("Other"));

    let signed = RSA.token(&header(), &json!({"sub": "person-1", "email": "b@corp.example", "email_verified": true}));
    let reply = with_userinfo(answered("application/jwt", signed.as_bytes()), &settings()).unwrap();
    assert_eq!(reply.identity.email.as_deref(), Some("b@corp.example"));
}

#[test]
fn userinfo_about_somebody_else_or_by_somebody_else_is_refused() {
    let jwt = |claims: Value| RSA.token(&header(), &with(json!({"sub": "person-1"}), &claims));
    for (content_type, body, expected) in [
        ("application/json", json!({"sub": "person-2"}).to_string(), "userinfo-subject-wrong"),
        ("application/json", json!({"sub": "Person-1"}).to_string(), "userinfo-subject-wrong"),
        ("application/json", json!({"email": "a@corp.example"}).to_string(), "userinfo-claim-wrong"),
        ("application/json", json!({"sub": 1}).to_string(), "userinfo-claim-wrong"),
        ("application/jwt", jwt(json!({"sub": "person-2"})), "userinfo-subject-wrong"),
        ("application/JWT; x=y", jwt(json!({"iss": "https://evil.example"})), "userinfo-claim-wrong"),
        ("application/jwt", jwt(json!({"aud": "other"})), "userinfo-claim-wrong"),
        ("application/jwt", jwt(json!({"exp": 1})), "userinfo-claim-wrong"),
        ("application/jwt", OTHER_RSA.token(&header(), &json!({"sub": "person-1"})), "userinfo-token-refused"),
        (
            "application/jwt",
            format!("{}.{}.", forge::part(&json!({"alg": "none"})), forge::part(&json!({"sub": "person-1"}))),
            "userinfo-token-refused",
        ),
        ("application/jwt", json!({"sub": "person-1"}).to_string(), "userinfo-token-refused"),
    ] {
        let error = with_userinfo(answered(content_type, body.as_bytes()), &settings()).unwrap_err();
        assert_eq!((error.code(), error.public()), (expected, Public::Refused), "{body}");
    }
}

#[test]
fn userinfo_that_cannot_be_had_matters_only_if_something_is_missing() {
    let broken = UserinfoAnswer::Answered { status: 500, content_type: None, body: b"" };
    let twice = br#"{"sub":"person-1","sub":"person-1"}"#;
    for answer in
        [broken, UserinfoAnswer::Failed("slow"), UserinfoAnswer::NotAsked, answered("application/json", twice)]
    {
        let error = with_userinfo(answer, &settings()).unwrap_err();
        assert_eq!((error.code(), error.public()), ("userinfo-failed", Public::IdpError), "{error}");
    }
    let mut always = settings();
    always.userinfo = UserInfo::Always;
    let recognised = judge(&changed(&json!({}), &json!({})), forge::attempt(), &always).unwrap();
    let request = recognised.userinfo_request(&always).unwrap();
    assert_eq!(request.url.as_str(), "https://idp.example/userinfo");
    let reply = recognised.finish(broken, &always, now()).unwrap().into_reply();
    assert_eq!(reply.userinfo_failure.as_deref(), Some("it answered with the status 500"));

    // A name is for pages alone.
    let recognised = judge(&changed(&json!({}), &json!({"name": null})), forge::attempt(), &settings()).unwrap();
    assert!(recognised.userinfo_request(&settings()).is_some());
    assert!(recognised.finish(broken, &settings(), now()).unwrap().reply().identity.name.is_none());

    let mut never = settings();
    never.userinfo = UserInfo::Never;
    let recognised = judge(&changed(&json!({}), &json!({"email": null})), forge::attempt(), &never).unwrap();
    assert!(recognised.userinfo_request(&never).is_none());
    assert!(recognised.finish(UserinfoAnswer::NotAsked, &never, now()).is_ok());
}

#[test]
fn userinfo_is_asked_for_groups_unless_the_provider_says_where_they_are() {
    let mut settings = settings();
    settings.claims.groups = Some(ClaimGroups { claim: ClaimPath::literal("groups"), delimiter: None, prefix: None });
    let asks = |changes: Value| {
        judge(&changed(&json!({}), &changes), forge::attempt(), &settings)
            .unwrap()
            .userinfo_request(&settings)
            .is_some()
    };
    assert!(asks(json!({})));
    assert!(!asks(json!({"groups": []})));
    assert!(!asks(json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "http://x"}}})));
}

#[test]
fn userinfo_is_asked_whether_an_address_was_checked() {
    let asks = |changes: Value, trust_email: bool| {
        let mut settings = settings();
        settings.trust_email = trust_email;
        judge(&changed(&json!({}), &changes), forge::attempt(), &settings)
            .unwrap()
            .userinfo_request(&settings)
            .is_some()
    };
    assert!(!asks(json!({}), false));
    assert!(asks(json!({"email_verified": null}), false));
    assert!(!asks(json!({"email_verified": null}), true), "then nobody wants to know");
    assert!(!asks(json!({"email_verified": false}), false), "that is an answer");
}

#[test]
fn signed_userinfo_tells_when_it_needs_newer_keys() {
    let claims = json!({"sub": "person-1"});
    let wants = |header: Value, content_type, status| {
        let token = RSA.token(&header, &claims);
        UserinfoAnswer::Answered { status, content_type, body: token.as_bytes() }.wants_newer_keys(&settings())
    };
    let (known, new) = (json!({"alg": "RS256", "kid": RSA.id}), json!({"alg": "RS256", "kid": "new"}));
    assert!(wants(new.clone(), Some("application/jwt; charset=utf-8"), 200));
    assert!(!wants(known, Some("application/jwt"), 200));
    assert!(!wants(new.clone(), Some("application/json"), 200) && !wants(new, Some("application/jwt"), 500));
    assert!(!UserinfoAnswer::NotAsked.wants_newer_keys(&settings()));
}

#[test]
fn the_secrets_of_an_attempt_follow_from_its_state_and_our_key() {
    let secrets = forge::secrets();
    let (nonce, verifier) = (secrets.nonce.expose_secret(), secrets.pkce_verifier.expose_secret());
    assert_ne!(nonce, verifier);
    assert!(nonce.len() == 43 && verifier.len() == 43);
    let again = forge::secrets();
    assert_eq!((nonce, verifier), (again.nonce.expose_secret(), again.pkce_verifier.expose_secret()));
    let other_key = AttemptSecrets::derive(&[8; 32], &forge::state());
    assert_ne!(nonce, other_key.nonce.expose_secret());
    assert_ne!(verifier, other_key.pkce_verifier.expose_secret());
}

#[test]
fn nothing_that_is_printed_shows_a_secret() {
    let token = changed(&json!({}), &json!({}));
    let secrets = forge::secrets();
    let recognised = judge(&token, forge::attempt(), &settings()).unwrap();
    let mut printed = format!("{:?} {secrets:?} {recognised:?} {:?}", settings(), forge::answer(&token));
    let mut always = settings();
    always.userinfo = UserInfo::Always;
    printed += &format!("{:?}", recognised.userinfo_request(&always).unwrap());
    printed += &format!("{:?}", recognised.finish(UserinfoAnswer::NotAsked, &settings(), now()).unwrap());
    for secret in [&token, secrets.nonce.expose_secret(), secrets.pkce_verifier.expose_secret(), "access"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_token_with_one_character_changed_is_refused(at in 0_usize..10_000, by in "[A-Za-z0-9_.-]") {
        let mut token = changed(&json!({}), &json!({})).into_bytes();
        let at = at % token.len();
        prop_assume!(token[at] != by.as_bytes()[0]);
        token[at] = by.as_bytes()[0];
        let token = String::from_utf8(token).unwrap();
        prop_assert_ne!(outcome(&token, &settings()), "accepted");
    }

    #[test]
    fn no_text_is_a_token_by_chance(text in "[A-Za-z0-9_.{}:\"-]{0,80}") {
        prop_assert_ne!(judge_raw(&text), "accepted");
    }
}
