//! `[sign_in]`: how long the steps of a sign-in may take.

use std::time::Duration;

use super::reader::{Reader, duration};
use super::setting::Setting;

pub(super) static SETTINGS: &[&Setting] = &[&ATTEMPT_TTL, &TICKET_TTL];
static ATTEMPT_TTL: Setting = Setting::new("sign_in.attempt_ttl", "10m");
static TICKET_TTL: Setting = Setting::new("sign_in.ticket_ttl", "2m");

#[derive(Debug, Clone)]
pub struct SignInConfig {
    /// From leaving for the identity provider to coming back with its answer: password, second factor and coffee.
    pub attempt_ttl: Duration,
    /// From the accepted answer to the browser's next request, which carries its cookies again.
    pub ticket_ttl: Duration,
}

pub(super) fn read(reader: &mut Reader) -> SignInConfig {
    SignInConfig {
        attempt_ttl: reader.value(&ATTEMPT_TTL, duration(Duration::from_secs(30), Duration::from_secs(3600))),
        ticket_ttl: reader.value(&TICKET_TTL, duration(Duration::from_secs(5), Duration::from_secs(600))),
    }
}
