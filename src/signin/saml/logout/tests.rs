use std::sync::LazyLock;

use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use openssl::hash::MessageDigest;
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::Padding;

use super::*;
use crate::catalog::ClockSkew;
use crate::saml::certificate::SigningCertificate;
use crate::saml::gate::Sha1;
use crate::saml::key::{KeySize, SigningKey};
use crate::saml::metadata::{Endpoint, IdpMetadata};
use crate::saml::write::RSA_SHA256;
use crate::sys::SeededRng;

const IDP: &str = "https://idp.example";
const SP: &str = "https://broker.example/saml/okta/metadata";
const ACS: &str = "https://broker.example/saml/okta/acs";
const SLO: &str = "https://broker.example/saml/okta/slo";
const PERSISTENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
const RSA_SHA1: &str = "http://www.w3.org/2000/09/xmldsig#rsa-sha1";

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn key(seed: u64) -> SigningKey {
    SigningKey::generate(KeySize::Rsa2048, "test", now(), &SeededRng::new(seed)).unwrap()
}

static THEIRS: LazyLock<SigningKey> = LazyLock::new(|| key(1));
static OURS: LazyLock<SigningKey> = LazyLock::new(|| key(2));
static STRANGER: LazyLock<SigningKey> = LazyLock::new(|| key(3));

fn certificate(key: &SigningKey) -> SigningCertificate {
    SigningCertificate::from_der(key.certificate_der()).unwrap()
}

fn place(binding: Binding, location: &str) -> Endpoint {
    Endpoint { binding: binding.uri().to_owned(), location: location.parse().unwrap(), response_location: None }
}

fn settings() -> Settings {
    let idp = IdpMetadata {
        entity_id: IDP.to_owned(),
        certificates: vec![certificate(&STRANGER_TWIN), certificate(&THEIRS)],
        sso_redirect: "https://idp.example/sso".parse().unwrap(),
        slo: vec![
            place(Binding::Redirect, "https://idp.example/slo?tenant=7"),
            place(Binding::Post, "https://idp.example/slo/post"),
        ],
        want_authn_requests_signed: false,
        name_id_formats: Vec::new(),
        valid_until: None,
        cache_duration: None,
        warnings: Vec::new(),
    };
    Settings::new("okta".parse().unwrap(), SP.to_owned(), ACS.parse().unwrap(), idp)
}

/// The provider's next key: every message is tried with more than one.
static STRANGER_TWIN: LazyLock<SigningKey> = LazyLock::new(|| key(4));

/// A message of the provider, right unless a test changes a part.
struct Parts {
    name: &'static str,
    version: Option<&'static str>,
    issued: String,
    ends: Option<&'static str>,
    destination: Option<&'static str>,
    in_response_to: Option<&'static str>,
    issuer: Option<&'static str>,
    inside: Vec<Element>,
}

fn name_id(value: &str) -> Element {
    Element::new(SAML, "NameID")
        .attr("Format", PERSISTENT)
        .attr("NameQualifier", IDP)
        .attr("SPNameQualifier", SP)
        .text(value)
}

fn session_index(index: &str) -> Element {
    Element::new(SAMLP, "SessionIndex").text(index)
}

fn status(code: &str, subcode: Option<&str>) -> Element {
    let code_element = |value: &str| Element::new(SAMLP, "StatusCode").attr("Value", value);
    let code = code_element(code).children(subcode.map(code_element));
    Element::new(SAMLP, "Status").child(code).child(Element::new(SAMLP, "StatusMessage").text("because"))
}

fn request_parts() -> Parts {
    Parts {
        name: "LogoutRequest",
        version: Some("2.0"),
        issued: date_time(now()),
        ends: Some("2026-11-21T12:05:00Z"),
        destination: Some(SLO),
        in_response_to: None,
        issuer: Some(IDP),
        inside: vec![name_id("asha"), session_index("s1")],
    }
}

fn response_parts() -> Parts {
    Parts {
        name: "LogoutResponse",
        ends: None,
        in_response_to: Some("_ours"),
        inside: vec![status(SUCCESS, None)],
        ..request_parts()
    }
}

impl Parts {
    fn element(&self) -> Element {
        Element::new(SAMLP, self.name)
            .attr("ID", "_theirs")
            .attr("IssueInstant", self.issued.as_str())
            .attr_some("Version", self.version)
            .attr_some("NotOnOrAfter", self.ends)
            .attr_some("Destination", self.destination)
            .attr_some("InResponseTo", self.in_response_to)
            .children(self.issuer.map(|issuer| Element::new(SAML, "Issuer").text(issuer)))
            .children(self.inside.clone())
    }

    fn carries(&self) -> Carries {
        if self.name == "LogoutRequest" { Carries::Request } else { Carries::Response }
    }

    fn by_redirect(&self) -> Evidence {
        redirect_of(self.carries(), self.element().write().unwrap().as_str(), &*THEIRS)
    }

    fn by_post(&self) -> Evidence {
        post_of(self.element().write_signed(&*THEIRS).unwrap().as_str())
    }
}

/// A right request, but for one change.
fn asking(change: impl FnOnce(&mut Parts)) -> Parts {
    let mut parts = request_parts();
    change(&mut parts);
    parts
}

fn answering(change: impl FnOnce(&mut Parts)) -> Parts {
    let mut parts = response_parts();
    change(&mut parts);
    parts
}

fn redirect_of(carries: Carries, xml: &str, signer: &dyn Signer) -> Evidence {
    let sign = |octets: &[u8]| signer.sign(octets);
    Evidence::Redirect(redirect::signed_query(carries, xml, Some("theirs"), signer.algorithm(), sign).unwrap())
}

fn query_of(evidence: Evidence) -> String {
    match evidence {
        Evidence::Redirect(query) => query,
        Evidence::Post { .. } => unreachable!("it was made by redirect"),
    }
}

fn post_of(xml: &str) -> Evidence {
    Evidence::Post { message: STANDARD.encode(xml), relay_state: Some("theirs".to_owned()) }
}

#[derive(Debug)]
struct ByAnotherAlgorithm {
    uri: &'static str,
    digest: fn() -> MessageDigest,
}

impl Signer for ByAnotherAlgorithm {
    fn algorithm(&self) -> &'static str {
        self.uri
    }

    fn key_id(&self) -> &str {
        THEIRS.id()
    }

    fn certificate_base64(&self) -> &str {
        THEIRS.certificate_base64()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mut signer = openssl::sign::Signer::new((self.digest)(), THEIRS.private_key()).unwrap();
        Ok(signer.sign_oneshot_to_vec(message).unwrap())
    }
}

const SHA1: ByAnotherAlgorithm = ByAnotherAlgorithm { uri: RSA_SHA1, digest: MessageDigest::sha1 };
const MD5: ByAnotherAlgorithm =
    ByAnotherAlgorithm { uri: "http://www.w3.org/2001/04/xmldsig-more#rsa-md5", digest: MessageDigest::md5 };
/// Says SHA-256 and uses SHA-1.
const LYING: ByAnotherAlgorithm = ByAnotherAlgorithm { uri: RSA_SHA256, digest: MessageDigest::sha1 };

fn code(evidence: &Evidence) -> &'static str {
    judge_request(evidence, &settings(), now()).map(|_| "believed").unwrap_or_else(|e| e.code())
}

fn answer_code(evidence: &Evidence) -> &'static str {
    judge_response(evidence, "_ours", &settings(), now()).map(|_| "believed").unwrap_or_else(|e| e.code())
}

/// `saml:EncryptedID` around `plain`, for that key: AES-256-GCM and RSA-OAEP.
fn encrypted_id(plain: &str, recipient: &SigningKey) -> String {
    let (session_key, nonce) = ([7_u8; 32], [9_u8; 12]);
    let mut context = CipherCtx::new().unwrap();
    context.encrypt_init(Some(Cipher::aes_256_gcm()), Some(&session_key), Some(&nonce)).unwrap();
    let mut sealed = nonce.to_vec();
    let mut out = Vec::new();
    context.cipher_update_vec(plain.as_bytes(), &mut out).unwrap();
    context.cipher_final_vec(&mut out).unwrap();
    sealed.extend(out);
    let mut tag = [0; 16];
    context.tag(&mut tag).unwrap();
    sealed.extend(tag);
    let mut transport = PkeyCtx::new(recipient.private_key()).unwrap();
    transport.encrypt_init().unwrap();
    transport.set_rsa_padding(Padding::PKCS1_OAEP).unwrap();
    let mut wrapped = Vec::new();
    transport.encrypt_to_vec(&session_key, &mut wrapped).unwrap();
    format!(
        "<saml:EncryptedID xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" \
         xmlns:xenc=\"http://www.w3.org/2001/04/xmlenc#\" xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">\
         <xenc:EncryptedData Type=\"http://www.w3.org/2001/04/xmlenc#Element\">\
         <xenc:EncryptionMethod Algorithm=\"http://www.w3.org/2009/xmlenc11#aes256-gcm\"/>\
         <ds:KeyInfo><ds:RetrievalMethod Type=\"http://www.w3.org/2001/04/xmlenc#EncryptedKey\" URI=\"#_k\"/></ds:KeyInfo>\
         <xenc:CipherData><xenc:CipherValue>{}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>\
         <xenc:EncryptedKey Id=\"_k\">\
         <xenc:EncryptionMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p\"/>\
         <xenc:CipherData><xenc:CipherValue>{}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey>\
         </saml:EncryptedID>",
        STANDARD.encode(sealed),
        STANDARD.encode(wrapped)
    )
}

/// The request with something else in place of its name, signed as a query.
fn with_name(name: &str) -> Evidence {
    let xml = request_parts().element().write().unwrap().into_string();
    let (from, to) = (xml.find("<saml:NameID").unwrap(), xml.find("</saml:NameID>").unwrap() + "</saml:NameID>".len());
    redirect_of(Carries::Request, &format!("{}{name}{}", &xml[..from], &xml[to..]), &*THEIRS)
}

fn qualifiers() -> NameIdQualifiers {
    NameIdQualifiers {
        format: Some(PERSISTENT.to_owned()),
        name_qualifier: Some(IDP.to_owned()),
        sp_name_qualifier: Some(SP.to_owned()),
    }
}

/// What a provider reads out of one of our messages, after it has checked the signature.
fn received(carries: Carries, outgoing: &Outgoing) -> (String, String) {
    let ours = [certificate(&OURS)];
    match outgoing {
        Outgoing::Link(url) => {
            let query = url.query().unwrap();
            redirect::verify(carries, query, &ours, Sha1::Refused).unwrap();
            let received = redirect::receive(carries, query, LARGEST).unwrap();
            (String::from_utf8(received.xml).unwrap(), received.relay_state.unwrap_or_default())
        }
        Outgoing::Form { fields, .. } => {
            let [(field, message), ("RelayState", relay_state)] = fields.as_slice() else { panic!("{fields:?}") };
            assert_eq!(*field, carries.parameter());
            let xml = STANDARD.decode(message).unwrap();
            let kind = if carries == Carries::Request { Root::LogoutRequest } else { Root::LogoutResponse };
            let gated = gate::admit(&xml, kind, &Limits::MESSAGE, Sha1::Refused).unwrap();
            let verified = signature::verify(&gated, &ours, Sha1::Refused).unwrap();
            (verified.text().to_owned(), relay_state.clone())
        }
    }
}

#[test]
fn our_request_repeats_the_name_as_it_was_signed_by_either_binding() {
    let qualifiers = qualifiers();
    let subject = Subject { name_id: "asha & co", qualifiers: &qualifiers, session_index: Some("s1") };
    for only in [None, Some(Binding::Post)] {
        let mut settings = settings();
        settings.idp.slo.retain(|place| only.is_none_or(|only| place.binding == only.uri()));
        let sent = request(&settings, &subject, "handle", &*OURS, &SeededRng::new(1), now()).unwrap().unwrap();
        let place = match &sent.outgoing {
            Outgoing::Link(url) => {
                assert!(only.is_none(), "a redirect is preferred");
                assert!(url.as_str().starts_with("https://idp.example/slo?tenant=7&SAMLRequest="), "{url}");
                "https://idp.example/slo?tenant=7"
            }
            Outgoing::Form { action, .. } => {
                assert_eq!(action.as_str(), "https://idp.example/slo/post");
                action.as_str()
            }
        };
        let (xml, relay_state) = received(Carries::Request, &sent.outgoing);
        assert_eq!(relay_state, "handle");
        let gated = gate::admit(xml.as_bytes(), Root::LogoutRequest, &Limits::MESSAGE, Sha1::Refused).unwrap();
        let read = LogoutRequest::read(gated.root()).unwrap();
        assert_eq!((read.id, read.version, read.issuer), (sent.request_id.as_str(), Some("2.0"), Some(SP)));
        assert_eq!((read.issue_instant, read.destination), (now(), Some(place)));
        assert_eq!(read.not_on_or_after, Some(now() + VALIDITY));
        assert_eq!(read.session_indexes, ["s1"]);
        let name = NameId {
            value: "asha & co",
            format: Some(PERSISTENT),
            name_qualifier: Some(IDP),
            sp_name_qualifier: Some(SP),
        };
        assert_eq!(read.name, Some(LogoutName::Plain(name)));
    }
}

#[test]
fn what_was_not_signed_about_a_name_is_not_sent() {
    let none = NameIdQualifiers::default();
    let subject = Subject { name_id: "asha", qualifiers: &none, session_index: None };
    let sent = request(&settings(), &subject, "handle", &*OURS, &SeededRng::new(1), now()).unwrap().unwrap();
    let (xml, _) = received(Carries::Request, &sent.outgoing);
    let name = xml.split_once("<saml:NameID ").unwrap().1;
    assert_eq!(name, format!("xmlns:saml=\"{}\">asha</saml:NameID></samlp:LogoutRequest>", SAML.uri));
}

#[test]
fn a_provider_without_logout_is_not_asked_and_a_long_handle_is_not_sent() {
    let none = NameIdQualifiers::default();
    let subject = Subject { name_id: "asha", qualifiers: &none, session_index: None };
    let mut settings = settings();
    let ask =
        |settings: &Settings, handle: &str| request(settings, &subject, handle, &*OURS, &SeededRng::new(1), now());
    assert!(ask(&settings, &"x".repeat(80)).is_ok());
    assert!(matches!(ask(&settings, &"x".repeat(81)), Err(MessageError::RelayState(81))));
    settings.idp.slo.clear();
    assert!(ask(&settings, "handle").unwrap().is_none());
}

#[test]
fn a_request_of_the_provider_is_believed_by_either_binding() {
    for (evidence, binding) in
        [(request_parts().by_redirect(), Binding::Redirect), (request_parts().by_post(), Binding::Post)]
    {
        let asked = judge_request(&evidence, &settings(), now()).unwrap();
        assert_eq!((asked.id.as_str(), asked.issuer.as_str(), asked.name_id.as_str()), ("_theirs", IDP, "asha"));
        assert_eq!(
            (&asked.qualifiers, asked.session_indexes.as_slice()),
            (&qualifiers(), ["s1".to_owned()].as_slice())
        );
        assert_eq!((asked.binding, asked.relay_state.as_deref()), (binding, Some("theirs")));
        // Ten minutes to arrive, three for the clocks, one more.
        assert_eq!(asked.replay_until, now() + SignedDuration::from_mins(14));
    }
}

#[test]
fn a_provider_that_encodes_in_lower_case_signs_those_octets() {
    let query = query_of(request_parts().by_redirect());
    let head = &query[..query.find("&Signature").unwrap()];
    let lower: String = head
        .split('%')
        .enumerate()
        .map(|(at, part)| match at {
            0 => part.to_owned(),
            _ => format!("%{}{}", part[..2].to_ascii_lowercase(), &part[2..]),
        })
        .collect();
    assert_ne!(head, lower);
    let signature = STANDARD.encode(THEIRS.sign(lower.as_bytes()).unwrap());
    let signature = signature.replace('+', "%2b").replace('/', "%2f").replace('=', "%3d");
    let evidence = |query: &str| Evidence::Redirect(query.to_owned());
    assert_eq!(code(&evidence(&format!("{lower}&Signature={signature}"))), "believed");
    assert_eq!(code(&evidence(&format!("{head}&Signature={signature}"))), "signature-invalid");
}

#[test]
fn a_redirect_may_be_signed_inside_and_not_deflated() {
    let xml = request_parts().element().write_signed(&*THEIRS).unwrap().into_string();
    let deflated = redirect::query(Carries::Request, &xml, Some("theirs"));
    assert_eq!(code(&Evidence::Redirect(deflated)), "believed");
    let plain = STANDARD.encode(&xml).replace('+', "%2B").replace('=', "%3D");
    assert_eq!(code(&Evidence::Redirect(format!("SAMLRequest={plain}"))), "believed");
    let forged = STANDARD.encode(xml.replace(">asha<", ">lin<")).replace('+', "%2B").replace('=', "%3D");
    assert_eq!(code(&Evidence::Redirect(format!("SAMLRequest={forged}"))), "signature-invalid");
}

#[test]
fn every_hostile_request_is_refused_for_its_true_cause() {
    let xml = request_parts().element().write().unwrap().into_string();
    let signed = request_parts().element().write_signed(&*THEIRS).unwrap().into_string();
    let query = query_of(request_parts().by_redirect());
    let redirected = |change: fn(&mut Parts)| asking(change).by_redirect();
    let requery = |query: String| Evidence::Redirect(query);
    let by = |signer: &dyn Signer| redirect_of(Carries::Request, &xml, signer);
    let post_by = |signer: &dyn Signer| post_of(request_parts().element().write_signed(signer).unwrap().as_str());
    let of = |xml: &str| redirect_of(Carries::Request, xml, &*THEIRS);
    // A request of the attacker's around a signed one.
    let wrapped = {
        let evil = asking(|parts| parts.inside = vec![name_id("lin")]).element().attr("ID", "_evil").write().unwrap();
        let evil = evil.into_string();
        let at = evil.find("<saml:NameID").unwrap();
        format!("{}<samlp:Extensions>{signed}</samlp:Extensions>{}", &evil[..at], &evil[at..])
    };
    // The signature of a signed request, moved into another.
    let moved = {
        let (from, to) = (signed.find("<ds:Signature").unwrap(), signed.find("</ds:Signature>").unwrap() + 15);
        let evil = asking(|parts| parts.inside = vec![name_id("lin")]).element().attr("ID", "_evil").write().unwrap();
        let evil = evil.into_string();
        let at = evil.find("</saml:Issuer>").unwrap() + 14;
        format!("{}{}{}", &evil[..at], &signed[from..to], &evil[at..])
    };
    let twice = {
        let (from, to) = (signed.find("<ds:Signature").unwrap(), signed.find("</ds:Signature>").unwrap() + 15);
        format!("{}{}{}", &signed[..to], &signed[from..to], &signed[to..])
    };
    let in_name = |name: &str| of(&xml.replace(">asha<", &format!(">{name}<")));
    let cases: Vec<(&str, Evidence, &str)> = vec![
        ("unsigned query", requery(redirect::query(Carries::Request, &xml, None)), "signature-missing"),
        ("unsigned form", post_of(&xml), "signature-missing"),
        ("a stranger's key, query", by(&*STRANGER), "signature-invalid"),
        ("a stranger's key, form", post_by(&*STRANGER), "signature-invalid"),
        ("our own key", by(&*OURS), "signature-invalid"),
        ("SHA-1, query", by(&SHA1), "sha1-refused"),
        ("SHA-1, form", post_by(&SHA1), "sha1-refused"),
        ("MD5", by(&MD5), "algorithm-refused"),
        ("another algorithm than it says", by(&LYING), "signature-invalid"),
        ("no SigAlg", requery(query.replace("&SigAlg=", "&Sigalg=")), "parameter-missing"),
        (
            "an empty signature",
            requery(format!("{}&Signature=", &query[..query.find("&Signature").unwrap()])),
            "signature-invalid",
        ),
        ("another RelayState", requery(query.replace("RelayState=theirs", "RelayState=mine")), "signature-invalid"),
        ("RelayState taken away", requery(query.replace("&RelayState=theirs", "")), "signature-invalid"),
        ("a second RelayState", requery(format!("{query}&RelayState=mine")), "parameter-repeated"),
        ("a second message", requery(format!("SAMLRequest=AAAA&{query}")), "parameter-repeated"),
        ("a second signature", requery(format!("{query}&Signature=AAAA")), "parameter-repeated"),
        ("a second SigAlg", requery(format!("{query}&SigAlg=x")), "parameter-repeated"),
        (
            "a response in the request's place",
            requery(query.replace("SAMLRequest=", "SAMLResponse=")),
            "parameter-missing",
        ),
        (
            "a signed response",
            post_of(response_parts().element().write_signed(&*THEIRS).unwrap().as_str()),
            "root-unexpected",
        ),
        ("not base64, query", requery("SAMLRequest=!&Signature=AAAA".to_owned()), "base64-malformed"),
        ("not base64, form", Evidence::Post { message: "!".to_owned(), relay_state: None }, "base64-malformed"),
        ("not deflated", requery("SAMLRequest=AAAA&Signature=AAAA".to_owned()), "deflate-malformed"),
        ("a bomb", of(&"a".repeat(5_000_000)), "too-large"),
        ("a large form", post_of(&"a".repeat(200_000)), "too-large"),
        ("a DOCTYPE, query", of(&format!("<!DOCTYPE x [<!ENTITY e \"asha\">]>{xml}")), "doctype-refused"),
        ("a DOCTYPE, form", post_of(&format!("<!DOCTYPE x>{signed}")), "doctype-refused"),
        ("altered after signing", post_of(&signed.replace(">asha<", ">lin<")), "signature-invalid"),
        ("wrapped in another", post_of(&wrapped), "element-misplaced"),
        ("with another's signature", post_of(&moved), "reference-refused"),
        ("signed twice", post_of(&twice), "element-misplaced"),
        ("a comment in the name", in_name("as<!-- x -->ha"), "comment-refused"),
        ("an element in the name", in_name("as<saml:b>ha</saml:b>"), "element-not-text"),
        ("two names", redirected(|parts| parts.inside.push(name_id("lin"))), "element-repeated"),
        ("no name", redirected(|parts| parts.inside.clear()), "name-id-missing"),
        ("an empty name", redirected(|parts| parts.inside = vec![name_id(" ")]), "name-id-missing"),
        (
            "another kind of name",
            redirected(|parts| parts.inside = vec![Element::new(SAML, "BaseID")]),
            "name-id-missing",
        ),
        (
            "a plain and an encrypted name",
            redirected(|parts| parts.inside.push(Element::new(SAML, "EncryptedID"))),
            "element-repeated",
        ),
        ("an encrypted name without a key for it", with_name(&encrypted_id("<a/>", &OURS)), "decryption-key-missing"),
        ("another destination", redirected(|parts| parts.destination = Some(ACS)), "destination-wrong"),
        (
            "another destination, form",
            asking(|parts| parts.destination = Some("https://other.example/slo")).by_post(),
            "destination-wrong",
        ),
        ("no destination", redirected(|parts| parts.destination = None), "destination-missing"),
        ("another issuer", redirected(|parts| parts.issuer = Some("https://idp.example/")), "issuer-wrong"),
        ("no issuer", redirected(|parts| parts.issuer = None), "issuer-missing"),
        ("SAML 1.1", redirected(|parts| parts.version = Some("1.1")), "version-wrong"),
        ("no version", redirected(|parts| parts.version = None), "version-wrong"),
        ("expired", redirected(|parts| parts.ends = Some("2026-11-21T11:57:00Z")), "expired"),
        ("issued long ago", redirected(|parts| parts.issued = "2026-11-21T11:47:00Z".to_owned()), "issued-long-ago"),
        (
            "issued in the future",
            redirected(|parts| parts.issued = "2026-11-21T12:03:01Z".to_owned()),
            "issued-in-future",
        ),
        ("issued at no time", redirected(|parts| parts.issued = "now".to_owned()), "instant-malformed"),
        ("no XML", of("logout"), "xml-malformed"),
        ("nothing", requery(String::new()), "parameter-missing"),
    ];
    let mut failures = Vec::new();
    for (name, evidence, expected) in &cases {
        let found = code(evidence);
        if found != *expected {
            failures.push(format!("{name}: {found} instead of {expected}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // What is refused above is refused for that reason: without its fault it would be believed.
    for (name, evidence) in [("query", requery(query)), ("form", post_of(&signed)), ("rewritten", of(&xml))] {
        assert_eq!(code(&evidence), "believed", "{name}");
    }
}

#[test]
fn a_query_holds_one_message() {
    assert_eq!(Carries::of("SAMLRequest=a").unwrap(), Carries::Request);
    assert_eq!(Carries::of("RelayState=x&SAMLResponse=a").unwrap(), Carries::Response);
    for (query, code) in [
        ("SAMLRequest=a&SAMLResponse=b", "parameter-repeated"),
        ("SAMLRequest=a&SAMLRequest=b", "parameter-repeated"),
        ("samlrequest=a", "parameter-missing"),
    ] {
        assert_eq!(Carries::of(query).unwrap_err().code(), code, "{query}");
    }
}

#[test]
fn instants_count_to_the_second_with_the_allowance_of_the_connector() {
    let judge = |change: fn(&mut Parts), skew: u32| {
        let mut settings = settings();
        settings.clock_skew = ClockSkew::from_secs(skew).unwrap();
        judge_request(&asking(change).by_redirect(), &settings, now()).is_ok()
    };
    assert!(judge(|parts| parts.ends = Some("2026-11-21T11:57:01Z"), 180));
    assert!(judge(|parts| parts.ends = None, 180), "it may leave the end out");
    assert!(judge(|parts| parts.issued = "2026-11-21T11:47:01Z".to_owned(), 180));
    assert!(judge(|parts| parts.issued = "2026-11-21T12:03:00Z".to_owned(), 180));
    assert!(!judge(|parts| parts.issued = "2026-11-21T12:00:01Z".to_owned(), 0));
    assert!(!judge(|parts| parts.ends = Some("2026-11-21T12:00:00Z"), 0));
}

#[test]
fn sha1_is_believed_where_the_connector_says_so() {
    let mut settings = settings();
    settings.sha1 = Sha1::Allowed;
    let xml = request_parts().element().write().unwrap();
    for (signer, believed) in [(&SHA1, true), (&MD5, false)] {
        let judged = judge_request(&redirect_of(Carries::Request, xml.as_str(), signer), &settings, now());
        assert_eq!(judged.is_ok(), believed);
    }
}

#[test]
fn nothing_is_believed_without_certificates_or_after_the_metadata_expired() {
    let with = |change: fn(&mut Settings), evidence: &Evidence| {
        let mut settings = settings();
        change(&mut settings);
        judge_request(evidence, &settings, now()).unwrap_err().code()
    };
    let none = |settings: &mut Settings| settings.idp.certificates.clear();
    assert_eq!(with(none, &request_parts().by_redirect()), "no-trusted-certificate");
    assert_eq!(with(none, &request_parts().by_post()), "no-trusted-certificate");
    assert_eq!(with(|settings| settings.idp.valid_until = Some(now()), &request_parts().by_post()), "metadata-expired");
}

#[test]
fn a_key_nobody_knows_is_worth_a_look_at_the_metadata_and_nothing_else_is() {
    let worth = |evidence: Evidence| judge_request(&evidence, &settings(), now()).unwrap_err().may_be_a_new_key();
    let xml = request_parts().element().write().unwrap();
    assert!(worth(redirect_of(Carries::Request, xml.as_str(), &*STRANGER)));
    assert!(worth(post_of(request_parts().element().write_signed(&*STRANGER).unwrap().as_str())));
    assert!(!worth(post_of(xml.as_str())));
    assert!(!worth(redirect_of(Carries::Request, xml.as_str(), &SHA1)));
    assert!(!worth(asking(|parts| parts.destination = None).by_post()));
}

#[test]
fn an_encrypted_name_is_read_with_our_key_only() {
    let name = "<saml:NameID xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" Format=\"urn:f\">asha</saml:NameID>";
    let judge = |evidence: &Evidence, keys: &[&SigningKey]| {
        let mut settings = settings();
        settings.decryption_keys = keys.iter().map(|key| key.private_key().to_owned()).collect();
        judge_request(evidence, &settings, now())
    };
    for name in [name, "<saml:NameID Format=\"urn:f\">asha</saml:NameID>"] {
        let asked = judge(&with_name(&encrypted_id(name, &OURS)), &[&OURS]).unwrap();
        assert_eq!((asked.name_id.as_str(), asked.qualifiers.format.as_deref()), ("asha", Some("urn:f")));
    }
    let code = |evidence: &Evidence| judge(evidence, &[&OURS]).unwrap_err().code();
    assert_eq!(code(&with_name(&encrypted_id(name, &STRANGER))), "decryption-failed");
    assert_eq!(code(&with_name(&encrypted_id("<a/>", &OURS))), "root-unexpected");
    assert_eq!(code(&with_name(&encrypted_id(&name.replace("asha", "as<!-- -->ha"), &OURS))), "comment-refused");
}

#[test]
fn a_relay_state_comes_back_as_it_was_and_a_huge_one_is_refused() {
    let with = |length: usize| {
        let message = STANDARD.encode(request_parts().element().write_signed(&*THEIRS).unwrap().as_str());
        judge_request(&Evidence::Post { message, relay_state: Some("é".repeat(length / 2)) }, &settings(), now())
    };
    let asked = with(1024).unwrap();
    let answer = respond(&settings(), &asked, &*OURS, &SeededRng::new(1), now()).unwrap().unwrap();
    assert_eq!(received(Carries::Response, &answer).1, "é".repeat(512));
    assert_eq!(with(1026).unwrap_err().code(), "relay-state-too-long");
}

#[test]
fn our_answer_goes_back_by_the_same_binding_to_the_place_for_answers() {
    let mut settings = settings();
    settings.idp.slo[0].response_location = Some("https://idp.example/answers?a=1#x".parse().unwrap());
    for (evidence, place) in [
        (request_parts().by_redirect(), "https://idp.example/answers?a=1#x"),
        (request_parts().by_post(), "https://idp.example/slo/post"),
    ] {
        let asked = judge_request(&evidence, &settings, now()).unwrap();
        let answer = respond(&settings, &asked, &*OURS, &SeededRng::new(1), now()).unwrap().unwrap();
        match (&answer, &evidence) {
            (Outgoing::Link(url), Evidence::Redirect(_)) => {
                assert!(url.as_str().starts_with("https://idp.example/answers?a=1&SAMLResponse="), "{url}");
                assert!(!url.as_str().contains('#'));
            }
            (Outgoing::Form { action, fields }, Evidence::Post { .. }) => {
                assert_eq!((action.as_str(), fields[0].0), (place, "SAMLResponse"));
            }
            other => panic!("{other:?}"),
        }
        let (xml, relay_state) = received(Carries::Response, &answer);
        assert_eq!(relay_state, "theirs");
        let gated = gate::admit(xml.as_bytes(), Root::LogoutResponse, &Limits::MESSAGE, Sha1::Refused).unwrap();
        let read = Response::read_logout(gated.root()).unwrap();
        assert_eq!((read.in_response_to, read.issuer, read.destination), (Some("_theirs"), Some(SP), Some(place)));
        assert_eq!(read.status.unwrap().code, SUCCESS);
    }
    settings.idp.slo.remove(0);
    let asked = judge_request(&request_parts().by_redirect(), &settings, now()).unwrap();
    let answer = respond(&settings, &asked, &*OURS, &SeededRng::new(1), now()).unwrap();
    assert!(matches!(answer, Some(Outgoing::Form { .. })), "the only place there is");
    settings.idp.slo.clear();
    assert!(respond(&settings, &asked, &*OURS, &SeededRng::new(1), now()).unwrap().is_none());
}

#[test]
fn a_request_names_the_sessions_it_says_and_no_others() {
    let asked = |indexes: &[&str], change: fn(&mut NameIdQualifiers)| {
        let mut asked = judge_request(&request_parts().by_post(), &settings(), now()).unwrap();
        asked.session_indexes = indexes.iter().map(|index| (*index).to_owned()).collect();
        change(&mut asked.qualifiers);
        asked
    };
    let ours = qualifiers();
    let subject = |name_id: &'static str, session_index| Subject { name_id, qualifiers: &ours, session_index };
    let same = |_: &mut NameIdQualifiers| {};
    assert!(asked(&["s1", "s2"], same).names(&subject("asha", Some("s2"))));
    assert!(!asked(&["s1", "s2"], same).names(&subject("asha", Some("s3"))));
    assert!(asked(&[], same).names(&subject("asha", Some("s3"))), "all of them");
    assert!(asked(&["s1"], same).names(&subject("asha", None)), "we were never told which it is");
    for other in ["lin", "ASHA", "asha ", ""] {
        assert!(!asked(&[], same).names(&subject(other, Some("s1"))), "{other:?}");
        assert!(!asked(&["s1"], same).names(&subject(other, Some("s1"))), "{other:?}");
    }
    let changed = |change| asked(&[], change).names(&subject("asha", None));
    assert!(!changed(|theirs| theirs.format = Some("urn:other".to_owned())));
    assert!(!changed(|theirs| theirs.name_qualifier = Some("urn:other".to_owned())));
    assert!(!changed(|theirs| theirs.sp_name_qualifier = Some("urn:other".to_owned())));
    assert!(changed(|theirs| *theirs = NameIdQualifiers::default()), "left out");
    assert!(changed(|theirs| theirs.format = Some(UNSPECIFIED.to_owned())));
}

#[test]
fn an_answer_to_our_request_is_believed_by_either_binding() {
    for evidence in [response_parts().by_redirect(), response_parts().by_post()] {
        let judged = judge_response(&evidence, "_ours", &settings(), now()).unwrap();
        assert_eq!(judged, Confirmation::Complete);
        assert_eq!(evidence.relay_state().unwrap().as_deref(), Some("theirs"));
    }
    for top in [SUCCESS, "urn:oasis:names:tc:SAML:2.0:status:Responder"] {
        let partial = answering(|parts| parts.inside = vec![status(top, Some(PARTIAL_LOGOUT))]).by_post();
        assert_eq!(judge_response(&partial, "_ours", &settings(), now()).unwrap(), Confirmation::Partial, "{top}");
    }
    assert_eq!(answer_code(&answering(|parts| parts.destination = None).by_redirect()), "believed");
}

#[test]
fn every_hostile_answer_is_refused_for_its_true_cause() {
    let xml = response_parts().element().write().unwrap().into_string();
    let signed = response_parts().element().write_signed(&*THEIRS).unwrap().into_string();
    let changed = |change: fn(&mut Parts)| answering(change).by_redirect();
    let cases: Vec<(&str, Evidence, &str)> = vec![
        ("unsigned query", Evidence::Redirect(redirect::query(Carries::Response, &xml, None)), "signature-missing"),
        ("unsigned form", post_of(&xml), "signature-missing"),
        ("a stranger's key", redirect_of(Carries::Response, &xml, &*STRANGER), "signature-invalid"),
        ("SHA-1", redirect_of(Carries::Response, &xml, &SHA1), "sha1-refused"),
        ("altered", post_of(&signed.replace("status:Success", "status:Succes2")), "signature-invalid"),
        ("another's answer", changed(|parts| parts.in_response_to = Some("_other")), "in-response-to-wrong"),
        ("nobody's answer", changed(|parts| parts.in_response_to = None), "in-response-to-missing"),
        ("another destination", changed(|parts| parts.destination = Some(ACS)), "destination-wrong"),
        ("another issuer", changed(|parts| parts.issuer = Some("https://other.example")), "issuer-wrong"),
        ("no issuer", changed(|parts| parts.issuer = None), "issuer-missing"),
        ("no status", changed(|parts| parts.inside.clear()), "status-missing"),
        ("two statuses", changed(|parts| parts.inside.push(status(SUCCESS, None))), "element-repeated"),
        ("old", changed(|parts| parts.issued = "2026-11-21T11:47:00Z".to_owned()), "issued-long-ago"),
        ("early", changed(|parts| parts.issued = "2026-11-21T12:03:01Z".to_owned()), "issued-in-future"),
        ("SAML 1.1", changed(|parts| parts.version = Some("1.1")), "version-wrong"),
        ("a request", post_of(request_parts().element().write_signed(&*THEIRS).unwrap().as_str()), "root-unexpected"),
        (
            "a no",
            changed(|parts| parts.inside = vec![status("urn:oasis:names:tc:SAML:2.0:status:Responder", None)]),
            "status-not-success",
        ),
    ];
    for (name, evidence, expected) in &cases {
        assert_eq!(answer_code(evidence), *expected, "{name}");
    }
    let no = changed(|parts| parts.inside = vec![status("urn:oasis:names:tc:SAML:2.0:status:Responder", None)]);
    let said = judge_response(&no, "_ours", &settings(), now()).unwrap_err().to_string();
    assert!(said.contains("status:Responder: because"), "{said}");
}

#[test]
fn a_provider_may_sign_logout_messages_by_another_name_where_the_connector_says_so() {
    let other = "https://login.example/tenant/";
    let answer = answering(|parts| parts.issuer = Some("https://login.example/tenant/")).by_redirect();
    assert_eq!(answer_code(&answer), "issuer-wrong");
    let mut settings = settings();
    settings.logout_issuer = Some(other.to_owned());
    assert!(judge_response(&answer, "_ours", &settings, now()).is_ok());
    assert!(judge_response(&response_parts().by_redirect(), "_ours", &settings, now()).is_ok(), "and by its own");
}

proptest::proptest! {
    #[test]
    fn no_evidence_makes_the_judgement_panic(text in "\\PC{0,80}", bytes: Vec<u8>) {
        let encoded = STANDARD.encode(&bytes);
        for evidence in [
            Evidence::Redirect(text.clone()),
            Evidence::Redirect(format!("SAMLRequest={encoded}&RelayState={text}&SigAlg={text}&Signature={encoded}")),
            Evidence::Post { message: encoded, relay_state: Some(text) },
        ] {
            proptest::prop_assert!(judge_request(&evidence, &settings(), now()).is_err());
            proptest::prop_assert!(judge_response(&evidence, "_ours", &settings(), now()).is_err());
        }
    }
}
