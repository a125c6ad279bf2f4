//! Who may ask by OpenID Connect, and where answers may go.

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use crate::sandbox::idp::saml::partners::is_loopback;
use crate::sandbox::metadata::{Cached, MetadataSource};

/// An application that may ask.
#[derive(Debug, Clone)]
pub struct OidcClient {
    pub id: String,
    pub authentication: ClientAuthentication,
    /// Compared byte for byte.
    pub redirect_uris: Vec<String>,
    /// Compared byte for byte.
    pub post_logout_redirect_uris: Vec<String>,
    /// Gets logout tokens.
    pub backchannel_logout_uri: Option<Url>,
}

/// How an application shows at the token endpoint that it is what it says.
#[derive(Debug, Clone)]
pub enum ClientAuthentication {
    /// It cannot keep a secret: PKCE alone protects it.
    Public,
    /// By `client_secret_basic` or `client_secret_post`.
    Secret(SecretString),
    /// By `private_key_jwt`: its JWK set.
    Keys(MetadataSource),
}

/// Why a list of clients cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OidcClientsError {
    #[error("the clients are not described in valid TOML")]
    Toml(#[source] toml::de::Error),
    #[error("client `{0}` has a client_secret and a jwks_url; it shows who it is in one way")]
    TwoWays(String),
    #[error("client `{0}` has no redirect_uris, so no answer could go anywhere")]
    NoRedirectUri(String),
    #[error("client `{client}` has the address `{address}`, which is not an http or https URL without fragment")]
    Address { client: String, address: String },
    #[error("client `{0}` stands twice")]
    Twice(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    client: Vec<Described>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    client_id: String,
    client_secret: Option<String>,
    jwks_url: Option<String>,
    redirect_uris: Vec<String>,
    #[serde(default)]
    post_logout_redirect_uris: Vec<String>,
    backchannel_logout_uri: Option<String>,
}

impl OidcClient {
    /// Reads `[[client]]` tables: `client_id`; `client_secret`, `jwks_url` or neither; `redirect_uris`,
    /// `post_logout_redirect_uris`, `backchannel_logout_uri`.
    ///
    /// # Errors
    /// [`OidcClientsError`] names what is wrong.
    pub fn from_toml(text: &str) -> Result<Vec<Self>, OidcClientsError> {
        let file: File = toml::from_str(text).map_err(OidcClientsError::Toml)?;
        let mut clients: Vec<Self> = Vec::new();
        for described in file.client {
            let id = described.client_id;
            if clients.iter().any(|other| other.id == id) {
                return Err(OidcClientsError::Twice(id));
            }
            if described.redirect_uris.is_empty() {
                return Err(OidcClientsError::NoRedirectUri(id));
            }
            let address = |text: &str| {
                let web = |url: &Url| matches!(url.scheme(), "http" | "https") && url.fragment().is_none();
                Url::parse(text)
                    .ok()
                    .filter(web)
                    .ok_or_else(|| OidcClientsError::Address { client: id.clone(), address: text.to_owned() })
            };
            for text in described.redirect_uris.iter().chain(&described.post_logout_redirect_uris) {
                address(text)?;
            }
            let authentication = match (described.client_secret, described.jwks_url) {
                (None, None) => ClientAuthentication::Public,
                (Some(secret), None) => ClientAuthentication::Secret(secret.into()),
                (None, Some(url)) => ClientAuthentication::Keys(MetadataSource::Url(address(&url)?)),
                (Some(_), Some(_)) => return Err(OidcClientsError::TwoWays(id)),
            };
            let backchannel_logout_uri = described.backchannel_logout_uri.as_deref().map(address).transpose()?;
            clients.push(Self {
                id,
                authentication,
                redirect_uris: described.redirect_uris,
                post_logout_redirect_uris: described.post_logout_redirect_uris,
                backchannel_logout_uri,
            });
        }
        Ok(clients)
    }
}

/// What a client has to show.
#[derive(Debug)]
pub enum Proof {
    Public,
    Secret(SecretString),
    Keys(Cached),
    /// It is not registered, so there is nothing to compare a secret with.
    Anything,
}

/// A registered client.
#[derive(Debug)]
pub struct Client {
    pub id: String,
    pub proof: Proof,
    pub redirect_uris: Vec<String>,
    pub post_logout_redirect_uris: Vec<String>,
    pub backchannel_logout_uri: Option<Url>,
}

/// The clients, and whether others are answered too.
#[derive(Debug)]
pub struct Clients {
    registered: Vec<Client>,
    /// Answers anybody whose answers go to this very machine.
    any_loopback: bool,
}

impl Clients {
    pub fn new(clients: Vec<OidcClient>, any_loopback: bool) -> Self {
        let registered = clients.into_iter().map(|client| Client {
            id: client.id,
            proof: match client.authentication {
                ClientAuthentication::Public => Proof::Public,
                ClientAuthentication::Secret(secret) => Proof::Secret(secret),
                ClientAuthentication::Keys(source) => Proof::Keys(Cached::new(source)),
            },
            redirect_uris: client.redirect_uris,
            post_logout_redirect_uris: client.post_logout_redirect_uris,
            backchannel_logout_uri: client.backchannel_logout_uri,
        });
        Self { registered: registered.collect(), any_loopback }
    }

    pub fn all(&self) -> impl Iterator<Item = &Client> {
        self.registered.iter()
    }

    pub fn find(&self, id: &str) -> Option<&Client> {
        self.registered.iter().find(|client| client.id == id)
    }

    /// Whether there is such a client, registered or not.
    pub fn knows(&self, id: &str) -> bool {
        self.any_loopback || self.find(id).is_some()
    }

    /// What a client has to show at the token endpoint.
    pub fn proof(&self, id: &str) -> Option<&Proof> {
        match self.find(id) {
            Some(client) => Some(&client.proof),
            None => self.any_loopback.then_some(&Proof::Anything),
        }
    }

    /// Whether an answer for a client may go to this address.
    pub fn may_answer(&self, id: &str, redirect_uri: &str) -> bool {
        self.may_go(id, redirect_uri, |client| &client.redirect_uris)
    }

    /// Whether a browser may go to this address when a client has signed somebody out.
    pub fn may_return(&self, id: &str, post_logout_redirect_uri: &str) -> bool {
        self.may_go(id, post_logout_redirect_uri, |client| &client.post_logout_redirect_uris)
    }

    fn may_go(&self, id: &str, url: &str, registered: impl Fn(&Client) -> &Vec<String>) -> bool {
        match self.find(id) {
            Some(client) => registered(client).iter().any(|known| known == url),
            None => self.any_loopback && is_loopback(url) && !url.contains('#'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_read_and_mistakes_are_named() {
        let text = r#"
            [[client]]
            client_id = "a"
            client_secret = "s"
            redirect_uris = ["http://localhost:3000/callback"]
            backchannel_logout_uri = "http://localhost:3000/logout"
            [[client]]
            client_id = "b"
            redirect_uris = ["http://localhost:3001/callback"]
        "#;
        let clients = OidcClient::from_toml(text).unwrap();
        assert!(matches!(clients[0].authentication, ClientAuthentication::Secret(_)));
        assert!(matches!(clients[1].authentication, ClientAuthentication::Public));
        let message = |old: &str, new: &str| {
            assert!(text.contains(old), "{old}");
            OidcClient::from_toml(&text.replace(old, new)).unwrap_err().to_string()
        };
        assert!(message("\"b\"", "\"a\"").contains("`a` stands twice"));
        assert!(message("client_secret", "jwks_url = \"http://x/\"\nclient_secret").contains("one way"));
        assert!(message("[\"http://localhost:3001/callback\"]", "[]").contains("no redirect_uris"));
        assert!(message("3001/callback", "3001/callback#x").contains("without fragment"));
        assert!(message("client_id = \"b\"", "").contains("TOML"));
    }

    #[test]
    fn strangers_are_answered_on_this_machine_only_and_only_where_that_was_asked_for() {
        let client = || OidcClient {
            id: "a".to_owned(),
            authentication: ClientAuthentication::Public,
            redirect_uris: vec!["https://app.example/cb".to_owned()],
            post_logout_redirect_uris: Vec::new(),
            backchannel_logout_uri: None,
        };
        let strict = Clients::new(vec![client()], false);
        assert!(strict.may_answer("a", "https://app.example/cb"));
        for (id, url) in [("a", "https://app.example/cb/"), ("a", "http://localhost/"), ("b", "http://localhost/")] {
            assert!(!strict.may_answer(id, url), "{id} {url}");
        }
        let open = Clients::new(vec![client()], true);
        assert!(open.may_answer("b", "http://localhost:3000/cb"));
        for (id, url) in [("a", "http://localhost/"), ("b", "https://app.example/cb"), ("b", "http://localhost/#x")] {
            assert!(!open.may_answer(id, url), "{id} {url}");
        }
    }
}
