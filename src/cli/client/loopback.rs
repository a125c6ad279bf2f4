//! A listener on this machine's own address: for the browser that comes back from a sign-in, and for a child's SDK.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Whoever connects says what they want within this; browsers also connect just in case.
const PATIENCE: Duration = Duration::from_secs(10);
const LARGEST_HEAD: usize = 16 * 1024;
/// Visitors in line.
const WAITING: usize = 32;

/// A listener on 127.0.0.1, at a port the system chose.
#[derive(Debug)]
pub struct Loopback {
    pub port: u16,
    visits: mpsc::Receiver<Visit>,
    accepting: tokio::task::JoinHandle<()>,
}

/// A request without a body, not yet answered.
#[derive(Debug)]
pub struct Visit {
    stream: TcpStream,
    pub method: String,
    /// Path and query as they were sent.
    pub target: String,
    pub authorization: Option<String>,
}

impl Loopback {
    /// # Errors
    /// No port can be had.
    pub async fn listen() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (sender, visits) = mpsc::channel(WAITING);
        let accepting = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                let sender = sender.clone();
                tokio::spawn(async move {
                    if let Ok(Some(visit)) = tokio::time::timeout(PATIENCE, read(stream, port)).await {
                        let _ = sender.send(visit).await;
                    }
                });
            }
        });
        Ok(Self { port, visits, accepting })
    }

    /// The next request.
    pub async fn next(&mut self) -> Visit {
        match self.visits.recv().await {
            Some(visit) => visit,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Reads a request's head. Nothing, if it is none, or is meant for another host: a name that somebody pointed at this
/// machine lets no page of theirs in.
async fn read(mut stream: TcpStream, port: u16) -> Option<Visit> {
    let mut head = Vec::new();
    let end = loop {
        if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if head.len() > LARGEST_HEAD {
            return None;
        }
        let mut chunk = [0_u8; 2048];
        let read = stream.read(&mut chunk).await.ok().filter(|read| *read > 0)?;
        head.extend_from_slice(&chunk[..read]);
    };
    let head = std::str::from_utf8(&head[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let mut request = lines.next()?.split(' ');
    let (method, target) = (request.next()?.to_owned(), request.next()?.to_owned());
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let header = |name: &str| {
        headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    let host = header("host")?;
    if host != format!("127.0.0.1:{port}") && host != format!("localhost:{port}") {
        return None;
    }
    let authorization = header("authorization");
    Some(Visit { stream, method, target, authorization })
}

impl Visit {
    /// Answers and closes the connection.
    pub async fn answer(mut self, status: &str, content_type: &str, body: &str) {
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
             content-security-policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'\r\n\
             referrer-policy: no-referrer\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n",
            body.len()
        );
        // A visitor who is gone needs no answer.
        let written = async {
            self.stream.write_all(head.as_bytes()).await?;
            self.stream.write_all(body.as_bytes()).await?;
            self.stream.shutdown().await
        };
        let _ = tokio::time::timeout(PATIENCE, written).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(port: u16, request: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn whoever_only_connects_keeps_nobody_waiting() {
        let mut loopback = Loopback::listen().await.unwrap();
        let port = loopback.port;
        let _silent = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let asking =
            tokio::spawn(
                async move { ask(port, &format!("GET /x?y=1 HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n")).await },
            );
        let visit = loopback.next().await;
        assert_eq!((visit.method.as_str(), visit.target.as_str()), ("GET", "/x?y=1"));
        visit.answer("200 OK", "text/plain", "hello").await;
        let answer = asking.await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello"), "{answer}");
    }

    #[tokio::test]
    async fn a_request_for_another_host_or_without_end_is_no_visit() {
        let mut loopback = Loopback::listen().await.unwrap();
        let port = loopback.port;
        assert_eq!(ask(port, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n").await, "");
        assert_eq!(ask(port, "GET / HTTP/1.1\r\n\r\n").await, "");
        assert_eq!(ask(port, &format!("GET /{} HTTP/1.1\r\n", "a".repeat(LARGEST_HEAD + 4096))).await, "");
        assert!(tokio::time::timeout(Duration::from_millis(50), loopback.next()).await.is_err());
    }
}
