//! Whether callers may do what they ask, and the words in which they are refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Call;
use super::error::StsError;
use super::sigv4::Caller;
use crate::aws::AccountId;
use crate::sandbox::State;
use crate::sandbox::authorize::{self, Answer, Denial, Explanation, Wire};
use crate::sandbox::credentials::{Session, deflated, inflated};
use crate::sandbox::iam::{Iam, User};
use crate::sandbox::policy::{Context, ContextValue, Decision, Principal};

impl Caller {
    /// The caller's session, unless it shows long-term keys.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        match self {
            Self::LongTerm(_) => None,
            Self::Session(session) => Some(session),
        }
    }

    /// The user whose keys or session this is.
    #[must_use]
    pub fn user<'a>(&self, iam: &'a Iam) -> Option<&'a User> {
        match self.bearer().principal {
            Principal::User { account, name, id, .. } => iam.user(account, &name).filter(|user| user.user_id == id),
            Principal::Session { .. }
            | Principal::FederatedUser { .. }
            | Principal::Root { .. }
            | Principal::SamlProvider(_)
            | Principal::OidcProvider(_)
            | Principal::Anonymous => None,
        }
    }
}

impl Call<'_> {
    /// The condition keys that every request has.
    pub fn context(&self, region: &str) -> Context {
        Wire {
            now: self.now,
            source_ip: self.source_ip,
            secure_transport: self.secure_transport,
            user_agent: self.header("user-agent"),
            referer: self.header("referer"),
            region,
        }
        .context()
    }
}

/// Asks whether the caller may do something other than assume a role.
///
/// # Errors
/// `AccessDenied`, naming the policy that was missing or that denied it.
pub fn require(
    state: &State,
    iam: &Iam,
    caller: &Caller,
    context: &Context,
    action: &str,
    resource: &str,
) -> Result<(), StsError> {
    let explanation = authorize::allowed(iam, &caller.bearer(), action, resource, context);
    match explanation.denied() {
        None => Ok(()),
        Some(answer) => Err(denied(state, caller, answer, Some(answer.reason()))),
    }
}

/// What a caller who may not assume a role reads: one text whether the role is not there, trusts others, or the caller's
/// own policies forbid it. Only a Deny is told, and only within the account.
pub fn assume_refused(state: &State, caller: &Caller, role_account: AccountId, explanation: &Explanation) -> StsError {
    let Some(answer) = explanation.denied() else { return StsError::internal("an allowed call was refused") };
    if answer.denial == Some(Denial::Root) {
        return StsError::access_denied("Roles may not be assumed by root accounts.").because(answer.why());
    }
    let told = matches!(answer.denial, Some(Denial::Explicit(_))) && caller.account() == role_account;
    denied(state, caller, answer, told.then(|| answer.reason()))
}

/// `User: … is not authorized to perform: … on resource: …`, with the encoded details for those who may decode them.
fn denied(state: &State, caller: &Caller, answer: &Answer, reason: Option<String>) -> StsError {
    let mut message = format!(
        "User: {} is not authorized to perform: {} on resource: {}",
        caller.arn(),
        answer.action,
        answer.resource
    );
    if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
        message.push(' ');
        message.push_str(&reason);
    }
    StsError::access_denied(message).because(answer.why()).with_details(encode(state, caller, answer))
}

/// A call that no policy can allow.
pub fn not_for_these_credentials(caller: &Caller, action: &str, resource: &str) -> StsError {
    StsError::access_denied(format!(
        "User: {} is not authorized to perform: {action} on resource: {resource}",
        caller.arn()
    ))
    .because("these temporary credentials may not call this operation of STS, whatever policies say")
}

/// Where encoded messages are sealed.
const PLACE: &str = "authorization-message";

/// The message that `DecodeAuthorizationMessage` turns into the account of a decision. As at AWS it is sealed: whoever was
/// refused may hand it on, and only those with `sts:DecodeAuthorizationMessage` in the account read it.
#[must_use]
pub fn encode(state: &State, caller: &Caller, answer: &Answer) -> String {
    let text = json!({ "account": caller.account().as_str(), "message": details(caller, answer).to_string() });
    let packed = deflated(text.to_string().as_bytes());
    STANDARD.encode(state.sealing.seal(PLACE, &packed, &*state.rng))
}

/// The account of a decision again, for the account it was about.
#[must_use]
pub fn decode(state: &State, account: AccountId, encoded: &str) -> Option<String> {
    let sealed = STANDARD.decode(encoded).ok()?;
    let packed = state.sealing.open(PLACE, &sealed).ok()?;
    let text: Value = serde_json::from_slice(&inflated(&packed)?).ok()?;
    let belongs = text.get("account").and_then(Value::as_str) == Some(account.as_str());
    belongs.then(|| text.get("message").and_then(Value::as_str).map(str::to_owned))?
}

/// In the form of AWS: whether it was allowed or denied outright, the statements that matched, and what was asked.
fn details(caller: &Caller, answer: &Answer) -> Value {
    let items = |pairs: Vec<(String, Vec<String>)>| -> Value {
        let items: Vec<Value> = pairs
            .into_iter()
            .map(|(key, values)| {
                let values: Vec<Value> = values.into_iter().map(|value| json!({ "value": value })).collect();
                json!({ "key": key, "values": { "items": values } })
            })
            .collect();
        json!({ "items": items })
    };
    let conditions = answer
        .context
        .iter()
        .map(|(key, value)| {
            let values = match value {
                ContextValue::One(text) => vec![text.clone()],
                ContextValue::Many(list) => list.clone(),
            };
            (key.to_owned(), values)
        })
        .collect();
    let matched: Vec<Value> = answer
        .layers
        .iter()
        .filter(|layer| layer.decision == Decision::ExplicitDeny)
        .filter_map(|layer| layer.by.as_ref())
        .map(|by| {
            json!({
                "statementId": by.statement.sid.clone().unwrap_or_default(),
                "effect": "DENY",
                "sourcePolicyId": by.policy,
                "statement": serde_json::from_str::<Value>(&by.text).unwrap_or(Value::Null),
            })
        })
        .collect();
    json!({
        "allowed": answer.denial.is_none(),
        "explicitDeny": matches!(answer.denial, Some(Denial::Explicit(_))),
        "matchedStatements": { "items": matched },
        "failures": { "items": [] },
        "context": {
            "principal": { "id": caller.user_id(), "arn": caller.arn() },
            "action": answer.action,
            "resource": answer.resource,
            "conditions": items(conditions),
        },
    })
}
