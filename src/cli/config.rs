//! `rolegate config`: what the settings are, and where each came from.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::config::{Checked, Config, ConfigErrors, Shown, ShownValue, Sources, StoreConfig};

/// The flags that change settings, the same for every command that reads them.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub struct ConfigArgs {
    /// Settings file [default: rolegate.toml, if it is there]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS", global = true)]
    pub listen: Option<String>,
    /// Address people open, such as `https://aws.example.com`
    #[arg(long, value_name = "URL", global = true)]
    pub public_url: Option<String>,
    /// Database, such as sqlite:/var/lib/rolegate/rolegate.db
    #[arg(long, value_name = "URL", global = true)]
    pub database: Option<String>,
    /// Folder for this process's own files
    #[arg(long, value_name = "DIR", global = true)]
    pub data_dir: Option<String>,
    /// Any setting, such as --set session.idle_timeout=30m
    #[arg(long, value_name = "KEY=VALUE", global = true)]
    pub set: Vec<String>,
}

impl ConfigArgs {
    /// These flags on top of the variables and the settings file of this process.
    #[must_use]
    pub fn sources(&self) -> Sources {
        // Paths that begin nowhere begin in the current folder, so an empty one says the same.
        self.onto(Sources::of_process(PathBuf::new(), std::env::vars_os()))
    }

    fn onto(&self, mut sources: Sources) -> Sources {
        if let Some(path) = &self.config {
            sources = sources.with_file(path.clone());
        }
        let named = [
            ("--listen", "listen", &self.listen),
            ("--public-url", "public_url", &self.public_url),
            ("--database", "database.url", &self.database),
            ("--data-dir", "data_dir", &self.data_dir),
        ];
        // `--set` first: a flag with a name of its own is the more deliberate one.
        for argument in &self.set {
            sources = sources.with_set(argument.clone());
        }
        for (flag, key, value) in named {
            if let Some(value) = value {
                sources = sources.with_flag(flag, key, value.clone());
            }
        }
        sources
    }

    /// What a running broker needs.
    ///
    /// # Errors
    /// [`ConfigErrors`]: every mistake in the settings.
    pub fn load(&self) -> Result<Config, ConfigErrors> {
        Config::load(&self.sources())
    }

    /// What a command that only opens the database needs.
    ///
    /// # Errors
    /// [`ConfigErrors`]: every mistake in the settings.
    pub fn load_store(&self) -> Result<StoreConfig, ConfigErrors> {
        StoreConfig::load(&self.sources())
    }
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the settings in force and where each came from, or everything that is wrong with them
    Check(ConfigArgs),
}

impl ConfigCommand {
    /// # Errors
    /// Standard output cannot be written.
    pub fn run(&self) -> io::Result<ExitCode> {
        let Self::Check(args) = self;
        match Config::check(&args.sources()) {
            Ok(Checked { settings, .. }) => {
                io::stdout().lock().write_all(render(&settings).as_bytes())?;
                Ok(ExitCode::SUCCESS)
            }
            Err(errors) => {
                writeln!(io::stderr().lock(), "{errors}")?;
                Ok(ExitCode::FAILURE)
            }
        }
    }
}

/// The settings as a settings file, with the origin of each behind it. Reading it again gives the same settings, save
/// for secrets, which are only mentioned.
fn render(settings: &[Shown]) -> String {
    use std::fmt::Write as _;
    let lines: Vec<_> = settings
        .iter()
        .map(|Shown { key, value, origin }| match value {
            ShownValue::Text(text) => (format!("{key} = {}", literal(text)), origin.to_string()),
            ShownValue::List(items) => {
                let items: Vec<_> = items.iter().map(|item| literal(item)).collect();
                (format!("{key} = [{}]", items.join(", ")), origin.to_string())
            }
            ShownValue::Secret => (format!("# {key} is set and not shown"), origin.to_string()),
            ShownValue::Unset(without) => (format!("# {key} is not set"), (*without).to_owned()),
        })
        .collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or_default().min(60);
    lines.iter().fold(String::new(), |mut out, (line, origin)| {
        let _ = writeln!(out, "{line:width$}  # {origin}");
        out
    })
}

/// A TOML value: whole numbers as they are, everything else in quotes.
fn literal(text: &str) -> String {
    match text.parse::<u32>() {
        Ok(number) if number.to_string() == text => number.to_string(),
        _ => toml::Value::String(text.to_owned()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(pairs: impl IntoIterator<Item = (&'static str, String)>, args: &ConfigArgs) -> Checked {
        Config::check(&args.onto(Sources::of_program(pairs))).expect("these settings are right")
    }

    #[test]
    fn what_is_printed_is_a_settings_file_that_gives_the_same_settings() {
        let args = ConfigArgs {
            set: vec!["session.idle_timeout=30m".to_owned(), "web.trusted_proxies=10.0.0.0/8,::1".to_owned()],
            public_url: Some("https://aws.example.com".to_owned()),
            ..ConfigArgs::default()
        };
        let first = render(&checked([], &args).settings);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rolegate.toml");
        std::fs::write(&file, &first).unwrap();
        let again = render(&checked([], &ConfigArgs { config: Some(file), ..ConfigArgs::default() }).settings);
        let values = |text: &str| -> Vec<String> {
            text.lines().map(|line| line.rsplit_once("  # ").unwrap().0.trim_end().to_owned()).collect()
        };
        let in_folder = |line: &String| line.replace(&format!("{}/", folder.path().display()), "");
        assert_eq!(values(&first), values(&again).iter().map(in_folder).collect::<Vec<_>>());
    }

    #[test]
    fn each_setting_says_where_it_came_from_and_secrets_are_not_shown() {
        let args = ConfigArgs {
            set: vec!["keys.sealing_key=c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I=".to_owned()],
            public_url: Some("https://aws.example.com".to_owned()),
            ..ConfigArgs::default()
        };
        let text = render(&checked([("listen", "127.0.0.1:0".to_owned())], &args).settings);
        let line = |key: &str| text.lines().find(|line| line.contains(key)).expect(key).to_owned();
        assert!(line("public_url").ends_with("# flag --public-url"), "{text}");
        assert!(line("session.idle_timeout").ends_with("# default"), "{text}");
        assert!(line("database.url").ends_with("# rolegate.db in data_dir"), "{text}");
        assert!(line("keys.sealing_key").ends_with("# flag --set"), "{text}");
        assert!(line("keys.sealing_key").starts_with("# keys.sealing_key is set and not shown"), "{text}");
        assert!(!text.contains("c2VjcmV0"), "{text}");
    }

    #[test]
    fn a_flag_of_its_own_wins_over_set() {
        let args = ConfigArgs {
            set: vec!["public_url=https://a.example".to_owned()],
            public_url: Some("https://b.example".to_owned()),
            ..ConfigArgs::default()
        };
        assert_eq!(checked([], &args).config.public_url.origin(), "https://b.example");
    }
}
