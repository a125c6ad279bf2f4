//! A stand-in for the management console: it shows whose session this is and until when, and manages nothing.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use url::form_urlencoded;

use super::State;
use super::federation::{self, ConsoleSession};
use super::pages::{self, Notice, NoticeLink};

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
    if now >= console.ends_at || !state.world_has(&console.session) {
        return ended(Some(console));
    }
    let region = form_urlencoded::parse(request.query_string().as_bytes())
        .find(|(name, _)| name == "region")
        .map(|(_, region)| region.into_owned())
        .filter(|region| region.parse::<crate::aws::Region>().is_ok());
    let service = rest.split('/').next().unwrap_or_default();
    pages::console(&state, console, &sessions, service, region.as_deref(), now)
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
