//! What surrounds a command: variables, folders and terminals, read once.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use crate::config::ClientVariable;

/// The process's environment as the client commands see it.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    variables: HashMap<OsString, OsString>,
    pub stdin_is_terminal: bool,
    pub stdout_is_terminal: bool,
    pub stderr_is_terminal: bool,
}

/// No folder can be named to keep things in.
#[derive(Debug, thiserror::Error)]
#[error("there is no home folder to keep anything in; set HOME")]
pub struct Homeless;

impl Surroundings {
    #[must_use]
    pub fn of_process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            stdin_is_terminal: std::io::stdin().is_terminal(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
        }
    }

    #[cfg(test)]
    #[must_use]
    pub fn of(variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { variables, ..Self::default() }
    }

    /// A variable; an empty one counts as unset, and so does one that is no UTF-8.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(std::ffi::OsStr::new(name))?.to_str().filter(|value| !value.is_empty())
    }

    /// One of Rolegate's own variables for client commands.
    #[must_use]
    pub fn own(&self, variable: ClientVariable) -> Option<&str> {
        self.variable(variable.name())
    }

    #[must_use]
    pub fn path(&self, name: &str) -> Option<&Path> {
        self.variables.get(std::ffi::OsStr::new(name)).map(Path::new).filter(|path| !path.as_os_str().is_empty())
    }

    /// # Errors
    /// [`Homeless`].
    pub fn home(&self) -> Result<&Path, Homeless> {
        self.path("HOME").or_else(|| self.path("USERPROFILE")).ok_or(Homeless)
    }

    /// Where a person's choices are: `config.toml`.
    ///
    /// # Errors
    /// [`Homeless`].
    pub fn config_folder(&self) -> Result<PathBuf, Homeless> {
        self.folder("XDG_CONFIG_HOME", ".config")
    }

    /// Where sign-ins and locks are.
    ///
    /// # Errors
    /// [`Homeless`].
    pub fn state_folder(&self) -> Result<PathBuf, Homeless> {
        self.folder("XDG_STATE_HOME", ".local/state")
    }

    /// Spec: XDG Base Directory Specification: a relative path in these variables is to be ignored.
    fn folder(&self, variable: &str, otherwise: &str) -> Result<PathBuf, Homeless> {
        let base = match self.path(variable).filter(|path| path.is_absolute()) {
            Some(path) => path.to_owned(),
            None => self.home()?.join(otherwise),
        };
        Ok(base.join("rolegate"))
    }

    /// Somebody can be asked: they see what is written on stderr and can type.
    #[must_use]
    pub fn is_interactive(&self) -> bool {
        self.stdin_is_terminal && self.stderr_moves()
    }

    /// Whether lines on stderr may be drawn over.
    #[must_use]
    pub fn stderr_moves(&self) -> bool {
        self.stderr_is_terminal && self.variable("TERM").is_some_and(|term| term != "dumb")
    }

    /// Spec: <https://no-color.org>.
    #[must_use]
    pub fn colours(&self) -> bool {
        self.stderr_moves() && self.variable("NO_COLOR").is_none()
    }

    /// The folders programs are looked for in.
    pub fn search_path(&self) -> impl Iterator<Item = PathBuf> {
        self.path("PATH").into_iter().flat_map(std::env::split_paths)
    }

    /// A program by its name.
    #[must_use]
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        self.search_path().map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_where_the_xdg_variables_say_if_they_are_absolute() {
        let home = Surroundings::of(&[("HOME", "/home/asha")]);
        assert_eq!(home.config_folder().unwrap(), Path::new("/home/asha/.config/rolegate"));
        assert_eq!(home.state_folder().unwrap(), Path::new("/home/asha/.local/state/rolegate"));
        let set = [("HOME", "/home/asha"), ("XDG_CONFIG_HOME", "/etc/x"), ("XDG_STATE_HOME", "relative")];
        let set = Surroundings::of(&set);
        assert_eq!(set.config_folder().unwrap(), Path::new("/etc/x/rolegate"));
        assert_eq!(set.state_folder().unwrap(), Path::new("/home/asha/.local/state/rolegate"));
        assert!(Surroundings::default().state_folder().is_err());
    }

    #[test]
    fn an_empty_variable_is_none() {
        assert_eq!(Surroundings::of(&[("ROLEGATE_URL", "")]).own(ClientVariable::Url), None);
    }
}
