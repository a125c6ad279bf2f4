//! `[web]`: how requests are taken in.

use std::num::NonZeroUsize;
use std::time::Duration;

use ipnet::IpNet;

use super::reader::{Reader, duration, number};
use super::setting::Setting;

pub(super) static SETTINGS: &[&Setting] = &[&TRUSTED_PROXIES, &MAX_BODY, &WORKERS, &KEEP_ALIVE];
static TRUSTED_PROXIES: Setting = Setting::optional("web.trusted_proxies", "none: clients connect directly");
static MAX_BODY: Setting = Setting::new("web.max_body", "1MiB");
static WORKERS: Setting = Setting::optional("web.workers", "one for each processor");
static KEEP_ALIVE: Setting = Setting::new("web.keep_alive", "75s");

#[derive(Debug, Clone)]
pub struct WebConfig {
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The largest request body that is read, in bytes.
    pub max_body: usize,
    /// Threads that answer requests; `None` is one for each processor.
    pub workers: Option<NonZeroUsize>,
    /// How long an idle connection is kept; zero closes it after each answer.
    pub keep_alive: Duration,
}

/// A signed answer with 4,000 groups, in base64 and form encoding, must fit.
const SMALLEST_BODY: usize = 512 * 1024;
const LARGEST_BODY: usize = 16 * 1024 * 1024;

pub(super) fn read(reader: &mut Reader) -> WebConfig {
    WebConfig {
        trusted_proxies: reader.list(&TRUSTED_PROXIES, |text| {
            text.parse::<IpNet>()
                .or_else(|_| text.parse().map(|address: std::net::IpAddr| IpNet::from(address)))
                .map_err(|_| "write an address or a network, such as 10.0.0.7 or 10.0.0.0/8".to_owned())
        }),
        max_body: reader.value(&MAX_BODY, |text| {
            bytes(text)
                .filter(|size| (SMALLEST_BODY..=LARGEST_BODY).contains(size))
                .ok_or_else(|| "write a size from 512KiB to 16MiB, such as 1MiB".to_owned())
        }),
        workers: reader.optional(&WORKERS, |text| {
            let count = number(1, 1024)(text)?;
            Ok(NonZeroUsize::MIN.saturating_add(count as usize - 1))
        }),
        keep_alive: reader.value(&KEEP_ALIVE, duration(Duration::ZERO, Duration::from_secs(3600))),
    }
}

/// A number of bytes, with `KiB` or `MiB` behind it or nothing.
fn bytes(text: &str) -> Option<usize> {
    let (digits, unit) = match (text.strip_suffix("KiB"), text.strip_suffix("MiB")) {
        (Some(digits), _) => (digits, 1024),
        (_, Some(digits)) => (digits, 1024 * 1024),
        _ => (text, 1),
    };
    digits.trim_end().parse::<usize>().ok()?.checked_mul(unit)
}
