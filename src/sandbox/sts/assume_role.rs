//! `AssumeRole`: the session of a role for a user, or for a session of another role.
//!
//! The order of checks, as far as AWS lets it be seen: who calls, the form of the parameters, what they say about each
//! other, whether it is allowed, and the length of the session last. Whoever may not assume the role learns nothing of
//! it, not even that it exists.

use super::answer::Member;
use super::error::StsError;
use super::mfa::SecondFactor;
use super::permission;
use super::query::{self, Checks};
use super::session::{self, AskedPolicies, Tags, lifetime, packed_size};
use super::sigv4::{Authenticated, Caller};
use super::{Call, authenticate, ensure_active};
use crate::aws::RoleArn;
use crate::sandbox::State;
use crate::sandbox::authorize::{self, Assumption, Way};
use crate::sandbox::credentials::{AssumedRole, Holder, How, Session};

const ACTION: &str = "sts:AssumeRole";
/// For sessions of sessions, in seconds.
const CHAINED_MAX: i32 = 3600;

pub fn run(state: &State, call: &Call<'_>) -> Result<Vec<Member>, StsError> {
    let who = authenticate(state, &call.http, "sts", call.now)?;
    let caller = &who.caller;
    let params = &call.params;
    let duration_secs = query::integer(params, "DurationSeconds")?;
    let mut checks = Checks::default();
    let role = checks.required(params, "RoleArn", &query::ARN);
    let session_name = checks.required(params, "RoleSessionName", &query::ROLE_SESSION_NAME);
    let policies = AskedPolicies::read(params, &mut checks, &query::LONG_SESSION_POLICY);
    if let Some(seconds) = duration_secs {
        checks.range("DurationSeconds", seconds, 900, 43_200);
    }
    let pairs = Tags::read(params, &mut checks);
    let transitive = Tags::read_transitive(params, &mut checks);
    let external_id = checks.optional(params, "ExternalId", &query::EXTERNAL_ID);
    let factor = SecondFactor::read(params, &mut checks);
    let source_identity = checks.optional(params, "SourceIdentity", &query::SOURCE_IDENTITY);
    let contexts = provided_contexts(params, &mut checks);
    checks.finish()?;

    session::check_arn(role)?;
    let policies = policies.checked()?;
    let passed = Tags::new(pairs, &transitive)?;
    let tags = passed.clone().inheriting(caller.session())?;
    let source_identity = inherited_identity(caller, source_identity)?;
    let iam = state.iam.now();
    let mfa_at = factor.judge(&iam, caller, call.now)?;

    ensure_may_assume(caller, role)?;
    let unknown = || permission::not_for_these_credentials(caller, ACTION, role).because("not the ARN of a role");
    let arn: RoleArn = role.parse().map_err(|_| unknown())?;
    let explanation = authorize::assume(
        &iam,
        &caller.bearer(),
        &Assumption {
            way: Way::Role,
            role: &arn,
            session_name,
            external_id,
            tags: &passed.tags,
            transitive_tag_keys: &passed.transitive,
            source_identity: source_identity.as_deref(),
            mfa: mfa_at.is_some(),
            provided_contexts: contexts,
            context: call.context(who.region.as_str()),
        },
    );
    if !explanation.is_allowed() {
        return Err(permission::assume_refused(state, caller, arn.account(), &explanation));
    }
    let found = iam.role(&arn).ok_or_else(unknown)?;
    ensure_active(state, arn.account(), who.region.as_str())?;

    let chained = matches!(caller, Caller::Session(session) if session.role().is_some());
    let seconds = duration(duration_secs, found.max_session.as_secs(), chained)?;
    session::check_managed(&iam, &policies, arn.partition(), arn.account())?;
    let packed = packed_size(&policies, &tags)?;
    let (issued_at, expires_at) = lifetime(call.now, i64::from(seconds));
    let session = Session {
        holder: Holder::Role(AssumedRole {
            role: arn.clone(),
            role_id: found.role_id.clone(),
            session_name: session_name.to_owned(),
            how: How::Role { chained, origin: origin(&who) },
        }),
        policies,
        source_identity: source_identity.clone(),
        tags: tags.tags,
        transitive_tag_keys: tags.transitive,
        issued_at,
        expires_at,
    };
    let mut members =
        vec![session::assumed_role_user(&session), session::credentials(&state.mint.issue(&session, &*state.rng))];
    members.extend(packed.map(|packed| Member::text("PackedPolicySize", packed.to_string())));
    members.extend(source_identity.map(|identity| Member::text("SourceIdentity", identity)));
    Ok(members)
}

/// `ProvidedContexts`: whether any are passed. None can be good here, since no provider of contexts is known.
fn provided_contexts(params: &query::Params, checks: &mut Checks) -> bool {
    let contexts = params.structures("ProvidedContexts", &["ProviderArn", "ContextAssertion"]);
    checks.count("providedContexts", contexts.len(), 5);
    for (number, [provider, assertion]) in &contexts {
        if let Some(provider) = provider {
            checks.text(&format!("providedContexts.{number}.member.providerArn"), provider, &query::ARN);
        }
        if let Some(assertion) = assertion {
            let name = format!("providedContexts.{number}.member.contextAssertion");
            checks.text(&name, assertion, &query::CONTEXT_ASSERTION);
        }
    }
    !contexts.is_empty()
}

/// A source identity is set once: the same one may be repeated, another may not.
fn inherited_identity(caller: &Caller, asked: Option<&str>) -> Result<Option<String>, StsError> {
    match (caller.session().and_then(|session| session.source_identity.as_deref()), asked) {
        (Some(set), Some(asked)) if set != asked => {
            Err(StsError::validation("The source identity is already set for this assume role session"))
        }
        (Some(set), _) => Ok(Some(set.to_owned())),
        (None, asked) => Ok(asked.map(str::to_owned)),
    }
}

/// Federated users and root tasks may not, whatever policies say.
fn ensure_may_assume(caller: &Caller, role: &str) -> Result<(), StsError> {
    match caller {
        Caller::LongTerm(_) => Ok(()),
        Caller::Session(session) => match session.holder {
            Holder::Role(_) | Holder::User { .. } => Ok(()),
            Holder::FederatedUser { .. } | Holder::RootTask { .. } => {
                Err(permission::not_for_these_credentials(caller, ACTION, role))
            }
        },
    }
}

/// Whoever stood at the beginning of the chain still does.
fn origin(who: &Authenticated) -> Option<crate::sandbox::credentials::Origin> {
    who.caller.session().and_then(Session::origin).cloned()
}

fn duration(asked: Option<i32>, role_max: u32, chained: bool) -> Result<i32, StsError> {
    let role_max = i32::try_from(role_max).unwrap_or(i32::MAX);
    match asked {
        Some(asked) if asked > role_max => {
            Err(StsError::validation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role."))
        }
        Some(asked) if chained && asked > CHAINED_MAX => Err(StsError::validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
        )),
        Some(asked) => Ok(asked),
        None => Ok(3600.min(role_max)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_decides_before_the_chain_does() {
        let message = |result: Result<i32, StsError>| result.unwrap_err().message.unwrap();
        assert_eq!(duration(None, 43_200, false), Ok(3600));
        assert_eq!(duration(Some(43_200), 43_200, false), Ok(43_200));
        assert_eq!(duration(Some(3600), 43_200, true), Ok(3600));
        assert!(message(duration(Some(7201), 7200, true)).contains("MaxSessionDuration"));
        assert!(message(duration(Some(3601), 7200, true)).contains("role chaining"));
    }
}
