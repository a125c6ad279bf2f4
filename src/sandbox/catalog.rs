//! The catalog of the company the sandbox pretends to be, as the demo's broker needs it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use url::Url;

use super::{DEMO_CONNECTOR, DEMO_OIDC_CONNECTOR, DEMO_OIDC_SECRET, DEMO_WORKLOAD_CONNECTOR, World, idp};
use crate::aws::Partition;

/// Roles that are reached otherwise than by SAML, which the world leaves to the catalog.
const OTHER_METHODS: &str = r#"
[[role]]
account = "195530284716"
name = "oidc/Publisher"
description = "Publish the website. This account trusts Rolegate as OpenID provider"
max_session = "4h"
method = "web-identity"

[[role]]
account = "208174930265"
name = "oidc/Reader"
description = "Look around. Its trust policy asks for tokens that were made for it"
max_session = "8h"
method = "web-identity"

[[rule]]
id = "by-web-identity"
description = "The platform team, by a token instead of an assertion"
when = { groups = "platform-admins" }
grant = [
    { account = "195530284716", role = "oidc/Publisher" },
    { account = "208174930265", role = "oidc/Reader" },
]
"#;

/// Who may do what. Every way to write a condition or a selection is used once.
const RULES: &str = r#"
[support]
text = "Ask the platform team in #cloud-access, and say what you want to do and for how long."
contact = "cloud-access@larkspur.example"

[[rule]]
id = "platform-admins"
description = "The platform team runs everything"
when = { groups = "platform-admins" }
grant = [{ account = "*", role = "Admin" }, { account = "104729301846", role = "BillingViewer" }]

[[rule]]
id = "engineers-read-workloads"
description = "Engineers look at what runs, wherever it runs"
when = { groups = "engineering" }
grant = [{ account_tags = { env = ["dev", "staging", "prod"] }, role = "ReadOnly" }]

[[rule]]
id = "teams-deploy-their-own"
description = "A group called team-x gives the role teams/x/Deploy"
when = { groups = { matches = "team-(?<team>[a-z]+)" } }
grant = [{ account = "*", role = "teams/{team}/Deploy" }]

[[rule]]
id = "payments-operations"
description = "Leads and the settlement desk operate payments"
when = { groups = ["payments-leads", "payments-settlement"] }
grant = [{ account_tags = { team = "payments" }, role = "PaymentsOperator" }]
max_session = "1h"

[[rule]]
id = "on-call"
description = "Whoever is on call for anything"
when = { groups = { glob = "oncall-*" } }
grant = [{ account_tags = { env = "prod" }, role = "SupportOperator" }]

[[rule]]
id = "audit-everything"
when = { groups = "security-auditors" }
grant = [{ account = "*", role = ["SecurityAudit", "ReadOnly"] }]

[[rule]]
id = "by-convention"
description = "The directory may name account and role itself"
when = { groups = { matches = "aws-(?<account>\\d{12})-(?<role>[A-Za-z0-9_+=,.@-]+)" } }
grant = [{ account = "{account}", role = "{role}" }]

[[rule]]
id = "data-science"
when = { groups = { any = ["data-science", { glob = "forecasting-*" }] } }
grant = [{ account_tags = { team = "data" }, role = "DataScientist" }]

[[rule]]
id = "research-reports"
description = "People of one department, by an attribute that is no group"
when = { department = "Research and Development" }
grant = [{ account = "177419203846", role_tags = { kind = "report" } }]

[[rule]]
id = "website-deploys-itself"
description = "Jobs on the main branch of one repository, with no secret in the CI system"
when = { connector = "ci", repository = "larkspur/website", ref = "refs/heads/main" }
grant = [{ account = "195530284716", role = "teams/web/Deploy" }]
max_session = "1h"

[[rule]]
id = "vendor-maintenance"
description = "One role in one account, for one hour"
when = { groups = "vendor-freight-maintenance", email = { glob = "*@gantrytech.example" } }
grant = [{ account = "150938274616", role = "VendorMaintenance" }]
max_session = "1h"
"#;

/// Roles that are reached in other ways than by SAML: one of each, with what it needs. Names and keys are those of the world.
const METHODS: &str = r#"
[[role]]
account = "127790045613"
name = "RolegateHub"
description = "The hub. No rule gives it to anybody: people pass through it"
max_session = "4h"
tags = { kind = "hub" }

[[role]]
account = "177419203846"
name = "Partner/DataExchange"
description = "Files exchanged with partners, through the hub"
tags = { kind = "chain" }
session_tags = { Department = "department", CostCenter = "cost_center" }
method = "chain"
[role.chain]
via = "127790045613/RolegateHub"
external_id = "larkspur-7h2k"
transitive_tags = ["Department"]

[[role]]
account = "133840917265"
name = "hub/Relay"
description = "A second hub, one hop behind the first"
tags = { kind = "hub" }
method = "chain"
chain = { via = "127790045613/RolegateHub" }

[[role]]
account = "118503920174"
name = "Partner/CustomsArchive"
description = "Declarations of past years, two hops away"
tags = { kind = "chain" }
method = "chain"
chain = { via = "133840917265/hub/Relay" }

[[role]]
account = "163302918475"
name = "LegacyReader"
description = "Read what an old IAM user may read; no role is needed in the account"
max_session = "36h"
default_session = "8h"
tags = { kind = "federation-token" }
scope_down = { read_only = true }
method = "federation-token"
federation-token = { key = "freight-staging" }

[[role]]
account = "146281930057"
name = "LinsUser"
description = "Lin's own IAM user, after a code of the MFA device"
max_session = "36h"
default_session = "12h"
tags = { kind = "session-token" }
method = "session-token"
session-token = { key = "lin", mfa_serial = "arn:aws:iam::146281930057:mfa/lin" }

[[key]]
id = "freight-staging"
account = "163302918475"
user = "rolegate-broker"
access_key_id = "SBUKBROKERFEDERATION"
secret_access_key = "federation/demo/key/protects/nothing/001"

[[key]]
id = "lin"
account = "146281930057"
user = "finance/lin"
access_key_id = "SBUKLINWEISESSIONKEY"
secret_access_key = "session/token/demo/protects/nothing/0001"

[[rule]]
id = "platform-reaches-everything"
description = "The platform team looks after the roles behind the hub, and an old user's"
when = { groups = "platform-admins" }
grant = [{ account = "*", role_tags = { kind = ["chain", "federation-token"] } }]

[[rule]]
id = "lin-has-an-iam-user"
description = "A user from before there was an identity provider, for the one person it belongs to"
when = { email = "lin.wei@larkspur.example" }
grant = [{ account = "146281930057", role = "LinsUser" }]
"#;

/// The catalog as TOML, for a broker whose sandbox is reached at `sandbox`.
///
/// Its connectors are [`DEMO_CONNECTOR`] and [`DEMO_OIDC_CONNECTOR`], which reach the same people; a link makes one person
/// of each two. Through [`DEMO_WORKLOAD_CONNECTOR`] come CI jobs.
#[must_use]
pub fn demo_catalog(sandbox: &Url) -> String {
    let world = World::larkspur();
    let mut out = format!("# The demo's catalog: {}.\n", world.company());
    let _ = write!(
        out,
        r#"
[[connector]]
id = "{DEMO_CONNECTOR}"
kind = "saml"
name = {name}
metadata_url = {metadata}
idp_initiated = true
# Otherwise whoever signs out and in again would be the same person, and a demo is for trying several.
force_authn = true
[connector.attributes]
email = "email"
name = "displayName"
groups = "groups"
extra = {{ department = "department", cost_center = "costCenter", title = "title" }}

[[connector]]
id = "{DEMO_OIDC_CONNECTOR}"
kind = "oidc"
name = {oidc_name}
issuer = {issuer}
client_id = "{DEMO_OIDC_CONNECTOR}"
client_secret = {secret}
force_authn = true
[connector.attributes]
groups = "groups"
extra = {{ department = "department", cost_center = "costCenter", title = "title" }}

# Jobs of a CI system, by the tokens it gives them; nobody signs in through it.
[[connector]]
id = "{DEMO_WORKLOAD_CONNECTOR}"
kind = "workload"
name = {ci_name}
issuer = {ci_issuer}
require = {{ owner = "larkspur" }}
[connector.attributes]
owner = "repository_owner"
repository = "repository"
ref = "ref"
environment = "environment"

# Whoever comes through either is the same person: their favourites and their sessions are theirs.
[[link]]
id = "people"
connectors = ["{DEMO_CONNECTOR}", "{DEMO_OIDC_CONNECTOR}"]
attribute = "email"
"#,
        name = text(&format!("{} (SAML)", world.company())),
        metadata = text(&idp::saml::entity_id(sandbox)),
        oidc_name = text(&format!("{} (OpenID Connect)", world.company())),
        issuer = text(&idp::oidc::issuer(sandbox)),
        secret = text(DEMO_OIDC_SECRET),
        ci_name = text(&format!("{} (CI)", world.company())),
        ci_issuer = text(&idp::workload::issuer(sandbox, "github")),
    );
    for account in world.accounts() {
        let _ = write!(
            out,
            "\n[[account]]\nid = \"{}\"\nname = {}\ntags = {}\nsaml_provider = \"{}\"\n",
            account.id,
            text(&account.name),
            table(&account.tags),
            account.provider.name(),
        );
        if account.partition != Partition::Aws {
            let _ = writeln!(out, "partition = \"{}\"", account.partition);
        }
    }
    for role in world.roles().iter().filter(|role| role.in_catalog) {
        let _ = write!(
            out,
            "\n[[role]]\naccount = \"{}\"\nname = {}\ndescription = {}\nmax_session = \"{}\"\n",
            role.arn.account(),
            text(role.arn.role().as_str()),
            text(&role.description),
            role.catalog_max_session,
        );
        if !role.tags.is_empty() {
            let _ = writeln!(out, "tags = {}", table(&role.tags));
        }
        if !role.session_tags.is_empty() {
            let _ = writeln!(out, "session_tags = {}", table(&role.session_tags));
        }
        if let Some(step_up) = &role.step_up {
            let contexts: Vec<String> = step_up.contexts.iter().map(|context| text(context)).collect();
            let (max_age, contexts) = (text(&step_up.max_age), contexts.join(", "));
            let _ = writeln!(out, "authentication = {{ max_age = {max_age}, contexts = [{contexts}] }}");
        }
    }
    out.push_str(OTHER_METHODS);
    out.push_str(METHODS);
    out.push_str(RULES);
    out
}

/// A text in TOML's quotes.
fn text(value: &str) -> String {
    toml::Value::from(value).to_string()
}

fn table(values: &BTreeMap<String, String>) -> String {
    let entries: Vec<String> = values.iter().map(|(key, value)| format!("{} = {}", text(key), text(value))).collect();
    format!("{{ {} }}", entries.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_reads_the_demo_catalog_without_a_complaint() {
        let text = demo_catalog(&"http://127.0.0.1:8081".parse().unwrap());
        let loaded = crate::catalog::toml::parse_text("demo", &text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let world = World::larkspur();
        assert_eq!(loaded.catalog.accounts().len(), world.accounts().len());
        let offered = world.roles().iter().filter(|role| role.in_catalog).count();
        assert!(loaded.catalog.roles().len() >= offered);
        assert!(loaded.catalog.rules().len() >= 8);
    }
}
