//! Where the sandbox knows its partners from: metadata, fetched when it is needed.

use std::sync::Mutex;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use url::Url;

use crate::sys::http::{FetchError, fetch};

/// Metadata of a partner.
#[derive(Debug, Clone)]
pub enum MetadataSource {
    /// Read from there whenever it is needed, so that a partner may start later and change its keys.
    Url(Url),
    Inline(String),
}

const LIMIT: usize = 4 << 20;
const TIMEOUT: Duration = Duration::from_secs(5);
/// Long enough to spare a partner one request per sign-in, short enough that nobody waits for a change.
const FRESH: SignedDuration = SignedDuration::from_secs(10);

/// A source with what was last read from it.
#[derive(Debug)]
pub struct Cached {
    source: MetadataSource,
    last: Mutex<Option<(Timestamp, String)>>,
}

impl Cached {
    pub fn new(source: MetadataSource) -> Self {
        Self { source, last: Mutex::new(None) }
    }

    /// The document; one read a moment ago will do, and so will an older one when the partner cannot be reached.
    ///
    /// # Errors
    /// [`FetchError`] when there is none.
    pub async fn get(&self, client: &reqwest::Client, now: Timestamp) -> Result<String, FetchError> {
        match self.remembered() {
            Some((at, text)) if now < at + FRESH => Ok(text),
            _ => self.refresh(client, now).await,
        }
    }

    /// The document as it is now, or the last known one.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn refresh(&self, client: &reqwest::Client, now: Timestamp) -> Result<String, FetchError> {
        let url = match &self.source {
            MetadataSource::Inline(text) => return Ok(text.clone()),
            MetadataSource::Url(url) => url,
        };
        match fetch(client, url, LIMIT, TIMEOUT).await {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                *self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some((now, text.clone()));
                Ok(text)
            }
            Err(error) => match self.remembered() {
                Some((_, text)) => {
                    tracing::warn!(url = %url, "the sandbox goes on with old metadata: {error}");
                    Ok(text)
                }
                None => Err(error),
            },
        }
    }

    fn remembered(&self) -> Option<(Timestamp, String)> {
        self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}
