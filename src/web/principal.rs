//! The gate of addresses that programs and browsers share: a bearer token, else a session.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, web};

use super::caller;
use super::problem::{Kind, Problem};
use super::session::Cookies;
use crate::flows::principal::Principal;
use crate::flows::sessions::Sessions;
use crate::flows::tokens::{LiveToken, TokenRefused, Tokens};
use crate::sys::Bearer;

/// Lets in whoever has a live token or a live session. A request that names a token stands or falls with it: its cookie,
/// if there is one, is not looked at.
pub(super) async fn require_principal<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let found = match bearer_in(request.request()) {
        Some(text) => token(request.request(), &text).await.map(Principal::Token),
        None => session(request.request()).await,
    };
    match found {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            Ok(next.call(request).await?.map_into_boxed_body())
        }
        Err(problem) => Ok(request.error_response(problem)),
    }
}

/// What follows `Bearer` in the `Authorization` header; another scheme's credentials are none that we know.
fn bearer_in(request: &HttpRequest) -> Option<String> {
    let mut values = request.headers().get_all(header::AUTHORIZATION);
    let value = values.next()?;
    if values.next().is_some() {
        // Two readers could take different ones.
        return Some(String::new());
    }
    let text = value.to_str().unwrap_or("");
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    Some(if scheme.eq_ignore_ascii_case("bearer") { token.trim().to_owned() } else { String::new() })
}

/// The live token that a text is.
///
/// # Errors
/// [`Kind::TokenRefused`], or the database refuses.
pub(super) async fn token(request: &HttpRequest, text: &str) -> Result<LiveToken, Problem> {
    let tokens = request.app_data::<web::Data<Tokens>>().expect("the application sets its tokens").clone();
    let token = Bearer::parse(text).ok_or(TokenRefused::Unknown)?;
    Ok(tokens.find(&token, &caller(request)).await?)
}

async fn session(request: &HttpRequest) -> Result<Principal, Problem> {
    let cookies = request.app_data::<web::Data<Cookies>>().expect("the application sets its cookies");
    let sessions = request.app_data::<web::Data<Sessions>>().expect("the application sets its sessions").clone();
    let token = cookies.session_token(request).ok_or_else(|| Problem::new(Kind::SignInRequired))?;
    let session = sessions.find(token).await?.ok_or_else(|| Problem::new(Kind::SignInRequired))?;
    Ok(Principal::Session(session))
}

/// Put there by the gate of the route; see `web::routes`.
impl FromRequest for Principal {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let principal = request.extensions().get::<Self>().cloned();
        std::future::ready(principal.ok_or_else(|| Problem::new(Kind::SignInRequired)))
    }
}

impl From<TokenRefused> for Problem {
    fn from(error: TokenRefused) -> Self {
        let problem = match &error {
            TokenRefused::Store(_) => Self::new(Kind::Unavailable),
            TokenRefused::Unknown | TokenRefused::Expired => Self::new(Kind::TokenRefused),
            TokenRefused::SwitchedOff => Self::new(Kind::TokenRefused).detail("Personal tokens are switched off here."),
            TokenRefused::Network { .. } => {
                Self::new(Kind::TokenRefused).detail("This token may not be used from your network address.")
            }
            TokenRefused::NotVouched { .. } => Self::new(Kind::TokenRefused).detail(
                "It is too long since you last signed in with a browser. Sign in once, and this token counts again.",
            ),
        };
        problem.caused_by(error)
    }
}
