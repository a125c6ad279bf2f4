//! `[tokens]`: what programs may hold, and for how long.

use std::time::Duration;

use super::reader::{Advice, Reader, duration, number, switch};
use super::setting::Setting;

pub(super) static SETTINGS: &[&Setting] = &[
    &ACCESS_TOKEN_LIFETIME,
    &SIGN_IN_LIFETIME,
    &REFRESH_GRACE,
    &PERSONAL,
    &PERSONAL_MAX_DAYS,
    &VOUCHED_WITHIN_DAYS,
    &DEVICE_CODES,
    &END_AT_SIGN_OUT,
    &SSO_NAME,
];
static ACCESS_TOKEN_LIFETIME: Setting = Setting::new("tokens.access_token_lifetime", "1h");
static SIGN_IN_LIFETIME: Setting = Setting::new("tokens.sign_in_lifetime", "12h");
static REFRESH_GRACE: Setting = Setting::new("tokens.refresh_grace", "10s");
static PERSONAL: Setting = Setting::new("tokens.personal", "true");
static PERSONAL_MAX_DAYS: Setting = Setting::new("tokens.personal_max_days", "90");
static VOUCHED_WITHIN_DAYS: Setting = Setting::new("tokens.vouched_within_days", "30");
static DEVICE_CODES: Setting = Setting::new("tokens.device_codes", "anywhere");
static END_AT_SIGN_OUT: Setting = Setting::new("tokens.end_at_sign_out", "true");
static SSO_NAME: Setting = Setting::new("tokens.sso_name", "rolegate");

#[derive(Debug, Clone)]
pub struct TokensConfig {
    /// How long an access token counts.
    pub access_token_lifetime: Duration,
    /// How long a terminal stays signed in, refreshing by itself.
    pub sign_in_lifetime: Duration,
    /// For how long after its first use a refresh token is answered with what it was answered with before.
    pub refresh_grace: Duration,
    /// Whether people may make personal tokens.
    pub personal: bool,
    /// The longest a personal token may live.
    pub personal_max_days: u32,
    /// A token counts only if its person has signed in within so many days.
    pub vouched_within_days: u32,
    pub device_codes: DeviceCodes,
    /// Whether signing out ends what terminals were given from that session.
    pub end_at_sign_out: bool,
    /// The first label of the `sso_start_url` that AWS's tools keep their tokens under.
    pub sso_name: String,
}

/// Who may approve a device's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceCodes {
    Anywhere,
    /// Only from the address the device asked from.
    SameNetwork,
    Off,
}

pub(super) fn read(reader: &mut Reader) -> TokensConfig {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let config = TokensConfig {
        access_token_lifetime: reader.value(&ACCESS_TOKEN_LIFETIME, duration(Duration::from_secs(300), hours(12))),
        sign_in_lifetime: reader.value(&SIGN_IN_LIFETIME, duration(Duration::from_secs(300), hours(90 * 24))),
        refresh_grace: reader.value(&REFRESH_GRACE, duration(Duration::ZERO, Duration::from_secs(120))),
        personal: reader.value(&PERSONAL, switch),
        personal_max_days: reader.value(&PERSONAL_MAX_DAYS, number(1, 366)),
        vouched_within_days: reader.value(&VOUCHED_WITHIN_DAYS, number(1, 366)),
        device_codes: reader.value(&DEVICE_CODES, device_codes),
        end_at_sign_out: reader.value(&END_AT_SIGN_OUT, switch),
        sso_name: reader.value(&SSO_NAME, label),
    };
    if config.access_token_lifetime > config.sign_in_lifetime {
        reader.clash(&ACCESS_TOKEN_LIFETIME, "write no more than tokens.sign_in_lifetime");
    }
    config
}

fn device_codes(text: &str) -> Result<DeviceCodes, Advice> {
    match text {
        "anywhere" => Ok(DeviceCodes::Anywhere),
        "same-network" => Ok(DeviceCodes::SameNetwork),
        "off" => Ok(DeviceCodes::Off),
        _ => Err("write anywhere, same-network or off".to_owned()),
    }
}

fn label(text: &str) -> Result<String, Advice> {
    let good = (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-');
    if good { Ok(text.to_owned()) } else { Err("write 1 to 63 lower-case letters, digits and dashes".to_owned()) }
}
