//! One pass over the bytes, before any XML parser: plain markup only, and little enough of it.
//!
//! This is not a parser. It knows tags, attributes and quotes well enough to count them and to refuse the constructs on
//! which parsers differ; whether the document is well-formed is for `roxmltree` to say.

use std::collections::HashSet;

use super::{GateError, Limits};

/// Who wrote the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// A program, for us: elements, attributes and text.
    Message,
    /// Perhaps a person: comments and processing instructions are skipped.
    HandWritten,
}

/// Takes the byte-order mark, the XML declaration and white space off, so that nothing behind can claim another encoding.
pub(super) fn prolog(bytes: &[u8]) -> Result<&str, GateError> {
    match bytes {
        [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] | [0, ..] | [_, 0, ..] => {
            return Err(GateError::Encoding("it looks like UTF-16 or UTF-32"));
        }
        _ => {}
    }
    let text = std::str::from_utf8(bytes).map_err(|_| GateError::Encoding("some bytes are not"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let body = match text.strip_prefix("<?xml") {
        Some(rest) if rest.starts_with([' ', '\t', '\r', '\n']) => {
            let (declaration, body) = rest.split_once("?>").ok_or(GateError::Lexical { at: 0 })?;
            check_declaration(declaration)?;
            body
        }
        _ => text,
    };
    Ok(super::trimmed(body))
}

/// `version` 1.0, then perhaps `encoding` UTF-8, then perhaps `standalone`; quotes of either kind.
fn check_declaration(declaration: &str) -> Result<(), GateError> {
    let mut rest = super::trimmed(declaration);
    let mut seen = Vec::new();
    while !rest.is_empty() {
        let malformed = GateError::Lexical { at: 0 };
        let Some((name, after)) = rest.split_once('=') else { return Err(malformed) };
        let after = super::trimmed(after);
        let Some(quote) = after.chars().next().filter(|c| matches!(c, '"' | '\'')) else { return Err(malformed) };
        let Some((value, after)) = after.get(1..).and_then(|value| value.split_once(quote)) else {
            return Err(malformed);
        };
        let name = super::trimmed(name);
        match name {
            "version" if value == "1.0" && seen.is_empty() => {}
            "encoding" if !value.eq_ignore_ascii_case("utf-8") => {
                return Err(GateError::Encoding("its XML declaration says otherwise"));
            }
            "encoding" if seen == ["version"] => {}
            "standalone" if matches!(value, "yes" | "no") && seen.first() == Some(&"version") => {}
            _ => return Err(malformed),
        }
        if seen.contains(&name) {
            return Err(malformed);
        }
        seen.push(name);
        rest = super::trimmed(after);
    }
    if seen.is_empty() { Err(GateError::Lexical { at: 0 }) } else { Ok(()) }
}

/// Walks all tags once.
pub(super) fn scan(text: &str, limits: &Limits, style: Style) -> Result<(), GateError> {
    let mut scanner = Scanner { text, bytes: text.as_bytes(), limits, style, at: 0, declared: HashSet::new() };
    scanner.run()
}

struct Scanner<'t, 'l> {
    text: &'t str,
    bytes: &'t [u8],
    limits: &'l Limits,
    style: Style,
    at: usize,
    /// Every different namespace declaration, as written.
    declared: HashSet<&'t str>,
}

impl Scanner<'_, '_> {
    fn run(&mut self) -> Result<(), GateError> {
        let mut elements = 0;
        // For each open element, the namespace declarations in scope.
        let mut open: Vec<usize> = Vec::new();
        while let Some(next) = self.text[self.at..].find('<') {
            self.at += next + 1;
            match self.peek() {
                Some(b'!') => self.declaration()?,
                Some(b'?') if self.style == Style::HandWritten => self.skip_past("?>")?,
                Some(b'?') => return Err(GateError::ProcessingInstruction),
                Some(b'/') => {
                    self.skip_past(">")?;
                    if open.pop().is_none() {
                        return Err(self.lexical());
                    }
                }
                _ => {
                    elements += 1;
                    if elements > self.limits.elements {
                        return Err(GateError::TooManyElements(self.limits.elements));
                    }
                    if open.len() >= self.limits.depth {
                        return Err(GateError::TooDeep(self.limits.depth));
                    }
                    let (declared_here, empty) = self.start_tag()?;
                    let in_scope = open.last().copied().unwrap_or(0) + declared_here;
                    if in_scope > self.limits.namespaces {
                        return Err(GateError::TooManyNamespaces(self.limits.namespaces));
                    }
                    if !empty {
                        open.push(in_scope);
                    }
                }
            }
        }
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn lexical(&self) -> GateError {
        GateError::Lexical { at: self.at }
    }

    fn skip_past(&mut self, end: &str) -> Result<(), GateError> {
        let found = self.text.get(self.at..).and_then(|rest| rest.find(end)).ok_or_else(|| self.lexical())?;
        self.at += found + end.len();
        Ok(())
    }

    fn declaration(&mut self) -> Result<(), GateError> {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(b"!--") {
            if self.style == Style::Message {
                return Err(GateError::Comment);
            }
            self.at += 3;
            return self.skip_past("-->");
        }
        if rest.starts_with(b"![CDATA[") { Err(GateError::Cdata) } else { Err(GateError::Doctype) }
    }

    /// From behind `<` to behind `>`: how many namespaces it declares, and whether the element is empty.
    fn start_tag(&mut self) -> Result<(usize, bool), GateError> {
        self.name()?;
        let mut attributes = 0;
        let mut namespaces = 0;
        loop {
            let spaced = self.skip_space();
            match self.peek() {
                Some(b'>') => {
                    self.at += 1;
                    return Ok((namespaces, false));
                }
                Some(b'/') if self.bytes.get(self.at + 1) == Some(&b'>') => {
                    self.at += 2;
                    return Ok((namespaces, true));
                }
                Some(_) if spaced => {
                    attributes += 1;
                    if attributes > self.limits.attributes {
                        return Err(GateError::TooManyAttributes(self.limits.attributes));
                    }
                    namespaces += usize::from(self.attribute()?);
                }
                _ => return Err(self.lexical()),
            }
        }
    }

    /// Whether it declares a namespace.
    fn attribute(&mut self) -> Result<bool, GateError> {
        let start = self.at;
        let name = self.name()?;
        let name = &self.text[name.0..name.1];
        self.skip_space();
        if self.peek() != Some(b'=') {
            return Err(self.lexical());
        }
        self.at += 1;
        self.skip_space();
        let quote = match self.peek() {
            Some(b'"') => "\"",
            Some(b'\'') => "'",
            _ => return Err(self.lexical()),
        };
        self.at += 1;
        let value_start = self.at;
        self.skip_past(quote)?;
        let value = &self.text[value_start..self.at - 1];
        if value.contains('<') {
            return Err(self.lexical());
        }
        let prefix = match name.split_once(':') {
            None if name == "xmlns" => "",
            Some(("xmlns", prefix)) => prefix,
            // xml:id makes another kind of ID, xml:base moves references.
            Some(("xml", local)) if self.style == Style::Message && !matches!(local, "lang" | "space") => {
                return Err(GateError::XmlAttribute(crate::saml::names::excerpt(local)));
            }
            _ => return Ok(false),
        };
        // `xmlns=""` takes the default namespace away, which canonical XML writes where it must.
        let acceptable = is_absolute(value) || (prefix.is_empty() && value.is_empty());
        if self.style == Style::Message && !acceptable {
            return Err(GateError::Namespace { at: start });
        }
        self.declared.insert(&self.text[start..self.at]);
        if self.declared.len() > self.limits.namespaces {
            return Err(GateError::TooManyNamespaces(self.limits.namespaces));
        }
        Ok(true)
    }

    /// An ASCII QName. XML allows far more, in ways that changed between its editions; SAML needs no more.
    fn name(&mut self) -> Result<(usize, usize), GateError> {
        let start = self.at;
        let mut at_part_start = true;
        let mut colons = 0;
        while let Some(byte) = self.peek() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'_' => at_part_start = false,
                b'0'..=b'9' | b'-' | b'.' if !at_part_start => {}
                b':' if !at_part_start && colons == 0 => {
                    colons = 1;
                    at_part_start = true;
                }
                b' ' | b'\t' | b'\r' | b'\n' | b'=' | b'>' | b'/' => break,
                _ => return Err(GateError::Name { at: start }),
            }
            self.at += 1;
        }
        if at_part_start { Err(GateError::Name { at: start }) } else { Ok((start, self.at)) }
    }

    fn skip_space(&mut self) -> bool {
        let start = self.at;
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.at > start
    }
}

/// A URI with a scheme, without anything that needs escaping. Relative namespaces make canonicalization fail, and a
/// failed canonicalization is an empty one to some.
fn is_absolute(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        && !rest.is_empty()
        && rest.bytes().all(|b| {
            b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | b'&')
        })
}
