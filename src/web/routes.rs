//! Every address Rolegate answers, with who may call it.
//!
//! One call mounts the gate and records the row, so nothing is reachable yet unlisted. `tests/it/matrix.rs` visits
//! every row as every persona; its snapshot is the security review.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, FromRequest, Handler, HttpMessage, HttpRequest, Responder, guard, web};

use super::principal::require_principal;
use super::problem::{Kind, Problem};
use super::session::Cookies;
use super::{
    api, arrival, aws, aws_config, container, health, idc, metrics, oauth, oidc, options, picker, roles, saml,
    sessions, sign_in, sign_out, step_up, tokens,
};
use crate::flows::sessions::Sessions;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Everybody: nothing behind it depends on who asks.
    Anyone,
    /// A stranger on the way in or out, or the identity provider's page in their browser.
    SigningIn,
    /// Somebody with a live session.
    SignedIn,
    /// Somebody with a live session, or a program with a live token.
    Principal,
    /// A program that speaks OAuth or AWS's protocols: its handler looks at what it sends, and answers as they say.
    Client,
}

/// One row of the table.
#[derive(Debug, Clone)]
pub struct Row {
    pub method: Method,
    pub path: &'static str,
    pub audience: Audience,
}

/// Mounts routes and remembers them.
pub struct Routes<'a> {
    config: &'a mut web::ServiceConfig,
    rows: Vec<Row>,
}

impl std::fmt::Debug for Routes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Routes").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Routes<'_> {
    fn mount<F, Args>(&mut self, method: Method, path: &'static str, audience: Audience, handler: F)
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let resource = web::resource(path);
        // `HEAD` is `GET` without the body, but only where asking changes nothing for anybody.
        let resource = match (method == Method::GET, audience) {
            (true, Audience::Anyone) => resource.guard(guard::Any(guard::Get()).or(guard::Head())),
            _ => resource.guard(guard::Method(method.clone())),
        };
        self.rows.push(Row { method, path, audience });
        match audience {
            Audience::Anyone | Audience::SigningIn | Audience::Client => self.config.service(resource.to(handler)),
            Audience::SignedIn => self.config.service(resource.wrap(from_fn(require_session)).to(handler)),
            Audience::Principal => self.config.service(resource.wrap(from_fn(require_principal)).to(handler)),
        };
    }

    fn get<F, Args>(&mut self, path: &'static str, audience: Audience, handler: F)
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.mount(Method::GET, path, audience, handler);
    }

    fn post<F, Args>(&mut self, path: &'static str, audience: Audience, handler: F)
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.mount(Method::POST, path, audience, handler);
    }
}

/// Mounts everything and returns the table.
pub fn mount(config: &mut web::ServiceConfig) -> Vec<Row> {
    use Audience::{Anyone, Client, Principal, SignedIn, SigningIn};
    let mut r = Routes { config, rows: Vec::new() };

    r.get("/healthz", Anyone, health::alive);
    r.get("/readyz", Anyone, health::ready);
    r.get("/metrics", Client, metrics::show);
    r.get("/static/{name:.*}", Anyone, super::assets::serve);
    r.get("/aws/saml-metadata.xml", Anyone, aws::saml_metadata);
    r.get("/.well-known/openid-configuration", Anyone, aws::discovery);
    r.get("/aws/jwks.json", Anyone, aws::jwks);

    r.get("/sign-in", Anyone, sign_in::choose);
    r.get("/saml/{connector}/start", SigningIn, arrival::start);
    r.get("/saml/{connector}/metadata", Anyone, saml::metadata);
    r.post("/saml/{connector}/acs", SigningIn, saml::acs);
    r.get("/saml/{connector}/finish", SigningIn, arrival::finish);
    r.post("/saml/{connector}/finish", SigningIn, saml::confirm);
    r.get("/oidc/{connector}/start", SigningIn, arrival::start);
    r.get("/oidc/{connector}/callback", SigningIn, oidc::callback);
    r.post("/oidc/{connector}/callback", SigningIn, oidc::callback_by_post);
    r.get("/oidc/{connector}/finish", SigningIn, arrival::finish);
    r.get("/oidc/{connector}/jwks.json", Anyone, oidc::jwks);
    r.get("/saml/{connector}/slo", SigningIn, sign_out::slo_redirect);
    r.post("/saml/{connector}/slo", SigningIn, sign_out::slo_post);
    r.get("/oidc/{connector}/signed-out", SigningIn, sign_out::sent_back);
    r.post("/oidc/{connector}/backchannel-logout", Anyone, sign_out::backchannel_logout);
    r.get("/signed-out", SigningIn, sign_out::signed_out);
    r.post("/sign-out", SignedIn, sign_out::sign_out);

    r.get("/sessions", SignedIn, sessions::list);
    r.post("/sessions/end-others", SignedIn, sessions::end_others);
    r.post("/sessions/{id}/end", SignedIn, sessions::end);
    r.get("/renew", SignedIn, sessions::renew);

    r.get("/tokens", SignedIn, tokens::list);
    r.post("/tokens", SignedIn, tokens::make);
    r.get("/tokens/sign-in", SignedIn, tokens::sign_in);
    r.post("/tokens/{id}/revoke", SignedIn, tokens::revoke);

    r.get("/", SignedIn, picker::show);
    r.get("/go", SignedIn, picker::go);
    r.get("/aws-config", SignedIn, aws_config::show);
    // A role may have a path; `{role}` takes the rest up to the last, fixed part.
    r.post("/roles/{account}/{role:.+}/console", SignedIn, roles::console);
    r.post("/roles/{account}/{role:.+}/credentials", SignedIn, roles::credentials);
    r.post("/roles/{account}/{role:.+}/favourite", SignedIn, roles::favourite);
    r.get("/roles/{account}/{role:.+}/why", SignedIn, roles::why);
    r.get("/roles/{account}/{role:.+}/options", SignedIn, options::show);
    r.post("/roles/{account}/{role:.+}/options", SignedIn, options::check);

    r.get("/step-up/{click}", SignedIn, step_up::begin);
    r.get("/continue/{click}", SignedIn, step_up::resume);

    // At the root, because AWS's tools put it there.
    r.get("/authorize", SignedIn, oauth::authorize::ask);
    r.post("/authorize", SignedIn, oauth::authorize::decide);
    r.get("/device", SignedIn, oauth::device::ask);
    r.post("/device", SignedIn, oauth::device::decide);
    r.post("/oauth/token", Client, oauth::token::token);
    r.post("/oauth/device_authorization", Client, oauth::token::device_authorization);
    r.post("/oauth/revoke", Client, oauth::token::revoke);
    r.get("/.well-known/oauth-authorization-server", Anyone, oauth::metadata::metadata);

    r.get("/api/openapi.json", Anyone, api::openapi::openapi);
    r.get("/api/v1/me", Principal, api::me::me);
    r.get("/api/v1/roles", Principal, api::roles::roles);
    r.get("/api/v1/aws-config", Principal, api::aws_config::aws_config);
    r.post("/api/v1/roles/{account}/{role:.+}/credentials", Principal, api::issue::credentials);
    r.post("/api/v1/roles/{account}/{role:.+}/console", Principal, api::issue::console);

    r.get("/api/v1/container/{account}/{role:.+}", Client, container::credentials);
    r.post("/idc/client/register", Client, idc::sign_in::register);
    r.post("/idc/device_authorization", Client, idc::sign_in::device_authorization);
    r.post("/idc/token", Client, idc::sign_in::token);
    r.get("/idc/assignment/accounts", Client, idc::portal::accounts);
    r.get("/idc/assignment/roles", Client, idc::portal::roles);
    r.get("/idc/federation/credentials", Client, idc::portal::credentials);
    r.post("/idc/logout", Client, idc::portal::logout);

    let rows = r.rows;
    let table = rows.clone();
    config.default_service(web::to(move |request: HttpRequest| {
        let problem = unmatched(&table, &request);
        async move { Err::<actix_web::HttpResponse, Problem>(problem) }
    }));
    rows
}

/// 405 where the path exists for another method, else 404.
fn unmatched(table: &[Row], request: &HttpRequest) -> Problem {
    let here = |row: &&Row| actix_web::dev::ResourceDef::new(row.path).is_match(request.path());
    let mut allowed: Vec<&str> = table.iter().filter(here).map(|row| row.method.as_str()).collect();
    allowed.sort_unstable();
    allowed.dedup();
    if allowed.is_empty() || allowed.contains(&request.method().as_str()) {
        return Problem::new(Kind::NotFound);
    }
    Problem::new(Kind::MethodNotAllowed).allow(allowed.join(", "))
}

/// The gate: without a live session nothing behind it runs.
async fn require_session<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let cookies = request.app_data::<web::Data<Cookies>>().expect("the application sets its cookies").clone();
    let sessions = request.app_data::<web::Data<Sessions>>().expect("the application sets its sessions").clone();
    let token = cookies.session_token(request.request());
    let found = match token {
        Some(token) => sessions.find(token).await.map_err(Problem::from),
        None => Ok(None),
    };
    let session = match found.and_then(|session| session.ok_or_else(|| Problem::new(Kind::SignInRequired))) {
        Ok(session) => session,
        Err(problem) => return Ok(request.error_response(problem)),
    };
    request.extensions_mut().insert(session);
    Ok(next.call(request).await?.map_into_boxed_body())
}
