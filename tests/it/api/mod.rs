//! `/api/v1`: what programs are told, what they get, and what they are told when they get nothing.

mod aws_config;
mod issue;
mod lists;
pub mod openapi;
mod pasted;

use jiff::SignedDuration;
use rolegate::access::Scope;
use rolegate::store::tokens::{self, Authorization, AuthorizationKind};
use rolegate::sys::{Bearer, BearerKind, SystemRng, Token};
use serde_json::Value;

use crate::sandboxed::{Answer, Person, Sandboxed, client, problem, send};

const READ_PAYMENTS: &str = "/api/v1/roles/111122223333/ReadOnly";

/// A program with a token.
pub struct Program<'w> {
    world: &'w Sandboxed,
    pub token: Bearer,
    /// What the token belongs to.
    pub authorization: String,
}

impl<'w> Program<'w> {
    /// What a program of this person's would have been given, had they allowed it this.
    pub async fn of(world: &'w Sandboxed, person: &str, scope: Scope) -> Self {
        Self::with(world, &world.sign_in_as(person).await, |authorization| authorization.scope = scope).await
    }

    pub async fn with(world: &'w Sandboxed, person: &Person, change: impl FnOnce(&mut Authorization)) -> Self {
        let store = &world.broker.app.ground.store;
        let session = store.session(&Token::parse(person.session()).unwrap().hash()).await.unwrap().unwrap();
        let now = world.broker.now();
        let token = Bearer::generate(BearerKind::Access, &SystemRng);
        let mut authorization = Authorization {
            // Its own hash: any 32 hexadecimal characters will do.
            id: token.hash().iter().take(16).map(|byte| format!("{byte:02x}")).collect(),
            kind: AuthorizationKind::SignIn,
            identity: session.identity,
            client: "rolegate-cli".to_owned(),
            label: "rolegate on a laptop".to_owned(),
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
        let (id, expires) = (authorization.id.clone(), authorization.expires);
        tokens::add_token(&mut tx, &token.hash(), BearerKind::Access, &id, now, expires).await.unwrap();
        tx.commit().await.unwrap();
        Self { world, token, authorization: id }
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let request = client().request(method.parse().unwrap(), self.world.broker.at(path));
        request.bearer_auth(self.token.expose_secret())
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.request("GET", path)).await
    }

    /// Posts nothing.
    pub async fn post(&self, path: &str) -> Answer {
        send(self.request("POST", path)).await
    }

    pub async fn post_json(&self, path: &str, body: &Value) -> Answer {
        send(self.request("POST", path).json(body)).await
    }

    pub async fn post_text(&self, path: &str, kind: &str, body: &str) -> Answer {
        send(self.request("POST", path).header("content-type", kind).body(body.to_owned())).await
    }

    /// Asserts that a request is refused like this. Gives what is said, and kind and body of each event it left.
    async fn refused(&self, answer: &Answer, status: u16, kind: &str) -> (String, Vec<(String, Value)>) {
        let (sentence, request) = problem(answer, status, kind);
        assert_eq!(answer.header("cache-control"), "no-store");
        (sentence, self.world.events_of(&request).await)
    }
}
