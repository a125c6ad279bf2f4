//! Leaving, here and at the identity provider.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};

use super::arrival::connector_id;
use super::context::policy_towards_provider;
use super::fields::{Fields, FormError, read_form, read_reply};
use super::limits::Limits;
use super::problem::{Kind, Problem};
use super::session::{Cookies, CsrfForm, SignedIn};
use super::views::{Reach, Shell};
use super::{To, caller, page, see_other, views};
use crate::flows::current::CurrentCatalog;
use crate::flows::receive_logout::{ReceiveError, ReceiveLogout, Received};
use crate::flows::receive_logout_token::{ReceiveLogoutToken, TokenError};
use crate::flows::sessions::Sessions;
use crate::flows::sign_out::{Onward, SignOut, SignOutError};
use crate::identity::ConnectorId;
use crate::saml::redirect::{Carries, RedirectError};
use crate::signin::Outgoing;
use crate::signin::saml::logout::{Confirmation, Evidence};
use crate::store::StoreError;
use crate::sys::Token;

/// `POST /sign-out`: ends the session here, then leads on to the identity provider where that offers it.
///
/// # Errors
/// The database refuses; then the session may go on, and the person is told so.
pub async fn sign_out(
    request: HttpRequest,
    user: SignedIn,
    _form: CsrfForm,
    flow: web::Data<SignOut>,
    catalog: web::Data<CurrentCatalog>,
    cookies: web::Data<Cookies>,
) -> Result<HttpResponse, Problem> {
    let connector = &user.0.identity.subject.connector;
    let onward = flow.run(&user.0, &caller(&request)).await?;
    let mut response = match &onward {
        Onward::ToProvider(outgoing) => leading_on(&name_or_id(&catalog, connector).await?, outgoing, false),
        Onward::NotOffered => see_other(&To::SignedOut(connector, Reach::NotOffered)),
        Onward::Unreachable => see_other(&To::SignedOut(connector, Reach::Unreachable)),
    };
    response.add_cookie(&cookies.forget_session()).map_err(super::internal)?;
    // Pages that the back button would bring up again go with the session.
    let clear = HeaderName::from_static("clear-site-data");
    response.headers_mut().insert(clear, HeaderValue::from_static("\"cache\""));
    Ok(response)
}

/// `GET /signed-out?connector=&reach=`: how far a sign-out reached.
///
/// # Errors
/// The database refuses.
pub async fn signed_out(
    request: HttpRequest,
    catalog: web::Data<CurrentCatalog>,
    sessions: web::Data<Sessions>,
    cookies: web::Data<Cookies>,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::of_query(&request)?;
    let connector = fields.get("connector").map(str::to_owned).or_else(|| cookies.last_connector(&request));
    let connector = match connector.and_then(|id| id.parse().ok()) {
        Some(id) => name(&catalog, &id).await?,
        None => None,
    };
    // Anybody can make this address, and somebody may have signed in since: what is claimed is what is so.
    let back_again = match cookies.session_token(&request) {
        Some(token) => sessions.find(token).await?.is_some(),
        None => false,
    };
    let reach = Reach::parse(fields.get("reach").unwrap_or(""));
    let (shell, sign_in_href) = (Shell::default(), "/sign-in?choose=1".to_owned());
    Ok(page(&views::SignedOut { shell, reach, connector, back_again, sign_in_href }))
}

/// `GET /saml/{connector}/slo`: a logout message by redirect. Often cross-site or in a frame; nothing here trusts a
/// cookie.
///
/// # Errors
/// Everything a message can be refused for; the page says little, the audit event everything.
pub async fn slo_redirect(
    request: HttpRequest,
    path: web::Path<String>,
    flow: web::Data<ReceiveLogout>,
    catalog: web::Data<CurrentCatalog>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    let connector = connector_id(&path)?;
    limits.sign_in(super::context::client_address(&request))?;
    // The octets as they came: the signature is over them.
    let query = request.query_string();
    let carries = match Carries::of(query) {
        Ok(carries) => carries,
        Err(error) => {
            flow.record_refusal(&connector, error.code(), &error, &caller(&request)).await?;
            return Err(error.into());
        }
    };
    let evidence = Evidence::Redirect(query.to_owned());
    let received = flow.run(&connector, carries, evidence, &caller(&request)).await?;
    answer(&catalog, &connector, received).await
}

/// `POST /saml/{connector}/slo`: a logout message as a form. Cross-site by nature; nothing here trusts a cookie.
///
/// # Errors
/// As [`slo_redirect`].
pub async fn slo_post(
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
    flow: web::Data<ReceiveLogout>,
    catalog: web::Data<CurrentCatalog>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    let connector = connector_id(&path)?;
    limits.sign_in(super::context::client_address(&request))?;
    // Read here and not by an extractor: what cannot be read is refused too, and every refusal is recorded.
    let (carries, evidence) = match message_in(&request, payload).await {
        Ok(message) => message,
        Err(error) => {
            flow.record_refusal(&connector, error.code(), &error, &caller(&request)).await?;
            return Err(error.into());
        }
    };
    let received = flow.run(&connector, carries, evidence, &caller(&request)).await?;
    answer(&catalog, &connector, received).await
}

async fn message_in(request: &HttpRequest, payload: web::Payload) -> Result<(Carries, Evidence), FormError> {
    let (fields, _place) = read_reply(request, &mut payload.into_inner()).await?;
    let value = |carries: Carries| fields.get(carries.parameter()).map(str::to_owned);
    let (carries, message) = match (value(Carries::Request), value(Carries::Response)) {
        (Some(request), None) => (Carries::Request, request),
        (None, Some(response)) => (Carries::Response, response),
        (Some(_), Some(_)) => return Err(FormError::Repeated("SAMLRequest and SAMLResponse".to_owned())),
        (None, None) => return Err(FormError::Missing(Carries::Request.parameter())),
    };
    let relay_state = fields.get("RelayState").map(str::to_owned);
    Ok((carries, Evidence::Post { message, relay_state }))
}

/// What the browser gets after a message was believed.
async fn answer(
    catalog: &CurrentCatalog,
    connector: &ConnectorId,
    received: Received,
) -> Result<HttpResponse, Problem> {
    let reach = match received {
        Received::CarriedOut(Some(Outgoing::Link(place))) => return Ok(see_other(&To::Logout(&place))),
        Received::CarriedOut(Some(form)) => return Ok(leading_on(&name_or_id(catalog, connector).await?, &form, true)),
        Received::CarriedOut(None) | Received::Confirmed(Confirmation::Complete) => Reach::Everywhere,
        Received::Confirmed(Confirmation::Partial) => Reach::Partly,
        Received::Unconfirmed => Reach::Unconfirmed,
    };
    Ok(see_other(&To::SignedOut(connector, reach)))
}

/// The page that takes a message on to the provider.
///
/// Browsers hold a page's `form-action` against the redirects that follow its form, and identity providers are not in it:
/// so the answer to the button is a page that leads on by itself.
fn leading_on(connector: &str, outgoing: &Outgoing, answer: bool) -> HttpResponse {
    let shell = Shell::default();
    let (title, lead) = if answer {
        ("You are signed out here".to_owned(), format!("{connector} asked for it and is being told."))
    } else {
        (format!("Signing you out at {connector}"), "Your session here has ended.".to_owned())
    };
    let lead = format!("{lead} If this page stays, please go on by hand.");
    let onward = format!("Go on to {connector}");
    match outgoing {
        Outgoing::Link(place) => page(&views::Onward { shell, title, lead, href: place.to_string(), link: onward }),
        Outgoing::Form { action, fields } => {
            let (place, fields) = (action.to_string(), fields.clone());
            let form = views::OnwardByForm { shell, title, lead, action: place, fields, button: onward };
            let mut response = page(&form);
            response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy_towards_provider(action, answer));
            response
        }
    }
}

/// `GET /oidc/{connector}/signed-out?state=`: the provider sends the browser back from signing out there.
///
/// Anybody may come here; without a sign-out that we began nothing is claimed.
///
/// # Errors
/// Too many requests, or the database refuses.
pub async fn sent_back(
    request: HttpRequest,
    path: web::Path<String>,
    flow: web::Data<SignOut>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    let connector = connector_id(&path)?;
    limits.sign_in(super::context::client_address(&request))?;
    let known = match Fields::of_query(&request)?.get("state").and_then(Token::parse) {
        Some(state) => flow.came_back(&connector, &state).await?,
        None => false,
    };
    Ok(see_other(&To::SignedOut(&connector, if known { Reach::SentBack } else { Reach::Unknown })))
}

/// `POST /oidc/{connector}/backchannel-logout`: the provider itself says that somebody has signed out there.
///
/// Only what is refused counts against the caller's rate of sign-ins: a provider signs out a whole company from one
/// address. For that there is a rate of its own, many times as high.
///
/// # Errors
/// What is no fault of the token: then the provider may try again.
pub async fn backchannel_logout(
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
    flow: web::Data<ReceiveLogoutToken>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    let connector = connector_id(&path)?;
    limits.told(super::context::client_address(&request))?;
    let fault = match logout_token_in(&request, payload).await {
        Err(error) => Fault::Form(error),
        Ok(token) => match flow.run(&connector, token, &caller(&request)).await {
            Ok(()) => return Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).finish()),
            Err(error) => Fault::Token(error),
        },
    };
    limits.sign_in(super::context::client_address(&request))?;
    let (cause, error): (_, &(dyn std::error::Error + Sync)) = match &fault {
        Fault::Form(error) => (error.code(), error),
        Fault::Token(error) => (error.code(), error),
    };
    flow.record_refusal(&connector, cause, error, &caller(&request)).await?;
    match fault {
        Fault::Form(FormError::NoPlace) => Err(FormError::NoPlace.into()),
        Fault::Token(TokenError::Refused(_) | TokenError::Replayed { .. }) | Fault::Form(_) => Ok(bad_token()),
        Fault::Token(error) => Err(error.into()),
    }
}

enum Fault {
    Form(FormError),
    Token(TokenError),
}

async fn logout_token_in(request: &HttpRequest, payload: web::Payload) -> Result<String, FormError> {
    let fields = read_form(request, &mut payload.into_inner()).await?;
    fields.need("logout_token").map(str::to_owned)
}

/// What the provider is told, in the form its specification has for it (Back-Channel Logout 1.0, section 2.8).
fn bad_token() -> HttpResponse {
    HttpResponse::BadRequest().insert_header((CACHE_CONTROL, "no-store")).json(serde_json::json!({
        "error": "invalid_request",
        "error_description": "The logout token was not accepted. The audit log has the cause under this X-Request-Id.",
    }))
}

async fn name(catalog: &CurrentCatalog, connector: &ConnectorId) -> Result<Option<String>, StoreError> {
    Ok(catalog.get().await?.catalog.connector(connector).map(|found| found.name.clone()))
}

async fn name_or_id(catalog: &CurrentCatalog, connector: &ConnectorId) -> Result<String, StoreError> {
    Ok(name(catalog, connector).await?.unwrap_or_else(|| connector.to_string()))
}

impl From<SignOutError> for Problem {
    fn from(error: SignOutError) -> Self {
        match error {
            SignOutError::Store(error) => error.into(),
            SignOutError::Interrupted => Self::new(Kind::Internal).caused_by(error),
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let kind = match error {
            TokenError::Store(error) => return error.into(),
            TokenError::Connector(error) => return error.into(),
            TokenError::NoConnector(_) => Kind::ConnectorUnknown,
            TokenError::Busy => {
                return Self::new(Kind::TooManyRequests)
                    .retry_after(std::time::Duration::from_secs(5))
                    .caused_by(error);
            }
            TokenError::Panicked => Kind::Internal,
            TokenError::Refused(_) | TokenError::Replayed { .. } => Kind::SignOutRefused,
        };
        Self::new(kind).caused_by(error)
    }
}

impl From<RedirectError> for Problem {
    fn from(error: RedirectError) -> Self {
        Self::new(Kind::SignOutRefused).caused_by(error)
    }
}

impl From<ReceiveError> for Problem {
    fn from(error: ReceiveError) -> Self {
        let kind = match error {
            ReceiveError::Store(error) => return error.into(),
            ReceiveError::Connector(error) => return error.into(),
            ReceiveError::NoConnector(_) => Kind::ConnectorUnknown,
            ReceiveError::Busy => {
                return Self::new(Kind::TooManyRequests)
                    .retry_after(std::time::Duration::from_secs(5))
                    .caused_by(error);
            }
            ReceiveError::Answer(_) | ReceiveError::Panicked => Kind::Internal,
            ReceiveError::Unsolicited
            | ReceiveError::AttemptExpired
            | ReceiveError::OtherConnector
            | ReceiveError::Refused(_)
            | ReceiveError::Replayed { .. } => Kind::SignOutRefused,
        };
        Self::new(kind).caused_by(error)
    }
}
