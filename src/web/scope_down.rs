//! What a session is to be limited to, as forms say it.

use std::collections::BTreeSet;
use std::str::FromStr;

use super::fields::Fields;
use super::problem::{Kind, Problem};
use crate::aws::{PolicyArn, PolicyDocument, ScopeDown};

/// The names of the fields, which every form that uses a role may have.
const FIELDS: [&str; 6] = ["read_only", "regions", "networks", "from_here", "policy", "policy_arns"];

/// What is wrong with the fields, each in a sentence; empty where nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldErrors {
    pub regions: String,
    pub networks: String,
    pub policy: String,
    pub policy_arns: String,
}

impl FieldErrors {
    /// The first of them, in the order of the form.
    pub(super) fn first(&self) -> &str {
        let all = [&self.regions, &self.networks, &self.policy, &self.policy_arns];
        all.into_iter().find(|error| !error.is_empty()).map_or("", String::as_str)
    }
}

/// The words of a type as a sentence of a problem.
pub(super) fn refused(words: &str) -> Problem {
    Problem::new(Kind::SessionPolicyInvalid).detail(sentence(words))
}

/// With a capital letter and a full stop.
pub(super) fn sentence(words: &str) -> String {
    let mut words = words.to_owned();
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words.push('.');
    words
}

/// Whether a form says anything about it.
pub(super) fn is_in(fields: &Fields) -> bool {
    FIELDS.iter().any(|name| fields.get(name).is_some())
}

/// Reads it from a form.
///
/// # Errors
/// What is wrong, by field.
pub(super) fn read(fields: &Fields) -> Result<ScopeDown, FieldErrors> {
    let mut errors = FieldErrors::default();
    let scope = ScopeDown {
        read_only: fields.filled("read_only").is_some(),
        regions: list(fields, "regions", &mut errors.regions).into_iter().collect(),
        networks: list(fields, "networks", &mut errors.networks).into_iter().collect(),
        from_here: fields.filled("from_here").is_some(),
        policy: policy(fields, &mut errors.policy),
        policy_arns: unique(list(fields, "policy_arns", &mut errors.policy_arns)),
    };
    if errors == FieldErrors::default() { Ok(scope) } else { Err(errors) }
}

/// What is parted by white space, commas or semicolons. The first that makes no sense is the error.
fn list<T: FromStr<Err: std::fmt::Display>>(fields: &Fields, name: &str, error: &mut String) -> Vec<T> {
    let text = fields.get(name).unwrap_or_default();
    let parts = text.split(|c: char| c.is_whitespace() || c == ',' || c == ';').filter(|part| !part.is_empty());
    let mut read = Vec::new();
    for part in parts {
        match part.parse::<T>() {
            Ok(value) => read.push(value),
            Err(why) if error.is_empty() => *error = sentence(&why.to_string()),
            Err(_) => {}
        }
    }
    read
}

fn unique(arns: Vec<PolicyArn>) -> Vec<PolicyArn> {
    let mut seen = BTreeSet::new();
    arns.into_iter().filter(|arn| seen.insert(arn.clone())).collect()
}

fn policy(fields: &Fields, error: &mut String) -> Option<PolicyDocument> {
    let text = fields.get("policy").filter(|text| !text.trim().is_empty())?;
    text.parse().map_err(|why: crate::aws::InvalidSessionPolicy| *error = sentence(&why.to_string())).ok()
}

/// The fields that say it again: for the hidden ones of a form.
pub(super) fn fields_of(scope: &ScopeDown) -> Vec<(&'static str, String)> {
    let ScopeDown { read_only, regions, networks, from_here, policy, policy_arns } = scope;
    let joined = |texts: Vec<String>| texts.join(" ");
    let all = [
        ("read_only", if *read_only { "true".to_owned() } else { String::new() }),
        ("regions", joined(regions.iter().map(ToString::to_string).collect())),
        ("networks", joined(networks.iter().map(ToString::to_string).collect())),
        ("from_here", if *from_here { "true".to_owned() } else { String::new() }),
        ("policy", policy.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("policy_arns", joined(policy_arns.iter().map(ToString::to_string).collect())),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&'static str, String)]) -> Fields {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in pairs {
            text.append_pair(name, value);
        }
        Fields::parse(text.finish().as_bytes()).unwrap()
    }

    fn sent(pairs: &[(&'static str, &str)]) -> Fields {
        fields(&pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect::<Vec<_>>())
    }

    #[test]
    fn a_form_says_again_what_it_was_read_as() {
        let form = sent(&[
            ("read_only", "true"),
            ("regions", "eu-west-1, us-east-1\n"),
            ("networks", "203.0.113.7/24; 198.51.100.1"),
            ("from_here", "true"),
            ("policy", "{\"Statement\": {\"Effect\": \"Deny\", \"Action\": \"s3:*\", \"Resource\": \"*\"}}"),
            ("policy_arns", "arn:aws:iam::aws:policy/A arn:aws:iam::aws:policy/A"),
        ]);
        let scope = read(&form).unwrap();
        assert_eq!((scope.regions.len(), scope.networks.len(), scope.policy_arns.len()), (2, 2, 1));
        assert!(scope.read_only && scope.from_here && scope.policy.is_some());
        assert_eq!(read(&fields(&fields_of(&scope))).unwrap(), scope);
        assert!(is_in(&form) && !is_in(&sent(&[("duration", "3600")])));
        assert!(read(&sent(&[("regions", " "), ("policy", "\n"), ("read_only", "")])).unwrap().is_empty());
    }

    #[test]
    fn each_field_has_its_own_error() {
        let form =
            sent(&[("regions", "moon"), ("networks", "office"), ("policy", "{"), ("policy_arns", "ReadOnlyAccess")]);
        let errors = read(&form).unwrap_err();
        assert_eq!(
            errors.networks,
            "`office` is no network; write a CIDR block such as 203.0.113.0/24, or one address."
        );
        assert_eq!(errors.policy, "An inline session policy is a JSON object with a `Statement`.");
        assert!(errors.regions.contains("moon") && errors.policy_arns.starts_with("`ReadOnlyAccess` is not the ARN"));
    }
}
