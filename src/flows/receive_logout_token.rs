//! An OpenID provider tells us, server to server, that somebody has signed out there.
//!
//! No browser is involved: the token says whose sessions end, and whichever replica is told ends them for all.
//!
//! Spec: OpenID Connect Back-Channel Logout 1.0.

use std::sync::Arc;

use jiff::Timestamp;

use super::connectors::oidc::OidcProvider;
use super::connectors::{ConnectorError, Connectors, Provider};
use super::current::CurrentCatalog;
use super::endings::Endings;
use super::judges::{Judges, NoVerdict};
use super::receive_logout::{end_all, first_time};
use super::{Caller, Ground};
use crate::audit::Kind;
use crate::identity::{ConnectorId, VerifiedIdentity};
use crate::signin::oidc::logout::{LogoutToken, LogoutTokenError, judge_logout_token};
use crate::store::{StoreError, sign_out};

/// Judges logout tokens and carries them out.
#[derive(Debug, Clone)]
pub struct ReceiveLogoutToken {
    pub ground: Ground,
    pub catalog: CurrentCatalog,
    pub connectors: Connectors,
    /// Bounds how many tokens are looked at at once; shared with the other judges.
    pub judges: Judges,
    pub endings: Endings,
}

/// Why a token was refused.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("no OpenID connector is called `{0}`")]
    NoConnector(ConnectorId),
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    #[error("the logout token is not believed")]
    Refused(#[from] LogoutTokenError),
    #[error("the logout token {jti} was carried out before")]
    Replayed { jti: String },
    #[error("too many tokens are being judged at once")]
    Busy,
    #[error("judging the token ended in a panic")]
    Panicked,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NoVerdict> for TokenError {
    fn from(none: NoVerdict) -> Self {
        match none {
            NoVerdict::Busy => Self::Busy,
            NoVerdict::Panicked => Self::Panicked,
        }
    }
}

impl TokenError {
    /// The stable word for the audit event.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoConnector(_) => "connector-unknown",
            Self::Connector(error) => error.code(),
            Self::Refused(error) => error.code(),
            Self::Replayed { .. } => "replayed",
            Self::Busy => "busy",
            Self::Panicked => "panicked",
            Self::Store(_) => "store",
        }
    }
}

impl ReceiveLogoutToken {
    /// Judges a token and ends the sessions it names. That nobody is signed in whom it names is no error.
    ///
    /// # Errors
    /// [`TokenError`], which is not recorded yet: see [`record_refusal`](Self::record_refusal).
    pub async fn run(&self, connector: &ConnectorId, token: String, caller: &Caller) -> Result<(), TokenError> {
        let (flow, connector, caller) = (self.clone(), connector.clone(), caller.clone());
        let judged = async move { flow.carry_out(&connector, token, &caller).await };
        self.ground.tasks.uninterrupted(judged).await.unwrap_or(Err(TokenError::Panicked))
    }

    /// Records a refusal with its true cause.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn record_refusal(
        &self,
        connector: &ConnectorId,
        cause: &'static str,
        error: &(dyn std::error::Error + Sync),
        caller: &Caller,
    ) -> Result<(), StoreError> {
        self.ground.record_refusal(Kind::LogoutRefused, connector, cause, error, caller).await
    }

    async fn carry_out(&self, connector: &ConnectorId, token: String, caller: &Caller) -> Result<(), TokenError> {
        let loaded = self.catalog.get().await?;
        // Also when it is disabled: that it signs nobody in is no reason to keep anybody signed in.
        let found = loaded.catalog.connector(connector).filter(|found| found.oidc().is_some());
        let found = found.ok_or_else(|| TokenError::NoConnector(connector.clone()))?;
        let provider = self.connectors.oidc(found, loaded.revision).await?;
        let token = Arc::new(token);
        let known = Provider::Oidc(Arc::clone(&provider));
        let mut judged = self.judge(provider, Arc::clone(&token)).await?;
        if judged.as_ref().is_err_and(LogoutTokenError::is_unknown_key)
            && let Some(Provider::Oidc(fresh)) =
                self.connectors.refresh_for_unknown_key(found, loaded.revision, &known).await
        {
            judged = self.judge(fresh, token).await?;
        }
        self.end_sessions(connector, &judged?, caller).await
    }

    async fn judge(
        &self,
        provider: Arc<OidcProvider>,
        token: Arc<String>,
    ) -> Result<Result<LogoutToken, LogoutTokenError>, TokenError> {
        Ok(self.judges.judge(move |now| judge_logout_token(&token, &provider.settings, now)).await?)
    }

    /// Ends the sessions that a token names; all of it or nothing.
    async fn end_sessions(
        &self,
        connector: &ConnectorId,
        token: &LogoutToken,
        caller: &Caller,
    ) -> Result<(), TokenError> {
        let now: Timestamp = self.ground.clock.now();
        let mut tx = self.ground.store.begin().await?;
        if !first_time(&mut tx, &token.issuer, &token.jti, token.replay_until).await? {
            return Err(TokenError::Replayed { jti: token.jti.clone() });
        }
        let found = match (&token.sub, &token.sid) {
            (Some(sub), sid) => {
                let mut found = sign_out::sessions_of_subject(&mut tx, connector, sub, now).await?;
                found.retain(|(_, identity)| in_session(identity, sid.as_deref()));
                found
            }
            (None, Some(sid)) => sign_out::sessions_of_provider_session(&mut tx, connector, sid, now).await?,
            // The judge lets no such token through.
            (None, None) => Vec::new(),
        };
        end_all(&self.endings, &mut tx, found, caller).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

/// Whether a session was begun in that session of the provider. One whose `sid` we were never told can only be meant by
/// the person.
fn in_session(identity: &VerifiedIdentity, sid: Option<&str>) -> bool {
    sid.is_none_or(|sid| identity.authentication.session_index.as_deref().is_none_or(|ours| ours == sid))
}
