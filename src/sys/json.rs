//! Strict JSON: what two readers could read differently is not read at all.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserializer, de};
use serde_json::{Map, Value};

use super::excerpt;

/// A JSON object in which no name stands twice.
pub type Object = Map<String, Value>;

/// How deep objects and arrays may lie in each other. Claims need three or four, policies six.
const MAX_DEPTH: usize = 16;

/// Why a text is not the JSON object that was expected.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    #[error("it has {size} bytes; {limit} are the most")]
    TooLarge { size: usize, limit: usize },
    #[error("it is not JSON")]
    Malformed(#[source] serde_json::Error),
    #[error("the member {0:?} stands twice in one object")]
    Duplicate(String),
    #[error("it is nested more than {MAX_DEPTH} deep")]
    TooDeep,
    #[error("it is not an object")]
    NotAnObject,
}

impl JsonError {
    /// A stable short name for audit events and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "json-too-large",
            Self::Malformed(_) => "json-malformed",
            Self::Duplicate(_) => "json-duplicate-member",
            Self::TooDeep => "json-too-deep",
            Self::NotAnObject => "json-not-an-object",
        }
    }
}

/// Reads one object and nothing behind it.
///
/// # Errors
/// [`JsonError`] says why it is not read.
pub fn object(bytes: &[u8], limit: usize) -> Result<Object, JsonError> {
    if bytes.len() > limit {
        return Err(JsonError::TooLarge { size: bytes.len(), limit });
    }
    let fault = RefCell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let read = Strict { depth: 0, fault: &fault }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    match (read, fault.into_inner()) {
        (_, Some(fault)) => Err(fault),
        (Err(e), None) => Err(JsonError::Malformed(e)),
        (Ok(Value::Object(object)), None) => Ok(object),
        (Ok(_), None) => Err(JsonError::NotAnObject),
    }
}

/// Reads any value. serde's errors are texts; the true cause is left in `fault`.
#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: usize,
    fault: &'a RefCell<Option<JsonError>>,
}

impl Strict<'_> {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(self.stop(JsonError::TooDeep));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    fn stop<E: de::Error>(self, fault: JsonError) -> E {
        let error = E::custom(&fault);
        self.fault.borrow_mut().get_or_insert(fault);
        error
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that is none"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Object::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(self.stop(JsonError::Duplicate(excerpt(&name))));
            }
            let value = members.next_value_seed(inner)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn code(text: &str) -> &'static str {
        object(text.as_bytes(), 1_000).map_or_else(|e| e.code(), |_| "accepted")
    }

    #[test]
    fn one_object_is_read_and_nothing_else() {
        let text = r#" {"a": [1, -2, 3.5, null, true, "x"], "b": {"c": {}}} "#;
        let expected = json!({"a": [1, -2, 3.5, null, true, "x"], "b": {"c": {}}});
        assert_eq!(Value::Object(object(text.as_bytes(), 1_000).unwrap()), expected);
        for (text, expected) in [
            ("", "json-malformed"),
            ("[]", "json-not-an-object"),
            ("null", "json-not-an-object"),
            ("{} {}", "json-malformed"),
            ("{}x", "json-malformed"),
            ("{\"a\":1,}", "json-malformed"),
            ("\u{feff}{}", "json-malformed"),
            ("{'a':1}", "json-malformed"),
            ("{\"a\":NaN}", "json-malformed"),
            ("{\"a\":1e999}", "json-malformed"),
        ] {
            assert_eq!(code(text), expected, "{text}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}", 1_000).unwrap_err().code(), "json-malformed");
        assert_eq!(object(b"{}   ", 4).unwrap_err().code(), "json-too-large");
    }

    #[test]
    fn a_name_stands_once_in_an_object_at_every_depth() {
        for text in [r#"{"sub":"a","sub":"a"}"#, r#"{"x":{"sub":1,"sub":2}}"#, r#"{"x":[[{"a":1,"\u0061":2}]]}"#] {
            assert_eq!(code(text), "json-duplicate-member", "{text}");
        }
        assert_eq!(code(r#"{"a":{"a":{"a":1}},"A":2}"#), "accepted");
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert_eq!(code(&nested(MAX_DEPTH)), "accepted");
        assert_eq!(code(&nested(MAX_DEPTH + 1)), "json-too-deep");
        assert_eq!(object(nested(40_000).as_bytes(), 100_000).unwrap_err().code(), "json-too-deep");
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_what_any_reader_reads(text in r#"\{("[ab]":([0-9]|"x"|\[\]|\{"a":1(,"[ab]":2)?\})(,)?){0,3}\}"#) {
            if let Ok(read) = object(text.as_bytes(), 1_000) {
                prop_assert_eq!(Value::Object(read), serde_json::from_str::<Value>(&text).unwrap());
            }
        }
    }
}
