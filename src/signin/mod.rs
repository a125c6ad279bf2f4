//! A stranger becomes a `VerifiedIdentity`.
pub mod saml;
