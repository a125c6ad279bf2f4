//! A stranger becomes a `VerifiedIdentity`.
//!
//! A sign-in is a value that is used up step by step: [`SignIn<AwaitingReply>`](SignIn) is made from the attempt the
//! store hands out once, and judging a reply consumes it. What comes out is either an identity or the reason for none.

pub mod saml;

/// One sign-in at one of its steps.
#[derive(Debug)]
pub struct SignIn<Step> {
    step: Step,
}
