//! `~/.aws/config` with one profile for each role somebody may use.
//!
//! Only what is public stands in it: where Rolegate is, accounts and roles. The secret is the token, which stays where
//! each of the three ways keeps it.

use std::fmt::Write as _;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::aws::{Partition, Region};
use crate::catalog::{Account, Role};

mod names;

pub use names::{InvalidTemplate, NameTemplate, names};

/// How AWS's tools get credentials by a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As from IAM Identity Center: `aws sso login`, and everything refreshes by itself.
    Sso,
    /// From the container credentials endpoint: two environment variables beside the profile.
    Container,
    /// From a program that prints them.
    Process,
}

/// The text names no way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no way to get credentials; use sso, container or process")]
pub struct UnknownWay(pub String);

impl Way {
    pub const ALL: [Self; 3] = [Self::Sso, Self::Container, Self::Process];

    /// The name in `way=`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sso => "sso",
            Self::Container => "container",
            Self::Process => "process",
        }
    }
}

impl FromStr for Way {
    type Err = UnknownWay;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|way| way.name() == text).ok_or_else(|| UnknownWay(text.to_owned()))
    }
}

/// The program behind [`Way::Process`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Helper {
    /// Our own, which signs in by itself and knows where it keeps its tokens.
    Rolegate,
    /// Any `curl`, with a token that somebody put into a file.
    Curl,
}

/// The text names no helper.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no helper; use rolegate or curl")]
pub struct UnknownHelper(pub String);

impl Helper {
    /// The name in `helper=`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rolegate => "rolegate",
            Self::Curl => "curl",
        }
    }
}

impl FromStr for Helper {
    type Err = UnknownHelper;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Rolegate, Self::Curl]
            .into_iter()
            .find(|helper| helper.name() == text)
            .ok_or_else(|| UnknownHelper(text.to_owned()))
    }
}

/// The file that holds somebody's token: an absolute path that needs no quoting for any shell or SDK.
///
/// Some SDKs hand a profile's command to a shell and some split it themselves, and the file is often made by following a
/// link that somebody sent. So nothing that any of them gives a meaning to may stand in it: no spaces, quotes or `$`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFile(String);

/// The text is no such path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an absolute path of letters, digits and ._@+-/")]
pub struct InvalidTokenFile(pub String);

impl TokenFile {
    const LONGEST: usize = 200;

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TokenFile {
    type Err = InvalidTokenFile;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.as_bytes();
        let drive = bytes.first().is_some_and(u8::is_ascii_alphabetic) && text[1..].starts_with(":/");
        let rest = if drive { &text[2..] } else { text };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._@+-/".contains(&b);
        let good = rest.len() > 1 && rest.starts_with('/') && text.len() <= Self::LONGEST && rest.bytes().all(plain);
        if good { Ok(Self(text.to_owned())) } else { Err(InvalidTokenFile(text.chars().take(200).collect())) }
    }
}

/// What profiles are written by.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// Our own address, without a closing slash.
    pub base: &'a str,
    /// The name of the `sso-session` and `services` sections, and the first label of the start URL.
    pub sso_name: &'a str,
    /// The region in the `sso-session`: AWS's tools want one, and ours answers for each.
    pub sso_region: &'a Region,
    pub way: Way,
    pub helper: Helper,
    pub token_file: &'a TokenFile,
    /// The region of the profiles, where their partition has it.
    pub region: Option<&'a Region>,
}

/// A role with its account.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub account: &'a Account,
    pub role: &'a Role,
}

/// What may stand in a path segment as it is. A role's path keeps its slashes. Whatever a shell would give a meaning to is
/// encoded.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

impl Place<'_> {
    /// `{account}/{role}`, as it stands in addresses.
    fn address(&self) -> String {
        format!("{}/{}", self.account.id, utf8_percent_encode(self.role.name.as_str(), SEGMENT))
    }

    /// The region a profile gets. Outside the commercial partition there is always one: without it, clients would call
    /// another partition.
    fn region(&self, asked: Option<&Region>) -> Option<Region> {
        let partition = self.account.partition;
        asked
            .filter(|region| partition.has_region(region))
            .or(self.role.region.as_ref())
            .or(self.account.region.as_ref())
            .cloned()
            .or_else(|| (partition != Partition::Aws).then(|| partition.default_region()))
    }
}

impl Plan<'_> {
    /// The start URL that AWS's tools keep their tokens under. They demand a host of AWS's and never ask it.
    #[must_use]
    pub fn start_url(&self) -> String {
        format!("https://{}.awsapps.com/start", self.sso_name)
    }

    /// The address of the container endpoint for a role.
    #[must_use]
    pub fn container_uri(&self, place: Place<'_>) -> String {
        format!("{}/api/v1/container/{}", self.base, place.address())
    }

    /// The command that prints credentials of a role, as it stands in a profile. There is nothing in it that a shell or
    /// an SDK would read as more than itself; `None` where that cannot be, for the odd character in the path of a role.
    #[must_use]
    pub fn command(&self, place: Place<'_>) -> Option<String> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@/-".contains(&b);
        Some(match self.helper {
            Helper::Rolegate if !place.role.name.as_str().bytes().all(plain) => return None,
            Helper::Rolegate => {
                format!("rolegate credential-process --url {} {}/{}", self.base, place.account.id, place.role.name)
            }
            Helper::Curl => format!(
                "curl -fsS -X POST -H @{} \"{}/api/v1/roles/{}/credentials?format=process\"",
                self.token_file.as_str(),
                self.base,
                place.address()
            ),
        })
    }

    /// The whole file: what profiles share first, then each with its name, in the order given.
    #[must_use]
    pub fn write<'p>(&self, profiles: impl IntoIterator<Item = (&'p str, Place<'p>)>) -> String {
        let mut text = String::new();
        if self.way == Way::Sso {
            self.shared(&mut text);
        }
        for (name, place) in profiles {
            if !text.is_empty() {
                text.push('\n');
            }
            self.profile(&mut text, name, place);
        }
        text
    }

    fn shared(&self, text: &mut String) {
        let Self { sso_name, sso_region, base, .. } = self;
        // The name of a service has an underscore here, to all but the SDK for Rust: where that finds none with a dash, it
        // sends refresh tokens to AWS.
        let _ = write!(
            text,
            "[sso-session {sso_name}]\nsso_start_url = {}\nsso_region = {sso_region}\n\
             sso_registration_scopes = sso:account:access\n\n\
             [services {sso_name}]\nsso =\n  endpoint_url = {base}/idc\nsso_oidc =\n  endpoint_url = {base}/idc\n\
             sso-oidc =\n  endpoint_url = {base}/idc\n",
            self.start_url()
        );
    }

    fn profile(&self, text: &mut String, name: &str, place: Place<'_>) {
        let _ = writeln!(text, "[profile {name}]");
        match self.way {
            Way::Sso => {
                let _ = writeln!(text, "sso_session = {}", self.sso_name);
                let _ = writeln!(text, "sso_account_id = {}", place.account.id);
                let _ = writeln!(text, "sso_role_name = {}", place.role.name);
                let _ = writeln!(text, "services = {}", self.sso_name);
            }
            Way::Container => {
                // A profile cannot name the endpoint: SDKs read it from the environment only.
                let _ = writeln!(text, "# AWS_CONTAINER_CREDENTIALS_FULL_URI={}", self.container_uri(place));
                let _ = writeln!(text, "# AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE={}", self.token_file.as_str());
            }
            Way::Process => match self.command(place) {
                Some(command) => {
                    let _ = writeln!(text, "credential_process = {command}");
                }
                None => text.push_str("# No command: the role's path holds characters that a shell would read.\n"),
            },
        }
        if let Some(region) = place.region(self.region) {
            let _ = writeln!(text, "region = {region}");
        }
    }
}

#[cfg(test)]
mod tests;
