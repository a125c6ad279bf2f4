//! `rolegate demo` as a person starts it, on ports and data of its own.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::tools::{free_port, rolegate};

const PATIENCE: Duration = Duration::from_secs(60);

/// A running demo; it stops when the test is done with it.
pub struct Demo {
    child: Child,
    pub broker: String,
    pub sandbox: String,
    folder: tempfile::TempDir,
}

impl Demo {
    pub async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    /// Starts on the data of an earlier one.
    pub async fn start_in(folder: tempfile::TempDir) -> Self {
        let (listen, sandbox) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
        let log = File::create(folder.path().join("log")).unwrap();
        let child = rolegate()
            .args(["demo", "--listen", &listen, "--sandbox-listen", &sandbox, "--data"])
            .arg(folder.path().join("data"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut demo = Self { child, broker: format!("http://{listen}"), sandbox: format!("http://{sandbox}"), folder };
        demo.wait_until_ready().await;
        demo
    }

    async fn wait_until_ready(&mut self) {
        let client = rolegate::sys::http::client(PATIENCE).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ready = client.get(format!("{}/readyz", self.broker)).timeout(PATIENCE).send().await;
            if ready.is_ok_and(|response| response.status() == 200) {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "the demo is not ready ({ended:?}):\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// Everything it has said.
    pub fn log(&self) -> String {
        read(&self.folder.path().join("log"))
    }

    /// Tells it to stop as a service manager does; gives its folder and the status it ended with.
    pub fn stop(mut self) -> (tempfile::TempDir, std::process::ExitStatus) {
        let status = self.end().expect("the demo stops within ten seconds of being told to");
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        (folder, status)
    }

    fn end(&mut self) -> Option<std::process::ExitStatus> {
        let _ = Command::new("kill").arg(self.child.id().to_string()).stderr(Stdio::null()).status();
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the demo said:\n{}", self.log());
        }
        if self.child.try_wait().is_ok_and(|status| status.is_none()) && self.end().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
