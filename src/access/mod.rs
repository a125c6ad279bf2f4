//! Which roles, for how long and why; the only maker of a `Permit`.
//!
//! [`Policy::compile`] prepares a catalog once. [`Policy::decide`] says what a person may use, [`Policy::permit`] turns
//! one role of that into authority. Both evaluate the rules anew: what was removed is gone at the next click.

mod decision;
mod index;
mod permit;
mod policy;
mod role_set;
#[cfg(test)]
mod tests;

pub use decision::{Decision, Reason, RoleAccess};
pub use permit::{OmittedTag, Permit, SessionTag};
pub use policy::{Denied, Policy, session_tags};
