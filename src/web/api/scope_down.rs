//! What a session is to be limited to, as programs say it.
//!
//! `scope_down` is the whole of it. `policy` and `policy_arns` may stand beside it, as in STS's own request, and mean the
//! same as in it.

use serde_json::Value;

use super::body::Members;
use super::wrong;
use crate::aws::{Budget, InvalidSessionPolicy, PolicyDocument, ScopeDown};
use crate::web::problem::Problem;
use crate::web::scope_down::refused;

/// Takes it from a request.
pub(super) fn read(members: &mut Members) -> Result<ScopeDown, Problem> {
    let policy = policy(members.take("policy"))?;
    let arns = members.texts("policy_arns")?;
    let mut scope = ScopeDown::default();
    if let Some(mut within) = members.object("scope_down")? {
        scope = ScopeDown {
            read_only: within.switch("read_only")?,
            regions: parsed(&within.texts("regions")?)?.into_iter().collect(),
            networks: parsed(&within.texts("networks")?)?.into_iter().collect(),
            from_here: within.switch("from_here")?,
            policy: self::policy(within.take("policy"))?,
            policy_arns: parsed(&within.texts("policy_arns")?)?,
        };
        within.end()?;
    }
    if policy.is_some() && scope.policy.is_some() {
        return Err(wrong("`policy` stands twice: in `scope_down` and beside it."));
    }
    if !arns.is_empty() && !scope.policy_arns.is_empty() {
        return Err(wrong("`policy_arns` stands twice: in `scope_down` and beside it."));
    }
    scope.policy = scope.policy.or(policy);
    scope.policy_arns.extend(parsed(&arns)?);
    // As they were sent: one that is named twice is sent once, and counts twice here.
    if scope.policy_arns.len() > Budget::MAX_ARNS {
        let error = InvalidSessionPolicy::TooMany(scope.policy_arns.len());
        return Err(refused(&error.to_string()).caused_by(error));
    }
    Ok(scope)
}

/// Each text as what its type makes of it.
fn parsed<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    texts: &[String],
) -> Result<Vec<T>, Problem> {
    texts
        .iter()
        .map(|text| text.parse().map_err(|error: T::Err| refused(&error.to_string()).caused_by(error)))
        .collect()
}

/// The inline policy: it may have come as the document or as its text.
fn policy(value: Option<Value>) -> Result<Option<PolicyDocument>, Problem> {
    let text = match value {
        None => return Ok(None),
        Some(Value::String(text)) => text,
        Some(document @ Value::Object(_)) => document.to_string(),
        Some(_) => return Err(refused("an inline session policy is a JSON object, or the text of one")),
    };
    text.parse().map(Some).map_err(|error: InvalidSessionPolicy| refused(&error.to_string()).caused_by(error))
}
