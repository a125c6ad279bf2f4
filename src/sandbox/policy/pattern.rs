//! Values of a policy: wildcards, `${variables}`, and ARNs.

use super::{Context, ContextValue};

/// One step of matching after variables are filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    Char(char),
    /// `?`
    One,
    /// `*`
    Run,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// Text of the policy's author, in which `*` and `?` may be wildcards.
    Text(String),
    /// `${*}`, `${?}`, `${$}`: the character itself.
    Literal(char),
    /// `${key}` or `${key, 'default'}`.
    Variable { key: String, default: Option<String> },
}

/// A value with its variables not filled in yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

impl Template {
    /// Text in which `${` means nothing, as in policies of version 2008-10-17.
    pub fn plain(text: &str) -> Self {
        Self(vec![Piece::Text(text.to_owned())])
    }

    /// Text with variables; `None` when a `${` is not closed or names nothing.
    pub fn with_variables(text: &str) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let (inside, behind) = after.split_once('}')?;
            pieces.push(match inside {
                "*" => Piece::Literal('*'),
                "?" => Piece::Literal('?'),
                "$" => Piece::Literal('$'),
                _ => variable(inside)?,
            });
            rest = behind;
        }
        if !rest.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Some(Self(pieces))
    }

    /// Fills in the variables; `None` when one has no single value and no default.
    pub fn resolve(&self, context: &Context) -> Option<Vec<Token>> {
        let mut tokens = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => tokens.extend(text.chars().map(|c| match c {
                    '*' => Token::Run,
                    '?' => Token::One,
                    c => Token::Char(c),
                })),
                Piece::Literal(c) => tokens.push(Token::Char(*c)),
                Piece::Variable { key, default } => {
                    let value = match context.get(key) {
                        Some(ContextValue::One(value)) => value,
                        _ => default.as_ref()?,
                    };
                    // A tag somebody may choose must not act as a wildcard.
                    tokens.extend(value.chars().map(Token::Char));
                }
            }
        }
        Some(tokens)
    }
}

fn variable(inside: &str) -> Option<Piece> {
    let (key, default) = match inside.split_once(',') {
        None => (inside.trim(), None),
        Some((key, default)) => {
            let text = default.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            (key.trim(), Some(text.to_owned()))
        }
    };
    (!key.is_empty()).then(|| Piece::Variable { key: key.to_owned(), default })
}

/// The text the tokens stand for when wildcards mean themselves.
pub fn literal(tokens: &[Token]) -> String {
    tokens
        .iter()
        .map(|token| match token {
            Token::Char(c) => *c,
            Token::One => '?',
            Token::Run => '*',
        })
        .collect()
}

/// Whether the whole `text` matches.
///
/// Takes at most `tokens × text` steps: on a mismatch only the last `*` is widened.
pub fn matches(tokens: &[Token], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut t, mut p) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match tokens.get(p) {
            Some(Token::Run) => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(Token::One) => {
                p += 1;
                t += 1;
            }
            Some(Token::Char(c)) if *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match &mut retry {
                Some((after, from)) => {
                    *from += 1;
                    t = *from;
                    p = *after;
                }
                None => return false,
            },
        }
    }
    tokens[p..].iter().all(|token| *token == Token::Run)
}

/// `pattern` with `*` and `?`, and nothing else special.
pub fn glob(pattern: &str, text: &str) -> bool {
    let tokens: Vec<Token> = pattern
        .chars()
        .map(|c| match c {
            '*' => Token::Run,
            '?' => Token::One,
            c => Token::Char(c),
        })
        .collect();
    matches(&tokens, text)
}

/// An ARN with all six parts: `arn:aws:sqs` means `arn:aws:sqs:*:*:*`.
pub fn completed_arn(text: &str) -> String {
    let missing = if text == "*" { 0 } else { 5_usize.saturating_sub(text.bytes().filter(|b| *b == b':').count()) };
    format!("{text}{}", ":*".repeat(missing))
}

/// ARNs match part by part: a wildcard never crosses one of the first five colons.
pub fn arn_matches(tokens: &[Token], arn: &str) -> bool {
    if tokens == [Token::Run] {
        return true;
    }
    let pattern: Vec<&[Token]> = tokens.splitn(6, |token| *token == Token::Char(':')).collect();
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    pattern.len() == 6 && parts.len() == 6 && pattern.iter().zip(parts).all(|(tokens, part)| matches(tokens, part))
}
