//! Cookies, and who is behind a request.

use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, HeaderName, ORIGIN, REFERER};
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::LocalBoxFuture;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;

use super::fields::{Fields, read_form};
use super::problem::{Kind, Problem};
use crate::flows::sessions::LiveSession;
use crate::sys::{LocalPath, Rng, Token};

/// How cookies are named and marked; one per application.
#[derive(Debug, Clone)]
pub struct Cookies {
    https: bool,
    /// Our own origin, for comparing with `Origin`.
    origin: String,
}

impl Cookies {
    #[must_use]
    pub fn new(public_url: &url::Url) -> Self {
        Self { https: public_url.scheme() == "https", origin: public_url.origin().ascii_serialization() }
    }

    /// Scheme, host and port of every address of ours.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    fn name(&self, name: &'static str) -> String {
        // `__Host-` makes browsers refuse the cookie from a subdomain, another path, or without TLS.
        if self.https { format!("__Host-{name}") } else { name.to_owned() }
    }

    fn cookie(&self, name: &'static str, value: String) -> Cookie<'static> {
        Cookie::build(self.name(name), value)
            .path("/")
            .http_only(true)
            .secure(self.https)
            .same_site(SameSite::Lax)
            .finish()
    }

    /// The session cookie. It ends with the browser; how long the session counts is decided at the server.
    #[must_use]
    pub fn session(&self, token: &Token) -> Cookie<'static> {
        self.cookie(SESSION, token.expose_secret().to_owned())
    }

    /// The cookie that ties a sign-in to the browser that began it.
    #[must_use]
    pub fn browser(&self, token: &Token) -> Cookie<'static> {
        self.cookie(BROWSER, token.expose_secret().to_owned())
    }

    /// Remembers which connector was used last. Not a secret.
    #[must_use]
    pub fn connector(&self, id: &str) -> Cookie<'static> {
        let mut cookie = self.cookie(CONNECTOR, id.to_owned());
        cookie.set_max_age(actix_web::cookie::time::Duration::days(180));
        cookie
    }

    #[must_use]
    pub fn forget_session(&self) -> Cookie<'static> {
        self.forget(SESSION)
    }

    fn forget(&self, name: &'static str) -> Cookie<'static> {
        let mut cookie = self.cookie(name, String::new());
        cookie.make_removal();
        cookie
    }

    fn token(&self, request: &HttpRequest, name: &'static str) -> Option<Token> {
        Token::parse(request.cookie(&self.name(name))?.value())
    }

    #[must_use]
    pub fn session_token(&self, request: &HttpRequest) -> Option<Token> {
        self.token(request, SESSION)
    }

    #[must_use]
    pub fn browser_token(&self, request: &HttpRequest) -> Option<Token> {
        self.token(request, BROWSER)
    }

    #[must_use]
    pub fn last_connector(&self, request: &HttpRequest) -> Option<String> {
        Some(request.cookie(&self.name(CONNECTOR))?.value().to_owned())
    }

    /// Refuses what a page of another site made the browser send.
    ///
    /// `Sec-Fetch-Site` cannot be forged by a page; where it is missing (old browsers), `Origin` must be ours. A
    /// program that sends neither is no browser and carries no cookie by accident.
    ///
    /// # Errors
    /// [`Kind::CrossSite`].
    pub fn same_origin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("").to_owned());
        let refused = || Err(Problem::new(Kind::CrossSite));
        match text(HeaderName::from_static("sec-fetch-site")).as_deref() {
            Some("same-origin" | "none") => {}
            Some(_) => return refused(),
            None => {}
        }
        match text(ORIGIN) {
            Some(origin) if origin != self.origin => refused(),
            _ => Ok(()),
        }
    }

    /// Whether a page of ours may have caused this request, rather than a typed address or another site.
    #[must_use]
    pub fn from_own_page(&self, headers: &HeaderMap) -> bool {
        match headers.get("sec-fetch-site") {
            Some(site) => site.as_bytes() == b"same-origin",
            // Old browsers do not say, but name the page: our policy lets them do so on this site only.
            None => self.own_referer(headers).is_some(),
        }
    }

    /// The page of ours that the person was on, where the browser says so.
    #[must_use]
    pub fn own_referer(&self, headers: &HeaderMap) -> Option<LocalPath> {
        let path = headers.get(REFERER)?.to_str().ok()?.strip_prefix(&self.origin)?;
        LocalPath::parse(path)
    }
}

const SESSION: &str = "rolegate";
const BROWSER: &str = "rolegate-browser";
const CONNECTOR: &str = "rolegate-connector";

/// What a form of this session proves: bound to one session, useless without its cookie.
fn csrf_secret(session: &Token) -> [u8; 32] {
    let key = PKey::hmac(session.expose_secret().as_bytes()).expect("43 characters make an HMAC key");
    let mut mac = Signer::new(MessageDigest::sha256(), &key).expect("HMAC with SHA-256 is always there");
    mac.update(b"rolegate csrf v1").expect("HMAC takes any bytes");
    mac.sign_to_vec().expect("HMAC takes any bytes").try_into().expect("SHA-256 is 32 bytes")
}

/// The value that our forms carry in their `csrf` field.
///
/// It looks different in every answer: a random pad, then the secret under that pad. Pages are compressed and repeat
/// what was typed into the filter; an unchanging secret beside that could be guessed from the length (BREACH).
#[must_use]
pub fn csrf_token(session: &Token, rng: &dyn Rng) -> String {
    let mut value = [0_u8; 64];
    rng.fill(&mut value[..32]);
    for (at, byte) in csrf_secret(session).into_iter().enumerate() {
        value[32 + at] = byte ^ value[at];
    }
    URL_SAFE_NO_PAD.encode(value)
}

/// Whether a form's `csrf` field belongs to the session.
#[must_use]
pub fn csrf_matches(session: &Token, sent: &str) -> bool {
    let Ok(value) = URL_SAFE_NO_PAD.decode(sent) else { return false };
    let Ok(value) = <[u8; 64]>::try_from(value) else { return false };
    let mut secret = [0_u8; 32];
    for (at, byte) in secret.iter_mut().enumerate() {
        *byte = value[at] ^ value[32 + at];
    }
    openssl::memcmp::eq(&secret, &csrf_secret(session))
}

/// Somebody with a live session. The gate of the route put it there; see `web::routes`.
#[derive(Debug, Clone)]
pub struct SignedIn(pub LiveSession);

impl FromRequest for SignedIn {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let session = request.extensions().get::<LiveSession>().cloned();
        std::future::ready(session.map(Self).ok_or_else(|| Problem::new(Kind::SignInRequired)))
    }
}

/// A form of ours, posted by one of our own pages in a live session.
#[derive(Debug)]
pub struct CsrfForm(pub Fields);

impl FromRequest for CsrfForm {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let cookies = request.app_data::<web::Data<Cookies>>().expect("the application sets its cookies").clone();
            cookies.same_origin(request.headers())?;
            let session = {
                let extensions = request.extensions();
                extensions.get::<LiveSession>().ok_or_else(|| Problem::new(Kind::SignInRequired))?.token.clone()
            };
            let fields = read_form(&request, &mut payload).await?;
            if !csrf_matches(&session, fields.get("csrf").unwrap_or("")) {
                return Err(Problem::new(Kind::CrossSite).detail(
                    "The page was opened before you last signed in, or is not ours. Nothing was done: load it again and press once more.",
                ));
            }
            Ok(Self(fields))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::SeededRng;
    use actix_web::http::header::HeaderValue;

    #[test]
    fn cookies_are_bound_to_the_host_where_there_is_tls() {
        let token = Token::generate(&SeededRng::new(1));
        let https = Cookies::new(&"https://rolegate.example".parse().unwrap()).session(&token).to_string();
        assert!(https.starts_with("__Host-rolegate="), "{https}");
        for attribute in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
            assert!(https.contains(attribute), "{https}");
        }
        assert!(!https.contains("Domain"));
        let http = Cookies::new(&"http://127.0.0.1:8080".parse().unwrap()).session(&token).to_string();
        assert!(http.starts_with("rolegate=") && !http.contains("Secure"), "{http}");
    }

    #[test]
    fn a_csrf_value_belongs_to_one_session() {
        let rng = SeededRng::new(1);
        let (one, other) = (Token::generate(&rng), Token::generate(&rng));
        let value = csrf_token(&one, &rng);
        assert!(csrf_matches(&one, &value));
        assert!(!csrf_matches(&other, &value));
        assert_ne!(value, csrf_token(&one, &rng), "it looks different every time");
        for junk in ["", "x", &value[1..], &value.replace(&value[40..44], "AAAA")] {
            assert!(!csrf_matches(&one, junk), "{junk}");
        }
    }

    #[test]
    fn the_page_somebody_was_on_is_known_only_when_it_is_ours() {
        let cookies = Cookies::new(&"https://rolegate.example".parse().unwrap());
        let back = |referer: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(REFERER, HeaderValue::from_static(referer));
            assert_eq!(cookies.from_own_page(&headers), cookies.own_referer(&headers).is_some());
            cookies.own_referer(&headers).map(|path| path.to_string())
        };
        assert_eq!(back("https://rolegate.example/?q=a").as_deref(), Some("/?q=a"));
        for other in
            ["https://evil.example/", "https://rolegate.example.evil.example/", "https://rolegate.example:444/", "junk"]
        {
            assert_eq!(back(other), None, "{other}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("sec-fetch-site"), HeaderValue::from_static("cross-site"));
        assert!(!cookies.from_own_page(&headers));
        headers.insert(HeaderName::from_static("sec-fetch-site"), HeaderValue::from_static("same-origin"));
        assert!(cookies.from_own_page(&headers));
    }

    #[test]
    fn a_request_that_another_site_caused_is_refused() {
        let cookies = Cookies::new(&"https://rolegate.example".parse().unwrap());
        let judge = |site: Option<&str>, origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(site) = site {
                headers.insert(HeaderName::from_static("sec-fetch-site"), HeaderValue::from_str(site).unwrap());
            }
            if let Some(origin) = origin {
                headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
            }
            cookies.same_origin(&headers).is_ok()
        };
        assert!(judge(Some("same-origin"), Some("https://rolegate.example")));
        assert!(judge(None, Some("https://rolegate.example")));
        assert!(judge(None, None), "a program");
        assert!(!judge(Some("cross-site"), None));
        assert!(!judge(Some("same-site"), Some("https://rolegate.example")));
        assert!(!judge(None, Some("https://evil.example")));
        assert!(!judge(None, Some("null")));
        assert!(!judge(Some("same-origin"), Some("https://evil.example")));
    }
}
