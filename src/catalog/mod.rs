//! Connectors, accounts, roles, rules and IAM users' keys, and their TOML form.
//!
//! A [`Catalog`] says who may do what. It is written as TOML ([`toml`]), kept in the database, and given back as TOML
//! ([`export`]); whichever way it came, [`Catalog::assemble`] is what makes one, so a catalog that exists holds
//! together: every role is in an account, every rule names things that are there. It is never changed, only replaced;
//! [`diff`] says what a replacement changes.

#[cfg(test)]
pub(crate) mod arbitrary;
mod assemble;
pub mod connector;
pub mod diff;
pub mod export;
mod link;
mod method;
mod oidc;
mod pattern;
mod role;
mod rule;
mod secret;
#[cfg(test)]
mod tests;
pub mod toml;
mod workload;

use std::collections::BTreeMap;

pub use connector::{
    AttributeMap, AuthnComparison, ClockSkew, Connector, ConnectorKind, EmailDomain, GroupSource, MetadataSource,
    MetadataUrl, NAME_ID, RequestedAuthnContext, SamlConnector, SessionLimits,
};
pub use link::{InvalidLinkId, Link, LinkId};
pub use method::{Chain, FederationToken, Method, SessionToken, UserKey, UserKeyId};
pub use oidc::{
    ClaimGroups, ClaimMap, ClaimPath, ClientAuth, Issuer, JwsAlgorithm, OidcConnector, Prefer, Prompt, ResponseMode,
    UserInfo,
};
pub use pattern::{Expression, Glob, InvalidPattern, Pattern};
pub use role::{
    Account, Contact, Destination, OidcAudience, Role, RoleId, Support, TagKey, TagSource, Tags, is_tag_value,
};
pub use rule::{
    AccountSelector, AnyOf, Attribute, AttributeName, Grant, NoPattern, RoleSelector, Rule, RuleId, TagSelector,
    Template,
};
pub use secret::{Place, SealedSecret, Secret, SecretError};
pub use workload::{KeySource, WorkloadConnector};

use crate::aws::{AccountId, RoleName};
use crate::identity::{ConnectorId, LinkedAs, VerifiedIdentity};
use crate::sys::Rng;
use crate::sys::seal::SealingKey;

pub use assemble::{Inconsistencies, Inconsistency, Parts, Section};

/// What the IAM SAML provider is called in an account that says nothing else.
pub const DEFAULT_SAML_PROVIDER: &str = "rolegate";

/// Who may do what: connectors, accounts, roles and rules that hold together.
///
/// Everything is kept in the order of its key, so the order of a file never matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    connectors: BTreeMap<ConnectorId, Connector>,
    accounts: BTreeMap<AccountId, Account>,
    roles: BTreeMap<RoleId, Role>,
    rules: BTreeMap<RuleId, Rule>,
    keys: BTreeMap<UserKeyId, UserKey>,
    links: BTreeMap<LinkId, Link>,
    support: Support,
}

impl Catalog {
    /// By id.
    pub fn connectors(&self) -> impl ExactSizeIterator<Item = &Connector> {
        self.connectors.values()
    }

    #[must_use]
    pub fn connector(&self, id: &ConnectorId) -> Option<&Connector> {
        self.connectors.get(id)
    }

    /// By id.
    pub fn accounts(&self) -> impl ExactSizeIterator<Item = &Account> {
        self.accounts.values()
    }

    #[must_use]
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(&id)
    }

    /// By account id, then name.
    pub fn roles(&self) -> impl ExactSizeIterator<Item = &Role> {
        self.roles.values()
    }

    #[must_use]
    pub fn role(&self, account: AccountId, name: &RoleName) -> Option<&Role> {
        self.roles.get(&RoleId { account, name: name.clone() })
    }

    /// By id.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &Rule> {
        self.rules.values()
    }

    #[must_use]
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.get(&id.parse().ok()?)
    }

    /// IAM users' keys, by id.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &UserKey> {
        self.keys.values()
    }

    #[must_use]
    pub fn key(&self, id: &UserKeyId) -> Option<&UserKey> {
        self.keys.get(id)
    }

    /// The roles a role is reached over, from the one where the chain begins to the role itself, which stands alone where
    /// it is reached directly.
    #[must_use]
    pub fn chain_to<'c>(&'c self, role: &'c Role) -> Vec<&'c Role> {
        let mut chain = vec![role];
        // A catalog that was assembled has no loop and no reference to nothing; the bound keeps that from mattering.
        while let Method::Chain(Chain { via, .. }) = &chain[chain.len() - 1].method
            && let Some(hub) = self.roles.get(via)
            && chain.len() <= Method::MOST_HOPS
        {
            chain.push(hub);
        }
        chain.reverse();
        chain
    }

    /// By id.
    pub fn links(&self) -> impl ExactSizeIterator<Item = &Link> {
        self.links.values()
    }

    /// The connector that people are sent to without being asked.
    #[must_use]
    pub fn default_connector(&self) -> Option<&Connector> {
        self.connectors().find(|connector| connector.enabled && connector.default)
    }

    /// The connector that addresses of this domain lead to.
    #[must_use]
    pub fn home_of(&self, domain: &EmailDomain) -> Option<&Connector> {
        self.connectors().find(|connector| connector.enabled && connector.email_domains.contains(domain))
    }

    /// The link through which this person is the same as one of another connector, and by which value.
    ///
    /// Exactly one value counts: with several it would be a guess who is meant.
    #[must_use]
    pub fn linked(&self, identity: &VerifiedIdentity) -> Option<LinkedAs> {
        self.links().filter(|link| link.connectors.contains(&identity.subject.connector)).find_map(|link| {
            let mut values = link.attribute.values(identity).filter(|value| !value.is_empty());
            match (values.next(), values.next()) {
                (Some(one), None) => Some(LinkedAs { link: link.id.to_string(), value: one.to_owned() }),
                _ => None,
            }
        })
    }

    /// The same with every secret sealed. Secrets that `before` holds already keep the form they have there.
    #[must_use]
    pub fn sealed(mut self, before: &Self, sealing: &SealingKey, rng: &dyn Rng) -> Self {
        for connector in self.connectors.values_mut() {
            let ConnectorKind::Oidc(oidc) = &mut connector.kind else { continue };
            let known = before.connector(&connector.id).and_then(Connector::oidc);
            let known = known.and_then(|known| known.client_secret.as_ref());
            oidc.client_secret =
                oidc.client_secret.as_ref().map(|secret| secret.sealed(&connector.id, known, sealing, rng));
        }
        for key in self.keys.values_mut() {
            let known = before.key(&key.id).map(|known| &known.secret_access_key);
            key.secret_access_key = key.secret_access_key.sealed(&key.id, known, sealing, rng);
        }
        self
    }

    #[must_use]
    pub fn support(&self) -> &Support {
        &self.support
    }

    /// Takes the catalog apart, to be changed and assembled again.
    #[must_use]
    pub fn into_parts(self) -> Parts {
        Parts {
            connectors: self.connectors.into_values().collect(),
            accounts: self.accounts.into_values().collect(),
            roles: self.roles.into_values().collect(),
            rules: self.rules.into_values().collect(),
            keys: self.keys.into_values().collect(),
            links: self.links.into_values().collect(),
            support: self.support,
        }
    }
}
