//! The keys of OpenID providers, fetched from where their discovery documents say.
//!
//! Spec: OpenID Connect Discovery 1.0, section 4.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use url::{Host, Url};

use super::jwt::Key;
use crate::sys::http::{FetchError, fetch};

const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_DOCUMENT: usize = 128 * 1024;
const MAX_KEYS: usize = 100;
/// How long a copy is used; a token whose key is not in it has it fetched again at once.
const FRESH: SignedDuration = SignedDuration::from_mins(5);

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The provider is not there at all, or says itself that it is in trouble.
    #[error("the provider cannot be asked: {0}")]
    Away(FetchError),
    #[error("the provider's document cannot be had: {0}")]
    Fetch(FetchError),
    #[error("the issuer's address is neither https nor on this machine")]
    Address,
    #[error("the discovery document is not JSON, or not of this issuer, or names no keys")]
    Discovery,
    #[error("the key set holds no key that can be used")]
    Empty,
}

impl From<FetchError> for KeysError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Unreachable { .. } | FetchError::Slow { .. } => Self::Away(error),
            FetchError::Status { status, .. } if status >= 500 => Self::Away(error),
            other => Self::Fetch(other),
        }
    }
}

/// A provider's keys, and whether they were fetched for this very question.
#[derive(Debug, Clone)]
pub struct Known {
    pub keys: Arc<Vec<Key>>,
    pub fetched_now: bool,
}

/// When they were fetched, and the keys, by issuer.
type Copies = HashMap<String, (Timestamp, Arc<Vec<Key>>)>;

/// Keys by issuer. Only issuers that the world knows are asked for, which bounds their number.
#[derive(Debug)]
pub struct IssuerKeys {
    client: reqwest::Client,
    known: Mutex<Copies>,
}

impl IssuerKeys {
    #[must_use]
    pub fn new(client: reqwest::Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// # Errors
    /// [`KeysError`], when they have to be fetched and cannot be.
    pub async fn get(&self, issuer: &str, now: Timestamp) -> Result<Known, KeysError> {
        let kept = self.lock().get(issuer).cloned();
        match kept {
            // A clock that was set back makes no copy last longer.
            Some((at, keys)) if (SignedDuration::ZERO..FRESH).contains(&now.duration_since(at)) => {
                Ok(Known { keys, fetched_now: false })
            }
            _ => self.refresh(issuer, now).await,
        }
    }

    /// # Errors
    /// As [`get`](Self::get).
    pub async fn refresh(&self, issuer: &str, now: Timestamp) -> Result<Known, KeysError> {
        let keys = Arc::new(self.fetch(issuer).await?);
        self.lock().insert(issuer.to_owned(), (now, Arc::clone(&keys)));
        Ok(Known { keys, fetched_now: true })
    }

    async fn fetch(&self, issuer: &str) -> Result<Vec<Key>, KeysError> {
        let discovery = address(&format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')))?;
        let document = fetch(&self.client, &discovery, MAX_DOCUMENT, TIMEOUT).await?;
        let document: Value = serde_json::from_slice(&document).map_err(|_| KeysError::Discovery)?;
        if document.get("issuer").and_then(Value::as_str) != Some(issuer) {
            return Err(KeysError::Discovery);
        }
        let place = address(document.get("jwks_uri").and_then(Value::as_str).ok_or(KeysError::Discovery)?)?;
        let set = fetch(&self.client, &place, MAX_DOCUMENT, TIMEOUT).await?;
        let set: Value = serde_json::from_slice(&set).map_err(|_| KeysError::Empty)?;
        let members = set.get("keys").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let keys: Vec<Key> = members.iter().take(MAX_KEYS).filter_map(Key::read).collect();
        if keys.is_empty() { Err(KeysError::Empty) } else { Ok(keys) }
    }

    fn lock(&self) -> MutexGuard<'_, Copies> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// IAM takes issuers by https only. Here one on this machine may do without.
fn address(text: &str) -> Result<Url, KeysError> {
    let url = Url::parse(text).map_err(|_| KeysError::Address)?;
    let here = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if here => Ok(url),
        _ => Err(KeysError::Address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_asked_by_https_or_on_this_machine() {
        for good in ["https://token.example/x", "http://127.0.0.1:8080/", "http://localhost:1/", "http://[::1]:2/"] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in ["http://token.example/", "http://192.168.0.1/", "ftp://localhost/", "file:///etc/passwd", "x"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
