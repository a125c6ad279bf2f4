//! The federation endpoint: credentials become a link, and the link a session of the console.
//!
//! Spec: IAM User Guide, "Enable custom identity broker access to the AWS console".

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use serde::Deserialize;
use url::{Url, form_urlencoded};

use super::credentials::{Holder, Session};
use super::faults::{self, Failure, Met, Service};
use super::pages::{self, Notice, NoticeLink};
use super::{State, cookie_named};
use crate::aws::{Partition, Region};
use crate::sys::{Token, TokenHash};

/// A sign-in token works this long, any number of times.
const TOKEN_LIFE: SignedDuration = SignedDuration::from_mins(15);
/// A console session is remembered this long after its end, to say that it has ended and whom to ask.
const EPITAPH: SignedDuration = SignedDuration::from_hours(24);
/// As many sessions as AWS keeps in one browser; the oldest makes room.
const MAX_SESSIONS: usize = 5;
/// Entries are dropped when they end; this bounds what a loop can pile up before.
const MAX_ENTRIES: usize = 20_000;
const COOKIE: &str = "rolegate_console";

/// A signed-in console session.
#[derive(Debug, Clone)]
pub struct ConsoleSession {
    pub session: Session,
    pub ends_at: Timestamp,
    /// Where to begin again when it has ended, if that is a web page.
    pub issuer: Option<String>,
    /// `{account}-{8 characters}`: keeps several sessions in one browser apart.
    pub handle: String,
}

#[derive(Debug, Clone)]
struct SigninToken {
    session: Session,
    ends_at: Timestamp,
}

/// What is kept by token, hashed, until it ends.
#[derive(Debug)]
struct Shelf<T>(Mutex<HashMap<TokenHash, (Timestamp, T)>>);

impl<T: Clone> Shelf<T> {
    fn put(&self, token: &Token, until: Timestamp, value: T, now: Timestamp) {
        let mut entries = self.lock();
        entries.retain(|_, (until, _)| *until > now);
        if entries.len() < MAX_ENTRIES {
            entries.insert(token.hash(), (until, value));
        }
    }

    fn get(&self, token: &str, now: Timestamp) -> Option<T> {
        let hash = Token::parse(token)?.hash();
        self.lock().get(&hash).filter(|(until, _)| *until > now).map(|(_, value)| value.clone())
    }

    fn remove(&self, token: &str) {
        if let Some(token) = Token::parse(token) {
            self.lock().remove(&token.hash());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TokenHash, (Timestamp, T)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sign-in tokens and console sessions.
#[derive(Debug)]
pub struct Federation {
    tokens: Shelf<SigninToken>,
    consoles: Shelf<ConsoleSession>,
}

impl Federation {
    pub fn new() -> Self {
        Self { tokens: Shelf(Mutex::default()), consoles: Shelf(Mutex::default()) }
    }

    /// The console sessions of a browser, newest first, ended ones included.
    pub fn sessions(&self, request: &HttpRequest, state: &State) -> Vec<ConsoleSession> {
        let now = state.clock.now();
        cookie_tokens(request, state).iter().filter_map(|token| self.consoles.get(token, now)).collect()
    }

    /// Ends one console session of a browser, or all of them.
    pub fn log_out(&self, request: &HttpRequest, state: &State, handle: Option<&str>) -> Cookie<'static> {
        let now = state.clock.now();
        let mut kept = Vec::new();
        for token in cookie_tokens(request, state) {
            let known = self.consoles.get(&token, now);
            if handle.is_none() || known.is_none_or(|session| Some(session.handle.as_str()) == handle) {
                self.consoles.remove(&token);
            } else {
                kept.push(token);
            }
        }
        cookie(state, &kept)
    }
}

fn cookie_tokens(request: &HttpRequest, state: &State) -> Vec<String> {
    request
        .cookie(&cookie_named(COOKIE, &state.base))
        .map(|cookie| cookie.value().split('.').take(MAX_SESSIONS).map(str::to_owned).collect())
        .unwrap_or_default()
}

fn cookie(state: &State, tokens: &[String]) -> Cookie<'static> {
    let mut cookie = Cookie::build(cookie_named(COOKIE, &state.base), tokens.join("."))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(state.base.scheme() == "https")
        .finish();
    if tokens.is_empty() {
        cookie.make_removal();
    }
    cookie
}

type Params = HashMap<String, String>;

/// `GET /federation` and `POST /federation`.
pub async fn endpoint(request: HttpRequest, body: web::Bytes, state: web::Data<State>) -> HttpResponse {
    let mut params = Params::new();
    let mut read = |text: &[u8]| {
        for (name, value) in form_urlencoded::parse(text) {
            params.entry(name.into_owned()).or_insert_with(|| value.into_owned());
        }
    };
    read(request.query_string().as_bytes());
    if request.method() == Method::POST {
        read(&body);
    }
    let action = match params.get("Action").map(String::as_str) {
        Some(action @ ("getSigninToken" | "login")) => action,
        Some("logout") => return log_out(&request, &state, &params),
        _ => return refused("Invalid Action", "The request names no action of the federation endpoint."),
    };
    let time = match faults::meet(&state, Service::Federation, action).await {
        Met::Serve(time) => time,
        Met::Throttle => return trouble(429, "There were too many requests."),
        Met::Fail(Failure::Internal) => return trouble(500, "Something went wrong here."),
        Met::Fail(Failure::Unavailable) => return trouble(503, "This service cannot be reached at the moment."),
        Met::CutOff => return faults::cut_off(),
    };
    let mut answer = if action == "login" {
        log_in(&request, &state, &params, time.now)
    } else {
        get_signin_token(&state, &params, time.now)
    };
    time.stamp(&mut answer);
    answer
}

/// `GET /oauth?Action=logout`: the address AWS's own pages link to.
pub async fn oauth(request: HttpRequest, query: web::Query<Params>, state: web::Data<State>) -> HttpResponse {
    match query.get("Action").map(String::as_str) {
        Some("logout") => log_out(&request, &state, &query),
        _ => refused("Invalid Action", "Only logging out is possible here."),
    }
}

/// The three members of `Session`. Others are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionParameter {
    session_id: String,
    session_key: String,
    session_token: String,
}

fn get_signin_token(state: &State, params: &Params, now: Timestamp) -> HttpResponse {
    let invalid = |why: &str| {
        tracing::info!("the sandbox's federation endpoint refused credentials: {why}");
        refused(
            "Invalid credentials parameter",
            "The request sent by the client was syntactically incorrect, or its credentials are not valid.",
        )
    };
    let Some(text) = params.get("Session") else { return invalid("there is no Session") };
    let Ok(sent) = serde_json::from_str::<SessionParameter>(text) else {
        return invalid("Session is not a JSON object with sessionId, sessionKey and sessionToken");
    };
    let secret = state.mint.secret(&sent.session_id);
    let (expected, given) = (secret.expose_secret().as_bytes(), sent.session_key.as_bytes());
    if expected.len() != given.len() || !openssl::memcmp::eq(expected, given) {
        return invalid("the secret does not belong to the key id");
    }
    let Some(session) = state.mint.open(&sent.session_id, &sent.session_token) else {
        return invalid("the token does not belong to the key id");
    };
    if now >= session.expires_at || !state.world_has(&session) {
        return invalid("the session has ended");
    }
    let own_length = match &session.holder {
        Holder::Role(_) => !session.is_chained(),
        Holder::FederatedUser { .. } => false,
        Holder::User { .. } => return invalid("credentials of GetSessionToken open no console"),
        Holder::RootTask { .. } => return invalid("a task of a member account's root opens no console"),
    };
    let ends_at = match params.get("SessionDuration").map(|text| text.parse::<i64>()) {
        None => session.expires_at,
        Some(_) if !own_length => {
            return invalid("SessionDuration must be omitted with chained sessions and with federated users");
        }
        // It may outlive the credentials, and the role's maximum: AWS lets it.
        Some(Ok(seconds)) if (900..=43_200).contains(&seconds) => now + SignedDuration::from_secs(seconds),
        Some(_) => return invalid("SessionDuration is not between 900 and 43200"),
    };
    let token = Token::generate(&*state.rng);
    state.federation.tokens.put(&token, now + TOKEN_LIFE, SigninToken { session, ends_at }, now);
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(serde_json::json!({ "SigninToken": token.expose_secret() }))
}

fn log_in(request: &HttpRequest, state: &State, params: &Params, now: Timestamp) -> HttpResponse {
    let issuer = params.get("Issuer").filter(|text| is_web_page(text)).cloned();
    let again = issuer.as_ref().map(|href| NoticeLink { text: "Sign in again".to_owned(), href: href.clone() });
    let Some(found) = params.get("SigninToken").and_then(|token| state.federation.tokens.get(token, now)) else {
        return pages::notice(
            400,
            &Notice {
                title: "This link has expired".to_owned(),
                text: "A link to the console works for fifteen minutes. Ask for a new one where you got this."
                    .to_owned(),
                link: again,
            },
        );
    };
    let partition = found.session.partition();
    let Some(place) = params.get("Destination").and_then(|text| destination(&state.base, partition, text)) else {
        return refused("Invalid Destination", "The destination is not a page of this console.");
    };

    let account = found.session.account();
    let handle = format!("{account}-{}", suffix(state));
    let same = |other: &ConsoleSession| other.session.arn() == found.session.arn();
    // Signing in to the same role again replaces that session; another one is added, as in the multi-session console.
    let mut tokens: Vec<String> = cookie_tokens(request, state)
        .into_iter()
        .filter(|token| state.federation.consoles.get(token, now).is_some_and(|other| !same(&other)))
        .collect();
    let token = Token::generate(&*state.rng);
    tokens.insert(0, token.expose_secret().to_owned());
    for old in tokens.drain(MAX_SESSIONS.min(tokens.len())..) {
        state.federation.consoles.remove(&old);
    }
    let until = found.ends_at + EPITAPH;
    let location = format!("/console/{handle}{place}");
    let console = ConsoleSession { session: found.session, ends_at: found.ends_at, issuer, handle };
    state.federation.consoles.put(&token, until, console, now);
    HttpResponse::Found()
        .cookie(cookie(state, &tokens))
        .insert_header((LOCATION, location))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("Referrer-Policy", "no-referrer"))
        .finish()
}

fn log_out(request: &HttpRequest, state: &State, params: &Params) -> HttpResponse {
    let cookie = state.federation.log_out(request, state, None);
    match params.get("redirect_uri") {
        Some(uri) if may_return_to(state, uri) => {
            HttpResponse::Found().cookie(cookie).insert_header((LOCATION, uri.as_str())).finish()
        }
        Some(_) => {
            let mut answer = refused("Signed out", "You are signed out. The address to go on to is not one of ours.");
            let _ = answer.add_cookie(&cookie);
            answer
        }
        None => {
            let mut answer = pages::notice(
                200,
                &Notice {
                    title: "You are signed out".to_owned(),
                    text: "The console sessions of this browser have ended.".to_owned(),
                    link: None,
                },
            );
            let _ = answer.add_cookie(&cookie);
            answer
        }
    }
}

fn trouble(status: u16, text: &str) -> HttpResponse {
    pages::notice(status, &Notice { title: "Try again".to_owned(), text: text.to_owned(), link: None })
}

fn refused(title: &str, text: &str) -> HttpResponse {
    pages::notice(400, &Notice { title: title.to_owned(), text: text.to_owned(), link: None })
}

fn is_web_page(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// Ourselves, AWS's front page and consoles, and whoever we know as a broker.
fn may_return_to(state: &State, uri: &str) -> bool {
    let Ok(url) = Url::parse(uri) else { return false };
    let plain = url.username().is_empty() && url.password().is_none();
    plain
        && (url.origin() == state.base.origin()
            || state.is_partner(&url.origin())
            || (url.scheme() == "https" && url.host_str() == Some("aws.amazon.com") && url.port().is_none())
            || Partition::ALL.into_iter().any(|partition| console_region(&url, partition).is_some()))
}

/// Eight characters, as in the hosts of the multi-session console.
fn suffix(state: &State) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut random = [0_u8; 8];
    state.rng.fill(&mut random);
    random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}

/// Where in our console a destination lies: path, query and fragment. None when it is no console of the partition.
fn destination(base: &Url, partition: Partition, text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    if !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let region = if url.origin() == base.origin() {
        (url.path() == "/console" || url.path().starts_with("/console/")).then_some(None)?
    } else {
        console_region(&url, partition)?
    };
    let path = url.path().strip_prefix("/console").unwrap_or(url.path());
    // A session in the path is from another sign-in; this one gets its own.
    let path = match path.strip_prefix('/').map(|rest| rest.split_once('/').unwrap_or((rest, ""))) {
        Some((first, rest)) if is_handle(first) => format!("/{rest}"),
        _ => path.to_owned(),
    };
    let path = if path.is_empty() || path == "/" { "/home".to_owned() } else { path };
    let mut place = path;
    let has_region = url.query_pairs().any(|(name, _)| name == "region");
    let query = match (url.query().filter(|query| !query.is_empty()), region.filter(|_| !has_region)) {
        (Some(query), Some(region)) => format!("?{query}&region={region}"),
        (Some(query), None) => format!("?{query}"),
        (None, Some(region)) => format!("?region={region}"),
        (None, None) => String::new(),
    };
    place.push_str(&query);
    if let Some(fragment) = url.fragment() {
        place.push('#');
        place.push_str(fragment);
    }
    Some(place)
}

/// The console hosts of a partition: the root, `{region}.` before it, and `{session}.{region}.` before it. Tells the
/// region, where the host does.
#[expect(clippy::option_option, reason = "a console host without a region is not the same as no console host")]
fn console_region(url: &Url, partition: Partition) -> Option<Option<Region>> {
    let (Some(host), "https", None) = (url.host_str(), url.scheme(), url.port()) else { return None };
    let before = host.strip_suffix(partition.console_host())?;
    if before.is_empty() {
        return Some(None);
    }
    let labels = before.strip_suffix('.')?;
    let (session, region) = labels.split_once('.').map_or((None, labels), |(session, region)| (Some(session), region));
    let region: Region = region.parse().ok()?;
    (session.is_none_or(is_handle) && partition.has_region(&region)).then_some(Some(region))
}

/// `{account}-{8 characters}`.
pub fn is_handle(text: &str) -> bool {
    text.split_once('-').is_some_and(|(account, suffix)| {
        account.len() == 12
            && account.bytes().all(|byte| byte.is_ascii_digit())
            && suffix.len() == 8
            && suffix.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_lie_in_the_console_of_the_partition() {
        let base: Url = "http://127.0.0.1:8081".parse().unwrap();
        let aws = |text: &str| destination(&base, Partition::Aws, text);
        for (text, place) in [
            ("https://console.aws.amazon.com/", "/home"),
            ("https://eu-west-1.console.aws.amazon.com/console/home?region=eu-west-1", "/home?region=eu-west-1"),
            ("https://eu-west-1.console.aws.amazon.com/ec2/home#Instances:", "/ec2/home?region=eu-west-1#Instances:"),
            ("https://111122223333-abcd2345.eu-west-1.console.aws.amazon.com/s3/a", "/s3/a?region=eu-west-1"),
            ("http://127.0.0.1:8081/console?region=eu-west-1", "/home?region=eu-west-1"),
            ("http://127.0.0.1:8081/console/111122223333-abcd2345/logs?a=b", "/logs?a=b"),
        ] {
            assert_eq!(aws(text).as_deref(), Some(place), "{text}");
        }
        for text in [
            "https://evil.example/",
            "https://console.aws.amazon.com@evil.example/",
            "https://user@console.aws.amazon.com/",
            "https://console.aws.amazon.com.evil.example/",
            "https://evilconsole.aws.amazon.com/",
            "https://a.b.c.console.aws.amazon.com/",
            "http://console.aws.amazon.com/",
            "https://console.aws.amazon.com:8443/",
            "https://console.amazonaws.cn/",
            "http://127.0.0.1:8081/idp/saml/sso",
            "http://127.0.0.1:9999/console",
            "/console",
            "javascript:alert(1)",
            "",
        ] {
            assert_eq!(aws(text), None, "{text}");
        }
        assert!(destination(&base, Partition::AwsCn, "https://console.amazonaws.cn/").is_some());
    }
}
