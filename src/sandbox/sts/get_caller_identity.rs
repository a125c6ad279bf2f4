//! `GetCallerIdentity`: whose credentials are these. Needs no permission; no Deny forbids it.

use super::answer::Member;
use super::error::StsError;
use super::{Call, sigv4};
use crate::sandbox::State;

pub fn run(state: &State, call: &Call<'_>) -> Result<Vec<Member>, StsError> {
    let session = sigv4::verify(&call.http, &state.mint, &state.world, call.now)?;
    Ok(vec![
        Member::text("Arn", session.arn()),
        Member::text("UserId", session.user_id()),
        Member::text("Account", session.role.account().as_str()),
    ])
}
