//! Routes, extractors, problems, pages.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};

use self::problem::{Kind, Problem};
use crate::flows::Caller;

pub mod api;
pub mod assets;
pub mod aws;
pub mod context;
pub mod fields;
pub mod health;
pub mod limits;
pub mod picker;
pub mod problem;
pub mod roles;
pub mod routes;
pub mod saml;
pub mod session;
pub mod sign_in;
pub mod views;

/// A page.
fn page(view: &impl askama::Template) -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(views::html(view))
}

/// 303, so that a reload does not post again.
fn see_other(location: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, location)).finish()
}

/// Where a request came from.
fn caller(request: &HttpRequest) -> Caller {
    let user_agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("");
    Caller {
        address: context::client_address(request),
        user_agent: user_agent.chars().take(300).collect(),
        request_id: context::request_id(request),
    }
}

/// Something that cannot go wrong did.
fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Problem {
    Problem::new(Kind::Internal).caused_by(error)
}
