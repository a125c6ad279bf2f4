//! An inline policy, understood as far as it takes to put it together with others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{InvalidSessionPolicy, MAX_CHARACTERS};
use crate::sys::json::{self, JsonError};

/// The version in which `${…}` is a variable; every policy that is put together has it.
const VERSION: &str = "2012-10-17";
/// What cannot be said in fewer statements than these is not said.
const MOST_DENIES: usize = 8;

/// An inline session policy: well-formed JSON of statements that allow or deny, without principals.
///
/// What actions, resources and conditions mean is left to STS. Spec: IAM User Guide, "IAM JSON policy elements".
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PolicyDocument(String);

/// The statements of a policy by what they do, without their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statements {
    pub allows: Vec<Statement>,
    pub denies: Vec<Statement>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    actions: Selection,
    resources: Selection,
    condition: Option<Value>,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Selection {
    inverted: bool,
    patterns: BTreeSet<String>,
}

impl PolicyDocument {
    /// As compact JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Characters, as STS counts them.
    #[must_use]
    pub fn characters(&self) -> usize {
        self.0.chars().count()
    }

    /// Whether it allows anything. One that only denies takes away from what others allow.
    #[must_use]
    pub fn allows(&self) -> bool {
        self.statements().is_ok_and(|statements| !statements.allows.is_empty())
    }

    pub(super) fn statements(&self) -> Result<Statements, InvalidSessionPolicy> {
        let document: Value = serde_json::from_str(&self.0).map_err(|_| InvalidSessionPolicy::NotAPolicy)?;
        read(document.as_object().ok_or(InvalidSessionPolicy::NotAPolicy)?)
    }

    /// Whether its text means the same under the version that everything put together has: in the older one `${…}` is
    /// only text.
    pub(super) fn is_of_today(&self) -> bool {
        let document: Value = serde_json::from_str(&self.0).unwrap_or_default();
        document["Version"] == VERSION || !self.0.contains("${")
    }
}

impl FromStr for PolicyDocument {
    type Err = InvalidSessionPolicy;

    /// White space that has no meaning is removed first.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let object = json::object(text.as_bytes(), 64 * MAX_CHARACTERS).map_err(|error| match error {
            JsonError::Duplicate(name) => InvalidSessionPolicy::Twice(name),
            _ => InvalidSessionPolicy::NotAPolicy,
        })?;
        read(&object)?;
        let compact = Value::Object(object).to_string();
        let length = compact.chars().count();
        if length > MAX_CHARACTERS {
            return Err(InvalidSessionPolicy::TooLong(length));
        }
        if compact.chars().all(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}')) {
            Ok(Self(compact))
        } else {
            Err(InvalidSessionPolicy::Character)
        }
    }
}

impl fmt::Display for PolicyDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PolicyDocument {
    type Error = InvalidSessionPolicy;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PolicyDocument> for String {
    fn from(document: PolicyDocument) -> Self {
        document.0
    }
}

fn read(document: &Map<String, Value>) -> Result<Statements, InvalidSessionPolicy> {
    let wrong = |what: &'static str| InvalidSessionPolicy::Statement { number: None, what };
    for (name, value) in document {
        match name.as_str() {
            "Version" if matches!(value.as_str(), Some(VERSION | "2008-10-17")) => {}
            "Version" => return Err(wrong("its `Version` is \"2012-10-17\"")),
            "Id" if value.is_string() => {}
            "Statement" => {}
            _ => return Err(wrong("it has `Version`, `Id` and `Statement`, and nothing else")),
        }
    }
    let statements = match document.get("Statement") {
        Some(Value::Array(statements)) if !statements.is_empty() => statements.as_slice(),
        Some(one @ Value::Object(_)) => std::slice::from_ref(one),
        _ => return Err(InvalidSessionPolicy::NotAPolicy),
    };
    let mut read = Statements { allows: Vec::new(), denies: Vec::new() };
    for (at, value) in statements.iter().enumerate() {
        let number = (statements.len() > 1).then_some(at + 1);
        let (allows, statement) = statement(value).map_err(|what| InvalidSessionPolicy::Statement { number, what })?;
        if allows { read.allows.push(statement) } else { read.denies.push(statement) }
    }
    Ok(read)
}

/// Whether it allows, and the statement.
fn statement(value: &Value) -> Result<(bool, Statement), &'static str> {
    let members = value.as_object().ok_or("a statement is a JSON object")?;
    let known = |name: &String| {
        matches!(name.as_str(), "Sid" | "Effect" | "Action" | "NotAction" | "Resource" | "NotResource" | "Condition")
    };
    if members.contains_key("Principal") || members.contains_key("NotPrincipal") {
        return Err("a session policy names no principal: it is about its own session");
    }
    if !members.keys().all(known) {
        return Err(
            "a statement has `Sid`, `Effect`, `Action` or `NotAction`, `Resource` or `NotResource`, and `Condition`",
        );
    }
    let allows = match members.get("Effect").and_then(Value::as_str) {
        Some("Allow") => true,
        Some("Deny") => false,
        _ => return Err("its `Effect` is \"Allow\" or \"Deny\""),
    };
    let actions = selection(members, "Action", "NotAction")
        .ok_or("it has either `Action` or `NotAction`: a text or a list of texts")?;
    let resources = selection(members, "Resource", "NotResource")
        .ok_or("it has either `Resource` or `NotResource`: a text or a list of texts")?;
    let condition = match members.get("Condition") {
        None => None,
        Some(Value::Object(operators)) if operators.is_empty() => None,
        Some(condition @ Value::Object(_)) => Some(condition.clone()),
        Some(_) => return Err("its `Condition` is a JSON object of operators"),
    };
    Ok((allows, Statement { actions, resources, condition }))
}

fn selection(members: &Map<String, Value>, plain: &str, inverted: &str) -> Option<Selection> {
    let (value, inverted) = match (members.get(plain), members.get(inverted)) {
        (Some(value), None) => (value, false),
        (None, Some(value)) => (value, true),
        _ => return None,
    };
    let patterns: BTreeSet<String> = match value {
        Value::String(text) => [text.clone()].into(),
        Value::Array(texts) => texts.iter().map(|text| text.as_str().map(str::to_owned)).collect::<Option<_>>()?,
        _ => return None,
    };
    (!patterns.is_empty()).then_some(Selection { inverted, patterns })
}

impl Selection {
    fn of(patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { inverted: false, patterns: patterns.into_iter().map(Into::into).collect() }
    }

    fn everything() -> Self {
        Self::of(["*"])
    }

    fn is_nothing(&self) -> bool {
        self.inverted && self.patterns.contains("*")
    }

    fn opposite(mut self) -> Self {
        self.inverted = !self.inverted;
        self
    }

    fn write(&self, plain: &str, inverted: &str, into: &mut Map<String, Value>) {
        let patterns: Vec<&str> = self.patterns.iter().map(String::as_str).collect();
        let value = match patterns.as_slice() {
            [one] => json!(one),
            many => json!(many),
        };
        into.insert(if self.inverted { inverted } else { plain }.to_owned(), value);
    }

    /// What all of these have in common, where that is a selection: what none of several names, or the only one there is.
    fn common(all: &[&Self]) -> Option<Self> {
        match all {
            [] => Some(Self::everything()),
            [one] => Some((*one).clone()),
            many if many.iter().all(|one| one.inverted) => {
                let patterns = many.iter().flat_map(|one| one.patterns.iter().cloned()).collect();
                Some(Self { inverted: true, patterns })
            }
            _ => None,
        }
    }
}

impl Statement {
    pub(super) fn everything() -> Self {
        Self { actions: Selection::everything(), resources: Selection::everything(), condition: None }
    }

    /// What is lost where this holds, whatever is done.
    pub(super) fn whenever(condition: Value) -> Self {
        Self { condition: Some(condition), ..Self::everything() }
    }

    /// Whether a part of it is written with `${`, so that a request may leave open what it says.
    fn has_variables(&self) -> bool {
        let named = self.actions.patterns.iter().chain(&self.resources.patterns).any(|pattern| pattern.contains("${"));
        named || self.condition.as_ref().is_some_and(|condition| condition.to_string().contains("${"))
    }

    /// All actions but these.
    pub(super) fn except(mut self, actions: impl IntoIterator<Item = &'static str>) -> Self {
        self.actions = Selection::of(actions).opposite();
        self
    }

    pub(super) fn to_json(&self, effect: &'static str) -> Value {
        let mut members = Map::new();
        members.insert("Effect".to_owned(), effect.into());
        self.actions.write("Action", "NotAction", &mut members);
        self.resources.write("Resource", "NotResource", &mut members);
        if let Some(condition) = &self.condition {
            members.insert("Condition".to_owned(), condition.clone());
        }
        Value::Object(members)
    }
}

/// Statements that deny exactly what these do not allow; `None` where that cannot be said, or not in few enough.
///
/// What several statements together leave out is what each of them leaves out, and each leaves out the actions it does
/// not name and the resources it does not name. So for every way to take one of the two from each statement there is a
/// Deny, with `NotAction` and `NotResource`. Conditions are not turned around: for several keys and absent ones that
/// would take operators that IAM has not. Nor are variables: one that has no value makes an Allow allow nothing, and
/// whether a Deny with it holds is not documented, so that the rest might be left open.
pub(super) fn denying_the_rest(allows: &[Statement]) -> Option<Vec<Statement>> {
    let mut by_resources: BTreeMap<&Selection, Selection> = BTreeMap::new();
    let mut apart: Vec<(Selection, &Selection)> = Vec::new();
    for statement in allows {
        if statement.condition.is_some() || statement.has_variables() {
            return None;
        }
        if statement.actions.inverted {
            apart.push((statement.actions.clone(), &statement.resources));
        } else {
            let merged = by_resources.entry(&statement.resources);
            let merged = merged.or_insert_with(|| Selection { inverted: false, patterns: BTreeSet::new() });
            merged.patterns.extend(statement.actions.patterns.iter().cloned());
        }
    }
    apart.extend(by_resources.into_iter().map(|(resources, actions)| (actions, resources)));
    let mut ways: Vec<(Vec<Selection>, Vec<Selection>)> = vec![(Vec::new(), Vec::new())];
    for (actions, resources) in apart {
        let (actions, resources) = (actions.opposite(), resources.clone().opposite());
        let mut more = Vec::new();
        for (left_actions, left_resources) in ways {
            if !actions.is_nothing() {
                let mut with = left_actions.clone();
                with.push(actions.clone());
                more.push((with, left_resources.clone()));
            }
            if !resources.is_nothing() {
                let mut with = left_resources;
                with.push(resources.clone());
                more.push((left_actions, with));
            }
        }
        ways = more;
        if ways.len() > MOST_DENIES {
            return None;
        }
    }
    let deny = |(actions, resources): (Vec<Selection>, Vec<Selection>)| {
        Some(Statement {
            actions: Selection::common(&actions.iter().collect::<Vec<_>>())?,
            resources: Selection::common(&resources.iter().collect::<Vec<_>>())?,
            condition: None,
        })
    };
    ways.into_iter().map(deny).collect()
}

/// One inline policy of these statements.
pub(super) fn write(allows: &[Statement], denies: &[Statement]) -> Result<PolicyDocument, InvalidSessionPolicy> {
    let allows = allows.iter().map(|statement| statement.to_json("Allow"));
    let statements: Vec<Value> = allows.chain(denies.iter().map(|statement| statement.to_json("Deny"))).collect();
    json!({ "Statement": statements, "Version": VERSION }).to_string().parse()
}
