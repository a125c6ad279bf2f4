//! Rolegate as an OpenID Connect relying party: which answers are believed, and what is read from them.
//!
//! [`start()`] sends somebody to the provider. What comes back is judged in steps, each of which uses up the one before:
//! [`Callback`] is read and gives its code only if it is from the right provider; [`TokenRequest`] says what to send for
//! it and [`TokenResponse`] reads what came; [`SignIn::judge`] decides about the ID token; [`SignIn::finish`] adds the
//! userinfo where it is needed and reads the person. All of it is pure: the caller fetches first, this judges after.
//!
//! Whether keys have to be fetched again is asked before judging too ([`TokenResponse::wants_newer_keys`]). That an
//! answer is used only once, by any replica, is for the caller to record: see [`VerifiedReply::replay_until`].
//!
//! Spec: OpenID Connect Core 1.0, section 3.1 (code flow); RFC 9700 (security best current practice); RFC 9207; RFC 8725.

mod callback;
mod claims;
mod discovery;
mod error;
#[cfg(test)]
pub(in crate::signin) mod forge;
mod judge;
mod jws;
mod keys;
pub mod logout;
mod start;
#[cfg(test)]
mod tests;
mod token;
mod userinfo;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{AwaitingReply, Received, SignIn, Verified};
use crate::catalog::{ClaimMap, ClockSkew, JwsAlgorithm, OidcConnector, Prefer, Prompt, ResponseMode, UserInfo};
use crate::identity::{Authentication, ConnectorId, Demand, VerifiedIdentity};
use crate::sys::Token;
use crate::sys::json::{self, Object};

pub use crate::sys::json::JsonError;
pub use callback::Callback;
pub use discovery::{DiscoveryError, IssuerMetadata, NoClientAuth, ProviderMetadata, discovery_url};
pub use error::{OidcError, Public};
pub use jws::{JwsError, Purpose};
pub use keys::{Key, KeyKind, Keys, KeysError, Skipped, Unusable};
pub use start::{Started, start};
pub use token::{Credential, TokenRequest, TokenResponse, client_jwks};
pub use userinfo::{UserinfoAnswer, UserinfoRequest};

pub(in crate::signin) use claims::{texts, walk};
pub(in crate::signin) use judge::{Claims, Expected, signed_hash};
pub(in crate::signin) use jws::{Trust, verify};

/// Everything that decides about the answers of one connector.
#[derive(Clone)]
pub struct Settings {
    pub connector: ConnectorId,
    pub client_id: String,
    /// Where answers come to.
    pub redirect_uri: Url,
    pub provider: ProviderMetadata,
    pub keys: Keys,
    /// How tokens may be signed.
    pub algorithms: BTreeSet<JwsAlgorithm>,
    pub claims: ClaimMap,
    pub scopes: Vec<String>,
    /// The contexts to ask for. They are wishes: what a role insists on is a [`Demand`].
    pub acr_values: Vec<String>,
    pub prompt: Option<Prompt>,
    /// How long ago the person may have been recognised; checked by `auth_time`.
    pub max_age: Option<Duration>,
    /// Whether the person is recognised anew each time; checked by `auth_time`.
    pub force_authn: bool,
    pub login_hint: bool,
    pub response_mode: ResponseMode,
    pub userinfo: UserInfo,
    pub prefer: Prefer,
    pub trust_email: bool,
    pub groups_limit: Option<u32>,
    /// How far the provider's clock may be off ours.
    pub clock_skew: ClockSkew,
    /// How old a token may be when it arrives, whatever it says itself; also bounds how long it is remembered. Entra ID
    /// dates its tokens back by five minutes.
    pub token_max_age: SignedDuration,
    /// How large an answer or a token may be, in bytes.
    pub max_bytes: usize,
}

impl Settings {
    /// A connector with every default: nothing optional is asked for, nothing lax is accepted.
    #[must_use]
    pub fn new(
        connector: ConnectorId,
        client_id: String,
        redirect_uri: Url,
        provider: ProviderMetadata,
        keys: Keys,
    ) -> Self {
        let defaults = OidcConnector::new(provider.issuer.clone(), client_id.clone());
        Self {
            connector,
            client_id,
            redirect_uri,
            provider,
            keys,
            algorithms: defaults.signing_algorithms,
            claims: defaults.claims,
            scopes: defaults.scopes,
            acr_values: defaults.acr_values,
            prompt: defaults.prompt,
            max_age: defaults.max_age,
            force_authn: defaults.force_authn,
            login_hint: defaults.login_hint,
            response_mode: defaults.response_mode,
            userinfo: defaults.userinfo,
            prefer: defaults.prefer,
            trust_email: defaults.trust_email,
            groups_limit: defaults.groups_limit,
            clock_skew: defaults.clock_skew,
            token_max_age: SignedDuration::from_mins(10),
            max_bytes: 512 * 1024,
        }
    }

    /// The same with what the catalog says about the connector.
    #[must_use]
    pub fn following(self, catalog: &OidcConnector) -> Self {
        Self {
            client_id: catalog.client_id.clone(),
            algorithms: catalog.signing_algorithms.clone(),
            claims: catalog.claims.clone(),
            scopes: catalog.scopes.clone(),
            acr_values: catalog.acr_values.clone(),
            prompt: catalog.prompt,
            max_age: catalog.max_age,
            force_authn: catalog.force_authn,
            login_hint: catalog.login_hint,
            response_mode: catalog.response_mode,
            userinfo: catalog.userinfo,
            prefer: catalog.prefer,
            trust_email: catalog.trust_email,
            groups_limit: catalog.groups_limit,
            clock_skew: catalog.clock_skew,
            ..self
        }
    }
}

impl Settings {
    fn trust(&self) -> Trust<'_> {
        Trust { keys: &self.keys, algorithms: &self.algorithms, max_bytes: self.max_bytes }
    }

    fn expected(&self) -> Expected<'_> {
        Expected {
            issuer: self.provider.issuer.as_str(),
            audience: &self.client_id,
            clock_skew: self.clock_skew,
            max_age: self.token_max_age,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("connector", &self.connector)
            .field("client_id", &self.client_id)
            .field("issuer", &self.provider.issuer)
            .finish_non_exhaustive()
    }
}

/// What must be remembered between sending somebody away and the answer: kept in the store, bound to the browser, and
/// handed out once. No secret is in it; those are [derived](AttemptSecrets::derive).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub sent_at: Timestamp,
    /// Whether the provider was told to ask the person again.
    pub force_authn: bool,
    /// What the authentication has to be like, beyond what the connector asks for.
    pub demand: Option<Demand>,
}

/// What only whoever began an attempt knows: the nonce its ID token has to name, and the PKCE verifier its code is
/// exchanged with.
pub struct AttemptSecrets {
    nonce: SecretString,
    pkce_verifier: SecretString,
}

impl AttemptSecrets {
    /// The secrets of the attempt with this `state`.
    ///
    /// They are not stored: who reads the database lacks the key, and who sees a `state` in a browser's history lacks it
    /// too.
    #[must_use]
    pub fn derive(key: &[u8; 32], state: &Token) -> Self {
        let secret = |label: &str| {
            let key = PKey::hmac(key).expect("32 bytes make an HMAC key");
            let mut mac = Signer::new(MessageDigest::sha256(), &key).expect("HMAC with SHA-256 is always there");
            for part in [label.as_bytes(), &[0], state.expose_secret().as_bytes()] {
                mac.update(part).expect("HMAC takes any bytes");
            }
            SecretString::from(URL_SAFE_NO_PAD.encode(mac.sign_to_vec().expect("HMAC takes any bytes")))
        };
        Self { nonce: secret("nonce"), pkce_verifier: secret("pkce verifier") }
    }
}

impl fmt::Debug for AttemptSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AttemptSecrets")
    }
}

/// The provider says who came back. Not all of what it says about them need be known yet.
pub struct Recognised {
    claims: Object,
    subject: String,
    authentication: Authentication,
    token_id: String,
    replay_until: Timestamp,
    id_token: SecretString,
    access_token: Option<SecretString>,
}

impl fmt::Debug for Recognised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recognised").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// An answer that was believed. It signs nobody in until the caller has recorded it as used.
pub struct VerifiedReply {
    pub identity: VerifiedIdentity,
    /// With [`issuer`](Self::issuer), the key of the ID token among those used: a hash of what was signed.
    pub assertion_id: String,
    pub issuer: String,
    /// Until when the token must be remembered as used; later it is refused for its age.
    pub replay_until: Timestamp,
    /// The ID token itself, which the provider wants to see again when this person signs out.
    pub id_token: SecretString,
    /// Why userinfo could not be had, where it was wanted and nothing was missing without it.
    pub userinfo_failure: Option<String>,
    /// Every claim as it arrived, of the ID token and of userinfo.
    pub received: Vec<Received>,
}

impl fmt::Debug for VerifiedReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedReply")
            .field("identity", &self.identity)
            .field("assertion_id", &self.assertion_id)
            .finish_non_exhaustive()
    }
}

impl SignIn<AwaitingReply<Attempt>> {
    /// Judges the ID token. Consumes the attempt and the answer: pass or fail, neither can be tried again.
    ///
    /// # Errors
    /// [`OidcError`], the true cause for the audit log.
    pub fn judge(
        self,
        tokens: TokenResponse,
        secrets: &AttemptSecrets,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<SignIn<Recognised>, OidcError> {
        let step = judge::judge(tokens, &self.step.attempt, secrets, settings, now)?;
        Ok(SignIn { step })
    }
}

impl SignIn<Recognised> {
    /// What to ask the userinfo endpoint, if it is to be asked at all.
    #[must_use]
    pub fn userinfo_request(&self, settings: &Settings) -> Option<UserinfoRequest> {
        userinfo::request(&self.step, settings)
    }

    /// Reads the person from the ID token, and from userinfo where there is an answer.
    ///
    /// # Errors
    /// [`OidcError`]: the answer is about somebody else or forged, or it could not be had and something is missing.
    pub fn finish(
        self,
        userinfo: UserinfoAnswer<'_>,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<SignIn<Verified<VerifiedReply>>, OidcError> {
        let reply = userinfo::finish(self.step, userinfo, settings, now)?;
        Ok(SignIn { step: Verified { reply } })
    }
}
