//! The console federation endpoint: credentials become a link that signs in to the console.
//!
//! Spec: IAM User Guide, "Enable custom identity broker access to the AWS console".

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use super::console::ConsoleDestination;
use crate::aws::{Credentials, Partition, Region};
use crate::sys::Rng;

/// Many times what the endpoint ever answers.
const MAX_ANSWER: usize = 64 * 1024;
/// For how long AWS takes a sign-in token.
const LINK_LIFETIME: SignedDuration = SignedDuration::from_mins(15);

/// How the federation endpoint is called.
#[derive(Debug, Clone)]
pub struct FederationSettings {
    /// Called instead of AWS's regional endpoints; the login URL points at it too.
    pub endpoint: Option<Url>,
    /// Whether AWS's FIPS endpoints are called, where there are such.
    pub fips: bool,
    /// Our sign-in page, which AWS links to when the console session has expired.
    pub issuer: Url,
    pub attempt_timeout: Duration,
    pub total_timeout: Duration,
    /// The longest first pause before a retry, drawn at random below it.
    pub backoff: Duration,
}

impl FederationSettings {
    #[must_use]
    pub fn new(issuer: Url) -> Self {
        Self {
            endpoint: None,
            fips: false,
            issuer,
            attempt_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(12),
            backoff: Duration::from_millis(250),
        }
    }
}

/// A link that signs whoever opens it in to the console, for 15 minutes and perhaps more than once: a bearer secret.
pub struct ConsoleLogin {
    link: SecretString,
    /// Until when the link can be opened.
    pub opens_until: Timestamp,
    /// When the console it opens ends.
    pub ends: Timestamp,
}

impl fmt::Debug for ConsoleLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConsoleLogin")
    }
}

impl ConsoleLogin {
    /// The link, for a `Location` header with `no-store`.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.link.expose_secret()
    }
}

/// Why there is no link. The endpoint's own text is never kept: it may reflect the credentials.
#[derive(Debug, thiserror::Error)]
pub enum FederationError {
    #[error("the credentials have expired")]
    Expired,
    #[error("the federation endpoint refused the credentials (status {0})")]
    Refused(u16),
    #[error("the federation endpoint failed (status {0})")]
    Unavailable(u16),
    #[error("the federation endpoint could not be reached")]
    Unreachable(#[source] reqwest::Error),
    #[error("the federation endpoint did not answer in time")]
    TimedOut,
    #[error("the answer of the federation endpoint makes no sense: {0}")]
    BadAnswer(&'static str),
    #[error("such credentials open no console")]
    Impossible(&'static str),
}

impl FederationError {
    /// A stable name for audit events and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Expired => "federation-expired",
            Self::Refused(_) => "federation-refused",
            Self::Unavailable(_) => "federation-unavailable",
            Self::Unreachable(_) => "federation-unreachable",
            Self::TimedOut => "federation-timed-out",
            Self::BadAnswer(_) => "federation-bad-answer",
            Self::Impossible(_) => "console-impossible",
        }
    }

    /// What a person is told.
    #[must_use]
    pub const fn sentence(&self) -> &'static str {
        match self {
            Self::Expired => "Those credentials have expired. Please open the role again.",
            Self::Refused(_) => {
                "The AWS sign-in service refused the credentials AWS had just issued. Please try again; if it goes \
                 on, tell whoever runs Rolegate."
            }
            Self::Unavailable(_) | Self::Unreachable(_) | Self::TimedOut => {
                "The AWS sign-in service is not answering just now. Please try again in a minute, or get credentials \
                 instead."
            }
            Self::Impossible(reason) => reason,
            Self::BadAnswer(_) => {
                "The AWS sign-in service gave an answer Rolegate does not understand. Please tell whoever runs \
                 Rolegate."
            }
        }
    }

    /// One more attempt may find the endpoint well again.
    const fn is_worth_a_retry(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Unreachable(_))
    }
}

/// A client for the federation endpoint.
#[derive(Debug, Clone)]
pub struct Federation {
    http: reqwest::Client,
    settings: FederationSettings,
}

/// The member names are the endpoint's own.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Session<'a> {
    session_id: &'a str,
    session_key: &'a str,
    session_token: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "SigninToken")]
    signin_token: String,
}

impl Federation {
    #[must_use]
    pub fn new(http: reqwest::Client, settings: FederationSettings) -> Self {
        Self { http, settings }
    }

    /// Exchanges credentials for a link to `destination`.
    ///
    /// # Errors
    /// [`FederationError`]; a 5xx or 429 and a failing connection are retried twice before.
    pub(super) async fn log_in(
        &self,
        credentials: &Credentials,
        partition: Partition,
        region: &Region,
        destination: &ConsoleDestination,
        now: Timestamp,
        rng: &dyn Rng,
    ) -> Result<ConsoleLogin, FederationError> {
        if credentials.expiration <= now {
            return Err(FederationError::Expired);
        }
        // Token and login go to one host: a token of one region is not promised to work in another.
        let endpoint = self.endpoint(partition, region);
        let exchange = self.exchange(&endpoint, credentials, rng);
        let token = tokio::time::timeout(self.settings.total_timeout, exchange)
            .await
            .map_err(|_| FederationError::TimedOut)??;
        let mut url = endpoint;
        url.query_pairs_mut()
            .append_pair("Action", "login")
            .append_pair("Issuer", self.settings.issuer.as_str())
            .append_pair("Destination", destination.as_str())
            .append_pair("SigninToken", &token);
        let ends = credentials.expiration;
        let opens_until = now.checked_add(LINK_LIFETIME).map_or(ends, |until| until.min(ends));
        Ok(ConsoleLogin { link: SecretString::from(String::from(url)), opens_until, ends })
    }

    fn endpoint(&self, partition: Partition, region: &Region) -> Url {
        self.settings.endpoint.clone().unwrap_or_else(|| {
            let host = partition.sign_in_endpoint(region, self.settings.fips);
            Url::parse(&format!("https://{host}/federation")).expect("a region is a valid host label")
        })
    }

    async fn exchange(
        &self,
        endpoint: &Url,
        credentials: &Credentials,
        rng: &dyn Rng,
    ) -> Result<Zeroizing<String>, FederationError> {
        let mut bound = self.settings.backoff;
        for _ in 0..2 {
            match self.attempt(endpoint, credentials).await {
                Err(error) if error.is_worth_a_retry() => {
                    tokio::time::sleep(below(bound, rng)).await;
                    bound *= 2;
                }
                done => return done,
            }
        }
        self.attempt(endpoint, credentials).await
    }

    async fn attempt(&self, endpoint: &Url, credentials: &Credentials) -> Result<Zeroizing<String>, FederationError> {
        let session = Session {
            session_id: &credentials.access_key_id,
            session_key: credentials.secret_access_key.expose_secret(),
            session_token: credentials.session_token.expose_secret(),
        };
        let session = Zeroizing::new(serde_json::to_string(&session).expect("strings are always JSON"));
        // By POST: a query string, and so an access log, would hold the credentials. No SessionDuration: AWS's rules
        // on it conflict for credentials from SAML, and without it the console lasts exactly as long as they do.
        let mut response = self
            .http
            .post(endpoint.clone())
            .timeout(self.settings.attempt_timeout)
            .form(&[("Action", "getSigninToken"), ("Session", session.as_str())])
            .send()
            .await
            .map_err(unreachable)?;
        match response.status() {
            StatusCode::OK => {}
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(FederationError::Unavailable(status.as_u16()));
            }
            status => return Err(FederationError::Refused(status.as_u16())),
        }
        let mut body = Zeroizing::new(Vec::with_capacity(8 * 1024));
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(FederationError::BadAnswer("it is too large"));
            }
            body.extend_from_slice(&chunk);
        }
        let answer: Answer =
            serde_json::from_slice(&body).map_err(|_| FederationError::BadAnswer("it holds no sign-in token"))?;
        let token = Zeroizing::new(answer.signin_token);
        if token.is_empty() { Err(FederationError::BadAnswer("its sign-in token is empty")) } else { Ok(token) }
    }
}

fn unreachable(error: reqwest::Error) -> FederationError {
    if error.is_timeout() { FederationError::TimedOut } else { FederationError::Unreachable(error.without_url()) }
}

/// A pause below `bound`, at random, so that many who failed together do not come back together.
fn below(bound: Duration, rng: &dyn Rng) -> Duration {
    let mut bytes = [0_u8; 4];
    rng.fill(&mut bytes);
    bound.mul_f64(f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests;
