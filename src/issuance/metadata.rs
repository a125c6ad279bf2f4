//! Our identity provider metadata for AWS: what an IAM SAML provider is created from.

use url::Url;

use crate::saml::write::{DS, Element, MD, SAMLP, WriteError};

/// IAM accepts no more signing keys in one provider.
const MAX_KEYS: usize = 10;

const PERSISTENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
const HTTP_POST: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";
const HTTP_REDIRECT: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect";

/// What the metadata says.
#[derive(Debug)]
pub struct Metadata<'a> {
    /// Our name toward AWS; the `Issuer` of every assertion, byte for byte.
    pub entity_id: &'a str,
    /// Signing certificates, DER in base64: the one in use first, then any that came before or comes next, so that a
    /// key can be replaced without a moment when AWS knows only the wrong one.
    pub certificates: &'a [&'a str],
    /// Where a person begins a sign-in. AWS never sends anything there, but metadata must name it.
    pub sso_post: &'a Url,
    pub sso_redirect: &'a Url,
}

/// Why there is no metadata.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    #[error("metadata needs at least one signing certificate")]
    NoCertificate,
    #[error("metadata lists {0} signing certificates, but IAM takes no more than {MAX_KEYS}")]
    TooManyCertificates(usize),
    #[error("the metadata could not be written")]
    Write(#[source] WriteError),
}

impl Metadata<'_> {
    /// The document, in UTF-8 without a byte order mark, which IAM would refuse.
    ///
    /// There is no `validUntil`: IAM would take it as the day the provider expires.
    ///
    /// # Errors
    /// [`MetadataError`] when there are no certificates or too many, or a value cannot stand in XML.
    pub fn to_xml(&self) -> Result<String, MetadataError> {
        match self.certificates.len() {
            0 => return Err(MetadataError::NoCertificate),
            count if count > MAX_KEYS => return Err(MetadataError::TooManyCertificates(count)),
            _ => {}
        }
        let keys = self.certificates.iter().map(|certificate| {
            Element::new(MD, "KeyDescriptor").attr("use", "signing").child(
                Element::new(DS, "KeyInfo")
                    .child(Element::new(DS, "X509Data").child(Element::new(DS, "X509Certificate").text(*certificate))),
            )
        });
        let endpoint = |binding: &str, location: &Url| {
            Element::new(MD, "SingleSignOnService").attr("Binding", binding).attr("Location", location.as_str())
        };
        let descriptor = Element::new(MD, "IDPSSODescriptor")
            .attr("WantAuthnRequestsSigned", "false")
            .attr("protocolSupportEnumeration", SAMLP.uri)
            .children(keys)
            .child(Element::new(MD, "NameIDFormat").text(PERSISTENT))
            .child(endpoint(HTTP_POST, self.sso_post))
            .child(endpoint(HTTP_REDIRECT, self.sso_redirect));
        let entity = Element::new(MD, "EntityDescriptor").attr("entityID", self.entity_id).child(descriptor);
        let xml = entity.write().map_err(MetadataError::Write)?;
        Ok(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n", xml.as_str()))
    }
}

#[cfg(test)]
mod tests;
