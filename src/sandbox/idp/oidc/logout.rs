//! Signing out, begun by an application, and telling applications of it.
//!
//! Spec: OpenID Connect RP-Initiated Logout 1.0, OpenID Connect Back-Channel Logout 1.0.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use super::{hostile, issuer, jws, subject};
use crate::sandbox::State;
use crate::sandbox::idp::leaving::{self, Finally};
use crate::sandbox::idp::onward::Arrived;
use crate::sandbox::idp::params::Params;
use crate::sandbox::idp::sessions::{self, Session};
use crate::sandbox::pages;

/// A client that takes longer to be told is not told.
const PATIENCE: Duration = Duration::from_secs(3);
/// A logout token is read at once.
const TOKEN_LIFE: SignedDuration = SignedDuration::from_mins(2);
/// How long the question may stay open.
const QUESTION_LIFE: SignedDuration = SignedDuration::from_mins(10);
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// An ID token of ours that a client shows again, however old.
#[derive(Debug)]
pub struct Hint {
    pub subject: String,
    client: String,
    session: String,
}

impl Hint {
    /// None when it is no ID token, or the key that signed it is not published any more.
    pub async fn read(state: &State, token: &str) -> Option<Self> {
        let parsed = jws::Parsed::read(token)?;
        let ring = state.idp.oidc.keys.ring(&state.clock, &state.rng).await.ok()?;
        let claims = parsed.verified(ring.by_id(parsed.key_id()?)?.private_key())?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        // A logout token has the same key and the same issuer, and is no proof of anything.
        let is_id_token =
            text("iss").as_deref() == Some(issuer(&state.base).as_str()) && !claims.contains_key("events");
        is_id_token.then_some(())?;
        Some(Self { subject: text("sub")?, client: text("aud")?, session: text("sid")? })
    }
}

/// A sign-out that waits for the person to say yes. It travels sealed through the page.
#[derive(Serialize, Deserialize)]
struct Question {
    until: jiff::Timestamp,
    back: Option<String>,
}

const QUESTION: &str = "idp:sign-out";

/// `GET /idp/oidc/logout`
pub async fn by_get(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    log_out(&request, &state, request.query_string().as_bytes(), Arrived::ByLink).await
}

/// `POST /idp/oidc/logout`
pub async fn by_post(request: HttpRequest, body: web::Bytes, state: web::Data<State>) -> HttpResponse {
    log_out(&request, &state, &body, Arrived::ByForm).await
}

async fn log_out(request: &HttpRequest, state: &State, params: &[u8], arrived: Arrived) -> HttpResponse {
    let params = match Params::parse(params) {
        Ok(params) => params,
        Err(error) => return hostile(&error.to_string()),
    };
    let hint = match params.get("id_token_hint") {
        Some(token) => Hint::read(state, token).await,
        None => None,
    };
    let client = hint.as_ref().map(|hint| hint.client.clone());
    let client = client.as_deref().or(params.get("client_id"));
    if params.get("client_id").is_some_and(|named| Some(named) != client) {
        return hostile("The client_id is not the one the id_token_hint was made for.");
    }
    let back = match params.get("post_logout_redirect_uri") {
        None => None,
        Some(url) => {
            let Some(client) = client else {
                return hostile(
                    "Without an id_token_hint or a client_id nobody knows whose post_logout_redirect_uri this is.",
                );
            };
            if !state.idp.oidc.clients.may_return(client, url) {
                return hostile(&format!("`{client}` has not registered the post_logout_redirect_uri {url}."));
            }
            match with_state(url, params.get("state")) {
                Some(url) => Some(url),
                None => return hostile("The post_logout_redirect_uri is no URL."),
            }
        }
    };
    let now = state.clock.now();
    let here = sessions::of_browser(request, state);
    let hinted = hint.filter(|hint| {
        state.idp.sessions.get(&hint.session, now).is_some_and(|session| subject(&session.person) == hint.subject)
    });
    match (hinted, here) {
        (Some(hint), _) => leaving::begin(request, state, &[hint.session], None, finally(back), arrived).await,
        (None, None) => leaving::begin(request, state, &[], None, finally(back), arrived).await,
        // Whoever sent this could not say whom it means, so the person is asked.
        (None, Some((session, person))) => {
            let question = Question { until: now + QUESTION_LIFE, back };
            let sealed = crate::sandbox::idp::seal(state, QUESTION, &question);
            pages::sign_out_question(state, &session, person, client, &sealed)
        }
    }
}

fn finally(back: Option<String>) -> Finally {
    back.map_or(Finally::Page, Finally::Client)
}

fn with_state(url: &str, state: Option<&str>) -> Option<String> {
    let mut parsed = Url::parse(url).ok()?;
    match state {
        None => Some(url.to_owned()),
        Some(state) => {
            parsed.query_pairs_mut().append_pair("state", state);
            Some(parsed.into())
        }
    }
}

#[derive(Deserialize)]
pub struct AnswerForm {
    pending: String,
    /// `yes`, or the person stays signed in.
    answer: String,
}

/// `POST /idp/oidc/logout/answer`: what the person says to the question.
pub async fn answer(request: HttpRequest, form: web::Form<AnswerForm>, state: web::Data<State>) -> HttpResponse {
    let question = crate::sandbox::idp::open::<Question>(&state, QUESTION, &form.pending);
    let Some(question) = question.filter(|question| state.clock.now() < question.until) else {
        return hostile("The question was asked too long ago. Please go back to where you came from.");
    };
    if form.answer != "yes" {
        return pages::still_signed_in();
    }
    let index = sessions::of_browser(&request, &state).map(|(session, _)| session.index);
    leaving::begin(&request, &state, index.as_slice(), None, finally(question.back), Arrived::ByForm).await
}

/// Sends logout tokens for sessions that have ended, to all clients at once. Gives who was told, and who could not be.
pub async fn tell(state: &State, ended: &[Session]) -> (Vec<String>, Vec<String>) {
    let mut calls = Vec::new();
    let (mut told, mut untold) = (Vec::new(), Vec::new());
    for session in ended {
        for client in &session.clients {
            match state.idp.oidc.clients.find(client).and_then(|client| client.backchannel_logout_uri.as_ref()) {
                Some(url) => calls.push(async move { (client.clone(), tell_one(state, session, client, url).await) }),
                None => untold.push(client.clone()),
            }
        }
    }
    for (client, reached) in join_all(calls).await {
        let list = if reached { &mut told } else { &mut untold };
        list.push(client);
    }
    (told, untold)
}

async fn tell_one(state: &State, session: &Session, client: &str, url: &Url) -> bool {
    let token = match logout_token(state, session, client).await {
        Some(token) => token,
        None => return false,
    };
    let request = state.idp.oidc.http.post(url.clone()).form(&[("logout_token", token)]).timeout(PATIENCE);
    match request.send().await {
        Ok(response) if response.status().is_success() => true,
        Ok(response) => {
            tracing::warn!(client = %client, "a logout token was answered with status {}", response.status());
            false
        }
        Err(error) => {
            tracing::warn!(client = %client, "a logout token could not be delivered: {error}");
            false
        }
    }
}

async fn logout_token(state: &State, session: &Session, client: &str) -> Option<String> {
    let now = state.clock.now();
    let claims = json!({
        "iss": issuer(&state.base),
        "sub": subject(&session.person),
        "aud": client,
        "iat": now.as_second(),
        "exp": (now + TOKEN_LIFE).as_second(),
        "jti": state.request_id(),
        "sid": session.index,
        "events": { EVENT: {} },
    });
    let claims: Map<String, Value> = claims.as_object().cloned().unwrap_or_default();
    let ring = state.idp.oidc.keys.ring(&state.clock, &state.rng).await;
    let signed = ring
        .map_err(|error| error.to_string())
        .and_then(|ring| jws::sign(&ring.current, "logout+jwt", &claims).map_err(|error| error.to_string()));
    signed.inspect_err(|error| tracing::error!("a logout token could not be written: {error}")).ok()
}
