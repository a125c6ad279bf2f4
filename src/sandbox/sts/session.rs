//! What every way to a session shares: its policies, its tags, how much of the space for both is used, its length, and the
//! credentials in the answer.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret as _;

use super::answer::Member;
use super::error::StsError;
use super::query::{self, Checks, Params, TextShape};
use crate::aws::{AccountId, Credentials, Partition, SessionDuration};
use crate::saml::names;
use crate::sandbox::credentials::{Session, SessionPolicies, deflated};
use crate::sandbox::iam::Iam;
use crate::sandbox::policy::{Policy, PolicyKind};

pub const MAX_TAGS: usize = 50;
const MAX_POLICY_ARNS: usize = 10;
/// An inline policy and all ARNs of managed ones, together, in characters.
const MAX_POLICY_TEXT: usize = 2048;
/// How many compressed bytes of policies and tags there is room for. AWS does not tell its own number; with this one the
/// requests in its documentation use about the share that the answers beside them say.
const MAX_PACKED: usize = 2048;

/// Session policies whose members are well-formed by themselves.
pub struct AskedPolicies<'a> {
    inline: Option<&'a str>,
    arns: Vec<&'a str>,
}

impl<'a> AskedPolicies<'a> {
    /// `Policy` and `PolicyArns`.
    pub fn read(params: &'a Params, checks: &mut Checks, shape: &TextShape) -> Self {
        let inline = checks.optional(params, "Policy", shape);
        let arns = params.structures("PolicyArns", &["arn"]);
        let arns = arns
            .into_iter()
            .map(|(number, members)| {
                checks.required_value(&format!("policyArns.{number}.member.arn"), members[0], &query::ARN)
            })
            .collect();
        Self { inline, arns }
    }

    /// Everything that can be said without knowing whether the caller may do this at all.
    ///
    /// # Errors
    /// Not an ARN, too many of them, a document that is no policy, too much text.
    pub fn checked(&self) -> Result<SessionPolicies, StsError> {
        for arn in &self.arns {
            check_arn(arn)?;
        }
        if self.arns.len() > MAX_POLICY_ARNS {
            return Err(StsError::validation(format!("The number of policies must not exceed {MAX_POLICY_ARNS}.")));
        }
        if let Some(policy) = self.inline {
            Policy::parse(PolicyKind::Session, policy)
                .map_err(|error| StsError::malformed_policy(error.to_string()))?;
        }
        let text = self.inline.into_iter().chain(self.arns.iter().copied()).map(|text| text.chars().count()).sum();
        if text > MAX_POLICY_TEXT {
            return Err(StsError::packed_policy_too_large(format!(
                "Packed size of session policies consumes {}% of allotted space.",
                percentage(text, MAX_POLICY_TEXT)
            )));
        }
        Ok(SessionPolicies {
            inline: self.inline.map(str::to_owned),
            arns: self.arns.iter().map(|arn| (*arn).to_owned()).collect(),
        })
    }
}

/// # Errors
/// `ValidationError` when the text has not the outline of an ARN.
pub fn check_arn(text: &str) -> Result<(), StsError> {
    if query::looks_like_arn(text) { Ok(()) } else { Err(StsError::validation(format!("{text} is invalid"))) }
}

/// Managed policies of a session must exist, and belong to the account or to AWS.
///
/// # Errors
/// `ValidationError`; AWS's own words for this are not known.
pub fn check_managed(
    iam: &Iam,
    policies: &SessionPolicies,
    partition: Partition,
    account: AccountId,
) -> Result<(), StsError> {
    match policies.arns.iter().find(|arn| iam.managed(partition, account, arn).is_none()) {
        None => Ok(()),
        Some(arn) => Err(StsError::validation(format!("Policy {arn} does not exist or is not attachable."))),
    }
}

/// Session tags, in order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tags {
    pub tags: BTreeMap<String, String>,
    pub transitive: Vec<String>,
}

impl Tags {
    /// Tags from pairs that are well-formed by themselves.
    ///
    /// # Errors
    /// A reserved or a repeated key, or a transitive one that is not among the tags.
    pub fn new<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        transitive: &[String],
    ) -> Result<Self, StsError> {
        let mut tags: BTreeMap<String, String> = BTreeMap::new();
        for (key, value) in pairs {
            if is_reserved(key) || is_reserved(value) {
                return Err(StsError::invalid_parameter_value("Tag keys and values must not begin with aws:"));
            }
            if tags.keys().any(|known| same_key(known, key)) {
                return Err(StsError::invalid_parameter_value(
                    "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
                ));
            }
            tags.insert(key.to_owned(), value.to_owned());
        }
        // As the tag writes it, whose case is kept.
        let transitive = transitive
            .iter()
            .map(|key| tags.keys().find(|known| same_key(known, key)).cloned())
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| {
                StsError::invalid_parameter_value(
                    "The specified transitive tag key must be included in the requested tags.",
                )
            })?;
        Ok(Self { tags, transitive })
    }

    /// `Tags` and `TransitiveTagKeys`; the caller goes on with [`new`](Self::new) once all checks are done.
    pub fn read<'a>(params: &'a Params, checks: &mut Checks) -> Vec<(&'a str, &'a str)> {
        let found = params.structures("Tags", &["Key", "Value"]);
        checks.count("tags", found.len(), MAX_TAGS);
        found
            .into_iter()
            .map(|(number, members)| {
                let key = checks.required_value(&format!("tags.{number}.member.key"), members[0], &query::TAG_KEY);
                let value =
                    checks.required_value(&format!("tags.{number}.member.value"), members[1], &query::TAG_VALUE);
                (key, value)
            })
            .collect()
    }

    /// `TransitiveTagKeys`.
    pub fn read_transitive(params: &Params, checks: &mut Checks) -> Vec<String> {
        let found = params.texts("TransitiveTagKeys");
        checks.count("transitiveTagKeys", found.len(), MAX_TAGS);
        for (number, key) in &found {
            checks.text(&format!("transitiveTagKeys.{number}.member"), key, &query::TAG_KEY);
        }
        found.into_iter().map(|(_, key)| key.to_owned()).collect()
    }

    /// These tags on top of what passes on from the caller's session.
    ///
    /// # Errors
    /// A key that the caller's session holds as transitive cannot be set again.
    pub fn inheriting(mut self, caller: Option<&Session>) -> Result<Self, StsError> {
        let Some(caller) = caller else { return Ok(self) };
        let inherited = caller
            .tags
            .iter()
            .filter(|(key, _)| caller.transitive_tag_keys.iter().any(|transitive| same_key(transitive, key)));
        for (key, value) in inherited {
            if self.tags.keys().any(|own| same_key(own, key)) {
                return Err(StsError::invalid_parameter_value(
                    "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag \
                     key from the calling session.",
                ));
            }
            self.tags.insert(key.clone(), value.clone());
            self.transitive.push(key.clone());
        }
        Ok(self)
    }

    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.transitive.is_empty()
    }
}

/// Keys of tags are compared without regard to case.
fn same_key(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

fn is_reserved(text: &str) -> bool {
    text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"))
}

/// `PackedPolicySize`: the share of the space for policies and tags that is used, or `None` when there are none.
///
/// AWS packs them in a way it does not tell, and answers with a percentage. Here they are compressed together, so that the
/// number grows with what is said rather than with how often.
///
/// # Errors
/// `PackedPolicyTooLarge` when it is more than all of it.
pub fn packed_size(policies: &SessionPolicies, tags: &Tags) -> Result<Option<usize>, StsError> {
    if policies.is_none() && tags.is_empty() {
        return Ok(None);
    }
    let policy_texts = policies.inline.iter().chain(&policies.arns).map(String::as_str);
    let tag_texts = tags
        .tags
        .iter()
        .flat_map(|(key, value)| [key.as_str(), value.as_str()])
        .chain(tags.transitive.iter().map(String::as_str));
    let all = percentage(compressed(policy_texts.clone().chain(tag_texts.clone())), MAX_PACKED);
    if all <= 100 {
        return Ok(Some(all));
    }
    let tags_alone = percentage(compressed(tag_texts), MAX_PACKED);
    Err(StsError::packed_policy_too_large(if tags_alone > 100 {
        format!("Packed size of session tags consumes {tags_alone}% of allotted space.")
    } else {
        format!("Packed size of session policies consumes {all}% of allotted space.")
    }))
}

fn compressed<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    deflated(texts.collect::<Vec<_>>().join("\0").as_bytes()).len()
}

fn percentage(of: usize, whole: usize) -> usize {
    (of * 100).div_ceil(whole)
}

/// How long the session of a federated identity may last at most, in seconds: what it asks for, else an hour.
///
/// # Errors
/// `ValidationError` when the role does not allow as much.
pub fn duration(asked: Option<i32>, role_max: SessionDuration) -> Result<i64, StsError> {
    let role_max = i64::from(role_max.as_secs());
    match asked.map(i64::from) {
        Some(asked) if asked > role_max => {
            Err(StsError::validation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role."))
        }
        Some(asked) => Ok(asked),
        None => Ok(role_max.min(3600)),
    }
}

/// From `now` for so many seconds, in whole ones.
pub fn lifetime(now: Timestamp, seconds: i64) -> (Timestamp, Timestamp) {
    let from = Timestamp::from_second(now.as_second()).expect("the whole second of an instant is an instant");
    (from, from + SignedDuration::from_secs(seconds))
}

/// `Credentials` of an answer.
pub fn credentials(credentials: &Credentials) -> Member {
    Member::Structure(
        "Credentials",
        vec![
            Member::text("AccessKeyId", credentials.access_key_id.as_str()),
            Member::text("SecretAccessKey", credentials.secret_access_key.expose_secret()),
            Member::text("SessionToken", credentials.session_token.expose_secret()),
            Member::text("Expiration", names::date_time(credentials.expiration)),
        ],
    )
}

/// `AssumedRoleUser` of an answer.
pub fn assumed_role_user(session: &Session) -> Member {
    Member::Structure(
        "AssumedRoleUser",
        vec![Member::text("AssumedRoleId", session.user_id()), Member::text("Arn", session.arn())],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        Tags::new(pairs.iter().copied(), &[]).unwrap()
    }

    #[test]
    fn the_example_in_the_documentation_uses_about_the_share_it_says() {
        let inline =
            r#"{"Version":"2012-10-17","Statement":[{"Sid":"Stmt1","Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
        let policies = SessionPolicies { inline: Some(inline.to_owned()), arns: Vec::new() };
        let tags = tags(&[("Project", "Pegasus"), ("Team", "Engineering"), ("Cost-Center", "12345")]);
        let share = packed_size(&policies, &tags).unwrap().unwrap();
        assert!((6..=10).contains(&share), "{share}");
    }

    #[test]
    fn repetition_costs_little_and_variety_is_too_large() {
        assert_eq!(packed_size(&SessionPolicies::default(), &Tags::default()), Ok(None));
        let same: Vec<(String, String)> = (0..50).map(|n| (format!("Team{n}"), "payments".to_owned())).collect();
        let pairs: Vec<(&str, &str)> = same.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert!(packed_size(&SessionPolicies::default(), &tags(&pairs)).unwrap().unwrap() < 30);
        let noise: Vec<(String, String)> = (0_u32..50)
            .map(|n| {
                let digest = openssl::sha::sha512(&n.to_be_bytes());
                (format!("Team{n}"), digest.iter().map(|byte| format!("{byte:02x}")).collect())
            })
            .collect();
        let pairs: Vec<(&str, &str)> = noise.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let error = packed_size(&SessionPolicies::default(), &tags(&pairs)).unwrap_err();
        assert_eq!(error.code, "PackedPolicyTooLarge");
        let message = error.message.unwrap();
        assert!(message.starts_with("Packed size of session tags consumes 1"), "{message}");
    }

    #[test]
    fn transitive_tags_pass_on_and_cannot_be_set_again() {
        let caller = Session {
            tags: [("Team".to_owned(), "a".to_owned()), ("Own".to_owned(), "b".to_owned())].into(),
            transitive_tag_keys: vec!["team".to_owned()],
            ..crate::sandbox::credentials::tests::session()
        };
        let passed = Tags::default().inheriting(Some(&caller)).unwrap();
        assert_eq!(passed.tags, BTreeMap::from([("Team".to_owned(), "a".to_owned())]));
        assert_eq!(passed.transitive, ["Team"]);
        let error = tags(&[("TEAM", "b")]).inheriting(Some(&caller)).unwrap_err();
        assert!(error.message.unwrap().contains("conflicts with a transitive tag key"));
        assert_eq!(tags(&[("Other", "b")]).inheriting(Some(&caller)).unwrap().tags.len(), 2);
    }
}
