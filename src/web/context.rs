//! What surrounds every request: its id, its client's address, its log line, its security headers, and the one place
//! where a [`Problem`] becomes a page or a document.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, web};
use askama::Template;
use futures_util::FutureExt;
use ipnet::IpNet;

use super::dialect::Dialect;
use super::problem::{Kind, Problem};
use super::session::Cookies;
use super::views;
use crate::saml::names::excerpt;
use crate::sys::{LocalPath, Rng};

/// What the middleware needs to know; one per application.
#[derive(Debug, Clone)]
pub struct Surroundings {
    pub trusted_proxies: Vec<IpNet>,
    pub content_security_policy: HeaderValue,
    pub https: bool,
    pub rng: std::sync::Arc<dyn Rng>,
}

/// The id of a request: on the page as support id, in the log, in audit events and in `X-Request-Id`.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Where a request comes from, seen through the proxies that are trusted.
#[derive(Debug, Clone, Copy)]
pub struct ClientAddress(pub IpAddr);

/// Whether that address is the client's own.
#[derive(Debug, Clone, Copy)]
struct NetworkKnown(bool);

/// The `Content-Security-Policy` of every page.
///
/// Browsers apply `form-action` to the redirects that follow a form too, so it must name the hosts that a console
/// link leads through; `sign_in_origins` are those.
#[must_use]
pub fn content_security_policy(sign_in_origins: &[String]) -> HeaderValue {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'self'; \
         base-uri 'none'; frame-ancestors 'none'; form-action 'self' {}",
        sign_in_origins.join(" ")
    );
    HeaderValue::from_str(policy.trim_end()).expect("origins hold visible ASCII only")
}

/// The policy of a page whose one form goes to an identity provider.
///
/// The provider may send the browser on to other applications that it signed the person in to, and browsers hold that
/// against the form too: any https address may follow. An answer is often wanted in a frame on the provider's own page.
#[must_use]
pub fn policy_towards_provider(action: &url::Url, framed: bool) -> HeaderValue {
    let origin = action.origin().ascii_serialization();
    let ancestors = if framed { origin.as_str() } else { "'none'" };
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; \
         frame-ancestors {ancestors}; form-action 'self' {origin} https:"
    );
    HeaderValue::from_str(&policy).expect("origins hold visible ASCII only")
}

/// The id of this request.
#[must_use]
pub fn request_id(request: &HttpRequest) -> String {
    request.extensions().get::<RequestId>().map_or_else(String::new, |id| id.0.clone())
}

/// The address of the client.
#[must_use]
pub fn client_address(request: &HttpRequest) -> IpAddr {
    request.extensions().get::<ClientAddress>().map_or(IpAddr::from([0, 0, 0, 0]), |address| address.0)
}

/// Whether the address is the client's own, and not one of a proxy that nobody named in `web.trusted_proxies`.
#[must_use]
pub fn network_known(request: &HttpRequest) -> bool {
    request.extensions().get::<NetworkKnown>().is_some_and(|known| known.0)
}

/// Whether somebody who is not believed says that they send the request on for somebody else. Behind a proxy that was
/// forgotten in the settings everybody has one address, which then tells nothing.
fn sent_on_by_a_stranger(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> bool {
    let peer = peer.to_canonical();
    !trusted.iter().any(|net| net.contains(&peer))
        && (headers.contains_key(HeaderName::from_static("x-forwarded-for")) || headers.contains_key(header::FORWARDED))
}

/// Tells the operator, once in the life of the process: a stranger can send such a header, too.
fn warn_of_proxy(peer: IpAddr) {
    static WARNED: AtomicBool = AtomicBool::new(false);
    if !WARNED.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            proxy.address = %peer,
            "a request says that it was sent on for somebody else, by an address that web.trusted_proxies does not name; \
             if that is your proxy, name it: until then all its clients share one address and its limits"
        );
    }
}

/// Walks `X-Forwarded-For` from the nearest hop outwards and stops at the first one that is no trusted proxy.
fn resolve_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    let mut address = peer.to_canonical();
    if !is_trusted(address) {
        return address;
    }
    let hops: Vec<&str> = headers
        .get_all(HeaderName::from_static("x-forwarded-for"))
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    for hop in hops.into_iter().rev() {
        let Ok(next) = hop.parse::<IpAddr>() else { break };
        address = next.to_canonical();
        if !is_trusted(address) {
            break;
        }
    }
    address
}

/// Whether somebody reads the answer in a browser.
pub(super) fn wants_page(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    let program = path.starts_with("/api/")
        || path.starts_with("/aws/")
        || path.starts_with("/idc/")
        || path.starts_with("/oauth/")
        || matches!(path, "/healthz" | "/readyz");
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    !program && (accept.contains("text/html") || (accept.is_empty() && *method == Method::POST))
}

/// The middleware around everything.
///
/// # Errors
/// None in practice: whatever went wrong has become a response here.
pub async fn surround<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let around = request.app_data::<web::Data<Surroundings>>().expect("the application sets its surroundings").clone();
    let began = Instant::now();
    let mut random = [0_u8; 8];
    around.rng.fill(&mut random);
    let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let peer = request.peer_addr().map_or(IpAddr::from([127, 0, 0, 1]), |peer| peer.ip());
    let address = resolve_address(peer, request.headers(), &around.trusted_proxies);
    request.extensions_mut().insert(RequestId(id.clone()));
    request.extensions_mut().insert(ClientAddress(address));
    let by_stranger = sent_on_by_a_stranger(peer, request.headers(), &around.trusted_proxies);
    if by_stranger {
        warn_of_proxy(peer);
    }
    request.extensions_mut().insert(NetworkKnown(!by_stranger));
    let method = request.method().clone();
    let page = wants_page(&method, request.path(), request.headers());
    let dialect = Dialect::of(request.path());
    // For the log: a stranger may send 64 kB of path, and a method as long.
    let path = excerpt(loggable(request.path()));

    // A panic in a handler would close the connection without an answer.
    let outcome = AssertUnwindSafe(next.call(request)).catch_unwind().await;
    let mut response = match outcome {
        Ok(Ok(response)) => response.map_into_boxed_body(),
        // The request is gone with the panic, and with it the choice between page and document.
        Ok(Err(error)) => return Err(problem_of(&error).instance(&id).into()),
        Err(_panic) => {
            let problem = Problem::new(Kind::Internal).instance(&id);
            log_problem(&problem, &id, &address, &method, &path);
            return Err(problem.into());
        }
    };
    let rendered = response.response().error().map(|error| match error.as_error::<Problem>() {
        Some(problem) => {
            log_problem(problem, &id, &address, &method, &path);
            render(problem, &id, page, dialect, response.request())
        }
        None => {
            let problem = problem_of(error);
            log_problem(&problem, &id, &address, &method, &path);
            render(&problem, &id, page, dialect, response.request())
        }
    });
    if let Some(rendered) = rendered {
        response = response.into_response(rendered);
    }
    secure(response.headers_mut(), &around, &id);
    if dialect.is_aws() {
        // Where AWS's clients look for it; they print it in their debug logs.
        let id = HeaderValue::from_str(&id).expect("an id is hexadecimal");
        response.headers_mut().insert(HeaderName::from_static("x-amzn-requestid"), id);
    }
    let status = response.status();
    let elapsed_ms = began.elapsed().as_secs_f64() * 1e3;
    // One line per request; paths of ours hold no secret, queries may (tickets), so they stay out.
    if path == "/healthz" || path == "/readyz" || path.starts_with("/static/") {
        tracing::debug!(request.id = %id, http.method = verb(&method), http.path = %path, http.status = status.as_u16(), "request");
    } else {
        tracing::info!(
            request.id = %id, client.address = %address, http.method = verb(&method), http.path = %path,
            http.status = status.as_u16(), elapsed_ms = format_args!("{elapsed_ms:.1}"), "request"
        );
    }
    Ok(response)
}

/// The path without what names a waiting click.
fn loggable(path: &str) -> &str {
    ["/step-up/", "/continue/"].into_iter().find(|prefix| path.starts_with(prefix)).unwrap_or(path)
}

/// Something of the framework's own: keeps its meaning, drops its words.
fn problem_of(error: &Error) -> Problem {
    Problem::new(kind_for(error.as_response_error().status_code())).caused_by(error.to_string())
}

fn kind_for(status: StatusCode) -> Kind {
    match status {
        StatusCode::NOT_FOUND => Kind::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Kind::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => Kind::TooLarge,
        status if status.is_client_error() => Kind::BadRequest,
        _ => Kind::Internal,
    }
}

/// A method that exists; whatever else was sent is called "other".
fn verb(method: &Method) -> &str {
    let known = [
        Method::GET,
        Method::POST,
        Method::HEAD,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
        Method::PATCH,
        Method::TRACE,
        Method::CONNECT,
    ];
    if known.contains(method) { method.as_str() } else { "other" }
}

fn log_problem(problem: &Problem, id: &str, address: &IpAddr, method: &Method, path: &str) {
    let kind = problem.kind().slug();
    let causes = problem.causes();
    if problem.is_wait() {
        // The request has its own line.
        return;
    }
    if problem.kind().status().is_server_error() {
        tracing::error!(
            request.id = id, client.address = %address, http.method = verb(method), http.path = path,
            problem.type = kind, cause = causes, "{}", problem.sentence()
        );
    } else {
        tracing::info!(
            request.id = id, client.address = %address, http.method = verb(method), http.path = path,
            problem.type = kind, cause = causes, "{}", problem.sentence()
        );
    }
}

fn render(problem: &Problem, id: &str, page: bool, dialect: Dialect, request: &HttpRequest) -> HttpResponse {
    let status = dialect.status(problem);
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    if let Some(seconds) = problem.retry_after_secs() {
        response.insert_header((header::RETRY_AFTER, seconds.to_string()));
    }
    // RFC 6750 3: a program learns here that a token is what it lacks, or that the one it sent is the trouble.
    match problem.kind() {
        Kind::SignInRequired if !page => {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"rolegate\""));
        }
        Kind::TokenRefused => {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"rolegate\", error=\"invalid_token\""));
        }
        Kind::TokenScope => {
            response
                .insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"rolegate\", error=\"insufficient_scope\""));
        }
        _ => {}
    }
    if let Some(methods) = problem.allowed() {
        response.insert_header((header::ALLOW, methods));
    }
    if !page {
        let cookies = request.app_data::<web::Data<Cookies>>();
        let origin = cookies.map_or("", |cookies| cookies.origin());
        return dialect.write(problem, (id, origin), &mut response);
    }
    if problem.kind() == Kind::SignInRequired && *request.method() == Method::GET {
        let here = request.uri().path_and_query().map_or("/", |at| at.as_str());
        return HttpResponse::SeeOther()
            .insert_header((header::LOCATION, sign_in_and_return_to(here)))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .finish();
    }
    let link = |href: String, text: &str| vec![views::Link { href, text: text.to_owned() }];
    let came_from = request
        .app_data::<web::Data<Cookies>>()
        .and_then(|cookies| cookies.own_referer(request.headers()))
        .filter(|_| *request.method() == Method::POST)
        .map(|page| if is_revisitable(page.as_str()) { page } else { LocalPath::home() });
    let (detail, links) = match (problem.kind(), came_from) {
        // A form that was posted after the session ended: nothing was done, and there is a way back to where it stood.
        (Kind::SignInRequired, Some(page)) => (
            "Your session has ended, so nothing was done. Sign in to be back on the page you were on, and do it once more.",
            link(sign_in_and_return_to(page.as_str()), "Sign in and go back"),
        ),
        // One from a page of ours that was opened before its session was renewed, perhaps in another window.
        (Kind::CrossSite, Some(page)) => (problem.sentence(), link(page.to_string(), "Load that page again")),
        (kind, _) => (problem.sentence(), links(kind)),
    };
    let view = views::ProblemPage {
        shell: views::Shell::default(),
        status: status.as_u16(),
        title: problem.kind().title().to_owned(),
        detail: detail.to_owned(),
        next_steps: Vec::new(),
        retry_after: problem.retry_after_secs().map(|seconds| views::counted(seconds as usize, "second", "seconds")),
        support_id: id.to_owned(),
        links,
    };
    match view.render() {
        Ok(html) => response.content_type("text/html; charset=utf-8").body(html),
        Err(error) => {
            tracing::error!(request.id = id, cause = %error, "the problem page cannot be rendered");
            response.content_type("application/problem+json").body(problem.document(id))
        }
    }
}

/// The sign-in page, and afterwards that page of ours.
fn sign_in_and_return_to(page: &str) -> String {
    if page == "/" {
        return "/sign-in".to_owned();
    }
    let encoded: String = url::form_urlencoded::byte_serialize(page.as_bytes()).collect();
    format!("/sign-in?return_to={encoded}")
}

/// Whether an address of ours shows its page again: some pages answer a form, or count once.
fn is_revisitable(page: &str) -> bool {
    let path = page.split('?').next().unwrap_or_default();
    matches!(path, "/" | "/go" | "/sessions" | "/aws-config" | "/authorize" | "/device" | "/tokens")
        || (path.starts_with("/roles/") && path.ends_with("/why"))
}

/// The way on from a problem.
fn links(kind: Kind) -> Vec<views::Link> {
    let link = |href: &str, text: &str| views::Link { href: href.to_owned(), text: text.to_owned() };
    match kind {
        Kind::SignInRequired
        | Kind::SignInRefused
        | Kind::SignInExpired
        | Kind::SignInUnsolicited
        | Kind::SignInOtherBrowser
        | Kind::SignInReplayed
        | Kind::IdentityProviderError
        | Kind::IdentityProviderUnavailable
        | Kind::IdentityProviderSessionEnding
        | Kind::ConnectorUnknown => {
            // The first may lead straight to the catalog's default connector; the second never does.
            vec![link("/sign-in", "Sign in"), link("/sign-in?choose=1", "Use another way to sign in")]
        }
        // Whoever was signed in before still is.
        Kind::SignInNotReauthenticated => {
            vec![link("/", "Back to your roles"), link("/sign-in?choose=1", "Use another way to sign in")]
        }
        // Whatever became of it, this leads to the sign-in page only if nobody is signed in.
        Kind::SignOutRefused => vec![link("/", "Go to Rolegate")],
        _ => vec![link("/", "Back to your roles")],
    }
}

/// Headers that every answer carries.
fn secure(headers: &mut HeaderMap, around: &Surroundings, id: &str) {
    // Not `no-referrer`: under it browsers send `Origin: null` with our own forms, which would look cross-site.
    let fixed: [(HeaderName, &'static str); 6] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, around.content_security_policy.clone());
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        // Pages are about a person: nothing in between may keep them.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if around.https {
        headers
            .insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000; includeSubDomains"));
    }
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HeaderName::from_static("x-forwarded-for"), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_log_line_does_not_name_a_waiting_click() {
        assert_eq!(loggable("/continue/c3JmLXNhbXBsZS1zYW1wbGUtc2FtcGxlLXNhbXBsZS0"), "/continue/");
        assert_eq!(loggable("/step-up/x"), "/step-up/");
        assert_eq!(loggable("/roles/111122223333/continue/x"), "/roles/111122223333/continue/x");
    }

    #[test]
    fn nobody_is_led_back_to_a_page_that_answered_a_form() {
        for good in [
            "/",
            "/?q=a",
            "/go?account=1",
            "/sessions?ended=one",
            "/tokens?revoked=1",
            "/roles/111122223333/teams/x/why",
        ] {
            assert!(is_revisitable(good), "{good}");
        }
        for bad in ["/roles/111122223333/x/credentials", "/continue/x", "/step-up/x", "/saml/okta/finish", "/sign-out"]
        {
            assert!(!is_revisitable(bad), "{bad}");
        }
    }

    #[test]
    fn a_log_line_names_methods_that_exist() {
        assert_eq!(verb(&Method::POST), "POST");
        assert_eq!(verb(&Method::from_bytes(&[b'A'; 5_000]).unwrap()), "other");
    }

    #[test]
    fn only_trusted_proxies_are_believed_about_the_client_address() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let see = |peer: &str, forwarded: &[&str]| {
            resolve_address(peer.parse().unwrap(), &headers(forwarded), &trusted).to_string()
        };
        assert_eq!(see("192.0.2.1", &["198.51.100.7"]), "192.0.2.1", "a stranger's header is not believed");
        assert_eq!(see("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(see("10.0.0.1", &["203.0.113.9, 198.51.100.7, 10.0.0.2"]), "198.51.100.7", "the rest is hearsay");
        assert_eq!(see("10.0.0.1", &["203.0.113.9", "198.51.100.7"]), "198.51.100.7");
        assert_eq!(see("10.0.0.1", &["junk"]), "10.0.0.1");
        assert_eq!(see("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(see("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn whom_a_proxy_speaks_for_that_nobody_named_is_not_known() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let stranger =
            |peer: &str, headers: &HeaderMap| sent_on_by_a_stranger(peer.parse().unwrap(), headers, &trusted);
        let mut standard = HeaderMap::new();
        standard.insert(header::FORWARDED, HeaderValue::from_static("for=198.51.100.7"));
        for sent in [&headers(&["198.51.100.7"]), &standard] {
            assert!(stranger("192.0.2.1", sent) && !stranger("10.0.0.1", sent) && !stranger("::ffff:10.0.0.1", sent));
        }
        assert!(!stranger("192.0.2.1", &headers(&[])));
    }
}
