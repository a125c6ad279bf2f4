//! `rolegate access`: why somebody may use a role, and why not.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use crate::access::{Policy, explain};
use crate::catalog::{Attribute, Catalog, ConnectorKind, RoleId};
use crate::identity::{Attributes, Authentication, ConnectorId, Groups, NameIdQualifiers, SubjectId, VerifiedIdentity};
use crate::store::{Store, StoreError};

#[derive(Debug, Args)]
pub struct AccessArgs {
    #[command(subcommand)]
    pub command: AccessCommand,
}

#[derive(Debug, Subcommand)]
pub enum AccessCommand {
    /// Print which roles somebody with these attributes may use and why, or why not
    ///
    /// Exits with 0 when the role (or any role) may be used, with 1 when not, with 2 when that cannot be said.
    Explain(ExplainArgs),
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Connector the person comes through
    #[arg(long, value_name = "ID")]
    pub connector: ConnectorId,
    /// What is known of the person, such as groups=engineering or email=asha@corp.example; may be repeated
    #[arg(long = "attribute", short = 'a', value_name = "NAME=VALUE")]
    pub attributes: Vec<Given>,
    /// Ask about one role: the account id, a slash, the role name
    #[arg(long, value_name = "ACCOUNT/ROLE")]
    pub role: Option<RoleId>,
    /// Ask the rules in these files instead of those in the database
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub catalog: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// An attribute by our name for it, and one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    pub attribute: Attribute,
    pub value: String,
}

/// The text is not an attribute and a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGiven {
    #[error("`{0}` has no equals sign; write for example groups=engineering")]
    NoValue(String),
    #[error("the connector is given by --connector")]
    Connector,
    #[error(transparent)]
    Name(#[from] crate::aws::InvalidName),
}

impl FromStr for Given {
    type Err = InvalidGiven;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').ok_or_else(|| InvalidGiven::NoValue(text.to_owned()))?;
        match name.parse()? {
            Attribute::Connector => Err(InvalidGiven::Connector),
            attribute => Ok(Self { attribute, value: value.to_owned() }),
        }
    }
}

/// Why the command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum AccessCommandError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the output could not be written")]
    Output(#[from] io::Error),
}

/// The answer could not be given.
const UNKNOWN: u8 = 2;

/// Runs what needs no database; `None` for what does.
#[must_use]
pub fn run_without_store(args: &AccessArgs, now: Timestamp) -> Option<Result<ExitCode, AccessCommandError>> {
    let AccessCommand::Explain(args) = &args.command;
    if args.catalog.is_empty() {
        return None;
    }
    let answer = match super::catalog::read(&args.catalog, now) {
        Ok(Some(catalog)) => run_explain(args, catalog, now),
        Ok(None) => Ok(ExitCode::from(UNKNOWN)),
        Err(error) => Err(error),
    };
    Some(answer.map_err(AccessCommandError::Output))
}

/// # Errors
/// The database refuses, or the output cannot be written.
pub async fn run(args: &AccessArgs, store: &Store, now: Timestamp) -> Result<ExitCode, AccessCommandError> {
    if let Some(done) = run_without_store(args, now) {
        return done;
    }
    let AccessCommand::Explain(args) = &args.command;
    let (_, catalog) = store.catalog().await?;
    Ok(run_explain(args, catalog, now)?)
}

fn run_explain(args: &ExplainArgs, catalog: Catalog, now: Timestamp) -> io::Result<ExitCode> {
    for name in unmapped(args, &catalog) {
        writeln!(
            io::stderr().lock(),
            "warning: connector `{}` maps no attribute `{name}`, so nobody who comes through it has one",
            args.connector
        )?;
    }
    let policy = Policy::compile(catalog);
    let explanation = explain(&policy, &identity(args, now), args.role.as_ref());
    let mut data = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut data, &explanation)?;
        writeln!(data)?;
    } else {
        write!(data, "{explanation}")?;
    }
    Ok(if explanation.permitted() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The attributes that were given and that the connector would never deliver.
fn unmapped<'a>(args: &'a ExplainArgs, catalog: &Catalog) -> Vec<&'a str> {
    let Some(connector) = catalog.connector(&args.connector) else { return Vec::new() };
    let is_unmapped = |attribute: &Attribute| match (attribute, &connector.kind) {
        (Attribute::Connector | Attribute::Subject, _) | (_, ConnectorKind::Oidc(_)) => false,
        (Attribute::Email, ConnectorKind::Saml(saml)) => saml.attributes.email.is_none(),
        (Attribute::Name, ConnectorKind::Saml(saml)) => saml.attributes.name.is_none(),
        (Attribute::Groups, ConnectorKind::Saml(saml)) => saml.attributes.groups.is_none(),
        (Attribute::Mapped(name), ConnectorKind::Saml(saml)) => !saml.attributes.extra.contains_key(name),
        (attribute, ConnectorKind::Workload(workload)) => !workload.delivers(attribute),
    };
    let mut names: Vec<&str> = args
        .attributes
        .iter()
        .map(|given| &given.attribute)
        .filter(|a| is_unmapped(a))
        .map(Attribute::as_str)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The person the attributes describe. What is asked here is never more than a question: no session comes of it.
fn identity(args: &ExplainArgs, now: Timestamp) -> VerifiedIdentity {
    let mut values: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for Given { attribute, value } in &args.attributes {
        values.entry(attribute.as_str()).or_default().push(value.clone());
    }
    let mut take = |attribute: Attribute| values.remove(attribute.as_str()).unwrap_or_default();
    let (subject, email, name) = (take(Attribute::Subject), take(Attribute::Email), take(Attribute::Name));
    let groups = take(Attribute::Groups);
    VerifiedIdentity {
        subject: SubjectId {
            connector: args.connector.clone(),
            value: subject.into_iter().next().unwrap_or_else(|| "(somebody)".to_owned()),
        },
        asserted: None,
        link: None,
        qualifiers: NameIdQualifiers::default(),
        name: name.into_iter().next(),
        email: email.into_iter().next(),
        groups: Groups::Complete { values: groups },
        attributes: Attributes(values.into_iter().map(|(name, values)| (name.to_owned(), values)).collect()),
        authentication: Authentication {
            instant: Some(now),
            methods: Vec::new(),
            context_class: None,
            session_index: None,
            session_not_on_or_after: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const CATALOG: &str = r#"
        [[connector]]
        id = "okta"
        kind = "saml"
        metadata_url = "https://idp.example/metadata"
        attributes = { groups = "groups", extra = { department = "dept" } }
        [[account]]
        id = "111122223333"
        name = "Payments"
        [[role]]
        account = "111122223333"
        name = "teams/ReadOnly"
        [[rule]]
        id = "sales"
        when = { groups = "a", department = "Sales" }
        grant = [{ account = "*", role = "teams/ReadOnly" }]
    "#;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        args: AccessArgs,
    }

    fn explain_with(more: &[&str]) -> (ExplainArgs, String) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("catalog.toml");
        std::fs::write(&file, CATALOG).unwrap();
        let mut line = vec!["access", "explain", "--connector", "okta", "--catalog", file.to_str().unwrap()];
        line.extend(more);
        let args = Typed::try_parse_from(line).unwrap().args;
        let code = run_without_store(&args, Timestamp::UNIX_EPOCH).unwrap().unwrap();
        let AccessCommand::Explain(args) = args.command;
        (args, format!("{code:?}"))
    }

    #[test]
    fn the_exit_code_says_whether_the_role_may_be_used() {
        let code = |more: &[&str]| explain_with(more).1;
        let (yes, no) = (format!("{:?}", ExitCode::SUCCESS), format!("{:?}", ExitCode::FAILURE));
        let sales = ["--attribute", "groups=a", "--attribute", "department=Sales"];
        assert_eq!(code(&sales), yes);
        assert_eq!(code(&[&sales[..], &["--role", "111122223333/teams/ReadOnly"]].concat()), yes);
        assert_eq!(code(&[&sales[..], &["--role", "111122223333/Admin"]].concat()), no);
        assert_eq!(code(&sales[..2]), no);
        assert_eq!(code(&[&sales[..2], &["--json"]].concat()), no);
    }

    #[test]
    fn an_attribute_no_connector_delivers_is_pointed_out() {
        let (args, _) =
            explain_with(&["-a", "groups=a", "-a", "email=x@corp.example", "-a", "level=3", "-a", "subject=u"]);
        let catalog = crate::catalog::toml::parse_text("catalog.toml", CATALOG).unwrap().catalog;
        assert_eq!(unmapped(&args, &catalog), ["email", "level"]);
        assert_eq!(identity(&args, Timestamp::UNIX_EPOCH).subject.value, "u");
    }

    #[test]
    fn an_attribute_is_a_name_and_a_value() {
        assert_eq!("groups=a=b".parse::<Given>().unwrap().value, "a=b");
        for bad in ["groups", "=x", "connector=okta", "no such=1"] {
            assert!(bad.parse::<Given>().is_err(), "{bad}");
        }
    }
}
