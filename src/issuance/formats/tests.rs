use super::*;

fn credentials() -> Credentials {
    Credentials {
        access_key_id: "ASIAEXAMPLE".to_owned(),
        secret_access_key: SecretString::from("se/cr+et"),
        session_token: SecretString::from("to/ke+n=="),
        expiration: "2030-01-02T03:04:05.678Z".parse().unwrap(),
    }
}

fn rendered(format: Format, role: &str, region: Option<&str>) -> String {
    let role: RoleArn = role.parse().unwrap();
    let region = region.map(|region| region.parse().unwrap());
    let context = Context { role: &role, region: region.as_ref(), packed_percent: None };
    format.render(&credentials(), &context).expose_secret().to_owned()
}

const ROLE: &str = "arn:aws:iam::111122223333:role/teams/Read=Only,x";

#[test]
fn json_is_for_programs_of_ones_own() {
    let text = rendered(Format::Json, ROLE, Some("eu-west-1"));
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        value,
        serde_json::json!({
            "AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "se/cr+et", "SessionToken": "to/ke+n==",
            "Expiration": "2030-01-02T03:04:05Z", "AccountId": "111122223333", "RoleArn": ROLE, "Region": "eu-west-1",
        })
    );
}

#[test]
fn process_is_what_credential_process_must_print() {
    assert_eq!(
        rendered(Format::Process, ROLE, Some("eu-west-1")),
        r#"{
  "Version": 1,
  "AccessKeyId": "ASIAEXAMPLE",
  "SecretAccessKey": "se/cr+et",
  "SessionToken": "to/ke+n==",
  "Expiration": "2030-01-02T03:04:05Z",
  "AccountId": "111122223333"
}
"#
    );
}

#[test]
fn env_is_for_posix_shells() {
    assert_eq!(
        rendered(Format::Env, ROLE, Some("eu-west-1")),
        "unset AWS_SECURITY_TOKEN
export AWS_ACCESS_KEY_ID='ASIAEXAMPLE'
export AWS_SECRET_ACCESS_KEY='se/cr+et'
export AWS_SESSION_TOKEN='to/ke+n=='
export AWS_CREDENTIAL_EXPIRATION='2030-01-02T03:04:05Z'
export AWS_REGION='eu-west-1'
export AWS_DEFAULT_REGION='eu-west-1'
"
    );
}

#[test]
fn both_region_variables_are_set_or_neither() {
    assert!(!rendered(Format::Env, ROLE, None).contains("REGION"));
    let gov = rendered(Format::Env, "arn:aws-us-gov:iam::111122223333:role/R", None);
    assert_eq!(gov.matches("us-gov-west-1").count(), 2, "outside the commercial partition a region is needed");
}

#[test]
fn fish_powershell_and_cmd_have_their_own_words() {
    let fish = rendered(Format::Fish, ROLE, None);
    assert!(fish.starts_with("set -e AWS_SECURITY_TOKEN\nset -gx AWS_ACCESS_KEY_ID 'ASIAEXAMPLE'\n"), "{fish}");
    let powershell = rendered(Format::PowerShell, ROLE, None);
    assert!(
        powershell.starts_with(
            "Remove-Item Env:AWS_SECURITY_TOKEN -ErrorAction SilentlyContinue\n$Env:AWS_ACCESS_KEY_ID = 'ASIAEXAMPLE'\n"
        ),
        "{powershell}"
    );
    let cmd = rendered(Format::Cmd, ROLE, None);
    assert!(cmd.starts_with("set \"AWS_SECURITY_TOKEN=\"\r\nset \"AWS_ACCESS_KEY_ID=ASIAEXAMPLE\"\r\n"), "{cmd}");
    for text in [fish, powershell, cmd] {
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.contains("2030-01-02T03:04:05Z"), "{text}");
    }
}

#[test]
fn ini_is_one_section_with_a_safe_name() {
    assert_eq!(
        rendered(Format::Ini, ROLE, Some("eu-west-1")),
        "[111122223333-Read-Only-x]
# valid until 2030-01-02T03:04:05Z
aws_access_key_id = ASIAEXAMPLE
aws_secret_access_key = se/cr+et
aws_session_token = to/ke+n==
region = eu-west-1
"
    );
}

#[test]
fn format_names_and_parsing_agree() {
    for format in Format::ALL {
        assert_eq!(format.name().parse(), Ok(format));
    }
    for text in ["", "JSON", "bash", "env "] {
        assert!(text.parse::<Format>().is_err(), "{text}");
    }
}

#[test]
fn file_names_fit_a_header_and_differ() {
    let role: RoleArn = ROLE.parse().unwrap();
    let context = Context { role: &role, region: None, packed_percent: Some(34) };
    let names: std::collections::BTreeSet<_> = Format::ALL.iter().map(|format| format.file_name(&context)).collect();
    assert_eq!(names.len(), Format::ALL.len());
    assert!(names.contains("111122223333-Read-Only-x.credentials"));
    for name in names {
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@+-".contains(&b)), "{name}");
    }
}

#[test]
fn no_format_uses_the_deprecated_token_name_as_a_value() {
    for format in Format::ALL {
        assert!(!rendered(format, ROLE, None).contains("aws_security_token"));
    }
}
