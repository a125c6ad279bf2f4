//! The keyring of the operating system, through the program that comes with it: `secret-tool` of libsecret on Linux,
//! `security` on macOS.
//!
//! A library for it would bring a D-Bus client and an executor of its own, some forty crates, into the program that
//! holds a company's signing key. The secret goes through pipes and never stands in an argument, where every user of
//! the machine could read it.

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::server::Server;
use super::surroundings::Surroundings;

/// Long enough for somebody to type the keyring's password, and no command hangs for ever on a keyring nobody sees.
const PATIENCE: Duration = Duration::from_secs(30);
const SERVICE: &str = "rolegate";

/// A keyring that is there.
#[derive(Debug, Clone)]
pub enum Keyring {
    SecretTool(PathBuf),
    Security(PathBuf),
}

/// Why the keyring did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    #[error("the keyring's program {} cannot be run", program.display())]
    Run { program: PathBuf, source: io::Error },
    #[error("the keyring did not answer within {} s", PATIENCE.as_secs())]
    Slow,
    #[error("the keyring said no{}", if said.is_empty() { String::new() } else { format!(": {said}") })]
    Refused { said: String },
    #[error("what the keyring holds is not what was put there")]
    Garbled,
}

impl Keyring {
    /// The keyring of this session, if it has one: without a session bus `secret-tool` would try to start one, and wait.
    #[must_use]
    pub fn of(around: &Surroundings) -> Option<Self> {
        if cfg!(target_os = "macos") {
            return around.program("security").map(Self::Security);
        }
        let bus = around.variable("DBUS_SESSION_BUS_ADDRESS").is_some()
            || around.path("XDG_RUNTIME_DIR").is_some_and(|folder| folder.join("bus").exists());
        around.program("secret-tool").filter(|_| bus).map(Self::SecretTool)
    }

    /// # Errors
    /// [`KeyringError`].
    pub fn keep(&self, server: &Server, secret: &str) -> Result<(), KeyringError> {
        // Letters and digits only, for neither program to read anything into it.
        let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(secret));
        let account = server.to_string();
        let (mut command, input) = match self {
            Self::SecretTool(program) => {
                let mut command = Command::new(program);
                command.args(["store", "--label", &format!("Rolegate at {server}")]);
                command.args(["service", SERVICE, "server", &account]);
                (command, encoded)
            }
            Self::Security(program) => {
                let mut command = Command::new(program);
                command.arg("-i");
                let line = format!("add-generic-password -U -s {SERVICE} -a {account} -w {}\n", *encoded);
                (command, Zeroizing::new(line))
            }
        };
        self.run(&mut command, input.as_bytes()).map(drop)
    }

    /// What was kept for a server.
    ///
    /// # Errors
    /// [`KeyringError`], also where nothing was kept: the programs do not tell one from the other.
    pub fn find(&self, server: &Server) -> Result<Zeroizing<String>, KeyringError> {
        let account = server.to_string();
        let mut command = match self {
            Self::SecretTool(program) => {
                let mut command = Command::new(program);
                command.args(["lookup", "service", SERVICE, "server", &account]);
                command
            }
            Self::Security(program) => {
                let mut command = Command::new(program);
                command.args(["find-generic-password", "-s", SERVICE, "-a", &account, "-w"]);
                command
            }
        };
        let found = self.run(&mut command, b"")?;
        let decoded = URL_SAFE_NO_PAD.decode(found.trim_end()).map_err(|_| KeyringError::Garbled)?;
        String::from_utf8(decoded).map(Zeroizing::new).map_err(|_| KeyringError::Garbled)
    }

    /// # Errors
    /// [`KeyringError`].
    pub fn forget(&self, server: &Server) -> Result<(), KeyringError> {
        let account = server.to_string();
        let mut command = match self {
            Self::SecretTool(program) => {
                let mut command = Command::new(program);
                command.args(["clear", "service", SERVICE, "server", &account]);
                command
            }
            Self::Security(program) => {
                let mut command = Command::new(program);
                command.args(["delete-generic-password", "-s", SERVICE, "-a", &account]);
                command
            }
        };
        self.run(&mut command, b"").map(drop)
    }

    fn run(&self, command: &mut Command, input: &[u8]) -> Result<Zeroizing<String>, KeyringError> {
        let (Self::SecretTool(program) | Self::Security(program)) = self;
        let failed = |source| KeyringError::Run { program: program.clone(), source };
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
        // What is said and answered is smaller than a pipe, so neither side waits for the other to read.
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input).or_else(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => Ok(()),
                _ => Err(failed(error)),
            })?;
        }
        let status = ended(&mut child).map_err(failed)?.ok_or(KeyringError::Slow)?;
        let mut said = Zeroizing::new(String::new());
        if status.success() {
            child.stdout.take().map(|mut out| out.read_to_string(&mut said)).transpose().map_err(failed)?;
            return Ok(said);
        }
        child.stderr.take().map(|mut err| err.read_to_string(&mut said)).transpose().map_err(failed)?;
        let said = said.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
        Err(KeyringError::Refused { said })
    }
}

/// How it ended; nothing if it had to be stopped.
fn ended(child: &mut Child) -> io::Result<Option<std::process::ExitStatus>> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
