//! Reads settings out of what was typed, one at a time, and keeps every mistake for the end.

use std::path::PathBuf;
use std::time::Duration;

use super::error::{ConfigErrors, Mistake};
use super::raw::{Origin, RawConfig, Typed, Value};
use super::setting::{Setting, Unset};
use crate::sys::SecretString;

/// A setting as it holds, for `rolegate config check`.
#[derive(Debug, Clone)]
pub struct Shown {
    pub key: String,
    pub value: ShownValue,
    pub origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShownValue {
    Text(String),
    List(Vec<String>),
    /// It is set; what to is nobody's business.
    Secret,
    /// It is not set; the words say what that means.
    Unset(&'static str),
}

/// A parser's complaint: what to write instead.
pub(super) type Advice = String;

pub(super) struct Reader {
    raw: RawConfig,
    shown: Vec<Shown>,
}

impl Reader {
    pub fn new(raw: RawConfig) -> Self {
        Self { raw, shown: Vec::new() }
    }

    /// The value of a setting that has a default. After a mistake the default stands in; nobody will see it.
    pub fn value<T>(&mut self, setting: &'static Setting, parse: impl Fn(&str) -> Result<T, Advice>) -> T {
        let Unset::Default(default) = setting.unset else {
            unreachable!("`{}` has no default and is read as optional", setting.key)
        };
        self.given(setting, &parse).unwrap_or_else(|| {
            self.show(setting.key, ShownValue::Text(default.to_owned()), Origin::Default);
            parse(default).unwrap_or_else(|advice| unreachable!("the default of `{}` is valid: {advice}", setting.key))
        })
    }

    /// The value of a setting whose default is made from others.
    pub fn computed<T>(
        &mut self,
        setting: &'static Setting,
        parse: impl Fn(&str) -> Result<T, Advice>,
        compute: impl FnOnce() -> (T, String),
    ) -> T {
        self.given(setting, &parse).unwrap_or_else(|| {
            let (value, text) = compute();
            let Unset::Computed(from) = setting.unset else {
                unreachable!("`{}` is not computed from others", setting.key)
            };
            self.show(setting.key, ShownValue::Text(text), Origin::Computed(from));
            value
        })
    }

    /// The value of a setting that may be left out.
    pub fn optional<T>(&mut self, setting: &'static Setting, parse: impl Fn(&str) -> Result<T, Advice>) -> Option<T> {
        let given = self.given(setting, &parse);
        if given.is_none() {
            let Unset::Nothing(without) = setting.unset else { unreachable!("`{}` has a default", setting.key) };
            self.show(setting.key, ShownValue::Unset(without), Origin::Default);
        }
        given
    }

    /// A list: an array in the file; in a variable or a flag, items with commas between them. A table in the file is a list of
    /// `name=value`.
    pub fn list<T>(&mut self, setting: &'static Setting, parse: impl Fn(&str) -> Result<T, Advice>) -> Vec<T> {
        let Some(Typed { value, origin, .. }) = self.raw.values.remove(setting.key) else {
            let (Unset::Nothing(words) | Unset::Computed(words) | Unset::Default(words)) = setting.unset;
            self.show(setting.key, ShownValue::List(Vec::new()), Origin::Computed(words));
            return Vec::new();
        };
        let items = match value {
            Value::List(items) => items,
            Value::Text(text) => {
                text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
            }
        };
        let mut parsed = Vec::with_capacity(items.len());
        for item in &items {
            match parse(item) {
                Ok(item) => parsed.push(item),
                Err(advice) => self.bad(setting.key, &origin, Some(item.clone()), advice),
            }
        }
        self.show(setting.key, ShownValue::List(items), origin);
        parsed
    }

    /// A secret, typed or in the file that `<key>_file` names; one line break at the end of the file is not part of it.
    pub fn secret<T>(
        &mut self,
        setting: &'static Setting,
        parse: impl Fn(SecretString) -> Result<T, Advice>,
    ) -> Option<T> {
        let file_key = setting.file_key()?;
        let typed = self.raw.values.remove(setting.key);
        let named = self.raw.values.remove(&file_key);
        match (typed, named) {
            (None, None) => {
                if let Unset::Computed(without) | Unset::Nothing(without) = setting.unset {
                    self.show(setting.key, ShownValue::Unset(without), Origin::Default);
                }
                None
            }
            (Some(typed), Some(named)) => {
                self.raw.mistakes.push(Mistake::ValueAndFile {
                    key: setting.key,
                    origin: typed.origin,
                    file_key,
                    file_origin: named.origin,
                });
                None
            }
            (Some(Typed { value: Value::Text(text), origin, .. }), None) => {
                self.show(setting.key, ShownValue::Secret, origin.clone());
                self.keep(setting.key, &origin, parse(SecretString::from(text)))
            }
            (None, Some(Typed { value: Value::Text(name), origin, base })) => {
                let path = base.join(&name);
                self.show(&file_key, ShownValue::Text(name), origin.clone());
                match std::fs::read_to_string(&path) {
                    Ok(mut text) => {
                        if text.ends_with('\n') {
                            text.pop();
                            if text.ends_with('\r') {
                                text.pop();
                            }
                        }
                        self.keep(&file_key, &origin, parse(SecretString::from(text)))
                    }
                    Err(source) => {
                        self.raw.mistakes.push(Mistake::UnreadableValue { key: file_key, origin, path, source });
                        None
                    }
                }
            }
            (Some(Typed { value: Value::List(_), origin, .. }), None) => {
                self.bad(setting.key, &origin, None, ONE_VALUE.to_owned());
                None
            }
            (None, Some(Typed { value: Value::List(_), origin, .. })) => {
                self.bad(&file_key, &origin, None, ONE_VALUE.to_owned());
                None
            }
        }
    }

    /// A folder or file; relative ones start from the folder of the settings file, or the current one for variables,
    /// flags and defaults.
    pub fn path(&mut self, setting: &'static Setting) -> PathBuf {
        let base = self.base_of(setting);
        self.value(setting, |text| {
            if text.is_empty() { Err("write the path of a folder".to_owned()) } else { Ok(base.join(text)) }
        })
    }

    /// The folder that a relative path in this setting starts from.
    pub fn base_of(&self, setting: &Setting) -> PathBuf {
        self.raw.values.get(setting.key).map_or_else(PathBuf::new, |typed| typed.base.clone())
    }

    /// Two values that are fine alone and wrong together.
    pub fn clash(&mut self, setting: &'static Setting, advice: impl Into<String>) {
        let shown = self.shown.iter().rev().find(|shown| shown.key == setting.key).cloned();
        let (origin, value) = match shown {
            Some(Shown { origin, value: ShownValue::Text(text), .. }) => (origin, Some(text)),
            Some(Shown { origin, .. }) => (origin, None),
            None => (Origin::Default, None),
        };
        self.bad(setting.key, &origin, value, advice.into());
    }

    /// Says that a setting is needed, unless something was said about it already.
    pub fn require(&mut self, key: &'static str, advice: &'static str) {
        let said =
            self.raw.mistakes.iter().any(|mistake| matches!(mistake, Mistake::BadValue { key: k, .. } if k == key));
        if !said {
            self.raw.mistakes.push(Mistake::Required { key, advice });
        }
    }

    /// # Errors
    /// All the mistakes met.
    pub fn finish(mut self) -> Result<Vec<Shown>, ConfigErrors> {
        // A file that is not TOML tells nothing about what is set, so what seems to be missing may well be in it.
        if self.raw.mistakes.iter().any(|m| matches!(m, Mistake::Syntax { .. } | Mistake::UnreadableSettings { .. })) {
            self.raw.mistakes.retain(|mistake| !matches!(mistake, Mistake::Required { .. }));
        }
        match ConfigErrors::of(self.raw.mistakes) {
            Some(errors) => Err(errors),
            None => Ok(self.shown),
        }
    }

    fn given<T>(&mut self, setting: &'static Setting, parse: &impl Fn(&str) -> Result<T, Advice>) -> Option<T> {
        let Typed { value, origin, .. } = self.raw.values.remove(setting.key)?;
        match value {
            Value::Text(text) => match parse(&text) {
                Ok(value) => {
                    self.show(setting.key, ShownValue::Text(text), origin);
                    Some(value)
                }
                Err(advice) => {
                    self.bad(setting.key, &origin, Some(text), advice);
                    None
                }
            },
            Value::List(_) => {
                self.bad(setting.key, &origin, None, ONE_VALUE.to_owned());
                None
            }
        }
    }

    fn keep<T>(&mut self, key: &str, origin: &Origin, parsed: Result<T, Advice>) -> Option<T> {
        parsed.map_err(|advice| self.bad(key, origin, None, advice)).ok()
    }

    fn bad(&mut self, key: &str, origin: &Origin, value: Option<String>, advice: String) {
        // A URL may carry a password, whatever setting it was typed for.
        let value = value.filter(|value| !(value.contains("://") && value.contains('@')));
        self.raw.mistakes.push(Mistake::BadValue { key: key.to_owned(), origin: origin.clone(), value, advice });
    }

    fn show(&mut self, key: &str, value: ShownValue, origin: Origin) {
        self.shown.push(Shown { key: key.to_owned(), value, origin });
    }
}

const ONE_VALUE: &str = "write one value, not a list or a table";

/// A duration between two others, written `30s`, `10m` or `1h30m`.
pub(super) fn duration(min: Duration, max: Duration) -> impl Fn(&str) -> Result<Duration, Advice> {
    move |text| {
        text.parse::<jiff::SignedDuration>()
            .ok()
            .and_then(|signed| Duration::try_from(signed).ok())
            .filter(|duration| (min..=max).contains(duration))
            .ok_or_else(|| format!("write a duration from {} to {}, such as 30s, 10m or 1h30m", brief(min), brief(max)))
    }
}

fn brief(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (duration.subsec_millis(), seconds % 3600, seconds % 60) {
        (0, 0, _) if seconds > 0 => format!("{}h", seconds / 3600),
        (0, _, 0) if seconds > 0 => format!("{}m", seconds / 60),
        (0, _, _) => format!("{seconds}s"),
        _ => format!("{}ms", duration.as_millis()),
    }
}

/// A whole number between two others.
pub(super) fn number(min: u32, max: u32) -> impl Fn(&str) -> Result<u32, Advice> {
    move |text| {
        text.parse()
            .ok()
            .filter(|number| (min..=max).contains(number))
            .ok_or_else(|| format!("write a whole number from {min} to {max}"))
    }
}

/// On or off.
pub(super) fn switch(text: &str) -> Result<bool, Advice> {
    text.parse().map_err(|_| "write true or false".to_owned())
}
