//! What happened, in a chain nobody can edit unseen.
//!
//! An [`Event`] is built by the flow that made it happen, appended in the flow's own transaction, and linked to the
//! event before it: `hash = HMAC-SHA-256(chain key, previous hash ‖ seq ‖ time ‖ length-prefixed kind, subject,
//! reference, body)`. The chain key is derived from the sealing key, so somebody who can write to the database but
//! does not hold that key can neither change, remove nor insert an event without `rolegate audit verify` saying so.
//! Cutting off the newest events is seen by whoever kept a later [`Head`]: `verify` prints it, the log shows it.

mod chain;
mod event;

pub use chain::{Chain, ChainKey, Head, Link, VerifyError};
pub use event::{Event, Kind};
