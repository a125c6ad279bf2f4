//! The front page for people who open the STS endpoint in a browser, and the files pages need.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};

use super::{State, pages};

pub fn page(state: &State) -> HttpResponse {
    pages::landing(state)
}

/// `GET /static/sandbox.css`
pub async fn style() -> HttpResponse {
    file("text/css; charset=utf-8", include_str!("../../static/sandbox/sandbox.css"))
}

/// `GET /static/sandbox.js`
pub async fn script() -> HttpResponse {
    file("text/javascript; charset=utf-8", include_str!("../../static/sandbox/sandbox.js"))
}

/// `GET /favicon.ico`
pub async fn icon() -> HttpResponse {
    file("image/svg+xml", include_str!("../../static/sandbox/icon.svg"))
}

fn file(content_type: &'static str, body: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, content_type))
        .insert_header((CACHE_CONTROL, "max-age=300"))
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .body(body)
}
