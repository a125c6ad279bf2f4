//! Signing in with a browser on another device.
//!
//! Spec: RFC 8628.

use std::time::{Duration, Instant};

use super::api::{Api, ApiError, CLIENT_ID, DeviceStarted, Granted, Metadata};
use super::login::{LoginError, SCOPE};
use super::spinner;
use super::surroundings::Surroundings;
use super::words::{printable, say};
use crate::sys::ExposeSecret as _;

/// Spec: section 3.5: what counts where the server names no interval, and what `slow_down` adds.
const INTERVAL: u32 = 5;
const SLOWER: Duration = Duration::from_secs(5);

/// Shows a code and waits until somebody has typed it elsewhere.
///
/// # Errors
/// [`LoginError`].
pub async fn grant(api: &Api, metadata: &Metadata, around: &Surroundings) -> Result<Granted, LoginError> {
    let none = || LoginError::NoDevices(api.server().to_string());
    let endpoint = metadata.device_authorization_endpoint.as_ref().ok_or_else(none)?;
    let started: DeviceStarted = api.oauth(endpoint, &[("client_id", CLIENT_ID), ("scope", SCOPE)]).await?;
    say(format_args!(
        "Open {} in a browser and type this code:\n\n  {}\n",
        printable(&started.verification_uri),
        printable(&started.user_code)
    ));
    if let Some(address) = &started.verification_uri_complete {
        say(format_args!("Or open this, and compare the code:\n\n  {}\n", printable(address)));
    }
    let waiting = poll(api, metadata, &started);
    spinner::during(around, "waiting for you to sign in", waiting).await
}

async fn poll(api: &Api, metadata: &Metadata, started: &DeviceStarted) -> Result<Granted, LoginError> {
    let mut interval = Duration::from_secs(started.interval.unwrap_or(INTERVAL).max(1).into());
    let began = Instant::now();
    let lifetime = Duration::from_secs(started.expires_in.into());
    let fields = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", started.device_code.expose_secret()),
        ("client_id", CLIENT_ID),
    ];
    while began.elapsed() < lifetime {
        tokio::time::sleep(interval).await;
        match api.oauth(&metadata.token_endpoint, &fields).await {
            Ok(granted) => return Ok(granted),
            Err(ApiError::OAuth { code, .. }) if code == "authorization_pending" => {}
            Err(ApiError::OAuth { code, .. }) if code == "slow_down" => interval += SLOWER,
            Err(ApiError::OAuth { code, .. }) if code == "access_denied" => return Err(LoginError::Denied),
            Err(ApiError::OAuth { code, .. }) if code == "expired_token" => return Err(LoginError::TimedOut),
            // A network that is away for a moment, or a server that starts anew, is waited for, longer each time.
            Err(ApiError::Unreachable { .. } | ApiError::Slow { .. }) => interval *= 2,
            Err(ApiError::Problem(problem)) if matches!(problem.status, 429 | 500..) => interval *= 2,
            Err(error) => return Err(error.into()),
        }
    }
    Err(LoginError::TimedOut)
}
