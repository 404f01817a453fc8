//! The next page of a pinned chain over HTTP, token checked, against a static answer of the same server in the same run.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use edgefeed::auth::demo_token;
use edgefeed::clock::now_ms;
use edgefeed::config::Config;
use edgefeed::feed::FeedRequest;
use edgefeed::http::resource::{Takes, listener, resource, with_type};
use edgefeed::http::{self, Edge, limits};
use edgefeed::node::Node;
use edgefeed::world::{World, WorldConfig};
use edgefeed_storage::model::{Id, IdKind, Outcome, Record, Topic, TopicPartition};
use edgefeed_storage::{Contact, OpenOptions, Store};
use metrics_exporter_prometheus::PrometheusBuilder;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

const SECRET: &str = "a secret of at least thirty-two bytes";
const CONNECTIONS: usize = 32;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
/// Of a page of twenty posts, about.
const STATIC_BYTES: usize = 3 * 1024;

pub(crate) fn run() {
    println!("\npinned pages: {CONNECTIONS} connections, 20 posts a page, best of {ROUNDS} rounds each, in turn");
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(WorldConfig::demo(2_000, 40_000, 5, IdKind::Uuid, now_ms()));
    build(&world, dir.path());
    let (server, client) = (runtime(), runtime());
    let (node, plain) = server.block_on(start(dir.path()));
    let still = request(plain, "/static", None);
    let first = firsts(&world, &node);
    let next: Vec<Bytes> =
        first.iter().map(|(viewer, cursor)| feed(&node, *viewer, &format!("&cursor={cursor}"))).collect();
    let anew: Vec<Bytes> = first.iter().map(|(viewer, _)| feed(&node, *viewer, "")).collect();
    let mut best = [0.0_f64; 3];
    for _ in 0..ROUNDS {
        let rates = [
            client.block_on(rate(plain, std::slice::from_ref(&still))),
            client.block_on(rate(node.http, &next)),
            client.block_on(rate(node.http, &anew)),
        ];
        for (best, rate) in best.iter_mut().zip(rates) {
            *best = best.max(rate);
        }
    }
    let [plain_rate, next_rate, anew_rate] = best;
    let bytes = client.block_on(length(node.http, &next[0]));
    println!("  static answer of {STATIC_BYTES} bytes                {plain_rate:>10.0} /s   100 %");
    let share = |rate: f64| 100.0 * rate / plain_rate;
    println!("  next page of a pinned chain ({bytes} bytes)   {next_rate:>10.0} /s   {:>3.0} %", share(next_rate));
    println!("  first page, ranked anew                    {anew_rate:>10.0} /s   {:>3.0} %", share(anew_rate));
    server.block_on(node.stop()).unwrap();
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A store as a node finds it that was stopped a moment ago.
fn build(world: &World, dir: &std::path::Path) {
    let config = edgefeed_storage::Config { dir: dir.join("store"), ..edgefeed_storage::Config::default() };
    let store = Store::open(&config, OpenOptions { ids: IdKind::Uuid, apply_truncates: false }).unwrap();
    let mut ends = std::collections::BTreeMap::new();
    let records = world.history().map(|fact| {
        let at = TopicPartition { topic: fact.topic(), partition: 0 };
        let end: &mut i64 = ends.entry(at).or_default();
        *end += 1;
        let outcome = Outcome::Change(fact.to_change(0));
        Record { at, offset: *end - 1, time: fact.time_ms, outcome, raw: None }
    });
    for batch in records.collect::<Vec<_>>().chunks(2_000) {
        store.apply(batch, world.config().now_ms).unwrap();
    }
    store.note_contact(&Contact { through: now_ms(), topics: Topic::ALL.to_vec() }).unwrap();
}

/// A node that hears of no Kafka, and a static answer beside it on the same kind of server.
async fn start(dir: &std::path::Path) -> (Node, SocketAddr) {
    let mut config = Config::default();
    config.http.listen.set_port(0);
    config.admin.listen.set_port(0);
    config.auth.hs256_secret = SecretString::from(SECRET);
    // Few readers ask, and as fast as they can.
    config.limits.subject_per_s = 0;
    config.storage.dir = dir.join("store");
    config.kafka.brokers = "127.0.0.1:1".to_owned();
    // Metrics are counted as on any node.
    let recorder = PrometheusBuilder::new().install_recorder().unwrap();
    let node = Node::start(config, recorder).await.unwrap();
    let body = Bytes::from(vec![b'x'; STATIC_BYTES]);
    let answer = move |_| {
        let body = body.clone();
        async move { Ok(with_type("application/json", body)) }
    };
    let routes = listener([resource(warp::path!("static"), "/static", Takes::Get, answer)]);
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let edge = Edge::public(&http::Config::default(), &limits::Config::default(), None);
    tokio::spawn(http::serve(socket, routes, edge, std::future::pending()));
    (node, address)
}

/// Readers with long feeds, and the cursors of their second pages.
fn firsts(world: &World, node: &Node) -> Vec<(Id, String)> {
    let runtime = runtime();
    let page = |viewer: Id| {
        let page = Arc::clone(&node.now().answers).page(FeedRequest::of(viewer), now_ms());
        runtime.block_on(page).unwrap()
    };
    let long = |viewer: &Id| {
        let asked = FeedRequest { limit: 100, ..FeedRequest::of(*viewer) };
        node.now().feed.page(&asked, now_ms()).unwrap().posts.len() == 100
    };
    let readers = (0..world.user_count()).rev().map(|number| world.user(number)).filter(long);
    readers.take(256).map(|viewer| (viewer, page(viewer).cursor.unwrap())).collect()
}

fn feed(node: &Node, viewer: Id, query: &str) -> Bytes {
    let token =
        demo_token(&SecretString::from(SECRET), &IdKind::Uuid.format(viewer), Duration::from_secs(600)).unwrap();
    request(node.http, &format!("/api/v1/feed?limit=20{query}"), Some(&token))
}

fn request(address: SocketAddr, path: &str, token: Option<&str>) -> Bytes {
    let bearer = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    Bytes::from(format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n{bearer}\r\n"))
}

/// Answers a second, each connection asking as soon as it is answered.
async fn rate(address: SocketAddr, requests: &[Bytes]) -> f64 {
    let (over, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let connections = (0..CONNECTIONS).map(|n| {
        let (over, answers, requests) = (Arc::clone(&over), Arc::clone(&answers), requests.to_vec());
        tokio::spawn(async move {
            let mut connection = Connection::open(address).await;
            for request in requests.iter().cycle().skip(n * 7) {
                connection.ask(request).await;
                answers.fetch_add(1, Ordering::Relaxed);
                if over.load(Ordering::Relaxed) {
                    return;
                }
            }
        })
    });
    let connections: Vec<_> = connections.collect();
    let started = Instant::now();
    tokio::time::sleep(ROUND).await;
    over.store(true, Ordering::Relaxed);
    let rate = answers.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64();
    for connection in connections {
        connection.await.unwrap();
    }
    rate
}

async fn length(address: SocketAddr, request: &Bytes) -> usize {
    Connection::open(address).await.ask(request).await
}

/// A client that does as little as it can.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: vec![0; 64 << 10] }
    }

    /// Sends a request and takes the whole answer, which must be 200; the length of its body.
    async fn ask(&mut self, request: &[u8]) -> usize {
        self.stream.write_all(request).await.unwrap();
        let mut filled = 0;
        loop {
            filled += self.stream.read(&mut self.buffer[filled..]).await.unwrap();
            let Some(end) = self.buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&self.buffer[..end]).unwrap();
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            let field = head.split("content-length: ").nth(1).unwrap();
            let length: usize = field.split("\r\n").next().unwrap().parse().unwrap();
            while filled < end + 4 + length {
                filled += self.stream.read(&mut self.buffer[filled..]).await.unwrap();
            }
            return length;
        }
    }
}
