//! `rolegate aws-config`: a profile for each role, merged into `~/.aws/config`.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::api::Call;
use super::error::ClientError;
use super::profiles::{self, Change, Merged, SectionName};
use super::replace::{self, Turn};
use super::server::{Server, ServerArgs};
use super::session::Session;
use super::spinner;
use super::surroundings::{Homeless, Surroundings};
use super::words::{printable, say};

#[derive(Debug, Args)]
pub struct AwsConfigArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    /// How profiles get their keys: by this program, by `aws sso login`, or by variables of a container
    #[arg(long, default_value = "process", value_parser = PossibleValuesParser::new(["process", "sso", "container"]))]
    pub way: String,
    /// What profiles are called, such as {account_name}-{role}
    #[arg(long, value_name = "TEMPLATE")]
    pub template: Option<String>,
    /// Only roles in which these words occur
    #[arg(long, value_name = "WORDS")]
    pub filter: Option<String>,
    /// The region of the profiles, if not the one the catalog names
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// The file to merge into [default: AWS_CONFIG_FILE or ~/.aws/config]; - prints the profiles alone
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Why the file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum AwsConfigError {
    #[error(transparent)]
    Homeless(#[from] Homeless),
    #[error("{} cannot be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} cannot be written; it is as it was", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} is changed by another program all the time; it is as that left it", .0.display())]
    Contended(PathBuf),
    #[error("what the server sent is no text")]
    Text,
    #[error("{server} sent what no Rolegate at that address writes: `{line}`; nothing was written")]
    Strange { server: Server, line: String },
}

/// # Errors
/// [`ClientError`].
pub async fn run(args: &AwsConfigArgs, around: &Surroundings) -> Result<(), ClientError> {
    let session = Session::open(&args.server, around)?;
    let mut call = Call::get("/api/v1/aws-config").with("way", args.way.as_str());
    for (name, value) in [("template", &args.template), ("filter", &args.filter), ("region", &args.region)] {
        if let Some(value) = value {
            call = call.with(name, value.as_str());
        }
    }
    let wanted = spinner::during(around, "asking for your roles", session.body(&call)).await?;
    let wanted = String::from_utf8(wanted.to_vec()).map_err(|_| AwsConfigError::Text)?;
    if let Some(line) = profiles::strange_line(&wanted, session.server()) {
        let line = printable(&line.chars().take(LONGEST_QUOTE).collect::<String>());
        return Err(AwsConfigError::Strange { server: session.server().clone(), line }.into());
    }
    let wanted = with_own_path(&wanted, std::env::current_exe().ok().as_deref());
    if args.file.as_deref() == Some(Path::new("-")) {
        io::stdout().lock().write_all(wanted.as_bytes())?;
        return Ok(());
    }
    let path = match (&args.file, around.path("AWS_CONFIG_FILE")) {
        (Some(path), _) => path.clone(),
        (None, Some(path)) => path.to_owned(),
        (None, None) => around.home().map_err(AwsConfigError::from)?.join(".aws/config"),
    };
    // One at a time, whatever the files: people have one.
    let lock = around.state_folder().map_err(AwsConfigError::from)?.join("aws-config.lock");
    let turn = Turn::take(&lock).map_err(|source| AwsConfigError::Write { path: lock, source })?;
    let done = bring_up_to_date(&path, &wanted, session.server(), args.dry_run)?;
    drop(turn);
    let mut data = io::stdout().lock();
    for change in &done.changes {
        writeln!(data, "{change}")?;
    }
    drop(data);
    tell(&done, &path, args.dry_run);
    warn_of_keys(&wanted, around);
    Ok(())
}

/// SDKs find programs in their own way or not at all, so profiles name this one by its path.
fn with_own_path(profiles: &str, own: Option<&Path>) -> String {
    let Some(own) = own.and_then(Path::to_str).filter(|own| !own.contains(['"', '\n'])) else {
        return profiles.to_owned();
    };
    let own = if own.contains(' ') { format!("\"{own}\"") } else { own.to_owned() };
    let line = |line: &str| match line.strip_prefix("credential_process = rolegate ") {
        Some(rest) => format!("credential_process = {own} {rest}\n"),
        None => format!("{line}\n"),
    };
    profiles.lines().map(line).collect()
}

/// How much of somebody else's line is quoted.
const LONGEST_QUOTE: usize = 100;
/// How often a file is merged anew because somebody changed it meanwhile.
const TRIES: usize = 5;

fn bring_up_to_date(path: &Path, wanted: &str, server: &Server, dry_run: bool) -> Result<Merged, AwsConfigError> {
    let read_failed = |source| AwsConfigError::Read { path: path.to_owned(), source };
    let write_failed = |source| AwsConfigError::Write { path: path.to_owned(), source };
    let target = replace::target_of(path).map_err(read_failed)?;
    let read = || match std::fs::read_to_string(&target) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(read_failed(error)),
    };
    for _ in 0..TRIES {
        let before = read()?;
        let merged = profiles::merge(before.as_deref().unwrap_or(""), wanted, server);
        let unchanged = merged.changes.iter().all(|change| matches!(change, Change::LeftAlone(_)));
        if dry_run || unchanged {
            return Ok(merged);
        }
        let permissions = match &before {
            Some(before) => {
                replace::in_one_step(&backup(&target), before.as_bytes(), None).map_err(write_failed)?;
                Some(std::fs::metadata(&target).map_err(read_failed)?.permissions())
            }
            None => {
                if let Some(folder) = target.parent() {
                    replace::private_folder(folder).map_err(write_failed)?;
                }
                None
            }
        };
        // `aws configure` takes no turns: what it wrote since is not written over.
        if read()? != before {
            continue;
        }
        replace::in_one_step(&target, merged.text.as_bytes(), permissions).map_err(write_failed)?;
        return Ok(merged);
    }
    Err(AwsConfigError::Contended(path.to_owned()))
}

/// Beside the file: what it was before the last change of ours.
fn backup(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".rolegate-backup");
    target.with_file_name(name)
}

fn tell(done: &Merged, path: &Path, dry_run: bool) {
    let count = |is: fn(&Change) -> bool| done.changes.iter().filter(|change| is(change)).count();
    let added = count(|change| matches!(change, Change::Added(_)));
    let updated = count(|change| matches!(change, Change::Updated(_)));
    let removed = count(|change| matches!(change, Change::Removed(_)));
    let path = path.display();
    if added + updated + removed == 0 {
        say(format_args!("{path} is up to date."));
    } else if dry_run {
        say(format_args!("Would add {added}, update {updated} and remove {removed} sections in {path}."));
    } else {
        say(format_args!("Added {added}, updated {updated} and removed {removed} sections in {path}."));
    }
    let left: Vec<String> = done
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::LeftAlone(name) => Some(name.to_string()),
            _ => None,
        })
        .collect();
    if !left.is_empty() {
        say(format_args!(
            "Left alone, since they are not of this Rolegate: {}. Rename them, or choose other names with --template.",
            left.join(", ")
        ));
    }
}

/// Keys in `~/.aws/credentials` win over a profile of the same name, whatever it says.
fn warn_of_keys(wanted: &str, around: &Surroundings) {
    let path = match (around.path("AWS_SHARED_CREDENTIALS_FILE"), around.home()) {
        (Some(path), _) => path.to_owned(),
        (None, Ok(home)) => home.join(".aws/credentials"),
        (None, Err(_)) => return,
    };
    let Ok(text) = std::fs::read_to_string(&path) else { return };
    let with_keys: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix('[')?.split(']').next())
        .map(|name| name.trim().to_owned())
        .collect();
    let wanted = profiles::names(wanted);
    for name in wanted.iter().filter_map(SectionName::profile).filter(|name| with_keys.iter().any(|own| own == name)) {
        say(format_args!("{} has keys for `{name}`, which win over the profile: remove them there.", path.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_name_this_program_by_its_path() {
        let profiles =
            "[profile a]\ncredential_process = rolegate credential-process --url https://x 1/R\nregion = y\n";
        let with = |own: &str| with_own_path(profiles, Some(Path::new(own)));
        assert!(with("/usr/bin/rolegate").contains("credential_process = /usr/bin/rolegate credential-process --url"));
        assert!(with("/my tools/rolegate").contains("credential_process = \"/my tools/rolegate\" credential-process"));
        assert_eq!(with_own_path(profiles, None), profiles);
    }
}
