//! The program under a service manager: it starts, says when it is ready, stops when told to, and goes on where it was.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rolegate::sys::SystemClock;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Connection as _, SqlSafeStr as _};

use crate::broker::Broker;
use crate::browser_client::Browser;
use crate::demo::Demo;
use crate::program::{Place, database, open, seed, sql};
use crate::sandboxed::{Fault, LocalAws, Person, Sandboxed, client, enter, problem, send};
use crate::tools;

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_takes_nothing_new_and_finishes_what_is_in_flight() {
    let folder = tempfile::tempdir().unwrap();
    let mut aws = LocalAws::bind();
    let mut place = Place::new(folder.path());
    for (key, value) in aws.settings() {
        place = place.set(key, value);
    }
    aws.serve(&place.base.parse().unwrap(), Arc::new(SystemClock)).await;
    seed(folder.path(), &aws.catalog()).await;
    let mut program = place.start().await;
    let mut browser = Browser::new();
    let page = enter(&mut browser, &place.base, "kim").await;
    let kim = Person::new(&place.base, browser, &page);

    let role = "/roles/150938274616/VendorMaintenance/credentials";
    // Once before, so that AWS has read our metadata while it can.
    assert_eq!(kim.program_post(role, &[("format", "json")]).await.status, 200);
    let before = intents(folder.path()).await;
    aws.wire.spoil(Fault::Slow("/", Duration::from_secs(2)));
    let issuing = tokio::spawn(async move { kim.program_post(role, &[("format", "json")]).await });
    while intents(folder.path()).await == before {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let told = Instant::now();
    program.terminate();
    // The port is closed long before the answer is there.
    let refused = loop {
        if client().get(format!("{}/healthz", place.base)).send().await.is_err() {
            break Instant::now();
        }
        assert!(told.elapsed() < Duration::from_secs(1), "it still takes requests");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let answer = issuing.await.unwrap();
    assert!(Instant::now() > refused);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let status = program.ended(Duration::from_secs(10).saturating_sub(told.elapsed())).await;
    assert!(status.success(), "{status}: {}", program.log());
    assert!(program.log().contains("rolegate has stopped"), "{}", program.log());

    let base = open(folder.path()).await;
    let last = base.store.audit_after(0, 1_000).await.unwrap().pop().unwrap();
    assert_eq!(last.link.kind, "issue.succeeded");
    assert!(last.link.body.contains(answer.json()["AccessKeyId"].as_str().unwrap()));
}

async fn intents(data: &Path) -> i64 {
    let mut database = database(data).await;
    let count = sqlx::query_scalar("SELECT count(*) FROM audit_event WHERE kind = 'issue.intended'");
    count.fetch_one(&mut database).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_only_wait_do_not_hold_it_up() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path());
    let mut program = place.start().await;
    let keeps_alive = client();
    assert_eq!(keeps_alive.get(format!("{}/healthz", place.base)).send().await.unwrap().status(), 200);
    let told = Instant::now();
    program.terminate();
    assert!(program.ended(Duration::from_secs(10)).await.success());
    assert!(told.elapsed() < Duration::from_secs(5), "it took {:?}", told.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_alive_but_not_ready_while_the_database_takes_no_writes() {
    let broker = Broker::wishes().start().await;
    let ask = async |path: &str| {
        // Longer than an answer is kept.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        send(client().get(broker.at(path)).header("accept", "text/html")).await
    };
    assert_eq!((ask("/healthz").await.status, ask("/readyz").await.status), (200, 200));

    let mut other = database(&broker.folder()).await;
    sql(&mut other, "BEGIN IMMEDIATE").await;
    assert_eq!(ask("/healthz").await.status, 200);
    let (sentence, _) = problem(&ask("/readyz").await, 503, "unavailable");
    assert!(!sentence.contains("lock"), "{sentence}");
    sql(&mut other, "ROLLBACK").await;
    assert_eq!(ask("/readyz").await.status, 200);

    broker.app.ground.store.close().await;
    assert_eq!(ask("/healthz").await.status, 200);
    problem(&ask("/readyz").await, 503, "unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_while_the_identity_providers_metadata_is_being_fetched_waits_for_it() {
    let world = Sandboxed::start().await;
    let metadata = "/idp/saml/metadata";
    world.aws.wire.spoil(Fault::Slow(metadata, Duration::from_millis(300)));
    let start = || send(client().get(world.broker.at("/saml/dev/start")));
    let (one, two, three) = tokio::join!(start(), start(), start());
    assert_eq!([one.status, two.status, three.status], [303, 303, 303], "{} {} {}", one.body, two.body, three.body);
    let fetched = world.aws.wire.exchanges().iter().filter(|call| call.path == metadata).count();
    assert_eq!(fetched, 1, "it is asked once for all of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_run_of_the_demo_goes_on_where_the_first_stopped() {
    let first = Demo::start().await;
    let mut browser = Browser::new();
    let page = enter(&mut browser, &first.broker, "lin").await;
    let mut lin = Person::new(&first.broker, browser, &page);
    let page = lin.post("/roles/111122223333/ReadOnly/favourite", &[]).await;
    assert!(page.body.contains("<h2>Favourites</h2>"), "{}", page.body);
    let issued = lin.program_post("/roles/222233334444/ReadOnly/credentials", &[("format", "json")]).await;
    assert_eq!(issued.status, 200, "{}", issued.body);
    let (folder, status) = first.stop();
    assert!(status.success(), "{status}");

    let second = Demo::start_in(folder).await;
    let page = lin.browser.get(&second.broker).await;
    assert_eq!((page.status, page.url.path()), (200, "/"), "the session is still good: {}", page.body);
    let (_, favourites) = page.body.split_once("<h2>Favourites</h2>").expect("the favourite is still there");
    assert!(favourites.split("</section>").next().unwrap().contains("/roles/111122223333/ReadOnly"));
    assert!(page.body.contains("<h2>Recent</h2>"), "{}", page.body);
    let mut lin = Person::new(&second.broker, lin.browser, &page);
    let console = lin.post("/roles/222233334444/ReadOnly/console", &[]).await;
    assert!(console.body.contains("assumed-role/ReadOnly/lin.wei@larkspur.example"), "{}", console.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_said_at_once_and_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let place = Place::new(folder.path()).set("listen", address);
    let output = place.command().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("rolegate: the address {address} cannot be listened on")), "{said}");
    assert!(said.contains("because: Address already in use"), "{said}");
    assert!(output.stdout.is_empty());
    assert!(!folder.path().join("rolegate.db").exists(), "nothing was begun");
}

#[test]
fn settings_that_are_wrong_end_in_one_and_those_that_are_right_in_zero() {
    let folder = tempfile::tempdir().unwrap();
    let check = |settings: &[&str]| {
        let mut command = tools::rolegate();
        command.current_dir(folder.path()).args(["config", "check"]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        command.output().unwrap()
    };
    let right = check(&["public_url=https://aws.example.com"]);
    assert_eq!(right.status.code(), Some(0), "{}", String::from_utf8_lossy(&right.stderr));
    assert!(String::from_utf8_lossy(&right.stdout).contains("public_url = \"https://aws.example.com"));
    let wrong = check(&["public_url=ftp://x", "web.workers=many", "no.such_key=1"]);
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert_eq!(wrong.status.code(), Some(1), "{said}");
    for key in ["public_url", "web.workers", "no.such_key"] {
        assert!(said.contains(key), "all mistakes at once, {key} too: {said}");
    }
    assert!(wrong.stdout.is_empty());
    assert_eq!(tools::rolegate().arg("no-such-command").output().unwrap().status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_the_first_schema_is_brought_up_to_date_with_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut old = database(folder.path()).await;
    let first = include_str!("../../migrations/0001_base.sql").into_sql_str();
    let first = Migration::new(1, "base".into(), MigrationType::Simple, first, false);
    Migrator::with_migrations(vec![first]).run(&mut old).await.unwrap();
    sql(&mut old, "INSERT INTO role_preference VALUES ('dev', 'lin', '111122223333', 'ReadOnly', 1, NULL)").await;
    old.close().await.unwrap();

    let mut aws = LocalAws::bind();
    let mut place = Place::new(folder.path());
    for (key, value) in aws.settings() {
        place = place.set(key, value);
    }
    aws.serve(&place.base.parse().unwrap(), Arc::new(SystemClock)).await;
    // A link gives people other keys than they had; that is for its own tests.
    let link = "[[link]]\nid = \"people\"\nconnectors = [\"dev\", \"dev-oidc\"]\nattribute = \"email\"\n";
    let catalog = aws.catalog();
    assert!(catalog.contains(link));
    seed(folder.path(), &catalog.replace(link, "")).await;
    let _program = place.start().await;
    let mut browser = Browser::new();
    let page = enter(&mut browser, &place.base, "lin").await;
    assert!(page.body.contains("<h2>Favourites</h2>"), "the favourite of old is there: {}", page.body);
}
