//! IAM on AWS's query protocol, as far as trying out roles, policies and revocation needs it.
//!
//! It shares the address of STS: a call with `Version=2010-05-08` is for IAM. Each call is authorised with the caller's own
//! policies, and changes what every other local service goes by from then on: [`iam`](super::iam) holds it, as long as the
//! process lasts. What a world describes is as old as the sandbox; ids, limits and words are those of AWS.
//!
//! Spec: IAM API Reference, 2010-05-08; Service Authorization Reference, "Actions, resources, and condition keys for AWS
//! Identity and Access Management".

mod providers;
mod read;
mod roles;
mod shapes;
mod users;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use jiff::Timestamp;

use super::State;
use super::authorize::{self, Wire};
use super::credentials::Holder;
use super::faults::{self, Failure, Met, Service};
use super::iam::{Iam, IamError};
use super::policy::Context;
use super::sts::{self, Caller, HttpRequest, Member, Params, StsError};
use crate::aws::{AccountId, Partition};

pub const VERSION: &str = "2010-05-08";
const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

/// What is here, in alphabetical order.
pub const ACTIONS: &[&str] = &[
    "AttachRolePolicy",
    "AttachUserPolicy",
    "CreateAccessKey",
    "CreateOpenIDConnectProvider",
    "CreatePolicy",
    "CreateRole",
    "CreateSAMLProvider",
    "CreateUser",
    "DeleteAccessKey",
    "DeleteRole",
    "DeleteRolePermissionsBoundary",
    "DeleteRolePolicy",
    "DeleteUser",
    "DeleteUserPolicy",
    "DetachRolePolicy",
    "DetachUserPolicy",
    "GetOpenIDConnectProvider",
    "GetPolicy",
    "GetRole",
    "GetRolePolicy",
    "GetSAMLProvider",
    "GetUser",
    "GetUserPolicy",
    "ListAccessKeys",
    "ListAttachedRolePolicies",
    "ListAttachedUserPolicies",
    "ListOpenIDConnectProviders",
    "ListRolePolicies",
    "ListRoles",
    "ListSAMLProviders",
    "ListUserPolicies",
    "ListUsers",
    "PutRolePermissionsBoundary",
    "PutRolePolicy",
    "PutUserPolicy",
    "TagRole",
    "UpdateAccessKey",
    "UpdateAssumeRolePolicy",
    "UpdateRole",
    "UpdateSAMLProvider",
];

/// A call whose sender is known.
struct Call<'a> {
    state: &'a State,
    params: &'a Params,
    caller: &'a Caller,
    context: Context,
}

/// What an operation answers: the members of its result. Operations without a result answer with `None`.
type Answered = Result<Option<Vec<Member>>, StsError>;

/// What a call is about: its ARN for policies, and how IAM's refusals name it.
struct Resource {
    arn: String,
    name: String,
}

impl Call<'_> {
    fn account(&self) -> AccountId {
        self.caller.account()
    }

    fn partition(&self) -> Partition {
        self.caller.partition()
    }

    /// `arn:…:iam::{account}:{rest}`
    fn arn(&self, rest: &str) -> String {
        format!("arn:{}:iam::{}:{rest}", self.partition(), self.account())
    }

    /// Everything as it is at this moment.
    fn iam(&self) -> std::sync::Arc<Iam> {
        self.state.iam.now()
    }

    /// Asks whether the caller may do this, with what else the request says.
    fn require(&self, action: &str, resource: &Resource, more: &[(&str, &str)]) -> Result<(), StsError> {
        let mut context = self.context.clone();
        for (key, value) in more {
            context.set(key, *value);
        }
        let action = format!("iam:{action}");
        let explanation =
            authorize::allowed(&self.state.iam.now(), &self.caller.bearer(), &action, &resource.arn, &context);
        match explanation.denied() {
            None => Ok(()),
            Some(answer) => Err(StsError::other(
                403,
                "AccessDenied",
                format!(
                    "User: {} is not authorized to perform: {action} on resource: {} {}",
                    self.caller.arn(),
                    resource.name,
                    answer.reason()
                )
                .trim_end(),
            )
            .because(answer.why())),
        }
    }

    /// Changes IAM, all or nothing.
    fn change<T>(&self, change: impl FnOnce(&mut Iam) -> Result<T, IamError>) -> Result<T, StsError> {
        self.state.iam.change(change).map_err(|error| refused(&error))
    }
}

/// IAM's refusals in the words of the query protocol.
fn refused(error: &IamError) -> StsError {
    let (code, status) = error.code();
    StsError::other(status, code, error.to_string())
}

fn no_such(what: &str, name: &str) -> StsError {
    StsError::other(404, "NoSuchEntity", format!("The {what} with name {name} cannot be found."))
}

/// Answers a call for IAM.
pub async fn endpoint(
    request: &actix_web::HttpRequest,
    state: &State,
    action: &str,
    params: &Params,
    body: &[u8],
) -> HttpResponse {
    let request_id = state.request_id();
    let failed = |error: &StsError| {
        tracing::info!(iam.action = action, iam.error = error.code, "the sandbox's IAM refused: {error}");
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        dressed(status, sts::failure_in(NAMESPACE, error, &request_id), &request_id)
    };
    let time = match faults::meet(state, Service::Iam, action).await {
        Met::Serve(time) => time,
        Met::Throttle => return failed(&StsError::throttled()),
        Met::Fail(Failure::Internal) => return failed(&StsError::internal("a fault was set")),
        Met::Fail(Failure::Unavailable) => return failed(&StsError::unavailable()),
        Met::CutOff => return faults::cut_off(),
    };
    let http = HttpRequest {
        method: request.method().as_str(),
        path: "/",
        query: request.query_string(),
        headers: sts::headers(request),
        body,
    };
    let answered = authenticated(request, state, action, params, &http, time.now).await;
    let mut answer = match answered {
        Ok(result) => {
            tracing::info!(iam.action = action, "the sandbox's IAM answered {action}");
            dressed(StatusCode::OK, sts::success_in(NAMESPACE, action, result.as_deref(), &request_id), &request_id)
        }
        Err(error) => failed(&error),
    };
    time.stamp(&mut answer);
    answer
}

fn dressed(status: StatusCode, body: String, request_id: &str) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, "text/xml"))
        .insert_header(("x-amzn-RequestId", request_id))
        .body(body)
}

async fn authenticated(
    request: &actix_web::HttpRequest,
    state: &State,
    action: &str,
    params: &Params,
    http: &HttpRequest<'_>,
    now: Timestamp,
) -> Answered {
    if !ACTIONS.contains(&action) {
        return Err(StsError::invalid_action(action, Some(VERSION)));
    }
    let caller = sts::authenticate(state, http, "iam", now)?.caller;
    // Sessions of federated users, and of users without a second factor, are no credentials here.
    if let Caller::Session(session) = &caller {
        match &session.holder {
            Holder::FederatedUser { .. } => {
                return Err(StsError::invalid_client_token().because("federated users may not call IAM"));
            }
            Holder::User { mfa_at: None, .. } => {
                return Err(StsError::invalid_client_token()
                    .because("sessions of users may call IAM only when they were made with an MFA code"));
            }
            Holder::Role(_) | Holder::User { mfa_at: Some(_), .. } | Holder::RootTask { .. } => {}
        }
    }
    let header = |name: &str| http.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let region = caller.partition().default_region();
    let wire = Wire {
        now,
        source_ip: request.peer_addr().map(|peer| peer.ip()),
        secure_transport: state.base.scheme() == "https",
        user_agent: header("user-agent"),
        referer: header("referer"),
        // IAM is in one region of each partition, wherever it is called from.
        region: region.as_str(),
    };
    perform(&Call { state, params, caller: &caller, context: wire.context() }, action).await
}

async fn perform(call: &Call<'_>, action: &str) -> Answered {
    match action {
        "CreateRole" => roles::create(call),
        "DeleteRole" => roles::delete(call),
        "GetRole" => roles::get(call),
        "ListRoles" => roles::list(call),
        "TagRole" => roles::tag(call),
        "UpdateRole" => roles::update(call),
        "UpdateAssumeRolePolicy" => roles::update_trust(call),
        "PutRolePolicy" => roles::put_policy(call),
        "GetRolePolicy" => roles::get_policy(call),
        "DeleteRolePolicy" => roles::delete_policy(call),
        "ListRolePolicies" => roles::list_policies(call),
        "AttachRolePolicy" => roles::attach(call),
        "DetachRolePolicy" => roles::detach(call),
        "ListAttachedRolePolicies" => roles::list_attached(call),
        "PutRolePermissionsBoundary" => roles::put_boundary(call),
        "DeleteRolePermissionsBoundary" => roles::delete_boundary(call),
        "CreateUser" => users::create(call),
        "DeleteUser" => users::delete(call),
        "GetUser" => users::get(call),
        "ListUsers" => users::list(call),
        "PutUserPolicy" => users::put_policy(call),
        "GetUserPolicy" => users::get_policy(call),
        "DeleteUserPolicy" => users::delete_policy(call),
        "ListUserPolicies" => users::list_policies(call),
        "AttachUserPolicy" => users::attach(call),
        "DetachUserPolicy" => users::detach(call),
        "ListAttachedUserPolicies" => users::list_attached(call),
        "CreateAccessKey" => users::create_key(call),
        "UpdateAccessKey" => users::update_key(call),
        "DeleteAccessKey" => users::delete_key(call),
        "ListAccessKeys" => users::list_keys(call),
        "CreatePolicy" => providers::create_policy(call),
        "GetPolicy" => providers::get_policy(call),
        "CreateOpenIDConnectProvider" => providers::create_oidc(call),
        "GetOpenIDConnectProvider" => providers::get_oidc(call),
        "ListOpenIDConnectProviders" => providers::list_oidc(call),
        "CreateSAMLProvider" => providers::create_saml(call),
        "UpdateSAMLProvider" => providers::update_saml(call),
        "GetSAMLProvider" => providers::get_saml(call).await,
        "ListSAMLProviders" => providers::list_saml(call),
        _ => Err(StsError::invalid_action(action, Some(VERSION))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_in_order_and_none_stands_twice() {
        assert!(ACTIONS.is_sorted_by(|one, other| one < other));
    }
}
