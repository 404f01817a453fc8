//! A Kafka of its own topics: written to by a log's author, and asked what the sink's group has committed.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use edgefeed_sync::Producer;

use super::log::{Entry, Source};
use crate::crash::group::{ask, text};

const OFFSET_FETCH: (i16, i16) = (9, 1);
const DELIVERED_WITHIN: Duration = Duration::from_secs(60);

/// The topics of one test.
pub(crate) struct Topics {
    pub(crate) broker: String,
    /// What their names begin with.
    pub(crate) prefix: String,
    pub(crate) partitions: u32,
    producer: Producer,
    owned: bool,
}

/// What the group has committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) metadata: String,
}

impl Topics {
    /// New topics on a real Kafka, whose records bear the producer's time, and the topics of their dead letters.
    pub(crate) fn create(broker: &str, prefix: &str, partitions: u32) -> Self {
        let topics = Self::on(broker, prefix, partitions, true);
        topics.make();
        topics
    }

    /// Topics that are there already, on somebody's broker.
    pub(crate) fn on(broker: &str, prefix: &str, partitions: u32, owned: bool) -> Self {
        let producer = Producer::connect(broker).unwrap();
        Self { broker: broker.to_owned(), prefix: prefix.to_owned(), partitions, producer, owned }
    }

    pub(crate) fn make(&self) {
        let names = self.names();
        let mut words = vec!["create", "4"];
        let partitions = self.partitions.to_string();
        words[1] = &partitions;
        words.extend(names.iter().map(String::as_str));
        words.push("message.timestamp.type=CreateTime");
        self.ask(&words);
    }

    /// Deletes these sources' topics, and makes them anew, empty.
    pub(crate) fn recreate(&self, sources: &[Source]) {
        let names: Vec<String> = sources.iter().map(|source| self.name(*source)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.ask(&[&["delete"], &*names].concat());
        self.make();
    }

    pub(crate) fn name(&self, source: Source) -> String {
        format!("{}{}", self.prefix, source.name())
    }

    /// Every topic there is, dead letters included.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = Source::ALL.map(|source| self.name(source));
        names.iter().cloned().chain(names.iter().map(|name| format!("dlq.{name}"))).collect()
    }

    /// Queues a record in its partition.
    pub(crate) fn send(&self, entry: &Entry) {
        let (topic, partition) = (self.name(entry.source), entry.partition.cast_signed());
        self.producer
            .send(&topic, Some(partition), &entry.key, entry.value.as_deref(), Some(entry.time_ms))
            .unwrap_or_else(|error| panic!("{topic}-{partition}: {error}"));
    }

    /// Waits until Kafka has everything.
    pub(crate) fn delivered(&self) {
        self.producer.flush(DELIVERED_WITHIN).unwrap();
    }

    /// The records of the dead-letter topics of a source: key to value and headers.
    pub(crate) fn dead_letters(&self, source: Source) -> BTreeMap<String, (String, BTreeMap<String, String>)> {
        let mut letters = BTreeMap::new();
        for line in self.ask(&["dump", &format!("dlq.{}", self.name(source))]).lines() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let headers = serde_json::from_value(record["headers"].clone()).unwrap();
            let text = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
            letters.insert(text("key"), (text("value"), headers));
        }
        letters
    }

    /// Every record of a source's topic.
    pub(crate) fn records(&self, source: Source) -> Vec<serde_json::Value> {
        self.ask(&["dump", &self.name(source)]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Drops the records below these offsets, as retention does when their time is over.
    pub(crate) fn drop_below(&self, offsets: &BTreeMap<(Source, u32), i64>) {
        let place = |((source, partition), offset): (&(Source, u32), &i64)| {
            format!("{}:{partition}:{offset}", self.name(*source))
        };
        let words: Vec<String> = offsets.iter().map(place).collect();
        self.ask(&[&["cut"], &*words.iter().map(String::as_str).collect::<Vec<_>>()].concat());
    }

    /// Has retention drop every record there is: it is set to so little, and waited for.
    pub(crate) fn expire(&self, after: Duration) {
        let after = after.as_millis().to_string();
        let names = Source::ALL.map(|source| self.name(source));
        self.ask(&[&["expire", &after], &*names.iter().map(String::as_str).collect::<Vec<_>>()].concat());
    }

    /// Ends that: what is written from now on stays.
    pub(crate) fn keep(&self) {
        let names = Source::ALL.map(|source| self.name(source));
        self.ask(&[&["keep"], &*names.iter().map(String::as_str).collect::<Vec<_>>()].concat());
    }

    /// Deletes a group, which nobody may be in.
    pub(crate) fn delete_group(&self, group: &str) {
        assert_eq!(self.ask(&["group-delete", group]).trim(), "deleted");
    }

    fn ask(&self, words: &[&str]) -> String {
        let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/center/topics.py");
        let done = Command::new("python3").arg(script).arg(&self.broker).args(words).output().unwrap();
        assert!(done.status.success(), "topics.py {words:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    /// What a group has committed, by topic and partition; nothing where it has not, or while its coordinator is
    /// not to be reached.
    pub(crate) fn committed(&self, group: &str) -> BTreeMap<(Source, u32), Committed> {
        let answer = ask(&self.broker, OFFSET_FETCH, &self.offset_fetch(group));
        let mut fields = Fields(&answer[4..]);
        let mut found = BTreeMap::new();
        for _ in 0..fields.i32() {
            let topic = fields.text();
            let source = Source::ALL.into_iter().find(|source| self.name(*source) == topic).unwrap();
            for _ in 0..fields.i32() {
                let partition = u32::try_from(fields.i32()).unwrap();
                let (offset, metadata, error) = (fields.i64(), fields.text(), fields.i16());
                if offset >= 0 && error == 0 {
                    found.insert((source, partition), Committed { offset, metadata });
                }
            }
        }
        found
    }

    fn offset_fetch(&self, group: &str) -> Vec<u8> {
        let mut body = text(group);
        body.extend(6_i32.to_be_bytes());
        for source in Source::ALL {
            body.extend(text(&self.name(source)));
            body.extend(self.partitions.to_be_bytes());
            (0..self.partitions).for_each(|partition| body.extend(partition.to_be_bytes()));
        }
        body
    }
}

impl Drop for Topics {
    /// Topics left behind make Kafka's next start slower.
    fn drop(&mut self) {
        if self.owned && !std::thread::panicking() {
            let names = self.names();
            self.ask(&[&["delete"], &*names.iter().map(String::as_str).collect::<Vec<_>>()].concat());
        }
    }
}

/// The fields of an answer, one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_at(N);
        self.0 = rest;
        field.try_into().unwrap()
    }

    fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.take())
    }

    fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.take())
    }

    fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.take())
    }

    /// Empty where it is null.
    fn text(&mut self) -> String {
        let length = usize::try_from(self.i16()).unwrap_or_default();
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8(text.to_vec()).unwrap()
    }
}
