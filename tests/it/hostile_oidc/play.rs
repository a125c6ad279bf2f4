//! One sign-in between a broker and a provider: what the provider publishes, what the browser brings back, what the
//! provider then says. All of it honest, for a case to spoil in one place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use url::Url;

use super::forge::{Token, Who, base64url};
use super::provider::{Answer, Call, Provider, oauth_error};
use crate::broker::Broker;
use crate::wire;

pub const CLIENT: &str = "rolegate";
pub const SECRET: &str = "a secret that only the two of us know";
pub const DISCOVERY: &str = "/.well-known/openid-configuration";
/// Who signs in, and who does not.
pub const SUBJECT: &str = "subject-of-asha";
const CODE: &str = "code-of-asha";
const ACCESS_TOKEN: &str = "access-token-of-asha";
const PATIENCE: Duration = Duration::from_secs(60);

/// These connectors, an account and a role.
pub fn catalog(connectors: &str) -> String {
    format!(
        "{connectors}\n[[account]]\nid = \"111122223333\"\nname = \"Payments production\"\n[[role]]\naccount = \
         \"111122223333\"\nname = \"ReadOnly\"\n[[rule]]\nid = \"engineers-read\"\nwhen = {{ groups = \"engineering\" }}\n\
         grant = [{{ account = \"*\", role = \"ReadOnly\" }}]\n"
    )
}

/// What the provider publishes about itself.
#[derive(Debug, Clone)]
pub struct Documents {
    pub base: String,
    /// A server that must not be called.
    pub elsewhere: String,
    pub discovery: Value,
    pub jwks: Value,
    /// What is answered instead of a document.
    pub discovery_is: Option<Answer>,
    pub jwks_is: Option<Answer>,
}

impl Documents {
    fn honest(base: &str, elsewhere: &str) -> Self {
        let at = |path: &str| format!("{base}{path}");
        let discovery = json!({
            "issuer": base,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "userinfo_endpoint": at("/userinfo"),
            "jwks_uri": at("/jwks"),
            "end_session_endpoint": at("/end-session"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "form_post"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "PS256", "ES256", "EdDSA", "HS256", "none"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
            "backchannel_logout_supported": true,
            "backchannel_logout_session_supported": true,
        });
        let keys = [Who::Provider.jwk("rsa"), Who::ProviderEc.jwk("ec"), Who::ProviderEd.jwk("ed")];
        Self {
            base: base.to_owned(),
            elsewhere: elsewhere.to_owned(),
            discovery,
            jwks: json!({ "keys": keys }),
            discovery_is: None,
            jwks_is: None,
        }
    }

    /// Points the browser and the broker somewhere else, or withdraws a member.
    pub fn set(&mut self, member: &str, value: Value) {
        self.discovery[member] = value;
    }

    pub fn remove(&mut self, member: &str) {
        self.discovery.as_object_mut().unwrap().remove(member);
    }

    pub fn publish(&self, provider: &Provider) {
        let or = |instead: &Option<Answer>, document: &Value| {
            instead.clone().unwrap_or_else(|| Answer::Json(document.clone()))
        };
        provider.answer(DISCOVERY, or(&self.discovery_is, &self.discovery));
        provider.answer("/jwks", or(&self.jwks_is, &self.jwks));
    }
}

/// A sign-in that the broker began: what it asked the provider for, and the browser that is to bring the answer.
#[derive(Debug, Clone)]
pub struct Asked {
    pub at: Url,
    /// The parameters; one that was sent twice is a failure of its own.
    pub parameters: HashMap<String, String>,
    /// The browser's cookie, as `Cookie` sends it.
    pub cookie: String,
}

impl Asked {
    pub fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name).unwrap_or_else(|| panic!("{} has no {name}", self.at))
    }
}

/// What the provider says about one sign-in, and how the browser brings it.
#[derive(Debug, Clone)]
pub struct Reply {
    pub asked: Asked,
    pub now: Timestamp,
    /// The provider's documents, to be published again when they changed since the sign-in began.
    pub documents: Documents,
    /// The parameters of the callback, in their order.
    pub brought: Vec<(String, String)>,
    /// Posted by a page of the provider instead of a redirect: without the cookie.
    pub posted: bool,
    /// The cookie that the browser sends.
    pub cookie: String,
    pub id_token: Token,
    /// Instead of the token above.
    pub id_token_is: Option<Value>,
    /// The token endpoint's document, but for the ID token.
    pub tokens: Value,
    pub tokens_are: Option<Answer>,
    /// Whether the provider holds the verifier against this challenge.
    pub challenge: Option<String>,
    pub userinfo: Value,
    pub userinfo_is: Option<Answer>,
}

impl Reply {
    fn honest(asked: Asked, documents: Documents, now: Timestamp) -> Self {
        let seconds = now.as_second();
        let nonce = asked.parameter("nonce").to_owned();
        let brought = [("code", CODE), ("state", asked.parameter("state")), ("iss", documents.base.as_str())];
        Self {
            brought: brought.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            posted: asked.parameters.get("response_mode").is_some_and(|mode| mode == "form_post"),
            cookie: asked.cookie.clone(),
            id_token: Token::honest(json!({
                "iss": documents.base, "aud": CLIENT, "sub": SUBJECT, "nonce": nonce, "sid": "session-at-provider",
                "iat": seconds, "exp": seconds + 300, "auth_time": seconds, "acr": "urn:hostile:password",
                "amr": ["pwd"], "email": "asha@corp.example", "email_verified": true, "name": "Asha Rao",
                "groups": ["engineering"],
            })),
            id_token_is: None,
            tokens: json!({ "access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 300 }),
            tokens_are: None,
            challenge: Some(asked.parameter("code_challenge").to_owned()),
            userinfo: json!({
                "sub": SUBJECT, "email": "asha@corp.example", "email_verified": true, "name": "Asha Rao",
                "groups": ["engineering"],
            }),
            userinfo_is: None,
            asked,
            now,
            documents,
        }
    }

    /// Seconds from now, as claims have them.
    pub fn at(&self, seconds: i64) -> Value {
        json!(self.now.as_second() + seconds)
    }

    pub fn claim(&mut self, name: &str, value: Value) {
        self.id_token.claims[name] = value;
    }

    pub fn unclaim(&mut self, name: &str) {
        self.id_token = self.id_token.clone().without(name);
    }

    /// Takes claims out of the ID token, so that they have to be asked for at the userinfo endpoint.
    pub fn ask_userinfo(&mut self) {
        for name in ["email", "email_verified", "name", "groups"] {
            self.unclaim(name);
        }
    }

    /// Replaces a parameter of the callback.
    pub fn bring(&mut self, name: &str, value: &str) {
        self.leave(name);
        self.brought.push((name.to_owned(), value.to_owned()));
    }

    pub fn leave(&mut self, name: &str) {
        self.brought.retain(|(known, _)| known != name);
    }

    /// Brings a parameter once more.
    pub fn bring_again(&mut self, name: &str, value: &str) {
        self.brought.push((name.to_owned(), value.to_owned()));
    }

    /// What the token endpoint answers.
    fn token_document(&self) -> Value {
        let mut tokens = self.tokens.clone();
        if let Some(tokens) = tokens.as_object_mut() {
            let id_token = self.id_token_is.clone().unwrap_or_else(|| self.id_token.compact().into());
            tokens.insert("id_token".to_owned(), id_token);
            tokens.retain(|_, value| !value.is_null());
        }
        tokens
    }

    /// The value of a parameter of the callback.
    fn brings(&self, name: &str) -> &str {
        self.brought.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// Makes the provider say this from now on.
    pub fn arm(&self, provider: &Provider) {
        self.documents.publish(provider);
        let tokens = self.token_document();
        let (instead, challenge) = (self.tokens_are.clone(), self.challenge.clone());
        let redirect_uri = self.asked.parameter("redirect_uri").to_owned();
        provider.decide("/token", move |call| {
            if let Some(instead) = &instead {
                return instead.clone();
            }
            let form = call.form();
            let field = |name: &str| form.get(name).map_or("", String::as_str);
            let proven = challenge.as_ref().is_none_or(|challenge| {
                *challenge == base64url(openssl::sha::sha256(field("code_verifier").as_bytes()))
            });
            let code_is_for = field("redirect_uri") == redirect_uri && field("grant_type") == "authorization_code";
            if !authenticated(call) {
                return oauth_error("invalid_client");
            }
            if proven && code_is_for { Answer::Json(tokens.clone()) } else { oauth_error("invalid_grant") }
        });
        let (instead, userinfo) = (self.userinfo_is.clone(), self.userinfo.clone());
        let token = self.tokens["access_token"].as_str().unwrap_or_default().to_owned();
        provider.decide("/userinfo", move |call| {
            let ours = call.headers.get("authorization").is_some_and(|sent| *sent == format!("Bearer {token}"));
            match &instead {
                Some(instead) => instead.clone(),
                None if ours => Answer::Json(userinfo.clone()),
                None => Answer::text(401, "text/plain", "who are you?"),
            }
        });
    }
}

/// Whether a call to the token endpoint is from our client: form-encoded, then Basic (RFC 6749, 2.3.1).
fn authenticated(call: &Call) -> bool {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(CLIENT), encoded(SECRET));
    call.headers.get("authorization").is_some_and(|sent| *sent == format!("Basic {}", STANDARD.encode(pair)))
}

/// A connector of a broker, and the provider it reaches.
pub struct Scene {
    pub connector: String,
    pub provider: Provider,
    pub documents: Documents,
    base: String,
    client: reqwest::Client,
    /// What codes are good for that were given out at the same time.
    codes: Arc<Mutex<HashMap<String, (Value, String)>>>,
}

impl Scene {
    /// A provider for one connector. [`toml`](Self::toml) is for the broker's catalog.
    pub async fn new(broker: &Broker, connector: &str, elsewhere: &str) -> Self {
        let provider = Provider::start().await;
        let documents = Documents::honest(&provider.base, elsewhere);
        documents.publish(&provider);
        let client = rolegate::sys::http::client(PATIENCE).unwrap();
        let (connector, base) = (connector.to_owned(), broker.base.clone());
        Self { connector, provider, documents, base, client, codes: Arc::default() }
    }

    /// The connector, with further settings and attributes.
    pub fn toml(&self, more: &str, attributes: &str) -> String {
        format!(
            "[[connector]]\nid = {:?}\nkind = \"oidc\"\nname = \"Hostile\"\nissuer = {:?}\nclient_id = {CLIENT:?}\n\
             client_secret = {SECRET:?}\n{more}\n[connector.attributes]\ngroups = \"groups\"\n{attributes}\n",
            self.connector, self.provider.base
        )
    }

    pub fn address(&self, what: &str) -> String {
        format!("{}/oidc/{}/{what}", self.base, self.connector)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> wire::Answer {
        let response = request.header("accept", "application/json").timeout(PATIENCE).send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        wire::Answer { status, headers, body: response.text().await.unwrap() }
    }

    /// Begins a sign-in as a browser does.
    ///
    /// # Errors
    /// What is answered instead of sending the browser to the provider.
    pub async fn begin(&self) -> Result<Asked, wire::Answer> {
        let started = self.send(self.client.get(self.address("start"))).await;
        if started.status != 303 {
            return Err(started);
        }
        let at = Url::parse(started.header("location").unwrap()).unwrap();
        let mut parameters = HashMap::new();
        for (name, value) in at.query_pairs().into_owned() {
            assert!(parameters.insert(name.clone(), value).is_none(), "{name} is there twice: {at}");
        }
        let cookie = started.header("set-cookie").expect("the browser is recognised by a cookie");
        Ok(Asked { at, parameters, cookie: cookie.split(';').next().unwrap().to_owned() })
    }

    /// The honest answer to a sign-in.
    pub fn honest(&self, asked: Asked, now: Timestamp) -> Reply {
        Reply::honest(asked, self.documents.clone(), now)
    }

    /// Makes the provider say it, and brings the browser back.
    pub async fn bring(&self, reply: &Reply) -> wire::Answer {
        reply.arm(&self.provider);
        self.callback(reply).await
    }

    /// Makes the provider say it for its own code, once, beside what it says for others.
    pub fn say(&self, reply: &Reply) {
        let good_for = (reply.token_document(), reply.asked.parameter("code_challenge").to_owned());
        self.codes.lock().unwrap().insert(reply.brings("code").to_owned(), good_for);
        let codes = Arc::clone(&self.codes);
        self.provider.decide("/token", move |call| {
            let form = call.form();
            let known = codes.lock().unwrap().remove(&form["code"]);
            let proof = base64url(openssl::sha::sha256(form["code_verifier"].as_bytes()));
            match known {
                Some((tokens, challenge)) if challenge == proof && authenticated(call) => Answer::Json(tokens),
                _ => oauth_error("invalid_grant"),
            }
        });
    }

    /// Brings the browser back, whatever the provider would say.
    pub async fn callback(&self, reply: &Reply) -> wire::Answer {
        let request = if reply.posted {
            // From a page of another site, so without the cookie.
            self.client.post(self.address("callback")).header("origin", &self.provider.base).form(&reply.brought)
        } else {
            let mut url = Url::parse(&self.address("callback")).unwrap();
            url.query_pairs_mut().extend_pairs(&reply.brought);
            self.client.get(url).header("cookie", &reply.cookie)
        };
        self.send(request).await
    }

    /// Follows an accepted reply to its end, which may be a refusal.
    pub async fn follow(&self, accepted: &wire::Answer, cookie: &str) -> wire::Answer {
        assert_eq!(accepted.status, 303, "{}", accepted.body);
        let location = Url::parse(&self.base).unwrap().join(accepted.header("location").unwrap()).unwrap();
        self.send(self.client.get(location).header("cookie", cookie)).await
    }

    /// Follows an accepted reply to its session; gives the session's cookie.
    pub async fn session(&self, accepted: &wire::Answer, cookie: &str) -> String {
        let welcome = self.follow(accepted, cookie).await;
        assert_eq!(welcome.status, 303, "{}", welcome.body);
        welcome.session_cookie()
    }

    /// A whole sign-in, changed by `change`; gives the session's cookie.
    pub async fn sign_in(&self, now: Timestamp, change: impl FnOnce(&mut Reply)) -> String {
        let asked = self.begin().await.unwrap_or_else(|answer| panic!("{answer:?}"));
        let mut reply = self.honest(asked, now);
        change(&mut reply);
        let accepted = self.bring(&reply).await;
        self.session(&accepted, &reply.cookie).await
    }

    /// `GET /api/v1/me` with that cookie.
    pub async fn me(&self, cookie: &str) -> wire::Answer {
        self.send(self.client.get(format!("{}/api/v1/me", self.base)).header("cookie", cookie)).await
    }

    /// Posts a logout token to the broker's back channel.
    pub async fn log_out(&self, fields: &[(&str, &str)]) -> wire::Answer {
        self.send(self.client.post(self.address("backchannel-logout")).form(fields)).await
    }
}
