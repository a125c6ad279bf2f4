//! A SAML connector's metadata and keys.

use std::borrow::Cow;

use jiff::Timestamp;

use super::{Doctor, Findings, clock, listed, told};
use crate::catalog::{Connector, MetadataSource, MetadataUrl, SamlConnector};
use crate::flows::connectors::saml::{LARGEST, SLOWEST};
use crate::saml::certificate::{KeyType, SigningCertificate};
use crate::saml::metadata::IdpMetadata;
use crate::saml::names::{BINDING_POST, BINDING_REDIRECT};
use crate::store::StoreError;

/// Fewer days than this are a reason to act.
const SOON: i64 = 30;
/// Metadata that is fetched again and again may be short-lived by design.
const SOON_WHEN_FETCHED: i64 = 1;
/// What is usual and recommended.
const GOOD_RSA: u32 = 2048;

impl Doctor {
    pub(super) async fn examine_saml(
        &self,
        connector: &Connector,
        saml: &SamlConnector,
        found: &mut Findings,
    ) -> Result<(), StoreError> {
        let (document, soon) = match &saml.metadata {
            MetadataSource::Inline(document) => {
                found.ok("clock", "nothing is fetched from this provider, so the clocks cannot be compared");
                (Some(Cow::Borrowed(document.as_str())), SOON)
            }
            MetadataSource::Url(url) => {
                (self.fetch_metadata(connector, saml, url, found).await?.map(Cow::Owned), SOON_WHEN_FETCHED)
            }
        };
        let Some(document) = document else { return Ok(()) };
        let now = self.ground.clock.now();
        match IdpMetadata::read(document.as_bytes(), saml.idp_entity_id.as_deref(), now) {
            Ok(idp) => {
                if matches!(saml.metadata, MetadataSource::Inline(_)) {
                    found.ok("metadata", "it is in the catalog; a change at the provider has to be applied by hand");
                }
                examine(&idp, saml, now, soon, found);
            }
            Err(error) => found.fail("metadata", told(&error), "get the right document from the provider"),
        }
        Ok(())
    }

    /// The document as it is there now; where it cannot be had, the copy that the broker goes on with.
    async fn fetch_metadata(
        &self,
        connector: &Connector,
        saml: &SamlConnector,
        url: &MetadataUrl,
        found: &mut Findings,
    ) -> Result<Option<String>, StoreError> {
        let url = url.as_url();
        let kept = self.ground.store.fetched_metadata(&connector.id).await?.filter(|kept| kept.url == url.as_str());
        let sent = self.ground.clock.now();
        let asked = self.http.ask_plainly(url, LARGEST, SLOWEST).await;
        let came = self.ground.clock.now();
        let read = |document: &str| IdpMetadata::read(document.as_bytes(), saml.idp_entity_id.as_deref(), came);
        let trouble = match asked {
            Ok(answer) => {
                clock::examine(answer.date, sent, came, saml.clock_skew, found);
                let media = answer.content_type.unwrap_or_else(|| "no content type".to_owned());
                match (answer.status, String::from_utf8(answer.body)) {
                    (200, Ok(document)) => match read(&document) {
                        Ok(_) => {
                            let since = match &kept {
                                None => "; the broker has no copy of it yet".to_owned(),
                                Some(kept) if kept.document == document => {
                                    format!(", and the same as the broker's copy of {}", second(kept.fetched))
                                }
                                Some(kept) => format!(
                                    "; it has changed since the broker's copy of {}, which takes it over by itself",
                                    second(kept.fetched)
                                ),
                            };
                            let took = came.duration_since(sent).as_millis();
                            found.ok("metadata", format!("{url} answered in {took} ms{since}"));
                            return Ok(Some(document));
                        }
                        Err(error) => format!("{url} answered ({media}), and it cannot be used: {}", told(&error)),
                    },
                    (200, Err(_)) => format!("{url} answered ({media}), and it is not UTF-8"),
                    (status, _) => format!("{url} answered with status {status}"),
                }
            }
            Err(error) => told(&error),
        };
        match kept.filter(|kept| read(&kept.document).is_ok()) {
            Some(kept) => {
                let advice = format!(
                    "sign-ins go on with the copy of {}, but a new key of the provider would not be known",
                    second(kept.fetched)
                );
                found.warn("metadata", trouble, advice);
                Ok(Some(kept.document))
            }
            None => {
                found.fail("metadata", trouble, "check metadata_url, and whether this machine may call it");
                Ok(None)
            }
        }
    }
}

/// What a document that can be used says.
pub(super) fn examine(idp: &IdpMetadata, saml: &SamlConnector, now: Timestamp, soon: i64, found: &mut Findings) {
    found.ok("provider", format!("it calls itself {}", idp.entity_id));
    if let Some(until) = idp.valid_until {
        let left = days(now, until);
        if left < soon {
            found.warn(
                "valid-until",
                format!("its metadata is valid until {}, {}", second(until), days_left(left)),
                "past that nobody can sign in: get a newer one",
            );
        } else {
            found.ok("valid-until", format!("its metadata is valid until {}, {}", second(until), days_left(left)));
        }
    }
    for certificate in &idp.certificates {
        examine_certificate(certificate, now, found);
    }
    // Expired ones are told above; what remains was left out.
    for warning in idp.warnings.iter().filter(|warning| warning.contains("left out")) {
        found.warn("signing-certificate", warning, "what is signed with its key is refused");
    }
    found.ok("sign-in-address", format!("{} (HTTP-Redirect)", idp.sso_redirect));
    let bindings = |wanted: &str| idp.slo.iter().any(|endpoint| endpoint.binding == wanted);
    found.ok(
        "sign-out",
        match (bindings(BINDING_REDIRECT), bindings(BINDING_POST)) {
            (true, true) => "single logout by HTTP-Redirect and HTTP-POST",
            (true, false) => "single logout by HTTP-Redirect",
            (false, true) => "single logout by HTTP-POST",
            (false, false) => "it offers no single logout: signing out ends the session here only",
        },
    );
    match (idp.want_authn_requests_signed, saml.sign_requests) {
        (true, false) => found.warn(
            "signed-requests",
            "it wants requests signed, and they are not",
            "set sign_requests = true, and give it our certificate",
        ),
        (_, true) => found.ok("signed-requests", "requests are signed"),
        (false, false) => found.ok("signed-requests", "requests are not signed, and it does not ask for that"),
    }
    if saml.allow_sha1 {
        found.warn(
            "sha1",
            "signatures with SHA-1 are accepted (allow_sha1)",
            "switch the provider to SHA-256 and take allow_sha1 out",
        );
    } else {
        found.ok("sha1", "signatures with SHA-1 are refused");
    }
    found.ok(
        "encryption",
        if saml.encrypt_assertions {
            "our metadata has an encryption key, and encrypted assertions are read"
        } else {
            "encrypted assertions are not asked for and not read"
        },
    );
    if let Some(format) = &saml.name_id_format
        && !idp.name_id_formats.is_empty()
        && !idp.name_id_formats.contains(format)
    {
        found.warn(
            "name-id-format",
            format!("{format} is asked for, and it lists {}", listed(&idp.name_id_formats)),
            "ask for one that it lists, or leave name_id_format out",
        );
    }
}

fn examine_certificate(certificate: &SigningCertificate, now: Timestamp, found: &mut Findings) {
    let (KeyType::Rsa { bits } | KeyType::Ec { bits }) = certificate.key_type();
    let weak = matches!(certificate.key_type(), KeyType::Rsa { .. }) && bits < GOOD_RSA;
    let what = format!("{} ({}), SHA-256 {}", certificate.subject(), certificate.key_type(), certificate.fingerprint());
    let left = certificate.not_after().map(|until| (until, days(now, until)));
    match left {
        // Trust is by metadata, so an expired certificate stops nobody; the provider may yet stop using it.
        Some((until, left)) if left < SOON => found.warn(
            "signing-certificate",
            format!("{what}, valid until {}, {}", second(until), days_left(left)),
            "sign-ins go on, since trust is by metadata; ask the provider when its key changes",
        ),
        _ if weak => found.warn(
            "signing-certificate",
            format!("{what} is shorter than {GOOD_RSA} bits"),
            "ask the provider for a longer key",
        ),
        Some((until, left)) => {
            found.ok("signing-certificate", format!("{what}, valid until {}, {}", second(until), days_left(left)));
        }
        None => found.ok("signing-certificate", format!("{what}, without an end")),
    }
}

/// Whole days from `now`; negative once it is past.
pub(super) fn days(now: Timestamp, until: Timestamp) -> i64 {
    until.duration_since(now).as_secs().div_euclid(86_400)
}

fn days_left(days: i64) -> String {
    match days {
        ..0 => "which is past".to_owned(),
        0 => "less than a day left".to_owned(),
        1 => "1 day left".to_owned(),
        days => format!("{days} days left"),
    }
}

/// Without what is below a second.
fn second(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).map_or_else(|_| at.to_string(), |at| at.to_string())
}
