//! `rolegate doctor`: tests connectors from the operator's side.

use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

use crate::catalog::Connector;
use crate::flows::Ground;
use crate::flows::doctor::{Check, Doctor, Examination, Verdict};
use crate::flows::test_sign_in::mask::Shown;
use crate::flows::test_sign_in::{LASTING, Seen, Standing, TestOutcome, TestReport, TestSignIn};
use crate::flows::token_keys::TokenKeys;
use crate::identity::ConnectorId;
use crate::signin::Source;
use crate::store::StoreError;
use crate::sys::Token;
use crate::sys::http::Outbound;

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Connectors to look at [default: all that are enabled]
    #[arg(value_name = "CONNECTOR")]
    pub connectors: Vec<ConnectorId>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Try a real sign-in through this connector and show what arrives: prints an address to open in a browser
    ///
    /// The broker has to be running on the same database. Nobody is signed in by it. It waits ten minutes at most.
    #[arg(long, value_name = "CONNECTOR")]
    pub sign_in: Option<ConnectorId>,
}

/// Why the command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the outbound HTTP client cannot be made")]
    Http(#[from] reqwest::Error),
    #[error("interrupts cannot be listened for")]
    Interrupts(#[source] io::Error),
    #[error("the output could not be written")]
    Output(#[from] io::Error),
}

/// Something stops sign-ins, or roles.
const STOPPED: u8 = 1;
/// The question could not be answered.
const UNKNOWN: u8 = 2;

/// How often a test is looked at.
const EVERY: Duration = Duration::from_millis(500);

/// Everything that was found, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Report<'r> {
    connectors: &'r [Examination],
    /// Ourselves as OpenID provider of AWS accounts, where roles need it.
    issuer: Option<&'r [Check]>,
    sign_in: Option<&'r TestReport>,
}

/// # Errors
/// [`DoctorError`]. Whatever is wrong with a connector is printed, and decides the exit code.
pub async fn run(
    args: &DoctorArgs,
    ground: &Ground,
    public_url: &Url,
    keys: &TokenKeys,
    connect_timeout: Duration,
) -> Result<ExitCode, DoctorError> {
    let (_, catalog) = ground.store.catalog().await?;
    let named: Vec<&ConnectorId> = args.connectors.iter().chain(&args.sign_in).collect();
    if let Some(unknown) = named.iter().find(|id| catalog.connector(id).is_none()) {
        let known: Vec<&str> = catalog.connectors().map(|connector| connector.id.as_str()).collect();
        let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        writeln!(io::stderr().lock(), "rolegate: the catalog has no connector `{unknown}`; {known}")?;
        return Ok(ExitCode::from(UNKNOWN));
    }
    if let Some(off) = args.sign_in.as_ref().and_then(|id| catalog.connector(id)).filter(|found| !found.enabled) {
        writeln!(
            io::stderr().lock(),
            "rolegate: connector `{}` is disabled, so nobody can sign in through it; set enabled = true",
            off.id
        )?;
        return Ok(ExitCode::from(UNKNOWN));
    }
    if let Some(other) =
        args.sign_in.as_ref().and_then(|id| catalog.connector(id)).filter(|found| !found.is_for_people())
    {
        writeln!(
            io::stderr().lock(),
            "rolegate: connector `{}` is for workloads, and nobody signs in through it; exchange a token of a job instead",
            other.id
        )?;
        return Ok(ExitCode::from(UNKNOWN));
    }
    let http = Outbound::new(crate::sys::http::client(connect_timeout)?, connect_timeout)?;
    let doctor = Doctor::new(ground.clone(), http, public_url.clone());
    let mut examinations = Vec::new();
    for connector in catalog.connectors() {
        let asked_for = named.contains(&&connector.id);
        if !asked_for && !named.is_empty() {
            continue;
        }
        let examination = if asked_for || connector.enabled {
            progress(&format!("Looking at {} …", connector.id));
            doctor.examine(&catalog, connector).await?
        } else {
            doctor.skip(connector)
        };
        if !args.json {
            write(&mut io::stdout().lock(), &examination)?;
        }
        examinations.push(examination);
    }
    if examinations.is_empty() {
        writeln!(io::stderr().lock(), "The catalog has no connector.")?;
    }
    let mut code = if examinations.iter().any(|one| one.verdict() == Verdict::Fail) { STOPPED } else { 0 };
    let issuer = if named.is_empty() { doctor.examine_issuer(&catalog, keys).await? } else { None };
    if let Some(checks) = &issuer {
        if checks.iter().any(|check| check.verdict == Verdict::Fail) {
            code = STOPPED;
        }
        if !args.json {
            let mut out = io::stdout().lock();
            writeln!(out, "Rolegate as OpenID provider of AWS accounts ({})", keys.issuer())?;
            write_checks(&mut out, checks)?;
        }
    }
    let mut report = None;
    if let Some(connector) = args.sign_in.as_ref().and_then(|id| catalog.connector(id)) {
        report = sign_in(ground, public_url, connector).await?;
        code = match report.as_ref().map(|report| &report.outcome) {
            None => UNKNOWN,
            Some(TestOutcome::Refused { .. }) => STOPPED,
            Some(TestOutcome::Verified(_)) => code,
        };
        if let Some(report) = report.as_ref().filter(|_| !args.json) {
            write_report(&mut io::stdout().lock(), report)?;
        }
    }
    if args.json {
        let mut out = io::stdout().lock();
        serde_json::to_writer_pretty(
            &mut out,
            &Report { connectors: &examinations, issuer: issuer.as_deref(), sign_in: report.as_ref() },
        )
        .map_err(io::Error::from)?;
        writeln!(out)?;
    }
    Ok(ExitCode::from(code))
}

/// A word for whoever waits at a terminal.
fn progress(words: &str) {
    let stderr = io::stderr();
    if stderr.is_terminal() {
        let _ = writeln!(stderr.lock(), "{words}");
    }
}

/// Has somebody sign in through the running broker and waits for what comes of it; `None` when nothing came.
async fn sign_in(ground: &Ground, public_url: &Url, connector: &Connector) -> Result<Option<TestReport>, DoctorError> {
    let tests = TestSignIn::new(ground.clone());
    // Listened for before there is anything to withdraw.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DoctorError::Interrupts)?;
    let code = tests.begin(&connector.id).await?;
    let base = public_url.as_str().trim_end_matches('/');
    let (protocol, id) = (connector.kind.protocol(), &connector.id);
    let address = format!("{base}/{protocol}/{id}/start?test={}", code.expose_secret());
    {
        let mut words = io::stderr().lock();
        writeln!(words, "Open this address in a browser within {} minutes, and sign in:", LASTING.as_mins())?;
        writeln!(words, "  {address}")?;
        writeln!(words, "It works once. Ctrl-C withdraws it.")?;
    }
    let waited = tokio::select! {
        waited = wait(&tests, &code) => waited,
        _ = interrupt.recv() => {
            tests.withdraw(&code).await?;
            writeln!(io::stderr().lock(), "Withdrawn: the address no longer works.")?;
            return Ok(None);
        }
    };
    let report = waited?;
    if report.is_none() {
        tests.withdraw(&code).await?;
        writeln!(io::stderr().lock(), "Nobody came back in time; the address no longer works.")?;
    }
    Ok(report)
}

async fn wait(tests: &TestSignIn, code: &Token) -> Result<Option<TestReport>, DoctorError> {
    let polls = u128::try_from(LASTING.as_millis()).unwrap_or_default() / EVERY.as_millis();
    let mut told = false;
    for _ in 0..polls {
        match tests.standing(code).await? {
            Standing::Ended(report) => return Ok(Some(*report)),
            Standing::Gone => return Ok(None),
            Standing::Started if !told => {
                told = true;
                writeln!(io::stderr().lock(), "Somebody has opened it and is at the provider …")?;
            }
            Standing::Started | Standing::Waiting => {}
        }
        tokio::time::sleep(EVERY).await;
    }
    Ok(None)
}

fn write(out: &mut impl Write, examination: &Examination) -> io::Result<()> {
    let Examination { connector, name, protocol, examined, paste, checks, .. } = examination;
    writeln!(out, "{connector} ({name}, {protocol})")?;
    if !examined {
        return writeln!(out, "  disabled, and not looked at; name it to look at it all the same\n");
    }
    let where_to = if *protocol == "workload" { "For the jobs" } else { "To be entered at the provider" };
    writeln!(out, "  {where_to}:")?;
    let width = paste.iter().map(|paste| paste.label.chars().count()).max().unwrap_or_default();
    for paste in paste {
        writeln!(out, "    {:width$}  {}", paste.label, paste.value)?;
    }
    write_checks(out, checks)
}

fn write_checks(out: &mut impl Write, checks: &[Check]) -> io::Result<()> {
    let width = checks.iter().map(|check| check.check.len()).max().unwrap_or_default();
    for Check { check, verdict, detail, advice } in checks {
        let verdict = match verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        match advice {
            None => writeln!(out, "  {verdict:<4}  {check:width$}  {detail}")?,
            Some(advice) => writeln!(out, "  {verdict:<4}  {check:width$}  {detail} — {advice}")?,
        }
    }
    writeln!(out)
}

fn write_report(out: &mut impl Write, report: &TestReport) -> io::Result<()> {
    let connector = &report.connector;
    match &report.outcome {
        TestOutcome::Refused { cause, detail } => {
            writeln!(out, "Test sign-in through {connector}: refused")?;
            writeln!(out, "  cause   {cause}")?;
            writeln!(out, "  detail  {detail}")
        }
        TestOutcome::Verified(seen) => {
            writeln!(out, "Test sign-in through {connector}: this person would have been signed in")?;
            write_seen(out, seen)
        }
    }
}

fn write_seen(out: &mut impl Write, seen: &Seen) -> io::Result<()> {
    let Seen { received, userinfo_failure, mapped, authentication, missing, access } = seen;
    writeln!(out, "  What arrived:")?;
    for arrived in received {
        let source = match arrived.source {
            Source::Assertion => "assertion",
            Source::IdToken => "ID token",
            Source::Userinfo => "userinfo",
        };
        writeln!(out, "    {source:<9}  {} = {}", arrived.name, values(&arrived.values))?;
    }
    if let Some(why) = userinfo_failure {
        writeln!(out, "    userinfo could not be had, and nothing was missing without it: {why}")?;
    }
    writeln!(out, "  What it was taken for:")?;
    let mut line = |name: &str, value: &str| writeln!(out, "    {name:<14}  {value}");
    let absent = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    line("subject", &mapped.subject)?;
    if let Some(asserted) = &mapped.asserted {
        line("signed as", asserted)?;
    }
    if let Some(linked) = &mapped.linked {
        line("linked as", linked)?;
    }
    match (&mapped.email, &mapped.email_believed) {
        (Some(email), Some(why)) => line("email", &format!("{email} ({why})"))?,
        (email, _) => line("email", &absent(email))?,
    }
    line("name", &absent(&mapped.name))?;
    line("groups", &format!("{}: {}", mapped.groups.count, values(&mapped.groups)))?;
    if let Some(why) = &mapped.groups_incomplete {
        line("", &format!("not complete: {why}"))?;
    }
    for (name, shown) in &mapped.attributes {
        line(name, &values(shown))?;
    }
    let time = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    line("recognised at", &time(authentication.instant))?;
    line("context", &absent(&authentication.context))?;
    let methods = authentication.methods.join(", ");
    line("methods", if methods.is_empty() { "-" } else { &methods })?;
    line("session there", &absent(&authentication.session_index))?;
    line("ends there", &time(authentication.session_ends))?;
    for sentence in missing {
        writeln!(out, "  missing  {sentence}")?;
    }
    let rules = if access.rules.is_empty() { "no rule matches".to_owned() } else { access.rules.join(", ") };
    writeln!(out, "  Rules that match: {rules}; roles: {}", access.roles)?;
    if let Some(refused) = &access.refused {
        writeln!(out, "  Nothing may be used: {refused}")?;
    }
    Ok(())
}

fn values(shown: &Shown) -> String {
    if shown.values.is_empty() {
        return "-".to_owned();
    }
    let more = shown.count.saturating_sub(shown.values.len());
    let list = shown.values.join(", ");
    if more == 0 { list } else { format!("{list} and {more} more") }
}
