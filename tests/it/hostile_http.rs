//! The hostile corpus, and hostility that only HTTP has, against a running broker.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rolegate::web::problem::Kind;
use serde_json::Value;

use crate::broker::{Broker, Wishes};
use crate::hostile::forge::{self, ASSERTION_ID, Sig, Who};
use crate::hostile::{cases, honest};
use crate::sign_in::catalog_of;
use crate::wire::{self, Answer, Wire};

/// A broker that believes the forge.
struct Target {
    broker: Broker,
    wire: Wire,
    max_body: usize,
}

/// The largest body there is, unless the settings say otherwise.
const MAX_BODY: usize = 1 << 20;

impl Target {
    async fn with(connector: &str) -> Self {
        Self::start(Broker::wishes(), connector).await
    }

    async fn start(wishes: Wishes, connector: &str) -> Self {
        let broker = wishes.start().await;
        broker.apply(&catalog_of(&wire::connector(&broker.folder(), connector))).await;
        let wire = Wire::to(&broker.base).await;
        Self { broker, wire, max_body: MAX_BODY }
    }

    /// What is posted to the ACS as a form, in whatever way `how` says.
    async fn post(&self, how: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder) -> Answer {
        let request = self.wire.client.post(self.wire.acs()).header("accept", "application/json");
        self.wire.send(how(request)).await
    }

    /// An honest reply that has not been sent, as a form.
    async fn honest_form(&self) -> String {
        let begun = self.wire.begin().await;
        let reply = self.wire.honest(&begun, self.broker.now());
        form(&[("SAMLResponse", &reply), ("RelayState", &begun.relay_state)])
    }

    /// That this answer signs nobody in, says so in this way, and that exactly one refusal was recorded since `known`.
    async fn refused(&self, answer: &Answer, known: i64, kind: Kind, cause: &str) {
        assert!(answer.signs_nobody_in(), "{answer:?}");
        assert_eq!((answer.status, answer.problem().as_str()), (kind.status().as_u16(), kind.slug()));
        self.recorded(known, cause).await;
    }

    async fn recorded(&self, known: i64, cause: &str) {
        let events = self.broker.events_after(known).await;
        let [(found, body)] = events.as_slice() else { panic!("one refusal should be recorded: {events:?}") };
        assert_eq!((found.as_str(), &body["cause"]), ("sign-in.refused", &Value::from(cause)), "{body}");
    }

    async fn seq(&self) -> i64 {
        self.broker.head().await.seq
    }

    /// It answers, and believes whom it should.
    async fn is_well(&self) {
        assert_eq!(self.wire.get("/healthz", "").await.status, 200);
        let session = self.wire.sign_in(self.broker.now()).await;
        assert_eq!(self.wire.me(&session).await, 200);
    }

    /// Sends these bytes as they are and reads what comes until the broker closes or nothing comes for `patience`.
    fn raw(&self, bytes: &[u8], patience: Duration) -> String {
        let address = self.broker.base.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(patience)).unwrap();
        // It may answer and close before everything is written.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(read) = stream.read(&mut buffer) {
            if read == 0 {
                break;
            }
            answer.extend_from_slice(&buffer[..read]);
        }
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

const FORM: &str = "application/x-www-form-urlencoded";

/// All that a person is told about a reply: nothing that would tell a forger how close they came.
const TOLD: [Kind; 4] = [Kind::SignInRefused, Kind::SignInExpired, Kind::IdentityProviderError, Kind::TooLarge];

impl Target {
    /// Posts a hostile reply to a sign-in that waits for one; says what went otherwise than it should.
    async fn hostile(&self, case: &cases::Case) -> Vec<String> {
        let begun = self.wire.begin().await;
        let reply = (case.form)(&self.wire.forge(Some(&begun.request_id), self.broker.now()));
        let sent = form(&[("SAMLResponse", &reply), ("RelayState", &begun.relay_state)]);
        let expect = if sent.len() > self.max_body { "too-large" } else { case.expect };
        let (known, began) = (self.seq().await, Instant::now());
        let answer = self.post(|request| request.header("content-type", FORM).body(sent)).await;
        let mut failures = Vec::new();
        if began.elapsed() > Duration::from_secs(5) {
            failures.push(format!("{}: took {:?}", case.name, began.elapsed()));
        }
        if !answer.signs_nobody_in() || !TOLD.iter().any(|kind| kind.slug() == answer.problem()) {
            failures.push(format!("{}: {answer:?}", case.name));
        }
        if self.wire.me(&begun.cookie).await != 401 {
            failures.push(format!("{}: somebody is signed in", case.name));
        }
        match self.broker.events_after(known).await.as_slice() {
            [(kind, body)] if kind == "sign-in.refused" && body["cause"] == expect => {}
            other => failures.push(format!("{}: {expect} should be recorded, not {other:?}", case.name)),
        }
        failures
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hostile_reply_is_refused_and_recorded_for_its_true_cause() {
    let names: HashSet<&str> = cases::CASES.iter().map(|case| case.name).collect();
    assert!(names.len() >= 60, "{} cases", names.len());
    let target = Target::with("").await;
    let (mut failures, began) = (Vec::new(), Instant::now());
    for case in cases::CASES {
        failures.extend(target.hostile(case).await);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(began.elapsed() < Duration::from_secs(120), "all together took {:?}", began.elapsed());
    target.is_well().await;
    target.broker.events().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_hostile_replies_are_refused_for_their_true_cause_where_bodies_may_be_larger() {
    let mut roomy = Target::start(Broker::wishes().set("web.max_body", "4MiB"), "").await;
    roomy.max_body = 4 << 20;
    for case in cases::CASES.iter().filter(|case| case.expect != "too-large") {
        if (case.form)(&roomy.wire.forge(Some("_"), roomy.broker.now())).len() > MAX_BODY / 2 {
            assert_eq!(roomy.hostile(case).await, [""; 0]);
        }
    }
    roomy.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_honest_reply_signs_the_person_in_and_4000_groups_arrive_whole() {
    let clock = crate::sign_in::clock();
    let target = Target::start(Broker::wishes().clock(&clock), "").await;
    let mut largest = 0;
    for case in honest::CASES {
        let begun = target.wire.begin().await;
        let forge = target.wire.forge(Some(&begun.request_id), target.broker.now());
        let accepted = target.wire.post(&(case.form)(&forge), &begun.relay_state).await;
        assert_eq!(accepted.status, 303, "{}: {}", case.name, accepted.body);
        let session = target.wire.finish(&accepted, &begun).await;
        let me = target.wire.get("/api/v1/me", &session).await;
        let me: Value = serde_json::from_str(&me.body).unwrap();
        assert_eq!(me["subject"], "asha", "{}", case.name);
        largest = largest.max(me["groups"].as_array().unwrap().len());
        // Their assertions share an ID, which counts once while it could be replayed.
        clock.advance_secs(1_200);
        target.broker.app.ground.store.remove_expired(target.broker.now()).await.unwrap();
    }
    assert_eq!(largest, 4_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_not_one_reply_is_refused_and_recorded() {
    let target = Target::with("").await;
    let honest = target.honest_form().await;
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        // A bomb: a gigabyte would be 1 MB, but this much is enough to be found out.
        encoder.write_all(&vec![b'A'; 50 * 1024 * 1024]).unwrap();
        encoder.finish().unwrap()
    };
    let cases: [(&str, Kind, &str, &str, Vec<u8>); 10] = [
        ("no field", Kind::BadRequest, "form-field-missing", FORM, Vec::new()),
        ("another field", Kind::BadRequest, "form-field-missing", FORM, b"RelayState=x".to_vec()),
        ("the name in another case", Kind::BadRequest, "form-field-missing", FORM, b"samlresponse=x".to_vec()),
        ("two replies", Kind::BadRequest, "form-field-repeated", FORM, format!("{honest}&SAMLResponse=x").into_bytes()),
        ("two handles", Kind::BadRequest, "form-field-repeated", FORM, format!("{honest}&RelayState=x").into_bytes()),
        ("JSON", Kind::BadRequest, "form-of-wrong-type", "application/json", b"{\"SAMLResponse\":\"x\"}".to_vec()),
        ("parts", Kind::BadRequest, "form-of-wrong-type", "multipart/form-data; boundary=x", b"--x--".to_vec()),
        ("text", Kind::BadRequest, "form-of-wrong-type", "text/plain", honest.clone().into_bytes()),
        ("too much", Kind::TooLarge, "too-large", FORM, format!("SAMLResponse={}", "A".repeat(1 << 20)).into_bytes()),
        ("compressed", Kind::BadRequest, "form-field-missing", FORM, gzip),
    ];
    for (name, kind, cause, content_type, body) in cases {
        let (known, sent) = (target.seq().await, Instant::now());
        let answer = target
            .post(|request| {
                let request = if name == "compressed" { request.header("content-encoding", "gzip") } else { request };
                request.header("content-type", content_type).body(body)
            })
            .await;
        assert!(sent.elapsed() < Duration::from_secs(5), "{name}");
        target.refused(&answer, known, kind, cause).await;
    }
    // None of them used the handle up, and a person is told the same in words.
    let known = target.seq().await;
    let page = target.post(|request| request.header("accept", "text/html").header("content-type", FORM)).await;
    assert_eq!(page.status, 400);
    target.recorded(known, "form-field-missing").await;
    let accepted = target.post(|request| request.header("content-type", FORM).body(honest)).await;
    assert_eq!(accepted.status, 303, "{}", accepted.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_chunks_is_a_body_and_its_limit_holds() {
    let target = Target::with("").await;
    let chunks = |text: String| {
        let pieces: Vec<_> =
            text.into_bytes().chunks(1_000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
        reqwest::Body::wrap_stream(futures_util::stream::iter(pieces))
    };
    let honest = target.honest_form().await;
    let accepted = target.post(|request| request.header("content-type", FORM).body(chunks(honest))).await;
    assert_eq!(accepted.status, 303, "{}", accepted.body);

    let known = target.seq().await;
    let mut endless = String::from("POST /saml/forge/acs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n");
    endless.push_str(&format!("Accept: application/json\r\nContent-Type: {FORM}\r\n\r\n"));
    for _ in 0..80 {
        endless.push_str(&format!("4000\r\n{}\r\n", "A".repeat(0x4000)));
    }
    let answer = target.raw(endless.as_bytes(), Duration::from_secs(5));
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    target.recorded(known, "too-large").await;
    target.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_relay_state_is_no_handle_and_leads_nowhere() {
    let target = Target::with("").await;
    let begun = target.wire.begin().await;
    let reply = target.wire.honest(&begun, target.broker.now());
    for relay_state in ["A".repeat(500_000), format!("{}A", begun.relay_state), "\u{0}".repeat(43), "é".repeat(43)] {
        let known = target.seq().await;
        let answer = target.wire.post(&reply, &relay_state).await;
        target.refused(&answer, known, Kind::SignInUnsolicited, "unsolicited").await;
    }
    let target = Target::with("idp_initiated = true").await;
    let reply = target.wire.forge(None, target.broker.now()).signed(|_| {});
    let accepted = target.wire.post(&reply, &format!("/{}", "a".repeat(500_000))).await;
    assert_eq!(accepted.status, 303, "{}", accepted.body);
    assert!(accepted.header("location").unwrap().len() < 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_acs_takes_posts_only() {
    let target = Target::with("").await;
    let begun = target.wire.begin().await;
    let reply = target.wire.honest(&begun, target.broker.now());
    let query = form(&[("SAMLResponse", &reply), ("RelayState", &begun.relay_state)]);
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        let known = target.seq().await;
        let url = format!("{}?{query}", target.wire.acs());
        let request = target.wire.client.request(method.parse().unwrap(), url);
        let answer = target.wire.send(request.header("accept", "application/json")).await;
        assert!(answer.signs_nobody_in(), "{method}: {answer:?}");
        assert_eq!(answer.problem(), "method-not-allowed", "{method}");
        assert_eq!(target.seq().await, known, "{method} is no sign-in");
    }
    let accepted = target.wire.post(&reply, &begun.relay_state).await;
    assert_eq!(accepted.status, 303, "none of that used the handle up: {}", accepted.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_http_or_too_much_of_it_is_turned_away() {
    let target = Target::with("").await;
    let head = format!("POST /saml/forge/acs HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n");
    let cases: [(&str, String); 8] = [
        ("TLS", "\u{16}\u{3}\u{1}\u{0}\u{5}hello".to_owned()),
        ("HTTP/2 without asking", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("a thousand headers", format!("{head}{}\r\n", "X-A: b\r\n".repeat(1_000))),
        ("a header of a megabyte", format!("{head}X-A: {}\r\n\r\n", "b".repeat(1 << 20))),
        ("a path of a megabyte", format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1 << 20))),
        ("two lengths", format!("{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab")),
        ("a length and chunks", format!("{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        ("a negative length", format!("{head}Content-Length: -1\r\n\r\n")),
    ];
    for (name, bytes) in cases {
        let began = Instant::now();
        let answer = target.raw(bytes.as_bytes(), Duration::from_secs(3));
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{name}: {answer}");
        assert!(!answer.contains("set-cookie") && !answer.contains("location:"), "{name}: {answer}");
        assert!(began.elapsed() < Duration::from_secs(5), "{name}");
        assert_eq!(target.wire.get("/healthz", "").await.status, 200, "after {name}");
    }
    target.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_senders_are_given_up_and_keep_nobody_waiting() {
    let target = Target::with("").await;
    let known = target.seq().await;
    let head =
        format!("POST /saml/forge/acs HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\nContent-Type: {FORM}\r\n");
    let patience = Duration::from_secs(25);
    let body = format!("{head}Content-Length: 1000\r\n\r\nSAMLResponse=");
    std::thread::scope(|threads| {
        let began = Instant::now();
        let half_a_body = threads.spawn(|| target.raw(body.as_bytes(), patience));
        let half_a_head: Vec<_> =
            (0..50).map(|_| threads.spawn(|| target.raw(&head.as_bytes()[..60], patience))).collect();
        let answer = half_a_body.join().unwrap();
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        for thread in half_a_head {
            let answer = thread.join().unwrap();
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    });
    target.recorded(known, "form-too-slow").await;
    target.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_person_gets_in_while_many_bad_replies_are_being_judged() {
    let target = Target::with("").await;
    let honest = (target.wire.begin().await, target.wire.begin().await);
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let begun = target.wire.begin().await;
        let wire = target.wire.clone();
        // The costly kind: large, well-formed, and signed by somebody else.
        let parts = wire.forge(Some(&begun.request_id), target.broker.now());
        let parts = parts.with(|parts| parts.attributes = honest::many_groups(4_000));
        let by_a_stranger = Sig { who: Who::Stranger, ..Sig::default() };
        let bad = forge::form(&parts.response(&forge::sign(&parts.assertion(), ASSERTION_ID, &by_a_stranger)));
        crowd.spawn(async move { wire.post(&bad, &begun.relay_state).await.status });
    }
    let began = Instant::now();
    for begun in [&honest.0, &honest.1] {
        let reply = target.wire.honest(begun, target.broker.now());
        let accepted = target.wire.post(&reply, &begun.relay_state).await;
        let session = target.wire.finish(&accepted, begun).await;
        assert_eq!(target.wire.me(&session).await, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    while let Some(status) = crowd.join_next().await {
        assert!((400..500).contains(&status.unwrap()));
    }
    target.is_well().await;
}
