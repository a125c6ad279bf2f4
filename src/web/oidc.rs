//! The OpenID Connect relying party's addresses.

use actix_web::{HttpRequest, HttpResponse, web};

use super::arrival::connector_id;
use super::fields::{FormError, read_text};
use super::limits::Limits;
use super::problem::{Kind, Problem};
use super::session::Cookies;
use super::{To, caller, see_other};
use crate::flows::connectors::Connectors;
use crate::flows::current::CurrentCatalog;
use crate::flows::receive_code::{CodeError, ReceiveCode, Via};
use crate::identity::ConnectorId;
use crate::signin::oidc::Public;

/// `GET /oidc/{connector}/callback?code=&state=&iss=`: the provider's answer.
///
/// # Errors
/// Everything an answer can be refused for; the page says little, the audit event everything.
pub async fn callback(
    request: HttpRequest,
    path: web::Path<String>,
    flow: web::Data<ReceiveCode>,
    cookies: web::Data<Cookies>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    let connector = connector_id(&path)?;
    limits.sign_in(super::context::client_address(&request))?;
    let via = Via::Query { browser: cookies.browser_token(&request) };
    receive(&request, &connector, request.query_string().to_owned(), via, &flow).await
}

/// `POST /oidc/{connector}/callback`: the same by `response_mode=form_post`. Cross-site by nature; no cookie is trusted.
///
/// # Errors
/// As [`callback`].
pub async fn callback_by_post(
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
    flow: web::Data<ReceiveCode>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    let connector = connector_id(&path)?;
    limits.sign_in(super::context::client_address(&request))?;
    // Read here and not by an extractor: what cannot be read is refused too, and every refusal is recorded.
    let parameters = match read_text(&request, &mut payload.into_inner()).await {
        Ok(parameters) => parameters,
        Err(error) => {
            flow.record_refusal(&connector, FormError::code(&error), &error, &caller(&request)).await?;
            return Err(error.into());
        }
    };
    receive(&request, &connector, parameters, Via::FormPost, &flow).await
}

async fn receive(
    request: &HttpRequest,
    connector: &ConnectorId,
    parameters: String,
    via: Via,
    flow: &ReceiveCode,
) -> Result<HttpResponse, Problem> {
    let ticket = flow.run(connector, parameters, via, &caller(request)).await?;
    Ok(see_other(&To::Finish("oidc", connector, &ticket)))
}

/// `GET /oidc/{connector}/jwks.json`: the keys we prove ourselves with (`private_key_jwt`).
///
/// # Errors
/// Unknown connector.
pub async fn jwks(
    path: web::Path<String>,
    catalog: web::Data<CurrentCatalog>,
    connectors: web::Data<Connectors>,
) -> Result<HttpResponse, Problem> {
    let connector = connector_id(&path)?;
    let loaded = catalog.get().await?;
    let found = loaded.catalog.connector(&connector).ok_or_else(|| Problem::new(Kind::ConnectorUnknown))?;
    let keys = connectors.client_jwks(found)?;
    Ok(HttpResponse::Ok().content_type("application/jwk-set+json").body(keys))
}

impl From<CodeError> for Problem {
    fn from(error: CodeError) -> Self {
        let kind = match error {
            CodeError::Store(error) => return error.into(),
            CodeError::Connector(error) => return error.into(),
            CodeError::NoConnector(_) => Kind::ConnectorUnknown,
            CodeError::NoAttempt => Kind::SignInUnsolicited,
            CodeError::AttemptExpired => Kind::SignInExpired,
            CodeError::OtherConnector | CodeError::ResponseMode => Kind::SignInRefused,
            CodeError::OtherBrowser => Kind::SignInOtherBrowser,
            CodeError::Replayed { .. } => Kind::SignInReplayed,
            CodeError::Token(_) => Kind::IdentityProviderUnavailable,
            CodeError::Busy => {
                return Self::new(Kind::TooManyRequests)
                    .retry_after(std::time::Duration::from_secs(5))
                    .caused_by(error);
            }
            CodeError::Sign(_) | CodeError::Panicked => Kind::Internal,
            CodeError::Refused(ref refused) => match refused.public() {
                Public::Expired => Kind::SignInExpired,
                Public::Refused => Kind::SignInRefused,
                Public::IdpError => Kind::IdentityProviderError,
                Public::NotReauthenticated => Kind::SignInNotReauthenticated,
            },
        };
        Self::new(kind).caused_by(error)
    }
}
