//! A program presents what it was given, and gets tokens for it: a code, a refresh token, or a device code that somebody
//! approved.
//!
//! The tokens of one sign-in belong to one authorization and end with it. A refresh token is exchanged for its successor,
//! which is derived from it: two programs that refresh at the same moment get the same pair, on whichever replica. Past
//! a short grace, a second use means that somebody has a copy, and everything ends.
//!
//! Spec: RFC 6749 4.1.3, 5, 6; RFC 7636 4.6; RFC 8628 3.4, 3.5; RFC 9700 2.2.2, 4.14.

use jiff::{SignedDuration, Timestamp};
use openssl::sha::sha256;
use zeroize::Zeroizing;

pub use super::grant_error::{GrantError, Invalid};

use super::clients::Client;
use super::tokens::{Tokens, revoked_because};
use super::{Caller, Ground, personal_tokens, public_id};
use crate::access::Scope;
use crate::audit::{Event, Kind};
use crate::identity::VerifiedIdentity;
use crate::store::authorization_codes::{self, AuthorizationCode, Spent};
use crate::store::sessions::{self, StoredSession};
use crate::store::tokens::{Authorization, AuthorizationKind, StoredToken};
use crate::store::{StoreError, Tx, devices, tokens};
use crate::sys::{Bearer, BearerKind, Token, TokenHash};

/// What a program is given.
#[derive(Debug)]
pub struct Granted {
    pub access: Bearer,
    pub refresh: Option<Bearer>,
    /// How long the access token counts from now.
    pub expires_in: SignedDuration,
    pub scope: Scope,
    /// The id of the authorization.
    pub authorization: String,
}

/// What a program presents with a code.
#[derive(Debug)]
pub struct CodeGrant<'a> {
    pub code: &'a str,
    pub redirect_uri: &'a str,
    /// The PKCE verifier.
    pub verifier: &'a str,
}

/// Gives programs their tokens.
#[derive(Debug, Clone)]
pub struct GrantTokens {
    pub ground: Ground,
    pub tokens: Tokens,
}

/// What somebody allowed, whichever way the program learns of it.
struct Allowed {
    session: StoredSession,
    client: String,
    client_name: String,
    scope: Scope,
    /// Where it was allowed.
    client_address: String,
    user_agent: String,
}

/// A refusal that is on record, or is none worth recording; its transaction is committed.
type Judged<T> = Result<Result<T, GrantError>, StoreError>;

impl GrantTokens {
    /// Exchanges an authorization code.
    ///
    /// # Errors
    /// [`GrantError`]. The code is used up whatever becomes of it; that one of ours was presented wrongly is recorded.
    pub async fn by_code(&self, client: &Client, grant: CodeGrant<'_>, caller: &Caller) -> Result<Granted, GrantError> {
        let code = Token::parse(grant.code).ok_or(Invalid::CodeUnknown)?;
        if !is_verifier(grant.verifier) {
            return Err(GrantError::InvalidRequest("A code_verifier has 43 to 128 letters, digits and -._~ ."));
        }
        let challenge = challenge_of(grant.verifier);
        let (flow, client, caller) = (self.clone(), client.clone(), caller.clone());
        let redirect_uri = grant.redirect_uri.to_owned();
        self.to_its_end(
            async move { flow.exchange_code(&client, &code.hash(), &redirect_uri, &challenge, &caller).await },
        )
        .await
    }

    /// Exchanges a refresh token for its successor and an access token. `scope` may be less than was allowed, for the
    /// access token alone. `counted` counts a refusal before it is recorded: nothing else keeps a token from being
    /// presented wrongly for ever.
    ///
    /// # Errors
    /// [`GrantError`]. A second use after the grace ends the authorization.
    pub async fn by_refresh(
        &self,
        client: &Client,
        token: &str,
        scope: Option<&str>,
        caller: &Caller,
        counted: impl Fn() -> bool + Send + 'static,
    ) -> Result<Granted, GrantError> {
        let token = Bearer::parse(token).filter(|token| token.kind() == BearerKind::Refresh);
        let token = token.ok_or(Invalid::RefreshUnknown)?;
        let asked = scope.filter(|text| !text.trim().is_empty()).map(str::parse::<Scope>).transpose()?;
        let (flow, client, caller) = (self.clone(), client.clone(), caller.clone());
        self.to_its_end(async move { flow.exchange_refresh(&client, &token, asked, &caller, counted).await }).await
    }

    /// Exchanges a device code, once somebody has approved it.
    ///
    /// # Errors
    /// [`GrantError`]; until somebody decides, [`GrantError::AuthorizationPending`] or [`GrantError::SlowDown`].
    pub async fn by_device(&self, client: &Client, device_code: &str, caller: &Caller) -> Result<Granted, GrantError> {
        let code = Token::parse(device_code).ok_or(Invalid::DeviceUnknown)?;
        let (flow, client, caller) = (self.clone(), client.clone(), caller.clone());
        self.to_its_end(async move { flow.exchange_device(&client, &code.hash(), &caller).await }).await
    }

    /// Ends what a token belongs to, whichever kind it is: whoever has it may. An unknown one is no error.
    ///
    /// `client` is the one that asks, if it says so; tokens of another are not its to revoke. `counted` is as in
    /// [`by_refresh`](Self::by_refresh).
    ///
    /// # Errors
    /// [`Invalid::RefreshOfOtherClient`], or the database refuses. Spec: RFC 7009 2.1, 2.2.
    pub async fn revoke(
        &self,
        client: Option<&Client>,
        token: &str,
        caller: &Caller,
        counted: impl Fn() -> bool,
    ) -> Result<(), GrantError> {
        let Some(token) = Bearer::parse(token) else { return Ok(()) };
        let Some(found) = self.ground.store.token(&token.hash(), token.kind()).await? else { return Ok(()) };
        if let Some(client) = client.filter(|client| client.id != found.authorization.client) {
            if !counted() {
                return Err(GrantError::TooOften);
            }
            let event =
                refused(client, "revocation", Invalid::RefreshOfOtherClient, Some(&found.authorization), caller);
            self.ground.record(&event).await?;
            return Err(Invalid::RefreshOfOtherClient.into());
        }
        self.tokens.revoke(&found.authorization.id, "revoked-by-client", caller).await?;
        Ok(())
    }

    /// A client that hangs up must not keep a refusal from being recorded.
    async fn to_its_end(
        &self,
        work: impl Future<Output = Judged<Granted>> + Send + 'static,
    ) -> Result<Granted, GrantError> {
        self.ground.tasks.uninterrupted(work).await.ok_or(GrantError::Interrupted)??
    }

    async fn exchange_code(
        &self,
        client: &Client,
        hash: &TokenHash,
        redirect_uri: &str,
        challenge: &str,
        caller: &Caller,
    ) -> Judged<Granted> {
        const GRANT: &str = "authorization_code";
        let now = self.ground.clock.now();
        let mut tx = self.ground.store.begin().await?;
        let code = match authorization_codes::spend(&mut tx, hash, now).await? {
            Spent::Now(code) => code,
            Spent::Before(came_to) => {
                // Once is enough: whoever goes on presenting it fills no log.
                authorization_codes::forget(&mut tx, hash).await?;
                let ended = match came_to {
                    Some(id) => self.end(&mut tx, &id, Invalid::CodeReused, caller).await?,
                    None => None,
                };
                return self.refuse(tx, client, GRANT, Invalid::CodeReused, ended.as_ref(), caller).await;
            }
            // Nobody was ever given it: not worth a place in the log.
            Spent::Unknown => return Ok(Err(Invalid::CodeUnknown.into())),
        };
        let session = match judge_code(&code, client, redirect_uri, challenge, now) {
            Ok(()) => live_session(&mut tx, &code.session, now).await?,
            Err(invalid) => return self.refuse(tx, client, GRANT, invalid, None, caller).await,
        };
        let Some(session) = session else {
            return self.refuse(tx, client, GRANT, Invalid::SessionEnded, None, caller).await;
        };
        let AuthorizationCode { client, client_name, scope, client_address, user_agent, .. } = *code;
        let allowed = Allowed { session, client, client_name, scope, client_address, user_agent };
        let granted = self.grant(&mut tx, allowed, GRANT, now, caller).await?;
        authorization_codes::came_to(&mut tx, hash, &granted.authorization).await?;
        tx.commit().await?;
        Ok(Ok(granted))
    }

    async fn exchange_device(&self, client: &Client, hash: &TokenHash, caller: &Caller) -> Judged<Granted> {
        const GRANT: &str = "device_code";
        let now = self.ground.clock.now();
        let mut tx = self.ground.store.begin().await?;
        let Some(request) = devices::by_device_code(&mut tx, hash).await? else {
            return Ok(Err(Invalid::DeviceUnknown.into()));
        };
        if request.client != client.id {
            // Once is enough: a stranger who began it as one client could go on presenting it as another.
            devices::remove(&mut tx, hash).await?;
            return self.refuse(tx, client, GRANT, Invalid::DeviceOfOtherClient, None, caller).await;
        }
        if now >= request.expires {
            return Ok(Err(GrantError::ExpiredToken));
        }
        let Some(decided) = request.decision else {
            let early = request.polled.is_some_and(|at| now.duration_since(at) < request.interval);
            let interval = if early { request.interval + SLOWER_BY } else { request.interval };
            devices::polled(&mut tx, hash, interval, now).await?;
            tx.commit().await?;
            return Ok(Err(if early { GrantError::SlowDown } else { GrantError::AuthorizationPending }));
        };
        if !decided.approved {
            return Ok(Err(GrantError::AccessDenied));
        }
        devices::remove(&mut tx, hash).await?;
        let Some(session) = live_session(&mut tx, &decided.session, now).await? else {
            return self.refuse(tx, client, GRANT, Invalid::SessionEnded, None, caller).await;
        };
        let allowed = Allowed {
            session,
            client: request.client,
            client_name: request.client_name,
            scope: request.scope,
            client_address: decided.client_address,
            user_agent: decided.user_agent,
        };
        let granted = self.grant(&mut tx, allowed, GRANT, now, caller).await?;
        tx.commit().await?;
        Ok(Ok(granted))
    }

    async fn exchange_refresh(
        &self,
        client: &Client,
        token: &Bearer,
        asked: Option<Scope>,
        caller: &Caller,
        counted: impl Fn() -> bool,
    ) -> Judged<Granted> {
        const GRANT: &str = "refresh_token";
        let now = self.ground.clock.now();
        let hash = token.hash();
        let mut tx = self.ground.store.begin().await?;
        let Some(found) = tokens::find(&mut tx, &hash, BearerKind::Refresh).await? else {
            return Ok(Err(Invalid::RefreshUnknown.into()));
        };
        let authorization = &found.authorization;
        if let Err(invalid) = self.judge_refresh(&found, client, now) {
            // That one happens once, and must whoever sends it.
            if invalid == Invalid::RefreshReused {
                self.end(&mut tx, &authorization.id, invalid, caller).await?;
            } else if !counted() {
                return Ok(Err(GrantError::TooOften));
            }
            return self.refuse(tx, client, GRANT, invalid, Some(authorization), caller).await;
        }
        let scope = match &asked {
            None => authorization.scope.clone(),
            Some(asked) => match authorization.scope.narrowed_to(asked) {
                Some(scope) => scope,
                None => return Ok(Err(GrantError::WiderScope)),
            },
        };
        let narrowed = Some(&scope).filter(|scope| **scope != authorization.scope);
        let (access, refresh) = self.successors(token, &scope);
        let until = self.access_until(now, authorization.expires);
        tokens::add_derived_token(&mut tx, &access, &authorization.id, narrowed, now, until).await?;
        tokens::add_derived_token(&mut tx, &refresh, &authorization.id, None, now, authorization.expires).await?;
        tokens::mark_used(&mut tx, &hash, now).await?;
        // What was derived before has the end it got then.
        let kept = tokens::find(&mut tx, &access.hash(), BearerKind::Access).await?;
        let expires = kept.map_or(until, |kept| kept.expires);
        let event =
            issued(authorization, GRANT, caller).with("scope", scope.to_string()).with("again", found.used.is_some());
        self.ground.append(&mut tx, &event).await?;
        tx.commit().await?;
        Ok(Ok(Granted {
            access,
            refresh: Some(refresh),
            expires_in: expires.duration_since(now),
            scope,
            authorization: found.authorization.id,
        }))
    }

    fn judge_refresh(&self, found: &StoredToken, client: &Client, now: Timestamp) -> Result<(), Invalid> {
        let authorization = &found.authorization;
        let rules = &self.tokens.rules;
        if authorization.client != client.id {
            Err(Invalid::RefreshOfOtherClient)
        } else if now >= found.expires || now >= authorization.expires {
            Err(Invalid::RefreshExpired)
        } else if found.used.is_some_and(|at| now.duration_since(at) > rules.refresh_grace) {
            Err(Invalid::RefreshReused)
        } else if now.duration_since(authorization.vouched) > rules.vouched_within {
            Err(Invalid::NotVouched)
        } else {
            Ok(())
        }
    }

    /// What comes after a refresh token: the same for whoever presents it, and found by nobody without our key.
    fn successors(&self, token: &Bearer, scope: &Scope) -> (Bearer, Bearer) {
        let derive = |kind: BearerKind, what: &str| {
            let label = Zeroizing::new(format!("rolegate successor v1:{what}:{}", token.expose_secret()));
            Bearer::from_bytes(kind, &Zeroizing::new(self.ground.sealing.derive(&label)))
        };
        (derive(BearerKind::Access, &format!("access {scope}")), derive(BearerKind::Refresh, "refresh"))
    }

    /// How long a program that is allowed now, in a session that ends then, may act: never longer than the session at the
    /// identity provider, and longer than the one here only where the person has just signed in. Otherwise whoever finds
    /// a browser open, or steals its cookie, could make a longer sign-in of it.
    #[must_use]
    pub fn sign_in_until(&self, identity: &VerifiedIdentity, session_ends: Timestamp, now: Timestamp) -> Timestamp {
        let ours = now.checked_add(self.tokens.rules.sign_in).unwrap_or(Timestamp::MAX);
        let authentication = &identity.authentication;
        let ours = match personal_tokens::demand().unmet(authentication, now, SignedDuration::ZERO) {
            None => ours,
            Some(_) => ours.min(session_ends),
        };
        authentication.session_not_on_or_after.map_or(ours, |theirs| ours.min(theirs))
    }

    fn access_until(&self, now: Timestamp, authorization_ends: Timestamp) -> Timestamp {
        now.checked_add(self.tokens.rules.access_token).unwrap_or(Timestamp::MAX).min(authorization_ends)
    }

    /// Makes the authorization and its first tokens, and records them. The caller commits.
    async fn grant(
        &self,
        tx: &mut Tx,
        allowed: Allowed,
        grant: &'static str,
        now: Timestamp,
        caller: &Caller,
    ) -> Result<Granted, StoreError> {
        let identity = allowed.session.identity;
        let expires = self.sign_in_until(&identity, allowed.session.expires, now);
        let authorization = Authorization {
            id: public_id(&*self.ground.rng),
            kind: AuthorizationKind::SignIn,
            identity,
            client: allowed.client,
            label: allowed.client_name,
            scope: allowed.scope,
            networks: Vec::new(),
            session: Some(allowed.session.public_id),
            created: now,
            vouched: allowed.session.created,
            expires,
            last_used: None,
            last_used_from: None,
            client_address: allowed.client_address,
            user_agent: allowed.user_agent,
        };
        let rng = &*self.ground.rng;
        let (access, refresh) = (Bearer::generate(BearerKind::Access, rng), Bearer::generate(BearerKind::Refresh, rng));
        let until = self.access_until(now, expires);
        tokens::add_authorization(tx, &authorization).await?;
        tokens::add_token(tx, &access.hash(), BearerKind::Access, &authorization.id, now, until).await?;
        tokens::add_token(tx, &refresh.hash(), BearerKind::Refresh, &authorization.id, now, expires).await?;
        let event = issued(&authorization, grant, caller)
            .with_some("session", authorization.session.as_deref())
            .with("allowed_from", authorization.client_address.as_str());
        self.ground.append(tx, &event).await?;
        Ok(Granted {
            access,
            refresh: Some(refresh),
            expires_in: until.duration_since(now),
            scope: authorization.scope,
            authorization: authorization.id,
        })
    }

    async fn end(
        &self,
        tx: &mut Tx,
        id: &str,
        because: Invalid,
        caller: &Caller,
    ) -> Result<Option<Authorization>, StoreError> {
        let ended = tokens::remove(tx, id).await?;
        if let Some(ended) = &ended {
            self.ground.append(tx, &revoked_because(because.code(), ended, caller)).await?;
        }
        Ok(ended)
    }

    /// Records a refusal, and with it whatever was done before.
    async fn refuse<T>(
        &self,
        mut tx: Tx,
        client: &Client,
        grant: &'static str,
        invalid: Invalid,
        about: Option<&Authorization>,
        caller: &Caller,
    ) -> Judged<T> {
        self.ground.append(&mut tx, &refused(client, grant, invalid, about, caller)).await?;
        tx.commit().await?;
        Ok(Err(invalid.into()))
    }
}

/// How much longer a device has to wait that asks too soon. Spec: RFC 8628 3.5.
const SLOWER_BY: SignedDuration = SignedDuration::from_secs(5);

fn judge_code(
    code: &AuthorizationCode,
    client: &Client,
    redirect_uri: &str,
    challenge: &str,
    now: Timestamp,
) -> Result<(), Invalid> {
    if code.client != client.id {
        Err(Invalid::CodeOfOtherClient)
    } else if now >= code.expires {
        Err(Invalid::CodeExpired)
    } else if code.redirect_uri != redirect_uri {
        Err(Invalid::OtherRedirect)
    } else if !openssl::memcmp::eq(&sha256(code.challenge.as_bytes()), &sha256(challenge.as_bytes())) {
        Err(Invalid::Verifier)
    } else {
        Ok(())
    }
}

async fn live_session(tx: &mut Tx, public_id: &str, now: Timestamp) -> Result<Option<StoredSession>, StoreError> {
    Ok(sessions::by_public_id(tx, public_id).await?.filter(|session| session.is_live(now)))
}

/// Spec: RFC 7636 4.1.
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'))
}

/// The challenge that a verifier belongs to, by method S256. Spec: RFC 7636 4.2.
fn challenge_of(verifier: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()))
}

fn issued(authorization: &Authorization, grant: &'static str, caller: &Caller) -> Event {
    super::tokens::issued(authorization, caller).with("grant", grant)
}

fn refused(
    client: &Client,
    grant: &'static str,
    invalid: Invalid,
    about: Option<&Authorization>,
    caller: &Caller,
) -> Event {
    let event = caller
        .event(Kind::TokenRefused)
        .with("grant", grant)
        .with("client", client.id.as_str())
        .with("label", client.name.as_str())
        .with("cause", invalid.code())
        .with("detail", invalid.to_string());
    match about {
        Some(authorization) => event.about(&authorization.identity.subject).with("token", authorization.id.as_str()),
        None => event,
    }
}
