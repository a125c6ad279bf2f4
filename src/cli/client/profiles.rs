//! Profiles of ours in somebody's `~/.aws/config`: put in, brought up to date and taken out, text in and text out.
//!
//! A section is ours if the line below its header says so. Every other section keeps each of its bytes, and so do
//! comments and blank lines between sections. What a person adds to a section of ours stays there as well, as long as it
//! is no setting of ours.

use std::collections::BTreeSet;
use std::fmt;

use super::server::Server;

mod sent;

pub use sent::strange_line;

/// Settings that the server writes into profiles. They are the server's also where it does not write them any more.
const OURS: [&str; 8] = [
    "sso_session",
    "sso_account_id",
    "sso_role_name",
    "sso_start_url",
    "sso_region",
    "sso_registration_scopes",
    "services",
    "credential_process",
];
/// In comments, for the way that has no settings.
const OUR_COMMENTS: &str = "# AWS_CONTAINER_";

/// A kind and a name: `profile` and `prod-ReadOnly`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SectionName {
    kind: String,
    name: String,
}

impl fmt::Display for SectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

impl SectionName {
    /// Reads a header line. Spaces and quotes make no other name, and `[default]` is a profile.
    fn parse(line: &str) -> Option<Self> {
        let inside = line.trim_start_matches('\u{feff}').strip_prefix('[')?;
        let inside = inside.get(..inside.find(']')?)?.trim();
        let (kind, name) = match inside.split_once([' ', '\t']) {
            Some((kind, name)) => (kind, name.trim()),
            None if inside == "default" => ("profile", inside),
            None => ("", inside),
        };
        let unquoted = ['"', '\''].iter().find_map(|quote| name.strip_prefix(*quote)?.strip_suffix(*quote));
        Some(Self { kind: kind.to_owned(), name: unquoted.unwrap_or(name).to_owned() })
    }

    /// The name that `--profile` takes, for a profile.
    #[must_use]
    pub fn profile(&self) -> Option<&str> {
        (self.kind == "profile").then_some(&self.name)
    }
}

/// A header with the lines up to the next one. What stands before the first header has no name.
struct Section<'a> {
    name: Option<SectionName>,
    /// With their line ends, the header first.
    lines: Vec<&'a str>,
}

fn sections(text: &str) -> Vec<Section<'_>> {
    let mut all = vec![Section { name: None, lines: Vec::new() }];
    for line in text.split_inclusive('\n') {
        let name = SectionName::parse(line);
        match (name, all.last_mut()) {
            (None, Some(last)) => last.lines.push(line),
            (name, _) => all.push(Section { name, lines: vec![line] }),
        }
    }
    all
}

/// The names of all sections, for whoever looks whether one is there.
#[must_use]
pub fn names(text: &str) -> Vec<SectionName> {
    sections(text).into_iter().filter_map(|section| section.name).collect()
}

/// What happened to a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Added(SectionName),
    Updated(SectionName),
    Removed(SectionName),
    /// Somebody else's section has the name.
    LeftAlone(SectionName),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(name) => write!(f, "+ {name}"),
            Self::Updated(name) => write!(f, "~ {name}"),
            Self::Removed(name) => write!(f, "- {name}"),
            Self::LeftAlone(name) => write!(f, "! {name}"),
        }
    }
}

/// A file with ours in it, and what is new about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    pub text: String,
    pub changes: Vec<Change>,
}

/// The line that makes a section ours.
#[must_use]
pub fn mark(server: &Server) -> String {
    format!("# kept up to date by `rolegate aws-config` from {server}")
}

/// Puts the sections of `wanted` in place of those that came from this server before.
#[must_use]
pub fn merge(existing: &str, wanted: &str, server: &Server) -> Merged {
    let mark = mark(server);
    let end =
        if existing.split_inclusive('\n').next().is_some_and(|line| line.ends_with("\r\n")) { "\r\n" } else { "\n" };
    let wanted: Vec<Section<'_>> = sections(wanted).into_iter().filter(|section| section.name.is_some()).collect();
    let existing = sections(existing);
    let is_ours = |section: &Section<'_>| section.lines.get(1).is_some_and(|line| line.trim() == mark);
    let theirs: BTreeSet<&SectionName> =
        existing.iter().filter(|section| !is_ours(section)).filter_map(|section| section.name.as_ref()).collect();

    let mut text = String::new();
    let mut changes = Vec::new();
    let mut placed = BTreeSet::new();
    for section in &existing {
        let name = section.name.as_ref().filter(|_| is_ours(section));
        let Some(name) = name else {
            text.extend(section.lines.iter().copied());
            continue;
        };
        let new = wanted.iter().find(|section| section.name.as_ref() == Some(name));
        let (own, mut tail) = own_lines(section);
        // A mark that strayed would make somebody else's section ours.
        tail.retain(|line| line.trim() != mark);
        match new.filter(|_| !theirs.contains(name) && placed.insert(name)) {
            Some(new) => {
                let written = write(section.lines[0].trim_end(), &mark, new, &own, end);
                if !same(&written, &own) {
                    changes.push(Change::Updated(name.clone()));
                }
                text.push_str(&written);
                text.extend(tail);
            }
            None => {
                changes.push(Change::Removed(name.clone()));
                // Comments below it are about what comes next.
                if tail.iter().any(|line| !line.trim().is_empty()) {
                    text.extend(tail);
                }
            }
        }
    }
    for section in &wanted {
        let Some(name) = &section.name else { continue };
        if placed.contains(name) {
            continue;
        }
        if theirs.contains(name) {
            changes.push(Change::LeftAlone(name.clone()));
            continue;
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push_str(end);
        }
        if !text.is_empty() && !text.ends_with("\n\n") && !text.ends_with("\n\r\n") {
            text.push_str(end);
        }
        text.push_str(&write(section.lines[0].trim_end(), &mark, section, &[], end));
        changes.push(Change::Added(name.clone()));
    }
    Merged { text, changes }
}

/// The lines of a section up to its last setting, and what follows them.
fn own_lines<'a>(section: &Section<'a>) -> (Vec<&'a str>, Vec<&'a str>) {
    let is_own = |line: &str| !is_blank(line) && (!is_comment(line) || line.starts_with(OUR_COMMENTS));
    let last = section.lines.iter().rposition(|line| is_own(line)).unwrap_or(0).max(1);
    let (own, tail) = section.lines.split_at((last + 1).min(section.lines.len()));
    (own.to_vec(), tail.to_vec())
}

fn is_blank(line: &str) -> bool {
    line.trim().is_empty()
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with(['#', ';'])
}

fn is_indented(line: &str) -> bool {
    line.starts_with([' ', '\t'])
}

fn key(line: &str) -> &str {
    line.split_once('=').map_or(line, |(key, _)| key).trim()
}

/// A section of ours: header, mark, what the server wants in it, and what the person added.
fn write(header: &str, mark: &str, wanted: &Section<'_>, before: &[&str], end: &str) -> String {
    let new: Vec<&str> =
        wanted.lines.iter().skip(1).map(|line| line.trim_end()).filter(|line| !line.is_empty()).collect();
    let new_keys: BTreeSet<&str> =
        new.iter().filter(|line| !is_comment(line) && !is_indented(line)).map(|line| key(line)).collect();
    // Nested settings of `services` sections: with the setting they stand below, or all of them.
    let is_services = wanted.name.as_ref().is_some_and(|name| name.kind == "services");
    let mut kept = Vec::new();
    let mut below_kept = false;
    for line in before.iter().skip(2).map(|line| line.trim_end_matches(['\r', '\n'])) {
        if is_blank(line) {
            continue;
        }
        let keep = if is_comment(line) {
            !line.starts_with(OUR_COMMENTS) && line.trim() != mark
        } else if is_indented(line) {
            below_kept
        } else {
            below_kept = !new_keys.contains(key(line)) && !OURS.contains(&key(line)) && !is_services;
            below_kept
        };
        if keep {
            kept.push(line);
        }
    }
    let lines = [header, mark].into_iter().chain(new).chain(kept);
    lines.fold(String::new(), |text, line| text + line + end)
}

/// Whether two texts say the same, line by line. A last line without an end is one all the same.
fn same(written: &str, before: &[&str]) -> bool {
    let before: Vec<&str> = before.iter().map(|line| line.trim_end_matches(['\r', '\n'])).collect();
    written.lines().eq(before)
}

#[cfg(test)]
mod tests;
