//! The grant for workloads: what a CI job's token is exchanged for. No client has to be known: the token is the proof.
//!
//! Spec: RFC 8693.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::chain;
use crate::access::Scope;
use crate::aws::SessionDuration;
use crate::flows::exchange::{Exchange, ExchangeError, Order, Proven, Target};
use crate::flows::issue::IssueFlowError;
use crate::issuance::formats::Context;
use crate::issuance::{Format, Issued};
use crate::web::fields::Fields;
use crate::web::limits::Limits;
use crate::web::problem::{Kind, Problem};
use crate::web::roles::region_of;
use crate::web::{caller, context};

/// What `grant_type` says.
pub const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// Credentials of a role, at once.
const AWS_CREDENTIALS: &str = "urn:rolegate:params:oauth:token-type:aws-credentials";
/// What a subject token may be called: a workload's is a JWT, and most issuers say ID token.
const SUBJECT_TOKENS: [&str; 2] = ["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"];

/// What a workload asks for.
struct Asked {
    token: SecretString,
    target: Option<Target>,
    wanted: Wanted,
}

enum Wanted {
    AccessToken(Scope),
    Credentials { duration: Option<SessionDuration>, format: Option<Format> },
}

/// A request that cannot be meant: its error code, and what to do.
struct Wrong(&'static str, String);

impl Asked {
    fn read(fields: &Fields) -> Result<Self, Wrong> {
        let invalid = |text: &str| Wrong("invalid_request", text.to_owned());
        let need = |name: &str| fields.filled(name).ok_or_else(|| invalid(&format!("{name} is missing.")));
        // Shells and editors end a file with a line break, which is no part of the token.
        let token = SecretString::from(need("subject_token")?.trim_ascii());
        if !SUBJECT_TOKENS.contains(&need("subject_token_type")?) {
            return Err(invalid(&format!("subject_token_type is {} or {}.", SUBJECT_TOKENS[0], SUBJECT_TOKENS[1])));
        }
        if fields.filled("actor_token").is_some() || fields.filled("actor_token_type").is_some() {
            return Err(invalid("Nobody acts for a workload here: leave actor_token and actor_token_type out."));
        }
        let target = match (fields.filled("resource"), fields.filled("audience")) {
            (Some(resource), Some(audience)) if resource != audience => {
                return Err(invalid("resource and audience name different roles; send one of them."));
            }
            (Some(target), _) | (None, Some(target)) => {
                Some(target.parse().map_err(|error: crate::flows::exchange::InvalidTarget| {
                    Wrong("invalid_target", format!("{error}."))
                })?)
            }
            (None, None) => None,
        };
        let unmeant = |name: &str| match fields.filled(name) {
            Some(_) => Err(invalid(&format!("{name} is for requested_token_type={AWS_CREDENTIALS}."))),
            None => Ok(()),
        };
        let wanted = match fields.filled("requested_token_type") {
            None | Some(ACCESS_TOKEN) => {
                unmeant("duration")?;
                unmeant("format")?;
                let scope = fields.filled("scope").unwrap_or_default().parse();
                Wanted::AccessToken(
                    scope.map_err(|error: crate::access::UnknownScope| Wrong("invalid_scope", format!("{error}.")))?,
                )
            }
            Some(AWS_CREDENTIALS) => {
                if target.is_none() {
                    return Err(Wrong("invalid_target", "Name the role in resource, by its ARN.".to_owned()));
                }
                let duration = fields.filled("duration").map(str::parse).transpose();
                let format = fields.filled("format").map(str::parse).transpose();
                Wanted::Credentials {
                    duration: duration.map_err(|_| invalid("duration is between 15m and 12h, such as 1h."))?,
                    format: format
                        .map_err(|error: crate::issuance::formats::UnknownFormat| invalid(&format!("{error}.")))?,
                }
            }
            Some(_) => {
                return Err(invalid(&format!("requested_token_type is {ACCESS_TOKEN} or {AWS_CREDENTIALS}.")));
            }
        };
        Ok(Self { token, target, wanted })
    }
}

/// Answers a token exchange.
///
/// # Errors
/// Too many requests; everything else is answered as RFC 8693 2.2.2 says.
pub(super) async fn exchange(
    request: &HttpRequest,
    fields: &Fields,
    flow: &Exchange,
    limits: &Limits,
) -> Result<HttpResponse, Problem> {
    let asked = match Asked::read(fields) {
        Ok(asked) => asked,
        Err(Wrong(code, text)) => {
            limits.sign_in(context::client_address(request))?;
            tracing::info!(request.id = context::request_id(request), oauth.error = code, cause = text, "no exchange");
            return Ok(refusal(StatusCode::BAD_REQUEST, code, &text));
        }
    };
    let caller = caller(request);
    let Asked { token, target, wanted } = asked;
    let proven = match prove(request, token, flow, limits).await? {
        Ok(proven) => proven,
        Err(error) => return Ok(refused(&error, request)),
    };
    let answer = match (wanted, target) {
        (Wanted::Credentials { duration, format }, Some(target)) => {
            let order = Order { target, duration, fresh: true, delivery: delivery(format) };
            match flow.credentials(proven, order, &caller).await {
                Ok(issued) => Ok(deliver(&issued, format, flow).await?),
                Err(ExchangeError::Issue(error @ IssueFlowError::TooOften(_))) => return Err(error.into()),
                Err(error) => Err(error),
            }
        }
        (Wanted::Credentials { .. }, None) => Err(ExchangeError::NothingGranted),
        (Wanted::AccessToken(scope), target) => flow.token(proven, scope, target, &caller).await.map(|granted| {
            ok().json(json!({
                "access_token": granted.access.expose_secret(),
                "issued_token_type": ACCESS_TOKEN,
                "token_type": "Bearer",
                "expires_in": granted.expires_in.as_secs(),
                "scope": granted.scope.to_string(),
            }))
        }),
    };
    Ok(answer.unwrap_or_else(|error| refused(&error, request)))
}

/// Whose token this is; counted, and recorded where it is not taken.
///
/// # Errors
/// Too many requests, or the database refuses.
pub(in crate::web) async fn prove(
    request: &HttpRequest,
    token: SecretString,
    flow: &Exchange,
    limits: &Limits,
) -> Result<Result<Proven, ExchangeError>, Problem> {
    let caller = caller(request);
    match flow.prove(token.clone(), &caller).await {
        Ok(proven) => {
            limits.program(&proven.person().to_string())?;
            Ok(Ok(proven))
        }
        Err(error) => {
            // Before anything is written: a stranger's refusals are as many as strangers may cause anywhere.
            limits.sign_in(context::client_address(request))?;
            if error.is_about_the_token() {
                flow.record_refusal(&token, &error, &caller).await?;
            }
            Ok(Err(error))
        }
    }
}

impl From<ExchangeError> for Problem {
    fn from(error: ExchangeError) -> Self {
        let kind = match &error {
            ExchangeError::NoConnector { .. }
            | ExchangeError::Disabled(_)
            | ExchangeError::Ambiguous { .. }
            | ExchangeError::Refused(_)
            | ExchangeError::Replayed { .. } => Kind::TokenRefused,
            ExchangeError::NothingGranted | ExchangeError::NotGranted { .. } | ExchangeError::ForPeople { .. } => {
                Kind::RoleNotPermitted
            }
            ExchangeError::Connector(_) => Kind::IdentityProviderUnavailable,
            ExchangeError::Issue(_) | ExchangeError::Busy | ExchangeError::Interrupted | ExchangeError::Store(_) => {
                Kind::Unavailable
            }
        };
        match error {
            ExchangeError::Issue(error) => error.into(),
            error => Self::new(kind).detail(error.description()).caused_by(error),
        }
    }
}

/// The word for a delivery in the audit log.
const fn delivery(format: Option<Format>) -> &'static str {
    match format {
        None => "exchange",
        Some(Format::Json) => "exchange:json",
        Some(Format::Process) => "exchange:process",
        Some(Format::Env) => "exchange:env",
        Some(Format::Fish) => "exchange:fish",
        Some(Format::PowerShell) => "exchange:powershell",
        Some(Format::Cmd) => "exchange:cmd",
        Some(Format::Ini) => "exchange:ini",
    }
}

/// Credentials as OAuth answers, or in the format that was asked for and nothing else: `credential_process` takes it as
/// it is.
async fn deliver(issued: &Issued, format: Option<Format>, flow: &Exchange) -> Result<HttpResponse, Problem> {
    let loaded = flow.catalog.get().await?;
    let role = issued.role();
    let region = region_of(&loaded.catalog, role.account(), role.role());
    let context = Context { role, region: region.as_ref(), packed_percent: issued.packed_percent() };
    let credentials = issued.credentials();
    if let Some(format) = format {
        let text = format.render(credentials, &context);
        return Ok(ok().content_type(format.content_type()).body(text.expose_secret().to_owned()));
    }
    let document = Format::Process.render(credentials, &context);
    let document: serde_json::Value = serde_json::from_str(document.expose_secret()).map_err(crate::web::internal)?;
    let left = credentials.expiration.duration_since(flow.ground.clock.now());
    Ok(ok().json(json!({
        // Of the three parts the one that AWS calls a token; it is of no use without the others.
        "access_token": credentials.session_token.expose_secret(),
        "issued_token_type": AWS_CREDENTIALS,
        "token_type": "N_A",
        "expires_in": left.as_secs().max(0),
        "credentials": document,
    })))
}

fn ok() -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store")).insert_header((header::PRAGMA, "no-cache"));
    response
}

fn refused(error: &ExchangeError, request: &HttpRequest) -> HttpResponse {
    let status = match error.code() {
        "temporarily_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    let (id, address) = (context::request_id(request), context::client_address(request));
    tracing::info!(
        request.id = id, client.address = %address, oauth.error = error.code(), cause = %chain(error), "no exchange"
    );
    refusal(status, error.code(), &error.description())
}

fn refusal(status: StatusCode, code: &str, text: &str) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(json!({ "error": code, "error_description": text }))
}
