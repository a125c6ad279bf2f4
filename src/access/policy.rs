//! A catalog made ready for deciding.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use regex::Regex;

use super::decision::{Decision, Match, Standing};
use super::index::{ConditionId, Index};
use super::means::Means;
use super::permit::{Limit, Terms};
use super::role_set::RoleSet;
use super::{OmittedTag, Permit, Scope, SessionTag};
use crate::aws::{
    AccountId, CannotCompose, FederatedName, Region, RoleName, ScopeDown, SessionDuration, SessionName, Source,
    SourceIdentity,
};
use crate::catalog::{
    Account, AccountSelector, Attribute, Catalog, Grant, Method, Role, RoleId, RoleSelector, Rule, TagSelector,
    TagSource, Tags, Template, is_tag_value,
};
use crate::identity::{ConnectorId, Demand, Groups, Unmet, VerifiedIdentity};

/// A catalog compiled for deciding. Cheap to clone and to share.
#[derive(Debug, Clone)]
pub struct Policy(Arc<Compiled>);

#[derive(Debug)]
pub(super) struct Compiled {
    catalog: Arc<Catalog>,
    roles: Vec<PlacedRole>,
    positions: HashMap<RoleId, usize>,
    by_account: HashMap<AccountId, RoleSet>,
    by_name: HashMap<RoleName, RoleSet>,
    rules: Vec<CompiledRule>,
    /// Which rule each condition belongs to.
    rule_of: Vec<u32>,
    /// The conditions, by attribute, in a fixed order.
    indexes: Vec<(Attribute, Index)>,
}

/// A role with the account it is in.
#[derive(Debug)]
pub(super) struct PlacedRole {
    pub role: Role,
    pub account: Account,
}

#[derive(Debug)]
struct CompiledRule {
    rule: Rule,
    conditions: std::ops::Range<u32>,
    /// What its grants select whoever asks.
    fixed: RoleSet,
    filled: Vec<FilledGrant>,
}

/// A grant that is filled from what a condition captured.
#[derive(Debug)]
struct FilledGrant {
    /// The condition that captures.
    condition: ConditionId,
    account: Option<Template>,
    role: Option<Template>,
    /// What everything in the grant that is not filled selects.
    within: RoleSet,
}

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct Asked {
    pub account: AccountId,
    pub role: RoleName,
    /// `None`: the role's default.
    pub duration: Option<SessionDuration>,
    /// What the token that asks may be used for; everything, for somebody in a browser.
    pub scope: Scope,
    /// What the session is to be limited to, beside what role and rule limit it to.
    pub scope_down: ScopeDown,
    /// Where it is asked for, as far as that is known.
    pub address: Option<IpAddr>,
    /// Where STS is to be called; `None`: where the catalog says.
    pub region: Option<Region>,
}

impl Asked {
    /// A role as the catalog has it, asked for by its person.
    #[must_use]
    pub fn role(account: AccountId, role: RoleName) -> Self {
        Self {
            account,
            role,
            duration: None,
            scope: Scope::FULL,
            scope_down: ScopeDown::default(),
            address: None,
            region: None,
        }
    }
}

/// Why there is no permit. The codes are stable: the audit log keeps them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("connector `{connector}` is no longer in the catalog")]
    ConnectorGone { connector: ConnectorId },
    #[error("connector `{connector}` is disabled")]
    ConnectorDisabled { connector: ConnectorId },
    #[error("there is no role {role} in the catalog")]
    NoSuchRole { role: RoleId },
    #[error("no rule grants {role} to this person{}", if *groups_incomplete { " by the groups that are known" } else { "" })]
    NotGranted { role: RoleId, groups_incomplete: bool },
    /// The person may use it; the token was made for less.
    #[error("the token may not be used for {role}: it is limited to {}", if *read_only { "reading" } else { "other roles" })]
    OutOfScope { role: RoleId, read_only: bool },
    /// The rules grant it, and the role asks for more than this sign-in was: one that meets the demand may have it.
    #[error("{role} asks for a person recognised {demand}: {unmet}")]
    StepUp { role: RoleId, unmet: Unmet, demand: Box<Demand> },
    /// They may use it, and what the session is to be limited to cannot be said in one session policy.
    #[error("a session of {role} cannot be limited like this: {why}")]
    Limits { role: RoleId, why: CannotCompose },
    /// AWS takes no session policy for the role's method.
    #[error("a session of {role} cannot be limited: AWS takes no session policy for the session of an IAM user")]
    NoSessionPolicy { role: RoleId },
    #[error("the session at the identity provider ends at {ends}, too soon for credentials to live 15 minutes")]
    IdpSessionEnding { ends: Timestamp },
}

impl Denied {
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ConnectorGone { .. } => "connector-gone",
            Self::ConnectorDisabled { .. } => "connector-disabled",
            Self::NoSuchRole { .. } => "no-such-role",
            Self::NotGranted { .. } => "not-granted",
            Self::OutOfScope { .. } => "token-scope",
            Self::StepUp { unmet, .. } => unmet.code(),
            Self::Limits { .. } => "scope-down",
            Self::NoSessionPolicy { .. } => "no-session-policy",
            Self::IdpSessionEnding { .. } => "idp-session-ending",
        }
    }
}

impl Policy {
    /// Prepares a catalog. Takes time in proportion to it; deciding afterwards does not.
    #[must_use]
    pub fn compile(catalog: impl Into<Arc<Catalog>>) -> Self {
        let catalog = catalog.into();
        let place = |role: &Role| {
            let account = catalog.account(role.account)?.clone();
            Some(PlacedRole { role: role.clone(), account })
        };
        // A catalog that was assembled has every role in an account; there is nothing for the filter to lose.
        let roles: Vec<PlacedRole> = catalog.roles().filter_map(place).collect();
        let positions = roles.iter().enumerate().map(|(at, placed)| (placed.role.id(), at)).collect();
        let selections = Selections::new(&roles);
        let mut indexes: BTreeMap<Attribute, Index> = BTreeMap::new();
        let mut rule_of = Vec::new();
        let mut rules = Vec::new();
        for (number, rule) in catalog.rules().enumerate() {
            let first = rule_of.len() as ConditionId;
            let mut ids: BTreeMap<&Attribute, ConditionId> = BTreeMap::new();
            for (attribute, patterns) in &rule.when {
                let condition = rule_of.len() as ConditionId;
                ids.insert(attribute, condition);
                rule_of.push(number as u32);
                let index = indexes.entry(attribute.clone()).or_default();
                for pattern in patterns.patterns() {
                    index.add(pattern, condition);
                }
            }
            let mut fixed = RoleSet::none(roles.len());
            let mut filled = Vec::new();
            for grant in &rule.grants {
                let captures = grant.captures();
                let within = selections.select(grant);
                if captures.is_empty() {
                    fixed.add_all(&within);
                } else if let Some((attribute, _)) = rule.capturing_condition(&captures) {
                    let account = match &grant.account {
                        AccountSelector::Captured(template) => Some(template.clone()),
                        AccountSelector::Any | AccountSelector::Ids(_) => None,
                    };
                    let role = match &grant.role {
                        RoleSelector::Captured(template) => Some(template.clone()),
                        RoleSelector::Any | RoleSelector::Names(_) => None,
                    };
                    filled.push(FilledGrant { condition: ids[attribute], account, role, within });
                }
            }
            let conditions = first..rule_of.len() as ConditionId;
            rules.push(CompiledRule { rule: rule.clone(), conditions, fixed, filled });
        }
        let mut indexes: Vec<(Attribute, Index)> = indexes.into_iter().collect();
        for (_, index) in &mut indexes {
            index.finish();
        }
        let Selections { by_account, by_name, .. } = selections;
        let by_name = by_name.into_iter().map(|(name, set)| (name.clone(), set)).collect();
        Self(Arc::new(Compiled { roles, positions, by_account, by_name, rules, rule_of, indexes, catalog }))
    }

    /// The catalog it was compiled from.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.0.catalog
    }

    pub(super) fn placed(&self, role: usize) -> &PlacedRole {
        &self.0.roles[role]
    }

    pub(super) fn position(&self, role: &RoleId) -> Option<usize> {
        self.0.positions.get(role).copied()
    }

    pub(super) fn rule(&self, rule: usize) -> &Rule {
        &self.0.rules[rule].rule
    }

    /// Whether a grant of the rule selects the role whoever asks.
    pub(super) fn always_grants(&self, rule: usize, role: usize) -> bool {
        self.0.rules[rule].fixed.contains(role)
    }

    /// Whether a grant of the rule could be filled so that it selects the role.
    pub(super) fn could_grant(&self, rule: usize, role: usize) -> bool {
        self.0.rules[rule].filled.iter().any(|grant| grant.within.contains(role))
    }

    /// Which roles this person may use, for how long and why.
    #[must_use]
    pub fn decide(&self, identity: &VerifiedIdentity) -> Decision {
        self.decide_on(identity, |matches| {
            // The matches stand in the order of how much they allow, so that the first to give a role is the longest.
            let mut seen = RoleSet::none(self.0.roles.len());
            let mut roles = Vec::new();
            for (at, one) in matches.iter().enumerate() {
                let mut take = |role| roles.push((role as u32, at as u32));
                seen.add_new(&self.0.rules[one.rule as usize].fixed, &mut take);
                if let Some(filled) = &one.filled {
                    seen.add_new(&filled.roles, &mut take);
                }
            }
            roles.sort_unstable();
            roles
        })
    }

    /// As [`decide`](Self::decide), about one role alone: programs ask for one, and people may have thousands.
    fn decide_one(&self, identity: &VerifiedIdentity, role: Option<usize>) -> Decision {
        self.decide_on(identity, |matches| {
            let Some(role) = role else { return Vec::new() };
            let gives = |one: &Match| {
                self.always_grants(one.rule as usize, role)
                    || one.filled.as_ref().is_some_and(|filled| filled.roles.contains(role))
            };
            matches.iter().position(gives).map(|best| (role as u32, best as u32)).into_iter().collect()
        })
    }

    fn decide_on(&self, identity: &VerifiedIdentity, roles: impl FnOnce(&[Match]) -> Vec<(u32, u32)>) -> Decision {
        let standing = self.standing(identity);
        let incomplete = match &identity.groups {
            Groups::Complete { .. } => None,
            Groups::Incomplete { reason, .. } => Some(reason.clone()),
        };
        let matches = match standing {
            Standing::Good => self.matches(identity),
            Standing::ConnectorGone | Standing::ConnectorDisabled => Vec::new(),
        };
        let roles = roles(&matches);
        Decision::new(self.clone(), identity.subject.connector.clone(), standing, incomplete, matches, roles)
    }

    fn standing(&self, identity: &VerifiedIdentity) -> Standing {
        match self.0.catalog.connector(&identity.subject.connector) {
            None => Standing::ConnectorGone,
            Some(connector) if !connector.enabled => Standing::ConnectorDisabled,
            Some(_) => Standing::Good,
        }
    }

    /// The rules all of whose conditions hold, those that allow the longest sessions first, and among them those that limit
    /// nothing.
    fn matches(&self, identity: &VerifiedIdentity) -> Vec<Match> {
        let compiled = &*self.0;
        // The value each condition is met by: sorted first, so that it does not depend on the order they were sent in.
        let mut met: Vec<Option<(u32, &str)>> = vec![None; compiled.rule_of.len()];
        let mut open: Vec<u32> = compiled.rules.iter().map(|rule| rule.conditions.len() as u32).collect();
        let mut complete: Vec<u32> = Vec::new();
        let mut by_expression: HashMap<ConditionId, Vec<(&str, &Regex)>> = HashMap::new();
        for (number, (attribute, index)) in compiled.indexes.iter().enumerate() {
            let mut values: Vec<&str> = attribute.values(identity).collect();
            values.sort_unstable();
            values.dedup();
            for value in values {
                index.look_up(value, |condition, regex| {
                    let rule = compiled.rule_of[condition as usize];
                    if met[condition as usize].is_none() {
                        met[condition as usize] = Some((number as u32, value));
                        open[rule as usize] -= 1;
                        if open[rule as usize] == 0 {
                            complete.push(rule);
                        }
                    }
                    if let Some(regex) = regex
                        && compiled.rules[rule as usize].filled.iter().any(|grant| grant.condition == condition)
                    {
                        by_expression.entry(condition).or_default().push((value, regex));
                    }
                });
            }
        }
        let mut matches: Vec<Match> = complete
            .into_iter()
            .map(|number| {
                let rule = &compiled.rules[number as usize];
                let because = rule.conditions.clone().filter_map(|condition| met[condition as usize]);
                Match {
                    rule: number,
                    limit: rule.rule.max_session.unwrap_or(SessionDuration::MAX),
                    because: because.map(|(attribute, value)| (attribute, value.into())).collect(),
                    filled: (!rule.filled.is_empty()).then(|| self.fill(rule, &by_expression)),
                }
            })
            .collect();
        let limits = |one: &Match| !compiled.rules[one.rule as usize].rule.scope_down.is_empty();
        matches.sort_unstable_by_key(|one| (std::cmp::Reverse(one.limit), limits(one), one.rule));
        matches
    }

    /// The roles a rule's filled grants come to for what was captured.
    fn fill(&self, rule: &CompiledRule, hits: &HashMap<ConditionId, Vec<(&str, &Regex)>>) -> Filled {
        let mut roles = RoleSet::none(self.0.roles.len());
        let mut values = Vec::new();
        for grant in &rule.filled {
            for (value, regex) in hits.get(&grant.condition).into_iter().flatten() {
                let Some(captured) = regex.captures(value) else { continue };
                if let Some(selected) = self.fill_one(grant, &captured) {
                    let attribute = self.attribute_number(grant.condition, rule);
                    roles.add_new(&selected, |role| values.push((role as u32, attribute, (*value).into())));
                }
            }
        }
        values.sort_unstable();
        Filled { roles, values }
    }

    /// Only names that are in the catalog select anything: a directory cannot invent a role.
    fn fill_one(&self, grant: &FilledGrant, captured: &regex::Captures<'_>) -> Option<RoleSet> {
        let mut selected = grant.within.clone();
        if let Some(template) = &grant.account {
            let account: AccountId = template.fill(captured)?.parse().ok()?;
            selected.keep_only(self.0.by_account.get(&account)?);
        }
        if let Some(template) = &grant.role {
            let name: RoleName = template.fill(captured)?.parse().ok()?;
            selected.keep_only(self.0.by_name.get(&name)?);
        }
        (!selected.is_empty()).then_some(selected)
    }

    /// The conditions of a rule stand in the order of their attributes.
    fn attribute_number(&self, condition: ConditionId, rule: &CompiledRule) -> u32 {
        let within = (condition - rule.conditions.start) as usize;
        let attribute = rule.rule.when.keys().nth(within);
        let number = self.0.indexes.iter().position(|(one, _)| Some(one) == attribute);
        number.unwrap_or_default() as u32
    }

    pub(super) fn attribute(&self, number: u32) -> &Attribute {
        &self.0.indexes[number as usize].0
    }

    /// Leave for one role, once. Nothing else makes a [`Permit`].
    ///
    /// It lasts as long as asked, or the role's default, and never longer than the role, the best rule or the session
    /// at the identity provider allows; a caller that wants to say so compares [`Permit::duration`] with what it asked.
    /// It is limited to what role, rule and asker limit it to, all at once.
    ///
    /// # Errors
    /// [`Denied`] says why not.
    pub fn permit(&self, identity: &VerifiedIdentity, asked: Asked, now: Timestamp) -> Result<Permit, Denied> {
        let Asked { account, role, duration: wanted, scope, scope_down, address, region } = asked;
        let id = RoleId { account, name: role };
        let position = self.position(&id);
        let decision = self.decide_one(identity, position);
        if let Some(denied) = decision.refusal() {
            return Err(denied);
        }
        if position.is_none() {
            return Err(Denied::NoSuchRole { role: id });
        }
        let Some(access) = decision.role(account, &id.name) else {
            return Err(Denied::NotGranted { role: id, groups_incomplete: decision.incomplete().is_some() });
        };
        if !scope.lets_issue(account, &id.name) {
            return Err(Denied::OutOfScope { role: id, read_only: !scope.issue });
        }
        if let Some((unmet, demand)) = access.unmet(&identity.authentication, now).zip(access.demand()) {
            return Err(Denied::StepUp { role: id, unmet, demand: Box::new(demand.clone()) });
        }
        let limit = wanted.unwrap_or(access.default_session()).min(access.max_session());
        let reason = access.reason_for(limit);
        let session_policy = access
            .session_policy(limit, &scope_down, address)
            .map_err(|why| Denied::Limits { role: id.clone(), why })?;
        let compulsory = access.limits_for(limit).into_iter().map(|(from, scope)| Limit { from, scope: scope.clone() });
        let wished = (!scope_down.is_empty()).then_some(Limit { from: Source::Asked, scope: scope_down });
        let limits = compulsory.chain(wished).collect();
        if matches!(access.role().method, Method::SessionToken(_)) && !session_policy.is_none() {
            return Err(Denied::NoSessionPolicy { role: id });
        }
        // A catalog that was assembled has what its roles refer to.
        let Some(means) = Means::of(self.catalog(), identity, access.role()) else {
            return Err(Denied::NoSuchRole { role: id });
        };
        // A region of another partition would have STS refuse what it has never heard of.
        let region = region.filter(|region| access.account().partition.has_region(region));
        let mut duration = limit;
        let session_ends = identity.authentication.session_not_on_or_after;
        if let Some(ends) = session_ends {
            let left = ends.duration_since(now).as_secs().clamp(0, SessionDuration::MAX.as_secs().into());
            let left = u32::try_from(left).ok().and_then(|left| SessionDuration::from_secs(left).ok());
            duration = duration.min(left.ok_or(Denied::IdpSessionEnding { ends })?);
        }
        Ok(Permit::new(Terms {
            subject: identity.subject.clone(),
            role: access.arn(),
            means,
            duration,
            limit,
            session_name: SessionName::for_person(identity.trail_name()),
            source_identity: SourceIdentity::for_person(identity.trail_name()),
            federated_name: FederatedName::for_person(identity.trail_name()),
            session_tags: session_tags(identity, access.role()).0,
            session_policy,
            limits,
            rule: reason.rule.id.to_string(),
            because: reason.because.iter().map(|(what, value)| (what.to_string(), (*value).into())).collect(),
            session_ends,
            region: region.or_else(|| access.role().region.clone()).or_else(|| access.account().region.clone()),
        }))
    }
}

/// What was captured came to these roles.
#[derive(Debug)]
pub(super) struct Filled {
    pub roles: RoleSet,
    /// For each role the attribute and value that named it, by role.
    pub values: Vec<(u32, u32, Box<str>)>,
}

/// The session tags to send for a role, and those that cannot be sent, with the reason.
///
/// A tag says one thing about a person. An attribute with no value or several is therefore left out rather than
/// guessed at, and so is a value AWS would refuse, which would otherwise make every request fail.
#[must_use]
pub fn session_tags(identity: &VerifiedIdentity, role: &Role) -> (Vec<SessionTag>, Vec<OmittedTag>) {
    let (mut sent, mut omitted) = (Vec::new(), Vec::new());
    for (key, source) in &role.session_tags {
        let found = match source {
            TagSource::Value(value) => Ok(value.clone()),
            TagSource::Attribute(attribute) => {
                let mut values: Vec<&str> = attribute.values(identity).filter(|value| !value.is_empty()).collect();
                values.sort_unstable();
                values.dedup();
                match values.as_slice() {
                    [] => Err("the person has no value for it"),
                    [one] if is_tag_value(one) => Ok((*one).to_owned()),
                    [_] => Err("AWS does not take its value as a tag"),
                    _ => Err("the person has several values for it"),
                }
            }
        };
        match found {
            Ok(value) => {
                let transitive = role.transitive_tags.contains(key);
                sent.push(SessionTag { key: key.to_string(), value, transitive });
            }
            Err(why) => omitted.push(OmittedTag { key: key.to_string(), why }),
        }
    }
    (sent, omitted)
}

/// The roles by each thing a grant can select them by.
struct Selections<'r> {
    all: RoleSet,
    none: RoleSet,
    by_account: HashMap<AccountId, RoleSet>,
    by_name: HashMap<&'r RoleName, RoleSet>,
    by_account_tag: HashMap<(&'r str, &'r str), RoleSet>,
    by_role_tag: HashMap<(&'r str, &'r str), RoleSet>,
}

impl<'r> Selections<'r> {
    fn new(roles: &'r [PlacedRole]) -> Self {
        let count = roles.len();
        let none = || RoleSet::none(count);
        let (mut by_account, mut by_name) = (HashMap::new(), HashMap::new());
        let (mut by_account_tag, mut by_role_tag) = (HashMap::new(), HashMap::new());
        let file = |at: usize, tags: &'r Tags, by_tag: &mut HashMap<(&'r str, &'r str), RoleSet>| {
            for (key, value) in tags {
                by_tag.entry((key.as_str(), value.as_str())).or_insert_with(none).insert(at);
            }
        };
        for (at, PlacedRole { role, account }) in roles.iter().enumerate() {
            by_account.entry(account.id).or_insert_with(none).insert(at);
            by_name.entry(&role.name).or_insert_with(none).insert(at);
            file(at, &account.tags, &mut by_account_tag);
            file(at, &role.tags, &mut by_role_tag);
        }
        Self { all: RoleSet::all(count), none: none(), by_account, by_name, by_account_tag, by_role_tag }
    }

    /// What a grant selects by everything in it that is not filled from captures.
    fn select(&self, grant: &Grant) -> RoleSet {
        let mut selected = match &grant.account {
            AccountSelector::Any | AccountSelector::Captured(_) => self.all.clone(),
            AccountSelector::Ids(ids) => self.union(ids.iter().filter_map(|id| self.by_account.get(id))),
        };
        if let RoleSelector::Names(names) = &grant.role {
            selected.keep_only(&self.union(names.iter().filter_map(|name| self.by_name.get(name))));
        }
        for (tags, by_tag) in [(&grant.account_tags, &self.by_account_tag), (&grant.role_tags, &self.by_role_tag)] {
            self.keep_tagged(&mut selected, tags, by_tag);
        }
        selected
    }

    fn keep_tagged(&self, selected: &mut RoleSet, tags: &TagSelector, by_tag: &HashMap<(&str, &str), RoleSet>) {
        for (key, values) in tags {
            let sets = values.iter().filter_map(|value| by_tag.get(&(key.as_str(), value.as_str())));
            selected.keep_only(&self.union(sets));
        }
    }

    fn union<'s>(&self, sets: impl Iterator<Item = &'s RoleSet>) -> RoleSet {
        let mut union = self.none.clone();
        sets.for_each(|set| union.add_all(set));
        union
    }
}
