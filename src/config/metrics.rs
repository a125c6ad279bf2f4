//! `[metrics]`: who may read `GET /metrics`. Nobody, unless a setting says so.

use std::net::SocketAddr;

use super::reader::{Advice, Reader};
use super::setting::Setting;
use crate::sys::{ExposeSecret as _, SecretString};

pub(super) static SETTINGS: &[&Setting] = &[&LISTEN, &TOKEN];
static LISTEN: Setting = Setting::optional("metrics.listen", "no address of their own");
static TOKEN: Setting = Setting::optional("metrics.token", "not to be had where people sign in").secret();

#[derive(Debug, Clone, Default)]
pub struct MetricsConfig {
    /// An address that answers `/metrics` and nothing else, to whoever reaches it.
    pub listen: Option<SocketAddr>,
    /// With it as a bearer token, `/metrics` is answered where everything else is.
    pub token: Option<SecretString>,
}

/// Shorter ones can be guessed.
const SHORTEST_TOKEN: usize = 20;

pub(super) fn read(reader: &mut Reader) -> MetricsConfig {
    MetricsConfig {
        listen: reader.optional(&LISTEN, |text| {
            text.parse().map_err(|_| "write an address and a port, such as 127.0.0.1:9464".to_owned())
        }),
        token: reader.secret(&TOKEN, token),
    }
}

fn token(text: SecretString) -> Result<SecretString, Advice> {
    let plain = text.expose_secret().bytes().all(|byte| byte.is_ascii_graphic());
    if plain && text.expose_secret().len() >= SHORTEST_TOKEN {
        Ok(text)
    } else {
        Err(format!("write at least {SHORTEST_TOKEN} visible ASCII characters, as `openssl rand -hex 20` prints them"))
    }
}
