//! The two questions everybody asks the local AWS: may this one assume that role ([`assume`]), and may this one do that
//! ([`allowed`]). Both answer with an [`Explanation`]: yes or no, and which statement of which policy decided.
//!
//! | Policies | Who has them | What they do |
//! | --- | --- | --- |
//! | trust | the role to be assumed | names who may assume it, and when |
//! | identity | the user or role that asks | allows, in the account of whoever asks |
//! | boundary | the same | takes away from what identity policies allow |
//! | session | the session that asks | takes away once more |
//!
//! A Deny that matches wins wherever it stands. Organization policies (SCP, RCP) are not modelled.
//!
//! Who must allow `AssumeRole`, beside that nobody denies it:
//!
//! | Role is in | Trust policy names | Then |
//! | --- | --- | --- |
//! | the same account | the session or federated user | nothing else is asked |
//! | the same account | the user | nothing else is asked |
//! | the same account | the role of the session, or `*` | boundary and session policies must allow, where there are any |
//! | the same account | the account | identity policies must allow, within boundary and session policies |
//! | another account | anything | identity policies must allow, within boundary and session policies |
//!
//! Spec: IAM User Guide, "Policy evaluation logic" and "Cross-account policy evaluation logic".

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;

use super::credentials::{Holder, Origin, Owner, Session, SessionPolicies};
use super::iam::{Iam, Managed, Permissions, Role};
use super::policy::{
    Context, Decision, Effect, Named, NearMiss, Policy, PolicyKind, Principal, Request, StatementRef, UserName,
};
use crate::aws::{AccountId, Partition, RoleArn};

/// Whoever shows credentials, with everything policies may look at.
#[derive(Debug, Clone)]
pub struct Bearer {
    pub principal: Principal,
    /// What temporary credentials add; `None` for long-term keys and for identities without credentials.
    pub session: Option<SessionFacts>,
}

/// What is known about temporary credentials.
#[derive(Debug, Clone)]
pub struct SessionFacts {
    /// When these credentials were made; of a chained session, not when the first of the chain was.
    pub issued_at: Timestamp,
    /// When somebody showed an MFA code, if anybody did.
    pub mfa_at: Option<Timestamp>,
    /// All tags of the session, the inherited ones too.
    pub tags: BTreeMap<String, String>,
    /// Which of them go on to the next session of a chain.
    pub transitive_tag_keys: Vec<String>,
    pub source_identity: Option<String>,
    /// Keys that stay with a federated session: `aws:FederatedProvider`, `saml:sub`, `{issuer}:sub` and the like.
    pub federation: BTreeMap<String, String>,
    pub policies: SessionPolicies,
}

impl Bearer {
    /// Whoever shows credentials of a session.
    #[must_use]
    pub fn of_session(session: &Session) -> Self {
        let mut facts = SessionFacts {
            issued_at: session.issued_at,
            mfa_at: None,
            tags: session.tags.clone(),
            transitive_tag_keys: session.transitive_tag_keys.clone(),
            source_identity: session.source_identity.clone(),
            federation: session.origin().map(federation).unwrap_or_default(),
            policies: session.policies.clone(),
        };
        let principal = match &session.holder {
            Holder::Role(held) => Principal::Session {
                role: held.role.clone(),
                role_id: held.role_id.clone(),
                name: held.session_name.clone(),
            },
            Holder::FederatedUser { by, name } => Principal::FederatedUser {
                partition: by.partition(),
                account: by.account(),
                name: name.clone(),
                by: match by {
                    Owner::User { name, id, .. } => Some((UserName::known(name), id.clone())),
                    Owner::Root { .. } => None,
                },
            },
            Holder::User { user, mfa_at } => {
                facts.mfa_at = *mfa_at;
                owner(user)
            }
            Holder::RootTask { partition, account, task } => {
                facts.policies = SessionPolicies { inline: None, arns: vec![task.clone()] };
                Principal::Root { partition: *partition, account: *account }
            }
        };
        Self { principal, session: Some(facts) }
    }

    /// Whoever shows long-term keys.
    #[must_use]
    pub fn of_owner(known: &Owner) -> Self {
        Self { principal: owner(known), session: None }
    }

    /// Whether the user or role that holds these credentials is still there.
    #[must_use]
    pub fn is_somebody(&self, iam: &Iam) -> bool {
        !matches!(Identities::of(iam, self), Err(Denial::NoSuchBearer))
    }
}

fn owner(known: &Owner) -> Principal {
    match known {
        Owner::User { partition, account, name, id } => {
            Principal::User { partition: *partition, account: *account, name: UserName::known(name), id: id.clone() }
        }
        Owner::Root { partition, account } => Principal::Root { partition: *partition, account: *account },
    }
}

/// The keys that stay with whoever an identity provider vouched for, through chains too.
fn federation(origin: &Origin) -> BTreeMap<String, String> {
    let keys = match origin {
        Origin::Saml { provider, subject, subject_type, name_qualifier } => vec![
            ("aws:FederatedProvider".to_owned(), provider.to_string()),
            ("saml:sub".to_owned(), subject.clone()),
            ("saml:sub_type".to_owned(), subject_type.clone()),
            ("saml:namequalifier".to_owned(), name_qualifier.clone()),
        ],
        Origin::WebIdentity { provider, issuer, subject, audience } => vec![
            ("aws:FederatedProvider".to_owned(), provider.clone()),
            (format!("{issuer}:sub"), subject.clone()),
            (format!("{issuer}:aud"), audience.clone()),
        ],
    };
    keys.into_iter().collect()
}

/// What the wire tells about a request: the keys every request has.
#[derive(Debug, Clone, Copy)]
pub struct Wire<'a> {
    pub now: Timestamp,
    pub source_ip: Option<IpAddr>,
    pub secure_transport: bool,
    pub user_agent: Option<&'a str>,
    pub referer: Option<&'a str>,
    pub region: &'a str,
}

impl Wire<'_> {
    /// The keys of a request that depend on nothing else.
    #[must_use]
    pub fn context(&self) -> Context {
        let mut context = Context::default();
        if let Some(address) = self.source_ip {
            context.set("aws:SourceIp", address.to_canonical().to_string());
        }
        if let Some(agent) = self.user_agent {
            context.set("aws:UserAgent", agent);
        }
        if let Some(referer) = self.referer {
            context.set("aws:Referer", referer);
        }
        context.set("aws:SecureTransport", self.secure_transport.to_string());
        context.set("aws:CurrentTime", instant(self.now));
        context.set("aws:EpochTime", self.now.as_second().to_string());
        context.set("aws:RequestedRegion", self.region);
        context.set("aws:ViaAWSService", "false");
        context.set("aws:PrincipalIsAWSService", "false");
        context
    }
}

/// The way a role is assumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `AssumeRole`, by somebody with credentials.
    Role,
    /// `AssumeRoleWithSAML`
    Saml,
    /// `AssumeRoleWithWebIdentity`
    WebIdentity,
}

impl Way {
    #[must_use]
    pub const fn action(self) -> &'static str {
        match self {
            Self::Role => "sts:AssumeRole",
            Self::Saml => "sts:AssumeRoleWithSAML",
            Self::WebIdentity => "sts:AssumeRoleWithWebIdentity",
        }
    }
}

/// A wish to assume a role, as far as policies look at it.
#[derive(Debug, Clone)]
pub struct Assumption<'a> {
    pub way: Way,
    pub role: &'a RoleArn,
    pub session_name: &'a str,
    pub external_id: Option<&'a str>,
    /// Tags that are passed; inherited ones come from the bearer.
    pub tags: &'a BTreeMap<String, String>,
    pub transitive_tag_keys: &'a [String],
    /// The source identity that is passed; an inherited one comes from the bearer.
    pub source_identity: Option<&'a str>,
    /// Whether the request itself carried a good MFA code.
    pub mfa: bool,
    /// Whether contexts of trusted providers are passed.
    pub provided_contexts: bool,
    /// What else is known: [`Wire::context`], and `saml:*` or the issuer's keys.
    pub context: Context,
}

/// Which sort of policy spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyType {
    Trust,
    Identity,
    Boundary,
    Session,
}

impl PolicyType {
    /// As AWS's refusals write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trust => "role trust policy",
            Self::Identity => "identity-based policy",
            Self::Boundary => "permissions boundary",
            Self::Session => "session policy",
        }
    }
}

/// The answer: one [`Answer`] for each action that had to be allowed.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// Never empty.
    pub answers: Vec<Answer>,
}

/// What was decided about one action.
#[derive(Debug, Clone)]
pub struct Answer {
    pub action: String,
    pub resource: String,
    /// `None`: it is allowed.
    pub denial: Option<Denial>,
    /// Every sort of policy that was asked and what it said, in the order of the table above.
    pub layers: Vec<Layer>,
    /// What the policies saw.
    pub context: Context,
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// A matching Deny in a policy of this sort.
    Explicit(PolicyType),
    /// No policy of this sort allows it, and one had to.
    Implicit(PolicyType),
    NoSuchRole,
    /// Credentials of one partition mean nothing in another.
    OtherPartition,
    /// `Roles may not be assumed by root accounts.`
    Root,
    /// The trust policy has to name a role that assumes itself; allowing its account is not enough.
    SelfNotNamed,
    /// The user or role the credentials belong to is gone.
    NoSuchBearer,
}

/// What policies of one sort said together.
#[derive(Debug, Clone)]
pub struct Layer {
    pub kind: PolicyType,
    pub decision: Decision,
    /// Whether it had to allow; a Deny counts in any case.
    pub needed: bool,
    /// The statement that decided, if one did.
    pub by: Option<Deciding>,
    /// The names of all policies of this sort that were asked.
    pub policies: Vec<String>,
    /// Where nothing matched: statements that nearly allowed it, the nearest first.
    pub missed: Vec<Missed>,
    /// How the trust policy names the bearer.
    pub named: Option<Named>,
}

/// A statement that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deciding {
    /// The name or the ARN of the policy.
    pub policy: String,
    pub statement: StatementRef,
    pub effect: Effect,
    /// The statement as JSON.
    pub text: String,
}

/// A statement that nearly matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    pub policy: String,
    pub miss: NearMiss,
    pub text: String,
}

impl Explanation {
    /// Whether every action is allowed.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.denied().is_none()
    }

    /// The first action that is not allowed: the one a refusal names.
    #[must_use]
    pub fn denied(&self) -> Option<&Answer> {
        self.answers.iter().find(|answer| answer.denial.is_some())
    }
}

impl Answer {
    /// What AWS adds to a refusal where it says why: `with an explicit deny in a session policy`, `because no
    /// identity-based policy allows the s3:GetObject action`. Empty when it is allowed or AWS says nothing.
    #[must_use]
    pub fn reason(&self) -> String {
        match self.denial {
            Some(Denial::Explicit(PolicyType::Trust)) => "with an explicit deny in the role trust policy".to_owned(),
            Some(Denial::Explicit(kind)) => {
                let article = if kind == PolicyType::Identity { "an" } else { "a" };
                format!("with an explicit deny in {article} {}", kind.name())
            }
            Some(Denial::Implicit(kind)) => {
                format!("because no {} allows the {} action", kind.name(), self.action)
            }
            Some(
                Denial::NoSuchRole
                | Denial::OtherPartition
                | Denial::Root
                | Denial::SelfNotNamed
                | Denial::NoSuchBearer,
            )
            | None => String::new(),
        }
    }

    /// The true reason in a sentence, for logs.
    #[must_use]
    pub fn why(&self) -> String {
        let by = self
            .layers
            .iter()
            .find(|layer| layer.decision == Decision::ExplicitDeny)
            .and_then(|layer| layer.by.as_ref())
            .map(|by| format!(" (`{}`, statement {})", by.policy, by.statement.index))
            .unwrap_or_default();
        match self.denial {
            None => format!("{} is allowed", self.action),
            Some(Denial::Explicit(kind)) => {
                format!("{} is denied by a statement of a {}{by}", self.action, kind.name())
            }
            Some(Denial::Implicit(kind)) => format!("no statement of a {} allows {}", kind.name(), self.action),
            Some(Denial::NoSuchRole) => "there is no such role".to_owned(),
            Some(Denial::OtherPartition) => "the role is in another partition".to_owned(),
            Some(Denial::Root) => "the root of an account may not assume roles".to_owned(),
            Some(Denial::SelfNotNamed) => "the role may assume itself only if its trust policy names it".to_owned(),
            Some(Denial::NoSuchBearer) => "the user or role of these credentials is gone".to_owned(),
        }
    }
}

/// May `bearer` assume a role?
///
/// Asks for each action the call amounts to: the way itself, `sts:TagSession` when tags are passed or inherited,
/// `sts:SetSourceIdentity` when a source identity is, `sts:SetContext` when contexts are. All must be allowed.
///
/// For [`Way::Saml`] and [`Way::WebIdentity`] the bearer is the provider ([`Principal::SamlProvider`],
/// [`Principal::OidcProvider`]) without a session, and only the trust policy is asked.
#[must_use]
pub fn assume(iam: &Iam, bearer: &Bearer, asked: &Assumption<'_>) -> Explanation {
    let session = bearer.session.as_ref();
    let tagged = !asked.tags.is_empty()
        || !asked.transitive_tag_keys.is_empty()
        || session.is_some_and(|session| !session.transitive_tag_keys.is_empty());
    let identified =
        asked.source_identity.is_some() || session.is_some_and(|session| session.source_identity.is_some());
    let role = iam.role(asked.role);
    let context = assume_context(iam, bearer, asked, role);
    let actions = [
        (true, asked.way.action()),
        (tagged, "sts:TagSession"),
        (identified, "sts:SetSourceIdentity"),
        (asked.provided_contexts, "sts:SetContext"),
    ];
    let answers = actions
        .into_iter()
        .filter(|(needed, _)| *needed)
        .map(|(_, action)| {
            let (denial, layers) = may_assume(iam, bearer, asked.role, role, action, &context);
            Answer {
                action: action.to_owned(),
                resource: asked.role.to_string(),
                denial,
                layers,
                context: context.clone(),
            }
        })
        .collect();
    Explanation { answers }
}

/// May `bearer` do this?
///
/// `context` is what the service knows: [`Wire::context`] and its own keys, such as `s3:prefix` or `aws:ResourceTag/…`.
/// The bearer's keys are added here. `resource` is an ARN, or `*` for actions that have no resource.
///
/// A role's session may do what its role's policies allow, within the boundary and the session policies. A user's
/// session may do what the user may. A federated user may do what both the user who made the session and the session
/// policies allow: without session policies nothing. The root of an account may do everything.
#[must_use]
pub fn allowed(iam: &Iam, bearer: &Bearer, action: &str, resource: &str, context: &Context) -> Explanation {
    let mut whole = bearer_context(iam, bearer, instant_of(context));
    whole.extend(context.clone());
    let request = Request { principal: &bearer.principal, action, resource: Some(resource), context: &whole };
    let (denial, layers) = match Identities::of(iam, bearer) {
        Err(denial) => (Some(denial), Vec::new()),
        Ok(known) => {
            let layers = known.ask(iam, bearer, &request, Needs::ALL);
            (decide(&layers), layers)
        }
    };
    let answer = Answer { action: action.to_owned(), resource: resource.to_owned(), denial, layers, context: whole };
    Explanation { answers: vec![answer] }
}

/// An explicit deny anywhere, else the first layer that had to allow and did not.
fn decide(layers: &[Layer]) -> Option<Denial> {
    layers
        .iter()
        .find(|layer| layer.decision == Decision::ExplicitDeny)
        .map(|layer| Denial::Explicit(layer.kind))
        .or_else(|| {
            layers
                .iter()
                .find(|layer| layer.needed && layer.decision != Decision::Allow)
                .map(|layer| Denial::Implicit(layer.kind))
        })
}

fn may_assume(
    iam: &Iam,
    bearer: &Bearer,
    arn: &RoleArn,
    role: Option<&Role>,
    action: &str,
    context: &Context,
) -> (Option<Denial>, Vec<Layer>) {
    let principal = &bearer.principal;
    if matches!(principal, Principal::Root { .. }) {
        return (Some(Denial::Root), Vec::new());
    }
    if principal.partition().is_some_and(|partition| partition != arn.partition()) {
        return (Some(Denial::OtherPartition), Vec::new());
    }
    let resource = arn.to_string();
    let request = Request { principal, action, resource: Some(&resource), context };
    let trust = role.map(|role| {
        let name = format!("trust policy of {}", role.arn);
        layer(PolicyType::Trust, true, &request, [(name, Said::Policy(&role.trust))])
    });
    let named = trust.as_ref().and_then(|trust| trust.named);
    let mut layers: Vec<Layer> = trust.into_iter().collect();
    let mut denial = None;
    match principal {
        // Nobody's policies speak for identities from outside.
        Principal::SamlProvider(_) | Principal::OidcProvider(_) | Principal::Anonymous => {}
        Principal::User { .. }
        | Principal::Session { .. }
        | Principal::FederatedUser { .. }
        | Principal::Root { .. } => {
            let same_account = principal.account() == Some(arn.account());
            let needs = match named {
                Some(Named::Exactly) if same_account => Needs::NONE,
                Some(Named::Role | Named::Everyone) if same_account => Needs::LIMITS,
                Some(_) | None => Needs::ALL,
            };
            match Identities::of(iam, bearer) {
                Err(gone) => denial = Some(gone),
                Ok(known) => layers.extend(known.ask(iam, bearer, &request, needs)),
            }
        }
    }
    if denial.is_none() {
        denial = if role.is_none() { Some(Denial::NoSuchRole) } else { decide(&layers) };
    }
    let itself = matches!(principal, Principal::Session { role, .. } if role == arn);
    if denial.is_none() && itself && !matches!(named, Some(Named::Role | Named::Exactly)) {
        denial = Some(Denial::SelfNotNamed);
    }
    (denial, layers)
}

/// Which sorts of policy must allow on the side of whoever asks.
#[derive(Debug, Clone, Copy)]
struct Needs {
    identity: bool,
    limits: bool,
}

impl Needs {
    const ALL: Self = Self { identity: true, limits: true };
    /// Boundary and session policies, but no identity policy.
    const LIMITS: Self = Self { identity: false, limits: true };
    const NONE: Self = Self { identity: false, limits: false };
}

/// Whose policies speak for a bearer.
struct Identities<'a> {
    partition: Partition,
    account: AccountId,
    /// `None` for an account's root, to whom no policy has to allow anything.
    permissions: Option<&'a Permissions>,
    /// Without session policies there is nothing this bearer may do.
    needs_session_policy: bool,
}

impl<'a> Identities<'a> {
    fn of(iam: &'a Iam, bearer: &Bearer) -> Result<Self, Denial> {
        let known = |partition: Partition, account: AccountId, permissions, needs_session_policy| {
            Ok(Self { partition, account, permissions, needs_session_policy })
        };
        let user = |account: AccountId, name: &UserName, id: &String| {
            iam.user(account, name).filter(|user| user.user_id == *id).ok_or(Denial::NoSuchBearer)
        };
        match &bearer.principal {
            Principal::Root { partition, account } => known(*partition, *account, None, false),
            Principal::User { partition, account, name, id } => {
                known(*partition, *account, Some(&user(*account, name, id)?.permissions), false)
            }
            Principal::Session { role, role_id, .. } => {
                let found = iam.role_of_session(role, role_id).ok_or(Denial::NoSuchBearer)?;
                known(role.partition(), role.account(), Some(&found.permissions), false)
            }
            Principal::FederatedUser { partition, account, by: Some((name, id)), .. } => {
                known(*partition, *account, Some(&user(*account, name, id)?.permissions), true)
            }
            Principal::FederatedUser { partition, account, by: None, .. } => known(*partition, *account, None, true),
            Principal::SamlProvider(_) | Principal::OidcProvider(_) | Principal::Anonymous => {
                Err(Denial::Implicit(PolicyType::Identity))
            }
        }
    }

    /// What the policies of the bearer say, one layer for each sort there is.
    fn ask(&self, iam: &Iam, bearer: &Bearer, request: &Request<'_>, needs: Needs) -> Vec<Layer> {
        let managed = |arn: &String| {
            let found = iam.managed(self.partition, self.account, arn);
            (arn.clone(), found.map_or(Said::Gone, Said::Managed))
        };
        let mut layers = Vec::new();
        if let Some(permissions) = self.permissions {
            let inline = permissions.inline.iter().map(|(name, inline)| (name.clone(), Said::Policy(&inline.policy)));
            let attached = permissions.attached.iter().map(managed);
            layers.push(layer(PolicyType::Identity, needs.identity, request, inline.chain(attached)));
            if let Some(boundary) = &permissions.boundary {
                layers.push(layer(PolicyType::Boundary, needs.limits, request, [managed(boundary)]));
            }
        }
        let none = SessionPolicies::default();
        let policies = bearer.session.as_ref().map_or(&none, |session| &session.policies);
        if !policies.is_none() || self.needs_session_policy {
            let parsed = policies.inline.as_ref().map(|text| Policy::parse(PolicyKind::Session, text));
            let inline = parsed.as_ref().map(|parsed| {
                let said = parsed.as_ref().map_or(Said::Gone, Said::Policy);
                ("inline session policy".to_owned(), said)
            });
            let attached = policies.arns.iter().map(managed);
            layers.push(layer(PolicyType::Session, needs.limits, request, inline.into_iter().chain(attached)));
        }
        layers
    }
}

/// A policy to ask.
#[derive(Clone, Copy)]
enum Said<'a> {
    Policy(&'a Policy),
    Managed(Managed<'a>),
    /// It was there once; it allows nothing.
    Gone,
}

/// Asks policies of one sort: any Deny, else any Allow.
fn layer<'a>(
    kind: PolicyType,
    needed: bool,
    request: &Request<'_>,
    policies: impl IntoIterator<Item = (String, Said<'a>)>,
) -> Layer {
    let mut layer = Layer {
        kind,
        decision: Decision::ImplicitDeny,
        needed,
        by: None,
        policies: Vec::new(),
        missed: Vec::new(),
        named: None,
    };
    for (name, said) in policies {
        layer.policies.push(name.clone());
        let policy = match said {
            Said::Policy(policy) => policy,
            Said::Managed(managed) => managed.policy(),
            Said::Gone => continue,
        };
        let verdict = policy.decide(request);
        let stronger = match (layer.decision, verdict.decision) {
            (Decision::ExplicitDeny, _) | (_, Decision::ImplicitDeny) | (Decision::Allow, Decision::Allow) => false,
            (_, Decision::ExplicitDeny) | (Decision::ImplicitDeny, Decision::Allow) => true,
        };
        if stronger {
            layer.decision = verdict.decision;
            layer.named = verdict.named;
            layer.by = verdict.by.map(|statement| Deciding {
                policy: name.clone(),
                effect: policy.effect(statement.index).unwrap_or(Effect::Deny),
                text: policy.statement_text(statement.index),
                statement,
            });
        }
        if layer.decision == Decision::ImplicitDeny {
            layer.missed.extend(policy.near_misses(request).into_iter().map(|miss| Missed {
                policy: name.clone(),
                text: policy.statement_text(miss.statement.index),
                miss,
            }));
        }
    }
    if layer.decision != Decision::ImplicitDeny {
        layer.missed.clear();
    }
    layer
}

/// Keys that come from who asks and with which credentials.
fn bearer_context(iam: &Iam, bearer: &Bearer, now: Option<Timestamp>) -> Context {
    let mut context = Context::default();
    let principal = &bearer.principal;
    if let Some(arn) = principal.principal_arn() {
        context.set("aws:PrincipalArn", arn);
    }
    if let Some(account) = principal.account() {
        context.set("aws:PrincipalAccount", account.as_str());
    }
    if let Some(kind) = principal.kind() {
        context.set("aws:PrincipalType", kind);
    }
    if let Some(id) = principal.user_id() {
        context.set("aws:userid", id);
    }
    let tags = match principal {
        Principal::User { account, name, .. } => {
            context.set("aws:username", name.name());
            iam.user(*account, name).map(|user| &user.tags)
        }
        Principal::Session { role, .. } => iam.role(role).map(|role| &role.tags),
        Principal::FederatedUser { account, by: Some((name, _)), .. } => {
            iam.user(*account, name).map(|user| &user.tags)
        }
        Principal::FederatedUser { by: None, .. }
        | Principal::Root { .. }
        | Principal::SamlProvider(_)
        | Principal::OidcProvider(_)
        | Principal::Anonymous => None,
    };
    for (key, value) in tags.into_iter().flatten() {
        context.set(&format!("aws:PrincipalTag/{key}"), value);
    }
    if let Some(session) = &bearer.session {
        for (key, value) in &session.tags {
            context.set(&format!("aws:PrincipalTag/{key}"), value);
        }
        context.set("aws:TokenIssueTime", instant(session.issued_at));
        context.set("aws:MultiFactorAuthPresent", session.mfa_at.is_some().to_string());
        if let (Some(at), Some(now)) = (session.mfa_at, now) {
            context.set("aws:MultiFactorAuthAge", now.duration_since(at).as_secs().max(0).to_string());
        }
        if let Some(identity) = &session.source_identity {
            context.set("aws:SourceIdentity", identity);
        }
        for (key, value) in &session.federation {
            context.set(key, value);
        }
    }
    context
}

/// Everything a trust policy may look at.
fn assume_context(iam: &Iam, bearer: &Bearer, asked: &Assumption<'_>, role: Option<&Role>) -> Context {
    let mut context = bearer_context(iam, bearer, instant_of(&asked.context));
    context.extend(asked.context.clone());
    context.set("sts:RoleSessionName", asked.session_name);
    if let Some(id) = asked.external_id {
        context.set("sts:ExternalId", id);
    }
    let session = bearer.session.as_ref();
    let inherited_identity = session.and_then(|session| session.source_identity.as_deref());
    if let Some(identity) = asked.source_identity.or(inherited_identity) {
        context.set("sts:SourceIdentity", identity);
    }
    let inherited: BTreeMap<&String, &String> = session
        .map(|session| session.transitive_tag_keys.iter().filter_map(|key| session.tags.get_key_value(key)).collect())
        .unwrap_or_default();
    let tags: BTreeMap<&String, &String> =
        inherited.iter().map(|(key, value)| (*key, *value)).chain(asked.tags).collect();
    for (key, value) in &tags {
        context.set(&format!("aws:RequestTag/{key}"), *value);
        // Identities from outside have no tags but these.
        if asked.way != Way::Role {
            context.set(&format!("aws:PrincipalTag/{key}"), *value);
        }
    }
    context.set_many("aws:TagKeys", tags.keys().map(ToString::to_string));
    context.set_many("sts:TransitiveTagKeys", asked.transitive_tag_keys.iter().cloned());
    context.set("aws:ResourceAccount", asked.role.account().as_str());
    let role_tags = role.into_iter().flat_map(|role| &role.tags);
    // Whoever carries a tag through a chain carries it into the resource's tags too.
    for (key, value) in role_tags.chain(inherited.iter().map(|(key, value)| (*key, *value))) {
        context.set(&format!("aws:ResourceTag/{key}"), value);
        context.set(&format!("iam:ResourceTag/{key}"), value);
    }
    if asked.mfa {
        context.set("aws:MultiFactorAuthPresent", "true");
        context.set("aws:MultiFactorAuthAge", "0");
    }
    context
}

/// The moment a context was made for.
fn instant_of(context: &Context) -> Option<Timestamp> {
    context.one("aws:CurrentTime")?.parse().ok()
}

/// Whole seconds, as keys hold them.
fn instant(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

#[cfg(test)]
mod tests;
