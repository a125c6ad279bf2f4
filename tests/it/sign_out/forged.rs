//! Logout messages of a provider whose keys we hold, right and wrong, against a running broker.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use rolegate::saml::certificate::SigningCertificate;
use rolegate::saml::gate::Sha1;
use rolegate::saml::redirect::{self, Carries};
use rolegate::sys::ManualClock;
use rolegate::web::problem::Kind;
use serde_json::Value;
use url::Url;

use super::ended_since;
use crate::broker::{Broker, Wishes};
use crate::hostile::forge::{self, Forge, IDP, RSA_SHA256, SAML, SAMLP, Sig, Who};
use crate::sign_in::{PLAIN, catalog_of, clock, connector_at};
use crate::wire::{Answer, CONNECTOR, Wire, connector};

const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";

/// A broker, a provider that offers logout by both bindings, and a clock that stands still.
struct World {
    broker: Broker,
    wire: Wire,
    clock: Arc<ManualClock>,
}

impl World {
    async fn start() -> Self {
        Self::with(Broker::wishes(), "").await
    }

    async fn with(wishes: Wishes, more: &str) -> Self {
        let clock = clock();
        let broker = wishes.clock(&clock).start().await;
        configure(&broker, more).await;
        let wire = Wire::to(&broker.base).await;
        Self { broker, wire, clock }
    }

    fn slo(&self) -> String {
        self.broker.at(&format!("/saml/{CONNECTOR}/slo"))
    }

    /// Signs somebody in, in that session of the provider; gives the cookie.
    async fn sign_in(&self, person: &str, index: &str) -> String {
        let begun = self.wire.begin().await;
        let reply = self.wire.forge(Some(&begun.request_id), self.broker.now()).signed(|parts| {
            parts.assertion_id = format!("_to{}", begun.request_id);
            parts.name_id = parts.name_id.replace(">asha<", &format!(">{person}<"));
            parts.authn = parts.authn.replace("_session", index);
        });
        let accepted = self.wire.post(&reply, &begun.relay_state).await;
        self.wire.finish(&accepted, &begun).await
    }

    async fn is_live(&self, cookie: &str) -> bool {
        self.wire.me(cookie).await == 200
    }

    /// An honest request to end sessions of asha's; `change` may make it something else.
    fn request(&self, change: impl FnOnce(&mut Message)) -> Message {
        let mut message = Message {
            name: "LogoutRequest",
            id: format!("_r{}", rolegate::sys::Token::generate(&rolegate::sys::SystemRng).expose_secret()),
            at: self.broker.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            destination: self.slo(),
            issuer: IDP.to_owned(),
            more: String::new(),
            inside: "<saml:NameID>asha</saml:NameID>".to_owned(),
            relay_state: Some("theirs".to_owned()),
            who: Who::Idp,
        };
        change(&mut message);
        message
    }

    /// An honest answer to a request of ours.
    fn answer(&self, asked: &AskedOfUs, change: impl FnOnce(&mut Message)) -> Message {
        self.request(|message| {
            message.name = "LogoutResponse";
            message.more = format!(" InResponseTo=\"{}\"", asked.request_id);
            message.inside = status(SUCCESS, "");
            message.relay_state = Some(asked.relay_state.clone());
            change(message);
        })
    }

    /// Sends a message by redirect, as a program that follows nothing.
    async fn redirect(&self, message: &Message) -> Answer {
        self.get(&message.query()).await
    }

    async fn get(&self, query: &str) -> Answer {
        let request = self.wire.client.get(format!("{}?{query}", self.slo()));
        self.wire.send(request.header("accept", "application/json")).await
    }

    /// Sends a message as a form.
    async fn post(&self, message: &Message) -> Answer {
        self.post_fields(&message.fields()).await
    }

    async fn post_fields(&self, fields: &[(&str, String)]) -> Answer {
        let request = self.wire.client.post(self.slo()).form(fields);
        self.wire.send(request.header("accept", "application/json")).await
    }

    async fn seq(&self) -> i64 {
        self.broker.head().await.seq
    }

    /// That this answer refuses in this way, and that exactly one refusal was recorded since `known`.
    async fn refused(&self, answer: &Answer, known: i64, kind: Kind, cause: &str) {
        assert!(answer.signs_nobody_in(), "{cause}: {answer:?}");
        assert_eq!((answer.status, answer.problem().as_str()), (kind.status().as_u16(), kind.slug()), "{cause}");
        let events = self.broker.events_after(known).await;
        let [(found, body)] = events.as_slice() else { panic!("one refusal should be recorded: {events:?}") };
        assert_eq!((found.as_str(), &body["cause"]), ("logout.refused", &Value::from(cause)), "{body}");
        let support_id = answer.header("x-request-id").map(str::to_owned);
        assert_eq!(self.broker.last_reference().await, support_id);
    }

    /// Our answer to a request, checked with our certificate as the provider would; gives its XML.
    async fn our_answer(&self, answer: &Answer, place: &str) -> String {
        assert_eq!(answer.status, 303, "{}", answer.body);
        let location = Url::parse(answer.header("location").unwrap()).unwrap();
        assert!(location.as_str().starts_with(&format!("{place}SAMLResponse=")), "{location}");
        let metadata = self.wire.get(&format!("/saml/{CONNECTOR}/metadata"), "").await.body;
        let certificate = Regex::new("X509Certificate[^>]*>([^<]+)<").unwrap();
        let ours = SigningCertificate::from_base64(&certificate.captures(&metadata).unwrap()[1]).unwrap();
        let query = location.query().unwrap();
        redirect::verify(Carries::Response, query, &[ours], Sha1::Refused).unwrap();
        let received = redirect::receive(Carries::Response, query, 100_000).unwrap();
        assert_eq!(received.relay_state.as_deref(), Some("theirs"));
        String::from_utf8(received.xml).unwrap()
    }

    /// Presses "Sign out" in the session of that cookie; reads the request that the provider would get.
    async fn ask(&self, cookie: &str) -> AskedOfUs {
        let home = self.wire.client.get(self.broker.at("/")).header("cookie", cookie).header("accept", "text/html");
        let home = self.wire.send(home).await.body;
        let csrf = Regex::new("name=\"csrf\" value=\"([^\"]+)\"").unwrap();
        let csrf = csrf.captures(&home).unwrap_or_else(|| panic!("no form in {home}"))[1].to_owned();
        let left = self.wire.client.post(self.broker.at("/sign-out")).header("cookie", cookie);
        let page = self.wire.send(left.form(&[("csrf", csrf)])).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let onward = Regex::new("<a class=\"b primary\" href=\"([^\"]+)\"").unwrap();
        let onward = onward.captures(&page.body).unwrap()[1].replace("&#38;", "&");
        let fields: HashMap<_, _> = Url::parse(&onward).unwrap().query_pairs().into_owned().collect();
        let xml = redirect::inflate(&STANDARD.decode(&fields["SAMLRequest"]).unwrap(), 100_000).unwrap();
        let id = Regex::new(" ID=\"([^\"]+)\"").unwrap();
        let request_id = id.captures(std::str::from_utf8(&xml).unwrap()).unwrap()[1].to_owned();
        AskedOfUs { request_id, relay_state: fields["RelayState"].clone() }
    }
}

/// The connector of the forge with these settings, and another that believes the same provider.
async fn configure(broker: &Broker, more: &str) {
    let described = connector(&broker.folder(), more);
    let place = |binding: &str, location: &str| {
        format!(
            "<SingleLogoutService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:{binding}\" Location=\"{location}\"/>"
        )
    };
    let places =
        place("HTTP-Redirect", "https://idp.example/slo?t=1") + &place("HTTP-POST", "https://idp.example/post");
    let metadata = Forge::metadata().replace("<SingleSignOnService", &format!("{places}<SingleSignOnService"));
    let file = broker.folder().join("forge.xml");
    std::fs::write(&file, metadata).unwrap();
    let other = connector_at("other", &format!("metadata_file = {file:?}"), PLAIN);
    broker.apply(&catalog_of(&(described + &other))).await;
}

/// A request of ours on its way to the provider.
struct AskedOfUs {
    request_id: String,
    relay_state: String,
}

/// A message of the provider, with every part open to abuse.
#[derive(Clone)]
struct Message {
    name: &'static str,
    id: String,
    at: String,
    destination: String,
    issuer: String,
    /// More attributes.
    more: String,
    inside: String,
    relay_state: Option<String>,
    who: Who,
}

fn status(code: &str, inside: &str) -> String {
    format!("<samlp:Status><samlp:StatusCode Value=\"{code}\">{inside}</samlp:StatusCode></samlp:Status>")
}

fn named(person: &str, indexes: &[&str]) -> String {
    let indexes: String =
        indexes.iter().map(|index| format!("<samlp:SessionIndex>{index}</samlp:SessionIndex>")).collect();
    format!("<saml:NameID>{person}</saml:NameID>{indexes}")
}

impl Message {
    fn xml(&self) -> String {
        let Self { name, id, at, destination, issuer, more, inside, .. } = self;
        format!(
            "<samlp:{name} xmlns:samlp=\"{SAMLP}\" xmlns:saml=\"{SAML}\" ID=\"{id}\" Version=\"2.0\" \
             IssueInstant=\"{at}\" Destination=\"{destination}\"{more}><saml:Issuer>{issuer}</saml:Issuer>{inside}\
             </samlp:{name}>"
        )
    }

    fn carries(&self) -> Carries {
        if self.name == "LogoutRequest" { Carries::Request } else { Carries::Response }
    }

    fn query(&self) -> String {
        let sign = |octets: &[u8]| Ok::<_, Infallible>(forge::signature_value(self.who, RSA_SHA256, octets));
        redirect::signed_query(self.carries(), &self.xml(), self.relay_state.as_deref(), RSA_SHA256, sign).unwrap()
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        let signed = forge::sign(&self.xml(), &self.id, &Sig { who: self.who, ..Sig::default() });
        let relay_state = self.relay_state.clone().map(|relay_state| ("RelayState", relay_state));
        std::iter::once((self.carries().parameter(), STANDARD.encode(signed))).chain(relay_state).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_ends_the_sessions_it_names_and_no_others() {
    let world = World::start().await;
    let first = world.sign_in("asha", "s1").await;
    let second = world.sign_in("asha", "s2").await;
    let third = world.sign_in("asha", "s3").await;
    let lin = world.sign_in("lin", "s1").await;
    let live = async || {
        let mut live = Vec::new();
        for cookie in [&first, &second, &third, &lin] {
            live.push(world.is_live(cookie).await);
        }
        live
    };
    let seq = world.seq().await;

    let request = world.request(|message| message.inside = named("asha", &["s1", "elsewhere"]));
    let answer = world.redirect(&request).await;
    let xml = world.our_answer(&answer, "https://idp.example/slo?t=1&").await;
    assert!(xml.contains(&format!("InResponseTo=\"{}\"", request.id)) && xml.contains(SUCCESS), "{xml}");
    assert!(xml.contains("Destination=\"https://idp.example/slo?t=1\""), "{xml}");
    assert!(answer.header("set-cookie").is_none(), "whose browser brings it is nobody's business");
    assert_eq!(live().await, [false, true, true, true]);
    assert_eq!(ended_since(&world.broker, seq).await, ["identity-provider-logout"]);

    // Nobody here is meant: no reason to say so.
    for nobody in [named("nobody", &[]), named("asha", &["s9"]), named("ASHA", &["s2"]), named("lin", &["s2"])] {
        let answer = world.redirect(&world.request(|message| message.inside = nobody)).await;
        assert!(world.our_answer(&answer, "https://idp.example/slo?t=1&").await.contains(SUCCESS));
    }
    assert_eq!(live().await, [false, true, true, true]);
    assert_eq!(world.seq().await, seq + 1);

    // Without a session, all of that name.
    let answer = world.redirect(&world.request(|_| {})).await;
    assert!(world.our_answer(&answer, "https://idp.example/slo?t=1&").await.contains(SUCCESS));
    assert_eq!(live().await, [false, false, false, true]);
    assert_eq!(ended_since(&world.broker, seq).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_answered_with_a_form_that_may_stand_in_the_providers_frame() {
    let world = World::start().await;
    let asha = world.sign_in("asha", "s1").await;
    let answer = world.post(&world.request(|_| {})).await;
    assert!(!world.is_live(&asha).await);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let form = Regex::new("<form [^>]*action=\"https://idp.example/post\" data-onward>(.*?)</form>").unwrap();
    let form = form.captures(&answer.body).unwrap_or_else(|| panic!("{}", answer.body))[1].to_owned();
    assert!(form.contains("name=\"SAMLResponse\"") && form.contains("name=\"RelayState\" value=\"theirs\""), "{form}");
    assert!(answer.body.contains("You are signed out here"), "{}", answer.body);
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.contains("frame-ancestors https://idp.example;"), "{policy}");
    assert!(policy.contains("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"), "{policy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_carried_out_once_by_whatever_way_it_comes_again() {
    let world = World::start().await;
    let request = world.request(|_| {});
    assert_eq!(world.redirect(&request).await.status, 303);
    let asha = world.sign_in("asha", "s1").await;
    let seq = world.seq().await;
    world.refused(&world.redirect(&request).await, seq, Kind::SignOutRefused, "replayed").await;
    world.refused(&world.post(&request).await, seq + 1, Kind::SignOutRefused, "replayed").await;
    assert!(world.is_live(&asha).await, "the later session was not meant");

    // Two at once: one of them does it.
    let request = world.request(|_| {});
    let (one, other) = tokio::join!(world.redirect(&request), world.redirect(&request));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 403]);
    assert!(!world.is_live(&asha).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_of_the_provider_ends_nothing_and_is_recorded() {
    let world = World::start().await;
    let asha = world.sign_in("asha", "s1").await;
    let honest = world.request(|_| {});
    let query = honest.query();
    let bomb = redirect::query(Carries::Request, &"a".repeat(5_000_000), None);
    let changed = |change: fn(&mut Message)| world.request(change).query();
    for (query, cause) in [
        (redirect::query(Carries::Request, &honest.xml(), None), "signature-missing"),
        (changed(|message| message.who = Who::Stranger), "signature-invalid"),
        (query.replace("RelayState=theirs", "RelayState=mine"), "signature-invalid"),
        (format!("{query}&SAMLRequest=AAAA"), "parameter-repeated"),
        (format!("{query}&SAMLResponse=AAAA"), "parameter-repeated"),
        (format!("{query}&RelayState=theirs"), "parameter-repeated"),
        (query.replace("SAMLRequest", "SAMLResponse"), "unsolicited"),
        (
            changed(|message| message.destination = message.destination.replace("/forge/", "/other/")),
            "destination-wrong",
        ),
        (changed(|message| message.issuer.push('/')), "issuer-wrong"),
        (changed(|message| message.more = " NotOnOrAfter=\"2020-01-01T00:00:00Z\"".to_owned()), "expired"),
        (changed(|message| message.inside.push_str("<saml:NameID>lin</saml:NameID>")), "element-repeated"),
        (format!("{bomb}&SigAlg=x&Signature=AAAA"), "too-large"),
        ("x=1".to_owned(), "parameter-missing"),
    ] {
        let seq = world.seq().await;
        world.refused(&world.get(&query).await, seq, Kind::SignOutRefused, cause).await;
    }
    let fields = honest.fields();
    let unsigned = vec![("SAMLRequest", STANDARD.encode(honest.xml()))];
    let altered = {
        let xml = String::from_utf8(STANDARD.decode(&fields[0].1).unwrap()).unwrap();
        vec![("SAMLRequest", STANDARD.encode(xml.replace(">asha<", ">lin<")))]
    };
    let sha1 = {
        let sig = Sig { algorithm: "http://www.w3.org/2000/09/xmldsig#rsa-sha1", ..Sig::default() };
        vec![("SAMLRequest", STANDARD.encode(forge::sign(&honest.xml(), &honest.id, &sig)))]
    };
    let wrapped = {
        let signed = forge::sign(&honest.xml(), &honest.id, &Sig::default());
        let evil = world.request(|message| message.inside.insert_str(0, &format!("<saml:x>{signed}</saml:x>")));
        vec![("SAMLRequest", STANDARD.encode(evil.xml()))]
    };
    let long = vec![fields[0].clone(), ("RelayState", "x".repeat(1_025))];
    for (fields, kind, cause) in [
        (unsigned, Kind::SignOutRefused, "signature-missing"),
        (altered, Kind::SignOutRefused, "signature-invalid"),
        (sha1, Kind::SignOutRefused, "sha1-refused"),
        (wrapped, Kind::SignOutRefused, "element-misplaced"),
        (long, Kind::SignOutRefused, "relay-state-too-long"),
        (vec![("SAMLRequest", "!".to_owned())], Kind::SignOutRefused, "base64-malformed"),
        (vec![("RelayState", "x".to_owned())], Kind::BadRequest, "form-field-missing"),
        (vec![fields[0].clone(), ("SAMLResponse", "x".to_owned())], Kind::BadRequest, "form-field-repeated"),
        (vec![fields[0].clone(), fields[0].clone()], Kind::BadRequest, "form-field-repeated"),
    ] {
        let seq = world.seq().await;
        world.refused(&world.post_fields(&fields).await, seq, kind, cause).await;
    }
    assert!(world.is_live(&asha).await);
    assert_eq!(world.redirect(&honest).await.status, 303, "it was right all along");
    assert!(!world.is_live(&asha).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_nobody_or_for_another_kind_of_connector_is_refused() {
    let world = World::start().await;
    for (path, cause) in [("/saml/nobody/slo", "connector-unknown"), ("/saml/NOT%20AN%20ID/slo", "")] {
        let seq = world.seq().await;
        let request = world.wire.client.get(format!("{}?{}", world.broker.at(path), world.request(|_| {}).query()));
        let answer = world.wire.send(request.header("accept", "application/json")).await;
        assert_eq!((answer.status, answer.problem().as_str()), (404, "connector-unknown"));
        let recorded = world.broker.events_after(seq).await;
        let causes: Vec<_> = recorded.iter().map(|(_, body)| body["cause"].as_str().unwrap()).collect();
        assert_eq!(causes, if cause.is_empty() { vec![] } else { vec![cause] });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_connector_signs_nobody_in_and_may_sign_people_out() {
    let world = World::start().await;
    let asha = world.sign_in("asha", "s1").await;
    configure(&world.broker, "enabled = false").await;
    assert_eq!(world.redirect(&world.request(|_| {})).await.status, 303);
    assert!(!world.is_live(&asha).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_signs_logout_messages_by_another_name_is_known_by_the_setting() {
    let world = World::start().await;
    let other = |message: &mut Message| message.issuer = "https://login.example/tenant/".to_owned();
    let seq = world.seq().await;
    let answer = world.redirect(&world.request(other)).await;
    world.refused(&answer, seq, Kind::SignOutRefused, "issuer-wrong").await;
    configure(&world.broker, "logout_issuer = \"https://login.example/tenant/\"").await;
    let asha = world.sign_in("asha", "s1").await;
    assert_eq!(world.redirect(&world.request(other)).await.status, 303);
    assert!(!world.is_live(&asha).await);
    // Each of its names has its own requests.
    let request = world.request(|_| {});
    assert_eq!(world.redirect(&request).await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_providers_answer_is_believed_once_and_its_words_are_passed_on() {
    let world = World::start().await;
    let responder = "urn:oasis:names:tc:SAML:2.0:status:Responder";
    let partial = "<samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:PartialLogout\"/>";
    for (inside, reach, recorded) in [
        (status(SUCCESS, ""), "everywhere", None),
        (status(SUCCESS, partial), "partly", None),
        (status(responder, ""), "unconfirmed", Some("status-not-success")),
    ] {
        for by_form in [false, true] {
            let asked = world.ask(&world.sign_in("asha", "s1").await).await;
            let seq = world.seq().await;
            let message = world.answer(&asked, |message| message.inside = inside.clone());
            let answer = if by_form { world.post(&message).await } else { world.redirect(&message).await };
            let place = format!("/signed-out?connector={CONNECTOR}&reach={reach}");
            assert_eq!((answer.status, answer.header("location")), (303, Some(place.as_str())), "{}", answer.body);
            let events = world.broker.events_after(seq).await;
            let causes: Vec<_> = events.iter().map(|(_, body)| body["cause"].as_str().unwrap()).collect();
            assert_eq!(causes, recorded.into_iter().collect::<Vec<_>>());
            let seq = world.seq().await;
            world.refused(&world.redirect(&message).await, seq, Kind::SignOutRefused, "unsolicited").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_believed_is_refused_and_spends_the_sign_out() {
    let world = World::start().await;
    type Case = (fn(&mut Message), &'static str);
    let cases: [Case; 6] = [
        (|message| message.who = Who::Stranger, "signature-invalid"),
        (|message| message.more = " InResponseTo=\"_another\"".to_owned(), "in-response-to-wrong"),
        (|message| message.more.clear(), "in-response-to-missing"),
        (|message| message.destination.push('x'), "destination-wrong"),
        (|message| message.issuer.push('x'), "issuer-wrong"),
        (|message| message.at = "2020-01-01T00:00:00Z".to_owned(), "issued-long-ago"),
    ];
    for (change, cause) in cases {
        let asked = world.ask(&world.sign_in("asha", "s1").await).await;
        let seq = world.seq().await;
        let answer = world.redirect(&world.answer(&asked, change)).await;
        world.refused(&answer, seq, Kind::SignOutRefused, cause).await;
        let seq = world.seq().await;
        let answer = world.redirect(&world.answer(&asked, |_| {})).await;
        world.refused(&answer, seq, Kind::SignOutRefused, "unsolicited").await;
    }

    // Signed for us, but begun elsewhere.
    let asked = world.ask(&world.sign_in("asha", "s1").await).await;
    let elsewhere =
        world.answer(&asked, |message| message.destination = message.destination.replace("/forge/", "/other/"));
    let seq = world.seq().await;
    let request = world.wire.client.get(world.broker.at(&format!("/saml/other/slo?{}", elsewhere.query())));
    let answer = world.wire.send(request.header("accept", "application/json")).await;
    world.refused(&answer, seq, Kind::SignOutRefused, "other-connector").await;

    // Too late.
    let asked = world.ask(&world.sign_in("asha", "s1").await).await;
    world.clock.advance_secs(3_600);
    let seq = world.seq().await;
    let answer = world.redirect(&world.answer(&asked, |_| {})).await;
    world.refused(&answer, seq, Kind::SignOutRefused, "attempt-expired").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_may_send_logout_messages_only_so_often() {
    let wishes = Broker::wishes().set("limits.sign_in_per_minute", "1").set("limits.sign_in_burst", "3");
    let world = World::with(wishes, "").await;
    for _ in 0..3 {
        assert_eq!(world.get("x=1").await.status, 403);
    }
    let seq = world.seq().await;
    for answer in [world.get("x=1").await, world.post(&world.request(|_| {})).await] {
        assert_eq!((answer.status, answer.problem().as_str()), (429, "too-many-requests"));
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(world.seq().await, seq, "that is not worth a row");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_that_nobody_answered_is_forgotten() {
    let world = World::start().await;
    for number in 0..3 {
        world.ask(&world.sign_in("asha", &format!("s{number}")).await).await;
    }
    let removed = async |world: &World| world.broker.app.ground.store.remove_expired(world.broker.now()).await.unwrap();
    removed(&world).await;
    world.clock.advance_secs(3 * 3_600);
    assert!(removed(&world).await >= 3, "three sign-outs");
    assert_eq!(removed(&world).await, 0);
}
