//! `rolegate serve`: run the broker.

use std::net::TcpListener;

use super::config::ConfigArgs;
use crate::app::{App, StartError};
use crate::config::{Config, LogFormat};
use crate::sys::telemetry::{self, Lines};

/// Why the broker did not run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Config(#[from] crate::config::ConfigErrors),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the server gave up")]
    Server(#[source] std::io::Error),
}

/// # Errors
/// [`ServeError`].
pub async fn run(args: &ConfigArgs) -> Result<(), ServeError> {
    let config = args.load()?;
    start_logs(&config);
    let listener = listen(&config)?;
    let app = start(&config).await?;
    let running = app.serve(listener).map_err(ServeError::Server)?;
    tracing::info!(listen = %config.listen, public_url = %config.public_url, "rolegate is ready");
    if let Some(address) = app.metrics_address() {
        tracing::info!(listen = %address, "figures are told at /metrics");
    }
    let ended = running.wait().await.map_err(ServeError::Server);
    app.ground.store.close().await;
    tracing::info!("rolegate has stopped");
    ended
}

/// Log lines as the settings want them.
pub(super) fn start_logs(config: &Config) {
    let lines = match config.log.format {
        LogFormat::Text => Lines::Text,
        LogFormat::Json => Lines::Json,
    };
    telemetry::start(lines, config.log.filter());
}

/// Puts the broker together and says where its audit log stands: a copy of that line elsewhere shows later whether
/// the log was cut.
pub(super) async fn start(config: &Config) -> Result<App, StartError> {
    let (clock, rng) = super::real();
    let app = App::build(config, clock, rng).await?;
    let head = app.ground.store.audit_head().await?;
    tracing::info!(audit.head = %head, "audit log opened");
    Ok(app)
}

/// Binds the address that people use.
pub(super) fn listen(config: &Config) -> Result<TcpListener, StartError> {
    crate::app::listen(config.listen)
}
