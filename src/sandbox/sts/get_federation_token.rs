//! `GetFederationToken`: a session of a federated user, bounded by the policies of the user who asks and by those sent
//! along. Without the latter it may do nothing.

use super::answer::Member;
use super::error::StsError;
use super::get_session_token::seconds;
use super::permission;
use super::query::{self, Checks};
use super::session::{self, AskedPolicies, Tags, lifetime, packed_size};
use super::{Call, authenticate, ensure_active, long_term_owner};
use crate::sandbox::State;
use crate::sandbox::credentials::{Holder, Session};

pub fn run(state: &State, call: &Call<'_>) -> Result<Vec<Member>, StsError> {
    let who = authenticate(state, &call.http, "sts", call.now)?;
    let params = &call.params;
    let duration_secs = query::integer(params, "DurationSeconds")?;
    let mut checks = Checks::default();
    let name = checks.required(params, "Name", &query::USER_NAME);
    let policies = AskedPolicies::read(params, &mut checks, &query::SESSION_POLICY);
    if let Some(seconds) = duration_secs {
        checks.range("DurationSeconds", seconds, 900, 129_600);
    }
    let pairs = Tags::read(params, &mut checks);
    checks.finish()?;

    let policies = policies.checked()?;
    let tags = Tags::new(pairs, &[])?;
    let owner = long_term_owner(&who.caller, "GetFederationToken")?;
    let iam = state.iam.now();
    let (partition, account) = (owner.partition(), owner.account());
    let arn = format!("arn:{partition}:sts::{account}:federated-user/{name}");
    let mut context = call.context(who.region.as_str());
    context.set_many("aws:TagKeys", tags.tags.keys().cloned());
    for (key, value) in &tags.tags {
        context.set(&format!("aws:RequestTag/{key}"), value);
    }
    permission::require(state, &iam, &who.caller, &context, "sts:GetFederationToken", &arn)?;
    if !tags.is_empty() {
        permission::require(state, &iam, &who.caller, &context, "sts:TagSession", &arn)?;
    }
    ensure_active(state, account, who.region.as_str())?;
    session::check_managed(&iam, &policies, partition, account)?;
    let packed = packed_size(&policies, &tags)?.unwrap_or(0);
    let (issued_at, expires_at) = lifetime(call.now, seconds(duration_secs, owner.is_root()));
    let session = Session {
        holder: Holder::FederatedUser { by: owner.clone(), name: name.to_owned() },
        policies,
        source_identity: None,
        tags: tags.tags,
        transitive_tag_keys: Vec::new(),
        issued_at,
        expires_at,
    };
    Ok(vec![
        session::credentials(&state.mint.issue(&session, &*state.rng)),
        Member::Structure(
            "FederatedUser",
            vec![Member::text("FederatedUserId", session.user_id()), Member::text("Arn", session.arn())],
        ),
        Member::text("PackedPolicySize", packed.to_string()),
    ])
}
