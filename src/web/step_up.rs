//! A role asks for a more recent or stronger sign-in: the page that says so, the way through the identity provider, and
//! the click made again.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::limits::Limits;
use super::picker::{role_title, shell};
use super::problem::{Kind, Problem};
use super::session::{Cookies, SignedIn};
use super::{To, caller, context, data, depart, page, see_other, views, words};
use crate::access::Denied;
use crate::flows::Ground;
use crate::flows::current::CurrentCatalog;
use crate::flows::issue::IssueFlowError;
use crate::flows::step_up::{Next, StepUp, StepUpError};
use crate::identity::{Unmet, VerifiedIdentity};
use crate::store::clicks::{Click, Wanted};
use crate::sys::{LocalPath, Token};

/// What is answered where a click was not carried out: for people the page that leads on where signing in again helps,
/// and the problem otherwise.
///
/// # Errors
/// The problem.
pub(super) async fn instead_of(
    error: IssueFlowError,
    click: Click,
    request: &HttpRequest,
    user: &SignedIn,
) -> Result<HttpResponse, Problem> {
    let IssueFlowError::Denied(Denied::StepUp { unmet, demand, .. }) = &error else { return Err(error.into()) };
    if !context::wants_page(request.method(), request.path(), request.headers()) {
        return Err(error.into());
    }
    let (ground, cookies) = (data::<Ground>(request), data::<Cookies>(request));
    let loaded = data::<CurrentCatalog>(request).get().await?;
    let identity = &user.0.identity;
    let decision = loaded.policy.decide(identity);
    let Some(access) = decision.role(click.account, &click.role) else { return Err(error.into()) };
    let shell = shell(&user.0, &loaded.catalog, ground, &LocalPath::home());
    let connector = shell.person.as_ref().map_or_else(String::new, |person| person.connector.clone());
    let kept = data::<StepUp>(request).keep(&user.0, cookies.browser_token(request), click).await?;
    let mut response = page(&views::StepUpPage {
        why: why(unmet, identity, &connector, ground.clock.now()),
        asked: words::asked(demand),
        role: role_title(&access),
        href: format!("/step-up/{}", kept.id.expose_secret()),
        connector,
        shell,
    });
    *response.status_mut() = StatusCode::FORBIDDEN;
    response.add_cookie(&cookies.browser(&kept.browser)).map_err(super::internal)?;
    Ok(response)
}

/// How the sign-in that there is falls short.
fn why(unmet: &Unmet, identity: &VerifiedIdentity, connector: &str, now: jiff::Timestamp) -> String {
    let by = words::recognised_by(&identity.authentication);
    match unmet {
        Unmet::TooOld { instant, .. } => format!("You signed in {}.", words::ago(*instant, now)),
        Unmet::AgeUnknown => format!("{connector} did not say when you signed in."),
        Unmet::Context { .. } | Unmet::Methods { .. } if by.is_empty() => {
            format!("{connector} did not say how you signed in.")
        }
        Unmet::Context { .. } | Unmet::Methods { .. } => format!("You signed in by {}.", by.join(", ")),
    }
}

/// The id of a click in an address.
fn click_id(path: &web::Path<String>) -> Result<Token, Problem> {
    Token::parse(path).ok_or_else(|| StepUpError::Gone.into())
}

/// `GET /step-up/{click}`: off to the identity provider, asking for what the role asks for.
///
/// # Errors
/// The click is gone, or somebody else's; the connector cannot be used; too many requests.
pub async fn begin(
    request: HttpRequest,
    user: SignedIn,
    path: web::Path<String>,
    flow: web::Data<StepUp>,
    cookies: web::Data<Cookies>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    limits.sign_in(context::client_address(&request))?;
    let browser = cookies.browser_token(&request);
    match flow.begin(&user.0, &click_id(&path)?, browser.as_ref(), &caller(&request)).await? {
        Next::SignIn(started) => depart(&cookies, &started),
        Next::Continue(path) => Ok(see_other(&To::Page(&path))),
    }
}

/// `GET /continue/{click}`: a page that makes the click again, by itself where scripts run.
///
/// # Errors
/// The click is gone, or somebody else's.
pub async fn resume(
    request: HttpRequest,
    user: SignedIn,
    path: web::Path<String>,
    flow: web::Data<StepUp>,
    catalog: web::Data<CurrentCatalog>,
    cookies: web::Data<Cookies>,
) -> Result<HttpResponse, Problem> {
    let browser = cookies.browser_token(&request);
    let click = flow.resume(&user.0, &click_id(&path)?, browser.as_ref(), &caller(&request)).await?;
    let loaded = catalog.get().await?;
    let decision = loaded.policy.decide(&user.0.identity);
    let access = decision.role(click.account, &click.role).ok_or_else(|| Problem::new(Kind::RoleNotPermitted))?;
    let role = role_title(&access);
    let mut fields = Vec::new();
    fields.extend(click.duration.map(|duration| ("duration", duration.as_secs().to_string())));
    fields.extend(super::scope_down::fields_of(&click.scope_down));
    let (action, button) = match click.wants {
        Wanted::Console { destination } => {
            fields.extend(destination.map(|destination| ("destination", destination)));
            ("console", "Open console")
        }
        Wanted::Credentials { format: None } => ("credentials", "Get credentials"),
        Wanted::Credentials { format: Some(format) } => {
            fields.push(("format", format));
            ("credentials", "Download the file")
        }
    };
    Ok(page(&views::ContinuePage {
        shell: shell(&user.0, &loaded.catalog, &flow.ground, &LocalPath::home()),
        action: format!("{}/{action}", role.url),
        role,
        fields,
        button: button.to_owned(),
    }))
}

impl From<StepUpError> for Problem {
    fn from(error: StepUpError) -> Self {
        let kind = match error {
            StepUpError::Start(error) => return error.into(),
            StepUpError::Store(error) => return error.into(),
            StepUpError::Gone => Kind::StepUpExpired,
            StepUpError::OtherBrowser | StepUpError::OtherPerson => Kind::StepUpRefused,
        };
        Self::new(kind).caused_by(error)
    }
}
