//! A stranger becomes a `VerifiedIdentity`.
//!
//! A sign-in is a value that is used up step by step: [`SignIn<AwaitingReply>`](SignIn) is made from the attempt the
//! store hands out once, and judging a reply consumes it. What comes out is either an identity or the reason for none.

pub mod oidc;
pub mod saml;

use url::Url;

/// A message on its way to a provider, in the hands of the browser.
#[derive(Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// To be followed.
    Link(Url),
    /// To be posted as a form with these fields.
    Form { action: Url, fields: Vec<(&'static str, String)> },
}

impl std::fmt::Debug for Outgoing {
    /// Without the message, which may be a token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, place) = match self {
            Self::Link(place) => ("Link", place),
            Self::Form { action, .. } => ("Form", action),
        };
        f.debug_tuple(kind).field(&place.host_str()).finish_non_exhaustive()
    }
}

/// One sign-in at one of its steps.
#[derive(Debug)]
pub struct SignIn<Step> {
    step: Step,
}

/// Somebody was sent away and has not come back.
#[derive(Debug)]
pub struct AwaitingReply<Attempt> {
    attempt: Attempt,
}

/// Somebody came back with a reply that was believed.
#[derive(Debug)]
pub struct Verified<Reply> {
    reply: Reply,
}

impl<Attempt> SignIn<AwaitingReply<Attempt>> {
    /// Takes up an attempt that the store has just handed out.
    #[must_use]
    pub fn resume(attempt: Attempt) -> Self {
        Self { step: AwaitingReply { attempt } }
    }
}

impl<Reply> SignIn<Verified<Reply>> {
    #[must_use]
    pub fn reply(&self) -> &Reply {
        &self.step.reply
    }

    #[must_use]
    pub fn into_reply(self) -> Reply {
        self.step.reply
    }
}
