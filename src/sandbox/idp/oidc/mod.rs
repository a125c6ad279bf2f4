//! OpenID Connect: authorization code flow with PKCE, and both ways to sign out.
//!
//! | Path | What |
//! | --- | --- |
//! | `GET /idp/oidc/.well-known/openid-configuration` | discovery; the issuer is `…/idp/oidc` |
//! | `GET,POST /idp/oidc/authorize` | code flow only, PKCE with S256 always; `iss` in every answer (RFC 9207) |
//! | `POST /idp/oidc/token` | [`token`] |
//! | `GET,POST /idp/oidc/userinfo` | bearer token in the header or in the form |
//! | `GET /idp/oidc/jwks.json` | the keys, see [`keys`] |
//! | `POST /idp/oidc/rotate` | the next step of a key's life |
//! | `GET,POST /idp/oidc/logout` | RP-initiated logout; clients with an address for it get logout tokens |
//!
//! Scopes: `openid`, `profile` (names, `title`, `department`, `costCenter`, `groups`), `email`, and `groups` for groups
//! alone. Claims stand in the ID token and at userinfo alike.
//!
//! Spec: OpenID Connect Core 1.0, Discovery 1.0, RP-Initiated Logout 1.0, Back-Channel Logout 1.0; RFC 6749, 6750, 7523,
//! 7636, 9207.

pub mod authorize;
mod clients;
mod credentials;
mod grants;
pub(super) mod jws;
pub mod keys;
pub mod logout;
pub mod token;
pub mod userinfo;

use actix_web::http::header::{CACHE_CONTROL, LOCATION, PRAGMA};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::sha::sha256;
use serde_json::{Map, Value, json};

use self::clients::Clients;
pub use self::clients::{ClientAuthentication, OidcClient, OidcClientsError};
use self::grants::Grants;
use self::keys::KeyRing;
use super::strength::Strength;
use crate::sandbox::State;
use crate::sandbox::pages::{self, Notice};
use crate::sandbox::world::Person;

/// What the OpenID Connect side knows.
#[derive(Debug)]
pub struct Provider {
    pub http: reqwest::Client,
    clients: Clients,
    pub grants: Grants,
    pub keys: KeyRing,
}

impl Provider {
    pub fn new(http: reqwest::Client, clients: Vec<OidcClient>, any_loopback: bool, keys: KeyRing) -> Self {
        Self { http, clients: Clients::new(clients, any_loopback), grants: Grants::default(), keys }
    }

    /// The registered clients: the id, and an address of theirs.
    pub fn registered(&self) -> impl Iterator<Item = (&str, &str)> {
        self.clients.all().map(|client| (client.id.as_str(), client.redirect_uris.first().map_or("", String::as_str)))
    }
}

const SCOPES: [&str; 4] = ["openid", "profile", "email", "groups"];

pub fn issuer(base: &url::Url) -> String {
    format!("{}idp/oidc", base.as_str())
}

pub fn discovery_url(base: &url::Url) -> String {
    format!("{}/.well-known/openid-configuration", issuer(base))
}

/// Where an endpoint is.
fn at(state: &State, path: &str) -> String {
    format!("{}/{path}", issuer(&state.base))
}

/// `GET /idp/oidc/.well-known/openid-configuration`
pub async fn discovery(state: web::Data<State>) -> HttpResponse {
    let at = |path: &str| at(&state, path);
    json_response(
        200,
        &json!({
            "issuer": issuer(&state.base),
            "authorization_endpoint": at("authorize"),
            "token_endpoint": at("token"),
            "userinfo_endpoint": at("userinfo"),
            "jwks_uri": at("jwks.json"),
            "end_session_endpoint": at("logout"),
            "scopes_supported": SCOPES,
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "form_post"],
            "grant_types_supported": ["authorization_code"],
            "acr_values_supported": Strength::ALL.map(Strength::class),
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported":
                ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"],
            "token_endpoint_auth_signing_alg_values_supported": ["RS256"],
            "claim_types_supported": ["normal"],
            "claims_supported": [
                "sub", "iss", "aud", "azp", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash", "name",
                "displayName", "preferred_username", "email", "email_verified", "groups", "title", "department",
                "costCenter",
            ],
            "prompt_values_supported": ["none", "login", "select_account"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
            "claims_parameter_supported": false,
            "request_parameter_supported": false,
            "request_uri_parameter_supported": false,
            "backchannel_logout_supported": true,
            "backchannel_logout_session_supported": true,
        }),
    )
}

/// `GET /idp/oidc/jwks.json`
pub async fn jwks(state: web::Data<State>) -> HttpResponse {
    match state.idp.oidc.keys.ring(&state.clock, &state.rng).await {
        Ok(ring) => match ring.jwks() {
            Ok(jwks) => json_response(200, &jwks),
            Err(error) => broken(&error),
        },
        Err(error) => broken(&error),
    }
}

/// `POST /idp/oidc/rotate`: publishes a new key, signs with it, or drops the old one, whichever comes next.
pub async fn rotate(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let site = request.headers().get("Sec-Fetch-Site").and_then(|site| site.to_str().ok());
    if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return hostile("The button is on the identity provider's own page.");
    }
    match state.idp.oidc.keys.turn(&state.clock, &state.rng).await {
        Ok(_) => HttpResponse::SeeOther().insert_header((LOCATION, "/idp#keys")).finish(),
        Err(error) => broken(&error),
    }
}

/// The `sub` of somebody, by id: always the same, and nothing to be read from it.
pub fn subject(person: &str) -> String {
    let digest = sha256(format!("rolegate sandbox subject\0{person}").as_bytes());
    URL_SAFE_NO_PAD.encode(&digest[..15])
}

/// What scopes say about somebody.
fn claims(person: &Person, scope: &[String]) -> Map<String, Value> {
    let has = |name: &str| scope.iter().any(|known| known == name);
    let mut claims = Map::new();
    let mut say = |name: &str, value: Value| {
        claims.insert(name.to_owned(), value);
    };
    say("sub", subject(&person.id).into());
    if has("profile") {
        say("name", person.name.as_str().into());
        say("displayName", person.name.as_str().into());
        say("preferred_username", person.id.as_str().into());
        say("title", person.title.as_str().into());
        say("department", person.department.as_str().into());
        say("costCenter", person.cost_center.as_str().into());
    }
    if has("profile") || has("groups") {
        say("groups", person.groups.as_slice().into());
    }
    if has("email") {
        say("email", person.email.as_str().into());
        say("email_verified", true.into());
    }
    claims
}

pub(super) fn json_response(status: u16, body: &Value) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(status).unwrap_or_default();
    HttpResponse::build(status)
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((PRAGMA, "no-cache"))
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .json(body)
}

/// An error as OAuth has it.
///
/// Spec: RFC 6749 4.1.2.1 and 5.2.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OauthError {
    code: &'static str,
    description: String,
}

impl OauthError {
    fn new(code: &'static str, description: impl Into<String>) -> Self {
        // The standard takes neither quotation marks nor backslashes nor anything beyond ASCII.
        let plain = |c: char| if matches!(c, ' '..='~') && !matches!(c, '"' | '\\') { c } else { '?' };
        Self { code, description: description.into().chars().map(plain).collect() }
    }
}

/// Whoever asked is told here and not by a redirect: the address could be anybody's.
fn hostile(text: &str) -> HttpResponse {
    tracing::info!("the development identity provider refused a request: {text}");
    let title = "This request cannot be answered".to_owned();
    pages::notice(400, &Notice { title, text: text.to_owned(), link: None })
}

pub(super) fn broken(error: &dyn std::fmt::Display) -> HttpResponse {
    tracing::error!("the development identity provider could not write an answer: {error}");
    json_response(500, &json!({"error": "server_error", "error_description": "The log says why."}))
}
