//! The whole way in one process: records in Kafka's formats → a node → a page over HTTP, equal to the formula.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use edgefeed::auth::demo_token;
use edgefeed::clock::now_ms;
use edgefeed::config::Config;
use edgefeed::node::Node;
use edgefeed::world::{Encoding, World, WorldConfig};
use edgefeed_storage::model::{Id, IdKind, Topic, TopicPartition};
use edgefeed_sync::{EmbeddedBroker, Producer};
use metrics_exporter_prometheus::PrometheusBuilder;
use secrecy::SecretString;
use serde_json::Value;

use crate::log::{PARTITIONS, history, topic_name};
use crate::oracle::{LogRecord, Oracle, OracleAlgo};

pub(crate) const SECRET: &str = "a secret of at least thirty-two bytes";
const PATIENCE: Duration = Duration::from_secs(60);

/// A node over a broker that holds a log.
pub(crate) struct Spine {
    _broker: EmbeddedBroker,
    _dir: tempfile::TempDir,
    pub(crate) node: Node,
    ids: IdKind,
}

impl Spine {
    pub(crate) async fn start(ids: IdKind, log: &[LogRecord]) -> Self {
        let topics: Vec<String> = Topic::ALL.into_iter().map(topic_name).collect();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let broker = EmbeddedBroker::start(&topics, PARTITIONS.cast_signed()).unwrap();
        let brokers = broker.address().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.node.ids = ids;
        config.http.listen.set_port(0);
        config.admin.listen.set_port(0);
        config.auth.hs256_secret = SecretString::from(SECRET);
        // A test asks faster than any reader.
        config.limits.subject_per_s = 0;
        // Nobody is turned away where the machine is full of other work: that is asked about elsewhere.
        config.limits.max_wait_ms = 0;
        config.storage.dir = dir.path().join("store");
        config.kafka.brokers = brokers.clone();
        config.kafka.topics.blocks = Some("cdc.blocks".to_owned());
        config.kafka.topics.users = Some("cdc.users".to_owned());
        let recorder = PrometheusBuilder::new().build_recorder().handle();
        let node = Node::start(config, recorder).await.unwrap();
        let spine = Self { _broker: broker, _dir: dir, node, ids };
        spine.write(&brokers, log).await;
        spine
    }

    async fn write(&self, brokers: &str, log: &[LogRecord]) {
        let (brokers, log, lag) = (brokers.to_owned(), log.to_vec(), self.node.now().lag.clone());
        let written = tokio::task::spawn_blocking(move || {
            let producer = Producer::connect(&brokers).unwrap();
            let mut ends: BTreeMap<(String, u32), i64> = BTreeMap::new();
            for record in &log {
                let key = record.key.as_deref().unwrap();
                let at = Some(record.partition.cast_signed());
                producer.send(&record.topic, at, key, record.value.as_deref(), Some(record.time_ms)).unwrap();
                ends.insert((record.topic.clone(), record.partition), record.offset + 1);
            }
            producer.flush(PATIENCE).unwrap();
            for ((topic, partition), end) in ends {
                let topic = Topic::ALL.into_iter().find(|known| topic_name(*known) == topic).unwrap();
                assert!(lag.wait_applied(TopicPartition { topic, partition }, end, PATIENCE), "{topic:?} {partition}");
            }
        });
        written.await.unwrap();
    }

    async fn page(&self, viewer: Id, query: &str) -> Value {
        let secret = SecretString::from(SECRET);
        let token = demo_token(&secret, &self.ids.format(viewer), Duration::from_secs(60)).unwrap();
        let url = format!("http://{}/api/v1/feed?{query}", self.node.http);
        let answer = reqwest::Client::new().get(url).bearer_auth(token).timeout(PATIENCE).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-feed-source"], "local");
        answer.json().await.unwrap()
    }
}

fn id_of(ids: IdKind, value: &Value) -> Id {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    ids.parse(&text).unwrap()
}

async fn pages_are_the_formula(ids: IdKind) {
    let config = WorldConfig { now_ms: now_ms(), ..WorldConfig::small(11, ids) };
    let world = World::new(config);
    let log = history(&world, &Encoding::new(ids));
    let spine = Spine::start(ids, &log).await;
    let mut oracle = Oracle::new(ids, 0);
    let folded_at = now_ms();
    log.iter().for_each(|record| oracle.fold(record, folded_at));
    // Trending posts are found by a job: what it finds from now on includes everything written.
    spine.node.now().feed.refresh_trending(now_ms());
    let mut full = 0;
    for number in (0..world.user_count()).rev().step_by(9) {
        let viewer = world.user(number);
        let page = spine.page(viewer, "limit=20&explain=1").await;
        let ranked_at = page["ranked_at"].as_i64().unwrap();
        let expected = oracle.feed(viewer, ranked_at, OracleAlgo::Ranked);
        let posts = page["posts"].as_array().unwrap();
        assert_eq!(posts.len(), expected.len().min(20));
        assert_eq!(page["has_more"], Value::Bool(expected.len() > 20));
        full += usize::from(posts.len() == 20);
        for (post, expected) in posts.iter().zip(&expected) {
            assert_eq!(id_of(ids, &post["id"]), expected.id);
            assert_eq!(post["score"].as_f64(), Some(expected.score), "shortest exact doubles survive JSON");
            assert_eq!(post["like_count"].as_u64(), Some(expected.like_count));
            assert_eq!(post["explain"]["engagement"].as_f64(), Some(expected.engagement));
        }
    }
    assert!(full > 0, "some reader has a full page");
    spine.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_over_http_equals_the_formula_at_ranked_at_with_uuids() {
    pages_are_the_formula(IdKind::Uuid).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_over_http_equals_the_formula_at_ranked_at_with_integers() {
    pages_are_the_formula(IdKind::U64).await;
}

/// The formula knows no zone but UTC: the same promises hold in a process that lives in another one.
#[test]
fn the_formula_holds_under_another_time_zone() {
    let tests =
        ["formula::feeds_of_a_world_with_uuids", "a_page_over_http_equals_the_formula_at_ranked_at_with_integers"];
    let output = Command::new(std::env::current_exe().unwrap()).args(tests).env("TZ", "Asia/Kolkata").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("2 passed"), "{text}");
}
