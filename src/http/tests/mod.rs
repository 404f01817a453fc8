//! The promises of the HTTP edge, over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod browser;
mod crowd;
mod events;
mod limits;
mod routes;
mod shape;
mod tls;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::edge::Edge;
use super::limits::Config;
use super::resource::Routes;
use super::server::{Drained, serve};

/// Far above what any step takes, so that a test that hangs fails by name.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server under test.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    done: JoinHandle<Drained>,
}

impl Server {
    pub(super) async fn start(limits: Config, routes: Routes) -> Self {
        Self::start_behind(Edge::public(&super::Config::default(), &limits, None), routes).await
    }

    pub(super) async fn start_behind(edge: Edge, routes: Routes) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let done = tokio::spawn(serve(listener, routes, edge, async { drop(stopped.await) }));
        Self { address, stop: Some(stop), done }
    }

    pub(super) fn stop(&mut self) {
        drop(self.stop.take());
    }

    pub(super) async fn drained(self) -> Drained {
        timeout(PATIENCE, self.done).await.expect("the drain ends").unwrap()
    }

    pub(super) async fn connect(&self) -> Client {
        Client::over(TcpStream::connect(self.address).await.unwrap())
    }

    /// One request on a connection of its own.
    pub(super) async fn ask(&self, request: &str) -> Answer {
        let mut client = self.connect().await;
        client.send(request).await;
        client.answer().await.expect("an answer")
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await
    }
}

/// One connection to it.
pub(super) struct Client<S = TcpStream> {
    pub(super) stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(super) fn over(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub(super) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next answer; `None` when the connection ends before one.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        loop {
            if let Some((answer, used)) = Answer::parse(&self.buffer) {
                self.buffer.drain(..used);
                return Some(answer);
            }
            let mut part = [0; 4096];
            match timeout(PATIENCE, self.stream.read(&mut part)).await.expect("bytes or an end") {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.buffer.extend_from_slice(&part[..count]),
            }
        }
    }

    /// Whether the server ends the connection without another byte.
    pub(super) async fn is_closed(&mut self) -> bool {
        let mut part = [0; 64];
        let read = timeout(PATIENCE, self.stream.read(&mut part)).await.expect("the connection ends");
        matches!(read, Ok(0) | Err(_)) && self.buffer.is_empty()
    }
}

/// One answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<_> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length =
            headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
        let body = bytes.get(end..end + length)?.to_vec();
        Some((Self { status, headers, body }, end + length))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("JSON, not {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// Asserts the one error shape, whole, and gives its code.
    pub(super) fn error_code(&self) -> String {
        let body = self.json();
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        let error = body["error"].as_object().unwrap();
        assert_eq!(error.keys().collect::<Vec<_>>(), ["code", "message", "request_id"]);
        assert!(error.values().all(|value| value.as_str().is_some_and(|text| !text.is_empty())), "{body}");
        assert_eq!(error["request_id"].as_str(), self.header("x-request-id"));
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        error["code"].as_str().unwrap().to_owned()
    }
}
