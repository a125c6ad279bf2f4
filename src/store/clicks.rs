//! Clicks that wait until the person was recognised again.
//!
//! As attempts are, they are handed out once: `DELETE … RETURNING`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::Row;

use super::sign_in::token_hash;
use super::{Store, StoreError, Tx, millis, parse_json, timestamp, to_json};
use crate::aws::{AccountId, RoleName, ScopeDown, SessionDuration};
use crate::identity::PersonId;
use crate::sys::TokenHash;

/// What somebody pressed: everything it takes to press it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Click {
    pub account: AccountId,
    pub role: RoleName,
    /// `None`: the role's default.
    pub duration: Option<SessionDuration>,
    #[serde(default)]
    pub scope_down: ScopeDown,
    pub wants: Wanted,
}

/// Which button it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    Console {
        destination: Option<String>,
    },
    /// A page, or a file in this format.
    Credentials {
        format: Option<String>,
    },
}

/// A click as it is kept.
#[derive(Debug, Clone)]
pub struct PendingClick {
    /// The SHA-256 of the secret in the cookie of the browser it was made in.
    pub browser: TokenHash,
    pub person: PersonId,
    pub click: Click,
    pub expires: Timestamp,
}

fn click_from(row: &sqlx::sqlite::SqliteRow) -> Result<PendingClick, StoreError> {
    const TABLE: &str = "pending_click";
    Ok(PendingClick {
        browser: token_hash(TABLE, row.try_get(0)?)?,
        person: PersonId { realm: row.try_get(1)?, value: row.try_get(2)? },
        click: parse_json(TABLE, row.try_get(3)?)?,
        expires: timestamp(TABLE, row.try_get(4)?)?,
    })
}

impl Store {
    /// Keeps a click.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn add_click(&self, id: &TokenHash, pending: &PendingClick) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO pending_click (id_hash, browser_hash, realm, person, body, expires_ms)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(id.as_slice())
        .bind(pending.browser.as_slice())
        .bind(&pending.person.realm)
        .bind(&pending.person.value)
        .bind(to_json(&pending.click))
        .bind(millis(pending.expires))
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// Looks at a click without using it up.
    ///
    /// # Errors
    /// The database refuses, or the row makes no sense.
    pub async fn peek_click(&self, id: &TokenHash) -> Result<Option<PendingClick>, StoreError> {
        let row =
            sqlx::query("SELECT browser_hash, realm, person, body, expires_ms FROM pending_click WHERE id_hash = $1")
                .bind(id.as_slice())
                .fetch_optional(self.reader())
                .await?;
        row.as_ref().map(click_from).transpose()
    }
}

/// Takes a click out: it is gone, whatever becomes of it.
///
/// # Errors
/// The database refuses, or the row makes no sense.
pub async fn take_click(tx: &mut Tx, id: &TokenHash) -> Result<Option<PendingClick>, StoreError> {
    let row = sqlx::query(
        "DELETE FROM pending_click WHERE id_hash = $1 RETURNING browser_hash, realm, person, body, expires_ms",
    )
    .bind(id.as_slice())
    .fetch_optional(&mut **tx)
    .await?;
    row.as_ref().map(click_from).transpose()
}
