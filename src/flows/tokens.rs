//! Recognising a program by its token, and ending what it was allowed.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{Caller, Ground};
use crate::access::Scope;
use crate::audit::{Event, Kind};
use crate::identity::VerifiedIdentity;
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
    pub end_at_sign_out: bool,
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
}

/// The event that tells of an ended authorization, and why it ended.
pub(super) fn revoked_because(cause: &'static str, ended: &Authorization, caller: &Caller) -> Event {
    caller
        .event(Kind::TokenRevoked)
        .about(&ended.identity.subject)
        .with("token", ended.id.as_str())
        .with("token_kind", ended.kind.as_str())
        .with("label", ended.label.as_str())
        .with("cause", cause)
}

impl Tokens {
    /// The live token behind what a program sent with a request. Refresh tokens are none.
    ///
    /// # Errors
    /// [`TokenRefused`] says why it does not count; the refusal of one that exists is recorded.
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
            let event = caller
                .event(Kind::TokenRefused)
                .about(&authorization.identity.subject)
                .with("token", authorization.id.as_str())
                .with("label", authorization.label.as_str())
                .with("cause", refused.code())
                .with("detail", refused.to_string());
            self.ground.record(&event).await?;
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
