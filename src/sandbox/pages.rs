//! The sandbox's own pages. They are plain HTML, work without scripts, and say everywhere that this is not AWS.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use askama::Template;
use jiff::Timestamp;
use url::Url;

use super::State;
use super::authorize::{Answer, Layer};
use super::console::Tried;
use super::credentials::{self, Holder, How, Origin};
use super::faults::{self, Counts};
use super::federation::ConsoleSession;
use super::idp::oidc::keys::Ring;
use super::idp::saml::partners::ServiceProvider;
use super::idp::sessions::Session;
use super::idp::strength::Strength;
use super::idp::{Question, Why};
use super::policy::{Decision, StatementRef};
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
    /// Has the focus.
    first: bool,
}

impl<'a> PersonCard<'a> {
    fn new(person: &'a Person, signed_in: Option<&str>) -> Self {
        let initials = person.name.split_whitespace().filter_map(|word| word.chars().find(|c| c.is_alphabetic()));
        Self {
            person,
            initials: initials.take(2).collect(),
            current: signed_in == Some(person.id.as_str()),
            first: false,
        }
    }

    fn all(world: &'a World, signed_in: Option<&str>) -> Vec<Self> {
        world.people().iter().map(|person| Self::new(person, signed_in)).collect()
    }
}

#[derive(Template)]
#[template(path = "sandbox/choose_person.html")]
struct ChoosePerson<'a> {
    company: &'a str,
    application: &'a str,
    protocol: &'a str,
    pending: &'a str,
    people: Vec<PersonCard<'a>>,
    expected: Option<&'a Person>,
    why: Option<&'static str>,
    strengths: Vec<StrengthChoice>,
}

struct StrengthChoice {
    name: &'static str,
    label: &'static str,
    note: &'static str,
    chosen: bool,
}

/// The identity provider's sign-in page.
pub fn choose_person(state: &State, question: &Question<'_>, pending: &str) -> HttpResponse {
    let expected = question.expected.and_then(|id| state.world.person(id));
    let mut people = PersonCard::all(&state.world, question.signed_in);
    for card in &mut people {
        card.first = question.expected.or(question.signed_in) == Some(card.person.id.as_str());
    }
    // Whoever is expected is the first to be read; the others keep their order.
    people.sort_by_key(|card| question.expected != Some(card.person.id.as_str()));
    let page = ChoosePerson {
        company: state.world.company(),
        application: question.application,
        protocol: question.protocol,
        pending,
        people,
        expected,
        why: question.why.map(|why| match why {
            Why::Again => "The application wants to be sure, so please say it again.",
            Why::Strength => "The application asks for another way to sign in.",
            Why::Somebody => "The application expects somebody else.",
        }),
        strengths: Strength::ALL
            .into_iter()
            .map(|strength| StrengthChoice {
                name: strength.name(),
                label: strength.label(),
                note: match strength {
                    Strength::Password => "one factor",
                    Strength::SecurityKey => "two factors",
                },
                chosen: strength == question.strength,
            })
            .collect(),
    };
    // The form goes to ourselves; its answer is a page of ours too.
    render(200, &page, &Policy { form_action: None, referrer: "strict-origin" })
}

#[derive(Template)]
#[template(path = "sandbox/send_answer.html")]
struct SendFields<'a> {
    action: &'a str,
    host: String,
    fields: &'a [(&'static str, String)],
}

fn host_of(url: &str) -> String {
    Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_else(|| url.to_owned())
}

/// The page that carries a message to another site: by script, or by a button without scripts.
pub fn send_fields(action: &str, fields: &[(&'static str, String)]) -> HttpResponse {
    let origin = Url::parse(action).ok().map(|url| url.origin().ascii_serialization());
    let page = SendFields { action, host: host_of(action), fields };
    // Without an origin in it, some service providers refuse a post from elsewhere.
    render(200, &page, &Policy { form_action: origin.as_deref(), referrer: "strict-origin" })
}

#[derive(Template)]
#[template(path = "sandbox/go_on.html")]
struct GoOn<'a> {
    url: &'a str,
    host: String,
}

/// The page that leads on to another site.
pub fn go_on(url: &str) -> HttpResponse {
    render(200, &GoOn { url, host: host_of(url) }, &ORDINARY)
}

#[derive(Template)]
#[template(path = "sandbox/signed_out.html")]
struct SignedOut<'a> {
    company: &'a str,
    told: &'a [String],
    untold: &'a [String],
}

/// Nobody is signed in any more; who was told, and who could not be.
pub fn signed_out(state: &State, told: &[String], untold: &[String]) -> HttpResponse {
    render(200, &SignedOut { company: state.world.company(), told, untold }, &ORDINARY)
}

#[derive(Template)]
#[template(path = "sandbox/sign_out_question.html")]
struct SignOutQuestion<'a> {
    company: &'a str,
    card: PersonCard<'a>,
    strength: &'static str,
    client: Option<&'a str>,
    pending: &'a str,
}

/// Somebody wants this person signed out, and could not say who this person is.
pub fn sign_out_question(
    state: &State,
    session: &Session,
    person: &Person,
    client: Option<&str>,
    pending: &str,
) -> HttpResponse {
    let card = PersonCard::new(person, Some(&person.id));
    let page =
        SignOutQuestion { company: state.world.company(), card, strength: session.strength.label(), client, pending };
    render(200, &page, &ORDINARY)
}

/// The person stays.
pub fn still_signed_in() -> HttpResponse {
    notice(
        200,
        &Notice {
            title: "You are still signed in".to_owned(),
            text: "Nothing has changed, here or anywhere else.".to_owned(),
            link: Some(NoticeLink { text: "Your applications".to_owned(), href: "/idp".to_owned() }),
        },
    )
}

#[derive(Template)]
#[template(path = "sandbox/idp_home.html")]
struct IdpHome<'a> {
    company: &'a str,
    signed_in: Option<SignedInCard<'a>>,
    partners: Vec<PartnerLink>,
    clients: Vec<ClientLine<'a>>,
    metadata: String,
    discovery: String,
    keys: Option<KeyTable>,
}

struct SignedInCard<'a> {
    card: PersonCard<'a>,
    strength: &'static str,
    since: String,
}

struct PartnerLink {
    entity_id: String,
    href: String,
}

struct ClientLine<'a> {
    id: &'a str,
    address: &'a str,
}

struct KeyTable {
    keys: Vec<KeyLine>,
    step: &'static str,
}

struct KeyLine {
    id: String,
    state: &'static str,
}

impl KeyTable {
    fn new(ring: &Ring) -> Self {
        let line = |key: &crate::saml::key::SigningKey, state| KeyLine { id: key.id().to_owned(), state };
        let mut keys = vec![line(&ring.current, "signs")];
        keys.extend(ring.next.as_deref().map(|key| line(key, "published, will sign next")));
        keys.extend(ring.previous.as_deref().map(|key| line(key, "published, has signed")));
        Self { keys, step: ring.next_step() }
    }
}

/// The identity provider's front page.
pub fn idp_home(
    state: &State,
    signed_in: Option<(&Session, &Person)>,
    partners: &[ServiceProvider],
    keys: Option<&Ring>,
) -> HttpResponse {
    let link = |partner: &ServiceProvider| {
        let query: String =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("sp", &partner.entity_id).finish();
        PartnerLink { entity_id: partner.entity_id.clone(), href: format!("/idp/saml/initiate?{query}") }
    };
    let page = IdpHome {
        company: state.world.company(),
        signed_in: signed_in.map(|(session, person)| SignedInCard {
            card: PersonCard::new(person, Some(&person.id)),
            strength: session.strength.label(),
            since: session.at.strftime("%H:%M UTC").to_string(),
        }),
        partners: partners.iter().map(link).collect(),
        clients: state.idp.oidc.registered().map(|(id, address)| ClientLine { id, address }).collect(),
        metadata: super::idp::saml::entity_id(&state.base),
        discovery: super::idp::oidc::discovery_url(&state.base),
        keys: keys.map(KeyTable::new),
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
    idp_discovery: String,
    /// A line for a shell.
    workload_token: String,
    accounts: usize,
    roles: usize,
    people: Vec<PersonCard<'a>>,
    stories: Vec<RoleStory<'a>>,
    buckets: Vec<&'a str>,
    users: Vec<UserLine>,
    faults: Vec<FaultLine>,
    fault_names: Vec<&'static str>,
    counts: Vec<(&'static str, Counts)>,
}

/// A user and the ids of the keys that are active.
struct UserLine {
    arn: String,
    keys: Vec<String>,
}

/// A fault that is set.
struct FaultLine {
    name: String,
    /// As JSON, which is how it can be set again.
    fault: String,
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
    let shown = state.faults.shown(state.clock.now());
    let line = |(name, fault): (String, _)| FaultLine {
        fault: serde_json::to_string(&fault).unwrap_or_else(|error| error.to_string()),
        name,
    };
    let iam = state.iam.now();
    let users = iam.users().filter_map(|user| {
        let keys: Vec<String> = user.keys.iter().filter(|key| key.active).map(|key| key.id.clone()).collect();
        (!keys.is_empty()).then(|| UserLine { arn: user.arn(), keys })
    });
    let page = Landing {
        buckets: state.world.buckets().iter().map(|bucket| bucket.name.as_str()).collect(),
        users: users.collect(),
        faults: shown.faults.into_iter().map(line).collect(),
        fault_names: faults::names().collect(),
        counts: shown.counts.into_iter().collect(),
        company: state.world.company(),
        base,
        sts: base,
        idp_metadata: super::idp::saml::entity_id(&state.base),
        idp_discovery: super::idp::oidc::discovery_url(&state.base),
        workload_token: format!(
            "curl '{base}/idp/workload/token?like=github&repository=larkspur/website&audience={}'",
            state.partners.iter().next().map_or("http://127.0.0.1:8080", |partner| partner.0.as_str())
        ),
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
    role: Option<String>,
    role_name: String,
    session_name: String,
    arn: String,
    user_id: String,
    source_identity: Option<String>,
    /// The provider's ARN, and whom it vouched for.
    origin: Option<(String, String)>,
    /// Key, value, and whether it passes on.
    tags: Vec<(String, String, bool)>,
    /// How the credentials were come by.
    how: &'static str,
    mfa: Option<String>,
    session_policy: Option<String>,
    session_policy_arns: Vec<String>,
    /// A federated user without session policies may do nothing.
    powerless: bool,
    /// A policy that denies everything.
    denied: Option<DecisionView>,
    tried: Option<TriedView>,
    buckets: Vec<String>,
    try_href: String,
    issued_at: String,
    until: String,
    until_iso: String,
    left: String,
    log_out: String,
    tabs: Vec<Tab>,
    services: Vec<Service>,
}

/// One decision, and who made it.
struct DecisionView {
    /// `Allowed: s3:GetObject on arn:…`
    heading: String,
    layers: Vec<LayerView>,
}

/// What policies of one sort said.
struct LayerView {
    kind: &'static str,
    said: String,
    /// The statement that decided.
    statement: Option<String>,
}

impl DecisionView {
    fn new(answer: &Answer) -> Self {
        let verdict = if answer.denial.is_some() { "Denied" } else { "Allowed" };
        Self {
            heading: format!("{verdict}: {} on {}", answer.action, answer.resource),
            layers: answer.layers.iter().map(LayerView::new).collect(),
        }
    }
}

impl LayerView {
    fn new(layer: &Layer) -> Self {
        let place = |policy: &str, statement: &StatementRef| {
            let sid = statement.sid.as_ref().map(|sid| format!(" ({sid})")).unwrap_or_default();
            format!("statement {}{sid} of {policy}", statement.index + 1)
        };
        let by = layer.by.as_ref().map(|by| place(&by.policy, &by.statement));
        let said = match (layer.decision, by, layer.missed.first()) {
            (Decision::Allow, Some(by), _) => format!("allowed by {by}"),
            (Decision::ExplicitDeny, Some(by), _) => format!("denied by {by}"),
            (Decision::Allow, None, _) => "allowed".to_owned(),
            (Decision::ExplicitDeny, None, _) => "denied".to_owned(),
            (Decision::ImplicitDeny, _, Some(missed)) => {
                format!("nothing allows it; nearest is {}", place(&missed.policy, &missed.miss.statement))
            }
            (Decision::ImplicitDeny, _, None) => "nothing allows it".to_owned(),
        };
        let statement = layer.by.as_ref().map(|by| by.text.clone());
        let statement = statement.or_else(|| layer.missed.first().map(|missed| missed.text.clone()));
        Self { kind: layer.kind.name(), said, statement }
    }
}

struct TriedView {
    what: String,
    allowed: bool,
    decisions: Vec<DecisionView>,
    /// What the service said when it refused.
    error: Option<String>,
    lines: Vec<String>,
}

impl TriedView {
    fn new(tried: Tried) -> Self {
        let decisions = tried.decisions.iter().map(DecisionView::new).collect();
        let (error, lines) = match tried.outcome {
            Ok(lines) => (None, lines),
            Err(error) => (Some(format!("{}: {}", error.code, error.message)), Vec::new()),
        };
        Self { what: tried.what, allowed: error.is_none(), decisions, error, lines }
    }
}

/// What one page of the console is about.
pub struct ConsolePage<'a> {
    /// The sessions of this browser.
    pub all: &'a [ConsoleSession],
    pub service: &'a str,
    pub region: Option<&'a str>,
    /// The decision that denies everything, if there is one.
    pub denied: Option<Answer>,
    pub tried: Option<Tried>,
}

fn how(session: &credentials::Session) -> &'static str {
    match &session.holder {
        Holder::Role(held) => match &held.how {
            How::Federated(Origin::Saml { .. }) => "AssumeRoleWithSAML",
            How::Federated(Origin::WebIdentity { .. }) => "AssumeRoleWithWebIdentity",
            How::Role { chained: true, .. } => "AssumeRole, chained from another role's session: one hour at most",
            How::Role { chained: false, .. } => "AssumeRole, with a user's keys",
        },
        Holder::FederatedUser { .. } => "GetFederationToken",
        Holder::User { .. } => "GetSessionToken",
        Holder::RootTask { .. } => "AssumeRoot",
    }
}

/// JSON on several lines; what is none stays as it is.
fn pretty(json: &str) -> String {
    serde_json::from_str::<serde_json::Value>(json)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| json.to_owned())
}

/// The console's page for one session: who you are, until when, and what this session may do with the local S3.
pub fn console(state: &State, console: &ConsoleSession, about: ConsolePage<'_>, now: Timestamp) -> HttpResponse {
    let ConsolePage { all, service, region, denied, tried } = about;
    let status = if denied.is_some() { 403 } else { 200 };
    let session = &console.session;
    let account = state.world.account(session.account());
    let region = region.map_or_else(|| session.partition().default_region().to_string(), str::to_owned);
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
        account_id: session.account().to_string(),
        partition: session.partition().id(),
        role: session.role().map(|held| held.role.to_string()),
        role_name: title(session),
        session_name: match &session.holder {
            Holder::Role(held) => held.session_name.clone(),
            Holder::FederatedUser { name, .. } => name.clone(),
            Holder::User { user, .. } => user.arn(),
            Holder::RootTask { task, .. } => task.clone(),
        },
        arn: session.arn(),
        user_id: session.user_id(),
        source_identity: session.source_identity.clone(),
        origin: session.origin().map(|origin| (origin.provider(), origin.subject().to_owned())),
        tags: session
            .tags
            .iter()
            .map(|(key, value)| {
                let transitive = session.transitive_tag_keys.iter().any(|other| other.eq_ignore_ascii_case(key));
                (key.clone(), value.clone(), transitive)
            })
            .collect(),
        how: how(session),
        mfa: match &session.holder {
            Holder::User { mfa_at, .. } => mfa_at.map(instant),
            Holder::Role(_) | Holder::FederatedUser { .. } | Holder::RootTask { .. } => None,
        },
        session_policy: session.policies.inline.as_deref().map(pretty),
        session_policy_arns: session.policies.arns.clone(),
        powerless: matches!(session.holder, Holder::FederatedUser { .. }) && session.policies.is_none(),
        denied: denied.as_ref().map(DecisionView::new),
        tried: tried.map(TriedView::new),
        buckets: state.buckets.of_account(session.account()).into_iter().map(|bucket| bucket.name).collect(),
        try_href: format!("/console/{}/try", console.handle),
        issued_at: instant(session.issued_at),
        until: instant(console.ends_at),
        until_iso: crate::saml::names::date_time(console.ends_at),
        left: left(console.ends_at.as_second() - now.as_second()),
        log_out: format!("/console/{}/log-out", console.handle),
        tabs: all
            .iter()
            .filter(|other| now < other.ends_at)
            .map(|other| Tab {
                label: format!("{} @ {}", title(&other.session), other.session.account()),
                href: format!("/console/{}/home", other.handle),
                current: other.handle == console.handle,
            })
            .collect(),
        services,
        region,
    };
    render(status, &page, &ORDINARY)
}

/// What the console calls a session: its role, or what it is instead of one.
fn title(session: &credentials::Session) -> String {
    match &session.holder {
        Holder::Role(held) => held.role.role().name().to_owned(),
        Holder::FederatedUser { .. } => "federated user".to_owned(),
        Holder::User { .. } => "user".to_owned(),
        Holder::RootTask { .. } => "root".to_owned(),
    }
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
