//! Secrets that stand in a catalog: in clear between a file and the database, sealed everywhere else.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::UserKeyId;
use crate::identity::ConnectorId;
use crate::sys::Rng;
use crate::sys::seal::{SealingKey, UnsealError};

/// A client secret or the secret of an IAM user's key.
///
/// One that is in clear cannot be serialised: what forgets to seal it fails instead of writing it down.
#[derive(Clone)]
pub enum Secret {
    Given(SecretString),
    Sealed(SealedSecret),
}

/// A secret under the sealing key, in base64. It opens in its place only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SealedSecret(String);

/// The text is not base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a sealed secret as `rolegate catalog export` writes it")]
pub struct InvalidSealedSecret;

/// Why a secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error(transparent)]
    Unseal(#[from] UnsealError),
    #[error("the secret is not text")]
    NotText,
}

/// Where in the catalog a secret stands. One that is carried elsewhere does not open there.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    ClientSecret(&'a ConnectorId),
    UserKey(&'a UserKeyId),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientSecret(connector) => write!(f, "connector:{connector}:client_secret"),
            Self::UserKey(key) => write!(f, "key:{key}:secret_access_key"),
        }
    }
}

impl<'a> From<&'a ConnectorId> for Place<'a> {
    fn from(connector: &'a ConnectorId) -> Self {
        Self::ClientSecret(connector)
    }
}

impl<'a> From<&'a UserKeyId> for Place<'a> {
    fn from(key: &'a UserKeyId) -> Self {
        Self::UserKey(key)
    }
}

impl SealedSecret {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SealedSecret {
    type Err = InvalidSealedSecret;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match STANDARD.decode(text) {
            Ok(bytes) if !bytes.is_empty() => Ok(Self(text.to_owned())),
            _ => Err(InvalidSealedSecret),
        }
    }
}

impl Secret {
    /// The secret in clear.
    ///
    /// # Errors
    /// [`SecretError`]: it was sealed with another key, or for another place.
    pub fn open<'a>(&self, place: impl Into<Place<'a>>, sealing: &SealingKey) -> Result<SecretString, SecretError> {
        match self {
            Self::Given(secret) => Ok(secret.clone()),
            Self::Sealed(sealed) => {
                let bytes = STANDARD.decode(&sealed.0).unwrap_or_default();
                let plain = sealing.open(&place.into().to_string(), &bytes)?;
                let text = std::str::from_utf8(&plain).map_err(|_| SecretError::NotText)?;
                Ok(SecretString::from(text))
            }
        }
    }

    /// The same, sealed. What is the same secret as `before` keeps the form it has, so that nothing seems to change.
    #[must_use]
    pub fn sealed<'a>(
        &self,
        place: impl Into<Place<'a>>,
        before: Option<&Self>,
        sealing: &SealingKey,
        rng: &dyn Rng,
    ) -> Self {
        let Self::Given(secret) = self else { return self.clone() };
        let place = place.into();
        if let Some(before) = before
            && let Ok(known) = before.open(place, sealing)
            && known.expose_secret() == secret.expose_secret()
            && matches!(before, Self::Sealed(_))
        {
            return before.clone();
        }
        let bytes = sealing.seal(&place.to_string(), secret.expose_secret().as_bytes(), rng);
        Self::Sealed(SealedSecret(STANDARD.encode(bytes)))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Given(a), Self::Given(b)) => a.expose_secret() == b.expose_secret(),
            (Self::Sealed(a), Self::Sealed(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Secret {}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Given(_) => Err(serde::ser::Error::custom("a secret is sealed before it is kept")),
            Self::Sealed(sealed) => serializer.serialize_str(&sealed.0),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self::Sealed).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::SeededRng;

    #[test]
    fn a_secret_is_never_written_in_clear_and_opens_in_its_place_only() {
        let (sealing, rng) = (SealingKey::from_bytes([1; 32]), SeededRng::new(1));
        let (okta, entra): (ConnectorId, ConnectorId) = ("okta".parse().unwrap(), "entra".parse().unwrap());
        let key: UserKeyId = "okta".parse().unwrap();
        let given = Secret::Given("the secret".into());
        assert!(serde_json::to_string(&given).is_err());
        assert!(!format!("{given:?}").contains("secret\""));
        let sealed = given.sealed(&okta, None, &sealing, &rng);
        let stored = serde_json::to_string(&sealed).unwrap();
        assert!(!stored.contains("the secret"));
        let read: Secret = serde_json::from_str(&stored).unwrap();
        assert_eq!(read.open(&okta, &sealing).unwrap().expose_secret(), "the secret");
        assert!(read.open(&entra, &sealing).is_err());
        assert!(read.open(&key, &sealing).is_err(), "a key of the same name is another place");
        assert!(read.open(&okta, &SealingKey::from_bytes([2; 32])).is_err());
        assert_eq!(given.sealed(&okta, Some(&read), &sealing, &rng), read, "the same secret is no change");
        assert_ne!(Secret::Given("another".into()).sealed(&okta, Some(&read), &sealing, &rng), read);
    }
}
