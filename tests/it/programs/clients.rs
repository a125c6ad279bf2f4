//! AWS's own clients, as they are, in a home of their own.

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::sandboxed::Sandboxed;
use crate::tools::{python_tool, repository, system_tool};

const PATIENCE: Duration = Duration::from_secs(60);

/// A home folder with AWS's configuration files in it, and a clock that moves with the broker's.
pub struct Home {
    folder: tempfile::TempDir,
    sts: String,
    broker: String,
}

impl Home {
    /// With profiles `sso` and `process` for one role, and a service that is called sts which is the sandbox's.
    pub fn new(world: &Sandboxed, account: &str, role: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".aws")).unwrap();
        let (broker, sts) = (world.broker.base.clone(), world.aws.base.to_string());
        let config = format!(
            "[sso-session corp]\nsso_start_url = https://rolegate.awsapps.com/start\nsso_region = us-east-1\n\
             sso_registration_scopes = sso:account:access\n\n\
             [profile sso]\nsso_session = corp\nsso_account_id = {account}\nsso_role_name = {role}\n\
             region = eu-west-1\nservices = broker\n\n\
             [services broker]\nsso =\n  endpoint_url = {broker}/idc\nsso_oidc =\n  endpoint_url = {broker}/idc\n\
             sso-oidc =\n  endpoint_url = {broker}/idc\n"
        );
        std::fs::write(folder.path().join(".aws/config"), config).unwrap();
        let home = Self { folder, sts, broker };
        home.opens_browsers();
        home.turn_clock(0);
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    pub fn append_config(&self, text: &str) {
        let before = std::fs::read_to_string(self.path(".aws/config")).unwrap();
        self.write(".aws/config", &format!("{before}\n{text}"));
    }

    /// Its programs find it so many seconds later than it is.
    pub fn turn_clock(&self, seconds: i64) {
        let next = self.write("clock.next", &seconds.to_string());
        std::fs::rename(next, self.path("clock")).unwrap();
    }

    /// What a program would have opened in the browser.
    pub async fn opened(&self, child: &mut Talk) -> String {
        let (deadline, opened) = (Instant::now() + PATIENCE, self.path("opened"));
        loop {
            if let Ok(url) = std::fs::read_to_string(&opened)
                && url.ends_with('\n')
            {
                std::fs::remove_file(opened).unwrap();
                return url.trim().to_owned();
            }
            assert!(Instant::now() < deadline && child.runs(), "no browser was opened: {}", child.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn opens_browsers(&self) {
        use std::os::unix::fs::PermissionsExt as _;
        let at = self.path("opened");
        let script = format!("#!/bin/sh\nprintf '%s\\n' \"$1\" >'{0}.next' && mv '{0}.next' '{0}'\n", at.display());
        let script = self.write("open-browser", &script);
        std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o700)).unwrap();
    }

    /// The program lives here, whatever the machine's own configuration says.
    pub fn at_home(&self, mut command: Command) -> Command {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") || name.to_string_lossy().ends_with("_proxy") {
                command.env_remove(name);
            }
        }
        command
            .env("HOME", self.folder.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ENDPOINT_URL_STS", &self.sts)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_PAGER", "")
            .env("AWS_MAX_ATTEMPTS", "2")
            .env("BROWSER", format!("{} %s", self.path("open-browser").display()))
            .env("LD_PRELOAD", installed("clock.so"))
            .env("TEST_CLOCK", self.path("clock"));
        command
    }

    /// The AWS CLI, version 2, as Debian 13 has it.
    pub fn aws2(&self) -> Command {
        let cli = installed("cli/2.23.6-1");
        let mut command = Command::new(installed("venv/bin/python"));
        command.arg(cli.join("usr/bin/aws")).env("PYTHONPATH", cli.join("usr/lib/python3/dist-packages"));
        self.at_home(command)
    }

    /// The AWS CLI, version 1, as PyPI has it.
    pub fn aws1(&self) -> Command {
        self.at_home(Command::new(python_tool("aws")))
    }

    pub fn sso_util(&self) -> Command {
        let mut command = self.at_home(Command::new(installed("venv/bin/aws-sso-util")));
        command.env("AWS_ENDPOINT_URL_SSO", format!("{}/idc", self.broker));
        command.env("AWS_ENDPOINT_URL_SSO_OIDC", format!("{}/idc", self.broker));
        command
    }

    pub fn curl(&self) -> Command {
        self.at_home(Command::new(system_tool("curl")))
    }

    /// `tests/clients/boto.py`.
    pub fn boto(&self) -> Command {
        let mut command = Command::new(installed("venv/bin/python"));
        command.arg(repository().join("tests/clients/boto.py"));
        self.at_home(command)
    }

    /// `tests/clients/js/whoami.mjs` with one of its providers.
    pub fn js(&self, provider: &str) -> Command {
        let mut command = Command::new(repository().join(".tools/bin/node"));
        command.arg(repository().join("tests/clients/js/whoami.mjs")).arg(provider);
        command.env("JS_CLIENTS", installed("js"));
        self.at_home(command)
    }
}

fn installed(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/aws").join(name);
    assert!(path.exists(), "{} is missing: run `make setup-test`", path.display());
    path
}

/// A program that is running, and what it says.
pub struct Talk {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    said: String,
}

impl Talk {
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (send, lines) = mpsc::channel();
        let pipes: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for pipe in pipes {
            let send = send.clone();
            thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let _ = send.send(line);
                }
            });
        }
        Self { stdin: child.stdin.take(), child, lines, said: String::new() }
    }

    fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// All it has said so far.
    pub fn said(&mut self) -> &str {
        for line in self.lines.try_iter() {
            self.said.push_str(&line);
            self.said.push('\n');
        }
        &self.said
    }

    /// Sends it a line, and gives the JSON it answers with.
    pub fn ask(&mut self) -> Value {
        writeln!(self.stdin.as_mut().unwrap()).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("it says no more than {}", self.said));
            match serde_json::from_str(&line) {
                Ok(answer) => return answer,
                Err(_) => self.said.push_str(&line),
            }
        }
    }

    /// Waits for its end, which must be a good one, and gives what it said.
    pub fn done(mut self) -> String {
        drop(self.stdin.take());
        let deadline = Instant::now() + PATIENCE;
        while self.runs() {
            assert!(Instant::now() < deadline, "it does not end: {}", self.said());
            thread::sleep(Duration::from_millis(10));
        }
        let status = self.child.wait().unwrap();
        // What it said last is on its way through the pipe.
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(5)) {
            self.said.push_str(&line);
            self.said.push('\n');
        }
        assert!(status.success(), "{status}: {}", self.said);
        std::mem::take(&mut self.said)
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a program printed, provided it went well.
pub fn good(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{command:?}: {status}\n{text}\n{}", String::from_utf8_lossy(&stderr));
    text
}

pub fn json(command: Command) -> Value {
    let text = good(command);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What a program complained of, provided that it failed.
pub fn bad(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(!status.success(), "{command:?} went well: {said}");
    said
}
