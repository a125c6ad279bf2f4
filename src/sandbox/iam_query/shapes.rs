//! How IAM writes what it knows.

use std::collections::BTreeMap;

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Call;
use crate::saml::names::date_time;
use crate::sandbox::iam::{Iam, Managed, Role, User};
use crate::sandbox::sts::Member;

/// Policies travel encoded as in URLs.
const URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub fn encoded(document: &str) -> String {
    utf8_percent_encode(document, URL).to_string()
}

/// `/` or `/teams/payments/`, of `teams/payments/Deploy`.
pub fn path_of(name: &str) -> String {
    name.rfind('/').map_or_else(|| "/".to_owned(), |at| format!("/{}/", &name[..at]))
}

pub fn list(name: &'static str, members: impl IntoIterator<Item = Vec<Member>>) -> Member {
    Member::Structure(name, members.into_iter().map(|members| Member::Structure("member", members)).collect())
}

pub fn texts(name: &'static str, texts: impl IntoIterator<Item = String>) -> Member {
    Member::Structure(name, texts.into_iter().map(|text| Member::text("member", text)).collect())
}

/// `IsTruncated` and, where there is more, `Marker`.
pub fn truncated(marker: Option<String>) -> Vec<Member> {
    let mut members = vec![Member::text("IsTruncated", if marker.is_some() { "true" } else { "false" })];
    members.extend(marker.map(|marker| Member::text("Marker", marker)));
    members
}

fn tags(tags: &BTreeMap<String, String>) -> Option<Member> {
    (!tags.is_empty()).then(|| {
        list("Tags", tags.iter().map(|(key, value)| vec![Member::text("Key", key), Member::text("Value", value)]))
    })
}

fn boundary(arn: Option<&String>) -> Option<Member> {
    arn.map(|arn| {
        Member::Structure(
            "PermissionsBoundary",
            vec![Member::text("PermissionsBoundaryType", "Policy"), Member::text("PermissionsBoundaryArn", arn)],
        )
    })
}

/// Nothing here knows when it was made; everything is as old as the sandbox.
pub fn created(call: &Call<'_>) -> Member {
    date("CreateDate", call.state.began)
}

pub fn date(name: &'static str, at: Timestamp) -> Member {
    Member::text(name, date_time(at))
}

/// A role. Lists leave out tags and boundary, as at AWS.
pub fn role(call: &Call<'_>, iam: &Iam, role: &Role, in_full: bool) -> Vec<Member> {
    let mut members = vec![
        Member::text("Path", path_of(role.arn.role().as_str())),
        Member::text("RoleName", role.arn.role().name()),
        Member::text("RoleId", role.role_id.as_str()),
        Member::text("Arn", role.arn.to_string()),
        created(call),
        Member::text("AssumeRolePolicyDocument", encoded(&iam.shown_trust(role))),
        Member::text("Description", role.description.as_str()),
        Member::text("MaxSessionDuration", role.max_session.as_secs().to_string()),
    ];
    if in_full {
        members.extend(boundary(role.permissions.boundary.as_ref()));
        members.extend(tags(&role.tags));
        members.push(Member::Structure("RoleLastUsed", Vec::new()));
    }
    members
}

pub fn user(call: &Call<'_>, user: &User, in_full: bool) -> Vec<Member> {
    let mut members = vec![
        Member::text("Path", path_of(user.name.as_str())),
        Member::text("UserName", user.name.name()),
        Member::text("UserId", user.user_id.as_str()),
        Member::text("Arn", user.arn()),
        created(call),
    ];
    if in_full {
        members.extend(boundary(user.permissions.boundary.as_ref()));
        members.extend(tags(&user.tags));
    }
    members
}

/// Attached policies: name and ARN.
pub fn attached(arns: &[String]) -> Vec<Vec<Member>> {
    arns.iter()
        .map(|arn| {
            let name = arn.rsplit('/').next().unwrap_or(arn);
            vec![Member::text("PolicyName", name), Member::text("PolicyArn", arn)]
        })
        .collect()
}

pub fn managed(call: &Call<'_>, arn: &str, policy: Managed<'_>) -> Vec<Member> {
    let (name, description) = match policy {
        Managed::Aws(_) => (arn.rsplit('/').next().unwrap_or(arn), ""),
        Managed::Customer(policy) => (policy.name.as_str(), policy.description.as_str()),
    };
    let path = arn.split_once(":policy/").map_or_else(|| "/".to_owned(), |(_, name)| path_of(name));
    vec![
        Member::text("PolicyName", name),
        Member::text("Arn", arn),
        Member::text("Path", path),
        Member::text("DefaultVersionId", "v1"),
        Member::text("IsAttachable", "true"),
        Member::text("Description", description),
        created(call),
    ]
}
