//! Connectors made ready for use: the catalog's words, the identity provider's metadata and our own keys together.
//!
//! Metadata that stands in the catalog is parsed once per revision. Metadata from a URL is fetched in the background,
//! its last good copy is in the database, and a copy that cannot be used never replaces one that can.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use url::Url;

use super::Ground;
use super::current::Loaded;
use crate::audit::{Event, Kind};
use crate::catalog::{Connector, MetadataSource, SamlConnector};
use crate::identity::ConnectorId;
use crate::saml::certificate::SigningCertificate;
use crate::saml::key::SigningKey;
use crate::saml::metadata::{IdpMetadata, MetadataError, SpMetadata};
use crate::saml::write::WriteError;
use crate::signin::saml::Settings;
use crate::store::StoreError;
use crate::store::metadata::{self, FetchedMetadata};
use crate::sys::http::{FetchError, fetch};

/// Why a connector cannot be used right now.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    #[error("the metadata of connector `{connector}` cannot be fetched")]
    Fetch { connector: ConnectorId, source: FetchError },
    #[error("the metadata of connector `{connector}` is not UTF-8")]
    NotText { connector: ConnectorId },
    #[error("the metadata of connector `{connector}` was asked for a moment ago and could not be fetched")]
    TriedJustNow { connector: ConnectorId },
    #[error("the metadata of connector `{connector}` cannot be used")]
    Metadata { connector: ConnectorId, source: MetadataError },
    #[error("connector `{connector}` does not speak {protocol}")]
    OtherProtocol { connector: ConnectorId, protocol: &'static str },
    #[error("our metadata cannot be written")]
    Write(#[from] WriteError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn saml_of(connector: &Connector) -> Result<&SamlConnector, ConnectorError> {
    let other = || ConnectorError::OtherProtocol { connector: connector.id.clone(), protocol: "SAML" };
    connector.saml().ok_or_else(other)
}

/// The largest metadata document that is read: federations publish large ones.
const LARGEST: usize = 10 * 1024 * 1024;
const SLOWEST: Duration = Duration::from_secs(10);
/// How often metadata is fetched when it does not say.
const EVERY: SignedDuration = SignedDuration::from_hours(1);
/// However often somebody asks, no more often than this.
const NOT_BEFORE: SignedDuration = SignedDuration::from_secs(60);
/// After a failure at a moment when there is no copy at all.
const RETRY: SignedDuration = SignedDuration::from_secs(5);

/// A SAML connector with everything it needs.
#[derive(Debug)]
pub struct Provider {
    pub settings: Settings,
    /// Signs requests, where the connector wants them signed.
    pub signer: Option<Arc<SigningKey>>,
}

/// Hands out connectors that are ready.
#[derive(Debug, Clone)]
pub struct Connectors {
    ground: Ground,
    http: reqwest::Client,
    public_url: Url,
    /// Signs our requests and opens what is encrypted for us.
    key: Arc<SigningKey>,
    /// The largest reply that is looked at, in bytes of XML.
    largest_reply: usize,
    kept: Arc<Mutex<HashMap<ConnectorId, Kept>>>,
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
    provider: Arc<Provider>,
}

impl Connectors {
    #[must_use]
    pub fn new(
        ground: Ground,
        http: reqwest::Client,
        public_url: Url,
        key: Arc<SigningKey>,
        largest_reply: usize,
    ) -> Self {
        Self { ground, http, public_url, key, largest_reply, kept: Arc::default() }
    }

    /// A connector ready for use.
    ///
    /// # Errors
    /// [`ConnectorError`]: no usable metadata.
    pub async fn ready(&self, connector: &Connector, revision: i64) -> Result<Arc<Provider>, ConnectorError> {
        let saml = saml_of(connector)?;
        match &saml.metadata {
            MetadataSource::Inline(document) => {
                if let Some(provider) = self.remembered(&connector.id, revision, None) {
                    return Ok(provider);
                }
                self.prepare(connector, saml, document, revision, None)
            }
            MetadataSource::Url(url) => {
                let url = url.as_url();
                if let Some((from, at)) = self.ground.store.metadata_fetched(&connector.id).await?
                    && from == url.as_str()
                    && let Some(provider) = self.remembered(&connector.id, revision, Some(at))
                {
                    return Ok(provider);
                }
                let copy = match self.copy(connector, url).await? {
                    Some(copy) => copy,
                    None => self.fetch_first(connector, saml, url).await?,
                };
                self.prepare(connector, saml, &copy.document, revision, Some(copy.fetched))
            }
        }
    }

    fn with_kept<T>(&self, connector: &ConnectorId, work: impl FnOnce(&mut Kept) -> T) -> T {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        work(kept.entry(connector.clone()).or_default())
    }

    fn remembered(&self, connector: &ConnectorId, revision: i64, fetched: Option<Timestamp>) -> Option<Arc<Provider>> {
        let ready = self.with_kept(connector, |kept| kept.ready.clone())?;
        (ready.revision == revision && ready.fetched == fetched).then_some(ready.provider)
    }

    fn read(&self, connector: &Connector, saml: &SamlConnector, document: &str) -> Result<IdpMetadata, ConnectorError> {
        IdpMetadata::read(document.as_bytes(), saml.idp_entity_id.as_deref(), self.ground.clock.now())
            .map_err(|source| ConnectorError::Metadata { connector: connector.id.clone(), source })
    }

    fn prepare(
        &self,
        connector: &Connector,
        saml: &SamlConnector,
        document: &str,
        revision: i64,
        fetched: Option<Timestamp>,
    ) -> Result<Arc<Provider>, ConnectorError> {
        let idp = self.read(connector, saml, document)?;
        for warning in &idp.warnings {
            tracing::warn!(connector.id = %connector.id, "identity provider metadata: {warning}");
        }
        let provider = Arc::new(self.provider(connector, saml, idp));
        let ready = Ready { revision, fetched, provider: Arc::clone(&provider) };
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

    /// Fetches metadata of which there is no copy yet, but does not hammer a provider that is down.
    async fn fetch_first(
        &self,
        connector: &Connector,
        saml: &SamlConnector,
        url: &Url,
    ) -> Result<FetchedMetadata, ConnectorError> {
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
        self.fetch_and_save(connector, saml, url).await
    }

    /// Fetches, checks that it can be used, and keeps it; records when the document changed.
    async fn fetch_and_save(
        &self,
        connector: &Connector,
        saml: &SamlConnector,
        url: &Url,
    ) -> Result<FetchedMetadata, ConnectorError> {
        let failed = |source| ConnectorError::Fetch { connector: connector.id.clone(), source };
        let bytes = fetch(&self.http, url, LARGEST, SLOWEST).await.map_err(failed)?;
        let document =
            String::from_utf8(bytes).map_err(|_| ConnectorError::NotText { connector: connector.id.clone() })?;
        let idp = self.read(connector, saml, &document)?;
        let fetched = FetchedMetadata { url: url.to_string(), document, fetched: self.ground.clock.now() };
        let before = self.ground.store.fetched_metadata(&connector.id).await?;
        let mut tx = self.ground.store.begin().await?;
        metadata::save(&mut tx, &connector.id, &fetched).await?;
        if before.is_none_or(|before| before.document != fetched.document) {
            let keys: Vec<String> = idp.certificates.iter().map(SigningCertificate::fingerprint).collect();
            let event = Event::new(Kind::MetadataRefreshed)
                .with("connector", connector.id.as_str())
                .with("url", url.as_str())
                .with("entity_id", idp.entity_id.as_str())
                .with("certificates", keys);
            self.ground.append(&mut tx, &event).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(fetched)
    }

    /// Fetches what is due; failures are logged and the last good copy goes on being used.
    pub async fn refresh_due(&self, loaded: &Loaded) {
        for connector in loaded.catalog.connectors().filter(|connector| connector.enabled) {
            let Some(saml) = connector.saml() else { continue };
            let MetadataSource::Url(url) = &saml.metadata else { continue };
            if let Err(error) = self.refresh_if_due(connector, saml, url.as_url()).await {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                tracing::warn!(connector.id = %connector.id, cause, "{error}");
            }
        }
    }

    async fn refresh_if_due(
        &self,
        connector: &Connector,
        saml: &SamlConnector,
        url: &Url,
    ) -> Result<(), ConnectorError> {
        let asking = self.asking(&connector.id);
        let _turn = asking.lock().await;
        let now = self.ground.clock.now();
        let due = match self.copy(connector, url).await? {
            None => true,
            Some(copy) => {
                let validity = IdpMetadata::read(copy.document.as_bytes(), saml.idp_entity_id.as_deref(), now).ok();
                let every = validity
                    .and_then(|idp| idp.cache_duration)
                    .map_or(EVERY, |said| said.clamp(NOT_BEFORE, EVERY * 24));
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
            self.fetch_and_save(connector, saml, url).await?;
        }
        Ok(())
    }

    /// A reply was signed with a key that the metadata does not have. Perhaps it changed: asks, at most once a minute,
    /// and returns the connector when there is something new.
    pub async fn refresh_for_unknown_key(&self, connector: &Connector, revision: i64) -> Option<Arc<Provider>> {
        let saml = connector.saml()?;
        let MetadataSource::Url(url) = &saml.metadata else { return None };
        let now = self.ground.clock.now();
        let ask = self.with_kept(&connector.id, |kept| {
            let ask = kept.asked_for_key.is_none_or(|asked| now.duration_since(asked) >= NOT_BEFORE);
            if ask {
                kept.asked_for_key = Some(now);
            }
            ask
        });
        if !ask {
            return None;
        }
        match self.fetch_and_save(connector, saml, url.as_url()).await {
            Ok(copy) => self.prepare(connector, saml, &copy.document, revision, Some(copy.fetched)).ok(),
            Err(error) => {
                tracing::warn!(connector.id = %connector.id, cause = %error, "metadata could not be fetched for a new key");
                None
            }
        }
    }

    fn provider(&self, connector: &Connector, saml: &SamlConnector, idp: IdpMetadata) -> Provider {
        let acs_url = Url::parse(&self.address(connector, "acs")).expect("the public URL with a path is a URL");
        let settings = Settings {
            // Without a published encryption key nobody honest encrypts, and strangers get no private key to work.
            decryption_keys: if saml.encrypt_assertions { vec![self.key.private_key().to_owned()] } else { Vec::new() },
            max_bytes: self.largest_reply,
            ..Settings::new(connector.id.clone(), self.sp_entity_id(connector, saml), acs_url, idp).following(saml)
        };
        Provider { settings, signer: saml.sign_requests.then(|| Arc::clone(&self.key)) }
    }

    /// Our entity ID towards a connector.
    fn sp_entity_id(&self, connector: &Connector, saml: &SamlConnector) -> String {
        saml.sp_entity_id.clone().unwrap_or_else(|| self.address(connector, "metadata"))
    }

    fn address(&self, connector: &Connector, what: &str) -> String {
        let base = self.public_url.as_str().trim_end_matches('/');
        format!("{base}/saml/{}/{what}", connector.id)
    }

    /// What the identity provider is told about us.
    ///
    /// # Errors
    /// The connector speaks another protocol, or a value that XML cannot carry.
    pub fn sp_metadata(&self, connector: &Connector) -> Result<String, ConnectorError> {
        let saml = saml_of(connector)?;
        let written = SpMetadata {
            entity_id: &self.sp_entity_id(connector, saml),
            acs_url: &self.address(connector, "acs"),
            slo_url: &self.address(connector, "slo"),
            signing_certificate: self.key.certificate_base64(),
            requests_signed: saml.sign_requests,
            encryption_certificate: saml.encrypt_assertions.then(|| self.key.certificate_base64()),
            want_assertions_signed: true,
            name_id_format: saml.name_id_format.as_deref(),
        };
        Ok(written.write()?)
    }
}
