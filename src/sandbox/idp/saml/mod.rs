//! SAML 2.0, as an identity provider speaks it.
//!
//! Spec: SAML bindings 3.4 and 3.5, SAML profiles 4.1 (web browser SSO).

mod answer;
pub mod logout;
pub mod partners;

use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use self::answer::{Authenticated, Envelope, Refusal};
use super::super::pages::{self, Notice};
use super::super::world::Person;
use super::super::{State, cookie_named};
use crate::saml::gate::{self, Limits, Root, Sha1};
use crate::saml::message::AuthnRequest;
use crate::saml::names::{BINDING_POST, BINDING_REDIRECT};
use crate::saml::redirect::{self, Carries};
use crate::saml::write::{DS, Element, MD, SAMLP};

const COOKIE: &str = "rolegate_dev_idp";
/// How long the identity provider remembers who is signed in.
const SESSION: SignedDuration = SignedDuration::from_hours(8);
/// How long the list of people may stay open before somebody clicks.
const PATIENCE: SignedDuration = SignedDuration::from_mins(30);
/// A request may be this old, or this much ahead of our clock.
const REQUEST_WINDOW: SignedDuration = SignedDuration::from_mins(10);
const MAX_REQUEST: usize = 64 * 1024;
/// The standard says 80; identity providers are more patient.
const MAX_RELAY_STATE: usize = 2_000;

const FORMATS: [&str; 4] = [answer::PERSISTENT, answer::EMAIL, answer::TRANSIENT, answer::UNSPECIFIED];

/// A request that was understood and believed, between its arrival and the click. It travels sealed through the page.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Pending {
    service_provider: String,
    acs_url: String,
    in_response_to: Option<String>,
    relay_state: Option<String>,
    name_id_format: String,
    until: Timestamp,
}

/// Who is signed in, in a sealed cookie.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Remembered {
    person: String,
    at: Timestamp,
    session_index: String,
}

impl Remembered {
    fn ends(&self) -> Timestamp {
        self.at + SESSION
    }
}

const PENDING: &str = "idp:pending";
const REMEMBERED: &str = "idp:session";

fn seal<T: Serialize>(state: &State, place: &str, value: &T) -> String {
    let plain = serde_json::to_vec(value).expect("texts and instants are always JSON");
    URL_SAFE_NO_PAD.encode(state.sealing.seal(place, &plain, &*state.rng))
}

fn open<T: for<'de> Deserialize<'de>>(state: &State, place: &str, text: &str) -> Option<T> {
    let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
    serde_json::from_slice(&state.sealing.open(place, &sealed).ok()?).ok()
}

/// Why a request is not answered. Nothing is sent to whoever asked: the address could be anybody's.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error("There is no SAMLRequest that can be read: {0}")]
    Unreadable(String),
    #[error("The request is not SAML 2.0.")]
    Version,
    #[error("The request does not say who sends it.")]
    NoIssuer,
    #[error("The request was made at {0}, which is not now.")]
    Stale(Timestamp),
    #[error("The request is addressed to {0}, which is not this identity provider.")]
    Destination(String),
    #[error("No service provider {issuer} is registered with an answer going to {acs_url}.")]
    Unregistered { issuer: String, acs_url: String },
    #[error("The request is not signed as the service provider's metadata says: {0}")]
    Signature(String),
    #[error("RelayState has more than {MAX_RELAY_STATE} characters.")]
    RelayState,
    #[error("Answers are given by HTTP-POST only, and {0} was asked for.")]
    Binding(String),
}

impl RequestError {
    fn page(&self) -> HttpResponse {
        tracing::info!("the development identity provider refused a request: {self}");
        pages::notice(
            400,
            &Notice { title: "This sign-in cannot go on".to_owned(), text: self.to_string(), link: None },
        )
    }
}

pub fn entity_id(base: &url::Url) -> String {
    address(base, "idp/saml/metadata")
}

fn address(base: &url::Url, path: &str) -> String {
    base.join(path).map_or_else(|_| path.to_owned(), String::from)
}

/// `GET /idp/saml/metadata`
pub async fn metadata(state: web::Data<State>) -> HttpResponse {
    let service = |element: &'static str, path: &str, binding: &str| {
        Element::new(MD, element).attr("Binding", binding).attr("Location", address(&state.base, path))
    };
    let certificate = Element::new(DS, "X509Certificate").text(state.keys.idp.certificate_base64());
    let written = Element::new(MD, "EntityDescriptor")
        .attr("entityID", entity_id(&state.base))
        .child(
            Element::new(MD, "IDPSSODescriptor")
                .attr("WantAuthnRequestsSigned", "false")
                .attr("protocolSupportEnumeration", SAMLP.uri)
                .child(
                    Element::new(MD, "KeyDescriptor")
                        .attr("use", "signing")
                        .child(Element::new(DS, "KeyInfo").child(Element::new(DS, "X509Data").child(certificate))),
                )
                .child(service("SingleLogoutService", "idp/saml/slo", BINDING_REDIRECT))
                .children(FORMATS.iter().map(|format| Element::new(MD, "NameIDFormat").text(*format)))
                .child(service("SingleSignOnService", "idp/saml/sso", BINDING_REDIRECT))
                .child(service("SingleSignOnService", "idp/saml/sso", BINDING_POST)),
        )
        .write();
    match written {
        Ok(xml) => {
            HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/samlmetadata+xml")).body(xml.into_string())
        }
        Err(error) => broken(&error),
    }
}

fn broken(error: &dyn std::fmt::Display) -> HttpResponse {
    tracing::error!("the development identity provider could not write an answer: {error}");
    pages::notice(
        500,
        &Notice {
            title: "Something went wrong here".to_owned(),
            text: "The answer could not be written. The log says why.".to_owned(),
            link: None,
        },
    )
}

/// `GET /idp/saml/sso`: HTTP-Redirect.
pub async fn sso_redirect(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let query = request.query_string();
    let received = match redirect::receive(Carries::Request, query, MAX_REQUEST) {
        Ok(received) => received,
        Err(error) => return RequestError::Unreadable(error.to_string()).page(),
    };
    let signature = received.signed.then_some(query);
    sso(&request, &state, &received.xml, received.relay_state, Binding::Redirect { signature }).await
}

#[derive(Deserialize)]
pub struct SsoForm {
    #[serde(rename = "SAMLRequest")]
    saml_request: String,
    #[serde(rename = "RelayState")]
    relay_state: Option<String>,
}

/// `POST /idp/saml/sso`: HTTP-POST.
pub async fn sso_post(request: HttpRequest, form: web::Form<SsoForm>, state: web::Data<State>) -> HttpResponse {
    let form = form.into_inner();
    let packed: Vec<u8> = form.saml_request.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let xml = match STANDARD.decode(packed) {
        Ok(xml) => xml,
        Err(error) => return RequestError::Unreadable(error.to_string()).page(),
    };
    sso(&request, &state, &xml, form.relay_state, Binding::Post).await
}

enum Binding<'a> {
    /// With the raw query, where that holds a signature.
    Redirect {
        signature: Option<&'a str>,
    },
    Post,
}

async fn sso(
    request: &HttpRequest,
    state: &State,
    xml: &[u8],
    relay_state: Option<String>,
    binding: Binding<'_>,
) -> HttpResponse {
    match understand(state, xml, relay_state, binding).await {
        Ok((pending, wishes)) => respond(request, state, &pending, &wishes),
        Err(error) => error.page(),
    }
}

/// What a request wants besides an answer.
struct Wishes {
    force: bool,
    passive: bool,
    known_format: bool,
}

async fn understand(
    state: &State,
    xml: &[u8],
    relay_state: Option<String>,
    binding: Binding<'_>,
) -> Result<(Pending, Wishes), RequestError> {
    let now = state.clock.now();
    let unreadable = |error: &dyn std::fmt::Display| RequestError::Unreadable(error.to_string());
    let limits = Limits::MESSAGE.with_bytes(MAX_REQUEST);
    let gated = gate::admit(xml, Root::AuthnRequest, &limits, Sha1::Refused).map_err(|error| unreadable(&error))?;
    let read = AuthnRequest::read(gated.root()).map_err(|error| unreadable(&error))?;
    if read.version != Some("2.0") {
        return Err(RequestError::Version);
    }
    let issuer = read.issuer.filter(|issuer| !issuer.is_empty()).ok_or(RequestError::NoIssuer)?;
    if now > read.issue_instant + REQUEST_WINDOW || read.issue_instant > now + REQUEST_WINDOW {
        return Err(RequestError::Stale(read.issue_instant));
    }
    if let Some(destination) = read.destination.filter(|to| *to != address(&state.base, "idp/saml/sso")) {
        return Err(RequestError::Destination(destination.to_owned()));
    }
    if let Some(binding) = read.protocol_binding.filter(|binding| *binding != BINDING_POST) {
        return Err(RequestError::Binding(binding.to_owned()));
    }
    if relay_state.as_ref().is_some_and(|text| text.chars().count() > MAX_RELAY_STATE) {
        return Err(RequestError::RelayState);
    }
    let (partner, acs_url) =
        state.service_providers.find(issuer, read.acs_url, now).await.ok_or_else(|| RequestError::Unregistered {
            issuer: issuer.to_owned(),
            acs_url: read.acs_url.unwrap_or("the default address").to_owned(),
        })?;
    let signature = |error: &dyn std::fmt::Display| RequestError::Signature(error.to_string());
    match binding {
        Binding::Redirect { signature: Some(query) } if !partner.certificates.is_empty() => {
            redirect::verify(Carries::Request, query, &partner.certificates, Sha1::Refused)
                .map_err(|error| signature(&error))?;
        }
        Binding::Post if !gated.signatures().is_empty() && !partner.certificates.is_empty() => {
            crate::saml::signature::verify(&gated, &partner.certificates, Sha1::Refused)
                .map_err(|error| signature(&error))?;
        }
        _ if partner.requests_signed => return Err(signature(&"it has no signature")),
        _ => {}
    }
    let asked = read.name_id_format.unwrap_or(answer::UNSPECIFIED);
    let known_format = FORMATS.contains(&asked);
    let pending = Pending {
        service_provider: partner.entity_id,
        acs_url,
        in_response_to: Some(read.id.to_owned()),
        relay_state,
        name_id_format: if asked == answer::UNSPECIFIED { answer::PERSISTENT } else { asked }.to_owned(),
        until: now + PATIENCE,
    };
    Ok((pending, Wishes { force: read.force_authn, passive: read.is_passive, known_format }))
}

fn respond(request: &HttpRequest, state: &State, pending: &Pending, wishes: &Wishes) -> HttpResponse {
    if !wishes.known_format {
        return say_no(state, pending, Refusal::InvalidNameIdPolicy);
    }
    match remembered(request, state) {
        Some((remembered, person)) if !wishes.force => say_yes(state, pending, person, &remembered),
        _ if wishes.passive => say_no(state, pending, Refusal::NoPassive),
        signed_in => ask(state, pending, signed_in.map(|(_, person)| person.id.as_str())),
    }
}

/// The list of people.
fn ask(state: &State, pending: &Pending, signed_in: Option<&str>) -> HttpResponse {
    pages::choose_person(state, &pending.service_provider, &seal(state, PENDING, pending), signed_in)
}

fn remembered<'s>(request: &HttpRequest, state: &'s State) -> Option<(Remembered, &'s Person)> {
    let cookie = request.cookie(&cookie_named(COOKIE, &state.base))?;
    let remembered: Remembered = open(state, REMEMBERED, cookie.value())?;
    let person = state.world.person(&remembered.person)?;
    (state.clock.now() < remembered.ends()).then_some((remembered, person))
}

fn cookie(state: &State, value: String) -> Cookie<'static> {
    // Lax is enough although requests come by POST too: without the cookie the person is merely asked again.
    Cookie::build(cookie_named(COOKIE, &state.base), value)
        .path("/idp")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(state.base.scheme() == "https")
        .finish()
}

fn envelope<'a>(issuer: &'a str, pending: &'a Pending) -> Envelope<'a> {
    Envelope { issuer, destination: &pending.acs_url, in_response_to: pending.in_response_to.as_deref() }
}

fn say_yes(state: &State, pending: &Pending, person: &Person, remembered: &Remembered) -> HttpResponse {
    let issuer = entity_id(&state.base);
    let who = Authenticated {
        person,
        audience: &pending.service_provider,
        name_id_format: &pending.name_id_format,
        at: remembered.at,
        session_index: &remembered.session_index,
        session_ends: remembered.ends(),
    };
    let (key, now) = (&state.keys.idp, state.clock.now());
    match answer::authenticated(envelope(&issuer, pending), &who, key, now, &*state.rng) {
        Ok(xml) => send(pending, &xml),
        Err(error) => broken(&error),
    }
}

fn say_no(state: &State, pending: &Pending, refusal: Refusal) -> HttpResponse {
    let issuer = entity_id(&state.base);
    match answer::refused(envelope(&issuer, pending), refusal, &state.keys.idp, state.clock.now(), &*state.rng) {
        Ok(xml) => send(pending, &xml),
        Err(error) => broken(&error),
    }
}

fn send(pending: &Pending, xml: &str) -> HttpResponse {
    pages::send_answer(&pending.acs_url, &STANDARD.encode(xml), pending.relay_state.as_deref())
}

#[derive(Deserialize)]
pub struct InitiateQuery {
    /// The entity ID of the service provider; the first one known when it is left out.
    sp: Option<String>,
    #[serde(rename = "RelayState")]
    relay_state: Option<String>,
}

/// `GET /idp/saml/initiate`: an answer nobody asked for.
pub async fn initiate(request: HttpRequest, query: web::Query<InitiateQuery>, state: web::Data<State>) -> HttpResponse {
    let now = state.clock.now();
    let query = query.into_inner();
    if query.relay_state.as_ref().is_some_and(|text| text.chars().count() > MAX_RELAY_STATE) {
        return RequestError::RelayState.page();
    }
    let all = state.service_providers.all(now).await;
    let partner = match &query.sp {
        None => all.first(),
        Some(entity_id) => all.iter().find(|partner| partner.entity_id == *entity_id),
    };
    let Some((partner, acs_url)) = partner.and_then(|partner| Some((partner, partner.acs_urls.first()?))) else {
        return RequestError::Unregistered {
            issuer: query.sp.unwrap_or_else(|| "at all".to_owned()),
            acs_url: "its default address".to_owned(),
        }
        .page();
    };
    let pending = Pending {
        service_provider: partner.entity_id.clone(),
        acs_url: acs_url.clone(),
        in_response_to: None,
        relay_state: query.relay_state,
        name_id_format: answer::PERSISTENT.to_owned(),
        until: now + PATIENCE,
    };
    respond(&request, &state, &pending, &Wishes { force: false, passive: false, known_format: true })
}

#[derive(Deserialize)]
pub struct SignInForm {
    pending: String,
    /// Empty when the person goes away.
    person: String,
}

/// `POST /idp/saml/sign-in`: a click on the list.
pub async fn sign_in(form: web::Form<SignInForm>, state: web::Data<State>) -> HttpResponse {
    let now = state.clock.now();
    let pending = open::<Pending>(&state, PENDING, &form.pending).filter(|pending| now < pending.until);
    let Some(pending) = pending else {
        return pages::notice(
            400,
            &Notice {
                title: "That took too long".to_owned(),
                text: "Please go back to where you came from and begin again.".to_owned(),
                link: None,
            },
        );
    };
    if form.person.is_empty() {
        return say_no(&state, &pending, Refusal::AuthnFailed);
    }
    let Some(person) = state.world.person(&form.person) else {
        return pages::notice(
            400,
            &Notice {
                title: "Nobody here has that name".to_owned(),
                text: "Please choose somebody from the list.".to_owned(),
                link: None,
            },
        );
    };
    let remembered = Remembered { person: person.id.clone(), at: now, session_index: state.rng.xml_id() };
    let mut response = say_yes(&state, &pending, person, &remembered);
    let _ = response.add_cookie(&cookie(&state, seal(&state, REMEMBERED, &remembered)));
    response
}

/// `POST /idp/sign-out`: forgets who is signed in.
pub async fn sign_out(state: web::Data<State>) -> HttpResponse {
    let mut gone = cookie(&state, String::new());
    gone.make_removal();
    HttpResponse::SeeOther().cookie(gone).insert_header(("Location", "/idp")).finish()
}

/// `GET /idp`: who is signed in, and where to.
pub async fn home(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let partners = state.service_providers.all(state.clock.now()).await;
    pages::idp_home(&state, remembered(&request, &state).map(|(_, person)| person), &partners)
}
