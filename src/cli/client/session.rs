//! Calls on behalf of the person: with the token they were given, or with their sign-in, renewed when it has to be.

use std::io;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::api::{Api, ApiError, CLIENT_ID, Call, Credentials, Granted, Role};
use super::server::{self, Server, ServerArgs, WhichServer};
use super::store::{SignIn, SignIns, StoreError};
use super::surroundings::Surroundings;
use crate::config::ClientVariable;
use crate::issuance::Format;
use crate::sys::{Bearer, BearerKind, Clock as _, ExposeSecret as _, SecretString, SystemClock};

/// A token with less left is renewed first, so that it does not end on its way.
const LEAST_LEFT: SignedDuration = SignedDuration::from_secs(30);
/// A file with more in it holds no token.
const LARGEST_TOKEN_FILE: u64 = 4096;

/// Why a command cannot call the server as anybody.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("not signed in at {0}; run `rolegate login`")]
    NotSignedIn(Server),
    #[error("your sign-in at {server} has ended; run `rolegate login`")]
    Ended {
        server: Server,
        #[source]
        source: Option<ApiError>,
    },
    #[error("{origin} was refused")]
    TokenRefused { origin: String, source: ApiError },
    #[error("{origin} holds no token of a Rolegate; they begin with rgp_ or rga_")]
    NoToken { origin: String },
    #[error("{origin} is for {usual} and is not sent to {server}; if it is a token of that, set ROLEGATE_URL to it")]
    TokenOfOther { origin: String, usual: Server, server: Server },
    #[error("the token file {} cannot be read", path.display())]
    TokenFile { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Server(#[from] WhichServer),
}

/// Whose token calls go with.
#[derive(Debug)]
enum Source {
    /// Given by a variable, which wins: for CI jobs and personal tokens.
    Given {
        token: Bearer,
        origin: String,
    },
    SignIn(SignIns),
}

/// Somebody at a server.
#[derive(Debug)]
pub struct Session {
    api: Api,
    source: Source,
}

/// The token that a variable gives, or the file it names.
///
/// # Errors
/// [`SessionError`]: there is a variable and no token in it.
pub fn given_token(around: &Surroundings) -> Result<Option<(Bearer, String)>, SessionError> {
    let (text, origin) = if let Some(text) = around.own(ClientVariable::Token) {
        (Zeroizing::new(text.to_owned()), ClientVariable::Token.name().to_owned())
    } else if let Some(path) = around.own(ClientVariable::TokenFile) {
        let failed = |source| SessionError::TokenFile { path: path.into(), source };
        let mut text = Zeroizing::new(String::new());
        let file = std::fs::File::open(path).map_err(failed)?;
        io::Read::read_to_string(&mut io::Read::take(file, LARGEST_TOKEN_FILE), &mut text).map_err(failed)?;
        (text, path.to_owned())
    } else {
        return Ok(None);
    };
    match Bearer::parse(text.trim()) {
        Some(token) if token.kind() != BearerKind::Refresh => Ok(Some((token, origin))),
        _ => Err(SessionError::NoToken { origin }),
    }
}

/// A token that a variable gives goes to the server of commands that name none: a profile or a command that somebody
/// copied may name any.
fn stays(server: &Server, origin: &str, around: &Surroundings) -> Result<(), SessionError> {
    let usual = match server::usual(around) {
        // Nothing is remembered where nothing can be.
        Err(WhichServer::Homeless(_)) => None,
        usual => usual?,
    };
    match usual.filter(|usual| usual != server) {
        Some(usual) => Err(SessionError::TokenOfOther { origin: origin.to_owned(), usual, server: server.clone() }),
        None => Ok(()),
    }
}

impl Session {
    /// # Errors
    /// [`SessionError`]: the server or the token is not known, or the token is for another server.
    pub fn open(args: &ServerArgs, around: &Surroundings) -> Result<Self, SessionError> {
        let server = server::which(args, around)?;
        let source = match given_token(around)? {
            Some((token, origin)) => {
                stays(&server, &origin, around)?;
                Source::Given { token, origin }
            }
            None => Source::SignIn(SignIns::of(around)?),
        };
        Ok(Self { api: Api::of(server)?, source })
    }

    #[must_use]
    pub const fn server(&self) -> &Server {
        self.api.server()
    }

    /// The variable or file that gave the token, if one did.
    #[must_use]
    pub fn given_by(&self) -> Option<&str> {
        match &self.source {
            Source::Given { origin, .. } => Some(origin),
            Source::SignIn(_) => None,
        }
    }

    /// An access token that lasts a little longer at least.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn token(&self) -> Result<Bearer, SessionError> {
        let sign_ins = match &self.source {
            Source::Given { token, .. } => return Ok(token.clone()),
            Source::SignIn(sign_ins) => sign_ins,
        };
        let not_signed_in = || SessionError::NotSignedIn(self.server().clone());
        let sign_in = sign_ins.find(self.server())?.ok_or_else(not_signed_in)?;
        if lasts(&sign_in, SystemClock.now()) {
            return Ok(sign_in.access);
        }
        self.renew(sign_ins, &sign_in.access).await
    }

    /// Trades the refresh token in, unless another command has done so while this one waited for its turn.
    async fn renew(&self, sign_ins: &SignIns, instead_of: &Bearer) -> Result<Bearer, SessionError> {
        let server = self.server();
        let _turn = sign_ins.turn(server)?;
        let sign_in = sign_ins.find(server)?.ok_or_else(|| SessionError::NotSignedIn(server.clone()))?;
        let now = SystemClock.now();
        if sign_in.access.hash() != instead_of.hash() && lasts(&sign_in, now) {
            return Ok(sign_in.access);
        }
        let Some(refresh) = &sign_in.refresh else {
            return Err(SessionError::Ended { server: server.clone(), source: None });
        };
        let metadata = self.api.metadata().await?;
        let fields =
            [("grant_type", "refresh_token"), ("refresh_token", refresh.expose_secret()), ("client_id", CLIENT_ID)];
        let granted: Granted = match self.api.oauth(&metadata.token_endpoint, &fields).await {
            Ok(granted) => granted,
            Err(source @ ApiError::OAuth { .. }) if is_end(&source) => {
                return Err(SessionError::Ended { server: server.clone(), source: Some(source) });
            }
            Err(error) => return Err(error.into()),
        };
        let sign_in = sign_in_of(&granted, now, Some(refresh)).ok_or_else(|| self.api.strange_tokens())?;
        sign_ins.keep(server, &sign_in)?;
        Ok(sign_in.access)
    }

    /// Makes a call with a token that lasts. If the server does not take it all the same, a new one is tried once: the
    /// two clocks may differ, or the token was ended and the sign-in was not.
    async fn with_token<T>(&self, call: impl AsyncFn(&Bearer) -> Result<T, ApiError>) -> Result<T, SessionError> {
        let token = self.token().await?;
        let refused = match call(&token).await {
            Err(ApiError::Problem(problem)) if problem.status == 401 => ApiError::Problem(problem),
            done => return Ok(done?),
        };
        match &self.source {
            Source::Given { origin, .. } => Err(SessionError::TokenRefused { origin: origin.clone(), source: refused }),
            Source::SignIn(sign_ins) => {
                let token = self.renew(sign_ins, &token).await?;
                Ok(call(&token).await?)
            }
        }
    }

    /// # Errors
    /// [`SessionError`].
    pub async fn json<T: DeserializeOwned>(&self, call: &Call) -> Result<T, SessionError> {
        self.with_token(async |token| self.api.json(call, token).await).await
    }

    /// Keys of a role, written in a format.
    ///
    /// # Errors
    /// [`SessionError`].
    pub async fn keys(&self, call: &Call, format: Format) -> Result<SecretString, SessionError> {
        let keys: Credentials = self.json(call).await?;
        keys.written(format).ok_or_else(|| self.api.strange_keys().into())
    }

    /// # Errors
    /// [`SessionError`].
    pub async fn body(&self, call: &Call) -> Result<Zeroizing<Vec<u8>>, SessionError> {
        self.with_token(async |token| self.api.body(call, token).await).await
    }

    /// # Errors
    /// [`SessionError`].
    pub async fn roles(&self) -> Result<Vec<Role>, SessionError> {
        self.with_token(async |token| self.api.roles(token).await).await
    }
}

fn lasts(sign_in: &SignIn, now: Timestamp) -> bool {
    sign_in.expires.duration_since(now) > LEAST_LEFT
}

/// Whether a refusal to renew is for good.
fn is_end(error: &ApiError) -> bool {
    matches!(error, ApiError::OAuth { status: 400 | 401, code, .. } if code == "invalid_grant" || code == "invalid_client")
}

/// The sign-in that a grant is. The refresh token stays where no other came with it.
///
/// Nothing, if the tokens are not of the shape that every Rolegate gives them.
#[must_use]
pub fn sign_in_of(granted: &Granted, now: Timestamp, before: Option<&Bearer>) -> Option<SignIn> {
    let refresh = match &granted.refresh_token {
        Some(text) => Some(Bearer::parse(text.expose_secret())?),
        None => before.cloned(),
    };
    let access = Bearer::parse(granted.access_token.expose_secret())?;
    let expires = now.checked_add(SignedDuration::from_secs(granted.expires_in.into())).ok()?;
    Some(SignIn { access, refresh, expires })
}
