//! Who asks: somebody in a browser, or a program on their behalf.

use std::sync::Arc;

use super::sessions::LiveSession;
use super::tokens::LiveToken;
use crate::access::Scope;
use crate::identity::VerifiedIdentity;

/// Who asks.
#[derive(Debug, Clone)]
pub enum Principal {
    Session(LiveSession),
    Token(LiveToken),
}

impl Principal {
    #[must_use]
    pub fn identity(&self) -> &Arc<VerifiedIdentity> {
        match self {
            Self::Session(session) => &session.identity,
            Self::Token(token) => &token.identity,
        }
    }

    /// What may be done on the person's behalf; in a browser, everything.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self {
            Self::Session(_) => Scope::FULL,
            Self::Token(token) => token.scope.clone(),
        }
    }

    /// The id of the token's authorization, for the audit log.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        match self {
            Self::Session(_) => None,
            Self::Token(token) => Some(&token.id),
        }
    }
}
