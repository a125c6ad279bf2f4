//! `rolegate roles`: which roles there are; in a terminal, one to pick and what to do with it.

use std::io::Write as _;

use clap::Args;

use super::api::Role;
use super::error::ClientError;
use super::role::{RoleError, matching};
use super::server::ServerArgs;
use super::session::Session;
use super::surroundings::Surroundings;
use super::words::{printable, say, shell_word};
use super::{pick, spinner};
use crate::aws::SessionDuration;

#[derive(Debug, Args)]
pub struct RolesArgs {
    /// Only roles that these words mean
    #[arg(value_name = "WORDS")]
    pub words: Vec<String>,
    #[command(flatten)]
    pub server: ServerArgs,
    /// Print one line per role, also in a terminal: account/role, account, longest session, description, with tabs
    /// between
    #[arg(long, conflicts_with = "json")]
    pub plain: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// # Errors
/// [`ClientError`].
pub async fn run(args: &RolesArgs, around: &Surroundings) -> Result<(), ClientError> {
    let session = Session::open(&args.server, around)?;
    let roles = spinner::during(around, "asking for your roles", session.roles()).await?;
    let text = args.words.join(" ");
    let shown: Vec<&Role> = if text.is_empty() { roles.iter().collect() } else { matching(&roles, &text) };
    if shown.is_empty() && !text.is_empty() {
        return Err(RoleError::Unknown { near: super::role::near(&roles, &text), text: printable(&text) }.into());
    }
    if args.json {
        let all: Vec<_> = shown.iter().map(|role| &role.all).collect();
        let text = serde_json::to_vec(&all).expect("what was JSON is JSON again");
        return Ok(super::print_json(&text)?);
    }
    if !args.plain && around.stdout_is_terminal && around.is_interactive() && !shown.is_empty() {
        let picked = pick::one(&shown, "", around)?.ok_or(ClientError::Interrupted)?;
        return Ok(next_steps(picked)?);
    }
    let mut data = std::io::BufWriter::new(std::io::stdout().lock());
    for role in &shown {
        writeln!(data, "{}", line(role))?;
    }
    data.flush()?;
    if shown.is_empty() {
        say("There is no role for you. If there should be, ask your administrator.");
    }
    Ok(())
}

fn line(role: &Role) -> String {
    let longest = SessionDuration::from_secs(role.max_session_s);
    let longest = longest.map_or_else(|_| format!("{}s", role.max_session_s), |longest| longest.to_string());
    let about = role.description.as_deref().unwrap_or("");
    [&role.id(), &printable(&role.account_name), &longest, &printable(about)].map(String::as_str).join("\t")
}

/// The role that was picked is data; what it is good for is words.
fn next_steps(role: &Role) -> std::io::Result<()> {
    let id = shell_word(&role.id());
    writeln!(std::io::stdout().lock(), "{}", role.id())?;
    say(format_args!(
        "\n  keys for this shell   eval \"$(rolegate creds {id})\"\n  \
           one command           rolegate exec {id} -- aws sts get-caller-identity\n  \
           the console           rolegate console {id}"
    ));
    if role.step_up {
        say("\n  It asks you to sign in again first: open the console once, in a browser.");
    }
    Ok(())
}
