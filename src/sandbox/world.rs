//! The company the sandbox pretends to be: its accounts, roles and people.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::aws::{AccountId, Partition, ProviderArn, RoleArn, RoleName, SamlProviderName, SessionDuration};

use super::faults::{Fault, FaultError, FaultPlan};
use super::policy::{Policy, PolicyError, PolicyKind};

/// Everything the local AWS and the development identity provider know.
#[derive(Debug, Clone)]
pub struct World {
    company: String,
    accounts: Vec<Account>,
    roles: Vec<Role>,
    people: Vec<Person>,
    faults: FaultPlan,
}

#[derive(Debug, Clone)]
pub struct Account {
    pub id: AccountId,
    pub name: String,
    pub partition: Partition,
    pub tags: BTreeMap<String, String>,
    /// The one SAML provider in this account.
    pub provider: ProviderArn,
}

#[derive(Debug, Clone)]
pub struct Role {
    pub arn: RoleArn,
    /// `AROA` and 17 characters, always the same for the same ARN.
    pub role_id: String,
    pub description: String,
    /// What IAM enforces.
    pub max_session: SessionDuration,
    /// What the broker's catalog believes; usually the same.
    pub catalog_max_session: SessionDuration,
    pub trust_policy: String,
    /// Tags of the role itself, in IAM.
    pub tags: BTreeMap<String, String>,
    /// Session tags the catalog asks for: the key, and the attribute of the person it comes from.
    pub session_tags: BTreeMap<String, String>,
    /// What the catalog asks of how somebody signed in.
    pub step_up: Option<StepUp>,
    /// Why this role is interesting, where it is.
    pub story: Option<String>,
    trust: Policy,
}

impl Role {
    #[must_use]
    pub fn trust(&self) -> &Policy {
        &self.trust
    }
}

/// How a person must have signed in to use a role.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepUp {
    /// How long ago at most, in the catalog's words.
    pub max_age: String,
    /// One of these authentication contexts.
    pub contexts: Vec<String>,
}

/// Somebody who can sign in at the development identity provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Names the person in URLs and forms, and is the persistent NameID.
    pub id: String,
    pub name: String,
    pub email: String,
    pub title: String,
    pub department: String,
    pub cost_center: String,
    pub groups: Vec<String>,
    /// What this person is there to show.
    pub story: String,
}

/// Why a description of a company cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    #[error("the sandbox's company is not described in valid TOML")]
    Toml(#[source] toml::de::Error),
    #[error("account {account} has the role `{role}`, which no [role] table describes")]
    UnknownRole { account: AccountId, role: String },
    #[error("the role `{role}` is trusted by `{trust}`, which the [trust] table does not describe")]
    UnknownTrust { role: String, trust: String },
    #[error("the role name `{0}` is not valid")]
    RoleName(String, #[source] crate::aws::InvalidName),
    #[error("the trust policy of {role} is malformed")]
    Trust { role: RoleArn, source: PolicyError },
    #[error("{what} `{id}` stands twice")]
    Duplicate { what: &'static str, id: String },
    #[error("the company's faults cannot be used")]
    Faults(#[from] FaultError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    company: String,
    trust: BTreeMap<String, String>,
    role: BTreeMap<String, RoleDescription>,
    account: Vec<AccountDescription>,
    person: Vec<Person>,
    #[serde(default)]
    faults: BTreeMap<String, Fault>,
    /// Repeats what the faults draw.
    fault_seed: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleDescription {
    description: String,
    #[serde(with = "duration_text")]
    max_session: SessionDuration,
    #[serde(default, with = "optional_duration_text")]
    catalog_max_session: Option<SessionDuration>,
    trust: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    session_tags: BTreeMap<String, String>,
    step_up: Option<StepUp>,
    story: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountDescription {
    id: AccountId,
    name: String,
    #[serde(default)]
    partition: Partition,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    saml_provider: Option<SamlProviderName>,
    roles: Vec<String>,
}

mod duration_text {
    use serde::{Deserialize, Deserializer, de::Error};

    use crate::aws::SessionDuration;

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SessionDuration, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

mod optional_duration_text {
    use serde::Deserializer;

    use crate::aws::SessionDuration;

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SessionDuration>, D::Error> {
        super::duration_text::deserialize(deserializer).map(Some)
    }
}

impl World {
    /// The company that comes with the program.
    ///
    /// # Panics
    /// Never: a test reads the same text.
    #[must_use]
    pub fn larkspur() -> Self {
        Self::from_toml(include_str!("world.toml")).expect("the embedded description is tested")
    }

    /// Reads a company from TOML of the same form as the embedded one.
    ///
    /// # Errors
    /// [`WorldError`] names what is wrong; a malformed trust policy is refused as IAM would refuse it.
    pub fn from_toml(text: &str) -> Result<Self, WorldError> {
        let description: Description = toml::from_str(text).map_err(WorldError::Toml)?;
        let mut world = Self {
            company: description.company,
            accounts: Vec::new(),
            roles: Vec::new(),
            people: description.person,
            faults: FaultPlan::new(description.fault_seed, description.faults)?,
        };
        for account in description.account {
            let provider_name = account
                .saml_provider
                .unwrap_or_else(|| "rolegate".parse().expect("`rolegate` is a valid provider name"));
            let provider = ProviderArn::new(account.partition, account.id, provider_name);
            if world.account(account.id).is_some() {
                return Err(WorldError::Duplicate { what: "account", id: account.id.to_string() });
            }
            for name in account.roles {
                let Some(role) = description.role.get(&name) else {
                    return Err(WorldError::UnknownRole { account: account.id, role: name });
                };
                let Some(template) = description.trust.get(&role.trust) else {
                    return Err(WorldError::UnknownTrust { role: name, trust: role.trust.clone() });
                };
                let role_name: RoleName = name.parse().map_err(|source| WorldError::RoleName(name.clone(), source))?;
                let arn = RoleArn::new(account.partition, account.id, role_name);
                if world.role(&arn).is_some() {
                    return Err(WorldError::Duplicate { what: "role", id: arn.to_string() });
                }
                let trust_policy = template
                    .replace("<provider>", &provider.to_string())
                    .replace("<partition>", account.partition.id())
                    .replace("<account>", account.id.as_str())
                    .replace("<recipient>", account.partition.saml_recipient());
                let trust = Policy::parse(PolicyKind::Trust, &trust_policy)
                    .map_err(|source| WorldError::Trust { role: arn.clone(), source })?;
                world.roles.push(Role {
                    role_id: role_id(&arn),
                    arn,
                    description: role.description.clone(),
                    max_session: role.max_session,
                    catalog_max_session: role.catalog_max_session.unwrap_or(role.max_session),
                    trust_policy,
                    tags: role.tags.clone(),
                    session_tags: role.session_tags.clone(),
                    step_up: role.step_up.clone(),
                    story: role.story.clone(),
                    trust,
                });
            }
            world.accounts.push(Account {
                id: account.id,
                name: account.name,
                partition: account.partition,
                tags: account.tags,
                provider,
            });
        }
        for (index, person) in world.people.iter().enumerate() {
            if world.people[..index].iter().any(|other| other.id == person.id) {
                return Err(WorldError::Duplicate { what: "person", id: person.id.clone() });
            }
        }
        Ok(world)
    }

    #[must_use]
    pub fn company(&self) -> &str {
        &self.company
    }

    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    #[must_use]
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    #[must_use]
    pub fn people(&self) -> &[Person] {
        &self.people
    }

    /// What goes wrong in its local AWS from the start.
    #[must_use]
    pub fn faults(&self) -> &FaultPlan {
        &self.faults
    }

    #[must_use]
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.iter().find(|account| account.id == id)
    }

    #[must_use]
    pub fn role(&self, arn: &RoleArn) -> Option<&Role> {
        self.roles.iter().find(|role| role.arn == *arn)
    }

    #[must_use]
    pub fn person(&self, id: &str) -> Option<&Person> {
        self.people.iter().find(|person| person.id == id)
    }
}

/// The unique id of a role. Real ones change when a role is made again; here a role is its ARN.
fn role_id(arn: &RoleArn) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digest = openssl::sha::sha256(arn.to_string().as_bytes());
    let rest = digest.iter().take(17).map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    "AROA".chars().chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_company_is_as_large_as_promised() {
        let world = World::larkspur();
        assert!(world.accounts().len() >= 12, "{} accounts", world.accounts().len());
        assert!(world.roles().len() >= 40, "{} roles", world.roles().len());
        assert_eq!(world.people().len(), 6);
        for partition in Partition::ALL {
            assert!(world.accounts().iter().any(|account| account.partition == partition), "{partition}");
        }
        assert!(world.roles().iter().any(|role| role.catalog_max_session > role.max_session));
        assert!(world.people().iter().any(|person| person.name.contains(['&', '"', '\'', '<'])));
    }

    #[test]
    fn role_ids_are_unique_and_shaped_as_at_aws() {
        let world = World::larkspur();
        let mut ids: Vec<_> = world.roles().iter().map(|role| role.role_id.as_str()).collect();
        assert!(ids.iter().all(|id| id.len() == 21 && id.starts_with("AROA")));
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), world.roles().len());
    }

    #[test]
    fn a_mistake_in_a_company_is_named() {
        let base = r#"
            company = "A"
            trust = { t = "{}" }
            person = []
            [role.R]
            description = ""
            max_session = "1h"
            trust = "t"
            [[account]]
            id = "111122223333"
            name = "A"
            roles = ["R"]
        "#;
        let message = |text: &str| World::from_toml(text).unwrap_err().to_string();
        assert_eq!(message(base), "the trust policy of arn:aws:iam::111122223333:role/R is malformed");
        assert!(message(&base.replace("[\"R\"]", "[\"S\"]")).contains("`S`"));
        assert!(message(&base.replace("trust = \"t\"", "trust = \"u\"")).contains("`u`"));
        assert!(message("company = 1").contains("TOML"));
    }
}
