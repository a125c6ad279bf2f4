//! The company the sandbox pretends to be: its accounts, roles, users and people.
//!
//! A company is one TOML file, such as the `world.toml` that comes with the program:
//!
//! | Table | What it describes |
//! | --- | --- |
//! | `[trust]` | trust policies by name |
//! | `[policy.NAME]` | a managed policy that every account has: `document`, `description` |
//! | `[role.NAME]` | a role of every account that lists it: trust, longest session, tags, policies, boundary |
//! | `[[account]]` | an account: partition, tags, SAML providers, names of roles |
//! | `[[user]]` | an IAM user with access keys and MFA devices |
//! | `[[oidc_provider]]` | an OpenID provider some accounts trust |
//! | `[saml_provider.NAME]` | where a SAML provider's metadata is, unless it is the broker's |
//! | `[[person]]` | somebody who can sign in at the development identity provider |
//! | `[faults.NAME]`, `fault_seed` | what goes wrong from the start: [`faults`](super::faults) |
//!
//! In documents `<partition>`, `<account>`, `<provider>` (ARN of the account's first SAML provider), `<recipient>`
//! (SAML recipient of the partition), `<issuer>` (host and path of the broker) and `<oidc_provider>` (ARN of the provider
//! for it) are filled in.
//!
//! What of it can change while the sandbox runs is in [`iam`](super::iam), which begins as it is written here.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use crate::aws::{AccountId, Partition, ProviderArn, Region, RoleArn, RoleName, SamlProviderName, SessionDuration};

use super::faults::{Fault, FaultError, FaultPlan};
use super::iam::{AccessKey, Iam, IamError, NewRole, OidcProvider, Role as IamRole, without_scheme};
use super::managed;
use super::metadata::MetadataSource;
use super::mfa::{InvalidSeed, MfaDevice};
use super::policy::{PolicyError, UserName};

/// The audience the broker's tokens for AWS are made for.
const STS_AUDIENCE: &str = "sts.amazonaws.com";

/// Where the broker is as long as nobody has said.
const NO_BROKER: &str = "https://broker.invalid";

/// Everything the local AWS and the development identity provider know.
#[derive(Debug, Clone)]
pub struct World {
    company: String,
    accounts: Vec<Account>,
    roles: Vec<Role>,
    people: Vec<Person>,
    faults: FaultPlan,
    buckets: Vec<Bucket>,
    saml_providers: BTreeMap<SamlProviderName, MetadataSource>,
    iam: Iam,
    /// The description, which is read again when it is known where the broker is.
    source: Arc<str>,
}

#[derive(Debug, Clone)]
pub struct Account {
    pub id: AccountId,
    pub name: String,
    pub partition: Partition,
    pub tags: BTreeMap<String, String>,
    /// The first SAML provider in this account: the one the broker's catalog names.
    pub provider: ProviderArn,
    /// Where the account has switched STS off.
    pub sts_disabled_regions: Vec<Region>,
    /// Whether it manages the organization, to which all other accounts of its partition belong.
    pub management: bool,
}

/// A role as it is described. What IAM holds of it now is [`IamRole`].
#[derive(Debug, Clone)]
pub struct Role {
    pub arn: RoleArn,
    /// `AROA` and 17 characters.
    pub role_id: String,
    pub description: String,
    /// What IAM enforces.
    pub max_session: SessionDuration,
    /// What the broker's catalog believes; usually the same.
    pub catalog_max_session: SessionDuration,
    /// Whether the demo's catalog offers it as a role that is assumed by SAML, with what is known here.
    pub in_catalog: bool,
    /// Tags of the role itself, in IAM.
    pub tags: BTreeMap<String, String>,
    /// Session tags the catalog asks for: the key, and the attribute of the person it comes from.
    pub session_tags: BTreeMap<String, String>,
    /// What the catalog asks of how somebody signed in.
    pub step_up: Option<StepUp>,
    /// Why this role is interesting, where it is.
    pub story: Option<String>,
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

/// A bucket of the local S3, with what it holds at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    pub account: AccountId,
    pub partition: Partition,
    pub name: String,
    pub region: Region,
    /// Texts by key.
    pub objects: BTreeMap<String, String>,
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
    #[error("{place} names the policy `{policy}`, which no [policy] table describes and AWS does not manage")]
    UnknownPolicy { place: String, policy: String },
    #[error("{place} is malformed")]
    Policy { place: String, source: PolicyError },
    #[error("{place} is in account {account}, which no [[account]] describes")]
    UnknownAccount { place: String, account: AccountId },
    #[error(
        "the user name `{0}` is not valid: 1 to 64 letters, digits and any of _+=,.@-, after a path if there is one"
    )]
    UserName(String),
    #[error("the access key `{id}` of {user} {rule}")]
    AccessKey { user: String, id: String, rule: &'static str },
    #[error("the MFA device {serial} cannot be used")]
    Mfa { serial: String, source: InvalidSeed },
    #[error("the OpenID provider `{0}` needs a url that begins with https:// or http://, or <broker>")]
    OidcProvider(String),
    #[error("the SAML provider `{0}` needs either metadata_url or metadata")]
    SamlProvider(SamlProviderName),
    #[error("the bucket `{name}` {rule}")]
    Bucket { name: String, rule: &'static str },
    #[error("{place} cannot be made")]
    Iam { place: String, source: IamError },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    company: String,
    trust: BTreeMap<String, String>,
    #[serde(default)]
    policy: BTreeMap<String, PolicyDescription>,
    role: BTreeMap<String, RoleDescription>,
    account: Vec<AccountDescription>,
    #[serde(default)]
    user: Vec<UserDescription>,
    #[serde(default)]
    oidc_provider: Vec<OidcProviderDescription>,
    #[serde(default)]
    saml_provider: BTreeMap<SamlProviderName, SamlProviderDescription>,
    #[serde(default)]
    bucket: Vec<BucketDescription>,
    person: Vec<Person>,
    #[serde(default)]
    faults: BTreeMap<String, Fault>,
    /// Repeats what the faults draw.
    fault_seed: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyDescription {
    #[serde(default)]
    description: String,
    document: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleDescription {
    description: String,
    #[serde(with = "duration_text")]
    max_session: SessionDuration,
    #[serde(default, with = "optional_duration_text")]
    catalog_max_session: Option<SessionDuration>,
    #[serde(default = "yes")]
    catalog: bool,
    trust: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    session_tags: BTreeMap<String, String>,
    step_up: Option<StepUp>,
    story: Option<String>,
    #[serde(default)]
    policies: Vec<String>,
    #[serde(default)]
    inline_policies: BTreeMap<String, String>,
    boundary: Option<String>,
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
    /// One, in place of `rolegate`; more are in `saml_providers`.
    saml_provider: Option<SamlProviderName>,
    #[serde(default)]
    saml_providers: Vec<SamlProviderName>,
    /// Regions in which STS makes no credentials for this account.
    #[serde(default)]
    sts_disabled_regions: Vec<Region>,
    /// Manages the organization: may assume the roots of the other accounts, for a task.
    #[serde(default)]
    management: bool,
    /// Long-term keys of the account's root, which nobody should have.
    #[serde(default)]
    root_keys: Vec<AccessKeyDescription>,
    roles: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserDescription {
    account: AccountId,
    name: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    access_keys: Vec<AccessKeyDescription>,
    #[serde(default)]
    mfa: Vec<MfaDescription>,
    #[serde(default)]
    policies: Vec<String>,
    #[serde(default)]
    inline_policies: BTreeMap<String, String>,
    boundary: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessKeyDescription {
    id: String,
    secret: SecretString,
    #[serde(default = "yes")]
    active: bool,
}

impl AccessKeyDescription {
    fn checked(self, owner: &str) -> Result<AccessKey, WorldError> {
        let wrong = |rule| WorldError::AccessKey { user: owner.to_owned(), id: self.id.clone(), rule };
        if self.id.len() != 20
            || !self.id.starts_with("SBUK")
            || !self.id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        {
            return Err(wrong("is not SBUK and 16 capital letters and digits"));
        }
        if secrecy::ExposeSecret::expose_secret(&self.secret).len() != 40 {
            return Err(wrong("has a secret that is not of 40 characters"));
        }
        Ok(AccessKey { id: self.id, secret: self.secret, active: self.active })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MfaDescription {
    /// The last part of the serial number; the user's name where it is not said.
    name: Option<String>,
    seed: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OidcProviderDescription {
    accounts: Vec<AccountId>,
    url: String,
    #[serde(default = "sts_audience")]
    client_ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SamlProviderDescription {
    metadata_url: Option<Url>,
    metadata: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BucketDescription {
    account: AccountId,
    name: String,
    region: Option<Region>,
    /// Texts by key.
    #[serde(default)]
    objects: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

fn sts_audience() -> Vec<String> {
    vec![STS_AUDIENCE.to_owned()]
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
    /// [`WorldError`] names what is wrong; a malformed policy is refused as IAM would refuse it.
    pub fn from_toml(text: &str) -> Result<Self, WorldError> {
        Self::read(text.into(), NO_BROKER)
    }

    /// The same company, with the broker at an address: accounts that trust `<broker>` as OpenID provider trust it there.
    ///
    /// # Errors
    /// [`WorldError`], if a document cannot hold the address.
    pub fn for_broker(&self, broker: &Url) -> Result<Self, WorldError> {
        Self::read(Arc::clone(&self.source), broker.as_str().trim_end_matches('/'))
    }

    fn read(source: Arc<str>, broker: &str) -> Result<Self, WorldError> {
        let description: Description = toml::from_str(&source).map_err(WorldError::Toml)?;
        let mut world = Self {
            company: description.company,
            accounts: Vec::new(),
            roles: Vec::new(),
            people: description.person,
            faults: FaultPlan::new(description.fault_seed, description.faults)?,
            saml_providers: saml_providers(description.saml_provider)?,
            iam: Iam::default(),
            buckets: Vec::new(),
            source,
        };
        for account in description.account {
            if world.account(account.id).is_some() {
                return Err(WorldError::Duplicate { what: "account", id: account.id.to_string() });
            }
            let names: Vec<SamlProviderName> =
                account.saml_provider.into_iter().chain(account.saml_providers).collect();
            let arn = |name| ProviderArn::new(account.partition, account.id, name);
            let usual = || arn("rolegate".parse().expect("`rolegate` is a valid provider name"));
            let providers: Vec<ProviderArn> = names.into_iter().map(arn).collect();
            let provider = providers.first().cloned().unwrap_or_else(usual);
            world.iam.add_saml_provider(provider.clone());
            for other in providers {
                world.iam.add_saml_provider(other);
            }
            let place = Place { partition: account.partition, account: account.id, provider: &provider, broker };
            for (name, policy) in &description.policy {
                if managed::find(name).is_some() {
                    return Err(WorldError::Duplicate { what: "managed policy", id: name.clone() });
                }
                let document = place.fill(&policy.document);
                world
                    .iam
                    .put_policy(account.partition, account.id, name, &policy.description, &document)
                    .map_err(|source| in_iam(format!("[policy.{name}]"), source))?;
            }
            for key in account.root_keys {
                let shown = format!("arn:{}:iam::{}:root", account.partition, account.id);
                let key = key.checked(&shown)?;
                world
                    .iam
                    .create_root_key(account.partition, account.id, key)
                    .map_err(|source| in_iam(shown, source))?;
            }
            for name in account.roles {
                let Some(role) = description.role.get(&name) else {
                    return Err(WorldError::UnknownRole { account: account.id, role: name });
                };
                let Some(template) = description.trust.get(&role.trust) else {
                    return Err(WorldError::UnknownTrust { role: name, trust: role.trust.clone() });
                };
                world.add_role(&name, role, template, &place, &description.policy)?;
            }
            world.accounts.push(Account {
                id: account.id,
                name: account.name,
                partition: account.partition,
                tags: account.tags,
                provider,
                sts_disabled_regions: account.sts_disabled_regions,
                management: account.management,
            });
        }
        for user in description.user {
            world.add_user(user, broker, &description.policy)?;
        }
        for bucket in description.bucket {
            world.add_bucket(bucket)?;
        }
        for provider in description.oidc_provider {
            world.add_oidc_provider(&provider, broker)?;
        }
        world.iam.bind_all().map_err(|(role, error)| match error {
            IamError::MalformedPolicyDocument(source) => WorldError::Trust { role, source },
            source => WorldError::Iam { place: role.to_string(), source },
        })?;
        world.iam.begin();
        for (index, person) in world.people.iter().enumerate() {
            if world.people[..index].iter().any(|other| other.id == person.id) {
                return Err(WorldError::Duplicate { what: "person", id: person.id.clone() });
            }
        }
        Ok(world)
    }

    fn add_role(
        &mut self,
        name: &str,
        role: &RoleDescription,
        trust: &str,
        place: &Place<'_>,
        policies: &BTreeMap<String, PolicyDescription>,
    ) -> Result<(), WorldError> {
        let role_name: RoleName = name.parse().map_err(|source| WorldError::RoleName(name.to_owned(), source))?;
        let arn = RoleArn::new(place.partition, place.account, role_name);
        let new = NewRole {
            arn: arn.clone(),
            description: role.description.clone(),
            max_session: role.max_session,
            tags: role.tags.clone(),
            trust_document: place.fill(trust),
        };
        self.iam.insert_role(new).map_err(|error| match error {
            IamError::MalformedPolicyDocument(source) => WorldError::Trust { role: arn.clone(), source },
            IamError::EntityAlreadyExists { .. } => WorldError::Duplicate { what: "role", id: arn.to_string() },
            source => WorldError::Iam { place: arn.to_string(), source },
        })?;
        let shown = arn.to_string();
        for policy in &role.policies {
            let policy = place.managed(policy, policies, &shown)?;
            self.iam.attach_role_policy(&arn, &policy).map_err(|source| in_iam(shown.clone(), source))?;
        }
        for (policy, document) in &role.inline_policies {
            self.iam
                .put_role_policy(&arn, policy, &place.fill(document))
                .map_err(|source| in_iam(format!("the inline policy `{policy}` of {shown}"), source))?;
        }
        if let Some(boundary) = &role.boundary {
            let policy = place.managed(boundary, policies, &shown)?;
            self.iam.set_role_boundary(&arn, Some(&policy)).map_err(|source| in_iam(shown.clone(), source))?;
        }
        self.roles.push(Role {
            role_id: self.iam.role(&arn).map(|role: &IamRole| role.role_id.clone()).unwrap_or_default(),
            arn,
            description: role.description.clone(),
            max_session: role.max_session,
            catalog_max_session: role.catalog_max_session.unwrap_or(role.max_session),
            in_catalog: role.catalog,
            tags: role.tags.clone(),
            session_tags: role.session_tags.clone(),
            step_up: role.step_up.clone(),
            story: role.story.clone(),
        });
        Ok(())
    }

    fn add_user(
        &mut self,
        user: UserDescription,
        broker: &str,
        policies: &BTreeMap<String, PolicyDescription>,
    ) -> Result<(), WorldError> {
        let name = UserName::parse(&user.name).ok_or(WorldError::UserName(user.name))?;
        let unknown = || WorldError::UnknownAccount { place: format!("the user `{name}`"), account: user.account };
        let account = self.account(user.account).ok_or_else(unknown)?;
        let (partition, provider) = (account.partition, account.provider.clone());
        let place = Place { partition, account: user.account, provider: &provider, broker };
        let shown = format!("arn:{partition}:iam::{}:user/{name}", user.account);
        let fail = |source| match source {
            IamError::EntityAlreadyExists { what: "User", .. } => {
                WorldError::Duplicate { what: "user", id: shown.clone() }
            }
            source => in_iam(shown.clone(), source),
        };
        self.iam.create_user(partition, user.account, name.clone(), user.tags).map_err(fail)?;
        for key in user.access_keys {
            let key = key.checked(&shown)?;
            self.iam.create_access_key(user.account, &name, key).map_err(fail)?;
        }
        for device in user.mfa {
            let device_name = device.name.unwrap_or_else(|| name.name().to_owned());
            let serial = format!("arn:{partition}:iam::{}:mfa/{device_name}", user.account);
            let device = MfaDevice::new(&serial, &device.seed)
                .map_err(|source| WorldError::Mfa { serial: serial.clone(), source })?;
            self.iam.add_mfa_device(user.account, &name, device).map_err(fail)?;
        }
        for policy in &user.policies {
            let policy = place.managed(policy, policies, &shown)?;
            self.iam.attach_user_policy(user.account, &name, &policy).map_err(fail)?;
        }
        for (policy, document) in &user.inline_policies {
            self.iam
                .put_user_policy(user.account, &name, policy, &place.fill(document))
                .map_err(|source| in_iam(format!("the inline policy `{policy}` of {shown}"), source))?;
        }
        if let Some(boundary) = &user.boundary {
            let policy = place.managed(boundary, policies, &shown)?;
            self.iam.set_user_boundary(user.account, &name, Some(&policy)).map_err(fail)?;
        }
        Ok(())
    }

    fn add_bucket(&mut self, bucket: BucketDescription) -> Result<(), WorldError> {
        let refused = |rule| WorldError::Bucket { name: bucket.name.clone(), rule };
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        if !(3..=63).contains(&bucket.name.len()) || !bucket.name.bytes().all(allowed) {
            return Err(refused("is not 3 to 63 small letters, digits, dots and hyphens"));
        }
        if self.buckets.iter().any(|other| other.name == bucket.name) {
            return Err(WorldError::Duplicate { what: "bucket", id: bucket.name });
        }
        let partition = self.account(bucket.account).map(|account| account.partition).ok_or_else(|| {
            WorldError::UnknownAccount { place: format!("the bucket `{}`", bucket.name), account: bucket.account }
        })?;
        let region = bucket.region.clone().unwrap_or_else(|| partition.default_region());
        if !partition.has_region(&region) {
            return Err(refused("is in a region of another partition than its account"));
        }
        let BucketDescription { account, name, objects, region: _ } = bucket;
        self.buckets.push(Bucket { account, partition, name, region, objects });
        Ok(())
    }

    fn add_oidc_provider(&mut self, provider: &OidcProviderDescription, broker: &str) -> Result<(), WorldError> {
        let url = provider.url.replace("<broker>", broker);
        if without_scheme(&url).is_empty() || !(url.starts_with("https://") || url.starts_with("http://")) {
            return Err(WorldError::OidcProvider(url));
        }
        for account in &provider.accounts {
            let unknown =
                || WorldError::UnknownAccount { place: format!("the OpenID provider `{url}`"), account: *account };
            let partition = self.account(*account).ok_or_else(unknown)?.partition;
            self.iam.put_oidc_provider(OidcProvider {
                arn: format!("arn:{partition}:iam::{account}:oidc-provider/{}", without_scheme(&url)),
                account: *account,
                url: url.clone(),
                client_ids: provider.client_ids.clone(),
            });
        }
        Ok(())
    }

    /// What of the company can change while the sandbox runs, as it is at the start.
    #[must_use]
    pub fn iam(&self) -> &Iam {
        &self.iam
    }

    /// The SAML providers whose metadata is described; all others are the broker.
    #[must_use]
    pub fn saml_providers(&self) -> &BTreeMap<SamlProviderName, MetadataSource> {
        &self.saml_providers
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

    /// The buckets of its accounts.
    #[must_use]
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
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

/// Where a document of the company is used.
struct Place<'a> {
    partition: Partition,
    account: AccountId,
    provider: &'a ProviderArn,
    broker: &'a str,
}

impl Place<'_> {
    fn fill(&self, template: &str) -> String {
        let issuer = without_scheme(self.broker);
        let oidc_provider = format!("arn:{}:iam::{}:oidc-provider/{issuer}", self.partition, self.account);
        template
            .replace("<provider>", &self.provider.to_string())
            .replace("<oidc_provider>", &oidc_provider)
            .replace("<issuer>", issuer)
            .replace("<partition>", self.partition.id())
            .replace("<account>", self.account.as_str())
            .replace("<recipient>", self.partition.saml_recipient())
    }

    /// The ARN of a managed policy by its name: the company's own, or one of AWS.
    fn managed(
        &self,
        name: &str,
        own: &BTreeMap<String, PolicyDescription>,
        place: &str,
    ) -> Result<String, WorldError> {
        if own.contains_key(name) {
            return Ok(format!("arn:{}:iam::{}:policy/{name}", self.partition, self.account));
        }
        managed::find(name)
            .map(|found| found.arn(self.partition))
            .ok_or_else(|| WorldError::UnknownPolicy { place: place.to_owned(), policy: name.to_owned() })
    }
}

fn in_iam(place: String, error: IamError) -> WorldError {
    match error {
        IamError::MalformedPolicyDocument(source) => WorldError::Policy { place, source },
        source => WorldError::Iam { place, source },
    }
}

fn saml_providers(
    described: BTreeMap<SamlProviderName, SamlProviderDescription>,
) -> Result<BTreeMap<SamlProviderName, MetadataSource>, WorldError> {
    described
        .into_iter()
        .map(|(name, provider)| match (provider.metadata_url, provider.metadata) {
            (Some(url), None) => Ok((name, MetadataSource::Url(url))),
            (None, Some(text)) => Ok((name, MetadataSource::Inline(text))),
            (Some(_), Some(_)) | (None, None) => Err(WorldError::SamlProvider(name)),
        })
        .collect()
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
    fn the_names_the_catalog_relies_on_are_there() {
        let broker: Url = "http://127.0.0.1:8080/".parse().unwrap();
        let world = World::larkspur().for_broker(&broker).unwrap();
        for role in [
            "arn:aws:iam::127790045613:role/RolegateHub",
            "arn:aws:iam::177419203846:role/Partner/DataExchange",
            "arn:aws:iam::133840917265:role/hub/Relay",
            "arn:aws:iam::118503920174:role/Partner/CustomsArchive",
            "arn:aws:iam::195530284716:role/oidc/Publisher",
            "arn:aws:iam::208174930265:role/oidc/Reader",
        ] {
            assert!(!world.role(&role.parse().unwrap()).unwrap().in_catalog, "{role}");
        }
        let iam = world.iam();
        let (user, key) = iam.user_of_key("SBUKLINWEISESSIONKEY").unwrap();
        assert_eq!(user.arn(), "arn:aws:iam::146281930057:user/finance/lin");
        assert!(key.active && !iam.user_of_key("SBUKLINWEIOLDKEYOFFF").unwrap().1.active);
        assert_eq!(user.mfa[0].serial, "arn:aws:iam::146281930057:mfa/lin");
        assert!(iam.user_of_key("SBUKBROKERFEDERATION").is_some());
        let provider = iam.oidc_provider("195530284716".parse().unwrap(), "http://127.0.0.1:8080").unwrap();
        assert_eq!(provider.arn, "arn:aws:iam::195530284716:oidc-provider/127.0.0.1:8080");
        assert_eq!(provider.key_prefix(), "127.0.0.1:8080");
        let publisher = iam.role(&"arn:aws:iam::195530284716:role/oidc/Publisher".parse().unwrap()).unwrap();
        assert!(publisher.trust_document.contains("\"127.0.0.1:8080:aud\""));
        for role in iam.roles() {
            assert!(!role.permissions.attached.is_empty(), "{} has no permissions", role.arn);
        }
    }

    #[test]
    fn the_company_in_the_documentation_can_be_read() {
        let page = include_str!("../../docs/sandbox-policies.md");
        let start = page.find("company = \"Example\"").unwrap();
        let text = page[start..].split("```").next().unwrap();
        let world = World::from_toml(text).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!((world.roles().len(), world.iam().users().count()), (1, 1));
        assert_eq!(world.saml_providers().len(), 1);
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
        let good = base.replace(
            "\"{}\"",
            "'{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"sts:AssumeRole\"}}'",
        );
        World::from_toml(&good).unwrap();
        for (addition, expected) in [
            (
                "[role.R.inline_policies]\np = '{}'",
                "the inline policy `p` of arn:aws:iam::111122223333:role/R is malformed",
            ),
            ("[policy.P]\ndocument = '{'", "[policy.P] is malformed"),
            ("[policy.ReadOnlyAccess]\ndocument = '{'", "managed policy `ReadOnlyAccess` stands twice"),
            (
                "[[user]]\naccount = '111122223333'\nname = 'u'\npolicies = ['Q']",
                "arn:aws:iam::111122223333:user/u names the policy `Q`, which no [policy] table describes and AWS does not \
                 manage",
            ),
            (
                "[[user]]\naccount = '222222222222'\nname = 'u'",
                "the user `u` is in account 222222222222, which no [[account]] describes",
            ),
            (
                "[[user]]\naccount = '111122223333'\nname = '/u'",
                "the user name `/u` is not valid: 1 to 64 letters, digits and any of _+=,.@-, after a path if there is one",
            ),
            (
                "[[user]]\naccount = '111122223333'\nname = 'u'\n[[user]]\naccount = '111122223333'\nname = 'p/u'",
                "user `arn:aws:iam::111122223333:user/p/u` stands twice",
            ),
            (
                "[[user]]\naccount = '111122223333'\nname = 'u'\naccess_keys = [{ id = 'AKIA', secret = '' }]",
                "the access key `AKIA` of arn:aws:iam::111122223333:user/u is not SBUK and 16 capital letters and digits",
            ),
            (
                "[[user]]\naccount = '111122223333'\nname = 'u'\nmfa = [{ seed = '1' }]",
                "the MFA device arn:aws:iam::111122223333:mfa/u cannot be used",
            ),
            (
                "[[oidc_provider]]\naccounts = ['111122223333']\nurl = 'x'",
                "the OpenID provider `x` needs a url that begins with https:// or http://, or <broker>",
            ),
            ("[saml_provider.x]", "the SAML provider `x` needs either metadata_url or metadata"),
        ] {
            assert_eq!(message(&format!("{good}\n{addition}")), expected);
        }
        let stranger = good.replace("\"*\"", "{\"AWS\":\"arn:aws:iam::111122223333:role/Gone\"}");
        assert_eq!(message(&stranger), "the trust policy of arn:aws:iam::111122223333:role/R is malformed");
        assert!(message(&base.replace("[\"R\"]", "[\"S\"]")).contains("`S`"));
        assert!(message(&base.replace("trust = \"t\"", "trust = \"u\"")).contains("`u`"));
        assert!(message("company = 1").contains("TOML"));
    }
}
