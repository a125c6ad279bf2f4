//! Who somebody is, for whoever holds an access token.
//!
//! Spec: OpenID Connect Core 5.3, RFC 6750.

use actix_web::http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::{claims, json_response};
use crate::sandbox::State;
use crate::sandbox::idp::params::Params;

/// `GET /idp/oidc/userinfo` and `POST /idp/oidc/userinfo`
pub async fn endpoint(request: HttpRequest, body: web::Bytes, state: web::Data<State>) -> HttpResponse {
    let Ok(mut params) = Params::parse(&body) else {
        return refused(400, "Bearer error=\"invalid_request\"", "invalid_request");
    };
    let header = request.headers().get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    let in_header = header.and_then(|header| {
        let (scheme, token) = header.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    });
    // A token in the query ends up in logs, so it is not looked at there.
    let token = match (in_header, params.take("access_token")) {
        (Some(_), Some(_)) => return refused(400, "Bearer error=\"invalid_request\"", "invalid_request"),
        (Some(token), None) | (None, Some(token)) => token,
        (None, None) => return refused(401, "Bearer realm=\"userinfo\"", "invalid_token"),
    };
    let grant = state.idp.oidc.grants.access(&token, state.clock.now());
    match grant.and_then(|grant| Some((state.world.person(&grant.person)?, grant.scope))) {
        Some((person, scope)) => json_response(200, &Value::Object(claims(person, &scope))),
        None => refused(401, "Bearer realm=\"userinfo\", error=\"invalid_token\"", "invalid_token"),
    }
}

fn refused(status: u16, challenge: &'static str, error: &str) -> HttpResponse {
    let mut response = json_response(status, &json!({ "error": error }));
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}
