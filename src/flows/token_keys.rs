//! The keys that sign tokens for AWS, and how one takes over from another without anybody noticing.
//!
//! [`schedule`] says what each key is for; here they are made, sealed, recorded
//! and removed. Each use reads the list from the database, so a key that another process made or withdrew counts at once.
//! The first is made when it is needed: an installation that gives no such tokens has no such key.

use std::sync::{Arc, PoisonError, RwLock};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use super::Ground;
use crate::audit::{Event, Kind};
use crate::issuance::web_identity::schedule::{self, PUBLISHED_BEFORE, Phase};
use crate::issuance::web_identity::{CurrentKey, NoKey, documents};
use crate::saml::key::{KeyError, KeySize, SigningKey};
use crate::saml::write::Signer;
use crate::store::keys::{AWS_TOKENS, StoredKey};
use crate::store::token_keys::{self, TokenKey};
use crate::store::{StoreError, Tx};

/// How keys are made.
#[derive(Debug, Clone)]
pub struct TokenKeyRules {
    pub size: KeySize,
    /// After how long a key makes room for the next by itself; never where there is none.
    pub every: Option<SignedDuration>,
    /// Who we are toward AWS, the `iss` of every token.
    pub issuer: String,
}

/// The keys.
#[derive(Debug, Clone)]
pub struct TokenKeys {
    ground: Ground,
    rules: TokenKeyRules,
    /// The one that was signed with last, opened.
    opened: Arc<RwLock<Option<Arc<SigningKey>>>>,
    /// Making one takes a second of a processor: a crowd that needs the first waits for one.
    making: Arc<Mutex<()>>,
}

/// A key and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub key: TokenKey,
    pub phase: Phase,
}

/// What became of asking for a new key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotated {
    /// Made, and signs from then on.
    Made { key: String, signs_from: Timestamp },
    /// One is waiting already.
    Waiting { key: String, signs_from: Timestamp },
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a key for tokens cannot be made or used")]
    Key(#[from] KeyError),
    #[error("the key for tokens was withdrawn while it was fetched, again and again")]
    Withdrawn,
    #[error("a certificate of a key for tokens cannot be read")]
    Certificate(#[source] openssl::error::ErrorStack),
}

/// Why a key is made.
#[derive(Debug, Clone, Copy)]
enum Why<'a> {
    First,
    Age,
    ByHand {
        by: &'a str,
    },
    /// Somebody else may have the others.
    Compromised {
        by: &'a str,
    },
}

impl Why<'_> {
    /// When the new key begins; `None` where there is nothing to do.
    fn begins(self, keys: &[TokenKey], every: Option<SignedDuration>, now: Timestamp) -> Option<Timestamp> {
        match (self, keys.last()) {
            (Self::Compromised { .. }, _) | (Self::First | Self::ByHand { .. }, None) => Some(now),
            (Self::First, Some(_)) | (Self::Age, None) => None,
            (Self::Age, Some(newest)) => schedule::successor(newest.signs_from, every?, now),
            (Self::ByHand { .. }, Some(newest)) => (newest.signs_from <= now).then(|| now + PUBLISHED_BEFORE),
        }
    }

    const fn cause(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Age => "age",
            Self::ByHand { .. } => "by-hand",
            Self::Compromised { .. } => "compromised",
        }
    }

    /// Who asked for it.
    const fn by(&self) -> Option<&str> {
        match self {
            Self::First | Self::Age => None,
            Self::ByHand { by } | Self::Compromised { by } => Some(by),
        }
    }
}

impl TokenKeys {
    #[must_use]
    pub fn new(ground: Ground, rules: TokenKeyRules) -> Self {
        Self { ground, rules, opened: Arc::default(), making: Arc::default() }
    }

    /// Who we are toward AWS.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.rules.issuer
    }

    /// All keys, in the order in which they sign.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn list(&self) -> Result<Vec<Listed>, StoreError> {
        Ok(listed(self.ground.store.token_keys().await?, self.ground.clock.now()))
    }

    /// When the next key will be made by itself.
    #[must_use]
    pub fn next_rotation(&self, keys: &[Listed]) -> Option<Timestamp> {
        Some(keys.last()?.key.signs_from + self.rules.every? - PUBLISHED_BEFORE)
    }

    /// The JWK set. The first key is made where there is none: an empty set must not be what AWS keeps a copy of.
    ///
    /// # Errors
    /// [`TokenKeyError`].
    pub async fn jwks(&self) -> Result<String, TokenKeyError> {
        let keys = self.some().await?;
        let keys = listed(keys, self.ground.clock.now());
        let published = keys.iter().filter(|listed| listed.phase.is_published());
        documents::jwks(published.map(|listed| (listed.key.id.as_str(), listed.key.certificate.as_slice())))
            .map_err(TokenKeyError::Certificate)
    }

    /// The key that signs now.
    ///
    /// # Errors
    /// [`TokenKeyError`].
    pub async fn signing(&self) -> Result<Arc<SigningKey>, TokenKeyError> {
        /// Each time somebody would have to withdraw a key between two reads.
        const TRIES: u32 = 3;
        for _ in 0..TRIES {
            let keys = listed(self.some().await?, self.ground.clock.now());
            let Some(signs) = keys.into_iter().find(|listed| listed.phase == Phase::Signing) else { continue };
            let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(opened) = opened.filter(|opened| opened.id() == signs.key.id) {
                return Ok(opened);
            }
            let stored = self.ground.store.open_token_key(&signs.key.id, &self.ground.sealing).await?;
            let Some(stored) = stored else { continue };
            // Reading a key checks it and signs once.
            let key = off_the_threads(move || SigningKey::from_der(&stored.private, &stored.certificate)).await?;
            let key = Arc::new(key);
            *self.opened.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&key));
            return Ok(key);
        }
        Err(TokenKeyError::Withdrawn)
    }

    /// What is due: a first key where one is `needed`, a successor for one that has signed for long enough, and the
    /// removal of those that nothing hangs on any more. Every process does this every minute; what one has done, the
    /// others find done.
    ///
    /// # Errors
    /// [`TokenKeyError`].
    pub async fn tend(&self, needed: bool) -> Result<(), TokenKeyError> {
        let keys = self.ground.store.token_keys().await?;
        if keys.is_empty() {
            if needed {
                self.make(Why::First).await?;
            }
            return Ok(());
        }
        self.make(Why::Age).await?;
        let past = |keys: Vec<TokenKey>| {
            listed(keys, self.ground.clock.now()).into_iter().filter(|listed| listed.phase == Phase::Past)
        };
        if past(keys).next().is_some() {
            let mut tx = self.ground.store.begin().await?;
            for listed in past(token_keys::all(&mut tx).await?) {
                self.retire(&mut tx, &listed.key, Why::Age).await?;
            }
            tx.commit().await.map_err(StoreError::from)?;
        }
        Ok(())
    }

    /// Makes a new key, which is published at once and signs a day later.
    ///
    /// # Errors
    /// [`TokenKeyError`].
    pub async fn rotate(&self, by: &str) -> Result<Rotated, TokenKeyError> {
        loop {
            if let Some(made) = self.make(Why::ByHand { by }).await? {
                return Ok(made);
            }
            // Unless it began to sign just now.
            if let Some(newest) = self.ground.store.token_keys().await?.pop()
                && newest.signs_from > self.ground.clock.now()
            {
                return Ok(Rotated::Waiting { key: newest.id, signs_from: newest.signs_from });
            }
        }
    }

    /// Makes a new key that signs at once, and withdraws all others. AWS may refuse tokens until it has read the new set,
    /// and may accept forged ones until it has given up its copy of the old.
    ///
    /// # Errors
    /// [`TokenKeyError`].
    pub async fn replace_all(&self, by: &str) -> Result<Rotated, TokenKeyError> {
        loop {
            if let Some(made) = self.make(Why::Compromised { by }).await? {
                return Ok(made);
            }
        }
    }

    /// The keys, of which there is one at least.
    async fn some(&self) -> Result<Vec<TokenKey>, TokenKeyError> {
        let keys = self.ground.store.token_keys().await?;
        if !keys.is_empty() {
            return Ok(keys);
        }
        self.make(Why::First).await?;
        Ok(self.ground.store.token_keys().await?)
    }

    /// Makes a key if there is a reason to, and nobody else did meanwhile.
    async fn make(&self, why: Why<'_>) -> Result<Option<Rotated>, TokenKeyError> {
        let begins = |keys: &[TokenKey]| why.begins(keys, self.rules.every, self.ground.clock.now());
        let _one_at_a_time = self.making.lock().await;
        if begins(&self.ground.store.token_keys().await?).is_none() {
            return Ok(None);
        }
        // Made while nothing is locked: it takes seconds on a busy machine.
        let (size, made, rng) = (self.rules.size, self.ground.clock.now(), Arc::clone(&self.ground.rng));
        let key =
            off_the_threads(move || SigningKey::generate(size, &format!("Rolegate {AWS_TOKENS}"), made, &*rng)).await?;
        let stored = StoredKey { private: key.private_key_der()?, certificate: key.certificate_der().to_vec() };
        let mut tx = self.ground.store.begin().await?;
        let others = token_keys::all(&mut tx).await?;
        let Some(signs_from) = begins(&others) else {
            // Another process was faster. Ours was never used.
            tx.rollback().await.map_err(StoreError::from)?;
            return Ok(None);
        };
        if let Why::Compromised { .. } = why {
            for other in &others {
                self.retire(&mut tx, other, why).await?;
            }
        }
        let now = self.ground.clock.now();
        token_keys::add(&mut tx, key.id(), &stored, signs_from, &self.ground.sealing, &*self.ground.rng, now).await?;
        let event = Event::new(Kind::KeyCreated)
            .with("purpose", AWS_TOKENS)
            .with("key", key.id())
            .with("bits", key.bits())
            .with("signs_from", signs_from.to_string())
            .with("cause", why.cause())
            .with_some("by", why.by());
        self.ground.append(&mut tx, &event).await?;
        tx.commit().await.map_err(StoreError::from)?;
        tracing::info!(
            key.id = key.id(), key.purpose = AWS_TOKENS, key.signs_from = %signs_from, cause = why.cause(),
            "made a key for tokens"
        );
        Ok(Some(Rotated::Made { key: key.id().to_owned(), signs_from }))
    }

    /// Removes a key from the set and from the database.
    async fn retire(&self, tx: &mut Tx, key: &TokenKey, why: Why<'_>) -> Result<(), StoreError> {
        if !token_keys::remove(tx, &key.id).await? {
            return Ok(());
        }
        let event = Event::new(Kind::KeyRetired)
            .with("purpose", AWS_TOKENS)
            .with("key", key.id.as_str())
            .with("cause", why.cause())
            .with_some("by", why.by());
        self.ground.append(tx, &event).await?;
        tracing::info!(key.id = key.id, key.purpose = AWS_TOKENS, cause = why.cause(), "retired a key for tokens");
        Ok(())
    }
}

impl CurrentKey for TokenKeys {
    fn current(&self) -> BoxFuture<'_, Result<Arc<dyn Signer>, NoKey>> {
        async {
            let key = self.signing().await.map_err(|error| NoKey(Box::new(error)))?;
            Ok(key as Arc<dyn Signer>)
        }
        .boxed()
    }
}

fn listed(keys: Vec<TokenKey>, now: Timestamp) -> Vec<Listed> {
    let begin: Vec<Timestamp> = keys.iter().map(|key| key.signs_from).collect();
    keys.into_iter().zip(schedule::phases(&begin, now)).map(|(key, phase)| Listed { key, phase }).collect()
}

async fn off_the_threads<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("working with a key does not panic")
}

#[cfg(test)]
mod tests;
