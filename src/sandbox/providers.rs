//! IAM SAML providers: which issuers an account believes, and by which keys.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use jiff::Timestamp;

use super::metadata::{Cached, MetadataSource};
use crate::aws::{ProviderArn, SamlProviderName};
use crate::saml::certificate::{CertificateError, SigningCertificate};
use crate::saml::gate::{self, GateError, Limits, Root, Sha1};
use crate::saml::names::{DS, MD};
use crate::sys::http::FetchError;

/// The providers by name. Accounts that name the same one share its metadata, as accounts of one company do.
#[derive(Debug)]
pub struct Providers {
    client: reqwest::Client,
    by_name: BTreeMap<SamlProviderName, Cached>,
    /// Metadata that was uploaded while the sandbox runs, for one account each. It goes before that by name.
    uploaded: RwLock<BTreeMap<ProviderArn, String>>,
}

/// What an IAM SAML provider knows: entity IDs and signing keys. Validity dates are not acted on.
#[derive(Debug, Clone, PartialEq)]
pub struct TrustedProvider {
    entities: Vec<(String, Vec<SigningCertificate>)>,
}

/// Why there is no such provider.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    #[error("no provider is called {0}")]
    Unknown(SamlProviderName),
    #[error("the metadata of the provider could not be fetched: {0}")]
    Fetch(#[from] FetchError),
    #[error("the metadata of the provider is not usable: {0}")]
    Gate(#[from] GateError),
    #[error("the metadata of the provider holds a certificate that is not usable: {0}")]
    Certificate(#[from] CertificateError),
    #[error("the metadata describes no identity provider with an entity ID and a signing certificate")]
    Empty,
}

impl Providers {
    pub fn new(client: reqwest::Client, sources: BTreeMap<SamlProviderName, MetadataSource>) -> Self {
        let by_name = sources.into_iter().map(|(name, source)| (name, Cached::new(source))).collect();
        Self { client, by_name, uploaded: RwLock::default() }
    }

    /// # Errors
    /// [`ProviderError`]
    pub async fn get(&self, arn: &ProviderArn, now: Timestamp) -> Result<TrustedProvider, ProviderError> {
        TrustedProvider::read(&self.document(arn, now).await?)
    }

    /// The metadata of a provider.
    ///
    /// # Errors
    /// [`ProviderError`]
    pub async fn document(&self, arn: &ProviderArn, now: Timestamp) -> Result<String, ProviderError> {
        match self.uploaded(arn) {
            Some(text) => Ok(text),
            None => Ok(self.cached(arn.name())?.get(&self.client, now).await?),
        }
    }

    /// Takes metadata for one provider of one account, in place of what it had.
    ///
    /// # Errors
    /// [`ProviderError`] when nobody could be believed by it.
    pub fn put(&self, arn: ProviderArn, metadata: &str) -> Result<(), ProviderError> {
        TrustedProvider::read(metadata)?;
        self.uploaded.write().unwrap_or_else(PoisonError::into_inner).insert(arn, metadata.to_owned());
        Ok(())
    }

    fn uploaded(&self, arn: &ProviderArn) -> Option<String> {
        self.uploaded.read().unwrap_or_else(PoisonError::into_inner).get(arn).cloned()
    }

    /// As [`get`](Self::get), but with metadata read this moment.
    ///
    /// # Errors
    /// [`ProviderError`]
    pub async fn get_again(&self, arn: &ProviderArn, now: Timestamp) -> Result<TrustedProvider, ProviderError> {
        match self.uploaded(arn) {
            Some(text) => TrustedProvider::read(&text),
            None => TrustedProvider::read(&self.cached(arn.name())?.refresh(&self.client, now).await?),
        }
    }

    fn cached(&self, name: &SamlProviderName) -> Result<&Cached, ProviderError> {
        self.by_name.get(name).ok_or_else(|| ProviderError::Unknown(name.clone()))
    }
}

impl TrustedProvider {
    /// Reads one `EntityDescriptor`, or several in an `EntitiesDescriptor`.
    fn read(xml: &str) -> Result<Self, ProviderError> {
        let gated = gate::admit(xml.as_bytes(), Root::Metadata, &Limits::METADATA, Sha1::Refused)?;
        let mut entities = Vec::new();
        let is = |node: &roxmltree::Node<'_, '_>, name| node.has_tag_name((MD, name));
        for entity in gated.root().descendants().filter(|node| is(node, "EntityDescriptor")) {
            let Some(entity_id) = entity.attribute("entityID") else { continue };
            let mut certificates = Vec::new();
            let keys = entity
                .children()
                .filter(|node| is(node, "IDPSSODescriptor"))
                .flat_map(|descriptor| descriptor.children())
                .filter(|node| is(node, "KeyDescriptor") && node.attribute("use") != Some("encryption"));
            for key in keys {
                for certificate in key.descendants().filter(|node| node.has_tag_name((DS, "X509Certificate"))) {
                    certificates.push(SigningCertificate::from_base64(certificate.text().unwrap_or_default())?);
                }
            }
            if !certificates.is_empty() {
                entities.push((entity_id.to_owned(), certificates));
            }
        }
        if entities.is_empty() { Err(ProviderError::Empty) } else { Ok(Self { entities }) }
    }

    /// The keys of an issuer; the name is compared byte for byte.
    pub fn certificates(&self, issuer: &str) -> Option<&[SigningCertificate]> {
        self.entities.iter().find(|(entity_id, _)| entity_id == issuer).map(|(_, certificates)| certificates.as_slice())
    }

    /// The issuers this provider believes, for the log.
    pub fn entity_ids(&self) -> String {
        self.entities.iter().map(|(entity_id, _)| entity_id.as_str()).collect::<Vec<_>>().join(", ")
    }
}
