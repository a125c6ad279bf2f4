//! What can be wrong with the settings, in the operator's words.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::raw::Origin;

/// One mistake: which key, where it was typed, what to write.
#[derive(Debug, thiserror::Error)]
pub enum Mistake {
    #[error("`{key}` ({origin}) is not a setting{}", hint(.advice.as_deref()))]
    UnknownKey { key: String, origin: Origin, advice: Option<String> },
    #[error("`{key}`{} ({origin}): {advice}", quoted(.value.as_deref()))]
    BadValue {
        key: String,
        origin: Origin,
        /// What was typed; absent for a secret.
        value: Option<String>,
        advice: String,
    },
    #[error("`{key}` is not set: {advice}")]
    Required { key: &'static str, advice: &'static str },
    #[error("`{key}` ({origin}) and `{file_key}` ({file_origin}) are both set: keep one of them")]
    ValueAndFile { key: &'static str, origin: Origin, file_key: String, file_origin: Origin },
    #[error("`{key}` ({origin}) names the file {}, which cannot be read ({source}): name a file this process may read", path.display())]
    UnreadableValue { key: String, origin: Origin, path: PathBuf, source: io::Error },
    #[error("the settings file {} ({origin}) cannot be read ({source}): name a file this process may read", path.display())]
    UnreadableSettings { path: PathBuf, origin: Origin, source: io::Error },
    #[error("{}:{line}: this is not TOML: {message}", path.display())]
    Syntax { path: PathBuf, line: usize, message: String },
    #[error("`--set {argument}`: write --set key=value, for example --set session.idle_timeout=30m")]
    FlagWithoutValue { argument: String },
    #[error("the variable {name} is not text in UTF-8: write its value in UTF-8, or unset it")]
    VariableNotText { name: String },
}

fn hint(advice: Option<&str>) -> String {
    advice.map_or_else(String::new, |advice| format!(": {advice}"))
}

fn quoted(value: Option<&str>) -> String {
    value.map_or_else(String::new, |value| format!(" = \"{value}\""))
}

/// All the mistakes in the settings, in the order they were met. Never empty.
#[derive(Debug)]
pub struct ConfigErrors(Vec<Mistake>);

impl ConfigErrors {
    /// `None` when nothing is wrong.
    pub(super) fn of(mistakes: Vec<Mistake>) -> Option<Self> {
        (!mistakes.is_empty()).then_some(Self(mistakes))
    }

    #[must_use]
    pub fn mistakes(&self) -> &[Mistake] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "the settings have a mistake:\n  {one}"),
            many => {
                write!(f, "the settings have {} mistakes:", many.len())?;
                many.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
            }
        }
    }
}

impl std::error::Error for ConfigErrors {}
