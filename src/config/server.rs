//! The settings without a section: where this process listens, what people call it, where its files are.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::reader::{Advice, Reader, duration};
use super::setting::Setting;

pub(super) static SETTINGS: &[&Setting] = &[&LISTEN, &PUBLIC_URL, &DATA_DIR, &SHUTDOWN_TIMEOUT];
static LISTEN: Setting = Setting::new("listen", "127.0.0.1:8080");
static PUBLIC_URL: Setting = Setting::optional("public_url", "`serve` asks for it");
static DATA_DIR: Setting = Setting::new("data_dir", "rolegate-data");
static SHUTDOWN_TIMEOUT: Setting = Setting::new("shutdown_timeout", "10s");

pub(super) struct ServerConfig {
    pub listen: SocketAddr,
    pub public_url: Option<PublicUrl>,
    pub data_dir: PathBuf,
    pub shutdown_timeout: Duration,
}

pub(super) fn read(reader: &mut Reader) -> ServerConfig {
    ServerConfig {
        listen: reader.value(&LISTEN, |text| {
            text.parse().map_err(|_| "write an address and a port, such as 127.0.0.1:8080 or [::]:8080".to_owned())
        }),
        public_url: reader.optional(&PUBLIC_URL, PublicUrl::parse),
        data_dir: reader.path(&DATA_DIR),
        shutdown_timeout: reader.value(&SHUTDOWN_TIMEOUT, duration(Duration::ZERO, Duration::from_secs(600))),
    }
}

/// The address people open, as scheme, host and port: `https`, or `http` on loopback. Entity IDs are made from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(Url);

impl PublicUrl {
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, Advice> {
        let url = web_url(text)?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(
                "write scheme, host and port only, such as https://aws.example.com; Rolegate needs a host of its own"
                    .to_owned(),
            );
        }
        Ok(Self(url))
    }

    /// With a slash at the end, as URLs have it.
    #[must_use]
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// Scheme, host and port without a slash, as the `Origin` header has it: `https://aws.example.com`.
    #[must_use]
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The address of a path of ours, which begins with `/`.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    /// Whether browsers reach us over TLS, so that cookies can be `Secure` and named `__Host-`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin())
    }
}

/// An address to send people or secrets to: `https`, or `http` where the traffic stays on this machine.
pub(super) fn web_url(text: &str) -> Result<Url, Advice> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or("write a whole address, such as https://aws.example.com")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("write the address without a user name or password".to_owned());
    }
    if url.scheme() == "http" && !crate::sys::http::names_this_machine(&url) {
        return Err("write an https:// address; http:// is accepted for 127.0.0.1 and localhost only".to_owned());
    }
    Ok(url)
}
