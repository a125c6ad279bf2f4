//! What is written down, when, and what is never written anywhere.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use rolegate::sys::SystemClock;
use serde_json::{Value, json};

use crate::broker::Broker;
use crate::browser_client::Browser;
use crate::program::{Place, database, seed, sql};
use crate::sandboxed::{Answer, Fault, LocalAws, Person, Sandboxed, client, problem, send};
use crate::tools;

const READ: &str = "/roles/111122223333/ReadOnly/credentials";

/// The numbers of the events of one kind.
async fn numbers(broker: &Broker, kind: &str) -> Vec<i64> {
    let events = broker.app.ground.store.audit_after(0, 100_000).await.unwrap();
    events.into_iter().filter(|event| event.link.kind == kind).map(|event| event.link.seq).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_intent_is_on_disk_before_aws_is_asked_and_the_outcome_before_anything_is_delivered() {
    let world = Sandboxed::start().await;
    let asha = world.sign_in_as("asha").await;
    world.aws.wire.watch(&world.broker.app.ground.store);
    for _ in 0..3 {
        assert_eq!(asha.program_post("/roles/111122223333/ReadOnly/console", &[]).await.status, 303);
    }
    let (intended, done) =
        (numbers(&world.broker, "issue.intended").await, numbers(&world.broker, "issue.succeeded").await);
    let known_at = |path: &str| -> Vec<i64> {
        let exchanges = world.aws.wire.exchanges();
        exchanges
            .iter()
            .filter(|call| call.path == path && call.method == "POST")
            .map(|call| call.events_before.unwrap())
            .collect()
    };
    let (at_sts, at_federation) = (known_at("/"), known_at("/federation"));
    assert_eq!((intended.len(), done.len(), at_sts.len(), at_federation.len()), (3, 3, 3, 3));
    for nth in 0..3 {
        assert!(intended[nth] <= at_sts[nth], "STS was asked before the intent was written");
        assert!(at_sts[nth] < done[nth], "the outcome was written before it was known");
        assert!(done[nth] <= at_federation[nth], "the credentials were used before the outcome was written");
    }
    let events = world.broker.events().await;
    let (_, intent) = events.iter().find(|(kind, _)| kind == "issue.intended").unwrap();
    assert_eq!(intent["rule"], "engineers-read-workloads");
    assert_eq!(intent["session_name"], "asha.raman@larkspur.example");
    assert_eq!(intent["role"], "arn:aws:iam::111122223333:role/ReadOnly");
    assert_eq!(intent["client_address"], "127.0.0.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_intent_on_disk_aws_is_not_asked() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let mut database = database(&world.broker.folder()).await;
    sql(
        &mut database,
        "CREATE TRIGGER full BEFORE INSERT ON audit_event WHEN NEW.kind = 'issue.intended' \
         BEGIN SELECT RAISE(ABORT, 'no room on /var/lib/secret'); END",
    )
    .await;
    for path in [READ, "/roles/111122223333/ReadOnly/console"] {
        let (sentence, events) = world.refused(&mut asha, path, &[], (503, "unavailable")).await;
        assert_eq!(sentence, "Nothing was issued. Please try again in a moment.");
        assert!(events.is_empty(), "{events:?}");
    }
    assert_eq!(world.aws.wire.sts_calls(), 0);
    sql(&mut database, "DROP TRIGGER full").await;

    // Somebody else holds the lock, for longer than we wait.
    sql(&mut database, "BEGIN IMMEDIATE").await;
    problem(&asha.program_post(READ, &[]).await, 503, "unavailable");
    assert_eq!(world.aws.wire.sts_calls(), 0);
    sql(&mut database, "ROLLBACK").await;

    assert_eq!(asha.program_post(READ, &[("format", "json")]).await.status, 200);
    world.broker.last_event("issue.succeeded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_outcome_on_disk_nothing_is_delivered() {
    let world = Sandboxed::start().await;
    let mut zoe = world.sign_in_as("zoe").await;
    let mut database = database(&world.broker.folder()).await;
    sql(
        &mut database,
        "CREATE TRIGGER full BEFORE INSERT ON audit_event WHEN NEW.kind <> 'issue.intended' \
         BEGIN SELECT RAISE(ABORT, 'no room'); END",
    )
    .await;
    for (path, calls) in [
        (READ, 2),
        ("/roles/111122223333/ReadOnly/console", 4),
        // What AWS refuses, and what we refuse ourselves.
        ("/roles/177419203846/LegacyReporting/credentials", 6),
        ("/roles/111122223333/Admin/credentials", 6),
    ] {
        let (sentence, _) = world.refused(&mut zoe, path, &[], (503, "unavailable")).await;
        assert_eq!(sentence, "Nothing was issued. Please try again in a moment.", "{path}");
        assert_eq!(world.aws.wire.sts_calls(), calls, "{path}");
    }
    let recent: (i64,) = sqlx::query_as("SELECT count(*) FROM role_preference").fetch_one(&mut database).await.unwrap();
    assert_eq!(recent.0, 0, "what was not delivered was not used");
    let calls = world.aws.wire.exchanges();
    assert!(!calls.iter().any(|call| call.path == "/federation"), "no link was made of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_signed_in_or_out_unless_it_is_written_down() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let mut database = database(&world.broker.folder()).await;
    sql(&mut database, "CREATE TRIGGER full BEFORE INSERT ON audit_event BEGIN SELECT RAISE(ABORT, 'no room'); END")
        .await;
    let mut browser = Browser::new();
    let page = crate::sandboxed::enter(&mut browser, &world.broker.at("/"), "lin").await;
    assert_eq!(page.status, 503, "{}", page.body);
    assert_eq!(browser.cookie("127.0.0.1", "rolegate"), None);
    assert_eq!(asha.post("/sign-out", &[]).await.status, 503);
    assert_eq!(asha.program_get("/api/v1/me").await.status, 200, "the session goes on, as the person was told");
}

/// `rolegate audit …` on the data of a broker.
fn audit(data: &Path, arguments: &[&str]) -> Output {
    tools::rolegate().arg("audit").arg("--data-dir").arg(data).args(arguments).current_dir(data).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_verifies_the_log_exports_it_and_finds_what_was_tampered_with() {
    let world = Sandboxed::start().await;
    let data = world.broker.folder();
    let zoe = world.sign_in_as("zoe").await;
    assert_eq!(zoe.program_post(READ, &[("format", "json")]).await.status, 200);
    assert_eq!(zoe.program_post("/roles/177419203846/LegacyReporting/credentials", &[]).await.status, 502);
    assert_eq!(zoe.program_post("/roles/111122223333/Admin/credentials", &[]).await.status, 403);

    // While the broker runs.
    let good = audit(&data, &["verify"]);
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stderr));
    let head = world.broker.head().await;
    assert_eq!(text(&good.stdout), format!("{head}\n"));
    assert!(text(&good.stderr).contains(&format!("All {} events are as they were written", head.seq)));
    let known = head.to_string();
    assert_eq!(audit(&data, &["verify", "--known-head", &known]).status.code(), Some(0));

    let exported = audit(&data, &["export"]);
    assert_eq!(exported.status.code(), Some(0), "{}", text(&exported.stderr));
    let lines: Vec<Value> = text(&exported.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len() as i64, head.seq);
    let numbered: Vec<_> = lines.iter().map(|line| line["seq"].as_i64().unwrap()).collect();
    assert_eq!(numbered, (1..=head.seq).collect::<Vec<_>>());
    let kinds: Vec<_> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(
        kinds[kinds.len() - 6..],
        ["sign-in.succeeded", "issue.intended", "issue.succeeded", "issue.intended", "issue.failed", "issue.denied"]
    );
    let denied = lines.last().unwrap();
    assert_eq!((&denied["subject"], &denied["body"]["cause"]), (&json!("dev:zoe"), &json!("not-granted")));
    assert!(denied["at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    let after = text(&audit(&data, &["export", "--after", &(head.seq - 1).to_string()]).stdout);
    assert_eq!(after.lines().count(), 1);

    let mut database = database(&data).await;
    assert!(
        sqlx::query("UPDATE audit_event SET body = '{}' WHERE seq = 3").execute(&mut database).await.is_err(),
        "the database itself refuses"
    );
    sql(&mut database, "DROP TRIGGER audit_event_is_never_changed").await;
    sql(&mut database, "DROP TRIGGER audit_event_is_never_removed").await;
    let broken = |arguments: &[&str], says: &str| {
        let output = audit(&data, arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{says}: {said}");
        assert!(said.contains("the audit log does not verify") && said.contains(says), "{said}");
        assert!(output.stdout.is_empty());
    };
    // Cut off at the end: only who kept a head can tell.
    sql(&mut database, "CREATE TABLE kept AS SELECT * FROM audit_event").await;
    sql(&mut database, "DELETE FROM audit_event WHERE kind = 'issue.denied'").await;
    assert_eq!(audit(&data, &["verify"]).status.code(), Some(0));
    broken(&["verify", "--known-head", &known], &format!("the log ends at event {}", head.seq - 1));
    sql(&mut database, "DELETE FROM audit_event").await;
    sql(&mut database, "INSERT INTO audit_event SELECT * FROM kept").await;

    sql(&mut database, "DELETE FROM audit_event WHERE seq = 4").await;
    broken(&["verify"], "event 4 is missing");
    sql(&mut database, "INSERT INTO audit_event SELECT * FROM kept WHERE seq = 4").await;
    assert_eq!(audit(&data, &["verify"]).status.code(), Some(0));

    sql(&mut database, "UPDATE audit_event SET subject = 'dev:somebody else' WHERE seq = 4").await;
    broken(&["verify"], "event 4 was changed");

    let nonsense = audit(&data, &["verify", "--known-head", "yesterday"]);
    assert_eq!(nonsense.status.code(), Some(2));
    assert!(text(&nonsense.stderr).contains("SEQ:HASH"), "{}", text(&nonsense.stderr));
}

/// A value of the query of an address.
fn in_query(address: &str, name: &str) -> String {
    let url = url::Url::parse("http://localhost/").unwrap().join(address).unwrap();
    url.query_pairs()
        .find(|(found, _)| found == name)
        .unwrap_or_else(|| panic!("no {name} in {address}"))
        .1
        .into_owned()
}

fn set_cookie(answer: &Answer, name: &str) -> String {
    let start = format!("{name}=");
    let cookies = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    let found = cookies.filter_map(|cookie| cookie.strip_prefix(&start)).next();
    found.unwrap_or_else(|| panic!("no {name} in {:?}", answer.headers)).split(';').next().unwrap().to_owned()
}

/// All of the element's text in the XML of the sandbox's answers.
fn answered(aws: &LocalAws, element: &str) -> Vec<String> {
    let found = Regex::new(&format!("<{element}>([^<]+)</{element}>")).unwrap();
    let all: String = aws.wire.exchanges().into_iter().map(|call| call.answered).collect();
    found.captures_iter(&all).map(|one| one[1].to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_a_log_the_audit_log_the_database_or_a_page_that_says_no() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let mut aws = LocalAws::bind();
    let mut place = Place::new(&data).set("log.level", "trace").set("aws.max_attempts", "1");
    for (key, value) in aws.settings() {
        place = place.set(key, value);
    }
    aws.serve(&place.base.parse().unwrap(), Arc::new(SystemClock)).await;
    seed(&data, &aws.catalog()).await;
    let mut program = place.start().await;
    let at = |path: &str| format!("{}{path}", place.base);
    let (mut secrets, mut refusals): (Vec<(&str, String)>, Vec<Answer>) = (Vec::new(), Vec::new());

    // Signing in, one step at a time.
    let start = send(client().get(at("/saml/dev/start"))).await;
    let browser_cookie = set_cookie(&start, "rolegate-browser");
    secrets.push(("browser cookie", browser_cookie.clone()));
    secrets.push(("handle", in_query(start.header("location"), "RelayState")));
    let mut idp = Browser::new();
    let people = idp.get(start.header("location")).await;
    let form = idp.submit(&people.form_with("pending").set("person", "zoe")).await.form_with("SAMLResponse");
    let reply = form.value("SAMLResponse").unwrap().to_owned();
    let clear = text(&STANDARD.decode(&reply).unwrap());
    let signature = Regex::new(r"SignatureValue>\s*([^<]+?)\s*<").unwrap();
    // Its first line, which is long enough to be found.
    let signature = |xml: &str| {
        let value = signature.captures(xml).unwrap()[1].to_owned();
        value.chars().filter(|c| !c.is_whitespace()).take(60).collect::<String>()
    };
    secrets.push(("reply", reply[reply.len() - 60..].to_owned()));
    secrets.push(("reply's signature", signature(&clear)));
    let post = |fields: &[(String, String)]| {
        send(client().post(at("/saml/dev/acs")).header("accept", "text/html").form(fields))
    };
    let ticketed = post(&form.fields).await;
    let finish = ticketed.header("location").to_owned();
    secrets.push(("ticket", in_query(&finish, "ticket")));
    // By another browser, which spends it; and the reply again.
    let other = client().get(at(&finish)).header("accept", "text/html");
    refusals.push(send(other.header("cookie", format!("rolegate-browser={}", "A".repeat(43)))).await);
    refusals.push(post(&form.fields).await);

    let mut browser = Browser::new();
    let page = crate::sandboxed::enter(&mut browser, &place.base, "zoe").await;
    let zoe = Person::new(&place.base, browser, &page);
    secrets.push(("session cookie", zoe.session().to_owned()));
    secrets.push(("form value", zoe.csrf.clone()));

    // A token made by hand, used, refused and revoked.
    let fields = [("name", "cron"), ("days", "7"), ("access", "roles"), ("role:111122223333/ReadOnly", "on")];
    let made = zoe.program_post("/tokens", &fields).await;
    let token = Regex::new("rgp_[0-9A-Za-z]{49}").unwrap();
    let token = token.find(&made.body).unwrap_or_else(|| panic!("no token in {}", made.body)).as_str().to_owned();
    let asked = async |path: &str| send(client().get(at(path)).bearer_auth(&token)).await;
    assert_eq!(asked("/api/v1/me").await.status, 200);
    refusals.push(send(client().get(at("/")).bearer_auth(&token)).await);
    let of_another = format!("/api/v1/container/177419203846/LegacyReporting?token={token}");
    refusals.push(send(client().get(at(&of_another)).header("authorization", token.as_str())).await);
    let listed = zoe.program_get("/tokens").await.body;
    assert!(!listed.contains(&token) && listed.contains("cron"), "{listed}");
    let revoke = Regex::new("/tokens/[0-9a-f]{32}/revoke").unwrap().find(&listed).unwrap().as_str().to_owned();
    assert_eq!(zoe.program_post(&revoke, &[]).await.status, 303);
    refusals.push(asked("/api/v1/me").await);
    secrets.push(("token's random part", token[4..47].to_owned()));
    secrets.push(("token", token));

    // Using roles, well and not.
    let json = zoe.program_post(READ, &[("format", "json")]).await.json();
    secrets.push(("secret access key", json["SecretAccessKey"].as_str().unwrap().to_owned()));
    secrets.push(("session token", json["SessionToken"].as_str().unwrap().to_owned()));
    assert_eq!(zoe.program_post(READ, &[]).await.status, 200);
    let console = zoe.program_post("/roles/111122223333/ReadOnly/console", &[]).await;
    secrets.push(("console link", in_query(console.header("location"), "SigninToken")));
    for path in ["/roles/177419203846/LegacyReporting/credentials", "/roles/111122223333/Admin/credentials"] {
        refusals.push(zoe.program_post(path, &[]).await);
    }
    for fault in [
        Fault::Answers("/", 500, "<html>the session is broken</html>"),
        Fault::Answers("/", 200, "<AssumeRoleWithSAMLResponse/>"),
        Fault::Answers("/federation", 400, "bad"),
    ] {
        aws.wire.spoil(fault);
        refusals.push(zoe.program_post("/roles/111122223333/ReadOnly/console", &[]).await);
    }
    let sent: BTreeSet<String> = aws
        .wire
        .exchanges()
        .iter()
        .filter(|call| call.sent.contains("Action=AssumeRoleWithSAML"))
        .map(|call| in_query(&format!("?{}", call.sent.trim()), "SAMLAssertion"))
        .collect();
    assert!(sent.len() >= 5);
    secrets.extend(sent.iter().map(|assertion| ("our assertion", assertion[assertion.len() - 60..].to_owned())));
    for assertion in &sent {
        let clear = text(&STANDARD.decode(assertion).unwrap());
        secrets.push(("our signature", signature(&clear)));
    }
    secrets.extend(answered(&aws, "SecretAccessKey").into_iter().map(|secret| ("STS's secret key", secret)));
    secrets.extend(answered(&aws, "SessionToken").into_iter().map(|secret| ("STS's session token", secret)));
    let sealing = std::fs::read_to_string(data.join("sealing.key")).unwrap().trim().to_owned();

    program.terminate();
    program.ended(std::time::Duration::from_secs(10)).await;
    let log = program.log();
    assert!(log.contains("issue") && log.len() > 10_000, "the log says little: {log}");
    let exported = audit(&data, &["export"]);
    assert!(text(&exported.stdout).contains("issue.succeeded"));
    let mut places = vec![("the log".to_owned(), log), ("the audit log".to_owned(), text(&exported.stdout))];
    for refusal in &refusals {
        assert!(refusal.status >= 400, "{}", refusal.body);
        places.push((format!("a refusal with {}", refusal.status), format!("{:?}\n{}", refusal.headers, refusal.body)));
    }
    for entry in std::fs::read_dir(&data).unwrap().map(Result::unwrap) {
        let bytes = std::fs::read(entry.path()).unwrap();
        if entry.file_name() != "sealing.key" {
            places.push((entry.path().display().to_string(), text(&bytes)));
            secrets.push(("sealing key", sealing.clone()));
        }
    }
    let raw = STANDARD.decode(&sealing).unwrap();
    let stored = std::fs::read(data.join("rolegate.db")).unwrap();
    assert!(!stored.windows(raw.len()).any(|window| window == raw), "the sealing key itself is in the database");
    for (what, secret) in &secrets {
        assert!(secret.len() >= 40, "{what} is too short to be looked for: {secret}");
        let escaped: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        for (place, content) in &places {
            assert!(!content.contains(secret) && !content.contains(&escaped), "the {what} is in {place}");
        }
    }
}
