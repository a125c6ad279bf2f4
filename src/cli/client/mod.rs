//! The commands of a person or a program at any Rolegate: they call the server over HTTP, as everybody else does, and
//! know nothing of its database.

pub mod keyring;
pub mod profiles;
pub mod replace;
pub mod server;
pub mod store;
pub mod surroundings;
pub mod words;
