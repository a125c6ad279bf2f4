//! What the cases stand on: the world of `tests/sts_conformance/world.toml`, a provider of OpenID tokens, and callers with
//! their credentials.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use actix_web::{App, HttpResponse, HttpServer, web};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use rolegate::sandbox::World;
use rolegate::sys::{Clock, SystemClock};
use serde_json::{Value, json};
use url::Url;

use super::table::{Assertion, Caller, Case, Table, Token};
use super::wire;
use crate::sandbox::{self, STRANGE, Sign, TRUSTED};
use crate::tools::repository;

/// The seed of jane's device in the world.
const SEED: &[u8] = b"12345678901234567890";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    pub id: String,
    pub secret: String,
    pub token: Option<String>,
}

pub struct Ground {
    pub base: Url,
    pub issuer: String,
    pub callers: BTreeMap<String, Keys>,
    /// Encoded messages of refusals, by whom was refused.
    pub refusals: BTreeMap<String, String>,
    _folder: tempfile::TempDir,
}

/// A clock beside the true one.
#[derive(Debug)]
struct Shifted(SignedDuration);

impl Clock for Shifted {
    fn now(&self) -> Timestamp {
        SystemClock.now() + self.0
    }
}

impl Ground {
    pub async fn start(table: &Table) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let issuer = serve_issuer();
        let text = std::fs::read_to_string(repository().join("tests/sts_conformance/world.toml")).unwrap();
        let world = |text: &str| World::from_toml(text).unwrap().for_broker(&issuer).unwrap();
        let before = world(&text);
        let now = world(&text.replace("\"Gone\",", ""));
        let serve = |world: &World, by: SignedDuration| {
            sandbox::serve(Arc::new(Shifted(by)), |config| {
                config.data = Some(folder.path().to_owned());
                config.world = world.clone();
            })
        };
        let base = serve(&now, SignedDuration::ZERO);
        let mut ground = Self {
            base: base.clone(),
            issuer: issuer.as_str().trim_end_matches('/').to_owned(),
            callers: BTreeMap::new(),
            refusals: BTreeMap::new(),
            _folder: folder,
        };
        let folder = ground._folder.path().to_owned();
        let past = {
            let (folder, world) = (folder.clone(), now.clone());
            sandbox::serve(Arc::new(Shifted(SignedDuration::from_hours(-2))), move |config| {
                config.data = Some(folder);
                config.world = world;
            })
        };
        let with_the_role = sandbox::serve(Arc::new(Shifted(SignedDuration::ZERO)), move |config| {
            config.data = Some(folder);
            config.world = before;
        });
        ground.callers = ground
            .callers(table, &|caller: &Caller| match caller {
                Caller { in_the_past: true, .. } => (past.clone(), -7200),
                Caller { of_a_deleted_role: true, .. } => (with_the_role.clone(), 0),
                _ => (base.clone(), 0),
            })
            .await;
        for name in ["bob", "dan"] {
            let case = wire::question("GetAccessKeyInfo", &[("AccessKeyId", "SBUKJJJJJANEJANEJANE")], name);
            let outcome = wire::run(&ground, &ground.base, &ground.callers, &case).await;
            let message = outcome.headers.get("x-sandbox-encoded-authorization-message");
            ground.refusals.insert(name.to_owned(), message.unwrap_or_else(|| panic!("{outcome:?}")).clone());
        }
        ground
    }

    /// Everybody's credentials: `place` says at which address a session is made, and how far its clock is off.
    pub async fn callers(&self, table: &Table, place: &dyn Fn(&Caller) -> (Url, i64)) -> BTreeMap<String, Keys> {
        let mut known: BTreeMap<String, Keys> = BTreeMap::new();
        let mut rest: Vec<(&String, &Caller)> = table.caller.iter().collect();
        while !rest.is_empty() {
            let before = rest.len();
            let mut later = Vec::new();
            for (name, caller) in rest {
                match self.caller(name, caller, &known, place).await {
                    Some(keys) => drop(known.insert(name.clone(), keys)),
                    None => later.push((name, caller)),
                }
            }
            rest = later;
            assert!(rest.len() < before, "these callers need each other: {rest:?}");
        }
        known
    }

    /// `None` while those it needs are not known.
    async fn caller(
        &self,
        name: &str,
        caller: &Caller,
        known: &BTreeMap<String, Keys>,
        place: &dyn Fn(&Caller) -> (Url, i64),
    ) -> Option<Keys> {
        if let Some((id, secret)) = &caller.key {
            return Some(Keys { id: id.clone(), secret: secret.clone(), token: None });
        }
        if let Some(like) = &caller.like {
            let mut keys = known.get(like)?.clone();
            match caller.token_of() {
                None => {}
                Some("none") => keys.token = None,
                Some(other) if other.len() > 20 => keys.token = Some(other.to_owned()),
                Some(other) => keys.token.clone_from(&known.get(other)?.token),
            }
            if let Some(secret) = &caller.secret {
                keys.secret.clone_from(secret);
            }
            return Some(keys);
        }
        if let Some(by) = &caller.by {
            known.get(by)?;
        }
        let (base, clock_secs) = place(caller);
        let mut case =
            wire::question(caller.action.as_deref().unwrap_or_default(), &[], caller.by.as_deref().unwrap_or_default());
        case.caller.clone_from(&caller.by);
        case.params = caller.params.clone();
        case.assertion = caller.assertion.clone();
        case.token = caller.token.clone().map(|token| token.try_into().unwrap());
        let at = wire::At { clock_secs, host: None };
        let outcome = wire::run_at(self, &base, known, &case, &at).await;
        let member = |member: &str| {
            let found = outcome.members.get(&format!("Credentials.{member}"));
            found.unwrap_or_else(|| panic!("{name} has no {member}: {outcome:?}")).clone()
        };
        Some(Keys { id: member("AccessKeyId"), secret: member("SecretAccessKey"), token: Some(member("SessionToken")) })
    }

    pub fn now(&self) -> i64 {
        SystemClock.now().as_second()
    }

    /// The case's parameters with all that is made for the moment: codes, assertions, tokens.
    pub fn params(&self, case: &Case, callers: &BTreeMap<String, Keys>) -> Vec<(String, String)> {
        let mut params = Vec::new();
        for (name, value) in &case.params {
            match numbers(name) {
                None => params.push((name.clone(), self.filled(value, 0, callers))),
                Some((before, count, after)) => {
                    for number in 1..=count {
                        params.push((format!("{before}{number}{after}"), self.filled(value, number, callers)));
                    }
                }
            }
        }
        let role = case.params.get("RoleArn").map(String::as_str).unwrap_or_default();
        let provider = case.params.get("PrincipalArn").map(String::as_str).unwrap_or_default();
        if let Some(assertion) = &case.assertion {
            let xml = self.assertion(assertion, role, provider);
            params.push(("SAMLAssertion".to_owned(), STANDARD.encode(xml)));
        }
        if let Some(token) = &case.token {
            params.push(("WebIdentityToken".to_owned(), self.token(token)));
        }
        params
    }

    /// `<x*9>`, `<noise*9>`, `<n>`, `<code>`, `<wrong-code>`, `<key-of:hub>`, `<refusal:bob>`.
    pub fn filled(&self, text: &str, number: u32, callers: &BTreeMap<String, Keys>) -> String {
        static PLACE: LazyLock<regex::Regex> = LazyLock::new(|| {
            regex::Regex::new(r"<(?:(noise|.)\*(\d+)|(n)|(code)|(wrong-code)|key-of:([a-z-]+)|refusal:([a-z-]+))>")
                .unwrap()
        });
        PLACE
            .replace_all(text, |found: &regex::Captures<'_>| {
                let get = |group: usize| found.get(group).map(|found| found.as_str());
                if let (Some(what), Some(count)) = (get(1), get(2)) {
                    let count = count.parse().unwrap();
                    return if what == "noise" { noise(number, count) } else { what.repeat(count) };
                }
                if get(3).is_some() {
                    return number.to_string();
                }
                if get(4).is_some() {
                    return code(self.now());
                }
                if get(5).is_some() {
                    let near: Vec<String> = (-4..=4).map(|step| code(self.now() + 30 * step)).collect();
                    return (0..).map(|n| format!("{n:06}")).find(|code| !near.contains(code)).unwrap();
                }
                match (get(6), get(7)) {
                    (Some(name), _) => callers[name].id.clone(),
                    (None, Some(name)) => self.refusals[name].clone(),
                    (None, None) => panic!("{text}"),
                }
            })
            .into_owned()
    }

    fn assertion(&self, spec: &Assertion, role: &str, provider: &str) -> String {
        let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
        let mut assertion = sandbox::Assertion {
            attributes: Vec::new(),
            issued_secs_ago: spec.issued_secs_ago,
            session_for_secs: spec.session_for_secs,
            name_id: Some(("asha-id", "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent")),
            ..sandbox::Assertion::default()
        }
        .with("Role", &[&format!("{role},{provider}")])
        .with("RoleSessionName", &["asha"]);
        assertion.conditions_for_secs = 3600;
        match spec.sign.as_deref() {
            None => {}
            Some("response") => assertion.sign = Sign::Response,
            Some("both") => assertion.sign = Sign::Both,
            Some("neither") => assertion.sign = Sign::Neither,
            Some(other) => panic!("sign = {other}"),
        }
        match spec.key.as_deref() {
            None => assertion.key = &TRUSTED,
            Some("stranger") => assertion.key = &STRANGE,
            Some(other) => panic!("key = {other}"),
        }
        if let Some(issuer) = &spec.issuer {
            assertion.issuer = leak(issuer);
        }
        if let Some(status) = &spec.status {
            assertion.status = leak(status);
        }
        if let Some(format) = &spec.name_id_format {
            assertion.name_id = Some(("asha-id", leak(format)));
        }
        if spec.name_id.as_deref() == Some("") {
            assertion.name_id = None;
        }
        if let Some(recipient) = &spec.recipient {
            assertion.recipient = Some(leak(recipient)).filter(|recipient| !recipient.is_empty());
        }
        if let Some(audience) = &spec.audience {
            assertion.audience = Some(leak(audience)).filter(|audience| !audience.is_empty());
        }
        if let Some(seconds) = spec.confirmed_for_secs {
            assertion.confirmed_for_secs = Some(seconds).filter(|seconds| *seconds != -9999);
        }
        for (name, values) in &spec.set {
            let values: Vec<String> = values.iter().map(|value| self.filled(value, 0, &BTreeMap::new())).collect();
            assertion = assertion.with(name, &values.iter().map(String::as_str).collect::<Vec<_>>());
        }
        for name in &spec.drop {
            assertion = assertion.with(name, &[]);
        }
        for (name, values) in &spec.claims {
            assertion.attributes.push((name.clone(), values.clone()));
        }
        assertion.write(SystemClock.now())
    }

    fn token(&self, spec: &Token) -> String {
        let now = self.now();
        let path = spec.issuer_path.as_deref().unwrap_or_default();
        let mut claims = json!({
            "iss": format!("{}{path}", self.issuer),
            "sub": "repo:larkspur/site",
            "aud": "sts.amazonaws.com",
            "iat": now + spec.iat_in.unwrap_or(0),
            "exp": now + spec.exp_in.unwrap_or(300),
        });
        for (name, value) in &spec.claims {
            claims[name] = value.clone();
        }
        for name in &spec.without {
            claims.as_object_mut().unwrap().remove(name);
        }
        let algorithm = spec.alg.as_deref().unwrap_or("RS256");
        let kid = spec.kid.as_deref().unwrap_or(algorithm);
        let header = json!({ "alg": algorithm, "kid": kid, "typ": "JWT" });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = if algorithm == "none" {
            Vec::new()
        } else {
            let key = match spec.key.as_deref() {
                None => ISSUER_KEYS.iter().find(|key| key.algorithm == algorithm).unwrap(),
                Some("stranger") => &STRANGE_KEY,
                Some(other) => panic!("key = {other}"),
            };
            key.sign(&signed)
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// `Tags.member.<1..9>.Key`: what stands before, how many, and what stands behind.
fn numbers(name: &str) -> Option<(&str, u32, &str)> {
    let (before, rest) = name.split_once("<1..")?;
    let (count, after) = rest.split_once('>')?;
    Some((before, count.parse().unwrap(), after))
}

/// Letters and digits that no packer makes smaller, always the same.
fn noise(seed: u32, length: usize) -> String {
    let blocks = (0_u32..).flat_map(|block| openssl::sha::sha512(&[seed.to_be_bytes(), block.to_be_bytes()].concat()));
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    blocks.take(length).map(|byte| char::from(letters[usize::from(byte & 63)])).collect()
}

/// RFC 6238, written again apart from the sandbox.
fn code(at: i64) -> String {
    let key = PKey::hmac(SEED).unwrap();
    let digest =
        Signer::new(MessageDigest::sha1(), &key).unwrap().sign_oneshot_to_vec(&(at / 30).to_be_bytes()).unwrap();
    let from = usize::from(digest[19] & 15);
    let number = u32::from_be_bytes(digest[from..from + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// A key of the provider of OpenID tokens, called like its algorithm.
struct IssuerKey {
    algorithm: &'static str,
    key: PKey<Private>,
    digest: MessageDigest,
    /// The curve, and the length of a coordinate.
    curve: Option<(Nid, i32, &'static str)>,
}

static ISSUER_KEYS: LazyLock<Vec<IssuerKey>> = LazyLock::new(|| {
    let rsa = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let of_rsa = |algorithm, digest| IssuerKey { algorithm, key: rsa.clone(), digest, curve: None };
    vec![
        of_rsa("RS256", MessageDigest::sha256()),
        of_rsa("RS384", MessageDigest::sha384()),
        of_rsa("RS512", MessageDigest::sha512()),
        IssuerKey::ec("ES256", MessageDigest::sha256(), (Nid::X9_62_PRIME256V1, 32, "P-256")),
        IssuerKey::ec("ES384", MessageDigest::sha384(), (Nid::SECP384R1, 48, "P-384")),
        IssuerKey::ec("ES512", MessageDigest::sha512(), (Nid::SECP521R1, 66, "P-521")),
    ]
});

static STRANGE_KEY: LazyLock<IssuerKey> = LazyLock::new(|| IssuerKey {
    algorithm: "RS256",
    key: PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap(),
    digest: MessageDigest::sha256(),
    curve: None,
});

impl IssuerKey {
    fn ec(algorithm: &'static str, digest: MessageDigest, curve: (Nid, i32, &'static str)) -> Self {
        let group = EcGroup::from_curve_name(curve.0).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        Self { algorithm, key, digest, curve: Some(curve) }
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        let signature = Signer::new(self.digest, &self.key).unwrap().sign_oneshot_to_vec(text.as_bytes()).unwrap();
        let Some((_, length, _)) = self.curve else { return signature };
        let parts = EcdsaSig::from_der(&signature).unwrap();
        [parts.r().to_vec_padded(length).unwrap(), parts.s().to_vec_padded(length).unwrap()].concat()
    }

    fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self.curve {
            None => {
                let rsa = self.key.rsa().unwrap();
                json!({ "kty": "RSA", "use": "sig", "kid": self.algorithm, "alg": self.algorithm,
                    "n": encode(&rsa.n().to_vec()), "e": encode(&rsa.e().to_vec()) })
            }
            Some((nid, length, name)) => {
                let group = EcGroup::from_curve_name(nid).unwrap();
                let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
                let mut context = BigNumContext::new().unwrap();
                let key = self.key.ec_key().unwrap();
                key.public_key().affine_coordinates(&group, &mut x, &mut y, &mut context).unwrap();
                let number = |n: &BigNum| encode(&n.to_vec_padded(length).unwrap());
                json!({ "kty": "EC", "use": "sig", "kid": self.algorithm, "crv": name, "x": number(&x), "y": number(&y) })
            }
        }
    }
}

/// A provider of OpenID tokens, and three that are no good at their own addresses.
fn serve_issuer() -> Url {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base: Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let issuer = base.as_str().trim_end_matches('/').to_owned();
    let discovery = |issuer: &str, keys: &str| json!({ "issuer": issuer, "jwks_uri": keys });
    let jwks = json!({ "keys": ISSUER_KEYS.iter().map(IssuerKey::jwk).collect::<Vec<_>>() });
    let documents = [
        ("/.well-known/openid-configuration", discovery(&issuer, &format!("{issuer}/jwks.json"))),
        ("/jwks.json", jwks),
        (
            "/keyless/.well-known/openid-configuration",
            discovery(&format!("{issuer}/keyless"), &format!("{issuer}/keyless/jwks.json")),
        ),
        ("/keyless/jwks.json", json!({ "keys": [] })),
        ("/misnamed/.well-known/openid-configuration", discovery(&issuer, &format!("{issuer}/jwks.json"))),
    ];
    let server = HttpServer::new(move || {
        let app = App::new().default_service(web::to(|| async { HttpResponse::InternalServerError().finish() }));
        documents.iter().fold(app, |app, (path, document)| {
            let document = document.clone();
            app.route(
                path,
                web::get().to(move || {
                    let document = document.clone();
                    async move { HttpResponse::Ok().json(document) }
                }),
            )
        })
    })
    .workers(1)
    .disable_signals()
    .listen(listener)
    .unwrap()
    .run();
    actix_web::rt::spawn(server);
    base
}
