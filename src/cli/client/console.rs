//! `rolegate console`: a role in the AWS console.

use std::io::Write as _;

use clap::Args;

use super::api::{Call, ConsoleLink};
use super::error::ClientError;
use super::limits::LimitArgs;
use super::role::{self, Asking, OneRole};
use super::session::Session;
use super::surroundings::Surroundings;
use super::words::say;
use super::{browser, spinner};
use crate::aws::SessionDuration;

#[derive(Debug, Args)]
pub struct ConsoleArgs {
    #[command(flatten)]
    pub role: OneRole,
    /// A page of the console, such as `https://console.aws.amazon.com/s3/home`
    #[arg(long, value_name = "URL")]
    pub destination: Option<String>,
    /// How long the console stays open, such as 4h; at most what the role allows
    #[arg(long, value_name = "DURATION")]
    pub duration: Option<SessionDuration>,
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Print the link instead of opening it. For 15 minutes, whoever has it is you
    #[arg(long)]
    pub print: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    #[error("there is no browser to open here; --print prints the link, which is as good as your keys for 15 minutes")]
    NoBrowser,
}

/// # Errors
/// [`ClientError`].
pub async fn run(args: &ConsoleArgs, around: &Surroundings) -> Result<(), ClientError> {
    if !args.print && browser::is_elsewhere(around) {
        return Err(ConsoleError::NoBrowser.into());
    }
    let limits = args.limits.read()?;
    let session = Session::open(&args.role.server, around)?;
    let role = role::find(&args.role.role, &session, around, Asking::Allowed).await?;
    let call = Call::console(&role.account, &role.role, args.destination.as_deref(), args.duration, &limits);
    let link: ConsoleLink = spinner::during(around, &format!("asking AWS for {role}"), session.json(&call)).await?;
    if args.print {
        writeln!(std::io::stdout().lock(), "{}", link.expose())?;
        return Ok(());
    }
    if !browser::open(link.expose(), around) {
        return Err(ConsoleError::NoBrowser.into());
    }
    say(format_args!("The console of {role} opens in your browser."));
    Ok(())
}
