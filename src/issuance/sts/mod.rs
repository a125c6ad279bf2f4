//! AWS STS: what it is asked ([`operation`]), where and how often ([`client`]), and why it refuses ([`error`]).

mod addresses;
mod assume_role_with_saml;
mod assume_role_with_web_identity;
mod client;
mod error;
mod http;
mod operation;

pub use addresses::Addresses;
pub(super) use assume_role_with_saml::AssumeRoleWithSaml;
pub(super) use assume_role_with_web_identity::AssumeRoleWithWebIdentity;
pub use client::{Sts, StsSettings};
pub use error::{DeniedAction, Refusal, StsError};
pub(super) use operation::{Answer, Operation};

#[cfg(test)]
mod tests;
