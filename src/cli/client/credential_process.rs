//! `rolegate credential-process`: what an AWS profile runs to get keys.
//!
//! Nobody watches it: it asks nothing, says one line if it fails, and SDKs wait for it.

use std::io::Write as _;

use clap::Args;

use super::api::{Call, CredentialsWish};
use super::error::ClientError;
use super::role::{self, Asking, OneRole};
use super::session::Session;
use super::surroundings::Surroundings;
use crate::aws::SessionDuration;
use crate::issuance::Format;
use crate::sys::ExposeSecret as _;

#[derive(Debug, Args)]
pub struct CredentialProcessArgs {
    #[command(flatten)]
    pub role: OneRole,
    /// How long the keys live, such as 1h or 90m; at most what the role allows
    #[arg(long, value_name = "DURATION")]
    pub duration: Option<SessionDuration>,
}

/// # Errors
/// [`ClientError`].
pub async fn run(args: &CredentialProcessArgs, around: &Surroundings) -> Result<(), ClientError> {
    let session = Session::open(&args.role.server, around)?;
    let role = role::find(&args.role.role, &session, around, Asking::Never).await?;
    let wish = CredentialsWish { duration: args.duration, ..CredentialsWish::default() };
    let keys = session.keys(&Call::credentials(&role.account, &role.role, &wish), Format::Process).await?;
    let mut data = std::io::stdout().lock();
    data.write_all(keys.expose_secret().as_bytes())?;
    Ok(data.flush()?)
}
