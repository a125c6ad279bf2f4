//! What people are told while AWS does not answer: what works, what does not, since when.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::views::{Notice, Tone};
use crate::access::Decision;
use crate::aws::{Partition, Region};
use crate::issuance::{Issuer, StsReach};

/// So many accounts are named; of others it is said how many there are.
const NAMED: usize = 3;

/// AWS does not answer, as far as it concerns somebody's roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    since: Timestamp,
    extent: Extent,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Extent {
    /// Where it should be asked; it is asked in another region, and does.
    Elsewhere,
    /// Of these accounts' roles, by name, but not of all.
    Some(Vec<String>),
    All,
}

/// Whether AWS answers for the roles that somebody may use.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AwsState {
    /// `well`; `elsewhere`: another region is asked than usual, and everything works; `partly-out`: for some accounts nothing new
    /// can be issued just now; `out`: for none.
    pub state: &'static str,
    /// Since when, where it is not well.
    pub since: Option<String>,
}

impl AwsState {
    pub(super) fn of(trouble: Option<&Trouble>) -> Self {
        let state = match trouble.map(|trouble| &trouble.extent) {
            None => "well",
            Some(Extent::Elsewhere) => "elsewhere",
            Some(Extent::Some(_)) => "partly-out",
            Some(Extent::All) => "out",
        };
        Self { state, since: trouble.map(|trouble| trouble.since.to_string()) }
    }
}

impl Trouble {
    /// How AWS fares for these roles; nothing if it is well, which costs a look at a handful of endpoints.
    pub fn of(decision: &Decision, issuer: &Issuer) -> Option<Self> {
        if issuer.is_sts_well() {
            return None;
        }
        let mut known: BTreeMap<(Partition, Option<Region>), StsReach> = BTreeMap::new();
        let (mut out, mut elsewhere, mut well) = (BTreeMap::new(), None::<Timestamp>, false);
        for access in decision.roles() {
            let (role, account) = (access.role(), access.account());
            let region = role.region.as_ref().or(account.region.as_ref());
            let reach = *known
                .entry((account.partition, region.cloned()))
                .or_insert_with(|| issuer.sts_reach(account.partition, region));
            match reach {
                StsReach::Well => well = true,
                StsReach::Elsewhere { since } => elsewhere = Some(elsewhere.map_or(since, |other| other.min(since))),
                StsReach::Out { since } => {
                    out.insert(account.id, (account.name.clone(), since));
                }
            }
        }
        if let Some(since) = out.values().map(|(_, since)| *since).min() {
            let mut names: Vec<String> = out.into_values().map(|(name, _)| name).collect();
            names.sort();
            let extent = if well || elsewhere.is_some() { Extent::Some(names) } else { Extent::All };
            return Some(Self { since, extent });
        }
        elsewhere.map(|since| Self { since, extent: Extent::Elsewhere })
    }

    pub fn notice(&self, now: Timestamp) -> Notice {
        let since = clock(self.since, now);
        match &self.extent {
            Extent::Elsewhere => Notice::new(
                Tone::Info,
                format!(
                    "Part of AWS has not answered since {since}, so Rolegate asks another part of it. Everything works as \
                     usual."
                ),
            ),
            Extent::Some(accounts) => Notice::new(
                Tone::Warning,
                format!(
                    "AWS has not answered for {} since {since}. New credentials and console links there have to wait; your \
                     other accounts work, and so does what you have already. Rolegate keeps trying, and this notice goes \
                     away by itself.",
                    listed(accounts)
                ),
            ),
            Extent::All => Notice::new(
                Tone::Warning,
                format!(
                    "AWS has not answered since {since}. New credentials and console links have to wait until it does; what \
                     you have already keeps working. Rolegate keeps trying, and this notice goes away by itself."
                ),
            ),
        }
    }
}

/// A time of day, with the date where it was not today.
fn clock(at: Timestamp, now: Timestamp) -> String {
    let format =
        if now.duration_since(at) < SignedDuration::from_hours(12) { "%H:%M UTC" } else { "%-d %B, %H:%M UTC" };
    at.strftime(format).to_string()
}

fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        names if names.len() <= NAMED => {
            let (last, first) = names.split_last().expect("there are some");
            format!("{} and {last}", first.join(", "))
        }
        names => format!("{} and {} more accounts", names[..NAMED - 1].join(", "), names.len() - (NAMED - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(extent: Extent, now: &str) -> (String, &'static str) {
        let trouble = Trouble { since: "2026-11-21T14:32:10Z".parse().unwrap(), extent };
        let state = AwsState::of(Some(&trouble)).state;
        (trouble.notice(now.parse().unwrap()).text, state)
    }

    #[test]
    fn people_are_told_what_works_what_does_not_and_since_when() {
        let now = "2026-11-21T14:40:00Z";
        let (text, state) = said(Extent::All, now);
        assert_eq!(state, "out");
        assert!(text.starts_with("AWS has not answered since 14:32 UTC.") && text.contains("keeps working"), "{text}");
        let (text, state) = said(Extent::Elsewhere, now);
        assert_eq!(state, "elsewhere");
        assert!(text.contains("since 14:32 UTC") && text.ends_with("Everything works as usual."), "{text}");
        let names = |count: usize| (0..count).map(|number| format!("Team {number}")).collect::<Vec<_>>();
        for (count, listed) in [
            (1, "for Team 0 since"),
            (3, "for Team 0, Team 1 and Team 2 since"),
            (20, "for Team 0, Team 1 and 18 more accounts since"),
        ] {
            let (text, state) = said(Extent::Some(names(count)), now);
            assert_eq!(state, "partly-out");
            assert!(text.contains(listed) && text.contains("other accounts work"), "{text}");
        }
        assert!(said(Extent::All, "2026-11-23T08:00:00Z").0.contains("since 21 November, 14:32 UTC"));
        for extent in [Extent::All, Extent::Elsewhere, Extent::Some(names(1))] {
            let (text, _) = said(extent, now);
            for jargon in ["STS", "endpoint", "region", "breaker", "throttl"] {
                assert!(!text.contains(jargon), "{text}");
            }
        }
        assert_eq!(AwsState::of(None).state, "well");
    }
}
