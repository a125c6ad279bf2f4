//! Tokens of workloads, as CI systems and clusters give them to what they run.
//!
//! | Path | What |
//! | --- | --- |
//! | `GET /idp/workload/{like}/.well-known/openid-configuration` | discovery; the issuer is `…/idp/workload/{like}` |
//! | `GET /idp/workload/jwks.json` | the keys of all three |
//! | `GET,POST /idp/workload/token?like=…&audience=…` | a token, as text |
//!
//! `like` is `github`, `gitlab` or `kubernetes`. Anybody may have a token about anything: there is no CI system behind it.
//! `lifetime` is in seconds; the rest is as [`Like::claims`] reads it.
//!
//! The shapes are those of the public documentation: GitHub Actions ("OpenID Connect reference"), GitLab ("ID token
//! authentication"), Kubernetes ("Managing service accounts", bound tokens).

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};

use super::oidc::keys::KeyRing;
use super::oidc::{broken, json_response, jws};
use super::params::Params;
use crate::sandbox::State;

/// What issues the tokens.
#[derive(Debug)]
pub struct Issuers {
    pub keys: KeyRing,
}

/// The kinds of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Like {
    GitHub,
    GitLab,
    Kubernetes,
}

const LIKE: [Like; 3] = [Like::GitHub, Like::GitLab, Like::Kubernetes];
/// No token lives longer.
const LONGEST: i64 = 24 * 3600;

/// The issuer of one kind, such as `http://127.0.0.1:8081/idp/workload/github`.
pub fn issuer(base: &url::Url, like: &str) -> String {
    format!("{}idp/workload/{like}", base.as_str())
}

/// Why there is no token, in a sentence.
type Refusal = String;

impl Like {
    fn parse(text: &str) -> Option<Self> {
        LIKE.into_iter().find(|like| like.as_str() == text)
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Kubernetes => "kubernetes",
        }
    }

    /// In seconds, as the real ones.
    const fn lifetime(self) -> i64 {
        match self {
            Self::GitHub => 300,
            Self::GitLab | Self::Kubernetes => 3600,
        }
    }

    /// What such a token says besides who issued it, for whom and when.
    fn claims(self, params: &mut Params, id: &str) -> Result<Value, Refusal> {
        let mut take = |name: &str, usual: &str| params.take(name).unwrap_or_else(|| usual.to_owned());
        Ok(match self {
            Self::GitHub => {
                let (repository, r#ref) = (take("repository", "larkspur/website"), take("ref", "refs/heads/main"));
                let (environment, event) = (params.take("environment"), params.take("event_name"));
                let event = event.unwrap_or_else(|| "push".to_owned());
                let actor = params.take("actor").unwrap_or_else(|| "asha".to_owned());
                let owner = repository.split_once('/').map(|(owner, _)| owner);
                let owner = owner.ok_or("A repository is written as owner/name.")?.to_owned();
                let about = match (&environment, event.as_str()) {
                    (Some(environment), _) => format!("environment:{environment}"),
                    (None, "pull_request") => "pull_request".to_owned(),
                    (None, _) => format!("ref:{ref}"),
                };
                let kind = if r#ref.starts_with("refs/tags/") { "tag" } else { "branch" };
                let workflow = format!("{repository}/.github/workflows/deploy.yml@{ref}");
                let mut claims = json!({
                    "sub": format!("repo:{repository}:{about}"), "jti": id, "repository": repository,
                    "repository_owner": owner, "repository_id": number(&repository), "repository_owner_id": number(&owner),
                    "repository_visibility": "private", "ref": r#ref, "ref_type": kind, "ref_protected": "true",
                    "event_name": event, "workflow": "Deploy", "workflow_ref": workflow, "job_workflow_ref": workflow,
                    "actor": actor, "actor_id": number(&actor), "run_id": number(id), "run_number": "10",
                    "run_attempt": "1", "runner_environment": "github-hosted", "head_ref": "", "base_ref": "",
                });
                if let Some(environment) = environment {
                    claims["environment"] = environment.into();
                }
                claims
            }
            Self::GitLab => {
                let (project, r#ref) = (take("project_path", "larkspur/website"), take("ref", "main"));
                let (kind, user) = (take("ref_type", "branch"), take("user_login", "asha"));
                let environment = params.take("environment");
                let namespace = project.rsplit_once('/').map(|(namespace, _)| namespace);
                let namespace = namespace.ok_or("A project_path is written as group/project.")?.to_owned();
                let mut claims = json!({
                    "sub": format!("project_path:{project}:ref_type:{kind}:ref:{}", r#ref), "jti": id,
                    "project_path": project, "project_id": number(&project), "namespace_path": namespace,
                    "namespace_id": number(&namespace), "ref": r#ref, "ref_type": kind, "ref_protected": "true",
                    "ref_path": format!("refs/{}/{}", if kind == "tag" { "tags" } else { "heads" }, r#ref),
                    "user_login": user, "user_id": number(&user), "pipeline_source": "push", "pipeline_id": number(id),
                    "job_id": number(&format!("{id} job")), "runner_environment": "gitlab-hosted",
                });
                if let Some(environment) = environment {
                    claims["environment"] = environment.into();
                    claims["environment_protected"] = "true".into();
                }
                claims
            }
            Self::Kubernetes => {
                let (namespace, account) = (take("namespace", "ci"), take("serviceaccount", "deployer"));
                json!({
                    "sub": format!("system:serviceaccount:{namespace}:{account}"), "jti": id,
                    "kubernetes.io": {
                        "namespace": namespace,
                        "pod": { "name": format!("{account}-0"), "uid": uid(id) },
                        "serviceaccount": { "name": account, "uid": uid(&format!("{namespace}/{account}")) },
                    },
                })
            }
        })
    }
}

/// The same number for the same text, as the ids of things are.
fn number(text: &str) -> String {
    let digest = openssl::sha::sha256(text.as_bytes());
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]).to_string()
}

fn uid(text: &str) -> String {
    let digest = openssl::sha::sha256(text.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// `GET /idp/workload/{like}/.well-known/openid-configuration`
pub async fn discovery(path: web::Path<String>, state: web::Data<State>) -> HttpResponse {
    let Some(like) = Like::parse(&path) else { return HttpResponse::NotFound().finish() };
    json_response(
        200,
        &json!({
            "issuer": issuer(&state.base, like.as_str()),
            "jwks_uri": format!("{}idp/workload/jwks.json", state.base.as_str()),
            "subject_types_supported": ["public"],
            "response_types_supported": ["id_token"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid"],
        }),
    )
}

/// `GET /idp/workload/jwks.json`
pub async fn jwks(state: web::Data<State>) -> HttpResponse {
    match state.idp.workload.keys.ring(&state.clock, &state.rng).await {
        Ok(ring) => match ring.jwks() {
            Ok(jwks) => json_response(200, &jwks),
            Err(error) => broken(&error),
        },
        Err(error) => broken(&error),
    }
}

/// `GET,POST /idp/workload/token`: the token and nothing else, so that a shell can take it as it is.
pub async fn token(request: HttpRequest, body: web::Bytes, state: web::Data<State>) -> HttpResponse {
    let posted = if body.is_empty() { request.query_string().as_bytes() } else { &body[..] };
    let claims = Params::parse(posted).map_err(|error| error.to_string());
    let claims = match claims.and_then(|params| asked(&state, params)) {
        Ok(claims) => claims,
        Err(text) => return json_response(400, &json!({"error": "invalid_request", "error_description": text})),
    };
    let signed = match state.idp.workload.keys.ring(&state.clock, &state.rng).await {
        Ok(ring) => jws::sign(&ring.current, "JWT", &claims).map_err(|error| broken(&error)),
        Err(error) => Err(broken(&error)),
    };
    signed.map_or_else(
        |response| response,
        |token| {
            HttpResponse::Ok()
                .insert_header((CACHE_CONTROL, "no-store"))
                .insert_header((CONTENT_TYPE, "text/plain; charset=utf-8"))
                .body(token)
        },
    )
}

fn asked(state: &State, mut params: Params) -> Result<Map<String, Value>, Refusal> {
    let like = params.take("like").unwrap_or_default();
    let like = Like::parse(&like).ok_or("Say like=github, like=gitlab or like=kubernetes.")?;
    let audience = params.take("audience").ok_or("Say for whom the token is: audience=http://127.0.0.1:8080.")?;
    let lifetime = match params.take("lifetime") {
        None => like.lifetime(),
        Some(text) => text
            .parse()
            .ok()
            .filter(|seconds| (1..=LONGEST).contains(seconds))
            .ok_or_else(|| format!("A lifetime is a number of seconds, {LONGEST} at most."))?,
    };
    let id = state.request_id();
    let claims = like.claims(&mut params, &id)?;
    if !params.encoded().is_empty() {
        return Err(format!("A token like {} takes no such parameter: {}.", like.as_str(), params.encoded()));
    }
    let Value::Object(mut claims) = claims else { return Err("There is nothing to say.".to_owned()) };
    let now = state.clock.now().as_second();
    // Kubernetes lists audiences, also where there is one.
    let audience = if like == Like::Kubernetes { json!([audience]) } else { json!(audience) };
    for (name, value) in [
        ("iss", issuer(&state.base, like.as_str()).into()),
        ("aud", audience),
        ("iat", now.into()),
        ("nbf", now.into()),
        ("exp", (now + lifetime).into()),
    ] {
        claims.insert(name.to_owned(), value);
    }
    Ok(claims)
}
