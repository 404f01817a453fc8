//! A town of a size in megabytes: its log stands in an embedded broker as far as that keeps it, and its store is built
//! from the very same records, faster than a node would read them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use edgefeed::clock::now_ms;
use edgefeed::world::{Encoding, Message, World, WorldConfig, partition_of};
use edgefeed_storage::model::{Id, IdKind, Record, Topic, TopicPartition};
use edgefeed_storage::{Config, OpenOptions, Store};
use edgefeed_sync::{EmbeddedBroker, Producer, decode};

use crate::log::{PARTITIONS, settings, topic_name};

/// Records a second of live traffic.
const RATE: f64 = 2_000.0;
const TICK: Duration = Duration::from_millis(5);
/// What world M comes to on disk while it is written, in megabytes.
const WORLD_M_MB: usize = 930;
const BATCH: usize = 2_000;

pub(super) struct Town {
    world: World,
    broker: EmbeddedBroker,
    producer: Producer,
    ends: Mutex<BTreeMap<(Topic, u32), i64>>,
}

impl Town {
    pub(super) fn new(megabytes: usize) -> Self {
        let topics: Vec<String> = Topic::ALL.into_iter().map(topic_name).collect();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let broker = EmbeddedBroker::start(&topics, PARTITIONS.cast_signed()).unwrap();
        let producer = Producer::connect(&broker.address().unwrap()).unwrap();
        let m = WorldConfig::world_m(1, IdKind::Uuid);
        let part = |of: u32| u32::try_from(of as usize * megabytes / WORLD_M_MB).unwrap();
        let world = World::new(WorldConfig {
            now_ms: now_ms(),
            users: part(m.users),
            posts: part(m.posts),
            events: m.events * megabytes as u64 / WORLD_M_MB as u64,
            like_rows: part(m.like_rows),
            comment_rows: part(m.comment_rows),
            blocks: part(m.blocks),
            ..m
        });
        Self { world, broker, producer, ends: Mutex::default() }
    }

    pub(super) fn address(&self) -> String {
        self.broker.address().unwrap()
    }

    /// Somebody who follows others.
    pub(super) fn reader(&self) -> Id {
        self.world.user(self.world.config().users / 2)
    }

    /// Makes the store of a node that has read the whole history; tells of how many records.
    pub(super) fn build(&self, dir: &Path) -> usize {
        let config = Config { dir: dir.to_owned(), ..Config::default() };
        let store = Store::open(&config, OpenOptions { ids: IdKind::Uuid, apply_truncates: false }).unwrap();
        let (encoding, now) = (Encoding::new(IdKind::Uuid), self.world.config().now_ms);
        let (mut batch, mut count) = (Vec::with_capacity(BATCH), 0);
        for message in self.world.history().flat_map(|fact| encoding.encode(&fact)) {
            batch.push(self.send(&message, now));
            count += 1;
            if batch.len() == BATCH {
                store.apply(&batch, now).unwrap();
                batch.clear();
            }
        }
        store.apply(&batch, now).unwrap();
        self.producer.flush(Duration::from_secs(60)).unwrap();
        count
    }

    /// Puts a record into Kafka; gives it back as a node reads it.
    fn send(&self, message: &Message, now_ms: i64) -> Record {
        let Message { topic, key, value, time_ms } = message;
        let partition = partition_of(key, PARTITIONS);
        let offset = {
            let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
            let end = ends.entry((*topic, partition)).or_default();
            *end += 1;
            *end - 1
        };
        let name = topic_name(*topic);
        self.producer.send(&name, Some(partition.cast_signed()), key, value.as_deref(), Some(*time_ms)).unwrap();
        let at = TopicPartition { topic: *topic, partition };
        decode::record(at, offset, *time_ms, Some(key), value.as_deref(), &settings(IdKind::Uuid), now_ms)
    }

    /// Writes what goes on in it until told to stop.
    pub(super) fn write(&self, stop: &Receiver<()>) {
        let (encoding, mut live) = (Encoding::new(IdKind::Uuid), self.world.live(1));
        let (started, mut written) = (Instant::now(), 0_usize);
        while matches!(stop.recv_timeout(TICK), Err(RecvTimeoutError::Timeout)) {
            while (written as f64) < started.elapsed().as_secs_f64() * RATE {
                for message in encoding.encode(&live.next_at(now_ms())) {
                    self.send(&message, message.time_ms);
                    written += 1;
                }
            }
        }
        self.producer.flush(Duration::from_secs(60)).unwrap();
    }
}
