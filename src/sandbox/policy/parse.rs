//! The grammar of policies, and the texts IAM refuses a document with.

use super::json::Json;
use super::pattern::{self, Template, glob};
use super::principal::Pattern;
use super::{Actions, Condition, Effect, Policy, PolicyKind, Principals, Resources, Statement};

/// Why a document is no policy of its kind. `Display` is the text IAM answers with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("This policy contains invalid Json")]
    InvalidJson,
    #[error("Syntax errors in policy.")]
    Syntax,
    #[error("The policy must contain a valid version string")]
    Version,
    #[error("Has prohibited field {0}")]
    ProhibitedField(&'static str),
    #[error("Missing required field {0}")]
    MissingField(&'static str),
    #[error("Policy statement must contain resources.")]
    NoResources,
    #[error("Policy statement must contain actions.")]
    NoActions,
    #[error("Policy document should not specify a principal.")]
    PrincipalNotAllowed,
    #[error("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")]
    VendorMissing,
    #[error("AssumeRole policy may only specify STS AssumeRole actions.")]
    NotAnAssumeAction,
    #[error("Invalid principal in policy: \"{kind}\":\"{value}\"")]
    InvalidPrincipal { kind: String, value: String },
    #[error("Statement IDs (SID) in a single policy must be unique.")]
    DuplicateSid,
    #[error("Resource {0} must be in ARN format or \"*\".")]
    NotAnArn(String),
}

use PolicyError::Syntax;

/// What a trust policy may allow.
const ASSUME_ACTIONS: [&str; 6] = [
    "sts:assumerole",
    "sts:assumerolewithsaml",
    "sts:assumerolewithwebidentity",
    "sts:tagsession",
    "sts:setsourceidentity",
    "sts:setcontext",
];

pub(super) fn policy(kind: PolicyKind, text: &str) -> Result<Policy, PolicyError> {
    let json: Json = serde_json::from_str(text).map_err(|_| PolicyError::InvalidJson)?;
    let Json::Object(members) = json else { return Err(Syntax) };
    // Without a version a policy is of the older one, where `${` means nothing.
    let mut variables = false;
    let mut statements = None;
    for (name, value) in members {
        match (name.as_str(), value) {
            ("Version", Json::Text(version)) => match version.as_str() {
                "2012-10-17" => variables = true,
                "2008-10-17" => {}
                _ => return Err(PolicyError::Version),
            },
            ("Version", _) => return Err(PolicyError::Version),
            ("Id", Json::Text(_)) => {}
            ("Statement", Json::List(list)) => statements = Some(list),
            ("Statement", one @ Json::Object(_)) => statements = Some(vec![one]),
            _ => return Err(Syntax),
        }
    }
    let statements = statements.filter(|list| !list.is_empty()).ok_or(Syntax)?;
    let mut sids = Vec::new();
    let statements = statements
        .into_iter()
        .map(|json| statement(kind, variables, json, &mut sids))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Policy { statements })
}

fn statement(kind: PolicyKind, variables: bool, json: Json, sids: &mut Vec<String>) -> Result<Statement, PolicyError> {
    let Json::Object(members) = json.clone() else { return Err(Syntax) };
    let mut own_sid = None;
    let (mut effect, mut found_principals, mut found_actions, mut found_resources) = (None, None, None, None);
    let mut conditions = Vec::new();
    for (name, value) in members {
        match name.as_str() {
            "Sid" => {
                let Json::Text(sid) = value else { return Err(Syntax) };
                if !sid.bytes().all(|b| b.is_ascii_alphanumeric()) {
                    return Err(Syntax);
                }
                if !sid.is_empty() && sids.contains(&sid) {
                    return Err(PolicyError::DuplicateSid);
                }
                own_sid = Some(sid.clone()).filter(|sid| !sid.is_empty());
                sids.push(sid);
            }
            "Effect" => {
                effect = Some(match value {
                    Json::Text(text) if text == "Allow" => Effect::Allow,
                    Json::Text(text) if text == "Deny" => Effect::Deny,
                    _ => return Err(Syntax),
                });
            }
            "Principal" | "NotPrincipal" => match kind {
                PolicyKind::Identity | PolicyKind::Session => return Err(PolicyError::PrincipalNotAllowed),
                PolicyKind::Trust => once(&mut found_principals, principals(name == "NotPrincipal", value)?)?,
            },
            "Action" | "NotAction" => {
                once(&mut found_actions, actions(kind, name == "NotAction", &texts(value).ok_or(Syntax)?)?)?;
            }
            "Resource" | "NotResource" => match kind {
                PolicyKind::Trust if name == "Resource" => return Err(PolicyError::ProhibitedField("Resource")),
                PolicyKind::Trust => return Err(PolicyError::ProhibitedField("NotResource")),
                PolicyKind::Identity | PolicyKind::Session => {
                    let patterns = texts(value)
                        .ok_or(Syntax)?
                        .iter()
                        .map(|text| resource(variables, text))
                        .collect::<Result<Vec<_>, _>>()?;
                    once(&mut found_resources, Resources { inverted: name == "NotResource", patterns })?;
                }
            },
            "Condition" => conditions = condition_block(variables, value)?,
            _ => return Err(Syntax),
        }
    }
    let effect = effect.ok_or(PolicyError::MissingField("Effect"))?;
    let actions = found_actions.ok_or(PolicyError::NoActions)?;
    match kind {
        PolicyKind::Trust if found_principals.is_none() => return Err(PolicyError::MissingField("Principal")),
        PolicyKind::Identity | PolicyKind::Session if found_resources.is_none() => {
            return Err(PolicyError::NoResources);
        }
        PolicyKind::Trust | PolicyKind::Identity | PolicyKind::Session => {}
    }
    Ok(Statement {
        sid: own_sid,
        effect,
        principals: found_principals,
        actions,
        resources: found_resources,
        conditions,
        source: json,
    })
}

/// An element and its `Not…` form exclude each other.
fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), PolicyError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Syntax),
    }
}

/// A lone value equals a list of one; numbers and booleans are read as text.
fn texts(value: Json) -> Option<Vec<String>> {
    fn text(value: Json) -> Option<String> {
        match value {
            Json::Text(text) | Json::Number(text) => Some(text),
            Json::Bool(value) => Some(value.to_string()),
            _ => None,
        }
    }
    match value {
        Json::List(list) if !list.is_empty() => list.into_iter().map(text).collect(),
        one => Some(vec![text(one)?]),
    }
}

fn actions(kind: PolicyKind, inverted: bool, patterns: &[String]) -> Result<Actions, PolicyError> {
    let patterns: Vec<String> = patterns.iter().map(|pattern| pattern.to_ascii_lowercase()).collect();
    for pattern in patterns.iter().filter(|pattern| *pattern != "*") {
        match pattern.split_once(':') {
            Some((vendor, name)) if !vendor.is_empty() && !name.is_empty() => {}
            _ => return Err(PolicyError::VendorMissing),
        }
        if kind == PolicyKind::Trust && !ASSUME_ACTIONS.iter().any(|action| glob(pattern, action)) {
            return Err(PolicyError::NotAnAssumeAction);
        }
    }
    Ok(Actions { inverted, patterns })
}

/// `*`, or an ARN; what is missing of one stands for anything. Variables are possible behind the fifth colon only.
fn resource(variables: bool, text: &str) -> Result<Template, PolicyError> {
    let not_an_arn = || PolicyError::NotAnArn(text.to_owned());
    if text != "*" && !text.starts_with("arn:") {
        return Err(not_an_arn());
    }
    let text = pattern::completed_arn(text);
    if !variables {
        return Ok(Template::plain(&text));
    }
    let fixed: usize = text.splitn(6, ':').take(5).map(|part| part.len() + 1).sum();
    if text != "*" && text.get(..fixed).is_some_and(|head| head.contains("${")) {
        return Err(not_an_arn());
    }
    Template::with_variables(&text).ok_or(Syntax)
}

fn principals(inverted: bool, value: Json) -> Result<Principals, PolicyError> {
    let kinds = match value {
        Json::Text(text) if text == "*" => return Ok(Principals { inverted, patterns: vec![Pattern::Everyone] }),
        Json::Object(kinds) if !kinds.is_empty() => kinds,
        _ => return Err(Syntax),
    };
    let mut patterns = Vec::new();
    for (kind, values) in kinds {
        for value in texts(values).ok_or(Syntax)? {
            patterns.push(Pattern::parse(&kind, &value)?);
        }
    }
    Ok(Principals { inverted, patterns })
}

fn condition_block(variables: bool, value: Json) -> Result<Vec<Condition>, PolicyError> {
    let Json::Object(operators) = value else { return Err(Syntax) };
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        let Json::Object(keys) = keys else { return Err(Syntax) };
        for (key, values) in keys {
            if !key.contains(':') {
                return Err(PolicyError::VendorMissing);
            }
            let values = texts(values).ok_or(Syntax)?;
            conditions.push(Condition::parse(&operator, &key, &values, variables).ok_or(Syntax)?);
        }
    }
    Ok(conditions)
}
