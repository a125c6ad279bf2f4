//! `rolegate audit`: prove that the log was not edited, and take it out.

use std::io::Write as _;

use clap::{Args, Subcommand};

use crate::audit::{Chain, Head};
use crate::store::Store;
use crate::store::audit::{AuditError, StoredEvent};

#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    pub command: AuditCommand,
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check the whole chain; prints its head, which is worth keeping elsewhere
    Verify {
        /// A head printed earlier: the log must still contain it
        #[arg(long, value_name = "SEQ:HASH")]
        known_head: Option<Head>,
    },
    /// Print events as JSON lines, oldest first
    Export {
        /// Only events after this number
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        after: i64,
    },
}

/// Why the command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum AuditCommandError {
    #[error("the audit log does not verify")]
    Broken(#[source] AuditError),
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    #[error("the output could not be written")]
    Output(#[from] std::io::Error),
}

const BATCH: i64 = 1_000;

/// # Errors
/// [`AuditCommandError`].
pub async fn run(args: &AuditArgs, store: &Store, chain: &Chain) -> Result<(), AuditCommandError> {
    let mut out = std::io::stdout().lock();
    match &args.command {
        AuditCommand::Verify { known_head } => {
            let head = store.verify_audit(chain, *known_head).await.map_err(AuditCommandError::Broken)?;
            writeln!(out, "{head}")?;
            let mut words = std::io::stderr().lock();
            match head.seq {
                0 => writeln!(words, "The audit log is empty.")?,
                1 => writeln!(words, "The one event is as it was written.")?,
                n => writeln!(words, "All {n} events are as they were written, none missing in between.")?,
            }
        }
        AuditCommand::Export { after } => {
            let mut last = *after;
            loop {
                let events = store.audit_after(last, BATCH).await?;
                let Some(newest) = events.last() else { break };
                last = newest.link.seq;
                for event in &events {
                    writeln!(out, "{}", line(event))?;
                }
            }
        }
    }
    Ok(())
}

/// One event as a JSON object.
#[must_use]
pub fn line(event: &StoredEvent) -> String {
    use std::fmt::Write as _;
    let body: serde_json::Value = serde_json::from_str(&event.link.body).unwrap_or(serde_json::Value::Null);
    let at = jiff::Timestamp::from_millisecond(event.link.at_ms).map(|at| at.to_string()).unwrap_or_default();
    let hash = event.hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    serde_json::json!({
        "seq": event.link.seq,
        "at": at,
        "kind": event.link.kind,
        "subject": event.link.subject,
        "reference": event.link.reference,
        "body": body,
        "hash": hash,
    })
    .to_string()
}
