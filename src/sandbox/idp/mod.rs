//! An identity provider for development: no passwords, one click per person, real signatures.

pub mod saml;
