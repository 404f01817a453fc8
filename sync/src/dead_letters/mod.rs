//! Records that could not be used, in Kafka: `<prefix><source topic>`, written by the sink alone and read to replay.
//!
//! A dead letter's key is `<source topic>-<partition>-<offset>`, so that writing one twice leaves one in a compacted
//! topic, and a record without a value says that it was replayed or dropped. The value is the record's, byte for byte.

mod create;
mod order;
pub(crate) mod reader;
mod replay;
mod topic;

use edgefeed_storage::model::{DeadReason, TimestampMs};

pub use order::{Account, Action, Found, Order};
pub use replay::carry_out;
pub use topic::DeadLetterTopic;

/// The class of the fault ([`DeadReason::name`]).
pub const REASON: &str = "edgefeed-reason";
/// What exactly was wrong, in words.
pub const DETAIL: &str = "edgefeed-detail";
/// The record's own key; absent when it had none.
pub const KEY: &str = "edgefeed-key";
/// Kafka's time of the record, in epoch milliseconds.
pub const TIME: &str = "edgefeed-time";
/// The node that wrote the dead letter.
pub const NODE: &str = "edgefeed-node";
/// On a record in a source topic: the key of the dead letter it was replayed from.
pub const REPLAY_OF: &str = "edgefeed-replay-of";

/// A record that could not be used, as the sink hands it over.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// The Kafka name of the topic it stands in.
    pub topic: &'a str,
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: i64,
    /// Kafka's record time.
    pub time: TimestampMs,
    /// The record's key, as it came.
    pub key: Option<&'a [u8]>,
    /// The record's value, as it came. A record without one is never a dead letter.
    pub value: &'a [u8],
    /// The class of the fault.
    pub reason: DeadReason,
    /// What exactly was wrong.
    pub detail: &'a str,
    /// This node's name.
    pub node: &'a str,
}

impl Letter<'_> {
    /// The dead letter's own key.
    pub fn name(&self) -> String {
        name(self.topic, self.partition, self.offset)
    }
}

/// The key of a dead letter: `<topic>-<partition>-<offset>`.
pub fn name(topic: &str, partition: u32, offset: i64) -> String {
    format!("{topic}-{partition}-{offset}")
}

/// Reads the key of a dead letter; `None` for anything else. A topic's name may hold dashes.
pub fn split_name(name: &str) -> Option<(&str, u32, i64)> {
    let (rest, offset) = name.rsplit_once('-')?;
    let (topic, partition) = rest.rsplit_once('-')?;
    let offset = number(offset)?;
    Some((topic, u32::try_from(number(partition)?).ok()?, offset)).filter(|_| !topic.is_empty())
}

/// Digits and nothing else.
fn number(text: &str) -> Option<i64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_and_anything_else_is_none() {
        for (topic, partition, offset) in [("events", 0, 0), ("eu-west.cdc-posts", 63, i64::MAX)] {
            assert_eq!(split_name(&name(topic, partition, offset)), Some((topic, partition, offset)));
        }
        for text in ["", "events", "events-1", "-1-2", "events-1-", "events-+1-2", "events-1--2", "events-4294967296-1"]
        {
            assert_eq!(split_name(text), None, "{text}");
        }
    }
}
