//! Many at once: rates, places, and a node that has too much to do.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ::http::HeaderMap;
use edgefeed_storage::model::IdKind;
use tokio::sync::Semaphore;
use warp::path;

use super::{PATIENCE, Server};
use crate::auth::{self, Auth, demo_token};
use crate::http;
use crate::http::door::Door;
use crate::http::edge::Edge;
use crate::http::limits::Config;
use crate::http::resource::{Routes, Takes, json, listener, resource};

const PING: &str = "GET /ping HTTP/1.1\r\nhost: x\r\n\r\n";

/// `/ping` answers, `/wait` once there is a permit.
fn routes(permits: &Arc<Semaphore>) -> Routes {
    let permits = Arc::clone(permits);
    listener([
        resource(path!("ping"), "/ping", Takes::Get, |_| ready(json(&"pong"))),
        resource(path!("wait"), "/wait", Takes::Get, move |_| {
            let permits = Arc::clone(&permits);
            async move {
                drop(permits.acquire().await);
                json(&"waited")
            }
        }),
    ])
}

/// Nobody waits.
fn nobody() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(0))
}

async fn start(limits: Config, permits: &Arc<Semaphore>) -> Server {
    let edge = Edge::public(&http::Config::default(), &limits, None).counting_loopback();
    Server::start_behind(edge, routes(permits)).await
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_429_before_anything_is_looked_at() {
    let server = start(Config { address_per_s: 1, address_burst: 3, ..Config::default() }, &nobody()).await;
    for _ in 0..3 {
        assert_eq!(server.get("/ping").await.status, 200);
    }
    for path in ["/ping", "/nothing"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.error_code().as_str()), (429, "rate_limited"), "{path}");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_its_clients_are_counted_one_by_one() {
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let limits = Config { address_per_s: 1, address_burst: 1, trusted_proxies, ..Config::default() };
    let server = start(limits, &nobody()).await;
    let ask = async |forwarded: &str| {
        server.ask(&format!("GET /ping HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {forwarded}\r\n\r\n")).await.status
    };
    assert_eq!((ask("198.51.100.1").await, ask("198.51.100.2").await), (200, 200));
    assert_eq!(ask("198.51.100.1").await, 429);
    assert_eq!(ask("203.0.113.77, 198.51.100.2").await, 429, "what a client writes itself does not count");
    assert_eq!(server.get("/ping").await.status, 200, "the proxy's own probes are not counted");
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_no_more() {
    let server = start(Config { max_connections_per_address: 2, ..Config::default() }, &nobody()).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    for client in [&mut first, &mut second] {
        client.send(PING).await;
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
    let mut third = server.connect().await;
    let answer = third.answer().await.expect("an answer without a request");
    assert_eq!((answer.status, answer.error_code().as_str()), (503, "too_many_connections"));
    drop(first);
    let served = async {
        loop {
            let mut next = server.connect().await;
            drop(tokio::io::AsyncWriteExt::write_all(&mut next.stream, PING.as_bytes()).await);
            if next.answer().await.is_some_and(|answer| answer.status == 200) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, served).await.expect("a place comes back");
}

#[tokio::test]
async fn requests_above_those_in_work_are_turned_away_at_once_and_the_others_are_answered() {
    let permits = Arc::new(Semaphore::new(0));
    let server = start(Config { max_requests: 4, ..Config::default() }, &permits).await;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let mut client = server.connect().await;
        client.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await;
        waiting.push(client);
    }
    let busy = async { while server.get("/ping").await.status != 503 {} };
    tokio::time::timeout(PATIENCE, busy).await.expect("the places fill");
    let begun = Instant::now();
    let answer = server.get("/ping").await;
    assert_eq!((answer.status, answer.error_code().as_str()), (503, "overloaded"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(begun.elapsed() < Duration::from_secs(2), "took {:?}", begun.elapsed());
    permits.add_permits(4);
    for mut client in waiting {
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
    assert_eq!(server.get("/ping").await.status, 200, "the places are free again");
}

/// Work that keeps every processor busy makes everything wait; then the public listener turns a share away, and the
/// operators' one nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_work_waits_too_long_a_share_is_turned_away_and_operators_are_answered() {
    let public = start(Config { max_wait_ms: 20, ..Config::default() }, &nobody()).await;
    let operators = Server::start_behind(Edge::admin(&Config::default(), None), routes(&nobody())).await;
    let busy = Arc::new(AtomicBool::new(true));
    let hogs: Vec<_> = (0..8)
        .map(|_| {
            let busy = Arc::clone(&busy);
            tokio::spawn(async move {
                while busy.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    while start.elapsed() < Duration::from_millis(10) {
                        std::hint::spin_loop();
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let turned_away = async {
        while public.get("/ping").await.status != 503 {
            assert_eq!(operators.get("/ping").await.status, 200);
        }
    };
    tokio::time::timeout(PATIENCE, turned_away).await.expect("somebody is turned away");
    for _ in 0..20 {
        assert_eq!(operators.get("/ping").await.status, 200);
    }
    busy.store(false, Ordering::Relaxed);
    for hog in hogs {
        hog.await.unwrap();
    }
    let calm = async {
        let mut in_a_row = 0;
        while in_a_row < 50 {
            in_a_row = if public.get("/ping").await.status == 200 { in_a_row + 1 } else { 0 };
        }
    };
    tokio::time::timeout(PATIENCE, calm).await.expect("it ends with the overload");
}

#[tokio::test]
async fn ten_thousand_forged_subjects_are_not_remembered() {
    let config = auth::Config { hs256_secret: "0123456789abcdef0123456789abcdef".into(), ..auth::Config::default() };
    let door = Door::new(Auth::new(&config, IdKind::U64).unwrap(), &Config::default());
    let bearing = |secret: &str, user: u32| {
        let token = demo_token(&secret.into(), &user.to_string(), Duration::from_secs(60)).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        headers
    };
    for user in 0..10_000 {
        assert!(door.admit(&bearing("another secret of thirty-two bytes", user)).await.is_err());
    }
    assert_eq!(door.users_counted(), 0);
    let known = bearing("0123456789abcdef0123456789abcdef", 7);
    let mut outcomes = Vec::new();
    for _ in 0..300 {
        outcomes.push(door.admit(&known).await.err());
    }
    assert_eq!(door.users_counted(), 1);
    assert!(outcomes[..100].iter().all(Option::is_none), "the burst");
    assert_eq!(outcomes[299], Some(http::Error::RateLimited(1)));
}
