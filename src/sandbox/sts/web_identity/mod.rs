//! Tokens of OpenID providers: reading one, and the keys it may be signed with.
//!
//! This is not the broker's reader, on purpose: what one of them overlooks the other should find.

pub mod jwt;
pub mod keys;
