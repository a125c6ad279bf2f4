//! An OpenID provider of our own that lies wherever it can, against a running broker.
//!
//! [`cases`] are single sign-ins that are refused, each with its code; [`honest`] are unusual ones that are believed;
//! [`stories`] need more than one browser, provider or moment;
//! [`logout`] is what arrives at the back channel.

mod cases;
pub mod forge;
mod honest;
mod judged;
mod logout;
pub mod play;
pub mod provider;
mod stories;
