//! The development identity provider, asked by a relying party written by hand.

use std::collections::BTreeMap;
use std::sync::Mutex;

use actix_web::{HttpRequest, HttpResponse, web};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::sha::sha256;
use openssl::sign::Verifier;
use rolegate::sandbox::{ClientAuthentication, OidcClient};
use serde_json::{Value, json};

use super::*;
use crate::browser_client::{Browser, Page};

const SECRET: &str = "a secret: 100% + more";
const VERIFIER: &str = "a-verifier-of-this-test-that-is-long-enough-1234";
const MFA: &str = "https://refeds.org/profile/mfa";
const PASSWORD: &str = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport";

/// An application: everything that is sent to it is answered with a word and noted.
struct Application {
    base: Url,
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl Application {
    fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        // Another site than the identity provider's.
        let base: Url = format!("http://localhost:{}/", listener.local_addr().unwrap().port()).parse().unwrap();
        let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let notes = Arc::clone(&seen);
        let server = HttpServer::new(move || {
            let notes = Arc::clone(&notes);
            App::new().default_service(web::to(move |request: HttpRequest, body: web::Bytes| {
                let body = String::from_utf8_lossy(&body).into_owned();
                notes.lock().unwrap().push((request.path().to_owned(), body));
                async { HttpResponse::Ok().body("the application") }
            }))
        });
        actix_web::rt::spawn(server.workers(1).disable_signals().listen(listener).unwrap().run());
        Self { base, seen }
    }

    fn at(&self, path: &str) -> String {
        self.base.join(path).unwrap().into()
    }

    /// The logout tokens it got.
    fn logout_tokens(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let posts = seen.iter().filter(|(path, _)| path == "/logout-token");
        posts.map(|(_, body)| body.strip_prefix("logout_token=").unwrap().to_owned()).collect()
    }
}

/// The identity provider, an application that is registered in four ways, and the key of one of them.
struct Scene {
    idp: Running,
    app: Application,
}

impl Scene {
    fn start() -> Self {
        Self::start_with(|_| {})
    }

    fn start_with(change: impl FnOnce(&mut SandboxConfig)) -> Self {
        let app = Application::start();
        let client = |id: &str, authentication| OidcClient {
            id: id.to_owned(),
            authentication,
            redirect_uris: vec![app.at("callback"), app.at("callback?tenant=1")],
            post_logout_redirect_uris: vec![app.at("bye")],
            backchannel_logout_uri: Some(app.at("logout-token").parse().unwrap()),
        };
        let secret = || ClientAuthentication::Secret(SECRET.into());
        let clients = vec![
            client("the app", secret()),
            client("other", secret()),
            client("public", ClientAuthentication::Public),
            client("keys", ClientAuthentication::Keys(MetadataSource::Inline(jwks_of(&TRUSTED)))),
        ];
        let idp = Running::start_with(|config| {
            config.oidc_clients = clients;
            change(config);
        });
        Self { idp, app }
    }

    fn issuer(&self) -> String {
        self.idp.at("/idp/oidc").into()
    }

    /// A request with everything right, changed as a test wants; no value leaves a parameter out.
    fn ask(&self, changes: &[(&str, &str)]) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(sha256(VERIFIER.as_bytes()));
        let callback = self.app.at("callback");
        let mut params = BTreeMap::from([
            ("client_id", "the app"),
            ("redirect_uri", callback.as_str()),
            ("response_type", "code"),
            ("scope", "openid profile email"),
            ("state", "the state & more"),
            ("nonce", "the nonce"),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ]);
        for (name, value) in changes {
            params.insert(name, value);
        }
        params.retain(|_, value| !value.is_empty());
        let mut url = self.idp.at("/idp/oidc/authorize");
        url.query_pairs_mut().extend_pairs(params);
        url.into()
    }

    /// Signs in and gives what the application got.
    async fn sign_in(&self, browser: &mut Browser, person: &str, changes: &[(&str, &str)]) -> BTreeMap<String, String> {
        let page = browser.get(&self.ask(changes)).await;
        let page = browser.submit(&page.form_with("pending").set("person", person)).await;
        got(&onward(browser, page).await)
    }

    /// Exchanges a code as `the app` does, with changes to the form.
    async fn exchange(&self, code: &str, changes: &[(&str, &str)]) -> Reply {
        self.exchange_as("the app", SECRET, code, changes).await
    }

    async fn exchange_as(&self, id: &str, secret: &str, code: &str, changes: &[(&str, &str)]) -> Reply {
        let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret))));
        self.token(Some(&basic), code, changes).await
    }

    async fn token(&self, authorization: Option<&str>, code: &str, changes: &[(&str, &str)]) -> Reply {
        let callback = self.app.at("callback");
        let mut form = BTreeMap::from([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &callback),
            ("code_verifier", VERIFIER),
        ]);
        for (name, value) in changes {
            form.insert(name, value);
        }
        form.retain(|_, value| !value.is_empty());
        let mut request = self.idp.client.post(self.idp.at("/idp/oidc/token")).form(&form);
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        Reply::of(request).await
    }

    async fn userinfo(&self, token: &str) -> Reply {
        Reply::of(self.idp.client.get(self.idp.at("/idp/oidc/userinfo")).bearer_auth(token)).await
    }

    async fn get_json(&self, path: &str) -> Value {
        Reply::of(self.idp.client.get(self.idp.at(path))).await.body
    }

    /// The claims of a token, verified with a key of the JWK set.
    async fn verified(&self, token: &str, typ: &str) -> Value {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let part = |text: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let (header, claims) = (part(header), part(claims));
        assert_eq!((header["alg"].as_str(), header["typ"].as_str()), (Some("RS256"), Some(typ)));
        let jwks = self.get_json("/idp/oidc/jwks.json").await;
        let keys = jwks["keys"].as_array().unwrap();
        let jwk = keys.iter().find(|key| key["kid"] == header["kid"]).expect("the key is published");
        let number = |name: &str| {
            openssl::bn::BigNum::from_slice(&URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap()).unwrap()
        };
        let key = PKey::from_rsa(Rsa::from_public_components(number("n"), number("e")).unwrap()).unwrap();
        let mut verifier = Verifier::new(MessageDigest::sha256(), &key).unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert!(verifier.verify_oneshot(&signature, signed.as_bytes()).unwrap());
        claims
    }
}

/// What an endpoint for programs answered.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl Reply {
    async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.json().await.unwrap() }
    }

    fn text(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    #[track_caller]
    fn is_refused(&self, status: u16, error: &str, words: &str) {
        assert_eq!((self.status, self.body["error"].as_str()), (status, Some(error)), "{self:?}");
        assert!(self.text("error_description").contains(words), "{words} is not in {self:?}");
        assert_eq!(self.headers["cache-control"], "no-store");
        assert_eq!(self.headers.contains_key("www-authenticate"), status == 401);
    }
}

fn jwks_of(key: &SigningKey) -> String {
    let rsa = key.private_key().rsa().unwrap();
    let number = |n: &openssl::bn::BigNumRef| URL_SAFE_NO_PAD.encode(n.to_vec());
    json!({ "keys": [{ "kty": "RSA", "kid": "k1", "n": number(rsa.n()), "e": number(rsa.e()) }] }).to_string()
}

/// Goes where the identity provider leads, as a browser does by itself.
async fn onward(browser: &mut Browser, page: Page) -> Page {
    if page.body.contains("http-equiv=\"refresh\"") {
        let link = page.link("http");
        browser.follow(&link).await
    } else if page.body.contains("data-submit-at-once") {
        browser.submit(&page.forms()[0]).await
    } else {
        page
    }
}

/// The parameters the application got.
fn got(page: &Page) -> BTreeMap<String, String> {
    assert_eq!((page.status, page.body.as_str()), (200, "the application"), "{}", page.url);
    page.url.query_pairs().into_owned().collect()
}

#[actix_web::test]
async fn somebody_is_chosen_and_vouched_for_with_a_token() {
    let scene = Scene::start();
    let mut browser = Browser::new();
    let page = browser.get(&scene.ask(&[])).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("OpenID Connect") && page.body.contains("value=\"zoe\""), "{}", page.body);
    let answer = scene.sign_in(&mut browser, "zoe", &[]).await;
    assert_eq!(answer["state"], "the state & more");
    assert_eq!(answer["iss"], scene.issuer());

    scene.idp.clock.advance_secs(20);
    let reply = scene.exchange(&answer["code"], &[]).await;
    assert_eq!((reply.status, reply.text("token_type")), (200, "Bearer"), "{reply:?}");
    assert_eq!(reply.headers["cache-control"], "no-store");
    assert_eq!((reply.body["expires_in"].as_i64(), reply.text("scope")), (Some(600), "openid profile email"));
    let claims = scene.verified(reply.text("id_token"), "JWT").await;
    let now = scene.idp.clock.now().as_second();
    let at_hash = URL_SAFE_NO_PAD.encode(&sha256(reply.text("access_token").as_bytes())[..16]);
    for (name, value) in [
        ("iss", json!(scene.issuer())),
        ("aud", json!("the app")),
        ("azp", json!("the app")),
        ("nonce", json!("the nonce")),
        ("iat", json!(now)),
        ("exp", json!(now + 600)),
        ("auth_time", json!(now - 20)),
        ("acr", json!(PASSWORD)),
        ("amr", json!(["pwd"])),
        ("at_hash", json!(at_hash)),
        ("name", json!("Zoë \"Zed\" O'Brien & Müller")),
        ("displayName", json!("Zoë \"Zed\" O'Brien & Müller")),
        ("preferred_username", json!("zoe")),
        ("email", json!("zoe.obrien@larkspur.example")),
        ("email_verified", json!(true)),
        ("groups", json!(["all-staff", "engineering", "team-data", "data-science"])),
        ("title", json!("Data scientist <forecasting>")),
        ("department", json!("Research and Development")),
        ("costCenter", json!("CC-3300")),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    let subject = claims["sub"].as_str().unwrap();
    assert!(subject.len() >= 20 && !subject.contains("zoe"), "{subject}");
    assert!(claims["sid"].as_str().unwrap().len() >= 32);

    let userinfo = scene.userinfo(reply.text("access_token")).await;
    assert_eq!(userinfo.status, 200);
    for name in ["sub", "name", "email", "email_verified", "groups", "department"] {
        assert_eq!(userinfo.body[name], claims[name], "{name}");
    }
    assert!(userinfo.body.get("iss").is_none());
    // Another sandbox, another run: the same person.
    let elsewhere = Scene::start();
    let answer = elsewhere.sign_in(&mut Browser::new(), "zoe", &[]).await;
    let reply = elsewhere.exchange(&answer["code"], &[]).await;
    assert_eq!(elsewhere.verified(reply.text("id_token"), "JWT").await["sub"], subject);
}

#[actix_web::test]
async fn discovery_promises_what_there_is() {
    let scene = Scene::start();
    let document = scene.get_json("/idp/oidc/.well-known/openid-configuration").await;
    let base = scene.idp.base.as_str().trim_end_matches('/');
    let text = serde_json::to_string_pretty(&document).unwrap().replace(base, "https://idp.example");
    insta::assert_snapshot!("discovery", text);
    for name in ["userinfo_endpoint", "jwks_uri", "authorization_endpoint", "end_session_endpoint"] {
        let status = scene.idp.client.get(document[name].as_str().unwrap()).send().await.unwrap().status();
        assert!(status != 404 && status != 405, "{name}: {status}");
    }
}

#[actix_web::test]
async fn scopes_decide_what_is_said() {
    let scene = Scene::start();
    for (scope, there, missing) in [
        ("openid", "sub", "name"),
        ("openid", "sub", "email"),
        ("openid", "sub", "groups"),
        ("openid email", "email", "groups"),
        ("openid groups", "groups", "name"),
        ("openid profile unheard-of", "groups", "email"),
    ] {
        let answer = scene.sign_in(&mut Browser::new(), "lin", &[("scope", scope)]).await;
        let reply = scene.exchange(&answer["code"], &[]).await;
        let claims = scene.verified(reply.text("id_token"), "JWT").await;
        let userinfo = scene.userinfo(reply.text("access_token")).await.body;
        assert!(claims.get(there).is_some() && userinfo.get(there).is_some(), "{scope}: {claims}");
        assert!(claims.get(missing).is_none() && userinfo.get(missing).is_none(), "{scope}: {claims}");
    }
}

#[actix_web::test]
async fn an_answer_may_be_posted_and_an_address_may_have_a_query() {
    let scene = Scene::start();
    let mut browser = Browser::new();
    let page = browser.get(&scene.ask(&[("response_mode", "form_post")])).await;
    let page = browser.submit(&page.form_with("pending").set("person", "lin")).await;
    let csp = page.headers["content-security-policy"].to_str().unwrap();
    let origin = scene.app.base.origin().ascii_serialization();
    assert!(csp.contains(&format!("form-action 'self' {origin};")), "{csp}");
    let form = page.form_with("code");
    assert_eq!((form.value("state"), form.value("iss")), (Some("the state & more"), Some(scene.issuer().as_str())));
    assert_eq!(form.action.as_str(), scene.app.at("callback"));
    assert_eq!(scene.exchange(form.value("code").unwrap(), &[]).await.status, 200);

    let tenant = scene.app.at("callback?tenant=1");
    let page = browser.get(&scene.ask(&[("redirect_uri", &tenant)])).await;
    let answer = got(&page);
    assert_eq!((answer["tenant"].as_str(), answer["state"].as_str()), ("1", "the state & more"));
    assert_eq!(scene.exchange(&answer["code"], &[("redirect_uri", &tenant)]).await.status, 200);
}

#[actix_web::test]
async fn a_request_that_could_be_anybodys_gets_a_page_and_never_a_redirect() {
    let scene = Scene::start();
    let mut browser = Browser::new();
    scene.sign_in(&mut browser, "lin", &[]).await;
    let seen = scene.app.seen.lock().unwrap().len();
    let slash = scene.app.at("callback/");
    for (url, words) in [
        (scene.ask(&[("client_id", "")]), "no client_id"),
        (scene.ask(&[("client_id", "nobody")]), "No client `nobody`"),
        (scene.ask(&[("redirect_uri", "")]), "no redirect_uri"),
        (scene.ask(&[("redirect_uri", "https://evil.example/")]), "has not registered"),
        (scene.ask(&[("redirect_uri", &slash)]), "has not registered"),
        (scene.ask(&[]) + "&client_id=the+app", "client_id is there more than once"),
        (scene.ask(&[]) + "&state=x", "state is there more than once"),
        (scene.ask(&[]) + "&%72edirect_uri=https://evil.example/", "redirect_uri is there more than once"),
    ] {
        let page = browser.get(&url).await;
        assert_eq!(page.status, 400, "{words}");
        assert!(page.body.contains(words), "{words} is not in {}", page.body);
    }
    assert_eq!(scene.app.seen.lock().unwrap().len(), seen);
}

#[actix_web::test]
async fn a_mistake_of_a_known_application_is_told_to_it() {
    let scene = Scene::start();
    let long = "x".repeat(2_001);
    for (changes, error) in [
        ([("response_type", "")].as_slice(), "invalid_request"),
        (&[("response_type", "token")], "unsupported_response_type"),
        (&[("response_type", "code id_token")], "unsupported_response_type"),
        (&[("response_mode", "fragment")], "invalid_request"),
        (&[("scope", "profile")], "invalid_scope"),
        (&[("scope", "")], "invalid_scope"),
        (&[("code_challenge", "")], "invalid_request"),
        (&[("code_challenge", "short")], "invalid_request"),
        (&[("code_challenge_method", "")], "invalid_request"),
        (&[("code_challenge_method", "plain")], "invalid_request"),
        (&[("prompt", "none login")], "invalid_request"),
        (&[("prompt", "consent")], "invalid_request"),
        (&[("max_age", "-1")], "invalid_request"),
        (&[("max_age", "soon")], "invalid_request"),
        (&[("nonce", &long)], "invalid_request"),
        (&[("id_token_hint", "e30.e30.e30")], "invalid_request"),
        (&[("request", "e30.e30.")], "request_not_supported"),
        (&[("request_uri", "https://x.example/")], "request_uri_not_supported"),
        (&[("registration", "{}")], "registration_not_supported"),
        (&[("prompt", "none")], "login_required"),
    ] {
        let answer = got(&Browser::new().get(&scene.ask(changes)).await);
        assert_eq!(answer["error"], error, "{changes:?} {answer:?}");
        assert!(!answer["error_description"].is_empty() && !answer.contains_key("code"));
        assert_eq!((&answer["state"], &answer["iss"]), (&"the state & more".to_owned(), &scene.issuer()));
    }
    let mut browser = Browser::new();
    let answer = scene.sign_in(&mut browser, "", &[]).await;
    assert_eq!((answer["error"].as_str(), answer["iss"].as_str()), ("access_denied", scene.issuer().as_str()));
    let page = browser.get(&scene.ask(&[("prompt", "none"), ("response_mode", "form_post")])).await;
    assert_eq!(page.form_with("error").value("error"), Some("login_required"));
}

#[actix_web::test]
async fn whoever_is_signed_in_is_asked_again_only_where_the_application_wants_it() {
    let scene = Scene::start();
    let mut browser = Browser::new();
    scene.sign_in(&mut browser, "lin", &[]).await;
    scene.idp.clock.advance_secs(100);
    let passes = [
        [("prompt", "none")].as_slice(),
        &[],
        &[("max_age", "100")],
        &[("max_age", "100"), ("prompt", "none")],
        &[("login_hint", "LIN.wei@larkspur.example")],
        &[("login_hint", "a stranger")],
        &[("acr_values", PASSWORD)],
        &[("acr_values", &format!("{MFA} {PASSWORD}"))],
        &[("acr_values", "urn:unheard-of")],
        // A wish, where nobody may be asked.
        &[("acr_values", MFA), ("prompt", "none")],
        &[("login_hint", "asha"), ("prompt", "none")],
    ];
    for changes in passes {
        assert!(got(&browser.get(&scene.ask(changes)).await).contains_key("code"), "{changes:?}");
    }
    for (changes, words) in [
        ([("prompt", "login")].as_slice(), "say it again"),
        (&[("prompt", "select_account")], "say it again"),
        (&[("max_age", "99")], "say it again"),
        (&[("max_age", "0")], "say it again"),
        (&[("acr_values", MFA)], "another way to sign in"),
        (&[("login_hint", "asha.raman@larkspur.example")], "It expects Asha Raman"),
    ] {
        let page = browser.get(&scene.ask(changes)).await;
        assert!(page.has_form_with("pending") && page.body.contains(words), "{changes:?}: {}", page.body);
    }
    let answer = got(&browser.get(&scene.ask(&[("prompt", "none"), ("max_age", "99")])).await);
    assert_eq!(answer["error"], "login_required");
    // The form of an application on another site comes without a cookie; the person is known all the same.
    let ask: Url = scene.ask(&[]).parse().unwrap();
    let fields = ask.query_pairs().into_owned().collect();
    let mut action = ask.clone();
    action.set_query(None);
    let form = crate::browser_client::Form { page: scene.app.base.clone(), action, post: true, fields };
    let page = browser.submit(&form).await;
    let page = onward(&mut browser, page).await;
    assert!(got(&page).contains_key("code"));

    scene.idp.clock.advance_secs(8 * 3600);
    assert!(browser.get(&scene.ask(&[])).await.has_form_with("pending"));
}

#[actix_web::test]
async fn a_stronger_sign_in_is_suggested_where_it_is_asked_for_and_said_if_it_was_used() {
    let scene = Scene::start();
    let mut browser = Browser::new();
    let first = scene.sign_in(&mut browser, "lin", &[]).await;
    let first = scene.exchange(&first["code"], &[]).await;
    let first = scene.verified(first.text("id_token"), "JWT").await;
    scene.idp.clock.advance_secs(60);

    let step_up = scene.ask(&[("acr_values", MFA)]);
    let page = browser.get(&step_up).await;
    assert_eq!(page.form_with("pending").value("strength"), Some("security-key"));
    let page = browser.submit(&page.form_with("pending").set("person", "lin")).await;
    let answer = got(&onward(&mut browser, page).await);
    let reply = scene.exchange(&answer["code"], &[]).await;
    let claims = scene.verified(reply.text("id_token"), "JWT").await;
    assert_eq!((&claims["acr"], &claims["amr"]), (&json!(MFA), &json!(["pwd", "hwk", "mfa"])));
    assert_eq!(claims["auth_time"].as_i64(), first["auth_time"].as_i64().map(|at| at + 60));
    assert_eq!(claims["sid"], first["sid"], "the same person in the same browser is the same session");

    // Somebody who does not want to is told on, and the application sees it.
    let page = browser.get(&scene.ask(&[("acr_values", MFA), ("prompt", "login")])).await;
    let page = browser.submit(&page.form_with("pending").set("person", "lin").set("strength", "password")).await;
    let answer = got(&onward(&mut browser, page).await);
    let reply = scene.exchange(&answer["code"], &[]).await;
    assert_eq!(scene.verified(reply.text("id_token"), "JWT").await["acr"], PASSWORD);

    let page = browser.get(&scene.ask(&[("prompt", "login")])).await;
    assert_eq!(page.form_with("pending").value("strength"), Some("password"));
    let forged = page.form_with("pending").set("person", "lin").set("strength", "wishing");
    assert_eq!(browser.submit(&forged).await.status, 400);
}

#[actix_web::test]
async fn an_id_token_shown_again_stands_for_its_person_alone() {
    let scene = Scene::start();
    let mut browser = Browser::new();
    let answer = scene.sign_in(&mut browser, "lin", &[]).await;
    let id_token = scene.exchange(&answer["code"], &[]).await.text("id_token").to_owned();
    let hinted = [("id_token_hint", id_token.as_str())];
    assert!(got(&browser.get(&scene.ask(&hinted)).await).contains_key("code"));

    let mut other = Browser::new();
    scene.sign_in(&mut other, "asha", &[]).await;
    let quietly = scene.ask(&[hinted[0], ("prompt", "none")]);
    assert_eq!(got(&other.get(&quietly).await)["error"], "login_required");
    let page = other.get(&scene.ask(&hinted)).await;
    assert!(page.body.contains("It expects Lin Wei"), "{}", page.body);
    let page = other.submit(&page.form_with("pending").set("person", "asha")).await;
    assert_eq!(got(&onward(&mut other, page).await)["error"], "login_required");
}

#[actix_web::test]
async fn a_code_works_once_and_what_it_gave_is_taken_back_when_it_comes_again() {
    let scene = Scene::start();
    let code = scene.sign_in(&mut Browser::new(), "lin", &[]).await["code"].clone();
    for (changes, error, words) in [
        ([("code", "")].as_slice(), "invalid_request", "no code"),
        (&[("grant_type", "")], "invalid_request", "no grant_type"),
        (&[("grant_type", "refresh_token")], "unsupported_grant_type", "authorization_code"),
        (&[("redirect_uri", "")], "invalid_request", "no redirect_uri"),
        (&[("code_verifier", "")], "invalid_request", "no code_verifier"),
        (&[("code_verifier", "short")], "invalid_request", "43 to 128"),
        (&[("code", "made-up")], "invalid_grant", "unknown"),
        (&[("redirect_uri", "https://app.example/")], "invalid_grant", "redirect_uri"),
        (&[("code_verifier", &VERIFIER.replace('a', "b"))], "invalid_grant", "code_verifier"),
    ] {
        scene.exchange(&code, changes).await.is_refused(400, error, words);
    }
    scene.exchange_as("other", SECRET, &code, &[]).await.is_refused(400, "invalid_grant", "another client");
    let reply = scene.exchange(&code, &[]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let token = reply.text("access_token");
    assert_eq!(scene.userinfo(token).await.status, 200);
    // Somebody who has the code and is not the client takes nothing away.
    scene.exchange_as("other", SECRET, &code, &[]).await.is_refused(400, "invalid_grant", "another client");
    assert_eq!(scene.userinfo(token).await.status, 200);
    scene.exchange(&code, &[]).await.is_refused(400, "invalid_grant", "used before");
    assert_eq!(scene.userinfo(token).await.status, 401);

    let code = scene.sign_in(&mut Browser::new(), "lin", &[]).await["code"].clone();
    scene.idp.clock.advance_secs(60);
    scene.exchange(&code, &[]).await.is_refused(400, "invalid_grant", "expired");
}

#[actix_web::test]
async fn a_client_shows_who_it_is_in_the_one_way_it_is_registered_for() {
    let scene = Scene::start();
    let fresh =
        async |client| scene.sign_in(&mut Browser::new(), "lin", &[("client_id", client)]).await["code"].clone();
    let raw = |pair: &str| format!("Basic {}", STANDARD.encode(pair));

    let code = fresh("the app").await;
    let unencoded = raw(&format!("the app:{SECRET}"));
    let encoded = raw("the+app:a+secret%3A+100%25+%2B+more");
    for (authorization, changes, status, error, words) in [
        (None, [("client_id", "")].as_slice(), 401, "invalid_client", "does not say who it is"),
        (None, &[("client_id", "the app")], 401, "invalid_client", "has to show its secret"),
        (None, &[("client_id", "nobody")], 401, "invalid_client", "no such client"),
        (None, &[("client_id", "the app"), ("client_secret", "wrong")], 401, "invalid_client", "secret is wrong"),
        (Some(raw("the+app:wrong")), &[], 401, "invalid_client", "secret is wrong"),
        (Some(unencoded), &[], 401, "invalid_client", "form-encoded"),
        (Some("Bearer x".to_owned()), &[], 401, "invalid_client", "not Basic"),
        (Some(encoded.clone()), &[("client_secret", SECRET)], 400, "invalid_request", "more than one way"),
        (Some(encoded.clone()), &[("client_id", "other")], 400, "invalid_request", "not the one"),
        (None, &[("client_id", "public"), ("client_secret", "x")], 401, "invalid_client", "public"),
        (None, &[("client_id", "keys"), ("client_secret", "x")], 401, "invalid_client", "client_assertion"),
    ] {
        scene.token(authorization.as_deref(), &code, changes).await.is_refused(status, error, words);
    }
    assert_eq!(scene.token(Some(&encoded), &code, &[]).await.status, 200);
    let code = fresh("the app").await;
    let posted = [("client_id", "the app"), ("client_secret", SECRET)];
    assert_eq!(scene.token(None, &code, &posted).await.status, 200);
    let code = fresh("public").await;
    assert_eq!(scene.token(None, &code, &[("client_id", "public")]).await.status, 200);

    let request = || scene.idp.client.post(scene.idp.at("/idp/oidc/token"));
    let twice = request().header("content-type", "application/x-www-form-urlencoded").body("code=a&code=b");
    Reply::of(twice).await.is_refused(400, "invalid_request", "more than once");
    let json = request().json(&json!({ "code": "a" }));
    Reply::of(json).await.is_refused(400, "invalid_request", "not a form");
}

#[actix_web::test]
async fn a_client_with_a_key_signs_an_assertion_for_each_call() {
    let scene = Scene::start();
    let now = start().as_second();
    let (issuer, endpoint) = (scene.issuer(), format!("{}/token", scene.issuer()));
    let assertion = |key: &SigningKey, changes: Value| {
        let mut claims = json!({
            "iss": "keys", "sub": "keys", "aud": issuer, "iat": now, "exp": now + 60, "jti": (&SystemRng as &dyn Rng).xml_id(),
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let header = URL_SAFE_NO_PAD.encode(json!({ "alg": "RS256", "kid": "k1" }).to_string());
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).unwrap()))
    };
    const KIND: (&str, &str) = ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let code = scene.sign_in(&mut Browser::new(), "lin", &[("client_id", "keys")]).await["code"].clone();
    for (key, changes, words) in [
        (&*STRANGE, json!({}), "No key of the client"),
        (&*TRUSTED, json!({ "iss": "other" }), "iss and sub"),
        (&*TRUSTED, json!({ "aud": "https://other.example/" }), "aud"),
        (&*TRUSTED, json!({ "exp": now - 31 }), "expired"),
        (&*TRUSTED, json!({ "exp": now + 3600 }), "ten minutes"),
        (&*TRUSTED, json!({ "exp": null }), "no exp"),
        (&*TRUSTED, json!({ "nbf": now + 60 }), "not good yet"),
        (&*TRUSTED, json!({ "iat": now + 60 }), "not good yet"),
        (&*TRUSTED, json!({ "jti": "" }), "no jti"),
    ] {
        let assertion = assertion(key, changes);
        let reply = scene.token(None, &code, &[KIND, ("client_assertion", &assertion)]).await;
        reply.is_refused(401, "invalid_client", words);
    }
    let good = assertion(&TRUSTED, json!({}));
    let reply = scene.token(None, &code, &[("client_assertion", &good)]).await;
    reply.is_refused(400, "invalid_request", "client_assertion_type");
    let reply = scene.token(None, &code, &[KIND, ("client_assertion", &good), ("client_id", "other")]).await;
    reply.is_refused(400, "invalid_request", "not the sub");
    let reply = scene.token(None, &code, &[KIND, ("client_assertion", "e30.e30.e30")]).await;
    reply.is_refused(401, "invalid_client", "cannot be read");

    let for_endpoint = assertion(&TRUSTED, json!({ "aud": ["x", endpoint] }));
    assert_eq!(scene.token(None, &code, &[KIND, ("client_assertion", &for_endpoint)]).await.status, 200);
    let reply = scene.token(None, &code, &[KIND, ("client_assertion", &for_endpoint)]).await;
    reply.is_refused(401, "invalid_client", "used before");
}

#[actix_web::test]
async fn userinfo_wants_a_bearer_token_that_lives() {
    let scene = Scene::start();
    let code = scene.sign_in(&mut Browser::new(), "lin", &[]).await["code"].clone();
    let token = scene.exchange(&code, &[]).await.text("access_token").to_owned();
    let at = scene.idp.at("/idp/oidc/userinfo");
    let challenge = |reply: &Reply| reply.headers["www-authenticate"].to_str().unwrap().to_owned();
    let client = &scene.idp.client;
    let in_form = Reply::of(client.post(at.clone()).form(&[("access_token", &token)])).await;
    assert_eq!((in_form.status, in_form.text("preferred_username")), (200, "lin"));

    let without = Reply::of(client.get(at.clone())).await;
    assert_eq!((without.status, challenge(&without).contains("error")), (401, false));
    let mut in_query = at.clone();
    in_query.set_query(Some(&format!("access_token={token}")));
    assert_eq!(Reply::of(client.get(in_query)).await.status, 401);
    let twice = Reply::of(client.post(at).bearer_auth(&token).form(&[("access_token", &token)])).await;
    assert_eq!((twice.status, challenge(&twice).contains("invalid_request")), (400, true));
    let made_up = scene.userinfo(&token.replace(char::is_numeric, "x")).await;
    assert_eq!((made_up.status, challenge(&made_up).contains("invalid_token")), (401, true));
    scene.idp.clock.advance_secs(600);
    assert_eq!(scene.userinfo(&token).await.status, 401);
}

#[actix_web::test]
async fn keys_take_over_from_each_other_in_three_steps() {
    let scene = Scene::start();
    let mut browser = Browser::new();
    let kids = async || {
        let jwks = scene.get_json("/idp/oidc/jwks.json").await;
        let keys = jwks["keys"].as_array().unwrap().iter();
        keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let signs = async || {
        let code = scene.sign_in(&mut Browser::new(), "lin", &[]).await["code"].clone();
        let token = scene.exchange(&code, &[]).await.text("id_token").to_owned();
        scene.verified(&token, "JWT").await;
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
    };
    let old = kids().await;
    assert_eq!((old.len(), &signs().await), (1, &old[0]));
    let mut turn = async |button: &str| {
        let home = browser.get(scene.idp.at("/idp").as_str()).await;
        assert!(home.body.contains(button), "{button} is not in {}", home.body);
        browser.submit(&home.form_to("/rotate")).await
    };
    turn("Publish a new key").await;
    let both = kids().await;
    assert_eq!((both.len(), &signs().await), (2, &old[0]));
    turn("Sign with the new key").await;
    assert_eq!((kids().await.len(), &signs().await), (2, &both[1]));
    turn("Drop the old key").await;
    assert_eq!(kids().await, [both[1].clone()]);
    turn("Publish a new key").await;

    let foreign = scene.idp.client.post(scene.idp.at("/idp/oidc/rotate")).header("sec-fetch-site", "cross-site");
    assert_eq!(foreign.send().await.unwrap().status(), 400);
    assert_eq!(kids().await.len(), 2);
}

#[actix_web::test]
async fn an_application_signs_somebody_out_and_everybody_is_told() {
    let scene = Scene::start();
    let mut browser = Browser::new();
    let code = scene.sign_in(&mut browser, "lin", &[]).await["code"].clone();
    let reply = scene.exchange(&code, &[]).await;
    let waiting = got(&browser.get(&scene.ask(&[("client_id", "other")])).await)["code"].clone();
    let claims = scene.verified(reply.text("id_token"), "JWT").await;
    // An ID token is good for this however old it is.
    scene.idp.clock.advance_secs(3600);

    let bye = scene.app.at("bye");
    let mut url = scene.idp.at("/idp/oidc/logout");
    url.query_pairs_mut()
        .append_pair("id_token_hint", reply.text("id_token"))
        .append_pair("post_logout_redirect_uri", &bye)
        .append_pair("state", "s & t");
    let page = browser.get(url.as_str()).await;
    assert_eq!((page.url.path(), got(&page)["state"].as_str()), ("/bye", "s & t"));

    let mut audiences = Vec::new();
    for token in scene.app.logout_tokens() {
        let told = scene.verified(&token, "logout+jwt").await;
        assert_eq!((&told["sub"], &told["sid"]), (&claims["sub"], &claims["sid"]));
        assert_eq!(told["iss"], scene.issuer());
        assert_eq!(told["events"], json!({ "http://schemas.openid.net/event/backchannel-logout": {} }));
        assert!(told.get("nonce").is_none() && told["jti"].is_string());
        assert_eq!(told["exp"].as_i64().unwrap() - told["iat"].as_i64().unwrap(), 120);
        audiences.push(told["aud"].as_str().unwrap().to_owned());
    }
    audiences.sort();
    assert_eq!(audiences, ["other", "the app"]);
    assert_eq!(scene.userinfo(reply.text("access_token")).await.status, 401);
    scene.exchange_as("other", SECRET, &waiting, &[]).await.is_refused(400, "invalid_grant", "unknown");
    assert_eq!(got(&browser.get(&scene.ask(&[("prompt", "none")])).await)["error"], "login_required");

    // Once more, with nobody signed in: back, and nobody is told again.
    assert_eq!(browser.get(url.as_str()).await.url.path(), "/bye");
    assert_eq!(scene.app.logout_tokens().len(), 2);
}

#[actix_web::test]
async fn a_sign_out_that_names_nobody_is_a_question_and_addresses_are_not_believed() {
    let scene = Scene::start();
    let mut browser = Browser::new();
    let code = scene.sign_in(&mut browser, "lin", &[]).await["code"].clone();
    let id_token = scene.exchange(&code, &[]).await.text("id_token").to_owned();
    let bye = scene.app.at("bye");
    let url = |params: &[(&str, &str)]| {
        let mut url = scene.idp.at("/idp/oidc/logout");
        url.query_pairs_mut().extend_pairs(params);
        String::from(url)
    };
    for (params, words) in [
        ([("post_logout_redirect_uri", bye.as_str())].as_slice(), "nobody knows whose"),
        (&[("client_id", "nobody"), ("post_logout_redirect_uri", &bye)], "has not registered"),
        (&[("client_id", "the app"), ("post_logout_redirect_uri", "https://evil.example/")], "has not registered"),
        (&[("id_token_hint", &id_token), ("post_logout_redirect_uri", "https://evil.example/")], "has not registered"),
        (&[("id_token_hint", &id_token), ("client_id", "other")], "not the one"),
        (&[("state", "a"), ("state", "b")], "more than once"),
    ] {
        let page = browser.get(&url(params)).await;
        assert_eq!(page.status, 400, "{words}");
        assert!(page.body.contains(words), "{words} is not in {}", page.body);
    }
    let ask = url(&[("client_id", "the app"), ("post_logout_redirect_uri", &bye)]);
    let question = browser.get(&ask).await;
    assert!(question.body.contains("Sign out everywhere?") && question.body.contains("Lin Wei"), "{}", question.body);
    let page = browser.submit(&question.form_with("pending").set("answer", "no")).await;
    assert!(page.body.contains("still signed in"), "{}", page.body);
    assert!(scene.app.logout_tokens().is_empty());
    let forged = question.form_with("pending").set("pending", "AAAA").set("answer", "yes");
    assert_eq!(browser.submit(&forged).await.status, 400);
    let page = browser.submit(&question.form_with("pending").set("answer", "yes")).await;
    let page = onward(&mut browser, page).await;
    assert_eq!((page.url.path(), page.url.query()), ("/bye", None));
    assert_eq!(scene.app.logout_tokens().len(), 1);

    // By post from another site there is no cookie: the ID token says whom it means.
    let code = scene.sign_in(&mut browser, "lin", &[]).await["code"].clone();
    let id_token = scene.exchange(&code, &[]).await.text("id_token").to_owned();
    let fields = vec![("id_token_hint".to_owned(), id_token)];
    let action = scene.idp.at("/idp/oidc/logout");
    let form = crate::browser_client::Form { page: scene.app.base.clone(), action, post: true, fields };
    let page = browser.submit(&form).await;
    assert!(page.status == 200 && page.body.contains("You are signed out"), "{}", page.body);
    assert!(page.body.contains("<code class=\"wrap\">the app</code>"), "{}", page.body);
    assert_eq!(scene.app.logout_tokens().len(), 2);
    assert!(browser.get(&scene.ask(&[])).await.has_form_with("pending"));
}

#[actix_web::test]
async fn an_application_that_does_not_answer_keeps_nobody_waiting() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", silent.local_addr().unwrap());
    let scene = Scene::start_with(|config| config.oidc_clients[0].backchannel_logout_uri = address.parse().ok());
    let mut browser = Browser::new();
    scene.sign_in(&mut browser, "lin", &[]).await;
    got(&browser.get(&scene.ask(&[("client_id", "other")])).await);
    let home = browser.get(scene.idp.at("/idp").as_str()).await;
    assert!(home.body.contains("Lin Wei"), "{}", home.body);
    let before = std::time::Instant::now();
    let page = browser.submit(&home.form_to("/idp/sign-out")).await;
    assert!(before.elapsed() < std::time::Duration::from_secs(6));
    let untold = page.body.split("Could not be told").nth(1).unwrap_or_default();
    assert!(untold.contains("the app") && !untold.contains("other"), "{}", page.body);
    assert_eq!(scene.app.logout_tokens().len(), 1);
}

#[actix_web::test]
async fn anybody_on_this_machine_is_answered_where_that_was_asked_for() {
    let strict = Scene::start();
    let callback = strict.app.at("somewhere");
    let changes = [("client_id", "new"), ("redirect_uri", callback.as_str())];
    assert_eq!(Browser::new().get(&strict.ask(&changes)).await.status, 400);

    let scene = Scene::start_with(|config| config.any_loopback_service_provider = true);
    let callback = scene.app.at("somewhere");
    let changes = [("client_id", "new"), ("redirect_uri", callback.as_str())];
    let code = scene.sign_in(&mut Browser::new(), "lin", &changes).await["code"].clone();
    let reply = scene.exchange_as("new", "whatever", &code, &changes[1..]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    for changes in [
        [("client_id", "new"), ("redirect_uri", "https://app.example/")],
        // Whoever is registered stays with what is registered.
        [("client_id", "the app"), ("redirect_uri", callback.as_str())],
    ] {
        assert_eq!(Browser::new().get(&scene.ask(&changes)).await.status, 400, "{changes:?}");
    }
}

#[actix_web::test]
async fn two_at_once_with_one_code_get_one_token() {
    let scene = Scene::start();
    let code = scene.sign_in(&mut Browser::new(), "lin", &[]).await["code"].clone();
    let both = futures_util::future::join(scene.exchange(&code, &[]), scene.exchange(&code, &[])).await;
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
}
