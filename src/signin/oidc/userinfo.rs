//! What the provider tells about somebody it has recognised, when it is asked.

use std::fmt;

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;
use url::Url;

use super::claims::{Missing, Sources, person};
use super::json::{self, Object};
use super::judge::Claims;
use super::jws::{self, Purpose};
use super::{OidcError, Recognised, Settings, VerifiedReply};
use crate::catalog::UserInfo;
use crate::identity::{NameIdQualifiers, SubjectId, VerifiedIdentity};
use crate::saml::names::excerpt;

/// A GET to the userinfo endpoint, ready to be sent.
pub struct UserinfoRequest {
    pub url: Url,
    /// For the header `Authorization: Bearer`.
    pub access_token: SecretString,
}

impl fmt::Debug for UserinfoRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserinfoRequest").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// What came of asking.
#[derive(Debug, Clone, Copy)]
pub enum UserinfoAnswer<'a> {
    /// Nobody asked: there was no [request](super::SignIn::userinfo_request).
    NotAsked,
    /// No answer, and why, for the operator: unreachable, slow, too large.
    Failed(&'a str),
    Answered {
        status: u16,
        content_type: Option<&'a str>,
        body: &'a [u8],
    },
}

impl UserinfoAnswer<'_> {
    /// Whether it is signed with a key that is not known. Ask before [finishing](super::SignIn::finish): the provider may
    /// have changed its keys since, and an answer is judged once.
    #[must_use]
    pub fn wants_newer_keys(&self, settings: &Settings) -> bool {
        let Self::Answered { status: 200, content_type, body } = self else { return false };
        let Ok(token) = std::str::from_utf8(body) else { return false };
        let verified = jws::verify(token.trim_ascii(), Purpose::Userinfo, settings.trust());
        is_jwt(*content_type) && verified.is_err_and(|error| error.is_unknown_key())
    }
}

fn is_jwt(content_type: Option<&str>) -> bool {
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/jwt")
}

pub(super) fn request(recognised: &Recognised, settings: &Settings) -> Option<UserinfoRequest> {
    let wanted = match settings.userinfo {
        UserInfo::Never => false,
        UserInfo::Always => true,
        UserInfo::IfNeeded => Sources::id_token(&recognised.claims).missing(settings).is_some(),
    };
    let url = settings.provider.userinfo_endpoint.clone().filter(|_| wanted)?;
    Some(UserinfoRequest { url, access_token: recognised.access_token.clone()? })
}

pub(super) fn finish(
    recognised: Recognised,
    answer: UserinfoAnswer<'_>,
    settings: &Settings,
    now: Timestamp,
) -> Result<VerifiedReply, OidcError> {
    let (userinfo, failure) = match read(&recognised, answer, settings, now)? {
        Told::Claims(claims) => (Some(claims), None),
        Told::Nothing => (None, None),
        Told::Failure(why) => (None, Some(why)),
    };
    let sources = Sources { id_token: &recognised.claims, userinfo: userinfo.as_ref(), prefer: settings.prefer };
    if let Some(why) = &failure
        && let Some(Missing::Mapped(missing)) = sources.missing(settings)
    {
        // Without it the same person would be somebody with other groups today, or another address.
        return Err(OidcError::Userinfo { why: why.clone(), missing });
    }
    let person = person(settings, &recognised.subject, sources)?;
    let received = sources.received();
    let asserted = (person.subject != recognised.subject).then_some(recognised.subject);
    Ok(VerifiedReply {
        identity: VerifiedIdentity {
            subject: SubjectId { connector: settings.connector.clone(), value: person.subject },
            asserted,
            link: None,
            qualifiers: NameIdQualifiers::default(),
            name: person.name,
            email: person.email,
            groups: person.groups,
            attributes: person.attributes,
            authentication: recognised.authentication,
        },
        assertion_id: recognised.token_id,
        issuer: settings.provider.issuer.to_string(),
        replay_until: recognised.replay_until,
        id_token: recognised.id_token,
        userinfo_failure: failure,
        received,
    })
}

enum Told {
    Claims(Object),
    /// As it should be: nothing was asked.
    Nothing,
    /// The provider could not be asked, or its answer could not be read.
    Failure(String),
}

/// What is an answer and must not be believed is an error: a provider that cannot be reached is one thing, somebody who
/// answers in its place another.
fn read(
    recognised: &Recognised,
    answer: UserinfoAnswer<'_>,
    settings: &Settings,
    now: Timestamp,
) -> Result<Told, OidcError> {
    let (status, content_type, body) = match answer {
        UserinfoAnswer::NotAsked if request(recognised, settings).is_none() => return Ok(Told::Nothing),
        UserinfoAnswer::NotAsked => return Ok(Told::Failure("nobody asked".to_owned())),
        UserinfoAnswer::Failed(why) => return Ok(Told::Failure(excerpt(why))),
        UserinfoAnswer::Answered { status, content_type, body } => (status, content_type, body),
    };
    if status != 200 {
        return Ok(Told::Failure(format!("it answered with the status {status}")));
    }
    let claims = if is_jwt(content_type) {
        let Ok(token) = std::str::from_utf8(body) else { return Ok(Told::Failure("it is not a JWT".to_owned())) };
        let verified =
            jws::verify(token.trim_ascii(), Purpose::Userinfo, settings.trust()).map_err(OidcError::UserinfoToken)?;
        signed(&verified.claims, settings, now)?;
        verified.claims
    } else {
        match json::object(body, settings.max_bytes) {
            Ok(claims) => claims,
            Err(e) => return Ok(Told::Failure(e.to_string())),
        }
    };
    // Core 5.3.2: without this, a stolen or mixed-up access token would bring somebody else's claims.
    match claims.get("sub") {
        Some(Value::String(found)) if *found == recognised.subject => Ok(Told::Claims(claims)),
        Some(Value::String(found)) => {
            Err(OidcError::UserinfoSubject { found: excerpt(found), expected: excerpt(&recognised.subject) })
        }
        _ => Err(OidcError::UserinfoClaim("sub")),
    }
}

/// A signed answer names its issuer and audience, but not everybody's does; what it says has to be right.
fn signed(claims: &Object, settings: &Settings, now: Timestamp) -> Result<(), OidcError> {
    let read = Claims { claims, expected: settings.expected(), now };
    let wrong = |name| move |_| OidcError::UserinfoClaim(name);
    if claims.contains_key("iss") {
        read.issuer().map_err(wrong("iss"))?;
    }
    if claims.contains_key("aud") {
        read.audience().map_err(wrong("aud"))?;
    }
    match read.instant("exp").map_err(wrong("exp"))? {
        Some(end) if read.over(end) => Err(OidcError::UserinfoClaim("exp")),
        _ => Ok(()),
    }
}
