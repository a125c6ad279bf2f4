//! AWS STS: what it is asked ([`operation`]), where and how often ([`client`]), and why it refuses ([`error`]).

mod addresses;
mod assume_role;
mod assume_role_with_saml;
mod assume_role_with_web_identity;
mod client;
mod error;
mod get_federation_token;
mod get_session_token;
mod http;
mod operation;
mod reason;

pub use addresses::Addresses;
pub(super) use assume_role::AssumeRole;
pub(super) use assume_role_with_saml::AssumeRoleWithSaml;
pub(super) use assume_role_with_web_identity::AssumeRoleWithWebIdentity;
pub use client::{Sts, StsSettings};
pub use error::{Refusal, StsError};
pub(super) use get_federation_token::GetFederationToken;
pub(super) use get_session_token::GetSessionToken;
pub(super) use operation::{Answer, LongTermKey, Operation};
pub use reason::{Explanation, Reason};

#[cfg(test)]
mod tests;
