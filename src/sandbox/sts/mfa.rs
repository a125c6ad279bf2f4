//! The second factor in a call: the serial number of a device and the code it shows.

use super::error::StsError;
use super::query::{self, Checks, Params};
use super::sigv4::Caller;
use crate::sandbox::iam::Iam;
use jiff::Timestamp;

/// `SerialNumber` and `TokenCode`, well-formed by themselves.
#[derive(Debug, Clone, Copy)]
pub struct SecondFactor<'a> {
    serial: Option<&'a str>,
    code: Option<&'a str>,
}

impl<'a> SecondFactor<'a> {
    pub fn read(params: &'a Params, checks: &mut Checks) -> Self {
        Self {
            serial: checks.optional(params, "SerialNumber", &query::SERIAL_NUMBER),
            code: checks.optional(params, "TokenCode", &query::TOKEN_CODE),
        }
    }

    /// When the factor was shown: now, or not at all.
    ///
    /// # Errors
    /// `AccessDenied` for half of one, for a device that is not the caller's, and for a code it does not show.
    pub fn judge(self, iam: &Iam, caller: &Caller, now: Timestamp) -> Result<Option<Timestamp>, StsError> {
        let (serial, code) = match (self.serial, self.code) {
            (None, None) => return Ok(None),
            (Some(serial), Some(code)) => (serial, code),
            (Some(_), None) | (None, Some(_)) => {
                return Err(StsError::access_denied(
                    "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.",
                ));
            }
        };
        let devices = caller.user(iam).map_or(&[][..], |user| &user.mfa);
        let Some(device) = devices.iter().find(|device| device.serial == serial) else {
            return Err(StsError::access_denied(
                "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number \
                 is valid and associated with this user.",
            ));
        };
        if device.accepts(code, now) {
            Ok(Some(now))
        } else {
            Err(StsError::access_denied("MultiFactorAuthentication failed with invalid MFA one time pass code."))
        }
    }
}
