//! Single logout: a service provider asks for it, or it is asked; by HTTP-Redirect and by HTTP-POST.
//!
//! Spec: SAML core 3.7, SAML profiles 4.4.

use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use roxmltree::Node;

use super::partners::{LogoutBinding, LogoutEndpoint, ServiceProvider};
use super::{Binding, MAX_REQUEST, REQUEST_WINDOW, RequestError, State, address, answer, entity_id};
use crate::saml::gate::{self, Gated, Limits, Root, Sha1};
use crate::saml::names::{SAML, SAMLP, SUCCESS, date_time, timestamp};
use crate::saml::redirect::{self, Carries};
use crate::saml::write::{self, Element, WriteError};
use crate::sandbox::idp::leaving::{self, Finally};
use crate::sandbox::idp::onward::{Arrived, Onward};
use crate::sandbox::idp::params::Params;
use crate::sandbox::idp::sessions::{NameId, Participant};

const PATH: &str = "idp/saml/slo";
const STATUS: &str = "urn:oasis:names:tc:SAML:2.0:status:";
const BY_THE_PERSON: &str = "urn:oasis:names:tc:SAML:2.0:logout:user";
/// A request of ours may be answered this long.
const REQUEST_LIFE: SignedDuration = SignedDuration::from_mins(5);

/// An answer that is owed to a service provider.
#[derive(Debug, Clone)]
pub struct Reply {
    endpoint: LogoutEndpoint,
    in_response_to: String,
    relay_state: Option<String>,
    /// Nobody here has the name in the request.
    unknown: bool,
}

/// `GET /idp/saml/slo`: HTTP-Redirect.
pub async fn redirect(request: HttpRequest, state: web::Data<State>) -> HttpResponse {
    let query = request.query_string();
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    let carries = match (has("SAMLRequest"), has("SAMLResponse")) {
        (true, false) => Carries::Request,
        (false, true) => Carries::Response,
        _ => return RequestError::Unreadable("one message belongs here".to_owned()).page(),
    };
    let received = match redirect::receive(carries, query, MAX_REQUEST) {
        Ok(received) => received,
        Err(error) => return RequestError::Unreadable(error.to_string()).page(),
    };
    let binding = Binding::Redirect { signature: received.signed.then_some(query) };
    take(&request, &state, carries, &received.xml, received.relay_state, binding).await
}

/// `POST /idp/saml/slo`: HTTP-POST.
pub async fn post(request: HttpRequest, body: web::Bytes, state: web::Data<State>) -> HttpResponse {
    let mut form = match Params::parse(&body) {
        Ok(form) => form,
        Err(error) => return unreadable(&error).page(),
    };
    let (carries, packed) = match (form.take("SAMLRequest"), form.take("SAMLResponse")) {
        (Some(packed), None) => (Carries::Request, packed),
        (None, Some(packed)) => (Carries::Response, packed),
        _ => return RequestError::Unreadable("one message belongs here".to_owned()).page(),
    };
    let packed: Vec<u8> = packed.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    match STANDARD.decode(packed) {
        Ok(xml) => take(&request, &state, carries, &xml, form.take("RelayState"), Binding::Post).await,
        Err(error) => RequestError::Unreadable(error.to_string()).page(),
    }
}

async fn take(
    request: &HttpRequest,
    state: &State,
    carries: Carries,
    xml: &[u8],
    relay_state: Option<String>,
    binding: Binding<'_>,
) -> HttpResponse {
    let arrived = match binding {
        Binding::Redirect { .. } => Arrived::ByLink,
        Binding::Post => Arrived::ByForm,
    };
    let taken = match carries {
        Carries::Request => asked(request, state, xml, relay_state, binding, arrived).await,
        Carries::Response => answered(state, xml, binding, arrived).await,
    };
    taken.unwrap_or_else(|error| error.page())
}

fn unreadable(error: &dyn std::fmt::Display) -> RequestError {
    RequestError::Unreadable(error.to_string())
}

/// Checks what requests and responses have in common; gives who sent it.
async fn sender(
    state: &State,
    carries: Carries,
    gated: &Gated<'_>,
    binding: Binding<'_>,
) -> Result<ServiceProvider, RequestError> {
    let (root, now) = (gated.root(), state.clock.now());
    if root.attribute("Version") != Some("2.0") {
        return Err(RequestError::Version);
    }
    let issuer = text(root, SAML, "Issuer").filter(|issuer| !issuer.is_empty()).ok_or(RequestError::NoIssuer)?;
    let instant = |name| root.attribute(name).map(|text| timestamp(text).ok_or_else(|| unreadable(&name))).transpose();
    let issued = instant("IssueInstant")?.ok_or_else(|| unreadable(&"it has no IssueInstant"))?;
    if now > issued + REQUEST_WINDOW || issued > now + REQUEST_WINDOW {
        return Err(RequestError::Stale(issued));
    }
    if let Some(until) = instant("NotOnOrAfter")?.filter(|until| *until <= now) {
        return Err(RequestError::Stale(until));
    }
    let here = address(&state.base, PATH);
    if let Some(destination) = root.attribute("Destination").filter(|destination| *destination != here) {
        return Err(RequestError::Destination(destination.to_owned()));
    }
    let partners = state.idp.service_providers.all(now).await;
    let partner = partners.into_iter().find(|partner| partner.entity_id == issuer && !partner.logout.is_empty());
    let partner = partner.ok_or_else(|| RequestError::Unregistered {
        issuer: issuer.to_owned(),
        acs_url: "a logout address".to_owned(),
    })?;
    let signed = binding.check(carries, gated, &partner)?;
    if !signed && !partner.certificates.is_empty() {
        return Err(RequestError::Signature("it has no signature".to_owned()));
    }
    // A signature without an address would hold at any other identity provider too.
    if signed && root.attribute("Destination").is_none() {
        return Err(unreadable(&"a signed message needs a Destination"));
    }
    Ok(partner)
}

async fn asked(
    request: &HttpRequest,
    state: &State,
    xml: &[u8],
    relay_state: Option<String>,
    binding: Binding<'_>,
    arrived: Arrived,
) -> Result<HttpResponse, RequestError> {
    let limits = Limits::MESSAGE.with_bytes(MAX_REQUEST);
    let gated = gate::admit(xml, Root::LogoutRequest, &limits, Sha1::Refused).map_err(|error| unreadable(&error))?;
    let partner = sender(state, Carries::Request, &gated, binding).await?;
    let root = gated.root();
    let id = root.attribute("ID").ok_or_else(|| unreadable(&"it has no ID"))?;
    let name_id = child(root, SAML, "NameID").ok_or_else(|| unreadable(&"it has no NameID"))?;
    let attribute = |name| name_id.attribute(name).map(str::to_owned);
    let participant = Participant {
        entity_id: partner.entity_id.clone(),
        name_id: NameId {
            value: gate::text_of(name_id).unwrap_or_default().to_owned(),
            format: attribute("Format"),
            name_qualifier: attribute("NameQualifier"),
            sp_name_qualifier: attribute("SPNameQualifier"),
        },
    };
    let indexes = root.children().filter(|node| node.has_tag_name((SAMLP, "SessionIndex")));
    let indexes: Vec<String> = indexes.filter_map(gate::text_of).map(str::to_owned).collect();
    let sessions = state.idp.sessions.of_participant(&participant, &indexes, state.clock.now());
    let wanted = match binding {
        Binding::Redirect { .. } => LogoutBinding::Redirect,
        Binding::Post => LogoutBinding::Post,
    };
    let endpoint = partner.logout.iter().find(|endpoint| endpoint.binding == wanted).or(partner.logout.first());
    let reply = Reply {
        endpoint: endpoint.cloned().ok_or_else(|| unreadable(&"there is nowhere to answer"))?,
        in_response_to: id.to_owned(),
        relay_state,
        // A session that has ended by itself is one that is signed out of; a name that was never given is a mistake.
        unknown: sessions.is_empty() && !could_be_ours(state, &participant),
    };
    let finally = Finally::ServiceProvider(reply);
    Ok(leaving::begin(request, state, &sessions, Some(&partner.entity_id), finally, arrived).await)
}

/// Whether this is a name somebody has here for this service provider. Transient names are known while they last.
fn could_be_ours(state: &State, participant: &Participant) -> bool {
    let Some(format) = participant.name_id.format.as_deref().filter(|format| *format != answer::TRANSIENT) else {
        return false;
    };
    let issuer = entity_id(&state.base);
    state.world.people().iter().any(|person| {
        participant.name_id == answer::name_id(person, format, &issuer, &participant.entity_id, &*state.rng)
    })
}

async fn answered(
    state: &State,
    xml: &[u8],
    binding: Binding<'_>,
    arrived: Arrived,
) -> Result<HttpResponse, RequestError> {
    let limits = Limits::MESSAGE.with_bytes(MAX_REQUEST);
    let gated = gate::admit(xml, Root::LogoutResponse, &limits, Sha1::Refused).map_err(|error| unreadable(&error))?;
    let partner = sender(state, Carries::Response, &gated, binding).await?;
    let root = gated.root();
    let code = child(root, SAMLP, "Status").and_then(|status| child(status, SAMLP, "StatusCode"));
    let success =
        code.is_some_and(|code| code.attribute("Value") == Some(SUCCESS) && code.first_element_child().is_none());
    let request_id = root.attribute("InResponseTo").ok_or_else(|| unreadable(&"it answers no request"))?;
    let leaving = state.idp.leavings.take(request_id, &partner.entity_id, state.clock.now());
    let leaving = leaving.ok_or_else(|| unreadable(&"it answers no request of ours"))?;
    Ok(leaving::go_on(state, leaving, success, arrived).await)
}

/// A request to a service provider that somebody has signed out, and its id; none where it has no address for that.
pub async fn ask(state: &State, participant: &Participant, session_index: &str) -> Option<(String, Onward)> {
    let now = state.clock.now();
    let partners = state.idp.service_providers.all(now).await;
    let partner = partners.into_iter().find(|partner| partner.entity_id == participant.entity_id)?;
    let endpoint = partner.logout.first()?;
    let id = state.rng.xml_id();
    let xml = message(state, "LogoutRequest", &id, &endpoint.location)
        .attr("NotOnOrAfter", date_time(now + REQUEST_LIFE))
        .attr("Reason", BY_THE_PERSON)
        .child(answer::name_id_element(&participant.name_id))
        .child(Element::new(write::SAMLP, "SessionIndex").text(session_index));
    match pack(state, Carries::Request, endpoint.binding, &endpoint.location, &xml, None) {
        Ok(onward) => Some((id, onward)),
        Err(error) => {
            tracing::error!("a logout request could not be written: {error}");
            None
        }
    }
}

/// The answer to a service provider that asked.
///
/// # Errors
/// [`WriteError`] when a value of theirs cannot stand in XML or the key fails.
pub fn reply(state: &State, reply: &Reply, everybody_told: bool) -> Result<Onward, WriteError> {
    let to = reply.endpoint.for_responses();
    let code = |value: &str| Element::new(write::SAMLP, "StatusCode").attr("Value", format!("{STATUS}{value}"));
    let status = match (reply.unknown, everybody_told) {
        (true, _) => code("Requester").child(code("UnknownPrincipal")),
        (false, true) => code("Success"),
        (false, false) => code("Success").child(code("PartialLogout")),
    };
    let xml = message(state, "LogoutResponse", &state.rng.xml_id(), to)
        .attr("InResponseTo", reply.in_response_to.as_str())
        .child(Element::new(write::SAMLP, "Status").child(status));
    pack(state, Carries::Response, reply.endpoint.binding, to, &xml, reply.relay_state.as_deref())
}

fn message(state: &State, name: &'static str, id: &str, destination: &str) -> Element {
    Element::new(write::SAMLP, name)
        .attr("Destination", destination)
        .attr("ID", id)
        .attr("IssueInstant", date_time(state.clock.now()))
        .attr("Version", "2.0")
        .child(Element::new(write::SAML, "Issuer").text(entity_id(&state.base)))
}

/// Signs a message as its binding has it.
fn pack(
    state: &State,
    carries: Carries,
    binding: LogoutBinding,
    to: &str,
    xml: &Element,
    relay_state: Option<&str>,
) -> Result<Onward, WriteError> {
    let key = &state.keys.idp;
    match binding {
        LogoutBinding::Redirect => {
            let xml = xml.write()?;
            let sign = |octets: &[u8]| key.sign(octets).map_err(WriteError::Sign);
            let query = redirect::signed_query(carries, xml.as_str(), relay_state, write::RSA_SHA256, sign)?;
            let separator = if to.contains('?') { '&' } else { '?' };
            Ok(Onward::To(format!("{to}{separator}{query}")))
        }
        LogoutBinding::Post => {
            let name = match carries {
                Carries::Request => "SAMLRequest",
                Carries::Response => "SAMLResponse",
            };
            let mut fields = vec![(name, STANDARD.encode(xml.write_signed(key)?.as_str()))];
            fields.extend(relay_state.map(|relay_state| ("RelayState", relay_state.to_owned())));
            Ok(Onward::Post { action: to.to_owned(), fields })
        }
    }
}

fn child<'a, 't>(node: Node<'a, 't>, namespace: &'static str, name: &'static str) -> Option<Node<'a, 't>> {
    node.children().find(|child| child.has_tag_name((namespace, name)))
}

fn text<'a>(node: Node<'a, '_>, namespace: &'static str, name: &'static str) -> Option<&'a str> {
    child(node, namespace, name).and_then(gate::text_of)
}
