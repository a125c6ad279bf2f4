//! The strict gate: what XML from outside must look like before any other parser sees it.
//!
//! libxml2 and xmlsec are powerful: they recover from broken markup, fetch references, run XPath and XSLT, and they do
//! so *before* a signature is checked, for anybody who can post a form. SAML needs none of that. So a document is first
//! read by two small parsers that have no such powers, and only a document of the one shape that SAML profiles allow
//! goes further:
//!
//! 1. [`scan`] walks the bytes once and refuses what is not plain elements, attributes and text, and whatever would
//!    make a later step more than linear.
//! 2. `roxmltree` checks well-formedness and builds a read-only tree.
//! 3. This module checks the shape: where assertions and signatures stand, what a signature may say, that IDs are unique.
//!
//! What every parser in the chain must agree on is thereby restricted to the part of XML on which they do agree.
//!
//! Spec: SAML core 5.4 (signature profile), SAML profiles 4.1.4, XML Signature 1.1.

mod scan;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use roxmltree::{Document, Node, ParsingOptions};

use super::certificate::KeyType;
use super::names::{DS, MD, SAML, SAMLP, XENC, excerpt, trimmed};

const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
const EXCLUSIVE_C14N: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
// Comments are refused before, so with and without them is the same canonical form.
const EXCLUSIVE_C14N_WITH_COMMENTS: &str = "http://www.w3.org/2001/10/xml-exc-c14n#WithComments";

/// How much a document may ask of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size of the document in bytes.
    pub bytes: usize,
    /// Elements in the document.
    pub elements: usize,
    /// Elements around an element, itself included.
    pub depth: usize,
    /// Attributes and namespace declarations of one element.
    pub attributes: usize,
    /// Different namespace declarations in the document, and declarations in scope at any element. Parsers look them
    /// up one by one, for every name.
    pub namespaces: usize,
}

impl Limits {
    /// For protocol messages: 4,000 groups, one attribute each, fit with room to spare.
    pub const MESSAGE: Self = Self { bytes: 1024 * 1024, elements: 25_000, depth: 40, attributes: 40, namespaces: 64 };
    /// For metadata: several hundred entities of a federation.
    pub const METADATA: Self =
        Self { bytes: 16 * 1024 * 1024, elements: 400_000, depth: 60, attributes: 60, namespaces: 512 };

    #[must_use]
    pub fn with_bytes(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }
}

/// What a document claims to be by its root element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// `samlp:Response`: at most one assertion, encrypted or not, as its direct child.
    Response,
    /// `saml:Assertion`, out of an encrypted one.
    Assertion,
    /// `saml:NameID`, out of an encrypted one.
    NameId,
    /// `samlp:AuthnRequest`.
    AuthnRequest,
    /// `samlp:LogoutRequest`.
    LogoutRequest,
    /// `samlp:LogoutResponse`.
    LogoutResponse,
    /// `md:EntityDescriptor` or `md:EntitiesDescriptor`. Comments and processing instructions are let through, since
    /// people write metadata by hand; signatures are not looked at.
    Metadata,
}

impl Root {
    fn is(self, node: Node<'_, '_>) -> bool {
        let named = |namespace, name| node.has_tag_name((namespace, name));
        match self {
            Self::Response => named(SAMLP, "Response"),
            Self::Assertion => named(SAML, "Assertion"),
            Self::NameId => named(SAML, "NameID"),
            Self::AuthnRequest => named(SAMLP, "AuthnRequest"),
            Self::LogoutRequest => named(SAMLP, "LogoutRequest"),
            Self::LogoutResponse => named(SAMLP, "LogoutResponse"),
            Self::Metadata => named(MD, "EntityDescriptor") || named(MD, "EntitiesDescriptor"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Response => "samlp:Response",
            Self::Assertion => "saml:Assertion",
            Self::NameId => "saml:NameID",
            Self::AuthnRequest => "samlp:AuthnRequest",
            Self::LogoutRequest => "samlp:LogoutRequest",
            Self::LogoutResponse => "samlp:LogoutResponse",
            Self::Metadata => "md:EntityDescriptor or md:EntitiesDescriptor",
        }
    }
}

/// Whether SHA-1 may be part of a signature. Nothing weaker ever may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sha1 {
    #[default]
    Refused,
    /// The operator said so for this partner.
    Allowed,
}

/// The signature algorithms that can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// Only where the operator said so.
    RsaSha1,
    RsaSha256,
    RsaSha384,
    RsaSha512,
    EcdsaSha256,
    EcdsaSha384,
    EcdsaSha512,
}

impl SignatureAlgorithm {
    const ALL: [Self; 7] = [
        Self::RsaSha1,
        Self::RsaSha256,
        Self::RsaSha384,
        Self::RsaSha512,
        Self::EcdsaSha256,
        Self::EcdsaSha384,
        Self::EcdsaSha512,
    ];

    /// The identifier in `SignatureMethod` and `SigAlg`.
    #[must_use]
    pub fn uri(self) -> &'static str {
        match self {
            Self::RsaSha1 => "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
            Self::RsaSha256 => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            Self::RsaSha384 => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384",
            Self::RsaSha512 => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
            Self::EcdsaSha256 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
            Self::EcdsaSha384 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384",
            Self::EcdsaSha512 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
        }
    }

    /// # Errors
    /// [`GateError::Sha1Refused`] or [`GateError::AlgorithmRefused`].
    pub fn from_uri(uri: &str, sha1: Sha1) -> Result<Self, GateError> {
        match Self::ALL.into_iter().find(|algorithm| algorithm.uri() == uri) {
            Some(Self::RsaSha1) if sha1 == Sha1::Refused => Err(GateError::Sha1Refused),
            Some(algorithm) => Ok(algorithm),
            None => Err(GateError::AlgorithmRefused { algorithm: excerpt(uri) }),
        }
    }

    /// Whether a key of this type can have made such a signature.
    #[must_use]
    pub fn fits(self, key: KeyType) -> bool {
        let rsa = matches!(self, Self::RsaSha1 | Self::RsaSha256 | Self::RsaSha384 | Self::RsaSha512);
        rsa == matches!(key, KeyType::Rsa { .. })
    }

    #[must_use]
    pub fn digest(self) -> openssl::hash::MessageDigest {
        use openssl::hash::MessageDigest;
        match self {
            Self::RsaSha1 => MessageDigest::sha1(),
            Self::RsaSha256 | Self::EcdsaSha256 => MessageDigest::sha256(),
            Self::RsaSha384 | Self::EcdsaSha384 => MessageDigest::sha384(),
            Self::RsaSha512 | Self::EcdsaSha512 => MessageDigest::sha512(),
        }
    }
}

/// A signature that stands where one may stand and says only what one may say. Nothing has been computed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignaturePlace {
    /// Whether it signs the document's root, rather than the assertion in it.
    pub of_root: bool,
    /// The ID of the element it stands in and refers to.
    pub id: String,
    pub algorithm: SignatureAlgorithm,
}

/// A document that may go on to other parsers.
#[derive(Debug)]
pub struct Gated<'t> {
    kind: Root,
    text: &'t str,
    tree: Document<'t>,
    signatures: Vec<SignaturePlace>,
}

impl<'t> Gated<'t> {
    #[must_use]
    pub fn kind(&self) -> Root {
        self.kind
    }

    /// The document without byte-order mark, XML declaration and surrounding white space.
    #[must_use]
    pub fn text(&self) -> &'t str {
        self.text
    }

    #[must_use]
    pub fn tree(&self) -> &Document<'t> {
        &self.tree
    }

    #[must_use]
    pub fn root(&self) -> Node<'_, 't> {
        self.tree.root_element()
    }

    #[must_use]
    pub fn signatures(&self) -> &[SignaturePlace] {
        &self.signatures
    }

    /// The plain assertion: the root itself, or its one child of that name.
    #[must_use]
    pub fn assertion(&self) -> Option<Node<'_, 't>> {
        let root = self.root();
        if Root::Assertion.is(root) {
            return Some(root);
        }
        root.children().find(|child| child.has_tag_name((SAML, "Assertion")))
    }

    #[must_use]
    pub fn encrypted_assertion(&self) -> Option<Node<'_, 't>> {
        self.root().children().find(|child| child.has_tag_name((SAML, "EncryptedAssertion")))
    }
}

/// Why a document stops at the gate.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    #[error("the document has {size} bytes; {limit} are the limit")]
    TooLarge { size: usize, limit: usize },
    #[error("the document is not UTF-8: {0}")]
    Encoding(&'static str),
    #[error("the document has a DOCTYPE")]
    Doctype,
    #[error("the document has a comment")]
    Comment,
    #[error("the document has a processing instruction")]
    ProcessingInstruction,
    #[error("the document has a CDATA section")]
    Cdata,
    #[error("the document is not well-formed at byte {at}")]
    Lexical { at: usize },
    #[error("the document is not well-formed: {0}")]
    Malformed(String),
    #[error("the namespace prefix {0:?} is not declared")]
    UnknownPrefix(String),
    #[error("elements are nested deeper than {0}")]
    TooDeep(usize),
    #[error("the document has more than {0} elements")]
    TooManyElements(usize),
    #[error("an element has more than {0} attributes")]
    TooManyAttributes(usize),
    #[error("the document has more than {0} namespace declarations")]
    TooManyNamespaces(usize),
    #[error("the name at byte {at} is not a plain ASCII name with at most one prefix")]
    Name { at: usize },
    #[error("the namespace declared at byte {at} is not an absolute URI")]
    Namespace { at: usize },
    #[error("the attribute xml:{0} is not allowed")]
    XmlAttribute(String),
    #[error("the ID {0:?} is used twice")]
    DuplicateId(String),
    #[error("{0:?} is not an XML ID")]
    InvalidId(String),
    #[error("an ID attribute has a namespace; ID attributes have none")]
    QualifiedId,
    #[error("the root element is {found}, not {expected}")]
    UnexpectedRoot { found: String, expected: &'static str },
    #[error("the document has more than one assertion")]
    SeveralAssertions,
    #[error("the element {0} is in a place or a namespace where it may not be")]
    Misplaced(String),
    #[error("the document has {0} signatures; one or two can be told apart")]
    SeveralSignatures(usize),
    #[error("a signature is not built as SAML profiles it: {0}")]
    SignatureShape(&'static str),
    #[error("a signature refers to {0:?} and not to the element it stands in")]
    Reference(String),
    #[error("a signature asks for the transform {0:?}")]
    Transform(String),
    #[error("a signature uses {algorithm:?}, which is not among RSA and ECDSA with SHA-256, SHA-384 or SHA-512")]
    AlgorithmRefused { algorithm: String },
    #[error("a signature uses SHA-1, which this connector does not allow")]
    Sha1Refused,
}

impl GateError {
    /// A stable short name for audit events.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::Encoding(_) => "encoding-refused",
            Self::Doctype => "doctype-refused",
            Self::Comment => "comment-refused",
            Self::ProcessingInstruction => "processing-instruction-refused",
            Self::Cdata => "cdata-refused",
            Self::Lexical { .. } | Self::Malformed(_) | Self::UnknownPrefix(_) => "xml-malformed",
            Self::TooDeep(_) => "too-deep",
            Self::TooManyElements(_) => "too-many-elements",
            Self::TooManyAttributes(_) => "too-many-attributes",
            Self::TooManyNamespaces(_) => "too-many-namespaces",
            Self::Name { .. } => "xml-name-refused",
            Self::Namespace { .. } => "namespace-refused",
            Self::XmlAttribute(_) => "xml-attribute-refused",
            Self::DuplicateId(_) => "id-duplicate",
            Self::InvalidId(_) | Self::QualifiedId => "id-invalid",
            Self::UnexpectedRoot { .. } => "root-unexpected",
            Self::SeveralAssertions => "several-assertions",
            Self::Misplaced(_) => "element-misplaced",
            Self::SeveralSignatures(_) => "several-signatures",
            Self::SignatureShape(_) => "signature-malformed",
            Self::Reference(_) => "reference-refused",
            Self::Transform(_) => "transform-refused",
            Self::AlgorithmRefused { .. } => "algorithm-refused",
            Self::Sha1Refused => "sha1-refused",
        }
    }
}

/// Lets a document through, or says what is wrong with it.
///
/// # Errors
/// [`GateError`]; the cost of an error is bounded by the limits like that of success.
pub fn admit<'t>(bytes: &'t [u8], expected: Root, limits: &Limits, sha1: Sha1) -> Result<Gated<'t>, GateError> {
    if bytes.len() > limits.bytes {
        return Err(GateError::TooLarge { size: bytes.len(), limit: limits.bytes });
    }
    let text = scan::prolog(bytes)?;
    scan::scan(text, limits, if expected == Root::Metadata { scan::Style::HandWritten } else { scan::Style::Message })?;
    let options = ParsingOptions {
        // One element has at most one text before and one behind it.
        nodes_limit: u32::try_from(limits.elements.saturating_mul(4)).unwrap_or(u32::MAX),
        ..ParsingOptions::default()
    };
    let tree = Document::parse_with_options(text, options).map_err(|e| match e {
        roxmltree::Error::UnknownNamespace(prefix, _) => GateError::UnknownPrefix(excerpt(&prefix)),
        // It quotes names from the document, however long they are.
        other => GateError::Malformed(excerpt(&other.to_string())),
    })?;
    let root = tree.root_element();
    if !expected.is(root) {
        return Err(GateError::UnexpectedRoot { found: described(root), expected: expected.name() });
    }
    let signatures = if expected == Root::Metadata { Vec::new() } else { shape(root, sha1)? };
    Ok(Gated { kind: expected, text, tree, signatures })
}

/// Checks where things stand, in one pass over the tree.
fn shape(root: Node<'_, '_>, sha1: Sha1) -> Result<Vec<SignaturePlace>, GateError> {
    let mut ids = HashSet::new();
    let mut assertions = 0;
    let mut signatures = Vec::new();
    for node in root.descendants().filter(Node::is_element) {
        identify(node, &mut ids)?;
        let name = node.tag_name();
        let misplaced = || Err(GateError::Misplaced(described(node)));
        match name.name() {
            "Assertion" | "EncryptedAssertion" => {
                if name.namespace() != Some(SAML) {
                    return misplaced();
                }
                assertions += 1;
                if assertions > 1 {
                    return Err(GateError::SeveralAssertions);
                }
                // In an Assertion document the root is the assertion; else it is a child of a Response.
                if node != root && !(Root::Response.is(root) && node.parent_element() == Some(root)) {
                    return misplaced();
                }
            }
            "Response" | "AuthnRequest" | "LogoutRequest" | "LogoutResponse" if node != root => return misplaced(),
            "Signature" => {
                if name.namespace() != Some(DS) {
                    return misplaced();
                }
                signatures.push(node);
            }
            // What could make a signature, or the search for a key, look somewhere else.
            "Object" | "Manifest" | "SignatureProperties" if name.namespace() == Some(DS) => return misplaced(),
            "CipherReference" if name.namespace() == Some(XENC) => return misplaced(),
            // A decryption key may be named by reference; it is looked up in this document only (see `decrypt`).
            "RetrievalMethod"
                if name.namespace() == Some(DS)
                    && !node.ancestors().any(|ancestor| {
                        ["EncryptedAssertion", "EncryptedID"].iter().any(|name| ancestor.has_tag_name((SAML, *name)))
                    }) =>
            {
                return misplaced();
            }
            _ => {}
        }
    }
    if signatures.len() > 2 {
        return Err(GateError::SeveralSignatures(signatures.len()));
    }
    let places = signatures.into_iter().map(|node| signature(root, node, sha1)).collect::<Result<Vec<_>, _>>()?;
    match places.as_slice() {
        [first, second] if first.id == second.id => Err(GateError::SeveralSignatures(2)),
        _ => Ok(places),
    }
}

/// IDs are how a signature names what it signs: each is unique and none hides behind a prefix.
fn identify<'a>(node: Node<'a, '_>, ids: &mut HashSet<&'a str>) -> Result<(), GateError> {
    for attribute in node.attributes() {
        if !attribute.name().eq_ignore_ascii_case("id") {
            continue;
        }
        if attribute.namespace().is_some() {
            return Err(GateError::QualifiedId);
        }
        if !is_ncname(attribute.value()) {
            return Err(GateError::InvalidId(excerpt(attribute.value())));
        }
        if !ids.insert(attribute.value()) {
            return Err(GateError::DuplicateId(excerpt(attribute.value())));
        }
    }
    Ok(())
}

fn signature(root: Node<'_, '_>, node: Node<'_, '_>, sha1: Sha1) -> Result<SignaturePlace, GateError> {
    let parent = node.parent_element().ok_or_else(|| GateError::Misplaced(described(node)))?;
    let of_root = parent == root;
    let of_assertion = parent.has_tag_name((SAML, "Assertion"));
    if !(of_root || of_assertion) {
        return Err(GateError::Misplaced(described(node)));
    }
    // The schema puts it behind the Issuer and before everything else.
    let mut before = node.prev_siblings().skip(1).filter(Node::is_element);
    let in_position = match (before.next(), before.next()) {
        (None, _) => true,
        (Some(issuer), None) => issuer.has_tag_name((SAML, "Issuer")),
        _ => false,
    };
    if !in_position {
        return Err(GateError::Misplaced(described(node)));
    }
    let id = parent.attribute("ID").ok_or(GateError::SignatureShape("the signed element has no ID"))?;

    let mut parts = node.children().filter(Node::is_element);
    let signed_info = ds(parts.next(), "SignedInfo", "SignedInfo does not come first")?;
    let value = ds(parts.next(), "SignatureValue", "SignatureValue does not come second")?;
    if let Some(key_info) = parts.next() {
        ds(Some(key_info), "KeyInfo", "something else than KeyInfo comes third")?;
    }
    if parts.next().is_some() {
        return Err(GateError::SignatureShape("more follows KeyInfo"));
    }
    no_children(value)?;
    Ok(SignaturePlace { of_root, id: id.to_owned(), algorithm: signed_info_says(signed_info, id, sha1)? })
}

fn signed_info_says(signed_info: Node<'_, '_>, id: &str, sha1: Sha1) -> Result<SignatureAlgorithm, GateError> {
    let mut parts = signed_info.children().filter(Node::is_element);
    let c14n = ds(parts.next(), "CanonicalizationMethod", "SignedInfo does not begin with CanonicalizationMethod")?;
    canonicalization(c14n)?;
    let method = ds(parts.next(), "SignatureMethod", "SignedInfo has no SignatureMethod in second place")?;
    // A child would be HMACOutputLength or parameters of an algorithm that is not on the list.
    no_children(method)?;
    let algorithm = SignatureAlgorithm::from_uri(method.attribute("Algorithm").unwrap_or_default(), sha1)?;
    let reference = ds(parts.next(), "Reference", "SignedInfo has no Reference in third place")?;
    if parts.next().is_some() {
        return Err(GateError::SignatureShape("SignedInfo has more than one Reference"));
    }
    match reference.attribute("URI") {
        Some(uri) if uri.strip_prefix('#') == Some(id) => {}
        uri => return Err(GateError::Reference(excerpt(uri.unwrap_or_default()))),
    }

    let mut parts = reference.children().filter(Node::is_element);
    let transforms = ds(parts.next(), "Transforms", "the Reference does not begin with Transforms")?;
    let digest = ds(parts.next(), "DigestMethod", "the Reference has no DigestMethod in second place")?;
    let value = ds(parts.next(), "DigestValue", "the Reference has no DigestValue in third place")?;
    if parts.next().is_some() {
        return Err(GateError::SignatureShape("more follows DigestValue"));
    }
    no_children(digest)?;
    no_children(value)?;
    digest_method(digest.attribute("Algorithm").unwrap_or_default(), sha1)?;

    let mut transforms = transforms.children().filter(Node::is_element);
    let enveloped = ds(transforms.next(), "Transform", "Transforms is empty")?;
    if enveloped.attribute("Algorithm") != Some(ENVELOPED) {
        return Err(GateError::Transform(excerpt(enveloped.attribute("Algorithm").unwrap_or_default())));
    }
    no_children(enveloped)?;
    // Without it the digest would be over inclusive canonical XML, which depends on what stands around.
    canonicalization(ds(transforms.next(), "Transform", "exclusive canonicalization is not among the transforms")?)?;
    match transforms.next() {
        None => Ok(algorithm),
        Some(third) => Err(GateError::Transform(excerpt(third.attribute("Algorithm").unwrap_or_default()))),
    }
}

fn digest_method(uri: &str, sha1: Sha1) -> Result<(), GateError> {
    match uri {
        "http://www.w3.org/2001/04/xmlenc#sha256"
        | "http://www.w3.org/2001/04/xmldsig-more#sha384"
        | "http://www.w3.org/2001/04/xmlenc#sha512" => Ok(()),
        "http://www.w3.org/2000/09/xmldsig#sha1" if sha1 == Sha1::Allowed => Ok(()),
        "http://www.w3.org/2000/09/xmldsig#sha1" => Err(GateError::Sha1Refused),
        other => Err(GateError::AlgorithmRefused { algorithm: excerpt(other) }),
    }
}

/// Exclusive canonical XML, perhaps with prefixes that are to be kept. Those are harmless: they add declarations to the
/// octets that are digested, and those octets are all that is read afterwards.
fn canonicalization(node: Node<'_, '_>) -> Result<(), GateError> {
    match node.attribute("Algorithm") {
        Some(EXCLUSIVE_C14N | EXCLUSIVE_C14N_WITH_COMMENTS) => {}
        other => return Err(GateError::Transform(excerpt(other.unwrap_or_default()))),
    }
    let mut children = node.children().filter(Node::is_element);
    if let Some(inclusive) = children.next() {
        if !inclusive.has_tag_name((EXCLUSIVE_C14N, "InclusiveNamespaces")) {
            return Err(GateError::Transform(described(inclusive)));
        }
        no_children(inclusive)?;
        let prefixes = inclusive.attribute("PrefixList").unwrap_or_default();
        let mut listed = prefixes.split_ascii_whitespace();
        if listed.by_ref().take(32).any(|prefix| prefix != "#default" && !is_ncname(prefix)) || listed.next().is_some()
        {
            return Err(GateError::Transform(excerpt(prefixes)));
        }
    }
    match children.next() {
        None => Ok(()),
        Some(more) => Err(GateError::Transform(described(more))),
    }
}

fn ds<'a, 't>(node: Option<Node<'a, 't>>, name: &str, problem: &'static str) -> Result<Node<'a, 't>, GateError> {
    node.filter(|node| node.has_tag_name((DS, name))).ok_or(GateError::SignatureShape(problem))
}

fn no_children(node: Node<'_, '_>) -> Result<(), GateError> {
    if node.children().any(|child| child.is_element()) {
        return Err(GateError::SignatureShape("an element that is empty or plain text has children"));
    }
    Ok(())
}

fn is_ncname(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

fn described(node: Node<'_, '_>) -> String {
    let name = node.tag_name();
    match name.namespace() {
        Some(namespace) => format!("{{{}}}{}", excerpt(namespace), excerpt(name.name())),
        None => excerpt(name.name()),
    }
}

/// The text of an element that holds nothing but text, without surrounding white space; None when it holds elements.
#[must_use]
pub fn text_of<'a>(node: Node<'a, '_>) -> Option<&'a str> {
    let mut children = node.children();
    match (children.next(), children.next()) {
        (None, _) => Some(""),
        (Some(text), None) if text.is_text() => text.text().map(trimmed),
        _ => None,
    }
}
