//! `rolegate token`: an access token for calls of one's own.

use std::io::Write as _;

use clap::Args;

use super::error::ClientError;
use super::server::ServerArgs;
use super::session::Session;
use super::surroundings::Surroundings;

#[derive(Debug, Args)]
pub struct TokenArgs {
    #[command(flatten)]
    pub server: ServerArgs,
}

/// # Errors
/// [`ClientError`].
pub async fn run(args: &TokenArgs, around: &Surroundings) -> Result<(), ClientError> {
    let token = Session::open(&args.server, around)?.token().await?;
    writeln!(std::io::stdout().lock(), "{}", token.expose_secret())?;
    Ok(())
}
