//! `rolegate sessions`: who is signed in, and cutting somebody off.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use super::people::{PersonError, by, printable, table, who};
use crate::flows::endings::Endings;
use crate::flows::sessions::{EndedByAdmin, Sessions, Whose};
use crate::flows::tokens::all_live;
use crate::identity::{ConnectorId, VerifiedIdentity};
use crate::store::StoreError;
use crate::store::sessions::StoredSession;
use crate::web::words;

#[derive(Debug, Args)]
pub struct SessionsArgs {
    #[command(subcommand)]
    pub command: SessionsCommand,
}

#[derive(Debug, Subcommand)]
pub enum SessionsCommand {
    /// Print who is signed in, the session used last first
    List {
        /// Only of one person: connector:subject, link:ID:value, or an e-mail address that is one person's
        #[arg(long, value_name = "PERSON")]
        person: Option<String>,
        /// Only through one connector
        #[arg(long, value_name = "ID")]
        connector: Option<ConnectorId>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End all sessions of a person, or all that came through a connector
    ///
    /// Takes effect at their next request, in every running process. What terminals were given from these sessions ends
    /// too, unless tokens.end_at_sign_out is false. Personal tokens go on: `rolegate tokens revoke` ends those.
    /// Credentials that AWS issued live on until they expire.
    End {
        /// connector:subject, link:ID:value, or an e-mail address that is one person's
        #[arg(long, value_name = "PERSON", required_unless_present = "connector", conflicts_with = "connector")]
        person: Option<String>,
        /// Everybody who came through this connector
        #[arg(long, value_name = "ID", requires = "all")]
        connector: Option<ConnectorId>,
        /// Yes, everybody
        #[arg(long, requires = "connector")]
        all: bool,
    },
}

/// Why the command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum SessionsCommandError {
    #[error(transparent)]
    Person(#[from] PersonError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the output could not be written")]
    Output(#[from] io::Error),
}

/// # Errors
/// [`SessionsCommandError`].
pub async fn run(args: &SessionsArgs, endings: Endings) -> Result<ExitCode, SessionsCommandError> {
    let ground = endings.ground.clone();
    let sessions = Sessions::new(endings);
    let live = sessions.all().await?;
    let known: Vec<&VerifiedIdentity> = live.iter().map(|session| &session.identity).collect();
    match &args.command {
        SessionsCommand::List { person, connector, json } => {
            let person = person.as_deref().map(|text| who(text, &known)).transpose()?;
            let shown: Vec<&StoredSession> = live
                .iter()
                .filter(|session| person.as_ref().is_none_or(|person| person.contains(&session.identity.person())))
                .filter(|session| {
                    connector.as_ref().is_none_or(|connector| session.identity.subject.connector == *connector)
                })
                .collect();
            let mut data = io::stdout().lock();
            if *json {
                let all: Vec<_> = shown.iter().map(|session| object(session)).collect();
                serde_json::to_writer_pretty(&mut data, &all).map_err(io::Error::from)?;
                writeln!(data)?;
            } else if !shown.is_empty() {
                write!(data, "{}", lines(&shown, ground.clock.now()))?;
            }
            writeln!(io::stderr().lock(), "{}.", words_for(shown.len()))?;
        }
        SessionsCommand::End { person, connector, .. } => {
            let mut ended = EndedByAdmin::default();
            let mut people = BTreeSet::new();
            match (person, connector) {
                (Some(text), _) => {
                    people = who(text, &known)?;
                    for person in &people {
                        ended += sessions.end_by_admin(Whose::Person(person), &by()).await?;
                    }
                }
                (None, Some(connector)) => ended += sessions.end_by_admin(Whose::Connector(connector), &by()).await?,
                (None, None) => {}
            }
            let left = all_live(&ground).await?;
            let left = left.iter().filter(|held| people.contains(&held.identity.person())).count();
            let mut data = io::stdout().lock();
            for session in &ended.sessions {
                writeln!(data, "{}", printable(&session.identity.person().to_string()))?;
            }
            let mut words = io::stderr().lock();
            match ended.sessions.len() {
                0 => writeln!(words, "There was no session to end.")?,
                1 => writeln!(words, "1 session has ended.")?,
                n => writeln!(words, "{n} sessions have ended.")?,
            }
            match ended.authorizations {
                0 => {}
                1 => writeln!(words, "So has what a program was allowed in it.")?,
                n => writeln!(words, "So has what {n} programs were allowed in them.")?,
            }
            if left > 0 {
                let tokens = crate::web::views::counted(left, "token still counts", "tokens still count");
                writeln!(words, "{tokens}: see `rolegate tokens list`, and `rolegate tokens revoke`.")?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn words_for(count: usize) -> String {
    if count == 0 { "No session".to_owned() } else { crate::web::views::counted(count, "session", "sessions") }
}

fn object(session: &StoredSession) -> serde_json::Value {
    let identity = &session.identity;
    json!({
        "id": session.public_id,
        "person": identity.person().to_string(),
        "connector": identity.subject.connector,
        "subject": identity.subject.value,
        "name": identity.name,
        "email": identity.email,
        "authenticated": identity.authentication.instant,
        "authn_context": identity.authentication.context_class,
        "authn_methods": identity.authentication.methods,
        "client_address": session.client_address,
        "user_agent": session.user_agent,
        "created": session.created,
        "last_seen": session.last_seen,
        "expires": session.expires,
    })
}

/// One line for each, with a heading.
fn lines(sessions: &[&StoredSession], now: Timestamp) -> String {
    let mut rows =
        vec![["PERSON", "NAME", "CONNECTOR", "ADDRESS", "DEVICE", "SINCE", "LAST USED", "ENDS"].map(str::to_owned)];
    rows.extend(sessions.iter().map(|session| {
        let identity = &session.identity;
        [
            printable(&identity.person().to_string()),
            printable(identity.display_name()),
            identity.subject.connector.to_string(),
            printable(&session.client_address),
            words::device(&session.user_agent),
            session.created.strftime("%Y-%m-%d %H:%MZ").to_string(),
            words::ago(session.last_seen, now),
            session.expires.strftime("%Y-%m-%d %H:%MZ").to_string(),
        ]
    }));
    table(&rows)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::identity::{Attributes, Authentication, Groups, LinkedAs, NameIdQualifiers, SubjectId};

    fn session(subject: &str, email: &str, link: Option<&str>) -> StoredSession {
        let (connector, value) = subject.split_once(':').unwrap();
        let at: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        StoredSession {
            public_id: "0123".into(),
            identity: VerifiedIdentity {
                subject: SubjectId { connector: connector.parse().unwrap(), value: value.into() },
                asserted: None,
                link: link.map(|value| LinkedAs { link: "staff".into(), value: value.into() }),
                qualifiers: NameIdQualifiers::default(),
                name: Some("Asha \u{1b}[2J".into()),
                email: Some(email.into()),
                groups: Groups::default(),
                attributes: Attributes::default(),
                authentication: Authentication::default(),
            },
            created: at,
            last_seen: at,
            idle: SignedDuration::from_hours(1),
            expires: at + SignedDuration::from_hours(8),
            client_address: "192.0.2.1".into(),
            user_agent: "curl/8".into(),
            sealed_id_token: None,
        }
    }

    #[test]
    fn the_table_is_aligned_and_says_nothing_a_terminal_would_obey() {
        let live = session("okta:00u1", "asha@corp.example", None);
        let text = lines(&[&live], live.created + SignedDuration::from_mins(5));
        assert_eq!(
            text,
            "PERSON     NAME       CONNECTOR  ADDRESS    DEVICE  SINCE              LAST USED      ENDS\n\
             okta:00u1  Asha \u{fffd}[2J  okta       192.0.2.1  curl    2026-11-21 12:00Z  5 minutes ago  2026-11-21 20:00Z\n"
        );
    }
}
