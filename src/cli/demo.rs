//! `rolegate demo`: the whole product on this machine, with a sandbox in place of AWS.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use actix_web::HttpServer;
use clap::Args;
use url::Url;

use crate::app::{App, StartError};
use crate::audit::{Event, Kind};
use crate::catalog;
use crate::config::{Config, ConfigErrors, DemoSettings};
use crate::sandbox::{Sandbox, SandboxConfig, SandboxError, World, demo_catalog};
use crate::store::StoreError;
use crate::sys::telemetry::{self, Lines};

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where the broker listens
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,

    /// Where the sandbox listens: the local AWS and the identity provider
    #[arg(long, default_value = "127.0.0.1:8081", value_name = "ADDRESS")]
    pub sandbox_listen: SocketAddr,

    /// Folder for the demo's data; the next run goes on where this one stopped
    #[arg(long, default_value = "rolegate-demo", value_name = "DIR")]
    pub data: PathBuf,

    /// What is logged on stderr
    #[arg(long, default_value = "warn", value_name = "LEVEL")]
    pub log: String,
}

/// Why the demo did not run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("{0} can be reached from other machines, and the demo signs anybody in; listen on 127.0.0.1")]
    NotLoopback(SocketAddr),
    #[error("`{level}` is no log level; write error, warn, info, debug or trace")]
    Log { level: String, source: tracing_subscriber::filter::ParseError },
    #[error("{address} cannot be listened on; is another demo running? --listen and --sandbox-listen change it")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("the sandbox's keys were not finished")]
    Thread(#[source] tokio::task::JoinError),
    #[error("the demo's own catalog has mistakes")]
    Catalog(#[source] catalog::toml::Mistakes),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a server gave up")]
    Server(#[source] std::io::Error),
}

fn bind(address: SocketAddr) -> Result<TcpListener, DemoError> {
    if !address.ip().is_loopback() {
        return Err(DemoError::NotLoopback(address));
    }
    let failed = |source| DemoError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

fn address_of(listener: &TcpListener, asked: SocketAddr) -> Result<SocketAddr, DemoError> {
    listener.local_addr().map_err(|source| DemoError::Listen { address: asked, source })
}

fn http(address: SocketAddr) -> Url {
    Url::parse(&format!("http://{address}/")).expect("a socket address is a host and a port")
}

/// # Errors
/// [`DemoError`].
pub async fn run(args: &DemoArgs) -> Result<(), DemoError> {
    let filter = tracing_subscriber::EnvFilter::builder()
        .parse(format!("{},aws_=info,actix_server=warn", args.log))
        .map_err(|source| DemoError::Log { level: args.log.clone(), source })?;
    telemetry::start(Lines::Text, filter);
    // Both ports first: half a demo is worse than none.
    let broker_socket = bind(args.listen)?;
    let sandbox_socket = bind(args.sandbox_listen)?;
    let (broker_at, sandbox_at) =
        (address_of(&broker_socket, args.listen)?, address_of(&sandbox_socket, args.sandbox_listen)?);
    let sandbox_url = http(sandbox_at);
    let at = |path: &str| sandbox_url.join(path).expect("a path on the sandbox's URL is a URL");
    let config = Config::for_demo(DemoSettings {
        listen: broker_at,
        data_dir: &args.data,
        sts_endpoint: &sandbox_url,
        federation_endpoint: &at("federation"),
        console_url: &at("console/home"),
    })?;
    let app = super::serve::start(&config).await?;

    let (clock, rng) = super::real();
    let world = World::larkspur();
    let mut sandbox = SandboxConfig::for_broker(sandbox_url.clone(), &http(broker_at), world.clone(), clock, rng);
    sandbox.data = Some(args.data.join("sandbox"));
    let sandbox = tokio::task::spawn_blocking(move || Sandbox::build(sandbox)).await.map_err(DemoError::Thread)??;
    let sandbox_server = HttpServer::new(move || actix_web::App::new().configure(sandbox.configure()))
        .workers(2)
        .shutdown_timeout(5)
        .listen(sandbox_socket)
        .map_err(DemoError::Server)?
        .run();
    let sandbox_handle = sandbox_server.handle();
    let sandbox_task = tokio::spawn(sandbox_server);

    seed(&app, &sandbox_url).await?;
    let running = app.serve(broker_socket).map_err(DemoError::Server)?;
    say(&http(broker_at), &sandbox_url, &world, args);
    let ended = running.wait().await.map_err(DemoError::Server);
    sandbox_handle.stop(true).await;
    sandbox_task.await.map_err(DemoError::Thread)?.map_err(DemoError::Server)?;
    app.ground.store.close().await;
    ended
}

/// Puts the demo's catalog in place the first time, and again when the sandbox has moved to another address; whatever
/// the person changed since is kept.
async fn seed(app: &App, sandbox: &Url) -> Result<(), DemoError> {
    let loaded = app.catalog.get().await?;
    let moved = |catalog: &catalog::Catalog| {
        catalog.connectors().any(|connector| {
            connector.id.as_str() == crate::sandbox::DEMO_CONNECTOR
                && connector.saml().is_some_and(|saml| match &saml.metadata {
                    catalog::MetadataSource::Url(url) => url.as_url().origin() != sandbox.origin(),
                    catalog::MetadataSource::Inline(_) => false,
                })
        })
    };
    if loaded.catalog.connectors().len() > 0 && !moved(&loaded.catalog) {
        return Ok(());
    }
    let text = demo_catalog(sandbox);
    let parsed = catalog::toml::parse_text("demo.toml", &text).map_err(DemoError::Catalog)?;
    for warning in &parsed.warnings {
        tracing::warn!("{warning}");
    }
    let ground = &app.ground;
    let mut tx = ground.store.begin().await?;
    let parsed = parsed.catalog.sealed(&loaded.catalog, &ground.sealing, &*ground.rng);
    let revision = crate::store::catalog::replace(&mut tx, &parsed).await?;
    let event = Event::new(Kind::CatalogApplied).with("revision", revision).with("by", "demo");
    ground.append(&mut tx, &event).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(())
}

fn say(broker: &Url, sandbox: &Url, world: &World, args: &DemoArgs) {
    let (broker, sandbox) = (broker.as_str().trim_end_matches('/'), sandbox.as_str().trim_end_matches('/'));
    use std::fmt::Write as _;
    let mut words = String::new();
    let _ = writeln!(words, "\n  Rolegate is ready: open {broker}\n\n  Sign in, by SAML or by OpenID Connect, as");
    let width = world.people().iter().map(|person| person.name.chars().count()).max().unwrap_or(0);
    for person in world.people() {
        let _ = writeln!(words, "    {:<width$}  {}", person.name, person.story);
    }
    let _ = write!(
        words,
        "\n  The sandbox stands in for AWS and the identity provider: {sandbox}\n  \
         The identity provider's own page, with its keys and its sign-out: {sandbox}/idp\n  \
           In a terminal, with keys from Rolegate:\n    \
             export AWS_ENDPOINT_URL_STS={sandbox}\n    \
             export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1\n    \
             aws sts get-caller-identity\n  \
           As a CI job, with no secret: docs/workloads.md, \"Try it\"\n\n  \
           Data is kept in {}; Ctrl-C stops.\n\n",
        args.data.display()
    );
    let _ = std::io::stderr().lock().write_all(words.as_bytes());
}
