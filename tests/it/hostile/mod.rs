//! A signer of our own that can lie in every way we know of, and the replies made with it.
//!
//! [`cases::CASES`] are refused, each with its code; [`honest::CASES`] are believed. Both are data, made by a [`Forge`](forge::Forge)
//! for one service provider, request and moment, so the same replies can be judged here and posted to a running broker.

pub mod c14n;
pub mod cases;
pub mod forge;
pub mod honest;
mod judged;
