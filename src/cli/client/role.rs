//! Which role is meant: `account/role`, or words that lead to exactly one.

use clap::Args;

use super::api::Role;
use super::error::ClientError;
use super::pick;
use super::server::ServerArgs;
use super::session::Session;
use super::surroundings::Surroundings;
use super::words::printable;

/// How a role is named on the command line.
#[derive(Debug, Clone, Default, Args)]
pub struct RoleArgs {
    /// account/role with the account's id or name, or words that occur in one role only, such as `prod read`;
    /// in a terminal, leave it out to pick
    #[arg(value_name = "ROLE")]
    pub role: Vec<String>,
}

/// Why no one role is meant.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    #[error("no role matches `{text}`; run `rolegate roles` to see yours{}", near_words(near))]
    Unknown { text: String, near: Vec<String> },
    #[error("`{text}` matches {} roles: {}; name one of them", roles.len(), some(roles))]
    Several { text: String, roles: Vec<String> },
    #[error("which role? Name one; `rolegate roles` lists yours")]
    Unnamed,
}

fn near_words(near: &[String]) -> String {
    match near {
        [] => String::new(),
        [one] => format!("; did you mean `{one}`?"),
        several => format!("; near it: {}", several.join(", ")),
    }
}

/// Some of them; a line with all hundred helps nobody.
fn some(roles: &[String]) -> String {
    const SHOWN: usize = 5;
    match roles.get(..SHOWN) {
        Some(first) if roles.len() > SHOWN => format!("{}, and {} more", first.join(", "), roles.len() - SHOWN),
        _ => roles.join(", "),
    }
}

/// A role to ask for: an account's id and a role's name with its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub account: String,
    pub role: String,
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.account, self.role)
    }
}

impl Role {
    /// How the role is named so that it is always this one.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", printable(&self.account), printable(&self.role))
    }

    #[must_use]
    pub fn named(&self) -> Named {
        Named { account: self.account.clone(), role: self.role.clone() }
    }

    /// What words are looked for in.
    pub(super) fn text(&self) -> String {
        format!("{} {} {}", self.account_name, self.account, self.role).to_lowercase()
    }

    /// The last part of the name, without the path.
    fn short(&self) -> &str {
        self.role.rsplit('/').next().unwrap_or(&self.role)
    }
}

/// The roles that a text may mean, the best kind of match only.
///
/// 1. `account/role`, the account by id or name, the role with its path or without;
/// 2. the id or the name of an account;
/// 3. roles in which every word is a word;
/// 4. roles in which every word occurs: what the page in the browser shows for the same words.
#[must_use]
pub fn matching<'a>(roles: &'a [Role], text: &str) -> Vec<&'a Role> {
    let text = text.trim().to_lowercase();
    let account_is =
        |role: &Role, account: &str| role.account == account || role.account_name.to_lowercase() == account;
    // Names of accounts may have slashes, so every slash may be the one between account and role.
    let splits: Vec<(&str, &str)> = text.match_indices('/').map(|(at, _)| (&text[..at], &text[at + 1..])).collect();
    let role_is = |role: &Role, name: &str| role.role.to_lowercase() == name;
    let short_is = |role: &Role, name: &str| role.short().to_lowercase() == name;
    let kinds: [&dyn Fn(&Role) -> bool; 5] = [
        &|role| splits.iter().any(|(account, name)| account_is(role, account) && role_is(role, name)),
        &|role| splits.iter().any(|(account, name)| account_is(role, account) && short_is(role, name)),
        &|role| account_is(role, &text),
        &|role| {
            let own = role.text();
            let own: Vec<&str> = own.split(|c: char| !c.is_alphanumeric()).collect();
            words(&text).all(|word| own.contains(&word))
        },
        &|role| {
            let own = role.text();
            words(&text).all(|word| own.contains(word))
        },
    ];
    if words(&text).next().is_none() {
        return Vec::new();
    }
    let found = kinds.iter().map(|is| roles.iter().filter(|role| is(role)).collect::<Vec<_>>());
    found.into_iter().find(|found| !found.is_empty()).unwrap_or_default()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\t', '/']).filter(|word| !word.is_empty())
}

/// Names that look like a text, the most similar first.
pub(super) fn near(roles: &[Role], text: &str) -> Vec<String> {
    const SIMILAR: f64 = 0.75;
    let text = text.to_lowercase();
    let mut scored: Vec<(f64, String)> = roles
        .iter()
        .map(|role| {
            let name = role.account_name.to_lowercase();
            let short = role.short().to_lowercase();
            let spellings =
                [format!("{name}/{short}"), format!("{name} {short}"), format!("{}/{short}", role.account), short];
            let score = spellings.iter().map(|spelling| strsim::jaro_winkler(spelling, &text)).fold(0.0, f64::max);
            (score, role.id())
        })
        .filter(|(score, _)| *score >= SIMILAR)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    scored.into_iter().map(|(_, id)| id).take(3).collect()
}

/// Whether a text names account and role in full, so that the list need not be asked.
fn in_full(text: &str) -> Option<Named> {
    let (account, role) = text.split_once('/')?;
    let full = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) && !role.is_empty();
    full.then(|| Named { account: account.to_owned(), role: role.to_owned() })
}

/// Whether somebody may be asked which role they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    Allowed,
    /// A program runs the command: it would wait for ever.
    Never,
}

/// Finds the role that is meant, asking if need be and if there is anybody to ask.
///
/// # Errors
/// [`RoleError`], or the roles cannot be had.
pub async fn find(
    args: &RoleArgs,
    session: &Session,
    around: &Surroundings,
    asking: Asking,
) -> Result<Named, ClientError> {
    let text = args.role.join(" ");
    if let Some(named) = in_full(&text) {
        return Ok(named);
    }
    let may_ask = asking == Asking::Allowed && around.is_interactive();
    if text.trim().is_empty() && !may_ask {
        return Err(RoleError::Unnamed.into());
    }
    let roles = super::spinner::during(around, "asking for your roles", session.roles()).await?;
    if text.trim().is_empty() {
        return pick::one(&roles.iter().collect::<Vec<_>>(), "", around)?
            .map(Role::named)
            .ok_or(ClientError::Interrupted);
    }
    let found = matching(&roles, &text);
    match found.as_slice() {
        [] => Err(RoleError::Unknown { near: near(&roles, &text), text: printable(&text) }.into()),
        [one] => Ok(one.named()),
        several if may_ask => pick::one(several, "", around)?.map(Role::named).ok_or(ClientError::Interrupted),
        several => {
            let roles = several.iter().map(|role| role.id()).collect();
            Err(RoleError::Several { text: printable(&text), roles }.into())
        }
    }
}

/// The flags of commands about one role.
#[derive(Debug, Clone, Default, Args)]
pub struct OneRole {
    #[command(flatten)]
    pub role: RoleArgs,
    #[command(flatten)]
    pub server: ServerArgs,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles() -> Vec<Role> {
        [
            ("111122223333", "Payments production", "ReadOnly"),
            ("111122223333", "Payments production", "teams/payments/Deploy"),
            ("111122223333", "Payments production", "ReadOnlyPlus"),
            ("444455556666", "Payments staging", "ReadOnly"),
            ("777788889999", "Sandbox", "Admin"),
            ("101010101010", "R&D / Labs", "Admin"),
        ]
        .map(|(account, name, role)| Role {
            account: account.to_owned(),
            account_name: name.to_owned(),
            role: role.to_owned(),
            description: None,
            max_session_s: 3600,
            step_up: false,
            all: serde_json::Value::Null,
        })
        .into()
    }

    fn ids(text: &str) -> Vec<String> {
        matching(&roles(), text).into_iter().map(Role::id).collect()
    }

    #[test]
    fn a_role_is_found_by_id_by_account_and_by_words() {
        for (text, id) in [
            ("111122223333/ReadOnly", "111122223333/ReadOnly"),
            ("payments production/readonly", "111122223333/ReadOnly"),
            ("Payments production/Deploy", "111122223333/teams/payments/Deploy"),
            ("Payments production/teams/payments/Deploy", "111122223333/teams/payments/Deploy"),
            ("sandbox", "777788889999/Admin"),
            ("777788889999", "777788889999/Admin"),
            ("R&D / Labs/Admin", "101010101010/Admin"),
            ("prod deploy", "111122223333/teams/payments/Deploy"),
            ("stag read", "444455556666/ReadOnly"),
            // A whole word counts for more than a part of one.
            ("production readonly", "111122223333/ReadOnly"),
            ("production/readonlyp", "111122223333/ReadOnlyPlus"),
        ] {
            assert_eq!(ids(text), [id], "{text}");
        }
    }

    #[test]
    fn what_could_mean_several_or_none_is_not_guessed() {
        assert_eq!(ids("payments read").len(), 3);
        assert_eq!(ids("admin"), ["777788889999/Admin", "101010101010/Admin"]);
        assert!(ids("prod-admin").is_empty() && ids("").is_empty() && ids(" / ").is_empty());
    }

    #[test]
    fn what_matches_nothing_is_told_with_what_is_near() {
        assert_eq!(near(&roles(), "sandbox/admni"), ["777788889999/Admin"]);
        assert!(near(&roles(), "quux").is_empty());
        let unknown = RoleError::Unknown { text: "prod-admin".to_owned(), near: Vec::new() };
        assert_eq!(unknown.to_string(), "no role matches `prod-admin`; run `rolegate roles` to see yours");
        let roles: Vec<String> = (1..=7).map(|n| format!("1/R{n}")).collect();
        let several = RoleError::Several { text: "r".to_owned(), roles };
        assert_eq!(
            several.to_string(),
            "`r` matches 7 roles: 1/R1, 1/R2, 1/R3, 1/R4, 1/R5, and 2 more; name one of them"
        );
    }
}
