//! The SAML service provider's addresses.

use actix_web::{HttpRequest, HttpResponse, web};

use super::fields::{Fields, Form, FormError, Place, read_reply};
use super::limits::Limits;
use super::problem::{Kind, Problem};
use super::session::{Cookies, csrf_matches, csrf_token};
use super::{To, caller, depart, page, see_other, views};
use crate::flows::Ground;
use crate::flows::connectors::{ConnectorError, Connectors};
use crate::flows::current::CurrentCatalog;
use crate::flows::finish_sign_in::{FinishError, FinishSignIn, Finished, Outcome};
use crate::flows::receive_reply::{ReceiveReply, ReplyError};
use crate::flows::start_sign_in::{StartError, StartSignIn, Wish};
use crate::identity::ConnectorId;
use crate::signin::saml::Public;
use crate::sys::{LocalPath, Token};

fn connector_id(path: &web::Path<String>) -> Result<ConnectorId, Problem> {
    path.parse().map_err(|_| Problem::new(Kind::ConnectorUnknown))
}

/// `GET /saml/{connector}/start?return_to=`: off to the identity provider.
///
/// # Errors
/// Unknown connector, unusable metadata, too many requests.
pub async fn start(
    request: HttpRequest,
    path: web::Path<String>,
    flow: web::Data<StartSignIn>,
    cookies: web::Data<Cookies>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    let connector = connector_id(&path)?;
    limits.sign_in(super::context::client_address(&request))?;
    let return_to = LocalPath::parse_or_home(Fields::of_query(&request)?.get("return_to"));
    let browser = cookies.browser_token(&request);
    let wish = Wish { return_to: &return_to, browser, demand: None, login_hint: None };
    let started = flow.run(&connector, wish).await?;
    depart(&cookies, &started)
}

/// `GET /saml/{connector}/metadata`: what the identity provider is told about us.
///
/// # Errors
/// Unknown connector, unusable metadata.
pub async fn metadata(
    path: web::Path<String>,
    catalog: web::Data<CurrentCatalog>,
    connectors: web::Data<Connectors>,
) -> Result<HttpResponse, Problem> {
    let connector = connector_id(&path)?;
    let loaded = catalog.get().await?;
    let found = loaded.catalog.connector(&connector).ok_or_else(|| Problem::new(Kind::ConnectorUnknown))?;
    let document = connectors.sp_metadata(found)?;
    Ok(HttpResponse::Ok().content_type("application/samlmetadata+xml").body(document))
}

/// `POST /saml/{connector}/acs`: the reply. Cross-site by nature; nothing here trusts a cookie.
///
/// # Errors
/// Everything a reply can be refused for; the page says little, the audit event everything.
pub async fn acs(
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
    flow: web::Data<ReceiveReply>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    let connector = connector_id(&path)?;
    limits.sign_in(super::context::client_address(&request))?;
    // Read here and not by an extractor: what cannot be read is refused too, and every refusal is recorded.
    let (reply, relay_state, _place) = match reply_in(&request, payload).await {
        Ok(fields) => fields,
        Err(error) => {
            flow.record_refusal(&connector, error.code(), &error, &caller(&request)).await?;
            return Err(error.into());
        }
    };
    let ticket = flow.run(&connector, reply, relay_state.as_deref(), &caller(&request)).await?;
    Ok(see_other(&To::Finish(&connector, &ticket)))
}

/// The fields `SAMLResponse` and, where it is filled, `RelayState`.
async fn reply_in(request: &HttpRequest, payload: web::Payload) -> Result<(String, Option<String>, Place), FormError> {
    let (fields, place) = read_reply(request, &mut payload.into_inner()).await?;
    let reply = fields.need("SAMLResponse")?.to_owned();
    Ok((reply, fields.filled("RelayState").map(str::to_owned), place))
}

fn no_ticket() -> Problem {
    FinishError::NoTicket.into()
}

/// `GET /saml/{connector}/finish?ticket=`: our own GET, where the browser's cookie is there to be matched.
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

/// `POST /saml/{connector}/finish`: the person confirms a sign-in that the identity provider began.
///
/// # Errors
/// [`FinishError`], or the form is not from our page in this browser.
pub async fn confirm(
    request: HttpRequest,
    path: web::Path<String>,
    form: Form,
    flow: web::Data<FinishSignIn>,
    cookies: web::Data<Cookies>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    let connector = connector_id(&path)?;
    // A stranger can make a cookie and the field that goes with it; each try would be a row in the audit log.
    limits.sign_in(super::context::client_address(&request))?;
    cookies.same_origin(request.headers())?;
    let sent = form.0.get("csrf").unwrap_or("");
    let ours = cookies.browser_token(&request).is_some_and(|browser| csrf_matches(&browser, sent));
    if !ours {
        return Err(Problem::new(Kind::CrossSite));
    }
    let ticket = Token::parse(form.0.need("ticket")?).ok_or_else(no_ticket)?;
    let old = cookies.session_token(&request);
    let finished = flow.confirm(&connector, &ticket, old.as_ref(), &caller(&request)).await?;
    welcome(&cookies, &connector, &finished)
}

fn welcome(cookies: &Cookies, connector: &ConnectorId, finished: &Finished) -> Result<HttpResponse, Problem> {
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
            StartError::Request(_) => Self::new(Kind::Internal).caused_by(error),
            StartError::Store(error) => error.into(),
        }
    }
}

impl From<ReplyError> for Problem {
    fn from(error: ReplyError) -> Self {
        let kind = match error {
            ReplyError::Store(error) => return error.into(),
            ReplyError::Connector(error) => return error.into(),
            ReplyError::NoConnector(_) => Kind::ConnectorUnknown,
            ReplyError::Unsolicited => Kind::SignInUnsolicited,
            ReplyError::AttemptExpired => Kind::SignInExpired,
            ReplyError::OtherConnector => Kind::SignInRefused,
            ReplyError::Replayed { .. } => Kind::SignInReplayed,
            ReplyError::Busy => {
                return Self::new(Kind::TooManyRequests)
                    .retry_after(std::time::Duration::from_secs(5))
                    .caused_by(error);
            }
            ReplyError::Panicked => Kind::Internal,
            ReplyError::Refused(ref refused) => match refused.public() {
                Public::Expired => Kind::SignInExpired,
                Public::Refused => Kind::SignInRefused,
                Public::IdpError => Kind::IdentityProviderError,
                Public::Unsolicited => Kind::SignInUnsolicited,
                Public::NotReauthenticated => Kind::SignInNotReauthenticated,
            },
        };
        Self::new(kind).caused_by(error)
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
