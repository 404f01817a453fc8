//! Everything that stands in a test's topics, and whether a node has applied it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::node::Node;
use super::place::Place;
use super::steps::until;
use crate::oracle::{LogRecord, Oracle};

const APPLIED_WITHIN: Duration = Duration::from_secs(20);

#[derive(Deserialize)]
struct Dumped {
    topic: String,
    partition: u32,
    offset: i64,
    timestamp: i64,
    key: Option<String>,
    value: Option<String>,
}

/// Every record, under the topics' default names, as the oracle knows them.
pub(crate) fn records(place: &Place) -> Vec<LogRecord> {
    let dump = place.stack.ask_kafka(&["dump", &place.name]);
    dump.lines().map(|line| read(place, line)).collect()
}

fn read(place: &Place, line: &str) -> LogRecord {
    let record: Dumped = serde_json::from_str(line).unwrap();
    let name = record.topic.strip_prefix(&place.topic("")).unwrap();
    LogRecord {
        topic: if name == "events" { name.to_owned() } else { format!("cdc.{name}") },
        partition: record.partition,
        offset: record.offset,
        time_ms: record.timestamp,
        key: record.key.map(String::into_bytes),
        value: record.value.map(String::into_bytes),
    }
}

/// The oracle of these records.
pub(crate) fn oracle(place: &Place, records: &[LogRecord], now_ms: i64) -> Oracle {
    let mut oracle = Oracle::new(place.ids, 0);
    records.iter().for_each(|record| oracle.fold(record, now_ms));
    oracle
}

/// Waits until a node has applied all these records.
pub(crate) async fn applied(node: &Node, records: &[LogRecord]) {
    let mut ends: BTreeMap<(String, u32), i64> = BTreeMap::new();
    for record in records {
        let end = ends.entry((record.topic.clone(), record.partition)).or_default();
        *end = record.offset.max(*end - 1) + 1;
    }
    let mut behind = None;
    let done = until(APPLIED_WITHIN, async || {
        let status = node.status().await?;
        behind = ends.iter().find(|((topic, partition), end)| next_offset(&status, topic, *partition) < **end);
        behind.is_none().then_some(())
    });
    assert!(done.await.is_some(), "not applied within {APPLIED_WITHIN:?}: {behind:?}");
}

/// What a node reads next of a partition; 0 before it knows the partition.
pub(crate) fn next_offset(status: &Value, topic: &str, partition: u32) -> i64 {
    let name = topic.strip_prefix("cdc.").unwrap_or(topic);
    status["ingest"]["topics"][name]["partitions"][partition.to_string()]["next_offset"].as_i64().unwrap_or(0)
}
