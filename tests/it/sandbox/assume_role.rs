//! `AssumeRoleWithSAML`: what is taken, what is refused, and in which words.

use super::*;

#[actix_web::test]
async fn an_assertion_becomes_credentials_with_every_field_derived_as_aws_does() {
    let aws = Running::start();
    let answer = aws.assume(&Assertion::default().with("SourceIdentity", &["asha.raman@larkspur.example"])).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.get("Arn"), "arn:aws:sts::111122223333:assumed-role/ReadOnly/asha.raman@larkspur.example");
    assert!(answer.get("AssumedRoleId").starts_with("AROA"));
    assert!(answer.get("AssumedRoleId").ends_with(":asha.raman@larkspur.example"));
    assert_eq!(answer.get("Subject"), "asha");
    assert_eq!(answer.get("SubjectType"), "persistent");
    assert_eq!(answer.get("Issuer"), BROKER);
    assert_eq!(answer.get("Audience"), RECIPIENT);
    assert_eq!(answer.get("SourceIdentity"), "asha.raman@larkspur.example");
    assert_eq!(answer.text("PackedPolicySize"), None);
    assert_eq!(answer.lifetime_secs(aws.clock.now()), 3600);
    assert_eq!(answer.headers["content-type"], "text/xml");
    assert_eq!(answer.headers["x-amzn-requestid"], answer.get("RequestId").as_str());
    assert!(answer.headers.contains_key("x-amz-sts-extended-request-id"));
}

#[actix_web::test]
async fn response_signed_assertion_signed_and_both_are_taken() {
    let aws = Running::start();
    for sign in [Sign::Assertion, Sign::Response, Sign::Both] {
        let answer = aws.assume(&Assertion { sign, ..Assertion::default() }).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

#[actix_web::test]
async fn the_pair_may_stand_in_either_order_with_space_around_it_among_others() {
    let aws = Running::start();
    for value in
        [format!("{READ_ONLY},{PROVIDER}"), format!("{PROVIDER},{READ_ONLY}"), format!(" {PROVIDER} , {READ_ONLY}\n")]
    {
        let answer = aws.assume(&Assertion::default().with("Role", &["a,b", &value])).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

#[actix_web::test]
async fn the_same_assertion_may_be_redeemed_twice() {
    let aws = Running::start();
    let xml = STANDARD.encode(Assertion::default().write(aws.clock.now()));
    let params = [
        ("Action", "AssumeRoleWithSAML"),
        ("Version", "2011-06-15"),
        ("RoleArn", READ_ONLY),
        ("PrincipalArn", PROVIDER),
        ("SAMLAssertion", &xml),
    ];
    let (first, second) = (aws.call(&params).await, aws.call(&params).await);
    assert_eq!((first.status, second.status), (200, 200));
    assert_ne!(first.get("AccessKeyId"), second.get("AccessKeyId"));
}

#[actix_web::test]
async fn every_name_format_and_regional_recipient_is_taken() {
    let aws = Running::start();
    for (format, kind) in [
        ("urn:oasis:names:tc:SAML:2.0:nameid-format:transient", "transient"),
        (
            "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
            "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
        ),
    ] {
        let answer = aws.assume(&Assertion { name_id: Some(("x", format)), ..Assertion::default() }).await;
        assert_eq!(answer.get("SubjectType"), kind);
    }
    // The recipient is known to AWS; it is the role's trust policy that asks for another one.
    let recipient = Some("https://eu-west-1.signin.aws.amazon.com/saml");
    aws.assume(&Assertion { recipient, ..Assertion::default() }).await.is_refused(
        403,
        "AccessDenied",
        "Not authorized to perform sts:AssumeRoleWithSAML",
    );
}

#[actix_web::test]
async fn each_mistake_in_an_assertion_is_refused_in_the_words_of_aws() {
    let aws = Running::start();
    let good = Assertion::default;
    let invalid = "InvalidIdentityToken";
    let confirmation = "Responses must contain SubjectConfirmatonData with a Recipient and NotOnOrAfter";
    let audience = "Response does not contain the required audience.";
    let name = "RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}";
    let identity = "Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with \"aws:\"";
    let pair = "SAML Assertion doesn't contain the requested Role and Metadata in the attributes";
    let long = "n".repeat(65);
    for (assertion, status, code, message) in [
        (Assertion { key: &STRANGE, ..good() }, 400, invalid, "Response signature invalid"),
        (Assertion { sign: Sign::Neither, ..good() }, 400, invalid, "Response signature invalid"),
        (
            Assertion { issuer: "https://broker.example.test/saml/idp/", ..good() },
            400,
            invalid,
            "Issuer not present in specified provider (service: AWSOpenIdDiscoveryService; status code: 400; error \
             code: AuthSamlInvalidSamlResponseException)",
        ),
        (Assertion { status: "Requester", ..good() }, 403, "IDPRejectedClaim", ""),
        (Assertion { recipient: None, ..good() }, 400, invalid, confirmation),
        (Assertion { confirmed_for_secs: None, ..good() }, 400, invalid, confirmation),
        (Assertion { recipient: Some("https://evil.example/saml"), ..good() }, 400, invalid, audience),
        (Assertion { audience: Some("urn:amazon:webservices:govcloud"), ..good() }, 400, invalid, audience),
        (Assertion { audience: None, ..good() }, 400, invalid, audience),
        (good().with("RoleSessionName", &[]), 400, invalid, "RoleSessionName is required in AuthnResponse"),
        (good().with("RoleSessionName", &[""]), 400, invalid, "RoleSessionName is required in AuthnResponse"),
        (good().with("RoleSessionName", &["asha raman"]), 400, invalid, name),
        (good().with("RoleSessionName", &["a"]), 400, invalid, name),
        (good().with("RoleSessionName", &["né"]), 400, invalid, name),
        (good().with("RoleSessionName", &[&long]), 400, invalid, name),
        (good().with("SourceIdentity", &["aws:asha"]), 400, invalid, identity),
        (good().with("SourceIdentity", &["a"]), 400, invalid, identity),
        (good().with("SessionDuration", &["899"]), 400, invalid, "SessionDuration"),
        (good().with("Role", &[]), 400, invalid, pair),
        (good().for_role("arn:aws:iam::111122223333:role/readonly"), 400, invalid, pair),
        (good().with("Role", &[&format!("{READ_ONLY},arn:aws:iam::111122223333:saml-provider/x")]), 400, invalid, pair),
        (
            Assertion { name_id: None, ..good() },
            403,
            "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithSAML",
        ),
    ] {
        aws.assume(&assertion).await.is_refused(status, code, message);
    }
}

#[actix_web::test]
async fn an_assertion_must_be_redeemed_within_five_minutes_whatever_it_says_itself() {
    let aws = Running::start();
    let message = "Token must be redeemed within 5 minutes of issuance";
    let good = Assertion { confirmed_for_secs: Some(3600), conditions_for_secs: 3600, ..Assertion::default() };
    for issued_secs_ago in [0, 299, 300, -60] {
        let answer = aws.assume(&Assertion { issued_secs_ago, ..good.clone() }).await;
        assert_eq!(answer.status, 200, "{issued_secs_ago}: {}", answer.body);
    }
    for late in [
        Assertion { issued_secs_ago: 301, ..good.clone() },
        Assertion { issued_secs_ago: 360, ..good.clone() },
        Assertion { issued_secs_ago: -120, ..good.clone() },
        Assertion { confirmed_for_secs: Some(0), ..good.clone() },
        Assertion { conditions_for_secs: -1, ..good.clone() },
        Assertion { session_for_secs: Some(-1), ..good.clone() },
    ] {
        aws.assume(&late).await.is_refused(400, "ExpiredTokenException", message);
    }
}

#[actix_web::test]
async fn what_is_no_saml_response_at_all_is_told_apart_from_a_bad_signature() {
    let aws = Running::start();
    let unreadable = "Invalid base64 SAMLResponse (Service: AWSOpenIdDiscoveryService; Status Code: 400; Error Code: \
                      AuthSamlInvalidSamlResponseException; Request ID: ";
    let good = Assertion::default().write(aws.clock.now());
    for (assertion, message) in [
        ("%%%%".to_owned(), unreadable),
        (STANDARD.encode("<no-end"), unreadable),
        (STANDARD.encode("<a/>"), unreadable),
        (STANDARD.encode(format!("<!DOCTYPE x [<!ENTITY a \"b\">]>{good}")), unreadable),
        (STANDARD.encode(good.replace(">asha<", "><!-- -->asha<")), unreadable),
        (STANDARD.encode(good.replace(">asha<", ">mallory<")), "Response signature invalid"),
        (STANDARD.encode(good.replace("xmlenc#sha256", "xmldsig#sha1")), "Response signature invalid"),
    ] {
        let params = [
            ("Action", "AssumeRoleWithSAML"),
            ("Version", "2011-06-15"),
            ("RoleArn", READ_ONLY),
            ("PrincipalArn", PROVIDER),
            ("SAMLAssertion", assertion.as_str()),
        ];
        aws.call(&params).await.is_refused(400, "InvalidIdentityToken", message);
    }
}

#[actix_web::test]
async fn a_provider_or_role_that_is_not_there_is_not_found_in_different_words() {
    let aws = Running::start();
    let missing = "Specified provider doesn't exist (Service: AWSOpenIdDiscoveryService; Status Code: 400; Error Code: \
                   AuthSamlManifestNotFoundException; Request ID: ";
    for provider in [
        "arn:aws:iam::111122223333:saml-provider/other",
        "arn:aws:iam::999999999999:saml-provider/rolegate",
        "arn:aws-cn:iam::111122223333:saml-provider/rolegate",
        "arn:aws:iam::111122223333:user/asha",
    ] {
        aws.assume_with(&Assertion::default(), &[("PrincipalArn", provider)]).await.is_refused(
            400,
            "InvalidIdentityToken",
            missing,
        );
    }
    let role = "arn:aws:iam::111122223333:role/NoSuchRole";
    aws.assume_with(&Assertion::default().for_role(role), &[("RoleArn", role)]).await.is_refused(
        403,
        "AccessDenied",
        "Not authorized to perform sts:AssumeRoleWithSAML",
    );
}

#[actix_web::test]
async fn the_trust_policy_has_the_last_word() {
    let aws = Running::start();
    let denied = |action: &str| format!("Not authorized to perform {action}");
    // Only tags of three keys may be passed to a team's role, and only with a source identity.
    let deploy = Assertion::default().for_role(DEPLOY);
    let ask = async |assertion: Assertion| aws.assume_with(&assertion, &[("RoleArn", DEPLOY)]).await;
    ask(deploy.clone()).await.is_refused(403, "AccessDenied", &denied("sts:AssumeRoleWithSAML"));
    let deploy = deploy.with("SourceIdentity", &["asha"]);
    assert_eq!(ask(deploy.clone()).await.status, 200);
    let tagged = ask(deploy.clone().with("PrincipalTag:Department", &["Platform"])).await;
    assert_eq!(tagged.status, 200, "{}", tagged.body);
    assert!(tagged.get("PackedPolicySize").parse::<u32>().unwrap() > 0);
    ask(deploy.with("PrincipalTag:Clearance", &["high"])).await.is_refused(
        403,
        "AccessDenied",
        &denied("sts:TagSession"),
    );

    let admin = "arn:aws:iam::111122223333:role/Admin";
    let outsider = Assertion::default().for_role(admin).with("RoleSessionName", &["kim@gantrytech.example"]);
    aws.assume_with(&outsider, &[("RoleArn", admin)]).await.is_refused(
        403,
        "AccessDenied",
        &denied("sts:AssumeRoleWithSAML"),
    );

    let (forgotten, provider) =
        ("arn:aws:iam::177419203846:role/LegacyReporting", "arn:aws:iam::177419203846:saml-provider/rolegate");
    let assertion = Assertion::default().with("Role", &[&format!("{forgotten},{provider}")]);
    aws.assume_with(&assertion, &[("RoleArn", forgotten), ("PrincipalArn", provider)]).await.is_refused(
        403,
        "AccessDenied",
        &denied("sts:AssumeRoleWithSAML"),
    );
}

#[actix_web::test]
async fn session_tags_are_checked_as_a_whole() {
    let aws = Running::start();
    let tag = |key: &str, value: &str| Assertion::default().with(&format!("PrincipalTag:{key}"), &[value]);
    assert_eq!(aws.assume(&tag("Team", "").with("TransitiveTagKeys", &["team"])).await.status, 200);
    aws.assume(&Assertion::default().with("TransitiveTagKeys", &["Team"])).await.is_refused(
        400,
        "InvalidParameterValue",
        "The specified transitive tag key must be included in the requested tags.",
    );
    aws.assume(&tag("Team", "a").with("PrincipalTag:team", &["b"])).await.is_refused(
        400,
        "InvalidParameterValue",
        "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
    );
    aws.assume(&tag("aws:Team", "a")).await.is_refused(400, "InvalidParameterValue", "");
    aws.assume(&tag("Team", "a&b")).await.is_refused(
        400,
        "ValidationError",
        "1 validation error detected: Value 'a&b' at 'tags.1.member.value' failed to satisfy constraint: Member must \
         satisfy regular expression pattern: ",
    );
    aws.assume(&tag(&"k".repeat(129), "a")).await.is_refused(400, "ValidationError", "1 validation error detected: ");
    let tags = |count: usize| {
        (0..count).fold(Assertion::default(), |assertion, n| assertion.with(&format!("PrincipalTag:k{n}"), &["v"]))
    };
    assert_eq!(aws.assume(&tags(50)).await.status, 200);
    aws.assume(&tags(51)).await.is_refused(400, "ValidationError", "1 validation error detected: Value at 'tags'");
    // What repeats is packed well; this does not.
    let noise = |n: u8| openssl::sha::sha512(&[n]).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let heavy =
        (0..40).fold(Assertion::default(), |assertion, n| assertion.with(&format!("PrincipalTag:k{n}"), &[&noise(n)]));
    aws.assume(&heavy).await.is_refused(400, "PackedPolicyTooLarge", "Packed size of session tags consumes ");
}

#[actix_web::test]
async fn a_session_lasts_as_long_as_everybody_allows() {
    let aws = Running::start();
    let now = aws.clock.now();
    let ask = async |assertion: Assertion, seconds: Option<&str>| {
        let further: Vec<_> = seconds.map(|seconds| ("DurationSeconds", seconds)).into_iter().collect();
        aws.assume_with(&assertion, &further).await
    };
    let lasts = async |assertion: Assertion, seconds: Option<&str>| ask(assertion, seconds).await.lifetime_secs(now);
    let good = Assertion::default;
    assert_eq!(lasts(good(), Some("900")).await, 900);
    assert_eq!(lasts(good(), Some("43200")).await, 43_200);
    assert_eq!(lasts(good().with("SessionDuration", &["7200"]), Some("43200")).await, 7200);
    assert_eq!(lasts(good().with("SessionDuration", &["7200"]), None).await, 3600);
    assert_eq!(lasts(Assertion { session_for_secs: Some(1200), ..good() }, Some("7200")).await, 1200);

    ask(good(), Some("899")).await.is_refused(
        400,
        "ValidationError",
        "1 validation error detected: Value '899' at 'durationSeconds' failed to satisfy constraint: Member must have \
         value greater than or equal to 900",
    );
    assert_eq!(ask(good(), Some("x")).await.error(), (400, "MalformedInput".to_owned(), String::new()));
    let admin = "arn:aws:iam::111122223333:role/Admin";
    let params = [("RoleArn", admin), ("DurationSeconds", "43200")];
    aws.assume_with(&good().for_role(admin), &params).await.is_refused(
        400,
        "ValidationError",
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    );
}

#[actix_web::test]
async fn other_partitions_have_their_own_audience_and_endpoint() {
    let aws = Running::start();
    for (account, partition) in [("219048573302", Partition::AwsUsGov), ("226617384905", Partition::AwsCn)] {
        let (role, provider) = (
            format!("arn:{partition}:iam::{account}:role/ReadOnly"),
            format!("arn:{partition}:iam::{account}:saml-provider/rolegate"),
        );
        let params = [("RoleArn", role.as_str()), ("PrincipalArn", provider.as_str())];
        let assertion = Assertion::default().with("Role", &[&format!("{role},{provider}")]);
        aws.assume_with(&assertion, &params).await.is_refused(400, "InvalidIdentityToken", "Response does not contain");
        let assertion = Assertion {
            audience: Some(partition.saml_audience()),
            recipient: Some(partition.saml_recipient()),
            ..assertion
        };
        let answer = aws.assume_with(&assertion, &params).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.get("Arn").starts_with(&format!("arn:{partition}:sts::{account}:")));
    }
}

#[actix_web::test]
async fn session_policies_are_read_before_the_assertion_is() {
    let aws = Running::start();
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
    let packed = aws.assume_with(&Assertion::default(), &[("Policy", policy)]).await.get("PackedPolicySize");
    assert!((1..=10).contains(&packed.parse::<u32>().unwrap()), "{packed}");
    aws.assume_with(&Assertion { sign: Sign::Neither, ..Assertion::default() }, &[("Policy", "{")]).await.is_refused(
        400,
        "MalformedPolicyDocument",
        "This policy contains invalid Json",
    );
}

#[actix_web::test]
async fn an_assertion_beside_the_signed_one_is_not_believed() {
    let aws = Running::start();
    let good = Assertion::default().write(aws.clock.now());
    let (before, rest) = good.split_once("<saml:Assertion").unwrap();
    let (inside, after) = rest.split_once("</samlp:Response>").unwrap();
    let evil = inside.replace(">asha<", ">mallory<");
    let (evil_head, evil_tail) = evil.split_once("<ds:Signature").unwrap();
    let unsigned = format!("{evil_head}{}", evil_tail.split_once("</ds:Signature>").unwrap().1);
    let renamed = unsigned.replacen(" ID=\"_", " ID=\"_e", 1);
    for wrapped in [
        format!("{before}<saml:Assertion{renamed}<saml:Assertion{inside}</samlp:Response>{after}"),
        format!("{before}<saml:Assertion{inside}<saml:Assertion{renamed}</samlp:Response>{after}"),
        format!("{before}<saml:Assertion{unsigned}<saml:Assertion{inside}</samlp:Response>{after}"),
    ] {
        let params = [
            ("Action", "AssumeRoleWithSAML"),
            ("Version", "2011-06-15"),
            ("RoleArn", READ_ONLY),
            ("PrincipalArn", PROVIDER),
            ("SAMLAssertion", &STANDARD.encode(wrapped)),
        ];
        aws.call(&params).await.is_refused(400, "InvalidIdentityToken", "");
    }
}

#[actix_web::test]
async fn a_key_the_broker_has_just_begun_to_use_is_known_at_once() {
    // What the broker publishes, and changes while the sandbox still remembers the old one.
    let published = Arc::new(std::sync::Mutex::new(broker_metadata(&TRUSTED)));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at: Url = format!("http://{}/metadata", listener.local_addr().unwrap()).parse().unwrap();
    let shared = published.clone();
    let server = HttpServer::new(move || {
        let shared = shared.clone();
        App::new().route(
            "/metadata",
            actix_web::web::get().to(move || {
                let text = shared.lock().unwrap().clone();
                async move { text }
            }),
        )
    });
    actix_web::rt::spawn(server.workers(1).disable_signals().listen(listener).unwrap().run());

    let aws = Running::start_with(|config| {
        config.saml_providers.insert("rolegate".parse().unwrap(), MetadataSource::Url(at));
    });
    assert_eq!(aws.assume(&Assertion::default()).await.status, 200);
    let rolled = Assertion { key: &STRANGE, ..Assertion::default() };
    aws.assume(&rolled).await.is_refused(400, "InvalidIdentityToken", "Response signature invalid");
    *published.lock().unwrap() = broker_metadata(&STRANGE);
    assert_eq!(aws.assume(&rolled).await.status, 200);
    aws.assume(&Assertion::default()).await.is_refused(400, "InvalidIdentityToken", "Response signature invalid");
}

#[actix_web::test]
async fn without_metadata_there_is_no_provider() {
    let aws = Running::start_with(|config| {
        // Nothing listens on the discard port.
        let nowhere = MetadataSource::Url("http://127.0.0.1:9/".parse().unwrap());
        config.saml_providers.insert("rolegate".parse().unwrap(), nowhere);
    });
    aws.assume(&Assertion::default()).await.is_refused(400, "InvalidIdentityToken", "Specified provider doesn't exist");
}
