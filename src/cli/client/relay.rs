//! Keys for a child process on loopback, in the way SDKs ask containers for theirs.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::process::{Command, ExitCode, ExitStatus};

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::api::{Call, Credentials};
use super::error::ClientError;
use super::exec::{ExecError, not_run};
use super::loopback::{Loopback, Visit};
use super::session::{Session, SessionError};
use crate::sys::{ExposeSecret as _, Rng, SecretString, SystemRng};

/// A port that gives the keys of one role to whoever has its password.
#[derive(Debug)]
pub struct Relay {
    loopback: Loopback,
    password: SecretString,
}

impl Relay {
    /// # Errors
    /// No port can be had.
    pub async fn listen() -> io::Result<Self> {
        let rng: &dyn Rng = &SystemRng;
        Ok(Self { loopback: Loopback::listen().await?, password: rng.token() })
    }

    /// What leads an SDK here. Profiles are out of sight, for one called `default` would come before this.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 4] {
        let nothing = || "/dev/null".to_owned();
        [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("http://127.0.0.1:{}/credentials", self.loopback.port)),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", self.password.expose_secret().to_owned()),
            ("AWS_CONFIG_FILE", nothing()),
            ("AWS_SHARED_CREDENTIALS_FILE", nothing()),
        ]
    }

    /// Answers for as long as it is polled.
    async fn serve(&mut self, session: &Session, call: &Call) -> std::convert::Infallible {
        loop {
            let visit = self.loopback.next().await;
            self.answer(visit, session.json(call)).await;
        }
    }

    async fn answer(&self, visit: Visit, keys: impl Future<Output = Result<Credentials, SessionError>>) {
        let expected = self.password.expose_secret().as_bytes();
        let knows = visit
            .authorization
            .as_deref()
            .map(str::as_bytes)
            .is_some_and(|sent| sent.len() == expected.len() && openssl::memcmp::eq(sent, expected));
        let refused = |code: &str, message: &str| json!({ "Code": code, "Message": message }).to_string();
        let (status, body) = if visit.method != "GET" || visit.target != "/credentials" {
            ("404 Not Found", refused("NotFound", "There is nothing here."))
        } else if !knows {
            ("401 Unauthorized", refused("Unauthorized", "The password of this port was not sent."))
        } else {
            match keys.await {
                Ok(keys) => ("200 OK", container(&keys)),
                Err(error) => {
                    let message = error.to_string();
                    match ClientError::from(error).status() {
                        super::error::Status::Unavailable => {
                            ("503 Service Unavailable", refused("Unavailable", &message))
                        }
                        _ => ("403 Forbidden", refused("AccessDenied", &message)),
                    }
                }
            }
        };
        visit.answer(status, "application/json", &body).await;
    }
}

/// As the SDKs' container protocol has it: `Token`, where everybody else says `SessionToken`.
fn container(keys: &Credentials) -> String {
    json!({
        "AccessKeyId": keys.access_key_id,
        "SecretAccessKey": keys.secret_access_key.expose_secret(),
        "Token": keys.session_token.expose_secret(),
        "Expiration": keys.expiration,
        "AccountId": keys.account_id,
        "RoleArn": keys.role_arn,
    })
    .to_string()
}

/// Runs a command and gives it keys until it ends; its status is the answer.
///
/// # Errors
/// [`ExecError`].
pub async fn beside(
    command: Command,
    named: String,
    mut relay: Relay,
    session: Session,
    call: Call,
) -> Result<ExitCode, ExecError> {
    // The terminal sends these to the command too. It decides what they mean; this process stays for as long as it does.
    let mut ignored = [SignalKind::interrupt(), SignalKind::quit()].map(signal);
    let mut passed_on = [SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let mut child = tokio::process::Command::from(command).spawn().map_err(|source| not_run(named, source))?;
    let id = child.id();
    let [interrupt, quit] = &mut ignored;
    let [terminate, hangup] = &mut passed_on;
    let mut serving = pin!(relay.serve(&session, &call));
    loop {
        tokio::select! {
            ended = child.wait() => return ended.map(code_of).map_err(ExecError::Wait),
            () = received(interrupt) => {}
            () = received(quit) => {}
            () = received(terminate) => pass_on(id, rustix::process::Signal::TERM),
            () = received(hangup) => pass_on(id, rustix::process::Signal::HUP),
            never = &mut serving => match never {},
        }
    }
}

async fn received(signal: &mut io::Result<tokio::signal::unix::Signal>) {
    match signal {
        Ok(signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

fn pass_on(to: Option<u32>, signal: rustix::process::Signal) {
    let to = to.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(to) = to {
        let _ = rustix::process::kill_process(to, signal);
    }
}

/// Its own code; 128 and the signal's number for one that a signal ended, as shells have it.
fn code_of(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
