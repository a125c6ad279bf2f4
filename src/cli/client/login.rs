//! `rolegate login`: the person allows this program to act for them, in a browser here or elsewhere.

use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use openssl::sha::sha256;
use url::Url;

use super::api::{Api, ApiError, CLIENT_ID, Call, Granted, Me, Metadata};
use super::error::ClientError;
use super::loopback::{Loopback, Visit};
use super::server::{self, ServerArgs, WhichServer};
use super::session::{given_token, sign_in_of};
use super::store::{Kept, SignIns, StoreError};
use super::surroundings::Surroundings;
use super::words::{lasting, printable, say};
use super::{browser, device, spinner};
use crate::sys::{Clock as _, ExposeSecret as _, Rng, SecretString, SystemClock, SystemRng};

/// Both: to see the roles, and to use them.
pub const SCOPE: &str = "read issue";
/// Somebody may have to find their security key first.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

#[derive(Debug, Args)]
pub struct LoginArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    /// Sign in with a browser on another device, by a code to type there; chosen by itself over SSH without a display
    #[arg(long)]
    pub device: bool,
    /// Print the address instead of opening it in a browser
    #[arg(long, conflicts_with = "device")]
    pub no_browser: bool,
    /// Make this the server of commands that name none
    #[arg(long)]
    pub default: bool,
}

/// Why nobody is signed in now.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Server(#[from] WhichServer),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no port of 127.0.0.1 can be listened on; try --device")]
    Loopback(#[source] io::Error),
    #[error("you said no in the browser; nothing was allowed")]
    Denied,
    #[error("nobody finished the sign-in in time; run `rolegate login` again")]
    TimedOut,
    #[error("the answer in the browser came from {found} and not from {expected}; nothing was allowed")]
    OtherIssuer { found: String, expected: String },
    #[error("the server refused the sign-in: {about}")]
    Refused { about: String },
    #[error("{0} does not let devices sign in by a code; run `rolegate login` where there is a browser")]
    NoDevices(String),
}

/// # Errors
/// [`LoginError`], as a client error.
pub async fn run(args: &LoginArgs, around: &Surroundings) -> Result<(), ClientError> {
    let server = server::which(&args.server, around)?;
    let sign_ins = SignIns::of(around)?;
    let api = Api::of(server.clone())?;
    let metadata = spinner::during(around, &format!("asking {server}"), api.metadata()).await?;
    let elsewhere = !args.device && !args.no_browser && browser::is_elsewhere(around);
    if elsewhere {
        say("This is an SSH session without a display, so sign in with a browser where you are.");
    }
    let granted = if args.device || elsewhere {
        device::grant(&api, &metadata, around).await?
    } else {
        by_loopback(&api, &metadata, args.no_browser, around).await?
    };
    let now = SystemClock.now();
    let sign_in = sign_in_of(&granted, now, None).ok_or_else(|| api.strange_tokens())?;
    // The one before is of no more use to anybody.
    let before = sign_ins.find(&server).ok().flatten().and_then(|before| before.refresh);
    let (kept, refused) = {
        let _turn = sign_ins.turn(&server)?;
        sign_ins.keep(&server, &sign_in)?
    };
    if let (Some(token), Some(endpoint)) = (before, &metadata.revocation_endpoint) {
        let _ = api.revoke(endpoint, &token).await;
    }
    let is_default = server::remember(&server, args.default, around)?;

    let me: Me = api.json(&Call::get("/api/v1/me"), &sign_in.access).await?;
    let left = lasting(me.session.expires.duration_since(now));
    say(format_args!("Signed in at {server} as {}, for {left}.", who(&me)));
    if let Some(error) = refused {
        say(format_args!("The keyring could not be used: {error}."));
    }
    match kept {
        Kept::Keyring => {}
        Kept::File(path) => say(format_args!("The sign-in is kept in {}, which only you can read.", path.display())),
    }
    if is_default {
        say("Commands that name no server call this one.");
    }
    if let Some((_, origin)) = given_token(around).ok().flatten() {
        say(format_args!("{origin} is set and wins: commands will use its token and not this sign-in."));
    }
    Ok(())
}

/// Name and address of somebody, or how their provider names them.
pub fn who(me: &Me) -> String {
    let text = match (&me.name, &me.email) {
        (Some(name), Some(email)) => format!("{name} <{email}>"),
        (Some(one), None) | (None, Some(one)) => one.clone(),
        (None, None) => format!("{}:{}", me.connector, me.subject),
    };
    printable(&text)
}

/// Spec: RFC 8252, section 7.3; RFC 7636.
async fn by_loopback(
    api: &Api,
    metadata: &Metadata,
    no_browser: bool,
    around: &Surroundings,
) -> Result<Granted, LoginError> {
    let mut loopback = Loopback::listen().await.map_err(LoginError::Loopback)?;
    let rng: &dyn Rng = &SystemRng;
    let attempt = Attempt { state: rng.token(), verifier: rng.token(), port: loopback.port };
    let address = attempt.address(metadata);
    if !no_browser && browser::open(address.as_str(), around) {
        say(format_args!("Your browser opens. If it does not, open this yourself:\n\n  {address}\n"));
    } else {
        say(format_args!("Open this in a browser on this machine:\n\n  {address}\n"));
    }
    let returned = spinner::during(around, "waiting for you to sign in", attempt.returned(&mut loopback, metadata));
    let (visit, outcome) = tokio::time::timeout(PATIENCE, returned).await.map_err(|_| LoginError::TimedOut)?;
    let granted = match outcome {
        Ok(code) => attempt.exchange(&code, api, metadata).await,
        Err(error) => Err(error),
    };
    let (status, last) = match &granted {
        Ok(_) => ("200 OK", page("You are signed in", "Go back to your terminal; this page can be closed.")),
        Err(error) => ("400 Bad Request", page("You are not signed in", &format!("{error}."))),
    };
    visit.answer(status, HTML, &last).await;
    granted
}

const HTML: &str = "text/html; charset=utf-8";

/// One try: whoever comes back without its state was not sent by it.
struct Attempt {
    state: SecretString,
    verifier: SecretString,
    port: u16,
}

impl Attempt {
    fn redirect_uri(&self) -> String {
        format!("http://127.0.0.1:{}/callback", self.port)
    }

    fn address(&self, metadata: &Metadata) -> Url {
        let mut address = metadata.authorization_endpoint.clone();
        let challenge = URL_SAFE_NO_PAD.encode(sha256(self.verifier.expose_secret().as_bytes()));
        address
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", CLIENT_ID)
            .append_pair("redirect_uri", &self.redirect_uri())
            .append_pair("scope", SCOPE)
            .append_pair("state", self.state.expose_secret())
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        address
    }

    /// Waits for the browser to come back. What else visits is sent away, and keeps nobody from signing in.
    async fn returned(
        &self,
        loopback: &mut Loopback,
        metadata: &Metadata,
    ) -> (Visit, Result<SecretString, LoginError>) {
        loop {
            let visit = loopback.next().await;
            match self.judge(&visit.method, &visit.target, &metadata.issuer) {
                Some(outcome) => return (visit, outcome),
                None => visit.answer("404 Not Found", "text/plain", "There is nothing here.\n").await,
            }
        }
    }

    /// The code that a request brings, or why there is none. Nothing, if the request has nothing to do with this try.
    ///
    /// Spec: RFC 6749, section 4.1.2; RFC 9207 for `iss`.
    fn judge(&self, method: &str, target: &str, issuer: &str) -> Option<Result<SecretString, LoginError>> {
        let url = Url::parse("http://127.0.0.1/").ok()?.join(target).ok()?;
        if method != "GET" || url.path() != "/callback" {
            return None;
        }
        let one = |name: &str| {
            let mut values = url.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value.into_owned());
            values.next().filter(|_| values.next().is_none())
        };
        let state = one("state")?;
        let expected = self.state.expose_secret();
        if state.len() != expected.len() || !openssl::memcmp::eq(state.as_bytes(), expected.as_bytes()) {
            return None;
        }
        let found = one("iss").unwrap_or_default();
        if found != issuer {
            let found = if found.is_empty() { "nobody".to_owned() } else { printable(&found) };
            return Some(Err(LoginError::OtherIssuer { found, expected: issuer.to_owned() }));
        }
        Some(match (one("code"), one("error")) {
            (Some(code), None) => Ok(SecretString::from(code)),
            (_, Some(error)) if error == "access_denied" => Err(LoginError::Denied),
            (_, error) => {
                let about = one("error_description").or(error).unwrap_or_else(|| "it sent no code".to_owned());
                Err(LoginError::Refused { about: printable(&about) })
            }
        })
    }

    async fn exchange(&self, code: &SecretString, api: &Api, metadata: &Metadata) -> Result<Granted, LoginError> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("redirect_uri", &self.redirect_uri()),
            ("client_id", CLIENT_ID),
            ("code_verifier", self.verifier.expose_secret()),
        ];
        Ok(api.oauth(&metadata.token_endpoint, &fields).await?)
    }
}

fn page(title: &str, words: &str) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title} - Rolegate</title>\n\
         <style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1rem;\
         color-scheme:light dark}}</style>\n<main>\n<h1>{title}</h1>\n<p>{}</p>\n</main>\n</html>\n",
        escaped(words),
        title = escaped(title),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://aws.example.com";

    fn attempt() -> Attempt {
        Attempt { state: "right".to_owned().into(), verifier: "verifier".to_owned().into(), port: 1234 }
    }

    fn judged(target: &str) -> String {
        match attempt().judge("GET", target, ISSUER) {
            None => "nothing".to_owned(),
            Some(Ok(code)) => format!("code {}", code.expose_secret()),
            Some(Err(error)) => error.to_string(),
        }
    }

    #[test]
    fn only_who_was_sent_by_this_try_brings_a_code() {
        let iss = "iss=https%3A%2F%2Faws.example.com";
        assert_eq!(judged(&format!("/callback?code=c&state=right&{iss}")), "code c");
        for target in [
            "/favicon.ico",
            "/callback",
            &format!("/callback?code=c&{iss}"),
            &format!("/callback?code=c&state=wrong&{iss}"),
            &format!("/callback?code=c&state=right&state=right&{iss}"),
            "//evil.example/x?state=right",
        ] {
            assert_eq!(judged(target), "nothing", "{target}");
        }
        assert!(attempt().judge("POST", &format!("/callback?code=c&state=right&{iss}"), ISSUER).is_none());
    }

    #[test]
    fn an_answer_of_another_server_is_refused() {
        let words = "the answer in the browser came from";
        assert!(judged("/callback?code=c&state=right&iss=https%3A%2F%2Fevil.example").starts_with(words));
        assert!(judged("/callback?code=c&state=right").starts_with(&format!("{words} nobody")));
    }

    #[test]
    fn a_no_is_told_as_one() {
        let iss = "iss=https%3A%2F%2Faws.example.com";
        assert_eq!(judged(&format!("/callback?error=access_denied&state=right&{iss}")), LoginError::Denied.to_string());
        let refused =
            judged(&format!("/callback?error=invalid_scope&error_description=No%1b%20such&state=right&{iss}"));
        assert_eq!(refused, "the server refused the sign-in: No\u{fffd} such");
        assert_eq!(
            judged(&format!("/callback?code=a&code=b&state=right&{iss}")),
            "the server refused the sign-in: it sent no code"
        );
    }

    #[test]
    fn what_the_server_says_is_no_markup_on_the_last_page() {
        assert!(!page("a", "<script>alert(1)</script>").contains("<script>"));
    }
}
