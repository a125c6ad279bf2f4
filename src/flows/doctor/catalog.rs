//! What the catalog makes of a connector: rules that can never match through it, and decisions worth knowing.

use std::collections::BTreeMap;

use super::{Findings, listed};
use crate::catalog::{Attribute, Catalog, Connector, ConnectorKind, Rule};

pub(super) fn examine(catalog: &Catalog, connector: &Connector, found: &mut Findings) {
    if !connector.enabled {
        let detail = if connector.is_for_people() {
            "the connector is disabled: nobody can sign in through it"
        } else {
            "the connector is disabled: no token can be exchanged through it"
        };
        found.warn("enabled", detail, "set enabled = true");
    }
    if !connector.is_for_people() {
        return rules_for_workloads(catalog, connector, found);
    }
    let mut unmet: BTreeMap<&Attribute, Vec<&str>> = BTreeMap::new();
    for rule in catalog.rules().filter(|rule| concerns(rule, connector)) {
        for attribute in rule.when.keys().filter(|attribute| !maps(connector, attribute)) {
            unmet.entry(attribute).or_default().push(rule.id.as_str());
        }
    }
    let groups = unmet.remove(&Attribute::Groups);
    match (maps(connector, &Attribute::Groups), groups) {
        (true, _) => found.ok("groups", "groups are mapped"),
        (false, Some(rules)) => found.warn(
            "groups",
            format!("no groups are mapped, and these rules ask for them: {}", listed(rules)),
            "set `groups` under [connector.attributes]; until then none of them matches anybody from here",
        ),
        (false, None) => found.ok("groups", "no groups are mapped, and no rule asks for them"),
    }
    for (attribute, rules) in unmet {
        found.warn(
            "attributes",
            format!("`{attribute}` is not mapped, and these rules ask for it: {}", listed(rules)),
            format!(
                "map `{attribute}` under [connector.attributes]; until then none of them matches anybody from here"
            ),
        );
    }
    if let ConnectorKind::Oidc(oidc) = &connector.kind {
        let links: Vec<String> = catalog
            .links()
            .filter(|link| link.connectors.contains(&connector.id) && link.attribute == Attribute::Email)
            .map(|link| link.id.to_string())
            .collect();
        match (oidc.trust_email, links.is_empty()) {
            (false, _) => found.ok("email", "an address counts if the provider says that it has verified it"),
            (true, true) => found.ok("email", "an address counts as it is sent (trust_email)"),
            (true, false) => found.warn(
                "email",
                format!(
                    "an address counts as it is sent (trust_email), and links join people by it: {}",
                    listed(links)
                ),
                "make sure that nobody can choose their own address at this provider",
            ),
        }
    }
}

/// Which rules name a connector for workloads, and what they ask for that no token brings.
fn rules_for_workloads(catalog: &Catalog, connector: &Connector, found: &mut Findings) {
    let (can, cannot): (Vec<&Rule>, Vec<&Rule>) = catalog
        .rules()
        .filter(|rule| rule.names(&connector.id))
        .partition(|rule| rule.when.keys().all(|attribute| maps(connector, attribute)));
    if can.is_empty() {
        found.warn(
            "rules",
            "no rule gives anything to workloads from here: every exchange will be refused",
            format!("write a rule with connector = \"{}\" among its conditions", connector.id),
        );
    } else {
        found.ok(
            "rules",
            format!("these rules are for workloads from here: {}", listed(can.iter().map(|r| r.id.as_str()))),
        );
    }
    for rule in cannot {
        let missing = rule.when.keys().filter(|attribute| !maps(connector, attribute)).map(Attribute::as_str);
        found.warn(
            "attributes",
            format!("rule {} asks for {}, which no token from here brings", rule.id.as_str(), listed(missing)),
            "map it under [connector.attributes]; until then the rule matches no workload",
        );
    }
}

/// Whether somebody who comes through this connector could meet the rule's condition on connectors, if it has one.
fn concerns(rule: &Rule, connector: &Connector) -> bool {
    rule.when
        .get(&Attribute::Connector)
        .is_none_or(|any| any.patterns().iter().any(|pattern| pattern.is_match(connector.id.as_str())))
}

/// Whether the connector can ever deliver an attribute.
fn maps(connector: &Connector, attribute: &Attribute) -> bool {
    match (attribute, &connector.kind) {
        (Attribute::Connector | Attribute::Subject, _)
        | (Attribute::Email | Attribute::Name, ConnectorKind::Oidc(_)) => true,
        (Attribute::Email, ConnectorKind::Saml(saml)) => saml.attributes.email.is_some(),
        (Attribute::Name, ConnectorKind::Saml(saml)) => saml.attributes.name.is_some(),
        (Attribute::Groups, ConnectorKind::Saml(saml)) => saml.attributes.groups.is_some(),
        (Attribute::Groups, ConnectorKind::Oidc(oidc)) => oidc.claims.groups.is_some(),
        (Attribute::Email | Attribute::Name | Attribute::Groups, ConnectorKind::Workload(_)) => false,
        (Attribute::Mapped(name), _) => connector.extra_attributes().any(|known| known == name),
    }
}
