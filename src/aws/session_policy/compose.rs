//! Several limits put together into the one session policy that a session can have.
//!
//! AWS adds up what the session policies of one session allow and takes away what any of them denies. So limits are put
//! together by these rules, and what cannot be said exactly is refused rather than said wider:
//!
//! - Locks are Deny statements, which hold whatever is allowed beside them. Two locks on regions become one on what they
//!   have in common, and so do two on networks.
//! - What may be done at most is a *ceiling*: `ReadOnlyAccess`, or a policy and ARNs. One ceiling is sent as it is. Of several,
//!   one is sent as it is, compulsory ones first, and the others as denials of all that they do not allow. That can be
//!   said of inline policies without conditions and variables, and of no managed policy, whose text is not ours to know.
//! - Without a ceiling, everything is allowed that is not denied: the role says what that is.
//!
//! What comes out is read again and held against what was put in before it is given to anybody.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use serde_json::json;

use super::document::{self, Statement, Statements};
use super::{InvalidSessionPolicy, PolicyArn, PolicyDocument, ScopeDown, SessionPolicy};
use crate::aws::{Network, Partition, Region};

/// Services that have one place in the world and no region. `aws:RequestedRegion` says of them where that place is, so
/// that a lock on any other region would switch them off: signing in to the console, reading the bill, DNS. What is
/// done there is done in no region, and what a person may do there is for the role to say.
///
/// Spec: IAM User Guide, "AWS global condition context keys", `aws:RequestedRegion`.
const WITHOUT_REGION: [&str; 17] = [
    "account:*",
    "budgets:*",
    "ce:*",
    "cloudfront:*",
    "cur:*",
    "ec2:DescribeRegions",
    "globalaccelerator:*",
    "health:*",
    "iam:*",
    "organizations:*",
    "route53:*",
    "route53domains:*",
    "s3:ListAllMyBuckets",
    "shield:*",
    "sts:*",
    "support:*",
    "waf:*",
];

/// Who wants a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// The role, in the catalog.
    Role,
    /// The rule that grants it.
    Rule,
    /// Whoever asks for the session.
    Asked,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Role => "the role's own limit",
            Self::Rule => "the limit of the rule that grants it",
            Self::Asked => "what you ask for",
        })
    }
}

/// A limit, and who wants it.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    pub from: Source,
    pub scope: &'a ScopeDown,
}

/// Why limits cannot be put together. The sentences are for whoever asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotCompose {
    #[error("the region {region} is not in this account's partition, {partition}")]
    Partition { region: Region, partition: Partition },
    #[error("no region is left: {one} and {other} have none in common")]
    Regions { one: Source, other: Source },
    #[error("no network is left: {one} and {other} have none in common")]
    Networks { one: Source, other: Source },
    #[error("the address you ask from is not known here, and the session is to be limited to it")]
    AddressUnknown,
    #[error(
        "you are seen at {0}, an address inside a private network, where AWS never sees anybody; name the public network instead"
    )]
    AddressPrivate(Network),
    #[error(
        "{one} and {other} cannot both be kept: AWS would allow what either allows. A second policy can be added if it only denies, or if it is inline and without conditions and variables"
    )]
    Ceilings { one: Source, other: Source },
    #[error(
        "the policy in {0} has variables, and `\"Version\": \"2012-10-17\"` is missing, without which they are only text"
    )]
    Version(Source),
    #[error(
        "AWS takes no session policy for the session of an IAM user, so it cannot be limited to less than the user may do"
    )]
    NotTaken,
    #[error(
        "the session policy that was put together lacks a part of {0}, so it is not used; this is an error in Rolegate"
    )]
    Lost(Source),
    #[error(transparent)]
    Invalid(#[from] InvalidSessionPolicy),
}

/// What may be done at most: what any of these allows.
#[derive(Debug, Clone)]
struct Ceiling {
    from: Source,
    /// As it was written.
    document: Option<PolicyDocument>,
    allows: Vec<Statement>,
    arns: Vec<PolicyArn>,
}

impl Ceiling {
    /// Whether all that allows something here stands in the other one too. A managed policy may deny besides, so that
    /// one which stands in only one of the two counts in either.
    fn is_within(&self, other: &Self) -> bool {
        let arns = |ceiling: &Self| ceiling.arns.iter().cloned().collect::<BTreeSet<PolicyArn>>();
        self.allows.iter().all(|one| other.allows.contains(one)) && arns(self) == arns(other)
    }

    fn denying_the_rest(&self) -> Option<Vec<Statement>> {
        if self.arns.is_empty() { document::denying_the_rest(&self.allows) } else { None }
    }
}

/// Everything that limits ask for, each with who wants it.
pub(super) struct Wanted {
    ceilings: Vec<Ceiling>,
    /// Denied by the policies themselves.
    written: Vec<(Source, Statement)>,
    /// Denied by locks.
    locks: Vec<(Source, Statement)>,
    /// How many inline policies there are.
    documents: usize,
}

impl Wanted {
    pub(super) fn of(parts: &[Part<'_>], partition: Partition, here: Option<IpAddr>) -> Result<Self, CannotCompose> {
        let mut wanted = Self { ceilings: Vec::new(), written: Vec::new(), locks: Vec::new(), documents: 0 };
        for Part { from, scope } in parts {
            let from = *from;
            let read_only =
                Ceiling { from, document: None, allows: vec![], arns: vec![PolicyArn::read_only(partition)] };
            wanted.ceilings.extend(scope.read_only.then_some(read_only));
            let mut own = Ceiling { from, document: scope.policy.clone(), allows: vec![], arns: vec![] };
            if let Some(policy) = &scope.policy {
                wanted.documents += 1;
                let statements = policy.statements()?;
                own.allows = statements.allows;
                wanted.written.extend(statements.denies.into_iter().map(|statement| (from, statement)));
            }
            for arn in &scope.policy_arns {
                if !own.arns.contains(arn) {
                    own.arns.push(arn.clone());
                }
            }
            if !own.allows.is_empty() || !own.arns.is_empty() {
                wanted.ceilings.push(own);
            }
        }
        wanted.locks.extend(network_lock(parts, here)?);
        wanted.locks.extend(region_lock(parts, partition)?);
        Ok(wanted)
    }

    /// Whether a policy says all of this.
    pub(super) fn is_kept_by(&self, policy: &SessionPolicy) -> Result<(), CannotCompose> {
        let said = match &policy.inline {
            Some(inline) => inline.statements()?,
            None => Statements { allows: Vec::new(), denies: Vec::new() },
        };
        if let Some((from, _)) = self.written.iter().chain(&self.locks).find(|(_, deny)| !said.denies.contains(deny)) {
            return Err(CannotCompose::Lost(*from));
        }
        let sent = Ceiling { from: Source::Asked, document: None, allows: said.allows, arns: policy.arns.clone() };
        let says = |ceiling: &Ceiling| {
            let turned = || ceiling.denying_the_rest();
            sent.is_within(ceiling) || turned().is_some_and(|rest| rest.iter().all(|deny| said.denies.contains(deny)))
        };
        // No session policy at all allows everything, and not nothing.
        let kept = |ceiling: &Ceiling| {
            !policy.is_none() && self.ceilings.iter().any(|lower| lower.is_within(ceiling) && says(lower))
        };
        match self.ceilings.iter().find(|ceiling| !kept(ceiling)) {
            Some(ceiling) => Err(CannotCompose::Lost(ceiling.from)),
            None => Ok(()),
        }
    }
}

/// Puts limits together: the session may do what its role and every one of them allows.
///
/// `here` is where the credentials are asked for.
///
/// # Errors
/// [`CannotCompose`], where one session policy cannot say it.
pub fn compose(parts: &[Part<'_>], partition: Partition, here: Option<IpAddr>) -> Result<SessionPolicy, CannotCompose> {
    let wanted = Wanted::of(parts, partition, here)?;
    let policy = put_together(parts, &wanted)?;
    wanted.is_kept_by(&policy)?;
    Ok(policy)
}

fn put_together(parts: &[Part<'_>], wanted: &Wanted) -> Result<SessionPolicy, CannotCompose> {
    let (base, turned) = highest(&wanted.ceilings)?;
    let written = wanted.written.iter().map(|(_, deny)| deny);
    // What no policy says in its own words.
    let added: Vec<&Statement> = wanted.locks.iter().map(|(_, deny)| deny).chain(&turned).collect();
    let alone = added.is_empty() && wanted.documents == 1;
    let denies = without_repeats(written.chain(added));
    let Some(base) = base else {
        if denies.is_empty() {
            return Ok(SessionPolicy::default());
        }
        check_versions(parts)?;
        return Ok(SessionPolicy::new(Some(document::write(&[Statement::everything()], &denies)?), Vec::new())?);
    };
    if let Some(document) = &base.document
        && alone
    {
        // Nothing stands beside the one policy: it goes as it was written.
        return Ok(SessionPolicy::new(Some(document.clone()), base.arns.clone())?);
    }
    let inline = if base.allows.is_empty() && denies.is_empty() {
        None
    } else {
        check_versions(parts)?;
        Some(document::write(&base.allows, &denies)?)
    };
    Ok(SessionPolicy::new(inline, base.arns.clone())?)
}

fn without_repeats<'a>(statements: impl Iterator<Item = &'a Statement>) -> Vec<Statement> {
    let mut seen: Vec<Statement> = Vec::new();
    for statement in statements {
        if !seen.contains(statement) {
            seen.push(statement.clone());
        }
    }
    seen
}

fn check_versions(parts: &[Part<'_>]) -> Result<(), CannotCompose> {
    let old = |part: &&Part<'_>| part.scope.policy.as_ref().is_some_and(|policy| !policy.is_of_today());
    parts.iter().find(old).map_or(Ok(()), |part| Err(CannotCompose::Version(part.from)))
}

/// The one ceiling that is sent as it is, and the denials that all others become.
fn highest(ceilings: &[Ceiling]) -> Result<(Option<&Ceiling>, Vec<Statement>), CannotCompose> {
    // Of two of which one lies in the other, the lower one says it all.
    let mut lowest: Vec<&Ceiling> = Vec::new();
    for ceiling in ceilings {
        if lowest.iter().any(|other| other.is_within(ceiling)) {
            continue;
        }
        lowest.retain(|other| !ceiling.is_within(other));
        lowest.push(ceiling);
    }
    let turned: Vec<Option<Vec<Statement>>> = lowest.iter().map(|ceiling| ceiling.denying_the_rest()).collect();
    let fixed: Vec<usize> = (0..lowest.len()).filter(|at| turned[*at].is_none()).collect();
    let base = match fixed.as_slice() {
        // Where all can be turned around, what is compulsory stays in its author's words.
        [] => match (0..lowest.len()).min_by_key(|at| lowest[*at].from) {
            Some(first) => first,
            None => return Ok((None, Vec::new())),
        },
        [one] => *one,
        [one, other, ..] => {
            return Err(CannotCompose::Ceilings { one: lowest[*one].from, other: lowest[*other].from });
        }
    };
    let denies = turned.into_iter().enumerate().filter(|(at, _)| *at != base);
    Ok((Some(lowest[base]), denies.flat_map(|(_, more)| more.unwrap_or_default()).collect()))
}

fn region_lock(parts: &[Part<'_>], partition: Partition) -> Result<Option<(Source, Statement)>, CannotCompose> {
    let mut left: Option<(Source, BTreeSet<Region>)> = None;
    for Part { from, scope } in parts.iter().filter(|part| !part.scope.regions.is_empty()) {
        // A rule may be about accounts of several partitions; each takes the regions that are its own.
        let ours: BTreeSet<Region> =
            scope.regions.iter().filter(|region| partition.has_region(region)).cloned().collect();
        if let Some(region) = scope.regions.iter().find(|region| !partition.has_region(region))
            && (*from != Source::Rule || ours.is_empty())
        {
            return Err(CannotCompose::Partition { region: region.clone(), partition });
        }
        left = Some(match left {
            None => (*from, ours),
            Some((one, before)) => {
                let both: BTreeSet<Region> = before.intersection(&ours).cloned().collect();
                if both.is_empty() {
                    return Err(CannotCompose::Regions { one, other: *from });
                }
                (one, both)
            }
        });
    }
    let Some((from, regions)) = left else { return Ok(None) };
    let elsewhere = json!({ "StringNotEquals": { "aws:RequestedRegion": one_or_list(&regions) } });
    Ok(Some((from, Statement::whenever(elsewhere).except(WITHOUT_REGION))))
}

fn network_lock(parts: &[Part<'_>], here: Option<IpAddr>) -> Result<Option<(Source, Statement)>, CannotCompose> {
    let mut left: Option<(Source, BTreeSet<Network>)> = None;
    for Part { from, scope } in parts {
        let mut ours = scope.networks.clone();
        if scope.from_here {
            let address = Network::around(here.ok_or(CannotCompose::AddressUnknown)?);
            if address.is_private() {
                return Err(CannotCompose::AddressPrivate(address));
            }
            ours.insert(address);
        }
        if ours.is_empty() {
            continue;
        }
        left = Some(match left {
            None => (*from, ours),
            Some((one, before)) => {
                let both: BTreeSet<Network> =
                    before.iter().flat_map(|one| ours.iter().filter_map(|other| one.common(other))).collect();
                if both.is_empty() {
                    return Err(CannotCompose::Networks { one, other: *from });
                }
                (one, both)
            }
        });
    }
    let Some((from, networks)) = left else { return Ok(None) };
    // What a service does for the session, such as CloudFormation making what a template says, comes from the service's
    // address. Where the request does not say whether it is such a one, it is not.
    let elsewhere = json!({
        "NotIpAddress": { "aws:SourceIp": one_or_list(&networks) },
        "BoolIfExists": { "aws:ViaAWSService": "false" },
    });
    Ok(Some((from, Statement::whenever(elsewhere))))
}

fn one_or_list<T: ToString>(items: &BTreeSet<T>) -> serde_json::Value {
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    match texts.as_slice() {
        [one] => json!(one),
        many => json!(many),
    }
}
