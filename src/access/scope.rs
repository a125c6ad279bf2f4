//! What a token may be used for: never more than its person may, and perhaps less.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::aws::{AccountId, RoleName};
use crate::catalog::RoleId;

/// What somebody lets a program do for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Whether credentials and console links may be had, or the lists only be read.
    pub issue: bool,
    /// The roles it is limited to; `None`: whatever the person may use at the time.
    pub roles: Option<BTreeSet<RoleId>>,
}

impl Scope {
    /// Everything the person may do.
    pub const FULL: Self = Self { issue: true, roles: None };
    /// To look only.
    pub const READ: Self = Self { issue: false, roles: None };

    /// Whether a role is within it.
    #[must_use]
    pub fn covers(&self, account: AccountId, name: &RoleName) -> bool {
        self.roles.as_ref().is_none_or(|roles| roles.iter().any(|role| role.account == account && role.name == *name))
    }

    /// What is left of it for somebody who asks for no more than `asked`; `None` where that is more than there is.
    /// Roles cannot be asked for by OAuth's words, so those stay as they are.
    #[must_use]
    pub fn narrowed_to(&self, asked: &Self) -> Option<Self> {
        let wider = asked.issue && !self.issue;
        (!wider).then(|| Self { issue: asked.issue, roles: self.roles.clone() })
    }

    /// Whether credentials of a role may be had.
    #[must_use]
    pub fn lets_issue(&self, account: AccountId, name: &RoleName) -> bool {
        self.issue && self.covers(account, name)
    }
}

/// Scopes as OAuth writes them (RFC 6749 3.3): `read` to see who one is and which roles there are, `issue` to get
/// credentials and console links too. AWS's tools ask for `sso:account:access`, which is the same as both.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.issue { "read issue" } else { "read" })
    }
}

/// The text asks for something there is no scope for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no scope; ask for read, issue or sso:account:access")]
pub struct UnknownScope(pub String);

impl FromStr for Scope {
    type Err = UnknownScope;

    /// Reads a list of scopes separated by spaces. An empty one asks for everything there is.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split(' ').filter(|word| !word.is_empty()).peekable();
        if words.peek().is_none() {
            return Ok(Self::FULL);
        }
        let mut issue = false;
        for word in words {
            match word {
                "read" => {}
                "issue" | "sso:account:access" => issue = true,
                other => return Err(UnknownScope(other.chars().take(100).collect())),
            }
        }
        Ok(Self { issue, roles: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_oauth_writes_them() {
        for (text, issue) in
            [("", true), ("read", false), ("issue", true), ("read issue", true), ("sso:account:access", true)]
        {
            let scope: Scope = text.parse().unwrap();
            assert_eq!((scope.issue, &scope.roles), (issue, &None), "{text}");
            assert_eq!(scope.to_string().parse::<Scope>().unwrap(), scope);
        }
        assert_eq!("read admin".parse::<Scope>().unwrap_err().0, "admin");
    }

    #[test]
    fn a_scope_is_narrowed_and_never_widened() {
        let role: RoleId = "111122223333/Deploy".parse().unwrap();
        let chosen = |issue| Scope { issue, roles: Some([role.clone()].into()) };
        assert_eq!(Scope::FULL.narrowed_to(&Scope::READ), Some(Scope::READ));
        assert_eq!(Scope::READ.narrowed_to(&Scope::FULL), None);
        assert_eq!(chosen(true).narrowed_to(&Scope::FULL), Some(chosen(true)), "the roles stay");
        assert_eq!(chosen(true).narrowed_to(&Scope::READ), Some(chosen(false)));
        assert_eq!(chosen(false).narrowed_to(&Scope::FULL), None);
    }

    #[test]
    fn a_scope_of_chosen_roles_covers_no_other() {
        let role: RoleId = "111122223333/teams/Deploy".parse().unwrap();
        let scope = Scope { issue: true, roles: Some([role.clone()].into()) };
        assert!(scope.lets_issue(role.account, &role.name));
        assert!(!scope.covers(role.account, &"Deploy".parse().unwrap()));
        assert!(!scope.covers("111122224444".parse().unwrap(), &role.name));
        assert!(Scope::READ.covers(role.account, &role.name) && !Scope::READ.lets_issue(role.account, &role.name));
        assert!(!Scope { issue: true, roles: Some(BTreeSet::new()) }.covers(role.account, &role.name));
    }
}
