//! What the development identity provider says: signed responses, good and bad.

use jiff::{SignedDuration, Timestamp};

use crate::saml::key::SigningKey;
use crate::saml::names::{BEARER, SUCCESS, date_time};
use crate::saml::write::{Element, SAML, SAMLP, WriteError};
use crate::sandbox::idp::sessions::NameId;
use crate::sandbox::world::Person;
use crate::sys::Rng;

pub const PERSISTENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
pub const TRANSIENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";
pub const EMAIL: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress";
pub const UNSPECIFIED: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified";
const BASIC: &str = "urn:oasis:names:tc:SAML:2.0:attrname-format:basic";

const REDEEMABLE: SignedDuration = SignedDuration::from_mins(5);
const BACKDATED: SignedDuration = SignedDuration::from_secs(30);

/// To whom an answer goes.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    pub issuer: &'a str,
    pub destination: &'a str,
    pub in_response_to: Option<&'a str>,
}

/// What happened at the identity provider.
#[derive(Debug, Clone)]
pub struct Authenticated<'a> {
    pub person: &'a Person,
    pub audience: &'a str,
    pub name_id: &'a NameId,
    pub at: Timestamp,
    /// The `AuthnContextClassRef`.
    pub class: &'a str,
    pub session_index: &'a str,
    pub session_ends: Timestamp,
}

/// Why the answer is no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody is signed in, and nobody may be asked.
    NoPassive,
    /// The person went away.
    AuthnFailed,
    InvalidNameIdPolicy,
    /// Nobody signs in here in a way the request would take.
    NoAuthnContext,
}

impl Refusal {
    /// The two levels of status code, without their common prefix.
    fn codes(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::NoPassive => ("Responder", "NoPassive", "Nobody is signed in and the request forbids to ask."),
            Self::AuthnFailed => ("Responder", "AuthnFailed", "The person did not want to sign in."),
            Self::NoAuthnContext => {
                ("Responder", "NoAuthnContext", "There was no sign-in of the kind the request asks for.")
            }
            Self::InvalidNameIdPolicy => {
                ("Requester", "InvalidNameIDPolicy", "That kind of name is not given out here.")
            }
        }
    }
}

/// The name of somebody for one service provider. A persistent or transient one means something only between two
/// parties, and says which.
///
/// Spec: SAML core 8.3.
pub fn name_id(person: &Person, format: &str, issuer: &str, service_provider: &str, rng: &dyn Rng) -> NameId {
    let (value, qualified) = match format {
        EMAIL => (person.email.clone(), false),
        TRANSIENT => (rng.xml_id(), true),
        _ => (person.id.clone(), true),
    };
    NameId {
        value,
        format: Some(format.to_owned()),
        name_qualifier: qualified.then(|| issuer.to_owned()),
        sp_name_qualifier: qualified.then(|| service_provider.to_owned()),
    }
}

/// The name as it stands in a message.
pub fn name_id_element(name_id: &NameId) -> Element {
    Element::new(SAML, "NameID")
        .attr_some("Format", name_id.format.as_deref())
        .attr_some("NameQualifier", name_id.name_qualifier.as_deref())
        .attr_some("SPNameQualifier", name_id.sp_name_qualifier.as_deref())
        .text(name_id.value.as_str())
}

/// A response with one signed assertion.
///
/// # Errors
/// [`WriteError`] when a value cannot stand in XML or the key fails.
pub fn authenticated(
    envelope: Envelope<'_>,
    who: &Authenticated<'_>,
    key: &SigningKey,
    now: Timestamp,
    rng: &dyn Rng,
) -> Result<String, WriteError> {
    let person = who.person;
    let until = date_time(now + REDEEMABLE);
    let confirmation = Element::new(SAML, "SubjectConfirmationData")
        .attr_some("InResponseTo", envelope.in_response_to)
        .attr("NotOnOrAfter", until.as_str())
        .attr("Recipient", envelope.destination);
    let attribute = |name: &str, values: &[&str]| {
        let values = values.iter().map(|value| Element::new(SAML, "AttributeValue").text(*value));
        Element::new(SAML, "Attribute").attr("Name", name).attr("NameFormat", BASIC).children(values)
    };
    let groups: Vec<&str> = person.groups.iter().map(String::as_str).collect();
    let assertion = Element::new(SAML, "Assertion")
        .attr("ID", rng.xml_id())
        .attr("IssueInstant", date_time(now))
        .attr("Version", "2.0")
        .child(Element::new(SAML, "Issuer").text(envelope.issuer))
        .child(
            Element::new(SAML, "Subject")
                .child(name_id_element(who.name_id))
                .child(Element::new(SAML, "SubjectConfirmation").attr("Method", BEARER).child(confirmation)),
        )
        .child(
            Element::new(SAML, "Conditions")
                .attr("NotBefore", date_time(now - BACKDATED))
                .attr("NotOnOrAfter", until)
                .child(
                    Element::new(SAML, "AudienceRestriction").child(Element::new(SAML, "Audience").text(who.audience)),
                ),
        )
        .child(
            Element::new(SAML, "AuthnStatement")
                .attr("AuthnInstant", date_time(who.at))
                .attr("SessionIndex", who.session_index)
                .attr("SessionNotOnOrAfter", date_time(who.session_ends))
                .child(
                    Element::new(SAML, "AuthnContext")
                        .child(Element::new(SAML, "AuthnContextClassRef").text(who.class)),
                ),
        )
        .child(
            Element::new(SAML, "AttributeStatement")
                .child(attribute("email", &[&person.email]))
                .child(attribute("displayName", &[&person.name]))
                .child(attribute("title", &[&person.title]))
                .child(attribute("department", &[&person.department]))
                .child(attribute("costCenter", &[&person.cost_center]))
                .child(attribute("groups", &groups)),
        )
        .write_signed(key)?;
    let status = Element::new(SAMLP, "Status").child(Element::new(SAMLP, "StatusCode").attr("Value", SUCCESS));
    Ok(response(envelope, now, rng).child(status).child(assertion).write()?.into_string())
}

/// A signed response that says no.
///
/// # Errors
/// As [`authenticated`].
pub fn refused(
    envelope: Envelope<'_>,
    refusal: Refusal,
    key: &SigningKey,
    now: Timestamp,
    rng: &dyn Rng,
) -> Result<String, WriteError> {
    let (code, subcode, message) = refusal.codes();
    let urn = |code: &str| format!("urn:oasis:names:tc:SAML:2.0:status:{code}");
    let code = Element::new(SAMLP, "StatusCode")
        .attr("Value", urn(code))
        .child(Element::new(SAMLP, "StatusCode").attr("Value", urn(subcode)));
    let status = Element::new(SAMLP, "Status").child(code).child(Element::new(SAMLP, "StatusMessage").text(message));
    Ok(response(envelope, now, rng).child(status).write_signed(key)?.into_string())
}

fn response(envelope: Envelope<'_>, now: Timestamp, rng: &dyn Rng) -> Element {
    Element::new(SAMLP, "Response")
        .attr("Destination", envelope.destination)
        .attr("ID", rng.xml_id())
        .attr_some("InResponseTo", envelope.in_response_to)
        .attr("IssueInstant", date_time(now))
        .attr("Version", "2.0")
        .child(Element::new(SAML, "Issuer").text(envelope.issuer))
}
