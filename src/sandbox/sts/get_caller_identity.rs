//! `GetCallerIdentity`: whose credentials are these. Needs no permission; no Deny forbids it.

use super::answer::Member;
use super::error::StsError;
use super::{Call, authenticate};
use crate::sandbox::State;

pub fn run(state: &State, call: &Call<'_>) -> Result<Vec<Member>, StsError> {
    let caller = authenticate(state, &call.http, "sts", call.now)?.caller;
    Ok(vec![
        Member::text("Arn", caller.arn()),
        Member::text("UserId", caller.user_id()),
        Member::text("Account", caller.account().as_str()),
    ])
}
