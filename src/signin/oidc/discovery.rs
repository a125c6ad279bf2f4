//! What a provider says about itself.

use serde_json::Value;
use url::Url;

use super::json::{self, JsonError, Object};
use crate::catalog::{ClientAuth, Issuer};
use crate::saml::names::excerpt;
use crate::sys::http::names_this_machine;

/// A provider's metadata: where it is and what it offers. Links to logos, policies and documentation are not kept, so
/// nothing can ever fetch them.
///
/// Spec: OpenID Connect Discovery 1.0, section 3; RFC 9207; OpenID Connect RP-Initiated Logout 1.0 and Back-Channel
/// Logout 1.0, section 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderMetadata {
    pub issuer: Issuer,
    pub authorization_endpoint: Url,
    pub token_endpoint: Url,
    pub jwks_uri: Url,
    pub userinfo_endpoint: Option<Url>,
    pub end_session_endpoint: Option<Url>,
    /// How clients may prove who they are, as the provider lists it; nothing when it does not.
    pub token_auth_methods: Option<Vec<String>>,
    /// Every answer will name the issuer, so one that does not is not from there.
    pub iss_parameter: bool,
    pub backchannel_logout: bool,
    /// The PKCE methods it mentions. S256 is sent whatever stands here: Entra ID mentions none and does it all the same.
    pub code_challenge_methods: Vec<String>,
    /// The algorithms it may sign ID tokens with, as it lists them.
    pub signing_algorithms: Vec<String>,
    /// The scopes it knows, as it lists them; it may know others.
    pub scopes: Option<Vec<String>>,
    /// The contexts it can recognise people in, as it lists them.
    pub acr_values: Option<Vec<String>>,
}

/// Why a discovery document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    #[error("the discovery document cannot be read")]
    Json(#[source] JsonError),
    #[error("the discovery document's {0:?} is missing")]
    Missing(&'static str),
    #[error("the discovery document's {0:?} is not what it should be")]
    Shape(&'static str),
    #[error("the provider calls itself {found:?}, the catalog says {expected:?}{}", hint(.found, .expected))]
    Issuer { found: String, expected: String },
    #[error(
        "the provider calls itself {0:?}, a name that stands for many tenants; write the issuer of your own tenant, \
         with its id, in the catalog"
    )]
    ManyTenants(String),
    #[error(
        "the discovery document's {member:?} is {found:?}; it has to be an https URL without user name and fragment, \
         and may name this machine only if the issuer does"
    )]
    Endpoint { member: &'static str, found: String },
}

fn hint(found: &str, expected: &str) -> &'static str {
    if found.trim_end_matches('/') == expected.trim_end_matches('/') {
        "; they differ in the slash at the end, which counts"
    } else {
        ""
    }
}

impl DiscoveryError {
    /// A stable short name for audit events and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Json(e) => e.code(),
            Self::Missing(_) => "discovery-member-missing",
            Self::Shape(_) => "discovery-member-malformed",
            Self::Issuer { .. } => "discovery-issuer-wrong",
            Self::ManyTenants(_) => "discovery-many-tenants",
            Self::Endpoint { .. } => "discovery-endpoint-refused",
        }
    }
}

/// Where a provider describes itself. One slash at the end of the issuer is left out here, and only here.
#[must_use]
pub fn discovery_url(issuer: &Issuer) -> Url {
    let base = issuer.as_str();
    let base = base.strip_suffix('/').unwrap_or(base);
    Url::parse(&format!("{base}/.well-known/openid-configuration")).unwrap_or_else(|_| issuer.url())
}

impl ProviderMetadata {
    /// The largest discovery document that is read, in bytes.
    pub const MAX_BYTES: usize = 256 * 1024;

    /// Reads the document that [`discovery_url`] names.
    ///
    /// The issuer in it has to be the one in the catalog, byte for byte: that is what keeps one provider from speaking
    /// for another.
    ///
    /// # Errors
    /// [`DiscoveryError`]
    pub fn read(discovery: &[u8], issuer: &Issuer) -> Result<Self, DiscoveryError> {
        let document = json::object(discovery, Self::MAX_BYTES).map_err(DiscoveryError::Json)?;
        let read = Reader { document: &document, loopback: names_this_machine(&issuer.url()) };
        read.issuer(issuer)?;
        Ok(Self {
            issuer: issuer.clone(),
            authorization_endpoint: read.required("authorization_endpoint")?,
            token_endpoint: read.required("token_endpoint")?,
            jwks_uri: read.required("jwks_uri")?,
            userinfo_endpoint: read.endpoint("userinfo_endpoint")?,
            end_session_endpoint: read.endpoint("end_session_endpoint")?,
            token_auth_methods: read.list("token_endpoint_auth_methods_supported")?,
            iss_parameter: read.flag("authorization_response_iss_parameter_supported")?,
            backchannel_logout: read.flag("backchannel_logout_supported")?,
            code_challenge_methods: read.list("code_challenge_methods_supported")?.unwrap_or_default(),
            signing_algorithms: read.list("id_token_signing_alg_values_supported")?.unwrap_or_default(),
            // Nothing depends on these two, so nothing is refused for their sake.
            scopes: read.list("scopes_supported").unwrap_or_default(),
            acr_values: read.list("acr_values_supported").unwrap_or_default(),
        })
    }

    /// How we prove who we are: as the catalog says, else without a secret where we have none, else the first of basic
    /// and post that the provider offers. A provider that lists nothing takes basic.
    ///
    /// # Errors
    /// [`NoClientAuth`] when the secret fits nothing that is offered.
    pub fn client_auth(&self, configured: Option<ClientAuth>, has_secret: bool) -> Result<ClientAuth, NoClientAuth> {
        if let Some(configured) = configured {
            return Ok(configured);
        }
        if !has_secret {
            return Ok(ClientAuth::None);
        }
        let Some(offered) = &self.token_auth_methods else { return Ok(ClientAuth::Basic) };
        let ours = [ClientAuth::Basic, ClientAuth::Post];
        ours.into_iter().find(|auth| offered.iter().any(|method| method == auth.as_str())).ok_or_else(|| {
            NoClientAuth(offered.iter().take(10).map(|method| excerpt(method)).collect::<Vec<_>>().join(", "))
        })
    }
}

/// What an issuer of workloads' tokens says about itself: where its keys are. Most of them sign nobody in, and have none of
/// the endpoints for that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerMetadata {
    pub issuer: Issuer,
    pub jwks_uri: Url,
    /// The algorithms it may sign with, as it lists them.
    pub signing_algorithms: Vec<String>,
}

impl IssuerMetadata {
    /// Reads the document that [`discovery_url`] names. As with [`ProviderMetadata::read`], the issuer in it has to be the
    /// one in the catalog, byte for byte.
    ///
    /// # Errors
    /// [`DiscoveryError`]
    pub fn read(discovery: &[u8], issuer: &Issuer) -> Result<Self, DiscoveryError> {
        let document = json::object(discovery, ProviderMetadata::MAX_BYTES).map_err(DiscoveryError::Json)?;
        let read = Reader { document: &document, loopback: names_this_machine(&issuer.url()) };
        read.issuer(issuer)?;
        Ok(Self {
            issuer: issuer.clone(),
            jwks_uri: read.required("jwks_uri")?,
            signing_algorithms: read.list("id_token_signing_alg_values_supported")?.unwrap_or_default(),
        })
    }
}

/// A client secret is of no use with this provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the provider takes client secrets neither by basic nor by post, only {0}; set `client_auth`")]
pub struct NoClientAuth(String);

struct Reader<'a> {
    document: &'a Object,
    /// Whether the issuer is on this machine.
    loopback: bool,
}

impl Reader<'_> {
    fn issuer(&self, expected: &Issuer) -> Result<(), DiscoveryError> {
        match self.text("issuer")?.ok_or(DiscoveryError::Missing("issuer"))? {
            found if found == expected.as_str() => Ok(()),
            found if found.contains('{') => Err(DiscoveryError::ManyTenants(excerpt(found))),
            found => Err(DiscoveryError::Issuer { found: excerpt(found), expected: expected.to_string() }),
        }
    }

    fn text(&self, member: &'static str) -> Result<Option<&str>, DiscoveryError> {
        match self.document.get(member) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(DiscoveryError::Shape(member)),
        }
    }

    fn flag(&self, member: &'static str) -> Result<bool, DiscoveryError> {
        match self.document.get(member) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(DiscoveryError::Shape(member)),
        }
    }

    fn list(&self, member: &'static str) -> Result<Option<Vec<String>>, DiscoveryError> {
        match self.document.get(member) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(items)) => {
                let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
                texts.collect::<Option<_>>().map(Some).ok_or(DiscoveryError::Shape(member))
            }
            Some(_) => Err(DiscoveryError::Shape(member)),
        }
    }

    fn required(&self, member: &'static str) -> Result<Url, DiscoveryError> {
        self.endpoint(member)?.ok_or(DiscoveryError::Missing(member))
    }

    fn endpoint(&self, member: &'static str) -> Result<Option<Url>, DiscoveryError> {
        let Some(text) = self.text(member)? else { return Ok(None) };
        let refused = || DiscoveryError::Endpoint { member, found: excerpt(text) };
        let url = Url::parse(text).map_err(|_| refused())?;
        let here = names_this_machine(&url);
        // From outside, a name of this machine would lead to services that trust whoever calls from here.
        let allowed = match (url.scheme(), here) {
            ("https", false) => true,
            ("https" | "http", true) => self.loopback,
            _ => false,
        };
        let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        if allowed && plain && url.has_host() { Ok(Some(url)) } else { Err(refused()) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::forge::{ISSUER, discovery, metadata, with};
    use super::*;

    fn code(document: &Value, issuer: &str) -> &'static str {
        let issuer = issuer.parse().unwrap();
        ProviderMetadata::read(document.to_string().as_bytes(), &issuer).map_or_else(|e| e.code(), |_| "accepted")
    }

    #[test]
    fn a_slash_at_the_end_counts_except_in_where_to_look() {
        for (issuer, expected) in [
            ("https://idp.example", "https://idp.example/.well-known/openid-configuration"),
            ("https://idp.example/", "https://idp.example/.well-known/openid-configuration"),
            ("https://idp.example/a/b/", "https://idp.example/a/b/.well-known/openid-configuration"),
            ("https://idp.example/a//", "https://idp.example/a//.well-known/openid-configuration"),
        ] {
            assert_eq!(discovery_url(&issuer.parse().unwrap()).as_str(), expected);
            assert_eq!(code(&with(discovery(), &json!({"issuer": issuer})), issuer), "accepted");
        }
        let error = ProviderMetadata::read(
            with(discovery(), &json!({"issuer": "https://idp.example/"})).to_string().as_bytes(),
            &"https://idp.example".parse().unwrap(),
        );
        let error = error.unwrap_err();
        assert_eq!(error.code(), "discovery-issuer-wrong");
        assert!(error.to_string().contains("slash at the end"), "{error}");
    }

    #[test]
    fn what_a_provider_offers_is_read_and_the_rest_left_alone() {
        let metadata = metadata(&with(
            discovery(),
            &json!({
                "authorization_response_iss_parameter_supported": true,
                "backchannel_logout_supported": true,
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
                "code_challenge_methods_supported": ["plain", "S256"],
                "id_token_signing_alg_values_supported": ["none", "RS256"],
                "claims_supported": [1, {}],
            }),
        ));
        assert_eq!(metadata.token_endpoint.as_str(), "https://idp.example/token");
        assert!(metadata.iss_parameter && metadata.backchannel_logout);
        assert_eq!(metadata.code_challenge_methods, ["plain", "S256"]);
        assert_eq!(metadata.signing_algorithms, ["none", "RS256"]);
        assert!(!format!("{metadata:?}").contains("logo_uri"), "a logo is nobody's to fetch");
    }

    #[test]
    fn a_document_of_another_issuer_or_with_unsafe_addresses_is_refused() {
        for (changes, expected) in [
            (json!({"issuer": null}), "discovery-member-missing"),
            (json!({"issuer": "https://evil.example"}), "discovery-issuer-wrong"),
            (json!({"issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"}), "discovery-many-tenants"),
            (json!({"token_endpoint": null}), "discovery-member-missing"),
            (json!({"jwks_uri": null}), "discovery-member-missing"),
            (json!({"token_endpoint": 7}), "discovery-member-malformed"),
            (json!({"token_endpoint": "http://idp.example/token"}), "discovery-endpoint-refused"),
            (json!({"token_endpoint": "https://user@idp.example/token"}), "discovery-endpoint-refused"),
            (json!({"token_endpoint": "https://idp.example/token#x"}), "discovery-endpoint-refused"),
            (json!({"token_endpoint": "/token"}), "discovery-endpoint-refused"),
            (json!({"jwks_uri": "file:///etc/passwd"}), "discovery-endpoint-refused"),
            (json!({"jwks_uri": "http://127.0.0.1/jwks"}), "discovery-endpoint-refused"),
            (json!({"jwks_uri": "https://localhost/jwks"}), "discovery-endpoint-refused"),
            (json!({"userinfo_endpoint": "https://[::1]/"}), "discovery-endpoint-refused"),
            (json!({"authorization_endpoint": "javascript:alert(1)"}), "discovery-endpoint-refused"),
            (json!({"end_session_endpoint": "http://idp.example/logout"}), "discovery-endpoint-refused"),
            (json!({"authorization_response_iss_parameter_supported": "true"}), "discovery-member-malformed"),
            (json!({"token_endpoint_auth_methods_supported": "none"}), "discovery-member-malformed"),
            (json!({"userinfo_endpoint": null, "end_session_endpoint": null}), "accepted"),
        ] {
            assert_eq!(code(&with(discovery(), &changes), ISSUER), expected, "{changes}");
        }
        let local = json!({"issuer": "http://127.0.0.1:9/", "jwks_uri": "http://localhost:9/jwks"});
        assert_eq!(code(&with(discovery(), &local), "http://127.0.0.1:9/"), "accepted");
    }

    #[test]
    fn how_we_prove_who_we_are_follows_the_catalog_and_then_the_provider() {
        let with_methods =
            |methods: Value| metadata(&with(discovery(), &json!({"token_endpoint_auth_methods_supported": methods})));
        let silent = metadata(&discovery());
        assert_eq!(silent.client_auth(None, true), Ok(ClientAuth::Basic));
        assert_eq!(silent.client_auth(None, false), Ok(ClientAuth::None));
        assert_eq!(silent.client_auth(Some(ClientAuth::PrivateKeyJwt), false), Ok(ClientAuth::PrivateKeyJwt));
        let both = with_methods(json!(["client_secret_post", "client_secret_basic"]));
        assert_eq!(both.client_auth(None, true), Ok(ClientAuth::Basic));
        let post = with_methods(json!(["private_key_jwt", "client_secret_post"]));
        assert_eq!(post.client_auth(None, true), Ok(ClientAuth::Post));
        assert_eq!(post.client_auth(Some(ClientAuth::Basic), true), Ok(ClientAuth::Basic));
        assert!(with_methods(json!(["private_key_jwt"])).client_auth(None, true).is_err());
    }
}
