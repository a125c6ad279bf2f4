//! `rolegate sandbox`: the local AWS and the development identity provider, without a broker.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use actix_web::{App, HttpServer};
use clap::{Args, Subcommand};
use url::Url;

use crate::sandbox::{OidcClient, Sandbox, SandboxConfig, SandboxError, World};
use crate::sys::{Clock as _, SystemClock, SystemRng};

pub mod explain;
pub mod faults;
pub mod mfa_code;

/// Serves a local AWS (STS, federation endpoint, a console stand-in) and an identity provider (SAML and OpenID Connect)
/// with people to sign in as, for development and tests.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SandboxArgs {
    #[command(subcommand)]
    pub command: Option<SandboxCommand>,

    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8081", value_name = "ADDRESS")]
    pub listen: SocketAddr,

    /// How browsers and SDKs reach it, where that is not the address it listens on.
    #[arg(long, value_name = "URL")]
    pub public_url: Option<Url>,

    /// Where its keys are kept, so that sessions and metadata stay good after a restart; otherwise new ones each time.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// The broker whose metadata is every account's SAML provider and which may ask the identity provider: by SAML as
    /// connector `dev`, by OpenID Connect as connector and client `dev-oidc`.
    #[arg(long, default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub broker: Url,

    /// Further applications that may ask by OpenID Connect, as TOML: `[[client]]` tables with client_id, client_secret
    /// or jwks_url or neither, redirect_uris, and where wanted post_logout_redirect_uris and backchannel_logout_uri.
    #[arg(long, value_name = "FILE")]
    pub oidc_clients: Option<PathBuf>,

    /// Answer any service provider and any OpenID Connect client whose answers go to this machine, registered or not.
    #[arg(long)]
    pub any_loopback_service_provider: bool,

    /// A company of your own, as TOML, instead of the one that comes with the program.
    #[arg(long, value_name = "FILE")]
    pub world: Option<PathBuf>,

    /// What goes wrong from the start, as TOML: `seed` and `[faults.NAME]` tables with throttle, error, cut, dead,
    /// latency_ms, jitter_ms, clock_shift_s, for_s and count.
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,

    /// Listen where other machines can reach it. Anybody there can sign in as anybody here.
    #[arg(long)]
    pub i_know_this_is_not_aws: bool,
}

/// What else there is to do with a sandbox.
#[derive(Debug, Subcommand)]
pub enum SandboxCommand {
    /// Give a sandbox that runs a bad day: throttling, failures, cut connections, latency, a wrong clock
    Faults(faults::FaultsArgs),
    /// Explain which statement of which policy lets somebody do something or assume a role, or what is missing
    Explain(Box<explain::ExplainArgs>),
    /// Print the code that an MFA device of the company shows now
    MfaCode(mfa_code::MfaCodeArgs),
}

/// Why the sandbox cannot run.
#[derive(Debug, thiserror::Error)]
pub enum SandboxCommandError {
    #[error(
        "the sandbox has no passwords, and {0} can be reached from other machines; listen on 127.0.0.1, or add \
         --i-know-this-is-not-aws if that is what you want"
    )]
    NotLoopback(SocketAddr),
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} describes no company", path.display())]
    World { path: PathBuf, source: crate::sandbox::world::WorldError },
    #[error("{} describes no clients", path.display())]
    Clients { path: PathBuf, source: crate::sandbox::OidcClientsError },
    #[error(transparent)]
    Faults(#[from] faults::FaultsCommandError),
    #[error(transparent)]
    MfaCode(#[from] mfa_code::MfaCodeError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("the sandbox's keys were not finished: their thread ended")]
    Thread(#[source] tokio::task::JoinError),
    #[error("the sandbox stopped serving")]
    Serve(#[source] std::io::Error),
}

fn read(path: &Path) -> Result<String, SandboxCommandError> {
    std::fs::read_to_string(path).map_err(|source| SandboxCommandError::Read { path: path.to_path_buf(), source })
}

/// Serves until the process is told to stop.
///
/// # Errors
/// [`SandboxCommandError`]
#[expect(clippy::print_stderr, reason = "the words of a command go to stderr")]
pub async fn run(args: SandboxArgs) -> Result<ExitCode, SandboxCommandError> {
    match args.command {
        Some(SandboxCommand::Faults(args)) => {
            faults::run(args).await?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(SandboxCommand::Explain(args)) => return Ok(explain::run(&args, SystemClock.now()).await),
        Some(SandboxCommand::MfaCode(args)) => {
            mfa_code::run(&args, SystemClock.now())?;
            return Ok(ExitCode::SUCCESS);
        }
        None => {}
    }
    if !args.listen.ip().is_loopback() && !args.i_know_this_is_not_aws {
        return Err(SandboxCommandError::NotLoopback(args.listen));
    }
    let listen = |source| SandboxCommandError::Listen { address: args.listen, source };
    let listener = std::net::TcpListener::bind(args.listen).map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let base = args
        .public_url
        .unwrap_or_else(|| Url::parse(&format!("http://{address}/")).expect("a socket address is a host and a port"));

    let world = match args.world {
        None => World::larkspur(),
        Some(path) => {
            let text = read(&path)?;
            World::from_toml(&text).map_err(|source| SandboxCommandError::World { path, source })?
        }
    };
    let mut config =
        SandboxConfig::for_broker(base.clone(), &args.broker, world, Arc::new(SystemClock), Arc::new(SystemRng));
    config.data = args.data;
    if let Some(path) = args.oidc_clients {
        let clients =
            OidcClient::from_toml(&read(&path)?).map_err(|source| SandboxCommandError::Clients { path, source })?;
        // Whoever describes the broker's client has a reason.
        config.oidc_clients.retain(|known| clients.iter().all(|client| client.id != known.id));
        config.oidc_clients.extend(clients);
    }
    config.faults = args.faults.map(faults::read_plan).transpose()?;
    config.any_loopback_service_provider = args.any_loopback_service_provider;
    let sandbox =
        tokio::task::spawn_blocking(move || Sandbox::build(config)).await.map_err(SandboxCommandError::Thread)??;

    let server = HttpServer::new(move || App::new().configure(sandbox.configure()))
        .workers(2)
        .shutdown_timeout(10)
        .listen(listener)
        .map_err(SandboxCommandError::Serve)?
        .run();
    eprintln!(
        "Sandbox on {base} (STS, federation endpoint, console, identity provider)\n  SAML providers are read from {}\n  \
         OpenID Connect issuer: {address}/idp/oidc\n  export AWS_ENDPOINT_URL_STS={address}\n  Bad days: rolegate sandbox faults --url {address} --help",
        args.broker,
        address = base.as_str().trim_end_matches('/')
    );
    server.await.map_err(SandboxCommandError::Serve)?;
    Ok(ExitCode::SUCCESS)
}
