//! The part of the local AWS that changes while it runs: roles, users, their keys and policies.
//!
//! It begins as the [`World`](super::World) describes it and lasts as long as the process. Whoever reads takes a
//! snapshot, so that one call sees one state and no lock is held while it thinks:
//!
//! ```ignore
//! let iam = state.iam.now();                       // Arc<Iam>: read from it as long as you like
//! state.iam.change(|iam| iam.put_role_policy(&role, "AWSRevokeOlderSessions", document))?;
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use secrecy::SecretString;

use super::credentials::Owner;
use super::managed;
use super::mfa::MfaDevice;
use super::policy::{Identity, Policy, PolicyError, PolicyKind, Principal, UserName};
use crate::aws::{AccountId, Partition, ProviderArn, RoleArn, SessionDuration};

/// The changing part of the world, shared between calls.
#[derive(Debug)]
pub struct SharedIam(RwLock<Arc<Iam>>);

impl SharedIam {
    #[must_use]
    pub fn new(iam: Iam) -> Self {
        Self(RwLock::new(Arc::new(iam)))
    }

    /// Everything as it is at this moment. Later changes are not seen through it.
    #[must_use]
    pub fn now(&self) -> Arc<Iam> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes it, all or nothing: when `change` fails everything is as it was.
    ///
    /// # Errors
    /// What `change` answers.
    pub fn change<T>(&self, change: impl FnOnce(&mut Iam) -> Result<T, IamError>) -> Result<T, IamError> {
        let mut shared = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Iam::clone(&shared);
        let done = change(&mut next)?;
        *shared = Arc::new(next);
        Ok(done)
    }
}

/// Roles, users and policies of all accounts.
#[derive(Debug, Clone, Default)]
pub struct Iam {
    roles: BTreeMap<RoleArn, Arc<Role>>,
    users: BTreeMap<(AccountId, UserName), Arc<User>>,
    policies: BTreeMap<String, Arc<ManagedPolicy>>,
    saml_providers: Vec<ProviderArn>,
    oidc_providers: Vec<OidcProvider>,
    /// Long-term keys of accounts themselves.
    root_keys: Vec<(Owner, AccessKey)>,
    /// How many things were made since the start: what is made again under an old name gets another unique id.
    made: u64,
}

/// An IAM role.
#[derive(Debug, Clone)]
pub struct Role {
    pub arn: RoleArn,
    /// `AROA` and 17 characters. A role made again under the same name has another one.
    pub role_id: String,
    pub description: String,
    /// What IAM enforces for sessions that are not chained.
    pub max_session: SessionDuration,
    pub tags: BTreeMap<String, String>,
    /// The trust policy as it was written.
    pub trust_document: String,
    pub trust: Policy,
    pub permissions: Permissions,
}

/// An IAM user.
#[derive(Debug, Clone)]
pub struct User {
    pub partition: Partition,
    pub account: AccountId,
    pub name: UserName,
    /// `AIDA` and 17 characters.
    pub user_id: String,
    pub tags: BTreeMap<String, String>,
    pub keys: Vec<AccessKey>,
    pub mfa: Vec<MfaDevice>,
    pub permissions: Permissions,
}

impl User {
    #[must_use]
    pub fn arn(&self) -> String {
        format!("arn:{}:iam::{}:user/{}", self.partition, self.account, self.name)
    }

    /// The user as the owner of keys.
    #[must_use]
    pub fn owner(&self) -> Owner {
        Owner::User {
            partition: self.partition,
            account: self.account,
            name: self.name.to_string(),
            id: self.user_id.clone(),
        }
    }

    /// The user as policies see them.
    #[must_use]
    pub fn principal(&self) -> Principal {
        Principal::User {
            partition: self.partition,
            account: self.account,
            name: self.name.clone(),
            id: self.user_id.clone(),
        }
    }
}

/// A long-term key of a user. Its id begins with `SBUK`: no scanner takes it for a leaked one.
#[derive(Debug, Clone)]
pub struct AccessKey {
    pub id: String,
    pub secret: SecretString,
    /// A key that was switched off is refused as if it did not exist.
    pub active: bool,
}

/// The policies of a user or a role.
#[derive(Debug, Clone, Default)]
pub struct Permissions {
    /// By name.
    pub inline: BTreeMap<String, Inline>,
    /// ARNs of managed policies.
    pub attached: Vec<String>,
    /// The ARN of the permissions boundary.
    pub boundary: Option<String>,
}

/// A policy inside a user or role.
#[derive(Debug, Clone)]
pub struct Inline {
    pub document: String,
    pub policy: Policy,
}

/// A managed policy of an account.
#[derive(Debug, Clone)]
pub struct ManagedPolicy {
    pub arn: String,
    pub name: String,
    pub description: String,
    pub document: String,
    pub policy: Policy,
}

/// An OpenID provider an account trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcProvider {
    /// `arn:…:oidc-provider/{host and path}`.
    pub arn: String,
    pub account: AccountId,
    /// The issuer, exactly as `iss` says it.
    pub url: String,
    /// The audiences it may issue for.
    pub client_ids: Vec<String>,
}

impl OidcProvider {
    /// The issuer without its scheme: the prefix of its condition keys.
    #[must_use]
    pub fn key_prefix(&self) -> &str {
        without_scheme(&self.url)
    }
}

/// Host and path of an issuer.
pub(super) fn without_scheme(url: &str) -> &str {
    url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or(url).trim_end_matches('/')
}

/// Why IAM does not do it. The code is what IAM's query API answers with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IamError {
    #[error("The {what} with name {name} cannot be found.")]
    NoSuchEntity { what: &'static str, name: String },
    #[error("{what} with name {name} already exists.")]
    EntityAlreadyExists { what: &'static str, name: String },
    #[error(transparent)]
    MalformedPolicyDocument(#[from] PolicyError),
    #[error("Policy {0} does not exist or is not attachable.")]
    NotAttachable(String),
}

impl IamError {
    /// The wire code and HTTP status.
    #[must_use]
    pub const fn code(&self) -> (&'static str, u16) {
        match self {
            Self::NoSuchEntity { .. } | Self::NotAttachable(_) => ("NoSuchEntity", 404),
            Self::EntityAlreadyExists { .. } => ("EntityAlreadyExists", 409),
            Self::MalformedPolicyDocument(_) => ("MalformedPolicyDocument", 400),
        }
    }
}

/// A managed policy, of AWS or of an account.
#[derive(Debug, Clone, Copy)]
pub enum Managed<'a> {
    Aws(&'static managed::AwsManaged),
    Customer(&'a ManagedPolicy),
}

impl<'a> Managed<'a> {
    #[must_use]
    pub fn policy(self) -> &'a Policy {
        match self {
            Self::Aws(found) => &found.policy,
            Self::Customer(found) => &found.policy,
        }
    }

    #[must_use]
    pub fn document(self) -> &'a str {
        match self {
            Self::Aws(found) => found.document,
            Self::Customer(found) => &found.document,
        }
    }
}

/// Reading.
impl Iam {
    /// The role of an ARN, path included.
    #[must_use]
    pub fn role(&self, arn: &RoleArn) -> Option<&Role> {
        self.roles.get(arn).map(Arc::as_ref)
    }

    /// The role of a name without path, which is unique in an account; how IAM's API names roles.
    #[must_use]
    pub fn role_named(&self, account: AccountId, name: &str) -> Option<&Role> {
        self.roles().find(|role| role.arn.account() == account && role.arn.role().name() == name)
    }

    /// The role by ARN, if it is still the one with this unique id: what a session asks for.
    #[must_use]
    pub fn role_of_session(&self, arn: &RoleArn, role_id: &str) -> Option<&Role> {
        self.role(arn).filter(|role| role.role_id == role_id)
    }

    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        self.roles.values().map(Arc::as_ref)
    }

    #[must_use]
    pub fn user(&self, account: AccountId, name: &UserName) -> Option<&User> {
        self.users.get(&(account, name.clone())).map(Arc::as_ref)
    }

    /// The user of a name without path.
    #[must_use]
    pub fn user_named(&self, account: AccountId, name: &str) -> Option<&User> {
        self.users().find(|user| user.account == account && user.name.name() == name)
    }

    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values().map(Arc::as_ref)
    }

    /// Whose long-term key this is. Keys that were switched off are found: see [`AccessKey::active`].
    #[must_use]
    pub fn user_of_key(&self, access_key_id: &str) -> Option<(&User, &AccessKey)> {
        self.users().find_map(|user| user.keys.iter().find(|key| key.id == access_key_id).map(|key| (user, key)))
    }

    /// Whose long-term key this is, where it may be the root's.
    #[must_use]
    pub fn owner_of_key(&self, access_key_id: &str) -> Option<(Owner, &AccessKey)> {
        let of_root = || self.root_keys.iter().find(|(_, key)| key.id == access_key_id);
        self.user_of_key(access_key_id)
            .map(|(user, key)| (user.owner(), key))
            .or_else(|| of_root().map(|(owner, key)| (owner.clone(), key)))
    }

    /// The managed policy of an ARN, as an account sees it: its own, and those of AWS in its partition. `None` for
    /// policies of other accounts too, which STS and IAM refuse.
    #[must_use]
    pub fn managed(&self, partition: Partition, account: AccountId, arn: &str) -> Option<Managed<'_>> {
        if let Some(found) = managed::by_arn(partition, arn) {
            return Some(Managed::Aws(found));
        }
        arn.strip_prefix(&format!("arn:{partition}:iam::{account}:policy/"))?;
        self.policies.get(arn).map(|found| Managed::Customer(found))
    }

    /// The managed policies of an account itself.
    pub fn policies(&self, account: AccountId) -> impl Iterator<Item = &ManagedPolicy> {
        let owned = format!(":{account}:policy/");
        self.policies.values().map(Arc::as_ref).filter(move |policy| policy.arn.contains(&owned))
    }

    /// Whether an account has registered this SAML provider.
    #[must_use]
    pub fn has_saml_provider(&self, arn: &ProviderArn) -> bool {
        self.saml_providers.contains(arn)
    }

    /// The SAML providers of all accounts.
    pub fn saml_providers(&self) -> impl Iterator<Item = &ProviderArn> {
        self.saml_providers.iter()
    }

    /// The OpenID provider of an issuer in an account. `iss` must be the registered URL exactly.
    #[must_use]
    pub fn oidc_provider(&self, account: AccountId, issuer: &str) -> Option<&OidcProvider> {
        self.oidc_providers.iter().find(|provider| provider.account == account && provider.url == issuer)
    }

    #[must_use]
    pub fn oidc_providers(&self) -> &[OidcProvider] {
        &self.oidc_providers
    }

    /// The trust policy as IAM shows it: a user or role that is gone stands there by its unique id.
    #[must_use]
    pub fn shown_trust(&self, role: &Role) -> String {
        role.trust.bound().into_iter().fold(role.trust_document.clone(), |document, (kind, arn, id)| {
            if self.unique_id(kind, arn).as_deref() == Some(id) {
                document
            } else {
                document.replace(&format!("\"{arn}\""), &format!("\"{id}\""))
            }
        })
    }

    fn unique_id(&self, kind: Identity, arn: &str) -> Option<String> {
        match kind {
            Identity::Role => self.role(&arn.parse().ok()?).map(|role| role.role_id.clone()),
            Identity::User => self.users().find(|user| user.arn() == arn).map(|user| user.user_id.clone()),
        }
    }
}

/// Changing. Each answers with what IAM would refuse.
impl Iam {
    /// Adds a provider of SAML identities; its metadata is the sandbox's affair.
    pub fn add_saml_provider(&mut self, arn: ProviderArn) {
        if !self.has_saml_provider(&arn) {
            self.saml_providers.push(arn);
        }
    }

    /// Gives an account's root a long-term key.
    ///
    /// # Errors
    /// [`IamError::EntityAlreadyExists`] when anybody has a key of this id.
    pub fn create_root_key(
        &mut self,
        partition: Partition,
        account: AccountId,
        key: AccessKey,
    ) -> Result<(), IamError> {
        if self.owner_of_key(&key.id).is_some() {
            return Err(IamError::EntityAlreadyExists { what: "Access key", name: key.id });
        }
        self.root_keys.push((Owner::Root { partition, account }, key));
        Ok(())
    }

    /// Adds an OpenID provider, or replaces the one of the same issuer.
    pub fn put_oidc_provider(&mut self, provider: OidcProvider) {
        self.oidc_providers.retain(|known| known.arn != provider.arn);
        self.oidc_providers.push(provider);
    }

    /// Makes a role that trusts as `trust_document` says. Users and roles the policy names must exist.
    ///
    /// # Errors
    /// [`IamError::EntityAlreadyExists`] by name without path, [`IamError::MalformedPolicyDocument`].
    pub fn create_role(&mut self, new: NewRole) -> Result<&Role, IamError> {
        let arn = new.arn.clone();
        self.insert_role(new)?;
        // A role may trust itself, so it is there before its trust is bound.
        if let Err(error) = self.bind_trust(&arn) {
            self.roles.remove(&arn);
            return Err(error);
        }
        self.role(&arn).ok_or_else(|| no_such("role", arn.role().name()))
    }

    /// # Errors
    /// [`IamError::NoSuchEntity`]
    pub fn delete_role(&mut self, arn: &RoleArn) -> Result<(), IamError> {
        self.roles.remove(arn).map(drop).ok_or_else(|| no_such("role", arn.role().name()))
    }

    /// Replaces a trust policy. Sessions that exist go on; names of users and roles mean those of now.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`], [`IamError::MalformedPolicyDocument`]
    pub fn update_assume_role_policy(&mut self, arn: &RoleArn, document: &str) -> Result<(), IamError> {
        let trust = Policy::parse(PolicyKind::Trust, document)?;
        let role = self.role_mut(arn)?;
        role.trust = trust;
        role.trust_document = document.to_owned();
        self.bind_trust(arn)
    }

    /// Sets the longest session a role allows.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`]
    pub fn set_max_session(&mut self, arn: &RoleArn, max: SessionDuration) -> Result<(), IamError> {
        self.role_mut(arn)?.max_session = max;
        Ok(())
    }

    /// # Errors
    /// [`IamError::NoSuchEntity`]
    pub fn tag_role(&mut self, arn: &RoleArn, tags: BTreeMap<String, String>) -> Result<(), IamError> {
        self.role_mut(arn)?.tags.extend(tags);
        Ok(())
    }

    /// Writes an inline policy, in place of one of the same name.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`], [`IamError::MalformedPolicyDocument`]
    pub fn put_role_policy(&mut self, arn: &RoleArn, name: &str, document: &str) -> Result<(), IamError> {
        self.role_mut(arn)?.permissions.put(name, document)
    }

    /// # Errors
    /// [`IamError::NoSuchEntity`] of the role or of its policy.
    pub fn delete_role_policy(&mut self, arn: &RoleArn, name: &str) -> Result<(), IamError> {
        self.role_mut(arn)?.permissions.delete(name)
    }

    /// # Errors
    /// [`IamError::NoSuchEntity`], [`IamError::NotAttachable`]
    pub fn attach_role_policy(&mut self, arn: &RoleArn, policy: &str) -> Result<(), IamError> {
        self.managed(arn.partition(), arn.account(), policy)
            .ok_or_else(|| IamError::NotAttachable(policy.to_owned()))?;
        self.role_mut(arn)?.permissions.attach(policy);
        Ok(())
    }

    /// # Errors
    /// [`IamError::NoSuchEntity`] of the role or of what is attached to it.
    pub fn detach_role_policy(&mut self, arn: &RoleArn, policy: &str) -> Result<(), IamError> {
        self.role_mut(arn)?.permissions.detach(policy)
    }

    /// Sets the permissions boundary, or takes it away.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`], [`IamError::NotAttachable`]
    pub fn set_role_boundary(&mut self, arn: &RoleArn, policy: Option<&str>) -> Result<(), IamError> {
        if let Some(policy) = policy {
            self.managed(arn.partition(), arn.account(), policy)
                .ok_or_else(|| IamError::NotAttachable(policy.to_owned()))?;
        }
        self.role_mut(arn)?.permissions.boundary = policy.map(str::to_owned);
        Ok(())
    }

    /// # Errors
    /// [`IamError::EntityAlreadyExists`] by name without path.
    pub fn create_user(
        &mut self,
        partition: Partition,
        account: AccountId,
        name: UserName,
        tags: BTreeMap<String, String>,
    ) -> Result<&User, IamError> {
        if self.user_named(account, name.name()).is_some() {
            return Err(IamError::EntityAlreadyExists { what: "User", name: name.name().to_owned() });
        }
        let mut user = User {
            partition,
            account,
            name: name.clone(),
            user_id: String::new(),
            tags,
            keys: Vec::new(),
            mfa: Vec::new(),
            permissions: Permissions::default(),
        };
        user.user_id = self.next_id("AIDA", &user.arn());
        Ok(self.users.entry((account, name)).insert_entry(Arc::new(user)).into_mut())
    }

    /// # Errors
    /// [`IamError::NoSuchEntity`]
    pub fn delete_user(&mut self, account: AccountId, name: &UserName) -> Result<(), IamError> {
        self.users.remove(&(account, name.clone())).map(drop).ok_or_else(|| no_such("user", name.name()))
    }

    /// # Errors
    /// [`IamError::NoSuchEntity`], [`IamError::MalformedPolicyDocument`]
    pub fn put_user_policy(
        &mut self,
        account: AccountId,
        user: &UserName,
        name: &str,
        document: &str,
    ) -> Result<(), IamError> {
        self.user_mut(account, user)?.permissions.put(name, document)
    }

    /// # Errors
    /// [`IamError::NoSuchEntity`] of the user or of its policy.
    pub fn delete_user_policy(&mut self, account: AccountId, user: &UserName, name: &str) -> Result<(), IamError> {
        self.user_mut(account, user)?.permissions.delete(name)
    }

    /// # Errors
    /// [`IamError::NoSuchEntity`], [`IamError::NotAttachable`]
    pub fn attach_user_policy(&mut self, account: AccountId, user: &UserName, policy: &str) -> Result<(), IamError> {
        let partition = self.user_mut(account, user)?.partition;
        self.managed(partition, account, policy).ok_or_else(|| IamError::NotAttachable(policy.to_owned()))?;
        self.user_mut(account, user)?.permissions.attach(policy);
        Ok(())
    }

    /// # Errors
    /// [`IamError::NoSuchEntity`] of the user or of what is attached to it.
    pub fn detach_user_policy(&mut self, account: AccountId, user: &UserName, policy: &str) -> Result<(), IamError> {
        self.user_mut(account, user)?.permissions.detach(policy)
    }

    /// Sets the permissions boundary, or takes it away.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`], [`IamError::NotAttachable`]
    pub fn set_user_boundary(
        &mut self,
        account: AccountId,
        user: &UserName,
        policy: Option<&str>,
    ) -> Result<(), IamError> {
        let partition = self.user_mut(account, user)?.partition;
        if let Some(policy) = policy {
            self.managed(partition, account, policy).ok_or_else(|| IamError::NotAttachable(policy.to_owned()))?;
        }
        self.user_mut(account, user)?.permissions.boundary = policy.map(str::to_owned);
        Ok(())
    }

    /// Gives a user a long-term key.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`], [`IamError::EntityAlreadyExists`] when anybody has a key of this id.
    pub fn create_access_key(&mut self, account: AccountId, user: &UserName, key: AccessKey) -> Result<(), IamError> {
        if self.owner_of_key(&key.id).is_some() {
            return Err(IamError::EntityAlreadyExists { what: "Access key", name: key.id });
        }
        self.user_mut(account, user)?.keys.push(key);
        Ok(())
    }

    /// Switches a key on or off.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`] of the user or of the key.
    pub fn update_access_key(
        &mut self,
        account: AccountId,
        user: &UserName,
        id: &str,
        active: bool,
    ) -> Result<(), IamError> {
        let keys = &mut self.user_mut(account, user)?.keys;
        keys.iter_mut().find(|key| key.id == id).ok_or_else(|| no_such("Access Key", id))?.active = active;
        Ok(())
    }

    /// # Errors
    /// [`IamError::NoSuchEntity`] of the user or of the key.
    pub fn delete_access_key(&mut self, account: AccountId, user: &UserName, id: &str) -> Result<(), IamError> {
        let keys = &mut self.user_mut(account, user)?.keys;
        let at = keys.iter().position(|key| key.id == id).ok_or_else(|| no_such("Access Key", id))?;
        keys.remove(at);
        Ok(())
    }

    /// Gives a user an MFA device.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`], [`IamError::EntityAlreadyExists`] by serial number.
    pub fn add_mfa_device(&mut self, account: AccountId, user: &UserName, device: MfaDevice) -> Result<(), IamError> {
        if self.users().any(|other| other.mfa.iter().any(|known| known.serial == device.serial)) {
            return Err(IamError::EntityAlreadyExists { what: "MFA device", name: device.serial });
        }
        self.user_mut(account, user)?.mfa.push(device);
        Ok(())
    }

    /// Writes a managed policy of an account, in place of one of the same name.
    ///
    /// # Errors
    /// [`IamError::MalformedPolicyDocument`]
    pub fn put_policy(
        &mut self,
        partition: Partition,
        account: AccountId,
        name: &str,
        description: &str,
        document: &str,
    ) -> Result<String, IamError> {
        let arn = format!("arn:{partition}:iam::{account}:policy/{name}");
        let policy = ManagedPolicy {
            arn: arn.clone(),
            name: name.rsplit('/').next().unwrap_or(name).to_owned(),
            description: description.to_owned(),
            document: document.to_owned(),
            policy: Policy::parse(PolicyKind::Identity, document)?,
        };
        self.policies.insert(arn.clone(), Arc::new(policy));
        Ok(arn)
    }

    fn role_mut(&mut self, arn: &RoleArn) -> Result<&mut Role, IamError> {
        self.roles.get_mut(arn).map(Arc::make_mut).ok_or_else(|| no_such("role", arn.role().name()))
    }

    fn user_mut(&mut self, account: AccountId, name: &UserName) -> Result<&mut User, IamError> {
        self.users.get_mut(&(account, name.clone())).map(Arc::make_mut).ok_or_else(|| no_such("user", name.name()))
    }

    /// Ties the trust policy of a role to whoever has the names in it now.
    fn bind_trust(&mut self, arn: &RoleArn) -> Result<(), IamError> {
        let mut trust = self.role_mut(arn)?.trust.clone();
        trust.bind(arn.partition(), |kind, named| self.unique_id(kind, named))?;
        self.role_mut(arn)?.trust = trust;
        Ok(())
    }

    /// The unique id of something made now: always the same for what the world describes, another for what is made later.
    fn next_id(&mut self, prefix: &str, arn: &str) -> String {
        let taken =
            |id: &String| self.roles().any(|role| role.role_id == *id) || self.users().any(|user| user.user_id == *id);
        let plain = unique_id(prefix, arn, 0);
        if self.made == 0 && !taken(&plain) {
            return plain;
        }
        self.made += 1;
        unique_id(prefix, arn, self.made)
    }

    /// From now on whatever is made gets an id of its own, even under the name of something that was there before.
    pub(super) fn begin(&mut self) {
        self.made = self.made.max(1);
    }

    /// Ties all trust policies to the users and roles they name, once all of these are there.
    ///
    /// # Errors
    /// The role whose policy names somebody who does not exist, and IAM's words.
    pub(super) fn bind_all(&mut self) -> Result<(), (RoleArn, IamError)> {
        let arns: Vec<RoleArn> = self.roles.keys().cloned().collect();
        arns.into_iter().try_for_each(|arn| self.bind_trust(&arn).map_err(|error| (arn, error)))
    }

    /// Puts a role there as a world describes it; [`bind_all`](Self::bind_all) follows.
    pub(super) fn insert_role(&mut self, new: NewRole) -> Result<(), IamError> {
        let name = new.arn.role().name();
        if self.role_named(new.arn.account(), name).is_some() {
            return Err(IamError::EntityAlreadyExists { what: "Role", name: name.to_owned() });
        }
        let role_id = self.next_id("AROA", &new.arn.to_string());
        let role = Role {
            role_id,
            description: new.description,
            max_session: new.max_session,
            tags: new.tags,
            trust: Policy::parse(PolicyKind::Trust, &new.trust_document)?,
            trust_document: new.trust_document,
            permissions: Permissions::default(),
            arn: new.arn.clone(),
        };
        self.roles.insert(new.arn, Arc::new(role));
        Ok(())
    }
}

/// What a role is made of.
#[derive(Debug, Clone)]
pub struct NewRole {
    pub arn: RoleArn,
    pub description: String,
    pub max_session: SessionDuration,
    pub tags: BTreeMap<String, String>,
    pub trust_document: String,
}

fn no_such(what: &'static str, name: &str) -> IamError {
    IamError::NoSuchEntity { what, name: name.to_owned() }
}

impl Permissions {
    fn put(&mut self, name: &str, document: &str) -> Result<(), IamError> {
        let policy = Policy::parse(PolicyKind::Identity, document)?;
        self.inline.insert(name.to_owned(), Inline { document: document.to_owned(), policy });
        Ok(())
    }

    fn delete(&mut self, name: &str) -> Result<(), IamError> {
        self.inline.remove(name).map(drop).ok_or_else(|| no_such("role policy", name))
    }

    fn attach(&mut self, arn: &str) {
        if !self.attached.iter().any(|known| known == arn) {
            self.attached.push(arn.to_owned());
        }
    }

    fn detach(&mut self, arn: &str) -> Result<(), IamError> {
        let at = self.attached.iter().position(|known| known == arn).ok_or_else(|| no_such("policy", arn))?;
        self.attached.remove(at);
        Ok(())
    }
}

/// A prefix and 17 characters that depend on what it is for.
fn unique_id(prefix: &str, arn: &str, generation: u64) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let text = if generation == 0 { arn.to_owned() } else { format!("{arn}#{generation}") };
    let digest = openssl::sha::sha256(text.as_bytes());
    let rest = digest.iter().take(17).map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    prefix.chars().chain(rest).collect()
}
