//! `[[connector]]`: SAML and OpenID Connect identity providers.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::reader::{Item, Keys};
use super::workload::read_workload;
use super::{ReadFile, sentence};
use crate::catalog::connector::{
    AttributeMap, AuthnComparison, ClockSkew, ClockSkewTooLong, Connector, ConnectorKind, GroupSource, MetadataSource,
    RequestedAuthnContext, SamlConnector, SessionLimits,
};
use crate::catalog::{ClaimGroups, ClaimMap, ClaimPath, Issuer, JwsAlgorithm, OidcConnector, SealedSecret, Secret};
use crate::identity::ConnectorId;
use crate::saml::metadata::IdpMetadata;

pub(super) fn read_connector(item: &Item<'_, '_>, read: ReadFile<'_>) -> Option<Connector> {
    let keys = item.keys("[[connector]] and its keys below")?;
    let id = keys.required("id", "id = \"okta\"; it appears in URLs").and_then(|id| id.parsed());
    let name = keys.get("name").and_then(|name| name.filled_text());
    let enabled = keys.boolean("enabled", true);
    let session = SessionLimits {
        idle: keys.get("session_idle").and_then(|item| session_limit(&item)),
        absolute: keys.get("session_absolute").and_then(|item| session_limit(&item)),
    };
    let email_domains = keys
        .get("email_domains")
        .map(|item| item.one_or_list().iter().filter_map(Item::parsed).collect())
        .unwrap_or_default();
    let default = keys.boolean("default", false);
    let kind = keys.required("kind", "kind = \"saml\", \"oidc\" or \"workload\"")?;
    let kind = match kind.text()?.as_str() {
        "saml" => ConnectorKind::Saml(Box::new(read_saml(&keys, read))),
        "oidc" => ConnectorKind::Oidc(Box::new(read_oidc(&keys, read)?)),
        "workload" => ConnectorKind::Workload(Box::new(read_workload(&keys, read)?)),
        other => {
            // Its other keys belong to a kind that nobody knows, and each would be reported as unknown.
            kind.fail(format!("`{other}` is not a kind of connector; write kind = \"saml\", \"oidc\" or \"workload\""));
            return None;
        }
    };
    keys.finish();
    let id: ConnectorId = id?;
    let name = name.unwrap_or_else(|| id.to_string());
    Some(Connector { id, name, enabled, kind, session, email_domains, default })
}

/// Between a minute and thirty days.
fn session_limit(item: &Item<'_, '_>) -> Option<Duration> {
    let seconds = item.seconds()?;
    if (60..=30 * 86_400).contains(&seconds) {
        Some(Duration::from_secs(seconds))
    } else {
        item.fail("a browser session lasts between 1m and 30d");
        None
    }
}

fn read_saml(keys: &Keys<'_, '_>, read: ReadFile<'_>) -> SamlConnector {
    let text = |key| keys.get(key).and_then(|item| item.filled_text());
    let idp_entity_id = text("idp_entity_id");
    let mut saml = SamlConnector::new(read_metadata(keys, idp_entity_id.as_deref(), read));
    saml.idp_entity_id = idp_entity_id;
    saml.sp_entity_id = text("sp_entity_id");
    saml.idp_initiated = keys.boolean("idp_initiated", false);
    saml.sign_requests = keys.boolean("sign_requests", false);
    saml.encrypt_assertions = keys.boolean("encrypt_assertions", false);
    saml.force_authn = keys.boolean("force_authn", false);
    saml.allow_sha1 = keys.boolean("allow_sha1", false);
    saml.clock_skew = read_clock_skew(keys);
    saml.logout_issuer = text("logout_issuer");
    saml.name_id_format = keys.get("name_id_format").and_then(|item| name_id_format(&item));
    let comparison = keys.get("authn_comparison");
    let classes = keys.get("authn_contexts");
    saml.authn_context = match (classes, &comparison) {
        (Some(classes), _) => Some(RequestedAuthnContext {
            comparison: comparison.as_ref().and_then(read_comparison).unwrap_or_default(),
            classes: classes.one_or_list().iter().filter_map(Item::filled_text).collect(),
        })
        // An empty list that is written down is reported; one that is empty because of mistakes was reported already.
        .filter(|context| !context.classes.is_empty() || classes.value().as_array().is_some_and(|a| a.is_empty())),
        (None, Some(comparison)) => {
            comparison.fail("it compares with authn_contexts, which is missing; write both or neither");
            None
        }
        (None, None) => None,
    };
    if let Some(attributes) = keys.get("attributes").and_then(|item| item.keys("[connector.attributes] and keys below"))
    {
        saml.attributes = read_attributes(&attributes);
    }
    saml
}

pub(super) fn read_clock_skew(keys: &Keys<'_, '_>) -> ClockSkew {
    let Some((item, seconds)) = keys.get("clock_skew").and_then(|item| Some((item.clone(), item.seconds()?))) else {
        return ClockSkew::default();
    };
    let skew = u32::try_from(seconds).ok().and_then(|seconds| ClockSkew::from_secs(seconds).ok());
    if skew.is_none() {
        item.fail(ClockSkewTooLong(seconds).to_string());
    }
    skew.unwrap_or_default()
}

fn read_comparison(item: &Item<'_, '_>) -> Option<AuthnComparison> {
    let text = item.text()?;
    let found = AuthnComparison::ALL.into_iter().find(|comparison| comparison.as_str() == text);
    if found.is_none() {
        item.fail(format!("`{text}` is not a comparison; write exact, minimum, maximum or better"));
    }
    found
}

/// The last part of a format's URN stands for it.
fn name_id_format(item: &Item<'_, '_>) -> Option<String> {
    let text = item.text()?;
    let urn = match text.as_str() {
        "unspecified" | "emailAddress" | "X509SubjectName" | "WindowsDomainQualifiedName" => {
            format!("urn:oasis:names:tc:SAML:1.1:nameid-format:{text}")
        }
        "persistent" | "transient" | "kerberos" | "entity" => {
            format!("urn:oasis:names:tc:SAML:2.0:nameid-format:{text}")
        }
        urn if urn.starts_with("urn:") || urn.starts_with("http") => text,
        _ => {
            item.fail(format!(
                "`{text}` is not a NameID format; write persistent, transient, emailAddress, unspecified or a full URN"
            ));
            return None;
        }
    };
    Some(urn)
}

fn read_metadata(keys: &Keys<'_, '_>, entity_id: Option<&str>, read: ReadFile<'_>) -> MetadataSource {
    let given: Vec<_> =
        ["metadata_file", "metadata_url", "metadata_xml"].into_iter().filter(|key| keys.has(key)).collect();
    // A stand-in for what cannot be read: a mistake has been reported, so no catalog will be made of it.
    let nothing = || MetadataSource::Inline(String::new());
    if given.len() > 1 {
        keys.fail(format!("{} are given together; keep one of them", given.join(" and ")));
        return nothing();
    }
    if let Some(item) = keys.get("metadata_file") {
        let Some(path) = item.filled_text() else { return nothing() };
        let xml = match read(Path::new(&path)).map(String::from_utf8) {
            Ok(Ok(xml)) => xml,
            Ok(Err(_)) => {
                item.fail(format!("{path} is not UTF-8; save the metadata as UTF-8"));
                return nothing();
            }
            Err(error) => {
                item.fail(format!("{path} cannot be read: {error}; the path is relative to the catalog file"));
                return nothing();
            }
        };
        return read_metadata_xml(&item, entity_id, &xml);
    }
    if let Some(item) = keys.get("metadata_url") {
        return item.parsed().map_or_else(nothing, MetadataSource::Url);
    }
    if let Some(item) = keys.get("metadata_xml") {
        return item.filled_text().map_or_else(nothing, |xml| read_metadata_xml(&item, entity_id, &xml));
    }
    keys.required("metadata_file", "metadata_file = \"okta.xml\" or metadata_url = \"https://…\"");
    nothing()
}

fn read_metadata_xml(item: &Item<'_, '_>, entity_id: Option<&str>, xml: &str) -> MetadataSource {
    // Some tools save with a byte order mark, which is no part of the document.
    let xml = xml.strip_prefix('\u{feff}').unwrap_or(xml);
    // Whether it is still valid is a matter of the day and not of the file: see `metadata_warnings`.
    if let Err(error) = IdpMetadata::read(xml.as_bytes(), entity_id, Timestamp::MIN) {
        item.fail(sentence(&error));
    }
    MetadataSource::Inline(xml.to_owned())
}

fn read_attributes(keys: &Keys<'_, '_>) -> AttributeMap {
    let text = |key| keys.get(key).and_then(|item| item.filled_text());
    let map = AttributeMap {
        subject: text("subject"),
        email: text("email"),
        name: text("name"),
        groups: keys.get("groups").and_then(|item| read_groups(&item)),
        extra: keys
            .get("extra")
            .and_then(|item| item.keys("{ our_name = \"their attribute\" }"))
            .map(|extra| {
                let entry = |(key, item): (&str, Item<'_, '_>)| {
                    let theirs = item.filled_text();
                    Some((item.parse_key(key)?, theirs?))
                };
                extra.all().into_iter().filter_map(entry).collect()
            })
            .unwrap_or_default(),
        friendly_names: keys.boolean("friendly_names", false),
    };
    keys.finish();
    map
}

fn read_groups(item: &Item<'_, '_>) -> Option<GroupSource> {
    if item.value().is_str() {
        return Some(GroupSource { attribute: item.filled_text()?, delimiter: None, prefix: None });
    }
    let keys = item.keys("the attribute's name, or { attribute = \"…\", delimiter = \",\", prefix = \"…\" }")?;
    let attribute = keys.required("attribute", "attribute = \"groups\"").and_then(|item| item.filled_text());
    let (delimiter, prefix) = (unblank(&keys, "delimiter"), unblank(&keys, "prefix"));
    keys.finish();
    Some(GroupSource { attribute: attribute?, delimiter, prefix })
}

/// `None` only where nothing could be made of it, which was reported.
fn read_oidc(keys: &Keys<'_, '_>, read: ReadFile<'_>) -> Option<OidcConnector> {
    let issuer = keys.required("issuer", "issuer = \"https://idp.example\", as the provider writes it");
    let issuer: Option<Issuer> = issuer.and_then(|item| item.parsed());
    let client_id = keys.required("client_id", "client_id = \"…\", as the provider calls us");
    let client_id = client_id.and_then(|item| item.filled_text());
    // What cannot be read is reported; the rest is read all the same, so that all mistakes are said at once.
    let standing_in = || "https://unread.invalid".parse().expect("it is an https URL");
    let unread = issuer.is_none() || client_id.is_none();
    let mut oidc = OidcConnector::new(issuer.unwrap_or_else(standing_in), client_id.unwrap_or_default());
    oidc.client_secret =
        read_secret(keys, read, ["client_secret_file", "client_secret", "client_secret_sealed"], "the client secret");
    oidc.client_auth = keys.get("client_auth").and_then(|item| item.parsed());
    if let Some(item) = keys.get("scopes") {
        oidc.scopes = item.one_or_list().iter().filter_map(read_scope).collect();
    }
    read_algorithms(keys, &mut oidc.signing_algorithms);
    oidc.userinfo = keys.get("userinfo").and_then(|item| item.parsed()).unwrap_or_default();
    oidc.prefer = keys.get("prefer").and_then(|item| item.parsed()).unwrap_or_default();
    if let Some(item) = keys.get("acr_values") {
        oidc.acr_values = item.one_or_list().iter().filter_map(read_scope).collect();
    }
    oidc.prompt = keys.get("prompt").and_then(|item| item.parsed());
    oidc.max_age = keys.get("max_age").and_then(|item| item.seconds()).map(Duration::from_secs);
    oidc.force_authn = keys.boolean("force_authn", false);
    oidc.login_hint = keys.boolean("login_hint", false);
    oidc.response_mode = keys.get("response_mode").and_then(|item| item.parsed()).unwrap_or_default();
    oidc.private_addresses = keys.boolean("private_addresses", false);
    oidc.trust_email = keys.boolean("trust_email", false);
    oidc.groups_limit = keys.get("groups_limit").and_then(|item| read_groups_limit(&item));
    oidc.clock_skew = read_clock_skew(keys);
    if let Some(claims) = keys.get("attributes").and_then(|item| item.keys("[connector.attributes] and keys below")) {
        oidc.claims = read_claims(&claims);
    }
    if unread {
        // Everything else was looked at; nothing comes of it.
        keys.finish();
        return None;
    }
    Some(oidc)
}

pub(super) fn read_algorithms(keys: &Keys<'_, '_>, into: &mut BTreeSet<JwsAlgorithm>) {
    let Some(item) = keys.get("signing_algorithms") else { return };
    let written = item.one_or_list();
    let algorithms: BTreeSet<_> = written.iter().filter_map(read_algorithm).collect();
    // Where none could be read, that was said of each: the list is not empty.
    if written.is_empty() || !algorithms.is_empty() {
        *into = algorithms;
    }
}

/// A word without spaces: a list of them travels as one text.
fn read_scope(item: &Item<'_, '_>) -> Option<String> {
    let text = item.filled_text()?;
    let good = text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
    if !good {
        item.fail(format!(
            "`{text}` cannot be sent; write each one by itself, in visible ASCII without spaces or quotes"
        ));
    }
    good.then_some(text)
}

fn read_algorithm(item: &Item<'_, '_>) -> Option<JwsAlgorithm> {
    let text = item.text()?;
    if text.eq_ignore_ascii_case("none") {
        item.fail("a token that nobody signed is never accepted; write for example RS256");
        return None;
    }
    if text.starts_with("HS") {
        item.fail(format!(
            "{text} signs with a shared secret, so whoever can check it can forge it; have the provider sign with RS256"
        ));
        return None;
    }
    item.parsed()
}

fn read_groups_limit(item: &Item<'_, '_>) -> Option<u32> {
    let count = item.value().as_integer().and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok());
    let count = count.filter(|count| *count > 0);
    if count.is_none() {
        item.fail("write a whole number above 0: with exactly so many groups the list counts as cut off");
    }
    count
}

/// A secret from a file, as text, or sealed, by the names of its three keys in this order.
pub(super) fn read_secret(
    keys: &Keys<'_, '_>,
    read: ReadFile<'_>,
    names: [&'static str; 3],
    what: &str,
) -> Option<Secret> {
    let [file, clear, sealed] = names;
    let given: Vec<_> = names.into_iter().filter(|key| keys.has(key)).collect();
    if given.len() > 1 {
        keys.fail(format!("{} are given together; keep one of them", given.join(" and ")));
    }
    let in_clear = |item: &Item<'_, '_>, text: &str| {
        // Editors end a file with a line break, which is no part of the secret.
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        if text.is_empty() || text.chars().any(char::is_control) {
            item.fail(format!("{what} is empty or has control characters"));
            return None;
        }
        Some(Secret::Given(text.into()))
    };
    let from_file = keys.get(file).and_then(|item| {
        let path = item.filled_text()?;
        match read(Path::new(&path)).map(String::from_utf8) {
            Ok(Ok(text)) => in_clear(&item, &text),
            Ok(Err(_)) => {
                item.fail(format!("{path} is not UTF-8"));
                None
            }
            Err(error) => {
                item.fail(format!("{path} cannot be read: {error}; the path is relative to the catalog file"));
                None
            }
        }
    });
    let written = keys.get(clear).and_then(|item| in_clear(&item, &item.text()?));
    let sealed = keys.get(sealed).and_then(|item| item.parsed::<SealedSecret>());
    from_file.or(written).or(sealed.map(Secret::Sealed))
}

fn read_claims(keys: &Keys<'_, '_>) -> ClaimMap {
    let claim = |key| keys.get(key).and_then(|item| read_claim(&item));
    let usual = ClaimMap::default();
    let map = ClaimMap {
        subject: claim("subject"),
        email: claim("email").unwrap_or(usual.email),
        name: claim("name").unwrap_or(usual.name),
        groups: keys.get("groups").and_then(|item| read_claim_groups(&item)),
        extra: keys
            .get("extra")
            .and_then(|item| item.keys("{ our_name = \"their claim\" }"))
            .map(|extra| {
                let entry = |(key, item): (&str, Item<'_, '_>)| {
                    let theirs = read_claim(&item);
                    Some((item.parse_key(key)?, theirs?))
                };
                extra.all().into_iter().filter_map(entry).collect()
            })
            .unwrap_or_default(),
    };
    keys.finish();
    map
}

const CLAIM: &str = "the claim's name, or { path = [\"outer\", \"inner\"] }";

pub(super) fn read_claim(item: &Item<'_, '_>) -> Option<ClaimPath> {
    if item.value().is_str() {
        return item.filled_text().map(|name| ClaimPath::literal(&name));
    }
    let keys = item.keys(CLAIM)?;
    let path = keys.required("path", "path = [\"outer\", \"inner\"]").and_then(|item| read_path(&item));
    keys.finish();
    path
}

fn read_path(item: &Item<'_, '_>) -> Option<ClaimPath> {
    let parts: Vec<String> = item.one_or_list().iter().filter_map(Item::filled_text).collect();
    ClaimPath::new(parts).map_err(|error| item.fail(error.to_string())).ok()
}

fn read_claim_groups(item: &Item<'_, '_>) -> Option<ClaimGroups> {
    if item.value().is_str() {
        return Some(ClaimGroups { claim: read_claim(item)?, delimiter: None, prefix: None });
    }
    let keys = item.keys("the claim's name, or { attribute = \"…\", delimiter = \",\", prefix = \"…\" }")?;
    let (delimiter, prefix) = (unblank(&keys, "delimiter"), unblank(&keys, "prefix"));
    let claim = match (keys.get("attribute"), keys.get("path")) {
        (Some(item), None) => item.filled_text().map(|name| ClaimPath::literal(&name)),
        (None, Some(item)) => read_path(&item),
        (Some(_), Some(item)) => {
            item.fail("attribute and path stand together; keep one of them");
            None
        }
        (None, None) => {
            keys.required("attribute", "attribute = \"groups\", or path = [\"outer\", \"inner\"]");
            None
        }
    };
    keys.finish();
    Some(ClaimGroups { claim: claim?, delimiter, prefix })
}

/// Text that may be a space, but not nothing.
fn unblank(keys: &Keys<'_, '_>, key: &'static str) -> Option<String> {
    let item = keys.get(key)?;
    let text = item.text()?;
    if text.is_empty() {
        item.fail("the text is empty; leave the key out");
        return None;
    }
    Some(text)
}
