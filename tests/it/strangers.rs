//! What somebody without a session can make the broker do, and what others on the machine can see.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::broker::Broker;

async fn post(client: &reqwest::Client, url: &str, body: &str) -> u16 {
    let request = client.post(url).header("content-type", "application/x-www-form-urlencoded").body(body.to_owned());
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_of_signing_in_counts_against_the_address_it_comes_from() {
    let client = rolegate::sys::http::client(Duration::from_secs(5)).unwrap();
    let ticket = "A".repeat(43);
    for step in ["start", "acs", "finish", "confirm"] {
        let broker =
            Broker::wishes().set("limits.sign_in_per_minute", "1").set("limits.sign_in_burst", "3").start().await;
        let before = broker.events().await.len();
        let mut answers = Vec::new();
        for _ in 0..6 {
            answers.push(match step {
                "start" => client.get(broker.at("/saml/corp/start")).send().await.unwrap().status().as_u16(),
                "acs" => post(&client, &broker.at("/saml/corp/acs"), "SAMLResponse=x").await,
                "finish" => {
                    let url = broker.at(&format!("/saml/corp/finish?ticket={ticket}"));
                    client.get(url).send().await.unwrap().status().as_u16()
                }
                _ => post(&client, &broker.at("/saml/corp/finish"), &format!("ticket={ticket}&csrf=x")).await,
            });
        }
        assert!(answers[..3].iter().all(|status| *status != 429), "{step}: {answers:?}");
        assert_eq!(answers[3..], [429; 3], "{step}");
        assert!(broker.events().await.len() <= before + 3, "{step}: what is refused for its rate is not recorded");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_everybody_may_look_into_holds_nothing_that_others_may_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    let broker = Broker::wishes().set("data_dir", data.display().to_string()).start().await;
    assert!(!broker.events().await.is_empty(), "keys were made, and recorded");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&data).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.path());
        names.push(entry.file_name().into_string().unwrap());
    }
    assert!(names.iter().any(|name| name == "rolegate.db") && names.iter().any(|name| name == "sealing.key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_up_keeps_nothing_from_being_recorded() {
    let broker = Broker::wishes().start().await;
    let before = broker.events().await.len();
    // The one connection that writes is taken, so the refusal waits to be recorded when the client goes.
    let writing = broker.app.ground.store.begin().await.unwrap();
    let mut client = std::net::TcpStream::connect(broker.base.trim_start_matches("http://")).unwrap();
    // An answer nobody reads makes closing a reset, which ends what waits for the client at once.
    let requests = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n\
        POST /saml/corp/acs HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
        Content-Length: 14\r\n\r\nSAMLResponse=x";
    client.write_all(requests.as_bytes()).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    drop(client);
    tokio::time::sleep(Duration::from_millis(500)).await;
    writing.rollback().await.unwrap();
    for _ in 0..50 {
        if broker.events().await.len() > before {
            assert_eq!(broker.last_event("sign-in.refused").await["cause"], "connector-unknown");
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the refusal was not recorded");
}
