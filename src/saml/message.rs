//! What a message says, read from XML that passed the gate. Nothing is judged here: a missing part is `None`, and
//! whether that matters is for `signin` (and, for AWS's rules, the sandbox) to say.
//!
//! Spec: SAML core 2 (assertions) and 3 (protocols).

use jiff::Timestamp;
use roxmltree::Node;

use super::gate::text_of;
use super::names::{SAML, SAMLP, XSI, excerpt, timestamp, trimmed};

/// Why a message cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("{element} is there more than once")]
    Repeated { element: &'static str },
    #[error("{element} holds something else than text")]
    NotText { element: &'static str },
    #[error("{attribute} is {text:?}, which is not an instant")]
    Instant { attribute: &'static str, text: String },
    #[error("{element} has no {attribute}")]
    Missing { element: &'static str, attribute: &'static str },
}

impl ReadError {
    /// A stable short name for audit events.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Repeated { .. } => "element-repeated",
            Self::NotText { .. } => "element-not-text",
            Self::Instant { .. } => "instant-malformed",
            Self::Missing { .. } => "attribute-missing",
        }
    }
}

/// `samlp:Response`, without the assertion; and `samlp:LogoutResponse`, which is built the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response<'a> {
    pub id: &'a str,
    pub version: Option<&'a str>,
    pub issue_instant: Timestamp,
    pub destination: Option<&'a str>,
    pub in_response_to: Option<&'a str>,
    pub issuer: Option<&'a str>,
    pub status: Option<Status<'a>>,
}

/// `samlp:Status`: two levels of code, and words for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status<'a> {
    pub code: &'a str,
    pub subcode: Option<&'a str>,
    pub message: Option<&'a str>,
}

/// `saml:Assertion`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion<'a> {
    pub id: &'a str,
    pub version: Option<&'a str>,
    pub issue_instant: Timestamp,
    pub issuer: Option<&'a str>,
    pub subject: Option<Subject<'a>>,
    pub conditions: Option<Conditions<'a>>,
    pub authn_statements: Vec<AuthnStatement<'a>>,
    pub attributes: Vec<Attribute<'a>>,
}

/// `saml:Subject`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject<'a> {
    pub name_id: Option<NameId<'a>>,
    /// The name is there, but encrypted by itself.
    pub encrypted: bool,
    pub confirmations: Vec<Confirmation<'a>>,
}

/// `saml:NameID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameId<'a> {
    pub value: &'a str,
    pub format: Option<&'a str>,
    pub name_qualifier: Option<&'a str>,
    pub sp_name_qualifier: Option<&'a str>,
}

/// `saml:SubjectConfirmation` with its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation<'a> {
    pub method: &'a str,
    pub recipient: Option<&'a str>,
    pub not_before: Option<Timestamp>,
    pub not_on_or_after: Option<Timestamp>,
    pub in_response_to: Option<&'a str>,
}

/// `saml:Conditions`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions<'a> {
    pub not_before: Option<Timestamp>,
    pub not_on_or_after: Option<Timestamp>,
    /// One list per `AudienceRestriction`; every one of them must be met.
    pub audience_restrictions: Vec<Vec<&'a str>>,
    pub one_time_use: bool,
    pub proxy_restriction: Option<ProxyRestriction<'a>>,
    /// A condition nobody here understands, by name.
    pub unknown: Option<&'a str>,
}

/// `saml:ProxyRestriction`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyRestriction<'a> {
    pub count: Option<&'a str>,
    pub audiences: Vec<&'a str>,
}

/// `saml:AuthnStatement`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthnStatement<'a> {
    pub instant: Timestamp,
    pub session_index: Option<&'a str>,
    pub session_not_on_or_after: Option<Timestamp>,
    pub context_class: Option<&'a str>,
}

/// `saml:Attribute`; one name may come in several of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute<'a> {
    pub name: &'a str,
    pub name_format: Option<&'a str>,
    pub friendly_name: Option<&'a str>,
    /// Values with text, trimmed. Nil and empty ones are left out; one that wraps its text in elements, as
    /// eduPersonTargetedID does, counts by that text.
    pub values: Vec<&'a str>,
}

/// `samlp:LogoutRequest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutRequest<'a, 't> {
    pub id: &'a str,
    pub version: Option<&'a str>,
    pub issue_instant: Timestamp,
    pub destination: Option<&'a str>,
    pub not_on_or_after: Option<Timestamp>,
    pub issuer: Option<&'a str>,
    /// Whom it is about; `None` also when it says so in a way nobody here understands (`BaseID`).
    pub name: Option<LogoutName<'a, 't>>,
    /// Which of the person's sessions; none means all of them.
    pub session_indexes: Vec<&'a str>,
}

/// Whom a `samlp:LogoutRequest` is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogoutName<'a, 't> {
    Plain(NameId<'a>),
    /// A `saml:EncryptedID`, which [`decrypt`](super::decrypt) opens.
    Encrypted(Node<'a, 't>),
}

/// `samlp:AuthnRequest`, as an identity provider reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthnRequest<'a> {
    pub id: &'a str,
    pub version: Option<&'a str>,
    pub issue_instant: Timestamp,
    pub issuer: Option<&'a str>,
    pub destination: Option<&'a str>,
    pub acs_url: Option<&'a str>,
    pub protocol_binding: Option<&'a str>,
    pub force_authn: bool,
    pub is_passive: bool,
    pub name_id_format: Option<&'a str>,
}

impl<'a> Response<'a> {
    /// # Errors
    /// [`ReadError`]
    pub fn read(node: Node<'a, '_>) -> Result<Self, ReadError> {
        Self::read_named(node, "Response")
    }

    /// # Errors
    /// [`ReadError`]
    pub fn read_logout(node: Node<'a, '_>) -> Result<Self, ReadError> {
        Self::read_named(node, "LogoutResponse")
    }

    fn read_named(node: Node<'a, '_>, element: &'static str) -> Result<Self, ReadError> {
        Ok(Self {
            id: required(node, element, "ID")?,
            version: node.attribute("Version"),
            issue_instant: required_instant(node, element, "IssueInstant")?,
            destination: node.attribute("Destination"),
            in_response_to: node.attribute("InResponseTo"),
            issuer: text_child(node, SAML, "Issuer")?,
            status: only(node, SAMLP, "Status")?.map(Status::read).transpose()?,
        })
    }
}

impl<'a> Status<'a> {
    fn read(node: Node<'a, '_>) -> Result<Self, ReadError> {
        let code = only(node, SAMLP, "StatusCode")?
            .ok_or(ReadError::Missing { element: "Status", attribute: "StatusCode" })?;
        Ok(Self {
            code: required(code, "StatusCode", "Value")?,
            subcode: only(code, SAMLP, "StatusCode")?.and_then(|sub| sub.attribute("Value")),
            message: text_child(node, SAMLP, "StatusMessage")?,
        })
    }
}

impl<'a> Assertion<'a> {
    /// # Errors
    /// [`ReadError`]
    pub fn read(node: Node<'a, '_>) -> Result<Self, ReadError> {
        const ELEMENT: &str = "Assertion";
        let statements = |name| children(node, SAML, name);
        let mut attributes = Vec::new();
        for statement in statements("AttributeStatement") {
            for attribute in children(statement, SAML, "Attribute") {
                attributes.push(Attribute::read(attribute)?);
            }
        }
        Ok(Self {
            id: required(node, ELEMENT, "ID")?,
            version: node.attribute("Version"),
            issue_instant: required_instant(node, ELEMENT, "IssueInstant")?,
            issuer: text_child(node, SAML, "Issuer")?,
            subject: only(node, SAML, "Subject")?.map(Subject::read).transpose()?,
            conditions: only(node, SAML, "Conditions")?.map(Conditions::read).transpose()?,
            authn_statements: statements("AuthnStatement").map(AuthnStatement::read).collect::<Result<_, _>>()?,
            attributes,
        })
    }
}

impl<'a> Subject<'a> {
    fn read(node: Node<'a, '_>) -> Result<Self, ReadError> {
        Ok(Self {
            name_id: only(node, SAML, "NameID")?.map(NameId::read).transpose()?,
            encrypted: only(node, SAML, "EncryptedID")?.is_some(),
            confirmations: children(node, SAML, "SubjectConfirmation")
                .map(Confirmation::read)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl<'a> NameId<'a> {
    /// Reads a `saml:NameID`.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn read(node: Node<'a, '_>) -> Result<Self, ReadError> {
        Ok(Self {
            value: text_of(node).ok_or(ReadError::NotText { element: "NameID" })?,
            format: node.attribute("Format"),
            name_qualifier: node.attribute("NameQualifier"),
            sp_name_qualifier: node.attribute("SPNameQualifier"),
        })
    }
}

impl<'a> Confirmation<'a> {
    fn read(node: Node<'a, '_>) -> Result<Self, ReadError> {
        let data = only(node, SAML, "SubjectConfirmationData")?;
        let attribute = |name| data.and_then(|data| data.attribute(name));
        let at = |name| data.map_or(Ok(None), |data| instant(data, name));
        Ok(Self {
            method: node.attribute("Method").unwrap_or_default(),
            recipient: attribute("Recipient"),
            not_before: at("NotBefore")?,
            not_on_or_after: at("NotOnOrAfter")?,
            in_response_to: attribute("InResponseTo"),
        })
    }
}

impl<'a> Conditions<'a> {
    fn read(node: Node<'a, '_>) -> Result<Self, ReadError> {
        let mut read = Self {
            not_before: instant(node, "NotBefore")?,
            not_on_or_after: instant(node, "NotOnOrAfter")?,
            ..Self::default()
        };
        for condition in node.children().filter(Node::is_element) {
            let name = condition.tag_name();
            match (name.namespace(), name.name()) {
                (Some(SAML), "AudienceRestriction") => read.audience_restrictions.push(audiences(condition)?),
                (Some(SAML), "OneTimeUse") => read.one_time_use = true,
                (Some(SAML), "ProxyRestriction") => {
                    if read.proxy_restriction.is_some() {
                        return Err(ReadError::Repeated { element: "ProxyRestriction" });
                    }
                    read.proxy_restriction = Some(ProxyRestriction {
                        count: condition.attribute("Count"),
                        audiences: audiences(condition)?,
                    });
                }
                _ => read.unknown = Some(condition.attribute((XSI, "type")).unwrap_or(name.name())),
            }
        }
        Ok(read)
    }
}

fn audiences<'a>(node: Node<'a, '_>) -> Result<Vec<&'a str>, ReadError> {
    children(node, SAML, "Audience")
        .map(|audience| text_of(audience).ok_or(ReadError::NotText { element: "Audience" }))
        .collect()
}

impl<'a> AuthnStatement<'a> {
    fn read(node: Node<'a, '_>) -> Result<Self, ReadError> {
        let context = only(node, SAML, "AuthnContext")?;
        Ok(Self {
            instant: required_instant(node, "AuthnStatement", "AuthnInstant")?,
            session_index: node.attribute("SessionIndex"),
            session_not_on_or_after: instant(node, "SessionNotOnOrAfter")?,
            context_class: match context {
                Some(context) => text_child(context, SAML, "AuthnContextClassRef")?,
                None => None,
            },
        })
    }
}

impl<'a> Attribute<'a> {
    fn read(node: Node<'a, '_>) -> Result<Self, ReadError> {
        Ok(Self {
            name: required(node, "Attribute", "Name")?,
            name_format: node.attribute("NameFormat"),
            friendly_name: node.attribute("FriendlyName"),
            values: children(node, SAML, "AttributeValue").filter_map(value).collect(),
        })
    }
}

fn value<'a>(node: Node<'a, '_>) -> Option<&'a str> {
    if matches!(node.attribute((XSI, "nil")).map(trimmed), Some("true" | "1")) {
        return None;
    }
    let text = match text_of(node) {
        Some(text) => text,
        // Exactly one piece of text somewhere inside is a value that was wrapped; more would be a guess.
        None => {
            let mut pieces = node
                .descendants()
                .filter(Node::is_text)
                .filter_map(|n| n.text())
                .map(trimmed)
                .filter(|t| !t.is_empty());
            match (pieces.next(), pieces.next()) {
                (Some(piece), None) => piece,
                _ => return None,
            }
        }
    };
    if text.is_empty() { None } else { Some(text) }
}

impl<'a, 't: 'a> LogoutRequest<'a, 't> {
    /// # Errors
    /// [`ReadError`]
    pub fn read(node: Node<'a, 't>) -> Result<Self, ReadError> {
        const ELEMENT: &str = "LogoutRequest";
        let plain = only(node, SAML, "NameID")?;
        let encrypted = only(node, SAML, "EncryptedID")?;
        let name = match (plain, encrypted) {
            // The schema has a choice of one; which of two would count is not for us to say.
            (Some(_), Some(_)) => return Err(ReadError::Repeated { element: "NameID" }),
            (Some(plain), None) => Some(LogoutName::Plain(NameId::read(plain)?)),
            (None, Some(encrypted)) => Some(LogoutName::Encrypted(encrypted)),
            (None, None) => None,
        };
        let index = |node| text_of(node).ok_or(ReadError::NotText { element: "SessionIndex" });
        Ok(Self {
            id: required(node, ELEMENT, "ID")?,
            version: node.attribute("Version"),
            issue_instant: required_instant(node, ELEMENT, "IssueInstant")?,
            destination: node.attribute("Destination"),
            not_on_or_after: instant(node, "NotOnOrAfter")?,
            issuer: text_child(node, SAML, "Issuer")?,
            name,
            session_indexes: children(node, SAMLP, "SessionIndex").map(index).collect::<Result<_, _>>()?,
        })
    }
}

impl<'a> AuthnRequest<'a> {
    /// # Errors
    /// [`ReadError`]
    pub fn read(node: Node<'a, '_>) -> Result<Self, ReadError> {
        const ELEMENT: &str = "AuthnRequest";
        let flag = |name| matches!(node.attribute(name).map(trimmed), Some("true" | "1"));
        Ok(Self {
            id: required(node, ELEMENT, "ID")?,
            version: node.attribute("Version"),
            issue_instant: required_instant(node, ELEMENT, "IssueInstant")?,
            issuer: text_child(node, SAML, "Issuer")?,
            destination: node.attribute("Destination"),
            acs_url: node.attribute("AssertionConsumerServiceURL"),
            protocol_binding: node.attribute("ProtocolBinding"),
            force_authn: flag("ForceAuthn"),
            is_passive: flag("IsPassive"),
            name_id_format: only(node, SAMLP, "NameIDPolicy")?.and_then(|policy| policy.attribute("Format")),
        })
    }
}

fn children<'a, 't: 'a>(
    node: Node<'a, 't>,
    namespace: &'static str,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 't>> {
    node.children().filter(move |child| child.has_tag_name((namespace, name)))
}

/// The one child of that name. Which of two would count is a question parsers answer differently, so there is no second.
fn only<'a, 't>(
    node: Node<'a, 't>,
    namespace: &'static str,
    name: &'static str,
) -> Result<Option<Node<'a, 't>>, ReadError> {
    let mut found = children(node, namespace, name);
    let first = found.next();
    if found.next().is_some() { Err(ReadError::Repeated { element: name }) } else { Ok(first) }
}

fn text_child<'a>(
    node: Node<'a, '_>,
    namespace: &'static str,
    name: &'static str,
) -> Result<Option<&'a str>, ReadError> {
    only(node, namespace, name)?.map(|child| text_of(child).ok_or(ReadError::NotText { element: name })).transpose()
}

fn required<'a>(node: Node<'a, '_>, element: &'static str, attribute: &'static str) -> Result<&'a str, ReadError> {
    node.attribute(attribute).filter(|value| !value.is_empty()).ok_or(ReadError::Missing { element, attribute })
}

fn instant(node: Node<'_, '_>, attribute: &'static str) -> Result<Option<Timestamp>, ReadError> {
    node.attribute(attribute)
        .map(|text| {
            let malformed = || ReadError::Instant { attribute, text: excerpt(text) };
            timestamp(text).ok_or_else(malformed)
        })
        .transpose()
}

fn required_instant(
    node: Node<'_, '_>,
    element: &'static str,
    attribute: &'static str,
) -> Result<Timestamp, ReadError> {
    instant(node, attribute)?.ok_or(ReadError::Missing { element, attribute })
}
