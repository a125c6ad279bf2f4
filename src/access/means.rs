//! How the credentials of a permit are obtained.

use crate::aws::{ExternalId, MfaSerial, ProviderArn, Region, RoleArn};
use crate::catalog::{Account, Catalog, Chain, Method, OidcAudience, Role, TagKey, UserKey};
use crate::identity::VerifiedIdentity;

use super::{SessionTag, session_tags};

/// How AWS is asked, with everything that is needed for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Means {
    /// Our word for the person takes them into the role at once.
    Federated(Federation),
    /// It takes them into another role, from where they go on.
    Chain { entry: Entry, hops: Vec<Hop> },
    /// A federated user with what an IAM user may do and the session policy allows.
    FederationToken(UserKey),
    /// An IAM user who has shown their MFA device.
    SessionToken { key: UserKey, mfa_serial: Option<MfaSerial> },
}

/// Whom an account believes about the person.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Federation {
    Saml(ProviderArn),
    WebIdentity(OidcAudience),
}

/// A role that our word opens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    pub by: Federation,
    pub role: RoleArn,
    pub region: Option<Region>,
    pub tags: Vec<SessionTag>,
}

/// A role that is assumed with the credentials of the one before it. The last hop of a chain leads to the permit's own role.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hop {
    pub role: RoleArn,
    pub region: Option<Region>,
    pub external_id: Option<ExternalId>,
    /// Those that are set here; what goes along from earlier roles is there already.
    pub tags: Vec<SessionTag>,
}

impl Means {
    /// Of a role in an assembled catalog. `None` where the catalog lacks what the role refers to, which cannot be.
    pub(super) fn of(catalog: &Catalog, identity: &VerifiedIdentity, role: &Role) -> Option<Self> {
        match &role.method {
            Method::Saml | Method::WebIdentity => {
                Federation::of(catalog.account(role.account)?, &role.method).map(Self::Federated)
            }
            Method::Chain(_) => {
                let way = catalog.chain_to(role);
                let (first, rest) = way.split_first()?;
                let account = catalog.account(first.account)?;
                let mut along: Vec<String> = Vec::new();
                let entry = Entry {
                    by: Federation::of(account, &first.method)?,
                    role: account.role_arn(&first.name),
                    region: first.region.clone().or_else(|| account.region.clone()),
                    tags: tags_at_entry(identity, first, rest, &mut along),
                };
                let hops: Option<Vec<Hop>> = rest
                    .iter()
                    .map(|role| {
                        let account = catalog.account(role.account)?;
                        let Method::Chain(Chain { external_id, .. }) = &role.method else { return None };
                        Some(Hop {
                            role: account.role_arn(&role.name),
                            region: role.region.clone().or_else(|| account.region.clone()),
                            external_id: external_id.clone(),
                            tags: tags_at_hop(identity, role, &mut along),
                        })
                    })
                    .collect();
                hops.filter(|hops| !hops.is_empty()).map(|hops| Self::Chain { entry, hops })
            }
            Method::FederationToken(token) => catalog.key(&token.key).cloned().map(Self::FederationToken),
            Method::SessionToken(token) => {
                let key = catalog.key(&token.key)?.clone();
                Some(Self::SessionToken { key, mfa_serial: token.mfa_serial.clone() })
            }
        }
    }

    /// As the catalog calls the method.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Federated(Federation::Saml(_)) => "saml",
            Self::Federated(Federation::WebIdentity(_)) => "web-identity",
            Self::Chain { .. } => "chain",
            Self::FederationToken(_) => "federation-token",
            Self::SessionToken { .. } => "session-token",
        }
    }

    /// The IAM user's key it is done with.
    #[must_use]
    pub const fn key(&self) -> Option<&UserKey> {
        match self {
            Self::FederationToken(key) | Self::SessionToken { key, .. } => Some(key),
            Self::Federated(_) | Self::Chain { .. } => None,
        }
    }

    /// The roles that are passed through, in their order, and the role itself where it is reached over others.
    #[must_use]
    pub fn way(&self) -> Vec<&RoleArn> {
        match self {
            Self::Chain { entry, hops } => {
                std::iter::once(&entry.role).chain(hops.iter().map(|hop| &hop.role)).collect()
            }
            Self::Federated(_) | Self::FederationToken(_) | Self::SessionToken { .. } => Vec::new(),
        }
    }
}

impl Federation {
    fn of(account: &Account, method: &Method) -> Option<Self> {
        match method {
            Method::Saml => Some(Self::Saml(account.provider_arn())),
            Method::WebIdentity => Some(Self::WebIdentity(account.oidc_audience.clone())),
            Method::Chain(_) | Method::FederationToken(_) | Method::SessionToken(_) => None,
        }
    }
}

/// To AWS, keys of tags that differ only in case are one.
fn has(keys: &[String], key: &str) -> bool {
    keys.iter().any(|known| known.to_lowercase() == key.to_lowercase())
}

fn goes_along(role: &Role, key: &str) -> bool {
    let named = |chain: &Chain| chain.transitive_tags.iter().map(TagKey::as_str).any(|along| along == key);
    matches!(&role.method, Method::Chain(chain) if named(chain))
}

/// The entry's own tags, and those of later roles that go along. `along` learns which cannot be set again.
fn tags_at_entry(
    identity: &VerifiedIdentity,
    first: &Role,
    rest: &[&Role],
    along: &mut Vec<String>,
) -> Vec<SessionTag> {
    let mut tags = session_tags(identity, first).0;
    along.extend(tags.iter().filter(|tag| tag.transitive).map(|tag| tag.key.clone()));
    for role in rest {
        for tag in session_tags(identity, role).0 {
            if !goes_along(role, &tag.key) || has(along, &tag.key) {
                continue;
            }
            along.push(tag.key.clone());
            match tags.iter_mut().find(|known| known.key.to_lowercase() == tag.key.to_lowercase()) {
                // The catalog has made sure that it says the same.
                Some(known) => known.transitive = true,
                None => tags.push(SessionTag { transitive: true, ..tag }),
            }
        }
    }
    tags
}

/// What is left to be set at a later role.
fn tags_at_hop(identity: &VerifiedIdentity, role: &Role, along: &mut Vec<String>) -> Vec<SessionTag> {
    let mut tags = session_tags(identity, role).0;
    tags.retain(|tag| !has(along, &tag.key));
    along.extend(tags.iter().filter(|tag| tag.transitive).map(|tag| tag.key.clone()));
    tags
}
