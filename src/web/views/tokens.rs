//! What programs hold for somebody, and making them a token.

use askama::Template;
use secrecy::{ExposeSecret, SecretString};

use super::sessions::Moment;
use super::shell::{Link, Notice, Shell, Tone};

/// `GET /tokens`, and the answer to `POST /tokens` when no token was made: what was typed is still there.
///
/// Forms: `POST /tokens/{id}/revoke` per token; `POST /tokens` with `name`, `days`, `access` (`all`, `roles` or `read`), a
/// field `role:{account}/{role}` for each chosen role, and `networks`; each with `csrf`.
#[derive(Debug, Clone, Template)]
#[template(path = "tokens/tokens.html")]
pub struct TokensPage {
    pub shell: Shell,
    /// The newest first.
    pub tokens: Vec<TokenRow>,
    pub making: Making,
}

/// What stands where a token can be made.
#[derive(Debug, Clone)]
pub enum Making {
    Form(Box<TokenForm>),
    /// Why none can be made now, and what leads on where something does.
    Closed {
        why: String,
        link: Option<Link>,
    },
}

/// Something a program holds.
#[derive(Debug, Clone)]
pub struct TokenRow {
    pub id: String,
    pub name: String,
    /// `Personal token`, or how a terminal signed in.
    pub kind: &'static str,
    /// What it may do, in a few words.
    pub may: String,
    /// The roles it is limited to, as `Payments production (111122223333) Deploy`.
    pub roles: Vec<String>,
    pub made: Moment,
    /// Where and with what it was allowed.
    pub made_from: String,
    pub expires: Moment,
    /// `None`: never.
    pub last_used: Option<Moment>,
    pub last_used_from: String,
    /// From where it counts; empty: from anywhere.
    pub networks: String,
    /// Why it does not count at the moment; empty where it does.
    pub idle: String,
}

/// The form, with what was typed and what is wrong with it; errors may be empty.
#[derive(Debug, Clone, Default)]
pub struct TokenForm {
    pub name: String,
    pub name_error: String,
    pub days: Vec<DaysChoice>,
    pub days_error: String,
    /// `all`, `roles` or `read`.
    pub access: &'static str,
    pub accounts: Vec<AccountChoice>,
    pub roles_error: String,
    pub networks: String,
    pub networks_error: String,
}

/// How long a token may live.
#[derive(Debug, Clone)]
pub struct DaysChoice {
    pub days: u32,
    pub label: String,
    pub selected: bool,
}

/// An account with the roles in it.
#[derive(Debug, Clone)]
pub struct AccountChoice {
    pub name: String,
    pub id: String,
    pub roles: Vec<RoleChoice>,
}

#[derive(Debug, Clone)]
pub struct RoleChoice {
    pub name: String,
    pub description: String,
    pub chosen: bool,
}

/// The answer to `POST /tokens`: the only time the token is shown. Served with `Cache-Control: no-store`.
#[derive(Debug, Template)]
#[template(path = "tokens/made.html")]
pub struct TokenMade {
    pub shell: Shell,
    pub name: String,
    pub token: SecretString,
    pub may: String,
    pub expires: Moment,
    pub networks: String,
    /// Scheme and host of our addresses.
    pub origin: String,
    /// `/api/v1/roles/{account}/{role}/credentials` of a role it may issue; empty when there is none.
    pub credentials: String,
}

impl TokenForm {
    /// How many roles there are to choose from.
    fn count(&self) -> usize {
        self.accounts.iter().map(|account| account.roles.len()).sum()
    }

    fn sample() -> Self {
        let role = |name: &str, description: &str| RoleChoice {
            name: name.to_owned(),
            description: description.to_owned(),
            chosen: false,
        };
        let account = |name: &str, id: &str, roles| AccountChoice { name: name.to_owned(), id: id.to_owned(), roles };
        let days = [(7, "7 days"), (30, "30 days"), (90, "90 days")];
        Self {
            days: days.map(|(days, label)| DaysChoice { days, label: label.to_owned(), selected: days == 30 }).to_vec(),
            access: "all",
            accounts: vec![
                account(
                    "Payments production",
                    "111122223333",
                    vec![role("ReadOnly", "Look, don't touch"), role("teams/payments/Deploy", "")],
                ),
                account("Payments test", "444455556666", vec![role("Admin", "Everything, in the test account only")]),
            ],
            ..Self::default()
        }
    }
}

impl TokensPage {
    #[must_use]
    pub fn samples() -> Vec<(&'static str, Self)> {
        let moment = |text: &str, iso: &str| Moment { text: text.to_owned(), iso: iso.to_owned() };
        let nightly = TokenRow {
            id: "0199f3a27c417e089b542f6d1c0e8a37".to_owned(),
            name: "Nightly backup".to_owned(),
            kind: "Personal token",
            may: "2 roles".to_owned(),
            roles: vec![
                "Payments production (111122223333) ReadOnly".to_owned(),
                "Payments production (111122223333) teams/payments/Deploy".to_owned(),
            ],
            made: moment("21 November 2026, 09:02 UTC", "2026-11-21T09:02:00Z"),
            made_from: "Firefox on Linux, 198.51.100.7".to_owned(),
            expires: moment("21 December 2026, 09:02 UTC", "2026-12-21T09:02:00Z"),
            last_used: Some(moment("5 minutes ago", "2026-11-21T11:55:00Z")),
            last_used_from: "2001:db8:85a3:8d3:1319:8a2e:370:7348".to_owned(),
            networks: "198.51.100.0/24, 2001:db8::/32".to_owned(),
            idle: String::new(),
        };
        let laptop = TokenRow {
            id: "0299f3a27c417e089b542f6d1c0e8a37".to_owned(),
            name: "AWS CLI on <laptop>".to_owned(),
            kind: "Terminal sign-in",
            may: "everything you may use".to_owned(),
            roles: Vec::new(),
            last_used: None,
            last_used_from: String::new(),
            networks: String::new(),
            idle: "You have not signed in by this way for 31 days; sign in once, and it counts again.".to_owned(),
            ..nightly.clone()
        };
        let form = |form| Making::Form(Box::new(form));
        let page = Self { shell: Shell::sample(), tokens: vec![nightly, laptop], making: form(TokenForm::sample()) };
        let done = Notice::new(Tone::Done, "That token no longer counts.");
        let empty = Self { tokens: Vec::new(), shell: Shell::sample().with_notice(done), ..page.clone() };
        let mut wrong = TokenForm {
            name_error: "Give it a name.".to_owned(),
            access: "roles",
            roles_error: "Choose at least one role.".to_owned(),
            networks: "office".to_owned(),
            networks_error: "`office` is no address and no network.".to_owned(),
            ..TokenForm::sample()
        };
        wrong.accounts[0].roles[1].chosen = true;
        let wrong = Self { making: form(wrong), ..page.clone() };
        let link = Link { href: "/tokens/sign-in".to_owned(), text: "Sign in again".to_owned() };
        let why = "A token lives for long, so making one asks for a sign-in within the last 15 min.".to_owned();
        let closed = Self { making: Making::Closed { why, link: Some(link) }, ..page.clone() };
        vec![("tokens", page), ("tokens-empty", empty), ("tokens-wrong", wrong), ("tokens-closed", closed)]
    }
}

impl TokenMade {
    #[must_use]
    pub fn sample() -> Self {
        Self {
            shell: Shell::sample(),
            name: "Nightly backup".to_owned(),
            token: SecretString::from(format!("rgp_{}", "0Ab1".repeat(12) + "Z")),
            may: "2 roles".to_owned(),
            expires: Moment { text: "21 December 2026, 09:02 UTC".to_owned(), iso: "2026-12-21T09:02:00Z".to_owned() },
            networks: "198.51.100.0/24".to_owned(),
            origin: "https://aws.northwind.example".to_owned(),
            credentials: "/api/v1/roles/111122223333/ReadOnly/credentials".to_owned(),
        }
    }
}
