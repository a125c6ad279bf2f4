//! Which roles, for how long and why; the only maker of a `Permit`.

mod permit;

pub use permit::{Permit, SessionTag};
