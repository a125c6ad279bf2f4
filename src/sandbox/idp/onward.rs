//! Sending a browser on, with a message for whoever is there.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, LOCATION};

use crate::sandbox::pages;

/// How the browser came here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrived {
    ByLink,
    ByForm,
}

/// Where a browser goes next, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Onward {
    /// To an address.
    To(String),
    /// With a form that a page of ours sends off.
    Post { action: String, fields: Vec<(&'static str, String)> },
}

impl Onward {
    /// A browser applies the policy of a page to all redirects that follow one of its forms, so a form of anybody's is
    /// answered with a page that leads on and never with a redirect.
    pub fn send(&self, arrived: Arrived) -> HttpResponse {
        match (self, arrived) {
            (Self::To(url), Arrived::ByLink) => HttpResponse::SeeOther()
                .insert_header((LOCATION, url.as_str()))
                .insert_header((CACHE_CONTROL, "no-store"))
                .insert_header(("Referrer-Policy", "no-referrer"))
                .finish(),
            (Self::To(url), Arrived::ByForm) => pages::go_on(url),
            (Self::Post { action, fields }, _) => pages::send_fields(action, fields),
        }
    }
}
