//! What may be asked of how somebody was recognised.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Authentication;

/// How recently and how strongly a person must have been recognised. Each part that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Demand {
    /// How long ago at most.
    pub max_age: Option<Duration>,
    /// `AuthnContextClassRef` or `acr`: any of these; all will do when empty.
    pub contexts: Vec<String>,
    /// `amr`: at least one of these; all will do when empty.
    pub methods: Vec<String>,
}

/// Why an authentication is not enough.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    #[error("the person was recognised at {instant}, longer ago than {} s", max_age.as_secs())]
    TooOld { instant: Timestamp, max_age: Duration },
    #[error("the provider does not say when the person was recognised")]
    AgeUnknown,
    #[error("the person was recognised by {found:?}, and one of {wanted:?} is asked for")]
    Context { found: Option<String>, wanted: Vec<String> },
    #[error("the person was recognised with {found:?}, and one of {wanted:?} is asked for")]
    Methods { found: Vec<String>, wanted: Vec<String> },
}

impl Unmet {
    /// A stable short name for audit events and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooOld { .. } => "authentication-too-old",
            Self::AgeUnknown => "authentication-age-unknown",
            Self::Context { .. } => "authentication-context-weak",
            Self::Methods { .. } => "authentication-method-weak",
        }
    }
}

impl fmt::Display for Demand {
    /// For operators: `no longer than 900 s ago, by one of ["…"], with one of ["mfa"]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(max_age) = self.max_age {
            parts.push(format!("no longer than {} s ago", max_age.as_secs()));
        }
        if !self.contexts.is_empty() {
            parts.push(format!("by one of {:?}", self.contexts));
        }
        if !self.methods.is_empty() {
            parts.push(format!("with one of {:?}", self.methods));
        }
        f.write_str(&parts.join(", "))
    }
}

impl Demand {
    /// Whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The first part that this authentication does not meet at `now`, with clocks that differ by at most `skew`.
    ///
    /// An instant that is not said is not recent: what cannot be checked is not believed.
    #[must_use]
    pub fn unmet(&self, authentication: &Authentication, now: Timestamp, skew: SignedDuration) -> Option<Unmet> {
        if let Some(max_age) = self.max_age {
            let Some(instant) = authentication.instant else { return Some(Unmet::AgeUnknown) };
            let allowed = SignedDuration::try_from(max_age).unwrap_or(SignedDuration::MAX).saturating_add(skew);
            if now.duration_since(instant) > allowed {
                return Some(Unmet::TooOld { instant, max_age });
            }
        }
        let found = authentication.context_class.as_ref();
        if !self.contexts.is_empty() && !found.is_some_and(|found| self.contexts.contains(found)) {
            return Some(Unmet::Context { found: found.cloned(), wanted: self.contexts.clone() });
        }
        let met = |method| authentication.methods.contains(method);
        if !self.methods.is_empty() && !self.methods.iter().any(met) {
            return Some(Unmet::Methods { found: authentication.methods.clone(), wanted: self.methods.clone() });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn each_part_of_a_demand_must_be_met() {
        let recognised = Authentication {
            instant: Some(at(0)),
            context_class: Some("mfa".into()),
            methods: vec!["pwd".into(), "hwk".into()],
            ..Authentication::default()
        };
        let demand = Demand {
            max_age: Some(Duration::from_secs(900)),
            contexts: vec!["other".into(), "mfa".into()],
            methods: vec!["hwk".into()],
        };
        let skew = SignedDuration::from_secs(60);
        let code = |demand: &Demand, authentication: &Authentication, now| {
            demand.unmet(authentication, now, skew).map(|unmet| unmet.code())
        };
        assert_eq!(code(&demand, &recognised, at(960)), None);
        assert_eq!(code(&demand, &recognised, at(961)), Some("authentication-too-old"));
        let silent = Authentication { instant: None, ..recognised.clone() };
        assert_eq!(code(&demand, &silent, at(0)), Some("authentication-age-unknown"));
        let weak = Authentication { context_class: None, ..recognised.clone() };
        assert_eq!(code(&demand, &weak, at(0)), Some("authentication-context-weak"));
        let password = Authentication { methods: vec!["pwd".into()], ..recognised };
        assert_eq!(code(&demand, &password, at(0)), Some("authentication-method-weak"));
        assert_eq!(code(&Demand::default(), &silent, at(9_999)), None);
        assert!(Demand::default().is_empty() && !demand.is_empty());
    }
}
