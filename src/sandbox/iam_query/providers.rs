//! Identity providers an account trusts, and managed policies of its own.

use super::read::{DESCRIPTION, DOCUMENT, METADATA, POLICY_NAME, URL};
use super::{Answered, Call, Resource, shapes};
use crate::aws::{ProviderArn, SamlProviderName};
use crate::sandbox::iam::{Iam, OidcProvider, without_scheme};
use crate::sandbox::sts::{ARN, Member, StsError};

/// Of AWS.
const MAX_PROVIDERS: usize = 100;
const MAX_CLIENT_IDS: usize = 100;
const MAX_POLICIES: usize = 1500;
/// Characters of a managed policy, without white space.
const MAX_POLICY: usize = 6144;

fn plain(arn: String) -> Resource {
    Resource { name: arn.clone(), arn }
}

fn invalid(message: impl Into<String>) -> StsError {
    StsError::other(400, "InvalidInput", message)
}

fn missing(arn: &str) -> StsError {
    StsError::other(404, "NoSuchEntity", format!("{arn} does not exist or is not of this account."))
}

fn too_many(message: String) -> StsError {
    super::roles::limit(message)
}

pub fn create_policy(call: &Call<'_>) -> Answered {
    let [name, document] = call.texts([("PolicyName", &POLICY_NAME), ("PolicyDocument", &DOCUMENT)])?;
    let description = call.optional("Description", &DESCRIPTION)?.unwrap_or_default();
    let placed = call.placed(name)?;
    let arn = call.arn(&format!("policy/{placed}"));
    call.require("CreatePolicy", &Resource { arn: arn.clone(), name: format!("policy {name}") }, &[])?;
    if document.chars().filter(|c| !c.is_whitespace()).count() > MAX_POLICY {
        return Err(too_many(format!("Cannot exceed quota for PolicySize: {MAX_POLICY}")));
    }
    if call.iam().policies(call.account()).count() >= MAX_POLICIES {
        return Err(too_many(format!("Cannot exceed quota for PoliciesPerAccount: {MAX_POLICIES}")));
    }
    call.change(|iam| {
        if iam.managed(call.partition(), call.account(), &arn).is_some() {
            return Ok(Err(StsError::other(
                409,
                "EntityAlreadyExists",
                format!("A policy called {name} already exists. Duplicate names are not allowed."),
            )));
        }
        iam.put_policy(call.partition(), call.account(), &placed, description, document).map(Ok)
    })??;
    shown_policy(call, &call.iam(), &arn)
}

pub fn get_policy(call: &Call<'_>) -> Answered {
    let arn = call.text("PolicyArn", &ARN)?;
    call.require("GetPolicy", &Resource { arn: arn.to_owned(), name: format!("policy {arn}") }, &[])?;
    shown_policy(call, &call.iam(), arn)
}

fn shown_policy(call: &Call<'_>, iam: &Iam, arn: &str) -> Answered {
    let policy = iam
        .managed(call.partition(), call.account(), arn)
        .ok_or_else(|| StsError::other(404, "NoSuchEntity", format!("Policy {arn} was not found.")))?;
    Ok(Some(vec![Member::Structure("Policy", shapes::managed(call, arn, policy))]))
}

pub fn create_oidc(call: &Call<'_>) -> Answered {
    let url = call.text("Url", &URL)?;
    let client_ids: Vec<String> = call.list("ClientIDList", MAX_CLIENT_IDS);
    let parsed = url::Url::parse(url).map_err(|_| invalid("Invalid Open ID Connect Provider URL"))?;
    // The sandbox's own issuers, and a broker on this machine, have no TLS.
    let local = matches!(parsed.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if parsed.scheme() != "https" && !(parsed.scheme() == "http" && local) || parsed.query().is_some() {
        return Err(StsError::validation("Invalid Open ID Connect Provider URL"));
    }
    if client_ids.len() > MAX_CLIENT_IDS || client_ids.iter().any(|id| id.is_empty() || id.len() > 255) {
        return Err(too_many(format!("Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {MAX_CLIENT_IDS}")));
    }
    let arn = call.arn(&format!("oidc-provider/{}", without_scheme(url)));
    call.require("CreateOpenIDConnectProvider", &plain(arn.clone()), &[])?;
    let account = call.account();
    call.change(|iam| {
        let owned = || iam.oidc_providers().iter().filter(|provider| provider.account == account);
        if owned().any(|provider| provider.arn == arn) {
            return Ok(Err(StsError::other(
                409,
                "EntityAlreadyExists",
                format!("Provider with url {url} already exists."),
            )));
        }
        if owned().count() >= MAX_PROVIDERS {
            return Ok(Err(too_many(format!(
                "Cannot exceed quota for OpenIdConnectProvidersPerAccount: {MAX_PROVIDERS}"
            ))));
        }
        iam.put_oidc_provider(OidcProvider {
            arn: arn.clone(),
            account,
            url: url.trim_end_matches('/').to_owned(),
            client_ids,
        });
        Ok(Ok(()))
    })??;
    Ok(Some(vec![Member::text("OpenIDConnectProviderArn", arn)]))
}

pub fn get_oidc(call: &Call<'_>) -> Answered {
    let arn = call.text("OpenIDConnectProviderArn", &ARN)?;
    call.require("GetOpenIDConnectProvider", &plain(arn.to_owned()), &[])?;
    let iam = call.iam();
    let provider = iam
        .oidc_providers()
        .iter()
        .find(|provider| provider.account == call.account() && provider.arn == arn)
        .ok_or_else(|| {
            StsError::other(404, "NoSuchEntity", format!("OpenIDConnect Provider not found for arn {arn}"))
        })?;
    Ok(Some(vec![
        Member::text("Url", without_scheme(&provider.url)),
        shapes::texts("ClientIDList", provider.client_ids.iter().cloned()),
        shapes::texts("ThumbprintList", []),
        shapes::created(call),
    ]))
}

pub fn list_oidc(call: &Call<'_>) -> Answered {
    let resource = plain(call.arn("oidc-provider/*"));
    call.require("ListOpenIDConnectProviders", &resource, &[])?;
    let iam = call.iam();
    let owned = iam.oidc_providers().iter().filter(|provider| provider.account == call.account());
    let lines = owned.map(|provider| vec![Member::text("Arn", provider.arn.as_str())]);
    Ok(Some(vec![shapes::list("OpenIDConnectProviderList", lines)]))
}

pub fn create_saml(call: &Call<'_>) -> Answered {
    let [name, metadata] = call.texts([("Name", &POLICY_NAME), ("SAMLMetadataDocument", &METADATA)])?;
    let name: SamlProviderName =
        name.parse().map_err(|error| StsError::validation(format!("The specified name is invalid: {error}")))?;
    let arn = ProviderArn::new(call.partition(), call.account(), name);
    call.require("CreateSAMLProvider", &plain(arn.to_string()), &[])?;
    let iam = call.iam();
    if iam.has_saml_provider(&arn) {
        return Err(StsError::other(409, "EntityAlreadyExists", format!("Provider {arn} already exists.")));
    }
    if iam.saml_providers().filter(|provider| provider.account() == call.account()).count() >= MAX_PROVIDERS {
        return Err(too_many(format!("Cannot exceed quota for SAMLProvidersPerAccount: {MAX_PROVIDERS}")));
    }
    call.state.providers.put(arn.clone(), metadata).map_err(|error| unusable(&error))?;
    call.change(|iam| {
        iam.add_saml_provider(arn.clone());
        Ok(())
    })?;
    Ok(Some(vec![Member::text("SAMLProviderArn", arn.to_string())]))
}

fn unusable(error: &crate::sandbox::providers::ProviderError) -> StsError {
    invalid("Could not parse metadata").because(error.to_string())
}

/// `SAMLProviderArn`, of a provider that has to be there once the caller may know.
fn saml(call: &Call<'_>, action: &str) -> Result<ProviderArn, StsError> {
    let text = call.text("SAMLProviderArn", &ARN)?;
    call.require(action, &plain(text.to_owned()), &[])?;
    let arn = text.parse::<ProviderArn>().map_err(|_| missing(text))?;
    if arn.account() == call.account() && call.iam().has_saml_provider(&arn) { Ok(arn) } else { Err(missing(text)) }
}

pub fn update_saml(call: &Call<'_>) -> Answered {
    let metadata = call.text("SAMLMetadataDocument", &METADATA)?;
    let arn = saml(call, "UpdateSAMLProvider")?;
    call.state.providers.put(arn.clone(), metadata).map_err(|error| unusable(&error))?;
    Ok(Some(vec![Member::text("SAMLProviderArn", arn.to_string())]))
}

pub async fn get_saml(call: &Call<'_>) -> Answered {
    let arn = saml(call, "GetSAMLProvider")?;
    let metadata =
        call.state.providers.document(&arn, call.state.clock.now()).await.map_err(|error| {
            StsError::unavailable().because(format!("the provider's metadata is not there: {error}"))
        })?;
    Ok(Some(vec![Member::text("SAMLMetadataDocument", metadata), shapes::created(call)]))
}

pub fn list_saml(call: &Call<'_>) -> Answered {
    call.require("ListSAMLProviders", &plain(call.arn("saml-provider/*")), &[])?;
    let iam = call.iam();
    let owned = iam.saml_providers().filter(|provider| provider.account() == call.account());
    let lines = owned.map(|provider| vec![Member::text("Arn", provider.to_string()), shapes::created(call)]);
    Ok(Some(vec![shapes::list("SAMLProviderList", lines)]))
}
