//! Parameters of a query or a form, each there once.

use std::collections::BTreeMap;

/// More than any honest request has.
const LONGEST: usize = 64 * 1024;

/// Parameters by name; those without a value count as left out.
///
/// Spec: RFC 6749 3.1.
#[derive(Debug, Clone, Default)]
pub struct Params(BTreeMap<String, String>);

/// Why parameters are not looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// Which of two would count is a question that programs answer differently.
    #[error("The parameter {0} is there more than once.")]
    Repeated(String),
    #[error("There are more than {LONGEST} bytes of parameters.")]
    TooLong,
}

impl Params {
    /// # Errors
    /// [`ParamsError`]
    pub fn parse(encoded: &[u8]) -> Result<Self, ParamsError> {
        if encoded.len() > LONGEST {
            return Err(ParamsError::TooLong);
        }
        let mut params = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(encoded) {
            if params.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(ParamsError::Repeated(crate::saml::names::excerpt(&name)));
            }
        }
        params.retain(|_, value| !value.is_empty());
        Ok(Self(params))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// The words of a parameter that is a list with spaces between.
    pub fn words(&self, name: &str) -> Vec<&str> {
        self.get(name).map(|value| value.split(' ').filter(|word| !word.is_empty()).collect()).unwrap_or_default()
    }

    /// As a query string.
    pub fn encoded(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_there_once_or_not_at_all() {
        let params = Params::parse(b"a=1+2%263&b=&c=x%20y++z").unwrap();
        assert_eq!((params.get("a"), params.get("b")), (Some("1 2&3"), None));
        assert_eq!(params.words("c"), ["x", "y", "z"]);
        assert_eq!(Params::parse(params.encoded().as_bytes()).unwrap().get("a"), Some("1 2&3"));
        for repeated in ["a=1&a=1", "a=&a=1", "a=1&%61=2"] {
            assert_eq!(Params::parse(repeated.as_bytes()).unwrap_err(), ParamsError::Repeated("a".to_owned()));
        }
        assert_eq!(Params::parse(&vec![b'a'; LONGEST + 1]).unwrap_err(), ParamsError::TooLong);
    }
}
