//! The server as its addresses show it: OAuth's endpoints and `/api/v1`, over HTTP and nothing else.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;
use zeroize::Zeroizing;

use super::limits::Limits;
use super::server::Server;
use crate::aws::{MfaCode, MfaSerial, Region, RoleArn, SessionDuration};
use crate::issuance::Format;
use crate::issuance::formats::Context;
use crate::sys::http::client_of;
use crate::sys::{Bearer, ExposeSecret as _, SecretString};

/// The name our own commands go by at every Rolegate.
pub const CLIENT_ID: &str = "rolegate-cli";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The server gives AWS up to twenty seconds; SDKs wait about as long for `credential-process`.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A list of ten thousand roles is two megabytes.
const LARGEST: usize = 32 * 1024 * 1024;
const FORM: &str = "application/x-www-form-urlencoded";

/// Why the server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("no connection can be made from here")]
    Client(#[source] reqwest::Error),
    #[error("{server} cannot be reached")]
    Unreachable { server: Server, source: reqwest::Error },
    #[error("{server} did not answer within {} s", TIMEOUT.as_secs())]
    Slow { server: Server },
    #[error("{server} sent more than any Rolegate sends")]
    TooLarge { server: Server },
    #[error("{server} does not answer as a Rolegate does: {about}; is that its address?")]
    Unexpected { server: Server, about: String },
    #[error("{}", .0.sentence())]
    Problem(Box<ProblemDocument>),
    /// What a token endpoint answers.
    ///
    /// Spec: RFC 6749, section 5.2.
    #[error("{}", description.as_deref().unwrap_or(code))]
    OAuth { status: u16, code: String, description: Option<String> },
}

/// RFC 9457, as far as somebody at a terminal needs it.
#[derive(Debug, Deserialize)]
pub struct ProblemDocument {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    pub status: u16,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    instance: String,
    /// Where a browser goes on, for a role that asks for another sign-in.
    #[serde(default)]
    link: Option<String>,
    /// Seconds to wait, from the header.
    #[serde(skip)]
    pub retry_after: Option<String>,
}

impl ProblemDocument {
    /// The stable name of the problem, as `docs/problems.md` has it.
    #[must_use]
    pub fn slug(&self) -> &str {
        self.kind.strip_prefix("urn:rolegate:problem:").unwrap_or("")
    }

    /// What it says, with the id that finds the log line.
    #[must_use]
    pub fn sentence(&self) -> String {
        let said = if self.detail.is_empty() { &self.title } else { &self.detail };
        // On pages the id stands below; here it stands behind.
        let mut text = said.trim().replace("the support id below", "the support id");
        if let Some(link) = &self.link {
            text.push_str(&format!(" The link: {link}"));
        }
        if let Some(seconds) = &self.retry_after {
            text.push_str(&format!(" Try again in {seconds} s."));
        }
        if let Some(id) = self.instance.strip_prefix("urn:rolegate:request:") {
            text.push_str(&format!(" (support id {id})"));
        }
        super::words::printable(&text)
    }
}

/// Where a server's OAuth endpoints are.
///
/// Spec: RFC 8414, section 2.
#[derive(Debug, Clone, Deserialize)]
pub struct Metadata {
    pub issuer: String,
    pub authorization_endpoint: Url,
    pub token_endpoint: Url,
    pub device_authorization_endpoint: Option<Url>,
    pub revocation_endpoint: Option<Url>,
}

/// What a token endpoint grants.
#[derive(Deserialize)]
pub struct Granted {
    pub access_token: SecretString,
    pub refresh_token: Option<SecretString>,
    pub expires_in: u32,
}

/// Spec: RFC 8628, section 3.2.
#[derive(Deserialize)]
pub struct DeviceStarted {
    pub device_code: SecretString,
    pub user_code: String,
    pub verification_uri: String,
    pub verification_uri_complete: Option<String>,
    pub expires_in: u32,
    pub interval: Option<u32>,
}

/// Who somebody is, as `/api/v1/me` says.
#[derive(Debug, Deserialize)]
pub struct Me {
    pub connector: String,
    pub subject: String,
    pub name: Option<String>,
    pub email: Option<String>,
    pub session: MySession,
}

#[derive(Debug, Deserialize)]
pub struct MySession {
    pub expires: jiff::Timestamp,
}

/// A role somebody may use, as `/api/v1/roles` says.
#[derive(Debug, Clone, Deserialize)]
pub struct Role {
    pub account: String,
    pub account_name: String,
    pub role: String,
    #[serde(default)]
    pub description: Option<String>,
    pub max_session_s: u32,
    #[serde(default)]
    pub step_up: bool,
    /// Everything the server says of it.
    #[serde(skip)]
    pub all: serde_json::Value,
}

#[derive(Deserialize)]
struct RolePage {
    roles: Vec<serde_json::Value>,
    next_cursor: Option<String>,
}

/// What credentials are asked for.
#[derive(Debug, Default, Clone)]
pub struct CredentialsWish {
    pub duration: Option<SessionDuration>,
    pub region: Option<String>,
    pub limits: Limits,
    pub fresh: bool,
    /// What an MFA device shows, for a role that asks for it.
    pub mfa_code: Option<MfaCode>,
    pub mfa_serial: Option<MfaSerial>,
}

/// Credentials as format `json` has them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: SecretString,
    pub session_token: SecretString,
    pub expiration: String,
    pub account_id: String,
    pub role_arn: String,
    pub region: Option<String>,
}

impl Credentials {
    /// The keys as shells and files read them, written here: what a server sends is never itself run by a shell.
    ///
    /// Nothing, if they hold what AWS's do not.
    #[must_use]
    pub fn written(&self, format: Format) -> Option<SecretString> {
        let role: RoleArn = self.role_arn.parse().ok()?;
        let region: Option<Region> = self.region.as_ref().map(|region| region.parse()).transpose().ok()?;
        let credentials = crate::aws::Credentials {
            access_key_id: self.access_key_id.clone(),
            secret_access_key: self.secret_access_key.clone(),
            session_token: self.session_token.clone(),
            expiration: self.expiration.parse().ok()?,
        };
        let context = Context { role: &role, region: region.as_ref(), packed_percent: None };
        credentials.are_plain().then(|| format.render(&credentials, &context))
    }
}

#[derive(Deserialize)]
pub struct ConsoleLink {
    pub url: SecretString,
}

/// One call with a token.
#[derive(Debug, Clone)]
pub struct Call {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<serde_json::Value>,
}

impl Call {
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self { method: Method::GET, path: path.to_owned(), query: Vec::new(), body: None }
    }

    /// Credentials of a role, as [`Credentials`].
    #[must_use]
    pub fn credentials(account: &str, role: &str, wish: &CredentialsWish) -> Self {
        let mut body = serde_json::Map::new();
        if let Some(duration) = wish.duration {
            body.insert("duration".to_owned(), duration.as_secs().into());
        }
        if let Some(region) = &wish.region {
            body.insert("region".to_owned(), region.as_str().into());
        }
        wish.limits.write(&mut body);
        if let Some(code) = &wish.mfa_code {
            body.insert("mfa_code".to_owned(), code.expose().into());
        }
        if let Some(serial) = &wish.mfa_serial {
            body.insert("mfa_serial".to_owned(), serial.as_str().into());
        }
        if wish.fresh {
            body.insert("fresh".to_owned(), true.into());
        }
        Self { body: Some(body.into()), ..Self::post(account, role, "credentials") }.with("format", Format::Json.name())
    }

    /// A link to the console.
    #[must_use]
    pub fn console(
        account: &str,
        role: &str,
        destination: Option<&str>,
        duration: Option<SessionDuration>,
        limits: &Limits,
    ) -> Self {
        let mut body = serde_json::Map::new();
        limits.write(&mut body);
        if let Some(destination) = destination {
            body.insert("destination".to_owned(), destination.into());
        }
        if let Some(duration) = duration {
            body.insert("duration".to_owned(), duration.as_secs().into());
        }
        Self { body: Some(body.into()), ..Self::post(account, role, "console") }
    }

    fn post(account: &str, role: &str, what: &str) -> Self {
        let path = format!(
            "/api/v1/roles/{}/{}/{what}",
            segment(account),
            role.split('/').map(segment).collect::<Vec<_>>().join("/")
        );
        Self { method: Method::POST, path, query: Vec::new(), body: None }
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }
}

/// A text as one segment of a path: whatever was typed, it leads to no other address.
fn segment(text: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');
    let encoded = utf8_percent_encode(text, KEPT).to_string();
    // Two dots would lead up even when they are encoded, and no role is named so.
    if matches!(text, "." | "..") { "%20".to_owned() } else { encoded.replace("%2E", ".") }
}

/// A server that can be called.
#[derive(Debug, Clone)]
pub struct Api {
    server: Server,
    client: reqwest::Client,
}

struct Answer {
    status: u16,
    json: bool,
    retry_after: Option<String>,
    body: Zeroizing<Vec<u8>>,
}

impl Api {
    /// # Errors
    /// [`ApiError::Client`].
    pub fn of(server: Server) -> Result<Self, ApiError> {
        let client = client_of(server.as_url(), CONNECT_TIMEOUT).map_err(ApiError::Client)?;
        Ok(Self { server, client })
    }

    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// Where the OAuth endpoints are. All of them are on the server itself: a code or a token goes nowhere else,
    /// whatever a document says.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn metadata(&self) -> Result<Metadata, ApiError> {
        let url = self.at("/.well-known/oauth-authorization-server");
        let answer = self.exchange(self.client.get(url).header(ACCEPT, "application/json")).await?;
        let metadata: Metadata = self.read(&answer)?;
        if metadata.issuer.trim_end_matches('/') != self.server.to_string() {
            return Err(self.unexpected(&format!("it calls itself {}", metadata.issuer)));
        }
        let optional = [&metadata.device_authorization_endpoint, &metadata.revocation_endpoint];
        let all = [&metadata.authorization_endpoint, &metadata.token_endpoint];
        let elsewhere = all.into_iter().chain(optional.into_iter().flatten()).find(|url| !self.server.has(url));
        if let Some(url) = elsewhere {
            return Err(self.unexpected(&format!("it names {url}, which is elsewhere")));
        }
        Ok(metadata)
    }

    /// Posts to one of the OAuth endpoints and reads the answer.
    ///
    /// # Errors
    /// [`ApiError`]; a refusal of the endpoint is [`ApiError::OAuth`].
    pub async fn oauth<T: DeserializeOwned>(&self, endpoint: &Url, fields: &[(&str, &str)]) -> Result<T, ApiError> {
        let answer = self.post_form(endpoint, fields).await?;
        self.read(&answer)
    }

    /// Revokes a token. A server answers the same whether there was one.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn revoke(&self, endpoint: &Url, token: &Bearer) -> Result<(), ApiError> {
        let fields = [("token", token.expose_secret()), ("client_id", CLIENT_ID)];
        let answer = self.post_form(endpoint, &fields).await?;
        if answer.status == 200 { Ok(()) } else { Err(self.refusal(&answer)) }
    }

    /// Makes a call and gives the body as it came.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn body(&self, call: &Call, token: &Bearer) -> Result<Zeroizing<Vec<u8>>, ApiError> {
        Ok(self.call(call, token).await?.body)
    }

    /// Makes a call and reads the JSON that comes.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn json<T: DeserializeOwned>(&self, call: &Call, token: &Bearer) -> Result<T, ApiError> {
        let answer = self.call(call, token).await?;
        self.read(&answer)
    }

    /// All roles of the person, page after page.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn roles(&self, token: &Bearer) -> Result<Vec<Role>, ApiError> {
        let mut roles = Vec::new();
        let mut call = Call::get("/api/v1/roles");
        loop {
            let page: RolePage = self.json(&call, token).await?;
            for entry in page.roles {
                let role = Role::deserialize(&entry);
                let role = role.map_err(|_| self.unexpected("its list of roles has another form"))?;
                roles.push(Role { all: entry, ..role });
            }
            match page.next_cursor {
                Some(cursor) => call = Call::get("/api/v1/roles").with("cursor", cursor),
                None => return Ok(roles),
            }
        }
    }

    fn at(&self, path: &str) -> Url {
        self.server.as_url().join(path).expect("a path of ours on a server's address is an address")
    }

    async fn call(&self, call: &Call, token: &Bearer) -> Result<Answer, ApiError> {
        let mut authorization = HeaderValue::from_str(&Zeroizing::new(format!("Bearer {}", token.expose_secret())))
            .expect("a token is letters and digits");
        authorization.set_sensitive(true);
        let mut url = self.at(&call.path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = self.client.request(call.method.clone(), url).header(AUTHORIZATION, authorization);
        request = request.header(ACCEPT, "application/json, application/problem+json, text/plain");
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let answer = self.exchange(request).await?;
        if answer.status == 200 { Ok(answer) } else { Err(self.refusal(&answer)) }
    }

    async fn post_form(&self, endpoint: &Url, fields: &[(&str, &str)]) -> Result<Answer, ApiError> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.client.post(endpoint.clone()).header(CONTENT_TYPE, FORM).header(ACCEPT, "application/json");
        self.exchange(request.body(body)).await
    }

    async fn exchange(&self, request: reqwest::RequestBuilder) -> Result<Answer, ApiError> {
        let failed = |source: reqwest::Error| {
            if source.is_timeout() && !source.is_connect() {
                ApiError::Slow { server: self.server.clone() }
            } else {
                ApiError::Unreachable { server: self.server.clone(), source: source.without_url() }
            }
        };
        let mut response = request.timeout(TIMEOUT).send().await.map_err(failed)?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (kind, retry_after) = (header("content-type").unwrap_or_default(), header("retry-after"));
        let mut answer = Answer {
            status: response.status().as_u16(),
            json: kind.starts_with("application/json") || kind.starts_with("application/problem+json"),
            retry_after,
            body: Zeroizing::new(Vec::new()),
        };
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if answer.body.len() + chunk.len() > LARGEST {
                return Err(ApiError::TooLarge { server: self.server.clone() });
            }
            answer.body.extend_from_slice(&chunk);
        }
        Ok(answer)
    }

    fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, ApiError> {
        if answer.status != 200 {
            return Err(self.refusal(answer));
        }
        // What it could not read is not quoted: it may be a token.
        serde_json::from_slice(&answer.body).map_err(|_| self.unexpected("its answer has another form"))
    }

    fn refusal(&self, answer: &Answer) -> ApiError {
        #[derive(Deserialize)]
        struct OAuthError {
            error: String,
            error_description: Option<String>,
        }
        let json = if answer.json { answer.body.as_slice() } else { b"" };
        if let Ok(OAuthError { error, error_description }) = serde_json::from_slice(json) {
            let printable = |text: String| super::words::printable(&text);
            return ApiError::OAuth {
                status: answer.status,
                code: printable(error),
                description: error_description.map(printable),
            };
        }
        match serde_json::from_slice::<ProblemDocument>(json) {
            Ok(mut problem) if !problem.slug().is_empty() => {
                problem.status = answer.status;
                problem.retry_after.clone_from(&answer.retry_after);
                // It is a path of this server's.
                problem.link = problem.link.and_then(|link| self.server.as_url().join(&link).ok()).map(String::from);
                ApiError::Problem(Box::new(problem))
            }
            // A proxy in front of it, most likely.
            _ if matches!(answer.status, 429 | 500..) => ApiError::Problem(Box::new(ProblemDocument {
                kind: String::new(),
                title: format!("{} answers with status {}; please try again in a moment.", self.server, answer.status),
                status: answer.status,
                detail: String::new(),
                instance: String::new(),
                link: None,
                retry_after: answer.retry_after.clone(),
            })),
            _ => self.unexpected(&format!("status {}", answer.status)),
        }
    }

    /// Keys that AWS does not give.
    #[must_use]
    pub fn strange_keys(&self) -> ApiError {
        self.unexpected("its keys have another form")
    }

    /// Tokens that no Rolegate gives.
    #[must_use]
    pub fn strange_tokens(&self) -> ApiError {
        self.unexpected("its tokens have another form")
    }

    fn unexpected(&self, about: &str) -> ApiError {
        ApiError::Unexpected { server: self.server.clone(), about: super::words::printable(about) }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("role_arn", &self.role_arn).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Granted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Granted").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for DeviceStarted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceStarted").field("verification_uri", &self.verification_uri).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ConsoleLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConsoleLink")
    }
}

impl ConsoleLink {
    #[must_use]
    pub fn expose(&self) -> &str {
        self.url.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_with_a_path_is_named_with_its_path_and_nothing_typed_leads_elsewhere() {
        let path = |account: &str, role: &str| Call::console(account, role, None, None, &Limits::default()).path;
        assert_eq!(path("111122223333", "teams/pay/Deploy"), "/api/v1/roles/111122223333/teams/pay/Deploy/console");
        assert_eq!(path("1", "a?b#c%2e"), "/api/v1/roles/1/a%3Fb%23c%252e/console");
        assert_eq!(path("1", "../../../me"), "/api/v1/roles/1/%20/%20/%20/me/console");
        assert_eq!(path("1", "v1.2_x+=,@-"), "/api/v1/roles/1/v1.2_x%2B%3D%2C%40-/console");
    }

    #[test]
    fn a_problem_is_told_with_its_support_id_and_without_control_characters() {
        let text = r#"{"type":"urn:rolegate:problem:role-not-permitted","title":"t","status":403,
            "detail":"No rule. Give them the support id below.\u001b[2J","instance":"urn:rolegate:request:5f1c"}"#;
        let problem: ProblemDocument = serde_json::from_str(text).unwrap();
        assert_eq!(problem.slug(), "role-not-permitted");
        assert_eq!(problem.sentence(), "No rule. Give them the support id.\u{fffd}[2J (support id 5f1c)");
    }
}
