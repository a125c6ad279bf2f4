//! What a value is compared with: exact text, globs and regular expressions.

use std::fmt;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

/// Longer patterns are refused: nobody can review them.
const MAX_LEN: usize = 1_000;

/// A bound on one compiled pattern, in bytes: room for `[\w+=,.@-]{1,64}`, whose `\w` is all of Unicode. Matching takes time in proportion to pattern and value, never more.
const SIZE_LIMIT: usize = 6 << 20;

/// One way a value can match. Always the whole value, always case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// This text and no other.
    Exact(String),
    /// `*` stands for any run of characters, `?` for one.
    Glob(Glob),
    /// A regular expression, whose named groups can fill a grant.
    Matches(Expression),
}

impl Pattern {
    /// Whether the whole value matches.
    #[must_use]
    pub fn is_match(&self, value: &str) -> bool {
        match self {
            Self::Exact(text) => text == value,
            Self::Glob(glob) => glob.0.regex.is_match(value),
            Self::Matches(expression) => expression.0.regex.is_match(value),
        }
    }

    /// The compiled form, where there is one.
    #[must_use]
    pub fn regex(&self) -> Option<&Regex> {
        match self {
            Self::Exact(_) => None,
            Self::Glob(Glob(compiled)) | Self::Matches(Expression(compiled)) => Some(&compiled.regex),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => write!(f, "`{text}`"),
            Self::Glob(glob) => write!(f, "glob `{}`", glob.as_str()),
            Self::Matches(expression) => write!(f, "expression `{}`", expression.as_str()),
        }
    }
}

/// A pattern as it was written, beside its compiled, anchored form.
#[derive(Debug, Clone)]
struct Compiled {
    text: String,
    regex: Regex,
}

/// Text in which `*` stands for any run of characters and `?` for exactly one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Glob(Compiled);

/// A regular expression in the syntax of the `regex` crate, which has no backtracking.
///
/// It has to match the whole value: an expression that forgets `^` and `$` does not let `not-aws-admin-really` in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expression(Compiled);

/// The pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    #[error("the pattern is empty, so it could only match an empty value")]
    Empty,
    #[error("the pattern is longer than {MAX_LEN} characters; split it into several")]
    TooLong,
    #[error("`{text}` is no regular expression: {why} (at character {at})")]
    Syntax { text: String, why: String, at: usize },
    #[error("`{0}` is too large once compiled; use smaller repeat counts, or [0-9A-Za-z] instead of \\w")]
    TooLarge(String),
}

impl Glob {
    /// # Errors
    /// [`InvalidPattern`]: empty, or too long.
    pub fn new(text: &str) -> Result<Self, InvalidPattern> {
        check_len(text)?;
        let mut expression = String::from("(?s)");
        let mut buffer = [0; 4];
        for c in text.chars() {
            match c {
                '*' => expression.push_str(".*"),
                '?' => expression.push('.'),
                c => expression.push_str(&regex::escape(c.encode_utf8(&mut buffer))),
            }
        }
        Ok(Self(Compiled { text: text.to_owned(), regex: anchored(&expression, text)? }))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }
}

impl Expression {
    /// # Errors
    /// [`InvalidPattern`]: empty, too long, not an expression, or too large once compiled.
    pub fn new(text: &str) -> Result<Self, InvalidPattern> {
        check_len(text)?;
        // Parsed by itself first: `a)|(b` is no expression, though it would become one between our brackets.
        if let Err(error) = regex_syntax::Parser::new().parse(text) {
            return Err(syntax_error(text, &error));
        }
        Ok(Self(Compiled { text: text.to_owned(), regex: anchored(text, text)? }))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The names of its named groups.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.0.regex.capture_names().flatten()
    }
}

fn check_len(text: &str) -> Result<(), InvalidPattern> {
    match text.chars().count() {
        0 => Err(InvalidPattern::Empty),
        n if n > MAX_LEN => Err(InvalidPattern::TooLong),
        _ => Ok(()),
    }
}

fn anchored(expression: &str, written: &str) -> Result<Regex, InvalidPattern> {
    // The line break ends a comment in (?x) mode, where white space means nothing; elsewhere it must not be added.
    let commented = expression.contains("(?x") || expression.contains("x)");
    let wrapped = |end: &str| {
        RegexBuilder::new(&format!(r"\A(?:{expression}{end})\z")).size_limit(SIZE_LIMIT).nest_limit(50).build()
    };
    let built = match wrapped("") {
        Err(regex::Error::Syntax(_)) if commented => wrapped("\n"),
        built => built,
    };
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => InvalidPattern::TooLarge(written.to_owned()),
        _ => InvalidPattern::Syntax {
            text: written.to_owned(),
            why: "it cannot be anchored to the whole value, or is nested too deeply".to_owned(),
            at: 1,
        },
    })
}

fn syntax_error(text: &str, error: &regex_syntax::Error) -> InvalidPattern {
    let (why, offset) = match error {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), error.span().start.offset),
        regex_syntax::Error::Translate(error) => (error.kind().to_string(), error.span().start.offset),
        _ => ("it cannot be understood".to_owned(), 0),
    };
    let at = text.get(..offset).map_or(1, |before| before.chars().count() + 1);
    InvalidPattern::Syntax { text: text.to_owned(), why, at }
}

macro_rules! pattern_type {
    ($($name:ident),+) => {$(
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.as_str() == other.as_str()
            }
        }
        impl Eq for $name {}
        impl TryFrom<String> for $name {
            type Error = InvalidPattern;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::new(&text)
            }
        }
        impl From<$name> for String {
            fn from(pattern: $name) -> Self {
                pattern.0.text
            }
        }
    )+};
}
pattern_type!(Glob, Expression);
