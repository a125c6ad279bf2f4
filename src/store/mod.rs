//! Every SQL statement, one file per aggregate.
//!
//! SQLite in WAL mode: one writing connection, several reading ones. `synchronous = FULL`, because an audit row must
//! survive a power cut: what it announces may have been delivered a millisecond later.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{SqlSafeStr, Sqlite, Transaction};

pub mod audit;
pub mod authorization_codes;
pub mod catalog;
pub mod clicks;
pub mod devices;
pub mod housekeeping;
pub mod journal;
pub mod keys;
mod lookups;
pub mod metadata;
pub mod packed_sizes;
pub mod preferences;
pub mod sessions;
pub mod sign_in;
pub mod sign_out;
pub mod test_sign_in;
pub mod token_keys;
pub mod tokens;

/// A write transaction. Everything a flow changes, audit event included, happens in one.
pub type Tx = Transaction<'static, Sqlite>;

/// The database.
#[derive(Debug, Clone)]
pub struct Store {
    write: SqlitePool,
    read: SqlitePool,
    lookups: Arc<lookups::Lookups>,
}

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database {path} cannot be opened")]
    Open { path: PathBuf, source: sqlx::Error },
    #[error("the database cannot be brought to this version's schema")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("the database did not do what it was asked")]
    Sql(#[from] sqlx::Error),
    #[error("a row of table {table} makes no sense: {detail}")]
    Nonsense { table: &'static str, detail: String },
    /// What several waited for was done once, and failed for all of them.
    #[error(transparent)]
    Together(Arc<StoreError>),
    #[error("the audit log was not written: its writer ended")]
    Unwritten,
    #[error("the database was not read: its reader ended")]
    Unread,
    #[error("a stored private key cannot be opened; was the sealing key replaced?")]
    Unseal(#[from] crate::sys::seal::UnsealError),
}

const READERS: u32 = 4;

fn migrator() -> Migrator {
    let steps = [
        (1, "base", include_str!("../../migrations/0001_base.sql")),
        (2, "catalog", include_str!("../../migrations/0002_catalog.sql")),
        (3, "sign-in", include_str!("../../migrations/0003_sign_in.sql")),
        (4, "test sign-in", include_str!("../../migrations/0004_test_sign_in.sql")),
        (5, "older release", include_str!("../../migrations/0005_older_release.sql")),
        (6, "tokens", include_str!("../../migrations/0006_tokens.sql")),
        (7, "token keys", include_str!("../../migrations/0007_token_keys.sql")),
        (8, "IAM users' keys", include_str!("../../migrations/0008_user_keys.sql")),
        (9, "packed size", include_str!("../../migrations/0009_packed_size.sql")),
    ];
    Migrator::with_migrations(
        steps
            .into_iter()
            .map(|(version, name, sql)| {
                Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
            })
            .collect(),
    )
}

impl Store {
    /// Opens or creates the database file and brings its schema up to date.
    ///
    /// # Errors
    /// The file cannot be opened or created, or a migration fails.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let opened = |source| StoreError::Open { path: path.to_owned(), source };
        make_private(path).map_err(|e| opened(sqlx::Error::Io(e)))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            .optimize_on_close(true, None);
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(10))
            .connect_with(options)
            .await
            .map_err(opened)?;
        Self::migrate(&write).await?;
        let reading =
            SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(5)).pragma("query_only", "ON");
        let read = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(Duration::from_secs(10))
            .connect_with(reading)
            .await
            .map_err(opened)?;
        Ok(Self { write, read, lookups: Arc::default() })
    }

    /// Two processes may start on one new database at the same moment; the one that comes second waits and finds
    /// the work done.
    async fn migrate(pool: &SqlitePool) -> Result<(), StoreError> {
        let migrator = migrator();
        let mut tries = 0;
        loop {
            match migrator.run(pool).await {
                Ok(()) => return Ok(()),
                Err(_) if tries < 10 => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(50 * tries)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Begins a write transaction at once, so that it never fails half-way for want of the lock.
    ///
    /// # Errors
    /// The database is locked by another process for longer than five seconds, or gone.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(self.write.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// The connections for reading.
    fn reader(&self) -> &SqlitePool {
        &self.read
    }

    /// The connection for single statements that write.
    fn writer(&self) -> &SqlitePool {
        &self.write
    }

    /// Whether the database answers and takes writes.
    ///
    /// # Errors
    /// It does not.
    pub async fn check(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").fetch_one(self.reader()).await?;
        let tx = self.begin().await?;
        tx.rollback().await?;
        Ok(())
    }

    /// Closes the connections; the last one out folds the write-ahead log back into the file.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

/// Makes a database file that only its owner may read: people's names and groups are in it. One that exists is left as
/// it is. SQLite gives the files beside it the same permissions.
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    // An empty file is a new database to SQLite, so it matters not which of two processes makes it.
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Milliseconds since the epoch, as times are stored.
fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// A stored time.
fn timestamp(table: &'static str, ms: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(ms)
        .map_err(|_| StoreError::Nonsense { table, detail: format!("{ms} is not a time in milliseconds") })
}

/// A stored value as the type it stands for.
fn parse_json<T: serde::de::DeserializeOwned>(table: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| StoreError::Nonsense { table, detail: e.to_string() })
}

fn parse_text<T>(table: &'static str, text: &str) -> Result<T, StoreError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|e: T::Err| StoreError::Nonsense { table, detail: e.to_string() })
}

fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our own types serialise")
}

#[cfg(test)]
mod tests;
