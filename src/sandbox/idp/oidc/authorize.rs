//! The authorization endpoint: somebody is chosen, or is known already, and a code goes back.
//!
//! Spec: OpenID Connect Core 3.1.2, RFC 7636, RFC 9207.

use actix_web::{HttpRequest, HttpResponse, web};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use url::Url;

use super::grants::Grant;
use super::{OauthError, SCOPES, at, hostile, issuer, logout, subject};
use crate::sandbox::State;
use crate::sandbox::idp::onward::{Arrived, Onward};
use crate::sandbox::idp::params::Params;
use crate::sandbox::idp::sessions::{self, Session};
use crate::sandbox::idp::strength::Strength;
use crate::sandbox::idp::{Asked, Question, Why};

/// `state` and `nonce` are given back as they came; this bounds what is carried.
const LONGEST: usize = 2_000;

/// A request that was understood and believed, between its arrival and the click.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pending {
    client_id: String,
    redirect_uri: String,
    response_mode: ResponseMode,
    state: Option<String>,
    nonce: Option<String>,
    challenge: String,
    scope: Vec<String>,
    /// The application knows this `sub` by its `id_token_hint`, and nobody else will do.
    subject: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum ResponseMode {
    Query,
    FormPost,
}

/// Where an answer goes, good or bad.
struct Return<'a> {
    redirect_uri: &'a str,
    mode: ResponseMode,
    state: Option<&'a str>,
}

impl Return<'_> {
    fn send(&self, here: &State, mut fields: Vec<(&'static str, String)>, arrived: Arrived) -> HttpResponse {
        fields.extend(self.state.map(|state| ("state", state.to_owned())));
        fields.push(("iss", issuer(&here.base)));
        let onward = match self.mode {
            ResponseMode::FormPost => Onward::Post { action: self.redirect_uri.to_owned(), fields },
            ResponseMode::Query => match Url::parse(self.redirect_uri) {
                Ok(mut url) => {
                    url.query_pairs_mut().extend_pairs(fields);
                    Onward::To(url.into())
                }
                Err(error) => return hostile(&format!("The redirect_uri is no URL: {error}.")),
            },
        };
        onward.send(arrived)
    }

    fn refuse(&self, here: &State, error: OauthError, arrived: Arrived) -> HttpResponse {
        tracing::info!("the development identity provider refused a request: {}", error.description);
        let fields = vec![("error", error.code.to_owned()), ("error_description", error.description)];
        self.send(here, fields, arrived)
    }
}

impl Pending {
    fn back(&self) -> Return<'_> {
        Return { redirect_uri: &self.redirect_uri, mode: self.response_mode, state: self.state.as_deref() }
    }
}

/// What a request wants besides an answer.
struct Wishes {
    passive: bool,
    /// Ask, whoever is signed in.
    ask: bool,
    max_age: Option<SignedDuration>,
    /// Ways to sign in the application would like, in its order.
    strengths: Vec<Strength>,
    /// Whom the application expects, by id.
    expected: Option<String>,
}

/// `GET /idp/oidc/authorize`
pub async fn by_get(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    match Params::parse(request.query_string().as_bytes()) {
        Ok(params) => authorize(&request, &state, &params).await,
        Err(error) => hostile(&error.to_string()),
    }
}

/// `POST /idp/oidc/authorize`: the same by GET, because a form on another site comes without our cookie.
pub async fn by_post(body: web::Bytes, state: web::Data<State>) -> HttpResponse {
    match Params::parse(&body) {
        Ok(params) => Onward::To(format!("{}?{}", at(&state, "authorize"), params.encoded())).send(Arrived::ByForm),
        Err(error) => hostile(&error.to_string()),
    }
}

async fn authorize(request: &HttpRequest, state: &State, params: &Params) -> HttpResponse {
    let clients = &state.idp.oidc.clients;
    let Some(client_id) = params.get("client_id") else { return hostile("There is no client_id.") };
    if !clients.knows(client_id) {
        return hostile(&format!("No client `{client_id}` is registered."));
    }
    let Some(redirect_uri) = params.get("redirect_uri") else { return hostile("There is no redirect_uri.") };
    if !clients.may_answer(client_id, redirect_uri) {
        return hostile(&format!("`{client_id}` has not registered the redirect_uri {redirect_uri}."));
    }
    let mode = match params.get("response_mode") {
        None | Some("query") => Ok(ResponseMode::Query),
        Some("form_post") => Ok(ResponseMode::FormPost),
        Some(other) => Err(OauthError::new("invalid_request", format!("The response_mode {other} is not offered."))),
    };
    let given = params.get("state").filter(|text| text.len() <= LONGEST);
    let back = Return { redirect_uri, mode: *mode.as_ref().unwrap_or(&ResponseMode::Query), state: given };
    let understood = match mode {
        Ok(mode) => understand(state, params, client_id, redirect_uri, mode).await,
        Err(error) => Err(error),
    };
    match understood {
        Ok((pending, wishes)) => respond(request, state, &pending, &wishes),
        Err(error) => back.refuse(state, error, Arrived::ByLink),
    }
}

async fn understand(
    state: &State,
    params: &Params,
    client_id: &str,
    redirect_uri: &str,
    response_mode: ResponseMode,
) -> Result<(Pending, Wishes), OauthError> {
    let invalid = |text: &str| OauthError::new("invalid_request", text);
    for (name, code) in [
        ("request", "request_not_supported"),
        ("request_uri", "request_uri_not_supported"),
        ("registration", "registration_not_supported"),
    ] {
        if params.get(name).is_some() {
            return Err(OauthError::new(code, format!("The parameter {name} is not taken here.")));
        }
    }
    match params.get("response_type") {
        Some("code") => {}
        None => return Err(invalid("There is no response_type.")),
        Some(_) => return Err(OauthError::new("unsupported_response_type", "Only the code flow is offered.")),
    }
    let scope = params.words("scope");
    if !scope.contains(&"openid") {
        return Err(OauthError::new("invalid_scope", "The scope must contain openid."));
    }
    for name in ["state", "nonce", "login_hint"] {
        if params.get(name).is_some_and(|text| text.len() > LONGEST) {
            return Err(invalid(&format!("{name} has more than {LONGEST} bytes.")));
        }
    }
    // Without a method the standard means plain, which protects nothing.
    if params.get("code_challenge_method") != Some("S256") {
        return Err(invalid("PKCE is required, with the code_challenge_method S256."));
    }
    let unreserved =
        |text: &&str| text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let challenge = params.get("code_challenge").filter(unreserved);
    let challenge = challenge.ok_or_else(|| invalid("The code_challenge is not a SHA-256 in base64url."))?;

    let prompt = params.words("prompt");
    if let Some(other) = prompt.iter().find(|word| !["none", "login", "select_account"].contains(word)) {
        return Err(invalid(&format!("The prompt {other} is not offered.")));
    }
    let passive = prompt.contains(&"none");
    if passive && prompt.len() > 1 {
        return Err(invalid("The prompt none stands alone."));
    }
    let seconds = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten();
    let max_age = match params.get("max_age") {
        None => None,
        Some(text) => Some(seconds(text).ok_or_else(|| invalid("max_age is not a number of seconds."))?),
    };
    let subject = match params.get("id_token_hint") {
        None => None,
        Some(token) => {
            let hint = logout::Hint::read(state, token).await;
            Some(hint.ok_or_else(|| invalid("The id_token_hint is no ID token of ours."))?.subject)
        }
    };
    let expected = params.get("login_hint").and_then(|hint| {
        let named = |known: &str| known.eq_ignore_ascii_case(hint);
        state.world.people().iter().find(|person| named(&person.email) || named(&person.id))
    });
    let owned = |name: &str| params.get(name).map(str::to_owned);
    let pending = Pending {
        client_id: client_id.to_owned(),
        redirect_uri: redirect_uri.to_owned(),
        response_mode,
        state: owned("state"),
        nonce: owned("nonce"),
        challenge: challenge.to_owned(),
        // Scopes nobody here knows are left out, as the standard says.
        scope: SCOPES.into_iter().filter(|known| scope.contains(known)).map(str::to_owned).collect(),
        subject,
    };
    let wishes = Wishes {
        passive,
        ask: !prompt.is_empty() && !passive,
        max_age: max_age.map(|seconds| SignedDuration::from_secs(seconds.into())),
        strengths: params.words("acr_values").into_iter().filter_map(Strength::from_class).collect(),
        expected: expected.map(|person| person.id.clone()),
    };
    Ok((pending, wishes))
}

fn respond(request: &HttpRequest, state: &State, pending: &Pending, wishes: &Wishes) -> HttpResponse {
    let now = state.clock.now();
    let signed_in = sessions::of_browser(request, state);
    let why = signed_in.as_ref().and_then(|(session, person)| {
        let old = wishes.max_age.is_some_and(|max_age| max_age.is_zero() || now > session.at + max_age);
        let other = pending.subject.as_ref().is_some_and(|wanted| *wanted != subject(&person.id));
        let unexpected = wishes.expected.as_ref().is_some_and(|expected| *expected != person.id);
        let another_way = !wishes.strengths.is_empty() && !wishes.strengths.contains(&session.strength);
        match () {
            () if other => Some(Why::Somebody),
            () if wishes.ask || old => Some(Why::Again),
            // Both are wishes. Where nobody may be asked, the answer says what is.
            () if unexpected && !wishes.passive => Some(Why::Somebody),
            () if another_way && !wishes.passive => Some(Why::Strength),
            () => None,
        }
    });
    match (&signed_in, why) {
        (Some((session, _)), None) => say_yes(state, pending, session, Arrived::ByLink),
        _ if wishes.passive => {
            let error = OauthError::new("login_required", "Nobody who would do is signed in, and nobody may be asked.");
            pending.back().refuse(state, error, Arrived::ByLink)
        }
        _ => {
            let known = signed_in.as_ref().map(|(_, person)| person.id.as_str());
            let of_subject = pending
                .subject
                .as_ref()
                .and_then(|wanted| state.world.people().iter().find(|person| subject(&person.id) == *wanted));
            let application = Url::parse(&pending.redirect_uri).map(|url| url.origin().ascii_serialization());
            let question = Question {
                application: application.as_deref().unwrap_or(&pending.client_id),
                protocol: "OpenID Connect",
                signed_in: known,
                expected: of_subject.map(|person| person.id.as_str()).or(wishes.expected.as_deref()),
                why,
                strength: wishes.strengths.first().copied().unwrap_or_default(),
            };
            crate::sandbox::idp::ask(state, Asked::Oidc(pending.clone()), question)
        }
    }
}

/// Gives a code for whoever is signed in.
pub fn say_yes(state: &State, pending: &Pending, session: &Session, arrived: Arrived) -> HttpResponse {
    if pending.subject.as_ref().is_some_and(|wanted| *wanted != subject(&session.person)) {
        let error = OauthError::new("login_required", "Somebody else signed in than the one in the id_token_hint.");
        return pending.back().refuse(state, error, arrived);
    }
    let grant = Grant {
        client_id: pending.client_id.clone(),
        redirect_uri: pending.redirect_uri.clone(),
        challenge: pending.challenge.clone(),
        nonce: pending.nonce.clone(),
        scope: pending.scope.clone(),
        person: session.person.clone(),
        session: session.index.clone(),
        at: session.at,
        strength: session.strength,
    };
    match state.idp.oidc.grants.code(grant, state.clock.now(), &*state.rng) {
        Some(code) => {
            state.idp.sessions.tell_client(&session.index, &pending.client_id);
            pending.back().send(state, vec![("code", code.expose_secret().to_owned())], arrived)
        }
        None => {
            let error = OauthError::new("temporarily_unavailable", "Too many codes are waiting to be used.");
            pending.back().refuse(state, error, arrived)
        }
    }
}

/// The person has gone back without signing in.
pub fn went_away(state: &State, pending: &Pending) -> HttpResponse {
    let error = OauthError::new("access_denied", "The person did not want to sign in.");
    pending.back().refuse(state, error, Arrived::ByForm)
}
