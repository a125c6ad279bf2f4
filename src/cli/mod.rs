//! The command line: data on stdout, words on stderr, a meaningful exit code.
//!
//! Parsing has two stages: clap says what was typed, [`config`](crate::config) says what it means.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::app::{Base, Missing, StartError};
use crate::flows::endings::Endings;
use crate::sys::{Clock as _, SystemClock, SystemRng};

pub mod access;
pub mod audit;
pub mod catalog;
pub mod client;
pub mod completions;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod keys;
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
    #[command(flatten)]
    Client(client::ClientCommand),
    /// Print completions for a shell
    Completions(completions::CompletionsArgs),
    /// Write the manual pages
    Man(completions::ManArgs),
    /// Try the whole product on this machine, with a sandbox in place of AWS
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
    /// Test connectors and what AWS reads of us, and show what to enter at providers
    ///
    /// Nothing is changed. Exits with 0 when nothing stops sign-ins, warnings or not; with 1 when something does; with 2
    /// when that cannot be said, such as about a connector that is not in the catalog or a test sign-in nobody finished.
    Doctor(StoreCommand<doctor::DoctorArgs>),
    /// List Rolegate's own keys, and replace those that sign tokens for AWS
    Keys(StoreCommand<keys::KeysArgs>),
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
    let cli = Cli::from_arg_matches(&grouped().get_matches()).unwrap_or_else(|error| error.exit());
    let command = match cli.command {
        Command::Client(command) => return command.run(),
        Command::Completions(args) => return done(completions::completions(&args, grouped())),
        Command::Man(args) => return done(completions::man(&args, grouped())),
        command => command,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    runtime.block_on(run(command))
}

/// What there is for whom, in the order it is shown.
const GROUPS: [(&str, &[&str]); 3] = [
    (
        "At any Rolegate",
        &[
            "login",
            "logout",
            "whoami",
            "roles",
            "creds",
            "exec",
            "console",
            "aws-config",
            "credential-process",
            "token",
        ],
    ),
    (
        "Running one",
        &["demo", "serve", "sandbox", "config", "catalog", "access", "sessions", "tokens", "keys", "audit", "doctor"],
    ),
    ("This program", &["completions", "man", "help"]),
];

/// The commands, with a help page that tells those of people at a terminal from those of operators.
fn grouped() -> clap::Command {
    use std::fmt::Write as _;
    let mut command = Cli::command();
    let mut text = String::from("{about-with-newline}\n{usage-heading} {usage}\n");
    for (heading, names) in GROUPS {
        let _ = writeln!(text, "\n{heading}:");
        for name in names {
            let about = match command.find_subcommand(name) {
                Some(sub) => sub.get_about().map(ToString::to_string).unwrap_or_default(),
                None => "Print this, or the help of a command".to_owned(),
            };
            let _ = writeln!(text, "  {name:<18}  {about}");
        }
    }
    text.push_str("\nOptions:\n{options}\n\n`rolegate help COMMAND` tells all about one.");
    command = command.help_template(text);
    command
}

/// How a command without a runtime ended.
fn done<E: std::error::Error>(result: Result<(), E>) -> ExitCode {
    result.map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS)
}

async fn run(command: Command) -> ExitCode {
    let done = match command {
        Command::Client(_) | Command::Completions(_) | Command::Man(_) => {
            unreachable!("they need no database and have run already")
        }
        Command::Demo(args) => demo::run(&args).await.map_err(Failure::from),
        Command::Serve(args) => serve::run(&args).await.map_err(Failure::from),
        Command::Sandbox(args) => return sandbox::run(args).await.unwrap_or_else(|error| fail(&error)),
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
                let ground = base.ground(clock, rng);
                let keys = crate::app::token_keys(&ground, &settings.keys.tokens);
                doctor::run(&command, &ground, public_url, &keys, settings.aws.connect_timeout).await
            })
            .await;
        }
        Command::Keys(StoreCommand { config, command }) => {
            let settings = match config.load_store() {
                Ok(settings) => settings,
                Err(errors) => return fail(&errors),
            };
            return with_base(&config, Missing::Refuse, async |base| {
                let (clock, rng) = real();
                let keys = crate::app::token_keys(&base.ground(clock, rng), &settings.token_keys);
                keys::run(&command, &base.store, &keys).await
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group_of_the_help_page_and_every_group_names_commands() {
        let command = grouped();
        command.clone().debug_assert();
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let mut all: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).chain(["help"]).collect();
        grouped.sort_unstable();
        all.sort_unstable();
        assert_eq!(grouped, all);
    }

    /// The commands of operators have pages of their own.
    #[test]
    fn every_client_command_and_each_of_its_flags_is_in_the_documentation() {
        let page = include_str!("../../docs/cli.md");
        let command = grouped();
        for name in GROUPS[0].1.iter().chain(&["completions", "man"]) {
            let heading = format!("\n## rolegate {name}\n");
            let section = page.split_once(&heading).unwrap_or_else(|| panic!("docs/cli.md lacks `{name}`")).1;
            let section = section.split("\n## ").next().unwrap();
            for flag in command.find_subcommand(name).unwrap().get_arguments().filter_map(clap::Arg::get_long) {
                assert!(section.contains(&format!("`--{flag}")), "docs/cli.md lacks --{flag} of `{name}`");
            }
        }
        for variable in crate::config::ClientVariable::ALL {
            assert!(page.contains(&format!("`{}`", variable.name())), "docs/cli.md lacks {}", variable.name());
        }
    }

    #[test]
    fn the_help_page_fits_a_terminal() {
        let page = grouped().render_help().to_string();
        assert!(page.lines().all(|line| line.chars().count() <= 100), "{page}");
        assert!(page.contains("\nAt any Rolegate:\n  login               Sign in"), "{page}");
    }
}
