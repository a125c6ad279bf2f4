//! Where programs fetch tokens, begin device codes, and give tokens back.
//!
//! Strangers may call all of it. Whatever is sent counts against a high rate of its address, and what comes to nothing
//! against the low one that strangers have everywhere.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;
use url::Url;

use super::refusal;
use crate::flows::authorize::Authorize;
use crate::flows::clients::{Client, Clients};
use crate::flows::device::Devices;
use crate::flows::exchange::Exchange;
use crate::flows::grant_tokens::{CodeGrant, GrantError, GrantTokens, Granted};
use crate::web::fields::{Fields, FormError, read_form};
use crate::web::limits::{Limits, Strike};
use crate::web::problem::Problem;
use crate::web::programs::refuse_browsers;
use crate::web::{caller, context};

/// `POST /oauth/token`: tokens for a code, a refresh token, an approved device code, or what vouches for a workload.
///
/// # Errors
/// Too many requests, or a form that is too large; everything else is answered as RFC 6749 5.2 says.
pub async fn token(
    request: HttpRequest,
    payload: web::Payload,
    clients: web::Data<Clients>,
    flow: web::Data<GrantTokens>,
    workloads: web::Data<Exchange>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    refuse_browsers(&request)?;
    limits.told(context::client_address(&request))?;
    let strike = limits.strike(context::client_address(&request));
    let fields = match form(&request, payload).await? {
        Ok(fields) => fields,
        Err(error) => return refuse(&error, &request, &strike),
    };
    if fields.filled("grant_type") == Some(super::exchange::GRANT) {
        return super::exchange::exchange(&request, &fields, &workloads, &limits).await;
    }
    match exchange(&request, &fields, &clients, &flow, &strike).await {
        Ok(granted) => Ok(answer(&granted)),
        Err(error) => refuse(&error, &request, &strike),
    }
}

async fn exchange(
    request: &HttpRequest,
    fields: &Fields,
    clients: &Clients,
    flow: &GrantTokens,
    strike: &Strike,
) -> Result<Granted, GrantError> {
    let caller = caller(request);
    // One arm for each grant; RFC 6749 4.5 leaves room for others.
    match need(fields, "grant_type")? {
        "authorization_code" => {
            let client = client(request, fields, clients)?;
            let grant = CodeGrant {
                code: need(fields, "code")?,
                redirect_uri: need(fields, "redirect_uri")?,
                verifier: need(fields, "code_verifier")?,
            };
            flow.by_code(&client, grant, &caller).await
        }
        "refresh_token" => {
            let client = client(request, fields, clients)?;
            let (token, scope) = (need(fields, "refresh_token")?, fields.filled("scope"));
            let strike = strike.clone();
            flow.by_refresh(&client, token, scope, &caller, move || strike.count().is_ok()).await
        }
        super::DEVICE_CODE => {
            let client = client(request, fields, clients)?;
            flow.by_device(&client, need(fields, "device_code")?, &caller).await
        }
        _ => Err(GrantError::UnsupportedGrantType),
    }
}

/// `POST /oauth/device_authorization`: a code for somebody to type elsewhere. Spec: RFC 8628 3.1, 3.2.
///
/// # Errors
/// Too many requests, or a form that is too large.
pub async fn device_authorization(
    request: HttpRequest,
    payload: web::Payload,
    clients: web::Data<Clients>,
    authorize: web::Data<Authorize>,
    flow: web::Data<Devices>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    // What a page begins would come from the network of whoever looks at it.
    refuse_browsers(&request)?;
    // Each is a row that waits.
    limits.sign_in(context::client_address(&request))?;
    let fields = match form(&request, payload).await? {
        Ok(fields) => fields,
        Err(error) => return Ok(refusal(&error, &request)),
    };
    let begun = async {
        let client = client(&request, &fields, &clients)?;
        let scope = fields.filled("scope").unwrap_or("").parse()?;
        flow.begin(&client, scope, &caller(&request)).await
    };
    match begun.await {
        Ok(started) => {
            let (page, complete) = device_pages(&authorize.issuer, &started.user_code.to_string());
            Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(json!({
                "device_code": started.device_code.expose_secret(),
                "user_code": started.user_code.to_string(),
                "verification_uri": page,
                "verification_uri_complete": complete,
                "expires_in": started.expires_in.as_secs(),
                "interval": started.interval.as_secs(),
            })))
        }
        Err(error) => Ok(refusal(&error, &request)),
    }
}

/// Where a person types a code, and the same with the code in it.
pub(in crate::web) fn device_pages(public_url: &Url, user_code: &str) -> (String, String) {
    let page = format!("{}/device", public_url.as_str().trim_end_matches('/'));
    let complete = format!("{page}?user_code={user_code}");
    (page, complete)
}

/// `POST /oauth/revoke`: gives a token back, and with it the whole sign-in. Whoever has a token may do that; the client
/// need not be named. Spec: RFC 7009.
///
/// # Errors
/// Too many requests, or a form that is too large.
pub async fn revoke(
    request: HttpRequest,
    payload: web::Payload,
    clients: web::Data<Clients>,
    flow: web::Data<GrantTokens>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    refuse_browsers(&request)?;
    limits.told(context::client_address(&request))?;
    let strike = limits.strike(context::client_address(&request));
    let fields = match form(&request, payload).await? {
        Ok(fields) => fields,
        Err(error) => return refuse(&error, &request, &strike),
    };
    let revoked = async {
        let client = match fields.filled("client_id") {
            Some(_) => Some(client(&request, &fields, &clients)?),
            None => None,
        };
        let counted = || strike.count().is_ok();
        flow.revoke(client.as_ref(), need(&fields, "token")?, &caller(&request), counted).await
    };
    match revoked.await {
        Ok(()) => Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).finish()),
        Err(error) => refuse(&error, &request, &strike),
    }
}

/// Refuses, and counts it; one who waits for somebody's word does nothing wrong.
fn refuse(error: &GrantError, request: &HttpRequest, strike: &Strike) -> Result<HttpResponse, Problem> {
    if !matches!(error, GrantError::AuthorizationPending | GrantError::SlowDown | GrantError::Store(_)) {
        strike.count()?;
    }
    Ok(refusal(error, request))
}

/// The form of a program. What is sent twice or without a form's type is told as OAuth tells it. Spec: RFC 6749 3.2.
async fn form(request: &HttpRequest, payload: web::Payload) -> Result<Result<Fields, GrantError>, Problem> {
    match read_form(request, &mut payload.into_inner()).await {
        Ok(fields) => Ok(Ok(fields)),
        Err(FormError::Repeated(_)) => Ok(Err(GrantError::InvalidRequest("A parameter was sent twice."))),
        Err(FormError::ContentType) => {
            Ok(Err(GrantError::InvalidRequest("Send the parameters as application/x-www-form-urlencoded.")))
        }
        Err(error) => Err(error.into()),
    }
}

/// A parameter that must be there; an empty one is not. Spec: RFC 6749 3.2.
fn need<'f>(fields: &'f Fields, name: &'static str) -> Result<&'f str, GrantError> {
    fields.filled(name).ok_or(GrantError::InvalidRequest(match name {
        "grant_type" => "grant_type is missing.",
        "client_id" => "client_id is missing.",
        "code" => "code is missing.",
        "redirect_uri" => "redirect_uri is missing.",
        "code_verifier" => "code_verifier is missing; every client uses PKCE here.",
        "refresh_token" => "refresh_token is missing.",
        "device_code" => "device_code is missing.",
        _ => "token is missing.",
    }))
}

/// The client that asks, by `client_id` and `client_secret` in the form. An `Authorization` header is not looked at and
/// so not taken. Spec: RFC 6749 2.3.1.
fn client(request: &HttpRequest, fields: &Fields, clients: &Clients) -> Result<Client, GrantError> {
    if request.headers().contains_key(header::AUTHORIZATION) {
        return Err(GrantError::InvalidClient(crate::flows::clients::ClientError::Secret));
    }
    Ok(clients.authenticate(need(fields, "client_id")?, fields.filled("client_secret"))?)
}

fn answer(granted: &Granted) -> HttpResponse {
    let mut body = json!({
        "access_token": granted.access.expose_secret(),
        "token_type": "Bearer",
        "expires_in": granted.expires_in.as_secs(),
        "scope": granted.scope.to_string(),
    });
    if let Some(refresh) = &granted.refresh {
        body["refresh_token"] = json!(refresh.expose_secret());
    }
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(body)
}
