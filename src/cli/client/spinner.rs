//! Something moves while a command waits, if there is a terminal to see it and it takes long enough to notice.

use std::future::Future;
use std::io::Write as _;
use std::pin::pin;
use std::time::Duration;

use super::surroundings::Surroundings;

const FIRST: Duration = Duration::from_millis(300);
const FRAME: Duration = Duration::from_millis(100);
const FRAMES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// Waits for something and says meanwhile what for.
pub async fn during<T>(around: &Surroundings, words: &str, work: impl Future<Output = T>) -> T {
    if !around.stderr_moves() {
        return work.await;
    }
    let mut work = pin!(work);
    if let Ok(done) = tokio::time::timeout(FIRST, &mut work).await {
        return done;
    }
    let _line = Line;
    for frame in FRAMES.iter().cycle() {
        let mut out = std::io::stderr().lock();
        let _ = write!(out, "\r{frame} {words}");
        let _ = out.flush();
        drop(out);
        if let Ok(done) = tokio::time::timeout(FRAME, &mut work).await {
            return done;
        }
    }
    unreachable!("a cycle has no end")
}

/// The spinner's line, which is empty again afterwards.
struct Line;

impl Drop for Line {
    fn drop(&mut self) {
        let mut out = std::io::stderr().lock();
        let _ = write!(out, "\r\x1b[K");
        let _ = out.flush();
    }
}
