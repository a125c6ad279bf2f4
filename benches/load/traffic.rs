//! A client that costs little, since it shares the machine with whom it measures: HTTP/1.1 over connections that stay,
//! requests written once, answers read no further than needed.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::time::{Instant, sleep_until, timeout};

/// Longer than any SDK waits.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn several(address: SocketAddr, count: usize) -> Vec<Self> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            let stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            connections.push(Self { stream, buffer: vec![0; 16 * 1024] });
        }
        connections
    }

    /// Sends a request and reads the whole answer; says whether it was a 200 with credentials in it.
    async fn ask(&mut self, request: &[u8]) -> bool {
        match timeout(PATIENCE, self.exchange(request)).await {
            Ok(Some(good)) => good,
            _ => false,
        }
    }

    async fn exchange(&mut self, request: &[u8]) -> Option<bool> {
        self.stream.write_all(request).await.ok()?;
        let mut filled = 0;
        loop {
            let count = self.stream.read(&mut self.buffer[filled..]).await.ok().filter(|count| *count > 0)?;
            filled += count;
            let answer = &self.buffer[..filled];
            let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let text = std::str::from_utf8(&answer[..head]).ok()?;
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "))?;
            if filled < head + 4 + length.trim().parse::<usize>().ok()? {
                continue;
            }
            let body = &answer[head + 4..];
            let good = text.starts_with("HTTP/1.1 200") && body.windows(9).any(|window| window == b"SecretAcc");
            if !good {
                println!("an answer that is none: {}", String::from_utf8_lossy(&answer[..answer.len().min(600)]));
            }
            return Some(good);
        }
    }
}

/// What came of a run.
pub struct Figures {
    micros: Vec<u32>,
    pub failed: usize,
    took: Duration,
}

impl Figures {
    fn of(parts: Vec<(Vec<u32>, usize)>, took: Duration) -> Self {
        let failed = parts.iter().map(|part| part.1).sum();
        let mut micros: Vec<u32> = parts.into_iter().flat_map(|part| part.0).collect();
        micros.sort_unstable();
        Self { micros, failed, took }
    }

    pub fn per_second(&self) -> f64 {
        self.micros.len() as f64 / self.took.as_secs_f64()
    }

    fn percentile(&self, of_a_thousand: usize) -> f64 {
        let at = (self.micros.len() * of_a_thousand / 1_000).min(self.micros.len().saturating_sub(1));
        f64::from(self.micros.get(at).copied().unwrap_or(0)) / 1e3
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0}/s, median {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, slowest {:.1} ms, {} failed",
            self.per_second(),
            self.percentile(500),
            self.percentile(990),
            self.percentile(999),
            self.percentile(1_000),
            self.failed
        )
    }
}

fn micros(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX)
}

/// Requests begin when they are due, `rate` a second; times count from then.
pub async fn open(connections: &mut [Connection], requests: &[Vec<u8>], rate: usize, run: Duration) -> Figures {
    let (count, total) = (connections.len(), rate * run.as_secs() as usize);
    let began = Instant::now() + Duration::from_millis(50);
    let parts = join_all(connections.iter_mut().enumerate().map(|(first, connection)| async move {
        let (mut times, mut failed) = (Vec::new(), 0);
        for turn in (first..total).step_by(count) {
            let due = began + Duration::from_nanos(1_000_000_000 / rate as u64 * turn as u64);
            sleep_until(due).await;
            if connection.ask(&requests[turn % requests.len()]).await {
                times.push(micros(due));
            } else {
                failed += 1;
            }
        }
        (times, failed)
    }));
    let parts = parts.await;
    Figures::of(parts, began.elapsed())
}

/// Each connection asks again as soon as it is answered.
pub async fn closed(connections: &mut [Connection], requests: &[Vec<u8>], run: Duration) -> Figures {
    let count = connections.len();
    let began = Instant::now();
    let parts = join_all(connections.iter_mut().enumerate().map(|(first, connection)| async move {
        let (mut times, mut failed) = (Vec::new(), 0);
        for turn in (first..).step_by(count) {
            let sent = Instant::now();
            if sent.duration_since(began) >= run {
                break;
            }
            if connection.ask(&requests[turn % requests.len()]).await {
                times.push(micros(sent));
            } else {
                failed += 1;
            }
        }
        (times, failed)
    }));
    let parts = parts.await;
    Figures::of(parts, began.elapsed())
}

/// Each connection asks once, all at the same moment.
pub async fn together(connections: &mut [Connection], requests: &[Vec<u8>]) -> Figures {
    let barrier = Arc::new(Barrier::new(connections.len()));
    let began = Instant::now();
    let parts = join_all(connections.iter_mut().enumerate().map(|(turn, connection)| {
        let barrier = Arc::clone(&barrier);
        async move {
            barrier.wait().await;
            let sent = Instant::now();
            let good = connection.ask(&requests[turn % requests.len()]).await;
            if good { (vec![micros(sent)], 0) } else { (Vec::new(), 1) }
        }
    }));
    let parts = parts.await;
    Figures::of(parts, began.elapsed())
}
