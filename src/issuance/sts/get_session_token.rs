//! `GetSessionToken`, signed with an IAM user's key and a code of their MFA device: the user, for a while.

use aws_sdk_sts::Client;
use aws_sdk_sts::config::Builder;
use aws_sdk_sts::operation::RequestId;

use super::error::StsError;
use super::operation::{Answer, LongTermKey, credentials, signed_by_user};
use crate::aws::{MfaCode, MfaSerial, Region, SessionDuration};

#[derive(Debug, Clone, Copy)]
pub(in crate::issuance) struct GetSessionToken<'a> {
    pub key: &'a LongTermKey,
    pub mfa_serial: &'a MfaSerial,
    pub mfa_code: &'a MfaCode,
    pub duration: SessionDuration,
}

impl GetSessionToken<'_> {
    pub(super) async fn send(&self, sdk: &Client, here: Builder, region: &Region) -> Result<Answer, StsError> {
        let seconds = i32::try_from(self.duration.as_secs()).expect("129 600 fits");
        let answer = sdk
            .get_session_token()
            .serial_number(self.mfa_serial.as_str())
            .token_code(self.mfa_code.expose())
            .duration_seconds(seconds)
            .customize()
            .config_override(signed_by_user(here, self.key))
            .send()
            .await
            .map_err(StsError::from_sdk)?;
        Ok(Answer {
            credentials: credentials(answer.credentials())?,
            region: region.clone(),
            // The answer does not name the user, who is known.
            principal_arn: None,
            packed_percent: None,
            request_id: answer.request_id().map(str::to_owned),
        })
    }
}
