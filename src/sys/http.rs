//! The one outbound HTTP client: rustls with the ring provider, no redirects, bounded time and size.

use std::time::Duration;

use url::Url;

/// A client for calls the operator configured: identity provider metadata, STS, the federation endpoint.
///
/// It follows no redirect and gives up connecting after `connect_timeout`; callers set the rest per request.
///
/// # Errors
/// The platform's certificate store cannot be read.
pub fn client(connect_timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    // A second call finds the provider installed already, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(connect_timeout)
        .user_agent(concat!("rolegate/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Why something could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{url} could not be reached")]
    Unreachable { url: String, source: reqwest::Error },
    #[error("{url} answered with status {status}")]
    Status { url: String, status: u16 },
    #[error("{url} answered with more than {limit} bytes")]
    TooLarge { url: String, limit: usize },
}

/// Gets a document, reading no more than `limit` bytes.
///
/// # Errors
/// [`FetchError`]: unreachable or slower than `timeout`, a status other than 200, or too large.
pub async fn fetch(
    client: &reqwest::Client,
    url: &Url,
    limit: usize,
    timeout: Duration,
) -> Result<Vec<u8>, FetchError> {
    let unreachable = |source| FetchError::Unreachable { url: url.to_string(), source };
    let mut response = client.get(url.clone()).timeout(timeout).send().await.map_err(unreachable)?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(FetchError::Status { url: url.to_string(), status: response.status().as_u16() });
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > limit {
            return Err(FetchError::TooLarge { url: url.to_string(), limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
