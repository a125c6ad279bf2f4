//! SAML mechanics without policy: strict gate, signatures, encryption, bindings, canonical writing.
//!
//! Bytes from outside take one road: [`gate`] looks at them before any other parser does, [`signature`] checks them
//! and hands back only what was signed, and [`message`] reads that. [`decrypt`] and [`redirect`] undo the two ways a
//! message can be wrapped; [`metadata`] reads and writes what partners know about each other.
//!
//! What a reply must say to be believed is not decided here but in [`signin::saml`](crate::signin::saml).

pub mod certificate;
pub mod decrypt;
pub mod gate;
pub mod key;
pub mod message;
pub mod metadata;
pub mod names;
pub mod redirect;
pub mod signature;
pub mod write;
