//! `AssumeRoleWithSAML`: an assertion becomes a session.
//!
//! AWS does not publish the order in which it judges. Here: the protocol, the form of the assertion, the provider, the
//! issuer, the signature, the status, recipient and audience, time, the attributes, the pair of role and provider, the
//! role's trust policy, and the duration last. An assertion may be redeemed again within its five minutes, for any of
//! its roles: tools rely on it.

use std::fmt::Display;

use actix_web::web;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use openssl::hash::{MessageDigest, hash};

use super::answer::Member;
use super::error::StsError;
use super::query::{self, Checks, Params};
use super::session::{self, AskedPolicies, Tags, lifetime, packed_size};
use super::{Call, ensure_active};
use crate::aws::{Partition, ProviderArn, Region, RoleArn, SessionDuration};
use crate::saml::gate::{self, GateError, Limits, Root, Sha1};
use crate::saml::message::{Assertion, Attribute, Response};
use crate::saml::names;
use crate::saml::signature;
use crate::sandbox::State;
use crate::sandbox::authorize::{self, Assumption, Bearer, Way};
use crate::sandbox::credentials::{AssumedRole, Holder, How, Origin, Session, SessionPolicies};
use crate::sandbox::policy::{Context, Principal};
use crate::sandbox::providers::TrustedProvider;

const ACTION: &str = "sts:AssumeRoleWithSAML";
const PREFIX: &str = "https://aws.amazon.com/SAML/Attributes/";
const NAME_FORMAT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:";

/// From issuance to redemption, at most.
const WINDOW: SignedDuration = SignedDuration::from_mins(5);
/// How far the issuer's clock may be ahead of ours.
const SKEW: SignedDuration = SignedDuration::from_secs(90);

/// The call's parameters, each of them valid by itself.
struct Input {
    role: RoleArn,
    provider: ProviderArn,
    xml: Vec<u8>,
    duration_secs: Option<i32>,
    policies: SessionPolicies,
}

/// What the assertion says, as far as AWS looks at it.
struct Claims {
    issuer: String,
    subject: Option<(String, String)>,
    recipient: String,
    session_name: String,
    source_identity: Option<String>,
    tags: Tags,
    session_duration_secs: Option<i64>,
    session_not_on_or_after: Option<Timestamp>,
    /// `saml:*` keys made of further attributes.
    keys: Vec<(&'static str, KeyKind, Vec<String>)>,
    roles: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyKind {
    One,
    Many,
}

pub async fn run(state: &web::Data<State>, call: &Call<'_>) -> Result<Vec<Member>, StsError> {
    let input = input(call)?;
    let no_provider = || {
        StsError::invalid_identity_token_from_service(
            "Specified provider doesn't exist",
            "AuthSamlManifestNotFoundException",
            call.request_id,
        )
    };
    let iam = state.iam.now();
    if !iam.has_saml_provider(&input.provider) {
        return Err(no_provider());
    }
    let provider = state
        .providers
        .get(&input.provider, call.now)
        .await
        .map_err(|error| no_provider().because(error.to_string()))?;

    let judge_by = async |provider: TrustedProvider| {
        let asked = Asked { role: input.role.clone(), provider: input.provider.clone(), now: call.now };
        let (xml, request_id) = (input.xml.clone(), call.request_id.to_owned());
        // Checking a signature takes a while, and the assertion may be anybody's.
        web::block(move || judge(&provider, &xml, &asked, &request_id))
            .await
            .unwrap_or_else(|error| Err(StsError::internal(error.to_string())))
    };
    let claims = match judge_by(provider.clone()).await {
        Err(error) if error.message.as_deref() == Some(BAD_SIGNATURE) => {
            // The broker may have begun to sign with another key since its metadata was read.
            match state.providers.get_again(&input.provider, call.now).await {
                Ok(fresh) if fresh != provider => judge_by(fresh).await?,
                _ => return Err(error),
            }
        }
        other => other?,
    };

    let denied = |why: &str| StsError::not_authorized(ACTION).because(why);
    let Some((subject, subject_type)) = claims.subject.clone() else {
        return Err(denied("the assertion has no NameID"));
    };
    if input.role.role().name().starts_with("AWSReservedSSO_") {
        return Err(denied("roles of Identity Center are not for SAML providers"));
    }
    let region = call.region(input.role.partition());
    let explanation = authorize::assume(
        &iam,
        &Bearer { principal: Principal::SamlProvider(input.provider.clone()), session: None },
        &Assumption {
            way: Way::Saml,
            role: &input.role,
            session_name: &claims.session_name,
            external_id: None,
            tags: &claims.tags.tags,
            transitive_tag_keys: &claims.tags.transitive,
            source_identity: claims.source_identity.as_deref(),
            mfa: false,
            provided_contexts: false,
            context: context(call, region.as_str(), &input.provider, &claims),
        },
    );
    if let Some(answer) = explanation.denied() {
        return Err(StsError::not_authorized(&answer.action).because(answer.why()));
    }
    let role = iam.role(&input.role).ok_or_else(|| denied("there is no such role"))?;
    ensure_active(state, input.role.account(), region.as_str())?;
    let seconds = duration(&input, &claims, role.max_session, call.now)?;
    session::check_managed(&iam, &input.policies, input.role.partition(), input.role.account())?;
    let name_qualifier = name_qualifier(&claims.issuer, &input.provider);

    let packed = packed_size(&input.policies, &claims.tags)?;

    let (issued_at, expires_at) = lifetime(call.now, seconds);
    let session = Session {
        holder: Holder::Role(AssumedRole {
            role: role.arn.clone(),
            role_id: role.role_id.clone(),
            session_name: claims.session_name.clone(),
            how: How::Federated(Origin::Saml {
                provider: input.provider.clone(),
                subject: subject.clone(),
                subject_type: subject_type.clone(),
                name_qualifier: name_qualifier.clone(),
            }),
        }),
        policies: input.policies,
        source_identity: claims.source_identity.clone(),
        tags: claims.tags.tags.clone(),
        transitive_tag_keys: claims.tags.transitive.clone(),
        issued_at,
        expires_at,
    };

    let mut members = vec![
        session::assumed_role_user(&session),
        session::credentials(&state.mint.issue(&session, &*state.rng)),
        Member::text("Subject", subject.as_str()),
        Member::text("SubjectType", subject_type.as_str()),
        Member::text("Issuer", &claims.issuer),
        Member::text("Audience", &claims.recipient),
        Member::text("NameQualifier", name_qualifier),
    ];
    members.extend(packed.map(|packed| Member::text("PackedPolicySize", packed.to_string())));
    members.extend(claims.source_identity.map(|identity| Member::text("SourceIdentity", identity)));
    Ok(members)
}

fn input(call: &Call<'_>) -> Result<Input, StsError> {
    let params: &Params = &call.params;
    let duration_secs = query::integer(params, "DurationSeconds")?;
    let mut checks = Checks::default();
    let role = checks.required(params, "RoleArn", &query::ARN);
    let provider = checks.required(params, "PrincipalArn", &query::ARN);
    let assertion = checks.required(params, "SAMLAssertion", &query::SAML_ASSERTION);
    let policies = AskedPolicies::read(params, &mut checks, &query::SESSION_POLICY);
    if let Some(seconds) = duration_secs {
        checks.range("DurationSeconds", seconds, 900, 43_200);
    }
    checks.finish()?;

    session::check_arn(role)?;
    session::check_arn(provider)?;
    let policies = policies.checked()?;
    // Line breaks inside base64 are common in files and mean nothing.
    let packed: Vec<u8> = assertion.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let xml = STANDARD.decode(packed).map_err(|error| bad_form(call.request_id, &error))?;
    // An ARN of some other kind names no role and no provider; which of the two texts follows is as for a missing one.
    let provider = provider.parse().map_err(|_| {
        StsError::invalid_identity_token_from_service(
            "Specified provider doesn't exist",
            "AuthSamlManifestNotFoundException",
            call.request_id,
        )
    })?;
    let role = role.parse().map_err(|_| StsError::not_authorized(ACTION).because("not the ARN of a role"))?;
    Ok(Input { role, provider, xml, duration_secs, policies })
}

fn bad_form(request_id: &str, why: &dyn Display) -> StsError {
    StsError::invalid_identity_token_from_service(
        "Invalid base64 SAMLResponse",
        "AuthSamlInvalidSamlResponseException",
        request_id,
    )
    .because(why.to_string())
}

const BAD_SIGNATURE: &str = "Response signature invalid";

/// What the caller asked for, as far as judging the assertion needs it.
struct Asked {
    role: RoleArn,
    provider: ProviderArn,
    now: Timestamp,
}

/// Everything that can be said from the assertion and the provider alone.
fn judge(provider: &TrustedProvider, xml: &[u8], asked: &Asked, request_id: &str) -> Result<Claims, StsError> {
    let bad_signature = |why: &dyn Display| StsError::invalid_identity_token(BAD_SIGNATURE).because(why.to_string());
    let bad_form = |why: &dyn Display| bad_form(request_id, why);
    let gated = gate::admit(xml, Root::Response, &Limits::MESSAGE, Sha1::Refused)
        .map_err(|error| if is_about_signature(&error) { bad_signature(&error) } else { bad_form(&error) })?;
    let response = Response::read(gated.root()).map_err(|error| bad_form(&error))?;
    if response.status.as_ref().is_none_or(|status| status.code != names::SUCCESS) {
        // A refusal comes without an assertion, and often without a signature: there is nothing to verify before.
        return Err(StsError::idp_rejected_claim("The identity provider reported that authentication failed")
            .because(format!("status {:?}", response.status)));
    }
    let unverified = gated.assertion().ok_or_else(|| bad_form(&"there is no assertion that is not encrypted"))?;
    let issuer = Assertion::read(unverified).map_err(|error| bad_form(&error))?.issuer;
    let certificates = issuer.and_then(|issuer| provider.certificates(issuer)).ok_or_else(|| {
        StsError::invalid_identity_token(
            "Issuer not present in specified provider (service: AWSOpenIdDiscoveryService; status code: 400; error \
             code: AuthSamlInvalidSamlResponseException)",
        )
        .because(format!("issuer {issuer:?}, provider {}", provider.entity_ids()))
    })?;
    let verified = signature::verify(&gated, certificates, Sha1::Refused).map_err(|error| bad_signature(&error))?;

    // From here on only what was signed is read.
    let signed = verified.open(&Limits::MESSAGE, Sha1::Refused).map_err(|error| bad_signature(&error))?;
    let node = signed.assertion().ok_or_else(|| bad_signature(&"the signature does not cover the assertion"))?;
    let assertion = Assertion::read(node).map_err(|error| bad_form(&error))?;
    if assertion.issuer != issuer {
        return Err(bad_signature(&"the signed issuer is another"));
    }
    let partition = asked.provider.partition();
    let (recipient, not_on_or_after) = confirmation(&assertion, partition)?;
    check_audience(&assertion, partition)?;
    check_time(&response, &assertion, not_on_or_after, asked.now)?;
    let claims = claims(&assertion, recipient)?;
    let (role, provider) = (asked.role.to_string(), asked.provider.to_string());
    let listed = claims.roles.iter().any(|value| {
        value.split_once(',').is_some_and(|(first, second)| {
            let (first, second) = (first.trim(), second.trim());
            // Some identity providers write the provider first.
            (first == role && second == provider) || (first == provider && second == role)
        })
    });
    if listed {
        Ok(claims)
    } else {
        Err(StsError::invalid_identity_token(
            "SAML Assertion doesn't contain the requested Role and Metadata in the attributes",
        ))
    }
}

/// Whether the document was refused for a signature that cannot be believed, rather than for being no message at all.
fn is_about_signature(error: &GateError) -> bool {
    matches!(
        error,
        GateError::SeveralSignatures(_)
            | GateError::SignatureShape(_)
            | GateError::Reference(_)
            | GateError::Transform(_)
            | GateError::AlgorithmRefused { .. }
            | GateError::Sha1Refused
    )
}

/// The one bearer confirmation: its recipient and its end.
fn confirmation(assertion: &Assertion<'_>, partition: Partition) -> Result<(String, Timestamp), StsError> {
    let confirmations = assertion.subject.as_ref().map_or(&[][..], |subject| &subject.confirmations);
    let complete = match confirmations {
        [one] if one.method == names::BEARER => one.recipient.zip(one.not_on_or_after),
        _ => None,
    };
    let (recipient, end) = complete.ok_or_else(|| {
        StsError::invalid_identity_token(
            "Responses must contain SubjectConfirmatonData with a Recipient and NotOnOrAfter",
        )
    })?;
    if is_sign_in_endpoint(recipient, partition) {
        Ok((recipient.to_owned(), end))
    } else {
        Err(no_audience().because(format!("{recipient} is no sign-in endpoint of {partition}")))
    }
}

fn no_audience() -> StsError {
    StsError::invalid_identity_token("Response does not contain the required audience.")
}

/// `https://{host}/saml`, or `https://{region}.{host}/saml[/acs/{provider id}]`.
fn is_sign_in_endpoint(url: &str, partition: Partition) -> bool {
    let host = partition.sign_in_host();
    let Some((authority, path)) = url.strip_prefix("https://").and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    let regional = authority
        .strip_suffix(host)
        .and_then(|rest| rest.strip_suffix('.'))
        .and_then(|region| region.parse::<Region>().ok())
        .is_some_and(|region| partition.has_region(&region));
    let provider_id = path
        .strip_prefix("saml/acs/")
        .is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    (path == "saml" && (authority == host || regional)) || (provider_id && regional)
}

/// Every restriction must name AWS: by its entity ID, or by the endpoint, perhaps with a `#n` behind it.
fn check_audience(assertion: &Assertion<'_>, partition: Partition) -> Result<(), StsError> {
    let restrictions = assertion.conditions.as_ref().map_or(&[][..], |conditions| &conditions.audience_restrictions);
    let is_aws = |audience: &&str| {
        *audience == partition.saml_audience()
            || (partition == Partition::AwsCn && *audience == "urn:amazon:webservices:cn-northwest-1")
            || is_sign_in_endpoint(audience.split('#').next().unwrap_or_default(), partition)
    };
    if !restrictions.is_empty() && restrictions.iter().all(|audiences| audiences.iter().any(is_aws)) {
        Ok(())
    } else {
        Err(no_audience().because(format!("audiences {restrictions:?}")))
    }
}

fn check_time(
    response: &Response<'_>,
    assertion: &Assertion<'_>,
    confirmed_until: Timestamp,
    now: Timestamp,
) -> Result<(), StsError> {
    let expired = |why: &str, at: Timestamp| {
        Err(StsError::expired_token("Token must be redeemed within 5 minutes of issuance")
            .because(format!("{why} {at}, now {now}")))
    };
    for issued in [response.issue_instant, assertion.issue_instant] {
        if now > issued + WINDOW || issued > now + SKEW {
            return expired("issued", issued);
        }
    }
    let conditions = assertion.conditions.as_ref();
    if let Some(start) = conditions.and_then(|conditions| conditions.not_before).filter(|start| *start > now + SKEW) {
        return expired("not before", start);
    }
    let ends = [Some(confirmed_until), conditions.and_then(|conditions| conditions.not_on_or_after)];
    match ends.into_iter().flatten().min() {
        Some(end) if now >= end => expired("not on or after", end),
        _ => Ok(()),
    }
}

fn claims(assertion: &Assertion<'_>, recipient: String) -> Result<Claims, StsError> {
    let invalid = StsError::invalid_identity_token;
    let aws = |name: &str| {
        assertion
            .attributes
            .iter()
            .filter(|attribute| attribute.name.strip_prefix(PREFIX) == Some(name))
            .flat_map(|attribute| attribute.values.iter().copied())
            .collect::<Vec<&str>>()
    };
    let session_name = match aws("RoleSessionName")[..] {
        [] => return Err(invalid("RoleSessionName is required in AuthnResponse")),
        [name] if is_session_name(name) => name.to_owned(),
        _ => return Err(invalid("RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}")),
    };
    let source_identity = match aws("SourceIdentity")[..] {
        [] => None,
        // The charset has no colon, so `aws:` is ruled out with it.
        [identity] if is_session_name(identity) => Some(identity.to_owned()),
        _ => {
            return Err(invalid("Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with \"aws:\""));
        }
    };
    let session_duration_secs = match aws("SessionDuration")[..] {
        [] => None,
        [text] => match text.parse::<i64>() {
            Ok(seconds) if (900..=43_200).contains(&seconds) => Some(seconds),
            _ => return Err(invalid("SessionDuration in AuthnResponse must be between 900 and 43200")),
        },
        _ => return Err(invalid("SessionDuration in AuthnResponse must have one value")),
    };
    let transitive: Vec<String> = aws("TransitiveTagKeys").into_iter().map(str::to_owned).collect();
    let tags = tags(&assertion.attributes, &transitive)?;
    let name_id = assertion.subject.as_ref().and_then(|subject| subject.name_id.as_ref());
    Ok(Claims {
        issuer: assertion.issuer.unwrap_or_default().to_owned(),
        subject: name_id.filter(|name| !name.value.is_empty()).map(|name| {
            let format = name.format.unwrap_or("urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified");
            (name.value.to_owned(), format.strip_prefix(NAME_FORMAT).unwrap_or(format).to_owned())
        }),
        recipient,
        session_name,
        source_identity,
        tags,
        session_duration_secs,
        session_not_on_or_after: assertion
            .authn_statements
            .iter()
            .filter_map(|statement| statement.session_not_on_or_after)
            .min(),
        keys: condition_keys(&assertion.attributes),
        roles: aws("Role").into_iter().map(str::to_owned).collect(),
    })
}

/// `roleSessionNameType`, as the texts about assertions write it.
fn is_session_name(text: &str) -> bool {
    (2..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
}

fn tags(attributes: &[Attribute<'_>], transitive: &[String]) -> Result<Tags, StsError> {
    let mut pairs = Vec::new();
    let mut checks = Checks::default();
    for attribute in attributes {
        let Some(key) = attribute.name.strip_prefix(PREFIX).and_then(|name| name.strip_prefix("PrincipalTag:")) else {
            continue;
        };
        let value = match attribute.values[..] {
            [] => "",
            [value] => value,
            _ => return Err(StsError::invalid_identity_token(format!("The tag {key} must have one value"))),
        };
        let number = pairs.len() + 1;
        checks.text(&format!("tags.{number}.member.key"), key, &query::TAG_KEY);
        checks.text(&format!("tags.{number}.member.value"), value, &query::TAG_VALUE);
        pairs.push((key, value));
    }
    checks.count("tags", pairs.len(), session::MAX_TAGS);
    checks.finish()?;
    Tags::new(pairs, transitive)
}

/// Which further attributes become which keys. AWS's documentation misprints two OIDs; both spellings are read.
const KEYS: &[(&str, &str, KeyKind)] = &[
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.1", "saml:edupersonaffiliation", KeyKind::Many),
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.2", "saml:edupersonnickname", KeyKind::Many),
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.3", "saml:edupersonorgdn", KeyKind::One),
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.4", "saml:edupersonorgunitdn", KeyKind::Many),
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.5", "saml:edupersonprimaryaffiliation", KeyKind::One),
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.6", "saml:edupersonprincipalname", KeyKind::One),
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.7", "saml:edupersonentitlement", KeyKind::Many),
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.8", "saml:edupersonprimaryorgunitdn", KeyKind::One),
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.9", "saml:edupersonscopedaffiliation", KeyKind::Many),
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.10", "saml:edupersontargetedid", KeyKind::Many),
    ("urn:oid:1.3.6.1.4.1.5923.1.1.1.11", "saml:edupersonassurance", KeyKind::Many),
    ("urn:oid:1.3.6.1.4.1.5923.1.2.1.2", "saml:eduorghomepageuri", KeyKind::Many),
    ("urn:oid:1.3.6.1.4.1.5923.1.2.1.3", "saml:eduorgidentityauthnpolicyuri", KeyKind::Many),
    ("urn:oid:1.3.6.1.4.1.5923.1.2.1.4", "saml:eduorglegalname", KeyKind::Many),
    ("urn:oid:1.3.6.1.4.1.5923.1.2.1.5", "saml:eduorgsuperioruri", KeyKind::Many),
    ("urn:oid:1.3.6.1.4.1.5923.1.2.1.6", "saml:eduorgwhitepagesuri", KeyKind::Many),
    ("urn:oid:2.5.4.3", "saml:cn", KeyKind::Many),
    ("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name", "saml:name", KeyKind::Many),
    ("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname", "saml:givenName", KeyKind::Many),
    ("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/surname", "saml:surname", KeyKind::Many),
    ("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress", "saml:mail", KeyKind::Many),
    ("http://schemas.xmlsoap.org/claims/CommonName", "saml:commonName", KeyKind::Many),
    ("http://schemas.microsoft.com/ws/2008/06/identity/claims/primarygroupsid", "saml:uid", KeyKind::Many),
    ("2.5.4.3", "saml:commonName", KeyKind::Many),
    ("2.5.4.4", "saml:surname", KeyKind::Many),
    ("2.5.4.42", "saml:givenName", KeyKind::Many),
    ("2.4.5.42", "saml:givenName", KeyKind::Many),
    ("2.5.4.45", "saml:x500UniqueIdentifier", KeyKind::Many),
    ("0.9.2342.19200300100.1.1", "saml:uid", KeyKind::Many),
    ("0.9.2342.19200300100.1.3", "saml:mail", KeyKind::Many),
    ("0.9.2342.19200300100.1.45", "saml:organizationStatus", KeyKind::Many),
    ("0.9.2342.19200300.100.1.45", "saml:organizationStatus", KeyKind::Many),
];

fn condition_keys(attributes: &[Attribute<'_>]) -> Vec<(&'static str, KeyKind, Vec<String>)> {
    let mut keys: Vec<(&'static str, KeyKind, Vec<String>)> = Vec::new();
    for attribute in attributes {
        // Of two claims for one key only one counts, and which is not said: here the first.
        if let Some((_, key, kind)) = KEYS.iter().find(|(name, _, _)| *name == attribute.name)
            && keys.iter().all(|(known, _, _)| known != key)
        {
            keys.push((key, *kind, attribute.values.iter().map(ToString::to_string).collect()));
        }
    }
    keys
}

/// What the trust policy may look at, beside what every way of assuming a role has.
fn context(call: &Call<'_>, region: &str, provider: &ProviderArn, claims: &Claims) -> Context {
    let mut context = call.context(region);
    context.set("saml:aud", &claims.recipient);
    context.set("saml:iss", &claims.issuer);
    if let Some((subject, subject_type)) = &claims.subject {
        context.set("saml:sub", subject);
        context.set("saml:sub_type", subject_type);
    }
    context.set("saml:doc", format!("{}/{}", provider.account(), provider.name()));
    context.set("saml:namequalifier", name_qualifier(&claims.issuer, provider));
    for (key, kind, values) in &claims.keys {
        match (kind, values.first()) {
            (KeyKind::One, Some(value)) => context.set(key, value),
            _ => context.set_many(key, values.iter().cloned()),
        }
    }
    context.set("aws:FederatedProvider", provider.to_string());
    context
}

/// How long the credentials live, in seconds.
fn duration(input: &Input, claims: &Claims, role_max: SessionDuration, now: Timestamp) -> Result<i64, StsError> {
    let mut seconds = session::duration(input.duration_secs, role_max)?;
    if let Some(shorter) = claims.session_duration_secs {
        seconds = seconds.min(shorter);
    }
    if let Some(end) = claims.session_not_on_or_after {
        seconds = seconds.min(end.as_second() - now.as_second());
    }
    if seconds > 0 {
        Ok(seconds)
    } else {
        Err(StsError::expired_token("Token must be redeemed within 5 minutes of issuance")
            .because("SessionNotOnOrAfter is past"))
    }
}

/// `Base64(SHA1(issuer + account + "/" + provider name))`: names the identity provider for one account.
fn name_qualifier(issuer: &str, provider: &ProviderArn) -> String {
    let text = format!("{issuer}{}/{}", provider.account(), provider.name());
    STANDARD.encode(hash(MessageDigest::sha1(), text.as_bytes()).expect("SHA-1 of any text can be computed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_qualifier_is_the_one_aws_documents() {
        for (issuer, provider, expected) in [
            (
                "https://example.com/saml",
                "arn:aws:iam::123456789012:saml-provider/MySAMLIdP",
                "1uAJanUnBc2XeUkHURMht+xam2c=",
            ),
            (
                "https://broker.example.test/saml/idp",
                "arn:aws:iam::111122223333:saml-provider/broker",
                "Yw3S1H35Ib6byfdrkg4HLz3BUDI=",
            ),
        ] {
            assert_eq!(name_qualifier(issuer, &provider.parse().unwrap()), expected);
        }
    }

    #[test]
    fn sign_in_endpoints_are_those_of_the_partition() {
        for good in [
            "https://signin.aws.amazon.com/saml",
            "https://eu-west-1.signin.aws.amazon.com/saml",
            "https://eu-west-1.signin.aws.amazon.com/saml/acs/SAMLSPXYZ1",
        ] {
            assert!(is_sign_in_endpoint(good, Partition::Aws), "{good}");
            assert!(!is_sign_in_endpoint(good, Partition::AwsCn), "{good}");
        }
        for bad in [
            "http://signin.aws.amazon.com/saml",
            "https://signin.aws.amazon.com/saml/",
            "https://signin.aws.amazon.com/saml/acs/X",
            "https://evil.signin.aws.amazon.com.evil.example/saml",
            "https://evil.example/https://signin.aws.amazon.com/saml",
            "https://us-gov-west-1.signin.aws.amazon.com/saml",
            "https://eu-west-1.signin.aws.amazon.com/saml/acs/",
            "",
        ] {
            assert!(!is_sign_in_endpoint(bad, Partition::Aws), "{bad}");
        }
        assert!(is_sign_in_endpoint("https://signin.amazonaws-us-gov.com/saml", Partition::AwsUsGov));
    }
}
