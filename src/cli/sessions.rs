//! `rolegate sessions`: who is signed in, and cutting somebody off.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use crate::flows::Ground;
use crate::flows::sessions::{Sessions, Whose};
use crate::identity::{ConnectorId, PersonId, VerifiedIdentity};
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
    /// Takes effect at their next request, in every running process. Credentials that AWS issued live on until they
    /// expire.
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

/// Why it is not clear who is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PersonError {
    #[error("`{0}` names nobody; write connector:subject, link:ID:value or an e-mail address")]
    Nobody(String),
    #[error("`{address}` is the address of several people: {}; name the one you mean", people.join(", "))]
    Several { address: String, people: Vec<String> },
}

/// # Errors
/// [`SessionsCommandError`].
pub async fn run(args: &SessionsArgs, ground: &Ground) -> Result<ExitCode, SessionsCommandError> {
    let sessions = Sessions::new(ground.clone());
    let live = sessions.all().await?;
    match &args.command {
        SessionsCommand::List { person, connector, json } => {
            let person = person.as_deref().map(|text| who(text, &live)).transpose()?;
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
                write!(data, "{}", table(&shown, ground.clock.now()))?;
            }
            writeln!(io::stderr().lock(), "{}.", words_for(shown.len()))?;
        }
        SessionsCommand::End { person, connector, .. } => {
            let ended = match (person, connector) {
                (Some(text), _) => {
                    let mut ended = Vec::new();
                    for person in who(text, &live)? {
                        ended.extend(sessions.end_by_admin(Whose::Person(&person), &by()).await?);
                    }
                    ended
                }
                (None, Some(connector)) => sessions.end_by_admin(Whose::Connector(connector), &by()).await?,
                (None, None) => Vec::new(),
            };
            let mut data = io::stdout().lock();
            for session in &ended {
                writeln!(data, "{}", printable(&session.identity.person().to_string()))?;
            }
            let mut words = io::stderr().lock();
            match ended.len() {
                0 => writeln!(words, "There was no session to end.")?,
                1 => writeln!(words, "1 session has ended.")?,
                n => writeln!(words, "{n} sessions have ended.")?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn words_for(count: usize) -> String {
    if count == 0 { "No session".to_owned() } else { crate::web::views::counted(count, "session", "sessions") }
}

/// Who ends sessions here, as far as the system says; whoever can write the database could write anything.
fn by() -> String {
    let names = ["SUDO_USER", "USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    let name = names.into_iter().find(|name| !name.is_empty());
    name.map_or_else(|| "command line".to_owned(), |name| format!("command line: {}", printable(&name)))
}

/// As whom the one that a text names is signed in; nobody when they are not.
///
/// A subject of one connector stands for the person the catalog links it to. That can be several, if the catalog or what
/// it links by changed while they were signed in: each session keeps the person it began with.
fn who(text: &str, live: &[StoredSession]) -> Result<BTreeSet<PersonId>, PersonError> {
    if let Ok(named) = text.parse::<PersonId>() {
        let is_named = |identity: &VerifiedIdentity| identity.person() == named || identity.subject.to_string() == text;
        let found: BTreeSet<PersonId> = live
            .iter()
            .map(|session| &session.identity)
            .filter(|identity| is_named(identity))
            .map(VerifiedIdentity::person)
            .collect();
        return Ok(if found.is_empty() { BTreeSet::from([named]) } else { found });
    }
    if !text.contains('@') {
        return Err(PersonError::Nobody(text.to_owned()));
    }
    let has_address = |session: &&StoredSession| {
        session.identity.email.as_ref().is_some_and(|email| email.eq_ignore_ascii_case(text))
    };
    let people: BTreeSet<PersonId> = live.iter().filter(has_address).map(|session| session.identity.person()).collect();
    if people.len() > 1 {
        let people = people.iter().map(|person| printable(&person.to_string())).collect();
        return Err(PersonError::Several { address: text.to_owned(), people });
    }
    Ok(people)
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

/// Columns parted by two spaces, with a heading.
fn table(sessions: &[&StoredSession], now: Timestamp) -> String {
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
    let mut widths = [0; 8];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; 8]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// A text that others chose, without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
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

    fn named(text: &str, live: &[StoredSession]) -> Result<Vec<String>, PersonError> {
        who(text, live).map(|people| people.iter().map(PersonId::to_string).collect())
    }

    #[test]
    fn a_person_is_named_by_subject_by_link_or_by_an_address_that_is_theirs_alone() {
        let live = [
            session("okta:00u1", "asha@corp.example", Some("4711")),
            session("entra:abc", "asha@corp.example", Some("4711")),
            session("okta:00u2", "kim@corp.example", None),
            session("entra:def", "kim@corp.example", None),
        ];
        let is = |text: &str, person: &str| assert_eq!(named(text, &live), Ok(vec![person.to_owned()]), "{text}");
        is("okta:00u1", "link:staff:4711");
        is("entra:abc", "link:staff:4711");
        is("link:staff:4711", "link:staff:4711");
        is("Asha@Corp.example", "link:staff:4711");
        is("okta:00u2", "okta:00u2");
        is("okta:nobody-yet", "okta:nobody-yet");
        is("okta:kim@corp.example", "okta:kim@corp.example");
        assert_eq!(named("omar@corp.example", &live), Ok(Vec::new()));
        let several = vec!["entra:def".to_owned(), "okta:00u2".to_owned()];
        let address = "kim@corp.example".to_owned();
        assert_eq!(named("kim@corp.example", &live), Err(PersonError::Several { address, people: several }));
        for nobody in ["asha", "", "Not An Id:x"] {
            assert_eq!(named(nobody, &live), Err(PersonError::Nobody(nobody.to_owned())));
        }
    }

    #[test]
    fn a_subject_stands_for_every_person_it_was_while_sessions_began() {
        let live = [
            session("okta:00u1", "asha@corp.example", Some("4711")),
            session("okta:00u1", "asha@corp.example", None),
            session("okta:00u1", "asha@corp.example", Some("4712")),
            session("okta:00u2", "kim@corp.example", None),
        ];
        let all = ["link:staff:4711", "link:staff:4712", "okta:00u1"].map(str::to_owned);
        assert_eq!(named("okta:00u1", &live), Ok(all.to_vec()));

        // A connector may be called like this, and a subject may have a colon.
        let live = [session("link:staff:4711", "asha@corp.example", None)];
        assert_eq!(who("link:staff:4711", &live), Ok(BTreeSet::from([live[0].identity.person()])));
    }

    #[test]
    fn the_table_is_aligned_and_says_nothing_a_terminal_would_obey() {
        let live = session("okta:00u1", "asha@corp.example", None);
        let text = table(&[&live], live.created + SignedDuration::from_mins(5));
        assert_eq!(
            text,
            "PERSON     NAME       CONNECTOR  ADDRESS    DEVICE  SINCE              LAST USED      ENDS\n\
             okta:00u1  Asha \u{fffd}[2J  okta       192.0.2.1  curl    2026-11-21 12:00Z  5 minutes ago  2026-11-21 20:00Z\n"
        );
    }
}
