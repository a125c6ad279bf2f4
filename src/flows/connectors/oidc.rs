//! What an OpenID connector needs.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{ConnectorError, Connectors, Document, other_protocol};
use crate::catalog::{ClientAuth, Connector, OidcConnector};
use crate::identity::ConnectorId;
use crate::signin::oidc::{Credential, Keys, ProviderMetadata, Settings, client_jwks};
use crate::sys::http::Reach;

/// How long one call to a provider may take.
pub const SLOWEST: Duration = Duration::from_secs(10);

/// An OpenID connector with everything it needs.
#[derive(Debug)]
pub struct OidcProvider {
    pub settings: Settings,
    /// How we prove to the provider who we are.
    pub credential: Credential,
    /// Which addresses may be called on its behalf.
    pub reach: Reach,
    /// Where the provider sends people back to after signing out there.
    pub signed_out_url: Url,
}

/// Discovery document and JWK set as they were sent, kept together: neither is of use without the other.
#[derive(Serialize, Deserialize)]
struct Kept {
    discovery: String,
    jwks: String,
}

/// Which addresses may be called for a connector: private ones only if it says so, this machine only if it is there.
pub fn reach(oidc: &OidcConnector) -> Reach {
    if oidc.private_addresses { Reach::PrivateToo } else { Reach::Public }
}

pub(super) fn read(id: &ConnectorId, oidc: &OidcConnector, document: &str) -> Result<Document, ConnectorError> {
    let kept: Kept = serde_json::from_str(document).map_err(|_| ConnectorError::NotText { connector: id.clone() })?;
    let provider = read_discovery(id, oidc, kept.discovery.as_bytes())?;
    let keys =
        Keys::read(kept.jwks.as_bytes()).map_err(|source| ConnectorError::Keys { connector: id.clone(), source })?;
    Ok(Document::Oidc(Box::new(provider), keys))
}

/// Whether sign-ins through this connector can go on with a kept document.
pub(in crate::flows) fn is_of_use(id: &ConnectorId, oidc: &OidcConnector, document: &str) -> bool {
    read(id, oidc, document).is_ok()
}

fn read_discovery(id: &ConnectorId, oidc: &OidcConnector, document: &[u8]) -> Result<ProviderMetadata, ConnectorError> {
    ProviderMetadata::read(document, &oidc.issuer)
        .map_err(|source| ConnectorError::Discovery { connector: id.clone(), source })
}

impl Connectors {
    pub(super) async fn fetch_oidc(
        &self,
        connector: &Connector,
        oidc: &OidcConnector,
        url: &Url,
    ) -> Result<String, ConnectorError> {
        let failed = |source| ConnectorError::Fetch { connector: connector.id.clone(), source };
        let text =
            |bytes| String::from_utf8(bytes).map_err(|_| ConnectorError::NotText { connector: connector.id.clone() });
        let reach = reach(oidc);
        let discovery = self.http.get(reach, url, ProviderMetadata::MAX_BYTES, SLOWEST).await.map_err(failed)?;
        // Judged before the address in it is called.
        let provider = read_discovery(&connector.id, oidc, &discovery)?;
        let jwks = self.http.get(reach, &provider.jwks_uri, Keys::MAX_BYTES, SLOWEST).await.map_err(failed)?;
        let kept = Kept { discovery: text(discovery)?, jwks: text(jwks)? };
        Ok(serde_json::to_string(&kept).expect("two texts are always JSON"))
    }

    pub(super) fn oidc_provider(
        &self,
        connector: &Connector,
        oidc: &OidcConnector,
        provider: ProviderMetadata,
        keys: Keys,
    ) -> Result<OidcProvider, ConnectorError> {
        let auth = provider
            .client_auth(oidc.client_auth, oidc.client_secret.is_some())
            .map_err(|source| ConnectorError::ClientAuth { connector: connector.id.clone(), source })?;
        let secret = || {
            let opened = oidc.client_secret.as_ref().map(|secret| secret.open(&connector.id, &self.ground.sealing));
            opened
                .transpose()
                .map(Option::unwrap_or_default)
                .map_err(|source| ConnectorError::Secret { connector: connector.id.clone(), source })
        };
        let credential = match auth {
            ClientAuth::Basic => Credential::Basic(secret()?),
            ClientAuth::Post => Credential::Post(secret()?),
            ClientAuth::PrivateKeyJwt => Credential::PrivateKey(std::sync::Arc::clone(&self.keys.oidc)),
            ClientAuth::None => Credential::Public,
        };
        let ours =
            |what| Url::parse(&self.address("oidc", connector, what)).expect("the public URL with a path is a URL");
        let settings = Settings::new(connector.id.clone(), oidc.client_id.clone(), ours("callback"), provider, keys)
            .following(oidc);
        Ok(OidcProvider { settings, credential, reach: reach(oidc), signed_out_url: ours("signed-out") })
    }

    /// Our public keys towards an OpenID provider, as a JWK set.
    ///
    /// # Errors
    /// The connector speaks another protocol.
    pub fn client_jwks(&self, connector: &Connector) -> Result<String, ConnectorError> {
        connector.oidc().ok_or_else(|| other_protocol(connector, "OpenID Connect"))?;
        Ok(client_jwks([&*self.keys.oidc]))
    }
}
