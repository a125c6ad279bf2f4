//! Outbound HTTP: rustls with the ring provider, no redirects, bounded time and size.
//!
//! [`client`] is for what the operator's own settings name. [`Outbound`] is for what an identity provider names in a
//! document: such an address may be anybody's choice, so it is not called when it leads into the operator's own network.

mod address;
#[cfg(test)]
mod tests;

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, DATE, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

use address::{Kind, kind_of};

/// A client for calls the operator configured: identity provider metadata, STS, the federation endpoint.
///
/// It follows no redirect and gives up connecting after `connect_timeout`; callers set the rest per request.
///
/// # Errors
/// The platform's certificate store cannot be read.
pub fn client(connect_timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    builder(connect_timeout).build()
}

/// A client for one server that the person at the keyboard named. Where its address says that it is this machine, no
/// name server and no proxy is asked.
///
/// # Errors
/// As [`client`].
pub fn client_of(server: &Url, connect_timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    let builder = builder(connect_timeout);
    if names_this_machine(server) { builder.dns_resolver(ThisMachine).no_proxy().build() } else { builder.build() }
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
    #[error("the address at {host} holds a user name or a password, which no provider needs there")]
    UserInfo { host: String },
    #[error("what was to authorise the call to {url} cannot stand in a header")]
    Authorization { url: String },
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
            Self::UserInfo { .. } => "provider-user-info",
            Self::Authorization { .. } => "provider-authorization-unusable",
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
#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub content_type: Option<String>,
    /// For how long it says it may be kept.
    pub cache_control: Option<String>,
    /// The server's clock when it answered, to the second.
    pub date: Option<Timestamp>,
    pub body: Vec<u8>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Bodies hold tokens.
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
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
    if response.content_length().is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit)) {
        return Err(FetchError::TooLarge { url: url.to_string(), limit });
    }
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (content_type, cache_control) = (header(CONTENT_TYPE), header(CACHE_CONTROL));
    let date = response.headers().get(DATE).and_then(|value| value.to_str().ok()).and_then(http_date);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > limit {
            return Err(FetchError::TooLarge { url: url.to_string(), limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, content_type, cache_control, date, body })
}

/// Spec: RFC 9110, section 5.6.7; only the form that servers have to write.
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
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
    /// For what the settings or the catalog name.
    plain: reqwest::Client,
    /// For URLs that name this machine.
    here: reqwest::Client,
    public: reqwest::Client,
    private: reqwest::Client,
}

impl Outbound {
    /// # Errors
    /// The platform's certificate store cannot be read.
    pub fn new(plain: reqwest::Client, connect_timeout: Duration) -> Result<Self, reqwest::Error> {
        Self::looking_up(plain, connect_timeout, &(Arc::new(system_lookup) as Lookup))
    }

    fn looking_up(plain: reqwest::Client, connect_timeout: Duration, lookup: &Lookup) -> Result<Self, reqwest::Error> {
        let guarded =
            |reach| builder(connect_timeout).referer(false).dns_resolver(Guard { reach, lookup: Arc::clone(lookup) });
        Ok(Self {
            plain,
            here: builder(connect_timeout).dns_resolver(ThisMachine).no_proxy().build()?,
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

    /// As [`fetch`](Self::fetch), for whoever wants to know more than the document; any status is an answer.
    ///
    /// # Errors
    /// [`FetchError`]
    pub async fn ask_plainly(&self, url: &Url, limit: usize, timeout: Duration) -> Result<Answer, FetchError> {
        send(self.plain.get(url.clone()), url, limit, timeout).await
    }

    /// As [`get`](Self::get), for whoever wants to know more than the document; any status is an answer.
    ///
    /// # Errors
    /// [`FetchError`]
    pub async fn ask(&self, reach: Reach, url: &Url, limit: usize, timeout: Duration) -> Result<Answer, FetchError> {
        let request = self.client(reach, url)?.get(url.clone()).header(ACCEPT, "application/json");
        send(request, url, limit, timeout).await
    }

    /// Gets a document.
    ///
    /// # Errors
    /// [`FetchError`], also for a status other than 200.
    pub async fn get(&self, reach: Reach, url: &Url, limit: usize, timeout: Duration) -> Result<Vec<u8>, FetchError> {
        document(url, self.ask(reach, url, limit, timeout).await?)
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
        let request = self.client(reach, url)?.get(url.clone()).header(ACCEPT, "application/json, application/jwt");
        let bearer = SecretString::from(format!("Bearer {}", token.expose_secret()));
        send(authorized(request, &bearer, url)?, url, limit, timeout).await
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
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(body.expose_secret().to_owned());
        if let Some(authorization) = authorization {
            request = authorized(request, authorization, url)?;
        }
        send(request, url, limit, timeout).await
    }

    fn client(&self, reach: Reach, url: &Url) -> Result<&reqwest::Client, FetchError> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchError::UserInfo { host: url.host_str().unwrap_or_default().to_owned() });
        }
        // This machine, because the address says so and not because some name server does.
        if matches!(url.scheme(), "http" | "https") && names_this_machine(url) {
            return Ok(&self.here);
        }
        if url.scheme() != "https" {
            return Err(FetchError::NotHttps { url: url.to_string() });
        }
        // An address that stands there is never looked up, so the guard would not see it.
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        if address.is_some_and(|address| !reach.allows(address)) {
            return Err(FetchError::Private { url: url.to_string() });
        }
        Ok(match reach {
            Reach::Public => &self.public,
            Reach::PrivateToo => &self.private,
        })
    }
}

fn authorized(
    request: reqwest::RequestBuilder,
    value: &SecretString,
    url: &Url,
) -> Result<reqwest::RequestBuilder, FetchError> {
    let value = HeaderValue::from_str(value.expose_secret());
    let mut value = value.map_err(|_| FetchError::Authorization { url: url.to_string() })?;
    value.set_sensitive(true);
    Ok(request.header(AUTHORIZATION, value))
}

/// Whether a URL names this very machine: by a number, or by a name that leads here whatever a name server says.
///
/// Spec: RFC 6761, section 6.3.
#[must_use]
pub fn names_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
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

type Lookup = Arc<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

fn system_lookup(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// Looks names up as the system does, and leaves out what must not be called. What is connected to is what was judged
/// here, so a name server cannot answer differently a moment later.
struct Guard {
    reach: Reach,
    lookup: Lookup,
}

/// Names of this machine. RFC 6761: nobody has to be asked, and nobody can say otherwise.
struct ThisMachine;

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
        let (lookup, reach) = (Arc::clone(&self.lookup), self.reach);
        Box::pin(async move {
            let found = tokio::task::spawn_blocking(move || lookup(name.as_str())).await??;
            let allowed: Vec<IpAddr> = found.iter().copied().filter(|address| reach.allows(*address)).collect();
            if allowed.is_empty() && !found.is_empty() {
                return Err(Box::new(Refused) as Box<dyn StdError + Send + Sync>);
            }
            Ok(addresses(allowed))
        })
    }
}

impl Resolve for ThisMachine {
    fn resolve(&self, _: Name) -> Resolving {
        let here = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        Box::pin(async move { Ok(addresses(here)) })
    }
}

fn addresses(of: Vec<IpAddr>) -> Addrs {
    Box::new(of.into_iter().map(|address| SocketAddr::new(address, 0)))
}
