//! Cases as calls of the SDK for Rust, through its typed builders.

use std::collections::BTreeMap;

use aws_sdk_sts::config::http::{HttpRequest, HttpResponse};
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::{BehaviorVersion, Credentials, HttpClient, Region, RuntimeComponents};
use aws_sdk_sts::error::{ConnectorError, ProvideErrorMetadata, SdkError};
use aws_sdk_sts::primitives::{DateTime, DateTimeFormat};
use aws_sdk_sts::types::{AssumedRoleUser, PolicyDescriptorType, ProvidedContext, Tag};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_types::body::SdkBody;

use super::Outcome;
use super::ground::Ground;
use super::table::Case;

#[derive(Debug, Clone)]
struct OverReqwest(reqwest::Client);

impl HttpClient for OverReqwest {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for OverReqwest {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let request = request.map(|body| reqwest::Body::from(body.bytes().unwrap_or_default().to_vec()));
            let request = reqwest::Request::try_from(request).map_err(|error| ConnectorError::user(error.into()))?;
            let response = client.execute(request).await.map_err(|error| ConnectorError::io(error.into()))?;
            let (status, headers) = (response.status(), response.headers().clone());
            let body = response.bytes().await.map_err(|error| ConnectorError::io(error.into()))?;
            let mut answer = http::Response::new(SdkBody::from(body.to_vec()));
            *answer.status_mut() = status;
            *answer.headers_mut() = headers;
            HttpResponse::try_from(answer).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Parameters by name, taken out one by one: what is left over was not understood.
struct Params(BTreeMap<String, String>);

impl Params {
    fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn number(&mut self, name: &str) -> Option<i32> {
        self.0.remove(name).map(|text| text.parse().unwrap_or_else(|_| panic!("{name} = {text}")))
    }

    /// `{list}.member.{n}{suffix}` for n from 1.
    fn list(&mut self, list: &str, suffix: &str) -> Option<Vec<String>> {
        let found: Vec<String> = (1..).map_while(|n| self.0.remove(&format!("{list}.member.{n}{suffix}"))).collect();
        (!found.is_empty()).then_some(found)
    }

    fn policies(&mut self) -> Option<Vec<PolicyDescriptorType>> {
        let arns = self.list("PolicyArns", ".arn")?;
        Some(arns.into_iter().map(|arn| PolicyDescriptorType::builder().arn(arn).build()).collect())
    }

    fn tags(&mut self) -> Option<Vec<Tag>> {
        let (keys, values) = (self.list("Tags", ".Key")?, self.list("Tags", ".Value")?);
        let tag = |(key, value): (String, String)| Tag::builder().key(key).value(value).build().unwrap();
        Some(keys.into_iter().zip(values).map(tag).collect())
    }

    fn contexts(&mut self) -> Option<Vec<ProvidedContext>> {
        let arns = self.list("ProvidedContexts", ".ProviderArn")?;
        let assertions = self.list("ProvidedContexts", ".ContextAssertion")?;
        let context = |(arn, assertion): (String, String)| {
            ProvidedContext::builder().provider_arn(arn).context_assertion(assertion).build()
        };
        Some(arns.into_iter().zip(assertions).map(context).collect())
    }
}

/// The members of an answer.
#[derive(Default)]
struct Members(BTreeMap<String, String>);

impl Members {
    fn text(mut self, name: &str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.to_string());
        }
        self
    }

    fn time(self, name: &str, value: &DateTime) -> Self {
        self.text(name, Some(value.fmt(DateTimeFormat::DateTime).unwrap()))
    }

    fn credentials(self, value: Option<&aws_sdk_sts::types::Credentials>) -> Self {
        let Some(value) = value else { return self };
        self.text("Credentials.AccessKeyId", Some(value.access_key_id()))
            .text("Credentials.SecretAccessKey", Some(value.secret_access_key()))
            .text("Credentials.SessionToken", Some(value.session_token()))
            .time("Credentials.Expiration", value.expiration())
    }

    fn user(self, value: Option<&AssumedRoleUser>) -> Self {
        let Some(value) = value else { return self };
        self.text("AssumedRoleUser.Arn", Some(value.arn()))
            .text("AssumedRoleUser.AssumedRoleId", Some(value.assumed_role_id()))
    }
}

fn outcome<E>(answer: Result<Members, SdkError<E, HttpResponse>>) -> Outcome
where
    E: ProvideErrorMetadata + std::fmt::Debug,
{
    match answer {
        Ok(members) => Outcome { status: 200, members: members.0, ..Outcome::default() },
        Err(SdkError::ServiceError(refusal)) => Outcome {
            status: refusal.raw().status().as_u16(),
            code: refusal.err().code().map(str::to_owned),
            message: refusal.err().message().map(str::to_owned),
            ..Outcome::default()
        },
        Err(other) => panic!("{other:?}"),
    }
}

#[expect(deprecated, reason = "the notes know PackedPolicySize, and the sandbox answers it")]
pub async fn run(ground: &Ground, case: &Case) -> Outcome {
    let mut config = aws_sdk_sts::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(OverReqwest(rolegate::sys::http::client(std::time::Duration::from_secs(5)).unwrap()))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(ground.base.as_str())
        .region(Region::new(case.region.clone().unwrap_or_else(|| "us-east-1".to_owned())));
    config = match &case.caller {
        None => config.allow_no_auth(),
        Some(name) => {
            let keys = &ground.callers[name];
            config.credentials_provider(Credentials::new(&keys.id, &keys.secret, keys.token.clone(), None, "the table"))
        }
    };
    let client = aws_sdk_sts::Client::from_conf(config.build());
    let mut p = Params(ground.params(case, &ground.callers).into_iter().collect());
    let answer = match case.action.as_deref().unwrap_or_default() {
        "AssumeRole" => {
            let call = client
                .assume_role()
                .set_role_arn(p.text("RoleArn"))
                .set_role_session_name(p.text("RoleSessionName"))
                .set_policy_arns(p.policies())
                .set_policy(p.text("Policy"))
                .set_duration_seconds(p.number("DurationSeconds"))
                .set_tags(p.tags())
                .set_transitive_tag_keys(p.list("TransitiveTagKeys", ""))
                .set_external_id(p.text("ExternalId"))
                .set_serial_number(p.text("SerialNumber"))
                .set_token_code(p.text("TokenCode"))
                .set_source_identity(p.text("SourceIdentity"))
                .set_provided_contexts(p.contexts());
            outcome(call.send().await.map(|told| {
                Members::default()
                    .credentials(told.credentials())
                    .user(told.assumed_role_user())
                    .text("PackedPolicySize", told.packed_policy_size())
                    .text("SourceIdentity", told.source_identity())
            }))
        }
        "AssumeRoleWithSAML" => {
            let call = client
                .assume_role_with_saml()
                .set_role_arn(p.text("RoleArn"))
                .set_principal_arn(p.text("PrincipalArn"))
                .set_saml_assertion(p.text("SAMLAssertion"))
                .set_policy_arns(p.policies())
                .set_policy(p.text("Policy"))
                .set_duration_seconds(p.number("DurationSeconds"));
            outcome(call.send().await.map(|told| {
                Members::default()
                    .credentials(told.credentials())
                    .user(told.assumed_role_user())
                    .text("PackedPolicySize", told.packed_policy_size())
                    .text("SourceIdentity", told.source_identity())
                    .text("Subject", told.subject())
                    .text("SubjectType", told.subject_type())
                    .text("Issuer", told.issuer())
                    .text("Audience", told.audience())
                    .text("NameQualifier", told.name_qualifier())
            }))
        }
        "AssumeRoleWithWebIdentity" => {
            let call = client
                .assume_role_with_web_identity()
                .set_role_arn(p.text("RoleArn"))
                .set_role_session_name(p.text("RoleSessionName"))
                .set_web_identity_token(p.text("WebIdentityToken"))
                .set_provider_id(p.text("ProviderId"))
                .set_policy_arns(p.policies())
                .set_policy(p.text("Policy"))
                .set_duration_seconds(p.number("DurationSeconds"));
            outcome(call.send().await.map(|told| {
                Members::default()
                    .credentials(told.credentials())
                    .user(told.assumed_role_user())
                    .text("SubjectFromWebIdentityToken", told.subject_from_web_identity_token())
                    .text("PackedPolicySize", told.packed_policy_size())
                    .text("SourceIdentity", told.source_identity())
                    .text("Provider", told.provider())
                    .text("Audience", told.audience())
            }))
        }
        "GetSessionToken" => {
            let call = client
                .get_session_token()
                .set_duration_seconds(p.number("DurationSeconds"))
                .set_serial_number(p.text("SerialNumber"))
                .set_token_code(p.text("TokenCode"));
            outcome(call.send().await.map(|told| Members::default().credentials(told.credentials())))
        }
        "GetFederationToken" => {
            let call = client
                .get_federation_token()
                .set_name(p.text("Name"))
                .set_policy(p.text("Policy"))
                .set_policy_arns(p.policies())
                .set_duration_seconds(p.number("DurationSeconds"))
                .set_tags(p.tags());
            outcome(call.send().await.map(|told| {
                let user = told.federated_user();
                Members::default()
                    .credentials(told.credentials())
                    .text("FederatedUser.Arn", user.map(aws_sdk_sts::types::FederatedUser::arn))
                    .text(
                        "FederatedUser.FederatedUserId",
                        user.map(aws_sdk_sts::types::FederatedUser::federated_user_id),
                    )
                    .text("PackedPolicySize", told.packed_policy_size())
            }))
        }
        "GetCallerIdentity" => outcome(client.get_caller_identity().send().await.map(|told| {
            Members::default().text("UserId", told.user_id()).text("Account", told.account()).text("Arn", told.arn())
        })),
        "GetAccessKeyInfo" => {
            let call = client.get_access_key_info().set_access_key_id(p.text("AccessKeyId"));
            outcome(call.send().await.map(|told| Members::default().text("Account", told.account())))
        }
        "DecodeAuthorizationMessage" => {
            let call = client.decode_authorization_message().set_encoded_message(p.text("EncodedMessage"));
            outcome(call.send().await.map(|told| Members::default().text("DecodedMessage", told.decoded_message())))
        }
        "AssumeRoot" => {
            let task = p.text("TaskPolicyArn.arn").map(|arn| PolicyDescriptorType::builder().arn(arn).build());
            let call = client
                .assume_root()
                .set_target_principal(p.text("TargetPrincipal"))
                .set_task_policy_arn(task)
                .set_duration_seconds(p.number("DurationSeconds"));
            outcome(call.send().await.map(|told| {
                Members::default().credentials(told.credentials()).text("SourceIdentity", told.source_identity())
            }))
        }
        other => panic!("{other} is not mapped"),
    };
    assert!(p.0.is_empty(), "{}: {:?} are not mapped", case.name, p.0.keys().collect::<Vec<_>>());
    answer
}
