//! Who may have something done.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};

use crate::flows::principal::Principal;
use crate::web::problem::{Kind, Problem};
use crate::web::session::{Cookies, csrf_matches};

/// Somebody who asks for something to be done: a program by its token, or a browser that proves that a page of ours asks.
///
/// A token is sent by whoever holds it, but a cookie is sent by the browser whoever made it ask. So a session needs what
/// no other site's page can have: our own origin in the headers that pages cannot write, and in `X-CSRF-Token` the value
/// that `GET /api/v1/me` told, which only our own pages can read.
#[derive(Debug)]
pub struct Acting(pub Principal);

impl FromRequest for Acting {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let principal = Principal::from_request(request, payload).into_inner();
        std::future::ready(principal.and_then(|principal| judge(request, principal)))
    }
}

fn judge(request: &HttpRequest, principal: Principal) -> Result<Acting, Problem> {
    if let Principal::Session(session) = &principal {
        let cookies = request.app_data::<web::Data<Cookies>>().expect("the application sets its cookies");
        cookies.same_origin(request.headers())?;
        let sent = request.headers().get("x-csrf-token").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !csrf_matches(&session.token, sent) {
            return Err(Problem::new(Kind::CrossSite).detail(
                "With a browser's session, send the `csrf` value of GET /api/v1/me in the header X-CSRF-Token. Nothing \
                 was done.",
            ));
        }
    }
    Ok(Acting(principal))
}
