//! A node that was killed is back soon, however much it holds: it answers from its store at once, and is ready when it has
//! caught up. Its backup costs about what a plain copy costs.
//!
//! `EDGEFEED_START_MB` says how large the store is to be; then the times are held against the figures of the contract.
//! Without it the store is small and the machine busy with other tests, and only what happens is looked at.
#![allow(clippy::print_stdout, reason = "a proof tells what it measured")]

mod copies;
mod town;

use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use edgefeed_storage::model::{Id, IdKind};

use crate::compare;
use crate::crash::check::claims;
use crate::crash::dice::times;
use crate::crash::node::{Home, Node, PATIENCE};
use town::Town;

/// The figures of the contract, its floor: a first page, and ready, after the start of a store of 1 GB.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
const READY_WITHIN: Duration = Duration::from_secs(5);
/// Between two tries.
const LOOK: Duration = Duration::from_millis(5);

#[test]
fn after_kill_9_under_writes_a_node_answers_at_once_and_is_ready_soon() {
    let held_to_figures = std::env::var_os("EDGEFEED_START_MB").is_some();
    let (megabytes, kills) = (times("EDGEFEED_START_MB", 8), times("EDGEFEED_KILLS", 2));
    let (town, place) = (Town::new(megabytes), Place::new());
    let home = Home::new(&town.address(), "", "");
    place.configure(&home);
    let begun = Instant::now();
    let records = town.build(&home.store());
    let bytes = copies::size(&home.store());
    println!("a store of {:.0} MB, {records} records, in {:.0} s", mb(bytes), begun.elapsed().as_secs_f64());
    let reader = town.reader();
    let worst = thread::scope(|scope| {
        // Dropped on the way out, failing or not, which ends the writer.
        let (running, stop) = channel::<()>();
        let town = &town;
        scope.spawn(move || town.write(&stop));
        let mut node = home.start();
        node.wait_caught_up();
        let mut worst = (Duration::ZERO, Duration::ZERO);
        for number in 1..=kills {
            let before = applied(&node);
            node.wait_until("to apply more", |ingest| next_offsets(ingest) > before + 500);
            node.kill();
            let begun = Instant::now();
            node = home.start();
            let (answered, ready) = place.back(begun, reader);
            let (answered_s, ready_s) = (answered.as_secs_f64(), ready.as_secs_f64());
            println!("kill {number}: first page {answered_s:.2} s, ready {ready_s:.2} s after the start");
            worst = (worst.0.max(answered), worst.1.max(ready));
        }
        drop(running);
        assert_eq!(node.terminate().0, Some(0));
        worst
    });
    copies::against_a_plain_copy(&home, bytes);
    let ends = claims(&compare::open(&home.store(), IdKind::Uuid));
    let restored = claims(&compare::open(&home.beside("restored"), IdKind::Uuid));
    assert_eq!(restored, ends, "what came back is what was there");
    if held_to_figures {
        // Last, so that everything is measured however this ends.
        assert!(worst.0 <= ANSWERS_WITHIN && worst.1 <= READY_WITHIN, "the figures of the contract: {worst:?}");
    }
}

/// How many records it has applied, of all partitions.
fn applied(node: &Node) -> i64 {
    next_offsets(&node.ingest())
}

fn next_offsets(ingest: &serde_json::Value) -> i64 {
    let topics = ingest["topics"].as_object().unwrap().values();
    let partitions = topics.filter_map(|topic| topic["partitions"].as_object()).flat_map(|all| all.values());
    partitions.filter_map(|partition| partition["next_offset"].as_i64()).sum()
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Where a node is found before it has said so.
struct Place {
    http: u16,
    admin: u16,
}

impl Place {
    fn new() -> Self {
        // Free for now; nothing else of this test asks for one.
        let taken: Vec<TcpListener> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let port = |at: usize| taken[at].local_addr().unwrap().port();
        Self { http: port(0), admin: port(1) }
    }

    fn configure(&self, home: &Home) {
        let file = home.beside("edgefeed.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let listen =
            |key: &str, port: u16| (format!("{key} = \"127.0.0.1:0\""), format!("{key} = \"127.0.0.1:{port}\""));
        let mut text = text.replace("node.ids = \"u64\"", "node.ids = \"uuid\"");
        for (from, to) in [listen("http.listen", self.http), listen("admin.listen", self.admin)] {
            assert!(text.contains(&from));
            text = text.replace(&from, &to);
        }
        let depot = home.beside("depot");
        std::fs::write(file, format!("{text}\n[backup]\nurl = \"{}\"\n", depot.display())).unwrap();
    }

    /// How long after `begun` the first ranked page came, and how long until it was ready.
    fn back(&self, begun: Instant, reader: Id) -> (Duration, Duration) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let first = async |path: String, is_so: fn(&serde_json::Value) -> bool| {
            loop {
                let asked = client.get(&path).header("X-User-Id", uuid::Uuid::from_u128(reader.0).to_string()).send();
                if let Ok(answer) = asked.await
                    && answer.status() == 200
                {
                    let took = begun.elapsed();
                    let body = answer.json().await.unwrap_or_default();
                    assert!(is_so(&body), "{path}: {body:#}");
                    return took;
                }
                assert!(begun.elapsed() < PATIENCE, "{path} does not answer");
                tokio::time::sleep(LOOK).await;
            }
        };
        let page = format!("http://127.0.0.1:{}/api/v1/feed?limit=20", self.http);
        let ready = format!("http://127.0.0.1:{}/readyz", self.admin);
        let ranked = |page: &serde_json::Value| {
            page["posts"].as_array().is_some_and(|posts| !posts.is_empty()) && page["served_from"] == "local"
        };
        runtime.block_on(async { tokio::join!(first(page, ranked), first(ready, |_| true)) })
    }
}
