//! The page where somebody allows a program on their computer.

use actix_web::http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};

use super::ability;
use crate::flows::Ground;
use crate::flows::authorize::{Asked, AuthorizationRequest, Authorize, AuthorizeError, Unanswerable};
use crate::flows::clients::{ClientError, ClientKind};
use crate::flows::current::CurrentCatalog;
use crate::flows::grant_tokens::GrantTokens;
use crate::web::context::{self, content_security_policy};
use crate::web::fields::Fields;
use crate::web::limits::Limits;
use crate::web::picker::shell;
use crate::web::problem::{Kind, Problem};
use crate::web::session::{CsrfForm, SignedIn};
use crate::web::views::ConsentPage;
use crate::web::views::sessions::Moment;
use crate::web::{To, caller, here, page, see_other, words};

/// What is read of a request, and sent along by the form of the page.
const PARAMETERS: [&str; 8] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "state",
    "code_challenge",
    "code_challenge_method",
    "scope",
    "scopes",
];

/// An empty parameter is none. Spec: RFC 6749 3.1.
fn asked(fields: &Fields) -> Asked<'_> {
    Asked {
        client_id: fields.filled("client_id"),
        redirect_uri: fields.filled("redirect_uri"),
        response_type: fields.filled("response_type"),
        state: fields.filled("state"),
        code_challenge: fields.filled("code_challenge"),
        code_challenge_method: fields.filled("code_challenge_method"),
        scope: fields.filled("scope"),
        scopes: fields.filled("scopes"),
        request_object: fields.filled("request").or(fields.filled("request_uri")).is_some(),
    }
}

/// `GET /authorize`: a program asks, and the person reads what for. Nothing is decided by looking at it.
///
/// # Errors
/// It is not certain who asks; the database refuses.
pub async fn ask(
    request: HttpRequest,
    user: SignedIn,
    flow: web::Data<Authorize>,
    tokens: web::Data<GrantTokens>,
    ground: web::Data<Ground>,
    catalog: web::Data<CurrentCatalog>,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::of_query(&request)?;
    let asked = match flow.read(asked(&fields)) {
        Ok(asked) => asked,
        Err(AuthorizeError::Refused { answer, fault }) => {
            tracing::info!(request.id = context::request_id(&request), cause = %fault, "an authorization request is refused");
            return Ok(see_other(&To::Loopback(&answer)));
        }
        Err(AuthorizeError::Nobody(error)) => return Err(error.into()),
    };
    let loaded = catalog.get().await?;
    let roles = loaded.policy.decide(&user.0.identity).roles().count();
    let until = tokens.sign_in_until(&user.0.identity, user.0.expires, ground.clock.now());
    let mut response = page(&ConsentPage {
        shell: shell(&user.0, &loaded.catalog, &ground, &here(&request)),
        client: asked.client.name.clone(),
        self_named: asked.client.kind == ClientKind::IdentityCenter,
        address: asked.redirect.host_and_port().to_owned(),
        ability: ability(&asked.scope, roles),
        until: Moment { text: words::date_and_time(until), iso: until.to_string() },
        fields: PARAMETERS.into_iter().filter_map(|name| Some((name, fields.filled(name)?.to_owned()))).collect(),
    });
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy_towards(&asked));
    Ok(response)
}

/// Browsers hold a page's `form-action` against the redirects that follow its form, so it names where the answer goes.
fn policy_towards(asked: &AuthorizationRequest) -> HeaderValue {
    content_security_policy(&[asked.redirect.policy_source()])
}

/// `POST /authorize`: yes or no, on the way to the program that waits.
///
/// # Errors
/// As [`ask`]; too many requests; another site's form.
pub async fn decide(
    request: HttpRequest,
    user: SignedIn,
    form: CsrfForm,
    flow: web::Data<Authorize>,
    limits: web::Data<Limits>,
) -> Result<HttpResponse, Problem> {
    limits.sign_in(context::client_address(&request))?;
    // Read as before: what the form carries came through the browser.
    let asked = match flow.read(asked(&form.0)) {
        Ok(asked) => asked,
        Err(AuthorizeError::Refused { answer, .. }) => return Ok(see_other(&To::Loopback(&answer))),
        Err(AuthorizeError::Nobody(error)) => return Err(error.into()),
    };
    let answer = match form.0.get("decision") {
        Some("allow") => flow.allow(&user.0, &asked, &caller(&request)).await?,
        Some("refuse") => flow.refuse(&user.0, &asked, &caller(&request)).await?,
        _ => return Err(Problem::new(Kind::BadRequest)),
    };
    Ok(see_other(&To::Loopback(&answer)))
}

impl From<Unanswerable> for Problem {
    fn from(error: Unanswerable) -> Self {
        let problem = Self::new(Kind::AuthorizationRequestInvalid);
        let problem = match error {
            Unanswerable::Client(ClientError::Expired) => problem.detail(
                "The program registered itself more than 90 days ago, and that no longer counts. Please start the sign-in again in the program: it registers anew. For the AWS CLI, `aws sso logout` clears what it kept.",
            ),
            Unanswerable::Redirect => problem.detail(
                "The program wants its answer at an address that is not its own on this computer. Nothing was sent there. If you followed a link to come here, do not trust it.",
            ),
            Unanswerable::NoClient | Unanswerable::NoRedirect | Unanswerable::Client(_) | Unanswerable::State => problem,
        };
        problem.caused_by(error)
    }
}
