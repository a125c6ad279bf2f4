//! Who is signed in here, and which applications have been told so.
//!
//! The browser holds a sealed cookie that names the session; what is in the session is kept here, so that signing out
//! ends it also where the cookie cannot be reached, as in a message posted from another site.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_web::HttpRequest;
use actix_web::cookie::{Cookie, SameSite};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::strength::Strength;
use crate::sandbox::world::Person;
use crate::sandbox::{State, cookie_named};

const COOKIE: &str = "rolegate_dev_idp";
/// How long the identity provider remembers who is signed in.
const LENGTH: SignedDuration = SignedDuration::from_hours(8);
/// Sessions end by themselves; this bounds what a loop can pile up before.
const MAX_SESSIONS: usize = 20_000;
/// How many names or clients one session keeps; the oldest is forgotten. Transient names are new at each sign-in.
const MAX_PARTICIPANTS: usize = 32;

/// The name of a person as one service provider knows it.
///
/// Spec: SAML core 2.2.2. Two are the same only if all four parts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameId {
    pub value: String,
    pub format: Option<String>,
    pub name_qualifier: Option<String>,
    pub sp_name_qualifier: Option<String>,
}

/// A service provider that was told who somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    pub entity_id: String,
    pub name_id: NameId,
}

/// Somebody signed in with one browser.
#[derive(Debug, Clone)]
pub struct Session {
    /// `SessionIndex` in SAML and `sid` in OpenID Connect. Applications know it, so it opens nothing.
    pub index: String,
    pub person: String,
    /// When the person last said who they are.
    pub at: Timestamp,
    pub strength: Strength,
    pub service_providers: Vec<Participant>,
    pub clients: Vec<String>,
}

impl Session {
    pub fn ends(&self) -> Timestamp {
        self.at + LENGTH
    }
}

/// What the cookie holds, sealed.
#[derive(Serialize, Deserialize)]
struct Remembered {
    index: String,
}

const REMEMBERED: &str = "idp:session";

/// The sessions of all browsers.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<String, Session>>);

impl Sessions {
    /// Somebody has said who they are. In the browser of a session of the same person that session goes on, so that
    /// applications which know it are told when it ends.
    pub fn begin(&self, before: Option<&Session>, new: Session, now: Timestamp) -> Session {
        let mut sessions = self.lock();
        sessions.retain(|_, session| now < session.ends());
        let same =
            before.filter(|before| before.person == new.person).and_then(|before| sessions.get_mut(&before.index));
        if let Some(session) = same {
            (session.at, session.strength) = (new.at, new.strength);
            return session.clone();
        }
        if sessions.len() < MAX_SESSIONS {
            sessions.insert(new.index.clone(), new.clone());
        }
        new
    }

    pub fn get(&self, index: &str, now: Timestamp) -> Option<Session> {
        self.lock().get(index).filter(|session| now < session.ends()).cloned()
    }

    /// Ends a session; gives what it was.
    pub fn end(&self, index: &str, now: Timestamp) -> Option<Session> {
        self.lock().remove(index).filter(|session| now < session.ends())
    }

    pub fn tell_service_provider(&self, index: &str, participant: Participant) {
        if let Some(session) = self.lock().get_mut(index) {
            note(&mut session.service_providers, participant);
        }
    }

    pub fn tell_client(&self, index: &str, client: &str) {
        if let Some(session) = self.lock().get_mut(index) {
            note(&mut session.clients, client.to_owned());
        }
    }

    /// The sessions in which a service provider knows somebody by this name; where it names sessions, only those.
    pub fn of_participant(&self, participant: &Participant, indexes: &[String], now: Timestamp) -> Vec<String> {
        let sessions = self.lock();
        let found = sessions.values().filter(|session| {
            now < session.ends()
                && session.service_providers.contains(participant)
                && (indexes.is_empty() || indexes.contains(&session.index))
        });
        found.map(|session| session.index.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn note<T: PartialEq>(known: &mut Vec<T>, new: T) {
    if !known.contains(&new) {
        if known.len() >= MAX_PARTICIPANTS {
            known.remove(0);
        }
        known.push(new);
    }
}

/// The session of a browser, and who that is.
pub fn of_browser<'s>(request: &HttpRequest, state: &'s State) -> Option<(Session, &'s Person)> {
    let cookie = request.cookie(&cookie_named(COOKIE, &state.base))?;
    let remembered: Remembered = super::open(state, REMEMBERED, cookie.value())?;
    let session = state.idp.sessions.get(&remembered.index, state.clock.now())?;
    let person = state.world.person(&session.person)?;
    Some((session, person))
}

/// The cookie for a session.
pub fn cookie(state: &State, session: &Session) -> Cookie<'static> {
    named(state, super::seal(state, REMEMBERED, &Remembered { index: session.index.clone() }))
}

/// Takes the cookie away.
pub fn no_cookie(state: &State) -> Cookie<'static> {
    let mut gone = named(state, String::new());
    gone.make_removal();
    gone
}

fn named(state: &State, value: String) -> Cookie<'static> {
    // Lax is enough although requests come by POST too: without the cookie the person is merely asked again.
    Cookie::build(cookie_named(COOKIE, &state.base), value)
        .path("/idp")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(state.base.scheme() == "https")
        .finish()
}
