//! Every number that is promised is there, on a running node, with what it means; and docs/metrics.md is the list of them.
//!
//! Those of the way to the center and of jobs against it are looked for where a center is: in `center` and `rebuild`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use edgefeed::auth::demo_token;
use edgefeed::clock::now_ms;
use edgefeed::world::{Message, World};
use edgefeed_storage::model::{Id, IdKind, Topic};
use secrecy::SecretString;
use serde_json::json;

use crate::crash::broker::Kafka;
use crate::crash::dice::Dice;
use crate::crash::node::{Node, PATIENCE};
use crate::crash::{messages, small_world};
use crate::formula::viewers;
use crate::spine::SECRET;

/// What a node promises that has no center.
const PROMISED: &str = "ingest_records_total{topic,outcome} · ingest_lag_seconds{topic} · ingest_lag_records{topic,partition} · \
    ingest_batch_duration_seconds · dedup_hits_total · dedup_misses_total · dead_letters_total{topic,reason} · \
    store_write_duration_seconds · store_size_bytes · offsets_gap_total · sink_retries_total · sink_token_replays_total · \
    feed_requests_total{source,status} · feed_duration_seconds{source} · feed_candidates · feed_removed_total{reason} · \
    rank_duration_seconds · cache_requests_total{cache,result} · cache_invalidations_total · \
    affinity_fetch_duration_seconds{result} · breaker_state{dependency} · breaker_transitions_total{dependency} · \
    fallback_total{reason} · spool_depth · spool_oldest_seconds · rate_limited_total · auth_failures_total{reason} · \
    http_requests_total · job_last_success_timestamp_seconds{job} · event_to_visible_seconds · build_info";
/// Labels of the exposition's own.
const OF_HISTOGRAMS: [&str; 2] = ["le", "quantile"];

/// Names with the names of their labels.
type Labels = BTreeMap<String, BTreeSet<String>>;

fn named(text: &str) -> (String, BTreeSet<String>) {
    let (name, labels) = text.trim_end_matches('}').split_once('{').unwrap_or((text, ""));
    (name.to_owned(), labels.split(',').filter(|label| !label.is_empty()).map(str::to_owned).collect())
}

/// What docs/metrics.md says there is.
fn documented() -> Labels {
    let rows = include_str!("../../docs/metrics.md").lines();
    rows.filter_map(|row| row.strip_prefix("| `")?.split_once("` | "))
        .map(|(name, _)| named(name))
        .filter(|(name, _)| !name.contains('…'))
        .collect()
}

/// What a node tells, without the prefix that each name has: the labels of each, as they are; and each has HELP and TYPE.
fn told(exposition: &str) -> Labels {
    let mut told = Labels::new();
    let (mut helped, mut types) = (BTreeSet::new(), BTreeMap::new());
    for line in exposition.lines().filter(|line| !line.is_empty()) {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(text.len() > 3, "{line}");
            helped.insert(name);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            types.insert(name, kind);
        } else {
            let (sample, _) = line.rsplit_once(' ').unwrap();
            let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
            let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let name = of_histogram.filter(|name| types.get(name) == Some(&"histogram")).unwrap_or(name);
            assert!(helped.contains(name) && types.contains_key(name), "nothing says what {line} is");
            let short = name.strip_prefix("edgefeed_").unwrap_or_else(|| panic!("{name} is no name of ours"));
            let labels =
                labels.split("\",").filter_map(|label| label.split_once("=\"")).map(|(label, _)| label.to_owned());
            told.entry(short.to_owned())
                .or_default()
                .extend(labels.filter(|label| !OF_HISTOGRAMS.contains(&label.as_str())));
        }
    }
    told
}

/// A node with a world, one record that cannot be used, and a center that is away.
struct Stage {
    node: Node,
    world: World,
    client: reqwest::Client,
    _kafka: Kafka,
    _dir: tempfile::TempDir,
}

impl Stage {
    fn start() -> Self {
        let world = World::new(small_world(Dice::of_run().seed));
        let mut kafka = Kafka::start();
        messages(&world).into_iter().for_each(|message| kafka.write(message));
        let bad = Message { topic: Topic::Events, key: b"1".to_vec(), value: Some(b"{".to_vec()), time_ms: now_ms() };
        kafka.write(bad);
        kafka.flush();
        let dir = tempfile::tempdir().unwrap();
        let (config, store) = (dir.path().join("edgefeed.toml"), dir.path().join("store"));
        let text = format!(
            r#"
            node.ids = "u64"
            http.listen = "127.0.0.1:0"
            admin.listen = "127.0.0.1:0"
            auth.hs256_secret = "{SECRET}"
            storage.dir = "{}"
            clickhouse.url = "http://127.0.0.1:1"
            [kafka]
            brokers = "{}"
            topics.blocks = "cdc.blocks"
            topics.users = "cdc.users"
            watermark_poll_ms = 50
            "#,
            store.display(),
            kafka.address()
        );
        std::fs::write(&config, text).unwrap();
        let node = Node::start(&config);
        node.wait_caught_up();
        Self { node, world, client: reqwest::Client::new(), _kafka: kafka, _dir: dir }
    }

    /// A feed, an event and a token that nobody believes, of each of some readers.
    async fn traffic(&self, readers: &[Id]) {
        let url = format!("http://{}/api/v1", self.node.public());
        for reader in readers {
            let secret = SecretString::from(SECRET);
            let token = demo_token(&secret, &IdKind::U64.format(*reader), Duration::from_secs(60)).unwrap();
            let feed = self.client.get(format!("{url}/feed")).timeout(PATIENCE);
            assert_eq!(feed.bearer_auth(&token).send().await.unwrap().status(), 200);
            let event = json!({ "events": [{ "post_id": 1, "action": "impression" }] });
            let post = self.client.post(format!("{url}/events")).timeout(PATIENCE).json(&event);
            assert_eq!(post.bearer_auth(&token).send().await.unwrap().status(), 202);
            let forged = self.client.get(format!("{url}/feed")).timeout(PATIENCE).bearer_auth("a.b.c");
            assert_eq!(forged.send().await.unwrap().status(), 401);
        }
    }
}

#[test]
fn every_promised_metric_is_there_with_what_it_means_and_the_documented_labels() {
    let stage = Stage::start();
    let readers = viewers(&stage.world, 10);
    let promised: Labels = PROMISED.split('·').map(|text| named(text.trim())).collect();
    let documented = documented();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let deadline = Instant::now() + PATIENCE;
    let told = loop {
        runtime.block_on(stage.traffic(&readers));
        let told = told(&stage.node.exposition());
        let missing: Vec<_> = promised.keys().filter(|name| !told.contains_key(*name)).collect();
        if missing.is_empty() {
            break told;
        }
        assert!(Instant::now() < deadline, "not there: {missing:?}");
    };
    for (name, labels) in &promised {
        assert!(told[name].is_superset(labels), "{name} has the labels {:?}", told[name]);
    }
    // What it tells, promised or not, is documented, to the label; so no reader and no post is one.
    for (name, labels) in &told {
        assert_eq!(documented.get(name), Some(labels), "{name}: left: docs/metrics.md, right: /metrics");
    }
    let (code, words) = stage.node.terminate();
    assert_eq!(code, Some(0), "{words}");
}
