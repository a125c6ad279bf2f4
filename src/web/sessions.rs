//! One's own sessions: seeing them, ending them, renewing the one in use.

use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;

use super::fields::Fields;
use super::limits::Limits;
use super::picker::shell;
use super::problem::{Kind, Problem};
use super::session::{Cookies, CsrfForm, SignedIn};
use super::views::sessions::Moment;
use super::views::{Notice, SessionRow, SessionsPage, Tone};
use super::{To, caller, depart, here, page, see_other, words};
use crate::catalog::Catalog;
use crate::flows::Ground;
use crate::flows::current::CurrentCatalog;
use crate::flows::sessions::Sessions;
use crate::flows::start_sign_in::StartSignIn;
use crate::store::sessions::StoredSession;
use crate::sys::LocalPath;

/// `GET /sessions`: where the person is signed in, through whichever of their connectors.
///
/// # Errors
/// The database refuses.
pub async fn list(
    request: HttpRequest,
    user: SignedIn,
    ground: web::Data<Ground>,
    catalog: web::Data<CurrentCatalog>,
    sessions: web::Data<Sessions>,
) -> Result<HttpResponse, Problem> {
    let loaded = catalog.get().await?;
    let now = ground.clock.now();
    let mut found = sessions.of(&user.0.identity.person()).await?;
    let is_this = |session: &StoredSession| session.public_id == user.0.public_id;
    found.sort_by_key(|session| !is_this(session));
    let rows = found.iter().map(|session| row(session, is_this(session), &loaded.catalog, now)).collect();
    let mut shell = shell(&user.0, &loaded.catalog, &ground, &here(&request));
    match Fields::of_query(&request)?.get("ended") {
        Some("one") => shell.notices.push(Notice::new(Tone::Done, "That session has ended.")),
        Some("others") => shell.notices.push(Notice::new(Tone::Done, "All your other sessions have ended.")),
        _ => {}
    }
    Ok(page(&SessionsPage { shell, sessions: rows }))
}

fn row(session: &StoredSession, this: bool, catalog: &Catalog, now: Timestamp) -> SessionRow {
    let identity = &session.identity;
    let connector = &identity.subject.connector;
    let connector = catalog.connector(connector).map_or_else(|| connector.to_string(), |found| found.name.clone());
    let by = words::recognised_by(&identity.authentication);
    let moment = |text: String, at: Timestamp| Moment { text, iso: at.to_string() };
    // What is noted lags behind a little, to save writes.
    let last_used = if this { now } else { session.last_seen };
    SessionRow {
        id: session.public_id.clone(),
        device: words::device(&session.user_agent),
        user_agent: session.user_agent.clone(),
        address: session.client_address.clone(),
        how: if by.is_empty() { connector } else { format!("{connector}, by {}", by.join(", ")) },
        began: moment(words::date_and_time(session.created), session.created),
        last_used: moment(words::ago(last_used, now), last_used),
        ends: moment(words::date_and_time(session.expires), session.expires),
        this,
    }
}

/// `POST /sessions/{id}/end`: ends one of one's own sessions.
///
/// # Errors
/// There is none of that id, or it is somebody else's: the answer does not say which, the audit log has it.
pub async fn end(
    request: HttpRequest,
    user: SignedIn,
    path: web::Path<String>,
    _form: CsrfForm,
    sessions: web::Data<Sessions>,
    cookies: web::Data<Cookies>,
) -> Result<HttpResponse, Problem> {
    if !sessions.end_own(&user.0.identity, &path, &caller(&request)).await? {
        let text = "That session has ended already, or is not yours.";
        return Err(Problem::new(Kind::NotFound).detail(text));
    }
    if *path == user.0.public_id {
        let mut response = see_other(&To::Fixed("/signed-out"));
        response.add_cookie(&cookies.forget_session()).map_err(super::internal)?;
        return Ok(response);
    }
    Ok(see_other(&To::Fixed("/sessions?ended=one")))
}

/// `POST /sessions/end-others`: ends all of one's own sessions but the one in use.
///
/// # Errors
/// The database refuses.
pub async fn end_others(
    request: HttpRequest,
    user: SignedIn,
    _form: CsrfForm,
    sessions: web::Data<Sessions>,
) -> Result<HttpResponse, Problem> {
    sessions.end_others(&user.0, &caller(&request)).await?;
    Ok(see_other(&To::Fixed("/sessions?ended=others")))
}

/// `GET /renew?return_to=`: signs in again the way one came, and back to the same page.
///
/// # Errors
/// The connector is gone or cannot be used, or too many requests.
pub async fn renew(
    request: HttpRequest,
    user: SignedIn,
    flow: web::Data<StartSignIn>,
    cookies: web::Data<Cookies>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    limits.sign_in(super::context::client_address(&request))?;
    let return_to = LocalPath::parse_or_home(Fields::of_query(&request)?.get("return_to"));
    let browser = cookies.browser_token(&request);
    depart(&cookies, &flow.again(&user.0.identity, &return_to, browser, None, &caller(&request)).await?)
}
