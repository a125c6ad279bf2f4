//! What people are told when something goes wrong: RFC 9457 problems, as JSON or as a page.
//!
//! [`Problem`] is the only type that implements `ResponseError`. Actix would write any other error's `Display` text
//! into the body; an operator's text must never get there. The chain of causes is logged once, under the same id
//! that the person sees, by the middleware that renders the problem.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;

/// A stable kind of problem. Its `type` is explained in `docs/problems.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    BadRequest,
    NotFound,
    MethodNotAllowed,
    TooLarge,
    TooManyRequests,
    SignInRequired,
    SignInRefused,
    SignInExpired,
    SignInUnsolicited,
    SignInOtherBrowser,
    SignInReplayed,
    SignInNotReauthenticated,
    SignOutRefused,
    IdentityProviderError,
    IdentityProviderUnavailable,
    ConnectorUnknown,
    CrossSite,
    RoleNotPermitted,
    TokenRefused,
    TokenScope,
    TokenNotMade,
    SessionPolicyInvalid,
    AuthorizationRequestInvalid,
    DeviceRefused,
    StepUpRequired,
    StepUpExpired,
    StepUpRefused,
    IdentityProviderSessionEnding,
    DurationInvalid,
    DestinationRefused,
    ConsoleImpossible,
    MfaRequired,
    AwsRefused,
    AwsUnavailable,
    Unavailable,
    Internal,
}

impl Kind {
    pub const ALL: [Self; 36] = [
        Self::BadRequest,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::TooLarge,
        Self::TooManyRequests,
        Self::SignInRequired,
        Self::SignInRefused,
        Self::SignInExpired,
        Self::SignInUnsolicited,
        Self::SignInOtherBrowser,
        Self::SignInReplayed,
        Self::SignInNotReauthenticated,
        Self::SignOutRefused,
        Self::IdentityProviderError,
        Self::IdentityProviderUnavailable,
        Self::ConnectorUnknown,
        Self::CrossSite,
        Self::RoleNotPermitted,
        Self::TokenRefused,
        Self::TokenScope,
        Self::TokenNotMade,
        Self::SessionPolicyInvalid,
        Self::AuthorizationRequestInvalid,
        Self::DeviceRefused,
        Self::StepUpRequired,
        Self::StepUpExpired,
        Self::StepUpRefused,
        Self::IdentityProviderSessionEnding,
        Self::DurationInvalid,
        Self::DestinationRefused,
        Self::ConsoleImpossible,
        Self::MfaRequired,
        Self::AwsRefused,
        Self::AwsUnavailable,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The last part of the problem's `type` URI.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::TooLarge => "too-large",
            Self::TooManyRequests => "too-many-requests",
            Self::SignInRequired => "sign-in-required",
            Self::SignInRefused => "sign-in-refused",
            Self::SignInExpired => "sign-in-expired",
            Self::SignInUnsolicited => "sign-in-unsolicited",
            Self::SignInOtherBrowser => "sign-in-other-browser",
            Self::SignInReplayed => "sign-in-replayed",
            Self::SignInNotReauthenticated => "sign-in-not-reauthenticated",
            Self::SignOutRefused => "sign-out-refused",
            Self::IdentityProviderError => "identity-provider-error",
            Self::IdentityProviderUnavailable => "identity-provider-unavailable",
            Self::ConnectorUnknown => "connector-unknown",
            Self::CrossSite => "cross-site",
            Self::RoleNotPermitted => "role-not-permitted",
            Self::TokenRefused => "token-refused",
            Self::TokenScope => "token-scope",
            Self::TokenNotMade => "token-not-made",
            Self::SessionPolicyInvalid => "session-policy-invalid",
            Self::AuthorizationRequestInvalid => "authorization-request-invalid",
            Self::DeviceRefused => "device-refused",
            Self::StepUpRequired => "step-up-required",
            Self::StepUpExpired => "step-up-expired",
            Self::StepUpRefused => "step-up-refused",
            Self::IdentityProviderSessionEnding => "identity-provider-session-ending",
            Self::DurationInvalid => "duration-invalid",
            Self::DestinationRefused => "destination-refused",
            Self::ConsoleImpossible => "console-impossible",
            Self::MfaRequired => "mfa-required",
            Self::AwsRefused => "aws-refused",
            Self::AwsUnavailable => "aws-unavailable",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest
            | Self::DurationInvalid
            | Self::DestinationRefused
            | Self::SessionPolicyInvalid
            | Self::AuthorizationRequestInvalid => StatusCode::BAD_REQUEST,
            Self::NotFound | Self::ConnectorUnknown => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::SignInRequired | Self::TokenRefused => StatusCode::UNAUTHORIZED,
            Self::SignInRefused
            | Self::SignInExpired
            | Self::SignInUnsolicited
            | Self::SignInOtherBrowser
            | Self::SignInReplayed
            | Self::SignInNotReauthenticated
            | Self::SignOutRefused
            | Self::IdentityProviderError
            | Self::CrossSite
            | Self::RoleNotPermitted
            | Self::TokenScope
            | Self::DeviceRefused
            | Self::TokenNotMade
            | Self::StepUpRequired
            | Self::MfaRequired
            | Self::StepUpExpired
            | Self::StepUpRefused
            | Self::IdentityProviderSessionEnding => StatusCode::FORBIDDEN,
            Self::ConsoleImpossible => StatusCode::CONFLICT,
            Self::AwsRefused => StatusCode::BAD_GATEWAY,
            Self::AwsUnavailable | Self::IdentityProviderUnavailable | Self::Unavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A few words: the page's heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "That request makes no sense",
            Self::NotFound => "There is nothing here",
            Self::MethodNotAllowed => "That cannot be done here",
            Self::TooLarge => "That is too large",
            Self::TooManyRequests => "Too many requests",
            Self::SignInRequired => "Please sign in",
            Self::SignInRefused => "Sign-in refused",
            Self::SignInExpired => "That sign-in took too long",
            Self::SignInUnsolicited => "Please start from here",
            Self::SignInOtherBrowser => "That sign-in began in another browser",
            Self::SignInReplayed => "That sign-in was used already",
            Self::SignInNotReauthenticated => "Your identity provider did not do what was asked",
            Self::SignOutRefused => "Sign-out message refused",
            Self::IdentityProviderError => "Your identity provider said no",
            Self::IdentityProviderUnavailable => "Your identity provider cannot be used right now",
            Self::ConnectorUnknown => "There is no such way to sign in",
            Self::CrossSite => "That came from another site",
            Self::RoleNotPermitted => "You may not use that role",
            Self::TokenRefused => "That token does not count",
            Self::TokenScope => "That token was made for less",
            Self::TokenNotMade => "No token was made",
            Self::SessionPolicyInvalid => "That session policy is not possible",
            Self::AuthorizationRequestInvalid => "That program cannot be answered",
            Self::DeviceRefused => "That device cannot be approved from here",
            Self::StepUpRequired => "That role asks you to sign in again",
            Self::StepUpExpired => "That click cannot be carried on",
            Self::StepUpRefused => "That click was somebody else's",
            Self::IdentityProviderSessionEnding => "Your sign-in is about to end",
            Self::DurationInvalid => "That duration is not possible",
            Self::DestinationRefused => "That is not an AWS console address",
            Self::ConsoleImpossible => "That role has no console",
            Self::MfaRequired => "That role asks for your MFA code",
            Self::AwsRefused => "AWS refused",
            Self::AwsUnavailable => "AWS does not answer",
            Self::Unavailable => "Rolegate cannot do that right now",
            Self::Internal => "Something went wrong here",
        }
    }

    /// What happened and what to do next, when nothing more precise is known.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::BadRequest => "The request could not be understood. Please go back and try again.",
            Self::NotFound => "This address does not exist. It may have been mistyped.",
            Self::MethodNotAllowed => "This address exists, but not for that kind of request.",
            Self::TooLarge => "The request is larger than anything Rolegate expects.",
            Self::TooManyRequests => "Please wait a moment and try again.",
            Self::SignInRequired => "Please sign in to continue.",
            Self::SignInRefused => {
                "The reply from your identity provider could not be accepted. Please start again; if it keeps happening, give your administrator the support id below."
            }
            Self::SignInExpired => "Please start again.",
            Self::SignInUnsolicited => {
                "Signing in directly from the identity provider is not enabled here, or the reply answers no sign-in that is waiting. Please start from Rolegate's sign-in page."
            }
            Self::SignInOtherBrowser => "Please start again in this browser, with cookies allowed.",
            Self::SignInReplayed => "Each sign-in counts once. Please start again.",
            Self::SignInNotReauthenticated => {
                "Here you have to prove again, or more strongly, who you are, and it did not say that you did. If you were signed in here, you still are. Otherwise sign out at the identity provider and start again."
            }
            Self::SignOutRefused => {
                "A message about signing out could not be accepted, so nothing was ended because of it. To be sure that you are signed out here, use the button on Rolegate's own page, and sign out at your identity provider."
            }
            Self::IdentityProviderError => {
                "The identity provider ended the sign-in without vouching for you. Please start again; if it keeps happening, give your administrator the support id below."
            }
            Self::IdentityProviderUnavailable => {
                "It did not answer, or not in a way that can be used. Please try again in a minute; if it keeps happening, tell your administrator."
            }
            Self::ConnectorUnknown => "Please choose one of the ways on the sign-in page.",
            Self::CrossSite => {
                "For your safety it was not carried out. Please use the buttons on Rolegate's own pages."
            }
            Self::RoleNotPermitted => {
                "No rule grants it to you. If you need it, ask your administrator and give them the support id below."
            }
            Self::TokenRefused => {
                "It is mistyped, expired or revoked. Sign in again with `rolegate login` or `aws sso login`, or make a new one on the tokens page."
            }
            Self::TokenScope => {
                "You may use the role, but not with this token. Use one that is not limited, or make another."
            }
            Self::TokenNotMade => "Personal tokens are switched off here, or you have as many as one person may have.",
            Self::SessionPolicyInvalid => {
                "Send a JSON object with a Statement of at most 2,048 characters, and at most ten policy ARNs."
            }
            Self::AuthorizationRequestInvalid => {
                "It is not certain which program asks, or where on your computer it waits, so nothing was sent anywhere. Please start the sign-in again in the program; if it keeps happening, update it."
            }
            Self::DeviceRefused => {
                "Device codes are limited here. Sign in with a browser on the computer that needs it, or ask your administrator."
            }
            Self::StepUpRequired => "You may use it after a more recent or a stronger sign-in.",
            Self::StepUpExpired => {
                "It was carried on already, or more than ten minutes have passed. Nothing was issued by it now; please choose the role again."
            }
            Self::StepUpRefused => {
                "The role was chosen by somebody else, or in another browser. Nothing was issued; please choose it yourself."
            }
            Self::IdentityProviderSessionEnding => {
                "Less than 15 minutes are left of your session at the identity provider, which is shorter than AWS issues. Please sign in again."
            }
            Self::DurationInvalid => "Please choose between 15 minutes and what the role allows, for example 1h.",
            Self::DestinationRefused => "Only pages of the AWS Management Console can be opened.",
            Self::ConsoleImpossible => "AWS opens no console with what this role gives. Take credentials instead.",
            Self::MfaRequired => "Read the six digits from your MFA device and send them with the request.",
            Self::AwsRefused => "AWS STS did not accept the request.",
            Self::AwsUnavailable => "AWS STS did not answer in time. Nothing was issued; please try again in a moment.",
            Self::Unavailable => "Nothing was issued. Please try again in a moment.",
            Self::Internal => {
                "It has been logged. Please try again; if it keeps happening, give your administrator the support id below."
            }
        }
    }
}

/// A problem on its way to a person or a program.
pub struct Problem {
    kind: Kind,
    detail: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    allow: Option<Box<str>>,
    oauth: Option<&'static str>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
    instance: Option<Box<str>>,
    /// Boxed, for a problem is what nearly every function here may answer with.
    members: Box<serde_json::Map<String, serde_json::Value>>,
}

impl Problem {
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            detail: None,
            retry_after: None,
            allow: None,
            oauth: None,
            cause: None,
            instance: None,
            members: Box::default(),
        }
    }

    /// A sentence that is more precise than the kind's own. It is shown to people: nothing secret, nothing internal.
    #[must_use]
    pub fn detail(mut self, sentence: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(sentence.into());
        self
    }

    /// A further member of the document, for programs: nothing secret, nothing internal. Spec: RFC 9457 3.2.
    #[must_use]
    pub fn member(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// What OAuth calls it, for addresses whose clients go by that. Spec: RFC 6749 5.2.
    #[must_use]
    pub fn oauth(self, code: &'static str) -> Self {
        Self { oauth: Some(code), ..self }
    }

    /// What OAuth calls it, if whoever refused has said so.
    #[must_use]
    pub const fn oauth_code(&self) -> Option<&'static str> {
        self.oauth
    }

    /// Whether a device is told to go on asking: no refusal of anything, and said every few seconds.
    #[must_use]
    pub fn is_wait(&self) -> bool {
        matches!(self.oauth, Some("authorization_pending" | "slow_down"))
    }

    /// The page of ours that helps, where there is one: the member `link`.
    #[must_use]
    pub fn link(&self) -> Option<&str> {
        self.members.get("link").and_then(serde_json::Value::as_str)
    }

    /// What led to it. Logged once with its sources, never rendered.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The methods that the address does answer, for [`Kind::MethodNotAllowed`].
    #[must_use]
    pub fn allow(mut self, methods: String) -> Self {
        self.allow = Some(methods.into());
        self
    }

    /// The methods that the address does answer.
    #[must_use]
    pub fn allowed(&self) -> Option<&str> {
        self.allow.as_deref()
    }

    /// The id of the request, for the rare answer that the middleware cannot render.
    #[must_use]
    pub fn instance(mut self, id: &str) -> Self {
        self.instance = Some(id.into());
        self
    }

    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The sentence to show.
    #[must_use]
    pub fn sentence(&self) -> &str {
        self.detail.as_deref().unwrap_or_else(|| self.kind.sentence())
    }

    /// Seconds to wait, rounded up.
    #[must_use]
    pub fn retry_after_secs(&self) -> Option<u64> {
        self.retry_after.map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
    }

    /// The chain of causes in one line, for the log.
    #[must_use]
    pub fn causes(&self) -> String {
        let mut text = String::new();
        let mut next: Option<&(dyn StdError + 'static)> = self.cause.as_deref().map(|e| e as _);
        while let Some(error) = next {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&error.to_string());
            next = error.source();
        }
        text
    }

    /// The RFC 9457 document.
    #[must_use]
    pub fn document(&self, instance: &str) -> String {
        let mut document = json!({
            "type": format!("urn:rolegate:problem:{}", self.kind.slug()),
            "title": self.kind.title(),
            "status": self.kind.status().as_u16(),
            "detail": self.sentence(),
            "instance": format!("urn:rolegate:request:{instance}"),
        });
        for (name, value) in &*self.members {
            document[name] = value.clone();
        }
        document.to_string()
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.title())
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.kind.status()
    }

    /// Usually only a shell: the middleware renders the body, because it knows what the client reads. When even that
    /// is not possible, a plain document.
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(seconds) = self.retry_after_secs() {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        let Some(id) = &self.instance else { return response.finish() };
        response
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
            .insert_header(("x-request-id", &**id))
            .content_type("application/problem+json")
            .body(self.document(id))
    }
}

impl From<crate::store::StoreError> for Problem {
    fn from(error: crate::store::StoreError) -> Self {
        Self::new(Kind::Unavailable).caused_by(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_logged_with_its_sources_and_never_shown() {
        let inner = std::io::Error::other("the inner secret");
        let problem = Problem::new(Kind::Internal)
            .caused_by(crate::store::StoreError::Open { path: "x.db".into(), source: sqlx::Error::Io(inner) });
        assert!(problem.causes().contains("x.db") && problem.causes().contains("the inner secret"));
        let document = problem.document("r1");
        assert!(!document.contains("secret") && !document.contains("x.db"), "{document}");
        assert!(document.contains("urn:rolegate:request:r1"));
        assert_eq!(problem.error_response().status(), 500);
    }

    #[test]
    fn every_kind_of_problem_is_explained_in_the_documentation() {
        let page = include_str!("../../docs/problems.md");
        for kind in Kind::ALL {
            assert!(page.contains(&format!("## {}\n", kind.slug())), "docs/problems.md lacks {}", kind.slug());
        }
        assert_eq!(page.matches("\n## ").count(), Kind::ALL.len(), "docs/problems.md explains a kind that is gone");
    }
}
