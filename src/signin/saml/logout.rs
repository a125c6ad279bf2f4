//! Single logout: asking a provider to end somebody's session there, and being asked to end one here.
//!
//! Every message is signed, ours and theirs: over the octets of the query where it travels in one, else inside the XML.
//! A request that is believed may end sessions and nothing else, so what must hold of it is less than of a reply; that
//! it is carried out once, by any replica, is for the caller to record: see [`Asked::replay_until`].
//!
//! Spec: SAML core 3.7, SAML profiles 4.4, SAML bindings 3.4 and 3.5.

#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use roxmltree::Node;
use url::Url;

use super::Settings;
use super::judge::{VERSION, later};
use crate::identity::NameIdQualifiers;
use crate::saml::decrypt::{self, DecryptError};
use crate::saml::gate::{self, GateError, Gated, Limits, Root};
use crate::saml::key::KeyError;
use crate::saml::message::{LogoutName, LogoutRequest, NameId, ReadError, Response};
use crate::saml::names::{BINDING_POST, BINDING_REDIRECT, PARTIAL_LOGOUT, SUCCESS, UNSPECIFIED, date_time, excerpt};
use crate::saml::redirect::{self, Carries, MAX_RELAY_STATE, RedirectError};
use crate::saml::signature::{self, SignatureError};
use crate::saml::write::{Element, SAML, SAMLP, Signer, WriteError};
use crate::signin::Outgoing;
use crate::sys::Rng;

/// A logout message is a name and a signature; several encrypted keys fit too.
const LARGEST: usize = 64 * 1024;

/// How long a provider may take to act on a request of ours.
const VALIDITY: SignedDuration = SignedDuration::from_mins(5);

/// The longest RelayState that is given back. Providers ought to stay below [`MAX_RELAY_STATE`], and some do not.
const LONGEST_RETURNED: usize = 1024;

/// How a message travels through the browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    Redirect,
    Post,
}

impl Binding {
    fn uri(self) -> &'static str {
        match self {
            Self::Redirect => BINDING_REDIRECT,
            Self::Post => BINDING_POST,
        }
    }
}

/// A message as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// The raw query, without `?`.
    Redirect(String),
    /// The field that carries the message, and `RelayState` beside it, which nothing signs.
    Post { message: String, relay_state: Option<String> },
}

impl Evidence {
    fn binding(&self) -> Binding {
        match self {
            Self::Redirect(_) => Binding::Redirect,
            Self::Post { .. } => Binding::Post,
        }
    }

    /// The value of `RelayState`: for answers to our requests, our handle.
    ///
    /// # Errors
    /// It stands twice in the query, or is not percent-encoded UTF-8.
    pub fn relay_state(&self) -> Result<Option<String>, RedirectError> {
        match self {
            Self::Redirect(query) => redirect::relay_state(query),
            Self::Post { relay_state, .. } => Ok(relay_state.clone()),
        }
    }
}

/// The name of a person as their assertion had it, and which of their sessions at the provider is meant.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub name_id: &'a str,
    pub qualifiers: &'a NameIdQualifiers,
    pub session_index: Option<&'a str>,
}

/// A request of ours that is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub outgoing: Outgoing,
    /// The ID that the answer must name.
    pub request_id: String,
}

/// Why a message could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    #[error("the RelayState has {0} bytes; {MAX_RELAY_STATE} are the most that providers give back")]
    RelayState(usize),
    #[error("the logout message could not be written")]
    Write(#[from] WriteError),
    #[error("the logout message could not be signed")]
    Sign(#[from] KeyError),
}

/// A provider's request that was believed. It ends nothing until the caller has recorded it as carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// With [`issuer`](Self::issuer), the key of the request among those carried out.
    pub id: String,
    pub issuer: String,
    pub name_id: String,
    pub qualifiers: NameIdQualifiers,
    /// None means every session of that name.
    pub session_indexes: Vec<String>,
    /// Until when the request must be remembered; later it is refused for its age.
    pub replay_until: Timestamp,
    binding: Binding,
    relay_state: Option<String>,
}

/// What a provider says became of a request of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// The person is signed out there, and wherever it signed them in.
    Complete,
    /// They are signed out there, and perhaps not everywhere it signed them in.
    Partial,
}

/// Why a logout message was not believed. One variant per true cause.
#[derive(Debug, thiserror::Error)]
pub enum LogoutError {
    #[error("the query holds no logout message that can be believed")]
    Redirect(#[source] RedirectError),
    #[error("the logout message is not base64")]
    Base64(#[source] base64::DecodeError),
    #[error("the logout message was stopped at the gate")]
    Gate(#[source] GateError),
    #[error("the logout message's signature was not believed")]
    Signature(#[source] SignatureError),
    #[error("the logout message could not be read")]
    Read(#[source] ReadError),
    #[error("the name in the logout request could not be decrypted")]
    Decrypt(#[source] DecryptError),
    #[error("the logout message is of version {0:?}, not 2.0")]
    Version(Option<String>),
    #[error("the logout message has no issuer")]
    IssuerMissing,
    #[error("the logout message was issued by {found:?}, not by {expected:?}")]
    Issuer { found: String, expected: String },
    #[error("the logout request has no destination")]
    DestinationMissing,
    #[error("the logout message is meant for {found:?}, not for {expected:?}")]
    Destination { found: String, expected: String },
    #[error("the logout message was issued in the future, at {0}")]
    IssuedInFuture(Timestamp),
    #[error("the logout message was issued too long ago, at {0}")]
    IssuedLongAgo(Timestamp),
    #[error("the logout request was valid until {0}")]
    Expired(Timestamp),
    #[error("the logout request names nobody in a way that is understood")]
    NameIdMissing,
    #[error("the RelayState has {0} bytes; {LONGEST_RETURNED} are the most that are given back")]
    RelayState(usize),
    #[error("the logout response answers no request")]
    InResponseToMissing,
    #[error("the logout response answers the request {found:?}, not {expected:?}")]
    InResponseTo { found: String, expected: String },
    #[error("the logout response has no status")]
    StatusMissing,
    #[error("the identity provider answered {code}{}{}", optional(" / ", .subcode.as_deref()), optional(": ", .message.as_deref()))]
    Status { code: String, subcode: Option<String>, message: Option<String> },
    #[error("the identity provider's metadata was valid until {0}")]
    MetadataExpired(Timestamp),
}

fn optional(before: &str, text: Option<&str>) -> String {
    text.map(|text| format!("{before}{text}")).unwrap_or_default()
}

impl LogoutError {
    /// A stable short name for audit events and tests.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Redirect(e) => e.code(),
            Self::Base64(_) => "base64-malformed",
            Self::Gate(e) => e.code(),
            Self::Signature(e) => e.code(),
            Self::Read(e) => e.code(),
            Self::Decrypt(e) => e.code(),
            Self::Version(_) => "version-wrong",
            Self::IssuerMissing => "issuer-missing",
            Self::Issuer { .. } => "issuer-wrong",
            Self::DestinationMissing => "destination-missing",
            Self::Destination { .. } => "destination-wrong",
            Self::IssuedInFuture(_) => "issued-in-future",
            Self::IssuedLongAgo(_) => "issued-long-ago",
            Self::Expired(_) => "expired",
            Self::NameIdMissing => "name-id-missing",
            Self::RelayState(_) => "relay-state-too-long",
            Self::InResponseToMissing => "in-response-to-missing",
            Self::InResponseTo { .. } => "in-response-to-wrong",
            Self::StatusMissing => "status-missing",
            Self::Status { .. } => "status-not-success",
            Self::MetadataExpired(_) => "metadata-expired",
        }
    }

    /// Whether the provider's newest metadata might hold a key with which the message would be believed.
    #[must_use]
    pub fn may_be_a_new_key(&self) -> bool {
        matches!(
            self,
            Self::Redirect(RedirectError::Invalid)
                | Self::Signature(SignatureError::Invalid { .. } | SignatureError::NoFittingKey { .. })
        )
    }
}

/// Makes a `LogoutRequest` for somebody whose session here has ended; `None` when the provider offers no logout.
///
/// `handle` is what comes back with the answer.
///
/// # Errors
/// [`MessageError`]
pub fn request(
    settings: &Settings,
    subject: &Subject<'_>,
    handle: &str,
    signer: &dyn Signer,
    rng: &dyn Rng,
    now: Timestamp,
) -> Result<Option<Sent>, MessageError> {
    // A redirect is a link, which needs neither a script nor a click on a button.
    let Some((binding, place)) = place(settings, Binding::Redirect) else { return Ok(None) };
    if handle.len() > MAX_RELAY_STATE {
        return Err(MessageError::RelayState(handle.len()));
    }
    let request_id = rng.xml_id();
    let qualifiers = subject.qualifiers;
    // The name stands here exactly as it was signed: AD FS and LemonLDAP::NG compare every part of it.
    let name_id = Element::new(SAML, "NameID")
        .attr_some("Format", qualifiers.format.as_deref())
        .attr_some("NameQualifier", qualifiers.name_qualifier.as_deref())
        .attr_some("SPNameQualifier", qualifiers.sp_name_qualifier.as_deref())
        .text(subject.name_id);
    let request = message(settings, "LogoutRequest", &request_id, &place.location, now)
        .attr("NotOnOrAfter", date_time(later(now, VALIDITY)))
        .child(name_id)
        .children(subject.session_index.map(|index| Element::new(SAMLP, "SessionIndex").text(index)));
    let outgoing = send(Carries::Request, binding, &place.location, &request, Some(handle), signer)?;
    Ok(Some(Sent { outgoing, request_id }))
}

/// Makes the `LogoutResponse` to a request that was carried out; `None` when the provider names no place for it.
///
/// # Errors
/// [`MessageError`]
pub fn respond(
    settings: &Settings,
    asked: &Asked,
    signer: &dyn Signer,
    rng: &dyn Rng,
    now: Timestamp,
) -> Result<Option<Outgoing>, MessageError> {
    let Some((binding, place)) = place(settings, asked.binding) else { return Ok(None) };
    let location = place.response_location.as_ref().unwrap_or(&place.location);
    let status = Element::new(SAMLP, "Status").child(Element::new(SAMLP, "StatusCode").attr("Value", SUCCESS));
    let response = message(settings, "LogoutResponse", &rng.xml_id(), location, now)
        .attr("InResponseTo", asked.id.as_str())
        .child(status);
    send(Carries::Response, binding, location, &response, asked.relay_state.as_deref(), signer).map(Some)
}

/// Where the provider takes logout messages, by the preferred binding or else by the other.
fn place(settings: &Settings, preferred: Binding) -> Option<(Binding, &crate::saml::metadata::Endpoint)> {
    let other = match preferred {
        Binding::Redirect => Binding::Post,
        Binding::Post => Binding::Redirect,
    };
    [preferred, other].into_iter().find_map(|binding| {
        let place = settings.idp.slo.iter().find(|place| place.binding == binding.uri())?;
        Some((binding, place))
    })
}

fn message(settings: &Settings, name: &'static str, id: &str, destination: &Url, now: Timestamp) -> Element {
    Element::new(SAMLP, name)
        .attr("ID", id)
        .attr("Version", "2.0")
        .attr("IssueInstant", date_time(now))
        .attr("Destination", destination.as_str())
        .child(Element::new(SAML, "Issuer").text(settings.sp_entity_id.as_str()))
}

fn send(
    carries: Carries,
    binding: Binding,
    location: &Url,
    message: &Element,
    relay_state: Option<&str>,
    signer: &dyn Signer,
) -> Result<Outgoing, MessageError> {
    match binding {
        Binding::Redirect => {
            let xml = message.write()?;
            let sign = |octets: &[u8]| signer.sign(octets);
            let query = redirect::signed_query(carries, xml.as_str(), relay_state, signer.algorithm(), sign)?;
            Ok(Outgoing::Link(redirect::address(location, &query)))
        }
        Binding::Post => {
            let message = STANDARD.encode(message.write_signed(signer)?.as_str());
            let relay_state = relay_state.map(|relay_state| ("RelayState", relay_state.to_owned()));
            let fields = std::iter::once((carries.parameter(), message)).chain(relay_state).collect();
            Ok(Outgoing::Form { action: location.clone(), fields })
        }
    }
}

/// Judges a provider's request.
///
/// # Errors
/// [`LogoutError`], the true cause for the audit log.
pub fn judge_request(evidence: &Evidence, settings: &Settings, now: Timestamp) -> Result<Asked, LogoutError> {
    let relay_state = evidence.relay_state().map_err(LogoutError::Redirect)?;
    if let Some(long) = relay_state.as_deref().map(str::len).filter(|length| *length > LONGEST_RETURNED) {
        return Err(LogoutError::RelayState(long));
    }
    believed(Carries::Request, evidence, settings, now, |root| {
        let request = LogoutRequest::read(root).map_err(LogoutError::Read)?;
        let judge = Judge { settings, now };
        judge.version(request.version)?;
        let issuer = judge.issuer(request.issuer)?;
        judge.destination(request.destination.ok_or(LogoutError::DestinationMissing)?)?;
        judge.issued(request.issue_instant)?;
        if let Some(end) = request.not_on_or_after.filter(|end| judge.over(*end)) {
            return Err(LogoutError::Expired(end));
        }
        let (name_id, qualifiers) = match request.name.as_ref().ok_or(LogoutError::NameIdMissing)? {
            LogoutName::Plain(name) => named(name),
            LogoutName::Encrypted(encrypted) => judge.decrypted(*encrypted)?,
        };
        if name_id.is_empty() {
            return Err(LogoutError::NameIdMissing);
        }
        Ok(Asked {
            id: request.id.to_owned(),
            issuer: issuer.to_owned(),
            name_id,
            qualifiers,
            session_indexes: request.session_indexes.iter().map(|index| (*index).to_owned()).collect(),
            // Past this, `issued` refuses it. A minute more, so that a clock set back does not matter.
            replay_until: later(
                later(later(request.issue_instant, settings.max_age), judge.skew()),
                SignedDuration::from_mins(1),
            ),
            binding: evidence.binding(),
            relay_state,
        })
    })
}

/// Judges the answer to a request of ours, which has just been handed out by the store.
///
/// # Errors
/// [`LogoutError`], the true cause for the audit log; [`LogoutError::Status`] is a "no" that is believed.
pub fn judge_response(
    evidence: &Evidence,
    request_id: &str,
    settings: &Settings,
    now: Timestamp,
) -> Result<Confirmation, LogoutError> {
    believed(Carries::Response, evidence, settings, now, |root| {
        let response = Response::read_logout(root).map_err(LogoutError::Read)?;
        let judge = Judge { settings, now };
        judge.version(response.version)?;
        judge.issuer(response.issuer)?;
        // Entra ID leaves it out. Nothing is lost: no other partner of the provider knows the ID of our request.
        if let Some(destination) = response.destination {
            judge.destination(destination)?;
        }
        match response.in_response_to {
            Some(found) if found == request_id => {}
            Some(found) => {
                return Err(LogoutError::InResponseTo { found: excerpt(found), expected: request_id.to_owned() });
            }
            None => return Err(LogoutError::InResponseToMissing),
        }
        judge.issued(response.issue_instant)?;
        let status = response.status.ok_or(LogoutError::StatusMissing)?;
        // The specification puts it at the second level and is silent about the first, which providers fill differently.
        if [Some(status.code), status.subcode].contains(&Some(PARTIAL_LOGOUT)) {
            return Ok(Confirmation::Partial);
        }
        if status.code == SUCCESS {
            return Ok(Confirmation::Complete);
        }
        Err(LogoutError::Status {
            code: excerpt(status.code),
            subcode: status.subcode.map(excerpt),
            message: status.message.map(excerpt).filter(|message| !message.is_empty()),
        })
    })
}

impl Asked {
    /// Whether a session here, begun by an assertion about this subject, is one that the request names.
    #[must_use]
    pub fn names(&self, subject: &Subject<'_>) -> bool {
        // Providers leave parts out that say nothing new; what both say must agree.
        let agree = |ours: Option<&str>, theirs: Option<&str>| match (ours, theirs) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        };
        let format = |of: &NameIdQualifiers| of.format.clone().filter(|format| format != UNSPECIFIED);
        let (ours, theirs) = (subject.qualifiers, &self.qualifiers);
        let indexed = |index: &str| self.session_indexes.iter().any(|named| named == index);
        subject.name_id == self.name_id
            && agree(format(ours).as_deref(), format(theirs).as_deref())
            && agree(ours.name_qualifier.as_deref(), theirs.name_qualifier.as_deref())
            && agree(ours.sp_name_qualifier.as_deref(), theirs.sp_name_qualifier.as_deref())
            // A session whose index we were never told can only be meant by the name.
            && (self.session_indexes.is_empty() || subject.session_index.is_none_or(indexed))
    }
}

/// Opens a message, and reads it only if the provider signed it.
fn believed<T>(
    carries: Carries,
    evidence: &Evidence,
    settings: &Settings,
    now: Timestamp,
    read: impl FnOnce(Node<'_, '_>) -> Result<T, LogoutError>,
) -> Result<T, LogoutError> {
    if let Some(until) = settings.idp.valid_until.filter(|_| !settings.idp.is_valid(now)) {
        return Err(LogoutError::MetadataExpired(until));
    }
    let limits = limits(settings);
    let kind = match carries {
        Carries::Request => Root::LogoutRequest,
        Carries::Response => Root::LogoutResponse,
    };
    let admit = |xml| gate::admit(xml, kind, &limits, settings.sha1).map_err(LogoutError::Gate);
    match evidence {
        Evidence::Redirect(query) => {
            let received = redirect::receive(carries, query, limits.bytes).map_err(LogoutError::Redirect)?;
            let gated = admit(&received.xml)?;
            if !received.signed {
                // Without a signature beside it there may be one inside, as Auth0 does it.
                return enveloped(&gated, settings, &limits, read);
            }
            redirect::verify(carries, query, &settings.idp.certificates, settings.sha1)
                .map_err(LogoutError::Redirect)?;
            read(gated.root())
        }
        Evidence::Post { message, .. } => {
            // Four characters for three bytes, and room for line breaks.
            if message.len() > limits.bytes * 3 / 2 {
                return Err(LogoutError::Gate(GateError::TooLarge { size: message.len(), limit: limits.bytes }));
            }
            let packed: Vec<u8> = message.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
            let xml = STANDARD.decode(packed).map_err(LogoutError::Base64)?;
            enveloped(&admit(&xml)?, settings, &limits, read)
        }
    }
}

/// Reads the octets that the provider signed, and no others.
fn enveloped<T>(
    gated: &Gated<'_>,
    settings: &Settings,
    limits: &Limits,
    read: impl FnOnce(Node<'_, '_>) -> Result<T, LogoutError>,
) -> Result<T, LogoutError> {
    let verified =
        signature::verify(gated, &settings.idp.certificates, settings.sha1).map_err(LogoutError::Signature)?;
    let opened = verified.open(limits, settings.sha1).map_err(LogoutError::Signature)?;
    read(opened.root())
}

fn limits(settings: &Settings) -> Limits {
    Limits::MESSAGE.with_bytes(settings.max_bytes.min(LARGEST))
}

fn named(name: &NameId<'_>) -> (String, NameIdQualifiers) {
    let text = |of: Option<&str>| of.map(str::to_owned);
    let qualifiers = NameIdQualifiers {
        format: text(name.format),
        name_qualifier: text(name.name_qualifier),
        sp_name_qualifier: text(name.sp_name_qualifier),
    };
    (name.value.to_owned(), qualifiers)
}

struct Judge<'a> {
    settings: &'a Settings,
    now: Timestamp,
}

impl Judge<'_> {
    fn version(&self, found: Option<&str>) -> Result<(), LogoutError> {
        if found == Some(VERSION) { Ok(()) } else { Err(LogoutError::Version(found.map(excerpt))) }
    }

    fn issuer<'t>(&self, found: Option<&'t str>) -> Result<&'t str, LogoutError> {
        let found = found.ok_or(LogoutError::IssuerMissing)?;
        let expected = &self.settings.idp.entity_id;
        if found == expected || self.settings.logout_issuer.as_deref() == Some(found) {
            return Ok(found);
        }
        Err(LogoutError::Issuer { found: excerpt(found), expected: expected.clone() })
    }

    fn destination(&self, found: &str) -> Result<(), LogoutError> {
        let expected = self.settings.slo_url.as_str();
        if found == expected {
            return Ok(());
        }
        Err(LogoutError::Destination { found: excerpt(found), expected: expected.to_owned() })
    }

    fn issued(&self, at: Timestamp) -> Result<(), LogoutError> {
        if at > later(self.now, self.skew()) {
            return Err(LogoutError::IssuedInFuture(at));
        }
        if self.over(later(at, self.settings.max_age)) {
            return Err(LogoutError::IssuedLongAgo(at));
        }
        Ok(())
    }

    /// The name out of an `EncryptedID`. Its ciphertext was signed, and with it what it says.
    fn decrypted(&self, encrypted: Node<'_, '_>) -> Result<(String, NameIdQualifiers), LogoutError> {
        let limits = limits(self.settings);
        let decrypted = decrypt::decrypt(encrypted, &self.settings.sp_entity_id, &self.settings.decryption_keys)
            .map_err(LogoutError::Decrypt)?;
        let admit = |xml| gate::admit(xml, Root::NameId, &limits, self.settings.sha1);
        let read = |gated: Result<Gated<'_>, GateError>| {
            let gated = gated.map_err(LogoutError::Gate)?;
            NameId::read(gated.root()).map(|name| named(&name)).map_err(LogoutError::Read)
        };
        match admit(decrypted.xml().as_bytes()) {
            Err(GateError::UnknownPrefix(_)) => read(admit(decrypted.in_context().as_bytes())),
            gated => read(gated),
        }
    }

    fn skew(&self) -> SignedDuration {
        SignedDuration::from_secs(self.settings.clock_skew.as_secs().into())
    }

    /// Past by our clock, by as much as clocks may differ. Such ends are exclusive.
    fn over(&self, end: Timestamp) -> bool {
        later(end, self.skew()) <= self.now
    }
}
