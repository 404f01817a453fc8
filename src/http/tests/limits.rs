//! What one client may take: time, bytes, connections; and how the server stops.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::interval;
use warp::path;

use super::{PATIENCE, Server};
use crate::http::limits::Config;
use crate::http::resource::{Call, Routes, Takes, json, listener, resource, with_type};
use crate::http::{Error, body};

const MAX_BODY: usize = 2_000;

/// `/ping` answers, `/echo` reads a body, `/wait` answers when told to, `/panic` fails, `/large` answers with much.
fn routes(entered: &Arc<Notify>, release: &Arc<Notify>) -> Routes {
    let (entered, release) = (Arc::clone(entered), Arc::clone(release));
    let wait = move |_| {
        let (entered, release) = (Arc::clone(&entered), Arc::clone(&release));
        async move {
            entered.notify_one();
            release.notified().await;
            json(&"waited")
        }
    };
    let echo = |call: Call| async move { json(&body::read(call.body, MAX_BODY).await?.len()) };
    listener([
        resource(path!("ping"), "/ping", Takes::Get, |_| async { json(&"pong") }),
        resource(path!("echo"), "/echo", Takes::Post, echo),
        resource(path!("wait"), "/wait", Takes::Get, wait),
        resource(path!("panic"), "/panic", Takes::Get, |_| async { panic!("on purpose") }),
        resource(path!("large"), "/large", Takes::Get, |_| async {
            Ok::<_, Error>(with_type("text/plain", vec![b'x'; 64 << 20].into()))
        }),
    ])
}

async fn start(limits: Config) -> Server {
    Server::start(limits, routes(&Arc::default(), &Arc::default())).await
}

fn limits() -> Config {
    Config { max_body_bytes: MAX_BODY, ..Config::default() }
}

const PING: &str = "GET /ping HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn a_silent_connection_is_closed_at_its_limit() {
    let server = start(Config { first_byte_timeout_ms: 150, ..limits() }).await;
    let mut silent = server.connect().await;
    let start = Instant::now();
    assert!(silent.is_closed().await);
    assert!(start.elapsed() >= Duration::from_millis(140), "closed after {:?}", start.elapsed());
}

#[tokio::test]
async fn a_dripped_head_is_closed_however_steadily_it_drips() {
    let server = start(Config { header_read_timeout_ms: 200, ..limits() }).await;
    let client = server.connect().await;
    let (mut read, mut write) = client.stream.into_split();
    let start = Instant::now();
    let drip = async {
        let mut ticks = interval(Duration::from_millis(20));
        write.write_all(b"GET /ping HTTP/1.1\r\nx-slow: ").await.unwrap();
        while write.write_all(b"a").await.is_ok() {
            ticks.tick().await;
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = drip => {}
        end = read.read_to_end(&mut answer) => drop(end),
        () = tokio::time::sleep(PATIENCE) => panic!("still open"),
    }
    assert!(answer.is_empty());
    assert!(start.elapsed() >= Duration::from_millis(190), "closed after {:?}", start.elapsed());
}

#[tokio::test]
async fn an_idle_connection_outlives_the_head_limit_and_ends_at_its_own() {
    let server =
        start(Config { first_byte_timeout_ms: 50, header_read_timeout_ms: 50, keep_alive_timeout_ms: 600, ..limits() })
            .await;
    let mut client = server.connect().await;
    client.send(PING).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    let start = Instant::now();
    assert!(client.is_closed().await);
    assert!(start.elapsed() >= Duration::from_millis(550), "closed after {:?}", start.elapsed());
}

#[tokio::test]
async fn the_second_head_of_a_connection_has_the_head_limit_not_the_idle_one() {
    let server = start(Config { header_read_timeout_ms: 100, keep_alive_timeout_ms: 60_000, ..limits() }).await;
    let mut client = server.connect().await;
    client.send(PING).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    client.send("GET /pi").await;
    let start = Instant::now();
    assert!(client.is_closed().await);
    assert!(start.elapsed() < Duration::from_secs(10), "closed after {:?}", start.elapsed());
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_given_up() {
    let server = start(Config { write_timeout_ms: 200, keep_alive_timeout_ms: 60_000, ..limits() }).await;
    let mut client = server.connect().await;
    client.send("GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    // The head arrives; nothing more is read until the server has given up.
    let mut head = [0; 16];
    client.stream.read_exact(&mut head).await.unwrap();
    // Not reading is what is tested, so there is no sign from the server to wait for.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let mut rest = Vec::new();
    let read = tokio::time::timeout(PATIENCE, client.stream.read_to_end(&mut rest)).await.expect("an end");
    assert!(read.is_err() || rest.len() < 64 << 20, "{} bytes came", rest.len());
}

#[tokio::test]
async fn an_oversized_body_is_refused_while_other_requests_go_on() {
    let server = start(limits()).await;
    let mut other = server.connect().await;
    let claimed = format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", MAX_BODY + 1);
    let answer = server.ask(&claimed).await;
    assert_eq!((answer.status, answer.error_code().as_str()), (413, "body_too_large"));
    other.send(PING).await;
    assert_eq!(other.answer().await.unwrap().status, 200);

    // Chunks claim nothing: they are counted as they come.
    let mut chunked = server.connect().await;
    chunked.send("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let chunk = format!("{:x}\r\n{}\r\n", 1_000, "x".repeat(1_000));
    for _ in 0..3 {
        chunked.send(&chunk).await;
    }
    let answer = chunked.answer().await.unwrap();
    assert_eq!((answer.status, answer.error_code().as_str()), (413, "body_too_large"));
    other.send(PING).await;
    assert_eq!(other.answer().await.unwrap().status, 200);

    let whole = format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {MAX_BODY}\r\n\r\n{}", "x".repeat(MAX_BODY));
    let answer = server.ask(&whole).await;
    assert_eq!((answer.status, answer.json()), (200, MAX_BODY.into()));
}

#[tokio::test]
async fn the_connection_above_the_cap_is_told_so_and_room_comes_back() {
    let server = start(Config { max_connections: 1, ..limits() }).await;
    let mut first = server.connect().await;
    first.send(PING).await;
    assert_eq!(first.answer().await.unwrap().status, 200);

    let mut second = server.connect().await;
    let answer = second.answer().await.expect("an answer without a request");
    assert_eq!((answer.status, answer.error_code().as_str()), (503, "too_many_connections"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(second.is_closed().await);

    drop(first);
    let served = async {
        loop {
            let mut next = server.connect().await;
            // A refused connection may be reset under the request.
            drop(next.stream.write_all(PING.as_bytes()).await);
            if next.answer().await.is_some_and(|answer| answer.status == 200) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, served).await.expect("room comes back");
}

#[tokio::test]
async fn a_panic_costs_one_request_and_no_other() {
    let server = start(limits()).await;
    let mut client = server.connect().await;
    client.send("GET /panic HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.error_code().as_str()), (503, "internal"));
    client.send(PING).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    assert_eq!(server.get("/ping").await.status, 200);
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_503() {
    let server = start(Config { request_timeout_ms: 100, ..limits() }).await;
    let answer = server.get("/wait").await;
    assert_eq!((answer.status, answer.error_code().as_str()), (503, "timeout"));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_drain_finishes_what_is_in_flight_and_takes_nothing_new() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut server = Server::start(limits(), routes(&entered, &release)).await;
    let mut idle = server.connect().await;
    idle.send(PING).await;
    assert_eq!(idle.answer().await.unwrap().status, 200);
    let mut busy = server.connect().await;
    busy.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await;
    entered.notified().await;

    server.stop();
    assert!(idle.is_closed().await, "a connection without a request ends at once");
    assert!(TcpStream::connect(server.address).await.is_err(), "the port is closed");
    release.notify_one();
    let answer = busy.answer().await.expect("the request in flight is answered");
    assert_eq!((answer.status, answer.json()), (200, "waited".into()));
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(server.drained().await.cut, 0);
}

#[tokio::test]
async fn a_drain_ends_by_its_deadline() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut server = Server::start(Config { drain_timeout_ms: 200, ..limits() }, routes(&entered, &release)).await;
    let mut busy = server.connect().await;
    busy.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await;
    entered.notified().await;
    let start = Instant::now();
    server.stop();
    assert_eq!(server.drained().await.cut, 1);
    assert!(start.elapsed() < Duration::from_secs(10), "took {:?}", start.elapsed());
    assert!(busy.answer().await.is_none());
}
