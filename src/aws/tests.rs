use proptest::prelude::*;

use super::*;

#[test]
fn a_session_duration_is_between_a_quarter_of_an_hour_and_a_day_and_a_half() {
    assert_eq!(SessionDuration::from_secs(899), Err(DurationOutOfRange(899)));
    assert_eq!(SessionDuration::from_secs(900).unwrap(), SessionDuration::MIN);
    assert_eq!(SessionDuration::from_secs(43_200).unwrap(), SessionDuration::ROLE_MAX);
    assert_eq!(SessionDuration::from_secs(129_600).unwrap(), SessionDuration::MAX);
    assert_eq!(SessionDuration::from_secs(129_601), Err(DurationOutOfRange(129_601)));
}

#[test]
fn durations_are_written_in_hours_and_minutes() {
    for (text, seconds) in [("12h", 43_200), ("90m", 5_400), ("1h30m", 5_400), ("3600", 3_600), ("900s", 900)] {
        assert_eq!(text.parse::<SessionDuration>().unwrap().as_secs(), seconds, "{text}");
    }
    for text in ["", "h", "m", "1", "37h", "1h30", "-1h", "1.5h", "99999999999h", "1h m", "٣h"] {
        assert!(text.parse::<SessionDuration>().is_err(), "{text}");
    }
}

#[test]
fn an_account_id_is_twelve_ascii_digits() {
    assert_eq!("111122223333".parse::<AccountId>().unwrap().as_str(), "111122223333");
    for text in ["", "11112222333", "1111222233334", "11112222333x", "１11122223333"] {
        assert!(text.parse::<AccountId>().is_err(), "{text}");
    }
}

#[test]
fn a_role_name_may_have_a_path() {
    let role: RoleName = "teams/payments/Deploy".parse().unwrap();
    assert_eq!((role.name(), role.as_str()), ("Deploy", "teams/payments/Deploy"));
    for text in ["", "/ReadOnly", "a//b", "a/", "Read Only", "x/é", &"n".repeat(65)] {
        assert!(text.parse::<RoleName>().is_err(), "{text}");
    }
}

#[test]
fn a_legal_name_is_kept_and_an_illegal_one_stays_distinct() {
    assert_eq!(SessionName::for_person("asha@corp.example").as_str(), "asha@corp.example");
    let one = SessionName::for_person("Carol Núñez");
    let other = SessionName::for_person("Carol Nuñéz");
    assert!(one.as_str().starts_with("Carol-N--ez-"), "{one}");
    assert_ne!(one, other);
    assert_eq!(SessionName::for_person("x").as_str().len(), 14);
    assert_eq!(FederatedName::for_person("asha@corp.example").as_str(), "asha@corp.example");
    let long = "asha.karlsson-van-der-berg@corp.example";
    let (cut, other) = (FederatedName::for_person(long), FederatedName::for_person(&format!("{long}2")));
    assert!(cut.as_str().starts_with("asha.karlsson-van-d") && cut.as_str().len() == 32, "{cut}");
    assert_ne!(cut, other);
    assert!("a:b/c@d".parse::<ExternalId>().is_ok() && "a".parse::<ExternalId>().is_err());
    assert!("a b".parse::<ExternalId>().is_err() && "x".repeat(1_225).parse::<ExternalId>().is_err());
}

#[test]
fn partitions_do_not_mix_regions() {
    let region: Region = "us-gov-west-1".parse().unwrap();
    assert!(Partition::AwsUsGov.has_region(&region));
    assert!(!Partition::Aws.has_region(&region));
    for text in ["", "eu", "EU-WEST-1", "eu-west-1/..", "eu.west-1", "1-eu", "eu-west-"] {
        assert!(text.parse::<Region>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn printing_and_parsing_a_duration_agree(seconds in 900_u32..=129_600) {
        let duration = SessionDuration::from_secs(seconds).unwrap();
        prop_assert_eq!(duration.to_string().parse::<SessionDuration>().unwrap(), duration);
    }

    #[test]
    fn printing_and_parsing_a_role_arn_agree(account in "[0-9]{12}", role in "([a-z]{1,8}/){0,3}[A-Za-z0-9_+=,.@-]{1,64}") {
        let text = format!("arn:aws:iam::{account}:role/{role}");
        prop_assert_eq!(text.parse::<RoleArn>().unwrap().to_string(), text);
    }

    #[test]
    fn every_person_gets_a_name_aws_accepts(who in any::<String>()) {
        let name = SessionName::for_person(&who);
        prop_assert!((2..=64).contains(&name.as_str().len()));
        prop_assert!(name.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b)));
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in any::<String>()) {
        let _ = text.parse::<RoleArn>();
        let _ = text.parse::<ProviderArn>();
        let _ = text.parse::<SessionDuration>();
        let _ = text.parse::<Region>();
    }
}

/// The rows are those of the endpoint tests in AWS's own STS service model.
#[test]
fn sts_has_the_names_that_aws_lists_for_it() {
    let plain = EndpointKind::default();
    let fips = EndpointKind { fips: true, ..plain };
    let dual = EndpointKind { dual_stack: true, ..plain };
    let both = EndpointKind { fips: true, dual_stack: true };
    for (region, kind, host) in [
        ("eu-west-1", plain, Some("sts.eu-west-1.amazonaws.com")),
        ("eu-west-1", dual, Some("sts.eu-west-1.api.aws")),
        ("eu-west-1", fips, None),
        ("us-east-1", fips, Some("sts-fips.us-east-1.amazonaws.com")),
        ("us-west-2", fips, Some("sts-fips.us-west-2.amazonaws.com")),
        ("us-east-1", both, Some("sts-fips.us-east-1.api.aws")),
        ("eu-west-1", both, None),
        ("us-gov-east-1", plain, Some("sts.us-gov-east-1.amazonaws.com")),
        ("us-gov-east-1", fips, Some("sts.us-gov-east-1.amazonaws.com")),
        ("us-gov-east-1", dual, Some("sts.us-gov-east-1.api.aws")),
        ("us-gov-east-1", both, Some("sts-fips.us-gov-east-1.api.aws")),
        ("cn-north-1", plain, Some("sts.cn-north-1.amazonaws.com.cn")),
        ("cn-north-1", dual, Some("sts.cn-north-1.api.amazonwebservices.com.cn")),
        ("cn-north-1", fips, None),
    ] {
        let region: Region = region.parse().unwrap();
        let url = Partition::of_region(&region).sts_endpoint(&region, kind);
        assert_eq!(url.as_ref().and_then(url::Url::host_str), host, "{region} {kind:?}");
    }
}

#[test]
fn the_sign_in_service_has_fips_endpoints_in_govcloud_only() {
    for (region, fips, host) in [
        ("us-gov-west-1", false, "us-gov-west-1.signin.amazonaws-us-gov.com"),
        ("us-gov-west-1", true, "signin-fips.amazonaws-us-gov.com"),
        ("us-gov-east-1", true, "us-gov-east-1.signin-fips.amazonaws-us-gov.com"),
        ("us-east-1", true, "us-east-1.signin.aws.amazon.com"),
    ] {
        let region: Region = region.parse().unwrap();
        assert_eq!(Partition::of_region(&region).sign_in_endpoint(&region, fips), host);
    }
}
