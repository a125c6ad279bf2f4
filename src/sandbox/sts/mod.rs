//! The Security Token Service on AWS's query protocol. One file per operation; this one finds it and dresses its answer.

mod answer;
mod assume_role;
mod assume_role_with_saml;
mod assume_role_with_web_identity;
mod assume_root;
mod decode_authorization_message;
mod error;
mod get_access_key_info;
mod get_caller_identity;
mod get_federation_token;
mod get_session_token;
mod mfa;
pub(super) mod permission;
mod query;
mod session;
mod sigv4;
pub(super) mod web_identity;

use actix_web::http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use jiff::Timestamp;
use secrecy::SecretString;

use super::authorize::Bearer;
use super::credentials::{Holder, Owner, Session};
use super::faults::{self, Failure, Met, Service};
use super::{State, iam_query, landing};
use crate::aws::{AccountId, Partition, Region};
pub(super) use answer::{Member, escaped, failure_in, success_in};
pub(super) use error::StsError;
pub(super) use query::{ARN, Checks, Params, TextShape};
use sigv4::Keyring;
pub(super) use sigv4::{Authenticated, Caller, HttpRequest, LongTermKey};

const VERSION: &str = "2011-06-15";
/// STS takes a body of exactly this size and refuses one byte more.
const MAX_BODY: usize = 10_000_000;
/// Carries what [`decode_authorization_message`] reads. AWS has no such header; nobody trips over one more.
const DETAILS: HeaderName = HeaderName::from_static("x-sandbox-encoded-authorization-message");
const MAX_QUERY: usize = 16_000;

/// One call, as operations see it.
struct Call<'a> {
    params: Params,
    http: HttpRequest<'a>,
    source_ip: Option<std::net::IpAddr>,
    secure_transport: bool,
    now: Timestamp,
    request_id: &'a str,
}

impl Call<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.http.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The region of an unsigned call: the one its host name stands for, if it does.
    fn region(&self, partition: Partition) -> Region {
        self.header("host")
            .and_then(sigv4::region_of_host)
            .and_then(|region| region.parse().ok())
            .unwrap_or_else(|| partition.default_region())
    }
}

/// `GET /` and `POST /`.
pub async fn endpoint(request: actix_web::HttpRequest, payload: web::Payload, state: web::Data<State>) -> HttpResponse {
    let body = match read_body(payload).await {
        Ok(body) => body,
        Err(status) => return HttpResponse::new(status),
    };
    let query = request.query_string();
    if query.len() > MAX_QUERY {
        return HttpResponse::new(StatusCode::BAD_REQUEST);
    }
    let params = if request.method() == Method::POST {
        if !is_form(&request) {
            return elsewhere("");
        }
        Params::parse(&body)
    } else {
        Params::parse(query.as_bytes())
    };
    let Some(action) = params.get("Action").map(str::to_owned) else {
        return if request.method() == Method::GET && wants_html(&request) {
            landing::page(&state)
        } else {
            elsewhere(if request.method() == Method::GET { query } else { "" })
        };
    };

    if params.get("Version") == Some(iam_query::VERSION) {
        return iam_query::endpoint(&request, &state, &action, &params, &body).await;
    }

    let request_id = state.request_id();
    let refused = |error: &StsError| failed(&action, error, &request_id);
    let time = match faults::meet(&state, Service::Sts, &action).await {
        Met::Serve(time) => time,
        Met::Throttle => return refused(&StsError::throttled()),
        Met::Fail(Failure::Internal) => return refused(&StsError::internal("a fault was set")),
        Met::Fail(Failure::Unavailable) => return refused(&StsError::unavailable()),
        Met::CutOff => return faults::cut_off(),
    };
    let call = Call {
        http: HttpRequest {
            method: request.method().as_str(),
            path: "/",
            query,
            headers: headers(&request),
            body: &body,
        },
        source_ip: request.peer_addr().map(|peer| peer.ip()),
        secure_transport: state.base.scheme() == "https",
        now: time.now,
        request_id: &request_id,
        params,
    };
    let mut answer = match perform(&state, &action, &call).await {
        Ok((operation, members)) => {
            tracing::info!(sts.action = operation, "the sandbox's STS answered {operation}");
            answered(StatusCode::OK, answer::success(operation, &members, &request_id), &request_id)
        }
        Err(error) => failed(&action, &error, &request_id),
    };
    time.stamp(&mut answer);
    answer
}

fn failed(action: &str, error: &StsError, request_id: &str) -> HttpResponse {
    tracing::info!(sts.action = action, sts.error = error.code, "the sandbox's STS refused: {error}");
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = answered(status, answer::failure(error, request_id), request_id);
    if let Some(Ok(details)) = error.details.as_deref().map(HeaderValue::from_str) {
        answer.headers_mut().insert(DETAILS, details);
    }
    answer
}

fn answered(status: StatusCode, body: String, request_id: &str) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, "text/xml"))
        .insert_header(("x-amzn-RequestId", request_id))
        .insert_header(("x-amz-sts-extended-request-id", STANDARD.encode(format!("rolegate:sandbox:{request_id}"))))
        .body(body)
}

/// Who signed a request to one of the local services (`sts`, `iam`, `s3`, …).
///
/// # Errors
/// What STS answers; other services dress it in their own form.
pub fn authenticate(
    state: &State,
    request: &HttpRequest<'_>,
    service: &str,
    now: Timestamp,
) -> Result<Authenticated, StsError> {
    sigv4::verify(request, service, state, now)
}

impl Keyring for State {
    fn long_term(&self, access_key_id: &str) -> Option<LongTermKey> {
        let iam = self.iam.now();
        let (owner, key) = iam.owner_of_key(access_key_id)?;
        Some(LongTermKey { owner, secret: key.secret.clone(), active: key.active })
    }

    fn session(&self, access_key_id: &str, token: &str) -> Option<Session> {
        self.mint.open(access_key_id, token)
    }

    fn temporary_secret(&self, access_key_id: &str) -> SecretString {
        self.mint.secret(access_key_id)
    }

    fn is_alive(&self, session: &Session) -> bool {
        self.world_has(session)
    }
}

impl Caller {
    /// The caller as policies see it: what [`authorize`](super::authorize) asks for.
    #[must_use]
    pub fn bearer(&self) -> Bearer {
        match self {
            Self::LongTerm(owner) => Bearer::of_owner(owner),
            Self::Session(session) => Bearer::of_session(session),
        }
    }
}

/// Finds the operation and runs it.
async fn perform(
    state: &web::Data<State>,
    action: &str,
    call: &Call<'_>,
) -> Result<(&'static str, Vec<Member>), StsError> {
    let version = call.params.get("Version");
    let Some(operation) = Operation::ALL.into_iter().find(|known| known.name() == action) else {
        return Err(StsError::invalid_action(action, version));
    };
    if version != Some(VERSION) {
        return Err(StsError::invalid_action(action, version));
    }
    let members = match operation {
        Operation::AssumeRole => assume_role::run(state, call)?,
        Operation::AssumeRoleWithSaml => assume_role_with_saml::run(state, call).await?,
        Operation::AssumeRoleWithWebIdentity => assume_role_with_web_identity::run(state, call).await?,
        Operation::AssumeRoot => assume_root::run(state, call)?,
        Operation::DecodeAuthorizationMessage => decode_authorization_message::run(state, call)?,
        Operation::GetAccessKeyInfo => get_access_key_info::run(state, call)?,
        Operation::GetCallerIdentity => get_caller_identity::run(state, call)?,
        Operation::GetFederationToken => get_federation_token::run(state, call)?,
        Operation::GetSessionToken => get_session_token::run(state, call)?,
    };
    Ok((operation.name(), members))
}

/// What can be asked of STS here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    AssumeRole,
    AssumeRoleWithSaml,
    AssumeRoleWithWebIdentity,
    AssumeRoot,
    DecodeAuthorizationMessage,
    GetAccessKeyInfo,
    GetCallerIdentity,
    GetFederationToken,
    GetSessionToken,
}

impl Operation {
    const ALL: [Self; 9] = [
        Self::AssumeRole,
        Self::AssumeRoleWithSaml,
        Self::AssumeRoleWithWebIdentity,
        Self::AssumeRoot,
        Self::DecodeAuthorizationMessage,
        Self::GetAccessKeyInfo,
        Self::GetCallerIdentity,
        Self::GetFederationToken,
        Self::GetSessionToken,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::AssumeRole => "AssumeRole",
            Self::AssumeRoleWithSaml => "AssumeRoleWithSAML",
            Self::AssumeRoleWithWebIdentity => "AssumeRoleWithWebIdentity",
            Self::AssumeRoot => "AssumeRoot",
            Self::DecodeAuthorizationMessage => "DecodeAuthorizationMessage",
            Self::GetAccessKeyInfo => "GetAccessKeyInfo",
            Self::GetCallerIdentity => "GetCallerIdentity",
            Self::GetFederationToken => "GetFederationToken",
            Self::GetSessionToken => "GetSessionToken",
        }
    }
}

/// Whose long-term keys these are; sessions may not make sessions of users.
fn long_term_owner<'a>(caller: &'a Caller, operation: &str) -> Result<&'a Owner, StsError> {
    match caller {
        Caller::LongTerm(owner) => Ok(owner),
        Caller::Session(_) => Err(StsError::access_denied(format!("Cannot call {operation} with session credentials"))),
    }
}

/// Sessions of users and of federated users may ask STS who they are, and little else.
fn ensure_may_ask(caller: &Caller, action: &str) -> Result<(), StsError> {
    match caller {
        Caller::LongTerm(_) => Ok(()),
        Caller::Session(session) => match session.holder {
            Holder::Role(_) => Ok(()),
            Holder::User { .. } | Holder::FederatedUser { .. } | Holder::RootTask { .. } => {
                Err(permission::not_for_these_credentials(caller, action, "*"))
            }
        },
    }
}

/// Accounts may switch STS off in a region: it then makes no credentials for them there.
fn ensure_active(state: &State, account: AccountId, region: &str) -> Result<(), StsError> {
    let off = state
        .world
        .account(account)
        .is_some_and(|account| account.sts_disabled_regions.iter().any(|disabled| disabled.as_str() == region));
    if off { Err(StsError::region_disabled(account)) } else { Ok(()) }
}

async fn read_body(mut payload: web::Payload) -> Result<web::BytesMut, StatusCode> {
    let mut body = web::BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| StatusCode::BAD_REQUEST)?;
        if body.len() + chunk.len() > MAX_BODY {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn is_form(request: &actix_web::HttpRequest) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

pub(super) fn wants_html(request: &actix_web::HttpRequest) -> bool {
    request
        .headers()
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

/// Where STS sends what is no call at all.
fn elsewhere(query: &str) -> HttpResponse {
    let location = if query.is_empty() {
        "https://aws.amazon.com/iam".to_owned()
    } else {
        format!("https://aws.amazon.com/iam?{query}")
    };
    let location = HeaderValue::from_str(&location).unwrap_or(HeaderValue::from_static("https://aws.amazon.com/iam"));
    HttpResponse::Found().insert_header((LOCATION, location)).finish()
}

/// What STS says on every path but its own.
pub(super) fn unknown_operation() -> HttpResponse {
    HttpResponse::NotFound().insert_header((CONTENT_TYPE, "text/xml")).body("<UnknownOperationException/>\n")
}

pub(super) fn headers(request: &actix_web::HttpRequest) -> Vec<(String, String)> {
    request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}
