//! A catalog as TOML: one or several files read as one.
//!
//! Reading never stops at the first mistake. A file is walked to its end, whatever is wrong on the way is reported
//! with its place, and only then is the catalog assembled, whose findings are led back to the lines they come from.

mod connector;
mod method;
mod reader;
mod scope_down;
#[cfg(test)]
mod tests;
mod workload;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::toml::de::DeTable;
use jiff::Timestamp;

use self::connector::read_connector;
use self::method::{read_key, read_method};
pub use self::reader::Mistake;
pub(super) use self::reader::nearest;
use self::reader::{Item, Keys, Log};
use self::scope_down::read_scope_down;
use super::connector::MetadataSource;
use super::rule::{AccountSelector, AnyOf, Attribute, Grant, RoleSelector, Rule, TagSelector, Template};
use super::{
    Account, Catalog, Expression, Glob, Inconsistency, Link, Method, Parts, Pattern, Role, Section, Support, TagKey,
    TagSource, Tags,
};
use crate::aws::SessionDuration;
use crate::identity::Demand;
use crate::saml::metadata::IdpMetadata;

/// A file of a catalog, already read.
#[derive(Debug, Clone)]
pub struct Source {
    /// What mistakes call it, and what `metadata_file` is relative to.
    pub path: PathBuf,
    pub text: String,
}

/// A catalog, and what in it is allowed but probably not meant.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub catalog: Catalog,
    pub warnings: Vec<Mistake>,
}

/// Everything that is wrong with the files, in the order of files and lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    /// One mistake per line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mistake) in self.0.iter().enumerate() {
            write!(f, "{}{mistake}", if at == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// Reads a catalog from files on disk.
///
/// # Errors
/// [`Mistakes`], which also names the files that cannot be read.
pub fn read_files(paths: &[PathBuf]) -> Result<Loaded, Mistakes> {
    let mut sources = Vec::new();
    let mut unreadable = Vec::new();
    for path in paths {
        match read_utf8(path) {
            Ok(text) => sources.push(Source { path: path.clone(), text }),
            Err(message) => unreadable.push(Mistake {
                file: path.display().to_string(),
                line: 0,
                column: 0,
                key: String::new(),
                message,
            }),
        }
    }
    // A file that is missing makes every reference into it dangle: those mistakes would only hide the real one.
    if unreadable.is_empty() { parse(&sources, &|path| std::fs::read(path)) } else { Err(Mistakes(unreadable)) }
}

fn read_utf8(path: &Path) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("the file cannot be read: {error}"))?;
    String::from_utf8(bytes).map_err(|_| "the file is not UTF-8; save it as UTF-8 without another encoding".to_owned())
}

/// Reads a catalog that stands in one text, such as the sandbox's or a test's.
///
/// # Errors
/// [`Mistakes`]; a `metadata_file` is read relative to the current directory.
pub fn parse_text(name: &str, text: &str) -> Result<Loaded, Mistakes> {
    parse(&[Source { path: name.into(), text: text.to_owned() }], &|path| std::fs::read(path))
}

/// Reads files as one catalog. `read` gets the content of what a `metadata_file` names.
///
/// # Errors
/// [`Mistakes`] lists all of them.
pub fn parse(sources: &[Source], read: &dyn Fn(&Path) -> io::Result<Vec<u8>>) -> Result<Loaded, Mistakes> {
    let names: Vec<String> = sources.iter().map(|source| source.path.display().to_string()).collect();
    let log = Log::new(names.iter().zip(sources).map(|(name, source)| (name.as_str(), source.text.as_str())));
    let mut draft = Draft::default();
    for (file, source) in sources.iter().enumerate() {
        let table = log.parse(file);
        let near = source.path.parent().unwrap_or(Path::new(""));
        draft.read(&Keys::of_document(&log, file, table.get_ref()), &|path| read(&near.join(path)), &log);
    }
    draft.check(log)
}

/// What has been read so far, each entry beside the number it has in its section, counted over all files.
#[derive(Default)]
struct Draft {
    parts: Parts,
    seen: BTreeMap<Section, usize>,
    numbers: BTreeMap<Section, Vec<usize>>,
    /// What of a rule could not all be read: its number and the key.
    dim: BTreeSet<(usize, &'static str)>,
    has_support: bool,
}

type ReadFile<'f> = &'f dyn Fn(&Path) -> io::Result<Vec<u8>>;

impl Draft {
    fn read(&mut self, top: &Keys<'_, '_>, read: ReadFile<'_>, log: &Log<'_>) {
        for (number, item) in self.entries(top, Section::Connector) {
            if let Some(connector) = read_connector(&item, read) {
                self.parts.connectors.push(connector);
                self.numbers.entry(Section::Connector).or_default().push(number);
            }
        }
        for (number, item) in self.entries(top, Section::Account) {
            if let Some(account) = read_account(&item) {
                self.parts.accounts.push(account);
                self.numbers.entry(Section::Account).or_default().push(number);
            }
        }
        for (number, item) in self.entries(top, Section::Role) {
            if let Some(role) = read_role(&item) {
                self.parts.roles.push(role);
                self.numbers.entry(Section::Role).or_default().push(number);
            }
        }
        for (number, item) in self.entries(top, Section::Key) {
            if let Some(key) = read_key(&item, read) {
                self.parts.keys.push(key);
                self.numbers.entry(Section::Key).or_default().push(number);
            }
        }
        for (number, item) in self.entries(top, Section::Link) {
            if let Some(link) = read_link(&item) {
                self.parts.links.push(link);
                self.numbers.entry(Section::Link).or_default().push(number);
            }
        }
        for (number, item) in self.entries(top, Section::Rule) {
            if let Some(rule) = read_rule(&item, log, &mut |key| {
                self.dim.insert((number, key));
            }) {
                self.parts.rules.push(rule);
                self.numbers.entry(Section::Rule).or_default().push(number);
            }
        }
        if let Some(item) = top.get("support") {
            if self.has_support {
                item.fail("[support] is written once; it stands in another file already");
            } else {
                self.has_support = true;
                self.parts.support = read_support(&item);
            }
        }
        top.finish();
    }

    fn entries<'a, 's>(&mut self, top: &Keys<'a, 's>, section: Section) -> Vec<(usize, Item<'a, 's>)> {
        let seen = self.seen.entry(section).or_default();
        let first = *seen;
        let items = top.tables(section.as_str(), first);
        *seen += items.len();
        items.into_iter().enumerate().map(|(at, item)| (first + at, item)).collect()
    }

    fn check(self, log: Log<'_>) -> Result<Loaded, Mistakes> {
        let Self { parts, numbers, dim, .. } = self;
        let number = |one: &Inconsistency| numbers[&one.section][one.index];
        let path = |one: &Inconsistency| format!("{}[{}].{}", one.section.as_str(), number(one), one.key);
        // The order of the catalog is not that of the files, so that advice finds its entry by its name.
        let names = parts.names();
        let entry_numbers: BTreeMap<(Section, String), usize> = names
            .into_iter()
            .flat_map(|(section, names)| {
                let numbers = numbers.get(&section).into_iter().flatten().copied();
                names.into_iter().map(move |name| (section, name)).zip(numbers)
            })
            .collect();
        let assembled = Catalog::assemble(parts);
        if let Err(found) = &assembled
            && !log.any_broken()
        {
            for one in &found.0 {
                let unsure = one.about_all_of.is_some_and(|key| dim.contains(&(number(one), key)));
                if !unsure {
                    log.add(&path(one), one.message.clone());
                }
            }
        }
        match assembled {
            Ok(catalog) if log.count() == 0 => {
                let warn = |one: Inconsistency| {
                    let section = one.section.as_str();
                    let number = entry_numbers[&(one.section, one.name)];
                    log.locate(&format!("{section}[{number}].{}", one.key), one.message)
                };
                let mut warnings: Vec<Mistake> = catalog.advice().into_iter().map(warn).collect();
                warnings.sort();
                Ok(Loaded { catalog, warnings })
            }
            _ => Err(Mistakes(log.into_mistakes())),
        }
    }
}

/// An error with everything that led to it.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What is doubtful today about metadata that stands in the catalog: expired, or signed with a certificate that is.
#[must_use]
pub fn metadata_warnings(catalog: &Catalog, now: Timestamp) -> Vec<String> {
    let mut warnings = Vec::new();
    for connector in catalog.connectors() {
        let Some(saml) = connector.saml() else { continue };
        let MetadataSource::Inline(xml) = &saml.metadata else { continue };
        let found = match IdpMetadata::read(xml.as_bytes(), saml.idp_entity_id.as_deref(), now) {
            Ok(metadata) => metadata.warnings,
            Err(error) => vec![sentence(&error)],
        };
        warnings.extend(found.into_iter().map(|text| format!("connector `{}`: {text}", connector.id)));
    }
    warnings
}

fn read_account(item: &Item<'_, '_>) -> Option<Account> {
    let keys = item.keys("[[account]] and its keys below")?;
    let id = keys.required("id", "id = \"111122223333\", in quotes").and_then(|id| id.parsed());
    let name = keys.required("name", "name = \"Payments production\"").and_then(|name| name.filled_text());
    let tags = keys.get("tags").map(|item| read_tags(&item)).unwrap_or_default();
    let partition = keys.get("partition").and_then(|item| item.parsed()).unwrap_or_default();
    let saml_provider = keys.get("saml_provider").and_then(|item| item.parsed());
    let oidc_audience = keys.get("oidc_audience").and_then(|item| item.parsed());
    let region = keys.get("region").and_then(|item| item.parsed());
    keys.finish();
    let default_provider = || super::DEFAULT_SAML_PROVIDER.parse().expect("the default name is a valid one");
    Some(Account {
        id: id?,
        name: name.unwrap_or_default(),
        tags,
        partition,
        saml_provider: saml_provider.unwrap_or_else(default_provider),
        oidc_audience: oidc_audience.unwrap_or_default(),
        region,
    })
}

fn read_tags(item: &Item<'_, '_>) -> Tags {
    let Some(keys) = item.keys("{ env = \"prod\" }") else { return Tags::new() };
    keys.all()
        .into_iter()
        .filter_map(|(key, item)| {
            let value = item.filled_text()?;
            check_tag(&item, key, &value).then(|| (key.to_owned(), value))
        })
        .collect()
}

/// Our own tags are free text of a length that still fits a badge.
fn check_tag(item: &Item<'_, '_>, key: &str, value: &str) -> bool {
    let good = !key.trim().is_empty() && key.chars().count() <= 128 && value.chars().count() <= 256;
    if !good {
        item.fail("a tag has a key of 1 to 128 characters and a value of at most 256");
    }
    good
}

fn read_role(item: &Item<'_, '_>) -> Option<Role> {
    let keys = item.keys("[[role]] and its keys below")?;
    let account = keys.required("account", "account = \"111122223333\", in quotes").and_then(|item| item.parsed());
    let name = keys.required("name", "name = \"ReadOnly\"").and_then(|item| item.parsed());
    let description = keys.get("description").and_then(|item| item.filled_text());
    let tags = keys.get("tags").map(|item| read_tags(&item)).unwrap_or_default();
    let max_session = keys.get("max_session").and_then(|item| session_duration(&item));
    let default_session = keys.get("default_session").and_then(|item| session_duration(&item));
    let destination = keys.get("destination").and_then(|item| item.parsed());
    let region = keys.get("region").and_then(|item| item.parsed());
    let (session_tags, transitive_tags) =
        keys.get("session_tags").map(|item| read_session_tags(&item)).unwrap_or_default();
    let scope_down = keys.get("scope_down").map(|item| read_scope_down(&item)).unwrap_or_default();
    let authentication = keys.get("authentication").and_then(|item| read_demand(&item));
    let method = read_method(&keys);
    // With a maximum that cannot be read, no default can be above it.
    let unread_max = keys.has("max_session") && max_session.is_none();
    keys.finish();
    let standing_in =
        if unread_max { method.as_ref().map_or(SessionDuration::MAX, Method::longest) } else { SessionDuration::HOUR };
    Some(Role {
        account: account?,
        name: name?,
        description,
        tags,
        max_session: max_session.unwrap_or(standing_in),
        default_session,
        destination,
        region,
        session_tags,
        transitive_tags,
        scope_down,
        authentication,
        method: method?,
    })
}

fn read_demand(item: &Item<'_, '_>) -> Option<Demand> {
    let keys = item.keys("{ max_age = \"15m\", contexts = [\"…\"], methods = [\"mfa\"] }")?;
    let list = |key| {
        let texts = |item: Item<'_, '_>| item.one_or_list().iter().filter_map(Item::filled_text).collect();
        keys.get(key).map(texts).unwrap_or_default()
    };
    let max_age = keys.get("max_age").and_then(|item| {
        let seconds = item.seconds()?;
        if seconds < 60 {
            item.fail("the way to the identity provider and back takes a moment; allow at least 1m");
        }
        Some(Duration::from_secs(seconds))
    });
    let demand = Demand { max_age, contexts: list("contexts"), methods: list("methods") };
    keys.finish();
    if demand.is_empty() {
        item.fail("nothing is asked; write max_age, contexts or methods, or leave it out");
    }
    Some(demand)
}

fn read_link(item: &Item<'_, '_>) -> Option<Link> {
    let keys = item.keys("[[link]] and its keys below")?;
    let id = keys.required("id", "id = \"employees\"").and_then(|item| item.parsed());
    let connectors = keys.required("connectors", "connectors = [\"okta\", \"entra\"]");
    let connectors = connectors.map(|item| item.one_or_list().iter().filter_map(Item::parsed).collect());
    let attribute = keys.required("attribute", "attribute = \"email\"").and_then(|item| item.parsed());
    keys.finish();
    Some(Link { id: id?, connectors: connectors?, attribute: attribute? })
}

fn session_duration(item: &Item<'_, '_>) -> Option<SessionDuration> {
    let seconds = item.seconds()?;
    let duration = u32::try_from(seconds).ok().and_then(|seconds| SessionDuration::from_secs(seconds).ok());
    if duration.is_none() {
        item.fail(crate::aws::DurationOutOfRange(seconds).to_string());
    }
    duration
}

/// The tags, and which of them are transitive.
fn read_session_tags(item: &Item<'_, '_>) -> (BTreeMap<TagKey, TagSource>, BTreeSet<TagKey>) {
    let (mut tags, mut transitive) = (BTreeMap::new(), BTreeSet::new());
    let Some(keys) = item.keys("{ Department = \"department\" }: the tag's key and the attribute to send") else {
        return (tags, transitive);
    };
    for (key, item) in keys.all() {
        let source = read_tag_source(&item);
        let key: Option<TagKey> = item.parse_key(key);
        let Some(((source, goes_along), key)) = source.zip(key) else { continue };
        if goes_along {
            transitive.insert(key.clone());
        }
        tags.insert(key, source);
    }
    (tags, transitive)
}

/// Where the value comes from, and whether the tag is transitive.
fn read_tag_source(item: &Item<'_, '_>) -> Option<(TagSource, bool)> {
    const HOW: &str =
        "the name of an attribute, { attribute = \"…\", transitive = true }, or { value = \"…\" } for a fixed text";
    if item.value().is_str() {
        return item.parsed().map(|attribute| (TagSource::Attribute(attribute), false));
    }
    let keys = item.keys(HOW)?;
    let attribute = keys.get("attribute");
    let value = keys.get("value");
    let transitive = keys.boolean("transitive", false);
    keys.finish();
    let source = match (attribute, value) {
        (Some(attribute), None) => TagSource::Attribute(attribute.parsed()?),
        (None, Some(value)) => TagSource::Value(value.text()?),
        (Some(_), Some(_)) => {
            item.fail("attribute and value stand together; a tag has one value");
            return None;
        }
        (None, None) => {
            item.fail(format!("nothing says what its value is; write {HOW}"));
            return None;
        }
    };
    Some((source, transitive))
}

/// `dim` is called with a key under which something cannot be read.
fn read_rule(item: &Item<'_, '_>, log: &Log<'_>, dim: &mut dyn FnMut(&'static str)) -> Option<Rule> {
    let keys = item.keys("[[rule]] and its keys below")?;
    let id = keys.required("id", "id = \"engineers-read-everything\"").and_then(|item| item.parsed());
    let description = keys.get("description").and_then(|item| item.filled_text());
    let when = keys.get("when");
    let grant = keys.get("grant");
    let max_session = keys.get("max_session").and_then(|item| session_duration(&item));
    let scope_down = keys.get("scope_down").map(|item| read_scope_down(&item)).unwrap_or_default();
    keys.finish();
    let before = log.count();
    let when = when.map(|item| read_when(&item)).unwrap_or_default();
    if log.count() > before {
        dim("when");
    }
    let before = log.count();
    let grants = grant.map(|item| read_grants(&item)).unwrap_or_default();
    if log.count() > before {
        dim("grant");
    }
    Some(Rule { id: id?, description, when, grants, max_session, scope_down })
}

fn read_when(item: &Item<'_, '_>) -> BTreeMap<Attribute, AnyOf> {
    let Some(keys) = item.keys("{ groups = \"engineering\" }") else { return BTreeMap::new() };
    keys.all()
        .into_iter()
        .filter_map(|(key, item)| {
            let patterns = read_patterns(&item, "any");
            Some((item.parse_key(key)?, patterns?))
        })
        .collect()
}

/// Text, `{ glob = … }`, `{ matches = … }`, or a list of these; a list may also stand under `any`.
fn read_patterns(item: &Item<'_, '_>, any: &'static str) -> Option<AnyOf> {
    let inner = match item.value().as_table() {
        Some(table) if table.contains_key(any) => {
            let keys = item.keys("{ any = [ … ] }")?;
            let inner = keys.get(any)?;
            keys.finish();
            inner
        }
        _ => item.clone(),
    };
    let items = inner.one_or_list();
    let patterns: Vec<Pattern> = items.iter().filter_map(read_pattern).collect();
    match AnyOf::new(patterns) {
        Ok(any) => Some(any),
        Err(error) => {
            // Empty because of mistakes inside was said already.
            if items.is_empty() {
                inner.fail(error.to_string());
            }
            None
        }
    }
}

fn read_pattern(item: &Item<'_, '_>) -> Option<Pattern> {
    const HOW: &str = "text, { glob = \"aws-*\" }, { matches = \"…\" } or a list of these";
    if item.value().is_str() {
        return item.text().map(Pattern::Exact);
    }
    let keys = item.keys(HOW)?;
    let glob = keys.get("glob");
    let matches = keys.get("matches");
    keys.finish();
    let reported = |item: &Item<'_, '_>, error: super::InvalidPattern| item.fail(error.to_string());
    match (glob, matches) {
        (Some(item), None) => Glob::new(&item.text()?).map_err(|error| reported(&item, error)).ok().map(Pattern::Glob),
        (None, Some(item)) => {
            Expression::new(&item.text()?).map_err(|error| reported(&item, error)).ok().map(Pattern::Matches)
        }
        (Some(_), Some(_)) => {
            item.fail("glob and matches stand together; write two entries of a list");
            None
        }
        (None, None) => {
            // An unknown key was reported in its place.
            if item.value().as_table().is_some_and(DeTable::is_empty) {
                item.fail(format!("nothing to compare with; write {HOW}"));
            }
            None
        }
    }
}

fn read_grants(item: &Item<'_, '_>) -> Vec<Grant> {
    // A single grant may stand without a list around it.
    item.wrapped().iter().filter_map(read_grant).collect()
}

fn read_grant(item: &Item<'_, '_>) -> Option<Grant> {
    let keys = item.keys("{ account = \"*\", role = \"ReadOnly\" }")?;
    let account_tags = keys.get("account_tags").map(|item| read_tag_selector(&item)).unwrap_or_default();
    let role_tags = keys.get("role_tags").map(|item| read_tag_selector(&item)).unwrap_or_default();
    let account = if keys.has("account_tags") {
        keys.get("account").map_or(Some(AccountSelector::Any), |item| read_account_selector(&item))
    } else {
        keys.required("account", "account = \"111122223333\", \"*\" or \"{account}\", or account_tags = { … }")
            .and_then(|item| read_account_selector(&item))
    };
    let role = if keys.has("role_tags") {
        keys.get("role").map_or(Some(RoleSelector::Any), |item| read_role_selector(&item))
    } else {
        keys.required("role", "role = \"ReadOnly\", \"*\" or \"{role}\", or role_tags = { … }")
            .and_then(|item| read_role_selector(&item))
    };
    keys.finish();
    Some(Grant { account: account?, account_tags, role: role?, role_tags })
}

fn read_account_selector(item: &Item<'_, '_>) -> Option<AccountSelector> {
    match item.value().as_str() {
        Some("*") => Some(AccountSelector::Any),
        Some(text) if Template::is_meant(text) => item.parsed().map(AccountSelector::Captured),
        _ => read_set(item).map(AccountSelector::Ids),
    }
}

fn read_role_selector(item: &Item<'_, '_>) -> Option<RoleSelector> {
    match item.value().as_str() {
        Some("*") => Some(RoleSelector::Any),
        Some(text) if Template::is_meant(text) => item.parsed().map(RoleSelector::Captured),
        _ => read_set(item).map(RoleSelector::Names),
    }
}

/// One name or a list of them; `None` when nothing in it could be read.
fn read_set<T: Ord + std::str::FromStr<Err: fmt::Display>>(item: &Item<'_, '_>) -> Option<BTreeSet<T>> {
    let items = item.one_or_list();
    if items.is_empty() {
        item.fail("the list is empty, so nothing would be granted");
    }
    let set: BTreeSet<T> = items.iter().filter_map(Item::parsed).collect();
    (!set.is_empty()).then_some(set)
}

fn read_tag_selector(item: &Item<'_, '_>) -> TagSelector {
    let Some(keys) = item.keys("{ env = \"dev\" } or { env = [\"dev\", \"test\"] }") else { return TagSelector::new() };
    let all = keys.all();
    if all.is_empty() {
        item.fail("no tag is named, so everything would be selected; write account or role = \"*\" if that is meant");
    }
    all.into_iter()
        .filter_map(|(key, item)| {
            let items = item.one_or_list();
            if items.is_empty() {
                item.fail("the list is empty, so nothing would be granted");
            }
            let values: BTreeSet<String> = items
                .iter()
                .filter_map(|item| item.filled_text().filter(|value| check_tag(item, key, value)))
                .collect();
            (!values.is_empty()).then(|| (key.to_owned(), values))
        })
        .collect()
}

fn read_support(item: &Item<'_, '_>) -> Support {
    let Some(keys) = item.keys("[support] and its keys below") else { return Support::default() };
    let support = Support {
        text: keys.get("text").and_then(|item| item.filled_text()),
        contact: keys.get("contact").and_then(|item| item.parsed()),
    };
    keys.finish();
    support
}
