use std::time::Instant;

use super::*;
use crate::issuance::fake::{Fake, ROLE, Reply, form, hour};

fn sts(url: &Url) -> Sts {
    let settings = StsSettings {
        endpoint: Some(url.clone()),
        attempt_timeout: Duration::from_millis(300),
        total_timeout: Duration::from_secs(3),
        max_attempts: 3,
        backoff: Duration::from_millis(1),
    };
    Sts::new(crate::sys::http::client(Duration::from_secs(2)).unwrap(), settings)
}

async fn assume(url: &Url) -> Result<Assumed, StsError> {
    let role: RoleArn = ROLE.parse().unwrap();
    let provider = "arn:aws:iam::111122223333:saml-provider/rolegate".parse().unwrap();
    let assertion = Assertion { id: "_a".to_owned(), response: SecretString::from("YXNzZXJ0aW9u+/==") };
    sts(url).assume_role_with_saml(&role, &provider, &assertion, hour(), &"eu-west-1".parse().unwrap()).await
}

async fn refused(status: u16, code: &str, message: &str) -> StsError {
    let fake = Fake::answering(vec![Reply::refusal(status, code, message)]).await;
    assume(&fake.url).await.unwrap_err()
}

#[tokio::test]
async fn an_assertion_becomes_credentials() {
    let fake = Fake::answering(vec![Reply::credentials("2026-11-21T13:00:00Z")]).await;
    let assumed = assume(&fake.url).await.unwrap();
    assert_eq!(assumed.credentials.access_key_id, "ASIAEXAMPLEEXAMPLE12");
    assert_eq!(assumed.credentials.secret_access_key.expose_secret(), "secret/marker+marker");
    assert_eq!(assumed.credentials.session_token.expose_secret(), "token/marker+marker==");
    assert_eq!(assumed.credentials.expiration.to_string(), "2026-11-21T13:00:00Z");
    assert_eq!(
        assumed.assumed_role_arn.as_deref(),
        Some("arn:aws:sts::111122223333:assumed-role/ReadOnly/asha@corp.example")
    );
    assert_eq!(assumed.request_id.as_deref(), Some("11111111-2222-3333-4444-555555555555"));
    assert!(!format!("{assumed:?}").contains("marker"));
}

#[tokio::test]
async fn the_request_is_unsigned_and_says_exactly_what_was_asked() {
    let fake = Fake::answering(vec![Reply::credentials("2026-11-21T13:00:00Z")]).await;
    assume(&fake.url).await.unwrap();
    let request = fake.requests().remove(0);
    let head = request.split_once("\r\n\r\n").unwrap().0.to_ascii_lowercase();
    assert!(head.starts_with("post / http/1.1"), "{head}");
    assert!(!head.contains("authorization") && !head.contains("x-amz-security-token"), "{head}");
    let form = form(&request);
    let expected = [
        ("Action", "AssumeRoleWithSAML"),
        ("DurationSeconds", "3600"),
        ("PrincipalArn", "arn:aws:iam::111122223333:saml-provider/rolegate"),
        ("RoleArn", ROLE),
        ("SAMLAssertion", "YXNzZXJ0aW9u+/=="),
        ("Version", "2011-06-15"),
    ];
    assert_eq!(form, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
}

/// The texts are those of the service; see the error table for `AssumeRoleWithSAML`.
#[tokio::test]
async fn every_refusal_says_who_must_fix_what() {
    let invalid = "InvalidIdentityToken";
    let cases = [
        (
            400,
            "ExpiredTokenException",
            "Token must be redeemed within 5 minutes of issuance",
            "sts-assertion-expired",
            "clock",
        ),
        (400, invalid, "Response signature invalid", "sts-signature-invalid", "upload the current one"),
        (
            400,
            invalid,
            "Response signature invalid (Service: AWSOpenIdDiscoveryService; Status Code: 400)",
            "sts-signature-invalid",
            "metadata",
        ),
        (
            400,
            invalid,
            "Specified provider doesn't exist (Service: AWSOpenIdDiscoveryService; Status Code: 400; Error Code: AuthSamlManifestNotFoundException)",
            "sts-provider-missing",
            "must create it",
        ),
        (
            400,
            invalid,
            "Issuer not present in specified provider (service: AWSOpenIdDiscoveryService; status code: 400)",
            "sts-issuer-mismatch",
            "another identity provider",
        ),
        (
            400,
            invalid,
            "SAML Assertion doesn't contain the requested Role and Metadata in the attributes",
            "sts-pair-missing",
            "pair of role",
        ),
        (400, invalid, "RoleSessionName is required in AuthnResponse", "sts-assertion-refused", "audit"),
        (403, "IDPRejectedClaim", "no", "sts-assertion-refused", "audit"),
        (
            403,
            "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithSAML",
            "sts-trust-policy-refuses",
            "does not trust",
        ),
        (403, "AccessDenied", "Access denied", "sts-trust-policy-refuses", "does not trust"),
        (403, "AccessDenied", "Not authorized to perform sts:TagSession", "sts-trust-policy-refuses", "sts:TagSession"),
        (
            403,
            "AccessDenied",
            "Not authorized to perform sts:SetSourceIdentity",
            "sts-trust-policy-refuses",
            "sts:SetSourceIdentity",
        ),
        (
            400,
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            "sts-duration-above-maximum",
            "shorter",
        ),
        (400, "ValidationError", "1 validation error detected", "sts-unknown", "does not understand"),
        (
            400,
            "PackedPolicyTooLarge",
            "Packed size of session tags consumes 138% of allotted space.",
            "sts-tags-too-large",
            "fewer or",
        ),
        (403, "RegionDisabledException", "STS is not activated in this region", "sts-region-disabled", "region"),
        (404, "SomethingNew", "what", "sts-unknown", "does not understand"),
    ];
    for (status, code, message, stable, sentence) in cases {
        let error = refused(status, code, message).await;
        assert_eq!(error.code(), stable, "{message}");
        assert!(error.sentence().contains(sentence), "{message}: {}", error.sentence());
        let refusal = error.refusal().unwrap();
        assert_eq!((refusal.code.as_str(), refusal.message.as_str()), (code, message));
        assert_eq!(refusal.request_id.as_deref(), Some("99999999-2222-3333-4444-555555555555"));
        assert!(!error.is_temporary());
        assert!(!error.sentence().contains(code), "a person is not shown STS's text");
    }
}

#[tokio::test]
async fn only_what_may_pass_is_tried_again() {
    for (status, code, times) in [
        (400, "Throttling", 3),
        (500, "InternalFailure", 3),
        (503, "ServiceUnavailable", 3),
        (400, "InvalidIdentityToken", 1),
        (400, "ExpiredTokenException", 1),
        (403, "AccessDenied", 1),
        (400, "ValidationError", 1),
    ] {
        let fake = Fake::answering(vec![Reply::refusal(status, code, "text")]).await;
        let error = assume(&fake.url).await.unwrap_err();
        assert_eq!(fake.requests().len(), times, "{code}");
        assert_eq!(error.is_temporary(), times == 3, "{code}: {error}");
    }
    assert_eq!(refused(400, "Throttling", "Rate exceeded").await.code(), "sts-throttled");
    assert_eq!(refused(503, "ServiceUnavailable", "text").await.code(), "sts-unavailable");
}

#[tokio::test]
async fn a_failure_that_passes_is_not_noticed() {
    let fake = Fake::answering(vec![
        Reply::refusal(503, "ServiceUnavailable", "text"),
        Reply::refusal(400, "Throttling", "Rate exceeded"),
        Reply::credentials("2026-11-21T13:00:00Z"),
    ])
    .await;
    assert!(assume(&fake.url).await.is_ok());
    assert_eq!(fake.requests().len(), 3);
}

#[tokio::test]
async fn silence_ends_in_time() {
    let fake = Fake::answering(vec![Reply::never()]).await;
    let began = Instant::now();
    let error = assume(&fake.url).await.unwrap_err();
    assert!(matches!(error, StsError::TimedOut), "{error}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert!(error.is_temporary());
}

#[tokio::test]
async fn nobody_there_is_said_so() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let error = assume(&url).await.unwrap_err();
    assert!(matches!(error, StsError::Unreachable(_)), "{error}");
    assert_eq!(error.code(), "sts-unreachable");
}

#[tokio::test]
async fn an_answer_that_is_none_gives_no_credentials() {
    let whole = Reply::credentials("2026-11-21T13:00:00Z").body;
    for body in [
        "".to_owned(),
        "<html></html>".to_owned(),
        whole.replace("2026-11-21T13:00:00Z", "tomorrow"),
        whole.replace("token/marker+marker==", "x'; rm -rf / #"),
        whole.replace("secret/marker+marker", ""),
        whole.replace("Credentials>", "Nothing>"),
        "<a>".repeat(100_000),
    ] {
        let fake = Fake::answering(vec![Reply::new(200, body.clone())]).await;
        let error = assume(&fake.url).await.unwrap_err();
        let text = format!("{error:?} {error}");
        assert!(!text.contains("marker"), "{text}");
        assert!(
            matches!(error, StsError::BadAnswer(_) | StsError::Unreachable(_)),
            "{text}: {}",
            &body[..body.len().min(80)]
        );
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let fake = Fake::answering(vec![Reply::new(302, "")]).await;
    assert!(assume(&fake.url).await.is_err());
    assert!(fake.requests().iter().all(|request| !request.contains("/moved")));
}

#[tokio::test]
async fn an_assertion_echoed_in_a_refusal_is_not_kept() {
    let echoed = "A".repeat(300);
    let error = refused(400, "ValidationError", &format!("Value '{echoed}' at 'sAMLAssertion' failed")).await;
    assert_eq!(error.refusal().unwrap().message, "Value '… at 'sAMLAssertion' failed");
    let long = refused(400, "ValidationError", &"word ".repeat(1000)).await;
    assert!(long.refusal().unwrap().message.len() < 520);
}
