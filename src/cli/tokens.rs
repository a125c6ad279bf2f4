//! `rolegate tokens`: what programs hold for people, and taking it back.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use super::people::{PersonError, by, printable, table, who};
use crate::flows::Ground;
use crate::flows::tokens::{Which, all_live, revoke_by_admin};
use crate::identity::{ConnectorId, VerifiedIdentity};
use crate::store::StoreError;
use crate::store::tokens::Authorization;
use crate::web::words;

#[derive(Debug, Args)]
pub struct TokensArgs {
    #[command(subcommand)]
    pub command: TokensCommand,
}

#[derive(Debug, Subcommand)]
pub enum TokensCommand {
    /// Print what programs hold: personal tokens, terminals that are signed in, workloads; the newest first
    List {
        /// Only for one person: connector:subject, link:ID:value, or an e-mail address that is one person's
        #[arg(long, value_name = "PERSON")]
        person: Option<String>,
        /// Only through one connector
        #[arg(long, value_name = "ID")]
        connector: Option<ConnectorId>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke one, all of a person, or all that came through a connector
    ///
    /// Takes effect at the next request, in every running process. Credentials that AWS issued live on until they expire.
    Revoke {
        /// The id that the list shows; a token itself is not one
        #[arg(
            long,
            value_name = "ID",
            required_unless_present_any = ["person", "connector"],
            conflicts_with_all = ["person", "connector"]
        )]
        token: Option<String>,
        /// connector:subject, link:ID:value, or an e-mail address that is one person's
        #[arg(long, value_name = "PERSON", conflicts_with = "connector")]
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
pub enum TokensCommandError {
    #[error(transparent)]
    Person(#[from] PersonError),
    #[error("there is no token of that id; `rolegate tokens list` shows them")]
    NoSuchToken,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the output could not be written")]
    Output(#[from] io::Error),
}

/// # Errors
/// [`TokensCommandError`].
pub async fn run(args: &TokensArgs, ground: &Ground) -> Result<ExitCode, TokensCommandError> {
    let live = all_live(ground).await?;
    let known: Vec<&VerifiedIdentity> = live.iter().map(|authorization| &authorization.identity).collect();
    match &args.command {
        TokensCommand::List { person, connector, json } => {
            let person = person.as_deref().map(|text| who(text, &known)).transpose()?;
            let is_shown = |identity: &VerifiedIdentity| {
                person.as_ref().is_none_or(|person| person.contains(&identity.person()))
                    && connector.as_ref().is_none_or(|connector| identity.subject.connector == *connector)
            };
            let shown: Vec<&Authorization> = live.iter().filter(|one| is_shown(&one.identity)).collect();
            let mut data = io::stdout().lock();
            if *json {
                let all: Vec<_> = shown.iter().map(|authorization| object(authorization)).collect();
                serde_json::to_writer_pretty(&mut data, &all).map_err(io::Error::from)?;
                writeln!(data)?;
            } else if !shown.is_empty() {
                write!(data, "{}", lines(&shown, ground.clock.now()))?;
            }
            let count = match shown.len() {
                0 => "No token".to_owned(),
                n => crate::web::views::counted(n, "token", "tokens"),
            };
            writeln!(io::stderr().lock(), "{count}.")?;
        }
        TokensCommand::Revoke { token, person, connector, .. } => {
            let mut revoked = Vec::new();
            if let Some(id) = token {
                revoked = revoke_by_admin(ground, Which::One(id), &by()).await?;
                if revoked.is_empty() {
                    return Err(TokensCommandError::NoSuchToken);
                }
            } else if let Some(text) = person {
                for person in who(text, &known)? {
                    revoked.extend(revoke_by_admin(ground, Which::Person(&person), &by()).await?);
                }
            } else if let Some(connector) = connector {
                revoked = revoke_by_admin(ground, Which::Connector(connector), &by()).await?;
            }
            let mut data = io::stdout().lock();
            for authorization in &revoked {
                let person = authorization.identity.person().to_string();
                writeln!(data, "{}  {}", printable(&person), printable(&authorization.label))?;
            }
            let mut words = io::stderr().lock();
            match revoked.len() {
                0 => writeln!(words, "There was no token to revoke.")?,
                1 => writeln!(words, "1 token was revoked.")?,
                n => writeln!(words, "{n} tokens were revoked.")?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn object(authorization: &Authorization) -> serde_json::Value {
    let identity = &authorization.identity;
    json!({
        "id": authorization.id,
        "kind": authorization.kind.as_str(),
        "label": authorization.label,
        "client": authorization.client,
        "person": identity.person().to_string(),
        "connector": identity.subject.connector,
        "subject": identity.subject.value,
        "name": identity.name,
        "email": identity.email,
        "scope": authorization.scope.to_string(),
        "roles": authorization.scope.roles.as_ref().map(|roles| roles.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "networks": authorization.networks.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "session": authorization.session,
        "created": authorization.created,
        "vouched": authorization.vouched,
        "expires": authorization.expires,
        "last_used": authorization.last_used,
        "last_used_from": authorization.last_used_from,
        "client_address": authorization.client_address,
        "user_agent": authorization.user_agent,
    })
}

/// One line for each, with a heading.
fn lines(authorizations: &[&Authorization], now: Timestamp) -> String {
    let day = |at: Timestamp| at.strftime("%Y-%m-%d %H:%MZ").to_string();
    let mut rows = vec![["ID", "KIND", "PERSON", "LABEL", "MAY", "MADE", "LAST USED", "ENDS"].map(str::to_owned)];
    rows.extend(authorizations.iter().map(|one| {
        let may = match (&one.scope.roles, one.scope.issue) {
            (_, false) => "read".to_owned(),
            (Some(roles), true) => crate::web::views::counted(roles.len(), "role", "roles"),
            (None, true) => "everything".to_owned(),
        };
        [
            one.id.clone(),
            one.kind.as_str().to_owned(),
            printable(&one.identity.person().to_string()),
            printable(&one.label),
            may,
            day(one.created),
            one.last_used.map_or_else(|| "never".to_owned(), |at| words::ago(at, now)),
            day(one.expires),
        ]
    }));
    table(&rows)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::access::Scope;
    use crate::identity::{Attributes, Authentication, Groups, NameIdQualifiers, SubjectId};
    use crate::store::tokens::AuthorizationKind;

    #[test]
    fn the_table_is_aligned_and_says_nothing_a_terminal_would_obey() {
        let at: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let authorization = Authorization {
            id: "0123".to_owned(),
            kind: AuthorizationKind::Personal,
            identity: VerifiedIdentity {
                subject: SubjectId { connector: "okta".parse().unwrap(), value: "00u1".into() },
                asserted: None,
                link: None,
                qualifiers: NameIdQualifiers::default(),
                name: None,
                email: None,
                groups: Groups::default(),
                attributes: Attributes::default(),
                authentication: Authentication::default(),
            },
            client: String::new(),
            label: "cron \u{1b}[2J".to_owned(),
            scope: Scope::FULL,
            networks: Vec::new(),
            session: None,
            created: at,
            vouched: at,
            expires: at + SignedDuration::from_hours(24),
            last_used: Some(at),
            last_used_from: Some("192.0.2.1".to_owned()),
            client_address: "192.0.2.1".to_owned(),
            user_agent: String::new(),
        };
        assert_eq!(
            lines(&[&authorization], at + SignedDuration::from_mins(5)),
            "ID    KIND      PERSON     LABEL      MAY         MADE               LAST USED      ENDS\n\
             0123  personal  okta:00u1  cron \u{fffd}[2J  everything  2026-11-21 12:00Z  5 minutes ago  2026-11-22 12:00Z\n"
        );
    }
}
