use std::path::Path;

use super::*;
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
    if path.ends_with("okta.xml") { Ok(b"<EntityDescriptor/>".to_vec()) } else { Err(io::ErrorKind::NotFound.into()) }
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
    assert_eq!(saml.metadata, MetadataSource::Inline("<EntityDescriptor/>".into()));
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
kind = "oidc"

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
