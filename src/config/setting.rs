//! The table of settings: one row says what a key is called and what holds when nobody sets it.

/// One setting: its key, and what is true when it is not set.
#[derive(Debug)]
pub struct Setting {
    /// The key as the settings file writes it, section first: `session.idle_timeout`.
    pub key: &'static str,
    pub unset: Unset,
    /// Never shown, never quoted; may be read from a file named by `<key>_file` instead.
    pub secret: bool,
}

/// What holds when a setting is not set.
#[derive(Debug, Clone, Copy)]
pub enum Unset {
    /// This value, written as it would be typed.
    Default(&'static str),
    /// A value made from others; the words say which.
    Computed(&'static str),
    /// No value; the words say what happens then.
    Nothing(&'static str),
}

impl Setting {
    pub(super) const fn new(key: &'static str, default: &'static str) -> Self {
        Self { key, unset: Unset::Default(default), secret: false }
    }

    pub(super) const fn computed(key: &'static str, from: &'static str) -> Self {
        Self { key, unset: Unset::Computed(from), secret: false }
    }

    pub(super) const fn optional(key: &'static str, without: &'static str) -> Self {
        Self { key, unset: Unset::Nothing(without), secret: false }
    }

    pub(super) const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// The variable that sets it: `ROLEGATE_SESSION_IDLE_TIMEOUT`.
    #[must_use]
    pub fn variable(&self) -> String {
        variable(self.key)
    }

    /// The key that names a file with the value, for a secret.
    #[must_use]
    pub fn file_key(&self) -> Option<String> {
        self.secret.then(|| format!("{}_file", self.key))
    }
}

pub(super) fn variable(key: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", key.to_ascii_uppercase().replace('.', "_"))
}

pub(super) const VARIABLE_PREFIX: &str = "ROLEGATE_";
