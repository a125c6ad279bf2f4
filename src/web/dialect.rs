//! In whose words a program is told of a [`Problem`]: ours, or those of a protocol whose clients read nothing else.
//!
//! The address alone decides, so that what the framework refuses, a body that is too large or a method there is not,
//! reads like what a handler refuses. The log line, its causes and its id are the same for all.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde_json::json;

use super::problem::{Kind, Problem};

/// How a refusal is written for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// RFC 9457.
    Problem,
    /// `{"Code", "Message"}`: what the SDKs print when a container's credentials cannot be had.
    Container,
    /// `{"message"}`, and the kind of trouble in `x-amzn-ErrorType`: service model `sso`, 2019-06-10.
    Portal,
    /// `{"error", "error_description"}`: RFC 6749 5.2.
    OAuth,
    /// `{"error", "error_description"}`, and the kind in `x-amzn-ErrorType`: service model `sso-oidc`, 2019-06-10.
    SignIn,
}

impl Dialect {
    /// The dialect of an address.
    pub(super) fn of(path: &str) -> Self {
        if path.starts_with("/api/v1/container/") {
            Self::Container
        } else if matches!(path, "/idc/client/register" | "/idc/device_authorization" | "/idc/token") {
            Self::SignIn
        } else if path.starts_with("/oauth/") {
            Self::OAuth
        } else if path.starts_with("/idc/") {
            Self::Portal
        } else {
            Self::Problem
        }
    }

    /// Whether AWS's clients speak it.
    pub(super) const fn is_aws(self) -> bool {
        !matches!(self, Self::Problem | Self::OAuth)
    }

    /// The status of a problem. It differs from its kind's own where clients draw another conclusion from it.
    pub(super) fn status(self, problem: &Problem) -> StatusCode {
        match (self, problem.kind()) {
            // SDKs try again after any 5xx. What AWS has refused it will refuse again.
            (Self::Container | Self::Portal, Kind::AwsRefused) => StatusCode::FORBIDDEN,
            // To 401 their answer is to ask for a new sign-in, which is what helps here.
            (Self::Portal, Kind::IdentityProviderSessionEnding) => StatusCode::UNAUTHORIZED,
            // The model knows no other status for a server's trouble.
            (Self::SignIn, Kind::Unavailable) => StatusCode::INTERNAL_SERVER_ERROR,
            (Self::SignIn, _) if problem.oauth_code() == Some("invalid_client") => StatusCode::UNAUTHORIZED,
            (_, kind) => kind.status(),
        }
    }

    /// Writes the body, and what the dialect wants in the head. The clients of AWS's protocols show one sentence and
    /// nothing else, so the link and the id are in it.
    pub(super) fn write(
        self,
        problem: &Problem,
        (id, origin): (&str, &str),
        response: &mut HttpResponseBuilder,
    ) -> HttpResponse {
        let sentence = || match problem.link() {
            Some(link) => format!("{} {origin}{link} (support id {id})", problem.sentence()),
            None => format!("{} (support id {id})", problem.sentence()),
        };
        let status = self.status(problem);
        match self {
            Self::Problem => response.content_type("application/problem+json").body(problem.document(id)),
            Self::Container => {
                response.json(json!({ "Code": pascal_case(problem.kind().slug()), "Message": sentence() }))
            }
            Self::Portal => response
                .insert_header(("x-amzn-errortype", portal_exception(status)))
                .json(json!({ "message": sentence() })),
            Self::OAuth => {
                let (_, code) = sign_in_exception(problem, status);
                response.json(json!({ "error": code, "error_description": sentence() }))
            }
            Self::SignIn => {
                let (exception, code) = sign_in_exception(problem, status);
                response
                    .insert_header(("x-amzn-errortype", exception))
                    .json(json!({ "error": code, "error_description": sentence() }))
            }
        }
    }
}

/// The model's exceptions, by the status it gives them; clients go by the name.
fn portal_exception(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "UnauthorizedException",
        StatusCode::FORBIDDEN => "ForbiddenException",
        StatusCode::NOT_FOUND => "ResourceNotFoundException",
        StatusCode::TOO_MANY_REQUESTS => "TooManyRequestsException",
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailableException",
        status if status.is_server_error() => "InternalServerException",
        _ => "InvalidRequestException",
    }
}

/// The model's exception and OAuth's code: as whoever refused has said, else by the status.
fn sign_in_exception(problem: &Problem, status: StatusCode) -> (&'static str, &'static str) {
    match (problem.oauth_code(), status) {
        (_, status) if status.is_server_error() => ("InternalServerException", "server_error"),
        (Some(code @ "authorization_pending"), _) => ("AuthorizationPendingException", code),
        (Some(code @ "slow_down"), _) => ("SlowDownException", code),
        (Some(code @ "expired_token"), _) => ("ExpiredTokenException", code),
        (Some(code @ "access_denied"), _) => ("AccessDeniedException", code),
        (Some(code @ "invalid_grant"), _) => ("InvalidGrantException", code),
        (Some(code @ "invalid_client"), _) => ("InvalidClientException", code),
        (Some(code @ "unauthorized_client"), _) => ("UnauthorizedClientException", code),
        (Some(code @ "unsupported_grant_type"), _) => ("UnsupportedGrantTypeException", code),
        (Some(code @ "invalid_scope"), _) => ("InvalidScopeException", code),
        (Some(code @ "invalid_redirect_uri"), _) => ("InvalidRedirectUriException", code),
        (Some(code @ "invalid_client_metadata"), _) => ("InvalidClientMetadataException", code),
        (_, StatusCode::FORBIDDEN) => ("AccessDeniedException", "access_denied"),
        // No exception of the model, and the one name at which every client waits and tries again.
        (_, StatusCode::TOO_MANY_REQUESTS) => ("TooManyRequestsException", "temporarily_unavailable"),
        _ => ("InvalidRequestException", "invalid_request"),
    }
}

/// `token-refused` as `TokenRefused`.
fn pascal_case(slug: &str) -> String {
    slug.split('-')
        .flat_map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            [first.to_ascii_uppercase(), rest.to_owned()]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_which_dialect_its_clients_read() {
        assert_eq!(Dialect::of("/api/v1/container/111122223333/ReadOnly"), Dialect::Container);
        assert_eq!(Dialect::of("/api/v1/containers"), Dialect::Problem);
        assert_eq!(Dialect::of("/idc/token"), Dialect::SignIn);
        assert_eq!(Dialect::of("/oauth/token"), Dialect::OAuth);
        assert_eq!(Dialect::of("/idc/assignment/roles"), Dialect::Portal);
        assert_eq!(Dialect::of("/idc/nowhere"), Dialect::Portal);
        assert_eq!(Dialect::of("/idcards"), Dialect::Problem);
    }

    #[test]
    fn clients_try_again_after_what_may_pass_and_only_after_that() {
        let retried = [Kind::TooManyRequests, Kind::AwsUnavailable, Kind::Unavailable, Kind::Internal];
        for dialect in [Dialect::Container, Dialect::Portal] {
            for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::IdentityProviderUnavailable) {
                let status = dialect.status(&Problem::new(kind));
                let again = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
                assert_eq!(again, retried.contains(&kind), "{dialect:?} {kind:?} {status}");
            }
        }
    }

    #[test]
    fn codes_are_the_kinds_that_the_documentation_explains() {
        assert_eq!(pascal_case("token-refused"), "TokenRefused");
        assert_eq!(pascal_case("identity-provider-session-ending"), "IdentityProviderSessionEnding");
    }
}
