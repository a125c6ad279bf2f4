//! `rolegate sandbox explain`: which statement lets somebody do something, or what is missing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use url::Url;

use crate::sandbox::World;
use crate::sandbox::simulate::{self, Answered, AnsweredAction, AnsweredStatement, OneOrMany, Outcome, QuestionError};
use crate::sandbox::world::WorldError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(30);
/// As with `doctor`: 0 is yes, 1 is no, 2 is that it cannot be said.
const NO: u8 = 1;
const UNKNOWN: u8 = 2;
/// So much of a statement is shown: some policies list hundreds of actions.
const LONGEST: usize = 400;

/// Asks the policies of a company, offline or in a sandbox that runs.
///
/// Exits with 0 when it is allowed, with 1 when it is not, and with 2 when that cannot be said.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  rolegate sandbox explain arn:aws:iam::111122223333:role/ReadOnly s3:PutObject arn:aws:s3:::larkspur-artifacts/a
  rolegate sandbox explain arn:aws:iam::127790045613:role/RolegateHub sts:AssumeRole \\
      arn:aws:iam::177419203846:role/Partner/DataExchange --external-id larkspur-7h2k
  rolegate sandbox explain me s3:GetObject arn:aws:s3:::larkspur-artifacts/a --url http://127.0.0.1:8081")]
pub struct ExplainArgs {
    /// The ARN of a user, role, session, federated user, root or provider; `me` is whoever has the credentials in
    /// AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN
    #[arg(required_unless_present = "question")]
    who: Option<String>,

    /// What they want to do, such as s3:GetObject or sts:AssumeRole
    #[arg(required_unless_present = "question")]
    action: Option<String>,

    /// To what: an ARN, or `*`
    #[arg(default_value = "*")]
    resource: String,

    /// Ask a sandbox that runs, with everything that was changed there, instead of a description
    #[arg(long, value_name = "URL", conflicts_with = "world")]
    url: Option<Url>,

    /// A company of your own, as TOML, instead of the one that comes with the program
    #[arg(long, value_name = "FILE")]
    world: Option<PathBuf>,

    /// Where the broker is that accounts trust as OpenID provider; offline only
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    broker: Url,

    /// A condition key and its value; the same key again gives it several values
    #[arg(long = "context", value_name = "KEY=VALUE")]
    context: Vec<String>,

    /// The name of a role's session
    #[arg(long, value_name = "NAME")]
    session_name: Option<String>,

    /// A tag the session has
    #[arg(long = "session-tag", value_name = "KEY=VALUE")]
    session_tags: Vec<String>,

    /// A tag of the session that goes on to the next one
    #[arg(long = "session-transitive", value_name = "KEY")]
    session_transitive: Vec<String>,

    /// The source identity the session has
    #[arg(long, value_name = "NAME")]
    session_source_identity: Option<String>,

    /// When the session began, as 2026-11-21T12:00:00Z; now otherwise
    #[arg(long, value_name = "TIME")]
    issued_at: Option<Timestamp>,

    /// When somebody showed an MFA code for the session
    #[arg(long, value_name = "TIME")]
    mfa_at: Option<Timestamp>,

    /// The user who asked for a federated user's session
    #[arg(long, value_name = "ARN")]
    by: Option<String>,

    /// A policy of the session: JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    session_policy: Option<String>,

    /// A managed policy of the session
    #[arg(long = "session-policy-arn", value_name = "ARN")]
    session_policy_arns: Vec<String>,

    /// Assuming a role: the name of the new session
    #[arg(long, value_name = "NAME")]
    role_session_name: Option<String>,

    /// Assuming a role: the external ID
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,

    /// Assuming a role: a tag that is passed
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    tags: Vec<String>,

    /// Assuming a role: a tag key that is transitive
    #[arg(long = "transitive", value_name = "KEY")]
    transitive: Vec<String>,

    /// Assuming a role: the source identity that is set
    #[arg(long, value_name = "NAME")]
    source_identity: Option<String>,

    /// Assuming a role: with a good MFA code
    #[arg(long)]
    mfa: bool,

    /// The whole question as JSON, as POST /simulate takes it; `-` is the standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["who", "action"])]
    question: Option<PathBuf>,

    /// Print the answer as JSON
    #[arg(long)]
    json: bool,

    /// Print the condition keys that policies saw, too
    #[arg(long)]
    keys: bool,
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} describes no company", path.display())]
    World { path: PathBuf, source: Box<WorldError> },
    #[error("the company cannot trust a broker at {broker}")]
    Broker { broker: Url, source: Box<WorldError> },
    #[error("`{0}` is not KEY=VALUE")]
    Pair(String),
    #[error("`me` needs AWS_ACCESS_KEY_ID, and --url to say which sandbox made the credentials")]
    NotMe,
    #[error(transparent)]
    Question(#[from] QuestionError),
    #[error("there is no sandbox at {url}")]
    Unreachable { url: Url, source: reqwest::Error },
    #[error("the sandbox at {url} cannot say: {message}")]
    Refused { url: Url, message: String },
    #[error("{url} is no sandbox: it answered with status {status}")]
    NotASandbox { url: Url, status: u16 },
}

/// Prints the answer, or why there is none.
#[expect(clippy::print_stdout, reason = "the data of a command goes to stdout")]
pub async fn run(args: &ExplainArgs, now: Timestamp) -> ExitCode {
    let answered = match ask(args, now).await {
        Ok(answered) => answered,
        Err(error) => {
            let _ = crate::cli::fail(&error);
            return ExitCode::from(UNKNOWN);
        }
    };
    if args.json {
        println!("{:#}", json!(answered));
    } else {
        print!("{}", page(&answered, args.keys));
    }
    if answered.decision == Outcome::Allowed { ExitCode::SUCCESS } else { ExitCode::from(NO) }
}

async fn ask(args: &ExplainArgs, now: Timestamp) -> Result<Answered, ExplainError> {
    let question = question(args)?;
    if let Some(url) = &args.url {
        return at(url, &question).await;
    }
    let world = match &args.world {
        None => World::larkspur(),
        Some(path) => {
            let text = read(path)?;
            World::from_toml(&text)
                .map_err(|source| ExplainError::World { path: path.clone(), source: Box::new(source) })?
        }
    };
    let world = world
        .for_broker(&args.broker)
        .map_err(|source| ExplainError::Broker { broker: args.broker.clone(), source: Box::new(source) })?;
    let question = serde_json::from_value(question).map_err(|error| QuestionError::Json(error.to_string()))?;
    Ok(simulate::answer(world.iam(), None, &question, now)?)
}

fn read(path: &PathBuf) -> Result<String, ExplainError> {
    let text =
        if path.as_os_str() == "-" { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    text.map_err(|source| ExplainError::Read { path: path.clone(), source })
}

/// What is said on the command line, as `POST /simulate` takes it.
fn question(args: &ExplainArgs) -> Result<Value, ExplainError> {
    if let Some(path) = &args.question {
        let text = read(path)?;
        return Ok(serde_json::from_str(&text).map_err(|error| QuestionError::Json(error.to_string()))?);
    }
    let mut question = Map::new();
    match args.who.as_deref() {
        Some("me") => {
            let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
            let (Some(id), Some(_)) = (variable("AWS_ACCESS_KEY_ID"), &args.url) else {
                return Err(ExplainError::NotMe);
            };
            let mut shown = Map::new();
            shown.insert("access_key_id".to_owned(), json!(id));
            if let Some(token) = variable("AWS_SESSION_TOKEN") {
                shown.insert("session_token".to_owned(), json!(token));
            }
            question.insert("credentials".to_owned(), Value::Object(shown));
        }
        who => {
            question.insert("principal".to_owned(), json!(who));
        }
    }
    question.insert("action".to_owned(), json!(args.action));
    question.insert("resource".to_owned(), json!(args.resource));
    let mut context: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (key, value) in pairs(&args.context)? {
        context.entry(key).or_default().push(value);
    }
    let context: Map<String, Value> = context
        .into_iter()
        .map(|(key, values)| (key.to_owned(), if let [one] = values[..] { json!(one) } else { json!(values) }))
        .collect();
    question.insert("context".to_owned(), Value::Object(context));
    let session = simulate::SessionQuestion {
        name: args.session_name.clone(),
        by: args.by.clone(),
        tags: owned(pairs(&args.session_tags)?),
        transitive_tag_keys: args.session_transitive.clone(),
        source_identity: args.session_source_identity.clone(),
        issued_at: args.issued_at,
        mfa_at: args.mfa_at,
    };
    question.insert("session".to_owned(), json!(session));
    if let Some(policy) = &args.session_policy {
        let text = match policy.strip_prefix('@') {
            Some(path) => read(&PathBuf::from(path))?,
            None => policy.clone(),
        };
        question.insert("session_policy".to_owned(), json!(text));
    }
    question.insert("session_policy_arns".to_owned(), json!(args.session_policy_arns));
    let assume = simulate::AssumeQuestion {
        session_name: args.role_session_name.clone(),
        external_id: args.external_id.clone(),
        tags: owned(pairs(&args.tags)?),
        transitive_tag_keys: args.transitive.clone(),
        source_identity: args.source_identity.clone(),
        mfa: args.mfa,
    };
    question.insert("assume".to_owned(), json!(assume));
    Ok(Value::Object(question))
}

fn pairs(texts: &[String]) -> Result<Vec<(&str, &str)>, ExplainError> {
    let pair = |text: &'_ String| -> Result<(usize, usize), ExplainError> {
        text.find('=').filter(|at| *at > 0).map(|at| (at, at + 1)).ok_or_else(|| ExplainError::Pair(text.clone()))
    };
    texts.iter().map(|text| pair(text).map(|(end, start)| (&text[..end], &text[start..]))).collect()
}

fn owned(pairs: Vec<(&str, &str)>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Asks a sandbox that runs.
async fn at(sandbox: &Url, question: &Value) -> Result<Answered, ExplainError> {
    let mut url = sandbox.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push("simulate");
    }
    let unreachable = |source| ExplainError::Unreachable { url: sandbox.clone(), source };
    let client = crate::sys::http::client_of(&url, CONNECT_TIMEOUT).map_err(unreachable)?;
    let request = client.post(url).timeout(TIMEOUT).header(CONTENT_TYPE, "application/json").body(question.to_string());
    let answer = request.send().await.map_err(unreachable)?;
    let status = answer.status();
    let text = answer.text().await.map_err(unreachable)?;
    if status.is_success()
        && let Ok(answered) = serde_json::from_str(&text)
    {
        return Ok(answered);
    }
    let said = serde_json::from_str::<Value>(&text).unwrap_or_default();
    match said["error"]["message"].as_str() {
        Some(message) => Err(ExplainError::Refused { url: sandbox.clone(), message: message.to_owned() }),
        None => Err(ExplainError::NotASandbox { url: sandbox.clone(), status: status.as_u16() }),
    }
}

/// The answer for people.
fn page(answered: &Answered, keys: bool) -> String {
    let mut out = String::new();
    let verb = if answered.decision == Outcome::Allowed { "may" } else { "may not" };
    for action in &answered.actions {
        let one = if action.decision == Outcome::Allowed { "may" } else { "may not" };
        let _ = writeln!(out, "{} {one} {} on {}", answered.principal, action.action, action.resource);
        if action.decision != Outcome::Allowed {
            let _ = writeln!(out, "  because {}", action.reason);
        }
        layers(action, &mut out);
        if keys {
            let _ = writeln!(out, "  keys:");
            for (key, value) in &action.context {
                let value = match value {
                    OneOrMany::One(value) => value.clone(),
                    OneOrMany::Many(values) => format!("[{}]", values.join(", ")),
                };
                let _ = writeln!(out, "    {key} = {value}");
            }
        }
    }
    for warning in &answered.warnings {
        let _ = writeln!(out, "odd: {warning}");
    }
    if answered.actions.len() > 1 {
        let _ = writeln!(out, "In all: {verb}.");
    }
    out
}

fn layers(action: &AnsweredAction, out: &mut String) {
    for layer in &action.policies {
        let said = match layer.decision {
            Outcome::Allowed => "allows",
            Outcome::ExplicitDeny => "denies",
            Outcome::ImplicitDeny if layer.needed => "does not allow",
            Outcome::ImplicitDeny => "does not speak, and need not",
        };
        let name = match layer.kind.as_str() {
            "trust" => "trust policy",
            "identity" => "identity policies",
            "boundary" => "permissions boundary",
            "session" => "session policies",
            other => other,
        };
        let _ = writeln!(out, "  {name}: {said}");
        if let Some(by) = &layer.by {
            statement("by", by, out);
        } else if layer.asked.is_empty() {
            let _ = writeln!(out, "    there are none");
        }
        for nearly in &layer.nearly {
            statement("nearly", nearly, out);
            for miss in &nearly.missing {
                let _ = writeln!(out, "      but {miss}");
            }
        }
        if layer.by.is_none() && layer.nearly.is_empty() && !layer.asked.is_empty() {
            let _ = writeln!(out, "    no statement is about it in {}", layer.asked.join(", "));
        }
    }
}

fn statement(how: &str, statement: &AnsweredStatement, out: &mut String) {
    let sid = statement.sid.as_ref().map(|sid| format!(" ({sid})")).unwrap_or_default();
    let _ = writeln!(out, "    {how} statement {}{sid} of {}", statement.index, statement.policy);
    match statement.text.char_indices().nth(LONGEST) {
        None => {
            let _ = writeln!(out, "      {}", statement.text);
        }
        Some((at, _)) => {
            let _ = writeln!(out, "      {}… (--json has the rest)", &statement.text[..at]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::simulate::Question;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: ExplainArgs,
    }

    fn explained(words: &[&str]) -> Result<Answered, ExplainError> {
        let line = <Line as clap::Parser>::parse_from(std::iter::once("explain").chain(words.iter().copied()));
        let question: Question = serde_json::from_value(question(&line.args)?).unwrap();
        let world = World::larkspur();
        Ok(simulate::answer(world.iam(), None, &question, "2026-11-21T12:00:00Z".parse().unwrap())?)
    }

    #[test]
    fn what_is_missing_is_said_in_words() {
        let hub = "arn:aws:iam::127790045613:role/RolegateHub";
        let exchange = "arn:aws:iam::177419203846:role/Partner/DataExchange";
        let no = explained(&[hub, "sts:AssumeRole", exchange, "--session-source-identity", "lin"]).unwrap();
        insta::assert_snapshot!(page(&no, false));
        let yes = explained(&[
            hub,
            "sts:AssumeRole",
            exchange,
            "--session-source-identity",
            "lin",
            "--external-id",
            "larkspur-7h2k",
            "--tag",
            "team=payments",
            "--transitive",
            "team",
        ])
        .unwrap();
        assert_eq!(yes.decision, Outcome::Allowed);
        assert!(page(&yes, true).contains("    aws:requesttag/team = payments\n"));
    }

    #[test]
    fn a_session_policy_and_keys_are_taken_from_the_command_line() {
        let reader = "arn:aws:iam::111122223333:role/ReadOnly";
        let policy = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Home","Effect":"Allow","Action":"s3:*","Resource":"*",
            "Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}]}"#;
        let words = [reader, "s3:GetObject", "arn:aws:s3:::larkspur-artifacts/a", "--session-policy", policy];
        let with = |address: &str| {
            let mut words = words.to_vec();
            words.extend(["--context", address]);
            explained(&words).unwrap()
        };
        assert_eq!(with("aws:SourceIp=192.0.2.7").decision, Outcome::Allowed);
        insta::assert_snapshot!(page(&with("aws:SourceIp=203.0.113.9"), false));
        assert!(matches!(explained(&[reader, "s3:x", "--tag", "=x"]), Err(ExplainError::Pair(_))));
        assert!(matches!(explained(&["me", "s3:x"]), Err(ExplainError::NotMe)));
        let many = explained(&[reader, "s3:x", "--context", "k:a=1", "--context", "k:a=2"]).unwrap();
        let keys = &many.actions[0].context;
        assert_eq!(keys.get("k:a"), Some(&OneOrMany::Many(vec!["1".to_owned(), "2".to_owned()])));
    }
}
