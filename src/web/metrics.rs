//! `GET /metrics`: figures for a monitoring system.
//!
//! They tell how much a company works and which regions it works in, which is nobody's business at an address that everybody
//! reaches. So they are to be had by a token there, or at an address of their own that the network guards. That a caller is on this very machine
//! proves nothing: behind a proxy everybody is.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use openssl::sha::sha256;

use super::problem::{Kind, Problem};
use crate::sys::metrics::{CONTENT_TYPE, Registry};
use crate::sys::{ExposeSecret as _, SecretString};

/// What there is to tell, and to whom.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    /// The hash of the token that opens it.
    token: Option<[u8; 32]>,
}

impl Metrics {
    #[must_use]
    pub fn new(registry: Registry, token: Option<&SecretString>) -> Self {
        Self { registry, token: token.map(|token| sha256(token.expose_secret().as_bytes())) }
    }
}

/// `GET /metrics`, with the token of the settings.
///
/// # Errors
/// No token is set, or another one was sent.
pub async fn show(request: HttpRequest, metrics: web::Data<Metrics>) -> Result<HttpResponse, Problem> {
    let Some(expected) = &metrics.token else {
        return Err(Problem::new(Kind::NotFound)
            .detail("Figures are not to be had here. Whoever runs Rolegate can set metrics.listen or metrics.token."));
    };
    let sent = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let sent = sent.and_then(|value| value.strip_prefix(b"Bearer "));
    if sent.is_some_and(|sent| openssl::memcmp::eq(&sha256(sent), expected)) {
        return Ok(page(&metrics));
    }
    Err(Problem::new(Kind::TokenRefused).detail("Send the token of the setting metrics.token as a bearer token."))
}

/// The same to whoever reaches the address that has nothing else.
pub async fn show_openly(metrics: web::Data<Metrics>) -> HttpResponse {
    page(&metrics)
}

fn page(metrics: &Metrics) -> HttpResponse {
    HttpResponse::Ok().content_type(CONTENT_TYPE).body(metrics.registry.page())
}
