//! Which client is at the token endpoint, and whether it is the one it says.
//!
//! Spec: RFC 6749 2.3, RFC 7523 3, OpenID Connect Core 9.

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use openssl::sha::sha256;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::clients::Proof;
use super::{OauthError, at, issuer, jws};
use crate::sandbox::State;
use crate::sandbox::idp::params::Params;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// An assertion may be good no longer than this.
const LONGEST_ASSERTION: SignedDuration = SignedDuration::from_mins(10);
/// Clocks may differ by this.
const SKEW: SignedDuration = SignedDuration::from_secs(30);

/// What a client showed.
enum Shown<'a> {
    Nothing,
    Secret(String),
    Assertion(&'a str),
}

/// The id of the client that sent this, once it has shown what it has to.
///
/// # Errors
/// `invalid_client`, or `invalid_request` when it shows two things.
pub async fn client(request: &HttpRequest, state: &State, params: &Params) -> Result<String, OauthError> {
    let (id, shown) = read(request, params)?;
    let wrong = |text: &str| OauthError::new("invalid_client", text);
    let proof = state.idp.oidc.clients.proof(&id).ok_or_else(|| wrong("There is no such client."))?;
    match (proof, shown) {
        (Proof::Public, Shown::Nothing) | (Proof::Anything, Shown::Nothing | Shown::Secret(_)) => {}
        // Of hashes, so that the time it takes tells nothing.
        (Proof::Secret(secret), Shown::Secret(shown))
            if openssl::memcmp::eq(&sha256(secret.expose_secret().as_bytes()), &sha256(shown.as_bytes())) => {}
        (Proof::Secret(_), Shown::Secret(_)) => return Err(wrong("The client secret is wrong.")),
        (Proof::Keys(source), Shown::Assertion(assertion)) => {
            let now = state.clock.now();
            let parsed =
                jws::Parsed::read(assertion).ok_or_else(|| wrong("The client_assertion is not signed with RS256."))?;
            let mut jwks = source.get(&state.idp.oidc.http, now).await;
            if jwks.as_ref().is_ok_and(|jwks| jws::candidates(jwks, parsed.key_id()).is_empty()) {
                jwks = source.refresh(&state.idp.oidc.http, now).await;
            }
            let jwks = jwks.map_err(|error| {
                tracing::warn!("the keys of client {id} cannot be read: {error}");
                wrong("The client's keys cannot be read.")
            })?;
            let keys = jws::candidates(&jwks, parsed.key_id());
            let claims = keys.iter().find_map(|key| parsed.verified(key));
            let claims =
                claims.ok_or_else(|| wrong("No key of the client made the signature of its client_assertion."))?;
            check(state, &id, claims, now).map_err(wrong)?;
        }
        (Proof::Public, _) => return Err(wrong("The client is registered as public and shows no secret.")),
        (Proof::Secret(_), _) => return Err(wrong("The client has to show its secret.")),
        (Proof::Keys(_), _) => return Err(wrong("The client has to send a client_assertion.")),
        (Proof::Anything, Shown::Assertion(_)) => {
            return Err(wrong("The client is not registered, so its keys are not known."));
        }
    }
    Ok(id)
}

fn read<'a>(request: &HttpRequest, params: &'a Params) -> Result<(String, Shown<'a>), OauthError> {
    let invalid = |text: &str| OauthError::new("invalid_request", text);
    let named = params.get("client_id");
    let secret = params.get("client_secret");
    let assertion = params.get("client_assertion");
    let header = request.headers().get(AUTHORIZATION);
    if [header.is_some(), secret.is_some(), assertion.is_some()].into_iter().filter(|shown| *shown).count() > 1 {
        return Err(invalid("The client shows who it is in more than one way."));
    }
    if let Some(header) = header {
        let basic = header.to_str().ok().and_then(basic).ok_or_else(|| {
            OauthError::new(
                "invalid_client",
                "The Authorization header is not Basic with a form-encoded client id and secret.",
            )
        })?;
        if named.is_some_and(|named| named != basic.0) {
            return Err(invalid("The client_id is not the one in the Authorization header."));
        }
        return Ok((basic.0, Shown::Secret(basic.1)));
    }
    if let Some(assertion) = assertion {
        if params.get("client_assertion_type") != Some(ASSERTION_TYPE) {
            return Err(invalid("The client_assertion_type is not the one for a JWT."));
        }
        let subject = jws::Parsed::read(assertion).and_then(|parsed| parsed.unverified_text("sub").map(str::to_owned));
        let id = subject.ok_or_else(|| OauthError::new("invalid_client", "The client_assertion cannot be read."))?;
        if named.is_some_and(|named| named != id) {
            return Err(invalid("The client_id is not the sub of the client_assertion."));
        }
        return Ok((id, Shown::Assertion(assertion)));
    }
    let id = named.ok_or_else(|| OauthError::new("invalid_client", "The client does not say who it is."))?;
    Ok((id.to_owned(), secret.map_or(Shown::Nothing, |secret| Shown::Secret(secret.to_owned()))))
}

/// Id and secret out of a Basic header. Both must be form-encoded: whoever forgets that gets along with most secrets,
/// and fails with the first that has a special character.
///
/// Spec: RFC 6749 2.3.1.
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    Some((form_decoded(id)?, form_decoded(secret)?))
}

fn form_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let fits = match byte {
            b'%' => [bytes.next(), bytes.next()].iter().all(|digit| digit.is_some_and(|d| d.is_ascii_hexdigit())),
            _ => byte.is_ascii_alphanumeric() || b"*-._~+".contains(&byte),
        };
        if !fits {
            return None;
        }
    }
    percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// Checks what a client's assertion claims.
fn check(state: &State, id: &str, claims: &serde_json::Map<String, Value>, now: Timestamp) -> Result<(), &'static str> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let instant = |name: &str| claims.get(name).and_then(Value::as_i64).and_then(|at| Timestamp::from_second(at).ok());
    if text("iss") != Some(id) || text("sub") != Some(id) {
        return Err("The iss and sub of a client_assertion are the client_id.");
    }
    let here = [issuer(&state.base), at(state, "token")];
    let ours = |audience: &Value| audience.as_str().is_some_and(|audience| here.iter().any(|ours| ours == audience));
    let audience = claims.get("aud").unwrap_or(&Value::Null);
    if !ours(audience) && !audience.as_array().is_some_and(|all| all.iter().any(ours)) {
        return Err("The aud of a client_assertion is the issuer or the token endpoint.");
    }
    let until = instant("exp").ok_or("The client_assertion has no exp.")?;
    if now >= until + SKEW || until > now + LONGEST_ASSERTION + SKEW {
        return Err("The client_assertion has expired, or is good for longer than ten minutes.");
    }
    let early = |name: &str| instant(name).is_some_and(|at| at > now + SKEW);
    if early("nbf") || early("iat") {
        return Err("The client_assertion is not good yet.");
    }
    let unique = text("jti").filter(|id| !id.is_empty()).ok_or("The client_assertion has no jti.")?;
    if !state.idp.oidc.grants.first_use(id, unique, until + SKEW, now) {
        return Err("The client_assertion was used before.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_basic_header_is_form_encoded_or_refused() {
        let header = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        let read = |pair: &str| basic(&header(pair));
        assert_eq!(read("a:b"), Some(("a".to_owned(), "b".to_owned())));
        assert_eq!(read("dev%2Doidc:100%25+%3A"), Some(("dev-oidc".to_owned(), "100% :".to_owned())));
        for wrong in ["a:100%", "a:b c", "a:b:c", "a", "a:b&", "a:%zz", "a:%ff"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(basic("Bearer abc"), None);
        assert_eq!(
            basic(&header("a:b").to_lowercase().replace("basic", "BASIC")),
            basic(&header("a:b").to_lowercase())
        );
    }
}
