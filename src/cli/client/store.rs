//! Sign-ins are kept per server: in the keyring of the operating system where there is one, else in a file that only
//! its owner can read.
//!
//! The file is always there. It says which server the sign-in is for and where its tokens are, so that commands know
//! without asking the keyring; the tokens themselves are in it only where there is no keyring.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::keyring::{Keyring, KeyringError};
use super::replace::{self, Turn};
use super::server::{self, Server, WhichServer};
use super::surroundings::{Homeless, Surroundings};
use crate::sys::Bearer;

/// What a sign-in brought.
#[derive(Debug, Clone)]
pub struct SignIn {
    pub access: Bearer,
    pub refresh: Option<Bearer>,
    /// When the access token ends.
    pub expires: Timestamp,
}

/// Where the tokens of a sign-in are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    Keyring,
    File(PathBuf),
}

/// Why a sign-in could not be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Homeless(#[from] Homeless),
    #[error("{} cannot be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} cannot be written", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} is not what `rolegate login` wrote; run it again", path.display())]
    Garbled { path: PathBuf },
    #[error(
        "{} can be read by others than you, and holds tokens; run `rolegate logout`, which revokes them, and sign in again",
        path.display()
    )]
    Open { path: PathBuf },
    #[error("the sign-in is in the keyring, which cannot be used here; run `rolegate login`")]
    NoKeyring,
    #[error("the sign-in was not found in the keyring; run `rolegate login`")]
    Keyring(#[source] KeyringError),
    #[error(transparent)]
    Preferences(#[from] WhichServer),
}

/// The sign-ins of the person who runs the command.
#[derive(Debug)]
pub struct SignIns {
    folder: PathBuf,
    keyring: Option<Keyring>,
}

#[derive(Serialize, Deserialize)]
struct Record<'a> {
    server: &'a str,
    #[serde(skip_serializing_if = "Option::is_none", borrow)]
    tokens: Option<Tokens<'a>>,
}

#[derive(Serialize, Deserialize)]
struct Tokens<'a> {
    access: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh: Option<&'a str>,
    expires: Timestamp,
}

impl<'a> From<&'a SignIn> for Tokens<'a> {
    fn from(of: &'a SignIn) -> Self {
        let refresh = of.refresh.as_ref().map(Bearer::expose_secret);
        Self { access: of.access.expose_secret(), refresh, expires: of.expires }
    }
}

impl Tokens<'_> {
    fn read(&self) -> Option<SignIn> {
        let refresh = match self.refresh {
            Some(text) => Some(Bearer::parse(text)?),
            None => None,
        };
        Some(SignIn { access: Bearer::parse(self.access)?, refresh, expires: self.expires })
    }
}

impl SignIns {
    /// # Errors
    /// There is no home folder, or `config.toml` cannot be read.
    pub fn of(around: &Surroundings) -> Result<Self, StoreError> {
        let keyring = if server::keyring_is_wanted(around)? { Keyring::of(around) } else { None };
        Ok(Self { folder: around.state_folder()?.join("sign-ins"), keyring })
    }

    /// The servers somebody is signed in at, as far as is known here.
    ///
    /// # Errors
    /// [`StoreError::Read`].
    pub fn servers(&self) -> Result<Vec<Server>, StoreError> {
        let failed = |source| StoreError::Read { path: self.folder.clone(), source };
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut servers = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let text = read(&path)?;
                let record: Option<Record<'_>> = text.as_deref().and_then(|text| serde_json::from_str(text).ok());
                servers.extend(record.and_then(|record| record.server.parse::<Server>().ok()));
            }
        }
        servers.sort_by_key(Server::to_string);
        Ok(servers)
    }

    /// Waits until no other command changes the sign-in at this server.
    ///
    /// # Errors
    /// [`StoreError::Write`].
    pub fn turn(&self, server: &Server) -> Result<Turn, StoreError> {
        let path = self.path(server, "lock");
        Turn::take(&path).map_err(|source| StoreError::Write { path, source })
    }

    /// The sign-in at a server, if there is one.
    ///
    /// # Errors
    /// [`StoreError`]: it is there and cannot be read.
    pub fn find(&self, server: &Server) -> Result<Option<SignIn>, StoreError> {
        let path = self.path(server, "json");
        if path.exists() {
            private(&path)?;
        }
        self.find_to_end(server)
    }

    /// As [`find`](Self::find), but also in a file that others can read: those tokens are good for being revoked.
    ///
    /// # Errors
    /// [`StoreError`]: it is there and cannot be read.
    pub fn find_to_end(&self, server: &Server) -> Result<Option<SignIn>, StoreError> {
        let path = self.path(server, "json");
        let Some(text) = read(&path)? else { return Ok(None) };
        let garbled = || StoreError::Garbled { path: path.clone() };
        let record: Record<'_> = serde_json::from_str(&text).map_err(|_| garbled())?;
        if record.server != server.to_string() {
            return Err(garbled());
        }
        if let Some(tokens) = record.tokens {
            return tokens.read().map(Some).ok_or_else(garbled);
        }
        let kept = self.keyring.as_ref().ok_or(StoreError::NoKeyring)?.find(server).map_err(StoreError::Keyring)?;
        let tokens: Option<Tokens<'_>> = serde_json::from_str(&kept).ok();
        tokens.and_then(|tokens| tokens.read()).map(Some).ok_or(StoreError::Keyring(KeyringError::Garbled))
    }

    /// Keeps a sign-in in place of the one before. Says why the keyring did not take it, if it did not.
    ///
    /// # Errors
    /// [`StoreError::Write`].
    pub fn keep(&self, server: &Server, sign_in: &SignIn) -> Result<(Kept, Option<KeyringError>), StoreError> {
        let tokens = Tokens::from(sign_in);
        let refused = match &self.keyring {
            Some(keyring) => match keyring.keep(server, &json(&tokens)) {
                Ok(()) => {
                    self.write(server, None)?;
                    return Ok((Kept::Keyring, None));
                }
                Err(error) => Some(error),
            },
            None => None,
        };
        let path = self.write(server, Some(tokens))?;
        Ok((Kept::File(path), refused))
    }

    /// Forgets the sign-in at a server.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget(&self, server: &Server) -> Result<(), StoreError> {
        let path = self.path(server, "json");
        let Some(text) = read(&path)? else { return Ok(()) };
        let in_file = serde_json::from_str::<Record<'_>>(&text).is_ok_and(|record| record.tokens.is_some());
        if !in_file && let Some(keyring) = &self.keyring {
            // Whatever is not in the keyring is forgotten there.
            let _ = keyring.forget(server);
        }
        std::fs::remove_file(&path).map_err(|source| StoreError::Write { path, source })
    }

    fn write(&self, server: &Server, tokens: Option<Tokens<'_>>) -> Result<PathBuf, StoreError> {
        let path = self.path(server, "json");
        let text = json(&Record { server: &server.to_string(), tokens });
        replace::private_file(&path, text.as_bytes())
            .map_err(|source| StoreError::Write { path: path.clone(), source })?;
        Ok(path)
    }

    fn path(&self, server: &Server, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", server.file_name()))
    }
}

fn json(value: &impl Serialize) -> Zeroizing<String> {
    Zeroizing::new(serde_json::to_string(value).expect("texts and instants are JSON"))
}

fn read(path: &Path) -> Result<Option<Zeroizing<String>>, StoreError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::Read { path: path.to_owned(), source }),
    }
}

/// Refuses a file that others can read, as ssh does with keys: what is in it may be known to them.
fn private(path: &Path) -> Result<(), StoreError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let about = std::fs::metadata(path).map_err(|source| StoreError::Read { path: path.to_owned(), source })?;
        if about.permissions().mode() & 0o077 != 0 {
            return Err(StoreError::Open { path: path.to_owned() });
        }
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{BearerKind, SeededRng};

    fn sign_in(seed: u64) -> SignIn {
        let rng = SeededRng::new(seed);
        SignIn {
            access: Bearer::generate(BearerKind::Access, &rng),
            refresh: Some(Bearer::generate(BearerKind::Refresh, &rng)),
            expires: "2026-11-21T20:00:00Z".parse().unwrap(),
        }
    }

    fn server(text: &str) -> Server {
        text.parse().unwrap()
    }

    fn same(a: &SignIn, b: &SignIn) -> bool {
        let refresh = |of: &SignIn| of.refresh.as_ref().map(Bearer::hash);
        a.access.hash() == b.access.hash() && refresh(a) == refresh(b) && a.expires == b.expires
    }

    #[test]
    fn sign_ins_are_kept_per_server_and_forgotten_one_by_one() {
        let home = tempfile::tempdir().unwrap();
        let around = Surroundings::of(&[("HOME", home.path().to_str().unwrap())]);
        let sign_ins = SignIns::of(&around).unwrap();
        let (a, b) = (server("https://a.example"), server("http://127.0.0.1:8080"));
        assert!(sign_ins.find(&a).unwrap().is_none() && sign_ins.servers().unwrap().is_empty());
        let (kept, refused) = sign_ins.keep(&a, &sign_in(1)).unwrap();
        assert!(matches!(kept, Kept::File(_)) && refused.is_none());
        sign_ins.keep(&b, &sign_in(2)).unwrap();
        sign_ins.keep(&a, &sign_in(3)).unwrap();
        assert!(same(&sign_ins.find(&a).unwrap().unwrap(), &sign_in(3)));
        assert!(same(&sign_ins.find(&b).unwrap().unwrap(), &sign_in(2)));
        assert_eq!(sign_ins.servers().unwrap(), [b.clone(), a.clone()]);
        sign_ins.forget(&a).unwrap();
        sign_ins.forget(&a).unwrap();
        assert!(sign_ins.find(&a).unwrap().is_none());
        assert_eq!(sign_ins.servers().unwrap(), [b]);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_of_tokens_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let sign_ins = SignIns::of(&Surroundings::of(&[("HOME", home.path().to_str().unwrap())])).unwrap();
        let (Kept::File(path), _) = sign_ins.keep(&server("https://a.example"), &sign_in(1)).unwrap() else {
            panic!("there is no keyring")
        };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(sign_ins.find(&server("https://a.example")), Err(StoreError::Open { .. })));
    }

    #[test]
    fn a_file_that_is_somebody_elses_sign_in_is_none() {
        let home = tempfile::tempdir().unwrap();
        let sign_ins = SignIns::of(&Surroundings::of(&[("HOME", home.path().to_str().unwrap())])).unwrap();
        let here = server("https://a.example");
        sign_ins.keep(&here, &sign_in(1)).unwrap();
        let path = sign_ins.path(&here, "json");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("a.example", "b.example")).unwrap();
        assert!(matches!(sign_ins.find(&here), Err(StoreError::Garbled { .. })));
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(sign_ins.find(&here), Err(StoreError::Garbled { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn the_keyring_holds_the_tokens_and_the_file_does_not() {
        let (home, around) = with_keyring(
            "case $1 in store) cat > \"$HOME/kept\" ;; lookup) cat \"$HOME/kept\" ;; clear) rm \"$HOME/kept\" ;; esac",
        );
        let sign_ins = SignIns::of(&around).unwrap();
        let here = server("https://a.example");
        let (kept, _) = sign_ins.keep(&here, &sign_in(1)).unwrap();
        assert_eq!(kept, Kept::Keyring);
        let file = std::fs::read_to_string(sign_ins.path(&here, "json")).unwrap();
        assert_eq!(file, r#"{"server":"https://a.example"}"#);
        assert!(same(&sign_ins.find(&here).unwrap().unwrap(), &sign_in(1)));
        sign_ins.forget(&here).unwrap();
        assert!(!home.path().join("kept").exists() && sign_ins.find(&here).unwrap().is_none());
    }

    #[cfg(unix)]
    #[test]
    fn a_keyring_that_says_no_leaves_the_sign_in_to_the_file() {
        let (_home, around) = with_keyring("echo 'the collection is locked' >&2; exit 1");
        let sign_ins = SignIns::of(&around).unwrap();
        let here = server("https://a.example");
        let (kept, refused) = sign_ins.keep(&here, &sign_in(1)).unwrap();
        assert!(matches!(kept, Kept::File(_)));
        assert_eq!(refused.unwrap().to_string(), "the keyring said no: the collection is locked");
        assert!(same(&sign_ins.find(&here).unwrap().unwrap(), &sign_in(1)));
    }

    /// A `secret-tool` that does this, and a session bus.
    #[cfg(unix)]
    fn with_keyring(script: &str) -> (tempfile::TempDir, Surroundings) {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let tool = home.path().join("secret-tool");
        let home_text = home.path().to_str().unwrap().to_owned();
        std::fs::write(&tool, format!("#!/bin/sh\nHOME={home_text}\n{script}\n")).unwrap();
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
        let around = Surroundings::of(&[
            ("HOME", &home_text),
            ("PATH", &home_text),
            ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/x"),
        ]);
        (home, around)
    }
}
