//! Names that end up in CloudTrail: they come from the person, so that a log line leads back to one.

use std::fmt;

use super::arn::is_name_byte;

/// A name AWS would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not a valid {what}: write {rule}")]
pub struct InvalidName {
    pub what: &'static str,
    pub value: String,
    pub rule: &'static str,
}

const MIN: usize = 2;
const MAX: usize = 64;

/// `RoleSessionName`: 2 to 64 of `[\w+=,.@-]`.
///
/// Spec: AWS STS API Reference, type `roleSessionNameType`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionName(String);

/// `SourceIdentity`: 2 to 64 of `[\w+=,.@-]`, not beginning with `aws:`, which the charset rules out already.
///
/// Spec: AWS STS API Reference, type `sourceIdentityType`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceIdentity(String);

/// The `Name` of a federated user: 2 to 32 of `[\w+=,.@-]`.
///
/// Spec: AWS STS API Reference, `GetFederationToken`, type `userNameType`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FederatedName(String);

/// What an account demands to hear of whoever comes from outside: 2 to 1,224 of `[\w+=,.@:/-]`.
///
/// Spec: AWS STS API Reference, type `externalIdType`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExternalId(String);

impl FederatedName {
    /// As [`SessionName::for_person`], in half the room.
    #[must_use]
    pub fn for_person(who: &str) -> Self {
        Self(legal_name(who, 32))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FederatedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ExternalId {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for ExternalId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |b: u8| is_name_byte(b) || b == b':' || b == b'/';
        if (MIN..=1_224).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName {
                what: "external ID",
                value: text.to_owned(),
                rule: "2 to 1224 letters, digits and any of _+=,.@:/-",
            })
        }
    }
}

impl TryFrom<String> for ExternalId {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ExternalId> for String {
    fn from(id: ExternalId) -> Self {
        id.0
    }
}

impl SessionName {
    /// The nearest valid name to what the person is called; what is legal is kept, and the rest is replaced
    /// so that no two people share a name.
    #[must_use]
    pub fn for_person(who: &str) -> Self {
        Self(legal_name(who, MAX))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SourceIdentity {
    /// The nearest valid name to what the person is called; what is legal is kept, and the rest is replaced
    /// so that no two people share a name.
    #[must_use]
    pub fn for_person(who: &str) -> Self {
        Self(legal_name(who, MAX))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SourceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes `who` legal without letting two people share a name.
///
/// A legal text is kept as it is. Otherwise each illegal character becomes `-`, the text is cut, and `-` plus the
/// first 12 hex digits of the SHA-256 of the original are appended: the audit log holds the original beside it.
fn legal_name(who: &str, max: usize) -> String {
    if (MIN..=max).contains(&who.len()) && who.bytes().all(is_name_byte) {
        return who.to_owned();
    }
    let digest = openssl::sha::sha256(who.as_bytes());
    let mut name: String =
        who.chars().map(|c| if c.is_ascii() && is_name_byte(c as u8) { c } else { '-' }).take(max - 13).collect();
    name.push('-');
    for byte in &digest[..6] {
        use std::fmt::Write as _;
        let _ = write!(name, "{byte:02x}");
    }
    name
}
