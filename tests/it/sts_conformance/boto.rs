//! Cases as calls of botocore, which checks no parameters itself.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::Outcome;
use super::ground::Ground;
use super::table::Case;
use crate::tools::{python_tool, repository};

/// One process for all of them: it is sent a line for each case and answers with one.
pub async fn run(ground: &Ground, cases: &[&Case]) -> Vec<Outcome> {
    let mut lines = String::new();
    for case in cases {
        let params: serde_json::Map<String, Value> =
            ground.params(case, &ground.callers).into_iter().map(|(name, value)| (name, Value::from(value))).collect();
        let keys = case.caller.as_ref().map(|name| &ground.callers[name]);
        let line = json!({
            "action": case.action,
            "params": params,
            "keys": keys.map(|keys| json!([keys.id, keys.secret, keys.token])),
            "region": case.region.as_deref().unwrap_or("us-east-1"),
            "endpoint": ground.base.as_str(),
        });
        lines.push_str(&format!("{line}\n"));
    }
    let output = actix_web::rt::task::spawn_blocking(move || {
        let mut child = Command::new(python_tool("python"))
            .arg(repository().join("tests/clients/conformance.py"))
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let writing = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
        let output = child.wait_with_output().unwrap();
        writing.join().unwrap().unwrap();
        output
    })
    .await
    .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(outcome).collect()
}

fn outcome(line: &str) -> Outcome {
    let told: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let text = |name: &str| told[name].as_str().map(str::to_owned);
    Outcome {
        status: u16::try_from(told["status"].as_u64().unwrap_or_else(|| panic!("{line}"))).unwrap(),
        code: text("code"),
        message: text("message"),
        members: told["members"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        ..Outcome::default()
    }
}
