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

impl SessionName {
    /// The nearest valid name to what the person is called; what is legal is kept, and the rest is replaced
    /// so that no two people share a name.
    #[must_use]
    pub fn for_person(who: &str) -> Self {
        Self(legal_name(who))
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
        Self(legal_name(who))
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
fn legal_name(who: &str) -> String {
    if (MIN..=MAX).contains(&who.len()) && who.bytes().all(is_name_byte) {
        return who.to_owned();
    }
    let digest = openssl::sha::sha256(who.as_bytes());
    let mut name: String =
        who.chars().map(|c| if c.is_ascii() && is_name_byte(c as u8) { c } else { '-' }).take(MAX - 13).collect();
    name.push('-');
    for byte in &digest[..6] {
        use std::fmt::Write as _;
        let _ = write!(name, "{byte:02x}");
    }
    name
}
