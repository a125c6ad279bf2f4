//! Signing out: whoever was told that somebody is here is told that it is over.
//!
//! Clients of OpenID Connect are told from here, all at once and for a few seconds at most. Service providers of SAML
//! are told by the browser, which is sent from one to the next and comes back each time. The session has ended before
//! the first of them is told, so a browser that does not come back leaves nothing open here.
//!
//! Spec: SAML profiles 4.4, OpenID Connect Back-Channel Logout 1.0.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_web::{HttpRequest, HttpResponse};
use jiff::{SignedDuration, Timestamp};

use super::onward::{Arrived, Onward};
use super::sessions::{self, Participant, Session};
use super::{oidc, saml};
use crate::sandbox::{State, pages};

/// How long a service provider may keep the browser.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);
/// Entries are dropped when they end; this bounds what a loop can pile up before.
const MAX_LEAVINGS: usize = 20_000;

/// Where the browser is sent when everybody has been told.
#[derive(Debug, Clone)]
pub enum Finally {
    /// A page here says who was told.
    Page,
    /// The service provider that asked for it gets its answer.
    ServiceProvider(saml::logout::Reply),
    /// An address the client registered.
    Client(String),
}

/// A sign-out on its way through the service providers.
#[derive(Debug, Clone)]
pub struct Leaving {
    /// Who is still to be told: the session's index, and the name there.
    queue: VecDeque<(String, Participant)>,
    /// Whose answer is awaited.
    asked: Option<String>,
    told: Vec<String>,
    untold: Vec<String>,
    finally: Finally,
}

/// Sign-outs on their way, by the id of the request that was sent last.
#[derive(Debug, Default)]
pub struct Leavings(Mutex<HashMap<String, (Timestamp, Leaving)>>);

impl Leavings {
    fn put(&self, request_id: String, leaving: Leaving, now: Timestamp) {
        let mut known = self.lock();
        known.retain(|_, (until, _)| now < *until);
        if known.len() < MAX_LEAVINGS {
            known.insert(request_id, (now + PATIENCE, leaving));
        }
    }

    /// Takes the sign-out in which this service provider was sent this request.
    pub fn take(&self, request_id: &str, entity_id: &str, now: Timestamp) -> Option<Leaving> {
        let mut known = self.lock();
        let (until, leaving) = known.get(request_id)?;
        if now >= *until || leaving.asked.as_deref() != Some(entity_id) {
            return None;
        }
        known.remove(request_id).map(|(_, leaving)| leaving)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Timestamp, Leaving)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends sessions, tells everybody but the service provider called `except`, and sends the browser where it belongs.
pub async fn begin(
    request: &HttpRequest,
    state: &State,
    indexes: &[String],
    except: Option<&str>,
    finally: Finally,
    arrived: Arrived,
) -> HttpResponse {
    let now = state.clock.now();
    let ended: Vec<Session> = indexes.iter().filter_map(|index| state.idp.sessions.end(index, now)).collect();
    for session in &ended {
        state.idp.oidc.grants.end_session(&session.index);
    }
    let (told, untold) = oidc::logout::tell(state, &ended).await;
    let queue = ended
        .iter()
        .flat_map(|session| session.service_providers.iter().map(|participant| (session.index.clone(), participant)))
        .filter(|(_, participant)| except != Some(participant.entity_id.as_str()))
        .map(|(index, participant)| (index, participant.clone()))
        .collect();
    let leaving = Leaving { queue, asked: None, told, untold, finally };
    let mut response = advance(state, leaving, arrived).await;
    if sessions::of_browser(request, state).is_none() {
        let _ = response.add_cookie(&sessions::no_cookie(state));
    }
    response
}

/// A service provider has answered.
pub async fn go_on(state: &State, mut leaving: Leaving, success: bool, arrived: Arrived) -> HttpResponse {
    if let Some(entity_id) = leaving.asked.take() {
        let list = if success { &mut leaving.told } else { &mut leaving.untold };
        list.push(entity_id);
    }
    advance(state, leaving, arrived).await
}

async fn advance(state: &State, mut leaving: Leaving, arrived: Arrived) -> HttpResponse {
    while let Some((index, participant)) = leaving.queue.pop_front() {
        match saml::logout::ask(state, &participant, &index).await {
            Some((request_id, onward)) => {
                leaving.asked = Some(participant.entity_id);
                state.idp.leavings.put(request_id, leaving, state.clock.now());
                return onward.send(arrived);
            }
            None => leaving.untold.push(participant.entity_id),
        }
    }
    for name in &leaving.untold {
        tracing::warn!("{name} could not be told that somebody has signed out");
    }
    match &leaving.finally {
        Finally::Page => {
            for list in [&mut leaving.told, &mut leaving.untold] {
                list.sort();
                list.dedup();
            }
            pages::signed_out(state, &leaving.told, &leaving.untold)
        }
        Finally::ServiceProvider(reply) => match saml::logout::reply(state, reply, leaving.untold.is_empty()) {
            Ok(onward) => onward.send(arrived),
            Err(error) => saml::broken(&error),
        },
        Finally::Client(url) => Onward::To(url.clone()).send(arrived),
    }
}
