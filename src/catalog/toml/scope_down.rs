//! What sessions are limited to: `[role.scope_down]` and `[rule.scope_down]`.

use super::reader::{Item, Keys};
use crate::aws::{Network, ScopeDown};

/// Where whoever asks for a session asks from, among networks.
const CALLER: &str = "caller";

pub(super) fn read_scope_down(item: &Item<'_, '_>) -> ScopeDown {
    let Some(keys) = item.keys("{ read_only = true, regions = [\"eu-west-1\"] }") else { return ScopeDown::default() };
    let mut scope = ScopeDown {
        read_only: keys.boolean("read_only", false),
        from_here: keys.boolean("from_here", false),
        regions: list(&keys, "regions").iter().filter_map(Item::parsed).collect(),
        policy_arns: list(&keys, "policy_arns").iter().filter_map(Item::parsed).collect(),
        policy: keys.get("policy").and_then(|item| item.parsed()),
        ..ScopeDown::default()
    };
    for network in list(&keys, "networks") {
        if network.value().as_str() == Some(CALLER) {
            scope.from_here = true;
        } else {
            scope.networks.extend(network.parsed::<Network>());
        }
    }
    keys.finish();
    // What stands there and cannot be read was reported in its place.
    let meant = ["regions", "networks", "policy", "policy_arns"].into_iter().any(|key| keys.has(key));
    if scope.is_empty() && !meant {
        item.fail("nothing is limited; write read_only, regions, networks, policy or policy_arns, or leave it out");
    }
    scope
}

fn list<'a, 's>(keys: &Keys<'a, 's>, key: &'static str) -> Vec<Item<'a, 's>> {
    let Some(item) = keys.get(key) else { return Vec::new() };
    let items = item.one_or_list();
    if items.is_empty() {
        item.fail("the list is empty, so nothing would be limited; leave it out or name something");
    }
    items
}
