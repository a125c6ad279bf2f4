//! OpenID Connect providers: how to reach one, how we prove who we are, and where to read a person from in its claims.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::connector::{ClockSkew, safe_url};
use super::{AttributeName, Secret};

/// An OpenID Connect provider and how we behave towards it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OidcConnector {
    pub issuer: Issuer,
    pub client_id: String,
    pub client_secret: Option<Secret>,
    /// How we prove to the token endpoint who we are; chosen from what the provider offers when absent.
    pub client_auth: Option<ClientAuth>,
    /// Exactly what is asked for; nothing is added.
    pub scopes: Vec<String>,
    /// How ID tokens may be signed. Never empty in a catalog, and never symmetric.
    pub signing_algorithms: BTreeSet<JwsAlgorithm>,
    pub userinfo: UserInfo,
    pub prefer: Prefer,
    pub acr_values: Vec<String>,
    pub prompt: Option<Prompt>,
    /// How long ago the person may have been recognised.
    pub max_age: Option<Duration>,
    /// Have the person recognised anew each time, and believe it only by `auth_time`.
    pub force_authn: bool,
    /// Pass on the address that was typed on the sign-in page.
    pub login_hint: bool,
    pub response_mode: ResponseMode,
    /// Call the provider at private addresses too.
    pub private_addresses: bool,
    /// Believe `email` without `email_verified`.
    pub trust_email: bool,
    /// So many groups mean that the provider cut them off.
    pub groups_limit: Option<u32>,
    pub clock_skew: ClockSkew,
    pub claims: ClaimMap,
}

impl OidcConnector {
    /// A connector with every default.
    #[must_use]
    pub fn new(issuer: Issuer, client_id: String) -> Self {
        Self {
            issuer,
            client_id,
            client_secret: None,
            client_auth: None,
            scopes: ["openid", "profile", "email"].map(str::to_owned).to_vec(),
            signing_algorithms: BTreeSet::from([JwsAlgorithm::Rs256]),
            userinfo: UserInfo::default(),
            prefer: Prefer::default(),
            acr_values: Vec::new(),
            prompt: None,
            max_age: None,
            force_authn: false,
            login_hint: false,
            response_mode: ResponseMode::default(),
            private_addresses: false,
            trust_email: false,
            groups_limit: None,
            clock_skew: ClockSkew::default(),
            claims: ClaimMap::default(),
        }
    }
}

/// An issuer identifier, kept byte for byte as it was written: a trailing slash makes another issuer.
///
/// https, or http to this machine; no query, no fragment, no user name.
///
/// Spec: OpenID Connect Discovery 1.0, section 3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Issuer(String);

/// The text cannot be an issuer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIssuer {
    #[error(
        "`{0}` is not an issuer; write its https URL as the provider writes it, without query or fragment (http only for a loopback host)"
    )]
    Url(String),
    #[error(
        "`{0}` stands for many tenants, and whoever runs one of them could vouch for anybody; write the issuer of your own tenant, with its id"
    )]
    ManyTenants(String),
    #[error("`{0}` is where the discovery document is; write the issuer, which stands in it as \"issuer\"")]
    Discovery(String),
}

impl Issuer {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where it is, for rules about hosts.
    #[must_use]
    pub fn url(&self) -> Url {
        Url::parse(&self.0).expect("an issuer was a URL when it was made")
    }
}

impl FromStr for Issuer {
    type Err = InvalidIssuer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let tenant = |url: &Url| {
            url.path_segments().and_then(|mut segments| segments.next().map(str::to_owned)).unwrap_or_default()
        };
        if text.contains('{') {
            return Err(InvalidIssuer::ManyTenants(text.to_owned()));
        }
        let url = safe_url(text).filter(|url| url.query().is_none() && url.fragment().is_none());
        let url = url.ok_or_else(|| InvalidIssuer::Url(text.to_owned()))?;
        if url.path().trim_end_matches('/').ends_with("/.well-known/openid-configuration") {
            return Err(InvalidIssuer::Discovery(text.to_owned()));
        }
        // Entra ID answers under these for every company there is.
        let microsoft = url.host_str().is_some_and(|host| host.starts_with("login.microsoftonline."));
        if microsoft && matches!(tenant(&url).as_str(), "common" | "organizations" | "consumers") {
            return Err(InvalidIssuer::ManyTenants(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Issuer {
    type Error = InvalidIssuer;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Issuer> for String {
    fn from(issuer: Issuer) -> Self {
        issuer.0
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An enum of texts that a specification fixes: how each is written, and reading it back.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$mark:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$mark])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text).ok_or_else(|| UnknownWord {
                    text: text.to_owned(),
                    known: &[$($text),+],
                })
            }
        }
    };
}

/// The text is none of the words that may stand there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` cannot stand here; write {}", known.join(", "))]
pub struct UnknownWord {
    text: String,
    known: &'static [&'static str],
}

words! {
    /// How a client proves to the token endpoint who it is.
    ///
    /// Spec: OpenID Connect Core 1.0, section 9.
    ClientAuth {
        Basic = "client_secret_basic",
        Post = "client_secret_post",
        PrivateKeyJwt = "private_key_jwt",
        None = "none",
    }
}

words! {
    /// How an ID token may be signed. No algorithm with a shared secret: whoever can check such a signature can make it.
    ///
    /// Spec: RFC 7518, section 3.1, and RFC 8037.
    JwsAlgorithm {
        Rs256 = "RS256",
        Rs384 = "RS384",
        Rs512 = "RS512",
        Ps256 = "PS256",
        Ps384 = "PS384",
        Ps512 = "PS512",
        Es256 = "ES256",
        Es384 = "ES384",
        EdDsa = "EdDSA",
    }
}

words! {
    /// When the userinfo endpoint is asked.
    #[derive(Default)]
    UserInfo {
        /// When a claim that the catalog maps is not in the ID token.
        #[default]
        IfNeeded = "if-needed",
        Always = "always",
        Never = "never",
    }
}

words! {
    /// Which counts where ID token and userinfo both have a claim.
    #[derive(Default)]
    Prefer {
        /// What was signed counts before what was fetched.
        #[default]
        IdToken = "id_token",
        UserInfo = "userinfo",
    }
}

words! {
    /// What the provider is told about asking the person.
    ///
    /// Spec: OpenID Connect Core 1.0, section 3.1.2.1. `none` is not here: a person who waits is always there.
    Prompt {
        Login = "login",
        Consent = "consent",
        SelectAccount = "select_account",
    }
}

words! {
    /// How the answer comes back.
    ///
    /// Spec: OAuth 2.0 Form Post Response Mode.
    #[derive(Default)]
    ResponseMode {
        /// The answer comes with our cookie, so it is known at once whose it is.
        #[default]
        Query = "query",
        FormPost = "form_post",
    }
}

/// Where to read the person from in the claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimMap {
    /// The person's key; `sub` when absent.
    pub subject: Option<ClaimPath>,
    pub email: ClaimPath,
    pub name: ClaimPath,
    pub groups: Option<ClaimGroups>,
    /// Further attributes: our name for each, and where it is.
    pub extra: BTreeMap<AttributeName, ClaimPath>,
}

impl Default for ClaimMap {
    fn default() -> Self {
        Self {
            subject: None,
            email: ClaimPath::literal("email"),
            name: ClaimPath::literal("name"),
            groups: None,
            extra: BTreeMap::new(),
        }
    }
}

/// The name of a claim; with more than one part, the way into objects. A name is literal: it may hold dots and slashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct ClaimPath(Vec<String>);

/// A path has no part, or an empty one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a path has at least one name, and none is empty")]
pub struct InvalidClaimPath;

impl ClaimPath {
    /// A claim at the top.
    #[must_use]
    pub fn literal(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// # Errors
    /// [`InvalidClaimPath`]
    pub fn new(parts: Vec<String>) -> Result<Self, InvalidClaimPath> {
        if parts.is_empty() || parts.iter().any(String::is_empty) { Err(InvalidClaimPath) } else { Ok(Self(parts)) }
    }

    /// From the top inwards; never empty.
    #[must_use]
    pub fn parts(&self) -> &[String] {
        &self.0
    }
}

impl TryFrom<Vec<String>> for ClaimPath {
    type Error = InvalidClaimPath;

    fn try_from(parts: Vec<String>) -> Result<Self, Self::Error> {
        Self::new(parts)
    }
}

impl From<ClaimPath> for Vec<String> {
    fn from(path: ClaimPath) -> Self {
        path.0
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" → "))
    }
}

/// Where to read the groups from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimGroups {
    pub claim: ClaimPath,
    /// Splits a text that joins several groups; texts are never split unless this is given.
    pub delimiter: Option<String>,
    /// Keep only values that begin with this, without it.
    pub prefix: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_kept_as_it_was_written() {
        for text in [
            "https://tenant.auth0.example/",
            "https://tenant.auth0.example",
            "https://login.microsoftonline.com/9b3e1d0a-0000-4000-8000-000000000000/v2.0",
            "http://127.0.0.1:9000/realms/a",
        ] {
            assert_eq!(text.parse::<Issuer>().unwrap().as_str(), text);
        }
        for text in
            ["", "x", "http://idp.example", "https://idp.example?x", "https://idp.example#x", "https://a@idp.example"]
        {
            assert!(matches!(text.parse::<Issuer>(), Err(InvalidIssuer::Url(_))), "{text}");
        }
        for text in [
            "https://login.microsoftonline.com/common/v2.0",
            "https://login.microsoftonline.com/organizations/v2.0",
            "https://login.microsoftonline.com/{tenantid}/v2.0",
        ] {
            assert!(matches!(text.parse::<Issuer>(), Err(InvalidIssuer::ManyTenants(_))), "{text}");
        }
        let discovery = "https://idp.example/realms/a/.well-known/openid-configuration";
        assert!(matches!(discovery.parse::<Issuer>(), Err(InvalidIssuer::Discovery(_))));
    }
}
