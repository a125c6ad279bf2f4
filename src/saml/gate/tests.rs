use super::*;

const OPEN: &str =
    r#"<p:Response xmlns:p="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:a="urn:oasis:names:tc:SAML:2.0:assertion""#;

fn reply(attributes: &str, inside: &str) -> String {
    format!("{OPEN}{attributes}>{inside}</p:Response>")
}

fn code(text: &str) -> &'static str {
    match admit(text.as_bytes(), Root::Response, &Limits::MESSAGE, Sha1::Refused) {
        Ok(_) => "admitted",
        Err(e) => e.code(),
    }
}

#[test]
fn a_plain_reply_passes_with_or_without_declaration_and_byte_order_mark() {
    let plain = reply("", "<a:Assertion ID='_1'/>");
    for prolog in [
        "",
        "\u{feff}",
        "<?xml version=\"1.0\"?>",
        "<?xml version='1.0' encoding='utf-8'?>\n",
        "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\" standalone = \"no\" ?>",
    ] {
        assert_eq!(code(&format!("{prolog}{plain}\n")), "admitted", "{prolog}");
    }
}

#[test]
fn what_is_not_plain_markup_is_refused_by_name() {
    let with = |inside: &str| code(&reply("", inside));
    assert_eq!(code(&format!("<!DOCTYPE x>{}", reply("", ""))), "doctype-refused");
    assert_eq!(with("<!-- x -->"), "comment-refused");
    assert_eq!(with("<?x y?>"), "processing-instruction-refused");
    assert_eq!(with("<![CDATA[x]]>"), "cdata-refused");
    assert_eq!(with("<é/>"), "xml-name-refused");
    assert_eq!(with("<a:b:c/>"), "xml-name-refused");
    assert_eq!(with("<a:b c='1' c='2'/>"), "xml-malformed");
    assert_eq!(with("<a:b c='1'd='2'/>"), "xml-malformed");
    assert_eq!(with("<q:b/>"), "xml-malformed");
    assert_eq!(with("&unknown;"), "xml-malformed");
    assert_eq!(with("&#0;"), "xml-malformed");
    assert_eq!(with("<a:b xml:id='x'/>"), "xml-attribute-refused");
    assert_eq!(with("<a:b xml:base='http://x/'/>"), "xml-attribute-refused");
    assert_eq!(with("<a:b xml:lang='en'/>"), "admitted");
    assert_eq!(with("<q:b xmlns:q='relative'/>"), "namespace-refused");
    assert_eq!(with("<q:b xmlns:q=''/>"), "namespace-refused");
    assert_eq!(with("<b xmlns=''/>"), "admitted");
    assert_eq!(with("<a:b a:ID='x'/>"), "id-invalid");
    assert_eq!(with("<a:b ID='1x'/>"), "id-invalid");
    assert_eq!(with("<a:b ID='x'/><a:c Id='x'/>"), "id-duplicate");
    assert_eq!(code(&format!("{}junk", reply("", ""))), "xml-malformed");
    assert_eq!(code(&format!("{0}{0}", reply("", ""))), "xml-malformed");
    assert_eq!(code(OPEN), "xml-malformed");
    assert_eq!(code(""), "xml-malformed");
}

#[test]
fn no_declaration_can_promise_another_encoding() {
    for (declaration, expected) in [
        ("<?xml version=\"1.0\" encoding=\"UTF-16\"?>", "encoding-refused"),
        ("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>", "encoding-refused"),
        ("<?xml version=\"1.1\"?>", "xml-malformed"),
        ("<?xml encoding=\"UTF-8\"?>", "xml-malformed"),
        ("<?xml version=\"1.0\" version=\"1.0\"?>", "xml-malformed"),
        ("<?xml ?>", "xml-malformed"),
        ("<?xml version=\"1.0\"", "xml-malformed"),
        (" <?xml version=\"1.0\"?>", "processing-instruction-refused"),
    ] {
        assert_eq!(code(&format!("{declaration}{}", reply("", ""))), expected, "{declaration}");
    }
    let utf16: Vec<u8> = reply("", "").encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(admit(&utf16, Root::Response, &Limits::MESSAGE, Sha1::Refused).unwrap_err().code(), "encoding-refused");
    let latin1 = b"<a>\xe9</a>";
    assert_eq!(admit(latin1, Root::Response, &Limits::MESSAGE, Sha1::Refused).unwrap_err().code(), "encoding-refused");
}

#[test]
fn every_limit_holds() {
    let deep = |n: usize| reply("", &format!("{}{}", "<a:b>".repeat(n), "</a:b>".repeat(n)));
    assert_eq!(code(&deep(39)), "admitted");
    assert_eq!(code(&deep(40)), "too-deep");
    let attributes = |n: usize| {
        let list: String = (0..n).map(|i| format!(" x{i}=''")).collect();
        reply("", &format!("<a:b{list}/>"))
    };
    assert_eq!(code(&attributes(40)), "admitted");
    assert_eq!(code(&attributes(41)), "too-many-attributes");
    // The root declares two itself.
    let namespaces = |n: usize| reply("", &(0..n).map(|i| format!("<x{i}:b xmlns:x{i}='urn:x'/>")).collect::<String>());
    assert_eq!(code(&namespaces(62)), "admitted");
    assert_eq!(code(&namespaces(63)), "too-many-namespaces");
    let nested = "<a:b xmlns:x='urn:1' xmlns:y='urn:2' xmlns:z='urn:3'>".repeat(21) + &"</a:b>".repeat(21);
    assert_eq!(code(&reply("", &nested)), "too-many-namespaces");
    assert_eq!(code(&reply("", &"<a:b/>".repeat(24_999))), "admitted");
    assert_eq!(code(&reply("", &"<a:b/>".repeat(25_000))), "too-many-elements");
    assert_eq!(code(&reply("", &"x".repeat(1024 * 1024))), "too-large");
    assert_eq!(code(&reply("", &"x".repeat(1024 * 1023))), "admitted");
}

#[test]
fn one_assertion_stands_directly_in_the_response() {
    let with = |inside: &str| code(&reply("", inside));
    assert_eq!(with("<a:EncryptedAssertion/>"), "admitted");
    assert_eq!(with("<a:Assertion/><a:Assertion/>"), "several-assertions");
    assert_eq!(with("<a:Assertion/><a:EncryptedAssertion/>"), "several-assertions");
    assert_eq!(with("<p:Extensions><a:Assertion/></p:Extensions>"), "element-misplaced");
    assert_eq!(with("<a:Assertion><a:Advice><a:Assertion/></a:Advice></a:Assertion>"), "several-assertions");
    assert_eq!(with("<x:Assertion xmlns:x='urn:other'/>"), "element-misplaced");
    assert_eq!(with("<p:Extensions><p:Response/></p:Extensions>"), "element-misplaced");
    assert_eq!(code("<a:Assertion xmlns:a='urn:oasis:names:tc:SAML:2.0:assertion'/>"), "root-unexpected");
    assert_eq!(code("<Response/>"), "root-unexpected");
}

#[test]
fn hand_written_metadata_may_have_comments() {
    let text = "<!-- ours --><?x y?><EntityDescriptor xmlns='urn:oasis:names:tc:SAML:2.0:metadata'><!-- <a -->\
                </EntityDescriptor><!-- end -->";
    assert!(admit(text.as_bytes(), Root::Metadata, &Limits::METADATA, Sha1::Refused).is_ok());
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_gate_panic(bytes: Vec<u8>) {
        for root in [Root::Response, Root::Metadata] {
            let _ = admit(&bytes, root, &Limits::MESSAGE, Sha1::Refused);
        }
    }

    #[test]
    fn no_markup_makes_the_gate_panic(pieces in proptest::collection::vec(proptest::sample::select(vec![
        "<", ">", "/>", "</", "=", "\"", "'", " ", "a", "a:b", "xmlns", "xmlns:a", "urn:x", "&amp;", "&#x41;", "&", "é",
        "<!--", "-->", "<?", "?>", "<![CDATA[", "]]>", "<!DOCTYPE", "<?xml version='1.0'?>", "ID", "\u{feff}", OPEN,
        "</p:Response>", "<a:Assertion ID='x'>", "</a:Assertion>", "\n",
    ]), 0..60)) {
        let text = pieces.concat();
        for root in [Root::Response, Root::Metadata] {
            let _ = admit(text.as_bytes(), root, &Limits::MESSAGE, Sha1::Refused);
        }
    }
}
