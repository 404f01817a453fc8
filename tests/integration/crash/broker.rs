//! An embedded broker together with everything that was written to it.

use std::collections::BTreeMap;
use std::time::Duration;

use edgefeed::world::{Message, partition_of};
use edgefeed_storage::model::Topic;
use edgefeed_sync::{EmbeddedBroker, Producer};

use crate::log::{PARTITIONS, topic_name};
use crate::oracle::LogRecord;

/// A broker of this process; it lives as long as the value, whatever happens to the nodes that read from it.
pub(crate) struct Kafka {
    broker: EmbeddedBroker,
    producer: Producer,
    ends: BTreeMap<(String, u32), i64>,
    log: Vec<LogRecord>,
}

impl Kafka {
    /// With every topic, and nothing in them.
    pub(crate) fn start() -> Self {
        let topics: Vec<String> = Topic::ALL.into_iter().map(topic_name).collect();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let broker = EmbeddedBroker::start(&topics, PARTITIONS.cast_signed()).unwrap();
        let producer = Producer::connect(&broker.address().unwrap()).unwrap();
        Self { broker, producer, ends: BTreeMap::new(), log: Vec::new() }
    }

    pub(crate) fn address(&self) -> String {
        self.broker.address().unwrap()
    }

    /// Writes a record where its key belongs.
    pub(crate) fn write(&mut self, message: Message) {
        let partition = partition_of(&message.key, PARTITIONS);
        self.write_to(partition, message);
    }

    /// Writes a record to a partition and tells its offset: the broker is new and this its only writer.
    pub(crate) fn write_to(&mut self, partition: u32, message: Message) -> i64 {
        let Message { topic, key, value, time_ms } = message;
        let topic = topic_name(topic);
        let end = self.ends.entry((topic.clone(), partition)).or_default();
        let offset = *end;
        *end += 1;
        self.producer.send(&topic, Some(partition.cast_signed()), &key, value.as_deref(), Some(time_ms)).unwrap();
        self.log.push(LogRecord { topic, partition, offset, time_ms, key: Some(key), value });
        offset
    }

    /// Waits until everything written is in the broker.
    pub(crate) fn flush(&self) {
        self.producer.flush(Duration::from_secs(30)).unwrap();
    }

    /// Everything written so far, in the order it was.
    pub(crate) fn log(&self) -> &[LogRecord] {
        &self.log
    }

    /// The offset after the last record of each partition that has any.
    pub(crate) fn ends(&self) -> &BTreeMap<(String, u32), i64> {
        &self.ends
    }
}
