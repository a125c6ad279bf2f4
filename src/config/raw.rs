//! What was typed: text with its origin, from the file, the variables and the flags. Nothing is judged here except
//! whether a key exists.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::client::ClientVariable;
use super::error::Mistake;
use super::setting::{VARIABLE_PREFIX, variable};

/// The settings file that is read when none is named.
const SETTINGS_FILE: &str = "rolegate.toml";
/// Names the settings file; for a broker, the one variable that is not itself a setting.
const FILE_VARIABLE: &str = "ROLEGATE_CONFIG";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    /// Made from other settings.
    Computed(&'static str),
    /// Set by the program itself, for a demonstration or a test.
    Program,
    File {
        path: PathBuf,
        line: usize,
    },
    Variable(String),
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Computed(from) => f.write_str(from),
            Self::Program => f.write_str("set by this command"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// Everything that may hold settings. All of it is passed in, so that a test needs no process of its own.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    directory: PathBuf,
    file: Option<(PathBuf, Origin)>,
    find_file: bool,
    program: Vec<(&'static str, String)>,
    variables: Vec<(String, OsString)>,
    flags: Vec<Flag>,
}

#[derive(Debug, Clone)]
enum Flag {
    Named { flag: &'static str, key: &'static str, value: String },
    Set(String),
}

impl Sources {
    /// A process in `directory` with these variables: `rolegate.toml` is read if it is there.
    #[must_use]
    pub fn of_process(directory: PathBuf, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut own: Vec<_> = variables
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX) && !ClientVariable::is_named(name))
            .collect();
        own.sort();
        let mut sources = Self { directory, find_file: true, ..Self::default() };
        for (name, value) in own {
            if name == FILE_VARIABLE {
                sources.file = Some((PathBuf::from(value), Origin::Variable(name)));
            } else {
                sources.variables.push((name, value));
            }
        }
        sources
    }

    /// Only what the program itself says: no file, no variable, no flag.
    #[must_use]
    pub fn of_program(pairs: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self { program: pairs.into_iter().collect(), ..Self::default() }
    }

    /// Reads this settings file; it must exist.
    #[must_use]
    pub fn with_file(mut self, path: PathBuf) -> Self {
        self.file = Some((path, Origin::Flag("--config".to_owned())));
        self
    }

    /// A flag of its own, such as `--listen`, for one key.
    #[must_use]
    pub fn with_flag(mut self, flag: &'static str, key: &'static str, value: String) -> Self {
        self.flags.push(Flag::Named { flag, key, value });
        self
    }

    /// One `--set` argument, `key=value`.
    #[must_use]
    pub fn with_set(mut self, argument: String) -> Self {
        self.flags.push(Flag::Set(argument));
        self
    }
}

/// A value as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    List(Vec<String>),
}

/// A value, where it came from, and the folder its relative paths start from.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    pub value: Value,
    pub origin: Origin,
    pub base: PathBuf,
}

/// All that was typed, the strongest source having won, with the mistakes met on the way.
#[derive(Debug, Default)]
pub(super) struct RawConfig {
    pub values: BTreeMap<String, Typed>,
    pub mistakes: Vec<Mistake>,
}

impl RawConfig {
    pub fn gather(sources: &Sources) -> Self {
        let mut raw = Self::default();
        for (key, value) in &sources.program {
            raw.put(key, Value::Text(value.clone()), Origin::Program, &sources.directory);
        }
        raw.read_file(sources);
        raw.read_variables(sources);
        raw.read_flags(sources);
        raw
    }

    fn put(&mut self, key: &str, value: Value, origin: Origin, base: &Path) {
        if known_keys().any(|known| known == key) {
            self.values.insert(key.to_owned(), Typed { value, origin, base: base.to_owned() });
        } else {
            self.mistakes.push(Mistake::UnknownKey { key: key.to_owned(), origin, advice: advice_for(key) });
        }
    }

    fn read_file(&mut self, sources: &Sources) {
        let (path, origin) = match &sources.file {
            Some((path, origin)) => (path.clone(), Some(origin)),
            None if sources.find_file => (PathBuf::from(SETTINGS_FILE), None),
            None => return,
        };
        let full = sources.directory.join(&path);
        match std::fs::read_to_string(&full) {
            Ok(text) => {
                let base = full.parent().unwrap_or(&sources.directory).to_owned();
                self.read_toml(&text, &path, &base);
            }
            Err(source) if origin.is_none() && source.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                let origin = origin.cloned().unwrap_or(Origin::Default);
                self.mistakes.push(Mistake::UnreadableSettings { path, origin, source });
            }
        }
    }

    fn read_toml(&mut self, text: &str, path: &Path, base: &Path) {
        let file = TomlFile { text, path, base };
        let (table, mut errors) = DeTable::parse_recoverable(text);
        errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
        if errors.is_empty() {
            self.read_table(&file, "", table.get_ref());
        }
        // A file that could not be read whole says nothing about which keys are set.
        self.mistakes.extend(errors.into_iter().map(|error| Mistake::Syntax {
            path: path.to_owned(),
            line: error.span().map_or(1, |span| file.line(span.start)),
            message: error.message().to_owned(),
        }));
    }

    fn read_table(&mut self, file: &TomlFile<'_>, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let origin = Origin::File { path: file.path.to_owned(), line: file.line(name.span().start) };
            match value.get_ref() {
                DeValue::Table(inner) if is_section(&key) => self.read_table(file, &format!("{key}."), inner),
                value => match plain(value) {
                    Some(value) => self.put(&key, value, origin, file.base),
                    None if known_keys().any(|known| known == key) => self.mistakes.push(Mistake::BadValue {
                        key,
                        origin,
                        value: None,
                        advice: format!("write one value in quotes, not a {}", value.type_str()),
                    }),
                    None => {
                        let advice = advice_for(&key);
                        self.mistakes.push(Mistake::UnknownKey { key, origin, advice });
                    }
                },
            }
        }
    }

    fn read_variables(&mut self, sources: &Sources) {
        for (name, value) in &sources.variables {
            let Some(value) = value.to_str() else {
                self.mistakes.push(Mistake::VariableNotText { name: name.clone() });
                continue;
            };
            let origin = Origin::Variable(name.clone());
            if let Some(key) = known_keys().find(|key| variable(key) == *name) {
                self.put(&key, Value::Text(value.to_owned()), origin, &sources.directory);
            } else {
                let advice = nearest(name, known_keys().map(|key| variable(&key)));
                self.mistakes.push(Mistake::UnknownKey { key: name.clone(), origin, advice });
            }
        }
    }

    fn read_flags(&mut self, sources: &Sources) {
        for flag in &sources.flags {
            match flag {
                Flag::Named { flag, key, value } => {
                    let origin = Origin::Flag((*flag).to_owned());
                    self.put(key, Value::Text(value.clone()), origin, &sources.directory);
                }
                Flag::Set(argument) => match argument.split_once('=') {
                    Some((key, value)) => {
                        let origin = Origin::Flag("--set".to_owned());
                        self.put(key.trim(), Value::Text(value.to_owned()), origin, &sources.directory);
                    }
                    None => self.mistakes.push(Mistake::FlagWithoutValue { argument: argument.clone() }),
                },
            }
        }
    }
}

struct TomlFile<'a> {
    text: &'a str,
    path: &'a Path,
    base: &'a Path,
}

impl TomlFile<'_> {
    fn line(&self, offset: usize) -> usize {
        1 + self.text.as_bytes().iter().take(offset).filter(|&&byte| byte == b'\n').count()
    }
}

/// Text, numbers and switches are all taken as they were typed; lists hold only such. A table is the list of its `name=value`,
/// which is how variables and flags write it.
fn plain(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::Table(pairs) => {
            let mut items = Vec::with_capacity(pairs.len());
            for (name, value) in pairs {
                items.push(format!("{}={}", name.get_ref(), scalar(value.get_ref())?));
            }
            Value::List(items)
        }
        DeValue::Array(items) => {
            Value::List(items.iter().map(|item| scalar(item.get_ref())).collect::<Option<Vec<_>>>()?)
        }
        value => Value::Text(scalar(value)?),
    })
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    Some(match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(switch) => switch.to_string(),
        _ => return None,
    })
}

/// Every key that may be set, the `_file` form of secrets included.
fn known_keys() -> impl Iterator<Item = String> {
    super::settings().flat_map(|setting| [Some(setting.key.to_owned()), setting.file_key()]).flatten()
}

fn is_section(name: &str) -> bool {
    super::settings().any(|setting| setting.key.split_once('.').is_some_and(|(section, _)| section == name))
}

fn advice_for(key: &str) -> Option<String> {
    let section = key.split('.').next().unwrap_or(key);
    if ["connector", "account", "role", "rule"].contains(&section) {
        return Some(
            "it belongs in a catalog file, which `rolegate catalog apply` brings into the database".to_owned(),
        );
    }
    nearest(key, known_keys())
}

/// The most similar name, if one is similar enough to have been meant.
fn nearest(typed: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let most = (typed.len() / 3).clamp(1, 6);
    known
        .map(|name| (edits(typed, &name), name))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, name)| format!("did you mean `{name}`?"))
}

/// How many letters must be added, removed or replaced to get from one word to the other (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}
