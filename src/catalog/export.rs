//! A catalog as a TOML file: reading it back gives the same catalog.
//!
//! Entries stand in the order of their keys and what equals its default is left out, so that the same catalog is
//! always the same text and two exports can be compared line by line.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use ::toml::Value;
use ::toml::value::{Array, Table};
use secrecy::ExposeSecret as _;

use super::{
    Account, AccountSelector, AnyOf, Catalog, ClaimPath, ClientAuth, ClockSkew, Connector, ConnectorKind, Grant,
    JwsAlgorithm, KeySource, Link, MetadataSource, Method, OidcAudience, OidcConnector, Pattern, Prompt, Role,
    RoleSelector, Rule, SamlConnector, Secret, Support, TagKey, TagSelector, TagSource, Tags, UserKey,
    WorkloadConnector,
};
use crate::aws::{Partition, ScopeDown, SessionDuration};

/// The whole catalog as one TOML document.
#[must_use]
pub fn export(catalog: &Catalog) -> String {
    let mut out = Writer::default();
    write_support(&mut out, catalog.support());
    for connector in catalog.connectors() {
        write_connector(&mut out, connector);
    }
    for account in catalog.accounts() {
        write_account(&mut out, account);
    }
    for role in catalog.roles() {
        write_role(&mut out, role);
    }
    for key in catalog.keys() {
        write_user_key(&mut out, key);
    }
    for link in catalog.links() {
        write_link(&mut out, link);
    }
    for rule in catalog.rules() {
        write_rule(&mut out, rule);
    }
    out.0
}

#[derive(Default)]
struct Writer(String);

impl Writer {
    fn header(&mut self, header: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(header);
        self.0.push('\n');
    }

    fn key(&mut self, key: &str, value: impl Into<Value>) {
        // `Value` displays itself in TOML's inline form, with its quoting.
        let _ = writeln!(self.0, "{key} = {}", value.into());
    }

    fn text(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.key(key, value);
        }
    }

    /// A switch that is off by default.
    fn switch(&mut self, key: &str, on: bool) {
        if on {
            self.key(key, true);
        }
    }

    fn secret(&mut self, key: &str, secret: &Secret) {
        match secret {
            Secret::Sealed(sealed) => self.key(&format!("{key}_sealed"), sealed.as_str()),
            // Only a catalog that was never kept holds one in clear.
            Secret::Given(secret) => self.key(key, secret.expose_secret()),
        }
    }

    fn table(&mut self, key: &str, table: Table) {
        if !table.is_empty() {
            self.key(key, table);
        }
    }
}

fn write_support(out: &mut Writer, support: &Support) {
    if *support == Support::default() {
        return;
    }
    out.header("[support]");
    out.text("text", support.text.as_deref());
    out.text("contact", support.contact.as_ref().map(super::Contact::as_str));
}

fn write_connector(out: &mut Writer, connector: &Connector) {
    out.header("[[connector]]");
    out.key("id", connector.id.as_str());
    match &connector.kind {
        ConnectorKind::Saml(saml) => {
            out.key("kind", "saml");
            write_connector_keys(out, connector);
            write_saml(out, saml);
        }
        ConnectorKind::Oidc(oidc) => {
            out.key("kind", "oidc");
            write_connector_keys(out, connector);
            write_oidc(out, oidc);
        }
        ConnectorKind::Workload(workload) => {
            out.key("kind", "workload");
            write_connector_keys(out, connector);
            write_workload(out, workload);
        }
    }
}

fn write_connector_keys(out: &mut Writer, connector: &Connector) {
    out.key("name", connector.name.as_str());
    if !connector.enabled {
        out.key("enabled", false);
    }
    for (key, limit) in [("session_idle", connector.session.idle), ("session_absolute", connector.session.absolute)] {
        if let Some(limit) = limit {
            out.key(key, length_of_time(limit));
        }
    }
    if !connector.email_domains.is_empty() {
        out.key(
            "email_domains",
            connector.email_domains.iter().map(|one| Value::from(one.as_str())).collect::<Array>(),
        );
    }
    out.switch("default", connector.default);
}

fn write_oidc(out: &mut Writer, oidc: &OidcConnector) {
    let usual = OidcConnector::new(oidc.issuer.clone(), String::new());
    out.key("issuer", oidc.issuer.as_str());
    out.key("client_id", oidc.client_id.as_str());
    if let Some(secret) = &oidc.client_secret {
        out.secret("client_secret", secret);
    }
    out.text("client_auth", oidc.client_auth.map(ClientAuth::as_str));
    if oidc.scopes != usual.scopes {
        out.key("scopes", texts(oidc.scopes.iter()));
    }
    if oidc.signing_algorithms != usual.signing_algorithms {
        out.key("signing_algorithms", algorithms(&oidc.signing_algorithms));
    }
    if oidc.userinfo != usual.userinfo {
        out.key("userinfo", oidc.userinfo.as_str());
    }
    if oidc.prefer != usual.prefer {
        out.key("prefer", oidc.prefer.as_str());
    }
    if !oidc.acr_values.is_empty() {
        out.key("acr_values", texts(oidc.acr_values.iter()));
    }
    out.text("prompt", oidc.prompt.map(Prompt::as_str));
    if let Some(max_age) = oidc.max_age {
        out.key("max_age", length_of_time(max_age));
    }
    out.switch("force_authn", oidc.force_authn);
    out.switch("login_hint", oidc.login_hint);
    if oidc.response_mode != usual.response_mode {
        out.key("response_mode", oidc.response_mode.as_str());
    }
    out.switch("private_addresses", oidc.private_addresses);
    out.switch("trust_email", oidc.trust_email);
    if let Some(limit) = oidc.groups_limit {
        out.key("groups_limit", i64::from(limit));
    }
    if oidc.clock_skew != usual.clock_skew {
        out.key("clock_skew", length_of_time(Duration::from_secs(oidc.clock_skew.as_secs().into())));
    }
    let claims = &oidc.claims;
    if *claims == usual.claims {
        return;
    }
    out.header("[connector.attributes]");
    if let Some(subject) = &claims.subject {
        out.key("subject", claim(subject));
    }
    if claims.email != usual.claims.email {
        out.key("email", claim(&claims.email));
    }
    if claims.name != usual.claims.name {
        out.key("name", claim(&claims.name));
    }
    if let Some(groups) = &claims.groups {
        let mut table = Table::new();
        match groups.claim.parts() {
            [one] => table.insert("attribute".into(), one.as_str().into()),
            parts => table.insert("path".into(), texts(parts.iter()).into()),
        };
        for (key, value) in [("delimiter", &groups.delimiter), ("prefix", &groups.prefix)] {
            if let Some(value) = value {
                table.insert(key.into(), value.as_str().into());
            }
        }
        out.key("groups", table);
    }
    out.table("extra", claims.extra.iter().map(|(ours, theirs)| (ours.to_string(), claim(theirs))).collect());
}

fn write_workload(out: &mut Writer, workload: &WorkloadConnector) {
    let usual = WorkloadConnector::new(workload.issuer.clone());
    out.key("issuer", workload.issuer.as_str());
    out.text("audience", workload.audience.as_deref());
    match &workload.keys {
        KeySource::Discovery => {}
        KeySource::Url(url) => out.key("jwks_uri", url.as_url().as_str()),
        KeySource::Inline(jwks) => out.key("jwks", jwks.as_str()),
    }
    if workload.signing_algorithms != usual.signing_algorithms {
        out.key("signing_algorithms", algorithms(&workload.signing_algorithms));
    }
    out.switch("private_addresses", workload.private_addresses);
    if workload.clock_skew != usual.clock_skew {
        out.key("clock_skew", length_of_time(Duration::from_secs(workload.clock_skew.as_secs().into())));
    }
    if workload.max_token_age != usual.max_token_age {
        out.key("max_token_age", length_of_time(workload.max_token_age));
    }
    out.switch("once", workload.once);
    out.switch("other_audiences", workload.other_audiences);
    out.table(
        "require",
        workload.require.iter().map(|(attribute, any)| (attribute.to_string(), patterns(any))).collect(),
    );
    if !workload.attributes.is_empty() {
        out.header("[connector.attributes]");
        for (ours, theirs) in &workload.attributes {
            out.key(&quoted(&ours.to_string()), claim(theirs));
        }
    }
}

/// A key as TOML takes it: one with a dot would else be two.
fn quoted(key: &str) -> String {
    if key.contains('.') { format!("\"{key}\"") } else { key.to_owned() }
}

fn algorithms(algorithms: &BTreeSet<JwsAlgorithm>) -> Array {
    algorithms.iter().map(|one| Value::from(one.as_str())).collect()
}

fn claim(path: &ClaimPath) -> Value {
    match path.parts() {
        [one] => one.as_str().into(),
        parts => one_entry("path", texts(parts.iter())),
    }
}

fn write_link(out: &mut Writer, link: &Link) {
    out.header("[[link]]");
    out.key("id", link.id.to_string());
    out.key("connectors", link.connectors.iter().map(|id| Value::from(id.as_str())).collect::<Array>());
    out.key("attribute", link.attribute.as_str());
}

/// In the largest units that say it exactly: `12h`, `90m`, `45s`.
fn length_of_time(time: Duration) -> String {
    match time.as_secs() {
        s if s % 3_600 == 0 => format!("{}h", s / 3_600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

fn write_saml(out: &mut Writer, saml: &SamlConnector) {
    match &saml.metadata {
        MetadataSource::Url(url) => out.key("metadata_url", url.as_url().as_str()),
        MetadataSource::Inline(xml) => out.key("metadata_xml", xml.as_str()),
    }
    out.text("idp_entity_id", saml.idp_entity_id.as_deref());
    out.text("sp_entity_id", saml.sp_entity_id.as_deref());
    out.switch("idp_initiated", saml.idp_initiated);
    out.switch("sign_requests", saml.sign_requests);
    out.switch("encrypt_assertions", saml.encrypt_assertions);
    out.switch("force_authn", saml.force_authn);
    out.switch("allow_sha1", saml.allow_sha1);
    if saml.clock_skew != ClockSkew::default() {
        out.key("clock_skew", length_of_time(Duration::from_secs(saml.clock_skew.as_secs().into())));
    }
    out.text("name_id_format", saml.name_id_format.as_deref());
    out.text("logout_issuer", saml.logout_issuer.as_deref());
    if let Some(context) = &saml.authn_context {
        out.key("authn_contexts", texts(context.classes.iter()));
        out.key("authn_comparison", context.comparison.as_str());
    }
    let attributes = &saml.attributes;
    if *attributes == super::AttributeMap::default() {
        return;
    }
    out.header("[connector.attributes]");
    out.text("subject", attributes.subject.as_deref());
    out.text("email", attributes.email.as_deref());
    out.text("name", attributes.name.as_deref());
    if let Some(groups) = &attributes.groups {
        let mut table = Table::new();
        for (key, value) in [("delimiter", &groups.delimiter), ("prefix", &groups.prefix)] {
            if let Some(value) = value {
                table.insert(key.into(), value.as_str().into());
            }
        }
        if table.is_empty() {
            out.key("groups", groups.attribute.as_str());
        } else {
            table.insert("attribute".into(), groups.attribute.as_str().into());
            out.key("groups", table);
        }
    }
    out.switch("friendly_names", attributes.friendly_names);
    out.table(
        "extra",
        attributes.extra.iter().map(|(ours, theirs)| (ours.to_string(), theirs.as_str().into())).collect(),
    );
}

fn write_account(out: &mut Writer, account: &Account) {
    out.header("[[account]]");
    out.key("id", account.id.as_str());
    out.key("name", account.name.as_str());
    out.table("tags", tags(&account.tags));
    if account.partition != Partition::default() {
        out.key("partition", account.partition.id());
    }
    if account.saml_provider.as_str() != super::DEFAULT_SAML_PROVIDER {
        out.key("saml_provider", account.saml_provider.as_str());
    }
    if account.oidc_audience.as_str() != OidcAudience::USUAL {
        out.key("oidc_audience", account.oidc_audience.as_str());
    }
    out.text("region", account.region.as_ref().map(crate::aws::Region::as_str));
}

fn write_role(out: &mut Writer, role: &Role) {
    out.header("[[role]]");
    out.key("account", role.account.as_str());
    out.key("name", role.name.as_str());
    out.text("description", role.description.as_deref());
    out.table("tags", tags(&role.tags));
    if role.max_session != SessionDuration::HOUR {
        out.key("max_session", role.max_session.to_string());
    }
    if let Some(default) = role.default_session {
        out.key("default_session", default.to_string());
    }
    out.text("destination", role.destination.as_ref().map(super::Destination::as_str));
    out.text("region", role.region.as_ref().map(crate::aws::Region::as_str));
    let source = |key: &TagKey, source: &TagSource| -> Value {
        let transitive = role.transitive_tags.contains(key);
        let mut table = match source {
            TagSource::Attribute(attribute) if !transitive => return attribute.as_str().into(),
            TagSource::Attribute(attribute) => Table::from_iter([("attribute".to_owned(), attribute.as_str().into())]),
            TagSource::Value(value) => Table::from_iter([("value".to_owned(), value.as_str().into())]),
        };
        if transitive {
            table.insert("transitive".into(), true.into());
        }
        table.into()
    };
    if let Some(demand) = &role.authentication {
        let mut table = Table::new();
        if let Some(max_age) = demand.max_age {
            table.insert("max_age".into(), length_of_time(max_age).into());
        }
        for (key, list) in [("contexts", &demand.contexts), ("methods", &demand.methods)] {
            if !list.is_empty() {
                table.insert(key.into(), texts(list.iter()).into());
            }
        }
        out.key("authentication", table);
    }
    out.table(
        "session_tags",
        role.session_tags.iter().map(|(key, from)| (key.to_string(), source(key, from))).collect(),
    );
    out.table("scope_down", scope_down(&role.scope_down));
    write_method(out, &role.method);
}

fn write_method(out: &mut Writer, method: &Method) {
    if *method == Method::Saml {
        return;
    }
    out.key("method", method.name());
    let mut table = Table::new();
    match method {
        Method::Saml | Method::WebIdentity => {}
        Method::Chain(chain) => {
            table.insert("via".into(), chain.via.to_string().into());
            if let Some(id) = &chain.external_id {
                table.insert("external_id".into(), id.as_str().into());
            }
            if !chain.transitive_tags.is_empty() {
                let tags = chain.transitive_tags.iter().map(|key| Value::from(key.as_str()));
                table.insert("transitive_tags".into(), tags.collect::<Array>().into());
            }
        }
        Method::FederationToken(token) => {
            table.insert("key".into(), token.key.as_str().into());
        }
        Method::SessionToken(token) => {
            table.insert("key".into(), token.key.as_str().into());
            if let Some(serial) = &token.mfa_serial {
                table.insert("mfa_serial".into(), serial.as_str().into());
            }
        }
    }
    out.table(method.name(), table);
}

fn write_user_key(out: &mut Writer, key: &UserKey) {
    out.header("[[key]]");
    out.key("id", key.id.as_str());
    out.key("account", key.account.as_str());
    out.key("user", key.user.as_str());
    out.key("access_key_id", key.access_key_id.as_str());
    out.secret("secret_access_key", &key.secret_access_key);
}

fn write_rule(out: &mut Writer, rule: &Rule) {
    out.header("[[rule]]");
    out.key("id", rule.id.as_str());
    out.text("description", rule.description.as_deref());
    out.table("when", rule.when.iter().map(|(attribute, any)| (attribute.to_string(), patterns(any))).collect());
    match rule.grants.as_slice() {
        [one] => out.key("grant", Array::from([grant(one)])),
        many => {
            out.0.push_str("grant = [\n");
            for one in many {
                let _ = writeln!(out.0, "  {},", grant(one));
            }
            out.0.push_str("]\n");
        }
    }
    if let Some(max) = rule.max_session {
        out.key("max_session", max.to_string());
    }
    out.table("scope_down", scope_down(&rule.scope_down));
}

fn scope_down(scope: &ScopeDown) -> Table {
    let ScopeDown { read_only, regions, networks, from_here, policy, policy_arns } = scope;
    let networks = networks.iter().map(ToString::to_string).chain(from_here.then(|| "caller".to_owned()));
    let lists: [(&str, Vec<String>); 3] = [
        ("regions", regions.iter().map(ToString::to_string).collect()),
        ("networks", networks.collect()),
        ("policy_arns", policy_arns.iter().map(ToString::to_string).collect()),
    ];
    let mut table = Table::new();
    if *read_only {
        table.insert("read_only".into(), true.into());
    }
    for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        table.insert(key.into(), texts(list.iter()).into());
    }
    if let Some(policy) = policy {
        table.insert("policy".into(), policy.as_str().into());
    }
    table
}

fn patterns(any: &AnyOf) -> Value {
    let one = |pattern: &Pattern| match pattern {
        Pattern::Exact(text) => Value::from(text.as_str()),
        Pattern::Glob(glob) => one_entry("glob", glob.as_str()),
        Pattern::Matches(expression) => one_entry("matches", expression.as_str()),
    };
    match any.patterns() {
        [pattern] => one(pattern),
        patterns if patterns.iter().all(|pattern| matches!(pattern, Pattern::Exact(_))) => {
            Value::Array(patterns.iter().map(one).collect())
        }
        patterns => one_entry("any", Array::from_iter(patterns.iter().map(one))),
    }
}

fn grant(grant: &Grant) -> Value {
    let mut table = Table::new();
    let account: Option<Value> = match &grant.account {
        // Left out beside tags, as people write it.
        AccountSelector::Any if !grant.account_tags.is_empty() => None,
        AccountSelector::Any => Some("*".into()),
        AccountSelector::Ids(ids) => Some(one_or_list(ids.iter().map(ToString::to_string))),
        AccountSelector::Captured(template) => Some(template.to_string().into()),
    };
    let role: Option<Value> = match &grant.role {
        RoleSelector::Any if !grant.role_tags.is_empty() => None,
        RoleSelector::Any => Some("*".into()),
        RoleSelector::Names(names) => Some(one_or_list(names.iter().map(ToString::to_string))),
        RoleSelector::Captured(template) => Some(template.to_string().into()),
    };
    let entries = [
        ("account", account),
        ("account_tags", tag_selector(&grant.account_tags)),
        ("role", role),
        ("role_tags", tag_selector(&grant.role_tags)),
    ];
    for (key, value) in entries {
        if let Some(value) = value {
            table.insert(key.into(), value);
        }
    }
    table.into()
}

fn tag_selector(selector: &TagSelector) -> Option<Value> {
    let entry = |(key, values): (&String, &BTreeSet<String>)| (key.clone(), one_or_list(values.iter().cloned()));
    (!selector.is_empty()).then(|| Value::Table(selector.iter().map(entry).collect()))
}

fn one_or_list(texts: impl ExactSizeIterator<Item = String>) -> Value {
    let alone = texts.len() == 1;
    let mut values: Array = texts.map(Value::String).collect();
    if alone { values.remove(0) } else { Value::Array(values) }
}

fn tags(tags: &Tags) -> Table {
    tags.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect()
}

fn texts<'t>(texts: impl Iterator<Item = &'t String>) -> Array {
    texts.map(|text| Value::from(text.as_str())).collect()
}

fn one_entry(key: &str, value: impl Into<Value>) -> Value {
    Value::Table(Table::from_iter([(key.to_owned(), value.into())]))
}
