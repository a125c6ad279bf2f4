//! The programs the tests talk to. A missing one fails the test: a suite that skips what it cannot run proves nothing.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder of this repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The `rolegate` program that was built for these tests.
pub fn rolegate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rolegate"));
    // What the developer set for a broker of their own is not for these.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ROLEGATE_") {
            command.env_remove(name);
        }
    }
    command
}

/// The AWS CLI, the same whatever the machine's own configuration says.
pub fn aws() -> Command {
    let mut command = Command::new(python_tool("aws"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_PAGER", "");
    command
}

/// A program of the test tools' Python environment.
pub fn python_tool(name: &str) -> PathBuf {
    existing(repository().join(".tools/venv/bin").join(name))
}

/// A program of the system.
pub fn system_tool(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("`{name}` is missing: run `make setup-test`"))
}

/// The system's Chromium.
pub fn chromium() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    ["chromium", "google-chrome", "chromium-browser"]
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)))
        .find(|candidate| candidate.is_file())
        .expect("Chromium is missing: run `make setup-test`")
}

fn existing(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing: run `make setup-test`", path.display());
    path
}

/// A port of the loopback address that was free a moment ago.
pub fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("the loopback address has a free port");
    socket.local_addr().expect("a bound socket has an address").port()
}

/// What a program printed, provided it went well.
pub fn stdout(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{command:?}: {status}\n{text}\n{}", String::from_utf8_lossy(&stderr));
    text
}
