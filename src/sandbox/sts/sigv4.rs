//! Signature Version 4: who signed this request, judged in the order of AWS and in its words.
//!
//! Spec: AWS General Reference, "Signature Version 4 signing process". STS tolerates clocks that differ by fifteen
//! minutes, and so does everything here. The order is that observed at STS: scope, key, token and key together, end of the
//! session, its role, signature, and only then a token that a long-term key has no use for.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sha::sha256;
use openssl::sign::Signer;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

use super::error::StsError;
use crate::aws::{AccountId, Partition, Region};
use crate::sandbox::credentials::{Owner, Session};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SKEW_MINUTES: i64 = 15;
const MAX_EXPIRES_SECS: u32 = 604_800;
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// Everything but `A-Z a-z 0-9 - . _ ~` is written as `%XX`.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request as it came.
#[derive(Debug, Clone)]
pub struct HttpRequest<'a> {
    pub method: &'a str,
    /// The path as it stands in the canonical request: as it was sent.
    pub path: &'a str,
    /// The raw query, without `?`.
    pub query: &'a str,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: &'a [u8],
}

impl HttpRequest<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The query's parameters, decoded.
    fn query_pairs(&self) -> Vec<(String, String)> {
        self.query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
                (decode(name), decode(value))
            })
            .collect()
    }
}

/// What the caller claims, from the header or from the query.
struct Claim {
    presigned: bool,
    credential: String,
    signed_headers: String,
    signature: String,
    date: String,
    token: Option<String>,
    /// How long a presigned request is good, in seconds; only S3 goes by it.
    expires: Option<u32>,
}

/// `{key id}/{date}/{region}/{service}/aws4_request`.
struct Scope<'a> {
    access_key_id: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    terminator: &'a str,
}

/// Who called: what every operation and every other local service asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// With long-term keys.
    LongTerm(Owner),
    /// With temporary credentials.
    Session(Box<Session>),
}

impl Caller {
    /// As `GetCallerIdentity` tells it.
    #[must_use]
    pub fn arn(&self) -> String {
        match self {
            Self::LongTerm(owner) => owner.arn(),
            Self::Session(session) => session.arn(),
        }
    }

    #[must_use]
    pub fn user_id(&self) -> String {
        match self {
            Self::LongTerm(owner) => owner.user_id(),
            Self::Session(session) => session.user_id(),
        }
    }

    #[must_use]
    pub fn account(&self) -> AccountId {
        match self {
            Self::LongTerm(owner) => owner.account(),
            Self::Session(session) => session.account(),
        }
    }

    #[must_use]
    pub fn partition(&self) -> Partition {
        match self {
            Self::LongTerm(owner) => owner.partition(),
            Self::Session(session) => session.partition(),
        }
    }
}

/// Who called, and where the signature says the call went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    pub caller: Caller,
    pub region: Region,
    pub access_key_id: String,
}

/// A user's own key.
#[derive(Debug, Clone)]
pub struct LongTermKey {
    pub owner: Owner,
    pub secret: SecretString,
    pub active: bool,
}

/// What is known of keys.
pub trait Keyring {
    /// The long-term key of this id, active or not.
    fn long_term(&self, access_key_id: &str) -> Option<LongTermKey>;
    /// The session of a token, if the token was made for this key id.
    fn session(&self, access_key_id: &str, token: &str) -> Option<Session>;
    /// The secret of a temporary key id.
    fn temporary_secret(&self, access_key_id: &str) -> SecretString;
    /// Whether whoever holds a session still exists.
    fn is_alive(&self, session: &Session) -> bool;
}

/// Checks the signature of a request to one service and tells who signed it.
///
/// # Errors
/// In this order: nothing signed, incomplete, scope, unknown key or token, expired session, deleted role, clock,
/// signature, a token on a long-term key.
pub fn verify(
    request: &HttpRequest<'_>,
    service: &str,
    keyring: &impl Keyring,
    now: Timestamp,
) -> Result<Authenticated, StsError> {
    let claim = claim(request)?;
    let scope = scope(&claim)?;
    let signed_at = timestamp(&claim.date).ok_or_else(|| {
        StsError::incomplete_signature(format!(
            "Date must be in ISO-8601 'basic format'. Got '{}'. See http://en.wikipedia.org/wiki/ISO_8601",
            claim.date
        ))
    })?;
    let region = check_scope(&scope, service, request.header("host"), &claim.date)?;

    let invalid = |why: &str| StsError::invalid_client_token().because(why);
    let long_term = keyring.long_term(scope.access_key_id);
    let (caller, secret) = match (long_term, claim.token.as_deref()) {
        (Some(key), _) if !key.active => return Err(invalid("the key is inactive")),
        (Some(key), _) => (Caller::LongTerm(key.owner), key.secret),
        (None, None) => return Err(invalid("the key id is unknown, or belongs to a token that was not sent")),
        (None, Some(token)) => {
            let session = keyring
                .session(scope.access_key_id, token)
                .ok_or_else(|| invalid("the key id and the token are not a pair made here"))?;
            (Caller::Session(Box::new(session)), keyring.temporary_secret(scope.access_key_id))
        }
    };
    if !caller.partition().has_region(&region) {
        return Err(invalid(&format!("{region} is in another partition")));
    }
    if let Caller::Session(session) = &caller {
        if now >= session.expires_at {
            return Err(StsError::expired_session());
        }
        if !keyring.is_alive(session) {
            return Err(invalid("whoever holds the session is gone"));
        }
    }

    let mut signed_headers: Vec<&str> = claim.signed_headers.split(';').collect();
    if !signed_headers.contains(&"host") {
        return Err(StsError::signature_mismatch(
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
        ));
    }
    signed_headers.sort_unstable();
    match claim.expires {
        Some(expires) if service == "s3" => check_expiry(signed_at, expires, now)?,
        Some(_) | None => check_clock(signed_at, now)?,
    }

    let canonical = canonical_request(request, service, &claim, &signed_headers);
    let scope_text = format!("{}/{}/{}/{}", scope.date, scope.region, scope.service, scope.terminator);
    let to_sign = format!("{ALGORITHM}\n{}\n{scope_text}\n{}", claim.date, hex(&sha256(canonical.as_bytes())));
    let key = [scope.date, scope.region, scope.service, scope.terminator]
        .iter()
        .fold(format!("AWS4{}", secret.expose_secret()).into_bytes(), |key, part| hmac(&key, part.as_bytes()));
    let expected = hex(&hmac(&key, to_sign.as_bytes()));
    let same =
        expected.len() == claim.signature.len() && openssl::memcmp::eq(expected.as_bytes(), claim.signature.as_bytes());
    if !same {
        return Err(StsError::signature_mismatch(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details.",
        ));
    }
    match caller {
        Caller::LongTerm(_) if claim.token.is_some() => Err(invalid("a long-term key has no token")),
        caller => Ok(Authenticated { caller, region, access_key_id: scope.access_key_id.to_owned() }),
    }
}

fn claim(request: &HttpRequest<'_>) -> Result<Claim, StsError> {
    if let Some(header) = request.header("authorization") {
        return claim_in_header(request, header);
    }
    let query = request.query_pairs();
    let get = |name: &str| query.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    if get("X-Amz-Algorithm").or_else(|| get("X-Amz-Signature")).is_none() {
        return Err(StsError::missing_authentication_token());
    }
    let names = ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"];
    let missing: Vec<String> = names
        .iter()
        .filter(|name| get(name).is_none_or(|value| value.is_empty()))
        .map(|name| format!("AWS query-string parameters must include '{name}'."))
        .collect();
    if !missing.is_empty() {
        return Err(StsError::incomplete_signature(format!(
            "{} Re-examine the query-string parameters.",
            missing.join(" ")
        )));
    }
    if get("X-Amz-Algorithm").as_deref() != Some(ALGORITHM) {
        return Err(unsupported(&get("X-Amz-Algorithm").unwrap_or_default()));
    }
    // STS takes a presigned request for fifteen minutes whatever this says; it only has to be a possible value.
    let expires = get("X-Amz-Expires").map(|text| text.parse::<u32>());
    if let Some(expires) = &expires
        && !expires.as_ref().is_ok_and(|seconds| (1..=MAX_EXPIRES_SECS).contains(seconds))
    {
        return Err(StsError::incomplete_signature("X-Amz-Expires must be a number of seconds from 1 to 604800."));
    }
    Ok(Claim {
        presigned: true,
        credential: get("X-Amz-Credential").unwrap_or_default(),
        signed_headers: get("X-Amz-SignedHeaders").unwrap_or_default(),
        signature: get("X-Amz-Signature").unwrap_or_default(),
        date: get("X-Amz-Date").unwrap_or_default(),
        token: get("X-Amz-Security-Token").or_else(|| request.header("x-amz-security-token").map(str::to_owned)),
        expires: expires.and_then(Result::ok),
    })
}

fn claim_in_header(request: &HttpRequest<'_>, header: &str) -> Result<Claim, StsError> {
    let (algorithm, rest) = header.split_once(' ').unwrap_or((header, ""));
    if algorithm != ALGORITHM {
        return Err(unsupported(algorithm));
    }
    let get = |name: &str| {
        rest.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('=').filter(|v| !v.is_empty()))
    };
    let date = request.header("x-amz-date").or_else(|| request.header("date"));
    let mut missing: Vec<String> = ["Credential", "Signature", "SignedHeaders"]
        .iter()
        .filter(|name| get(name).is_none())
        .map(|name| format!("Authorization header requires '{name}' parameter."))
        .collect();
    if date.is_none() {
        missing.push("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.".to_owned());
    }
    if !missing.is_empty() {
        return Err(StsError::incomplete_signature(format!("{} Authorization={algorithm}", missing.join(" "))));
    }
    Ok(Claim {
        presigned: false,
        credential: get("Credential").unwrap_or_default().to_owned(),
        signed_headers: get("SignedHeaders").unwrap_or_default().to_owned(),
        signature: get("Signature").unwrap_or_default().to_owned(),
        date: date.unwrap_or_default().to_owned(),
        token: request.header("x-amz-security-token").map(str::to_owned),
        expires: None,
    })
}

fn unsupported(algorithm: &str) -> StsError {
    StsError::incomplete_signature(format!("Unsupported AWS 'algorithm': '{algorithm}'."))
}

fn scope(claim: &Claim) -> Result<Scope<'_>, StsError> {
    let parts: Vec<&str> = claim.credential.split('/').collect();
    match parts[..] {
        [access_key_id, date, region, service, terminator] => {
            Ok(Scope { access_key_id, date, region, service, terminator })
        }
        _ => Err(StsError::incomplete_signature(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{}'.",
            claim.credential
        ))),
    }
}

/// All that is wrong with the scope is said at once.
fn check_scope(scope: &Scope<'_>, service: &str, host: Option<&str>, date: &str) -> Result<Region, StsError> {
    let mut wrong = String::new();
    let region = scope.region.parse::<Region>();
    let here = host.and_then(region_of_host);
    if !region.as_ref().is_ok_and(|region| here.is_none_or(|here| here == region.as_str())) {
        wrong.push_str("Credential should be scoped to a valid region. ");
    }
    if scope.service != service {
        wrong.push_str(&format!("Credential should be scoped to correct service: '{service}'. "));
    }
    if scope.terminator != "aws4_request" {
        wrong.push_str(&format!(
            "Credential should be scoped with a valid terminator: 'aws4_request', not '{}'. ",
            scope.terminator
        ));
    }
    let day = date.get(..8).unwrap_or(date);
    if scope.date != day {
        wrong.push_str(&format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{day}', \
             from '{date}'. ",
            scope.date
        ));
    }
    match region {
        Ok(region) if wrong.is_empty() => Ok(region),
        _ => Err(StsError::signature_mismatch(wrong)),
    }
}

/// Whether a host name of AWS stands for no region in particular.
pub fn is_global_host(host: &str) -> bool {
    host.split(':').next() == Some("sts.amazonaws.com")
}

/// The region whose STS a host name of AWS stands for; the global one is in `us-east-1`. Any other name says nothing.
pub fn region_of_host(host: &str) -> Option<&str> {
    let name = host.split(':').next().unwrap_or_default();
    if is_global_host(name) {
        return Some("us-east-1");
    }
    let rest = name.strip_prefix("sts.").or_else(|| name.strip_prefix("sts-fips."))?;
    [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"].iter().find_map(|suffix| rest.strip_suffix(suffix))
}

/// A presigned request to S3 is good until it has expired, and not long before it was signed.
fn check_expiry(signed_at: Timestamp, expires: u32, now: Timestamp) -> Result<(), StsError> {
    if now > signed_at + SignedDuration::from_secs(expires.into()) {
        return Err(StsError::other(403, "AccessDenied", "Request has expired"));
    }
    // However long ago it was signed, up to there.
    check_clock(signed_at.max(now), now)
}

fn check_clock(signed_at: Timestamp, now: Timestamp) -> Result<(), StsError> {
    let skew = SignedDuration::from_mins(SKEW_MINUTES);
    let basic = |at: Timestamp| at.strftime("%Y%m%dT%H%M%SZ").to_string();
    if signed_at < now - skew {
        return Err(StsError::signature_mismatch(format!(
            "Signature expired: {} is now earlier than {} ({} - {SKEW_MINUTES} min.)",
            basic(signed_at),
            basic(now - skew),
            basic(now)
        )));
    }
    if signed_at > now + skew {
        return Err(StsError::signature_mismatch(format!(
            "Signature not yet current: {} is still later than {} ({} + {SKEW_MINUTES} min.)",
            basic(signed_at),
            basic(now + skew),
            basic(now)
        )));
    }
    Ok(())
}

/// `20261121T120000Z`.
fn timestamp(text: &str) -> Option<Timestamp> {
    let shape = text.len() == 16
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    if !shape {
        return None;
    }
    let time = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

/// What stands for the body. S3 lets it be left out, or be signed piece by piece inside itself.
fn payload(request: &HttpRequest<'_>, service: &str, claim: &Claim) -> String {
    let declared = request.header("x-amz-content-sha256");
    match declared {
        Some(text) if service == "s3" && (text == UNSIGNED || text.starts_with("STREAMING-")) => text.to_owned(),
        None if service == "s3" && claim.presigned => UNSIGNED.to_owned(),
        _ => hex(&sha256(request.body)),
    }
}

fn canonical_request(request: &HttpRequest<'_>, service: &str, claim: &Claim, signed_headers: &[&str]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
    let mut query: Vec<(String, String)> = request
        .query_pairs()
        .into_iter()
        .filter(|(name, _)| !(claim.presigned && name == "X-Amz-Signature"))
        .map(|(name, value)| (encode(&name), encode(&value)))
        .collect();
    query.sort_unstable();
    let query: Vec<String> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut headers = String::new();
    for name in signed_headers {
        let values: Vec<String> = request
            .headers
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| value.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        headers.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    format!(
        "{}\n{}\n{}\n{headers}\n{}\n{}",
        request.method,
        request.path,
        query.join("&"),
        signed_headers.join(";"),
        payload(request, service, claim)
    )
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    PKey::hmac(key)
        .and_then(|key| Signer::new(MessageDigest::sha256(), &key)?.sign_oneshot_to_vec(message))
        .expect("HMAC-SHA-256 takes any key and message")
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
