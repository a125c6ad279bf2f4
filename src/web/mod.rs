//! Routes, extractors, problems, pages.

use std::borrow::Cow;
use std::fmt;

use actix_web::http::uri::PathAndQuery;
use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse};
use url::Url;

use self::problem::{Kind, Problem};
use crate::catalog::Connector;
use crate::flows::Caller;
use crate::flows::authorize::Answer;
use crate::flows::start_sign_in::Started;
use crate::identity::ConnectorId;
use crate::issuance::ConsoleLogin;
use crate::sys::{LocalPath, Token};

pub mod api;
pub mod arrival;
pub mod assets;
pub mod aws;
pub mod aws_config;
pub mod container;
pub mod context;
mod dialect;
pub mod fields;
pub mod health;
pub mod idc;
pub mod limits;
pub mod metrics;
mod mfa;
pub mod oauth;
pub mod oidc;
mod options;
pub mod picker;
pub mod principal;
pub mod problem;
mod programs;
pub mod roles;
pub mod routes;
pub mod saml;
mod scope_down;
pub mod search;
pub mod session;
pub mod sessions;
pub mod sign_in;
pub mod sign_out;
pub mod step_up;
pub mod tokens;
pub mod trouble;
pub mod views;
pub mod words;

/// A page.
fn page(view: &impl askama::Template) -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(views::html(view))
}

/// Where a browser is sent. None of these can hold a text that a stranger wrote: an open redirect has no place here.
enum To<'a> {
    /// A page of ours that has a fixed address.
    Fixed(&'static str),
    Page(&'a LocalPath),
    /// Back to us with a verified reply.
    Finish(&'static str, &'a ConnectorId, &'a Token),
    /// Into a connector's sign-in.
    Start(&'a StartAddress<'a>),
    IdentityProvider(&'a Started),
    /// Out there too, with a signed message of ours.
    Logout(&'a Url),
    /// The page that says how far a sign-out reached.
    SignedOut(&'a ConnectorId, views::Reach),
    Console(&'a ConsoleLogin),
    /// A program that waits on the person's own computer.
    Loopback(&'a Answer),
}

/// 303, so that a reload does not post again.
fn see_other(to: &To<'_>) -> HttpResponse {
    let location = match to {
        To::Fixed(path) => Cow::Borrowed(*path),
        To::Page(path) => Cow::Borrowed(path.as_str()),
        To::Finish(protocol, connector, ticket) => {
            Cow::Owned(format!("/{protocol}/{connector}/finish?ticket={}", ticket.expose_secret()))
        }
        To::Start(way) => Cow::Owned(way.to_string()),
        To::IdentityProvider(started) => Cow::Borrowed(started.location.as_str()),
        To::Logout(place) => Cow::Borrowed(place.as_str()),
        To::SignedOut(connector, reach) => {
            Cow::Owned(format!("/signed-out?connector={connector}&reach={}", reach.as_str()))
        }
        To::Console(login) => Cow::Borrowed(login.expose()),
        To::Loopback(answer) => Cow::Borrowed(answer.expose()),
    };
    HttpResponse::SeeOther().insert_header((header::LOCATION, location.as_ref())).finish()
}

/// Where signing in through a connector begins: `/saml/{id}/start` or `/oidc/{id}/start`.
#[derive(Debug, Clone, Copy)]
struct StartAddress<'a> {
    connector: &'a Connector,
    return_to: &'a LocalPath,
    hint: Option<&'a str>,
}

impl<'a> StartAddress<'a> {
    fn new(connector: &'a Connector, return_to: &'a LocalPath) -> Self {
        Self { connector, return_to, hint: None }
    }

    /// Who they say they are, for providers that take it.
    fn hint(self, hint: Option<&'a str>) -> Self {
        Self { hint, ..self }
    }
}

impl fmt::Display for StartAddress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("return_to", self.return_to.as_str());
        if let Some(hint) = self.hint {
            query.append_pair("login_hint", hint);
        }
        write!(f, "/{}/{}/start?{}", self.connector.kind.protocol(), self.connector.id, query.finish())
    }
}

/// Off to an identity provider, with the cookie that will recognise this browser.
fn depart(cookies: &session::Cookies, started: &Started) -> Result<HttpResponse, Problem> {
    let mut response = see_other(&To::IdentityProvider(started));
    response.add_cookie(&cookies.browser(&started.browser)).map_err(internal)?;
    Ok(response)
}

/// The page that is being asked for, to come back to. What was posted has no address; the roles do.
fn here(request: &HttpRequest) -> LocalPath {
    let at = request.uri().path_and_query().map(PathAndQuery::as_str);
    LocalPath::parse_or_home(at.filter(|_| *request.method() == Method::GET))
}

/// Where a request came from.
fn caller(request: &HttpRequest) -> Caller {
    let user_agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("");
    Caller {
        address: context::client_address(request),
        network_known: context::network_known(request),
        user_agent: user_agent.chars().take(300).collect(),
        request_id: context::request_id(request),
    }
}

/// Something of the application's own.
fn data<T: 'static>(request: &HttpRequest) -> &actix_web::web::Data<T> {
    request.app_data::<actix_web::web::Data<T>>().expect("the application sets its own data")
}

/// Something that cannot go wrong did.
fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Problem {
    Problem::new(Kind::Internal).caused_by(error)
}
