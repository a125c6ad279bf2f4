//! Who may ask the development identity provider: service providers and where their answers go.

use jiff::Timestamp;
use roxmltree::Node;
use url::Url;

use crate::saml::certificate::SigningCertificate;
use crate::saml::gate::{self, Limits, Root, Sha1};
use crate::saml::names::{BINDING_POST, BINDING_REDIRECT, DS, MD};
use crate::sandbox::metadata::{Cached, MetadataSource};
use crate::sys::http::names_this_machine;

/// A service provider, as its metadata describes it.
#[derive(Debug, Clone)]
pub struct ServiceProvider {
    pub entity_id: String,
    /// The default first.
    pub acs_urls: Vec<String>,
    /// Where logout messages go, the binding we prefer first.
    pub logout: Vec<LogoutEndpoint>,
    pub certificates: Vec<SigningCertificate>,
    pub requests_signed: bool,
}

/// How a logout message travels; the first is preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogoutBinding {
    Redirect,
    Post,
}

/// `md:SingleLogoutService`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogoutEndpoint {
    pub binding: LogoutBinding,
    pub location: String,
    /// Where answers go, if not there too.
    pub response_location: Option<String>,
}

impl LogoutEndpoint {
    pub fn for_responses(&self) -> &str {
        self.response_location.as_deref().unwrap_or(&self.location)
    }
}

/// The registered service providers.
#[derive(Debug)]
pub struct Partners {
    client: reqwest::Client,
    sources: Vec<Cached>,
    /// Answer anybody whose answers go to this very machine.
    any_loopback: bool,
}

impl Partners {
    pub fn new(client: reqwest::Client, sources: Vec<MetadataSource>, any_loopback: bool) -> Self {
        Self { client, sources: sources.into_iter().map(Cached::new).collect(), any_loopback }
    }

    /// All that can be read at this moment. One that cannot is skipped with a line in the log.
    pub async fn all(&self, now: Timestamp) -> Vec<ServiceProvider> {
        let mut found = Vec::new();
        for source in &self.sources {
            match source.get(&self.client, now).await {
                Ok(xml) => found.extend(read(&xml)),
                Err(error) => tracing::warn!("a service provider's metadata cannot be read: {error}"),
            }
        }
        found
    }

    /// The service provider of a request, and the address its answer goes to.
    ///
    /// An answer is sent only where the metadata says one may go: whoever could choose the address could collect
    /// other people's sign-ins.
    pub async fn find(&self, issuer: &str, acs_url: Option<&str>, now: Timestamp) -> Option<(ServiceProvider, String)> {
        let mut known = false;
        for partner in self.all(now).await.into_iter().filter(|partner| partner.entity_id == issuer) {
            known = true;
            let chosen = match acs_url {
                None => partner.acs_urls.first().cloned(),
                Some(asked) => partner.acs_urls.iter().find(|acs| *acs == asked).cloned(),
            };
            if let Some(chosen) = chosen {
                return Some((partner, chosen));
            }
        }
        let acs_url = acs_url.filter(|acs| !known && self.any_loopback && is_loopback(acs))?.to_owned();
        let stranger = ServiceProvider {
            entity_id: issuer.to_owned(),
            acs_urls: vec![acs_url.clone()],
            logout: Vec::new(),
            certificates: Vec::new(),
            requests_signed: false,
        };
        Some((stranger, acs_url))
    }
}

/// Whether a URL leads to this very machine, whatever resolves names.
pub fn is_loopback(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    names_this_machine(&url) && matches!(url.scheme(), "http" | "https")
}

fn read(xml: &str) -> Vec<ServiceProvider> {
    let gated = match gate::admit(xml.as_bytes(), Root::Metadata, &Limits::METADATA, Sha1::Refused) {
        Ok(gated) => gated,
        Err(error) => {
            tracing::warn!("a service provider's metadata is not usable: {error}");
            return Vec::new();
        }
    };
    let is = |node: &Node<'_, '_>, name: &'static str| node.has_tag_name((MD, name));
    let entities = gated.root().descendants().filter(|node| is(node, "EntityDescriptor"));
    entities.filter_map(|entity| service_provider(entity)).collect()
}

fn service_provider(entity: Node<'_, '_>) -> Option<ServiceProvider> {
    let is = |node: &Node<'_, '_>, name: &'static str| node.has_tag_name((MD, name));
    let descriptor = entity.children().find(|node| is(node, "SPSSODescriptor"))?;
    let mut endpoints: Vec<(bool, u32, String)> = descriptor
        .children()
        .filter(|node| is(node, "AssertionConsumerService") && node.attribute("Binding") == Some(BINDING_POST))
        .filter_map(|node| {
            let location = Url::parse(node.attribute("Location")?).ok()?;
            let default = matches!(node.attribute("isDefault"), Some("true" | "1"));
            let index = node.attribute("index").and_then(|index| index.parse().ok()).unwrap_or(u32::MAX);
            // The text counts, not what a URL parser makes of it: requests repeat it byte for byte.
            matches!(location.scheme(), "http" | "https")
                .then(|| (!default, index, node.attribute("Location").unwrap_or_default().to_owned()))
        })
        .collect();
    endpoints.sort();
    let web_page = |url: &&str| Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    let mut logout: Vec<LogoutEndpoint> = descriptor
        .children()
        .filter(|node| is(node, "SingleLogoutService"))
        .filter_map(|node| {
            Some(LogoutEndpoint {
                binding: match node.attribute("Binding")? {
                    BINDING_REDIRECT => LogoutBinding::Redirect,
                    BINDING_POST => LogoutBinding::Post,
                    _ => return None,
                },
                location: node.attribute("Location").filter(web_page)?.to_owned(),
                response_location: node.attribute("ResponseLocation").filter(web_page).map(str::to_owned),
            })
        })
        .collect();
    logout.sort();
    let certificates = descriptor
        .children()
        .filter(|node| is(node, "KeyDescriptor") && node.attribute("use") != Some("encryption"))
        .flat_map(|key| key.descendants().filter(|node| node.has_tag_name((DS, "X509Certificate"))))
        .filter_map(|node| SigningCertificate::from_base64(node.text().unwrap_or_default()).ok())
        .collect();
    let acs_urls: Vec<String> = endpoints.into_iter().map(|(_, _, url)| url).collect();
    if acs_urls.is_empty() {
        return None;
    }
    Some(ServiceProvider {
        entity_id: entity.attribute("entityID")?.to_owned(),
        acs_urls,
        logout,
        certificates,
        requests_signed: matches!(descriptor.attribute("AuthnRequestsSigned"), Some("true" | "1")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_endpoint_stands_first_and_other_bindings_are_left_out() {
        let xml = r#"<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="urn:sp">
            <md:SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
            <md:AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Artifact" Location="https://sp.example/x" index="0"/>
            <md:AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://sp.example/a" index="1"/>
            <md:AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://sp.example/b" index="2" isDefault="true"/>
            <md:AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="javascript:x" index="3"/>
            </md:SPSSODescriptor></md:EntityDescriptor>"#;
        let found = read(xml);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].acs_urls, ["https://sp.example/b", "https://sp.example/a"]);
        assert!(read("<!DOCTYPE x><x/>").is_empty());
    }

    #[test]
    fn loopback_is_judged_by_address() {
        for good in ["http://127.0.0.1:8080/acs", "http://localhost/acs", "https://[::1]:1/", "http://127.9.9.9/"] {
            assert!(is_loopback(good), "{good}");
        }
        for bad in ["http://127.0.0.1.evil.example/", "http://localhost.evil.example/", "ftp://localhost/", "x", ""] {
            assert!(!is_loopback(bad), "{bad}");
        }
    }
}
