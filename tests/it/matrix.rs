//! Every address as every kind of caller, and what every answer carries. The snapshot is the review of who may do what.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use actix_web::http::Method;
use rolegate::web::assets::asset;
use rolegate::web::routes::{self, Row};

use crate::broker::Broker;
use crate::browser_client::Browser;
use crate::sandboxed::{Answer, Person, Sandboxed, client, enter, plain, problem, send, support_id};

fn table() -> Vec<Row> {
    let mut rows = Vec::new();
    let _ = actix_web::App::new().configure(|config| rows = routes::mount(config));
    rows
}

/// An address of the row that exists, for somebody who may use it.
fn address(row: &Row) -> String {
    let filled = row
        .path
        .replace("{connector}", "dev")
        .replace("{account}", "111122223333")
        .replace("{click}", &"A".repeat(43))
        .replace("{id}", "0123456789abcdef0123456789abcdef")
        .replace("{role:.+}", "teams/payments/Deploy")
        .replace("/static/{name:.*}", asset("app.css"));
    assert!(!filled.contains('{'), "say what stands for the parts of {}", row.path);
    if row.path == "/go" { format!("{filled}?account=111122223333") } else { filled }
}

#[derive(Debug, Clone, Copy)]
enum Persona {
    Stranger,
    StrangerInABrowser,
    NobodyMapped,
    WithRoles,
    WithoutFormValue,
    WithAnothersFormValue,
    FromAnotherSite,
    FromASisterSite,
    WithAnothersOrigin,
    ByAnotherMethod,
}

const PERSONAS: [(Persona, &str); 10] = [
    (Persona::Stranger, "stranger"),
    (Persona::StrangerInABrowser, "in a browser"),
    (Persona::NobodyMapped, "nobody mapped"),
    (Persona::WithRoles, "with roles"),
    (Persona::WithoutFormValue, "no form value"),
    (Persona::WithAnothersFormValue, "another's form value"),
    (Persona::FromAnotherSite, "cross-site"),
    (Persona::FromASisterSite, "same-site"),
    (Persona::WithAnothersOrigin, "foreign origin"),
    (Persona::ByAnotherMethod, "other method"),
];

/// Visits a row and says what came of it: the status, and the kind of problem where it is one.
async fn visit(base: &str, row: &Row, persona: Persona, omar: &Person, lin: &Person) -> Answer {
    let method = match persona {
        Persona::ByAnotherMethod if row.method == Method::GET => reqwest::Method::DELETE,
        Persona::ByAnotherMethod => reqwest::Method::PATCH,
        _ => row.method.as_str().parse().unwrap(),
    };
    let mut request = client().request(method, format!("{base}{}", address(row)));
    let person = match persona {
        Persona::Stranger | Persona::StrangerInABrowser => None,
        Persona::NobodyMapped => Some(omar),
        _ => Some(lin),
    };
    if let Some(person) = person {
        request = request.header("cookie", person.cookie());
    }
    if row.method == Method::POST {
        let csrf = match persona {
            Persona::WithoutFormValue => None,
            Persona::WithAnothersFormValue => Some(&omar.csrf),
            _ => person.map(|person| &person.csrf),
        };
        // Forms of pages carry it in a field, requests of programs in a header.
        request = match csrf {
            Some(csrf) if row.path.starts_with("/api/") => request.header("x-csrf-token", csrf),
            Some(csrf) => request.form(&[("csrf", csrf)]),
            None => request.form(&[("", ""); 0]),
        };
    }
    request = match persona {
        Persona::StrangerInABrowser => request.header("accept", "text/html"),
        Persona::FromAnotherSite => request.header("sec-fetch-site", "cross-site"),
        Persona::FromASisterSite => request.header("sec-fetch-site", "same-site"),
        Persona::WithAnothersOrigin => request.header("origin", "https://evil.example"),
        _ => request,
    };
    send(request).await
}

fn outcome(answer: &Answer) -> String {
    match answer.header("content-type") {
        "application/problem+json" => {
            let kind = answer.json()["type"].as_str().unwrap().replace("urn:rolegate:problem:", "");
            format!("{} {kind}", answer.status)
        }
        _ => match answer.header("location").split('?').next().unwrap() {
            "" => answer.status.to_string(),
            location => {
                let location = url::Url::parse(location).map_or(location.to_owned(), |url| url.path().to_owned());
                format!("{} {location}", answer.status)
            }
        },
    }
}

/// What must be on every answer of ours, whatever it says.
fn assert_guarded(answer: &Answer, what: &str, kept: bool) {
    let policy = answer.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{what}: {policy}");
    assert!(policy.contains("script-src 'self';") && policy.contains("style-src 'self';"), "{what}: {policy}");
    assert!(policy.contains("base-uri 'none'") && policy.contains("form-action 'self'"), "{what}: {policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("data:") && !policy.contains(" * "), "{what}: {policy}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), value, "{what}: {name}");
    }
    assert_eq!(answer.header("x-request-id").len(), 16, "{what}");
    assert_eq!(answer.header("cache-control") == "no-store", !kept, "{what}: {}", answer.header("cache-control"));
    assert!(!answer.body.contains(" style=\"") && !answer.body.contains("<script>"), "{what}: {}", answer.body);
    if answer.status >= 400 {
        for internal in ["sqlx", "SELECT", "panicked", ".rs:", "os error", "rolegate::", "actix", "rolegate.db"] {
            assert!(!answer.body.contains(internal), "{what}: `{internal}` is nobody's business: {}", answer.body);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_address_answers_every_kind_of_caller_as_the_table_says() {
    let world = Sandboxed::with(Broker::wishes().set("limits.issue_burst", "1000")).await;
    let (omar, mut lin) = (world.sign_in_as("omar").await, world.sign_in_as("lin").await);
    let mut omar = omar;
    let mut matrix: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let rows = table();
    for (number, row) in rows.iter().enumerate() {
        for (persona, name) in PERSONAS {
            // Only forms carry a value.
            let about_forms = matches!(persona, Persona::WithoutFormValue | Persona::WithAnothersFormValue);
            let said = if about_forms && row.method != Method::POST {
                String::new()
            } else {
                let answer = visit(&world.broker.base, row, persona, &omar, &lin).await;
                let lasting = ["/static/", "/aws/", "/.well-known/openid-configuration"];
                let kept = answer.status == 200 && lasting.iter().any(|path| row.path.starts_with(path));
                assert_guarded(&answer, &format!("{} {} as {name}", row.method, row.path), kept);
                outcome(&answer)
            };
            matrix.entry(number).or_default().push(said);
            if row.path == "/sign-out" && matches!(persona, Persona::NobodyMapped | Persona::WithRoles) {
                (omar, lin) = (world.sign_in_as("omar").await, world.sign_in_as("lin").await);
            }
        }
    }
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let _ = writeln!(text, "{} {} ({:?})", row.method, row.path, row.audience);
        for (said, (_, name)) in matrix[&number].iter().zip(PERSONAS).filter(|(said, _)| !said.is_empty()) {
            let _ = writeln!(text, "    {name:<22}{said}");
        }
    }
    insta::assert_snapshot!(text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_a_404_and_what_exists_otherwise_a_405() {
    let world = Sandboxed::start().await;
    let mut lin = world.sign_in_as("lin").await;
    for (method, path, status, kind) in [
        ("GET", "/nowhere", 404, "not-found"),
        ("GET", "/static/app.css", 404, "not-found"),
        ("GET", "/static/../Cargo.toml", 404, "not-found"),
        ("GET", "/roles/111122223333/ReadOnly/console", 405, "method-not-allowed"),
        ("POST", "/", 405, "method-not-allowed"),
        ("GET", "/saml/nobody/start", 404, "connector-unknown"),
        ("GET", "/saml/nobody/metadata", 404, "connector-unknown"),
        ("GET", "/saml/NOT%20AN%20ID/start", 404, "connector-unknown"),
        ("GET", "/?q=1&q=2", 400, "bad-request"),
        ("GET", "/saml/dev/finish", 403, "sign-in-expired"),
    ] {
        let address = format!("{}{path}", world.broker.base);
        let request = client().request(method.parse().unwrap(), address).header("cookie", lin.cookie());
        let answer = send(request.try_clone().unwrap()).await;
        let (sentence, _) = problem(&answer, status, kind);
        assert_guarded(&answer, path, false);
        assert_eq!(answer.header("allow").is_empty(), status != 405, "{path}");
        if method == "GET" {
            let page = lin.open(path).await;
            assert_eq!(page.status, status, "{path}");
            assert!(plain(&page.body).contains(&sentence), "{path}: {}", page.body);
            support_id(&page);
        }
    }
    // Load balancers ask in few words.
    for path in ["/healthz", "/readyz", asset("app.css")] {
        let answer = send(client().head(world.broker.at(path))).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "HEAD {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_too_large_or_of_another_kind_is_refused() {
    let world = Sandboxed::with(Broker::wishes().set("web.max_body", "512KiB")).await;
    let lin = world.sign_in_as("lin").await;
    let role = world.broker.at("/roles/111122223333/ReadOnly/credentials");
    let post = |to: &str, kind: &str, body: String| {
        let request = client().post(to).header("cookie", lin.cookie()).header("content-type", kind);
        send(request.body(body))
    };
    const FORM: &str = "application/x-www-form-urlencoded";
    let csrf = format!("csrf={}", lin.csrf);
    let large = post(&role, FORM, format!("{csrf}&duration={}", "1".repeat(64 * 1024))).await;
    problem(&large, 413, "too-large");
    assert_guarded(&large, "a large form", false);
    let reply = post(&world.broker.at("/saml/dev/acs"), FORM, format!("SAMLResponse={}", "A".repeat(512 * 1024))).await;
    problem(&reply, 413, "too-large");
    for (kind, body, says) in [
        ("application/json", format!("{{\"csrf\":\"{}\"}}", lin.csrf), "application/x-www-form-urlencoded"),
        ("text/plain", csrf.clone(), "application/x-www-form-urlencoded"),
        ("multipart/form-data; boundary=x", "--x--".to_owned(), "application/x-www-form-urlencoded"),
        (FORM, format!("{csrf}&duration=900&duration=43200"), "A field was sent twice."),
    ] {
        let (sentence, _) = problem(&post(&role, kind, body).await, 400, "bad-request");
        assert!(sentence.contains(says), "{kind}: {sentence}");
    }
    let zipped = client().post(&role).header("cookie", lin.cookie()).header("content-type", FORM);
    let zipped = send(zipped.header("content-encoding", "gzip").body(csrf)).await;
    assert_eq!(zipped.status, 200, "a body is what it is, whatever is said about its encoding: {}", zipped.body);
    assert_eq!(world.aws.wire.sts_calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_and_issuing_have_a_pace() {
    let wishes = Broker::wishes()
        .set("limits.sign_in_per_minute", "1")
        .set("limits.sign_in_burst", "9")
        .set("limits.issue_per_minute", "1")
        .set("limits.issue_burst", "2");
    let world = Sandboxed::with(wishes).await;
    // Three steps each.
    let (mut lin, kim) = (world.sign_in_as("lin").await, world.sign_in_as("kim").await);

    let role = "/roles/111122223333/ReadOnly/credentials";
    for _ in 0..2 {
        assert_eq!(lin.program_post(role, &[]).await.status, 200);
    }
    let (sentence, events) = world.refused(&mut lin, role, &[], (429, "too-many-requests")).await;
    assert_eq!(sentence, "Please wait a moment and try again.");
    assert!(events.is_empty(), "a flood must not fill the log: {events:?}");
    let answer = lin.program_post("/roles/111122223333/ReadOnly/console", &[]).await;
    problem(&answer, 429, "too-many-requests");
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_guarded(&answer, "too many", false);
    assert_eq!(world.aws.wire.sts_calls(), 2);
    assert_eq!(lin.open("/").await.status, 200, "only issuing waits");
    let others = kim.program_post("/roles/150938274616/VendorMaintenance/credentials", &[]).await;
    assert_eq!(others.status, 200, "and only for one person");

    for _ in 0..3 {
        assert_eq!(send(client().get(world.broker.at("/saml/dev/start"))).await.status, 303);
    }
    for (method, path) in [("GET", "start"), ("POST", "acs"), ("GET", "finish?ticket=x")] {
        let request = client().request(method.parse().unwrap(), world.broker.at(&format!("/saml/dev/{path}")));
        let answer =
            send(request.header("content-type", "application/x-www-form-urlencoded").body("SAMLResponse=x")).await;
        problem(&answer, 429, "too-many-requests");
        assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|wait| wait >= 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_with_tls_cookies_are_bound_to_the_host_and_addresses_are_the_clients() {
    let wishes = Broker::wishes()
        .set("public_url", "https://aws.larkspur.example")
        .set("web.trusted_proxies", "127.0.0.1,10.0.0.0/8");
    let world = Sandboxed::with(wishes).await;
    // The proxy's part is played here: what browsers send to the public address goes to the socket.
    let at = |address: &str| {
        let path = address.strip_prefix("https://aws.larkspur.example").unwrap_or(address);
        world.broker.at(path)
    };
    let proxied = |request: reqwest::RequestBuilder| send(request.header("x-forwarded-for", "198.51.100.7, 10.1.2.3"));
    let start = proxied(client().get(at("/saml/dev/start"))).await;
    assert_eq!(start.status, 303, "{}", start.body);
    let mut idp = Browser::new();
    let people = idp.get(start.header("location")).await;
    let reply = idp.submit(&people.form_with("pending").set("person", "kim")).await.form_with("SAMLResponse");
    assert!(reply.action.as_str().starts_with("https://aws.larkspur.example/saml/dev/acs"), "{}", reply.action);
    let ticketed = proxied(client().post(at(reply.action.as_str())).form(&reply.fields)).await;
    let browser = cookie(&start, "__Host-rolegate-browser");
    let welcome = proxied(client().get(at(ticketed.header("location"))).header("cookie", &browser)).await;
    assert_eq!((welcome.status, welcome.header("location")), (303, "/"), "{}", welcome.body);

    for (answer, name) in
        [(&start, "__Host-rolegate-browser"), (&welcome, "__Host-rolegate"), (&welcome, "__Host-rolegate-connector")]
    {
        let set = set_cookies(answer).into_iter().find(|set| set.starts_with(&format!("{name}="))).unwrap();
        for attribute in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
            assert!(set.split("; ").any(|part| part == attribute), "{name} lacks {attribute}: {set}");
        }
        assert!(!set.contains("Domain"), "{set}");
    }
    assert_eq!(welcome.header("strict-transport-security"), "max-age=31536000; includeSubDomains");
    assert_eq!(world.broker.last_event("sign-in.succeeded").await["client_address"], "198.51.100.7");

    let session = cookie(&welcome, "__Host-rolegate");
    let home = proxied(client().get(at("/")).header("cookie", &session).header("accept", "text/html")).await;
    assert!(home.body.contains("VendorMaintenance"), "{}", home.body);
    let unprefixed = session.replace("__Host-", "");
    problem(&proxied(client().get(at("/api/v1/me")).header("cookie", unprefixed)).await, 401, "sign-in-required");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_no_proxy_is_not_believed_about_its_address() {
    let world = Sandboxed::start().await;
    let mut browser = Browser::new();
    enter(&mut browser, &world.broker.at("/"), "kim").await;
    let answer = send(
        client()
            .post(world.broker.at("/roles/111122223333/Admin/credentials"))
            .header("cookie", format!("rolegate={}", browser.cookie("127.0.0.1", "rolegate").unwrap()))
            .header("x-forwarded-for", "198.51.100.7")
            .form(&[(
                "csrf",
                Person::new(
                    &world.broker.base,
                    Browser::with_cookies_of(&browser),
                    &browser.get(&world.broker.at("/")).await,
                )
                .csrf,
            )]),
    )
    .await;
    problem(&answer, 403, "role-not-permitted");
    assert_eq!(world.broker.last_event("issue.denied").await["client_address"], "127.0.0.1");
}

fn set_cookies(answer: &Answer) -> Vec<&str> {
    answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect()
}

/// A cookie as it is sent back.
fn cookie(answer: &Answer, name: &str) -> String {
    let set = set_cookies(answer).into_iter().find(|set| set.starts_with(&format!("{name}=")));
    set.unwrap_or_else(|| panic!("no {name} in {:?}", answer.headers)).split(';').next().unwrap().to_owned()
}
