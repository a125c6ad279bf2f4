//! What programs hold for somebody: seeing it, making a token by hand, taking it back.
//!
//! Only a browser's session comes here: a token cannot make tokens.

use std::collections::BTreeSet;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::SecretString;

use super::fields::Fields;
use super::limits::Limits;
use super::picker::shell;
use super::problem::{Kind, Problem};
use super::session::{Cookies, CsrfForm, SignedIn};
use super::views::sessions::Moment;
use super::views::tokens::{AccountChoice, DaysChoice, Making, RoleChoice};
use super::views::{Link, Notice, Shell, TokenForm, TokenMade, TokenRow, TokensPage, Tone, counted};
use super::{To, caller, context, depart, here, page, see_other, words};
use crate::access::{Decision, Scope};
use crate::catalog::{Catalog, RoleId};
use crate::flows::current::Loaded;
use crate::flows::personal_tokens::{
    LONGEST_NAME, MOST, MOST_NETWORKS, MOST_ROLES, NotMade, PersonalTokens, Wish, demand, networks,
};
use crate::flows::start_sign_in::StartSignIn;
use crate::identity::Unmet;
use crate::store::tokens::{Authorization, AuthorizationKind};
use crate::sys::LocalPath;

/// `GET /tokens`: what programs hold, and the form that makes a token, filled from the query.
///
/// # Errors
/// The database refuses.
pub async fn list(
    request: HttpRequest,
    user: SignedIn,
    flow: web::Data<PersonalTokens>,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::of_query(&request)?;
    let loaded = flow.catalog.get().await?;
    let mut shell = own_shell(&user, &loaded, &flow, &request);
    if fields.get("revoked").is_some() {
        shell.notices.push(Notice::new(Tone::Done, "That token no longer counts."));
    }
    let making = match flow.sign_in_too_old(&user.0.identity, &loaded.catalog) {
        _ if !flow.allowed() => Making::Closed { why: "Personal tokens are switched off here.".to_owned(), link: None },
        Some(unmet) => Making::Closed {
            why: too_old(&unmet, flow.tokens.ground.clock.now()),
            link: Some(sign_in_again(&Typed::default())),
        },
        None => form(&Typed::read(&fields), &Mistakes::default(), &flow, &loaded.policy.decide(&user.0.identity)),
    };
    show(StatusCode::OK, shell, &user, making, &flow, &loaded).await
}

/// `POST /tokens`: makes a token and shows it, once.
///
/// # Errors
/// Personal tokens are switched off, there are too many, or a role is not permitted. What is only wrong with the form is
/// said on the page, where what was typed still stands.
pub async fn make(
    request: HttpRequest,
    user: SignedIn,
    fields: CsrfForm,
    flow: web::Data<PersonalTokens>,
    cookies: web::Data<Cookies>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    // As signing in: each writes into the log, whether it is kept or taken back at once.
    limits.sign_in(context::client_address(&request))?;
    let typed = Typed::read(&fields.0);
    let made = match typed.wish(flow.longest_days()) {
        Ok(wish) => match flow.make(&user.0, wish, &caller(&request)).await {
            Ok(made) => Ok(made),
            Err(NotMade::NameTaken) => Err(Mistakes {
                name: "You have a token of that name. Choose another.".to_owned(),
                ..Mistakes::default()
            }),
            Err(NotMade::SignInAgain(unmet))
                if context::wants_page(request.method(), request.path(), request.headers()) =>
            {
                let loaded = flow.catalog.get().await?;
                let link = sign_in_again(&typed);
                let mut shell = own_shell(&user, &loaded, &flow, &request);
                let why = too_old(&unmet, flow.tokens.ground.clock.now());
                shell.notices.push(Notice::new(Tone::Warning, why).with_link(link.href, link.text));
                let decision = loaded.policy.decide(&user.0.identity);
                let making = form(&typed, &Mistakes::default(), &flow, &decision);
                return show(StatusCode::FORBIDDEN, shell, &user, making, &flow, &loaded).await;
            }
            Err(other) => return Err(other.into()),
        },
        Err(mistakes) => Err(mistakes),
    };
    let loaded = flow.catalog.get().await?;
    let shell = own_shell(&user, &loaded, &flow, &request);
    let decision = loaded.policy.decide(&user.0.identity);
    match made {
        Ok(made) => {
            let authorization = &made.authorization;
            let mut response = page(&TokenMade {
                shell,
                name: authorization.label.clone(),
                token: SecretString::from(made.token.expose_secret()),
                may: may(&authorization.scope),
                expires: moment(authorization.expires),
                networks: network_list(authorization),
                origin: cookies.origin().to_owned(),
                credentials: example(&authorization.scope, &decision),
            });
            response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
            Ok(response)
        }
        Err(mistakes) if !context::wants_page(request.method(), request.path(), request.headers()) => {
            Err(Problem::new(Kind::BadRequest).detail(mistakes.first()))
        }
        Err(mistakes) => {
            let making = form(&typed, &mistakes, &flow, &decision);
            show(StatusCode::UNPROCESSABLE_ENTITY, shell, &user, making, &flow, &loaded).await
        }
    }
}

/// `POST /tokens/{id}/revoke`: takes one of one's own back.
///
/// # Errors
/// There is none of that id, or it is somebody else's: the answer does not say which, the audit log has it.
pub async fn revoke(
    request: HttpRequest,
    user: SignedIn,
    path: web::Path<String>,
    _form: CsrfForm,
    flow: web::Data<PersonalTokens>,
) -> Result<HttpResponse, Problem> {
    if !flow.revoke_own(&user.0.identity, &path, &caller(&request)).await? {
        let text = "That token has ended already, or is not yours.";
        return Err(Problem::new(Kind::NotFound).detail(text));
    }
    Ok(see_other(&To::Fixed("/tokens?revoked=1")))
}

/// `GET /tokens/sign-in`: signs in again as making a token asks for, and back to the form with what was typed.
///
/// # Errors
/// The connector is gone or cannot be used, or too many requests.
pub async fn sign_in(
    request: HttpRequest,
    user: SignedIn,
    flow: web::Data<StartSignIn>,
    cookies: web::Data<Cookies>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    limits.sign_in(context::client_address(&request))?;
    let typed = match request.query_string() {
        "" => "/tokens".to_owned(),
        query => format!("/tokens?{query}"),
    };
    let return_to = LocalPath::parse(&typed).unwrap_or_else(|| LocalPath::parse_or_home(Some("/tokens")));
    let browser = cookies.browser_token(&request);
    depart(&cookies, &flow.again(&user.0.identity, &return_to, browser, Some(demand()), &caller(&request)).await?)
}

/// What somebody typed, as text.
#[derive(Debug, Default)]
struct Typed {
    name: String,
    days: String,
    access: Access,
    roles: BTreeSet<String>,
    networks: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Access {
    #[default]
    All,
    Roles,
    Read,
}

impl Access {
    const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Roles => "roles",
            Self::Read => "read",
        }
    }
}

/// What is wrong with it, by field; empty where nothing is.
#[derive(Debug, Default, PartialEq, Eq)]
struct Mistakes {
    name: String,
    days: String,
    roles: String,
    networks: String,
}

impl Mistakes {
    fn first(&self) -> String {
        let all = [&self.name, &self.days, &self.roles, &self.networks];
        all.into_iter().find(|mistake| !mistake.is_empty()).cloned().unwrap_or_default()
    }
}

const ROLE: &str = "role:";

impl Typed {
    fn read(fields: &Fields) -> Self {
        let text = |name| fields.get(name).unwrap_or_default().chars().take(2_000).collect::<String>();
        let access = match fields.get("access") {
            Some("roles") => Access::Roles,
            Some("read") => Access::Read,
            _ => Access::All,
        };
        let roles = fields.iter().filter_map(|(name, _)| name.strip_prefix(ROLE)).map(str::to_owned).collect();
        Self { name: text("name").trim().to_owned(), days: text("days"), access, roles, networks: text("networks") }
    }

    /// What it means, or everything that is wrong with it.
    fn wish(&self, longest_days: u32) -> Result<Wish, Mistakes> {
        let mut mistakes = Mistakes::default();
        if self.name.is_empty() {
            mistakes.name = "Give it a name, so that you know it again.".to_owned();
        } else if self.name.chars().count() > LONGEST_NAME {
            mistakes.name = format!("A name has at most {LONGEST_NAME} characters.");
        } else if self.name.chars().any(char::is_control) {
            mistakes.name = "A name is one line of ordinary characters.".to_owned();
        }
        let days = self.days.parse::<u32>().ok().filter(|days| (1..=longest_days).contains(days));
        if days.is_none() {
            mistakes.days = format!("Choose between 1 day and {}.", counted(longest_days as usize, "day", "days"));
        }
        let scope = match self.access {
            Access::All => Scope::FULL,
            Access::Read => Scope::READ,
            Access::Roles => {
                let roles: Option<BTreeSet<RoleId>> = self.roles.iter().map(|text| text.parse().ok()).collect();
                match &roles {
                    Some(roles) if roles.is_empty() => mistakes.roles = "Choose at least one role.".to_owned(),
                    Some(roles) if roles.len() > MOST_ROLES => {
                        mistakes.roles = format!("Choose at most {MOST_ROLES} roles, or everything you may use.");
                    }
                    Some(_) => {}
                    None => mistakes.roles = "One of these is no role.".to_owned(),
                }
                Scope { issue: true, roles: Some(roles.unwrap_or_default()) }
            }
        };
        let networks = match networks(&self.networks) {
            Ok(nets) if nets.len() > MOST_NETWORKS => {
                mistakes.networks = format!("Give at most {MOST_NETWORKS} networks.");
                Vec::new()
            }
            Ok(nets) => nets,
            Err(part) => {
                let part = crate::sys::excerpt(&part);
                mistakes.networks = format!("`{part}` is no address and no network; write 198.51.100.7 or 10.0.0.0/8.");
                Vec::new()
            }
        };
        match (mistakes == Mistakes::default(), days) {
            (true, Some(days)) => Ok(Wish { name: self.name.clone(), days, scope, networks }),
            _ => Err(mistakes),
        }
    }

    /// The address of the form with all this in it; without the roles where it would be too long for a redirect.
    fn query(&self) -> String {
        let write = |with_roles: bool| {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            for (name, value) in [("name", &self.name), ("days", &self.days), ("networks", &self.networks)] {
                if !value.is_empty() {
                    query.append_pair(name, value);
                }
            }
            if self.access != Access::All {
                query.append_pair("access", self.access.as_str());
            }
            for role in self.roles.iter().filter(|_| with_roles) {
                query.append_pair(&format!("{ROLE}{role}"), "on");
            }
            query.finish()
        };
        let whole = write(true);
        if whole.len() <= 1_500 { whole } else { write(false) }
    }
}

fn sign_in_again(typed: &Typed) -> Link {
    let query = typed.query();
    let href = if query.is_empty() { "/tokens/sign-in".to_owned() } else { format!("/tokens/sign-in?{query}") };
    Link { href, text: "Sign in again".to_owned() }
}

/// Why the sign-in that there is will not do.
fn too_old(unmet: &Unmet, now: Timestamp) -> String {
    let asked = words::asked(&demand());
    match unmet {
        Unmet::TooOld { instant, .. } => format!(
            "A token works for a long time without you, so making one asks for {asked}. You signed in {}.",
            words::ago(*instant, now)
        ),
        _ => format!("A token works for a long time without you, so making one asks for {asked}."),
    }
}

fn own_shell(user: &SignedIn, loaded: &Loaded, flow: &PersonalTokens, request: &HttpRequest) -> Shell {
    shell(&user.0, &loaded.catalog, &flow.tokens.ground, &here(request))
}

async fn show(
    status: StatusCode,
    shell: Shell,
    user: &SignedIn,
    making: Making,
    flow: &PersonalTokens,
    loaded: &Loaded,
) -> Result<HttpResponse, Problem> {
    let held = flow.of(&user.0.identity).await?;
    let now = flow.tokens.ground.clock.now();
    let tokens = held.iter().map(|authorization| row(authorization, flow, &loaded.catalog, now)).collect();
    let mut response = page(&TokensPage { shell, tokens, making });
    *response.status_mut() = status;
    Ok(response)
}

fn row(held: &Authorization, flow: &PersonalTokens, catalog: &Catalog, now: Timestamp) -> TokenRow {
    let role = |role: &RoleId| match catalog.account(role.account) {
        Some(account) => format!("{} ({}) {}", account.name, account.id, role.name),
        None => role.to_string(),
    };
    let rules = &flow.tokens.rules;
    let idle = if held.kind == AuthorizationKind::Personal && !rules.personal {
        "Personal tokens are switched off here.".to_owned()
    } else if held.kind != AuthorizationKind::Workload && now.duration_since(held.vouched) > rules.vouched_within {
        let connector = &held.identity.subject.connector;
        let name = catalog.connector(connector).map_or_else(|| connector.to_string(), |found| found.name.clone());
        format!(
            "You last signed in through {name} {}. Sign in that way once, and it counts again.",
            words::ago(held.vouched, now)
        )
    } else {
        String::new()
    };
    let device = words::device(&held.user_agent);
    TokenRow {
        id: held.id.clone(),
        name: held.label.clone(),
        kind: match held.kind {
            AuthorizationKind::Personal => "Personal token",
            AuthorizationKind::SignIn => "Terminal sign-in",
            AuthorizationKind::Workload => "Workload",
        },
        may: may(&held.scope),
        roles: held.scope.roles.iter().flatten().map(role).collect(),
        made: moment(held.created),
        made_from: format!("{device}, {}", held.client_address),
        expires: moment(held.expires),
        last_used: held.last_used.map(|at| Moment { text: words::ago(at, now), iso: at.to_string() }),
        last_used_from: held.last_used_from.clone().unwrap_or_default(),
        networks: network_list(held),
        idle,
    }
}

fn moment(at: Timestamp) -> Moment {
    Moment { text: words::date_and_time(at), iso: at.to_string() }
}

fn may(scope: &Scope) -> String {
    match (&scope.roles, scope.issue) {
        (_, false) => "nothing, only look".to_owned(),
        (None, true) => "everything you may use".to_owned(),
        (Some(roles), true) => counted(roles.len(), "role", "roles"),
    }
}

fn network_list(held: &Authorization) -> String {
    held.networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The form with what was typed.
fn form(typed: &Typed, mistakes: &Mistakes, flow: &PersonalTokens, decision: &Decision) -> Making {
    let longest = flow.longest_days();
    let mut days: Vec<u32> = [1, 7, 30, 60, 90, 180, 365].into_iter().filter(|days| *days < longest).collect();
    days.push(longest);
    let selected = typed.days.parse().unwrap_or(30);
    // The longest that does not exceed it: what nobody chose should not live longest.
    let selected = days.iter().rev().find(|days| **days <= selected).copied().unwrap_or(days[0]);
    let days = days.into_iter().map(|days| DaysChoice {
        days,
        label: counted(days as usize, "day", "days"),
        selected: days == selected,
    });
    let mut accounts: Vec<AccountChoice> = Vec::new();
    for access in decision.roles() {
        let id = access.account().id.to_string();
        if accounts.last().is_none_or(|last| last.id != id) {
            accounts.push(AccountChoice { name: access.account().name.clone(), id, roles: Vec::new() });
        }
        if let Some(account) = accounts.last_mut() {
            account.roles.push(RoleChoice {
                name: access.role().name.to_string(),
                description: access.role().description.clone().unwrap_or_default(),
                chosen: typed.roles.contains(&access.id().to_string()),
            });
        }
    }
    accounts.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
    Making::Form(Box::new(TokenForm {
        name: typed.name.clone(),
        name_error: mistakes.name.clone(),
        days: days.collect(),
        days_error: mistakes.days.clone(),
        access: typed.access.as_str(),
        accounts,
        roles_error: mistakes.roles.clone(),
        networks: typed.networks.clone(),
        networks_error: mistakes.networks.clone(),
    }))
}

/// Everything but what may stand in a path as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b',')
    .remove(b'@')
    .remove(b'=')
    .remove(b'+');

/// Where a program gets credentials of a role that the token may issue.
fn example(scope: &Scope, decision: &Decision) -> String {
    let role = decision.roles().find(|access| scope.lets_issue(access.account().id, &access.role().name));
    role.map(|access| {
        let name = utf8_percent_encode(access.role().name.as_str(), PATH).to_string();
        format!("/api/v1/roles/{}/{name}/credentials", access.account().id)
    })
    .unwrap_or_default()
}

impl From<NotMade> for Problem {
    fn from(error: NotMade) -> Self {
        let problem = match &error {
            NotMade::SwitchedOff => Self::new(Kind::TokenNotMade).detail("Personal tokens are switched off here."),
            NotMade::TooMany => Self::new(Kind::TokenNotMade).detail(format!(
                "You have {MOST} personal tokens, which is as many as one person may have. Revoke one you no longer need."
            )),
            NotMade::NameTaken => Self::new(Kind::TokenNotMade).detail("You have a token of that name."),
            NotMade::TooLong { longest } => Self::new(Kind::BadRequest)
                .detail(format!("A token may live {} at most.", counted(*longest as usize, "day", "days"))),
            NotMade::NotPermitted(role) => Self::new(Kind::RoleNotPermitted)
                .detail(format!("You may not use {role}, so no token was made. Load the page again and choose anew.")),
            NotMade::SignInAgain(unmet) => Self::new(Kind::StepUpRequired)
                .detail(format!("Making a token asks for {}.", words::asked(&demand())))
                .member("unmet", unmet.code())
                .member("link", "/tokens/sign-in"),
            NotMade::Interrupted => Self::new(Kind::Internal),
            NotMade::Store(_) => Self::new(Kind::Unavailable),
        };
        problem.caused_by(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(form: &str) -> Typed {
        Typed::read(&Fields::parse(form.as_bytes()).unwrap())
    }

    #[test]
    fn everything_that_is_wrong_with_the_form_is_said_at_once() {
        let mistakes = typed("name=+&days=91&access=roles&networks=office").wish(90).unwrap_err();
        for (mistake, says) in [
            (&mistakes.name, "Give it a name"),
            (&mistakes.days, "between 1 day and 90 days"),
            (&mistakes.roles, "at least one role"),
            (&mistakes.networks, "`office` is no address"),
        ] {
            assert!(mistake.contains(says), "{mistake}");
        }
        let many: String = (0..201).map(|n| format!("&role:111122223333/R{n}=on")).collect();
        let mistakes = typed(&format!("name=a%0Ab&days=0&access=roles{many}")).wish(90).unwrap_err();
        assert!(mistakes.name.contains("one line") && mistakes.roles.contains("at most 200"), "{mistakes:?}");
        let long = typed(&format!("name={}&days=x&access=roles&role:junk=on", "é".repeat(101))).wish(90).unwrap_err();
        assert!(long.name.contains("at most 100") && long.roles.contains("no role"), "{long:?}");
        assert!(!long.days.is_empty() && long.first() == long.name);
    }

    #[test]
    fn what_was_typed_survives_a_sign_in_in_between() {
        let form = "name=Nightly+%26+more&days=7&access=roles&role%3A111122223333%2FReadOnly=on&networks=10.0.0.0%2F8";
        let one = typed(form);
        let again = typed(&one.query());
        assert_eq!(format!("{one:?}"), format!("{again:?}"));
        assert!(LocalPath::parse(&format!("/tokens?{}", one.query())).is_some());
        let wish = again.wish(90).unwrap();
        assert_eq!((wish.name.as_str(), wish.days, wish.networks.len()), ("Nightly & more", 7, 1));
        assert_eq!(wish.scope.roles.unwrap().len(), 1);

        let many: String = (0..200).map(|n| format!("&role:111122223333/R{n}=on")).collect();
        let long = typed(&format!("name=a&days=7{many}")).query();
        assert!(long.len() < 1_500 && !long.contains("role"), "{long}");
    }
}
