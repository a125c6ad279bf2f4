use std::path::Path;

use super::*;
use crate::catalog::tests::METADATA;
use crate::catalog::{MetadataSource, RoleId};

/// The example of the design, shortened.
const EXAMPLE: &str = r#"
[support]
text = "Ask in #aws-access"
contact = "aws-access@corp.example"

[[connector]]
id = "okta"
kind = "saml"
name = "Okta"
metadata_file = "okta.xml"
[connector.attributes]
email = "email"
groups = { attribute = "memberOf", delimiter = ";", prefix = "aws/" }
extra = { department = "urn:oid:2.16.840.1.113730.3.1.2" }

[[account]]
id = "111122223333"
name = "Payments production"
tags = { env = "prod", team = "payments" }

[[role]]
account = "111122223333"
name = "ReadOnly"
max_session = "12h"
description = "Look, don't touch"
session_tags = { Department = "department", CostCenter = { value = "42" } }

[[rule]]
id = "engineers-read-everything"
when = { groups = "engineering" }
grant = [{ account = "*", role = "ReadOnly" }]

[[rule]]
id = "by-convention"
when = { groups = { matches = "aws-(?<account>\\d{12})-(?<role>[\\w+=,.@-]+)" } }
grant = [{ account = "{account}", role = "{role}" }]
"#;

fn okta(path: &Path) -> io::Result<Vec<u8>> {
    match path.to_str().unwrap() {
        "okta.xml" | "conf/okta.xml" => Ok(METADATA.clone().into_bytes()),
        "bom.xml" => Ok(format!("\u{feff}{}", *METADATA).into_bytes()),
        "latin1.xml" => Ok(vec![b'<', 0xe9]),
        "page.xml" => Ok(b"<html/>".to_vec()),
        "legacy.secret" => Ok(b"secret/marker\n".to_vec()),
        "cluster.jwks.json" => Ok(br#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#.to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn read(text: &str) -> Result<Loaded, Mistakes> {
    parse(&[Source { path: "catalog.toml".into(), text: text.to_owned() }], &okta)
}

/// The mistakes in `text`, each as one line.
fn mistakes(text: &str) -> Vec<String> {
    read(text).unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn the_example_of_the_design_is_a_catalog() {
    let Loaded { catalog, warnings } = read(EXAMPLE).unwrap();
    assert_eq!(warnings, []);
    let connector = catalog.connectors().next().unwrap();
    let saml = connector.saml().unwrap();
    assert_eq!(saml.metadata, MetadataSource::Inline(METADATA.clone()));
    assert_eq!(saml.attributes.groups.as_ref().unwrap().delimiter.as_deref(), Some(";"));
    let id: RoleId = "111122223333/ReadOnly".parse().unwrap();
    let role = catalog.role(id.account, &id.name).unwrap();
    assert_eq!(role.max_session.to_string(), "12h");
    assert_eq!(role.default_session().to_string(), "1h");
    assert_eq!(catalog.rules().len(), 2);
    assert_eq!(catalog.support().contact.as_ref().unwrap().href(), "mailto:aws-access@corp.example");
}

#[test]
fn every_mistake_of_a_file_is_reported_with_its_place() {
    let found = mistakes(
        r#"
[[connector]]
id = "Okta"
kind = "ldap"

[[account]]
id = 111122223333
name = "Payments"

[[account]]
id = "999999999999"
nmae = "Shop"

[[role]]
account = "999999999999"
name = "ReadOnly"
max_session = "13h"

[[rule]]
id = "one"
when = { groups = { matches = "aws-(?<account>\\d{12}" } }
grant = [{ account = "123456789012", role = "Nothing" }, { account = "{account}", role = "ReadOnly" }]

[[rule]]
id = "one"
when = {}
grants = []
"#,
    );
    insta::assert_snapshot!(found.join("\n"));
}

/// The one mistake in `text`, without its place.
fn mistake(text: &str) -> String {
    let found = read(text).unwrap_err().0;
    assert_eq!(found.len(), 1, "{found:#?}");
    format!("{}: {}", found[0].key, found[0].message)
}

const BASE: &str = r#"
connector = [{ id = "okta", kind = "saml", metadata_url = "https://idp.example/m", attributes = { extra = { department = "d" } } }]
account = [{ id = "111122223333", name = "One" }, { id = "444455556666", name = "Two" }]
[[role]]
account = "111122223333"
name = "R"
[[role]]
account = "444455556666"
name = "S"
"#;

fn rule(when: &str, grant: &str) -> String {
    format!("{BASE}\n[[rule]]\nid = \"r\"\nwhen = {when}\ngrant = {grant}\n")
}

#[test]
fn a_rule_that_cannot_mean_what_it_says_is_a_mistake() {
    let all = r#"[{ account = "*", role = "R" }]"#;
    let group = r#"{ groups = "a" }"#;
    for (when, grant, expected) in [
        (group, r#"[{ account = "999999999999", role = "R" }]"#, "account 999999999999 is not in the catalog"),
        (group, r#"[{ account = "111122223333", role = "S" }]"#, "no role `S` in account 111122223333"),
        (
            group,
            r#"[{ account = ["111122223333", "444455556666"], role = "R" }]"#,
            "444455556666 has none of the roles",
        ),
        (group, r#"[{ account = "*", role = "T" }]"#, "no account has a role `T`"),
        (
            group,
            r#"[{ account = "{account}", role = "R" }]"#,
            "{account} is not captured; no condition captures anything",
        ),
        (
            r#"{ groups = { matches = "(?<a>.)" } }"#,
            r#"[{ account = "{b}", role = "R" }]"#,
            "the conditions capture a;",
        ),
        (
            r#"{ groups = [{ matches = "(?<a>.)" }, "b"] }"#,
            r#"[{ account = "{a}", role = "R" }]"#,
            "every pattern in its list",
        ),
        (
            r#"{ groups = { matches = "(?<a>.)" }, name = { matches = "(?<a>.)" } }"#,
            r#"[{ account = "{a}", role = "R" }]"#,
            "captured by the conditions on groups and name",
        ),
        (
            r#"{ groups = { matches = "(?<a>.)" }, name = { matches = "(?<b>.)" } }"#,
            r#"[{ account = "{a}", role = "{b}" }]"#,
            "captured by one condition",
        ),
        (group, r#"[{ account = "{a", role = "R" }]"#, "name of a captured group in braces"),
        (group, r#"[{ role = "R" }]"#, "rule.grant[0].account: the key is missing"),
        (group, r#"[{ account = "*" }]"#, "rule.grant[0].role: the key is missing"),
        (group, r#"[{ account_tags = {}, role = "R" }]"#, "everything would be selected"),
        (group, r#"[{ account = [], role = "R" }]"#, "the list is empty"),
        (group, "[]", "nothing is granted"),
        ("{}", all, "no condition"),
        (r#"{ groups = "" }"#, all, "the text is empty"),
        (r#"{ groups = [] }"#, all, "the list is empty"),
        (r#"{ groups = { glob = "a", matches = "b" } }"#, all, "stand together"),
        (r#"{ groups = { regex = "a" } }"#, all, "there is no such key"),
        (r#"{ groups = 7 }"#, all, "this is an integer; write text"),
        (r#"{ departmnet = "x" }"#, all, "did you mean `department`?"),
        (r#"{ connector = "entra" }"#, all, "no connector `entra`"),
        (r#"{ "no such" = "x" }"#, all, "not a valid attribute name"),
    ] {
        let found = mistake(&rule(when, grant));
        assert!(found.contains(expected), "{when} {grant}\n  {found}");
    }
    assert!(read(&rule(group, all)).is_ok());
}

#[test]
fn values_out_of_range_and_of_the_wrong_kind_are_mistakes() {
    let connector = |more: &str| format!("[[connector]]\nid = \"x\"\nkind = \"saml\"\n{more}\n");
    let with_url = |more: &str| connector(&format!("metadata_url = \"https://idp.example/m\"\n{more}"));
    let role = |more: &str| format!("{BASE}\n[[role]]\naccount = \"111122223333\"\nname = \"New\"\n{more}\n");
    let account = |more: &str| format!("[[account]]\nid = \"111122223333\"\nname = \"x\"\n{more}\n");
    for (text, expected) in [
        (connector(""), "connector.metadata_file: the key is missing"),
        (connector("metadata_url = \"http://idp.example/m\""), "write an https URL"),
        (connector("metadata_url = \"https://u:p@idp.example/m\""), "without a user name"),
        (connector("metadata_file = \"none.xml\""), "none.xml cannot be read"),
        (connector("metadata_file = \"latin1.xml\""), "is not UTF-8"),
        (connector("metadata_file = \"page.xml\""), "connector.metadata_file: the metadata"),
        (connector("metadata_xml = \"<a>\""), "connector.metadata_xml: the metadata is not XML"),
        (with_url("metadata_file = \"okta.xml\""), "are given together; keep one of them"),
        (with_url("clock_skew = \"11m\""), "at most 10m"),
        (with_url("clock_skew = -1"), "is no length of time"),
        (with_url("clock_skew = \"3 minutes\""), "is no length of time"),
        (with_url("session_idle = \"31d\""), "between 1m and 30d"),
        (with_url("session_idle = \"2h\"\nsession_absolute = \"1h\""), "longer than session_absolute"),
        (with_url("force_authn = \"yes\""), "write true or false, without quotes"),
        (with_url("authn_contexts = []"), "leave it out to ask for none"),
        (with_url("authn_comparison = \"exact\""), "write both or neither"),
        (with_url("authn_contexts = \"urn:x\"\nauthn_comparison = \"best\""), "is not a comparison"),
        (with_url("name_id_format = \"email\""), "is not a NameID format"),
        (with_url("attributes = { groups = { delimiter = \",\" } }"), "groups.attribute: the key is missing"),
        (with_url("attributes = { extra = { groups = \"g\" } }"), "taken by what every identity has"),
        (account("partition = \"aws-eu\""), "is not a partition"),
        (account("region = \"cn-north-1\""), "is not a region of the partition aws"),
        (account("saml_provider = \"a b\""), "is not a valid SAML provider name"),
        (account("tags = { env = \"\" }"), "the text is empty"),
        (account("tags = [\"prod\"]"), "this is an array"),
        (account("[support]\ncontact = \"javascript:x\""), "is no contact"),
        (role("max_session = \"14m\""), "840 s is outside"),
        (role("max_session = 43201"), "43201s is longer than the 12h that AWS allows any role"),
        (role("max_session = 129601"), "129601 s is outside the 15 minutes to 36 hours"),
        (role("default_session = \"2h\""), "2h is longer than max_session, which is 1h"),
        (role("destination = \"/s3/home\""), "write its full https URL"),
        (role("region = \"us-gov-west-1\""), "is not a region of the partition aws"),
        (role("session_tags = { \"aws:x\" = \"email\" }"), "is not a valid session tag key"),
        (role("session_tags = { x = \"groups\" }"), "groups cannot be sent as a tag"),
        (role("session_tags = { x = \"level\" }"), "no connector maps an attribute `level`"),
        (role("session_tags = { x = { value = \"R&D\" } }"), "AWS does not take `R&D`"),
        (role("session_tags = { Team = \"email\", team = \"name\" }"), "the same key as another one"),
    ] {
        let found = mistake(&text);
        assert!(found.contains(expected), "{text}\n  {found}");
    }
}

#[test]
fn several_files_are_one_catalog() {
    let file = |path: &str, text: &str| Source { path: path.into(), text: text.to_owned() };
    let people = "[[connector]]\nid = \"okta\"\nkind = \"saml\"\nmetadata_file = \"okta.xml\"\n";
    let accounts = "[[account]]\nid = \"111122223333\"\nname = \"One\"\n";
    let roles = "[[role]]\naccount = \"111122223333\"\nname = \"R\"\n";
    let files = [file("conf/people.toml", people), file("accounts.toml", accounts), file("roles.toml", roles)];
    assert_eq!(parse(&files, &okta).unwrap().catalog.roles().len(), 1);

    let twice = [file("a.toml", accounts), file("b.toml", accounts), file("roles.toml", roles)];
    let found = parse(&twice, &okta).unwrap_err().to_string();
    assert_eq!(found, "b.toml:2:6: account.id: `111122223333` is there already; every account is written once");

    let apart = [
        file("roles.toml", roles),
        file(
            "rules.toml",
            "[[rule]]\nid = \"r\"\nwhen = { groups = \"a\" }\n\
         grant = { account = \"*\", role = \"Q\" }\n",
        ),
    ];
    let found = parse(&apart, &okta).unwrap_err().to_string();
    assert_eq!(
        found,
        "roles.toml:2:11: role.account: account 111122223333 is not in the catalog; add it as [[account]] or correct \
         the id\nrules.toml:4:33: rule.grant[0].role: no account has a role `Q`; add it as [[role]] or correct the name"
    );
}

#[test]
fn broken_syntax_is_reported_without_what_only_follows_from_it() {
    let found = mistakes(
        "[[account]]\nid = \"111122223333\"\nname = Payments\nregoin = \"eu-west-1\"\n\n[[role]]\n\
         account = \"444455556666\"\nname = \"R\n",
    );
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let text = rule(r#"{ groups = "aws-*" }"#, r#"[{ account_tags = { env = "prod" }, role = "*" }]"#);
    let warnings: Vec<String> = read(&text).unwrap().warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "catalog.toml:13:19: rule.when.groups: `aws-*` is compared as it stands; write { glob = \"aws-*\" } if * is \
             a wildcard",
            "catalog.toml:14:10: rule.grant[0]: no role of the catalog fits this grant today",
        ]
    );
}

#[test]
fn metadata_is_kept_without_a_byte_order_mark_and_doubted_when_it_has_expired() {
    let connector = |more: &str| format!("[[connector]]\nid = \"x\"\nkind = \"saml\"\n{more}\n");
    let catalog = read(&connector("metadata_file = \"bom.xml\"")).unwrap().catalog;
    let saml = catalog.connectors().next().unwrap().saml().unwrap();
    assert_eq!(saml.metadata, MetadataSource::Inline(METADATA.clone()));
    assert_eq!(metadata_warnings(&catalog, "2026-11-22T00:00:00Z".parse().unwrap()), [""; 0]);

    let expiring = METADATA.replace("entityID=", "validUntil='2027-01-01T00:00:00Z' entityID=");
    let text = connector(&format!("metadata_xml = {}", ::toml::Value::from(expiring)));
    let catalog = read(&text).unwrap().catalog;
    let warnings = metadata_warnings(&catalog, "2027-01-02T00:00:00Z".parse().unwrap());
    assert!(warnings.len() == 1 && warnings[0].contains("valid until 2027-01-01"), "{warnings:?}");
}

#[test]
fn lengths_of_time_are_read_in_any_unit() {
    let role = |length: &str| {
        format!("{BASE}\n[[role]]\naccount = \"111122223333\"\nname = \"New\"\nmax_session = {length}\n")
    };
    for (length, seconds) in [
        ("7200", 7_200),
        ("\"7200\"", 7_200),
        ("\"2h\"", 7_200),
        ("\"1h30m\"", 5_400),
        ("\"90m\"", 5_400),
        ("0x1c20", 7_200),
    ] {
        let catalog = read(&role(length)).unwrap().catalog;
        let id: RoleId = "111122223333/New".parse().unwrap();
        assert_eq!(catalog.role(id.account, &id.name).unwrap().max_session.as_secs(), seconds, "{length}");
    }
    for bad in
        ["\"\"", "\"h\"", "\"1h1h\"", "\"30m1h\"", "\"1.5h\"", "1.5", "\"2 h\"", "\"99999999999999999999h\"", "true"]
    {
        assert!(read(&role(bad)).is_err(), "{bad}");
    }
}

#[test]
fn the_examples_of_the_reference_are_a_catalog() {
    let reference = include_str!("../../../docs/catalog.md");
    let blocks = reference.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let text: String = blocks.chain(["[[role]]\naccount = \"111122223333\"\nname = \"ReadOnly\"\n"]).collect();
    let catalog = read(&text).unwrap_or_else(|mistakes| panic!("{mistakes}")).catalog;
    assert_eq!((catalog.connectors().len(), catalog.roles().len(), catalog.rules().len()), (3, 3, 4));
    for key in CONNECTOR_KEYS {
        assert!(reference.contains(&format!("| `{key}` |")), "{key} is not in the reference");
    }
}

const CONNECTOR_KEYS: &[&str] = &[
    "jwks_file",
    "jwks_uri",
    "audience",
    "other_audiences",
    "max_token_age",
    "once",
    "require",
    "id",
    "kind",
    "name",
    "enabled",
    "metadata_file",
    "metadata_url",
    "metadata_xml",
    "idp_entity_id",
    "sp_entity_id",
    "idp_initiated",
    "sign_requests",
    "encrypt_assertions",
    "force_authn",
    "allow_sha1",
    "clock_skew",
    "name_id_format",
    "authn_contexts",
    "authn_comparison",
    "session_idle",
    "session_absolute",
    "email_domains",
    "default",
    "logout_issuer",
    "issuer",
    "client_id",
    "client_secret_file",
    "client_secret",
    "client_secret_sealed",
    "client_auth",
    "scopes",
    "signing_algorithms",
    "userinfo",
    "prefer",
    "trust_email",
    "groups_limit",
    "acr_values",
    "prompt",
    "max_age",
    "login_hint",
    "response_mode",
    "private_addresses",
];

const OIDC: &str = r#"
[[connector]]
id = "entra"
kind = "oidc"
name = "Entra ID"
email_domains = ["corp.example", "Corp.EXAMPLE"]
default = true
issuer = "https://idp.example/tenant/"
client_id = "rolegate"
client_secret = "s3cret"
client_auth = "client_secret_post"
scopes = ["openid", "groups"]
signing_algorithms = ["RS256", "ES256"]
userinfo = "always"
prefer = "userinfo"
acr_values = "urn:mfa"
prompt = "select_account"
max_age = "8h"
login_hint = true
response_mode = "form_post"
private_addresses = true
trust_email = true
groups_limit = 100
[connector.attributes]
subject = "oid"
groups = { path = ["realm_access", "roles"], prefix = "/" }
extra = { department = "https://corp.example/department" }

[[connector]]
id = "okta"
kind = "oidc"
issuer = "https://okta.example"
client_id = "rolegate"

[[link]]
id = "employees"
connectors = ["okta", "entra"]
attribute = "email"

[[account]]
id = "111122223333"
name = "Payments"

[[role]]
account = "111122223333"
name = "Admin"
authentication = { max_age = "15m", contexts = "urn:mfa", methods = ["hwk", "mfa"] }
"#;

#[test]
fn an_openid_connector_is_read_with_everything_it_can_say() {
    let catalog = parse_text("catalog.toml", OIDC).unwrap().catalog;
    let entra = catalog.connector(&"entra".parse().unwrap()).unwrap();
    let oidc = entra.oidc().unwrap();
    assert_eq!(oidc.issuer.as_str(), "https://idp.example/tenant/", "the trailing slash is part of the name");
    assert_eq!(entra.email_domains.len(), 1, "domains have no case");
    assert_eq!(catalog.default_connector().unwrap().id, entra.id);
    assert_eq!(oidc.claims.groups.as_ref().unwrap().claim.parts(), ["realm_access", "roles"]);
    assert_eq!(oidc.claims.extra.values().next().unwrap().parts(), ["https://corp.example/department"]);
    assert_eq!(oidc.claims.email.parts(), ["email"]);
    let okta = catalog.connector(&"okta".parse().unwrap()).unwrap().oidc().unwrap();
    assert_eq!(okta.scopes, ["openid", "profile", "email"]);
    let demand = catalog.roles().next().unwrap().authentication.as_ref().unwrap();
    assert_eq!(demand.max_age.unwrap().as_secs(), 900);
    assert_eq!(demand.methods, ["hwk", "mfa"]);
    let exported = crate::catalog::export::export(&catalog);
    assert_eq!(parse_text("export.toml", &exported).unwrap().catalog, catalog, "{exported}");
}

#[test]
fn what_an_openid_connector_must_not_say_is_reported() {
    let said = |old: &str, new: &str| {
        assert!(OIDC.contains(old), "{old}");
        parse_text("catalog.toml", &OIDC.replace(old, new)).unwrap_err().to_string()
    };
    let symmetric = said("[\"RS256\", \"ES256\"]", "[\"HS256\"]");
    assert_eq!(symmetric.lines().count(), 1, "an algorithm that is refused is one mistake: {symmetric}");
    for (old, new, words) in [
        ("[\"RS256\", \"ES256\"]", "\"HS256\"", "whoever can check it can forge it"),
        ("[\"RS256\", \"ES256\"]", "\"none\"", "nobody signed"),
        ("[\"RS256\", \"ES256\"]", "[]", "no ID token could be accepted"),
        ("https://idp.example/tenant/", "http://idp.example/", "is not an issuer"),
        ("https://idp.example/tenant/", "https://login.microsoftonline.com/common/v2.0", "stands for many tenants"),
        ("[\"openid\", \"groups\"]", "[\"groups\"]", "without the scope openid"),
        ("[\"openid\", \"groups\"]", "[\"openid groups\"]", "each one by itself"),
        ("client_secret_post", "private_key_jwt", "uses no client secret"),
        ("client_secret = \"s3cret\"\n", "", "it needs the client secret"),
        ("\"s3cret\"", "\"s3cret\"\nclient_secret_sealed = \"c2VhbGVk\"", "are given together"),
        ("id = \"okta\"", "id = \"okta\"\ndefault = true", "only one connector can be"),
        ("id = \"okta\"", "id = \"okta\"\nemail_domains = \"corp.example\"", "lead to `entra` already"),
        ("[\"okta\", \"entra\"]", "[\"entra\"]", "at least two connectors"),
        ("[\"okta\", \"entra\"]", "[\"okta\", \"adfs\"]", "there is no connector `adfs`"),
        ("attribute = \"email\"", "attribute = \"department\"", "connector `okta` maps no attribute `department`"),
        ("attribute = \"email\"", "attribute = \"name\"", "does not tell people apart"),
        ("max_age = \"15m\"", "max_age = \"5s\"", "allow at least 1m"),
        ("subject = \"oid\"", "subject = \"email\"", "can be given to somebody else"),
        ("groups_limit = 100", "groups_limit = 0", "whole number above 0"),
        ("corp.example\", ", "corp example\", ", "is not a domain"),
        ("prompt = \"select_account\"", "prompt = \"none\"", "cannot stand here"),
    ] {
        let found = said(old, new);
        assert!(found.contains(words), "{old} → {new}: {found}");
    }
}

#[test]
fn a_client_secret_is_read_from_a_file_beside_the_catalog() {
    let text = OIDC.replace("client_secret = \"s3cret\"", "client_secret_file = \"entra.secret\"");
    let source = Source { path: "conf/catalog.toml".into(), text };
    let read = |path: &Path| {
        assert_eq!(path, Path::new("conf/entra.secret"));
        Ok(b"s3cret\n".to_vec())
    };
    let catalog = parse(std::slice::from_ref(&source), &read).unwrap().catalog;
    assert_eq!(catalog, parse_text("catalog.toml", OIDC).unwrap().catalog, "the line break is no part of it");
    let missing = |_: &Path| Err(io::Error::from(io::ErrorKind::NotFound));
    let said = parse(&[source], &missing).unwrap_err().to_string();
    assert!(said.contains("connector.client_secret_file: entra.secret cannot be read"), "{said}");
}

#[test]
fn every_connector_that_the_documentation_shows_is_a_catalog() {
    let page = include_str!("../../../docs/connectors.md");
    let mut seen = 0;
    for snippet in page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
        if !snippet.trim_start().starts_with("[[connector]]") {
            continue;
        }
        seen += 1;
        let read = |path: &Path| match path.extension().and_then(|extension| extension.to_str()) {
            Some("xml") => Ok(METADATA.clone().into_bytes()),
            _ => Ok(b"a secret\n".to_vec()),
        };
        let source = Source { path: "docs/connectors.md".into(), text: snippet.to_owned() };
        if let Err(mistakes) = parse(&[source], &read) {
            panic!("{mistakes}\n{snippet}");
        }
    }
    assert!(seen >= 14, "only {seen} snippets were found");
}

/// A catalog with a role of each method, and hubs.
const METHODS: &str = r#"
account = [
  { id = "111122223333", name = "Hub" },
  { id = "444455556666", name = "Spoke", oidc_audience = "rolegate" },
  { id = "777788889999", name = "China", partition = "aws-cn" },
]
key = [{ id = "legacy", account = "444455556666", user = "uploads", access_key_id = "SBUKEXAMPLEEXAMPLE12",
         secret_access_key_file = "legacy.secret" }]

[[role]]
account = "111122223333"
name = "Hub"
session_tags = { Broker = { value = "rolegate" } }

[[role]]
account = "444455556666"
name = "Web"
method = "web-identity"

[[role]]
account = "444455556666"
name = "Spoke"
method = "chain"
session_tags = { Team = { value = "red" }, Desk = { value = "4" } }
[role.chain]
via = "111122223333/Hub"
external_id = "rolegate-1"
transitive_tags = "Team"

[[role]]
account = "444455556666"
name = "Uploads"
max_session = "36h"
method = "federation-token"
federation-token = { key = "legacy" }
scope_down = { read_only = true }

[[role]]
account = "444455556666"
name = "Jane"
max_session = "36h"
method = "session-token"
session-token = { key = "legacy", mfa_serial = "arn:aws:iam::444455556666:mfa/jane" }
"#;

#[test]
fn a_role_says_how_its_credentials_are_obtained() {
    let Loaded { catalog, warnings } = read(METHODS).unwrap();
    assert_eq!(warnings, []);
    let role = |name: &str| catalog.role("444455556666".parse().unwrap(), &name.parse().unwrap()).unwrap();
    let names: Vec<&str> = catalog.roles().map(|role| role.method.name()).collect();
    assert_eq!(names, ["saml", "session-token", "chain", "federation-token", "web-identity"]);
    let Method::Chain(chain) = &role("Spoke").method else { panic!() };
    assert_eq!(chain.external_id.as_ref().unwrap().as_str(), "rolegate-1");
    let way: Vec<String> = catalog.chain_to(role("Spoke")).iter().map(|role| role.id().to_string()).collect();
    assert_eq!(way, ["111122223333/Hub", "444455556666/Spoke"]);
    assert_eq!(catalog.chain_to(role("Web")).len(), 1);
    let key = catalog.keys().next().unwrap();
    assert_eq!((key.user.as_str(), key.access_key_id.as_str()), ("uploads", "SBUKEXAMPLEEXAMPLE12"));
    assert!(!format!("{catalog:?}").contains("marker"));
    let text = crate::catalog::export::export(&catalog);
    assert_eq!(parse_text("again.toml", &text).unwrap().catalog, catalog, "{text}");
}

#[test]
fn what_a_method_cannot_do_is_a_mistake() {
    for (from, to, wanted) in [
        ("\"web-identity\"", "\"web\"", "role.method: `web` is no method; write one of saml, web-identity, chain"),
        ("\"web-identity\"", "\"sessions-token\"", "did you mean `session-token`?"),
        (
            "method = \"chain\"\n",
            "",
            "role.chain: this says how to obtain credentials another way; write method = \"chain\"",
        ),
        ("method = \"chain\"\n", "method = \"saml\"\n", "the method of this role is saml; leave [role.chain] out"),
        ("via = \"111122223333/Hub\"\n", "", "role.chain.via: the key is missing; write via = \"111122223333/Hub\""),
        (
            "via = \"111122223333/Hub\"",
            "via = \"111122223333/Hob\"",
            "there is no role `111122223333/Hob` in the catalog; add it as [[role]] or correct it; did you mean `111122223333/Hub`?",
        ),
        (
            "via = \"111122223333/Hub\"",
            "via = \"444455556666/Spoke\"",
            "role.chain.via: this leads back to where it began: 444455556666/Spoke from 444455556666/Spoke",
        ),
        ("via = \"111122223333/Hub\"", "via = \"444455556666/Jane\"", "needs somebody's MFA code each time"),
        (
            "via = \"111122223333/Hub\"",
            "via = \"444455556666/Uploads\"",
            "AWS lets nobody assume a role with a federation token",
        ),
        (
            "account = \"111122223333\"\nname = \"Hub\"",
            "account = \"777788889999\"\nname = \"Hub\"",
            "there is no role `111122223333/Hub`",
        ),
        (
            "name = \"Hub\" }",
            "name = \"Hub\", partition = \"aws-us-gov\" }",
            "`111122223333/Hub` is in aws-us-gov, and this in aws",
        ),
        (
            "external_id = \"rolegate-1\"",
            "external_id = \"a b\"",
            "role.chain.external_id: `a b` is not a valid external ID",
        ),
        (
            "transitive_tags = \"Team\"",
            "transitive_tags = [\"Taem\"]",
            "role.chain.transitive_tags: `Taem` is not among the role's session_tags",
        ),
        (
            "{ Broker = ",
            "{ team = ",
            "`444455556666/Spoke` and `111122223333/Hub` have different values for the tag Team, there team",
        ),
        ("external_id = \"rolegate-1\"", "external_ids = \"x\"", "there is no such key; did you mean `external_id`?"),
        (
            "[role.chain]",
            "max_session = \"2h\"\n[role.chain]",
            "role.max_session: 2h is longer than AWS lets a session live that comes from another role: 1h",
        ),
        (
            "name = \"Web\"",
            "name = \"Web\"\nmax_session = \"13h\"",
            "role.max_session: 13h is longer than the 12h that AWS allows any role",
        ),
        (
            "federation-token = { key = \"legacy\" }",
            "",
            "role.federation-token: the key is missing; write federation-token = { key =",
        ),
        (
            "federation-token = { key = \"legacy\" }",
            "federation-token = { key = \"legac\" }",
            "there is no key `legac` in the catalog; add it as [[key]]; did you mean `legacy`?",
        ),
        (
            "federation-token = { key = \"legacy\" }",
            "federation-token = { key = \"legacy\", mfa_serial = \"x\" }",
            "there is no such key",
        ),
        (
            "key = \"legacy\", mfa_serial = \"arn:aws:iam::444455556666:mfa/jane\"",
            "key = \"legacy\", mfa_serial = \"x\"",
            "role.session-token.mfa_serial: `x` is not a valid MFA device",
        ),
        (
            "name = \"Jane\"",
            "name = \"Jane\"\nsession_tags = { A = { value = \"b\" } }",
            "role.session_tags: AWS takes no tags for the session of an IAM user",
        ),
        (
            "name = \"Jane\"",
            "name = \"Jane\"\ndestination = \"https://console.aws.amazon.com/\"",
            "role.destination: AWS opens no console",
        ),
        (
            "SBUKEXAMPLEEXAMPLE12",
            "ASIAEXAMPLEEXAMPLE12",
            "key.access_key_id: `ASIAEXAMPLEEXAMPLE12` is not a valid access key id: write the id of a user's own key",
        ),
        (
            "secret_access_key_file = \"legacy.secret\"",
            "secret_access_key_file = \"gone.secret\"",
            "key.secret_access_key_file: gone.secret cannot be read",
        ),
        (
            "secret_access_key_file = \"legacy.secret\"",
            "secret_access_key = \"\"",
            "key.secret_access_key: the secret access key is empty",
        ),
        (
            "secret_access_key_file = \"legacy.secret\"",
            "",
            "key.secret_access_key_file: the key is missing; write secret_access_key_file",
        ),
        (
            "secret_access_key_file = \"legacy.secret\"",
            "secret_access_key = \"a\", secret_access_key_sealed = \"YQ==\"",
            "secret_access_key and secret_access_key_sealed are given together",
        ),
        (
            "id = \"legacy\", account = \"444455556666\"",
            "id = \"legacy\", account = \"222222222222\"",
            "key.account: account 222222222222 is not in the catalog",
        ),
        (
            "id = \"legacy\", account = \"444455556666\"",
            "id = \"legacy\", account = \"111122223333\"",
            "role.session-token.key: key `legacy` is one of account 111122223333, and what it is exchanged for belongs to that account, not to 444455556666",
        ),
    ] {
        let text = METHODS.replace(from, to);
        assert_ne!(text, METHODS, "{from}");
        let found = mistakes(&text);
        assert!(found.iter().any(|mistake| mistake.contains(wanted)), "{wanted}\n{found:#?}");
        assert!(found.iter().all(|mistake| !mistake.contains("marker")), "{found:#?}");
    }
}

#[test]
fn a_chain_has_five_hops_at_most_and_no_loop() {
    let chain = |links: &[(&str, &str)]| {
        let mut text = "account = [{ id = \"111122223333\", name = \"A\" }]\n".to_owned();
        for (name, via) in links {
            text.push_str(&format!("[[role]]\naccount = \"111122223333\"\nname = \"{name}\"\n"));
            if !via.is_empty() {
                text.push_str(&format!("method = \"chain\"\nchain = {{ via = \"111122223333/{via}\" }}\n"));
            }
        }
        read(&text)
    };
    let five = [("h0", ""), ("h1", "h0"), ("h2", "h1"), ("h3", "h2"), ("h4", "h3"), ("h5", "h4")];
    let catalog = chain(&five).unwrap().catalog;
    assert_eq!(catalog.chain_to(catalog.roles().last().unwrap()).len(), 6);
    let mut six = five.to_vec();
    six.push(("h6", "h5"));
    let found = chain(&six).unwrap_err().0;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].message.contains("6 hops from where the chain begins; 5 is the most"), "{found:#?}");
    let found = chain(&[("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")]).unwrap_err().0;
    let looping =
        "this leads back to where it began: 111122223333/a from 111122223333/b from 111122223333/c from 111122223333/a";
    assert_eq!(found[0].message, looping);
    assert_eq!(found.len(), 4, "whoever leads into it is told too: {found:#?}");
}

#[test]
fn what_a_method_makes_useless_is_a_warning() {
    let text = r#"
account = [{ id = "444455556666", name = "Spoke", oidc_audience = "rolegate", saml_provider = "corp" },
           { id = "111122223333", name = "Hub" }]
key = [{ id = "legacy", account = "444455556666", user = "uploads", access_key_id = "SBUKEXAMPLEEXAMPLE12",
         secret_access_key = "marker" }]
role = [{ account = "111122223333", name = "Hub" },
        { account = "444455556666", name = "Spoke", method = "chain", chain = { via = "111122223333/Hub" } }]
rule = [{ id = "all", when = { connector = { glob = "*" } }, grant = { account = "*", role = "*" } }]
"#;
    let warnings = read(text).unwrap().warnings;
    let found: Vec<String> = warnings.iter().map(|one| format!("{}: {}", one.key, one.message)).collect();
    for wanted in [
        "account.oidc_audience: it is used by nothing: no role of this account has the method web-identity",
        "account.saml_provider: it is used by nothing: no role of this account has the method saml",
        "key.id: no role uses this key",
        "role.name: other roles are reached from this one, and rule `all` gives it to people",
    ] {
        assert!(found.iter().any(|one| one.starts_with(wanted)), "{wanted}\n{found:#?}");
    }
    assert_eq!(found.len(), 4, "{found:#?}");
}

#[test]
fn what_sessions_are_limited_to_is_read_told_and_given_back() {
    let limited = |role: &str, rule: &str| {
        let text = EXAMPLE.replace("max_session = \"12h\"\n", &format!("max_session = \"12h\"\n{role}\n"));
        text.replace("role = \"ReadOnly\" }]\n", &format!("role = \"ReadOnly\" }}]\n{rule}\n"))
    };
    let both = limited(
        "scope_down = { read_only = true, networks = [\"caller\", \"203.0.113.7/24\"] }",
        r#"scope_down = { regions = "eu-west-1", policy = '{"Statement":{"Effect":"Deny","Action":"s3:Delete*","Resource":"*"}}' }"#,
    );
    let catalog = read(&both).unwrap().catalog;
    let role = catalog.roles().next().unwrap();
    assert!(role.scope_down.read_only && role.scope_down.from_here);
    assert_eq!(role.scope_down.networks.first().unwrap().to_string(), "203.0.113.0/24");
    let rule = catalog.rule("engineers-read-everything").unwrap();
    assert_eq!(rule.scope_down.words(), ["only in eu-west-1", "not what an inline policy of 68 characters denies"]);
    let text = crate::catalog::export::export(&catalog);
    assert!(text.contains("networks = [\"203.0.113.0/24\", \"caller\"]"), "{text}");
    assert_eq!(read(&text).unwrap().catalog, catalog);

    let plain = read(EXAMPLE).unwrap().catalog;
    assert_eq!(
        crate::catalog::diff::diff(&plain, &catalog).limits,
        [
            "role 111122223333/ReadOnly: only reading, only from 203.0.113.0/24 and the address it is asked for from",
            "rule engineers-read-everything: only in eu-west-1, not what an inline policy of 68 characters denies",
        ]
    );
    let back = crate::catalog::diff::diff(&catalog, &plain).to_string();
    assert!(
        back.contains("what sessions are limited to:\n  ~ role 111122223333/ReadOnly: no longer only reading"),
        "{back}"
    );

    for (role, rule, wanted) in [
        ("scope_down = {}", "", "role.scope_down: nothing is limited; write read_only, regions"),
        ("scope_down = { read_only = false }", "", "role.scope_down: nothing is limited"),
        ("scope_down = { regions = [] }", "", "role.scope_down.regions: the list is empty"),
        ("scope_down = { region = \"eu-west-1\" }", "", "did you mean `regions`?"),
        (
            "scope_down = { regions = \"us-gov-west-1\" }",
            "",
            "the region us-gov-west-1 is not in this account's partition",
        ),
        (
            "scope_down = { networks = [\"10.0.0.0/33\"] }",
            "",
            "role.scope_down.networks[0]: `10.0.0.0/33` is no network",
        ),
        ("scope_down = { policy = '{}' }", "", "role.scope_down.policy: an inline session policy is a JSON object"),
        ("scope_down = { policy_arns = \"ReadOnlyAccess\" }", "", "is not the ARN of a managed policy"),
        (
            "scope_down = { regions = \"eu-west-1\" }",
            "scope_down = { regions = \"us-east-1\" }",
            "rule.scope_down: nobody could use 111122223333/ReadOnly by this rule: no region is left",
        ),
        (
            "scope_down = { read_only = true }",
            "scope_down = { policy_arns = \"arn:aws:iam::111122223333:policy/x\" }",
            "rule.scope_down: nobody could use 111122223333/ReadOnly by this rule: the role's own limit and the limit of \
             the rule that grants it cannot both be kept",
        ),
    ] {
        let found = mistakes(&limited(role, rule));
        assert!(found.iter().any(|mistake| mistake.contains(wanted)), "{wanted}\n{found:#?}");
    }
    // People who are in the network and are to be bound to their address besides can be.
    assert!(
        read(&limited("scope_down = { networks = \"198.51.100.0/24\" }", "scope_down = { networks = \"caller\" }"))
            .is_ok()
    );
}

#[test]
fn a_method_takes_limits_and_tags_as_aws_does() {
    for (from, to, wanted) in [
        (
            "scope_down = { read_only = true }\n",
            "",
            "role.scope_down: a federation token may do nothing without a session policy",
        ),
        (
            "scope_down = { read_only = true }\n",
            "scope_down = { read_only = true }\nsession_tags = { A = { value = \"b\", transitive = true } }\n",
            "role.session_tags.A: the tags of a federation token go along nowhere",
        ),
        (
            "name = \"Jane\"",
            "name = \"Jane\"\nscope_down = { read_only = true }",
            "role.scope_down: AWS takes no session policy for the session of an IAM user",
        ),
    ] {
        let text = METHODS.replace(from, to);
        assert_ne!(text, METHODS, "{from}");
        let found = mistakes(&text);
        assert!(found.iter().any(|mistake| mistake.contains(wanted)), "{wanted}\n{found:#?}");
    }
    for (source, wanted) in [
        ("{ attribute = \"department\", value = \"x\" }", "a tag has one value"),
        ("{ transitive = true }", "nothing says what its value is"),
        ("{ attribute = \"department\", transitiv = true }", "did you mean `transitive`?"),
    ] {
        let found = mistakes(&EXAMPLE.replace("Department = \"department\"", &format!("Department = {source}")));
        assert!(found.iter().any(|mistake| mistake.contains(wanted)), "{wanted}\n{found:#?}");
    }
}
