//! With an OpenID provider: `oidc-provider` on the front channel and the back, and one whose keys we hold.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::{App, HttpResponse, HttpServer, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::SignedDuration;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use rolegate::identity::{Attributes, Authentication, Groups, NameIdQualifiers, SubjectId, VerifiedIdentity};
use rolegate::store::sessions::{self, StoredSession};
use rolegate::sys::{ManualClock, SystemRng, Token};
use serde_json::{Value, json};

use super::{assert_ended_here, assert_reached, ended_since, press_sign_out};
use crate::broker::{Broker, Wishes};
use crate::browser_client::{Browser, Page};
use crate::peers::oidc::OidcPeer;
use crate::sandboxed::{Answer, client, send};
use crate::sign_in::{catalog_of, clock, is_signed_in};

/// A broker and an OpenID provider that know each other.
struct Company {
    broker: Broker,
    peer: OidcPeer,
}

fn connector(issuer: &str, more: &str) -> String {
    format!(
        "[[connector]]\nid = \"corp\"\nname = \"Corp\"\nkind = \"oidc\"\nissuer = {issuer:?}\nclient_id = \"rolegate\"\n\
         client_secret = \"a secret that only the two of us know\"\n\
         scopes = [\"openid\", \"profile\", \"email\", \"groups\"]\n{more}\n[connector.attributes]\ngroups = \"groups\"\nextra = {{ department = \"department\" }}\n"
    )
}

impl Company {
    async fn start(host: &'static str) -> Self {
        let (broker, peer) = (Broker::wishes().start().await, OidcPeer::start_with(host, &[]));
        peer.client_of(&broker.base, "corp", "rolegate", json!({})).await;
        broker.apply(&catalog_of(&connector(peer.issuer(), ""))).await;
        Self { broker, peer }
    }

    async fn signed_in(&self, user: &str) -> Browser {
        let mut browser = Browser::new();
        let form = browser.get(&self.broker.at("/oidc/corp/start")).await;
        let page = self.peer.sign_in(&mut browser, form, user).await;
        assert_eq!((page.status, page.url.path()), (200, "/"), "{}", page.body);
        browser
    }

    /// Confirms on the provider's page that asks.
    async fn confirm(&self, browser: &mut Browser, page: &Page) -> Page {
        assert_eq!(page.status, 200, "{}", page.body);
        browser.submit(&page.form_with("logout").set("logout", "yes")).await
    }

    async fn is_forgotten_by_the_peer(&self, browser: &mut Browser) -> bool {
        browser.get(&self.broker.at("/oidc/corp/start")).await.has_form_with("password")
    }

    /// Waits until the provider's call has had its effect.
    async fn ended_in_time(&self, browser: &mut Browser) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while is_signed_in(&self.broker, browser).await {
            assert!(Instant::now() < deadline, "nothing came by the back channel: {:?}", self.peer.events().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_out_here_and_at_the_openid_provider() {
    for host in ["127.0.0.1", "localhost"] {
        let company = Company::start(host).await;
        let mut alice = company.signed_in("alice").await;
        let page = press_sign_out(&company.broker, &mut alice).await;
        let place = page.leads_on().unwrap();
        for part in
            [company.peer.issuer(), "id_token_hint=ey", "client_id=rolegate", "%2Foidc%2Fcorp%2Fsigned-out", "state="]
        {
            assert!(place.contains(part), "{part}: {place}");
        }
        assert_ended_here(&company.broker, &mut alice, &page).await;
        let asked = alice.go_on(page).await;
        let back = company.confirm(&mut alice, &asked).await;
        assert_reached(&back, "sent-back", "Your session here has ended, and you are back from signing out at Corp.");
        assert!(company.is_forgotten_by_the_peer(&mut alice).await);
        // Its call by the back channel finds nobody, which is no refusal.
        let told = company.peer.last("backchannel.success rolegate").await;
        assert!(told.is_object(), "{told}");
        assert_eq!(company.broker.last_event("session.ended").await["cause"], "signed-out");
        let disk = company.broker.bytes_on_disk();
        assert!(!disk.windows(3).any(|bytes| bytes == b"eyJ"), "a token lies on disk in clear");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_signs_out_at_the_openid_provider_is_signed_out_here_in_that_session_only() {
    let company = Company::start("localhost").await;
    let mut alice = company.signed_in("alice").await;
    let mut elsewhere = company.signed_in("alice").await;
    let mut bob = company.signed_in("bob").await;
    let seq = company.broker.head().await.seq;
    let asked = alice.get(&format!("{}/session/end", company.peer.issuer())).await;
    company.confirm(&mut alice, &asked).await;
    company.ended_in_time(&mut alice).await;
    assert!(is_signed_in(&company.broker, &mut elsewhere).await && is_signed_in(&company.broker, &mut bob).await);
    assert_eq!(ended_since(&company.broker, seq).await, ["identity-provider-logout"]);
    assert_eq!(company.broker.head().await.seq, seq + 1, "one thing happened");

    // A new session at the provider after its keys were rolled over: the newest key is fetched when it is met.
    let mut alice = company.signed_in("alice").await;
    company.peer.keys("add").await;
    company.peer.keys("promote").await;
    let asked = alice.get(&format!("{}/session/end", company.peer.issuer())).await;
    company.confirm(&mut alice, &asked).await;
    company.ended_in_time(&mut alice).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn coming_back_from_nowhere_claims_nothing() {
    let company = Company::start("127.0.0.1").await;
    let mut alice = company.signed_in("alice").await;
    let seq = company.broker.head().await.seq;
    for query in ["", "?state=x", &format!("?state={}", "A".repeat(43))] {
        let page = alice.get(&company.broker.at(&format!("/oidc/corp/signed-out{query}"))).await;
        assert_reached(&page, "unknown", "Somebody has signed in again in this browser.");
        let page = Browser::new().get(page.url.as_str()).await;
        assert_reached(&page, "unknown", "Nobody is signed in here. If it was you, Corp may still know you");
    }
    assert_eq!(company.broker.head().await.seq, seq);

    // Once, and through the connector it was begun by.
    let page = press_sign_out(&company.broker, &mut alice).await;
    let place = url::Url::parse(&page.leads_on().unwrap()).unwrap();
    let (_, state) = place.query_pairs().find(|(name, _)| name == "state").unwrap();
    let at = |connector: &str| company.broker.at(&format!("/oidc/{connector}/signed-out?state={state}"));
    assert!(alice.get(&at("other")).await.url.query().unwrap().ends_with("reach=unknown"));
    assert!(alice.get(&at("corp")).await.url.query().unwrap().ends_with("reach=unknown"), "spent");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_openid_provider_offers_no_sign_out_the_page_says_so() {
    let provider = Provider::start(Broker::wishes(), json!({})).await;
    let cookie = provider.session("asha", Some("s1")).await;
    let mut browser = Browser::new();
    browser.keep_for("127.0.0.1", &format!("rolegate={cookie}"));
    let page = press_sign_out(&provider.broker, &mut browser).await;
    assert_reached(&page, "not-offered", "Nobody can be signed out of Corp from here, so it may still know you");
    assert!(!provider.is_live(&cookie).await);
}

/// A provider of discovery document and JWK set, whose key we hold, and a broker that believes it.
struct Provider {
    broker: Broker,
    clock: Arc<ManualClock>,
    issuer: String,
    key: PKey<Private>,
}

impl Provider {
    async fn start(wishes: Wishes, more: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let rsa = Rsa::generate(2048).unwrap();
        let part = |number: &openssl::bn::BigNumRef| URL_SAFE_NO_PAD.encode(number.to_vec());
        let jwks = json!({"keys": [
            {"kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256", "n": part(rsa.n()), "e": part(rsa.e())}
        ]});
        let mut discovery = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        discovery.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let server = HttpServer::new(move || {
            let (discovery, jwks) = (discovery.clone(), jwks.clone());
            App::new()
                .route(
                    "/.well-known/openid-configuration",
                    web::get().to(move || std::future::ready(HttpResponse::Ok().json(&discovery))),
                )
                .route("/jwks", web::get().to(move || std::future::ready(HttpResponse::Ok().json(&jwks))))
        });
        tokio::spawn(server.workers(1).disable_signals().listen(listener).unwrap().run());
        let clock = clock();
        let broker = wishes.clock(&clock).start().await;
        let two = connector(&issuer, "") + &connector(&issuer, "").replace("\"corp\"", "\"other\"");
        broker.apply(&catalog_of(&two)).await;
        let provider = Self { broker, clock, issuer, key: PKey::from_rsa(rsa).unwrap() };
        for connector in ["corp", "other"] {
            // Its documents are fetched with the first token, whoever that is about.
            let token = provider.token(&json!({"sub": "nobody"}));
            assert_eq!(provider.post(connector, &[("logout_token", &token)]).await.status, 200);
        }
        provider
    }

    /// A session of somebody who came through the connector; gives the cookie's value.
    async fn session(&self, sub: &str, sid: Option<&str>) -> String {
        let (token, now) = (Token::generate(&SystemRng), self.broker.now());
        let identity = VerifiedIdentity {
            // Read from another claim: the provider does not know this name.
            subject: SubjectId { connector: "corp".parse().unwrap(), value: format!("oid-of-{sub}") },
            asserted: Some(sub.to_owned()),
            link: None,
            qualifiers: NameIdQualifiers::default(),
            name: None,
            email: None,
            groups: Groups::default(),
            attributes: Attributes::default(),
            authentication: Authentication { session_index: sid.map(str::to_owned), ..Authentication::default() },
        };
        let session = StoredSession {
            public_id: format!("public-{}", token.expose_secret()),
            identity,
            created: now,
            last_seen: now,
            idle: SignedDuration::from_hours(1),
            expires: now + SignedDuration::from_hours(8),
            client_address: "127.0.0.1".to_owned(),
            user_agent: String::new(),
            sealed_id_token: None,
        };
        let mut tx = self.broker.app.ground.store.begin().await.unwrap();
        sessions::add(&mut tx, &token.hash(), &session).await.unwrap();
        tx.commit().await.unwrap();
        token.expose_secret().to_owned()
    }

    async fn is_live(&self, cookie: &str) -> bool {
        let request = client().get(self.broker.at("/api/v1/me")).header("cookie", format!("rolegate={cookie}"));
        send(request).await.status == 200
    }

    /// A logout token that is right but for these changes; `null` takes a claim away.
    fn token(&self, changes: &Value) -> String {
        self.token_by(&self.key, changes)
    }

    fn token_by(&self, key: &PKey<Private>, changes: &Value) -> String {
        let at = self.broker.now().as_second();
        let mut claims = json!({
            "iss": self.issuer, "aud": "rolegate", "iat": at, "exp": at + 120,
            "jti": Token::generate(&SystemRng).expose_secret(), "sub": "asha",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", part(&json!({"alg": "RS256", "kid": "one", "typ": "logout+jwt"})), part(&claims));
        let mut signer = Signer::new(MessageDigest::sha256(), key).unwrap();
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signer.sign_oneshot_to_vec(input.as_bytes()).unwrap()))
    }

    async fn tell(&self, token: &str) -> Answer {
        self.post("corp", &[("logout_token", token)]).await
    }

    async fn post(&self, connector: &str, fields: &[(&str, &str)]) -> Answer {
        let address = self.broker.at(&format!("/oidc/{connector}/backchannel-logout"));
        send(client().post(address).form(fields)).await
    }

    async fn believed(&self, changes: &Value) {
        let answer = self.tell(&self.token(changes)).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{changes}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }

    /// That this answer refuses as the specification says, and that exactly one refusal was recorded since `known`.
    async fn refused(&self, answer: &Answer, known: i64, cause: &str) {
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (400, "application/json"),
            "{cause}: {}",
            answer.body
        );
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.json()["error"], "invalid_request");
        let events = self.broker.events_after(known).await;
        let [(found, body)] = events.as_slice() else { panic!("one refusal should be recorded: {events:?}") };
        assert_eq!((found.as_str(), &body["cause"]), ("logout.refused", &Value::from(cause)), "{body}");
        assert_eq!(self.broker.last_reference().await.as_deref(), Some(answer.header("x-request-id")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_token_ends_the_sessions_it_names_and_no_others() {
    let provider = Provider::start(Broker::wishes(), json!({})).await;
    let first = provider.session("asha", Some("s1")).await;
    let second = provider.session("asha", Some("s2")).await;
    let untold = provider.session("asha", None).await;
    let lin = provider.session("lin", Some("s1")).await;
    let also_lin = provider.session("lin", Some("s3")).await;
    let live = async || {
        let mut live = Vec::new();
        for cookie in [&first, &second, &untold, &lin, &also_lin] {
            live.push(provider.is_live(cookie).await);
        }
        live
    };
    let seq = provider.broker.head().await.seq;
    for nobody in [
        json!({"sub": "nobody"}),
        json!({"sub": "ASHA"}),
        json!({"sub": null, "sid": "s9"}),
        json!({"sub": "oid-of-asha"}),
    ] {
        provider.believed(&nobody).await;
    }
    assert_eq!(provider.broker.head().await.seq, seq, "nobody was meant");
    assert_eq!(live().await, [true, true, true, true, true]);

    provider.believed(&json!({"sid": "s1"})).await;
    assert_eq!(live().await, [false, true, false, true, true], "and the one whose session we were never told");
    provider.believed(&json!({"sub": null, "sid": "s3"})).await;
    assert_eq!(live().await, [false, true, false, true, false]);
    provider.believed(&json!({})).await;
    assert_eq!(live().await, [false, false, false, true, false]);
    assert_eq!(ended_since(&provider.broker, seq).await, ["identity-provider-logout"; 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_token_is_carried_out_once() {
    let provider = Provider::start(Broker::wishes(), json!({})).await;
    let token = provider.token(&json!({}));
    assert_eq!(provider.tell(&token).await.status, 200);
    let asha = provider.session("asha", None).await;
    let seq = provider.broker.head().await.seq;
    provider.refused(&provider.tell(&token).await, seq, "replayed").await;
    assert!(provider.is_live(&asha).await, "the later session was not meant");

    let token = provider.token(&json!({}));
    let (one, other) = tokio::join!(provider.tell(&token), provider.tell(&token));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
    assert!(!provider.is_live(&asha).await);

    // Past its time it is refused for that, whatever is remembered.
    provider.clock.advance_secs(3_600);
    let seq = provider.broker.head().await.seq;
    let late = provider.tell(&token).await;
    let events = provider.broker.events_after(seq).await;
    assert_eq!((late.status, events.len()), (400, 1), "{events:?}");
    assert_ne!(events[0].1["cause"], "replayed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_logout_token_ends_nothing_and_is_recorded() {
    let provider = Provider::start(Broker::wishes(), json!({})).await;
    let asha = provider.session("asha", Some("s1")).await;
    let honest = provider.token(&json!({}));
    let (head, signature) = honest.rsplit_once('.').unwrap();
    let unsigned = {
        let none = URL_SAFE_NO_PAD.encode(json!({"alg": "none"}).to_string());
        format!("{none}.{}.", head.split_once('.').unwrap().1)
    };
    let stranger = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    for (token, cause) in [
        (provider.token_by(&stranger, &json!({})), "signature-wrong"),
        (unsigned, "token-unsigned"),
        (
            format!("{head}.{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..]),
            "signature-wrong",
        ),
    ] {
        let seq = provider.broker.head().await.seq;
        provider.refused(&provider.tell(&token).await, seq, cause).await;
    }
    for (fields, cause) in [
        (vec![], "form-field-missing"),
        (vec![("logout_token", honest.as_str()), ("logout_token", honest.as_str())], "form-field-repeated"),
    ] {
        let seq = provider.broker.head().await.seq;
        provider.refused(&provider.post("corp", &fields).await, seq, cause).await;
    }
    let seq = provider.broker.head().await.seq;
    let request = client().post(provider.broker.at("/oidc/corp/backchannel-logout"));
    provider.refused(&send(request.json(&json!({"logout_token": honest}))).await, seq, "form-of-wrong-type").await;
    assert!(provider.is_live(&asha).await);
    // It was right all along: for either connector that has this provider and client.
    assert_eq!(provider.post("other", &[("logout_token", &honest)]).await.status, 200);
    assert!(provider.is_live(&asha).await, "the sessions of another connector are not its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_tokens_that_say_something_wrong_are_refused_for_their_true_cause() {
    let provider = Provider::start(Broker::wishes(), json!({})).await;
    let asha = provider.session("asha", Some("s1")).await;
    let at = provider.broker.now().as_second();
    for (changes, cause) in [
        (json!({"iss": "https://evil.example"}), "issuer-wrong"),
        (json!({"aud": "another"}), "audience-wrong"),
        (json!({"iat": at - 3_600, "exp": at - 3_500}), "expired"),
        (json!({"events": null}), "logout-event-missing"),
        (json!({"nonce": "n"}), "logout-nonce-present"),
        (json!({"sub": null}), "logout-names-nobody"),
        (json!({"jti": null}), "logout-id-missing"),
    ] {
        let seq = provider.broker.head().await.seq;
        provider.refused(&provider.tell(&provider.token(&changes)).await, seq, cause).await;
    }
    assert!(provider.is_live(&asha).await);
    for (path, status) in [("/oidc/nobody/backchannel-logout", 404), ("/saml/corp/backchannel-logout", 404)] {
        let answer = send(client().post(provider.broker.at(path)).form(&[("logout_token", "x")])).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_may_sign_a_whole_company_out_and_a_stranger_may_fail_only_so_often() {
    let wishes = Broker::wishes().set("limits.sign_in_per_minute", "1").set("limits.sign_in_burst", "2");
    let provider = Provider::start(wishes, json!({})).await;
    for number in 0..20 {
        provider.believed(&json!({"sub": format!("person-{number}")})).await;
    }
    for _ in 0..2 {
        assert_eq!(provider.tell("x").await.status, 400);
    }
    let seq = provider.broker.head().await.seq;
    let refused = provider.tell("x").await;
    assert_eq!((refused.status, refused.header("content-type")), (429, "application/problem+json"));
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(provider.broker.head().await.seq, seq, "that is not worth a row");
    provider.believed(&json!({})).await;

    // Nobody makes us check signatures as fast as they can send them.
    let mut looked_at = 0;
    while provider.tell(&provider.token(&json!({}))).await.status == 200 {
        looked_at += 1;
        assert!(looked_at < 200, "what is right has a rate too");
    }
    let asha = provider.session("asha", None).await;
    assert_eq!(provider.tell(&provider.token(&json!({}))).await.status, 429);
    assert!(provider.is_live(&asha).await, "it was not looked at");
}
