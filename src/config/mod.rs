//! How this process runs: what was typed ([`Sources`]) becomes what is true ([`Config`]).
//!
//! Four places may set a value, the later winning: the default, the settings file (`rolegate.toml`), a variable
//! (`ROLEGATE_` and the key, with `_` for each dot), a flag. Each section of the file has a file here: its table of
//! settings, its type, and how the one is read from the other. Everything wrong is reported at once.
//!
//! Who may do what is not here; that is the [catalog](crate::catalog).

mod aws;
mod client;
mod data;
mod error;
mod keys;
mod limits;
mod log;
mod metrics;
mod raw;
mod reader;
mod server;
mod session;
mod setting;
mod sign_in;
mod support;
#[cfg(test)]
mod tests;
mod tokens;
mod web;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

pub use aws::AwsConfig;
pub use client::ClientVariable;
pub use data::Database;
pub use error::{ConfigErrors, Mistake};
pub use keys::{
    InvalidSealingKey, KeysConfig, SealingKeySource, SigningKeyBits, TokenKeysConfig, sealing_key_from_base64,
};
pub use limits::{LimitsConfig, Rate};
pub use log::{LogConfig, LogFormat};
pub use metrics::MetricsConfig;
pub use raw::{Origin, Sources};
pub use reader::{Shown, ShownValue};
pub use server::PublicUrl;
pub use session::SessionConfig;
pub use setting::Setting;
pub use sign_in::SignInConfig;
pub use support::SupportConfig;
pub use tokens::{DeviceCodes, TokensConfig};
pub use web::WebConfig;

use raw::RawConfig;
use reader::Reader;

/// Everything a running broker was told. Public fields: it is read, never checked again.
#[derive(Debug)]
pub struct Config {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    pub public_url: PublicUrl,
    /// The folder this process keeps its own files in.
    pub data_dir: PathBuf,
    /// How long requests in flight may take to finish after a signal to stop.
    pub shutdown_timeout: Duration,
    pub database: Database,
    pub keys: KeysConfig,
    pub aws: AwsConfig,
    pub sign_in: SignInConfig,
    pub session: SessionConfig,
    pub tokens: TokensConfig,
    pub web: WebConfig,
    pub limits: LimitsConfig,
    pub metrics: MetricsConfig,
    pub log: LogConfig,
    pub support: SupportConfig,
}

/// What a command that only opens the database needs: no public URL, because it answers no browser.
#[derive(Debug)]
pub struct StoreConfig {
    pub data_dir: PathBuf,
    pub database: Database,
    pub sealing_key: SealingKeySource,
    pub token_keys: TokenKeysConfig,
    pub tokens: TokensConfig,
    pub log: LogConfig,
}

/// The addresses of a demonstration: broker and sandbox on one machine.
#[derive(Debug, Clone, Copy)]
pub struct DemoSettings<'a> {
    pub listen: SocketAddr,
    pub data_dir: &'a Path,
    pub sts_endpoint: &'a Url,
    pub federation_endpoint: &'a Url,
    pub console_url: &'a Url,
}

/// A [`Config`], and each setting as `rolegate config check` shows it.
#[derive(Debug)]
pub struct Checked {
    pub config: Config,
    pub settings: Vec<Shown>,
}

/// Every setting there is, in the order of the documentation.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    [
        server::SETTINGS,
        data::SETTINGS,
        keys::SETTINGS,
        aws::SETTINGS,
        sign_in::SETTINGS,
        session::SETTINGS,
        tokens::SETTINGS,
        web::SETTINGS,
        limits::SETTINGS,
        metrics::SETTINGS,
        log::SETTINGS,
        support::SETTINGS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

impl Config {
    /// What `rolegate serve` runs with.
    ///
    /// # Errors
    /// [`ConfigErrors`]: every mistake there is, each with its key, where it was typed and what to write.
    pub fn load(sources: &Sources) -> Result<Self, ConfigErrors> {
        Self::check(sources).map(|checked| checked.config)
    }

    /// As [`load`](Self::load), and says where each value came from.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn check(sources: &Sources) -> Result<Checked, ConfigErrors> {
        let mut reader = Reader::new(RawConfig::gather(sources));
        let Parts { server, database, keys, aws, sign_in, session, tokens, web, limits, metrics, log, support } =
            Parts::read(&mut reader);
        let server::ServerConfig { listen, public_url, data_dir, shutdown_timeout } = server;
        if public_url.is_none() {
            reader.require("public_url", "write the address people open, such as https://aws.example.com");
        }
        let settings = reader.finish()?;
        let public_url = public_url.expect("a missing public URL was reported and ended the reading");
        let config = Self {
            listen,
            public_url,
            data_dir,
            shutdown_timeout,
            database,
            keys,
            aws,
            sign_in,
            session,
            tokens,
            web,
            limits,
            metrics,
            log,
            support,
        };
        Ok(Checked { config, settings })
    }

    /// The settings of `rolegate demo`: no file and no variable is read, so that a demonstration cannot touch real
    /// data.
    ///
    /// # Errors
    /// [`ConfigErrors`] if an address is not usable.
    pub fn for_demo(demo: DemoSettings<'_>) -> Result<Self, ConfigErrors> {
        Self::load(&Sources::of_program([
            ("listen", demo.listen.to_string()),
            ("public_url", format!("http://{}", demo.listen)),
            ("data_dir", demo.data_dir.display().to_string()),
            ("aws.sts_endpoint", demo.sts_endpoint.to_string()),
            ("aws.federation_endpoint", demo.federation_endpoint.to_string()),
            ("aws.console_url", demo.console_url.to_string()),
        ]))
    }
}

impl StoreConfig {
    /// What a command that only opens the database runs with. All settings are still judged.
    ///
    /// # Errors
    /// [`ConfigErrors`], as [`Config::load`], except that no public URL is asked for.
    pub fn load(sources: &Sources) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new(RawConfig::gather(sources));
        let Parts { server, database, keys, tokens, log, .. } = Parts::read(&mut reader);
        reader.finish()?;
        let KeysConfig { sealing_key, tokens: token_keys, .. } = keys;
        Ok(Self { data_dir: server.data_dir, database, sealing_key, token_keys, tokens, log })
    }
}

struct Parts {
    server: server::ServerConfig,
    database: Database,
    keys: KeysConfig,
    aws: AwsConfig,
    sign_in: SignInConfig,
    session: SessionConfig,
    tokens: TokensConfig,
    web: WebConfig,
    limits: LimitsConfig,
    metrics: MetricsConfig,
    log: LogConfig,
    support: SupportConfig,
}

impl Parts {
    fn read(reader: &mut Reader) -> Self {
        let server = server::read(reader);
        Self {
            database: data::read(reader, &server.data_dir),
            keys: keys::read(reader, &server.data_dir, server.public_url.as_ref()),
            aws: aws::read(reader),
            sign_in: sign_in::read(reader),
            session: session::read(reader),
            tokens: tokens::read(reader),
            web: web::read(reader),
            limits: limits::read(reader),
            metrics: metrics::read(reader),
            log: log::read(reader),
            support: support::read(reader),
            server,
        }
    }
}
