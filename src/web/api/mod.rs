//! Answers for programs, under `/api/v1`: who somebody is, what they may use, and using it.
//!
//! A program shows a token (`Authorization: Bearer …`); a page of ours has its session, and for whatever does something the
//! proof that it is ours, see [`acting`]. Each request is read strictly: a member or parameter that nobody knows is a
//! mistake somebody should hear of, and not a wish that is quietly left out.

mod acting;
pub mod aws_config;
mod body;
pub mod issue;
pub mod me;
pub mod openapi;
pub mod roles;
mod scope_down;

pub use acting::Acting;

use actix_web::HttpRequest;

use super::fields::Fields;
use super::problem::{Kind, Problem};

/// The query of a request that may hold these parameters and no others.
fn query(request: &HttpRequest, known: &[&str]) -> Result<Fields, Problem> {
    let fields = Fields::of_query(request)?;
    fields.only(known)?;
    Ok(fields)
}

/// A parameter or member that cannot be what was sent.
fn wrong(sentence: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(Kind::BadRequest).detail(sentence)
}

/// A parameter that is true or false; false when it was not sent.
fn switch(fields: &Fields, name: &'static str) -> Result<bool, Problem> {
    match fields.get(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(wrong(format!("`{name}` is true or false."))),
    }
}
