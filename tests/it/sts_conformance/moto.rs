//! The same cases at moto's server, so that `docs/sandbox.md` can say what another emulator lets through, as measured.
//! `BLESS=1` writes the page anew; without it the page must say what is measured now.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use url::Url;

use super::ground::{Ground, Keys};
use super::table::{Case, Raw, Table};
use super::{Outcome, differences, wire};
use crate::peers::Moto;
use crate::tools::{python_tool, repository, stdout};

const ACCOUNT: &str = "111122223333";
const BEGIN: &str = "<!-- measured: begin -->\n";
const END: &str = "<!-- measured: end -->\n";

/// A session that ended two hours ago: nobody can turn back the clock of moto's server.
const NOT_COMPARABLE: [&str; 2] = ["expired", "expired-wrong-secret"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Same,
    LetsThrough,
    OtherError,
    Refuses,
    OtherAnswer,
    /// It was not STS that answered.
    Elsewhere,
}

fn verdict(case: &Case, outcome: &Outcome, ground: &Ground) -> Verdict {
    // Without a signature that names STS, moto often takes a request for one to S3, which answers anything.
    if outcome.status == 200 && !outcome.body.contains("sts.amazonaws.com/doc/2011-06-15") {
        return Verdict::Elsewhere;
    }
    match (case.status < 400, outcome.status < 400) {
        (false, true) => Verdict::LetsThrough,
        (true, false) => Verdict::Refuses,
        (false, false) => {
            // The words may differ, and so may what is around them.
            let same = outcome.status == case.status && (case.code.is_none() || outcome.code == case.code);
            if same { Verdict::Same } else { Verdict::OtherError }
        }
        (true, true) if differences(case, outcome, ground).is_empty() => Verdict::Same,
        (true, true) => Verdict::OtherAnswer,
    }
}

/// Calls IAM at moto, as the test's own account.
async fn iam(base: &Url, params: &[(&str, &str)]) -> Outcome {
    let body: Vec<String> =
        params.iter().map(|(name, value)| format!("{}={}", wire::encoded(name), wire::encoded(value))).collect();
    let raw = Raw {
        body: Some(format!("Version=2010-05-08&{}", body.join("&"))),
        service: Some("iam".to_owned()),
        ..Raw::default()
    };
    let keys = Keys { id: "AKIAIOSFODNN7EXAMPLE".to_owned(), secret: "secret".to_owned(), token: None };
    let outcome = wire::send(base, &raw, Some(&keys), 0).await;
    assert_eq!(outcome.status, 200, "{params:?}: {}", outcome.body);
    outcome
}

/// Users, keys, roles and providers of the world as far as moto has such things, and everybody's credentials there.
async fn settle(moto: &Url, ground: &Ground, table: &Table) -> BTreeMap<String, Keys> {
    let world = rolegate::sandbox::World::from_toml(
        &std::fs::read_to_string(repository().join("tests/sts_conformance/world.toml")).unwrap(),
    )
    .unwrap();
    for role in world.iam().roles().filter(|role| role.arn.account().as_str() == ACCOUNT) {
        let (path, name) = role.arn.role().as_str().rsplit_once('/').unwrap_or(("", role.arn.role().as_str()));
        let path = if path.is_empty() { "/".to_owned() } else { format!("/{path}/") };
        let longest = role.max_session.as_secs().to_string();
        iam(
            moto,
            &[
                ("Action", "CreateRole"),
                ("RoleName", name),
                ("Path", &path),
                ("MaxSessionDuration", &longest),
                ("AssumeRolePolicyDocument", &role.trust_document),
            ],
        )
        .await;
    }
    let metadata = crate::sandbox::broker_metadata(&crate::sandbox::TRUSTED);
    iam(moto, &[("Action", "CreateSAMLProvider"), ("Name", "rolegate"), ("SAMLMetadataDocument", &metadata)]).await;
    iam(
        moto,
        &[
            ("Action", "CreateOpenIDConnectProvider"),
            // It takes https only.
            ("Url", &ground.issuer.replace("http://", "https://")),
            ("ClientIDList.member.1", "sts.amazonaws.com"),
            ("ThumbprintList.member.1", "0123456789012345678901234567890123456789"),
        ],
    )
    .await;
    let mut callers: BTreeMap<String, Keys> = BTreeMap::new();
    for user in ["jane", "bob", "dan", "fay", "olga", "max", "mia"] {
        let path = if user == "jane" { "/ops/" } else { "/" };
        iam(moto, &[("Action", "CreateUser"), ("UserName", user), ("Path", path)]).await;
        for name in [user.to_owned(), format!("{user}-inactive")] {
            if !table.caller.contains_key(&name) {
                continue;
            }
            let key = iam(moto, &[("Action", "CreateAccessKey"), ("UserName", user)]).await;
            let get = |member: &str| key.members[&format!("AccessKey.{member}")].clone();
            let keys = Keys { id: get("AccessKeyId"), secret: get("SecretAccessKey"), token: None };
            if name.ends_with("-inactive") {
                let id = keys.id.clone();
                iam(
                    moto,
                    &[("Action", "UpdateAccessKey"), ("UserName", user), ("AccessKeyId", &id), ("Status", "Inactive")],
                )
                .await;
            }
            callers.insert(name, keys);
        }
    }
    let wrong = Keys { secret: "wrong".to_owned(), ..callers["jane"].clone() };
    callers.insert("jane-wrong-secret".to_owned(), wrong);
    // Nobody there knows these: the root has no keys in moto.
    for (name, caller) in &table.caller {
        if let (Some((id, secret)), false) = (&caller.key, callers.contains_key(name)) {
            callers.insert(name.clone(), Keys { id: id.clone(), secret: secret.clone(), token: None });
        }
    }
    // Sessions need those of others, three deep at most.
    for _ in 0..4 {
        for (name, caller) in &table.caller {
            if callers.contains_key(name) {
                continue;
            }
            let made = match (&caller.like, &caller.by) {
                (Some(like), _) => callers.get(like).cloned().map(|mut keys| {
                    match caller.token_of() {
                        None => {}
                        Some("none") => keys.token = None,
                        Some(other) => {
                            let known = callers.get(other).and_then(|keys| keys.token.clone());
                            keys.token = known.or_else(|| Some(other.to_owned()));
                        }
                    }
                    if let Some(secret) = &caller.secret {
                        keys.secret.clone_from(secret);
                    }
                    keys
                }),
                (None, Some(by)) if !callers.contains_key(by) => None,
                (None, by) => {
                    let mut case = wire::question(caller.action.as_deref().unwrap(), &[], "");
                    case.caller.clone_from(by);
                    case.params = caller.params.clone();
                    case.assertion = caller.assertion.clone();
                    case.token = caller.token.clone().map(|token| token.try_into().unwrap());
                    let outcome = wire::run_at(ground, moto, &callers, &case, &addressed(&case)).await;
                    let get = |member: &str| outcome.members.get(&format!("Credentials.{member}")).cloned();
                    // What moto does not make stays a stranger there.
                    Some(Keys {
                        id: get("AccessKeyId").unwrap_or_else(|| ground.callers[name].id.clone()),
                        secret: get("SecretAccessKey").unwrap_or_else(|| ground.callers[name].secret.clone()),
                        token: get("SessionToken").or_else(|| ground.callers[name].token.clone()),
                    })
                }
            };
            if let Some(keys) = made {
                callers.insert(name.clone(), keys);
            }
        }
    }
    assert_eq!(callers.len(), table.caller.len());
    iam(moto, &[("Action", "DeleteRole"), ("RoleName", "Gone")]).await;
    callers
}

/// moto tells services apart by the scope of a signature. Where there is none it goes by the host.
fn addressed(case: &Case) -> wire::At {
    let host = case.caller.is_none().then(|| "sts.us-east-1.amazonaws.com".to_owned());
    wire::At { clock_secs: 0, host }
}

#[actix_web::test]
async fn what_moto_lets_through_is_as_the_page_says() {
    let table = Table::read();
    let ground = Ground::start(&table).await;
    let moto = actix_web::rt::task::spawn_blocking(|| Moto::for_account(ACCOUNT)).await.unwrap();
    let version = actix_web::rt::task::spawn_blocking(|| {
        stdout(Command::new(python_tool("python")).args(["-c", "import moto; print(moto.__version__)"]))
    })
    .await
    .unwrap();
    let callers = settle(&moto.endpoint(), &ground, &table).await;
    let mut measured: Vec<(&Case, Outcome, Verdict)> = Vec::new();
    let comparable =
        |case: &&Case| case.caller.as_ref().is_none_or(|caller| !NOT_COMPARABLE.contains(&caller.as_str()));
    for case in table.case.iter().filter(comparable) {
        let outcome = wire::run_at(&ground, &moto.endpoint(), &callers, case, &addressed(case)).await;
        let verdict = verdict(case, &outcome, &ground);
        measured.push((case, outcome, verdict));
    }
    let page = page(&measured, version.trim(), &ground);
    let file = repository().join("docs/sandbox.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the page has a place for what is measured");
    let (written, after) = rest.split_once(END).expect("the place has an end");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, format!("{before}{BEGIN}{page}{END}{after}")).unwrap();
    } else {
        assert!(written == page, "docs/sandbox.md says otherwise; look at it and run this again with BLESS=1:\n{page}");
    }
}

fn page(measured: &[(&Case, Outcome, Verdict)], version: &str, ground: &Ground) -> String {
    let count = |of: Verdict| measured.iter().filter(|(_, _, verdict)| *verdict == of).count();
    let reached = |verdict: Verdict| verdict != Verdict::Elsewhere;
    let refused = measured.iter().filter(|(case, _, verdict)| case.status >= 400 && reached(*verdict)).count();
    let mut out = format!(
        "Measured with moto {version}, server mode, its own defaults, over {} of the cases:\n\n\
         | moto | cases |\n| --- | ---: |\n\
         | answers the same status and code, and in a success the same members | {} |\n\
         | lets through what AWS refuses (of {refused} refusals) | {} |\n\
         | refuses with another status or code | {} |\n\
         | refuses what AWS allows | {} |\n\
         | answers a success with other members | {} |\n\n\
         {} more are left out: without a signature that names STS, moto takes them to another of its services.\n\n",
        measured.len() - count(Verdict::Elsewhere),
        count(Verdict::Same),
        count(Verdict::LetsThrough),
        count(Verdict::OtherError),
        count(Verdict::Refuses),
        count(Verdict::OtherAnswer),
        count(Verdict::Elsewhere),
    );
    for (of, title) in [
        (Verdict::LetsThrough, "Let through"),
        (Verdict::OtherError, "Refused otherwise"),
        (Verdict::Refuses, "Refused, though AWS allows it"),
        (Verdict::OtherAnswer, "Answered otherwise"),
    ] {
        let _ = write!(
            out,
            "### {title}\n\n| operation | case | AWS, and the sandbox | moto |\n| --- | --- | --- | --- |\n"
        );
        for (case, outcome, _) in measured.iter().filter(|(_, _, verdict)| *verdict == of) {
            let said = |status: u16, code: Option<&str>| match code {
                Some(code) => format!("{status} {code}"),
                None => status.to_string(),
            };
            let (operation, name) = (case.action.as_deref().unwrap_or("protocol"), case.name.as_str());
            let here = said(case.status, case.code.as_deref());
            let there = match of {
                Verdict::OtherAnswer => otherwise(case, outcome, ground),
                _ => said(outcome.status, outcome.code.as_deref()),
            };
            let _ = writeln!(out, "| {operation} | {name} | {here} | {there} |");
        }
        out.push('\n');
    }
    out
}

/// What of a success is not as it should be.
fn otherwise(case: &Case, outcome: &Outcome, ground: &Ground) -> String {
    let wrong: Vec<String> = differences(case, outcome, ground)
        .iter()
        .filter_map(|wrong| wrong.split_once(" should be ").map(|(what, _)| what.to_owned()))
        .collect();
    format!("{}: {}", outcome.status, wrong.join(", "))
}
