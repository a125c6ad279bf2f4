//! Which roles, for how long and why; the only maker of a `Permit`.
//!
//! [`Policy::compile`] prepares a catalog once. [`Policy::decide`] says what a person may use, [`Policy::permit`] turns
//! one role of that into authority, and [`explain()`] says in words why, and why not. All three evaluate the rules
//! anew: what was removed is gone at the next click.

mod decision;
mod explain;
mod index;
mod means;
mod permit;
mod policy;
mod role_set;
mod scope;
#[cfg(test)]
mod tests;

pub use decision::{Decision, Reason, RoleAccess};
pub use explain::{
    AskedAuthentication, Bearing, ConditionAnswer, Explanation, LimitAnswer, PermittedRole, RoleAnswer, RuleAnswer,
    explain,
};
pub use means::{Entry, Federation, Hop, Means};
pub use permit::{Limit, OmittedTag, Permit, SessionTag, Terms};
pub use policy::{Asked, Denied, Policy, session_tags};
pub use scope::{Scope, UnknownScope};
