//! Choosing a connector, and leaving.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::fields::Fields;
use super::problem::Problem;
use super::session::{Cookies, CsrfForm, SignedIn};
use super::{To, caller, page, see_other, views};
use crate::flows::current::CurrentCatalog;
use crate::flows::sessions::Sessions;
use crate::sys::LocalPath;

/// `GET /sign-in?return_to=`: the ways in, the one used last first.
///
/// # Errors
/// The database refuses.
pub async fn choose(
    request: HttpRequest,
    catalog: web::Data<CurrentCatalog>,
    cookies: web::Data<Cookies>,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::of_query(&request)?;
    let return_to = LocalPath::parse_or_home(fields.get("return_to"));
    let loaded = catalog.get().await?;
    let last = cookies.last_connector(&request);
    let mut connectors: Vec<views::ConnectorChoice> = loaded
        .catalog
        .connectors()
        .filter(|connector| connector.enabled)
        .map(|connector| views::ConnectorChoice {
            name: connector.name.clone(),
            href: start_address(connector.id.as_str(), &return_to),
            host: String::new(),
            last_used: last.as_deref() == Some(connector.id.as_str()),
        })
        .collect();
    connectors.sort_by(|a, b| b.last_used.cmp(&a.last_used).then_with(|| a.name.cmp(&b.name)));
    let mut shell = views::Shell::default();
    // Whoever comes with an old cookie was signed in before: say why they are here.
    if cookies.session_token(&request).is_some() && fields.get("return_to").is_some() {
        let text = "Your session has ended. Sign in again to go on where you were.";
        shell.notices.push(views::Notice::new(views::Tone::Info, text));
    }
    Ok(page(&views::SignIn { shell, connectors }))
}

fn start_address(connector: &str, return_to: &LocalPath) -> String {
    let encoded: String = url::form_urlencoded::byte_serialize(return_to.as_str().as_bytes()).collect();
    format!("/saml/{connector}/start?return_to={encoded}")
}

/// `POST /sign-out`: ends the session here.
///
/// # Errors
/// The database refuses; then the session may go on, and the person is told so.
pub async fn sign_out(
    request: HttpRequest,
    user: SignedIn,
    _form: CsrfForm,
    sessions: web::Data<Sessions>,
    cookies: web::Data<Cookies>,
) -> Result<HttpResponse, Problem> {
    sessions.end(&user.0.token, &caller(&request)).await?;
    let mut response = see_other(&To::Fixed("/signed-out"));
    response.add_cookie(&cookies.forget_session()).map_err(super::internal)?;
    // Pages that the back button would bring up again go with the session.
    response
        .headers_mut()
        .insert(header::HeaderName::from_static("clear-site-data"), header::HeaderValue::from_static("\"cache\""));
    Ok(response)
}

/// `GET /signed-out`.
pub async fn signed_out(
    request: HttpRequest,
    catalog: web::Data<CurrentCatalog>,
    cookies: web::Data<Cookies>,
) -> Result<HttpResponse, Problem> {
    let loaded = catalog.get().await?;
    let last = cookies.last_connector(&request).and_then(|id| id.parse().ok());
    let still_signed_in_at = last.and_then(|id| loaded.catalog.connector(&id).map(|connector| connector.name.clone()));
    Ok(page(&views::SignedOut {
        shell: views::Shell::default(),
        still_signed_in_at,
        sign_in_href: "/sign-in".to_owned(),
    }))
}
