//! What an operator asks of the dead letters in Kafka, and what became of it.

use std::collections::BTreeSet;

use edgefeed_storage::model::{DeadReason, TimestampMs};
use serde::{Deserialize, Serialize};

/// How many dead letters an account names one by one.
const NAMED_MAX: usize = 1_000;

/// What to do with the dead letters found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send each record to its source topic once more, then mark the dead letter as done.
    Replay,
    /// Mark the dead letters as done.
    Drop,
}

/// Which dead letters of one source topic, and what to do with them.
#[derive(Clone, Debug)]
pub struct Order {
    /// What to do.
    pub action: Action,
    /// The Kafka name of the source topic.
    pub source: String,
    /// Only the dead letters of these partitions and offsets of the source topic.
    pub only: Option<BTreeSet<(u32, i64)>>,
    /// Only those with this reason.
    pub reason: Option<DeadReason>,
    /// Only records whose Kafka time is this or later.
    pub since: Option<TimestampMs>,
    /// At most so many, the oldest of each partition first.
    pub limit: Option<u64>,
    /// Find them and do nothing.
    pub dry_run: bool,
}

impl Order {
    /// Whether a dead letter is meant, by where the record stood and by what the headers say.
    pub(super) fn takes(&self, place: (u32, i64), reason: &str, time: Option<TimestampMs>) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&place))
            && self.reason.is_none_or(|wanted| wanted.name() == reason)
            && self.since.is_none_or(|since| time.is_some_and(|time| time >= since))
    }
}

/// One dead letter that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Its key: `<source topic>-<partition>-<offset>`.
    pub key: String,
    /// The class of the fault.
    pub reason: String,
    /// What exactly was wrong.
    pub detail: String,
    /// Kafka's time of the record, in epoch milliseconds.
    pub time: Option<TimestampMs>,
    /// The length of the record's value, in bytes.
    pub bytes: u64,
    /// Where the record stands now, as `<topic>-<partition>-<offset>`; absent unless it was replayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replayed_to: Option<String>,
}

/// What became of an order; also of one that failed half-way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The dead-letter topic that was read.
    pub topic: String,
    /// Whether there is such a topic; without one no dead letter was ever written.
    pub exists: bool,
    /// Dead letters that matched and were neither replayed nor dropped before.
    pub matched: u64,
    /// Of these, how many were replayed or dropped.
    pub done: u64,
    /// Records in the topic that are no dead letters of the source.
    pub foreign: u64,
    /// Those that matched, one by one, a thousand at most.
    pub letters: Vec<Found>,
}

impl Account {
    pub(super) fn name(&mut self, found: Found) {
        if self.letters.len() < NAMED_MAX {
            self.letters.push(found);
        }
    }
}
