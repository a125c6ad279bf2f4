//! Answers for programs.

use actix_web::{HttpResponse, web};
use serde_json::json;

use super::problem::Problem;
use crate::access::AskedAuthentication;
use crate::flows::Ground;
use crate::flows::current::CurrentCatalog;
use crate::flows::principal::Principal;
use crate::identity::Groups;

/// `GET /api/v1/me`: who is behind this session, as the identity provider vouched for them.
pub async fn me(user: Principal) -> HttpResponse {
    let identity = user.identity();
    let (created, expires) = match &user {
        Principal::Session(session) => (session.created, session.expires),
        Principal::Token(token) => (token.created, token.expires),
    };
    HttpResponse::Ok().json(json!({
        "connector": identity.subject.connector,
        "subject": identity.subject.value,
        "name": identity.name,
        "email": identity.email,
        "groups": identity.groups.known(),
        "groups_complete": matches!(identity.groups, Groups::Complete { .. }),
        "attributes": identity.attributes,
        "session": {
            "created": created,
            "expires": expires,
            "authenticated": identity.authentication.instant,
            "authn_context": identity.authentication.context_class,
            "authn_methods": identity.authentication.methods,
        },
    }))
}

/// `GET /api/v1/roles`: what this person may use, for how long and why.
///
/// # Errors
/// The database refuses.
pub async fn roles(
    user: Principal,
    ground: web::Data<Ground>,
    catalog: web::Data<CurrentCatalog>,
) -> Result<HttpResponse, Problem> {
    let loaded = catalog.get().await?;
    let now = ground.clock.now();
    let decision = loaded.policy.decide(user.identity());
    let scope = user.scope();
    let roles: Vec<serde_json::Value> = decision
        .roles()
        .filter(|access| scope.covers(access.account().id, &access.role().name))
        .map(|access| {
            let reasons: Vec<serde_json::Value> = access
                .reasons()
                .iter()
                .map(|reason| {
                    let because: Vec<serde_json::Value> = reason
                        .because
                        .iter()
                        .map(|(attribute, value)| json!({ "attribute": attribute.as_str(), "value": value }))
                        .collect();
                    json!({ "rule": reason.rule.id.to_string(), "because": because })
                })
                .collect();
            json!({
                "account": access.account().id,
                "account_name": access.account().name,
                "role": access.role().name,
                "arn": access.arn(),
                "description": access.role().description,
                "default_session_s": access.default_session().as_secs(),
                "max_session_s": access.max_session().as_secs(),
                "authentication": access.demand().map(AskedAuthentication::from),
                "step_up": access.unmet(&user.identity().authentication, now).is_some(),
                "reasons": reasons,
            })
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({ "roles": roles, "groups_complete": decision.incomplete().is_none() })))
}
