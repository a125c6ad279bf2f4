//! What S3 answers when it refuses.

use std::fmt;

use crate::sandbox::authorize::Answer;
use crate::sandbox::sts::StsError;

/// An error on the wire. `Display` is for the log.
#[derive(Debug, Clone)]
pub struct S3Error {
    pub status: u16,
    pub code: &'static str,
    pub message: String,
    /// Elements beside the message: which bucket, which key.
    pub about: Vec<(&'static str, String)>,
    /// The decision, where policies refused. Never sent; the console shows it.
    pub decision: Option<Box<Answer>>,
}

impl fmt::Display for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status, self.code, self.message)
    }
}

impl std::error::Error for S3Error {}

impl S3Error {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), about: Vec::new(), decision: None }
    }

    /// Policies refused. S3 writes the resource in quotation marks.
    pub fn denied(caller: &str, answer: &Answer) -> Self {
        let message = format!(
            "User: {caller} is not authorized to perform: {} on resource: \"{}\" {}",
            answer.action,
            answer.resource,
            answer.reason()
        );
        Self { decision: Some(Box::new(answer.clone())), ..Self::new(403, "AccessDenied", message.trim_end()) }
    }

    /// Nothing in this account speaks for callers from another.
    pub fn denied_across_accounts(caller: &str, action: &str, resource: &str) -> Self {
        Self::new(
            403,
            "AccessDenied",
            format!(
                "User: {caller} is not authorized to perform: {action} on resource: \"{resource}\" because no \
                 resource-based policy allows the {action} action"
            ),
        )
    }

    /// Whoever signed it, or did not: S3 has words of its own. `with_token` says that temporary credentials were shown.
    pub fn unauthenticated(error: &StsError, with_token: bool) -> Self {
        let message = error.message.as_deref().unwrap_or_default();
        match error.code {
            "MissingAuthenticationToken" => Self::new(403, "AccessDenied", "Access Denied"),
            "InvalidClientTokenId" if with_token => {
                Self::new(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
            }
            "InvalidClientTokenId" => Self::new(
                403,
                "InvalidAccessKeyId",
                "The AWS Access Key Id you provided does not exist in our records.",
            ),
            "AccessDenied" => Self::new(403, "AccessDenied", message),
            "ExpiredToken" => Self::new(400, "ExpiredToken", "The provided token has expired."),
            "SignatureDoesNotMatch" if message.starts_with("Signature ") => Self::new(
                403,
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
            ),
            "SignatureDoesNotMatch" if message.starts_with("The request signature we calculated") => Self::new(
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your key and \
                 signing method.",
            ),
            "SignatureDoesNotMatch" | "IncompleteSignature" => Self::new(
                400,
                "AuthorizationHeaderMalformed",
                format!("The authorization header is malformed; {message}"),
            ),
            _ => Self::internal(error.to_string()),
        }
    }

    pub fn no_such_bucket(bucket: &str) -> Self {
        let error = Self::new(404, "NoSuchBucket", "The specified bucket does not exist");
        Self { about: vec![("BucketName", bucket.to_owned())], ..error }
    }

    pub fn no_such_key(key: &str) -> Self {
        let error = Self::new(404, "NoSuchKey", "The specified key does not exist.");
        Self { about: vec![("Key", key.to_owned())], ..error }
    }

    pub fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidArgument", message)
    }

    pub fn invalid_range() -> Self {
        Self::new(416, "InvalidRange", "The requested range is not satisfiable")
    }

    pub fn key_too_long() -> Self {
        Self::new(400, "KeyTooLongError", "Your key is too long")
    }

    pub fn too_large(limit: usize) -> Self {
        let error = Self::new(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size");
        Self { about: vec![("MaxSizeAllowed", limit.to_string())], ..error }
    }

    /// Not of AWS, which has no end.
    pub fn full(what: &str) -> Self {
        Self::new(
            400,
            "InvalidRequest",
            format!("The sandbox keeps {what} at most, in memory. Delete something first."),
        )
    }

    pub fn incomplete_body() -> Self {
        Self::new(400, "IncompleteBody", "The request body terminated unexpectedly")
    }

    pub fn malformed_trailer() -> Self {
        Self::new(400, "MalformedTrailerError", "The request contained trailing data that was not well-formed.")
    }

    pub fn bad_digest(of: &str) -> Self {
        Self::new(400, "BadDigest", format!("The {of} you specified did not match the calculated checksum."))
    }

    pub fn content_sha256_mismatch() -> Self {
        Self::new(
            400,
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )
    }

    pub fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
    }

    pub fn not_implemented(what: &str) -> Self {
        Self::new(501, "NotImplemented", format!("{what} are not implemented by the sandbox."))
    }

    pub fn slow_down() -> Self {
        Self::new(503, "SlowDown", "Please reduce your request rate.")
    }

    pub fn unavailable() -> Self {
        Self::new(503, "ServiceUnavailable", "Service is unable to handle request.")
    }

    pub fn internal(hint: impl fmt::Display) -> Self {
        tracing::error!("the sandbox's S3 failed: {hint}");
        Self::new(500, "InternalError", "We encountered an internal error. Please try again.")
    }
}
