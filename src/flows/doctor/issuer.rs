//! Rolegate itself as an OpenID provider: can AWS fetch what it checks our tokens with, and is that what we sign with.

use std::collections::BTreeSet;

use serde_json::Value;
use url::Url;

use super::{Check, Doctor, Findings, is_loopback, listed, told};
use crate::catalog::{Catalog, Method};
use crate::flows::connectors::oidc::SLOWEST;
use crate::flows::token_keys::{TokenKeyError, TokenKeys};
use crate::issuance::web_identity::documents;
use crate::issuance::web_identity::schedule::Phase;
use crate::store::StoreError;

/// Many times what either document takes.
const MAX_BYTES: usize = 64 * 1024;

impl Doctor {
    /// Looks at what accounts read of us; `None` where no role asks for tokens of ours.
    ///
    /// # Errors
    /// The database refuses. Whatever is wrong is no error but a finding.
    pub async fn examine_issuer(&self, catalog: &Catalog, keys: &TokenKeys) -> Result<Option<Vec<Check>>, StoreError> {
        let roles: Vec<_> = catalog.roles().filter(|role| role.method == Method::WebIdentity).collect();
        if roles.is_empty() {
            return Ok(None);
        }
        let mut found = Findings::default();
        let audiences: BTreeSet<&str> = roles
            .iter()
            .filter_map(|role| catalog.account(role.account))
            .map(|account| account.oidc_audience.as_str())
            .collect();
        found.ok("roles", format!("{} with the method web-identity; audiences: {}", roles.len(), listed(audiences)));
        let issuer = keys.issuer();
        let known = address(issuer, &mut found);
        own_keys(keys, &mut found).await?;
        if known && let Some(jwks_uri) = self.examine_discovery(issuer, &mut found).await {
            self.examine_set(&jwks_uri, keys, &mut found).await?;
        }
        Ok(Some(found.0))
    }

    async fn examine_discovery(&self, issuer: &str, found: &mut Findings) -> Option<Url> {
        let url: Url = format!("{issuer}{}", documents::DISCOVERY).parse().ok()?;
        let elsewhere = "AWS reads it there without signing in: let the proxy pass it, or publish it elsewhere \
                         (`rolegate keys publish`) and set keys.token_issuer";
        let document = match self.http.ask_plainly(&url, MAX_BYTES, SLOWEST).await {
            Err(error) => {
                found.fail("discovery", told(&error), elsewhere);
                return None;
            }
            Ok(answer) if answer.status != 200 => {
                found.fail("discovery", format!("{url} answered with status {}", answer.status), elsewhere);
                return None;
            }
            Ok(answer) => serde_json::from_slice::<Value>(&answer.body).unwrap_or_default(),
        };
        let text = |name: &str| document[name].as_str().unwrap_or_default();
        if text("issuer") != issuer {
            found.fail(
                "discovery",
                format!("{url} calls itself {:?}, and our tokens say {issuer:?}", text("issuer")),
                "set keys.token_issuer to what is published there, or publish what it says",
            );
            return None;
        }
        match text("jwks_uri").parse::<Url>() {
            Ok(jwks_uri) if jwks_uri.scheme() == "https" || is_loopback(&jwks_uri) => {
                found.ok("discovery", format!("{url} names our issuer"));
                Some(jwks_uri)
            }
            _ => {
                let detail = format!("{url} names {:?} as key set, which is no https address", text("jwks_uri"));
                found.fail("discovery", detail, elsewhere);
                None
            }
        }
    }

    async fn examine_set(&self, url: &Url, keys: &TokenKeys, found: &mut Findings) -> Result<(), StoreError> {
        let answer = match self.http.ask_plainly(url, MAX_BYTES, SLOWEST).await {
            Ok(answer) if answer.status == 200 => answer,
            failed => {
                let detail = failed.map_or_else(
                    |error| told(&error),
                    |answer| format!("{url} answered with status {}", answer.status),
                );
                found.fail("jwks", detail, "AWS reads it there without signing in");
                return Ok(());
            }
        };
        // After asking, which makes the first key where there is none.
        let ours = keys.list().await?;
        let there = numbers(&answer.body);
        let here = ours.iter().filter(|listed| listed.phase.is_published());
        let expected = documents::jwks(here.map(|listed| (listed.key.id.as_str(), listed.key.certificate.as_slice())));
        let expected = expected.map(|set| numbers(set.as_bytes())).unwrap_or_default();
        let names = |keys: &BTreeSet<[String; 3]>| listed(keys.iter().map(|[id, ..]| id));
        let missing: BTreeSet<_> = expected.difference(&there).cloned().collect();
        let unknown: BTreeSet<_> = there.difference(&expected).cloned().collect();
        let current = ours.iter().find(|listed| listed.phase == Phase::Signing);
        if let Some(current) = current.filter(|current| missing.iter().any(|[id, ..]| *id == current.key.id)) {
            found.fail(
                "jwks",
                format!("{url} lacks the key {} that signs", current.key.id),
                "AWS refuses every token: publish the set anew, or lead this address to this Rolegate",
            );
        } else if !missing.is_empty() {
            found.warn(
                "jwks",
                format!("{url} lacks {}", names(&missing)),
                "publish the set anew before it signs: at least once a day",
            );
        } else if !unknown.is_empty() {
            found.warn(
                "jwks",
                format!("{url} has keys that are not ours, or no longer: {}", names(&unknown)),
                "whoever has them can sign for us: publish the set anew, and nothing else there",
            );
        } else {
            found.ok("jwks", format!("{url} has our keys: {}", names(&there)));
        }
        let kept = answer.cache_control.unwrap_or_default().to_ascii_lowercase();
        if ["no-store", "no-cache", "max-age=0"].iter().any(|word| kept.contains(word)) {
            found.warn(
                "caching",
                format!("{url} may not be kept ({kept})"),
                "let AWS keep a copy for minutes: without one it asks for each token, and fails now and then",
            );
        } else {
            found.ok("caching", "AWS may keep a copy of the set");
        }
        Ok(())
    }
}

/// Whether the issuer is worth asking.
fn address(issuer: &str, found: &mut Findings) -> bool {
    let Ok(url) = issuer.parse::<Url>() else {
        found.fail("issuer", "it is not known who we are toward AWS", "set keys.token_issuer, or public_url");
        return false;
    };
    if is_loopback(&url) {
        found.warn(
            "issuer",
            format!("{issuer}, which only this machine can open"),
            "AWS cannot: only the sandbox takes such tokens",
        );
    } else if url.port().is_some() {
        found.warn(
            "issuer",
            format!("{issuer} has a port, which IAM does not want in the URL of a provider"),
            "set keys.token_issuer to an address without one",
        );
    } else {
        found.ok("issuer", format!("our tokens say that they are from {issuer}"));
    }
    true
}

async fn own_keys(keys: &TokenKeys, found: &mut Findings) -> Result<(), StoreError> {
    if keys.list().await?.is_empty() {
        found.warn("own-key", "our key has not been made yet", "start the broker: it makes it within a minute");
        return Ok(());
    }
    match keys.signing().await {
        Ok(key) => found.ok("own-key", format!("key {} signs, and opens with the sealing key", key.id())),
        Err(TokenKeyError::Store(StoreError::Unseal(_))) => found.fail(
            "own-key",
            "our key cannot be opened: it was sealed with another sealing key",
            "restore the sealing key that belongs to this database",
        ),
        Err(TokenKeyError::Store(error)) => return Err(error),
        Err(error) => found.fail("own-key", told(&error), "replace it: `rolegate keys rotate --compromised`"),
    }
    Ok(())
}

/// The id, modulus and exponent of each key in a set.
fn numbers(set: &[u8]) -> BTreeSet<[String; 3]> {
    let set = serde_json::from_slice::<Value>(set).unwrap_or_default();
    let keys = set["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |key: &Value, name: &str| key[name].as_str().unwrap_or_default().to_owned();
    keys.iter().map(|key| ["kid", "n", "e"].map(|name| text(key, name))).collect()
}
