//! SAML 2.0, as an identity provider speaks it.
//!
//! Spec: SAML bindings 3.4 and 3.5, SAML profiles 4.1 (web browser SSO).

mod answer;
pub mod logout;
pub mod partners;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use roxmltree::Node;
use serde::{Deserialize, Serialize};

use self::answer::{Authenticated, Envelope, Refusal};
use super::onward::{Arrived, Onward};
use super::sessions::{self, Participant, Session};
use super::strength::{Comparison, Strength};
use super::{Asked, Question, Why};
use crate::saml::gate::{self, Gated, Limits, Root, Sha1};
use crate::saml::message::AuthnRequest;
use crate::saml::names::{self, BINDING_POST, BINDING_REDIRECT};
use crate::saml::redirect::{self, Carries};
use crate::saml::write::{DS, Element, MD, SAMLP};
use crate::sandbox::State;
use crate::sandbox::pages::{self, Notice};
use crate::sandbox::world::Person;

/// A request may be this old, or this much ahead of our clock.
const REQUEST_WINDOW: SignedDuration = SignedDuration::from_mins(10);
const MAX_REQUEST: usize = 64 * 1024;
/// The standard says 80; identity providers are more patient.
const MAX_RELAY_STATE: usize = 2_000;

const FORMATS: [&str; 4] = [answer::PERSISTENT, answer::EMAIL, answer::TRANSIENT, answer::UNSPECIFIED];

/// A request that was understood and believed, between its arrival and the click.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pending {
    service_provider: String,
    acs_url: String,
    in_response_to: Option<String>,
    relay_state: Option<String>,
    name_id_format: String,
    context: Option<Context>,
}

/// `samlp:RequestedAuthnContext`: how strong a sign-in has to be.
///
/// Spec: SAML core 3.3.2.2.1.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Context {
    comparison: Comparison,
    classes: Vec<String>,
}

impl Context {
    fn read(request: Node<'_, '_>) -> Result<Option<Self>, RequestError> {
        let is = |node: &Node<'_, '_>, name: &'static str| node.has_tag_name((names::SAMLP, name));
        let Some(node) = request.children().find(|node| is(node, "RequestedAuthnContext")) else { return Ok(None) };
        let comparison = match node.attribute("Comparison") {
            None | Some("exact") => Comparison::Exact,
            Some("minimum") => Comparison::Minimum,
            Some("maximum") => Comparison::Maximum,
            Some("better") => Comparison::Better,
            Some(other) => return Err(RequestError::Unreadable(format!("`{other}` is no way to compare contexts"))),
        };
        let classes = node.children().filter(|child| child.has_tag_name((names::SAML, "AuthnContextClassRef")));
        let classes = classes.filter_map(gate::text_of).map(str::to_owned).collect();
        Ok(Some(Self { comparison, classes }))
    }

    fn met_by(&self, strength: Strength) -> bool {
        strength.meets(self.comparison, &self.classes)
    }

    /// What to suggest: of several that would do, the one that was named first.
    fn suggestion(&self) -> Option<Strength> {
        let named = self.classes.iter().filter_map(|class| Strength::from_class(class));
        named.chain(Strength::ALL).find(|strength| self.met_by(*strength))
    }
}

/// Why a request is not answered. Nothing is sent to whoever asked: the address could be anybody's.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
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
    pub fn page(&self) -> HttpResponse {
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
                .child(service("SingleLogoutService", "idp/saml/slo", BINDING_POST))
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

pub fn broken(error: &dyn std::fmt::Display) -> HttpResponse {
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

/// How a message came.
#[derive(Debug, Clone, Copy)]
enum Binding<'a> {
    /// With the raw query, where that holds a signature.
    Redirect {
        signature: Option<&'a str>,
    },
    Post,
}

impl Binding<'_> {
    /// Checks the signature of a message, if it has one and there is a certificate to check it with. Gives whether
    /// there was one.
    fn check(
        self,
        carries: Carries,
        gated: &Gated<'_>,
        partner: &partners::ServiceProvider,
    ) -> Result<bool, RequestError> {
        let wrong = |error: &dyn std::fmt::Display| RequestError::Signature(error.to_string());
        let signed = match self {
            Self::Redirect { signature } => signature.is_some(),
            Self::Post => !gated.signatures().is_empty(),
        };
        if !signed || partner.certificates.is_empty() {
            return Ok(signed);
        }
        match self {
            Self::Redirect { signature } => {
                redirect::verify(carries, signature.unwrap_or_default(), &partner.certificates, Sha1::Refused)
                    .map_err(|error| wrong(&error))?;
            }
            Self::Post => {
                crate::saml::signature::verify(gated, &partner.certificates, Sha1::Refused)
                    .map_err(|error| wrong(&error))?;
            }
        }
        Ok(true)
    }
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
    let (partner, acs_url) = state.idp.service_providers.find(issuer, read.acs_url, now).await.ok_or_else(|| {
        RequestError::Unregistered {
            issuer: issuer.to_owned(),
            acs_url: read.acs_url.unwrap_or("the default address").to_owned(),
        }
    })?;
    if !binding.check(Carries::Request, &gated, &partner)? && partner.requests_signed {
        return Err(RequestError::Signature("it has no signature".to_owned()));
    }
    let asked = read.name_id_format.unwrap_or(answer::UNSPECIFIED);
    let known_format = FORMATS.contains(&asked);
    let pending = Pending {
        service_provider: partner.entity_id,
        acs_url,
        in_response_to: Some(read.id.to_owned()),
        relay_state,
        name_id_format: if asked == answer::UNSPECIFIED { answer::PERSISTENT } else { asked }.to_owned(),
        context: Context::read(gated.root())?,
    };
    Ok((pending, Wishes { force: read.force_authn, passive: read.is_passive, known_format }))
}

fn respond(request: &HttpRequest, state: &State, pending: &Pending, wishes: &Wishes) -> HttpResponse {
    if !wishes.known_format {
        return say_no(state, pending, Refusal::InvalidNameIdPolicy);
    }
    let Some(suggested) = pending.context.as_ref().map_or(Some(Strength::default()), Context::suggestion) else {
        return say_no(state, pending, Refusal::NoAuthnContext);
    };
    let signed_in = sessions::of_browser(request, state);
    let strong = |strength| pending.context.as_ref().is_none_or(|context| context.met_by(strength));
    match &signed_in {
        Some((session, person)) if !wishes.force && strong(session.strength) => {
            say_yes(state, pending, person, session)
        }
        _ if wishes.passive => say_no(state, pending, Refusal::NoPassive),
        signed_in => {
            let question = Question {
                application: &pending.service_provider,
                protocol: "SAML 2.0",
                signed_in: signed_in.as_ref().map(|(_, person)| person.id.as_str()),
                expected: None,
                why: signed_in.as_ref().map(|_| if wishes.force { Why::Again } else { Why::Strength }),
                strength: suggested,
            };
            super::ask(state, Asked::Saml(pending.clone()), question)
        }
    }
}

fn envelope<'a>(issuer: &'a str, pending: &'a Pending) -> Envelope<'a> {
    Envelope { issuer, destination: &pending.acs_url, in_response_to: pending.in_response_to.as_deref() }
}

/// Vouches for somebody.
pub fn say_yes(state: &State, pending: &Pending, person: &Person, session: &Session) -> HttpResponse {
    // The person may have chosen another way than the one that was asked for.
    if pending.context.as_ref().is_some_and(|context| !context.met_by(session.strength)) {
        return say_no(state, pending, Refusal::NoAuthnContext);
    }
    let issuer = entity_id(&state.base);
    let name_id = answer::name_id(person, &pending.name_id_format, &issuer, &pending.service_provider, &*state.rng);
    let who = Authenticated {
        person,
        audience: &pending.service_provider,
        name_id: &name_id,
        at: session.at,
        class: session.strength.class(),
        session_index: &session.index,
        session_ends: session.ends(),
    };
    let (key, now) = (&state.keys.idp, state.clock.now());
    match answer::authenticated(envelope(&issuer, pending), &who, key, now, &*state.rng) {
        Ok(xml) => {
            let participant = Participant { entity_id: pending.service_provider.clone(), name_id };
            state.idp.sessions.tell_service_provider(&session.index, participant);
            send(pending, &xml)
        }
        Err(error) => broken(&error),
    }
}

/// The person has gone back without signing in.
pub fn went_away(state: &State, pending: &Pending) -> HttpResponse {
    say_no(state, pending, Refusal::AuthnFailed)
}

fn say_no(state: &State, pending: &Pending, refusal: Refusal) -> HttpResponse {
    let issuer = entity_id(&state.base);
    match answer::refused(envelope(&issuer, pending), refusal, &state.keys.idp, state.clock.now(), &*state.rng) {
        Ok(xml) => send(pending, &xml),
        Err(error) => broken(&error),
    }
}

fn send(pending: &Pending, xml: &str) -> HttpResponse {
    let mut fields = vec![("SAMLResponse", STANDARD.encode(xml))];
    fields.extend(pending.relay_state.clone().map(|relay_state| ("RelayState", relay_state)));
    Onward::Post { action: pending.acs_url.clone(), fields }.send(Arrived::ByForm)
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
    let all = state.idp.service_providers.all(now).await;
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
        context: None,
    };
    respond(&request, &state, &pending, &Wishes { force: false, passive: false, known_format: true })
}
