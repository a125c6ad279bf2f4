//! The command line: data on stdout, words on stderr, a meaningful exit code.
//!
//! Parsing has two stages: clap says what was typed, [`config`](crate::config) says what it means.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::app::{Base, Missing, StartError};
use crate::flows::endings::Endings;
use crate::sys::{Clock as _, SystemClock, SystemRng};

pub mod access;
pub mod audit;
pub mod catalog;
pub mod client;
pub mod config;
pub mod demo;
pub mod doctor;
mod people;
pub mod sandbox;
pub mod serve;
pub mod sessions;
pub mod tokens;

/// Rolegate: the front door to your AWS accounts.
///
/// People sign in with their company's identity provider, rules decide which IAM roles they may use, and Rolegate
/// hands over a console link or short-lived credentials.
#[derive(Debug, Parser)]
#[command(name = "rolegate", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole product on this machine, with a sandbox in place of AWS: nothing to set up
    Demo(demo::DemoArgs),
    /// Run the broker
    Serve(config::ConfigArgs),
    /// Run only the sandbox: a local AWS STS, console and identity provider for tests
    Sandbox(sandbox::SandboxArgs),
    /// Check the settings and show where each came from
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Verify and export the audit log
    Audit(StoreCommand<audit::AuditArgs>),
    /// Check, apply and export the catalog: connectors, accounts, roles, rules
    Catalog(StoreCommand<catalog::CatalogArgs>),
    /// Explain who may use which role, and why or why not
    Access(StoreCommand<access::AccessArgs>),
    /// Test connectors from this side: what their providers publish, keys, clocks, and the addresses to enter there
    ///
    /// Nothing is changed. Exits with 0 when nothing stops sign-ins, warnings or not; with 1 when something does; with 2
    /// when that cannot be said, such as about a connector that is not in the catalog or a test sign-in nobody finished.
    Doctor(StoreCommand<doctor::DoctorArgs>),
    /// See who is signed in, and end their sessions
    Sessions(StoreCommand<sessions::SessionsArgs>),
    /// See what programs hold for people, and take it back
    Tokens(StoreCommand<tokens::TokensArgs>),
}

/// A command with the flags that say which database to open.
#[derive(Debug, clap::Args)]
struct StoreCommand<T: clap::Args> {
    #[command(flatten)]
    config: config::ConfigArgs,
    #[command(flatten)]
    command: T,
}

/// Parses the arguments and runs the command.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    runtime.block_on(run(cli))
}

async fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Demo(args) => demo::run(&args).await.map_err(Failure::from),
        Command::Serve(args) => serve::run(&args).await.map_err(Failure::from),
        Command::Sandbox(args) => sandbox::run(args).await.map_err(Failure::from),
        Command::Config(command) => return command.run().unwrap_or_else(|error| fail(&error)),
        Command::Audit(command) => {
            return with_base(&command.config, Missing::Refuse, async |base| {
                audit::run(&command.command, &base.store, &base.chain).await.map(|()| ExitCode::SUCCESS)
            })
            .await;
        }
        Command::Catalog(StoreCommand { config, command }) => {
            if let Some(done) = catalog::run_without_store(&command, SystemClock.now()) {
                return done.unwrap_or_else(|error| fail(&error));
            }
            let missing = if command.creates() { Missing::Create } else { Missing::Refuse };
            return with_base(&config, missing, async |base| {
                let (clock, rng) = real();
                catalog::run(&command, &base.ground(clock, rng)).await
            })
            .await;
        }
        Command::Access(StoreCommand { config, command }) => {
            if let Some(done) = access::run_without_store(&command, SystemClock.now()) {
                return done.unwrap_or_else(|error| fail(&error));
            }
            return with_base(&config, Missing::Refuse, async |base| {
                access::run(&command, &base.store, SystemClock.now()).await
            })
            .await;
        }
        Command::Doctor(StoreCommand { config, command }) => {
            let settings = match config.load() {
                Ok(settings) => settings,
                Err(errors) => return fail(&errors),
            };
            return with_base(&config, Missing::Refuse, async |base| {
                let (clock, rng) = real();
                let public_url = settings.public_url.as_url();
                doctor::run(&command, &base.ground(clock, rng), public_url, settings.aws.connect_timeout).await
            })
            .await;
        }
        Command::Sessions(StoreCommand { config, command }) => {
            let settings = match config.load_store() {
                Ok(settings) => settings,
                Err(errors) => return fail(&errors),
            };
            return with_base(&config, Missing::Refuse, async |base| {
                let (clock, rng) = real();
                let tokens_too = settings.tokens.end_at_sign_out;
                sessions::run(&command, Endings { ground: base.ground(clock, rng), tokens_too }).await
            })
            .await;
        }
        Command::Tokens(StoreCommand { config, command }) => {
            return with_base(&config, Missing::Refuse, async |base| {
                let (clock, rng) = real();
                tokens::run(&command, &base.ground(clock, rng)).await
            })
            .await;
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(error)) => fail(&*error),
    }
}

struct Failure(Box<dyn std::error::Error>);

impl<E: std::error::Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

/// Opens the database that the flags, variables and settings name, runs, and closes it.
async fn with_base<E: std::error::Error + 'static>(
    config: &config::ConfigArgs,
    missing: Missing,
    command: impl AsyncFnOnce(&Base) -> Result<ExitCode, E>,
) -> ExitCode {
    let config = match config.load_store() {
        Ok(config) => config,
        Err(errors) => return fail(&errors),
    };
    let base: Result<Base, StartError> = Base::open_store(&config, missing, &SystemRng).await;
    let base = match base {
        Ok(base) => base,
        Err(error) => return fail(&error),
    };
    let done = command(&base).await;
    base.store.close().await;
    match done {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

/// Prints an error with everything that led to it, one line each.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    let mut words = std::io::stderr().lock();
    let _ = writeln!(words, "rolegate: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = writeln!(words, "  because: {error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}

/// The clock and the generator of a real process.
fn real() -> (std::sync::Arc<SystemClock>, std::sync::Arc<SystemRng>) {
    (std::sync::Arc::new(SystemClock), std::sync::Arc::new(SystemRng))
}
