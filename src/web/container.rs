//! What `AWS_CONTAINER_CREDENTIALS_FULL_URI` expects: credentials for whoever has the token, without a question asked.
//!
//! Spec: AWS SDKs and Tools Reference Guide, "Container credential provider". The SDKs wait two seconds, try three times,
//! follow no redirect, and print the body of anything but a 200.

use std::sync::Arc;

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::limits::Limits;
use super::oauth::exchange;
use super::problem::{Kind, Problem};
use super::programs::{self, utc};
use super::{caller, context};
use crate::aws::{AccountId, RoleName};
use crate::catalog::RoleId;
use crate::flows::exchange::{Exchange, Order, Target};
use crate::flows::issue::Issue;
use crate::flows::tokens::LiveToken;
use crate::issuance::Issued;
use crate::sys::Bearer;

/// The members' names are the protocol's: `Token`, and not `SessionToken` as everywhere else.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    expiration: String,
    account_id: &'a str,
    role_arn: String,
}

/// `GET /api/v1/container/{account}/{role}`.
///
/// # Errors
/// The token does not count, the role is not permitted, or AWS does not answer; in the shape that SDKs print.
#[utoipa::path(
    get,
    path = "/api/v1/container/{account}/{role}",
    operation_id = "containerCredentials",
    tag = "use",
    params(
        ("account" = String, Path, pattern = "^[0-9]{12}$", example = "111122223333", description = "The account's id."),
        ("role" = String, Path, example = "ReadOnly", description = "The role's name with its path, whose slashes may stand as they are."),
    ),
    responses((status = 200, description = "Credentials, as SDKs take them from a container."))
)]
pub async fn credentials(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    issue: web::Data<Issue>,
    workloads: web::Data<Exchange>,
) -> Result<HttpResponse, Problem> {
    let sent = token_in(request.headers());
    let asked = match sent {
        Ok(text) if is_workloads(text) => Asking::Workload(text.to_owned()),
        sent => Asking::Program(Box::new(programs::token(&request, sent).await?)),
    };
    let not_found = |_| Problem::new(Kind::NotFound).detail("There can be no such account or role. Check the address.");
    let role = (path.0.parse().map_err(not_found)?, path.1.parse().map_err(not_found)?);
    let issued = match asked {
        Asking::Program(token) => programs::credentials(&request, &issue, *token, role, "container").await?,
        Asking::Workload(token) => workload(&request, token, role, &workloads).await?,
    };
    let credentials = issued.credentials();
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(Credentials {
        access_key_id: &credentials.access_key_id,
        secret_access_key: credentials.secret_access_key.expose_secret(),
        token: credentials.session_token.expose_secret(),
        expiration: utc(credentials.expiration),
        account_id: issued.role().account().as_str(),
        role_arn: issued.role().to_string(),
    }))
}

/// Who asks.
enum Asking {
    Program(Box<LiveToken>),
    Workload(String),
}

/// Whether a text is the token of a workload: a JWT in its three parts, which none of our own tokens is.
fn is_workloads(text: &str) -> bool {
    Bearer::parse(text).is_none() && text.split('.').count() == 3
}

/// Credentials for what a cluster vouches for: `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE` names the token that it projects
/// into the pod, and the SDK reads it anew each time.
async fn workload(
    request: &HttpRequest,
    token: String,
    (account, name): (AccountId, RoleName),
    flow: &Exchange,
) -> Result<Arc<Issued>, Problem> {
    programs::refuse_browsers(request)?;
    let limits = request.app_data::<web::Data<Limits>>().expect("the application sets its limits");
    limits.told(context::client_address(request))?;
    let proven = exchange::prove(request, SecretString::from(token), flow, limits).await??;
    let target = Target { role: RoleId { account, name }, partition: None };
    let order = Order { target, duration: None, fresh: false, delivery: "container" };
    Ok(flow.credentials(proven, order, &caller(request)).await?)
}

/// What stands in `Authorization`. The SDKs send `AWS_CONTAINER_AUTHORIZATION_TOKEN` as it is, so it may be a token of
/// ours by itself, or one after `Bearer`.
fn token_in(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut sent = headers.get_all(header::AUTHORIZATION);
    let Some(value) = sent.next() else {
        return Err(Problem::new(Kind::SignInRequired)
            .detail("Set AWS_CONTAINER_AUTHORIZATION_TOKEN to `Bearer` and a token, or name a file that holds this."));
    };
    if sent.next().is_some() {
        return Err(Problem::new(Kind::BadRequest).detail("The header Authorization was sent twice."));
    }
    let text = value.to_str().unwrap_or("");
    Ok(match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => text,
    })
}
