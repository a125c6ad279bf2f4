//! Connectors made ready for use: the catalog's words, the identity provider's documents and our own keys together.
//!
//! Documents that stand in the catalog are parsed once per revision. Those from a URL are fetched in the background,
//! the last good copy is in the database, and a copy that cannot be used never replaces one that can. [`saml`],
//! [`oidc`] and [`workload`] know what a document is; this file knows when to fetch one.

pub mod oidc;
pub mod saml;
pub mod workload;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use url::Url;

use self::oidc::OidcProvider;
use self::saml::SamlProvider;
use self::workload::WorkloadProvider;
use super::Ground;
use super::current::Loaded;
use crate::audit::{Event, Kind};
use crate::catalog::{Connector, ConnectorKind, Issuer, KeySource, MetadataSource, SecretError, WorkloadConnector};
use crate::identity::ConnectorId;
use crate::saml::certificate::SigningCertificate;
use crate::saml::key::SigningKey;
use crate::saml::metadata::{IdpMetadata, MetadataError};
use crate::saml::write::WriteError;
use crate::signin::oidc::{DiscoveryError, Keys, KeysError, NoClientAuth, ProviderMetadata};
use crate::store::StoreError;
use crate::store::metadata::{self, FetchedMetadata};
use crate::sys::http::{FetchError, Outbound};

/// Why a connector cannot be used right now.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    #[error("what connector `{connector}` needs from its provider cannot be fetched")]
    Fetch { connector: ConnectorId, source: FetchError },
    #[error("the metadata of connector `{connector}` is not UTF-8")]
    NotText { connector: ConnectorId },
    #[error("the metadata of connector `{connector}` was asked for a moment ago and could not be fetched")]
    TriedJustNow { connector: ConnectorId },
    #[error("the metadata of connector `{connector}` cannot be used")]
    Metadata { connector: ConnectorId, source: MetadataError },
    #[error("the discovery document of connector `{connector}` cannot be used")]
    Discovery { connector: ConnectorId, source: DiscoveryError },
    #[error("the JWK set of connector `{connector}` cannot be used")]
    Keys { connector: ConnectorId, source: KeysError },
    #[error("connector `{connector}` has no way to prove who it is")]
    ClientAuth { connector: ConnectorId, source: NoClientAuth },
    #[error("the client secret of connector `{connector}` cannot be opened; apply the catalog again with it")]
    Secret { connector: ConnectorId, source: SecretError },
    #[error("connector `{connector}` does not speak {protocol}")]
    OtherProtocol { connector: ConnectorId, protocol: &'static str },
    #[error("our metadata cannot be written")]
    Write(#[from] WriteError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ConnectorError {
    /// The stable word for audit events.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Fetch { source, .. } => source.code(),
            Self::NotText { .. } | Self::Metadata { .. } | Self::TriedJustNow { .. } => "metadata-unusable",
            Self::Discovery { source, .. } => source.code(),
            Self::Keys { source, .. } => source.code(),
            Self::ClientAuth { .. } => "client-authentication-impossible",
            Self::Secret { .. } => "client-secret-sealed-otherwise",
            Self::OtherProtocol { .. } => "connector-unknown",
            Self::Write(_) => "metadata-unwritable",
            Self::Store(_) => "store",
        }
    }

    /// Whether the provider was asked, or its answer read, and that went wrong; not when it had been found out just before.
    #[must_use]
    pub const fn is_about_the_provider(&self) -> bool {
        match self {
            Self::Fetch { .. }
            | Self::NotText { .. }
            | Self::Metadata { .. }
            | Self::Discovery { .. }
            | Self::Keys { .. }
            | Self::ClientAuth { .. }
            | Self::Secret { .. } => true,
            Self::TriedJustNow { .. } | Self::OtherProtocol { .. } | Self::Write(_) | Self::Store(_) => false,
        }
    }
}

/// How often documents are fetched when they do not say.
const EVERY: SignedDuration = SignedDuration::from_hours(1);
/// However often somebody asks, no more often than this.
const NOT_BEFORE: SignedDuration = SignedDuration::from_secs(60);
/// After a failure at a moment when there is no copy at all.
const RETRY: SignedDuration = SignedDuration::from_secs(5);
/// So many providers are asked at once for what is due.
const REFRESHED_AT_ONCE: usize = 8;

/// A connector with everything it needs.
#[derive(Debug, Clone)]
pub enum Provider {
    Saml(Arc<SamlProvider>),
    Oidc(Arc<OidcProvider>),
    Workload(Arc<WorkloadProvider>),
}

impl Provider {
    /// Whether both know the same keys of the identity provider.
    fn has_the_keys_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Saml(one), Self::Saml(other)) => {
                let prints = |provider: &SamlProvider| -> Vec<String> {
                    provider.settings.idp.certificates.iter().map(SigningCertificate::fingerprint).collect()
                };
                prints(one) == prints(other)
            }
            (Self::Oidc(one), Self::Oidc(other)) => one.settings.keys == other.settings.keys,
            (Self::Workload(one), Self::Workload(other)) => one.settings.keys == other.settings.keys,
            (Self::Saml(_) | Self::Oidc(_) | Self::Workload(_), _) => false,
        }
    }
}

/// What the provider says about itself, read and found usable.
#[derive(Debug)]
enum Document {
    Saml(Box<IdpMetadata>),
    Oidc(Box<ProviderMetadata>, Keys),
    Workload(Issuer, Keys),
}

impl Document {
    /// How the provider calls itself.
    fn name(&self) -> &str {
        match self {
            Self::Saml(idp) => &idp.entity_id,
            Self::Oidc(provider, _) => provider.issuer.as_str(),
            Self::Workload(issuer, _) => issuer.as_str(),
        }
    }

    /// What tells its keys apart, for the audit log.
    fn keys(&self) -> Vec<String> {
        match self {
            Self::Saml(idp) => idp.certificates.iter().map(SigningCertificate::fingerprint).collect(),
            Self::Oidc(_, keys) | Self::Workload(_, keys) => keys.names(),
        }
    }

    fn warnings(&self) -> Vec<String> {
        match self {
            Self::Saml(idp) => idp.warnings.clone(),
            Self::Oidc(..) | Self::Workload(..) => Vec::new(),
        }
    }

    fn every(&self) -> SignedDuration {
        match self {
            Self::Saml(idp) => idp.cache_duration.map_or(EVERY, |said| said.clamp(NOT_BEFORE, EVERY * 24)),
            Self::Oidc(..) | Self::Workload(..) => EVERY,
        }
    }
}

/// Hands out connectors that are ready.
#[derive(Debug, Clone)]
pub struct Connectors {
    ground: Ground,
    http: Outbound,
    public_url: Url,
    keys: OwnKeys,
    /// The largest reply that is looked at, in bytes.
    largest_reply: usize,
    kept: Arc<Mutex<HashMap<ConnectorId, Kept>>>,
}

/// Our own keys towards identity providers.
#[derive(Debug, Clone)]
pub struct OwnKeys {
    /// Signs SAML requests and opens what is encrypted for us.
    pub saml: Arc<SigningKey>,
    /// Signs client assertions (`private_key_jwt`).
    pub oidc: Arc<SigningKey>,
}

#[derive(Debug, Default)]
struct Kept {
    ready: Option<Ready>,
    /// When the URL was last asked, well or not.
    asked: Option<Timestamp>,
    /// When it was last asked because a reply was signed with an unknown key.
    asked_for_key: Option<Timestamp>,
    /// Held while the URL is asked, so that whoever comes meanwhile waits for the answer.
    asking: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Clone)]
struct Ready {
    revision: i64,
    fetched: Option<Timestamp>,
    provider: Provider,
}

/// Where the document is: in the catalog, or at an address.
enum Source<'c> {
    Inline(&'c str),
    Url(Url),
}

impl Source<'_> {
    fn of(connector: &Connector) -> Source<'_> {
        match &connector.kind {
            ConnectorKind::Saml(saml) => match &saml.metadata {
                MetadataSource::Inline(document) => Source::Inline(document),
                MetadataSource::Url(url) => Source::Url(url.as_url().clone()),
            },
            ConnectorKind::Oidc(oidc) => Source::Url(crate::signin::oidc::discovery_url(&oidc.issuer)),
            ConnectorKind::Workload(workload) => match &workload.keys {
                KeySource::Inline(jwks) => Source::Inline(jwks),
                KeySource::Url(url) => Source::Url(url.as_url().clone()),
                KeySource::Discovery => Source::Url(crate::signin::oidc::discovery_url(&workload.issuer)),
            },
        }
    }
}

impl Connectors {
    #[must_use]
    pub fn new(ground: Ground, http: Outbound, public_url: Url, keys: OwnKeys, largest_reply: usize) -> Self {
        Self { ground, http, public_url, keys, largest_reply, kept: Arc::default() }
    }

    /// A SAML connector ready for use.
    ///
    /// # Errors
    /// [`ConnectorError`]: no usable metadata, or it speaks another protocol.
    pub async fn saml(&self, connector: &Connector, revision: i64) -> Result<Arc<SamlProvider>, ConnectorError> {
        match self.ready(connector, revision).await? {
            Provider::Saml(provider) => Ok(provider),
            Provider::Oidc(_) | Provider::Workload(_) => Err(other_protocol(connector, "SAML")),
        }
    }

    /// An OpenID connector ready for use.
    ///
    /// # Errors
    /// [`ConnectorError`]: no usable documents, or it speaks another protocol.
    pub async fn oidc(&self, connector: &Connector, revision: i64) -> Result<Arc<OidcProvider>, ConnectorError> {
        match self.ready(connector, revision).await? {
            Provider::Oidc(provider) => Ok(provider),
            Provider::Saml(_) | Provider::Workload(_) => Err(other_protocol(connector, "OpenID Connect")),
        }
    }

    /// A connector for workloads ready for use.
    ///
    /// # Errors
    /// [`ConnectorError`]: no usable documents, or it is for people.
    pub async fn workload(
        &self,
        connector: &Connector,
        revision: i64,
    ) -> Result<Arc<WorkloadProvider>, ConnectorError> {
        match self.ready(connector, revision).await? {
            Provider::Workload(provider) => Ok(provider),
            Provider::Saml(_) | Provider::Oidc(_) => Err(other_protocol(connector, "token exchange")),
        }
    }

    /// A connector ready for use.
    ///
    /// # Errors
    /// [`ConnectorError`]: no usable document.
    pub async fn ready(&self, connector: &Connector, revision: i64) -> Result<Provider, ConnectorError> {
        match Source::of(connector) {
            Source::Inline(document) => {
                if let Some(provider) = self.remembered(&connector.id, revision, None) {
                    return Ok(provider);
                }
                self.prepare(connector, document, revision, None)
            }
            Source::Url(url) => {
                if let Some(provider) = self.fetched(connector, revision, &url).await? {
                    return Ok(provider);
                }
                let copy = self.fetch_first(connector, &url).await?;
                self.prepare(connector, &copy.document, revision, Some(copy.fetched))
            }
        }
    }

    /// The connector with what its URL answered last; `None` when it never did.
    async fn fetched(
        &self,
        connector: &Connector,
        revision: i64,
        url: &Url,
    ) -> Result<Option<Provider>, ConnectorError> {
        if let Some((from, at)) = self.ground.store.metadata_fetched(&connector.id).await?
            && from == url.as_str()
            && let Some(provider) = self.remembered(&connector.id, revision, Some(at))
        {
            return Ok(Some(provider));
        }
        let Some(copy) = self.copy(connector, url).await? else { return Ok(None) };
        self.prepare(connector, &copy.document, revision, Some(copy.fetched)).map(Some)
    }

    fn with_kept<T>(&self, connector: &ConnectorId, work: impl FnOnce(&mut Kept) -> T) -> T {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        work(kept.entry(connector.clone()).or_default())
    }

    fn remembered(&self, connector: &ConnectorId, revision: i64, fetched: Option<Timestamp>) -> Option<Provider> {
        let ready = self.with_kept(connector, |kept| kept.ready.clone())?;
        (ready.revision == revision && ready.fetched == fetched).then_some(ready.provider)
    }

    fn read(&self, connector: &Connector, document: &str) -> Result<Document, ConnectorError> {
        match &connector.kind {
            ConnectorKind::Saml(saml) => {
                IdpMetadata::read(document.as_bytes(), saml.idp_entity_id.as_deref(), self.ground.clock.now())
                    .map(|idp| Document::Saml(Box::new(idp)))
                    .map_err(|source| ConnectorError::Metadata { connector: connector.id.clone(), source })
            }
            ConnectorKind::Oidc(oidc) => oidc::read(&connector.id, oidc, document),
            ConnectorKind::Workload(workload) => workload::read(&connector.id, workload, document),
        }
    }

    fn prepare(
        &self,
        connector: &Connector,
        document: &str,
        revision: i64,
        fetched: Option<Timestamp>,
    ) -> Result<Provider, ConnectorError> {
        let document = self.read(connector, document)?;
        for warning in document.warnings() {
            tracing::warn!(connector.id = %connector.id, "identity provider metadata: {warning}");
        }
        let provider = match (document, &connector.kind) {
            (Document::Saml(idp), ConnectorKind::Saml(saml)) => {
                Provider::Saml(Arc::new(self.saml_provider(connector, saml, *idp)))
            }
            (Document::Oidc(provider, keys), ConnectorKind::Oidc(oidc)) => {
                Provider::Oidc(Arc::new(self.oidc_provider(connector, oidc, *provider, keys)?))
            }
            (Document::Workload(_, keys), ConnectorKind::Workload(workload)) => {
                Provider::Workload(Arc::new(self.workload_provider(connector, workload, keys)))
            }
            (Document::Saml(_), _) => return Err(other_protocol(connector, "SAML")),
            (Document::Oidc(..), _) => return Err(other_protocol(connector, "OpenID Connect")),
            (Document::Workload(..), _) => return Err(other_protocol(connector, "token exchange")),
        };
        let ready = Ready { revision, fetched, provider: provider.clone() };
        self.with_kept(&connector.id, |kept| kept.ready = Some(ready));
        Ok(provider)
    }

    fn asking(&self, connector: &ConnectorId) -> Arc<tokio::sync::Mutex<()>> {
        self.with_kept(connector, |kept| Arc::clone(&kept.asking))
    }

    /// The copy of what the URL answered last.
    async fn copy(&self, connector: &Connector, url: &Url) -> Result<Option<FetchedMetadata>, StoreError> {
        let copy = self.ground.store.fetched_metadata(&connector.id).await?;
        Ok(copy.filter(|copy| copy.url == url.as_str()))
    }

    /// Fetches a document of which there is no copy yet, but does not hammer a provider that is down.
    async fn fetch_first(&self, connector: &Connector, url: &Url) -> Result<FetchedMetadata, ConnectorError> {
        let asking = self.asking(&connector.id);
        let _turn = asking.lock().await;
        // Somebody may have asked while we waited.
        if let Some(copy) = self.copy(connector, url).await? {
            return Ok(copy);
        }
        let now = self.ground.clock.now();
        let just_tried = self.with_kept(&connector.id, |kept| {
            let just_tried = kept.asked.is_some_and(|asked| now.duration_since(asked) < RETRY);
            if !just_tried {
                kept.asked = Some(now);
            }
            just_tried
        });
        if just_tried {
            return Err(ConnectorError::TriedJustNow { connector: connector.id.clone() });
        }
        self.fetch_and_save(connector, url).await
    }

    /// What the provider says about itself right now, as one text to keep.
    async fn fetch(&self, connector: &Connector, url: &Url) -> Result<String, ConnectorError> {
        match &connector.kind {
            ConnectorKind::Saml(_) => self.fetch_saml(connector, url).await,
            ConnectorKind::Oidc(oidc) => self.fetch_oidc(connector, oidc, url).await,
            ConnectorKind::Workload(workload) => self.fetch_workload(connector, workload, url).await,
        }
    }

    /// Fetches, checks that it can be used, and keeps it; records when the document changed.
    async fn fetch_and_save(&self, connector: &Connector, url: &Url) -> Result<FetchedMetadata, ConnectorError> {
        let fetched = self.fetch(connector, url).await;
        let fetched = fetched.and_then(|document| Ok((self.read(connector, &document)?, document)));
        if fetched.is_err() {
            // Counted from now: whoever waited meanwhile would else wait as long again, one after the other.
            let failed = self.ground.clock.now();
            self.with_kept(&connector.id, |kept| kept.asked = Some(failed));
        }
        let (read, document) = fetched?;
        let fetched = FetchedMetadata { url: url.to_string(), document, fetched: self.ground.clock.now() };
        let before = self.ground.store.fetched_metadata(&connector.id).await?;
        let mut tx = self.ground.store.begin().await?;
        metadata::save(&mut tx, &connector.id, &fetched).await?;
        if before.is_none_or(|before| before.document != fetched.document) {
            let event = Event::new(Kind::MetadataRefreshed)
                .with("connector", connector.id.as_str())
                .with("url", url.as_str())
                .with("entity_id", read.name())
                .with("certificates", read.keys());
            self.ground.append(&mut tx, &event).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(fetched)
    }

    /// Fetches what is due; failures are logged and the last good copy goes on being used.
    ///
    /// Several at once: a provider that is slow or gone does not keep us from the others.
    pub async fn refresh_due(&self, loaded: &Loaded) {
        let enabled = loaded.catalog.connectors().filter(|connector| connector.enabled);
        let refreshes: Vec<_> = enabled.map(|connector| self.refresh_or_warn(connector)).collect();
        futures_util::stream::iter(refreshes).for_each_concurrent(REFRESHED_AT_ONCE, |refresh| refresh).await;
    }

    async fn refresh_or_warn(&self, connector: &Connector) {
        let Source::Url(url) = Source::of(connector) else { return };
        if let Err(error) = self.refresh_if_due(connector, &url).await {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            tracing::warn!(connector.id = %connector.id, cause, "{error}");
        }
    }

    async fn refresh_if_due(&self, connector: &Connector, url: &Url) -> Result<(), ConnectorError> {
        let asking = self.asking(&connector.id);
        let _turn = asking.lock().await;
        let now = self.ground.clock.now();
        let due = match self.copy(connector, url).await? {
            None => true,
            Some(copy) => {
                let every = self.read(connector, &copy.document).map_or(EVERY, |document| document.every());
                now.duration_since(copy.fetched) >= every
            }
        };
        let asked = self.with_kept(&connector.id, |kept| {
            let again = kept.asked.is_none_or(|asked| now.duration_since(asked) >= NOT_BEFORE);
            if due && again {
                kept.asked = Some(now);
            }
            due && again
        });
        if asked {
            self.fetch_and_save(connector, url).await?;
        }
        Ok(())
    }

    /// A reply was signed with a key that `judged_with` does not know. Perhaps the provider changed its keys: asks, at
    /// most once a minute, and returns the connector when there is something new.
    ///
    /// When keys change, many arrive at once: whoever comes while the provider is being asked waits for that answer, and
    /// whoever was judged with what had been known before gets what is known now.
    pub async fn refresh_for_unknown_key(
        &self,
        connector: &Connector,
        revision: i64,
        judged_with: &Provider,
    ) -> Option<Provider> {
        let Source::Url(url) = Source::of(connector) else { return None };
        let asking = self.asking(&connector.id);
        let _turn = asking.lock().await;
        let now = self.ground.clock.now();
        let (newer, ask) = self.with_kept(&connector.id, |kept| {
            let ready = kept.ready.as_ref().filter(|ready| ready.revision == revision);
            let newer = ready.map(|ready| &ready.provider).filter(|provider| !provider.has_the_keys_of(judged_with));
            let newer = newer.cloned();
            let again = kept.asked_for_key.is_none_or(|asked| now.duration_since(asked) >= NOT_BEFORE);
            let ask = newer.is_none() && again;
            if ask {
                kept.asked_for_key = Some(now);
            }
            (newer, ask)
        });
        if !ask {
            return newer;
        }
        match self.fetch_and_save(connector, &url).await {
            Ok(copy) => self.prepare(connector, &copy.document, revision, Some(copy.fetched)).ok(),
            Err(error) => {
                tracing::warn!(connector.id = %connector.id, cause = %error, "nothing could be fetched for a new key");
                None
            }
        }
    }

    /// What a workload's token has to be for.
    #[must_use]
    pub fn audience<'a>(&'a self, workload: &'a WorkloadConnector) -> &'a str {
        workload.audience.as_deref().unwrap_or_else(|| workload::usual_audience(&self.public_url))
    }

    /// An address of ours that belongs to a connector.
    fn address(&self, protocol: &'static str, connector: &Connector, what: &str) -> String {
        own_address(&self.public_url, protocol, connector, what)
    }
}

/// An address of ours that belongs to a connector.
pub(super) fn own_address(public_url: &Url, protocol: &'static str, connector: &Connector, what: &str) -> String {
    let base = public_url.as_str().trim_end_matches('/');
    format!("{base}/{protocol}/{}/{what}", connector.id)
}

fn other_protocol(connector: &Connector, protocol: &'static str) -> ConnectorError {
    ConnectorError::OtherProtocol { connector: connector.id.clone(), protocol }
}
