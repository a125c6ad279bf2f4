//! Roles, and the policies on them.

use super::read::{DESCRIPTION, DOCUMENT, PATH, POLICY_NAME, ROLE_NAME};
use super::{Answered, Call, Resource, no_such, shapes};
use crate::aws::{RoleArn, SessionDuration};
use crate::sandbox::iam::{Iam, NewRole, Role};
use crate::sandbox::sts::{ARN, Member, StsError};

/// Characters of a trust policy without white space, and of all inline policies of a role together.
const MAX_TRUST: usize = 4096;
const MAX_INLINE: usize = 10_240;
/// Of AWS.
const MAX_ROLES: usize = 1000;
const MAX_ATTACHED: usize = 20;

/// A role that a call names, existing or not.
struct Named<'a> {
    name: &'a str,
    resource: Resource,
}

/// `RoleName`. What does not exist is asked about under the plain path.
fn named<'a>(call: &Call<'a>) -> Result<Named<'a>, StsError> {
    let name = call.text("RoleName", &ROLE_NAME)?;
    Ok(about(call, name))
}

fn about<'a>(call: &Call<'_>, name: &'a str) -> Named<'a> {
    let iam = call.iam();
    let arn = match iam.role_named(call.account(), name) {
        Some(role) => role.arn.to_string(),
        None => call.arn(&format!("role/{name}")),
    };
    Named { name, resource: Resource { arn, name: format!("role {name}") } }
}

impl Named<'_> {
    fn find<'i>(&self, call: &Call<'_>, iam: &'i Iam) -> Result<&'i Role, StsError> {
        iam.role_named(call.account(), self.name).ok_or_else(|| no_such("role", self.name))
    }

    /// The ARN of the role that has to be there.
    fn existing(&self, call: &Call<'_>) -> Result<RoleArn, StsError> {
        self.find(call, &call.iam()).map(|role| role.arn.clone())
    }
}

/// White space does not count.
fn length(document: &str) -> usize {
    document.chars().filter(|c| !c.is_whitespace()).count()
}

fn check_trust(document: &str) -> Result<(), StsError> {
    if length(document) > MAX_TRUST {
        return Err(limit(format!("Cannot exceed quota for ACLSizePerRole: {MAX_TRUST}")));
    }
    Ok(())
}

pub(super) fn limit(message: impl Into<String>) -> StsError {
    StsError::other(409, "LimitExceeded", message)
}

pub(super) fn conflict(message: &str) -> StsError {
    StsError::other(409, "DeleteConflict", message)
}

fn duration(call: &Call<'_>) -> Result<Option<SessionDuration>, StsError> {
    let Some(text) = call.params.get("MaxSessionDuration") else { return Ok(None) };
    let seconds = text.parse::<i64>().map_err(|_| StsError::malformed_input(None))?;
    let bound = |least, number| {
        StsError::validation(format!(
            "1 validation error detected: Value '{text}' at 'maxSessionDuration' failed to satisfy constraint: Member \
             must have value {least} than or equal to {number}"
        ))
    };
    match u32::try_from(seconds) {
        Ok(seconds @ 3600..=43_200) => {
            SessionDuration::from_secs(seconds).map(Some).map_err(|error| StsError::validation(error.to_string()))
        }
        Ok(0..3600) | Err(_) => Err(bound("greater", 3600)),
        Ok(43_201..) => Err(bound("less", 43_200)),
    }
}

pub fn create(call: &Call<'_>) -> Answered {
    let [name, trust] = call.texts([("RoleName", &ROLE_NAME), ("AssumeRolePolicyDocument", &DOCUMENT)])?;
    let description = call.optional("Description", &DESCRIPTION)?.unwrap_or_default();
    let boundary = call.optional("PermissionsBoundary", &ARN)?;
    let placed = call.placed(name)?;
    let max_session = match duration(call)? {
        Some(asked) => asked,
        None => SessionDuration::from_secs(3600).map_err(|error| StsError::internal(error.to_string()))?,
    };
    let tags = call.tags()?;
    let resource = Resource { arn: call.arn(&format!("role/{placed}")), name: call.arn(&format!("role/{placed}")) };
    let bounded = boundary.map(|arn| ("iam:PermissionsBoundary", arn));
    call.require("CreateRole", &resource, bounded.as_slice())?;
    check_trust(trust)?;
    if call.iam().roles().filter(|role| role.arn.account() == call.account()).count() >= MAX_ROLES {
        return Err(limit(format!("Cannot exceed quota for RolesPerAccount: {MAX_ROLES}")));
    }
    let role_name = placed
        .parse()
        .map_err(|error| StsError::validation(format!("The specified path or name is invalid: {error}")))?;
    let arn = RoleArn::new(call.partition(), call.account(), role_name);
    let new = NewRole {
        arn: arn.clone(),
        description: description.to_owned(),
        max_session,
        tags,
        trust_document: trust.to_owned(),
    };
    call.change(|iam| {
        iam.create_role(new)?;
        iam.set_role_boundary(&arn, boundary)
    })?;
    let iam = call.iam();
    let role = iam.role(&arn).ok_or_else(|| no_such("role", name))?;
    Ok(Some(vec![Member::Structure("Role", shapes::role(call, &iam, role, true))]))
}

pub fn get(call: &Call<'_>) -> Answered {
    let named = named(call)?;
    call.require("GetRole", &named.resource, &[])?;
    let iam = call.iam();
    let role = named.find(call, &iam)?;
    Ok(Some(vec![Member::Structure("Role", shapes::role(call, &iam, role, true))]))
}

pub fn list(call: &Call<'_>) -> Answered {
    let prefix = call.optional("PathPrefix", &PATH)?.unwrap_or("/");
    let arn = call.arn(&format!("role{prefix}"));
    call.require("ListRoles", &Resource { name: arn.clone(), arn }, &[])?;
    let iam = call.iam();
    let owned = iam
        .roles()
        .filter(|role| role.arn.account() == call.account())
        .filter(|role| shapes::path_of(role.arn.role().as_str()).starts_with(prefix))
        .collect();
    let (page, marker) = call.page(owned)?;
    let mut members = vec![shapes::list("Roles", page.into_iter().map(|role| shapes::role(call, &iam, role, false)))];
    members.extend(shapes::truncated(marker));
    Ok(Some(members))
}

pub fn delete(call: &Call<'_>) -> Answered {
    let named = named(call)?;
    call.require("DeleteRole", &named.resource, &[])?;
    let name = named.name;
    let account = call.account();
    // Judged and deleted in one, so that nothing is attached in between.
    call.change(|iam| {
        let Some(role) = iam.role_named(account, name) else { return Ok(Err(no_such("role", name))) };
        if !role.permissions.attached.is_empty() {
            return Ok(Err(conflict("Cannot delete entity, must detach all policies first.")));
        }
        if !role.permissions.inline.is_empty() {
            return Ok(Err(conflict("Cannot delete entity, must delete policies first.")));
        }
        let arn = role.arn.clone();
        iam.delete_role(&arn).map(Ok)
    })??;
    Ok(None)
}

pub fn tag(call: &Call<'_>) -> Answered {
    let named = named(call)?;
    let tags = call.tags()?;
    call.require("TagRole", &named.resource, &[])?;
    let arn = named.existing(call)?;
    call.change(|iam| iam.tag_role(&arn, tags))?;
    Ok(None)
}

pub fn update(call: &Call<'_>) -> Answered {
    let named = named(call)?;
    let max_session = duration(call)?;
    call.require("UpdateRole", &named.resource, &[])?;
    let arn = named.existing(call)?;
    if let Some(max_session) = max_session {
        call.change(|iam| iam.set_max_session(&arn, max_session))?;
    }
    Ok(Some(Vec::new()))
}

pub fn update_trust(call: &Call<'_>) -> Answered {
    let [_, document] = call.texts([("RoleName", &ROLE_NAME), ("PolicyDocument", &DOCUMENT)])?;
    let named = named(call)?;
    call.require("UpdateAssumeRolePolicy", &named.resource, &[])?;
    let arn = named.existing(call)?;
    check_trust(document)?;
    call.change(|iam| iam.update_assume_role_policy(&arn, document))?;
    Ok(None)
}

pub fn put_policy(call: &Call<'_>) -> Answered {
    let [_, policy, document] =
        call.texts([("RoleName", &ROLE_NAME), ("PolicyName", &POLICY_NAME), ("PolicyDocument", &DOCUMENT)])?;
    let named = named(call)?;
    call.require("PutRolePolicy", &named.resource, &[])?;
    let iam = call.iam();
    let role = named.find(call, &iam)?;
    let others = role.permissions.inline.iter().filter(|(name, _)| *name != policy);
    let total = others.map(|(_, inline)| length(&inline.document)).sum::<usize>() + length(document);
    if total > MAX_INLINE {
        return Err(limit(format!("Maximum policy size of {MAX_INLINE} bytes exceeded for role {}", named.name)));
    }
    call.change(|iam| iam.put_role_policy(&role.arn, policy, document))?;
    Ok(None)
}

pub fn get_policy(call: &Call<'_>) -> Answered {
    let [_, policy] = call.texts([("RoleName", &ROLE_NAME), ("PolicyName", &POLICY_NAME)])?;
    let named = named(call)?;
    call.require("GetRolePolicy", &named.resource, &[])?;
    let iam = call.iam();
    let inline =
        named.find(call, &iam)?.permissions.inline.get(policy).ok_or_else(|| no_such("role policy", policy))?;
    Ok(Some(vec![
        Member::text("RoleName", named.name),
        Member::text("PolicyName", policy),
        Member::text("PolicyDocument", shapes::encoded(&inline.document)),
    ]))
}

pub fn delete_policy(call: &Call<'_>) -> Answered {
    let [_, policy] = call.texts([("RoleName", &ROLE_NAME), ("PolicyName", &POLICY_NAME)])?;
    let named = named(call)?;
    call.require("DeleteRolePolicy", &named.resource, &[])?;
    let arn = named.existing(call)?;
    call.change(|iam| iam.delete_role_policy(&arn, policy))?;
    Ok(None)
}

pub fn list_policies(call: &Call<'_>) -> Answered {
    let named = named(call)?;
    call.require("ListRolePolicies", &named.resource, &[])?;
    let iam = call.iam();
    let (page, marker) = call.page(named.find(call, &iam)?.permissions.inline.keys().cloned().collect())?;
    let mut members = vec![shapes::texts("PolicyNames", page)];
    members.extend(shapes::truncated(marker));
    Ok(Some(members))
}

pub fn attach(call: &Call<'_>) -> Answered {
    let [_, policy] = call.texts([("RoleName", &ROLE_NAME), ("PolicyArn", &ARN)])?;
    let named = named(call)?;
    call.require("AttachRolePolicy", &named.resource, &[("iam:PolicyARN", policy)])?;
    let iam = call.iam();
    let role = named.find(call, &iam)?;
    if role.permissions.attached.len() >= MAX_ATTACHED {
        return Err(limit(format!("Cannot exceed quota for PoliciesPerRole: {MAX_ATTACHED}")));
    }
    call.change(|iam| iam.attach_role_policy(&role.arn, policy))?;
    Ok(None)
}

pub fn detach(call: &Call<'_>) -> Answered {
    let [_, policy] = call.texts([("RoleName", &ROLE_NAME), ("PolicyArn", &ARN)])?;
    let named = named(call)?;
    call.require("DetachRolePolicy", &named.resource, &[("iam:PolicyARN", policy)])?;
    let arn = named.existing(call)?;
    call.change(|iam| iam.detach_role_policy(&arn, policy))?;
    Ok(None)
}

pub fn list_attached(call: &Call<'_>) -> Answered {
    let named = named(call)?;
    call.require("ListAttachedRolePolicies", &named.resource, &[])?;
    let iam = call.iam();
    let (page, marker) = call.page(shapes::attached(&named.find(call, &iam)?.permissions.attached))?;
    let mut members = vec![shapes::list("AttachedPolicies", page)];
    members.extend(shapes::truncated(marker));
    Ok(Some(members))
}

pub fn put_boundary(call: &Call<'_>) -> Answered {
    let [_, policy] = call.texts([("RoleName", &ROLE_NAME), ("PermissionsBoundary", &ARN)])?;
    let named = named(call)?;
    call.require("PutRolePermissionsBoundary", &named.resource, &[("iam:PermissionsBoundary", policy)])?;
    let arn = named.existing(call)?;
    call.change(|iam| iam.set_role_boundary(&arn, Some(policy)))?;
    Ok(None)
}

pub fn delete_boundary(call: &Call<'_>) -> Answered {
    let named = named(call)?;
    call.require("DeleteRolePermissionsBoundary", &named.resource, &[])?;
    let arn = named.existing(call)?;
    call.change(|iam| iam.set_role_boundary(&arn, None))?;
    Ok(None)
}
