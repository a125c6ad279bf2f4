//! Condition operators.
//!
//! Spec: IAM User Guide, "IAM JSON policy elements: Condition operators" and "Condition with multiple context keys or
//! values".

use std::net::IpAddr;

use base64::{Engine, engine::general_purpose::STANDARD};
use ipnet::IpNet;
use jiff::Timestamp;
use jiff::civil::Date;

use super::pattern::{self, Template};
use super::{Context, ContextValue};

/// One operator on one key: `{operator: {key: [values]}}`.
#[derive(Debug, Clone)]
pub struct Condition {
    /// Operator and values as they were written.
    operator: String,
    wanted: Vec<String>,
    quantifier: Option<Quantifier>,
    if_exists: bool,
    negated: bool,
    key: String,
    test: Test,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    ForAnyValue,
    ForAllValues,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextMatch {
    Exact,
    IgnoringCase,
    Wildcards,
    Arn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The values to compare with, already understood.
#[derive(Debug, Clone)]
enum Test {
    Text(TextMatch, Vec<Template>),
    Number(Order, Vec<f64>),
    Date(Order, Vec<Timestamp>),
    Bool(Vec<bool>),
    Binary(Vec<Vec<u8>>),
    Ip(Vec<IpNet>),
    /// `true`: the key must be absent.
    Null(Vec<bool>),
}

impl Order {
    fn holds<T: PartialOrd>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }

    /// The part of an operator's name behind `Numeric` or `Date`: the order, and whether it is negated.
    fn named(name: &str) -> Option<(Self, bool)> {
        Some(match name {
            "Equals" => (Self::Equal, false),
            "NotEquals" => (Self::Equal, true),
            "LessThan" => (Self::Less, false),
            "LessThanEquals" => (Self::LessOrEqual, false),
            "GreaterThan" => (Self::Greater, false),
            "GreaterThanEquals" => (Self::GreaterOrEqual, false),
            _ => return None,
        })
    }
}

impl Condition {
    /// Reads one operator on one key; `None` when the operator is unknown or a value does not fit it.
    ///
    /// `variables` tells whether `${…}` is a variable, which depends on the version of the policy.
    pub(super) fn parse(operator: &str, key: &str, values: &[String], variables: bool) -> Option<Self> {
        let written = operator.to_owned();
        let (quantifier, operator) = match operator.split_once(':') {
            None => (None, operator),
            Some(("ForAnyValue", rest)) => (Some(Quantifier::ForAnyValue), rest),
            Some(("ForAllValues", rest)) => (Some(Quantifier::ForAllValues), rest),
            Some(_) => return None,
        };
        let (if_exists, operator) = match operator.strip_suffix("IfExists") {
            Some(rest) => (true, rest),
            None => (false, operator),
        };
        if key.is_empty() || (operator == "Null" && (if_exists || quantifier.is_some())) {
            return None;
        }
        let texts = || {
            values
                .iter()
                .map(|value| if variables { Template::with_variables(value) } else { Some(Template::plain(value)) })
                .collect::<Option<Vec<_>>>()
        };
        let bools = || values.iter().map(|value| boolean(value)).collect::<Option<Vec<_>>>();
        let (test, negated) = match operator {
            "StringEquals" => (Test::Text(TextMatch::Exact, texts()?), false),
            "StringNotEquals" => (Test::Text(TextMatch::Exact, texts()?), true),
            "StringEqualsIgnoreCase" => (Test::Text(TextMatch::IgnoringCase, texts()?), false),
            "StringNotEqualsIgnoreCase" => (Test::Text(TextMatch::IgnoringCase, texts()?), true),
            "StringLike" => (Test::Text(TextMatch::Wildcards, texts()?), false),
            "StringNotLike" => (Test::Text(TextMatch::Wildcards, texts()?), true),
            "ArnEquals" | "ArnLike" => (Test::Text(TextMatch::Arn, texts()?), false),
            "ArnNotEquals" | "ArnNotLike" => (Test::Text(TextMatch::Arn, texts()?), true),
            "Bool" => (Test::Bool(bools()?), false),
            "Null" => (Test::Null(bools()?), false),
            "BinaryEquals" => {
                (Test::Binary(values.iter().map(|v| STANDARD.decode(v).ok()).collect::<Option<_>>()?), false)
            }
            "IpAddress" | "NotIpAddress" => {
                (Test::Ip(values.iter().map(|v| network(v)).collect::<Option<_>>()?), operator.starts_with("Not"))
            }
            _ => {
                if let Some(name) = operator.strip_prefix("Numeric") {
                    let (order, negated) = Order::named(name)?;
                    (Test::Number(order, values.iter().map(|v| number(v)).collect::<Option<_>>()?), negated)
                } else {
                    let (order, negated) = Order::named(operator.strip_prefix("Date")?)?;
                    (Test::Date(order, values.iter().map(|v| date(v)).collect::<Option<_>>()?), negated)
                }
            }
        };
        Some(Self {
            operator: written,
            wanted: values.to_vec(),
            quantifier,
            if_exists,
            negated,
            key: key.to_owned(),
            test,
        })
    }

    /// The operator as it was written, with its prefix and suffix.
    pub(super) fn operator(&self) -> &str {
        &self.operator
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The values as they were written.
    pub(super) fn wanted(&self) -> &[String] {
        &self.wanted
    }

    /// Whether it can look at a key with several values.
    pub(super) fn is_for_sets(&self) -> bool {
        self.quantifier.is_some() || matches!(self.test, Test::Null(_))
    }

    /// Whether it holds for a key that is not there, as `ForAllValues` does.
    pub(super) fn is_vacuous_allow(&self) -> bool {
        self.quantifier == Some(Quantifier::ForAllValues)
    }

    /// Whether it holds only if `key` is there.
    pub(super) fn requires(&self, key: &str) -> bool {
        self.key.eq_ignore_ascii_case(key) && matches!(&self.test, Test::Null(values) if *values == [false])
    }

    /// Whether the condition holds for a request.
    pub(super) fn holds(&self, context: &Context) -> bool {
        let value = context.get(&self.key);
        if let Test::Null(wanted) = &self.test {
            return wanted.contains(&value.is_none());
        }
        // What the request says and the operator cannot read counts as not said.
        let verdicts: Vec<bool> = match value {
            None => Vec::new(),
            Some(ContextValue::One(value)) => self.test.matches(value, context).into_iter().collect(),
            Some(ContextValue::Many(_)) if self.quantifier.is_none() => return false,
            Some(ContextValue::Many(values)) => {
                values.iter().filter_map(|value| self.test.matches(value, context)).collect()
            }
        };
        if verdicts.is_empty() {
            return self.if_exists
                || match self.quantifier {
                    None => self.negated,
                    Some(Quantifier::ForAnyValue) => false,
                    Some(Quantifier::ForAllValues) => true,
                };
        }
        // A negated operator with several values means "none of them", for each value of the request.
        let mut each = verdicts.into_iter().map(|matched| matched != self.negated);
        match self.quantifier {
            None | Some(Quantifier::ForAllValues) => each.all(|good| good),
            Some(Quantifier::ForAnyValue) => each.any(|good| good),
        }
    }
}

impl Test {
    /// Whether one value of the request matches any value of the policy; `None` when it cannot be read.
    fn matches(&self, value: &str, context: &Context) -> Option<bool> {
        Some(match self {
            Self::Text(how, templates) => {
                templates.iter().filter_map(|template| template.resolve(context)).any(|tokens| match how {
                    TextMatch::Exact => pattern::literal(&tokens) == value,
                    TextMatch::IgnoringCase => pattern::literal(&tokens).to_lowercase() == value.to_lowercase(),
                    TextMatch::Wildcards => pattern::matches(&tokens, value),
                    TextMatch::Arn => pattern::arn_matches(&tokens, value),
                })
            }
            Self::Number(order, wanted) => {
                let value = number(value)?;
                wanted.iter().any(|wanted| order.holds(&value, wanted))
            }
            Self::Date(order, wanted) => {
                let value = date(value)?;
                wanted.iter().any(|wanted| order.holds(&value, wanted))
            }
            Self::Bool(wanted) => wanted.contains(&boolean(value)?),
            Self::Binary(wanted) => wanted.contains(&STANDARD.decode(value).ok()?),
            Self::Ip(networks) => {
                let address = value.parse::<IpAddr>().ok()?.to_canonical();
                networks.iter().any(|network| network.contains(&address))
            }
            Self::Null(_) => return None,
        })
    }
}

fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

fn number(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b"+-.".contains(&b));
    plain.then(|| text.parse().ok())?
}

/// A whole date, a date with time and offset, or seconds since 1970.
fn date(text: &str) -> Option<Timestamp> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp);
    }
    if let Ok(seconds) = text.parse::<i64>() {
        return Timestamp::from_second(seconds).ok();
    }
    let day: Date = text.parse().ok()?;
    day.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|start| start.timestamp())
}

/// A network, or an address on its own.
fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}
