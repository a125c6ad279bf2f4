//! What an operator wants to know about a connector before anybody signs in: can its provider be asked, is what it says
//! usable, do the clocks agree, and what has to be pasted where.
//!
//! Everything is asked afresh and nothing is changed: the copy that the broker keeps stays as it is. What comes out is a
//! value; whoever asked prints it. The other half, what a real sign-in brings, is [`super::test_sign_in`].

mod catalog;
mod clock;
mod issuer;
mod oidc;
mod paste;
mod saml;
#[cfg(test)]
mod tests;
mod workload;

use serde::Serialize;
use url::Url;

use super::connectors::own_address;
use super::test_sign_in::mask::plain;
use super::{Ground, chain_of};
use crate::catalog::{Catalog, Connector, ConnectorKind};
use crate::identity::ConnectorId;
use crate::store::{StoreError, keys};
use crate::sys::http::Outbound;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Ok,
    /// Works today; somebody should look.
    Warn,
    /// Stops sign-ins.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at: stable, for programs. One name may stand in several checks, such as one for each key.
    pub check: &'static str,
    pub verdict: Verdict,
    pub detail: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// A value that has to be entered at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Paste {
    /// Stable, for programs.
    pub id: &'static str,
    /// What providers call it.
    pub label: &'static str,
    pub value: String,
}

/// Everything about one connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Examination {
    pub connector: ConnectorId,
    pub name: String,
    pub protocol: &'static str,
    pub enabled: bool,
    /// `false` where it is disabled and was not asked for by name; then there is nothing below.
    pub examined: bool,
    pub paste: Vec<Paste>,
    pub checks: Vec<Check>,
}

impl Examination {
    /// The gravest finding.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok)
    }

    fn of(connector: &Connector) -> Self {
        Self {
            connector: connector.id.clone(),
            name: connector.name.clone(),
            protocol: connector.kind.protocol(),
            enabled: connector.enabled,
            examined: false,
            paste: Vec::new(),
            checks: Vec::new(),
        }
    }
}

/// Collects checks. What providers wrote is made fit to be shown on the way in.
#[derive(Debug, Default)]
struct Findings(Vec<Check>);

impl Findings {
    fn add(&mut self, check: &'static str, verdict: Verdict, detail: &str, advice: Option<&str>) {
        self.0.push(Check { check, verdict, detail: plain(detail), advice: advice.map(plain) });
    }

    fn ok(&mut self, check: &'static str, detail: impl AsRef<str>) {
        self.add(check, Verdict::Ok, detail.as_ref(), None);
    }

    fn warn(&mut self, check: &'static str, detail: impl AsRef<str>, advice: impl AsRef<str>) {
        self.add(check, Verdict::Warn, detail.as_ref(), Some(advice.as_ref()));
    }

    fn fail(&mut self, check: &'static str, detail: impl AsRef<str>, advice: impl AsRef<str>) {
        self.add(check, Verdict::Fail, detail.as_ref(), Some(advice.as_ref()));
    }
}

/// One of our own keys towards identity providers.
#[derive(Debug, Clone)]
enum OwnKey {
    /// Its certificate, DER.
    Known(Vec<u8>),
    /// The broker makes it when it starts for the first time.
    NotMade,
    /// It was sealed with another sealing key.
    Sealed,
}

/// Examines connectors.
#[derive(Debug, Clone)]
pub struct Doctor {
    ground: Ground,
    http: Outbound,
    public_url: Url,
}

impl Doctor {
    #[must_use]
    pub fn new(ground: Ground, http: Outbound, public_url: Url) -> Self {
        Self { ground, http, public_url }
    }

    /// What can be said about a connector without asking anybody: that it is there.
    #[must_use]
    pub fn skip(&self, connector: &Connector) -> Examination {
        Examination::of(connector)
    }

    /// Looks at one connector of the catalog from every side. This may take as long as its provider takes, at most some
    /// ten seconds for each of two documents.
    ///
    /// # Errors
    /// The database refuses. Whatever is wrong with the connector is no error but a finding.
    pub async fn examine(&self, catalog: &Catalog, connector: &Connector) -> Result<Examination, StoreError> {
        let mut found = Findings::default();
        let paste = match &connector.kind {
            ConnectorKind::Saml(saml) => {
                let key = self.own_key(keys::SAML_SERVICE_PROVIDER).await?;
                self.public_url(&mut found);
                own_key_found(&mut found, &key);
                self.examine_saml(connector, saml, &mut found).await?;
                self.paste_saml(connector, saml, &key)
            }
            ConnectorKind::Oidc(oidc) => {
                let key = self.own_key(keys::OIDC_CLIENT).await?;
                self.public_url(&mut found);
                own_key_found(&mut found, &key);
                self.examine_oidc(catalog, connector, oidc, &mut found).await?;
                self.paste_oidc(connector, &key)
            }
            ConnectorKind::Workload(workload) => {
                self.public_url(&mut found);
                self.examine_workload(connector, workload, &mut found).await?;
                self.paste_workload(workload)
            }
        };
        catalog::examine(catalog, connector, &mut found);
        Ok(Examination { examined: true, paste, checks: found.0, ..Examination::of(connector) })
    }

    async fn own_key(&self, purpose: &'static str) -> Result<OwnKey, StoreError> {
        let mut tx = self.ground.store.begin().await?;
        let found = keys::key_for(&mut tx, purpose, &self.ground.sealing).await;
        tx.rollback().await?;
        match found {
            Ok(Some(key)) => Ok(OwnKey::Known(key.certificate)),
            Ok(None) => Ok(OwnKey::NotMade),
            Err(StoreError::Unseal(_)) => Ok(OwnKey::Sealed),
            Err(error) => Err(error),
        }
    }

    fn address(&self, connector: &Connector, what: &str) -> String {
        own_address(&self.public_url, connector.kind.protocol(), connector, what)
    }

    fn public_url(&self, found: &mut Findings) {
        let url = &self.public_url;
        match (url.scheme(), is_loopback(url)) {
            ("https", false) => found.ok("public-url", format!("{url}")),
            (_, true) => found.ok("public-url", format!("{url}, which only this machine can open")),
            _ => found.warn(
                "public-url",
                format!("{url} is not https: most providers refuse it"),
                "put TLS in front and set public_url",
            ),
        }
    }
}

fn own_key_found(found: &mut Findings, key: &OwnKey) {
    match key {
        OwnKey::Known(_) => found.ok("own-key", "our key is there, and opens with the sealing key"),
        OwnKey::NotMade => {
            found.warn("own-key", "our key has not been made yet", "start the broker once; it makes its keys then");
        }
        OwnKey::Sealed => found.fail(
            "own-key",
            "our key cannot be opened: it was sealed with another sealing key",
            "restore the sealing key that belongs to this database",
        ),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// An error and everything that led to it, in one line.
fn told(error: &dyn std::error::Error) -> String {
    chain_of(error)
}

fn listed(items: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    /// Longer lists are counted.
    const LISTED: usize = 12;
    let all: Vec<String> = items.into_iter().map(|item| item.as_ref().to_owned()).collect();
    let first = all.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    match all.len() {
        0 => "none".to_owned(),
        many if many > LISTED => format!("{first} and {} more", many - LISTED),
        _ => first,
    }
}
