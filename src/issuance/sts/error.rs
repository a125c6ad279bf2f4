//! Why STS gave no credentials, and what people are told about it.

use std::error::Error as StdError;
use std::fmt;

use aws_sdk_sts::config::http::HttpResponse;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::RequestId;

/// Enough of STS's message for any text it is known to send.
const MAX_MESSAGE: usize = 512;

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
    AssumeRoleWithWebIdentity,
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
    #[error("STS refused what we say about the person ({0})")]
    AssertionRefused(Refusal),
    #[error("the account has no OpenID provider for our issuer ({0})")]
    OidcProviderMissing(Refusal),
    #[error("the account's OpenID provider does not list the audience of our tokens ({0})")]
    AudienceUnknown(Refusal),
    #[error("STS could not fetch our keys, or does not find the one we signed with ({0})")]
    KeysUnreachable(Refusal),
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
    #[error("the region has no FIPS endpoint of STS; nothing was sent")]
    NoEndpoint,
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
            Self::OidcProviderMissing(_) => "sts-oidc-provider-missing",
            Self::AudienceUnknown(_) => "sts-audience-unknown",
            Self::KeysUnreachable(_) => "sts-keys-unreachable",
            Self::TrustPolicyRefuses { .. } => "sts-trust-policy-refuses",
            Self::DurationAboveMaximum(_) => "sts-duration-above-maximum",
            Self::TagsTooLarge(_) => "sts-tags-too-large",
            Self::PolicyTooLarge(_) => "sts-policy-too-large",
            Self::PolicyMalformed(_) => "sts-policy-malformed",
            Self::RegionDisabled(_) => "sts-region-disabled",
            Self::NoEndpoint => "sts-no-endpoint",
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
            Self::OidcProviderMissing(_) => {
                "This account has no OpenID Connect provider for Rolegate. Whoever administers the account must create \
                 it with Rolegate's issuer as its URL, byte for byte."
            }
            Self::AudienceUnknown(_) => {
                "The OpenID Connect provider in this account does not list the audience that Rolegate uses for it. \
                 Whoever administers the account must add it to the provider's client IDs, or a Rolegate administrator \
                 must correct oidc_audience in the catalog."
            }
            Self::KeysUnreachable(_) => {
                "AWS could not fetch Rolegate's public keys. Please try again in a minute; if it goes on, whoever runs \
                 Rolegate must check that AWS reaches its key set: `rolegate doctor` tells."
            }
            Self::TrustPolicyRefuses {
                action: DeniedAction::AssumeRoleWithSaml | DeniedAction::AssumeRoleWithWebIdentity,
                ..
            } => {
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
                "The session tags of this role do not fit into the room AWS has for them. A Rolegate administrator must \
                 map fewer or shorter ones."
            }
            Self::PolicyTooLarge(_) => {
                "What the session is limited to does not fit into the room AWS has for it and for the role's session \
                 tags. Shorten the policy, name fewer regions and networks, or keep the policy in the account and give \
                 its ARN; if none of it is yours, a Rolegate administrator must shorten the catalog's limits or tags."
            }
            Self::PolicyMalformed(_) => {
                "AWS does not accept the session policy. Check its actions, resources and conditions, and that the account \
                 has the managed policies it names; IAM's policy validator says what is wrong with it."
            }
            Self::RegionDisabled(_) => {
                "AWS STS is switched off for this account in the region Rolegate uses. Whoever administers the \
                 account must switch it on, or whoever runs Rolegate must choose another region."
            }
            Self::NoEndpoint => {
                "Rolegate may call AWS at endpoints with validated cryptography (FIPS) only, and the region of this role has \
                 none. A Rolegate administrator must give the role or its account another region."
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
            | Self::OidcProviderMissing(refusal)
            | Self::AudienceUnknown(refusal)
            | Self::KeysUnreachable(refusal)
            | Self::TrustPolicyRefuses { refusal, .. }
            | Self::DurationAboveMaximum(refusal)
            | Self::TagsTooLarge(refusal)
            | Self::PolicyTooLarge(refusal)
            | Self::PolicyMalformed(refusal)
            | Self::RegionDisabled(refusal)
            | Self::Throttled(refusal)
            | Self::Unavailable(refusal)
            | Self::Unknown(refusal) => Some(refusal),
            Self::NoEndpoint
            | Self::Unreachable(_)
            | Self::TimedOut
            | Self::LeftAlone
            | Self::Crowded
            | Self::BadAnswer(_) => None,
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
    pub(super) const fn is_unasked(&self) -> bool {
        matches!(self, Self::LeftAlone | Self::Crowded)
    }

    pub(super) fn from_sdk<E>(error: SdkError<E, HttpResponse>) -> Self
    where
        E: StdError + ProvideErrorMetadata + RequestId + Send + Sync + 'static,
    {
        match error {
            SdkError::ServiceError(context) if context.raw().status().is_success() => {
                Self::BadAnswer("it is not the XML of the operation")
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
            SdkError::ResponseError(_) => Self::BadAnswer("it is not the XML of the operation"),
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
            "InvalidIdentityToken" if says("No OpenIDConnect provider found") => Self::OidcProviderMissing(refusal),
            "InvalidIdentityToken" if says("Incorrect token audience") => Self::AudienceUnknown(refusal),
            "InvalidIdentityToken" if says("Couldn't retrieve verification key") => Self::KeysUnreachable(refusal),
            "IDPCommunicationError" => Self::KeysUnreachable(refusal),
            "InvalidIdentityToken" | "IDPRejectedClaim" => Self::AssertionRefused(refusal),
            "AccessDenied" => {
                let action = if says("sts:TagSession") {
                    DeniedAction::TagSession
                } else if says("sts:SetSourceIdentity") {
                    DeniedAction::SetSourceIdentity
                } else if says("sts:AssumeRoleWithWebIdentity") {
                    DeniedAction::AssumeRoleWithWebIdentity
                } else {
                    DeniedAction::AssumeRoleWithSaml
                };
                Self::TrustPolicyRefuses { action, refusal }
            }
            "ValidationError" if says("DurationSeconds exceeds") => Self::DurationAboveMaximum(refusal),
            "PackedPolicyTooLarge" => Self::TagsTooLarge(refusal),
            "ValidationError" if says("does not exist or is not attachable") => Self::PolicyMalformed(refusal),
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
