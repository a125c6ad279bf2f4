//! The judgement: every check a reply has to pass, in one place and in order.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use roxmltree::Node;

use super::attributes::{person, received};
use super::{Attempt, SamlError, Settings, VerifiedReply};
use crate::catalog::AuthnComparison;
use crate::identity::{Authentication, NameIdQualifiers, SubjectId, VerifiedIdentity};
use crate::saml::decrypt::{self, DecryptError, Decrypted};
use crate::saml::gate::{self, GateError, Gated, Limits, Root};
use crate::saml::message::{Assertion, Attribute, AuthnStatement, Conditions, Confirmation, Response};
use crate::saml::names::{BEARER, SUCCESS, excerpt, trimmed};
use crate::saml::signature::{self, SignatureError};

pub(super) const VERSION: &str = "2.0";

/// Where Entra ID and AD FS say how somebody proved who they are, one value for each way.
const AUTHENTICATION_METHODS: &str = "http://schemas.microsoft.com/claims/authnmethodsreferences";

/// The request a reply has to answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expected<'a> {
    For(&'a Attempt),
    /// None: the provider began by itself.
    Unsolicited,
}

impl Expected<'_> {
    fn request_id(&self) -> Option<&str> {
        match self {
            Self::For(attempt) => Some(&attempt.request_id),
            Self::Unsolicited => None,
        }
    }
}

/// Judges a reply that nobody here asked for, where the connector takes those. One that names a request is refused all
/// the same: either that request was somebody else's, or it was answered before.
///
/// # Errors
/// [`SamlError`], the true cause for the audit log.
pub fn judge_unsolicited(evidence: &[u8], settings: &Settings, now: Timestamp) -> Result<VerifiedReply, SamlError> {
    if !settings.idp_initiated {
        return Err(SamlError::Unsolicited);
    }
    judge(evidence, Expected::Unsolicited, settings, now)
}

pub(super) fn judge(
    evidence: &[u8],
    expected: Expected<'_>,
    settings: &Settings,
    now: Timestamp,
) -> Result<VerifiedReply, SamlError> {
    if let Some(until) = settings.idp.valid_until.filter(|_| !settings.idp.is_valid(now)) {
        return Err(SamlError::MetadataExpired(until));
    }
    let limits = Limits::MESSAGE.with_bytes(settings.max_bytes);
    let xml = decode(evidence, &limits)?;
    let gated = gate::admit(&xml, Root::Response, &limits, settings.sha1).map_err(SamlError::Gate)?;
    let judge = Judge { settings, expected, now };

    // A "no" needs no signature: it signs nobody in, and most providers do not sign it.
    if gated.assertion().is_none() && gated.encrypted_assertion().is_none() {
        return Err(judge.without_assertion(gated.root()));
    }
    match gated.signatures() {
        [] => judge.unsigned_response(&gated, &limits),
        _ => {
            let verified =
                signature::verify(&gated, &settings.idp.certificates, settings.sha1).map_err(SamlError::Signature)?;
            let opened = verified.open(&limits, settings.sha1).map_err(SamlError::Signature)?;
            match verified.kind() {
                Root::Response => judge.signed_response(&opened, &limits),
                // Only the assertion is signed. What the response around it says can make us refuse, never accept.
                _ => judge.reply(gated.root(), Shell::Unsigned, opened.root()),
            }
        }
    }
}

/// Strict base64, except that lines may be broken.
fn decode(evidence: &[u8], limits: &Limits) -> Result<Vec<u8>, SamlError> {
    // Four characters for three bytes, and room for a line break every 20 characters.
    let longest = limits.bytes.saturating_mul(3) / 2;
    if evidence.len() > longest {
        return Err(SamlError::Gate(GateError::TooLarge { size: evidence.len() / 4 * 3, limit: limits.bytes }));
    }
    let packed = if evidence.contains(&b'\n') || evidence.contains(&b'\r') {
        Cow::Owned(evidence.split(|byte| matches!(byte, b'\n' | b'\r')).collect::<Vec<_>>().concat())
    } else {
        Cow::Borrowed(evidence)
    };
    STANDARD.decode(packed.as_ref()).map_err(SamlError::Base64)
}

/// Whether what the response says around its assertion is signed too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shell {
    Signed,
    Unsigned,
}

struct Judge<'a> {
    settings: &'a Settings,
    expected: Expected<'a>,
    now: Timestamp,
}

impl Judge<'_> {
    fn unsigned_response(&self, gated: &Gated<'_>, limits: &Limits) -> Result<VerifiedReply, SamlError> {
        let encrypted = gated.encrypted_assertion().ok_or(SamlError::Signature(SignatureError::Missing))?;
        let decrypted = self.decrypt(encrypted)?;
        // Nothing vouches for this plaintext yet. Why it is none of ours is not said, or altered ciphertext could be
        // probed byte by byte.
        let guarded = |_| SamlError::Decrypt(DecryptError::Failed);
        with_inner(&decrypted, limits, self, |inner| {
            let inner = inner.map_err(guarded)?;
            if inner.signatures().is_empty() {
                return Err(SamlError::Signature(SignatureError::Missing));
            }
            self.signed_assertion(gated.root(), Shell::Unsigned, &inner, limits)
        })
    }

    fn signed_response(&self, opened: &Gated<'_>, limits: &Limits) -> Result<VerifiedReply, SamlError> {
        if let Some(assertion) = opened.assertion() {
            return self.reply(opened.root(), Shell::Signed, assertion);
        }
        let encrypted = opened.encrypted_assertion().ok_or(SamlError::AssertionMissing)?;
        let decrypted = self.decrypt(encrypted)?;
        with_inner(&decrypted, limits, self, |inner| {
            let inner = inner.map_err(SamlError::Gate)?;
            if inner.signatures().is_empty() {
                // The ciphertext is signed, and with it what it says.
                return self.reply(opened.root(), Shell::Signed, inner.root());
            }
            self.signed_assertion(opened.root(), Shell::Signed, &inner, limits)
        })
    }

    fn signed_assertion(
        &self,
        response: Node<'_, '_>,
        shell: Shell,
        inner: &Gated<'_>,
        limits: &Limits,
    ) -> Result<VerifiedReply, SamlError> {
        let sha1 = self.settings.sha1;
        let verified = signature::verify(inner, &self.settings.idp.certificates, sha1).map_err(SamlError::Signature)?;
        let opened = verified.open(limits, sha1).map_err(SamlError::Signature)?;
        self.reply(response, shell, opened.root())
    }

    fn decrypt(&self, encrypted: Node<'_, '_>) -> Result<Decrypted, SamlError> {
        decrypt::decrypt(encrypted, &self.settings.sp_entity_id, &self.settings.decryption_keys)
            .map_err(SamlError::Decrypt)
    }

    fn without_assertion(&self, response: Node<'_, '_>) -> SamlError {
        let read = || -> Result<SamlError, SamlError> {
            let response = Response::read(response).map_err(SamlError::Read)?;
            self.response(&response, Shell::Unsigned)?;
            Ok(SamlError::AssertionMissing)
        };
        read().unwrap_or_else(|e| e)
    }

    /// All that is decided from what a reply says; by now it is known who said it.
    fn reply(&self, response: Node<'_, '_>, shell: Shell, assertion: Node<'_, '_>) -> Result<VerifiedReply, SamlError> {
        let response = Response::read(response).map_err(SamlError::Read)?;
        self.response(&response, shell)?;
        let assertion = Assertion::read(assertion).map_err(SamlError::Read)?;
        if assertion.version != Some(VERSION) {
            return Err(version("Assertion", assertion.version));
        }
        self.issuer("Assertion", assertion.issuer.ok_or(SamlError::IssuerMissing)?)?;
        self.issued("Assertion", assertion.issue_instant)?;
        let subject = assertion.subject.as_ref().ok_or(SamlError::SubjectMissing)?;
        self.confirmed(&subject.confirmations)?;
        self.conditions(assertion.conditions.as_ref().ok_or(SamlError::ConditionsMissing)?)?;
        let authentication = self.authentication(&assertion.authn_statements, &assertion.attributes)?;

        if subject.encrypted {
            return Err(SamlError::NameIdEncrypted);
        }
        let name_id = subject.name_id.as_ref();
        let person = person(&self.settings.attributes, name_id.map(|name| name.value), &assertion.attributes)?;
        let text = |of: Option<&str>| of.map(str::to_owned);
        Ok(VerifiedReply {
            identity: VerifiedIdentity {
                asserted: text(name_id.map(|name| name.value)).filter(|asserted| *asserted != person.subject),
                // The catalog knows; whoever begins the session asks it.
                link: None,
                subject: SubjectId { connector: self.settings.connector.clone(), value: person.subject },
                qualifiers: NameIdQualifiers {
                    format: text(name_id.and_then(|name| name.format)),
                    name_qualifier: text(name_id.and_then(|name| name.name_qualifier)),
                    sp_name_qualifier: text(name_id.and_then(|name| name.sp_name_qualifier)),
                },
                name: person.name,
                email: person.email,
                groups: person.groups,
                attributes: person.attributes,
                authentication,
            },
            assertion_id: assertion.id.to_owned(),
            issuer: self.settings.idp.entity_id.clone(),
            // Past this, `issued` refuses it. A minute more, so that a clock set back does not matter.
            replay_until: later(
                later(later(assertion.issue_instant, self.settings.max_age), self.skew()),
                SignedDuration::from_mins(1),
            ),
            received: received(name_id.map(|name| name.value), &assertion.attributes),
        })
    }

    fn response(&self, response: &Response<'_>, shell: Shell) -> Result<(), SamlError> {
        if response.version != Some(VERSION) {
            return Err(version("Response", response.version));
        }
        if let Some(issuer) = response.issuer {
            self.issuer("Response", issuer)?;
        }
        match (response.destination, shell) {
            (Some(found), _) if found != self.settings.acs_url.as_str() => {
                return Err(SamlError::Destination {
                    found: excerpt(found),
                    expected: self.settings.acs_url.to_string(),
                });
            }
            // Bindings 3.5.5.2: a signed message has one, or it could be signed for somebody else.
            (None, Shell::Signed) => return Err(SamlError::DestinationMissing),
            _ => {}
        }
        self.answers("Response", response.in_response_to)?;
        let status = response.status.as_ref().ok_or(SamlError::StatusMissing)?;
        if status.code != SUCCESS {
            return Err(SamlError::Status {
                code: excerpt(status.code),
                subcode: status.subcode.map(excerpt),
                message: status.message.map(excerpt).filter(|message| !message.is_empty()),
            });
        }
        self.issued("Response", response.issue_instant)
    }

    fn issuer(&self, element: &'static str, found: &str) -> Result<(), SamlError> {
        let expected = &self.settings.idp.entity_id;
        if found == expected {
            return Ok(());
        }
        Err(SamlError::Issuer { element, found: excerpt(found), expected: expected.clone() })
    }

    fn answers(&self, element: &'static str, found: Option<&str>) -> Result<(), SamlError> {
        match (self.expected.request_id(), found) {
            (None, None) => Ok(()),
            (Some(expected), Some(found)) if expected == found => Ok(()),
            (Some(_), None) => Err(SamlError::InResponseToMissing { element }),
            (expected, Some(found)) => {
                Err(SamlError::InResponseTo { element, found: excerpt(found), expected: expected.map(str::to_owned) })
            }
        }
    }

    fn issued(&self, element: &'static str, at: Timestamp) -> Result<(), SamlError> {
        if self.ahead(at) {
            return Err(SamlError::IssuedInFuture { element, at });
        }
        // `max_age` is how long it may take to arrive; the skew is for the other clock.
        if self.over(later(at, self.settings.max_age)) {
            return Err(SamlError::IssuedLongAgo { element, at });
        }
        Ok(())
    }

    /// One bearer confirmation has to hold; if none does, the first says why.
    fn confirmed(&self, confirmations: &[Confirmation<'_>]) -> Result<(), SamlError> {
        let mut first = None;
        for confirmation in confirmations.iter().filter(|confirmation| confirmation.method == BEARER) {
            match self.bearer(confirmation) {
                Ok(()) => return Ok(()),
                Err(e) => first = first.or(Some(e)),
            }
        }
        Err(first.unwrap_or(SamlError::BearerMissing))
    }

    fn bearer(&self, confirmation: &Confirmation<'_>) -> Result<(), SamlError> {
        let expected = self.settings.acs_url.as_str();
        let recipient = confirmation.recipient.ok_or(SamlError::RecipientMissing)?;
        if recipient != expected {
            return Err(SamlError::Recipient { found: excerpt(recipient), expected: expected.to_owned() });
        }
        if confirmation.not_before.is_some() {
            return Err(SamlError::ConfirmationNotBefore);
        }
        let end = confirmation.not_on_or_after.ok_or(SamlError::ConfirmationWithoutEnd)?;
        if self.over(end) {
            return Err(SamlError::ConfirmationExpired(end));
        }
        self.answers("SubjectConfirmationData", confirmation.in_response_to)
    }

    fn conditions(&self, conditions: &Conditions<'_>) -> Result<(), SamlError> {
        if let Some(from) = conditions.not_before.filter(|from| self.ahead(*from)) {
            return Err(SamlError::NotYetValid(from));
        }
        if let Some(end) = conditions.not_on_or_after.filter(|end| self.over(*end)) {
            return Err(SamlError::Expired(end));
        }
        // Core 2.5.1.1: what is not understood cannot be met.
        if let Some(name) = conditions.unknown {
            return Err(SamlError::UnknownCondition(excerpt(name)));
        }
        // Core 2.5.1.6: whoever issues assertions on the strength of this one is bound. We do, for AWS, an audience no
        // enterprise provider lists.
        let proxying = conditions.proxy_restriction.as_ref();
        if proxying.is_some_and(|proxy| proxy.count.map(trimmed) == Some("0") || !proxy.audiences.is_empty()) {
            return Err(SamlError::ProxyRestriction);
        }
        if conditions.audience_restrictions.is_empty() {
            return Err(SamlError::AudienceMissing);
        }
        // Each restriction lists alternatives; all restrictions have to hold.
        let us = self.settings.sp_entity_id.as_str();
        match conditions.audience_restrictions.iter().find(|audiences| !audiences.contains(&us)) {
            None => Ok(()),
            Some(others) => Err(SamlError::Audience {
                found: others.iter().take(5).map(|audience| excerpt(audience)).collect(),
                expected: us.to_owned(),
            }),
        }
    }

    fn authentication(
        &self,
        statements: &[AuthnStatement<'_>],
        attributes: &[Attribute<'_>],
    ) -> Result<Authentication, SamlError> {
        let latest = statements.iter().max_by_key(|statement| statement.instant);
        let statement = latest.ok_or(SamlError::AuthnStatementMissing)?;
        if let Some(late) = statements.iter().map(|s| s.instant).find(|instant| self.ahead(*instant)) {
            return Err(SamlError::AuthnInFuture(late));
        }
        let ends = statements.iter().filter_map(|statement| statement.session_not_on_or_after).min();
        if let Some(end) = ends.filter(|end| self.over(*end)) {
            return Err(SamlError::SessionOver(end));
        }
        // ForceAuthn is a wish: some providers ignore it or take a login of a moment ago. Where the provider began,
        // nobody could even wish; then the person has to have been recognised just now all the same, or beginning
        // there would be the way around it.
        let asked = match self.expected {
            Expected::For(attempt) => attempt.force_authn.then_some(attempt.sent_at),
            Expected::Unsolicited => self.settings.force_authn.then(|| earlier(self.now, self.settings.max_age)),
        };
        if let Some(asked) = asked.filter(|asked| later(statement.instant, self.skew()) < *asked) {
            return Err(SamlError::NotReauthenticated { recognised: statement.instant, asked });
        }
        if let Some(context) = &self.settings.authn_context
            && context.comparison == AuthnComparison::Exact
            && !statement.context_class.is_some_and(|class| context.classes.iter().any(|wanted| wanted == class))
        {
            return Err(SamlError::AuthnContext { found: statement.context_class.map(excerpt) });
        }
        let authentication = Authentication {
            instant: Some(statement.instant),
            context_class: statement.context_class.map(str::to_owned),
            methods: attributes
                .iter()
                .filter(|attribute| attribute.name == AUTHENTICATION_METHODS)
                .flat_map(|attribute| attribute.values.iter().map(|value| (*value).to_owned()))
                .collect(),
            session_index: statement.session_index.map(str::to_owned),
            session_not_on_or_after: ends,
        };
        // What was asked for this time must have been done, whatever the provider makes of our wishes.
        if let Expected::For(attempt) = self.expected
            && let Some(demand) = &attempt.demand
            && let Some(unmet) = demand.unmet(&authentication, self.now, self.skew())
        {
            return Err(SamlError::Unmet(unmet));
        }
        Ok(authentication)
    }

    fn skew(&self) -> SignedDuration {
        SignedDuration::from_secs(self.settings.clock_skew.as_secs().into())
    }

    /// Later than our clock says it is, by more than clocks may differ.
    fn ahead(&self, at: Timestamp) -> bool {
        at > later(self.now, self.skew())
    }

    /// Past by our clock, by as much as clocks may differ. Such ends are exclusive.
    fn over(&self, end: Timestamp) -> bool {
        later(end, self.skew()) <= self.now
    }
}

/// Parses a decrypted assertion on its own, and once more with the namespaces that were declared around it if it used
/// some it did not declare.
fn with_inner<T>(
    decrypted: &Decrypted,
    limits: &Limits,
    judge: &Judge<'_>,
    then: impl FnOnce(Result<Gated<'_>, GateError>) -> Result<T, SamlError>,
) -> Result<T, SamlError> {
    let admit = |xml| gate::admit(xml, Root::Assertion, limits, judge.settings.sha1);
    match admit(decrypted.xml().as_bytes()) {
        Err(GateError::UnknownPrefix(_)) => {
            let xml = decrypted.in_context();
            let gated = gate::admit(xml.as_bytes(), Root::Assertion, limits, judge.settings.sha1);
            then(gated)
        }
        gated => then(gated),
    }
}

fn version(element: &'static str, found: Option<&str>) -> SamlError {
    SamlError::Version { element, version: found.map(excerpt) }
}

fn earlier(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

/// Saturates at the end of time: evidence may name any instant.
pub(super) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}
