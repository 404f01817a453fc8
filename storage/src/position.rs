//! How far a partition has been applied, and what one `apply` did.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{DeadReason, TimestampMs, Topic, TopicPartition};

/// Where the store stands in one partition. Written in the same batch as the effects of the records below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The offset to read next.
    pub next_offset: i64,
    /// The offset of the last record applied; `next_offset` may be further where the log has holes.
    pub last_offset: i64,
    /// Kafka's time of that record: with `last_offset` it recognises a recreated topic.
    pub last_time: TimestampMs,
    /// The partition's own record time: the highest record time seen, never beyond the node's clock + 5 min.
    pub watermark: TimestampMs,
    /// From this offset on the marks of dropped repeats are complete.
    pub marked_from: i64,
}

/// Why the effects of a topic have stopped. Nothing is lost: the offset stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StallReason {
    /// Row versions fell back or changed kind: raise `kafka.cdc_epoch` and take a new snapshot.
    VersionRegress,
    /// A truncate arrived and `kafka.cdc_truncate` is `stall`.
    Truncate,
}

impl StallReason {
    /// The metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::VersionRegress => "cdc_version_regress",
            Self::Truncate => "cdc_truncate",
        }
    }
}

/// A topic whose records are no longer applied, and the record that stopped it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Why.
    pub reason: StallReason,
    /// Where the stopping record stands.
    pub at: TopicPartition,
    /// Its offset; it was not applied and is the next to read.
    pub offset: i64,
    /// What was seen, for a person.
    pub detail: String,
}

/// What one `apply` did: numbers for metrics, and the topics it had to stop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Records whose effect was written, by topic.
    pub applied: BTreeMap<Topic, u64>,
    /// Records that changed nothing because the store held a newer or equal version, by topic.
    pub stale: BTreeMap<Topic, u64>,
    /// Records without effect by nature (tombstones, heartbeats), by topic.
    pub nothing: BTreeMap<Topic, u64>,
    /// Records below the stored offset, already applied before, by topic.
    pub replayed: BTreeMap<Topic, u64>,
    /// Records about users who were forgotten, by topic: they made no row, here or at the center.
    pub forgotten: BTreeMap<Topic, u64>,
    /// Records that became dead letters.
    pub dead: BTreeMap<(Topic, DeadReason), u64>,
    /// Events dropped because their id was known.
    pub dedup_hits: u64,
    /// Events whose id was new.
    pub dedup_misses: u64,
    /// Topics stopped by this call.
    pub stalls: Vec<Stall>,
    /// How long RocksDB took for the write.
    pub write: Duration,
}
