//! What flows count for `GET /metrics`.

use std::sync::Arc;

use super::issue::IssueFlowError;
use crate::audit::Event;
use crate::issuance::cache::Cache;
use crate::sys::metrics::{Counters, Figure, Page, Source};

/// How a program's wish was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// By a set that was there.
    Kept,
    /// It was sent to STS for a new set.
    Led,
    /// It waited for a set that another request had been sent for.
    Waited,
}

impl Met {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Led => "led",
            Self::Waited => "waited",
        }
    }
}

/// Counts of one broker.
#[derive(Debug)]
pub struct Figures {
    events: Counters<1>,
    wishes: Counters<1>,
    kept: Cache<Arc<IssueFlowError>>,
}

impl Figures {
    #[must_use]
    pub fn new(kept: Cache<Arc<IssueFlowError>>) -> Self {
        Self {
            events: Counters::new(
                "rolegate_events_total",
                "Events meant for the audit log, by kind: sign-ins, issues, refusals.",
                ["kind"],
            ),
            wishes: Counters::new(
                "rolegate_cache_requests_total",
                "Requests of programs for credentials, by how they were met: kept, led to STS, waited for another's.",
                ["met"],
            ),
            kept,
        }
    }

    pub fn event(&self, event: &Event) {
        self.events.count([event.kind.as_str().into()]);
    }

    pub fn wish(&self, met: Met) {
        self.wishes.count([met.as_str().into()]);
    }
}

impl Source for Figures {
    fn tell(&self, page: &mut Page) {
        self.events.tell(page);
        self.wishes.tell(page);
        page.one("rolegate_cache_sets", Figure::Gauge, "Sets of credentials that are kept.", self.kept.len());
    }
}
