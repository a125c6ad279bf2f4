//! The commands of a person or a program at any Rolegate: they call the server over HTTP, as everybody else does, and
//! know nothing of its database.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Subcommand;

use error::{ClientError, Status};
use surroundings::Surroundings;

pub mod api;
pub mod aws_config;
mod browser;
pub mod console;
pub mod credential_process;
pub mod creds;
mod device;
pub mod error;
pub mod exec;
mod keyring;
pub mod limits;
pub mod login;
pub mod logout;
mod loopback;
mod pick;
mod profiles;
mod relay;
mod replace;
pub mod role;
pub mod roles;
pub mod server;
pub mod session;
mod spinner;
pub mod store;
pub mod surroundings;
pub mod token;
pub mod whoami;
mod words;

#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Sign in at a Rolegate, in a browser here or on another device
    Login(login::LoginArgs),
    /// End your sign-in, at the server and here
    Logout(logout::LogoutArgs),
    /// Print who you are there, and for how long
    Whoami(whoami::WhoamiArgs),
    /// Pick one of your roles, or list them when piped
    Roles(roles::RolesArgs),
    /// Print keys of a role: eval "$(rolegate creds prod read)"
    Creds(creds::CredsArgs),
    /// Run a command with the keys of a role
    Exec(exec::ExecArgs),
    /// Open the AWS console in a role
    Console(console::ConsoleArgs),
    /// Print keys for an AWS profile's `credential_process`
    CredentialProcess(credential_process::CredentialProcessArgs),
    /// Write a profile for each of your roles into ~/.aws/config
    AwsConfig(aws_config::AwsConfigArgs),
    /// Print an access token, for `curl -H "Authorization: Bearer $(rolegate token)"`
    Token(token::TokenArgs),
}

impl ClientCommand {
    /// Runs the command to its end.
    #[must_use]
    pub fn run(self) -> ExitCode {
        // One call after another: a second thread would only have to be started.
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return super::fail(&error),
        };
        let around = Surroundings::of_process();
        // A program quotes what a helper says in a message of its own: one line of it.
        let one_line = matches!(self, Self::CredentialProcess(_));
        match runtime.block_on(self.done(&around)) {
            Ok(code) => code,
            // Whoever read the output had enough of it.
            Err(error) if error.is_a_closed_pipe() => ExitCode::SUCCESS,
            Err(error) => {
                tell(&error, one_line);
                error.status().into()
            }
        }
    }

    async fn done(self, around: &Surroundings) -> Result<ExitCode, ClientError> {
        match self {
            Self::Login(args) => login::run(&args, around).await,
            Self::Logout(args) => logout::run(&args, around).await,
            Self::Whoami(args) => whoami::run(&args, around).await,
            Self::Roles(args) => roles::run(&args, around).await,
            Self::Creds(args) => creds::run(&args, around).await,
            Self::Exec(args) => return exec::run(args, around).await,
            Self::Console(args) => console::run(&args, around).await,
            Self::CredentialProcess(args) => credential_process::run(&args, around).await,
            Self::AwsConfig(args) => aws_config::run(&args, around).await,
            Self::Token(args) => token::run(&args, around).await,
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Says what went wrong, with everything that led to it.
fn tell(error: &ClientError, one_line: bool) {
    if !one_line {
        if error.status() != Status::Interrupted {
            super::fail(error);
        }
        return;
    }
    let mut line = format!("rolegate: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        line.push_str(&format!(": {error}"));
        cause = error.source();
    }
    words::say(words::printable(&line));
}

/// Prints JSON so that people can read it too.
fn print_json(body: &[u8]) -> io::Result<()> {
    let value: serde_json::Value = serde_json::from_slice(body)?;
    let mut data = io::BufWriter::new(io::stdout().lock());
    serde_json::to_writer_pretty(&mut data, &value)?;
    writeln!(data)?;
    data.flush()
}
