//! How programs come by tokens: the pages where people allow them, and the addresses where programs fetch them.
//!
//! Programs are answered as OAuth says: `{"error", "error_description"}`. Spec: RFC 6749, RFC 7009, RFC 8414, RFC 8628,
//! RFC 8693.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::context;
use crate::access::Scope;
use crate::flows::grant_tokens::GrantError;
use crate::sys::LocalPath;

pub mod authorize;
pub mod device;
pub mod exchange;
pub mod metadata;
pub mod token;

/// How a device exchanges its code. Spec: RFC 8628 3.4.
pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// What a program is told instead of tokens. Spec: RFC 6749 5.2.
fn refusal(error: &GrantError, request: &HttpRequest) -> HttpResponse {
    let status = match error {
        GrantError::InvalidClient(_) => StatusCode::UNAUTHORIZED,
        GrantError::TooOften | GrantError::Store(_) | GrantError::Interrupted => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    let (id, address) = (context::request_id(request), context::client_address(request));
    if status.is_server_error() {
        tracing::error!(request.id = id, client.address = %address, cause = %chain(error), "no tokens were granted");
    } else if !matches!(error, GrantError::AuthorizationPending | GrantError::SlowDown) {
        tracing::info!(
            request.id = id, client.address = %address, oauth.error = error.code(), cause = %error, "no tokens were granted"
        );
    }
    let mut response = HttpResponse::build(status);
    if status == StatusCode::UNAUTHORIZED {
        response.insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"rolegate\""));
    }
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response.json(json!({ "error": error.code(), "error_description": error.description() }))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

/// Where somebody who signs in anew on the way goes on.
fn device_path() -> LocalPath {
    LocalPath::parse_or_home(Some("/device"))
}

/// What a program will be able to do, after "It will be able to".
fn ability(scope: &Scope, roles: usize) -> String {
    if !scope.issue {
        return "See who you are and which roles you may use; it gets no credentials.".to_owned();
    }
    match roles {
        0 => "See which roles you may use and get credentials for them; at present there are none.".to_owned(),
        1 => "See which roles you may use, and get credentials for your one role.".to_owned(),
        _ => {
            let all = super::views::counted(roles, "role", "roles");
            format!("See which roles you may use, and get credentials for any of your {all}.")
        }
    }
}
