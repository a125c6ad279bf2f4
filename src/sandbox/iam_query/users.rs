//! Users, their policies and their keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::read::{DOCUMENT, KEY_ID, PATH, POLICY_NAME, USER_NAME};
use super::roles::{conflict, limit};
use super::{Answered, Call, Resource, no_such, shapes};
use crate::sandbox::iam::{AccessKey, Iam, User};
use crate::sandbox::policy::{Principal, UserName};
use crate::sandbox::sts::{ARN, Member, StsError};

/// Of AWS.
const MAX_KEYS: usize = 2;
const MAX_USERS: usize = 5000;
/// Characters of all inline policies of a user together, without white space.
const MAX_INLINE: usize = 2048;
const MAX_ATTACHED: usize = 20;

/// A user that a call names, existing or not.
struct Named {
    name: String,
    resource: Resource,
}

/// `UserName`
fn named(call: &Call<'_>) -> Result<Named, StsError> {
    Ok(about(call, call.text("UserName", &USER_NAME)?))
}

/// `UserName`; without one it is the user whose credentials these are.
fn named_or_self(call: &Call<'_>) -> Result<Named, StsError> {
    match call.optional("UserName", &USER_NAME)? {
        Some(name) => Ok(about(call, name)),
        None => match call.caller.bearer().principal {
            Principal::User { name, .. } => Ok(about(call, name.name())),
            Principal::Session { .. }
            | Principal::FederatedUser { .. }
            | Principal::Root { .. }
            | Principal::SamlProvider(_)
            | Principal::OidcProvider(_)
            | Principal::Anonymous => {
                Err(StsError::validation("Must specify userName when calling with non-User credentials"))
            }
        },
    }
}

fn about(call: &Call<'_>, name: &str) -> Named {
    let arn = match call.iam().user_named(call.account(), name) {
        Some(user) => user.arn(),
        None => call.arn(&format!("user/{name}")),
    };
    Named { name: name.to_owned(), resource: Resource { arn, name: format!("user {name}") } }
}

impl Named {
    fn find<'i>(&self, call: &Call<'_>, iam: &'i Iam) -> Result<&'i User, StsError> {
        iam.user_named(call.account(), &self.name).ok_or_else(|| no_such("user", &self.name))
    }

    /// The name with its path, of a user that has to be there.
    fn existing(&self, call: &Call<'_>) -> Result<UserName, StsError> {
        self.find(call, &call.iam()).map(|user| user.name.clone())
    }
}

fn length(document: &str) -> usize {
    document.chars().filter(|c| !c.is_whitespace()).count()
}

pub fn create(call: &Call<'_>) -> Answered {
    let name = call.text("UserName", &USER_NAME)?;
    let boundary = call.optional("PermissionsBoundary", &ARN)?;
    let placed = call.placed(name)?;
    let tags = call.tags()?;
    let arn = call.arn(&format!("user/{placed}"));
    let bounded = boundary.map(|arn| ("iam:PermissionsBoundary", arn));
    call.require("CreateUser", &Resource { name: arn.clone(), arn }, bounded.as_slice())?;
    let user =
        UserName::parse(&placed).ok_or_else(|| StsError::validation("The specified path or name is invalid."))?;
    if call.iam().users().filter(|user| user.account == call.account()).count() >= MAX_USERS {
        return Err(limit(format!("Cannot exceed quota for UsersPerAccount: {MAX_USERS}")));
    }
    call.change(|iam| {
        iam.create_user(call.partition(), call.account(), user.clone(), tags)?;
        iam.set_user_boundary(call.account(), &user, boundary)
    })?;
    let iam = call.iam();
    let made = iam.user(call.account(), &user).ok_or_else(|| no_such("user", name))?;
    Ok(Some(vec![Member::Structure("User", shapes::user(call, made, true))]))
}

pub fn get(call: &Call<'_>) -> Answered {
    let named = named_or_self(call)?;
    call.require("GetUser", &named.resource, &[])?;
    let iam = call.iam();
    Ok(Some(vec![Member::Structure("User", shapes::user(call, named.find(call, &iam)?, true))]))
}

pub fn list(call: &Call<'_>) -> Answered {
    let prefix = call.optional("PathPrefix", &PATH)?.unwrap_or("/");
    let arn = call.arn(&format!("user{prefix}"));
    call.require("ListUsers", &Resource { name: arn.clone(), arn }, &[])?;
    let iam = call.iam();
    let owned = iam
        .users()
        .filter(|user| user.account == call.account() && shapes::path_of(user.name.as_str()).starts_with(prefix))
        .collect();
    let (page, marker) = call.page(owned)?;
    let mut members = vec![shapes::list("Users", page.into_iter().map(|user| shapes::user(call, user, false)))];
    members.extend(shapes::truncated(marker));
    Ok(Some(members))
}

pub fn delete(call: &Call<'_>) -> Answered {
    let named = named(call)?;
    call.require("DeleteUser", &named.resource, &[])?;
    let account = call.account();
    call.change(|iam| {
        let Some(user) = iam.user_named(account, &named.name) else { return Ok(Err(no_such("user", &named.name))) };
        let refusal = if !user.keys.is_empty() {
            Some("Cannot delete entity, must delete access keys first.")
        } else if !user.mfa.is_empty() {
            Some("Cannot delete entity, must delete MFA device first.")
        } else if !user.permissions.attached.is_empty() {
            Some("Cannot delete entity, must detach all policies first.")
        } else if !user.permissions.inline.is_empty() {
            Some("Cannot delete entity, must delete policies first.")
        } else {
            None
        };
        if let Some(message) = refusal {
            return Ok(Err(conflict(message)));
        }
        let name = user.name.clone();
        iam.delete_user(account, &name).map(Ok)
    })??;
    Ok(None)
}

pub fn put_policy(call: &Call<'_>) -> Answered {
    let [_, policy, document] =
        call.texts([("UserName", &USER_NAME), ("PolicyName", &POLICY_NAME), ("PolicyDocument", &DOCUMENT)])?;
    let named = named(call)?;
    call.require("PutUserPolicy", &named.resource, &[])?;
    let iam = call.iam();
    let user = named.find(call, &iam)?;
    let others = user.permissions.inline.iter().filter(|(name, _)| *name != policy);
    let total = others.map(|(_, inline)| length(&inline.document)).sum::<usize>() + length(document);
    if total > MAX_INLINE {
        return Err(limit(format!("Maximum policy size of {MAX_INLINE} bytes exceeded for user {}", named.name)));
    }
    call.change(|iam| iam.put_user_policy(user.account, &user.name, policy, document))?;
    Ok(None)
}

pub fn get_policy(call: &Call<'_>) -> Answered {
    let [_, policy] = call.texts([("UserName", &USER_NAME), ("PolicyName", &POLICY_NAME)])?;
    let named = named(call)?;
    call.require("GetUserPolicy", &named.resource, &[])?;
    let iam = call.iam();
    let inline =
        named.find(call, &iam)?.permissions.inline.get(policy).ok_or_else(|| no_such("user policy", policy))?;
    Ok(Some(vec![
        Member::text("UserName", named.name.as_str()),
        Member::text("PolicyName", policy),
        Member::text("PolicyDocument", shapes::encoded(&inline.document)),
    ]))
}

pub fn delete_policy(call: &Call<'_>) -> Answered {
    let [_, policy] = call.texts([("UserName", &USER_NAME), ("PolicyName", &POLICY_NAME)])?;
    let named = named(call)?;
    call.require("DeleteUserPolicy", &named.resource, &[])?;
    let user = named.existing(call)?;
    call.change(|iam| iam.delete_user_policy(call.account(), &user, policy))?;
    Ok(None)
}

pub fn list_policies(call: &Call<'_>) -> Answered {
    let named = named(call)?;
    call.require("ListUserPolicies", &named.resource, &[])?;
    let iam = call.iam();
    let (page, marker) = call.page(named.find(call, &iam)?.permissions.inline.keys().cloned().collect())?;
    let mut members = vec![shapes::texts("PolicyNames", page)];
    members.extend(shapes::truncated(marker));
    Ok(Some(members))
}

pub fn attach(call: &Call<'_>) -> Answered {
    let [_, policy] = call.texts([("UserName", &USER_NAME), ("PolicyArn", &ARN)])?;
    let named = named(call)?;
    call.require("AttachUserPolicy", &named.resource, &[("iam:PolicyARN", policy)])?;
    let iam = call.iam();
    let user = named.find(call, &iam)?;
    if user.permissions.attached.len() >= MAX_ATTACHED {
        return Err(limit(format!("Cannot exceed quota for PoliciesPerUser: {MAX_ATTACHED}")));
    }
    call.change(|iam| iam.attach_user_policy(user.account, &user.name, policy))?;
    Ok(None)
}

pub fn detach(call: &Call<'_>) -> Answered {
    let [_, policy] = call.texts([("UserName", &USER_NAME), ("PolicyArn", &ARN)])?;
    let named = named(call)?;
    call.require("DetachUserPolicy", &named.resource, &[("iam:PolicyARN", policy)])?;
    let user = named.existing(call)?;
    call.change(|iam| iam.detach_user_policy(call.account(), &user, policy))?;
    Ok(None)
}

pub fn list_attached(call: &Call<'_>) -> Answered {
    let named = named(call)?;
    call.require("ListAttachedUserPolicies", &named.resource, &[])?;
    let iam = call.iam();
    let (page, marker) = call.page(shapes::attached(&named.find(call, &iam)?.permissions.attached))?;
    let mut members = vec![shapes::list("AttachedPolicies", page)];
    members.extend(shapes::truncated(marker));
    Ok(Some(members))
}

fn status(active: bool) -> Member {
    Member::text("Status", if active { "Active" } else { "Inactive" })
}

pub fn create_key(call: &Call<'_>) -> Answered {
    let named = named_or_self(call)?;
    call.require("CreateAccessKey", &named.resource, &[])?;
    let iam = call.iam();
    let user = named.find(call, &iam)?;
    let mut bytes = Zeroizing::new([0_u8; 30]);
    call.state.rng.fill(&mut *bytes);
    let secret = SecretString::from(STANDARD.encode(*bytes));
    let id = key_id(call);
    let key = AccessKey { id: id.clone(), secret: secret.clone(), active: true };
    call.change(|iam| {
        if iam.user(user.account, &user.name).is_some_and(|user| user.keys.len() >= MAX_KEYS) {
            return Ok(Err(limit(format!("Cannot exceed quota for AccessKeysPerUser: {MAX_KEYS}"))));
        }
        iam.create_access_key(user.account, &user.name, key).map(Ok)
    })??;
    Ok(Some(vec![Member::Structure(
        "AccessKey",
        vec![
            Member::text("UserName", user.name.name()),
            Member::text("AccessKeyId", id),
            status(true),
            Member::text("SecretAccessKey", secret.expose_secret()),
            shapes::date("CreateDate", call.state.clock.now()),
        ],
    )]))
}

/// The prefix of the world's long-term keys, and 16 characters.
fn key_id(call: &Call<'_>) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut bytes = [0_u8; 16];
    call.state.rng.fill(&mut bytes);
    "SBUK".chars().chain(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))).collect()
}

/// The user named with a key, or else whose key it is.
fn of_key(call: &Call<'_>) -> Result<(Named, String), StsError> {
    let id = call.text("AccessKeyId", &KEY_ID)?;
    Ok((named_or_self(call)?, id.to_owned()))
}

pub fn update_key(call: &Call<'_>) -> Answered {
    let (named, id) = of_key(call)?;
    let active = match call.params.get("Status") {
        Some("Active") => true,
        Some("Inactive") => false,
        other => {
            let value = other.map_or_else(|| "Value null".to_owned(), |value| format!("Value '{value}'"));
            return Err(StsError::validation(format!(
                "1 validation error detected: {value} at 'status' failed to satisfy constraint: Member must satisfy \
                 enum value set: [Active, Inactive]"
            )));
        }
    };
    call.require("UpdateAccessKey", &named.resource, &[])?;
    let user = named.existing(call)?;
    call.change(|iam| iam.update_access_key(call.account(), &user, &id, active))?;
    Ok(None)
}

pub fn delete_key(call: &Call<'_>) -> Answered {
    let (named, id) = of_key(call)?;
    call.require("DeleteAccessKey", &named.resource, &[])?;
    let user = named.existing(call)?;
    call.change(|iam| iam.delete_access_key(call.account(), &user, &id))?;
    Ok(None)
}

pub fn list_keys(call: &Call<'_>) -> Answered {
    let named = named_or_self(call)?;
    call.require("ListAccessKeys", &named.resource, &[])?;
    let iam = call.iam();
    let user = named.find(call, &iam)?;
    let line = |key: &AccessKey| {
        vec![
            Member::text("UserName", user.name.name()),
            Member::text("AccessKeyId", key.id.as_str()),
            status(key.active),
            shapes::created(call),
        ]
    };
    let (page, marker) = call.page(user.keys.iter().map(line).collect())?;
    let mut members = vec![shapes::list("AccessKeyMetadata", page)];
    members.extend(shapes::truncated(marker));
    Ok(Some(members))
}
