//! XML written canonically from the start, and enveloped signatures over it.
//!
//! What this module emits already is its own exclusive canonical form (<https://www.w3.org/TR/xml-exc-c14n/>):
//! namespaces are declared where they are first used, declarations stand before attributes, attributes are sorted,
//! empty elements are written as pairs, and text is escaped as Canonical XML says. So signing needs no parser: the
//! digest is that of the bytes themselves, and no value can ever become an element.
//!
//! Names are `&'static str`: only our own source can name an element, whatever a directory or a catalog holds.

use base64::{Engine, engine::general_purpose::STANDARD};
use openssl::sha::sha256;

use super::key::{KeyError, SigningKey};

/// A namespace and the one prefix we write it with; an empty prefix is the default namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Namespace {
    pub prefix: &'static str,
    pub uri: &'static str,
}

/// SAML assertions.
pub const SAML: Namespace = Namespace { prefix: "saml", uri: "urn:oasis:names:tc:SAML:2.0:assertion" };
/// SAML protocol messages.
pub const SAMLP: Namespace = Namespace { prefix: "samlp", uri: "urn:oasis:names:tc:SAML:2.0:protocol" };
/// SAML metadata.
pub const MD: Namespace = Namespace { prefix: "md", uri: "urn:oasis:names:tc:SAML:2.0:metadata" };
/// XML Signature.
pub const DS: Namespace = Namespace { prefix: "ds", uri: "http://www.w3.org/2000/09/xmldsig#" };
/// Attributes of XML itself, such as `xml:lang`; the prefix is bound by definition and never declared.
pub const XML: Namespace = Namespace { prefix: "xml", uri: "http://www.w3.org/XML/1998/namespace" };

/// RSASSA-PKCS1-v1_5 with SHA-256.
pub const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";

const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
const EXCLUSIVE_C14N: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";

/// Why a document cannot be written or signed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// XML 1.0 has no way to write these, not even escaped.
    #[error("{place} contains U+{code:04X}, which XML cannot carry")]
    ForbiddenCharacter { place: &'static str, code: u32 },
    #[error("the element {0} cannot be signed: it has no ID attribute that is an XML name")]
    NoId(&'static str),
    /// Alone and inside its parent the element would have different canonical forms.
    #[error("the prefix `{0}` of an element that is already written is declared around it too")]
    PrefixInScope(&'static str),
    #[error("the signature could not be made")]
    Sign(#[source] KeyError),
}

/// Something that makes XML signatures: our own key here, a key in hardware elsewhere.
pub trait Signer: Send + Sync + std::fmt::Debug {
    /// The `SignatureMethod` of [`sign`](Self::sign).
    fn algorithm(&self) -> &'static str {
        RSA_SHA256
    }

    /// Names the key in logs and audit events.
    fn key_id(&self) -> &str;

    /// The certificate that announces the key: DER in base64 without line breaks.
    fn certificate_base64(&self) -> &str;

    /// # Errors
    /// [`KeyError`] when the key cannot be used.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;
}

impl Signer for SigningKey {
    fn key_id(&self) -> &str {
        self.id()
    }

    fn certificate_base64(&self) -> &str {
        Self::certificate_base64(self)
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        Self::sign(self, message)
    }
}

/// An element to be written.
#[derive(Debug, Clone)]
pub struct Element {
    namespace: Namespace,
    name: &'static str,
    attributes: Vec<Attribute>,
    children: Vec<Node>,
}

#[derive(Debug, Clone)]
struct Attribute {
    /// None for the usual kind, which is in no namespace.
    namespace: Option<Namespace>,
    name: &'static str,
    value: String,
}

impl Attribute {
    /// Canonical XML sorts by namespace URI, those without one first, then by local name.
    fn sort_key(&self) -> (&'static str, &'static str) {
        (self.namespace.map_or("", |ns| ns.uri), self.name)
    }
}

/// What stands inside an element.
#[derive(Debug, Clone)]
pub enum Node {
    Element(Element),
    Text(String),
    Written(Canonical),
}

impl From<Element> for Node {
    fn from(element: Element) -> Self {
        Self::Element(element)
    }
}

impl From<Canonical> for Node {
    fn from(written: Canonical) -> Self {
        Self::Written(written)
    }
}

/// An element in its exclusive canonical form, signed or not. It may stand alone or inside an [`Element`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canonical {
    xml: String,
    /// The prefixes declared anywhere inside.
    declared: Vec<&'static str>,
}

impl Canonical {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.xml
    }

    #[must_use]
    pub fn into_string(self) -> String {
        self.xml
    }
}

impl Element {
    #[must_use]
    pub fn new(namespace: Namespace, name: &'static str) -> Self {
        Self { namespace, name, attributes: Vec::new(), children: Vec::new() }
    }

    /// Sets an attribute; one of the same name is replaced.
    #[must_use]
    pub fn attr(self, name: &'static str, value: impl Into<String>) -> Self {
        self.set(Attribute { namespace: None, name, value: value.into() })
    }

    /// Sets an attribute of a namespace, such as `xml:lang`. The namespace needs a prefix.
    #[must_use]
    pub fn attr_in(self, namespace: Namespace, name: &'static str, value: impl Into<String>) -> Self {
        self.set(Attribute { namespace: Some(namespace), name, value: value.into() })
    }

    /// Sets an attribute where there is a value.
    #[must_use]
    pub fn attr_some(self, name: &'static str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.attr(name, value),
            None => self,
        }
    }

    fn set(mut self, attribute: Attribute) -> Self {
        match self.attributes.binary_search_by_key(&attribute.sort_key(), Attribute::sort_key) {
            Ok(at) => self.attributes[at] = attribute,
            Err(at) => self.attributes.insert(at, attribute),
        }
        self
    }

    /// Appends a child: an [`Element`], or one that is written and perhaps signed already.
    #[must_use]
    pub fn child(mut self, child: impl Into<Node>) -> Self {
        self.children.push(child.into());
        self
    }

    #[must_use]
    pub fn children(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.children.extend(children.into_iter().map(Node::Element));
        self
    }

    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.children.push(Node::Text(text.into()));
        self
    }

    /// Writes the element in its exclusive canonical form.
    ///
    /// # Errors
    /// [`WriteError`] when a value cannot stand in XML, or a written child declares a prefix that is in scope.
    pub fn write(&self) -> Result<Canonical, WriteError> {
        Ok(self.write_with_slot()?.0)
    }

    /// Writes the element with an enveloped signature over it, which is put where SAML's schemas want it: after a
    /// leading `Issuer`, or else first.
    ///
    /// # Errors
    /// As [`write`](Self::write); [`WriteError::NoId`] without a usable `ID`; [`WriteError::Sign`] when the key fails.
    pub fn write_signed(&self, signer: &dyn Signer) -> Result<Canonical, WriteError> {
        let id = self
            .attributes
            .iter()
            .find(|attribute| attribute.namespace.is_none() && attribute.name == "ID")
            .map(|attribute| attribute.value.as_str())
            .filter(|id| is_xml_name(id))
            .ok_or(WriteError::NoId(self.name))?;
        let (mut unsigned, slot) = self.write_with_slot()?;
        if self.namespaces().any(|namespace| namespace.prefix == DS.prefix) {
            return Err(WriteError::PrefixInScope(DS.prefix));
        }
        // Without its signature the document is what a verifier digests after the enveloped-signature transform.
        let signature = signature(id, &sha256(unsigned.xml.as_bytes()), signer)?;
        unsigned.xml.insert_str(slot, &signature);
        note(&mut unsigned.declared, DS.prefix);
        Ok(unsigned)
    }

    /// The namespaces of the element's own name and of its attributes' names.
    fn namespaces(&self) -> impl Iterator<Item = Namespace> {
        self.attributes.iter().filter_map(|attribute| attribute.namespace).chain([self.namespace])
    }

    fn write_with_slot(&self) -> Result<(Canonical, usize), WriteError> {
        let mut writer = Writer { out: String::with_capacity(8192), scope: Vec::new(), declared: Vec::new() };
        let slot = writer.element(self)?;
        Ok((Canonical { xml: writer.out, declared: writer.declared }, slot))
    }
}

struct Writer {
    out: String,
    /// Declarations in force, innermost last.
    scope: Vec<Namespace>,
    declared: Vec<&'static str>,
}

impl Writer {
    /// Writes an element and says where its signature would go.
    fn element(&mut self, element: &Element) -> Result<usize, WriteError> {
        let outer_scope = self.scope.len();
        self.out.push('<');
        self.name(Some(element.namespace), element.name);
        self.declarations(element);
        for attribute in &element.attributes {
            self.out.push(' ');
            self.name(attribute.namespace, attribute.name);
            self.out.push_str("=\"");
            escape_attribute(&mut self.out, attribute.name, &attribute.value)?;
            self.out.push('"');
        }
        self.out.push('>');
        let mut slot = self.out.len();
        for (index, child) in element.children.iter().enumerate() {
            match child {
                Node::Text(text) => escape_text(&mut self.out, element.name, text)?,
                Node::Written(written) => self.written(written)?,
                Node::Element(child) => {
                    self.element(child)?;
                    if index == 0 && child.namespace == SAML && child.name == "Issuer" {
                        slot = self.out.len();
                    }
                }
            }
        }
        self.out.push_str("</");
        self.name(Some(element.namespace), element.name);
        self.out.push('>');
        self.scope.truncate(outer_scope);
        Ok(slot)
    }

    fn name(&mut self, namespace: Option<Namespace>, name: &str) {
        if let Some(namespace) = namespace.filter(|ns| !ns.prefix.is_empty()) {
            self.out.push_str(namespace.prefix);
            self.out.push(':');
        }
        self.out.push_str(name);
    }

    /// Declares what the element itself uses and nobody around it has declared, sorted by prefix.
    fn declarations(&mut self, element: &Element) {
        let first_new = self.scope.len();
        for namespace in element.namespaces() {
            let bound = self.scope.iter().rev().find(|outer| outer.prefix == namespace.prefix);
            if namespace.prefix != XML.prefix && bound != Some(&namespace) {
                self.scope.push(namespace);
            }
        }
        self.scope[first_new..].sort_unstable_by_key(|namespace| namespace.prefix);
        for namespace in &self.scope[first_new..] {
            self.out.push_str(" xmlns");
            if !namespace.prefix.is_empty() {
                self.out.push(':');
                self.out.push_str(namespace.prefix);
            }
            self.out.push_str("=\"");
            self.out.push_str(namespace.uri);
            self.out.push('"');
            note(&mut self.declared, namespace.prefix);
        }
    }

    fn written(&mut self, written: &Canonical) -> Result<(), WriteError> {
        for prefix in &written.declared {
            if self.scope.iter().any(|outer| outer.prefix == *prefix) {
                return Err(WriteError::PrefixInScope(prefix));
            }
            note(&mut self.declared, prefix);
        }
        self.out.push_str(&written.xml);
        Ok(())
    }
}

fn note(declared: &mut Vec<&'static str>, prefix: &'static str) {
    if !declared.contains(&prefix) {
        declared.push(prefix);
    }
}

/// The `ds:Signature` element over the element called `id`, whose digest is given.
///
/// `SignedInfo` is signed in its own canonical form, where it declares the prefix itself; in the document its
/// parent has done so.
fn signature(id: &str, digest: &[u8; 32], signer: &dyn Signer) -> Result<String, WriteError> {
    let algorithm = signer.algorithm();
    let digest = STANDARD.encode(digest);
    let declaration = format!(r#" xmlns:ds="{}""#, DS.uri);
    let signed_info = format!(
        concat!(
            r#"<ds:SignedInfo{declaration}>"#,
            r#"<ds:CanonicalizationMethod Algorithm="{c14n}"></ds:CanonicalizationMethod>"#,
            r#"<ds:SignatureMethod Algorithm="{algorithm}"></ds:SignatureMethod>"#,
            r##"<ds:Reference URI="#{id}"><ds:Transforms>"##,
            r#"<ds:Transform Algorithm="{enveloped}"></ds:Transform>"#,
            r#"<ds:Transform Algorithm="{c14n}"></ds:Transform></ds:Transforms>"#,
            r#"<ds:DigestMethod Algorithm="{sha256}"></ds:DigestMethod>"#,
            r#"<ds:DigestValue>{digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>"#,
        ),
        declaration = declaration,
        c14n = EXCLUSIVE_C14N,
        algorithm = algorithm,
        id = id,
        enveloped = ENVELOPED,
        sha256 = SHA256,
        digest = digest,
    );
    let value = STANDARD.encode(signer.sign(signed_info.as_bytes()).map_err(WriteError::Sign)?);
    let certificate = signer.certificate_base64();
    let mut out = String::with_capacity(signed_info.len() + value.len() + certificate.len() + 256);
    out.push_str("<ds:Signature");
    out.push_str(&declaration);
    out.push('>');
    out.push_str("<ds:SignedInfo");
    out.push_str(&signed_info["<ds:SignedInfo".len() + declaration.len()..]);
    out.push_str("<ds:SignatureValue>");
    out.push_str(&value);
    out.push_str("</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>");
    out.push_str(certificate);
    out.push_str("</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>");
    Ok(out)
}

/// An ASCII `NCName`: what may be an `ID` and stand in `URI="#..."` without escaping.
fn is_xml_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

fn escape_text(out: &mut String, place: &'static str, text: &str) -> Result<(), WriteError> {
    escape(out, place, text, |byte| match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        b'\r' => Some("&#xD;"),
        _ => None,
    })
}

fn escape_attribute(out: &mut String, place: &'static str, text: &str) -> Result<(), WriteError> {
    escape(out, place, text, |byte| match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'"' => Some("&quot;"),
        b'\t' => Some("&#x9;"),
        b'\n' => Some("&#xA;"),
        b'\r' => Some("&#xD;"),
        _ => None,
    })
}

/// Copies `text`, replacing what must be replaced, all of which is ASCII.
#[inline]
fn escape(
    out: &mut String,
    place: &'static str,
    text: &str,
    replacement: impl Fn(u8) -> Option<&'static str>,
) -> Result<(), WriteError> {
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            // Nothing above `>` concerns us but the first byte of U+FFFE and U+FFFF.
            0xEF if text[at..].starts_with(['\u{FFFE}', '\u{FFFF}']) => {
                let code = text[at..].chars().next().map_or(0, u32::from);
                return Err(WriteError::ForbiddenCharacter { place, code });
            }
            b'?'.. => {}
            0..=0x08 | 0x0B | 0x0C | 0x0E..=0x1F => {
                return Err(WriteError::ForbiddenCharacter { place, code: byte.into() });
            }
            _ => {
                if let Some(replacement) = replacement(byte) {
                    out.push_str(&text[copied..at]);
                    out.push_str(replacement);
                    copied = at + 1;
                }
            }
        }
    }
    out.push_str(&text[copied..]);
    Ok(())
}

#[cfg(test)]
mod tests;
