//! The Security Token Service on AWS's query protocol. One file per operation; this one finds it and dresses its answer.

mod answer;
mod assume_role_with_saml;
mod error;
mod get_caller_identity;
mod query;
mod sigv4;

use actix_web::http::header::{ACCEPT, CONTENT_TYPE, HeaderValue, LOCATION};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use jiff::Timestamp;
use secrecy::SecretString;

use super::authorize::Bearer;
use super::credentials::Session;
use super::faults::{self, Failure, Met, Service};
use super::{State, landing};
use answer::Member;
pub(super) use error::StsError;
use query::Params;
use sigv4::Keyring;
pub(super) use sigv4::{Authenticated, Caller, HttpRequest, LongTermKey};

const VERSION: &str = "2011-06-15";
/// STS takes a body of exactly this size and refuses one byte more.
const MAX_BODY: usize = 10_000_000;
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
    fn user_agent(&self) -> Option<&str> {
        self.http.headers.iter().find(|(name, _)| name == "user-agent").map(|(_, value)| value.as_str())
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
    answered(status, answer::failure(error, request_id), request_id)
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
pub fn authenticate(state: &State, request: &HttpRequest<'_>, service: &str) -> Result<Authenticated, StsError> {
    sigv4::verify(request, service, state, state.clock.now())
}

impl Keyring for State {
    fn long_term(&self, access_key_id: &str) -> Option<LongTermKey> {
        let iam = self.iam.now();
        let (user, key) = iam.user_of_key(access_key_id)?;
        Some(LongTermKey { owner: user.owner(), secret: key.secret.clone(), active: key.active })
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
    match (action, version) {
        ("AssumeRoleWithSAML", Some(VERSION)) => {
            Ok(("AssumeRoleWithSAML", assume_role_with_saml::run(state, call).await?))
        }
        ("GetCallerIdentity", Some(VERSION)) => Ok(("GetCallerIdentity", get_caller_identity::run(state, call)?)),
        _ => Err(StsError::invalid_action(action, version)),
    }
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

fn headers(request: &actix_web::HttpRequest) -> Vec<(String, String)> {
    request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}
