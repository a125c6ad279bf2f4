//! `rolegate doctor`: what an operator is told about a connector, before and after a real sign-in.

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use actix_web::{App, HttpResponse, HttpServer, web};
use base64::Engine as _;
use jiff::{SignedDuration, Timestamp};
use regex::Regex;
use rolegate::sys::{Clock as _, SystemClock};
use rolegate::web::problem::Kind;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use crate::broker::Broker;
use crate::browser_client::{Browser, Page};
use crate::peers::SimpleSaml;
use crate::peers::oidc::OidcPeer;
use crate::sign_in::{PLAIN, catalog_of, connector, connector_at, explained, is_signed_in};
use crate::tools::rolegate;

const PATIENCE: Duration = Duration::from_secs(60);

fn command(broker: &Broker, arguments: &[&str]) -> tokio::process::Command {
    let mut command = rolegate();
    command.arg("doctor").args(arguments).arg("--data-dir").arg(broker.folder());
    command.args(["--public-url", &broker.base]).current_dir(broker.folder()).stdin(Stdio::null());
    command.into()
}

/// Runs it to its end, beside the broker.
async fn doctor(broker: &Broker, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command(broker, arguments).output().await.unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// What it says about one connector, as a program reads it.
async fn examined(broker: &Broker, id: &str) -> (i32, Value) {
    let (code, data, words) = doctor(broker, &[id, "--json"]).await;
    let report: Value = serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error}: {data}{words}"));
    assert_eq!(report["sign_in"], Value::Null);
    (code, report["connectors"][0].clone())
}

/// The checks of one name: verdict, detail and advice.
fn checks(examination: &Value, check: &str) -> Vec<(String, String)> {
    let all = examination["checks"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.iter()
        .filter(|one| one["check"] == check)
        .map(|one| (text(&one["verdict"]), format!("{} — {}", text(&one["detail"]), text(&one["advice"]))))
        .collect()
}

/// The one check of this name ends so, and says this.
fn says(examination: &Value, check: &str, verdict: &str, part: &str) {
    let found = checks(examination, check);
    assert!(
        matches!(found.as_slice(), [(is, said)] if is == verdict && said.contains(part)),
        "{check} should be {verdict} with {part:?}: {found:?}"
    );
}

/// Addresses, times and keys differ each time.
fn normalised(text: &str) -> String {
    let mut text = text.to_owned();
    for (what, by) in [
        (r"(127\.0\.0\.1|localhost):\d+", "$1:PORT"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
        (r"answered in \d+ ms", "answered in N ms"),
        (r"\b\d+ days left", "N days left"),
        (r"\b[0-9a-f]{64}\b", "SHA256"),
        (r"\b[0-9a-f]{40}\b", "SHA1"),
        (r"cannot be measured \(\d+ s\)", "cannot be measured (N s)"),
    ] {
        text = Regex::new(what).unwrap().replace_all(&text, by).into_owned();
    }
    text
}

/// Two connectors to real providers, and one that is disabled.
struct Company {
    broker: Broker,
    saml: SimpleSaml,
    oidc: OidcPeer,
}

impl Company {
    async fn start(oidc_settings: &str) -> Self {
        let broker = Broker::wishes().start().await;
        let saml = SimpleSaml::start_with("localhost", &["--sp-metadata", &broker.at("/saml/corp/metadata")]);
        let oidc = OidcPeer::start_with("localhost", &[]);
        oidc.client_of(&broker.base, "web", "rolegate", json!({})).await;
        let connectors = [
            connector(&saml, "corp", "", PLAIN),
            connector(&saml, "old", "enabled = false", ""),
            format!(
                "[[connector]]\nid = \"web\"\nkind = \"oidc\"\nname = \"Web\"\nissuer = {:?}\nclient_id = \"rolegate\"\n\
                 client_secret = \"{SECRET}\"\nscopes = [\"openid\", \"profile\", \"email\", \"groups\"]\n{oidc_settings}\n\
                 [connector.attributes]\ngroups = \"groups\"\nextra = {{ department = \"department\", level = \"level\" }}\n",
                oidc.issuer()
            ),
        ];
        broker.apply(&catalog_of(&connectors.concat())).await;
        Self { broker, saml, oidc }
    }
}

const SECRET: &str = "a secret that only the two of us know";

#[tokio::test(flavor = "multi_thread")]
async fn connectors_that_are_well_are_told_in_full_and_nothing_is_changed() {
    let company = Company::start("").await;
    let broker = &company.broker;
    let before = broker.head().await;
    let (code, data, words) = doctor(broker, &[]).await;
    assert_eq!(code, 0, "{data}{words}");
    assert!(!data.contains("FAIL"), "{data}");
    assert_eq!(words, "", "nobody waits at a terminal");
    assert!(!data.contains(SECRET));
    insta::assert_snapshot!(normalised(&data));
    assert_eq!(broker.head().await, before, "nothing was recorded");
    assert!(broker.app.ground.store.fetched_metadata(&"web".parse().unwrap()).await.unwrap().is_none());

    let (code, old) = examined(broker, "old").await;
    assert_eq!((code, old["examined"].as_bool(), old["enabled"].as_bool()), (0, Some(true), Some(false)));
    says(&old, "enabled", "warn", "disabled");
    says(&old, "groups", "warn", "engineers-read");

    let (code, data, words) = doctor(broker, &["nobody"]).await;
    assert_eq!((code, data.as_str()), (2, ""));
    assert!(words.contains("no connector `nobody`; it has corp, old, web"), "{words}");
    assert_eq!(doctor(broker, &["--sign-in", "old"]).await.0, 2, "nobody can sign in there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_kept_is_compared_and_stands_in_when_the_provider_is_down() {
    let Company { broker, saml, oidc } = Company::start("").await;
    for path in ["/saml/corp/start", "/oidc/web/start"] {
        Browser::new().peek(&broker.at(path)).await;
    }
    let (_, corp) = examined(&broker, "corp").await;
    says(&corp, "metadata", "ok", "the same as the broker's copy of");
    saml.set("publish_keys", json!(["a", "b"])).await;
    let (_, corp) = examined(&broker, "corp").await;
    says(&corp, "metadata", "ok", "it has changed since the broker's copy of");
    assert_eq!(checks(&corp, "signing-certificate").len(), 2);
    drop((saml, oidc));
    let (code, corp) = examined(&broker, "corp").await;
    assert_eq!(code, 0, "{corp}");
    says(&corp, "metadata", "warn", "could not be reached");
    says(&corp, "metadata", "warn", "sign-ins go on with the copy of");
    let (code, web) = examined(&broker, "web").await;
    assert_eq!(code, 1);
    says(&web, "discovery", "fail", "sign-ins go on with the broker's copy of");
}

/// What a provider answers that has one thing wrong.
#[derive(Clone)]
struct Neighbour {
    /// Instead of the discovery document, with its media type.
    instead: Option<(&'static str, &'static str)>,
    issuer: Option<&'static str>,
    clock_off: SignedDuration,
    jwks: Value,
}

impl Default for Neighbour {
    fn default() -> Self {
        let n = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .encode(openssl::rsa::Rsa::generate(2048).unwrap().n().to_vec());
        let key = json!({"kty": "RSA", "kid": "k", "n": n, "e": "AQAB"});
        Self { instead: None, issuer: None, clock_off: SignedDuration::ZERO, jwks: json!({"keys": [key]}) }
    }
}

impl Neighbour {
    /// Its issuer.
    fn serve(self) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let issuer = base.clone();
        let server = HttpServer::new(move || {
            let (neighbour, base) = (self.clone(), base.clone());
            App::new().default_service(web::to(move |request: actix_web::HttpRequest| {
                let (neighbour, base) = (neighbour.clone(), base.clone());
                async move { neighbour.answer(request.path(), &base) }
            }))
        })
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run();
        tokio::spawn(server);
        issuer
    }

    fn answer(&self, path: &str, base: &str) -> HttpResponse {
        let date = jiff::fmt::rfc2822::DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&(SystemClock.now() + self.clock_off))
            .unwrap();
        let mut response = HttpResponse::Ok();
        response.insert_header(("date", date));
        match (path, self.instead) {
            ("/jwks", _) => response.json(&self.jwks),
            (_, Some((media, body))) => response.content_type(media).body(body),
            _ => response.json(json!({
                "issuer": self.issuer.unwrap_or(base),
                "authorization_endpoint": format!("{base}/authorize"),
                "token_endpoint": format!("{base}/token"),
                "jwks_uri": format!("{base}/jwks"),
                "id_token_signing_alg_values_supported": ["RS256"],
            })),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_neighbours_are_told_apart_and_each_stops_sign_ins() {
    let broker = Broker::wishes().start().await;
    let at = |id: &str, issuer: &str| {
        format!(
            "[[connector]]\nid = {id:?}\nkind = \"oidc\"\nname = {id:?}\nissuer = {issuer:?}\nclient_id = \"x\"\n\
             [connector.attributes]\nextra = {{ department = \"department\" }}\n"
        )
    };
    let html = Some(("text/html", "<!doctype html><title>Sign in to the proxy</title>\u{1b}[2J"));
    let off = |seconds| Neighbour { clock_off: SignedDuration::from_secs(seconds), ..Neighbour::default() };
    let nowhere = format!("http://127.0.0.1:{}", crate::tools::free_port());
    let symmetric = json!({"keys": [{"kty": "oct", "kid": "s", "k": "bWFya2VyLW9mLWEtc2VjcmV0"}]});
    let connectors = [
        at("well", &Neighbour::default().serve()),
        at("nowhere", &nowhere),
        at("impostor", &Neighbour { issuer: Some("https://other.example"), ..Neighbour::default() }.serve()),
        at("html", &Neighbour { instead: html, ..Neighbour::default() }.serve()),
        at("fast", &off(3_600).serve()),
        at("drifting", &off(-120).serve()),
        at("keyless", &Neighbour { jwks: symmetric, ..Neighbour::default() }.serve()),
        at("private", "https://10.1.2.3/realm"),
        connector_at(
            "page",
            &format!("metadata_url = \"{}/m\"", Neighbour { instead: html, ..Neighbour::default() }.serve()),
            "",
        ),
    ];
    broker.apply(&catalog_of(&connectors.concat())).await;
    for (id, code, check, verdict, part) in [
        ("well", 0, "discovery", "ok", "answered in"),
        ("well", 0, "clock", "ok", ""),
        ("nowhere", 1, "discovery", "fail", "could not be reached"),
        ("impostor", 1, "discovery", "fail", "calls itself \"https://other.example\""),
        ("html", 1, "discovery", "fail", "(text/html), and it cannot be used"),
        ("fast", 1, "clock", "fail", "1 h 0 min ahead of ours"),
        ("drifting", 0, "clock", "warn", "behind ours, more than half"),
        ("keyless", 1, "jwks", "fail", "shared secret"),
        ("private", 1, "discovery", "fail", "set private_addresses = true"),
        ("page", 1, "metadata", "fail", "(text/html), and it cannot be used"),
    ] {
        let (found, examination) = examined(&broker, id).await;
        assert_eq!(found, code, "{id}: {examination}");
        says(&examination, check, verdict, part);
        let text = examination.to_string();
        assert!(!text.contains("\\u001b") && !text.contains("bWFya2Vy"), "{id}: {text}");
    }
    let (code, data, _) = doctor(&broker, &["nowhere"]).await;
    assert_eq!(code, 1);
    assert!(data.contains("\n  FAIL  discovery"), "{data}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_another_issuer_at_the_same_address_is_not_said_to_stand_in() {
    let broker = Broker::wishes().start().await;
    let issuer = Neighbour::default().serve();
    let with = |issuer: &str| {
        catalog_of(&format!(
            "[[connector]]\nid = \"web\"\nkind = \"oidc\"\nname = \"Web\"\nissuer = {issuer:?}\nclient_id = \"x\"\n\
             [connector.attributes]\nextra = {{ department = \"department\" }}\n"
        ))
    };
    broker.apply(&with(&issuer)).await;
    Browser::new().peek(&broker.at("/oidc/web/start")).await;
    broker.apply(&with(&format!("{issuer}/"))).await;
    let (code, web) = examined(&broker, "web").await;
    assert_eq!(code, 1, "{web}");
    says(&web, "discovery", "fail", "they differ in the slash at the end");
    assert!(!web.to_string().contains("sign-ins go on"), "{web}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_a_warning_and_expired_metadata_stops_sign_ins() {
    let broker = Broker::wishes().start().await;
    let metadata = |days: i64, more: &str| {
        format!(
            "<EntityDescriptor xmlns=\"urn:oasis:names:tc:SAML:2.0:metadata\" entityID=\"urn:idp\" {more}>\
             <IDPSSODescriptor protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
             WantAuthnRequestsSigned=\"true\"><KeyDescriptor>\
             <KeyInfo xmlns=\"http://www.w3.org/2000/09/xmldsig#\"><X509Data><X509Certificate>{}</X509Certificate>\
             </X509Data></KeyInfo></KeyDescriptor><SingleSignOnService Location=\"https://idp.example/sso\" \
             Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\"/></IDPSSODescriptor></EntityDescriptor>",
            certificate(days)
        )
    };
    let inline = |id: &str, document: &str| connector_at(id, &format!("metadata_xml = '''{document}'''"), PLAIN);
    let (past, soon) =
        (SystemClock.now() - SignedDuration::from_mins(1), SystemClock.now() + SignedDuration::from_hours(49));
    let connectors = [
        inline("expired", &metadata(-3, "")),
        inline("soon", &metadata(10, &format!("validUntil=\"{soon}\""))),
        inline("long", &metadata(400, "")),
        inline("over", &metadata(400, &format!("validUntil=\"{past}\""))),
    ];
    broker.apply(&catalog_of(&connectors.concat())).await;
    for (id, check, verdict, part) in [
        ("expired", "signing-certificate", "warn", "which is past"),
        ("expired", "signed-requests", "warn", "set sign_requests = true"),
        ("expired", "sign-out", "ok", "no single logout"),
        ("soon", "signing-certificate", "warn", "days left"),
        ("soon", "valid-until", "warn", "2 days left"),
        ("long", "signing-certificate", "ok", "RSA, 2048 bits"),
        ("long", "clock", "ok", "cannot be compared"),
    ] {
        let (code, examination) = examined(&broker, id).await;
        assert_eq!(code, 0, "{id}: {examination}");
        says(&examination, check, verdict, part);
    }
    let (code, over) = examined(&broker, "over").await;
    assert_eq!(code, 1, "{over}");
    says(&over, "metadata", "fail", "was valid until");
}

/// A self-signed certificate that ends in so many days.
fn certificate(days: i64) -> String {
    use openssl::asn1::Asn1Time;
    use openssl::pkey::PKey;
    use openssl::x509::{X509Builder, X509NameBuilder};
    let key = PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "idp.example").unwrap();
    let (name, mut builder) = (name.build(), X509Builder::new().unwrap());
    let at = |days: i64| Asn1Time::from_unix(SystemClock.now().as_second() + days * 86_400 + 3_600).unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_not_before(&at(-400)).unwrap();
    builder.set_not_after(&at(days)).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.sign(&key, openssl::hash::MessageDigest::sha256()).unwrap();
    base64::engine::general_purpose::STANDARD.encode(builder.build().to_der().unwrap())
}

/// A `doctor --sign-in` that waits.
struct Waiting {
    child: tokio::process::Child,
    words: tokio::io::Lines<BufReader<tokio::process::ChildStderr>>,
    address: String,
}

impl Waiting {
    async fn start(broker: &Broker, arguments: &[&str]) -> Self {
        let mut child = command(broker, arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut words = BufReader::new(child.stderr.take().unwrap()).lines();
        loop {
            let line = tokio::time::timeout(PATIENCE, words.next_line()).await.expect("an address in time");
            let line = line.unwrap().expect("an address before the end");
            if let Some(address) = line.trim().strip_prefix("http") {
                return Self { child, words, address: format!("http{address}") };
            }
        }
    }

    /// It says this before long.
    async fn hears(&mut self, part: &str) {
        loop {
            let line = tokio::time::timeout(PATIENCE, self.words.next_line()).await.expect("a word in time");
            if line.unwrap().expect("a word before the end").contains(part) {
                return;
            }
        }
    }

    /// Its exit code and what it printed.
    async fn ended(mut self) -> (i32, String, String) {
        let mut data = String::new();
        let read = async {
            self.child.stdout.take().unwrap().read_to_string(&mut data).await.unwrap();
            self.child.wait().await.unwrap()
        };
        let status = tokio::time::timeout(PATIENCE, read).await.expect("it ends in time");
        let mut said = String::new();
        while let Some(line) = self.words.next_line().await.unwrap() {
            said.push_str(&line);
            said.push('\n');
        }
        (status.code().unwrap(), data, said)
    }
}

/// The page that ends a test: nobody is signed in.
async fn finished(broker: &Broker, browser: &mut Browser, page: &Page) {
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains("<h1>Test finished</h1>"), "{}", page.body);
    assert!(!is_signed_in(broker, browser).await, "a test opened a session");
    assert_eq!(rows(broker, "session").await, 0);
}

async fn rows(broker: &Broker, table: &'static str) -> i64 {
    let mut database = crate::program::database(&broker.folder()).await;
    let statement = match table {
        "session" => "SELECT count(*) FROM session",
        "test_sign_in" => "SELECT count(*) FROM test_sign_in",
        other => panic!("{other}"),
    };
    sqlx::query_scalar(statement).fetch_one(&mut database).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_sign_in_by_saml_shows_what_arrived_and_opens_no_session() {
    let Company { broker, saml, .. } = &Company::start("").await;
    let mut waiting = Waiting::start(broker, &["--sign-in", "corp"]).await;
    assert!(waiting.address.starts_with(&broker.at("/saml/corp/start?test=")), "{}", waiting.address);
    let mut alice = Browser::new();
    let form = alice.get(&waiting.address).await;
    waiting.hears("Somebody has opened it").await;
    let mut late = Browser::new();
    let twice = late.get(&waiting.address).await;
    explained(&twice, Kind::SignInExpired);
    let page = saml.sign_in(&mut alice, form, "alice").await;
    finished(broker, &mut alice, &page).await;
    let event = broker.last_event("connector.tested").await;
    assert_eq!((&event["connector"], &event["groups"], &event["roles"]), (&json!("corp"), &json!(2), &json!(1)));
    assert!(!event.to_string().contains("alice") && !event.to_string().contains("engineering"), "{event}");
    let (code, data, words) = waiting.ended().await;
    assert_eq!(code, 0, "{data}{words}");
    let report = data.split_once("Test sign-in through corp: ").expect("a report").1;
    for part in [
        "assertion  NameID = ",
        "assertion  mail = alice@corp.example",
        "email           alice@corp.example (as the provider signed it)",
        "groups          2: aws-platform-admins, engineering",
        "Rules that match: engineers-read; roles: 1",
    ] {
        assert!(report.contains(part), "{part} is missing:\n{report}");
    }
    assert_eq!(rows(broker, "test_sign_in").await, 0, "a report is read once");

    // Coming back to the page later opens nothing either.
    let again = alice.get(page.url.as_str()).await;
    explained(&again, Kind::SignInExpired);
    assert!(!is_signed_in(broker, &mut alice).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_sign_in_by_openid_connect_hides_what_looks_like_a_secret() {
    let Company { broker, oidc, .. } = &Company::start("userinfo = \"always\"").await;
    let marker = "eyJhbGciOiJub25lIn0.bWFya2VyLW9mLWEtc2VjcmV0.c2ln";
    oidc.set("extra_claims", json!({ "internal_password": "hunter2-marker", "note": marker })).await;
    let waiting = Waiting::start(broker, &["web", "--sign-in", "web", "--json"]).await;
    let mut alice = Browser::new();
    let form = alice.get(&waiting.address).await;
    let page = oidc.sign_in(&mut alice, form, "alice").await;
    finished(broker, &mut alice, &page).await;
    broker.last_event("connector.tested").await;
    let (code, data, words) = waiting.ended().await;
    assert_eq!(code, 0, "{data}{words}");
    let report: Value = serde_json::from_str(&data).unwrap();
    assert_eq!(report["connectors"].as_array().map(Vec::len), Some(1));
    let report = &report["sign_in"];
    assert_eq!((&report["connector"], &report["outcome"]), (&json!("web"), &json!("verified")));
    assert_eq!(report["mapped"]["email"], "alice@corp.example");
    assert_eq!(report["mapped"]["email_believed"], "the provider says that it has verified it");
    assert_eq!(report["mapped"]["groups"]["values"], json!(["aws-platform-admins", "engineering"]));
    assert_eq!(report["access"]["rules"], json!(["engineers-read"]));
    let missing = report["missing"].to_string();
    assert!(missing.contains("level: `level` did not arrive"), "{missing}");
    let received = report["received"].as_array().unwrap();
    let value = |source: &str, name: &str| {
        let found = received.iter().find(|one| one["source"] == source && one["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in the {source}: {report}"))["values"][0].as_str().unwrap().to_owned()
    };
    assert_eq!(value("id-token", "aud"), "rolegate");
    assert!(value("id-token", "nonce").starts_with("[hidden: "));
    assert_eq!(value("userinfo", "email"), "alice@corp.example");
    assert!(value("userinfo", "internal_password").starts_with("[hidden: by its name a secret"));
    assert!(value("userinfo", "note").starts_with("[hidden: a token"));
    assert!(!data.contains("hunter2-marker") && !data.contains(marker) && !data.contains(SECRET), "{data}");
    let on_disk = broker.bytes_on_disk();
    let has = |needle: &str| on_disk.windows(needle.len()).any(|window| window == needle.as_bytes());
    assert!(!has("hunter2-marker") && !has(marker), "it lies there in clear");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_is_refused_says_what_the_audit_log_says() {
    let Company { broker, oidc, .. } = &Company::start("").await;
    let waiting = Waiting::start(broker, &["--sign-in", "web"]).await;
    let mut alice = Browser::new();
    let form = alice.get(&waiting.address).await;
    let page = oidc.cancel(&mut alice, form).await;
    crate::sign_in::refused(broker, &mut alice, &page, Kind::IdentityProviderError, "provider-error").await;
    let event = broker.last_event("sign-in.refused").await;
    let (code, data, words) = waiting.ended().await;
    assert_eq!(code, 1, "{data}{words}");
    let report = data.split_once("Test sign-in through web: refused").expect("a report").1;
    assert!(report.contains("cause   provider-error"), "{report}");
    assert!(report.contains(&format!("detail  {}", event["detail"].as_str().unwrap())), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_is_bound_to_its_browser_and_its_connector_and_leaves_sessions_alone() {
    let Company { broker, saml, oidc } = &Company::start("").await;
    // What is no test of this connector begins no sign-in either.
    let mut stranger = Browser::new();
    for address in ["/saml/corp/start?test=x".to_owned(), format!("/saml/corp/start?test={}", "A".repeat(43))] {
        explained(&stranger.get(&broker.at(&address)).await, Kind::SignInExpired);
    }
    let waiting = Waiting::start(broker, &["--sign-in", "web"]).await;
    let elsewhere = waiting.address.replace("/oidc/web/", "/saml/corp/");
    explained(&stranger.get(&elsewhere).await, Kind::SignInExpired);

    // Somebody who is signed in tries a connector, and is signed in as before.
    let mut alice = Browser::new();
    let form = alice.get(&broker.at("/saml/corp/start")).await;
    saml.sign_in(&mut alice, form, "alice").await;
    let before = crate::sign_in::me(broker, &mut alice).await;
    let form = alice.get(&waiting.address).await;
    let page = oidc.sign_in(&mut alice, form, "bob").await;
    assert!(page.body.contains("<h1>Test finished</h1>"), "{}", page.body);
    assert_eq!(crate::sign_in::me(broker, &mut alice).await["subject"], before["subject"]);
    assert_eq!(rows(broker, "session").await, 1);
    assert_eq!(waiting.ended().await.0, 0);

    // The reply to a test, brought by another browser, ends the test and opens nothing.
    let waiting = Waiting::start(broker, &["--sign-in", "web"]).await;
    let begun = alice.peek(&waiting.address).await;
    let state = begun.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let planted = broker.at(&format!("/oidc/web/callback?code=stolen&state={state}&iss={}", oidc.issuer()));
    let page = stranger.get(&planted).await;
    crate::sign_in::refused(broker, &mut stranger, &page, Kind::SignInOtherBrowser, "other-browser").await;
    let (code, data, _) = waiting.ended().await;
    assert_eq!(code, 1);
    assert!(data.contains("cause   other-browser"), "{data}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_is_given_up_leaves_an_address_that_opens_nothing() {
    let Company { broker, .. } = &Company::start("").await;
    let waiting = Waiting::start(broker, &["--sign-in", "corp"]).await;
    let interrupt = std::process::Command::new(crate::tools::system_tool("kill"))
        .args(["-INT", &waiting.child.id().unwrap().to_string()])
        .status()
        .unwrap();
    assert!(interrupt.success());
    let address = waiting.address.clone();
    let began = Instant::now();
    let (code, data, words) = waiting.ended().await;
    assert_eq!(code, 2, "{data}{words}");
    assert!(began.elapsed() < PATIENCE && words.contains("Withdrawn"), "{words}");
    assert!(!data.contains("Test sign-in"), "{data}");
    assert_eq!(rows(broker, "test_sign_in").await, 0);
    explained(&Browser::new().get(&address).await, Kind::SignInExpired);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_nobody_waits_for_is_cleaned_away() {
    let broker = Broker::wishes().start().await;
    let store = &broker.app.ground.store;
    let now: Timestamp = broker.now();
    let soon = now + SignedDuration::from_mins(10);
    store.add_test(&[1; 32], &"corp".parse().unwrap(), soon).await.unwrap();
    store.remove_expired(now).await.unwrap();
    assert_eq!(rows(&broker, "test_sign_in").await, 1);
    assert!(!store.start_test(&[1; 32], &"corp".parse().unwrap(), soon).await.unwrap(), "it is over");
    store.remove_expired(soon).await.unwrap();
    assert_eq!(rows(&broker, "test_sign_in").await, 0);
}
