//! A stranger becomes a `VerifiedIdentity`.
//!
//! A sign-in is a value that is used up step by step: [`SignIn<AwaitingReply>`](SignIn) is made from the attempt the
//! store hands out once, and judging a reply consumes it. What comes out is either an identity or the reason for none.

pub mod oidc;
pub mod saml;
pub mod workload;

use std::fmt;

use url::Url;

/// A message on its way to a provider, in the hands of the browser.
#[derive(Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// To be followed.
    Link(Url),
    /// To be posted as a form with these fields.
    Form { action: Url, fields: Vec<(&'static str, String)> },
}

impl fmt::Debug for Outgoing {
    /// Without the message, which may be a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, place) = match self {
            Self::Link(place) => ("Link", place),
            Self::Form { action, .. } => ("Form", action),
        };
        f.debug_tuple(kind).field(&place.host_str()).finish_non_exhaustive()
    }
}

/// One attribute or claim as it arrived. Only verified bytes are read for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Received {
    /// What it stood in.
    pub source: Source,
    /// As the provider calls it; members of objects by the way to them, as [`ClaimPath`] is written.
    ///
    /// [`ClaimPath`]: crate::catalog::ClaimPath
    pub name: String,
    pub values: Vec<String>,
}

/// What an attribute or claim stood in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    Assertion,
    IdToken,
    Userinfo,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A provider may put anything there, and no log is the place for it.
        f.debug_struct("Received").field("name", &self.name).field("values", &self.values.len()).finish_non_exhaustive()
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
