//! Why a reply was not believed.

use jiff::Timestamp;

use crate::identity::Unmet;
use crate::saml::decrypt::DecryptError;
use crate::saml::gate::GateError;
use crate::saml::message::ReadError;
use crate::saml::signature::SignatureError;

/// What the person is told; everything finer is for the audit log. A stranger learns nothing here about what was wrong
/// with something they made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Public {
    /// It took too long, or a clock is wrong: start again.
    Expired,
    /// It was not believed.
    Refused,
    /// The identity provider itself said no.
    IdpError,
    /// Nobody here asked for it: start here instead.
    Unsolicited,
    /// The person has to be recognised again and was not.
    NotReauthenticated,
}

/// One variant per true cause.
#[derive(Debug, thiserror::Error)]
pub enum SamlError {
    #[error("the reply is not base64")]
    Base64(#[source] base64::DecodeError),
    #[error("the reply was stopped at the gate")]
    Gate(#[source] GateError),
    #[error("the reply's signature was not believed")]
    Signature(#[source] SignatureError),
    #[error("the reply could not be decrypted")]
    Decrypt(#[source] DecryptError),
    #[error("the reply could not be read")]
    Read(#[source] ReadError),

    #[error("the identity provider answered {code}{}{}", optional(" / ", .subcode.as_deref()), optional(": ", .message.as_deref()))]
    Status { code: String, subcode: Option<String>, message: Option<String> },
    #[error("the response has no status")]
    StatusMissing,
    #[error("the {element} is of version {version:?}, not 2.0")]
    Version { element: &'static str, version: Option<String> },
    #[error("the assertion has no issuer")]
    IssuerMissing,
    #[error("the {element} was issued by {found:?}, not by {expected:?}")]
    Issuer { element: &'static str, found: String, expected: String },
    #[error("the signed response has no destination")]
    DestinationMissing,
    #[error("the response is meant for {found:?}, not for {expected:?}")]
    Destination { found: String, expected: String },

    #[error("nobody asked for this reply, and this connector takes none of those")]
    Unsolicited,
    #[error("the {element} answers no request, but there was one")]
    InResponseToMissing { element: &'static str },
    #[error("the {element} answers the request {found:?}, not {}", expected.as_deref().unwrap_or("none at all"))]
    InResponseTo { element: &'static str, found: String, expected: Option<String> },

    #[error("the response has no assertion")]
    AssertionMissing,
    #[error("the assertion has no subject")]
    SubjectMissing,
    #[error("the assertion's subject has no NameID")]
    NameIdMissing,
    #[error("the NameID is encrypted by itself, which is not supported; encrypt the assertion instead")]
    NameIdEncrypted,
    #[error("the subject is empty")]
    SubjectEmpty,
    #[error("the subject has control characters or more than {limit} bytes")]
    SubjectUnusable { limit: usize },
    #[error("the attribute {0:?}, which names the person, was not sent exactly once")]
    SubjectAttribute(String),

    #[error("the subject has no bearer confirmation")]
    BearerMissing,
    #[error("the bearer confirmation has no recipient")]
    RecipientMissing,
    #[error("the bearer confirmation is meant for {found:?}, not for {expected:?}")]
    Recipient { found: String, expected: String },
    #[error("the bearer confirmation has a NotBefore, which the profile forbids")]
    ConfirmationNotBefore,
    #[error("the bearer confirmation has no NotOnOrAfter")]
    ConfirmationWithoutEnd,
    #[error("the bearer confirmation ended at {0}")]
    ConfirmationExpired(Timestamp),

    #[error("the assertion has no conditions")]
    ConditionsMissing,
    #[error("the assertion has no audience restriction")]
    AudienceMissing,
    #[error("the assertion is for {found:?}, not for {expected:?}")]
    Audience { found: Vec<String>, expected: String },
    #[error("the assertion has a condition that is not understood: {0}")]
    UnknownCondition(String),
    #[error("the assertion may not be passed on, which is what signing in to AWS with it would be")]
    ProxyRestriction,
    #[error("the assertion is valid from {0} only")]
    NotYetValid(Timestamp),
    #[error("the assertion was valid until {0}")]
    Expired(Timestamp),
    #[error("the {element} was issued in the future, at {at}")]
    IssuedInFuture { element: &'static str, at: Timestamp },
    #[error("the {element} was issued too long ago, at {at}")]
    IssuedLongAgo { element: &'static str, at: Timestamp },

    #[error("the assertion does not say how the person was recognised")]
    AuthnStatementMissing,
    #[error("the person was recognised in the future, at {0}")]
    AuthnInFuture(Timestamp),
    #[error("the session at the identity provider ended at {0}")]
    SessionOver(Timestamp),
    #[error("the person was to be recognised again after {asked}, and was at {recognised}")]
    NotReauthenticated { recognised: Timestamp, asked: Timestamp },
    #[error("the person was recognised by {found:?}, which is not among what was asked for")]
    AuthnContext { found: Option<String> },

    #[error("the person was not recognised as what they want to do asks for")]
    Unmet(#[source] Unmet),

    #[error("the identity provider's metadata was valid until {0}")]
    MetadataExpired(Timestamp),
}

fn optional(before: &str, text: Option<&str>) -> String {
    text.map(|text| format!("{before}{text}")).unwrap_or_default()
}

impl SamlError {
    /// A stable short name for audit events and tests.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Base64(_) => "base64-malformed",
            Self::Gate(e) => e.code(),
            Self::Signature(e) => e.code(),
            Self::Decrypt(e) => e.code(),
            Self::Read(e) => e.code(),
            Self::Status { .. } => "status-not-success",
            Self::StatusMissing => "status-missing",
            Self::Version { .. } => "version-wrong",
            Self::IssuerMissing => "issuer-missing",
            Self::Issuer { .. } => "issuer-wrong",
            Self::DestinationMissing => "destination-missing",
            Self::Destination { .. } => "destination-wrong",
            Self::Unsolicited => "unsolicited",
            Self::InResponseToMissing { .. } => "in-response-to-missing",
            Self::InResponseTo { .. } => "in-response-to-wrong",
            Self::AssertionMissing => "assertion-missing",
            Self::SubjectMissing => "subject-missing",
            Self::NameIdMissing => "name-id-missing",
            Self::NameIdEncrypted => "name-id-encrypted",
            Self::SubjectEmpty => "subject-empty",
            Self::SubjectUnusable { .. } => "subject-unusable",
            Self::SubjectAttribute(_) => "subject-attribute-missing",
            Self::BearerMissing => "bearer-missing",
            Self::RecipientMissing => "recipient-missing",
            Self::Recipient { .. } => "recipient-wrong",
            Self::ConfirmationNotBefore => "confirmation-has-not-before",
            Self::ConfirmationWithoutEnd => "confirmation-without-end",
            Self::ConfirmationExpired(_) => "confirmation-expired",
            Self::ConditionsMissing => "conditions-missing",
            Self::AudienceMissing => "audience-missing",
            Self::Audience { .. } => "audience-wrong",
            Self::UnknownCondition(_) => "condition-unknown",
            Self::ProxyRestriction => "proxy-restricted",
            Self::NotYetValid(_) => "not-yet-valid",
            Self::Expired(_) => "expired",
            Self::IssuedInFuture { .. } => "issued-in-future",
            Self::IssuedLongAgo { .. } => "issued-long-ago",
            Self::AuthnStatementMissing => "authn-statement-missing",
            Self::AuthnInFuture(_) => "authn-in-future",
            Self::SessionOver(_) => "session-over",
            Self::NotReauthenticated { .. } => "not-reauthenticated",
            Self::AuthnContext { .. } => "authn-context-wrong",
            Self::Unmet(unmet) => unmet.code(),
            Self::MetadataExpired(_) => "metadata-expired",
        }
    }

    /// What the person is told.
    #[must_use]
    pub fn public(&self) -> Public {
        match self {
            Self::ConfirmationExpired(_)
            | Self::NotYetValid(_)
            | Self::Expired(_)
            | Self::IssuedInFuture { .. }
            | Self::IssuedLongAgo { .. }
            | Self::AuthnInFuture(_)
            | Self::SessionOver(_) => Public::Expired,
            Self::Status { .. } => Public::IdpError,
            Self::Unsolicited => Public::Unsolicited,
            Self::NotReauthenticated { .. } | Self::Unmet(_) => Public::NotReauthenticated,
            _ => Public::Refused,
        }
    }
}
