//! An identity provider for development: no passwords, one click per person, real signatures.
//!
//! It speaks SAML 2.0 ([`saml`]) and OpenID Connect ([`oidc`]) with the same people, the same page to choose one, and one
//! session for both: whoever is signed in through one protocol is signed in for the other, and signing out tells the
//! applications of both.
//!
//! | Path | What |
//! | --- | --- |
//! | `GET /idp` | who is signed in, applications, signing keys |
//! | `POST /idp/sign-in` | a click on the page with the people |
//! | `POST /idp/sign-out` | sign out here and wherever this was told |
//! | `GET /idp/saml/metadata` · `GET,POST /idp/saml/sso` · `GET,POST /idp/saml/slo` · `GET /idp/saml/initiate` | SAML |
//! | `/idp/oidc/…` | OpenID Connect, see [`oidc`] |
//! | `/idp/workload/…` | tokens of CI jobs and service accounts, see [`workload`] |
//!
//! The page takes `person` (an id out of the world, or nothing to go back) and `strength` (`password` or `security-key`),
//! and whatever else stands in its form.

pub mod leaving;
pub mod oidc;
pub mod onward;
mod params;
pub mod saml;
pub mod sessions;
pub mod strength;
pub mod workload;

use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use self::leaving::{Finally, Leavings};
use self::onward::Arrived;
use self::sessions::{Session, Sessions};
use self::strength::Strength;
use super::State;
use super::pages::{self, Notice};

/// How long the list of people may stay open before somebody clicks.
const PATIENCE: SignedDuration = SignedDuration::from_mins(30);

/// What the identity provider knows.
#[derive(Debug)]
pub struct Idp {
    pub sessions: Sessions,
    pub leavings: Leavings,
    pub service_providers: saml::partners::Partners,
    pub oidc: oidc::Provider,
    pub workload: workload::Issuers,
}

/// A request that was understood and believed. It travels sealed through the page, between its arrival and the click.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Asked {
    Saml(saml::Pending),
    Oidc(oidc::authorize::Pending),
}

#[derive(Serialize, Deserialize)]
struct Waiting {
    until: Timestamp,
    asked: Asked,
}

const WAITING: &str = "idp:waiting";

fn seal<T: Serialize>(state: &State, place: &str, value: &T) -> String {
    let plain = serde_json::to_vec(value).expect("texts and instants are always JSON");
    URL_SAFE_NO_PAD.encode(state.sealing.seal(place, &plain, &*state.rng))
}

fn open<T: for<'de> Deserialize<'de>>(state: &State, place: &str, text: &str) -> Option<T> {
    let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
    serde_json::from_slice(&state.sealing.open(place, &sealed).ok()?).ok()
}

/// Why somebody who is signed in is asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The application wants to be sure.
    Again,
    /// The application wants a sign-in of another kind.
    Strength,
    /// The application believes this is somebody else.
    Somebody,
}

/// What the page with the people shows besides them.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub application: &'a str,
    pub protocol: &'static str,
    /// Who is signed in, by id.
    pub signed_in: Option<&'a str>,
    /// Whom the application expects, by id.
    pub expected: Option<&'a str>,
    pub why: Option<Why>,
    /// What is chosen unless the person chooses otherwise.
    pub strength: Strength,
}

/// The list of people.
fn ask(state: &State, asked: Asked, question: Question<'_>) -> HttpResponse {
    let waiting = Waiting { until: state.clock.now() + PATIENCE, asked };
    pages::choose_person(state, &question, &seal(state, WAITING, &waiting))
}

#[derive(Deserialize)]
pub struct SignInForm {
    pending: String,
    /// Empty when the person goes away.
    person: String,
    strength: Option<String>,
}

/// `POST /idp/sign-in`: a click on the list.
pub async fn sign_in(request: HttpRequest, form: web::Form<SignInForm>, state: web::Data<State>) -> HttpResponse {
    let now = state.clock.now();
    let mistake = |title: &str, text: &str| {
        pages::notice(400, &Notice { title: title.to_owned(), text: text.to_owned(), link: None })
    };
    let waiting = open::<Waiting>(&state, WAITING, &form.pending).filter(|waiting| now < waiting.until);
    let Some(Waiting { asked, .. }) = waiting else {
        return mistake("That took too long", "Please go back to where you came from and begin again.");
    };
    if form.person.is_empty() {
        return match &asked {
            Asked::Saml(pending) => saml::went_away(&state, pending),
            Asked::Oidc(pending) => oidc::authorize::went_away(&state, pending),
        };
    }
    let Some(person) = state.world.person(&form.person) else {
        return mistake("Nobody here has that name", "Please choose somebody from the list.");
    };
    let Some(strength) = form.strength.as_deref().map_or(Some(Strength::default()), Strength::from_name) else {
        return mistake("There is no such way to sign in", "Please choose one of those on the page.");
    };
    let before = sessions::of_browser(&request, &state).map(|(session, _)| session);
    let new = Session {
        index: state.rng.xml_id(),
        person: person.id.clone(),
        at: now,
        strength,
        service_providers: Vec::new(),
        clients: Vec::new(),
    };
    let session = state.idp.sessions.begin(before.as_ref(), new, now);
    let mut response = match &asked {
        Asked::Saml(pending) => saml::say_yes(&state, pending, person, &session),
        Asked::Oidc(pending) => oidc::authorize::say_yes(&state, pending, &session, Arrived::ByForm),
    };
    let _ = response.add_cookie(&sessions::cookie(&state, &session));
    response
}

/// `POST /idp/sign-out`: signs out here, and wherever this was told.
pub async fn sign_out(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let index = sessions::of_browser(&request, &state).map(|(session, _)| session.index);
    leaving::begin(&request, &state, index.as_slice(), None, Finally::Page, Arrived::ByForm).await
}

/// `GET /idp`: who is signed in, and where to.
pub async fn home(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let partners = state.idp.service_providers.all(state.clock.now()).await;
    let keys = state.idp.oidc.keys.ring(&state.clock, &state.rng).await;
    let keys = keys.inspect_err(|error| tracing::error!("the keys that sign tokens cannot be shown: {error}")).ok();
    let signed_in = sessions::of_browser(&request, &state);
    pages::idp_home(&state, signed_in.as_ref().map(|(session, person)| (session, *person)), &partners, keys.as_ref())
}
