//! `AssumeRoleWithSAML`, unsigned: the assertion is the only proof, and the server holds no AWS keys.
//!
//! Trouble is met in this order: the SDK tries again with pauses drawn at random; an endpoint that keeps failing is left
//! alone by its [breaker](super::breaker); the next region is asked. A refusal is an answer and ends the search.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sts::config::http::{HttpRequest, HttpResponse};
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::config::{BehaviorVersion, HttpClient, RuntimeComponents, StalledStreamProtectionConfig};
use aws_sdk_sts::error::{ConnectorError, SdkError};
use aws_sdk_sts::operation::RequestId;
use aws_sdk_sts::operation::assume_role_with_saml::{AssumeRoleWithSAMLError, AssumeRoleWithSamlOutput};
use aws_sdk_sts::types::PolicyDescriptorType;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_types::body::SdkBody;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::assertion::Assertion;
use super::breaker::Pass;
use super::endpoint::Endpoints;
use crate::aws::{Credentials, Partition, PolicyArn, ProviderArn, Region, RoleArn, SessionDuration, SessionPolicy};
use crate::sys::Clock;

/// Many times what STS ever answers.
const MAX_ANSWER: usize = 256 * 1024;
/// Enough of STS's message for any text it is known to send.
const MAX_MESSAGE: usize = 512;
/// How long somebody waits for all regions together, unless one region alone is allowed longer.
const WHOLE: Duration = Duration::from_secs(20);

/// How STS is called. Connecting has its own limit in the shared HTTP client.
#[derive(Debug, Clone)]
pub struct StsSettings {
    /// Called instead of AWS's regional endpoints, whatever the region: there is no other to fall back to.
    pub endpoint: Option<Url>,
    /// One attempt, from connecting to the end of the answer.
    pub attempt_timeout: Duration,
    /// All attempts in one region and the pauses between them.
    pub total_timeout: Duration,
    /// How often a call is tried when STS is throttling, failing or out of reach.
    pub max_attempts: u32,
    /// The longest first pause; later ones are longer, and each is drawn at random below its bound.
    pub backoff: Duration,
}

impl Default for StsSettings {
    fn default() -> Self {
        Self {
            endpoint: None,
            attempt_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(12),
            max_attempts: 3,
            backoff: Duration::from_millis(500),
        }
    }
}

/// A client for STS.
#[derive(Debug)]
pub struct Sts {
    client: aws_sdk_sts::Client,
    settings: StsSettings,
    endpoints: Endpoints,
    clock: Arc<dyn Clock>,
}

/// What STS is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub role: &'a RoleArn,
    pub provider: &'a ProviderArn,
    pub assertion: &'a Assertion,
    pub duration: SessionDuration,
    pub session_policy: &'a SessionPolicy,
}

/// Where STS is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    region: Region,
    url: Url,
}

/// What STS answered.
#[derive(Debug)]
pub(super) struct Assumed {
    pub credentials: Credentials,
    /// Where it answered.
    pub region: Region,
    /// `arn:…:sts::…:assumed-role/{role}/{session}`; none where the answer left it out.
    pub assumed_role_arn: Option<String>,
    pub request_id: Option<String>,
}

impl Sts {
    #[must_use]
    pub fn new(http: reqwest::Client, settings: StsSettings, clock: Arc<dyn Clock>) -> Self {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(settings.attempt_timeout)
            .operation_timeout(settings.total_timeout)
            .build();
        // Full jitter: the SDK multiplies the whole of each pause, backoff * 2^(n-1), by a random number from 0 to 1.
        let retries = RetryConfig::standard()
            .with_max_attempts(settings.max_attempts.max(1))
            .with_initial_backoff(settings.backoff);
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(OurHttpClient(http))
            .sleep_impl(TokioSleep::new())
            .timeout_config(timeouts)
            .retry_config(retries)
            // It guards long downloads; our answers are a few kilobytes and have a timeout each.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Self { client: aws_sdk_sts::Client::from_conf(config), settings, endpoints: Endpoints::default(), clock }
    }

    /// Exchanges an assertion for credentials, in the first of the regions that answers. Only
    /// [`Issuer`](super::Issuer) may, with a permit.
    ///
    /// # Errors
    /// [`StsError`] says who must fix what. A temporary one says that no region answered.
    pub(super) async fn assume_role_with_saml(
        &self,
        asked: Asked<'_>,
        regions: &[Region],
    ) -> Result<Assumed, StsError> {
        self.first_to_answer(asked, &self.places(asked.role.partition(), regions)).await
    }

    fn places(&self, partition: Partition, regions: &[Region]) -> Vec<Place> {
        let place = |region: &Region| Place {
            region: region.clone(),
            url: self.settings.endpoint.clone().unwrap_or_else(|| partition.sts_endpoint(region)),
        };
        let count = if self.settings.endpoint.is_some() { 1 } else { regions.len() };
        regions.iter().take(count).map(place).collect()
    }

    /// The same assertion goes everywhere. It names no region, AWS takes it for five minutes and any number of times,
    /// which the SDK's own retries rely on too, and so the audit log has one assertion for one issue. A session that
    /// begins unseen, its answer lost on the way, is known to nobody and ends by itself.
    async fn first_to_answer(&self, asked: Asked<'_>, places: &[Place]) -> Result<Assumed, StsError> {
        let one_try = self.settings.attempt_timeout;
        let deadline = Instant::now() + WHOLE.max(self.settings.total_timeout + one_try);
        let mut failed: Option<StsError> = None;
        for place in places {
            // An endpoint is judged only by calls that had the time of one whole try.
            if failed.is_some() && Instant::now() + one_try > deadline {
                break;
            }
            match self.ask(asked, place, deadline).await {
                Err(error) if error.is_temporary() => {
                    // What an endpoint said, or did not say, tells more than that another was not asked.
                    failed = match failed {
                        Some(earlier) if error.is_unasked() => Some(earlier),
                        _ => Some(error),
                    };
                }
                done => {
                    if let Some(cause) = failed {
                        tracing::warn!(sts.region = %place.region, %cause, "STS was asked in a fallback region");
                    }
                    return done;
                }
            }
        }
        Err(failed.unwrap_or(StsError::LeftAlone))
    }

    async fn ask(&self, asked: Asked<'_>, place: &Place, deadline: Instant) -> Result<Assumed, StsError> {
        let endpoint = self.endpoints.of(&place.url);
        let (pass, _in_hand) = endpoint.enter(&*self.clock).await?;
        let answer = timeout_at(deadline, self.call(asked, place, pass)).await.unwrap_or(Err(StsError::TimedOut));
        match &answer {
            Err(error) if error.is_temporary() => endpoint.failed(error, self.clock.now()),
            _ => endpoint.answered(),
        }
        answer
    }

    async fn call(&self, asked: Asked<'_>, place: &Place, pass: Pass) -> Result<Assumed, StsError> {
        let mut here = aws_sdk_sts::config::Builder::new()
            .region(aws_sdk_sts::config::Region::new(place.region.to_string()))
            .endpoint_url(place.url.as_str());
        if pass == Pass::Probe {
            // Somebody is waiting, most likely for an endpoint that is still out, and the next region is well.
            here = here.retry_config(RetryConfig::disabled());
        }
        let seconds = i32::try_from(asked.duration.as_secs()).expect("43 200 fits");
        let answer = self
            .client
            .assume_role_with_saml()
            .role_arn(asked.role.to_string())
            .principal_arn(asked.provider.to_string())
            .saml_assertion(asked.assertion.response.expose_secret())
            .duration_seconds(seconds)
            .set_policy(asked.session_policy.inline().map(str::to_owned))
            .set_policy_arns(policy_arns(asked.session_policy))
            .customize()
            .config_override(here)
            .send()
            .await
            .map_err(|error| match StsError::from_sdk(error) {
                // STS packs tags and policies into one; where there is a policy, it is the part that can be left out.
                StsError::TagsTooLarge(refusal) if !asked.session_policy.is_none() => StsError::PolicyTooLarge(refusal),
                error => error,
            })?;
        read(&answer, &place.region)
    }
}

fn policy_arns(policy: &SessionPolicy) -> Option<Vec<PolicyDescriptorType>> {
    let described = |arn: &PolicyArn| PolicyDescriptorType::builder().arn(arn.as_str()).build();
    (!policy.arns().is_empty()).then(|| policy.arns().iter().map(described).collect())
}

fn read(answer: &AssumeRoleWithSamlOutput, region: &Region) -> Result<Assumed, StsError> {
    let credentials = answer.credentials().ok_or(StsError::BadAnswer("it holds no credentials"))?;
    let expiration = credentials.expiration();
    let expiration = Timestamp::new(expiration.secs(), i32::try_from(expiration.subsec_nanos()).unwrap_or(0))
        .map_err(|_| StsError::BadAnswer("its expiration is out of range"))?;
    let credentials = Credentials {
        access_key_id: credentials.access_key_id().to_owned(),
        secret_access_key: SecretString::from(credentials.secret_access_key()),
        session_token: SecretString::from(credentials.session_token()),
        expiration,
    };
    if !credentials.are_plain() {
        return Err(StsError::BadAnswer("its credentials hold characters AWS does not use"));
    }
    Ok(Assumed {
        credentials,
        region: region.clone(),
        assumed_role_arn: answer.assumed_role_user().map(|user| user.arn().to_owned()),
        request_id: answer.request_id().map(str::to_owned),
    })
}

/// STS's own words: for the operator and the audit log, not for a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The wire code, such as `AccessDenied`.
    pub code: String,
    pub message: String,
    pub request_id: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        match &self.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

/// What the role's trust policy does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeniedAction {
    AssumeRoleWithSaml,
    TagSession,
    SetSourceIdentity,
}

/// Why STS gave no credentials. Each variant is a different thing that somebody has to put right.
#[derive(Debug, thiserror::Error)]
pub enum StsError {
    #[error("STS found the assertion expired; is this host's clock right? ({0})")]
    AssertionExpired(Refusal),
    #[error("STS could not verify the assertion: the account's SAML provider holds other metadata than ours ({0})")]
    SignatureInvalid(Refusal),
    #[error("the account has no such SAML provider ({0})")]
    ProviderMissing(Refusal),
    #[error("the account's SAML provider was made from metadata of another entity ID ({0})")]
    IssuerMismatch(Refusal),
    #[error("STS does not find the pair of role and provider in the assertion ({0})")]
    PairMissing(Refusal),
    #[error("STS refused the assertion ({0})")]
    AssertionRefused(Refusal),
    #[error("the role's trust policy refuses, or there is no such role ({refusal})")]
    TrustPolicyRefuses { action: DeniedAction, refusal: Refusal },
    #[error("the duration is above the role's maximum ({0})")]
    DurationAboveMaximum(Refusal),
    #[error("the session tags do not fit ({0})")]
    TagsTooLarge(Refusal),
    #[error("session tags and session policy together are more than fits ({0})")]
    PolicyTooLarge(Refusal),
    #[error("STS does not take the session policy ({0})")]
    PolicyMalformed(Refusal),
    #[error("STS is switched off in the region ({0})")]
    RegionDisabled(Refusal),
    #[error("STS is throttling ({0})")]
    Throttled(Refusal),
    #[error("STS failed ({0})")]
    Unavailable(Refusal),
    #[error("STS could not be reached")]
    Unreachable(#[source] Box<dyn StdError + Send + Sync>),
    #[error("STS did not answer in time")]
    TimedOut,
    #[error("STS failed several times in a row and is left alone for some seconds; nothing was sent")]
    LeftAlone,
    #[error("too many calls are waiting for STS already; nothing was sent")]
    Crowded,
    #[error("the answer of STS makes no sense: {0}")]
    BadAnswer(&'static str),
    #[error("STS refused for a reason we do not know ({0})")]
    Unknown(Refusal),
}

impl StsError {
    /// A stable name for audit events and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::AssertionExpired(_) => "sts-assertion-expired",
            Self::SignatureInvalid(_) => "sts-signature-invalid",
            Self::ProviderMissing(_) => "sts-provider-missing",
            Self::IssuerMismatch(_) => "sts-issuer-mismatch",
            Self::PairMissing(_) => "sts-pair-missing",
            Self::AssertionRefused(_) => "sts-assertion-refused",
            Self::TrustPolicyRefuses { .. } => "sts-trust-policy-refuses",
            Self::DurationAboveMaximum(_) => "sts-duration-above-maximum",
            Self::TagsTooLarge(_) => "sts-tags-too-large",
            Self::PolicyTooLarge(_) => "sts-policy-too-large",
            Self::PolicyMalformed(_) => "sts-policy-malformed",
            Self::RegionDisabled(_) => "sts-region-disabled",
            Self::Throttled(_) => "sts-throttled",
            Self::Unavailable(_) => "sts-unavailable",
            Self::Unreachable(_) => "sts-unreachable",
            Self::TimedOut => "sts-timed-out",
            Self::LeftAlone => "sts-left-alone",
            Self::Crowded => "sts-crowded",
            Self::BadAnswer(_) => "sts-bad-answer",
            Self::Unknown(_) => "sts-unknown",
        }
    }

    /// What a person is told: what is wrong and who can put it right. Nothing of STS's own text is in it.
    #[must_use]
    pub const fn sentence(&self) -> &'static str {
        match self {
            Self::AssertionExpired(_) => {
                "AWS says our request came too late. The clock of the Rolegate server is probably wrong: please tell \
                 whoever runs it."
            }
            Self::SignatureInvalid(_) => {
                "AWS could not verify our signature. The SAML provider in this account holds an old copy of \
                 Rolegate's metadata: whoever administers the account must upload the current one."
            }
            Self::ProviderMissing(_) => {
                "This account has no SAML provider of the name the catalog gives. Whoever administers the account \
                 must create it, or a Rolegate administrator must correct the name."
            }
            Self::IssuerMismatch(_) => {
                "The SAML provider in this account was made for another identity provider. Whoever administers the \
                 account must upload Rolegate's metadata to it."
            }
            Self::PairMissing(_) => {
                "AWS does not accept this pair of role and SAML provider. A Rolegate administrator must check the \
                 role's name and the account's provider in the catalog."
            }
            Self::AssertionRefused(_) => {
                "AWS refused what Rolegate says about you. A Rolegate administrator finds AWS's reason in the audit \
                 log."
            }
            Self::TrustPolicyRefuses { action: DeniedAction::AssumeRoleWithSaml, .. } => {
                "The role does not trust Rolegate, or it does not exist. Whoever administers the account must check \
                 the role's name and its trust policy."
            }
            Self::TrustPolicyRefuses { action: DeniedAction::TagSession, .. } => {
                "The role does not allow session tags. Whoever administers the account must add sts:TagSession to \
                 its trust policy."
            }
            Self::TrustPolicyRefuses { action: DeniedAction::SetSourceIdentity, .. } => {
                "The role does not allow a source identity. Whoever administers the account must add \
                 sts:SetSourceIdentity to its trust policy."
            }
            Self::DurationAboveMaximum(_) => {
                "The role does not allow sessions this long. Choose a shorter one, or ask whoever administers the \
                 account to raise the role's maximum session duration."
            }
            Self::TagsTooLarge(_) => {
                "The session tags of this role are too large for AWS. A Rolegate administrator must map fewer or \
                 shorter ones."
            }
            Self::PolicyTooLarge(_) => {
                "The session policy is too large for AWS, together with the role's session tags. Send a shorter one, \
                 or keep it in the account and name it in policy_arns."
            }
            Self::PolicyMalformed(_) => {
                "AWS does not accept the session policy. Check its actions, resources and conditions; IAM's policy \
                 validator says what is wrong with it."
            }
            Self::RegionDisabled(_) => {
                "AWS STS is switched off for this account in the region Rolegate uses. Whoever administers the \
                 account must switch it on, or whoever runs Rolegate must choose another region."
            }
            Self::Throttled(_) => "AWS is receiving too many requests just now. Please try again in a minute.",
            Self::Unavailable(_) | Self::Unreachable(_) | Self::TimedOut | Self::LeftAlone | Self::Crowded => {
                "AWS STS is not answering just now. Please try again in a minute; if it goes on, tell whoever runs \
                 Rolegate."
            }
            Self::BadAnswer(_) | Self::Unknown(_) => {
                "AWS gave an answer Rolegate does not understand. Please tell whoever runs Rolegate."
            }
        }
    }

    /// STS's own words, where it said anything.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::AssertionExpired(refusal)
            | Self::SignatureInvalid(refusal)
            | Self::ProviderMissing(refusal)
            | Self::IssuerMismatch(refusal)
            | Self::PairMissing(refusal)
            | Self::AssertionRefused(refusal)
            | Self::TrustPolicyRefuses { refusal, .. }
            | Self::DurationAboveMaximum(refusal)
            | Self::TagsTooLarge(refusal)
            | Self::PolicyTooLarge(refusal)
            | Self::PolicyMalformed(refusal)
            | Self::RegionDisabled(refusal)
            | Self::Throttled(refusal)
            | Self::Unavailable(refusal)
            | Self::Unknown(refusal) => Some(refusal),
            Self::Unreachable(_) | Self::TimedOut | Self::LeftAlone | Self::Crowded | Self::BadAnswer(_) => None,
        }
    }

    /// Whether it is the session policy that was asked for which STS does not take: whoever asked can put it right.
    #[must_use]
    pub const fn is_about_the_policy(&self) -> bool {
        matches!(self, Self::PolicyTooLarge(_) | Self::PolicyMalformed(_))
    }

    /// Whether trying again later may help without anybody changing anything.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Throttled(_) | Self::Unavailable(_) | Self::Unreachable(_) | Self::TimedOut)
            || self.is_unasked()
    }

    /// Whether STS was never asked: it is we who held back.
    const fn is_unasked(&self) -> bool {
        matches!(self, Self::LeftAlone | Self::Crowded)
    }

    fn from_sdk(error: SdkError<AssumeRoleWithSAMLError, HttpResponse>) -> Self {
        match error {
            SdkError::ServiceError(context) if context.raw().status().is_success() => {
                Self::BadAnswer("it is not the XML of AssumeRoleWithSAML")
            }
            SdkError::ServiceError(context) => {
                let meta = context.err().meta();
                let refusal = Refusal {
                    code: shortened(meta.code().unwrap_or("no code")),
                    message: shortened(meta.message().unwrap_or("no message")),
                    request_id: context.err().request_id().map(shortened),
                };
                Self::from_refusal(refusal, context.raw().status().as_u16())
            }
            SdkError::TimeoutError(_) => Self::TimedOut,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Self::TimedOut,
            // A raw answer may hold credentials: it is dropped here, and its parser's complaint with it.
            SdkError::ResponseError(_) => Self::BadAnswer("it is not the XML of AssumeRoleWithSAML"),
            other => match other.into_source() {
                Ok(source) => Self::Unreachable(source),
                Err(_) => Self::BadAnswer("the SDK failed without a reason"),
            },
        }
    }

    fn from_refusal(refusal: Refusal, status: u16) -> Self {
        let says = |text: &str| refusal.message.contains(text);
        match refusal.code.as_str() {
            "ExpiredTokenException" | "ExpiredToken" => Self::AssertionExpired(refusal),
            "InvalidIdentityToken" if says("Response signature invalid") => Self::SignatureInvalid(refusal),
            "InvalidIdentityToken" if says("Specified provider doesn't exist") => Self::ProviderMissing(refusal),
            "InvalidIdentityToken" if says("Issuer not present in specified provider") => Self::IssuerMismatch(refusal),
            "InvalidIdentityToken" if says("doesn't contain the requested Role") => Self::PairMissing(refusal),
            "InvalidIdentityToken" | "IDPRejectedClaim" => Self::AssertionRefused(refusal),
            "AccessDenied" => {
                let action = if says("sts:TagSession") {
                    DeniedAction::TagSession
                } else if says("sts:SetSourceIdentity") {
                    DeniedAction::SetSourceIdentity
                } else {
                    DeniedAction::AssumeRoleWithSaml
                };
                Self::TrustPolicyRefuses { action, refusal }
            }
            "ValidationError" if says("DurationSeconds exceeds") => Self::DurationAboveMaximum(refusal),
            "PackedPolicyTooLarge" => Self::TagsTooLarge(refusal),
            "MalformedPolicyDocument" => Self::PolicyMalformed(refusal),
            "RegionDisabledException" => Self::RegionDisabled(refusal),
            "Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "TooManyRequestsException" => {
                Self::Throttled(refusal)
            }
            _ if status == 429 => Self::Throttled(refusal),
            _ if status >= 500 => Self::Unavailable(refusal),
            _ => Self::Unknown(refusal),
        }
    }
}

/// Text from outside, fit for a log: printable, of bounded length, and without anything that could be an assertion
/// or a token echoed back.
fn shortened(text: &str) -> String {
    const LONGEST_WORD: usize = 200;
    let mut out = String::new();
    for word in text.split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || "+/=_-".contains(c))) {
        if word.len() > LONGEST_WORD {
            out.push('…');
        } else {
            out.extend(word.chars().map(|c| if c.is_control() { ' ' } else { c }));
        }
        if out.len() > MAX_MESSAGE {
            out.truncate(out.floor_char_boundary(MAX_MESSAGE));
            out.push('…');
            break;
        }
    }
    out
}

/// The SDK's HTTP over the one client the whole program shares.
#[derive(Debug, Clone)]
struct OurHttpClient(reqwest::Client);

impl HttpClient for OurHttpClient {
    // The SDK enforces its attempt timeout itself, and connecting is limited in the shared client.
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for OurHttpClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|e| ConnectorError::user(e.into()))?;
            let request = request.map(|body| reqwest::Body::from(body.bytes().unwrap_or_default().to_vec()));
            let request = reqwest::Request::try_from(request).map_err(|e| ConnectorError::user(e.into()))?;
            let mut response = client.execute(request).await.map_err(connector_error)?;
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(connector_error)? {
                if body.len() + chunk.len() > MAX_ANSWER {
                    return Err(ConnectorError::other("the answer is too large".into(), None));
                }
                body.extend_from_slice(&chunk);
            }
            let mut answer = http::Response::new(SdkBody::from(body));
            *answer.status_mut() = response.status();
            *answer.headers_mut() = response.headers().clone();
            HttpResponse::try_from(answer).map_err(|e| ConnectorError::other(e.into(), None))
        })
    }
}

fn connector_error(error: reqwest::Error) -> ConnectorError {
    if error.is_timeout() { ConnectorError::timeout(error.into()) } else { ConnectorError::io(error.into()) }
}

#[cfg(test)]
mod tests;
