//! Who asks, and how trust policies name them.
//!
//! Spec: IAM User Guide, "AWS JSON policy elements: Principal" and "NotPrincipal".

use std::fmt;

use super::PolicyError;
use crate::aws::{AccountId, Partition, ProviderArn, RoleArn};

/// Whoever asks to do something, with what AWS knows them by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// An IAM user, by long-term keys or by a session of GetSessionToken.
    User { partition: Partition, account: AccountId, name: UserName, id: String },
    /// A session of a role; `role_id` tells roles apart that had the same name one after the other.
    Session { role: RoleArn, role_id: String, name: String },
    /// A session of GetFederationToken, and the user who asked for it; `None` when it was the account's root.
    FederatedUser { partition: Partition, account: AccountId, name: String, by: Option<(UserName, String)> },
    /// The account itself.
    Root { partition: Partition, account: AccountId },
    /// Somebody for whom a SAML provider vouches.
    SamlProvider(ProviderArn),
    /// Somebody for whom an OpenID provider vouches: its ARN, or the host of one of the four that need none.
    OidcProvider(String),
    /// Nobody known.
    Anonymous,
}

/// The name of an IAM user with its path, if any: `jane` or `finance/jane`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

impl UserName {
    /// The name from its text; `None` when IAM would refuse it.
    ///
    /// Users are named as roles are, and take the same path.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<crate::aws::RoleName>().is_ok().then(|| Self(text.to_owned()))
    }

    /// The name as something else has kept it that read it before.
    #[must_use]
    pub fn known(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Path and name, without a leading slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its path: what `aws:username` says.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Principal {
    /// The ARN messages and GetCallerIdentity show; `None` for providers of identities and for nobody.
    #[must_use]
    pub fn arn(&self) -> Option<String> {
        Some(match self {
            Self::User { partition, account, name, .. } => format!("arn:{partition}:iam::{account}:user/{name}"),
            Self::Session { role, name, .. } => session_arn(role, name),
            Self::FederatedUser { partition, account, name, .. } => {
                format!("arn:{partition}:sts::{account}:federated-user/{name}")
            }
            Self::Root { partition, account } => format!("arn:{partition}:iam::{account}:root"),
            Self::SamlProvider(_) | Self::OidcProvider(_) | Self::Anonymous => return None,
        })
    }

    /// `aws:PrincipalArn`: as [`arn`](Self::arn), but of a session the ARN of its role, path included.
    #[must_use]
    pub fn principal_arn(&self) -> Option<String> {
        match self {
            Self::Session { role, .. } => Some(role.to_string()),
            _ => self.arn(),
        }
    }

    /// `aws:userid`: a user's id, `{role id}:{session}`, `{account}:{federated name}`, or the account's id for its root.
    #[must_use]
    pub fn user_id(&self) -> Option<String> {
        Some(match self {
            Self::User { id, .. } => id.clone(),
            Self::Session { role_id, name, .. } => format!("{role_id}:{name}"),
            Self::FederatedUser { account, name, .. } => format!("{account}:{name}"),
            Self::Root { account, .. } => account.to_string(),
            Self::SamlProvider(_) | Self::OidcProvider(_) | Self::Anonymous => return None,
        })
    }

    /// The account whose policies speak for this principal; `None` for identities from outside.
    #[must_use]
    pub fn account(&self) -> Option<AccountId> {
        match self {
            Self::User { account, .. } | Self::FederatedUser { account, .. } | Self::Root { account, .. } => {
                Some(*account)
            }
            Self::Session { role, .. } => Some(role.account()),
            Self::SamlProvider(_) | Self::OidcProvider(_) | Self::Anonymous => None,
        }
    }

    /// The partition, where the principal lives in one.
    #[must_use]
    pub fn partition(&self) -> Option<Partition> {
        match self {
            Self::User { partition, .. } | Self::FederatedUser { partition, .. } | Self::Root { partition, .. } => {
                Some(*partition)
            }
            Self::Session { role, .. } => Some(role.partition()),
            Self::SamlProvider(arn) => Some(arn.partition()),
            Self::OidcProvider(_) | Self::Anonymous => None,
        }
    }

    /// `aws:PrincipalType`; identities from outside have none yet.
    #[must_use]
    pub fn kind(&self) -> Option<&'static str> {
        match self {
            Self::User { .. } => Some("User"),
            Self::Session { .. } => Some("AssumedRole"),
            Self::FederatedUser { .. } => Some("FederatedUser"),
            Self::Root { .. } => Some("Account"),
            Self::Anonymous => Some("Anonymous"),
            Self::SamlProvider(_) | Self::OidcProvider(_) => None,
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SamlProvider(arn) => write!(f, "{arn}"),
            Self::OidcProvider(name) => f.write_str(name),
            Self::Anonymous => f.write_str("anonymous"),
            Self::User { .. } | Self::Session { .. } | Self::FederatedUser { .. } | Self::Root { .. } => {
                f.write_str(&self.arn().unwrap_or_default())
            }
        }
    }
}

/// `arn:…:assumed-role/{role}/{session}`; the path of the role is not part of it.
fn session_arn(role: &RoleArn, name: &str) -> String {
    format!("arn:{}:sts::{}:assumed-role/{}/{name}", role.partition(), role.account(), role.role().name())
}

/// How a trust policy names whoever asks. What names them more closely comes later; it decides who else must allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    /// By the account: IAM of that account must allow too.
    Account,
    /// By `*`, or by `NotPrincipal`.
    Everyone,
    /// By the role of the session.
    Role,
    /// By the user, the session or the federated user, or by the provider that vouches for them.
    Exactly,
}

/// One value of a `Principal`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    Everyone,
    Account(AccountId, Option<Partition>),
    /// A user or role and, once the policy is bound to a world, the unique id it had then.
    Bound {
        arn: String,
        kind: Identity,
        id: Option<String>,
    },
    /// A session or a federated user, whose ARN says everything.
    Arn(String),
    /// An identity provider.
    Provider(String),
    /// Understood, and nobody here: services and canonical users.
    Nobody(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    User,
    Role,
}

/// OpenID providers that an account need not register.
const WELL_KNOWN: [&str; 4] =
    ["accounts.google.com", "www.amazon.com", "graph.facebook.com", "cognito-identity.amazonaws.com"];

impl Pattern {
    /// Reads one value.
    ///
    /// # Errors
    /// [`PolicyError::InvalidPrincipal`], or [`PolicyError::Syntax`] when there is no such kind.
    pub fn parse(kind: &str, value: &str) -> Result<Self, PolicyError> {
        let invalid = || PolicyError::InvalidPrincipal { kind: kind.to_owned(), value: value.to_owned() };
        let parsed = match kind {
            "AWS" => Self::aws(value),
            "Federated" => Self::federated(value),
            "Service" => {
                let host =
                    value.contains('.') && value.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
                host.then(|| Self::Nobody(value.to_owned()))
            }
            "CanonicalUser" => (value.len() == 64 && value.bytes().all(|b| b.is_ascii_hexdigit()))
                .then(|| Self::Nobody(value.to_owned())),
            _ => return Err(PolicyError::Syntax),
        };
        parsed.ok_or_else(invalid)
    }

    fn aws(value: &str) -> Option<Self> {
        if value == "*" {
            return Some(Self::Everyone);
        }
        if let Ok(account) = value.parse() {
            return Some(Self::Account(account, None));
        }
        if value.contains(['*', '?']) {
            return None;
        }
        let parts: Vec<&str> = value.splitn(6, ':').collect();
        let ["arn", partition, service, "", account, resource] = parts[..] else { return None };
        let (partition, account): (Partition, AccountId) = (partition.parse().ok()?, account.parse().ok()?);
        match (service, resource.split_once('/')) {
            ("iam", None) if resource == "root" => Some(Self::Account(account, Some(partition))),
            ("iam", Some(("user", name))) => {
                UserName::parse(name)?;
                Some(Self::Bound { arn: value.to_owned(), kind: Identity::User, id: None })
            }
            ("iam", Some(("role", _))) => {
                value.parse::<RoleArn>().ok()?;
                Some(Self::Bound { arn: value.to_owned(), kind: Identity::Role, id: None })
            }
            ("sts", Some(("assumed-role", rest))) => {
                let (role, session) = rest.split_once('/')?;
                (!role.is_empty() && !session.is_empty() && !session.contains('/')).then(|| Self::Arn(value.to_owned()))
            }
            ("sts", Some(("federated-user", name))) => {
                (!name.is_empty() && !name.contains('/')).then(|| Self::Arn(value.to_owned()))
            }
            _ => None,
        }
    }

    fn federated(value: &str) -> Option<Self> {
        if WELL_KNOWN.contains(&value) || value.parse::<ProviderArn>().is_ok() {
            return Some(Self::Provider(value.to_owned()));
        }
        let parts: Vec<&str> = value.splitn(6, ':').collect();
        let ["arn", partition, "iam", "", account, resource] = parts[..] else { return None };
        partition.parse::<Partition>().ok()?;
        account.parse::<AccountId>().ok()?;
        let host = resource.strip_prefix("oidc-provider/")?;
        (!host.is_empty() && !host.contains(['*', '?'])).then(|| Self::Provider(value.to_owned()))
    }

    /// How this names the principal, if it does.
    pub fn names(&self, principal: &Principal) -> Option<Named> {
        match (self, principal) {
            (Self::Everyone, _) => Some(Named::Everyone),
            (Self::Account(account, partition), principal) => (principal.account() == Some(*account)
                && partition.is_none_or(|partition| principal.partition() == Some(partition)))
            .then_some(Named::Account),
            (Self::Bound { arn, kind: Identity::User, id }, Principal::User { id: known, .. }) => {
                same_identity(arn, id.as_deref(), principal, known).then_some(Named::Exactly)
            }
            (Self::Bound { arn, kind: Identity::Role, id }, Principal::Session { role_id, .. }) => {
                same_identity(arn, id.as_deref(), principal, role_id).then_some(Named::Role)
            }
            (Self::Arn(arn), Principal::Session { .. } | Principal::FederatedUser { .. }) => {
                (principal.arn().as_ref() == Some(arn)).then_some(Named::Exactly)
            }
            (Self::Provider(name), Principal::SamlProvider(arn)) => {
                (arn.to_string() == *name).then_some(Named::Exactly)
            }
            (Self::Provider(name), Principal::OidcProvider(known)) => (known == name).then_some(Named::Exactly),
            (Self::Bound { .. } | Self::Arn(_) | Self::Provider(_) | Self::Nobody(_), _) => None,
        }
    }

    /// Whether this lists the account of the principal as such, which `NotPrincipal` asks for beside the principal.
    pub fn lists_account_of(&self, principal: &Principal) -> bool {
        matches!(self, Self::Account(..)) && self.names(principal).is_some()
    }
}

/// A bound name is its id, and nothing else: whoever has the name later is somebody else.
fn same_identity(arn: &str, id: Option<&str>, principal: &Principal, known: &str) -> bool {
    match id {
        Some(id) => id == known,
        None => principal.principal_arn().as_deref() == Some(arn),
    }
}
