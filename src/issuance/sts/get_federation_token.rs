//! `GetFederationToken`, signed with an IAM user's key: what the user may do, cut down by a session policy.

use aws_sdk_sts::Client;
use aws_sdk_sts::config::Builder;
use aws_sdk_sts::operation::RequestId;

use super::error::StsError;
use super::operation::{
    Answer, LongTermKey, blame_the_policy, credentials, packed_percent, policy_arns, signed_by_user, tags,
};
use crate::access::SessionTag;
use crate::aws::{FederatedName, Region, SessionDuration, SessionPolicy};

#[derive(Debug, Clone, Copy)]
pub(in crate::issuance) struct GetFederationToken<'a> {
    pub key: &'a LongTermKey,
    pub name: &'a FederatedName,
    pub tags: &'a [SessionTag],
    pub duration: SessionDuration,
    /// Without one the session may do nothing at all.
    pub session_policy: &'a SessionPolicy,
}

impl GetFederationToken<'_> {
    pub(super) async fn send(&self, sdk: &Client, here: Builder, region: &Region) -> Result<Answer, StsError> {
        let seconds = i32::try_from(self.duration.as_secs()).expect("129 600 fits");
        let answer = sdk
            .get_federation_token()
            .name(self.name.as_str())
            .set_tags(tags(self.tags))
            .duration_seconds(seconds)
            .set_policy(self.session_policy.inline().map(str::to_owned))
            .set_policy_arns(policy_arns(self.session_policy))
            .customize()
            .config_override(signed_by_user(here, self.key))
            .send()
            .await
            .map_err(|error| blame_the_policy(StsError::from_sdk(error), self.session_policy))?;
        Ok(Answer {
            credentials: credentials(answer.credentials())?,
            region: region.clone(),
            principal_arn: answer.federated_user().map(|user| user.arn().to_owned()),
            #[expect(
                deprecated,
                reason = "the name that is older than June 2026: fixed regions and local ones send it"
            )]
            packed_percent: packed_percent(answer.session_token_utilization().or(answer.packed_policy_size())),
            request_id: answer.request_id().map(str::to_owned),
        })
    }
}
