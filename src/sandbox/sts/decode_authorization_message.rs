//! `DecodeAuthorizationMessage`: why a request was refused, for those who may know.
//!
//! STS's own refusals, and those of the other local services, carry such a message in the header
//! `x-sandbox-encoded-authorization-message`. AWS puts them into the texts of a few services, such as EC2, that are not
//! here.

use super::answer::Member;
use super::error::StsError;
use super::permission;
use super::query::{self, Checks};
use super::{Call, authenticate, ensure_may_ask};
use crate::sandbox::State;

const ACTION: &str = "sts:DecodeAuthorizationMessage";

pub fn run(state: &State, call: &Call<'_>) -> Result<Vec<Member>, StsError> {
    let who = authenticate(state, &call.http, "sts", call.now)?;
    let mut checks = Checks::default();
    let encoded = checks.required(&call.params, "EncodedMessage", &query::ENCODED_MESSAGE);
    checks.finish()?;
    ensure_may_ask(&who.caller, ACTION)?;
    let iam = state.iam.now();
    permission::require(state, &iam, &who.caller, &call.context(who.region.as_str()), ACTION, "*")?;
    let message = permission::decode(state, who.caller.account(), encoded)
        .ok_or_else(|| StsError::invalid_authorization_message("made elsewhere, changed, or of another account"))?;
    Ok(vec![Member::text("DecodedMessage", message)])
}
