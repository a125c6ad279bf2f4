//! Programs that fetch credentials by themselves, by AWS's own protocols.

mod cli;
mod clients;
mod container;
mod portal;
mod rust;
mod sdks;
mod sign_in;

use jiff::SignedDuration;
use rolegate::access::Scope;
use rolegate::store::tokens::{self, Authorization, AuthorizationKind};
use rolegate::sys::{Bearer, BearerKind, SystemRng, Token};
use serde_json::Value;

use crate::sandboxed::{Answer, Person, Sandboxed, client, send};

pub const DEPLOY: &str = "teams/payments/Deploy";
pub const PAYMENTS: &str = "111122223333";

/// What a program of this person's would have been given, had they allowed it this.
pub async fn token(world: &Sandboxed, person: &Person, scope: Scope) -> Bearer {
    token_with(world, person, |authorization| authorization.scope = scope).await
}

pub async fn token_with(world: &Sandboxed, person: &Person, change: impl FnOnce(&mut Authorization)) -> Bearer {
    let store = &world.broker.app.ground.store;
    let session = store.session(&Token::parse(person.session()).unwrap().hash()).await.unwrap().unwrap();
    let now = world.broker.now();
    let token = Bearer::generate(BearerKind::Access, &SystemRng);
    let mut authorization = Authorization {
        // Its own hash: any 32 hexadecimal characters will do.
        id: token.hash().iter().take(16).map(|byte| format!("{byte:02x}")).collect(),
        kind: AuthorizationKind::SignIn,
        identity: session.identity,
        client: "test".to_owned(),
        label: "a test".to_owned(),
        scope: Scope::FULL,
        networks: Vec::new(),
        session: None,
        created: now,
        vouched: now,
        expires: now + SignedDuration::from_hours(12),
        last_used: None,
        last_used_from: None,
        client_address: "127.0.0.1".to_owned(),
        user_agent: String::new(),
    };
    change(&mut authorization);
    let mut tx = store.begin().await.unwrap();
    tokens::add_authorization(&mut tx, &authorization).await.unwrap();
    let (id, expires) = (&authorization.id, authorization.expires);
    tokens::add_token(&mut tx, &token.hash(), BearerKind::Access, id, now, expires).await.unwrap();
    tx.commit().await.unwrap();
    token
}

/// Asks with headers, and nothing that a browser would add.
async fn ask(world: &Sandboxed, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = client().get(world.broker.at(path));
    send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

/// The names of an object's members, in order of the alphabet.
fn members(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The kinds and causes of the events that a request left behind.
async fn recorded(world: &Sandboxed, answer: &Answer) -> Vec<(String, String)> {
    let events = world.events_of(answer.header("x-request-id")).await;
    events.into_iter().map(|(kind, body)| (kind, body["cause"].as_str().unwrap_or_default().to_owned())).collect()
}
