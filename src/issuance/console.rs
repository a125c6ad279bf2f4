//! Where in the console somebody may be sent: an open redirect is impossible by type.

use url::{Origin, Url};

use crate::aws::{Partition, Region};

/// Long enough for any console page, short enough that the login URL stays below what browsers and proxies take.
const MAX_LENGTH: usize = 2048;

/// The consoles that are allowed besides AWS's own, and the home page where it is not AWS's.
#[derive(Debug, Clone, Default)]
pub struct Consoles {
    /// Used instead of the console's home page in every partition.
    pub home: Option<Url>,
    /// Origins people may be sent to besides the console of the role's partition.
    pub origins: Vec<Origin>,
}

/// A page of the console that credentials of one partition may open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleDestination(Url);

/// Nobody is sent there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationRefused {
    #[error("the destination is not an absolute URL of at most {MAX_LENGTH} characters")]
    NotAUrl,
    /// Kept short: the text came from outside.
    #[error("the destination's host `{0}` is neither the console of the role's partition nor one the operator allows")]
    NotAConsole(String),
}

impl Consoles {
    /// Reads a destination that somebody typed, linked to or configured.
    ///
    /// Allowed are the console's root host and its children in the role's partition (a region, or with multi-session
    /// `{account}-{8 characters}.{region}`), by https, without user name or port; and the operator's own origins.
    ///
    /// # Errors
    /// [`DestinationRefused`] for anything else. Falling back to [`home`](Self::home) is always safe.
    pub fn parse(&self, text: &str, partition: Partition) -> Result<ConsoleDestination, DestinationRefused> {
        if text.len() > MAX_LENGTH {
            return Err(DestinationRefused::NotAUrl);
        }
        let url = Url::parse(text).map_err(|_| DestinationRefused::NotAUrl)?;
        // The parsed URL is what is sent, so what is judged here cannot be read differently by a browser.
        let anonymous = url.username().is_empty() && url.password().is_none();
        let web = matches!(url.scheme(), "https" | "http");
        if anonymous && web && (is_aws_console(&url, partition) || self.is_own(&url)) {
            Ok(ConsoleDestination(url))
        } else {
            let host = url.host_str().unwrap_or("").chars().take(100).collect();
            Err(DestinationRefused::NotAConsole(host))
        }
    }

    /// The console's home page in a region.
    #[must_use]
    pub fn home(&self, partition: Partition, region: &Region) -> ConsoleDestination {
        let mut url = self.home.clone().unwrap_or_else(|| {
            let host = partition.console_host();
            let home = match partition {
                Partition::Aws => format!("https://{region}.{host}/console/home"),
                // Regional hosts are documented for the commercial partition only.
                Partition::AwsCn | Partition::AwsUsGov => format!("https://{host}/console/home"),
            };
            Url::parse(&home).expect("a region is a valid host label")
        });
        if !url.query_pairs().any(|(name, _)| name == "region") {
            url.query_pairs_mut().append_pair("region", region.as_str());
        }
        ConsoleDestination(url)
    }

    fn is_own(&self, url: &Url) -> bool {
        let origin = url.origin();
        self.home.as_ref().is_some_and(|home| home.origin() == origin) || self.origins.contains(&origin)
    }
}

fn is_aws_console(url: &Url, partition: Partition) -> bool {
    let (Some(host), "https", None) = (url.host_str(), url.scheme(), url.port()) else { return false };
    let root = partition.console_host();
    if host == root {
        return true;
    }
    let Some(labels) = host.strip_suffix(root).and_then(|rest| rest.strip_suffix('.')) else { return false };
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    match labels.split_once('.') {
        None => is_label(labels),
        Some((session, region)) => is_multi_session(session) && is_label(region),
    }
}

/// `{account}-{8 characters}`: how the console keeps several sessions in one browser apart.
fn is_multi_session(label: &str) -> bool {
    label.split_once('-').is_some_and(|(account, suffix)| {
        account.len() == 12
            && account.bytes().all(|b| b.is_ascii_digit())
            && suffix.len() == 8
            && suffix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    })
}

impl ConsoleDestination {
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

#[cfg(test)]
mod tests;
