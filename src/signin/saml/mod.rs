//! Rolegate as a SAML service provider: which replies are believed, and what is read from them.
//!
//! [`start()`] sends somebody to the identity provider; [`SignIn::judge`] decides about the reply that comes back for it,
//! and [`judge_unsolicited`] about one nobody here asked for. Both are pure: same evidence, settings and time, same
//! answer. That a reply is used only once, by any replica, is for the caller to record: see
//! [`VerifiedReply::replay_until`].
//!
//! Spec: SAML profiles 4.1 (web browser SSO), SAML core 2.5 (conditions), SAML bindings 3.4 and 3.5.

mod attributes;
mod error;
mod judge;
pub mod logout;
mod start;
#[cfg(test)]
mod tests;

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use openssl::pkey::{PKey, Private};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{AwaitingReply, Received, SignIn, Verified};
use crate::catalog::{AttributeMap, ClockSkew, RequestedAuthnContext, SamlConnector};
use crate::identity::{ConnectorId, Demand, VerifiedIdentity};
use crate::saml::gate::{Limits, Sha1};
use crate::saml::metadata::IdpMetadata;

pub use error::{Public, SamlError};
pub use judge::judge_unsolicited;
pub use start::{StartError, Started, start};

/// Everything that decides about the replies of one connector.
#[derive(Clone)]
pub struct Settings {
    pub connector: ConnectorId,
    /// Our entity ID towards this provider: the audience of what it says.
    pub sp_entity_id: String,
    /// Where replies are posted to: their destination and recipient.
    pub acs_url: Url,
    /// Where logout messages arrive: their destination.
    pub slo_url: Url,
    pub idp: IdpMetadata,
    pub attributes: AttributeMap,
    /// Whether a reply nobody asked for may sign somebody in.
    pub idp_initiated: bool,
    pub force_authn: bool,
    pub sha1: Sha1,
    /// How far the provider's clock may be off ours.
    pub clock_skew: ClockSkew,
    /// How old an assertion may be when it arrives, whatever it says itself; also bounds how long it is remembered.
    pub max_age: SignedDuration,
    /// The NameID format to ask for; none is asked for by default, since providers refuse what they are not set to.
    pub name_id_format: Option<String>,
    /// The authentication contexts to ask for; none by default, since asking locks people out.
    pub authn_context: Option<RequestedAuthnContext>,
    /// How the provider signs itself in logout messages, where that is not its entity ID.
    pub logout_issuer: Option<String>,
    /// Keys an assertion may be encrypted for, the newest first.
    pub decryption_keys: Vec<PKey<Private>>,
    /// How large a reply may be, in bytes of XML.
    pub max_bytes: usize,
}

impl Settings {
    /// A connector with every default: nothing optional is asked for, nothing lax is accepted. Logout messages arrive
    /// beside the replies, at `slo`.
    #[must_use]
    pub fn new(connector: ConnectorId, sp_entity_id: String, acs_url: Url, idp: IdpMetadata) -> Self {
        let slo_url = acs_url.join("slo").expect("a web address has others beside it");
        Self {
            connector,
            sp_entity_id,
            acs_url,
            slo_url,
            idp,
            attributes: AttributeMap::default(),
            idp_initiated: false,
            force_authn: false,
            sha1: Sha1::Refused,
            clock_skew: ClockSkew::default(),
            max_age: SignedDuration::from_mins(10),
            name_id_format: None,
            authn_context: None,
            logout_issuer: None,
            decryption_keys: Vec::new(),
            max_bytes: Limits::MESSAGE.bytes,
        }
    }

    /// The same with what the catalog says about the connector.
    #[must_use]
    pub fn following(self, catalog: &SamlConnector) -> Self {
        Self {
            attributes: catalog.attributes.clone(),
            idp_initiated: catalog.idp_initiated,
            force_authn: catalog.force_authn,
            sha1: if catalog.allow_sha1 { Sha1::Allowed } else { Sha1::Refused },
            clock_skew: catalog.clock_skew,
            name_id_format: catalog.name_id_format.clone(),
            authn_context: catalog.authn_context.clone(),
            logout_issuer: catalog.logout_issuer.clone(),
            ..self
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("connector", &self.connector)
            .field("sp_entity_id", &self.sp_entity_id)
            .field("idp", &self.idp.entity_id)
            .finish_non_exhaustive()
    }
}

/// What must be remembered between sending somebody away and the reply: kept in the store, bound to the browser, and
/// handed out once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The ID of our request, which the reply must name.
    pub request_id: String,
    pub sent_at: Timestamp,
    /// Whether the provider was told to ask the person again.
    pub force_authn: bool,
    /// What is asked of how the person is recognised this time.
    pub demand: Option<Demand>,
}

/// A reply that was believed. It signs nobody in until the caller has recorded it as used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedReply {
    pub identity: VerifiedIdentity,
    /// With [`issuer`](Self::issuer), the key of the assertion among those used.
    pub assertion_id: String,
    pub issuer: String,
    /// Until when the assertion must be remembered as used; later it is refused for its age.
    pub replay_until: Timestamp,
    /// The NameID and every attribute as they arrived.
    pub received: Vec<Received>,
}

impl SignIn<AwaitingReply<Attempt>> {
    /// Judges the reply: the value of the form field `SAMLResponse`. Consumes the attempt: pass or fail, no second reply
    /// can be tried for it.
    ///
    /// # Errors
    /// [`SamlError`], the true cause for the audit log.
    pub fn judge(
        self,
        evidence: &[u8],
        settings: &Settings,
        now: Timestamp,
    ) -> Result<SignIn<Verified<VerifiedReply>>, SamlError> {
        let reply = judge::judge(evidence, judge::Expected::For(&self.step.attempt), settings, now)?;
        Ok(SignIn { step: Verified { reply } })
    }
}
