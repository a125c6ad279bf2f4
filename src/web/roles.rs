//! Using a role.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::ExposeSecret;
use serde_json::json;

use super::api::issue::mfa as read_mfa;
use super::fields::Fields;
use super::picker::{role_title, shell};
use super::problem::{Kind, Problem};
use super::session::{CsrfForm, SignedIn};
use super::{To, caller, here, mfa, options, page, scope_down, see_other, step_up, views, words};
use crate::access::{Asked, AskedAuthentication, Denied, LimitAnswer, RoleAccess};
use crate::aws::{AccountId, Region, RoleName, ScopeDown, SessionDuration};
use crate::catalog::{Catalog, RoleId};
use crate::flows::current::CurrentCatalog;
use crate::flows::favourite;
use crate::flows::issue::{Issue, IssueFlowError, Wish};
use crate::flows::{Ground, refuse_access};
use crate::issuance::formats::Context;
use crate::issuance::{Format, Issued, Mfa};
use crate::store::clicks::{Click, Wanted};

/// The role in the address.
pub(super) fn role_in(path: &web::Path<(String, String)>) -> Result<(AccountId, RoleName), Problem> {
    let not_found = |_| Problem::new(Kind::NotFound);
    Ok((path.0.parse().map_err(not_found)?, path.1.parse().map_err(not_found)?))
}

fn duration_in(fields: &Fields) -> Result<Option<SessionDuration>, Problem> {
    fields
        .filled("duration")
        .map(|text| text.parse().map_err(|e| Problem::new(Kind::DurationInvalid).caused_by(e)))
        .transpose()
}

/// What was read from an MFA device, where the form has it.
fn mfa_in(fields: &Fields) -> Result<Option<Mfa>, Problem> {
    let field = |name| fields.filled(name).map(str::to_owned);
    read_mfa(field("mfa_code"), field("mfa_serial"))
}

fn wish(
    user: &SignedIn,
    (account, role): (AccountId, RoleName),
    fields: &Fields,
    scope_down: ScopeDown,
    delivery: &'static str,
) -> Result<Wish, Problem> {
    Ok(Wish {
        identity: Arc::clone(&user.0.identity),
        asked: Asked { duration: duration_in(fields)?, scope_down, ..Asked::role(account, role) },
        token: None,
        // A person who presses a button gets what they pressed it for: a whole session.
        fresh: true,
        mfa: mfa_in(fields)?,
        delivery,
    })
}

/// The click, so that it can be made again.
fn click(wish: &Wish, wants: Wanted) -> Click {
    let Asked { account, role, duration, scope_down, .. } = &wish.asked;
    Click { account: *account, role: role.clone(), duration: *duration, scope_down: scope_down.clone(), wants }
}

/// What is shown where a button did not do what it says: the form with the options again where they are the reason.
async fn instead_of(
    error: IssueFlowError,
    click: Click,
    request: &HttpRequest,
    user: &SignedIn,
    fields: &Fields,
) -> Result<HttpResponse, Problem> {
    match options::to_put_right(&error) {
        Some(sentence) if scope_down::is_in(fields) => {
            options::again(request, user, (click.account, click.role), fields, sentence).await
        }
        _ => step_up::instead_of(error, click, request, user).await,
    }
}

/// `POST /roles/{account}/{role}/console`: 303 to the console.
///
/// # Errors
/// [`IssueFlowError`] as people are told it.
pub async fn console(
    request: HttpRequest,
    user: SignedIn,
    path: web::Path<(String, String)>,
    form: CsrfForm,
    flow: web::Data<Issue>,
) -> Result<HttpResponse, Problem> {
    let role = role_in(&path)?;
    let Ok(scope) = scope_down::read(&form.0) else {
        return options::again(&request, &user, role, &form.0, String::new()).await;
    };
    let wish = wish(&user, role, &form.0, scope, "console")?;
    let destination = form.0.filled("destination").map(str::to_owned);
    let click = click(&wish, Wanted::Console { destination: destination.clone() });
    let login = match flow.console(wish, destination, caller(&request)).await {
        Ok(login) => login,
        Err(error) => return instead_of(error, click, &request, &user, &form.0).await,
    };
    let mut response = see_other(&To::Console(&login));
    // The link is a bearer secret for 15 minutes.
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    Ok(response)
}

/// `POST /roles/{account}/{role}/credentials`: a page with credentials, or a file with `format=`.
///
/// # Errors
/// [`IssueFlowError`] as people are told it, or an unknown format.
pub async fn credentials(
    request: HttpRequest,
    user: SignedIn,
    path: web::Path<(String, String)>,
    form: CsrfForm,
    flow: web::Data<Issue>,
) -> Result<HttpResponse, Problem> {
    let format: Option<Format> = form
        .0
        .filled("format")
        .map(|text| {
            text.parse().map_err(|e| Problem::new(Kind::BadRequest).detail("There is no such format.").caused_by(e))
        })
        .transpose()?;
    let (account, role) = role_in(&path)?;
    let Ok(scope) = scope_down::read(&form.0) else {
        return options::again(&request, &user, (account, role), &form.0, String::new()).await;
    };
    let delivery = format.map_or("page", Format::name);
    let wish = match wish(&user, (account, role.clone()), &form.0, scope.clone(), delivery) {
        Ok(wish) => wish,
        // A code that is mistyped is asked for again.
        Err(problem) if problem.kind() == Kind::MfaRequired => {
            return mfa::ask(&flow, &user, (account, role), &form.0, problem, &request).await;
        }
        Err(problem) => return Err(problem),
    };
    let click = click(&wish, Wanted::Credentials { format: format.map(|format| format.name().to_owned()) });
    let issued = match flow.credentials(wish, caller(&request)).await {
        Ok(issued) => issued,
        Err(error) if mfa::asks_again(&error) => {
            return mfa::ask(&flow, &user, (account, role), &form.0, error.into(), &request).await;
        }
        Err(error) => return instead_of(error, click, &request, &user, &form.0).await,
    };
    let loaded = flow.catalog.get().await?;
    let region = region_of(&loaded.catalog, account, &role);
    let context = Context { role: issued.role(), region: region.as_ref(), packed_percent: issued.packed_percent() };
    if let Some(format) = format {
        return Ok(HttpResponse::Ok()
            .content_type(format.content_type())
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((
                header::CONTENT_DISPOSITION,
                format!("attachment; filename=\"{}\"", format.file_name(&context)),
            ))
            .body(format.render(issued.credentials(), &context).expose_secret().to_owned()));
    }
    let decision = loaded.policy.decide(&user.0.identity);
    let Some(access) = decision.role(account, &role) else { return Err(Problem::new(Kind::RoleNotPermitted)) };
    let mut shell = shell(&user.0, &loaded.catalog, &flow.ground, &here(&request));
    if issued.is_shortened() {
        let text = format!(
            "AWS allows this role only shorter sessions, so you got {} instead of {}. Your administrator can correct \
             the role's maximum in the catalog.",
            views::picker::spoken(issued.granted().as_secs()),
            views::picker::spoken(issued.asked().as_secs()),
        );
        shell.notices.push(views::Notice::new(views::Tone::Warning, text));
    }
    let mut response = page(&credentials_view(shell, &access, &issued, &scope, &context));
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The region a role's users work in, where the catalog names one.
pub(super) fn region_of(catalog: &Catalog, account: AccountId, role: &RoleName) -> Option<Region> {
    let of_role = catalog.role(account, role).and_then(|role| role.region.clone());
    of_role.or_else(|| catalog.account(account).and_then(|account| account.region.clone()))
}

fn credentials_view(
    shell: views::Shell,
    access: &RoleAccess<'_>,
    issued: &Issued,
    scope: &ScopeDown,
    context: &Context<'_>,
) -> views::CredentialsPage {
    const OFFERED: [Format; 7] =
        [Format::Env, Format::Fish, Format::PowerShell, Format::Cmd, Format::Ini, Format::Json, Format::Process];
    let credentials = issued.credentials();
    let secrets = [&credentials.secret_access_key, &credentials.session_token];
    let formats = OFFERED
        .into_iter()
        .map(|format| {
            let text = format.render(credentials, context);
            views::Format::new(format.name(), &format.file_name(context), text, &secrets)
        })
        .collect();
    let expires = credentials.expiration.round(jiff::Unit::Second).unwrap_or(credentials.expiration);
    let compulsory = access.limits_for(issued.asked()).into_iter().flat_map(|(_, limit)| limit.words());
    let mut limits: Vec<String> = Vec::new();
    for words in compulsory.chain(scope.words()) {
        if !limits.contains(&words) {
            limits.push(words);
        }
    }
    views::CredentialsPage {
        shell,
        role: role_title(access),
        limits,
        again: scope_down::fields_of(scope),
        packed_percent: issued.packed_percent(),
        access_key_id: credentials.access_key_id.clone(),
        secret_access_key: credentials.secret_access_key.clone(),
        session_token: credentials.session_token.clone(),
        expires_iso: expires.to_string(),
        expires_utc: expires.strftime("%-d %B %Y, %H:%M:%S UTC").to_string(),
        no_console: access.role().method.no_console().unwrap_or_default(),
        lifetime: views::picker::spoken(issued.granted().as_secs()),
        duration_seconds: issued.granted().as_secs(),
        formats,
    }
}

/// `POST /roles/{account}/{role}/favourite`: marks the role, or takes the mark away.
///
/// # Errors
/// The role is not permitted, or the database refuses.
pub async fn favourite(
    request: HttpRequest,
    user: SignedIn,
    path: web::Path<(String, String)>,
    _form: CsrfForm,
    ground: web::Data<Ground>,
    catalog: web::Data<CurrentCatalog>,
) -> Result<HttpResponse, Problem> {
    let (account, role) = role_in(&path)?;
    let decision = catalog.get().await?.policy.decide(&user.0.identity);
    // Only what somebody may use can be marked, so that nobody fills the table with inventions.
    if decision.role(account, &role).is_none() {
        return Err(not_permitted(&ground, &user, account, Some(&role), &request).await);
    }
    favourite::toggle(&ground, &user.0.identity.person(), account, &role).await?;
    Ok(see_other(&To::Fixed("/")))
}

/// `GET /roles/{account}/{role}/why`: which rules grant it, by which of the person's values, and what limits it.
///
/// # Errors
/// The role is not permitted, or the database refuses.
pub async fn why(
    request: HttpRequest,
    user: SignedIn,
    path: web::Path<(String, String)>,
    ground: web::Data<Ground>,
    catalog: web::Data<CurrentCatalog>,
) -> Result<HttpResponse, Problem> {
    let (account, role) = role_in(&path)?;
    let loaded = catalog.get().await?;
    let identity = &user.0.identity;
    let decision = loaded.policy.decide(identity);
    let Some(access) = decision.role(account, &role) else {
        return Err(not_permitted(&ground, &user, account, Some(&role), &request).await);
    };
    let spoken = |duration: SessionDuration| views::picker::spoken(duration.as_secs());
    let used = access.rule().id.clone();
    let mut grants: Vec<views::Grant> = access
        .reasons()
        .into_iter()
        .map(|reason| views::Grant {
            rule: reason.rule.id.to_string(),
            description: reason.rule.description.clone().unwrap_or_default(),
            reasons: reason
                .because
                .iter()
                .map(|(attribute, value)| views::why::Reason {
                    attribute: attribute.to_string(),
                    condition: reason
                        .rule
                        .when
                        .get(*attribute)
                        .map(|wanted| wanted.to_string().replace('`', ""))
                        .unwrap_or_default(),
                    value: (*value).to_owned(),
                })
                .collect(),
            used: reason.rule.id == used,
        })
        .collect();
    grants.sort_by_key(|grant| !grant.used);
    let longest = access.max_session();
    let mut limits = vec![views::Limit {
        what: "The role's maximum in the catalog".to_owned(),
        value: spoken(access.role().max_session),
        decides: access.role().max_session == longest,
    }];
    let longest_rule = access.longest_rule();
    if let Some(rule_limit) = longest_rule.max_session {
        limits.push(views::Limit {
            what: format!("The rule {}", longest_rule.id),
            value: spoken(rule_limit),
            decides: rule_limit == longest && rule_limit < access.role().max_session,
        });
    }
    if let Some(ends) = identity.authentication.session_not_on_or_after {
        limits.push(views::Limit {
            what: "Your session at the identity provider".to_owned(),
            value: format!("until {}", ends.strftime("%H:%M UTC")),
            decides: ends.duration_since(ground.clock.now()).as_secs() < i64::from(longest.as_secs()),
        });
    }
    Ok(page(&views::Why {
        shell: shell(&user.0, &loaded.catalog, &ground, &here(&request)),
        role: role_title(&access),
        arn: access.arn().to_string(),
        description: access.role().description.clone().unwrap_or_default(),
        grants,
        default_duration: spoken(access.default_session()),
        longest_duration: spoken(longest),
        limits,
        always: LimitAnswer::all_of(&access).into_iter().map(options::always).collect(),
        asks: access.demand().map(words::asked).unwrap_or_default(),
        reached: words::reached(&access),
        console: access.role().method.no_console().is_none(),
    }))
}

/// The refusal of a page about a role, on record.
pub(super) async fn not_permitted(
    ground: &Ground,
    user: &SignedIn,
    account: AccountId,
    role: Option<&RoleName>,
    request: &HttpRequest,
) -> Problem {
    match refuse_access(ground, &user.0.identity.subject, account, role, &caller(request)).await {
        Ok(()) => Problem::new(Kind::RoleNotPermitted),
        Err(error) => error.into(),
    }
}

/// `/go?account=&role=`: the role for somebody in a browser.
fn deep_link(role: &RoleId) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("account", role.account.as_str()).append_pair("role", role.name.as_str());
    format!("/go?{}", query.finish())
}

impl From<IssueFlowError> for Problem {
    fn from(error: IssueFlowError) -> Self {
        use crate::issuance::{FederationError, IssueError};
        let kind = match &error {
            IssueFlowError::Denied(Denied::StepUp { .. }) => Kind::StepUpRequired,
            IssueFlowError::Denied(Denied::OutOfScope { .. }) => Kind::TokenScope,
            IssueFlowError::Denied(Denied::IdpSessionEnding { .. }) => Kind::IdentityProviderSessionEnding,
            IssueFlowError::Denied(Denied::Limits { .. } | Denied::NoSessionPolicy { .. }) => {
                Kind::SessionPolicyInvalid
            }
            IssueFlowError::Denied(_) => Kind::RoleNotPermitted,
            IssueFlowError::Destination(_) => Kind::DestinationRefused,
            IssueFlowError::TooOften(_) => Kind::TooManyRequests,
            IssueFlowError::NoConsole { .. } => Kind::ConsoleImpossible,
            IssueFlowError::MfaNeeded { .. } => Kind::MfaRequired,
            IssueFlowError::Issue(error) => match (&**error, error.sts()) {
                (_, Some(sts)) if sts.is_temporary() => Kind::AwsUnavailable,
                // On the way to a role the policies are ours.
                (IssueError::Sts(_), Some(sts)) if sts.is_about_the_policy() => Kind::SessionPolicyInvalid,
                (_, Some(_)) => Kind::AwsRefused,
                (IssueError::NoMfa, None) => Kind::MfaRequired,
                (_, None) => Kind::Internal,
            },
            IssueFlowError::Interrupted => Kind::Internal,
            IssueFlowError::Federation(FederationError::Impossible(_)) => Kind::ConsoleImpossible,
            IssueFlowError::Federation(FederationError::Refused(_) | FederationError::BadAnswer(_)) => Kind::AwsRefused,
            IssueFlowError::Federation(_) => Kind::AwsUnavailable,
            IssueFlowError::Store(_) => Kind::Unavailable,
        };
        let problem = Self::new(kind);
        let problem = match &error {
            IssueFlowError::Denied(Denied::ConnectorGone { .. } | Denied::ConnectorDisabled { .. }) => {
                problem.detail("The way you signed in has been switched off. Please sign in another way.")
            }
            IssueFlowError::Denied(Denied::StepUp { role, unmet, demand }) => problem
                .detail(format!(
                    "This role asks for {}. Open the link in a browser to sign in again.",
                    words::asked(demand)
                ))
                .member("authentication", json!(AskedAuthentication::from(&**demand)))
                .member("unmet", unmet.code())
                .member("link", deep_link(role)),
            IssueFlowError::Denied(Denied::Limits { why, .. }) => {
                problem.detail(scope_down::sentence(&why.to_string()))
            }
            IssueFlowError::Denied(Denied::NoSessionPolicy { .. }) => problem.detail(
                "AWS takes no session policy for the session of an IAM user, which this role gives. Leave it out.",
            ),
            IssueFlowError::NoConsole { reason, .. } => problem.detail(*reason),
            IssueFlowError::MfaNeeded { role, device } => {
                let ask = if device.is_some() { "`mfa_code`" } else { "`mfa_code` and `mfa_serial`" };
                let problem = problem.detail(format!(
                    "This role asks for the six digits your MFA device shows: send them as {ask}, or open the link in a \
                     browser."
                ));
                let problem = match device {
                    Some(device) => problem.member("mfa_serial", device.as_str()),
                    None => problem,
                };
                problem.member("link", deep_link(role))
            }
            IssueFlowError::TooOften(early) => problem.retry_after(early.wait),
            IssueFlowError::Issue(error) => match error.retry_after() {
                Some(wait) => problem.detail(error.sentence()).retry_after(wait),
                None => problem.detail(error.sentence()),
            },
            IssueFlowError::Federation(error) => problem.detail(error.sentence()),
            _ => problem,
        };
        problem.caused_by(error)
    }
}
