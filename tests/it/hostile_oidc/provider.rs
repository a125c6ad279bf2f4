//! The provider on the wire: a server of our own that answers whatever a case makes it answer, byte by byte if need be.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What one address answers.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Status 200 with this document.
    Json(Value),
    /// Status, headers and body; the length is added.
    Whole(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// These bytes instead of HTTP of ours, and the connection is closed.
    Raw(Vec<u8>),
    /// A body that never ends, as fast as it is read.
    Endless,
    /// A good document, a byte at a time.
    Drip(Value, Duration),
    /// The status line, a byte at a time.
    DripHead(Duration),
    /// Nothing, and the connection stays open.
    Silence,
}

impl Answer {
    pub fn text(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::Whole(status, vec![("content-type", content_type.to_owned())], body.into())
    }

    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self::Whole(status, vec![("location", location.into())], Vec::new())
    }

    /// So many of one byte, in a small package.
    pub fn compressed(byte: u8, times: usize) -> Self {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![byte; times]).unwrap();
        let headers = vec![("content-type", "application/json".to_owned()), ("content-encoding", "gzip".to_owned())];
        Self::Whole(200, headers, encoder.finish().unwrap())
    }

    /// A good document that is cut off in the middle.
    pub fn cut(document: &Value) -> Self {
        let body = document.to_string();
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        Self::Raw([head.as_bytes(), &body.as_bytes()[..body.len() / 2]].concat())
    }
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct Call {
    pub path: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Call {
    /// The fields of a form that was posted.
    pub fn form(&self) -> HashMap<String, String> {
        url::form_urlencoded::parse(self.body.as_bytes()).into_owned().collect()
    }
}

type Decide = Arc<dyn Fn(&Call) -> Answer + Send + Sync>;

#[derive(Default)]
struct Inside {
    answers: Mutex<HashMap<String, Decide>>,
    calls: Mutex<Vec<Call>>,
    open: AtomicUsize,
    accepted: AtomicUsize,
    written: AtomicUsize,
}

/// A server on the loopback address. It stops when it is dropped.
pub struct Provider {
    pub base: String,
    inside: Arc<Inside>,
    accepting: tokio::task::JoinHandle<()>,
}

/// Counts a connection for as long as it is open.
struct Open(Arc<Inside>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Provider {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let inside = Arc::new(Inside::default());
        let shared = Arc::clone(&inside);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.open.fetch_add(1, Ordering::SeqCst);
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                let open = Open(Arc::clone(&shared));
                // What the client breaks off is its own business.
                tokio::spawn(async move { serve(stream, &open.0).await.unwrap_or_default() });
            }
        });
        Self { base, inside, accepting }
    }

    /// From now on, what a path answers.
    pub fn answer(&self, path: &str, answer: Answer) {
        self.decide(path, move |_| answer.clone());
    }

    /// From now on, who decides what a path answers.
    pub fn decide(&self, path: &str, decide: impl Fn(&Call) -> Answer + Send + Sync + 'static) {
        self.inside.answers.lock().unwrap().insert(path.to_owned(), Arc::new(decide));
    }

    pub fn calls(&self) -> Vec<Call> {
        self.inside.calls.lock().unwrap().clone()
    }

    /// The calls to a path, oldest first.
    pub fn calls_to(&self, path: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.path == path).collect()
    }

    /// How many connections there ever were.
    pub fn accepted(&self) -> usize {
        self.inside.accepted.load(Ordering::SeqCst)
    }

    /// How many bytes clients took.
    pub fn written(&self) -> usize {
        self.inside.written.load(Ordering::SeqCst)
    }

    /// Waits until no connection is open; says how many are after `patience`.
    pub async fn left_open(&self, patience: Duration) -> usize {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let open = self.inside.open.load(Ordering::SeqCst);
            if open == 0 || tokio::time::Instant::now() >= deadline {
                return open;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut stream: TcpStream, inside: &Inside) -> std::io::Result<()> {
    let Some(call) = read(&mut stream).await? else { return Ok(()) };
    let decide = inside.answers.lock().unwrap().get(&call.path).cloned();
    inside.calls.lock().unwrap().push(call.clone());
    let answer = match decide {
        Some(decide) => decide(&call),
        None => Answer::text(404, "text/plain", "there is nothing here"),
    };
    let (mut reading, mut writing) = stream.split();
    // A client that hangs up is noticed, also by what writes nothing.
    let mut rest = [0; 1024];
    let gone = async { while reading.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
    tokio::select! {
        done = write(&mut writing, answer, inside) => done,
        () = gone => Ok(()),
    }
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Option<Call>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let target = first.nth(1).unwrap_or_default();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    let path = target.split('?').next().unwrap_or_default().to_owned();
    Ok(Some(Call { path, headers, body: String::from_utf8_lossy(&body).into_owned() }))
}

async fn write(writing: &mut tokio::net::tcp::WriteHalf<'_>, answer: Answer, inside: &Inside) -> std::io::Result<()> {
    let (status, headers, body) = match answer {
        Answer::Json(document) => {
            (200, vec![("content-type", "application/json".to_owned())], document.to_string().into_bytes())
        }
        Answer::Whole(status, headers, body) => (status, headers, body),
        Answer::Raw(bytes) => return send(writing, &bytes, inside).await,
        Answer::Silence => return std::future::pending().await,
        Answer::Endless => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
            send(writing, head.as_bytes(), inside).await?;
            let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
            loop {
                send(writing, chunk.as_bytes(), inside).await?;
            }
        }
        Answer::Drip(document, pause) => {
            let body = document.to_string();
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
            send(writing, head.as_bytes(), inside).await?;
            return drip(writing, body.as_bytes(), pause, inside).await;
        }
        Answer::DripHead(pause) => {
            let head = format!("HTTP/1.1 200 OK\r\nx-patience: {}\r\n\r\n", "a".repeat(10_000));
            return drip(writing, head.as_bytes(), pause, inside).await;
        }
    };
    let mut head = format!("HTTP/1.1 {status} Status\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    send(writing, head.as_bytes(), inside).await?;
    for piece in body.chunks(0x4000) {
        send(writing, piece, inside).await?;
    }
    writing.shutdown().await
}

async fn send(writing: &mut tokio::net::tcp::WriteHalf<'_>, bytes: &[u8], inside: &Inside) -> std::io::Result<()> {
    writing.write_all(bytes).await?;
    inside.written.fetch_add(bytes.len(), Ordering::SeqCst);
    Ok(())
}

async fn drip(
    writing: &mut tokio::net::tcp::WriteHalf<'_>,
    bytes: &[u8],
    pause: Duration,
    inside: &Inside,
) -> std::io::Result<()> {
    for byte in bytes {
        send(writing, std::slice::from_ref(byte), inside).await?;
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

/// The error of a token endpoint.
pub fn oauth_error(code: &str) -> Answer {
    Answer::text(400, "application/json", json!({ "error": code }).to_string())
}
