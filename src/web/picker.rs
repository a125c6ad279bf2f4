//! The role picker and deep links.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use jiff::SignedDuration;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::fields::Fields;
use super::problem::{Kind, Problem};
use super::roles::not_permitted;
use super::session::{SignedIn, csrf_token};
use super::trouble::Trouble;
use super::views::{self, AccountGroup, DurationStep, Notice, RoleRow, Shell, Tone};
use super::{here, page, words};
use crate::access::{Decision, RoleAccess};
use crate::aws::{AccountId, RoleName, SessionDuration};
use crate::catalog::{Catalog, Tags};
use crate::flows::Ground;
use crate::flows::current::CurrentCatalog;
use crate::flows::issue::Issue;
use crate::flows::sessions::LiveSession;
use crate::identity::{Groups, VerifiedIdentity};
use crate::store::preferences::RolePreference;
use crate::sys::LocalPath;

/// Whom to ask for a role, in the operator's words; the catalog's own text wins.
#[derive(Debug, Clone, Default)]
pub struct HelpText {
    pub text: Option<String>,
    pub contact: Option<String>,
}

/// How many recently used roles stand on top.
const RECENT: usize = 5;

/// From when on people are told that their session ends.
const ENDING_SOON: SignedDuration = SignedDuration::from_mins(15);

/// What may stand in a path segment as it is. A role's path keeps its slashes.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// `/roles/{account}/{role}`.
pub(super) fn role_address(access: &RoleAccess<'_>) -> String {
    format!("/roles/{}/{}", access.account().id, utf8_percent_encode(access.role().name.as_str(), SEGMENT))
}

/// A role as the title of a page.
pub(super) fn role_title(access: &RoleAccess<'_>) -> views::RoleTitle {
    let (path, name) = path_and_name(access);
    views::RoleTitle {
        account_name: access.account().name.clone(),
        account_id: access.account().id.to_string(),
        path,
        name,
        url: role_address(access),
    }
}

fn path_and_name(access: &RoleAccess<'_>) -> (String, String) {
    let role = &access.role().name;
    let name = role.name();
    (role.as_str()[..role.as_str().len() - name.len()].to_owned(), name.to_owned())
}

/// The frame of every page for somebody signed in.
///
/// A session that ends soon can be renewed without losing the page one is on, which is `here`.
pub(super) fn shell(session: &LiveSession, catalog: &Catalog, ground: &Ground, here: &LocalPath) -> Shell {
    let identity = &session.identity;
    let connector = &identity.subject.connector;
    let connector = catalog.connector(connector).map_or_else(|| connector.to_string(), |found| found.name.clone());
    let person = views::Person {
        name: identity.display_name().to_owned(),
        email: identity.email.clone().filter(|email| email != identity.display_name()),
        connector,
    };
    let mut notices = Vec::new();
    let left = session.expires.duration_since(ground.clock.now());
    if left < ENDING_SOON {
        let minutes = usize::try_from((left.as_secs().max(0) + 59) / 60).unwrap_or(0);
        let text = format!("Your session ends in {}.", views::counted(minutes, "minute", "minutes"));
        let encoded: String = url::form_urlencoded::byte_serialize(here.as_str().as_bytes()).collect();
        notices.push(Notice::new(Tone::Warning, text).with_link(format!("/renew?return_to={encoded}"), "Renew it"));
    }
    Shell { csrf: csrf_token(&session.token, &*ground.rng), person: Some(person), notices }
}

fn incomplete_notice(decision: &Decision) -> Option<Notice> {
    decision.incomplete()?;
    Some(Notice::new(
        Tone::Warning,
        "Your identity provider did not send all of your groups, so roles may be missing here. Your administrator can \
         limit the groups it sends.",
    ))
}

/// Makes rows, sharing the duration choices between roles that have the same limits.
struct Rows {
    steps: HashMap<(SessionDuration, SessionDuration), Arc<[DurationStep]>>,
}

impl Rows {
    fn row(&mut self, access: &RoleAccess<'_>, favourite: bool) -> RoleRow {
        let (path, name) = path_and_name(access);
        let limits = (access.default_session(), access.max_session());
        let durations = self.steps.entry(limits).or_insert_with(|| views::duration_steps(limits.0, limits.1));
        RoleRow {
            url: role_address(access),
            path,
            name,
            description: access.role().description.clone().unwrap_or_default(),
            account: None,
            favourite,
            durations: Arc::clone(durations),
            destination: String::new(),
            asks: access.demand().map(words::asked_briefly).unwrap_or_default(),
            reached: words::reached_briefly(&access.role().method),
            console: access.role().method.no_console().is_none(),
        }
    }

    fn labelled(&mut self, access: &RoleAccess<'_>, favourite: bool) -> RoleRow {
        let account = access.account();
        let tags: Vec<String> = account.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let label = views::picker::AccountLabel {
            name: account.name.clone(),
            id: account.id.to_string(),
            tags: tags.join(" "),
        };
        RoleRow { account: Some(label), ..self.row(access, favourite) }
    }
}

fn badges(tags: &Tags) -> Vec<views::picker::Tag> {
    tags.iter().map(|(key, value)| views::picker::Tag { key: key.clone(), value: value.clone() }).collect()
}

/// The picker for one person.
#[must_use]
pub fn view(
    shell: Shell,
    query: &str,
    identity: &VerifiedIdentity,
    decision: &Decision,
    preferences: &[RolePreference],
    help: String,
) -> views::Picker {
    let mut rows = Rows { steps: HashMap::new() };
    let mut favourites = Vec::new();
    let mut recent = Vec::new();
    let mut marked = std::collections::HashSet::new();
    for entry in preferences {
        let Some(access) = decision.role(entry.account, &entry.role) else { continue };
        if entry.favourite {
            marked.insert(access.id());
            favourites.push(rows.labelled(&access, true));
        } else if entry.last_used.is_some() && recent.len() < RECENT {
            recent.push(rows.labelled(&access, false));
        }
    }
    favourites.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.url.cmp(&b.url)));
    let mut accounts: Vec<AccountGroup> = Vec::new();
    let mut current: Option<AccountId> = None;
    for access in decision.roles() {
        let account = access.account();
        if current != Some(account.id) {
            current = Some(account.id);
            accounts.push(AccountGroup {
                name: account.name.clone(),
                id: account.id.to_string(),
                tags: badges(&account.tags),
                roles: Vec::new(),
                open: false,
            });
        }
        let favourite = !marked.is_empty() && marked.contains(&access.id());
        if let Some(group) = accounts.last_mut() {
            group.roles.push(rows.row(&access, favourite));
        }
    }
    accounts.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
    let no_roles = views::NoRoles {
        groups: identity.groups.known().to_vec(),
        groups_incomplete: matches!(identity.groups, Groups::Incomplete { .. }),
        help,
    };
    views::Picker::new(shell, query, favourites, recent, accounts, no_roles)
}

/// What somebody without a role is told: the catalog's words, else the settings'.
fn help_text(catalog: &Catalog, settings: &HelpText) -> String {
    let support = catalog.support();
    let text = support.text.as_ref().map(ToString::to_string).or_else(|| settings.text.clone());
    let contact =
        support.contact.as_ref().map(|contact| contact.as_str().to_owned()).or_else(|| settings.contact.clone());
    [text, contact].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// `GET /?q=`: the roles somebody may use.
///
/// # Errors
/// The database refuses.
pub async fn show(
    request: HttpRequest,
    user: SignedIn,
    ground: web::Data<Ground>,
    catalog: web::Data<CurrentCatalog>,
    help: web::Data<HelpText>,
    issue: web::Data<Issue>,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::of_query(&request)?;
    let loaded = catalog.get().await?;
    let identity = &user.0.identity;
    let decision = loaded.policy.decide(identity);
    let preferences = ground.store.preferences(&identity.person()).await?;
    let mut shell = shell(&user.0, &loaded.catalog, &ground, &here(&request));
    let trouble = Trouble::of(&decision, &issue.issuer);
    shell.notices.extend(trouble.map(|trouble| trouble.notice(ground.clock.now())));
    shell.notices.extend(incomplete_notice(&decision));
    let query: String = fields.get("q").unwrap_or("").chars().take(200).collect();
    let help = help_text(&loaded.catalog, &help);
    Ok(page(&view(shell, &query, identity, &decision, &preferences, help)))
}

/// `GET /go?account=&role=&destination=`: a link that somebody put into a runbook.
///
/// # Errors
/// A malformed link, a destination that is no console, a role that is not permitted.
pub async fn go(
    request: HttpRequest,
    user: SignedIn,
    ground: web::Data<Ground>,
    catalog: web::Data<CurrentCatalog>,
    issue: web::Data<Issue>,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::of_query(&request)?;
    let wrong = |what: &str| Problem::new(Kind::BadRequest).detail(format!("The link's `{what}` makes no sense."));
    let account: AccountId = fields.need("account")?.parse().map_err(|_| wrong("account"))?;
    let loaded = catalog.get().await?;
    let decision = loaded.policy.decide(&user.0.identity);
    let mut rows = Rows { steps: HashMap::new() };
    let role: Option<RoleName> = fields.filled("role").map(str::parse).transpose().map_err(|_| wrong("role"))?;
    let found: Vec<RoleAccess<'_>> = match &role {
        Some(role) => decision.role(account, role).into_iter().collect(),
        None => decision.roles().filter(|access| access.account().id == account).collect(),
    };
    let Some(first) = found.first() else {
        return Err(not_permitted(&ground, &user, account, role.as_ref(), &request).await);
    };
    let destination = match fields.filled("destination") {
        Some(text) => issue
            .consoles
            .parse(text, first.account().partition)
            .map_err(|e| Problem::new(Kind::DestinationRefused).caused_by(e))?
            .as_str()
            .to_owned(),
        None => String::new(),
    };
    let roles =
        found.iter().map(|access| RoleRow { destination: destination.clone(), ..rows.row(access, false) }).collect();
    Ok(page(&views::Go {
        shell: shell(&user.0, &loaded.catalog, &ground, &here(&request)),
        account_name: first.account().name.clone(),
        account_id: first.account().id.to_string(),
        destination,
        roles,
    }))
}
