//! `rolegate logout`: the sign-in ends at the server and is forgotten here.

use clap::Args;

use super::api::Api;
use super::error::ClientError;
use super::server::{self, Server, ServerArgs};
use super::store::SignIns;
use super::surroundings::Surroundings;
use super::words::say;

#[derive(Debug, Args)]
pub struct LogoutArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    /// At every server you are signed in at
    #[arg(long, conflicts_with = "server")]
    pub all: bool,
}

/// # Errors
/// A server could not be told; the sign-in is forgotten here all the same.
pub async fn run(args: &LogoutArgs, around: &Surroundings) -> Result<(), ClientError> {
    let sign_ins = SignIns::of(around)?;
    let servers = if args.all { sign_ins.servers()? } else { vec![server::which(&args.server, around)?] };
    let mut failed = None;
    for server in &servers {
        match end(server, &sign_ins).await {
            Ok(true) => say(format_args!("Signed out at {server}.")),
            Ok(false) => say(format_args!("You were not signed in at {server}.")),
            Err(error) => {
                say(format_args!(
                    "The sign-in at {server} is forgotten here, but the server could not be told. It ends there by \
                     itself; to end it now, revoke it on the tokens page."
                ));
                failed = Some(error);
            }
        }
    }
    if servers.is_empty() {
        say("You were not signed in anywhere.");
    }
    failed.map_or(Ok(()), Err)
}

/// Whether there was a sign-in to end.
async fn end(server: &Server, sign_ins: &SignIns) -> Result<bool, ClientError> {
    let _turn = sign_ins.turn(server)?;
    // What cannot be read cannot be revoked, but forgotten.
    let found = sign_ins.find_to_end(server);
    sign_ins.forget(server)?;
    let Some(sign_in) = found? else { return Ok(false) };
    let api = Api::of(server.clone())?;
    let metadata = api.metadata().await?;
    if let Some(endpoint) = &metadata.revocation_endpoint {
        api.revoke(endpoint, sign_in.refresh.as_ref().unwrap_or(&sign_in.access)).await?;
    }
    Ok(true)
}
