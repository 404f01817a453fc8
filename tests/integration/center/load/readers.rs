//! Readers who ask for feeds at a rate, whether the node keeps up or not: who waits for a connection waits for the feed.

use std::fmt;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Connections they share.
const CONNECTIONS: u32 = 32;

pub(super) struct Readers<'a> {
    port: u16,
    users: &'a [String],
    rate: u32,
}

/// How long each feed took, from when it was due, and how many were not answered well.
#[derive(Debug, Default)]
pub(super) struct Read {
    took: Vec<Duration>,
    pub(super) refused: usize,
}

impl<'a> Readers<'a> {
    pub(super) fn at(port: u16, users: &'a [String], rate: u32) -> Self {
        Self { port, users, rate }
    }

    /// Feeds of users in turn, evenly in time.
    pub(super) async fn during(&self, window: Duration) -> Read {
        let (begin, mut tasks) = (Instant::now() + Duration::from_millis(20), JoinSet::new());
        for number in 0..CONNECTIONS {
            let step = Duration::from_secs(1) * CONNECTIONS / self.rate;
            let first = begin + step * number / CONNECTIONS;
            let users: Vec<String> =
                self.users.iter().skip(number as usize).step_by(CONNECTIONS as usize).cloned().collect();
            let reader =
                Reader { stream: TcpStream::connect(("127.0.0.1", self.port)).await.unwrap(), buffer: Vec::new() };
            tasks.spawn(reader.ask_on(users, first, step, begin + window));
        }
        let mut read = Read::default();
        while let Some(done) = tasks.join_next().await {
            let done = done.unwrap();
            read.took.extend(done.took);
            read.refused += done.refused;
        }
        read.took.sort_unstable();
        read
    }
}

/// One connection.
struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Reader {
    async fn ask_on(mut self, users: Vec<String>, first: Instant, step: Duration, end: Instant) -> Read {
        let (mut read, mut due) = (Read::default(), first);
        for user in users.iter().cycle() {
            if due >= end {
                break;
            }
            sleep_until(due).await;
            let status = self.feed(user).await;
            read.took.push(due.elapsed());
            read.refused += usize::from(status != 200);
            due += step;
        }
        read
    }

    /// Asks for a feed and reads all of it; its status.
    async fn feed(&mut self, user: &str) -> u16 {
        let head = format!("GET /api/v1/feed?limit=20 HTTP/1.1\r\nhost: x\r\nx-user-id: {user}\r\n\r\n");
        self.stream.write_all(head.as_bytes()).await.unwrap();
        loop {
            if let Some((status, length)) = parsed(&self.buffer) {
                self.buffer.drain(..length);
                return status;
            }
            assert!(self.stream.read_buf(&mut self.buffer).await.unwrap() > 0, "the node hung up");
        }
    }
}

/// Status and length of a whole answer.
fn parsed(bytes: &[u8]) -> Option<(u16, usize)> {
    let body = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..body]).unwrap().to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap();
    let whole = body + length.parse::<usize>().unwrap();
    (bytes.len() >= whole).then_some((status, whole))
}

impl Read {
    pub(super) fn quantile(&self, share: f64) -> Duration {
        self.took[((self.took.len() - 1) as f64 * share) as usize]
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |share| self.quantile(share).as_secs_f64() * 1e3;
        let (p50, p95, p99, count) = (ms(0.5), ms(0.95), ms(0.99), self.took.len());
        write!(f, "{count} feeds (p50 {p50:.1} ms, P95 {p95:.1} ms, p99 {p99:.1} ms, {} not 200)", self.refused)
    }
}
