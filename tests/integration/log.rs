//! A world's records as they would lie in Kafka: partitioned, numbered, stamped.

use std::collections::BTreeMap;

use edgefeed::world::{Encoding, World, partition_of};
use edgefeed_storage::model::{Record, TimestampMs, Topic, TopicPartition};
use edgefeed_sync::decode::{self, Decode};

use crate::oracle::LogRecord;

pub(crate) const PARTITIONS: u32 = 4;

/// The Kafka name of a topic.
pub(crate) fn topic_name(topic: Topic) -> String {
    topic.table().map_or_else(|| "events".to_owned(), |table| format!("cdc.{table}"))
}

fn topic_of(name: &str) -> Topic {
    Topic::ALL.into_iter().find(|topic| topic_name(*topic) == name).unwrap()
}

/// The history of a world, in the order it was written.
pub(crate) fn history(world: &World, encoding: &Encoding) -> Vec<LogRecord> {
    let mut ends: BTreeMap<(String, u32), i64> = BTreeMap::new();
    let mut log = Vec::new();
    for message in world.history().flat_map(|fact| encoding.encode(&fact)) {
        let topic = topic_name(message.topic);
        let partition = partition_of(&message.key, PARTITIONS);
        let end = ends.entry((topic.clone(), partition)).or_default();
        log.push(LogRecord {
            topic,
            partition,
            offset: *end,
            time_ms: message.time_ms,
            key: Some(message.key),
            value: message.value,
        });
        *end += 1;
    }
    log
}

/// A record as the node's consumer would hand it over.
pub(crate) fn decoded(record: &LogRecord, settings: &Decode, now_ms: TimestampMs) -> Record {
    let topic = topic_of(&record.topic);
    let (key, value) = (record.key.as_deref(), record.value.as_deref());
    let at = TopicPartition { topic, partition: record.partition };
    decode::record(at, record.offset, record.time_ms, key, value, settings, now_ms)
}

pub(crate) fn settings(ids: edgefeed_storage::model::IdKind) -> Decode {
    Decode { ids, cdc_epoch: 0, record_max_bytes: 1 << 20 }
}
