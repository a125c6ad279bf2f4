//! A deep link: straight to one role, or to the roles of one account.

use askama::Template;

use super::picker::RoleRow;
use super::shell::Shell;

/// `GET /go?account=&role=&destination=`.
///
/// Forms, one per role: as in the picker (see [`RoleRow`]), with the field `destination` added where there is one.
#[derive(Debug, Clone, Template)]
#[template(path = "picker/go.html")]
pub struct Go {
    pub shell: Shell,
    pub account_name: String,
    pub account_id: String,
    /// The address as it will be opened; shown so that nobody is sent anywhere unseen. Empty: the role's own.
    pub destination: String,
    /// One when the link names the role; the person's roles in the account otherwise. Never empty.
    pub roles: Vec<RoleRow>,
}

impl Go {
    #[must_use]
    pub fn samples() -> Vec<(&'static str, Self)> {
        let destination = "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logsV2:log-groups";
        let account = Self {
            shell: Shell::sample(),
            account_name: "Payments production".to_owned(),
            account_id: "111122223333".to_owned(),
            destination: String::new(),
            roles: RoleRow::samples("111122223333"),
        };
        let mut role = Self { destination: destination.to_owned(), ..account.clone() };
        role.roles.truncate(1);
        role.roles[0].destination = destination.to_owned();
        vec![("go-role", role), ("go-account", account)]
    }
}
