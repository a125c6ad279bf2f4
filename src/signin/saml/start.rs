//! Sending somebody to the identity provider.

use jiff::Timestamp;
use url::Url;

use super::{Attempt, Settings};
use crate::catalog::AuthnComparison;
use crate::identity::Demand;
use crate::saml::key::KeyError;
use crate::saml::names::{BINDING_POST, date_time};
use crate::saml::redirect::{self, Carries, MAX_RELAY_STATE};
use crate::saml::write::{Element, SAML, SAMLP, Signer, WriteError};
use crate::sys::Rng;

/// Where to send the browser, and what to remember until it is back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    pub redirect: Url,
    pub attempt: Attempt,
}

/// Why nobody could be sent to the identity provider.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the RelayState has {0} bytes; {MAX_RELAY_STATE} are the most that providers give back")]
    RelayState(usize),
    #[error("the AuthnRequest could not be written")]
    Write(#[from] WriteError),
    #[error("the AuthnRequest could not be signed")]
    Sign(#[from] KeyError),
}

/// Makes an `AuthnRequest` and the address that carries it, signed if there is a `signer`.
///
/// It says as little as possible: no Subject, no NameIDPolicy and no RequestedAuthnContext unless the connector asks for
/// them, since each makes some provider refuse. `relay_state` is a handle, never a destination.
///
/// # Errors
/// [`StartError`]
pub fn start(
    settings: &Settings,
    relay_state: &str,
    demand: Option<&Demand>,
    signer: Option<&dyn Signer>,
    rng: &dyn Rng,
    now: Timestamp,
) -> Result<Started, StartError> {
    if relay_state.len() > MAX_RELAY_STATE {
        return Err(StartError::RelayState(relay_state.len()));
    }
    // SAML has no way to say how recent will do, so whoever asks for recent asks for now.
    let force_authn = settings.force_authn || demand.is_some_and(|demand| demand.max_age.is_some());
    let attempt = Attempt { request_id: rng.xml_id(), sent_at: now, force_authn, demand: demand.cloned() };
    let xml = request(settings, &attempt).write()?;
    let query = match signer {
        None => redirect::query(Carries::Request, xml.as_str(), Some(relay_state)),
        Some(signer) => {
            redirect::signed_query(Carries::Request, xml.as_str(), Some(relay_state), signer.algorithm(), |octets| {
                signer.sign(octets)
            })?
        }
    };
    Ok(Started { redirect: redirect::address(&settings.idp.sso_redirect, &query), attempt })
}

fn request(settings: &Settings, attempt: &Attempt) -> Element {
    let mut request = Element::new(SAMLP, "AuthnRequest")
        .attr("ID", attempt.request_id.as_str())
        .attr("Version", "2.0")
        .attr("IssueInstant", date_time(attempt.sent_at))
        .attr("Destination", settings.idp.sso_redirect.as_str())
        .attr("AssertionConsumerServiceURL", settings.acs_url.as_str())
        // Keycloak would answer by the binding of the request otherwise.
        .attr("ProtocolBinding", BINDING_POST)
        .attr_some("ForceAuthn", attempt.force_authn.then_some("true"))
        .child(Element::new(SAML, "Issuer").text(settings.sp_entity_id.as_str()));
    if let Some(format) = &settings.name_id_format {
        let policy = Element::new(SAMLP, "NameIDPolicy").attr("AllowCreate", "true").attr("Format", format.as_str());
        request = request.child(policy);
    }
    let contexts = |comparison: AuthnComparison, classes: &[String]| {
        let classes = classes.iter().map(|class| Element::new(SAML, "AuthnContextClassRef").text(class.as_str()));
        Element::new(SAMLP, "RequestedAuthnContext").attr("Comparison", comparison.as_str()).children(classes)
    };
    match (&attempt.demand, &settings.authn_context) {
        (Some(demand), _) if !demand.contexts.is_empty() => {
            request.child(contexts(AuthnComparison::Exact, &demand.contexts))
        }
        (_, Some(always)) => request.child(contexts(always.comparison, &always.classes)),
        _ => request,
    }
}
