use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

const LIMIT: usize = 1_000;
const BRIEF: Duration = Duration::from_millis(800);

/// Every name leads there.
fn outbound(to: &'static str) -> Outbound {
    looking_up(move |_| Ok(vec![to.parse().unwrap()]))
}

fn looking_up(lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Outbound {
    Outbound::looking_up(client(BRIEF).unwrap(), BRIEF, &(Arc::new(lookup) as Lookup)).unwrap()
}

/// Answers everything with the same bytes and never hangs up; gives its port, and what it was sent last.
async fn server(answer: &'static [u8]) -> (u16, Arc<std::sync::Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(std::sync::Mutex::new(String::new()));
    let heard = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let heard = Arc::clone(&heard);
            tokio::spawn(async move {
                let mut buffer = vec![0; 10_000];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    *heard.lock().unwrap() = String::from_utf8_lossy(&buffer[..read]).into_owned();
                    let _ = stream.write_all(answer).await;
                }
            });
        }
    });
    (port, seen)
}

fn at(port: u16) -> Url {
    format!("http://127.0.0.1:{port}/x").parse().unwrap()
}

async fn refused(reach: Reach, url: &str, name_is_at: &'static str) -> &'static str {
    outbound(name_is_at).get(reach, &url.parse().unwrap(), LIMIT, BRIEF).await.unwrap_err().code()
}

#[tokio::test]
async fn only_https_is_spoken_except_to_this_machine() {
    for (url, expected) in [
        ("http://idp.example/", "provider-not-https"),
        ("http://10.0.0.1/", "provider-not-https"),
        ("http://localhost.example/", "provider-not-https"),
        ("http://localhost./", "provider-not-https"),
        ("http://[::ffff:127.0.0.1]/", "provider-not-https"),
        ("ftp://127.0.0.1/", "provider-not-https"),
        ("file:///etc/passwd", "provider-not-https"),
        ("https://user@idp.example/", "provider-user-info"),
        ("http://:x@127.0.0.1/", "provider-user-info"),
    ] {
        assert_eq!(refused(Reach::PrivateToo, url, "93.184.216.34").await, expected, "{url}");
    }
}

#[tokio::test]
async fn no_call_goes_where_the_connector_does_not_allow_it() {
    use Reach::{PrivateToo, Public};
    for (reach, url, name_is_at) in [
        (Public, "https://10.0.0.1/", "93.184.216.34"),
        (Public, "https://[fd00::1]/", "93.184.216.34"),
        (Public, "https://169.254.169.254/", "93.184.216.34"),
        (Public, "https://[::ffff:127.0.0.1]/", "93.184.216.34"),
        (PrivateToo, "https://169.254.169.254/", "93.184.216.34"),
        (PrivateToo, "https://[::ffff:169.254.169.254]/", "93.184.216.34"),
        (PrivateToo, "https://0.0.0.0/", "93.184.216.34"),
        (Public, "https://idp.example/", "10.0.0.1"),
        (Public, "https://idp.example/", "127.0.0.1"),
        (Public, "https://localhost.example/", "::1"),
        (PrivateToo, "https://idp.example/", "127.0.0.1"),
        (PrivateToo, "https://idp.example/", "169.254.169.254"),
        (PrivateToo, "https://idp.example/", "fd00:ec2::254"),
        (PrivateToo, "https://idp.example/", "224.0.0.1"),
    ] {
        assert_eq!(refused(reach, url, name_is_at).await, "provider-address-private", "{url} at {name_is_at}");
    }
}

#[tokio::test]
async fn a_name_is_looked_at_again_for_every_connection() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let lookup = move |_: &str| {
        let inside = count.fetch_add(1, Ordering::Relaxed) > 0;
        Ok(vec![if inside { "127.0.0.1" } else { "192.0.2.1" }.parse().unwrap()])
    };
    let outbound = looking_up(lookup);
    for _ in 0..2 {
        let url = "https://idp.example/".parse().unwrap();
        let error = outbound.get(Reach::Public, &url, LIMIT, BRIEF).await.unwrap_err();
        assert_eq!(error.code(), "provider-address-private");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn localhost_is_this_machine_whatever_a_name_server_says() {
    let (port, _) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}").await;
    for host in ["localhost", "idp.localhost"] {
        let url = format!("http://{host}:{port}/").parse().unwrap();
        let (outbound, token) = (outbound("10.0.0.1"), SecretString::from("token"));
        assert_eq!(outbound.get(Reach::Public, &url, LIMIT, BRIEF).await.unwrap(), b"{}");
        let answer = outbound.get_with_bearer(Reach::Public, &url, &token, LIMIT, BRIEF).await.unwrap();
        assert_eq!((answer.status, answer.content_type.as_deref()), (200, Some("application/json")));
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (target, seen) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let location = format!("HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:{target}/\r\nContent-Length: 0\r\n\r\n");
    let (port, _) = server(location.leak().as_bytes()).await;
    let outbound = outbound("10.0.0.1");
    let secret = SecretString::from("code=marker");
    let answer = outbound.post_form(Reach::Public, &at(port), None, &secret, LIMIT, BRIEF).await.unwrap();
    assert_eq!(answer.status, 307);
    let error = outbound.get(Reach::Public, &at(port), LIMIT, BRIEF).await.unwrap_err();
    assert_eq!(error.code(), "provider-status");
    assert_eq!(*seen.lock().unwrap(), "");
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_limit_and_no_longer_than_its_time() {
    let (declared, _) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 60000000\r\n\r\nx").await;
    let (endless, _) = server(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(LIMIT + 1)).leak().as_bytes()).await;
    let (slow, _) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx").await;
    let (silent, _) = server(b"").await;
    for (port, expected) in [
        (declared, "provider-answer-too-large"),
        (endless, "provider-answer-too-large"),
        (slow, "provider-slow"),
        (silent, "provider-slow"),
    ] {
        let answer = outbound("10.0.0.1").get(Reach::Public, &at(port), LIMIT, BRIEF).await;
        assert_eq!(answer.unwrap_err().code(), expected);
    }
}

#[tokio::test]
async fn secrets_go_out_and_are_not_shown() {
    let (port, seen) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nmarker").await;
    let outbound = outbound("10.0.0.1");
    let (basic, body) = (SecretString::from("Basic abc"), SecretString::from("code=marker"));
    let answer = outbound.post_form(Reach::Public, &at(port), Some(&basic), &body, LIMIT, BRIEF).await.unwrap();
    assert!(!format!("{answer:?}").contains("marker"));
    let sent = seen.lock().unwrap().clone();
    assert!(sent.starts_with("POST /x ") && sent.ends_with("\r\n\r\ncode=marker"), "{sent}");
    assert!(sent.contains("authorization: Basic abc\r\n"), "{sent}");
    assert!(sent.contains("content-type: application/x-www-form-urlencoded\r\n"), "{sent}");
    let token = SecretString::from("token");
    outbound.get_with_bearer(Reach::Public, &at(port), &token, LIMIT, BRIEF).await.unwrap();
    assert!(seen.lock().unwrap().contains("authorization: Bearer token\r\n"));
    let broken = SecretString::from("to\nken");
    let refused = outbound.get_with_bearer(Reach::Public, &at(port), &broken, LIMIT, BRIEF).await.unwrap_err();
    assert_eq!(refused.code(), "provider-authorization-unusable");
    assert!(!refused.to_string().contains("ken"), "{refused}");
}
