//! A program on somebody's computer asks, in their browser, to act on their behalf.
//!
//! Nothing is sent anywhere before it is certain who asks and where on this computer they wait. Then the person reads what
//! is asked and says yes or no, and the answer goes to the waiting program: a code that counts for a minute, once, and only
//! together with what that program kept to itself.
//!
//! Spec: RFC 6749 4.1.1, 4.1.2; RFC 7636 4.3; RFC 8252; RFC 9207.

use jiff::{SignedDuration, Timestamp};
use url::Url;

use super::clients::{Client, ClientError, ClientKind, Clients, LoopbackRedirect};
use super::sessions::LiveSession;
use super::{Caller, Ground};
use crate::access::{Scope, UnknownScope};
use crate::audit::Kind;
use crate::store::StoreError;
use crate::store::authorization_codes::AuthorizationCode;
use crate::sys::Token;

/// How long a code counts.
const CODE_TTL: SignedDuration = SignedDuration::from_secs(60);
/// No `state` is longer: it travels in addresses.
const LONGEST_STATE: usize = 512;

/// What a program sent, each at most once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    pub client_id: Option<&'a str>,
    pub redirect_uri: Option<&'a str>,
    pub response_type: Option<&'a str>,
    pub state: Option<&'a str>,
    pub code_challenge: Option<&'a str>,
    pub code_challenge_method: Option<&'a str>,
    pub scope: Option<&'a str>,
    /// AWS's word for `scope`.
    pub scopes: Option<&'a str>,
    /// Whether a request object or its address was sent, which is not taken. Spec: RFC 9101.
    pub request_object: bool,
}

/// A request that may be put to the person.
#[derive(Debug, Clone)]
pub struct AuthorizationRequest {
    pub client: Client,
    pub redirect: LoopbackRedirect,
    pub scope: Scope,
    state: Option<String>,
    challenge: String,
}

/// Why a request is not put to the person.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizeError {
    /// It is not certain who asks: the person is told, and nobody else.
    #[error("the request cannot be answered")]
    Nobody(#[from] Unanswerable),
    /// The program is told, at its own address.
    #[error("the request is refused: {fault}")]
    Refused { answer: Answer, fault: Fault },
}

/// Why nobody can be told but the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswerable {
    #[error("no client is named")]
    NoClient,
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("no redirect_uri is named")]
    NoRedirect,
    #[error("the redirect_uri is not the client's loopback address")]
    Redirect,
    #[error("the state has more than 512 bytes")]
    State,
}

/// What is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("response_type must be code")]
    ResponseType,
    #[error("a code_challenge with code_challenge_method S256 is needed")]
    Challenge,
    #[error(transparent)]
    Scope(#[from] UnknownScope),
    #[error("scope and scopes say different things")]
    TwoScopes,
    #[error("request objects are not taken")]
    RequestObject,
    #[error("the person refused")]
    AccessDenied,
}

impl Fault {
    /// The error code. Spec: RFC 6749 4.1.2.1; RFC 9101 5.
    const fn code(&self) -> &'static str {
        match self {
            Self::ResponseType => "unsupported_response_type",
            Self::Challenge | Self::TwoScopes => "invalid_request",
            Self::Scope(_) => "invalid_scope",
            Self::RequestObject => "request_not_supported",
            Self::AccessDenied => "access_denied",
        }
    }
}

/// Where the browser takes the answer: an address on the person's own computer, which only this module makes.
#[derive(Clone)]
pub struct Answer(String);

impl std::fmt::Debug for Answer {
    /// A code may be in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answer")
    }
}

impl Answer {
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Puts requests to people, and takes their answers back.
#[derive(Debug, Clone)]
pub struct Authorize {
    pub ground: Ground,
    pub clients: Clients,
    /// Who we are, as our metadata says.
    pub issuer: Url,
}

impl Authorize {
    /// Reads a request.
    ///
    /// # Errors
    /// [`AuthorizeError`] says who is told.
    pub fn read(&self, asked: Asked<'_>) -> Result<AuthorizationRequest, AuthorizeError> {
        let id = asked.client_id.ok_or(Unanswerable::NoClient)?;
        let client = self.clients.find(id).map_err(Unanswerable::from)?;
        let uri = asked.redirect_uri.ok_or(Unanswerable::NoRedirect)?;
        let redirect = client.redirect(uri).ok_or(Unanswerable::Redirect)?;
        if asked.state.is_some_and(|state| state.len() > LONGEST_STATE) {
            return Err(Unanswerable::State.into());
        }
        let state = asked.state.map(str::to_owned);
        match what_is_asked(&asked) {
            Ok((scope, challenge)) => Ok(AuthorizationRequest { client, redirect, scope, state, challenge }),
            Err(fault) => {
                let answer = self.answer(&client, &redirect, state.as_deref(), &told(&fault));
                Err(AuthorizeError::Refused { answer, fault })
            }
        }
    }

    /// The person says yes: the program gets a code.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn allow(
        &self,
        session: &LiveSession,
        request: &AuthorizationRequest,
        caller: &Caller,
    ) -> Result<Answer, StoreError> {
        let now = self.ground.clock.now();
        let code = Token::generate(&*self.ground.rng);
        let kept = AuthorizationCode {
            client: request.client.id.clone(),
            client_name: request.client.name.clone(),
            redirect_uri: request.redirect.as_str().to_owned(),
            challenge: request.challenge.clone(),
            scope: request.scope.clone(),
            session: session.public_id.clone(),
            client_address: caller.address.to_string(),
            user_agent: caller.user_agent.clone(),
            created: now,
            expires: now.checked_add(CODE_TTL).unwrap_or(Timestamp::MAX),
        };
        self.ground.store.add_code(&code.hash(), &kept).await?;
        let AuthorizationRequest { client, redirect, state, .. } = request;
        Ok(self.answer(client, redirect, state.as_deref(), &[("code", code.expose_secret())]))
    }

    /// The person says no, which is recorded, and the program is told.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn refuse(
        &self,
        session: &LiveSession,
        request: &AuthorizationRequest,
        caller: &Caller,
    ) -> Result<Answer, StoreError> {
        let AuthorizationRequest { client, redirect, state, .. } = request;
        let event = caller
            .event(Kind::TokenRefused)
            .about(&session.identity.subject)
            .with("grant", "authorization_code")
            .with("client", client.id.as_str())
            .with("label", client.name.as_str())
            .with("session", session.public_id.as_str())
            .with("cause", "refused-by-person");
        self.ground.record(&event).await?;
        Ok(self.answer(client, redirect, state.as_deref(), &told(&Fault::AccessDenied)))
    }

    fn answer(
        &self,
        client: &Client,
        redirect: &LoopbackRedirect,
        state: Option<&str>,
        what: &[(&str, impl AsRef<str>)],
    ) -> Answer {
        let mut pairs: Vec<(&str, &str)> = what.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        pairs.extend(state.map(|state| ("state", state)));
        // Only for clients that read our metadata, which promises it: AWS's know one issuer only. Spec: RFC 9207 2.
        let issuer = issuer_text(&self.issuer);
        if client.kind == ClientKind::Own {
            pairs.push(("iss", &issuer));
        }
        Answer(redirect.with(&pairs))
    }
}

/// The issuer as its metadata writes it: without the slash that a URL without a path ends in.
#[must_use]
pub fn issuer_text(issuer: &Url) -> String {
    issuer.as_str().trim_end_matches('/').to_owned()
}

fn told(fault: &Fault) -> [(&'static str, String); 2] {
    [("error", fault.code().to_owned()), ("error_description", fault.to_string())]
}

fn what_is_asked(asked: &Asked<'_>) -> Result<(Scope, String), Fault> {
    if asked.request_object {
        return Err(Fault::RequestObject);
    }
    if asked.response_type != Some("code") {
        return Err(Fault::ResponseType);
    }
    let challenge = asked.code_challenge.filter(|text| is_challenge(text)).ok_or(Fault::Challenge)?;
    if asked.code_challenge_method != Some("S256") {
        return Err(Fault::Challenge);
    }
    let scope = match (asked.scope, asked.scopes) {
        (Some(one), Some(other)) if one != other => return Err(Fault::TwoScopes),
        (one, other) => one.or(other).unwrap_or("").parse()?,
    };
    Ok((scope, challenge.to_owned()))
}

/// SHA-256 in base64url without padding. Spec: RFC 7636 4.2.
fn is_challenge(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}
