//! `rolegate whoami`: who the server takes one for.

use std::io::Write as _;

use clap::Args;

use super::api::{Call, Me};
use super::error::ClientError;
use super::login::who;
use super::server::ServerArgs;
use super::session::Session;
use super::spinner;
use super::surroundings::Surroundings;
use super::words::{lasting, printable};
use crate::sys::{Clock as _, SystemClock};

#[derive(Debug, Args)]
pub struct WhoamiArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    /// Print everything the server says, as JSON
    #[arg(long)]
    pub json: bool,
}

/// # Errors
/// [`ClientError`].
pub async fn run(args: &WhoamiArgs, around: &Surroundings) -> Result<(), ClientError> {
    let session = Session::open(&args.server, around)?;
    let call = Call::get("/api/v1/me");
    if args.json {
        let body = session.body(&call).await?;
        return Ok(super::print_json(&body)?);
    }
    let me: Me = spinner::during(around, "asking who you are", session.json(&call)).await?;
    let left = lasting(me.session.expires.duration_since(SystemClock.now()));
    let by = session.given_by().map(|origin| format!(" by {origin}")).unwrap_or_default();
    let mut data = std::io::stdout().lock();
    writeln!(data, "{}", who(&me))?;
    writeln!(data, "through {}, at {}{by}, for {left}", printable(&me.connector), session.server())?;
    Ok(())
}
