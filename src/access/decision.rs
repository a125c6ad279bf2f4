//! What a person may use, for how long, and why.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use super::policy::{Denied, Filled, PlacedRole, Policy};
use crate::aws::{
    AccountId, CannotCompose, Part, RoleArn, RoleName, ScopeDown, SessionDuration, SessionPolicy, Source, compose,
};
use crate::catalog::{Account, Attribute, Connector, Role, RoleId, Rule};
use crate::identity::{Authentication, ConnectorId, Demand, Unmet};

/// Which roles a person may use, for how long and why. A picture of one moment: issuing decides anew.
#[derive(Debug)]
pub struct Decision {
    policy: Policy,
    connector: ConnectorId,
    standing: Standing,
    incomplete: Option<String>,
    /// Those that allow the longest sessions first.
    matches: Vec<Match>,
    /// Role and the match that allows the longest session, by role.
    roles: Vec<(u32, u32)>,
}

/// Whether the connector somebody came through still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Good,
    ConnectorGone,
    ConnectorDisabled,
}

/// A rule all of whose conditions hold.
#[derive(Debug)]
pub(super) struct Match {
    pub rule: u32,
    pub limit: SessionDuration,
    /// Attribute and value for each condition.
    pub because: Vec<(u32, Box<str>)>,
    pub filled: Option<Filled>,
}

impl Decision {
    pub(super) fn new(
        policy: Policy,
        connector: ConnectorId,
        standing: Standing,
        incomplete: Option<String>,
        matches: Vec<Match>,
        roles: Vec<(u32, u32)>,
    ) -> Self {
        Self { policy, connector, standing, incomplete, matches, roles }
    }

    /// What may be used, by account id and role name.
    pub fn roles(&self) -> impl ExactSizeIterator<Item = RoleAccess<'_>> {
        self.roles.iter().map(|(role, longest)| RoleAccess { decision: self, role: *role, longest: *longest })
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty()
    }

    /// What may be done with one role; `None` when nothing.
    #[must_use]
    pub fn role(&self, account: AccountId, name: &RoleName) -> Option<RoleAccess<'_>> {
        let position = self.policy.position(&RoleId { account, name: name.clone() })?;
        let at = self.roles.binary_search_by_key(&(position as u32), |(role, _)| *role).ok()?;
        let (role, longest) = self.roles[at];
        Some(RoleAccess { decision: self, role, longest })
    }

    /// Why the list may be shorter than it should be: the provider did not send all groups.
    #[must_use]
    pub fn incomplete(&self) -> Option<&str> {
        self.incomplete.as_deref()
    }

    /// Why nothing at all may be used, whatever the rules say: the connector is gone or disabled.
    #[must_use]
    pub fn refusal(&self) -> Option<Denied> {
        let connector = || self.connector.clone();
        match self.standing {
            Standing::Good => None,
            Standing::ConnectorGone => Some(Denied::ConnectorGone { connector: connector() }),
            Standing::ConnectorDisabled => Some(Denied::ConnectorDisabled { connector: connector() }),
        }
    }

    /// The positions of the rules that match, and what each comes to.
    pub(super) fn matches(&self) -> &[Match] {
        &self.matches
    }

    /// How many roles a match gives.
    pub(super) fn count(&self, one: &Match) -> usize {
        self.roles.iter().filter(|(role, _)| self.gives(one, *role as usize)).count()
    }

    /// Whether a match gives a role.
    pub(super) fn gives(&self, one: &Match, role: usize) -> bool {
        self.policy.always_grants(one.rule as usize, role)
            || one.filled.as_ref().is_some_and(|filled| filled.roles.contains(role))
    }
}

/// Leave to use one role, as part of a decision.
#[derive(Debug, Clone, Copy)]
pub struct RoleAccess<'d> {
    decision: &'d Decision,
    role: u32,
    longest: u32,
}

impl<'d> RoleAccess<'d> {
    fn placed(&self) -> &'d PlacedRole {
        self.decision.policy.placed(self.role as usize)
    }

    fn longest(&self) -> &'d Match {
        &self.decision.matches[self.longest as usize]
    }

    #[must_use]
    pub fn role(&self) -> &'d Role {
        &self.placed().role
    }

    #[must_use]
    pub fn account(&self) -> &'d Account {
        &self.placed().account
    }

    #[must_use]
    pub fn id(&self) -> RoleId {
        self.role().id()
    }

    #[must_use]
    pub fn arn(&self) -> RoleArn {
        self.account().role_arn(&self.role().name)
    }

    /// The roles that are passed through on the way to it, in their order; none where it is reached directly.
    #[must_use]
    pub fn through(&self) -> Vec<&'d Role> {
        let mut way = self.decision.policy.catalog().chain_to(self.role());
        way.pop();
        way
    }

    /// The longest session this person gets: what the role allows, or the most generous of their rules if that is less.
    #[must_use]
    pub fn max_session(&self) -> SessionDuration {
        self.role().max_session.min(self.longest().limit)
    }

    /// What they get without choosing.
    #[must_use]
    pub fn default_session(&self) -> SessionDuration {
        self.role().default_session().min(self.max_session())
    }

    /// What the role asks of how somebody was recognised.
    #[must_use]
    pub fn demand(&self) -> Option<&'d Demand> {
        self.role().authentication.as_ref()
    }

    /// What is missing of that for somebody recognised like this.
    #[must_use]
    pub fn unmet(&self, authentication: &Authentication, now: Timestamp) -> Option<Unmet> {
        let catalog = self.decision.policy.catalog();
        let skew = catalog.connector(&self.decision.connector).map(Connector::clock_skew).unwrap_or_default();
        self.demand()?.unmet(authentication, now, SignedDuration::from_secs(skew.as_secs().into()))
    }

    /// The rule that counts for a session of this length: of those that allow it, one that limits nothing where there is one,
    /// then the one that allows the longest sessions, and the first by id where several do. So no rule takes away what another
    /// gives: whoever has two may have what either allows.
    ///
    /// Of a length that no rule allows, the longest that one does is meant.
    fn counts_for(&self, duration: SessionDuration) -> &'d Match {
        let (decision, role) = (self.decision, self.role as usize);
        let wanted = duration.min(self.max_session());
        let allowing = || decision.matches.iter().filter(move |one| decision.gives(one, role) && one.limit >= wanted);
        let unlimited = allowing().find(|one| decision.policy.rule(one.rule as usize).scope_down.is_empty());
        unlimited.or_else(|| allowing().next()).unwrap_or_else(|| self.longest())
    }

    /// The rule that counts for a session of this length, with what in the person met it.
    #[must_use]
    pub fn reason_for(&self, duration: SessionDuration) -> Reason<'d> {
        self.reason_of(self.counts_for(duration))
    }

    /// What a session of this length is limited to whatever is asked for: by the role, and by the rule that counts for it.
    #[must_use]
    pub fn limits_for(&self, duration: SessionDuration) -> Vec<(Source, &'d ScopeDown)> {
        let rule = self.decision.policy.rule(self.counts_for(duration).rule as usize);
        let both = [(Source::Role, &self.role().scope_down), (Source::Rule, &rule.scope_down)];
        both.into_iter().filter(|(_, scope)| !scope.is_empty()).collect()
    }

    /// What a session of this length is limited to in all, where somebody wants this besides and asks from `here`.
    ///
    /// # Errors
    /// [`CannotCompose`]: one session policy cannot say it.
    pub fn session_policy(
        &self,
        duration: SessionDuration,
        wish: &ScopeDown,
        here: Option<IpAddr>,
    ) -> Result<SessionPolicy, CannotCompose> {
        let wished = Some((Source::Asked, wish)).filter(|(_, wish)| !wish.is_empty());
        let limits = self.limits_for(duration).into_iter().chain(wished);
        let parts: Vec<Part<'_>> = limits.map(|(from, scope)| Part { from, scope }).collect();
        if !parts.is_empty() && !self.role().method.takes_session_policy() {
            return Err(CannotCompose::NotTaken);
        }
        compose(&parts, self.account().partition, here)
    }

    /// The rules that count, each with the longest session it counts for: one, or a shorter one that limits nothing before a
    /// longer one that does.
    #[must_use]
    pub fn tiers(&self) -> Vec<(SessionDuration, &'d Rule)> {
        let longest = self.max_session();
        let tier = |one: &'d Match| (one.limit.min(longest), self.decision.policy.rule(one.rule as usize));
        let first = tier(self.counts_for(SessionDuration::MIN));
        let last = tier(self.counts_for(longest));
        if first.1.id == last.1.id { vec![last] } else { vec![first, last] }
    }

    /// The rule that counts for who does not choose a length.
    #[must_use]
    pub fn rule(&self) -> &'d Rule {
        self.reason().rule
    }

    /// The rule that allows the longest session.
    #[must_use]
    pub fn longest_rule(&self) -> &'d Rule {
        self.decision.policy.rule(self.longest().rule as usize)
    }

    /// Every rule that gives this role, with what in the person met it; those that allow the longest sessions first.
    #[must_use]
    pub fn reasons(&self) -> Vec<Reason<'d>> {
        let (decision, role) = (self.decision, self.role as usize);
        decision.matches.iter().filter(|one| decision.gives(one, role)).map(|one| self.reason_of(one)).collect()
    }

    /// The [rule](Self::rule) that counts for who does not choose a length, with what in the person met it.
    #[must_use]
    pub fn reason(&self) -> Reason<'d> {
        self.reason_for(self.default_session())
    }

    fn reason_of(&self, one: &'d Match) -> Reason<'d> {
        let policy = &self.decision.policy;
        let mut because: Vec<(&Attribute, &str)> =
            one.because.iter().map(|(attribute, value)| (policy.attribute(*attribute), &**value)).collect();
        // Where the role was named by a value, that value is the reason, and not the first one that matched.
        if !policy.always_grants(one.rule as usize, self.role as usize)
            && let Some(filled) = &one.filled
            && let Ok(at) = filled.values.binary_search_by_key(&self.role, |(role, _, _)| *role)
        {
            let (_, attribute, value) = &filled.values[at];
            let attribute = policy.attribute(*attribute);
            because.iter_mut().filter(|(one, _)| *one == attribute).for_each(|(_, reason)| *reason = value);
        }
        Reason { rule: policy.rule(one.rule as usize), because }
    }
}

/// A rule that gives a role, and what in the person met it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason<'d> {
    pub rule: &'d Rule,
    /// For each condition of the rule, the attribute and the value that met it.
    pub because: Vec<(&'d Attribute, &'d str)>,
}
