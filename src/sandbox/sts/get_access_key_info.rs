//! `GetAccessKeyInfo`: the account of a key id, whoever's it is.

use super::answer::Member;
use super::error::StsError;
use super::permission;
use super::query::{self, Checks};
use super::{Call, authenticate, ensure_may_ask};
use crate::sandbox::State;
use crate::sandbox::credentials::account_of_key;

const ACTION: &str = "sts:GetAccessKeyInfo";

pub fn run(state: &State, call: &Call<'_>) -> Result<Vec<Member>, StsError> {
    let who = authenticate(state, &call.http, "sts", call.now)?;
    let mut checks = Checks::default();
    let id = checks.required(&call.params, "AccessKeyId", &query::ACCESS_KEY_ID);
    checks.finish()?;
    ensure_may_ask(&who.caller, ACTION)?;
    let iam = state.iam.now();
    permission::require(state, &iam, &who.caller, &call.context(who.region.as_str()), ACTION, "*")?;
    // Long-term keys are known; the account of temporary ones is in their id.
    let account = match iam.owner_of_key(id) {
        Some((owner, _)) => Some(owner.account()),
        None => account_of_key(id).filter(|account| state.world.account(*account).is_some()),
    };
    match account {
        Some(account) => Ok(vec![Member::text("Account", account.as_str())]),
        None => Err(StsError::validation(format!("The access key id {id} does not exist."))),
    }
}
