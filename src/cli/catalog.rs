//! `rolegate catalog`: bring the catalog in from reviewed files, and take it out again.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use crate::audit::{Event, Kind};
use crate::catalog::Catalog;
use crate::catalog::diff::{Changes, Diff, diff};
use crate::catalog::export::export;
use crate::catalog::toml::{Loaded, Mistakes, metadata_warnings, read_files};
use crate::flows::{Ground, endings};
use crate::store::StoreError;
use crate::store::catalog::{Revision, load, replace};
use crate::sys::seal::SealingKey;

#[derive(Debug, Args)]
pub struct CatalogArgs {
    #[command(subcommand)]
    pub command: CatalogCommand,
}

#[derive(Debug, Subcommand)]
pub enum CatalogCommand {
    /// Report every mistake in catalog files, with file, line and what to write; needs no database
    Check {
        /// Files that together are the catalog
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Make these files the catalog: all of it, in one step
    Apply {
        /// Files that together are the catalog; what they leave out is removed
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Print what would change and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Print the catalog as a file that applies to no change
    Export {
        /// Write to a file instead of standard output
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

impl CatalogArgs {
    /// Whether the command may make a database: applying a first catalog before the first start is fine.
    #[must_use]
    pub fn creates(&self) -> bool {
        matches!(self.command, CatalogCommand::Apply { dry_run: false, .. })
    }
}

/// Why the command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CatalogCommandError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{path} cannot be written")]
    Write { path: PathBuf, source: io::Error },
    #[error("the output could not be written")]
    Output(#[from] io::Error),
}

/// Runs what needs no database; `None` for what does.
#[must_use]
pub fn run_without_store(args: &CatalogArgs, now: Timestamp) -> Option<Result<ExitCode, CatalogCommandError>> {
    match &args.command {
        CatalogCommand::Check { files } => Some(check(files, now).map_err(CatalogCommandError::Output)),
        CatalogCommand::Apply { .. } | CatalogCommand::Export { .. } => None,
    }
}

/// # Errors
/// The database refuses, or the output cannot be written. Mistakes in files are printed, and end in failure.
pub async fn run(args: &CatalogArgs, ground: &Ground) -> Result<ExitCode, CatalogCommandError> {
    let (store, now) = (&ground.store, ground.clock.now());
    match &args.command {
        CatalogCommand::Check { files } => Ok(check(files, now)?),
        CatalogCommand::Apply { files, dry_run } => {
            let Some(catalog) = read(files, now)? else { return Ok(ExitCode::FAILURE) };
            warn_of_secrets(&catalog, &ground.sealing)?;
            if *dry_run {
                let (revision, current) = store.catalog().await?;
                let catalog = catalog.sealed(&current, &ground.sealing, &*ground.rng);
                writeln!(io::stdout().lock(), "{}", diff(&current, &catalog))?;
                writeln!(io::stderr().lock(), "Nothing was changed; the catalog is at revision {revision}.")?;
                return Ok(ExitCode::SUCCESS);
            }
            let applied = apply(ground, catalog, files).await?;
            writeln!(io::stdout().lock(), "{}", applied.diff)?;
            let outcome = if applied.diff.is_empty() { "stays at" } else { "is now at" };
            writeln!(io::stderr().lock(), "The catalog {outcome} revision {}.", applied.revision)?;
            Ok(ExitCode::SUCCESS)
        }
        CatalogCommand::Export { output } => {
            let (_, catalog) = store.catalog().await?;
            let text = export(&catalog);
            match output {
                None => io::stdout().lock().write_all(text.as_bytes())?,
                Some(path) => {
                    std::fs::write(path, text)
                        .map_err(|source| CatalogCommandError::Write { path: path.clone(), source })?;
                }
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check(files: &[PathBuf], now: Timestamp) -> io::Result<ExitCode> {
    let Some(catalog) = read(files, now)? else { return Ok(ExitCode::FAILURE) };
    let count = |n: usize, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
    writeln!(
        io::stderr().lock(),
        "No mistakes: {}, {}, {}, {}.",
        count(catalog.connectors().len(), "connector"),
        count(catalog.accounts().len(), "account"),
        count(catalog.roles().len(), "role"),
        count(catalog.rules().len(), "rule"),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// A sealed secret may come from another installation; that shows only where the key is.
fn warn_of_secrets(catalog: &Catalog, sealing: &SealingKey) -> io::Result<()> {
    for connector in catalog.connectors() {
        let secret = connector.oidc().and_then(|oidc| oidc.client_secret.as_ref());
        if secret.is_some_and(|secret| secret.open(&connector.id, sealing).is_err()) {
            writeln!(
                io::stderr().lock(),
                "warning: the client secret of connector {} was sealed with another key or for another connector, and \
                 cannot be opened here: nobody can sign in with it; write client_secret_file",
                connector.id,
            )?;
        }
    }
    for key in catalog.keys() {
        if key.secret_access_key.open(&key.id, sealing).is_err() {
            writeln!(
                io::stderr().lock(),
                "warning: the secret of key {} was sealed with another key or for another place, and cannot be opened \
                 here: its roles give nothing; write secret_access_key_file",
                key.id,
            )?;
        }
    }
    Ok(())
}

/// Reads the files and prints what is wrong or doubtful about them; `None` when they are no catalog.
pub(super) fn read(files: &[PathBuf], now: Timestamp) -> io::Result<Option<Catalog>> {
    let mut words = io::stderr().lock();
    match read_files(files) {
        Ok(Loaded { catalog, warnings }) => {
            for warning in warnings {
                writeln!(words, "warning: {warning}")?;
            }
            for warning in metadata_warnings(&catalog, now) {
                writeln!(words, "warning: {warning}")?;
            }
            Ok(Some(catalog))
        }
        Err(mistakes @ Mistakes(_)) => {
            let count = mistakes.0.len();
            writeln!(words, "{mistakes}")?;
            writeln!(words, "{count} mistake{}; nothing was changed.", if count == 1 { "" } else { "s" })?;
            Ok(None)
        }
    }
}

/// What applying came to.
#[derive(Debug)]
pub struct Applied {
    pub revision: Revision,
    pub diff: Diff,
}

/// Makes this the catalog, together with the event that says so. A catalog that changes nothing leaves no trace.
///
/// # Errors
/// The database refuses; nothing has changed then.
pub async fn apply(ground: &Ground, catalog: Catalog, files: &[impl AsRef<Path>]) -> Result<Applied, StoreError> {
    let mut tx = ground.store.begin().await?;
    let (revision, current) = load(&mut tx).await?;
    let catalog = catalog.sealed(&current, &ground.sealing, &*ground.rng);
    let diff = diff(&current, &catalog);
    if diff.is_empty() {
        tx.rollback().await?;
        return Ok(Applied { revision, diff });
    }
    let revision = replace(&mut tx, &catalog).await?;
    let files: Vec<String> = files.iter().map(|file| file.as_ref().display().to_string()).collect();
    for connector in catalog.connectors() {
        // One that is new may have been here before and led elsewhere: what tokens and sessions knew of it is over.
        if current.connector(&connector.id).is_none_or(|before| connector.leads_elsewhere_than(before)) {
            endings::end_all_through(ground, &mut tx, &connector.id).await?;
        }
    }
    let event = Event::new(Kind::CatalogApplied)
        .with("revision", revision)
        .with("files", files)
        .with_some("user", std::env::var("USER").ok())
        .with("connectors", summary(&diff.connectors))
        .with("accounts", summary(&diff.accounts))
        .with("roles", summary(&diff.roles))
        .with("rules", summary(&diff.rules))
        .with("links", summary(&diff.links))
        .with("support_changed", diff.support_changed);
    ground.append(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(Applied { revision, diff })
}

/// How many, and which: the audit log names the first of each, so that a first import does not fill it.
fn summary(changes: &Changes) -> serde_json::Value {
    const NAMED: usize = 50;
    let part =
        |names: &[String]| json!({ "count": names.len(), "names": names.iter().take(NAMED).collect::<Vec<_>>() });
    json!({ "added": part(&changes.added), "changed": part(&changes.changed), "removed": part(&changes.removed) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::audit::{Chain, ChainKey};
    use crate::catalog::toml::parse_text;
    use crate::store::{Store, sessions, tokens};
    use crate::sys::seal::SealingKey;
    use crate::sys::{ManualClock, SeededRng};

    const ONE: &str = "[[account]]\nid = \"111122223333\"\nname = \"Payments\"\n";

    async fn ground() -> (tempfile::TempDir, Ground) {
        let dir = tempfile::tempdir().unwrap();
        let ground = Ground::new(
            Store::open(&dir.path().join("test.db")).await.unwrap(),
            Chain::new(ChainKey::new([1; 32])),
            Arc::new(ManualClock::at(now())),
            Arc::new(SeededRng::new(1)),
            SealingKey::from_bytes([2; 32]),
        );
        (dir, ground)
    }

    fn now() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    #[tokio::test]
    async fn applying_changes_the_catalog_and_leaves_one_event() {
        let (_dir, ground) = ground().await;
        let catalog = parse_text("one.toml", ONE).unwrap().catalog;
        let applied = apply(&ground, catalog.clone(), &["one.toml"]).await.unwrap();
        assert_eq!((applied.revision, applied.diff.accounts.added), (1, vec!["111122223333".to_owned()]));
        let events = ground.store.audit_after(0, 10).await.unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].link.kind, "catalog.applied");
        assert!(events[0].link.body.contains("111122223333"), "{}", events[0].link.body);
        assert_eq!(ground.store.catalog().await.unwrap(), (1, catalog));
    }

    #[tokio::test]
    async fn sessions_and_tokens_end_when_their_connector_leads_to_another_provider() {
        let (_dir, ground) = ground().await;
        let catalog = |issuer: &str, client: &str| {
            let text = format!(
                "[[connector]]\nid = \"corp\"\nkind = \"oidc\"\nissuer = \"{issuer}\"\nclient_id = \"{client}\"\n"
            );
            parse_text("one.toml", &text).unwrap().catalog
        };
        apply(&ground, catalog("https://idp.example", "a"), &["one.toml"]).await.unwrap();
        let identity = serde_json::json!({
            "subject": { "connector": "corp", "value": "7" },
            "qualifiers": {}, "name": null, "email": null,
            "groups": { "state": "complete", "values": [] },
            "attributes": {},
            "authentication": { "instant": null, "context_class": null, "session_index": null, "session_not_on_or_after": null },
        });
        let authorization = tokens::Authorization {
            id: "cron".to_owned(),
            kind: tokens::AuthorizationKind::Personal,
            identity: serde_json::from_value(identity.clone()).unwrap(),
            client: String::new(),
            label: "cron".to_owned(),
            scope: crate::access::Scope::FULL,
            networks: Vec::new(),
            session: None,
            created: now(),
            vouched: now(),
            expires: now() + jiff::SignedDuration::from_hours(24),
            last_used: None,
            last_used_from: None,
            client_address: String::new(),
            user_agent: String::new(),
        };
        let session = sessions::StoredSession {
            public_id: "one".to_owned(),
            identity: serde_json::from_value(identity).unwrap(),
            created: now(),
            last_seen: now(),
            idle: jiff::SignedDuration::from_hours(1),
            expires: now() + jiff::SignedDuration::from_hours(1),
            client_address: String::new(),
            user_agent: String::new(),
            sealed_id_token: None,
        };
        let begin = async || {
            let mut tx = ground.store.begin().await.unwrap();
            sessions::add(&mut tx, &[1; 32], &session).await.unwrap();
            tokens::add_authorization(&mut tx, &authorization).await.unwrap();
            tx.commit().await.unwrap();
        };
        let lives = async || {
            let session = ground.store.session(&[1; 32]).await.unwrap().is_some();
            assert_eq!(ground.store.all_authorizations().await.unwrap().len(), usize::from(session));
            session
        };
        begin().await;

        apply(&ground, catalog("https://idp.example", "b"), &["one.toml"]).await.unwrap();
        assert!(lives().await, "the same provider");
        apply(&ground, catalog("https://idp.example/", "b"), &["one.toml"]).await.unwrap();
        assert!(!lives().await, "another provider");
        let events = ground.store.audit_after(0, 10).await.unwrap();
        for kind in ["session.ended", "token.revoked"] {
            let ended = events.iter().find(|event| event.link.kind == kind).expect("it is on record");
            assert!(ended.link.body.contains("connector-changed"), "{}", ended.link.body);
        }

        // Taken out and put back in two steps, it may be another's just as well.
        begin().await;
        apply(&ground, parse_text("one.toml", ONE).unwrap().catalog, &["one.toml"]).await.unwrap();
        assert!(lives().await, "without its connector it opens nothing");
        apply(&ground, catalog("https://evil.example", "b"), &["one.toml"]).await.unwrap();
        assert!(!lives().await, "another provider");
    }

    #[tokio::test]
    async fn what_was_exported_applies_to_no_change_and_leaves_no_event() {
        let (_dir, ground) = ground().await;
        let catalog = parse_text("one.toml", ONE).unwrap().catalog;
        apply(&ground, catalog.clone(), &["one.toml"]).await.unwrap();
        let (_, current) = ground.store.catalog().await.unwrap();
        let again = parse_text("export.toml", &export(&current)).unwrap().catalog;
        let applied = apply(&ground, again, &["export.toml"]).await.unwrap();
        assert!(applied.diff.is_empty());
        assert_eq!((applied.revision, ground.store.audit_after(0, 10).await.unwrap().len()), (1, 1));
    }

    #[tokio::test]
    async fn a_file_with_mistakes_changes_nothing() {
        let (dir, ground) = ground().await;
        let file = dir.path().join("bad.toml");
        std::fs::write(&file, "[[account]]\nid = 1\n").unwrap();
        for dry_run in [true, false] {
            let args = CatalogArgs { command: CatalogCommand::Apply { files: vec![file.clone()], dry_run } };
            let code = run(&args, &ground).await.unwrap();
            assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
        }
        assert_eq!(ground.store.catalog().await.unwrap(), (0, Catalog::default()));
    }

    #[tokio::test]
    async fn an_export_to_a_file_can_be_applied() {
        let (dir, ground) = ground().await;
        let catalog = parse_text("one.toml", ONE).unwrap().catalog;
        apply(&ground, catalog.clone(), &["one.toml"]).await.unwrap();
        let file = dir.path().join("export.toml");
        let args = CatalogArgs { command: CatalogCommand::Export { output: Some(file.clone()) } };
        run(&args, &ground).await.unwrap();
        assert_eq!(read_files(&[file]).unwrap().catalog, catalog);
    }
}
