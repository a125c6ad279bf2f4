//! The process itself: from start to the first answer, and the memory it rests in.
//!
//! `cargo bench --bench process`. Starts the release binary on a data folder that exists already, 20 times, and reads
//! `VmRSS` a second after start and again after 200 pages.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark prints, measures real time, and stops at what it did not expect"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const STARTS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(30);

struct Broker(Child);

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn start(folder: &std::path::Path, address: SocketAddr) -> Broker {
    let child = Command::new(env!("CARGO_BIN_EXE_rolegate"))
        .args(["serve", "--listen", &address.to_string(), "--public-url", &format!("http://{address}")])
        .arg("--data-dir")
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Broker(child)
}

/// Whether the path was answered with this status.
fn answers(address: SocketAddr, path: &str, status: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/html\r\nConnection: close\r\n\r\n");
    if stream.write_all(request.as_bytes()).is_err() {
        return false;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).is_ok() && answer.starts_with(&format!("HTTP/1.1 {status}"))
}

fn wait_ready(address: SocketAddr) -> Duration {
    let began = Instant::now();
    while !answers(address, "/readyz", "200") {
        assert!(began.elapsed() < PATIENCE, "the broker did not become ready");
        std::thread::sleep(Duration::from_micros(500));
    }
    began.elapsed()
}

fn resident_kib(broker: &Broker) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.0.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let first = Instant::now();
    let address = free_address();
    let broker = start(folder.path(), address);
    wait_ready(address);
    println!("first start, keys made and schema written: {:.0} ms", first.elapsed().as_secs_f64() * 1e3);
    drop(broker);

    let mut times: Vec<f64> = (0..STARTS)
        .map(|_| {
            let address = free_address();
            let began = Instant::now();
            let _broker = start(folder.path(), address);
            wait_ready(address);
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("start to ready: median {:.1} ms, slowest of {STARTS} {:.1} ms", times[STARTS / 2], times[STARTS - 1]);

    let address = free_address();
    let broker = start(folder.path(), address);
    wait_ready(address);
    std::thread::sleep(Duration::from_secs(1));
    let idle = resident_kib(&broker);
    for _ in 0..200 {
        assert!(answers(address, "/sign-in", "200"));
    }
    let used = resident_kib(&broker);
    println!("resident memory: {:.1} MB idle, {:.1} MB after 200 pages", mb(idle), mb(used));
}

fn mb(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}
