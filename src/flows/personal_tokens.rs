//! Somebody makes a token by hand, sees what programs hold for them, and takes it back.

use std::collections::BTreeSet;
use std::time::Duration;

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};

use super::current::CurrentCatalog;
use super::sessions::LiveSession;
use super::tokens::{Tokens, issued, revoked_because};
use super::{Caller, public_id};
use crate::access::{Decision, Scope};
use crate::audit::Kind;
use crate::catalog::{Catalog, Connector, RoleId};
use crate::identity::{Authentication, Demand, Unmet, VerifiedIdentity};
use crate::store::StoreError;
use crate::store::tokens::{self, Authorization, AuthorizationKind};
use crate::sys::{Bearer, BearerKind};

/// How many live personal tokens one person may have.
pub const MOST: usize = 50;
/// How many roles a token may be limited to by name; whoever wants more wants everything.
pub const MOST_ROLES: usize = 200;
/// How many networks a token may be limited to.
pub const MOST_NETWORKS: usize = 20;
/// Letters of a token's name.
pub const LONGEST_NAME: usize = 100;
/// How long ago the person may have proven who they are when they make one. A token outlives the session it was made in
/// by months: whoever finds a browser open, or steals its cookie, must not be able to make themselves one.
pub const RECENT: Duration = Duration::from_secs(15 * 60);

/// Personal tokens.
#[derive(Debug, Clone)]
pub struct PersonalTokens {
    pub tokens: Tokens,
    pub catalog: CurrentCatalog,
}

/// A token as somebody wishes it; each part was read from text already.
#[derive(Debug, Clone)]
pub struct Wish {
    pub name: String,
    pub days: u32,
    pub scope: Scope,
    pub networks: Vec<IpNet>,
}

/// A token that was made. Its text is nowhere else.
#[derive(Debug)]
pub struct Made {
    pub token: Bearer,
    pub authorization: Authorization,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum NotMade {
    #[error("personal tokens are switched off")]
    SwitchedOff,
    #[error("the person was not recognised recently: {0}")]
    SignInAgain(Unmet),
    #[error("the person has {MOST} personal tokens already")]
    TooMany,
    #[error("the person has a personal token of that name already")]
    NameTaken,
    #[error("a token may live {longest} days at most")]
    TooLong { longest: u32 },
    #[error("role {0} is not permitted")]
    NotPermitted(RoleId),
    #[error("making the token ended in a panic")]
    Interrupted,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NotMade {
    /// A stable name for audit events.
    const fn code(&self) -> &'static str {
        match self {
            Self::SwitchedOff => "personal-tokens-off",
            Self::SignInAgain(unmet) => unmet.code(),
            Self::TooMany => "too-many-tokens",
            Self::NameTaken => "name-taken",
            Self::TooLong { .. } => "token-too-long",
            Self::NotPermitted(_) => "not-granted",
            Self::Interrupted => "interrupted",
            Self::Store(_) => "unavailable",
        }
    }
}

/// What making a token asks of the sign-in.
#[must_use]
pub fn demand() -> Demand {
    Demand { max_age: Some(RECENT), ..Demand::default() }
}

impl PersonalTokens {
    /// Whether there are personal tokens here at all.
    #[must_use]
    pub fn allowed(&self) -> bool {
        self.tokens.rules.personal
    }

    /// The longest a token may live, in days.
    #[must_use]
    pub fn longest_days(&self) -> u32 {
        u32::try_from(self.tokens.rules.personal_max.as_hours() / 24).unwrap_or(u32::MAX)
    }

    /// What programs hold for a person now, the newest first.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn of(&self, identity: &VerifiedIdentity) -> Result<Vec<Authorization>, StoreError> {
        let now = self.tokens.ground.clock.now();
        let mut found = self.tokens.ground.store.authorizations_of(&identity.person()).await?;
        found.retain(|authorization| now < authorization.expires);
        Ok(found)
    }

    /// Why somebody has to sign in again before they make a token; `None` when they need not.
    #[must_use]
    pub fn sign_in_too_old(&self, identity: &VerifiedIdentity, catalog: &Catalog) -> Option<Unmet> {
        let skew = catalog.connector(&identity.subject.connector).map(Connector::clock_skew).unwrap_or_default();
        let skew = SignedDuration::from_secs(skew.as_secs().into());
        demand().unmet(&identity.authentication, self.tokens.ground.clock.now(), skew)
    }

    /// Makes a token. It is on record before its text is known to anybody.
    ///
    /// # Errors
    /// [`NotMade`]; the refusal is recorded.
    pub async fn make(&self, session: &LiveSession, wish: Wish, caller: &Caller) -> Result<Made, NotMade> {
        let (flow, session, caller) = (self.clone(), session.clone(), caller.clone());
        let ground = &self.tokens.ground;
        let made = async move { flow.make_or_record(&session, wish, &caller).await };
        ground.tasks.uninterrupted(made).await.unwrap_or(Err(NotMade::Interrupted))
    }

    async fn make_or_record(&self, session: &LiveSession, wish: Wish, caller: &Caller) -> Result<Made, NotMade> {
        let loaded = self.catalog.get().await?;
        let decision = loaded.policy.decide(&session.identity);
        let judged = match self.judge(session, &wish, &loaded.catalog, &decision) {
            Ok(()) => self.keep(session, wish, caller).await,
            Err(refused) => Err(refused),
        };
        let refused = match judged {
            Ok(made) => return Ok(made),
            // A name is a matter of order, not of who may do what: the same form sent twice ends here.
            Err(error @ (NotMade::Store(_) | NotMade::Interrupted | NotMade::NameTaken)) => return Err(error),
            Err(refused) => refused,
        };
        let mut event = caller
            .event(Kind::AccessRefused)
            .about(&session.identity.subject)
            .with("cause", refused.code())
            .with("detail", refused.to_string());
        if let NotMade::NotPermitted(role) = &refused {
            event = event.with("account", role.account.as_str()).with("role_name", role.name.as_str());
        }
        self.tokens.ground.record(&event).await?;
        Err(refused)
    }

    fn judge(&self, session: &LiveSession, wish: &Wish, catalog: &Catalog, decision: &Decision) -> Result<(), NotMade> {
        if !self.allowed() {
            return Err(NotMade::SwitchedOff);
        }
        if let Some(unmet) = self.sign_in_too_old(&session.identity, catalog) {
            return Err(NotMade::SignInAgain(unmet));
        }
        if wish.days > self.longest_days() {
            return Err(NotMade::TooLong { longest: self.longest_days() });
        }
        let mut chosen = wish.scope.roles.iter().flatten();
        match chosen.find(|role| decision.role(role.account, &role.name).is_none()) {
            // Not for safety, since each issue is decided on anew: so that nobody takes a promise for a right.
            Some(role) => Err(NotMade::NotPermitted(role.clone())),
            None => Ok(()),
        }
    }

    async fn keep(&self, session: &LiveSession, wish: Wish, caller: &Caller) -> Result<Made, NotMade> {
        let ground = &self.tokens.ground;
        let now = ground.clock.now();
        let lifetime = SignedDuration::from_hours(24 * i64::from(wish.days));
        let mut identity = VerifiedIdentity::clone(&session.identity);
        // It belongs to the person, not to this session nor to the provider's: it is to live when both have ended.
        identity.authentication =
            Authentication { session_index: None, session_not_on_or_after: None, ..identity.authentication };
        let authorization = Authorization {
            id: public_id(&*ground.rng),
            kind: AuthorizationKind::Personal,
            identity,
            client: String::new(),
            label: wish.name,
            scope: wish.scope,
            networks: wish.networks,
            session: None,
            created: now,
            vouched: session.created,
            expires: now.checked_add(lifetime).unwrap_or(Timestamp::MAX),
            last_used: None,
            last_used_from: None,
            client_address: caller.address.to_string(),
            user_agent: caller.user_agent.clone(),
        };
        let token = Bearer::generate(BearerKind::Personal, &*ground.rng);
        let mut tx = ground.store.begin().await?;
        // Looked at under the lock that writing needs, so that two at once are not both the last.
        let labels = tokens::live_labels(&mut tx, &authorization.identity.person(), authorization.kind, now).await?;
        if labels.contains(&authorization.label) {
            return Err(NotMade::NameTaken);
        }
        if labels.len() >= MOST {
            return Err(NotMade::TooMany);
        }
        tokens::add_authorization(&mut tx, &authorization).await?;
        tokens::add_token(&mut tx, &token.hash(), token.kind(), &authorization.id, now, authorization.expires).await?;
        ground.append(&mut tx, &issued(&authorization, caller)).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { token, authorization })
    }

    /// Takes one of the person's own back. `false`: there is none of that id, or it is not theirs; that is recorded.
    ///
    /// # Errors
    /// The database refuses; it may go on.
    pub async fn revoke_own(&self, identity: &VerifiedIdentity, id: &str, caller: &Caller) -> Result<bool, StoreError> {
        let ground = &self.tokens.ground;
        let mut tx = ground.store.begin().await?;
        let ended = tokens::remove_one_of(&mut tx, &identity.person(), id).await?;
        let event = match &ended {
            Some(ended) => revoked_because("revoked-by-person", ended, caller),
            None => caller
                .event(Kind::AccessRefused)
                .about(&identity.subject)
                .with("token", id)
                .with("cause", "no-such-token"),
        };
        ground.append(&mut tx, &event).await?;
        tx.commit().await?;
        Ok(ended.is_some())
    }
}

/// The networks in a text: addresses and CIDR blocks, parted by spaces, commas or line breaks.
///
/// # Errors
/// The first part that is none.
pub fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let parts = text.split([' ', ',', '\n', '\r', '\t', ';']).filter(|part| !part.is_empty());
    let net = |part: &str| -> Option<IpNet> {
        let net = part.parse::<IpNet>().ok().or_else(|| part.parse::<std::net::IpAddr>().ok().map(IpNet::from))?;
        Some(net.trunc())
    };
    let nets: Result<BTreeSet<IpNet>, String> = parts.map(|part| net(part).ok_or_else(|| part.to_owned())).collect();
    Ok(nets?.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_as_people_write_them() {
        let read = |text: &str| networks(text).map(|nets| nets.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(read("").unwrap(), Vec::<String>::new());
        assert_eq!(
            read("198.51.100.7, 10.1.2.3/8\r\n2001:db8::/32 10.0.0.0/8").unwrap(),
            ["10.0.0.0/8", "198.51.100.7/32", "2001:db8::/32"]
        );
        for (text, wrong) in [("10.0.0.0/33", "10.0.0.0/33"), ("192.0.2.1 office", "office"), ("1.2.3", "1.2.3")] {
            assert_eq!(read(text).unwrap_err(), wrong);
        }
    }
}
