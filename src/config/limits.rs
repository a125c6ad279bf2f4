//! `[limits]`: how often the costly things may be asked for.

use std::num::NonZeroU32;

use super::reader::{Advice, Reader, number};
use super::setting::Setting;

pub(super) static SETTINGS: &[&Setting] =
    &[&SIGN_IN_PER_MINUTE, &SIGN_IN_BURST, &ISSUE_PER_MINUTE, &ISSUE_BURST, &DELIVER_PER_MINUTE, &DELIVER_BURST];
// An office may reach us through one address, and begins work at nine.
static SIGN_IN_PER_MINUTE: Setting = Setting::new("limits.sign_in_per_minute", "120");
static SIGN_IN_BURST: Setting = Setting::new("limits.sign_in_burst", "240");
static ISSUE_PER_MINUTE: Setting = Setting::new("limits.issue_per_minute", "30");
static ISSUE_BURST: Setting = Setting::new("limits.issue_burst", "60");
// One person's jobs may all wake at the full hour.
static DELIVER_PER_MINUTE: Setting = Setting::new("limits.deliver_per_minute", "6000");
static DELIVER_BURST: Setting = Setting::new("limits.deliver_burst", "6000");

#[derive(Debug, Clone)]
pub struct LimitsConfig {
    /// Sign-in requests, for each client address.
    pub sign_in: Rate,
    /// New credentials and console links, for each person.
    pub issue: Rate,
    /// Requests of programs for credentials, cached or not, for each person.
    pub deliver: Rate,
}

/// So many a minute, and so many at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub per_minute: NonZeroU32,
    pub burst: NonZeroU32,
}

pub(super) fn read(reader: &mut Reader) -> LimitsConfig {
    LimitsConfig {
        sign_in: Rate {
            per_minute: reader.value(&SIGN_IN_PER_MINUTE, count),
            burst: reader.value(&SIGN_IN_BURST, count),
        },
        issue: Rate { per_minute: reader.value(&ISSUE_PER_MINUTE, count), burst: reader.value(&ISSUE_BURST, count) },
        deliver: Rate {
            per_minute: reader.value(&DELIVER_PER_MINUTE, count),
            burst: reader.value(&DELIVER_BURST, count),
        },
    }
}

fn count(text: &str) -> Result<NonZeroU32, Advice> {
    let count = number(1, 1_000_000)(text)?;
    Ok(NonZeroU32::MIN.saturating_add(count - 1))
}
