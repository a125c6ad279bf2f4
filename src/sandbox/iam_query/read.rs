//! Parameters of IAM's calls, with the limits of its service model.

use std::collections::BTreeMap;

use super::Call;
use crate::sandbox::sts::{Checks, StsError, TextShape};

const fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '=' | ',' | '.' | '@' | '-')
}

const fn is_path(c: char) -> bool {
    matches!(c, '!'..='~')
}

const fn is_document(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}')
}

const fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

const NAME: &str = "[\\w+=,.@-]+";
pub const ROLE_NAME: TextShape = TextShape::new(1, 64, is_name, NAME);
pub const USER_NAME: TextShape = TextShape::new(1, 64, is_name, NAME);
pub const POLICY_NAME: TextShape = TextShape::new(1, 128, is_name, NAME);
pub const DOCUMENT: TextShape = TextShape::new(1, 131_072, is_document, "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+");
pub const PATH: TextShape = TextShape::new(1, 512, is_path, "(\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)");
pub const KEY_ID: TextShape = TextShape::new(16, 128, is_word, "[\\w]+");
pub const DESCRIPTION: TextShape =
    TextShape::new(0, 1000, is_document, "[\\u0009\\u000A\\u000D\\u0020-\\u007E\\u00A1-\\u00FF]*");
pub const METADATA: TextShape = TextShape::any(1000, 10_000_000);
pub const URL: TextShape = TextShape::any(1, 255);

/// Of AWS.
const MAX_TAGS: usize = 50;

impl<'a> Call<'a> {
    /// One parameter that has to be there.
    pub fn text(&self, name: &str, shape: &TextShape) -> Result<&'a str, StsError> {
        let [text] = self.texts([(name, shape)])?;
        Ok(text)
    }

    /// Several that have to be there; what is wrong with all of them is said at once.
    pub fn texts<const N: usize>(&self, wanted: [(&str, &TextShape); N]) -> Result<[&'a str; N], StsError> {
        let mut checks = Checks::default();
        let found = wanted.map(|(name, shape)| checks.required(self.params, name, shape));
        checks.finish()?;
        Ok(found)
    }

    pub fn optional(&self, name: &str, shape: &TextShape) -> Result<Option<&'a str>, StsError> {
        let mut checks = Checks::default();
        let found = checks.optional(self.params, name, shape);
        checks.finish()?;
        Ok(found)
    }

    /// `Tags.member.1.Key` and `Tags.member.1.Value`.
    pub fn tags(&self) -> Result<BTreeMap<String, String>, StsError> {
        let mut tags = BTreeMap::new();
        for number in 1..=MAX_TAGS + 1 {
            let get = |field: &str| self.params.get(&format!("Tags.member.{number}.{field}"));
            let (key, value) = match (get("Key"), get("Value")) {
                (Some(key), Some(value)) => (key, value),
                (None, None) => break,
                (Some(_), None) | (None, Some(_)) => {
                    return Err(StsError::validation(format!(
                        "1 validation error detected: Value null at 'tags.{number}.member' failed to satisfy constraint: \
                     Member must not be null"
                    )));
                }
            };
            if number > MAX_TAGS {
                return Err(super::roles::limit(format!("Cannot exceed quota for TagsPerResource: {MAX_TAGS}")));
            }
            if tags.keys().any(|known: &String| known.eq_ignore_ascii_case(key)) {
                return Err(StsError::other(
                    400,
                    "InvalidInput",
                    "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
                ));
            }
            tags.insert(key.to_owned(), value.to_owned());
        }
        Ok(tags)
    }

    /// `{list}.member.1`, `{list}.member.2`, …, up to one more than `most`.
    pub fn list(&self, list: &str, most: usize) -> Vec<String> {
        (1..=most + 1)
            .map_while(|number| self.params.get(&format!("{list}.member.{number}")))
            .map(str::to_owned)
            .collect()
    }

    /// The path and the name of something to be made: `teams/payments/Deploy`, without the slash in front.
    pub fn placed(&self, name: &str) -> Result<String, StsError> {
        let path = self.optional("Path", &PATH)?.unwrap_or("/");
        if !(path.starts_with('/') && path.ends_with('/')) {
            return Err(StsError::validation(
                "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric \
                 characters and/or / characters.",
            ));
        }
        Ok(format!("{}{name}", path.trim_start_matches('/')))
    }

    /// One page of a list: `MaxItems` at most, after `Marker`. Gives the marker of the next one.
    pub fn page<T>(&self, items: Vec<T>) -> Result<(Vec<T>, Option<String>), StsError> {
        let number = |name: &str| self.params.get(name).map(str::parse::<usize>).transpose();
        let invalid = |name: &str| StsError::validation(format!("Invalid {name}."));
        let max = number("MaxItems").map_err(|_| invalid("MaxItems"))?.unwrap_or(100);
        if !(1..=1000).contains(&max) {
            return Err(invalid("MaxItems"));
        }
        let from = number("Marker").map_err(|_| invalid("Marker"))?.unwrap_or(0);
        let more = items.len() > from.saturating_add(max);
        let page = items.into_iter().skip(from).take(max).collect();
        Ok((page, more.then(|| (from + max).to_string())))
    }
}
