//! What makes a catalog hold together.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};

use super::{
    Account, AccountSelector, Attribute, AttributeName, Catalog, Chain, ClientAuth, Connector, ConnectorKind, Grant,
    KeySource, Link, Method, OidcAudience, OidcConnector, Pattern, Role, RoleId, RoleSelector, Rule, Support, TagKey,
    TagSelector, TagSource, Tags, UserKey, UserKeyId, WorkloadConnector,
};
use crate::aws::{AccountId, CannotCompose, Network, Part, Partition, Region, RoleName, ScopeDown, Source, compose};
use crate::identity::ConnectorId;

/// AWS takes at most this many session tags.
const MAX_SESSION_TAGS: usize = 50;

/// What a catalog is made of, before it is known to hold together.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    pub connectors: Vec<Connector>,
    pub accounts: Vec<Account>,
    pub roles: Vec<Role>,
    pub rules: Vec<Rule>,
    pub keys: Vec<UserKey>,
    pub links: Vec<Link>,
    pub support: Support,
}

/// A list of a catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    Connector,
    Account,
    Role,
    Rule,
    Key,
    Link,
}

impl Section {
    /// As it is written in a file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connector => "connector",
            Self::Account => "account",
            Self::Role => "role",
            Self::Rule => "rule",
            Self::Key => "key",
            Self::Link => "link",
        }
    }
}

impl Parts {
    /// What the entries of each section are called, in the order of their lists.
    pub(super) fn names(&self) -> BTreeMap<Section, Vec<String>> {
        BTreeMap::from([
            (Section::Connector, self.connectors.iter().map(|one| one.id.to_string()).collect()),
            (Section::Account, self.accounts.iter().map(|one| one.id.to_string()).collect()),
            (Section::Role, self.roles.iter().map(|one| one.id().to_string()).collect()),
            (Section::Rule, self.rules.iter().map(|one| one.id.to_string()).collect()),
            (Section::Key, self.keys.iter().map(|one| one.id.to_string()).collect()),
            (Section::Link, self.links.iter().map(|one| one.id.to_string()).collect()),
        ])
    }
}

/// Something that does not fit the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inconsistency {
    pub section: Section,
    /// Which entry of the section's list in [`Parts`].
    pub index: usize,
    /// What the entry is called.
    pub name: String,
    /// The key within the entry, such as `grant[0].account`.
    pub key: String,
    pub message: String,
    /// It is about all of what stands under this key, so it means nothing while some of that cannot be read.
    pub about_all_of: Option<&'static str>,
}

impl fmt::Display for Inconsistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`, {}: {}", self.section.as_str(), self.name, self.key, self.message)
    }
}

/// Everything that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inconsistencies(pub Vec<Inconsistency>);

impl fmt::Display for Inconsistencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the catalog does not hold together")?;
        for one in &self.0 {
            write!(f, "; {one}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Inconsistencies {}

/// The entry under examination, and what was found so far.
struct Findings {
    section: Section,
    index: usize,
    name: String,
    found: Vec<Inconsistency>,
}

impl Findings {
    fn new() -> Self {
        Self { section: Section::Connector, index: 0, name: String::new(), found: Vec::new() }
    }

    fn at(&mut self, section: Section, index: usize, name: &impl ToString) -> &mut Self {
        (self.section, self.index, self.name) = (section, index, name.to_string());
        self
    }

    fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.push(key.into(), message.into(), None);
    }

    fn add_about_all(&mut self, of: &'static str, key: impl Into<String>, message: impl Into<String>) {
        self.push(key.into(), message.into(), Some(of));
    }

    fn push(&mut self, key: String, message: String, about_all_of: Option<&'static str>) {
        let (section, index, name) = (self.section, self.index, self.name.clone());
        self.found.push(Inconsistency { section, index, name, key, message, about_all_of });
    }
}

/// What entries may refer to.
struct Known<'p> {
    connectors: HashSet<&'p ConnectorId>,
    workloads: Vec<(&'p ConnectorId, &'p WorkloadConnector)>,
    mapped: BTreeSet<&'p AttributeName>,
    accounts: HashMap<AccountId, &'p Account>,
    roles: HashMap<(AccountId, &'p RoleName), &'p Role>,
    keys: HashMap<&'p UserKeyId, &'p UserKey>,
    names: HashSet<&'p RoleName>,
}

impl Catalog {
    /// The only way to make a catalog.
    ///
    /// # Errors
    /// [`Inconsistencies`] lists everything that does not fit: keys that occur twice, references to nothing, a grant
    /// filled from something its rule does not capture, a region of another partition, a default above a maximum.
    pub fn assemble(parts: Parts) -> Result<Self, Inconsistencies> {
        let mut findings = Findings::new();
        check_unique(&mut findings, &parts);
        let known = Known {
            connectors: parts.connectors.iter().map(|c| &c.id).collect(),
            workloads: parts.connectors.iter().filter_map(|c| Some((&c.id, c.workload()?))).collect(),
            mapped: parts.connectors.iter().flat_map(Connector::extra_attributes).collect(),
            accounts: parts.accounts.iter().map(|a| (a.id, a)).collect(),
            roles: parts.roles.iter().map(|r| ((r.account, &r.name), r)).collect(),
            keys: parts.keys.iter().map(|k| (&k.id, k)).collect(),
            names: parts.roles.iter().map(|r| &r.name).collect(),
        };
        for (index, connector) in parts.connectors.iter().enumerate() {
            check_connector(findings.at(Section::Connector, index, &connector.id), connector);
        }
        for (index, account) in parts.accounts.iter().enumerate() {
            check_account(findings.at(Section::Account, index, &account.id), account);
        }
        for (index, role) in parts.roles.iter().enumerate() {
            check_role(findings.at(Section::Role, index, &role.id()), role, &known);
        }
        for (index, rule) in parts.rules.iter().enumerate() {
            check_rule(findings.at(Section::Rule, index, &rule.id), rule, &known);
            check_rule_limit(&mut findings, rule, &parts.roles, &known);
        }
        for (index, key) in parts.keys.iter().enumerate() {
            check_key(findings.at(Section::Key, index, &key.id), key, &known);
        }
        for (index, link) in parts.links.iter().enumerate() {
            check_link(findings.at(Section::Link, index, &link.id), link, &parts.connectors);
        }
        check_default(&mut findings, &parts.connectors);
        check_domains(&mut findings, &parts.connectors);
        check_audiences(&mut findings, &parts.connectors);
        if !findings.found.is_empty() {
            return Err(Inconsistencies(findings.found));
        }
        Ok(Self {
            connectors: parts.connectors.into_iter().map(|c| (c.id.clone(), c)).collect(),
            accounts: parts.accounts.into_iter().map(|a| (a.id, a)).collect(),
            roles: parts.roles.into_iter().map(|r| (r.id(), r)).collect(),
            rules: parts.rules.into_iter().map(|r| (r.id.clone(), r)).collect(),
            keys: parts.keys.into_iter().map(|k| (k.id.clone(), k)).collect(),
            links: parts.links.into_iter().map(|l| (l.id.clone(), l)).collect(),
            support: parts.support,
        })
    }

    /// What is allowed but probably not meant: grants that select no role today, exact texts that look like globs, keys
    /// and providers that no role is reached with.
    ///
    /// The indexes are positions in what [`Catalog`] gives of the section.
    #[must_use]
    pub fn advice(&self) -> Vec<Inconsistency> {
        let mut findings = Findings::new();
        for (index, rule) in self.rules().enumerate() {
            let findings = findings.at(Section::Rule, index, &rule.id);
            for (attribute, patterns) in &rule.when {
                for pattern in patterns.patterns() {
                    if let Pattern::Exact(text) = pattern
                        && text.contains('*')
                    {
                        let key = format!("when.{attribute}");
                        findings.add(
                            key,
                            format!(
                                "`{text}` is compared as it stands; write {{ glob = \"{text}\" }} if * is a wildcard"
                            ),
                        );
                    }
                }
            }
            for connector in self.connectors() {
                if rule.when.len() == 1 && connector.workload().is_some() && rule.names(&connector.id) {
                    findings.add(
                        "when.connector",
                        format!(
                            "every workload that connector `{}` accepts gets this, whatever its branch",
                            connector.id
                        ),
                    );
                }
            }
            for (at, grant) in rule.grants.iter().enumerate() {
                if grant.captures().is_empty() && !self.roles().any(|role| self.selects(grant, role)) {
                    findings.add(format!("grant[{at}]"), "no role of the catalog fits this grant today");
                }
            }
        }
        self.advise_on_methods(&mut findings);
        findings.found
    }

    fn advise_on_methods(&self, findings: &mut Findings) {
        for (index, account) in self.accounts().enumerate() {
            let findings = findings.at(Section::Account, index, &account.id);
            let reached_by = |method: &Method| {
                self.roles().any(|role| role.account == account.id && role.method.name() == method.name())
            };
            if account.saml_provider.as_str() != super::DEFAULT_SAML_PROVIDER && !reached_by(&Method::Saml) {
                findings.add("saml_provider", "it is used by nothing: no role of this account has the method saml");
            }
            if account.oidc_audience != OidcAudience::default() && !reached_by(&Method::WebIdentity) {
                findings
                    .add("oidc_audience", "it is used by nothing: no role of this account has the method web-identity");
            }
        }
        for (index, key) in self.keys().enumerate() {
            let findings = findings.at(Section::Key, index, &key.id);
            if !self.roles().any(|role| role.method.key() == Some(&key.id)) {
                findings.add("id", "no role uses this key; a key that is not needed is better deleted in IAM");
            }
            if let Some(account) = key.access_key_id.account().filter(|account| *account != key.account) {
                findings.add("access_key_id", format!("this key seems to be one of account {account}"));
            }
        }
        for (index, role) in self.roles().enumerate() {
            // Trust policies of hubs are often written for one broker: whoever may use one by itself can go on from it.
            let is_hub = |other: &Role| matches!(&other.method, Method::Chain(chain) if chain.via == role.id());
            let granted = |rule: &Rule| rule.grants.iter().any(|grant| self.selects(grant, role));
            if self.roles().any(is_hub)
                && let Some(rule) = self.rules().find(|rule| granted(rule))
            {
                findings.at(Section::Role, index, &role.id()).add(
                    "name",
                    format!(
                        "other roles are reached from this one, and rule `{}` gives it to people: they can go on from it \
                         by themselves, to every role that trusts it, without a rule of theirs being asked",
                        rule.id
                    ),
                );
            }
        }
    }

    /// Whether a grant that is not filled from captures selects this role.
    fn selects(&self, grant: &Grant, role: &Role) -> bool {
        let account = match &grant.account {
            AccountSelector::Any => true,
            AccountSelector::Ids(ids) => ids.contains(&role.account),
            AccountSelector::Captured(_) => false,
        };
        let name = match &grant.role {
            RoleSelector::Any => true,
            RoleSelector::Names(names) => names.contains(&role.name),
            RoleSelector::Captured(_) => false,
        };
        account
            && name
            && has_tags(&role.tags, &grant.role_tags)
            && self.account(role.account).is_some_and(|account| has_tags(&account.tags, &grant.account_tags))
    }
}

/// Every key once. The first one counts, the others are reported.
fn check_unique(findings: &mut Findings, parts: &Parts) {
    fn section<'p, T, K: Hash + Eq + fmt::Display>(
        findings: &mut Findings,
        section: Section,
        key: &str,
        entries: &'p [T],
        id: impl Fn(&'p T) -> K,
    ) {
        let mut seen = HashSet::new();
        for (index, entry) in entries.iter().enumerate() {
            let id = id(entry);
            let name = id.to_string();
            if !seen.insert(id) {
                let message = format!("`{name}` is there already; every {} is written once", section.as_str());
                findings.at(section, index, &name).add(key, message);
            }
        }
    }
    section(findings, Section::Connector, "id", &parts.connectors, |c| &c.id);
    section(findings, Section::Account, "id", &parts.accounts, |a| a.id);
    section(findings, Section::Role, "name", &parts.roles, Role::id);
    section(findings, Section::Rule, "id", &parts.rules, |r| &r.id);
    section(findings, Section::Key, "id", &parts.keys, |k| &k.id);
    section(findings, Section::Link, "id", &parts.links, |l| &l.id);
}

fn check_connector(findings: &mut Findings, connector: &Connector) {
    match &connector.kind {
        ConnectorKind::Saml(saml) => {
            if saml.authn_context.as_ref().is_some_and(|context| context.classes.is_empty()) {
                findings.add("authn_contexts", "the list is empty; leave it out to ask for none");
            }
        }
        ConnectorKind::Oidc(oidc) => check_oidc(findings, oidc),
        ConnectorKind::Workload(workload) => check_workload(findings, connector, workload),
    }
    if let (Some(idle), Some(absolute)) = (connector.session.idle, connector.session.absolute)
        && idle > absolute
    {
        findings.add("session_idle", "it is longer than session_absolute, so it would never end a session");
    }
}

fn check_oidc(findings: &mut Findings, oidc: &OidcConnector) {
    if !oidc.scopes.iter().any(|scope| scope == "openid") {
        findings.add("scopes", "without the scope openid the provider sends no ID token; add it");
    }
    if oidc.claims.subject.as_ref().is_some_and(|subject| subject.parts() == ["email"]) {
        findings.add(
            "attributes.subject",
            "an address can be given to somebody else, who would become this person; leave it out for sub, or name a \
             claim that is never given twice",
        );
    }
    if oidc.signing_algorithms.is_empty() {
        findings
            .add("signing_algorithms", "the list is empty, so no ID token could be accepted; leave it out for RS256");
    }
    match (oidc.client_auth, &oidc.client_secret) {
        (Some(ClientAuth::Basic | ClientAuth::Post), None) => {
            findings.add("client_auth", "it needs the client secret; add client_secret_file");
        }
        (Some(auth @ (ClientAuth::PrivateKeyJwt | ClientAuth::None)), Some(_)) => {
            findings.add("client_auth", format!("{auth} uses no client secret; leave one of the two out"));
        }
        _ => {}
    }
}

fn check_workload(findings: &mut Findings, connector: &Connector, workload: &WorkloadConnector) {
    let nobody = "nobody signs in through a connector for workloads; leave it out";
    if connector.default {
        findings.add("default", nobody);
    }
    if !connector.email_domains.is_empty() {
        findings.add("email_domains", nobody);
    }
    if connector.session.idle.is_some() {
        findings.add("session_idle", nobody);
    }
    if connector.session.absolute.is_some() {
        findings.add("session_absolute", nobody);
    }
    if workload.signing_algorithms.is_empty() {
        findings.add("signing_algorithms", "the list is empty, so no token could be accepted; leave it out for RS256");
    }
    let host = workload.issuer.url().host_str().unwrap_or_default().to_owned();
    let in_cluster = host.ends_with(".svc") || host.ends_with(".svc.cluster.local");
    if in_cluster && workload.keys == KeySource::Discovery {
        findings.add(
            "issuer",
            format!(
                "{host} is a name inside a cluster, which every cluster has and nobody else can call; add jwks_file with \
                 what `kubectl get --raw /openid/v1/jwks` prints"
            ),
        );
    }
    for attribute in workload.require.keys() {
        let known = *attribute != Attribute::Connector && workload.delivers(attribute);
        if !known {
            findings.add(
                format!("require.{attribute}"),
                format!("`{attribute}` is not mapped here; map it under [connector.attributes], or require subject"),
            );
        }
    }
    if let Some(why) = workload.unpinned() {
        findings.add_about_all("require", "require", why);
    }
}

/// An exchange finds its connector by issuer and audience. What a person's provider calls us must not be what workloads
/// there can have their tokens made out to.
fn check_audiences(findings: &mut Findings, connectors: &[Connector]) {
    let mut seen = HashMap::new();
    for (index, connector) in connectors.iter().enumerate() {
        let Some(workload) = connector.workload() else { continue };
        let (issuer, audience) = (workload.issuer.as_str(), workload.audience.as_deref());
        if let Some(first) = seen.insert((issuer, audience), &connector.id) {
            let message =
                format!("connector `{first}` has the same issuer and audience; give each an audience of its own");
            findings.at(Section::Connector, index, &connector.id).add("audience", message);
        }
        let people = connectors.iter().filter_map(Connector::oidc);
        let ours = people.filter(|oidc| oidc.issuer.as_str() == issuer).map(|oidc| oidc.client_id.as_str());
        if ours.into_iter().any(|client| Some(client) == audience) {
            findings.at(Section::Connector, index, &connector.id).add(
                "audience",
                "this is a client_id by which people sign in at the same issuer; give workloads an audience of their own",
            );
        }
    }
}

/// Rules are for people unless they name a connector for workloads: what a branch is called, somebody who may push
/// decides.
fn check_reach(findings: &mut Findings, rule: &Rule, known: &Known<'_>) {
    for (id, workload) in &known.workloads {
        if rule.reaches(id, workload) && !rule.names(id) {
            findings.add_about_all(
                "when",
                "when",
                format!(
                    "workloads through connector `{id}` could meet this too; write connector = \"{id}\" if it is for \
                     them, else the connectors that people come through"
                ),
            );
        }
    }
}

/// At most one connector is where everybody goes without being asked.
fn check_default(findings: &mut Findings, connectors: &[Connector]) {
    let mut defaults = connectors.iter().enumerate().filter(|(_, connector)| connector.enabled && connector.default);
    let Some((_, first)) = defaults.next() else { return };
    for (index, connector) in defaults {
        let message = format!("`{}` is the default already; only one connector can be", first.id);
        findings.at(Section::Connector, index, &connector.id).add("default", message);
    }
}

/// An address leads to one connector, or it would lead to whichever comes first.
fn check_domains(findings: &mut Findings, connectors: &[Connector]) {
    let mut homes = BTreeMap::new();
    for (index, connector) in connectors.iter().enumerate().filter(|(_, connector)| connector.enabled) {
        for domain in &connector.email_domains {
            if let Some(first) = homes.insert(domain, &connector.id) {
                let message = format!("addresses of {} lead to `{first}` already", domain.as_str());
                findings.at(Section::Connector, index, &connector.id).add("email_domains", message);
            }
        }
    }
}

fn check_link(findings: &mut Findings, link: &Link, connectors: &[Connector]) {
    if link.connectors.len() < 2 {
        findings.add_about_all("connectors", "connectors", "a link joins at least two connectors");
    }
    for id in &link.connectors {
        let Some(connector) = connectors.iter().find(|connector| connector.id == *id) else {
            findings.add("connectors", format!("there is no connector `{id}` in the catalog"));
            continue;
        };
        if !connector.is_for_people() {
            findings.add("connectors", format!("connector `{id}` is for workloads, and a link joins people"));
            continue;
        }
        match &link.attribute {
            Attribute::Email => {}
            Attribute::Mapped(name) if connector.extra_attributes().any(|mapped| mapped == name) => {}
            Attribute::Mapped(name) => findings.add(
                "attribute",
                format!("connector `{id}` maps no attribute `{name}`; map it under [connector.attributes.extra]"),
            ),
            other => findings.add(
                "attribute",
                format!(
                    "`{other}` does not tell people apart across connectors; write email or an attribute under extra"
                ),
            ),
        }
    }
}

fn check_region(findings: &mut Findings, partition: Partition, region: Option<&Region>) {
    if let Some(region) = region
        && !partition.has_region(region)
    {
        findings.add("region", format!("{region} is not a region of the partition {partition}"));
    }
}

fn check_account(findings: &mut Findings, account: &Account) {
    check_region(findings, account.partition, account.region.as_ref());
}

fn check_role(findings: &mut Findings, role: &Role, known: &Known<'_>) {
    match known.accounts.get(&role.account) {
        None => findings.add("account", no_account(role.account)),
        Some(account) => check_region(findings, account.partition, role.region.as_ref()),
    }
    let longest = role.method.longest();
    if role.max_session > longest {
        let (max, method) = (role.max_session, &role.method);
        findings.add(
            "max_session",
            match method {
                Method::Saml | Method::WebIdentity => {
                    format!("{max} is longer than the {longest} that AWS allows any role; write {longest} or less")
                }
                Method::Chain(_) => format!(
                    "{max} is longer than AWS lets a session live that comes from another role: {longest}, whatever the \
                     role itself allows; write {longest} or less, or reach the role directly"
                ),
                Method::FederationToken(_) | Method::SessionToken(_) => {
                    format!("{max} is longer than the {longest} that AWS allows for {method}")
                }
            },
        );
    }
    check_method(findings, role, known);
    if let Some(default) = role.default_session
        && default > role.max_session
    {
        let max = role.max_session;
        findings.add("default_session", format!("{default} is longer than max_session, which is {max}"));
    }
    if role.session_tags.len() > MAX_SESSION_TAGS {
        let count = role.session_tags.len();
        findings.add("session_tags", format!("AWS takes at most {MAX_SESSION_TAGS} session tags; these are {count}"));
    }
    for key in role.transitive_tags.iter().filter(|key| !role.session_tags.contains_key(*key)) {
        findings.add("session_tags", format!("`{key}` is to be transitive and is no session tag of the role"));
    }
    if let Some(account) = known.accounts.get(&role.account)
        && let Err(error) = composed(&[(Source::Role, &role.scope_down)], account.partition)
    {
        findings.add("scope_down", error);
    }
    let mut folded = HashSet::new();
    for (key, source) in &role.session_tags {
        let path = format!("session_tags.{key}");
        if !folded.insert(key.as_str().to_lowercase()) {
            findings.add(&path, "to AWS this is the same key as another one: it ignores case in tag keys");
        }
        match source {
            TagSource::Attribute(Attribute::Groups) => {
                findings.add(&path, "groups cannot be sent as a tag: a tag has one value; use another attribute");
            }
            TagSource::Attribute(attribute) => check_attribute(findings, &path, attribute, known),
            TagSource::Value(value) if !super::is_tag_value(value) => findings.add(
                &path,
                format!("AWS does not take `{value}` as a tag value; write at most 256 letters, digits, spaces and any of _.:/=+-@"),
            ),
            TagSource::Value(_) => {}
        }
    }
}

/// Whether what a role's method refers to is there, and is of a kind that AWS takes.
fn check_method(findings: &mut Findings, role: &Role, known: &Known<'_>) {
    match &role.method {
        Method::Saml | Method::WebIdentity => {}
        Method::Chain(chain) => check_chain(findings, role, chain, known),
        Method::FederationToken(token) => {
            check_key_of(findings, "federation-token.key", role, &token.key, known);
            for key in &role.transitive_tags {
                findings.add(
                    format!("session_tags.{key}"),
                    "the tags of a federation token go along nowhere; leave transitive out",
                );
            }
            if role.scope_down.is_empty() {
                findings.add(
                    "scope_down",
                    "a federation token may do nothing without a session policy; say what it may do at most, such as \
                     scope_down = { read_only = true }",
                );
            }
        }
        Method::SessionToken(token) => {
            check_key_of(findings, "session-token.key", role, &token.key, known);
            if !role.session_tags.is_empty() {
                findings.add(
                    "session_tags",
                    "AWS takes no tags for the session of an IAM user; leave them out or use another method",
                );
            }
            if !role.scope_down.is_empty() {
                findings.add("scope_down", format!("{}; leave it out", CannotCompose::NotTaken));
            }
            if role.destination.is_some() {
                findings.add("destination", "AWS opens no console for the session of an IAM user; leave it out");
            }
        }
    }
}

fn check_chain(findings: &mut Findings, role: &Role, chain: &Chain, known: &Known<'_>) {
    const VIA: &str = "chain.via";
    for key in &chain.transitive_tags {
        if !role.session_tags.contains_key(key) {
            findings.add(
                "chain.transitive_tags",
                format!("`{key}` is not among the role's session_tags, so there is nothing to pass on; add it there"),
            );
        }
    }
    let find = |id: &RoleId| known.roles.get(&(id.account, &id.name)).copied();
    let Some(hub) = find(&chain.via) else {
        let names: Vec<String> = known.roles.values().map(|role| role.id().to_string()).collect();
        let near = super::toml::nearest(&chain.via.to_string(), names.iter().map(String::as_str));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        return findings.add(
            VIA,
            format!("there is no role `{}` in the catalog; add it as [[role]] or correct it{hint}", chain.via),
        );
    };
    match &hub.method {
        Method::FederationToken(_) => findings
            .add(VIA, format!("AWS lets nobody assume a role with a federation token, which `{}` is", chain.via)),
        Method::SessionToken(_) => findings
            .add(VIA, format!("`{}` needs somebody's MFA code each time, and a hub is asked by nobody", chain.via)),
        Method::Saml | Method::WebIdentity | Method::Chain(_) => {}
    }
    let partition = |role: &Role| known.accounts.get(&role.account).map(|account| account.partition);
    if let (Some(here), Some(there)) = (partition(role), partition(hub))
        && here != there
    {
        findings.add(
            VIA,
            format!("credentials never leave their partition: `{}` is in {there}, and this in {here}", chain.via),
        );
    }
    let mut seen = vec![role.id()];
    let mut at = hub;
    while let Method::Chain(next) = &at.method {
        if seen.contains(&at.id()) {
            let way: Vec<String> = seen.iter().chain([&at.id()]).map(ToString::to_string).collect();
            return findings.add(VIA, format!("this leads back to where it began: {}", way.join(" from ")));
        }
        seen.push(at.id());
        let Some(before) = find(&next.via) else { return };
        at = before;
    }
    // The roles that are reached by chaining; the one where it begins is not among them.
    if seen.len() > Method::MOST_HOPS {
        findings.add(
            VIA,
            format!("the role is {} hops from where the chain begins; {} is the most", seen.len(), Method::MOST_HOPS),
        );
    }
    check_tags_of_chain(findings, role, &seen[1..], at, known);
}

/// A tag that goes along cannot be set again on the way, so the same key has to say the same everywhere.
fn check_tags_of_chain(findings: &mut Findings, role: &Role, between: &[RoleId], entry: &Role, known: &Known<'_>) {
    let between = between.iter().filter_map(|id| known.roles.get(&(id.account, &id.name)).copied());
    let hubs: Vec<&Role> = between.chain([entry]).collect();
    let along = |role: &Role| match &role.method {
        Method::Chain(chain) => chain.transitive_tags.clone(),
        Method::Saml | Method::WebIdentity | Method::FederationToken(_) | Method::SessionToken(_) => BTreeSet::new(),
    };
    let mut at_entry: BTreeSet<String> = entry.session_tags.keys().map(|key| key.as_str().to_lowercase()).collect();
    for (from, to) in hubs.iter().map(|hub| (role, *hub)).chain(hubs.iter().map(|hub| (*hub, role))) {
        for key in along(from) {
            at_entry.insert(key.as_str().to_lowercase());
            let source = from.session_tags.get(&key);
            let same = |other: &TagKey| other.as_str().to_lowercase() == key.as_str().to_lowercase();
            let conflict = to.session_tags.iter().find(|(other, theirs)| same(other) && Some(*theirs) != source);
            if let (Some((other, _)), Some(_)) = (conflict, source) {
                let about = if other == &key { key.to_string() } else { format!("{key}, there {other}") };
                findings.add(
                    "session_tags",
                    format!(
                        "`{}` and `{}` have different values for the tag {about}, which goes along the chain and cannot \
                         be set twice",
                        from.id(),
                        to.id()
                    ),
                );
            }
        }
    }
    if at_entry.len() > MAX_SESSION_TAGS {
        let count = at_entry.len();
        findings.add(
            "chain.transitive_tags",
            format!(
                "with those of `{}` {count} tags would be set where the chain begins; AWS takes {MAX_SESSION_TAGS}",
                entry.id()
            ),
        );
    }
}

fn check_key_of(findings: &mut Findings, path: &str, role: &Role, id: &UserKeyId, known: &Known<'_>) {
    match known.keys.get(id) {
        None => {
            let near = super::toml::nearest(id.as_str(), known.keys.keys().map(|id| id.as_str()));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            findings.add(path, format!("there is no key `{id}` in the catalog; add it as [[key]]{hint}"));
        }
        Some(key) if key.account != role.account => findings.add(
            path,
            format!(
                "key `{id}` is one of account {}, and what it is exchanged for belongs to that account, not to {}",
                key.account, role.account
            ),
        ),
        Some(_) => {}
    }
}

fn check_key(findings: &mut Findings, key: &UserKey, known: &Known<'_>) {
    if !known.accounts.contains_key(&key.account) {
        findings.add("account", no_account(key.account));
    }
}

/// Whether limits can be put together, wherever somebody asks from.
fn composed(limits: &[(Source, &ScopeDown)], partition: Partition) -> Result<(), String> {
    // An address of the documentation, as long as one of a person's can be.
    const SOMEWHERE: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xabcd, 0xabcd, 0, 0, 0, 0));
    // Where one side wants the asker's address and the other a network, there are people whom both suit.
    let fixed = limits.iter().filter(|(_, scope)| !scope.from_here).find_map(|(_, scope)| scope.networks.first());
    let here = fixed.map_or(SOMEWHERE, Network::first_address);
    let parts: Vec<Part<'_>> = limits.iter().map(|(from, scope)| Part { from: *from, scope }).collect();
    compose(&parts, partition, Some(here)).map(|_| ()).map_err(|error| error.to_string())
}

/// A rule's limit has to fit each role it may give: otherwise nobody could use the role through it.
fn check_rule_limit(findings: &mut Findings, rule: &Rule, roles: &[Role], known: &Known<'_>) {
    if rule.scope_down.is_empty() {
        return;
    }
    let mut tried: HashSet<(Partition, bool, &ScopeDown)> = HashSet::new();
    let mut said = HashSet::new();
    for role in roles {
        let Some(account) = known.accounts.get(&role.account) else { continue };
        let given = rule.grants.iter().any(|grant| could_select(grant, role, account));
        if !given || !tried.insert((account.partition, role.method.takes_session_policy(), &role.scope_down)) {
            continue;
        }
        let limits = [(Source::Role, &role.scope_down), (Source::Rule, &rule.scope_down)];
        let taken = if role.method.takes_session_policy() { Ok(()) } else { Err(CannotCompose::NotTaken.to_string()) };
        if let Err(error) = taken.and_then(|()| composed(&limits, account.partition))
            && said.insert(error.clone())
        {
            findings.add("scope_down", format!("nobody could use {} by this rule: {error}", role.id()));
        }
    }
    if tried.is_empty()
        && let Err(error) = composed(&[(Source::Rule, &rule.scope_down)], Partition::Aws)
    {
        findings.add("scope_down", error);
    }
}

/// Whether a grant selects a role, or could if it were filled.
fn could_select(grant: &Grant, role: &Role, account: &Account) -> bool {
    let by_account = match &grant.account {
        AccountSelector::Any | AccountSelector::Captured(_) => true,
        AccountSelector::Ids(ids) => ids.contains(&role.account),
    };
    let by_name = match &grant.role {
        RoleSelector::Any | RoleSelector::Captured(_) => true,
        RoleSelector::Names(names) => names.contains(&role.name),
    };
    by_account && by_name && has_tags(&role.tags, &grant.role_tags) && has_tags(&account.tags, &grant.account_tags)
}

fn has_tags(tags: &Tags, wanted: &TagSelector) -> bool {
    wanted.iter().all(|(key, values)| tags.get(key).is_some_and(|value| values.contains(value)))
}

fn no_account(id: AccountId) -> String {
    format!("account {id} is not in the catalog; add it as [[account]] or correct the id")
}

fn check_attribute(findings: &mut Findings, key: &str, attribute: &Attribute, known: &Known<'_>) {
    if let Attribute::Mapped(name) = attribute
        && !known.mapped.contains(name)
    {
        let near = super::toml::nearest(
            name.as_str(),
            known.mapped.iter().map(|n| n.as_str()).chain(Attribute::USUAL.iter().map(Attribute::as_str)),
        );
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        findings.add(
            key,
            format!("no connector maps an attribute `{name}`; map it under [connector.attributes.extra]{hint}"),
        );
    }
}

fn check_rule(findings: &mut Findings, rule: &Rule, known: &Known<'_>) {
    if rule.when.is_empty() {
        findings.add_about_all(
            "when",
            "when",
            "no condition; say who the rule is for, such as when = { groups = \"engineering\" }, \
             or when = { connector = { glob = \"*\" } } for everybody",
        );
    }
    for (attribute, patterns) in &rule.when {
        let key = format!("when.{attribute}");
        check_attribute(findings, &key, attribute, known);
        for pattern in patterns.patterns() {
            match pattern {
                Pattern::Exact(text) if text.is_empty() => {
                    findings.add(&key, "the text is empty; leave the condition out or write a value");
                }
                Pattern::Exact(text) if *attribute == Attribute::Connector => {
                    if !text.parse().is_ok_and(|id: ConnectorId| known.connectors.contains(&id)) {
                        findings.add(&key, format!("there is no connector `{text}` in the catalog"));
                    }
                }
                Pattern::Exact(_) | Pattern::Glob(_) | Pattern::Matches(_) => {}
            }
        }
    }
    check_reach(findings, rule, known);
    if rule.grants.is_empty() {
        findings.add_about_all(
            "grant",
            "grant",
            "nothing is granted; write grant = [{ account = \"*\", role = \"ReadOnly\" }]",
        );
    }
    for (at, grant) in rule.grants.iter().enumerate() {
        check_grant(findings, at, grant, rule, known);
    }
}

fn check_grant(findings: &mut Findings, at: usize, grant: &Grant, rule: &Rule, known: &Known<'_>) {
    let captures = grant.captures();
    if !captures.is_empty() {
        check_captures(findings, at, &captures, rule);
    }
    let mut known_ids = Vec::new();
    if let AccountSelector::Ids(ids) = &grant.account {
        for id in ids {
            if known.accounts.contains_key(id) {
                known_ids.push(*id);
            } else {
                findings.add(format!("grant[{at}].account"), no_account(*id));
            }
        }
    }
    let RoleSelector::Names(names) = &grant.role else { return };
    for name in names {
        match &grant.account {
            AccountSelector::Ids(_) => {
                let somewhere = known_ids.iter().any(|id| known.roles.contains_key(&(*id, name)));
                if !known_ids.is_empty() && !somewhere {
                    let ids = known_ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                    findings.add(
                        format!("grant[{at}].role"),
                        format!("there is no role `{name}` in account {ids}; add it as [[role]] or correct the name"),
                    );
                }
            }
            AccountSelector::Any | AccountSelector::Captured(_) => {
                if !known.names.contains(name) {
                    findings.add(
                        format!("grant[{at}].role"),
                        format!("no account has a role `{name}`; add it as [[role]] or correct the name"),
                    );
                }
            }
        }
    }
    // Of several accounts listed by id, one that has none of the named roles is listed in vain.
    let has_one = |id: &AccountId| names.iter().any(|name| known.roles.contains_key(&(*id, name)));
    if known_ids.iter().any(has_one) {
        for id in known_ids.iter().filter(|id| !has_one(id)) {
            findings.add(format!("grant[{at}].account"), format!("account {id} has none of the roles named here"));
        }
    }
}

/// What a grant is filled from comes from one condition, whichever of its patterns matches, and from no other.
fn check_captures(findings: &mut Findings, at: usize, captures: &BTreeSet<&str>, rule: &Rule) {
    let key = format!("grant[{at}]");
    let offered: BTreeSet<&str> = rule.when.values().flat_map(super::AnyOf::captures).collect();
    let offer = || match offered.len() {
        0 => "no condition captures anything".to_owned(),
        _ => format!("the conditions capture {}", offered.iter().copied().collect::<Vec<_>>().join(", ")),
    };
    if let Some(name) = captures.iter().find(|name| !offered.contains(*name)) {
        let message = format!("{{{name}}} is not captured; {}; write {{ matches = \"…(?<{name}>…)…\" }}", offer());
        return findings.add_about_all("when", key, message);
    }
    for name in captures {
        let capturing: Vec<&str> =
            rule.when.iter().filter(|(_, any)| any.captures().contains(name)).map(|(a, _)| a.as_str()).collect();
        if capturing.len() > 1 {
            let message = format!(
                "{{{name}}} is captured by the conditions on {}; which one is meant? give the others another name",
                capturing.join(" and ")
            );
            return findings.add_about_all("when", key, message);
        }
    }
    if rule.capturing_condition(captures).is_none() {
        let message =
            "what fills one grant has to be captured by one condition, and by every pattern in its list".to_owned();
        findings.add_about_all("when", key, message);
    }
}
