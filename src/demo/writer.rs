//! Plays the application: writes the world's history and its live traffic to the topics.
//!
//! The embedded broker keeps few records a partition, so the writer never runs further ahead than the node has applied.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use edgefeed_storage::model::{IdKind, Topic, TopicPartition};
use edgefeed_sync::{Lag, Producer};
use tokio::time::{MissedTickBehavior, interval};

use super::PARTITIONS;
use crate::clock::now_ms;
use crate::world::{Encoding, Fact, World, partition_of};

/// Records written between two looks at how far the node has come: below what the broker keeps of one partition.
const WINDOW: u64 = 4_000;
/// How long the node may take to apply a window before the demo gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often live traffic is written.
const TICK: Duration = Duration::from_millis(20);

/// The Kafka name of a topic in the demo: the configuration's defaults, and `cdc.<table>` for the optional ones.
pub(super) fn topic_name(topic: Topic) -> String {
    match topic.table() {
        Some(table) => format!("cdc.{table}"),
        None => "events".to_owned(),
    }
}

/// The one producer of the demo.
#[derive(Debug)]
pub(super) struct Writer {
    producer: Producer,
    encoding: Encoding,
    lag: Arc<Lag>,
    /// Records written, by partition: as the broker is new, also the offset of the next.
    ends: BTreeMap<TopicPartition, i64>,
    written: u64,
}

impl Writer {
    pub(super) fn connect(brokers: &str, lag: Arc<Lag>) -> edgefeed_sync::Result<Self> {
        let producer = Producer::connect(brokers)?;
        Ok(Self { producer, encoding: Encoding::new(IdKind::Uuid), lag, ends: BTreeMap::new(), written: 0 })
    }

    /// Records written so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Writes the world's past and returns when the node has applied it.
    pub(super) async fn history(mut self, world: Arc<World>) -> Result<Self, String> {
        let work = move || {
            for fact in world.history() {
                let before = self.written / WINDOW;
                self.write(&fact)?;
                if self.written / WINDOW != before {
                    self.wait_applied()?;
                }
            }
            self.wait_applied()?;
            Ok(self)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| "the writer panicked".to_owned())?
    }

    /// Writes live traffic at `rate` records a second, until it is dropped or fails.
    pub(super) async fn live(mut self, world: Arc<World>, rate: u32) -> Result<(), String> {
        let mut live = world.live(u64::try_from(now_ms()).unwrap_or(0));
        let (started, base) = (Instant::now(), self.written);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let due = base + (started.elapsed().as_secs_f64() * f64::from(rate)) as u64;
            // A slow moment is made up for, but not in one burst.
            let most = self.written + u64::from(rate) + 1;
            while self.written < due.min(most) {
                self.write(&live.next_at(now_ms()))?;
            }
        }
    }

    fn write(&mut self, fact: &Fact) -> Result<(), String> {
        for message in self.encoding.encode(fact) {
            let partition = partition_of(&message.key, PARTITIONS.unsigned_abs());
            let at = TopicPartition { topic: message.topic, partition };
            let kafka_partition = i32::try_from(partition).unwrap_or(0);
            let topic = topic_name(message.topic);
            self.producer
                .send(&topic, Some(kafka_partition), &message.key, message.value.as_deref(), Some(message.time_ms))
                .map_err(|error| error.to_string())?;
            *self.ends.entry(at).or_default() += 1;
            self.written += 1;
        }
        Ok(())
    }

    fn wait_applied(&self) -> Result<(), String> {
        self.producer.flush(PATIENCE).map_err(|error| error.to_string())?;
        let deadline = Instant::now() + PATIENCE;
        for (at, end) in &self.ends {
            let patience = deadline.saturating_duration_since(Instant::now());
            if !self.lag.wait_applied(*at, *end, patience) {
                return Err(format!("the node did not apply {} within {} s", at.topic.name(), PATIENCE.as_secs()));
            }
        }
        Ok(())
    }
}
