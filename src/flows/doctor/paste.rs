//! What has to be entered at the provider.

use openssl::hash::{MessageDigest, hash};

use super::{Doctor, OwnKey, Paste};
use crate::catalog::{Connector, SamlConnector, WorkloadConnector};
use crate::flows::connectors::workload::usual_audience;

impl Doctor {
    pub(super) fn paste_saml(&self, connector: &Connector, saml: &SamlConnector, key: &OwnKey) -> Vec<Paste> {
        let at = |what| self.address(connector, what);
        let entity = saml.sp_entity_id.clone().unwrap_or_else(|| at("metadata"));
        let mut paste = vec![
            Paste { id: "entity-id", label: "Entity ID, audience", value: entity },
            Paste { id: "acs-url", label: "ACS URL, reply URL", value: at("acs") },
            Paste { id: "slo-url", label: "Single logout URL", value: at("slo") },
            Paste { id: "metadata-url", label: "Metadata URL", value: at("metadata") },
            Paste { id: "start-url", label: "Sign-on URL, start URL", value: at("start") },
        ];
        paste.extend(fingerprints(key));
        paste
    }

    pub(super) fn paste_oidc(&self, connector: &Connector, key: &OwnKey) -> Vec<Paste> {
        let at = |what| self.address(connector, what);
        let mut paste = vec![
            Paste { id: "redirect-uri", label: "Redirect URI", value: at("callback") },
            Paste { id: "post-logout-redirect-uri", label: "Post-logout redirect URI", value: at("signed-out") },
            Paste { id: "backchannel-logout-uri", label: "Back-channel logout URI", value: at("backchannel-logout") },
            Paste { id: "initiate-login-uri", label: "Initiate-login URI, start URL", value: at("start") },
            Paste { id: "jwks-uri", label: "JWK set URL (private_key_jwt)", value: at("jwks.json") },
        ];
        paste.extend(fingerprints(key));
        paste
    }

    /// What goes into the CI system's file.
    pub(super) fn paste_workload(&self, workload: &WorkloadConnector) -> Vec<Paste> {
        let usual = usual_audience(&self.public_url);
        let audience = workload.audience.clone().unwrap_or_else(|| usual.to_owned());
        vec![
            Paste { id: "audience", label: "Audience of the tokens", value: audience },
            Paste { id: "token-endpoint", label: "Where to exchange them", value: format!("{usual}/oauth/token") },
        ]
    }
}

/// By which a provider's page shows our certificate; Entra ID calls the SHA-1 one "thumbprint", and `x5t` in a token.
fn fingerprints(key: &OwnKey) -> Vec<Paste> {
    let OwnKey::Known(certificate) = key else { return Vec::new() };
    let hex = |digest: MessageDigest| {
        use std::fmt::Write as _;
        let bytes = hash(digest, certificate).expect("SHA-1 and SHA-256 are always there");
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    };
    vec![
        Paste { id: "certificate-sha1", label: "Our certificate, SHA-1", value: hex(MessageDigest::sha1()) },
        Paste { id: "certificate-sha256", label: "Our certificate, SHA-256", value: hex(MessageDigest::sha256()) },
    ]
}
