//! `[session]`: how long a browser stays signed in.

use std::time::Duration;

use super::reader::{Reader, duration};
use super::setting::Setting;

pub(super) static SETTINGS: &[&Setting] = &[&IDLE_TIMEOUT, &ABSOLUTE_TIMEOUT];
static IDLE_TIMEOUT: Setting = Setting::new("session.idle_timeout", "1h");
static ABSOLUTE_TIMEOUT: Setting = Setting::new("session.absolute_timeout", "12h");

#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// A session nobody uses ends after this.
    pub idle_timeout: Duration,
    /// Every session ends after this, used or not.
    pub absolute_timeout: Duration,
}

pub(super) fn read(reader: &mut Reader) -> SessionConfig {
    let bounded = || duration(Duration::from_secs(60), Duration::from_secs(7 * 24 * 3600));
    let config = SessionConfig {
        idle_timeout: reader.value(&IDLE_TIMEOUT, bounded()),
        absolute_timeout: reader.value(&ABSOLUTE_TIMEOUT, bounded()),
    };
    if config.idle_timeout > config.absolute_timeout {
        reader.clash(&IDLE_TIMEOUT, "write no more than session.absolute_timeout");
    }
    config
}
