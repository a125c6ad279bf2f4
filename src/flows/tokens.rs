//! Recognising a program by its token, and ending what it was allowed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::endings::By;
use super::{Caller, Ground};
use crate::access::Scope;
use crate::audit::{Event, Kind};
use crate::identity::{ConnectorId, PersonId, VerifiedIdentity};
use crate::store::StoreError;
use crate::store::tokens::{self, Authorization, AuthorizationKind};
use crate::sys::{Bearer, BearerKind};

/// What holds for all tokens.
#[derive(Debug, Clone, Copy)]
pub struct TokenRules {
    /// Whether personal tokens count.
    pub personal: bool,
    /// The longest a personal token may live.
    pub personal_max: SignedDuration,
    /// How long ago the person may have signed in last.
    pub vouched_within: SignedDuration,
    pub access_token: SignedDuration,
    pub sign_in: SignedDuration,
    pub refresh_grace: SignedDuration,
}

/// A token that counts right now.
#[derive(Debug, Clone)]
pub struct LiveToken {
    /// The id of its authorization, for lists and the audit log; opens nothing.
    pub id: String,
    pub kind: AuthorizationKind,
    pub identity: Arc<VerifiedIdentity>,
    pub scope: Scope,
    pub client: String,
    pub label: String,
    pub created: Timestamp,
    pub expires: Timestamp,
}

/// Why a token does not count.
#[derive(Debug, thiserror::Error)]
pub enum TokenRefused {
    #[error("there is no such token, or it was revoked")]
    Unknown,
    #[error("the token has expired")]
    Expired,
    #[error("personal tokens are switched off")]
    SwitchedOff,
    #[error("token {id} may not be used from {from}")]
    Network { id: String, from: IpAddr },
    #[error("the person behind token {id} has not signed in since {vouched}")]
    NotVouched { id: String, vouched: Timestamp },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How stale `last_used` may be: each request need not cost a write.
const TOUCH_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// Tokens of programs.
#[derive(Debug, Clone)]
pub struct Tokens {
    pub ground: Ground,
    pub rules: TokenRules,
    refusals: Refusals,
}

/// What an administrator revokes.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    One(&'a str),
    /// Everything a person allowed.
    Person(&'a PersonId),
    /// Everything anybody allowed who came through it.
    Connector(&'a ConnectorId),
}

/// Lets the refusals of one token for one cause onto the record once a minute, and counts those between: whoever holds a
/// token that does not count can send it a thousand times a second, and what is on record is kept.
#[derive(Debug, Clone, Default)]
struct Refusals(Arc<Mutex<HashMap<(String, &'static str), Told>>>);

#[derive(Debug)]
struct Told {
    at: Timestamp,
    unsaid: u64,
}

const TELL_EVERY: SignedDuration = SignedDuration::from_secs(60);
/// Beyond so many, those that are over are forgotten.
const MANY_REFUSALS: usize = 1_000;

impl Refusals {
    /// How many like it went unsaid since the last one that was recorded; `None` when this one goes unsaid too.
    fn tell(&self, token: &str, cause: &'static str, now: Timestamp) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= MANY_REFUSALS {
            told.retain(|_, told| now.duration_since(told.at) < TELL_EVERY);
        }
        match told.entry((token.to_owned(), cause)) {
            std::collections::hash_map::Entry::Occupied(mut known) => {
                let known = known.get_mut();
                if now.duration_since(known.at) < TELL_EVERY {
                    known.unsaid += 1;
                    return None;
                }
                known.at = now;
                Some(std::mem::take(&mut known.unsaid))
            }
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert(Told { at: now, unsaid: 0 });
                Some(0)
            }
        }
    }
}

/// The event that tells of an ended authorization, and why it ended.
pub(super) fn revoked_because(cause: &'static str, ended: &Authorization, caller: &Caller) -> Event {
    revoked(caller.event(Kind::TokenRevoked), cause, ended)
}

/// The event that tells of a new authorization, before anybody has its token.
pub(super) fn issued(authorization: &Authorization, caller: &Caller) -> Event {
    let roles = authorization.scope.roles.as_ref();
    let networks: Vec<String> = authorization.networks.iter().map(ToString::to_string).collect();
    caller
        .event(Kind::TokenIssued)
        .about(&authorization.identity.subject)
        .with("token", authorization.id.as_str())
        .with("token_kind", authorization.kind.as_str())
        .with("label", authorization.label.as_str())
        .with_some("client", (!authorization.client.is_empty()).then_some(authorization.client.as_str()))
        .with("scope", authorization.scope.to_string())
        .with_some("roles", roles.map(|roles| roles.iter().map(ToString::to_string).collect::<Vec<_>>()))
        .with("networks", networks)
        .with("expires", authorization.expires.to_string())
}

/// As [`revoked_because`], by whoever the event names already.
pub(super) fn revoked(event: Event, cause: &'static str, ended: &Authorization) -> Event {
    event
        .about(&ended.identity.subject)
        .with("token", ended.id.as_str())
        .with("token_kind", ended.kind.as_str())
        .with("label", ended.label.as_str())
        .with("cause", cause)
}

/// Revokes from outside, and gives what was revoked. `by` is who did it.
///
/// # Errors
/// The database refuses; nothing has ended then.
pub async fn revoke_by_admin(ground: &Ground, which: Which<'_>, by: &str) -> Result<Vec<Authorization>, StoreError> {
    let mut tx = ground.store.begin().await?;
    let all = match which {
        Which::One(id) => tokens::remove(&mut tx, id).await?.into_iter().collect(),
        Which::Person(person) => tokens::remove_all_of(&mut tx, person).await?,
        Which::Connector(connector) => tokens::remove_all_through(&mut tx, connector).await?,
    };
    for ended in &all {
        let event = revoked(By::Admin(by).event(Kind::TokenRevoked), "revoked-by-admin", ended);
        ground.append(&mut tx, &event).await?;
    }
    tx.commit().await?;
    Ok(all)
}

/// What programs hold now, for whomever, the newest first.
///
/// # Errors
/// The database refuses.
pub async fn all_live(ground: &Ground) -> Result<Vec<Authorization>, StoreError> {
    let now = ground.clock.now();
    let mut found = ground.store.all_authorizations().await?;
    found.retain(|authorization| now < authorization.expires);
    Ok(found)
}

impl Tokens {
    #[must_use]
    pub fn new(ground: Ground, rules: TokenRules) -> Self {
        Self { ground, rules, refusals: Refusals::default() }
    }

    /// The live token behind what a program sent with a request. Refresh tokens are none.
    ///
    /// # Errors
    /// [`TokenRefused`] says why it does not count. The refusal of one that is live elsewhere or otherwise is recorded,
    /// at most once a minute; that one is mistyped or has expired is how tokens end, and is not.
    pub async fn find(&self, token: &Bearer, caller: &Caller) -> Result<LiveToken, TokenRefused> {
        if token.kind() == BearerKind::Refresh {
            return Err(TokenRefused::Unknown);
        }
        let now = self.ground.clock.now();
        let found = self.ground.store.token(&token.hash(), token.kind()).await?.ok_or(TokenRefused::Unknown)?;
        let scope = found.scope().clone();
        let authorization = found.authorization;
        if now >= found.expires || now >= authorization.expires {
            return Err(TokenRefused::Expired);
        }
        let id = || authorization.id.clone();
        let judged = if authorization.kind == AuthorizationKind::Personal && !self.rules.personal {
            Err(TokenRefused::SwitchedOff)
        } else if !authorization.networks.is_empty()
            && !authorization.networks.iter().any(|net| net.contains(&caller.address))
        {
            Err(TokenRefused::Network { id: id(), from: caller.address })
        } else if authorization.kind != AuthorizationKind::Workload
            && now.duration_since(authorization.vouched) > self.rules.vouched_within
        {
            Err(TokenRefused::NotVouched { id: id(), vouched: authorization.vouched })
        } else {
            Ok(())
        };
        if let Err(refused) = judged {
            if let Some(unsaid) = self.refusals.tell(&authorization.id, refused.code(), now) {
                let event = caller
                    .event(Kind::TokenRefused)
                    .about(&authorization.identity.subject)
                    .with("token", authorization.id.as_str())
                    .with("label", authorization.label.as_str())
                    .with("cause", refused.code())
                    .with("detail", refused.to_string())
                    .with_some("unsaid", (unsaid > 0).then_some(unsaid));
                self.ground.record(&event).await?;
            }
            return Err(refused);
        }
        if authorization.last_used.is_none_or(|at| now.duration_since(at) >= TOUCH_EVERY) {
            self.ground.store.touch_authorization(&authorization.id, &caller.address.to_string(), now).await?;
        }
        Ok(LiveToken {
            id: authorization.id,
            kind: authorization.kind,
            identity: Arc::new(authorization.identity),
            scope,
            client: authorization.client,
            label: authorization.label,
            created: authorization.created,
            expires: found.expires.min(authorization.expires),
        })
    }

    /// Revokes an authorization; one that is gone is no error.
    ///
    /// # Errors
    /// The database refuses; it may go on.
    pub async fn revoke(
        &self,
        id: &str,
        cause: &'static str,
        caller: &Caller,
    ) -> Result<Option<Authorization>, StoreError> {
        let mut tx = self.ground.store.begin().await?;
        let ended = tokens::remove(&mut tx, id).await?;
        if let Some(ended) = &ended {
            self.ground.append(&mut tx, &revoked_because(cause, ended, caller)).await?;
        }
        tx.commit().await?;
        Ok(ended)
    }
}

impl TokenRefused {
    /// A stable name for audit events.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "token-unknown",
            Self::Expired => "token-expired",
            Self::SwitchedOff => "personal-tokens-off",
            Self::Network { .. } => "token-network",
            Self::NotVouched { .. } => "token-not-vouched",
            Self::Store(_) => "unavailable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_one_event_a_minute_that_says_how_many_there_were() {
        let refusals = Refusals::default();
        let start: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let tell =
            |token: &str, seconds| refusals.tell(token, "token-network", start + SignedDuration::from_secs(seconds));
        assert_eq!(tell("one", 0), Some(0));
        assert_eq!((1..60).filter_map(|seconds| tell("one", seconds)).count(), 0);
        assert_eq!(tell("other", 30), Some(0), "each token by itself");
        assert_eq!(refusals.tell("one", "token-not-vouched", start), Some(0), "and each cause");
        assert_eq!((tell("one", 60), tell("one", 200)), (Some(59), Some(0)));
    }

    #[test]
    fn refusals_that_are_over_are_forgotten() {
        let refusals = Refusals::default();
        let start: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        for number in 0..5_000 {
            let now = start + SignedDuration::from_secs(number);
            assert_eq!(refusals.tell(&number.to_string(), "token-network", now), Some(0));
        }
        assert!(refusals.0.lock().unwrap().len() <= MANY_REFUSALS);
    }
}
