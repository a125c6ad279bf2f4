//! `AssumeRole`, signed with the credentials of the role before.

use aws_sdk_sts::Client;
use aws_sdk_sts::config::Builder;
use aws_sdk_sts::operation::RequestId;

use super::error::StsError;
use super::operation::{Answer, blame_the_policy, credentials, packed_percent, policy_arns, signed_by_session, tags};
use crate::access::SessionTag;
use crate::aws::{Credentials, ExternalId, Region, RoleArn, SessionDuration, SessionName, SessionPolicy};

#[derive(Debug, Clone, Copy)]
pub(in crate::issuance) struct AssumeRole<'a> {
    /// Those of the role before.
    pub credentials: &'a Credentials,
    pub role: &'a RoleArn,
    pub session_name: &'a SessionName,
    pub external_id: Option<&'a ExternalId>,
    pub tags: &'a [SessionTag],
    pub duration: SessionDuration,
    pub session_policy: &'a SessionPolicy,
}

impl AssumeRole<'_> {
    /// The source identity is not sent: it was set where the chain began, and AWS lets nobody change it since.
    pub(super) async fn send(&self, sdk: &Client, here: Builder, region: &Region) -> Result<Answer, StsError> {
        let seconds = i32::try_from(self.duration.as_secs()).expect("129 600 fits");
        let along: Vec<String> = self.tags.iter().filter(|tag| tag.transitive).map(|tag| tag.key.clone()).collect();
        let answer = sdk
            .assume_role()
            .role_arn(self.role.to_string())
            .role_session_name(self.session_name.as_str())
            .set_external_id(self.external_id.map(|id| id.as_str().to_owned()))
            .set_tags(tags(self.tags))
            .set_transitive_tag_keys((!along.is_empty()).then_some(along))
            .duration_seconds(seconds)
            .set_policy(self.session_policy.inline().map(str::to_owned))
            .set_policy_arns(policy_arns(self.session_policy))
            .customize()
            .config_override(signed_by_session(here, self.credentials))
            .send()
            .await
            .map_err(|error| blame_the_policy(StsError::from_sdk(error), self.session_policy))?;
        Ok(Answer {
            credentials: credentials(answer.credentials())?,
            region: region.clone(),
            principal_arn: answer.assumed_role_user().map(|user| user.arn().to_owned()),
            #[expect(
                deprecated,
                reason = "the name that is older than June 2026: fixed regions and local ones send it"
            )]
            packed_percent: packed_percent(answer.session_token_utilization().or(answer.packed_policy_size())),
            request_id: answer.request_id().map(str::to_owned),
        })
    }
}
