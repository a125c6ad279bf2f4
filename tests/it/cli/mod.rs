//! The commands of a person at a terminal: the built program, with a home of its own, against a whole broker.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::Value;

use crate::browser_client::{Browser, Page};
use crate::sandboxed::{Sandboxed, enter};
use crate::tools::rolegate;

mod aws_config;
mod creds;
mod exec;
mod login;
mod names;
mod roles;
mod session;
mod strange;

const PATIENCE: Duration = Duration::from_secs(60);

/// A person's home folder, and where they were told the server is.
pub struct Home {
    folder: tempfile::TempDir,
    server: String,
}

impl Home {
    pub fn new(world: &Sandboxed) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), server: world.broker.base.clone() }
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// The program as this person runs it: no display, no keyring, nothing of the machine's own set-up.
    pub fn rolegate(&self, arguments: &[&str]) -> Command {
        let mut command = rolegate();
        self.surround(&mut command);
        command.args(arguments).stdin(Stdio::null());
        command
    }

    pub fn surround(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if ["AWS_", "XDG_", "DBUS_", "SSH_"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        for name in ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "NO_COLOR"] {
            command.env_remove(name);
        }
        command.env("HOME", self.folder.path()).env("AWS_EC2_METADATA_DISABLED", "true");
    }

    /// Runs a command that needs nobody.
    pub fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.rolegate(arguments))
    }

    /// Signs somebody in and gives what the command said.
    pub async fn sign_in(&self, person: &str) -> String {
        let mut waiting = self.begin(&[]);
        let address = waiting.address();
        let page = allow(&mut Browser::new(), &address, person, "allow").await;
        assert_eq!((page.status, page.url.path()), (200, "/callback"), "{}", page.body);
        assert!(page.body.contains("<h1>You are signed in</h1>"), "{}", page.body);
        let run = waiting.ended();
        assert_eq!(run.code, Some(0), "{}", run.words);
        run.words
    }

    /// `rolegate login`, waiting for a browser.
    pub fn begin(&self, more: &[&str]) -> Waiting {
        let mut command = self.rolegate(&["login", "--server", &self.server]);
        if !more.contains(&"--device") {
            command.arg("--no-browser");
        }
        command.args(more);
        Waiting::of(command)
    }

    /// The file with the sign-in.
    pub fn sign_in_file(&self) -> PathBuf {
        let folder = self.at(".local/state/rolegate/sign-ins");
        let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|it| it == "json")).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }

    pub fn kept(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.sign_in_file()).unwrap()).unwrap()
    }

    /// Makes the access token one that has ended, as far as is known here.
    pub fn age(&self) {
        let mut kept = self.kept();
        kept["tokens"]["expires"] = "2020-01-01T00:00:00Z".into();
        std::fs::write(self.sign_in_file(), kept.to_string()).unwrap();
    }
}

/// In a browser of their own: signs in on the way, and answers the question whether the program may.
pub async fn allow(browser: &mut Browser, address: &str, person: &str, decision: &str) -> Page {
    let asked = enter(browser, address, person).await;
    assert_eq!((asked.status, asked.url.path()), (200, "/authorize"), "{}", asked.body);
    let form = asked.form_to("/authorize").set("decision", decision);
    let answer = browser.submit(&form).await;
    browser.go_on(answer).await
}

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub status: ExitStatus,
    pub data: String,
    pub words: String,
}

impl Run {
    pub fn of(mut command: Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: status.code(), status, data: text(stdout), words: text(stderr) }
    }

    /// Asserts that it went well, and gives its data.
    #[track_caller]
    pub fn good(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.words);
        self.data
    }

    /// Asserts how it failed: the status, no data, and these words.
    #[track_caller]
    pub fn refused(self, code: i32, words: &str) {
        assert_eq!((self.code, self.data.as_str()), (Some(code), ""), "{}", self.words);
        assert!(self.words.contains(words), "`{words}` is not in:\n{}", self.words);
    }
}

/// A command that goes on when somebody has done something in a browser. It is killed when the test is done with it.
pub struct Waiting {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
    words: String,
}

impl Waiting {
    fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        Self { child, said, words: String::new() }
    }

    /// Reads what it says until that matches.
    pub fn says(&mut self, pattern: &str) -> String {
        let pattern = Regex::new(pattern).unwrap();
        loop {
            if let Some(found) = pattern.captures(&self.words) {
                return found[1].to_owned();
            }
            let read = self.said.read_line(&mut self.words).unwrap();
            assert!(read > 0, "it said no {pattern}:\n{}", self.words);
        }
    }

    /// The address it wants opened.
    pub fn address(&mut self) -> String {
        self.says(r"(?m)^  (http\S+)$")
    }

    pub fn ended(mut self) -> Run {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it still waits:\n{}", self.words);
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut words = std::mem::take(&mut self.words);
        self.said.read_to_string(&mut words).unwrap();
        let mut data = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut data).unwrap();
        Run { code: status.code(), status, data, words }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Writes a program for a test.
pub fn script(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs a program in a terminal of its own (`terminal.py`): says what to type when it shows what.
pub fn in_a_terminal(home: &Home, arguments: &[&str], dialogue: &[(&str, &str)], more: &[(&str, &str)]) -> Run {
    let mut command = Command::new(crate::tools::python_tool("python"));
    home.surround(&mut command);
    command.arg(crate::tools::repository().join("tests/it/cli/terminal.py"));
    command.arg(serde_json::to_string(dialogue).unwrap());
    command.arg(env!("CARGO_BIN_EXE_rolegate")).args(arguments);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ROLEGATE_")) {
        command.env_remove(name);
    }
    Run::of({
        command.env("TERM", "xterm").envs(more.iter().copied());
        command
    })
}
