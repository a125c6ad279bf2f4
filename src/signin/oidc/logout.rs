//! Signing out at the provider, and being told by it that somebody has.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use super::judge::{Claims, usable_session};
use super::jws::{self, JwsError, Purpose};
use super::{OidcError, Settings};
use crate::signin::Outgoing;

/// The event a logout token reports. Spec: OpenID Connect Back-Channel Logout 1.0, section 2.4.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// The longest logout token, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// The longest `jti`, in bytes.
const MAX_JTI: usize = 512;

/// The longest link that is followed; servers refuse lines of 8 KiB, and an ID token may carry many groups.
const LONGEST_LINK: usize = 4_000;

/// What takes a browser to be signed out at the provider too; nothing if the provider has no such place.
///
/// `id_token_hint` is the ID token of the session that ends, also when it has long expired. `state` comes back with the
/// browser.
///
/// Spec: OpenID Connect RP-Initiated Logout 1.0, section 2.
#[must_use]
pub fn end_session(
    settings: &Settings,
    id_token_hint: Option<&SecretString>,
    post_logout_redirect_uri: &Url,
    state: &str,
) -> Option<Outgoing> {
    let place = settings.provider.end_session_endpoint.as_ref()?;
    let hint = id_token_hint.map(|hint| ("id_token_hint", hint.expose_secret().to_owned()));
    let fields: Vec<(&'static str, String)> = hint
        .into_iter()
        .chain([
            ("client_id", settings.client_id.clone()),
            ("post_logout_redirect_uri", post_logout_redirect_uri.to_string()),
            ("state", state.to_owned()),
        ])
        .collect();
    let mut link = place.clone();
    link.query_pairs_mut().extend_pairs(&fields);
    if link.as_str().len() <= LONGEST_LINK {
        Some(Outgoing::Link(link))
    } else {
        Some(Outgoing::Form { action: place.clone(), fields })
    }
}

/// A provider says that somebody has signed out. It ends no session until the caller has recorded it as used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutToken {
    pub issuer: String,
    /// With [`issuer`](Self::issuer), the key of this token among those used.
    pub jti: String,
    /// Whose sessions end: all of this `sub`, or of them only the one with this `sid`. At least one is there.
    pub sub: Option<String>,
    pub sid: Option<String>,
    /// Until when the token must be remembered as used; later it is refused for its age.
    pub replay_until: Timestamp,
}

/// Why a logout token was not believed.
#[derive(Debug, thiserror::Error)]
pub enum LogoutTokenError {
    #[error("the logout token has {0} bytes; {MAX_BYTES} are the most")]
    TooLarge(usize),
    #[error("the logout token was not believed")]
    Token(#[source] JwsError),
    #[error("the logout token says something wrong")]
    Claims(#[source] OidcError),
    #[error("the token reports no logout")]
    Event,
    #[error("the token has a nonce, so it is an ID token and no logout token")]
    Nonce,
    #[error("the logout token names neither a person nor a session")]
    Nobody,
    #[error("the logout token's `sid` is empty, too long or has control characters")]
    Session,
    #[error("the logout token has no usable `jti`, so it could not be told from a copy")]
    Id,
}

impl LogoutTokenError {
    /// A stable short name for audit events and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "token-too-large",
            Self::Token(e) => e.code(),
            Self::Claims(e) => e.code(),
            Self::Event => "logout-event-missing",
            Self::Nonce => "logout-nonce-present",
            Self::Nobody => "logout-names-nobody",
            Self::Session => "logout-session-unusable",
            Self::Id => "logout-id-missing",
        }
    }

    /// Whether the provider may have a new key that we have not seen.
    #[must_use]
    pub const fn is_unknown_key(&self) -> bool {
        matches!(self, Self::Token(e) if e.is_unknown_key())
    }
}

/// Judges a logout token: the value of the form field `logout_token`.
///
/// It is not consumed by anything, so a token with an [unknown key](LogoutTokenError::is_unknown_key) may be judged once
/// more with newer keys.
///
/// Spec: OpenID Connect Back-Channel Logout 1.0, section 2.6.
///
/// # Errors
/// [`LogoutTokenError`], the true cause for the audit log.
pub fn judge_logout_token(token: &str, settings: &Settings, now: Timestamp) -> Result<LogoutToken, LogoutTokenError> {
    if token.len() > MAX_BYTES {
        return Err(LogoutTokenError::TooLarge(token.len()));
    }
    let verified = jws::verify(token, Purpose::Logout, settings.trust()).map_err(LogoutTokenError::Token)?;
    let claims = Claims { claims: &verified.claims, expected: settings.expected(), now };
    let wrong = LogoutTokenError::Claims;
    claims.issuer().map_err(wrong)?;
    claims.audience().map_err(wrong)?;
    let issued = claims.lifetime().map_err(wrong)?;
    let event = verified.claims.get("events").and_then(Value::as_object).and_then(|events| events.get(EVENT));
    if !event.is_some_and(Value::is_object) {
        return Err(LogoutTokenError::Event);
    }
    // Forbidden, so that an ID token never passes for a logout token nor the other way round.
    if verified.claims.contains_key("nonce") {
        return Err(LogoutTokenError::Nonce);
    }
    let sub = claims.subject().map_err(wrong)?;
    let sid = claims.text("sid").map_err(wrong)?;
    if sid.is_some_and(|sid| !usable_session(sid)) {
        return Err(LogoutTokenError::Session);
    }
    if sub.is_none() && sid.is_none() {
        return Err(LogoutTokenError::Nobody);
    }
    let jti = claims.text("jti").map_err(wrong)?;
    let jti = jti.filter(|jti| (1..=MAX_JTI).contains(&jti.len())).ok_or(LogoutTokenError::Id)?;
    Ok(LogoutToken {
        issuer: settings.provider.issuer.to_string(),
        jti: jti.to_owned(),
        sub: sub.map(str::to_owned),
        sid: sid.map(str::to_owned),
        replay_until: claims.replay_until(issued),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::forge::{self, CLIENT, ISSUER, OTHER_RSA, RSA, now, settings, with};
    use super::*;

    fn header() -> Value {
        json!({"alg": "RS256", "kid": RSA.id, "typ": "logout+jwt"})
    }

    fn claims() -> Value {
        let at = now().as_second();
        json!({
            "iss": ISSUER, "aud": CLIENT, "iat": at, "exp": at + 120, "jti": "j-1",
            "sub": "person-1", "sid": "s-1", "events": {EVENT: {}},
        })
    }

    fn code(token: &str) -> &'static str {
        judge_logout_token(token, &settings(), now()).map_or_else(|e| e.code(), |_| "accepted")
    }

    #[test]
    fn a_logout_token_says_whose_sessions_end() {
        let token = judge_logout_token(&RSA.token(&header(), &claims()), &settings(), now()).unwrap();
        assert_eq!((token.sub.as_deref(), token.sid.as_deref()), (Some("person-1"), Some("s-1")));
        assert_eq!((token.issuer.as_str(), token.jti.as_str()), (ISSUER, "j-1"));
        assert_eq!(token.replay_until, now() + jiff::SignedDuration::from_mins(14));
    }

    #[test]
    fn a_logout_token_is_refused_for_every_reason_the_specification_has() {
        let at = now().as_second();
        for (changes, expected) in [
            (json!({"iss": "https://evil.example"}), "issuer-wrong"),
            (json!({"iss": null}), "claim-missing"),
            (json!({"aud": "other"}), "audience-wrong"),
            (json!({"aud": null}), "claim-missing"),
            (json!({"aud": ["other", CLIENT]}), "accepted"),
            (json!({"iat": null}), "claim-missing"),
            (json!({"iat": at - 780}), "issued-long-ago"),
            (json!({"iat": at + 181, "exp": at + 300}), "issued-in-future"),
            (json!({"exp": null}), "claim-missing"),
            (json!({"iat": at - 400, "exp": at - 180}), "expired"),
            (json!({"events": null}), "logout-event-missing"),
            (json!({"events": {}}), "logout-event-missing"),
            (json!({"events": [EVENT]}), "logout-event-missing"),
            (json!({"events": EVENT}), "logout-event-missing"),
            (json!({"events": {EVENT: true}}), "logout-event-missing"),
            (json!({"events": {"http://schemas.openid.net/event/other": {}}}), "logout-event-missing"),
            (json!({"nonce": "n"}), "logout-nonce-present"),
            (json!({"sub": null, "sid": null}), "logout-names-nobody"),
            (json!({"sub": null}), "accepted"),
            (json!({"sid": null}), "accepted"),
            (json!({"sub": ""}), "subject-unusable"),
            (json!({"sid": ""}), "logout-session-unusable"),
            (json!({"sid": 7}), "claim-malformed"),
            (json!({"jti": null}), "logout-id-missing"),
            (json!({"jti": ""}), "logout-id-missing"),
            (json!({"jti": "j".repeat(513)}), "logout-id-missing"),
        ] {
            assert_eq!(code(&RSA.token(&header(), &with(claims(), &changes))), expected, "{changes}");
        }
        for (changes, expected) in [
            (json!({"typ": null}), "accepted"),
            (json!({"typ": "JWT"}), "accepted"),
            (json!({"typ": "application/logout+jwt"}), "accepted"),
            (json!({"typ": "at+jwt"}), "token-type-wrong"),
            (json!({"typ": "secevent+jwt"}), "token-type-wrong"),
            (json!({"alg": "none"}), "token-unsigned"),
            (json!({"alg": "HS256"}), "algorithm-not-allowed"),
            (json!({"kid": "gone"}), "key-unknown"),
        ] {
            assert_eq!(code(&RSA.token(&with(header(), &changes), &claims())), expected, "{changes}");
        }
        assert_eq!(code(&OTHER_RSA.token(&header(), &claims())), "signature-wrong");
        assert_eq!(code(&"x".repeat(70_000)), "token-too-large");
    }

    #[test]
    fn no_token_passes_for_one_of_another_kind() {
        assert_eq!(code(&RSA.token(&forge::header(), &forge::claims())), "logout-event-missing");
        // With the event smuggled in, the nonce gives an ID token away.
        let both = with(forge::claims(), &json!({"events": {EVENT: {}}, "jti": "j"}));
        assert_eq!(code(&RSA.token(&forge::header(), &both)), "logout-nonce-present");
    }

    #[test]
    fn an_unknown_key_can_be_told_apart() {
        let token = RSA.token(&with(header(), &json!({"kid": "new"})), &claims());
        assert!(judge_logout_token(&token, &settings(), now()).unwrap_err().is_unknown_key());
        let token = OTHER_RSA.token(&header(), &claims());
        assert!(!judge_logout_token(&token, &settings(), now()).unwrap_err().is_unknown_key());
    }

    #[test]
    fn signing_out_at_the_provider_shows_it_the_token_it_gave() {
        let back = "https://broker.example/oidc/idp/signed-out".parse().unwrap();
        let ask = |settings: &Settings, hint: &str| end_session(settings, Some(&hint.into()), &back, "handle");
        let Some(Outgoing::Link(url)) = ask(&settings(), "a.b.c") else { panic!("a short token fits in a link") };
        assert_eq!(
            url.as_str(),
            "https://idp.example/logout?tenant=7&id_token_hint=a.b.c&client_id=rolegate-client\
             &post_logout_redirect_uri=https%3A%2F%2Fbroker.example%2Foidc%2Fidp%2Fsigned-out&state=handle"
        );
        let long = "a".repeat(4_000);
        let Some(Outgoing::Form { action, fields }) = ask(&settings(), &long) else { panic!("a long one does not") };
        assert_eq!(action.as_str(), "https://idp.example/logout?tenant=7");
        assert_eq!(
            fields.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ["id_token_hint", "client_id", "post_logout_redirect_uri", "state"]
        );
        assert!(!format!("{:?}", ask(&settings(), "secret")).contains("secret"), "a token is not logged");
        let mut settings = settings();
        settings.provider.end_session_endpoint = None;
        assert_eq!(ask(&settings, "a.b.c"), None);
    }
}
