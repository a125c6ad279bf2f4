//! Jobs and pods that exchange what their surroundings gave them: [`stories`] that end well, [`refused`] ones, what an
//! operator [sets up](setup), and the [snippets](docs) of the documentation.

mod docs;
mod refused;
mod sandbox;
mod setup;
mod stories;

use std::sync::Arc;

use rolegate::sys::{Clock as _, ManualClock, SystemClock};
use serde_json::{Value, json};

use crate::broker::{Broker, Wishes};
use crate::hostile_oidc::forge::{Token, Who};
use crate::hostile_oidc::play::DISCOVERY;
use crate::hostile_oidc::provider::{Answer as Says, Provider};
use crate::sandboxed::{Answer, client, send};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const CREDENTIALS: &str = "urn:rolegate:params:oauth:token-type:aws-credentials";
/// The connector's name in every catalog here.
const CI: &str = "ci";

/// What a job of GitHub Actions is given.
const GITHUB: &str = include_str!("shapes/github.json");
/// What a job of GitLab CI is given.
const GITLAB: &str = include_str!("shapes/gitlab.json");
/// What a pod is given.
const KUBERNETES: &str = include_str!("shapes/kubernetes.json");

/// What the catalog reads from a job of GitHub Actions.
const ATTRIBUTES: &str = "owner = \"repository_owner\"\nrepository = \"repository\"\nref = \"ref\"\nenvironment = \
                          \"environment\"\n";
const RULES: &str = r#"
[[account]]
id = "111122223333"
name = "Payments production"
[[account]]
id = "444455556666"
name = "Payments test"
[[role]]
account = "111122223333"
name = "teams/app/Deploy"
[[role]]
account = "444455556666"
name = "teams/app/Deploy"
[[role]]
account = "111122223333"
name = "Admin"
[[rule]]
id = "app-deploys"
when = { connector = "ci", repository = "corp/app", ref = "refs/heads/main" }
grant = [{ account = "*", role = "teams/app/Deploy" }]
"#;

/// A broker, an issuer of workloads' tokens, and a clock for both that the test moves.
struct Scene {
    broker: Broker,
    clock: Arc<ManualClock>,
    issuer: Provider,
}

impl Scene {
    async fn start() -> Self {
        Self::with(Broker::wishes(), "require = { owner = \"corp\" }", ATTRIBUTES).await
    }

    /// With these settings of the connector and these attributes.
    async fn with(wishes: Wishes, settings: &str, attributes: &str) -> Self {
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let broker = wishes.clock(&clock).start().await;
        let issuer = Provider::start().await;
        let scene = Self { broker, clock, issuer };
        scene.publish(&[Who::Provider.jwk("rsa")]);
        scene.broker.apply(&format!("{}{RULES}", scene.connector(CI, settings, attributes))).await;
        scene
    }

    /// What the issuer says about itself. It has no endpoints for people, as the real ones have none.
    fn publish(&self, keys: &[Value]) {
        let base = &self.issuer.base;
        let discovery = json!({
            "issuer": base, "jwks_uri": format!("{base}/jwks"), "subject_types_supported": ["public", "pairwise"],
            "response_types_supported": ["id_token"], "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid"],
        });
        self.issuer.answer(DISCOVERY, Says::Json(discovery));
        self.issuer.answer("/jwks", Says::Json(json!({ "keys": keys })));
    }

    fn connector(&self, id: &str, settings: &str, attributes: &str) -> String {
        format!(
            "[[connector]]\nid = \"{id}\"\nkind = \"workload\"\nissuer = \"{}\"\n{settings}\n\
             [connector.attributes]\n{attributes}\n",
            self.issuer.base
        )
    }

    /// A token of that shape, of now and for us.
    fn token(&self, shape: &str) -> Token {
        let mut claims: Value = serde_json::from_str(shape).unwrap();
        let now = self.clock.now().as_second();
        for name in ["iat", "nbf", "exp"] {
            claims[name] = json!(claims[name].as_i64().unwrap() + now);
        }
        claims["iss"] = json!(self.issuer.base);
        claims["aud"] = if claims["aud"].is_array() { json!([self.broker.base]) } else { json!(self.broker.base) };
        Token::honest(claims).with_header("typ", json!("JWT"))
    }

    fn job(&self) -> Token {
        self.token(GITHUB)
    }

    /// Exchanges a token, with these parameters besides; one given here stands in for the usual one.
    async fn exchange(&self, token: &str, more: &[(&str, &str)]) -> Answer {
        exchange(&self.broker.base, token, more).await
    }

    /// The access token that comes of it.
    async fn access(&self, token: &str, more: &[(&str, &str)]) -> String {
        let answer = self.exchange(token, more).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// `GET` with a token.
    async fn get(&self, path: &str, token: &str) -> Answer {
        send(client().get(self.broker.at(path)).bearer_auth(token)).await
    }

    /// What was recorded, but for keys and documents.
    async fn recorded(&self) -> Vec<(String, Value)> {
        let mut events = self.broker.events().await;
        events.retain(|(kind, _)| !matches!(kind.as_str(), "key.created" | "catalog.applied" | "metadata.refreshed"));
        events
    }

    /// Asserts that nothing was given, what was said instead, and that the audit log has this cause.
    async fn refused(&self, answer: &Answer, (status, code): (u16, &str), cause: &str) -> Value {
        said_no(answer, status, code);
        let (kind, body) = self.recorded().await.pop().expect("it was recorded");
        assert!(matches!(kind.as_str(), "sign-in.refused" | "token.refused"), "{kind}: {body}");
        assert_eq!(body["cause"], cause, "{body}");
        assert_eq!(body["grant"], "token-exchange");
        assert_eq!(self.broker.last_reference().await.as_deref(), Some(answer.header("x-request-id")));
        body
    }
}

async fn exchange(broker: &str, token: &str, more: &[(&str, &str)]) -> Answer {
    let usual = [("grant_type", GRANT), ("subject_token_type", JWT), ("subject_token", token)];
    let given = |name: &str| more.iter().any(|(other, _)| *other == name);
    let fields: Vec<_> = usual.into_iter().filter(|(name, _)| !given(name)).chain(more.iter().copied()).collect();
    send(client().post(format!("{broker}/oauth/token")).form(&fields)).await
}

/// Asserts that this is a refusal as OAuth writes it. Gives its sentence.
fn said_no(answer: &Answer, status: u16, code: &str) -> String {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    let document = answer.json();
    assert_eq!(document["error"], code, "{document}");
    assert!(document.get("access_token").is_none() && document.get("credentials").is_none(), "{document}");
    document["error_description"].as_str().expect("a sentence").to_owned()
}
