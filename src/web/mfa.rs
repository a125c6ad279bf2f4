//! A role asks for a code of the person's MFA device: the small form after the click.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};

use super::fields::Fields;
use super::picker::{role_title, shell};
use super::problem::{Kind, Problem};
use super::session::SignedIn;
use super::{context, here, page, views};
use crate::aws::{AccountId, RoleName};
use crate::catalog::Method;
use crate::flows::issue::{Issue, IssueFlowError};
use crate::issuance::IssueError;

/// Whether another code may help.
pub(super) fn asks_again(error: &IssueFlowError) -> bool {
    match error {
        IssueFlowError::MfaNeeded { .. } => true,
        IssueFlowError::Issue(error) => match &**error {
            IssueError::NoMfa => true,
            IssueError::Sts(error) => {
                error.refusal().is_some_and(|refusal| refusal.message.contains("MultiFactorAuthentication failed"))
            }
            _ => false,
        },
        _ => false,
    }
}

/// The form, for people; the problem for programs, and for whoever may not use the role.
///
/// # Errors
/// The problem.
pub(super) async fn ask(
    flow: &Issue,
    user: &SignedIn,
    (account, role): (AccountId, RoleName),
    fields: &Fields,
    problem: Problem,
    request: &HttpRequest,
) -> Result<HttpResponse, Problem> {
    if !context::wants_page(request.method(), request.path(), request.headers()) {
        return Err(problem);
    }
    let loaded = flow.catalog.get().await?;
    let decision = loaded.policy.decide(&user.0.identity);
    let Some(access) = decision.role(account, &role) else { return Err(problem) };
    let Method::SessionToken(token) = &access.role().method else { return Err(problem) };
    // The first time it is no mistake that there is no code.
    let said = fields.filled("mfa_code").map(|_| problem.sentence().to_owned());
    let carried = ["duration", "format"].into_iter();
    let mut response = page(&views::MfaPage {
        shell: shell(&user.0, &loaded.catalog, &flow.ground, &here(request)),
        role: role_title(&access),
        user: loaded.catalog.key(&token.key).map(|key| key.user.to_string()).unwrap_or_default(),
        device: token.mfa_serial.as_ref().map(ToString::to_string),
        typed_device: fields.filled("mfa_serial").unwrap_or_default().to_owned(),
        fields: carried.filter_map(|name| Some((name, fields.filled(name)?.to_owned()))).collect(),
        error: said.unwrap_or_default(),
    });
    let refused = problem.kind() != Kind::MfaRequired;
    *response.status_mut() = if refused { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::FORBIDDEN };
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    Ok(response)
}
