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

use crate::table::cpu_time;

const SECRET: &str = "a secret of at least thirty-two bytes";
/// How many ask at once: one, as many as keep two cores busy, and more than that.
const CONNECTIONS: [usize; 3] = [1, 4, 32];
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
/// Of a page of twenty posts, about.
const STATIC_BYTES: usize = 3 * 1024;

pub(crate) fn run() {
    println!("\npinned pages: 20 posts a page, best of {ROUNDS} rounds each, in turn");
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(WorldConfig::demo(2_000, 40_000, 5, IdKind::Uuid, now_ms()));
    build(&world, dir.path());
    let (server, client) = (runtime(), runtime());
    let (node, plain) = server.block_on(start(dir.path()));
    let still = [request(plain, "/static", None)];
    let readers = readers(&world, &node);
    let anew: Vec<Bytes> = readers.iter().map(|viewer| feed(&node, *viewer, "")).collect();
    let bytes = client.block_on(length(node.http, &anew[0]));
    println!("  (a page has {bytes} bytes, the static answer {STATIC_BYTES})");
    for connections in CONNECTIONS {
        let mut best = [Measured::default(); 3];
        for _ in 0..ROUNDS {
            // Pages ranked anew leave pins as well, and those of a round would push one another out.
            for viewer in &readers {
                node.now().answers.forget(*viewer, now_ms());
            }
            let next: Vec<Bytes> = readers.iter().map(|viewer| next_page(&node, *viewer)).collect();
            let measured = [
                client.block_on(measure(connections, plain, &still, "HTTP/1.1 200")),
                client.block_on(measure(connections, node.http, &next, "x-feed-source: cache")),
                client.block_on(measure(connections, node.http, &anew, "x-feed-source: local")),
            ];
            for (best, measured) in best.iter_mut().zip(measured) {
                *best = best.better(measured);
            }
        }
        print(connections, &best);
    }
    server.block_on(node.stop()).unwrap();
}

fn print(connections: usize, best: &[Measured; 3]) {
    println!("  {connections} connections");
    for (what, measured) in ["static answer", "next page of a pinned chain", "first page, ranked anew"].iter().zip(best)
    {
        println!(
            "    {what:<30} {:>8.0} /s {:>5.0} %    processor time of server and client {:>6.1} µs {:>5.0} %",
            measured.rate,
            100.0 * measured.rate / best[0].rate,
            measured.cpu_us,
            100.0 * best[0].cpu_us / measured.cpu_us
        );
    }
}

/// What a round came to.
#[derive(Clone, Copy)]
struct Measured {
    /// Answers a second.
    rate: f64,
    /// Processor time of this process for each answer: what others do on the machine does not show in it.
    cpu_us: f64,
}

impl Default for Measured {
    fn default() -> Self {
        Self { rate: 0.0, cpu_us: f64::INFINITY }
    }
}

impl Measured {
    fn better(self, other: Self) -> Self {
        Self { rate: self.rate.max(other.rate), cpu_us: self.cpu_us.min(other.cpu_us) }
    }
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
    // Nor is anybody turned away because the machine is busy with something else.
    config.limits.max_wait_ms = 0;
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

/// Readers with long feeds.
fn readers(world: &World, node: &Node) -> Vec<Id> {
    let long = |viewer: &Id| {
        let asked = FeedRequest { limit: 100, ..FeedRequest::of(*viewer) };
        node.now().feed.page(&asked, now_ms()).unwrap().posts.len() == 100
    };
    let readers = (0..world.user_count()).rev().map(|number| world.user(number)).filter(long);
    readers.take(256).collect()
}

/// The request for a reader's second page.
fn next_page(node: &Node, viewer: Id) -> Bytes {
    let page = Arc::clone(&node.now().answers).page(FeedRequest::of(viewer), now_ms());
    let first = Builder::new_current_thread().enable_all().build().unwrap().block_on(page).unwrap();
    feed(node, viewer, &format!("&cursor={}", first.cursor.unwrap()))
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

/// Each connection asks as soon as it is answered; every head has these words in it.
async fn measure(connections: usize, address: SocketAddr, requests: &[Bytes], words: &'static str) -> Measured {
    let (over, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let connections = (0..connections).map(|n| {
        let (over, answers, requests) = (Arc::clone(&over), Arc::clone(&answers), requests.to_vec());
        tokio::spawn(async move {
            let mut connection = Connection::open(address).await;
            for request in requests.iter().cycle().skip(n * 7) {
                connection.ask(request, words).await;
                answers.fetch_add(1, Ordering::Relaxed);
                if over.load(Ordering::Relaxed) {
                    return;
                }
            }
        })
    });
    let connections: Vec<_> = connections.collect();
    let (started, cpu) = (Instant::now(), cpu_time());
    tokio::time::sleep(ROUND).await;
    over.store(true, Ordering::Relaxed);
    let answers = answers.load(Ordering::Relaxed) as f64;
    let (took, cpu) = (started.elapsed(), cpu_time() - cpu);
    for connection in connections {
        connection.await.unwrap();
    }
    Measured { rate: answers / took.as_secs_f64(), cpu_us: cpu.as_secs_f64() * 1e6 / answers }
}

async fn length(address: SocketAddr, request: &Bytes) -> usize {
    Connection::open(address).await.ask(request, "").await
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
    async fn ask(&mut self, request: &[u8], words: &str) -> usize {
        self.stream.write_all(request).await.unwrap();
        let mut filled = 0;
        loop {
            filled += self.stream.read(&mut self.buffer[filled..]).await.unwrap();
            let Some(end) = self.buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&self.buffer[..end]).unwrap();
            assert!(head.starts_with("HTTP/1.1 200") && head.contains(words), "{head}");
            let field = head.split("content-length: ").nth(1).unwrap();
            let length: usize = field.split("\r\n").next().unwrap().parse().unwrap();
            while filled < end + 4 + length {
                filled += self.stream.read(&mut self.buffer[filled..]).await.unwrap();
            }
            return length;
        }
    }
}
