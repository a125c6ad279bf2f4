//! SAML mechanics without policy: strict gate, signatures, encryption, bindings, canonical writing.

pub mod key;
pub mod write;
