use std::fmt::Write as _;

use super::*;

/// The codes and texts are those of `AssumeRole` and its sisters, of authentication, and of AWS's common errors.
const SAID: [(&str, u16, &str, Reason); 54] = [
    ("MalformedPolicyDocument", 400, "Syntax errors in policy.", Reason::PolicyMalformed),
    ("PackedPolicyTooLarge", 400, "Packed size of session tags consumes 138% of allotted space.", Reason::TagsTooLarge),
    ("RegionDisabledException", 403, "STS is not activated in this region", Reason::RegionDisabled),
    ("ExpiredTokenException", 400, "Token must be redeemed within 5 minutes of issuance", Reason::AssertionExpired),
    (
        "ExpiredTokenException",
        400,
        "Token expired: current date/time 2 must be before the expiration date/time 1",
        Reason::AssertionExpired,
    ),
    ("IDPRejectedClaim", 403, "no", Reason::AssertionRefused),
    ("InvalidIdentityToken", 400, "Response signature invalid", Reason::SignatureInvalid),
    (
        "InvalidIdentityToken",
        400,
        "Response signature invalid (Service: AWSOpenIdDiscoveryService; Status Code: 400)",
        Reason::SignatureInvalid,
    ),
    (
        "InvalidIdentityToken",
        400,
        "Specified provider doesn't exist (Service: AWSOpenIdDiscoveryService; Status Code: 400; Error Code: AuthSamlManifestNotFoundException)",
        Reason::ProviderMissing,
    ),
    (
        "InvalidIdentityToken",
        400,
        "Issuer not present in specified provider (service: AWSOpenIdDiscoveryService; status code: 400)",
        Reason::IssuerMismatch,
    ),
    (
        "InvalidIdentityToken",
        400,
        "SAML Assertion doesn't contain the requested Role and Metadata in the attributes",
        Reason::PairMissing,
    ),
    ("InvalidIdentityToken", 400, "RoleSessionName is required in AuthnResponse", Reason::AssertionRefused),
    (
        "InvalidIdentityToken",
        400,
        "No OpenIDConnect provider found in your account for https://broker.example",
        Reason::OidcProviderMissing,
    ),
    ("InvalidIdentityToken", 400, "Incorrect token audience", Reason::AudienceUnknown),
    (
        "InvalidIdentityToken",
        400,
        "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements",
        Reason::KeysUnreachable,
    ),
    ("IDPCommunicationError", 400, "slow", Reason::IssuerUnreachable),
    ("AccessDenied", 403, "Not authorized to perform sts:AssumeRoleWithSAML", Reason::TrustPolicyRefuses),
    ("AccessDenied", 403, "Not authorized to perform sts:AssumeRoleWithWebIdentity", Reason::TrustPolicyRefuses),
    ("AccessDenied", 403, "Access denied", Reason::TrustPolicyRefuses),
    ("AccessDenied", 403, "Not authorized to perform sts:TagSession", Reason::TagsNotAllowed),
    ("AccessDenied", 403, "Not authorized to perform sts:SetSourceIdentity", Reason::SourceIdentityNotAllowed),
    (
        "AccessDenied",
        403,
        "User: arn:aws:sts::111122223333:assumed-role/Hub/lin is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::444455556666:role/Far",
        Reason::HopRefused,
    ),
    (
        "AccessDenied",
        403,
        "User: arn:aws:sts::111122223333:assumed-role/Hub/lin is not authorized to perform: sts:TagSession on resource: arn:aws:iam::444455556666:role/Far",
        Reason::TagsNotAllowed,
    ),
    (
        "AccessDenied",
        403,
        "User: arn:aws:sts::111122223333:assumed-role/Hub/lin is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::444455556666:role/Far with an explicit deny in a service control policy",
        Reason::DeniedExplicitly,
    ),
    ("AccessDenied", 403, "Roles may not be assumed by root accounts.", Reason::RootRefused),
    ("AccessDenied", 403, "Cannot call GetFederationToken with session credentials", Reason::KeyIsTemporary),
    ("AccessDenied", 403, "Cannot call GetSessionToken with session credentials", Reason::KeyIsTemporary),
    ("AccessDenied", 403, "MultiFactorAuthentication failed with invalid MFA one time pass code.", Reason::MfaRefused),
    (
        "ValidationError",
        400,
        "Policy arn:aws:iam::aws:policy/None does not exist or is not attachable.",
        Reason::PolicyMalformed,
    ),
    (
        "ValidationError",
        400,
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        Reason::DurationAboveMaximum,
    ),
    (
        "ValidationError",
        400,
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
        Reason::ChainTooLong,
    ),
    (
        "ValidationError",
        400,
        "The source identity is already set for this assume role session",
        Reason::SourceIdentitySet,
    ),
    (
        "ValidationError",
        400,
        "1 validation error detected: Value '899' at 'durationSeconds' failed to satisfy constraint",
        Reason::RequestInvalid,
    ),
    ("MalformedInput", 400, "", Reason::RequestInvalid),
    (
        "InvalidParameterValue",
        400,
        "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
        Reason::TagsInvalid,
    ),
    (
        "InvalidParameterValue",
        400,
        "The specified transitive tag key must be included in the requested tags.",
        Reason::TagsInvalid,
    ),
    ("InvalidParameterValue", 400, "something else", Reason::RequestInvalid),
    ("InvalidParameterCombination", 400, "", Reason::RequestInvalid),
    ("MalformedQueryString", 404, "", Reason::RequestInvalid),
    ("InvalidAction", 400, "Could not find operation X for version Y", Reason::RequestInvalid),
    ("MissingAuthenticationToken", 403, "Request is missing Authentication Token", Reason::Unsigned),
    ("IncompleteSignature", 400, "Authorization header requires 'Credential' parameter.", Reason::Unsigned),
    ("InvalidClientTokenId", 403, "The security token included in the request is invalid.", Reason::KeyUnknown),
    ("ExpiredToken", 403, "The security token included in the request is expired", Reason::SessionExpired),
    ("SignatureDoesNotMatch", 403, "Credential should be scoped to a valid region. ", Reason::WrongScope),
    (
        "SignatureDoesNotMatch",
        403,
        "Signature expired: 20261121T120000Z is now earlier than 20261121T121500Z (20261121T123000Z - 15 min.)",
        Reason::ClockSkewed,
    ),
    (
        "SignatureDoesNotMatch",
        403,
        "Signature not yet current: 20261121T120000Z is still later than 20261121T114500Z",
        Reason::ClockSkewed,
    ),
    (
        "SignatureDoesNotMatch",
        403,
        "The request signature we calculated does not match the signature you provided.",
        Reason::KeyWrong,
    ),
    ("RequestExpired", 400, "Request has expired.", Reason::ClockSkewed),
    ("Throttling", 400, "Rate exceeded", Reason::Throttled),
    ("InternalFailure", 500, "", Reason::Unavailable),
    ("ServiceUnavailable", 503, "", Reason::Unavailable),
    ("OptInRequired", 403, "The AWS Access Key Id needs a subscription for the service", Reason::OptInRequired),
    ("SomethingNew", 404, "what", Reason::Unknown),
];

#[test]
fn every_refusal_of_sts_has_a_reason() {
    for (code, status, message, reason) in SAID {
        assert_eq!(Reason::of(code, message, status), reason, "{code}: {message}");
        assert!(reason == Reason::Unknown || reason.explain().wire.contains(&code), "{reason:?} does not list {code}");
    }
    for reason in Reason::ALL {
        for code in reason.explain().wire {
            assert_ne!(Reason::of(code, "", 400), Reason::Unknown, "{code}");
        }
    }
    // Codes of operations Rolegate never calls.
    for code in Reason::OtherOperation.explain().wire {
        assert_eq!(Reason::of(code, "", 403), Reason::OtherOperation);
    }
    assert_eq!(Reason::of("Whatever", "", 429), Reason::Throttled);
    assert_eq!(Reason::of("Whatever", "", 502), Reason::Unavailable);
}

#[test]
fn a_person_is_told_what_to_do_and_not_what_sts_said() {
    let mut codes = Vec::new();
    for reason in Reason::ALL {
        let told = reason.explain();
        assert!(told.code.starts_with("sts-") && !codes.contains(&told.code), "{}", told.code);
        codes.push(told.code);
        for text in [told.sentence, told.cause, told.next_step] {
            assert!(text.len() > 30 && text.ends_with('.') && !text.contains("  "), "{}: {text}", told.code);
        }
        assert!(!told.wire.iter().any(|code| told.sentence.contains(code)), "{}", told.sentence);
        let advises = ["please", "Please", "must", "Choose", "Check", "can tell", "finds", "Shorten", "choose"];
        assert!(advises.iter().any(|word| told.sentence.contains(word)), "what is to be done? {}", told.sentence);
        assert!(!reason.is_temporary() || told.sentence.contains("try again"), "{}", told.sentence);
    }
}

/// `docs/sts-errors.md`, as the table has it. With `ROLEGATE_WRITE_DOCS` set it is written.
#[test]
fn the_documentation_is_the_table() {
    let mut page = String::from(
        "# When AWS STS refuses\n\n\
         What stands here is the table in `src/issuance/sts/reason.rs`; a test compares them. The person reads the sentence, on the page or in the\n\
         [problem](problems.md) a program gets. The reason is the `cause` of the audit event `issue.failed`, where `aws_code`, `aws_message` and\n\
         `aws_request_id` are AWS's own words, and the `outcome` in [metrics](metrics.md).\n\n\
         *Tried again*: with pauses drawn at random, within `aws.total_timeout` and `aws.max_attempts`, and in `aws.fallback_regions`. Nothing else is\n\
         repeated: what AWS has refused it will refuse again.\n",
    );
    for reason in Reason::ALL {
        let told = reason.explain();
        let wire: Vec<String> = told.wire.iter().map(|code| format!("`{code}`")).collect();
        let again = match (reason.is_unasked(), reason.is_temporary()) {
            (true, _) => "Not sent. ",
            (_, true) => "Tried again. ",
            _ => "",
        };
        let _ = write!(page, "\n## {}\n\n> {}\n\n", told.code, told.sentence);
        if !wire.is_empty() {
            let _ = write!(page, "AWS: {}.\n\n", wire.join(", "));
        }
        let _ = write!(page, "{again}{}\n\n**Next:** {}\n", told.cause, told.next_step);
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sts-errors.md");
    if std::env::var_os("ROLEGATE_WRITE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page, "docs/sts-errors.md differs from the table; ROLEGATE_WRITE_DOCS=1 writes it anew");
}
