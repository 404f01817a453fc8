//! How the sink stands, in words and numbers that travel: to `/admin/sink`, to the command line, to a person.

use serde::{Deserialize, Serialize};

/// How the sink stands, all partitions together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkStatus {
    /// The consumer group all nodes share.
    pub group: String,
    /// The cluster, as it stands in every row (`node.cluster`).
    pub cluster: String,
    /// Every partition of every followed topic.
    pub partitions: Vec<PartitionStatus>,
}

/// How one partition stands. What could not be asked for is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionStatus {
    /// The topic's Kafka name.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// Whether the node that answers writes this partition to the center.
    pub owner: bool,
    /// The group's committed offset: everything below it is at the center.
    pub committed: Option<i64>,
    /// The last offset of the range that was begun and is perhaps not yet at the center.
    pub pending_through: Option<i64>,
    /// The epoch that stands in tokens and rows.
    pub epoch: Option<u32>,
    /// The first offset Kafka has.
    pub log_start: Option<i64>,
    /// The offset after the last record Kafka has.
    pub log_end: Option<i64>,
    /// Offsets between `committed` and `log_end`.
    pub lag_records: Option<i64>,
    /// Why this partition waits for a person; `None` while it does not.
    pub stalled: Option<Stalled>,
}

/// Why a partition waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stalled {
    /// The class, as in the label of `edgefeed_sink_stalled`.
    pub reason: String,
    /// What exactly was met.
    pub detail: String,
    /// What to do about it.
    pub mend: String,
}

/// From where the sink is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// From what the center holds, under its own epoch: nothing is lost and nothing doubled.
    Center,
    /// From the first record Kafka has, under a new epoch.
    Earliest,
    /// From this offset, under a new epoch.
    Offset(i64),
}

/// An order to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// From where.
    pub from: From,
    /// Whether it is accepted that records are read anew: rows of events stay single, sums in views count them again.
    pub accept_reset: bool,
    /// One partition (the topic's Kafka name and the number), or all.
    pub only: Option<(String, u32)>,
}

impl Resume {
    /// Whether the order can be meant.
    ///
    /// Errors, in words: it reads the log anew without saying so, or names one offset for many partitions.
    pub fn check(&self) -> Result<(), String> {
        match self.from {
            From::Center => Ok(()),
            _ if !self.accept_reset => Err("this reads the log anew under a new epoch: rows of events and of tables \
                                            stay single, but what was counted before is counted again in the views; \
                                            say --accept-reset when that is meant, or resume with --from center"
                .to_owned()),
            From::Offset(_) if self.only.is_none() => {
                Err("an offset is one partition's; name it with --partition TOPIC-PARTITION".to_owned())
            }
            From::Offset(offset) if offset < 0 => Err("an offset is 0 or more".to_owned()),
            From::Earliest | From::Offset(_) => Ok(()),
        }
    }
}

/// A partition that goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// The topic's Kafka name.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The offset committed now.
    pub from_offset: i64,
    /// The end of a range that is sent again under its own token.
    pub pending_through: Option<i64>,
    /// The epoch from now on.
    pub epoch: u32,
}

/// Why an order to go on was not followed. Nothing was committed for the partition it names, nor for those after it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResumeError {
    /// The order cannot be followed as it stands: mend it and ask again.
    #[error("{0}")]
    Order(String),
    /// Kafka, the center or another node stands in the way; the text names it and the mend.
    #[error("{0}")]
    Failed(String),
}
