//! The same over HTTP: a page ranked with what the center knows, and a page all the same when the center is away.

use std::time::{Duration, Instant};

use edgefeed::auth::demo_token;
use edgefeed::clock::now_ms;
use edgefeed::config::Config;
use edgefeed::node::Node;
use edgefeed_storage::model::{DAY_MS, HOUR_MS, Id, IdKind, Topic};
use edgefeed_sync::{EmbeddedBroker, Producer, center};
use metrics_exporter_prometheus::PrometheusBuilder;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::place::Place;
use super::told::{CLUSTER, Told};
use crate::log::topic_name;

const SECRET: &str = "a secret of at least thirty-two bytes";
const PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 2;
const ME: Id = Id(1);
/// Whom I do not follow.
const AUTHOR: u64 = 20;
const POST: u64 = 7;

/// A node over a log with one post in it.
struct Town {
    _broker: EmbeddedBroker,
    _dir: tempfile::TempDir,
    node: Node,
}

impl Town {
    async fn start(clickhouse: center::Config) -> Self {
        let topics: Vec<String> = Topic::ALL.into_iter().map(topic_name).collect();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let broker = EmbeddedBroker::start(&topics, PARTITIONS).unwrap();
        let brokers = broker.address().unwrap();
        write(&brokers).await;
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.node.ids = IdKind::U64;
        config.node.cluster = CLUSTER.to_owned();
        config.http.listen.set_port(0);
        config.admin.listen.set_port(0);
        config.auth.hs256_secret = SecretString::from(SECRET);
        config.storage.dir = dir.path().join("store");
        config.kafka.brokers = brokers;
        config.clickhouse = clickhouse;
        let recorder = PrometheusBuilder::new().build_recorder().handle();
        let node = Node::start(config, recorder).await.unwrap();
        Self { _broker: broker, _dir: dir, node }
    }

    /// The page once the node has caught up, and `is_it` says so.
    async fn page(&self, is_it: impl Fn(&Value) -> bool) -> Value {
        let token = demo_token(&SecretString::from(SECRET), "1", PATIENCE).unwrap();
        let url = format!("http://{}/api/v1/feed?explain=1", self.node.http);
        let client = reqwest::Client::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = client.get(&url).bearer_auth(&token).timeout(PATIENCE).send().await.unwrap();
            let status = answer.status();
            let page: Value = answer.json().await.unwrap();
            // Before anything was applied there is nothing to answer from.
            if status == 200 && !marks(&page).contains(&"catching_up") && is_it(&page) {
                assert_eq!(page["served_from"], "local");
                return page;
            }
            assert!(Instant::now() < deadline, "{status}: {page}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn status(&self) -> Value {
        reqwest::get(format!("http://{}/status", self.node.admin)).await.unwrap().json().await.unwrap()
    }
}

fn marks(page: &Value) -> Vec<&str> {
    page["degraded"].as_array().unwrap().iter().map(|mark| mark.as_str().unwrap()).collect()
}

async fn write(brokers: &str) {
    let (brokers, now) = (brokers.to_owned(), now_ms());
    let source = json!({ "table": "posts", "lsn": 1_000, "ts_ms": now });
    let after = json!({ "id": POST, "user_id": AUTHOR, "created_at": now - 100 * HOUR_MS });
    let post = json!({ "before": null, "after": after, "op": "c", "source": source, "ts_ms": now }).to_string();
    let key = json!({ "id": POST }).to_string();
    let written = tokio::task::spawn_blocking(move || {
        let producer = Producer::connect(&brokers).unwrap();
        producer.send("cdc.posts", None, key.as_bytes(), Some(post.as_bytes()), Some(now)).unwrap();
        producer.flush(PATIENCE).unwrap();
    });
    written.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_ranked_with_what_the_center_knows_from_before_the_node() {
    let promise = "a page is ranked with what the center knows from before the node";
    let Some(place) = Place::or_unproved(promise, IdKind::U64).await else { return };
    let now = now_ms();
    let viewed = |number: i64| Told::view(number, now - 40 * DAY_MS + number, ME, Id(u128::from(AUTHOR)));
    place.tell(&[viewed(0), viewed(1), viewed(2)]).await;
    let town = Town::start(place.config(&place.url)).await;
    let page = town.page(|page| !marks(page).contains(&"affinity_stale")).await;
    let post = &page["posts"][0];
    assert_eq!(post["id"], POST, "neither followed nor trending: {page}");
    assert_eq!(post["sources"], json!(["affinity"]));
    assert_eq!(post["explain"]["affinity"].as_f64(), Some(4_f64.ln()), "three views");
    let as_of: jiff::Timestamp = page["freshness"]["affinity_as_of"].as_str().unwrap().parse().unwrap();
    assert!((now..=now_ms()).contains(&as_of.as_millisecond()), "{as_of}");
    let status = town.status().await;
    assert_eq!(status["affinity"]["center"], true);
    assert_eq!(status["affinity"]["not_asked"], Value::Null);
    town.node.stop().await.unwrap();
    place.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_answered_and_marked_while_clickhouse_is_away() {
    // A port nobody listens on any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let town = Town::start(center::Config { url: format!("http://{gone}"), ..center::Config::default() }).await;
    for _ in 0..20 {
        let started = Instant::now();
        let page = town.page(|_| true).await;
        assert_eq!(marks(&page).iter().filter(|mark| **mark == "affinity_stale").count(), 1, "{page}");
        assert_eq!(page["freshness"]["affinity_as_of"], Value::Null, "nobody knows");
        assert!(started.elapsed() < PATIENCE);
    }
    town.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_center_is_as_fresh_as_its_log() {
    let town = Town::start(center::Config::default()).await;
    let page = town.page(|page| page["freshness"]["applied_through"].is_string()).await;
    assert!(!marks(&page).contains(&"affinity_stale"));
    assert_eq!(page["freshness"]["affinity_as_of"], page["freshness"]["applied_through"]);
    assert_eq!(town.status().await["affinity"], json!({ "center": false }));
    town.node.stop().await.unwrap();
}
