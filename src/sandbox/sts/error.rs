//! What STS answers when it refuses: codes and texts as clients know them.

use std::fmt;

use crate::aws::AccountId;

/// An error on the wire. `Display` is for the log: it adds what STS does not tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StsError {
    pub status: u16,
    pub code: &'static str,
    pub message: Option<String>,
    /// The true reason, where the message hides it. Never sent.
    pub hint: Option<String>,
    /// The encoded account of a refusal, for `DecodeAuthorizationMessage`.
    pub details: Option<String>,
}

impl std::error::Error for StsError {}

impl fmt::Display for StsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.code)?;
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}

/// Added by the component that judges assertions to some of its texts.
const SERVICE: &str = "Service: AWSOpenIdDiscoveryService; Status Code: 400; Error Code: ";

impl StsError {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: Some(message.into()), hint: None, details: None }
    }

    /// Tells the log what the caller is not told.
    #[must_use]
    pub fn because(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn with_details(mut self, encoded: String) -> Self {
        self.details = Some(encoded);
        self
    }

    /// A parameter that cannot be read at all; AWS sends no message with some of these.
    pub fn malformed_input(message: Option<&str>) -> Self {
        Self { status: 400, code: "MalformedInput", message: message.map(str::to_owned), hint: None, details: None }
    }

    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationError", message)
    }

    pub fn invalid_parameter_value(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidParameterValue", message)
    }

    pub fn invalid_action(action: &str, version: Option<&str>) -> Self {
        let version = version.unwrap_or("NO_VERSION_SPECIFIED");
        Self::new(400, "InvalidAction", format!("Could not find operation {action} for version {version}"))
    }

    pub fn malformed_policy(message: impl Into<String>) -> Self {
        Self::new(400, "MalformedPolicyDocument", message)
    }

    pub fn packed_policy_too_large(message: impl Into<String>) -> Self {
        Self::new(400, "PackedPolicyTooLarge", message)
    }

    pub fn invalid_identity_token(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidIdentityToken", message)
    }

    /// An invalid token whose text carries the name of the judging component, as AWS lets it through.
    pub fn invalid_identity_token_from_service(message: &str, error_code: &str, request_id: &str) -> Self {
        Self::invalid_identity_token(format!(
            "{message} ({SERVICE}{error_code}; Request ID: {request_id}; Proxy: null)"
        ))
    }

    pub fn expired_token(message: impl Into<String>) -> Self {
        Self::new(400, "ExpiredTokenException", message)
    }

    pub fn idp_rejected_claim(message: impl Into<String>) -> Self {
        Self::new(403, "IDPRejectedClaim", message)
    }

    /// A refusal of an unsigned call: one text, whatever the reason.
    pub fn not_authorized(action: &str) -> Self {
        Self::new(403, "AccessDenied", format!("Not authorized to perform {action}"))
    }

    pub fn access_denied(message: impl Into<String>) -> Self {
        Self::new(403, "AccessDenied", message)
    }

    pub fn idp_communication(hint: impl Into<String>) -> Self {
        Self::new(
            400,
            "IDPCommunicationError",
            "The identity provider that was asked to verify the incoming identity token could not be reached.",
        )
        .because(hint)
    }

    /// The account has switched STS off in the region.
    pub fn region_disabled(account: AccountId) -> Self {
        Self::new(
            403,
            "RegionDisabledException",
            format!(
                "STS is not activated in this region for account:{account}. Your account administrator can activate \
                 STS in this region using the IAM Console."
            ),
        )
    }

    pub fn invalid_authorization_message(hint: impl Into<String>) -> Self {
        Self::new(400, "InvalidAuthorizationMessageException", "Message is not valid").because(hint)
    }

    pub fn missing_authentication_token() -> Self {
        Self::new(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
    }

    pub fn incomplete_signature(message: impl Into<String>) -> Self {
        Self::new(400, "IncompleteSignature", message)
    }

    pub fn invalid_client_token() -> Self {
        Self::new(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
    }

    /// The caller's own session has ended; not to be confused with [`expired_token`](Self::expired_token).
    pub fn expired_session() -> Self {
        Self::new(403, "ExpiredToken", "The security token included in the request is expired")
    }

    pub fn signature_mismatch(message: impl Into<String>) -> Self {
        Self::new(403, "SignatureDoesNotMatch", message)
    }

    pub fn throttled() -> Self {
        Self::new(400, "Throttling", "Rate exceeded")
    }

    pub fn unavailable() -> Self {
        Self::new(503, "ServiceUnavailable", "The request has failed due to a temporary failure of the server.")
    }

    pub fn internal(hint: impl Into<String>) -> Self {
        Self::new(
            500,
            "InternalFailure",
            "The request processing has failed because of an unknown error, exception or failure.",
        )
        .because(hint)
    }

    /// What services that share this protocol answer.
    pub fn other(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(status, code, message)
    }

    /// Whose fault it is, as the body says it.
    #[must_use]
    pub fn fault(&self) -> &'static str {
        if self.status >= 500 { "Receiver" } else { "Sender" }
    }
}
