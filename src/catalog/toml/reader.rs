//! A walk over a TOML document that reports every mistake with its place, and goes on.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

/// Something in a catalog file that has to be changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    pub file: String,
    /// Counted from 1; 0 when the whole file is meant.
    pub line: usize,
    /// In characters, counted from 1; 0 when the whole file is meant.
    pub column: usize,
    /// The key, such as `rule.grant[0].account`; empty for a mistake of syntax.
    pub key: String,
    /// What is wrong and what to write.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// One file of a catalog, in memory.
#[derive(Debug)]
pub(super) struct File<'s> {
    name: &'s str,
    text: &'s str,
    line_starts: Vec<usize>,
}

impl<'s> File<'s> {
    pub(super) fn new(name: &'s str, text: &'s str) -> Self {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { name, text, line_starts }
    }

    /// Line and column, both from 1.
    fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts[line.saturating_sub(1)];
        let before = self.text.get(start..offset).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    fn mistake(&self, span: &Range<usize>, key: &str, message: String) -> Mistake {
        let (line, column) = self.position(span.start);
        Mistake { file: self.name.to_owned(), line, column, key: without_first_index(key), message }
    }
}

/// `rule[3].grant[0].role` → `rule.grant[0].role`: the line says which rule, a count over all files would not.
fn without_first_index(path: &str) -> String {
    match (path.find('['), path.find(']')) {
        (Some(open), Some(close)) if open < close && !path[..open].contains('.') => {
            format!("{}{}", &path[..open], &path[close + 1..])
        }
        _ => path.to_owned(),
    }
}

/// Everything learnt while reading: the mistakes, and where each key stands.
#[derive(Debug, Default)]
pub(super) struct Log<'s> {
    files: Vec<File<'s>>,
    mistakes: RefCell<Vec<Mistake>>,
    places: RefCell<HashMap<String, (usize, Range<usize>)>>,
    /// The file being read has broken syntax, so what seems to be missing may only be unreadable.
    broken: Cell<bool>,
    any_broken: Cell<bool>,
    syntax_lines: RefCell<Vec<(String, usize)>>,
}

impl<'s> Log<'s> {
    pub(super) fn new(sources: impl IntoIterator<Item = (&'s str, &'s str)>) -> Self {
        Self { files: sources.into_iter().map(|(name, text)| File::new(name, text)).collect(), ..Self::default() }
    }

    /// Parses one file; what cannot be read is reported and left out.
    pub(super) fn parse(&self, file: usize) -> Spanned<DeTable<'s>> {
        let source = &self.files[file];
        let (table, errors) = DeTable::parse_recoverable(source.text);
        self.broken.set(!errors.is_empty());
        self.any_broken.set(self.any_broken.get() || !errors.is_empty());
        for error in errors {
            let mistake = source.mistake(&error.span().unwrap_or(0..0), "", error.message().trim().to_owned());
            self.syntax_lines.borrow_mut().push((mistake.file.clone(), mistake.line));
            self.mistakes.borrow_mut().push(mistake);
        }
        table
    }

    pub(super) fn count(&self) -> usize {
        self.mistakes.borrow().len()
    }

    /// Whether some file could not be read in full, so that what refers to something absent is no mistake.
    pub(super) fn any_broken(&self) -> bool {
        self.any_broken.get()
    }

    /// The mistake at a path, or at the nearest one around it that stands in a file.
    pub(super) fn locate(&self, path: &str, message: String) -> Mistake {
        let places = self.places.borrow();
        let mut nearest = path;
        loop {
            if let Some((file, span)) = places.get(nearest) {
                return self.files[*file].mistake(span, path, message);
            }
            match nearest.rfind(['.', '[']) {
                Some(at) => nearest = &nearest[..at],
                None => {
                    let file = self.files.first().map_or("", |file| file.name).to_owned();
                    return Mistake { file, line: 0, column: 0, key: without_first_index(path), message };
                }
            }
        }
    }

    pub(super) fn add(&self, path: &str, message: String) {
        let mistake = self.locate(path, message);
        self.mistakes.borrow_mut().push(mistake);
    }

    /// The mistakes, in the order of the files and lines; what stands on a line with broken syntax is left out.
    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        let order: HashMap<&str, usize> = self.files.iter().enumerate().map(|(at, file)| (file.name, at)).collect();
        let syntax = self.syntax_lines.into_inner();
        let mut mistakes = self.mistakes.into_inner();
        mistakes.retain(|m| m.key.is_empty() || !syntax.iter().any(|(file, line)| *file == m.file && *line == m.line));
        mistakes.sort_by_key(|m| (order.get(m.file.as_str()).copied(), m.line, m.column));
        mistakes.dedup();
        mistakes
    }
}

/// A value, and where it stands.
#[derive(Clone)]
pub(super) struct Item<'a, 's> {
    log: &'a Log<'s>,
    file: usize,
    path: String,
    span: Range<usize>,
    value: &'a DeValue<'s>,
}

impl<'a, 's> Item<'a, 's> {
    fn new(log: &'a Log<'s>, file: usize, path: String, spanned: &'a Spanned<DeValue<'s>>) -> Self {
        log.places.borrow_mut().insert(path.clone(), (file, spanned.span()));
        Self { log, file, path, span: spanned.span(), value: spanned.get_ref() }
    }

    pub(super) fn value(&self) -> &'a DeValue<'s> {
        self.value
    }

    pub(super) fn fail(&self, message: impl Into<String>) {
        self.log.add(&self.path, message.into());
    }

    fn wrong_type(&self, wanted: &str) {
        let article = if self.value.type_str().starts_with(['a', 'i']) { "an" } else { "a" };
        self.fail(format!("this is {article} {}; write {wanted}", self.value.type_str()));
    }

    pub(super) fn text(&self) -> Option<String> {
        let text = self.value.as_str().map(str::to_owned);
        if text.is_none() {
            self.wrong_type("text in quotes");
        }
        text
    }

    /// Text that is not blank.
    pub(super) fn filled_text(&self) -> Option<String> {
        let text = self.text()?;
        if text.trim().is_empty() {
            self.fail("the text is empty; leave the key out or write something");
            return None;
        }
        Some(text)
    }

    /// Text that a type understands; the type says what is wrong with it otherwise.
    pub(super) fn parsed<T: FromStr<Err: fmt::Display>>(&self) -> Option<T> {
        match self.text()?.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.fail(error.to_string());
                None
            }
        }
    }

    /// What the key of this value means, in a table whose keys are free.
    pub(super) fn parse_key<T: FromStr<Err: fmt::Display>>(&self, key: &str) -> Option<T> {
        key.parse().map_err(|error: T::Err| self.fail(error.to_string())).ok()
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        let value = self.value.as_bool();
        if value.is_none() {
            self.wrong_type("true or false, without quotes");
        }
        value
    }

    /// A length of time in seconds: a whole number of seconds, or text such as `90m`, `12h`, `1h30m`, `7d`.
    pub(super) fn seconds(&self) -> Option<u64> {
        const HOW: &str = "a length of time such as \"90m\", \"12h\" or 3600 (seconds)";
        match self.value {
            DeValue::Integer(number) => {
                let seconds = u64::from_str_radix(number.as_str(), number.radix()).ok();
                if seconds.is_none() {
                    self.fail(format!("`{number}` is no length of time; write {HOW}"));
                }
                seconds
            }
            DeValue::String(text) => {
                let seconds = length_of_time(text);
                if seconds.is_none() {
                    self.fail(format!("`{text}` is no length of time; write {HOW}"));
                }
                seconds
            }
            _ => {
                self.wrong_type(HOW);
                None
            }
        }
    }

    fn elements(&self, array: &'a [Spanned<DeValue<'s>>]) -> Vec<Self> {
        let element = |(at, value)| Self::new(self.log, self.file, format!("{}[{at}]", self.path), value);
        array.iter().enumerate().map(element).collect()
    }

    /// The elements of an array; anything else is treated as an array of one.
    pub(super) fn wrapped(&self) -> Vec<Self> {
        match self.value.as_array() {
            Some(array) => self.elements(array),
            None => vec![Self { path: format!("{}[0]", self.path), ..self.clone() }],
        }
    }

    /// The elements of an array, or the one value by itself.
    pub(super) fn one_or_list(&self) -> Vec<Self> {
        match self.value.as_array() {
            Some(array) => self.elements(array),
            None => vec![self.clone()],
        }
    }

    /// The keys of a table; `wanted` says what to write instead of anything else.
    pub(super) fn keys(&self, wanted: &str) -> Option<Keys<'a, 's>> {
        let Some(table) = self.value.as_table() else {
            self.wrong_type(wanted);
            return None;
        };
        self.log.places.borrow_mut().entry(self.path.clone()).or_insert((self.file, self.span.clone()));
        Some(Keys { log: self.log, file: self.file, path: self.path.clone(), table, asked: RefCell::default() })
    }
}

fn length_of_time(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut seconds: u64 = 0;
    let mut smallest = u64::MAX;
    if !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()) {
        return rest.parse().ok();
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let unit = match after.chars().next()? {
            'd' => 86_400,
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        if unit >= smallest {
            return None;
        }
        smallest = unit;
        seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = &after[1..];
    }
    (smallest != u64::MAX).then_some(seconds)
}

/// The keys of a table, which remembers what was asked for, so that it can report the rest.
pub(super) struct Keys<'a, 's> {
    log: &'a Log<'s>,
    file: usize,
    path: String,
    table: &'a DeTable<'s>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a, 's> Keys<'a, 's> {
    /// The top of a file.
    pub(super) fn of_document(log: &'a Log<'s>, file: usize, table: &'a DeTable<'s>) -> Self {
        Self { log, file, path: String::new(), table, asked: RefCell::default() }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn get(&self, key: &'static str) -> Option<Item<'a, 's>> {
        self.asked.borrow_mut().push(key);
        let value = self.table.get(key)?;
        Some(Item::new(self.log, self.file, self.path_of(key), value))
    }

    pub(super) fn has(&self, key: &'static str) -> bool {
        self.asked.borrow_mut().push(key);
        self.table.contains_key(key)
    }

    /// A key that must be there; `how` is what to write when it is not.
    pub(super) fn required(&self, key: &'static str, how: &str) -> Option<Item<'a, 's>> {
        let item = self.get(key);
        if item.is_none() {
            self.missing(key, how);
        }
        item
    }

    /// Reports a key that must be there and is not.
    pub(super) fn missing(&self, key: &str, how: &str) {
        if !self.log.broken.get() {
            self.log.add(&self.path_of(key), format!("the key is missing; write {how}"));
        }
    }

    pub(super) fn fail(&self, message: impl Into<String>) {
        self.log.add(&self.path, message.into());
    }

    pub(super) fn boolean(&self, key: &'static str, default: bool) -> bool {
        self.get(key).and_then(|item| item.boolean()).unwrap_or(default)
    }

    /// Elements of a list of tables at the top of a file, numbered on from `first` over all files.
    pub(super) fn tables(&self, key: &'static str, first: usize) -> Vec<Item<'a, 's>> {
        self.asked.borrow_mut().push(key);
        let Some(value) = self.table.get(key) else { return Vec::new() };
        match value.get_ref().as_array() {
            Some(array) => array
                .iter()
                .enumerate()
                .map(|(at, value)| Item::new(self.log, self.file, format!("{key}[{}]", first + at), value))
                .collect(),
            None => {
                Item::new(self.log, self.file, key.to_owned(), value)
                    .fail(format!("there can be several; begin each with [[{key}]] in double brackets"));
                Vec::new()
            }
        }
    }

    /// All keys of a table whose keys are free, each with its value.
    pub(super) fn all(&self) -> Vec<(&'a str, Item<'a, 's>)> {
        self.table
            .iter()
            .map(|(key, value)| {
                let key: &'a str = key.get_ref();
                (key, Item::new(self.log, self.file, self.path_of(key), value))
            })
            .collect()
    }

    /// Reports the keys nobody asked for.
    pub(super) fn finish(&self) {
        let asked = self.asked.borrow();
        for (key, _) in self.table.iter().filter(|(key, _)| !asked.contains(&key.get_ref().as_ref())) {
            let path = self.path_of(key.get_ref());
            self.log.places.borrow_mut().insert(path.clone(), (self.file, key.span()));
            let message = match nearest(key.get_ref(), asked.iter().copied()) {
                Some(near) => format!("there is no such key; did you mean `{near}`?"),
                None => format!("there is no such key; the keys here are {}", sorted(&asked)),
            };
            self.log.add(&path, message);
        }
    }
}

fn sorted(names: &[&str]) -> String {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

/// The candidate somebody probably meant, if one is near enough.
pub(crate) fn nearest<'c>(typed: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(typed, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}
