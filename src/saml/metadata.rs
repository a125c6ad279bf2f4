//! What partners know about each other: an identity provider's metadata in, our own out.
//!
//! Reading is our own rather than samael's: that fails on role descriptors around the one we want, accepts any namespace
//! and any `validUntil`, and takes a list of entities for an empty entity. Trust in the document comes from how it was
//! obtained (a file under review, https), so its signature is not looked at.
//!
//! Spec: SAML metadata 2.0, SAML metadata interoperability profile.

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use openssl::x509::{X509, X509VerifyResult};
use roxmltree::Node;
use url::{Host, Url};

use super::certificate::{CertificateError, SigningCertificate};
use super::decrypt;
use super::gate::{self, GateError, Limits, Root, Sha1, text_of};
use super::names::{BINDING_POST, BINDING_REDIRECT, DS, MD, SAMLP, excerpt, timestamp, trimmed};
use super::write::{DS as WRITE_DS, Element, MD as WRITE_MD, WriteError};

/// Spec: SAML core 8.3.6.
const MAX_ENTITY_ID: usize = 1024;

/// More candidates than this would make every forged reply costly.
const MAX_CERTIFICATES: usize = 16;

/// An identity provider, as its metadata describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdpMetadata {
    pub entity_id: String,
    /// Every certificate it may sign with, in the order given; at least one.
    pub certificates: Vec<SigningCertificate>,
    /// Where a browser is sent to sign in by HTTP-Redirect.
    pub sso_redirect: Url,
    /// Where single logout begins, by any binding we know.
    pub slo: Vec<Endpoint>,
    pub want_authn_requests_signed: bool,
    pub name_id_formats: Vec<String>,
    /// The earliest `validUntil` around it.
    pub valid_until: Option<Timestamp>,
    /// The shortest `cacheDuration` around it.
    pub cache_duration: Option<SignedDuration>,
    /// What an operator should know, in sentences: certificates that were left out or have expired.
    pub warnings: Vec<String>,
}

/// A place to send messages to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub binding: String,
    pub location: Url,
    pub response_location: Option<Url>,
}

/// Why metadata cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    #[error("the metadata is not XML that can be read")]
    Gate(#[source] GateError),
    #[error("the metadata describes {}; say which by its entity id", listed(.0))]
    SeveralEntities(Vec<String>),
    #[error("the metadata does not describe {wanted}; it describes {}", listed(.found))]
    NoSuchEntity { wanted: String, found: Vec<String> },
    #[error("the metadata describes {0} more than once")]
    RepeatedEntity(String),
    #[error("the entity has no entityID of at most {MAX_ENTITY_ID} characters without control characters")]
    NoEntityId,
    #[error("{0} is not a SAML 2.0 identity provider: it has no IDPSSODescriptor for that protocol")]
    NotAnIdp(String),
    #[error("the metadata of {entity_id} was valid until {valid_until}; get a newer one")]
    Expired { entity_id: String, valid_until: Timestamp },
    #[error("{attribute} of the metadata is {text:?}, which cannot be read")]
    Time { attribute: &'static str, text: String },
    #[error(
        "{0} has no usable signing certificate in its metadata, so nothing it says could be checked: it needs a \
         KeyDescriptor with an X509Certificate, for signing or without use"
    )]
    NoCertificate(String),
    #[error("a certificate of {0} cannot be used, and there is no other")]
    OnlyBadCertificates(String, #[source] CertificateError),
    #[error("{0} has more than {MAX_CERTIFICATES} signing certificates")]
    TooManyCertificates(String),
    #[error("{0} has no sign-in address for the HTTP-Redirect binding; switch that binding on there")]
    NoSignInAddress(String),
    #[error("the address {location:?} of {entity_id} is not https (http is for loopback only)")]
    Address { entity_id: String, location: String },
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "no identity provider".to_owned(),
        [only] => only.clone(),
        names => {
            let shown = names.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
            if names.len() > 5 { format!("{} entities, among them {shown}", names.len()) } else { shown }
        }
    }
}

impl IdpMetadata {
    /// Reads `md:EntityDescriptor`, or the entity called `entity_id` out of `md:EntitiesDescriptor`.
    ///
    /// # Errors
    /// [`MetadataError`], which says what to change.
    pub fn read(bytes: &[u8], entity_id: Option<&str>, now: Timestamp) -> Result<Self, MetadataError> {
        let gated =
            gate::admit(bytes, Root::Metadata, &Limits::METADATA, Sha1::Refused).map_err(MetadataError::Gate)?;
        let entity = choose(gated.root(), entity_id)?;
        // It is repeated in errors, log lines and audit events, none of which may look like several.
        let usable = |name: &&str| {
            !name.is_empty() && name.chars().count() <= MAX_ENTITY_ID && !name.chars().any(char::is_control)
        };
        let name = entity.attribute("entityID").map(trimmed).filter(usable);
        let name = name.ok_or(MetadataError::NoEntityId)?.to_owned();
        let idp =
            entity.children().find(|role| speaks_saml2(*role)).ok_or_else(|| MetadataError::NotAnIdp(name.clone()))?;

        let mut valid_until: Option<Timestamp> = None;
        let mut cache_duration: Option<SignedDuration> = None;
        for node in idp.ancestors() {
            if let Some(text) = node.attribute("validUntil") {
                let until = timestamp(text).ok_or_else(|| unreadable("validUntil", text))?;
                valid_until = Some(valid_until.map_or(until, |earlier| earlier.min(until)));
            }
            if let Some(text) = node.attribute("cacheDuration") {
                let span = duration(text).ok_or_else(|| unreadable("cacheDuration", text))?;
                cache_duration = Some(cache_duration.map_or(span, |shorter| shorter.min(span)));
            }
        }
        if let Some(valid_until) = valid_until.filter(|until| *until <= now) {
            return Err(MetadataError::Expired { entity_id: name, valid_until });
        }

        let mut warnings = Vec::new();
        let certificates = certificates(idp, &name, now, &mut warnings)?;
        let sso = endpoints(idp, "SingleSignOnService", &name)?;
        let sso_redirect = sso
            .into_iter()
            .find(|endpoint| endpoint.binding == BINDING_REDIRECT)
            .ok_or_else(|| MetadataError::NoSignInAddress(name.clone()))?
            .location;
        let mut slo = endpoints(idp, "SingleLogoutService", &name)?;
        slo.retain(|endpoint| [BINDING_REDIRECT, BINDING_POST].contains(&endpoint.binding.as_str()));
        Ok(Self {
            certificates,
            sso_redirect,
            slo,
            want_authn_requests_signed: matches!(
                idp.attribute("WantAuthnRequestsSigned").map(trimmed),
                Some("true" | "1")
            ),
            name_id_formats: md(idp, "NameIDFormat").filter_map(text_of).map(str::to_owned).collect(),
            valid_until,
            cache_duration,
            warnings,
            entity_id: name,
        })
    }

    /// Whether the metadata may still be relied on.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.valid_until.is_none_or(|until| now < until)
    }
}

fn unreadable(attribute: &'static str, text: &str) -> MetadataError {
    MetadataError::Time { attribute, text: excerpt(text) }
}

/// An `xs:duration` of days and smaller; months and years stand for 30 and 365 days, since only "when to look again"
/// depends on it.
fn duration(text: &str) -> Option<SignedDuration> {
    let span: Span = trimmed(text).parse().ok()?;
    let calendar = i64::from(span.get_years()) * 365 + i64::from(span.get_months()) * 30;
    let rest = span.years(0).months(0).to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    rest.checked_add(SignedDuration::from_hours(calendar * 24)).filter(SignedDuration::is_positive)
}

fn md<'a, 't: 'a>(node: Node<'a, 't>, name: &'static str) -> impl Iterator<Item = Node<'a, 't>> {
    node.children().filter(move |child| child.has_tag_name((MD, name)))
}

fn speaks_saml2(role: Node<'_, '_>) -> bool {
    role.has_tag_name((MD, "IDPSSODescriptor"))
        && role
            .attribute("protocolSupportEnumeration")
            .is_some_and(|protocols| protocols.split_ascii_whitespace().any(|protocol| protocol == SAMLP))
}

fn choose<'a, 't>(root: Node<'a, 't>, wanted: Option<&str>) -> Result<Node<'a, 't>, MetadataError> {
    let entities: Vec<Node<'_, '_>> =
        root.descendants().filter(|node| node.has_tag_name((MD, "EntityDescriptor"))).collect();
    let names = |of: &[Node<'_, '_>]| -> Vec<String> {
        of.iter().filter_map(|entity| entity.attribute("entityID")).map(excerpt).collect()
    };
    let Some(wanted) = wanted else {
        let idps: Vec<_> =
            entities.iter().copied().filter(|entity| entity.children().any(|role| speaks_saml2(role))).collect();
        return match (idps.as_slice(), entities.as_slice()) {
            ([only], _) | ([], [only]) => Ok(*only),
            ([], _) => Err(MetadataError::NotAnIdp(listed(&names(&entities)))),
            (idps, _) => Err(MetadataError::SeveralEntities(names(idps))),
        };
    };
    let mut named = entities.iter().filter(|entity| entity.attribute("entityID").map(trimmed) == Some(wanted));
    match (named.next(), named.next()) {
        (Some(entity), None) => Ok(*entity),
        (Some(_), Some(_)) => Err(MetadataError::RepeatedEntity(wanted.to_owned())),
        (None, _) => Err(MetadataError::NoSuchEntity { wanted: wanted.to_owned(), found: names(&entities) }),
    }
}

fn certificates(
    idp: Node<'_, '_>,
    entity_id: &str,
    now: Timestamp,
    warnings: &mut Vec<String>,
) -> Result<Vec<SigningCertificate>, MetadataError> {
    let mut found: Vec<SigningCertificate> = Vec::new();
    let mut last_error = None;
    for descriptor in md(idp, "KeyDescriptor") {
        // Without `use` it is for both.
        if descriptor.attribute("use").is_some_and(|kind| kind != "signing") {
            continue;
        }
        for data in descriptor.descendants().filter(|node| node.has_tag_name((DS, "X509Data"))) {
            let mut chain = Vec::new();
            for node in data.children().filter(|node| node.has_tag_name((DS, "X509Certificate"))) {
                match SigningCertificate::from_base64(text_of(node).unwrap_or_default()) {
                    Ok(certificate) => chain.push(certificate),
                    Err(e) => {
                        warnings.push(format!("a signing certificate was left out: {e}"));
                        last_error = Some(e);
                    }
                }
            }
            for certificate in leaves(chain) {
                if !found.contains(&certificate) {
                    found.push(certificate);
                }
                if found.len() > MAX_CERTIFICATES {
                    return Err(MetadataError::TooManyCertificates(entity_id.to_owned()));
                }
            }
        }
    }
    for certificate in &found {
        // Trust is by metadata and not by the certificate's dates, yet somebody should look.
        if let Some(until) = certificate.not_after().filter(|until| *until <= now) {
            warnings.push(format!("the signing certificate {} expired on {until}", certificate.subject()));
        }
    }
    match (found.is_empty(), last_error) {
        (false, _) => Ok(found),
        (true, Some(e)) => Err(MetadataError::OnlyBadCertificates(entity_id.to_owned(), e)),
        (true, None) => Err(MetadataError::NoCertificate(entity_id.to_owned())),
    }
}

/// Out of a chain, those that issued none of the others: an authority's key is not the provider's.
fn leaves(chain: Vec<SigningCertificate>) -> Vec<SigningCertificate> {
    if chain.len() < 2 {
        return chain;
    }
    let parsed: Vec<Option<X509>> = chain.iter().map(|certificate| X509::from_der(certificate.der()).ok()).collect();
    let issued_another = |issuer: usize| {
        parsed.iter().enumerate().any(|(at, other)| match (&parsed[issuer], other) {
            (Some(issuer_certificate), Some(other)) => {
                at != issuer && issuer_certificate.issued(other) == X509VerifyResult::OK
            }
            _ => false,
        })
    };
    let keep: Vec<bool> = (0..chain.len()).map(|at| !issued_another(at)).collect();
    chain.into_iter().zip(keep).filter_map(|(certificate, keep)| keep.then_some(certificate)).collect()
}

fn endpoints(idp: Node<'_, '_>, name: &'static str, entity_id: &str) -> Result<Vec<Endpoint>, MetadataError> {
    md(idp, name)
        .filter(|node| {
            // Other bindings (SOAP, Artifact, Shibboleth's own) are of no use here, nor are their addresses judged.
            matches!(node.attribute("Binding").map(trimmed), Some(BINDING_REDIRECT | BINDING_POST))
        })
        .map(|node| {
            let address = |text: &str| {
                browser_address(text)
                    .ok_or_else(|| MetadataError::Address { entity_id: entity_id.to_owned(), location: excerpt(text) })
            };
            Ok(Endpoint {
                binding: trimmed(node.attribute("Binding").unwrap_or_default()).to_owned(),
                location: address(node.attribute("Location").unwrap_or_default())?,
                response_location: node.attribute("ResponseLocation").map(address).transpose()?,
            })
        })
        .collect()
}

/// An address a browser may be sent to: https, or http on this machine, without credentials in it.
fn browser_address(text: &str) -> Option<Url> {
    let url = Url::parse(trimmed(text)).ok()?;
    let loopback = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let scheme = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    (scheme && url.username().is_empty() && url.password().is_none()).then_some(url)
}

/// Rolegate as a service provider, for one connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpMetadata<'a> {
    pub entity_id: &'a str,
    pub acs_url: &'a str,
    /// Where logout messages go, by either binding.
    pub slo_url: &'a str,
    /// DER in base64. Always there: logout messages are signed whatever else is.
    pub signing_certificate: &'a str,
    /// Whether authentication requests are signed too; some providers then refuse others.
    pub requests_signed: bool,
    /// DER in base64. Its presence switches encryption on at many providers, so it is a choice per connector.
    pub encryption_certificate: Option<&'a str>,
    pub want_assertions_signed: bool,
    pub name_id_format: Option<&'a str>,
}

impl SpMetadata<'_> {
    /// Writes the metadata, unsigned.
    ///
    /// # Errors
    /// [`WriteError`] when a value has a character XML cannot carry.
    pub fn write(&self) -> Result<String, WriteError> {
        let element = |name| Element::new(WRITE_MD, name);
        let mut sp = element("SPSSODescriptor")
            .attr("AuthnRequestsSigned", self.requests_signed.to_string())
            .attr("WantAssertionsSigned", self.want_assertions_signed.to_string())
            .attr("protocolSupportEnumeration", SAMLP)
            .child(key_descriptor("signing", self.signing_certificate));
        if let Some(certificate) = self.encryption_certificate {
            let methods = decrypt::SUPPORTED.map(|uri| element("EncryptionMethod").attr("Algorithm", uri));
            sp = sp.child(key_descriptor("encryption", certificate).children(methods));
        }
        sp = sp.children(
            [BINDING_REDIRECT, BINDING_POST]
                .map(|binding| element("SingleLogoutService").attr("Binding", binding).attr("Location", self.slo_url)),
        );
        if let Some(format) = self.name_id_format {
            sp = sp.child(element("NameIDFormat").text(format));
        }
        sp = sp.child(
            element("AssertionConsumerService")
                .attr("Binding", BINDING_POST)
                .attr("Location", self.acs_url)
                .attr("index", "0")
                .attr("isDefault", "true"),
        );
        let entity = element("EntityDescriptor").attr("entityID", self.entity_id).child(sp);
        Ok(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n", entity.write()?.as_str()))
    }
}

fn key_descriptor(kind: &'static str, certificate: &str) -> Element {
    let ds = |name| Element::new(WRITE_DS, name);
    Element::new(WRITE_MD, "KeyDescriptor")
        .attr("use", kind)
        .child(ds("KeyInfo").child(ds("X509Data").child(ds("X509Certificate").text(certificate))))
}
