//! `rolegate serve` as a service manager runs it: a process with settings, a data folder and a log.

use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rolegate::app::{Base, Missing};
use rolegate::audit::{Event, Kind};
use rolegate::catalog::Catalog;
use rolegate::config::{Sources, StoreConfig};
use rolegate::sys::{Clock, SystemClock, SystemRng};
use rolegate::{catalog, store};
use sqlx::Connection as _;

use crate::tools::{free_port, rolegate, system_tool};

const PATIENCE: Duration = Duration::from_secs(60);

/// Where a broker will run: its address and its settings, the same over several starts.
#[derive(Debug)]
pub struct Place {
    pub base: String,
    data: PathBuf,
    settings: Vec<String>,
}

impl Place {
    pub fn new(data: &Path) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let place = Self { base: format!("http://{address}"), data: data.to_owned(), settings: Vec::new() };
        let base = place.base.clone();
        place
            .set("listen", address)
            .set("public_url", base)
            .set("keys.signing_key_bits", "2048")
            .set("web.workers", "2")
            .set("limits.issue_per_minute", "100000")
            .set("limits.issue_burst", "100000")
    }

    pub fn set(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.settings.push(format!("{key}={value}"));
        self
    }

    /// The command, ready to be started.
    pub fn command(&self) -> std::process::Command {
        let mut command = rolegate();
        command.arg("serve").arg("--data-dir").arg(&self.data).current_dir(&self.data).stdin(Stdio::null());
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        command
    }

    /// Starts it and waits until it is ready.
    pub async fn start(&self) -> Program {
        self.start_with(&[]).await
    }

    /// Starts it with these variables in its environment.
    pub async fn start_with(&self, variables: &[(&str, &Path)]) -> Program {
        let log = self.data.join("log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let child = self
            .command()
            .envs(variables.iter().copied())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let mut program = Program { child, log };
        let client = rolegate::sys::http::client(PATIENCE).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ready = client.get(format!("{}/readyz", self.base)).timeout(PATIENCE).send().await;
            if ready.is_ok_and(|answer| answer.status() == 200) {
                return program;
            }
            let ended = program.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "not ready ({ended:?}):\n{}", program.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A broker in a process of its own. It is killed when the test is done with it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Everything it and those before it in this place have said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Tells it to stop, as a service manager does.
    pub fn terminate(&self) {
        let kill = system_tool("kill");
        let done = std::process::Command::new(kill).arg(self.child.id().to_string()).status().unwrap();
        assert!(done.success());
    }

    /// How it ended, within this time.
    pub async fn ended(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it still runs after {within:?}:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Pulls the plug.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("rolegate's last words:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Opens the data of a broker, as commands do.
pub async fn open(data: &Path) -> Base {
    let sources = Sources::of_program([("data_dir", data.display().to_string())]);
    Base::open_store(&StoreConfig::load(&sources).unwrap(), Missing::Create, &SystemRng).await.unwrap()
}

/// Puts a catalog in place before the broker runs.
pub async fn seed(data: &Path, toml: &str) {
    let catalog = catalog::toml::parse_text("test.toml", toml).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let base = open(data).await;
    let ground = base.ground(Arc::new(SystemClock), Arc::new(SystemRng));
    let catalog = catalog.catalog.sealed(&Catalog::default(), &ground.sealing, &*ground.rng);
    let mut tx = base.store.begin().await.unwrap();
    store::catalog::replace(&mut tx, &catalog).await.unwrap();
    let event = Event::new(Kind::CatalogApplied);
    store::audit::append(&mut tx, &base.chain, &event, SystemClock.now()).await.unwrap();
    tx.commit().await.unwrap();
    base.store.close().await;
}

/// A connection of one's own to a broker's database, for what no broker would do.
pub async fn database(data: &Path) -> sqlx::SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(data.join("rolegate.db")).create_if_missing(true);
    sqlx::SqliteConnection::connect_with(&options).await.unwrap()
}

/// One statement, which must go well.
pub async fn sql(database: &mut sqlx::SqliteConnection, statement: &'static str) {
    sqlx::query(statement).execute(database).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
}
