//! Signing in: a client registers itself, sends the person to a browser, and exchanges what comes of it for tokens. Service
//! model `sso-oidc`.
//!
//! The browser's part, `/authorize` and `/device`, is the same for every client: clients drop the path of this protocol's
//! address for the one and are told the other.

use actix_web::http::header::{self, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::Value;

use crate::access::Scope;
use crate::flows::authorize::Authorize;
use crate::flows::clients::{Client, Clients, RegistrationError};
use crate::flows::device::Devices;
use crate::flows::grant_tokens::{CodeGrant, GrantError, GrantTokens, Granted};
use crate::sys::Bearer;
use crate::sys::json::{self, Object};
use crate::web::caller;
use crate::web::context::client_address;
use crate::web::fields::read_body;
use crate::web::limits::{Limits, Strike};
use crate::web::oauth::DEVICE_CODE;
use crate::web::oauth::token::device_pages;
use crate::web::problem::{Kind, Problem};
use crate::web::programs::refuse_browsers;
use crate::web::session::Cookies;

const AUTHORIZATION_CODE: &str = "authorization_code";
const REFRESH_TOKEN: &str = "refresh_token";

/// No request of a client comes near it.
const LARGEST: usize = 16 * 1024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Registered<'a> {
    client_id: &'a str,
    client_secret: &'a str,
    client_id_issued_at: i64,
    client_secret_expires_at: i64,
    authorization_endpoint: String,
    token_endpoint: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeviceStarted<'a> {
    device_code: &'a str,
    user_code: &'a str,
    verification_uri: &'a str,
    verification_uri_complete: String,
    expires_in: i64,
    interval: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tokens<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
}

/// `POST /idc/client/register`.
///
/// # Errors
/// The registration makes no sense here.
pub async fn register(
    request: HttpRequest,
    payload: web::Payload,
    clients: web::Data<Clients>,
    cookies: web::Data<Cookies>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    limits.sign_in(client_address(&request))?;
    let asked = Asked::read(&request, payload).await?;
    if asked.need("clientType")? != "public" {
        return Err(refused("invalid_client_metadata", "Only clients of the type `public` can be registered."));
    }
    scope(&asked)?;
    for grant in asked.texts("grantTypes")? {
        if ![DEVICE_CODE, AUTHORIZATION_CODE, REFRESH_TOKEN].contains(&grant) {
            return Err(told(GrantError::UnsupportedGrantType));
        }
    }
    let registered = clients.register(asked.need("clientName")?, &asked.texts("redirectUris")?).map_err(|error| {
        let code = match &error {
            RegistrationError::Name => "invalid_client_metadata",
            RegistrationError::Redirect => "invalid_redirect_uri",
        };
        refused(code, error.to_string())
    })?;
    let origin = cookies.origin();
    Ok(answer(&Registered {
        client_id: &registered.client_id,
        client_secret: registered.client_secret.expose_secret(),
        client_id_issued_at: registered.issued.as_second(),
        client_secret_expires_at: registered.expires.as_second(),
        authorization_endpoint: format!("{origin}/authorize"),
        token_endpoint: format!("{origin}/idc/token"),
    }))
}

/// `POST /idc/device_authorization`. The start URL is a label of the client's own: there is one portal here.
///
/// # Errors
/// The client is not known, or there are no device codes here.
pub async fn device_authorization(
    request: HttpRequest,
    payload: web::Payload,
    clients: web::Data<Clients>,
    authorize: web::Data<Authorize>,
    devices: web::Data<Devices>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    // Each is a row that waits.
    limits.sign_in(client_address(&request))?;
    let asked = Asked::read(&request, payload).await?;
    let client = client(&asked, &clients)?;
    asked.need("startUrl")?;
    // Clients ask for scopes when they register, and for what they can do with them, which is the same, here.
    let started = devices.begin(&client, Scope::FULL, &caller(&request)).await.map_err(told)?;
    let user_code = started.user_code.to_string();
    let (verification_uri, verification_uri_complete) = device_pages(&authorize.issuer, &user_code);
    Ok(answer(&DeviceStarted {
        device_code: started.device_code.expose_secret(),
        verification_uri_complete,
        user_code: &user_code,
        verification_uri: &verification_uri,
        expires_in: started.expires_in.as_secs(),
        interval: started.interval.as_secs(),
    }))
}

/// `POST /idc/token`: tokens for a code, a device code that somebody approved, or a refresh token.
///
/// # Errors
/// [`GrantError`] as the model has it.
pub async fn token(
    request: HttpRequest,
    payload: web::Payload,
    clients: web::Data<Clients>,
    flow: web::Data<GrantTokens>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    // Devices ask every few seconds until somebody has approved. What comes to nothing counts as strangers' tries do.
    limits.told(client_address(&request))?;
    let strike = limits.strike(client_address(&request));
    let asked = Asked::read(&request, payload).await?;
    match exchange(&request, &asked, &clients, &flow, &strike).await {
        Ok(granted) => Ok(answer(&Tokens {
            access_token: granted.access.expose_secret(),
            token_type: "Bearer",
            expires_in: granted.expires_in.as_secs(),
            refresh_token: granted.refresh.as_ref().map(Bearer::expose_secret),
        })),
        Err(problem) => {
            if !problem.is_wait() {
                strike.count()?;
            }
            Err(problem)
        }
    }
}

async fn exchange(
    request: &HttpRequest,
    asked: &Asked,
    clients: &Clients,
    flow: &GrantTokens,
    strike: &Strike,
) -> Result<Granted, Problem> {
    let client = client(asked, clients)?;
    let caller = caller(request);
    let granted = match asked.need("grantType")? {
        DEVICE_CODE => flow.by_device(&client, asked.need("deviceCode")?, &caller).await,
        AUTHORIZATION_CODE => {
            let grant = CodeGrant {
                code: asked.need("code")?,
                redirect_uri: asked.need("redirectUri")?,
                verifier: asked.need("codeVerifier")?,
            };
            flow.by_code(&client, grant, &caller).await
        }
        REFRESH_TOKEN => {
            let scope = asked.texts("scope")?.join(" ");
            let (token, strike) = (asked.need("refreshToken")?, strike.clone());
            flow.by_refresh(&client, token, Some(&scope), &caller, move || strike.count().is_ok()).await
        }
        _ => Err(GrantError::UnsupportedGrantType),
    };
    granted.map_err(told)
}

fn answer(body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(body)
}

/// The client that asks, which has to prove that it is.
fn client(asked: &Asked, clients: &Clients) -> Result<Client, Problem> {
    let client = clients.authenticate(asked.need("clientId")?, Some(asked.need("clientSecret")?));
    client.map_err(|error| told(error.into()))
}

/// What a client wants to be registered for. There are clients for other services that share the protocol.
fn scope(asked: &Asked) -> Result<Scope, Problem> {
    asked.texts("scopes")?.join(" ").parse().map_err(|error| told(GrantError::UnknownScope(error)))
}

fn refused(code: &'static str, sentence: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(Kind::BadRequest).detail(sentence).oauth(code)
}

/// A refusal as the clients of this protocol are told it.
fn told(error: GrantError) -> Problem {
    let kind = match &error {
        GrantError::TooOften | GrantError::Interrupted | GrantError::Store(_) => Kind::Unavailable,
        _ => Kind::BadRequest,
    };
    Problem::new(kind).detail(error.description()).oauth(error.code()).caused_by(error)
}

/// What a client sent. What it may have said beside is left alone: models grow.
struct Asked(Object);

impl Asked {
    async fn read(request: &HttpRequest, payload: web::Payload) -> Result<Self, Problem> {
        refuse_browsers(request)?;
        // A page of another site can post anything but this.
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let essence = content_type.split(';').next().unwrap_or("").trim();
        if !["application/json", "application/x-amz-json-1.1"].iter().any(|json| essence.eq_ignore_ascii_case(json)) {
            return Err(refused("invalid_request", "Send JSON, and say so in Content-Type."));
        }
        let body = read_body(request, &mut payload.into_inner()).await?;
        let read = json::object(&body, LARGEST);
        Ok(Self(read.map_err(|error| refused("invalid_request", "That is no JSON object.").caused_by(error))?))
    }

    fn need(&self, name: &'static str) -> Result<&str, Problem> {
        match self.0.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text),
            None | Some(Value::Null | Value::String(_)) => {
                Err(refused("invalid_request", format!("`{name}` is missing.")))
            }
            Some(_) => Err(refused("invalid_request", format!("`{name}` is a text."))),
        }
    }

    fn texts(&self, name: &'static str) -> Result<Vec<&str>, Problem> {
        let list = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(list)) => list.iter().map(Value::as_str).collect(),
            Some(_) => None,
        };
        list.ok_or_else(|| refused("invalid_request", format!("`{name}` is a list of texts.")))
    }
}
