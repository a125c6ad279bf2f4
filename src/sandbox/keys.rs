//! The sandbox's own keys. They lie unencrypted in its directory: nothing they protect is real.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::saml::key::{KeyError, KeySize, SigningKey};
use crate::sys::Rng;

const MASTER: &str = "master.key";
const IDP_KEY: &str = "idp-key.der";
const IDP_CERTIFICATE: &str = "idp-certificate.der";

/// What makes credentials, cookies and assertions recognisable after a restart.
#[derive(Debug)]
pub struct Keys {
    pub master: Zeroizing<[u8; 32]>,
    pub idp: SigningKey,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("{} could not be read or written", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} does not hold 32 bytes; delete it to get a new one", path.display())]
    Length { path: PathBuf },
    #[error("the key of the development identity provider is not usable; delete {} to get a new one", directory.display())]
    Idp { directory: PathBuf, source: KeyError },
    #[error("the key of the development identity provider could not be made")]
    Generate(#[source] KeyError),
    #[error("{} does not hold the keys that sign tokens; delete it to get new ones", path.display())]
    Oidc { path: PathBuf },
    #[error("the keys that sign tokens were not finished: the program is stopping")]
    Interrupted,
}

impl Keys {
    /// The keys of a directory, made when they are not there; without a directory, keys for this run only.
    ///
    /// # Errors
    /// [`KeysError`]
    pub fn load(directory: Option<&Path>, now: Timestamp, rng: &dyn Rng) -> Result<Self, KeysError> {
        let generate = || {
            SigningKey::generate(KeySize::Rsa2048, "Development identity provider", now, rng)
                .map_err(KeysError::Generate)
        };
        let mut master = Zeroizing::new([0_u8; 32]);
        let Some(directory) = directory else {
            rng.fill(&mut *master);
            return Ok(Self { master, idp: generate()? });
        };
        let file = |path: &Path| {
            let path = path.to_path_buf();
            move |source| KeysError::File { path, source }
        };
        fs::create_dir_all(directory).map_err(file(directory))?;

        let path = directory.join(MASTER);
        match read(&path).map_err(file(&path))? {
            Some(bytes) => {
                *master = bytes.as_slice().try_into().map_err(|_| KeysError::Length { path })?;
            }
            None => {
                rng.fill(&mut *master);
                write(&path, &*master).map_err(file(&path))?;
            }
        }

        let (key_path, certificate_path) = (directory.join(IDP_KEY), directory.join(IDP_CERTIFICATE));
        let stored =
            (read(&key_path).map_err(file(&key_path))?, read(&certificate_path).map_err(file(&certificate_path))?);
        let unusable = |source| KeysError::Idp { directory: directory.to_path_buf(), source };
        let idp = match stored {
            (Some(key), Some(certificate)) => SigningKey::from_der(&key, &certificate).map_err(unusable)?,
            _ => {
                let idp = generate()?;
                write(&key_path, &idp.private_key_der().map_err(KeysError::Generate)?).map_err(file(&key_path))?;
                write(&certificate_path, idp.certificate_der()).map_err(file(&certificate_path))?;
                idp
            }
        };
        Ok(Self { master, idp })
    }
}

pub fn read(path: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Written beside and moved into place, so that an interrupted start leaves no half key.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::SystemRng;

    #[test]
    fn the_second_start_finds_the_keys_of_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        let first = Keys::load(Some(directory.path()), now, &SystemRng).unwrap();
        let second = Keys::load(Some(directory.path()), now, &SystemRng).unwrap();
        assert_eq!(first.master, second.master);
        assert_eq!(first.idp.id(), second.idp.id());
        fs::write(directory.path().join(MASTER), b"short").unwrap();
        let error = Keys::load(Some(directory.path()), now, &SystemRng).unwrap_err();
        assert!(error.to_string().contains("master.key"), "{error}");
    }
}
