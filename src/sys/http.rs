//! Outbound HTTP: rustls with the ring provider, no redirects, bounded time and size.
//!
//! [`client`] is for what the operator's own settings name. [`Outbound`] is for what an identity provider names in a
//! document: such an address may be anybody's choice, so it is not called when it leads into the operator's own network.

use std::error::Error as StdError;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

/// A client for calls the operator configured: identity provider metadata, STS, the federation endpoint.
///
/// It follows no redirect and gives up connecting after `connect_timeout`; callers set the rest per request.
///
/// # Errors
/// The platform's certificate store cannot be read.
pub fn client(connect_timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    builder(connect_timeout).build()
}

fn builder(connect_timeout: Duration) -> reqwest::ClientBuilder {
    // A second call finds the provider installed already, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(connect_timeout)
        .user_agent(concat!("rolegate/", env!("CARGO_PKG_VERSION")))
}

/// Why something could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{url} could not be reached")]
    Unreachable { url: String, source: reqwest::Error },
    #[error("{url} did not answer in full within {} s", timeout.as_secs())]
    Slow { url: String, timeout: Duration },
    #[error("{url} answered with status {status}")]
    Status { url: String, status: u16 },
    #[error("{url} answered with more than {limit} bytes")]
    TooLarge { url: String, limit: usize },
    #[error("{url} would go over the network without TLS")]
    NotHttps { url: String },
    #[error(
        "{url} is at an address of a private network, which is not called; set private_addresses = true on the \
         connector if that is where the provider is"
    )]
    Private { url: String },
}

impl FetchError {
    /// A stable short name for audit events and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "provider-unreachable",
            Self::Slow { .. } => "provider-slow",
            Self::Status { .. } => "provider-status",
            Self::TooLarge { .. } => "provider-answer-too-large",
            Self::NotHttps { .. } => "provider-not-https",
            Self::Private { .. } => "provider-address-private",
        }
    }
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
    document(url, send(client.get(url.clone()), url, limit, timeout).await?)
}

fn document(url: &Url, answer: Answer) -> Result<Vec<u8>, FetchError> {
    match answer.status {
        200 => Ok(answer.body),
        status => Err(FetchError::Status { url: url.to_string(), status }),
    }
}

/// What came back, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub content_type: Option<String>,
    pub body: Vec<u8>,
}

async fn send(
    request: reqwest::RequestBuilder,
    url: &Url,
    limit: usize,
    timeout: Duration,
) -> Result<Answer, FetchError> {
    let failed = |source: reqwest::Error| {
        let url = url.to_string();
        if is_refusal(&source) {
            FetchError::Private { url }
        } else if source.is_timeout() && !source.is_connect() {
            FetchError::Slow { url, timeout }
        } else {
            // The address is in our own text, and may hold what a log must not: reqwest's would repeat it.
            FetchError::Unreachable { url, source: source.without_url() }
        }
    };
    let mut response = request.timeout(timeout).send().await.map_err(failed)?;
    let status = response.status().as_u16();
    let content_type = response.headers().get(reqwest::header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > limit {
            return Err(FetchError::TooLarge { url: url.to_string(), limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, content_type, body })
}

/// How far a call may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Addresses of the public internet, and this machine where the URL itself names it.
    Public,
    /// Private networks too, and through the proxy of the environment if there is one. Never link-local addresses,
    /// where clouds keep their instances' credentials.
    PrivateToo,
}

/// Calls to addresses that an identity provider names.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// For URLs that name this machine, and for what the settings or the catalog name.
    plain: reqwest::Client,
    public: reqwest::Client,
    private: reqwest::Client,
}

impl Outbound {
    /// # Errors
    /// The platform's certificate store cannot be read.
    pub fn new(plain: reqwest::Client, connect_timeout: Duration) -> Result<Self, reqwest::Error> {
        let guarded = |reach| builder(connect_timeout).dns_resolver(std::sync::Arc::new(Guard(reach)));
        Ok(Self {
            plain,
            // A proxy would look names up itself, behind our back.
            public: guarded(Reach::Public).no_proxy().build()?,
            private: guarded(Reach::PrivateToo).build()?,
        })
    }

    /// Gets a document from an address that the operator chose.
    ///
    /// # Errors
    /// As [`fetch`].
    pub async fn fetch(&self, url: &Url, limit: usize, timeout: Duration) -> Result<Vec<u8>, FetchError> {
        fetch(&self.plain, url, limit, timeout).await
    }

    /// Gets a document.
    ///
    /// # Errors
    /// [`FetchError`], also for a status other than 200.
    pub async fn get(&self, reach: Reach, url: &Url, limit: usize, timeout: Duration) -> Result<Vec<u8>, FetchError> {
        let request = self.client(reach, url)?.get(url.clone()).header(reqwest::header::ACCEPT, "application/json");
        document(url, send(request, url, limit, timeout).await?)
    }

    /// Gets something with a bearer token; any status is an answer.
    ///
    /// # Errors
    /// [`FetchError`]
    pub async fn get_with_bearer(
        &self,
        reach: Reach,
        url: &Url,
        token: &SecretString,
        limit: usize,
        timeout: Duration,
    ) -> Result<Answer, FetchError> {
        let request = self.client(reach, url)?.get(url.clone()).bearer_auth(token.expose_secret());
        let request = request.header(reqwest::header::ACCEPT, "application/json, application/jwt");
        send(request, url, limit, timeout).await
    }

    /// Posts an encoded form; any status is an answer.
    ///
    /// # Errors
    /// [`FetchError`]
    pub async fn post_form(
        &self,
        reach: Reach,
        url: &Url,
        authorization: Option<&SecretString>,
        body: &SecretString,
        limit: usize,
        timeout: Duration,
    ) -> Result<Answer, FetchError> {
        let mut request = self
            .client(reach, url)?
            .post(url.clone())
            .header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(reqwest::header::ACCEPT, "application/json")
            .body(body.expose_secret().to_owned());
        if let Some(authorization) = authorization {
            request = request.header(reqwest::header::AUTHORIZATION, authorization.expose_secret());
        }
        send(request, url, limit, timeout).await
    }

    fn client(&self, reach: Reach, url: &Url) -> Result<&reqwest::Client, FetchError> {
        let address = match url.host() {
            // This machine, because the address says so and not because some name server does.
            Some(Host::Domain(name)) if name == "localhost" || name.ends_with(".localhost") => return Ok(&self.plain),
            Some(Host::Ipv4(address)) if address.is_loopback() => return Ok(&self.plain),
            Some(Host::Ipv6(address)) if address.is_loopback() => return Ok(&self.plain),
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        if url.scheme() != "https" {
            return Err(FetchError::NotHttps { url: url.to_string() });
        }
        // An address that stands there is never looked up, so the guard would not see it.
        if address.is_some_and(|address| !reach.allows(address)) {
            return Err(FetchError::Private { url: url.to_string() });
        }
        Ok(match reach {
            Reach::Public => &self.public,
            Reach::PrivateToo => &self.private,
        })
    }
}

impl Reach {
    /// Whether an address may be called.
    fn allows(self, address: IpAddr) -> bool {
        match kind_of(address) {
            Kind::Public => true,
            Kind::Private => self == Self::PrivateToo,
            Kind::Never => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Public,
    /// A network of the operator's own.
    Private,
    /// This machine by another name, link-local, multicast, reserved.
    Never,
}

fn kind_of(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(v4) => kind_of_v4(v4),
        IpAddr::V6(v6) => kind_of_v6(v6),
    }
}

/// Spec: IANA IPv4 Special-Purpose Address Registry (RFC 6890).
fn kind_of_v4(address: Ipv4Addr) -> Kind {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (10, ..) | (192, 168, _) => Kind::Private,
        (172, 16..=31, _) | (100, 64..=127, _) => Kind::Private,
        (0 | 127, ..) | (169, 254, _) | (192, 0, 0) | (198, 18..=19, _) | (224..=255, ..) => Kind::Never,
        _ => Kind::Public,
    }
}

/// Spec: IANA IPv6 Special-Purpose Address Registry (RFC 6890). What carries an IPv4 address is judged by that.
fn kind_of_v6(address: Ipv6Addr) -> Kind {
    let segments = address.segments();
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        kind_of_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // IPv4-mapped, IPv4-compatible (with ::1 and :: among them), NAT64, 6to4.
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] => match inner(high, low) {
            Kind::Public if segments[5] == 0 => Kind::Never,
            kind => kind,
        },
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => inner(high, low),
        [0x2002, high, low, ..] => inner(high, low),
        [0xfc00..=0xfdff, ..] => Kind::Private,
        // Only 2000::/3 is handed out.
        [0x2000..=0x3fff, ..] => Kind::Public,
        _ => Kind::Never,
    }
}

/// Looks names up as the system does, and leaves out what must not be called. What is connected to is what was judged
/// here, so a name server cannot answer differently a moment later.
#[derive(Debug, Clone, Copy)]
struct Guard(Reach);

/// A name led nowhere but to addresses that are not called.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to a private network only")]
struct Refused;

fn is_refusal(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(error) = next {
        if error.is::<Refused>() {
            return true;
        }
        next = error.source();
    }
    false
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> = found.iter().copied().filter(|address| reach.allows(address.ip())).collect();
            if allowed.is_empty() && !found.is_empty() {
                return Err(Box::new(Refused) as Box<dyn StdError + Send + Sync>);
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        let kinds = |kind, addresses: &[&str]| {
            for text in addresses {
                assert_eq!(kind_of(text.parse().unwrap()), kind, "{text}");
            }
        };
        kinds(
            Kind::Public,
            &["8.8.8.8", "172.15.0.1", "172.32.0.1", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808"],
        );
        kinds(
            Kind::Private,
            &[
                "10.0.0.1",
                "172.16.0.1",
                "192.168.1.1",
                "100.64.0.1",
                "fd00::1",
                "::ffff:10.0.0.1",
                "64:ff9b::a00:1",
                "2002:a00:1::",
            ],
        );
        kinds(
            Kind::Never,
            &[
                "127.0.0.1",
                "127.8.8.8",
                "0.0.0.0",
                "169.254.169.254",
                "224.0.0.1",
                "255.255.255.255",
                "240.0.0.1",
                "192.0.0.1",
                "::",
                "::1",
                "::8.8.8.8",
                "fe80::1",
                "ff02::1",
                "::ffff:127.0.0.1",
                "::ffff:169.254.169.254",
                "64:ff9b::a9fe:a9fe",
                "4000::1",
            ],
        );
        assert!(!Reach::Public.allows("10.0.0.1".parse().unwrap()));
        assert!(Reach::PrivateToo.allows("10.0.0.1".parse().unwrap()));
        assert!(!Reach::PrivateToo.allows("169.254.169.254".parse().unwrap()));
    }

    #[tokio::test]
    async fn what_must_not_be_called_is_not() {
        let connect = Duration::from_secs(1);
        let outbound = Outbound::new(client(connect).unwrap(), connect).unwrap();
        for (reach, url, code) in [
            (Reach::Public, "http://idp.example/", "provider-not-https"),
            (Reach::Public, "https://10.0.0.1/", "provider-address-private"),
            (Reach::Public, "https://[fd00::1]/", "provider-address-private"),
            (Reach::PrivateToo, "https://169.254.169.254/latest", "provider-address-private"),
            (Reach::Public, "https://[::ffff:127.0.0.1]/", "provider-address-private"),
        ] {
            let error = outbound.get(reach, &url.parse().unwrap(), 10, connect).await.unwrap_err();
            assert_eq!(error.code(), code, "{url}: {error}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_home_is_not_followed() {
        let name = "localhost".parse::<Name>().unwrap();
        for reach in [Reach::Public, Reach::PrivateToo] {
            let refused = Guard(reach).resolve(name.clone()).await.err().expect("this machine by a name");
            assert!(refused.is::<Refused>());
        }
    }
}
