//! What programs may know about us before they ask.

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::flows::authorize::{Authorize, issuer_text};
use crate::flows::device::{ApproveFrom, Devices};

/// `GET /.well-known/oauth-authorization-server`. Spec: RFC 8414 2; RFC 9207 3; RFC 8628 4.
pub async fn metadata(authorize: web::Data<Authorize>, devices: web::Data<Devices>) -> HttpResponse {
    let issuer = issuer_text(&authorize.issuer);
    let at = |path: &str| format!("{issuer}{path}");
    let mut grants = vec!["authorization_code", "refresh_token", super::exchange::GRANT];
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/oauth/token"),
        "revocation_endpoint": at("/oauth/revoke"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_post"],
        "revocation_endpoint_auth_methods_supported": ["none", "client_secret_post"],
        "scopes_supported": ["read", "issue"],
        "authorization_response_iss_parameter_supported": true,
    });
    if devices.from != ApproveFrom::Nowhere {
        grants.push(super::DEVICE_CODE);
        document["device_authorization_endpoint"] = json!(at("/oauth/device_authorization"));
    }
    document["grant_types_supported"] = json!(grants);
    HttpResponse::Ok().json(document)
}
