//! Temporary credentials, which live in memory only.

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

/// What STS hands out. `Debug` shows the key id and the expiry, never the secrets; there is no `Serialize`.
#[derive(Clone)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: SecretString,
    pub session_token: SecretString,
    pub expiration: Timestamp,
}

impl Credentials {
    /// Whether they hold only characters that AWS makes keys of. They end up between quotes in shells and files, where
    /// nothing else may stand.
    #[must_use]
    pub fn are_plain(&self) -> bool {
        let plain =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=_-".contains(&b));
        plain(&self.access_key_id)
            && plain(self.secret_access_key.expose_secret())
            && plain(self.session_token.expose_secret())
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("expiration", &self.expiration)
            .finish_non_exhaustive()
    }
}
