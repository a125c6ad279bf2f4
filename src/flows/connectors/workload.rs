//! What a connector for workloads needs.

use serde::{Deserialize, Serialize};
use url::Url;

use super::oidc::SLOWEST;
use super::{ConnectorError, Connectors, Document};
use crate::catalog::{Connector, KeySource, WorkloadConnector};
use crate::identity::ConnectorId;
use crate::signin::oidc::{IssuerMetadata, Keys, ProviderMetadata};
use crate::signin::workload::Settings;
use crate::sys::http::Reach;

/// A connector for workloads with everything it needs.
#[derive(Debug)]
pub struct WorkloadProvider {
    pub settings: Settings,
}

/// The JWK set as it was sent, and the discovery document that led to it, where one did.
#[derive(Serialize, Deserialize)]
struct Kept {
    discovery: Option<String>,
    jwks: String,
}

/// Which addresses may be called for a connector.
pub fn reach(workload: &WorkloadConnector) -> Reach {
    if workload.private_addresses { Reach::PrivateToo } else { Reach::Public }
}

/// What a token has to be for, unless the connector says otherwise: our public URL without the slash at its end.
#[must_use]
pub fn usual_audience(public_url: &Url) -> &str {
    public_url.as_str().trim_end_matches('/')
}

fn read_keys(id: &ConnectorId, jwks: &[u8]) -> Result<Keys, ConnectorError> {
    Keys::read(jwks).map_err(|source| ConnectorError::Keys { connector: id.clone(), source })
}

fn read_discovery(
    id: &ConnectorId,
    workload: &WorkloadConnector,
    document: &[u8],
) -> Result<IssuerMetadata, ConnectorError> {
    IssuerMetadata::read(document, &workload.issuer)
        .map_err(|source| ConnectorError::Discovery { connector: id.clone(), source })
}

pub(super) fn read(id: &ConnectorId, workload: &WorkloadConnector, document: &str) -> Result<Document, ConnectorError> {
    let issuer = workload.issuer.clone();
    if matches!(workload.keys, KeySource::Inline(_)) {
        return Ok(Document::Workload(issuer, read_keys(id, document.as_bytes())?));
    }
    let kept: Kept = serde_json::from_str(document).map_err(|_| ConnectorError::NotText { connector: id.clone() })?;
    if let Some(discovery) = &kept.discovery {
        read_discovery(id, workload, discovery.as_bytes())?;
    }
    Ok(Document::Workload(issuer, read_keys(id, kept.jwks.as_bytes())?))
}

/// Whether exchanges through this connector can go on with a kept document.
pub(in crate::flows) fn is_of_use(id: &ConnectorId, workload: &WorkloadConnector, document: &str) -> bool {
    read(id, workload, document).is_ok()
}

impl Connectors {
    pub(super) async fn fetch_workload(
        &self,
        connector: &Connector,
        workload: &WorkloadConnector,
        url: &Url,
    ) -> Result<String, ConnectorError> {
        let failed = |source| ConnectorError::Fetch { connector: connector.id.clone(), source };
        let text =
            |bytes| String::from_utf8(bytes).map_err(|_| ConnectorError::NotText { connector: connector.id.clone() });
        let reach = reach(workload);
        let kept = if workload.keys == KeySource::Discovery {
            let discovery = self.http.get(reach, url, ProviderMetadata::MAX_BYTES, SLOWEST).await.map_err(failed)?;
            // Judged before the address in it is called.
            let issuer = read_discovery(&connector.id, workload, &discovery)?;
            let jwks = self.http.get(reach, &issuer.jwks_uri, Keys::MAX_BYTES, SLOWEST).await.map_err(failed)?;
            Kept { discovery: Some(text(discovery)?), jwks: text(jwks)? }
        } else {
            let jwks = self.http.get(reach, url, Keys::MAX_BYTES, SLOWEST).await.map_err(failed)?;
            Kept { discovery: None, jwks: text(jwks)? }
        };
        Ok(serde_json::to_string(&kept).expect("texts are always JSON"))
    }

    pub(super) fn workload_provider(
        &self,
        connector: &Connector,
        workload: &WorkloadConnector,
        keys: Keys,
    ) -> WorkloadProvider {
        let settings = Settings::new(connector.id.clone(), workload, keys, usual_audience(&self.public_url));
        WorkloadProvider { settings }
    }
}
