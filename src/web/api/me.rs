//! Who asks.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::query;
use crate::flows::Ground;
use crate::flows::principal::Principal;
use crate::identity::Groups;
use crate::web::problem::Problem;
use crate::web::session::csrf_token;

/// Who is behind a token or session, as the identity provider vouched for them.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    /// The connector they came through.
    pub connector: String,
    /// The NameID or `sub` exactly as it was signed.
    pub subject: String,
    pub name: Option<String>,
    pub email: Option<String>,
    pub groups: Vec<String>,
    /// Whether these are all groups; a provider may leave some out.
    pub groups_complete: bool,
    pub attributes: BTreeMap<String, Vec<String>>,
    pub session: Session,
    /// The token that was sent; null for a browser's session.
    pub token: Option<Token>,
    /// For a browser's session: what the header `X-CSRF-Token` of a POST must hold. It looks different each time.
    pub csrf: Option<String>,
}

/// How long this goes on, and how it began.
#[derive(Debug, Serialize, ToSchema)]
pub struct Session {
    /// When the session began, or the token was allowed.
    pub created: Timestamp,
    pub expires: Timestamp,
    /// When the identity provider recognised the person, where it said.
    pub authenticated: Option<Timestamp>,
    /// `AuthnContextClassRef` or `acr`.
    pub authn_context: Option<String>,
    /// `amr`.
    pub authn_methods: Vec<String>,
}

/// The token that was sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct Token {
    /// Names it in lists and in the audit log; opens nothing.
    pub id: String,
    /// `personal`, `sign-in` or `workload`.
    pub kind: &'static str,
    /// Its name, or the client's.
    pub label: String,
    /// The OAuth client it was given to; null for a personal token.
    pub client: Option<String>,
    /// `read` to look only, `read issue` to use roles too.
    pub scope: String,
    /// The roles it is limited to, as `account/role`; null: whatever the person may use.
    pub roles: Option<Vec<String>>,
    pub expires: Timestamp,
}

/// `GET /api/v1/me`: who is behind this token or session.
///
/// # Errors
/// A parameter, for there are none.
#[utoipa::path(
    get,
    path = "/api/v1/me",
    operation_id = "me",
    tag = "person",
    responses((status = 200, description = "Who is behind this token or session.", body = Me))
)]
pub async fn me(request: HttpRequest, user: Principal, ground: web::Data<Ground>) -> Result<HttpResponse, Problem> {
    query(&request, &[])?;
    let identity = user.identity();
    let (created, expires, token, csrf) = match &user {
        Principal::Session(session) => {
            (session.created, session.expires, None, Some(csrf_token(&session.token, &*ground.rng)))
        }
        Principal::Token(token) => {
            let known = Token {
                id: token.id.clone(),
                kind: token.kind.as_str(),
                label: token.label.clone(),
                client: Some(token.client.clone()).filter(|client| !client.is_empty()),
                scope: token.scope.to_string(),
                roles: token.scope.roles.as_ref().map(|roles| roles.iter().map(ToString::to_string).collect()),
                expires: token.expires,
            };
            (token.created, token.expires, Some(known), None)
        }
    };
    let authentication = &identity.authentication;
    Ok(HttpResponse::Ok().json(Me {
        connector: identity.subject.connector.to_string(),
        subject: identity.subject.value.clone(),
        name: identity.name.clone(),
        email: identity.email.clone(),
        groups: identity.groups.known().to_vec(),
        groups_complete: matches!(identity.groups, Groups::Complete { .. }),
        attributes: identity.attributes.0.clone(),
        session: Session {
            created,
            expires,
            authenticated: authentication.instant,
            authn_context: authentication.context_class.clone(),
            authn_methods: authentication.methods.clone(),
        },
        token,
        csrf,
    }))
}
