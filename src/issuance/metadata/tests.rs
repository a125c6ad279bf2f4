use super::*;
use crate::issuance::fake::KEY;

fn xml(certificates: &[&str]) -> Result<String, MetadataError> {
    let post = Url::parse("https://broker.example/?a=1&b=2").unwrap();
    let redirect = Url::parse("https://broker.example/redirect").unwrap();
    Metadata {
        entity_id: "https://broker.example/aws/saml-metadata.xml",
        certificates,
        sso_post: &post,
        sso_redirect: &redirect,
    }
    .to_xml()
}

#[test]
fn metadata_names_us_our_keys_and_where_to_sign_in() {
    let xml = xml(&[KEY.certificate_base64(), "b3RoZXI="]).unwrap();
    assert!(xml.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<md:EntityDescriptor "));
    let document = roxmltree::Document::parse(&xml).unwrap();
    assert_eq!(document.root_element().attribute("entityID"), Some("https://broker.example/aws/saml-metadata.xml"));
    assert_eq!(document.root_element().attribute("validUntil"), None);
    let certificates: Vec<_> = document
        .descendants()
        .filter(|n| n.has_tag_name((DS.uri, "X509Certificate")))
        .filter_map(|n| n.text())
        .collect();
    assert_eq!(certificates, [KEY.certificate_base64(), "b3RoZXI="]);
    let uses = document.descendants().filter(|n| n.has_tag_name((MD.uri, "KeyDescriptor")));
    assert!(uses.clone().count() == 2 && uses.clone().all(|n| n.attribute("use") == Some("signing")));
    let endpoints: Vec<_> = document
        .descendants()
        .filter(|n| n.has_tag_name((MD.uri, "SingleSignOnService")))
        .map(|n| (n.attribute("Binding").unwrap(), n.attribute("Location").unwrap()))
        .collect();
    assert_eq!(
        endpoints,
        [(HTTP_POST, "https://broker.example/?a=1&b=2"), (HTTP_REDIRECT, "https://broker.example/redirect")]
    );
}

#[test]
fn metadata_is_long_enough_for_iam_even_with_the_smallest_key() {
    assert!(xml(&[KEY.certificate_base64()]).unwrap().len() >= 1000);
}

#[test]
fn metadata_lists_between_one_and_ten_keys() {
    assert!(matches!(xml(&[]), Err(MetadataError::NoCertificate)));
    assert!(xml(&["YQ=="; 10]).is_ok());
    assert!(matches!(xml(&["YQ=="; 11]), Err(MetadataError::TooManyCertificates(11))));
}
