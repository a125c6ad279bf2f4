//! The judgement: every check an ID token has to pass, in one place and in order.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use openssl::memcmp;
use openssl::sha::sha256;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::json::Object;
use super::jws::{self, Purpose};
use super::start::youngest;
use super::{Attempt, AttemptSecrets, OidcError, Recognised, Settings, TokenResponse};
use crate::catalog::ClockSkew;
use crate::identity::Authentication;
use crate::saml::names::excerpt;

/// The longest `sub`, in characters. Spec: OpenID Connect Core 1.0, section 2.
const MAX_SUBJECT: usize = 255;
/// The longest `sid` that is kept, in bytes.
pub(super) const MAX_SESSION_ID: usize = 1024;
/// No token is meant to be good for longer. A provider that counts milliseconds is far beyond.
const MAX_LIFETIME: SignedDuration = SignedDuration::from_hours(366 * 24);

pub(super) fn judge(
    tokens: TokenResponse,
    attempt: &Attempt,
    secrets: &AttemptSecrets,
    settings: &Settings,
    now: Timestamp,
) -> Result<Recognised, OidcError> {
    let id_token = tokens.id_token.expose_secret();
    let verified = jws::verify(id_token, Purpose::IdToken, settings.trust()).map_err(OidcError::IdToken)?;
    let claims = Claims { claims: &verified.claims, expected: settings.expected(), now };
    claims.issuer()?;
    claims.authorized_party(&claims.audience()?)?;
    let subject = claims.subject()?.ok_or(OidcError::ClaimMissing("sub"))?.to_owned();
    let issued = claims.lifetime()?;

    let nonce = claims.text("nonce")?.ok_or(OidcError::NonceMissing)?;
    if !same(nonce, secrets.nonce.expose_secret()) {
        return Err(OidcError::Nonce);
    }
    if let (Some(said), Some(token)) = (claims.text("at_hash")?, &tokens.access_token) {
        let expected = verified.key.half_hash(verified.algorithm, token.expose_secret());
        if !expected.is_some_and(|expected| same(said.trim_end_matches('='), &expected)) {
            return Err(OidcError::AccessTokenHash);
        }
    }
    let authentication = claims.authentication(attempt, settings)?;

    let token_id = signed_hash(id_token);
    Ok(Recognised {
        subject,
        authentication,
        token_id,
        replay_until: claims.replay_until(issued),
        claims: verified.claims,
        id_token: tokens.id_token,
        access_token: tokens.access_token,
    })
}

/// What tells a token from every other, and its copies not.
pub(in crate::signin) fn signed_hash(token: &str) -> String {
    // Without the signature: an ECDSA signature has a twin that is just as good.
    let (signed, _) = token.rsplit_once('.').unwrap_or_default();
    URL_SAFE_NO_PAD.encode(sha256(signed.as_bytes()))
}

/// In a time that does not depend on where they differ.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && memcmp::eq(a.as_bytes(), b.as_bytes())
}

/// Who may have issued a token, for whom, and when.
#[derive(Debug, Clone, Copy)]
pub(in crate::signin) struct Expected<'a> {
    pub issuer: &'a str,
    /// What we are called there.
    pub audience: &'a str,
    pub clock_skew: ClockSkew,
    /// How old the token may be, whatever it says itself.
    pub max_age: SignedDuration,
}

/// The claims of a token whose signature was right, and the checks that all kinds of tokens share.
pub(in crate::signin) struct Claims<'a> {
    pub claims: &'a Object,
    pub expected: Expected<'a>,
    pub now: Timestamp,
}

impl<'a> Claims<'a> {
    pub fn text(&self, name: &'static str) -> Result<Option<&'a str>, OidcError> {
        match self.claims.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(OidcError::ClaimShape(name)),
        }
    }

    /// A `NumericDate`. Fractions of a second are left off.
    pub fn instant(&self, name: &'static str) -> Result<Option<Timestamp>, OidcError> {
        let number = match self.claims.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(number)) => number,
            Some(_) => return Err(OidcError::ClaimShape(name)),
        };
        #[expect(clippy::cast_possible_truncation, reason = "a float saturates, and what is out of range is refused")]
        let seconds = number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64));
        let instant = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
        instant.map(Some).ok_or(OidcError::ClaimShape(name))
    }

    pub fn issuer(&self) -> Result<(), OidcError> {
        let found = self.text("iss")?.ok_or(OidcError::ClaimMissing("iss"))?;
        let expected = self.expected.issuer;
        if found == expected {
            return Ok(());
        }
        Err(OidcError::Issuer { found: excerpt(found), expected: expected.to_owned() })
    }

    /// The audiences, of which we are one.
    pub fn audience(&self) -> Result<Vec<&'a str>, OidcError> {
        let audiences: Vec<&str> = match self.claims.get("aud") {
            None | Some(Value::Null) => return Err(OidcError::ClaimMissing("aud")),
            Some(Value::String(audience)) => vec![audience],
            Some(Value::Array(items)) => {
                let texts = items.iter().map(Value::as_str);
                texts.collect::<Option<_>>().ok_or(OidcError::ClaimShape("aud"))?
            }
            Some(_) => return Err(OidcError::ClaimShape("aud")),
        };
        let us = self.expected.audience;
        if audiences.contains(&us) {
            return Ok(audiences);
        }
        Err(OidcError::Audience { found: some(&audiences), expected: us.to_owned() })
    }

    /// With others in the audience, the token has to say that it was issued to us: each of them could otherwise hand
    /// its copy to us.
    fn authorized_party(&self, audiences: &[&str]) -> Result<(), OidcError> {
        let us = self.expected.audience;
        match self.text("azp")? {
            Some(found) if found != us => {
                Err(OidcError::AuthorizedParty { found: excerpt(found), expected: us.to_owned() })
            }
            None if audiences.iter().any(|audience| *audience != us) => {
                Err(OidcError::AuthorizedPartyMissing { found: some(audiences), expected: us.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// The `sub`, if there is one, exactly as it was signed.
    pub fn subject(&self) -> Result<Option<&'a str>, OidcError> {
        let Some(subject) = self.text("sub")? else { return Ok(None) };
        let usable = (1..=MAX_SUBJECT).contains(&subject.len()) && subject.bytes().all(|b| (0x20..=0x7e).contains(&b));
        if usable { Ok(Some(subject)) } else { Err(OidcError::Subject) }
    }

    /// Checks `exp`, `iat` and `nbf`; gives `iat`.
    pub fn lifetime(&self) -> Result<Timestamp, OidcError> {
        let ends = self.instant("exp")?.ok_or(OidcError::ClaimMissing("exp"))?;
        let issued = self.instant("iat")?.ok_or(OidcError::ClaimMissing("iat"))?;
        if ends <= issued || ends.duration_since(issued) > MAX_LIFETIME {
            return Err(OidcError::Lifetime { issued, ends });
        }
        if self.over(ends) {
            return Err(OidcError::Expired(ends));
        }
        if let Some(from) = self.instant("nbf")?.filter(|from| self.ahead(*from)) {
            return Err(OidcError::NotYetValid(from));
        }
        if self.ahead(issued) {
            return Err(OidcError::IssuedInFuture(issued));
        }
        if self.over(later(issued, self.expected.max_age)) {
            return Err(OidcError::IssuedLongAgo(issued));
        }
        Ok(issued)
    }

    /// Past this, [`lifetime`](Self::lifetime) refuses it. A minute more, so that a clock set back does not matter.
    pub fn replay_until(&self, issued: Timestamp) -> Timestamp {
        later(later(later(issued, self.expected.max_age), self.skew()), SignedDuration::from_mins(1))
    }

    /// How and when the person was recognised, held against what was asked for.
    fn authentication(&self, attempt: &Attempt, settings: &Settings) -> Result<Authentication, OidcError> {
        let instant = self.instant("auth_time")?;
        if let Some(instant) = instant.filter(|instant| self.ahead(*instant)) {
            return Err(OidcError::AuthenticationInFuture(instant));
        }
        let authentication = Authentication {
            instant,
            context_class: self.claims.get("acr").and_then(scalar),
            methods: match self.claims.get("amr") {
                Some(Value::Array(methods)) => methods.iter().filter_map(scalar).collect(),
                Some(one) => scalar(one).into_iter().collect(),
                None => Vec::new(),
            },
            session_index: self.text("sid")?.filter(|sid| usable_session(sid)).map(str::to_owned),
            session_not_on_or_after: None,
        };
        // `prompt=login` and `max_age` are wishes, which providers may ignore; `auth_time` tells. Ages count up to when
        // the person was sent: that is what the provider was asked about, and nobody is punished for reading slowly.
        let asked = attempt.sent_at;
        let known = || instant.ok_or(OidcError::AuthenticationTimeMissing);
        if attempt.force_authn && later(known()?, self.skew()) < asked {
            return Err(OidcError::NotReauthenticated { recognised: known()?, asked });
        }
        if let Some(max_age) = youngest(settings, None) {
            let max_age = SignedDuration::try_from(max_age).unwrap_or(SignedDuration::MAX);
            if later(later(known()?, max_age), self.skew()) < asked {
                return Err(OidcError::AuthenticationTooOld(known()?));
            }
        }
        match attempt.demand.as_ref().and_then(|demand| demand.unmet(&authentication, asked, self.skew())) {
            Some(unmet) => Err(OidcError::Demand(unmet)),
            None => Ok(authentication),
        }
    }

    fn skew(&self) -> SignedDuration {
        SignedDuration::from_secs(self.expected.clock_skew.as_secs().into())
    }

    /// Later than our clock says it is, by more than clocks may differ.
    fn ahead(&self, at: Timestamp) -> bool {
        at > later(self.now, self.skew())
    }

    /// Past by our clock, by as much as clocks may differ. Such ends are exclusive.
    pub fn over(&self, end: Timestamp) -> bool {
        later(end, self.skew()) <= self.now
    }
}

pub(super) fn usable_session(sid: &str) -> bool {
    (1..=MAX_SESSION_ID).contains(&sid.len()) && !sid.chars().any(char::is_control)
}

/// The text of a claim that is one value; providers write some as numbers or booleans.
pub(in crate::signin) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn some(texts: &[&str]) -> Vec<String> {
    texts.iter().take(5).map(|text| excerpt(text)).collect()
}

/// Saturates at the end of time: a token may name any instant.
fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}
