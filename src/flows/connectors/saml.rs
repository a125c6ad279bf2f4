//! What a SAML connector needs.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::{ConnectorError, Connectors, other_protocol};
use crate::catalog::{Connector, SamlConnector};
use crate::saml::key::SigningKey;
use crate::saml::metadata::{IdpMetadata, SpMetadata};
use crate::signin::saml::Settings;

/// The largest metadata document that is read: federations publish large ones.
pub const LARGEST: usize = 10 * 1024 * 1024;
/// How long fetching it may take.
pub const SLOWEST: Duration = Duration::from_secs(10);

/// A SAML connector with everything it needs.
#[derive(Debug)]
pub struct SamlProvider {
    pub settings: Settings,
    /// Signs requests, where the connector wants them signed.
    pub signer: Option<Arc<SigningKey>>,
    /// Signs logout messages, which are always signed.
    pub key: Arc<SigningKey>,
}

impl Connectors {
    pub(super) async fn fetch_saml(&self, connector: &Connector, url: &Url) -> Result<String, ConnectorError> {
        let failed = |source| ConnectorError::Fetch { connector: connector.id.clone(), source };
        let bytes = self.http.fetch(url, LARGEST, SLOWEST).await.map_err(failed)?;
        String::from_utf8(bytes).map_err(|_| ConnectorError::NotText { connector: connector.id.clone() })
    }

    pub(super) fn saml_provider(&self, connector: &Connector, saml: &SamlConnector, idp: IdpMetadata) -> SamlProvider {
        let acs_url = Url::parse(&self.address("saml", connector, "acs")).expect("the public URL with a path is a URL");
        let key = &self.keys.saml;
        let settings = Settings {
            // Without a published encryption key nobody honest encrypts, and strangers get no private key to work.
            decryption_keys: if saml.encrypt_assertions { vec![key.private_key().to_owned()] } else { Vec::new() },
            max_bytes: self.largest_reply,
            ..Settings::new(connector.id.clone(), self.sp_entity_id(connector, saml), acs_url, idp).following(saml)
        };
        SamlProvider { settings, signer: saml.sign_requests.then(|| Arc::clone(key)), key: Arc::clone(key) }
    }

    /// Our entity ID towards a connector.
    fn sp_entity_id(&self, connector: &Connector, saml: &SamlConnector) -> String {
        saml.sp_entity_id.clone().unwrap_or_else(|| self.address("saml", connector, "metadata"))
    }

    /// What the identity provider is told about us.
    ///
    /// # Errors
    /// The connector speaks another protocol, or a value that XML cannot carry.
    pub fn sp_metadata(&self, connector: &Connector) -> Result<String, ConnectorError> {
        let saml = connector.saml().ok_or_else(|| other_protocol(connector, "SAML"))?;
        let key = &self.keys.saml;
        let written = SpMetadata {
            entity_id: &self.sp_entity_id(connector, saml),
            acs_url: &self.address("saml", connector, "acs"),
            slo_url: &self.address("saml", connector, "slo"),
            signing_certificate: key.certificate_base64(),
            requests_signed: saml.sign_requests,
            encryption_certificate: saml.encrypt_assertions.then(|| key.certificate_base64()),
            want_assertions_signed: true,
            name_id_format: saml.name_id_format.as_deref(),
        };
        Ok(written.write()?)
    }
}
