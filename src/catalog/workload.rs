//! Issuers that vouch for programs instead of people: CI systems, and clusters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::connector::{ClockSkew, MetadataUrl};
use super::{AnyOf, Attribute, AttributeName, ClaimPath, Issuer, JwsAlgorithm, Pattern};

/// An issuer of workloads' tokens and which of them count. Nobody signs in through it: a token is exchanged.
///
/// Spec: RFC 8693.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadConnector {
    pub issuer: Issuer,
    /// What tokens have to be for; our public URL without a slash at its end when absent.
    pub audience: Option<String>,
    pub keys: KeySource,
    /// How tokens may be signed. Never empty in a catalog, and never symmetric.
    pub signing_algorithms: BTreeSet<JwsAlgorithm>,
    /// Call the issuer at private addresses too.
    pub private_addresses: bool,
    pub clock_skew: ClockSkew,
    /// How long ago a token may have been issued, whatever it says itself.
    pub max_token_age: Duration,
    /// Each token counts for one exchange only.
    pub once: bool,
    /// A token may be for others too, each of whom could bring it here.
    pub other_audiences: bool,
    /// What must hold of every token, whatever it is wanted for.
    pub require: BTreeMap<Attribute, AnyOf>,
    /// Our name for each attribute, and the claim it is read from.
    pub attributes: BTreeMap<AttributeName, ClaimPath>,
}

/// Where the issuer's public keys come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeySource {
    /// Its discovery document says.
    Discovery,
    /// Fetched and refreshed from there, for an issuer without discovery.
    Url(MetadataUrl),
    /// The JWK set itself, kept in the catalog, for an issuer that cannot be reached.
    Inline(String),
}

impl WorkloadConnector {
    /// The longest `max_token_age`.
    pub const LONGEST_AGE: Duration = Duration::from_secs(24 * 3600);

    /// A connector with every default.
    #[must_use]
    pub fn new(issuer: Issuer) -> Self {
        Self {
            issuer,
            audience: None,
            keys: KeySource::Discovery,
            signing_algorithms: BTreeSet::from([JwsAlgorithm::Rs256]),
            private_addresses: false,
            clock_skew: ClockSkew::default(),
            max_token_age: Duration::from_secs(3600),
            once: false,
            other_audiences: false,
            require: BTreeMap::new(),
            attributes: BTreeMap::new(),
        }
    }

    /// Whether tokens from here can ever have a value for this.
    #[must_use]
    pub fn delivers(&self, attribute: &Attribute) -> bool {
        match attribute {
            Attribute::Connector | Attribute::Subject => true,
            Attribute::Email | Attribute::Groups | Attribute::Name => false,
            Attribute::Mapped(name) => self.attributes.contains_key(name),
        }
    }

    /// What is wrong where the issuer signs for strangers too and nothing that is required tells ours from theirs.
    pub(super) fn unpinned(&self) -> Option<String> {
        let shared = SHARED.iter().find(|shared| shared.issuer == self.issuer.as_str())?;
        let claim = |attribute: &Attribute| match attribute {
            Attribute::Subject => Some("sub"),
            Attribute::Mapped(name) => match self.attributes.get(name).map(ClaimPath::parts) {
                Some([one]) => Some(one.as_str()),
                _ => None,
            },
            Attribute::Connector | Attribute::Email | Attribute::Groups | Attribute::Name => None,
        };
        let pins = |attribute: &Attribute, any: &AnyOf| {
            claim(attribute).is_some_and(|claim| {
                let owner = shared.owners.contains(&claim);
                let path = shared.paths.contains(&claim);
                any.patterns().iter().all(|pattern| match pattern {
                    Pattern::Exact(_) => owner || path,
                    Pattern::Glob(glob) => path && glob.as_str().split(['*', '?']).next().is_some_and(names_an_owner),
                    Pattern::Matches(_) => false,
                })
            })
        };
        if self.require.iter().any(|(attribute, any)| pins(attribute, any)) {
            return None;
        }
        let claims: Vec<&str> = shared.owners.iter().chain(shared.paths).copied().collect();
        let first = shared.owners.first().copied().unwrap_or("sub");
        let ours = self.attributes.iter().find(|(_, path)| path.parts() == [first]).map(|(name, _)| name.to_string());
        let example = ours.unwrap_or_else(|| "owner".to_owned());
        Some(format!(
            "{} signs for {}; require what tells yours from theirs: map one of {} under [connector.attributes] and write \
             for example require = {{ {example} = \"…\" }} with its whole value, or a path as in {{ glob = \"corp/*\" }}",
            self.issuer,
            shared.everybody,
            claims.join(", "),
        ))
    }
}

/// Whether what stands before the first wildcard has somebody's whole name in it: `corp/` has, `corp` may go on.
fn names_an_owner(before: &str) -> bool {
    before.find('/').is_some_and(|slash| slash > 0)
}

/// An issuer that vouches for everybody's workloads.
struct SharedIssuer {
    issuer: &'static str,
    everybody: &'static str,
    /// Claims whose whole value names an owner.
    owners: &'static [&'static str],
    /// Claims in which an owner stands before the first slash.
    paths: &'static [&'static str],
}

const SHARED: [SharedIssuer; 5] = [
    SharedIssuer {
        issuer: "https://token.actions.githubusercontent.com",
        everybody: "every repository of github.com",
        owners: &["repository_owner", "repository_owner_id", "repository_id", "enterprise", "enterprise_id"],
        paths: &["repository", "sub"],
    },
    SharedIssuer {
        issuer: "https://gitlab.com",
        everybody: "every project of gitlab.com",
        owners: &["namespace_path", "namespace_id", "project_id"],
        paths: &["namespace_path", "project_path", "sub"],
    },
    SharedIssuer {
        issuer: "https://agent.buildkite.com",
        everybody: "every organization at Buildkite",
        owners: &["organization_slug", "organization_id", "pipeline_id"],
        paths: &[],
    },
    SharedIssuer {
        issuer: "https://app.terraform.io",
        everybody: "every organization at HCP Terraform",
        owners: &["terraform_organization_id", "terraform_organization_name", "terraform_workspace_id"],
        paths: &[],
    },
    SharedIssuer {
        issuer: "https://accounts.google.com",
        everybody: "everybody at Google",
        owners: &["sub", "azp"],
        paths: &[],
    },
];

/// What a JWK set in a file must be, as far as it can be told without the parts that check signatures: a set of public
/// keys. Which of them can be used `rolegate doctor` says.
pub(super) fn check_jwks(text: &str) -> Result<(), String> {
    let set: serde_json::Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let keys = set.get("keys").and_then(serde_json::Value::as_array);
    let keys = keys.ok_or("it is not a JWK set: it has no list under `keys`")?;
    if keys.is_empty() {
        return Err("the JWK set is empty, so no token could be accepted".to_owned());
    }
    let private = ["d", "p", "q", "dp", "dq", "qi", "k"];
    if keys.iter().any(|key| private.iter().any(|member| key.get(member).is_some())) {
        return Err(
            "it holds a private or secret key, with which anybody can sign; give the public set only".to_owned()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
