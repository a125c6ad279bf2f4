//! What a session may be made to do less than its role by, as people and catalogs say it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{PolicyArn, PolicyDocument};
use crate::aws::{Network, Region};

/// How a session is to be limited beyond its role. Each part takes away; none of them gives.
///
/// - `read_only`, `policy` and `policy_arns` say what may be done at most. A policy and ARNs that stand together are what AWS
///   makes of them: what any of them allows. A policy that only denies takes away from the rest.
/// - `regions` and `networks` are locks: everything else is denied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct ScopeDown {
    /// Only what AWS's managed policy `ReadOnlyAccess` allows.
    pub read_only: bool,
    /// Only requests to these regions, and to services that have none.
    pub regions: BTreeSet<Region>,
    /// Only requests from these networks, and those that AWS makes for the session.
    pub networks: BTreeSet<Network>,
    /// Only from where the credentials are asked for; beside `networks`, from there too.
    pub from_here: bool,
    /// An inline policy.
    pub policy: Option<PolicyDocument>,
    /// Managed policies.
    pub policy_arns: Vec<PolicyArn>,
}

impl ScopeDown {
    /// Whether it limits nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Each part in words, for a list: `only reading`, `only in eu-west-1`.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if self.read_only {
            words.push("only reading".to_owned());
        }
        if !self.regions.is_empty() {
            words.push(format!("only in {}", listed(self.regions.iter().map(ToString::to_string))));
        }
        let here = self.from_here.then(|| "the address it is asked for from".to_owned());
        if !self.networks.is_empty() || self.from_here {
            words.push(format!("only from {}", listed(self.networks.iter().map(ToString::to_string).chain(here))));
        }
        if let Some(policy) = &self.policy {
            let does = if policy.allows() { "only what" } else { "not what" };
            let says = if policy.allows() { "allows" } else { "denies" };
            words.push(format!("{does} an inline policy of {} characters {says}", policy.characters()));
        }
        if !self.policy_arns.is_empty() {
            let arns = listed(self.policy_arns.iter().map(ToString::to_string));
            let allow = if self.policy_arns.len() == 1 { "allows" } else { "allow" };
            let or = if self.policy.as_ref().is_some_and(PolicyDocument::allows) { "or what" } else { "only what" };
            words.push(format!("{or} {arns} {allow}"));
        }
        words
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    match items.split_last() {
        None => String::new(),
        Some((one, [])) => one.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
