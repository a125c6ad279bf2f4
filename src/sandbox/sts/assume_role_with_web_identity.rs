//! `AssumeRoleWithWebIdentity`: a token of an OpenID provider becomes a session.
//!
//! AWS does not publish the order in which it judges. Here: the protocol, the form of the token, the provider in the
//! role's account, its keys and the signature, the audience, time, the claims for tags and source identity, the role's
//! trust policy, and the duration last.

use actix_web::web;
use serde_json::{Map, Value};

use super::answer::Member;
use super::error::StsError;
use super::query::{self, Checks};
use super::session::{self, AskedPolicies, Tags, lifetime, packed_size};
use super::web_identity::jwt::Jwt;
use super::web_identity::keys::{KeysError, Known};
use super::{Call, ensure_active};
use crate::aws::RoleArn;
use crate::sandbox::State;
use crate::sandbox::authorize::{self, Assumption, Bearer, Way};
use crate::sandbox::credentials::{AssumedRole, Holder, How, Origin, Session, SessionPolicies};
use crate::sandbox::iam::OidcProvider;
use crate::sandbox::policy::{Context, Principal};

const ACTION: &str = "sts:AssumeRoleWithWebIdentity";
const TAGS: &str = "https://aws.amazon.com/tags";
const SOURCE_IDENTITY: &str = "https://aws.amazon.com/source_identity";
/// How far the issuer's clock may be ahead of ours, in seconds.
const SKEW_SECS: i64 = 300;
const NO_KEY: &str = "Couldn't retrieve verification key from your identity provider,  please reference \
                      AssumeRoleWithWebIdentity documentation for requirements";
/// Its tokens say in `azp` whom they are for.
const GOOGLE: &str = "https://accounts.google.com";

/// The call's parameters, each of them valid by itself.
struct Input<'a> {
    role: &'a str,
    session_name: &'a str,
    token: &'a str,
    duration_secs: Option<i32>,
    policies: SessionPolicies,
}

/// What the token says, as far as AWS looks at it.
struct Claims {
    subject: String,
    audience: String,
    tags: Tags,
    source_identity: Option<String>,
    /// Condition keys made of further claims.
    keys: Vec<(&'static str, Vec<String>)>,
}

pub async fn run(state: &web::Data<State>, call: &Call<'_>) -> Result<Vec<Member>, StsError> {
    let input = input(call)?;
    let denied = |why: &str| StsError::not_authorized(ACTION).because(why);
    let arn: RoleArn = input.role.parse().map_err(|_| denied("not the ARN of a role"))?;
    let invalid = StsError::invalid_identity_token;
    let jwt = Jwt::read(input.token).map_err(|error| {
        invalid("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
            .because(error.to_string())
    })?;
    let iam = state.iam.now();
    let issuer = jwt.text("iss").ok_or_else(|| missing("iss"))?;
    // Tokens of Google name their issuer in two ways.
    let issuer = if issuer == "accounts.google.com" { GOOGLE } else { issuer };
    let provider = iam.oidc_provider(arn.account(), issuer).ok_or_else(|| {
        StsError::invalid_identity_token(format!("No OpenIDConnect provider found in your account for {issuer}"))
    })?;
    verify(state, &jwt, provider, call).await?;
    let claims = claims(&jwt, provider, call.now.as_second())?;

    let mut context = call.context(call.region(arn.partition()).as_str());
    let prefix = provider.key_prefix();
    context.set(&format!("{prefix}:aud"), &claims.audience);
    context.set(&format!("{prefix}:sub"), &claims.subject);
    for (name, values) in &claims.keys {
        set(&mut context, &format!("{prefix}:{name}"), values);
    }
    context.set("aws:FederatedProvider", &provider.arn);
    let explanation = authorize::assume(
        &iam,
        &Bearer { principal: Principal::OidcProvider(provider.arn.clone()), session: None },
        &Assumption {
            way: Way::WebIdentity,
            role: &arn,
            session_name: input.session_name,
            external_id: None,
            tags: &claims.tags.tags,
            transitive_tag_keys: &claims.tags.transitive,
            source_identity: claims.source_identity.as_deref(),
            mfa: false,
            provided_contexts: false,
            context,
        },
    );
    if let Some(answer) = explanation.denied() {
        return Err(StsError::not_authorized(&answer.action).because(answer.why()));
    }
    let role = iam.role(&arn).ok_or_else(|| denied("there is no such role"))?;
    ensure_active(state, arn.account(), call.region(arn.partition()).as_str())?;
    let seconds = session::duration(input.duration_secs, role.max_session)?;
    session::check_managed(&iam, &input.policies, arn.partition(), arn.account())?;
    let packed = packed_size(&input.policies, &claims.tags)?;

    let (issued_at, expires_at) = lifetime(call.now, seconds);
    let session = Session {
        holder: Holder::Role(AssumedRole {
            role: arn,
            role_id: role.role_id.clone(),
            session_name: input.session_name.to_owned(),
            how: How::Federated(Origin::WebIdentity {
                provider: provider.arn.clone(),
                issuer: prefix.to_owned(),
                subject: claims.subject.clone(),
                audience: claims.audience.clone(),
            }),
        }),
        policies: input.policies,
        source_identity: claims.source_identity.clone(),
        tags: claims.tags.tags,
        transitive_tag_keys: claims.tags.transitive,
        issued_at,
        expires_at,
    };
    let mut members = vec![
        Member::text("SubjectFromWebIdentityToken", &claims.subject),
        session::assumed_role_user(&session),
        session::credentials(&state.mint.issue(&session, &*state.rng)),
        Member::text("Provider", &provider.arn),
        Member::text("Audience", &claims.audience),
    ];
    members.extend(packed.map(|packed| Member::text("PackedPolicySize", packed.to_string())));
    members.extend(claims.source_identity.map(|identity| Member::text("SourceIdentity", identity)));
    Ok(members)
}

fn input<'a>(call: &'a Call<'_>) -> Result<Input<'a>, StsError> {
    let params = &call.params;
    let duration_secs = query::integer(params, "DurationSeconds")?;
    let mut checks = Checks::default();
    let role = checks.required(params, "RoleArn", &query::ARN);
    let session_name = checks.required(params, "RoleSessionName", &query::ROLE_SESSION_NAME);
    let token = checks.required(params, "WebIdentityToken", &query::CLIENT_TOKEN);
    let provider_id = checks.optional(params, "ProviderId", &query::URL);
    let policies = AskedPolicies::read(params, &mut checks, &query::SESSION_POLICY);
    if let Some(seconds) = duration_secs {
        checks.range("DurationSeconds", seconds, 900, 43_200);
    }
    checks.finish()?;
    session::check_arn(role)?;
    let policies = policies.checked()?;
    match provider_id {
        None => Ok(Input { role, session_name, token, duration_secs, policies }),
        // It is for OAuth 2.0 access tokens of two providers, whom nobody can ask from here.
        Some(_) => Err(StsError::invalid_identity_token(
            "ProviderId is only for OAuth 2.0 access tokens of www.amazon.com and graph.facebook.com; do not specify it \
             for OpenID Connect ID tokens",
        )),
    }
}

fn missing(claim: &str) -> StsError {
    StsError::invalid_identity_token(format!("Missing a required claim: {claim}"))
}

/// The signature, by a key that the provider publishes now.
async fn verify(state: &State, jwt: &Jwt<'_>, provider: &OidcProvider, call: &Call<'_>) -> Result<(), StsError> {
    let failed = |error: KeysError| match error {
        KeysError::Away(_) => StsError::idp_communication(error.to_string()),
        KeysError::Fetch(_) | KeysError::Address | KeysError::Discovery | KeysError::Empty => {
            StsError::invalid_identity_token(NO_KEY).because(error.to_string())
        }
    };
    let by = |known: &Known| {
        known
            .keys
            .iter()
            .filter(|key| jwt.key_id.is_none() || key.id.is_none() || key.id == jwt.key_id)
            .any(|key| jwt.is_signed_by(key))
    };
    let known = state.issuer_keys.get(&provider.url, call.now).await.map_err(failed)?;
    let known = if by(&known) {
        return Ok(());
    } else if known.fetched_now {
        known
    } else {
        // The provider may have begun to sign with another key since.
        state.issuer_keys.refresh(&provider.url, call.now).await.map_err(failed)?
    };
    if by(&known) {
        Ok(())
    } else if known.keys.iter().any(|key| jwt.key_id.is_none() || key.id == jwt.key_id) {
        Err(StsError::invalid_identity_token("Invalid token signature"))
    } else {
        Err(StsError::invalid_identity_token(NO_KEY).because(format!("no key is called {:?}", jwt.key_id)))
    }
}

/// Audience, time, subject, tags and source identity, in this order.
fn claims(jwt: &Jwt<'_>, provider: &OidcProvider, now: i64) -> Result<Claims, StsError> {
    let invalid = StsError::invalid_identity_token;
    let audience = audience(jwt, provider)?;
    let expires = jwt.seconds("exp").ok_or_else(|| missing("exp"))?;
    if now >= expires {
        return Err(StsError::expired_token(format!(
            "Token expired: current date/time {now} must be before the expiration date/time {expires}"
        )));
    }
    let issued = jwt.seconds("iat").ok_or_else(|| missing("iat"))?;
    if issued > now + SKEW_SECS || jwt.seconds("nbf").is_some_and(|from| from > now + SKEW_SECS) {
        return Err(invalid("Token is not yet valid"));
    }
    let subject = jwt.text("sub").filter(|subject| !subject.is_empty()).ok_or_else(|| missing("sub"))?;
    let source_identity = match jwt.claims.get(SOURCE_IDENTITY) {
        None => None,
        Some(Value::String(identity)) if query::SOURCE_IDENTITY_CLAIM.fits(identity) => Some(identity.clone()),
        Some(_) => {
            return Err(invalid("Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with \"aws:\""));
        }
    };
    let mut keys = vec![("amr", owned(&jwt.texts("amr")))];
    if provider.url == GOOGLE {
        keys.push(("oaud", owned(&jwt.texts("aud"))));
        keys.push(("azp", owned(&jwt.texts("azp"))));
        keys.push(("email", owned(&jwt.texts("email"))));
    }
    Ok(Claims { subject: subject.to_owned(), audience, tags: tags(&jwt.claims)?, source_identity, keys })
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// `amr` is a list even with one value; the others have one each.
fn set(context: &mut Context, key: &str, values: &[String]) {
    match values {
        [one] if !key.ends_with(":amr") => context.set(key, one),
        _ => context.set_many(key, values.iter().cloned()),
    }
}

/// Whom the token is for: one of the provider's client ids. Where it is for several, `azp` says for which.
fn audience(jwt: &Jwt<'_>, provider: &OidcProvider) -> Result<String, StsError> {
    let audiences = jwt.texts("aud");
    if audiences.is_empty() {
        return Err(missing("aud"));
    }
    let party = jwt.text("azp").filter(|_| provider.url == GOOGLE || audiences.len() > 1);
    let candidates = party.map_or(audiences, |party| vec![party]);
    candidates
        .into_iter()
        .find(|audience| provider.client_ids.iter().any(|id| id == audience))
        .map(str::to_owned)
        .ok_or_else(|| StsError::invalid_identity_token("Incorrect token audience"))
}

/// `{"principal_tags": {"Key": ["value"]}, "transitive_tag_keys": ["Key"]}`, or the same flattened into claims of their
/// own, for providers that cannot nest.
fn tags(claims: &Map<String, Value>) -> Result<Tags, StsError> {
    let invalid = |why: &str| StsError::invalid_identity_token(format!("The claim {TAGS} {why}"));
    let mut found: Vec<(&str, &str)> = Vec::new();
    let mut transitive: Vec<String> = Vec::new();
    let value = |value: &'_ Value| -> Option<String> {
        match value {
            Value::String(text) => Some(text.clone()),
            Value::Array(list) => match list.as_slice() {
                [Value::String(text)] => Some(text.clone()),
                _ => None,
            },
            _ => None,
        }
    };
    let keys = |value: &Value| -> Option<Vec<String>> {
        value.as_array()?.iter().map(|key| key.as_str().map(str::to_owned)).collect()
    };
    let mut pairs: Vec<(String, String)> = Vec::new();
    match claims.get(TAGS) {
        None => {}
        Some(Value::Object(object)) => {
            if let Some(tags) = object.get("principal_tags") {
                let tags = tags.as_object().ok_or_else(|| invalid("has principal_tags that are not an object"))?;
                for (key, values) in tags {
                    let value = value(values).ok_or_else(|| invalid("must have one value for each tag"))?;
                    pairs.push((key.clone(), value));
                }
            }
            if let Some(list) = object.get("transitive_tag_keys") {
                transitive = keys(list).ok_or_else(|| invalid("has transitive_tag_keys that are not a list"))?;
            }
        }
        Some(_) => return Err(invalid("is not an object")),
    }
    for (claim, values) in claims {
        match claim.strip_prefix(TAGS).and_then(|rest| rest.strip_prefix('/')) {
            Some("transitive_tag_keys") => {
                transitive.extend(keys(values).ok_or_else(|| invalid("has transitive_tag_keys that are not a list"))?);
            }
            Some(rest) => {
                if let Some(key) = rest.strip_prefix("principal_tags/") {
                    let value = value(values).ok_or_else(|| invalid("must have one value for each tag"))?;
                    pairs.push((key.to_owned(), value));
                }
            }
            None => {}
        }
    }
    let mut checks = Checks::default();
    checks.count("tags", pairs.len(), session::MAX_TAGS);
    for (number, (key, value)) in (1..).zip(&pairs) {
        checks.text(&format!("tags.{number}.member.key"), key, &query::TAG_KEY);
        checks.text(&format!("tags.{number}.member.value"), value, &query::TAG_VALUE);
        found.push((key, value));
    }
    checks.finish()?;
    Tags::new(found, &transitive)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(claims: &Value) -> Result<Tags, StsError> {
        tags(claims.as_object().unwrap())
    }

    #[test]
    fn tags_may_be_nested_or_flat() {
        let expected = Tags::new([("Project", "Pegasus"), ("Team", "")], &["Project".to_owned()]).unwrap();
        let nested = json!({ TAGS: {
            "principal_tags": { "Project": ["Pegasus"], "Team": [""] },
            "transitive_tag_keys": ["Project"],
        }});
        assert_eq!(read(&nested).unwrap(), expected);
        let flat = json!({
            "https://aws.amazon.com/tags/principal_tags/Project": "Pegasus",
            "https://aws.amazon.com/tags/principal_tags/Team": [""],
            "https://aws.amazon.com/tags/transitive_tag_keys": ["Project"],
        });
        assert_eq!(read(&flat).unwrap(), expected);
        assert!(read(&json!({ "sub": "x" })).unwrap().is_empty());
    }

    #[test]
    fn tags_of_a_wrong_form_are_refused() {
        for (claims, code) in [
            (json!({ TAGS: "x" }), "InvalidIdentityToken"),
            (json!({ TAGS: { "principal_tags": [] } }), "InvalidIdentityToken"),
            (json!({ TAGS: { "principal_tags": { "Team": ["a", "b"] } } }), "InvalidIdentityToken"),
            (json!({ TAGS: { "principal_tags": { "Team": [1] } } }), "InvalidIdentityToken"),
            (json!({ TAGS: { "transitive_tag_keys": "Team" } }), "InvalidIdentityToken"),
            (json!({ TAGS: { "transitive_tag_keys": ["Team"] } }), "InvalidParameterValue"),
            (json!({ TAGS: { "principal_tags": { "aws:x": ["a"] } } }), "InvalidParameterValue"),
            (json!({ TAGS: { "principal_tags": { "a*b": ["a"] } } }), "ValidationError"),
        ] {
            assert_eq!(read(&claims).unwrap_err().code, code, "{claims}");
        }
    }
}
