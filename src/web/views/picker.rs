//! The role picker: every role somebody may use, found in three letters.

use std::sync::Arc;

use askama::Template;

use crate::aws::SessionDuration;

use super::counted;
use super::shell::{Notice, Shell, Tone};
use crate::web::search::{Search, account_text, role_text};

/// `GET /?q=`.
///
/// Forms:
/// - the filter: `GET /` with `q`; scripts filter in place instead, by the same rule as [`Picker::new`];
/// - one per role, see [`RoleRow`].
#[derive(Debug, Clone, Template)]
#[template(path = "picker/picker.html", whitespace = "minimize")]
pub struct Picker {
    pub shell: Shell,
    /// The filter as it was typed.
    pub query: String,
    /// Such as `1,500 roles in 300 accounts`, of what is shown.
    pub summary: String,
    pub favourites: Vec<RoleRow>,
    /// Most recent first, without the favourites.
    pub recent: Vec<RoleRow>,
    /// By name.
    pub accounts: Vec<AccountGroup>,
    /// Roles there are before filtering; 0 shows [`no_roles`](Self::no_roles).
    pub total: usize,
    pub no_roles: NoRoles,
}

/// An account and the roles in it.
#[derive(Debug, Clone)]
pub struct AccountGroup {
    pub name: String,
    pub id: String,
    /// As `key=value`, by key; split for showing.
    pub tags: Vec<Tag>,
    pub roles: Vec<RoleRow>,
    /// Whether its roles are shown at once. Set by [`Picker::new`].
    pub open: bool,
}

/// A tag of an account or a role.
#[derive(Debug, Clone)]
pub struct Tag {
    pub key: String,
    pub value: String,
}

/// One role to use.
///
/// Form: `POST {url}/console` (in a new tab) or, by its other buttons, `POST {url}/credentials` and
/// `POST {url}/favourite`, each with `csrf`, `duration` (whole seconds, one of [`durations`](Self::durations)) and,
/// where there is one, `destination`. `favourite` toggles and answers 303 to `/`: scripts follow it to fetch the
/// sections again. A link leads to `GET {url}/why`.
#[derive(Debug, Clone)]
pub struct RoleRow {
    /// `/roles/{account}/{role}`, encoded; the role's path keeps its slashes.
    pub url: String,
    /// The path with its closing slash (`teams/payments/`), or empty.
    pub path: String,
    /// The name without its path.
    pub name: String,
    /// May be empty.
    pub description: String,
    /// Names the account where the row stands outside its group: among favourites and recent ones.
    pub account: Option<AccountLabel>,
    pub favourite: bool,
    /// Shared between roles with the same limits; see [`duration_steps`].
    pub durations: Arc<[DurationStep]>,
    /// The deep link's destination; empty in the picker.
    pub destination: String,
    /// How one must have signed in, in two or three words; empty where that does not matter.
    pub asks: &'static str,
    /// What is special about how it is reached, in a few words; empty where nothing is.
    pub reached: &'static str,
    /// Whether the console can be opened; `POST {url}/console` is refused otherwise.
    pub console: bool,
}

/// The account of a role that stands outside its group.
#[derive(Debug, Clone)]
pub struct AccountLabel {
    pub name: String,
    pub id: String,
    /// The account's tags as `key=value`, parted by spaces, for the filter.
    pub tags: String,
}

/// One choice of how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurationStep {
    pub seconds: u32,
    /// Such as `1 h 30 min`.
    pub label: String,
    pub selected: bool,
}

/// What somebody without any role is told.
#[derive(Debug, Clone, Default)]
pub struct NoRoles {
    pub groups: Vec<String>,
    /// The provider left groups out, so that a missing role may be the provider's doing.
    pub groups_incomplete: bool,
    /// Whom to ask: the operator's own words, may be empty.
    pub help: String,
}

/// With no more roles than this on the page, every account is open from the start.
const OPEN_UP_TO: usize = 60;

/// The steps people choose from, in seconds.
const LADDER: [u32; 9] = [900, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400, 129_600];

/// The choices up to `longest`, with both it and `default` among them and `default` (at most `longest`) selected.
#[must_use]
pub fn duration_steps(default: SessionDuration, longest: SessionDuration) -> Arc<[DurationStep]> {
    let longest = longest.as_secs();
    let default = default.as_secs().min(longest);
    let mut steps: Vec<u32> = LADDER.into_iter().filter(|&step| step < longest).chain([longest, default]).collect();
    steps.sort_unstable();
    steps.dedup();
    steps
        .into_iter()
        .map(|seconds| DurationStep { seconds, label: spoken(seconds), selected: seconds == default })
        .collect()
}

/// `1 h 30 min`; seconds appear only when there are some.
#[must_use]
pub fn spoken(seconds: u32) -> String {
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s")];
    let said: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n} {unit}")).collect();
    if said.is_empty() { "0 s".to_owned() } else { said.join(" ") }
}

impl Picker {
    /// Filters by `query`, see [`Search`]. Counts what stays, and opens the accounts when that is little enough to read.
    #[must_use]
    pub fn new(
        shell: Shell,
        query: &str,
        mut favourites: Vec<RoleRow>,
        mut recent: Vec<RoleRow>,
        mut accounts: Vec<AccountGroup>,
        no_roles: NoRoles,
    ) -> Self {
        let total = accounts.iter().map(|account| account.roles.len()).sum();
        let search = Search::new(query);
        if !search.is_empty() {
            favourites
                .retain(|role| role.matches(&role.account.as_ref().map_or_else(String::new, label_text), &search));
            recent.retain(|role| role.matches(&role.account.as_ref().map_or_else(String::new, label_text), &search));
            for account in &mut accounts {
                let about = account.text();
                account.roles.retain(|role| role.matches(&about, &search));
            }
            accounts.retain(|account| !account.roles.is_empty());
        }
        let shown: usize = accounts.iter().map(|account| account.roles.len()).sum();
        for account in &mut accounts {
            account.open = shown <= OPEN_UP_TO;
        }
        let summary =
            format!("{} in {}", counted(shown, "role", "roles"), counted(accounts.len(), "account", "accounts"));
        Self { shell, query: query.to_owned(), summary, favourites, recent, accounts, total, no_roles }
    }
}

fn label_text(label: &AccountLabel) -> String {
    format!("{} {} {}", label.name, label.id, label.tags).to_lowercase()
}

impl AccountGroup {
    fn text(&self) -> String {
        account_text(&self.name, &self.id, self.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())))
    }
}

impl RoleRow {
    /// Whether the search finds the role, by itself or by `about`, its account's text.
    fn matches(&self, about: &str, search: &Search) -> bool {
        let name = format!("{}{}", self.path, self.name);
        search.finds(&role_text(&name, &self.description, self.asks, self.reached), about)
    }

    /// A row in an account's group, not a favourite.
    fn sample(account: &str, role: &str, description: &str, longest_hours: u32) -> Self {
        let (path, name) = role.rfind('/').map_or(("", role), |at| role.split_at(at + 1));
        let longest = SessionDuration::from_secs(longest_hours * 3600).unwrap_or(SessionDuration::HOUR);
        Self {
            url: format!("/roles/{account}/{role}"),
            path: path.to_owned(),
            name: name.to_owned(),
            description: description.to_owned(),
            account: None,
            favourite: false,
            durations: duration_steps(SessionDuration::HOUR, longest),
            destination: String::new(),
            asks: if role.ends_with("Admin") { "recent sign-in" } else { "" },
            reached: "",
            console: true,
        }
    }

    /// The roles of one account.
    #[must_use]
    pub fn samples(account: &str) -> Vec<Self> {
        vec![
            Self::sample(account, "ReadOnly", "Look, don't touch", 12),
            Self::sample(
                account,
                "teams/payments/Deploy",
                "Ship the payments services: ECS, CodeDeploy and their logs",
                4,
            ),
            Self::sample(account, "Billing", "", 8),
            Self::sample(account, "DatabaseAdmin", "RDS and DynamoDB, with backups; no IAM", 1),
            Self::sample(account, "Administrator", "Everything. Prefer a smaller role.", 1),
        ]
    }

    fn labelled(mut self, account: &AccountGroup) -> Self {
        let tags: Vec<String> = account.tags.iter().map(|tag| format!("{}={}", tag.key, tag.value)).collect();
        self.account = Some(AccountLabel { name: account.name.clone(), id: account.id.clone(), tags: tags.join(" ") });
        self
    }
}

/// Accounts of a company one believes in.
fn sample_accounts(count: usize) -> Vec<AccountGroup> {
    const TEAMS: [&str; 15] = [
        "Payments",
        "Search",
        "Checkout",
        "Catalogue",
        "Identity",
        "Data platform",
        "Logistics",
        "Mobile",
        "Pricing",
        "Support tools",
        "Warehouse",
        "Fraud",
        "Messaging",
        "Media",
        "Partners",
    ];
    const STAGES: [(&str, &str); 4] =
        [("production", "prod"), ("staging", "staging"), ("development", "dev"), ("sandbox", "sandbox")];
    let mut accounts: Vec<AccountGroup> = (0..count)
        .map(|at| {
            let (team, (stage, env)) = (TEAMS[at / 4 % TEAMS.len()], STAGES[at % 4]);
            let round = at / (4 * TEAMS.len());
            let suffix = if round == 0 { String::new() } else { format!(" {}", round + 1) };
            let id = format!("{:012}", 111_122_223_333_u64 + 1_010_101_017 * at as u64);
            let tag = |key: &str, value: &str| Tag { key: key.to_owned(), value: value.to_owned() };
            AccountGroup {
                name: format!("{team} {stage}{suffix}"),
                tags: vec![tag("env", env), tag("team", &team.to_lowercase().replace(' ', "-"))],
                roles: RoleRow::samples(&id),
                id,
                open: false,
            }
        })
        .collect();
    accounts.sort_by(|a, b| a.name.cmp(&b.name));
    accounts
}

impl Picker {
    /// `accounts` accounts of five roles each, two favourites and three recent ones.
    #[must_use]
    pub fn sample_of(accounts: usize, query: &str) -> Self {
        let mut accounts = sample_accounts(accounts);
        let mut pick = |account: usize, role: usize, favourite| {
            let at = account % accounts.len();
            accounts[at].roles[role].favourite = favourite;
            accounts[at].roles[role].clone().labelled(&accounts[at])
        };
        let favourites = vec![pick(9, 0, true), pick(9, 1, true)];
        let recent = vec![pick(2, 0, false), pick(5, 3, false), pick(11, 2, false)];
        Self::new(Shell::sample(), query, favourites, recent, accounts, NoRoles::default())
    }

    #[must_use]
    pub fn samples() -> Vec<(&'static str, Self)> {
        let mut methods = sample_accounts(1);
        let kinds = [("through a hub, 1 h at most", true), ("federated user", true), ("MFA code, no console", false)];
        for (row, (reached, console)) in methods[0].roles.iter_mut().zip(kinds) {
            (row.reached, row.console) = (reached, console);
        }
        let methods = Self::new(Shell::sample(), "", Vec::new(), Vec::new(), methods, NoRoles::default());
        let mut noticed = Self::sample_of(4, "");
        noticed.shell.notices = vec![
            Notice::new(Tone::Warning, "Your session ends in 10 minutes.")
                .with_link("/renew?return_to=%2F", "Renew it"),
            Notice::new(
                Tone::Warning,
                "Okta did not send all of your groups, so roles may be missing here. Your platform team can fix that.",
            ),
        ];
        let mut out = Self::sample_of(4, "");
        out.shell.notices = vec![Notice::new(
            Tone::Warning,
            "AWS has not answered since 14:32 UTC. New credentials and console links have to wait until it does; what you \
             have already keeps working. Rolegate keeps trying, and this notice goes away by itself.",
        )];
        let mut partly_out = Self::sample_of(4, "");
        partly_out.shell.notices = vec![Notice::new(
            Tone::Warning,
            "AWS has not answered for Payments production, Payments staging and 2 more accounts since 14:32 UTC. New \
             credentials and console links there have to wait; your other accounts work, and so does what you have \
             already. Rolegate keeps trying, and this notice goes away by itself.",
        )];
        let mut elsewhere = Self::sample_of(4, "");
        elsewhere.shell.notices = vec![Notice::new(
            Tone::Info,
            "Part of AWS has not answered since 14:32 UTC, so Rolegate asks another part of it. Everything works as usual.",
        )];
        noticed.favourites.clear();
        noticed.recent.clear();
        let nothing = NoRoles {
            groups: vec!["all-staff".to_owned(), "berlin-office".to_owned(), "marketing".to_owned()],
            groups_incomplete: false,
            help: "Ask the platform team in #cloud-access; tell them which account you need and what for.".to_owned(),
        };
        let overage = NoRoles { groups: Vec::new(), groups_incomplete: true, ..nothing.clone() };
        let without = |no_roles| Self::new(Shell::sample(), "", Vec::new(), Vec::new(), Vec::new(), no_roles);
        vec![
            ("picker", Self::sample_of(12, "")),
            ("picker-large", Self::sample_of(300, "")),
            ("picker-filtered", Self::sample_of(300, "prod read")),
            ("picker-filtered-nothing", Self::sample_of(300, "prod nosuch<role>")),
            ("picker-methods", methods),
            ("picker-notices", noticed),
            ("picker-aws-out", out),
            ("picker-aws-partly-out", partly_out),
            ("picker-aws-elsewhere", elsewhere),
            ("picker-no-roles", without(nothing)),
            ("picker-no-roles-overage", without(overage)),
        ]
    }
}
