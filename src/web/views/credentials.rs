//! Issued credentials, hidden until asked for.

use askama::Template;
use secrecy::{ExposeSecret, SecretString};

use super::shell::{Notice, RoleTitle, Shell, Tone};

/// The answer to `POST /roles/{account}/{role}/credentials`; served with `Cache-Control: no-store`.
///
/// Forms:
/// - download, one per format: `POST {role.url}/credentials` with `csrf`, `duration` and `format` (the format's
///   [`id`](Format::id)). It issues anew, and the page says so; scripts save what is on the page instead;
/// - again: `POST {role.url}/credentials` with `csrf` and `duration`;
/// - console: `POST {role.url}/console` with `csrf` and `duration`.
///
/// Each carries [`again`](Self::again) besides, so that a limited session is not followed by one that is not.
#[derive(Debug, Template)]
#[template(path = "credentials/credentials.html")]
pub struct CredentialsPage {
    pub shell: Shell,
    pub role: RoleTitle,
    pub access_key_id: String,
    pub secret_access_key: SecretString,
    pub session_token: SecretString,
    /// RFC 3339 in UTC, for machines: `2030-01-02T03:04:05Z`.
    pub expires_iso: String,
    /// For people: `2 January 2030, 03:04:05 UTC`.
    pub expires_utc: String,
    /// Why there is no console for them; empty where there is one.
    pub no_console: &'static str,
    /// How long they live from the moment of issue, such as `1 h`.
    pub lifetime: String,
    /// The duration issued, in whole seconds; repeated by the page's forms.
    pub duration_seconds: u32,
    /// What they are limited to beyond their role, in words.
    pub limits: Vec<String>,
    /// The fields of the options they were asked for with.
    pub again: Vec<(&'static str, String)>,
    /// How much of the room for policy and tags they take, where AWS said so.
    pub packed_percent: Option<u32>,
    /// In the order they are offered; the first is shown.
    pub formats: Vec<Format>,
}

/// The credentials as one kind of tool takes them.
#[derive(Debug)]
pub struct Format {
    /// As in `format=`: `env`, `fish`, `powershell`, `cmd`, `ini`, `json` or `process`.
    pub id: String,
    pub label: &'static str,
    /// Where it goes, in a sentence.
    pub hint: &'static str,
    /// What a script names the file it saves.
    pub file_name: String,
    /// The text to copy.
    pub text: SecretString,
    /// The same with dots for secrets.
    pub masked: String,
}

impl Format {
    /// Names and explains a format by its id, and masks `secrets` in the text that is shown first.
    #[must_use]
    pub fn new(id: &str, file_name: &str, text: SecretString, secrets: &[&SecretString]) -> Self {
        let (label, hint) = match id {
            "env" => {
                ("bash, zsh", "Paste into a terminal. Lasts until that terminal closes or the credentials expire.")
            }
            "fish" => ("fish", "Paste into a fish shell. Lasts until that shell closes or the credentials expire."),
            "powershell" => ("PowerShell", "Paste into PowerShell. Lasts until that window closes."),
            "cmd" => ("cmd", "Paste into the Windows command prompt. Lasts until that window closes."),
            "ini" => (
                "Profile",
                "Add to ~/.aws/credentials (on Windows %USERPROFILE%\\.aws\\credentials), then choose it with --profile.",
            ),
            "json" => ("JSON", "For scripts, in the shape STS itself answers with."),
            "process" => (
                "credential_process",
                "What a credential_process command must print. AWS tools read the expiry from it and ask again in time.",
            ),
            _ => ("Other", ""),
        };
        let mut masked = text.expose_secret().to_owned();
        for secret in secrets.iter().filter(|secret| !secret.expose_secret().is_empty()) {
            masked = masked.replace(secret.expose_secret(), "••••••••••••");
        }
        Self { id: id.to_owned(), label, hint, file_name: file_name.to_owned(), text, masked }
    }
}

impl CredentialsPage {
    #[must_use]
    pub fn samples() -> Vec<(&'static str, Self)> {
        let key = "ASIAIOSFODNN7EXAMPLE";
        let secret = SecretString::from("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let token = SecretString::from(format!("IQoJb3JpZ2luX2VjE{}==", "Ab3dEf6hIj9kLm2nOp5q".repeat(26)));
        let (s, t) = (secret.expose_secret(), token.expose_secret());
        let vars = |line: fn(&str, &str) -> String| {
            [("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", s), ("AWS_SESSION_TOKEN", t)]
                .map(|(name, value)| line(name, value))
                .concat()
        };
        let texts = [
            ("env", "Deploy.sh", vars(|n, v| format!("export {n}='{v}'\n")) + "unset AWS_SECURITY_TOKEN AWS_PROFILE\n"),
            ("fish", "Deploy.fish", vars(|n, v| format!("set -gx {n} '{v}'\n"))),
            ("powershell", "Deploy.ps1", vars(|n, v| format!("$Env:{n} = '{v}'\n"))),
            ("cmd", "Deploy.cmd", vars(|n, v| format!("set \"{n}={v}\"\n"))),
            (
                "ini",
                "credentials",
                format!(
                    "[111122223333-Deploy]\naws_access_key_id = {key}\naws_secret_access_key = {s}\n\
                     aws_session_token = {t}\n"
                ),
            ),
            (
                "json",
                "Deploy.json",
                format!(
                    "{{\n  \"Credentials\": {{\n    \"AccessKeyId\": \"{key}\",\n    \"SecretAccessKey\": \"{s}\",\n    \
                     \"SessionToken\": \"{t}\",\n    \"Expiration\": \"2030-01-02T03:04:05Z\"\n  }}\n}}\n"
                ),
            ),
            (
                "process",
                "Deploy.process.json",
                format!(
                    "{{\n  \"Version\": 1,\n  \"AccessKeyId\": \"{key}\",\n  \"SecretAccessKey\": \"{s}\",\n  \
                     \"SessionToken\": \"{t}\",\n  \"Expiration\": \"2030-01-02T03:04:05Z\"\n}}\n"
                ),
            ),
        ];
        let formats = || {
            texts
                .iter()
                .map(|(id, file, text)| Format::new(id, file, text.as_str().into(), &[&secret, &token]))
                .collect()
        };
        let page = |shell, lifetime: &str, duration_seconds| Self {
            shell,
            role: RoleTitle::sample(),
            access_key_id: key.to_owned(),
            secret_access_key: secret.clone(),
            session_token: token.clone(),
            expires_iso: "2030-01-02T03:04:05Z".to_owned(),
            expires_utc: "2 January 2030, 03:04:05 UTC".to_owned(),
            no_console: "",
            lifetime: lifetime.to_owned(),
            duration_seconds,
            limits: Vec::new(),
            again: Vec::new(),
            packed_percent: None,
            formats: formats(),
        };
        let shortened = Shell::sample().with_notice(Notice::new(
            Tone::Warning,
            "You asked for 4 h; AWS allows this role 1 h, so these credentials last 1 h.",
        ));
        vec![
            ("credentials", page(Shell::sample(), "4 h", 14_400)),
            ("credentials-shortened", page(shortened, "1 h", 3600)),
            (
                "credentials-limited",
                Self {
                    limits: vec!["only reading".to_owned(), "only in eu-west-1 and eu-central-1".to_owned()],
                    again: vec![("read_only", "true".to_owned()), ("regions", "eu-west-1 eu-central-1".to_owned())],
                    packed_percent: Some(34),
                    ..page(Shell::sample(), "1 h", 3600)
                },
            ),
        ]
    }
}
