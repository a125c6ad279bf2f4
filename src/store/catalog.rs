//! The catalog: replaced as a whole, read as a whole, with a number that tells when it changed.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::{Row, SqliteConnection};

use super::{Store, StoreError, Tx, parse_json, to_json};
use crate::catalog::{Account, Catalog, Connector, Link, Parts, Role, Rule, UserKey};

/// Grows with every change of the catalog; 0 before the first.
pub type Revision = i64;

impl Store {
    /// The catalog and its revision, as of one moment.
    ///
    /// # Errors
    /// The database refuses, or the rows do not make a catalog.
    pub async fn catalog(&self) -> Result<(Revision, Catalog), StoreError> {
        // A transaction, so that all tables are read as they were at one moment.
        let mut tx = self.reader().begin().await?;
        let read = load(&mut tx).await?;
        tx.rollback().await?;
        Ok(read)
    }
}

/// The catalog within a transaction, for whoever is about to replace it.
///
/// # Errors
/// The database refuses, or the rows do not make a catalog.
pub async fn load(connection: &mut SqliteConnection) -> Result<(Revision, Catalog), StoreError> {
    let meta = sqlx::query("SELECT revision, support FROM catalog_meta").fetch_one(&mut *connection).await?;
    let parts = Parts {
        connectors: entries(
            connection,
            "catalog_connector",
            "SELECT id, body FROM catalog_connector",
            |c: &Connector| c.id.to_string(),
        )
        .await?,
        accounts: entries(connection, "catalog_account", "SELECT id, body FROM catalog_account", |a: &Account| {
            a.id.to_string()
        })
        .await?,
        roles: entries(
            connection,
            "catalog_role",
            "SELECT account || '/' || name, body FROM catalog_role",
            |r: &Role| r.id().to_string(),
        )
        .await?,
        rules: entries(connection, "catalog_rule", "SELECT id, body FROM catalog_rule", |r: &Rule| r.id.to_string())
            .await?,
        keys: entries(connection, "catalog_key", "SELECT id, body FROM catalog_key", |k: &UserKey| k.id.to_string())
            .await?,
        links: entries(connection, "catalog_link", "SELECT id, body FROM catalog_link", |l: &Link| l.id.to_string())
            .await?,
        support: parse_json("catalog_meta", meta.try_get(1)?)?,
    };
    let catalog = Catalog::assemble(parts)
        .map_err(|found| StoreError::Nonsense { table: "catalog_rule", detail: found.to_string() })?;
    Ok((meta.try_get(0)?, catalog))
}

/// The entries of one table. A body must be the entry its key says: rights must not hang on which of the two is read.
async fn entries<T: DeserializeOwned>(
    connection: &mut SqliteConnection,
    table: &'static str,
    sql: &'static str,
    key_of: impl Fn(&T) -> String,
) -> Result<Vec<T>, StoreError> {
    let rows = sqlx::query(sql).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let (key, body): (String, &str) = (row.try_get(0)?, row.try_get(1)?);
            let entry: T = serde_json::from_str(body)
                .map_err(|error| StoreError::Nonsense { table, detail: format!("{key}: {error}") })?;
            match key_of(&entry) {
                inside if inside == key => Ok(entry),
                inside => Err(StoreError::Nonsense { table, detail: format!("{key} holds {inside}") }),
            }
        })
        .collect()
}

/// Puts a catalog in the place of the one before and returns the new revision.
///
/// The caller records the event in the same transaction: the change and its record happen together or not at all.
///
/// # Errors
/// The database refuses, or a secret was not [sealed](Catalog::sealed).
pub async fn replace(tx: &mut Tx, catalog: &Catalog) -> Result<Revision, StoreError> {
    for sql in [
        "DELETE FROM catalog_key",
        "DELETE FROM catalog_link",
        "DELETE FROM catalog_rule",
        "DELETE FROM catalog_role",
        "DELETE FROM catalog_account",
        "DELETE FROM catalog_connector",
    ] {
        sqlx::query(sql).execute(&mut **tx).await?;
    }
    for connector in catalog.connectors() {
        insert(tx, "INSERT INTO catalog_connector (id, body) VALUES ($1, $2)", connector.id.as_str(), connector)
            .await?;
    }
    for account in catalog.accounts() {
        insert(tx, "INSERT INTO catalog_account (id, body) VALUES ($1, $2)", account.id.as_str(), account).await?;
    }
    for role in catalog.roles() {
        sqlx::query("INSERT INTO catalog_role (account, name, body) VALUES ($1, $2, $3)")
            .bind(role.account.as_str())
            .bind(role.name.as_str())
            .bind(to_json(role))
            .execute(&mut **tx)
            .await?;
    }
    for rule in catalog.rules() {
        insert(tx, "INSERT INTO catalog_rule (id, body) VALUES ($1, $2)", rule.id.as_str(), rule).await?;
    }
    for key in catalog.keys() {
        insert(tx, "INSERT INTO catalog_key (id, body) VALUES ($1, $2)", key.id.as_str(), key).await?;
    }
    for link in catalog.links() {
        insert(tx, "INSERT INTO catalog_link (id, body) VALUES ($1, $2)", &link.id.to_string(), link).await?;
    }
    let revision = sqlx::query_scalar(
        "UPDATE catalog_meta SET revision = revision + 1, support = $1 WHERE one = 1 RETURNING revision",
    )
    .bind(to_json(catalog.support()))
    .fetch_one(&mut **tx)
    .await?;
    Ok(revision)
}

async fn insert(tx: &mut Tx, sql: &'static str, id: &str, entry: &impl Serialize) -> Result<(), StoreError> {
    // A secret in clear refuses to be written down.
    let body = serde_json::to_string(entry)
        .map_err(|error| StoreError::Nonsense { table: "catalog", detail: format!("{id}: {error}") })?;
    sqlx::query(sql).bind(id).bind(body).execute(&mut **tx).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::toml::parse_text;

    const CATALOG: &str = r#"
        support = { text = "Ask us" }
        [[connector]]
        id = "okta"
        kind = "saml"
        metadata_url = "https://idp.example/metadata"
        session_idle = "20m"
        attributes = { groups = "groups", extra = { department = "dept" } }
        [[account]]
        id = "111122223333"
        name = "Payments"
        tags = { env = "prod" }
        [[role]]
        account = "111122223333"
        name = "teams/ReadOnly"
        destination = "https://console.aws.amazon.com/s3/home"
        session_tags = { Department = "department", Fixed = { value = "x" } }
        [[role]]
        account = "111122223333"
        name = "Legacy"
        method = "session-token"
        session-token = { key = "jane" }
        [[key]]
        id = "jane"
        account = "111122223333"
        user = "jane"
        access_key_id = "SBUKEXAMPLEEXAMPLE12"
        secret_access_key_sealed = "c2VhbGVk"
        [[rule]]
        id = "all"
        when = { groups = { any = ["a", { glob = "b-*" }, { matches = "c-(?<r>.+)" }] }, connector = "okta" }
        grant = [{ account_tags = { env = "prod" }, role = "teams/ReadOnly" }]
        [[rule]]
        id = "named"
        when = { groups = { matches = "c-(?<r>.+)" } }
        grant = [{ account = "111122223333", role = "teams/{r}" }]
    "#;

    async fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("test.db")).await.unwrap();
        (dir, store)
    }

    async fn put(store: &Store, catalog: &Catalog) -> Revision {
        let mut tx = store.begin().await.unwrap();
        let revision = replace(&mut tx, catalog).await.unwrap();
        tx.commit().await.unwrap();
        revision
    }

    #[tokio::test]
    async fn a_catalog_comes_back_as_it_went_in() {
        let (_dir, store) = store().await;
        assert_eq!(store.catalog().await.unwrap(), (0, Catalog::default()));
        let catalog = parse_text("test.toml", CATALOG).unwrap().catalog;
        assert_eq!(put(&store, &catalog).await, 1);
        assert_eq!(store.catalog().await.unwrap(), (1, catalog));
        assert_eq!(put(&store, &Catalog::default()).await, 2);
        assert_eq!(store.catalog().await.unwrap(), (2, Catalog::default()));
        assert_eq!(store.catalog_revision().await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_key_in_clear_is_not_written_down() {
        let (_dir, store) = store().await;
        let clear = CATALOG.replace("secret_access_key_sealed = \"c2VhbGVk\"", "secret_access_key = \"marker\"");
        let catalog = parse_text("test.toml", &clear).unwrap().catalog;
        let mut tx = store.begin().await.unwrap();
        let refused = replace(&mut tx, &catalog).await.unwrap_err();
        assert!(
            matches!(refused, StoreError::Nonsense { .. }) && !format!("{refused:?}").contains("marker"),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn a_replacement_that_is_rolled_back_never_happened() {
        let (_dir, store) = store().await;
        let catalog = parse_text("test.toml", CATALOG).unwrap().catalog;
        let mut tx = store.begin().await.unwrap();
        replace(&mut tx, &catalog).await.unwrap();
        tx.rollback().await.unwrap();
        assert_eq!(store.catalog().await.unwrap(), (0, Catalog::default()));
    }

    #[tokio::test]
    async fn a_row_that_was_edited_into_nonsense_is_refused() {
        let (_dir, store) = store().await;
        let catalog = parse_text("test.toml", CATALOG).unwrap().catalog;
        for sql in [
            "UPDATE catalog_account SET body = '{}'",
            "UPDATE catalog_account SET body = replace(body, '111122223333', '999999999999')",
            "UPDATE catalog_role SET body = replace(body, 'teams/', 'other/')",
            "UPDATE catalog_rule SET body = replace(body, 'teams/ReadOnly', 'teams/Admin')",
            "UPDATE catalog_rule SET body = replace(body, '(?<r>.+)', '(?<r>.+') WHERE id = 'named'",
            "DELETE FROM catalog_connector",
            "DELETE FROM catalog_key",
            "UPDATE catalog_key SET body = replace(body, '\"id\":\"jane\"', '\"id\":\"john\"')",
        ] {
            put(&store, &catalog).await;
            sqlx::query(sql).execute(store.writer()).await.unwrap();
            let read = store.catalog().await;
            assert!(matches!(read, Err(StoreError::Nonsense { .. })), "{sql}: {read:?}");
        }
        let orphan = sqlx::query("DELETE FROM catalog_account").execute(store.writer()).await;
        assert!(orphan.is_err(), "a role cannot lose its account");
    }
}
