//! Which server a command calls, and where that is remembered.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use serde::Deserialize;
use url::Url;

use super::replace;
use super::surroundings::{Homeless, Surroundings};
use crate::config::ClientVariable;
use crate::sys::http::names_this_machine;

/// The address of a Rolegate: scheme, host and port, nothing behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server(Box<Url>);

/// The text is no address a token may be sent to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidServer {
    #[error("`{0}` is no address of a server; write for example https://aws.example.com")]
    Syntax(String),
    #[error("{0} would carry keys over the network in clear; write https://")]
    Clear(String),
    #[error("the address of a server holds no user name and no password")]
    UserInfo,
}

impl FromStr for Server {
    type Err = InvalidServer;

    /// Takes an address as people copy it: without a scheme, or with the page they were on.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let syntax = || InvalidServer::Syntax(text.chars().take(200).collect());
        let spelled = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let mut url = Url::parse(&spelled).map_err(|_| syntax())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(syntax());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidServer::UserInfo);
        }
        url.set_path("/");
        url.set_query(None);
        url.set_fragment(None);
        if url.scheme() == "http" && !names_this_machine(&url) {
            return Err(InvalidServer::Clear(url.as_str().trim_end_matches('/').to_owned()));
        }
        Ok(Self(Box::new(url)))
    }
}

impl Server {
    #[must_use]
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// Whether an address is on this server, and not on another that it names.
    #[must_use]
    pub fn has(&self, url: &Url) -> bool {
        url.origin() == self.0.origin()
    }

    /// A name for files about this server.
    #[must_use]
    pub fn file_name(&self) -> String {
        let safe = |c: char| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '_' };
        let text = self.to_string();
        text.strip_prefix("https://")
            .map_or_else(|| text.replace("://", "_"), str::to_owned)
            .chars()
            .map(safe)
            .collect()
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// The flag that every client command takes.
#[derive(Debug, Clone, Default, Args)]
pub struct ServerArgs {
    /// The Rolegate to call [default: ROLEGATE_URL, or the one first signed in to]
    #[arg(long, visible_alias = "url", value_name = "URL")]
    pub server: Option<Server>,
}

/// Why it is not known which server is meant.
#[derive(Debug, thiserror::Error)]
pub enum WhichServer {
    #[error("which Rolegate? Write --server https://aws.example.com once with `rolegate login`, or set ROLEGATE_URL")]
    Unknown,
    #[error("the variable ROLEGATE_URL")]
    Variable(#[source] InvalidServer),
    #[error("the file {path}")]
    File { path: PathBuf, source: InvalidPreferences },
    #[error("{path} cannot be read")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} cannot be written")]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Homeless(#[from] Homeless),
}

/// What is in `config.toml` makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPreferences {
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    #[error(transparent)]
    Server(#[from] InvalidServer),
}

/// What a person chose for all commands: `config.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Preferences {
    server: Option<String>,
    keyring: Option<bool>,
}

fn preferences(around: &Surroundings) -> Result<(PathBuf, Preferences), WhichServer> {
    let path = around.config_folder()?.join("config.toml");
    match std::fs::read_to_string(&path) {
        Ok(text) => match toml::from_str(&text) {
            Ok(preferences) => Ok((path, preferences)),
            Err(error) => Err(WhichServer::File { path, source: error.into() }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((path, Preferences::default())),
        Err(source) => Err(WhichServer::Read { path, source }),
    }
}

/// The server of this command: the flag, the variable, or what was remembered.
///
/// # Errors
/// [`WhichServer`].
pub fn which(args: &ServerArgs, around: &Surroundings) -> Result<Server, WhichServer> {
    match &args.server {
        Some(server) => Ok(server.clone()),
        None => usual(around)?.ok_or(WhichServer::Unknown),
    }
}

/// The server of commands that name none, if there is one.
///
/// # Errors
/// [`WhichServer`].
pub fn usual(around: &Surroundings) -> Result<Option<Server>, WhichServer> {
    if let Some(text) = around.own(ClientVariable::Url) {
        return text.parse().map(Some).map_err(WhichServer::Variable);
    }
    let (path, preferences) = preferences(around)?;
    let server = preferences.server.map(|server| server.parse()).transpose();
    server.map_err(|error| WhichServer::File { path, source: InvalidPreferences::Server(error) })
}

/// Whether sign-ins may go into the keyring: not if the person says otherwise.
///
/// # Errors
/// [`WhichServer`]: `config.toml` cannot be read.
pub fn keyring_is_wanted(around: &Surroundings) -> Result<bool, WhichServer> {
    if around.own(ClientVariable::Keyring).is_some_and(|value| matches!(value, "off" | "no" | "0" | "false")) {
        return Ok(false);
    }
    Ok(preferences(around)?.1.keyring.unwrap_or(true))
}

/// Remembers the server for commands that name none: the first one stays, unless another is to take its place.
///
/// # Errors
/// [`WhichServer`]: `config.toml` cannot be read or written.
pub fn remember(server: &Server, instead: bool, around: &Surroundings) -> Result<bool, WhichServer> {
    let (path, preferences) = preferences(around)?;
    if preferences.server.is_some() && !instead {
        return Ok(false);
    }
    let old = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(WhichServer::Read { path, source }),
    };
    // A line of its own, so that whatever else the person wrote there stays.
    let others = old.lines().filter(|line| line.split('=').next().is_none_or(|key| key.trim() != "server"));
    let new: String = std::iter::once(format!("server = \"{server}\"").as_str())
        .chain(others)
        .map(|line| format!("{line}\n"))
        .collect();
    replace::private_file(&path, new.as_bytes()).map_err(|source| WhichServer::Write { path, source })?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_as_people_copy_it() {
        for (text, server) in [
            ("https://aws.example.com", "https://aws.example.com"),
            ("aws.example.com", "https://aws.example.com"),
            ("https://aws.example.com:8443/sign-in?x=1#y", "https://aws.example.com:8443"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(text.parse::<Server>().unwrap().to_string(), server);
        }
    }

    #[test]
    fn keys_do_not_go_over_the_network_in_clear() {
        for text in ["http://aws.example.com", "http://10.0.0.1:8080", "http://localhost.example.com"] {
            assert!(matches!(text.parse::<Server>(), Err(InvalidServer::Clear(_))), "{text}");
        }
        for text in ["", "ftp://aws.example.com", "https://", "a b", "file:///etc/passwd"] {
            assert!(matches!(text.parse::<Server>(), Err(InvalidServer::Syntax(_))), "{text}");
        }
        assert_eq!("https://me:secret@aws.example.com".parse::<Server>(), Err(InvalidServer::UserInfo));
    }

    #[test]
    fn servers_have_files_of_their_own() {
        let name = |text: &str| text.parse::<Server>().unwrap().file_name();
        assert_eq!(name("https://aws.example.com"), "aws.example.com");
        assert_eq!(name("https://aws.example.com:8443"), "aws.example.com_8443");
        assert_eq!(name("http://127.0.0.1:8080"), "http_127.0.0.1_8080");
        assert_eq!(name("https://127.0.0.1:8080"), "127.0.0.1_8080");
    }

    #[test]
    fn the_first_server_is_remembered_and_whatever_else_the_person_wrote_stays() {
        let home = tempfile::tempdir().unwrap();
        let around = Surroundings::of(&[("HOME", home.path().to_str().unwrap())]);
        let [first, second] = ["https://a.example", "https://b.example"].map(|text| text.parse::<Server>().unwrap());
        let none = ServerArgs::default();
        assert!(matches!(which(&none, &around), Err(WhichServer::Unknown)));
        assert!(remember(&first, false, &around).unwrap());
        assert!(!remember(&second, false, &around).unwrap());
        assert_eq!(which(&none, &around).unwrap(), first);
        let path = home.path().join(".config/rolegate/config.toml");
        std::fs::write(&path, "# mine\nserver = \"https://a.example\"\nkeyring = false\n").unwrap();
        assert!(remember(&second, true, &around).unwrap());
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "server = \"https://b.example\"\n# mine\nkeyring = false\n"
        );
        assert!(!keyring_is_wanted(&around).unwrap());
        assert_eq!(which(&ServerArgs { server: Some(first.clone()) }, &around).unwrap(), first);
    }
}
