//! Going to an identity provider and coming back, whichever protocol it speaks.

use actix_web::{HttpRequest, HttpResponse, web};

use super::fields::Fields;
use super::limits::Limits;
use super::problem::{Kind, Problem};
use super::session::{Cookies, csrf_token};
use super::{To, caller, depart, page, see_other, views};
use crate::catalog::Connector;
use crate::flows::Ground;
use crate::flows::connectors::ConnectorError;
use crate::flows::current::CurrentCatalog;
use crate::flows::finish_sign_in::{FinishError, FinishSignIn, Finished, Outcome};
use crate::flows::start_sign_in::{StartError, StartSignIn, Wish};
use crate::identity::ConnectorId;
use crate::sys::{LocalPath, Token};

pub(super) fn connector_id(path: &web::Path<String>) -> Result<ConnectorId, Problem> {
    path.parse().map_err(|_| Problem::new(Kind::ConnectorUnknown))
}

/// `GET /saml/{connector}/start` and `GET /oidc/{connector}/start`, with `return_to=` and perhaps `login_hint=`: off to
/// the identity provider. With `test=` it is an operator's test, which ends in a report.
///
/// # Errors
/// Unknown connector, unusable metadata, too many requests.
pub async fn start(
    request: HttpRequest,
    path: web::Path<String>,
    catalog: web::Data<CurrentCatalog>,
    flow: web::Data<StartSignIn>,
    cookies: web::Data<Cookies>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    let connector = connector_id(&path)?;
    limits.sign_in(super::context::client_address(&request))?;
    let fields = Fields::of_query(&request)?;
    let loaded = catalog.get().await?;
    let found = loaded.catalog.connector(&connector);
    found.filter(|found| here(&request, found)).ok_or_else(|| Problem::new(Kind::ConnectorUnknown))?;
    let browser = cookies.browser_token(&request);
    if let Some(code) = fields.get("test") {
        // What is no test any more must not turn into a sign-in that nobody meant.
        let code = Token::parse(code).ok_or(StartError::NoTest)?;
        return depart(&cookies, &flow.run_test(&connector, &code, browser).await?);
    }
    let return_to = LocalPath::parse_or_home(fields.get("return_to"));
    let wish = Wish { return_to: &return_to, browser, demand: None, login_hint: fields.filled("login_hint") };
    let started = flow.run(&connector, wish, &caller(&request)).await?;
    depart(&cookies, &started)
}

/// Whether the address asked for is that of the connector's own protocol.
fn here(request: &HttpRequest, connector: &Connector) -> bool {
    request.path().strip_prefix('/').is_some_and(|path| path.starts_with(connector.kind.protocol()))
}

pub(super) fn no_ticket() -> Problem {
    FinishError::NoTicket.into()
}

/// `GET /saml/{connector}/finish?ticket=` and `GET /oidc/{connector}/finish?ticket=`: our own GET, where the browser's cookie is there to be matched.
///
/// # Errors
/// [`FinishError`].
pub async fn finish(
    request: HttpRequest,
    path: web::Path<String>,
    flow: web::Data<FinishSignIn>,
    ground: web::Data<Ground>,
    catalog: web::Data<CurrentCatalog>,
    cookies: web::Data<Cookies>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    let connector = connector_id(&path)?;
    limits.sign_in(super::context::client_address(&request))?;
    let ticket = Fields::of_query(&request)?.get("ticket").and_then(Token::parse).ok_or_else(no_ticket)?;
    let browser = cookies.browser_token(&request);
    let old = cookies.session_token(&request);
    match flow.arrive(&connector, &ticket, browser.as_ref(), old.as_ref(), &caller(&request)).await? {
        Outcome::SignedIn(finished) => welcome(&cookies, &connector, &finished),
        Outcome::Tested => {
            Ok(page(&views::Tested { shell: views::Shell::default(), connector: connector.to_string() }))
        }
        Outcome::AskFirst(identity) => {
            let asked = browser.unwrap_or_else(|| Token::generate(&*ground.rng));
            let name = catalog.get().await?.catalog.connector(&connector).map(|found| found.name.clone());
            let shell = views::Shell { csrf: csrf_token(&asked, &*ground.rng), ..views::Shell::default() };
            let mut response = page(&views::ConfirmSignIn {
                shell,
                name: identity.display_name().to_owned(),
                email: identity.email.clone().filter(|email| email != identity.display_name()),
                connector: name.unwrap_or_else(|| connector.to_string()),
                action: format!("/saml/{connector}/finish"),
                ticket: ticket.expose_secret().to_owned(),
                cancel_href: "/sign-in?choose=1".to_owned(),
            });
            response.add_cookie(&cookies.browser(&asked)).map_err(super::internal)?;
            Ok(response)
        }
    }
}

pub(super) fn welcome(
    cookies: &Cookies,
    connector: &ConnectorId,
    finished: &Finished,
) -> Result<HttpResponse, Problem> {
    let mut response = see_other(&To::Page(&finished.return_to));
    response.add_cookie(&cookies.session(&finished.session)).map_err(super::internal)?;
    response.add_cookie(&cookies.connector(connector.as_str())).map_err(super::internal)?;
    Ok(response)
}

impl From<ConnectorError> for Problem {
    fn from(error: ConnectorError) -> Self {
        match error {
            ConnectorError::Store(error) => error.into(),
            ConnectorError::OtherProtocol { .. } => Self::new(Kind::ConnectorUnknown).caused_by(error),
            ConnectorError::Write(_) => Self::new(Kind::Internal).caused_by(error),
            other => Self::new(Kind::IdentityProviderUnavailable).caused_by(other),
        }
    }
}

impl From<StartError> for Problem {
    fn from(error: StartError) -> Self {
        match error {
            StartError::NoConnector(_) => Self::new(Kind::ConnectorUnknown).caused_by(error),
            StartError::Connector(error) => error.into(),
            StartError::NoTest => Self::new(Kind::SignInExpired).caused_by(error),
            StartError::Request(_) => Self::new(Kind::Internal).caused_by(error),
            StartError::Store(error) => error.into(),
        }
    }
}

impl From<FinishError> for Problem {
    fn from(error: FinishError) -> Self {
        let kind = match error {
            FinishError::Store(error) => return error.into(),
            FinishError::NoTicket | FinishError::Ended => Kind::SignInExpired,
            FinishError::OtherBrowser => Kind::SignInOtherBrowser,
            FinishError::ConnectorGone => Kind::ConnectorUnknown,
            FinishError::Interrupted => Kind::Internal,
        };
        Self::new(kind).caused_by(error)
    }
}
