//! Connectors: how to reach an identity provider, and where to read a person from in what it sends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{AttributeName, OidcConnector, WorkloadConnector};
use crate::identity::ConnectorId;
use crate::sys::http::names_this_machine;

/// A way to reach an identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connector {
    pub id: ConnectorId,
    /// What the sign-in page calls it.
    pub name: String,
    /// A disabled connector signs nobody in, and nobody who came through it gets anything.
    pub enabled: bool,
    pub kind: ConnectorKind,
    pub session: SessionLimits,
    /// Whose addresses these are is sent here from the sign-in page.
    #[serde(default)]
    pub email_domains: BTreeSet<EmailDomain>,
    /// Whether the sign-in page is skipped in favour of this one.
    #[serde(default)]
    pub default: bool,
}

impl Connector {
    /// The connector's SAML side, when it is a SAML connector.
    #[must_use]
    pub fn saml(&self) -> Option<&SamlConnector> {
        match &self.kind {
            ConnectorKind::Saml(saml) => Some(saml),
            ConnectorKind::Oidc(_) | ConnectorKind::Workload(_) => None,
        }
    }

    /// The connector's OpenID Connect side, when it is such a connector.
    #[must_use]
    pub fn oidc(&self) -> Option<&OidcConnector> {
        match &self.kind {
            ConnectorKind::Oidc(oidc) => Some(oidc),
            ConnectorKind::Saml(_) | ConnectorKind::Workload(_) => None,
        }
    }

    /// What it says of workloads, when it is for those.
    #[must_use]
    pub fn workload(&self) -> Option<&WorkloadConnector> {
        match &self.kind {
            ConnectorKind::Workload(workload) => Some(workload),
            ConnectorKind::Saml(_) | ConnectorKind::Oidc(_) => None,
        }
    }

    /// Whether people sign in through it.
    #[must_use]
    pub fn is_for_people(&self) -> bool {
        self.workload().is_none()
    }

    /// How far its provider's clock may differ from ours.
    #[must_use]
    pub fn clock_skew(&self) -> ClockSkew {
        match &self.kind {
            ConnectorKind::Saml(saml) => saml.clock_skew,
            ConnectorKind::Oidc(oidc) => oidc.clock_skew,
            ConnectorKind::Workload(workload) => workload.clock_skew,
        }
    }

    /// Whether its provider is told who somebody says they are.
    #[must_use]
    pub fn takes_login_hint(&self) -> bool {
        self.oidc().is_some_and(|oidc| oidc.login_hint)
    }

    /// Whether what this connector says about a person cannot be what `before` said: it leads to another provider, whose
    /// subjects are other people even where they are called the same.
    #[must_use]
    pub fn leads_elsewhere_than(&self, before: &Self) -> bool {
        match (&self.kind, &before.kind) {
            (ConnectorKind::Saml(new), ConnectorKind::Saml(old)) => {
                let url = |saml: &SamlConnector| match &saml.metadata {
                    MetadataSource::Url(url) => Some(url.clone()),
                    MetadataSource::Inline(_) => None,
                };
                new.idp_entity_id != old.idp_entity_id || url(new) != url(old)
            }
            (ConnectorKind::Oidc(new), ConnectorKind::Oidc(old)) => new.issuer != old.issuer,
            (ConnectorKind::Workload(new), ConnectorKind::Workload(old)) => new.issuer != old.issuer,
            _ => true,
        }
    }

    /// Our own names for the attributes it maps beyond the usual ones.
    pub fn extra_attributes(&self) -> impl Iterator<Item = &AttributeName> {
        let (saml, claims) = match &self.kind {
            ConnectorKind::Saml(saml) => (Some(saml.attributes.extra.keys()), None),
            ConnectorKind::Oidc(oidc) => (None, Some(oidc.claims.extra.keys())),
            ConnectorKind::Workload(workload) => (None, Some(workload.attributes.keys())),
        };
        saml.into_iter().flatten().chain(claims.into_iter().flatten())
    }
}

/// A domain as it stands behind the `@` of an address, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailDomain(String);

/// The text is not a domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a domain of e-mail addresses; write it as in corp.example, without @")]
pub struct InvalidEmailDomain(pub String);

impl EmailDomain {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The domain of an address; `None` when the text is not one.
    #[must_use]
    pub fn of_address(address: &str) -> Option<Self> {
        let (who, domain) = address.trim().rsplit_once('@')?;
        if who.is_empty() { None } else { domain.parse().ok() }
    }
}

impl FromStr for EmailDomain {
    type Err = InvalidEmailDomain;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let label = |label: &str| {
            (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if text.len() <= 253 && text.split('.').all(label) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(InvalidEmailDomain(text.to_owned()))
        }
    }
}

impl TryFrom<String> for EmailDomain {
    type Error = InvalidEmailDomain;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<EmailDomain> for String {
    fn from(domain: EmailDomain) -> Self {
        domain.0
    }
}

/// The protocol a connector speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectorKind {
    Saml(Box<SamlConnector>),
    Oidc(Box<OidcConnector>),
    Workload(Box<WorkloadConnector>),
}

impl ConnectorKind {
    /// As it is written in a file, and the first part of the connector's addresses; workloads have none of their own.
    #[must_use]
    pub const fn protocol(&self) -> &'static str {
        match self {
            Self::Saml(_) => "saml",
            Self::Oidc(_) => "oidc",
            Self::Workload(_) => "workload",
        }
    }
}

/// How long a browser session begun through this connector lasts, where it differs from the settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionLimits {
    /// Ends after this long without a request.
    pub idle: Option<Duration>,
    /// Ends this long after sign-in whatever happens.
    pub absolute: Option<Duration>,
}

/// A SAML 2.0 identity provider and how we behave towards it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamlConnector {
    pub metadata: MetadataSource,
    /// Which entity of the metadata is meant; needed only where it describes several.
    pub idp_entity_id: Option<String>,
    /// Our own entity ID towards this provider; derived from the public URL when absent.
    pub sp_entity_id: Option<String>,
    pub attributes: AttributeMap,
    /// Accept responses nobody here asked for.
    pub idp_initiated: bool,
    pub sign_requests: bool,
    /// Publish an encryption key, which makes many providers encrypt.
    pub encrypt_assertions: bool,
    pub force_authn: bool,
    /// Accept SHA-1 signatures and digests; for providers that can do no better.
    pub allow_sha1: bool,
    pub clock_skew: ClockSkew,
    /// The NameID format to ask for, as a URN; none is asked for when absent.
    pub name_id_format: Option<String>,
    /// The authentication contexts to ask for; none are asked for when absent.
    pub authn_context: Option<RequestedAuthnContext>,
    /// The issuer of the provider's logout messages, where it is not its entity ID: Entra ID has two names.
    #[serde(default)]
    pub logout_issuer: Option<String>,
}

impl SamlConnector {
    /// A connector with every default: nothing optional is asked for, nothing lax is accepted.
    #[must_use]
    pub fn new(metadata: MetadataSource) -> Self {
        Self {
            metadata,
            idp_entity_id: None,
            sp_entity_id: None,
            attributes: AttributeMap::default(),
            idp_initiated: false,
            sign_requests: false,
            encrypt_assertions: false,
            force_authn: false,
            allow_sha1: false,
            clock_skew: ClockSkew::default(),
            name_id_format: None,
            authn_context: None,
            logout_issuer: None,
        }
    }
}

/// Where the identity provider's metadata comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetadataSource {
    /// The XML itself, kept in the catalog.
    Inline(String),
    /// Fetched and refreshed from there.
    Url(MetadataUrl),
}

/// Where metadata may be fetched from: https, or http on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MetadataUrl(Url);

/// The text is no URL that metadata could safely be fetched from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be used to fetch metadata; write an https URL without a user name (http only for a loopback host)"
)]
pub struct InvalidMetadataUrl(pub String);

impl MetadataUrl {
    #[must_use]
    pub fn as_url(&self) -> &Url {
        &self.0
    }
}

impl FromStr for MetadataUrl {
    type Err = InvalidMetadataUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        safe_url(text).map(Self).ok_or_else(|| InvalidMetadataUrl(text.to_owned()))
    }
}

impl TryFrom<String> for MetadataUrl {
    type Error = InvalidMetadataUrl;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<MetadataUrl> for String {
    fn from(url: MetadataUrl) -> Self {
        url.0.into()
    }
}

/// An https URL, or http to this machine, and no user name in it.
pub(in crate::catalog) fn safe_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let scheme = url.scheme() == "https" || (url.scheme() == "http" && names_this_machine(&url));
    (scheme && url.username().is_empty() && url.password().is_none()).then_some(url)
}

/// The name that stands for the NameID element itself where an attribute name is expected.
pub const NAME_ID: &str = "NameID";

/// Where to read the person from. Attribute names are the provider's; [`NAME_ID`] reads the NameID instead.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttributeMap {
    /// The person's key; the NameID when absent.
    pub subject: Option<String>,
    pub email: Option<String>,
    pub name: Option<String>,
    pub groups: Option<GroupSource>,
    /// Further attributes: our name for each, and the provider's.
    pub extra: BTreeMap<AttributeName, String>,
    /// Compare the provider's `FriendlyName` too, not only `Name`.
    pub friendly_names: bool,
}

/// Where to read the groups from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSource {
    pub attribute: String,
    /// Splits a value that joins several groups; values are never split unless this is given.
    pub delimiter: Option<String>,
    /// Keep only values that begin with this, without it.
    pub prefix: Option<String>,
}

/// How far two clocks may disagree: at most ten minutes, three by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct ClockSkew(u32);

/// The allowance is longer than ten minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a clock skew of {0} s is too long; at most 10m is allowed, and 3m is the default")]
pub struct ClockSkewTooLong(pub u64);

impl ClockSkew {
    pub const MAX_SECS: u32 = 600;

    /// # Errors
    /// [`ClockSkewTooLong`] carries the rejected value, so a message can quote it.
    pub const fn from_secs(seconds: u32) -> Result<Self, ClockSkewTooLong> {
        if seconds <= Self::MAX_SECS { Ok(Self(seconds)) } else { Err(ClockSkewTooLong(seconds as u64)) }
    }

    #[must_use]
    pub const fn as_secs(self) -> u32 {
        self.0
    }
}

impl Default for ClockSkew {
    fn default() -> Self {
        Self(180)
    }
}

impl TryFrom<u32> for ClockSkew {
    type Error = ClockSkewTooLong;

    fn try_from(seconds: u32) -> Result<Self, Self::Error> {
        Self::from_secs(seconds)
    }
}

impl From<ClockSkew> for u32 {
    fn from(skew: ClockSkew) -> Self {
        skew.0
    }
}

/// `RequestedAuthnContext`: which ways of signing in are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedAuthnContext {
    pub comparison: AuthnComparison,
    /// `AuthnContextClassRef` values; never empty in a catalog that was read from a file.
    pub classes: Vec<String>,
}

/// The `Comparison` attribute. Spec: SAML Core 3.3.2.2.1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthnComparison {
    #[default]
    Exact,
    Minimum,
    Maximum,
    Better,
}

impl AuthnComparison {
    pub const ALL: [Self; 4] = [Self::Exact, Self::Minimum, Self::Maximum, Self::Better];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Minimum => "minimum",
            Self::Maximum => "maximum",
            Self::Better => "better",
        }
    }
}

impl fmt::Display for AuthnComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
