//! `rolegate keys`: our own keys, and replacing those that sign tokens for AWS.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use openssl::x509::X509;
use serde::Serialize;

use super::people::{by, table};
use crate::flows::token_keys::{Listed, Rotated, TokenKeyError, TokenKeys};
use crate::issuance::web_identity::documents;
use crate::issuance::web_identity::schedule::Phase;
use crate::store::keys::{AWS_ASSERTIONS, AWS_TOKENS, OIDC_CLIENT, OwnKey, SAML_SERVICE_PROVIDER};
use crate::store::{Store, StoreError};

#[derive(Debug, Args)]
pub struct KeysArgs {
    #[command(subcommand)]
    pub command: KeysCommand,
}

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Print all keys: what they are for, since when, and until when
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Replace the key that signs tokens for AWS (aws-tokens)
    ///
    /// The new key is published at once and signs a day later; the old one stays published for a day after that. Nothing
    /// has to be changed in AWS, and every running process follows. It also happens by itself, each
    /// keys.token_rotation_days. The other keys are not rotated: accounts and identity providers know them by name.
    Rotate {
        /// Somebody may have the keys: sign with a new one from now on, and withdraw all others
        ///
        /// Roles with the method web-identity may be refused until AWS has read the new set, and AWS may believe what the
        /// old keys sign until it has given up its copy: for the time being, take the trust away in IAM.
        #[arg(long)]
        compromised: bool,
    },
    /// Write what AWS reads of an OpenID provider into a folder, to be served elsewhere below keys.token_issuer
    ///
    /// For installations that AWS cannot reach. Run it each hour and upload the folder: a key is published for a day
    /// before it signs.
    Publish {
        /// Where .well-known/openid-configuration and aws/jwks.json are written
        folder: PathBuf,
    },
}

/// Why the command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum KeysCommandError {
    #[error(transparent)]
    Keys(#[from] TokenKeyError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the certificate of {0} cannot be read")]
    Certificate(String, #[source] openssl::error::ErrorStack),
    #[error("it is not known who we are toward AWS: set keys.token_issuer, or public_url")]
    NoIssuer,
    #[error("{path} cannot be written")]
    Write { path: PathBuf, source: io::Error },
    #[error("the output could not be written")]
    Output(#[from] io::Error),
}

/// # Errors
/// [`KeysCommandError`].
pub async fn run(args: &KeysArgs, store: &Store, keys: &TokenKeys) -> Result<ExitCode, KeysCommandError> {
    match &args.command {
        KeysCommand::List { json } => {
            let tokens = keys.list().await?;
            let due = keys.next_rotation(&tokens);
            let mut rows = store.own_keys().await?.iter().map(Row::of_own).collect::<Result<Vec<_>, _>>()?;
            rows.extend(tokens.iter().map(Row::of_tokens).collect::<Result<Vec<_>, _>>()?);
            let mut data = io::stdout().lock();
            if *json {
                serde_json::to_writer_pretty(&mut data, &rows).map_err(io::Error::from)?;
                writeln!(data)?;
                return Ok(ExitCode::SUCCESS);
            }
            write!(data, "{}", lines(&rows))?;
            let mut words = io::stderr().lock();
            if tokens.is_empty() {
                writeln!(words, "The key for tokens is made when a role with the method web-identity needs it.")?;
            } else if let Some(due) =
                due.filter(|_| !matches!(tokens.last(), Some(Listed { phase: Phase::Next { .. }, .. })))
            {
                writeln!(words, "The next key for tokens is made on {}.", day(due))?;
            }
        }
        KeysCommand::Rotate { compromised: false } => match keys.rotate(&by()).await? {
            Rotated::Made { key, signs_from } => {
                writeln!(io::stdout().lock(), "{key}")?;
                writeln!(
                    io::stderr().lock(),
                    "Key {key} is published, and signs tokens from {} on.",
                    minute(signs_from)
                )?;
            }
            Rotated::Waiting { key, signs_from } => {
                writeln!(io::stdout().lock(), "{key}")?;
                let from = minute(signs_from);
                writeln!(
                    io::stderr().lock(),
                    "Nothing was done: key {key} waits already, and signs tokens from {from} on."
                )?;
            }
        },
        KeysCommand::Rotate { compromised: true } => {
            let (Rotated::Made { key, .. } | Rotated::Waiting { key, .. }) = keys.replace_all(&by()).await?;
            writeln!(io::stdout().lock(), "{key}")?;
            writeln!(
                io::stderr().lock(),
                "Key {key} signs tokens from now on; all others are withdrawn. AWS may keep a copy of them for a while:\n\
                 until it has given that up, only IAM can refuse what they sign. Take the statement that trusts the\n\
                 provider out of each role, or delete the provider, if somebody has a key."
            )?;
        }
        KeysCommand::Publish { folder } => {
            if keys.issuer().is_empty() {
                return Err(KeysCommandError::NoIssuer);
            }
            let set = keys.jwks().await?;
            // The set first: what announces it must not be there before it.
            write(folder, documents::JWKS, &set)?;
            write(folder, documents::DISCOVERY, &documents::discovery(keys.issuer()))?;
            writeln!(io::stderr().lock(), "Serve {} as {}.", folder.display(), keys.issuer())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a file whole or not at all: somebody may be uploading it.
fn write(folder: &Path, name: &str, text: &str) -> Result<(), KeysCommandError> {
    let path = folder.join(name.trim_start_matches('/'));
    let draft = path.with_extension("part");
    let parent = path.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent)
        .and_then(|()| std::fs::write(&draft, text))
        .and_then(|()| std::fs::rename(&draft, &path))
        .map_err(|source| KeysCommandError::Write { path, source })
}

/// A key as it is shown.
#[derive(Debug, Serialize)]
struct Row {
    purpose: String,
    key: String,
    bits: u32,
    state: &'static str,
    created: Timestamp,
    /// From when on it signs, where several keys take turns.
    signs_from: Option<Timestamp>,
    /// Until when it stays published after it has signed.
    published_until: Option<Timestamp>,
    certificate: Certificate,
}

#[derive(Debug, Serialize)]
struct Certificate {
    sha256: String,
    expires: Timestamp,
}

impl Row {
    fn of_own(key: &OwnKey) -> Result<Self, KeysCommandError> {
        let (bits, certificate) = read(&key.id, &key.certificate)?;
        Ok(Self {
            purpose: key.purpose.clone(),
            key: key.id.clone(),
            bits,
            state: "signing",
            created: key.created,
            signs_from: None,
            published_until: None,
            certificate,
        })
    }

    fn of_tokens(listed: &Listed) -> Result<Self, KeysCommandError> {
        let (bits, certificate) = read(&listed.key.id, &listed.key.certificate)?;
        Ok(Self {
            purpose: AWS_TOKENS.to_owned(),
            key: listed.key.id.clone(),
            bits,
            state: listed.phase.as_str(),
            created: listed.key.created,
            signs_from: Some(listed.key.signs_from),
            published_until: match listed.phase {
                Phase::Previous { until } => Some(until),
                Phase::Next { .. } | Phase::Signing | Phase::Past => None,
            },
            certificate,
        })
    }
}

fn read(id: &str, certificate: &[u8]) -> Result<(u32, Certificate), KeysCommandError> {
    let unreadable = |error| KeysCommandError::Certificate(id.to_owned(), error);
    let parsed = X509::from_der(certificate).map_err(unreadable)?;
    let bits = parsed.public_key().map_err(unreadable)?.bits();
    let since_epoch =
        openssl::asn1::Asn1Time::from_unix(0).and_then(|epoch| epoch.diff(parsed.not_after())).map_err(unreadable)?;
    let seconds = i64::from(since_epoch.days) * 86_400 + i64::from(since_epoch.secs);
    let sha256 = openssl::sha::sha256(certificate).iter().fold(String::new(), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    });
    Ok((bits, Certificate { sha256, expires: Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX) }))
}

/// One line for each, with a heading.
fn lines(rows: &[Row]) -> String {
    let mut all = vec![["PURPOSE", "KEY", "BITS", "MADE", "STATE", "CERTIFICATE ENDS"].map(str::to_owned)];
    all.extend(rows.iter().map(|row| {
        let state = match (row.state, row.signs_from, row.published_until) {
            ("next", Some(from), _) => format!("next, signs from {}", minute(from)),
            ("previous", _, Some(until)) => format!("previous, published until {}", minute(until)),
            (state, ..) => state.to_owned(),
        };
        let purpose = match row.purpose.as_str() {
            AWS_ASSERTIONS => "aws-signing (assertions for AWS)",
            AWS_TOKENS => "aws-tokens (tokens for AWS)",
            SAML_SERVICE_PROVIDER => "saml-service-provider (to SAML connectors)",
            OIDC_CLIENT => "oidc-client (to OpenID connectors)",
            other => other,
        };
        [
            purpose.to_owned(),
            row.key.clone(),
            row.bits.to_string(),
            day(row.created),
            state,
            // Nothing reads the certificate of a key for tokens.
            if row.signs_from.is_some() { "-".to_owned() } else { day(row.certificate.expires) },
        ]
    }));
    table(&all)
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%MZ").to_string()
}
