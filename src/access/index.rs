//! Which conditions a value meets, without trying every pattern on it.
//!
//! Exact texts are looked up. A glob or expression is filed under the text all its matches begin or end with, and is
//! tried only on values that do; those filed under the same text are tried together.

use std::collections::{BTreeSet, HashMap};

use regex::{Regex, RegexSet, RegexSetBuilder};
use regex_syntax::hir::literal::{ExtractKind, Extractor};

use crate::catalog::Pattern;

/// The position of a condition in the policy.
pub(super) type ConditionId = u32;

/// So many patterns are tried together. More would make the combined automaton grow without making it faster.
const TOGETHER: usize = 32;
/// Below this, trying one after the other is as fast.
const WORTH_COMBINING: usize = 4;
/// A bound on what is compiled together; beyond it the patterns are tried one by one.
const COMBINED_SIZE_LIMIT: usize = 32 << 20;

/// The conditions on one attribute.
#[derive(Debug, Default)]
pub(super) struct Index {
    exact: HashMap<String, Vec<ConditionId>>,
    patterns: Vec<Entry>,
    by_pattern: HashMap<String, usize>,
    prefixes: Shelf,
    suffixes: Shelf,
}

#[derive(Debug)]
struct Entry {
    regex: Regex,
    conditions: Vec<ConditionId>,
}

impl Index {
    pub(super) fn add(&mut self, pattern: &Pattern, condition: ConditionId) {
        let Some(regex) = pattern.regex() else {
            if let Pattern::Exact(text) = pattern {
                self.exact.entry(text.clone()).or_default().push(condition);
            }
            return;
        };
        // Rules often repeat a pattern; it is tried once for all of them.
        let patterns = &mut self.patterns;
        let at = *self.by_pattern.entry(regex.as_str().to_owned()).or_insert_with(|| {
            patterns.push(Entry { regex: regex.clone(), conditions: Vec::new() });
            patterns.len() - 1
        });
        self.patterns[at].conditions.push(condition);
    }

    /// Files the patterns; to be called once, after the last `add`.
    pub(super) fn finish(&mut self) {
        for (at, entry) in self.patterns.iter().enumerate() {
            let (prefix, suffix) = fixed_ends(entry.regex.as_str());
            if suffix.len() > prefix.len() {
                self.suffixes.file(suffix, at);
            } else {
                self.prefixes.file(prefix, at);
            }
        }
        self.by_pattern = HashMap::new();
        self.prefixes.finish(&self.patterns);
        self.suffixes.finish(&self.patterns);
    }

    /// Calls `met` for each condition the value meets, with the pattern it met it by, where that is not exact text.
    pub(super) fn look_up<'s>(&'s self, value: &str, mut met: impl FnMut(ConditionId, Option<&'s Regex>)) {
        for condition in self.exact.get(value).into_iter().flatten() {
            met(*condition, None);
        }
        let bytes = value.as_bytes();
        let mut found = |at: usize| {
            let entry = &self.patterns[at];
            for condition in &entry.conditions {
                met(*condition, Some(&entry.regex));
            }
        };
        for length in self.prefixes.lengths(bytes) {
            self.prefixes.try_box(&bytes[..length], value, &self.patterns, &mut found);
        }
        for length in self.suffixes.lengths(bytes) {
            self.suffixes.try_box(&bytes[bytes.len() - length..], value, &self.patterns, &mut found);
        }
    }
}

/// The text every match begins with and the one every match ends with; empty where there is none.
fn fixed_ends(expression: &str) -> (Vec<u8>, Vec<u8>) {
    let Ok(parsed) = regex_syntax::Parser::new().parse(expression) else { return Default::default() };
    let prefixes = Extractor::new().kind(ExtractKind::Prefix).extract(&parsed);
    let suffixes = Extractor::new().kind(ExtractKind::Suffix).extract(&parsed);
    (
        prefixes.longest_common_prefix().unwrap_or_default().to_vec(),
        suffixes.longest_common_suffix().unwrap_or_default().to_vec(),
    )
}

/// Patterns filed under a text.
#[derive(Debug, Default)]
struct Shelf {
    boxes: HashMap<Vec<u8>, Filed>,
    /// The lengths of the texts there are, ascending.
    lengths: Vec<usize>,
}

/// What is filed under one text.
#[derive(Debug, Default)]
struct Filed {
    patterns: Vec<usize>,
    /// The same patterns, combined by [`TOGETHER`]; empty where that is not worth it or too large.
    combined: Vec<RegexSet>,
}

impl Shelf {
    fn file(&mut self, text: Vec<u8>, pattern: usize) {
        self.boxes.entry(text).or_default().patterns.push(pattern);
    }

    fn finish(&mut self, patterns: &[Entry]) {
        let lengths: BTreeSet<usize> = self.boxes.keys().map(Vec::len).collect();
        self.lengths = lengths.into_iter().collect();
        for filed in self.boxes.values_mut().filter(|filed| filed.patterns.len() >= WORTH_COMBINING) {
            let combine = |chunk: &[usize]| {
                RegexSetBuilder::new(chunk.iter().map(|at| patterns[*at].regex.as_str()))
                    .size_limit(COMBINED_SIZE_LIMIT)
                    .build()
            };
            filed.combined = filed.patterns.chunks(TOGETHER).map(combine).collect::<Result<_, _>>().unwrap_or_default();
        }
    }

    /// The lengths worth looking up for a value.
    fn lengths<'s>(&'s self, value: &[u8]) -> impl Iterator<Item = usize> + use<'s> {
        let longest = value.len();
        self.lengths.iter().copied().take_while(move |length| *length <= longest)
    }

    fn try_box(&self, text: &[u8], value: &str, patterns: &[Entry], found: &mut impl FnMut(usize)) {
        let Some(filed) = self.boxes.get(text) else { return };
        if filed.combined.is_empty() {
            filed.patterns.iter().filter(|at| patterns[**at].regex.is_match(value)).for_each(|at| found(*at));
            return;
        }
        for (chunk, set) in filed.patterns.chunks(TOGETHER).zip(&filed.combined) {
            for hit in set.matches(value) {
                found(chunk[hit]);
            }
        }
    }
}
