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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::forge::{now, secrets, settings, state};
    use super::*;

    fn sent(settings: &Settings, demand: Option<&Demand>, hint: Option<&str>) -> (Started, BTreeMap<String, String>) {
        let started = start(settings, &state(), &secrets(), demand, hint, now());
        let pairs: Vec<(String, String)> = started.redirect.query_pairs().into_owned().collect();
        let map: BTreeMap<_, _> = pairs.iter().cloned().collect();
        assert_eq!(map.len(), pairs.len(), "no parameter stands twice: {}", started.redirect);
        (started, map)
    }

    #[test]
    fn a_request_says_what_the_flow_needs_and_nothing_else() {
        let (started, query) = sent(&settings(), None, Some("asha@corp.example"));
        assert!(started.redirect.as_str().starts_with("https://idp.example/authorize?tenant=7&"));
        let challenge = "vwbbPCFjwXqZvFAgZ9bM-p-qyVF4iM1tUVtHVYAKMTg".len();
        assert_eq!(query["code_challenge"].len(), challenge);
        let names: Vec<&str> = query.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "client_id",
                "code_challenge",
                "code_challenge_method",
                "nonce",
                "redirect_uri",
                "response_type",
                "scope",
                "state",
                "tenant"
            ]
        );
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["code_challenge_method"], "S256");
        assert_eq!(query["scope"], "openid profile email");
        assert_eq!(query["redirect_uri"], "https://broker.example/oidc/idp/callback");
        assert_eq!(query["state"], state().expose_secret());
        assert_eq!(query["nonce"], secrets().nonce.expose_secret());
        let verifier = openssl::sha::sha256(secrets().pkce_verifier.expose_secret().as_bytes());
        use base64::Engine as _;
        assert_eq!(query["code_challenge"], base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(verifier));
        assert_eq!(started.attempt, Attempt { sent_at: now(), force_authn: false, demand: None });
    }

    #[test]
    fn a_request_says_what_the_connector_asks_for() {
        let mut settings = settings();
        settings.scopes = vec!["openid".to_owned(), "groups".to_owned()];
        settings.acr_values = vec!["mfa".to_owned(), "pwd".to_owned()];
        settings.prompt = Some(Prompt::SelectAccount);
        settings.max_age = Some(Duration::from_secs(28_800));
        settings.login_hint = true;
        settings.response_mode = ResponseMode::FormPost;
        let (_, query) = sent(&settings, None, Some("asha@corp.example"));
        assert_eq!(query["scope"], "openid groups");
        assert_eq!(query["acr_values"], "mfa pwd");
        assert_eq!(query["prompt"], "select_account");
        assert_eq!(query["max_age"], "28800");
        assert_eq!(query["login_hint"], "asha@corp.example");
        assert_eq!(query["response_mode"], "form_post");
        for bad in ["", "a\nb", &"x".repeat(321)] {
            assert!(!sent(&settings, None, Some(bad)).1.contains_key("login_hint"), "{bad:?}");
        }
        settings.force_authn = true;
        let (started, query) = sent(&settings, None, None);
        assert!(started.attempt.force_authn);
        assert_eq!((query["prompt"].as_str(), query["max_age"].as_str()), ("login select_account", "0"));
        settings.prompt = Some(Prompt::Login);
        assert_eq!(sent(&settings, None, None).1["prompt"], "login");
    }

    #[test]
    fn a_demand_is_asked_for_in_the_words_the_protocol_has() {
        let mut settings = settings();
        settings.acr_values = vec!["pwd".to_owned()];
        settings.max_age = Some(Duration::from_secs(3_600));
        let demand = Demand {
            max_age: Some(Duration::from_secs(900)),
            contexts: vec!["mfa".to_owned()],
            methods: vec!["hwk".to_owned()],
        };
        let (started, query) = sent(&settings, Some(&demand), None);
        assert_eq!((query["acr_values"].as_str(), query["max_age"].as_str()), ("mfa", "900"));
        assert!(!query.contains_key("prompt"));
        assert_eq!(started.attempt.demand.as_ref(), Some(&demand));
        assert!(!started.attempt.force_authn);

        // Methods cannot be asked for, so the person is asked anew.
        let methods = Demand { methods: vec!["hwk".to_owned()], ..Demand::default() };
        let (started, query) = sent(&settings, Some(&methods), None);
        assert_eq!((query["prompt"].as_str(), query["max_age"].as_str()), ("login", "0"));
        assert!(started.attempt.force_authn);
        let now = Demand { max_age: Some(Duration::ZERO), ..Demand::default() };
        assert!(sent(&settings, Some(&now), None).0.attempt.force_authn);
        assert_eq!(sent(&settings, Some(&Demand::default()), None).0.attempt.demand, None);
    }
}
