//! A whole broker for a test: a fresh database, a port of its own, a clock the test moves, no network but loopback.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use rolegate::app::App;
use rolegate::audit::{Head, Kind};
use rolegate::catalog;
use rolegate::config::{Config, Sources};
use rolegate::store;
use rolegate::sys::{Clock, ManualClock, SystemClock, SystemRng};
use serde_json::Value;
use sqlx::Connection as _;
use url::Url;

/// How a test wants its broker.
#[derive(Debug, Default)]
pub struct Wishes {
    settings: Vec<(&'static str, String)>,
    clock: Option<Arc<ManualClock>>,
    folder: Option<PathBuf>,
}

impl Wishes {
    /// A setting, as in `rolegate.toml`.
    pub fn set(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((key, value.into()));
        self
    }

    /// Settings that hold unless the test wishes otherwise.
    pub fn unless_set(mut self, settings: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.settings.splice(0..0, settings);
        self
    }

    /// A clock that the test moves; the machine's otherwise.
    pub fn clock(mut self, clock: &Arc<ManualClock>) -> Self {
        self.clock = Some(Arc::clone(clock));
        self
    }

    /// On the data of an earlier broker.
    pub fn on_data_of(mut self, other: &Broker) -> Self {
        self.folder = Some(other.folder());
        self
    }

    pub async fn start(self) -> Broker {
        Broker::start(self).await
    }
}

/// A broker that is listening. It stops when it is dropped.
pub struct Broker {
    pub base: String,
    pub app: App,
    folder: Option<tempfile::TempDir>,
    path: PathBuf,
    handle: actix_web::dev::ServerHandle,
}

impl Broker {
    pub fn wishes() -> Wishes {
        Wishes::default()
    }

    async fn start(wishes: Wishes) -> Self {
        let own = wishes.folder.is_none().then(|| tempfile::tempdir().unwrap());
        let path = wishes.folder.unwrap_or_else(|| own.as_ref().unwrap().path().to_owned());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut settings = vec![
            ("listen", listener.local_addr().unwrap().to_string()),
            ("public_url", base.clone()),
            ("data_dir", path.display().to_string()),
            ("keys.signing_key_bits", "2048".to_owned()),
            ("web.workers", "2".to_owned()),
            ("limits.sign_in_per_minute", "6000".to_owned()),
            ("limits.sign_in_burst", "6000".to_owned()),
        ];
        for (key, value) in wishes.settings {
            settings.retain(|(known, _)| *known != key);
            settings.push((key, value));
        }
        let config = Config::load(&Sources::of_program(settings)).expect("the test's settings are in order");
        let clock: Arc<dyn Clock> = match wishes.clock {
            Some(clock) => clock,
            None => Arc::new(SystemClock),
        };
        let app = App::build(&config, clock, Arc::new(SystemRng)).await.expect("the broker can be put together");
        let running = app.serve(listener).unwrap();
        let handle = running.handle();
        tokio::spawn(running.wait());
        Self { base, app, folder: own, path, handle }
    }

    pub fn folder(&self) -> PathBuf {
        self.path.clone()
    }

    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub fn url(&self, path: &str) -> Url {
        self.at(path).parse().unwrap()
    }

    pub fn now(&self) -> Timestamp {
        self.app.ground.clock.now()
    }

    /// Puts a catalog in place, as `rolegate catalog apply` does.
    pub async fn apply(&self, toml: &str) {
        let catalog = catalog::toml::parse_text("test.toml", toml).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let mut tx = self.app.ground.store.begin().await.unwrap();
        let (_, before) = store::catalog::load(&mut tx).await.unwrap();
        let ground = &self.app.ground;
        let catalog = catalog.catalog.sealed(&before, &ground.sealing, &*ground.rng);
        store::catalog::replace(&mut tx, &catalog).await.unwrap();
        self.app.ground.append(&mut tx, &rolegate::audit::Event::new(Kind::CatalogApplied)).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// The audit log so far: kind and details, oldest first. Verifies the chain on the way.
    pub async fn events(&self) -> Vec<(String, Value)> {
        self.app.ground.store.verify_audit(&self.app.ground.chain, None).await.expect("the audit log verifies");
        self.events_after(0).await
    }

    /// What was recorded after that event.
    pub async fn events_after(&self, seq: i64) -> Vec<(String, Value)> {
        let events = self.app.ground.store.audit_after(seq, 100_000).await.unwrap();
        events
            .into_iter()
            .map(|event| (event.link.kind, serde_json::from_str(&event.link.body).expect("details are JSON")))
            .collect()
    }

    /// The details of the newest event, which must be of this kind.
    pub async fn last_event(&self, kind: &str) -> Value {
        let (found, body) = self.events().await.pop().expect("something was recorded");
        assert_eq!(found, kind, "{body}");
        body
    }

    /// The id that ties the newest event to a page and a log line.
    pub async fn last_reference(&self) -> Option<String> {
        let events = self.app.ground.store.audit_after(0, 100_000).await.unwrap();
        events.last().and_then(|event| event.link.reference.clone())
    }

    pub async fn head(&self) -> Head {
        self.app.ground.store.audit_head().await.unwrap()
    }

    /// How many rows a table has.
    pub async fn rows(&self, table: &str) -> i64 {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.path.join("rolegate.db")).read_only(true);
        let mut database = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}")));
        count.fetch_one(&mut database).await.unwrap()
    }

    /// Everything that lies on disk, for looking for what must not.
    pub fn bytes_on_disk(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in std::fs::read_dir(&self.path).unwrap() {
            bytes.extend(std::fs::read(entry.unwrap().path()).unwrap_or_default());
        }
        bytes
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Not awaited: the workers stop by themselves, and the folder may go before them.
        drop(self.handle.stop(false));
        let _ = self.folder.take();
    }
}
