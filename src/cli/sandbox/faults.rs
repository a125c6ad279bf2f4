//! `rolegate sandbox faults`: a bad day for a sandbox that runs.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use url::Url;

use crate::sandbox::FaultPlan;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub struct FaultsArgs {
    #[command(subcommand)]
    command: FaultsCommand,

    /// Where the sandbox is
    #[arg(long, global = true, default_value = "http://127.0.0.1:8081", value_name = "URL")]
    url: Url,
}

#[derive(Debug, Subcommand)]
enum FaultsCommand {
    /// Print which faults are set, and what they did so far, as JSON
    Show,
    /// Set a fault of an operation, a service or `*`, or those of a file in place of all
    Set(Box<SetArgs>),
    /// End a fault, or all
    Clear {
        /// Only the one of this name
        name: Option<String>,
    },
}

#[derive(Debug, Args)]
struct SetArgs {
    /// An operation such as AssumeRole, a service such as sts, or `*`
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    name: Option<String>,

    /// A plan as TOML: `seed` and `[faults.NAME]` tables. It takes the place of what is set
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// The share of calls that are refused as too many, from 0 to 1
    #[arg(long, value_name = "SHARE")]
    throttle: Option<f64>,

    /// The share of calls that end with 500 or 503
    #[arg(long, value_name = "SHARE")]
    error: Option<f64>,

    /// The share of calls whose connection is closed without an answer
    #[arg(long, value_name = "SHARE")]
    cut: Option<f64>,

    /// Answer no call
    #[arg(long)]
    dead: bool,

    /// How late answers come
    #[arg(long, value_name = "MS")]
    latency_ms: Option<u64>,

    /// And up to this much later
    #[arg(long, value_name = "MS")]
    jitter_ms: Option<u64>,

    /// How far the service's clock is ahead; negative for behind
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    clock_shift_s: Option<i64>,

    /// End by itself after this time
    #[arg(long, value_name = "SECONDS")]
    for_s: Option<u32>,

    /// End by itself after touching this many calls
    #[arg(long, value_name = "CALLS")]
    count: Option<u64>,
}

/// Why a sandbox could not be given faults.
#[derive(Debug, thiserror::Error)]
pub enum FaultsCommandError {
    #[error("there is no sandbox at {url}; --url says where it is")]
    Unreachable { url: Url, source: reqwest::Error },
    #[error("the sandbox at {url} refused: {message}")]
    Refused { url: Url, message: String },
    #[error("{url} is no sandbox: it answered with status {status}")]
    NotASandbox { url: Url, status: u16 },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} describes no faults", path.display())]
    Plan { path: PathBuf, source: toml::de::Error },
}

impl SetArgs {
    /// What is said on the command line, as the sandbox takes it. The sandbox judges it.
    fn fault(&self) -> Value {
        let said = [
            ("throttle", self.throttle.map(Value::from)),
            ("error", self.error.map(Value::from)),
            ("cut", self.cut.map(Value::from)),
            ("dead", self.dead.then_some(Value::Bool(true))),
            ("latency_ms", self.latency_ms.map(Value::from)),
            ("jitter_ms", self.jitter_ms.map(Value::from)),
            ("clock_shift_s", self.clock_shift_s.map(Value::from)),
            ("for_s", self.for_s.map(Value::from)),
            ("count", self.count.map(Value::from)),
        ];
        let said = said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(said.collect::<Map<_, _>>())
    }
}

/// The faults in a file: `seed` and `[faults.NAME]` tables.
///
/// # Errors
/// [`FaultsCommandError`] says what is wrong with it, and where.
pub fn read_plan(path: PathBuf) -> Result<FaultPlan, FaultsCommandError> {
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(FaultsCommandError::Read { path, source }),
    };
    toml::from_str(&text).map_err(|source| FaultsCommandError::Plan { path, source })
}

/// # Errors
/// [`FaultsCommandError`]
#[expect(clippy::print_stdout, reason = "the data of a command goes to stdout")]
pub async fn run(args: FaultsArgs) -> Result<(), FaultsCommandError> {
    let (method, name, body) = match args.command {
        FaultsCommand::Show => (Method::GET, None, None),
        FaultsCommand::Clear { name } => (Method::DELETE, name, None),
        FaultsCommand::Set(set) => match &set.file {
            Some(path) => (Method::PUT, None, Some(json!(read_plan(path.clone())?))),
            None => (Method::PUT, set.name.clone(), Some(set.fault())),
        },
    };
    let mut url = args.url.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push("faults").extend(&name);
    }
    let unreachable = |source| FaultsCommandError::Unreachable { url: args.url.clone(), source };
    let client = crate::sys::http::client_of(&url, CONNECT_TIMEOUT).map_err(unreachable)?;
    let mut request = client.request(method, url).timeout(TIMEOUT);
    if let Some(body) = body {
        request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
    }
    let answer = request.send().await.map_err(unreachable)?;
    let status = answer.status();
    let text = answer.text().await.map_err(unreachable)?;
    match serde_json::from_str::<Value>(&text) {
        Ok(shown) if status.is_success() && shown.get("counts").is_some() => {
            println!("{shown:#}");
            Ok(())
        }
        Ok(said) if said.get("error").is_some_and(Value::is_string) => Err(FaultsCommandError::Refused {
            url: args.url,
            message: said["error"].as_str().unwrap_or_default().to_owned(),
        }),
        Ok(_) | Err(_) => Err(FaultsCommandError::NotASandbox { url: args.url, status: status.as_u16() }),
    }
}
