//! What `AWS_CONTAINER_CREDENTIALS_FULL_URI` expects: credentials for whoever has the token, without a question asked.
//!
//! Spec: AWS SDKs and Tools Reference Guide, "Container credential provider". The SDKs wait two seconds, try three times,
//! follow no redirect, and print the body of anything but a 200.

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::ExposeSecret;
use serde::Serialize;

use super::problem::{Kind, Problem};
use super::programs::{self, utc};
use crate::flows::issue::Issue;

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
pub async fn credentials(
    request: HttpRequest,
    path: web::Path<(String, String)>,
    issue: web::Data<Issue>,
) -> Result<HttpResponse, Problem> {
    let token = programs::token(&request, token_in(request.headers())).await?;
    let not_found = |_| Problem::new(Kind::NotFound).detail("There can be no such account or role. Check the address.");
    let role = (path.0.parse().map_err(not_found)?, path.1.parse().map_err(not_found)?);
    let issued = programs::credentials(&request, &issue, token, role, "container").await?;
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
