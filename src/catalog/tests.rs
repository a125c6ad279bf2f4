use std::sync::LazyLock;

use proptest::prelude::*;

use super::diff::diff;
use super::export::export;
use super::toml::parse_text;
use super::*;
use crate::saml::key::{KeySize, SigningKey};
use crate::sys::SeededRng;

/// An identity provider's metadata.
pub(super) static METADATA: LazyLock<String> = LazyLock::new(|| {
    let now = "2026-11-21T12:00:00Z".parse().unwrap();
    let key = SigningKey::generate(KeySize::Rsa2048, "idp", now, &SeededRng::new(1)).unwrap();
    format!(
        "<?xml version=\"1.0\"?>\n<md:EntityDescriptor xmlns:md='urn:oasis:names:tc:SAML:2.0:metadata' \
         entityID='https://idp.example/\"\"\"'>\n\t<md:IDPSSODescriptor \
         protocolSupportEnumeration='urn:oasis:names:tc:SAML:2.0:protocol'><md:KeyDescriptor>\
         <KeyInfo xmlns='http://www.w3.org/2000/09/xmldsig#'><X509Data><X509Certificate>{}</X509Certificate>\
         </X509Data></KeyInfo></md:KeyDescriptor><md:SingleSignOnService \
         Binding='urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect' Location='https://idp.example/sso'/>\
         </md:IDPSSODescriptor>\r\n</md:EntityDescriptor>\n",
        key.certificate_base64()
    )
});

fn read(text: &str) -> Catalog {
    parse_text("test.toml", text).unwrap().catalog
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_export_reads_back_as_the_same_catalog(catalog in arbitrary::catalog()) {
        let text = export(&catalog);
        let again = parse_text("export.toml", &text).map_err(|mistakes| {
            TestCaseError::fail(format!("{mistakes}\n{text}"))
        })?;
        prop_assert_eq!(&again.catalog, &catalog, "{}", &text);
        prop_assert_eq!(export(&again.catalog), text);
    }

    #[test]
    fn stored_entries_read_back_as_they_were(catalog in arbitrary::catalog()) {
        for role in catalog.roles() {
            let again: Role = serde_json::from_str(&serde_json::to_string(role).unwrap()).unwrap();
            prop_assert_eq!(&again, role);
        }
        for rule in catalog.rules() {
            let again: Rule = serde_json::from_str(&serde_json::to_string(rule).unwrap()).unwrap();
            prop_assert_eq!(&again, rule);
        }
        for key in catalog.keys() {
            let again: UserKey = serde_json::from_str(&serde_json::to_string(key).unwrap()).unwrap();
            prop_assert_eq!(&again, key);
        }
        for connector in catalog.connectors() {
            let again: Connector = serde_json::from_str(&serde_json::to_string(connector).unwrap()).unwrap();
            prop_assert_eq!(&again, connector);
        }
    }

    #[test]
    fn the_order_of_entries_does_not_matter(catalog in arbitrary::catalog()) {
        let mut parts = catalog.clone().into_parts();
        parts.connectors.reverse();
        parts.accounts.reverse();
        parts.roles.reverse();
        parts.rules.reverse();
        prop_assert_eq!(Catalog::assemble(parts).unwrap(), catalog);
    }

    #[test]
    fn a_difference_is_empty_between_equals_only(one in arbitrary::catalog(), other in arbitrary::catalog()) {
        prop_assert!(diff(&one, &one).is_empty());
        prop_assert_eq!(diff(&one, &other).is_empty(), one == other);
        let (there, back) = (diff(&one, &other), diff(&other, &one));
        prop_assert_eq!(there.roles.added, back.roles.removed);
        prop_assert_eq!(there.rules.changed, back.rules.changed);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>()) {
        let _ = parse_text("x.toml", &text);
    }

    #[test]
    fn a_file_cut_anywhere_is_read_without_panic(catalog in arbitrary::catalog(), at in any::<prop::sample::Index>()) {
        let text = export(&catalog);
        let mut cut = at.index(text.len() + 1);
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        let _ = parse_text("x.toml", &text[..cut]);
    }
}

#[test]
fn an_export_is_pleasant_to_read() {
    let catalog = read(
        r#"
        rule = [{ id = "r", when = { groups = ["x", "y"] }, grant = { account_tags = { env = "prod" }, role = "a/B" } }]
        role = [{ account = "111122223333", name = "a/B", max_session = "90m", tags = { level = "read" } }]
        account = [{ id = "111122223333", name = "Payments \"prod\"", tags = { env = "prod" }, region = "eu-west-1" }]
        connector = [{ id = "okta", kind = "saml", name = "Okta", metadata_url = "https://idp.example/m",
                       clock_skew = "2m", attributes = { groups = "g", extra = { dept = "urn:x" } } }]
        support = { text = "Ask us", contact = "https://corp.example/help" }
    "#,
    );
    insta::assert_snapshot!(export(&catalog));
}

#[test]
fn a_difference_names_what_was_added_changed_and_removed() {
    let old = read(
        r#"
        account = [{ id = "111122223333", name = "Old name" }, { id = "444455556666", name = "Gone" }]
        "#,
    );
    let new = read(
        r#"
        account = [{ id = "111122223333", name = "New name" }]
        role = [{ account = "111122223333", name = "ReadOnly" }]
        support = { text = "Ask us" }
        "#,
    );
    assert_eq!(
        diff(&old, &new).to_string(),
        "accounts: 0 added, 1 changed, 1 removed\n  ~ account 111122223333\n  - account 444455556666\n\
         roles: 1 added, 0 changed, 0 removed\n  + role 111122223333/ReadOnly\n\
         support: changed"
    );
    assert_eq!(diff(&new, &new).to_string(), "no change");
}

#[test]
fn a_pattern_matches_the_whole_value_or_nothing() {
    let glob = |pattern: &str, value: &str| Pattern::Glob(Glob::new(pattern).unwrap()).is_match(value);
    assert!(glob("aws-*", "aws-") && glob("*", "") && glob("a?c", "aéc") && glob("a.c", "a.c") && glob("x*y", "x\ny"));
    assert!(
        !glob("aws-*", "xaws-1") && !glob("a.c", "abc") && !glob("a?", "a") && !glob("a", "A") && !glob("(a)", "a")
    );
    let expression = |pattern: &str, value: &str| Pattern::Matches(Expression::new(pattern).unwrap()).is_match(value);
    assert!(expression("a|ab", "ab") && expression("(?i)ab", "AB") && expression("(?x) a # b", "a"));
    assert!(
        !expression("a", "ab") && !expression("b", "ab") && !expression("a", "a\n") && !expression("(?m)^a$", "b\na")
    );
}

#[test]
fn a_pattern_nobody_can_use_is_refused() {
    for bad in ["", "(", "a)|(b", r"(?<a>x)\k<a>", "(?=x)", "*", &"a".repeat(1_001), r"\w{1000}\w{1000}\w{1000}"] {
        assert!(Expression::new(bad).is_err(), "{bad}");
    }
    assert!(Expression::new(r"[\w+=,.@-]{1,64}").is_ok(), "what people write for a role name is not too large");
    assert!(Glob::new("").is_err());
}

#[test]
fn a_template_has_a_name_in_braces() {
    for good in ["{account}", "a{b}c", "{a}{_b1}", "teams/{team}"] {
        assert_eq!(good.parse::<Template>().unwrap().to_string(), good);
    }
    for bad in ["", "a", "{", "}", "{}", "{a", "a}", "{a b}", "{{a}}", "{1}", "{a}}"] {
        assert!(bad.parse::<Template>().is_err(), "{bad}");
    }
}

#[test]
fn a_session_tag_is_what_aws_takes() {
    let is_key = |text: &str| text.parse::<TagKey>().is_ok();
    assert!(is_key("Cost Center") && is_key("Größe") && is_key("a_.:/=+-@1") && is_key(&"k".repeat(128)));
    assert!(!is_key("") && !is_key("aws:x") && !is_key("AWS:x") && !is_key("a*") && !is_key(&"k".repeat(129)));
    assert!(is_tag_value("") && is_tag_value(&"é".repeat(256)) && is_tag_value("awsome"));
    assert!(!is_tag_value(&"v".repeat(257)) && !is_tag_value("R&D") && !is_tag_value("a\nb") && !is_tag_value("aws:x"));
}

#[test]
fn a_contact_becomes_a_link_that_cannot_run_anything() {
    let href = |text: &str| text.parse::<Contact>().map(|contact| contact.href()).ok();
    assert_eq!(href("help@corp.example").unwrap(), "mailto:help@corp.example");
    assert_eq!(href("https://corp.example/x").unwrap(), "https://corp.example/x");
    for bad in ["javascript:alert(1)", "http://corp.example", "x", "a@b?subject=x", "@", "a@", "<a@b>", ""] {
        assert_eq!(href(bad), None, "{bad}");
    }
}
