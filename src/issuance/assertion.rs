//! The SAML response AWS exchanges for credentials: one role, one person, five minutes.
//!
//! What AWS demands of it: IAM User Guide, "Configure SAML assertions for the authentication response".

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use crate::access::{Entry, Federation, Permit, SessionTag};
use crate::aws::{ProviderArn, RoleArn, SessionDuration};
use crate::identity::SubjectId;
use crate::saml::write::{Element, SAML, SAMLP, Signer, WriteError};
use crate::sys::Rng;

/// AWS redeems an assertion within five minutes of its issue, whatever else it says.
const REDEEMABLE: SignedDuration = SignedDuration::from_mins(5);
/// For a clock at AWS that is behind ours.
const BACKDATED: SignedDuration = SignedDuration::from_secs(30);
/// SAML core 8.3.7 allows a persistent identifier no more characters.
const MAX_PERSISTENT_ID: usize = 256;

const PERSISTENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
const UNSPECIFIED_CONTEXT: &str = "urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified";

/// A minted response. Until it expires it is as good as credentials for its role, so it has no `Display`.
#[derive(Debug)]
pub struct Assertion {
    /// The `ID` of the assertion, for the audit log.
    pub(super) id: String,
    /// The response in base64, as `SAMLAssertion` wants it.
    pub(super) response: SecretString,
}

/// What the assertion opens.
#[derive(Debug, Clone, Copy)]
pub struct Opened<'a> {
    pub role: &'a RoleArn,
    pub provider: &'a ProviderArn,
    pub tags: &'a [SessionTag],
}

impl<'a> Opened<'a> {
    /// `None` where the account believes other words than SAML's.
    #[must_use]
    pub fn of(entry: &'a Entry) -> Option<Self> {
        match &entry.by {
            Federation::Saml(provider) => Some(Self { role: &entry.role, provider, tags: &entry.tags }),
            Federation::WebIdentity(_) => None,
        }
    }
}

/// Mints and signs the response that opens `role` for one permit's person: the permit's own role, or the one where the chain
/// to it begins.
///
/// `duration` is given apart because it may have to be shorter than the permit's; it is never longer.
///
/// # Errors
/// [`WriteError`] when a value cannot stand in XML or the key fails.
pub fn mint(
    permit: &Permit,
    opened: &Opened<'_>,
    duration: SessionDuration,
    entity_id: &str,
    signer: &dyn Signer,
    now: Timestamp,
    rng: &dyn Rng,
) -> Result<Assertion, WriteError> {
    let duration = if duration.as_secs() < permit.duration().as_secs() { duration } else { permit.duration() };
    let id = rng.xml_id();
    let issued = instant(now);
    let expires = instant(now + REDEEMABLE);
    let recipient = opened.role.partition().saml_recipient();
    let issuer = Element::new(SAML, "Issuer").text(entity_id);

    let subject = Element::new(SAML, "Subject")
        .child(Element::new(SAML, "NameID").attr("Format", PERSISTENT).text(persistent_id(permit.subject())))
        .child(
            // No NotBefore here: the web browser profile forbids it. Both others are required by AWS.
            Element::new(SAML, "SubjectConfirmation").attr("Method", BEARER).child(
                Element::new(SAML, "SubjectConfirmationData")
                    .attr("NotOnOrAfter", &*expires)
                    .attr("Recipient", recipient),
            ),
        );
    let conditions = Element::new(SAML, "Conditions")
        .attr("NotBefore", instant(now - BACKDATED))
        .attr("NotOnOrAfter", &*expires)
        .child(
            Element::new(SAML, "AudienceRestriction")
                .child(Element::new(SAML, "Audience").text(opened.role.partition().saml_audience())),
        );
    let authentication = Element::new(SAML, "AuthnStatement")
        .attr("AuthnInstant", &*issued)
        .attr("SessionIndex", &*id)
        .attr_some("SessionNotOnOrAfter", permit.session_ends().map(instant))
        .child(
            Element::new(SAML, "AuthnContext")
                .child(Element::new(SAML, "AuthnContextClassRef").text(UNSPECIFIED_CONTEXT)),
        );
    let assertion = Element::new(SAML, "Assertion")
        .attr("ID", &*id)
        .attr("IssueInstant", &*issued)
        .attr("Version", "2.0")
        .child(issuer.clone())
        .child(subject)
        .child(conditions)
        .child(authentication)
        .child(attributes(permit, opened, duration))
        .write_signed(signer)?;

    // The assertion is signed and not the response: AWS's own metadata asks for that, and one signature is enough.
    let response = Element::new(SAMLP, "Response")
        .attr("Destination", recipient)
        .attr("ID", rng.xml_id())
        .attr("IssueInstant", issued)
        .attr("Version", "2.0")
        .child(issuer)
        .child(Element::new(SAMLP, "Status").child(Element::new(SAMLP, "StatusCode").attr("Value", SUCCESS)))
        .child(assertion)
        .write()?;
    Ok(Assertion { id, response: SecretString::from(STANDARD.encode(response.as_str())) })
}

fn attributes(permit: &Permit, opened: &Opened<'_>, duration: SessionDuration) -> Element {
    // These names are the same in every partition.
    let attribute = |name: &str, value: &str| {
        Element::new(SAML, "Attribute")
            .attr("Name", format!("https://aws.amazon.com/SAML/Attributes/{name}"))
            .child(Element::new(SAML, "AttributeValue").text(value))
    };
    Element::new(SAML, "AttributeStatement")
        .child(attribute("Role", &format!("{},{}", opened.role, opened.provider)))
        .child(attribute("RoleSessionName", permit.session_name().as_str()))
        .child(attribute("SessionDuration", &duration.as_secs().to_string()))
        .child(attribute("SourceIdentity", permit.source_identity().as_str()))
        .children(opened.tags.iter().map(|tag| attribute(&format!("PrincipalTag:{}", tag.key), &tag.value)))
        .children(transitive_tag_keys(opened.tags))
}

/// The tags that go along when the session assumes another role: one attribute with a value for each.
fn transitive_tag_keys(tags: &[SessionTag]) -> Option<Element> {
    let mut keys = tags.iter().filter(|tag| tag.transitive).map(|tag| &tag.key).peekable();
    keys.peek()?;
    let values = keys.map(|key| Element::new(SAML, "AttributeValue").text(key.as_str()));
    let name = "https://aws.amazon.com/SAML/Attributes/TransitiveTagKeys";
    Some(Element::new(SAML, "Attribute").attr("Name", name).children(values))
}

/// The NameID by which trust policies (`saml:sub`) and CloudTrail know a person: the same for the same person in
/// every account and for ever, and different for two people even when two identity providers use one name.
///
/// It is `connector:subject`. A subject that AWS or an XML parser might alter, by its length or by white space at its
/// ends, is replaced by its SHA-256, written `connector#hex`; neither form can look like the other, since a connector
/// id holds neither sign.
fn persistent_id(subject: &SubjectId) -> String {
    let plain = subject.to_string();
    let sturdy = plain.chars().count() <= MAX_PERSISTENT_ID
        && subject.value.trim() == subject.value
        && !subject.value.chars().any(char::is_control);
    if sturdy {
        return plain;
    }
    hashed(subject)
}

/// The id of somebody whose subject cannot be told as it is: `connector#` and the SHA-256 of the subject in hex.
pub(super) fn hashed(subject: &SubjectId) -> String {
    let mut id = format!("{}#", subject.connector);
    for byte in openssl::sha::sha256(subject.value.as_bytes()) {
        use std::fmt::Write as _;
        let _ = write!(id, "{byte:02x}");
    }
    id
}

/// UTC in whole seconds, as `xs:dateTime`.
fn instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests;
