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

#[actix_web::test]
async fn logging_out_forgets_the_person_and_is_confirmed_with_a_signature() {
    let idp = Running::start();
    let mut browser = Browser::new();
    let page = browser.get(&Ask::default().url(&idp)).await;
    choose(&mut browser, &page, "lin").await;
    let xml = format!(
        "<samlp:LogoutRequest xmlns:samlp=\"{}\" xmlns:saml=\"{}\" ID=\"_bye\" Version=\"2.0\" IssueInstant=\"{}\">\
         <saml:Issuer>{SP}</saml:Issuer><saml:NameID>lin</saml:NameID></samlp:LogoutRequest>",
        SAMLP.uri,
        SAML.uri,
        date_time(start())
    );
    let mut url = idp.at("/idp/saml/slo");
    url.set_query(Some(&query(Carries::Request, &xml, Some("r"))));
    let response = idp.client.get(url).send().await.unwrap();
    let location: Url = response.headers()["location"].to_str().unwrap().parse().unwrap();
    assert_eq!(location.path(), "/saml/dev/slo");
    let received = receive(Carries::Response, location.query().unwrap(), 10_000).unwrap();
    assert!(received.signed && String::from_utf8(received.xml).unwrap().contains("InResponseTo=\"_bye\""));
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("Max-Age=0"), "{cookie}");
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
