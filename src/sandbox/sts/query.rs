//! The AWS query protocol: parameters, and the checks of the service model before an operation begins.

use std::collections::BTreeMap;

use super::error::StsError;

/// Form parameters in the order they came. The first of two with the same name counts.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads `a=b&c=d`, with `+` or `%20` for a space.
    pub fn parse(text: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(text).map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// `{list}.member.{n}`, by rising `n`.
    pub fn texts(&self, list: &str) -> Vec<(u32, &str)> {
        self.members(list, |rest| rest.is_empty().then_some(0))
            .into_iter()
            .filter_map(|(number, [text])| Some((number, text?)))
            .collect()
    }

    /// The members `{list}.member.{n}.{field}` of each structure in a list, by rising `n`.
    pub fn structures<const N: usize>(&self, list: &str, fields: &[&str; N]) -> Vec<(u32, [Option<&str>; N])> {
        self.members(list, |rest| fields.iter().position(|field| rest.strip_prefix('.') == Some(field)))
    }

    /// What stands under `{list}.member.{n}`: `place` tells which member of the structure a name's rest is.
    fn members<const N: usize>(
        &self,
        list: &str,
        place: impl Fn(&str) -> Option<usize>,
    ) -> Vec<(u32, [Option<&str>; N])> {
        let mut found: BTreeMap<u32, [Option<&str>; N]> = BTreeMap::new();
        for (name, value) in &self.0 {
            let Some(rest) = name.strip_prefix(list).and_then(|rest| rest.strip_prefix(".member.")) else { continue };
            let (number, rest) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
            let Some(number) = number.parse::<u32>().ok().filter(|number| *number > 0) else { continue };
            if let Some(place) = place(rest) {
                found.entry(number).or_insert([None; N])[place].get_or_insert(value.as_str());
            }
        }
        found.into_iter().collect()
    }
}

/// The allowed characters, and how the model writes them.
type Pattern = (fn(char) -> bool, &'static str);

/// A string type of the service model. Lengths are in Unicode scalar values.
#[derive(Debug, Clone, Copy)]
pub struct TextShape {
    min: usize,
    max: usize,
    pattern: Option<Pattern>,
    /// Sensitive values are not repeated in messages.
    sensitive: bool,
}

impl TextShape {
    /// Whether a value has this shape.
    pub fn fits(&self, value: &str) -> bool {
        (self.min..=self.max).contains(&value.chars().count())
            && self.pattern.is_none_or(|(allowed, _)| value.chars().all(allowed))
    }
}

/// For services that share this protocol.
impl TextShape {
    pub const fn new(min: usize, max: usize, allowed: fn(char) -> bool, pattern: &'static str) -> Self {
        Self { min, max, pattern: Some((allowed, pattern)), sensitive: false }
    }

    pub const fn any(min: usize, max: usize) -> Self {
        Self { min, max, pattern: None, sensitive: false }
    }
}

/// `arnType`. Characters beyond the basic plane fail although the pattern seems to allow them.
pub const ARN: TextShape = TextShape {
    min: 20,
    max: 2048,
    pattern: Some((
        |c| matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}'),
        "[\\u0009\\u000A\\u000D\\u0020-\\u007E\\u0085\\u00A0-\\uD7FF\\uE000-\\uFFFD\\u10000-\\u10FFFF]+",
    )),
    sensitive: false,
};

/// `SAMLAssertionType`.
pub const SAML_ASSERTION: TextShape = TextShape { min: 4, max: 100_000, pattern: None, sensitive: true };

/// `sessionPolicyDocumentType`.
pub const SESSION_POLICY: TextShape = TextShape {
    min: 1,
    max: 2048,
    pattern: Some((|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}'), "[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+")),
    sensitive: false,
};

/// `unrestrictedSessionPolicyDocumentType`: of `AssumeRole` the model gives no greatest length; the documented one counts.
pub const LONG_SESSION_POLICY: TextShape = TextShape { max: usize::MAX, ..SESSION_POLICY };

/// `roleSessionNameType`.
pub const ROLE_SESSION_NAME: TextShape = TextShape { min: 2, max: 64, pattern: Some(NAME), sensitive: false };

/// `sourceIdentityType`, as AWS takes it: four times as long as the model says.
pub const SOURCE_IDENTITY: TextShape = TextShape { min: 2, max: 256, pattern: Some(NAME), sensitive: false };

/// The same in claims of tokens, where the documented length counts.
pub const SOURCE_IDENTITY_CLAIM: TextShape = TextShape { max: 64, ..SOURCE_IDENTITY };

/// `externalIdType`.
pub const EXTERNAL_ID: TextShape = TextShape {
    min: 2,
    max: 1224,
    pattern: Some((|c| is_name_char(c) || matches!(c, ':' | '/'), "[\\w+=,.@:\\/-]*")),
    sensitive: false,
};

/// `userNameType`.
pub const USER_NAME: TextShape = TextShape { min: 2, max: 32, pattern: Some(NAME), sensitive: false };

/// `serialNumberType`.
pub const SERIAL_NUMBER: TextShape = TextShape {
    min: 9,
    max: 256,
    pattern: Some((|c| is_name_char(c) || matches!(c, ':' | '/'), "[\\w+=/:,.@-]*")),
    sensitive: false,
};

/// `tokenCodeType`.
pub const TOKEN_CODE: TextShape =
    TextShape { min: 6, max: 6, pattern: Some((|c| c.is_ascii_digit(), "[\\d]*")), sensitive: false };

/// `clientTokenType`.
pub const CLIENT_TOKEN: TextShape = TextShape { min: 4, max: 20_000, pattern: None, sensitive: true };

/// `urlType`.
pub const URL: TextShape = TextShape { min: 4, max: 2048, pattern: None, sensitive: false };

/// `accessKeyIdType`.
pub const ACCESS_KEY_ID: TextShape = TextShape {
    min: 16,
    max: 128,
    pattern: Some((|c| c.is_ascii_alphanumeric() || c == '_', "[\\w]*")),
    sensitive: false,
};

/// `encodedMessageType`.
pub const ENCODED_MESSAGE: TextShape = TextShape { min: 1, max: 10_240, pattern: None, sensitive: false };

/// `TargetPrincipalType`.
pub const TARGET_PRINCIPAL: TextShape = TextShape { min: 12, max: 2048, pattern: None, sensitive: false };

/// `ContextAssertion`.
pub const CONTEXT_ASSERTION: TextShape = TextShape { min: 4, max: 2048, pattern: None, sensitive: false };

/// `\w` means ASCII in practice.
const NAME: Pattern = (is_name_char, "[\\w+=,.@-]*");

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_+=,.@-".contains(c)
}

/// `tagKeyType`.
pub const TAG_KEY: TextShape =
    TextShape { min: 1, max: 128, pattern: Some((is_tag_char, "[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+")), sensitive: false };

/// `tagValueType`.
pub const TAG_VALUE: TextShape =
    TextShape { min: 0, max: 256, pattern: Some((is_tag_char, "[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*")), sensitive: false };

/// A letter, a separator or a number in Unicode's sense, or one of the marks.
fn is_tag_char(c: char) -> bool {
    c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c)
}

/// Collects every violation of the model, because AWS reports them all at once.
#[derive(Debug, Default)]
pub struct Checks(Vec<String>);

impl Checks {
    /// A parameter that must be there; the empty text when it is not, which [`finish`](Self::finish) then reports.
    pub fn required<'a>(&mut self, params: &'a Params, name: &str, shape: &TextShape) -> &'a str {
        self.required_value(name, params.get(name), shape)
    }

    /// As [`required`](Self::required), for a member of a structure.
    pub fn required_value<'a>(&mut self, name: &str, value: Option<&'a str>, shape: &TextShape) -> &'a str {
        match value {
            Some(value) => {
                self.text(name, value, shape);
                value
            }
            None => {
                self.missing(name, shape.sensitive);
                ""
            }
        }
    }

    /// Something that must be there is not.
    pub fn missing(&mut self, name: &str, sensitive: bool) {
        let value = if sensitive { "Value" } else { "Value null" };
        self.0.push(format!("{value} at '{}' failed to satisfy constraint: Member must not be null", camel(name)));
    }

    /// A list's length against its bound. AWS prints the list in a form of its own; here it is left out.
    pub fn count(&mut self, name: &str, length: usize, max: usize) {
        if length > max {
            self.0.push(format!(
                "Value at '{name}' failed to satisfy constraint: Member must have length less than or equal to {max}"
            ));
        }
    }

    pub fn optional<'a>(&mut self, params: &'a Params, name: &str, shape: &TextShape) -> Option<&'a str> {
        let value = params.get(name)?;
        self.text(name, value, shape);
        Some(value)
    }

    /// One value against its shape.
    pub fn text(&mut self, name: &str, value: &str, shape: &TextShape) {
        let length = value.chars().count();
        let mut violated = |constraint: String| {
            let shown = if shape.sensitive { "Value".to_owned() } else { format!("Value '{value}'") };
            self.0.push(format!("{shown} at '{}' failed to satisfy constraint: {constraint}", camel(name)));
        };
        if length < shape.min {
            violated(format!("Member must have length greater than or equal to {}", shape.min));
        }
        if length > shape.max {
            violated(format!("Member must have length less than or equal to {}", shape.max));
        }
        if let Some((allowed, pattern)) = shape.pattern
            && !(value.is_empty() || value.chars().all(allowed))
        {
            violated(format!("Member must satisfy regular expression pattern: {pattern}"));
        }
    }

    /// A number against its bounds.
    pub fn range(&mut self, name: &str, value: i32, min: i32, max: i32) {
        let mut violated = |constraint: String| {
            let name = camel(name);
            self.0.push(format!("Value '{value}' at '{name}' failed to satisfy constraint: {constraint}"));
        };
        if value < min {
            violated(format!("Member must have value greater than or equal to {min}"));
        }
        if value > max {
            violated(format!("Member must have value less than or equal to {max}"));
        }
    }

    /// # Errors
    /// `ValidationError` with every violation, when there is one.
    pub fn finish(self) -> Result<(), StsError> {
        match self.0.len() {
            0 => Ok(()),
            n => {
                let errors = if n == 1 { "error" } else { "errors" };
                Err(StsError::validation(format!("{n} validation {errors} detected: {}", self.0.join("; "))))
            }
        }
    }
}

/// A member's name as messages write it: only the first letter is lowered, even in `sAMLAssertion`.
fn camel(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| first.to_ascii_lowercase().to_string() + chars.as_str())
}

/// An integer parameter as the protocol reads it: `+900` and `0900` are 900.
///
/// # Errors
/// `MalformedInput`, with a message only when the value is empty.
pub fn integer(params: &Params, name: &str) -> Result<Option<i32>, StsError> {
    match params.get(name) {
        None => Ok(None),
        Some("") => Err(StsError::malformed_input(Some("missing value for decimal type"))),
        Some(text) => text.parse().map(Some).map_err(|_| StsError::malformed_input(None)),
    }
}

/// Whether a text has the outline of an ARN: six parts, of which partition, service and resource are not empty.
pub fn looks_like_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    matches!(parts[..], ["arn", partition, service, _, _, resource]
        if !partition.is_empty() && !service.is_empty() && !resource.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_two_parameters_counts() {
        let params = Params::parse(b"A=1+2&A=3&B=%2B%20");
        assert_eq!((params.get("A"), params.get("B"), params.get("C")), (Some("1 2"), Some("+ "), None));
    }

    #[test]
    fn lists_are_read_by_number() {
        let params = Params::parse(b"P.member.2.arn=b&P.member.1.arn=a&P.member.x.arn=c&P.member.10.arn=d&P.arn=e");
        let arns: Vec<_> = params.structures("P", &["arn"]).into_iter().map(|(number, [arn])| (number, arn)).collect();
        assert_eq!(arns, [(1, Some("a")), (2, Some("b")), (10, Some("d"))]);
        let params =
            Params::parse(b"T.member.1.Key=a&T.member.1.Key=b&T.member.2.Value=c&T.member.0.Key=z&K.member.1=x");
        assert_eq!(params.structures("T", &["Key", "Value"]), [(1, [Some("a"), None]), (2, [None, Some("c")])]);
        assert_eq!(params.texts("K"), [(1, "x")]);
        assert!(params.texts("T").is_empty());
    }

    #[test]
    fn all_violations_are_reported_at_once_in_the_words_of_aws() {
        let params = Params::parse("RoleArn=short&SAMLAssertion=abc&Policy=%E2%82%AC".as_bytes());
        let mut checks = Checks::default();
        checks.required(&params, "RoleArn", &ARN);
        checks.required(&params, "PrincipalArn", &ARN);
        checks.required(&params, "SAMLAssertion", &SAML_ASSERTION);
        checks.optional(&params, "Policy", &SESSION_POLICY);
        checks.range("DurationSeconds", 899, 900, 43_200);
        let error = checks.finish().unwrap_err();
        assert_eq!(
            error.message.unwrap(),
            "5 validation errors detected: Value 'short' at 'roleArn' failed to satisfy constraint: Member must have \
             length greater than or equal to 20; Value null at 'principalArn' failed to satisfy constraint: Member must \
             not be null; Value at 'sAMLAssertion' failed to satisfy constraint: Member must have length greater than \
             or equal to 4; Value '€' at 'policy' failed to satisfy constraint: Member must satisfy regular expression \
             pattern: [\\u0009\\u000A\\u000D\\u0020-\\u00FF]+; Value '899' at 'durationSeconds' failed to satisfy \
             constraint: Member must have value greater than or equal to 900"
        );
        let mut one = Checks::default();
        one.range("DurationSeconds", 43_201, 900, 43_200);
        assert_eq!(
            one.finish().unwrap_err().message.unwrap(),
            "1 validation error detected: Value '43201' at 'durationSeconds' failed to satisfy constraint: Member must \
             have value less than or equal to 43200"
        );
    }

    #[test]
    fn integers_are_read_as_the_protocol_does() {
        let read = |text: &str| integer(&Params(vec![("N".into(), text.into())]), "N");
        assert_eq!(read("+900").unwrap(), Some(900));
        assert_eq!(read("0900").unwrap(), Some(900));
        for bad in ["900.0", "x", "2147483648", " 900"] {
            assert_eq!(read(bad).unwrap_err(), StsError::malformed_input(None), "{bad}");
        }
        assert_eq!(read("").unwrap_err().message.as_deref(), Some("missing value for decimal type"));
    }
}
