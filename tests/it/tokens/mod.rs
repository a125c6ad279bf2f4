//! What programs hold for people: how it comes about, what it may do, and what ends it.

use jiff::SignedDuration;
use rolegate::access::Scope;
use rolegate::store::tokens::{Authorization, AuthorizationKind, add_authorization, add_token};
use rolegate::sys::{Bearer, BearerKind, SystemRng, Token};
use serde_json::Value;

use crate::sandboxed::{Answer, Person, Sandboxed, client, send};

mod admin;
mod bearer;
mod lifecycle;
mod personal;

/// What a program holds.
#[derive(Debug, Clone)]
pub struct Held {
    /// The token itself.
    pub text: String,
    /// The id of its authorization.
    pub id: String,
}

/// The session somebody is in, as a new authorization would name it.
pub async fn authorization_of(world: &Sandboxed, person: &Person, kind: AuthorizationKind) -> Authorization {
    let store = &world.broker.app.ground.store;
    let session = store.session(&Token::parse(person.session()).unwrap().hash()).await.unwrap().unwrap();
    let now = world.broker.now();
    let id = Token::generate(&SystemRng).expose_secret().to_owned();
    Authorization {
        id,
        kind,
        identity: session.identity,
        client: "rolegate-cli".to_owned(),
        label: "rolegate on a laptop".to_owned(),
        scope: Scope::FULL,
        networks: Vec::new(),
        session: Some(session.public_id),
        created: now,
        vouched: session.created,
        expires: now + SignedDuration::from_hours(12),
        last_used: None,
        last_used_from: None,
        client_address: "127.0.0.1".to_owned(),
        user_agent: "test".to_owned(),
    }
}

/// Keeps an authorization with one token, as the ways to get one do.
pub async fn hold(world: &Sandboxed, authorization: &Authorization, kind: BearerKind) -> Held {
    let token = Bearer::generate(kind, &SystemRng);
    let mut tx = world.broker.app.ground.store.begin().await.unwrap();
    add_authorization(&mut tx, authorization).await.unwrap();
    let Authorization { id, created, expires, .. } = authorization;
    add_token(&mut tx, &token.hash(), kind, id, *created, *expires).await.unwrap();
    tx.commit().await.unwrap();
    Held { text: token.expose_secret().to_owned(), id: id.clone() }
}

/// A terminal that somebody signed in from their browser.
pub async fn terminal(world: &Sandboxed, person: &Person) -> Held {
    let authorization = authorization_of(world, person, AuthorizationKind::SignIn).await;
    hold(world, &authorization, BearerKind::Access).await
}

impl Held {
    /// What a program is answered that sends it.
    pub async fn get(&self, world: &Sandboxed, path: &str) -> Answer {
        send(client().get(world.broker.at(path)).bearer_auth(&self.text)).await
    }

    /// Whether it counts.
    pub async fn counts(&self, world: &Sandboxed) -> bool {
        match self.get(world, "/api/v1/me").await.status {
            200 => true,
            401 => false,
            other => panic!("{other}"),
        }
    }
}

/// The details of what was recorded since then, of one kind.
pub async fn recorded(world: &Sandboxed, seq: i64, kind: &str) -> Vec<Value> {
    let events = world.broker.events_after(seq).await;
    events.into_iter().filter(|(found, _)| found == kind).map(|(_, body)| body).collect()
}
