//! Using a role for less than it allows: the form, and the form again where something in it cannot be.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::fields::Fields;
use super::picker::{role_title, shell};
use super::problem::{Kind, Problem};
use super::roles::{not_permitted, role_in};
use super::scope_down::{self, FieldErrors};
use super::session::{CsrfForm, SignedIn};
use super::{caller, context, data, here, page, views};
use crate::access::{Denied, LimitAnswer, RoleAccess};
use crate::aws::{AccountId, Budget, CannotCompose, Network, RoleName, ScopeDown, SessionDuration, SessionPolicy};
use crate::catalog::Catalog;
use crate::flows::Ground;
use crate::flows::current::CurrentCatalog;
use crate::flows::issue::IssueFlowError;
use crate::issuance::IssueError;
use crate::store::packed_sizes::PackedSize;

/// From so many percent on people are told before AWS tells them.
const TIGHT: u32 = 80;

/// `GET /roles/{account}/{role}/options?destination=`: the form.
///
/// # Errors
/// The role is not permitted, or the database refuses.
pub async fn show(
    request: HttpRequest,
    user: SignedIn,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let fields = Fields::of_query(&request)?;
    form(&request, &user, role_in(&path)?, &fields, String::new()).await
}

/// `POST /roles/{account}/{role}/options`: the form with what was chosen, and what that comes to.
///
/// # Errors
/// As [`show`].
pub async fn check(
    request: HttpRequest,
    user: SignedIn,
    path: web::Path<(String, String)>,
    sent: CsrfForm,
) -> Result<HttpResponse, Problem> {
    form(&request, &user, role_in(&path)?, &sent.0, String::new()).await
}

/// The form again, for a button that could not do what it says: nothing that was typed is lost. A program is told the
/// problem.
///
/// # Errors
/// As [`show`], and the problem.
pub(super) async fn again(
    request: &HttpRequest,
    user: &SignedIn,
    role: (AccountId, RoleName),
    fields: &Fields,
    problem: String,
) -> Result<HttpResponse, Problem> {
    if !context::wants_page(request.method(), request.path(), request.headers()) {
        let of_a_field = scope_down::read(fields).err().map(|errors| errors.first().to_owned());
        return Err(Problem::new(Kind::SessionPolicyInvalid).detail(of_a_field.unwrap_or(problem)));
    }
    let mut response = form(request, user, role, fields, problem).await?;
    *response.status_mut() = StatusCode::BAD_REQUEST;
    Ok(response)
}

/// What somebody can put right in the form, in a sentence, when a button of it came to this.
pub(super) fn to_put_right(error: &IssueFlowError) -> Option<String> {
    match error {
        IssueFlowError::Denied(Denied::Limits { why, .. }) => Some(scope_down::sentence(&why.to_string())),
        IssueFlowError::Denied(Denied::NoSessionPolicy { .. }) => Some(
            "AWS takes no limits for the session of an IAM user, which this role gives. Leave them out.".to_owned(),
        ),
        IssueFlowError::Issue(error) => match &**error {
            IssueError::Sts(sts) if sts.is_about_the_policy() => Some(error.sentence().into_owned()),
            _ => None,
        },
        _ => None,
    }
}

async fn form(
    request: &HttpRequest,
    user: &SignedIn,
    (account, role): (AccountId, RoleName),
    fields: &Fields,
    problem: String,
) -> Result<HttpResponse, Problem> {
    let (ground, catalog) = (data::<Ground>(request), data::<CurrentCatalog>(request));
    let loaded = catalog.get().await?;
    let decision = loaded.policy.decide(&user.0.identity);
    let Some(access) = decision.role(account, &role) else {
        return Err(not_permitted(ground, user, account, Some(&role), request).await);
    };
    let packed = ground.store.packed_size(account, &role).await?;
    Ok(page(&view(request, user, &loaded.catalog, &access, fields, problem, packed)))
}

fn view(
    request: &HttpRequest,
    user: &SignedIn,
    catalog: &Catalog,
    access: &RoleAccess<'_>,
    fields: &Fields,
    mut problem: String,
    packed: Option<PackedSize>,
) -> views::OptionsPage {
    // A length that cannot be read was not one of the choices; the default is shown then.
    let chosen = fields.filled("duration").and_then(|text| text.parse::<SessionDuration>().ok());
    let duration = chosen.unwrap_or(access.default_session()).min(access.max_session());
    let caller = caller(request);
    let here_is = caller.network_known.then_some(caller.address);
    let (mut errors, mut outcome) = (FieldErrors::default(), None);
    match scope_down::read(fields) {
        Err(found) => errors = found,
        Ok(scope) => match access.session_policy(duration, &scope, here_is) {
            Ok(policy) => outcome = Some(outcome_of(&policy)),
            Err(why) if problem.is_empty() => problem = scope_down::sentence(&why.to_string()),
            Err(_) => {}
        },
    }
    let text = |name: &str| fields.get(name).unwrap_or_default().to_owned();
    let reads = |(_, scope): (_, &ScopeDown)| scope.read_only;
    let seen_at = here_is.map(Network::around).filter(|network| !network.is_private());
    views::OptionsPage {
        shell: shell(&user.0, catalog, data::<Ground>(request), &here(request)),
        role: role_title(access),
        destination: text("destination"),
        durations: views::duration_steps(duration, access.max_session()),
        cannot: match &access.role().method {
            method if method.takes_session_policy() => String::new(),
            _ => scope_down::sentence(&CannotCompose::NotTaken.to_string()),
        },
        console: access.role().method.no_console().is_none(),
        always: LimitAnswer::all_of(access).into_iter().map(always).collect(),
        always_reads: access.limits_for(duration).into_iter().any(reads),
        typed: views::options::Typed {
            read_only: fields.filled("read_only").is_some(),
            regions: text("regions"),
            networks: text("networks"),
            from_here: fields.filled("from_here").is_some(),
            policy: text("policy"),
            policy_arns: text("policy_arns"),
        },
        errors,
        address: seen_at.map(|network| network.to_string()).unwrap_or_default(),
        problem,
        outcome,
        packed: packed.map(packed_words).unwrap_or_default(),
        packed_is_tight: packed.is_some_and(|packed| packed.latest >= TIGHT),
    }
}

/// A limit of the catalog, for people.
pub(super) fn always(limit: LimitAnswer) -> views::options::Always {
    let longer =
        limit.longer_than_s.map(|seconds| format!(", for sessions longer than {}", views::picker::spoken(seconds)));
    views::options::Always { by: format!("The {}{}", limit.from, longer.unwrap_or_default()), says: limit.says }
}

fn packed_words(PackedSize { latest, highest }: PackedSize) -> String {
    let most = if highest > latest { format!("; the most ever was {highest}\u{a0}%") } else { String::new() };
    format!("Last time, policy and tags took {latest}\u{a0}% of the room AWS has for them{most}.")
}

fn outcome_of(policy: &SessionPolicy) -> views::options::Outcome {
    let budget = policy.budget();
    let indented = |text: &str| {
        let document: Option<serde_json::Value> = serde_json::from_str(text).ok();
        document.and_then(|document| serde_json::to_string_pretty(&document).ok()).unwrap_or_default()
    };
    views::options::Outcome {
        characters: budget.characters,
        characters_left: budget.characters_left(),
        most_characters: Budget::MAX_CHARACTERS,
        arns: budget.arns,
        arns_left: budget.arns_left(),
        inline: policy.inline().map(indented).unwrap_or_default(),
        managed: policy.arns().iter().map(ToString::to_string).collect(),
    }
}
