//! A stand-in for the management console: it shows whose session this is and until when, and lets it try the local S3.
//!
//! Each request is decided anew. A policy that denies everything, as one that revokes older sessions does, is honoured at
//! once: credentials and sign-in stay good, and open nothing.

use std::collections::HashMap;

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use url::form_urlencoded;

use super::State;
use super::authorize::{self, Answer, Bearer, Denial, Wire};
use super::federation::{self, ConsoleSession};
use super::pages::{self, ConsolePage, Notice, NoticeLink};
use super::policy::Context;
use super::s3::operation::{self, Asker, Operation, Outcome, Write};
use super::s3::store::Listing;
use super::s3::{S3Error, Upload};
use super::sts::Caller;

/// What no policy names and every policy about everything covers.
const ANYTHING: &str = "sandbox:OpenConsole";
/// What is written by the button that writes.
const NOTE: &str = "Written in the sandbox's console.\n";
/// An object is shown up to here.
const MAX_SHOWN: usize = 2000;

/// `GET /console` and everything below.
pub async fn page(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let path = request.match_info().query("path");
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let now = state.clock.now();
    let sessions = state.federation.sessions(&request, &state);
    if !federation::is_handle(first) {
        // An address without a session, as in a bookmark: the newest session that lives takes it.
        return match sessions.iter().find(|console| now < console.ends_at) {
            Some(console) => {
                let place = if path.is_empty() { "home" } else { path };
                let query = request.query_string();
                let separator = if query.is_empty() { "" } else { "?" };
                let location = format!("/console/{}/{place}{separator}{query}", console.handle);
                HttpResponse::Found().insert_header((LOCATION, location)).finish()
            }
            None => ended(sessions.first()),
        };
    }
    let Some(console) = sessions.iter().find(|console| console.handle == first) else { return ended(None) };
    let service = rest.split('/').next().unwrap_or_default();
    let region = region(&form_urlencoded::parse(request.query_string().as_bytes()).into_owned().collect());
    shown(&state, &request, console, &sessions, service, region.as_deref(), None, now)
}

/// What somebody tried, and what came of it.
#[derive(Debug)]
pub struct Tried {
    pub what: String,
    pub decisions: Vec<Answer>,
    /// What S3 gave, in lines, or what it said.
    pub outcome: Result<Vec<String>, S3Error>,
}

/// `POST /console/{session}/try`: one request to the local S3, with this session's permissions.
pub async fn try_it(
    request: HttpRequest,
    handle: web::Path<String>,
    form: web::Form<HashMap<String, String>>,
    state: web::Data<State>,
) -> HttpResponse {
    let now = state.clock.now();
    let sessions = state.federation.sessions(&request, &state);
    let Some(console) = sessions.iter().find(|console| console.handle == *handle) else { return ended(None) };
    if now >= console.ends_at || !state.world_has(&console.session) {
        return ended(Some(console));
    }
    let region = region(&form);
    let field = |name: &str| form.get(name).map(|text| text.trim().to_owned()).unwrap_or_default();
    let (bucket, key) = (field("bucket"), field("key"));
    let operation = match field("what").as_str() {
        "ListBuckets" => Operation::ListBuckets,
        "ListObjects" => Operation::ListObjects {
            bucket,
            listing: Listing { prefix: key, delimiter: "/".to_owned(), after: String::new(), max_keys: 100 },
        },
        "GetObject" => Operation::GetObject { bucket, key },
        "PutObject" => {
            let upload = Upload { object: NOTE.into(), checksum: None };
            let write =
                Write { upload: Some(upload), content_type: Some("text/plain".to_owned()), metadata: Vec::new() };
            Operation::PutObject { bucket, key, write }
        }
        "DeleteObject" => Operation::DeleteObject { bucket, key },
        _ => {
            let text = "The form names no operation of this page.".to_owned();
            return pages::notice(400, &Notice { title: "Nothing was tried".to_owned(), text, link: None });
        }
    };
    let caller = Caller::Session(Box::new(console.session.clone()));
    let context = context(&state, &request, console, region.as_deref(), now);
    let what = operation.name().to_owned();
    let (mut decisions, outcome) =
        operation::perform(&state, Asker { caller: &caller, context: &context, now }, operation);
    if let Err(S3Error { decision: Some(denied), .. }) = &outcome {
        decisions.push(Answer::clone(denied));
    }
    let tried = Tried { what, decisions, outcome: outcome.map(lines) };
    shown(&state, &request, console, &sessions, "s3", region.as_deref(), Some(tried), now)
}

fn lines(outcome: Outcome) -> Vec<String> {
    match outcome {
        Outcome::Buckets(buckets) => buckets.into_iter().map(|bucket| bucket.name).collect(),
        Outcome::Bucket { region } => vec![region],
        Outcome::Objects(page) => {
            page.prefixes.into_iter().chain(page.objects.into_iter().map(|(key, _)| key)).collect()
        }
        Outcome::Object(object) => {
            let text = String::from_utf8_lossy(&object.bytes);
            vec![text.chars().take(MAX_SHOWN).collect()]
        }
        Outcome::Written(object) => vec![format!("{} bytes were written.", object.bytes.len())],
        Outcome::Deleted => vec!["It is gone.".to_owned()],
    }
}

fn region(params: &HashMap<String, String>) -> Option<String> {
    params.get("region").filter(|region| region.parse::<crate::aws::Region>().is_ok()).cloned()
}

/// What is known of a request that a browser makes.
fn context(
    state: &State,
    request: &HttpRequest,
    console: &ConsoleSession,
    region: Option<&str>,
    now: Timestamp,
) -> Context {
    let home = console.session.partition().default_region();
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    Wire {
        now,
        source_ip: request.peer_addr().map(|peer| peer.ip()),
        secure_transport: state.base.scheme() == "https",
        user_agent: header("user-agent"),
        referer: header("referer"),
        region: region.unwrap_or(home.as_str()),
    }
    .context()
}

#[expect(clippy::too_many_arguments, reason = "a page of a session: who, where, what was tried, when")]
fn shown(
    state: &State,
    request: &HttpRequest,
    console: &ConsoleSession,
    sessions: &[ConsoleSession],
    service: &str,
    region: Option<&str>,
    tried: Option<Tried>,
    now: Timestamp,
) -> HttpResponse {
    if now >= console.ends_at || !state.world_has(&console.session) {
        return ended(Some(console));
    }
    let context = context(state, request, console, region, now);
    let bearer = Bearer::of_session(&console.session);
    let explanation = authorize::allowed(&state.iam.now(), &bearer, ANYTHING, "*", &context);
    let denied = explanation.answers.into_iter().find(|answer| matches!(answer.denial, Some(Denial::Explicit(_))));
    pages::console(state, console, ConsolePage { all: sessions, service, region, denied, tried }, now)
}

/// `POST /console/{session}/log-out`
pub async fn log_out(request: HttpRequest, handle: web::Path<String>, state: web::Data<State>) -> HttpResponse {
    let cookie = state.federation.log_out(&request, &state, Some(&handle));
    let mut answer = pages::notice(
        200,
        &Notice {
            title: "You are signed out".to_owned(),
            text: "This session of the console has ended.".to_owned(),
            link: None,
        },
    );
    let _ = answer.add_cookie(&cookie);
    answer
}

fn ended(console: Option<&ConsoleSession>) -> HttpResponse {
    match console.and_then(|console| console.issuer.clone()) {
        Some(href) => pages::notice(
            403,
            &Notice {
                title: "Your session has expired".to_owned(),
                text: "To start a new session, follow the link of your administrator.".to_owned(),
                link: Some(NoticeLink { text: href.clone(), href }),
            },
        ),
        None => pages::notice(
            403,
            &Notice {
                title: "You are not signed in to the console".to_owned(),
                text: "Open the console from the place that gives you roles.".to_owned(),
                link: None,
            },
        ),
    }
}
