//! Codes and access tokens, kept by hash.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use openssl::sha::sha256;

use crate::sandbox::idp::strength::Strength;
use crate::sys::{Rng, Token, TokenHash};

/// A code works this long, once.
const CODE_LIFE: SignedDuration = SignedDuration::from_secs(60);
/// An access token works this long.
pub const TOKEN_LIFE: SignedDuration = SignedDuration::from_mins(10);
/// Entries are dropped when they end; this bounds what a loop can pile up before.
const MAX_ENTRIES: usize = 20_000;

/// What a code stands for.
#[derive(Debug, Clone)]
pub struct Grant {
    pub client_id: String,
    pub redirect_uri: String,
    /// `code_challenge`, with S256.
    pub challenge: String,
    pub nonce: Option<String>,
    pub scope: Vec<String>,
    pub person: String,
    /// The session's index.
    pub session: String,
    pub at: Timestamp,
    pub strength: Strength,
}

#[derive(Debug)]
struct Code {
    grant: Grant,
    issued: Timestamp,
    spent: bool,
}

/// What an access token opens.
#[derive(Debug, Clone)]
pub struct Access {
    pub grant: Grant,
    code: TokenHash,
    until: Timestamp,
}

/// Why a code gives nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    #[error("The code is unknown or has expired.")]
    Unknown,
    #[error("The code was given to another client.")]
    Client,
    #[error("The code was used before; what it gave is revoked.")]
    Spent,
    #[error("The redirect_uri is not the one of the authorization request.")]
    RedirectUri,
    #[error("The code_verifier does not fit the code_challenge.")]
    Verifier,
}

/// All codes and access tokens.
#[derive(Debug, Default)]
pub struct Grants(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    codes: HashMap<TokenHash, Code>,
    tokens: HashMap<TokenHash, Access>,
    /// `jti` of client assertions, by client, until they expire.
    assertions: HashMap<(String, String), Timestamp>,
}

impl Inner {
    fn sweep(&mut self, now: Timestamp) {
        // A spent code is remembered as long as what it gave may live.
        self.codes.retain(|_, code| now < code.issued + CODE_LIFE + TOKEN_LIFE);
        self.tokens.retain(|_, access| now < access.until);
        self.assertions.retain(|_, until| now < *until);
    }
}

impl Grants {
    /// A code; none when there are too many.
    pub fn code(&self, grant: Grant, now: Timestamp, rng: &dyn Rng) -> Option<Token> {
        let mut inner = self.lock();
        inner.sweep(now);
        if inner.codes.len() >= MAX_ENTRIES {
            return None;
        }
        let code = Token::generate(rng);
        inner.codes.insert(code.hash(), Code { grant, issued: now, spent: false });
        Some(code)
    }

    /// Exchanges a code for an access token, once.
    ///
    /// # Errors
    /// [`GrantError`]; a code that comes a second time takes back what it gave the first time.
    pub fn redeem(
        &self,
        code: &str,
        client_id: &str,
        redirect_uri: &str,
        verifier: &str,
        now: Timestamp,
        rng: &dyn Rng,
    ) -> Result<(Token, Grant), GrantError> {
        let hash = Token::parse(code).ok_or(GrantError::Unknown)?.hash();
        let mut inner = self.lock();
        inner.sweep(now);
        let code = inner.codes.get_mut(&hash).ok_or(GrantError::Unknown)?;
        if code.grant.client_id != client_id {
            return Err(GrantError::Client);
        }
        if code.spent {
            inner.tokens.retain(|_, access| access.code != hash);
            return Err(GrantError::Spent);
        }
        if now >= code.issued + CODE_LIFE {
            return Err(GrantError::Unknown);
        }
        if code.grant.redirect_uri != redirect_uri {
            return Err(GrantError::RedirectUri);
        }
        if URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes())) != code.grant.challenge {
            return Err(GrantError::Verifier);
        }
        code.spent = true;
        let grant = code.grant.clone();
        let token = Token::generate(rng);
        inner.tokens.insert(token.hash(), Access { grant: grant.clone(), code: hash, until: now + TOKEN_LIFE });
        Ok((token, grant))
    }

    /// What an access token opens.
    pub fn access(&self, token: &str, now: Timestamp) -> Option<Grant> {
        let hash = Token::parse(token)?.hash();
        self.lock().tokens.get(&hash).filter(|access| now < access.until).map(|access| access.grant.clone())
    }

    /// Marks a client's assertion as used; false when it was before, or when there are too many.
    pub fn first_use(&self, client_id: &str, id: &str, until: Timestamp, now: Timestamp) -> bool {
        let mut inner = self.lock();
        inner.sweep(now);
        let key = (client_id.to_owned(), id.to_owned());
        inner.assertions.len() < MAX_ENTRIES && inner.assertions.insert(key, until).is_none()
    }

    /// Takes back all codes and tokens of a session.
    pub fn end_session(&self, index: &str) {
        let mut inner = self.lock();
        inner.codes.retain(|_, code| code.grant.session != index);
        inner.tokens.retain(|_, access| access.grant.session != index);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
