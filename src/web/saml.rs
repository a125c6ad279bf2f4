//! The SAML service provider's addresses.

use actix_web::{HttpRequest, HttpResponse, web};

use super::arrival::{connector_id, no_ticket, welcome};
use super::fields::{Form, FormError, Place, read_reply};
use super::limits::Limits;
use super::problem::{Kind, Problem};
use super::session::{Cookies, csrf_matches};
use super::{To, caller, see_other};
use crate::flows::connectors::Connectors;
use crate::flows::current::CurrentCatalog;
use crate::flows::finish_sign_in::{FinishSignIn, Outcome};
use crate::flows::receive_reply::{ReceiveReply, ReplyError};
use crate::signin::saml::Public;
use crate::sys::Token;

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
    Ok(see_other(&To::Finish("saml", &connector, &ticket)))
}

/// The fields `SAMLResponse` and, where it is filled, `RelayState`.
async fn reply_in(request: &HttpRequest, payload: web::Payload) -> Result<(String, Option<String>, Place), FormError> {
    let (fields, place) = read_reply(request, &mut payload.into_inner()).await?;
    let reply = fields.need("SAMLResponse")?.to_owned();
    Ok((reply, fields.filled("RelayState").map(str::to_owned), place))
}

/// `POST /saml/{connector}/finish`: the person confirms a sign-in that the identity provider began.
///
/// # Errors
/// [`FinishError`](crate::flows::finish_sign_in::FinishError), or the form is not from our page in this browser.
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
    match flow.confirm(&connector, &ticket, old.as_ref(), &caller(&request)).await? {
        Outcome::SignedIn(finished) => welcome(&cookies, &connector, &finished),
        // Tests begin here and are never confirmed.
        Outcome::AskFirst(_) | Outcome::Tested => Err(no_ticket()),
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
