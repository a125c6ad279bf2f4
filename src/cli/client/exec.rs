//! `rolegate exec`: a command with the keys of a role.
//!
//! By default the keys go into the command's environment and the command takes this process's place: signals and exit
//! codes are its own. With `--refresh` this process stays and serves keys on loopback, so that the command's SDK fetches
//! new ones before the old ones end. What the command gets then is a password for this one role at this one port, and
//! never the sign-in itself, which is good for every role.

use std::io;
use std::process::{Command, ExitCode};

use clap::Args;

use super::api::{Call, Credentials};
use super::creds::WishArgs;
use super::error::ClientError;
use super::relay::{self, Relay};
use super::role::{self, Asking, OneRole};
use super::session::Session;
use super::spinner;
use super::surroundings::Surroundings;
use crate::config::ClientVariable;
use crate::sys::ExposeSecret as _;

#[derive(Debug, Args)]
pub struct ExecArgs {
    #[command(flatten)]
    pub role: OneRole,
    #[command(flatten)]
    pub wish: WishArgs,
    /// Let the command fetch new keys while it runs, for what runs longer than keys live. It sees no profiles of yours then
    #[arg(long)]
    pub refresh: bool,
    /// The command, after --
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
}

#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    #[error("which command? Write it after --, for example `rolegate exec ROLE -- aws s3 ls`")]
    NoCommand,
    #[error("there is no command `{command}`")]
    NotFound { command: String },
    #[error("`{command}` cannot be run")]
    Run { command: String, source: io::Error },
    #[error("no port of 127.0.0.1 can be listened on")]
    Loopback(#[source] io::Error),
    #[error("the command cannot be waited for")]
    Wait(#[source] io::Error),
}

/// What would lead the command's SDK to other keys, or to others' idea of these; and tokens, which are good for more roles.
const REMOVED: [&str; 18] = [
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    // An older name, which botocore reads first.
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_ACCOUNT_ID",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CREDENTIAL_FILE",
    ClientVariable::Token.name(),
    ClientVariable::TokenFile.name(),
];

/// # Errors
/// [`ClientError`]; once the command runs, the status is its own.
pub async fn run(args: ExecArgs, around: &Surroundings) -> Result<ExitCode, ClientError> {
    let Some((program, arguments)) = args.command.split_first() else { return Err(ExecError::NoCommand.into()) };
    let wish = args.wish.read()?;
    let session = Session::open(&args.role.server, around)?;
    let role = role::find(&args.role.role, &session, around, Asking::Allowed).await?;
    let call = Call::credentials(&role.account, &role.role, &wish);
    let first: Credentials = spinner::during(around, &format!("asking AWS for {role}"), session.json(&call)).await?;

    let mut command = Command::new(program);
    command.args(arguments);
    for name in REMOVED {
        command.env_remove(name);
    }
    // Some programs read one name and some the other: what stands in one goes into both.
    let here = || around.variable("AWS_REGION").or_else(|| around.variable("AWS_DEFAULT_REGION"));
    if let Some(region) = wish.region.as_deref().or(first.region.as_deref()).or_else(here) {
        command.env("AWS_REGION", region).env("AWS_DEFAULT_REGION", region);
    }
    let named = program.to_string_lossy().into_owned();
    if args.refresh {
        let relay = Relay::listen().await.map_err(ExecError::Loopback)?;
        command.envs(relay.environment());
        return Ok(relay::beside(command, named, relay, session, call).await?);
    }
    command
        .env("AWS_ACCESS_KEY_ID", &first.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", first.secret_access_key.expose_secret())
        .env("AWS_SESSION_TOKEN", first.session_token.expose_secret())
        .env("AWS_CREDENTIAL_EXPIRATION", &first.expiration);
    Err(become_it(command, named).into())
}

/// Gives the process to the command; there is an answer only if that did not work.
fn become_it(mut command: Command, named: String) -> ExecError {
    use std::os::unix::process::CommandExt as _;
    not_run(named, command.exec())
}

/// Why a command did not start.
pub fn not_run(command: String, source: io::Error) -> ExecError {
    if source.kind() == io::ErrorKind::NotFound {
        ExecError::NotFound { command }
    } else {
        ExecError::Run { command, source }
    }
}
