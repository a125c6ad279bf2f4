//! The sandbox's own pages. They are plain HTML, work without scripts, and say everywhere that this is not AWS.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use askama::Template;
use jiff::Timestamp;
use url::Url;

use super::State;
use super::federation::ConsoleSession;
use super::idp::saml::partners::ServiceProvider;
use super::world::{Person, World};

/// Who may receive the page's forms, and what is told to the next site.
struct Policy<'a> {
    form_action: Option<&'a str>,
    referrer: &'static str,
}

const ORDINARY: Policy<'static> = Policy { form_action: None, referrer: "no-referrer" };

fn render(status: u16, page: &impl Template, policy: &Policy<'_>) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = match page.render() {
        Ok(body) => body,
        Err(error) => {
            tracing::error!("a page of the sandbox could not be rendered: {error}");
            return HttpResponse::InternalServerError().finish();
        }
    };
    let form_action = policy.form_action.map_or_else(|| "'self'".to_owned(), |origin| format!("'self' {origin}"));
    HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((
            "Content-Security-Policy",
            format!(
                "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action {form_action}; \
                 frame-ancestors 'none'; base-uri 'none'"
            ),
        ))
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .insert_header(("Referrer-Policy", policy.referrer))
        .body(body)
}

/// A page with a sentence, and perhaps somewhere to go.
#[derive(Debug, Template)]
#[template(path = "sandbox/notice.html")]
pub struct Notice {
    pub title: String,
    pub text: String,
    pub link: Option<NoticeLink>,
}

#[derive(Debug)]
pub struct NoticeLink {
    pub text: String,
    pub href: String,
}

pub fn notice(status: u16, notice: &Notice) -> HttpResponse {
    render(status, notice, &ORDINARY)
}

/// One person in a list.
#[derive(Debug)]
struct PersonCard<'a> {
    person: &'a Person,
    initials: String,
    current: bool,
}

impl<'a> PersonCard<'a> {
    fn new(person: &'a Person, signed_in: Option<&str>) -> Self {
        let initials = person.name.split_whitespace().filter_map(|word| word.chars().find(|c| c.is_alphabetic()));
        Self { person, initials: initials.take(2).collect(), current: signed_in == Some(person.id.as_str()) }
    }

    fn all(world: &'a World, signed_in: Option<&str>) -> Vec<Self> {
        world.people().iter().map(|person| Self::new(person, signed_in)).collect()
    }
}

#[derive(Template)]
#[template(path = "sandbox/choose_person.html")]
struct ChoosePerson<'a> {
    company: &'a str,
    service_provider: &'a str,
    pending: &'a str,
    people: Vec<PersonCard<'a>>,
    asked_again: bool,
}

/// The identity provider's sign-in page.
pub fn choose_person(state: &State, service_provider: &str, pending: &str, signed_in: Option<&str>) -> HttpResponse {
    let page = ChoosePerson {
        company: state.world.company(),
        service_provider,
        pending,
        people: PersonCard::all(&state.world, signed_in),
        asked_again: signed_in.is_some(),
    };
    // The form goes to ourselves; its answer is a page of ours too.
    render(200, &page, &Policy { form_action: None, referrer: "strict-origin" })
}

#[derive(Template)]
#[template(path = "sandbox/send_answer.html")]
struct SendAnswer<'a> {
    acs_url: &'a str,
    host: String,
    response: &'a str,
    relay_state: Option<&'a str>,
}

/// The page that carries an answer to the service provider: by script, or by a button without scripts.
pub fn send_answer(acs_url: &str, response: &str, relay_state: Option<&str>) -> HttpResponse {
    let parsed = Url::parse(acs_url).ok();
    let origin = parsed.as_ref().map(|url| url.origin().ascii_serialization());
    let host = parsed.as_ref().and_then(Url::host_str).unwrap_or(acs_url).to_owned();
    let page = SendAnswer { acs_url, host, response, relay_state };
    // Without an origin in it, some service providers refuse a post from elsewhere.
    render(200, &page, &Policy { form_action: origin.as_deref(), referrer: "strict-origin" })
}

#[derive(Template)]
#[template(path = "sandbox/idp_home.html")]
struct IdpHome<'a> {
    company: &'a str,
    signed_in: Option<PersonCard<'a>>,
    partners: Vec<PartnerLink>,
    metadata: String,
}

struct PartnerLink {
    entity_id: String,
    href: String,
}

/// The identity provider's front page.
pub fn idp_home(state: &State, signed_in: Option<&Person>, partners: &[ServiceProvider]) -> HttpResponse {
    let link = |partner: &ServiceProvider| {
        let query: String =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("sp", &partner.entity_id).finish();
        PartnerLink { entity_id: partner.entity_id.clone(), href: format!("/idp/saml/initiate?{query}") }
    };
    let page = IdpHome {
        company: state.world.company(),
        signed_in: signed_in.map(|person| PersonCard::new(person, Some(&person.id))),
        partners: partners.iter().map(link).collect(),
        metadata: super::idp::saml::entity_id(&state.base),
    };
    render(200, &page, &ORDINARY)
}

#[derive(Template)]
#[template(path = "sandbox/landing.html")]
struct Landing<'a> {
    company: &'a str,
    base: &'a str,
    sts: &'a str,
    idp_metadata: String,
    accounts: usize,
    roles: usize,
    people: Vec<PersonCard<'a>>,
    stories: Vec<RoleStory<'a>>,
}

struct RoleStory<'a> {
    role: String,
    story: &'a str,
}

/// What is here.
pub fn landing(state: &State) -> HttpResponse {
    let mut stories: Vec<RoleStory<'_>> = Vec::new();
    for role in state.world.roles() {
        let name = role.arn.role().to_string();
        if let Some(story) = role.story.as_deref()
            && stories.iter().all(|known| known.role != name)
        {
            stories.push(RoleStory { role: name, story });
        }
    }
    let base = state.base.as_str().trim_end_matches('/');
    let page = Landing {
        company: state.world.company(),
        base,
        sts: base,
        idp_metadata: super::idp::saml::entity_id(&state.base),
        accounts: state.world.accounts().len(),
        roles: state.world.roles().len(),
        people: PersonCard::all(&state.world, None),
        stories,
    };
    render(200, &page, &ORDINARY)
}

/// A session in the console's switcher.
struct Tab {
    label: String,
    href: String,
    current: bool,
}

struct Service {
    name: &'static str,
    about: &'static str,
    href: String,
    current: bool,
}

/// Parts of a console that people come for, by the first part of the path.
const SERVICES: [(&str, &str, &str); 6] = [
    ("ec2", "Compute", "Machines that run"),
    ("s3", "Storage", "Buckets and objects"),
    ("rds", "Databases", "Tables, replicas, backups"),
    ("cloudwatch", "Logs", "What happened, and when"),
    ("iam", "Access", "Roles and who trusts whom"),
    ("billing", "Billing", "What it costs"),
];

#[derive(Template)]
#[template(path = "sandbox/console.html")]
struct Console {
    heading: String,
    region: String,
    account_name: String,
    account_id: String,
    partition: &'static str,
    role: String,
    role_name: String,
    session_name: String,
    arn: String,
    user_id: String,
    source_identity: Option<String>,
    provider: String,
    subject: String,
    tags: Vec<(String, String)>,
    issued_at: String,
    until: String,
    until_iso: String,
    left: String,
    log_out: String,
    tabs: Vec<Tab>,
    services: Vec<Service>,
}

/// The console's page for one session: who you are, and until when.
pub fn console(
    state: &State,
    console: &ConsoleSession,
    all: &[ConsoleSession],
    service: &str,
    region: Option<&str>,
    now: Timestamp,
) -> HttpResponse {
    let session = &console.session;
    let account = state.world.account(session.role.account());
    let region = region.map_or_else(|| session.role.partition().default_region().to_string(), str::to_owned);
    let services: Vec<Service> = SERVICES
        .iter()
        .map(|(path, name, about)| Service {
            name,
            about,
            href: format!("/console/{}/{path}/home?region={region}", console.handle),
            current: *path == service,
        })
        .collect();
    let page = Console {
        heading: SERVICES
            .iter()
            .find(|(path, _, _)| *path == service)
            .map_or_else(|| "Console home".to_owned(), |(_, name, _)| (*name).to_owned()),
        account_name: account.map_or_else(|| "Unknown account".to_owned(), |account| account.name.clone()),
        account_id: session.role.account().to_string(),
        partition: session.role.partition().id(),
        role: session.role.to_string(),
        role_name: session.role.role().name().to_owned(),
        session_name: session.session_name.clone(),
        arn: session.arn(),
        user_id: session.user_id(),
        source_identity: session.source_identity.clone(),
        provider: session.provider.to_string(),
        subject: session.subject.clone(),
        tags: session.tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        issued_at: instant(session.issued_at),
        until: instant(console.ends_at),
        until_iso: crate::saml::names::date_time(console.ends_at),
        left: left(console.ends_at.as_second() - now.as_second()),
        log_out: format!("/console/{}/log-out", console.handle),
        tabs: all
            .iter()
            .filter(|other| now < other.ends_at)
            .map(|other| Tab {
                label: format!("{} @ {}", other.session.role.role().name(), other.session.role.account()),
                href: format!("/console/{}/home", other.handle),
                current: other.handle == console.handle,
            })
            .collect(),
        services,
        region,
    };
    render(200, &page, &ORDINARY)
}

fn instant(at: Timestamp) -> String {
    at.strftime("%-d %B %Y, %H:%M:%S UTC").to_string()
}

/// `59 minutes`, `1 hour 4 minutes`.
fn left(seconds: i64) -> String {
    let unit = |n: i64, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
    match (seconds / 3600, seconds / 60 % 60) {
        _ if seconds < 60 => unit(seconds.max(0), "second"),
        (0, minutes) => unit(minutes, "minute"),
        (hours, 0) => unit(hours, "hour"),
        (hours, minutes) => format!("{} {}", unit(hours, "hour"), unit(minutes, "minute")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_said_in_words() {
        for (seconds, words) in [
            (-5, "0 seconds"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (3599, "59 minutes"),
            (3600, "1 hour"),
            (43_199, "11 hours 59 minutes"),
        ] {
            assert_eq!(left(seconds), words);
        }
    }
}
