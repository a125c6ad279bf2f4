use super::*;

fn refused(text: &str) -> bool {
    Consoles::default().parse(text, Partition::Aws).is_err()
}

#[test]
fn pages_of_the_console_are_allowed() {
    for text in [
        "https://console.aws.amazon.com/",
        "https://console.aws.amazon.com",
        "https://eu-west-1.console.aws.amazon.com/s3/home?region=eu-west-1#/buckets",
        "https://111122223333-ab12cd34.eu-west-1.console.aws.amazon.com/console/home",
        "https://console.aws.amazon.com:443/",
    ] {
        assert!(Consoles::default().parse(text, Partition::Aws).is_ok(), "{text}");
    }
    let gov = "https://us-gov-west-1.console.amazonaws-us-gov.com/s3/home";
    assert!(Consoles::default().parse(gov, Partition::AwsUsGov).is_ok());
}

#[test]
fn nothing_else_is_allowed() {
    for text in [
        "",
        "/s3/home",
        "//console.aws.amazon.com/",
        "console.aws.amazon.com",
        "http://console.aws.amazon.com/",
        "ftp://console.aws.amazon.com/",
        "javascript:alert(1)//console.aws.amazon.com",
        "data:text/html,https://console.aws.amazon.com/",
        "https://console.aws.amazon.com:8443/",
        "https://user@console.aws.amazon.com/",
        "https://:secret@console.aws.amazon.com/",
        "https://console.aws.amazon.com@evil.example/",
        "https://console.aws.amazon.com.evil.example/",
        "https://evilconsole.aws.amazon.com/",
        "https://console.aws.amazon.com./",
        "https://.console.aws.amazon.com/",
        "https://a.b.console.aws.amazon.com/",
        "https://111122223333-ab12cd34.a.b.console.aws.amazon.com/",
        "https://11112222333-ab12cd34.eu-west-1.console.aws.amazon.com/",
        "https://a_b.console.aws.amazon.com/",
        "https://evil.example\\.console.aws.amazon.com/",
        "https://evil.example/https://console.aws.amazon.com/",
        "https://evil.example#.console.aws.amazon.com/",
        "https://console.amazonaws.cn/",
        "http://127.0.0.1:8081/console",
    ] {
        assert!(refused(text), "{text}");
    }
    assert!(refused(&format!("https://console.aws.amazon.com/{}", "a".repeat(2048))));
}

#[test]
fn what_is_judged_is_what_is_sent() {
    let destination = Consoles::default().parse("https://CONSOLE.aws.amazon.com\\s3", Partition::Aws).unwrap();
    assert_eq!(destination.as_str(), "https://console.aws.amazon.com/s3");
}

#[test]
fn the_operators_own_consoles_are_allowed_by_origin() {
    let home = Url::parse("http://127.0.0.1:8081/console").unwrap();
    let other = Url::parse("https://tools.corp.example/x").unwrap().origin();
    let consoles = Consoles { home: Some(home), origins: vec![other] };
    for text in ["http://127.0.0.1:8081/console/s3?region=eu-west-1", "https://tools.corp.example/deep/link"] {
        assert!(consoles.parse(text, Partition::Aws).is_ok(), "{text}");
    }
    for text in [
        "https://127.0.0.1:8081/console",
        "http://127.0.0.1:8082/console",
        "http://localhost:8081/console",
        "http://user@127.0.0.1:8081/console",
        "https://tools.corp.example:444/",
        "http://tools.corp.example/",
    ] {
        assert!(consoles.parse(text, Partition::Aws).is_err(), "{text}");
    }
    assert_eq!(
        consoles.home(Partition::Aws, &"eu-west-1".parse().unwrap()).as_str(),
        "http://127.0.0.1:8081/console?region=eu-west-1"
    );
}

#[test]
fn every_home_is_a_destination_its_partition_allows() {
    for partition in Partition::ALL {
        let consoles = Consoles::default();
        let home = consoles.home(partition, &partition.default_region());
        assert_eq!(consoles.parse(home.as_str(), partition).as_ref(), Ok(&home));
    }
    assert_eq!(
        Consoles::default().home(Partition::Aws, &"eu-west-1".parse().unwrap()).as_str(),
        "https://eu-west-1.console.aws.amazon.com/console/home?region=eu-west-1"
    );
}
