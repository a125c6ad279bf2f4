use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Verifier;

use secrecy::ExposeSecret as _;

use super::*;
use crate::saml::key::{KeySize, SigningKey};
use crate::sys::SeededRng;

const ISSUER: &str = "https://aws.corp.example";

fn now() -> Timestamp {
    "2026-11-21T12:00:00.7Z".parse().unwrap()
}

fn key() -> SigningKey {
    SigningKey::generate(KeySize::Rsa2048, "test", now(), &SeededRng::new(7)).unwrap()
}

fn who(text: &str) -> SubjectId {
    text.parse().unwrap()
}

fn minted(
    key: &SigningKey,
    subject: &SubjectId,
    tags: &[SessionTag],
    transitive: &[String],
) -> Result<Token, TokenError> {
    let role: RoleArn = "arn:aws:iam::111122223333:role/teams/Deploy".parse().unwrap();
    let statement = Statement {
        issuer: ISSUER,
        audience: "sts.amazonaws.com",
        subject,
        role: &role,
        source_identity: &SourceIdentity::for_person("asha@corp.example"),
        tags,
        transitive,
    };
    mint(&statement, key, now(), &SeededRng::new(1))
}

fn tag(key: &str, value: &str) -> SessionTag {
    SessionTag { key: key.to_owned(), value: value.to_owned(), transitive: false }
}

fn part(text: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

#[test]
fn a_token_says_who_for_which_role_and_for_how_long_and_its_key_is_in_the_set() {
    let key = key();
    let tags = [tag("team", "payments"), tag("cost-center", "")];
    let token = minted(&key, &who("okta:00u1"), &tags, &["team".to_owned()]).unwrap();
    let parts: Vec<&str> = token.text.expose_secret().split('.').collect();
    let [header, claims, signature] = parts.try_into().unwrap();
    assert_eq!(part(header), json!({ "alg": "RS256", "typ": "JWT", "kid": key.id() }));
    assert_eq!(
        part(claims),
        json!({
            "iss": ISSUER,
            "sub": "okta:00u1",
            "aud": "sts.amazonaws.com",
            "iat": 1_795_262_400,
            "nbf": 1_795_262_370,
            "exp": 1_795_262_700,
            "jti": token.id,
            "amr": ["role:arn:aws:iam::111122223333:role/teams/Deploy"],
            "https://aws.amazon.com/source_identity": "asha@corp.example",
            "https://aws.amazon.com/tags": {
                "principal_tags": { "team": ["payments"], "cost-center": [""] },
                "transitive_tag_keys": ["team"],
            },
        })
    );

    // Checked as whoever reads the set would: with the numbers in it and nothing of ours.
    let set: Value = serde_json::from_str(&documents::jwks([(key.id(), key.certificate_der())]).unwrap()).unwrap();
    let [jwk] = set["keys"].as_array().unwrap().as_slice() else { panic!("{set}") };
    assert_eq!(
        (&jwk["kid"], &jwk["alg"], &jwk["use"], &jwk["kty"]),
        (&json!(key.id()), &json!("RS256"), &json!("sig"), &json!("RSA"))
    );
    assert_eq!(jwk.as_object().unwrap().len(), 6, "nothing private, and nothing else: {jwk}");
    let number = |name: &str| {
        openssl::bn::BigNum::from_slice(&URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap()).unwrap()
    };
    let public = PKey::from_rsa(openssl::rsa::Rsa::from_public_components(number("n"), number("e")).unwrap()).unwrap();
    let mut verifier = Verifier::new(MessageDigest::sha256(), &public).unwrap();
    verifier.update(format!("{header}.{claims}").as_bytes()).unwrap();
    assert!(verifier.verify(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap());
}

#[test]
fn without_tags_nothing_is_said_of_tags_for_which_a_trust_policy_would_have_to_allow_tagging() {
    let token = minted(&key(), &who("okta:00u1"), &[], &[]).unwrap();
    let claims = part(token.text.expose_secret().split('.').nth(1).unwrap());
    assert!(claims.get(TAGS).is_none(), "{claims}");
}

#[test]
fn a_subject_is_one_that_sts_takes_and_stands_for_one_person() {
    let is = |text: &str, sub: &str| assert_eq!(subject(&who(text)), sub, "{text}");
    is("okta:00u1", "okta:00u1");
    is("okta:a:b", "okta:a:b");
    is("a:1234", "a:1234");
    is(&format!("okta:{}", "x".repeat(250)), &format!("okta:{}", "x".repeat(250)));
    // What `printf %s asha | sha256sum` prints, so that anybody can find it.
    is("a:1", "a#6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b");
    for hashed in [format!("okta:{}", "x".repeat(251)), "okta:jürgen".into(), "okta:a b".into(), "okta:a\u{7f}b".into()]
    {
        let sub = subject(&who(&hashed));
        assert!(sub.starts_with("okta#") && sub.len() == 5 + 64, "{sub}");
    }
    let longest = SubjectId { connector: "c".repeat(40).parse().unwrap(), value: "é".repeat(300) };
    assert!(SUBJECT_CHARS.contains(&subject(&longest).len()));
    assert_ne!(subject(&who("a:1")), subject(&who("b:1")));
}

#[test]
fn a_token_that_sts_would_not_take_for_its_length_is_refused_here() {
    let tags: Vec<SessionTag> = (0..50).map(|n| tag(&format!("{n:0>128}"), &"v".repeat(256))).collect();
    let refused = minted(&key(), &who("okta:00u1"), &tags, &[]);
    assert!(matches!(refused, Err(TokenError::TooLong(length)) if length > LONGEST), "{refused:?}");
}

#[test]
fn what_announces_the_keys_is_what_aws_looks_for() {
    let document: Value = serde_json::from_str(&documents::discovery("https://keys.example/rolegate")).unwrap();
    assert_eq!(document["issuer"], "https://keys.example/rolegate");
    assert_eq!(document["jwks_uri"], "https://keys.example/rolegate/aws/jwks.json");
    assert_eq!(document["id_token_signing_alg_values_supported"], json!(["RS256"]));
    assert_eq!(document["subject_types_supported"], json!(["public"]));
    assert_eq!(document["response_types_supported"], json!(["id_token"]));
    assert!(document.get("authorization_endpoint").is_none(), "nobody signs in here with OpenID Connect");
}

#[test]
fn only_the_public_half_is_told() {
    let key = key();
    let set = documents::jwks([(key.id(), key.certificate_der())]).unwrap();
    let private = key.private_key().rsa().unwrap();
    for secret in [private.d(), private.p().unwrap(), private.q().unwrap()] {
        assert!(!set.contains(&URL_SAFE_NO_PAD.encode(secret.to_vec())));
    }
    assert!(documents::jwks([("x", b"no certificate".as_slice())]).is_err());
}
