//! Credentials written the way shells, SDKs and files read them.

use std::fmt::Write as _;
use std::str::FromStr;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::aws::{AccountId, Credentials, Partition, Region, RoleArn};

/// A way of writing credentials down; the name in `format=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// What STS answered and for which role, for programs of one's own.
    Json,
    /// What an SDK expects from `credential_process`.
    Process,
    /// bash, zsh and every other POSIX shell.
    Env,
    Fish,
    PowerShell,
    /// The Windows command prompt.
    Cmd,
    /// A section for `~/.aws/credentials`.
    Ini,
}

/// The text names no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a format; use json, process, env, fish, powershell, cmd or ini")]
pub struct UnknownFormat(pub String);

impl Format {
    pub const ALL: [Self; 7] =
        [Self::Json, Self::Process, Self::Env, Self::Fish, Self::PowerShell, Self::Cmd, Self::Ini];

    /// The name in `format=`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Process => "process",
            Self::Env => "env",
            Self::Fish => "fish",
            Self::PowerShell => "powershell",
            Self::Cmd => "cmd",
            Self::Ini => "ini",
        }
    }

    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json | Self::Process => "application/json",
            Self::Env | Self::Fish | Self::PowerShell | Self::Cmd | Self::Ini => "text/plain; charset=utf-8",
        }
    }

    /// The name of the file when it is downloaded; ASCII without quotes or slashes, fit for a header.
    #[must_use]
    pub fn file_name(self, context: &Context<'_>) -> String {
        let extension = match self {
            Self::Json => "json",
            Self::Process => "process.json",
            Self::Env => "sh",
            Self::Fish => "fish",
            Self::PowerShell => "ps1",
            Self::Cmd => "cmd",
            Self::Ini => "credentials",
        };
        format!("{}.{extension}", context.profile())
    }

    /// Writes the credentials down.
    ///
    /// Values are quoted but not escaped: an answer of STS whose values hold anything but letters, digits and
    /// `+/=_-` is refused where it is read.
    #[must_use]
    pub fn render(self, credentials: &Credentials, context: &Context<'_>) -> SecretString {
        let text = match self {
            Self::Json => json(credentials, context),
            Self::Process => process(credentials, context),
            Self::Env => shell(
                credentials,
                context,
                |name| format!("unset {name}\n"),
                |name, v| format!("export {name}='{v}'\n"),
            ),
            Self::Fish => shell(
                credentials,
                context,
                |name| format!("set -e {name}\n"),
                |name, v| format!("set -gx {name} '{v}'\n"),
            ),
            Self::PowerShell => shell(
                credentials,
                context,
                |name| format!("Remove-Item Env:{name} -ErrorAction SilentlyContinue\n"),
                |name, v| format!("$Env:{name} = '{v}'\n"),
            ),
            Self::Cmd => shell(
                credentials,
                context,
                |name| format!("set \"{name}=\"\r\n"),
                |name, v| format!("set \"{name}={v}\"\r\n"),
            ),
            Self::Ini => ini(credentials, context),
        };
        SecretString::from(text.as_str())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|format| format.name() == text).ok_or_else(|| UnknownFormat(text.to_owned()))
    }
}

/// What is written beside the credentials.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub role: &'a RoleArn,
    /// The region the role's users work in, if the catalog names one.
    pub region: Option<&'a Region>,
    /// How much of the room for session policy and tags is taken, where STS said so.
    pub packed_percent: Option<u32>,
}

impl Context<'_> {
    /// The profile name: `<account>-<role>`, in characters that need no quoting in any of AWS's files.
    #[must_use]
    pub fn profile(&self) -> String {
        let role = self.role.role().name();
        let safe = |c: char| if c.is_ascii_alphanumeric() || "._@+-".contains(c) { c } else { '-' };
        format!("{}-{}", self.role.account(), role.chars().map(safe).collect::<String>())
    }

    /// Outside the commercial partition there is always a region: without one, clients would call another partition.
    fn region(&self) -> Option<Region> {
        match (self.region, self.role.partition()) {
            (Some(region), _) => Some(region.clone()),
            (None, Partition::Aws) => None,
            (None, partition) => Some(partition.default_region()),
        }
    }
}

/// RFC 3339 in UTC and whole seconds, the one form every client parses.
fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Borrows everything, so that no second copy of a secret is left behind.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u8>,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    session_token: &'a str,
    expiration: String,
    account_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packed_policy_size: Option<u32>,
}

fn document<'a>(credentials: &'a Credentials, account: &'a AccountId) -> Document<'a> {
    Document {
        version: None,
        access_key_id: &credentials.access_key_id,
        secret_access_key: credentials.secret_access_key.expose_secret(),
        session_token: credentials.session_token.expose_secret(),
        expiration: utc(credentials.expiration),
        account_id: account.as_str(),
        role_arn: None,
        region: None,
        packed_policy_size: None,
    }
}

fn json(credentials: &Credentials, context: &Context<'_>) -> Zeroizing<String> {
    let account = context.role.account();
    let document = document(credentials, &account);
    pretty(&Document {
        role_arn: Some(context.role.to_string()),
        region: context.region(),
        packed_policy_size: context.packed_percent,
        ..document
    })
}

fn process(credentials: &Credentials, context: &Context<'_>) -> Zeroizing<String> {
    let account = context.role.account();
    pretty(&Document { version: Some(1), ..document(credentials, &account) })
}

fn pretty(document: &Document<'_>) -> Zeroizing<String> {
    let mut text = serde_json::to_string_pretty(document).expect("strings and a number are always JSON");
    text.push('\n');
    Zeroizing::new(text)
}

/// Commands for one shell, which says how a name is unset and how it is set to a value.
///
/// There are no comments in it: zsh does not take them when they are pasted.
fn shell(
    credentials: &Credentials,
    context: &Context<'_>,
    unset: impl Fn(&str) -> String,
    set: impl Fn(&str, &str) -> String,
) -> Zeroizing<String> {
    // An older name for the session token, which botocore reads before the present one.
    let mut text = Zeroizing::new(String::with_capacity(4096));
    text.push_str(&unset("AWS_SECURITY_TOKEN"));
    let expiration = utc(credentials.expiration);
    let region = context.region();
    let region = region.as_ref().map(Region::as_str);
    let values = [
        ("AWS_ACCESS_KEY_ID", Some(credentials.access_key_id.as_str())),
        ("AWS_SECRET_ACCESS_KEY", Some(credentials.secret_access_key.expose_secret())),
        ("AWS_SESSION_TOKEN", Some(credentials.session_token.expose_secret())),
        ("AWS_CREDENTIAL_EXPIRATION", Some(expiration.as_str())),
        // Some clients read one name and some the other: both, or neither.
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
    ];
    for (name, value) in values {
        if let Some(value) = value {
            text.push_str(&Zeroizing::new(set(name, value)));
        }
    }
    text
}

fn ini(credentials: &Credentials, context: &Context<'_>) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(4096));
    // There is no key for the expiry that clients would read, so it is a comment for people.
    let _ = writeln!(text, "[{}]", context.profile());
    let _ = writeln!(text, "# valid until {}", utc(credentials.expiration));
    let _ = writeln!(text, "aws_access_key_id = {}", credentials.access_key_id);
    let _ = writeln!(text, "aws_secret_access_key = {}", credentials.secret_access_key.expose_secret());
    let _ = writeln!(text, "aws_session_token = {}", credentials.session_token.expose_secret());
    if let Some(region) = context.region() {
        let _ = writeln!(text, "region = {region}");
    }
    text
}

#[cfg(test)]
mod tests;
