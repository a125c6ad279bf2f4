//! Sending somebody to the OpenID provider.

use std::time::Duration;

use jiff::Timestamp;
use openidconnect::core::{CoreAuthPrompt, CoreAuthenticationFlow, CoreClient};
use openidconnect::{
    AuthUrl, AuthenticationContextClass, ClientId, CsrfToken, IssuerUrl, JsonWebKeySet, LoginHint, Nonce,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
};
use secrecy::ExposeSecret;
use url::Url;

use super::{Attempt, AttemptSecrets, Settings};
use crate::catalog::{Prompt, ResponseMode};
use crate::identity::Demand;
use crate::sys::Token;

/// The longest `login_hint` that is passed on, in bytes: no address is longer.
const MAX_LOGIN_HINT: usize = 320;

/// Where to send the browser, and what to remember until it is back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    pub redirect: Url,
    pub attempt: Attempt,
}

/// Makes an authorization request: the code flow with PKCE S256, `state` and `nonce`, and exactly the scopes, contexts
/// and prompts the connector is set to or `demand` asks for.
///
/// `login_hint` is an address somebody typed; it is passed on if the connector says so.
///
/// Spec: OpenID Connect Core 1.0, section 3.1.2.1; RFC 7636.
#[must_use]
pub fn start(
    settings: &Settings,
    state: &Token,
    secrets: &AttemptSecrets,
    demand: Option<&Demand>,
    login_hint: Option<&str>,
    now: Timestamp,
) -> Started {
    let demand = demand.filter(|demand| !demand.is_empty());
    let anew = settings.force_authn || demand.is_some_and(asks_anew);
    let attempt = Attempt { sent_at: now, force_authn: anew, demand: demand.cloned() };

    let metadata = &settings.provider;
    let issuer = IssuerUrl::from_url(metadata.issuer.url());
    let client = CoreClient::new(ClientId::new(settings.client_id.clone()), issuer, JsonWebKeySet::new(Vec::new()))
        .set_auth_uri(AuthUrl::from_url(metadata.authorization_endpoint.clone()))
        .set_redirect_uri(RedirectUrl::from_url(settings.redirect_uri.clone()))
        // Whether `openid` is among the scopes is the catalog's business, as with every other.
        .disable_openid_scope();
    let (csrf, nonce) = (CsrfToken::new(state.expose_secret().to_owned()), secrets.nonce.expose_secret().to_owned());
    let verifier = PkceCodeVerifier::new(secrets.pkce_verifier.expose_secret().to_owned());
    let mut request = client
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, move || csrf, move || Nonce::new(nonce))
        .add_scopes(settings.scopes.iter().cloned().map(Scope::new))
        .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));

    let contexts = demand.map(|demand| &demand.contexts).filter(|contexts| !contexts.is_empty());
    for context in contexts.unwrap_or(&settings.acr_values) {
        request = request.add_auth_context_value(AuthenticationContextClass::new(context.clone()));
    }
    let max_age = if anew { Some(Duration::ZERO) } else { youngest(settings, demand) };
    if let Some(max_age) = max_age {
        request = request.set_max_age(max_age);
    }
    if anew {
        request = request.add_prompt(CoreAuthPrompt::Login);
    }
    match settings.prompt {
        Some(Prompt::Login) if !anew => request = request.add_prompt(CoreAuthPrompt::Login),
        Some(Prompt::Consent) => request = request.add_prompt(CoreAuthPrompt::Consent),
        Some(Prompt::SelectAccount) => request = request.add_prompt(CoreAuthPrompt::SelectAccount),
        Some(Prompt::Login) | None => {}
    }
    if let Some(hint) = login_hint.filter(|hint| settings.login_hint && is_hint(hint)) {
        request = request.set_login_hint(LoginHint::new(hint.to_owned()));
    }
    if settings.response_mode == ResponseMode::FormPost {
        request = request.add_extra_param("response_mode", ResponseMode::FormPost.as_str());
    }
    let (redirect, _, _) = request.url();
    Started { redirect, attempt }
}

/// Whether a demand cannot be met by a session the provider has already.
///
/// Contexts and ages can be asked for by name, and the provider then knows whether it has to ask. For a method there is
/// no such parameter: unless the person is asked anew, the same session would come back.
fn asks_anew(demand: &Demand) -> bool {
    demand.max_age == Some(Duration::ZERO) || (!demand.methods.is_empty() && demand.contexts.is_empty())
}

/// The shorter of what the connector and the demand allow.
pub(super) fn youngest(settings: &Settings, demand: Option<&Demand>) -> Option<Duration> {
    let demanded = demand.and_then(|demand| demand.max_age);
    settings.max_age.into_iter().chain(demanded).min()
}

fn is_hint(hint: &str) -> bool {
    !hint.is_empty() && hint.len() <= MAX_LOGIN_HINT && !hint.chars().any(char::is_control)
}
