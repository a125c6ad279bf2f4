//! A broker together with the sandbox it takes for AWS and for the identity provider: people sign in, use roles, and
//! what went over the wire can be looked at or spoilt.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::body::{BodyStream, BoxBody, MessageBody, to_bytes};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{DATE, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::{HttpResponse, HttpServer, web};
use rolegate::sandbox::{DEMO_CONNECTOR, Sandbox, SandboxConfig, World, demo_catalog};
use rolegate::store::Store;
use rolegate::sys::{Clock, ManualClock, SystemClock, SystemRng};
use serde_json::Value;
use url::Url;

use crate::broker::{Broker, Wishes};
use crate::browser_client::{Browser, Form, Page};

const PATIENCE: Duration = Duration::from_secs(60);

/// One request to the sandbox and its answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub method: String,
    pub path: String,
    pub sent: String,
    pub answered: String,
    /// How many events the audit log held when the request arrived, if somebody watched.
    pub events_before: Option<i64>,
}

/// What the sandbox does instead of what it was asked.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Answers requests to this path with a status and a text of its own.
    Answers(&'static str, u16, &'static str),
    /// Thinks before it looks at requests to this path.
    Slow(&'static str, Duration),
}

/// What goes over the wire between the broker, browsers and the sandbox.
#[derive(Debug, Clone, Default)]
pub struct Wire(Arc<Mutex<Tap>>);

#[derive(Debug, Default)]
struct Tap {
    exchanges: Vec<Exchange>,
    fault: Option<Fault>,
    watched: Option<Store>,
}

impl Wire {
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.0.lock().unwrap().exchanges.clone()
    }

    /// Forgets what was, and from now on notes with each request how far the audit log was.
    pub fn watch(&self, store: &Store) {
        let mut tap = self.0.lock().unwrap();
        tap.exchanges.clear();
        tap.watched = Some(store.clone());
    }

    /// How often STS was asked to assume a role.
    pub fn sts_calls(&self) -> usize {
        let asks = |call: &&Exchange| call.path == "/" && call.sent.contains("Action=AssumeRoleWithSAML");
        self.exchanges().iter().filter(asks).count()
    }

    /// From now on; `None` ends it.
    pub fn spoil(&self, fault: impl Into<Option<Fault>>) {
        self.0.lock().unwrap().fault = fault.into();
    }

    async fn pass(
        self,
        mut request: ServiceRequest,
        next: Next<impl MessageBody + 'static>,
    ) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
        let (method, path) = (request.method().to_string(), request.path().to_owned());
        let body = request.extract::<web::Bytes>().await?;
        request.set_payload(Payload::from(body.clone()));
        let sent = format!("{}\n{}", request.query_string(), String::from_utf8_lossy(&body));
        let (fault, watched) = {
            let tap = self.0.lock().unwrap();
            (tap.fault.clone(), tap.watched.clone())
        };
        let events_before = match watched {
            Some(store) => Some(store.audit_head().await.unwrap().seq),
            None => None,
        };
        let response = match fault {
            Some(Fault::Answers(at, status, text)) if at == path => {
                let status = StatusCode::from_u16(status).unwrap();
                request.into_response(HttpResponse::build(status).content_type("text/xml").body(text))
            }
            fault => {
                if let Some(Fault::Slow(at, pause)) = fault
                    && at == path
                {
                    tokio::time::sleep(pause).await;
                }
                next.call(request).await?.map_into_boxed_body()
            }
        };
        let (request, response) = response.into_parts();
        let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
        let (response, body) = response.into_parts();
        let body = to_bytes(body).await;
        let said = body.as_deref().map_or_else(ToString::to_string, |body| String::from_utf8_lossy(body).into_owned());
        let answered = format!("{}\n{said}", location.unwrap_or_default());
        let exchange = Exchange { method, path, sent, answered, events_before };
        self.0.lock().unwrap().exchanges.push(exchange);
        let body = match body {
            Ok(body) => BoxBody::new(body),
            // What the sandbox cuts off is cut off here too.
            Err(error) => {
                BoxBody::new(BodyStream::new(futures_util::stream::once(std::future::ready(Err::<web::Bytes, _>(
                    error,
                )))))
            }
        };
        Ok(ServiceResponse::new(request, response.set_body(body)))
    }
}

/// A sandbox that is listening. It stops when it is dropped.
pub struct LocalAws {
    pub base: Url,
    pub wire: Wire,
    socket: Option<TcpListener>,
    handle: Option<actix_web::dev::ServerHandle>,
}

impl LocalAws {
    /// Takes a port. It is known by another host name than the broker, so that browsers treat the two as two sites.
    pub fn bind() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let base = format!("http://localhost:{}/", socket.local_addr().unwrap().port());
        Self { base: base.parse().unwrap(), wire: Wire::default(), socket: Some(socket), handle: None }
    }

    /// Serves for one broker.
    pub async fn serve(&mut self, broker: &Url, clock: Arc<dyn Clock>) {
        let mut config = SandboxConfig::for_broker(
            self.base.clone(),
            broker,
            World::larkspur(),
            Arc::clone(&clock),
            Arc::new(SystemRng),
        );
        // A broker may have several connectors to the one identity provider.
        config.any_loopback_service_provider = true;
        let sandbox = tokio::task::spawn_blocking(move || Sandbox::build(config)).await.unwrap().unwrap();
        let (wire, served) = (self.wire.clone(), clock);
        let server = HttpServer::new(move || {
            let (wire, clock) = (wire.clone(), Arc::clone(&served));
            actix_web::App::new()
                // Larger than any answer of an identity provider here.
                .app_data(web::PayloadConfig::new(1024 * 1024))
                .wrap(from_fn(move |request, next: Next<_>| {
                    let (answer, now) = (wire.clone().pass(request, next), clock.now());
                    async move {
                        let mut answer = answer.await?;
                        // Some SDKs set their clock by it.
                        let date =
                            HeaderValue::from_str(&now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()).unwrap();
                        answer.headers_mut().insert(DATE, date);
                        Ok::<_, actix_web::Error>(answer)
                    }
                }))
                .configure(sandbox.configure())
        })
        .workers(2)
        .disable_signals()
        .listen(self.socket.take().expect("it serves once"))
        .unwrap()
        .run();
        self.handle = Some(server.handle());
        tokio::spawn(server);
    }

    pub fn at(&self, path: &str) -> String {
        self.base.join(path).unwrap().into()
    }

    /// What makes a broker take this for AWS.
    pub fn settings(&self) -> [(&'static str, String); 3] {
        [
            ("aws.sts_endpoint", self.base.to_string()),
            ("aws.federation_endpoint", self.at("federation")),
            ("aws.console_url", self.at("console/home")),
        ]
    }

    pub fn catalog(&self) -> String {
        demo_catalog(&self.base)
    }
}

impl Drop for LocalAws {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            drop(handle.stop(false));
        }
    }
}

/// A broker, its sandbox, and one clock for both that the test moves.
pub struct Sandboxed {
    pub broker: Broker,
    pub aws: LocalAws,
    pub clock: Arc<ManualClock>,
}

impl Sandboxed {
    pub async fn start() -> Self {
        Self::with(Broker::wishes()).await
    }

    pub async fn with(wishes: Wishes) -> Self {
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let mut aws = LocalAws::bind();
        let broker = wishes.unless_set(aws.settings()).clock(&clock).start().await;
        aws.serve(&broker.url("/"), Arc::clone(&clock) as Arc<dyn Clock>).await;
        broker.apply(&aws.catalog()).await;
        Self { broker, aws, clock }
    }

    /// Puts the demo's catalog in place with one text replaced by another.
    pub async fn change_catalog(&self, old: &str, new: &str) {
        let catalog = self.aws.catalog();
        assert!(catalog.contains(old), "the catalog has no {old}");
        self.broker.apply(&catalog.replace(old, new)).await;
    }

    pub async fn sign_in_as(&self, person: &str) -> Person {
        let mut browser = Browser::new();
        let home = enter(&mut browser, &self.broker.at("/"), person).await;
        assert_eq!((home.status, home.url.path()), (200, "/"), "{}", home.body);
        Person::new(&self.broker.base, browser, &home)
    }

    /// The events of one request, by the support id people are given.
    pub async fn events_of(&self, request: &str) -> Vec<(String, Value)> {
        let events = self.broker.app.ground.store.audit_after(0, 100_000).await.unwrap();
        let of = events.into_iter().filter(|event| event.link.reference.as_deref() == Some(request));
        of.map(|event| (event.link.kind, serde_json::from_str(&event.link.body).unwrap())).collect()
    }

    /// Posts as a program and as a person in a browser, and asserts that both are refused in the same words and with
    /// the same events. Gives the words and the events of the program's request.
    pub async fn refused(
        &self,
        person: &mut Person,
        path: &str,
        fields: &[(&str, &str)],
        (status, kind): (u16, &str),
    ) -> (String, Vec<(String, Value)>) {
        let answer = person.program_post(path, fields).await;
        let (sentence, request) = problem(&answer, status, kind);
        let page = person.post(path, fields).await;
        assert_eq!(page.status, status, "{}", page.body);
        assert!(plain(&page.body).contains(&sentence), "the page does not say `{sentence}`:\n{}", page.body);
        let events = self.events_of(&request).await;
        let kinds = |events: &[(String, Value)]| events.iter().map(|(kind, _)| kind.clone()).collect::<Vec<_>>();
        assert_eq!(kinds(&self.events_of(&support_id(&page)).await), kinds(&events));
        (sentence, events)
    }
}

/// Goes to an address of the broker, signs in on the way by SAML and with a password, and gives the page at the end.
pub async fn enter(browser: &mut Browser, address: &str, person: &str) -> Page {
    enter_by(browser, address, DEMO_CONNECTOR, person, "password").await
}

/// As [`enter`], through one of the demo's connectors and with a way to sign in: `password` or `security-key`.
pub async fn enter_by(browser: &mut Browser, address: &str, connector: &str, person: &str, strength: &str) -> Page {
    let choice = browser.get(address).await;
    assert_eq!((choice.status, choice.url.path()), (200, "/sign-in"), "{}", choice.body);
    let people = browser.follow(&choice.link(&format!("/{connector}/start"))).await;
    answer_as(browser, &people, person, strength).await
}

/// Is somebody on the identity provider's page, and gives the page the broker leads to.
pub async fn answer_as(browser: &mut Browser, people: &Page, person: &str, strength: &str) -> Page {
    let form = people.form_with("pending").set("person", person).set("strength", strength);
    let answer = browser.submit(&form).await;
    browser.go_on(answer).await
}

/// Somebody who is signed in.
pub struct Person {
    pub browser: Browser,
    /// The broker's address.
    base: String,
    pub csrf: String,
}

/// An answer as it came, without following it anywhere.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("headers are ASCII"))
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Person {
    /// On a page of theirs.
    pub fn new(base: &str, browser: Browser, page: &Page) -> Self {
        let csrf = page.form_to("/sign-out").value("csrf").expect("forms carry it").to_owned();
        Self { browser, base: base.to_owned(), csrf }
    }

    pub async fn open(&mut self, path: &str) -> Page {
        let address = format!("{}{path}", self.base);
        self.browser.get(&address).await
    }

    /// Presses a button on a page of ours, and follows where it leads.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let form = self.form(path, fields);
        self.browser.submit(&form).await
    }

    fn form(&self, path: &str, fields: &[(&str, &str)]) -> Form {
        let at = |path: &str| Url::parse(&format!("{}{path}", self.base)).unwrap();
        let csrf = ("csrf".to_owned(), self.csrf.clone());
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Form { page: at("/"), action: at(path), post: true, fields: std::iter::once(csrf).chain(fields).collect() }
    }

    /// The cookie header of this person's requests.
    pub fn cookie(&self) -> String {
        format!("rolegate={}", self.session())
    }

    pub fn session(&self) -> &str {
        self.browser.cookie("127.0.0.1", "rolegate").expect("a session")
    }

    /// Posts without following, and asks for no page.
    pub async fn program_post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let form = self.form(path, fields);
        send(client().post(form.action.clone()).header("cookie", self.cookie()).form(&form.fields)).await
    }

    /// As [`program_post`](Self::program_post), by somebody who expects that the broker may be gone half-way.
    pub async fn try_program_post(&self, path: &str, fields: &[(&str, &str)]) -> Option<Answer> {
        let form = self.form(path, fields);
        let request = client().post(form.action.clone()).header("cookie", self.cookie()).form(&form.fields);
        let response = request.timeout(PATIENCE).send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Some(Answer { status, headers, body: response.text().await.ok()? })
    }

    pub async fn program_get(&self, path: &str) -> Answer {
        send(client().get(format!("{}{path}", self.base)).header("cookie", self.cookie())).await
    }
}

/// Follows no redirect and keeps no cookie.
pub fn client() -> reqwest::Client {
    rolegate::sys::http::client(PATIENCE).expect("the machine has a certificate store")
}

/// Sends a request. Whatever the API answers, in any test, has to be in its description.
pub async fn send(request: reqwest::RequestBuilder) -> Answer {
    let (client, request) = request.timeout(PATIENCE).build_split();
    let request = request.unwrap_or_else(|error| panic!("{error:?}"));
    let (method, path) = (request.method().to_string(), request.url().path().to_owned());
    let response = client.execute(request).await.unwrap_or_else(|error| panic!("{error:?}"));
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let answer = Answer { status, headers, body: response.text().await.unwrap() };
    crate::api::openapi::assert_documented(&method, &path, &answer);
    answer
}

/// Asserts that this is a problem of this kind. Gives what it says and the id of its request.
pub fn problem(answer: &Answer, status: u16, kind: &str) -> (String, String) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let document = answer.json();
    assert_eq!(document["type"], format!("urn:rolegate:problem:{kind}"), "{document}");
    assert_eq!(document["status"], status);
    let request = document["instance"].as_str().unwrap().strip_prefix("urn:rolegate:request:").unwrap().to_owned();
    assert_eq!(answer.header("x-request-id"), request);
    (document["detail"].as_str().unwrap().to_owned(), request)
}

/// The id that a page of a problem shows; it is the answer's request id.
pub fn support_id(page: &Page) -> String {
    let found = regex::Regex::new(r#"<code id="support">([0-9a-f]{16})</code>"#).unwrap();
    let id = found.captures(&page.body).unwrap_or_else(|| panic!("no support id in {}", page.body))[1].to_owned();
    assert_eq!(page.headers["x-request-id"], id.as_str());
    id
}

/// Text of a page with its character references resolved, as far as sentences need it.
pub fn plain(html: &str) -> String {
    html.replace("&#39;", "'").replace("&#x27;", "'").replace("&#34;", "\"").replace("&#60;", "<").replace("&#38;", "&")
}
