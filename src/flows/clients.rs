//! Programs that ask on behalf of people: our own command line, and whatever registers itself as clients of IAM Identity
//! Center do.
//!
//! None of them is a secret-keeping client in earnest: they run on people's computers. What holds is PKCE, the loopback
//! address, and the person who reads what is asked. A registration costs no row: the client id *is* the registration,
//! sealed, so that strangers may register as often as they like.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};

use super::Ground;
use crate::sys::seal::SealingKey;

/// The client id of our own command line.
pub const OWN_CLIENT: &str = "rolegate-cli";

/// For how long a registration counts.
const REGISTERED_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);

/// What every client id that we seal begins with.
const MARK: &str = "idc_";
/// Where a registration opens; see [`SealingKey::seal`].
const PLACE: &str = "oauth:client:idc";
/// No id that we made is longer.
const LONGEST_ID: usize = 400;

/// Who a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    /// `rolegate` itself: public, and known by name.
    Own,
    /// Registered as IAM Identity Center's clients register. Its name is what it says of itself.
    IdentityCenter,
}

/// A program that may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    pub id: String,
    /// What people read.
    pub name: String,
    pub kind: ClientKind,
    loopback: Loopback,
}

/// Which loopback addresses a client may be answered at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Loopback {
    v4: bool,
    v6: bool,
}

/// Why a client is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    #[error("no client has that id")]
    Unknown,
    #[error("the registration of the client has expired; it has to register again")]
    Expired,
    #[error("the client did not prove itself: its secret is missing or wrong")]
    Secret,
}

impl ClientError {
    /// A stable name for audit events.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unknown => "client-unknown",
            Self::Expired => "client-expired",
            Self::Secret => "client-secret",
        }
    }
}

/// Why a program cannot be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    #[error("a client's name has 1 to 100 bytes and all of them printable ASCII")]
    Name,
    #[error("clients are answered at http://127.0.0.1/oauth/callback or http://[::1]/oauth/callback")]
    Redirect,
}

/// A registration, as the program is told of it.
#[derive(Debug)]
pub struct Registered {
    pub client_id: String,
    pub client_secret: SecretString,
    pub issued: Timestamp,
    pub expires: Timestamp,
}

/// Knows every client there is.
#[derive(Debug, Clone)]
pub struct Clients {
    pub ground: Ground,
}

impl Clients {
    /// Registers a program. `redirect_uris` are the loopback addresses where it wants to be answered, with or without a
    /// port; without any, it can only use device codes.
    ///
    /// # Errors
    /// [`RegistrationError`].
    pub fn register(&self, name: &str, redirect_uris: &[&str]) -> Result<Registered, RegistrationError> {
        // A name stands where somebody decides. AWS's tools send no more than this, and anything beyond it is a way to be
        // read as something else: fillers that cannot be seen, marks that pile up, letters that turn the line around.
        let seen =
            (1..=100).contains(&name.len()) && name.trim() == name && name.bytes().all(|b| matches!(b, b' '..=b'~'));
        if !seen {
            return Err(RegistrationError::Name);
        }
        let mut loopback = Loopback { v4: false, v6: false };
        for uri in redirect_uris {
            let found = LoopbackRedirect::host_of(uri, ClientKind::IdentityCenter.callback());
            match found.ok_or(RegistrationError::Redirect)? {
                Host::V4 => loopback.v4 = true,
                Host::V6 => loopback.v6 = true,
            }
        }
        let issued = self.ground.clock.now();
        let expires = issued.checked_add(REGISTERED_FOR).unwrap_or(Timestamp::MAX);
        let mut plain = expires.as_second().to_be_bytes().to_vec();
        plain.push(u8::from(loopback.v4) | u8::from(loopback.v6) << 1);
        plain.extend_from_slice(name.as_bytes());
        let sealed = self.key().seal(PLACE, &plain, &*self.ground.rng);
        let client_id = format!("{MARK}{}", URL_SAFE_NO_PAD.encode(sealed));
        let client_secret = secret_of(&self.ground.sealing, &client_id);
        Ok(Registered { client_id, client_secret, issued, expires })
    }

    /// Ids are sealed as often as strangers like, and so under a key of their own: what is kept for operators has nothing to
    /// fear from how many there are.
    fn key(&self) -> SealingKey {
        SealingKey::from_bytes(self.ground.sealing.derive("rolegate idc client id v1"))
    }

    /// The client of that id, whoever names it.
    ///
    /// # Errors
    /// There is none, or its registration has expired.
    pub fn find(&self, id: &str) -> Result<Client, ClientError> {
        if id == OWN_CLIENT {
            return Ok(Client {
                id: id.to_owned(),
                name: "Rolegate command line".to_owned(),
                kind: ClientKind::Own,
                loopback: Loopback { v4: true, v6: true },
            });
        }
        let sealed = id.strip_prefix(MARK).filter(|_| id.len() <= LONGEST_ID).ok_or(ClientError::Unknown)?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| ClientError::Unknown)?;
        let plain = self.key().open(PLACE, &sealed).map_err(|_| ClientError::Unknown)?;
        let (seconds, rest) = plain.split_first_chunk::<8>().ok_or(ClientError::Unknown)?;
        let (flags, name) = rest.split_first().ok_or(ClientError::Unknown)?;
        let expires = Timestamp::from_second(i64::from_be_bytes(*seconds)).map_err(|_| ClientError::Unknown)?;
        if self.ground.clock.now() >= expires {
            return Err(ClientError::Expired);
        }
        Ok(Client {
            id: id.to_owned(),
            name: String::from_utf8(name.to_vec()).map_err(|_| ClientError::Unknown)?,
            kind: ClientKind::IdentityCenter,
            loopback: Loopback { v4: flags & 1 != 0, v6: flags & 2 != 0 },
        })
    }

    /// The client that proves to be of that id: a registered one by its secret. Our own has none to tell.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn authenticate(&self, id: &str, secret: Option<&str>) -> Result<Client, ClientError> {
        let client = self.find(id)?;
        let proved = match (client.kind, secret) {
            (ClientKind::Own, secret) => secret.is_none(),
            (ClientKind::IdentityCenter, None) => false,
            (ClientKind::IdentityCenter, Some(sent)) => {
                let ours = secret_of(&self.ground.sealing, id);
                let ours = ours.expose_secret();
                ours.len() == sent.len() && openssl::memcmp::eq(ours.as_bytes(), sent.as_bytes())
            }
        };
        proved.then_some(client).ok_or(ClientError::Secret)
    }
}

/// The secret that goes with a client id: derived, so that it need not be kept.
fn secret_of(sealing: &SealingKey, id: &str) -> SecretString {
    SecretString::from(URL_SAFE_NO_PAD.encode(sealing.derive(&format!("rolegate idc client secret v1:{id}"))))
}

impl ClientKind {
    /// The path at which a client of the kind waits for its answer.
    const fn callback(self) -> &'static str {
        match self {
            Self::Own => "/callback",
            Self::IdentityCenter => "/oauth/callback",
        }
    }
}

impl Client {
    /// The address that a client names to be answered at, if it may.
    #[must_use]
    pub fn redirect(&self, uri: &str) -> Option<LoopbackRedirect> {
        let host = LoopbackRedirect::host_of(uri, self.kind.callback())?;
        let may = match host {
            Host::V4 => self.loopback.v4,
            Host::V6 => self.loopback.v6,
        };
        let has_port = uri.matches(':').count() > if host == Host::V4 { 1 } else { 3 };
        (may && has_port).then(|| LoopbackRedirect { uri: uri.to_owned(), host })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Host {
    V4,
    V6,
}

/// An address on the person's own computer: `http://127.0.0.1:{port}` or `http://[::1]:{port}` and the client's path, to
/// the letter.
///
/// Read by comparing texts and not by parsing a URL, so that there is nothing on which a browser and we could differ.
/// The name `localhost` is not taken: it may be resolved to anything. Spec: RFC 8252 7.3, 8.3; RFC 9700 2.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoopbackRedirect {
    uri: String,
    host: Host,
}

impl LoopbackRedirect {
    fn host_of(uri: &str, callback: &str) -> Option<Host> {
        let rest = uri.strip_suffix(callback)?;
        let (host, port) = match rest.strip_prefix("http://127.0.0.1") {
            Some(port) => (Host::V4, port),
            None => (Host::V6, rest.strip_prefix("http://[::1]")?),
        };
        let good = match port.strip_prefix(':') {
            None => port.is_empty(),
            Some(digits) => {
                digits.bytes().all(|b| b.is_ascii_digit())
                    && !digits.starts_with('0')
                    && digits.parse::<u16>().is_ok_and(|port| port > 0)
            }
        };
        good.then_some(host)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.uri
    }

    /// Such as `127.0.0.1:54321`, for people.
    #[must_use]
    pub fn host_and_port(&self) -> &str {
        let rest = self.uri.strip_prefix("http://").unwrap_or(&self.uri);
        rest.split('/').next().unwrap_or(rest)
    }

    /// The address with an answer in its query.
    #[must_use]
    pub fn with(&self, answer: &[(&str, &str)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(answer);
        format!("{}?{}", self.uri, query.finish())
    }

    /// What a page's policy must let its form lead to.
    ///
    /// A policy can name 127.0.0.1 with its port, and no other address by number: for `[::1]` the scheme has to do.
    /// Spec: Content Security Policy Level 3, 6.7.2.8.
    #[must_use]
    pub fn policy_source(&self) -> String {
        match self.host {
            Host::V4 => format!("http://{}", self.host_and_port()),
            Host::V6 => "http:".to_owned(),
        }
    }
}

impl fmt::Display for LoopbackRedirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(kind: ClientKind, v4: bool, v6: bool) -> Client {
        Client { id: "x".to_owned(), name: "x".to_owned(), kind, loopback: Loopback { v4, v6 } }
    }

    #[test]
    fn only_this_computers_own_address_is_answered_to_the_letter() {
        let own = client(ClientKind::Own, true, true);
        for good in ["http://127.0.0.1:1/callback", "http://127.0.0.1:65535/callback", "http://[::1]:8976/callback"] {
            assert_eq!(own.redirect(good).map(|uri| uri.to_string()).as_deref(), Some(good));
        }
        for bad in [
            "http://127.0.0.1/callback",
            "http://[::1]/callback",
            "http://127.0.0.1:/callback",
            "http://127.0.0.1:0/callback",
            "http://127.0.0.1:00080/callback",
            "http://127.0.0.1:65536/callback",
            "http://127.0.0.1:+80/callback",
            "http://127.0.0.1:80/callback/",
            "http://127.0.0.1:80/callback?x=1",
            "http://127.0.0.1:80/callback#x",
            "http://127.0.0.1:80/oauth/callback",
            "http://127.0.0.1:80/../callback",
            "http://127.0.0.1:80//callback",
            "http://127.0.0.1:80/Callback",
            "https://127.0.0.1:80/callback",
            "HTTP://127.0.0.1:80/callback",
            "http://localhost:80/callback",
            "http://127.1:80/callback",
            "http://127.0.0.2:80/callback",
            "http://2130706433:80/callback",
            "http://0x7f.0.0.1:80/callback",
            "http://0.0.0.0:80/callback",
            "http://[::]:80/callback",
            "http://[::ffff:127.0.0.1]:80/callback",
            "http://[0:0:0:0:0:0:0:1]:80/callback",
            "http://user@127.0.0.1:80/callback",
            "http://127.0.0.1:80@evil.example/callback",
            "http://127.0.0.1.evil.example:80/callback",
            "http://127.0.0.1:80.evil.example/callback",
            "http://evil.example/http://127.0.0.1:80/callback",
            " http://127.0.0.1:80/callback",
            "http://127.0.0.1:80/callback\n",
            "http://127.0.0.1:8\n0/callback",
            "",
            "/callback",
            "javascript:alert(1)//callback",
        ] {
            assert_eq!(own.redirect(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_registered_client_is_answered_where_it_said_and_at_its_own_path() {
        let four = client(ClientKind::IdentityCenter, true, false);
        assert!(four.redirect("http://127.0.0.1:9000/oauth/callback").is_some());
        assert!(four.redirect("http://[::1]:9000/oauth/callback").is_none());
        assert!(four.redirect("http://127.0.0.1:9000/callback").is_none());
        assert!(client(ClientKind::IdentityCenter, false, true).redirect("http://[::1]:9/oauth/callback").is_some());
        assert!(
            client(ClientKind::IdentityCenter, false, false).redirect("http://127.0.0.1:9/oauth/callback").is_none()
        );
    }

    #[test]
    fn a_policy_names_what_it_can_name() {
        let own = client(ClientKind::Own, true, true);
        let source = |uri: &str| own.redirect(uri).unwrap().policy_source();
        assert_eq!(source("http://127.0.0.1:8976/callback"), "http://127.0.0.1:8976");
        assert_eq!(source("http://[::1]:8976/callback"), "http:");
    }

    proptest! {
        #[test]
        fn what_is_answered_is_this_computer_to_a_url_parser_too(text in "http://[0-9a-z.:@\\[\\]/#?\\\\]{0,30}/callback") {
            if let Some(uri) = client(ClientKind::Own, true, true).redirect(&text) {
                let url = url::Url::parse(uri.as_str()).unwrap();
                prop_assert!(matches!(url.host_str(), Some("127.0.0.1" | "[::1]")));
                prop_assert_eq!(url.path(), "/callback");
                prop_assert!(url.query().is_none() && url.fragment().is_none() && url.username().is_empty());
            }
        }
    }
}
