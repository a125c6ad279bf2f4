//! The keys that sign tokens, and how one takes over from another without anybody noticing.
//!
//! A key is published before it signs, and stays published after it has signed: [`KeyRing::turn`] takes one of the three
//! steps each time. They are made when they are first needed, since many sandboxes never speak OpenID Connect.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openssl::error::ErrorStack;
use openssl::rsa::Rsa;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::saml::key::{KeySize, SigningKey};
use crate::sandbox::keys::{KeysError, read, write};
use crate::sys::{Clock, Rng};

/// Where the keys of ID tokens are kept.
pub const ID_TOKENS: &str = "oidc-keys.json";
/// Where those of workloads' tokens are.
pub const WORKLOADS: &str = "workload-keys.json";

/// What is published, at one moment.
#[derive(Debug, Clone)]
pub struct Ring {
    /// Signs.
    pub current: Arc<SigningKey>,
    /// Is published, and will sign.
    pub next: Option<Arc<SigningKey>>,
    /// Is published still, and has signed.
    pub previous: Option<Arc<SigningKey>>,
}

impl Ring {
    fn keys(&self) -> impl Iterator<Item = &Arc<SigningKey>> {
        [Some(&self.current), self.next.as_ref(), self.previous.as_ref()].into_iter().flatten()
    }

    pub fn by_id(&self, id: &str) -> Option<&SigningKey> {
        self.keys().map(Arc::as_ref).find(|key| key.id() == id)
    }

    /// The JWK set.
    ///
    /// # Errors
    /// OpenSSL cannot say what the public key is.
    pub fn jwks(&self) -> Result<Value, ErrorStack> {
        let keys = self.keys().map(|key| jwk(key)).collect::<Result<Vec<_>, _>>()?;
        Ok(json!({ "keys": keys }))
    }

    /// What the next [`turn`](KeyRing::turn) does.
    pub fn next_step(&self) -> &'static str {
        match (&self.next, &self.previous) {
            (_, Some(_)) => "Drop the old key",
            (Some(_), None) => "Sign with the new key",
            (None, None) => "Publish a new key",
        }
    }

    fn turned(self, new: Option<Arc<SigningKey>>) -> Self {
        match (self.next, self.previous) {
            (next, Some(_)) => Self { current: self.current, next, previous: None },
            (Some(next), None) => Self { current: next, next: None, previous: Some(self.current) },
            (None, None) => Self { current: self.current, next: new, previous: None },
        }
    }

    fn needs_a_new_one(&self) -> bool {
        self.next.is_none() && self.previous.is_none()
    }
}

/// A public key as a JWK.
///
/// Spec: RFC 7517, RFC 7518 6.3.1.
///
/// # Errors
/// OpenSSL cannot say what the public key is.
pub fn jwk(key: &SigningKey) -> Result<Value, ErrorStack> {
    let rsa: Rsa<_> = key.private_key().rsa()?;
    let number = |n: &openssl::bn::BigNumRef| URL_SAFE_NO_PAD.encode(n.to_vec());
    Ok(json!({
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": key.id(), "n": number(rsa.n()), "e": number(rsa.e()),
    }))
}

/// A key in the sandbox's folder, like the others in clear: nothing it protects is real.
#[derive(Serialize, Deserialize)]
struct Stored {
    place: Place,
    private_key: String,
    certificate: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    Current,
    Next,
    Previous,
}

/// The keys over time.
#[derive(Debug)]
pub struct KeyRing {
    path: Option<PathBuf>,
    ring: Mutex<Option<Ring>>,
}

impl KeyRing {
    /// Kept under that name in the folder, if there is one.
    pub fn new(directory: Option<PathBuf>, file: &str) -> Self {
        Self { path: directory.map(|directory| directory.join(file)), ring: Mutex::new(None) }
    }

    /// The keys as they are, read or made the first time.
    ///
    /// # Errors
    /// [`KeysError`]
    pub async fn ring(&self, clock: &Arc<dyn Clock>, rng: &Arc<dyn Rng>) -> Result<Ring, KeysError> {
        let mut known = self.ring.lock().await;
        if let Some(ring) = &*known {
            return Ok(ring.clone());
        }
        let (path, clock, rng) = (self.path.clone(), Arc::clone(clock), Arc::clone(rng));
        let ring = off_the_async_threads(move || match load(path.as_ref())? {
            Some(ring) => Ok(ring),
            None => {
                let ring = Ring { current: generate(&*clock, &*rng)?, next: None, previous: None };
                save(path.as_ref(), &ring)?;
                Ok(ring)
            }
        })
        .await?;
        Ok(known.insert(ring).clone())
    }

    /// Takes the next step: publishes a new key, signs with it, or drops the old one.
    ///
    /// # Errors
    /// [`KeysError`]; then everything is as it was.
    pub async fn turn(&self, clock: &Arc<dyn Clock>, rng: &Arc<dyn Rng>) -> Result<Ring, KeysError> {
        self.ring(clock, rng).await?;
        let mut known = self.ring.lock().await;
        let Some(before) = known.clone() else { return Err(KeysError::Interrupted) };
        let (path, clock, rng) = (self.path.clone(), Arc::clone(clock), Arc::clone(rng));
        let ring = off_the_async_threads(move || {
            let new = before.needs_a_new_one().then(|| generate(&*clock, &*rng)).transpose()?;
            let ring = before.turned(new);
            save(path.as_ref(), &ring)?;
            Ok(ring)
        })
        .await?;
        Ok(known.insert(ring).clone())
    }
}

async fn off_the_async_threads(
    work: impl FnOnce() -> Result<Ring, KeysError> + Send + 'static,
) -> Result<Ring, KeysError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| KeysError::Interrupted)?
}

fn generate(clock: &dyn Clock, rng: &dyn Rng) -> Result<Arc<SigningKey>, KeysError> {
    SigningKey::generate(KeySize::Rsa2048, "Development identity provider", clock.now(), rng)
        .map(Arc::new)
        .map_err(KeysError::Generate)
}

fn load(path: Option<&PathBuf>) -> Result<Option<Ring>, KeysError> {
    let Some(path) = path else { return Ok(None) };
    let text = read(path).map_err(|source| KeysError::File { path: path.clone(), source })?;
    let Some(text) = text else { return Ok(None) };
    let unusable = || KeysError::Oidc { path: path.clone() };
    let stored: Vec<Stored> = serde_json::from_slice(&text).map_err(|_| unusable())?;
    let mut keys = Vec::new();
    for key in stored {
        let private = STANDARD.decode(&key.private_key).map(zeroize::Zeroizing::new).map_err(|_| unusable())?;
        let certificate = STANDARD.decode(&key.certificate).map_err(|_| unusable())?;
        let read = SigningKey::from_der(&private, &certificate).map_err(|_| unusable())?;
        keys.push((key.place, Arc::new(read)));
    }
    let at = |wanted: Place| keys.iter().find(|(place, _)| *place == wanted).map(|(_, key)| Arc::clone(key));
    let current = at(Place::Current).ok_or_else(unusable)?;
    Ok(Some(Ring { current, next: at(Place::Next), previous: at(Place::Previous) }))
}

fn save(path: Option<&PathBuf>, ring: &Ring) -> Result<(), KeysError> {
    let Some(path) = path else { return Ok(()) };
    let stored = |place: Place, key: &Arc<SigningKey>| -> Result<Stored, KeysError> {
        let private = key.private_key_der().map_err(KeysError::Generate)?;
        let (private_key, certificate) = (STANDARD.encode(&*private), STANDARD.encode(key.certificate_der()));
        Ok(Stored { place, private_key, certificate })
    };
    let places = [(Place::Next, &ring.next), (Place::Previous, &ring.previous)];
    let mut all = vec![stored(Place::Current, &ring.current)?];
    for (place, key) in places {
        if let Some(key) = key {
            all.push(stored(place, key)?);
        }
    }
    let text = serde_json::to_vec_pretty(&all).expect("texts are always JSON");
    write(path, &text).map_err(|source| KeysError::File { path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{SystemClock, SystemRng};

    #[tokio::test]
    async fn a_key_is_published_before_it_signs_and_after_it_has_signed_and_a_restart_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (clock, rng): (Arc<dyn Clock>, Arc<dyn Rng>) = (Arc::new(SystemClock), Arc::new(SystemRng));
        let ids = |ring: &Ring| ring.keys().map(|key| key.id().to_owned()).collect::<Vec<_>>();
        let keys = KeyRing::new(Some(directory.path().to_owned()), ID_TOKENS);
        let first = keys.ring(&clock, &rng).await.unwrap();
        let old = ids(&first);
        assert_eq!((old.len(), first.next_step()), (1, "Publish a new key"));

        let published = keys.turn(&clock, &rng).await.unwrap();
        let both = ids(&published);
        assert_eq!((both.len(), &both[0]), (2, &old[0]));
        let new = both[1].clone();
        // Somebody else's process, so to speak.
        let keys = KeyRing::new(Some(directory.path().to_owned()), ID_TOKENS);
        assert_eq!(ids(&keys.ring(&clock, &rng).await.unwrap()), both);

        let signing = keys.turn(&clock, &rng).await.unwrap();
        assert_eq!(ids(&signing), [new.clone(), old[0].clone()]);
        assert_eq!(signing.next_step(), "Drop the old key");
        let dropped = keys.turn(&clock, &rng).await.unwrap();
        assert_eq!(ids(&dropped), [new]);
        assert!(dropped.by_id(&old[0]).is_none());

        std::fs::write(directory.path().join(ID_TOKENS), "[]").unwrap();
        let error = KeyRing::new(Some(directory.path().to_owned()), ID_TOKENS).ring(&clock, &rng).await.unwrap_err();
        assert!(error.to_string().contains(ID_TOKENS), "{error}");
    }
}
