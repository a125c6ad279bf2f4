//! `AssumeRoleWithWebIdentity`, unsigned: the token is the only proof, and the server holds no AWS keys.

use aws_sdk_sts::Client;
use aws_sdk_sts::config::Builder;
use aws_sdk_sts::operation::RequestId;
use secrecy::ExposeSecret;

use super::error::StsError;
use super::operation::{Answer, blame_the_policy, credentials, packed_percent, policy_arns};
use crate::aws::{Region, RoleArn, SessionDuration, SessionName, SessionPolicy};
use crate::issuance::web_identity::Token;

#[derive(Debug, Clone, Copy)]
pub(in crate::issuance) struct AssumeRoleWithWebIdentity<'a> {
    pub role: &'a RoleArn,
    pub session_name: &'a SessionName,
    pub token: &'a Token,
    pub duration: SessionDuration,
    pub session_policy: &'a SessionPolicy,
}

impl AssumeRoleWithWebIdentity<'_> {
    pub(super) async fn send(&self, sdk: &Client, here: Builder, region: &Region) -> Result<Answer, StsError> {
        let seconds = i32::try_from(self.duration.as_secs()).expect("129 600 fits");
        let answer = sdk
            .assume_role_with_web_identity()
            .role_arn(self.role.to_string())
            .role_session_name(self.session_name.as_str())
            .web_identity_token(self.token.text().expose_secret())
            .duration_seconds(seconds)
            .set_policy(self.session_policy.inline().map(str::to_owned))
            .set_policy_arns(policy_arns(self.session_policy))
            .customize()
            .config_override(here)
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
