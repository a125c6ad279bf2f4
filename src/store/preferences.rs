//! What a person used last and marked as a favourite.

use jiff::Timestamp;
use sqlx::Row;

use super::{Store, StoreError, millis, parse_text, timestamp};
use crate::aws::{AccountId, RoleName};
use crate::identity::PersonId;

/// What one person's history says about one role.
#[derive(Debug, Clone)]
pub struct RolePreference {
    pub account: AccountId,
    pub role: RoleName,
    pub favourite: bool,
    pub last_used: Option<Timestamp>,
}

impl Store {
    /// All preferences of a person, the most recently used first.
    ///
    /// # Errors
    /// The database refuses, or a row makes no sense.
    pub async fn preferences(&self, person: &PersonId) -> Result<Vec<RolePreference>, StoreError> {
        let rows = sqlx::query(
            "SELECT account, role, favourite, last_used_ms FROM role_preference
             WHERE connector = $1 AND subject = $2 ORDER BY last_used_ms DESC, account, role",
        )
        .bind(&person.realm)
        .bind(&person.value)
        .fetch_all(self.reader())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(RolePreference {
                    account: parse_text("role_preference", row.try_get(0)?)?,
                    role: parse_text("role_preference", row.try_get(1)?)?,
                    favourite: row.try_get(2)?,
                    last_used: row
                        .try_get::<Option<i64>, _>(3)?
                        .map(|ms| timestamp("role_preference", ms))
                        .transpose()?,
                })
            })
            .collect()
    }

    /// Marks or unmarks a favourite.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn set_favourite(
        &self,
        person: &PersonId,
        account: AccountId,
        role: &RoleName,
        favourite: bool,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO role_preference (connector, subject, account, role, favourite) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (connector, subject, account, role) DO UPDATE SET favourite = excluded.favourite",
        )
        .bind(&person.realm)
        .bind(&person.value)
        .bind(account.as_str())
        .bind(role.as_str())
        .bind(favourite)
        .execute(self.writer())
        .await?;
        Ok(())
    }
}

/// Notes that a role was used, in the transaction that records the issue.
///
/// # Errors
/// The database refuses.
pub async fn note_use(
    tx: &mut super::Tx,
    person: &PersonId,
    account: AccountId,
    role: &RoleName,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO role_preference (connector, subject, account, role, last_used_ms) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (connector, subject, account, role) DO UPDATE SET last_used_ms = excluded.last_used_ms",
    )
    .bind(&person.realm)
    .bind(&person.value)
    .bind(account.as_str())
    .bind(role.as_str())
    .bind(millis(now))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
