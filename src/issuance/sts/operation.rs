//! What STS can be asked for credentials, and what it answers.
//!
//! An [`Operation`] is a value: the [client](super::client) tries the same one at a place, and again, and at the next
//! place. Each has a file of its own with what it is made of and how it is sent.

use std::time::SystemTime;

use aws_sdk_sts::Client;
use aws_sdk_sts::config::{Builder, IdentityCache};
use aws_sdk_sts::types::{PolicyDescriptorType, Tag};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

use super::assume_role::AssumeRole;
use super::assume_role_with_saml::AssumeRoleWithSaml;
use super::assume_role_with_web_identity::AssumeRoleWithWebIdentity;
use super::error::StsError;
use super::get_federation_token::GetFederationToken;
use super::get_session_token::GetSessionToken;
use super::reason::Reason;
use crate::access::SessionTag;
use crate::aws::{AccessKeyId, Credentials, PolicyArn, Region, SessionPolicy};

/// One call of STS, whole but for the place. To call it twice is to ask for the same thing.
#[derive(Debug, Clone, Copy)]
pub(in crate::issuance) enum Operation<'a> {
    AssumeRole(AssumeRole<'a>),
    AssumeRoleWithSaml(AssumeRoleWithSaml<'a>),
    AssumeRoleWithWebIdentity(AssumeRoleWithWebIdentity<'a>),
    GetFederationToken(GetFederationToken<'a>),
    GetSessionToken(GetSessionToken<'a>),
}

/// A key of an IAM user, opened for one call.
#[derive(Debug)]
pub(in crate::issuance) struct LongTermKey {
    pub id: AccessKeyId,
    pub secret: SecretString,
}

/// What STS answered.
#[derive(Debug)]
pub(in crate::issuance) struct Answer {
    pub credentials: Credentials,
    /// Where it answered.
    pub region: Region,
    /// Whom CloudTrail will name: `arn:…:sts::…:assumed-role/{role}/{session}` or `…:federated-user/{name}`; none where
    /// the answer leaves it out.
    pub principal_arn: Option<String>,
    /// How much of the room for session policies and tags is taken, in percent; none where STS does not say.
    pub packed_percent: Option<u32>,
    pub request_id: Option<String>,
}

impl Operation<'_> {
    /// AWS's name of it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AssumeRole(_) => "AssumeRole",
            Self::GetFederationToken(_) => "GetFederationToken",
            Self::GetSessionToken(_) => "GetSessionToken",
            Self::AssumeRoleWithSaml(_) => "AssumeRoleWithSAML",
            Self::AssumeRoleWithWebIdentity(_) => "AssumeRoleWithWebIdentity",
        }
    }

    /// Whether it may be sent again when nobody knows whether STS has seen it. What holds a code that counts once may not: the
    /// second time it would be refused as wrong.
    #[must_use]
    pub const fn may_repeat(&self) -> bool {
        match self {
            Self::AssumeRoleWithSaml(_)
            | Self::AssumeRoleWithWebIdentity(_)
            | Self::AssumeRole(_)
            | Self::GetFederationToken(_) => true,
            Self::GetSessionToken(_) => false,
        }
    }

    /// Sends it once. `here` says where.
    pub async fn send(&self, sdk: &Client, here: Builder, region: &Region) -> Result<Answer, StsError> {
        match self {
            Self::AssumeRole(operation) => operation.send(sdk, here, region).await,
            Self::GetFederationToken(operation) => operation.send(sdk, here, region).await,
            Self::GetSessionToken(operation) => operation.send(sdk, here, region).await,
            Self::AssumeRoleWithSaml(operation) => operation.send(sdk, here, region).await,
            Self::AssumeRoleWithWebIdentity(operation) => operation.send(sdk, here, region).await,
        }
    }
}

/// The SDK keeps what signs a call only as long as the call: its cache would hold on to everybody's.
fn signed(here: Builder, with: aws_sdk_sts::config::Credentials) -> Builder {
    here.credentials_provider(with).identity_cache(IdentityCache::no_cache())
}

pub(super) fn signed_by_session(here: Builder, session: &Credentials) -> Builder {
    let secret = session.secret_access_key.expose_secret();
    let token = session.session_token.expose_secret().to_owned();
    let expires = SystemTime::from(session.expiration);
    let id = session.access_key_id.as_str();
    signed(here, aws_sdk_sts::config::Credentials::new(id, secret, Some(token), Some(expires), "the role before"))
}

pub(super) fn signed_by_user(here: Builder, key: &LongTermKey) -> Builder {
    let secret = key.secret.expose_secret();
    signed(here, aws_sdk_sts::config::Credentials::new(key.id.as_str(), secret, None, None, "a sealed key"))
}

pub(super) fn tags(tags: &[SessionTag]) -> Option<Vec<Tag>> {
    let tag = |tag: &SessionTag| {
        Tag::builder().key(&tag.key).value(&tag.value).build().expect("both that a tag needs are set")
    };
    (!tags.is_empty()).then(|| tags.iter().map(tag).collect())
}

/// Session policies that are kept in the account.
pub(super) fn policy_arns(policy: &SessionPolicy) -> Option<Vec<PolicyDescriptorType>> {
    let described = |arn: &PolicyArn| PolicyDescriptorType::builder().arn(arn.as_str()).build();
    (!policy.arns().is_empty()).then(|| policy.arns().iter().map(described).collect())
}

/// STS packs tags and policies into one; where there is a policy, it is the part that can be left out.
pub(super) fn blame_the_policy(error: StsError, policy: &SessionPolicy) -> StsError {
    match error {
        StsError::Refused(Reason::TagsTooLarge, refusal) if !policy.is_none() => {
            StsError::Refused(Reason::PolicyTooLarge, refusal)
        }
        error => error,
    }
}

pub(super) fn credentials(answered: Option<&aws_sdk_sts::types::Credentials>) -> Result<Credentials, StsError> {
    let credentials = answered.ok_or(StsError::BadAnswer("it holds no credentials"))?;
    let expiration = credentials.expiration();
    let expiration = Timestamp::new(expiration.secs(), i32::try_from(expiration.subsec_nanos()).unwrap_or(0))
        .map_err(|_| StsError::BadAnswer("its expiration is out of range"))?;
    let credentials = Credentials {
        access_key_id: credentials.access_key_id().to_owned(),
        secret_access_key: SecretString::from(credentials.secret_access_key()),
        session_token: SecretString::from(credentials.session_token()),
        expiration,
    };
    if !credentials.are_plain() {
        return Err(StsError::BadAnswer("its credentials hold characters AWS does not use"));
    }
    Ok(credentials)
}

pub(super) fn packed_percent(answered: Option<i32>) -> Option<u32> {
    answered.and_then(|percent| u32::try_from(percent).ok())
}
