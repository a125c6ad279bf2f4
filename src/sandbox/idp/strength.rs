//! How somebody signed in. Two ways are enough to try what applications do about the difference.

use serde::{Deserialize, Serialize};

/// The ways to sign in here, weaker first. Nothing is checked: what counts is what is said about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strength {
    #[default]
    Password,
    /// A password and a security key: two factors.
    SecurityKey,
}

/// What somebody is asked to prove when an authentication context is named.
///
/// Spec: SAML core 3.3.2.2.1, attribute `Comparison`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    #[default]
    Exact,
    Minimum,
    Maximum,
    Better,
}

impl Strength {
    pub const ALL: [Self; 2] = [Self::Password, Self::SecurityKey];

    /// Its name in forms.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::SecurityKey => "security-key",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strength| strength.name() == name)
    }

    pub const fn label(self) -> &'static str {
        match self {
            Self::Password => "Password",
            Self::SecurityKey => "Password and security key",
        }
    }

    /// The `AuthnContextClassRef` of SAML, and the `acr` of OpenID Connect: one vocabulary, so that one rule of an
    /// application fits both.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Password => "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport",
            Self::SecurityKey => "https://refeds.org/profile/mfa",
        }
    }

    pub fn from_class(class: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strength| strength.class() == class)
    }

    /// The `amr` of OpenID Connect.
    ///
    /// Spec: RFC 8176.
    pub const fn methods(self) -> &'static [&'static str] {
        match self {
            Self::Password => &["pwd"],
            Self::SecurityKey => &["pwd", "hwk", "mfa"],
        }
    }

    /// Whether this is what a request asks for that names these classes. Classes nobody here knows are met by nothing.
    pub fn meets(self, comparison: Comparison, classes: &[String]) -> bool {
        let mut known = classes.iter().filter_map(|class| Self::from_class(class));
        match comparison {
            Comparison::Exact => known.any(|asked| self == asked),
            Comparison::Minimum => known.any(|asked| self >= asked),
            Comparison::Maximum => known.any(|asked| self <= asked),
            // Better than every one that is named, and one that is unknown may be better still.
            Comparison::Better => {
                let asked: Vec<Self> = known.collect();
                asked.len() == classes.len() && asked.iter().all(|asked| self > *asked)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_met_as_its_comparison_says() {
        use Comparison::{Better, Exact, Maximum, Minimum};
        let (password, key) = (Strength::Password, Strength::SecurityKey);
        let of = |strengths: &[Strength]| strengths.iter().map(|s| s.class().to_owned()).collect::<Vec<_>>();
        for (strength, comparison, classes, met) in [
            (password, Exact, of(&[password]), true),
            (password, Exact, of(&[key]), false),
            (key, Exact, of(&[password]), false),
            (key, Exact, of(&[password, key]), true),
            (key, Exact, vec!["urn:unknown".to_owned()], false),
            (key, Exact, vec!["urn:unknown".to_owned(), key.class().to_owned()], true),
            (key, Minimum, of(&[password]), true),
            (password, Minimum, of(&[key]), false),
            (password, Maximum, of(&[key]), true),
            (key, Maximum, of(&[password]), false),
            (key, Better, of(&[password]), true),
            (key, Better, of(&[password, key]), false),
            (key, Better, vec!["urn:unknown".to_owned()], false),
        ] {
            assert_eq!(strength.meets(comparison, &classes), met, "{strength:?} {comparison:?} {classes:?}");
        }
        for strength in Strength::ALL {
            assert_eq!(Strength::from_name(strength.name()), Some(strength));
            assert_eq!(Strength::from_class(strength.class()), Some(strength));
        }
    }
}
