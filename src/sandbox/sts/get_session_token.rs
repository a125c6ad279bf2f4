//! `GetSessionToken`: temporary credentials for the same user, perhaps with a second factor. No permission is asked.

use super::answer::Member;
use super::error::StsError;
use super::mfa::SecondFactor;
use super::query::{self, Checks};
use super::session::{self, lifetime};
use super::{Call, authenticate, ensure_active, long_term_owner};
use crate::sandbox::State;
use crate::sandbox::credentials::{Holder, Session, SessionPolicies};

pub fn run(state: &State, call: &Call<'_>) -> Result<Vec<Member>, StsError> {
    let who = authenticate(state, &call.http, "sts", call.now)?;
    let params = &call.params;
    let duration_secs = query::integer(params, "DurationSeconds")?;
    let mut checks = Checks::default();
    if let Some(seconds) = duration_secs {
        checks.range("DurationSeconds", seconds, 900, 129_600);
    }
    let factor = SecondFactor::read(params, &mut checks);
    checks.finish()?;

    let owner = long_term_owner(&who.caller, "GetSessionToken")?;
    let mfa_at = factor.judge(&state.iam.now(), &who.caller, call.now)?;
    ensure_active(state, owner.account(), who.region.as_str())?;
    let (issued_at, expires_at) = lifetime(call.now, seconds(duration_secs, owner.is_root()));
    let session = Session {
        holder: Holder::User { user: owner.clone(), mfa_at },
        policies: SessionPolicies::default(),
        source_identity: None,
        tags: std::collections::BTreeMap::new(),
        transitive_tag_keys: Vec::new(),
        issued_at,
        expires_at,
    };
    Ok(vec![session::credentials(&state.mint.issue(&session, &*state.rng))])
}

/// Twelve hours unless asked otherwise. Root has one hour, also when it asks for more.
pub fn seconds(asked: Option<i32>, root: bool) -> i64 {
    let asked = i64::from(asked.unwrap_or(43_200));
    if root { asked.min(3600) } else { asked }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn root_has_an_hour_at_most_and_others_what_they_ask() {
        assert_eq!(seconds(None, false), 43_200);
        assert_eq!(seconds(Some(129_600), false), 129_600);
        assert_eq!(seconds(None, true), 3600);
        assert_eq!(seconds(Some(129_600), true), 3600);
        assert_eq!(seconds(Some(900), true), 900);
    }
}
