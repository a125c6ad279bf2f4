//! The development identity provider, asked as a service provider asks.

use rolegate::saml::redirect::{Carries, query, receive, signed_query};
use rolegate::saml::write::RSA_SHA256;

use super::*;
use crate::browser_client::{Browser, Page};

/// An `AuthnRequest`, right until a test spoils it.
struct Ask {
    issuer: &'static str,
    acs_url: Option<&'static str>,
    destination: Option<String>,
    further: &'static str,
    format: Option<&'static str>,
    issued: Timestamp,
}

impl Default for Ask {
    fn default() -> Self {
        Self { issuer: SP, acs_url: Some(ACS), destination: None, further: "", format: None, issued: start() }
    }
}

impl Ask {
    fn xml(&self) -> String {
        let attribute =
            |name: &str, value: Option<&str>| value.map_or_else(String::new, |v| format!(" {name}=\"{v}\""));
        format!(
            "<samlp:AuthnRequest xmlns:samlp=\"{}\" xmlns:saml=\"{}\" ID=\"_ask1\" Version=\"2.0\" IssueInstant=\"{}\"{}{}{}>\
             <saml:Issuer>{}</saml:Issuer>{}</samlp:AuthnRequest>",
            SAMLP.uri,
            SAML.uri,
            date_time(self.issued),
            attribute("AssertionConsumerServiceURL", self.acs_url),
            attribute("Destination", self.destination.as_deref()),
            self.further,
            self.issuer,
            self.format.map_or_else(String::new, |format| format!("<samlp:NameIDPolicy Format=\"{format}\"/>")),
        )
    }

    fn url(&self, idp: &Running) -> String {
        let mut url = idp.at("/idp/saml/sso");
        url.set_query(Some(&query(Carries::Request, &self.xml(), Some("handle & more"))));
        url.into()
    }
}

/// The answer in a page that posts it.
fn answer(page: &Page) -> String {
    let form = page.form_with("SAMLResponse");
    assert!(form.post);
    assert_eq!(form.action.as_str(), ACS);
    String::from_utf8(STANDARD.decode(form.value("SAMLResponse").unwrap()).unwrap()).unwrap()
}

async fn choose(browser: &mut Browser, page: &Page, person: &str) -> Page {
    let form = page.form_with("pending").set("person", person);
    browser.submit(&form).await
}

#[actix_web::test]
async fn somebody_is_chosen_and_vouched_for_with_a_signature() {
    let idp = Running::start();
    let mut browser = Browser::new();
    let page = browser.get(&Ask::default().url(&idp)).await;
    assert_eq!(page.status, 200);
    for person in World::larkspur().people() {
        assert!(page.body.contains(&format!("value=\"{}\"", person.id)), "{}", person.id);
    }
    assert!(page.body.contains("Zoë &#34;Zed&#34; O&#39;Brien &#38; Müller"), "{}", page.body);
    let page = choose(&mut browser, &page, "zoe").await;
    assert_eq!(page.form_with("SAMLResponse").value("RelayState"), Some("handle & more"));
    let csp = page.headers["content-security-policy"].to_str().unwrap();
    assert!(csp.contains("form-action 'self' https://broker.example.test;") && !csp.contains("unsafe"), "{csp}");

    let xml = answer(&page);
    for part in [
        "InResponseTo=\"_ask1\"",
        ">zoe</saml:NameID>",
        &format!("Recipient=\"{ACS}\""),
        &format!("<saml:Audience>{SP}</saml:Audience>"),
        "Zoë \"Zed\" O'Brien &amp; Müller",
        "Data scientist &lt;forecasting&gt;",
        "<saml:AttributeValue>data-science</saml:AttributeValue>",
        "CC-3300",
    ] {
        assert!(xml.contains(part), "{part} is not in {xml}");
    }
    let metadata = idp.client.get(idp.at("/idp/saml/metadata")).send().await.unwrap().text().await.unwrap();
    verify(&xml, &metadata);
}

/// The broker's own verification, with the key of the metadata.
fn verify(xml: &str, metadata: &str) {
    use rolegate::saml::gate::{Limits, Root, Sha1, admit};
    let idp = rolegate::saml::metadata::IdpMetadata::read(metadata.as_bytes(), None, start()).unwrap();
    let gated = admit(xml.as_bytes(), Root::Response, &Limits::MESSAGE, Sha1::Refused).unwrap();
    rolegate::saml::signature::verify(&gated, &idp.certificates, Sha1::Refused).unwrap();
}

#[actix_web::test]
async fn whoever_is_signed_in_is_not_asked_again_unless_the_request_says_so() {
    let idp = Running::start();
    let mut browser = Browser::new();
    let page = browser.get(&Ask::default().url(&idp)).await;
    let first = answer(&choose(&mut browser, &page, "lin").await);
    let again = answer(&browser.get(&Ask::default().url(&idp)).await);
    let session = |xml: &str| xml.split("SessionIndex=\"").nth(1).unwrap()[..41].to_owned();
    assert_eq!(session(&first), session(&again));

    let forced = browser.get(&Ask { further: " ForceAuthn=\"true\"", ..Ask::default() }.url(&idp)).await;
    assert!(forced.has_form_with("pending") && forced.body.contains("signed in"), "{}", forced.body);
    idp.clock.advance_secs(8 * 3600);
    let later = Ask { issued: idp.clock.now(), ..Ask::default() };
    assert!(browser.get(&later.url(&idp)).await.has_form_with("pending"));
}

#[actix_web::test]
async fn a_passive_request_is_answered_without_a_question_either_way() {
    let idp = Running::start();
    let mut browser = Browser::new();
    let passive = Ask { further: " IsPassive=\"true\"", ..Ask::default() };
    let xml = answer(&browser.get(&passive.url(&idp)).await);
    assert!(
        xml.contains("status:Responder") && xml.contains("status:NoPassive") && !xml.contains("Assertion "),
        "{xml}"
    );
    let page = browser.get(&Ask::default().url(&idp)).await;
    choose(&mut browser, &page, "lin").await;
    assert!(answer(&browser.get(&passive.url(&idp)).await).contains("status:Success"));
    let both = Ask { further: " IsPassive=\"1\" ForceAuthn=\"1\"", ..Ask::default() };
    assert!(answer(&browser.get(&both.url(&idp)).await).contains("status:NoPassive"));
    let home = browser.get(idp.at("/idp").as_str()).await;
    browser.submit(&home.form_to("/idp/sign-out")).await;
    assert!(answer(&browser.get(&passive.url(&idp)).await).contains("status:NoPassive"));
}

#[actix_web::test]
async fn going_away_and_asking_for_an_unknown_kind_of_name_are_answered_with_an_error() {
    let idp = Running::start();
    let mut browser = Browser::new();
    let page = browser.get(&Ask::default().url(&idp)).await;
    assert!(answer(&choose(&mut browser, &page, "").await).contains("status:AuthnFailed"));
    let kerberos = Some("urn:oasis:names:tc:SAML:2.0:nameid-format:kerberos");
    let xml = answer(&browser.get(&Ask { format: kerberos, ..Ask::default() }.url(&idp)).await);
    assert!(xml.contains("status:Requester") && xml.contains("status:InvalidNameIDPolicy"), "{xml}");
    let email = Some("urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress");
    let page = browser.get(&Ask { format: email, ..Ask::default() }.url(&idp)).await;
    assert!(answer(&choose(&mut browser, &page, "lin").await).contains(">lin.wei@larkspur.example</saml:NameID>"));
}

#[actix_web::test]
async fn an_answer_never_goes_where_the_metadata_does_not_say() {
    let idp = Running::start();
    for (ask, words) in [
        (Ask { issuer: "urn:somebody:else", ..Ask::default() }, "No service provider urn:somebody:else"),
        (Ask { acs_url: Some("https://evil.example/acs"), ..Ask::default() }, "https://evil.example/acs"),
        (Ask { acs_url: Some("http://127.0.0.1:1/acs"), ..Ask::default() }, "No service provider"),
        (
            Ask { destination: Some("https://other.example/sso".to_owned()), ..Ask::default() },
            "https://other.example/sso",
        ),
        (Ask { issued: start() - SignedDuration::from_mins(11), ..Ask::default() }, "which is not now"),
        (
            Ask {
                further: " ProtocolBinding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Artifact\"",
                ..Ask::default()
            },
            "HTTP-Artifact",
        ),
    ] {
        let page = Browser::new().get(&ask.url(&idp)).await;
        assert_eq!(page.status, 400, "{words}");
        assert!(page.body.contains(words), "{words} is not in {}", page.body);
        assert!(!page.has_form_with("SAMLResponse"));
    }
    let broken = idp.at("/idp/saml/sso?SAMLRequest=AAAA");
    assert_eq!(Browser::new().get(broken.as_str()).await.status, 400);
    assert!(Browser::new().get(&Ask { acs_url: None, ..Ask::default() }.url(&idp)).await.has_form_with("pending"));
}

#[actix_web::test]
async fn a_request_may_come_by_post() {
    let idp = Running::start();
    let form = [("SAMLRequest", STANDARD.encode(Ask::default().xml())), ("RelayState", "r".to_owned())];
    let response = idp.client.post(idp.at("/idp/saml/sso")).form(&form).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.text().await.unwrap().contains("Who are you today?"));
}

#[actix_web::test]
async fn a_sign_in_may_begin_here() {
    let idp = Running::start();
    let mut browser = Browser::new();
    let home = browser.get(idp.at("/idp").as_str()).await;
    let page = browser.follow(&home.link("initiate")).await;
    let xml = answer(&choose(&mut browser, &page, "kim").await);
    assert!(!xml.contains("InResponseTo") && xml.contains(">kim</saml:NameID>"), "{xml}");
    assert_eq!(browser.get(idp.at("/idp/saml/initiate?sp=urn:nobody").as_str()).await.status, 400);
}

#[actix_web::test]
async fn a_list_left_open_too_long_or_made_up_is_not_taken() {
    let idp = Running::start();
    let mut browser = Browser::new();
    let page = browser.get(&Ask::default().url(&idp)).await;
    let forged = page.form_with("pending").set("pending", "AAAA").set("person", "asha");
    assert_eq!(browser.submit(&forged).await.status, 400);
    assert_eq!(choose(&mut browser, &page, "nobody").await.status, 400);
    idp.clock.advance_secs(30 * 60);
    assert_eq!(choose(&mut browser, &page, "asha").await.status, 400);
}

/// What the identity provider told a service provider about somebody.
struct Told {
    name_id: String,
    index: String,
}

impl Told {
    fn of(response: &str) -> Self {
        let document = roxmltree::Document::parse(response).unwrap();
        let find = |name: &str| document.descendants().find(|node| node.tag_name().name() == name).unwrap();
        let name_id = find("NameID");
        // Repeated with all its qualifiers.
        let attributes: String =
            name_id.attributes().map(|attribute| format!(" {}=\"{}\"", attribute.name(), attribute.value())).collect();
        let index = find("AuthnStatement").attribute("SessionIndex").unwrap().to_owned();
        Self { name_id: format!("<saml:NameID{attributes}>{}</saml:NameID>", name_id.text().unwrap()), index }
    }
}

/// A `LogoutRequest`, right until a test spoils it.
struct Leave {
    issuer: &'static str,
    subject: String,
    destination: Option<String>,
    issued: Timestamp,
    further: &'static str,
}

impl Leave {
    fn of(idp: &Running, told: &Told) -> Self {
        Self {
            issuer: SP,
            subject: format!("{}<samlp:SessionIndex>{}</samlp:SessionIndex>", told.name_id, told.index),
            destination: Some(idp.at("/idp/saml/slo").into()),
            issued: idp.clock.now(),
            further: "",
        }
    }

    fn xml(&self) -> String {
        let destination = self.destination.as_ref().map_or_else(String::new, |to| format!(" Destination=\"{to}\""));
        format!(
            "<samlp:LogoutRequest xmlns:samlp=\"{}\" xmlns:saml=\"{}\" ID=\"_bye\" Version=\"2.0\" \
             IssueInstant=\"{}\"{destination}{}><saml:Issuer>{}</saml:Issuer>{}</samlp:LogoutRequest>",
            SAMLP.uri,
            SAML.uri,
            date_time(self.issued),
            self.further,
            self.issuer,
            self.subject,
        )
    }

    fn query(&self, key: Option<&SigningKey>) -> String {
        match key {
            Some(key) => {
                let sign = |bytes: &[u8]| key.sign(bytes);
                signed_query(Carries::Request, &self.xml(), Some("r & s"), RSA_SHA256, sign).unwrap()
            }
            None => query(Carries::Request, &self.xml(), Some("r & s")),
        }
    }
}

/// Metadata of a service provider, with a key and with addresses for logout by these bindings.
fn with_logout(entity_id: &str, bindings: &[&str]) -> String {
    let base = entity_id.trim_end_matches("metadata");
    let logout: String = bindings
        .iter()
        .map(|binding| {
            format!(
                "<md:SingleLogoutService Location=\"{base}slo\" ResponseLocation=\"{base}slo/answer\" \
                 Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-{binding}\"/>"
            )
        })
        .collect();
    format!(
        "<md:EntityDescriptor xmlns:md=\"{}\" entityID=\"{entity_id}\"><md:SPSSODescriptor \
         protocolSupportEnumeration=\"{}\"><md:KeyDescriptor use=\"signing\"><ds:KeyInfo xmlns:ds=\"{}\"><ds:X509Data>\
         <ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>{logout}\
         <md:AssertionConsumerService index=\"0\" Location=\"{base}acs\" \
         Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\"/></md:SPSSODescriptor></md:EntityDescriptor>",
        MD.uri,
        SAMLP.uri,
        DS.uri,
        TRUSTED.certificate_base64()
    )
}

const BY_POST: &str = "https://post.example.test/saml/metadata";
const BY_REDIRECT: &str = "https://redirect.example.test/saml/metadata";
const DEAF: &str = "https://deaf.example.test/saml/metadata";

/// An identity provider with four service providers: two of the binding they are named after, the usual one with both,
/// and one that takes no logout at all.
fn with_four() -> Running {
    Running::start_with(|config| {
        let all =
            [(SP, ["Redirect", "POST"].as_slice()), (BY_POST, &["POST"]), (BY_REDIRECT, &["Redirect"]), (DEAF, &[])];
        let inline = |(entity_id, bindings)| MetadataSource::Inline(with_logout(entity_id, bindings));
        config.service_providers = all.into_iter().map(inline).collect();
    })
}

/// Signs somebody in at a service provider; gives what that was told.
async fn told(idp: &Running, browser: &mut Browser, issuer: &'static str, person: &str) -> Told {
    let ask = Ask { issuer, acs_url: None, issued: idp.clock.now(), ..Ask::default() };
    let mut page = browser.get(&ask.url(idp)).await;
    if page.has_form_with("pending") {
        page = choose(browser, &page, person).await;
    }
    let packed = page.form_with("SAMLResponse");
    let response = STANDARD.decode(packed.value("SAMLResponse").unwrap()).unwrap();
    Told::of(std::str::from_utf8(&response).unwrap())
}

/// A message that the identity provider sends by redirect, and where it goes. Its signature is checked.
async fn by_redirect(idp: &Running, carries: Carries, url: &str) -> (Url, String, Option<String>) {
    let url: Url = url.parse().unwrap();
    let metadata = idp.client.get(idp.at("/idp/saml/metadata")).send().await.unwrap().text().await.unwrap();
    let metadata = rolegate::saml::metadata::IdpMetadata::read(metadata.as_bytes(), None, start()).unwrap();
    assert_eq!(metadata.slo.len(), 2);
    let query = url.query().unwrap();
    let sha1 = rolegate::saml::gate::Sha1::Refused;
    rolegate::saml::redirect::verify(carries, query, &metadata.certificates, sha1).unwrap();
    let received = receive(carries, query, 100_000).unwrap();
    (url.clone(), String::from_utf8(received.xml).unwrap(), received.relay_state)
}

fn location(response: &reqwest::Response) -> String {
    response.headers()["location"].to_str().unwrap().to_owned()
}

async fn still_signed_in(idp: &Running, browser: &mut Browser, issuer: &'static str) -> bool {
    let passive =
        Ask { further: " IsPassive=\"true\"", issued: idp.clock.now(), issuer, acs_url: None, ..Ask::default() };
    let page = browser.get(&passive.url(idp)).await;
    let form = page.form_with("SAMLResponse");
    let xml = STANDARD.decode(form.value("SAMLResponse").unwrap()).unwrap();
    String::from_utf8(xml).unwrap().contains("status:Success")
}

#[actix_web::test]
async fn a_service_provider_signs_somebody_out_by_redirect() {
    let idp = with_four();
    let mut browser = Browser::new();
    let lin = told(&idp, &mut browser, SP, "lin").await;
    assert!(lin.name_id.contains("NameQualifier=") && lin.name_id.contains("SPNameQualifier="), "{}", lin.name_id);
    let mut url = idp.at("/idp/saml/slo");
    url.set_query(Some(&Leave::of(&idp, &lin).query(Some(&TRUSTED))));
    let response = idp.client.get(url.clone()).send().await.unwrap();
    let (to, xml, relay_state) = by_redirect(&idp, Carries::Response, &location(&response)).await;
    assert_eq!(to.as_str().split('?').next(), Some("https://broker.example.test/saml/dev/slo/answer"));
    assert_eq!(relay_state.as_deref(), Some("r & s"));
    assert!(xml.contains("InResponseTo=\"_bye\"") && xml.contains("status:Success\"></samlp:StatusCode>"), "{xml}");
    assert!(!still_signed_in(&idp, &mut browser, SP).await);
    // A second time there is nothing left to end, which is as good.
    let again = location(&idp.client.get(url).send().await.unwrap());
    assert!(by_redirect(&idp, Carries::Response, &again).await.1.contains("status:Success"));
}

#[actix_web::test]
async fn a_service_provider_signs_somebody_out_by_post() {
    let idp = with_four();
    let mut browser = Browser::new();
    let lin = told(&idp, &mut browser, BY_POST, "lin").await;
    let id = (&SystemRng as &dyn Rng).xml_id();
    let name_id = roxmltree::Document::parse_with_options(
        &lin.name_id.replace("<saml:NameID", &format!("<saml:NameID xmlns:saml=\"{}\"", SAML.uri)),
        roxmltree::ParsingOptions::default(),
    )
    .map(|document| {
        let node = document.root_element();
        Element::new(SAML, "NameID")
            .attr_some("Format", node.attribute("Format"))
            .attr_some("NameQualifier", node.attribute("NameQualifier"))
            .attr_some("SPNameQualifier", node.attribute("SPNameQualifier"))
            .text(node.text().unwrap())
    })
    .unwrap();
    let request = |key: &SigningKey| {
        Element::new(SAMLP, "LogoutRequest")
            .attr("Destination", idp.at("/idp/saml/slo").as_str())
            .attr("ID", id.as_str())
            .attr("IssueInstant", date_time(start()))
            .attr("Version", "2.0")
            .child(Element::new(SAML, "Issuer").text(BY_POST))
            .child(name_id.clone())
            .child(Element::new(SAMLP, "SessionIndex").text(lin.index.as_str()))
            .write_signed(key)
            .unwrap()
            .into_string()
    };
    let send = async |xml: String| {
        let form = [("SAMLRequest", STANDARD.encode(xml)), ("RelayState", "r".to_owned())];
        idp.client.post(idp.at("/idp/saml/slo")).form(&form).send().await.unwrap()
    };
    for forged in [request(&STRANGE), request(&TRUSTED).replace(">lin<", ">asha<")] {
        let refused = send(forged).await;
        assert_eq!(refused.status(), 400);
        assert!(refused.text().await.unwrap().contains("not signed as"));
    }
    assert!(still_signed_in(&idp, &mut browser, BY_POST).await);
    let response = send(request(&TRUSTED)).await;
    assert_eq!(response.status(), 200);
    let page = Page {
        url: idp.at("/idp/saml/slo"),
        status: 200,
        headers: response.headers().clone(),
        body: response.text().await.unwrap(),
    };
    let form = page.form_with("SAMLResponse");
    assert_eq!(form.action.as_str(), "https://post.example.test/saml/slo/answer");
    assert_eq!(form.value("RelayState"), Some("r"));
    let xml = String::from_utf8(STANDARD.decode(form.value("SAMLResponse").unwrap()).unwrap()).unwrap();
    assert!(xml.contains(&format!("InResponseTo=\"{id}\"")) && xml.contains("status:Success"), "{xml}");
    let metadata = idp.client.get(idp.at("/idp/saml/metadata")).send().await.unwrap().text().await.unwrap();
    let metadata = rolegate::saml::metadata::IdpMetadata::read(metadata.as_bytes(), None, start()).unwrap();
    use rolegate::saml::gate::{Limits, Root, Sha1, admit};
    let gated = admit(xml.as_bytes(), Root::LogoutResponse, &Limits::MESSAGE, Sha1::Refused).unwrap();
    rolegate::saml::signature::verify(&gated, &metadata.certificates, Sha1::Refused).unwrap();
    assert!(!still_signed_in(&idp, &mut browser, BY_POST).await);
}

#[actix_web::test]
async fn a_logout_request_that_is_not_right_ends_nothing() {
    let idp = with_four();
    let mut browser = Browser::new();
    let lin = told(&idp, &mut browser, SP, "lin").await;
    let right = || Leave::of(&idp, &lin);
    let signed = |leave: Leave| leave.query(Some(&TRUSTED));
    for (query, words) in [
        (right().query(None), "it has no signature"),
        (right().query(Some(&STRANGE)), "not signed as"),
        (signed(Leave { issuer: "urn:nobody", ..right() }), "No service provider urn:nobody"),
        (signed(Leave { issuer: DEAF, ..right() }), "No service provider"),
        (signed(Leave { destination: Some("https://other.example/slo".to_owned()), ..right() }), "other.example/slo"),
        (signed(Leave { destination: None, ..right() }), "needs a Destination"),
        (signed(Leave { issued: start() - SignedDuration::from_mins(11), ..right() }), "which is not now"),
        (signed(Leave { further: " NotOnOrAfter=\"2026-11-21T12:00:00Z\"", ..right() }), "which is not now"),
        (signed(Leave { subject: String::new(), ..right() }), "no NameID"),
        (signed(right()).replace("RelayState=r", "RelayState=x"), "not signed as"),
        (format!("{0}&{0}", signed(right())), "more than once"),
        ("SAMLRequest=AAAA&SAMLResponse=AAAA".to_owned(), "one message"),
        (String::new(), "one message"),
    ] {
        let mut url = idp.at("/idp/saml/slo");
        url.set_query(Some(&query));
        let page = Browser::new().get(url.as_str()).await;
        assert_eq!(page.status, 400, "{words}: {}", page.body);
        assert!(page.body.contains(words), "{words} is not in {}", page.body);
    }
    // Well-formed requests about somebody else are answered, and end nothing either.
    let unknown = "status:Requester\"><samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:UnknownPrincipal";
    let bare = lin.name_id.replace(" Format=", " X=").replace("NameQualifier=", "Y=");
    for (subject, status) in [
        (lin.name_id.replace(">lin<", ">nobody<"), unknown),
        (bare.replace("SPY", "Z"), unknown),
        (lin.name_id.replace("persistent", "transient"), unknown),
        (lin.name_id.replace(">lin<", ">asha<"), "status:Success"),
        (format!("{}<samlp:SessionIndex>_other</samlp:SessionIndex>", lin.name_id), "status:Success"),
    ] {
        let mut url = idp.at("/idp/saml/slo");
        url.set_query(Some(&signed(Leave { subject, ..right() })));
        let answered = location(&idp.client.get(url).send().await.unwrap());
        let (_, xml, _) = by_redirect(&idp, Carries::Response, &answered).await;
        assert!(xml.contains(status), "{xml}");
    }
    assert!(still_signed_in(&idp, &mut browser, SP).await);
    // Without an index, every session with that name is meant.
    let mut url = idp.at("/idp/saml/slo");
    url.set_query(Some(&signed(Leave { subject: lin.name_id.clone(), ..right() })));
    idp.client.get(url).send().await.unwrap();
    assert!(!still_signed_in(&idp, &mut browser, SP).await);
}

/// The answer of a service provider that was asked, by redirect.
fn answered(idp: &Running, issuer: &str, request: &str, status: &str) -> Url {
    let document = roxmltree::Document::parse(request).unwrap();
    let id = document.root_element().attribute("ID").unwrap();
    let code = |value: &str| {
        Element::new(SAMLP, "StatusCode").attr("Value", format!("urn:oasis:names:tc:SAML:2.0:status:{value}"))
    };
    let xml = Element::new(SAMLP, "LogoutResponse")
        .attr("Destination", idp.at("/idp/saml/slo").as_str())
        .attr("ID", (&SystemRng as &dyn Rng).xml_id())
        .attr("InResponseTo", id)
        .attr("IssueInstant", date_time(start()))
        .attr("Version", "2.0")
        .child(Element::new(SAML, "Issuer").text(issuer))
        .child(Element::new(SAMLP, "Status").child(code(status)))
        .write()
        .unwrap();
    let sign = |bytes: &[u8]| TRUSTED.sign(bytes);
    let mut url = idp.at("/idp/saml/slo");
    url.set_query(Some(&signed_query(Carries::Response, xml.as_str(), None, RSA_SHA256, sign).unwrap()));
    url
}

#[actix_web::test]
async fn signing_out_here_takes_the_browser_to_every_service_provider_and_back() {
    let idp = with_four();
    let mut browser = Browser::new();
    let lin = told(&idp, &mut browser, BY_REDIRECT, "lin").await;
    told(&idp, &mut browser, BY_POST, "lin").await;
    told(&idp, &mut browser, DEAF, "lin").await;
    let home = browser.get(idp.at("/idp").as_str()).await;
    let page = browser.submit(&home.form_to("/idp/sign-out")).await;
    // Not by a redirect, which would be under the policy of the page with the button.
    assert_eq!(page.status, 200);
    assert!(page.body.contains("http-equiv=\"refresh\""), "{}", page.body);
    assert!(!still_signed_in(&idp, &mut browser, SP).await, "signed out before anybody is told");

    let (to, request, relay_state) = by_redirect(&idp, Carries::Request, &page.link("https:")).await;
    assert_eq!((to.as_str().split('?').next(), relay_state), (Some("https://redirect.example.test/saml/slo"), None));
    assert!(request.contains(&format!("<samlp:SessionIndex>{}</samlp:SessionIndex>", lin.index)), "{request}");
    let parsed = roxmltree::Document::parse(&request).unwrap();
    let name_id = parsed.descendants().find(|node| node.tag_name().name() == "NameID").unwrap();
    for attribute in ["Format", "NameQualifier", "SPNameQualifier"] {
        let value = name_id.attribute(attribute).unwrap();
        assert!(lin.name_id.contains(&format!(" {attribute}=\"{value}\"")), "{attribute}");
    }
    assert!(request.contains("NotOnOrAfter=") && request.contains(">lin</saml:NameID>"), "{request}");

    // Nobody else can answer in its place.
    let page = browser.get(answered(&idp, BY_POST, &request, "Success").as_str()).await;
    assert!(page.status == 400 && page.body.contains("no request of ours"), "{}", page.body);
    let answer = answered(&idp, BY_REDIRECT, &request, "Success");
    let page = browser.get(answer.as_str()).await;
    let form = page.form_with("SAMLRequest");
    assert_eq!(form.action.as_str(), "https://post.example.test/saml/slo");
    let second = String::from_utf8(STANDARD.decode(form.value("SAMLRequest").unwrap()).unwrap()).unwrap();
    assert_eq!(browser.get(answer.as_str()).await.status, 400, "an answer counts once");

    let page = browser.get(answered(&idp, BY_POST, &second, "Responder").as_str()).await;
    let (told, untold) = page.body.split_once("Could not be told").unwrap();
    assert!(told.contains(BY_REDIRECT) && !told.contains(BY_POST), "{}", page.body);
    assert!(untold.contains(BY_POST) && untold.contains(DEAF), "{}", page.body);
}

#[actix_web::test]
async fn whoever_asks_for_a_sign_out_hears_whether_everybody_could_be_told() {
    let idp = with_four();
    let mut browser = Browser::new();
    for (other, status, says) in [
        (BY_REDIRECT, "Success", "status:Success\"></samlp:StatusCode>"),
        (
            BY_REDIRECT,
            "Responder",
            "status:Success\"><samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:PartialLogout",
        ),
    ] {
        let lin = told(&idp, &mut browser, SP, "lin").await;
        told(&idp, &mut browser, other, "lin").await;
        let mut url = idp.at("/idp/saml/slo");
        url.set_query(Some(&Leave::of(&idp, &lin).query(Some(&TRUSTED))));
        let first = idp.client.get(url).send().await.unwrap();
        let (to, request, _) = by_redirect(&idp, Carries::Request, &location(&first)).await;
        assert_eq!(to.host_str(), Some("redirect.example.test"), "whoever asked is not asked back");
        let last = idp.client.get(answered(&idp, other, &request, status)).send().await.unwrap();
        let (to, xml, relay_state) = by_redirect(&idp, Carries::Response, &location(&last)).await;
        assert_eq!((to.host_str(), relay_state.as_deref()), (Some("broker.example.test"), Some("r & s")));
        assert!(xml.contains(says) && xml.contains("InResponseTo=\"_bye\""), "{xml}");
    }
}

#[actix_web::test]
async fn the_way_to_sign_in_is_the_one_that_is_asked_for_or_nothing() {
    const MFA: &str = "https://refeds.org/profile/mfa";
    const PASSWORD: &str = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport";
    let idp = Running::start();
    let mut browser = Browser::new();
    let url = |further: &str, comparison: &str, classes: &[&str]| {
        let classes: String = classes
            .iter()
            .map(|class| format!("<saml:AuthnContextClassRef>{class}</saml:AuthnContextClassRef>"))
            .collect();
        let ask = Ask::default().xml().replace(" Version=", &format!("{further} Version=")).replace(
            "</samlp:AuthnRequest>",
            &format!(
                "<samlp:RequestedAuthnContext{comparison}>{classes}</samlp:RequestedAuthnContext></samlp:AuthnRequest>"
            ),
        );
        let mut url = idp.at("/idp/saml/sso");
        url.set_query(Some(&query(Carries::Request, &ask, None)));
        String::from(url)
    };
    let class = |xml: &str| xml.split("AuthnContextClassRef>").nth(1).unwrap().trim_end_matches("</saml:").to_owned();
    let page = browser.get(&Ask::default().url(&idp)).await;
    assert_eq!(page.form_with("pending").value("strength"), Some("password"));
    assert_eq!(class(&answer(&choose(&mut browser, &page, "lin").await)), PASSWORD);

    assert!(answer(&browser.get(&url("", "", &[PASSWORD])).await).contains("status:Success"));
    assert!(answer(&browser.get(&url(" IsPassive=\"true\"", "", &[MFA])).await).contains("status:NoPassive"));
    let page = browser.get(&url("", "", &[MFA])).await;
    assert_eq!(page.form_with("pending").value("strength"), Some("security-key"));
    assert!(page.body.contains("another way to sign in"), "{}", page.body);
    let xml = answer(&choose(&mut browser, &page, "lin").await);
    assert_eq!(class(&xml), MFA);
    verify(&xml, &idp.client.get(idp.at("/idp/saml/metadata")).send().await.unwrap().text().await.unwrap());
    for (comparison, classes) in [
        ("", [MFA].as_slice()),
        (" Comparison=\"exact\"", &[PASSWORD, MFA]),
        (" Comparison=\"minimum\"", &[PASSWORD]),
        (" Comparison=\"better\"", &[PASSWORD]),
    ] {
        assert!(answer(&browser.get(&url("", comparison, classes)).await).contains("status:Success"), "{comparison}");
    }
    assert!(browser.get(&url("", " Comparison=\"maximum\"", &[PASSWORD])).await.has_form_with("pending"));
    // Nobody can do that here, and nobody is asked to try.
    let xml = answer(&browser.get(&url("", "", &["urn:oasis:names:tc:SAML:2.0:ac:classes:Smartcard"])).await);
    assert!(xml.contains("status:NoAuthnContext"), "{xml}");
    assert_eq!(browser.get(&url("", " Comparison=\"about\"", &[MFA])).await.status, 400);

    let page = browser.get(&url(" ForceAuthn=\"true\"", "", &[MFA])).await;
    let weak = page.form_with("pending").set("person", "lin").set("strength", "password");
    assert!(answer(&browser.submit(&weak).await).contains("status:NoAuthnContext"));
}

#[actix_web::test]
async fn two_sandboxes_on_one_host_do_not_share_a_cookie() {
    let (one, other) = (Running::start(), Running::start());
    let mut browser = Browser::new();
    let page = browser.get(&Ask::default().url(&one)).await;
    choose(&mut browser, &page, "lin").await;
    assert!(browser.get(&Ask::default().url(&other)).await.has_form_with("pending"));
}

#[actix_web::test]
async fn a_service_provider_that_signs_its_requests_is_not_impersonated() {
    let signs =
        sp_metadata().replace("<md:SPSSODescriptor", "<md:SPSSODescriptor AuthnRequestsSigned=\"true\"").replace(
            "<md:SingleLogoutService",
            &format!(
                "<md:KeyDescriptor use=\"signing\"><ds:KeyInfo xmlns:ds=\"{}\"><ds:X509Data><ds:X509Certificate>{}\
             </ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor><md:SingleLogoutService",
                DS.uri,
                TRUSTED.certificate_base64()
            ),
        );
    let idp = Running::start_with(|config| config.service_providers = vec![MetadataSource::Inline(signs)]);
    let ask = async |key: Option<&SigningKey>| {
        let xml = Ask::default().xml();
        let mut url = idp.at("/idp/saml/sso");
        url.set_query(Some(&match key {
            Some(key) => signed_query(Carries::Request, &xml, None, RSA_SHA256, |bytes| key.sign(bytes)).unwrap(),
            None => query(Carries::Request, &xml, None),
        }));
        Browser::new().get(url.as_str()).await
    };
    assert_eq!(ask(Some(&TRUSTED)).await.status, 200);
    for key in [None, Some(&*STRANGE)] {
        let page = ask(key).await;
        assert_eq!(page.status, 400);
        assert!(page.body.contains("not signed as"), "{}", page.body);
    }
}

#[actix_web::test]
async fn anybody_on_this_machine_is_answered_where_that_was_asked_for() {
    let idp = Running::start_with(|config| config.any_loopback_service_provider = true);
    let ask = async |issuer, acs_url| Browser::new().get(&Ask { issuer, acs_url, ..Ask::default() }.url(&idp)).await;
    assert_eq!(ask("urn:new", Some("http://localhost:3000/acs")).await.status, 200);
    assert_eq!(ask("urn:new", Some("https://evil.example/acs")).await.status, 400);
    assert_eq!(ask("urn:new", None).await.status, 400);
    // Whoever is registered stays with what is registered.
    assert_eq!(ask(SP, Some("http://localhost:3000/acs")).await.status, 400);
}
