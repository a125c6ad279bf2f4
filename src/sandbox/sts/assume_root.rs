//! `AssumeRoot`: a short session of a member account's root, for one task, from the organization's management account.

use super::answer::Member;
use super::error::StsError;
use super::permission;
use super::query::{self, Checks};
use super::session::{self, lifetime};
use super::sigv4::{self, Caller};
use super::{Call, authenticate, ensure_active};
use crate::aws::{AccountId, Partition};
use crate::sandbox::State;
use crate::sandbox::credentials::{Holder, Session, SessionPolicies};

const ACTION: &str = "sts:AssumeRoot";
/// What a root's session may be for.
const TASKS: [&str; 5] = [
    "IAMAuditRootUserCredentials",
    "IAMCreateRootUserPassword",
    "IAMDeleteRootUserCredentials",
    "S3UnlockBucketPolicy",
    "SQSUnlockQueuePolicy",
];
const MAX_SECS: i32 = 900;

pub fn run(state: &State, call: &Call<'_>) -> Result<Vec<Member>, StsError> {
    let who = authenticate(state, &call.http, "sts", call.now)?;
    let params = &call.params;
    let duration_secs = query::integer(params, "DurationSeconds")?;
    let mut checks = Checks::default();
    let target = checks.required(params, "TargetPrincipal", &query::TARGET_PRINCIPAL);
    let task = match params.get("TaskPolicyArn.arn") {
        Some(arn) => {
            checks.text("taskPolicyArn.arn", arn, &query::ARN);
            arn
        }
        None => {
            checks.missing("taskPolicyArn", false);
            ""
        }
    };
    if let Some(seconds) = duration_secs {
        checks.range("DurationSeconds", seconds, 0, MAX_SECS);
    }
    checks.finish()?;
    session::check_arn(task)?;

    let caller = &who.caller;
    let partition = caller.partition();
    let refused = |why: &str| permission::not_for_these_credentials(caller, ACTION, target).because(why);
    if task_of(task, partition).is_none() {
        return Err(StsError::validation(format!("{task} is not a task policy")));
    }
    if call.header("host").is_some_and(sigv4::is_global_host) {
        return Err(refused("only regional endpoints answer this"));
    }
    let is_root = match caller {
        Caller::LongTerm(owner) => owner.is_root(),
        Caller::Session(session) => match &session.holder {
            Holder::Role(_) => false,
            Holder::User { user, .. } if user.is_root() => true,
            Holder::User { .. } | Holder::FederatedUser { .. } | Holder::RootTask { .. } => {
                return Err(refused("these credentials may not"));
            }
        },
    };
    if is_root {
        return Err(refused("the root may not"));
    }
    let account = target_account(target, partition).ok_or_else(|| refused("no account and no root of one"))?;
    let manages = |account: AccountId| state.world.account(account).is_some_and(|account| account.management);
    let member = state.world.account(account).is_some_and(|account| account.partition == partition);
    if !manages(caller.account()) || !member || manages(account) {
        return Err(refused("the caller's account does not manage the other"));
    }
    let root = format!("arn:{partition}:iam::{account}:root");
    let mut context = call.context(who.region.as_str());
    context.set("sts:TaskPolicyArn", task);
    permission::require(state, &state.iam.now(), caller, &context, ACTION, &root)?;
    ensure_active(state, caller.account(), who.region.as_str())?;

    let source_identity = caller.session().and_then(|session| session.source_identity.clone());
    let (issued_at, expires_at) = lifetime(call.now, i64::from(duration_secs.unwrap_or(MAX_SECS)));
    let session = Session {
        holder: Holder::RootTask { partition, account, task: task.to_owned() },
        policies: SessionPolicies::default(),
        source_identity: source_identity.clone(),
        tags: std::collections::BTreeMap::new(),
        transitive_tag_keys: Vec::new(),
        issued_at,
        expires_at,
    };
    let mut members = vec![session::credentials(&state.mint.issue(&session, &*state.rng))];
    members.extend(source_identity.map(|identity| Member::text("SourceIdentity", identity)));
    Ok(members)
}

/// `arn:{partition}:iam::aws:policy/root-task/{task}`.
fn task_of(arn: &str, partition: Partition) -> Option<&'static str> {
    let name = arn.strip_prefix(&format!("arn:{partition}:iam::aws:policy/root-task/"))?;
    TASKS.into_iter().find(|task| *task == name)
}

/// An account's id, or the ARN of its root.
fn target_account(text: &str, partition: Partition) -> Option<AccountId> {
    if let Ok(account) = text.parse() {
        return Some(account);
    }
    text.strip_prefix(&format!("arn:{partition}:iam::"))?.strip_suffix(":root")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_and_targets_are_of_the_partition() {
        let task = "arn:aws:iam::aws:policy/root-task/S3UnlockBucketPolicy";
        assert_eq!(task_of(task, Partition::Aws), Some("S3UnlockBucketPolicy"));
        assert_eq!(task_of(task, Partition::AwsCn), None);
        assert_eq!(task_of("arn:aws:iam::aws:policy/ReadOnlyAccess", Partition::Aws), None);
        let account = "111122223333".parse().unwrap();
        assert_eq!(target_account("111122223333", Partition::Aws), Some(account));
        assert_eq!(target_account("arn:aws:iam::111122223333:root", Partition::Aws), Some(account));
        for bad in ["arn:aws-cn:iam::111122223333:root", "arn:aws:iam::111122223333:user/x", "1111"] {
            assert_eq!(target_account(bad, Partition::Aws), None, "{bad}");
        }
    }
}
