//! `POST /simulate` and `rolegate sandbox explain`: may this one do that, and which statement says so.
//!
//! A [`Question`] names somebody by ARN or by credentials and asks about one action; the [`Answered`] tells what each sort
//! of policy said. Nothing is changed and nobody has to be permitted anything to ask: this is a place to learn.

use std::collections::BTreeMap;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::State;
use super::authorize::{self, Answer, Assumption, Bearer, Denial, Layer, Missed, PolicyType, SessionFacts, Way, Wire};
use super::credentials::{Mint, SessionPolicies};
use super::iam::{Iam, without_scheme};
use super::policy::{
    Context, ContextValue, Decision, Effect, Miss, Policy, PolicyError, PolicyKind, Principal, UserName,
};
use crate::aws::{AccountId, Partition, ProviderArn, RoleArn};

/// What is asked.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The ARN of a user, a role (a session of it), a session, a federated user, an account's root, a SAML or OpenID
    /// provider; or `anonymous`.
    #[serde(default)]
    pub principal: Option<String>,
    /// Instead: credentials made here. Their secret is not asked for, since nothing is done with them.
    #[serde(default)]
    pub credentials: Option<ShownCredentials>,
    /// What is known of the session of a [`principal`](Self::principal).
    #[serde(default)]
    pub session: SessionQuestion,
    /// `service:Name`
    pub action: String,
    /// An ARN, or `*` for actions that have no resource.
    #[serde(default = "everything")]
    pub resource: String,
    /// Condition keys, in place of those that are known otherwise. A list is a key with several values.
    #[serde(default)]
    pub context: BTreeMap<String, OneOrMany>,
    /// A policy for the session, as a document or as its text.
    #[serde(default)]
    pub session_policy: Option<Value>,
    /// ARNs of managed policies for the session.
    #[serde(default)]
    pub session_policy_arns: Vec<String>,
    /// What a call to assume the role in [`resource`](Self::resource) would pass.
    #[serde(default)]
    pub assume: AssumeQuestion,
}

fn everything() -> String {
    "*".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownCredentials {
    pub access_key_id: String,
    #[serde(default)]
    pub session_token: Option<SecretString>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionQuestion {
    /// The name of a role's session, where the ARN does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The ARN of the user who asked for a federated user's session; without it the account's root did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transitive_tag_keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_identity: Option<String>,
    /// Now, where it is not said. Of a user it says that there is a session at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mfa_at: Option<Timestamp>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AssumeQuestion {
    /// `simulated` where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transitive_tag_keys: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_identity: Option<String>,
    /// Whether the call carries a good MFA code.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mfa: bool,
}

/// One value or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    #[error("the question is not the JSON that is expected: {0}")]
    Json(String),
    #[error("say who asks: either `principal` or `credentials`")]
    Who,
    #[error("`{0}` is not the ARN of a user, role, session, federated user, root or provider")]
    Principal(String),
    #[error("there is no user or role {0} in this company")]
    NoSuchPrincipal(String),
    #[error("the access key {0} is not one of this sandbox, or its session token is missing or belongs to another key")]
    Credentials(String),
    #[error("credentials say themselves what is known of their session; leave out `session` and the session policies")]
    SessionOfCredentials,
    #[error("only temporary credentials have session policies, and {0} has none of those")]
    NoSession(String),
    #[error("`{0}` is not an action; write for example s3:GetObject")]
    Action(String),
    #[error("{action} is about a role, and `{resource}` is not the ARN of one")]
    NotARole { action: String, resource: String },
    #[error("{action} is not how {principal} assumes a role; that would be {instead}")]
    WrongWay { action: String, principal: String, instead: &'static str },
    #[error("the session policy is malformed: {0}")]
    SessionPolicy(PolicyError),
    #[error("`{0}` is no managed policy that this account can use")]
    UnknownPolicy(String),
}

impl QuestionError {
    /// A word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Json(_) => "invalid-json",
            Self::Who => "who",
            Self::Principal(_) => "invalid-principal",
            Self::NoSuchPrincipal(_) => "no-such-principal",
            Self::Credentials(_) => "unknown-credentials",
            Self::SessionOfCredentials => "session-of-credentials",
            Self::NoSession(_) => "no-session",
            Self::Action(_) => "invalid-action",
            Self::NotARole { .. } => "not-a-role",
            Self::WrongWay { .. } => "wrong-way",
            Self::SessionPolicy(_) => "malformed-session-policy",
            Self::UnknownPolicy(_) => "unknown-policy",
        }
    }

    /// One of each, for the test that finds all of them in the documentation.
    #[cfg(test)]
    fn all() -> Vec<Self> {
        let text = String::new;
        vec![
            Self::Json(text()),
            Self::Who,
            Self::Principal(text()),
            Self::NoSuchPrincipal(text()),
            Self::Credentials(text()),
            Self::SessionOfCredentials,
            Self::NoSession(text()),
            Self::Action(text()),
            Self::NotARole { action: text(), resource: text() },
            Self::WrongWay { action: text(), principal: text(), instead: "" },
            Self::SessionPolicy(PolicyError::Syntax),
            Self::UnknownPolicy(text()),
        ]
    }
}

/// The answer, as JSON has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// Whoever asked, as GetCallerIdentity would show them.
    pub principal: String,
    pub decision: Outcome,
    /// A sentence.
    pub reason: String,
    /// One for each action that had to be allowed: assuming a role with tags is two.
    pub actions: Vec<AnsweredAction>,
    /// What is odd about the policies that were asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    Allowed,
    ExplicitDeny,
    ImplicitDeny,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnsweredAction {
    pub action: String,
    pub resource: String,
    pub decision: Outcome,
    pub reason: String,
    /// What AWS would add to its refusal, where it adds anything.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub aws_says: String,
    pub policies: Vec<AnsweredLayer>,
    /// The condition keys that policies saw.
    pub context: BTreeMap<String, OneOrMany>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnsweredLayer {
    /// `trust`, `identity`, `boundary` or `session`
    #[serde(rename = "type")]
    pub kind: String,
    pub decision: Outcome,
    /// Whether a policy of this sort had to allow it. A Deny counts in any case.
    pub needed: bool,
    /// All policies of this sort.
    pub asked: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<AnsweredStatement>,
    /// Statements that nearly allowed it, the nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nearly: Vec<AnsweredStatement>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnsweredStatement {
    pub policy: String,
    /// From 0.
    pub index: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    pub effect: String,
    pub text: String,
    /// What kept it from matching.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<AnsweredMiss>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub enum AnsweredMiss {
    Principal,
    Action,
    Resource,
    Condition { operator: String, key: String, wanted: Vec<String>, found: Option<OneOrMany> },
}

impl fmt::Display for AnsweredMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Principal => f.write_str("it names other principals"),
            Self::Action => f.write_str("it is about other actions"),
            Self::Resource => f.write_str("it is about other resources"),
            Self::Condition { operator, key, wanted, found } => {
                write!(f, "{operator} on {key} wants {}", wanted.join(" or "))?;
                match found {
                    None => f.write_str("; the request has no such key"),
                    Some(OneOrMany::One(value)) => write!(f, "; the request says {value}"),
                    Some(OneOrMany::Many(values)) => write!(f, "; the request says {}", values.join(", ")),
                }
            }
        }
    }
}

/// Answers a question about a company. `mint` is there where credentials can be recognised.
///
/// # Errors
/// [`QuestionError`]
pub fn answer(iam: &Iam, mint: Option<&Mint>, question: &Question, now: Timestamp) -> Result<Answered, QuestionError> {
    if !question.action.split_once(':').is_some_and(|(service, name)| !service.is_empty() && !name.is_empty()) {
        return Err(QuestionError::Action(question.action.clone()));
    }
    let bearer = bearer(iam, mint, question, now)?;
    let partition = bearer.principal.partition().unwrap_or_default();
    let region = partition.default_region();
    let wire =
        Wire { now, source_ip: None, secure_transport: true, user_agent: None, referer: None, region: region.as_str() };
    let mut context = wire.context();
    for (key, value) in &question.context {
        match value {
            OneOrMany::One(value) => context.set(key, value),
            OneOrMany::Many(values) => context.set_many(key, values.iter().cloned()),
        }
    }
    let explanation = match way(question, &bearer.principal)? {
        None => authorize::allowed(iam, &bearer, &question.action, &question.resource, &context),
        Some((way, role)) => {
            let asked = &question.assume;
            authorize::assume(
                iam,
                &bearer,
                &Assumption {
                    way,
                    role: &role,
                    session_name: asked.session_name.as_deref().unwrap_or("simulated"),
                    external_id: asked.external_id.as_deref(),
                    tags: &asked.tags,
                    transitive_tag_keys: &asked.transitive_tag_keys,
                    source_identity: asked.source_identity.as_deref(),
                    mfa: asked.mfa,
                    provided_contexts: false,
                    context: usual(iam, &bearer.principal, context),
                },
            )
        }
    };
    let decisive = explanation.denied().or(explanation.answers.last());
    Ok(Answered {
        principal: bearer.principal.to_string(),
        decision: decisive.map_or(Outcome::ImplicitDeny, |answer| Outcome::of(answer.denial)),
        reason: decisive.map(Answer::why).unwrap_or_default(),
        warnings: warnings(iam, &bearer, question),
        actions: explanation.answers.iter().map(AnsweredAction::of).collect(),
    })
}

/// How the action assumes a role, and which; `None` when it does something else.
fn way(question: &Question, principal: &Principal) -> Result<Option<(Way, RoleArn)>, QuestionError> {
    let ways = [Way::Role, Way::Saml, Way::WebIdentity];
    let Some(way) = ways.into_iter().find(|way| way.action().eq_ignore_ascii_case(&question.action)) else {
        return Ok(None);
    };
    let fitting = match principal {
        Principal::SamlProvider(_) => Way::Saml,
        Principal::OidcProvider(_) => Way::WebIdentity,
        Principal::User { .. }
        | Principal::Session { .. }
        | Principal::FederatedUser { .. }
        | Principal::Root { .. }
        | Principal::Anonymous => Way::Role,
    };
    if fitting != way {
        return Err(QuestionError::WrongWay {
            action: way.action().to_owned(),
            principal: principal.to_string(),
            instead: fitting.action(),
        });
    }
    let role = question.resource.parse().map_err(|_| QuestionError::NotARole {
        action: way.action().to_owned(),
        resource: question.resource.clone(),
    })?;
    Ok(Some((way, role)))
}

/// What a provider's message always says, unless the question says otherwise: where it goes.
fn usual(iam: &Iam, principal: &Principal, mut context: Context) -> Context {
    let mut unless_said = |key: &str, value: &str| {
        if context.get(key).is_none() {
            context.set(key, value);
        }
    };
    match principal {
        Principal::SamlProvider(arn) => {
            unless_said("saml:aud", arn.partition().saml_recipient());
            unless_said("saml:doc", &format!("{}/{}", arn.account(), arn.name()));
            unless_said("aws:FederatedProvider", &arn.to_string());
        }
        Principal::OidcProvider(name) => {
            if let Some(provider) = iam.oidc_providers().iter().find(|provider| provider.arn == *name) {
                let audience = provider.client_ids.first().map_or("", String::as_str);
                unless_said(&format!("{}:aud", provider.key_prefix()), audience);
            }
            unless_said("aws:FederatedProvider", name);
        }
        Principal::User { .. }
        | Principal::Session { .. }
        | Principal::FederatedUser { .. }
        | Principal::Root { .. }
        | Principal::Anonymous => {}
    }
    context
}

fn bearer(iam: &Iam, mint: Option<&Mint>, question: &Question, now: Timestamp) -> Result<Bearer, QuestionError> {
    let policies = session_policies(question)?;
    let mut bearer = match (&question.principal, &question.credentials) {
        (Some(text), None) => named(iam, text, &question.session, now)?,
        (None, Some(shown)) => {
            if question.session != SessionQuestion::default() || !policies.is_none() {
                return Err(QuestionError::SessionOfCredentials);
            }
            return of_credentials(iam, mint, shown);
        }
        (Some(_), Some(_)) | (None, None) => return Err(QuestionError::Who),
    };
    if !policies.is_none() {
        let (partition, account) = match (bearer.principal.partition(), bearer.principal.account()) {
            (Some(partition), Some(account)) => (partition, account),
            _ => return Err(QuestionError::NoSession(bearer.principal.to_string())),
        };
        if let Some(arn) = policies.arns.iter().find(|arn| iam.managed(partition, account, arn).is_none()) {
            return Err(QuestionError::UnknownPolicy(arn.clone()));
        }
        match &mut bearer.session {
            Some(session) if !matches!(bearer.principal, Principal::User { .. }) => session.policies = policies,
            Some(_) | None => return Err(QuestionError::NoSession(bearer.principal.to_string())),
        }
    }
    Ok(bearer)
}

fn session_policies(question: &Question) -> Result<SessionPolicies, QuestionError> {
    let inline = match &question.session_policy {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(document) => Some(document.to_string()),
    };
    if let Some(text) = &inline {
        Policy::parse(PolicyKind::Session, text).map_err(QuestionError::SessionPolicy)?;
    }
    Ok(SessionPolicies { inline, arns: question.session_policy_arns.clone() })
}

fn of_credentials(iam: &Iam, mint: Option<&Mint>, shown: &ShownCredentials) -> Result<Bearer, QuestionError> {
    let unknown = || QuestionError::Credentials(shown.access_key_id.clone());
    match &shown.session_token {
        None => {
            let (owner, _) = iam.owner_of_key(&shown.access_key_id).ok_or_else(unknown)?;
            Ok(Bearer::of_owner(&owner))
        }
        Some(token) => {
            let session = mint.and_then(|mint| mint.open(&shown.access_key_id, token.expose_secret()));
            Ok(Bearer::of_session(&session.ok_or_else(unknown)?))
        }
    }
}

/// Somebody by ARN.
fn named(iam: &Iam, text: &str, said: &SessionQuestion, now: Timestamp) -> Result<Bearer, QuestionError> {
    let invalid = || QuestionError::Principal(text.to_owned());
    let gone = |what: &str| QuestionError::NoSuchPrincipal(what.to_owned());
    let facts = || SessionFacts {
        issued_at: said.issued_at.unwrap_or(now),
        mfa_at: said.mfa_at,
        tags: said.tags.clone(),
        transitive_tag_keys: said.transitive_tag_keys.clone(),
        source_identity: said.source_identity.clone(),
        federation: BTreeMap::new(),
        policies: SessionPolicies::default(),
    };
    let alone = |principal| Ok(Bearer { principal, session: None });
    if text == "anonymous" {
        return alone(Principal::Anonymous);
    }
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, service, "", account, resource] = parts[..] else { return Err(invalid()) };
    let partition: Partition = partition.parse().map_err(|_| invalid())?;
    let account: AccountId = account.parse().map_err(|_| invalid())?;
    let session_of = |role: &super::iam::Role, name: &str| {
        let principal =
            Principal::Session { role: role.arn.clone(), role_id: role.role_id.clone(), name: name.to_owned() };
        Bearer { principal, session: Some(facts()) }
    };
    let user = |arn: &str| iam.users().find(|user| user.arn() == arn).ok_or_else(|| gone(arn));
    match (service, resource.split_once('/')) {
        ("iam", None) if resource == "root" => alone(Principal::Root { partition, account }),
        ("iam", Some(("user", _))) => {
            let session = (*said != SessionQuestion::default()).then(facts);
            Ok(Bearer { principal: user(text)?.principal(), session })
        }
        ("iam", Some(("role", _))) => {
            let arn: RoleArn = text.parse().map_err(|_| invalid())?;
            let role = iam.role(&arn).ok_or_else(|| gone(text))?;
            Ok(session_of(role, said.name.as_deref().unwrap_or("simulated")))
        }
        ("sts", Some(("assumed-role", rest))) => {
            let (role, name) = rest.split_once('/').ok_or_else(invalid)?;
            Ok(session_of(iam.role_named(account, role).ok_or_else(|| gone(text))?, name))
        }
        ("sts", Some(("federated-user", name))) => {
            let by = said.by.as_deref().map(user).transpose()?;
            let by: Option<(UserName, String)> = by.map(|user| (user.name.clone(), user.user_id.clone()));
            let principal = Principal::FederatedUser { partition, account, name: name.to_owned(), by };
            Ok(Bearer { principal, session: Some(facts()) })
        }
        ("iam", Some(("saml-provider", _))) => {
            let arn: ProviderArn = text.parse().map_err(|_| invalid())?;
            alone(Principal::SamlProvider(arn))
        }
        ("iam", Some(("oidc-provider", host))) if !without_scheme(host).is_empty() => {
            alone(Principal::OidcProvider(text.to_owned()))
        }
        _ => Err(invalid()),
    }
}

/// What is odd about policies that had a say.
fn warnings(iam: &Iam, bearer: &Bearer, question: &Question) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut look = |name: &str, policy: &Policy| {
        warnings.extend(policy.warnings().into_iter().map(|warning| format!("{name}: {warning}")));
    };
    if let Ok(arn) = question.resource.parse::<RoleArn>()
        && let Some(role) = iam.role(&arn)
    {
        look(&format!("trust policy of {arn}"), &role.trust);
    }
    let permissions = match &bearer.principal {
        Principal::Session { role, .. } => iam.role(role).map(|role| &role.permissions),
        Principal::User { account, name, .. } | Principal::FederatedUser { account, by: Some((name, _)), .. } => {
            iam.user(*account, name).map(|user| &user.permissions)
        }
        Principal::FederatedUser { by: None, .. }
        | Principal::Root { .. }
        | Principal::SamlProvider(_)
        | Principal::OidcProvider(_)
        | Principal::Anonymous => None,
    };
    for (name, inline) in permissions.into_iter().flat_map(|permissions| &permissions.inline) {
        look(name, &inline.policy);
    }
    if let Some(text) = bearer.session.as_ref().and_then(|session| session.policies.inline.as_ref())
        && let Ok(policy) = Policy::parse(PolicyKind::Session, text)
    {
        look("inline session policy", &policy);
    }
    warnings
}

impl Outcome {
    fn of(denial: Option<Denial>) -> Self {
        match denial {
            None => Self::Allowed,
            Some(Denial::Explicit(_)) => Self::ExplicitDeny,
            Some(
                Denial::Implicit(_)
                | Denial::NoSuchRole
                | Denial::OtherPartition
                | Denial::Root
                | Denial::SelfNotNamed
                | Denial::NoSuchBearer,
            ) => Self::ImplicitDeny,
        }
    }
}

impl From<Decision> for Outcome {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Allow => Self::Allowed,
            Decision::ExplicitDeny => Self::ExplicitDeny,
            Decision::ImplicitDeny => Self::ImplicitDeny,
        }
    }
}

impl From<&ContextValue> for OneOrMany {
    fn from(value: &ContextValue) -> Self {
        match value {
            ContextValue::One(value) => Self::One(value.clone()),
            ContextValue::Many(values) => Self::Many(values.clone()),
        }
    }
}

impl AnsweredAction {
    fn of(answer: &Answer) -> Self {
        Self {
            action: answer.action.clone(),
            resource: answer.resource.clone(),
            decision: Outcome::of(answer.denial),
            reason: answer.why(),
            aws_says: answer.reason(),
            policies: answer.layers.iter().map(AnsweredLayer::of).collect(),
            context: answer.context.iter().map(|(key, value)| (key.to_owned(), value.into())).collect(),
        }
    }
}

/// How many statements that nearly matched are told.
const NEARLY: usize = 5;

impl AnsweredLayer {
    fn of(layer: &Layer) -> Self {
        let kind = match layer.kind {
            PolicyType::Trust => "trust",
            PolicyType::Identity => "identity",
            PolicyType::Boundary => "boundary",
            PolicyType::Session => "session",
        };
        let effect = |effect| match effect {
            Effect::Allow => "Allow".to_owned(),
            Effect::Deny => "Deny".to_owned(),
        };
        let mut missed: Vec<&Missed> = layer.missed.iter().collect();
        missed.sort_by_key(|missed| missed.miss.because.len());
        Self {
            kind: kind.to_owned(),
            decision: layer.decision.into(),
            needed: layer.needed,
            asked: layer.policies.clone(),
            by: layer.by.as_ref().map(|by| AnsweredStatement {
                policy: by.policy.clone(),
                index: by.statement.index,
                sid: by.statement.sid.clone(),
                effect: effect(by.effect),
                text: by.text.clone(),
                missing: Vec::new(),
            }),
            nearly: missed
                .into_iter()
                .take(NEARLY)
                .map(|missed| AnsweredStatement {
                    policy: missed.policy.clone(),
                    index: missed.miss.statement.index,
                    sid: missed.miss.statement.sid.clone(),
                    effect: effect(Effect::Allow),
                    text: missed.text.clone(),
                    missing: missed.miss.because.iter().map(AnsweredMiss::of).collect(),
                })
                .collect(),
        }
    }
}

impl AnsweredMiss {
    fn of(miss: &Miss) -> Self {
        match miss {
            Miss::Principal => Self::Principal,
            Miss::Action => Self::Action,
            Miss::Resource => Self::Resource,
            Miss::Condition { operator, key, wanted, found } => Self::Condition {
                operator: operator.clone(),
                key: key.clone(),
                wanted: wanted.clone(),
                found: found.as_ref().map(OneOrMany::from),
            },
        }
    }
}

/// `POST /simulate`
pub(super) async fn endpoint(body: web::Bytes, state: web::Data<State>) -> HttpResponse {
    let answered = serde_json::from_slice(&body)
        .map_err(|error| QuestionError::Json(error.to_string()))
        .and_then(|question| answer(&state.iam.now(), Some(&state.mint), &question, state.clock.now()));
    match answered {
        Ok(answered) => HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(answered),
        Err(error) => HttpResponse::build(StatusCode::BAD_REQUEST)
            .json(json!({ "error": { "code": error.code(), "message": error.to_string() } })),
    }
}

/// `GET /mfa`: what the devices of the company's users show at this moment.
pub(super) async fn mfa_codes(state: web::Data<State>) -> HttpResponse {
    let now = state.clock.now();
    let iam = state.iam.now();
    let devices: Vec<Value> = iam
        .users()
        .flat_map(|user| user.mfa.iter().map(move |device| (user, device)))
        .map(|(user, device)| {
            json!({
                "serial": device.serial,
                "user": user.arn(),
                "code": device.code(now),
                "seconds_left": super::mfa::MfaDevice::seconds_left(now),
            })
        })
        .collect();
    HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(devices)
}

#[cfg(test)]
mod tests;
