//! The token endpoint: a code becomes an ID token and an access token, once.
//!
//! Clients show who they are by `client_secret_basic` (form-encoded, as the standard has it), `client_secret_post`,
//! `private_key_jwt` with RS256, or not at all if they are public.
//!
//! Spec: OpenID Connect Core 3.1.3, RFC 6749 5.

use actix_web::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::SignedDuration;
use openssl::sha::sha256;
use serde_json::{Value, json};

use super::grants::{Grant, TOKEN_LIFE};
use super::{OauthError, broken, claims, credentials, issuer, json_response, jws};
use crate::sandbox::State;
use crate::sandbox::idp::params::Params;
use crate::sys::Token;

/// An ID token is read at once.
const ID_TOKEN_LIFE: SignedDuration = SignedDuration::from_mins(10);

/// `POST /idp/oidc/token`
pub async fn endpoint(request: HttpRequest, body: web::Bytes, state: web::Data<State>) -> HttpResponse {
    match exchange(&request, &state, &body).await {
        Ok((token, grant)) => answer(&state, &token, &grant).await,
        Err(error) => refused(&error),
    }
}

fn refused(error: &OauthError) -> HttpResponse {
    tracing::info!("the token endpoint of the sandbox refused a client: {}", error.description);
    let status = if error.code == "invalid_client" { 401 } else { 400 };
    let mut response = json_response(status, &json!({ "error": error.code, "error_description": error.description }));
    if status == 401 {
        let challenge = actix_web::http::header::HeaderValue::from_static("Basic realm=\"token\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

async fn exchange(request: &HttpRequest, state: &State, body: &[u8]) -> Result<(Token, Grant), OauthError> {
    let invalid = |text: String| OauthError::new("invalid_request", text);
    let form = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
    });
    if !form {
        return Err(invalid("The body is not a form.".to_owned()));
    }
    let params = Params::parse(body).map_err(|error| invalid(error.to_string()))?;
    let client = credentials::client(request, state, &params).await?;
    match params.get("grant_type") {
        Some("authorization_code") => {}
        None => return Err(invalid("There is no grant_type.".to_owned())),
        Some(_) => return Err(OauthError::new("unsupported_grant_type", "Only authorization_code is offered.")),
    }
    let param = |name: &str| params.get(name).ok_or_else(|| invalid(format!("There is no {name}.")));
    let (code, redirect_uri, verifier) = (param("code")?, param("redirect_uri")?, param("code_verifier")?);
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(unreserved) {
        return Err(invalid("The code_verifier is not 43 to 128 unreserved characters.".to_owned()));
    }
    let now = state.clock.now();
    let redeemed = state.idp.oidc.grants.redeem(code, &client, redirect_uri, verifier, now, &*state.rng);
    redeemed.map_err(|error| OauthError::new("invalid_grant", error.to_string()))
}

async fn answer(state: &State, token: &Token, grant: &Grant) -> HttpResponse {
    let Some(person) = state.world.person(&grant.person) else {
        return refused(&OauthError::new("invalid_grant", "The person is not here any more."));
    };
    let now = state.clock.now();
    let mut claims = claims(person, &grant.scope);
    let mut say = |name: &str, value: Value| {
        claims.insert(name.to_owned(), value);
    };
    say("iss", issuer(&state.base).into());
    say("aud", grant.client_id.as_str().into());
    say("azp", grant.client_id.as_str().into());
    say("iat", now.as_second().into());
    say("exp", (now + ID_TOKEN_LIFE).as_second().into());
    say("auth_time", grant.at.as_second().into());
    say("acr", grant.strength.class().into());
    say("amr", grant.strength.methods().into());
    say("sid", grant.session.as_str().into());
    say("at_hash", URL_SAFE_NO_PAD.encode(&sha256(token.expose_secret().as_bytes())[..16]).into());
    if let Some(nonce) = &grant.nonce {
        say("nonce", nonce.as_str().into());
    }
    let ring = match state.idp.oidc.keys.ring(&state.clock, &state.rng).await {
        Ok(ring) => ring,
        Err(error) => return broken(&error),
    };
    match jws::sign(&ring.current, "JWT", &claims) {
        Ok(id_token) => json_response(
            200,
            &json!({
                "access_token": token.expose_secret(),
                "token_type": "Bearer",
                "expires_in": TOKEN_LIFE.as_secs(),
                "scope": grant.scope.join(" "),
                "id_token": id_token,
            }),
        ),
        Err(error) => broken(&error),
    }
}
