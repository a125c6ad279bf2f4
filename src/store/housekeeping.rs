//! Removing what has expired, in small bites between which others may write. Several replicas may do it at once.

use jiff::{SignedDuration, Timestamp};

use super::{Store, StoreError, millis};

const BATCH: u32 = 500;
/// Many times what strangers can make between two runs at the rates one database stands.
const MOST_BATCHES: u32 = 400;

/// How long an expired sign-in attempt is kept, so that a late reply is told "too late" and not "unknown".
const LATE: SignedDuration = SignedDuration::from_hours(1);

impl Store {
    /// Removes what no longer counts at `now`; returns how many rows went.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn remove_expired(&self, now: Timestamp) -> Result<u64, StoreError> {
        let late = millis(now - LATE);
        let now = millis(now);
        let statements = [
            (
                "DELETE FROM session WHERE id_hash IN (SELECT id_hash FROM session WHERE expires_ms <= $1 OR last_seen_ms + idle_ms <= $1 LIMIT $2)",
                now,
            ),
            (
                "DELETE FROM sign_in_attempt WHERE handle_hash IN (SELECT handle_hash FROM sign_in_attempt WHERE expires_ms <= $1 LIMIT $2)",
                late,
            ),
            (
                "DELETE FROM sign_in_ticket WHERE ticket_hash IN (SELECT ticket_hash FROM sign_in_ticket WHERE expires_ms <= $1 LIMIT $2)",
                now,
            ),
            (
                "DELETE FROM logout_attempt WHERE handle_hash IN (SELECT handle_hash FROM logout_attempt WHERE expires_ms <= $1 LIMIT $2)",
                late,
            ),
            (
                "DELETE FROM pending_click WHERE id_hash IN (SELECT id_hash FROM pending_click WHERE expires_ms <= $1 LIMIT $2)",
                now,
            ),
            (
                "DELETE FROM test_sign_in WHERE code_hash IN (SELECT code_hash FROM test_sign_in WHERE expires_ms <= $1 LIMIT $2)",
                now,
            ),
            (
                "DELETE FROM token_authorization WHERE id IN (SELECT id FROM token_authorization WHERE expires_ms <= $1 LIMIT $2)",
                now,
            ),
            ("DELETE FROM token WHERE hash IN (SELECT hash FROM token WHERE expires_ms <= $1 LIMIT $2)", now),
            (
                "DELETE FROM authorization_code WHERE hash IN (SELECT hash FROM authorization_code WHERE expires_ms <= $1 LIMIT $2)",
                late,
            ),
            (
                "DELETE FROM device_request WHERE hash IN (SELECT hash FROM device_request WHERE expires_ms <= $1 LIMIT $2)",
                late,
            ),
            (
                "DELETE FROM used_assertion WHERE rowid IN (SELECT rowid FROM used_assertion WHERE until_ms <= $1 LIMIT $2)",
                now,
            ),
        ];
        let mut removed = 0;
        for (statement, limit) in statements {
            for _ in 0..MOST_BATCHES {
                let done = sqlx::query(statement).bind(limit).bind(BATCH).execute(self.writer()).await?;
                removed += done.rows_affected();
                if done.rows_affected() < u64::from(BATCH) {
                    break;
                }
            }
        }
        Ok(removed)
    }
}
