//! Why, and why not, in words and as data.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::{Denied, OmittedTag, Policy, RoleAccess, session_tags};
use crate::aws::{ScopeDown, SessionDuration};
use crate::catalog::{Account, RoleId, Rule};
use crate::identity::{Demand, VerifiedIdentity};

/// More values than this are counted rather than listed in the text form.
const LISTED: usize = 12;

/// What the rules come to for a person, or for a person and a role.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// `connector:subject`.
    pub subject: String,
    /// Why nothing may be used whatever the rules say.
    pub refused: Option<String>,
    /// Why some groups may be missing.
    pub incomplete: Option<String>,
    /// The role that was asked about.
    pub asked: Option<RoleAnswer>,
    /// Everything that may be used; only the asked role where one was asked about.
    pub permitted: Vec<PermittedRole>,
    /// Every rule; where a role was asked about, only those that have to do with it.
    pub rules: Vec<RuleAnswer>,
    /// Rules that match the person and do not grant the role that was asked about.
    pub besides: Vec<String>,
}

/// The answer about one role.
#[derive(Debug, Clone, Serialize)]
pub struct RoleAnswer {
    pub role: RoleId,
    /// Whether there is such a role at all.
    pub in_catalog: bool,
    /// What the account is called, when it is in the catalog.
    pub account_name: Option<String>,
    pub permitted: bool,
    /// Session tags of the role that are sent for this person, in words.
    pub tags: Vec<String>,
    /// Session tags of the role that would not be sent for this person.
    pub omitted_tags: Vec<OmittedTag>,
}

/// A role that may be used.
#[derive(Debug, Clone, Serialize)]
pub struct PermittedRole {
    pub role: RoleId,
    pub account_name: String,
    pub max_session: SessionDuration,
    pub default_session: SessionDuration,
    /// The rules that grant it.
    pub rules: Vec<String>,
    /// What the role asks of how the person was recognised.
    pub authentication: Option<AskedAuthentication>,
    /// What sessions are limited to, whatever is asked for.
    pub limits: Vec<LimitAnswer>,
}

/// What sessions are limited to beyond their role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct LimitAnswer {
    /// Who wants it: `role`, or `rule` and its id.
    pub from: String,
    /// What it says, in words.
    pub says: Vec<String>,
    /// It is only for sessions longer than this, in seconds: shorter ones are given by a rule that limits nothing.
    pub longer_than_s: Option<u32>,
}

impl LimitAnswer {
    /// For each of a role's limits.
    #[must_use]
    pub fn all_of(access: &RoleAccess<'_>) -> Vec<Self> {
        let tiers = access.tiers();
        let says = |from: String, scope: &ScopeDown, longer_than_s| {
            (!scope.is_empty()).then(|| Self { from, says: scope.words(), longer_than_s })
        };
        let of_role = says("role".to_owned(), &access.role().scope_down, None);
        let below = |at: usize| at.checked_sub(1).map(|at| tiers[at].0.as_secs());
        let of_rules = tiers
            .iter()
            .enumerate()
            .filter_map(|(at, (_, rule))| says(format!("rule {}", rule.id), &rule.scope_down, below(at)));
        of_role.into_iter().chain(of_rules).collect()
    }
}

/// What a role asks of how a person was recognised, as data for programs. Each part that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct AskedAuthentication {
    /// How long ago at most, in seconds.
    pub max_age_s: Option<u64>,
    /// `AuthnContextClassRef` or `acr`: any of these.
    pub contexts: Vec<String>,
    /// `amr`: any of these.
    pub methods: Vec<String>,
}

impl fmt::Display for AskedAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max_age = self.max_age_s.map(std::time::Duration::from_secs);
        Demand { max_age, contexts: self.contexts.clone(), methods: self.methods.clone() }.fmt(f)
    }
}

impl From<&Demand> for AskedAuthentication {
    fn from(demand: &Demand) -> Self {
        Self {
            max_age_s: demand.max_age.map(|age| age.as_secs()),
            contexts: demand.contexts.clone(),
            methods: demand.methods.clone(),
        }
    }
}

/// What one rule comes to.
#[derive(Debug, Clone, Serialize)]
pub struct RuleAnswer {
    pub rule: String,
    pub description: Option<String>,
    /// Whether every condition holds.
    pub matches: bool,
    /// How many roles it gives this person; 0 when it does not match.
    pub roles: usize,
    /// Where a role was asked about, what the rule has to do with it.
    pub asked: Option<Bearing>,
    pub max_session: Option<SessionDuration>,
    /// What it limits sessions to, in words.
    pub limits: Vec<String>,
    pub conditions: Vec<ConditionAnswer>,
}

/// What a rule has to do with a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bearing {
    /// It gives this person the role.
    Grants,
    /// It would, if its conditions held.
    WouldGrant,
    /// It fills in account or role from a value, and no value of this person names this one.
    NotNamed,
}

/// Whether a condition holds, and by what.
#[derive(Debug, Clone, Serialize)]
pub struct ConditionAnswer {
    pub attribute: String,
    /// What would match, in words.
    pub wanted: String,
    /// The value that matched.
    pub met_by: Option<String>,
    /// All values of the attribute.
    pub seen: Vec<String>,
}

/// Why a person may use what they may, or one role in particular, and what stands in the way of the rest.
#[must_use]
pub fn explain(policy: &Policy, identity: &VerifiedIdentity, role: Option<&RoleId>) -> Explanation {
    let decision = policy.decide(identity);
    let position = role.and_then(|role| policy.position(role));
    let permitted = decision
        .roles()
        .filter(|access| role.is_none_or(|role| access.id() == *role))
        .map(|access| PermittedRole {
            role: access.id(),
            account_name: access.account().name.clone(),
            max_session: access.max_session(),
            default_session: access.default_session(),
            rules: access.reasons().iter().map(|reason| reason.rule.id.to_string()).collect(),
            authentication: access.demand().map(AskedAuthentication::from),
            limits: LimitAnswer::all_of(&access),
        })
        .collect::<Vec<_>>();
    let (mut rules, mut besides) = (Vec::new(), Vec::new());
    for (number, rule) in policy.catalog().rules().enumerate() {
        let matched = decision.matches().iter().find(|one| one.rule as usize == number);
        let bearing = role.map(|_| {
            let position = position?;
            match matched {
                Some(one) if decision.gives(one, position) => Some(Bearing::Grants),
                _ if policy.always_grants(number, position) => Some(Bearing::WouldGrant),
                Some(_) if policy.could_grant(number, position) => Some(Bearing::NotNamed),
                None if policy.could_grant(number, position) => Some(Bearing::WouldGrant),
                _ => None,
            }
        });
        match bearing {
            Some(None) if matched.is_some() => besides.push(rule.id.to_string()),
            Some(None) => {}
            bearing => rules.push(RuleAnswer {
                rule: rule.id.to_string(),
                description: rule.description.clone(),
                matches: matched.is_some(),
                roles: matched.map_or(0, |one| decision.count(one)),
                asked: bearing.flatten(),
                max_session: rule.max_session,
                limits: rule.scope_down.words(),
                conditions: conditions(rule, identity),
            }),
        }
    }
    // What grants comes first; among the rest the order of the catalog is as good as any.
    rules.sort_by_key(|rule| !rule.matches || rule.asked == Some(Bearing::NotNamed));
    let (sent, omitted_tags) = role
        .and_then(|role| policy.catalog().role(role.account, &role.name))
        .map(|role| session_tags(identity, role))
        .unwrap_or_default();
    let said = |tag: super::SessionTag| {
        let along = if tag.transitive { ", and goes along to further roles" } else { "" };
        format!("{} is sent as `{}`{along}", tag.key, tag.value)
    };
    Explanation {
        subject: identity.subject.to_string(),
        refused: decision.refusal().as_ref().map(Denied::to_string),
        incomplete: decision.incomplete().map(str::to_owned),
        asked: role.map(|role| RoleAnswer {
            role: role.clone(),
            in_catalog: position.is_some(),
            account_name: policy.catalog().account(role.account).map(|account: &Account| account.name.clone()),
            permitted: !permitted.is_empty(),
            tags: sent.into_iter().map(said).collect(),
            omitted_tags,
        }),
        permitted,
        rules,
        besides,
    }
}

/// Each condition by itself, tried plainly on every value: the index that decides is not asked.
fn conditions(rule: &Rule, identity: &VerifiedIdentity) -> Vec<ConditionAnswer> {
    rule.when
        .iter()
        .map(|(attribute, any)| {
            let seen: BTreeSet<&str> = attribute.values(identity).collect();
            let met_by = seen.iter().find(|value| any.patterns().iter().any(|pattern| pattern.is_match(value)));
            ConditionAnswer {
                attribute: attribute.to_string(),
                wanted: any.to_string(),
                met_by: met_by.map(ToString::to_string),
                seen: seen.iter().map(ToString::to_string).collect(),
            }
        })
        .collect()
}

impl Explanation {
    /// Whether the role that was asked about may be used, or any role where none was asked about.
    #[must_use]
    pub fn permitted(&self) -> bool {
        !self.permitted.is_empty()
    }
}

impl fmt::Display for Explanation {
    /// Several lines, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.asked {
            Some(asked) => self.write_role(f, asked)?,
            None => self.write_all(f)?,
        }
        if let Some(refused) = &self.refused {
            writeln!(f, "Nothing may be used: {refused}.")?;
        }
        if let Some(why) = &self.incomplete {
            writeln!(f, "The groups are not complete: {why}. A rule may fail to match for that reason alone.")?;
        }
        self.rules.iter().try_for_each(|rule| write_rule(f, rule))?;
        if !self.besides.is_empty() {
            writeln!(f, "Rules that match and do not grant this role: {}", listed(&self.besides, ""))?;
        }
        Ok(())
    }
}

impl Explanation {
    fn write_role(&self, f: &mut fmt::Formatter<'_>, asked: &RoleAnswer) -> fmt::Result {
        let RoleAnswer { role, account_name, .. } = asked;
        let called = account_name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
        let subject = &self.subject;
        match self.permitted.first() {
            Some(PermittedRole { max_session, default_session, authentication, limits, .. }) => {
                writeln!(
                    f,
                    "yes: {subject} may use {role}{called} for up to {max_session}; {default_session} unless asked otherwise."
                )?;
                if let Some(asked) = authentication {
                    writeln!(
                        f,
                        "It asks for a person recognised {asked}; somebody who was not is sent to sign in again."
                    )?;
                }
                for LimitAnswer { from, says, longer_than_s } in limits {
                    let longer = longer_than_s.and_then(|seconds| SessionDuration::from_secs(seconds).ok());
                    let which = longer.map_or_else(String::new, |longer| format!(" longer than {longer}"));
                    writeln!(f, "Every session{which} is limited by the {from}: {}.", says.join("; "))?;
                }
                for tag in &asked.tags {
                    writeln!(f, "The session tag {tag}.")?;
                }
                for OmittedTag { key, why } in &asked.omitted_tags {
                    writeln!(f, "The session tag {key} is not sent: {why}.")?;
                }
                Ok(())
            }
            None => {
                writeln!(f, "no: {subject} may not use {role}{called}.")?;
                if account_name.is_none() {
                    writeln!(f, "There is no account {} in the catalog.", role.account)?;
                } else if !asked.in_catalog {
                    writeln!(f, "There is no role {} in this account in the catalog.", role.name)?;
                } else if self.rules.is_empty() {
                    writeln!(f, "No rule grants it to anybody.")?;
                }
                Ok(())
            }
        }
    }

    fn write_all(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.permitted.len() {
            0 => writeln!(f, "no: {} may use no role.", self.subject)?,
            1 => writeln!(f, "yes: {} may use 1 role:", self.subject)?,
            n => writeln!(f, "yes: {} may use {n} roles:", self.subject)?,
        }
        for PermittedRole { role, account_name, max_session, rules, .. } in &self.permitted {
            writeln!(f, "  {role} ({account_name}), up to {max_session}, by {}", rules.join(", "))?;
        }
        Ok(())
    }
}

fn write_rule(f: &mut fmt::Formatter<'_>, answer: &RuleAnswer) -> fmt::Result {
    let RuleAnswer { rule, matches, roles, asked, max_session, limits, conditions, .. } = answer;
    let outcome = match (matches, asked) {
        (true, Some(Bearing::NotNamed)) => "matches, but no value names this role".to_owned(),
        (true, Some(_)) => "grants it".to_owned(),
        (true, None) if *roles == 1 => "matches, 1 role".to_owned(),
        (true, None) => format!("matches, {roles} roles"),
        (false, Some(_)) => "would grant it, does not match".to_owned(),
        (false, None) => "does not match".to_owned(),
    };
    let limit = max_session.map_or_else(String::new, |max| format!(", sessions up to {max}"));
    let limits = if limits.is_empty() { String::new() } else { format!(", {}", limits.join("; ")) };
    writeln!(f, "rule {rule}: {outcome}{limit}{limits}")?;
    if let Some(description) = &answer.description {
        writeln!(f, "  # {}", description.trim().replace('\n', "\n  # "))?;
    }
    for ConditionAnswer { attribute, wanted, met_by, seen } in conditions {
        match met_by {
            Some(value) => writeln!(f, "  yes  {attribute}: {wanted} is met by `{value}`")?,
            None if seen.is_empty() => writeln!(f, "  no   {attribute}: {wanted} is wanted; there is no value")?,
            None => writeln!(f, "  no   {attribute}: {wanted} is wanted; there is {}", listed(seen, "`"))?,
        }
    }
    Ok(())
}

fn listed(values: &[String], quote: &str) -> String {
    let first = values.iter().take(LISTED).map(|value| format!("{quote}{value}{quote}"));
    let list = first.collect::<Vec<_>>().join(", ");
    match values.len().saturating_sub(LISTED) {
        0 => list,
        more => format!("{list} and {more} more"),
    }
}
