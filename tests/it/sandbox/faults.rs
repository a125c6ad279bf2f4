//! Faults as programs meet them: throttled, failing, late, wrong about the time, cut off, dead.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;

impl Running {
    async fn faults(&self) -> Value {
        self.client.get(self.at("/faults")).send().await.unwrap().json().await.unwrap()
    }

    async fn set_fault(&self, name: &str, fault: Value) {
        let answer = self.client.put(self.at(&format!("/faults/{name}"))).json(&fault).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }

    /// What comes back on a socket until it is closed, without an HTTP client's help.
    fn raw(&self, request: &str, patience: Duration) -> std::io::Result<String> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.base.port().unwrap()))?;
        socket.set_read_timeout(Some(patience))?;
        socket.write_all(request.as_bytes())?;
        let mut said = String::new();
        socket.read_to_string(&mut said)?;
        Ok(said)
    }
}

const WHO: &str = "Action=GetCallerIdentity&Version=2011-06-15";

fn post(body: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nHost: sts\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: \
         {}\r\n\r\n{body}",
        body.len()
    )
}

#[actix_web::test]
async fn calls_are_throttled_and_fail_as_at_aws_and_are_counted() {
    let aws = Running::start();
    let who = [("Action", "GetCallerIdentity"), ("Version", "2011-06-15")];
    aws.set_fault("sts", json!({"throttle": 1.0})).await;
    aws.call(&who).await.is_refused(400, "Throttling", "Rate exceeded");
    aws.set_fault("GetCallerIdentity", json!({"error": 1.0})).await;
    let mut codes = Vec::new();
    for _ in 0..20 {
        let (status, code, _) = aws.call(&who).await.error();
        codes.push((status, code));
    }
    codes.sort();
    codes.dedup();
    assert_eq!(codes, [(500, "InternalFailure".to_owned()), (503, "ServiceUnavailable".to_owned())]);
    let faults = aws.faults().await;
    assert_eq!(faults["counts"]["GetCallerIdentity"]["failed"], 20);
    assert_eq!(faults["counts"]["GetCallerIdentity"]["throttled"], 1);
    assert_eq!(faults["faults"]["sts"], json!({"throttle": 1.0}));

    let answer = aws.client.delete(aws.at("/faults/GetCallerIdentity")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(aws.client.delete(aws.at("/faults/GetCallerIdentity")).send().await.unwrap().status(), 404);
    aws.call(&who).await.is_refused(400, "Throttling", "Rate exceeded");
    assert_eq!(aws.client.delete(aws.at("/faults")).send().await.unwrap().status(), 200);
    aws.call(&who).await.is_refused(403, "MissingAuthenticationToken", "Request is missing");
}

#[actix_web::test]
async fn a_connection_that_is_cut_carries_not_one_byte() {
    let aws = Running::start();
    aws.set_fault("sts", json!({"cut": 1.0, "count": 1})).await;
    let said = aws.raw(&post(WHO), Duration::from_secs(20));
    assert!(matches!(said.as_deref(), Ok("")), "{said:?}");
    let said = aws.raw(&post(WHO).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"), Duration::from_secs(20));
    assert!(said.as_ref().unwrap().contains("MissingAuthenticationToken"), "{said:?}");
    let counts = &aws.faults().await["counts"]["GetCallerIdentity"];
    assert_eq!((&counts["cut"], &counts["served"]), (&json!(1), &json!(1)));
}

#[actix_web::test]
async fn a_dead_service_takes_calls_and_says_nothing_while_others_live() {
    let aws = Running::start();
    aws.set_fault("sts", json!({"dead": true})).await;
    let said = aws.raw(&post(WHO), Duration::from_millis(700)).unwrap_err();
    assert!(matches!(said.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut), "{said}");
    assert_eq!(aws.client.get(aws.at("/federation?Action=login")).send().await.unwrap().status(), 400);
    assert_eq!(aws.faults().await["counts"]["GetCallerIdentity"]["dead"], 1);
}

#[actix_web::test]
async fn answers_come_late() {
    let aws = Running::start();
    aws.set_fault("*", json!({"latency_ms": 300, "jitter_ms": 100})).await;
    let begun = Instant::now();
    aws.call(&[("Action", "Nonsense")]).await.is_refused(400, "InvalidAction", "Could not find");
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
    // Names that callers make up are counted together.
    assert_eq!(aws.faults().await["counts"]["other"]["delayed"], 1);
}

#[actix_web::test]
async fn a_service_with_a_wrong_clock_judges_and_dates_by_it() {
    let aws = Running::start();
    aws.set_fault("AssumeRoleWithSAML", json!({"clock_shift_s": 240})).await;
    let answer = aws.assume(&Assertion::default()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.lifetime_secs(start()), 3600 + 240);
    assert_eq!(answer.headers["date"], "Sat, 21 Nov 2026 12:04:00 GMT");
    aws.set_fault("AssumeRoleWithSAML", json!({"clock_shift_s": 4000})).await;
    let (status, code, _) = aws.assume(&Assertion::default()).await.error();
    assert_eq!((status, code.as_str()), (400, "ExpiredTokenException"));
    aws.set_fault("getSigninToken", json!({"throttle": 1.0})).await;
    let answer = aws.client.get(aws.at("/federation?Action=getSigninToken")).send().await.unwrap();
    assert_eq!(answer.status(), 429);
}

#[actix_web::test]
async fn a_fault_of_the_world_is_there_from_the_start_and_ends_in_time() {
    let aws = Running::start_with(|config| {
        let plan = "seed = 3\n[faults.GetCallerIdentity]\nthrottle = 1.0\nfor_s = 60\n";
        config.faults = Some(toml::from_str(plan).unwrap());
    });
    let who = [("Action", "GetCallerIdentity"), ("Version", "2011-06-15")];
    aws.call(&who).await.is_refused(400, "Throttling", "Rate exceeded");
    let faults = aws.faults().await;
    assert_eq!(faults["seed"], 3);
    assert_eq!(faults["faults"]["GetCallerIdentity"]["ends_at"], "2026-11-21T12:01:00Z");
    aws.clock.advance_secs(60);
    aws.call(&who).await.is_refused(403, "MissingAuthenticationToken", "Request is missing");
}

#[actix_web::test]
async fn the_front_page_shows_faults_and_sets_them_for_itself_alone() {
    let aws = Running::start();
    let form = [("operation", "AssumeRole"), ("throttle", "0.5"), ("cut", ""), ("for_s", "600"), ("dead", "true")];
    let send =
        |site: &'static str| aws.client.post(aws.at("/faults")).header("sec-fetch-site", site).form(&form).send();
    assert_eq!(send("cross-site").await.unwrap().status(), 403);
    assert_eq!(aws.faults().await["faults"], json!({}));
    assert_eq!(send("same-origin").await.unwrap().status(), 303);
    let fault = &aws.faults().await["faults"]["AssumeRole"];
    assert_eq!((&fault["throttle"], &fault["dead"]), (&json!(0.5), &json!(true)));
    let page =
        aws.client.get(aws.base.clone()).header("accept", "text/html").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("AssumeRole</strong>"), "{page}");
    let wrong = aws.client.post(aws.at("/faults")).form(&[("operation", "sts"), ("throttle", "half")]).send().await;
    assert_eq!(wrong.unwrap().status(), 400);
    let clear = [("operation", "AssumeRole"), ("clear", "one")];
    assert_eq!(aws.client.post(aws.at("/faults")).form(&clear).send().await.unwrap().status(), 303);
    assert_eq!(aws.faults().await["faults"], json!({}));
}

#[actix_web::test]
async fn faults_are_set_shown_and_cleared_at_a_terminal() {
    let aws = Running::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad-day.toml");
    std::fs::write(&file, "seed = 7\n[faults.AssumeRole]\nthrottle = 0.5\n[faults.\"*\"]\nlatency_ms = 1\n").unwrap();
    let url = aws.base.clone();
    let run = async |args: &[&str]| {
        let mut command = crate::tools::rolegate();
        command.args(["sandbox", "faults"]).args(args);
        if !args.contains(&"--url") {
            command.args(["--url", url.as_str()]);
        }
        let output = actix_web::rt::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    };
    let shown = run(&["set", "--file", file.to_str().unwrap()]).await.unwrap();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["seed"], 7);
    assert_eq!(shown["faults"]["AssumeRole"], json!({"throttle": 0.5}));
    run(&["set", "s3", "--clock-shift-s", "-400", "--for-s", "60"]).await.unwrap();
    assert_eq!(aws.faults().await["faults"]["s3"]["clock_shift_s"], -400);
    run(&["clear", "AssumeRole"]).await.unwrap();
    assert_eq!(aws.faults().await["faults"].as_object().unwrap().len(), 2);
    run(&["clear"]).await.unwrap();
    assert_eq!(aws.faults().await["faults"], json!({}));
    for (args, words) in [
        (
            &["set", "AssumeRoll"][..],
            "`AssumeRoll` has no faults here; write `*`, a service or an operation: sts, AssumeRole",
        ),
        (&["set", "sts", "--throttle", "2"], "throttle is 2; a share is between 0 and 1"),
        (&["clear", "sts"], "no fault is set for `sts`"),
        (&["set", "--file", "/nonexistent.toml"], "cannot read /nonexistent.toml"),
        (&["show", "--url", "http://127.0.0.1:9/"], "there is no sandbox at http://127.0.0.1:9/"),
    ] {
        let said = run(args).await.unwrap_err();
        assert!(said.contains(words), "{said}");
    }
    std::fs::write(&file, "[faults.AssumeRole]\nthrotle = 0.5\n").unwrap();
    let said = run(&["set", "--file", file.to_str().unwrap()]).await.unwrap_err();
    assert!(said.contains("describes no faults") && said.contains("throtle"), "{said}");
}
