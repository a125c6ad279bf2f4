//! Asking the token endpoint, and reading its answer.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use openssl::sha::{sha1, sha256};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::json::{self, Object};
use super::jws::{self, Purpose};
use super::{AttemptSecrets, OidcError, Settings};
use crate::saml::key::{KeyError, SigningKey};
use crate::saml::names::excerpt;
use crate::sys::Rng;

/// How long a client assertion is good for, in seconds: long enough for a slow call and clocks that differ a little.
const ASSERTION_SECS: i64 = 60;

/// What proves to the token endpoint who we are.
#[derive(Clone)]
pub enum Credential {
    /// Nothing: a public client, with PKCE alone.
    Public,
    /// `client_secret_basic`.
    Basic(SecretString),
    /// `client_secret_post`.
    Post(SecretString),
    /// `private_key_jwt`, with RS256.
    PrivateKey(Arc<SigningKey>),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "Public",
            Self::Basic(_) => "Basic",
            Self::Post(_) => "Post",
            Self::PrivateKey(_) => "PrivateKey",
        })
    }
}

/// A POST to the token endpoint, ready to be sent. Everything in it is secret.
pub struct TokenRequest {
    pub url: Url,
    /// The value of the header `Authorization`, where there is one.
    pub authorization: Option<SecretString>,
    /// `application/x-www-form-urlencoded`.
    pub body: SecretString,
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl TokenRequest {
    /// The request that exchanges a code.
    ///
    /// Spec: RFC 6749, sections 2.3.1 and 4.1.3; RFC 7636, section 4.5; RFC 7523 for `private_key_jwt`.
    ///
    /// # Errors
    /// [`KeyError`] when the client's key fails to sign.
    pub fn new(
        settings: &Settings,
        credential: &Credential,
        code: &SecretString,
        secrets: &AttemptSecrets,
        rng: &dyn Rng,
        now: Timestamp,
    ) -> Result<Self, KeyError> {
        let url = settings.provider.token_endpoint.clone();
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code.expose_secret())
            .append_pair("redirect_uri", settings.redirect_uri.as_str())
            .append_pair("code_verifier", secrets.pkce_verifier.expose_secret());
        let mut authorization = None;
        match credential {
            Credential::Public => {
                form.append_pair("client_id", &settings.client_id);
            }
            Credential::Basic(secret) => authorization = Some(basic(&settings.client_id, secret)),
            Credential::Post(secret) => {
                form.append_pair("client_id", &settings.client_id).append_pair("client_secret", secret.expose_secret());
            }
            Credential::PrivateKey(key) => {
                let assertion = client_assertion(key, &settings.client_id, url.as_str(), rng, now)?;
                form.append_pair("client_id", &settings.client_id)
                    .append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
                    .append_pair("client_assertion", &assertion);
            }
        }
        let body = SecretString::from(form.finish());
        Ok(Self { url, authorization, body })
    }
}

/// Both halves are form-encoded first (RFC 6749, 2.3.1): without that a `%` or `:` in a secret becomes another secret.
fn basic(client_id: &str, secret: &SecretString) -> SecretString {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = zeroize::Zeroizing::new(format!("{}:{}", encode(client_id), encode(secret.expose_secret())));
    SecretString::from(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
}

/// A JWT that proves that we hold the client's key. Entra ID and AD FS find the key by `x5t` and take an audience as
/// one text only; others find it by `kid`.
fn client_assertion(
    key: &SigningKey,
    client_id: &str,
    audience: &str,
    rng: &dyn Rng,
    now: Timestamp,
) -> Result<String, KeyError> {
    let certificate = key.certificate_der();
    let header = json!({
        "alg": "RS256",
        "typ": "JWT",
        "kid": key.id(),
        "x5t": URL_SAFE_NO_PAD.encode(sha1(certificate)),
        "x5t#S256": URL_SAFE_NO_PAD.encode(sha256(certificate)),
    });
    let issued = now.as_second();
    let claims = json!({
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "jti": rng.token().expose_secret(),
        "iat": issued,
        "nbf": issued,
        "exp": issued + ASSERTION_SECS,
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = key.sign(signed.as_bytes())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The JWK set a provider checks our client assertions with: the public halves of `keys`, each with its certificate.
///
/// Spec: RFC 7517; RFC 7518, section 6.3.
#[must_use]
pub fn client_jwks<'a>(keys: impl IntoIterator<Item = &'a SigningKey>) -> String {
    let keys: Vec<Value> = keys
        .into_iter()
        .filter_map(|key| {
            let rsa = key.private_key().rsa().ok()?;
            let certificate = key.certificate_der();
            Some(json!({
                "kty": "RSA",
                "use": "sig",
                "alg": "RS256",
                "kid": key.id(),
                "n": URL_SAFE_NO_PAD.encode(rsa.n().to_vec()),
                "e": URL_SAFE_NO_PAD.encode(rsa.e().to_vec()),
                "x5c": [key.certificate_base64()],
                "x5t": URL_SAFE_NO_PAD.encode(sha1(certificate)),
                "x5t#S256": URL_SAFE_NO_PAD.encode(sha256(certificate)),
            }))
        })
        .collect();
    json!({ "keys": keys }).to_string()
}

/// What the token endpoint gave for a code. Nothing in it is believed yet.
pub struct TokenResponse {
    pub(super) id_token: SecretString,
    pub(super) access_token: Option<SecretString>,
}

impl fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenResponse")
    }
}

impl TokenResponse {
    /// Reads the answer, with the status it came with.
    ///
    /// Spec: RFC 6749, sections 5.1 and 5.2; OpenID Connect Core 1.0, section 3.1.3.3.
    ///
    /// # Errors
    /// [`OidcError::TokenRefused`] with the provider's own words, and what else makes it unusable.
    pub fn read(status: u16, body: &[u8], settings: &Settings) -> Result<Self, OidcError> {
        let answer = match json::object(body, settings.max_bytes) {
            Ok(answer) => answer,
            Err(_) if status != 200 => return Err(OidcError::TokenStatus(status)),
            Err(e) => return Err(OidcError::TokenJson(e)),
        };
        // Some say no with the status of a yes.
        if let Some(Value::String(error)) = answer.get("error") {
            let description = answer.get("error_description").and_then(Value::as_str);
            return Err(OidcError::TokenRefused {
                status,
                error: excerpt(error),
                description: description.map(excerpt).filter(|text| !text.is_empty()),
            });
        }
        if status != 200 {
            return Err(OidcError::TokenStatus(status));
        }
        let text = |name| text(&answer, name);
        let kind = text("token_type")?.ok_or(OidcError::TokenMember("token_type"))?;
        if !kind.eq_ignore_ascii_case("bearer") {
            return Err(OidcError::TokenType(excerpt(kind)));
        }
        let access_token = text("access_token")?;
        // It goes into a header: RFC 6750, 2.1.
        if access_token.is_some_and(|token| token.is_empty() || !token.bytes().all(|b| (0x21..=0x7e).contains(&b))) {
            return Err(OidcError::TokenMember("access_token"));
        }
        Ok(Self {
            id_token: text("id_token")?.map(SecretString::from).ok_or(OidcError::IdTokenMissing)?,
            access_token: access_token.map(SecretString::from),
        })
    }

    /// Whether the ID token is signed with a key that is not among ours, so that the provider's set is to be fetched
    /// again before this is judged.
    #[must_use]
    pub fn wants_newer_keys(&self, settings: &Settings) -> bool {
        let verified = jws::verify(self.id_token.expose_secret(), Purpose::IdToken, settings.trust());
        verified.is_err_and(|e| e.is_unknown_key())
    }
}

fn text<'a>(answer: &'a Object, name: &'static str) -> Result<Option<&'a str>, OidcError> {
    match answer.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(OidcError::TokenMember(name)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::forge::{self, CLIENT, now, secrets, settings};
    use super::*;
    use crate::saml::certificate::SigningCertificate;
    use crate::saml::key::KeySize;
    use crate::sys::SeededRng;

    fn request(settings: &Settings, credential: &Credential) -> (TokenRequest, BTreeMap<String, String>) {
        let code = SecretString::from("the code&=+");
        let request = TokenRequest::new(settings, credential, &code, &secrets(), &SeededRng::new(1), now()).unwrap();
        let form = form_urlencoded::parse(request.body.expose_secret().as_bytes()).into_owned().collect();
        (request, form)
    }

    #[test]
    fn a_code_is_exchanged_with_the_verifier_and_the_address_it_was_asked_with() {
        let (request, form) = request(&settings(), &Credential::Public);
        assert_eq!(request.url.as_str(), "https://idp.example/token");
        assert!(request.authorization.is_none());
        let verifier = secrets().pkce_verifier.expose_secret().to_owned();
        let expected = [
            ("client_id", CLIENT),
            ("code", "the code&=+"),
            ("code_verifier", verifier.as_str()),
            ("grant_type", "authorization_code"),
            ("redirect_uri", "https://broker.example/oidc/idp/callback"),
        ];
        let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(form, expected);
        let printed = format!("{request:?} {:?}", Credential::Post("marker".into()));
        assert!(!printed.contains("code") && !printed.contains("marker"), "{printed}");
    }

    #[test]
    fn a_secret_is_form_encoded_before_it_becomes_basic() {
        let mut settings = settings();
        settings.client_id = "https://rp.example/:x".to_owned();
        let (request, form) = request(&settings, &Credential::Basic("p%c/: +é".into()));
        let header = request.authorization.unwrap();
        let pair = STANDARD.decode(header.expose_secret().strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(String::from_utf8(pair).unwrap(), "https%3A%2F%2Frp.example%2F%3Ax:p%25c%2F%3A+%2B%C3%A9");
        assert!(!form.contains_key("client_secret") && !form.contains_key("client_id"));
    }

    #[test]
    fn a_posted_secret_is_in_the_form_alone() {
        let (request, form) = request(&settings(), &Credential::Post("p%c".into()));
        assert!(request.authorization.is_none());
        assert_eq!((form["client_id"].as_str(), form["client_secret"].as_str()), (CLIENT, "p%c"));
    }

    #[test]
    fn a_client_assertion_names_its_key_in_every_way_and_lives_for_a_minute() {
        let rng = SeededRng::new(2);
        let key = Arc::new(SigningKey::generate(KeySize::Rsa2048, "client", now(), &rng).unwrap());
        let (_, form) = request(&settings(), &Credential::PrivateKey(Arc::clone(&key)));
        assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        let (signed, signature) = form["client_assertion"].rsplit_once('.').unwrap();
        let certificate = SigningCertificate::from_der(key.certificate_der()).unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert!(certificate.verifies(openssl::hash::MessageDigest::sha256(), signed.as_bytes(), &signature));
        let parts: Vec<Value> = signed
            .split('.')
            .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
            .collect();
        let x5t = URL_SAFE_NO_PAD.encode(sha256(key.certificate_der()));
        assert_eq!(
            (&parts[0]["alg"], &parts[0]["kid"], &parts[0]["x5t#S256"]),
            (&json!("RS256"), &json!(key.id()), &json!(x5t))
        );
        assert_eq!(parts[0]["x5t"].as_str().unwrap().len(), 27);
        let claims = &parts[1];
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!(CLIENT), &json!(CLIENT)));
        assert_eq!(claims["aud"], json!("https://idp.example/token"), "one text and no list");
        assert_eq!(claims["exp"].as_i64().unwrap() - now().as_second(), 60);
        assert_eq!(claims["jti"].as_str().unwrap().len(), 43);

        let set: Value = serde_json::from_str(&client_jwks([&*key])).unwrap();
        assert_eq!(set["keys"][0]["kid"], json!(key.id()));
        assert_eq!(set["keys"][0]["x5t#S256"], json!(x5t));
        let public = super::super::Keys::read(set.to_string().as_bytes()).unwrap();
        let public = public.iter().next().unwrap();
        assert!(public.verifies(crate::catalog::JwsAlgorithm::Rs256, signed.as_bytes(), &signature));
        assert!(!set.to_string().contains("\"d\""), "only the public half is published");
    }

    fn read(status: u16, body: &Value) -> Result<TokenResponse, OidcError> {
        TokenResponse::read(status, body.to_string().as_bytes(), &settings())
    }

    #[test]
    fn an_answer_is_tokens_or_the_providers_reason() {
        let good =
            json!({"token_type": "bearer", "access_token": "a", "id_token": "x.y.z", "expires_in": "7", "scope": 1});
        assert!(read(200, &good).is_ok());
        for (status, changes, expected) in [
            (200, json!({"id_token": null}), "id-token-missing"),
            (200, json!({"id_token": 7}), "token-response-malformed"),
            (200, json!({"token_type": null}), "token-response-malformed"),
            (200, json!({"token_type": "DPoP"}), "access-token-type-wrong"),
            (200, json!({"access_token": "a\r\nb"}), "token-response-malformed"),
            (200, json!({"access_token": ""}), "token-response-malformed"),
            (200, json!({"access_token": null}), "accepted"),
            (200, json!({"error": "invalid_grant"}), "token-refused"),
            (400, json!({"error": "invalid_grant"}), "token-refused"),
            (302, json!({}), "token-status"),
            (500, json!({}), "token-status"),
            (201, json!({}), "token-status"),
        ] {
            let read = read(status, &forge::with(good.clone(), &changes));
            assert_eq!(read.map_or_else(|e| e.code(), |_| "accepted"), expected, "{status} {changes}");
        }
        let code = |status, body: &[u8]| TokenResponse::read(status, body, &settings()).unwrap_err().code();
        assert_eq!(code(200, b"<html>"), "json-malformed");
        assert_eq!(code(502, b"<html>"), "token-status");
        assert_eq!(code(200, &vec![b' '; 600 * 1024]), "json-too-large");
        assert_eq!(code(200, br#"{"id_token":"a","id_token":"b"}"#), "json-duplicate-member");
    }

    #[test]
    fn a_refusal_keeps_the_providers_words_for_the_operator() {
        let body = json!({"error": "invalid_client", "error_description": "AADSTS7000215:\nInvalid client secret"});
        let error = read(401, &body).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the token endpoint answered with the status 401: invalid_client (AADSTS7000215:Invalid client secret)"
        );
    }
}
