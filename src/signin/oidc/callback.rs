//! What the browser brings back from the OpenID provider.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use secrecy::SecretString;
use url::form_urlencoded;

use super::{OidcError, Settings};
use crate::saml::names::excerpt;
use crate::sys::Token;

/// The most that an answer may hold, in bytes of query or form.
const MAX_BYTES: usize = 16 * 1024;
/// The longest code, in bytes. Entra ID's have about 1,500.
const MAX_CODE: usize = 8 * 1024;

/// An answer of the authorization endpoint: by redirect the query, by `form_post` the body. It is nobody's yet, and
/// everything in it may be made up.
pub struct Callback {
    state: Token,
    issuer: Option<String>,
    outcome: Outcome,
}

enum Outcome {
    Code(SecretString),
    Refused { error: String, description: Option<String> },
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Callback {
    /// Reads the parameters, `application/x-www-form-urlencoded` as they came. Each may stand there once: of two, one
    /// reader takes the first and another the last. Those nobody asked for (`session_state`, `hd`) are ignored.
    ///
    /// Spec: OpenID Connect Core 1.0, sections 3.1.2.5 and 3.1.2.6; RFC 9207.
    ///
    /// # Errors
    /// [`OidcError`]; then it is not known whose answer this is.
    pub fn read(parameters: &str) -> Result<Self, OidcError> {
        if parameters.len() > MAX_BYTES {
            return Err(OidcError::CallbackTooLarge { size: parameters.len(), limit: MAX_BYTES });
        }
        // A stranger can send thousands of them: looking each one up among all before it would take long.
        let mut seen: BTreeMap<Cow<'_, str>, String> = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(parameters.as_bytes()) {
            if let Some((name, _)) = seen.get_key_value(name.as_ref()) {
                return Err(OidcError::CallbackRepeated(excerpt(name)));
            }
            seen.insert(name, value.into_owned());
        }
        let mut take = |name: &str| seen.remove(name);
        let state = take("state").as_deref().and_then(Token::parse).ok_or(OidcError::State)?;
        for other in ["id_token", "access_token", "response"] {
            if take(other).is_some() {
                return Err(OidcError::CallbackToken(other));
            }
        }
        let outcome = match (take("code"), take("error")) {
            (Some(_), Some(_)) => return Err(OidcError::CallbackBoth),
            (None, None) => return Err(OidcError::CallbackEmpty),
            (Some(code), None) => {
                // RFC 6749, appendix A.11: visible ASCII and spaces.
                if code.is_empty() || code.len() > MAX_CODE || !code.bytes().all(|b| (0x20..=0x7e).contains(&b)) {
                    return Err(OidcError::Code(code.len()));
                }
                Outcome::Code(SecretString::from(code))
            }
            (None, Some(error)) => Outcome::Refused {
                error: excerpt(&error),
                description: take("error_description").map(|text| excerpt(&text)).filter(|text| !text.is_empty()),
            },
        };
        Ok(Self { state, issuer: take("iss"), outcome })
    }

    /// Names the attempt this claims to answer.
    #[must_use]
    pub fn state(&self) -> &Token {
        &self.state
    }

    /// The code, if this is from the connector's own provider and is not an error.
    ///
    /// Who has several providers must know which one answers before any code leaves the house: a rogue one would
    /// otherwise have the code of an honest one sent to itself (mix-up). An error is checked as well, or it could be
    /// made to look like the other's.
    ///
    /// # Errors
    /// [`OidcError::IssuerParameter`], [`OidcError::IssuerParameterMissing`] where the provider promises to name itself,
    /// and [`OidcError::Provider`].
    pub fn code(self, settings: &Settings) -> Result<SecretString, OidcError> {
        let expected = settings.provider.issuer.as_str();
        match self.issuer.as_deref() {
            Some(found) if found != expected => {
                return Err(OidcError::IssuerParameter { found: excerpt(found), expected: expected.to_owned() });
            }
            None if settings.provider.iss_parameter => return Err(OidcError::IssuerParameterMissing),
            _ => {}
        }
        match self.outcome {
            Outcome::Code(code) => Ok(code),
            Outcome::Refused { error, description } => Err(OidcError::Provider { error, description }),
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::super::forge::{self, ISSUER};
    use super::*;

    fn code(parameters: &str, promised: bool) -> Result<String, &'static str> {
        let mut settings = forge::settings();
        settings.provider.iss_parameter = promised;
        let state = "s".repeat(43);
        let callback = Callback::read(&parameters.replace("STATE", &state)).map_err(|e| e.code())?;
        assert_eq!(callback.state().expose_secret(), state);
        callback.code(&settings).map(|code| code.expose_secret().to_owned()).map_err(|e| e.code())
    }

    #[test]
    fn a_code_is_given_out_only_from_the_right_provider() {
        let iss = format!("&iss={}", ISSUER.replace(':', "%3A"));
        let ok = Ok("a b+/=".to_owned());
        assert_eq!(code("state=STATE&code=a+b%2B%2F%3D&session_state=x&hd=corp.example", false), ok);
        assert_eq!(code(&format!("state=STATE&code=a+b%2B%2F%3D{iss}"), true), ok);
        assert_eq!(code(&format!("state=STATE&code=a+b%2B%2F%3D{iss}"), false), ok);
        assert_eq!(code("state=STATE&code=x", true), Err("iss-parameter-missing"));
        assert_eq!(code(&format!("state=STATE&code=x{iss}/"), false), Err("iss-parameter-wrong"));
        assert_eq!(code("state=STATE&code=x&iss=https://evil.example", false), Err("iss-parameter-wrong"));
        assert_eq!(code("state=STATE&code=x&iss=", false), Err("iss-parameter-wrong"));
        assert_eq!(code("state=STATE&error=access_denied&iss=https://evil.example", false), Err("iss-parameter-wrong"));
        assert_eq!(code("state=STATE&error=access_denied", true), Err("iss-parameter-missing"));
        assert_eq!(code(&format!("state=STATE&error=access_denied{iss}"), true), Err("provider-error"));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for (parameters, expected) in [
            ("", "state-unusable"),
            ("code=x", "state-unusable"),
            ("state=short&code=x", "state-unusable"),
            ("state=STATE", "callback-empty"),
            ("state=STATE&code=", "code-unusable"),
            ("state=STATE&code=a%00b", "code-unusable"),
            ("state=STATE&code=%C3%A9", "code-unusable"),
            ("state=STATE&code=x&error=y", "callback-contradictory"),
            ("state=STATE&code=x&code=y", "callback-repeated-parameter"),
            ("state=STATE&state=STATE&code=x", "callback-repeated-parameter"),
            ("state=STATE&code=x&c%6Fde=x", "callback-repeated-parameter"),
            ("state=STATE&code=x&iss=a&iss=b", "callback-repeated-parameter"),
            ("state=STATE&code=x&other=1&other=1", "callback-repeated-parameter"),
            ("state=STATE&code=x&id_token=y", "callback-carries-token"),
            ("state=STATE&code=x&access_token=y", "callback-carries-token"),
            ("state=STATE&response=y", "callback-carries-token"),
        ] {
            assert_eq!(code(parameters, false), Err(expected), "{parameters}");
        }
        assert_eq!(code(&format!("state=STATE&code={}", "x".repeat(8_193)), false), Err("code-unusable"));
        assert_eq!(code(&"x".repeat(16_385), false), Err("callback-too-large"));
    }

    #[test]
    fn the_providers_own_words_are_for_the_log_and_end_somewhere() {
        let long = "x".repeat(1_000);
        let text = format!("state={}&error=no%0A&error_description=%1b[31m{long}", "s".repeat(43));
        let error = Callback::read(&text).unwrap().code(&forge::settings()).unwrap_err();
        let OidcError::Provider { error, description: Some(description) } = error else { panic!("{error}") };
        assert_eq!(error, "no");
        assert!(description.starts_with("[31mxxx") && description.chars().count() == 201);
    }

    #[test]
    fn a_code_is_not_printed() {
        let callback = Callback::read(&format!("state={}&code=marker", "s".repeat(43))).unwrap();
        let printed = format!("{callback:?}");
        assert!(!printed.contains("marker") && !printed.contains("sss"), "{printed}");
    }
}
